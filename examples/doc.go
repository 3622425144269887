// Package examples holds configurations that run. Its tests start each one as
// it stands and execute the commands of its README.
package examples

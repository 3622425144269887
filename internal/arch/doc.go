// Package arch holds, as a test, which package may import which.
package arch

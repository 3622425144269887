// Package arch tests which package may import which.
package arch

// Package faults is the fault wall: what providers do wrong, byte by byte, and
// what becomes of it. Its tests run each row against the built weir and a real
// Envoy and write docs/faults.md. There is nothing else in it.
package faults

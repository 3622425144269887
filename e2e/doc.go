// Package e2e proves the product from outside: the built weir command, a real
// Envoy, recording providers, real clients. What is asserted is what a
// provider received and what a client saw.
package e2e

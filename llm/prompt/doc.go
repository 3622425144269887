// Package prompt knows which parts of a request's JSON body a model reads as its input:
// the top-level members with text, and what the members of messages and of their parts
// hold.
//
// It is a table and a few checks of values. It reads no JSON and counts nothing: package
// policy/tokens does. It imports nothing of Weir, and nothing that could reach a network.
package prompt

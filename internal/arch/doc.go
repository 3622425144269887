// Package arch tests what no package can test of itself: which package may import which,
// that only llm spells the APIs, and that the developers' documents name what exists.
package arch

// Package rolling keeps numbers about models and provider keys over a moving window of
// time: how often they were used, how fast they responded, how often and why they
// failed, and what remains of a key's quota.
//
// Observing takes one short lock of one model or key. Reading loads one pointer to
// numbers that never change; Tick replaces them. Time is passed in, and no goroutine
// is started here. It stores nothing: a restart begins with zeros.
package rolling

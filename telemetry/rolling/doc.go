// Package rolling keeps numbers about models and provider keys over a window
// of time that moves: how often they were tried, how fast they answered, how
// often and why they failed, and what a provider says is left of a key's quota.
//
// Those who observe take one short lock of one model or key. Those who read
// load one pointer to numbers that never change; Tick makes new ones. Time is
// passed in, and no goroutine is started here.
//
// It imports nothing of Weir, and keeps nothing: a restart begins with zeros.
package rolling

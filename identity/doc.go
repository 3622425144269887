// Package identity knows the clients of the gateway: access keys, what each may
// use, and an index that finds a key by its credential.
//
// It holds no credential, only hashes. It decides nothing about a request: whether
// a client needs a key at all is the policy's, and so is what a name that the key
// allows stands for. It imports nothing of Weir, and knows no transport.
package identity

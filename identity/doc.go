// Package identity holds access keys, what each may use, and an index that finds a key
// by its credential.
//
// It stores hashes of credentials, never the credentials. It makes no decision about a
// request: the policy decides whether clients need a key, and what the names that a key
// allows stand for. The package knows no transport.
package identity

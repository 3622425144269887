package header

import "strings"

// maxRequestID bounds the id that a client gives a request.
const maxRequestID = 128

// IsRequestID reports whether a client's id of a request can be logged and sent to a
// provider: at most 128 letters, digits and marks that need no escaping in logs. That
// includes UUIDs, trace contexts and the ids of AWS and Google load balancers.
func IsRequestID(id string) bool {
	if id == "" || len(id) > maxRequestID {
		return false
	}
	for i := range len(id) {
		c := id[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && strings.IndexByte("-_.~:/+=@#,;|", c) < 0 {
			return false
		}
	}
	return true
}

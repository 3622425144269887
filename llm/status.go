package llm

// HeaderField is the name and the value of a header.
type HeaderField struct{ Name, Value string }

// statusHeaders are the headers that RFC 9110 requires for some statuses.
var statusHeaders = map[int][]HeaderField{
	401: {{"www-authenticate", Challenge}}, // 15.5.2
	415: {{"accept-encoding", "identity"}}, // 15.5.16 and 12.5.3
}

// StatusHeaders returns the headers that a response of the gateway needs because of its
// status. They are shared: do not change them.
func StatusHeaders(status int) []HeaderField { return statusHeaders[status] }

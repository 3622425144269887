package llm

// HeaderField is a header with its value.
type HeaderField struct{ Name, Value string }

// statusHeaders are what RFC 9110 asks for in a response of some statuses.
var statusHeaders = map[int][]HeaderField{
	401: {{"www-authenticate", Challenge}}, // 15.5.2
	415: {{"accept-encoding", "identity"}}, // 15.5.16 and 12.5.3
}

// StatusHeaders are the headers that go with a status of the gateway's own
// responses.
func StatusHeaders(status int) []HeaderField { return statusHeaders[status] }

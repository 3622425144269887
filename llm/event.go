package llm

// Event is a server-sent event of a response. Its bytes are valid until the next event
// is read.
type Event struct {
	Name []byte
	Data []byte
}

package llm

// Event is a server-sent event of a response: the values of its fields `event` and `data`.
// Judge.Event and Ends say what it means in the streams of an API. Its bytes are valid until the
// next event is read.
type Event struct {
	Name []byte
	Data []byte
}

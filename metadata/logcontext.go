package metadata

// LogContext is what the access log says of a request in addition to what Envoy knows.
// It travels as metadata, so that the receiver of the log needs no state of the request
// path.
type LogContext struct {
	// ID is the id of the request when it was planned. If the configuration sets the
	// header, the logged request has another one.
	ID string
	// Operation is that of the endpoint.
	Operation string
	// Asked is the first model name that the client sent; empty if it sent none.
	Asked string
	// KeyID and Key are the id and the name of the access key.
	KeyID, Key string
	Stream     bool
	// Prompt is an estimate of the input tokens, for a response without usage.
	Prompt   int64
	Attempts []LoggedAttempt
	// Path is that of the client, without the query.
	Path string
	// ClientID is the client's own id of the request; empty if it sent none.
	ClientID string
}

// LoggedAttempt is where an attempt goes. Envoy's log cannot say: it names the cluster of
// the host, which several clusters may share.
type LoggedAttempt struct {
	Cluster string
	Model   string // as it is sent to the provider
}

func (l *LogContext) fields(c *coder) {
	c.text(&l.ID) // first: see LoggedID
	c.text(&l.Operation)
	c.text(&l.Asked)
	c.text(&l.KeyID)
	c.text(&l.Key)
	c.flag(&l.Stream)
	c.number(&l.Prompt)
	if n := c.length(len(l.Attempts), MaxAttempts); n > 0 {
		l.Attempts = make([]LoggedAttempt, n)
	}
	for i := range l.Attempts {
		c.text(&l.Attempts[i].Cluster)
		c.text(&l.Attempts[i].Model)
	}
	c.text(&l.Path)
	c.text(&l.ClientID)
}

// size is about the length of the encoded context.
func (l *LogContext) size() int {
	n := len(l.ID) + len(l.Operation) + len(l.Asked) + len(l.KeyID) + len(l.Key) + len(l.Path) + len(l.ClientID) + 12*overhead
	for i := range l.Attempts {
		n += len(l.Attempts[i].Cluster) + len(l.Attempts[i].Model) + 2*overhead
	}
	return n
}

// Encode returns the context as one metadata value.
func (l *LogContext) Encode() string {
	var c coder
	c.begin(l.size())
	l.fields(&c)
	return c.written()
}

// DecodeLogContext reads what Encode wrote. Its strings share the memory of s.
// Anything else is an empty context.
func DecodeLogContext(s string) LogContext {
	var l LogContext
	c := newReader(s)
	if l.fields(&c); c.end() != nil {
		return LogContext{}
	}
	return l
}

// LoggedID returns the ID of an encoded context, without reading the rest.
func LoggedID(s string) string {
	c := newReader(s)
	return c.next()
}

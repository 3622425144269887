package extproc

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"io"
	"strings"

	"weir/extproc/echo"
	"weir/extproc/wire"
	"weir/llm"
	"weir/metadata"
)

const (
	// maxCompressed bounds a compressed failure, which is kept until its end, and
	// maxFailure its size after decompression, in bytes.
	maxCompressed = 256 << 10
	maxFailure    = 4 << 20
)

// failure removes the provider's credentials from a response of an attempt, whose
// headers are the first message. Envoy sends it failures, and all responses of a
// provider whose configuration lets every header pass.
func (p *Processor) failure(stream *wire.Stream, x *exchange, cluster string) error {
	finder := echo.New(p.credentials(cluster)...)
	format := llm.OpenAI
	if name, ok := x.in.Metadata(metadata.PlanNamespace, metadata.FormatField); ok {
		format = llm.Format(name)
	}
	status, _, encoding := responseHeaders(x.in.Headers)
	x.set, x.names = x.set[:0], x.names[:0]
	for _, h := range x.in.Headers {
		if h.Key != ":status" && (finder.In(h.Value) || finder.In(h.Key)) {
			x.names = append(x.names, h.Key)
		}
	}
	if status == 401 {
		// RFC 9110 15.5.2 requires it. The provider's own describes how to
		// authenticate at the provider, not at the gateway.
		x.set = append(x.set, wire.SetHeader{Key: "www-authenticate", Value: llm.Challenge})
	}
	last := x.in.EndOfStream || finder.Empty()
	compressed := !last && status >= 400 && !llm.Plain(encoding)
	if compressed {
		// These describe the compressed bytes.
		x.names = append(x.names, "content-encoding", "content-md5", "digest", "content-digest", "etag", "accept-ranges")
	}
	x.out = wire.Response{Kind: wire.ResponseHeaders, Common: wire.Common{Set: x.set, Remove: x.names}}
	if err := stream.Send(&x.out); err != nil || last {
		return err
	}
	if compressed {
		return p.compressedFailure(stream, x, finder, encoding, format)
	}
	body := finder.Stream()
	for !last {
		if err := stream.Recv(&x.in); err != nil {
			return ended(err)
		}
		if x.in.Kind != wire.ResponseBody {
			return nil
		}
		last = x.in.EndOfStream
		text, changed := body.Next(x.in.Body, last)
		x.out = wire.Response{Kind: wire.ResponseBody}
		if changed {
			x.replaceBody(text)
		}
		if err := stream.Send(&x.out); err != nil {
			return err
		}
	}
	return nil
}

// compressedFailure is failure for a body that the provider compressed although Weir
// did not ask for it. The client receives it decompressed, as a whole, at its end.
func (p *Processor) compressedFailure(stream *wire.Stream, x *exchange, finder *echo.Finder, encoding string, format llm.Format) error {
	var body []byte
	tooLarge := false
	for last := false; !last; {
		if err := stream.Recv(&x.in); err != nil {
			return ended(err)
		}
		if x.in.Kind != wire.ResponseBody {
			return nil
		}
		last = x.in.EndOfStream
		if tooLarge = tooLarge || len(body)+len(x.in.Body) > maxCompressed; !tooLarge {
			body = append(body, x.in.Body...)
		}
		x.out = wire.Response{Kind: wire.ResponseBody}
		x.replaceBody(nil)
		if last {
			plain, err := inflate(body, encoding)
			if tooLarge || err != nil {
				plain = llm.Errorf(llm.ProviderUnreachable, "the provider compressed this error as %.32q, so the gateway cannot check it for credentials and does not pass it on", encoding).Render(format)
			}
			text, _ := finder.Stream().Next(plain, true)
			x.replaceBody(text)
		}
		if err := stream.Send(&x.out); err != nil {
			return err
		}
	}
	return nil
}

// inflate decompresses gzip and deflate (RFC 9110 8.4.1). It fails on other encodings
// and on what is larger than maxFailure.
func inflate(body []byte, encoding string) ([]byte, error) {
	var r io.ReadCloser
	var err error
	switch strings.ToLower(strings.Trim(encoding, ", \t")) {
	case "gzip", "x-gzip":
		r, err = gzip.NewReader(bytes.NewReader(body))
	case "deflate":
		r, err = zlib.NewReader(bytes.NewReader(body))
	default:
		return nil, io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, err
	}
	plain, err := io.ReadAll(io.LimitReader(r, maxFailure+1))
	if len(plain) > maxFailure {
		return nil, io.ErrShortBuffer
	}
	return plain, err
}

// replaceBody replaces the received chunk with text.
func (x *exchange) replaceBody(text []byte) {
	x.edits = append(x.edits[:0], wire.Edit{Len: len(x.in.Body), With: text})
	x.out.Body = &wire.BodyPatch{Source: &x.in, Edits: x.edits}
}

// credentials returns the credentials of a cluster's requests: the current ones, and
// those that running requests were sent with before a key was rotated.
func (p *Processor) credentials(cluster string) []string {
	current := p.current().Policy
	return append(current.Credentials(cluster), p.past(cluster)...)
}

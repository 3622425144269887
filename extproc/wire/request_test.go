package wire

import (
	"bytes"
	"math"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"weir/internal/protofield"
)

// headersMessage is a request as Envoy 1.40 describes it to the first filter.
func headersMessage() *extprocv3.ProcessingRequest {
	m := &corev3.HeaderMap{}
	for _, h := range [][2]string{
		{":authority", "gateway.example.com"}, {":path", "/v1/chat/completions"}, {":method", "POST"}, {":scheme", "https"},
		{"accept", "application/json"}, {"accept-encoding", "gzip, deflate"}, {"content-length", "48211"},
		{"content-type", "application/json"}, {"authorization", "Bearer wk-0123456789abcdef0123456789abcdef"},
		{"user-agent", "OpenAI/Python 2.3.0"}, {"x-stainless-arch", "x64"}, {"x-stainless-async", "false"},
		{"x-stainless-lang", "python"}, {"x-stainless-os", "Linux"}, {"x-stainless-package-version", "2.3.0"},
		{"x-stainless-retry-count", "0"}, {"x-stainless-runtime", "CPython"}, {"x-stainless-runtime-version", "3.13.1"},
		{"x-forwarded-proto", "https"}, {"x-request-id", "f3a1c0de-1111-4222-8333-444455556666"},
	} {
		m.Headers = append(m.Headers, &corev3.HeaderValue{Key: h[0], RawValue: []byte(h[1])})
	}
	return &extprocv3.ProcessingRequest{
		Request:         &extprocv3.ProcessingRequest_RequestHeaders{RequestHeaders: &extprocv3.HttpHeaders{Headers: m}},
		MetadataContext: &corev3.Metadata{},
		ProtocolConfig:  &extprocv3.ProtocolConfiguration{SendBodyWithoutWaitingForHeaderResponse: true},
	}
}

func bodyMessage(body []byte) *extprocv3.ProcessingRequest {
	return &extprocv3.ProcessingRequest{
		Request: &extprocv3.ProcessingRequest_RequestBody{RequestBody: &extprocv3.HttpBody{Body: body, EndOfStream: true}},
	}
}

func object(t testing.TB, fields map[string]any) *structpb.Struct {
	t.Helper()
	s, err := structpb.NewStruct(fields)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var onlyFields = cmp.Options{cmpopts.IgnoreUnexported(Request{}), cmpopts.EquateEmpty()}

func TestDecode(t *testing.T) {
	header := func(key, value, raw string) *corev3.HeaderMap {
		return &corev3.HeaderMap{Headers: []*corev3.HeaderValue{{Key: key, Value: value, RawValue: []byte(raw)}}}
	}
	tests := []struct {
		name string
		in   *extprocv3.ProcessingRequest
		want Request
	}{
		{"nothing", &extprocv3.ProcessingRequest{}, Request{Kind: Other}},
		{
			"a window update",
			&extprocv3.ProcessingRequest{ClientWindowUpdate: &extprocv3.ProcessingRequest_ClientWindowUpdate{WindowIncrementSidestreamToUpstream: 5}},
			Request{Kind: Other},
		},
		{
			"request headers",
			&extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_RequestHeaders{RequestHeaders: &extprocv3.HttpHeaders{
				Headers: &corev3.HeaderMap{Headers: []*corev3.HeaderValue{
					{Key: ":path", RawValue: []byte("/v1/messages")},
					{Key: "cookie", RawValue: []byte("a=1")},
					{Key: "cookie", RawValue: []byte("b=\xff")},
					{Key: "empty"},
				}},
				EndOfStream: true,
			}}},
			Request{Kind: RequestHeaders, EndOfStream: true, Headers: []Header{
				{":path", "/v1/messages"}, {"cookie", "a=1"}, {"cookie", "b=\xff"}, {"empty", ""},
			}},
		},
		{
			"response headers with a plain value",
			&extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_ResponseHeaders{ResponseHeaders: &extprocv3.HttpHeaders{
				Headers: header(":status", "200", ""),
			}}},
			Request{Kind: ResponseHeaders, Headers: []Header{{":status", "200"}}},
		},
		{
			"both values: the raw one",
			&extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_ResponseHeaders{ResponseHeaders: &extprocv3.HttpHeaders{
				Headers: header("k", "plain", "raw"),
			}}},
			Request{Kind: ResponseHeaders, Headers: []Header{{"k", "raw"}}},
		},
		{"no headers", &extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_RequestHeaders{}}, Request{Kind: RequestHeaders}},
		{"request body", bodyMessage([]byte(`{"model":"m"}`)), Request{Kind: RequestBody, Body: []byte(`{"model":"m"}`), EndOfStream: true}},
		{"empty request body", bodyMessage(nil), Request{Kind: RequestBody, EndOfStream: true}},
		{
			"a piece of a response body",
			&extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_ResponseBody{ResponseBody: &extprocv3.HttpBody{Body: []byte("data: ")}}},
			Request{Kind: ResponseBody, Body: []byte("data: ")},
		},
		{
			"request trailers",
			&extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_RequestTrailers{RequestTrailers: &extprocv3.HttpTrailers{Trailers: header("t", "", "1")}}},
			Request{Kind: RequestTrailers, Headers: []Header{{"t", "1"}}},
		},
		{
			"response trailers",
			&extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_ResponseTrailers{ResponseTrailers: &extprocv3.HttpTrailers{Trailers: header("t", "", "1")}}},
			Request{Kind: ResponseTrailers, Headers: []Header{{"t", "1"}}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, frame := range []int{1 << 20, 7, 1} {
				pool := newStrict()
				// It has been used before: nothing of that may be left.
				r := received(t, headersMessage(), pool)
				data := marshal(t, tt.in, frame, pool)
				if err := NewCodec(pool).Unmarshal(data, r); err != nil {
					t.Fatal(err)
				}
				data.Free()
				if diff := cmp.Diff(&tt.want, r, onlyFields); diff != "" {
					t.Errorf("in frames of %d (-want +got):\n%s", frame, diff)
				}
				r.Free()
				if diff := cmp.Diff(&Request{}, r, onlyFields); diff != "" {
					t.Errorf("after Free (-want +got):\n%s", diff)
				}
				r.Free()
				pool.settled(t)
			}
		})
	}
}

func TestHeadersOutliveTheirMessage(t *testing.T) {
	pool := newStrict()
	data := marshal(t, headersMessage(), 100, pool) // several frames: a buffer of the pool
	var r Request
	if err := NewCodec(pool).Unmarshal(data, &r); err != nil {
		t.Fatal(err)
	}
	path := r.Headers[1]
	r.Free()
	if (path != Header{":path", "/v1/chat/completions"}) {
		t.Errorf("got %q", path)
	}
	pool.settled(t)
}

func TestAttribute(t *testing.T) {
	m := headersMessage()
	m.Attributes = map[string]*structpb.Struct{
		"envoy.filters.http.ext_proc": object(t, map[string]any{
			"xds.cluster_name": "openai", "upstream.request_attempt_count": 2, "fraction": 0.25, "large": 1e21,
			"connection.mtls": true, "null": nil, "list": []any{1}, "object": map[string]any{"a": 1}, "empty": "",
		}),
		"another": object(t, map[string]any{"xds.cluster_name": "wrong", "other": "wrong"}),
	}
	r := received(t, m, NewPool())
	for name, want := range map[string]string{
		"xds.cluster_name": "openai", "upstream.request_attempt_count": "2", "fraction": "0.25", "large": "1000000000000000000000",
		"connection.mtls": "true", "null": "", "list": "", "object": "", "empty": "", "other": "", "missing": "",
	} {
		if got := r.Attribute(name); got != want {
			t.Errorf("Attribute(%q) = %q, want %q", name, got, want)
		}
	}
	r.Free()
	if got := r.Attribute("xds.cluster_name"); got != "" {
		t.Errorf("after Free: %q", got)
	}
}

func TestMetadata(t *testing.T) {
	m := bodyMessage(body(100))
	m.MetadataContext = &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{
		"weir.plan": object(t, map[string]any{"plan": `{"attempts":[]}`, "empty": "", "number": 1, "object": map[string]any{"plan": "inner"}}),
		"other":     object(t, map[string]any{"secret": "s"}),
	}}
	r := received(t, m, NewPool())
	defer r.Free()
	for _, tt := range []struct {
		namespace, field, want string
		ok                     bool
	}{
		{"weir.plan", "plan", `{"attempts":[]}`, true},
		{"weir.plan", "empty", "", true},
		{"weir.plan", "number", "", false},
		{"weir.plan", "object", "", false},
		{"weir.plan", "secret", "", false},
		{"other", "secret", "s", true},
		{"", "", "", false},
	} {
		if got, ok := r.Metadata(tt.namespace, tt.field); got != tt.want || ok != tt.ok {
			t.Errorf("Metadata(%q, %q) = %q, %v; want %q, %v", tt.namespace, tt.field, got, ok, tt.want, tt.ok)
		}
	}
}

func TestDecodeMalformed(t *testing.T) {
	good, err := proto.Marshal(headersMessage())
	if err != nil {
		t.Fatal(err)
	}
	group := protowire.AppendTag(nil, 99, protowire.StartGroupType)
	tests := []struct {
		name, want string
		in         []byte
	}{
		{"cut off", "unexpected EOF", good[:len(good)-1]},
		{"half a tag", "unexpected EOF", []byte{0x80}},
		{"field number 0", "invalid field number", []byte{0x02, 0x00}},
		{"reserved wire type", "reserved wire type", []byte{0x0f}},
		{"end of no group", "mismatching end group", []byte{0x0c}},
		{"open group", "unexpected EOF", group},
		{"length beyond the end", "unexpected EOF", []byte{0x22, 0xff, 0xff, 0xff, 0xff, 0x0f}},
		{"overflowing length", "overflow", append([]byte{0x22}, bytes.Repeat([]byte{0xff}, 11)...)},
		{"inside the body", "request_body: unexpected EOF", []byte{0x22, 2, 0x0a, 9}},
		{"inside a header map", "request_headers: unexpected EOF", []byte{0x12, 4, 0x0a, 2, 0x0a, 9}},
		{"inside a header", "request_headers: unexpected EOF", []byte{0x12, 6, 0x0a, 4, 0x0a, 2, 0x0a, 9}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pool := newStrict()
			r := received(t, bodyMessage(body(5000)), pool)
			data := inFrames(tt.in, 4, pool)
			err := NewCodec(pool).Unmarshal(data, r)
			data.Free()
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			if diff := cmp.Diff(&Request{}, r, onlyFields); diff != "" {
				t.Errorf("something is left (-want +got):\n%s", diff)
			}
			pool.settled(t)
		})
	}
}

// FuzzDecode: whatever arrives, decoding does not panic, and what the generated
// types can read is read the same.
func FuzzDecode(f *testing.F) {
	full := headersMessage()
	full.Attributes = map[string]*structpb.Struct{attributesOf: object(f, map[string]any{"a": "x", "n": 2, "b": true, "l": []any{1}})}
	full.MetadataContext = &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{"ns": object(f, map[string]any{"s": "v", "n": 1})}}
	withBody := proto.CloneOf(full)
	withBody.Request = bodyMessage(body(50)).Request
	var all []byte
	for _, m := range []*extprocv3.ProcessingRequest{full, withBody, bodyMessage(body(3000)), {
		Request: &extprocv3.ProcessingRequest_ResponseTrailers{ResponseTrailers: &extprocv3.HttpTrailers{Trailers: &corev3.HeaderMap{Headers: []*corev3.HeaderValue{{Key: "k", Value: "v"}}}}},
	}} {
		b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, 1<<20)
		all = append(all, b...) // repeated fields, maps and oneofs
		f.Add(all, 100)
	}
	// Map entries with the value first, twice, or missing; a Value that changes its mind.
	f.Add([]byte("\x4a\x2b\x12\x0c\x0a\x0a\x12\x05\x1a\x03one\x0a\x01a\x0a\x1benvoy.filters.http.ext_proc"), 3)
	f.Add([]byte("\x42\x14\x0a\x12\x0a\x02ns\x12\x0c\x0a\x0a\x0a\x01s\x12\x05\x1a\x01v\x08\x00"), 1)

	f.Fuzz(func(t *testing.T, in []byte, frame int) {
		if frame <= 0 {
			return
		}
		pool := newStrict()
		var got Request
		data := inFrames(in, frame, pool)
		err := NewCodec(pool).Unmarshal(data, &got)
		data.Free()

		var m extprocv3.ProcessingRequest
		if proto.Unmarshal(in, &m) == nil {
			if err != nil {
				t.Fatalf("the generated types accept what gives: %v", err)
			}
			agrees(t, &m, &got)
		}
		got.Attribute("a")
		got.Metadata("ns", "s")
		got.Free()
		pool.settled(t)
	})
}

// agrees compares a Request to the generated type's view of the same bytes.
func agrees(t *testing.T, m *extprocv3.ProcessingRequest, got *Request) {
	t.Helper()
	var want Request
	headers := func(kind Kind, m *corev3.HeaderMap, end bool) {
		want.Kind, want.EndOfStream = kind, end
		for _, h := range m.GetHeaders() {
			value := h.GetValue()
			if len(h.GetRawValue()) > 0 {
				value = string(h.GetRawValue())
			}
			want.Headers = append(want.Headers, Header{h.GetKey(), value})
		}
	}
	body := func(kind Kind, b *extprocv3.HttpBody) {
		want.Kind, want.Body, want.EndOfStream = kind, b.GetBody(), b.GetEndOfStream()
	}
	switch q := m.GetRequest().(type) {
	case *extprocv3.ProcessingRequest_RequestHeaders:
		headers(RequestHeaders, q.RequestHeaders.GetHeaders(), q.RequestHeaders.GetEndOfStream())
	case *extprocv3.ProcessingRequest_ResponseHeaders:
		headers(ResponseHeaders, q.ResponseHeaders.GetHeaders(), q.ResponseHeaders.GetEndOfStream())
	case *extprocv3.ProcessingRequest_RequestBody:
		body(RequestBody, q.RequestBody)
	case *extprocv3.ProcessingRequest_ResponseBody:
		body(ResponseBody, q.ResponseBody)
	case *extprocv3.ProcessingRequest_RequestTrailers:
		headers(RequestTrailers, q.RequestTrailers.GetTrailers(), false)
	case *extprocv3.ProcessingRequest_ResponseTrailers:
		headers(ResponseTrailers, q.ResponseTrailers.GetTrailers(), false)
	}
	if diff := cmp.Diff(&want, got, onlyFields); diff != "" {
		t.Fatalf("(-generated +ours):\n%s", diff)
	}
	if got.buf != nil && string(got.buf.ReadOnlyData()[got.bodyAt:got.bodyAt+len(got.Body)]) != string(got.Body) {
		t.Fatalf("the body is not at %d", got.bodyAt)
	}
	for name, v := range m.GetAttributes()[attributesOf].GetFields() {
		want := scalar{}
		switch k := v.GetKind().(type) {
		case *structpb.Value_StringValue:
			want = scalar{kind: protofield.ValueString, str: []byte(k.StringValue)}
		case *structpb.Value_NumberValue:
			want = scalar{kind: protofield.ValueNumber, num: k.NumberValue}
		case *structpb.Value_BoolValue:
			want = scalar{kind: protofield.ValueBool}
			if k.BoolValue {
				want.num = math.MaxFloat64
			}
		}
		if got := got.Attribute(name); got != want.text() {
			t.Fatalf("attribute %q: %q, generated types: %q", name, got, want.text())
		}
	}
	for namespace, s := range m.GetMetadataContext().GetFilterMetadata() {
		for field, v := range s.GetFields() {
			_, isString := v.GetKind().(*structpb.Value_StringValue)
			if got, ok := got.Metadata(namespace, field); ok != isString || got != v.GetStringValue() {
				t.Fatalf("metadata %q %q: %q %v, generated types: %v", namespace, field, got, ok, v)
			}
		}
	}
}

package wire

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/structpb"
)

// encode returns the message as Envoy would read it, and in how many buffers it
// was handed to gRPC.
func encode(t testing.TB, r *Response) (*extprocv3.ProcessingResponse, int) {
	t.Helper()
	pool := newStrict()
	data, err := NewCodec(pool).Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	m := new(extprocv3.ProcessingResponse)
	if err := proto.Unmarshal(data.Materialize(), m); err != nil {
		t.Fatal(err)
	}
	if len(m.ProtoReflect().GetUnknown()) > 0 {
		t.Errorf("unknown fields in %v", m)
	}
	parts := len(data)
	data.Free()
	pool.settled(t)
	return m, parts
}

func overwrite(key, value string) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{
		Header:       &corev3.HeaderValue{Key: key, RawValue: []byte(value)},
		AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}
}

func TestEncode(t *testing.T) {
	source := received(t, bodyMessage([]byte(`{"model":"old","stream":true}`)), NewPool())
	defer source.Free()
	tests := []struct {
		name string
		in   Response
		want *extprocv3.ProcessingResponse
	}{
		{
			"request headers, unchanged",
			Response{Kind: RequestHeaders},
			&extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_RequestHeaders{RequestHeaders: &extprocv3.HeadersResponse{}}},
		},
		{
			"response headers",
			Response{Kind: ResponseHeaders, Common: Common{Set: []SetHeader{{":status", "502"}, {"x", ""}, {"bytes", "\xff"}}, Remove: []string{"a", "b"}}},
			&extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_ResponseHeaders{ResponseHeaders: &extprocv3.HeadersResponse{Response: &extprocv3.CommonResponse{
				HeaderMutation: &extprocv3.HeaderMutation{
					SetHeaders:    []*corev3.HeaderValueOption{overwrite(":status", "502"), overwrite("x", ""), overwrite("bytes", "\xff")},
					RemoveHeaders: []string{"a", "b"},
				},
			}}}},
		},
		{
			"request body with everything",
			Response{
				Kind: RequestBody,
				Common: Common{
					Set:             []SetHeader{{":path", "/v1/chat/completions"}, {"content-length", "29"}},
					Body:            &BodyPatch{Source: source, Edits: []Edit{{At: 10, Len: 3, With: []byte("gpt")}}},
					ClearRouteCache: true,
				},
				Metadata: []Metadata{
					{Namespace: "weir.chain", Struct: AppendChain(nil, []string{"one", "two"})},
					{Namespace: "weir.plan", Fields: []Field{
						{"plan", String("{}")}, {"attempts", Number(2)}, {"null", Value{}}, {"", String("")}, {"nan", Number(math.NaN())},
					}},
				},
			},
			&extprocv3.ProcessingResponse{
				Response: &extprocv3.ProcessingResponse_RequestBody{RequestBody: &extprocv3.BodyResponse{Response: &extprocv3.CommonResponse{
					HeaderMutation:  &extprocv3.HeaderMutation{SetHeaders: []*corev3.HeaderValueOption{overwrite(":path", "/v1/chat/completions"), overwrite("content-length", "29")}},
					BodyMutation:    &extprocv3.BodyMutation{Mutation: &extprocv3.BodyMutation_Body{Body: []byte(`{"model":"gpt","stream":true}`)}},
					ClearRouteCache: true,
				}}},
				DynamicMetadata: &structpb.Struct{Fields: map[string]*structpb.Value{
					"weir.chain": structpb.NewStructValue(chain(t, "one", "two")),
					"weir.plan": structpb.NewStructValue(object(t, map[string]any{
						"plan": "{}", "attempts": 2, "null": nil, "": "", "nan": math.NaN(),
					})),
				}},
			},
		},
		{
			"a Struct with fields added",
			Response{Kind: RequestBody, Metadata: []Metadata{{Namespace: "n", Struct: AppendChain(nil, nil), Fields: []Field{{"a", String("b")}}}}},
			&extprocv3.ProcessingResponse{
				Response: &extprocv3.ProcessingResponse_RequestBody{RequestBody: &extprocv3.BodyResponse{}},
				DynamicMetadata: object(t, map[string]any{"n": map[string]any{
					"priority_groups": []any{}, "a": "b",
				}}),
			},
		},
		{
			"response body, emptied",
			Response{Kind: ResponseBody, Common: Common{Body: &BodyPatch{}}},
			&extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_ResponseBody{ResponseBody: &extprocv3.BodyResponse{Response: &extprocv3.CommonResponse{
				BodyMutation: &extprocv3.BodyMutation{Mutation: &extprocv3.BodyMutation_Body{}},
			}}}},
		},
		{
			"request trailers",
			Response{Kind: RequestTrailers, Common: Common{Set: []SetHeader{{"t", "1"}}}},
			&extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_RequestTrailers{RequestTrailers: &extprocv3.TrailersResponse{
				HeaderMutation: &extprocv3.HeaderMutation{SetHeaders: []*corev3.HeaderValueOption{overwrite("t", "1")}},
			}}},
		},
		{
			"response trailers, unchanged",
			Response{Kind: ResponseTrailers},
			&extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_ResponseTrailers{ResponseTrailers: &extprocv3.TrailersResponse{}}},
		},
		{
			"immediate",
			Response{
				Kind: RequestHeaders,
				Immediate: &Immediate{
					Status: 404, Headers: []SetHeader{{"content-type", "application/json"}}, Body: []byte(`{"error":{}}`), Details: "model_not_found",
				},
				Metadata: []Metadata{{Namespace: "weir.error", Fields: []Field{{"code", String("model_not_found")}}}},
			},
			&extprocv3.ProcessingResponse{
				Response: &extprocv3.ProcessingResponse_ImmediateResponse{ImmediateResponse: &extprocv3.ImmediateResponse{
					Status:  &typev3.HttpStatus{Code: typev3.StatusCode_NotFound},
					Headers: &extprocv3.HeaderMutation{SetHeaders: []*corev3.HeaderValueOption{overwrite("content-type", "application/json")}},
					Body:    []byte(`{"error":{}}`),
					Details: "model_not_found",
				}},
				DynamicMetadata: object(t, map[string]any{"weir.error": map[string]any{"code": "model_not_found"}}),
			},
		},
		{
			"immediate, bare",
			Response{Immediate: &Immediate{Status: 503}},
			&extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_ImmediateResponse{ImmediateResponse: &extprocv3.ImmediateResponse{
				Status: &typev3.HttpStatus{Code: typev3.StatusCode_ServiceUnavailable},
			}}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, parts := encode(t, &tt.in)
			if diff := cmp.Diff(tt.want, got, protocmp.Transform(), cmp.Comparer(func(a, b float64) bool { return a == b || a != a && b != b })); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if parts != 1 {
				t.Errorf("%d parts", parts)
			}
		})
	}
}

func TestEncodeRefuses(t *testing.T) {
	source := received(t, bodyMessage(body(10)), NewPool())
	defer source.Free()
	freed := received(t, bodyMessage(body(10)), NewPool())
	freed.Free()
	patch := func(source *Request, edits ...Edit) Response {
		return Response{Kind: RequestBody, Common: Common{Body: &BodyPatch{Source: source, Edits: edits}}}
	}
	metadata := func(namespace, key, value string) Response {
		return Response{Kind: RequestBody, Metadata: []Metadata{{Namespace: namespace, Fields: []Field{{key, String(value)}}}}}
	}
	tests := []struct {
		name, want string
		in         Response
	}{
		{"no kind", "neither a kind", Response{}},
		{"a freed source", "source was freed", patch(freed)},
		{"an edit before the body", "edit 0", patch(source, Edit{At: -1, Len: 1})},
		{"an edit behind the body", "edit 0", patch(source, Edit{At: 11})},
		{"an edit over the end", "edit 0", patch(source, Edit{At: 9, Len: 2})},
		{"a negative length", "edit 0", patch(source, Edit{At: 9, Len: -1})},
		{"overflow", "edit 0", patch(source, Edit{At: 9, Len: math.MaxInt})},
		{"edits that overlap", "edit 1", patch(source, Edit{At: 2, Len: 3}, Edit{At: 4})},
		{"an edit of nothing", "edit 0", patch(nil, Edit{At: 0, Len: 1})},
		{"a header name in Latin-1", "name of a header is not UTF-8", Response{Kind: RequestHeaders, Common: Common{Set: []SetHeader{{"\xe4", ""}}}}},
		{"a removed name in Latin-1", "header to remove is not UTF-8", Response{Kind: RequestHeaders, Common: Common{Remove: []string{"\xe4"}}}},
		{"details in Latin-1", "details", Response{Immediate: &Immediate{Status: 500, Details: "\xe4"}}},
		{"a namespace in Latin-1", "metadata key is not UTF-8", metadata("\xe4", "k", "v")},
		{"a metadata key in Latin-1", "metadata key is not UTF-8", metadata("n", "\xe4", "v")},
		{"a metadata value in Latin-1", "metadata value is not UTF-8", metadata("n", "k", "\xe4")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pool := newStrict()
			data, err := NewCodec(pool).Marshal(&tt.in)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			if data != nil {
				t.Error("there is a message all the same")
			}
			pool.settled(t)
		})
	}
}

func TestBodyPatch(t *testing.T) {
	edit := func(at, n int, with string) Edit { return Edit{At: at, Len: n, With: []byte(with)} }
	const large = copyBelow
	tests := []struct {
		name  string
		body  []byte
		edits []Edit
		parts int
	}{
		{"empty", nil, nil, 1},
		{"empty, filled", nil, []Edit{edit(0, 0, "new")}, 1},
		{"1 KiB", body(1 << 10), []Edit{edit(10, 5, "gpt-5")}, 1},
		{"1 KiB, unchanged", body(1 << 10), nil, 1},
		{"all of it", body(1 << 20), []Edit{edit(0, 1<<20, "x")}, 1},
		{"all of it, gone", body(1 << 20), []Edit{edit(0, 1<<20, "")}, 1},
		{"large, unchanged", body(large), nil, 2},
		{"at the front", body(100 << 10), []Edit{edit(9, 5, "gpt-5")}, 2},
		{"at the very front", body(100 << 10), []Edit{edit(0, 0, "x")}, 2},
		{"in the middle", body(100 << 10), []Edit{edit(50<<10, 5, "gpt-5")}, 4},
		{"at the end", body(100 << 10), []Edit{edit(100<<10-5, 5, "gpt-5")}, 3},
		{"behind the end", body(100 << 10), []Edit{edit(100<<10, 0, ",")}, 3},
		{"two that touch", body(100 << 10), []Edit{edit(50<<10, 5, "a"), edit(50<<10+5, 5, "b")}, 4},
		{"two insertions in one place", body(20), []Edit{edit(5, 0, "a"), edit(5, 0, "b"), edit(5, 3, "c")}, 1},
		{"parts on both sides of the limit", body(3 * large), []Edit{edit(large-1, 1, ""), edit(2*large, 1, "")}, 3},
		{"a long replacement", body(100 << 10), []Edit{edit(50<<10, 5, strings.Repeat("long ", 20<<10))}, 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pool := newStrict()
			source := received(t, bodyMessage(tt.body), pool)
			patch := &BodyPatch{Source: source, Edits: tt.edits}
			want := apply(tt.body, tt.edits)
			if patch.Len() != len(want) {
				t.Errorf("Len %d, want %d", patch.Len(), len(want))
			}
			data, err := NewCodec(pool).Marshal(&Response{Kind: RequestBody, Common: Common{Body: patch}})
			if err != nil {
				t.Fatal(err)
			}
			if len(data) != tt.parts {
				t.Errorf("%d parts, want %d", len(data), tt.parts)
			}
			source.Free() // as a processor does after Send, while gRPC still writes
			var m extprocv3.ProcessingResponse
			if err := proto.Unmarshal(data.Materialize(), &m); err != nil {
				t.Fatal(err)
			}
			if got := m.GetRequestBody().GetResponse().GetBodyMutation().GetBody(); !bytes.Equal(got, want) {
				t.Errorf("%d bytes, want %d; or other bytes", len(got), len(want))
			}
			data.Free()
			pool.settled(t)
		})
	}
}

// apply edits a body the plain way.
func apply(body []byte, edits []Edit) []byte {
	var out []byte
	at := 0
	for _, e := range edits {
		out = append(out, body[at:e.At]...)
		out = append(out, e.With...)
		at = e.At + e.Len
	}
	return append(out, body[at:]...)
}

func chain(t testing.TB, clusters ...string) *structpb.Struct {
	groups := []any{}
	for i, c := range clusters {
		groups = append(groups, map[string]any{
			"name": fmt.Sprint(i), "clusters": []any{map[string]any{"cluster_name": c, "weight": 1}},
		})
	}
	return object(t, map[string]any{"priority_groups": groups})
}

func TestAppendChain(t *testing.T) {
	for _, clusters := range [][]string{
		nil,
		{""},
		{"openai"},
		{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"},
		{strings.Repeat("long", 10_000), "short"},
	} {
		dst := []byte("before")
		encoded := AppendChain(dst, clusters)
		if !bytes.HasPrefix(encoded, dst) {
			t.Errorf("%d clusters: what was before is gone", len(clusters))
		}
		var got structpb.Struct
		if err := proto.Unmarshal(encoded[len(dst):], &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(chain(t, clusters...), &got, protocmp.Transform()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// FuzzEncode: whatever is in a response, the room for it is enough, and Envoy
// reads what was meant.
func FuzzEncode(f *testing.F) {
	f.Add(100_000, 9, 5, "gpt-5", 70_000, 5_000, ":path", "/v1", 3, "ns", "value", 1.0, uint8(3))
	f.Add(1, 0, 0, "", 0, 1, "", "", 0, "", "", math.Inf(1), uint8(6))
	f.Add(0, 0, 0, strings.Repeat("x", 5000), 0, 0, "\xff", "\xff", 100, "é", "é", 0.0, uint8(1))
	f.Fuzz(func(t *testing.T, size, at1, len1 int, with string, at2, len2 int, key, value string, repeat int, namespace, field string, number float64, kind uint8) {
		if size < 0 || size > 1<<20 || repeat < 0 || repeat > 200 || len1 < 0 || len2 < 0 || len1 > size || len2 > size ||
			at1 < 0 || at1+len1 > at2 || at2+len2 > size || at2 < 0 || at2 > size {
			return
		}
		k := Kind(kind%6) + 1
		pool := newStrict()
		original := body(size)
		source := received(t, bodyMessage(original), pool)
		edits := []Edit{{at1, len1, []byte(with)}, {at2, len2, []byte(value)}}
		r := &Response{Kind: k, Common: Common{ClearRouteCache: true}}
		r.Body = &BodyPatch{Source: source, Edits: edits}
		mutation := &extprocv3.HeaderMutation{}
		ns := map[string]*structpb.Value{}
		var fields []Field
		for i := range repeat {
			name := fmt.Sprint(key, i)
			r.Set = append(r.Set, SetHeader{name, value})
			r.Remove = append(r.Remove, key)
			fields = append(fields, Field{name, String(field)}, Field{name + "n", Number(number)})
			ns[name], ns[name+"n"] = structpb.NewStringValue(field), structpb.NewNumberValue(number)
			mutation.SetHeaders = append(mutation.SetHeaders, overwrite(name, value))
			mutation.RemoveHeaders = append(mutation.RemoveHeaders, key)
		}
		if repeat == 0 {
			mutation = nil
		}
		r.Metadata = []Metadata{{Namespace: namespace, Fields: fields}}
		common := &extprocv3.CommonResponse{
			HeaderMutation: mutation, ClearRouteCache: true,
			BodyMutation: &extprocv3.BodyMutation{Mutation: &extprocv3.BodyMutation_Body{Body: apply(original, edits)}},
		}
		want := &extprocv3.ProcessingResponse{
			DynamicMetadata: &structpb.Struct{Fields: map[string]*structpb.Value{namespace: structpb.NewStructValue(&structpb.Struct{Fields: ns})}},
		}
		switch k {
		case RequestHeaders:
			want.Response = &extprocv3.ProcessingResponse_RequestHeaders{RequestHeaders: &extprocv3.HeadersResponse{Response: common}}
		case ResponseHeaders:
			want.Response = &extprocv3.ProcessingResponse_ResponseHeaders{ResponseHeaders: &extprocv3.HeadersResponse{Response: common}}
		case RequestBody:
			want.Response = &extprocv3.ProcessingResponse_RequestBody{RequestBody: &extprocv3.BodyResponse{Response: common}}
		case ResponseBody:
			want.Response = &extprocv3.ProcessingResponse_ResponseBody{ResponseBody: &extprocv3.BodyResponse{Response: common}}
		case RequestTrailers:
			want.Response = &extprocv3.ProcessingResponse_RequestTrailers{RequestTrailers: &extprocv3.TrailersResponse{HeaderMutation: mutation}}
		case ResponseTrailers:
			want.Response = &extprocv3.ProcessingResponse_ResponseTrailers{ResponseTrailers: &extprocv3.TrailersResponse{HeaderMutation: mutation}}
		}
		data, err := NewCodec(pool).Marshal(r)
		_, wantErr := proto.Marshal(want) // for a string that is not UTF-8
		if (err != nil) != (wantErr != nil) {
			t.Fatalf("error %v, generated types: %v", err, wantErr)
		}
		source.Free()
		if err == nil {
			var got extprocv3.ProcessingResponse
			if err := proto.Unmarshal(data.Materialize(), &got); err != nil {
				t.Fatal(err)
			}
			if !proto.Equal(want, &got) {
				t.Errorf("(-want +got):\n%s", cmp.Diff(want, &got, protocmp.Transform()))
			}
			data.Free()
		}
		pool.settled(t)

		if utf8.ValidString(key + "," + namespace + "," + field) {
			var got structpb.Struct
			if err := proto.Unmarshal(AppendChain(nil, []string{key, namespace, field}), &got); err != nil {
				t.Fatal(err)
			}
			if !proto.Equal(chain(t, key, namespace, field), &got) {
				t.Errorf("chain of %q %q %q: %v", key, namespace, field, &got)
			}
		}
	})
}

package main

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
)

// runProvider answers every request with the same few bytes, or with events.
// It writes its address to a file.
func runProvider(file string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	answer := []byte(`{"id":"x","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"` + string(bytes.Repeat([]byte("y"), 800)) + `"},"finish_reason":"stop"}]}`)
	event := []byte(`data: {"id":"x","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"token"}}]}` + "\n\n")
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		head := body[:min(len(body), 200)]
		_, rest, stream := bytes.Cut(head, []byte(`"events":`))
		if !stream {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(answer)
			return
		}
		number, _, _ := bytes.Cut(rest, []byte(","))
		n, _ := strconv.Atoi(string(number))
		w.Header().Set("Content-Type", "text/event-stream")
		for range n {
			_, _ = w.Write(event)
			_ = http.NewResponseController(w).Flush()
		}
	})
	if err := os.WriteFile(file, []byte(l.Addr().String()), 0o600); err != nil {
		return err
	}
	return http.Serve(l, handler)
}

// runProcessor is the smallest external processor: go-grpc's defaults but for
// the message size, the generated types, and one splice.
func runProcessor(socket string) error {
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	server := grpc.NewServer(grpc.MaxRecvMsgSize(64 << 20))
	extprocv3.RegisterExternalProcessorServer(server, smallest{})
	return server.Serve(l)
}

type smallest struct{}

func (smallest) Process(stream extprocv3.ExternalProcessor_ProcessServer) error {
	for {
		in, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		out := &extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_RequestHeaders{RequestHeaders: &extprocv3.HeadersResponse{}}}
		if body := in.GetRequestBody(); body != nil {
			spliced := splice(body.GetBody())
			out = &extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_RequestBody{RequestBody: &extprocv3.BodyResponse{Response: &extprocv3.CommonResponse{
				HeaderMutation: &extprocv3.HeaderMutation{SetHeaders: []*corev3.HeaderValueOption{{
					Header:       &corev3.HeaderValue{Key: "content-length", RawValue: []byte(strconv.Itoa(len(spliced)))},
					AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
				}}},
				BodyMutation: &extprocv3.BodyMutation{Mutation: &extprocv3.BodyMutation_Body{Body: spliced}},
			}}}}
		}
		if err := stream.Send(out); err != nil {
			return err
		}
	}
}

var (
	modelNow  = []byte(`"model":"bench:m"`)
	modelThen = []byte(`"model":"m"`)
)

func splice(body []byte) []byte {
	at := bytes.Index(body, modelNow)
	if at < 0 {
		return body
	}
	out := make([]byte, 0, len(body))
	out = append(out, body[:at]...)
	out = append(out, modelThen...)
	return append(out, body[at+len(modelNow):]...)
}

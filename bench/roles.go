package main

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
)

// usage is a provider's report of tokens, as OpenAI's.
const usage = `"usage":{"prompt_tokens":250,"completion_tokens":200,"total_tokens":450,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}`

// runProvider responds to every request with the same few bytes, or with events. It
// writes its address to a file.
func runProvider(file string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	response := []byte(`{"id":"x","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"` + string(bytes.Repeat([]byte("y"), 800)) + `"},"finish_reason":"stop"}],` + usage + `}`)
	event := []byte(`data: {"id":"x","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"token"}}]}` + "\n\n")
	last := []byte(`data: {"id":"x","object":"chat.completion.chunk","choices":[],` + usage + "}\n\ndata: [DONE]\n\n")
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		events := number(body, `"events":`)
		if events == 0 {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(response)
			return
		}
		pause := time.Duration(number(body, `"pause":`)) * time.Microsecond
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range events {
			if i == events-1 {
				_, _ = w.Write(last)
				return
			}
			_, _ = w.Write(event)
			_ = http.NewResponseController(w).Flush()
			if pause > 0 {
				time.Sleep(pause)
			}
		}
	})
	if err := os.WriteFile(file, []byte(l.Addr().String()), 0o600); err != nil {
		return err
	}
	return http.Serve(l, handler)
}

// number reads a number that load.request wrote near the start of a body; 0
// if it did not.
func number(body []byte, key string) int {
	_, rest, _ := bytes.Cut(body[:min(len(body), 200)], []byte(key))
	digits, _, _ := bytes.Cut(rest, []byte(","))
	n, _ := strconv.Atoi(string(digits))
	return n
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

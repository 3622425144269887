package wire

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

// The benchmarks run the server in a process of its own, so that what they
// report as server-* is the server's CPU time and memory without the client's.
// ns/op is the wall clock of both.
const benchServerEnv = "WIRE_BENCH_SERVER" // variant, space, socket

func TestMain(m *testing.M) {
	if v := os.Getenv(benchServerEnv); v != "" {
		variant, socket, _ := strings.Cut(v, " ")
		if err := benchServe(variant, socket); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

var (
	benchModel = Edit{At: 10, Len: len("openai/gpt-5-mini"), With: []byte("gpt-5-mini-2026-01-01")}
	benchChain = []string{"openai-0123456789abcdef", "anthropic-0123456789abcdef"}
)

// benchBody is a chat request of n bytes.
func benchBody(n int) []byte {
	b := []byte(`{"model":"openai/gpt-5-mini","messages":[{"role":"user","content":"`)
	const end = `"}]}`
	return append(append(b, bytes.Repeat([]byte("word "), n/5+1)[:n-len(b)-len(end)]...), end...)
}

// splice is what Weir does on the wire for every request, with this package.
type splice struct{}

func (splice) Process(s *Stream) error {
	var r Request
	defer r.Free()
	for {
		if err := s.Recv(&r); err != nil {
			if err == io.EOF {
				return nil
			}
			return err
		}
		reply := &Response{Kind: r.Kind}
		if r.Kind == RequestBody {
			reply = bodyReply(&r)
		}
		if err := s.Send(reply); err != nil {
			return err
		}
	}
}

// spliceGenerated is the same with the generated types.
type spliceGenerated struct {
	extprocv3.UnimplementedExternalProcessorServer
}

func (spliceGenerated) Process(s extprocv3.ExternalProcessor_ProcessServer) error {
	for {
		r, err := s.Recv()
		if err != nil {
			if err == io.EOF {
				return nil
			}
			return err
		}
		var reply *extprocv3.ProcessingResponse
		switch q := r.GetRequest().(type) {
		case *extprocv3.ProcessingRequest_RequestHeaders:
			reply = &extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_RequestHeaders{RequestHeaders: &extprocv3.HeadersResponse{}}}
		case *extprocv3.ProcessingRequest_RequestBody:
			old := q.RequestBody.GetBody()
			body := slices.Concat(old[:benchModel.At], benchModel.With, old[benchModel.At+benchModel.Len:])
			groups := make([]*structpb.Value, 0, len(benchChain))
			for i, c := range benchChain {
				groups = append(groups, structpb.NewStructValue(&structpb.Struct{Fields: map[string]*structpb.Value{
					"name": structpb.NewStringValue(strconv.Itoa(i)),
					"clusters": structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{
						structpb.NewStructValue(&structpb.Struct{Fields: map[string]*structpb.Value{
							"cluster_name": structpb.NewStringValue(c), "weight": structpb.NewNumberValue(1),
						}}),
					}}),
				}}))
			}
			header := func(key, value string) *corev3.HeaderValueOption {
				return &corev3.HeaderValueOption{
					Header:       &corev3.HeaderValue{Key: key, RawValue: []byte(value)},
					AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
				}
			}
			reply = &extprocv3.ProcessingResponse{
				Response: &extprocv3.ProcessingResponse_RequestBody{RequestBody: &extprocv3.BodyResponse{Response: &extprocv3.CommonResponse{
					HeaderMutation: &extprocv3.HeaderMutation{
						SetHeaders: []*corev3.HeaderValueOption{
							header(":path", "/v1/chat/completions"), header(":authority", "api.openai.com"),
							header("content-length", strconv.Itoa(len(body))), header("x-envoy-max-retries", "1"),
						},
						RemoveHeaders: []string{"authorization"},
					},
					BodyMutation:    &extprocv3.BodyMutation{Mutation: &extprocv3.BodyMutation_Body{Body: body}},
					ClearRouteCache: true,
				}}},
				DynamicMetadata: &structpb.Struct{Fields: map[string]*structpb.Value{
					"weir.chain": structpb.NewStructValue(&structpb.Struct{Fields: map[string]*structpb.Value{
						"priority_groups": structpb.NewListValue(&structpb.ListValue{Values: groups}),
					}}),
					"weir.plan": structpb.NewStructValue(&structpb.Struct{Fields: map[string]*structpb.Value{
						"plan": structpb.NewStringValue("the plan"), "attempts": structpb.NewNumberValue(2),
					}}),
				}},
			}
		}
		if err := s.Send(reply); err != nil {
			return err
		}
	}
}

type benchStats struct {
	CPU, Mallocs, Bytes, GCs uint64
	RSS                      uint64 // highest since the last call, in KiB
}

func benchServe(variant, socket string) error {
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	opts, wire := benchVariants()[variant], true
	if opts == nil {
		return fmt.Errorf("no variant %q", variant)
	}
	if strings.HasPrefix(variant, "generated") {
		wire = false
	}
	server := grpc.NewServer(opts...)
	if wire {
		Register(server, splice{})
	} else {
		extprocv3.RegisterExternalProcessorServer(server, spliceGenerated{})
	}
	go server.Serve(l)
	defer server.Stop()
	fmt.Println("ready")
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		var usage syscall.Rusage
		var m runtime.MemStats
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
			return err
		}
		runtime.ReadMemStats(&m)
		s := benchStats{CPU: uint64(usage.Utime.Nano() + usage.Stime.Nano()), Mallocs: m.Mallocs, Bytes: m.TotalAlloc, GCs: uint64(m.NumGC)}
		proc, err := os.ReadFile("/proc/self/status")
		if err != nil {
			return err
		}
		if _, rest, ok := strings.Cut(string(proc), "VmHWM:"); ok {
			fmt.Sscan(rest, &s.RSS)
		}
		os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) // start over with the highest
		if err := json.NewEncoder(os.Stdout).Encode(s); err != nil {
			return err
		}
	}
	return in.Err()
}

// lengthCodec sends *[]byte and receives only a length into *int, so that the
// client costs little.
type lengthCodec struct{ rawCodec }

func (lengthCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*int) = data.Len()
	return nil
}

func benchmark(b *testing.B, variant string, size, streams int) {
	socket := filepath.Join(b.TempDir(), "s")
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), benchServerEnv+"="+variant+" "+socket)
	child.Stderr = os.Stderr
	in, err := child.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := child.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		in.Close()
		if err := child.Wait(); err != nil {
			b.Error(err)
		}
	}()
	lines := bufio.NewReader(out)
	if _, err := lines.ReadString('\n'); err != nil {
		b.Fatal(err)
	}
	stats := func() (s benchStats) {
		fmt.Fprintln(in)
		line, err := lines.ReadBytes('\n')
		if err != nil {
			b.Fatal(err)
		}
		if err := json.Unmarshal(line, &s); err != nil {
			b.Fatal(err)
		}
		return s
	}

	// Envoy has a connection for each of its workers, and large windows.
	conns := make([]*grpc.ClientConn, 2)
	for i := range conns {
		conns[i], err = grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithStaticStreamWindowSize(256<<20), grpc.WithStaticConnWindowSize(256<<20),
			grpc.WithDefaultCallOptions(grpc.ForceCodecV2(lengthCodec{}), grpc.MaxCallRecvMsgSize(64<<20)))
		if err != nil {
			b.Fatal(err)
		}
		defer conns[i].Close()
	}
	headers, err := proto.Marshal(headersMessage())
	if err != nil {
		b.Fatal(err)
	}
	body, err := proto.Marshal(bodyMessage(benchBody(size)))
	if err != nil {
		b.Fatal(err)
	}
	desc := &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}
	exchange := func(conn *grpc.ClientConn) error {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		stream, err := conn.NewStream(ctx, desc, extprocv3.ExternalProcessor_Process_FullMethodName)
		if err != nil {
			return err
		}
		if err := stream.SendMsg(&headers); err != nil {
			return err
		}
		if err := stream.SendMsg(&body); err != nil {
			return err
		}
		if err := stream.CloseSend(); err != nil {
			return err
		}
		var first, second int
		if err := stream.RecvMsg(&first); err != nil {
			return err
		}
		if err := stream.RecvMsg(&second); err != nil {
			return err
		}
		if first > 100 || second < size {
			return fmt.Errorf("replies of %d and %d bytes", first, second)
		}
		if err := stream.RecvMsg(&first); err != io.EOF {
			return fmt.Errorf("at the end: %v", err)
		}
		return nil
	}
	for range 4 * streams {
		if err := exchange(conns[0]); err != nil {
			b.Fatal(err)
		}
	}

	var next atomic.Int32
	b.SetParallelism(max(1, streams/runtime.GOMAXPROCS(0)))
	before := stats()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		conn := conns[int(next.Add(1))%len(conns)]
		for pb.Next() {
			if err := exchange(conn); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.StopTimer()
	after := stats()
	n := float64(b.N)
	b.ReportMetric(float64(after.CPU-before.CPU)/n/1000, "server-cpu-µs/op")
	b.ReportMetric(float64(after.Bytes-before.Bytes)/n, "server-B/op")
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/n, "server-allocs/op")
	b.ReportMetric(float64(after.GCs-before.GCs)/n*1000, "server-gc/1000op")
	b.ReportMetric(float64(after.RSS)/1024, "server-max-MiB")
}

// benchVariants are servers with the same work to do.
func benchVariants() map[string][]grpc.ServerOption {
	const maxMessage = 64 << 20
	codec := func(opts ...grpc.ServerOption) []grpc.ServerOption {
		return append(opts, grpc.ForceServerCodecV2(NewCodec(NewPool())), grpc.MaxRecvMsgSize(maxMessage))
	}
	wire := func(opts ...grpc.ServerOption) []grpc.ServerOption { return append(ServerOptions(maxMessage), opts...) }
	return map[string][]grpc.ServerOption{
		"generated":      {grpc.MaxRecvMsgSize(maxMessage)},
		"codec":          codec(),
		"codec+frames":   codec(experimental.BufferPool(NewPool())),
		"codec+workers":  codec(grpc.NumStreamWorkers(streamWorkers)),
		"codec+windows":  codec(grpc.StaticConnWindowSize(connWindow), grpc.StaticStreamWindowSize(streamWindow)),
		"wire":           wire(),
		"wire+read0":     wire(grpc.ReadBufferSize(0)),
		"wire+read128":   wire(grpc.ReadBufferSize(128 << 10)),
		"wire+write0":    wire(grpc.WriteBufferSize(0)),
		"wire+write128":  wire(grpc.WriteBufferSize(128 << 10)),
		"wire+window64":  wire(grpc.StaticStreamWindowSize(64 << 10)),
		"wire+window1m":  wire(grpc.StaticStreamWindowSize(1 << 20)),
		"wire+workers16": wire(grpc.NumStreamWorkers(16)),
	}
}

var benchSizes = []int{1 << 10, 100 << 10, 1 << 20}

// BenchmarkSplice compares this package to the generated types.
func BenchmarkSplice(b *testing.B) {
	for _, size := range benchSizes {
		for _, variant := range []string{"generated", "wire"} {
			b.Run(fmt.Sprintf("%dKiB/%s", size>>10, variant), func(b *testing.B) { benchmark(b, variant, size, 16) })
		}
	}
}

// BenchmarkOptions is what the choice in ServerOptions rests on.
func BenchmarkOptions(b *testing.B) {
	for _, size := range benchSizes {
		for _, variant := range slices.Sorted(maps.Keys(benchVariants())) {
			b.Run(fmt.Sprintf("%dKiB/%s", size>>10, variant), func(b *testing.B) { benchmark(b, variant, size, 16) })
		}
	}
}

// BenchmarkDecodeHeaders and BenchmarkEncodeBody are the codec without gRPC.
func BenchmarkDecodeHeaders(b *testing.B) {
	pool := NewPool()
	data := marshal(b, headersMessage(), 1<<20, pool)
	codec := NewCodec(pool)
	var r Request
	b.ReportAllocs()
	for b.Loop() {
		if err := codec.Unmarshal(data, &r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodeBody(b *testing.B) {
	for _, size := range benchSizes {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			pool := NewPool()
			codec := NewCodec(pool)
			reply := bodyReply(received(b, bodyMessage(benchBody(size)), pool))
			b.ReportAllocs()
			for b.Loop() {
				data, err := codec.Marshal(reply)
				if err != nil {
					b.Fatal(err)
				}
				data.Free()
			}
		})
	}
}

// bodyReply is the reply to a typical request body.
func bodyReply(r *Request) *Response {
	patch := &BodyPatch{Source: r, Edits: []Edit{benchModel}}
	return &Response{
		Kind: RequestBody,
		Common: Common{
			Set: []SetHeader{
				{":path", "/v1/chat/completions"}, {":authority", "api.openai.com"},
				{"content-length", strconv.Itoa(patch.Len())}, {"x-envoy-max-retries", "1"},
			},
			Remove: []string{"authorization"}, Body: patch, ClearRouteCache: true,
		},
		Metadata: []Metadata{
			{Namespace: "weir.chain", Struct: AppendChain(nil, benchChain)},
			{Namespace: "weir.plan", Fields: []Field{{"plan", String("the plan")}, {"attempts", Number(2)}}},
		},
	}
}

package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
)

const testMaxMessage = 32 << 20

// serve runs p behind a Unix socket until stop is called. The codec's buffers
// come from pool, those of received frames from frames.
func serve(t testing.TB, p Processor, pool, frames mem.BufferPool, dial ...grpc.DialOption) (conn *grpc.ClientConn, stop func()) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(serverOptions(testMaxMessage, pool, frames)...)
	Register(server, p)
	healthpb.RegisterHealthServer(server, health.NewServer())
	var served errgroup.Group
	served.Go(func() error { return server.Serve(l) })
	dial = append(dial, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(testMaxMessage)))
	conn, err = grpc.NewClient("unix:"+socket, dial...)
	if err != nil {
		t.Fatal(err)
	}
	return conn, func() {
		t.Helper()
		server.GracefulStop() // waits for the streams to be written
		if err := served.Wait(); err != nil {
			t.Error(err)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
}

// splicer replaces the body's bytes at the offset in the header x-at by
// "[spliced]". It frees what it received as early as it may.
type splicer struct{}

var spliced = []byte("[spliced]")

func (splicer) Process(s *Stream) error {
	var at string
	var r Request
	defer r.Free()
	for {
		if err := s.Recv(&r); err != nil {
			if err == io.EOF {
				return nil
			}
			return err
		}
		reply := Response{Kind: r.Kind}
		switch r.Kind {
		case RequestHeaders:
			for _, h := range r.Headers {
				if h.Key == "x-at" {
					at = h.Value
				}
			}
		case RequestBody:
			n, err := strconv.Atoi(at)
			if err != nil {
				return err
			}
			patch := &BodyPatch{Source: &r, Edits: []Edit{{At: n, Len: min(5, len(r.Body)-n), With: spliced}}}
			reply.Body = patch
			reply.Set = []SetHeader{{"content-length", strconv.Itoa(patch.Len())}}
			reply.Metadata = []Metadata{{Namespace: "weir.chain", Struct: AppendChain(nil, []string{"a", "b"})}}
		}
		err := s.Send(&reply)
		r.Free()
		if err != nil {
			return err
		}
	}
}

// exchange sends headers and a body and checks what comes back.
func exchange(ctx context.Context, client extprocv3.ExternalProcessorClient, body []byte, at int) error {
	stream, err := client.Process(ctx)
	if err != nil {
		return err
	}
	headers := headersMessage()
	h := headers.GetRequestHeaders().GetHeaders()
	h.Headers = append(h.Headers, &corev3.HeaderValue{Key: "x-at", RawValue: []byte(strconv.Itoa(at))})
	if err := stream.Send(headers); err != nil {
		return err
	}
	if err := stream.Send(bodyMessage(body)); err != nil {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	if m, err := stream.Recv(); err != nil {
		return err
	} else if m.GetRequestHeaders() == nil {
		return fmt.Errorf("got %v", m)
	}
	m, err := stream.Recv()
	if err != nil {
		return err
	}
	want := apply(body, []Edit{{At: at, Len: min(5, len(body)-at), With: spliced}})
	if got := m.GetRequestBody().GetResponse().GetBodyMutation().GetBody(); !bytes.Equal(got, want) {
		return fmt.Errorf("body of %d bytes, spliced at %d: got %d bytes, want %d, first difference at %d",
			len(body), at, len(got), len(want), difference(got, want))
	}
	if n := len(m.GetDynamicMetadata().GetFields()["weir.chain"].GetStructValue().GetFields()["priority_groups"].GetListValue().GetValues()); n != 2 {
		return fmt.Errorf("%d priority groups", n)
	}
	if _, err := stream.Recv(); err != io.EOF {
		return fmt.Errorf("at the end: %v", err)
	}
	return nil
}

func difference(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// The frames, the contiguous copies and the messages on their way out all come
// from a pool that destroys what is returned to it: a byte read too late shows
// in the body, and a buffer that nobody returns is missing at the end.
func TestBodiesOfAllSizes(t *testing.T) {
	sizes := []int{0, 1, 5, 100, 1 << 10, 1<<10 + 1, copyBelow, 16<<10 - 1, 16 << 10, 17 << 10, 64 << 10, 100 << 10, 1 << 20, 2<<20 + 1, 5 << 20, 30 << 20}
	pool := newStrict()
	conn, stop := serve(t, splicer{}, pool, pool)
	client := extprocv3.NewExternalProcessorClient(conn)
	for _, size := range sizes {
		for _, at := range []int{0, size / 2, size} {
			if err := exchange(t.Context(), client, body(size), at); err != nil {
				t.Fatal(err)
			}
		}
	}
	stop()
	pool.settled(t)
}

func TestConcurrentStreams(t *testing.T) {
	pool := newStrict()
	conn, stop := serve(t, splicer{}, pool, pool)
	client := extprocv3.NewExternalProcessorClient(conn)
	var g errgroup.Group
	for worker := range 12 {
		g.Go(func() error {
			for i := range 20 {
				size := (worker*7919 + i*104729) % (300 << 10)
				if i == 10 {
					size = 3 << 20
				}
				if err := exchange(t.Context(), client, body(size), size/(i+1)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	stop()
	pool.settled(t)
}

// With the pool of production the buffers are used again, by whoever comes next.
func TestConcurrentStreamsShareBuffers(t *testing.T) {
	conn, stop := serve(t, splicer{}, NewPool(), NewPool())
	defer stop()
	client := extprocv3.NewExternalProcessorClient(conn)
	var g errgroup.Group
	for worker := range 12 {
		g.Go(func() error {
			body := bytes.Repeat([]byte{byte('a' + worker)}, 150<<10)
			for i := range 40 {
				size := i * 3 << 10
				if err := exchange(t.Context(), client, body[:size], size/2); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}

// A client that disconnects while its response is written: what was not
// written is dropped, and other streams are not affected.
func TestClientGoesAway(t *testing.T) {
	pool, frames := newStrict(), newStrict()
	conn, stop := serve(t, splicer{}, pool, frames, grpc.WithStaticStreamWindowSize(64<<10))
	client := extprocv3.NewExternalProcessorClient(conn)
	var g errgroup.Group
	for range 8 {
		g.Go(func() error {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			stream, err := client.Process(ctx)
			if err != nil {
				return err
			}
			headers := headersMessage()
			h := headers.GetRequestHeaders().GetHeaders()
			h.Headers = append(h.Headers, &corev3.HeaderValue{Key: "x-at", RawValue: []byte("7")})
			if err := errors.Join(stream.Send(headers), stream.Send(bodyMessage(body(2<<20)))); err != nil {
				return err
			}
			if _, err := stream.Recv(); err != nil {
				return err
			}
			return nil // with 64 KiB of the second response received and the rest waiting
		})
		g.Go(func() error { return exchange(t.Context(), client, body(500<<10), 1000) })
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	stop()
	pool.settled(t)
	// gRPC leaves frames of a cancelled stream that nobody read to the garbage
	// collector; none may come back twice.
	if _, errs := frames.missing(); errs != nil {
		t.Error(errs)
	}
}

func TestMalformedMessageEndsTheStream(t *testing.T) {
	pool := newStrict()
	conn, stop := serve(t, splicer{}, pool, pool)
	stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true},
		extprocv3.ExternalProcessor_Process_FullMethodName, grpc.ForceCodecV2(rawCodec{}))
	if err != nil {
		t.Fatal(err)
	}
	bad := append([]byte{0x22, 0xff, 0xff, 0x7f}, body(3000)...)
	if err := stream.SendMsg(&bad); err != nil {
		t.Fatal(err)
	}
	var answer []byte
	if err := stream.RecvMsg(&answer); status.Code(err) != codes.Internal {
		t.Errorf("error %v, want Internal", err)
	}
	stop()
	pool.settled(t)
}

func TestMessageTooLarge(t *testing.T) {
	conn, stop := serve(t, splicer{}, NewPool(), NewPool())
	defer stop()
	err := exchange(t.Context(), extprocv3.NewExternalProcessorClient(conn), make([]byte, testMaxMessage), 0)
	if status.Code(err) != codes.ResourceExhausted && err != io.EOF {
		t.Errorf("error %v, want ResourceExhausted", err)
	}
}

func TestOtherServicesOnTheSameServer(t *testing.T) {
	conn, stop := serve(t, splicer{}, NewPool(), NewPool())
	defer stop()
	reply, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil || reply.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("%v, %v", reply, err)
	}
}

// rawCodec sends and receives *[]byte.
type rawCodec struct{}

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

func (rawCodec) Name() string { return "proto" }

package wire

import (
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Large messages wait for others to be freed; small ones never do.
func TestLargeMessagesAreBounded(t *testing.T) {
	codec := NewCodec(NewPool())
	message := func(size int) mem.BufferSlice {
		b, err := proto.Marshal(bodyMessage(make([]byte, size)))
		if err != nil {
			t.Fatal(err)
		}
		return mem.BufferSlice{mem.SliceBuffer(b)}
	}
	var first, second, third, small Request
	for _, r := range []*Request{&first, &second} {
		if err := codec.Unmarshal(message(boundBytes/2-100), r); err != nil {
			t.Fatal(err)
		}
	}
	if err := codec.Unmarshal(message(boundFrom/2), &small); err != nil {
		t.Error(err)
	}
	done := make(chan error)
	go func() { done <- codec.Unmarshal(message(2*boundBytes), &third) }() // which needs all room
	first.Free()
	first.Free()
	select {
	case err := <-done:
		t.Fatalf("did not wait: %v", err)
	default:
	}
	second.Free()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	codec.bound.wait = time.Millisecond
	if err := codec.Unmarshal(message(boundFrom), &first); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("error %v, want %s", err, codes.ResourceExhausted)
	}
	if first.held != 0 || first.buf != nil {
		t.Error("a refused message is held")
	}
	third.Free()
	// What cannot be decoded holds nothing, nor does what is received into again.
	if err := codec.Unmarshal(mem.BufferSlice{mem.SliceBuffer(make([]byte, boundBytes))}, &first); err == nil {
		t.Error("decoded")
	}
	for range 3 {
		if err := codec.Unmarshal(message(boundBytes-100), &first); err != nil {
			t.Fatal(err)
		}
	}
	first.Free()
	if !codec.bound.room.TryAcquire(boundBytes) {
		t.Error("room is lost")
	}
}

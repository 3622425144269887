package wire

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"testing"
	"unsafe"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

// strict is a buffer pool that trusts nobody: it fills a buffer that comes back
// with 0xDD and never hands it out again, and it keeps count.
type strict struct {
	mu   sync.Mutex
	out  map[*byte]int // buffers that did not come back, with their lengths
	gets int
	errs []string
}

var spent = [4096]byte(bytes.Repeat([]byte{0xDD}, 4096))

func newStrict() *strict { return &strict{out: map[*byte]int{}} }

func (p *strict) Get(n int) *[]byte {
	b := bytes.Repeat([]byte{0xCC}, n) // for who sends what was never filled
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gets++
	p.out[unsafe.SliceData(b)] = n
	return &b
}

func (p *strict) Put(b *[]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	whole := (*b)[:cap(*b)]
	if _, ok := p.out[unsafe.SliceData(whole)]; !ok {
		p.errs = append(p.errs, fmt.Sprintf("a buffer of %d bytes came back that is not out", len(whole)))
	}
	delete(p.out, unsafe.SliceData(whole))
	for rest := whole; len(rest) > 0; {
		rest = rest[copy(rest, spent[:]):]
	}
}

// missing returns how many buffers are out, and what else went wrong.
func (p *strict) missing() (int, []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.out), slices.Clone(p.errs)
}

// settled fails the test unless every buffer came back exactly once.
func (p *strict) settled(t testing.TB) {
	t.Helper()
	n, errs := p.missing()
	if n != 0 {
		t.Errorf("%d of %d buffers were not returned to the pool", n, p.gets)
	}
	for _, err := range errs {
		t.Error(err)
	}
}

// marshal is m as gRPC would hand it to the codec, in frames of this size.
func marshal(t testing.TB, m proto.Message, frame int, pool mem.BufferPool) mem.BufferSlice {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return inFrames(b, frame, pool)
}

func inFrames(b []byte, frame int, pool mem.BufferPool) mem.BufferSlice {
	var s mem.BufferSlice
	for piece := range slices.Chunk(b, frame) {
		s = append(s, mem.Copy(piece, pool))
	}
	return s
}

// received is a Request as it came in one frame.
func received(t testing.TB, m proto.Message, pool mem.BufferPool) *Request {
	t.Helper()
	data := marshal(t, m, 1<<30, pool)
	defer data.Free()
	r := new(Request)
	if err := NewCodec(pool).Unmarshal(data, r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestPool(t *testing.T) {
	tests := []struct{ length, capacity int }{
		{0, 2 << 10},
		{1, 2 << 10},
		{2 << 10, 2 << 10},
		{2<<10 + 1, 4 << 10},
		{16 << 10, 16 << 10},
		{16<<10 + 1, 32 << 10},
		{32<<10 + 1, 72 << 10},
		{64 << 10, 72 << 10},
		{72 << 10, 72 << 10},
		{72<<10 + 1, 136 << 10},
		{1 << 20, 1<<20 + 8<<10},
		{1<<20 + 8<<10, 1<<20 + 8<<10},
		{1<<20 + 8<<10 + 1, 2<<20 + 8<<10},
		{2<<20 + 8<<10, 2<<20 + 8<<10},
		{2<<20 + 8<<10 + 1, 0}, // not pooled
		{30 << 20, 0},
	}
	p := NewPool()
	for _, tt := range tests {
		b := p.Get(tt.length)
		if len(*b) != tt.length {
			t.Errorf("Get(%d): %d bytes", tt.length, len(*b))
		}
		if tt.capacity != 0 && cap(*b) != tt.capacity {
			t.Errorf("Get(%d): capacity %d, want %d", tt.length, cap(*b), tt.capacity)
		}
		p.Put(b)
		if again := p.Get(tt.length); len(*again) != tt.length {
			t.Errorf("second Get(%d): %d bytes", tt.length, len(*again))
		}
	}

	// A buffer of another origin must not get in.
	odd := make([]byte, 3000)
	p.Put(&odd)
	if b := p.Get(4000); cap(*b) < 4000 {
		t.Errorf("Get(4000): capacity %d", cap(*b))
	}
}

func TestCodecLeavesOtherMessagesAlone(t *testing.T) {
	c := NewCodec(NewPool())
	if c.Name() != "proto" {
		t.Errorf("name %q", c.Name())
	}
	if _, err := c.Marshal("no message"); err == nil {
		t.Error("a string was encoded")
	}
	if _, err := c.Marshal(new(Request)); err == nil {
		t.Error("a Request was encoded")
	}
	if err := c.Unmarshal(nil, new(Response)); err == nil {
		t.Error("a Response was decoded")
	}
}

// body is a body of n bytes that repeats itself at no power of two.
func body(n int) []byte {
	return bytes.Repeat([]byte("abcdefghijklmnopqrstuvwxyz0123456789 "), n/37+1)[:n]
}

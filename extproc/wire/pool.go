package wire

import (
	"math/bits"
	"sync"

	"google.golang.org/grpc/mem"
)

const (
	smallestExp = 11
	smallest    = 1 << smallestExp

	// largest is the size of the largest buffers in the pool, 2 MiB. Larger
	// bodies are rare: keeping their memory costs more than allocating it again.
	largestExp = 21

	// slack is room for the message around a body whose size is a power of two:
	// without it, a body of 1 MiB would take a buffer of 2 MiB. It is one page of
	// Go's allocator, which rounds large buffers up to pages.
	slack     = 8 << 10
	slackFrom = 16 // exponent: smaller tiers have no slack
)

// Pool is a mem.BufferPool for bodies and the frames in which they arrive. It
// differs from gRPC's default pool in two ways. The sizes of its buffers are a factor
// of two apart; the default has none between 32 KiB and 1 MiB, and none above. And it
// does not clear a buffer: the caller of Get must fill it before reading it. The garbage
// collector empties the pool.
type Pool struct {
	tiers [largestExp - smallestExp + 1]sync.Pool
}

var _ mem.BufferPool = (*Pool)(nil)

// NewPool returns an empty pool.
func NewPool() *Pool { return &Pool{} }

// Get returns a buffer of this length with undefined content.
func (p *Pool) Get(length int) *[]byte {
	tier := tierFor(length)
	if tier >= len(p.tiers) {
		b := make([]byte, length)
		return &b
	}
	if b, ok := p.tiers[tier].Get().(*[]byte); ok {
		*b = (*b)[:length]
		return b
	}
	b := make([]byte, length, tierSize(tier))
	return &b
}

// Put returns a buffer to the pool. It drops a buffer that does not have the size
// of a tier.
func (p *Pool) Put(b *[]byte) {
	size := cap(*b)
	if tier := tierFor(size); tier < len(p.tiers) && size == tierSize(tier) {
		p.tiers[tier].Put(b)
	}
}

// tierFor returns the smallest tier that holds length bytes; it may be beyond
// the last.
func tierFor(length int) int {
	if length <= smallest {
		return 0
	}
	if length > 1<<slackFrom {
		length -= slack
	}
	return bits.Len(uint(length-1)) - smallestExp
}

func tierSize(tier int) int {
	exp := tier + smallestExp
	if exp < slackFrom {
		return 1 << exp
	}
	return 1<<exp + slack
}

// getBuffer returns a buffer of this length that mem.NewBuffer will return to any
// pool: gRPC does not return buffers with a capacity of 1 KiB or less.
func getBuffer(pool mem.BufferPool, length int) *[]byte {
	b := pool.Get(max(length, smallest))
	*b = (*b)[:length]
	return b
}

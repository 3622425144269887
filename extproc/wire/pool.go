package wire

import (
	"math/bits"
	"sync"

	"google.golang.org/grpc/mem"
)

const (
	smallestExp = 11
	smallest    = 1 << smallestExp

	// largest keeps bodies up to 2 MiB in the pool. A larger one is rare, and
	// holding on to it would cost more memory than allocating it again costs
	// time.
	largestExp = 21

	// slack is the room for the message around a body whose own size is a power
	// of two: without it a body of 1 MiB would take a buffer of 2 MiB. It is the
	// Go allocator's page, to which large buffers are rounded anyway.
	slack     = 8 << 10
	slackFrom = 16 // exponent: smaller tiers have no slack
)

// Pool is a mem.BufferPool for bodies and the frames they come in. What it
// differs in from gRPC's default pool: its tiers are a factor of two apart (the
// default has nothing between 32 KiB and 1 MiB, and nothing above), and it does
// not clear a buffer before handing it out, so whoever gets one must fill it
// before reading it. The garbage collector empties it.
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

// Put takes a buffer back. One that is not of a tier's size is left to the
// garbage collector.
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

// getBuffer returns a buffer of this length that mem.NewBuffer will return to
// the pool, whichever pool it is: gRPC leaves those to the garbage collector
// whose capacity is 1 KiB or less.
func getBuffer(pool mem.BufferPool, length int) *[]byte {
	b := pool.Get(max(length, smallest))
	*b = (*b)[:length]
	return b
}

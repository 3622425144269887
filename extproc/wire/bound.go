package wire

import (
	"context"
	"time"

	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// boundFrom is the size from which a message counts against the bound.
	// Smaller ones are copied in microseconds and come from the Pool.
	boundFrom = 1 << 20
	// boundBytes is how many bytes of such messages are processed at a time. A
	// larger message takes all of them.
	boundBytes = 64 << 20
	// boundWait is how long a message waits for others, which take
	// milliseconds. It is less than Envoy waits for the response.
	boundWait = 5 * time.Second
)

// bound limits the memory of large messages from Recv until Free, while each is
// held in one buffer. The admission of requests limits the frames in which
// messages arrive.
type bound struct {
	room *semaphore.Weighted
	wait time.Duration
}

func newBound() *bound { return &bound{semaphore.NewWeighted(boundBytes), boundWait} }

// enter waits until a message of this length may be processed. It returns the
// number of bytes to pass to leave.
func (b *bound) enter(length int) (held int64, err error) {
	if length < boundFrom {
		return 0, nil
	}
	held = int64(min(length, boundBytes))
	if b.room.TryAcquire(held) {
		return held, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), b.wait)
	defer cancel()
	if b.room.Acquire(ctx, held) != nil {
		return 0, status.Error(codes.ResourceExhausted, "too many large bodies at once")
	}
	return held, nil
}

func (b *bound) leave(held int64) {
	if held > 0 {
		b.room.Release(held)
	}
}

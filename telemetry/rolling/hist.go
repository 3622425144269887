package rolling

import (
	"math"
	"time"
)

// Buckets of latencies grow by a tenth, from 0.1 ms to more than an hour. A quantile
// is the value with the same relative distance from both ends of its bucket, so its
// error is at most (growth-1)/(growth+1) = 4.8 %. Below 0.1 ms the error is up to 0.1
// ms; beyond the last bucket the value is too low.
const (
	growth  = 1.1
	lowest  = 100 * time.Microsecond
	buckets = 185
)

// logGrowth is math.Log(growth), which cannot be a constant expression.
const logGrowth = 0.09531017980432487

// bucketOf returns the bucket i with lowest·growth^(i-1) < d <= lowest·growth^i.
func bucketOf(d time.Duration) int {
	if d <= lowest {
		return 0
	}
	i := math.Ceil(math.Log(float64(d)/float64(lowest)) / logGrowth)
	return min(int(i), buckets-1)
}

// midOf returns the value that represents a bucket, in milliseconds.
func midOf(bucket int) float64 {
	high := ms(lowest) * math.Pow(growth, float64(bucket))
	return high * 2 / (growth + 1)
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// hist is a histogram of latencies.
type hist struct {
	n       int64
	sum     time.Duration
	buckets [buckets]uint32
}

func (h *hist) add(d time.Duration, bucket int) {
	h.n++
	h.sum += d
	h.buckets[bucket]++
}

func (h *hist) subtract(o *hist) {
	if o.n == 0 {
		return
	}
	h.n -= o.n
	h.sum -= o.sum
	for i := range h.buckets {
		h.buckets[i] -= o.buckets[i]
	}
}

// avg returns the mean in milliseconds, 0 if there are no observations.
func (h *hist) avg() float64 {
	if h.n == 0 {
		return 0
	}
	return ms(h.sum) / float64(h.n)
}

// p95 returns the 95th percentile in milliseconds, by nearest rank; 0 if there are no
// observations.
func (h *hist) p95() float64 {
	if h.n == 0 {
		return 0
	}
	rank := (h.n*95 + 99) / 100
	for i, n := range h.buckets {
		if rank -= int64(n); rank <= 0 {
			return midOf(i)
		}
	}
	return midOf(buckets - 1)
}

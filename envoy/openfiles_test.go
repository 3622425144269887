package envoy

import (
	"strings"
	"testing"
)

func TestDivide(t *testing.T) {
	for _, c := range []struct {
		openFiles, workers, clients int
		want                        Share
		problem                     string
	}{
		{1024, 2, 0, Share{464, 464}, ""},
		{20000, 2, 0, Share{9952, 9952}, ""},
		{65536, 32, 0, Share{32480, 32480}, ""},
		{1 << 20, 64, 0, Share{50000, 997488}, ""},
		{1024, 2, 700, Share{700, 228}, ""},
		{1024, 2, 912, Share{912, 16}, ""},
		{1024, 2, 913, Share{}, "lower it to 912 or less"},
		{1024, 64, 0, Share{}, "raise the limit (ulimit -n, limits.open_files) to 1344 or more"},
		{0, 1, 0, Share{}, "0 open files are not enough"},
		{256, 2, 0, Share{80, 80}, ""},
	} {
		got, err := Divide(c.openFiles, c.workers, c.clients)
		problem := ""
		if err != nil {
			problem = err.Error()
		}
		if got != c.want || (problem == "") != (c.problem == "") || !strings.Contains(problem, c.problem) {
			t.Errorf("Divide(%d, %d, %d) = %v, %v", c.openFiles, c.workers, c.clients, got, err)
		}
		if sum := got.Clients + got.Providers + ownFiles + ownWorkerFiles*c.workers; err == nil && sum > c.openFiles {
			t.Errorf("Divide(%d, %d, %d) gives away %d", c.openFiles, c.workers, c.clients, sum)
		}
	}
}

package policy

import (
	"fmt"

	"weir/llm"
	"weir/metadata"
	"weir/policy/config"
)

// Failover lists the failures after which the next attempt follows.
type Failover struct {
	Statuses       []int
	ConnectFailure bool
	Reset          bool
	Timeout        bool
	// Faults are the causes of errors with status 400, 412, 413 or 422.
	Faults llm.Fault
}

// most returns how many attempts a request can have.
func (f *Failover) most() int {
	if len(f.Statuses) == 0 && !f.ConnectFailure && !f.Reset && !f.Timeout && f.Faults == llm.NoFault {
		return 1
	}
	return metadata.MaxAttempts
}

// parseFailover turns the list into a Failover; problems are by the index of the entry.
func parseFailover(f config.FailoverConfig) (Failover, map[int]error) {
	out := Failover{}
	problems := map[int]error{}
	seen := map[int]bool{}
	add := func(status int) {
		if !seen[status] {
			seen[status] = true
			out.Statuses = append(out.Statuses, status)
		}
	}
	faultAt := -1
	for i, entry := range f {
		if fault := llm.FaultOf(entry); fault != llm.NoFault {
			out.Faults |= fault
			faultAt = i
			continue
		}
		switch entry {
		case "connect_failure":
			out.ConnectFailure = true
		case "reset":
			out.Reset = true
		case "timeout":
			out.Timeout = true
		case "4xx", "5xx":
			first := int(entry[0]-'0') * 100
			for s := first; s < first+100; s++ {
				add(s)
			}
		default:
			var status int
			if _, err := fmt.Sscanf(entry, "%3d", &status); err != nil || len(entry) != 3 || status < 400 || status > 599 {
				problems[i] = fmt.Errorf("unknown failure %q: write a status from 400 to 599, 4xx, 5xx, connect_failure, reset, timeout, %s", entry, faultWords())
				continue
			}
			add(status)
		}
	}
	if faultAt >= 0 && !out.Reset && !out.Timeout {
		problems[faultAt] = fmt.Errorf("%s needs reset and timeout in the list: responses are held only with them", f[faultAt])
	}
	return out, problems
}

// faultWords lists the words for faults.
func faultWords() string {
	var out string
	for i := range llm.Faults {
		switch i {
		case 0:
		case len(llm.Faults) - 1:
			out += " or "
		default:
			out += ", "
		}
		out += llm.Faults[i].Word
	}
	return out
}

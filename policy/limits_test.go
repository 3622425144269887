package policy

import (
	"fmt"
	"testing"
)

func TestLimits(t *testing.T) {
	for name, c := range map[string]struct{ config, key, want string }{
		"defaults":             {"", "", "4096 268435456, 2048 134217728, a 2048 134217728, 300ms"},
		"large bodies":         {"max_body_bytes: 536870912", "", "4096 1073741824, 2048 536870912, a 2048 536870912, 300ms"},
		"bodies of half":       {"max_body_bytes: 200000000", "", "4096 400000000, 2048 200000000, a 2048 200000000, 300ms"},
		"the half of less":     {"limits: {max_requests: 7, max_buffered_body_bytes: 100000000}", "", "7 100000000, 3 50000000, a 3 50000000, 300ms"},
		"one request":          {"limits: {max_requests: 1}", "", "1 268435456, 1 134217728, a 1 134217728, 300ms"},
		"one body":             {"limits: {max_buffered_body_bytes: 33554432}", "", "4096 33554432, 2048 33554432, a 2048 33554432, 300ms"},
		"of keys":              {"limits: {max_requests_per_key: 9, max_buffered_body_bytes_per_key: 40000000, max_wait: 1s}", "", "4096 268435456, 9 40000000, a 9 40000000, 1s"},
		"of one key":           {"limits: {max_requests_per_key: 9}", "{max_requests: 4000, max_buffered_body_bytes: 268435456}", "4096 268435456, 9 134217728, a 4000 268435456, 300ms"},
		"too few requests":     {"limits: {max_requests: -1}", "", "limits.max_requests: must be from 1 to 100000"},
		"too many requests":    {"limits: {max_requests: 100001}", "", "limits.max_requests: must be from 1 to 100000"},
		"more of a key":        {"limits: {max_requests: 5, max_requests_per_key: 6}", "", "limits.max_requests_per_key: must be from 1 to limits.max_requests, which is 5"},
		"more of one key":      {"limits: {max_requests: 5}", "{max_requests: 6}", "access_keys[0].limits.max_requests: must be from 1 to limits.max_requests, which is 5"},
		"bytes below a body":   {"limits: {max_buffered_body_bytes: 33554431}", "", "limits.max_buffered_body_bytes: must be from max_body_bytes, which is 33554432, to 1099511627776"},
		"a key's below a body": {"limits: {max_buffered_body_bytes_per_key: 1}", "", "limits.max_buffered_body_bytes_per_key: must be from max_body_bytes, which is 33554432, to limits.max_buffered_body_bytes, which is 268435456"},
		"one key's above all":  {"", "{max_buffered_body_bytes: 268435457}", "access_keys[0].limits.max_buffered_body_bytes: must be from max_body_bytes, which is 33554432, to limits.max_buffered_body_bytes, which is 268435456"},
		"a unit":               {"limits: {max_buffered_body_bytes: 256MiB}", "", "limits.max_buffered_body_bytes: must be a number of bytes, but is a string: write 268435456"},
		"too long":             {"limits: {max_wait: 6s}", "", "limits.max_wait: 6s is out of range: write a duration from 1ms to 5s"},
		"too short":            {"limits: {max_wait: 1us}", "", "limits.max_wait: 1µs is out of range: write a duration from 1ms to 5s"},
	} {
		t.Run(name, func(t *testing.T) {
			key := "access_keys: [{name: a, value: a-key-that-is-long-enough}]\n"
			if c.key != "" {
				key = "access_keys: [{name: a, value: a-key-that-is-long-enough, limits: " + c.key + "}]\n"
			}
			p, keys, problems := Load(newWorld().source(key + c.config))
			got := ""
			if len(problems) > 0 {
				got = problems[0].Path + ": " + problems[0].Message
			} else {
				a, l := p.LimitsOf(keys.Find("a-key-that-is-long-enough")), p.Limits
				got = fmt.Sprintf("%d %d, %d %d, a %d %d, %s", l.Total.Requests, l.Total.BodyBytes, l.PerKey.Requests, l.PerKey.BodyBytes, a.Requests, a.BodyBytes, l.MaxWait)
				if p.LimitsOf(nil) != l.PerKey {
					t.Errorf("limits without a key are %v", p.LimitsOf(nil))
				}
			}
			if got != c.want {
				t.Errorf("%s\nwant %s", got, c.want)
			}
		})
	}
}

func TestSubject(t *testing.T) {
	for _, c := range []struct{ key, ip, want string }{
		{"key_1", "192.0.2.1", "key_1"},
		{"", "192.0.2.1", "address 192.0.2.1"},
		{"", "::ffff:192.0.2.1", "address 192.0.2.1"},
		{"", "2001:db8:1:2:3:4:5:6", "address 2001:db8:1:2::/64"},
		{"", "2001:db8:1:2::9", "address 2001:db8:1:2::/64"},
		{"", "fe80::1%eth0", "address fe80::/64"},
		{"", "", "address "},
	} {
		if got := Subject(c.key, c.ip); got != c.want {
			t.Errorf("Subject(%q, %q) is %q, want %q", c.key, c.ip, got, c.want)
		}
	}
}

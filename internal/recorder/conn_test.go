package recorder

import (
	"reflect"
	"testing"
)

func TestTap(t *testing.T) {
	tests := []struct {
		name, wire string
		want       [][]string
	}{
		{"no body", "GET / HTTP/1.1\r\nA: 1\r\n\r\nGET / HTTP/1.1\r\nB:2\r\n\r\n", [][]string{{"A: 1"}, {"B:2"}}},
		{"no headers", "GET / HTTP/1.0\r\n\r\nGET / HTTP/1.0\r\n\r\n", [][]string{{}, {}}},
		{"bare line feeds", "GET / HTTP/1.1\nA: 1\n\nGET / HTTP/1.1\nB: 2\n\n", [][]string{{"A: 1"}, {"B: 2"}}},
		{"body", "POST / HTTP/1.1\r\ncontent-length: 6\r\n\r\nA: 1\r\nGET / HTTP/1.1\r\nB: 2\r\n\r\n", [][]string{{"content-length: 6"}, {"B: 2"}}},
		{"chunks", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n0\r\n\r\r\n0A;x=1\r\n0123456789\r\n0\r\nT: 1\r\n\r\nGET / HTTP/1.1\r\nB: 2\r\n\r\n", [][]string{{"Transfer-Encoding: chunked"}, {"B: 2"}}},
		{"unfinished", "GET / HTTP/1.1\r\nA: 1\r\n", nil},
		{"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nA: 1\r\n\r\n", nil},
		{"no number", "POST / HTTP/1.1\r\nContent-Length: x\r\n\r\nGET / HTTP/1.1\r\nB: 2\r\n\r\n", [][]string{{"Content-Length: x"}}},
	}
	for _, test := range tests {
		var whole, single tap
		whole.feed([]byte(test.wire))
		for i := range len(test.wire) {
			single.feed([]byte{test.wire[i]})
		}
		if !reflect.DeepEqual(whole.heads, test.want) {
			t.Errorf("%s: got %q, want %q", test.name, whole.heads, test.want)
		}
		if !reflect.DeepEqual(single.heads, test.want) {
			t.Errorf("%s, byte by byte: got %q, want %q", test.name, single.heads, test.want)
		}
	}
}

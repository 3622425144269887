package config

import (
	"errors"
	"testing"
)

func TestProblemString(t *testing.T) {
	for _, c := range []struct {
		problem Problem
		want    string
	}{
		{Problem{"weir.yaml", 14, 9, "on_http_request[0].config.providers[1].base_url", "has no host"}, "weir.yaml:14: on_http_request[0].config.providers[1].base_url: has no host"},
		{Problem{"weir.yaml", 2, 1, "", "unknown field"}, "weir.yaml:2: unknown field"},
		{Problem{"weir.yaml", 0, 0, "", "is empty"}, "weir.yaml: is empty"},
		{Problem{"weir.yaml", 1, 1, "a\x1b[31mb", "one\ntwo\n"}, "weir.yaml:1: a�[31mb: one; two"},
	} {
		if got := c.problem.String(); got != c.want {
			t.Errorf("got  %q\nwant %q", got, c.want)
		}
	}
}

func TestProblemsError(t *testing.T) {
	ps := Problems{{"w", 3, 5, "", "d"}, {"w", 3, 1, "", "b"}, {"w", 1, 1, "", "a"}, {"w", 3, 1, "", "c"}}
	if got, want := ps.Error(), "w:1: a\nw:3: b\nw:3: c\nw:3: d"; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if ps[0].Message != "d" {
		t.Error("Error changed the order of the list itself")
	}
	var as Problems
	if err := ps.Err(); !errors.As(err, &as) || len(as) != 4 {
		t.Errorf("Err() = %v", err)
	}
	if err := (Problems{}).Err(); err != nil {
		t.Errorf("no problems are the error %v", err)
	}
}

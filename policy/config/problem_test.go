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
		{Problem{File: "weir.yaml", Line: 14, Column: 9, Path: "on_http_request[0].config.providers[1].base_url", Message: "has no host"}, "weir.yaml:14: on_http_request[0].config.providers[1].base_url: has no host"},
		{Problem{File: "weir.yaml", Line: 2, Column: 1, Path: "", Message: "unknown field"}, "weir.yaml:2: unknown field"},
		{Problem{File: "weir.yaml", Line: 0, Column: 0, Path: "", Message: "is empty"}, "weir.yaml: is empty"},
		{Problem{File: "weir.yaml", Line: 1, Column: 1, Path: "a\x1b[31mb", Message: "one\ntwo\n"}, "weir.yaml:1: a�[31mb: one; two"},
	} {
		if got := c.problem.String(); got != c.want {
			t.Errorf("got  %q\nwant %q", got, c.want)
		}
	}
}

func TestProblemsError(t *testing.T) {
	ps := Problems{{File: "w", Line: 3, Column: 5, Path: "", Message: "d"}, {File: "w", Line: 3, Column: 1, Path: "", Message: "b"}, {File: "w", Line: 1, Column: 1, Path: "", Message: "a"}, {File: "w", Line: 3, Column: 1, Path: "", Message: "c"}}
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

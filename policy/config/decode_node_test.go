package config

import "testing"

func TestPositions(t *testing.T) {
	file := `# comment
on_http_request:
  - type: ai-gateway
    config:
      headers: {X-A: "1", "x.y[0]": "2"}
      providers:
        - &p
          id: a
          base_url:
            http://a
        - {<<: *p, id: b}
        - *p
connect_to:
  api.openai.com:443: x
  api: y
`
	var any any
	pos, problems := Decode("weir.yaml", []byte(file), &any)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	const gateway = "on_http_request[0].config."
	for _, c := range []struct {
		path         string
		line, column int
	}{
		{"", 2, 1},
		{"on_http_request", 2, 1},
		{"on_http_request[0]", 3, 5},
		{"on_http_request[1]", 2, 1}, // not there: the list
		{"on_http_request[x]", 2, 1},
		{gateway + "headers", 5, 7},
		{gateway + "headers.X-A", 5, 17},
		{gateway + "headers.x.y[0]", 5, 27}, // a key with dots and brackets
		{gateway + "total_timeout", 4, 5},
		{gateway + "providers[0]", 7, 11},
		{gateway + "providers[0].id", 8, 11},
		{gateway + "providers[0].base_url", 9, 11},
		{gateway + "providers[0].base_url.deeper[3]", 9, 11},
		{gateway + "providers[0].api_keys[0].value", 7, 11},
		{gateway + "providers[1].id", 11, 20},
		{gateway + "providers[1].base_url", 9, 11}, // merged
		{gateway + "providers[2]", 12, 11},
		{gateway + "providers[2].id", 8, 11},
		{"connect_to.api.openai.com:443", 14, 3},
		{"connect_to.api", 15, 3},
		{"connect_to.api.other", 15, 3},
		{"nothing.here", 2, 1},
		{".on_http_request", 2, 1},
	} {
		if line, column := pos.at(c.path); line != c.line || column != c.column {
			t.Errorf("%s is at %d:%d, want %d:%d", c.path, line, column, c.line, c.column)
		}
	}
	got := pos.Problem(gateway+"providers[1].base_url", "is %s", "bad")
	if want := "weir.yaml:9: on_http_request[0].config.providers[1].base_url: is bad"; got.String() != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	pos, _ = Decode("empty.yaml", nil, &any)
	if got := pos.Problem("listen", "is missing").String(); got != "empty.yaml: listen: is missing" {
		t.Error(got)
	}
}

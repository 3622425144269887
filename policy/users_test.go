package policy

import (
	"slices"
	"strings"
	"testing"

	"weir/policy/config"
)

func TestEnvoyUsers(t *testing.T) {
	for list, want := range map[string]string{
		`[envoy, 101, "102", _www, a.b-c, 0101, 4294967294]`: "envoy 101 102 _www a.b-c 0101 4294967294",
		`[]`:                  "",
		`envoy`:               "!must be a list of users",
		`[[envoy]]`:           "!must be the name or the uid of a user",
		`[-1]`:                `!"-1" is not the name or the uid of a user`,
		`[4294967295]`:        `!"4294967295" is not`,
		`[99999999999]`:       `!"99999999999" is not`,
		`["a b"]`:             `!"a b" is not`,
		`[""]`:                `!"" is not`,
		`["*"]`:               `!"*" is not`,
		`[1.5]`:               `!"1.5" is not`,
		`["../etc"]`:          `!"../etc" is not`,
		"[\"envoy\\u001b\"]":  `is not the name`,
		`[envoy, {uid: 101}]`: "!envoy.users[1]",
	} {
		p, _, problems := Load(Source{File: "weir.yaml", Data: []byte("envoy: {users: " + list + "}\nproviders: [{id: a, base_url: \"http://127.0.0.1:1\"}]\n"), Getenv: func(string) string { return "" }})
		if wrong, ok := strings.CutPrefix(want, "!"); ok || len(problems) > 0 {
			if !slices.ContainsFunc(problems, func(p config.Problem) bool {
				return strings.Contains(p.String(), wrong) && strings.Contains(p.String(), "envoy.users")
			}) {
				t.Errorf("%s: %v, want %s", list, problems, want)
			}
			continue
		}
		if got := strings.Join(p.Config.Envoy.Users, " "); got != want {
			t.Errorf("%s: %s, want %s", list, got, want)
		}
	}
}

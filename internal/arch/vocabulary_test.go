package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"weir/llm"
)

// vocabulary is what only package llm may spell of the APIs, as regular expressions over
// the string literals of the other packages. Literals with an API's word for something
// else are exempt.
var vocabulary = []struct{ what, pattern string }{
	{"a path", `^/v1(/|$)`},
	{"a header with a key", `(?i)^(` + strings.Join(llm.CredentialHeaders(), "|") + `)$`},
	{"a header of an API", `(?i)^(anthropic|openai|x-openai|x-ratelimit)-`},
	{"a media type", `^(application|audio|image|multipart|text)/[a-z0-9.+*-]+$`},
	{"a type of errors", `\b(invalid_request|authentication|permission|not_found|rate_limit|api|timeout|server|overloaded)_error\b`},
	{"an event", `\[DONE\]|\bmessage_(start|delta|stop)\b|\bcontent_block_|\bresponse\.(created|in_progress|completed|incomplete|failed|cancelled|output)`},
	{"a member of usage", `\b(prompt|completion|input|output|total|cached|reasoning|cache_read_input|cache_creation_input)_tokens\b`},
	{"a member of a request", `\b(max_tokens|max_completion_tokens|stream_options|response_format|tool_calls|image_url)\b`},
	{"a member of a response", `\b(owned_by|has_more|created_at|choices|finish_reason|stop_reason|sequence_number)\b`},
	{"a member of an API", `^(model|models|stream|messages|usage|delta|prompt|input)$`},
	{"a query parameter of an API", `^(api-version|after_id|before_id|starting_after|include\[\]|include_obfuscation)$`},
	{"JSON of an API", `"(error|type|object|model|models|messages|usage)"\s*:`},
	{"JSON of an API", `json:"(object|usage|choices|delta|messages|owned_by|stream_options)\b`},
}

// exempt are the literals that are allowed in files, "*" for all, with the reason.
var exempt = []struct{ files, literal, reason string }{
	{"policy/header/rules.go", "*", "a table of headers by name, those of APIs among others"},
	{"policy/forward_response.go", "*", "a table of headers by name, those of APIs among others"},
	{"policy/config/baseurl_query.go", "authorization", "a query parameter, as servers of any kind name it"},
	{"policy/litellm/*.go", "*", "the format of another gateway's configuration"},
	{"policy/config/key.go", "api-key", "the name of a secret in examples"},
	{"policy/config/unknown.go", "prompt", "a name in other gateways' configurations"},
	{"policy/config/unknown.go", "input", "a field of the configuration: pricing.input"},
	{"policy/load_provider.go", "input", "a field of the configuration: pricing.input"},
	{"policy/load_access.go", "models", "a field of the configuration: access.models"},
	{"policy/expression/*.go", "model", "a variable or field of strategies"},
	{"policy/expression/*.go", "models", "a variable or field of strategies"},
	{"policy/expression/*.go", "input", "a variable or field of strategies"},
	{"admin/admin.go", "application/json", "a response of Weir's own API"},
	{"admin/explain.go", "application/json", "a response of Weir's own API"},
	{"cmd/weir/quickstart.go", "*", "an example for curl, which people read"},
	{"metadata/names.go", "model", "a field of Envoy's metadata"},
	{"gateway/ejections.go", "model", "an attribute of Weir's log"},
	{"extproc/processor.go", "models", "details of a response in Envoy's log"},
	{"telemetry/encode.go", `,"model":`, "a field of Weir's log"},
	{"telemetry/metrics.go", "model", "a label of metrics"},
	{"telemetry/series.go", "model", "a label of metrics"},
	{"telemetry/recorder.go", "input", "a value of OpenTelemetry's gen_ai.token.type"},
}

// outside are the folders in which APIs may be spelled: package llm, programs that are
// providers or clients themselves, and tests.
var outside = []string{"llm", "demo", "bench", "e2e", "examples", "faults", "soak", "tools", "internal/gatewaytest", "internal/recorder"}

// TestVocabulary: only package llm knows what the APIs look like.
func TestVocabulary(t *testing.T) {
	var words []*regexp.Regexp
	for _, v := range vocabulary {
		words = append(words, regexp.MustCompile(v.pattern))
	}
	used := make([]bool, len(exempt))
	excused := func(file, literal string) bool {
		for i, e := range exempt {
			if match, err := path.Match(e.files, file); match && err == nil && (e.literal == literal || e.literal == "*") {
				used[i] = true
				return true
			}
		}
		return false
	}
	read := 0
	err := filepath.WalkDir("../..", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		file, err := filepath.Rel("../..", name)
		if err != nil {
			return err
		}
		if d.IsDir() {
			for _, folder := range outside {
				if file == folder {
					return filepath.SkipDir
				}
			}
			if strings.HasPrefix(d.Name(), ".") && file != "." {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		read++
		set := token.NewFileSet()
		parsed, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if _, ok := n.(*ast.ImportSpec); ok {
				return false
			}
			l, ok := n.(*ast.BasicLit)
			if !ok || l.Kind != token.STRING {
				return true
			}
			literal, err := strconv.Unquote(l.Value)
			if err != nil {
				t.Fatal(err)
			}
			for i, word := range words {
				if word.MatchString(literal) && !excused(filepath.ToSlash(file), literal) {
					t.Errorf("%s:%d spells %s (%s): ask package llm, or add an exemption with its reason", file, set.Position(l.Pos()).Line, vocabulary[i].what, l.Value)
					break
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if read < 100 {
		t.Errorf("%d files were read: the folders of the repository are not where the test looks", read)
	}
	for i, e := range exempt {
		if !used[i] {
			t.Errorf("the exemption of %q in %s is not needed any more", e.literal, e.files)
		}
	}
}

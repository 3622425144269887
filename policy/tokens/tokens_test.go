package tokens

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
)

// all returns the whole estimate, without shortcuts.
func all(body string) (n int) {
	w := walk{cursor: cursor{body: []byte(body)}}
	w.fixed = func(tokens int) bool { n += tokens; return true }
	w.chunk = func(text []byte) bool { n += estimate(text); return true }
	w.request()
	return n
}

// checkExceeds compares Exceeds with the whole estimate.
func checkExceeds(t *testing.T, body string, limit int) {
	t.Helper()
	want := all(body)
	over, atLeast := Exceeds([]byte(body), limit)
	if over != (want > limit) || atLeast > want || over != (atLeast > limit) {
		t.Errorf("%.80q: limit %d: over %t, at least %d, of %d", body, limit, over, atLeast, want)
	}
}

func TestExceedsIsTheWholeEstimate(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	quote := func(text string) string { b, _ := json.Marshal(text); return string(b) }
	var texts []string
	for _, unit := range []string{"a", "a ", "the cat sat. ", "\n \t", " ", "-", "é", "漢", "😀 ", `"\`, "x1y2", strings.Repeat("word", 70) + " "} {
		for _, n := range []int{1, 100, 1500} {
			texts = append(texts, strings.Repeat(unit, n))
		}
	}
	for _, text := range texts {
		body := `{"model":"m","messages":[{"role":"user","content":` + quote(text) + `}],"input":[1,2,3]}`
		n := all(body)
		for _, limit := range []int{1, 2, n / 16, n / 2, n - 1, n, n + 1, 2 * n, len(body) - 1, len(body), random.IntN(len(body))} {
			checkExceeds(t, body, limit)
		}
	}
}

func TestExceedsOfManyStrings(t *testing.T) {
	body := `{"input":[` + strings.Repeat(`"a","",`, 50_000) + `"b c"]}`
	for _, limit := range []int{1, 49_999, 50_001, 50_002, 50_003, 100_000} {
		checkExceeds(t, body, limit)
	}
}

func TestExceedsConcurrently(t *testing.T) {
	body := `{"prompt":"` + strings.Repeat("the quick brown fox ", 5000) + `"}`
	want := all(body)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for limit := want - 2; limit < want+2; limit++ {
				if over, _ := Exceeds([]byte(body), limit); over != (want > limit) {
					t.Errorf("limit %d: over %t, of %d", limit, over, want)
				}
			}
		})
	}
	wg.Wait()
}

// TestExceedsAllocatesLittle: the memory does not grow with the body.
func TestExceedsAllocatesLittle(t *testing.T) {
	Preload()
	body := []byte(`{"messages":[` + strings.Repeat(`{"role":"user","content":"It\u2019s fine.\n"},`, 20_000) + `{}]}`)
	n := all(string(body))
	if allocs := testing.AllocsPerRun(3, func() { Exceeds(body, n) }); allocs > 8 {
		t.Errorf("a body of %d bytes costs %.0f allocations", len(body), allocs)
	}
}

// TestExceedsOfInvalidJSON: invalid JSON never reaches this package, but must not make it fail.
func TestExceedsOfInvalidJSON(t *testing.T) {
	whole := `{"messages":[{"role":"user","name":"n\u0041","content":[{"type":"text","text":"\ud83d\ude00 a"},` +
		`{"source":{"type":"base64","data":"x"}}]}],"tools":[{"a":[1,true,null]}],"prompt":[[1,2]]}`
	for i := range whole {
		for _, body := range []string{whole[:i], whole[i:], whole[:i] + "\xff" + whole[i:], whole[:i] + `"` + whole[i:], whole[:i] + `\` + whole[i:]} {
			checkExceeds(t, body, 5)
		}
	}
	for _, body := range []string{
		strings.Repeat("[", 1<<20), strings.Repeat(`{"a":`, 1<<20), `{"messages":` + strings.Repeat("[", 1<<20),
		`{"messages":` + strings.Repeat(`{"content":`, 1<<20), `{"tools":` + strings.Repeat(`{"a":`, 1<<20),
	} {
		checkExceeds(t, body, 1000)
	}
}

func FuzzExceeds(f *testing.F) {
	for _, body := range []string{
		`{"messages":[{"role":"user","content":"hello world"}]}`,
		`{"input":[[1,2],"a",{"type":"input_text","text":"b"}],"instructions":"\u00e9"}`,
		`{"system":[{"type":"text","text":"x"}],"tools":[{"name":"f","input_schema":{"a":[1e9,null]}}]}`,
		`{"messages":[{"content":[{"type":"image","source":{"data":"QQ==","media_type":"image/png","type":"base64"}}]}]}`,
	} {
		f.Add(body, 1)
		f.Add(body, 20)
	}
	f.Fuzz(func(t *testing.T, body string, limit int) {
		if limit < 1 || limit > 500_000 {
			return
		}
		n := all(body)
		if n > len(body) {
			t.Errorf("%q has %d tokens, more than bytes", body, n)
		}
		checkExceeds(t, body, limit)
		checkExceeds(t, body, n)
		checkExceeds(t, body, n-1)
	})
}

func TestEstimate(t *testing.T) {
	var e Estimator
	for body, want := range map[string]int{
		`{}`: 0,
		`{"model":"m","messages":[{"role":"user","content":"hi"}]}`:                                                          3 + 3 + 2, // "user" is text, too
		`{"messages":[{"content":"\u4f60\u597d"}]}`:                                                                          3 + 3 + 2,
		`{"messages":[{"content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAAAAAAAAAAAAAAAAAA"}}]}]}`: 3 + 3,
		`{"input":"` + strings.Repeat("word ", 1000) + `"}`:                                                                  1250,
	} {
		if got := e.Estimate([]byte(body)); got != want {
			t.Errorf("%.80s: %d, want %d", body, got, want)
		}
	}
}

package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"weir/llm/body"
	"weir/policy/config"
)

func presenting(credentials ...string) *Presented {
	p := &Presented{}
	for _, c := range credentials {
		p.Add(c, true)
	}
	return p
}

func TestPresentedIn(t *testing.T) {
	const key = "weir-0123456789-abcdef"
	for _, c := range []struct {
		key, value string
		want       bool
	}{
		{key, key, true},
		{key, "Bearer " + key, true},
		{key, "a=" + key + "; b", true},
		{key, "d2Vpci0wMTIzNDU2Nzg5LWFiY2RlZg==", false}, // no scheme says that it is base64
		{key, "Basic d2Vpci0wMTIzNDU2Nzg5LWFiY2RlZg==", true},
		{key, "basic d2Vpci0wMTIzNDU2Nzg5LWFiY2RlZg", true},
		{key, "Basic %", false},
		{key, "weir%2D0123456789%2dabcdef", true},
		{key, "k=weir%252D0123456789-abcdef", true},
		{key, "100%", false},
		{key, strings.ToUpper(key), false},
		{key, key[:len(key)-1], false},
		{key, "", false},
		{"ab cd ef gh ij kl mn", "x=ab+cd+ef+gh+ij+kl+mn", true},
		// A short one is also a word.
		{"demo", "demo", true},
		{"demo", "Bearer demo", true},
		{"demo", "model=demo", true},
		{"demo", "a demonstration", false},
		{"demo", "mydemo", false},
	} {
		if got := presenting(c.key).In(c.value); got != c.want {
			t.Errorf("%q in %q: %t", c.key, c.value, got)
		}
	}
	var none *Presented
	if none.In("x") || (&Presented{}).In("x") {
		t.Error("nothing was presented")
	}
	placeholder := &Presented{}
	placeholder.Add("ollama", false)
	placeholder.Add("", true)
	if placeholder.In("ollama") || placeholder.In("") {
		t.Error("a placeholder counts")
	}
}

// TestPresentedSpans compares with a plain search, wherever the key stands.
func TestPresentedSpans(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		key := make([]byte, config.MinKeyLength+random.IntN(30))
		for i := range key {
			key[i] = "abcABC0189-_"[random.IntN(12)]
		}
		var parsed bytes.Buffer
		for range random.IntN(20) {
			switch random.IntN(3) {
			case 0:
				parsed.Write(key)
			case 1:
				parsed.Write(key[:random.IntN(len(key))])
			default:
				parsed.WriteString(strings.Repeat(string(key[random.IntN(len(key))]), random.IntN(300)))
			}
		}
		got := presenting(string(key)).spans(&body.Body{Bytes: parsed.Bytes()})
		if want := bytes.Count(parsed.Bytes(), key); len(got) != want {
			t.Fatalf("%q in %q: %d, want %d", key, parsed.Bytes(), len(got), want)
		}
		for _, s := range got {
			if !bytes.Equal(parsed.Bytes()[s.Start:s.End], key) {
				t.Fatalf("%q at %d", key, s.Start)
			}
		}
	}
}

// escapedWhole is a text with each character escaped by its number.
func escapedWhole(text string) string {
	var b strings.Builder
	for _, c := range text {
		fmt.Fprintf(&b, `\u%04x`, c)
	}
	return b.String()
}

// TestPresentedEscaped compares with what encoding/json reads, whatever is
// escaped.
func TestPresentedEscaped(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		key := make([]byte, config.MinKeyLength+random.IntN(10))
		for i := range key {
			key[i] = "aab-/"[random.IntN(5)]
		}
		var plain []byte
		for range random.IntN(20) {
			switch random.IntN(3) {
			case 0:
				plain = append(append(plain, key...), '"', '\n')
			case 1:
				plain = append(plain, key[:random.IntN(len(key))]...)
			default:
				plain = append(append(plain, key[random.IntN(len(key)):]...), '\\')
			}
		}
		bodyBytes := []byte(`{"a":"`)
		for _, c := range plain {
			switch {
			case c < ' ' || random.IntN(5) == 0:
				bodyBytes = fmt.Appendf(bodyBytes, `\u%04X`, c)
			case c == '"' || c == '\\' || c == '/' && random.IntN(2) == 0:
				bodyBytes = append(bodyBytes, '\\', c)
			default:
				bodyBytes = append(bodyBytes, c)
			}
		}
		bodyBytes = append(bodyBytes, `"}`...)
		got := presenting(string(key)).spans(&body.Body{Bytes: bodyBytes})
		cut := append([]byte(nil), bodyBytes...)
		for i := len(got) - 1; i >= 0; i-- {
			cut = append(cut[:got[i].Start], append([]byte("#"), cut[got[i].End:]...)...)
		}
		var left struct{ A string }
		if err := json.Unmarshal(cut, &left); err != nil {
			t.Fatalf("%s of %s: %v", cut, bodyBytes, err)
		}
		if strings.Contains(left.A, string(key)) {
			t.Fatalf("%q in %s, left %s", key, bodyBytes, cut)
		}
	}
}

func TestRedactBody(t *testing.T) {
	const key = "weir-0123456789-abcdef"
	for _, c := range []struct{ body, want, problem string }{
		{`{"model":"m","user":"KEY"}`, `{"model":"sent","user":"[redacted]"}`, ""},
		{`{"user":"KEY","model":"m","x":"a KEY b KEY"}`, `{"user":"[redacted]","model":"sent","x":"a [redacted] b [redacted]"}`, ""},
		{`{"models":["KEY"],"model":"m"}`, `{"model":"sent"}`, ""}, // what is taken out is gone
		{`{"a":"x"}`, `{"model":"sent","a":"x"}`, ""},
		{`{"KEY":1}`, `{"model":"sent","[redacted]":1}`, ""},
		{`{"a":{"b":"x weir\u002d0123456789\u002Dabcdef y"}}`, `{"model":"sent","a":{"b":"x [redacted] y"}}`, ""},
		{`{"a":["\"\\ALL","\u002d"]}`, `{"model":"sent","a":["\"\\[redacted]","\u002d"]}`, ""},
		{`{"a":{"ALL":"KEY"},"b":"ALLKEYALL","c":"ALL"}`, `{"model":"sent","a":{"[redacted]":"[redacted]"},"b":"[redacted][redacted][redacted]","c":"[redacted]"}`, ""},
		{`{"a":"\u0077weir\u002d0123456789-abcde\u0066\u4e2d"}`, `{"model":"sent","a":"\u0077[redacted]\u4e2d"}`, ""},
		{`{"a":"weir\u002d0123456789\\u002dabcdef"}`, `{"model":"sent","a":"weir\u002d0123456789\\u002dabcdef"}`, ""}, // a backslash is in it
		{`{"a":"` + strings.Repeat("KEY ", maxRedactions+1) + `"}`, "", "more than 100 times"},
	} {
		var parsed body.Body
		if err := body.ReadJSON([]byte(strings.NewReplacer("KEY", key, "ALL", escapedWhole(key)).Replace(c.body)), &parsed); err != nil {
			t.Fatal(err)
		}
		edits, _ := parsed.WithModel(nil, "sent")
		edits, err := redact(edits, presenting(key).spans(&parsed))
		switch {
		case c.problem != "":
			if err == nil || !strings.Contains(err.Error(), c.problem) || strings.Contains(err.Error(), key) {
				t.Errorf("%.60s: %v", c.body, err)
			}
		case err != nil:
			t.Errorf("%s: %v", c.body, err)
		case string(body.Apply(nil, parsed.Bytes, edits)) != c.want:
			t.Errorf("%s: %s", c.body, body.Apply(nil, parsed.Bytes, edits))
		}
	}
}

func BenchmarkPresented(b *testing.B) {
	const key = "weir-3fJ8sKd02mXQpLw91ZtR"
	text := strings.Repeat("The quick brown fox jumps over the lazy dog, 1234 times. ", 20000)
	random := rand.New(rand.NewPCG(1, 2))
	base64 := make([]byte, len(text))
	for i := range base64 {
		base64[i] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[random.IntN(64)]
	}
	for name, bodyBytes := range map[string][]byte{"text": []byte(text), "base64": base64, "hostile": bytes.Repeat([]byte("Q"), len(text)), "escapes": bytes.Repeat([]byte(`\u004f`), len(text)/6), "escaped": bytes.Repeat([]byte(`\u0077eir-3`), len(text)/11), "hostile2": bytes.Repeat([]byte(key[:len(key)-1]), len(text)/len(key))} {
		p := presenting(key)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(bodyBytes)))
			for b.Loop() {
				p.spans(&body.Body{Bytes: bodyBytes})
			}
		})
	}
}

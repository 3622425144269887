package body

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"weir/llm"
)

// readBody reads a JSON body that must be accepted.
func readBody(t testing.TB, text string) *Body {
	t.Helper()
	var body Body
	if err := ReadJSON([]byte(text), &body); err != nil {
		t.Fatalf("ReadJSON(%q): %v", text, err)
	}
	return &body
}

func TestReadJSON(t *testing.T) {
	type want struct {
		model  string
		models []string
		stream bool
	}
	f := func(input string, w want) {
		t.Helper()
		body := readBody(t, input)
		if body.Model != w.model || body.HasModel != (w.model != "") {
			t.Errorf("%s: model %q, %v; want %q", input, body.Model, body.HasModel, w.model)
		}
		if !slices.Equal(body.Models, w.models) || body.HasModels != (w.models != nil) {
			t.Errorf("%s: models %q, %v; want %q", input, body.Models, body.HasModels, w.models)
		}
		if body.Stream != w.stream {
			t.Errorf("%s: stream %v", input, body.Stream)
		}
	}
	f(`{}`, want{})
	f(" \t\r\n{ \n} \n", want{})
	f(`{"model":"gpt-5"}`, want{model: "gpt-5"})
	f(`{"a":{"model":"no","models":[1]},"b":[{"model":"no"}],"model":"m"}`, want{model: "m"})
	f(`{"messages":[{"model":"no"}]}`, want{})
	f(`{"mod\u0065l":"m"}`, want{model: "m"})
	f(`{"\u006d\u006F\u0064\u0065\u006C":"m"}`, want{model: "m"})
	f(`{"model":"meta\/llama"}`, want{model: "meta/llama"})
	f(`{"model":"\u0067pt\u002d5"}`, want{model: "gpt-5"})
	f(`{"model":"\ud83d\ude00 日本"}`, want{model: "😀 日本"})
	f(`{"model":"\"\\\/"}`, want{model: `"\/`})
	f(`{"model":"`+strings.Repeat("m", 256)+`"}`, want{model: strings.Repeat("m", 256)})
	f(`{"model":"`+strings.Repeat(`\u006d`, 256)+`"}`, want{model: strings.Repeat("m", 256)})
	f(`{"models":["a"]}`, want{models: []string{"a"}})
	f(`{"models" : [ "a" , "\u0062" ,"a"] , "model":"c"}`, want{model: "c", models: []string{"a", "b", "a"}})
	f(`{"models":["m"`+strings.Repeat(`,"m"`, 31)+`]}`, want{models: slices.Repeat([]string{"m"}, 32)})
	f(`{"stream":true}`, want{stream: true})
	f(`{"stream" : true , "model":"m"}`, want{model: "m", stream: true})
	f(`{"str\u0065am":true}`, want{stream: true})
	f(`{"stream":false}`, want{})
	f(`{"stream":"true"}`, want{})
	f(`{"stream":1,"Stream":true}`, want{})
	f(`{"stream":null}`, want{})
	f(`{"a":1,"a":2,"":3,"":[{}]}`, want{})
	f(`{"model_name":1,"_model":2,"mode":3,"modell":4,"modeled":5}`, want{})
	f(`{"big":1e400,"exact":9007199254740993,"n":[0,-0,0.0,-1.5E+10,2e-0]}`, want{})
	f(`{"lone":"\ud800","low":"\udc00x","esc":"\b\f\n\r\t\u0000"}`, want{})
	f(`{"nested":`+strings.Repeat("[", 999)+strings.Repeat("]", 999)+`}`, want{})
	f(`{"nested":`+strings.Repeat(`{"a":`, 998)+`{}`+strings.Repeat("}", 998)+`}`, want{})
	f(`{"k":0`+strings.Repeat(`,"k":0`, 999)+`}`, want{})
	f("{\"utf8\":\"\u2028\uFFFD\U0010FFFF\x7F\"}", want{})
}

func TestReadJSONMembers(t *testing.T) {
	text := ` {"a" : 1, "mod\u0065l":"m" ,"":[ ],"\"\\\/\u00e9":2}`
	var got []string
	for _, m := range readBody(t, text).Members {
		got = append(got, fmt.Sprintf("%s %s %s", m.Name, text[m.Key.Start:m.Key.End], text[m.Value.Start:m.Value.End]))
	}
	want := []string{`a "a" 1`, `model "mod\u0065l" "m"`, ` "" [ ]`, `"\/é "\"\\\/\u00e9" 2`}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestReadJSONRefuses(t *testing.T) {
	var body Body
	f := func(input string, code llm.Code, message string) {
		t.Helper()
		err := ReadJSON([]byte(input), &body)
		var coded *llm.Error
		if !errors.As(err, &coded) || coded.Code != code || coded.Message != message {
			t.Errorf("%.80s:\n got %v\nwant %s: %s", input, err, code, message)
		}
		if len(body.Members) > 0 || body.HasModel || body.HasModels || body.Bytes != nil {
			t.Errorf("%.80s: the body is not empty after an error", input)
		}
	}
	invalid := func(input, message string) { t.Helper(); f(input, llm.InvalidBody, message) }
	syntax := func(input, message string) {
		t.Helper()
		invalid(input, "the request body is not valid JSON at byte "+message)
	}
	cut := func(input string) {
		t.Helper()
		invalid(input, fmt.Sprintf("the request body is truncated: it ends at byte %d, inside its JSON object", len(input)))
	}
	duplicate := func(input, message string) { t.Helper(); f(input, llm.DuplicateKey, message) }

	// Not one JSON object.
	invalid("", "the request body is empty, it must be a JSON object")
	invalid(" \n", "the request body is empty, it must be a JSON object")
	invalid("\uFEFF{}", "the request body starts with a byte order mark, send it without one")
	invalid("[]", "the request body must be a JSON object, but is an array")
	invalid(strings.Repeat("[", 100_000), "the request body must be a JSON object, but is an array")
	invalid(` "model"`, "the request body must be a JSON object, but is a string")
	invalid("42", "the request body must be a JSON object, but is a number")
	invalid("-1", "the request body must be a JSON object, but is a number")
	invalid("true", "the request body must be a JSON object, but is a boolean")
	invalid("false", "the request body must be a JSON object, but is a boolean")
	invalid("null", "the request body must be a JSON object, but is null")
	syntax("model=gpt", "0: found 'm', want a JSON object")
	syntax("name=x", "0: found 'n', want a JSON object")
	syntax("--boundary\r\n", "0: found '-', want a JSON object")
	syntax("\x00", `0: found '\x00', want a JSON object`)
	invalid("{}{}", "the request body has more after its JSON object, at byte 2")
	invalid(`{"a":1} x`, "the request body has more after its JSON object, at byte 8")
	invalid("{}\x00", "the request body has more after its JSON object, at byte 2")
	invalid("{}\xff", "the request body has more after its JSON object, at byte 2")

	// Truncated.
	cut(`{`)
	cut(`{ `)
	cut(`{"`)
	cut(`{"model`)
	cut(`{"model\`)
	cut(`{"model\u00`)
	cut(`{"model"`)
	cut(`{"model":`)
	cut(`{"model":"gpt`)
	cut(`{"model":"gpt"`)
	cut(`{"model":"gpt",`)
	cut(`{"a":[`)
	cut(`{"a":[1,`)
	cut(`{"a":{`)
	cut(`{"a":{"b"`)
	cut(`{"a":tru`)
	cut(`{"a":-`)
	cut(`{"a":1.`)
	cut(`{"a":1e+`)
	cut(`{"a":1`)

	// Not JSON.
	syntax(`{"a":1,}`, "7: found '}', want a key in double quotes")
	syntax(`{,}`, "1: found ',', want a key in double quotes")
	syntax(`{a:1}`, "1: found 'a', want a key in double quotes")
	syntax(`{'a':1}`, `1: found '\'', want a key in double quotes`)
	syntax(`{"a" 1}`, "5: found '1', want ':'")
	syntax(`{"a":}`, "5: found '}', want a value")
	syntax(`{"a":1 "b":2}`, "7: found '\"', want ',' or '}'")
	syntax(`{"a":[1 2]}`, "8: found '2', want ',' or ']'")
	syntax(`{"a":[1,]}`, "8: found ']', want a value")
	syntax(`{"a":[1}}`, "7: found '}', want ',' or ']'")
	syntax(`{"a":{"b":1]}`, "11: found ']', want ',' or '}'")
	syntax(`{"a":{"b":1,}}`, "12: found '}', want a key in double quotes")
	syntax(`{"a":01}`, "6: found '1', want ',' or '}'")
	syntax(`{"a":+1}`, "5: found '+', want a value")
	syntax(`{"a":.5}`, "5: found '.', want a value")
	syntax(`{"a":1.}`, "7: found '}', want a digit")
	syntax(`{"a":1e}`, "7: found '}', want a digit")
	syntax(`{"a":-x}`, "6: found 'x', want a digit")
	syntax(`{"a":0x1}`, "6: found 'x', want ',' or '}'")
	syntax(`{"a":NaN}`, "5: found 'N', want a value")
	syntax(`{"a":nul}`, "8: found '}', want null")
	syntax(`{"a":TRUE}`, "5: found 'T', want a value")
	syntax(`{"a":truex}`, "9: found 'x', want ',' or '}'")
	syntax(`{"a":1/**/}`, "6: found '/', want ',' or '}'")
	syntax(`{"a":"\x41"}`, `7: found 'x', want a character that '\' can escape`)
	syntax(`{"a":"\u00g0"}`, "10: found 'g', want a hexadecimal digit")
	syntax("{\"a\":\"b\nc\"}", "7: a control character in a string must be escaped")
	syntax("{\"a\":\"0123456789\x1f\"}", "16: a control character in a string must be escaped")
	syntax("{\"a\x00\":1}", "3: a control character in a string must be escaped")
	syntax("{\u00A0}", `1: found '\u00a0', want a key in double quotes`)

	// Too much.
	tooDeep := "the request body is nested deeper than 1000 levels at byte "
	invalid(`{"a":`+strings.Repeat("[", 100_000), tooDeep+"1004")
	invalid(strings.Repeat(`{"a":`, 100_000), tooDeep+"5000")
	invalid(`{"a":`+strings.Repeat("[", 1000)+strings.Repeat("]", 1000)+`}`, tooDeep+"1004")
	invalid(`{"k":0`+strings.Repeat(`,"k":0`, 1000)+`}`, "the request body has more than 1000 top-level keys")

	// Not UTF-8.
	invalid("{\"a\":\"\xff\"}", "the request body is not valid UTF-8 at byte 6")
	invalid("{\"a\":\"日本 \xe6\x97\"}", "the request body is not valid UTF-8 at byte 13")
	invalid("{\"a\":\"\xed\xa0\x80\"}", "the request body is not valid UTF-8 at byte 6")
	invalid("{\"a\":\"\xc0\xaf\"}", "the request body is not valid UTF-8 at byte 6")
	invalid("{\"mod\xffel\":\"m\"}", "the request body is not valid UTF-8 at byte 5")
	invalid("{\xff}", "the request body is not valid UTF-8 at byte 1")
	invalid("\xff\xfe{\x00}\x00", "the request body is not valid UTF-8 at byte 0")

	// Keys that a parser may read as others.
	invalid(`{"model":"m","model\u0000":"x"}`, `the request body has a key with a control character: "model\u0000"`)
	invalid(`{"model\r":"x"}`, `the request body has a key with a control character: "model\r"`)
	invalid(`{"\u001fmax_tokens":1}`, `the request body has a key with a control character: "\u001fmax_tokens"`)
	invalid(`{"model\ud800":"x"}`, `the request body has a key with half of a surrogate pair: "model\ud800"`)
	invalid(`{"\udc00\ud800`+strings.Repeat("k", 1000)+`":1}`, `the request body has a key with half of a surrogate pair: "\udc00\ud800`+strings.Repeat("k", 51))

	// model.
	long := strings.Repeat("m", 1<<20)
	invalid(`{"model":null}`, "model must be a string, but is null")
	invalid(`{"model":42}`, "model must be a string, but is a number")
	invalid(`{"model":true}`, "model must be a string, but is a boolean")
	invalid(`{"model":["m"]}`, "model must be a string, but is an array")
	invalid(`{"model":{}}`, "model must be a string, but is an object")
	invalid(`{"model":""}`, "model must not be empty")
	invalid(`{"model":"`+long+`"}`, "model is longer than 256 bytes")
	invalid(`{"model":"`+long[:257]+`"}`, "model is longer than 256 bytes")
	invalid(`{"model":"`+strings.Repeat("é", 129)+`"}`, "model is longer than 256 bytes")
	invalid(`{"model":"`+strings.Repeat(`\u006d`, 257)+`"}`, "model is longer than 256 bytes")
	invalid(`{"model":"`+strings.Repeat(`\n`, 1<<19)+`"}`, "model is longer than 256 bytes")
	invalid(`{"model":"a\nb"}`, `model has a control character: "a\nb"`)
	invalid(`{"model":"a\u0000b"}`, `model has a control character: "a\x00b"`)
	invalid("{\"model\":\"a\u0085\"}", `model has a control character: "a\u0085"`)
	invalid("{\"model\":\"\x7f"+long[:100]+`"}`, `model has a control character: "\x7f`+long[:63]+`"`)
	invalid("{\"model\":\"\x7f"+strings.Repeat("日", 30)+`"}`, `model has a control character: "\x7f`+strings.Repeat("日", 21)+`"`)
	invalid(`{"model":"\ud800"}`, "model has half of a surrogate pair")
	invalid(`{"model":"\ude00\ud83d"}`, "model has half of a surrogate pair")
	invalid(`{"model":"\ud83d\u0041"}`, "model has half of a surrogate pair")
	invalid(`{"model":"\ud83dx"}`, "model has half of a surrogate pair")

	// models.
	invalid(`{"models":null}`, "models must be a list of strings, but is null")
	invalid(`{"models":"m"}`, "models must be a list of strings, but is a string")
	invalid(`{"models":{"0":"m"}}`, "models must be a list of strings, but is an object")
	invalid(`{"models":[]}`, "models must not be empty, leave it out instead")
	invalid(`{"models":[ ]}`, "models must not be empty, leave it out instead")
	invalid(`{"models":["a",1]}`, "models[1] must be a string, but is a number")
	invalid(`{"models":[null]}`, "models[0] must be a string, but is null")
	invalid(`{"models":[["a"]]}`, "models[0] must be a string, but is an array")
	invalid(`{"models":["a",""]}`, "models[1] must not be empty")
	invalid(`{"models":["`+long+`"]}`, "models[0] is longer than 256 bytes")
	invalid(`{"models":["a\t"]}`, `models[0] has a control character: "a\t"`)
	invalid(`{"models":["m"`+strings.Repeat(`,"m"`, 32)+`]}`, "models has more than 32 entries")
	invalid(`{"models":["m"`+strings.Repeat(`,"m"`, 9_999)+`]}`, "models has more than 32 entries")

	// What some parsers would read as another model.
	duplicate(`{"model":"a","model":"b"}`, `the request body has two "model"; send it once`)
	duplicate(`{"model":"a","model":"a"}`, `the request body has two "model"; send it once`)
	duplicate(`{"model":"a","x":0,"mod\u0065l":"b"}`, `the request body has two "model"; send it once`)
	duplicate(`{"\u006dodel":"a","mod\u0065l":"b"}`, `the request body has two "model"; send it once`)
	duplicate(`{"model":"a","model":null}`, `the request body has two "model"; send it once`)
	duplicate(`{"models":["a"],"model\u0073":["b"]}`, `the request body has two "models"; send it once`)
	duplicate(`{"model":"a","Model":"b"}`, `"Model" reads as "model" to some parsers; spell it "model"`)
	duplicate(`{"MODEL":"b"}`, `"MODEL" reads as "model" to some parsers; spell it "model"`)
	duplicate(`{"\u004dodel":"b"}`, `"Model" reads as "model" to some parsers; spell it "model"`)
	duplicate(`{"Models":["b"]}`, `"Models" reads as "models" to some parsers; spell it "models"`)
	duplicate(`{"modelſ":["b"]}`, `"modelſ" reads as "models" to some parsers; spell it "models"`)
	duplicate(`{"model\u017f":["b"]}`, `"modelſ" reads as "models" to some parsers; spell it "models"`)
}

// Every single byte of a body may be wrong, at every phase of the eight-byte
// scan.
func TestReadJSONFindsEachStopByte(t *testing.T) {
	var body Body
	for length := range 40 {
		for at := range length {
			for _, stop := range []string{"\x00", "\x1f", "\xff", `\x`} {
				text := []byte(strings.Repeat("é", length))[:length]
				for i := range text {
					text[i] = byte('a' + i%26)
				}
				input := `{"a":"` + string(text[:at]) + stop + string(text[at:]) + `"}`
				if ReadJSON([]byte(input), &body) == nil {
					t.Errorf("accepted %q", input)
				}
			}
		}
	}
}

func TestReadJSONReusesTheBody(t *testing.T) {
	var body Body
	first := `{"model":"a","models":["b","c"],"stream":true,"x":1}`
	if err := ReadJSON([]byte(first), &body); err != nil {
		t.Fatal(err)
	}
	if err := ReadJSON([]byte(`{"y":2}`), &body); err != nil {
		t.Fatal(err)
	}
	if body.HasModel || body.Model != "" || body.HasModels || len(body.Models) > 0 || body.Stream || len(body.Members) != 1 {
		t.Errorf("left over from the last body: %+v", body)
	}
}

package e2e

import (
	"bytes"
	"compress/gzip"
	"strings"
	"testing"
)

func compressed(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(s))
	_ = w.Close()
	return b.String()
}

const (
	notString = "model must be a string, but is "
	notObject = "the request body must be a JSON object, but is "
	notJSON   = "the request body is not valid JSON at byte "
	noBody    = "the request has no body: PATH takes one that names a model"
)

// bodies are refused by both APIs, each in its own shape. In a message, PATH
// stands for the path.
func (h *hostile) bodies(t *testing.T) {
	tests := []struct{ name, body, code, message string }{
		{"not JSON", `hello`, "invalid_body", notJSON + "0: found 'h', want a JSON object"},
		{"a form", `model=p:m`, "invalid_body", notJSON + "0: found 'm', want a JSON object"},
		{"an array", `[{"model":"p:m"}]`, "invalid_body", notObject + "an array"},
		{"a string", `"p:m"`, "invalid_body", notObject + "a string"},
		{"null", `null`, "invalid_body", notObject + "null"},
		{"a number", `1`, "invalid_body", notObject + "a number"},
		{"empty", ``, "invalid_body", noBody},
		{"blank", " \r\n\t", "invalid_body", "the request body is empty, it must be a JSON object"},
		{"truncated", `{"model":"p:m"`, "invalid_body", "the request body is truncated: it ends at byte 14, inside its JSON object"},
		{"truncated in a string", `{"model":"p:m`, "invalid_body", "the request body is truncated: it ends at byte 13, inside its JSON object"},
		{"two objects", `{"model":"p:m"}{"model":"p:n"}`, "invalid_body", "the request body has more after its JSON object, at byte 15"},
		{"a NUL after it", "{\"model\":\"p:m\"}\x00", "invalid_body", "the request body has more after its JSON object, at byte 15"},
		{"trailing comma", `{"model":"p:m",}`, "invalid_body", notJSON + "15: found '}', want a key in double quotes"},
		{"comment", `{/**/"model":"p:m"}`, "invalid_body", notJSON + "1: found '/', want a key in double quotes"},
		{"single quotes", `{'model':'p:m'}`, "invalid_body", notJSON + "1: found '\\'', want a key in double quotes"},
		{"NaN", `{"model":"p:m","n":NaN}`, "invalid_body", notJSON + "19: found 'N', want a value"},
		{"leading zero", `{"model":"p:m","n":01}`, "invalid_body", notJSON + "20: found '1', want ',' or '}'"},
		{"100,000 arrays", strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000), "invalid_body", notObject + "an array"},
		{"100,000 arrays inside", `{"model":"p:m","x":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + "}", "invalid_body", "the request body is nested deeper than 1000 levels at byte 1018"},
		{"100,000 objects inside", `{"model":"p:m","x":` + strings.Repeat(`{"a":`, 100_000), "invalid_body", "the request body is nested deeper than 1000 levels at byte 5014"},
		{"1,001 keys", `{"model":"p:m"` + strings.Repeat(`,"a":0`, 1000) + "}", "invalid_body", "the request body has more than 1000 top-level keys"},
		{"invalid UTF-8 in a string", "{\"model\":\"p:m\",\"x\":\"\xff\"}", "invalid_body", "the request body is not valid UTF-8 at byte 20"},
		{"invalid UTF-8 in a key", "{\"model\":\"p:m\",\"\xc0\xaf\":1}", "invalid_body", "the request body is not valid UTF-8 at byte 16"},
		{"invalid UTF-8 in the model", "{\"model\":\"p:\xed\xa0\x80\"}", "invalid_body", "the request body is not valid UTF-8 at byte 12"},
		{"byte order mark", "\xef\xbb\xbf{\"model\":\"p:m\"}", "invalid_body", "the request body starts with a byte order mark, send it without one"},
		{"UTF-16", "\xff\xfe{\x00}\x00", "invalid_body", "the request body is not valid UTF-8 at byte 0"},
		{"gzip unannounced", compressed(`{"model":"p:m"}`), "invalid_body", notJSON + `0: found '\x1f', want a JSON object`},

		{"model is a number", `{"model":1}`, "invalid_body", notString + "a number"},
		{"model is null", `{"model":null}`, "invalid_body", notString + "null"},
		{"model is a list", `{"model":["p:m"]}`, "invalid_body", notString + "an array"},
		{"model is an object", `{"model":{"id":"p:m"}}`, "invalid_body", notString + "an object"},
		{"model is true", `{"model":true}`, "invalid_body", notString + "a boolean"},
		{"model is empty", `{"model":""}`, "invalid_body", "model must not be empty"},
		{"model of 1 MB", `{"model":"p:` + strings.Repeat("m", 1<<20) + `"}`, "invalid_body", "model is longer than 256 bytes"},
		{"model of 257 bytes", `{"model":"p:` + strings.Repeat("m", 255) + `"}`, "invalid_body", "model is longer than 256 bytes"},
		{"model with a raw newline", "{\"model\":\"p:\nm\"}", "invalid_body", notJSON + "12: a control character in a string must be escaped"},
		{"model with a newline", `{"model":"p:\nm"}`, "invalid_body", `model has a control character: "p:\nm"`},
		{"model with a NUL", `{"model":"p:m\u0000"}`, "invalid_body", `model has a control character: "p:m\x00"`},
		{"model with DEL", `{"model":"p:m\u007f"}`, "invalid_body", `model has a control character: "p:m\x7f"`},
		{"model with a C1 control", `{"model":"p:\u0085m"}`, "invalid_body", `model has a control character: "p:\u0085m"`},
		{"model with half a pair", `{"model":"p:\ud800"}`, "invalid_body", "model has half of a surrogate pair"},

		{"model twice", `{"model":"p:m","model":"q:m"}`, "duplicate_key", `the request body has two "model"; send it once`},
		{"model twice, the same", `{"model":"p:m","model":"p:m"}`, "duplicate_key", `the request body has two "model"; send it once`},
		{"model twice, escaped", `{"model":"p:m","mod\u0065l":"q:m"}`, "duplicate_key", `the request body has two "model"; send it once`},
		{"model twice, both escaped", `{"\u006dodel":"p:m","mod\u0065l":"q:m"}`, "duplicate_key", `the request body has two "model"; send it once`},
		{"Model", `{"model":"p:m","Model":"q:m"}`, "duplicate_key", `"Model" reads as "model" to some parsers; spell it "model"`},
		{"MODEL alone", `{"MODEL":"q:m"}`, "duplicate_key", `"MODEL" reads as "model" to some parsers; spell it "model"`},
		{"models with a long s", "{\"model\":\"p:m\",\"model\u017f\":[\"q:m\"]}", "duplicate_key", `"modelſ" reads as "models" to some parsers; spell it "models"`},
		{"models twice", `{"models":["p:m"],"model\u0073":["q:m"]}`, "duplicate_key", `the request body has two "models"; send it once`},
		{"model and a NUL", `{"model":"p:m","model\u0000":"q:m"}`, "invalid_body", `the request body has a key with a control character: "model\u0000"`},
		{"model and half a pair", `{"model":"p:m","model\ud800":"q:m"}`, "invalid_body", `the request body has a key with half of a surrogate pair: "model\ud800"`},
		{"models is a string", `{"models":"p:m"}`, "invalid_body", "models must be a list of strings, but is a string"},
		{"models is an object", `{"models":{"0":"p:m"}}`, "invalid_body", "models must be a list of strings, but is an object"},
		{"models is null", `{"models":null}`, "invalid_body", "models must be a list of strings, but is null"},
		{"models is empty", `{"models":[]}`, "invalid_body", "models must not be empty, leave it out instead"},
		{"models has a number", `{"models":["p:m",1]}`, "invalid_body", "models[1] must be a string, but is a number"},
		{"models has null", `{"models":[null]}`, "invalid_body", "models[0] must be a string, but is null"},
		{"models has a list", `{"models":[["p:m"]]}`, "invalid_body", "models[0] must be a string, but is an array"},
		{"models has an empty one", `{"models":["p:m",""]}`, "invalid_body", "models[1] must not be empty"},
		{"models has a control character", `{"models":["p:m\r\nx-evil: 1"]}`, "invalid_body", `models[0] has a control character: "p:m\r\nx-evil: 1"`},
		{"10,000 models", `{"models":["p:m"` + strings.Repeat(`,"p:m"`, 9_999) + `]}`, "invalid_body", "models has more than 32 entries"},

		{"unknown model", `{"model":"nowhere"}`, "model_not_found", `unknown model "nowhere": write provider:model, or a name from GET /v1/models`},
		{"provider without a model", `{"model":"p:"}`, "model_not_found", `unknown model "p:": write provider:model, or a name from GET /v1/models`},
		{"format string", `{"model":"%REQ(:authority)% %DYNAMIC_METADATA(weir)% %s"}`, "model_not_found", `unknown model "%REQ(:authority)% %DYNAMIC_METADATA(weir)% %s": write provider:model, or a name from GET /v1/models`},
		{"markup", `{"model":"<script>\"\\"}`, "model_not_found", `unknown model "<script>\"\\": write provider:model, or a name from GET /v1/models`},
		{"long unknown model", `{"model":"` + strings.Repeat("é", 128) + `"}`, "model_not_found", `unknown model "` + strings.Repeat("é", 32) + `": write provider:model, or a name from GET /v1/models`},
	}
	for _, path := range []string{"/v1/chat/completions", "/v1/messages"} {
		for _, test := range tests {
			t.Run(path+" "+test.name, func(t *testing.T) {
				wantRefusal(t, h.Post(path, test.body), path, test.code, strings.ReplaceAll(test.message, "PATH", path))
				h.nothingSent(t)
			})
		}
	}
}

// oddBodies are valid. A provider receives them byte for byte, but for the
// model.
func (h *hostile) oddBodies(t *testing.T) {
	deep := strings.Repeat("[", 999) + strings.Repeat("]", 999)
	long := strings.Repeat("m", 254)
	tests := []struct{ name, body, want string }{
		{"no model", `{"messages":[]}`, `{"model":"m","messages":[]}`},
		{"empty object", "{}\n", "{\"model\":\"m\"}\n"},
		{"weir/auto", `{"model":"weir/auto"}`, `{"model":"m"}`},
		{"escaped model", `{"\u006dodel":"\u0070:\u006d"}`, `{"\u006dodel":"m"}`},
		{"model inside others", `{"x":{"model":"a","model":"b","Model":"c"},"model":"p:m","y":[{"model":1}]}`, `{"x":{"model":"a","model":"b","Model":"c"},"model":"m","y":[{"model":1}]}`},
		{"other keys twice", `{"model":"p:m","n":1,"n":2,"N":3}`, `{"model":"m","n":1,"n":2,"N":3}`},
		{"odd numbers", `{"model":"p:m","n":[1e400,-0,1E-7,123456789012345678901234567890]}`, `{"model":"m","n":[1e400,-0,1E-7,123456789012345678901234567890]}`},
		{"lone surrogate elsewhere", `{"model":"p:m","x":"\ud800"}`, `{"model":"m","x":"\ud800"}`},
		{"as deep as allowed", `{"model":"p:m","x":` + deep + `}`, `{"model":"m","x":` + deep + `}`},
		{"model as long as allowed", `{"model":"p:` + long + `"}`, `{"model":"` + long + `"}`},
		{"models repeat", `{"model":"p:m","models":["p:m","P:m","p/m"]}`, `{"model":"m"}`},
		{"model not ASCII", `{"model":"p:☃ é\u202e"}`, "{\"model\":\"☃ é\u202e\"}"},
		{"model of Envoy's format", `{"model":"p:%REQ(authorization)%"}`, `{"model":"%REQ(authorization)%"}`},
		{"stream is a string", `{"model":"p:m","stream":"true "}`, `{"model":"m","stream":"true "}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := h.Post("/v1/chat/completions", test.body)
			if strings.Contains(test.name, "stream") {
				a.Status, a.Body = 200, "p answers as " // the recorder has its own opinion of it
			}
			h.wantSent(t, a, "/v1/chat/completions", test.want)
		})
	}
}

func (h *hostile) contentTypes(t *testing.T) {
	const path, body = "/v1/chat/completions", `{"model":"p:m"}`
	wrong := path + " takes JSON: send Content-Type: application/json, not "
	tests := []struct {
		name    string
		header  []string
		code    string // empty: the request is sent
		message string
	}{
		{"none", []string{"Content-Type", ""}, "", ""},
		{"charset", []string{"Content-Type", "Application/JSON ; Charset=UTF-8"}, "", ""},
		{"text", []string{"Content-Type", "text/plain"}, "invalid_body", wrong + `"text/plain"`},
		{"a form", []string{"Content-Type", "application/x-www-form-urlencoded"}, "invalid_body", wrong + `"application/x-www-form-urlencoded"`},
		{"multipart", []string{"Content-Type", "multipart/form-data; boundary=b"}, "invalid_body", wrong + `"multipart/form-data; boundary=b"`},
		{"nonsense", []string{"Content-Type", ";;;"}, "invalid_body", wrong + `";;;"`},
		{"two in one", []string{"Content-Type", "application/json, text/plain"}, "invalid_body", wrong + `"application/json, text/plain"`},
		// aiohttp decodes JSON by it, and +ACI- is a quote in UTF-7.
		{"UTF-7", []string{"Content-Type", "application/json; charset=utf-7"}, "invalid_body", `the request body must be UTF-8, not charset "utf-7"`},
		{"UTF-16", []string{"Content-Type", `application/json; charset="utf-16le"`}, "invalid_body", `the request body must be UTF-8, not charset "utf-16le"`},
		{"UTF-7 as RFC 2231 writes it", []string{"Content-Type", "application/json; charset*=iso-8859-1''utf-7"}, "invalid_body", `the Content-Type "application/json; charset*=iso-8859-1''utf-7" reads differently to different servers: send no parameters but charset=utf-8, and a form's boundary`},
		{"two charsets", []string{"Content-Type", "application/json; charset=utf-8; charset=utf-7"}, "invalid_body", wrong + `"application/json; charset=utf-8; charset=utf-7"`},
		{"gzip", []string{"Content-Encoding", "gzip"}, "unsupported_encoding", `the request body is encoded as "gzip": send it without Content-Encoding`},
		{"gzip and identity", []string{"Content-Encoding", "gzip, identity"}, "unsupported_encoding", `the request body is encoded as "gzip, identity": send it without Content-Encoding`},
		{"zstd", []string{"Content-Encoding", "zstd"}, "unsupported_encoding", `the request body is encoded as "zstd": send it without Content-Encoding`},
		{"identity", []string{"Content-Encoding", "Identity"}, "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := h.Post(path, body, test.header...)
			if test.code == "" {
				h.wantSent(t, a, path, `{"model":"m"}`)
				return
			}
			wantRefusal(t, a, path, test.code, test.message)
			h.nothingSent(t)
		})
	}
	t.Run("gzip of a body", func(t *testing.T) {
		a := h.Post("/v1/messages", compressed(body), "Content-Encoding", "gzip")
		wantRefusal(t, a, "/v1/messages", "unsupported_encoding", `the request body is encoded as "gzip": send it without Content-Encoding`)
		h.nothingSent(t)
	})
	// Envoy answers a gRPC client in gRPC: the status is 200, the refusal is in
	// the headers.
	t.Run("gRPC", func(t *testing.T) {
		a := h.Post(path, body, "Content-Type", "application/grpc")
		if message := errorBody(path, "invalid_body", wrong+`"application/grpc"`); a.Status != 200 || a.Body != "" || a.Header.Get("Grpc-Status") != "13" || a.Header.Get("Grpc-Message") != message {
			t.Errorf("response %d %q %v", a.Status, a.Body, a.Header)
		}
		h.nothingSent(t)
	})
	t.Run("JSON to a form's path", func(t *testing.T) {
		a := h.Post("/v1/audio/transcriptions", body)
		wantRefusal(t, a, "/v1/audio/transcriptions", "invalid_body", `/v1/audio/transcriptions takes multipart/form-data, not Content-Type "application/json"`)
		h.nothingSent(t)
	})
	t.Run("a form in UTF-7", func(t *testing.T) {
		a := h.Post("/v1/audio/transcriptions", "--b--\r\n", "Content-Type", "multipart/form-data; boundary=b; charset=utf-7")
		wantRefusal(t, a, "/v1/audio/transcriptions", "invalid_body", `the request body must be UTF-8, not charset "utf-7"`)
		h.nothingSent(t)
	})
}

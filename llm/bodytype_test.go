package llm

import "testing"

func TestBodyType(t *testing.T) {
	json, form := EndpointAt("/v1/chat/completions"), EndpointAt("/v1/audio/transcriptions")
	f := func(e *Endpoint, contentType, boundary string, taken bool) {
		t.Helper()
		got, err := e.BodyType(contentType, "")
		if got != boundary || taken != (err == nil) {
			t.Errorf("%s: boundary %q, %v", contentType, got, err)
		}
	}
	f(json, "", "", true)
	f(json, "application/json", "", true)
	f(json, `Application/JSON ; Charset="UTF-8"`, "", true)
	f(json, "application/json; charset = utf-8", "", true)
	f(json, "application/json; profile=x", "", true)
	for _, charset := range []string{"utf8", "UTF8", `"utf8"`, `"Utf-8"`, "unicode-1-1-utf-8"} {
		f(json, "application/json; charset="+charset, "", true)
		f(json, "application/json;charset="+charset+";", "", true)
	}
	f(json, "application/json; charset=iso-8859-1", "", false)
	f(json, "application/json; charset=utf-16", "", false)
	f(json, "application/json; charset=utf-88", "", false)
	// aiohttp takes these for UTF-7.
	f(json, "application/json; charset=utf-7", "", false)
	f(json, "application/json; charset*=utf-8''utf-7", "", false)
	f(json, "application/json; charset*=iso-8859-1''utf-7", "", false)
	f(json, "application/json; charset*0=utf; charset*1=-7", "", false)
	// So may who looks for the word alone.
	f(json, `application/json; x="; charset=utf-7"`, "", false)
	f(json, `application/json; charset=utf-8; x="; charset=utf-7"`, "", false)
	f(json, "application/json; xcharset=utf-7", "", false)

	f(form, "multipart/form-data; boundary=b", "b", true)
	f(form, "multipart/form-data;boundary=b;charset=UTF-8", "b", true)
	f(form, "multipart/form-data;boundary=b;charset=utf8", "b", true)
	f(form, "multipart/form-data;boundary=b;charset=unicode11utf8", "", false)
	f(form, `multipart/form-data; charset=utf-8; boundary="----WebKitFormBoundary'()+_,-./:=?"`, "----WebKitFormBoundary'()+_,-./:=?", true)
	f(form, "multipart/form-data; Boundary=Boundary-b", "Boundary-b", true)
	// To a provider, each of these may have the boundary b.
	f(form, "multipart/form-data; boundary=b; boundary=c", "", false)
	f(form, "multipart/form-data; boundary=b; boundary*0=c", "", false)
	f(form, "multipart/form-data; boundary*=utf-8''c; boundary=b", "", false)
	f(form, "multipart/form-data; boundary*=iso-8859-1''b; boundary=c", "", false)
	f(form, "multipart/form-data; xboundary=b; boundary=c", "", false)
	f(form, `multipart/form-data; x="boundary=b"; boundary=c`, "", false)
	f(form, `multipart/form-data; boundary="boundary=b"`, "", false)
	f(form, `multipart/form-data; x="\"; boundary=b; y="; boundary=c`, "", false)
	f(form, "multipart/form-data; boundary =b", "", false)
}

// TestSentType: providers receive JSON with the plain type, whatever the client wrote, and
// forms with the client's, which holds the boundary.
func TestSentType(t *testing.T) {
	json, form := EndpointAt("/v1/chat/completions"), EndpointAt("/v1/audio/transcriptions")
	f := func(e *Endpoint, contentType, want string) {
		t.Helper()
		if got := e.SentType(contentType); got != want {
			t.Errorf("%q: %q, want %q", contentType, got, want)
		}
	}
	f(json, "application/json", "")
	f(json, "", "")
	f(json, "application/json; charset=utf-8", "application/json")
	f(json, "Application/JSON", "application/json")
	f(form, "multipart/form-data; boundary=b", "")
}

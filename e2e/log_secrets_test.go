package e2e

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"weir/envoy"
	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// What must be in no log: credentials, and what clients and models say.
const (
	logClientKey   = "client-key-0123456789abcdef"
	logWrongKey    = "wrong-key-0123456789abcdef"
	logProviderKey = "provider-key-0123456789abcdef"
	logPrompt      = "PROMPT-what-the-client-says"
	logAnswer      = "ANSWER-what-the-model-says"
	logFile        = "FILE-what-the-client-sends"
	logHeader      = "HEADER-of-the-client"
	logQuery       = "QUERY-of-the-client"
	logOwnHeader   = "HEADER-of-the-operator"
	logPadding     = "PADDING-of-a-body"
)

var logSecrets = []string{logClientKey, logWrongKey, logProviderKey, logPrompt, logAnswer, logFile, logHeader, logQuery, logOwnHeader, logPadding}

// mixed is a gateway with providers that do well and badly.
type mixed struct {
	*gatewaytest.Gateway
	t          *testing.T
	good, bad  *recorder.Provider
	secure     *recorder.Provider
	config     string
	last       string // body
	envoysLine string // what Envoy itself wrote, as a file
}

// startMixed runs Weir with debug on and an Envoy with a level of its own. What
// Envoy writes is kept before Weir reads it.
func startMixed(t *testing.T, level string) *mixed {
	t.Helper()
	ca := recorder.NewCA(t)
	m := &mixed{
		t: t, good: recorder.Start(t, recorder.WithName(logAnswer)), bad: recorder.Start(t),
		secure: recorder.Start(t, recorder.WithName(logAnswer), recorder.WithTLS("secure.internal"), recorder.WithCA(ca)),
	}
	found, err := envoy.Find(t.Context(), envoy.FindOptions{})
	must(t, err)
	dir := t.TempDir()
	m.envoysLine = filepath.Join(dir, "envoy.log")
	program := filepath.Join(dir, "envoy")
	must(t, os.WriteFile(program, fmt.Appendf(nil, `#!/bin/bash
case "$1" in --version) exec %[1]s "$@";; esac
exec %[1]s "$@" > >(exec /usr/bin/tee -a %[2]s) 2>&1
`, found, m.envoysLine), 0o755))
	m.config = fmt.Sprintf(`
envoy: {path: %q, log_level: %s}
access_keys: [{name: team, value: %s}]
connect_to: {"secure.internal:443": %s}
max_body_bytes: 65536
on_http_request:
  - type: ai-gateway
    config:
      per_request_timeout: 2s
      outlier_detection: {disabled: true}
      headers: {x-operator: "${secrets.get('own', 'header')}"}
      providers:
        - {id: bad, base_url: %q, api_keys: [{value: %s}]}
        - {id: good, base_url: %q, api_keys: [{value: %s}], supported_api_surfaces: [{format: openai}, {format: anthropic}]}
        - {id: secure, base_url: "https://secure.internal", api_keys: [{value: %s}], tls: {ca_file: %s}}
        - {id: untrusted, base_url: "https://secure.internal", api_keys: [{value: %s}]}
        - {id: closed, base_url: "http://%s", api_keys: [{value: %s}]}
`, program, level, logClientKey, m.secure.Addr(), m.bad.URL(), logProviderKey, m.good.URL(), logProviderKey+"-2",
		logProviderKey+"-3", ca.File(t), logProviderKey+"-4", recorder.ClosedAddr(t), logProviderKey+"-5")
	m.Gateway = gatewaytest.Start(t, m.config, gatewaytest.Args("--log-level", "debug"), gatewaytest.Secrets(logSecrets...),
		gatewaytest.Env("WEIR_SECRET_OWN_HEADER", logOwnHeader),
		gatewaytest.Env("GRPC_GO_LOG_SEVERITY_LEVEL", "info"), gatewaytest.Env("GRPC_GO_LOG_VERBOSITY_LEVEL", "99"),
		gatewaytest.Env("GRPC_BINARY_LOG_FILTER", "*"), gatewaytest.Env("GODEBUG", "http2debug=2"))
	return m
}

func (m *mixed) ask(client *http.Client, method, path, contentType string, body io.Reader, header ...string) int {
	m.t.Helper()
	req, err := http.NewRequestWithContext(m.t.Context(), method, m.URL+path, body)
	must(m.t, err)
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Authorization", "Bearer "+logClientKey)
	req.Header.Set("X-Of-Client", logHeader)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(resp.Body)
	m.last = string(answer)
	return resp.StatusCode
}

// traffic sends a request of each kind, over both versions of HTTP.
func (m *mixed) traffic() {
	m.t.Helper()
	chat := func(fields string) io.Reader {
		return strings.NewReader(`{` + fields + `,"messages":[{"role":"user","content":"` + logPrompt + `"}]}`)
	}
	const json = "application/json"
	statuses := map[int]int{}
	for _, client := range []*http.Client{http1(m.t), http2(m.t)} {
		ask := func(want int, method, path, contentType string, body io.Reader, header ...string) {
			m.t.Helper()
			got := m.ask(client, method, path, contentType, body, header...)
			if got != want && want >= 0 {
				m.t.Errorf("%s %s: status %d, want %d: %s", method, path, got, want, m.last)
			}
			statuses[got]++
		}
		const path = "/v1/chat/completions?key=" + logQuery
		ask(200, "POST", path, json, chat(`"model":"good:m"`))
		ask(200, "POST", path, json, chat(`"model":"secure:m"`))
		ask(200, "POST", path, json, chat(`"model":"good:m","stream":true`))
		ask(200, "POST", "/v1/messages?beta="+logQuery, json, chat(`"model":"good:m","stream":true,"max_tokens":9`))
		ask(200, "POST", path, json, io.MultiReader(chat(`"model":"good:m"`))) // chunked
		ask(200, "GET", "/v1/models?x="+logQuery, json, nil)
		var form bytes.Buffer
		parts := multipart.NewWriter(&form)
		_ = parts.WriteField("model", "good:m")
		file, _ := parts.CreateFormFile("file", logFile+".wav")
		_, _ = io.WriteString(file, logFile)
		_ = parts.Close()
		ask(200, "POST", "/v1/audio/transcriptions", parts.FormDataContentType(), &form)

		for _, answer := range []recorder.Response{
			recorder.Status(500, http.Header{"X-Answer": {logAnswer}}, logAnswer), recorder.ResetBeforeHeaders, recorder.CloseBeforeHeaders, recorder.Silence,
			recorder.Status(200, http.Header{"Content-Type": {"text/html"}}, logAnswer),
		} {
			m.bad.Script(answer)
			ask(200, "POST", path, json, chat(`"models":["bad:m","good:m"]`))
		}
		m.bad.Script(recorder.Status(400, http.Header{"Content-Type": {"application/json"}, "Www-Authenticate": {logAnswer}}, logAnswer))
		ask(400, "POST", path, json, chat(`"models":["bad:m","good:m"]`))
		m.bad.Script(recorder.CutMidStream(2))
		ask(200, "POST", path, json, chat(`"model":"bad:m","stream":true`))
		m.bad.Script(recorder.CutMidBody(20))
		ask(-1, "POST", path, json, chat(`"model":"bad:m"`))
		m.bad.Script(recorder.Status(302, http.Header{"Location": {"http://" + logAnswer}}, logAnswer))
		ask(502, "POST", path, json, chat(`"model":"bad:m"`))
		ask(502, "POST", path, json, chat(`"models":["untrusted:m","closed:m"]`))

		ask(401, "POST", path, json, chat(`"model":"good:m"`), "Authorization", "Bearer "+logWrongKey)
		ask(401, "POST", path, json, chat(`"model":"good:m"`), "Authorization", "Basic "+logWrongKey)
		ask(200, "POST", path, json, chat(`"model":"good:m"`), "Authorization", "Bearer "+logWrongKey+"\t", "X-Api-Key", logWrongKey, "Authorization", "Bearer "+logClientKey)
		ask(404, "POST", "/v1/nothing?x="+logQuery, json, chat(`"model":"good:m"`))
		ask(404, "POST", path, json, chat(`"model":"unknown"`))
		ask(400, "POST", path, json, strings.NewReader(`{"model":"good:m",`+logPrompt))
		ask(400, "POST", path, json, strings.NewReader(logPrompt))
		ask(413, "POST", path, json, chat(`"model":"good:m","padding":"`+strings.Repeat(logPadding, 10_000)+`"`))
		ask(415, "POST", path, json, chat(`"model":"good:m"`), "Content-Encoding", "br")
		ask(-1, "POST", path, json, chat(`"model":"good:m"`), "X-Large", strings.Repeat(logHeader, 6000))
	}
	for _, broken := range []string{
		"GET /?x=" + logQuery + " HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + logClientKey + "\r\nBad Header " + logHeader + "\r\n\r\n",
		"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + logClientKey + "\r\nTransfer-Encoding: chunked\r\n\r\n" + logPrompt + "\r\n",
		"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + logClientKey + "\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n" + logPrompt,
		"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nX-Api-Key: " + logClientKey + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
		"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nX-Api-Key: " + logClientKey + "\r\nContent-Length: 500\r\n\r\n{\"" + logPrompt,
		logPrompt + " " + logClientKey + "\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + logPrompt + logClientKey,
	} {
		conn := m.Dial()
		_, _ = io.WriteString(conn, broken)
		if tcp, ok := conn.(interface{ CloseWrite() error }); ok {
			_ = tcp.CloseWrite()
		}
		_, _ = io.Copy(io.Discard, conn)
		_ = conn.Close()
	}
	// New secrets and clusters travel to Envoy, and old ones are retired.
	m.Reload(strings.ReplaceAll(m.config, logProviderKey+"-2", logProviderKey+"-new"))
	if m.ask(http1(m.t), "POST", "/v1/chat/completions", json, chat(`"model":"good:m"`)) != 200 {
		m.t.Error("no answer after the reload")
	}
	if len(statuses) < 8 {
		m.t.Errorf("the traffic is not as mixed as it should be: %v", statuses)
	}
}

// TestLogsKeepSecrets: at the levels of Envoy's log that say most, with Weir's own at debug
// and the debug variables of its libraries set, neither log shows a credential
// or anything that a client or a model said.
func TestLogsKeepSecrets(t *testing.T) {
	for _, level := range []string{"trace", "debug"} {
		t.Run(level, func(t *testing.T) {
			t.Parallel()
			m := startMixed(t, level)
			m.traffic()
			m.t.Cleanup(func() { m.checkEnvoysLines(level) })
		})
	}
}

func (m *mixed) checkEnvoysLines(level string) {
	text, err := os.ReadFile(m.envoysLine)
	must(m.t, err)
	leaks := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		for _, s := range logSecrets {
			if strings.Contains(line, s) {
				where, _, _ := strings.Cut(line, "] ")
				leaks[where] = append(leaks[where], line)
				break
			}
		}
	}
	for where, lines := range leaks {
		slices.Sort(lines)
		m.t.Errorf("Envoy shows a secret %d times in %s, such as %.300q", len(lines), where, lines[0])
	}
	if !strings.Contains(string(text), "["+level+"]") {
		m.t.Errorf("Envoy logs nothing at %s", level)
	}
}

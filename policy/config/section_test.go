package config

import "testing"

// TestSection cuts the section of access keys out of the text.
func TestSection(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		pos, problems := Decode("weir.yaml", []byte(text), &Config{})
		if err := problems.Err(); err != nil {
			t.Fatal(err)
		}
		start, end := pos.Section([]byte(text), "access_keys")
		if got := text[:start] + "|" + text[end:]; got != want {
			t.Errorf("%q:\n got %q\nwant %q", text, got, want)
		}
	}
	const keys = "access_keys:\n  - {name: a, value: 0123456789abcdef}\n"
	f("", "|")
	f("listen: localhost:1\n", "|listen: localhost:1\n")
	f(keys, "|")
	f(keys+"listen: localhost:1\n", "|listen: localhost:1\n")
	f("listen: localhost:1\n"+keys, "listen: localhost:1\n|")
	f("# ü\nlisten: localhost:1\n# of keys\n"+keys+"# of admin\nadmin: {}\n", "# ü\nlisten: localhost:1\n# of keys\n|admin: {}\n")
	f("\ufeff"+keys+"admin: {}\n", "\ufeff|admin: {}\n")
	f("listen: localhost:1\r\naccess_keys: []\r\nadmin: {}\r\n", "listen: localhost:1\r\n|admin: {}\r\n")
	f("---\n'access_keys': []\n\"admin\": {}\n", "---\n|\"admin\": {}\n")
	f("? access_keys\n: []\n? admin\n: {}\n", "? |admin\n: {}\n")
	// On one line.
	f("{listen: 'ü:1', access_keys: [{name: é, value: 0123456789abcdef}], admin: {}}", "{listen: 'ü:1', |admin: {}}")
	f("{listen: 'localhost:1', access_keys: []}", "{listen: 'localhost:1', |")
	f(`{"listen": "ü:1", "access_keys": [{"name": "access_keys", "value": "0123456789abcdef"}], "admin": {}}`, `{"listen": "ü:1", |"admin": {}}`)
	f("\n\t{\"access_keys\":\n[],\n \"admin\": {}}", "\n\t{|\"admin\": {}}")
	// Sections that other values may refer to stay.
	f("access_keys:\n- {name: a, value: 0123456789abcdef, configuration: &c {access: {}}}\n- {name: b, value: 0123456789abcdeg, configuration: *c}\nadmin: {}\n", "|admin: {}\n")
	f("access_keys: &keys []\nadmin: {}\n", "|admin: {}\n")
	f("access_keys: &keys []\nallow_http_hosts: *keys\n", "|access_keys: &keys []\nallow_http_hosts: *keys\n")
	f("access_keys: [{name: &n a, value: 0123456789abcdef}]\nlisten: *n\n", "|access_keys: [{name: &n a, value: 0123456789abcdef}]\nlisten: *n\n")
	f("<<: {access_keys: []}\nadmin: {}\n", "|<<: {access_keys: []}\nadmin: {}\n")
	f("listen: &k access_keys\n*k : []\nadmin: {}\n", "|listen: &k access_keys\n*k : []\nadmin: {}\n")
	// Its aliases to other sections do not matter.
	f("listen: &a localhost:1\naccess_keys: [{name: *a, value: 0123456789abcdef}]\nadmin: {}\n", "listen: &a localhost:1\n|admin: {}\n")
	// Other line breaks are not counted.
	f("listen: a\raccess_keys: []\radmin: {}\r", "|listen: a\raccess_keys: []\radmin: {}\r")
	f("listen: 'a\u2028'\naccess_keys: []\nadmin: {}\n", "|listen: 'a\u2028'\naccess_keys: []\nadmin: {}\n")
	f("admin: {}\naccess_keys: []\n...\n", "admin: {}\n|")
}

package config

import (
	"cmp"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"weir/llm"
)

// mismatch reports a value of the wrong kind. It does not repeat the value, which could be
// a key in the wrong place.
func (d *decoder) mismatch(n *yaml.Node, path, must string) { d.mismatchWrite(n, path, must, "") }

// mismatchWrite is mismatch with a hint what to write instead.
func (d *decoder) mismatchWrite(n *yaml.Node, path, must, write string) {
	is := "a string"
	switch {
	case n.Kind == yaml.MappingNode:
		is = "a mapping"
	case n.Kind == yaml.SequenceNode:
		is = "a list"
	case n.Tag == nullTag:
		is = "null"
	case n.Tag == boolTag:
		is = "a boolean"
	case n.Tag == intTag, n.Tag == floatTag:
		is = "a number"
	}
	if write != "" {
		write = ": " + write
	}
	p := d.pos.Problem(path, "must %s, but is %s%s", must, is, write)
	p.Unread = path
	d.add(p)
}

// notList reports a value in place of a list of strings.
func (d *decoder) notList(n *yaml.Node, path, must string) {
	write := ""
	if n.Kind == yaml.ScalarNode && n.Tag != nullTag || n.Kind == yaml.MappingNode {
		write = "write each entry on its own line, as `- …`"
	}
	d.mismatchWrite(n, path, must, write)
}

// notListOf reports a value in place of a list of structs.
func (d *decoder) notListOf(n *yaml.Node, path string, t reflect.Type) {
	names, index := fieldsOf(t)
	write := ""
	switch {
	case n.Kind == yaml.ScalarNode && n.Tag != nullTag:
		write = "write `" + item(names, n) + "`"
	case n.Kind != yaml.MappingNode || len(n.Content) == 0:
	case index[n.Content[0].Value] != nil:
		write = "put `- ` before the first field of each entry"
	default:
		write = "write `" + item(names, n.Content[0]) + "` in place of each key"
	}
	d.mismatchWrite(n, path, "be a list", write)
}

// notMapping reports a value in place of a struct.
func (d *decoder) notMapping(n *yaml.Node, path string, names []string) {
	write := ""
	switch {
	case n.Tag == nullTag || path == "":
	case strings.HasSuffix(path, "]"):
		if n.Kind == yaml.ScalarNode {
			write = "write `" + item(names, n) + "`"
		}
	case len(names) == 1:
		write = "write `" + names[0] + ": …` below it"
	case len(names) <= 6:
		write = "its fields are " + strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
	}
	d.mismatchWrite(n, path, "be a mapping", write)
}

// item returns how to write an entry of a list that has the value of n as its first
// field. Only an id is repeated: other values, and what looks like one, may be a key.
func item(names []string, n *yaml.Node) string {
	value := "…"
	if names[0] == "id" && isText(n) && !strings.Contains(n.Value, "://") && !strings.ContainsAny(n.Value, "$@ \n") && !Template(n.Value).IsCredential("") {
		value = llm.Clip(n.Value)
	}
	return "- " + names[0] + ": " + value
}

// boolMeant returns what to write in place of a boolean in other words.
func boolMeant(n *yaml.Node) string {
	switch strings.ToLower(n.Value) {
	case "true", "yes", "y", "on", "1", "enabled":
		return "write true, without quotes"
	case "false", "no", "n", "off", "0", "disabled":
		return "write false, without quotes"
	}
	return ""
}

// numberMeant returns what to do with a number in quotes.
func numberMeant(n *yaml.Node) string {
	if _, err := strconv.ParseFloat(n.Value, 64); isText(n) && err == nil && jsonNumber.MatchString(n.Value) {
		return "remove the quotes"
	}
	return ""
}

var bytesWritten = regexp.MustCompile(`^([0-9]{1,9})\s*([kmgt])(i?)(b?)$`)

// bytesMeant returns what to write in place of a number of bytes with a unit.
func bytesMeant(n *yaml.Node) string {
	m := bytesWritten.FindStringSubmatch(strings.ToLower(n.Value))
	if m == nil {
		return cmp.Or(numberMeant(n), "write 67108864 for 64 MiB")
	}
	number, _ := strconv.ParseInt(m[1], 10, 64) // nine digits fit
	base := int64(1000)
	if m[3] == "i" {
		base = 1024
	}
	for range 1 + strings.Index("kmgt", m[2]) {
		number *= base
	}
	return "write " + strconv.FormatInt(number, 10)
}

// durationExamples is what to write if it is not known what was meant.
const durationExamples = `"30s", "3m" or "1m30s"`

// secondsMeant returns what to write in place of a number without a unit.
func secondsMeant(number string) string {
	n, _ := strconv.ParseFloat(number, 64) // 0 if it is out of range, or no number
	switch {
	case !IsDecimal(number) || n <= 0 || n > 24*60*60*1000:
		return durationExamples
	case n < 1000:
		return `"` + number + `s"`
	case n <= 24*60*60:
		return `"` + number + `s" or "` + number + `ms"`
	}
	return `"` + number + `ms"`
}

var durationPart = regexp.MustCompile(`^([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*([a-z]+)[\s,]*`)

// durationMeant returns what to write in place of a text such as "30 seconds" or "1d".
func durationMeant(text string) string {
	var sum time.Duration
	for rest := strings.ToLower(strings.TrimSpace(text)); rest != ""; {
		m := durationPart.FindStringSubmatch(rest)
		if m == nil {
			return durationExamples
		}
		number, _ := strconv.ParseFloat(m[1], 64) // digits
		sum += time.Duration(number * float64(unit(m[2])))
		rest = rest[len(m[0]):]
		if unit(m[2]) == 0 || sum > 24*time.Hour {
			return durationExamples
		}
	}
	if sum <= 0 {
		return durationExamples
	}
	return `"` + written(sum) + `"`
}

// unit returns the duration of a unit, or 0 if the word is not a unit.
func unit(word string) time.Duration {
	units := []struct {
		words []string
		unit  time.Duration
	}{
		{[]string{"ms", "msec", "milli", "millisecond"}, time.Millisecond},
		{[]string{"s", "sec", "second"}, time.Second},
		{[]string{"m", "min", "minute"}, time.Minute},
		{[]string{"h", "hr", "hour"}, time.Hour},
		{[]string{"d", "day"}, 24 * time.Hour},
	}
	for _, u := range units {
		if slices.Contains(u.words, word) || slices.Contains(u.words[1:], strings.TrimSuffix(word, "s")) {
			return u.unit
		}
	}
	return 0
}

// written returns a duration as people write it: 3m rather than 3m0s.
func written(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}

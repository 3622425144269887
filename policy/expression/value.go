package expression

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

var emptyMap = mapOf(nil)

// text returns a CEL string. CEL strings are Unicode, so invalid UTF-8 is replaced.
func text(s string) ref.Val { return types.String(strings.ToValidUTF8(s, "\uFFFD")) }

func texts(words []string) ref.Val {
	if len(words) == 0 {
		return emptyList // a model has five lists
	}
	vals := make([]ref.Val, len(words))
	for i, w := range words {
		vals[i] = text(w)
	}
	return listOf(vals)
}

// valueOf converts a value from YAML or JSON into a CEL value.
func valueOf(v any) ref.Val {
	switch v := v.(type) {
	case nil:
		return types.NullValue
	case string:
		return text(v)
	case bool:
		return types.Bool(v)
	case int:
		return types.Int(v)
	case int64:
		return types.Int(v)
	case uint64:
		if v <= math.MaxInt64 {
			return types.Int(v)
		}
		return types.Double(v)
	case float64:
		return types.Double(v)
	case json.Number:
		return numberOf(string(v))
	case time.Time:
		return types.Timestamp{Time: v}
	case []any:
		vals := make([]ref.Val, len(v))
		for i, e := range v {
			vals[i] = valueOf(e)
		}
		return listOf(vals)
	case map[string]any:
		return anyMapOf(v)
	case map[any]any:
		vals := make(map[ref.Val]ref.Val, len(v))
		for k, e := range v {
			vals[text(fmt.Sprint(k))] = valueOf(e)
		}
		return mapOf(vals)
	}
	return text(fmt.Sprint(v))
}

func anyMapOf(m map[string]any) ref.Val {
	if len(m) == 0 {
		return emptyMap
	}
	vals := make(map[ref.Val]ref.Val, len(m))
	for k, e := range m {
		vals[text(k)] = valueOf(e)
	}
	return mapOf(vals)
}

func mapOf(vals map[ref.Val]ref.Val) ref.Val {
	return types.NewRefValMap(adapter{types.DefaultTypeAdapter}, vals)
}

// numberOf converts a JSON number: to an int if it is written as one and fits, otherwise
// to a double, which is infinite if it is out of range.
func numberOf(s string) ref.Val {
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return types.Int(i)
	}
	f, _ := strconv.ParseFloat(s, 64)
	return types.Double(f)
}

// maxMember is the size limit in bytes for a JSON value of a request that an expression
// reads. Decoded, it takes about ten times as much memory.
const maxMember = 1 << 20

var errMemberSize = errors.New("a member of req.body is longer than 1 MiB, which an expression may not read")

// maxValues limits how many JSON values it may contain, estimated by its separators. Each
// takes some hundred bytes.
const maxValues = 200_000

var errMemberValues = errors.New("a member of req.body has more values than an expression may read")

// jsonOf decodes a JSON value. encoding/json bounds its depth.
func jsonOf(raw []byte) ref.Val {
	if len(raw) > maxMember {
		return types.WrapErr(safeError{errMemberSize})
	}
	if bytes.Count(raw, []byte(","))+bytes.Count(raw, []byte("["))+bytes.Count(raw, []byte("{")) > maxValues {
		return types.WrapErr(safeError{errMemberValues})
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return types.WrapErr(safeError{errors.New("a member of req.body is not valid JSON")})
	}
	return valueOf(v)
}

package config

import (
	"flag"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// TestSchema: schema.json is the schema of Config. `make schema` writes it.
var update = flag.Bool("update", false, "write schema.json from the Go types")

func TestSchema(t *testing.T) {
	got := writeSchema(t)
	if *update {
		if err := os.WriteFile("schema.json", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(Schema(), got); diff != "" {
		t.Errorf("schema.json is stale, run `make schema` (-have +want):\n%s", diff)
	}
}

// TestSchemaNames: each definition in the schema has the fields that the decoder knows, and no
// others.
func TestSchemaNames(t *testing.T) {
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	root := doc.(map[string]any)
	defs := root["$defs"].(map[string]any)
	seen := map[reflect.Type]bool{}
	var walk func(reflect.Type, map[string]any)
	walk = func(typ reflect.Type, s map[string]any) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice || typ.Kind() == reflect.Map {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || seen[typ] {
			return
		}
		seen[typ] = true
		names, index := fieldsOf(typ)
		properties, _ := s["properties"].(map[string]any)
		slices.Sort(names)
		if diff := cmp.Diff(names, slices.Sorted(maps.Keys(properties))); diff != "" || s["additionalProperties"] != false {
			t.Errorf("%s: (-decoder +schema)\n%s", typ, diff)
		}
		for _, at := range index {
			field := typ.FieldByIndex(at).Type
			for field.Kind() == reflect.Pointer || field.Kind() == reflect.Slice || field.Kind() == reflect.Map {
				field = field.Elem()
			}
			def, _ := defs[field.Name()].(map[string]any)
			walk(field, def)
		}
	}
	walk(reflect.TypeFor[Config](), root)
	if len(seen) != len(defs)+1 {
		t.Errorf("%d types, %d definitions", len(seen), len(defs))
	}
}

func TestWritten(t *testing.T) {
	for _, want := range []string{"500ms", "10s", "3m", "1h", "1h30m", "1m30s"} {
		d, err := time.ParseDuration(want)
		if got := written(d); err != nil || got != want {
			t.Errorf("%s: %v, want %s", got, err, want)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package patch

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// schema is docs/patch.schema.json, or a part of it.
type schema = map[string]any

func readSchema(t *testing.T) schema {
	t.Helper()
	data, err := os.ReadFile("../../docs/patch.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var s schema
	if err := json.Unmarshal(data, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// part returns a part of a schema.
func part(t *testing.T, s any, path ...any) any {
	t.Helper()
	for _, key := range path {
		switch key := key.(type) {
		case string:
			s = s.(schema)[key]
		case int:
			s = s.([]any)[key]
		}
		if s == nil {
			t.Fatalf("the schema has no %v", path)
		}
	}
	return s
}

func TestTheSchemaHasTheKeysOfTheParser(t *testing.T) {
	s := readSchema(t)
	for _, c := range []struct {
		name string
		path []any
		keys []string
	}{
		{"a file", nil, fileKeys},
		{"a module", []any{"$defs", "module"}, moduleKeys},
		{"a change", []any{"$defs", "change"}, changeKeys},
		{"find", []any{"$defs", "find"}, findKeys},
		{"old bytes", []any{"$defs", "change", "properties", "old", "oneOf", 1}, valueKeys},
		{"new bytes", []any{"$defs", "change", "properties", "new", "oneOf", 1}, valueKeys},
	} {
		t.Run(c.name, func(t *testing.T) {
			object := part(t, s, c.path...).(schema)
			got := slices.Sorted(maps.Keys(object["properties"].(schema)))
			if want := slices.Sorted(slices.Values(c.keys)); !slices.Equal(got, want) {
				t.Errorf("%q; the parser has %q", got, want)
			}
			if object["additionalProperties"] != false {
				t.Error("other keys are allowed")
			}
		})
	}
	if got := part(t, s, "properties", "version", "const"); got != float64(Version) {
		t.Errorf("version %v", got)
	}
	if got := part(t, s, "properties", "changes", "maxItems"); got != float64(maxChanges) {
		t.Errorf("%v changes", got)
	}
}

func TestTheSchemaTakesWhatTheParserTakes(t *testing.T) {
	s := readSchema(t)
	files := examples(t)
	for _, c := range bytesCases {
		files[c.name] = []byte(inFile("at: 0x1\n  old: " + c.text + "\n  new: " + c.text))
	}
	for name, data := range files {
		var v any
		if err := yaml.Load(data, &v); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := validate(s, s, v); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheSchemaRefuses(t *testing.T) {
	s := readSchema(t)
	for _, c := range []string{
		"name: x", "version: 2\nname: x\nchanges: [{at: 0x1, new: 90}]", inFile("{at: 0x1, olld: 90, new: 90}"),
		inFile("{old: 90, new: 90}"), inFile("{at: 0x1, find: {pattern: 90, in: a}, new: 90}"), inFile("{at: 0x1, old: 90}"),
		inFile("{at: 0x1, new: 9?}"), inFile("{at: 0x1, new: {i32: 1, u32: 2}}"), inFile("{at: 0x1, new: {ptr: 1}}"),
		inFile("{at: 0x1, new: 90, unprotect: 1}"), "version: 1\nname: x\nmodules: {a: {}}\nchanges: [{at: 0x1, new: 90}]",
	} {
		var v any
		if err := yaml.Load([]byte(c), &v); err != nil {
			t.Fatal(err)
		}
		if validate(s, s, v) == nil {
			t.Errorf("%q is taken", c)
		}
	}
}

// validate checks a value by as much of JSON Schema as the file uses.
func validate(root, s schema, v any) error {
	if ref, ok := s["$ref"].(string); ok {
		return validate(root, root["$defs"].(schema)[strings.TrimPrefix(ref, "#/$defs/")].(schema), v)
	}
	var kinds []string
	switch v.(type) {
	case map[string]any, map[any]any:
		kinds = []string{"object"}
	case []any:
		kinds = []string{"array"}
	case string:
		kinds = []string{"string"}
	case bool:
		kinds = []string{"boolean"}
	case float64:
		kinds = []string{"number"}
	default:
		kinds = []string{"integer", "number"}
	}
	if types, ok := s["type"]; ok && !slices.ContainsFunc(kinds, func(k string) bool {
		list, _ := types.([]any)
		return types == k || slices.Contains(list, any(k))
	}) {
		return fmt.Errorf("%v is not %v", v, types)
	}
	if want, ok := s["const"]; ok && fmt.Sprint(want) != fmt.Sprint(v) {
		return fmt.Errorf("%v is not %v", v, want)
	}
	if several, ok := s["oneOf"].([]any); ok {
		taken := 0
		var err error
		for _, one := range several {
			if e := validate(root, one.(schema), v); e != nil {
				err = e
			} else {
				taken++
			}
		}
		if taken != 1 {
			return fmt.Errorf("%v is %d of what it may be: %w", v, taken, err)
		}
	}
	size := -1.0
	switch v := v.(type) {
	case string:
		size = float64(len(v))
		if p, ok := s["pattern"].(string); ok && !regexp.MustCompile(p).MatchString(v) {
			return fmt.Errorf("%q is not %s", v, p)
		}
	case []any:
		size = float64(len(v))
		for _, item := range v {
			if items, ok := s["items"].(schema); ok {
				if err := validate(root, items, item); err != nil {
					return err
				}
			}
		}
	case map[string]any:
		size = float64(len(v))
		required, _ := s["required"].([]any)
		for _, key := range required {
			if _, ok := v[key.(string)]; !ok {
				return fmt.Errorf("%v has no %v", v, key)
			}
		}
		properties, _ := s["properties"].(schema)
		for key, value := range v {
			if names, ok := s["propertyNames"].(schema); ok {
				if err := validate(root, names, key); err != nil {
					return err
				}
			}
			of, ok := properties[key]
			if !ok {
				of = s["additionalProperties"]
			}
			switch of := of.(type) {
			case schema:
				if err := validate(root, of, value); err != nil {
					return fmt.Errorf("%s: %w", key, err)
				}
			case bool:
				return fmt.Errorf("there is a key %s", key)
			}
		}
	}
	for _, limit := range []string{"minLength", "minItems", "minProperties"} {
		if least, ok := s[limit].(float64); ok && size >= 0 && size < least {
			return fmt.Errorf("%v has fewer than %v", v, least)
		}
	}
	for _, limit := range []string{"maxItems", "maxProperties"} {
		if most, ok := s[limit].(float64); ok && size > most {
			return fmt.Errorf("%v has more than %v", v, most)
		}
	}
	return known(s)
}

// known refuses what validate does not know.
func known(s schema) error {
	words := strings.Fields("$comment $schema $defs title description type additionalProperties required properties const minLength pattern " +
		"propertyNames minProperties maxProperties minItems maxItems items oneOf")
	for key := range s {
		if !slices.Contains(words, key) {
			return fmt.Errorf("the test does not know the word %s of the schema", key)
		}
	}
	return nil
}

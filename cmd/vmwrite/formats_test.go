// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/value"
)

func TestTheManualPageNamesEveryTypeStatusAndField(t *testing.T) {
	page, err := os.ReadFile("../../man/vmwrite-formats.7")
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range value.Types {
		if !regexp.MustCompile(`(?m)^\.It Cm .*\b` + kind + `\b`).Match(page) {
			t.Errorf("no type %s", kind)
		}
	}
	for _, e := range explanations() {
		if !regexp.MustCompile(fmt.Sprintf(`(?m)^\.It %d\n\.Dv %s :`, e.Status, e.Name)).Match(page) {
			t.Errorf("no exit status %d, %s", e.Status, e.Name)
		}
	}
	for field := range reflect.TypeFor[outcome]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if !regexp.MustCompile(`(?m)^\.It Cm .*\b` + name + `\b`).Match(page) {
			t.Errorf("no field %s of the object", name)
		}
	}
}

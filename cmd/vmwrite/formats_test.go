package main

import (
	"fmt"
	"os"
	"regexp"
	"testing"
)

func TestTheManualPageNamesEveryTypeAndStatus(t *testing.T) {
	page, err := os.ReadFile("../../man/vmwrite-formats.7")
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range valueTypes {
		if !regexp.MustCompile(`(?m)^\.It Cm .*\b` + kind + `\b`).Match(page) {
			t.Errorf("no type %s", kind)
		}
	}
	for _, e := range explanations() {
		if !regexp.MustCompile(fmt.Sprintf(`(?m)^\.It %d\n\.Dv %s :`, e.Status, e.Name)).Match(page) {
			t.Errorf("no exit status %d, %s", e.Status, e.Name)
		}
	}
}

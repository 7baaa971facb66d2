// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"strings"
	"testing"
)

func TestMatrixOfTheFile(t *testing.T) {
	all, err := parseMatrix(matrix, nil)
	if err != nil || len(all) < 15 {
		t.Fatalf("%d machines, %v", len(all), err)
	}
	for _, m := range all {
		small := m
		small.reduce()
		for _, m := range []machine{m, small} {
			if _, err := m.commandLine("ttyAMA0"); err != nil {
				t.Errorf("%s: %v", m.name, err)
			}
		}
	}
	two, err := parseMatrix(matrix, []string{all[3].name, all[1].name})
	if err != nil || len(two) != 2 || two[0].name != all[1].name || two[1].name != all[3].name {
		t.Errorf("two machines by their names are %v, %v", two, err)
	}
}

func TestMatrixLines(t *testing.T) {
	const good = "a amd64 s linux-* max 0 root all"
	for _, test := range []struct{ name, text, want string }{
		{"a comment and empty lines", "# a\n\n" + good, ""},
		{"a machine with arguments of its kernel", good + " x=1 y", ""},
		{"too few fields", "a amd64 s linux-* max 0 root", "line 1 of the matrix has 7 fields"},
		{"an unknown architecture", strings.Replace(good, "amd64", "vax", 1), `no architecture is called "vax"`},
		{"a name twice", good + "\n" + good, `line 2 of the matrix: "a" is there twice`},
		{"a bad pattern", strings.Replace(good, "linux-*", "linux-[", 1), "syntax error in pattern"},
		{"an unknown level", strings.Replace(good, "0", "4", 1), `no level of Yama is called "4"`},
		{"an unknown user", strings.Replace(good, "root", "you", 1), `no user is called "you"`},
		{"packages that are not there", strings.Replace(good, "all", "pkg/none", 1), `no package pkg/none has tests for these machines`},
	} {
		t.Run(test.name, func(t *testing.T) {
			machines, err := parseMatrix(test.text, nil)
			switch {
			case test.want == "":
				if err != nil || len(machines) != 1 {
					t.Errorf("%v, %v; want one machine", machines, err)
				}
			case err == nil || !strings.Contains(err.Error(), test.want):
				t.Errorf("%v; want %q", err, test.want)
			}
		})
	}
	if machines, err := parseMatrix(good+" x=1 y", nil); err != nil || machines[0].append != "x=1 y" {
		t.Errorf("the kernel's arguments are in %v, %v", machines, err)
	}
	if machines, err := parseMatrix(strings.Replace(good, "all", "pkg/pwrite,test/c", 1), nil); err != nil || len(machines[0].packages) != 2 || !slices.Contains(machines[0].skipped, slow[0]) {
		t.Errorf("two packages are in %v, %v", machines, err)
	}
	if _, err := parseMatrix(good, []string{"b"}); err == nil || !strings.Contains(err.Error(), `no machine is called "b"; there are a`) {
		t.Errorf("a name that is not there: %v", err)
	}
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	_ "embed"
	"fmt"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

//go:embed matrix.txt
var matrix string

// An architecture is what the machines of matrix.txt may have.
type architecture struct {
	name, triplet string
	emulator      []string
	console       string
	loader        string   // of programs, by its path
	targets       []string // the architectures of Go programs that its kernel runs
}

var architectures = []architecture{
	{"amd64", "x86_64-linux-gnu", []string{"qemu-system-x86_64", "-machine", "q35"}, "ttyS0", "/lib64/ld-linux-x86-64.so.2", []string{"amd64", "386"}},
	{"arm64", "aarch64-linux-gnu", []string{"qemu-system-aarch64", "-machine", "virt"}, "ttyAMA0", "/lib/ld-linux-aarch64.so.1", []string{"arm64"}},
}

// compiler returns the compiler of a language, gcc or g++, for the architecture.
func (a architecture) compiler(name string) string {
	if a.name == runtime.GOARCH {
		return name
	}
	return a.triplet + "-" + name
}

func (a architecture) busybox() string { return filepath.Join(directory, a.name, "busybox") }

func (a architecture) has(m machine) bool { return m.arch == a.name }

// A machine is a line of matrix.txt.
type machine struct {
	name, arch    string
	suite, kernel string
	processor     string
	yama, user    string
	packages      []string
	skipped       []string // tests
	append        string   // to the kernel's command line
}

// log is a file that a run leaves, and image its kernel.
func (m machine) log(suffix string) string { return filepath.Join(directory, m.name+suffix) }

func (m machine) image() string { return filepath.Join(directory, m.arch, "kernel-"+m.name) }

// allPackages are those with tests that do not need Docker.
var allPackages = []string{
	"cmd/libmachcompat", "cmd/vmwrite", "examples",
	"internal/diagnose", "internal/inject", "internal/instruction", "internal/linux", "internal/procstatus", "internal/ptrace", "internal/unwind",
	"pkg/address", "pkg/hold", "pkg/machcompat", "pkg/patch", "pkg/procmaps", "pkg/pwrite", "pkg/search",
	"test/adversarial", "test/c", "test/game",
}

// A packageSet is what a line may say instead of packages.
type packageSet struct{ packages, skipped []string }

// Only "all" has the slow tests: they are about an architecture more than about a kernel.
var (
	withoutSlow = slices.Concat(notThere, slow)
	withoutLong = slices.Concat(withoutSlow, long)
	packageSets = map[string]packageSet{
		"all":    {allPackages, notThere},
		"most":   {allPackages, withoutSlow},
		"memory": {[]string{"internal/inject", "pkg/machcompat", "pkg/procmaps", "pkg/pwrite"}, withoutSlow},
		"rights": {[]string{"cmd/vmwrite", "internal/diagnose", "internal/inject", "internal/ptrace", "pkg/machcompat", "pkg/pwrite"}, withoutLong},
	}
)

// packageSetOf returns the set of a name, or of packages with commas between them.
func packageSetOf(name string) (packageSet, error) {
	if set, ok := packageSets[name]; ok {
		return set, nil
	}
	set := packageSet{strings.Split(name, ","), withoutSlow}
	for _, path := range set.packages {
		if !slices.Contains(allPackages, path) {
			return packageSet{}, fmt.Errorf("no package %s has tests for these machines", path)
		}
	}
	return set, nil
}

// aboveTheKernel are packages that reach the kernel only through others of allPackages.
var aboveTheKernel = []string{"cmd/vmwrite", "examples", "internal/instruction", "pkg/address", "pkg/hold", "pkg/search"}

// reduce leaves out what takes long.
func (m *machine) reduce() {
	m.skipped = withoutLong
	m.packages = slices.DeleteFunc(slices.Clone(m.packages), func(path string) bool {
		return strings.HasPrefix(path, "test/") || slices.Contains(aboveTheKernel, path)
	})
}

// parseMatrix returns the machines of these names, or all.
func parseMatrix(text string, names []string) (machines []machine, err error) {
	var all []string
	for number, line := range strings.Split(text, "\n") {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] == "#" {
			continue
		}
		if len(fields) < 8 {
			return nil, fmt.Errorf("line %d of the matrix has %d fields; want 8 or more", number+1, len(fields))
		}
		m := machine{
			name: fields[0], arch: fields[1], suite: fields[2], kernel: fields[3], processor: fields[4],
			yama: fields[5], user: fields[6], append: strings.Join(fields[8:], " "),
		}
		set, unknown := packageSetOf(fields[7])
		m.packages, m.skipped = set.packages, set.skipped
		switch _, badPattern := path.Match(m.kernel, ""); {
		case !slices.ContainsFunc(architectures, func(a architecture) bool { return a.name == m.arch }):
			err = fmt.Errorf("no architecture is called %q", m.arch)
		case slices.Contains(all, m.name):
			err = fmt.Errorf("%q is there twice", m.name)
		case badPattern != nil:
			err = badPattern
		case len(m.yama) != 1 || !strings.Contains("0123", m.yama):
			err = fmt.Errorf("no level of Yama is called %q", m.yama)
		case m.user != "root" && m.user != "user":
			err = fmt.Errorf("no user is called %q", m.user)
		case unknown != nil:
			err = unknown
		}
		if err != nil {
			return nil, fmt.Errorf("line %d of the matrix: %w", number+1, err)
		}
		all = append(all, m.name)
		if len(names) == 0 || slices.Contains(names, m.name) {
			machines = append(machines, m)
		}
	}
	for _, name := range names {
		if !slices.Contains(all, name) {
			return nil, fmt.Errorf("no machine is called %q; there are %s", name, strings.Join(all, ", "))
		}
	}
	return machines, nil
}

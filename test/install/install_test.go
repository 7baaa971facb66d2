// SPDX-License-Identifier: Apache-2.0

// Package install tests what "make build" makes, and that "make install" puts it where
// it belongs without a Go toolchain, which root's PATH seldom has.
package install

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
)

func TestMain(m *testing.M) { os.Exit(testtarget.Main(m)) }

// asRoot is a make without a Go toolchain and with the PATH of sudo.
func asRoot(arguments ...string) *exec.Cmd {
	cmd := testtarget.Make(append(arguments, "GO=false")...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	return cmd
}

// output runs a command and returns what it prints, wherever to.
func output(t *testing.T, cmd *exec.Cmd, succeeds bool) string {
	t.Helper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := testtarget.RunCommand(cmd); (err == nil) != succeeds {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, &out)
	}
	return out.String()
}

// files returns all files below a directory.
func files(t *testing.T, root string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			names = append(names, strings.TrimPrefix(path, root+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// ofCommand and ofLibrary are what every install has of the two, below its prefix.
var (
	ofCommand = []string{
		"bin/vmwrite", "share/man/man1/vmwrite.1", "share/man/man1/vmwrite-write.1", "share/man/man7/vmwrite-formats.7",
		"share/bash-completion/completions/vmwrite", "share/zsh/site-functions/_vmwrite", "share/fish/vendor_completions.d/vmwrite.fish",
	}
	ofLibrary = []string{
		"lib/libmachcompat.so", "lib/libmachcompat.so.0", "lib/libmachcompat.a", "lib/pkgconfig/machcompat.pc",
		"include/machcompat/TargetConditionals.h", "include/machcompat/mach/mach.h", "include/machcompat/mach/machine/vm_types.h",
		"share/man/man3/machcompat.3",
	}
)

// assertInstalled expects these files, and those of the library only if they are among
// them.
func assertInstalled(t *testing.T, prefix string, want []string) {
	t.Helper()
	have := files(t, prefix)
	for _, name := range slices.Concat(ofCommand, ofLibrary) {
		if slices.Contains(have, name) != slices.Contains(want, name) {
			t.Errorf("%s is there: %v", name, slices.Contains(have, name))
		}
	}
}

func TestInstallCopiesWhatWasBuilt(t *testing.T) {
	testtarget.Need(t, "make")
	t.Parallel()
	built, root := "OUT="+t.TempDir(), t.TempDir()
	destination := "DESTDIR=" + root
	out := strings.TrimPrefix(built, "OUT=")

	if got := output(t, asRoot("install", built, destination), false); !strings.Contains(got, out+"/vmwrite is missing: run make build first\n") {
		t.Errorf("make install prints %q before anything is built", got)
	}
	if got := output(t, asRoot("install-lib", built, destination), false); !strings.Contains(got, out+"/libmachcompat.so is missing: run make lib first\n") {
		t.Errorf("make install-lib prints %q before anything is built", got)
	}
	assertInstalled(t, root, nil)

	if got := output(t, testtarget.Make("build", built, "CC=no-such-compiler"), true); got != "built without the C library, which needs a C compiler (no-such-compiler)\n" {
		t.Errorf("make build prints %q where there is no compiler", got)
	}
	if got := output(t, asRoot("install", built, destination), true); !strings.Contains(got, "installed without the C library: "+out+"/libmachcompat.so was not built\n") {
		t.Errorf("make install prints %q without the library", got)
	}
	assertInstalled(t, root+"/usr/local", ofCommand)

	testtarget.Need(t, "cc")
	library, err := testtarget.BuildLibrary()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files(t, library) {
		if err := os.Symlink(filepath.Join(library, name), filepath.Join(out, name)); err != nil {
			t.Fatal(err)
		}
	}
	destination += "/second"
	output(t, asRoot("install", built, destination, "PREFIX=/usr"), true)
	assertInstalled(t, root+"/second/usr", slices.Concat(ofCommand, ofLibrary))
	assertVersion(t, root+"/second/usr")

	foreign := []string{"include/stdio.h", "share/man/man1/ls.1"}
	for _, name := range foreign {
		if err := os.WriteFile(filepath.Join(root, "second/usr", name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // the second has nothing to remove
		output(t, asRoot("uninstall", destination, "PREFIX=/usr"), true)
		if left := files(t, root+"/second/usr"); !slices.Equal(left, foreign) {
			t.Errorf("make uninstall leaves %v; want %v", left, foreign)
		}
	}
	if _, err := os.Stat(root + "/second/usr/include/machcompat"); err == nil {
		t.Error("make uninstall leaves the folder of the headers")
	}
}

// assertVersion expects one version in all that was installed: that of the changelog's
// first section, or one that ends with -dev while that section has none. The command
// knows its commit, too.
func assertVersion(t *testing.T, prefix string) {
	t.Helper()
	find := func(path, pattern string) string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(pattern).FindSubmatch(text)
		if found == nil {
			t.Fatalf("%s has no line %s", path, pattern)
		}
		return string(found[1])
	}
	version := find(prefix+"/lib/pkgconfig/machcompat.pc", `(?m)^Version: (.*)$`)
	if section := find(filepath.Join(testtarget.Root(), "CHANGELOG.md"), `(?m)^## \[(.*?)\]`); section != version && (section != "Unreleased" || !strings.HasSuffix(version, "-dev")) {
		t.Errorf("machcompat.pc has the version %s, and CHANGELOG.md begins with %s", version, section)
	}
	if got := output(t, exec.Command(prefix+"/bin/vmwrite", "version"), true); !strings.HasPrefix(got, "vmwrite "+version+" ") {
		t.Errorf("vmwrite version prints %q; want %s", got, version)
	}
	// The go command looks for no commit in a second work tree, whose .git is a file.
	if git, err := os.Stat(testtarget.Root() + "/.git"); err == nil && git.IsDir() {
		head := strings.TrimSpace(output(t, exec.Command("git", "-C", testtarget.Root(), "rev-parse", "HEAD"), true))
		if got := output(t, exec.Command(prefix+"/bin/vmwrite", "version", "--json"), true); !strings.Contains(got, `"commit":"`+head+`","date":"2`) {
			t.Errorf("vmwrite version --json prints %q; want the commit %s and its date", got, head)
		}
	}
	page := find(prefix+"/share/man/man1/vmwrite-write.1", `(?m)^\.TH .*"vmwrite (.*?)"`)
	if got := strings.ReplaceAll(page, `\-`, "-"); got != version { // as roff has it
		t.Errorf("the manual pages are of the version %s; want %s", got, version)
	}
}

// What makes the manual pages, and all that it takes, is for the build alone.
func TestTheCommandIsNotLinkedWithWhatMakesItsPages(t *testing.T) {
	t.Parallel()
	const doc = "github.com/spf13/cobra/doc\n"
	for tags, want := range map[string]bool{"": false, "share": true} {
		cmd := exec.Command("go", "list", "-deps", "-tags", tags, "./cmd/vmwrite")
		cmd.Dir = testtarget.Root()
		if got := strings.Contains(output(t, cmd, true), doc); got != want {
			t.Errorf("with the tags %q cobra/doc is linked: %v", tags, got)
		}
	}
}

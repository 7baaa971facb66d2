// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vmwrite/vmwrite/internal/testtarget"
)

// variants are the C programs that the tests build with flags of their own. One that is
// missing here fails in the machines, which have no compiler.
var variants = map[string][][]string{
	"internal/unwind/testdata/stacks.c": {{"-O0"}, {"-fno-omit-frame-pointer"}, {"-fomit-frame-pointer", "-fno-plt"}, {"-static", "-Wl,--eh-frame-hdr"},
		{"-static-pie"}, {"-Wl,--no-eh-frame-hdr"}},
	"internal/unwind/testdata/stacks32.c": {{"-m32", "-nostdlib", "-static", "-no-pie", "-fno-stack-protector", "-Wl,--eh-frame-hdr"}},
	"pkg/machcompat/testdata/bare.c":      {{"-nostdlib", "-static", "-no-pie"}},
	"pkg/machcompat/testdata/newcomer.c":  {{"-static"}, {"-static", "-no-pie"}},
	"pkg/patch/testdata/late.c":           {{"-shared", "-fPIC"}},
	"pkg/patch/testdata/patched.c":        {{"-m32", "-nostdlib", "-static", "-ffreestanding", "-fno-pie", "-no-pie", "-Wl,--eh-frame-hdr"}, {"-Wl,--no-eh-frame-hdr"}},
	"pkg/address/testdata/library.c":      {{"-shared", "-fPIC", "-Wl,--build-id"}},
	"pkg/address/testdata/loader.c":       {{"-fPIE", "-pie", "-ldl"}},
	"test/game/testdata/game.c":           {{"-fPIE", "-pie", "-ldl"}},
	"test/game/testdata/libgame.c":        {{"-fPIC", "-shared"}},
}

// root is the directory with the root file system.
func (a architecture) root() string { return filepath.Join(directory, a.name, "root") }

func (a architecture) archive() string { return a.root() + ".cpio" }

// buildRoot makes the root file system of those machines that have the architecture: the
// module at /vmwrite, with the test program of each package that one of them tests, and
// what the tests build at /vmwrite/.run.
func (a architecture) buildRoot(machines []machine) error {
	packages := slices.DeleteFunc(slices.Clone(allPackages), func(path string) bool {
		return !slices.ContainsFunc(machines, func(m machine) bool { return a.has(m) && slices.Contains(m.packages, path) })
	})
	root, err := filepath.Abs(a.root())
	if err != nil {
		return err
	}
	if err := os.RemoveAll(root); err != nil {
		return err
	}
	module := filepath.Join(root, "vmwrite")
	for _, path := range []string{"bin", "dev", "etc", "lib", "lib64", "proc", "sys", "tmp", "vmwrite/.run"} {
		if err := os.MkdirAll(filepath.Join(root, path), 0o755); err != nil {
			return err
		}
	}
	if err := copySources(module); err != nil {
		return err
	}
	if err := a.copySystem(root); err != nil {
		return err
	}
	if err := a.buildTests(module, packages); err != nil {
		return err
	}
	if err := a.buildPrograms(filepath.Join(module, ".run"), packages); err != nil {
		return err
	}
	cpio := exec.Command("sh", "-c", `find . | cpio --quiet -o -H newc -R 0:0 >"$1"`, "sh", root+".cpio")
	cpio.Dir = root
	_, err = command(cpio)
	return err
}

// copySources copies the module, which some tests read.
func copySources(module string) error {
	return filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case path == "bin" || path == "dist" || path == ".git":
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		case entry.IsDir():
			return os.MkdirAll(filepath.Join(module, path), 0o755)
		}
		return copyFile(path, filepath.Join(module, path))
	})
}

func copyFile(from, to string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, content, info.Mode().Perm()|0o444)
}

// copySystem makes all that is not ours: busybox, users, and the compiler's C library, so
// that C programs are linked as elsewhere.
func (a architecture) copySystem(root string) error {
	if err := copyFile("test/kernels/init", filepath.Join(root, "init")); err != nil {
		return err
	}
	if err := copyFile(a.busybox(), filepath.Join(root, "bin/busybox")); err != nil {
		return err
	}
	if err := os.Chmod(filepath.Join(root, "bin/busybox"), 0o755); err != nil {
		return err
	}
	const users = "root:x:0:0::/:/bin/sh\nuser:x:1000:1000::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n"
	if err := os.WriteFile(filepath.Join(root, "etc/passwd"), []byte(users), 0o644); err != nil {
		return err
	}
	for library, target := range map[string]string{
		filepath.Base(a.loader): a.loader,
		"libc.so.6":             "/lib/libc.so.6",
		"libm.so.6":             "/lib/libm.so.6",
		"libgcc_s.so.1":         "/lib/libgcc_s.so.1", // pthread_exit loads it
		"libstdc++.so.6":        "/lib/libstdc++.so.6",
	} {
		path, err := command(exec.Command(a.compiler("g++"), "-print-file-name="+library))
		if err != nil {
			return err
		}
		if err := copyFile(strings.TrimSpace(path), filepath.Join(root, target)); err != nil {
			return err
		}
	}
	return nil
}

// buildTests builds the test program of each package.
func (a architecture) buildTests(module string, packages []string) error {
	for _, path := range packages {
		cmd := exec.Command("go", "test", "-c", "-trimpath", "-vet=off", "-ldflags=-s -w", "-o", filepath.Join(module, path, "package.test"), "./"+path)
		cgo := "CGO_ENABLED=0"
		if path == "cmd/libmachcompat" {
			cgo = "CGO_ENABLED=1"
		}
		cmd.Env = append(os.Environ(), "GOARCH="+a.name, cgo, "CC="+a.compiler("gcc"))
		if _, err := command(cmd); err != nil {
			return err
		}
	}
	return nil
}

// buildPrograms builds what the tests would build.
func (a architecture) buildPrograms(run string, packages []string) error {
	if err := os.Setenv(testtarget.RunVariable, run); err != nil {
		return err
	}
	for _, goarch := range a.targets {
		if _, err := testtarget.BuildGo("internal/testtarget/target", goarch); err != nil {
			return err
		}
	}
	if _, err := testtarget.BuildGo("cmd/vmwrite", a.name); err != nil {
		return err
	}
	errors, err := os.Create(filepath.Join(directory, a.name+"-programs.log"))
	if err != nil {
		return err
	}
	defer errors.Close()
	for _, path := range packages {
		sources, err := filepath.Glob(path + "/testdata/*.c")
		if err != nil {
			return err
		}
		if path == "test/c" {
			sources = append(sources, "test/c/testdata/programs/victim.c")
			cmd := exec.Command("go", "test", "-count=1", "./test/c")
			cmd.Env = append(os.Environ(), "VMWRITE_C_BUILD="+a.name, "CC="+a.compiler("gcc"), "CXX="+a.compiler("g++"), "CGO_ENABLED=0")
			out, err := command(cmd)
			errors.WriteString(out)
			if err != nil {
				return err
			}
		}
		if path == "examples" {
			sources = append(sources, "examples/game/game.c")
			for _, name := range []string{"debugger", "patcher", "trainer"} {
				if _, err := testtarget.BuildGo("examples/"+name, a.name); err != nil {
					return err
				}
			}
		}
		if path == "test/game" {
			if _, err := testtarget.BuildGo("test/game/gogame", a.name, "-buildmode=pie"); err != nil {
				return err
			}
		}
		for _, source := range sources {
			for _, flags := range slices.Concat(variants[source], [][]string{nil}) {
				// Some are for one architecture, or for flags of their own only.
				if _, err := testtarget.CompileC(a.compiler("gcc"), source, flags...); err != nil {
					errors.WriteString(err.Error() + "\n")
				}
			}
		}
	}
	return nil
}

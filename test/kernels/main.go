// Command kernels runs the tests on other kernels and on arm64, in machines that QEMU
// emulates: go run ./test/kernels [flags] [NAME...]. The names are those of matrix.txt;
// without, all of its machines run. It works below bin/kernels, where it leaves the
// console of each machine (NAME.log) and what the tests said (NAME.json, as of go test
// -json). What it needs of Debian it takes from where this machine has its own packages.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vmwrite/vmwrite/internal/testtarget"
)

// directory is where everything is kept, in the module.
const directory = "bin/kernels"

// notThere are tests that compile while they run, or ask for more than a kernel, and one
// that would only take time.
const notThere = "^(TestEachHeaderCompilesAloneAndTwice|TestEveryDeclaredNameIsExportedAndNoOther|" +
	"TestMakeInstallPutsWhatAProgramNeeds|TestPythonCallsTheLibrary|TestSanitizersFindNothing|TestSanitizersSeeIntoTheLibrary|" +
	"TestTheStaticLibraryIsWhole|TestTheTextsInCAreThoseOfTheConformanceFile|TestRandomCommandLines)$"

func main() {
	packages := flag.String("packages", "", "run the tests of these packages alone, with commas")
	skip := flag.String("skip", notThere, "leave out the tests that match")
	deadline := flag.Duration("deadline", 90*time.Minute, "end a machine that takes longer")
	jobs := flag.Int("jobs", 2, "emulate this many machines at a time")
	flag.Parse()
	if err := run(flag.Args(), *packages, *skip, *deadline, *jobs); err != nil {
		fmt.Fprintln(os.Stderr, "kernels:", err)
		os.Exit(1)
	}
}

func run(names []string, packages, skip string, deadline time.Duration, jobs int) error {
	if err := os.Chdir(testtarget.Root()); err != nil {
		return err
	}
	machines, err := parseMatrix(matrix, names)
	if err != nil {
		return err
	}
	for i := range machines {
		if packages != "" {
			machines[i].packages = strings.Split(packages, ",")
		}
	}
	kernels := map[string]string{} // by the machine's name
	for _, a := range architectures {
		if !slices.ContainsFunc(machines, func(m machine) bool { return m.arch == a.name }) {
			continue
		}
		started := time.Now()
		debian, err := openDebian(a.name)
		if err != nil {
			return err
		}
		for _, m := range machines {
			if m.arch == a.name {
				if kernels[m.name], err = debian.kernel(m.suite, m.kernel); err != nil {
					return err
				}
			}
		}
		busybox, err := debian.busybox()
		if err != nil {
			return err
		}
		if err := a.buildRoot(busybox); err != nil {
			return err
		}
		fmt.Printf("built for %s in %s\n", a.name, time.Since(started).Round(time.Second))
	}

	results := make([]result, len(machines))
	var wait sync.WaitGroup
	next := make(chan int)
	for range jobs {
		wait.Go(func() {
			for i := range next {
				results[i] = machines[i].run(kernels[machines[i].name], skip, deadline)
				fmt.Println(results[i].line())
			}
		})
	}
	for i := range machines {
		next <- i
	}
	close(next)
	wait.Wait()
	return report(os.Stdout, results)
}

func (m machine) log(suffix string) string { return filepath.Join(directory, m.name+suffix) }

// command runs a command, whose output belongs to the error if it fails.
func command(cmd *exec.Cmd) (string, error) {
	out, err := cmd.Output()
	if err != nil {
		text := string(out)
		if exit, ok := err.(*exec.ExitError); ok {
			text += string(exit.Stderr)
		}
		err = fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, text)
	}
	return string(out), err
}

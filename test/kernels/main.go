// SPDX-License-Identifier: Apache-2.0

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
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vmwrite/vmwrite/internal/testtarget"
)

// directory is where everything is kept, in the module.
const directory = "bin/kernels"

// notThere are tests that compile while they run, or ask for what no kernel has to do
// with, and those that count on chance: an emulated machine is too slow for them.
var notThere = []string{
	"TestEachHeaderCompilesAloneAndTwice", "TestEachProgramCompilesInEveryLanguage",
	"TestGeneratedHeadersBringWhatAppleHeadersBring", "TestHeadersGoWithThoseOfLinux",
	"TestEveryDeclaredNameIsExportedAndNoOther",
	"TestMakeInstallPutsWhatAProgramNeeds", "TestPythonCallsTheLibrary",
	"TestSanitizersFindNothing", "TestSanitizersSeeIntoTheLibrary",
	"TestTheStaticLibraryIsWhole", "TestTheTextsInCAreThoseOfTheConformanceFile",
	"TestToolForMacOSRenamesThePlayer", "TestSeparateDebugFile", "TestRandomCommandLines", "TestCommandLinesOfTheDocuments",
	"TestKilledWriterLeavesTheTargetRunning", "TestMappingStorm",
	"TestNoByteArrivesInAnEpochThatForbidsIt", "TestTheOracleFindsAWriteWithoutTheStop",
	"TestTheOracleFindsAWriteWithoutTheCheck", "TestTheOracleFindsALostByte",
	"TestManyGoroutinesOnOneTask", "TestManyTasks", "TestNothingGrows",
	"TestWritersInCInAStorm", "TestTheWritersInCFindFaults",
}

// slow are tests that take long: one machine of each architecture runs them.
var slow = []string{
	"TestFramesAtEachInstruction", "TestCrashesAtRandom", "TestAStorm", "TestProtectOfABusyProcessLeavesNoTraceInIt", "TestCopySaysWhatArrived", "TestStopAndContinueDuringACall",
	"TestStopAndResumeOfEveryThread", "TestWriteFromManyGoroutines", "TestWriteDoesNotAllocate",
	"TestTargetIsKilledAtEachStep", "TestTargetRunsAnotherProgramAtEachStep", "TestPIDIsGivenAwayAtEachStep",
}

// long are tests that take more than half of the rest: left out where rights are looked
// at, and at a reduced size.
var long = []string{
	"TestConformanceLayouts", "TestConformanceMatrixOfTheFamily", "TestNoCallReachesAnotherAddressSpace",
	"TestNoCallReachesTheMemoryOfAnEndedProcess", "TestWriteOfBytesThatCannotBeRead",
	"TestSignalsOfJobControlToATaskThatIsStopped", "TestCompareAndWriteIsOneStop",
	"TestKillOfAWriterThatHasSuspendedTheTask", "TestCallsOnATaskWithThreadsOfTheKernels",
	"TestSegmentsThatSeveralThreadsWrite", "TestAHoleBeforeSeveralThreads", "TestWriteOfSeveralParts",
	"TestSessionsOnOneProcessTakeTurns", "TestStopOfThreadsThatCreateThreads",
	"TestWalksSeeWhatStaysWhileOthersComeAndGo", "TestManyWalksAtOnceSeeTheWholeList",
	"TestBothSourcesReadAHostileTargetAlike", "TestAWalkUnderWayAtTheEndIsErrGone", "TestMovingAllocatesNothing",
	"TestCopyOfOverlappingRanges", "TestWithWritableOfRangesThatOverlap", "TestInjectionInADebuggersStop",
}

var (
	packages   = flag.String("packages", "", "run the tests of these packages alone, with commas")
	skip       = flag.String("skip", "", "leave out the tests that match this pattern too")
	deadline   = flag.Duration("deadline", 90*time.Minute, "end a machine that takes longer")
	jobs       = flag.Int("jobs", 2, "emulate this many machines at a time")
	reduced    = flag.Bool("reduced", false, "leave out what takes long")
	ifPossible = flag.Bool("if-possible", false, "succeed, and say so, where QEMU, a compiler or a package cannot be had")
)

func main() {
	flag.Parse()
	if err := run(flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "kernels:", err)
		os.Exit(1)
	}
}

func run(names []string) error {
	if err := os.Chdir(testtarget.Root()); err != nil {
		return err
	}
	machines, err := parseMatrix(matrix, names)
	if err != nil {
		return err
	}
	if *packages != "" {
		set, err := packageSetOf(*packages)
		if err != nil {
			return err
		}
		for i := range machines {
			machines[i].packages = set.packages
		}
	}
	if *reduced {
		for i := range machines {
			machines[i].reduce()
		}
	}
	if err := obtain(machines); err != nil {
		if *ifPossible {
			fmt.Printf("the tests do not run on other kernels: %v\n", err)
			return nil
		}
		return err
	}
	for _, a := range architectures {
		if slices.ContainsFunc(machines, a.has) {
			started := time.Now()
			if err := a.buildRoot(machines); err != nil {
				return err
			}
			fmt.Printf("built for %s in %s\n", a.name, time.Since(started).Round(time.Second))
		}
	}

	results := make([]result, len(machines))
	var wait sync.WaitGroup
	next := make(chan int)
	for range *jobs {
		wait.Go(func() {
			for i := range next {
				results[i] = machines[i].run()
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

// obtain looks for the programs that it takes, and brings the packages.
func obtain(machines []machine) error {
	for _, a := range architectures {
		if !slices.ContainsFunc(machines, a.has) {
			continue
		}
		for _, program := range []string{a.emulator[0], a.compiler("gcc"), a.compiler("g++"), "cpio", "apt-get", "dpkg-deb"} {
			if _, err := exec.LookPath(program); err != nil {
				return err
			}
		}
		debian, err := openDebian(a.name)
		if err != nil {
			return err
		}
		if err := debian.extract(debian.own, "busybox-static", "*/bin/busybox", a.busybox()); err != nil {
			return err
		}
		for _, m := range machines {
			if a.has(m) {
				if err := debian.extract(m.suite, m.kernel, "*/vmlinuz*", m.image()); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

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

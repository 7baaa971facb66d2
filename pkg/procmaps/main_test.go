// SPDX-License-Identifier: Apache-2.0

package procmaps_test

import (
	"fmt"
	"iter"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { os.Exit(testtarget.Main(m)) }

// page is the size of a page of this machine, and so of every target.
var page = os.Getpagesize()

// sources are both, which must give the same answers.
var sources = []procmaps.Source{procmaps.Ioctl, procmaps.Text}

// eachSource runs f as a subtest for each of the sources.
func eachSource(t *testing.T, f func(t *testing.T, source procmaps.Source)) {
	for _, source := range sources {
		t.Run(source.String(), func(t *testing.T) {
			needSource(t, source)
			f(t, source)
		})
	}
}

func needSource(tb testing.TB, source procmaps.Source) {
	tb.Helper()
	if source == procmaps.Ioctl {
		testtarget.Need(tb, "PROCMAP_QUERY")
	}
}

// open is Open for a process that must give its mappings.
func open(tb testing.TB, pid int, source procmaps.Source) *procmaps.Maps {
	tb.Helper()
	maps, err := procmaps.Open(pid, procmaps.WithSource(source))
	if err != nil {
		tb.Fatalf("Open(%d, %v) = %v", pid, source, err)
	}
	tb.Cleanup(func() { maps.Close() })
	return maps
}

// collect returns what a walk yields, and the error that it ends with.
func collect(walk iter.Seq2[procmaps.Mapping, error]) (all []procmaps.Mapping, err error) {
	for mapping, err := range walk {
		if err != nil {
			return all, err
		}
		all = append(all, mapping)
	}
	return all, nil
}

func mustCollect(tb testing.TB, walk iter.Seq2[procmaps.Mapping, error]) []procmaps.Mapping {
	tb.Helper()
	all, err := collect(walk)
	if err != nil {
		tb.Fatalf("after %d mappings: %v", len(all), err)
	}
	return all
}

// spans returns what Walk visits.
func spans(tb testing.TB, maps *procmaps.Maps, start, end uint64) (all []procmaps.Span) {
	tb.Helper()
	err := maps.Walk(start, end, func(span procmaps.Span) bool {
		all = append(all, span)
		return true
	})
	if err != nil {
		tb.Fatalf("Walk(%#x, %#x) = %v", start, end, err)
	}
	return all
}

// freeze stops the target so that its runtime changes no mapping between two
// readings that are compared.
func freeze(t *testing.T, pid int) {
	t.Helper()
	if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	testtarget.WaitFor(t, "the target to stop", func() bool {
		stats, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		if err != nil {
			t.Fatal(err)
		}
		return !slices.ContainsFunc(stats, func(task os.DirEntry) bool {
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/stat", pid, task.Name()))
			if err != nil {
				return true
			}
			_, state, _ := strings.Cut(string(stat), ") ")
			return !strings.HasPrefix(state, "T")
		})
	})
}

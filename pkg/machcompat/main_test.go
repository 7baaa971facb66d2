// SPDX-License-Identifier: Apache-2.0

package machcompat_test

import (
	"os"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

// pageSize is that of this machine, and so of every target.
var pageSize = machcompat.HostPageSize()

func TestMain(m *testing.M) {
	if inSandbox() || inRole() {
		return
	}
	os.Exit(testtarget.Main(m))
}

// runs are the four ways in which every case must give the same answer.
var runs = []struct {
	name    string
	source  procmaps.Source
	backend machcompat.Backend
}{
	{"ioctl+process_vm", procmaps.Ioctl, machcompat.ProcessVM},
	{"ioctl+procmem", procmaps.Ioctl, machcompat.ProcMem},
	{"text+process_vm", procmaps.Text, machcompat.ProcessVM},
	{"text+procmem", procmaps.Text, machcompat.ProcMem},
}

// eachRun runs f as a subtest in each of the ways.
func eachRun(t *testing.T, f func(t *testing.T, options ...machcompat.Option)) {
	eachRunOf(t, nil, func(t *testing.T, _ []struct{}, options ...machcompat.Option) { f(t, options...) })
}

// eachRunOf is eachRun for a list of cases. In a quick run each of the ways that
// this kernel has gets its share of them, and each case is tried in one.
func eachRunOf[T any](t *testing.T, cases []T, f func(t *testing.T, cases []T, options ...machcompat.Option)) {
	shares := len(runs)
	if testtarget.Missing("PROCMAP_QUERY") != nil {
		shares /= 2
	}
	for number, run := range runs {
		t.Run(run.name, func(t *testing.T) {
			if run.source == procmaps.Ioctl {
				testtarget.Need(t, "PROCMAP_QUERY")
			}
			share := testtarget.Some(cases, (len(cases)+shares-1)/shares, number)
			f(t, share, machcompat.WithMapSource(run.source), machcompat.WithBackend(run.backend))
		})
	}
}

// taskFor is TaskForPID for a process that must give one.
func taskFor(t testing.TB, pid int, options ...machcompat.Option) *machcompat.Task {
	t.Helper()
	options = append([]machcompat.Option{machcompat.WithStopTimeout(testtarget.Patience)}, options...)
	task, err := machcompat.TaskForPID(pid, options...)
	if err != nil {
		t.Fatalf("TaskForPID(%d) = %v", pid, err)
	}
	t.Cleanup(func() { task.Close() })
	return task
}

package machcompat_test

import (
	"os"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

func TestMain(m *testing.M) {
	if inSandbox() {
		return
	}
	os.Exit(testtarget.Main(m))
}

// runs are the four ways in which every case must give the same answer.
var runs = []struct {
	name    string
	reader  procmaps.Reader
	backend machcompat.Backend
}{
	{"ioctl+process_vm", procmaps.Ioctl, machcompat.ProcessVM},
	{"ioctl+procmem", procmaps.Ioctl, machcompat.ProcMem},
	{"text+process_vm", procmaps.Text, machcompat.ProcessVM},
	{"text+procmem", procmaps.Text, machcompat.ProcMem},
}

// eachRun runs f as a subtest in each of the ways.
func eachRun(t *testing.T, f func(t *testing.T, options ...machcompat.Option)) {
	for _, run := range runs {
		t.Run(run.name, func(t *testing.T) {
			if run.reader == procmaps.Ioctl {
				needIoctl(t)
			}
			f(t, machcompat.WithMapReader(run.reader), machcompat.WithBackend(run.backend))
		})
	}
}

func needIoctl(t *testing.T) {
	t.Helper()
	maps, err := procmaps.Open(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	defer maps.Close()
	if maps.Reader() != procmaps.Ioctl {
		testtarget.Skip(t, "kernel", "no PROCMAP_QUERY, which came with Linux 6.11")
	}
}

// taskFor is TaskForPID for a process that must give one.
func taskFor(t testing.TB, pid int, options ...machcompat.Option) *machcompat.Task {
	t.Helper()
	task, err := machcompat.TaskForPID(pid, options...)
	if err != nil {
		t.Fatalf("TaskForPID(%d) = %v", pid, err)
	}
	t.Cleanup(func() { task.Close() })
	return task
}

// SPDX-License-Identifier: Apache-2.0

package adversarial

import (
	"bytes"
	"errors"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

// Attack 10. 64 goroutines do everything at once on one Task. Each has a page of
// its own, so it knows what it must find there.
func TestManyGoroutinesOnOneTask(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) { // not beside another, which would take its turns
			target := testtarget.Start(t)
			target.Do("threads 4")
			const goroutines = 64
			base := target.Address("layout rw-:%d", goroutines)
			task := taskFor(t, target.PID, mode.options...)
			var rounds atomic.Int64
			var group sync.WaitGroup
			for g := range goroutines {
				group.Go(func() {
					for round := range testtarget.Rounds(1) {
						if err := loadOnce(task, base+uint64(g)*pageSize, g, round); err != nil {
							t.Errorf("goroutine %d, round %d: %v", g, round, err)
							return
						}
						rounds.Add(1)
					}
				})
			}
			group.Wait()
			t.Logf("%d rounds", rounds.Load())
			mustBeFree(t, target.PID)
			target.Do("counts")
		})
	}
}

// loadOnce makes one call of each kind on a page that nobody else uses.
func loadOnce(task *machcompat.Task, page uint64, g, round int) error {
	value := []byte{byte(g), byte(round), byte(round >> 8), byte(round >> 16)}
	if err := task.Write(page, value); err != nil {
		return err
	}
	if err := task.WriteBatch([]machcompat.Segment{{Address: page + 100, Data: value}, {Address: page + 200, Data: value}}); err != nil {
		return err
	}
	if err := task.Copy(page, 4, page+300); err != nil {
		return err
	}
	for _, offset := range []uint64{0, 100, 200, 300} {
		got, err := task.Read(page+offset, 4)
		if err != nil {
			return err
		}
		if !bytes.Equal(got, value) {
			return errors.New("other bytes are there")
		}
	}
	switch {
	case g == 0 && round%8 == 0:
		if err := task.Suspend(); err != nil {
			return err
		}
		return task.Resume()
	case g == 1 && round%8 == 0:
		return task.WithWritable(page, 1, func() error { return nil })
	case g == 2 && round%8 == 0:
		if err := task.Protect(page, pageSize, false, machcompat.VM_PROT_READ); err != nil {
			return err
		}
		if err := task.Write(page, value); !errors.Is(err, machcompat.KERN_PROTECTION_FAILURE) {
			return errors.Join(errors.New("a read-only page was written"), err)
		}
		return task.Protect(page, pageSize, false, machcompat.VM_PROT_DEFAULT)
	}
	return nil
}

// Attack 10. Many Tasks on some processes, at once; those on one process take
// turns when they stop it.
func TestManyTasks(t *testing.T) {
	processes, rounds := testtarget.Sized(2, 10), testtarget.Sized(1, 5)
	const tasks = 20
	var group sync.WaitGroup
	for p := range processes {
		target := testtarget.Start(t)
		base := target.Address("layout rw-:%d", tasks)
		for n := range tasks {
			task := taskFor(t, target.PID, modes[n%len(modes)].options...)
			group.Go(func() {
				for round := range rounds {
					if err := loadOnce(task, base+uint64(n)*pageSize, n+3, round); err != nil {
						t.Errorf("task %d of process %d: %v", n, p, err)
					}
				}
			})
		}
	}
	group.Wait()
}

// usage is what must not grow.
type usage struct{ files, threads, goroutines, heap int }

func usageNow(t *testing.T) usage {
	t.Helper()
	runtime.GC()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	return usage{len(files), len(threads), runtime.NumGoroutine(), int(memory.HeapAlloc)}
}

// Attack 10. Nothing is left behind by many writes, stops, system calls in the
// target, failures, and Tasks.
func TestNothingGrows(t *testing.T) {
	target := startC(t, "threads", "wait", "4")
	task := taskFor(t, target.PID)
	stopped := taskFor(t, target.PID, modes[2].options...)
	works := []struct {
		name  string
		count int
		do    func(i int) error
	}{
		{"write", testtarget.Sized(20000, 1000000), func(i int) error { return task.Write(target.Address, []byte{byte(i)}) }},
		{"refused write", testtarget.Sized(500, 10000), func(int) error {
			if err := task.Write(0, []byte{1}); !errors.Is(err, machcompat.KERN_INVALID_ADDRESS) {
				return errors.Join(errors.New("address 0 was written"), err)
			}
			return nil
		}},
		{"write with the stop", testtarget.Sized(50, 1000), func(i int) error { return stopped.Write(target.Address, []byte{byte(i)}) }},
		{"vm_protect", testtarget.Sized(20, 500), func(i int) error {
			return task.Protect(target.Address, pageSize, false, machcompat.VM_PROT_READ|machcompat.VMProt(i%2)*machcompat.VM_PROT_WRITE)
		}},
		{"Task", testtarget.Sized(100, 2000), func(int) error {
			task, err := machcompat.TaskForPID(target.PID, modes[2].options...)
			if err != nil {
				return err
			}
			return task.Close()
		}},
		{"refused Task", testtarget.Sized(100, 2000), func(int) error {
			if task, err := machcompat.TaskForPID(1 << 22); err == nil {
				task.Close()
				return errors.New("there is a process that can't be")
			}
			return nil
		}},
	}
	for _, work := range works {
		for i := range 20 { // what is made once and kept
			if err := work.do(i); err != nil {
				t.Fatalf("%s: %v", work.name, err)
			}
		}
	}
	for _, work := range works {
		before, begin := usageNow(t), time.Now()
		for i := range work.count {
			if err := work.do(i); err != nil {
				t.Fatalf("%s %d: %v", work.name, i, err)
			}
		}
		after := usageNow(t)
		t.Logf("%d of %s in %v: %+v, then %+v", work.count, work.name, time.Since(begin).Round(time.Millisecond), before, after)
		const slack = 4 // threads of the runtime, and goroutines that are about to end
		if after.files > before.files || after.threads > before.threads+slack || after.goroutines > before.goroutines+slack || after.heap > before.heap+1<<20 {
			t.Errorf("%s left something behind: %+v, then %+v", work.name, before, after)
		}
	}
	mustBeFree(t, target.PID)
	if err := target.verdict(); err != nil {
		t.Error(err)
	}
}

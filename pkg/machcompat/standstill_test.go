// SPDX-License-Identifier: Apache-2.0

package machcompat_test

import (
	"fmt"
	"os/exec"
	"strconv"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

// BenchmarkStandstill measures a call that stops the target, and how long the
// target itself saw the world stand still: the median over the calls.
func BenchmarkStandstill(b *testing.B) {
	program := testtarget.BuildC(b, "testdata/gap.c")
	for _, threads := range []int{2, 100} {
		for _, c := range []struct {
			name    string
			options []machcompat.Option
			call    func(task *machcompat.Task, address uint64, i int) error
		}{
			{"vm_protect", nil, func(task *machcompat.Task, address uint64, i int) error {
				return task.Protect(address, pageSize, false, machcompat.VM_PROT_READ|machcompat.VMProt(i%2)*machcompat.VM_PROT_WRITE)
			}},
			{"vm_write/procmem", []machcompat.Option{machcompat.WithBackend(machcompat.ProcMem)}, func(task *machcompat.Task, address uint64, _ int) error {
				return task.Write(address, []byte("8 bytes."))
			}},
		} {
			b.Run(fmt.Sprintf("%s/threads=%d", c.name, threads), func(b *testing.B) {
				target := startGap(b, program, threads)
				task := taskFor(b, target.pid, c.options...)
				i := 0
				for b.Loop() {
					if err := c.call(task, target.address, i); err != nil {
						b.Fatal(err)
					}
					i++
				}
				b.StopTimer()
				median, longest := target.end(b)
				b.ReportMetric(median, "ns-still")
				b.ReportMetric(longest, "ns-still-longest")
			})
		}
	}
}

// gapTarget is a running testdata/gap.c.
type gapTarget struct {
	pid     int
	address uint64
	end     func(testing.TB) (median, longest float64)
}

func startGap(tb testing.TB, program string, threads int) gapTarget {
	tb.Helper()
	process := testtarget.StartProcess(tb, exec.Command(program, strconv.Itoa(threads)))
	target := gapTarget{pid: process.PID}
	if _, err := fmt.Sscan(process.Line(), &target.address); err != nil {
		tb.Fatal(err)
	}
	target.end = func(tb testing.TB) (median, longest float64) {
		process.Stdin.Close()
		var count int
		if _, err := fmt.Sscan(process.Line(), &median, &longest, &count); err != nil {
			tb.Fatal(err)
		}
		return median, longest
	}
	return target
}

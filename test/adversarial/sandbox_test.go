// SPDX-License-Identifier: Apache-2.0

package adversarial

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"syscall"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"golang.org/x/sys/unix"
)

// Attack 7. A filter refuses each set of the system calls that a write is made
// of, in two modes, or kills.
func TestSystemCallsAreRefused(t *testing.T) {
	groups := []struct {
		name    string
		numbers []uintptr
	}{
		{"process_vm", []uintptr{unix.SYS_PROCESS_VM_WRITEV, unix.SYS_PROCESS_VM_READV}},
		{"ptrace", []uintptr{unix.SYS_PTRACE}},
		{"ioctl", []uintptr{unix.SYS_IOCTL}},
		{"pidfd", []uintptr{unix.SYS_PIDFD_OPEN, unix.SYS_PIDFD_SEND_SIGNAL}},
	}
	// vm_protect would change what the next ones find.
	harmless := slices.DeleteFunc(slices.Clone(calls), func(c call) bool { return c.name == "vm_protect" })
	target := startVictim(t)
	number := 0
	for set := 1; set < 1<<len(groups); set++ {
		var names []string
		var refuse []uintptr
		for i, group := range groups {
			if set&(1<<i) != 0 {
				names = append(names, group.name)
				refuse = append(refuse, group.numbers...)
			}
		}
		without := func(name string) bool { return slices.Contains(names, name) }
		for _, errno := range []unix.Errno{unix.EPERM, unix.ENOSYS, 0} {
			for _, call := range testtarget.Some(harmless, 1, number) {
				stops := call.stops()
				if call.name == "write" && without("process_vm") {
					stops = callNamed(calls, "write through procmem").stops()
				}
				want := "KERN_SUCCESS"
				if call.name == "write through process_vm" && without("process_vm") || stops && without("ptrace") {
					want = "KERN_NOT_SUPPORTED"
				}
				p := target.part("confined", call.name)
				p.Limits = limits{Errno: errno, Refuse: refuse}
				result, died := confined(t, p, nil)
				if errno == 0 && died != "" {
					result.Code, want = "", ""
				}
				if result.Code != want || (errno != 0 && died != "") {
					t.Errorf("%s without %v (%v): %+v %s; want %s", call.name, names, errno, result, died, want)
				}
				if want == "KERN_NOT_SUPPORTED" && result.Hint == "" {
					t.Errorf("%s without %v (%v): no hint: %+v", call.name, names, errno, result)
				}
				mustBeFree(t, target.PID)
			}
			number++
		}
	}
	if answer, err := target.Ask("look"); answer != "o 1" {
		t.Errorf("the target says %q, %v; want one byte changed", answer, err)
	}
}

// Attack 7. /proc hides processes, or all but processes, or is not there.
func TestProcIsConfined(t *testing.T) {
	testtarget.Need(t, "root")
	for i, c := range []struct {
		name, proc string
		user       int
		want, text string
	}{
		{"all but the own processes are hidden, and root sees all", "hidepid=2", 0, "KERN_SUCCESS", ""},
		{"all but the own processes are hidden", "hidepid=2", nobodyID, "KERN_FAILURE", "hidepid"},
		{"all but processes is hidden", "subset=pid", 0, "KERN_SUCCESS", ""},
		{"no /proc", "none", 0, "KERN_FAILURE", "no /proc is mounted"},
	} {
		for _, call := range testtarget.Some(calls, 2, i) {
			t.Run(c.name+", "+call.name, func(t *testing.T) {
				target := startVictim(t)
				p := target.part("confined", call.name)
				p.Limits = limits{Proc: c.proc, User: c.user}
				result, died := confined(t, p, namespaces(unix.CLONE_NEWNS))
				if result.Code != c.want || !strings.Contains(result.Message+result.Hint, c.text) {
					t.Errorf("%+v %s; want %s with %q", result, died, c.want, c.text)
				}
				judgeConfined(t, target, result, call.writes)
			})
		}
	}
}

// shortages tries a call with room for 0, 1 and so on up to most of something. A
// quick run seeks the least with which it succeeds, and so tries both sides of it.
func shortages(most int, succeeds func(room int) bool) {
	if !testtarget.Full() {
		sort.Search(most+1, succeeds)
		return
	}
	for room := range most + 1 {
		succeeds(room)
	}
}

// Attack 7. There is no room for one more open file, at each moment.
func TestOpenFilesRunOut(t *testing.T) {
	for _, call := range calls {
		t.Run(call.name, func(t *testing.T) {
			shortages(15, func(room int) bool {
				files, target := uint64(room), startVictim(t)
				defer target.End()
				p := target.part("confined", call.name)
				p.Limits = limits{Files: &files}
				result, died := confined(t, p, nil)
				if result.Code != "KERN_SUCCESS" && (result.Code != "KERN_FAILURE" || !strings.Contains(result.Message, "too many open files") || !strings.Contains(result.Hint, "too many open files")) {
					t.Errorf("%d files: %+v %s; want KERN_SUCCESS, or KERN_FAILURE and a hint", files, result, died)
				}
				judgeConfined(t, target, result, call.writes)
				return result.Code == "KERN_SUCCESS"
			})
		})
	}
}

// Attack 7. The same where the runtime has not set its poller up, which takes two
// files, and which it must not be asked for when there is no room.
func TestOpenFilesRunOutBeforeTheFirstTimer(t *testing.T) {
	fixed := func(t testing.TB) *program { // in which a program is told by more than its layout
		return startC(t, "victim", "o", "fixed")
	}
	for _, c := range []struct {
		name   string
		target func(t testing.TB) *program
		calls  []call
		writer *syscall.SysProcAttr
	}{
		{"the same user", startVictim, stopping, nil},
		{"another user", startVictim, []call{calls[0], stopping[0]}, nobody()},
		{"a target without a random layout", fixed, []call{calls[0], stopping[0]}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.writer != nil {
				testtarget.Need(t, "root")
			}
			for _, call := range c.calls {
				t.Run(call.name, func(t *testing.T) {
					shortages(15, func(room int) bool {
						files, target := uint64(room), c.target(t)
						defer target.End()
						p := target.part("confined", call.name)
						p.Limits = limits{Files: &files, Fresh: true}
						result, died := confined(t, p, c.writer)
						if died != "" || (result.Code != "KERN_FAILURE" && (result.Code != "KERN_SUCCESS" || c.writer != nil)) {
							t.Errorf("%d files: %+v %s; want KERN_FAILURE, or KERN_SUCCESS where it is allowed", files, result, died)
						}
						judgeConfined(t, target, result, call.writes)
						return !strings.Contains(result.Hint, "too many open files")
					})
				})
			}
		})
	}
}

// Attack 7. There is no room for more memory. A Go program may die of it; the
// target must not.
func TestMemoryRunsOut(t *testing.T) {
	sizes := []uint64{1, 1 << 16, 1 << 20, 1 << 24, 1 << 28}
	for _, call := range calls {
		t.Run(call.name, func(t *testing.T) {
			shortages(len(sizes)-1, func(room int) bool {
				target := startVictim(t)
				defer target.End()
				p := target.part("confined", call.name)
				p.Limits = limits{Memory: &sizes[room]}
				result, died := confined(t, p, nil)
				what := fmt.Sprintf("%d bytes more: %+v %s", sizes[room], result, died)
				if died == "" && result.Code != "KERN_SUCCESS" && result.Code != "KERN_FAILURE" && result.Code != "KERN_RESOURCE_SHORTAGE" {
					t.Error(what)
				}
				if died == "" {
					judgeConfined(t, target, result, call.writes)
				} else {
					judgeDeath(t, target, call, what)
				}
				return result.Code == "KERN_SUCCESS"
			})
		})
	}
}

// SPDX-License-Identifier: Apache-2.0

package adversarial

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"golang.org/x/sys/unix"
)

// watchedCalls are what a writer does while it is held at each of its steps.
var watchedCalls = []call{
	{"vm_write, process_vm", modes[0].options, true, injectOnce},
	{"vm_write, process_vm stopped", modes[1].options, true, injectOnce},
	{"vm_write, procmem stopped", modes[2].options, true, injectOnce},
	{"vm_write, atomic", modes[3].options, true, injectOnce},
	{"batch, process_vm", modes[0].options, true, func(task *machcompat.Task, address uint64, _ int) error {
		return task.WriteBatch([]machcompat.Segment{{Address: address, Data: []byte("injected")}, {Address: address + 100, Data: []byte("injected")}})
	}},
	{"vm_copy", nil, true, func(task *machcompat.Task, address uint64, _ int) error { return task.Copy(address, 8, address+64) }},
	{"vm_read", nil, false, func(task *machcompat.Task, address uint64, _ int) error {
		_, err := task.Read(address, 8)
		return err
	}},
	{"vm_protect", nil, false, func(task *machcompat.Task, address uint64, _ int) error {
		return task.Protect(address, pageSize, false, machcompat.VM_PROT_READ)
	}},
}

// reachByPID are those of them for which the kernel finds the target by its pid: a
// program that takes its place between the check and the write gets the bytes.
var reachByPID = map[string]bool{"vm_write, process_vm": true, "batch, process_vm": true, "vm_copy": true}

func injectOnce(task *machcompat.Task, address uint64, _ int) error {
	return task.Write(address, []byte("injected"))
}

// playWatched makes one call, between the marks that the stepper looks for.
func playWatched(p part) {
	unix.Close(-4711)
	c := callNamed(watchedCalls, p.Call)
	task, err := openTask(p.PID, c.options...)
	if err == nil {
		unix.Close(-4713)
		err = c.do(task, p.Address, 0)
	}
	unix.Close(-4712)
	json.NewEncoder(os.Stdout).Encode(outcomeOf(err))
}

// watch runs a writer that is held at one of its steps while meanwhile runs. It
// returns the name of the step, "" when there is no such step any more.
func watch(t *testing.T, p part, step int, meanwhile func()) (name string, result outcome) {
	t.Helper()
	cmd := exec.Command(testtarget.BuildC(t, "testdata/stepper.c"), strconv.Itoa(step), testProgram(t))
	cmd.Env = roleCommand(t, p).Env
	stepper := testtarget.StartProcess(t, cmd)
	stop := endIfItHangs(stepper.PID)
	line, err := stepper.ReadLine()
	if err == nil && !strings.HasPrefix(line, "{") {
		name = line
		meanwhile()
		line, err = stepper.Ask("go on")
	}
	stop()
	if err != nil {
		t.Fatalf("step %d (%s): the writer says %q, %v", step, name, line, err)
	}
	if err := stepper.Wait(); err != nil {
		t.Fatalf("step %d (%s): the writer ended with %v", step, name, err)
	}
	return name, decode(t, line)
}

// mishap is what happens to the target. It returns the program that has its pid
// afterwards, nil when there is none.
type mishap func(t *testing.T, target *program) *newcomer

// newcomer is a program that has the pid of the target.
type newcomer struct {
	*program
	ready <-chan error // from whom answers once it runs
}

// atEachStep lets a mishap happen at every step of every call, in a quick run at
// every sixth step, at others for each call.
func atEachStep(t *testing.T, happen mishap) {
	for i, call := range watchedCalls {
		t.Run(call.name, func(t *testing.T) {
			outcomes := map[string]int{}
			step := 1 + testtarget.Sized(i%6, 0)
			for ; ; step += testtarget.Sized(6, 1) {
				target := startVictim(t)
				var newcomer *newcomer
				name, result := watch(t, target.part("watched", call.name), step, func() { newcomer = happen(t, target) })
				if name == "" {
					target.End()
					break
				}
				outcomes[result.Op+" "+result.Code]++
				if problem := judge(name, result, newcomer, reachByPID[call.name]); problem != "" {
					t.Errorf("step %d (%s): %s; the writer says %+v", step, name, problem, result)
				}
				target.End()
				if newcomer != nil {
					newcomer.End()
				}
			}
			t.Logf("fewer than %d steps: %v", step, outcomes)
			if len(outcomes) == 0 || step < 6 {
				t.Errorf("there are fewer than %d steps", step)
			}
		})
	}
}

// judge says what is wrong with the outcome of a call whose target met a mishap
// at a step.
func judge(step string, result outcome, newcomer *newcomer, reaches bool) string {
	switch result.Code {
	case "KERN_SUCCESS": // it was done before, or undisturbed
	case "KERN_INVALID_ARGUMENT":
	case "KERN_FAILURE":
		if result.Op != "task_for_pid" {
			return "the code is wrong for a task that has ended"
		}
	default:
		return "the code is wrong for a task that has ended"
	}
	if newcomer == nil {
		return ""
	}
	if newcomer.ready != nil {
		if err := <-newcomer.ready; err != nil {
			return fmt.Sprintf("the newcomer does not run: %v", err)
		}
	}
	answer, err := newcomer.Ask("look")
	letter, changed, _ := strings.Cut(answer, " ")
	switch {
	case err != nil:
		return fmt.Sprintf("the newcomer says %q, %v", answer, err)
	case letter != "n":
		return fmt.Sprintf("the newcomer is %q", answer)
	case changed == "0":
		return ""
	case result.Code == "KERN_SUCCESS" && strings.HasPrefix(step, "opening "):
		return "" // it is the newcomer that the task was opened on
	case result.Code == "KERN_SUCCESS":
		return "the bytes reached the newcomer, and the call is a success"
	case !reaches:
		return "bytes reached the newcomer"
	case !strings.Contains(result.Message, "may have received the bytes"):
		return "bytes reached the newcomer, and the error does not say so"
	}
	return ""
}

// Attack 3. The target is killed at every step of a call, and is a zombie from
// there on.
func TestTargetIsKilledAtEachStep(t *testing.T) {
	atEachStep(t, func(t *testing.T, target *program) *newcomer {
		target.Kill()
		return nil
	})
}

// Attack 3. The target runs another program, with memory at the same address, as
// soon as the writer does not hold it.
func TestTargetRunsAnotherProgramAtEachStep(t *testing.T) {
	atEachStep(t, func(t *testing.T, target *program) *newcomer {
		ready := make(chan error, 1)
		go func() {
			_, err := target.Ask("exec") // the answer is the address, anew
			ready <- err
		}()
		testtarget.WaitFor(t, "another program, or a target that is held", func() bool {
			return len(ready) > 0 || stateOf(t, target.PID) == "t"
		})
		return &newcomer{target, ready}
	})
}

// inPIDNamespace runs the test anew as the first process of a pid namespace,
// with its own /proc, and reports its outcome. It returns true in there.
func inPIDNamespace(t *testing.T) bool {
	t.Helper()
	const variable = "VMWRITE_ADVERSARIAL_NAMESPACE"
	if os.Getenv(variable) == t.Name() {
		if err := mountProc("hidepid=0"); err != nil {
			t.Fatal(err)
		}
		return true
	}
	testtarget.Need(t, "root")
	testtarget.BuildC(t, "testdata/victim.c") // a test that is skipped in the namespace would be passed here
	cmd := exec.Command(testProgram(t), "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), variable+"="+t.Name())
	cmd.SysProcAttr = namespaces(unix.CLONE_NEWPID | unix.CLONE_NEWNS)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	err := testtarget.RunCommand(cmd)
	t.Logf("in a pid namespace of its own:\n%s", out.String())
	if err != nil {
		t.Error(err)
	}
	return false
}

// Attack 3. The target's pid is given to another process, with memory at the
// same address, at every step of a call. While the writer traces the target the
// kernel keeps the pid.
func TestPIDIsGivenAwayAtEachStep(t *testing.T) {
	if !inPIDNamespace(t) {
		return
	}
	given := 0
	atEachStep(t, func(t *testing.T, target *program) *newcomer {
		next := takePID(t, target)
		if next != nil {
			given++
		}
		return next
	})
	if given == 0 {
		t.Error("no pid was given away")
	}
}

// takePID kills the target and starts a newcomer with its pid, unless the pid
// stays taken because the target is traced.
func takePID(t *testing.T, target *program) *newcomer {
	t.Helper()
	target.Kill()
	waitForState(t, target.PID, "Z")
	if len(tracersOf(target.PID)) > 0 {
		return nil
	}
	target.End()
	if err := os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte(strconv.Itoa(target.PID-1)), 0); err != nil {
		t.Fatal(err)
	}
	next := startC(t, "victim", "n")
	if next.PID != target.PID {
		next.End()
		return nil // a thread of this program was quicker
	}
	return &newcomer{program: next}
}

// Attack 3. A Task of a process whose pid was given away never touches the
// newcomer, whatever is asked of it.
func TestTaskNeverReachesTheNextProcessOfItsPID(t *testing.T) {
	if !inPIDNamespace(t) {
		return
	}
	for _, call := range watchedCalls {
		for _, used := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, used before: %v", call.name, used), func(t *testing.T) {
				var task *machcompat.Task
				var newcomer *newcomer
				for newcomer == nil {
					target := startVictim(t)
					task = taskFor(t, target.PID, call.options...)
					if used {
						if err := call.do(task, target.Address, 0); err != nil {
							t.Fatal(err)
						}
					}
					newcomer = takePID(t, target)
				}
				err := call.do(task, newcomer.Address, 0)
				if !errors.Is(err, machcompat.KERN_INVALID_ARGUMENT) {
					t.Errorf("%v; want KERN_INVALID_ARGUMENT", err)
				}
				if answer, err := newcomer.Ask("look"); answer != "n 0" {
					t.Errorf("the newcomer says %q, %v; want n 0", answer, err)
				}
				if code := machcompat.CodeOf(task.Suspend()); code != machcompat.KERN_INVALID_ARGUMENT {
					t.Errorf("Suspend = %s; want KERN_INVALID_ARGUMENT", code.String())
				}
			})
		}
	}
}

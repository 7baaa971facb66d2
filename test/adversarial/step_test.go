package adversarial

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"golang.org/x/sys/unix"
)

func init() { roles["watched"] = playWatched }

// watchedCalls are what a writer does while it is held at each of its steps.
var watchedCalls = []struct {
	name string
	// reaches is true where the kernel finds the target by its pid: a program
	// that takes its place between the check and the write gets the bytes.
	reaches bool
	options []machcompat.Option
	do      func(task *machcompat.Task, address uint64) error
}{
	{"vm_write, process_vm", true, ways[0].options, injectOnce},
	{"vm_write, process_vm stopped", false, ways[1].options, injectOnce},
	{"vm_write, procmem stopped", false, ways[2].options, injectOnce},
	{"vm_write, atomic", false, ways[3].options, injectOnce},
	{"batch, process_vm", true, ways[0].options, func(task *machcompat.Task, address uint64) error {
		return task.WriteBatch([]machcompat.Segment{{Address: address, Data: []byte("injected")}, {Address: address + 100, Data: []byte("injected")}})
	}},
	{"vm_copy", true, nil, func(task *machcompat.Task, address uint64) error { return task.Copy(address, 8, address+64) }},
	{"vm_read", false, nil, func(task *machcompat.Task, address uint64) error {
		_, err := task.Read(address, 8)
		return err
	}},
	{"vm_protect", false, nil, func(task *machcompat.Task, address uint64) error {
		return task.Protect(address, pageSize, false, machcompat.VM_PROT_READ)
	}},
}

func injectOnce(task *machcompat.Task, address uint64) error {
	return task.Write(address, []byte("injected"))
}

// outcome is what came of a call in another process.
type outcome struct {
	Op, Code, Message, Hint string
}

func outcomeOf(err error) outcome {
	e, ok := errors.AsType[*machcompat.Error](err)
	switch {
	case err == nil:
		return outcome{Code: "KERN_SUCCESS"}
	case !ok:
		return outcome{Message: err.Error()}
	}
	return outcome{e.Op, e.Code.String(), e.Error(), e.Hint}
}

// playWatched makes one call, between the marks that the stepper looks for.
func playWatched(p part) {
	unix.Close(-4711)
	call := watchedCalls[p.Way]
	task, err := machcompat.TaskForPID(p.PID, call.options...)
	if err == nil {
		unix.Close(-4713)
		err = call.do(task, p.Address)
	}
	unix.Close(-4712)
	json.NewEncoder(os.Stdout).Encode(outcomeOf(err))
}

// watch runs a writer that is held at one of its steps while meanwhile runs. It
// returns the name of the step, "" when there is no such step any more.
func watch(t *testing.T, p part, step int, meanwhile func()) (name string, result outcome) {
	t.Helper()
	writer := roleCommand(t, p)
	cmd := exec.Command(testtarget.BuildC(t, "testdata/stepper.c"), strconv.Itoa(step), "/proc/self/exe")
	// The link is that of the stepper by then.
	cmd.Args[2], cmd.Env, cmd.Stderr = testProgram(t), writer.Env, os.Stderr
	stdin, stdout := testtarget.StartPiped(t, cmd)
	hung := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
	defer hung.Stop()
	lines := bufio.NewReader(stdout)
	line, err := lines.ReadString('\n')
	if !strings.HasPrefix(line, "{") {
		name = strings.TrimSpace(line)
		meanwhile()
		io.WriteString(stdin, "\n")
		line, err = lines.ReadString('\n')
	}
	if err != nil {
		t.Fatalf("step %d (%s): the writer says %q, %v", step, name, line, err)
	}
	if err := json.Unmarshal([]byte(line), &result); err != nil {
		t.Fatalf("step %d (%s): the writer says %q, %v", step, name, line, err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("step %d (%s): the writer ended with %v", step, name, err)
	}
	return name, result
}

func testProgram(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// mishap is what happens to the target. It returns the program that has its pid
// afterwards, nil when there is none.
type mishap func(t *testing.T, target *program) (newcomer *program)

// atEachStep lets a mishap happen at every step of every call.
func atEachStep(t *testing.T, happen mishap) {
	for way, call := range watchedCalls {
		t.Run(call.name, func(t *testing.T) {
			outcomes := map[string]int{}
			step := 1
			for ; step < 500; step++ {
				target := start(t, exec.Command(testtarget.BuildC(t, "testdata/victim.c"), "o"))
				var newcomer *program
				name, result := watch(t, part{Role: "watched", PID: target.PID, Address: target.Address, Way: way}, step, func() {
					newcomer = happen(t, target)
				})
				if name == "" {
					target.kill()
					break
				}
				outcomes[result.Op+" "+result.Code]++
				if problem := judge(name, result, newcomer, call.reaches); problem != "" {
					t.Errorf("step %d (%s): %s; the writer says %+v", step, name, problem, result)
				}
				target.kill()
				if newcomer != nil {
					newcomer.kill()
				}
			}
			t.Logf("%d steps: %v", step-1, outcomes)
			if step < 5 {
				t.Errorf("only %d steps were seen", step-1)
			}
		})
	}
}

// judge says what is wrong with the outcome of a call whose target met a mishap
// at a step.
func judge(step string, result outcome, newcomer *program, reaches bool) string {
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
	letters, err := newcomer.command("look")
	letter, changed, _ := strings.Cut(letters, " ")
	switch {
	case err != nil:
		return fmt.Sprintf("the newcomer says %q, %v", letters, err)
	case letter != "n":
		return fmt.Sprintf("the newcomer is %q", letters)
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
	atEachStep(t, func(t *testing.T, target *program) *program {
		target.cmd.Process.Kill()
		return nil
	})
}

// Attack 3. The target runs another program, with memory at the same address.
func TestTargetRunsAnotherProgramAtEachStep(t *testing.T) {
	atEachStep(t, func(t *testing.T, target *program) *program {
		if _, err := io.WriteString(target.stdin, "exec\n"); err != nil {
			t.Fatal(err)
		}
		answer := make(chan error, 1)
		go func() {
			_, err := target.line() // the address, anew
			answer <- err
		}()
		newcomer := &program{t: t, stdin: target.stdin, lines: target.lines, ended: true, pending: answer}
		select {
		case err := <-answer:
			answer <- err
		case <-time.After(30 * time.Millisecond):
			// The writer has stopped it: it will do so later.
		}
		return newcomer
	})
}

// inPIDNamespace runs the test anew as the first process of a pid namespace,
// with its own /proc, and reports its outcome. It returns true in there.
func inPIDNamespace(t *testing.T) bool {
	t.Helper()
	const variable = "VMWRITE_ADVERSARIAL_NAMESPACE"
	if os.Getenv(variable) == t.Name() {
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
			t.Fatal(err)
		}
		return true
	}
	testtarget.NeedRoot(t)
	cmd := exec.Command(testProgram(t), "-test.run=^"+t.Name()+"$", "-test.v",
		"-adversarial.seconds="+fmt.Sprint(*stormSeconds), "-adversarial.rounds="+strconv.Itoa(*killRounds))
	cmd.Env = append(os.Environ(), variable+"="+t.Name())
	cmd.SysProcAttr = namespaces(unix.CLONE_NEWPID | unix.CLONE_NEWNS)
	out, err := cmd.CombinedOutput()
	t.Logf("in a pid namespace of its own:\n%s", out)
	if err != nil {
		t.Error(err)
	}
	return false
}

// Attack 3. The target's pid is given to another process, with memory at the
// same address, at every step of a call. While the writer traces the target the
// kernel keeps the pid.
func TestPIDIsGivenAwayAtEachStep(t *testing.T) {
	if inPIDNamespace(t) {
		atEachStep(t, func(t *testing.T, target *program) *program { return takePID(t, target) })
	}
}

// takePID kills the target and starts a newcomer with its pid, unless the pid
// stays taken because the target is traced.
func takePID(t *testing.T, target *program) *program {
	t.Helper()
	target.cmd.Process.Kill()
	reaped := make(chan struct{})
	go func() {
		target.cmd.Wait()
		close(reaped)
	}()
	target.ended = true
	select {
	case <-reaped:
	case <-time.After(30 * time.Millisecond):
		return nil
	}
	if err := os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte(strconv.Itoa(target.PID-1)), 0); err != nil {
		t.Fatal(err)
	}
	newcomer := start(t, exec.Command(testtarget.BuildC(t, "testdata/victim.c"), "n"))
	if newcomer.PID != target.PID {
		newcomer.kill()
		return nil // a thread of this program was quicker
	}
	return newcomer
}

// Attack 3. A Task of a process whose pid was given away never touches the
// newcomer, whatever is asked of it.
func TestTaskNeverReachesTheNextProcessOfItsPID(t *testing.T) {
	if !inPIDNamespace(t) {
		return
	}
	for way := range watchedCalls {
		call := watchedCalls[way]
		for _, used := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, used before: %v", call.name, used), func(t *testing.T) {
				var task *machcompat.Task
				var newcomer *program
				for newcomer == nil {
					target := start(t, exec.Command(testtarget.BuildC(t, "testdata/victim.c"), "o"))
					task = taskFor(t, target.PID, call.options...)
					if used {
						if err := call.do(task, target.Address); err != nil {
							t.Fatal(err)
						}
					}
					newcomer = takePID(t, target)
				}
				err := call.do(task, newcomer.Address)
				if !errors.Is(err, machcompat.KERN_INVALID_ARGUMENT) {
					t.Errorf("%v; want KERN_INVALID_ARGUMENT", err)
				}
				if answer, err := newcomer.command("look"); answer != "n 0" {
					t.Errorf("the newcomer says %q, %v; want n 0", answer, err)
				}
				if code := machcompat.CodeOf(task.Suspend()); code != machcompat.KERN_INVALID_ARGUMENT {
					t.Errorf("Suspend = %s; want KERN_INVALID_ARGUMENT", code.String())
				}
			})
		}
	}
}

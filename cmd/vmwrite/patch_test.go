// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/patch"
	"golang.org/x/sys/unix"
)

// A thread that is always in the middle of the code keeps a patch from it, and is named.
func TestPatchWithAThreadInTheWay(t *testing.T) {
	p, file := startStuck(t)
	patchCommand := func(words string) (status int, out, trouble string) {
		var o, e bytes.Buffer
		status = run(append(strings.Fields("patch "+words), "-p", fmt.Sprint(p), file), streams{in: strings.NewReader(""), out: &o, err: &e})
		return status, o.String(), e.String()
	}
	if status, out, trouble := patchCommand("check"); status != 0 || !strings.Contains(out, "in stuck\n") || !strings.Contains(out, "nop") {
		t.Errorf("check: status %d, %s%s", status, out, trouble)
	}
	status, out, trouble := patchCommand("apply --timeout 5 --json")
	if want := fmt.Sprintf("vmwrite: thread %d goes on at 0x", p); status != exitMismatch || !strings.Contains(trouble, want) ||
		!strings.Contains(trouble, "hint: give it more time with --timeout") {
		t.Errorf("apply: status %d, %s", status, trouble)
	}
	var object outcome
	if err := json.Unmarshal([]byte(out), &object); err != nil || len(object.Patch.Obstacles) == 0 || object.Patch.Obstacles[0].Thread != p ||
		!strings.HasPrefix(object.Patch.Obstacles[0].Function, "stuck") {
		t.Errorf("%v: obstacles are %+v of %s", err, object.Patch, out)
	}
	if status, out, trouble = patchCommand("apply --force"); status != 0 || !strings.Contains(out, `applied "a test" by force`) {
		t.Errorf("apply --force: status %d, %s%s", status, out, trouble)
	}
	if status, _, trouble = patchCommand("undo --timeout 5"); status != exitMismatch {
		t.Errorf("undo: status %d, %s", status, trouble)
	}
	if status, out, trouble = patchCommand("undo --force"); status != 0 || !strings.Contains(out, `undid "a test"`) {
		t.Errorf("undo --force: status %d, %s%s", status, out, trouble)
	}
}

// Whoever is killed while he applies a patch leaves a journal, by which the next ones know.
func TestPatchAfterTheCommandWasKilled(t *testing.T) {
	pid, file := startStuck(t)
	p := fmt.Sprint(pid)
	state := t.TempDir()
	command := func(words ...string) *exec.Cmd {
		cmd := exec.Command(testtarget.BuildCommand(t), append([]string{"patch"}, words...)...)
		cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+state)
		return cmd
	}
	killed := command("apply", "-p", p, file, "--timeout", "1000")
	if err := killed.Start(); err != nil {
		t.Fatal(err)
	}
	testtarget.WaitFor(t, "the journal", func() bool {
		journals, err := filepath.Glob(filepath.Join(state, "vmwrite", p+".*", "*.prepared"))
		return err == nil && len(journals) == 1
	})
	if err := killed.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = killed.Wait()
	for _, c := range []struct {
		words  []string
		status int
		want   string
	}{
		{[]string{"status", "-p", p, file}, 0, "not applied, and in the journal"},
		{[]string{"check", "-p", p, file}, exitMismatch, "must be recovered first"},
		{[]string{"apply", "-p", p, file}, exitMismatch, "hint: vmwrite patch recover -p " + p + " puts back what was there"},
		{[]string{"undo", "-p", p, file}, exitMismatch, "must be recovered first"},
		{[]string{"recover", "-p", p}, 0, "restored"},
		{[]string{"recover"}, 0, "no patch is in the journal"},
		{[]string{"check", "-p", p, file}, 0, "can be applied"},
	} {
		cmd := command(c.words...)
		text, _ := cmd.CombinedOutput()
		if status := cmd.ProcessState.ExitCode(); status != c.status || !strings.Contains(string(text), c.want) {
			t.Errorf("%q: status %d, %s; want %d, %q", c.words, status, text, c.status, c.want)
		}
	}
}

// startStuck starts the program that is stuck, waits until it is, and returns the file of a
// patch that changes its code and lets it be stuck.
func startStuck(t *testing.T) (pid int, file string) {
	t.Helper()
	testtarget.Need(t, "own children")
	bytesOf, ok := map[string][2]string{
		"amd64": {"90 eb fe", "b0 eb fe"}, // of which the last two still are the jump
		"arm64": {"1f 20 03 d5 00 00 00 14", "e0 03 00 aa 00 00 00 14"},
	}[runtime.GOARCH]
	if !ok {
		t.Skip("no code for this processor")
	}
	file = filepath.Join(t.TempDir(), "fix.yaml")
	text := fmt.Sprintf("version: 1\nname: a test\nchanges:\n- at: stuck!stuck\n  old: %s\n  new: %s\n  unprotect: true\n", bytesOf[0], bytesOf[1])
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "stuck")
	if err := os.Symlink(testtarget.BuildC(t, "testdata/stuck.c"), path); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path)
	process := testtarget.StartProcess(t, cmd)
	var last uint64
	testtarget.WaitFor(t, "the program to be stuck", func() (same bool) {
		task, err := machcompat.TaskForPID(process.PID) // anew, because it may not run the program yet
		if err != nil {
			t.Fatal(err)
		}
		defer task.Close()
		err = task.Stopped(context.Background(), func(s *machcompat.Stopped) error {
			state, err := s.ThreadState(process.PID)
			same, last = state.PC == last, state.PC
			return err
		})
		return err == nil && same
	})
	return process.PID, file
}

// The instruction in which a change begins is shown whole in a program without symbols, too,
// and a breakpoint of a debugger is named.
func TestPatchOfAProgramWithoutSymbols(t *testing.T) {
	testtarget.Need(t, "own children")
	if runtime.GOARCH != "amd64" {
		t.Skip("no code for this processor")
	}
	path := filepath.Join(t.TempDir(), "waits")
	if err := os.Symlink(testtarget.BuildC(t, "testdata/waits.c", "-s"), path); err != nil {
		t.Fatal(err)
	}
	pid := testtarget.StartProcess(t, exec.Command(path)).PID
	file := filepath.Join(t.TempDir(), "fix.yaml")
	module := filepath.Base(testtarget.BuildC(t, "testdata/waits.c", "-s"))
	text := fmt.Sprintf("version: 1\nname: a test\nchanges:\n- find: {pattern: b8 78 | 56 34 12 c3, in: %s}\n  old: 56\n  new: 57\n  unprotect: true\n", module)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	vmwrite := func(words ...string) string {
		var out bytes.Buffer
		run(append(words, "-p", fmt.Sprint(pid)), streams{in: strings.NewReader(""), out: &out, err: &out})
		return out.String()
	}
	checked := vmwrite("patch", "check", file)
	if !regexp.MustCompile(`(?m)^- .*b8 78 56 34 12 +mov eax, 0x12345678\n\+ .*b8 78 57 34 12 +mov eax, 0x12345778$`).MatchString(checked) {
		t.Fatalf("check shows %s", checked)
	}
	address := regexp.MustCompile(`^0x[0-9a-f]+`).FindString(checked)
	fixed := strings.Replace(text, "find: {pattern: b8 78 | 56 34 12 c3, in: "+module+"}", "at: "+address, 1)
	if err := os.WriteFile(file, []byte(fixed), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ there, want string }{
		{"cc", "hint: cc is a breakpoint of a debugger"},
		{"55", "hint: vmwrite patch diff -p "},
	} {
		vmwrite("write", address, c.there, "--unprotect")
		if refused := vmwrite("patch", "check", file); !strings.Contains(refused, "want 56, found "+c.there) || !strings.Contains(refused, c.want) {
			t.Errorf("with %s check says %s; want %q", c.there, refused, c.want)
		}
	}
}

// A process that ends between the look and the write has a code of its own.
func TestPatchOfAProcessThatEnds(t *testing.T) {
	testtarget.Need(t, "own children")
	for _, c := range []struct {
		name string
		do   func(*patchJob) error
	}{{"apply", (*patchJob).apply}, {"undo", (*patchJob).undo}} {
		t.Run(c.name, func(t *testing.T) {
			target := testtarget.Start(t)
			page := target.Address("layout rw-:1")
			p, err := patch.Parse(fmt.Appendf(nil, "version: 1\nname: a test\nchanges:\n- {at: %#x, old: %x, new: 90}\n", page, target.Bytes(page, 1)))
			if err != nil {
				t.Fatal(err)
			}
			o := &patchOptions{timeout: 10}
			o.pid = fmt.Sprint(target.PID)
			var out bytes.Buffer
			j := &patchJob{patchOptions: o, caller: caller{streams: streams{out: &out, err: &out}}, file: "fix.yaml", patch: p, interrupted: watchSignals()}
			defer j.interrupted.stop()
			if j.task, err = o.open(); err != nil {
				t.Fatal(err)
			}
			defer j.task.Close()
			if err := j.resolve(); err != nil {
				t.Fatal(err)
			}
			if c.name == "undo" {
				if err := j.apply(); err != nil {
					t.Fatal(err)
				}
			}
			target.Kill()
			if err := c.do(j); exitStatus(err) != int(machcompat.KERN_INVALID_ARGUMENT) {
				t.Errorf("the status of %v is %d; want %v", err, exitStatus(err), machcompat.KERN_INVALID_ARGUMENT)
			}
		})
	}
}

// A signal ends what waits, and the error says whether the process may have changed.
func TestPatchInterrupted(t *testing.T) {
	watchSignals().stop() // the first watch starts a goroutine that stays: not in a bubble
	for _, c := range []struct {
		name string
		call func(context.Context) error
		want string
	}{
		{"while it waits for threads", func(ctx context.Context) error {
			<-ctx.Done()
			return &patch.InTheWayError{Obstacles: make([]patch.Obstacle, 1)}
		}, "interrupted; nothing was changed"},
		{"while it looks for something", func(ctx context.Context) error {
			<-ctx.Done()
			return fmt.Errorf("nothing was changed: %w", ctx.Err())
		}, "interrupted; nothing was changed"},
		{"after all is done", func(ctx context.Context) error {
			<-ctx.Done()
			return nil
		}, ""},
		{"before another error", func(ctx context.Context) error {
			<-ctx.Done()
			return &machcompat.Error{Op: "patch", Code: machcompat.KERN_MEMORY_ERROR}
		}, "KERN_MEMORY_ERROR"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i := watchSignals()
				defer i.stop()
				made := caller{streams: streams{err: io.Discard}}
				time.AfterFunc(time.Hour, func() { i.signals <- unix.SIGTERM })
				err := made.long(i, "waiting", endsWhenForced, c.call)
				if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
					t.Errorf("the error is %v; want %q", err, c.want)
				}
				if aborted := strings.HasPrefix(c.want, "interrupted"); aborted && machcompat.CodeOf(err) != machcompat.KERN_ABORTED {
					t.Errorf("the code of %v is %v", err, machcompat.CodeOf(err))
				}
			})
		})
	}
}

func TestExitStatusOfAPatch(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		want int
	}{
		{"old bytes don't match", &patch.CheckError{Findings: []patch.Finding{{Err: machcompat.ErrMismatch}}}, exitMismatch},
		{"it is another program", &patch.CheckError{Findings: []patch.Finding{{Err: machcompat.KERN_INVALID_ADDRESS}, {Err: patch.ErrOtherProgram}}}, exitMismatch},
		{"a thread is in the way", &patch.InTheWayError{Obstacles: make([]patch.Obstacle, 1)}, exitMismatch},
		{"it is applied", patch.ErrApplied, exitMismatch},
		{"it was left unfinished", fmt.Errorf("%w: by somebody", patch.ErrUnfinished), exitMismatch},
		{"the file is wrong", &patch.FileError{Line: 1, Column: 1, Err: errors.New("wrong")}, exitMismatch},
		{"the journal is damaged", &patch.JournalError{Path: "x", Err: patch.ErrDamaged}, exitFile},
		{"the journal can't be written", &patch.JournalError{Path: "x", Err: unix.EROFS}, exitFile},
		{"the process has ended", &machcompat.Error{Code: machcompat.KERN_INVALID_ARGUMENT}, int(machcompat.KERN_INVALID_ARGUMENT)},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := exitStatus(&patchError{err: c.err}); got != c.want {
				t.Errorf("the status of %v is %d; want %d", c.err, got, c.want)
			}
		})
	}
}

// The page names each field of what is inside of patch, skipped and recovered, too.
func TestTheManualPageNamesEveryFieldOfAPatch(t *testing.T) {
	page, err := os.ReadFile("../../man/vmwrite-formats.7")
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range []reflect.Type{
		reflect.TypeFor[patchReport](), reflect.TypeFor[changeReport](), reflect.TypeFor[findingReport](),
		reflect.TypeFor[obstacleReport](), reflect.TypeFor[skippedReport](), reflect.TypeFor[recoveredReport](),
	} {
		for field := range object.Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if !regexp.MustCompile(`(?m)^\.(It )?Cm .*\b` + name + `\b`).Match(page) {
				t.Errorf("no field %s of %s", name, object)
			}
		}
	}
}

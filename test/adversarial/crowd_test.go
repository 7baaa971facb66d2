package adversarial

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"golang.org/x/sys/unix"
)

func init() { roles["crowded"] = playCrowded }

// playCrowded makes one call after a line of input, when there is no room for
// another thread any more, or bounds its threads itself.
func playCrowded(p part) {
	fmt.Println("ready")
	bufio.NewReader(os.Stdin).ReadString('\n')
	var err error
	if p.Room != nil {
		err = boundThreads(*p.Room)
	}
	call := confinedCalls[p.Way]
	if err == nil {
		var task *machcompat.Task
		if task, err = machcompat.TaskForPID(p.PID, call.options...); err == nil {
			err = call.do(task, p.Address, 'n')
		}
	}
	json.NewEncoder(os.Stdout).Encode(outcomeOf(err))
}

// boundThreads leaves room for some more threads, where this user has no other
// processes but one.
func boundThreads(room int) error {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	limit := uint64(len(threads) + 1 + room)
	return unix.Setrlimit(unix.RLIMIT_NPROC, &unix.Rlimit{Cur: limit, Max: limit})
}

// crowd is a writer and a target without room for another thread.
type crowd struct {
	target *program
	in     io.Writer
	out    *bufio.Reader
	fill   func() // makes it so, once the writer is ready
	// words returns what a writer that has ended wrote to its standard error.
	words func() string
}

// crowds are the limits that a thread can meet.
var crowds = []struct {
	name  string
	start func(t *testing.T, way, room int) *crowd
}{
	{"the table of pids is full", startInFullNamespace},
	{"the user may have no more", startAsBoundUser},
}

// startInFullNamespace starts both in a pid namespace with few pids.
func startInFullNamespace(t *testing.T, way, room int) *crowd {
	t.Helper()
	needNamespacePIDs(t)
	// One pipe each: its inner end, then the outer.
	targetIn, toTarget := pipe(t)
	fromTarget, targetOut := pipe(t)
	writerIn, toWriter := pipe(t)
	fromWriter, writerOut := pipe(t)
	words, writerErr := pipe(t)
	const address, pids = 0x100000001000, "400"
	writer := roleCommand(t, part{Role: "crowded", PID: 2, Address: address, Way: way})
	cmd := exec.Command(testtarget.BuildC(t, "testdata/crowd.c"), pids, testtarget.BuildC(t, "testdata/victim.c"), "o", "--", testProgram(t))
	cmd.Env, cmd.Stderr = writer.Env, os.Stderr
	cmd.SysProcAttr = namespaces(unix.CLONE_NEWPID | unix.CLONE_NEWNS)
	inner := []*os.File{targetIn, targetOut, writerIn, writerOut, writerErr}
	cmd.ExtraFiles = inner
	stdin, stdout := testtarget.StartPiped(t, cmd)
	for _, file := range inner {
		file.Close() // so that the outer end sees the end of a process
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	target := &program{t: t, stdin: toTarget, lines: bufio.NewReader(fromTarget), ended: true}
	if line, err := target.line(); line != fmt.Sprintf("%#x", uint64(address)) {
		t.Fatalf("the target says %q, %v", line, err)
	}
	target.PID = childOf(t, cmd.Process.Pid, "victim")
	answers := bufio.NewReader(stdout)
	fill := func() {
		fmt.Fprintf(stdin, "fill %d\n", room)
		if line, err := answers.ReadString('\n'); !strings.HasPrefix(line, "full ") {
			t.Fatalf("the crowd says %q, %v", line, err)
		}
	}
	return &crowd{target, toWriter, bufio.NewReader(fromWriter), fill, func() string {
		text, _ := io.ReadAll(words)
		return string(text)
	}}
}

// needNamespacePIDs skips the test where the highest pid is a setting of the
// whole machine.
func needNamespacePIDs(t *testing.T) {
	t.Helper()
	testtarget.NeedRoot(t)
	var name unix.Utsname
	var major, minor int
	if err := unix.Uname(&name); err != nil {
		t.Fatal(err)
	}
	release := unix.ByteSliceToString(name.Release[:])
	fmt.Sscanf(release, "%d.%d", &major, &minor)
	if major < 6 || (major == 6 && minor < 14) {
		t.Skipf("Linux %s has one kernel.pid_max for the machine, and 6.14 one for each pid namespace", release)
	}
	before, err := os.ReadFile("/proc/sys/kernel/pid_max")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if after, _ := os.ReadFile("/proc/sys/kernel/pid_max"); string(after) != string(before) {
			os.WriteFile("/proc/sys/kernel/pid_max", before, 0)
			t.Errorf("kernel.pid_max of the machine was %s and became %s", before, after)
		}
	})
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Close()
		w.Close()
	})
	return r, w
}

// childOf returns the child of a process that has a name.
func childOf(t *testing.T, parent int, name string) (pid int) {
	t.Helper()
	paths, _ := filepath.Glob("/proc/[0-9]*/status")
	for _, path := range paths {
		text, _ := os.ReadFile(path)
		status := string(text)
		if statusField(status, "PPid") == fmt.Sprint(parent) && statusField(status, "Name") == name {
			fmt.Sscan(statusField(status, "Pid"), &pid)
			return pid
		}
	}
	t.Fatalf("process %d has no child %s", parent, name)
	return 0
}

// startAsBoundUser starts both as a user who has no other processes.
func startAsBoundUser(t *testing.T, way, room int) *crowd {
	t.Helper()
	testtarget.NeedRoot(t)
	user := unusedUser(t)
	cmd := exec.Command(testtarget.BuildC(t, "testdata/victim.c"), "o")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
	target := start(t, cmd)
	writer := roleCommand(t, part{Role: "crowded", PID: target.PID, Address: target.Address, Way: way, Room: &room})
	var words bytes.Buffer
	writer.Stderr = &words
	writer.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
	in, out := testtarget.StartPiped(t, writer)
	t.Cleanup(func() { writer.Process.Kill() })
	return &crowd{target, in, bufio.NewReader(out), func() {}, func() string {
		writer.Wait()
		return words.String()
	}}
}

// unusedUser returns a user without processes.
func unusedUser(t *testing.T) uint32 {
	t.Helper()
	used := map[string]bool{}
	paths, _ := filepath.Glob("/proc/[0-9]*/status")
	for _, path := range paths {
		text, _ := os.ReadFile(path)
		uid, _, _ := strings.Cut(statusField(string(text), "Uid"), "\t")
		used[uid] = true
	}
	for user := uint32(61000) + uint32(os.Getpid()%1000); user < 65000; user++ {
		if !used[fmt.Sprint(user)] {
			return user
		}
	}
	t.Fatal("every user has processes")
	return 0
}

// Attack 7. There is no room for another thread or process. A Go program may die
// of it; the target must not, nor be left stopped.
func TestThreadsRunOut(t *testing.T) {
	for _, c := range crowds {
		for way, call := range confinedCalls {
			t.Run(c.name+", "+call.name, func(t *testing.T) {
				outcomes := map[string]int{}
				for room := range 5 {
					crowd := c.start(t, way, room)
					if line, err := crowd.out.ReadString('\n'); line != "ready\n" {
						t.Fatalf("the writer says %q, %v", line, err)
					}
					crowd.fill()
					io.WriteString(crowd.in, "\n")
					outcomes[judgeCrowded(t, crowd, way, room)]++
					crowd.target.kill()
				}
				t.Logf("%v", outcomes)
			})
		}
	}
}

// judgeDeath says what the death of a writer did to the target: nothing, but where
// a borrowed thread has no way back (attack 4).
func judgeDeath(t *testing.T, c *crowd, way, room int) (how string) {
	t.Helper()
	how = harm(c.target.PID)
	look, err := c.target.command("look")
	unharmed := how == "" && (look == "o 0" || look == "o 1")
	switch {
	case unharmed:
		return ""
	case how == "":
		how = "the target does not answer"
	}
	if way < firstWithoutWrite || runtime.GOARCH == "amd64" || how == "a thread is stopped" || how == "a thread is traced" {
		t.Errorf("room for %d: the writer died, and %s: %q, %v", room, how, look, err)
	}
	return how
}

// judgeCrowded reads what came of a writer's call, and makes sure that the target
// is as that says. It returns the outcome in a word.
func judgeCrowded(t *testing.T, c *crowd, way, room int) string {
	t.Helper()
	var result outcome
	hung := time.AfterFunc(2*time.Minute, func() { unix.Kill(c.target.PID, unix.SIGKILL) })
	defer hung.Stop()
	answer, _ := c.out.ReadString('\n')
	words := c.words()
	if answer == "" {
		// The runtime's own words, without and with cgo.
		first, _, _ := strings.Cut(words, "\n")
		if !strings.Contains(first, "failed to create new OS thread") && !strings.Contains(first, "pthread_create failed") {
			t.Errorf("room for %d: the writer died of something else: %s", room, first)
		}
		return strings.TrimSpace("the writer died " + judgeDeath(t, c, way, room))
	}
	if err := json.Unmarshal([]byte(answer), &result); err != nil {
		t.Fatalf("%v: %s", err, answer)
	}
	if result.Code != "KERN_SUCCESS" && (result.Code != "KERN_FAILURE" && result.Code != "KERN_RESOURCE_SHORTAGE" || result.Message == "") {
		t.Errorf("room for %d: %+v", room, result)
	}
	judgeConfined(t, c.target, result, way < firstWithoutWrite)
	return result.Code
}

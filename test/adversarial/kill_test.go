package adversarial

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

func init() { roles["doomed"] = playDoomed }

// dooms are what a writer does again and again until it is killed.
var dooms = []struct {
	name    string
	options []machcompat.Option
	do      func(task *machcompat.Task, page uint64, round int) error
}{
	{"write through procmem", []machcompat.Option{machcompat.WithBackend(machcompat.ProcMem)}, writeOnce},
	{"atomic write", []machcompat.Option{machcompat.Atomic()}, writeOnce},
	{"suspend and resume", nil, func(task *machcompat.Task, page uint64, round int) error {
		if err := task.Suspend(); err != nil {
			return err
		}
		if err := writeOnce(task, page, round); err != nil {
			return err
		}
		return task.Resume()
	}},
	{"vm_protect", nil, func(task *machcompat.Task, page uint64, round int) error {
		return task.Protect(page, pageSize, false, machcompat.VM_PROT_READ|machcompat.VMProt(round%2)*machcompat.VM_PROT_WRITE)
	}},
	{"vm_allocate and vm_deallocate", nil, func(task *machcompat.Task, page uint64, round int) error {
		got, err := task.Allocate(0, pageSize, machcompat.VM_FLAGS_ANYWHERE)
		if err != nil {
			return err
		}
		return task.Deallocate(got, pageSize)
	}},
}

func writeOnce(task *machcompat.Task, page uint64, round int) error {
	return task.Write(page, []byte{byte(round)})
}

// playDoomed is the life of a writer that is killed. It says when it begins.
func playDoomed(p part) {
	task, err := machcompat.TaskForPID(p.PID, dooms[p.Way].options...)
	if err != nil {
		fmt.Println(err)
		return
	}
	for round := 0; ; round++ {
		if err := dooms[p.Way].do(task, p.Address, round); err != nil {
			fmt.Println(err)
			return
		}
		if round == 0 {
			fmt.Println("begun")
		}
	}
}

// busy is the target of pkg/machcompat that checks its own registers, signals,
// signal mask and what its system calls return.
const busySource = "../../pkg/machcompat/testdata/busy.c"

func startBusy(t *testing.T) *program {
	t.Helper()
	p := start(t, exec.Command(testtarget.BuildC(t, busySource)))
	task := taskFor(t, p.PID)
	if err := task.Protect(p.Address, pageSize, false, machcompat.VM_PROT_DEFAULT); err != nil {
		t.Fatal(err)
	}
	task.Close()
	return p
}

// killWriter starts a writer and kills it at a random moment. It returns what
// kept the writer from its work.
func killWriter(t *testing.T, p *program, doom int) string {
	t.Helper()
	cmd := roleCommand(t, part{Role: "doomed", PID: p.PID, Address: p.Address, Way: doom})
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	lines := bufio.NewReader(stdout)
	if line, err := lines.ReadString('\n'); line != "begun\n" {
		return fmt.Sprintf("the writer says %q, %v", line, err)
	}
	time.Sleep(time.Duration(rand.IntN(3000)) * time.Microsecond)
	return ""
}

// harm says what is wrong with a process that nobody traces any more: "" when
// all its threads run, or wait for what they like, and take signals.
func harm(pid int) string {
	before := threadsThat(pid, harmOf)
	// A thread blocks signals for moments of its own too, and on a busy machine
	// it takes a while to become what it was: harm is what stays.
	for range 100 {
		if len(before) == 0 {
			return ""
		}
		time.Sleep(20 * time.Millisecond)
		now := threadsThat(pid, harmOf)
		for tid, how := range before {
			if now[tid] != how {
				delete(before, tid)
			}
		}
	}
	for _, how := range before {
		return how
	}
	return ""
}

// threadsThat returns the threads of which find says something.
func threadsThat(pid int, find func(status string) string) map[int]string {
	directory := "/proc/" + strconv.Itoa(pid) + "/task/"
	entries, err := os.ReadDir(directory)
	if err != nil {
		return map[int]string{pid: "is gone"}
	}
	found := map[int]string{}
	for _, entry := range entries {
		status, err := os.ReadFile(directory + entry.Name() + "/status")
		tid, _ := strconv.Atoi(entry.Name())
		if how := find(string(status)); err == nil && how != "" {
			found[tid] = how
		}
	}
	return found
}

// statusField returns a line of /proc/PID/status.
func statusField(status, name string) string {
	for line := range strings.Lines(status) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func harmOf(status string) string {
	const term = 1 << (15 - 1)
	blocked, _ := strconv.ParseUint(statusField(status, "SigBlk"), 16, 64)
	switch state := statusField(status, "State"); {
	case strings.HasPrefix(state, "Z"), strings.HasPrefix(state, "X"):
		return "a thread has ended"
	case strings.HasPrefix(state, "t"), strings.HasPrefix(state, "T"):
		return "a thread is stopped"
	case statusField(status, "TracerPid") != "0":
		return "a thread is traced"
	case blocked&term != 0:
		return "a thread blocks all signals"
	}
	return ""
}

// Attack 4. Whatever a writer was doing when it is killed, the target runs on:
// untraced, all threads, with its registers and its signal mask.
func TestKilledWriterLeavesTheTargetRunning(t *testing.T) {
	for doom, d := range dooms {
		t.Run(d.name, func(t *testing.T) {
			if strings.HasPrefix(d.name, "vm_") && runtime.GOARCH != "amd64" {
				testtarget.Skip(t, "amd64", "a borrowed thread has no way back on this architecture")
			}
			t.Parallel()
			p := startBusy(t)
			for round := range *killRounds {
				if how := killWriter(t, p, doom); how != "" {
					t.Fatalf("round %d: %s", round, how)
				}
				if how := harm(p.PID); how != "" {
					t.Fatalf("round %d: %s", round, how)
				}
			}
			if err := p.verdict(); err != nil {
				t.Error(err)
			}
		})
	}
}

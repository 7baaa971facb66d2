package adversarial

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/test/adversarial/commandline"
)

var (
	commandLines = flag.Int("adversarial.commands", 2000, "how many random command lines are run, a process for each")
	commandSeed  = flag.Uint64("adversarial.commands-seed", 0, "which ones; 0 is others each time")
)

// buildCommand builds vmwrite, once.
func buildCommand(t *testing.T) string {
	t.Helper()
	path := filepath.Join(filepath.Dir(testtarget.BuildC(t, "testdata/victim.c")), "vmwrite") // removed with it
	buildOnce.Do(func() {
		out, err := exec.Command("go", "build", "-o", path, "github.com/vmwrite/vmwrite/cmd/vmwrite").CombinedOutput()
		if err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	return path
}

var buildOnce sync.Once

// Attack 9. Random command lines: no crash, no status outside of the contract,
// and nothing is written after a usage error. Many more of them are run in one
// process by the test of this name beside the command.
func TestRandomCommandLines(t *testing.T) {
	command := buildCommand(t)
	file := filepath.Join(t.TempDir(), "bytes")
	if err := os.WriteFile(file, []byte("from a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	target := startPrey(t)
	seed := *commandSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-adversarial.commands-seed %d", seed)
	lines := commandline.New(seed, target.PID, "victim", target.Address, file)
	seen := map[int]int{}
	// The target itself may have lost the right to read its page meanwhile.
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", target.PID))
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	before, after := make([]byte, pageSize), make([]byte, pageSize)
	for range *commandLines {
		if _, err := memory.ReadAt(before, int64(target.Address)); err != nil {
			t.Fatal(err)
		}
		arguments := lines.Next()
		cmd := exec.Command(command, arguments...)
		var trouble bytes.Buffer
		cmd.Stderr = &trouble
		out, err := cmd.Output()
		status := cmd.ProcessState.ExitCode()
		seen[status]++
		if err != nil && !errors.As(err, new(*exec.ExitError)) {
			t.Fatal(err)
		}
		if !slices.Contains(commandline.Statuses, status) || strings.Contains(trouble.String(), "goroutine ") {
			t.Errorf("%q: status %d: %s", arguments, status, trouble.String())
		}
		if status != 64 {
			continue
		}
		if _, err := memory.ReadAt(after, int64(target.Address)); err != nil || !bytes.Equal(before, after) {
			t.Errorf("%q is a usage error; the target has changed, %v", arguments, err)
		}
		if len(out) > 0 && !slices.Contains(arguments, "--json") {
			t.Errorf("%q is a usage error; standard output: %s", arguments, out)
		}
	}
	t.Logf("statuses: %v", seen)
	mustBeFree(t, target.PID)
}

// Attack 9. A file shrinks while it is written from: an error or a whole write,
// no crash.
func TestFileThatShrinksWhileItIsWrittenFrom(t *testing.T) {
	command := buildCommand(t)
	const size = 64 << 20
	target := testtarget.Start(t)
	address := target.Address("map rw- %d", size/pageSize)
	path := filepath.Join(t.TempDir(), "shrinking")
	codes := map[int]int{}
	for i := range 40 {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(command, "write", "-p", fmt.Sprint(target.PID), fmt.Sprintf("%#x", address), "-f", path)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(i) * 2 * time.Millisecond)
		os.Truncate(path, 10)
		cmd.Wait()
		status := cmd.ProcessState.ExitCode()
		codes[status]++
		if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !slices.Contains(commandline.Statuses, status) || (ok && ws.Signaled()) {
			t.Errorf("the command ended with %v", cmd.ProcessState)
		}
	}
	t.Logf("statuses: %v", codes)
	mustBeFree(t, target.PID)
}

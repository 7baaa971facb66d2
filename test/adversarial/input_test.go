package adversarial

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vmwrite/vmwrite/internal/testtarget"
)

var commandLines = flag.Int("adversarial.commands", 1000, "how many random command lines the command is given")

// buildCommand builds vmwrite.
func buildCommand(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "vmwrite")
	if out, err := exec.Command("go", "build", "-o", path, "github.com/vmwrite/vmwrite/cmd/vmwrite").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

// statuses are the exit statuses of the contract.
var statuses = []int{0, 1, 2, 4, 5, 6, 9, 10, 14, 46, 64, 74}

// words are what command lines are made of: some of each right, wrong and odd.
func words(target *program, file string) []string {
	pid, at := fmt.Sprint(target.PID), fmt.Sprintf("%#x", target.Address)
	return []string{
		"write", "read", "maps", "protect", "copy", "suspend", "explain", "version", "page-size", "completion", "help",
		"-p", pid, "-p", pid, "-p", "0", "-p", "-1", "-p", "99999999999999999999", "-n", "victim", "-n", "", "-n", "\xff/../",
		at, at, at, at, "0x0", "0xffffffffffffffff", "0xfffffffffffff000", "0x", "0X10", "10", "-0x10", "0x1_000", "\x00",
		"90", "9090", "0x90", "9", "gg", "", " ", "-t", "u8", "-t", "f64", "-t", "utf16", "-t", "nonsense", "1", "-1", "256", "1e400", "NaN",
		"-f", file, "-f", "/nonexistent", "-f", "-", "-f", "/", "--expect", "6f", "--verify", "--dry-run", "--atomic", "--json", "--json=maybe",
		"--backend", "procmem", "--backend", "process_vm", "--backend", "x", "--stop", "never", "--stop", "always", "--", "-", "---", "-h", "--help",
		"rwx", "r--", "rw-", "--size", "4096", "-s", "18446744073709551615", strings.Repeat("9", 5000), "ü", "%s%n", "$(id)", "'", "\n",
	}
}

// Attack 9. Random command lines: no crash, no status outside of the contract,
// and nothing is written after a usage error.
func TestRandomCommandLines(t *testing.T) {
	command := buildCommand(t)
	file := filepath.Join(t.TempDir(), "bytes")
	if err := os.WriteFile(file, []byte("from a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	target := startPrey(t)
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	vocabulary := words(target, file)
	seen := map[int]int{}
	before, err := target.command("look")
	if err != nil {
		t.Fatal(err)
	}
	for range *commandLines {
		arguments := commandLine(random, vocabulary, target)
		cmd := exec.Command(command, arguments...)
		var trouble bytes.Buffer
		cmd.Stderr = &trouble
		out, err := cmd.Output()
		status := cmd.ProcessState.ExitCode()
		seen[status]++
		if err != nil && !errors.As(err, new(*exec.ExitError)) {
			t.Fatal(err)
		}
		if !slices.Contains(statuses, status) || strings.Contains(trouble.String(), "goroutine ") {
			t.Errorf("seed %d: %q: status %d: %s", seed, arguments, status, trouble.String())
		}
		after, err := target.command("look")
		if err != nil {
			t.Fatalf("seed %d: after %q the target says %q, %v", seed, arguments, after, err)
		}
		if status == 64 && (after != before || len(out) > 0 && !slices.Contains(arguments, "--json")) {
			t.Errorf("seed %d: %q is a usage error; the target was %q and is %q; standard output: %s", seed, arguments, before, after, out)
		}
		before = after
	}
	t.Logf("statuses: %v", seen)
	mustBeFree(t, target.PID)
}

// commandLine makes a line of random words, or puts some into a line that works.
func commandLine(random *rand.Rand, vocabulary []string, target *program) []string {
	pid, at := fmt.Sprint(target.PID), fmt.Sprintf("%#x", target.Address)
	lines := [][]string{
		{},
		{"write", "-p", pid, at, "6e"},
		{"write", "-p", pid, at, "-t", "u32", "7"},
		{"read", "-p", pid, at, "16"},
		{"protect", "-p", pid, at, "4096", "rw-"},
		{"copy", "-p", pid, at, "16", at},
		{"maps", "-p", pid},
	}
	arguments := slices.Clone(lines[random.IntN(len(lines))])
	for range random.IntN(4) + 6*(1-min(1, len(arguments))) {
		word := strings.ReplaceAll(vocabulary[random.IntN(len(vocabulary))], "\x00", "\x01")
		arguments = slices.Insert(arguments, random.IntN(len(arguments)+1), word)
	}
	return arguments
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
		if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !slices.Contains(statuses, status) || (ok && ws.Signaled()) {
			t.Errorf("the command ended with %v", cmd.ProcessState)
		}
	}
	t.Logf("statuses: %v", codes)
	mustBeFree(t, target.PID)
}

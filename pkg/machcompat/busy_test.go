package machcompat_test

import (
	"bufio"
	"flag"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

var busyRounds = flag.Int("busy.rounds", 500, "how often the busy target's memory is protected")

// A target of 100 threads that checks its own registers, signal masks, queued
// signals and system calls, while one of them is made to call mprotect again and
// again.
func TestProtectOfABusyProcessLeavesNoTraceInIt(t *testing.T) {
	cmd := exec.Command(testtarget.BuildC(t, "testdata/busy.c"))
	cmd.Stderr = os.Stderr
	stdin, stdout := testtarget.StartPiped(t, cmd)
	defer func() {
		cmd.Process.Kill()
		cmd.Wait()
	}()
	lines := bufio.NewReader(stdout)
	line, err := lines.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	address, err := strconv.ParseUint(strings.TrimSpace(line), 0, 64)
	if err != nil {
		t.Fatal(err)
	}
	task := taskFor(t, cmd.Process.Pid)
	start := time.Now()
	for i := range *busyRounds {
		prot := machcompat.VM_PROT_READ
		if i%2 == 0 {
			prot = machcompat.VM_PROT_DEFAULT
		}
		if err := task.Protect(address, 4096, false, prot); err != nil {
			t.Fatalf("round %d: %v", i, err)
		}
		region, err := task.Region(address)
		if err != nil || region.Start > address || region.Protection != prot {
			t.Fatalf("round %d: the page is %+v, %v; want %v", i, region, err, prot)
		}
	}
	elapsed := time.Since(start)
	stdin.Close()
	line, err = lines.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "ok ") {
		t.Fatalf("the target says %q, %v", line, err)
	}
	t.Logf("%d rounds, %v each; the target: %s", *busyRounds, elapsed/time.Duration(*busyRounds), strings.TrimSpace(line))
}

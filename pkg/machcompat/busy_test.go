// SPDX-License-Identifier: Apache-2.0

package machcompat_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

// A target of 100 threads that checks its own registers, signal masks, queued
// signals and system calls, while one of them is made to call mprotect again and
// again.
func TestProtectOfABusyProcessLeavesNoTraceInIt(t *testing.T) {
	target := testtarget.StartProcess(t, exec.Command(testtarget.BuildC(t, "testdata/busy.c")))
	address := parseUint(t, target.Line())
	task := taskFor(t, target.PID)
	for i := range testtarget.Rounds(40) {
		prot := machcompat.VM_PROT_READ
		if i%2 == 0 {
			prot = machcompat.VM_PROT_DEFAULT
		}
		if err := task.Protect(address, pageSize, false, prot); err != nil {
			t.Fatalf("round %d: %v", i, err)
		}
		region, err := task.Region(address)
		if err != nil || region.Start > address || region.Protection != prot {
			t.Fatalf("round %d: the page is %+v, %v; want %v", i, region, err, prot)
		}
	}
	target.Stdin.Close()
	if line, err := target.ReadLine(); err != nil || !strings.HasPrefix(line, "ok ") {
		t.Fatalf("the target says %q, %v", line, err)
	}
}

// SPDX-License-Identifier: Apache-2.0

package integration_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
)

const (
	admin      = "--cap-add=SYS_ADMIN"
	unfiltered = "--security-opt=seccomp=unconfined"
)

// The target is a container as Docker makes it, with a seccomp filter. It is made to
// change its protection only in sight of that filter, which the kernel shows to
// whoever has CAP_SYS_ADMIN and no filter. Each of these places has another part of it.
func TestProtectionUnderDockersFilter(t *testing.T) {
	testtarget.Need(t, "docker", "docker filter")
	t.Parallel()
	const line = "--user 0 --cap-add=SYS_PTRACE --cap-add=SYS_ADMIN --security-opt seccomp=unconfined"
	target := startTarget(t, plainUser)
	for _, c := range []struct {
		name  string
		from  place
		lacks string // what the hint says; "" where it is granted
		quick bool
	}{
		{"a sidecar with the options of the hint", sidecar(strings.Fields(line)...), "", true},
		{"a sidecar with CAP_SYS_PTRACE", sidecar(trace), "it lacks CAP_SYS_ADMIN, and it is under a seccomp filter itself", true},
		{"a sidecar with both capabilities", sidecar(trace, admin), ": it is under a seccomp filter itself", false},
		{"a sidecar without a filter", sidecar(trace, unfiltered), ": it lacks CAP_SYS_ADMIN; ", false},
	} {
		if !c.quick && !testtarget.Full() {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			w := c.from(t, target)
			page := target.Address("layout r--:1")
			written, o := w.write(t, page, []byte{0x90}, "--unprotect")
			if c.lacks == "" {
				if written.status != 0 || target.Bytes(page, 1)[0] != 0x90 {
					t.Errorf("exit status %d, and the target holds % x; want 0 and 90\n%s", written.status, target.Bytes(page, 1), written.stderr)
				}
				if got := w.run(t, "protect", fmt.Sprintf("%#x", page), "1", "rw-"); got.status != 0 {
					t.Errorf("protect: exit status %d\n%s", got.status, got.stderr)
				}
				return
			}
			const notSupported = 46
			for _, part := range []string{c.lacks, "docker run " + line + " --pid=container:NAME"} {
				if written.status != notSupported || !strings.Contains(o.Hint, part) {
					t.Errorf("exit status %d and the hint %q; want %d, and %q in it", written.status, o.Hint, notSupported, part)
				}
			}
		})
	}
}

// In a container of its own, vmwrite is pid 1.
func TestAContainerOfItsOwn(t *testing.T) {
	testtarget.Need(t, "docker")
	t.Parallel()
	got := writer{container(nil, programs(t), "/vmwrite"), 1}.run(t, "maps")
	for _, part := range []string{"1 is the pid of vmwrite itself here", "--pid=container:NAME"} {
		if got.status != 5 || !strings.Contains(got.stderr, part) {
			t.Errorf("exit status %d and\n%swant 5 and %q", got.status, got.stderr, part)
		}
	}
}

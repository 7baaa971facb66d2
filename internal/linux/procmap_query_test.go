// SPDX-License-Identifier: Apache-2.0

package linux

import (
	"os"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func TestProcmapQueryHasTheKernelsLayout(t *testing.T) {
	if size := unsafe.Sizeof(ProcmapQuery{}); size != 104 {
		t.Errorf("struct procmap_query is %d bytes; want 104", size)
	}
	const direction, nr, kind = 3, 17, 'f'
	if want := uint32(direction<<30 | 104<<16 | kind<<8 | nr); uint32(PROCMAP_QUERY) != want {
		t.Errorf("PROCMAP_QUERY = %#x; want _IOWR('f', 17, 104 bytes) = %#x", uint32(PROCMAP_QUERY), want)
	}
}

func TestQueryProcmapOnAFileThatIsNoMapsIsENOTTY(t *testing.T) {
	f, err := os.Open("/proc/self/stat")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var q ProcmapQuery
	if err := QueryProcmap(int(f.Fd()), &q, nil); err != unix.ENOTTY {
		t.Errorf("QueryProcmap(/proc/self/stat) = %v; want ENOTTY", err)
	}
}

func TestPtraceDetachOfAThreadThatIsNotTracedIsESRCH(t *testing.T) {
	if err := PtraceDetach(os.Getpid(), 0); err != unix.ESRCH {
		t.Errorf("PtraceDetach(self) = %v; want ESRCH", err)
	}
}

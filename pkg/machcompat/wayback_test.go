package machcompat

import (
	"bytes"
	"os/exec"
	"testing"

	"github.com/vmwrite/vmwrite/internal/ptrace"
	"github.com/vmwrite/vmwrite/internal/testtarget"
)

// A thread that is borrowed must find back by itself if this program is killed;
// what it takes for that is in every program that has a C library, or is in Go.
func TestABorrowedThreadHasAWayBack(t *testing.T) {
	testtarget.Need(t, "amd64")
	programs := map[string]func(t *testing.T) (pid int){
		"a Go program": func(t *testing.T) int { return testtarget.StartBinary(t, testtarget.Build(t, "amd64")).PID },
		"a C program":  func(t *testing.T) int { return testtarget.StartProcess(t, exec.Command("cat")).PID },
	}
	for name, start := range programs {
		t.Run(name, func(t *testing.T) {
			task, err := TaskForPID(start(t), WithStopTimeout(testtarget.Patience))
			if err != nil {
				t.Fatal(err)
			}
			defer task.Close()
			for range 3 {
				session, release, err := task.stop()
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(release) // or the end of the target would be waited for, if this fails
				frame := layWayBack(t, &remoteCaller{task: task, session: session})
				release()
				after := make([]byte, ptrace.FrameSize)
				if err := task.peek(frame, after); err != nil || !bytes.Equal(after, make([]byte, len(after))) {
					t.Errorf("the frame is still in the stack: % x, %v", after[:64], err)
				}
			}
		})
	}
}

// layWayBack borrows a thread and returns where its frame lies.
func layWayBack(t *testing.T, c *remoteCaller) uint64 {
	t.Helper()
	thread, err := c.session.Borrow(c.task.readWord)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.openWayBack(thread); err != nil {
		t.Fatalf("openWayBack = %v", err)
	}
	mapping, _, err := c.task.maps.Find(c.task.landmarks.stack)
	if err != nil {
		t.Fatal(err)
	}
	frame := mapping.Start + stackBelowFrame
	page := make([]byte, ptrace.FrameSize)
	if err := c.task.peek(frame, page); err != nil || !thread.ABI.IsFrame(page) {
		t.Errorf("no frame lies at %#x: % x, %v", frame, page[:64], err)
	}
	return frame
}

package adversarial

import (
	"encoding/json"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// roleVariable makes this test program another one: a writer that will be
// killed, that is watched step by step, or that has given up rights.
const roleVariable = "VMWRITE_ADVERSARIAL_ROLE"

// part is what a process of a role is to do.
type part struct {
	Role    string
	PID     int
	Address uint64
	Way     int // index of what to do
	Limits  limits
	Room    *int // for how many more threads, nil where others see to that
}

var roles = map[string]func(part){}

// playRole plays the role that this process was started for, if any.
func playRole() bool {
	text := os.Getenv(roleVariable)
	if text == "" {
		return false
	}
	var p part
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		panic(err)
	}
	os.Unsetenv(roleVariable)
	roles[p.Role](p)
	return true
}

// roleCommand returns the command that starts this program in a role.
func roleCommand(t testing.TB, p part) *exec.Cmd {
	t.Helper()
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	// The path of the test program may not be open to another user.
	cmd := exec.Command("/proc/self/exe")
	// The race detector waits a second at each end of a program unless told not to.
	cmd.Env = append(os.Environ(), roleVariable+"="+string(text), "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	cmd.Stderr = os.Stderr
	return cmd
}

// namespaces makes a command run in namespaces of its own.
func namespaces(flags uintptr) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Cloneflags: flags}
}

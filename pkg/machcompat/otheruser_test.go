package machcompat_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

// otherUserVariable makes this test program a writer into the process it names.
const otherUserVariable = "VMWRITE_TEST_AS_OTHER_USER"

type otherUserResult struct{ Code, Message, Hint string }

// asOtherUser is what the test program does when it was started as another user.
func asOtherUser() bool {
	pid, err := strconv.Atoi(os.Getenv(otherUserVariable))
	if err != nil {
		return false
	}
	result := otherUserResult{Code: "KERN_SUCCESS"}
	if _, err := machcompat.TaskForPID(pid); err != nil {
		e := err.(*machcompat.Error)
		result = otherUserResult{Code: e.Code.String(), Message: e.Error(), Hint: e.Hint}
	}
	json.NewEncoder(os.Stdout).Encode(result)
	return true
}

func TestTaskOfAnotherUserIsRefusedWithTheRuleThatRefused(t *testing.T) {
	testtarget.NeedRoot(t)
	target := testtarget.Start(t)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), otherUserVariable+"="+strconv.Itoa(target.PID))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var got otherUserResult
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got.Code != "KERN_FAILURE" {
		t.Errorf("TaskForPID as another user = %s; want KERN_FAILURE", got.Code)
	}
	for _, part := range []string{"runs as root (uid 0)", "uid 65534"} {
		if !strings.Contains(got.Hint, part) {
			t.Errorf("hint %q does not contain %q", got.Hint, part)
		}
	}
}

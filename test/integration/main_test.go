// Package integration_test writes with the vmwrite program into processes in
// real containers, as an operator does: from the same container, from a sidecar
// and from the host's pid namespace, under the sandboxes that containers have.
//
// What is asserted of each write is what the target itself says of its memory,
// the exit status, and what stands on standard error.
package integration_test

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/vmwrite/vmwrite/internal/testtarget"
)

// runLabel marks the containers and images of this run of the tests.
var runLabel = func() string {
	var b [6]byte
	rand.Read(b[:])
	return "vmwrite.test.run=" + hex.EncodeToString(b[:])
}()

func TestMain(m *testing.M) {
	status := testtarget.Main(m)
	if err := removeAll(); err != nil {
		fmt.Fprintln(os.Stderr, "left behind:", err)
		status = max(status, 1)
	}
	os.Exit(status)
}

// removeAll removes the images and files of this run. Containers go with their
// tests: one that is still there is a fault.
func removeAll() error {
	defer os.RemoveAll(builds.directory)
	if len(builds.images) == 0 {
		return nil
	}
	if err := awaitNoContainers(); err != nil {
		return err
	}
	for _, id := range builds.images {
		if _, err := docker("image", "rm", id); err != nil {
			return err
		}
	}
	return nil
}

// awaitNoContainers waits for the engine to finish with containers that have
// ended.
func awaitNoContainers() error {
	for deadline := time.Now().Add(limit); ; time.Sleep(50 * time.Millisecond) {
		ids, err := docker("ps", "--all", "--quiet", "--filter", "label="+runLabel)
		if err != nil || ids == "" {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("containers %q", ids)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

// Package integration_test writes with the vmwrite program into processes in
// real containers, as an operator does: from the same container, from a sidecar
// and from the host's pid namespace, under the sandboxes that containers have.
//
// What is asserted of each write is what the target itself says of its memory,
// the exit status, and what stands on standard error.
package integration_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
)

// directory is where the images of this run are built from. Its name marks them and
// the containers too.
var directory string

func runName() string  { return filepath.Base(directory) }
func runLabel() string { return "vmwrite.test.run=" + runName() }

func TestMain(m *testing.M) {
	if testtarget.Missing("docker") != nil {
		os.Exit(testtarget.Main(m))
	}
	end, err := startCleaner()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	status := testtarget.Main(m)
	if err := end(); err != nil {
		fmt.Fprintln(os.Stderr, "cleaning up:", err)
		status = max(status, 1)
	}
	os.Exit(status)
}

// cleaner is a shell script that waits for the end of its input, and so of these
// tests, also if they are killed, and then removes all that has the label $1, and
// the directory $2. It reads a line before it when the tests have ended by themselves.
// Otherwise the engine may still be at a command whose client was killed with them:
// nothing is left when that was seen for 5 seconds.
const cleaner = `
trap '' HUP INT TERM
trap 'rm -rf "$2"' EXIT
looks=5
read -r _ && looks=1
end=$(($(date +%s) + 180))
while [ $looks -gt 0 ]; do
	containers=$(docker ps --all --quiet --filter "label=$1") || exit
	images=$(docker images --all --quiet --filter "label=$1") || exit
	if [ "$containers$images" ]; then
		[ $(date +%s) -lt $end ] || { echo "left behind: $containers $images" >&2; exit 1; }
		{ docker rm --force $containers; docker image rm --force $images; } >/dev/null 2>&1
	else
		looks=$((looks - 1))
		[ $looks = 0 ] || sleep 1
	fi
done
`

// startCleaner makes the directory and starts the cleaner. The function that it
// returns lets it clean, and returns how that went.
func startCleaner() (end func() error, err error) {
	if directory, err = os.MkdirTemp("", "vmwrite-integration-"); err != nil {
		return nil, err
	}
	if os.Getenv(testtarget.RunVariable) == "" { // then the programs are built there too
		os.Setenv(testtarget.RunVariable, directory)
	}
	cmd := exec.Command("sh", "-c", cleaner, "cleaner", runLabel(), directory)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is not meant for it
	input, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return func() error {
		fmt.Fprintln(input, "the tests have ended")
		input.Close()
		return cmd.Wait()
	}, nil
}

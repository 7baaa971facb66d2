// SPDX-License-Identifier: Apache-2.0

package integration_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
)

// result is how a docker client ended, or the program in the container for it.
type result struct {
	status         int
	stdout, stderr string
}

// runDocker runs the docker client to its end, which must not be a failure of docker
// itself.
func runDocker(tb testing.TB, arguments ...string) result {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testtarget.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "docker", arguments...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := testtarget.RunCommand(cmd)
	const ofDocker = 125 // and above, also for a program that was killed
	if exit, ok := errors.AsType[*exec.ExitError](err); ctx.Err() != nil || err != nil && (!ok || exit.ExitCode() >= ofDocker) {
		tb.Fatalf("docker %s: %v\n%s", strings.Join(arguments, " "), errors.Join(err, ctx.Err()), &stderr)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// docker is runDocker for what has to succeed. It returns what that prints.
func docker(tb testing.TB, arguments ...string) string {
	tb.Helper()
	got := runDocker(tb, arguments...)
	if got.status != 0 {
		tb.Fatalf("docker %s: exit status %d\n%s", strings.Join(arguments, " "), got.status, got.stderr)
	}
	return strings.TrimSpace(got.stdout)
}

// container returns the docker command line to run a command of an image in a
// container of this run, which the engine removes when it has ended.
func container(options []string, image string, command ...string) []string {
	// No test needs a network, and containers start faster without.
	return slices.Concat([]string{"run", "--rm", "--label", runLabel(), "--network=none"}, options, []string{image}, command)
}

// images are the ids of those that were built, by name.
var images = struct {
	sync.Mutex
	ids map[string]string
}{ids: map[string]string{}}

// imageOf returns the id of an image that is built from copies of files, in the
// first test that needs it.
func imageOf(tb testing.TB, name string, files map[string]string, options ...string) string {
	tb.Helper()
	images.Lock()
	defer images.Unlock()
	if images.ids[name] != "" {
		return images.ids[name]
	}
	context := filepath.Join(directory, name)
	for to, from := range files {
		to = filepath.Join(context, to)
		content, err := os.ReadFile(from)
		if err := errors.Join(err, os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, content, 0o755)); err != nil {
			tb.Fatal(err)
		}
	}
	line := slices.Concat([]string{"build", "--quiet", "--label", runLabel()}, options, []string{context})
	images.ids[name] = docker(tb, line...)
	return images.ids[name]
}

// programs is the image of most containers: vmwrite, the target and nothing else.
func programs(tb testing.TB) string {
	tb.Helper()
	return imageOf(tb, "programs", map[string]string{
		"Dockerfile": "testdata/Dockerfile", "vmwrite": testtarget.BuildCommand(tb), "target": testtarget.Build(tb, ""),
	})
}

// target is the target program, alone in a container. It ends with its input, and
// so with the test however that ends.
type target struct {
	*testtarget.Target
	container string // its name
}

var targets atomic.Int32

// startTarget starts a target in a container made with options of docker run.
func startTarget(tb testing.TB, options ...string) *target {
	tb.Helper()
	name := fmt.Sprintf("%s-%d", runName(), targets.Add(1))
	line := container(append(options, "--interactive", "--name", name), programs(tb), "/target")
	c := &target{&testtarget.Target{Process: testtarget.StartProcess(tb, exec.Command("docker", line...))}, name}
	if line := c.Line(); line != "ready" {
		tb.Fatalf("the target says %q; want ready", line)
	}
	return c
}

// hostPID returns the target's process id in the engine's own pid namespace.
func (c *target) hostPID(tb testing.TB) int {
	tb.Helper()
	pid, err := strconv.Atoi(docker(tb, "inspect", "--format", "{{.State.Pid}}", c.container))
	if err != nil {
		tb.Fatal(err)
	}
	return pid
}

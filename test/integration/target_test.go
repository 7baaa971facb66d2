package integration_test

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// target is the target program, alone in a container. It ends when its standard
// input does, so it ends with these tests even if they are killed, and the engine
// then removes the container.
type target struct {
	id string // of the container

	tb    testing.TB
	stdin io.WriteCloser
	lines *bufio.Scanner
}

// startTarget starts a target in a container made with options of docker create.
func startTarget(tb testing.TB, options ...string) *target {
	tb.Helper()
	image := needImage(tb)
	create := append([]string{"create", "--rm", "--interactive", "--label", runLabel, noNetwork}, options...)
	c := &target{id: mustDocker(tb, append(create, image, "/target")...), tb: tb}
	tb.Cleanup(func() { remove(tb, c.id) })

	ctx, cancel := context.WithTimeout(context.Background(), 4*limit)
	cmd := exec.CommandContext(ctx, "docker", "start", "--attach", "--interactive", c.id)
	cmd.Stderr = os.Stderr
	var err error
	if c.stdin, err = cmd.StdinPipe(); err != nil {
		tb.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	c.lines = bufio.NewScanner(stdout)
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		c.stdin.Close()
		cmd.Wait() // the client stays until the container is removed
		cancel()
	})
	if line := c.line(); line != "ready" {
		tb.Fatalf("the target says %q; want ready", line)
	}
	return c
}

func (c *target) line() string {
	c.tb.Helper()
	if !c.lines.Scan() {
		c.tb.Fatalf("the target's container ended: %v", c.lines.Err())
	}
	return c.lines.Text()
}

// do sends a command of the target and returns its answer.
func (c *target) do(format string, arguments ...any) string {
	c.tb.Helper()
	if _, err := fmt.Fprintf(c.stdin, format+"\n", arguments...); err != nil {
		c.tb.Fatalf("commanding the target: %v", err)
	}
	line := c.line()
	answer, ok := strings.CutPrefix(line, "ok")
	if !ok {
		c.tb.Fatalf("target: %s: %s", fmt.Sprintf(format, arguments...), line)
	}
	return strings.TrimSpace(answer)
}

// Address is the answer to a command of the target that answers with an address.
func (c *target) Address(format string, arguments ...any) uint64 {
	c.tb.Helper()
	address, err := strconv.ParseUint(c.do(format, arguments...), 0, 64)
	if err != nil {
		c.tb.Fatal(err)
	}
	return address
}

// Bytes returns size bytes of the target's memory, as the target reads them.
func (c *target) Bytes(address uint64, size int) []byte {
	c.tb.Helper()
	data, err := hex.DecodeString(c.do("dump %#x %d", address, size))
	if err != nil {
		c.tb.Fatal(err)
	}
	return data
}

// hostPID returns the target's process id in the engine's own pid namespace.
func (c *target) hostPID() int {
	c.tb.Helper()
	pid, err := strconv.Atoi(mustDocker(c.tb, "inspect", "--format", "{{.State.Pid}}", c.id))
	if err != nil {
		c.tb.Fatal(err)
	}
	return pid
}

// SPDX-License-Identifier: Apache-2.0

package integration_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/address"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/patch"
)

// server is a program in a container that answers numbers at a socket.
type server struct {
	socket string
	pid    int // in the engine's own pid namespace
}

func startServer(t *testing.T) *server {
	t.Helper()
	path := testtarget.BuildC(t, "../../pkg/patch/testdata/patched.c", "-static", "-Wl,--eh-frame-hdr") // which GCC leaves out there
	image := imageOf(t, "server", map[string]string{"Dockerfile": "testdata/Dockerfile.server", "server": path})
	folder, err := os.MkdirTemp("", "vmwrite-server-") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	name := fmt.Sprintf("%s-%d", runName(), targets.Add(1))
	line := container([]string{"--interactive", "--name", name, "--volume", folder + ":/socket"}, image, "/server", "serve", "/socket/socket")
	process := testtarget.StartProcess(t, exec.Command("docker", line...))
	if line := process.Line(); line != "ready" {
		t.Fatalf("the server says %q; want ready", line)
	}
	pid, err := strconv.Atoi(docker(t, "inspect", "--format", "{{.State.Pid}}", name))
	if err != nil {
		t.Fatal(err)
	}
	return &server{filepath.Join(folder, "socket"), pid}
}

// answers counts the answers of a server, and keeps what was wrong.
type answers struct {
	old, new, failed atomic.Int64
	first            sync.Once
	err              error
}

func (a *answers) fail(err error) {
	a.failed.Add(1)
	a.first.Do(func() { a.err = err })
}

// load asks a server for one number after the other, with a new connection now and then,
// until the end of ctx.
func (s *server) load(ctx context.Context, a *answers) {
	const perConnection = 100
	for ctx.Err() == nil {
		connection, err := net.Dial("unix", s.socket)
		if err != nil {
			a.fail(err)
			continue
		}
		for n := uint64(0); n < perConnection; n++ {
			got, err := ask(connection, n)
			switch {
			case err != nil:
				a.fail(err)
			case got == (n+2)*3^0x55:
				a.old.Add(1)
			case got == n+1+0x12345:
				a.new.Add(1)
			default:
				a.fail(fmt.Errorf("the answer to %d is %d", n, got))
			}
		}
		connection.Close()
	}
}

func ask(connection net.Conn, n uint64) (uint64, error) {
	message := binary.NativeEndian.AppendUint64(nil, n)
	_, err := connection.Write(message)
	for read := 0; err == nil && read < len(message); {
		var some int
		some, err = connection.Read(message[read:])
		read += some
	}
	return binary.NativeEndian.Uint64(message), err
}

// TestAServerIsPatchedUnderLoad applies a patch to a server in a container, from outside,
// and takes it back, again and again, while clients ask it without pause. Each of them gets
// the answer of the old code or of the new one.
func TestAServerIsPatchedUnderLoad(t *testing.T) {
	testtarget.Need(t, "docker", "local engine", "root", "64-bit tests")
	t.Parallel()
	s := startServer(t)
	task, err := machcompat.TaskForPID(s.pid, machcompat.WithStopTimeout(testtarget.Patience))
	if err != nil {
		t.Fatal(err)
	}
	defer task.Close()
	journal, err := patch.OpenJournal(filepath.Join(t.TempDir(), "journal"))
	if err != nil {
		t.Fatal(err)
	}
	p := &patch.Patch{Name: "other answers", Executable: "server", Changes: []patch.Change{handler(t, task)}}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var a answers
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() { s.load(ctx, &a) })
	}
	rounds := testtarget.Sized(20, 1000)
	start := time.Now()
	var took []time.Duration
	for round := range rounds {
		for _, step := range []struct {
			do      func(*patch.Plan, context.Context) error
			answers *atomic.Int64
		}{{(*patch.Plan).Apply, &a.new}, {(*patch.Plan).Undo, &a.old}} {
			began := time.Now()
			if err := once(ctx, p, task, journal, step.do); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			took = append(took, time.Since(began))
			before := step.answers.Load()
			testtarget.WaitFor(t, "an answer", func() bool { return step.answers.Load() > before || a.failed.Load() > 0 })
		}
	}
	elapsed := time.Since(start)
	cancel()
	clients.Wait()
	slices.Sort(took)
	t.Logf("%d rounds in %v, half of the patches took less than %v and none more than %v; %d answers of the old code, %d of the new one, %d failed",
		rounds, elapsed.Round(time.Millisecond), took[len(took)/2], took[len(took)-1], a.old.Load(), a.new.Load(), a.failed.Load())
	if a.failed.Load() > 0 || a.old.Load() == 0 || a.new.Load() == 0 {
		t.Errorf("the first error is %v", a.err)
	}
}

// handler returns a change of several instructions of what the server answers with.
func handler(t *testing.T, task *machcompat.Task) patch.Change {
	t.Helper()
	resolver := address.NewResolver(task)
	at := map[string]uint64{}
	expression := func(symbol string) *address.Expr {
		e, err := address.Parse("server!straight_" + symbol)
		if err == nil {
			var found address.Resolution
			if found, err = resolver.Resolve(e); err == nil {
				at[symbol] = found.Address
				return e
			}
		}
		t.Fatal(err)
		return nil
	}
	change := patch.Change{At: expression("begin"), Unprotect: true}
	expression("end")
	expression("new")
	change.Old, change.New = make([]byte, at["end"]-at["begin"]), make([]byte, at["end"]-at["begin"])
	err := task.ReadBatch([]machcompat.Segment{{Address: at["begin"], Data: change.Old}, {Address: at["new"], Data: change.New}})
	if err != nil {
		t.Fatal(err)
	}
	return change
}

func once(ctx context.Context, p *patch.Patch, task *machcompat.Task, j *patch.Journal, do func(*patch.Plan, context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, testtarget.Patience)
	defer cancel()
	plan, err := p.Resolve(ctx, patch.Of(task), patch.Options{Journal: j})
	if err != nil {
		return err
	}
	return do(plan, ctx)
}

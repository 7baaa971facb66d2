package integration_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vmwrite/vmwrite/internal/testtarget"
)

// limit bounds each wait for the engine or for a container.
const limit = 30 * time.Second

// noNetwork is an option of every container: none needs one, and they start
// faster without.
const noNetwork = "--network=none"

// docker runs the docker client and returns what it prints.
func docker(arguments ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "docker", arguments...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("docker %s: %w: %s", arguments[0], err, bytes.TrimSpace(stderr.Bytes()))
	}
	return strings.TrimSpace(string(out)), nil
}

// mustDocker is docker for what has to succeed.
func mustDocker(t testing.TB, arguments ...string) string {
	t.Helper()
	out, err := docker(arguments...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// engine says what is missing for containers of programs built for this machine.
var engine = sync.OnceValue(func() error {
	platform, err := docker("version", "--format", "{{.Server.Os}}/{{.Server.Arch}}")
	if err == nil && platform != "linux/"+runtime.GOARCH {
		return fmt.Errorf("the engine runs %s", platform)
	}
	return err
})

func needDocker(t testing.TB) {
	t.Helper()
	if err := engine(); err != nil {
		testtarget.Skip(t, "docker", err.Error())
	}
}

// builds is what this run of the tests has built.
var builds struct {
	sync.Mutex
	directory string   // a context for each image
	images    []string // their ids
}

// programs builds what goes into the images, and returns the directory with
// their contexts.
var programs = sync.OnceValues(func() (directory string, err error) {
	if directory, err = os.MkdirTemp("", "vmwrite-integration-"); err != nil {
		return "", err
	}
	builds.directory = directory
	if err := lookAtSources(); err != nil {
		return "", err
	}
	for path, name := range map[string]string{
		"prebuilt/bin/vmwrite": "cmd/vmwrite",
		"both/target":          "internal/testtarget/target",
	} {
		cmd := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(directory, path), "github.com/vmwrite/vmwrite/"+name)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("building %s: %w\n%s", name, err, out)
		}
	}
	return directory, os.Link(filepath.Join(directory, "prebuilt/bin/vmwrite"), filepath.Join(directory, "both/vmwrite"))
})

// lookAtSources reads the directories of what is built. The go command takes the
// result of an earlier run for this one unless something has changed that the
// tests themselves imported or looked at.
func lookAtSources() error {
	for _, directory := range []string{"cmd", "internal", "pkg"} {
		err := filepath.WalkDir(filepath.Join(repository, directory), func(_ string, _ fs.DirEntry, err error) error { return err })
		if err != nil {
			return err
		}
	}
	return nil
}

// buildImage builds an image and returns its id. It is removed when all tests
// have run.
func buildImage(context, dockerfile string, options ...string) (id string, err error) {
	// The label makes it an image of this run, even if its content is that of
	// another image.
	line := slices.Concat([]string{"build", "--quiet", "--label", runLabel, "--file", dockerfile}, options, []string{context})
	if id, err = docker(line...); err != nil {
		return "", err
	}
	builds.Lock()
	defer builds.Unlock()
	builds.images = append(builds.images, id)
	return id, nil
}

// image is the image of most containers: vmwrite, the target and nothing else.
var image = sync.OnceValues(func() (id string, err error) {
	directory, err := programs()
	if err != nil {
		return "", err
	}
	context := filepath.Join(directory, "both")
	dockerfile := filepath.Join(directory, "both.Dockerfile")
	if err := os.WriteFile(dockerfile, []byte("FROM scratch\nCOPY vmwrite target /\n"), 0o600); err != nil {
		return "", err
	}
	return buildImage(context, dockerfile)
})

func needImage(t testing.TB) string {
	t.Helper()
	needDocker(t)
	id, err := image()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// remove removes a container that this test has created, if it is still there.
func remove(t testing.TB, id string) {
	if _, err := docker("rm", "--force", id); err != nil && !strings.Contains(err.Error(), "No such container") && !strings.Contains(err.Error(), "already in progress") {
		t.Error(err)
	}
}

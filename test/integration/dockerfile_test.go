// SPDX-License-Identifier: Apache-2.0

package integration_test

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

const repository = "../../"

// prebuilt is the image that the repository's Dockerfile makes from bin/vmwrite. The
// context is not the repository, whose bin/vmwrite is its user's. But the
// repository's rules of what goes in hold.
func prebuilt(tb testing.TB) string {
	tb.Helper()
	return imageOf(tb, "prebuilt", map[string]string{
		"Dockerfile": repository + "Dockerfile", ".dockerignore": repository + ".dockerignore",
		"bin/vmwrite": testtarget.BuildCommand(tb),
	}, "--target", "prebuilt")
}

func TestTheImageHoldsOneProgramWithoutRights(t *testing.T) {
	testtarget.Need(t, "docker")
	t.Parallel()
	id := prebuilt(t)
	const format = "{{.Config.User}} {{.Config.Entrypoint}} {{.Config.Cmd}} {{len .RootFS.Layers}}"
	if got, want := docker(t, "image", "inspect", "--format", format, id), "65532:65532 [/vmwrite] [] 1"; got != want {
		t.Errorf("user, entry point, command and layers are %s; want %s", got, want)
	}
	hardened := []string{"--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"}
	if got := docker(t, container(hardened, id, "version")...); !strings.HasPrefix(got, "vmwrite ") {
		t.Errorf("vmwrite version prints %q", got)
	}
}

// The options are those that the Dockerfile gives as examples.
var fromThePrebuiltImage = []writeCase{
	{name: "its user writes into that user's process",
		target: []string{"--user=65532:65532"}, from: prebuiltSidecar(), want: granted(machcompat.Auto), sameUser: true},
	{name: "the target's user and group write",
		target: []string{plainUser}, from: prebuiltSidecar(plainUser), want: granted(machcompat.Auto), sameUser: true},
	{name: "the target's user in another group can't",
		target: []string{plainUser}, from: prebuiltSidecar("--user=1000:1001"), want: refused("group")},
	{name: "CAP_SYS_PTRACE writes into any process",
		target: []string{plainUser}, from: prebuiltSidecar(root, trace), want: granted(machcompat.ProcessVM)},
	{name: "--cap-add without --user gives its user nothing",
		target: []string{plainUser}, from: prebuiltSidecar(trace), want: refused("process 1 runs as uid 1000 and you are uid 65532", "--user 0")},
}

// stage returns the lines of the Dockerfile behind the one that begins a stage.
func stage(t *testing.T, from string) string {
	t.Helper()
	text, err := os.ReadFile(repository + "Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	_, lines, found := strings.Cut(string(text), "\n"+from+"\n")
	if !found {
		t.Fatalf("the Dockerfile has no line %q", from)
	}
	lines, _, _ = strings.Cut(lines, "\n\n")
	return strings.TrimSpace(lines) + "\n"
}

// The image of Go is replaced by the programs and the Go toolchain of this machine, which
// takes no registry. All else is as the Dockerfile says. There is no network: what the
// module needs was downloaded before.
func TestTheDockerfileBuildsTheCommandFromTheSources(t *testing.T) {
	testtarget.Need(t, "docker", "local engine", "modules")
	var sources, commands strings.Builder
	for line := range strings.Lines(stage(t, "FROM golang:1.26 AS build")) {
		if command, ok := strings.CutPrefix(line, "RUN "); ok {
			commands.WriteString(command)
		} else {
			sources.WriteString(line)
		}
	}
	made := t.TempDir()
	if err := os.WriteFile(made+"/Dockerfile", []byte("FROM scratch\n"+sources.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	image := docker(t, "build", "--quiet", "--label", runLabel(), "--file", made+"/Dockerfile", repository)

	folders := strings.Fields(output(t, "go", "env", "GOROOT", "GOMODCACHE", "GOCACHE"))
	options := []string{
		"--user", fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid()), "--tmpfs=/tmp", "--volume", made + ":/out",
		"--volume", folders[0] + ":/go/root:ro", "--env", "PATH=/go/root/bin:/bin",
		"--volume", folders[1] + ":/go/modules:ro", "--env", "GOMODCACHE=/go/modules", "--env", "GOPROXY=off",
		"--volume", folders[2] + ":/go/cache", "--env", "GOCACHE=/go/cache",
	}
	for _, folder := range []string{"/bin", "/lib", "/lib64"} { // those of a shell
		if _, err := os.Stat(folder); err == nil {
			options = append(options, "--volume", folder+":"+folder+":ro")
		}
	}
	docker(t, container(options, image, "/bin/sh", "-e", "-c", commands.String())...)
	if got, want := output(t, made+"/vmwrite", "version"), "vmwrite "; !strings.HasPrefix(got, want) {
		t.Errorf("the program that was built prints %q; want %q first", got, want)
	}

	final, prebuilt := stage(t, "FROM scratch"), stage(t, "FROM scratch AS prebuilt")
	if want := strings.Replace(prebuilt, "COPY bin/vmwrite", "COPY --from=build /out/vmwrite", 1); final != want {
		t.Errorf("the image from the sources is\n%swant that of make image:\n%s", final, want)
	}
}

func TestTheDockerfileBuildsWithTheGoOfTheModule(t *testing.T) {
	of := func(name, pattern string) string {
		text, err := os.ReadFile(repository + name)
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(pattern).FindSubmatch(text)
		if found == nil {
			t.Fatalf("%s has no line %s", name, pattern)
		}
		return string(found[1])
	}
	image, module := of("Dockerfile", `(?m)^FROM golang:(\d+\.\d+)\b`), of("go.mod", `(?m)^go (\d+\.\d+)`)
	if image != module {
		t.Errorf("the Dockerfile builds with Go %s and go.mod asks for %s", image, module)
	}
}

// output returns what a command prints, which must succeed.
func output(t *testing.T, name string, arguments ...string) string {
	t.Helper()
	out, err := exec.Command(name, arguments...).Output()
	if err != nil {
		t.Fatalf("%s %s: %v", name, strings.Join(arguments, " "), err)
	}
	return string(out)
}

package integration_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

const repository = "../.."

// prebuilt is the image that the repository's Dockerfile makes from bin/vmwrite.
var prebuilt = sync.OnceValues(func() (id string, err error) {
	directory, err := programs()
	if err != nil {
		return "", err
	}
	// The context is not the repository, whose bin/vmwrite is its user's. But the
	// repository's rules of what goes in hold.
	context := filepath.Join(directory, "prebuilt")
	rules, err := os.ReadFile(filepath.Join(repository, ".dockerignore"))
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(context, ".dockerignore"), rules, 0o600); err != nil {
		return "", err
	}
	return buildImage(context, filepath.Join(repository, "Dockerfile"), "--target", "prebuilt")
})

func needPrebuilt(t testing.TB) string {
	t.Helper()
	needDocker(t)
	id, err := prebuilt()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestTheImageHoldsOneProgramWithoutRights(t *testing.T) {
	id := needPrebuilt(t)
	const format = "{{.Config.User}} {{.Config.Entrypoint}} {{.Config.Cmd}} {{len .RootFS.Layers}}"
	if got, want := mustDocker(t, "image", "inspect", "--format", format, id), "65532:65532 [/vmwrite] [] 1"; got != want {
		t.Errorf("user, entry point, command and layers are %s; want %s", got, want)
	}
	hardened := containerOf(t, []string{id, "version"}, "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges")
	if got := mustDocker(t, hardened()...); !strings.HasPrefix(got, "vmwrite ") {
		t.Errorf("vmwrite version prints %q", got)
	}
}

func TestWritingFromTheImageAsTheDockerfileSaysIt(t *testing.T) {
	id := needPrebuilt(t)
	beside := func(options ...string) place {
		return func(tb testing.TB, c *target) writer {
			return writer{tb, containerOf(tb, []string{id}, append(options, "--pid=container:"+c.id)...), 1}
		}
	}
	runCases(t, []writeCase{
		{name: "its user writes into that user's process",
			target: []string{"--user=65532:65532"}, from: beside(), want: granted(machcompat.Auto), sameUser: true},
		{name: "the target's user and group write into the target",
			target: []string{plainUser}, from: beside(plainUser), want: granted(machcompat.Auto), sameUser: true},
		{name: "the target's user in another group can't",
			target: []string{plainUser}, from: beside("--user=1000:1001"), want: refused("group")},
		{name: "root with CAP_SYS_PTRACE writes into any process",
			target: []string{plainUser}, from: beside(root, trace), want: granted(machcompat.ProcessVM)},
		{name: "--cap-add without --user gives its user nothing",
			target: []string{plainUser}, from: beside(trace), want: refused("process 1 runs as uid 1000 and you are uid 65532", "--user 0")},
	})
}

func TestTheDockerfileBuildsWithTheGoOfTheModule(t *testing.T) {
	of := func(name, pattern string) string {
		text, err := os.ReadFile(filepath.Join(repository, name))
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

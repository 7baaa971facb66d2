package integration_test

import (
	"os"
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

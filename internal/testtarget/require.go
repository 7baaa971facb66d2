package testtarget

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// RequireVariable names the environment variable that lists, with commas, what
// must be there: a test that lacks one of them fails instead of being skipped.
const RequireVariable = "VMWRITE_TEST_REQUIRE"

// Skip skips the test because what it needs is missing, and says so, unless what
// is required. The names in use: docker, root, kernel, cc, and
// what a test itself names where a machine either has it or never will.
func Skip(tb testing.TB, what, reason string) {
	tb.Helper()
	if slices.Contains(strings.Split(os.Getenv(RequireVariable), ","), what) {
		tb.Fatalf("%s requires %s, which is missing: %s", RequireVariable, what, reason)
	}
	tb.Skipf("needs %s: %s", what, reason)
}

// NeedRoot skips the test unless it runs as root.
func NeedRoot(tb testing.TB) {
	tb.Helper()
	if os.Geteuid() != 0 {
		Skip(tb, "root", "not running as root")
	}
}

// SPDX-License-Identifier: Apache-2.0

package c

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
)

// headers returns the names of all headers as a program includes them.
func headers(t *testing.T) (names []string) {
	t.Helper()
	const root = "../../include"
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".h") {
			names = append(names, strings.TrimPrefix(path, root+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// exportedNames returns what the linker's script lets out of the library.
func exportedNames(t *testing.T) (names []string) {
	t.Helper()
	text, err := os.ReadFile("../../cmd/libmachcompat/exports.map")
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range regexp.MustCompile(`(?m)^\t([a-z0-9_]+);$`).FindAllSubmatch(text, -1) {
		names = append(names, string(match[1]))
	}
	return names
}

func TestTheHeadersOfTheInterfaceAreThere(t *testing.T) {
	have := headers(t)
	for _, name := range strings.Fields(`mach.h mach_vm.h vm_map.h vm_region.h vm_prot.h vm_inherit.h
		vm_behavior.h vm_statistics.h kern_return.h mach_error.h mach_init.h mach_types.h mach_port.h
		host_info.h machine.h task.h task_info.h std_types.h mach_host.h vm_types.h boolean.h port.h
		message.h vm_page_size.h mach_traps.h mig.h ndr.h notify.h vm_param.h machine/vm_param.h
		exception_types.h exception.h task_special_ports.h shared_region.h vm_purgable.h clock_types.h
		processor_info.h thread_policy.h task_policy.h mach_interface.h mach_syscalls.h
		semaphore.h`) {
		if !slices.Contains(have, "mach/"+name) {
			t.Errorf("no mach/%s", name)
		}
	}
	if !slices.Contains(have, "TargetConditionals.h") {
		t.Error("no TargetConditionals.h")
	}
}

func TestTheManualPageNamesEveryCall(t *testing.T) {
	page, err := os.ReadFile("../../man/machcompat.3")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range exportedNames(t) {
		name = strings.TrimPrefix(name, "machcompat_") // what it is in the library alone
		if !regexp.MustCompile(`(?m)^\.(Fn|Va) ` + name + `\b`).Match(page) {
			t.Errorf("no %s", name)
		}
	}
}

// onlyCompile compiles sources together in each of the languages.
func onlyCompile(t *testing.T, languages []language, sources []string, flags ...string) {
	t.Helper()
	for _, l := range languages {
		t.Run(l.name, func(t *testing.T) {
			testtarget.Need(t, l.compiler)
			t.Parallel()
			l.compile(t, slices.Concat([]string{headersHere, "-fsyntax-only"}, flags, sources)...)
		})
	}
}

// sourceOf writes a source file with a text.
func sourceOf(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "source.c")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestEachHeaderCompilesAloneAndTwice(t *testing.T) {
	var sources []string
	for _, name := range headers(t) {
		sources = append(sources, sourceOf(t, "#include <"+name+">\n#include <"+name+">\nextern int nothing;\n"))
	}
	others := []language{{"C++11", "c++", "CXX", "c++11"}, {"C++20", "c++", "CXX", "c++20"}}
	// Clang takes long for so many: that of its C11 and GNU17 is left to the programs.
	onlyCompile(t, testtarget.Some(slices.Concat(allLanguages[:5], allLanguages[7:], others), 2, 0), sources, "-Wconversion")
}

func TestEachProgramCompilesInEveryLanguage(t *testing.T) {
	sources, err := filepath.Glob("testdata/*/*.c")
	if err != nil {
		t.Fatal(err)
	}
	onlyCompile(t, testtarget.Some(allLanguages, 2, 3), sources)
}

// A program for macOS relies on what the headers that Apple generates bring with them.
func TestGeneratedHeadersBringWhatAppleHeadersBring(t *testing.T) {
	var sources []string
	for _, name := range []string{"mach_host", "mach_port", "mach_vm", "task", "thread_act", "vm_map"} {
		sources = append(sources, sourceOf(t, "#include <mach/"+name+`.h>
__BEGIN_DECLS
void copy(char *to, const char *from, __unused task_t task);
__END_DECLS
void copy(char *to, const char *from, __unused task_t task)
{
	struct {
		NDR_record_t record;
		mig_reply_error_t reply;
		mach_dead_name_notification_t notification;
		mig_symtab_t table;
		uint64_t number;
		size_t size;
	} all;

	memset(&all, 0, sizeof all);
	if (strcmp(to, from) != MIG_NO_REPLY)
		memcpy(to, from, strlen(from) + 1);
}
`))
	}
	onlyCompile(t, testtarget.Some(allLanguages, 2, 1), sources)
}

// Names that both have, such as PAGE_SIZE and __unused, are in nobody's way.
func TestHeadersGoWithThoseOfLinux(t *testing.T) {
	var theirs, ours strings.Builder
	for _, name := range strings.Fields(`dirent.h elf.h errno.h fcntl.h limits.h link.h pthread.h
		semaphore.h signal.h stdio.h stdlib.h string.h sys/ipc.h sys/mman.h sys/msg.h sys/param.h sys/ptrace.h
		sys/resource.h sys/shm.h sys/socket.h sys/stat.h sys/time.h sys/types.h sys/uio.h sys/user.h sys/wait.h
		time.h ucontext.h unistd.h`) {
		fmt.Fprintf(&theirs, "#include <%s>\n", name)
	}
	for _, name := range headers(t) {
		fmt.Fprintf(&ours, "#include <%s>\n", name)
	}
	const onlyBefore = "#include <linux/icmp.h>\n" // it has a member called __unused: see mach/cdefs.h
	const check = "int inside(unsigned long);\nint inside(unsigned long n) { return (n & PAGE_MASK) < PAGE_SIZE; }\n"
	sources := []string{
		sourceOf(t, theirs.String()+onlyBefore+ours.String()+check),
		sourceOf(t, ours.String()+theirs.String()+check),
	}
	onlyCompile(t, testtarget.Some(allLanguages, 2, 0), sources, "-D_GNU_SOURCE")
}

func TestProgramGetsAllFromMachHeaders(t *testing.T) {
	for _, l := range languages(1) {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			run(t, l.program(t, "testdata/programs/apple_headers.c", library(t)))
		})
	}
}

func TestEveryDeclaredNameIsExportedAndNoOther(t *testing.T) {
	testtarget.Need(t, "make", "cc", "nm")
	var declared []string
	// What stands in __asm__ is the name in the library.
	pattern := regexp.MustCompile(`(?m)^extern [a-z0-9_ *]*?\b(\w+)(?:;|\([^;]*?(?:__asm__\("(\w+)"\))?;)`)
	for _, name := range headers(t) {
		text, err := os.ReadFile("../../include/" + name)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range pattern.FindAllSubmatch(text, -1) {
			declared = append(declared, cmp.Or(string(match[2]), string(match[1])))
		}
	}
	// Only a macro has a declaration for this one: see mach/mach_init.h.
	declared = append(declared, "mach_task_self")
	slices.Sort(declared)
	declared = slices.Compact(declared)

	var exported []string
	for line := range strings.Lines(run(t, "nm", "-D", "--defined-only", library(t)+"/libmachcompat.so")) {
		exported = append(exported, strings.Fields(line)[2])
	}
	slices.Sort(exported)
	if !slices.Equal(declared, exported) {
		t.Errorf("declared: %v\nexported: %v", declared, exported)
	}
	if names := exportedNames(t); !slices.Equal(names, exported) {
		t.Errorf("exports.map: %v\nexported: %v", names, exported)
	}
	t.Logf("%d names", len(exported))
}

func TestStructsAreLaidOutAsOnMacOS(t *testing.T) {
	for _, l := range languages(0) {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			run(t, l.program(t, "testdata/programs/layout.c", library(t)))
		})
	}
}

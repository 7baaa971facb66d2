// SPDX-License-Identifier: Apache-2.0

package testtarget

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/vmwrite/vmwrite/internal/linux"
	"golang.org/x/sys/cpu"
	"golang.org/x/sys/unix"
)

// LackVariable names the environment variable that lists, with commas, what this
// machine may lack. Where it is set, a test that needs anything else that is
// missing fails instead of being skipped.
const LackVariable = "VMWRITE_TEST_MAY_LACK"

// capabilities are what a test may need and not every machine has: how to find out
// by trying, unless the test finds out, and what to install or allow.
var capabilities = map[string]struct {
	try    func() error
	advice string
}{
	"root":          {tryRoot, "run the tests as root"},
	"bash":          {installed("bash"), "install bash"},
	"cc":            {installed("cc"), "install a C compiler"},
	"c++":           {installed("c++"), "install a C++ compiler"},
	"clang":         {installed("clang"), "install clang"},
	"clang++":       {installed("clang++"), "install clang, with its C++ compiler"},
	"make":          {installed("make"), "install make"},
	"nm":            {installed("nm"), "install binutils"},
	"objdump":       {installed("objdump"), "install binutils"},
	"pkg-config":    {installed("pkg-config"), "install pkg-config"},
	"python3":       {installed("python3"), "install Python 3"},
	"setpriv":       {installed("setpriv"), "install util-linux"},
	"static libc":   {tryStaticLibc, "install the C library's archive (libc6-dev, glibc-static)"},
	"sanitizers":    {trySanitizers, "install the compiler's libasan and libubsan"},
	"modules":       {tryModules, "go mod download"},
	"docker":        {tryDocker, "start a Docker engine, and allow this user to use it"},
	"docker filter": {tryDockerFilter, "use a Docker engine with seccomp, neither rootless nor with userns-remap"},
	"local engine":  {tryLocalEngine, "test in the pid namespace of the Docker engine"},
	"386":           {tryProgram("386"), "use an x86 kernel that runs 32-bit programs (CONFIG_IA32_EMULATION)"},
	"amd64":         {tryProgram("amd64"), "use a 64-bit x86 kernel"},
	"avx":           {tryAVX, "use a processor with AVX"},
	"64-bit tests":  {try64Bit, "test for a 64-bit architecture"},
	"4k pages":      {try4KPages, "use a kernel with pages of 4096 bytes"},
	"tracing":       {tryYama("0", "2"), "run the tests as root, or sysctl kernel.yama.ptrace_scope=0"},
	"own children":  {tryYama("1", "2"), "run the tests as root, or sysctl kernel.yama.ptrace_scope=1"},
	"other users":   {tryYama("1", "1"), "sysctl kernel.yama.ptrace_scope=1"},
	"open programs": {tryOpenPrograms, "use umask 022, and a TMPDIR in which every user may run programs, with set-user-id too"},
	"forced writes": {tryForcedWrites, "boot without proc_mem.force_override"},
	"PROCMAP_QUERY": {tryProcmapQuery, "use Linux 6.11 or later"},
	"populate":      {tryPopulate, "use Linux 5.14 or later"},
	"guard regions": {tryGuardRegion, "use Linux 6.13 or later"},
	"mseal":         {tryMseal, "use Linux 6.10 or later, 64-bit"},
	"memfd_secret":  {tryMemfdSecret, "boot with secretmem.enable=1"},
	"userfaultfd":   {tryUserfaultfd, "run the tests as root, or sysctl vm.unprivileged_userfaultfd=1"},
	"io_uring":      {tryIOUring, "sysctl kernel.io_uring_disabled=0, outside of containers whose seccomp filter refuses it"},
	"hugetlb":       {tryHugetlb, "echo 8 >/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"},
	"rseq":          {nil, "install a C library that registers restartable sequences, such as glibc 2.35"},
	"/proc/PID/io":  {nil, "use a kernel with CONFIG_TASK_IO_ACCOUNTING"},
	"ASLR":          {tryASLR, "sysctl kernel.randomize_va_space=2, and do not use setarch -R"},
	"kthreadd":      {tryKthreadd, "test outside of containers, where kernel threads are seen"},
	"own pid_max":   {tryOwnPIDMax, "use Linux 6.14 or later, which has one for each pid namespace"},
}

// tried is what was found out about each capability in this run.
var tried sync.Map

// Missing tries whether the machine has a capability, once, and returns what is
// missing.
func Missing(name string) error {
	c, ok := capabilities[name]
	if !ok {
		panic("no capability is called " + name)
	}
	found, _ := tried.LoadOrStore(name, sync.OnceValue(c.try))
	return found.(func() error)()
}

// Need skips the test unless the machine has each of the capabilities.
func Need(tb testing.TB, names ...string) {
	tb.Helper()
	for _, name := range names {
		if err := Missing(name); err != nil {
			Lack(tb, name, err)
		}
	}
}

// Lack is Need for a test that has found out by itself that a capability is missing.
func Lack(tb testing.TB, name string, err error) {
	tb.Helper()
	mayLack, listed := os.LookupEnv(LackVariable)
	if listed && !slices.Contains(strings.Split(mayLack, ","), name) {
		tb.Fatalf("needs %s, which %s does not list: %v", name, LackVariable, err)
	}
	note(tb, name)
	tb.Skipf("needs %s: %v; %s", name, err, capabilities[name].advice)
}

// note writes a line for the summary at the end of the run.
func note(tb testing.TB, name string) {
	tb.Helper()
	directory := os.Getenv(RunVariable)
	if directory == "" {
		return
	}
	file, err := os.OpenFile(filepath.Join(directory, "skipped"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		tb.Fatal(err)
	}
	defer file.Close()
	if _, err := fmt.Fprintf(file, "%s: %s\n", name, capabilities[name].advice); err != nil {
		tb.Fatal(err)
	}
}

func tryRoot() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("the user is %d", os.Geteuid())
	}
	return nil
}

func installed(program string) func() error {
	return func() error {
		_, err := exec.LookPath(program)
		return err
	}
}

func trySanitizers() error { return tryCompile("-fsanitize=address,undefined") }

func tryStaticLibc() error { return tryCompile("-static") }

func tryCompile(flag string) error {
	cmd := exec.Command("cc", flag, "-x", "c", "-", "-o", os.DevNull)
	cmd.Stdin = strings.NewReader("int main(void) { return 0; }\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// tryModules asks whether all modules that this one names were downloaded.
func tryModules() error {
	cmd := exec.Command("go", "mod", "download")
	cmd.Dir = Root()
	cmd.Env = append(os.Environ(), "GOPROXY=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

func tryDocker() error {
	platform, err := exec.Command("docker", "version", "--format", "{{.Server.Os}}/{{.Server.Arch}}").Output()
	if err != nil {
		return fmt.Errorf("no engine answers: %w", err)
	}
	if got, want := strings.TrimSpace(string(platform)), "linux/"+runtime.GOARCH; got != want {
		return fmt.Errorf("the engine runs programs of %s, not %s", got, want)
	}
	return nil
}

// tryDockerFilter looks for an engine whose containers are under a seccomp filter, in
// the first user namespace.
func tryDockerFilter() error {
	options, err := exec.Command("docker", "info", "--format", "{{.SecurityOptions}}").Output()
	if err != nil {
		return fmt.Errorf("no engine answers: %w", err)
	}
	text := string(options)
	if !strings.Contains(text, "name=seccomp") || strings.Contains(text, "name=rootless") || strings.Contains(text, "name=userns") {
		return fmt.Errorf("the engine's containers have %s", strings.TrimSpace(text))
	}
	return nil
}

// tryLocalEngine compares the engine's pid namespace with ours. Only there is a process
// here one of the host's for the engine.
func tryLocalEngine() error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	host := cmp.Or(os.Getenv("DOCKER_HOST"), "unix:///var/run/docker.sock")
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: strings.TrimPrefix(host, "unix://")}); err != nil {
		return fmt.Errorf("connecting to %s: %w", host, err)
	}
	engine, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return err
	}
	its, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", engine.Pid))
	if ours, _ := os.Readlink("/proc/self/ns/pid"); its != ours {
		return fmt.Errorf("the engine is in another pid namespace: %q, %v", its, err)
	}
	return nil
}

// tryProgram runs the target of an x86 architecture, which ends with its input. An
// emulator of such programs does not count.
func tryProgram(goarch string) func() error {
	return func() error {
		var name unix.Utsname
		if err := unix.Uname(&name); err != nil {
			return err
		}
		if machine := unix.ByteSliceToString(name.Machine[:]); machine != "x86_64" && !strings.HasSuffix(machine, "86") {
			return fmt.Errorf("the machine is %s", machine)
		}
		path, err := BuildGo("internal/testtarget/target", goarch)
		if err != nil {
			return err
		}
		return exec.Command(path).Run()
	}
}

func tryAVX() error {
	if !cpu.X86.HasAVX {
		return errors.New("the processor has none")
	}
	return nil
}

func try64Bit() error {
	if strconv.IntSize != 64 {
		return errors.New("this is a 32-bit program")
	}
	return nil
}

func try4KPages() error {
	if size := os.Getpagesize(); size != 4096 {
		return fmt.Errorf("a page has %d bytes", size)
	}
	return nil
}

// tryYama asks whether Yama is at most at this level: of "own children" and "other users"
// it is the one at which they may be traced where they allow it.
func tryYama(user, root string) func() error {
	return func() error {
		most := user
		if os.Geteuid() == 0 {
			most = root
		}
		level, err := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope")
		if scope := strings.TrimSpace(string(level)); err == nil && scope > most {
			return fmt.Errorf("kernel.yama.ptrace_scope is %s", scope)
		}
		return nil
	}
}

// tryOpenPrograms asks whether other users may run what is built and these tests
// themselves, also with other rights.
func tryOpenPrograms() error {
	if tests, err := os.Stat("/proc/self/exe"); err != nil || tests.Mode()&0o001 == 0 {
		return errors.New("the test program is not for every user")
	}
	directory, err := programs()
	if err != nil {
		return err
	}
	var system unix.Statfs_t
	if err := unix.Statfs(directory, &system); err != nil {
		return err
	}
	if system.Flags&(unix.ST_NOSUID|unix.ST_NOEXEC) != 0 {
		return fmt.Errorf("%s is mounted nosuid or noexec", directory)
	}
	for ; ; directory = filepath.Dir(directory) {
		info, err := os.Stat(directory)
		if err != nil {
			return err
		}
		if info.Mode()&0o001 == 0 {
			return fmt.Errorf("%s is %v", directory, info.Mode())
		}
		if directory == "/" {
			return nil
		}
	}
}

// onPage makes a system call on a page of memory that may only be read.
func onPage(call func(page []byte) error) error {
	page, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return err
	}
	defer unix.Munmap(page)
	return call(page)
}

func tryForcedWrites() error {
	return onPage(func(page []byte) error {
		memory, err := os.OpenFile("/proc/self/mem", os.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer memory.Close()
		_, err = memory.WriteAt([]byte{1}, int64(linux.AddressOf(page)))
		return err
	})
}

func tryProcmapQuery() error {
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return err
	}
	defer maps.Close()
	query := linux.ProcmapQuery{QueryFlags: linux.PROCMAP_QUERY_COVERING_OR_NEXT_VMA}
	return linux.QueryProcmap(int(maps.Fd()), &query, nil)
}

func tryPopulate() error {
	return onPage(func(page []byte) error { return unix.Madvise(page, unix.MADV_POPULATE_READ) })
}

func tryGuardRegion() error {
	const guardInstall = 102 // MADV_GUARD_INSTALL of the uapi header asm-generic/mman-common.h
	return onPage(func(page []byte) error { return unix.Madvise(page, guardInstall) })
}

func tryMseal() error {
	return onPage(func(page []byte) error { // which is then there to stay
		if _, _, errno := unix.Syscall(unix.SYS_MSEAL, linux.AddressOf(page), uintptr(len(page)), 0); errno != 0 {
			return errno
		}
		return nil
	})
}

// closed closes the descriptor that a system call has returned.
func closed(fd uintptr, _ uintptr, errno unix.Errno) error {
	if errno != 0 {
		return errno
	}
	return unix.Close(int(fd))
}

func tryMemfdSecret() error { return closed(unix.Syscall(unix.SYS_MEMFD_SECRET, 0, 0, 0)) }

func tryUserfaultfd() error {
	return closed(unix.Syscall(unix.SYS_USERFAULTFD, unix.O_CLOEXEC, 0, 0))
}

// tryIOUring gives no parameters, which are looked at after the permission is.
func tryIOUring() error {
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 1, 0, 0)
	if errno == unix.EFAULT {
		return nil
	}
	return closed(fd, 0, errno)
}

func tryHugetlb() error {
	page, err := unix.Mmap(-1, 0, 2<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_HUGETLB|unix.MAP_HUGE_2MB)
	if err != nil {
		return err
	}
	return unix.Munmap(page)
}

// tryASLR reads the setting of the machine and that of this program, which its children
// inherit (personality(2)).
func tryASLR() error {
	const noRandomize = 0x0040000 // ADDR_NO_RANDOMIZE
	setting, err := os.ReadFile("/proc/sys/kernel/randomize_va_space")
	if err != nil {
		return err
	}
	if string(setting) != "2\n" {
		return fmt.Errorf("kernel.randomize_va_space is %q", setting)
	}
	personality, _, errno := unix.Syscall(unix.SYS_PERSONALITY, 0xffffffff, 0, 0)
	if errno == 0 && personality&noRandomize != 0 {
		return errors.New("this program has the personality ADDR_NO_RANDOMIZE")
	}
	return nil
}

func tryKthreadd() error {
	name, err := os.ReadFile("/proc/2/comm")
	if err == nil && string(name) != "kthreadd\n" {
		err = fmt.Errorf("process 2 is %q", name)
	}
	return err
}

// tryOwnPIDMax asks for the version: trying would change the setting of the whole
// machine before it.
func tryOwnPIDMax() error {
	var name unix.Utsname
	var major, minor int
	if err := unix.Uname(&name); err != nil {
		return err
	}
	release := unix.ByteSliceToString(name.Release[:])
	fmt.Sscanf(release, "%d.%d", &major, &minor)
	if major < 6 || (major == 6 && minor < 14) {
		return fmt.Errorf("kernel.pid_max of Linux %s is one for the whole machine", release)
	}
	return nil
}

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// A debian is the packages of one architecture, with lists of its own: the machine's
// configuration stays as it is, and need not know of the architecture.
type debian struct {
	arch, directory string
	options         []string
	own             string // the suite of this machine
}

// suites are those that matrix.txt names.
var suites = []string{"bookworm-security", "trixie-backports"}

func openDebian(arch string) (*debian, error) {
	own, err := command(exec.Command("sh", "-c", `. /etc/os-release && echo "$VERSION_CODENAME"`))
	if err != nil {
		return nil, err
	}
	absolute, err := filepath.Abs(filepath.Join(directory, arch))
	if err != nil {
		return nil, err
	}
	d := &debian{arch: arch, directory: absolute, own: strings.TrimSpace(own)}
	for _, sub := range []string{"lists/partial", "archives/partial", "packages"} {
		if err := os.MkdirAll(filepath.Join(absolute, sub), 0o755); err != nil {
			return nil, err
		}
	}
	d.options = []string{
		"-qq",
		"-oAPT::Architecture=" + arch, "-oAPT::Architectures=" + arch,
		"-oDir::Etc::SourceList=" + absolute + "/sources.list", "-oDir::Etc::SourceParts=/dev/null",
		"-oDir::State::Lists=" + absolute + "/lists", "-oDir::Cache=" + absolute,
		"-oDir::State::Status=/dev/null", "-oAPT::Sandbox::User=root",
		"-oAcquire::Languages=none", "-oAcquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
	}
	sources, err := sourceList(append(suites, d.own))
	if err != nil {
		return nil, err
	}
	// The lists are asked for again after a day: until then, the same are used offline.
	list := absolute + "/sources.list"
	before, _ := os.ReadFile(list)
	if info, err := os.Stat(list); err == nil && string(before) == sources && time.Since(info.ModTime()) < 24*time.Hour {
		return d, nil
	}
	if err := os.WriteFile(list, []byte(sources), 0o644); err != nil {
		return nil, err
	}
	if _, err = command(exec.Command("apt-get", append(d.options, "update")...)); err != nil {
		os.Remove(list)
	}
	return d, err
}

// sourceList returns apt's sources for suites, at the mirrors that this machine uses.
func sourceList(suites []string) (string, error) {
	targets, err := command(exec.Command("apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)", "Created-By: Packages", "Origin: Debian"))
	if err != nil {
		return "", err
	}
	mirrors := map[string]string{}
	for line := range strings.Lines(targets) {
		if label, mirror, _ := strings.Cut(strings.TrimSpace(line), " "); mirrors[label] == "" {
			mirrors[label] = mirror
		}
	}
	var sources strings.Builder
	for _, suite := range suites {
		label := "Debian"
		if strings.HasSuffix(suite, "-security") {
			label = "Debian-Security"
		}
		if mirrors[label] == "" {
			return "", fmt.Errorf("apt has no source of %s for %s", label, suite)
		}
		fmt.Fprintf(&sources, "deb %s %s main\n", mirrors[label], suite)
	}
	return sources.String(), nil
}

// extract returns the directory with the newest package of a suite whose name matches.
func (d *debian) extract(suite, pattern string) (string, error) {
	literal, _, _ := strings.Cut(pattern, "*")
	literal, _, _ = strings.Cut(literal, "[")
	names, err := command(exec.Command("apt-cache", append(d.options, "pkgnames", literal)...))
	if err != nil {
		return "", err
	}
	arguments := append(d.options, "madison")
	for _, name := range strings.Fields(names) {
		if match, _ := path.Match(pattern, name); match {
			arguments = append(arguments, name)
		}
	}
	table, err := command(exec.Command("apt-cache", arguments...))
	if err != nil {
		return "", err
	}
	name, version := "", ""
	for line := range strings.Lines(table) {
		fields := strings.Fields(strings.ReplaceAll(line, "|", " ")) // name, version, mirror, suite/component
		if len(fields) < 4 || !strings.HasPrefix(fields[3], suite+"/") {
			continue
		}
		if version == "" || exec.Command("dpkg", "--compare-versions", fields[1], "gt", version).Run() == nil {
			name, version = fields[0], fields[1]
		}
	}
	if version == "" {
		return "", fmt.Errorf("%s has no package %s for %s", suite, pattern, d.arch)
	}
	target := filepath.Join(d.directory, "packages", name+"_"+strings.ReplaceAll(version, ":", "%"))
	if _, err := os.Stat(target); err == nil {
		return target, nil
	}
	fmt.Printf("downloading %s %s\n", name, version)
	download := exec.Command("apt-get", append(d.options, "download", name+"="+version)...)
	download.Dir = filepath.Join(d.directory, "archives")
	if _, err := command(download); err != nil {
		return "", err
	}
	files, err := filepath.Glob(filepath.Join(download.Dir, name+"_*.deb"))
	if err != nil || len(files) != 1 {
		return "", fmt.Errorf("%s: %q, %w", name, files, errors.Join(err, errors.New("want one file")))
	}
	// Of a kernel only its image: the modules, for which nothing here asks, are large.
	extract := exec.Command("sh", "-c", `dpkg-deb --fsys-tarfile "$1" | tar -x -C "$2" --wildcards "./boot/vmlinuz*" ./bin/busybox ./usr/bin/busybox 2>/dev/null; rm "$1"; ls "$2"/*/* "$2"/usr/bin/* 2>/dev/null | grep .`, "sh", files[0], target+".new")
	if err := os.MkdirAll(target+".new", 0o755); err != nil {
		return "", err
	}
	if _, err := command(extract); err != nil {
		return "", err
	}
	return target, os.Rename(target+".new", target)
}

// one returns the file of a package that matches.
func (d *debian) one(suite, pattern, file string) (string, error) {
	directory, err := d.extract(suite, pattern)
	if err != nil {
		return "", err
	}
	files, err := filepath.Glob(filepath.Join(directory, file))
	if err == nil && len(files) != 1 {
		err = fmt.Errorf("%s has %d files %s; want one", directory, len(files), file)
	}
	if err != nil {
		return "", err
	}
	return files[0], nil
}

func (d *debian) kernel(suite, pattern string) (string, error) {
	return d.one(suite, pattern, "boot/vmlinuz*")
}

func (d *debian) busybox() (string, error) { return d.one(d.own, "busybox-static", "*/busybox") }

// An architecture is what the machines of matrix.txt may have.
type architecture struct {
	name, triplet string
	emulator      []string
	console       string
	loader        string   // of programs, by its path
	targets       []string // the architectures of Go programs that its kernel runs
}

var architectures = []architecture{
	{"amd64", "x86_64-linux-gnu", []string{"qemu-system-x86_64", "-machine", "q35"}, "ttyS0", "/lib64/ld-linux-x86-64.so.2", []string{"amd64", "386"}},
	{"arm64", "aarch64-linux-gnu", []string{"qemu-system-aarch64", "-machine", "virt"}, "ttyAMA0", "/lib/ld-linux-aarch64.so.1", []string{"arm64"}},
}

// compiler returns the compiler of a language, gcc or g++, for the architecture.
func (a architecture) compiler(name string) string {
	if a.name == runtime.GOARCH {
		return name
	}
	return a.triplet + "-" + name
}

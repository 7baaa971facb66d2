// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A debian is the packages of one architecture, with lists of its own: the machine's
// configuration stays as it is, and need not know of the architecture.
type debian struct {
	arch, directory string
	own             string // the suite of this machine
}

const aptConfiguration = `quiet "2";
APT::Architecture "ARCH";
APT::Architectures { "ARCH"; };
APT::Sandbox::User "root";
Dir::Etc::SourceList "DIRECTORY/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::State::Lists "DIRECTORY/lists";
Dir::State::Status "/dev/null";
Dir::Cache "DIRECTORY/cache";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
`

// openDebian has the lists of all suites of the matrix, and of that of this machine.
func openDebian(arch string) (*debian, error) {
	all, err := parseMatrix(matrix, nil)
	if err != nil {
		return nil, err
	}
	own, err := command(exec.Command("sh", "-c", `. /etc/os-release && echo "$VERSION_CODENAME"`))
	if err != nil {
		return nil, err
	}
	absolute, err := filepath.Abs(filepath.Join(directory, arch))
	if err != nil {
		return nil, err
	}
	d := &debian{arch, absolute, strings.TrimSpace(own)}
	for _, sub := range []string{"lists/partial", "cache/archives/partial", "packages"} {
		if err := os.MkdirAll(filepath.Join(absolute, sub), 0o755); err != nil {
			return nil, err
		}
	}
	configuration := strings.ReplaceAll(aptConfiguration, "DIRECTORY", absolute)
	if err := os.WriteFile(d.configuration(), []byte(strings.ReplaceAll(configuration, "ARCH", arch)), 0o644); err != nil {
		return nil, err
	}
	suites := []string{d.own}
	for _, m := range all {
		if !slices.Contains(suites, m.suite) {
			suites = append(suites, m.suite)
		}
	}
	sources, err := sourceList(suites)
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
	if _, err = d.apt("apt-get", "update"); err != nil {
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

// newest returns the newest package of a suite whose name matches.
func (d *debian) newest(suite, pattern string) (name, version string, err error) {
	literal := pattern[:strings.IndexAny(pattern+"*", "*[?")]
	names, err := d.apt("apt-cache", "pkgnames", literal)
	if err != nil {
		return "", "", err
	}
	matching := slices.DeleteFunc(strings.Fields(names), func(name string) bool {
		match, _ := path.Match(pattern, name)
		return !match
	})
	table, err := d.apt("apt-cache", append([]string{"madison"}, matching...)...)
	if err != nil {
		return "", "", err
	}
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
		err = fmt.Errorf("%s has no package %s for %s", suite, pattern, d.arch)
	}
	return name, version, err
}

// extract makes link a link to a file of the newest package of a suite whose name matches.
func (d *debian) extract(suite, pattern, file, link string) error {
	name, version, err := d.newest(suite, pattern)
	if err != nil {
		return err
	}
	target := filepath.Join(d.directory, "packages", name+"_"+version)
	if _, err := os.Stat(target); err != nil {
		fmt.Printf("downloading %s %s\n", name, version)
		download, err := os.MkdirTemp(d.directory, "download-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(download)
		if _, err := d.apt("sh", "-c", `cd "$1" && shift && apt-get download "$@"`, "sh", download, name+"="+version); err != nil {
			return err
		}
		unpack := exec.Command("sh", "-c", `dpkg-deb --fsys-tarfile "$1"/*.deb | tar -xO --wildcards "$2" >"$3.new" && mv "$3.new" "$3"`, "sh", download, file, target)
		if _, err := command(unpack); err != nil {
			return err
		}
	}
	os.Remove(link)
	return os.Symlink(target, link)
}

// apt runs one of apt's commands with these lists and no other settings.
func (d *debian) apt(name string, arguments ...string) (string, error) {
	cmd := exec.Command(name, arguments...)
	cmd.Env = append(os.Environ(), "APT_CONFIG="+d.configuration())
	return command(cmd)
}

func (d *debian) configuration() string { return filepath.Join(d.directory, "apt.conf") }

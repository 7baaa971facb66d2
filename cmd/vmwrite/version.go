// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

// version is that of the command, the libraries and the packages: the Makefile reads
// it here. It is that of CHANGELOG.md's first section, and ends with -dev while that
// has none yet.
const version = "0.2.0-dev"

// versionInfo is what version prints. Commit and Date are of the sources, where the go
// command had them from git.
type versionInfo struct {
	Version   string `json:"version"`
	Commit    string `json:"commit,omitempty"`
	Date      string `json:"date,omitempty"`     // of the commit, as in RFC 3339
	Modified  bool   `json:"modified,omitempty"` // the sources were not those of the commit
	Go        string `json:"go"`
	Platform  string `json:"platform"`
	MapSource string `json:"map_source"` // how mappings are read on this kernel
}

func newVersionCmd(s streams) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version, and how mappings are read on this kernel",
		Args:  takesNone,
		RunE: func(*cobra.Command, []string) error {
			return printVersion(s, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func printVersion(s streams, asJSON bool) error {
	v := readVersion()
	if asJSON {
		return s.printJSON(v)
	}
	source := map[string]string{"ioctl": "PROCMAP_QUERY", "text": "the text of /proc/PID/maps"}[v.MapSource]
	return s.print(fmt.Appendf(nil, "vmwrite %s%s %s %s\nmappings are read by %s\n", v.Version, v.commit(), v.Go, v.Platform, cmp.Or(source, v.MapSource)))
}

// commit returns the commit in short, behind a space, or nothing if it is not known.
func (v versionInfo) commit() string {
	if v.Commit == "" {
		return ""
	}
	changed := ""
	if v.Modified {
		changed = ", changed"
	}
	return fmt.Sprintf(" (%.12s of %.10s%s)", v.Commit, v.Date, changed)
}

func readVersion() versionInfo {
	v := versionInfo{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, MapSource: "nothing: /proc/self/maps can't be opened"}
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range build.Settings {
			switch setting.Key {
			case "vcs.revision":
				v.Commit = setting.Value
			case "vcs.time":
				v.Date = setting.Value
			case "vcs.modified":
				v.Modified = setting.Value == "true"
			}
		}
	}
	if maps, err := procmaps.Open(os.Getpid()); err == nil {
		v.MapSource = maps.Source().String()
		maps.Close()
	}
	return v
}

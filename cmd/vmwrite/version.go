package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

// versionInfo is what version prints.
type versionInfo struct {
	Version   string `json:"version"`
	Revision  string `json:"revision"`
	Go        string `json:"go"`
	Platform  string `json:"platform"`
	MapSource string `json:"map_source"` // how mappings are read on this kernel
}

func newVersionCmd(s streams) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version, and how mappings are read on this kernel",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			v := readVersion()
			if asJSON {
				return json.NewEncoder(s.out).Encode(v)
			}
			fmt.Fprintf(s.out, "vmwrite %s %s %s %s\nmappings are read by %s\n", v.Version, v.Revision, v.Go, v.Platform, v.MapSource)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func readVersion() versionInfo {
	v := versionInfo{Version: "(devel)", Revision: "unknown", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, MapSource: "nothing: /proc/self/maps can't be opened"}
	if build, ok := debug.ReadBuildInfo(); ok {
		if build.Main.Version != "" {
			v.Version = build.Main.Version
		}
		for _, setting := range build.Settings {
			if setting.Key == "vcs.revision" {
				v.Revision = setting.Value[:min(12, len(setting.Value))]
			}
		}
	}
	if maps, err := procmaps.Open(os.Getpid()); err == nil {
		v.MapSource = maps.Source().String()
		maps.Close()
	}
	return v
}

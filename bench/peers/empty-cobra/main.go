// SPDX-License-Identifier: Apache-2.0

// Command empty-cobra is a command of cobra that does nothing, with procfs.
package main

import (
	_ "github.com/prometheus/procfs"
	"github.com/spf13/cobra"
)

func main() {
	command := &cobra.Command{Use: "empty", Run: func(*cobra.Command, []string) {}}
	command.Execute()
}

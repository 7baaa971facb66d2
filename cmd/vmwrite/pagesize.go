// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

func newPageSizeCmd(s streams) *cobra.Command {
	return &cobra.Command{
		Use:   "page-size",
		Short: "Print the size of a page in bytes",
		Args:  takesNone,
		RunE: func(*cobra.Command, []string) error {
			return s.print(fmt.Appendln(nil, machcompat.HostPageSize()))
		},
	}
}

// SPDX-License-Identifier: Apache-2.0

// Command empty-procfs does nothing, but procfs initialises itself, as it does in
// vmwrite.
package main

import _ "github.com/prometheus/procfs"

func main() {}

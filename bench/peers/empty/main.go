// SPDX-License-Identifier: Apache-2.0

// Command empty does nothing: what the start and the end of a Go program take.
package main

func main() {}

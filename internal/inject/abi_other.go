// SPDX-License-Identifier: Apache-2.0

//go:build !amd64 && !386 && !arm64

package inject

// No system call can be made in another process on this architecture.
var abis []abi

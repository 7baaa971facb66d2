//go:build !amd64 && !386 && !arm64

package ptrace

// No system call can be made in another process on this architecture.
var abis []ABI

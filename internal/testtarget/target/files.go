// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/hex"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

func mapFile(arguments []string) (string, error) {
	pages, err := strconv.Atoi(arguments[2])
	if err != nil {
		return "", err
	}
	size, err := strconv.ParseInt(arguments[3], 0, 64)
	if err != nil {
		return "", err
	}
	file, err := os.OpenFile(arguments[0], os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return "", err
	}
	defer file.Close()
	if err := file.Truncate(size); err != nil {
		return "", err
	}
	flags := unix.MAP_PRIVATE
	if arguments[4] == "shared" {
		flags = unix.MAP_SHARED
	}
	return place(uintptr(pages)*pageSize, arguments[1], flags, int(file.Fd()), 0)
}

func mapNamed(arguments []string) (string, error) {
	path, err := hex.DecodeString(arguments[0])
	if err != nil {
		return "", err
	}
	offset, err := strconv.ParseUint(arguments[2], 0, 64)
	if err != nil {
		return "", err
	}
	file, err := os.OpenFile(string(path), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", err
	}
	defer file.Close()
	return place(pageSize, arguments[1], unix.MAP_PRIVATE|unix.MAP_NORESERVE, int(file.Fd()), int64(offset))
}

// mapDeep goes down a step at a time, because no call takes a path so long.
func mapDeep(arguments []string) (string, error) {
	want, err := strconv.Atoi(arguments[1])
	if err != nil {
		return "", err
	}
	directory, err := unix.Open(arguments[0], unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	name := strings.Repeat("d", 250)
	for length := len(arguments[0]); length < want; length += len(name) + 1 {
		if err := unix.Mkdirat(directory, name, 0o700); err != nil && err != unix.EEXIST {
			return "", err
		}
		next, err := unix.Openat(directory, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		unix.Close(directory)
		if err != nil {
			return "", err
		}
		directory = next
	}
	fd, err := unix.Openat(directory, "end", unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
	unix.Close(directory)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	return place(pageSize, "rw-", unix.MAP_PRIVATE, fd, 0)
}

func mapReadOnlyFile(arguments []string) (string, error) {
	if err := os.WriteFile(arguments[0], make([]byte, pageSize), 0o600); err != nil {
		return "", err
	}
	file, err := os.Open(arguments[0])
	if err != nil {
		return "", err
	}
	defer file.Close()
	at, err := unix.MmapPtr(int(file.Fd()), 0, nil, pageSize, unix.PROT_READ, unix.MAP_SHARED)
	return fmt.Sprintf("%p", at), err
}

func secret(arguments []string) (string, error) {
	pages, err := strconv.Atoi(arguments[0])
	if err != nil {
		return "", err
	}
	fd, _, errno := unix.Syscall(unix.SYS_MEMFD_SECRET, 0, 0, 0)
	if errno != 0 {
		return "", fmt.Errorf("memfd_secret: %w", errno)
	}
	defer unix.Close(int(fd))
	size := uintptr(pages) * pageSize
	if err := unix.Ftruncate(int(fd), int64(size)); err != nil {
		return "", err
	}
	return place(size, "rw-", unix.MAP_SHARED, int(fd), 0)
}

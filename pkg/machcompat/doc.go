// SPDX-License-Identifier: Apache-2.0

// Package machcompat is Mach's vm_write on Linux: it writes into another process
// as if that process had written itself. Only where the target may write, all
// of it or nothing, and with the exact kern_return_t when it can't.
//
// [TaskForPID] takes hold of a process that the caller may trace (ptrace(2));
// [Task.Write] and [Task.WriteBatch] write and return nil or an [*Error];
// [Task.CompareAndWrite] writes only if the right bytes are there, and
// [Task.WithWritable] where memory is protected. [Task.Stopped] and [Task.Suspend]
// hold the process still meanwhile. [VMWrite], [MachVMWrite] and their like are the
// calls in Mach's shape.
//
// The path of a write is in write.go: check the mappings, write, explain what is
// missing, confirm that the address space is still the one that was checked.
package machcompat

# SPDX-License-Identifier: Apache-2.0
"""Calls the library from Python: call_from_python.py LIBRARY PID ADDRESS."""
import ctypes
import os
import sys

mach = ctypes.CDLL(sys.argv[1])
pid, address = int(sys.argv[2]), int(sys.argv[3], 0)
mach.mach_error_string.restype = ctypes.c_char_p
self_task = ctypes.c_uint.in_dll(mach, "mach_task_self_").value


def must(code):
    assert code == 0, mach.mach_error_string(code)


task = ctypes.c_uint()
must(mach.task_for_pid(self_task, pid, ctypes.byref(task)))
data = ctypes.create_string_buffer(b"from python")
must(mach.mach_vm_write(task, ctypes.c_uint64(address), data, len(data.value)))
got, size = ctypes.create_string_buffer(11), ctypes.c_uint64()
must(mach.mach_vm_read_overwrite(task, ctypes.c_uint64(address), ctypes.c_uint64(11), got, ctypes.byref(size)))
assert got.raw == b"from python" and size.value == 11
assert mach.mach_vm_write(task, ctypes.c_uint64(1), data, 1) == 1
assert mach.mach_error_string(1) == b"(os/kern) invalid address"
assert mach.vm_read(0x12345, None, None, None, None) == 4

# A fork of Python is not alone in having threads that are not forked.
child = os.fork()
if child == 0:
    os._exit(mach.mach_vm_write(task, ctypes.c_uint64(address), data, 1) != 0x10000003)
assert os.waitpid(child, 0)[1] == 0
must(mach.mach_port_deallocate(self_task, task))

# SPDX-License-Identifier: Apache-2.0
"""Writes through ctypes, by process_vm_writev without a check.

usage: write.py PID ADDRESS VALUE          one write of a 32-bit value
       write.py PID ADDRESS BYTES CALLS    prints the nanoseconds of all calls
"""
import ctypes
import sys
import time


class IOVec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]


libc = ctypes.CDLL(None, use_errno=True)
writev = libc.process_vm_writev
writev.restype = ctypes.c_ssize_t
writev.argtypes = [ctypes.c_int, ctypes.POINTER(IOVec), ctypes.c_ulong,
                   ctypes.POINTER(IOVec), ctypes.c_ulong, ctypes.c_ulong]

pid, address = int(sys.argv[1]), int(sys.argv[2], 0)


def write(data):
    size = ctypes.sizeof(data)
    local = IOVec(ctypes.addressof(data), size)
    remote = IOVec(address, size)
    if writev(pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0) != size:
        raise OSError(ctypes.get_errno(), "process_vm_writev")


if len(sys.argv) == 4:
    write(ctypes.c_int32(int(sys.argv[3])))
else:
    buffer, calls = ctypes.create_string_buffer(int(sys.argv[3])), int(sys.argv[4])
    start = time.perf_counter_ns()
    for _ in range(calls):
        write(buffer)
    print(time.perf_counter_ns() - start)

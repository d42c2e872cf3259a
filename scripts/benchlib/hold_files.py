"""Keep files in the page cache: hold_files.py LIST, where LIST has their paths, each ended by a NUL byte.

A kernel may take pages that nobody used for some seconds although memory is free (DAMON does so on some virtual
machines). Mapped and locked ones stay. Prints how many bytes it holds, and then does so until its input ends.
"""

import ctypes
import os
import sys

PROT_READ, MAP_SHARED = 1, 1
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.mlock.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
MAP_FAILED = ctypes.c_void_p(-1).value


def hold(path):
    """The bytes of the file that are in memory from now on: all or none."""
    file = os.open(path, os.O_RDONLY)
    try:
        size = os.fstat(file).st_size
        if not size:
            return 0
        address = libc.mmap(None, size, PROT_READ, MAP_SHARED, file, 0)
        return 0 if address == MAP_FAILED or libc.mlock(address, size) else size
    finally:
        os.close(file)


def main():
    with open(sys.argv[1], "rb") as file:
        paths = file.read().split(b"\0")[:-1]
    print(sum(map(hold, paths)), flush=True)
    sys.stdin.read()


main()

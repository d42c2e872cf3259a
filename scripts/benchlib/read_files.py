"""Open, read and close the files that a list names below a root; print the seconds of that and the bytes.

A program of its own, so that the time holds no other process's start: read_files.py ROOT LIST
"""

import os
import sys
import time


def main():
    root, listed = sys.argv[1:]
    with open(listed, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        paths = [os.path.join(root, line.rstrip("\n")) for line in file]
    total = 0
    start = time.monotonic()
    for path in paths:
        file = os.open(path, os.O_RDONLY)
        while data := os.read(file, 2**20):
            total += len(data)
        os.close(file)
    print(time.monotonic() - start, total)


main()

"""Have the machine behind this one give it memory: back_memory.py BYTES

A virtual machine may hand back memory that nobody uses (free page reporting), and each page of it costs a visit to the
host when it is used again. Whoever allocates pays that: here it is done before the clock starts.
"""

import mmap
import sys

STEP = 2**20


def main():
    with mmap.mmap(-1, int(sys.argv[1])) as memory:
        for start in range(0, len(memory), STEP):
            end = min(start + STEP, len(memory))
            memory[start:end] = b"\1" * (end - start)


main()

"""The works that `bench mount` gives to every system: what is run, and what it must find.

A work takes the root of the mail and a scratch folder in memory. It returns its
seconds and what it found, which must be the same wherever the same mail is shown.
"""

import contextlib
import dataclasses
import hashlib
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

from .command import BenchError, pass_on_priority

NEEDLE = "xyzzy-needle"
RANDOM_MESSAGES = 2_000
READER = pathlib.Path(__file__).parent / "read_files.py"
HOLDER = pathlib.Path(__file__).parent / "hold_files.py"
BACKER = pathlib.Path(__file__).parent / "back_memory.py"
# Sorting by a country's rules, or grepping in its encoding, is not what is measured.
ENV = os.environ | {"LC_ALL": "C.UTF-8"}


@dataclasses.dataclass
class Corpus:
    """What the works need to know of the mail, taken from the native tree."""

    paths: list
    bytes: int
    biggest: str
    biggest_bytes: int
    quarters: list
    chosen: list
    sample: pathlib.Path

    @property
    def files(self):
        return len(self.paths)


def survey(mail, sample):
    """Choose the messages of the works, the same ones for every system; `sample` is the list's file."""
    sizes = {}
    folders = {}
    for folder, _, names in os.walk(mail):
        for name in names:
            path = os.path.join(folder, name)
            sizes[os.path.relpath(path, mail)] = size = os.stat(path).st_size
            inside = os.path.relpath(folder, mail)
            folders[inside] = folders.get(inside, 0) + size
    biggest = max(sorted(sizes), key=sizes.get)
    chosen = random.Random(1).sample(sorted(sizes), min(RANDOM_MESSAGES, len(sizes)))
    sample.write_text("".join(f"{path}\n" for path in chosen), encoding="utf-8", errors="surrogateescape")
    return Corpus(list(sizes), sum(sizes.values()), biggest, sizes[biggest], split(folders), chosen, sample)


def split(folders):
    """Four lists of folders of about the same bytes: the largest one first to whom has least."""
    quarters = [[0, []] for _ in range(4)]
    for folder in sorted(folders, key=lambda name: (-folders[name], name)):
        least = min(quarters, key=lambda quarter: quarter[0])
        least[0] += folders[folder]
        least[1].append(folder)
    return [inside for _, inside in quarters if inside]


# --- The works ---


def find(root, corpus, scratch):
    seconds, [out] = time_all([["find", ".", "-type", "f"]], root, scratch)
    paths = sorted(out.read_bytes().splitlines())
    return seconds, {"files": len(paths), "names": digest(paths)}


def ls(root, corpus, scratch):
    """Sizes and names are compared; links and dates of folders differ between systems."""
    seconds, [out] = time_all([["ls", "-lAR"]], root, scratch)
    with open(out, "rb") as lines:
        files = [line.split(maxsplit=8) for line in lines if line.startswith(b"-")]
    listed = [fields[4] + b" " + fields[8] for fields in files]
    return seconds, {"files": len(files), "bytes": sum(int(fields[4]) for fields in files), "names": digest(listed)}


def grep(root, corpus, scratch):
    return time_grep([["."]], root, scratch)


def greps(root, corpus, scratch):
    """Four greps at once share the mail that one grep reads alone."""
    return time_grep(corpus.quarters, root, scratch)


def time_grep(shares, root, scratch):
    """`grep` for every share at once. None of them may find anything: that is exit status 1."""
    seconds, outs = time_all([["grep", "-rlF", NEEDLE, *share] for share in shares], root, scratch, good=(0, 1))
    hits = sorted(line.removeprefix(b"./") for out in outs for line in out.read_bytes().splitlines())
    return seconds, {"hits": len(hits), "names": digest(hits)}


def read_random(root, corpus, scratch):
    # -I and -S: nothing but the standard library is looked for.
    _, [out] = time_all([[sys.executable, "-I", "-S", READER, root, corpus.sample]], "/", scratch)
    seconds, total = out.read_text().split()
    return float(seconds), {"bytes": int(total)}


def big(root, corpus, scratch):
    copy = scratch / "copy"
    seconds, _ = time_all([["cp", f"./{corpus.biggest}", copy]], root, scratch)
    with open(copy, "rb") as file:
        found = {"bytes": copy.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
    copy.unlink()
    return seconds, found


def digest(lines):
    return hashlib.sha256(b"\n".join(lines)).hexdigest()


@dataclasses.dataclass
class Work:
    """`programs` are run once before the clock starts, so that reading them from disk is not measured. `reads` names
    the files whose bytes it reads. `goals` are for cold, fresh and second: how many times native's seconds it may
    take."""

    name: str
    title: str
    action: object
    programs: tuple
    reads: object
    goals: tuple = ()


def reads_none(corpus):
    return []


def reads_all(corpus):
    return corpus.paths


WORKS = [
    Work("find", "find -type f", find, ("find",), reads_none, (0.8, 1.2, 0.8)),
    Work("ls", "ls -lAR", ls, ("ls",), reads_none, (0.5, 0.9, 0.6)),
    Work("grep", "grep -rlF over all mail", grep, ("grep",), reads_all, (0.75, 1.7, 1.0)),
    Work("random", f"{RANDOM_MESSAGES:,} random messages", read_random, (), lambda corpus: corpus.chosen,
         (1.3, 2.5, 0.9)),
    Work("big", "cp of the biggest message", big, ("cp",), lambda corpus: [corpus.biggest], (1.2, 1.8, 1.2)),
    Work("greps", "four greps, a quarter each", greps, ("grep",), reads_all),
]


def warm_programs(names):
    for name in names:
        subprocess.run([name, "--version"], stdout=subprocess.DEVNULL, check=True)


# --- Running them ---


def time_all(commands, cwd, scratch, good=(0,)):
    """Run all commands at once in `cwd`, their output to files in memory.

    Returns the seconds until the last one ended, and those files.
    """
    outs = [scratch / f"out-{number}" for number in range(len(commands))]
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(open(out, "wb")) for out in outs]
        errors = stack.enter_context(open(scratch / "errors", "w+b"))
        start = time.monotonic()
        processes = [stack.enter_context(child(command, cwd, file, errors)) for command, file in zip(commands, files)]
        codes = [process.wait() for process in processes]
        seconds = time.monotonic() - start
        for command, code in zip(commands, codes):
            if code not in good:
                errors.seek(0)
                said = errors.read(10_000).decode(errors="replace").strip()
                raise BenchError(f"{' '.join(map(str, command))}\nin {cwd} ended with {code}:\n{said}")
    return seconds, outs


@contextlib.contextmanager
def child(command, cwd, stdout, stderr, stdin=subprocess.DEVNULL):
    """A process that does not outlive this block, nor do its children: they use what will be unmounted."""
    process = subprocess.Popen(command, cwd=cwd, stdin=stdin, stdout=stdout, stderr=stderr, env=ENV,
                               start_new_session=True)
    pass_on_priority(process.pid)
    try:
        yield process
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextlib.contextmanager
def held(paths, scratch):
    """The bytes of these files stay in the page cache, and are read into it first. Yields how many bytes those are."""
    listed = scratch / "held"
    listed.write_bytes(b"".join(os.fsencode(path) + b"\0" for path in paths))
    with child([sys.executable, "-I", "-S", HOLDER, listed], "/", subprocess.PIPE, None, subprocess.PIPE) as process:
        yield int(process.stdout.readline())
        process.stdin.close()
        process.wait()


def back_memory(size):
    """Memory for `size` bytes costs no visit to the host for the next seconds."""
    subprocess.run([sys.executable, "-I", "-S", BACKER, str(size)], stdout=subprocess.DEVNULL, check=True)

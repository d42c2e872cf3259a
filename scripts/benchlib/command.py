"""Running commands, and what they need on the machine."""

import argparse
import contextlib
import dataclasses
import os
import pathlib
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time

REPO = pathlib.Path(__file__).resolve().parent.parent.parent
GEN_MAILDIR = REPO / "scripts" / "gen-maildir"
DEFAULT_VANDELAY = REPO / "target" / "release" / "vandelay"
MIB = 2**20


class BenchError(Exception):
    """Something that makes the figures worthless: the bench stops with it."""


def note(text):
    """Progress goes to stderr: stdout holds the result alone."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


# --- Running and measuring ---


@dataclasses.dataclass
class Run:
    """What one run of one command cost.

    `output` is what it left on disk, `cpu` its processor time, `server_cpu` that of
    its server meanwhile, `requests` what it asked of it, where that is known.
    """

    wall: float
    durable: float
    rss: int
    output: int = 0
    cpu: float = 0
    server_cpu: float = 0
    requests: int = 0


def run(argv, env=os.environ):
    """Run a command to its end and measure it; a failure raises its stderr.

    Disks are quiet before it starts. `wall` is what a user waits for; `durable`
    goes on until all that it wrote is on disk, as tools differ in whether they
    see to that themselves. Linux lets a child's peak RSS start at that of the
    process that started it, so this script stays small (30 MiB at most): a figure
    of that size means "no more than that".
    """
    argv = [str(word) for word in argv]
    with tempfile.TemporaryFile() as stderr:
        os.sync()
        start = time.monotonic()
        pid = start_child(argv, env, stderr)
        pass_on_priority(pid)
        status, usage = wait_or_kill(pid)
        wall = time.monotonic() - start
        os.sync()
        durable = time.monotonic() - start
        code = os.waitstatus_to_exitcode(status)
        if code != 0:
            stderr.seek(0)
            said = stderr.read().decode(errors="replace").strip()
            raise BenchError(f"{' '.join(argv)}\nended with {code}:\n{said}")
    return Run(wall, durable, usage.ru_maxrss * 1024, cpu=usage.ru_utime + usage.ru_stime)


def start_child(argv, env, stderr):
    """A session of its own lets an interrupt end the command with all its children."""
    files = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0), (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
             (os.POSIX_SPAWN_DUP2, stderr.fileno(), 2)]
    try:
        return os.posix_spawnp(argv[0], argv, env, file_actions=files, setsid=True, setsigdef=[signal.SIGPIPE])
    except OSError as error:
        raise BenchError(f"cannot start {argv[0]}: {error.strerror}") from error


def wait_or_kill(pid):
    try:
        _, status, usage = os.wait4(pid, 0)
    except BaseException:
        os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    return status, usage


def pass_on_priority(pid):
    """Where sessions share the processors (autogroup), the priority that a child inherits counts in its own alone."""
    if priority := os.getpriority(os.PRIO_PROCESS, 0):
        with contextlib.suppress(OSError):
            pathlib.Path(f"/proc/{pid}/autogroup").write_text(str(priority))


def cpu_of_session(leader):
    """Seconds of processor time that all processes of a session have taken so far, those that ended too."""
    ticks = 0
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == leader:
                ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def tool_env(home):
    """Caches and settings go to `home`, so that no round profits from an earlier one."""
    home.mkdir()
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith(("XDG_", "BORG_", "RESTIC_"))}
    return kept | {"HOME": str(home), "RESTIC_PASSWORD": "bench", "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes"}


def tree_bytes(path):
    return sum(file.stat().st_size for file in walk_files(path))


def walk_files(path):
    return (pathlib.Path(folder, name) for folder, _, names in os.walk(path) for name in names)


# --- What a bench needs on the machine ---


def install(packages):
    """Get the Debian packages of those commands that are not there yet."""
    missing = [package for command, package in packages.items() if not shutil.which(command)]
    if missing:
        note(f"installing {' '.join(missing)}")
        env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        run(["apt-get", "update"], env)
        run(["apt-get", "install", "-y", "--no-install-recommends", *missing], env)


def find_vandelay(given):
    """The binary asked for, or the repo's release build, made if it is missing."""
    path = (given or DEFAULT_VANDELAY).resolve()
    if not given and not path.exists():
        note("building vandelay")
        run(["cargo", "build", "--release", "--manifest-path", REPO / "Cargo.toml"])
    if not os.access(path, os.X_OK):
        raise BenchError(f"{path} is not an executable file")
    return path


def describe_machine(tools):
    """So that figures of different machines, or of a busy one, are not compared by mistake."""
    versions = {tool: first_line([tool, "version" if tool == "restic" else "--version"]) for tool in tools}
    return {"kernel": platform.release(), "cores": len(os.sched_getaffinity(0)),
            "load_before": round(os.getloadavg()[0], 2), **versions}


def first_line(argv):
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.partition("\n")[0]


def add_nice_argument(parser, why):
    parser.add_argument("--nice", type=int, default=0, metavar="N",
                        help=f"run all at this priority; -15 helps on a busy machine, {why} (default %(default)s)")


def add_size_arguments(parser):
    parser.add_argument("--messages", type=positive, default=50_000,
                        help="messages in the Maildir (default %(default)s)")
    parser.add_argument("--bytes", help="sum of their sizes, as 2G (default: 2G for 50000 messages, in proportion)")


def positive(text):
    if int(text) < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return int(text)


def listed(known):
    """A parser of 'a,b' where both are in `known`."""
    def parse(text):
        names = text.split(",")
        if unknown := [name for name in names if name not in known]:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: not one of {', '.join(known)}")
        return names
    return parse


def make_maildir(args, work):
    note("making the Maildir")
    source = work / "Maildir"
    size = ["--bytes", args.bytes] if args.bytes else []
    run([GEN_MAILDIR, source, "--messages", args.messages, *size])
    return source

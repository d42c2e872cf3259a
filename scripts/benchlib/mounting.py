"""bench mount: how fast mail is read in a mount."""

import contextlib
import os
import pathlib
import tempfile

from .command import (MIB, BenchError, add_nice_argument, add_size_arguments, describe_machine, install, listed,
                      make_maildir, note, positive, run)
from .large import measure_million, measure_text
from .report import Check, Figures, print_setup, print_table, write_json
from .systems import PEERS, Native, Vandelay, drop_caches
from .works import WORKS, back_memory, held, survey, warm_programs

STATES = ("cold", "fresh", "second")
SHARED_PARTS = ["mount", *(work.name for work in WORKS), "memory"]
EXTRA_PARTS = ["million", "text"]
OURS = Vandelay.name
MOUNT_GOAL_MS = 60
# For names and inodes, beside the bytes of the mail.
BACKED = 512 * MIB


def add_mount_arguments(parser):
    add_size_arguments(parser)
    parser.add_argument("--million", type=positive, nargs="?", const=1_000_000, metavar="MESSAGES",
                        help="also mount and walk an archive of 1,000,000 small messages")
    parser.add_argument("--text", action="store_true", help="also list text/ of a mailbox of 10,000 messages")
    add_nice_argument(parser, "where FUSE, which waits for two processes in turn, loses more than native does")
    parser.add_argument("--only", type=listed(SHARED_PARTS + EXTRA_PARTS), metavar="WORK,...",
                        help=f"of {', '.join(SHARED_PARTS + EXTRA_PARTS)}: measure these alone")
    parser.add_argument("--without", type=listed(PEERS), default=[], metavar="TOOL,...",
                        help=f"of {', '.join(PEERS)}: leave these out")


def bench_mount(args, work):
    """Read a mounted archive in the ways people do, beside the same mail on native ext4.

    The same mail is also read in a mount of restic and in one of squashfuse_ll. All
    systems give the same files, bytes and hits, or the bench fails. Each figure is
    the median, over the rounds, of vandelay's seconds to native's in that round.

      cold    page cache dropped, names and inodes too, then mounted. Native: dropped.
      fresh   a new mount, with the files behind it in the page cache. Native: all in
              memory, its names and inodes too, as after a second pass: it has no step
              that would make a mount new. It is what fuse-performance.md compared with.
              Memory for the pages of the mount is asked for before, and given back: some virtual
              machines take what is free away, and getting it again costs a page of a `grep` more
              than all else. In cold all systems pay that.
      second  the same once more after cold, with all systems.

    In fresh and second the bytes that have to be in the page cache are locked there: some
    virtual machines take it away within seconds (DAMON), and more of it from the slower.
    The programs that read (find, ls, grep, cp) are in the page cache in all states.
    `mount` is the command as typed until `ls` of the root has answered; in cold the
    program itself comes from the disk too. `greps` runs four greps at once, each over
    a quarter of the mail (whole folders), and is compared with the one grep over all.
    `memory` is the process that serves, after all works one after the other.

    It needs root, to drop the page cache, which slows down whatever else runs.
    """
    if os.geteuid() != 0:
        raise BenchError("only root can drop the page cache")
    os.setpriority(os.PRIO_PROCESS, 0, args.nice)
    parts = choose_parts(args)
    shared = parts & set(SHARED_PARTS)
    peers = [PEERS[name] for name in PEERS if shared and name not in args.without]
    install({"fusermount3": "fuse3"} | {tool: package for peer in peers for tool, package in peer.package.items()})
    setup = describe_machine(["find", "ls", "grep", *(["restic"] if PEERS["restic"] in peers else [])])
    setup |= {"rounds": args.rounds, "nice": args.nice, "vandelay": str(args.vandelay)}
    figures = Figures()
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="vandelay-bench-") as scratch:
        scratch = pathlib.Path(scratch)
        if shared:
            setup |= measure_shared(args, work, scratch, parts, peers, figures)
        if "million" in parts:
            measure_million(args, work, scratch, figures)
        if "text" in parts:
            measure_text(args, work, scratch, figures)
    setup["load_after"] = round(os.getloadavg()[0], 2)
    checks = check_mount(figures, setup.get("files"))
    report_mount(setup, figures, checks)
    if args.json:
        write_json(args.json, setup, figures.plain(), checks)


def choose_parts(args):
    """`--only million` is enough to have it: `--million` says no more than how many."""
    if args.only:
        parts = set(args.only)
        # Four greps are nothing without the one to compare them with.
        return parts | {"grep"} if "greps" in parts else parts
    return set(SHARED_PARTS) | ({"million"} if args.million else set()) | ({"text"} if args.text else set())


# --- Measuring ---


def measure_shared(args, work, scratch, parts, peers, figures):
    """All that is measured with the one account, in all systems."""
    ours = Vandelay(work, args.vandelay)
    source = make_maildir(args, work)
    note("importing and extracting it")
    run([args.vandelay, "import", "maildir", "--quiet", "--include-deleted", source, ours.archive])
    run([args.vandelay, "extract", "--quiet", "--into", work / "extracted", ours.archive, "mail"])
    native = Native(work / "extracted" / "mail")
    systems = [native, ours]
    for peer in peers:
        note(f"packing it for {peer.name}")
        systems.append(peer(work))
        systems[-1].build(native.mail)
    corpus = survey(native.mail, scratch / "sample")
    bench = Bench(systems, corpus, scratch, figures)
    works = [each for each in WORKS if each.name in parts]
    bench.learn(WORKS if "memory" in parts else works)
    for number in range(args.rounds):
        note(f"round {number + 1} of {args.rounds}")
        # There and back: a machine that slows down meanwhile favours none, and native is always next to ours.
        bench.systems = systems if number % 2 == 0 else systems[::-1]
        if "mount" in parts:
            bench.time_mounts()
        for each in works:
            bench.time_work(each)
    if "memory" in parts:
        bench.measure_memory()
    return {"files": corpus.files, "bytes": corpus.bytes, "biggest": corpus.biggest_bytes}


class Bench:
    """The systems, what they have to find, and where the figures go."""

    def __init__(self, systems, corpus, scratch, figures):
        self.systems = systems
        self.mountable = [system for system in systems if not isinstance(system, Native)]
        self.corpus = corpus
        self.scratch = scratch
        self.figures = figures
        self.expected = {}

    def learn(self, works):
        """What native finds is what all have to find, every time."""
        [native] = [system for system in self.systems if isinstance(system, Native)]
        for work in works:
            _, self.expected[work.name] = work.action(native.mail, self.corpus, self.scratch)
        for name, what in (("find", "files"), ("ls", "bytes")):
            if name in self.expected and self.expected[name][what] != getattr(self.corpus, what):
                raise BenchError(f"{name} does not show all {what} of the native tree")

    def time_mounts(self):
        for system in self.mountable:
            drop_caches()
            self.figures.add("mount", "cold", system.name, system.time_mount())
            with held(system.behind([]), self.scratch):
                self.figures.add("mount", "fresh", system.name, system.time_mount())

    def time_work(self, work):
        for system in self.systems:
            drop_caches()
            with system.mounted() as mount:
                warm_programs(work.programs)
                self.time(work, "cold", system, mount)
                with self.hold(system, [mount.mail / path for path in work.reads(self.corpus)]):
                    self.time(work, "second", system, mount)
        for system in self.systems:
            with self.hold(system, system.behind(work.reads(self.corpus))), system.mounted() as mount:
                if isinstance(system, Native):
                    self.act(work, system, mount)
                else:
                    # Native's bytes have their pages already.
                    back_memory(self.corpus.bytes + BACKED)
                self.time(work, "fresh", system, mount)

    @contextlib.contextmanager
    def hold(self, system, paths):
        """What is not held may have to be read again, which makes a figure worse than it should be."""
        wanted = sum(path.stat().st_size for path in paths)
        with held(paths, self.scratch) as size:
            if size < wanted:
                note(f"{system.name}: only {size:,} of {wanted:,} bytes can be held in the page cache")
            yield

    def time(self, work, state, system, mount):
        seconds = self.act(work, system, mount)
        self.figures.add(work.name, state, system.name, seconds)

    def act(self, work, system, mount):
        seconds, found = work.action(mount.mail, self.corpus, self.scratch)
        if found != self.expected[work.name]:
            raise BenchError(f"{work.title}: {system.name} gives {found}, native {self.expected[work.name]}")
        return seconds

    def measure_memory(self):
        for system in self.mountable:
            with system.mounted() as mount:
                for work in WORKS:
                    self.act(work, system, mount)
                self.figures.memory[system.name] = mount.memory()


# --- Judging and reporting ---


def check_mount(figures, files):
    checks = []
    for work in WORKS:
        if work.name in figures.seconds:
            checks += [check_work(figures, work, state, goal) for state, goal in zip(STATES, work.goals)]
    if "greps" in figures.seconds:
        checks += [check_greps(figures, state) for state in STATES]
    checks += [check_mount_time(figures, name) for name in ("mount", "mount, large") if name in figures.seconds]
    if "text" in figures.seconds:
        checks.append(Check("text: first ls -l of 10,000", figures.median("text", "cold", OURS), 5, " s"))
    goals = {OURS: (64 * MIB + 64 * (files or 0)) / MIB, "large": 200}
    return checks + [check_memory(figures, name, goal) for name, goal in goals.items() if name in figures.memory]


def check_work(figures, work, state, goal):
    ratios = {name: figures.ratio((work.name, state, name), (work.name, state, Native.name))
              for name in figures.seconds[work.name][state] if name != Native.name}
    return Check(f"{work.title}, {state} / native", ratios.pop(OURS), goal, others=ratios)


def check_greps(figures, state):
    """What four readers at once lose: nothing, if the same mail takes them no longer than it takes one."""
    ratios = {name: figures.ratio(("greps", state, name), ("grep", state, name))
              for name in figures.seconds["greps"][state]}
    return Check(f"four greps / one, {state}", ratios.pop(OURS), 1, others=ratios)


def check_mount_time(figures, name):
    others = {system: 1000 * figures.median(name, "cold", system)
              for system in figures.seconds[name]["cold"] if system != OURS}
    return Check(f"{name}, cold", 1000 * figures.median(name, "cold", OURS), MOUNT_GOAL_MS, " ms", others)


def check_memory(figures, name, goal):
    """The peak; what is resident in the end stands in the table of memory."""
    others = {system: memory["VmHWM"] / MIB for system, memory in figures.memory.items() if system in PEERS}
    return Check(f"peak memory, {'everything' if name == OURS else 'large, find and ls -lR'}",
                 figures.memory[name]["VmHWM"] / MIB, goal, " MiB", others if name == OURS else {})


def report_mount(setup, figures, checks):
    print_setup(setup)
    seen = {name for states in figures.seconds.values() for systems in states.values() for name in systems}
    seen |= figures.memory.keys()
    systems = [name for name in (Native.name, OURS, *PEERS) if name in seen]
    rows = []
    for work, states in figures.seconds.items():
        for state in sorted(states, key=STATES.index):
            medians = [f"{figures.median(work, state, name):.3f}" if name in states[state] else "-"
                       for name in systems]
            rows.append([f"{work}, {state}", *medians])
    if rows:
        print_table(["seconds, median of rounds", *systems], rows)
    if figures.memory:
        print_table(["memory, MiB", "VmHWM", "VmRSS"],
                    [[name, f"{memory['VmHWM'] / MIB:.1f}", f"{memory['VmRSS'] / MIB:.1f}"]
                     for name, memory in figures.memory.items()])
    others = [name for name in systems if name != OURS]
    print_table(["check", OURS, "target", "", *others], [check.row_beside(others) for check in checks])

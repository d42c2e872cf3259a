"""bench imap: how fast an account is backed up from a server."""

import os
import pathlib
import shutil
import sys

from .command import GEN_MAILDIR, MIB, add_nice_argument, describe_machine, install, listed, note, positive, run
from .dovecot import PASSWORD, USER, Dovecot, find_dovecot
from .imap_tools import Mbsync, OfflineImap, SyncingMbsync, Vandelay, must_agree
from .report import Check, medians, plain_runs, print_setup, print_table, ratio, write_json

CHANGER = pathlib.Path(__file__).parent / "change_imap.py"
# Of so many messages one is new, and of so many one has another flag.
NEW_SHARE, FLAGS_SHARE = 100, 20
# A second pull is over in no time: that it is measured more often costs nothing.
REPEATS = 5
STEPS = ("first", "again", "changed")
DOVECOT_PACKAGES = {"dovecot": "dovecot-core", "/usr/lib/dovecot/imap": "dovecot-imapd"}
MBSYNC, ONE, FOUR = "mbsync", "vandelay, 1 connection", "vandelay, 4 connections"
# Run once in all, for the first pull alone.
SLOW = {"mbsync-fsync": ("mbsync, FSync yes", SyncingMbsync), "offlineimap": ("offlineimap", OfflineImap)}


def add_imap_arguments(parser):
    parser.add_argument("--messages", type=positive, default=20_000,
                        help="messages on the server (default %(default)s)")
    parser.add_argument("--mean-bytes", type=positive, default=31_457,
                        help="their size on average (default %(default)s: 600 MiB for 20000 messages)")
    parser.add_argument("--folders", type=positive, default=40, help="folders on the server (default %(default)s)")
    add_nice_argument(parser, "where a server and its client need a processor each")
    parser.add_argument("--without", type=listed(SLOW), default=[], metavar="TOOL,...",
                        help=f"of {', '.join(SLOW)}: leave these slow ones out")


def bench_imap(args, work):
    """Back up an account from a Dovecot on loopback, beside mbsync and offlineimap.

    In every round each program pulls all (first), finds nothing new (again, five times),
    and pulls what was then changed over IMAP (changed: 1 % new messages, other flags on
    5 %). The server has listed all before it is measured, so that none of them pays for
    its caches, and all see the same. After each pull they must have the same messages
    with the same flags, or the bench fails. Lines are not encrypted.

    mbsync runs with PipelineDepth 50 and FSync no, which makes it some ten times faster
    on the first pull than its default does; vandelay syncs to disk as it always does.
    With FSync yes it runs once, as does offlineimap, which is slow.
    """
    os.setpriority(os.PRIO_PROCESS, 0, args.nice)
    find_dovecot()
    slow = [tool for name, (_, tool) in SLOW.items() if name not in args.without]
    packages = {command: package for tool in [Mbsync, *slow] for command, package in tool.package.items()}
    install(DOVECOT_PACKAGES | packages)
    setup = describe_machine(["dovecot", "mbsync"])
    server = Dovecot(work / "dovecot", generate(args, work / "Maildir", args.messages, seed=1))
    with server.serving():
        bench = Bench(args, work, server.port)
        bench.warm()
        bench.run_all()
    setup |= {"messages": args.messages, "mean_bytes": args.mean_bytes, "folders": args.folders,
              "rounds": args.rounds, "nice": args.nice, "load_after": round(os.getloadavg()[0], 2),
              "vandelay": str(args.vandelay)}
    checks = check_imap(bench.runs)
    report_imap(setup, bench.runs, checks)
    if args.json:
        write_json(args.json, setup, plain_runs(bench.runs), checks)


class Bench:
    """`runs` has every figure: by step and tool, in the order of the rounds."""

    def __init__(self, args, work, port):
        self.args = args
        self.work = work
        self.port = port
        self.runs = {step: {} for step in STEPS}

    def warm(self):
        """The server reads all messages once for their sizes, and notes what each of the programs asks for."""
        note("warming the server's caches")
        tools = self.tools("warm")
        for name in (MBSYNC, ONE):
            tools[name].pull()
        must_agree({name: tools[name] for name in (MBSYNC, ONE)})
        self.remove_archives(tools)

    def tools(self, prefix):
        at, ours = self.work / prefix, self.args.vandelay
        at.mkdir()
        return {MBSYNC: Mbsync(at / "mbsync", self.port), ONE: Vandelay(at / "one", self.port, ours, 1),
                FOUR: Vandelay(at / "four", self.port, ours, 4)}

    def run_all(self):
        """Every round has another first tool: a machine that gets slower or faster meanwhile then favours none."""
        for number in range(self.args.rounds):
            tools = self.tools(f"round-{number}")
            names = list(tools)
            first = number % len(names)
            turned = {name: tools[name] for name in names[first:] + names[:first]}
            self.step("first", turned)
            if number == 0:
                self.run_slow(tools)
            for _ in range(REPEATS):
                self.step("again", turned)
            self.change(number)
            self.step("changed", turned)
            must_agree(tools)
            self.remove_archives(tools)

    def run_slow(self, tools):
        slow = {title: tool(self.work / name, self.port) for name, (title, tool) in SLOW.items()
                if name not in self.args.without}
        self.step("first", slow)
        must_agree(tools | slow)

    def step(self, step, tools):
        for name, tool in tools.items():
            figures = tool.pull()
            self.runs[step].setdefault(name, []).append(figures)
            note(f"{step}: {name}: {figures.wall:.2f} s, {figures.rss / MIB:.0f} MiB")

    def change(self, number):
        """A program of its own does that, so that this one stays small."""
        new = generate(self.args, self.work / f"new-{number}", max(1, self.args.messages // NEW_SHARE), 100 + number)
        run([sys.executable, CHANGER, self.port, USER, PASSWORD, number, FLAGS_SHARE, new])

    def remove_archives(self, tools):
        """What mbsync wrote stays until the end: ext4 makes files slowly after many were deleted."""
        for tool in tools.values():
            if isinstance(tool, Vandelay):
                shutil.rmtree(tool.at)


def generate(args, path, messages, seed):
    note(f"making {messages} messages")
    run([GEN_MAILDIR, path, "--messages", messages, "--bytes", messages * args.mean_bytes, "--folders", args.folders,
         "--seed", seed])
    return path


def check_imap(runs):
    peak = max(each.rss for tools in runs.values() for name in (ONE, FOUR) for each in tools[name])
    return [
        Check("first, 1 connection / mbsync", ratio(runs["first"][ONE], runs["first"][MBSYNC]), 1.0),
        Check("first, 4 connections / mbsync", ratio(runs["first"][FOUR], runs["first"][MBSYNC]), 1 / 1.3),
        Check("again / mbsync", ratio(runs["again"][ONE], runs["again"][MBSYNC]), 1.0),
        Check("changed / mbsync", ratio(runs["changed"][ONE], runs["changed"][MBSYNC]), 0.7),
        Check("peak RSS of all imports", peak / MIB, 128, " MiB"),
    ]


def report_imap(setup, runs, checks):
    print_setup(setup)
    rows = []
    for step, tools in runs.items():
        for name, many in tools.items():
            middle = medians(many)
            rows.append([f"{step}: {name}", f"{middle.wall:.2f}", f"{middle.durable:.2f}", f"{middle.rss / MIB:.0f}",
                         f"{middle.output / MIB:.1f}"])
    print_table(["median of rounds", "wall s", "durable s", "peak RSS MiB", "on disk MiB"], rows)
    print_table(["check", "value", "target", ""], [check.row() for check in checks])

"""bench dav: how fast calendars, contacts and files are backed up from a server."""

import contextlib
import dataclasses
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from .command import (MIB, add_nice_argument, describe_machine, install, listed, note, pass_on_priority, positive, run,
                      walk_files)
from .dav_servers import SERVERS
from .dav_tools import PEERS, Vandelay, must_agree
from .dovecot import free_port, stop
from .report import Check, medians, plain_runs, print_setup, print_table, ratio, write_json

MAKER = pathlib.Path(__file__).parent / "make_dav.py"
RELAY = pathlib.Path(__file__).parent / "relay.py"
STEPS = ("first", "again")
# A second pull is over in no time: that it is measured more often costs nothing.
REPEATS = 3
# Of the peer's time, at most; files are to be fetched at least as fast as by rclone.
GOALS = {"caldav": {"first": 1 / 3, "again": 1 / 5}, "carddav": {"first": 1 / 3, "again": 1 / 5},
         "webdav": {"first": 1, "again": 1}}
MEMORY_MIB = 128
# The relay notes a connection when both ends of it are gone.
SETTLED = 0.3


def add_dav_arguments(parser):
    parser.add_argument("--events", type=positive, default=5_000, help="events on each server (default %(default)s)")
    parser.add_argument("--calendars", type=positive, default=10,
                        help="calendars that they are in (default %(default)s)")
    parser.add_argument("--cards", type=positive, default=5_000,
                        help="cards in one address book on each server (default %(default)s)")
    parser.add_argument("--files", type=positive, default=2_000, help="files on mod_dav (default %(default)s)")
    parser.add_argument("--mean-bytes", type=positive, default=100_000,
                        help="their size on average (default %(default)s)")
    parser.add_argument("--delay", type=positive, default=20, metavar="MS",
                        help="what the relay adds each way, in milliseconds (default %(default)s)")
    parser.add_argument("--servers", type=listed(SERVERS), default=list(SERVERS), metavar="SERVER,...",
                        help=f"of {','.join(SERVERS)} (default: all)")
    parser.add_argument("--keep-on", type=pathlib.Path, default=pathlib.Path("/dev/shm"), metavar="DIR",
                        help="where the servers keep what they have (default %(default)s, in memory)")
    add_nice_argument(parser, "where a server and its client need a processor each")


def bench_dav(args, work):
    """Back up calendars and contacts beside vdirsyncer, and files beside rclone.

    Radicale, sabre (on PHP's own web server with four workers) and Cyrus on loopback get the
    same events and cards, Apache's mod_dav the files. In every round both programs pull all
    into an empty place (first), in turn, and then find nothing new (again, three times): by
    themselves, and through a relay that adds 20 ms each way (and one way there and back for a
    new connection). The servers have given everything once before they are measured. After
    each first pull both programs must have the same objects, or the bench fails. Lines are not
    encrypted.

    vdirsyncer finds out where the collections are beforehand; vandelay looks for them in every
    run, from the address of the server on. rclone has as many connections as vandelay, and
    compares sizes alone when it runs again. "server s" is the processor time of all processes
    of the server meanwhile, "requests" what went through the relay.
    """
    os.setpriority(os.PRIO_PROCESS, 0, args.nice)
    servers = [SERVERS[name] for name in args.servers]
    peers = {PEERS[kind] for server in servers for kind in server.kinds}
    packages = {}
    for needed in [server.packages for server in servers] + [peer.package for peer in peers]:
        packages |= needed
    install({command: package for command, package in packages.items() if not pathlib.Path(command).exists()})
    for server in servers:
        server.find()
    setup = describe_machine([peer.name for peer in peers])
    data = work / "data"
    note("making events, cards and files")
    run([sys.executable, MAKER, data, args.events, args.calendars, args.cards, args.files, args.mean_bytes, 1])
    counts = {kind: sum(1 for _ in walk_files(data / kind)) for kind in GOALS}
    with contextlib.ExitStack() as stack:
        kept = pathlib.Path(stack.enter_context(
            tempfile.TemporaryDirectory(dir=args.keep_on, prefix="vandelay-bench-")))
        lines = []
        for server in servers:
            running = stack.enter_context(server(kept / server.name, data).serving())
            log = work / f"{server.name}-requests"
            port = stack.enter_context(relaying(running.port, args.delay, log))
            for kind in server.kinds:
                lines.append(Line(running, kind, running.port, "direct"))
                lines.append(Line(running, kind, port, f"+{args.delay} ms", log))
        bench = Bench(args, work, kept / "warm", lines, counts)
        bench.warm()
        for number in range(args.rounds):
            bench.round(number)
    setup |= counts | {"calendars": args.calendars, "mean_bytes": args.mean_bytes, "rounds": args.rounds,
                       "nice": args.nice, "load_after": round(os.getloadavg()[0], 2), "vandelay": str(args.vandelay)}
    checks = check_dav(bench.runs)
    report_dav(setup, bench.runs, checks)
    if args.json:
        write_json(args.json, setup, plain_runs(bench.runs), checks)


@contextlib.contextmanager
def relaying(server, delay, log):
    """A port with a longer line to `server`."""
    port = free_port()
    log.touch()
    process = subprocess.Popen([sys.executable, RELAY, str(port), str(server), str(delay), log],
                               stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        pass_on_priority(process.pid)
        yield port
    finally:
        stop(process)


@dataclasses.dataclass
class Line:
    """A way to a server: `log` is what its relay writes, if it has one."""

    server: object
    kind: str
    port: int
    title: str
    log: pathlib.Path | None = None

    @property
    def name(self):
        return f"{self.server.name} {self.kind} {self.title}"

    def requests(self):
        if not self.log:
            return 0
        time.sleep(SETTLED)
        return sum(int(line.split()[0]) for line in self.log.read_text().splitlines())


class Bench:
    """`runs` has every figure: by line and step, and by tool, in the order of the rounds."""

    def __init__(self, args, work, warm, lines, counts):
        self.args = args
        self.work = work
        self.warm_at = warm
        self.lines = lines
        self.counts = counts
        self.runs = {f"{line.name}, {step}": {} for line in lines for step in STEPS}

    def tools(self, folder, line):
        at = folder / line.name.replace(" ", "-")
        at.mkdir(parents=True)
        path, peer = line.server.path(line.kind), PEERS[line.kind]
        return {"vandelay": Vandelay(at / "vandelay", line.kind, line.port, path, self.args.vandelay),
                "peer": peer(at / "peer", line.kind, line.port, path)}

    def warm(self):
        """What a server notes when it is asked for the first time, nobody is to pay for."""
        for line in self.lines:
            if not line.log:
                note(f"warming {line.name}")
                tools = self.tools(self.warm_at, line)
                for tool in tools.values():
                    tool.pull()
                must_agree(tools, self.counts[line.kind])
                shutil.rmtree(tools["vandelay"].at)

    def round(self, number):
        """Every round has another first tool: a machine that gets slower or faster meanwhile then favours none."""
        for line in self.lines:
            tools = self.tools(self.work / f"round-{number}", line)
            names = sorted(tools, reverse=bool(number % 2))
            self.step("first", line, tools, names)
            must_agree(tools, self.counts[line.kind])
            for _ in range(REPEATS):
                self.step("again", line, tools, names)
            must_agree(tools, self.counts[line.kind])
            # What the peer wrote stays until the end: ext4 makes files slowly after many were deleted.
            shutil.rmtree(tools["vandelay"].at)

    def step(self, step, line, tools, names):
        for name in names:
            cpu, requests = line.server.cpu(), line.requests()
            figures = tools[name].pull()
            figures.server_cpu = line.server.cpu() - cpu
            figures.requests = line.requests() - requests
            self.runs[f"{line.name}, {step}"].setdefault(tools[name].name, []).append(figures)
            note(f"{line.name}, {step}: {tools[name].name}: {figures.wall:.2f} s, {figures.rss / MIB:.0f} MiB")


def check_dav(runs):
    checks = []
    for name, tools in runs.items():
        _, kind, *_ = name.split()
        [peer] = (tool for tool in tools if tool != "vandelay")
        goal = GOALS[kind][name.rpartition(" ")[2]]
        checks.append(Check(f"{name} / {peer}", ratio(tools["vandelay"], tools[peer]), goal))
    peak = max(each.rss for tools in runs.values() for each in tools["vandelay"])
    return [*checks, Check("peak RSS of all imports", peak / MIB, MEMORY_MIB, " MiB")]


def report_dav(setup, runs, checks):
    print_setup(setup)
    rows = []
    for step, tools in runs.items():
        for name, many in tools.items():
            middle = medians(many)
            rows.append([f"{step}: {name}", f"{middle.wall:.2f}", f"{middle.durable:.2f}", f"{middle.cpu:.2f}",
                         f"{middle.server_cpu:.2f}", str(middle.requests or "-"), f"{middle.rss / MIB:.0f}",
                         f"{middle.output / MIB:.1f}"])
    print_table(["median of rounds", "wall s", "durable s", "cpu s", "server s", "requests", "peak RSS MiB",
                 "on disk MiB"], rows)
    print_table(["check", "value", "target", ""], [check.row() for check in checks])

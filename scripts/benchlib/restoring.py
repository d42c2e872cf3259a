"""bench export: how fast an archive gets into accounts on servers of IMAP, CalDAV and CardDAV, and into files."""

import contextlib
import imaplib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

from .command import (GEN_MAILDIR, MIB, BenchError, add_nice_argument, cpu_of_session, describe_machine, install, listed, note, positive,
                      run, tool_env, walk_files)
from .cyrus import PASSWORD as ANY, Cyrus, find_cyrus
from .dav_servers import PASSWORD, USER, CyrusDav, Radicale, Sabre
from .dovecot import PASSWORD as DOVECOT_PASSWORD, USER as DOVECOT_USER, Dovecot, find_dovecot, let_through
from .exporting import prepare, push_by_mbsync, turned
from .report import Check, medians, plain_runs, print_setup, print_table, ratio, write_json
from .syncing import MAKER, relaying
from .systems import Vandelay as Mount

OURS = "vandelay"
PARTS = ("imap", "dav", "files")
# Of the peer's time, at most.
GOALS = {"caldav": 1 / 3, "carddav": 1 / 3, "maildir": 1.2, "tar": 0.5, "first": 1 / 1.5, "again": 1.0}
MEMORY_MIB = 128
# So often mbsync may begin anew: now and then it and Cyrus wait for each other until its timeout.
ATTEMPTS = 3
# What `export tar` writes: neither decoded mail nor collections once more.
TREE = ("mail", "calendars", "contacts", "sieve", "files", "identities.json")
DAV = {server.name: server for server in (Radicale, Sabre, CyrusDav)}
ENDINGS = {"caldav": ".ics", "carddav": ".vcf"}


def add_export_arguments(parser):
    parser.add_argument("--parts", type=listed(PARTS), default=list(PARTS), metavar="PART,...",
                        help=f"of {','.join(PARTS)} (default: all)")
    parser.add_argument("--messages", type=positive, default=10_000, help="messages to send (default %(default)s)")
    parser.add_argument("--mean-bytes", type=positive, default=20_000,
                        help="their size on average (default %(default)s)")
    parser.add_argument("--folders", type=positive, default=40, help="folders that they lie in (default %(default)s)")
    parser.add_argument("--delay", type=positive, default=20, metavar="MS",
                        help="what the relay adds each way, in milliseconds (default %(default)s)")
    parser.add_argument("--events", type=positive, default=5_000, help="events, in 10 calendars (default %(default)s)")
    parser.add_argument("--cards", type=positive, default=5_000, help="cards in one book (default %(default)s)")
    parser.add_argument("--dav-servers", type=listed(DAV), default=list(DAV), metavar="SERVER,...",
                        help=f"of {','.join(DAV)} (default: all; Radicale looks through a whole collection for each event)")
    parser.add_argument("--files", type=positive, default=50_000, help="messages to write as files (default %(default)s)")
    parser.add_argument("--files-bytes", default="500M", help="sum of their sizes (default %(default)s)")
    add_nice_argument(parser, "where a server and its client need a processor each")


def bench_export(args, work):
    """Restore mail beside mbsync, calendars and contacts beside vdirsyncer, files beside cp and tar.

    imap: Dovecot and Cyrus on loopback, by themselves and through a relay that adds 20 ms each
    way. In every round each program sends all messages into a new, empty server (first), and
    then finds nothing to do (again). vandelay has four connections, mbsync one with
    PipelineDepth 50 and FSync no. Both accounts must hold all messages.

    dav: Radicale, sabre and Cyrus, each new and empty: all events, all cards. vdirsyncer makes
    the collections beforehand, unmeasured; vandelay makes them in the run.

    files: `export maildir` beside `cp -a` of the mounted mail, `export tar` beside `tar -c` of
    the same of the mount; the mount is new each time.

    Lines are not encrypted. "server s" is the processor time of the server meanwhile.
    """
    os.setpriority(os.PRIO_PROCESS, 0, args.nice)
    find_dovecot()
    install({"dovecot": "dovecot-core", "/usr/lib/dovecot/imap": "dovecot-imapd", "mbsync": "isync",
             "vdirsyncer": "vdirsyncer"})
    for find in (find_cyrus, Radicale.find, Sabre.find):
        find()
    setup = describe_machine(["mbsync", "vdirsyncer"])
    bench = Bench(args, work)
    for part in args.parts:
        getattr(bench, part)()
    setup |= {"messages": args.messages, "mean_bytes": args.mean_bytes, "folders": args.folders, "events": args.events,
              "cards": args.cards, "files": args.files, "files_bytes": args.files_bytes, "rounds": args.rounds,
              "nice": args.nice, "load_after": round(os.getloadavg()[0], 2), "vandelay": str(args.vandelay)}
    checks = check_export(bench.runs)
    report_export(setup, bench.runs, checks)
    if args.json:
        write_json(args.json, setup, plain_runs(bench.runs), checks)


class Bench:
    """`runs` has every figure: by step and tool, in the order of the rounds."""

    def __init__(self, args, work):
        self.args = args
        self.work = work
        self.runs = {}
        self.number = 0
        let_through(work / "run")

    def measure(self, step, name, command, env, server=None):
        before = server.cpu() if server else 0
        figures = run(command, env)
        figures.server_cpu = server.cpu() - before if server else 0
        self.runs.setdefault(step, {}).setdefault(name, []).append(figures)
        note(f"{step}: {name}: {figures.wall:.2f} s, {figures.rss / MIB:.0f} MiB")

    def place(self):
        self.number += 1
        at = self.work / f"run-{self.number}"
        at.mkdir()
        return at, tool_env(at / "home")

    # --- mail ---

    def imap(self):
        sent = prepare(self.args, self.work)
        for number in range(self.args.rounds):
            for kind in (NewDovecot, NewCyrus):
                for delay in (0, self.args.delay):
                    for name in turned([OURS, "mbsync"], number):
                        self.send(sent, kind, delay, name)
        shutil.rmtree(sent.maildir)

    def send(self, sent, kind, delay, name):
        title = f"{kind.name} {f'+{delay} ms' if delay else 'direct'}"
        for attempt in range(ATTEMPTS):
            at, env = self.place()
            with kind(at / "server").serving() as server, lengthened(server.imap, delay, at / "log") as port:
                try:
                    self.send_once(sent, title, name, server, port, at, env)
                    return
                except BenchError as error:
                    if "timeout" not in str(error) or attempt + 1 == ATTEMPTS:
                        raise
                    note("mbsync and the server wait for each other; once more from the start")
                finally:
                    shutil.rmtree(at / "server", ignore_errors=True)

    def send_once(self, sent, title, name, server, port, at, env):
        if name == OURS:
            env |= {"VANDELAY_PASSWORD": server.password}
            command = [self.args.vandelay, "export", "imap", "--quiet", "--url", f"imap://127.0.0.1:{port}",
                       "--allow-cleartext", "--auth-basic", server.user, sent.archive]
        else:
            command = push_by_mbsync(at / "mbsync", sent.maildir, port, server.user, server.password)
        self.measure(f"{title}, first", name, command, env, server)
        if (count := server.count()) != sent.count:
            raise BenchError(f"{name} sent {sent.count} messages, and the server holds {count}")
        self.measure(f"{title}, again", name, command, env, server)
        if (count := server.count()) != sent.count:
            raise BenchError(f"after a second run of {name} the server holds {count} messages of {sent.count}")

    # --- calendars and contacts ---

    def dav(self):
        data = self.work / "data"
        note("making events and cards")
        run([sys.executable, MAKER, data, self.args.events, 10, self.args.cards, 1, 1, 1])
        archives = {}
        for kind, command in (("caldav", "Calendar"), ("carddav", "Contacts")):
            takeout = self.work / f"takeout-{kind}"
            merge(data / kind, takeout / command, ENDINGS[kind])
            archives[kind] = self.work / f"{kind}.vandelay"
            run([self.args.vandelay, "import", "takeout", "--quiet", takeout, archives[kind]])
        for number in range(self.args.rounds):
            for server in (DAV[name] for name in self.args.dav_servers):
                for kind in ENDINGS:
                    for name in turned([OURS, "vdirsyncer"], number):
                        self.put(server, kind, name, data, archives[kind])

    def put(self, server_class, kind, name, data, archive):
        at, env = self.place()
        empty = at / "empty"
        for each in ENDINGS:
            (empty / each).mkdir(parents=True)
        with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="vandelay-bench-") as kept:
            with server_class(pathlib.Path(kept) / "server", empty).serving() as server:
                step = f"{server.name} {kind}"
                if name == OURS:
                    env |= {"VANDELAY_PASSWORD": PASSWORD}
                    command = [self.args.vandelay, "export", kind, "--quiet", "--url", f"http://127.0.0.1:{server.port}",
                               "--allow-cleartext", "--auth-basic", USER, archive]
                else:
                    command = self.vdirsyncer(at, env, kind, server, data)
                self.measure(f"{step}, first", name, command, env, server)
                self.measure(f"{step}, again", name, command, env, server)
                self.must_hold(at, env, kind, server, archive)

    def vdirsyncer(self, at, env, kind, server, data):
        # Cyrus makes no collection for it whose URL is not plain.
        for number, folder in enumerate(sorted((data / kind).iterdir())):
            shutil.copytree(folder, at / "local" / f"{kind}-{number}")
        (at / "config").write_text(f"""
[general]
status_path = "{at}/status"

[pair bench]
a = "local"
b = "remote"
collections = ["from a"]
conflict_resolution = "a wins"

[storage local]
type = "filesystem"
path = "{at}/local"
fileext = "{ENDINGS[kind]}"

[storage remote]
type = "{kind}"
url = "http://127.0.0.1:{server.port}{server.path(kind)}"
username = "{USER}"
password = "{PASSWORD}"
""")
        asked = subprocess.run(["vdirsyncer", "--config", at / "config", "discover"], input="y\n" * 100,
                               capture_output=True, text=True, env=env)
        if asked.returncode:
            raise BenchError(f"vdirsyncer discover failed:\n{asked.stderr}")
        return ["vdirsyncer", "--verbosity", "ERROR", "--config", at / "config", "sync"]

    def must_hold(self, at, env, kind, server, archive):
        """As an import sees it: what has not sent all is no faster for it."""
        back = at / "back.vandelay"
        env = env | {"VANDELAY_PASSWORD": PASSWORD}
        run([self.args.vandelay, "import", kind, "--quiet", "--url", f"http://127.0.0.1:{server.port}",
             "--allow-cleartext", "--auth-basic", USER, back], env)
        counts = [self.objects(path, ENDINGS[kind]) for path in (archive, back)]
        if counts[0] != counts[1]:
            raise BenchError(f"{server.name} {kind}: {counts[1]} objects of {counts[0]}")

    def objects(self, archive, ending):
        listed = [self.args.vandelay, "ls", "--recursive", archive]
        text = subprocess.run(listed, stdout=subprocess.PIPE, text=True, check=True).stdout
        return sum(line.startswith(("calendars/", "contacts/")) and line.endswith(ending) for line in text.splitlines())

    # --- files ---

    def files(self):
        maildir = self.work / "many"
        note(f"making {self.args.files} messages")
        run([GEN_MAILDIR, maildir, "--messages", self.args.files, "--bytes", self.args.files_bytes])
        archive = self.work / "many.vandelay"
        run([self.args.vandelay, "import", "maildir", "--quiet", maildir, archive])
        listed = [self.args.vandelay, "ls", "--recursive", archive, "mail"]
        text = subprocess.run(listed, stdout=subprocess.PIPE, text=True, check=True).stdout
        self.held = sum(",S=" in line for line in text.splitlines())
        for number in range(self.args.rounds):
            for name in turned([OURS, "cp -a"], number):
                self.write("maildir", name, archive)
            for name in turned([OURS, "tar"], number):
                self.write("tar", name, archive)

    def write(self, form, name, archive):
        at, env = self.place()
        out = at / "out"
        if name == OURS:
            self.measure(form, name, [self.args.vandelay, "export", form, "--quiet", archive, out], env)
        else:
            with self.mounted(at, archive) as mount:
                command = ["cp", "-a", mount / "mail", out] if form == "maildir" else ["tar", "-cf", out, "-C", mount, *TREE]
                self.measure(form, name, command, env)
        self.must_be_whole(form, out)

    @contextlib.contextmanager
    def mounted(self, at, archive):
        mount = Mount(at, self.args.vandelay)
        os.link(archive, mount.store / "archive.vandelay")
        with mount.serving(foreground=True):
            yield mount.point

    def must_be_whole(self, form, out):
        if form == "maildir":
            count = sum(1 for file in walk_files(out) if ",S=" in file.name)
        else:
            text = subprocess.run(["tar", "-tf", out], stdout=subprocess.PIPE, text=True, check=True).stdout
            count = sum(",S=" in line for line in text.splitlines())
        if count != self.held:
            raise BenchError(f"{form}: {count} messages of {self.held} are there")


def merge(folders, to, ending):
    """Each folder as one file, as a Takeout has it."""
    to.mkdir(parents=True)
    for folder in folders.iterdir():
        texts = [file.read_text() for file in sorted(folder.iterdir())]
        if ending == ".ics":
            inner = [re.sub(r"(?ms)\A.*?(?=^BEGIN:V(?:EVENT|TODO|TIMEZONE))|^END:VCALENDAR\s*\Z", "", text) for text in texts]
            texts = ["BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:bench\r\n", *inner, "END:VCALENDAR\r\n"]
            (to / f"{folder.name}{ending}").write_text("".join(texts), newline="")
        else:
            place = to / folder.name
            place.mkdir()
            (place / f"{folder.name}{ending}").write_text("".join(texts), newline="")


class NewDovecot(Dovecot):
    name = "dovecot"
    user, password = DOVECOT_USER, DOVECOT_PASSWORD

    @contextlib.contextmanager
    def serving(self):
        with super().serving():
            yield self

    @property
    def imap(self):
        return self.port

    def cpu(self):
        return cpu_of_session(self.process.pid)

    def count(self):
        return count_messages(self.port, self.user, self.password)


class NewCyrus(Cyrus):
    name = "cyrus"
    user, password = "bench@example.org", ANY

    @contextlib.contextmanager
    def serving(self):
        with super().serving():
            self.make_account(self.user)
            yield self

    def count(self):
        return sum(messages for messages, _ in self.holds(self.user).values())


def count_messages(port, user, password):
    server = imaplib.IMAP4("127.0.0.1", port)
    server.login(user, password)
    total = 0
    for line in server.list()[1]:
        flags, name = re.fullmatch(rb'\(([^)]*)\) (?:"."|NIL) (.+)', line).groups()
        if {b"\\noselect", b"\\nonexistent"} & set(flags.lower().split()):
            continue
        name = name.decode()
        state, answer = server.select(name, readonly=True)
        if state != "OK":
            raise BenchError(f"{name}: {answer}")
        total += int(answer[0])
    server.logout()
    return total


@contextlib.contextmanager
def lengthened(port, delay, log):
    """The port itself, or one with a longer line to it."""
    if not delay:
        yield port
        return
    with relaying(port, delay, log) as longer:
        time.sleep(0.3)
        yield longer


# --- What came out ---


def check_export(runs):
    checks = []
    for step, tools in runs.items():
        words = step.replace(",", "").split()
        if words[-1] == "again" and words[1] in ENDINGS:
            # vdirsyncer knows from its status what it has sent; an export asks what is there.
            continue
        goal = GOALS["again"] if words[-1] == "again" else next(GOALS[word] for word in words if word in GOALS)
        [peer] = (tool for tool in tools if tool != OURS)
        checks.append(Check(f"{step} / {peer}", ratio(tools[OURS], tools[peer]), goal))
    peak = max(each.rss for tools in runs.values() for each in tools[OURS])
    return [*checks, Check("peak RSS of all exports", peak / MIB, MEMORY_MIB, " MiB")]


def report_export(setup, runs, checks):
    print_setup(setup)
    rows = []
    for step, tools in runs.items():
        for name, many in tools.items():
            middle = medians(many)
            rows.append([f"{step}: {name}", f"{middle.wall:.2f}", f"{middle.durable:.2f}", f"{middle.cpu:.2f}",
                         f"{middle.server_cpu:.2f}", f"{middle.rss / MIB:.0f}"])
    print_table(["median of rounds", "wall s", "durable s", "cpu s", "server s", "peak RSS MiB"], rows)
    print_table(["check", "value", "target", ""], [check.row() for check in checks])

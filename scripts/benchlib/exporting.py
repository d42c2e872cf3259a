"""bench jmap: how fast an archive gets into an account on a JMAP server, and back."""

import dataclasses
import hashlib
import os
import pathlib
import shutil

from .command import (GEN_MAILDIR, MIB, BenchError, add_nice_argument, describe_machine, install, note, positive, run,
                      tool_env, tree_bytes, walk_files)
from .cyrus import PASSWORD, Cyrus, find_cyrus
from .imap_tools import flags_of_archive, must_agree
from .report import Check, medians, plain_runs, print_setup, print_table, ratio, write_json

STEPS = ("send", "again", "import")
MBSYNC, EXPORT, JMAP, IMAP = "mbsync", "vandelay export", "vandelay import jmap", "vandelay import imap"
# A second export is over in no time: that it is measured more often costs nothing.
REPEATS = 3
SPEEDUP = 1.5
# So often mbsync may begin anew.
ATTEMPTS = 3


def add_jmap_arguments(parser):
    parser.add_argument("--messages", type=positive, default=10_000, help="messages to send (default %(default)s)")
    parser.add_argument("--mean-bytes", type=positive, default=28_000,
                        help="their size on average (default %(default)s: 270 MiB for 10000 messages)")
    parser.add_argument("--folders", type=positive, default=40, help="folders that they lie in (default %(default)s)")
    add_nice_argument(parser, "where a server and its client need a processor each")


def bench_jmap(args, work):
    """Send an archive to a Cyrus on loopback over JMAP, beside an IMAP APPEND of the same by mbsync.

    In every round each program sends all messages into a new account of the same server
    (send): `vandelay export` from an archive, mbsync from a Maildir of the same messages.
    Byte-for-byte copies and marks of deletion are taken out of them first, as an export
    keeps only one of the former. Then the export is repeated with nothing to do (again),
    and what it sent is imported into a new archive over JMAP and over IMAP, twice, in
    either order (import). Both accounts must hold all messages in the same mailboxes, and
    both archives the same messages with the same flags, or the bench fails. Lines are not
    encrypted.

    mbsync runs with PipelineDepth 50 and FSync no, and sends the dates, too. "cpu s" is
    the program's own processor time, "server s" that of all processes of Cyrus meanwhile.
    """
    os.setpriority(os.PRIO_PROCESS, 0, args.nice)
    find_cyrus()
    install({"mbsync": "isync"})
    setup = describe_machine(["mbsync"])
    sent = prepare(args, work)
    server = Cyrus(work / "cyrus")
    with server.serving():
        bench = Bench(args, work, server, sent)
        for number in range(args.rounds):
            bench.round(number)
    setup |= {"messages": sent.count, "bytes": sent.size, "folders": args.folders, "rounds": args.rounds,
              "nice": args.nice, "load_after": round(os.getloadavg()[0], 2), "vandelay": str(args.vandelay)}
    checks = check_jmap(bench.runs)
    report_jmap(setup, bench.runs, checks)
    if args.json:
        write_json(args.json, setup, plain_runs(bench.runs), checks)


# --- What is sent ---


@dataclasses.dataclass
class Sent:
    """The same messages as a Maildir with a directory for each folder, and as an archive."""

    maildir: pathlib.Path
    archive: pathlib.Path
    count: int
    size: int


def prepare(args, work):
    note(f"making {args.messages} messages")
    made = work / "Maildir"
    run([GEN_MAILDIR, made, "--messages", args.messages, "--bytes", args.messages * args.mean_bytes, "--folders",
         args.folders])
    drop_copies(made)
    lined = copy_with_crlf(made, work / "lined")
    archive = work / "sent.vandelay"
    run([args.vandelay, "import", "maildir", "--quiet", lined, archive])
    sizes = [file.stat().st_size for file in messages(lined)]
    return Sent(unfold(made, work / "folders"), archive, len(sizes), sum(sizes))


def messages(maildir):
    return (file for file in walk_files(maildir) if file.parent.name in ("cur", "new"))


def drop_copies(maildir):
    """Leaves no message twice, and none marked as deleted."""
    known = set()
    for file in sorted(messages(maildir)):
        with open(file, "rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").digest()
        if digest in known:
            file.unlink()
            continue
        known.add(digest)
        base, mark, letters = file.name.partition(":2,")
        if "T" in letters:
            file.rename(file.with_name(base + mark + letters.replace("T", "")))


def copy_with_crlf(maildir, to):
    """Lines as a server has them: Cyrus takes no others over JMAP, and mbsync sends such lines by itself."""
    for folder in [maildir, *maildir.glob(".*/")]:
        for part in ("cur", "new", "tmp"):
            (to / folder.relative_to(maildir) / part).mkdir(parents=True)
    for file in messages(maildir):
        copy = to / file.relative_to(maildir)
        with open(file, "rb") as old, open(copy, "wb") as new:
            new.writelines(line.rstrip(b"\r\n") + b"\r\n" for line in old)
        shutil.copystat(file, copy)
    return to


def unfold(maildir, to):
    """Maildir++ as nested directories: mbsync would have all of its folders below INBOX."""
    to.mkdir()
    for folder in sorted(maildir.glob(".*/")):
        place = to.joinpath(*folder.name[1:].split("."))
        for part in ("cur", "new", "tmp"):
            (place / part).mkdir(parents=True)
            if (folder / part).exists():
                for file in (folder / part).iterdir():
                    file.rename(place / part / file.name)
    (to / "INBOX").mkdir()
    for part in ("cur", "new", "tmp"):
        (maildir / part).rename(to / "INBOX" / part)
    return to


def push_by_mbsync(at, maildir, port, user, password):
    """The command that sends a Maildir. mbsync renames what it sent: it gets links of its own."""
    at.mkdir()
    linked = at / "Maildir"
    shutil.copytree(maildir, linked, copy_function=os.link)
    (at / "mbsyncrc").write_text(f"""
FSync no

IMAPAccount bench
Host 127.0.0.1
Port {port}
User {user}
Pass {password}
SSLType None
AuthMechs LOGIN
PipelineDepth 50
Timeout 60

IMAPStore remote
Account bench

MaildirStore local
Path {linked}/
Inbox {linked}/INBOX
SubFolders Verbatim

Channel bench
Far :remote:
Near :local:
Patterns *
Create Both
Sync Push
CopyArrivalDate yes
SyncState *
""")
    return ["mbsync", "--quiet", "--config", at / "mbsyncrc", "bench"]


# --- What sends and fetches it ---


class Bench:
    """`runs` has every figure: by step and tool, in the order of the rounds."""

    def __init__(self, args, work, server, sent):
        self.args = args
        self.work = work
        self.server = server
        self.sent = sent
        self.runs = {step: {} for step in STEPS}

    def round(self, number):
        """Every other round the other one begins: a machine that gets slower or faster meanwhile favours none."""
        at = self.work / f"round-{number}"
        at.mkdir()
        env = tool_env(at / "home") | {"VANDELAY_PASSWORD": PASSWORD}
        send = {MBSYNC: self.send_by_mbsync, EXPORT: self.send_by_export}
        users = {name: send[name](at, number, env) for name in turned([MBSYNC, EXPORT], number)}
        self.must_hold_all(users)
        for _ in range(REPEATS):
            self.measure("again", EXPORT, self.export(users[EXPORT]), env)
        self.must_hold_all(users)
        for attempt in range(2):
            archives = {}
            for name in turned([JMAP, IMAP], number + attempt):
                archives[name] = at / f"{name.rpartition(' ')[2]}-{attempt}"
                archives[name].mkdir()
                command = self.fetch(name, users[EXPORT], archives[name] / "archive.vandelay")
                self.measure("import", name, command, env, archives[name])
            self.must_have_all({name: Archive(self.args.vandelay, path) for name, path in archives.items()})
            for path in archives.values():
                shutil.rmtree(path)

    def send_by_export(self, _at, number, env):
        user = f"export{number}@example.org"
        self.server.make_account(user)
        self.measure("send", EXPORT, self.export(user), env)
        return user

    def send_by_mbsync(self, at, number, env):
        """Now and then it and Cyrus wait for each other until its timeout: then it sends all to another account."""
        for attempt in range(ATTEMPTS):
            user = f"mbsync{number}-{attempt}@example.org"
            self.server.make_account(user)
            try:
                self.measure("send", MBSYNC, self.mbsync(at / f"mbsync-{attempt}", user), env)
            except BenchError as error:
                if "timeout" not in str(error) or attempt + 1 == ATTEMPTS:
                    raise
                note("mbsync and Cyrus wait for each other; once more from the start")
            else:
                return user

    def measure(self, step, name, command, env, out=None):
        before = self.server.cpu()
        figures = run(command, env)
        figures.server_cpu = self.server.cpu() - before
        figures.output = tree_bytes(out) if out else 0
        self.runs[step].setdefault(name, []).append(figures)
        note(f"{step}: {name}: {figures.wall:.2f} s ({figures.cpu:.2f} s of its own, {figures.server_cpu:.2f} s of the "
             f"server), {figures.rss / MIB:.0f} MiB")

    def mbsync(self, at, user):
        return push_by_mbsync(at, self.sent.maildir, self.server.imap, user, PASSWORD)

    def export(self, user):
        return [self.args.vandelay, "export", "--quiet", *self.account(user), "--objects", "mailbox,email",
                self.sent.archive]

    def fetch(self, name, user, archive):
        if name == JMAP:
            return [self.args.vandelay, "import", "jmap", "--quiet", *self.account(user), "--objects", "mailbox,email",
                    archive]
        return [self.args.vandelay, "import", "imap", "--quiet", "--url", f"imap://127.0.0.1:{self.server.imap}",
                "--allow-cleartext", "--auth-basic", user, archive]

    def account(self, user):
        return ["--url", f"http://127.0.0.1:{self.server.http}", "--allow-cleartext", "--auth-basic", user,
                "--account-name", user]

    def must_hold_all(self, users):
        """Asked over IMAP. What has not sent all is no faster for it."""
        held = {name: self.server.holds(user) for name, user in users.items()}
        for name, boxes in held.items():
            if (count := sum(messages for messages, _ in boxes.values())) != self.sent.count:
                raise BenchError(f"{name} sent {self.sent.count} messages, and the server holds {count}: {boxes}")
        if held[MBSYNC] != held[EXPORT]:
            differ = set(held[MBSYNC].items()) ^ set(held[EXPORT].items())
            raise BenchError(f"the accounts differ in these mailboxes (messages, unread): {sorted(differ)}")

    def must_have_all(self, archives):
        if (count := must_agree(archives)) != self.sent.count:
            raise BenchError(f"the archives have {count} messages of {self.sent.count}")


@dataclasses.dataclass
class Archive:
    program: pathlib.Path
    at: pathlib.Path

    def flags(self):
        return flags_of_archive(self.program, self.at / "archive.vandelay")


def turned(names, number):
    return names[number % len(names):] + names[:number % len(names)]


# --- What came out ---


def check_jmap(runs):
    send, again, back = (runs[step] for step in STEPS)
    return [
        Check("export / mbsync", ratio(send[EXPORT], send[MBSYNC]), 1 / SPEEDUP),
        Check("export with nothing to do", medians(again[EXPORT]).wall, 3, " s"),
        Check("import jmap / import imap", ratio(back[JMAP], back[IMAP]), 1.0),
    ]


def report_jmap(setup, runs, checks):
    print_setup(setup)
    rows = []
    for step, tools in runs.items():
        for name, many in tools.items():
            middle = medians(many)
            rows.append([f"{step}: {name}", f"{middle.wall:.2f}", f"{setup['messages'] / middle.wall:.0f}",
                         f"{middle.cpu:.2f}", f"{middle.server_cpu:.2f}", f"{middle.rss / MIB:.0f}"])
    print_table(["median of rounds", "wall s", "messages/s", "cpu s", "server s", "peak RSS MiB"], rows)
    print_table(["check", "value", "target", ""], [check.row() for check in checks])

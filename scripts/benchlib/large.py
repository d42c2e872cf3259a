"""The parts of `bench mount` that have archives of their own, with no other system beside them."""

import itertools
import time

from .command import GEN_MAILDIR, BenchError, note, run
from .systems import Vandelay, drop_caches
from .works import held, time_all

LARGE_DEFAULT = 1_000_000
TEXT_MESSAGES = 10_000


# --- An archive of a million small messages ---


def measure_million(args, work, scratch, figures):
    """Mounting an archive with very many messages, and what memory listing all of them takes."""
    count = args.million or LARGE_DEFAULT
    note(f"making an archive of {count:,} messages")
    mbox = work / "large.mbox"
    write_mbox(mbox, count)
    large = new_archive(args, work / "large", ["takeout", mbox])
    mbox.unlink()
    for _ in range(args.rounds):
        drop_caches()
        figures.add("mount, large", "cold", large.name, large.time_mount())
        with held(large.behind([]), scratch):
            figures.add("mount, large", "fresh", large.name, large.time_mount())
    with large.mounted() as mount:
        seconds, [out] = time_all([["find", ".", "-type", "f"]], mount.mail, scratch)
        figures.add("find, large", "fresh", large.name, seconds)
        if (files := count_lines(out)) != count:
            raise BenchError(f"the mount shows {files:,} of {count:,} messages")
        seconds, _ = time_all([["ls", "-lR"]], mount.mail, scratch)
        figures.add("ls -lR, large", "fresh", large.name, seconds)
        figures.memory["large"] = mount.memory()


def new_archive(args, folder, source):
    folder.mkdir()
    system = Vandelay(folder, args.vandelay)
    run([args.vandelay, "import", "--quiet", *source, system.archive])
    return system


def write_mbox(path, count):
    """As gen-maildir would take an hour to write and import: some 300 bytes a message, 30 % of them in the inbox."""
    labels = ["Inbox"] * 3 + [f"Folder {number:02}" for number in range(1, 8)]
    with open(path, "w", encoding="ascii", newline="\n", buffering=2**20) as file:
        for number, label in zip(range(count), itertools.cycle(labels)):
            moment = time.gmtime(1_400_000_000 + number * 300)
            file.write(f"From {number}@xxx {time.strftime('%a %b %d %H:%M:%S +0000 %Y', moment)}\n"
                       f"X-Gmail-Labels: {label}\nFrom: Ada Palmer <ada@example.com>\nTo: olive@example.net\n"
                       f"Subject: Report {number}\nDate: {time.strftime('%a, %d %b %Y %H:%M:%S +0000', moment)}\n"
                       f"Message-ID: <{number}.large@example.org>\n\n"
                       f"Number {number} of very many, which differ in little but this line.\n\n")


def count_lines(path):
    with open(path, "rb") as file:
        return sum(1 for _ in file)


# --- text/ ---


def measure_text(args, work, scratch, figures):
    """The first and the second long listing of a large mailbox as text."""
    probe = make_mailbox(args, work / "probe", 10)
    with probe.mounted():
        if not (probe.point / "text").is_dir():
            note("text: left out, as this vandelay has no text/ in its mounts")
            return
    note(f"making a mailbox of {TEXT_MESSAGES:,} messages")
    system = make_mailbox(args, work / "text", TEXT_MESSAGES)
    for _ in range(args.rounds):
        drop_caches()
        with system.mounted() as mount:
            messages = len(list((mount.mail / "INBOX" / "cur").iterdir()))
            for state in ("cold", "second"):
                seconds, [out] = time_all([["ls", "-l", "INBOX"]], system.point / "text", scratch)
                figures.add("text", state, system.name, seconds)
                # One line is the sum of blocks.
                if count_lines(out) - 1 < messages:
                    raise BenchError(f"text/INBOX has {count_lines(out) - 1:,} entries for {messages:,} messages")


def make_mailbox(args, folder, messages):
    """One mailbox, INBOX, and nothing else in the archive."""
    source = folder.with_name(f"{folder.name}-maildir")
    run([GEN_MAILDIR, source, "--folders", 1, "--messages", messages])
    return new_archive(args, folder, ["maildir", "--include-deleted", source])

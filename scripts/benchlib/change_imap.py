"""Change a mail account over IMAP: change_imap.py PORT USER PASSWORD SEED SHARE MAILDIR, the last one Maildir++.

Every message of MAILDIR is appended to the folder of the same name, and of every SHARE messages that are there one
gets \\Seen or \\Flagged, or loses it. Then all is listed once, so that whoever comes first does not pay for the
server's caches. Prints how many messages it appended and how many flags it changed.
"""

import imaplib
import pathlib
import random
import sys

FLAGS = {"D": r"\Draft", "F": r"\Flagged", "R": r"\Answered", "S": r"\Seen", "T": r"\Deleted"}
LISTED = "(FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])"
# Longer sets of UIDs make longer lines than a server has to take.
AT_ONCE = 500


def main():
    port, user, password, seed, share, maildir = sys.argv[1:]
    rng = random.Random(seed)
    server = imaplib.IMAP4("127.0.0.1", int(port))
    server.login(user, password)
    appended = changed = 0
    for folder, path in folders(pathlib.Path(maildir)):
        changed += change_flags(server, folder, rng, int(share))
        appended += append_all(server, folder, path)
        if int(ok(server.select(folder))[0]):
            ok(server.fetch("1:*", LISTED))
    server.logout()
    print(appended, changed)


def folders(maildir):
    """Names are in modified UTF-7 already: on disk they are as in IMAP."""
    yield '"INBOX"', maildir
    for path in sorted(maildir.glob(".*/")):
        yield f'"{path.name[1:]}"', path


def change_flags(server, folder, rng, share):
    """Whatever a message has of the chosen flag, it gets the opposite: nothing is left as it was."""
    ok(server.select(folder))
    seen = {flag: uids(server, flag) for flag in ("SEEN", "FLAGGED")}
    everything = sorted(uids(server, "ALL"))
    groups = {}
    for uid in rng.sample(everything, round(len(everything) / share)):
        flag = rng.choice(["SEEN", "FLAGGED"])
        groups.setdefault((flag, "-" if uid in seen[flag] else "+"), []).append(uid)
    for (flag, sign), chosen in groups.items():
        for start in range(0, len(chosen), AT_ONCE):
            some = ",".join(map(str, chosen[start:start + AT_ONCE]))
            ok(server.uid("STORE", some, f"{sign}FLAGS.SILENT", rf"(\{flag.capitalize()})"))
    return sum(map(len, groups.values()))


def uids(server, criterion):
    return set(map(int, ok(server.uid("SEARCH", criterion))[0].split()))


def append_all(server, folder, path):
    files = sorted([*path.glob("cur/*"), *path.glob("new/*")])
    for file in files:
        letters = file.name.partition(":2,")[2]
        flags = " ".join(FLAGS[letter] for letter in letters if letter in FLAGS)
        date = imaplib.Time2Internaldate(file.stat().st_mtime)
        ok(server.append(folder, f"({flags})", date, file.read_bytes()))
    return len(files)


def ok(answer):
    status, data = answer
    if status != "OK":
        sys.exit(f"the server says {status}: {data}")
    return data


main()

"""The programs that `bench imap` compares: each pulls one account over IMAP to a place of its own."""

import collections
import subprocess
import time

from .command import BenchError, run, tool_env, tree_bytes, walk_files
from .dovecot import PASSWORD, USER


# mbsync looks twice at a folder that changed in this very second, and sleeps until it is over.
SETTLED = 1.1


class Tool:
    """What is pulled lies below the folder `at`; `pull` may be repeated and then fetches what is new."""

    def __init__(self, at, port):
        self.at = at
        self.port = port
        at.mkdir()
        self.env = tool_env(at / "home") | {"VANDELAY_PASSWORD": PASSWORD}
        self.prepare()

    def prepare(self):
        pass

    def pull(self):
        time.sleep(SETTLED)
        figures = run(self.command(), self.env)
        figures.output = tree_bytes(self.at)
        return figures

    def flags(self):
        """How many messages have which flags, in the letters of Maildir: what all tools must agree on."""
        raise NotImplementedError


class Vandelay(Tool):
    def __init__(self, at, port, program, connections):
        self.program = program
        self.connections = connections
        super().__init__(at, port)

    def command(self):
        """mbsync pulls what is marked as deleted, too."""
        return [self.program, "import", "imap", "--quiet", "--url", f"imap://127.0.0.1:{self.port}",
                "--allow-cleartext", "--auth-basic", USER, "--imap-connections", self.connections,
                "--include-deleted", self.at / "archive.vandelay"]

    def flags(self):
        return flags_of_archive(self.program, self.at / "archive.vandelay")


class Mbsync(Tool):
    package = {"mbsync": "isync"}
    fsync = "no"

    def prepare(self):
        (self.at / "mbsyncrc").write_text(f"""
FSync {self.fsync}

IMAPAccount bench
Host 127.0.0.1
Port {self.port}
User {USER}
Pass {PASSWORD}
SSLType None
AuthMechs LOGIN
PipelineDepth 50

IMAPStore remote
Account bench

MaildirStore local
Path {self.at}/Maildir/
Inbox {self.at}/Maildir/INBOX
SubFolders Verbatim

Channel bench
Far :remote:
Near :local:
Patterns *
Create Near
Sync Pull
CopyArrivalDate yes
SyncState *
""")
        (self.at / "Maildir").mkdir()

    def command(self):
        return ["mbsync", "--quiet", "--config", self.at / "mbsyncrc", "bench"]

    def flags(self):
        return flags_of_maildir(self.at / "Maildir")


class SyncingMbsync(Mbsync):
    fsync = "yes"


class OfflineImap(Tool):
    package = {"offlineimap": "offlineimap3"}

    def prepare(self):
        (self.at / "offlineimaprc").write_text(f"""
[general]
accounts = bench
metadata = {self.at}/metadata
[Account bench]
localrepository = local
remoterepository = remote
[Repository local]
type = Maildir
localfolders = {self.at}/Maildir
[Repository remote]
type = IMAP
readonly = True
remotehost = 127.0.0.1
remoteport = {self.port}
remoteuser = {USER}
remotepass = {PASSWORD}
ssl = no
starttls = no
auth_mechanisms = LOGIN
""")

    def command(self):
        return ["offlineimap", "-o", "-u", "quiet", "-c", self.at / "offlineimaprc"]

    def flags(self):
        return flags_of_maildir(self.at / "Maildir")


def flags_of_archive(program, archive):
    listed = [program, "ls", "--recursive", archive, "mail"]
    text = subprocess.run(listed, stdout=subprocess.PIPE, text=True, check=True).stdout
    return collections.Counter(maildir_flags(name) for name in text.splitlines() if ".vandelay,S=" in name)


def flags_of_maildir(maildir):
    messages = (file.name for file in walk_files(maildir) if file.parent.name in ("cur", "new"))
    return collections.Counter(map(maildir_flags, messages))


def maildir_flags(name):
    """Those that every tool keeps in the name of a file."""
    return "".join(letter for letter in name.partition(":2,")[2] if letter in "DFRST")


def must_agree(tools):
    """`tools` by name. What has not pulled all, or not all flags, is no faster for it."""
    (first, flags), *others = [(name, tool.flags()) for name, tool in tools.items()]
    for name, other in others:
        if other != flags:
            differ = {key: (flags[key], other[key]) for key in flags | other if flags[key] != other[key]}
            raise BenchError(f"{first} and {name} have other messages: by flags {differ}")
    return sum(flags.values())

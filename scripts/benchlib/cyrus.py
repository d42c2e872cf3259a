"""A Cyrus on loopback: IMAP, JMAP and DAV. Every user exists, with any password; the first login makes mailboxes."""

import contextlib
import imaplib
import os
import platform
import re
import socket
import subprocess
import time

from .command import REPO, BenchError, cpu_of_session, note, pass_on_priority, run
from .dovecot import START_TIMEOUT, free_port, let_through, stop

PASSWORD = "bench"
UNPACKED = REPO / "target" / "servers" / "cyrus"
PARTS = ("config", "config/db", "spool", "sieve", "run", "db", "servers")

# The same for tests/it/common/cyrus.rs. No TLS: what it costs is the same for every tool.
TEMPLATES = REPO / "tests" / "it" / "common" / "cyrus"


class Cyrus:
    """`imap` and `http` are its ports."""

    def __init__(self, at):
        self.at = at
        self.imap, self.http, sieve = free_port(), free_port(), free_port()
        self.process = None
        at.mkdir()
        for part in PARTS:
            (at / part).mkdir()
        # Its user may not be allowed into the folders above the unpacked program.
        run(["cp", "-a", UNPACKED / "usr", at / "servers"])
        self.bin = at / "servers" / "usr" / "lib" / "cyrus" / "bin"
        values = {"at": at, "bin": self.bin, "imap": self.imap, "http": self.http, "sieve": sieve}
        for name in ("imapd.conf", "cyrus.conf"):
            text = (TEMPLATES / name).read_text()
            for key, value in values.items():
                text = text.replace("{" + key + "}", str(value))
            (at / name).write_text(text)
        at.chmod(0o755)
        run(["chown", "-R", "nobody:nogroup", at])
        let_through(at)

    @contextlib.contextmanager
    def serving(self):
        argv = [self.bin / "master", "-D", "-C", self.at / "imapd.conf", "-M", self.at / "cyrus.conf", "-p",
                self.at / "run" / "master.pid"]
        libraries = self.at / "servers" / "usr" / "lib" / f"{platform.machine()}-linux-gnu"
        env = os.environ | {"LD_LIBRARY_PATH": str(libraries)}
        with open(self.at / "output", "wb") as output:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=env,
                                            start_new_session=True)
        try:
            pass_on_priority(self.process.pid)
            for port in (self.imap, self.http):
                self.wait_until_it_listens(port)
            yield
        finally:
            stop(self.process)

    def wait_until_it_listens(self, port):
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return
            if self.process.poll() is not None or time.monotonic() > deadline:
                said = (self.at / "output").read_text(errors="replace").strip()
                raise BenchError(f"Cyrus did not start:\n{said}")
            time.sleep(0.02)

    def cpu(self):
        return cpu_of_session(self.process.pid)

    def login(self, user):
        server = imaplib.IMAP4("127.0.0.1", self.imap)
        server.login(user, PASSWORD)
        return server

    def make_account(self, user):
        self.login(user).logout()

    def holds(self, user):
        """Messages by mailbox: how many, and how many of them unread."""
        server = self.login(user)
        found = {}
        for line in server.list()[1]:
            name = re.fullmatch(rb'\([^)]*\) "/" (.+)', line)[1].decode()
            answer = server.status(name, "(MESSAGES UNSEEN)")[1][0].decode()
            messages, unseen = re.search(r"\(MESSAGES (\d+) UNSEEN (\d+)\)", answer).groups()
            if messages != "0":
                found[name.strip('"')] = (int(messages), int(unseen))
        server.logout()
        return found


def find_cyrus():
    if os.geteuid() != 0:
        raise BenchError("Cyrus is started by root only")
    if not (UNPACKED / "ready").exists() or not (UNPACKED / "usr" / "lib" / "cyrus" / "bin" / "httpd").exists():
        note("getting Cyrus")
        # It puts it below the repo unless told otherwise.
        run([REPO / "scripts" / "cyrus"], {name: value for name, value in os.environ.items()
                                           if name != "CARGO_TARGET_DIR"})

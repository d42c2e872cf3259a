"""A Dovecot on loopback that serves a Maildir to one user, as root or as somebody else."""

import contextlib
import grp
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import time

from .command import BenchError, pass_on_priority, run

USER = "bench"
PASSWORD = "bench"
START_TIMEOUT = 30

# No TLS: what it costs is the same for every tool, and not all of them let go of it.
SETTINGS = """
base_dir = {at}/run
state_dir = {at}/state
log_path = {at}/log
protocols = imap
listen = 127.0.0.1
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
first_valid_uid = 1
mail_location = maildir:~/Maildir
mail_fsync = never
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login
passdb {{
  driver = static
  args = password={{PLAIN}}{password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={at}/home
}}
namespace inbox {{
  inbox = yes
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
"""


class Dovecot:
    """`maildir` is what it serves; it comes to belong to the user who reads it there. Without one the account is empty."""

    def __init__(self, at, maildir=None):
        self.at = at
        self.port = free_port()
        # Dovecot gives root no mail; another user can only start it as himself.
        self.uid, self.gid = (65_534, 65_534) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
        at.mkdir()
        for part in ("run", "state", "home"):
            (at / part).mkdir()
        if maildir:
            maildir.rename(at / "home" / "Maildir")
        if os.geteuid() == 0:
            run(["chown", "-R", f"{self.uid}:{self.gid}", at / "home"])
            let_through(at)

    @contextlib.contextmanager
    def serving(self):
        config = self.at / "dovecot.conf"
        config.write_text(SETTINGS.format(
            at=self.at, port=self.port, password=PASSWORD, uid=self.uid, gid=self.gid,
            user=pwd.getpwuid(self.uid).pw_name, group=grp.getgrgid(self.gid).gr_name))
        with open(self.at / "output", "wb") as output:
            process = subprocess.Popen(["dovecot", "-F", "-c", config], stdin=subprocess.DEVNULL, stdout=output,
                                       stderr=output, start_new_session=True)
        self.process = process
        try:
            pass_on_priority(process.pid)
            self.wait_until_it_listens(process)
            yield
        finally:
            stop(process)

    def wait_until_it_listens(self, process):
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            if process.poll() is not None or time.monotonic() > deadline:
                said = [path.read_text(errors="replace") for path in (self.at / "output", self.at / "log")
                        if path.exists()]
                raise BenchError(f"dovecot did not start:\n{''.join(said).strip()}")
            time.sleep(0.02)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def let_through(path):
    """The temporary folder of a bench is closed to others; Dovecot's user has to pass."""
    for folder in path.parents:
        mode = folder.stat().st_mode
        if mode & 0o001:
            return
        folder.chmod(mode & 0o7777 | 0o011)


def stop(process):
    """It ends its children itself; what is left after that is killed."""
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        pass
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def find_dovecot():
    """Debian has it where only root looks."""
    if not shutil.which("dovecot") and pathlib.Path("/usr/sbin/dovecot").exists():
        os.environ["PATH"] += ":/usr/sbin"

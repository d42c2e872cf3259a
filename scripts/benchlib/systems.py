"""The systems that `bench mount` compares: a folder on the disk, and what FUSE shows of one file or repository."""

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import time

from .command import BenchError, pass_on_priority, run, tool_env, walk_files

MOUNT_TIMEOUT = 300
INTERRUPTS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


class Native:
    """The extracted mail itself, on the file system that all the others have their files on."""

    name = "native"

    def __init__(self, mail):
        self.mail = mail

    @contextlib.contextmanager
    def mounted(self):
        yield Mounted(self.mail, None)

    def behind(self, paths):
        """What has to be in the page cache for a mount to be fast: here the files themselves."""
        return [self.mail / path for path in paths]


class Mounted:
    """A mount that answers: the root of its mail, and the process that serves it."""

    def __init__(self, mail, pid):
        self.mail = mail
        self.pid = pid

    def memory(self):
        """Peak and present resident bytes of the serving process; none for the kernel's own file systems."""
        if self.pid is None:
            return None
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return {name: int(re.search(rf"^{name}:\s+(\d+) kB", status, re.M)[1]) * 1024 for name in ("VmHWM", "VmRSS")}


class Mountable:
    """Shared by all FUSE systems: `store` holds the files behind the mount, `point` is where it is mounted."""

    in_point = "."
    # Whether its command, not told to stay in the foreground, returns when the mount answers.
    returns = True

    def __init__(self, work):
        self.store = work / self.name
        self.store.mkdir()
        self.point = work / f"{self.name}-mount"
        self.point.mkdir()
        self.env = tool_env(self.store / "home")

    def command(self, foreground):
        """The command that mounts, and in `foreground` serves too; one that has only that ignores it."""
        raise NotImplementedError

    @contextlib.contextmanager
    def mounted(self):
        """A mount by a process of ours, for as long as the block lasts."""
        with self.serving(foreground=True) as process:
            yield Mounted(self.point / self.in_point, process.pid)

    def time_mount(self):
        """Seconds from the command that a user types until `ls` of the root has answered."""
        start = time.monotonic()
        with self.serving(foreground=False):
            subprocess.run(["ls", self.point], stdout=subprocess.DEVNULL, check=True)
            return time.monotonic() - start

    def behind(self, paths):
        """The files behind the mount, whichever of its files will be read."""
        return list(walk_files(self.store))

    @contextlib.contextmanager
    def serving(self, foreground):
        with open(self.store.with_name(f"{self.name}-errors"), "w+b") as errors:
            process = subprocess.Popen(self.command(foreground), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                       stderr=errors, env=self.env, start_new_session=True)
            pass_on_priority(process.pid)
            returns = self.returns and not foreground
            try:
                self.wait_until_mounted(process, returns, errors)
                yield process
            finally:
                # An interrupt has to wait: what is left mounted would have to be cleaned up by hand.
                signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTS)
                try:
                    self.unmount(process, returns)
                finally:
                    signal.pthread_sigmask(signal.SIG_UNBLOCK, INTERRUPTS)

    def wait_until_mounted(self, process, returns, errors):
        deadline = time.monotonic() + MOUNT_TIMEOUT
        while process.poll() is None if returns else not self.is_mounted():
            if process.poll() is not None or time.monotonic() > deadline:
                break
            time.sleep(0.0005)
        if not self.is_mounted() or process.poll():
            errors.seek(0)
            raise BenchError(f"{self.name} did not mount:\n{errors.read().decode(errors='replace').strip()}")

    def is_mounted(self):
        try:
            return os.stat(self.point).st_dev != os.stat(self.store).st_dev
        except OSError:
            # A dead mount: still there to be taken away.
            return True

    def unmount(self, process, returns):
        """One that is interrupted while it starts may yet mount: it ends first, or has handed over to another."""
        if returns:
            wait_or_kill(process)
        elif not self.is_mounted():
            kill(process)
        for command in (["umount"], ["umount"], ["umount", "--lazy"]):
            if self.is_mounted() and subprocess.run([*command, self.point], stderr=subprocess.DEVNULL).returncode:
                time.sleep(0.3)
        wait_or_kill(process)
        if self.is_mounted():
            raise BenchError(f"{self.point} is still mounted: umount --lazy {self.point}")


def wait_or_kill(process):
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        kill(process)


def kill(process):
    """The group that a process of ours began; it may have ended already."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class Vandelay(Mountable):
    name = "vandelay"
    in_point = "mail"

    def __init__(self, work, program):
        super().__init__(work)
        self.program = program
        self.archive = self.store / "archive.vandelay"

    def command(self, foreground):
        return [self.program, "mount", "--quiet", *(["--foreground"] if foreground else []), self.archive, self.point]


class Squashfuse(Mountable):
    name = "squashfuse"
    package = {"mksquashfs": "squashfs-tools", "squashfuse_ll": "squashfuse"}

    def build(self, mail):
        """The level of zstd changes how long packing takes, hardly how long unpacking does."""
        run(["mksquashfs", mail, self.store / "mail.squashfs", "-comp", "zstd", "-Xcompression-level", "3", "-quiet",
             "-no-progress"])

    def command(self, foreground):
        return ["squashfuse_ll", *(["-f"] if foreground else []), self.store / "mail.squashfs", self.point]


class Restic(Mountable):
    name = "restic"
    package = {"restic": "restic"}
    returns = False

    def build(self, mail):
        repository = ["restic", "--quiet", "--repo", self.store / "repository"]
        run([*repository, "init"], self.env)
        # A relative path is kept as it is: the snapshot's root has the folder `mail` alone.
        run(["env", "--chdir", mail.parent, *repository, "backup", mail.name], self.env)
        [snapshot] = (self.store / "repository" / "snapshots").iterdir()
        self.in_point = f"ids/{snapshot.name[:8]}/{mail.name}"

    def command(self, foreground):
        return ["restic", "--quiet", "--repo", self.store / "repository", "mount", "--no-lock", self.point]


PEERS = {peer.name: peer for peer in (Squashfuse, Restic)}


def drop_caches():
    """Forget every page, name and inode that the kernel could read again."""
    os.sync()
    pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")

"""The programs that `bench dav` compares: each pulls the collections of one kind to a place of its own."""

import collections
import pathlib
import subprocess

from .command import BenchError, run, tool_env, tree_bytes, walk_files
from .dav_servers import PASSWORD, USER

CONNECTIONS = 4
ENDINGS = {"caldav": ".ics", "carddav": ".vcf"}
ROOTS = {"caldav": "calendars", "carddav": "contacts", "webdav": "files"}


class Tool:
    """What is pulled lies below the folder `at`; `pull` may be repeated and then finds what is new."""

    def __init__(self, at, kind, port, path):
        self.at = at
        self.kind = kind
        self.origin = f"http://127.0.0.1:{port}"
        self.path = path
        at.mkdir()
        self.env = tool_env(at / "home") | {"VANDELAY_PASSWORD": PASSWORD}
        self.prepare()

    def prepare(self):
        pass

    def pull(self):
        figures = run(self.command(), self.env)
        figures.output = tree_bytes(self.at)
        return figures

    def holds(self):
        """Names of what it has pulled, and how often each is there: what all tools must agree on. They name events and
        cards after their UIDs; no folder has a name with a dot."""
        raise NotImplementedError


class Vandelay(Tool):
    name = "vandelay"

    def __init__(self, at, kind, port, path, program):
        self.program = program
        super().__init__(at, kind, port, path)
        self.archive = at / "archive.vandelay"

    def command(self):
        """For calendars and contacts the address of the server is enough."""
        url = self.origin + (self.path if self.kind == "webdav" else "")
        return [self.program, "import", self.kind, "--quiet", "--url", url, "--allow-cleartext", "--auth-basic", USER,
                "--dav-connections", CONNECTIONS, self.archive]

    def holds(self):
        listed = [self.program, "ls", "--recursive", self.archive, ROOTS[self.kind]]
        text = subprocess.run(listed, stdout=subprocess.PIPE, text=True, check=True).stdout
        names = (pathlib.PurePosixPath(line) for line in text.splitlines())
        return collections.Counter(name.name for name in names if name.suffix)


class Vdirsyncer(Tool):
    """Where the collections are it finds out once, before it is measured."""

    name = "vdirsyncer"
    package = {"vdirsyncer": "vdirsyncer"}

    def prepare(self):
        (self.at / "config").write_text(f"""
[general]
status_path = "{self.at}/status"

[pair bench]
a = "remote"
b = "local"
collections = ["from a"]
conflict_resolution = "a wins"

[storage remote]
type = "{self.kind}"
url = "{self.origin}{self.path}"
username = "{USER}"
password = "{PASSWORD}"

[storage local]
type = "filesystem"
path = "{self.at}/pulled"
fileext = "{ENDINGS[self.kind]}"
""")
        asked = subprocess.run(["vdirsyncer", "--config", self.at / "config", "discover"], input="y\n" * 100,
                               capture_output=True, text=True, env=self.env)
        if asked.returncode:
            raise BenchError(f"vdirsyncer discover failed:\n{asked.stderr}")

    def command(self):
        return ["vdirsyncer", "--verbosity", "ERROR", "--config", self.at / "config", "sync"]

    def holds(self):
        return collections.Counter(file.name for file in walk_files(self.at / "pulled"))


class Rclone(Tool):
    """As many connections, and no settings of its own."""

    name = "rclone"
    package = {"rclone": "rclone"}

    def prepare(self):
        (self.at / "rclone.conf").touch()
        hidden = subprocess.run(["rclone", "obscure", PASSWORD], stdout=subprocess.PIPE, text=True, check=True)
        self.hidden = hidden.stdout.strip()

    def command(self):
        return ["rclone", "copy", "--quiet", "--config", self.at / "rclone.conf", "--transfers", CONNECTIONS,
                "--checkers", CONNECTIONS, "--webdav-url", self.origin + self.path, "--webdav-user", USER,
                "--webdav-pass", self.hidden, ":webdav:", self.at / "pulled"]

    def holds(self):
        return collections.Counter(file.name for file in walk_files(self.at / "pulled"))


PEERS = {"caldav": Vdirsyncer, "carddav": Vdirsyncer, "webdav": Rclone}


def must_agree(tools, count):
    """`tools` by name. What has not pulled all is no faster for it."""
    held = {name: tool.holds() for name, tool in tools.items()}
    for name, names in held.items():
        if names.total() != count or any(names != others for others in held.values()):
            differ = {other: list((names - others) + (others - names))[:5] for other, others in held.items()}
            raise BenchError(f"{name} has {names.total()} objects of {count}, or other ones: {differ}")

"""The servers of `bench dav`, on loopback, without TLS, with the same data: Radicale, sabre, Cyrus, and mod_dav."""

import base64
import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request

from .command import REPO, BenchError, cpu_of_session, note, pass_on_priority, run
from .cyrus import Cyrus, find_cyrus
from .dovecot import START_TIMEOUT, free_port, let_through, stop

# What tests/servers/sabre.php knows; Radicale and Apache are told, Cyrus takes any password.
USER, PASSWORD = "alice", "secret"
FILLER = pathlib.Path(__file__).parent / "fill_dav.py"
RADICALE = REPO / "target" / "servers" / "dav" / "bin" / "radicale"
SABRE = REPO / "tests" / "servers" / "sabre.php"
APACHE = "/usr/sbin/apache2"
APACHE_MODULES = pathlib.Path("/usr/lib/apache2/modules")

RADICALE_SETTINGS = """
[server]
hosts = 127.0.0.1:{port}
[auth]
type = htpasswd
htpasswd_filename = {at}/users
htpasswd_encryption = plain
delay = 0
[storage]
filesystem_folder = {at}/data
"""

# Keep-alive as Debian has it.
APACHE_SETTINGS = """
ServerRoot {at}
ServerName 127.0.0.1
Listen 127.0.0.1:{port}
PidFile {at}/pid
ErrorLog {at}/errors
DocumentRoot {files}
User nobody
Group nogroup
KeepAlive On
MaxKeepAliveRequests 100
KeepAliveTimeout 5
TypesConfig /etc/mime.types
DavLockDB {at}/locks/db
<Directory {files}>
  Dav On
  AuthType Basic
  AuthName bench
  AuthUserFile {at}/users
  Require valid-user
</Directory>
"""
MODULES = ("mpm_event", "authn_core", "authn_file", "authz_core", "authz_user", "auth_basic", "mime", "dav", "dav_fs")


class Server:
    """`kinds` are the imports that it is there for; `port` is where it listens."""

    kinds = ("caldav", "carddav")
    # Commands that it needs, and their Debian packages.
    packages = {}

    def __init__(self, at, data):
        self.at = at
        self.data = data
        self.port = free_port()
        self.process = None
        at.mkdir()

    @classmethod
    def find(cls):
        """Gets what no Debian package is."""

    def path(self, kind):
        """Of the collection that holds the user's collections."""
        raise NotImplementedError

    def command(self):
        raise NotImplementedError

    def env(self):
        return dict(os.environ)

    def prepare(self):
        """What has to be there before it starts."""

    def fill(self):
        """Over its own protocol, as a user's programs would."""
        for kind in self.kinds:
            home = f"http://127.0.0.1:{self.port}{self.path(kind)}"
            run([sys.executable, FILLER, kind, home, USER, PASSWORD, self.data / kind])

    @contextlib.contextmanager
    def serving(self):
        self.prepare()
        with open(self.at / "output", "wb") as output:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                            env=self.env(), start_new_session=True)
        try:
            pass_on_priority(self.process.pid)
            self.wait_until_it_listens()
            note(f"filling {self.name}")
            self.fill()
            yield self
        finally:
            stop(self.process)

    def wait_until_it_listens(self):
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            if self.process.poll() is not None or time.monotonic() > deadline:
                said = (self.at / "output").read_text(errors="replace").strip()
                raise BenchError(f"{self.name} did not start:\n{said}")
            time.sleep(0.02)

    def cpu(self):
        return cpu_of_session(self.process.pid)


class Radicale(Server):
    name = "radicale"

    @classmethod
    def find(cls):
        if not RADICALE.exists():
            note("getting Radicale")
            run([REPO / "scripts" / "dav"], {name: value for name, value in os.environ.items()
                                             if name != "CARGO_TARGET_DIR"})

    def path(self, kind):
        return f"/{USER}/"

    def prepare(self):
        """Its files are put where it has them: each PUT looks through the whole collection for the UID."""
        (self.at / "users").write_text(f"{USER}:{PASSWORD}\n")
        (self.at / "config").write_text(RADICALE_SETTINGS.format(at=self.at, port=self.port))
        home = self.at / "data" / "collection-root" / USER
        for kind, tag in (("caldav", "VCALENDAR"), ("carddav", "VADDRESSBOOK")):
            for number, folder in enumerate(sorted((self.data / kind).iterdir())):
                shutil.copytree(folder, home / f"{kind}-{number}")
                properties = {"tag": tag, "D:displayname": folder.name}
                (home / f"{kind}-{number}" / ".Radicale.props").write_text(json.dumps(properties))

    def fill(self):
        pass

    def command(self):
        return [RADICALE, "-C", self.at / "config"]


class Sabre(Server):
    """Four workers, as a web server would have several."""

    name = "sabre"
    packages = {"php": "php-cli", "/usr/share/php/Sabre/autoload.php": "php-sabre-dav"}

    @classmethod
    def find(cls):
        for module, package in (("pdo_sqlite", "php-sqlite3"), ("xml", "php-xml"), ("mbstring", "php-mbstring")):
            said = subprocess.run(["php", "-m"], capture_output=True, text=True, check=True).stdout
            if module not in said.lower().split():
                run(["apt-get", "install", "-y", "--no-install-recommends", package])

    def path(self, kind):
        return f"/calendars/{USER}/" if kind == "caldav" else f"/addressbooks/{USER}/"

    def fill(self):
        """With an index, as sabre has it in MySQL for events: else SQLite reads half of all cards to find one."""
        super().fill()
        # The first request makes the tables.
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}/")
        with contextlib.closing(sqlite3.connect(self.at / "db.sqlite")) as database:
            database.execute("CREATE UNIQUE INDEX card ON cards (addressbookid, uri)")
            database.execute("CREATE UNIQUE INDEX object ON calendarobjects (calendarid, uri)")

    def env(self):
        return os.environ | {"SABRE_DATA": str(self.at), "PHP_CLI_SERVER_WORKERS": "4"}

    def command(self):
        return ["php", "-S", f"127.0.0.1:{self.port}", SABRE]


class CyrusDav(Server):
    name = "cyrus"

    def __init__(self, at, data):
        self.inner = Cyrus(at)
        self.data = data
        self.port = self.inner.http

    @classmethod
    def find(cls):
        find_cyrus()

    def path(self, kind):
        return f"/dav/calendars/user/{USER}/" if kind == "caldav" else f"/dav/addressbooks/user/{USER}/"

    @contextlib.contextmanager
    def serving(self):
        with self.inner.serving():
            self.inner.make_account(USER)
            note("filling cyrus")
            self.fill()
            yield self

    def cpu(self):
        return self.inner.cpu()


class Apache(Server):
    """mod_dav, with the files where they were made."""

    name = "mod_dav"
    kinds = ("webdav",)
    packages = {APACHE: "apache2-bin", "/etc/mime.types": "media-types"}

    def path(self, kind):
        return "/"

    def prepare(self):
        hashed = base64.b64encode(hashlib.sha1(PASSWORD.encode()).digest()).decode()
        (self.at / "users").write_text(f"{USER}:{{SHA}}{hashed}\n")
        modules = "".join(f"LoadModule {name}_module {APACHE_MODULES}/mod_{name}.so\n" for name in MODULES)
        settings = APACHE_SETTINGS.format(at=self.at, port=self.port, files=self.data / "webdav")
        (self.at / "config").write_text(modules + settings)
        (self.at / "locks").mkdir()
        run(["chown", "nobody:nogroup", self.at / "locks"])
        run(["chmod", "-R", "a+rX", self.at, self.data / "webdav"])
        let_through(self.at)
        let_through(self.data)

    def fill(self):
        pass

    def command(self):
        return [APACHE, "-D", "FOREGROUND", "-f", self.at / "config"]


SERVERS = {server.name: server for server in (Radicale, Sabre, CyrusDav, Apache)}

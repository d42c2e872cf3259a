//! The servers of CalDAV, CardDAV and WebDAV that tests start. `scripts/dav` and `scripts/cyrus` get those that are no
//! packages of Debian.

use super::cyrus::Cyrus;
use super::dav::{Dav, Homes, PASSWORD, Running, USER};
use super::servers::{Daemon, free_port};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

/// Modules of Apache, by what LoadModule calls them.
const MODULES: [&str; 8] =
    ["mpm_event", "authn_core", "authn_file", "authz_core", "authz_user", "auth_basic", "dav", "dav_fs"];

/// A program of `scripts/dav`.
fn program(name: &str) -> Option<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"), PathBuf::from);
    let folder = target.join("servers/dav");
    if !folder.join("ready").exists() {
        super::skip("servers of DAV are not there; scripts/dav gets them");
        return None;
    }
    Some(folder.join("bin").join(name))
}

impl Dav {
    /// Radicale, whose home for the user is made by the first request.
    pub(crate) fn radicale() -> Option<Dav> {
        let program = program("radicale")?;
        let homes = Homes { calendars: "/alice/", contacts: "/alice/", ..Homes::default() };
        let server = Dav::start("radicale", homes, |dir, port| {
            let users = dir.join("users");
            fs::write(&users, format!("{USER}:{PASSWORD}\n")).expect("a file");
            let settings = format!(
                "[server]\nhosts = 127.0.0.1:{port}\n[auth]\ntype = htpasswd\nhtpasswd_filename = {}\nhtpasswd_encryption = plain\ndelay = 0\n[storage]\nfilesystem_folder = {}\n",
                users.display(),
                dir.join("data").display()
            );
            fs::write(dir.join("config"), settings).expect("a file");
            let mut command = Command::new(&program);
            command.arg("-C").arg(dir.join("config"));
            command
        });
        server.ask("PROPFIND", "/alice/", &[("Depth", "0")], b"");
        Some(server)
    }

    /// Xandikos, which takes any login.
    pub(crate) fn xandikos() -> Option<Dav> {
        let program = program("xandikos")?;
        let homes = Homes { calendars: "/alice/calendars/", contacts: "/alice/contacts/", ..Homes::default() };
        Some(Dav::start("xandikos", homes, |dir, port| {
            let mut command = Command::new(&program);
            command.args(["serve", "--autocreate", "--current-user-principal", "/alice/", "-l", "127.0.0.1", "-p"]);
            command.arg(port.to_string()).arg("-d").arg(dir.join("data"));
            command
        }))
    }

    /// Debian's sabre, the core of Nextcloud and Baikal, with a small script around it.
    pub(crate) fn sabre() -> Option<Dav> {
        if !super::has("php") || !Path::new("/usr/share/php/Sabre/autoload.php").exists() {
            super::skip("php-sabre-dav is not installed");
            return None;
        }
        let homes = Homes { calendars: "/calendars/alice/", contacts: "/addressbooks/alice/", files: "/files/" };
        Some(Dav::start("sabre", homes, |dir, port| {
            fs::create_dir(dir.join("files")).expect("a directory");
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers/sabre.php");
            let mut command = Command::new("php");
            command.arg("-S").arg(format!("127.0.0.1:{port}")).arg(script);
            command.env("SABRE_DATA", dir).env("PHP_CLI_SERVER_WORKERS", "4");
            command
        }))
    }

    /// Cyrus, where the first login with IMAP makes the account.
    pub(crate) fn cyrus_of_alice() -> Option<Dav> {
        let cyrus = Cyrus::start()?;
        let imap = TcpStream::connect(("127.0.0.1", cyrus.imap)).expect("a connection");
        write!(&imap, "a LOGIN {USER} {PASSWORD}\r\nb LOGOUT\r\n").expect("sent");
        assert!(BufReader::new(imap).lines().any(|line| line.is_ok_and(|line| line.starts_with("a OK"))));
        let homes = Homes {
            calendars: "/dav/calendars/user/alice/",
            contacts: "/dav/addressbooks/user/alice/",
            ..Homes::default()
        };
        Some(Dav { name: "cyrus", port: cyrus.http, running: Running::Cyrus(cyrus), homes })
    }

    /// WsgiDAV, with the files in [`Dav::files`]; with Digest it takes no other login.
    pub(crate) fn wsgidav(is_digest: bool) -> Option<Dav> {
        let program = program("wsgidav")?;
        Some(Dav::start("wsgidav", Homes { files: "/", ..Homes::default() }, |dir, port| {
            fs::create_dir(dir.join("files")).expect("a directory");
            let settings = serde_json::json!({
                "host": "127.0.0.1",
                "port": port,
                "provider_mapping": { "/": dir.join("files") },
                "simple_dc": { "user_mapping": { "*": { USER: { "password": PASSWORD } } } },
                "http_authenticator": {
                    "accept_basic": !is_digest,
                    "accept_digest": is_digest,
                    "default_to_digest": is_digest,
                },
                "verbose": 1,
            });
            fs::write(dir.join("config.json"), settings.to_string()).expect("a file");
            let mut command = Command::new(&program);
            command.arg("-c").arg(dir.join("config.json"));
            command
        }))
    }

    /// Apache with mod_dav, with the files in [`Dav::files`].
    pub(crate) fn apache() -> Option<Dav> {
        let modules = Path::new("/usr/lib/apache2/modules");
        if !super::has("apache2") || !modules.join("mod_dav_fs.so").exists() {
            super::skip("apache2-bin is not installed");
            return None;
        }
        Some(Dav::start("apache", Homes { files: "/", ..Homes::default() }, |dir, port| {
            let at = dir.display();
            fs::create_dir(dir.join("files")).expect("a directory");
            fs::create_dir(dir.join("run")).expect("a directory");
            let digest = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, PASSWORD.as_bytes());
            let digest = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, digest);
            fs::write(dir.join("users"), format!("{USER}:{{SHA}}{digest}\n")).expect("a file");
            let mut settings = format!(
                "ServerName 127.0.0.1\nListen 127.0.0.1:{port}\nPidFile {at}/run/pid\nDefaultRuntimeDir {at}/run\n\
                 ErrorLog {at}/errors\nDocumentRoot {at}/files\n"
            );
            for name in MODULES {
                settings += &format!("LoadModule {name}_module {}/mod_{name}.so\n", modules.display());
            }
            settings += &format!(
                "DavLockDB {at}/run/locks\n<Directory {at}/files>\nDav On\nAuthType Basic\nAuthName files\n\
                 AuthUserFile {at}/users\nRequire valid-user\n</Directory>\n"
            );
            // It serves as nobody if root starts it.
            if rustix::process::geteuid().is_root() {
                settings += "User nobody\nGroup nogroup\n";
                fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).expect("permissions");
                let given = Command::new("chown").args(["-R", "nobody:nogroup"]).arg(dir).status();
                assert!(given.expect("chown runs").success(), "what it serves belongs to it");
            }
            fs::write(dir.join("httpd.conf"), settings).expect("a file");
            let mut command = Command::new("apache2");
            command.arg("-DFOREGROUND").arg("-d").arg(dir).arg("-f").arg(dir.join("httpd.conf"));
            command
        }))
    }

    fn start(name: &'static str, homes: Homes, command: impl FnOnce(&Path, u16) -> Command) -> Dav {
        let dir = tempfile::tempdir().expect("a directory");
        let port = free_port();
        let command = command(dir.path(), port);
        let daemon = Daemon::start(command, &[port], &dir.path().join("output"));
        Dav { name, running: Running::Own(daemon, dir), port, homes }
    }

    /// The directory that a server of files serves.
    pub(crate) fn files(&self) -> PathBuf {
        self.path().join("files")
    }

    /// Makes what it told clients to go on from worth nothing, as far as it can be made to.
    pub(crate) fn forget_tokens(&self) {
        match self.name {
            "radicale" => remove(&self.path().join("data"), ".Radicale.cache"),
            "sabre" => {
                let conn = rusqlite::Connection::open(self.path().join("db.sqlite")).expect("its database");
                let sql = "UPDATE calendars SET ctag = ctag + 1000; UPDATE addressbooks SET ctag = ctag + 1000";
                conn.execute_batch(sql).expect("its counters can be changed");
            }
            "cyrus" => {
                // It forgets what was removed, and refuses tokens from before.
                let mut expire = self.cyrus().expect("a Cyrus").tool("cyr_expire");
                let output = expire.args(["-E", "0", "-X", "0", "-D", "0"]).output().expect("it starts");
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            }
            "wsgidav" | "apache" => touch(&self.files()),
            // Xandikos knows every state that it ever had.
            _ => {}
        }
    }
}

/// Removes directories of a name, wherever they lie.
fn remove(below: &Path, name: &str) {
    for entry in fs::read_dir(below).expect("a directory").flatten() {
        let path = entry.path();
        match path.is_dir() {
            true if entry.file_name() == name => fs::remove_dir_all(&path).expect("it can be removed"),
            true => remove(&path, name),
            false => {}
        }
    }
}

/// Gives all files another time, and with it another etag.
fn touch(below: &Path) {
    let time = SystemTime::now() - Duration::from_secs(3600);
    for entry in fs::read_dir(below).expect("a directory").flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => touch(&path),
            false => {
                fs::File::options().write(true).open(&path).and_then(|file| file.set_modified(time)).expect("a time")
            }
        }
    }
}

//! A Cyrus IMAP of its own for a test: IMAP, ManageSieve and JMAP on loopback. `scripts/cyrus` gets it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::servers::{Daemon, free_ports};

const SETTINGS: &str = include_str!("cyrus/imapd.conf");
const SERVICES: &str = include_str!("cyrus/cyrus.conf");

/// A running Cyrus. Every user of `example.org` exists, with any password; the first login makes the mailboxes.
pub(crate) struct Cyrus {
    // Before the directory: it has to end first.
    daemon: Daemon,
    dir: tempfile::TempDir,
    /// Clear text.
    pub imap: u16,
    pub sieve: u16,
    /// JMAP, at `/.well-known/jmap`.
    pub http: u16,
}

/// Where `scripts/cyrus` put it.
fn unpacked() -> Option<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"), PathBuf::from);
    let folder = target.join("servers/cyrus");
    if !folder.join("ready").exists() || !folder.join("usr/lib/cyrus/bin/httpd").exists() {
        super::skip("Cyrus IMAP is not there; scripts/cyrus gets it");
        return None;
    }
    Some(folder)
}

impl Cyrus {
    /// Starts one; `None` if Cyrus is not there, or if nobody but root could start it.
    pub(crate) fn start() -> Option<Cyrus> {
        let program = unpacked()?;
        if !rustix::process::geteuid().is_root() {
            super::skip("Cyrus is started by root only");
            return None;
        }
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path();
        for part in ["config", "config/db", "spool", "sieve", "run", "db", "servers"] {
            fs::create_dir(path.join(part)).expect("a directory");
        }
        // Its user may not be allowed into the folders above the unpacked program.
        let copied = Command::new("cp").arg("-a").arg(program.join("usr")).arg(path.join("servers")).status();
        assert!(copied.expect("cp runs").success(), "Cyrus can be copied");
        let [imap, sieve, http] = free_ports();
        let at = path.display().to_string();
        let bin = format!("{at}/servers/usr/lib/cyrus/bin");
        let values = [
            ("{at}", at.clone()),
            ("{bin}", bin.clone()),
            ("{imap}", imap.to_string()),
            ("{http}", http.to_string()),
            ("{sieve}", sieve.to_string()),
        ];
        for (name, text) in [("imapd.conf", SETTINGS), ("cyrus.conf", SERVICES)] {
            let filled = values.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value));
            fs::write(path.join(name), filled).expect("a configuration");
        }
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("permissions");
        let given = Command::new("chown").args(["-R", "nobody:nogroup"]).arg(path).status().expect("chown runs");
        assert!(given.success(), "everything that it writes belongs to it");
        let mut command = Command::new(format!("{bin}/master"));
        command.arg("-D").arg("-C").arg(path.join("imapd.conf")).arg("-M").arg(path.join("cyrus.conf"));
        command.arg("-p").arg(path.join("run/master.pid"));
        let libraries = format!("{at}/servers/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
        command.env("LD_LIBRARY_PATH", libraries);
        let daemon = Daemon::start(command, &[imap, sieve, http], &path.join("output"));
        Some(Cyrus { daemon, dir, imap, sieve, http })
    }

    /// Ends it and starts it again.
    pub(crate) fn restart(&mut self) {
        self.daemon.restart();
    }

    /// A program of Cyrus that works on its data, e.g. `cyr_expire`.
    pub(crate) fn tool(&self, name: &str) -> Command {
        let mut command = Command::new(self.path().join("servers/usr/lib/cyrus/bin").join(name));
        let libraries = format!("servers/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
        command.arg("-C").arg(self.path().join("imapd.conf")).env("LD_LIBRARY_PATH", self.path().join(libraries));
        command
    }

    /// What it printed. It logs to syslog.
    pub(crate) fn log(&self) -> String {
        self.daemon.said()
    }

    /// The directory of everything.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }
}

//! A Dovecot of the test: IMAP and ManageSieve (Pigeonhole) on loopback, with users of one password.

use super::has;
use super::servers::{Authority, Certificate, Daemon, Flaw, free_ports};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The password of every user.
pub(crate) const PASSWORD: &str = "pencil\"s \\ ä,=";

/// A running Dovecot.
pub(crate) struct Dovecot {
    // Before the directory: it has to end first.
    daemon: Daemon,
    dir: tempfile::TempDir,
    /// Implicit TLS; the certificate is signed by the one of [`Dovecot::authority_file`].
    pub imaps: u16,
    pub sieves: u16,
    /// Clear text, with STARTTLS.
    pub imap: u16,
    pub sieve: u16,
    pub certificate: Certificate,
}

impl Dovecot {
    /// Starts one; `settings` are added to its configuration (`ssl = no` for one without TLS). `None` where it is not installed.
    pub(crate) fn start(settings: &str) -> Option<Dovecot> {
        if !has("dovecot") || !Path::new("/usr/lib/dovecot/managesieve").exists() && !has("dovecot-managesieved") {
            return None;
        }
        let dir = tempfile::tempdir().expect("a directory");
        let at = dir.path();
        fs::set_permissions(at, fs::Permissions::from_mode(0o755)).expect("permissions");
        for part in ["home", "run", "state"] {
            fs::create_dir(at.join(part)).expect("a directory");
        }
        let authority = Authority::new();
        let certificate = authority.certificate(Flaw::None);
        authority.file(at);
        fs::write(at.join("cert.pem"), &certificate.pem).expect("a certificate");
        fs::write(at.join("key.pem"), certificate.key.serialize_pem()).expect("a key");
        let [imap, imaps, sieve, sieves] = free_ports();
        let config = at.join("dovecot.conf");
        fs::write(&config, configuration(at, [imap, imaps, sieve, sieves]) + settings).expect("a configuration");
        let mut command = Command::new("dovecot");
        command.arg("-F").arg("-c").arg(&config);
        let ports = if settings.contains("ssl = no") { vec![imap, sieve] } else { vec![imap, imaps, sieve, sieves] };
        let daemon = Daemon::start(command, &ports, &at.join("output"));
        Some(Dovecot { daemon, imap, imaps, sieve, sieves, certificate, dir })
    }

    /// The certificate of the authority, for SSL_CERT_FILE.
    pub(crate) fn authority_file(&self) -> PathBuf {
        self.dir.path().join("authority.pem")
    }

    /// The home of a user, made if it is missing.
    pub(crate) fn home(&self, user: &str) -> PathBuf {
        let home = self.dir.path().join("home").join(user);
        if !home.exists() {
            fs::create_dir_all(&home).expect("a home");
            self.give(&home);
        }
        home
    }

    /// Gives a file or directory to whom the mail belongs.
    pub(crate) fn give(&self, path: &Path) {
        if is_root() {
            chown(path, Some(65_534), Some(65_534)).expect("a new owner");
        }
    }

    /// What it logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default() + &self.daemon.said()
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn configuration(at: &Path, [imap, imaps, sieve, sieves]: [u16; 4]) -> String {
    let at = at.display();
    // Root serves no mail; somebody else can only serve it as himself.
    let (login, group, uid, gid) = if is_root() {
        ("nobody".to_owned(), "nogroup".to_owned(), "65534".to_owned(), "65534".to_owned())
    } else {
        let id = |flag| {
            let output = Command::new("id").args([flag, "-n"]).output().expect("id runs");
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        };
        let (user, group) = (id("-u"), id("-g"));
        (user.clone(), group.clone(), user, group)
    };
    let password: String = PASSWORD.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!(
        r#"base_dir = {at}/run
state_dir = {at}/state
log_path = {at}/log
protocols = imap sieve
listen = 127.0.0.1
default_internal_user = {login}
default_internal_group = {group}
default_login_user = {login}
first_valid_uid = 1
mail_location = maildir:~/Maildir:LAYOUT=fs
ssl = yes
ssl_cert = <{at}/cert.pem
ssl_key = <{at}/key.pem
disable_plaintext_auth = no
auth_mechanisms = plain login scram-sha-256
auth_failure_delay = 0
passdb {{
  driver = static
  args = password={{PLAIN.HEX}}{password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={at}/home/%u
}}
namespace inbox {{
  inbox = yes
  separator = /
}}
plugin {{
  sieve = file:~/sieve;active=~/.dovecot.sieve
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
service managesieve-login {{
  chroot =
  inet_listener sieve {{
    port = {sieve}
  }}
  inet_listener sieves {{
    port = {sieves}
    ssl = yes
  }}
}}
service anvil {{
  chroot =
  # Tests with wrong passwords should not make each other wait.
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
"#
    )
}

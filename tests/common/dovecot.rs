//! A Dovecot of its own for a test: IMAP, and ManageSieve where wanted, on loopback.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::server::{free_port, hand_over, server_user, terminate, wait_for_port};

/// The password of every user.
pub const PASSWORD: &str = "secret";

/// What a Dovecot shall be like.
#[derive(Default)]
pub struct Options {
    /// Also speak ManageSieve.
    pub sieve: bool,
    /// Further lines of its configuration.
    pub settings: String,
}

/// A running Dovecot. Every user exists, with [`PASSWORD`].
pub struct Dovecot {
    folder: TempDir,
    child: Child,
    pub imap_port: u16,
    /// Nobody listens here without [`Options::sieve`].
    pub sieve_port: u16,
}

impl Dovecot {
    /// Starts one; `None` if Dovecot is not installed.
    pub fn start(options: Options) -> Option<Dovecot> {
        if !super::has("dovecot") {
            return None;
        }
        let folder = tempfile::Builder::new().prefix("vandelay-dovecot-").tempdir().expect("a folder");
        let path = folder.path();
        fs::create_dir_all(path.join("home")).expect("a folder");
        hand_over(path);
        let (imap_port, sieve_port) = (free_port(), free_port());
        let (user, group) = server_user();
        let at = path.display();
        let protocols = if options.sieve { "imap sieve" } else { "imap" };
        let sieve_login = if options.sieve {
            format!(
                "service managesieve-login {{\n  chroot =\n  inet_listener sieve {{\n    port = {sieve_port}\n  }}\n}}\n"
            )
        } else {
            String::new()
        };
        let settings = options.settings;
        let config = format!(
            "base_dir = {at}/run
state_dir = {at}/state
log_path = {at}/log
default_login_user = {user}
default_internal_user = {user}
default_internal_group = {group}
protocols = {protocols}
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login scram-sha-256
mail_location = maildir:~/Maildir
first_valid_uid = 1
mail_max_userip_connections = 100
mail_fsync = never
passdb {{
  driver = static
  args = password={PASSWORD}
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={at}/home/%u
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {imap_port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
{sieve_login}service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
namespace inbox {{
  inbox = yes
  separator = /
  mailbox Sent {{
    special_use = \\Sent
    auto = create
  }}
}}
{settings}
"
        );
        fs::write(path.join("conf"), config).expect("a configuration");
        let child = Command::new("dovecot")
            .arg("-F")
            .arg("-c")
            .arg(path.join("conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("dovecot starts");
        let mut dovecot = Dovecot { folder, child, imap_port, sieve_port };
        let log = dovecot.log();
        wait_for_port(imap_port, &mut dovecot.child, "Dovecot", &log);
        if options.sieve {
            wait_for_port(sieve_port, &mut dovecot.child, "ManageSieve", &log);
        }
        Some(dovecot)
    }

    /// The Maildir of a user, Maildir++ with `/` as the separator on the wire. Call [`Dovecot::adopt`] after writing
    /// into it.
    pub fn maildir(&self, user: &str) -> PathBuf {
        self.folder.path().join("home").join(user).join("Maildir")
    }

    /// Gives what a test wrote below a Maildir to Dovecot.
    pub fn adopt(&self) {
        hand_over(&self.folder.path().join("home"));
    }

    /// Where it says what it does.
    pub fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// A folder of its own that is removed with it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        terminate(&mut self.child);
        if std::thread::panicking() {
            eprintln!("Dovecot's log:\n{}", fs::read_to_string(self.log()).unwrap_or_default());
        }
    }
}

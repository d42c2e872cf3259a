//! A Cyrus IMAP of its own for a test: IMAP, and ManageSieve where wanted, on loopback. `scripts/cyrus` gets it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::server::{free_port, hand_over, server_user, terminate, wait_for_port};

/// A running Cyrus. Every user of `example.org` exists, with any password; the first login makes the mailboxes.
pub struct Cyrus {
    folder: TempDir,
    child: Child,
    pub imap_port: u16,
    pub sieve_port: u16,
}

/// Where `scripts/cyrus` put it.
fn unpacked() -> Option<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"), PathBuf::from);
    let folder = target.join("servers/cyrus");
    if !folder.join("ready").exists() {
        super::skip("Cyrus IMAP is not there; scripts/cyrus gets it");
        return None;
    }
    Some(folder)
}

impl Cyrus {
    /// Starts one; `None` if Cyrus is not there.
    pub fn start() -> Option<Cyrus> {
        let program = unpacked()?;
        let folder = tempfile::Builder::new().prefix("vandelay-cyrus-").tempdir().expect("a folder");
        let path = folder.path();
        for part in ["config", "spool", "sieve", "run", "db", "servers"] {
            fs::create_dir_all(path.join(part)).expect("a folder");
        }
        // Its user may not be allowed into the folders above the unpacked program.
        let copied = Command::new("cp").arg("-a").arg(program.join("usr")).arg(path.join("servers")).status();
        assert!(copied.expect("cp runs").success(), "Cyrus can be copied");
        let (imap_port, sieve_port) = (free_port(), free_port());
        let (user, group) = server_user();
        let at = path.display();
        let bin = format!("{at}/servers/usr/lib/cyrus/bin");
        fs::write(
            path.join("imapd.conf"),
            format!(
                "configdirectory: {at}/config
partition-default: {at}/spool
defaultpartition: default
sievedir: {at}/sieve
cyrus_user: {user}
cyrus_group: {group}
admins: admin
sasl_pwcheck_method: alwaystrue
sasl_mech_list: PLAIN LOGIN
allowplaintext: yes
virtdomains: userid
defaultdomain: example.org
unixhierarchysep: yes
altnamespace: yes
conversations: yes
autocreate_post: yes
autocreate_quota: 0
autocreate_inbox_folders: Sent|Drafts|Trash|Archive|Junk
xlist-sent: Sent
xlist-drafts: Drafts
xlist-trash: Trash
xlist-archive: Archive
xlist-junk: Junk
idlesocket: {at}/run/idle
lmtpsocket: {at}/run/lmtp
notifysocket: {at}/run/notify
proc_path: {at}/run/proc
mboxname_lockpath: {at}/run/lock
duplicate_db_path: {at}/db/deliver.db
statuscache_db_path: {at}/db/statuscache.db
tls_sessions_db_path: {at}/db/tls_sessions.db
"
            ),
        )
        .expect("a configuration");
        fs::write(
            path.join("cyrus.conf"),
            format!(
                "START {{
}}
SERVICES {{
  imap cmd=\"{bin}/imapd -C {at}/imapd.conf\" listen=\"127.0.0.1:{imap_port}\" prefork=0
  sieve cmd=\"{bin}/timsieved -C {at}/imapd.conf\" listen=\"127.0.0.1:{sieve_port}\" prefork=0
}}
EVENTS {{
}}
"
            ),
        )
        .expect("a configuration");
        hand_over(path);
        let log = fs::File::create(path.join("log")).expect("a log");
        let child = Command::new(format!("{bin}/master"))
            .arg("-D")
            .arg("-C")
            .arg(path.join("imapd.conf"))
            .arg("-M")
            .arg(path.join("cyrus.conf"))
            .arg("-p")
            .arg(path.join("run/master.pid"))
            .env("LD_LIBRARY_PATH", format!("{at}/servers/usr/lib/{}-linux-gnu", std::env::consts::ARCH))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("Cyrus starts");
        let mut cyrus = Cyrus { folder, child, imap_port, sieve_port };
        let log = cyrus.folder.path().join("log");
        wait_for_port(imap_port, &mut cyrus.child, "Cyrus", &log);
        wait_for_port(sieve_port, &mut cyrus.child, "timsieved", &log);
        Some(cyrus)
    }
}

impl Drop for Cyrus {
    fn drop(&mut self) {
        terminate(&mut self.child);
    }
}

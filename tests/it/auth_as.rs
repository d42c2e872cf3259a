//! `--auth-as`: an administrator's login backs up the account of a user, and the archive is the user's.

use crate::common::cyrus::Cyrus;
use crate::common::dovecot::{Dovecot, PASSWORD};
use crate::common::*;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

const MASTER: &str = "master-secret,=7";

/// A Dovecot with a master user, and mail and a script of alice.
struct Place {
    dovecot: Dovecot,
    dir: tempfile::TempDir,
}

impl Place {
    fn new(settings: &str, more: &str) -> Option<Place> {
        let dir = tempfile::tempdir().expect("a directory");
        fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("permissions");
        let masters = dir.path().join("masters");
        let hex: String = MASTER.bytes().map(|byte| format!("{byte:02x}")).collect();
        fs::write(&masters, format!("postmaster:{{PLAIN.HEX}}{hex}\n")).expect("master users");
        let master = format!(
            "auth_master_user_separator = *\npassdb {{\n driver = passwd-file\n master = yes\n {more}\n args = {}\n}}\n",
            masters.display()
        );
        let dovecot = Dovecot::start(&(master + settings))?;
        let home = dovecot.home("alice");
        for folder in ["sieve", "Maildir", "Maildir/new", "Maildir/cur", "Maildir/tmp"] {
            fs::create_dir(home.join(folder)).expect("a folder");
            dovecot.give(&home.join(folder));
        }
        for (file, bytes) in [("Maildir/new/1.a.b", message(1)), ("sieve/main.sieve", b"keep;\r\n".to_vec())] {
            fs::write(home.join(file), bytes).expect("a file");
            dovecot.give(&home.join(file));
        }
        Some(Place { dovecot, dir })
    }

    /// Imports over a protocol as this login into an archive, and expects this code; gives what was said.
    fn import(&self, kind: &str, archive: &Path, login: (&str, &str), act_as: &[&str], code: i32) -> String {
        let url = match kind {
            "imap" => format!("imaps://localhost:{}", self.dovecot.imaps),
            _ => format!("sieves://localhost:{}", self.dovecot.sieves),
        };
        let trusted = self.dovecot.authority_file();
        let said = import((kind, &url, Some(&trusted)), archive, login, act_as, code);
        assert!(code != 0 || !self.dovecot.log().contains(MASTER));
        said
    }

    fn archive(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// Imports of a kind from a URL; without the file of a trusted authority, in clear.
fn import(
    (kind, url, trusted): (&str, &str, Option<&Path>),
    archive: &Path,
    (user, password): (&str, &str),
    act_as: &[&str],
    code: i32,
) -> String {
    let mut command = vandelay();
    command.args(["import", kind, "-vvv", "--url", url, "--auth-basic", user]).args(act_as).arg(archive);
    match trusted {
        Some(file) => command.env("SSL_CERT_FILE", file),
        None => command.arg("--allow-cleartext"),
    };
    let output = command.env("VANDELAY_PASSWORD", password).stdin(Stdio::null()).output().expect("the program starts");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{kind} {user} {act_as:?}: {said}");
    assert!(!said.contains(password), "{said}");
    said
}

/// Imports by the user and by an administrator are of one source: the second finds nothing new. No name or secret of the
/// administrator is in the archive.
fn is_the_same_account(place: &Place, kind: &str, mechanism: &str) {
    let archive = place.archive(&format!("{kind}-{mechanism}.sqlite"));
    let own = place.import(kind, &archive, ("alice", PASSWORD), &[], 0);
    assert!(own.contains("new 1"), "{own}");
    for login in ["postmaster", "alice*postmaster"] {
        let said = place.import(kind, &archive, (login, MASTER), &["--auth-as", "alice"], 0);
        assert!(said.contains("unchanged 1)"), "{kind} {login}: {said}");
        assert!(said.contains(&format!("AUTHENTICATE {mechanism}")), "{said}");
    }
    // Begun by the administrator, gone on by the user.
    let archive = place.archive(&format!("{kind}-{mechanism}-admin.sqlite"));
    place.import(kind, &archive, ("postmaster", MASTER), &["--auth-as", "alice"], 0);
    let said = place.import(kind, &archive, ("alice", PASSWORD), &[], 0);
    assert!(said.contains("unchanged 1)"), "{kind}: {said}");
    let bytes = fs::read(&archive).expect("an archive");
    for secret in ["postmaster", MASTER] {
        assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret} is in the archive");
    }
}

#[test]
fn a_master_user_of_dovecot_backs_up_the_account_of_a_user() {
    // The last is Debian's example, where Dovecot checks SCRAM against the password of the user: so PLAIN goes first.
    for (settings, more, mechanism) in [
        ("auth_mechanisms = scram-sha-256\n", "", "SCRAM-SHA-256"),
        ("auth_mechanisms = plain\n", "", "PLAIN"),
        ("", "pass = yes", "PLAIN"),
    ] {
        let Some(place) = Place::new(settings, more) else { return };
        for kind in ["imap", "managesieve"] {
            is_the_same_account(&place, kind, mechanism);
            let archive = place.archive("refused.sqlite");
            for (login, password) in [("postmaster", "wrong-secret"), ("bob", PASSWORD)] {
                let said = place.import(kind, &archive, (login, password), &["--auth-as", "alice"], 12);
                assert!(said.contains(&format!("refused the login of {login} as alice")), "{said}");
                assert!(said.contains("hint: check the administrator's password"), "{said}");
            }
        }
    }
}

#[test]
fn a_server_that_has_only_login_is_told_both_names_in_one() {
    let Some(place) = Place::new("auth_mechanisms = login\n", "") else { return };
    let archive = place.archive("alice.sqlite");
    for kind in ["imap", "managesieve"] {
        let said = place.import(kind, &archive, ("postmaster", MASTER), &["--auth-as", "alice"], 2);
        assert!(said.contains("--auth-as does not work at localhost:"), "{said}");
        assert!(said.contains("hint: ") && said.contains("'USER*ADMIN'"), "{said}");
        place.import(kind, &archive, ("alice*postmaster", MASTER), &["--auth-as", "alice"], 0);
    }
}

#[test]
fn an_administrator_of_cyrus_acts_as_a_user() {
    const ALICE: &str = "alice@example.org";
    let Some(cyrus) = Cyrus::start() else { return };
    let dir = tempfile::tempdir().expect("a directory");
    let (imap, sieve) = (format!("imap://127.0.0.1:{}", cyrus.imap), format!("sieve://127.0.0.1:{}", cyrus.sieve));
    let run = |kind: &str, login: &str, act_as: &[&str], code| {
        let (archive, url) = (dir.path().join(kind), if kind == "imap" { &imap } else { &sieve });
        import((kind, url, None), &archive, (login, "x-secret"), act_as, code)
    };
    // The first login with IMAP makes the account.
    for kind in ["imap", "managesieve"] {
        run(kind, ALICE, &[], 0);
        let said = run(kind, "admin", &["--auth-as", ALICE], 0);
        assert!(said.contains("AUTHENTICATE PLAIN"), "{said}");
        let said = run(kind, "bob@example.org", &["--auth-as", ALICE], 12);
        assert!(said.contains(&format!("refused the login of bob@example.org as {ALICE}")), "{said}");
        // Without the flag it is the administrator's own account, and another source than that of the archive.
        if kind == "imap" {
            run(kind, "bob@example.org", &[], 4);
        }
    }
}

/// HTTP has no place for it: an error says so before anything is sent, unless the login name has both.
#[test]
fn over_http_the_login_name_must_have_both() {
    let dir = tempfile::tempdir().expect("a directory");
    let archive = dir.path().join("alice.sqlite");
    for kind in ["jmap", "caldav", "carddav", "webdav"] {
        let which: &[&str] = if kind == "jmap" { &["--account-name", "alice"] } else { &[] };
        let url = "https://127.0.0.1:1/";
        let run = |login: &str, code| {
            let act_as = [&["--auth-as", "alice", "--max-retries", "0"], which].concat();
            import((kind, url, Some(Path::new("/dev/null"))), &archive, (login, "x-secret"), &act_as, code)
        };
        let said = run("admin", 1);
        assert!(said.contains("over HTTP a server cannot be told to act as another user"), "{said}");
        assert!(said.contains("--auth-basic alice%ADMIN") || said.contains("--auth-basic 'alice%ADMIN'"), "{said}");
        let said = run("alice%admin", 2);
        assert!(said.contains("127.0.0.1:1"), "nobody listens there: {said}");
    }
}

//! An account at another address (`--same-account`): files, scripts and JMAP. IMAP is in `imap_trouble`.

use crate::common;
use crate::common::dovecot::{Dovecot, PASSWORD};
use crate::common::jmap::{AccountOptions, Options, Server};
use crate::common::*;
use std::path::Path;
use std::process::{Command, Stdio};

/// Runs an import, which must end with this code; gives what was said.
fn import(arguments: &[&str], archive: &Path, code: i32) -> String {
    let mut command = vandelay();
    command.arg("import").args(arguments).args(common::with_sums(arguments)).arg(archive).stdin(Stdio::null());
    ends(command, archive, code)
}

fn ends(mut command: Command, archive: &Path, code: i32) -> String {
    let output = command.output().expect("the program starts");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{command:?}: {said}");
    if archive.exists() {
        ok(&["verify", archive.to_str().expect("UTF-8")]);
    }
    said
}

fn copy(from: &Path, to: &Path, flags: &str) {
    let status = Command::new("cp").arg(flags).arg(from).arg(to).status().expect("cp runs");
    assert!(status.success());
}

fn sources(archive: &Path) -> u32 {
    let conn = rusqlite::Connection::open(archive).expect("the archive opens");
    conn.query_row("SELECT count(*) FROM sources", [], |row| row.get(0)).expect("a number")
}

#[test]
fn a_directory_that_was_moved_or_copied_is_known_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let takeout = |at: &Path| {
        let mbox: Vec<u8> = (1..=6)
            .flat_map(|number| {
                [b"From a@b Mon Jan  1 00:00:00 2024\r\n".to_vec(), message(number), b"\r\n".to_vec()].concat()
            })
            .collect();
        std::fs::create_dir_all(at.join("Mail")).expect("a directory");
        std::fs::write(at.join("Mail/All mail.mbox"), mbox).expect("a file");
        let card = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:u1\r\nFN:Bob\r\nEND:VCARD\r\n";
        std::fs::write(at.join("All Contacts.vcf"), card).expect("a file");
    };
    for kind in ["maildir", "takeout"] {
        let archive = at(&format!("{kind}.sqlite"));
        let old = at(&format!("{kind}-old"));
        match kind {
            "maildir" => drop(maildir(&old, 60, 300)),
            _ => takeout(&old),
        }
        import(&[kind, &text(&old)], &archive, 0);
        let before = dump(&archive);
        for flags in ["-a", "-r"] {
            let new = at(&format!("{kind}-new{flags}"));
            copy(&old, &new, flags);
            let said = import(&[kind, &text(&new)], &archive, 4);
            assert!(said.contains("--same-account"), "{said}");
            let said = import(&[kind, &text(&new), "--same-account"], &archive, 0);
            assert!(said.contains("(new 0,") && said.contains("it is the same one"), "{said}");
            assert_eq!((dump(&archive), sources(&archive)), (before.clone(), 1), "{kind} {flags}");
            assert!(import(&[kind, &text(&new)], &archive, 0).contains("(new 0,"));
        }
        // Another one is another one.
        let other = at(&format!("{kind}-other"));
        deliver(&other, "1700000000.M1P1.host:2,S", &message(900));
        let mbox = [b"From a@b Mon Jan  1 00:00:00 2024\r\n".to_vec(), message(900)].concat();
        std::fs::write(other.join("All mail.mbox"), mbox).expect("a file");
        let said = import(&[kind, &text(&other), "--same-account"], &archive, 4);
        assert!(said.contains("only 0 of ") && said.contains("nothing was changed"), "{said}");
        assert_eq!(dump(&archive), before);
    }
}

#[test]
fn sieve_scripts_at_another_address_are_known_again() {
    let Some(dovecot) = Dovecot::start("") else { return };
    let folder = dovecot.home("alice").join("sieve");
    std::fs::create_dir(&folder).expect("a folder");
    dovecot.give(&folder);
    for name in ["main", "other"] {
        let path = folder.join(format!("{name}.sieve"));
        std::fs::write(&path, format!("keep; # {name}\r\n")).expect("a script");
        dovecot.give(&path);
    }
    let dir = tempfile::tempdir().expect("a directory");
    let archive = dir.path().join("a.sqlite");
    let import = |url: String, arguments: &[&str], code: i32| {
        let mut command = vandelay();
        command
            .args(["import", "managesieve", "--auth-basic", "alice", "--url", &url, "-v"])
            .args(arguments)
            .arg(&archive);
        command.env("SSL_CERT_FILE", dovecot.authority_file()).env("VANDELAY_PASSWORD", PASSWORD).stdin(Stdio::null());
        ends(command, &archive, code)
    };
    import(format!("sieves://localhost:{}", dovecot.sieves), &[], 0);
    // STARTTLS on the other port of the same host is the same account without a word.
    let said = import(format!("sieve://localhost:{}", dovecot.sieve), &[], 0);
    assert!(said.contains("unchanged 2") && sources(&archive) == 1, "{said}");
    let said = import(format!("sieve://127.0.0.1:{}", dovecot.sieve), &[], 4);
    assert!(said.contains("--same-account"), "{said}");
    let said = import(format!("sieve://127.0.0.1:{}", dovecot.sieve), &["--same-account"], 0);
    assert!(said.contains("unchanged 2") && sources(&archive) == 1, "{said}");
}

#[test]
fn a_jmap_account_at_another_address_is_known_again() {
    let options =
        Options { accounts: vec![AccountOptions::new("A1"), AccountOptions::new("A2")], ..Options::default() };
    let server = Server::start(options);
    jmap_account::fill(&server);
    let dir = tempfile::tempdir().expect("a directory");
    let archive = dir.path().join("a.sqlite");
    let import = |url: &str, account: &str, arguments: &[&str], code: i32| {
        let mut command = common::jmap_run::begin("import", url);
        command.env("VANDELAY_PASSWORD", "secret").args(["--auth-basic", "alice", "--account-id", account]);
        command.arg("--allow-other-origin").args(arguments).arg(&archive);
        common::jmap_run::judge(&command.output().expect("the program starts"), code)
    };
    import(&server.url(), "A1", &[], 0);
    let before = dump(&archive);
    let elsewhere = server.url().replace("127.0.0.1", "localhost");
    assert_ne!(elsewhere, server.url());
    let (_, said) = import(&elsewhere, "A1", &[], 4);
    assert!(said.contains("--same-account"), "{said}");
    let (_, said) = import(&elsewhere, "A2", &["--same-account"], 4);
    assert!(said.contains("account id"), "{said}");
    let (summary, said) = import(&elsewhere, "A1", &["--same-account"], 0);
    assert_eq!(common::jmap_run::stored(&summary, "email"), [0, 0, 31], "{said}");
    assert_eq!((dump(&archive), sources(&archive)), (before, 1));
    // The same ids at another server are not yet the same account.
    for (kind, change) in [("ContactCard", "uid"), ("CalendarEvent", "uid"), ("Email", "blobId")] {
        let other = Server::start(Options::default());
        jmap_account::fill(&other);
        for (at, id) in other.objects("A1", kind).into_keys().enumerate() {
            other.change("A1", kind, &id, |object| object[change] = serde_json::json!(format!("other-{at}")));
        }
        let (_, said) = import(&other.url(), "A1", &["--same-account"], 4);
        assert!(said.contains("another uid") || said.contains("are there under the same id"), "{kind}: {said}");
    }
    // Everything is listed on demand, and that changes nothing.
    let (summary, _) = import(&elsewhere, "A1", &["--full"], 0);
    assert_eq!(common::jmap_run::stored(&summary, "email"), [0, 0, 31]);
    ok(&["verify", archive.to_str().expect("UTF-8")]);
}

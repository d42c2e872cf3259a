//! Mail and scripts are exported into empty accounts of real servers and imported again: what comes back is what went out,
//! but for what docs/export.md says of each server. [`super::export_dates`] has events and cards.

use crate::common::cyrus::Cyrus;
use crate::common::dovecot::Dovecot;
use crate::common::export_target::{EIGHT, NUL, Target, archive_of_mail, mail_of, scripts_of};
use crate::common::imap::Imap;
use crate::common::jmap_run::{at_cyrus, judge};
use crate::common::mailboxes::{Account, differences};
use crate::common::terminal::Terminal;
use crate::common::{message, ok};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const SETTINGS: &str = "ssl = no
mail_fsync = never
mail_max_userip_connections = 100
namespace inbox {
  mailbox Gesendet {
    special_use = \\Sent
    auto = create
  }
}
";

// --- IMAP --------------------------------------------------------------------------------------------------------

/// An account on a server of IMAP, and what the server makes of mail.
struct MailServer {
    name: &'static str,
    target: Target,
    port: u16,
    /// Messages of the archive that it does not take.
    refused: Vec<&'static [u8]>,
    /// What it makes of some messages.
    changed: Vec<(&'static [u8], &'static [u8])>,
    /// What it calls the mailbox for sent mail.
    sent: &'static str,
    /// Mailboxes that it has by itself.
    own: &'static [&'static str],
}

impl MailServer {
    fn dovecot(dovecot: &Dovecot, user: &'static str) -> MailServer {
        MailServer {
            name: "dovecot",
            target: Target::dovecot(dovecot, "imap", user),
            port: dovecot.imap,
            // It takes no message of no bytes.
            refused: vec![b""],
            changed: vec![(NUL, b"Message-ID: <nul@x>\r\nSubject: nul\r\n\r\na\x80b\r\n")],
            sent: "Gesendet",
            own: &[],
        }
    }

    fn cyrus(cyrus: &Cyrus, user: &'static str) -> MailServer {
        MailServer {
            name: "cyrus",
            target: Target::cyrus(cyrus, "imap", user),
            port: cyrus.imap,
            refused: vec![b""],
            changed: vec![(EIGHT, b"Message-ID: <eight@x>\r\nSubject: GrXXe\r\n\r\nbody\r\n")],
            sent: "Sent",
            own: &["Archive", "Drafts", "Junk", "Trash"],
        }
    }

    fn writer(&self) -> Imap {
        Imap::login(self.port, self.target.user, self.target.password)
    }

    /// What the server has when an archive is there.
    fn expected(&self, archive: &Path) -> Account {
        let mut account = mail_of(archive);
        if let Some(sent) = account.remove("Sent") {
            account.insert(self.sent.to_owned(), sent);
        }
        for messages in account.values_mut() {
            messages.retain(|message| !self.refused.contains(&message.bytes.as_slice()));
            for message in messages.iter_mut() {
                let other = self.changed.iter().find(|(bytes, _)| *bytes == message.bytes);
                message.bytes = other.map_or_else(|| with_crlf(&message.bytes), |(_, other)| other.to_vec());
            }
        }
        for own in self.own {
            account.entry((*own).to_owned()).or_default();
        }
        account
    }

    fn now(&self, place: &Path) -> Account {
        let back = place.join(format!("{}-back.sqlite", self.name));
        self.target.import(&back);
        mail_of(&back)
    }

    fn check(&self, archive: &Path, place: &Path) {
        let differences = differences(&self.expected(archive), &self.now(place));
        assert!(differences.is_empty(), "{}: {differences:#?}", self.name);
    }
}

fn with_crlf(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for byte in bytes {
        if *byte == b'\n' && out.last() != Some(&b'\r') {
            out.push(b'\r');
        }
        out.push(*byte);
    }
    out
}

fn mail_goes_and_comes_back(server: &MailServer) {
    let place = tempfile::tempdir().expect("a folder");
    let archive = archive_of_mail(place.path());
    let messages: usize = mail_of(&archive).values().map(Vec::len).sum();
    let refused = server.refused.len() as u64;
    let plan = server.target.export(&archive, &["--dry-run"], 0);
    let mailboxes = plan.summary["plan"]["mailbox"]["create"].as_u64().expect("a number");
    assert_eq!(plan.planned("create"), messages as u64 + mailboxes, "{}", plan.summary);
    let before = server.now(place.path());
    assert!(before.values().all(Vec::is_empty) && !before.contains_key("Work"), "{before:?}");

    let done = server.target.export(&archive, &[], 5);
    assert_eq!(done.count("email", "created"), messages as u64 - refused, "{}: {}", server.name, done.said);
    assert_eq!(done.count("email", "refused"), refused, "{}: {}", server.name, done.said);
    server.check(&archive, place.path());
    // What it changed, the report says, but for line ends.
    let remarks = done.summary["remarks"].to_string();
    assert_eq!(
        remarks.matches("the server changed bytes of it").count(),
        server.changed.len(),
        "{}: {remarks}",
        server.name
    );
    let subscribed = server.writer().ok("LSUB \"\" \"*\"");
    assert!(subscribed.contains("Work\r") || subscribed.contains("Work\"\r"), "{subscribed}");
    assert!(!subscribed.contains("Old"), "{subscribed}");
    // Mailboxes that were there get the archive's subscriptions.
    server.target.export(&archive, &["--update"], 5);
    // What is refused is refused again, and nothing else happens.
    server.target.is_settled(&archive, 5);

    changes_come_back(server, &archive, place.path());
    surplus_goes(server, &archive, place.path());
    a_part_goes_into_a_folder(server, &archive, place.path());
}

/// Other flags at the server are a difference only for `--update`.
fn changes_come_back(server: &MailServer, archive: &Path, place: &Path) {
    let mut writer = server.writer();
    writer.ok("SELECT Work");
    writer.ok("STORE 1:* +FLAGS.SILENT (other \\Answered)");
    writer.ok("STORE 1 +FLAGS.SILENT (\\Deleted)");
    writer.ok("UNSUBSCRIBE Work");
    let plain = server.target.export(archive, &[], 5);
    assert_eq!(plain.sum("updated"), 0, "{}", plain.summary);
    let plan = server.target.export(archive, &["--update", "--dry-run"], 0);
    assert_eq!(plan.planned("update"), 5, "{}", plan.summary);
    let done = server.target.export(archive, &["--update"], 5);
    assert_eq!((done.sum("updated"), done.sum("created")), (5, 0), "{}: {}", done.summary, done.said);
    let flags = writer.ok("UID SEARCH DELETED");
    assert!(flags.lines().any(|line| line.starts_with("* SEARCH ")), "somebody else's mark stays: {flags}");
    writer.ok("STORE 1 -FLAGS.SILENT (\\Deleted)");
    server.check(archive, place);
}

/// `--prune` removes just what the archive lacks, and asks before.
fn surplus_goes(server: &MailServer, archive: &Path, place: &Path) {
    let mut writer = server.writer();
    writer.ok("CREATE Surplus");
    writer.ok("CREATE Kept");
    assert!(writer.append("Work", "(\\Seen) ", &message(99), false));
    assert!(writer.append("Surplus", "", &message(98), false));
    writer.ok("SELECT INBOX");
    writer.ok("STORE 1 +FLAGS.SILENT (\\Deleted)");
    let asked = server.target.export(archive, &["--prune"], 6);
    assert!(asked.said.contains("--yes"), "{}", asked.said);
    let plan = server.target.export(archive, &["--prune", "--dry-run"], 0);
    assert_eq!(plan.planned("remove"), 4, "{}", plan.summary);
    let done = server.target.export(archive, &["--prune", "--yes"], 5);
    assert_eq!((done.sum("removed"), done.sum("not_removed")), (4, 0), "{}: {}", done.summary, done.said);
    writer.ok("NOOP");
    writer.ok("STORE 1 -FLAGS.SILENT (\\Deleted)");
    server.check(archive, place);
    server.target.is_settled(archive, 5);
}

fn a_part_goes_into_a_folder(server: &MailServer, archive: &Path, place: &Path) {
    let flags = ["--path", "mail/Work/**", "--into", "Restored"];
    let done = server.target.export(archive, &flags, 0);
    assert_eq!(done.count("email", "created"), 7, "{}: {}", done.summary, done.said);
    let again = server.target.export(archive, &flags, 0);
    assert_eq!(again.sum("created"), 0, "{}", again.summary);
    let (mut now, all) = (server.now(place), server.expected(archive));
    let restored: Account = now.extract_if(.., |name, _| name.starts_with("Restored")).collect();
    let expected = all.iter().filter(|(name, _)| name.starts_with("Work"));
    let mut expected: Account = expected.map(|(name, all)| (format!("Restored/{name}"), all.clone())).collect();
    expected.insert("Restored".to_owned(), Vec::new());
    assert_eq!(differences(&expected, &restored), Vec::<String>::new());
    assert_eq!(differences(&all, &now), Vec::<String>::new());
}

#[test]
fn mail_goes_to_dovecot_and_comes_back() {
    let Some(dovecot) = Dovecot::start(SETTINGS) else { return };
    mail_goes_and_comes_back(&MailServer::dovecot(&dovecot, "alice"));
}

#[test]
fn mail_goes_to_cyrus_and_comes_back() {
    let Some(cyrus) = Cyrus::start() else { return };
    mail_goes_and_comes_back(&MailServer::cyrus(&cyrus, "alice@example.org"));
}

/// What is in the account already is not sent again, wherever it came from.
#[test]
fn an_account_that_has_a_part_gets_the_rest() {
    let Some(dovecot) = Dovecot::start(SETTINGS) else { return };
    let server = MailServer::dovecot(&dovecot, "alice");
    let place = tempfile::tempdir().expect("a folder");
    let archive = archive_of_mail(place.path());
    let mut writer = server.writer();
    writer.ok("CREATE Work");
    assert!(writer.append("INBOX", "(\\Seen) \"13-Sep-2020 12:26:41 +0000\" ", &message(1), false));
    assert!(writer.append("Work", "(\\Flagged) \"13-Sep-2020 12:26:41 +0000\" ", &message(1), false));
    let done = server.target.export(&archive, &[], 5);
    assert_eq!(done.count("email", "matched"), 2, "{}: {}", done.summary, done.said);
    server.check(&archive, place.path());
}

#[test]
fn the_question_of_prune_is_asked_and_no_is_an_answer() {
    let Some(dovecot) = Dovecot::start(SETTINGS) else { return };
    let server = MailServer::dovecot(&dovecot, "alice");
    let place = tempfile::tempdir().expect("a folder");
    let archive = archive_of_mail(place.path());
    server.target.export(&archive, &[], 5);
    assert!(server.writer().append("Work", "", &message(99), false));
    let answer = |answer: &str| {
        let mut terminal = Terminal::start(server.target.command("export", &archive, &["--prune"]));
        terminal.wait_for("Delete 1 object from the account alice?");
        terminal.types(answer);
        terminal.end()
    };
    let (code, said) = answer("n\n");
    assert!(code == Some(6) && said.contains("declined"), "{said}");
    assert!(server.now(place.path())["Work"].iter().any(|one| one.bytes == message(99)));
    assert_eq!(answer("y\n").0, Some(5));
    server.check(&archive, place.path());
}

/// What Cyrus has, as IMAP and as JMAP show it, goes to Dovecot.
#[test]
fn mail_of_cyrus_goes_to_dovecot_whichever_way_it_came() {
    let (Some(dovecot), Some(cyrus)) = (Dovecot::start(SETTINGS), Cyrus::start()) else { return };
    let place = tempfile::tempdir().expect("a folder");
    let source = MailServer::cyrus(&cyrus, "alice@example.org");
    source.target.export(&archive_of_mail(place.path()), &[], 5);
    let held = source.now(place.path());
    for (way, user) in [("imap", "alice"), ("jmap", "bob")] {
        let archive = place.path().join(format!("{way}.sqlite"));
        if way == "imap" {
            source.target.import(&archive);
        } else {
            let mut command = at_cyrus(&cyrus, "import", source.target.user);
            command.args(["--objects", "mailbox,email"]).arg(&archive);
            judge(&command.output().expect("the program starts"), 0);
        }
        let target = MailServer::dovecot(&dovecot, user);
        let done = target.target.export(&archive, &[], 0);
        let count: usize = held.values().map(Vec::len).sum();
        assert_eq!(done.count("email", "created"), count as u64, "{way}: {}: {}", done.summary, done.said);
        let mut expected = mail_of(&archive);
        // JMAP has one email where IMAP has copies with flags of their own.
        assert_eq!(expected.values().map(Vec::len).sum::<usize>(), count, "{way}");
        match way {
            "imap" => assert_eq!(expected, held),
            // JMAP calls it so.
            _ => drop(expected.remove("Inbox").map(|inbox| expected.insert("INBOX".to_owned(), inbox))),
        }
        let sent = expected.remove("Sent").expect("a mailbox");
        expected.insert(target.sent.to_owned(), sent);
        for message in expected.values_mut().flatten() {
            if let Some((_, other)) = target.changed.iter().find(|(bytes, _)| *bytes == message.bytes) {
                message.bytes = other.to_vec();
            }
        }
        let differences = differences(&expected, &target.now(place.path()));
        assert!(differences.is_empty(), "{way}: {differences:#?}");
        target.target.is_settled(&archive, 0);
    }
}

// --- ManageSieve -------------------------------------------------------------------------------------------------

/// Scripts of Dovecot's bob: their names, their text. The first one is active.
const SCRIPTS: [(&str, &str); 3] = [
    ("main", "require \"fileinto\";\r\nif header :is \"subject\" \"x\" { fileinto \"Lists\"; }\r\n"),
    ("on leave (2026)", "require \"vacation\";\r\nvacation \"away\";\r\n"),
    ("empty", "# nothing yet\r\n"),
];

fn archive_of_scripts(dovecot: &Dovecot, place: &Path) -> std::path::PathBuf {
    let home = dovecot.home("bob");
    let folder = home.join("sieve");
    fs::create_dir(&folder).expect("a folder");
    dovecot.give(&folder);
    for (name, text) in SCRIPTS {
        let path = folder.join(format!("{name}.sieve"));
        fs::write(&path, text).expect("a script");
        dovecot.give(&path);
    }
    std::os::unix::fs::symlink("sieve/main.sieve", home.join(".dovecot.sieve")).expect("a link");
    let archive = place.join("scripts.sqlite");
    Target::dovecot(dovecot, "managesieve", "bob").import(&archive);
    archive
}

fn scripts_go_and_come_back(source: &Dovecot, target: &Target) {
    let place = tempfile::tempdir().expect("a folder");
    let archive = archive_of_scripts(source, place.path());
    let back = place.path().join("back.sqlite");
    let now = || {
        target.import(&back);
        scripts_of(&back)
    };
    let expected: BTreeMap<String, Vec<u8>> = scripts_of(&archive);
    assert_eq!((expected.len(), &*expected["sieve/active"]), (4, &b"main.sieve"[..]));
    assert_eq!(target.export(&archive, &["--dry-run"], 0).planned("create"), 3);
    assert_eq!(now(), BTreeMap::new());
    assert_eq!(target.export(&archive, &[], 0).sum("created"), 3);
    assert_eq!(now(), expected);
    target.is_settled(&archive, 0);

    // Another script of the same name, another active one, and one too many.
    let other = place.path().join("other.sqlite");
    let bob = source.home("bob");
    fs::write(bob.join("sieve/main.sieve"), "discard;\r\n").expect("a script");
    fs::rename(bob.join("sieve/empty.sieve"), bob.join("sieve/more.sieve")).expect("a script");
    fs::remove_file(bob.join(".dovecot.sieve")).expect("a link");
    std::os::unix::fs::symlink("sieve/more.sieve", bob.join(".dovecot.sieve")).expect("a link");
    Target::dovecot(source, "managesieve", "bob").import(&other);
    let plain = target.export(&other, &[], 0);
    assert_eq!((plain.sum("created"), plain.sum("updated"), plain.sum("skipped")), (0, 0, 1), "{}", plain.summary);
    assert_eq!(now(), expected);
    let done = target.export(&other, &["--update"], 0);
    // The bytes of one, and which one is active.
    assert_eq!(done.sum("updated"), 2, "{}", done.summary);
    let wanted = scripts_of(&other);
    assert_eq!(now()["sieve/main.sieve"], b"discard;\r\n");
    target.is_settled(&other, 0);
    // A script of the same bytes is the same under another name: its name stays.
    let done = target.export(&other, &["--prune", "--yes"], 0);
    assert_eq!(done.sum("removed"), 0, "{}", done.summary);
    assert_eq!(now()["sieve/active"], b"empty.sieve", "{wanted:?}");
}

#[test]
fn scripts_go_to_dovecot_and_come_back() {
    let Some(dovecot) = Dovecot::start(SETTINGS) else { return };
    scripts_go_and_come_back(&dovecot, &Target::dovecot(&dovecot, "managesieve", "alice"));
}

#[test]
fn scripts_go_to_cyrus_and_come_back() {
    let (Some(dovecot), Some(cyrus)) = (Dovecot::start(SETTINGS), Cyrus::start()) else { return };
    let target = Target::cyrus(&cyrus, "managesieve", "alice@example.org");
    // The first login with IMAP makes the account.
    drop(Imap::login(cyrus.imap, target.user, target.password));
    scripts_go_and_come_back(&dovecot, &target);
}

#[test]
fn types_that_a_target_has_not_are_an_error() {
    let place = tempfile::tempdir().expect("a folder");
    let archive = archive_of_mail(place.path());
    let target = Target::at("managesieve", 1, "alice", "x");
    let said = target.export(&archive, &["--objects", "email"], 1).said;
    assert!(said.contains("this command writes sievescript only"), "{said}");
    ok(&["verify", "--quiet", archive.to_str().expect("UTF-8")]);
}

//! Exports of mail that are killed, cut off and refused: nothing comes twice, nothing is lost, and what a server does not
//! take is named while the rest goes on. [`super::export_faults_dav`] has events.

use crate::common::Dice;
use crate::common::cyrus::Cyrus;
use crate::common::dovecot::Dovecot;
use crate::common::export_target::{Ran, Target, import, killed, killed_when, mail_of};
use crate::common::fake_imap::{FakeImap, Mail, USUAL, mail, mailbox};
use crate::common::imap::Imap;
use crate::common::mailboxes::differences;
use crate::common::relay::Relay;
use crate::common::{deliver, filler, maildir, message, ok, soak};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

const SETTINGS: &str = "ssl = no\nmail_fsync = never\nmail_max_userip_connections = 100\n";

/// An archive of many messages in three folders.
fn many(place: &Path, count: u32) -> PathBuf {
    let archive = place.join("mail.sqlite");
    let mail = maildir(&place.join("mail"), count, 3000);
    // Every fifth one of the inbox lies in another folder, too.
    let inbox = fs::read_dir(mail.join("cur")).expect("a folder").map(|file| file.expect("a file").path());
    let mut inbox: Vec<PathBuf> = inbox.collect();
    inbox.sort_unstable();
    for path in inbox.iter().step_by(5) {
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
        deliver(&mail.join(".Filed"), name, &fs::read(path).expect("a message"));
    }
    import("maildir", &mail, &archive);
    archive
}

/// An archive of messages 0 to 9 of INBOX; number 3 has a keyword.
fn ten(place: &Path) -> PathBuf {
    let folder = place.join("mail");
    for number in 0..10 {
        let flags = if number == 3 { "Sa" } else { "S" };
        deliver(&folder, &format!("170000000{number}.{number}.h:2,{flags}"), &message(number));
    }
    fs::write(folder.join("dovecot-keywords"), "0 odd-word\n").expect("keywords");
    let archive = place.join("mail.sqlite");
    import("maildir", &folder, &archive);
    archive
}

fn check_mail(archive: &Path, target: &Target) {
    check_mail_beside(archive, target, &[]);
}

/// The account has the mail of the archive, and empty mailboxes of its own.
fn check_mail_beside(archive: &Path, target: &Target, own: &[&str]) {
    let back = archive.with_file_name("back.sqlite");
    target.import(&back);
    let mut expected = mail_of(archive);
    for own in own {
        expected.entry((*own).to_owned()).or_default();
    }
    let differences = differences(&expected, &mail_of(&back));
    assert!(differences.is_empty(), "{differences:#?}");
}

/// Ends exports at random moments, or while the server copies messages.
fn kills_leave_nothing_twice(target: &Target, port: u16, count: u32, own: &[&str]) {
    let place = tempfile::tempdir().expect("a folder");
    let archive = many(place.path(), count);
    let relay = Relay::start(port);
    let watched = Target { url: format!("imap://127.0.0.1:{}", relay.port), ..target.clone() };
    let (mut dice, mut kills) = (Dice(11), 0);
    for round in 0..if soak() { 50 } else { 10 } {
        let more: &[&str] = if round % 2 == 0 { &[] } else { &["--imap-connections", "1"] };
        // A third of what a run has to say.
        let bytes = 1000 + dice.below(count as usize * 1000);
        kills += u32::from(killed(watched.command("export", &archive, more), &relay, bytes));
    }
    assert!(kills >= 5, "{kills} kills");
    killed_when(watched.command("export", &archive, &[]), &relay, |said| said.contains("UID COPY"));
    target.export(&archive, &[], 0);
    check_mail_beside(&archive, target, own);
    target.is_settled(&archive, 0);
}

#[test]
fn a_killed_export_of_mail_leaves_nothing_twice() {
    let Some(dovecot) = Dovecot::start(SETTINGS) else { return };
    kills_leave_nothing_twice(&Target::dovecot(&dovecot, "imap", "alice"), dovecot.imap, 1500, &[]);
}

#[test]
fn a_killed_export_of_mail_to_cyrus_leaves_nothing_twice() {
    let Some(cyrus) = Cyrus::start() else { return };
    kills_leave_nothing_twice(&Target::cyrus(&cyrus, "imap", "alice@example.org"), cyrus.imap, 600, &CYRUS_HAS);
}

/// Mailboxes that an account of Cyrus has by itself.
const CYRUS_HAS: [&str; 5] = ["Archive", "Drafts", "Junk", "Sent", "Trash"];

#[test]
fn a_line_that_is_cut_leaves_nothing_twice() {
    let Some(dovecot) = Dovecot::start(SETTINGS) else { return };
    let place = tempfile::tempdir().expect("a folder");
    let archive = many(place.path(), 300);
    let relay = Relay::start(dovecot.imap);
    for (user, more) in [("alice", &["--imap-connections", "1"][..]), ("bob", &[])] {
        let direct = Target::dovecot(&dovecot, "imap", user);
        let target = Target { url: format!("imap://127.0.0.1:{}", relay.port), ..direct.clone() };
        for bytes in [900, 1200, 1500, 1800, 2100, 2600, 3300] {
            relay.cut_after(bytes);
            let output = target.command("export", &archive, &[&["--max-retries", "1"], more].concat()).output();
            let output = output.expect("the program starts");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.code().is_some() && !said.contains("panicked"), "{said}");
        }
        relay.cut_after(0);
        target.export(&archive, more, 0);
        check_mail(&archive, &direct);
    }
}

// --- what servers refuse -----------------------------------------------------------------------------------------

/// A server with an empty INBOX, and an archive of ten messages.
struct Post {
    server: FakeImap,
    target: Target,
    archive: PathBuf,
    _place: tempfile::TempDir,
}

impl Post {
    fn new(capabilities: &str) -> Post {
        let place = tempfile::tempdir().expect("a folder");
        let server = FakeImap::start(capabilities, vec![mailbox("INBOX", Vec::new())]);
        let target = Target::at("imap", server.port, "alice", "correct horse");
        Post { archive: ten(place.path()), server, target, _place: place }
    }

    fn export(&self, flags: &[&str], code: i32) -> Ran {
        self.target.export(&self.archive, &[&["--max-retries", "1"], flags].concat(), code)
    }

    /// The numbers of the messages that are there.
    fn numbers(&self) -> Vec<u32> {
        let state = self.server.state();
        let number = |bytes: &[u8]| (0..100).find(|number| message(*number) == bytes).expect("a message of ours");
        let mut all: Vec<u32> = state.boxes[0].mails.iter().map(|mail| number(&mail.bytes)).collect();
        all.sort_unstable();
        all
    }
}

/// What servers can do: everything, one message in each command, and nothing.
const ABILITIES: [&str; 4] = ["LITERAL+ MULTIAPPEND UIDPLUS", "LITERAL+ UIDPLUS", "LITERAL- MULTIAPPEND", ""];

fn capabilities(more: &str) -> String {
    format!("{} {more}", USUAL.replace(" LITERAL+", "")).trim().to_owned()
}

#[test]
fn what_a_server_refuses_is_named_and_the_rest_goes_on() {
    for abilities in ABILITIES {
        for (answer, refused) in [
            ("NO [OVERQUOTA] Quota exceeded", 0),
            ("NO Mailbox is over quota", 0),
            ("NO [TOOBIG] too big", 1),
            ("NO [CANNOT] an 8-bit header", 1),
            ("BAD [CLIENTBUG] what?", 1),
        ] {
            let post = Post::new(&capabilities(abilities));
            post.server.hook(move |command| {
                let is_it = command.starts_with("APPEND") && command.contains("number 4\r\n");
                is_it.then(|| format!("$TAG {answer}\r\n").into_bytes())
            });
            let done = post.export(&[], 5);
            assert_eq!(post.numbers(), [0, 1, 2, 3, 5, 6, 7, 8, 9], "{abilities}: {answer}: {}", done.said);
            let counts = ["created", "failed", "refused"].map(|what| done.count("email", what));
            assert_eq!(counts, [9, 1, refused], "{abilities}: {answer}: {}", done.said);
            let reason = answer.split_once(' ').expect("a reason").1;
            assert!(done.said.contains("<4@example.org> in INBOX") && done.said.contains(reason), "{}", done.said);
            post.server.hook(|_| None);
            assert_eq!(post.export(&[], 0).sum("created"), 1, "{abilities}: {answer}");
            assert_eq!(post.numbers(), (0..10).collect::<Vec<_>>());
            post.target.is_settled(&post.archive, 0);
        }
    }
}

#[test]
fn a_refused_keyword_costs_the_keyword_only() {
    for (abilities, answer) in ABILITIES.into_iter().flat_map(|abilities| [(abilities, "BAD"), (abilities, "NO")]) {
        let post = Post::new(&capabilities(abilities));
        post.server.hook(move |command| {
            let is_it = ["APPEND", "UID STORE"].iter().any(|word| command.starts_with(word));
            (is_it && command.contains("odd-word")).then(|| format!("$TAG {answer} no such flag\r\n").into_bytes())
        });
        let done = post.export(&[], 0);
        assert_eq!(post.numbers(), (0..10).collect::<Vec<_>>(), "{abilities} {answer}: {}", done.said);
        assert!(done.said.contains("without the keywords odd-word") && done.said.contains("<3@"), "{}", done.said);
        assert!(post.server.state().boxes[0].mails.iter().all(|mail| mail.flags == "\\Seen"));
        assert_eq!(post.export(&[], 0).sum("created"), 0);
        post.server.state().boxes[0].mails.iter_mut().for_each(|mail| mail.flags.clear());
        let done = post.export(&["--update"], 0);
        assert_eq!(done.sum("updated"), 10, "{}", done.said);
        assert!(post.server.state().boxes[0].mails.iter().all(|mail| mail.flags == "\\Seen"));
        // It is refused again, and nothing else has to be changed.
        let again = post.export(&["--update"], 0);
        assert_eq!((again.sum("updated"), again.count("email", "matched")), (0, 10), "{}", again.summary);
        assert!(again.said.contains("without the keywords odd-word; the server refuses them"), "{}", again.said);
    }
}

/// Some servers drop what they do not know, and say before what they keep (PERMANENTFLAGS).
#[test]
fn a_keyword_that_a_folder_does_not_keep_is_named_and_no_change() {
    for (permanent, is_lost) in [("\\Seen \\Answered", true), ("\\Seen odd-word", false), ("\\Seen \\*", false)] {
        let post = Post::new(&capabilities("LITERAL+ UIDPLUS"));
        post.export(&[], 0);
        post.server.state().permanent = Some(permanent);
        post.server.state().boxes[0].mails.iter_mut().for_each(|mail| mail.flags = mail.flags.replace(" odd-word", ""));
        for round in 0..2 {
            let done = post.export(&["--update"], 0);
            assert_eq!(done.sum("updated"), u64::from(!is_lost && round == 0), "{permanent}: {}", done.said);
            let said = "without the keywords odd-word, which this folder does not keep";
            assert_eq!(done.said.contains(said), is_lost, "{permanent}: {}", done.said);
            assert!(!is_lost || !post.server.said().contains("UID STORE"), "nothing is sent that nobody keeps");
        }
    }
}

/// A NUL, or letters of a header that are not ASCII: what a server makes of them is read back.
#[test]
fn what_a_server_changes_in_a_message_is_named() {
    let bytes = b"Message-ID: <eight@x>\r\nSubject: Gr\xfc\xdfe\r\n\r\nbody\r\n";
    let made = |bytes: &[u8]| bytes.iter().map(|byte| if *byte < 128 { *byte } else { b'X' }).collect();
    for (abilities, made, said) in [
        ("LITERAL+ UIDPLUS", made as fn(&[u8]) -> Vec<u8>, "the server changed bytes of it: 2 of 47, as 0xfc to 0x58"),
        ("LITERAL+ UIDPLUS", <[u8]>::to_vec, ""),
        ("LITERAL+", <[u8]>::to_vec, "the server may have changed them"),
    ] {
        let place = tempfile::tempdir().expect("a folder");
        let folder = place.path().join("mail");
        deliver(&folder, "1700000000.0.h:2,S", bytes);
        deliver(&folder, "1700000001.1.h:2,S", &message(1));
        let archive = place.path().join("mail.sqlite");
        import("maildir", &folder, &archive);
        let server = FakeImap::start(&capabilities(abilities), vec![mailbox("INBOX", Vec::new())]);
        server.state().made = made;
        let target = Target::at("imap", server.port, "alice", "correct horse");
        let done = target.export(&archive, &[], 0);
        assert_eq!(done.count("email", "created"), 2, "{}", done.summary);
        assert!(done.said.contains(said) && done.said.contains("<eight@x>") != said.is_empty(), "{}", done.said);
        assert_eq!(server.said().matches("BODY.PEEK[]").count(), usize::from(abilities.contains("UIDPLUS")));
        target.is_settled(&archive, 0);
    }
}

// --- messages in several mailboxes -------------------------------------------------------------------------------

const FOLDERS: [&str; 3] = ["", ".Work", ".Old"];

/// An archive of five messages that are in three folders each, with the same flags and dates, and of one in a single one.
fn filed(place: &Path) -> PathBuf {
    let mail = place.join("filed");
    for number in 0..5 {
        for folder in FOLDERS {
            deliver(&mail.join(folder), &format!("170000000{number}.{number}.h:2,S"), &message(number));
        }
    }
    deliver(&mail, "1700000009.9.h:2,", &message(9));
    let archive = place.join("filed.sqlite");
    fs::write(mail.join("subscriptions"), "Work\nOld\n").expect("subscriptions");
    import("maildir", &mail, &archive);
    archive
}

/// Each body goes over the line once, and all copies have flags and dates.
fn is_sent_once(target: &Target, port: u16, own: &[&str]) {
    let place = tempfile::tempdir().expect("a folder");
    let archive = filed(place.path());
    let relay = Relay::start(port);
    let watched = Target { url: format!("imap://127.0.0.1:{}", relay.port), ..target.clone() };
    let done = watched.export(&archive, &[], 0);
    assert_eq!(done.count("email", "created"), 16, "{}", done.said);
    let said = relay.said();
    assert_eq!(said.matches("\r\n\r\nbody ").count(), 6, "{said}");
    check_mail_beside(&archive, target, own);
    // What lies in one mailbox is not sent for the others.
    let mut writer = Imap::login(port, target.user, target.password);
    for mailbox in ["Work", "Old"] {
        writer.ok(&format!("SELECT {mailbox}"));
        writer.ok("STORE 1:* +FLAGS.SILENT (\\Deleted)");
        writer.ok("EXPUNGE");
    }
    let done = watched.export(&archive, &[], 0);
    assert_eq!(done.count("email", "created"), 10, "{}", done.said);
    let said = relay.said();
    assert!(!said.contains("APPEND") && said.contains("UID COPY"), "{said}");
    check_mail_beside(&archive, target, own);
    target.is_settled(&archive, 0);
}

#[test]
fn a_message_in_several_mailboxes_of_a_real_server_is_sent_once() {
    if let Some(dovecot) = Dovecot::start(SETTINGS) {
        is_sent_once(&Target::dovecot(&dovecot, "imap", "alice"), dovecot.imap, &[]);
    }
    if let Some(cyrus) = Cyrus::start() {
        is_sent_once(&Target::cyrus(&cyrus, "imap", "alice@example.org"), cyrus.imap, &CYRUS_HAS);
    }
}

/// An account with room for 200 KiB gets a message of 400 KB and a hundred of 3,000 bytes.
fn a_quota_is_kept(target: &Target) {
    let place = tempfile::tempdir().expect("a folder");
    let mail = maildir(&place.path().join("mail"), 100, 3000);
    let large = [message(1000), filler(7).repeat(6000)].concat();
    deliver(&mail.join(".Work"), "1600001000.M1.h:2,S", &large);
    let archive = place.path().join("mail.sqlite");
    import("maildir", &mail, &archive);
    let done = target.export(&archive, &["--max-retries", "1", "--imap-connections", "1"], 5);
    let [created, failed, refused] = ["created", "failed", "refused"].map(|what| done.count("email", what));
    assert!((40..75).contains(&created) && created + failed == 101, "{}: {}", done.summary, done.said);
    assert_eq!(refused, 0, "an account may get more room: {}", done.summary);
    let said = done.summary["remarks"].to_string();
    // Cyrus says so without a code.
    assert!(said.contains("<1000@example.org> in Work") && said.to_lowercase().contains("quota"), "{said}");
    assert_eq!(
        done.summary["types"]["email"]["failed_reasons"].as_object().map(|all| all.len()),
        Some(1),
        "one reason: {said}"
    );
    let again = target.export(&archive, &["--max-retries", "0"], 5);
    assert!(again.count("email", "matched") >= created && again.count("email", "created") < 3, "{}", again.summary);
}

#[test]
fn an_account_that_is_full_takes_what_fits_and_names_the_rest() {
    let quota = "mail_plugins = quota\nprotocol imap {\n  mail_plugins = quota imap_quota\n}\nplugin {\n  quota = maildir:User\n  quota_rule = *:storage=200K\n}\n";
    if let Some(dovecot) = Dovecot::start(&[SETTINGS, quota].concat()) {
        a_quota_is_kept(&Target::dovecot(&dovecot, "imap", "alice"));
    }
    if let Some(cyrus) = Cyrus::start() {
        let target = Target::cyrus(&cyrus, "imap", "alice@example.org");
        drop(Imap::login(cyrus.imap, target.user, "x"));
        Imap::login(cyrus.imap, "admin", "x").ok("SETQUOTA user/alice@example.org (STORAGE 200)");
        a_quota_is_kept(&target);
    }
}

#[test]
fn a_message_in_several_mailboxes_is_sent_once_and_copied() {
    let once: usize = [0, 1, 2, 3, 4, 9].map(|number| message(number).len()).iter().sum();
    let all = once + 2 * (0..5).map(|number| message(number).len()).sum::<usize>();
    for (abilities, answer, expected, code) in [
        ("LITERAL+ MULTIAPPEND UIDPLUS", "", once, 0),
        ("UIDPLUS", "", once, 0),
        // Without UIDPLUS nobody says where a new message lies.
        ("LITERAL+ MULTIAPPEND", "", all, 0),
        ("LITERAL+ UIDPLUS", "NO [CANNOT] no copies here", all, 0),
        ("LITERAL+ UIDPLUS", "BAD what?", all, 0),
        ("LITERAL+ UIDPLUS", "OK done, and not a word of which", all, 0),
        ("LITERAL+ UIDPLUS", "NO [OVERQUOTA] full", once, 5),
    ] {
        let place = tempfile::tempdir().expect("a folder");
        let archive = filed(place.path());
        let server = FakeImap::start(&capabilities(abilities), vec![mailbox("INBOX", Vec::new())]);
        let target = Target::at("imap", server.port, "alice", "correct horse");
        server.hook(move |command| {
            let is_it = command.starts_with("UID COPY") && !answer.is_empty();
            is_it.then(|| format!("$TAG {answer}\r\n").into_bytes())
        });
        let done = target.export(&archive, &["--max-retries", "1"], code);
        assert_eq!(server.state().uploaded, expected, "{abilities} {answer}: {}", done.said);
        let bytes = done.summary["sent_size"].as_u64().expect("a number");
        assert_eq!(bytes, expected as u64, "{abilities} {answer}");
        if code == 5 {
            assert_eq!((done.count("email", "created"), done.count("email", "failed")), (6, 10), "{}", done.said);
            assert!(done.said.contains("[OVERQUOTA] full") && done.said.contains("<3@example.org> in Work"));
            server.hook(|_| None);
            // They lie in a mailbox already.
            assert_eq!(target.export(&archive, &[], 0).sum("created"), 10);
            assert_eq!(server.state().uploaded, once);
        }
        check_mail(&archive, &target);
        assert_eq!(server.state().boxes.len(), 3);
        target.is_settled(&archive, 0);
    }
}

/// What lies in one of its mailboxes is copied from there, if it is what the archive has.
#[test]
fn a_copy_is_made_of_what_is_there() {
    for (flags, date, is_copied) in [
        ("\\Seen", "", true),
        ("\\Seen \\Flagged", "", false),
        ("\\Seen \\Deleted", "", false),
        ("\\Seen", "01-Jan-2026 00:00:00 +0000", false),
    ] {
        let place = tempfile::tempdir().expect("a folder");
        let archive = filed(place.path());
        let server = FakeImap::start(&capabilities("LITERAL+ UIDPLUS"), vec![mailbox("INBOX", Vec::new())]);
        let target = Target::at("imap", server.port, "alice", "correct horse");
        target.export(&archive, &[], 0);
        {
            let mut state = server.state();
            state.uploaded = 0;
            state.boxes.iter_mut().skip(1).for_each(|one| one.mails.clear());
            for mail in &mut state.boxes[0].mails {
                mail.flags = flags.to_owned();
                if !date.is_empty() {
                    mail.date = date.to_owned();
                }
            }
        }
        let done = target.export(&archive, &[], 0);
        assert_eq!(done.count("email", "created"), 10, "{flags} {date}: {}", done.said);
        let five: usize = (0..5).map(|number| message(number).len()).sum();
        assert_eq!(server.state().uploaded, if is_copied { 0 } else { five }, "{flags} {date}");
        let state = server.state();
        let copies: Vec<&Mail> = state.boxes.iter().skip(1).flat_map(|one| &one.mails).collect();
        assert!(copies.len() == 10 && copies.iter().all(|mail| mail.flags == "\\Seen"), "{copies:?}");
        assert!(copies.iter().all(|mail| mail.date.contains("Nov-2023")), "{copies:?}");
    }
}

#[test]
fn a_line_that_breaks_over_copies_leaves_nothing_twice() {
    for (lost, connections) in [((0, 1), "1"), ((1, 1), "1"), ((0, 3), "1"), ((2, 2), "4")] {
        let place = tempfile::tempdir().expect("a folder");
        let archive = filed(place.path());
        let server = FakeImap::start(&capabilities("LITERAL+ UIDPLUS"), vec![mailbox("INBOX", Vec::new())]);
        let target = Target::at("imap", server.port, "alice", "correct horse");
        (server.state().lost, server.state().lost_copies) = lost;
        let done = target.export(&archive, &["--imap-connections", connections], 0);
        assert_eq!(done.count("email", "created"), 16, "{}", done.said);
        check_mail(&archive, &target);
        target.is_settled(&archive, 0);
    }
}

#[test]
fn messages_that_are_there_twice_are_named_and_prune_removes_the_second() {
    let post = Post::new(&capabilities("LITERAL+ UIDPLUS"));
    post.export(&[], 0);
    {
        let mut state = post.server.state();
        let late = Mail { uid: 90, ..state.boxes[0].mails[4].clone() };
        let other = Mail { uid: 91, date: "01-Jan-2026 00:00:00 +0000".to_owned(), ..late.clone() };
        state.boxes[0].mails.extend([late, other]);
    }
    let done = post.export(&[], 0);
    assert!(done.said.contains("1 messages are in the account twice") && done.said.contains("<4@"), "{}", done.said);
    assert_eq!(done.sum("removed"), 0);
    let plan = post.export(&["--prune", "--dry-run"], 0);
    assert_eq!(plan.planned("remove"), 1, "{}", plan.summary);
    assert_eq!(post.export(&["--prune", "--yes"], 0).sum("removed"), 1);
    // What came at another time came twice.
    assert_eq!(post.numbers(), [0, 1, 2, 3, 4, 4, 5, 6, 7, 8, 9]);
    assert!(post.server.state().boxes[0].mails.iter().all(|mail| mail.uid != 90));
    assert!(!post.export(&[], 0).said.contains("twice"));
}

#[test]
fn an_answer_that_is_lost_sends_nothing_twice() {
    for abilities in ABILITIES {
        let post = Post::new(&capabilities(abilities));
        post.server.state().lost = 2;
        let done = post.export(&["--imap-connections", "2"], 0);
        assert_eq!(post.numbers(), (0..10).collect::<Vec<_>>(), "{abilities}: {}", done.said);
        assert_eq!(done.sum("created"), 10, "{abilities}: {}", done.summary);
    }
}

/// What a killed run had sent may arrive after the next one has looked. Mail that arrives by itself has another date.
#[test]
fn what_comes_twice_in_a_run_goes_again() {
    for (abilities, is_removed) in [("LITERAL+ MULTIAPPEND UIDPLUS", true), ("LITERAL+ MULTIAPPEND", false)] {
        let post = Post::new(&capabilities(abilities));
        let late = |number: u32, date: &str| Mail { date: date.to_owned(), ..mail(0, &message(number)) };
        post.server.state().late = vec![
            late(2, "14-Nov-2023 22:13:22 +0000"),
            late(3, "14-Nov-2023 22:13:23 +0000"),
            late(5, "01-Jan-2026 00:00:00 +0000"),
        ];
        let done = post.export(&[], 0);
        let expected: &[u32] =
            if is_removed { &[0, 1, 2, 3, 4, 5, 5, 6, 7, 8, 9] } else { &[0, 1, 2, 2, 3, 3, 4, 5, 5, 6, 7, 8, 9] };
        assert_eq!(post.numbers(), expected, "{}", done.said);
        let removed = if is_removed { 2 } else { 0 };
        assert!(
            done.said.contains(&format!("2 messages had come twice, as after a run that was killed; {removed} were")),
            "{}",
            done.said
        );
        assert_eq!(done.said.contains("UIDPLUS"), !is_removed, "{}", done.said);
        // The first ones stay, and get their flags.
        post.export(&["--update"], 0);
        assert!(post.server.state().boxes[0].mails.iter().filter(|mail| mail.flags.contains("\\Seen")).count() >= 10);
        post.target.is_settled(&post.archive, 0);
    }
}

/// Both send everything, and what came twice goes.
#[test]
fn two_exports_of_mail_at_once_leave_each_message_once() {
    let Some(dovecot) = Dovecot::start(SETTINGS) else { return };
    let place = tempfile::tempdir().expect("a folder");
    let archive = many(place.path(), 300);
    let target = Target::dovecot(&dovecot, "imap", "alice");
    let start = || target.command("export", &archive, &[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    for child in [start(), start()].map(|child| child.expect("it starts")) {
        let output = child.wait_with_output().expect("a child");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    target.export(&archive, &[], 0);
    check_mail(&archive, &target);
}

#[test]
fn a_message_that_is_too_large_is_refused_before_it_is_sent() {
    let post = Post::new(&capabilities(""));
    post.server.state().most = Some(10);
    let done = post.export(&[], 5);
    assert_eq!(done.count("email", "refused"), 10, "{}", done.said);
    assert!(post.numbers().is_empty() && done.said.contains("[TOOBIG] too big"), "{}", done.said);
    let post = Post::new(&capabilities("LITERAL+ APPENDLIMIT=10"));
    let done = post.export(&[], 5);
    assert_eq!(done.count("email", "refused"), 10, "{}", done.said);
    assert!(!post.server.said().contains("APPEND") && done.said.contains("more than 10 bytes"), "{}", done.said);
}

#[test]
fn prune_takes_what_it_named_and_needs_uidplus() {
    for (abilities, removed) in [("LITERAL+ UIDPLUS", 1), ("LITERAL+", 0)] {
        let post = Post::new(&capabilities(abilities));
        post.export(&[], 0);
        {
            let mut state = post.server.state();
            state.boxes[0].mails[0].flags = "\\Seen \\Deleted".to_owned();
            state.boxes[0].mails.push(mail(50, &message(50)));
        }
        let done = post.export(&["--prune", "--yes"], if removed == 1 { 0 } else { 5 });
        assert_eq!((done.sum("removed"), done.sum("not_removed")), (removed, 1 - removed), "{}", done.said);
        assert_eq!(post.numbers().len(), 11 - usize::try_from(removed).expect("a number"));
        assert!(removed == 1 || done.said.contains("UIDPLUS"), "{}", done.said);
        let state = post.server.state();
        let marked = state.boxes[0].mails.iter().filter(|mail| mail.flags.contains("\\Deleted")).count();
        assert_eq!(marked, 1, "only the mark of somebody else is there");
    }
}

#[test]
fn nothing_is_marked_as_deleted_and_mailboxes_get_their_use() {
    let place = tempfile::tempdir().expect("a folder");
    let folder = place.path().join("mail");
    deliver(&folder, "1700000000.0.h:2,ST", &message(0));
    deliver(&folder.join(".Sent"), "1700000001.1.h:2,S", &message(1));
    let archive = place.path().join("mail.sqlite");
    let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    ok(&["--quiet", "import", "maildir", "--include-deleted", &text(&folder), &text(&archive)]);
    for (more, expected) in [("CREATE-SPECIAL-USE", "CREATE \"Sent\" (USE (\\Sent))"), ("", "CREATE \"Sent\"\n")] {
        let server = FakeImap::start(&capabilities(&format!("LITERAL+ {more}")), vec![mailbox("INBOX", Vec::new())]);
        let target = Target::at("imap", server.port, "alice", "correct horse");
        assert_eq!(target.export(&archive, &["--update"], 0).count("email", "created"), 2);
        let said = server.said();
        assert!(said.contains(expected), "{said}");
        assert!(said.contains("APPEND") && !said.contains("\\Deleted"), "{said}");
    }
}

// --- names of mailboxes --------------------------------------------------------------------------------------------

/// An archive of three folders, of which two may get one name.
fn named(place: &Path) -> PathBuf {
    let mail = place.join("named");
    deliver(&mail.join("INBOX"), "1700000000.0.h:2,S", &message(0));
    for (number, folder) in (1..).zip(["example.com", "example_com", "Lists", "Lists/~a*b"]) {
        deliver(&mail.join(folder), &format!("170000000{number}.{number}.h:2,S"), &message(number));
    }
    let archive = place.join("named.sqlite");
    import("maildir", &mail, &archive);
    archive
}

/// Folders that a server does not take get other names, also where only CREATE says it.
#[test]
fn a_folder_whose_name_is_refused_gets_another_one() {
    for says_before in [true, false] {
        let place = tempfile::tempdir().expect("a folder");
        let archive = named(place.path());
        let server = FakeImap::start(&capabilities("LITERAL+ UIDPLUS"), vec![mailbox("INBOX", Vec::new())]);
        server.hook(move |command| {
            let words: &[&str] = if says_before { &["CREATE ", "STATUS "] } else { &["CREATE "] };
            let is_it = words.iter().any(|word| command.starts_with(word)) && command.contains(['.', '~']);
            is_it.then(|| b"$TAG NO Character not allowed in mailbox name: '.'\r\n".to_vec())
        });
        let target = Target::at("imap", server.port, "alice", "correct horse");
        let names = || {
            let state = server.state();
            let name = |one: &[u8]| String::from_utf8_lossy(one).into_owned();
            let mut all: Vec<(String, usize)> =
                state.boxes.iter().map(|one| (name(&one.name), one.mails.len())).collect();
            all.sort_unstable();
            all
        };
        let plan = target.export(&archive, &["--dry-run"], 0);
        assert_eq!(plan.said.contains("to create (called \"example_com_2\" there"), says_before, "{}", plan.said);
        let done = target.export(&archive, &[], 0);
        assert_eq!((done.count("email", "created"), done.count("mailbox", "created")), (5, 4), "{}", done.said);
        for words in
            ["called \"example_com_2\" there", "does not take \"example.com\"", "not allowed", "called \"_a_b\""]
        {
            assert!(done.said.contains(words), "{words}: {}", done.said);
        }
        let expected =
            ["INBOX", "Lists", "Lists/_a_b", "example_com", "example_com_2"].map(|name| (name.to_owned(), 1));
        assert_eq!(names(), expected, "{}", done.said);
        target.is_settled(&archive, 0);
        let pruned = target.export(&archive, &["--prune", "--yes", "--objects", "mailbox,email"], 0);
        assert_eq!(names(), expected, "{}", pruned.said);
        assert!(!says_before || (pruned.sum("removed"), pruned.sum("created")) == (0, 0), "{}", pruned.summary);
    }
}

#[test]
fn a_folder_of_dovecot_with_a_dot_gets_another_name() {
    let Some(dovecot) = Dovecot::start(&format!("{SETTINGS}mail_location = maildir:~/Maildir\n")) else { return };
    let place = tempfile::tempdir().expect("a folder");
    let archive = named(place.path());
    let target = Target::dovecot(&dovecot, "imap", "alice");
    let plan = target.export(&archive, &["--dry-run"], 0);
    assert!(plan.said.contains("to create (called \"example_com_2\" there"), "{}", plan.said);
    let done = target.export(&archive, &[], 0);
    assert_eq!(done.count("email", "created"), 5, "{}", done.said);
    assert!(done.said.contains("created (called \"example_com_2\" there"), "{}", done.said);
    target.is_settled(&archive, 0);
    assert_eq!(target.export(&archive, &["--prune", "--yes"], 0).sum("removed"), 0);
}

/// A plan says which keywords are lost.
#[test]
fn a_plan_names_the_keywords_that_the_account_does_not_take() {
    let place = tempfile::tempdir().expect("a folder");
    let folder = place.path().join("mail");
    deliver(&folder, "1700000000.0.h:2,Sa", &message(0));
    fs::write(folder.join("dovecot-keywords"), "0 $deleted\n").expect("keywords");
    let archive = place.path().join("mail.sqlite");
    import("maildir", &folder, &archive);
    let server = FakeImap::start(USUAL, vec![mailbox("INBOX", Vec::new())]);
    let target = Target::at("imap", server.port, "alice", "correct horse");
    for (flags, outcome) in [(&["--dry-run"][..], "to create"), (&[], "created")] {
        let said = target.export(&archive, flags, 0).said;
        let words = format!("email {outcome} (without the keywords $deleted, which the account does not take): <0@");
        assert!(said.contains(&words), "{said}");
    }
}

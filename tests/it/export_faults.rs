//! Exports of mail that are killed, cut off and refused: nothing comes twice, nothing is lost, and what a server does not
//! take is named while the rest goes on. [`super::export_faults_dav`] has events.

use crate::common::Dice;
use crate::common::dovecot::Dovecot;
use crate::common::export_target::{Ran, Target, import, killed, mail_of};
use crate::common::fake_imap::{FakeImap, Mail, USUAL, mail, mailbox};
use crate::common::mailboxes::differences;
use crate::common::relay::Relay;
use crate::common::{deliver, maildir, message, ok};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

const SETTINGS: &str = "ssl = no\nmail_fsync = never\nmail_max_userip_connections = 100\n";

/// An archive of many messages in three folders.
fn many(place: &Path, count: u32) -> PathBuf {
    let archive = place.join("mail.sqlite");
    import("maildir", &maildir(&place.join("mail"), count, 3000), &archive);
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
    let back = archive.with_file_name("back.sqlite");
    target.import(&back);
    let differences = differences(&mail_of(archive), &mail_of(&back));
    assert!(differences.is_empty(), "{differences:#?}");
}

#[test]
fn a_killed_export_of_mail_leaves_nothing_twice() {
    let Some(dovecot) = Dovecot::start(SETTINGS) else { return };
    let place = tempfile::tempdir().expect("a folder");
    let archive = many(place.path(), 1500);
    let target = Target::dovecot(&dovecot, "imap", "alice");
    let relay = Relay::start(dovecot.imap);
    let watched = Target { url: format!("imap://127.0.0.1:{}", relay.port), ..target.clone() };
    let (mut dice, mut kills) = (Dice(11), 0);
    for round in 0..12 {
        let more: &[&str] = if round % 2 == 0 { &[] } else { &["--imap-connections", "1"] };
        let bytes = 1000 + dice.below(700_000);
        kills += u32::from(killed(watched.command("export", &archive, more), &relay, bytes));
    }
    assert!(kills >= 5, "{kills} kills");
    target.export(&archive, &[], 0);
    check_mail(&archive, &target);
    target.is_settled(&archive, 0);
}

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
    }
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

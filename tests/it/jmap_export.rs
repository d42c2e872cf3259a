//! `vandelay export` against the strict server of the tests, and against a real Cyrus.

use crate::common;
use crate::common::jmap::{At, BLOB, FILENODE, Fault, Limits, MAIL, Options, Server, When};
use crate::common::jmap_run::{at_cyrus, begin, command};
use crate::common::terminal::Terminal;
use crate::common::{deliver, jmap_account, jmap_run, message, vandelay};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// A directory with an archive, and the account that it goes to.
struct Bench {
    to: Server,
    dir: tempfile::TempDir,
}

impl Bench {
    fn new(options: Options) -> Bench {
        Bench { to: Server::start(options), dir: tempfile::tempdir().expect("a directory") }
    }

    fn archive(&self) -> PathBuf {
        self.dir.path().join("a.sqlite")
    }

    fn maildir(&self) -> PathBuf {
        self.dir.path().join("Maildir")
    }

    /// Puts a message into a folder of the Maildir (`""`: the inbox).
    fn deliver(&self, folder: &str, number: u32, flags: &str) {
        let name = format!("{}.M{number}.host:2,{flags}", 1_500_000_000 + number);
        deliver(&self.maildir().join(folder), &name, &message(number));
    }

    fn import_maildir(&self) {
        let (maildir, archive) = (self.maildir(), self.archive());
        common::ok(&[
            "import",
            "maildir",
            "--quiet",
            maildir.to_str().expect("UTF-8"),
            archive.to_str().expect("UTF-8"),
        ]);
    }

    /// Imports an account of another server.
    fn import_from(&self, from: &Server) {
        let mut command = command(from, "import");
        command.arg(self.archive());
        let output = command.output().expect("the program starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn command(&self, extra: &[&str]) -> Command {
        let mut command = command(&self.to, "export");
        command.args(extra).arg(self.archive());
        command
    }

    /// Exports, which must end with this code; gives the summary and what was said.
    fn export_as(&self, extra: &[&str], code: i32) -> (Value, String) {
        judge(self.command(extra).output().expect("the program starts"), code)
    }

    fn export(&self, extra: &[&str]) -> Value {
        self.export_as(extra, 0).0
    }

    /// Exports once more, which must not change anything.
    fn export_again(&self, extra: &[&str]) {
        self.to.reset_counters();
        let summary = self.export(extra);
        let counters = self.to.counters();
        let writes = |name: &&String| name.ends_with("/set") || name.ends_with("/import") || name.ends_with("/upload");
        let writes: Vec<&String> = counters.calls.keys().filter(writes).collect();
        assert!(writes.is_empty(), "{writes:?}: {summary}");
        assert_eq!(counters.requests(common::jmap::Endpoint::Upload), 0);
    }

    fn count(&self, kind: &str) -> usize {
        self.to.objects("A1", kind).len()
    }

    /// Every message stands there once.
    fn assert_no_duplicates(&self) {
        let mut seen = std::collections::BTreeSet::new();
        for id in self.to.objects("A1", "Email").keys() {
            assert!(seen.insert(self.to.bytes("A1", "Email", id)), "{id} is there twice");
        }
    }

    fn snapshot(&self) -> Vec<String> {
        self.to.snapshot("A1")
    }
}

/// The same for an export, whose report has to add up.
fn judge(output: Output, code: i32) -> (Value, String) {
    let (summary, said) = jmap_run::judge(&output, code);
    for (kind, account) in summary["types"].as_object().into_iter().flatten() {
        let sum = |name: &str| account[name].as_u64().unwrap_or(0);
        let all = ["created", "updated", "matched", "skipped", "failed", "not_reached"].map(sum);
        assert_eq!(sum("found"), all.iter().sum::<u64>(), "{kind}: {account}");
    }
    (summary, said)
}

/// Something of each type, and what is harder to bring over than to import.
fn fill(server: &Server) {
    let ids = jmap_account::fill(server);
    server.seed("A1", "Mailbox", json!({ "name": "Gesendet", "role": "sent" }));
    let agenda = server.seed_blob("A1", b"the agenda");
    server.change("A1", "CalendarEvent", &ids["event"], |event| {
        event["links"] =
            json!({ "l": { "@type": "Link", "blobId": agenda, "contentType": "text/plain", "title": "agenda" } });
    });
    let odd: [&[u8]; 3] = [
        b"From: x@y\r\n\r\nno id\r\n",
        b"Message-ID: odd@x\r\nSubject: \xff\r\n\r\n\0binary\xfe",
        b"Message-ID: <A@b>\r\nMessage-ID: <b@B>\r\n\r\ntwo",
    ];
    for bytes in odd {
        server.seed_email("A1", bytes, &[&ids["inbox"]], &["$flagged"], "2026-03-02T00:00:00Z");
    }
}

#[test]
fn a_whole_account_goes_to_an_empty_one_and_is_the_same_there() {
    let from = Server::start(Options::default());
    fill(&from);
    let bench = Bench::new(Options::default());
    bench.import_from(&from);
    let dry = bench.export(&["--dry-run"]);
    assert_eq!((dry["plan"]["email"]["create"].as_u64(), bench.count("Email")), (Some(34), 0));
    let summary = bench.export(&[]);
    assert_eq!(summary["types"]["email"]["created"], 34, "{summary}");
    let theirs = from.snapshot("A1");
    assert_eq!(bench.snapshot(), theirs);
    bench.export_again(&[]);
    bench.export_again(&["--update"]);
    bench.export_again(&["--update", "--prune", "--yes"]);
    let again = bench.dir.path().join("b.sqlite");
    let mut command = command(&bench.to, "import");
    let output = command.arg(&again).output().expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Small messages go together.
    assert!(bench.to.counters().calls("Blob/upload") == 0);
}

/// What can go wrong while messages are sent: where, when and what.
fn faults() -> Vec<(&'static str, When, Fault)> {
    let import = "Email/import";
    vec![
        (import, When::First(2), Fault::CutBefore),
        (import, When::First(2), Fault::CutAfter),
        (import, When::Nth(2), Fault::CutInBody(20)),
        (import, When::Nth(1), Fault::Truncated),
        (import, When::First(2), Fault::Error("serverUnavailable")),
        (import, When::First(2), Fault::Error("serverFail")),
        (import, When::Nth(2), Fault::ErrorAfter("serverFail")),
        (import, When::Nth(1), Fault::ErrorAfter("serverUnavailable")),
        (import, When::First(2), Fault::Partial),
        (import, When::Nth(2), Fault::LoseBlobs),
        (import, When::Nth(1), Fault::Object("blobNotFound", 2)),
        (import, When::Nth(1), Fault::Object("alreadyExists", 2)),
        (import, When::First(2), Fault::Object("rateLimit", 3)),
        (import, When::Nth(2), Fault::Status(503)),
        (import, When::Nth(1), Fault::StatusLater(429, "1")),
        ("Mailbox/set", When::Nth(1), Fault::CutAfter),
        ("Mailbox/set", When::Nth(2), Fault::CutBefore),
        ("Mailbox/set", When::Nth(1), Fault::Partial),
        ("Mailbox/set", When::Nth(1), Fault::ErrorAfter("serverFail")),
        ("Blob/upload", When::Nth(1), Fault::CutAfter),
        ("Blob/upload", When::Nth(1), Fault::Error("unknownMethod")),
        ("Blob/upload", When::Nth(1), Fault::Object("tooLarge", 1)),
        ("Email/query", When::Nth(1), Fault::CutBefore),
    ]
}

#[test]
fn whatever_goes_wrong_every_message_arrives_once() {
    for (at, when, fault) in faults() {
        for refuses_duplicates in [true, false] {
            let limits = Limits { max_objects_in_set: 7, ..Limits::default() };
            let bench = Bench::new(Options { limits, refuses_duplicates, ..Options::default() });
            for number in 0..20 {
                bench.deliver(if number % 2 == 0 { "" } else { ".Work.Deep" }, number, "S");
            }
            bench.import_maildir();
            bench.to.fault(At::Call(at), when, fault.clone());
            let (summary, said) = bench.export_as(&[], 0);
            let what = format!("{at} {when:?} {refuses_duplicates}: {summary} {said}");
            assert!(bench.to.faults_happened() > 0, "{what}");
            assert_eq!((bench.count("Email"), bench.count("Mailbox")), (20, 3), "{what}");
            bench.assert_no_duplicates();
            bench.to.reset_faults();
            bench.export_again(&[]);
        }
    }
}

#[test]
fn other_types_arrive_once_too_and_the_account_is_the_same() {
    let from = Server::start(Options::default());
    fill(&from);
    let sets = ["AddressBook", "Calendar", "FileNode", "Identity", "SieveScript", "ParticipantIdentity", "ContactCard"];
    for kind in sets.into_iter().chain(["CalendarEvent"]) {
        let method: &'static str = Box::leak(format!("{kind}/set").into_boxed_str());
        for fault in
            [Fault::CutAfter, Fault::CutBefore, Fault::Partial, Fault::ErrorAfter("serverFail"), Fault::LoseBlobs]
        {
            let bench = Bench::new(Options::default());
            bench.import_from(&from);
            bench.to.fault(At::Call(method), When::Nth(1), fault);
            let (summary, said) = bench.export_as(&[], 0);
            assert!(bench.to.faults_happened() > 0);
            assert_eq!(bench.snapshot(), from.snapshot("A1"), "{method}: {summary} {said}");
        }
    }
}

#[test]
fn narrow_limits_are_kept() {
    let narrow = Limits {
        max_size_upload: 20_000_000,
        max_concurrent_upload: 1,
        max_size_request: 20_000,
        max_concurrent_requests: 1,
        max_calls_in_request: 1,
        max_objects_in_get: 4,
        max_objects_in_set: 2,
    };
    let from = Server::start(Options::default());
    fill(&from);
    for options in [
        Options { limits: narrow, ..Options::default() },
        Options {
            limits: narrow,
            max_query_limit: Some(4),
            refuses_all: true,
            reassigns_blobs: true,
            ..Options::default()
        },
        Options {
            is_sequential: true,
            fractions: true,
            missing_blob_of_import: "blobNotFound",
            uid_exists: "alreadyExists",
            ..Options::default()
        },
    ] {
        let reassigns = options.reassigns_blobs;
        let bench = Bench::new(options);
        bench.import_from(&from);
        bench.export(&[]);
        if !reassigns {
            assert_eq!(bench.snapshot(), from.snapshot("A1"));
        }
        bench.export_again(&[]);
        bench.export_again(&["--update"]);
    }
}

#[test]
fn one_message_in_two_folders_is_one_email() {
    let bench = Bench::new(Options::default());
    bench.deliver("", 1, "S");
    bench.deliver(".Work", 1, "F");
    bench.deliver(".Work", 2, "");
    bench.import_maildir();
    let summary = bench.export(&[]);
    assert_eq!((bench.count("Email"), summary["types"]["email"]["created"].as_u64()), (2, Some(2)), "{summary}");
    let both = bench
        .to
        .objects("A1", "Email")
        .into_values()
        .find(|email| email["mailboxIds"].as_object().expect("a set").len() == 2);
    assert_eq!(both.expect("in both")["keywords"], json!({ "$flagged": true, "$seen": true }));
    bench.export_again(&["--update"]);
}

#[test]
fn kills_leave_no_duplicates() {
    kill_and_go_on(None);
    // The first thing that such a server does not know is not the state.
    kill_and_go_on(Some("invalidArguments"));
}

/// The requests of the dead count beside those of the living: nobody can keep that limit.
fn forgive_the_dead(server: &Server) {
    let violations = server.take_violations();
    assert!(violations.iter().all(|one| one.contains("requests at once")), "{violations:?}");
}

fn kill_and_go_on(first: Option<&'static str>) {
    let limits = Limits { max_objects_in_set: 3, max_concurrent_requests: 2, ..Limits::default() };
    let bench = Bench::new(Options { limits, refuses_duplicates: false, ..Options::default() });
    for number in 0..600 {
        bench.deliver(["", ".A", ".A.B", ".C"][number as usize % 4], number, "S");
    }
    bench.import_maildir();
    bench.to.fault(At::AnyCall, When::Always, Fault::Slow(Duration::from_millis(25)));
    let mut dice = common::Dice(7);
    let mut kills = 0;
    for _ in 0..50 {
        if let Some(error) = first {
            bench.to.reset_faults();
            bench.to.fault(At::AnyCall, When::Always, Fault::Slow(Duration::from_millis(25)));
            bench.to.fault(At::Call("Email/import"), When::First(2), Fault::Error(error));
        }
        let mut child =
            bench.command(&["--quiet"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        std::thread::sleep(Duration::from_millis(120 + dice.roll() % 250));
        if child.try_wait().expect("a child").is_none() {
            kills += 1;
        }
        child.kill().expect("a child");
        // What it had sent is being done yet when the next one looks.
        child.wait().expect("a child");
    }
    bench.to.reset_faults();
    bench.export(&[]);
    forgive_the_dead(&bench.to);
    assert!(kills >= 30, "{kills} kills");
    assert_eq!((bench.count("Email"), bench.count("Mailbox")), (600, 4));
    bench.assert_no_duplicates();
    bench.export_again(&[]);
}

/// Small messages go into the request that imports them; where the server does not find them there, they go alone.
#[test]
fn small_messages_need_no_upload() {
    let faults: [Option<(&'static str, Fault)>; 5] = [
        None,
        Some(("Blob/upload", Fault::Error("unknownMethod"))),
        Some(("Blob/upload", Fault::Error("serverFail"))),
        Some(("Email/import", Fault::Error("requestTooLarge"))),
        Some(("Email/import", Fault::Object("blobNotFound", 1))),
    ];
    for fault in faults {
        let bench = Bench::new(Options { refuses_duplicates: false, ..Options::default() });
        (0..250).for_each(|number| bench.deliver(["", ".A"][number as usize % 2], number, "S"));
        bench.import_maildir();
        if let Some((method, fault)) = &fault {
            bench.to.fault(At::Call(method), When::First(1), fault.clone());
        }
        bench.export(&[]);
        let counters = bench.to.counters();
        if fault.is_none() {
            assert_eq!(counters.requests(common::jmap::Endpoint::Upload), 0, "{counters:?}");
            assert!(counters.requests(common::jmap::Endpoint::Api) < 20, "{counters:?}");
        }
        assert_eq!(bench.count("Email"), 250);
        bench.assert_no_duplicates();
        bench.to.reset_faults();
        bench.export_again(&[]);
        bench.to.assert_clean();
    }
}

#[test]
fn what_is_stored_wrongly_is_named() {
    let bench = Bench::new(Options::default());
    (0..3).for_each(|number| bench.deliver("", number, "S"));
    bench.import_maildir();
    let edit = |answer: &mut Value| {
        for created in answer["created"].as_object_mut().into_iter().flat_map(|map| map.values_mut()) {
            created["size"] = json!(4);
        }
    };
    bench.to.fault(At::Call("Email/import"), When::Always, Fault::Edit(std::sync::Arc::new(edit)));
    let (summary, said) = bench.export_as(&[], 5);
    assert!(said.contains("stored wrongly") && said.contains("4 bytes"), "{said}");
    assert_eq!(summary["types"]["email"]["failed_reasons"]["stored wrongly"], 3, "{summary}");
}

/// Mail that comes while an export runs is neither taken for ours nor a reason to stop; and a server without `ifInState`
/// (Cyrus 3.6) gets all, too.
#[test]
fn mail_may_come_meanwhile() {
    let limits = Limits { max_objects_in_set: 4, ..Limits::default() };
    for fault in ["meanwhile", "invalidArguments", "stateMismatch"] {
        let bench = Bench::new(Options { limits, refuses_duplicates: false, ..Options::default() });
        (0..60).for_each(|number| bench.deliver(["", ".A"][number as usize % 2], number, "S"));
        bench.import_maildir();
        let inbox = bench.to.seed("A1", "Mailbox", json!({ "name": "INBOX", "role": "inbox" }));
        let first = bench.to.seed_email("A1", &message(900), &[&inbox], &[], "2026-01-01T00:00:00Z");
        // Of the size of one of ours, too.
        let second = bench.to.seed_email("A1", &message(901), &[&inbox], &[], "2026-01-01T00:00:00Z");
        let comes = std::sync::atomic::AtomicU32::new(0);
        let come = move |account: &mut common::jmap::Account| {
            let kind = common::jmap::Kind::named("Email").expect("a type");
            let number = comes.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let of = if number.is_multiple_of(2) { &first } else { &second };
            let mut late = account.table(kind).rows.get(of).cloned().expect("an email");
            late["id"] = json!(format!("late{number}"));
            account.put(kind, &format!("late{number}"), late);
        };
        match fault {
            "meanwhile" => {
                bench.to.fault(At::Call("Email/import"), When::Every(3), Fault::Meanwhile(std::sync::Arc::new(come)));
            }
            error => bench.to.fault(At::Call("Email/import"), When::First(2), Fault::Error(error)),
        }
        bench.export(&[]);
        let happened = bench.to.faults_happened() as usize;
        let strangers = 2 + if fault == "meanwhile" { happened } else { 0 };
        assert!(happened >= 2);
        assert_eq!(bench.count("Email"), 60 + strangers, "{fault}");
        bench.to.reset_faults();
        bench.export_again(&[]);
        bench.to.assert_clean();
    }
}

/// An account on the target beside what the archive has.
fn strangers(to: &Server) -> Vec<(&'static str, String)> {
    let mailbox = to.seed("A1", "Mailbox", json!({ "name": "Foreign" }));
    let child = to.seed("A1", "Mailbox", json!({ "name": "Child", "parentId": mailbox }));
    let book = to.seed("A1", "AddressBook", json!({ "name": "Foreign" }));
    let calendar = to.seed("A1", "Calendar", json!({ "name": "Foreign" }));
    let card = json!({ "@type": "Card", "version": "1.0", "uid": "foreign", "addressBookIds": { &book: true }, "name": { "full": "x" } });
    let event = json!({ "@type": "Event", "uid": "foreign", "start": "2026-01-01T00:00:00", "calendarIds": { &calendar: true } });
    let folder = to.seed_file("A1", None, "Foreign", None);
    vec![
        ("Email", to.seed_email("A1", &message(900), &[&child], &[], "2026-01-01T00:00:00Z")),
        ("Email", to.seed_email("A1", b"From: z@z\r\n\r\nforeign", &[&mailbox], &[], "2026-01-01T00:00:00Z")),
        ("ContactCard", to.seed("A1", "ContactCard", card)),
        ("CalendarEvent", to.seed("A1", "CalendarEvent", event)),
        ("Identity", to.seed("A1", "Identity", json!({ "name": "F", "email": "f@example.org" }))),
        (
            "ParticipantIdentity",
            to.seed("A1", "ParticipantIdentity", json!({ "name": "F", "calendarAddress": "mailto:f@example.org" })),
        ),
        ("SieveScript", to.seed_script("A1", "foreign", b"stop;", false)),
        ("FileNode", to.seed_file("A1", Some(&folder), "foreign.txt", Some(b"foreign"))),
        ("FileNode", folder),
        ("Mailbox", child),
        ("Mailbox", mailbox),
        ("AddressBook", book),
        ("Calendar", calendar),
    ]
}

#[test]
fn prune_removes_what_the_archive_does_not_hold_and_nothing_else() {
    let from = Server::start(Options::default());
    fill(&from);
    let bench = Bench::new(Options::default());
    bench.import_from(&from);
    let trash = bench.to.seed("A1", "Mailbox", json!({ "name": "Trash", "role": "trash" }));
    let default = bench.to.seed("A1", "AddressBook", json!({ "name": "Their own", "isDefault": true, "myRights": { "mayRead": true, "mayWrite": true, "mayShare": true, "mayDelete": false } }));
    let strangers = strangers(&bench.to);
    bench.export(&[]);
    // Nobody is there to be asked.
    let (_, said) = bench.export_as(&["--prune"], 6);
    assert!(said.contains("--yes"), "{said}");
    for (flag, value) in [("--path", "mail"), ("--since", "2026-01-01"), ("--until", "2026-01-01"), ("--into", "x")] {
        bench.export_as(&["--prune", "--yes", flag, value], 1);
    }
    let (plan, _) = bench.export_as(&["--prune", "--dry-run"], 0);
    assert_eq!(plan["plan"]["email"]["remove"], 2, "{plan}");
    assert_eq!(plan["plan"]["email"]["remove_samples"].as_array().map(Vec::len), Some(2));
    for (kind, id) in &strangers {
        assert!(bench.to.object("A1", kind, id).is_some(), "{kind} {id} is gone too early");
    }
    let (summary, said) = bench.export_as(&["--prune", "--yes", "--objects", "contactcard"], 0);
    assert_eq!((summary["types"]["contactcard"]["removed"].as_u64(), bench.count("Email")), (Some(1), 36), "{said}");
    let summary = bench.export(&["--prune", "--yes"]);
    for (kind, id) in &strangers {
        assert!(bench.to.object("A1", kind, id).is_none(), "{kind} {id} is still there: {summary}");
    }
    assert!(bench.to.object("A1", "Mailbox", &trash).is_some());
    let default = bench.to.object("A1", "AddressBook", &default).expect("the default stays");
    assert_eq!(default["isDefault"], true);
    bench.export_again(&["--prune", "--yes"]);
}

/// Nothing is removed unless somebody at a terminal, who has seen the plan, says so.
#[test]
fn prune_asks_at_a_terminal() {
    let bench = Bench::new(Options::default());
    for number in 0..3 {
        bench.deliver("", number, "S");
    }
    bench.import_maildir();
    bench.export(&[]);
    let foreign = bench.to.seed("A1", "Mailbox", json!({ "name": "Foreign" }));
    for number in 0..2 {
        bench.to.seed_email("A1", &message(900 + number), &[&foreign], &[], "2026-01-01T00:00:00Z");
    }
    let full = bench.snapshot();
    let question = "Delete 3 objects from the account A1@example.org? [y/N] ";
    let ask = |extra: &[&str], answer: &str| {
        let mut command = vandelay();
        command.env("VANDELAY_PASSWORD", "secret").args(["export", "--allow-cleartext", "--account-id", "A1", "--url"]);
        command.arg(bench.to.url()).args(["--auth-basic", "alice", "--prune"]).args(extra).arg(bench.archive());
        let mut terminal = Terminal::start(command);
        terminal.wait_for(question);
        // Whoever reads takes his time, and meanwhile the question stays where it is.
        std::thread::sleep(Duration::from_millis(600));
        let shown = terminal.shown();
        assert!(shown.ends_with(question), "{shown:?}");
        assert!(
            extra.contains(&"--quiet") || (shown.contains("<900@example.org>") && shown.contains("Foreign")),
            "{shown}"
        );
        assert_eq!(bench.snapshot(), full, "before the answer");
        match answer {
            "^C" => terminal.interrupt(),
            answer => terminal.types(answer),
        }
        terminal.end()
    };
    assert_eq!(ask(&[], "^C").0, Some(130));
    assert_eq!(bench.snapshot(), full);
    for answer in ["\n", "n\n", "no\n", "yesterday\n", "y y\n", "j\n", "\x04"] {
        let (code, shown) = ask(&[], answer);
        assert!(code == Some(6) && shown.contains("nothing was changed"), "{answer:?} {code:?}: {shown}");
        assert_eq!(bench.snapshot(), full, "{answer:?}");
    }
    assert_eq!(ask(&["--quiet"], "no\n").0, Some(6));
    // Without a terminal nobody is asked, not even who would answer.
    let mut child =
        bench.command(&["--prune"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let typed = std::io::Write::write_all(&mut child.stdin.take().expect("a pipe"), b"yes\n");
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(typed.is_ok() && output.status.code() == Some(6) && said.contains("--yes"), "{said}");
    assert_eq!(bench.snapshot(), full);
    for answer in ["y\n", "yes\n", " YES \n"] {
        let (code, shown) = ask(&[], answer);
        assert_eq!((code, bench.count("Email"), bench.count("Mailbox")), (Some(0), 3, 1), "{answer:?}: {shown}");
        let foreign = bench.to.seed("A1", "Mailbox", json!({ "name": "Foreign" }));
        for number in 0..2 {
            bench.to.seed_email("A1", &message(900 + number), &[&foreign], &[], "2026-01-01T00:00:00Z");
        }
    }
    // Who said so before is not asked.
    let mut command = bench.command(&["--prune", "--yes"]);
    command.stdin(Stdio::null());
    let (code, shown) = Terminal::start(command).end();
    assert!(code == Some(0) && !shown.contains("[y/N]") && bench.count("Email") == 3, "{shown}");
}

#[test]
fn nothing_is_removed_for_an_archive_that_is_partial_or_damaged() {
    let bench = Bench::new(Options::default());
    bench.deliver("", 1, "S");
    bench.import_maildir();
    let foreign = bench.to.seed("A1", "Mailbox", json!({ "name": "Foreign" }));
    let change = |sql: &str| {
        let conn = rusqlite::Connection::open(bench.archive()).expect("the archive opens");
        conn.execute_batch(sql).expect("SQL");
        common::digest_snapshots(&conn);
    };
    for state in ["partial", "interrupted"] {
        change(&format!("UPDATE snapshots SET state = '{state}'"));
        let (_, said) = bench.export_as(&["--prune", "--yes"], 9);
        assert!(said.contains(state), "{said}");
    }
    change("UPDATE snapshots SET state = 'complete'");
    for report in ["NULL", "'7'", "'{\"hidden\":7}'"] {
        change(&format!("UPDATE snapshots SET report = {report}"));
        let (_, said) = bench.export_as(&["--prune", "--yes"], 9);
        assert!(said.contains("does not say"), "{said}");
    }
    change("UPDATE snapshots SET report = '{\"hidden\":{}}'; UPDATE emails SET mailbox_ids = '[77]'");
    bench.export_as(&["--prune", "--yes"], 8);
    assert!(bench.to.object("A1", "Mailbox", &foreign).is_some());
    assert_eq!(bench.count("Email"), 0);
    // Without --prune what there is goes, into a mailbox of its own.
    bench.export(&[]);
    let names: Vec<Value> = bench.to.objects("A1", "Mailbox").into_values().map(|it| it["name"].clone()).collect();
    assert!(names.contains(&json!("(no mailbox)")), "{names:?}");
    assert_eq!(bench.count("Email"), 1);
}

#[test]
fn nothing_is_removed_for_what_a_filter_hid() {
    let bench = Bench::new(Options::default());
    (0..4).for_each(|number| bench.deliver(["", ".A"][number as usize % 2], number, "S"));
    let archive = bench.archive();
    let maildir = bench.maildir();
    let import = |extra: &[&str]| {
        let both = [maildir.to_str().expect("UTF-8"), archive.to_str().expect("UTF-8")];
        common::ok(&[&["import", "maildir", "--quiet"], extra, &both].concat());
    };
    import(&["--folder", "INBOX"]);
    let foreign = bench.to.seed("A1", "Mailbox", json!({ "name": "A" }));
    for objects in ["mailbox,email", "mailbox", "email"] {
        let (_, said) = bench.export_as(&["--prune", "--yes", "--objects", objects], 9);
        assert!(said.contains("filter") && said.contains("hint: "), "{said}");
    }
    assert!(bench.to.object("A1", "Mailbox", &foreign).is_some());
    assert_eq!(bench.count("Email"), 0);
    import(&[]);
    let other = bench.to.seed("A1", "Mailbox", json!({ "name": "B" }));
    bench.export(&["--prune", "--yes"]);
    assert!(bench.to.object("A1", "Mailbox", &foreign).is_some() && bench.to.object("A1", "Mailbox", &other).is_none());
    assert_eq!(bench.count("Email"), 4);
}

#[test]
fn what_lies_elsewhere_is_told_and_what_holds_it_stays() {
    let bench = Bench::new(Options::default());
    (0..3).for_each(|number| bench.deliver("", number, "S"));
    bench.import_maildir();
    bench.export(&[]);
    let trash = bench.to.seed("A1", "Mailbox", json!({ "name": "Trash", "role": "trash" }));
    let mother = bench.to.seed("A1", "Mailbox", json!({ "name": "Mother" }));
    let child = bench.to.seed("A1", "Mailbox", json!({ "name": "Child", "parentId": mother }));
    let empty = bench.to.seed("A1", "Mailbox", json!({ "name": "Empty", "parentId": mother }));
    let emails: Vec<String> = bench.to.objects("A1", "Email").into_keys().collect();
    bench.to.change("A1", "Email", &emails[0], |email| email["mailboxIds"] = json!({ &trash: true }));
    bench.to.change("A1", "Email", &emails[1], |email| email["mailboxIds"][&child] = json!(true));
    let (_, said) = bench.export_as(&[], 0);
    assert!(said.contains("1 of the messages") && said.contains("--update moves them"), "{said}");
    // What holds a message of the archive is not removed, nor what holds that.
    let (summary, said) = bench.export_as(&["--prune", "--yes"], 0);
    assert!(said.contains("2 mailboxes") && summary["plan"]["mailbox"]["remove"] == 1, "{said} {summary}");
    assert!(summary["plan"]["mailbox"]["remove_samples"].to_string().contains("Mother/Empty"), "{summary}");
    let is_there = |id: &str| bench.to.object("A1", "Mailbox", id).is_some();
    assert!(is_there(&mother) && is_there(&child) && !is_there(&empty));
    bench.export(&["--prune", "--yes", "--update"]);
    assert!(!is_there(&mother) && !is_there(&child) && is_there(&trash));
    assert_eq!(bench.count("Email"), 3);
    let (_, said) = bench.export_as(&["--path", ".snapshots/2026-11-26T08-14-58Z/mail/INBOX"], 1);
    assert!(said.contains("--at"), "{said}");
}

#[test]
fn update_brings_what_is_there_to_the_archives_state() {
    let from = Server::start(Options::default());
    fill(&from);
    let bench = Bench::new(Options::default());
    bench.import_from(&from);
    bench.export(&[]);
    let to = &bench.to;
    let other = to.seed("A1", "Mailbox", json!({ "name": "Other" }));
    for (at, id) in to.objects("A1", "Email").into_keys().enumerate() {
        to.change("A1", "Email", &id, |email| match at % 3 {
            0 => email["keywords"] = json!({ "$flagged": true }),
            1 => email["mailboxIds"] = json!({ &other: true }),
            _ => {}
        });
    }
    for kind in ["ContactCard", "CalendarEvent", "Calendar", "AddressBook", "Mailbox", "Identity"] {
        for id in to.objects("A1", kind).into_keys().filter(|id| *id != other) {
            to.change("A1", kind, &id, |object| match kind {
                "ContactCard" => object["nicknames"] = json!({ "n": { "@type": "Nickname", "name": "N" } }),
                "CalendarEvent" => object["title"] = json!("Other"),
                "Calendar" => object["color"] = json!("#0000ff"),
                "AddressBook" => object["description"] = json!("other"),
                "Mailbox" => object["sortOrder"] = json!(77),
                _ => object["textSignature"] = json!("other"),
            });
        }
    }
    // Another photo, and the same one under another id.
    let photos = [&b"\x89PNG\r\n\x1a\nanother"[..], b"\x89PNG\r\n\x1a\nphoto"].map(|bytes| to.seed_blob("A1", bytes));
    for (id, card) in to.objects("A1", "ContactCard") {
        if card["media"].is_object() {
            to.change("A1", "ContactCard", &id, |card| card["media"]["p"]["blobId"] = json!(photos[0]));
        }
    }
    let scripts = to.objects("A1", "SieveScript");
    for (id, script) in scripts {
        to.change("A1", "SieveScript", &id, |it| it["isActive"] = json!(script["name"] == "old"));
    }
    // Nothing is touched that was not asked for.
    bench.export_again(&[]);
    let summary = bench.export(&["--update"]);
    assert!(summary["types"]["email"]["updated"].as_u64() > Some(20), "{summary}");
    to.remove("A1", "Mailbox", &other);
    let leave =
        |lines: Vec<String>| lines.into_iter().map(|line| line.replace("\"sequence\":1,", "")).collect::<Vec<_>>();
    assert_eq!(leave(bench.snapshot()), leave(from.snapshot("A1")));
    bench.export_again(&["--update"]);
}

#[test]
fn parts_of_an_archive_go_alone() {
    let bench = Bench::new(Options::default());
    for number in 0..12 {
        bench.deliver(["", ".Work", ".Work.Deep"][number as usize % 3], number, "S");
    }
    bench.import_maildir();
    let archive = bench.archive();
    let listed = common::ok(&["ls", archive.to_str().expect("UTF-8"), "mail/Work/cur"]);
    let one = format!("mail/Work/cur/{}", listed.lines().next().expect("a message"));
    bench.export_as(&["--path", "mail/Nowhere"], 1);
    bench.export_as(&["--path", "mail/N*"], 1);
    let names = || {
        let mut names: Vec<String> = bench
            .to
            .objects("A1", "Mailbox")
            .into_values()
            .map(|it| it["name"].as_str().expect("a name").to_owned())
            .collect();
        names.sort();
        names
    };
    bench.export(&["--path", &one]);
    assert_eq!((bench.count("Email"), names()), (1, vec!["Work".to_owned()]));
    let email = bench.to.objects("A1", "Email").into_values().next().expect("an email");
    assert_eq!((&email["receivedAt"], &email["keywords"]), (&json!("2017-07-14T02:40:01Z"), &json!({ "$seen": true })));
    bench.export(&["--path", "mail/Work/**"]);
    assert_eq!((bench.count("Email"), names()), (8, vec!["Deep".to_owned(), "Work".to_owned()]));
    bench.export(&["--path", "mail/INBOX/cur/1500000000.*", "--path", "text/INBOX/*number 3*"]);
    assert_eq!(bench.count("Email"), 10);
    bench.export(&["--since", "2017-07-14T02:40:06Z", "--until", "2017-07-14T02:40:07Z"]);
    assert_eq!(bench.count("Email"), 11);
    bench.export(&["--objects", "email"]);
    assert_eq!((bench.count("Email"), names().len()), (12, 3));
    bench.export_again(&[]);
}

#[test]
fn into_a_new_folder_goes_all_mail() {
    let from = Server::start(Options::default());
    fill(&from);
    let bench = Bench::new(Options::default());
    bench.import_from(&from);
    let their_inbox = bench.to.seed("A1", "Mailbox", json!({ "name": "Inbox", "role": "inbox" }));
    bench.to.seed_email("A1", &message(3), &[&their_inbox], &[], "2026-02-04T08:00:00Z");
    bench.export(&["--into", "Restored 2026-11"]);
    let mailboxes = bench.to.objects("A1", "Mailbox");
    let top = mailboxes.iter().find(|(_, it)| it["name"] == "Restored 2026-11").expect("the folder").0.clone();
    let below = mailboxes.values().filter(|it| it["parentId"] == json!(top)).count();
    assert_eq!((below, mailboxes.len()), (3, 6));
    let there = bench.to.objects("A1", "Email").into_values().find(|it| it["mailboxIds"].get(&their_inbox).is_some());
    assert_eq!(there.expect("it stays in the inbox")["mailboxIds"].as_object().expect("a set").len(), 2);
    let books: Vec<Value> = bench.to.objects("A1", "AddressBook").into_values().map(|it| it["name"].clone()).collect();
    assert!(books.contains(&json!("People (Restored 2026-11)")), "{books:?}");
    assert!(bench.to.objects("A1", "FileNode").into_values().any(|it| it["name"] == "Restored 2026-11"));
    bench.export_again(&["--into", "Restored 2026-11"]);
}

#[test]
fn what_is_refused_is_named_and_the_rest_goes_on() {
    let from = Server::start(Options::default());
    fill(&from);
    let bench = Bench::new(Options {
        limits: Limits { max_size_upload: 1_000_000, ..Limits::default() },
        may_send_from: Some(vec!["example.com".to_owned()]),
        ..Options::default()
    });
    from.seed_script("A1", "broken", b"require \"nothing\"; keep;", false);
    bench.import_from(&from);
    let (summary, said) = bench.export_as(&[], 5);
    assert_eq!(summary["types"]["email"]["created"], 33, "{summary}");
    for part in ["<large@x>", "5242", "forbiddenFrom", "alice@example.org", "broken", "invalidSieve"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!((bench.count("SieveScript"), bench.count("Identity"), bench.count("ContactCard")), (2, 0, 2));
    // What does not fit is not sent again and again.
    let full = Bench::new(Options::default());
    full.import_from(&from);
    full.to.set_quota("A1", Some(3_000_000));
    let (summary, said) = full.export_as(&[], 5);
    assert_eq!(summary["types"]["email"]["failed_reasons"]["overQuota"], 1, "{summary}");
    assert!(said.contains("overQuota") && said.contains("<large@x>"), "{said}");
    full.to.set_quota("A1", None);
    full.export_as(&[], 5);
    assert_eq!(full.count("Email"), 34);
}

#[test]
fn accounts_that_have_less_get_what_they_can_hold() {
    let from = Server::start(Options::default());
    fill(&from);
    let bench =
        Bench::new(Options { accounts: vec![common::jmap::AccountOptions::with("A1", &[MAIL])], ..Options::default() });
    bench.import_from(&from);
    let (summary, said) = bench.export_as(&[], 0);
    assert_eq!((bench.count("Email"), bench.count("ContactCard")), (34, 0), "{summary}");
    assert!(said.contains("contactcard") && said.contains("left out"), "{said}");
    assert_eq!(bench.to.counters().calls("Blob/upload"), 0);
    let with_blobs = Bench::new(Options {
        accounts: vec![common::jmap::AccountOptions::with("A1", &[MAIL, BLOB, FILENODE])],
        ..Options::default()
    });
    with_blobs.import_from(&from);
    with_blobs.export(&["--objects", "email"]);
    let counters = with_blobs.to.counters();
    let (small, large) = (counters.calls("Blob/upload"), counters.requests(common::jmap::Endpoint::Upload));
    assert!(small <= 3 && large == 1 && counters.calls("Email/import") <= 4, "{small} {large}");
}

#[test]
fn tasks_notes_photos_and_odd_keywords_arrive() {
    let bench = Bench::new(Options { event_types: &["Event"], ..Options::default() });
    let takeout = bench.dir.path().join("Takeout");
    std::fs::create_dir(&takeout).expect("a directory");
    let calendar = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:a\r\nDTSTAMP:20260101T000000Z\r\nDTSTART;TZID=Europe/Zurich:20260101T100000\r\nSUMMARY:Tea\r\nX-ODD;X-P=1:v\r\nATTACH;VALUE=BINARY;ENCODING=BASE64;FMTTYPE=text/plain:aGVsbG8=\r\nBEGIN:VALARM\r\nACTION:DISPLAY\r\nTRIGGER:-PT5M\r\nDESCRIPTION:x\r\nEND:VALARM\r\nEND:VEVENT\r\nBEGIN:VTODO\r\nUID:task/1\r\nDTSTAMP:20260101T000000Z\r\nSUMMARY:Do it\r\nEND:VTODO\r\nBEGIN:VJOURNAL\r\nUID:note\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20260101T000000Z\r\nSUMMARY:Said\r\nEND:VJOURNAL\r\nEND:VCALENDAR\r\n";
    std::fs::write(takeout.join("Mine.ics"), calendar).expect("a file");
    let card = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:c1\r\nFN:Ada\r\nN:L;Ada;;;\r\nX-ODD:1\r\nPHOTO;ENCODING=b;TYPE=PNG:iVBORw0KGgo=\r\nBDAY:1815-12-10\r\nEND:VCARD\r\n";
    std::fs::write(takeout.join("c.vcf"), card).expect("a file");
    std::fs::write(takeout.join("odd?.vcf"), "bytes").expect("a file");
    let archive = bench.archive();
    common::ok(&["import", "takeout", "--quiet", takeout.to_str().expect("UTF-8"), archive.to_str().expect("UTF-8")]);
    std::fs::create_dir_all(bench.maildir()).expect("a directory");
    std::fs::write(bench.maildir().join("dovecot-keywords"), "0 NonJunk\n1 a(b)\n2 \u{fc}\n").expect("a file");
    bench.deliver("", 1, "Sabc");
    bench.import_maildir();
    let (summary, said) = bench.export_as(&[], 0);
    assert_eq!((bench.count("CalendarEvent"), bench.count("ContactCard")), (1, 1), "{summary} {said}");
    let email = bench.to.objects("A1", "Email").into_values().next().expect("an email");
    assert_eq!(email["keywords"], json!({ "$seen": true, "nonjunk": true, "a_b_": true }));
    assert!(said.contains("a(b)"), "{said}");
    let files = bench.to.objects("A1", "FileNode");
    let task = files.iter().find(|(_, it)| it["name"] == "task_1.ics").expect("the task").0;
    let bytes = String::from_utf8(bench.to.bytes("A1", "FileNode", task).expect("bytes")).expect("UTF-8");
    assert!(bytes.contains("SUMMARY:Do it") && !bytes.contains("SUMMARY:Tea"), "{bytes}");
    assert!(files.values().any(|it| it["name"] == "odd_.vcf"), "{files:?}");
    bench.export_again(&[]);
    bench.export_again(&["--update"]);
}

#[test]
fn corpora_go_to_a_strict_server() {
    let bench = Bench::new(Options::default());
    let archive = bench.archive();
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpora");
    common::run(&["import", "takeout", "--quiet", corpora.to_str().expect("UTF-8"), archive.to_str().expect("UTF-8")]);
    let output = bench.command(&[]).output().expect("the program starts");
    let code = output.status.code().unwrap_or(-1);
    let (summary, said) = judge(output, code);
    assert!(code == 0 || code == 5, "{said}");
    let counts = |kind: &str, what: &str| summary["types"][kind][what].as_u64().unwrap_or(0);
    // Files .eml without any header are all that is refused of the mail.
    let headless = summary["types"]["email"]["failed_reasons"]["invalidEmail"].as_u64().unwrap_or(0);
    assert!(headless <= 5, "{said}");
    assert_eq!((counts("email", "failed"), counts("contactcard", "failed")), (headless, 0), "{said}");
    // Events of one uid in several files are all that is refused.
    let failed = counts("calendarevent", "failed");
    assert!(failed <= 20 && counts("calendarevent", "created") > 600, "{}", summary["types"]["calendarevent"]);
    bench.to.reset_counters();
    bench.export_as(&[], code);
    let counters = bench.to.counters();
    assert_eq!((counters.calls("CalendarEvent/set"), counters.calls("ContactCard/set")), (0, 0));
}

#[test]
fn a_token_that_expires_is_renewed() {
    let tokens: Vec<String> = (0..40).map(|number| format!("token-{number}")).collect();
    let auth = common::jmap::Auth::Bearer { tokens, requests_each: Some(4) };
    let limits = Limits { max_objects_in_set: 2, ..Limits::default() };
    let bench = Bench::new(Options { auth, limits, ..Options::default() });
    for number in 0..20 {
        bench.deliver("", number, "S");
    }
    bench.import_maildir();
    let counter = bench.dir.path().join("counter");
    let script = format!("n=$(cat {0} 2>/dev/null || echo 0); echo $((n+1)) > {0}; echo token-$n", counter.display());
    for extra in ["--dry-run", "--quiet"] {
        let mut command = begin("export", &bench.to.url());
        command.args(["--account-id", "A1", "--token-command", &script, "--auth-bearer", extra]).arg(bench.archive());
        judge(command.output().expect("the program starts"), 0);
    }
    assert_eq!(bench.count("Email"), 20);
    bench.assert_no_duplicates();
}

#[test]
fn an_interrupted_run_says_what_it_did() {
    let limits = Limits { max_objects_in_set: 2, max_concurrent_requests: 1, ..Limits::default() };
    let bench = Bench::new(Options { limits, ..Options::default() });
    for number in 0..100 {
        bench.deliver("", number, "S");
    }
    bench.import_maildir();
    bench.to.fault(At::AnyCall, When::Always, Fault::Slow(Duration::from_millis(30)));
    let child = bench.command(&[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    std::thread::sleep(Duration::from_millis(900));
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).expect("a pid")).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("a signal");
    let (summary, said) = judge(child.wait_with_output().expect("it ends"), 130);
    assert!(summary["types"]["email"]["not_reached"].as_u64() > Some(0), "{summary} {said}");
    bench.to.reset_faults();
    bench.export(&[]);
    forgive_the_dead(&bench.to);
    assert_eq!(bench.count("Email"), 100);
    bench.assert_no_duplicates();
}

#[test]
fn a_maildir_goes_to_cyrus() {
    let Some(cyrus) = common::cyrus::Cyrus::start() else { return };
    let bench = Bench::new(Options::default());
    for number in 0..300 {
        bench.deliver(
            ["", ".Work", ".Work.Deep & odd", ".Sent"][number as usize % 4],
            number,
            ["S", "", "FS"][number as usize % 3],
        );
    }
    bench.deliver(".Work", 0, "S");
    let large = [&message(1_000)[..], &b"0123456789abcdef\r\n".repeat(100_000)].concat();
    deliver(&bench.maildir(), "1600000000.large:2,S", &large);
    bench.import_maildir();
    let user = "alice@example.org";
    drop(common::imap::Imap::login(cyrus.imap, user, "x"));
    let export = |extra: &[&str], archive: &Path| {
        let mut command = at_cyrus(&cyrus, "export", user);
        judge(
            command.args(["--objects", "mailbox,email"]).args(extra).arg(archive).output().expect("the program starts"),
            0,
        )
    };
    let (summary, said) = export(&[], &bench.archive());
    assert_eq!(summary["types"]["email"]["created"], 301, "{summary} {said} {}", cyrus.log());
    let (summary, said) = export(&["--update"], &bench.archive());
    assert_eq!(
        (&summary["types"]["email"]["matched"], &summary["types"]["email"]["updated"]),
        (&json!(301), &json!(0)),
        "{summary} {said}"
    );
    // Back into another archive: the same messages with the same flags, folders and dates.
    let again = bench.dir.path().join("b.sqlite");
    let mut command = at_cyrus(&cyrus, "import", user);
    let output = command.args(["--objects", "mailbox,email"]).arg(&again).output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let messages = |archive: &Path| {
        let conn = rusqlite::Connection::open(archive).expect("an archive");
        let sql = "SELECT hex(b.hash), e.received_at, k.value, m.name FROM emails e JOIN blobs b ON b.id = e.blob_id
                   JOIN json_each(e.mailbox_ids) j JOIN mailboxes m ON m.id = j.value LEFT JOIN json_each(e.keywords) k
                   ORDER BY 1, 2, 3, 4";
        let mut statement = conn.prepare(sql).expect("SQL");
        let rows = statement.query_map([], |row| {
            let name: String = row.get(3)?;
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, Option<String>>(2)?,
                name.to_lowercase(),
            ))
        });
        rows.expect("rows").collect::<Result<Vec<_>, _>>().expect("rows")
    };
    assert_eq!(messages(&again), messages(&bench.archive()));
    // What is not in the archive goes, but for the folders that an account always has.
    let mut imap = common::imap::Imap::login(cyrus.imap, user, "x");
    imap.ok("CREATE Foreign");
    assert!(imap.append("Foreign", "", &message(5_000), false));
    let (summary, said) = export(&["--prune", "--yes"], &bench.archive());
    assert_eq!(
        (&summary["types"]["email"]["removed"], &summary["types"]["mailbox"]["removed"]),
        (&json!(1), &json!(1)),
        "{summary} {said}"
    );
}

/// Cyrus takes no message with bare newlines, and a Maildir has such.
#[test]
fn messages_with_bare_newlines_go_to_cyrus() {
    let Some(cyrus) = common::cyrus::Cyrus::start() else { return };
    let bench = Bench::new(Options::default());
    for number in 0..12 {
        let bytes: Vec<u8> = message(number).into_iter().filter(|byte| number % 2 == 0 || *byte != b'\r').collect();
        deliver(&bench.maildir(), &format!("1600000000.M{number}:2,S"), &bytes);
    }
    bench.import_maildir();
    let user = "alice@example.org";
    drop(common::imap::Imap::login(cyrus.imap, user, "x"));
    let export = || {
        let mut command = at_cyrus(&cyrus, "export", user);
        judge(
            command.args(["--objects", "mailbox,email"]).arg(bench.archive()).output().expect("the program starts"),
            0,
        )
    };
    let (summary, said) = export();
    assert_eq!(summary["types"]["email"]["created"], 12, "{summary} {said}");
    let (summary, said) = export();
    assert_eq!(summary["types"]["email"]["matched"], 12, "{summary} {said}");
}

#[test]
fn archives_of_1x_go_as_well() {
    for cycle in [false, true] {
        let bench = Bench::new(Options { refuses_duplicates: false, ..Options::default() });
        common::v1::write(&bench.archive(), &common::v1::Variant { cycle, ..Default::default() });
        let (summary, said) = bench.export_as(&[], 5);
        assert_eq!(summary["types"]["mailbox"]["failed"], 0, "{summary} {said}");
        let emails = common::v1::messages().len();
        assert_eq!(bench.count("Email"), emails, "{summary} {said}");
        assert_eq!((bench.count("Calendar"), bench.count("Identity"), bench.count("AddressBook")), (1, 1, 1));
        // One file of it has lost its bytes; all else is there, and stays as it is.
        assert!(said.contains("no bytes"), "{said}");
        bench.to.reset_counters();
        bench.export_as(&[], 5);
        assert_eq!((bench.to.counters().calls("Mailbox/set"), bench.to.counters().calls("Email/import")), (0, 0));
        assert_eq!(bench.count("Email"), emails);
        // 1.x does not say whether its last run was complete.
        bench.export_as(&["--prune", "--yes"], 9);
    }
}

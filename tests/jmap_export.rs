//! `vandelay export` against the strict server of the tests, and against a real Cyrus.

mod common;

use common::jmap::{At, BLOB, Fault, FILENODE, Limits, MAIL, Options, Server, When};
use common::{deliver, message, vandelay};
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
        common::ok(&["import", "maildir", "--quiet", maildir.to_str().expect("UTF-8"), archive.to_str().expect("UTF-8")]);
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

    fn portrait(&self) -> Vec<String> {
        self.to.portrait("A1")
    }
}

fn command(server: &Server, what: &str) -> Command {
    let mut command = vandelay();
    command.env("VANDELAY_PASSWORD", "secret").arg(what);
    if what == "import" {
        command.arg("jmap");
    }
    command.args(["--json", "--allow-cleartext", "--url"]).arg(server.url());
    command.args(["--auth-basic", "alice", "--account-id", "A1"]);
    command
}

fn judge(output: Output, code: i32) -> (Value, String) {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(!said.contains("YWxpY2U6"), "{said}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let summary = lines.filter(|line| line["message_type"] == "summary").last().unwrap_or_default();
    for (kind, account) in summary["types"].as_object().into_iter().flatten() {
        let sum = |name: &str| match &account[name] {
            Value::Object(reasons) => reasons.values().filter_map(Value::as_u64).sum(),
            other => other.as_u64().unwrap_or(0),
        };
        let all = ["created", "updated", "matched", "skipped", "failed"].map(sum);
        assert_eq!(sum("found"), all.iter().sum::<u64>(), "{kind}: {account}");
    }
    (summary, said)
}

/// Something of each type.
fn fill(server: &Server) {
    let seed = |kind: &str, object: Value| server.seed("A1", kind, object);
    let inbox = seed("Mailbox", json!({ "name": "INBOX", "role": "inbox", "sortOrder": 3 }));
    let work = seed("Mailbox", json!({ "name": "Work", "isSubscribed": false }));
    let deep = seed("Mailbox", json!({ "name": "Ü/1", "parentId": work }));
    seed("Mailbox", json!({ "name": "Gesendet", "role": "sent" }));
    let book = seed("AddressBook", json!({ "name": "People", "isDefault": true, "sortOrder": 2, "description": "all" }));
    let other = seed("AddressBook", json!({ "name": "Old" }));
    let photo = server.seed_blob("A1", b"\x89PNG\r\n\x1a\nphoto");
    seed(
        "ContactCard",
        json!({
            "@type": "Card", "version": "1.0", "uid": "urn:uuid:1", "name": { "full": "Ada" },
            "addressBookIds": { &book: true, &other: true },
            "media": { "p": { "@type": "Media", "kind": "photo", "blobId": photo, "mediaType": "image/png" } },
        }),
    );
    seed(
        "ContactCard",
        json!({ "@type": "Card", "version": "1.0", "uid": "urn:uuid:2", "name": { "full": "Bob" }, "addressBookIds": { &book: true } }),
    );
    let calendar = seed(
        "Calendar",
        json!({
            "name": "Work", "color": "#ff0000", "description": "d", "isDefault": true, "isVisible": false, "sortOrder": 4,
            "includeInAvailability": "attending", "timeZone": "Europe/Zurich", "isSubscribed": true,
            "defaultAlertsWithTime": { "a": { "@type": "Alert", "trigger": { "@type": "OffsetTrigger", "offset": "-PT5M" } } },
        }),
    );
    let agenda = server.seed_blob("A1", b"the agenda");
    seed(
        "CalendarEvent",
        json!({
            "@type": "Event", "uid": "e1", "title": "Tea", "start": "2026-01-02T10:00:00", "duration": "PT1H",
            "timeZone": "Europe/Zurich", "calendarIds": { &calendar: true }, "useDefaultAlerts": true, "isDraft": true,
            "created": "2026-01-01T00:00:00Z",
            "recurrenceRules": [{ "@type": "RecurrenceRule", "frequency": "weekly" }],
            "recurrenceOverrides": { "2026-01-09T10:00:00": { "title": "Coffee" } },
            "links": { "l": { "@type": "Link", "blobId": agenda, "contentType": "text/plain", "title": "agenda" } },
        }),
    );
    seed(
        "Identity",
        json!({
            "name": "Alice", "email": "alice@example.org", "textSignature": "-- \nA", "htmlSignature": "<b>A</b>",
            "replyTo": [{ "name": null, "email": "r@example.org" }],
        }),
    );
    seed(
        "ParticipantIdentity",
        json!({ "name": "Alice", "calendarAddress": "mailto:alice@example.org", "isDefault": true }),
    );
    seed(
        "VacationResponse",
        json!({ "id": "singleton", "isEnabled": true, "fromDate": "2026-01-01T00:00:00Z", "subject": "Away", "textBody": "Later" }),
    );
    for number in 0..30_u32 {
        let mailboxes: Vec<&str> = match number % 3 {
            0 => vec![&inbox],
            1 => vec![&inbox, &deep],
            _ => vec![&work],
        };
        let keywords: &[&str] = if number % 2 == 0 { &["$seen", "work"] } else { &[] };
        let at = format!("2026-02-{:02}T08:00:00Z", number % 28 + 1);
        server.seed_email("A1", &message(number), &mailboxes, keywords, &at);
    }
    let large = vec![b'x'; 5 << 20];
    let large = [b"Message-ID: <large@x>\r\n\r\n", &large[..]].concat();
    server.seed_email("A1", &large, &[&inbox], &[], "2026-03-01T00:00:00Z");
    let odd: [&[u8]; 3] =
        [b"From: x@y\r\n\r\nno id\r\n", b"Message-ID: odd@x\r\nSubject: \xff\r\n\r\n\0binary\xfe", b"Message-ID: <A@b>\r\nMessage-ID: <b@B>\r\n\r\ntwo"];
    for bytes in odd {
        server.seed_email("A1", bytes, &[&inbox], &["$flagged"], "2026-03-02T00:00:00Z");
    }
    server.seed_script("A1", "main", b"keep;\r\n", true);
    server.seed_script("A1", "old", b"discard;\r\n", false);
    let folder = server.seed_file("A1", None, "Documents", None);
    let inner = server.seed_file("A1", Some(&folder), "Inner", None);
    server.seed_file("A1", Some(&inner), "a.txt", Some(b"text"));
    server.seed_file("A1", Some(&folder), "empty", Some(b""));
    seed(
        "FileNode",
        json!({ "name": "link", "nodeType": "symlink", "target": ["Documents", "a"], "parentId": null, "modified": "2026-01-01T00:00:00Z" }),
    );
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
    let theirs = from.portrait("A1");
    assert_eq!(bench.portrait(), theirs);
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

//! `vandelay find`: what each term means, over objects of every type and over all that an archive ever held.

use crate::common::jmap::{Options, Server};
use crate::common::jmap_run::{command, judge};
use crate::common::{deliver, fails, json, listed, maildir, ok, set_ends, vandelay};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// A message with these fields and this body; its size grows with `filler`.
fn mail(from: &str, subject: &str, rest: &str, filler: usize) -> Vec<u8> {
    let id = blake3::hash(subject.as_bytes()).to_hex();
    format!(
        "From: {from}\r\nTo: Olive Owner <olive@example.net>\r\nSubject: {subject}\r\nMessage-ID: <{}@example.org>\r\n{rest}{}",
        &id[..12],
        "-\r\n".repeat(filler)
    )
    .into_bytes()
}

const ATTACHED: &str = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nsee the script\r\n--b\r\n\
    Content-Type: text/x-python\r\nContent-Disposition: attachment; filename=get_wr_time.py\r\n\r\nprint('whiterabbit')\r\n--b\r\n\
    Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw==\r\n--b--\r\n";

/// An account with something of each type, in four snapshots, which ended on four days of 2026.
struct Account {
    dir: tempfile::TempDir,
    archive: PathBuf,
}

impl Account {
    fn new() -> Account {
        let dir = tempfile::tempdir().expect("a directory");
        let archive = dir.path().join("alice.sqlite");
        let server = Server::start(Options::default());
        let import = || {
            judge(&command(&server, "import").arg(&archive).output().expect("the program starts"), 0);
        };
        let seed = |kind: &str, object: Value| server.seed("A1", kind, object);
        let inbox = seed("Mailbox", json!({ "name": "INBOX", "role": "inbox" }));
        let projects = seed("Mailbox", json!({ "name": "Projects" }));
        let usrp = seed("Mailbox", json!({ "name": "usrp", "parentId": &projects }));
        let email = |bytes: &[u8], mailbox: &str, keywords: &[&str], day: &str| {
            server.seed_email("A1", bytes, &[mailbox], keywords, &format!("{day}T10:00:00Z"))
        };
        let naughton = "Mark Naughton <mark@naughton.example>";
        let lost =
            email(&mail(naughton, "Blackfin port", "\r\nthe white rabbit runs\r\n", 0), &inbox, &[], "2025-06-03");
        let script =
            email(&mail("Ada <ada@example.org>", "Clock script", ATTACHED, 900), &usrp, &["$seen"], "2025-07-01");
        email(
            &mail(
                "J=?utf-8?q?=C3=B6?=rg <joerg@example.org>",
                "=?utf-8?q?Gr=C3=BC=C3=9Fe?= aus =?utf-8?b?WsO8cmljaA==?=",
                "Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nein Stra=DFencaf=E9, in=ADvoice and rab=\r\nbit white\r\n",
                0,
            ),
            &inbox,
            &["$seen", "$flagged"],
            "2025-08-01",
        );
        email("From: t@example.jp\r\nSubject: 東京タワー\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>中文信<b>息</b>处理</p><style>hidden</style>".as_bytes(), &inbox, &[], "2025-09-01");
        let calendar = seed("Calendar", json!({ "name": "Home" }));
        let book = seed("AddressBook", json!({ "name": "People" }));
        let event = seed(
            "CalendarEvent",
            json!({ "@type": "Event", "uid": "e1", "title": "Tea with Bob", "description": "bring the samovar", "start": "2026-01-02T10:00:00", "calendarIds": { &calendar: true } }),
        );
        seed(
            "ContactCard",
            json!({ "@type": "Card", "version": "1.0", "uid": "urn:uuid:1", "name": { "full": "Ada Lovelace" }, "notes": { "n": { "@type": "Note", "note": "countess of engines" } }, "addressBookIds": { &book: true } }),
        );
        let documents = server.seed_file("A1", None, "Documents", None);
        let letter = server.seed_file("A1", Some(&documents), "letter.txt", Some(b"the zanzibar treaty"));
        server.seed_script("A1", "receipts-filter", b"require \"fileinto\";\r\nfileinto \"Quittungen\";\r\n", true);
        import();
        // 2: the folder is renamed, the event gets another title, what was read is not any more.
        server.change("A1", "Mailbox", &projects, |mailbox| mailbox["name"] = json!("Archive"));
        server.change("A1", "CalendarEvent", &event, |event| event["title"] = json!("Coffee with Bob"));
        server.change("A1", "Email", &script, |email| email["keywords"] = json!({}));
        import();
        // 3: a message goes, one comes that is gone at 4.
        server.remove("A1", "Email", &lost);
        let brief =
            email(&mail("brief@example.org", "Here and gone", "\r\nephemeral\r\n", 0), &inbox, &[], "2025-10-01");
        import();
        server.remove("A1", "Email", &brief);
        server.remove("A1", "FileNode", &letter);
        import();
        set_ends(
            &archive,
            &[
                (1, "2026-03-01T12:00:00Z"),
                (2, "2026-03-02T12:00:00Z"),
                (3, "2026-03-03T12:00:00Z"),
                (4, "2026-03-04T12:00:00Z"),
            ],
        );
        Account { dir, archive }
    }

    fn find(&self, words: &[&str]) -> Vec<Value> {
        let all = [&["find", text(&self.archive)], words].concat();
        listed(&all)
    }

    /// The titles of what is found.
    fn titles(&self, words: &[&str]) -> BTreeSet<String> {
        let found = self.find(words);
        let titles: BTreeSet<String> = found.iter().map(|one| title(one).to_owned()).collect();
        assert_eq!(titles.len(), found.len(), "{words:?}: one line an object");
        titles
    }
}

fn title(found: &Value) -> &str {
    found["subject"].as_str().expect("a title")
}

const LOST: &str = "Blackfin port";
const SCRIPT: &str = "Clock script";
const GREETING: &str = "Grüße aus Zürich";
const TOWER: &str = "東京タワー";
const BRIEF: &str = "Here and gone";
const EVENT: &str = "Coffee with Bob";
const CARD: &str = "Ada Lovelace";
const FILE: &str = "letter.txt";
const SIEVE: &str = "receipts-filter.sieve";
const FORMER: &str = "Tea with Bob";

#[test]
fn each_term_finds_what_it_says() {
    let account = Account::new();
    let messages: &[&str] = &[LOST, SCRIPT, GREETING, TOWER, BRIEF];
    let cases: &[(&[&str], &[&str])] = &[
        // Words as a reader sees them.
        (&["blackfin"], &[LOST]),
        (&["BLACKFIN"], &[LOST]),
        (&["blackfi"], &[]),
        (&["blackfi*"], &[LOST]),
        (&["gruesse"], &[]),
        (&["grusse"], &[GREETING]),
        (&["Grüße"], &[GREETING]),
        (&["zurich", "CAFÉ"], &[]),
        (&["zurich", "straßencafe"], &[GREETING]),
        (&["STRASSENCAFE"], &[GREETING]),
        (&["invoice"], &[GREETING]),
        (&["jorg"], &[GREETING]),
        (&["京タ"], &[TOWER]),
        (&["東"], &[TOWER]),
        (&["ワー"], &[TOWER]),
        (&["信息处"], &[TOWER]),
        (&["息中"], &[]),
        (&["hidden"], &[]),
        (&["whiterabbit"], &[SCRIPT]),
        // Phrases.
        (&["white", "rabbit"], &[LOST, GREETING]),
        (&["\"white rabbit\""], &[LOST]),
        (&["\"rabbit white\""], &[GREETING]),
        (&["body:\"white rabbit\""], &[LOST]),
        (&["subject:\"clock script\""], &[SCRIPT]),
        (&["“white rabbit”"], &[LOST]),
        // Fields.
        (&["from:naughton"], &[LOST]),
        (&["from:mark@naughton.example"], &[LOST]),
        (&["to:naughton"], &[]),
        (&["to:olive", "-from:ada"], &[LOST, GREETING, BRIEF]),
        (&["subject:rabbit"], &[]),
        (&["body:script"], &[SCRIPT]),
        (&["attachment:get_wr_time.py"], &[SCRIPT]),
        (&["attachment:get"], &[SCRIPT]),
        (&["get_wr_time"], &[SCRIPT]),
        (&["has:attachment"], &[SCRIPT]),
        (&["attachment:image.png"], &[SCRIPT]),
        // The name is the tree's; nobody who reads the message sees it.
        (&["image"], &[]),
        (&["from:(naughton OR ada)"], &[LOST, SCRIPT]),
        (&["title:coffee"], &[EVENT]),
        // Folders, by every name that they had.
        (&["folder:Projects/usrp"], &[SCRIPT]),
        (&["folder:archive/USRP"], &[SCRIPT]),
        (&["folder:usrp"], &[SCRIPT]),
        (&["folder:Arch*"], &[SCRIPT]),
        (&["folder:Projects", "-folder:usrp"], &[]),
        (&["folder:Home"], &[EVENT]),
        (&["folder:People"], &[CARD]),
        (&["folder:Documents"], &[FILE]),
        // Types.
        (&["type:mail"], messages),
        (&["type:event"], &[EVENT]),
        (&["type:contact,script"], &[CARD, SIEVE]),
        (&["type:file"], &["Documents", FILE]),
        // Other objects, by their titles and what is in them.
        (&["samovar"], &[EVENT]),
        (&["countess"], &[CARD]),
        (&["zanzibar"], &[FILE]),
        (&["quittungen"], &[SIEVE]),
        (&["receipts"], &[SIEVE]),
        (&["tea"], &[FORMER]),
        (&["ada"], &[SCRIPT, CARD]),
        // What was.
        (&["is:deleted"], &[LOST, BRIEF, FILE]),
        (&["--deleted", "type:mail"], &[LOST, BRIEF]),
        (&["--deleted", "zanzibar", "OR", "ephemeral"], &[FILE, BRIEF]),
        (&["-is:deleted", "type:mail"], &[SCRIPT, GREETING, TOWER]),
        (&["is:unread", "type:mail"], &[LOST, SCRIPT, TOWER, BRIEF]),
        (&["is:read"], &[GREETING]),
        (&["is:flagged"], &[GREETING]),
        // Days.
        (&["before:2025-07", "type:mail"], &[LOST]),
        (&["after:2025-08-01", "type:mail"], &[GREETING, TOWER, BRIEF]),
        (&["date:2025-07..2025-08"], &[SCRIPT, GREETING]),
        (&["date:2025-06-03"], &[LOST]),
        (&["date:2025-09..", "type:mail"], &[TOWER, BRIEF]),
        (&["date:..2025-06"], &[LOST]),
        (&["date:2026-01", "type:event"], &[EVENT]),
        // Sizes.
        (&["larger:2K", "type:mail"], &[SCRIPT]),
        (&["smaller:2K", "type:mail"], &[LOST, GREETING, TOWER, BRIEF]),
        // Together.
        (&["(blackfin", "OR", "tea)", "-type:mail"], &[FORMER]),
        (&["blackfin", "|", "samovar"], &[LOST, EVENT]),
        (&["NOT", "to:olive", "type:mail"], &[TOWER]),
        (&["-(rabbit OR script)", "type:mail"], &[TOWER, BRIEF]),
        (&["rabbit", "AND", "zurich"], &[GREETING]),
        // In one snapshot.
        (&["--at", "1", "type:mail"], &[LOST, SCRIPT, GREETING, TOWER]),
        (&["--at", "3", "ephemeral"], &[BRIEF]),
        (&["--at", "2", "ephemeral"], &[]),
        (&["--at", "latest", "zanzibar"], &[]),
        (&["--at", "1", "is:read"], &[SCRIPT, GREETING]),
        (&["--at", "1", "tea"], &[FORMER]),
        (&["--at", "1", "coffee"], &[]),
        (&["--at", "2026-03-03", "blackfin"], &[]),
        (&["--at", "2026-03-02", "blackfin"], &[LOST]),
    ];
    let mut wrong = Vec::new();
    for (words, expected) in cases {
        let expected: BTreeSet<String> = expected.iter().map(|title| (*title).to_owned()).collect();
        let found = account.titles(words);
        if found != expected {
            wrong.push(format!("{words:?}: {found:?} instead of {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_line_says_what_it_is_and_where_it_was() {
    let account = Account::new();
    let one = |words: &[&str]| {
        let found = account.find(words);
        assert_eq!(found.len(), 1, "{words:?}: {found:?}");
        found[0].clone()
    };
    // Gone: where it was last, and since when.
    let lost = one(&["blackfin"]);
    assert_eq!((&lost["gone_at"], &lost["snapshot"]), (&json!("2026-03-03T12:00:00Z"), &json!(2)), "{lost}");
    assert_eq!((&lost["folder"], &lost["dated_at"]), (&json!("INBOX"), &json!("2025-06-03T10:00:00Z")), "{lost}");
    assert!(lost["from"].as_str().is_some_and(|from| from.contains("Mark Naughton")), "{lost}");
    // An old title finds the event as it was then, and says until when.
    let event = one(&["tea"]);
    assert_eq!((title(&event), &event["gone_at"]), (FORMER, &Value::Null), "{event}");
    assert_eq!(event["changed_at"], json!("2026-03-02T12:00:00Z"), "{event}");
    assert_eq!(one(&["samovar"])["changed_at"], Value::Null);
    // By id and by Message-ID.
    let id = lost["object_id"].as_str().expect("an id");
    assert_eq!(title(&one(&[&format!("id:{id}")])), LOST);
    let written = format!("id:<{}@example.org>", &blake3::hash(LOST.as_bytes()).to_hex()[..12]);
    assert_eq!(title(&one(&[&written])), LOST);
    assert_eq!(title(&one(&[&format!("id:{}", event["object_id"].as_str().expect("an id"))])), EVENT);
    // The id restores it.
    assert_eq!(
        ok(&["cat", text(&account.archive), id]).into_bytes(),
        mail("Mark Naughton <mark@naughton.example>", LOST, "\r\nthe white rabbit runs\r\n", 0)
    );
}

#[test]
fn lists_are_sorted_cut_and_counted() {
    let account = Account::new();
    let order = |flags: &[&str]| -> Vec<String> {
        account.find(&[&["type:mail"], flags].concat()).iter().map(|one| title(one).to_owned()).collect()
    };
    let by_date = [LOST, SCRIPT, GREETING, TOWER, BRIEF];
    assert_eq!(order(&[]), by_date);
    assert_eq!(order(&["--reverse"]), by_date.iter().rev().copied().collect::<Vec<_>>());
    assert_eq!(order(&["--sort", "subject"]), [LOST, SCRIPT, GREETING, BRIEF, TOWER]);
    assert_eq!(order(&["--sort", "size"]).last().map(String::as_str), Some(SCRIPT));
    assert_eq!(order(&["--sort", "from"])[0], SCRIPT);
    let archive = text(&account.archive);
    let shown = |flags: &[&str]| ok(&[&["find", archive, "type:mail", "--json"], flags].concat());
    let cut = shown(&["--limit", "2"]);
    assert_eq!(cut.lines().count(), 3, "{cut}");
    assert!(cut.contains(TOWER) && cut.contains(BRIEF), "the newest: {cut}");
    let summary: Value = serde_json::from_str(cut.lines().last().expect("a line")).expect("JSON");
    assert_eq!((&summary["count"], &summary["total"]), (&json!(2), &json!(5)));
    assert_eq!(shown(&["--limit", "0"]).lines().count(), 6);
    assert_eq!(ok(&["find", archive, "type:mail", "--count"]).trim(), "5");
    assert_eq!(json(&["find", archive, "type:mail", "--count", "--json"])["total"], 5);
    assert_eq!(ok(&["-q", "find", archive, "nothing-has-this", "--count"]).trim(), "0");
    // Two archives: each object once an archive, and each line names its own.
    let second = account.dir.path().join("second.sqlite");
    deliver(
        &account.dir.path().join("mail"),
        "1750000000.M1.h:2,S",
        &mail("x@example.org", "Second blackfin", "\r\nx\r\n", 0),
    );
    ok(&["-q", "import", "maildir", text(&account.dir.path().join("mail")), text(&second)]);
    let both = listed(&["find", archive, text(&second), "blackfin"]);
    let from: Vec<(&str, bool)> = both.iter().map(|one| (title(one), one["archive"] == text(&second))).collect();
    assert_eq!(from, [(LOST, false), ("Second blackfin", true)]);
}

/// `find --paths` gives arguments for `cat`, also for names with blanks and quotes.
#[test]
fn paths_are_for_xargs() {
    let account = Account::new();
    let paths = account.dir.path().join("paths");
    for (query, expected) in
        [("type:mail", 5), ("is:deleted", 3), ("type:event", 1), ("zanzibar", 1), ("quittungen", 1)]
    {
        fs::write(&paths, ok(&["find", "--paths", text(&account.archive), query])).expect("a file");
        let lines = fs::read_to_string(&paths).expect("a file").lines().count();
        assert_eq!(lines, expected, "{query}");
        let script = "xargs -L1 \"$VANDELAY\" cat \"$ARCHIVE\" < \"$PATHS\"";
        let output = Command::new("sh")
            .args(["-c", script])
            .envs([
                ("VANDELAY", env!("CARGO_BIN_EXE_vandelay")),
                ("ARCHIVE", text(&account.archive)),
                ("PATHS", text(&paths)),
            ])
            .output()
            .expect("sh runs");
        assert!(output.status.success(), "{query}: {}", String::from_utf8_lossy(&output.stderr));
        let content = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(query != "zanzibar" || content == "the zanzibar treaty", "{content}");
        assert!(
            query != "type:mail" || (content.contains("ephemeral") && content.contains("white rabbit")),
            "{content}"
        );
    }
}

#[test]
fn what_cannot_be_asked_is_said_in_one_line_and_a_hint() {
    let account = Account::new();
    for (words, said) in [
        (&["form:alice"] as &[&str], "did you mean \"from:\""),
        (&["folder:Projcts"], "did you mean folder:\"Projects\""),
        (&["(rabbit"], "a parenthesis is not closed"),
        (&["rabbit)"], "a parenthesis is closed that was not opened"),
        (&["before:someday"], "is no day"),
        (&["larger:big"], "is no size"),
        (&["is:blue"], "is not known"),
        (&["type:letter"], "there is no type"),
        (&["id:zzz"], "neither an id"),
        (&["..."], "there is no word in"),
        (&["from:"], "a field has no value"),
        (&["rabbit", "OR"], "say what to find"),
        (&[], "say what to find"),
    ] {
        let output = vandelay().arg("find").arg(&account.archive).args(words).output().expect("the program starts");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains(said), "{words:?}: {error}");
        assert!(
            error.lines().count() == 2 && error.starts_with("error: ") && error.contains("\nhint: "),
            "{words:?}: {error}"
        );
    }
    fails(&["find", text(&account.dir.path().join("nothing.sqlite")), "rabbit"], 10);
}

/// Many messages are looked at by where they lay, few by their states, and a count by the index alone: all say the same.
#[test]
fn each_way_to_the_answer_gives_the_same() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mail, archive) = (maildir(&dir.path().join("mail"), 900, 300), dir.path().join("a.sqlite"));
    let import = || ok(&["-q", "import", "maildir", "--max-delete", "100%", text(&mail), text(&archive)]);
    import();
    let cur: BTreeSet<PathBuf> =
        fs::read_dir(mail.join("cur")).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    for (number, path) in cur.iter().enumerate() {
        let name = path.file_name().expect("a name").to_str().expect("UTF-8");
        match number % 9 {
            0 => fs::remove_file(path).expect("a message"),
            1 => fs::rename(path, mail.join(".Work/cur").join(name)).expect("a message"),
            2 => fs::rename(path, path.with_file_name(format!("{}:2,FT", &name[..20]))).expect("a message"),
            _ => {}
        }
        if number % 200 == 0 {
            import();
        }
    }
    import();
    let rows = |query: &str| -> BTreeSet<String> {
        listed(&["find", text(&archive), query]).iter().map(Value::to_string).collect()
    };
    // A term that needs the states of messages, and that all meet.
    let by_states = |query: &str| rows(&format!("({query}) -id:<no@such.example>"));
    for query in [
        "body",
        "type:mail",
        "-a5",
        "number OR nothing",
        "date:2020-09-13",
        "before:2019",
        "larger:320",
        "body -number",
    ] {
        let found = rows(query);
        assert_eq!(found, by_states(query), "{query}");
        assert_eq!(ok(&["-q", "find", "--count", text(&archive), query]).trim(), found.len().to_string(), "{query}");
        let paths = ok(&["find", "--paths", text(&archive), query]);
        let expected: BTreeSet<String> = found
            .iter()
            .map(|row| serde_json::from_str::<Value>(row).expect("JSON"))
            .map(|row| format!("--at {} {}", row["snapshot"], row["path"].as_str().expect("a path")))
            .collect();
        assert_eq!(paths.lines().map(|line| line.replace('\'', "")).collect::<BTreeSet<_>>(), expected, "{query}");
    }
    assert!(rows("body").len() == 900 && rows("before:2019").is_empty());
}

/// A run that was stopped ends in a snapshot that nobody is shown by default. What it stored is found all the same.
#[test]
fn what_a_stopped_run_stored_is_found() {
    let dir = tempfile::tempdir().expect("a directory");
    let archive = dir.path().join("a.sqlite");
    for (number, name) in [(1, "Marmalade"), (2, "Quince")] {
        let cards = dir.path().join(format!("{number}.vcf"));
        fs::write(&cards, format!("BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{number}\r\nFN:{name}\r\nEND:VCARD\r\n"))
            .expect("a card");
        ok(&["import", "vcf", "--no-index", text(&cards), text(&archive)]);
        if number == 2 {
            let conn = rusqlite::Connection::open(&archive).expect("an archive");
            conn.execute("UPDATE snapshots SET state = 'interrupted' WHERE id = 2", []).expect("a stopped run");
        }
        assert_eq!(ok(&["find", "--count", text(&archive), name]).trim(), "1", "{name}");
    }
}

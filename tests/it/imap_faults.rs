//! `vandelay import imap` from servers that are odd, broken or hostile, as no real one is on demand.

use crate::common;
use crate::common::fake::{Fake, say};
use crate::common::fake_imap::*;
use crate::common::imap_place::{Place, SECRET, mails};
use crate::common::servers::{Authority, Flaw};
use crate::common::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

#[test]
fn labels_of_gmail_are_mailboxes_and_a_message_is_one() {
    let gmail = |uid: u32, number: u32, labels: &str| Mail {
        gmail: Some((1_000 + u64::from(number), labels.to_owned())),
        ..mail(uid, &message(number))
    };
    let special =
        |name: &str, attribute: &str, mails| Mailbox { attributes: attribute.to_owned(), ..mailbox(name, mails) };
    let boxes = vec![
        mailbox("INBOX", vec![gmail(1, 1, "\\Important work"), gmail(2, 2, "")]),
        mailbox("work", vec![gmail(1, 1, "\\Inbox \\Important")]),
        special("[Gmail]", "\\Noselect", Vec::new()),
        special(
            "[Gmail]/All Mail",
            "\\All",
            vec![
                gmail(11, 1, "\\Inbox \\Important work"),
                gmail(12, 2, "\\Inbox"),
                gmail(13, 3, "\"hidden/deep &- er\""),
                gmail(14, 4, "\\Sent"),
            ],
        ),
        special("[Gmail]/Sent Mail", "\\Sent", vec![gmail(1, 4, "")]),
    ];
    let place = Place::new(&format!("{USUAL} X-GM-EXT-1"), boxes);
    let said = place.import(&[], 0);
    assert_eq!((place.rows("emails"), place.rows("blobs")), (4, 4), "{said}");
    assert_eq!(place.server.said().matches("BODY.PEEK[]").count(), 2, "two commands for four messages");
    let found = place.messages("latest");
    let of = |name: &str| found.get(name).cloned().unwrap_or_default();
    assert_eq!(of("INBOX"), [message(1), message(2)]);
    assert_eq!(of("work"), [message(1)]);
    assert_eq!(of("[Gmail]/All Mail"), [message(1), message(2), message(3), message(4)]);
    assert_eq!(of("[Gmail]/Sent Mail"), [message(4)]);
    assert_eq!(of("hidden/deep & er"), [message(3)], "{:?}", found.keys());
    assert!(place.import(&[], 0).contains("(new 0, changed 0, unchanged 8)"));
    // A label is taken off one, and put on another.
    {
        let mut state = place.server.state();
        state.boxes[1].mails = vec![gmail(2, 2, "")];
        state.boxes[1].mails[0].modseq = 5;
    }
    place.server.said();
    place.import(&[], 0);
    assert!(!place.server.said().contains("BODY.PEEK[]"));
    assert_eq!(place.messages("latest")["work"], [message(2)]);
    assert_eq!(place.messages("latest")["INBOX"], [message(1), message(2)]);
    assert_eq!(place.messages("1")["work"], [message(1)]);
    assert_eq!(place.rows("emails"), 4);
}

#[test]
fn a_server_with_no_extension_at_all() {
    let mut boxes = vec![mailbox("INBOX", mails(1..=5)), mailbox("A.B", mails(6..=8))];
    boxes[0].mails[1].flags = "\\Seen".to_owned();
    let place = Place::new("IMAP4rev1", boxes);
    place.server.state().delimiter = '.';
    assert!(place.import(&[], 0).contains("new 8"));
    assert_eq!(place.messages("latest")["A/B"].len(), 3);
    assert!(place.import(&[], 0).contains("(new 0, changed 0, unchanged 8)"));
    {
        let mut state = place.server.state();
        state.boxes[0].mails[0].flags = "\\Flagged".to_owned();
        state.boxes[0].mails.remove(2);
        state.boxes[1].mails.push(mail(9, &message(9)));
    }
    place.server.said();
    let said = place.import(&[], 0);
    assert!(said.contains("(new 1, changed 1, unchanged 6)") && said.contains("removed 1"), "{said}");
    assert_eq!(place.server.said().matches("BODY.PEEK[]").count(), 1);
}

#[test]
fn five_hundred_unchanged_mailboxes_cost_one_list() {
    let boxes = (0..500).map(|number| mailbox(&format!("Box {number}"), mails(number + 1..=number + 1))).collect();
    let place = Place::new(USUAL, boxes);
    place.import(&[], 0);
    place.server.said();
    assert!(place.import(&[], 0).contains("unchanged 500"));
    let said = place.server.said();
    assert_eq!(said.matches("LIST ").count(), 1, "{said}");
    for word in ["STATUS \"", "STATUS B", "EXAMINE", "FETCH", "SEARCH"] {
        assert!(!said.contains(word), "{word}: {said}");
    }
}

#[test]
fn a_listing_with_holes_removes_nothing() {
    let place = Place::new(USUAL, vec![mailbox("INBOX", mails(1..=80))]);
    place.import(&[], 0);
    // The server forgets half of them, in a mailbox that it also numbers anew.
    {
        let mut state = place.server.state();
        state.boxes[0].validity = Some(8);
        let some: Vec<u8> = state.boxes[0].mails[..40]
            .iter()
            .enumerate()
            .flat_map(|(at, mail)| fetched(at + 1, mail, "INTERNALDATE RFC822.SIZE"))
            .chain(b"$TAG OK done\r\n".iter().copied())
            .collect();
        state.hook = Box::new(move |command| command.starts_with("UID FETCH 1:*").then(|| some.clone()));
    }
    let said = place.import(&[], 5);
    assert!(said.contains("the server named 40 of 80 messages, under new numbers"), "{said}");
    assert_eq!(place.messages("latest")["INBOX"].len(), 80);
    // Under the old numbers what it names is compared, and what it does not name is not gone.
    {
        let mut state = place.server.state();
        state.boxes[0].validity = Some(7);
        state.boxes[0].mails.push(mail(81, &message(81)));
        let some: Vec<u8> = state.boxes[0].mails[..79]
            .iter()
            .enumerate()
            .flat_map(|(at, mail)| fetched(at + 1, mail, "INTERNALDATE RFC822.SIZE"))
            .chain(b"$TAG OK done\r\n".iter().copied())
            .collect();
        state.hook = Box::new(move |command| match command {
            _ if command.starts_with("UID FETCH 81:*") => Some(b"$TAG OK done\r\n".to_vec()),
            _ if command.starts_with("UID FETCH 1:*") => Some(some.clone()),
            _ => None,
        });
    }
    let said = place.import(&[], 5);
    assert!(said.contains("the server named 79 of 81 messages"), "{said}");
    assert_eq!(place.messages("latest")["INBOX"].len(), 80);
    place.server.hook(|_| None);
    place.import(&[], 0);
    assert_eq!(place.messages("latest")["INBOX"].len(), 81);
    assert_eq!(place.rows("emails"), 81);
}

#[test]
fn what_is_not_handed_over_is_named_and_asked_for_again() {
    let place = Place::new(USUAL, vec![mailbox("INBOX", mails(1..=6))]);
    let all = mails(1..=6);
    // Two are kept back without a word.
    place.server.hook(move |command| {
        let is_body = command.contains("BODY.PEEK[]");
        let some = all.iter().filter(|mail| ![2, 5].contains(&mail.uid)).enumerate();
        is_body.then(|| {
            let lines = some.flat_map(|(at, mail)| fetched(at + 1, mail, "INTERNALDATE RFC822.SIZE BODY.PEEK[]"));
            lines.chain(b"$TAG OK done\r\n".iter().copied()).collect()
        })
    });
    let said = place.import(&[], 5);
    assert!(said.contains("found 6 = stored 4") && said.contains("failed 2"), "{said}");
    assert!(said.contains("INBOX: UID 2") && said.contains("INBOX: UID 5"), "{said}");
    // As many are gone for good.
    place.server.hook(|_| None);
    place.server.state().boxes[0].mails.remove(1);
    let said = place.import(&[], 0);
    assert!(said.contains("found 5 = stored 5 (new 1"), "{said}");
    assert_eq!(place.messages("latest")["INBOX"].len(), 5);
}

#[test]
fn one_that_is_removed_meanwhile_is_no_failure() {
    let place = Place::new(USUAL, vec![mailbox("INBOX", mails(1..=3))]);
    let times = AtomicUsize::new(0);
    let rest = [mails(1..=1), mails(3..=3)].concat();
    place.server.hook(move |command| {
        // Listed once, then gone.
        if !command.starts_with("UID FETCH") || times.fetch_add(1, Ordering::SeqCst) == 0 {
            return None;
        }
        let lines = rest.iter().enumerate().flat_map(|(at, mail)| fetched(at + 1, mail, command));
        let lines = if command.contains("BODY") { lines.collect() } else { Vec::new() };
        Some([lines, b"$TAG OK done\r\n".to_vec()].concat())
    });
    let said = place.import(&[], 0);
    assert!(said.contains("found 3 = stored 2") && said.contains("vanished meanwhile 1"), "{said}");
}

#[test]
fn a_server_that_wants_rest_gets_it() {
    for (answer, wait) in [
        ("$TAG NO [THROTTLED] slow down\r\n", 300),
        ("$TAG NO [LIMIT] too much\r\n", 300),
        ("$TAG BAD Request is throttled. Suggested Backoff Time: 1500 milliseconds\r\n", 1_400),
        ("* BYE Too many simultaneous connections\r\nCLOSE", 300),
        ("CLOSE", 300),
        ("* 1 FETCH (UID 1 BODY[] {400}\r\nabcCLOSE", 300),
    ] {
        let place = Place::new(USUAL, vec![mailbox("INBOX", mails(1..=40))]);
        let times = AtomicUsize::new(0);
        place.server.hook(move |command| {
            let is_first = command.contains("BODY.PEEK[]") && times.fetch_add(1, Ordering::SeqCst) == 0;
            is_first.then(|| answer.as_bytes().to_vec())
        });
        let start = Instant::now();
        let said = place.import(&[], 0);
        assert!(said.contains("found 40 = stored 40 (new 40"), "{answer}: {said}");
        assert!(start.elapsed() >= Duration::from_millis(wait), "{answer}: {:?}", start.elapsed());
        assert_eq!(place.messages("latest")["INBOX"].len(), 40);
    }
}

#[test]
fn a_server_that_is_lost_for_good_ends_the_run_and_keeps_what_came() {
    let boxes = vec![mailbox("INBOX", mails(1..=30)), mailbox("Later", mails(31..=60))];
    let place = Place::new(USUAL, boxes);
    let opened = AtomicUsize::new(0);
    place.server.hook(move |command| {
        let is_later = command.starts_with("EXAMINE Later") || command.starts_with("EXAMINE \"Later");
        // It can be listed, and then nobody is let in any more.
        let is_gone = opened.fetch_add(usize::from(is_later), Ordering::SeqCst) + usize::from(is_later) > 1;
        is_gone.then(|| b"CLOSE".to_vec())
    });
    let said = place.import(&["--max-retries", "1", "--imap-connections", "1"], 2);
    assert!(said.contains("error: ") && said.contains("found 60 = stored 30") || said.contains("new 30"), "{said}");
    assert_eq!(place.messages("latest")["INBOX"].len(), 30);
    place.server.hook(|_| None);
    let said = place.import(&[], 0);
    assert!(said.contains("(new 30, changed 0, unchanged 30)"), "{said}");
}

#[test]
fn lists_that_fail_or_are_empty_change_nothing() {
    let place = Place::new(USUAL, vec![mailbox("INBOX", mails(1..=3)), mailbox("Work", mails(4..=5))]);
    place.import(&[], 0);
    let before = digest(&place.archive());
    for answer in [
        "$TAG OK done\r\n",
        "$TAG NO not now\r\n",
        "$TAG BAD what?\r\n",
        "* LIST (\\Noselect) \"/\" \"\"\r\n$TAG OK x\r\n",
    ] {
        place.server.hook(move |command| command.starts_with("LIST").then(|| answer.as_bytes().to_vec()));
        place.import(&[], 2);
        assert_eq!(digest(&place.archive()), before, "{answer}");
    }
    // One mailbox that cannot be opened is left as it is; so is one whose state nobody tells.
    place.server.hook(|command| {
        command
            .starts_with("EXAMINE")
            .then(|| b"$TAG NO [CANNOT] no\r\n".to_vec())
            .or_else(|| command.starts_with("SELECT").then(|| b"$TAG NO [CANNOT] no\r\n".to_vec()))
    });
    place.server.state().boxes[1].mails.push(mail(6, &message(6)));
    let said = place.import(&[], 5);
    assert!(said.contains("Work"), "{said}");
    assert_eq!(place.messages("latest")["Work"].len(), 2);
}

#[test]
fn numbers_that_mean_nothing() {
    // Another UIDVALIDITY at each look: no growth, no loss, bounded work.
    let place = Place::new(USUAL, vec![mailbox("INBOX", mails(1..=60))]);
    place.server.state().counts_anew = true;
    let said = place.import(&[], 0);
    assert!(said.contains("new 60") && said.matches("UIDVALIDITY").count() <= 2, "{said}");
    for _ in 0..3 {
        let said = place.import(&[], 0);
        assert!(said.contains("found 60 = stored 60 (new 0"), "{said}");
        assert_eq!((place.rows("emails"), place.messages("latest")["INBOX"].len()), (60, 60));
    }
    // None at all.
    let place = Place::new(USUAL, vec![Mailbox { validity: None, ..mailbox("INBOX", mails(1..=60)) }]);
    place.import(&[], 0);
    let said = place.import(&[], 0);
    assert!(said.contains("UIDVALIDITY") && said.contains("unchanged 60"), "{said}");
    // The same UID for something else, under the same UIDVALIDITY.
    place.server.state().boxes[0].mails[0] = mail(1, &bulk(77));
    place.import(&[], 0);
    assert!(place.messages("latest")["INBOX"].contains(&bulk(77)));
    assert_eq!(place.messages("1")["INBOX"].len(), 60);
}

fn bulk(number: u32) -> Vec<u8> {
    [message(number), vec![b'x'; 500]].concat()
}

#[test]
fn odd_messages_arrive_as_they_are() {
    let bodies: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"\r\n".to_vec(),
        b"no header".to_vec(),
        b"Subject: bare LF\n\nbody\n".to_vec(),
        b"Subject: CRCRLF\r\r\n\r\r\nbody\r\r\n".to_vec(),
        b"Subject: NUL\r\n\r\na\0b\r\n".to_vec(),
        b"Subject: 8 bit \xe4\xff\r\n\r\n\xf0\x28\x8c\x28\r\n".to_vec(),
        b"Date: Tue, 2 Jan 2001 03:04:05 +0100\r\n\r\nits own date\r\n".to_vec(),
    ];
    let mut all: Vec<Mail> = (1..).zip(&bodies).map(|(uid, bytes)| mail(uid, bytes)).collect();
    // Sizes that are lies, dates beyond all bounds, a UID that stands twice.
    all[3].size = Some(9_999);
    all[4].size = Some(0);
    let dates = [
        "31-Dec-1969 16:00:00 -0800",
        "20-Jan-2038 03:14:08 +0000",
        "01-Jan-9999 00:00:00 +0000",
        "17-Jul-1996 02:44:25 -0700",
    ];
    for (mail, date) in all.iter_mut().zip(dates) {
        mail.date = date.to_owned();
    }
    all[7].date = "nonsense".to_owned();
    all.push(all[5].clone());
    let place = Place::new(USUAL, vec![mailbox("INBOX", all)]);
    place.import(&[], 5);
    let found = place.messages("latest")["INBOX"].clone();
    let mut expected = bodies.clone();
    expected.sort();
    assert_eq!(found, expected);
    let conn = rusqlite::Connection::open(place.archive()).expect("the archive opens");
    let mut statement = conn.prepare("SELECT received_at FROM emails ORDER BY received_at").expect("a query");
    let dates: Vec<String> = statement.query_map([], |row| row.get(0)).expect("rows").flatten().collect();
    for date in ["1970-01-01T00:00:00Z", "2038-01-20T03:14:08Z", "1996-07-17T09:44:25Z", "2001-01-02T02:04:05Z"] {
        assert!(dates.iter().any(|one| one == date), "{date}: {dates:?}");
    }
}

#[test]
fn hostile_names_stay_inside() {
    let long = "x".repeat(10_000);
    let names = [
        "INBOX",
        "../../etc/passwd",
        "a/../b",
        ".",
        "..",
        "cur",
        "new",
        "tmp",
        "CON",
        "a\\b",
        "&AGE",
        "&bad",
        "\u{202e}gnp.exe",
        "line\nbreak",
        "esc\u{1b}[2J",
        "a//b",
        "/",
        "-rf",
        "~",
        &long,
        "a/b",
        "A/B",
    ];
    let mut boxes: Vec<Mailbox> =
        names.iter().zip(1..).map(|(name, number)| mailbox(name, mails(number..=number))).collect();
    boxes.push(Mailbox { name: b"nul\0nul".to_vec(), ..mailbox("", mails(90..=90)) });
    boxes.push(Mailbox { name: b"\xff\xfe".to_vec(), ..mailbox("", mails(91..=91)) });
    boxes.push(Mailbox { name: b"inbox".to_vec(), ..mailbox("", mails(92..=92)) });
    let count = boxes.len();
    let place = Place::new(USUAL, boxes);
    let output = place.bare(&place.url(), &["--auth-basic", "alice"]).output().expect("the program starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(matches!(output.status.code(), Some(0 | 5)), "{said}");
    assert!(!said.contains('\u{1b}') && !said.contains("panicked"), "{said}");
    let archive = place.archive();
    ok(&["verify", archive.to_str().expect("UTF-8")]);
    let stored: usize = place.messages("latest").values().map(Vec::len).sum();
    assert!(stored >= count - 3, "{stored} of {count}: {said}");
    // Written out, nothing leaves the directory.
    let out = place.dir.path().join("out");
    ok(&["extract", archive.to_str().expect("UTF-8"), "--into", out.to_str().expect("UTF-8")]);
    let mut beside: Vec<_> =
        std::fs::read_dir(place.dir.path()).expect("a directory").flatten().map(|one| one.file_name()).collect();
    beside.sort();
    assert_eq!(beside, ["alice.sqlite", "alice.sqlite.search", "out"]);
}

#[test]
fn a_token_that_expires_is_renewed_in_the_middle() {
    let place = Place::new(USUAL, vec![mailbox("INBOX", mails(1..=60))]);
    let current = place.dir.path().join("token");
    std::fs::write(&current, "old").expect("a file");
    let (path, bodies) = (current.clone(), AtomicUsize::new(0));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let logins = Arc::clone(&seen);
    place.server.hook(move |command| {
        if let Some(response) = command.strip_prefix("AUTHENTICATE XOAUTH2 ") {
            let text = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, response).expect("base64");
            let text = String::from_utf8(text).expect("UTF-8");
            let token = text.split("Bearer ").nth(1).expect("a token").trim_matches('\u{1}').to_owned();
            logins.lock().expect("a lock").push(token.clone());
            let is_expired = bodies.load(Ordering::SeqCst) > 0 && token == "old";
            return is_expired.then(|| b"$TAG NO [AUTHENTICATIONFAILED] expired\r\n".to_vec());
        }
        if command.contains("BODY.PEEK[]") && bodies.fetch_add(1, Ordering::SeqCst) == 1 {
            std::fs::write(&path, "new").expect("a file");
            return Some(b"* BYE Session invalidated - AccessTokenExpired\r\nCLOSE".to_vec());
        }
        None
    });
    let token = format!("cat {}", current.display());
    let arguments = [
        "--auth-bearer",
        "--auth-user",
        "alice",
        "--token-command",
        &token,
        "--fetch-batch",
        "16",
        "--imap-connections",
        "1",
    ];
    let said = place.ends(place.bare(&place.url(), &arguments), 0);
    assert!(said.contains("new 60"), "{said}");
    let logins = seen.lock().expect("a lock").clone();
    assert_eq!(logins.first().map(String::as_str), Some("old"));
    assert_eq!(logins.last().map(String::as_str), Some("new"), "{logins:?}");
    // One that stays refused ends the run with its own code, and nothing of the archive is lost.
    place.server.hook(|command| {
        command.starts_with("AUTHENTICATE").then(|| b"$TAG NO [AUTHENTICATIONFAILED] revoked\r\n".to_vec())
    });
    place.ends(place.bare(&place.url(), &arguments), 12);
    assert_eq!(place.messages("latest")["INBOX"].len(), 60);
}

#[test]
fn a_server_that_says_the_password_again_is_not_quoted() {
    let place = Place::new(USUAL, vec![mailbox("INBOX", mails(1..=1))]);
    let plain = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("\0alice\0{SECRET}"));
    for words in [plain.clone(), format!("no user alice with {SECRET}")] {
        place.server.hook(move |command| {
            let is_login = command.starts_with("AUTHENTICATE") || command.starts_with("LOGIN");
            is_login.then(|| format!("$TAG NO [AUTHENTICATIONFAILED] {words}\r\n").into_bytes())
        });
        let said = place.import(&["-vvv"], 12);
        assert!(!said.contains(&plain) && said.contains("not shown"), "{said}");
    }
    // Nor does one keep us that asks for ever.
    place
        .server
        .hook(|command| (command.starts_with("AUTHENTICATE") || command.is_empty()).then(|| b"+ AAAA\r\n".to_vec()));
    let start = Instant::now();
    place.import(&[], 2);
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_flood_of_flags_ends_before_memory_does() {
    let place = Place::new(USUAL, vec![mailbox("INBOX", mails(1..=3))]);
    place.server.hook(|command| {
        command.starts_with("UID FETCH").then(|| {
            let keyword = "k".repeat(150);
            let lines = (1..600_000u32).map(|uid| format!("* 1 FETCH (UID {uid} FLAGS ({keyword}{uid}))\r\n"));
            lines.collect::<String>().into_bytes()
        })
    });
    let said = place.import(&["--max-retries", "0"], 5);
    assert!(said.contains("than fits into memory"), "{said}");
}

#[test]
fn nothing_secret_goes_over_a_line_that_is_not_safe() {
    let authority = Authority::new();
    let certificate = authority.certificate(Flaw::None);
    let greeting = "* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] hello\r\n";
    let stripped = "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN AUTH=LOGIN] hello\r\n";
    let cases = [
        // STARTTLS is not offered; PREAUTH in clear; more than an OK before TLS; a greeting that is none.
        vec![say(stripped), common::fake::Step::Silence],
        vec![say("* PREAUTH [CAPABILITY IMAP4rev1 STARTTLS] welcome\r\n"), common::fake::Step::Silence],
        vec![
            say(greeting),
            common::fake::Step::Answer("$1 OK begin\r\n* OK injected\r\n"),
            common::fake::Step::Tls,
            common::fake::Step::Silence,
        ],
        vec![say("HTTP/1.1 400 Bad Request\r\n\r\n"), common::fake::Step::Silence],
    ];
    for script in cases {
        let fake = Fake::start(vec![script.clone()], &certificate);
        let dir = tempfile::tempdir().expect("a directory");
        let archive = dir.path().join("alice.sqlite");
        let output = vandelay()
            .args(["import", "imap", "--timeout", "2", "--max-retries", "0", "--auth-basic", "alice", "--url"])
            .arg(format!("imap://localhost:{}", fake.port))
            .arg(&archive)
            .env("VANDELAY_PASSWORD", SECRET)
            .env("SSL_CERT_FILE", authority.file(dir.path()))
            .output()
            .expect("the program starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{script:?}: {said}");
        assert!(!fake.has_seen(SECRET) && !said.contains(SECRET), "{script:?}");
        assert!(said.starts_with("error: ") || said.contains("\nerror: "), "{said}");
    }
    for flaw in [Flaw::SelfSigned, Flaw::Expired, Flaw::WrongHost, Flaw::UnknownAuthority] {
        let fake =
            Fake::start(vec![vec![common::fake::Step::Tls, say("* OK hello\r\n")]], &authority.certificate(flaw));
        let dir = tempfile::tempdir().expect("a directory");
        let output = vandelay()
            .args(["import", "imap", "--timeout", "2", "--max-retries", "0", "--auth-basic", "alice", "--url"])
            .arg(format!("imaps://localhost:{}", fake.port))
            .arg(dir.path().join("alice.sqlite"))
            .env("VANDELAY_PASSWORD", SECRET)
            .env("SSL_CERT_FILE", authority.file(dir.path()))
            .output()
            .expect("the program starts");
        assert_eq!(output.status.code(), Some(2), "{flaw:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(!fake.has_seen(SECRET), "{flaw:?}");
    }
}

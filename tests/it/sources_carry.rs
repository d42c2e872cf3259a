//! docs/sources.md is true: one account, imported through the sources, and every *yes* and *no* of the page that a server or a
//! file of a test can show compared with what the archive holds then.

use crate::common::fake_dav::{FakeDav, found, multistatus};
use crate::common::fake_imap::{FakeImap, USUAL, mail, mailbox};
use crate::common::fake_sieve::FakeSieve;
use crate::common::jmap::{Options, Server};
use crate::common::{deliver, jmap_run, listed, tree, vandelay};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Cells that no test here shows: other tests do, with real servers, or nothing can. Each is a part of the page, a property (or
/// all) and a source.
const ELSEWHERE: &[(&str, &str, &str)] = &[
    // There is nothing in any of them that could hold it.
    ("Mail", "sharing, access rights", ""),
    ("Mail", "quotas, threads, server's ids", ""),
    ("Calendars", "sharing, access rights", ""),
    ("Contacts", "sharing, access rights", ""),
    // mox_import.rs.
    ("Mail", "", "mox"),
    // dav_servers.rs, jmap_import.rs.
    ("Calendars", "order", "CalDAV"),
    ("Calendars", "alerts of events", "JMAP"),
    ("Calendars", "tasks and notes", "JMAP"),
    ("Calendars", "original bytes", "JMAP"),
    ("Contacts", "", "JMAP"),
    ("Contacts", "", "CardDAV"),
    ("Files, scripts, identities", "", "JMAP"),
    ("Files, scripts, identities", "", "WebDAV"),
    ("Files, scripts, identities", "", "Takeout"),
    ("Files, scripts, identities", "vacation response", "ManageSieve"),
];

/// An archive that a source filled, and the bytes that its objects had there.
struct Carried {
    archive: PathBuf,
    originals: Vec<Vec<u8>>,
    _dir: tempfile::TempDir,
}

impl Carried {
    fn by(mut command: Command, originals: Vec<Vec<u8>>) -> Carried {
        let dir = tempfile::tempdir().unwrap();
        let archive = dir.path().join("a.sqlite");
        let output = command.arg(&archive).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Carried { archive, originals, _dir: dir }
    }

    fn rows(&self, kind: &str) -> Vec<Value> {
        listed(&["inspect", self.archive.to_str().unwrap(), kind])
    }

    fn any(&self, kind: &str, holds: impl Fn(&Value) -> bool) -> bool {
        let rows = self.rows(kind);
        assert!(!rows.is_empty(), "{kind}");
        rows.iter().any(holds)
    }

    /// Every file below these folders of the tree.
    fn files(&self, roots: &[&str]) -> Vec<Vec<u8>> {
        let is_below = |path: &str| roots.iter().any(|root| path.starts_with(root));
        let all = tree(&self.archive, "latest").into_iter().filter(|(path, _)| is_below(path));
        all.map(|(_, bytes)| bytes).collect()
    }

    fn has_text(&self, root: &str, text: &str) -> bool {
        self.files(&[root]).iter().any(|bytes| String::from_utf8_lossy(bytes).contains(text))
    }

    fn has_originals(&self, root: &str) -> bool {
        let there: BTreeSet<Vec<u8>> = self.files(&[root]).into_iter().collect();
        self.originals.iter().all(|bytes| there.contains(bytes))
    }

    /// True if the property is there. `None` of one that this test knows nothing of.
    fn holds(&self, part: &str, property: &str) -> Option<bool> {
        let contains = |row: &Value, column: &str, text: &str| row[column].to_string().contains(text);
        Some(match (part, property) {
            ("Mail", "folders") => self.any("mailbox", |row| contains(row, "name", "Work")),
            ("Mail", "roles (inbox, sent, …)") => self.any("mailbox", |row| row["role"] == "sent"),
            ("Mail", "subscriptions") => {
                let is = |name: &str, value: i64| {
                    self.any("mailbox", |row| contains(row, "name", name) && row["is_subscribed"] == value)
                };
                is("Sent", 1) && is("Work", 0)
            }
            ("Mail", "order of folders") => self.any("mailbox", |row| row["sort_order"] == 7),
            ("Mail", "flags") => self.any("email", |row| contains(row, "keywords", "$seen")),
            ("Mail", "keywords") => self.any("email", |row| contains(row, "keywords", "project")),
            ("Mail", "date of arrival") => self.any("email", |row| contains(row, "received_at", "2014-02-03")),
            ("Mail", "original bytes") => self.has_originals("mail/"),
            ("Mail", "one message in several folders") => self.any("email", |row| contains(row, "mailbox_ids", ",")),
            ("Calendars", "names") => self.any("calendar", |row| row["name"] == "Team"),
            ("Calendars", "colours") => self.any("calendar", |row| !row["color"].is_null()),
            ("Calendars", "descriptions") => self.any("calendar", |row| row["description"] == "of the team"),
            ("Calendars", "order") => self.any("calendar", |row| row["sort_order"] == 7),
            ("Calendars", "subscriptions, visibility") => {
                self.any("calendar", |row| row["is_visible"] == 0 && row["is_subscribed"] == 0)
            }
            ("Calendars", "default alerts") => self.any("calendar", |row| !row["default_alerts_with_time"].is_null()),
            ("Calendars", "alerts of events") => self.has_text("calendars/", "BEGIN:VALARM"),
            ("Calendars", "time zones with their rules") => self.has_text("calendars/", "TZID:Nowhere/Special"),
            ("Calendars", "tasks and notes") => {
                self.has_text("calendars/", "BEGIN:VTODO") && self.has_text("calendars/", "BEGIN:VJOURNAL")
            }
            ("Calendars", "original bytes") => {
                // Of a file with several objects each has its own lines.
                let all = self.files(&["calendars/"]).concat();
                let all = String::from_utf8_lossy(&all).into_owned();
                ["X-ODD;A=b:kept", "SUMMARY:two\r\n  words"].iter().all(|text| all.contains(text))
            }
            ("Contacts", "names of address books") => self.any("addressbook", |row| row["name"] == "Friends"),
            ("Contacts", "descriptions") => self.any("addressbook", |row| !row["description"].is_null()),
            ("Contacts", "photos") => self.has_text("contacts/", "PHOTO;ENCODING=b"),
            ("Contacts", "groups") => self.has_text("contacts/", "X-ADDRESSBOOKSERVER-KIND:group"),
            ("Contacts", "original bytes") => self.has_originals("contacts/"),
            ("Files, scripts, identities", "Sieve scripts") => self.has_text("sieve/", "keep;"),
            ("Files, scripts, identities", "the active script") => {
                self.any("sievescript", |row| row["name"] == "two" && row["is_active"] == 1)
            }
            _ => return None,
        })
    }
}

fn message(fields: &str) -> Vec<u8> {
    format!(
        "{fields}From: a@example.org\r\nSubject: one\r\nMessage-ID: <one@example.org>\r\nDate: Mon, 5 Jan 2015 10:00:00 +0000\r\n\r\nbody\r\n"
    )
    .into_bytes()
}

fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// The objects of a calendar. The time zone is in no database.
const OBJECTS: [&str; 3] = [
    "BEGIN:VEVENT\r\nUID:e1\r\nDTSTAMP:20240101T000000Z\r\nDTSTART;TZID=Nowhere/Special:20240101T100000\r\nSUMMARY:two\r\n  words\r\nX-ODD;A=b:kept\r\nBEGIN:VALARM\r\nACTION:DISPLAY\r\nTRIGGER:-PT5M\r\nDESCRIPTION:x\r\nEND:VALARM\r\nEND:VEVENT\r\n",
    "BEGIN:VTODO\r\nUID:t1\r\nDTSTAMP:20240101T000000Z\r\nSUMMARY:task\r\nEND:VTODO\r\n",
    "BEGIN:VJOURNAL\r\nUID:j1\r\nDTSTAMP:20240101T000000Z\r\nSUMMARY:note\r\nEND:VJOURNAL\r\n",
];
const ZONE: &str = "BEGIN:VTIMEZONE\r\nTZID:Nowhere/Special\r\nBEGIN:STANDARD\r\nDTSTART:19700101T000000\r\nTZOFFSETFROM:+0123\r\nTZOFFSETTO:+0123\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n";

fn calendar(head: &str, objects: &[&str]) -> Vec<u8> {
    let objects = objects.concat();
    let zone = if objects.contains("TZID") { ZONE } else { "" };
    format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n{head}{zone}{objects}END:VCALENDAR\r\n").into_bytes()
}

const NAMED: &str = "X-WR-CALNAME:Team\r\nX-WR-CALDESC:of the team\r\nX-APPLE-CALENDAR-COLOR:#00ff00\r\n";

fn cards() -> Vec<Vec<u8>> {
    [
        "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:c1\r\nFN:Ada\r\nPHOTO;ENCODING=b;TYPE=PNG:iVBORw0KGgo=\r\nX-ODD:kept\r\nEND:VCARD\r\n",
        "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:c2\r\nFN:All\r\nX-ADDRESSBOOKSERVER-KIND:group\r\nEND:VCARD\r\n",
    ]
    .map(|card| card.as_bytes().to_vec())
    .to_vec()
}

/// Imports files of a folder.
fn on_disk(source: &str, files: &[(&str, Vec<u8>)], originals: Vec<Vec<u8>>) -> Carried {
    let dir = tempfile::tempdir().unwrap();
    files.iter().for_each(|(name, bytes)| write(&dir.path().join(name), bytes));
    let mut command = vandelay();
    command.args(["import", source]).arg(dir.path());
    Carried::by(command, originals)
}

fn over(source: &str, url: &str) -> Command {
    let mut command = vandelay();
    command.args(["import", source, "--allow-cleartext", "--auth-basic", "alice", "--url", url]);
    command.env("VANDELAY_PASSWORD", "secret");
    command
}

fn mail_on_disk() -> Vec<(&'static str, Carried)> {
    let dated = "From a@example.org Mon Feb  3 10:00:00 2014\r\n";
    let boxed = |bytes: &[u8]| [dated.as_bytes(), bytes, b"\r\n"].concat();
    let fields = "Status: RO\r\nX-Keywords: project\r\n";
    let labelled = message("X-Gmail-Labels: Sent,Work,Opened\r\nX-Keywords: project\r\n");
    let plain = message(fields);
    let received = message(&format!("Received: from x by y; Mon, 3 Feb 2014 10:00:00 +0000\r\n{fields}"));
    let maildir = tempfile::tempdir().unwrap();
    for folder in [".Sent", ".Work"] {
        deliver(&maildir.path().join(folder), "1391421600.M1.h:2,Sa", &message(""));
        write(&maildir.path().join(folder).join("dovecot-keywords"), b"0 project\n");
    }
    deliver(maildir.path(), "1391421600.M2.h:2,", b"Subject: inbox\r\n\r\n");
    write(&maildir.path().join("subscriptions"), b"V\t2\n\nSent\n");
    let mut command = vandelay();
    command.args(["import", "maildir"]).arg(maildir.path());
    vec![
        ("Maildir", Carried::by(command, vec![message("")])),
        ("Takeout", on_disk("takeout", &[("All mail.mbox", boxed(&labelled))], vec![labelled])),
        ("mbox", on_disk("mbox", &[("Sent", boxed(&plain)), ("Work.mbox", boxed(&plain))], vec![plain])),
        ("eml", on_disk("eml", &[("Sent/1.eml", received.clone()), ("Work/1.eml", received.clone())], vec![received])),
    ]
}

fn mail_on_servers() -> Vec<(&'static str, Carried)> {
    let of = |uid| {
        let mut one = mail(uid, &message(""));
        (one.flags, one.date) = ("\\Seen project".to_owned(), "03-Feb-2014 10:00:00 +0000".to_owned());
        one
    };
    let mut sent = mailbox("Sent", vec![of(1)]);
    sent.attributes = "\\Sent".to_owned();
    let imap = FakeImap::start(USUAL, vec![mailbox("INBOX", Vec::new()), sent, mailbox("Work", vec![of(1)])]);
    imap.state().subscribed = vec!["INBOX".to_owned(), "Sent".to_owned()];
    let command = over("imap", &format!("imap://127.0.0.1:{}", imap.port));
    let server = Server::start(Options::default());
    let mut ids = Vec::new();
    for (name, role, order, subscribed) in [("Sent", json!("sent"), 7, true), ("Work", Value::Null, 0, false)] {
        let object = json!({ "name": name, "role": role, "sortOrder": order, "isSubscribed": subscribed });
        ids.push(server.seed("A1", "Mailbox", object));
    }
    let blob = server.seed_blob("A1", &message(""));
    server.seed("A1", "Email", json!({ "id": "M1", "blobId": blob, "threadId": "T1", "size": message("").len(),
        "receivedAt": "2014-02-03T10:00:00Z", "mailboxIds": { &ids[0]: true, &ids[1]: true }, "keywords": { "$seen": true, "project": true } }));
    vec![
        ("IMAP", Carried::by(command, vec![message("")])),
        ("JMAP", Carried::by(jmap_run::command(&server, "import"), vec![message("")])),
    ]
}

fn calendars() -> Vec<(&'static str, Carried)> {
    let whole = calendar(NAMED, &OBJECTS);
    let dav = FakeDav::start();
    dav.with(|state| {
        let files = OBJECTS.iter().enumerate().map(|(at, one)| (format!("{at}.ics"), calendar("", &[one])));
        state.collections.insert("team".to_owned(), files.collect());
    });
    dav.hook(|asked| {
        let is_home = asked.method == "PROPFIND" && asked.path.trim_matches('/') == "alice/home";
        is_home.then(|| {
            let team = "<D:resourcetype><D:collection/><C:calendar/></D:resourcetype><D:displayname>Team</D:displayname>\
                        <C:calendar-description>of the team</C:calendar-description><A:calendar-color>#00ff00</A:calendar-color>";
            let own = "<D:resourcetype><D:collection/></D:resourcetype>";
            multistatus(&format!("{}{}", found("/alice/home/", own), found("/alice/home/team/", team)))
        })
    });
    let server = Server::start(Options::default());
    let alerts = json!({ "a": { "@type": "Alert", "trigger": { "@type": "OffsetTrigger", "offset": "-PT5M" } } });
    let calendar = json!({ "name": "Team", "color": "#00ff00", "description": "of the team", "sortOrder": 7, "isSubscribed": false,
        "isVisible": false, "defaultAlertsWithTime": alerts });
    server.seed("A1", "Calendar", calendar);
    vec![
        ("Takeout", on_disk("takeout", &[("x.ics", whole.clone())], Vec::new())),
        ("ics", on_disk("ics", &[("x.ics", whole)], Vec::new())),
        ("CalDAV", Carried::by(over("caldav", &dav.url()), Vec::new())),
        ("JMAP", Carried::by(jmap_run::command(&server, "import"), Vec::new())),
    ]
}

fn contacts_and_scripts() -> Vec<(&'static str, Carried)> {
    let file = [("Friends.vcf", cards().concat())];
    let sieve = FakeSieve::start("", &[("one", "stop;\r\n"), ("two", "keep;\r\n")]);
    sieve.state().active = "two".to_owned();
    vec![
        ("Takeout", on_disk("takeout", &file, cards())),
        ("vcf", on_disk("vcf", &file, cards())),
        ("ManageSieve", Carried::by(over("managesieve", &format!("sieve://127.0.0.1:{}", sieve.port)), Vec::new())),
    ]
}

/// The cells of a part of the page: property, source, text.
fn cells(part: &str) -> Vec<(String, String, String)> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/sources.md")).unwrap();
    let text = page.split(&format!("## {part}\n")).nth(1).unwrap().split("\n## ").next().unwrap();
    let row = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let mut rows = text.lines().filter(|line| line.starts_with('|') && !line.starts_with("|---")).map(row);
    let head = rows.next().unwrap();
    rows.flat_map(|row| {
        assert_eq!(row.len(), head.len(), "{row:?}");
        let cells = head.iter().zip(&row).skip(1).map(|(source, cell)| (row[0].clone(), source.clone(), cell.clone()));
        cells.collect::<Vec<_>>()
    })
    .collect()
}

fn compare(part: &str, carried: Vec<(&'static str, Carried)>) {
    let carried: BTreeMap<&str, Carried> = carried.into_iter().collect();
    let (mut wrong, mut count) = (Vec::new(), 0);
    for (property, source, cell) in cells(part) {
        let is_elsewhere = ELSEWHERE.iter().any(|(known, of, by)| {
            *known == part && (of.is_empty() || *of == property) && (by.is_empty() || *by == source)
        });
        let says = match cell.split([',', ' ']).next().unwrap() {
            "yes" => true,
            "no" => false,
            // A condition, or nothing.
            _ => continue,
        };
        if is_elsewhere {
            continue;
        }
        let Some(one) = carried.get(source.as_str()) else {
            wrong.push(format!("no test shows {source}: {property}"));
            continue;
        };
        match one.holds(part, &property) {
            Some(holds) if holds == says => count += 1,
            Some(holds) => wrong.push(format!("{source}: {property}: the page says {cell}, and it is {holds}")),
            None => wrong.push(format!("no test knows of {property}")),
        }
    }
    assert!(wrong.is_empty(), "{part}: {wrong:#?}");
    assert!(count > 0, "{part}: nothing was compared");
}

#[test]
fn the_page_of_sources_is_true_of_mail() {
    compare("Mail", mail_on_disk().into_iter().chain(mail_on_servers()).collect());
}

#[test]
fn the_page_of_sources_is_true_of_calendars() {
    compare("Calendars", calendars());
}

#[test]
fn the_page_of_sources_is_true_of_contacts_scripts_and_files() {
    compare("Contacts", contacts_and_scripts());
    compare("Files, scripts, identities", contacts_and_scripts());
}

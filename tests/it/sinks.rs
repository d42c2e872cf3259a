//! The seam of sinks holds more than JMAP: a target that keeps the source's own bytes, and one copy of a message in each
//! of its mailboxes, as servers of IMAP, CalDAV and CardDAV do.

use crate::common::vandelay;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use vandelay::archive::{Moment, Reader};
use vandelay::error::Result;
use vandelay::export::{ExportOptions, Report, export};
use vandelay::model::ObjectType;
use vandelay::model::objects::Properties;
use vandelay::progress::UNSEEN;
use vandelay::sink::{
    BlobProvider, BlobRef, Change, Content, Detail, Draft, EmailUpdate, Filing, NewEmail, NoDraft, Outcome, Patch,
    Remote, RemoteEmail, RemoteKey, Sink, StoredItem,
};

/// An email of the target.
struct Copy {
    mailbox: String,
    keywords: Vec<String>,
    received: i64,
    bytes: Vec<u8>,
}

/// An account in memory, in the manner of IMAP and DAV servers.
#[derive(Default)]
struct Folders {
    objects: BTreeMap<ObjectType, Vec<(Remote, Vec<u8>)>>,
    emails: BTreeMap<String, Copy>,
    made: usize,
    /// The next answers that get lost after the work was done.
    lost: usize,
}

impl Folders {
    fn id(&mut self) -> String {
        self.made += 1;
        format!("id{}", self.made)
    }

    fn create(&mut self, kind: ObjectType, change: Change, supply: &dyn BlobProvider) -> Outcome {
        let id = self.id();
        match change {
            Change::CreateEmail(NewEmail { blob, mailboxes, keywords, received, .. }) => {
                let [mailbox] = mailboxes.as_slice() else { panic!("{mailboxes:?} is no single mailbox") };
                let bytes = whole(supply.open(BlobRef::Blob(blob)).expect("bytes"));
                let keywords = keywords.iter().filter_map(|keyword| self.keyword(keyword)).collect();
                let received = received.map_or(0, |time| time.as_second());
                self.emails.insert(id.clone(), Copy { mailbox: mailbox.clone(), keywords, received, bytes });
            }
            Change::Create(body, blob, location) => {
                let text = |name: &str| body.get(name).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
                let remote = Remote {
                    id: id.clone(),
                    key: text("key"),
                    name: text("name"),
                    parent: location.parent,
                    containers: location.containers,
                    ..Remote::default()
                };
                let bytes = blob.map_or_else(Vec::new, |blob| whole(supply.open(blob).expect("bytes")));
                self.objects.entry(kind).or_default().push((remote, bytes));
            }
            other => panic!("{other:?} was not expected"),
        }
        Outcome::Done(id, None)
    }
}

fn whole(content: Content) -> Vec<u8> {
    match content {
        Content::Bytes(bytes) => bytes.to_vec(),
        Content::Read(file, size) => {
            let mut bytes = vec![0; size as usize];
            assert_eq!(file.read_at(&mut bytes, 0).expect("a file"), bytes.len());
            bytes
        }
    }
}

impl Sink for Folders {
    fn name(&self) -> String {
        "memory".to_owned()
    }

    fn source_kind(&self) -> &'static str {
        "memory"
    }

    fn lacks(&self, kind: ObjectType) -> Option<String> {
        let has = matches!(
            kind,
            ObjectType::Mailbox
                | ObjectType::Email
                | ObjectType::Calendar
                | ObjectType::CalendarEvent
                | ObjectType::AddressBook
                | ObjectType::ContactCard
        );
        (!has).then(|| "it has no such thing".to_owned())
    }

    fn filing(&self) -> Filing {
        Filing::Copies
    }

    fn prepare(&mut self, _: &[ObjectType]) -> Result<()> {
        Ok(())
    }

    fn draft(&self, item: &StoredItem<'_>) -> std::result::Result<Draft, NoDraft> {
        Ok(match &item.properties {
            Properties::Mailbox(mailbox) => self.container(ObjectType::Mailbox, &mailbox.name),
            Properties::Calendar(calendar) => self.container(ObjectType::Calendar, &calendar.name),
            Properties::AddressBook(book) => self.container(ObjectType::AddressBook, &book.name),
            // What it stores of these are the source's bytes: it looks at nothing else.
            Properties::ContactCard(_) | Properties::CalendarEvent(_) => {
                let mut draft = self.container(item.properties.kind(), &format!("row {}", item.row));
                draft.blob = item.blob;
                draft
            }
            other => panic!("{other:?} was not expected"),
        })
    }

    fn container(&self, _: ObjectType, name: &str) -> Draft {
        let body = [("key", name.to_lowercase()), ("name", name.to_owned())];
        let body = body.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
        Draft { key: name.to_lowercase(), label: name.to_owned(), raw: name.to_owned(), body, ..Draft::default() }
    }

    fn keyword(&self, keyword: &str) -> Option<String> {
        Some(keyword.to_lowercase())
    }

    fn expect(&mut self, _: u64) {}

    fn objects(&mut self, kind: ObjectType, _: Detail) -> Result<(Vec<Remote>, bool)> {
        let objects = self.objects.get(&kind).into_iter().flatten();
        Ok((objects.map(|(remote, _)| remote.clone()).collect(), true))
    }

    fn look_inside(&mut self, _: &mut [Remote], _: &[usize]) -> Result<()> {
        Ok(())
    }

    fn difference(
        &self,
        _: ObjectType,
        _: &Draft,
        containers: Option<Vec<String>>,
        theirs: &Remote,
        _: &dyn BlobProvider,
    ) -> Patch {
        Patch { containers: containers.filter(|ids| *ids != theirs.containers), ..Patch::default() }
    }

    fn has_strangers(&mut self, _: ObjectType) -> Result<bool> {
        Ok(false)
    }

    fn rest(&mut self, _: ObjectType) -> Result<()> {
        Ok(())
    }

    fn emails(&mut self, _: Option<&BTreeSet<String>>) -> Result<(Vec<RemoteEmail>, bool)> {
        let email = |(id, copy): (&String, &Copy)| RemoteEmail {
            id: id.clone(),
            size: copy.bytes.len() as u64,
            received: copy.received,
            key: RemoteKey::Nothing,
            mailboxes: vec![copy.mailbox.clone()],
            keywords: copy.keywords.clone(),
        };
        Ok((self.emails.iter().map(email).collect(), true))
    }

    fn headers(&mut self, emails: &[String]) -> Result<Vec<(String, Vec<u8>)>> {
        Ok(emails.iter().map(|id| (id.clone(), self.emails[id].bytes.clone())).collect())
    }

    fn write(
        &mut self,
        kind: ObjectType,
        changes: &mut dyn Iterator<Item = (usize, Change)>,
        batch: usize,
        supply: &dyn BlobProvider,
        told: &mut dyn FnMut(usize, Outcome),
    ) -> Result<()> {
        for (at, change) in changes.take(batch) {
            let outcome = match change {
                Change::UpdateEmail(id, EmailUpdate { mailboxes: None, keywords: Some(keywords) }) => {
                    self.emails.get_mut(&id).expect("an email").keywords = keywords;
                    Outcome::Done(id, None)
                }
                Change::Destroy(id) => {
                    self.emails.remove(&id).expect("an email");
                    Outcome::Done(id, None)
                }
                change => self.create(kind, change, supply),
            };
            if self.lost > 0 {
                self.lost -= 1;
                told(at, Outcome::Unknown("the line broke".to_owned()));
            } else {
                told(at, outcome);
            }
        }
        Ok(())
    }

    fn choose(&mut self, _: ObjectType, _: Option<&str>) -> Result<std::result::Result<(), String>> {
        Ok(Ok(()))
    }
}

fn run(target: &mut Folders, archive: &Path, options: ExportOptions) -> Report {
    let reader = Arc::new(Reader::open(archive).expect("an archive"));
    let moment = Moment::Snapshot(reader.snapshots().expect("snapshots").last().expect("a snapshot").id);
    let done = export(target, &reader, moment, &options, &UNSEEN, &mut |_| Ok(())).expect("a run");
    assert!(done.lost.is_none(), "{:?}", done.lost);
    done.report
}

fn created(report: &Report) -> u64 {
    report.accounts.types.values().map(|account| account.created).sum()
}

/// A Maildir in which one message lies in two folders, an .ics and a .vcf file.
fn archive(place: &Path) -> std::path::PathBuf {
    let message = |id: &str| format!("Message-ID: <{id}@x>\r\nFrom: a@x\r\nSubject: {id}\r\n\r\nbody of {id}\r\n");
    for (folder, id) in [("", "one"), (".Work", "one"), (".Work", "two")] {
        let cur = place.join("mail").join(folder).join("cur");
        fs::create_dir_all(&cur).expect("a folder");
        fs::create_dir_all(cur.with_file_name("new")).expect("a folder");
        fs::write(cur.join(format!("1.{id}.x:2,S")), message(id)).expect("a message");
    }
    let takeout = place.join("Takeout");
    fs::create_dir_all(takeout.join("Calendar")).expect("a folder");
    fs::create_dir_all(takeout.join("Contacts/All Contacts")).expect("a folder");
    fs::write(takeout.join("Calendar/Home.ics"), EVENT).expect("a calendar");
    fs::write(takeout.join("Contacts/All Contacts/All Contacts.vcf"), CARD).expect("a card");
    let archive = place.join("a.sqlite");
    for (kind, source) in [("maildir", place.join("mail")), ("takeout", takeout)] {
        let mut command = vandelay();
        command.args(["import", kind]).arg(source).arg(&archive);
        let output = command.output().expect("the program");
        assert!(output.status.success(), "{output:?}");
    }
    archive
}

const EVENT: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:e1\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20260102T100000Z\r\nX-ODD;P=\"q\":kept\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
const CARD: &str = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:c1\r\nFN:Ada\r\nITEM1.X-ABLABEL:odd\r\nEND:VCARD\r\n";

#[test]
fn a_target_of_copies_and_of_original_bytes_gets_each_once() {
    let place = tempfile::tempdir().expect("a folder");
    let archive = archive(place.path());
    let mut target = Folders { lost: 3, ..Folders::default() };
    let report = run(&mut target, &archive, ExportOptions { max_retries: 3, ..ExportOptions::default() });
    assert_eq!(report.failed(), 0, "{report:?}");
    let names: BTreeMap<&str, &str> =
        target.objects[&ObjectType::Mailbox].iter().map(|(it, _)| (it.id.as_str(), it.name.as_str())).collect();
    let mut copies: Vec<(&str, String)> = target
        .emails
        .values()
        .map(|copy| (names[copy.mailbox.as_str()], String::from_utf8_lossy(&copy.bytes[13..16]).into_owned()))
        .collect();
    copies.sort();
    let expected = [("INBOX", "one"), ("Work", "one"), ("Work", "two")];
    assert_eq!(copies, expected.map(|(folder, id)| (folder, id.to_owned())));
    let bytes = |kind: ObjectType| String::from_utf8(target.objects[&kind][0].1.clone()).expect("text");
    assert_eq!(bytes(ObjectType::CalendarEvent), EVENT);
    assert_eq!(bytes(ObjectType::ContactCard), CARD);

    let again = run(&mut target, &archive, ExportOptions::default());
    assert_eq!((created(&again), again.failed()), (0, 0), "{again:?}");
    assert_eq!(target.emails.len(), 3);
}

#[test]
fn a_missing_copy_is_sent_and_a_surplus_copy_removed() {
    let place = tempfile::tempdir().expect("a folder");
    let archive = archive(place.path());
    let mut target = Folders::default();
    run(&mut target, &archive, ExportOptions::default());
    let work =
        target.objects[&ObjectType::Mailbox].iter().find(|(it, _)| it.name == "Work").expect("Work").0.id.clone();
    let inbox =
        target.objects[&ObjectType::Mailbox].iter().find(|(it, _)| it.name == "INBOX").expect("INBOX").0.id.clone();
    // The copy of "one" in Work goes, and one of "two" turns up in INBOX.
    let place_of = |target: &Folders, mailbox: &str, id: &str| {
        let is_it =
            |(_, copy): &(&String, &Copy)| copy.mailbox == mailbox && copy.bytes[13..].starts_with(id.as_bytes());
        target.emails.iter().find(is_it).map(|(id, _)| id.clone())
    };
    let one = place_of(&target, &work, "one").expect("the copy");
    target.emails.remove(&one);
    let two = place_of(&target, &work, "two").expect("the copy");
    let surplus =
        Copy { mailbox: inbox.clone(), keywords: Vec::new(), received: 0, bytes: target.emails[&two].bytes.clone() };
    target.emails.insert("surplus".to_owned(), surplus);
    let options = ExportOptions { prune: true, update: true, ..ExportOptions::default() };
    let report = run(&mut target, &archive, options);
    assert_eq!((created(&report), report.failed()), (1, 0), "{report:?}");
    assert!(place_of(&target, &work, "one").is_some() && !target.emails.contains_key("surplus"));
    assert_eq!(target.emails.len(), 3);
}

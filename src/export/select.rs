//! What the archive has for the target: the rows that were selected, and the containers that they need.

use super::label;
use super::match_mail::{Collector, Key, Message};
use super::match_objects::cut;
use super::objects::{self, Wanted};
use super::options::Selection;
use super::report::Report;
use super::tasks::{self, Task};
use crate::archive::{Moment, Origin, Reader, Record, UNFILED, card_mark, epoch, parse_ids, parse_keywords, untold};
use crate::error::{Error, Result};
pub(crate) use crate::export::synthetic::{INTO, TASK_FILES, counts, made};
use crate::format::jmap::{folded, name};
use crate::format::mail::HEAD_MAX;
use crate::model::{EXECUTABLE, Id, ObjectType, PathFilter};
use crate::sink::{BLOB, Rules};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What is to be exported.
#[derive(Default)]
pub struct ExportSet {
    pub objects: BTreeMap<ObjectType, Vec<Wanted>>,
    pub messages: Vec<Message>,
    /// Containers that something names and that are not there: like none at all.
    pub lost: BTreeSet<(ObjectType, Id)>,
}

/// Reads what is selected.
pub fn read(
    reader: &Reader,
    moment: Moment,
    selection: &Selection,
    rules: &Rules,
    has_files: bool,
    report: &mut Report,
) -> Result<ExportSet> {
    let mut picked = selection.clone();
    if let Some(picks) = &mut picked.picks {
        below(reader, moment, picks)?;
    }
    let mut reading = Reading { reader, moment, selection: &picked, rules, report, stock: ExportSet::default() };
    reading.emails()?;
    let tasks = reading.items(has_files)?;
    reading.plain()?;
    for kind in [ObjectType::Mailbox, ObjectType::AddressBook, ObjectType::Calendar] {
        reading.containers(kind)?;
    }
    reading.files(tasks)?;
    add_origins(reader, &mut reading.stock.objects)?;
    for (kind, wanted) in &reading.stock.objects {
        reading.report.of(*kind).found += wanted.iter().filter(|one| counts(one.id) && !one.waits).count() as u64;
    }
    Ok(reading.stock)
}

/// Adds to picked mailboxes and directories those that lie in them.
fn below(reader: &Reader, moment: Moment, picks: &mut PathFilter) -> Result<()> {
    for kind in [ObjectType::Mailbox, ObjectType::FileNode] {
        let mut children: HashMap<Id, Vec<Id>> = HashMap::new();
        reader.each_record(kind, moment, |record| {
            if let Some(parent) = record.number("parent_id") {
                children.entry(parent).or_default().push(record.id);
            }
        })?;
        let mut open: Vec<Id> = picks.whole.iter().filter(|(of, _)| *of == kind).map(|(_, id)| *id).collect();
        while let Some(id) = open.pop() {
            for child in children.remove(&id).into_iter().flatten() {
                picks.whole.insert((kind, child));
                open.push(child);
            }
        }
    }
    Ok(())
}

struct Reading<'a> {
    reader: &'a Reader,
    moment: Moment,
    selection: &'a Selection,
    rules: &'a Rules,
    report: &'a mut Report,
    stock: ExportSet,
}

impl Reading<'_> {
    fn each(&self, kind: ObjectType, mut each: impl FnMut(Record)) -> Result<()> {
        self.reader.each_record(kind, self.moment, &mut each)
    }

    fn emails(&mut self) -> Result<()> {
        if !self.selection.has(ObjectType::Email) {
            return Ok(());
        }
        let mut collector = Collector::default();
        let (mut found, mut bad, mut error) = (0, Vec::new(), None);
        self.each(ObjectType::Email, |record| {
            let mailboxes = parse_ids(record.text("mailbox_ids").unwrap_or("[]"));
            let received: Option<jiff::Timestamp> = record.text("received_at").and_then(|text| text.parse().ok());
            let is_meant = self.selection.picks(ObjectType::Email, record.id, &mailboxes)
                && self.selection.is_in_time(received.map_or(0, |time| time.as_second()));
            if !is_meant || error.is_some() {
                return;
            }
            found += 1;
            let blob = match record.blob.map(|blob| self.reader.blob(blob)) {
                Some(Ok(blob)) => blob,
                Some(Err(cause)) if cause.kind != crate::error::ErrorKind::Damaged => {
                    error = Some(cause);
                    return;
                }
                _ => {
                    bad.push(record.id);
                    return;
                }
            };
            let (key, has_id) = match Key::of_match(record.text("message_match").unwrap_or("{}")) {
                Some(key) => key,
                None => Key::of_header(&self.reader.email_head(record.id, HEAD_MAX as u64).unwrap_or_default()),
            };
            let mailboxes = if mailboxes.is_empty() { vec![UNFILED] } else { mailboxes };
            let mut keywords = parse_keywords(record.text("keywords").unwrap_or("[]"));
            keywords.sort_unstable();
            collector.add(Message {
                key,
                has_id,
                row: record.id,
                rows: 1,
                blob: blob.id,
                size: blob.size,
                received,
                mailboxes: mailboxes.into(),
                keywords: keywords.into(),
            });
        })?;
        if let Some(error) = error {
            return Err(error);
        }
        self.report.of(ObjectType::Email).found += found;
        for row in bad {
            self.report.fail(ObjectType::Email, 1, "its bytes are missing in the archive", format!("email {row}"));
        }
        for message in &collector.messages {
            let more = u64::from(message.rows - 1);
            if more > 0 {
                let reason = "the same message as another row".to_owned();
                *self.report.of(ObjectType::Email).skipped.entry(reason).or_default() += more;
            }
        }
        self.stock.messages = collector.messages;
        Ok(())
    }

    /// Events and cards. Gives those that may have to be files, with their calendars.
    fn items(&mut self, has_files: bool) -> Result<Vec<Task>> {
        let mut tasks = Vec::new();
        for (kind, column) in
            [(ObjectType::CalendarEvent, "calendar_ids"), (ObjectType::ContactCard, "address_book_ids")]
        {
            if !self.selection.has(kind) {
                continue;
            }
            let (mut wanted, mut unreadable, mut odd) = (Vec::new(), Vec::new(), Vec::new());
            self.each(kind, |record| {
                let mut containers = parse_ids(record.text(column).unwrap_or("[]"));
                if !self.selection.picks(kind, record.id, &containers) || !self.is_event_in_time(kind, &record) {
                    return;
                }
                if containers.is_empty() {
                    containers.push(UNFILED);
                }
                let calendar = containers[0];
                let made = match kind {
                    ObjectType::ContactCard => objects::card(&record, containers),
                    _ => objects::event(&record, containers),
                };
                let Some(mut made) = made else {
                    return unreadable.push(format!("{} {}", kind.token(), record.id));
                };
                let data_type = record.text("data_type").unwrap_or("Event");
                match data_type {
                    _ if kind == ObjectType::ContactCard => wanted.push(made),
                    "Event" | "Task" | "Note" => {
                        if has_files && tasks::may_be_a_file(&made) {
                            let uid = objects::text_of(&made.object, "uid").unwrap_or_default().to_owned();
                            made.as_file = Some(TASK_FILES - record.id);
                            tasks.push(Task { row: record.id, uid, calendar });
                        }
                        wanted.push(made);
                    }
                    other => odd.push((format!("JMAP has no place for {}s", other.to_lowercase()), made.label)),
                }
            })?;
            self.report.of(kind).found += (unreadable.len() + odd.len()) as u64;
            unreadable.into_iter().for_each(|label| self.report.fail(kind, 1, "its JSON cannot be read", label));
            odd.into_iter().for_each(|(reason, label)| self.report.skip(kind, 1, &reason, label));
            self.stock.objects.insert(kind, wanted);
        }
        Ok(tasks)
    }

    /// An event counts from its start on; a series that began earlier may go on.
    fn is_event_in_time(&self, kind: ObjectType, record: &Record) -> bool {
        if kind != ObjectType::CalendarEvent || (self.selection.since.is_none() && self.selection.until.is_none()) {
            return true;
        }
        let data: Value = serde_json::from_str(record.text("data").unwrap_or("{}")).unwrap_or_default();
        let start = ["start", "due"].iter().find_map(|name| data.get(*name)?.as_str()).map(|start| format!("{start}Z"));
        let start = start.map_or(0, |start| epoch(&start));
        let recurs = ["recurrenceRule", "recurrenceRules", "recurrenceOverrides"].iter();
        let recurs = recurs.into_iter().any(|name| data.get(*name).is_some_and(|rule| !rule.is_null()));
        self.selection.is_in_time(start) || (recurs && self.selection.until.is_none_or(|until| start < until))
    }

    /// Identities, participant identities and scripts.
    fn plain(&mut self) -> Result<()> {
        for kind in [
            ObjectType::Identity,
            ObjectType::ParticipantIdentity,
            ObjectType::SieveScript,
            ObjectType::VacationResponse,
        ] {
            if !self.selection.has(kind) {
                continue;
            }
            let (mut wanted, mut bad) = (Vec::new(), Vec::new());
            let mut error: Option<Error> = None;
            self.each(kind, |record| {
                if !self.selection.picks(kind, record.id, &[]) {
                    return;
                }
                match kind {
                    ObjectType::Identity => wanted.push(objects::identity(&record)),
                    ObjectType::VacationResponse => wanted.push(objects::vacation(&record)),
                    ObjectType::ParticipantIdentity => wanted.push(objects::participant(&record, self.rules)),
                    _ => match record.blob.map(|blob| self.reader.blob(blob)) {
                        Some(Ok(blob)) => wanted.push(objects::script(&record, blob.digest.hex(), self.rules)),
                        Some(Err(cause)) if cause.kind != crate::error::ErrorKind::Damaged => error = Some(cause),
                        _ => bad.push(record.text("name").unwrap_or_default().to_owned()),
                    },
                }
            })?;
            if let Some(error) = error {
                return Err(error);
            }
            for label in bad {
                self.report.of(kind).found += 1;
                self.report.fail(kind, 1, "its bytes are missing in the archive", label);
            }
            if kind == ObjectType::VacationResponse && wanted.len() > 1 {
                // One of each source; an account has one.
                let more = wanted.split_off(1);
                self.report.of(kind).found += more.len() as u64;
                more.into_iter().for_each(|one| self.report.skip(kind, 1, "an account has one", one.label));
            }
            self.stock.objects.insert(kind, wanted);
        }
        Ok(())
    }

    /// Mailboxes, calendars or address books: all of them, or those that something needs.
    fn containers(&mut self, kind: ObjectType) -> Result<()> {
        let mut needed: BTreeSet<Id> = match kind {
            ObjectType::Mailbox => {
                self.stock.messages.iter().flat_map(|message| message.mailboxes.iter().copied()).collect()
            }
            _ => {
                let items =
                    if kind == ObjectType::Calendar { ObjectType::CalendarEvent } else { ObjectType::ContactCard };
                let items = self.stock.objects.get(&items).into_iter().flatten();
                items.flat_map(|item| item.containers.iter().copied()).collect()
            }
        };
        let mut all: BTreeMap<Id, Wanted> = BTreeMap::new();
        let is_dated = self.selection.since.is_some() || self.selection.until.is_some();
        let is_meant = self.selection.has(kind) && !is_dated;
        self.each(kind, |record| {
            if is_meant && self.selection.picks(kind, record.id, &[]) {
                needed.insert(record.id);
            }
            let wanted = match kind {
                ObjectType::Mailbox => objects::mailbox(&record, self.rules),
                ObjectType::Calendar => objects::calendar(&record),
                _ => objects::address_book(&record),
            };
            all.insert(record.id, wanted);
        })?;
        if kind == ObjectType::Mailbox && all.values().all(|one| one.role.as_deref() != Some("inbox")) {
            // The inbox is one though no source called it so.
            let is_inbox = |one: &&mut Wanted| one.parent.is_none() && one.key == "inbox";
            if let Some(inbox) = all.values_mut().find(is_inbox) {
                inbox.role = Some("inbox".to_owned());
            }
        }
        self.parents(&mut needed, &all);
        // A row that an object names and that is not there: like no container at all.
        let lost: Vec<Id> = needed.iter().copied().filter(|id| *id != UNFILED && !all.contains_key(id)).collect();
        let is_unfiled = needed.contains(&UNFILED) || !lost.is_empty();
        let mut wanted: Vec<Wanted> = needed.iter().filter_map(|id| all.remove(id)).collect();
        if is_unfiled {
            let label = match kind {
                ObjectType::Mailbox => "(no mailbox)",
                ObjectType::Calendar => "(no calendar)",
                _ => "(no address book)",
            };
            wanted.push(made(UNFILED, None, label));
            self.stock.lost.extend(lost.into_iter().map(|id| (kind, id)));
        }
        cut(&mut wanted);
        if let Some(into) = self.selection.into.as_deref().filter(|_| !wanted.is_empty()) {
            for one in &mut wanted {
                one.role = None;
                one.is_chosen = false;
                match kind {
                    ObjectType::Mailbox => one.parent = one.parent.or(Some(INTO)),
                    // These have no parents.
                    _ => {
                        let label = name(&format!("{} ({into})", one.label), 255, into);
                        one.key = folded(&label);
                        one.object.insert("name".to_owned(), json!(label));
                        one.label = label;
                    }
                }
            }
            if kind == ObjectType::Mailbox {
                wanted.insert(0, made(INTO, None, &name(into, self.rules.mailbox_name, "Restored")));
            }
        }
        self.stock.objects.insert(kind, wanted);
        Ok(())
    }

    fn parents(&self, needed: &mut BTreeSet<Id>, all: &BTreeMap<Id, Wanted>) {
        let mut open: Vec<Id> = needed.iter().copied().collect();
        while let Some(id) = open.pop() {
            if let Some(parent) = all.get(&id).and_then(|one| one.parent)
                && all.contains_key(&parent)
                && needed.insert(parent)
            {
                open.push(parent);
            }
        }
    }

    /// Files and directories, and tasks and notes as files.
    fn files(&mut self, tasks: Vec<Task>) -> Result<()> {
        let mut all: BTreeMap<Id, Wanted> = BTreeMap::new();
        let mut needed = BTreeSet::new();
        let is_dated = self.selection.since.is_some() || self.selection.until.is_some();
        if self.selection.has(ObjectType::FileNode) {
            self.each(ObjectType::FileNode, |record| {
                let modified = record.text("modified").or(record.text("created")).map_or(0, epoch);
                let is_directory = record.text("node_type") == Some("directory");
                let is_in_time = if is_directory { !is_dated } else { self.selection.is_in_time(modified) };
                if self.selection.picks(ObjectType::FileNode, record.id, &[]) && is_in_time {
                    needed.insert(record.id);
                }
                all.insert(record.id, objects::file(&record, self.rules));
            })?;
        }
        self.parents(&mut needed, &all);
        let mut wanted: Vec<Wanted> = needed.iter().filter_map(|id| all.remove(id)).collect();
        if !tasks.is_empty() {
            let mut names: HashMap<Id, String> = HashMap::new();
            self.each(ObjectType::Calendar, |record| {
                names.insert(record.id, record.text("name").unwrap_or_default().to_owned());
            })?;
            wanted.extend(tasks::files(tasks, &names, self.rules));
        }
        cut(&mut wanted);
        if let Some(into) = self.selection.into.as_deref().filter(|_| !wanted.is_empty()) {
            for one in &mut wanted {
                one.role = None;
                one.parent = one.parent.or(Some(INTO));
            }
            let mut top = made(INTO, None, &objects::file_name(into, self.rules));
            top.object.insert("nodeType".to_owned(), json!("directory"));
            top.waits = wanted.iter().all(|one| one.waits);
            wanted.insert(0, top);
        }
        let (wanted, empty): (Vec<Wanted>, Vec<Wanted>) =
            wanted.into_iter().partition(|one| one.object.get(BLOB).is_none_or(|blob| !blob.is_null()));
        for one in empty {
            self.report.of(ObjectType::FileNode).found += 1;
            self.report.fail(ObjectType::FileNode, 1, "its bytes are missing in the archive", one.label);
        }
        self.stock.objects.insert(ObjectType::FileNode, wanted);
        Ok(())
    }
}

/// Says of each object what its sources said of it last, beside what its row holds.
fn add_origins(reader: &Reader, objects: &mut BTreeMap<ObjectType, Vec<Wanted>>) -> Result<()> {
    for (kind, wanted) in objects.iter_mut().filter(|(_, wanted)| !wanted.is_empty()) {
        let mut origins: HashMap<Id, Vec<Origin>> = HashMap::new();
        for origin in reader.origins(*kind)? {
            origins.entry(origin.id).or_default().push(origin);
        }
        for one in wanted.iter_mut().filter(|one| one.id > 0) {
            let origins = origins.remove(&one.id).unwrap_or_default();
            if matches!(kind, ObjectType::Calendar | ObjectType::AddressBook | ObjectType::Mailbox) {
                let revs: Vec<String> = origins.iter().map(|origin| origin.rev.clone()).collect();
                one.unknown.extend(untold(&revs));
            }
            if *kind == ObjectType::ContactCard {
                unmark(one, &origins);
            }
            if *kind == ObjectType::FileNode
                && origins.iter().any(|origin| parse_keywords(&origin.keywords).iter().any(|it| it == EXECUTABLE))
            {
                one.object.insert(EXECUTABLE.to_owned(), json!(true));
            }
            one.ids = origins.into_iter().filter(|origin| origin.source == "jmap").map(|origin| origin.key).collect();
        }
    }
    Ok(())
}

/// Gives a card its own uid back, if the archive marked it since another card had that (`~` and eight digits of what it is at
/// its source). The mark stays known.
fn unmark(card: &mut Wanted, origins: &[Origin]) {
    let Some((own, mark)) = card.key.rsplit_once('~') else { return };
    if !origins.iter().any(|origin| card_mark(origin.scope, &origin.key) == mark) {
        return;
    }
    card.object.insert("uid".to_owned(), json!(own));
    let own = own.to_owned();
    card.marked = Some(std::mem::replace(&mut card.key, own));
    card.label = label::card(&card.object);
}

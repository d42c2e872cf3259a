//! What the archive has for the target: the rows that were selected, and the containers that they need.

use super::match_mail::{Collector, Key, Message};
use super::match_objects::cut;
use super::options::Selection;
use super::report::Report;
use super::synthetic::{INTO, TASK_FILES, counts, made};
use super::tasks::{self, Task};
use super::wanted::Wanted;
use crate::archive::{Moment, Origin, Reader, Record, UNFILED, card_mark, epoch, untold};
use crate::error::{Error, ErrorKind, Result};
use crate::format::mail::HEAD_MAX;
use crate::model::objects::{FileNode, NodeType, Properties, Text};
use crate::model::{EXECUTABLE, Id, ObjectType, PathFilter};
use crate::sink::{BlobRef, Filing, NoDraft, Sink, StoredItem};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Why a row of a message is left out that is there already.
pub(super) const SAME_MESSAGE: &str = "the same message as another row";

/// What is to be exported.
#[derive(Default)]
pub(super) struct ExportSet {
    pub objects: BTreeMap<ObjectType, Vec<Wanted>>,
    pub messages: Vec<Message>,
    /// Containers that something names and that are not there: like none at all.
    pub lost: BTreeSet<(ObjectType, Id)>,
}

/// Reads what is selected.
pub(super) fn read(
    reader: &Reader,
    moment: Moment,
    selection: &Selection,
    target: &dyn Sink,
    report: &mut Report,
) -> Result<ExportSet> {
    let mut picked = selection.clone();
    if let Some(picks) = &mut picked.picks {
        below(reader, moment, picks)?;
    }
    let mut reading = Reading { reader, moment, selection: &picked, target, report, stock: ExportSet::default() };
    reading.emails()?;
    let tasks = reading.items()?;
    reading.plain()?;
    for kind in [ObjectType::Mailbox, ObjectType::AddressBook, ObjectType::Calendar] {
        reading.containers(kind)?;
    }
    reading.files(tasks)?;
    for (kind, wanted) in &reading.stock.objects {
        reading.report.of(*kind).found += wanted.iter().filter(|one| counts(one.id) && !one.waits).count() as u64;
    }
    Ok(reading.stock)
}

/// Adds to picked mailboxes and directories those that lie in them.
pub(super) fn below(reader: &Reader, moment: Moment, picks: &mut PathFilter) -> Result<()> {
    for kind in [ObjectType::Mailbox, ObjectType::FileNode] {
        let mut children: HashMap<Id, Vec<Id>> = HashMap::new();
        reader.each_record(kind, moment, |record| {
            if let Some(parent) = record.properties().parent() {
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
    target: &'a dyn Sink,
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
        let mut collector = Collector::new(self.target.filing());
        let has_copies = self.target.filing() == Filing::Copies;
        let (mut found, mut bad, mut error) = (0, Vec::new(), None);
        self.each(ObjectType::Email, |record| {
            let email = record.email();
            let mailboxes = email.mailboxes;
            let received: Option<jiff::Timestamp> = email.received_at.parse().ok();
            let is_meant = self.selection.picks(ObjectType::Email, record.id, &mailboxes)
                && self.selection.is_in_time(received.map_or(0, |time| time.as_second()));
            if !is_meant || error.is_some() {
                return;
            }
            let copies = if has_copies { mailboxes.len().max(1) as u64 } else { 1 };
            found += copies;
            let blob = match record.blob.map(|blob| self.reader.blob(blob)) {
                Some(Ok(blob)) => blob,
                Some(Err(cause)) if cause.kind != ErrorKind::Damaged => {
                    error = Some(cause);
                    return;
                }
                _ => {
                    bad.push((record.id, copies));
                    return;
                }
            };
            let (key, has_id) = match Key::of_match(&email.message_match) {
                Some((key, true)) => (key, true),
                Some(_) | None => {
                    Key::of_header(&self.reader.email_head(record.id, HEAD_MAX as u64).unwrap_or_default())
                }
            };
            let mailboxes = if mailboxes.is_empty() { vec![UNFILED] } else { mailboxes };
            let mut keywords = email.keywords;
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
        for (row, copies) in bad {
            self.report.fail(ObjectType::Email, copies, "its bytes are missing in the archive", format!("email {row}"));
        }
        for message in &collector.messages {
            let more = u64::from(message.rows - 1);
            if more > 0 {
                *self.report.of(ObjectType::Email).skipped.entry(SAME_MESSAGE.to_owned()).or_default() += more;
            }
        }
        self.stock.messages = collector.messages;
        Ok(())
    }

    /// What the sources said of each object of a type.
    fn origins(&self, kind: ObjectType) -> Result<HashMap<Id, Vec<Origin>>> {
        let mut origins: HashMap<Id, Vec<Origin>> = HashMap::new();
        for origin in self.reader.origins(kind)? {
            origins.entry(origin.id).or_default().push(origin);
        }
        Ok(origins)
    }

    /// An object of the archive in the target's form.
    fn wanted(&self, record: &Record, origins: &[Origin]) -> std::result::Result<Wanted, NoDraft> {
        let mut item = StoredItem {
            row: record.id,
            properties: record.properties(),
            blob: blob_of(record),
            digest: None,
            untold: BTreeSet::new(),
            is_executable: origins.iter().any(is_executable),
        };
        if matches!(record.kind, ObjectType::Calendar | ObjectType::AddressBook | ObjectType::Mailbox) {
            let revs: Vec<String> = origins.iter().map(|origin| origin.rev.clone()).collect();
            item.untold = untold(&revs);
        }
        if let (ObjectType::SieveScript, Some(blob)) = (record.kind, record.blob) {
            item.digest = self.reader.blob(blob).ok().map(|blob| blob.digest);
        }
        let own_uid = match &item.properties {
            Properties::ContactCard(card) => own_uid(&card.uid, origins).map(str::to_owned),
            _ => None,
        };
        let mut marked = None;
        if let (Some(own), Properties::ContactCard(_)) = (own_uid, &item.properties) {
            marked = Some(Box::new(self.target.draft(&item)?));
            if let Properties::ContactCard(card) = &mut item.properties {
                card.uid = Text::Owned(own);
            }
        }
        let kind_of_ids = self.target.source_kind();
        let ids = origins.iter().filter(|origin| origin.source == kind_of_ids).map(|origin| origin.key.clone());
        let parent = item.properties.parent();
        let draft = self.target.draft(&item)?;
        Ok(Wanted { id: record.id, parent, draft, ids: ids.collect(), marked, ..Wanted::default() })
    }

    /// Events and cards. Gives those that may have to be files, with their calendars.
    fn items(&mut self) -> Result<Vec<Task>> {
        let mut tasks = Vec::new();
        let (has_files, filing) = (self.target.lacks(ObjectType::FileNode).is_none(), self.target.filing());
        for kind in [ObjectType::CalendarEvent, ObjectType::ContactCard] {
            if !self.selection.has(kind) {
                continue;
            }
            let origins = self.origins(kind)?;
            let (mut wanted, mut unreadable, mut unplaced) = (Vec::new(), Vec::new(), Vec::new());
            self.each(kind, |record| {
                let (mut containers, event) = match record.properties() {
                    Properties::CalendarEvent(event) => (event.calendars.clone(), Some(event)),
                    Properties::ContactCard(card) => (card.address_books, None),
                    _ => return,
                };
                let data = event.as_ref().map(|event| serde_json::from_str(&event.data).unwrap_or_default());
                let is_in_time = data.as_ref().is_none_or(|data| is_event_in_time(self.selection, data));
                if !self.selection.picks(kind, record.id, &containers) || !is_in_time {
                    return;
                }
                if containers.is_empty() {
                    containers.push(UNFILED);
                }
                let mut one = match self.wanted(&record, origins_of(&origins, &record)) {
                    Ok(one) => one,
                    Err(NoDraft::Unreadable) => return unreadable.push(format!("{} {}", kind.token(), record.id)),
                    Err(NoDraft::Unplaced { reason, label }) => return unplaced.push((reason, label)),
                };
                if let (Some(event), Some(data)) = (event, data) {
                    one.sort = tasks::sort(&event.data_type, &data);
                    if has_files && one.sort.is_some() {
                        let uid = data.get("uid").and_then(Value::as_str).unwrap_or_default().to_owned();
                        one.as_file = Some(TASK_FILES - record.id);
                        tasks.push(Task { row: record.id, uid, calendar: containers[0] });
                    }
                }
                match filing {
                    Filing::Once => wanted.push(Wanted { containers, ..one }),
                    Filing::Copies => wanted.extend(
                        containers.into_iter().map(|container| Wanted { containers: vec![container], ..one.clone() }),
                    ),
                }
            })?;
            self.report.of(kind).found += (unreadable.len() + unplaced.len()) as u64;
            unreadable.into_iter().for_each(|label| self.report.fail(kind, 1, "its JSON cannot be read", label));
            unplaced.into_iter().for_each(|(reason, label)| self.report.skip(kind, 1, &reason, label));
            self.stock.objects.insert(kind, wanted);
        }
        Ok(tasks)
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
            let origins = self.origins(kind)?;
            let (mut wanted, mut bad) = (Vec::new(), Vec::new());
            let mut error: Option<Error> = None;
            self.each(kind, |record| {
                if !self.selection.picks(kind, record.id, &[]) {
                    return;
                }
                if kind == ObjectType::SieveScript {
                    match record.blob.map(|blob| self.reader.blob(blob)) {
                        Some(Ok(_)) => {}
                        Some(Err(cause)) if cause.kind != ErrorKind::Damaged => return error = Some(cause),
                        _ => return bad.push(record.name().to_owned()),
                    }
                }
                wanted.extend(self.wanted(&record, origins_of(&origins, &record)));
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
                more.into_iter().for_each(|one| self.report.skip(kind, 1, "an account has one", one.draft.label));
            }
            self.stock.objects.insert(kind, wanted);
        }
        Ok(())
    }

    /// Mailboxes, calendars or address books: all of them, or those that something needs.
    fn containers(&mut self, kind: ObjectType) -> Result<()> {
        let origins = self.origins(kind)?;
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
        let is_dated = self.selection.is_dated();
        let is_meant = self.selection.has(kind) && !is_dated;
        self.each(kind, |record| {
            if is_meant && self.selection.picks(kind, record.id, &[]) {
                needed.insert(record.id);
            }
            all.extend(self.wanted(&record, origins_of(&origins, &record)).map(|wanted| (record.id, wanted)));
        })?;
        if kind == ObjectType::Mailbox && all.values().all(|one| one.draft.role.as_deref() != Some("inbox")) {
            // The inbox is one though no source called it so.
            let is_inbox = |one: &&mut Wanted| one.parent.is_none() && one.draft.key == "inbox";
            if let Some(inbox) = all.values_mut().find(is_inbox) {
                inbox.draft.role = Some("inbox".to_owned());
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
            wanted.push(made(UNFILED, None, self.target.container(kind, label)));
            self.stock.lost.extend(lost.into_iter().map(|id| (kind, id)));
        }
        cut(&mut wanted);
        if let Some(into) = self.selection.into.as_deref().filter(|_| !wanted.is_empty()) {
            for one in &mut wanted {
                one.draft.role = None;
                one.draft.is_chosen = false;
                match kind {
                    ObjectType::Mailbox => one.parent = one.parent.or(Some(INTO)),
                    // These have no parents.
                    _ => {
                        let name = format!("{} ({into})", one.draft.label);
                        one.draft.rename(self.target.container(kind, &name));
                    }
                }
            }
            if kind == ObjectType::Mailbox {
                wanted.insert(0, made(INTO, None, self.target.container(kind, into)));
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
        let is_dated = self.selection.is_dated();
        let (mut empty, mut unplaced) = (BTreeSet::new(), BTreeMap::new());
        if self.selection.has(ObjectType::FileNode) {
            let origins = self.origins(ObjectType::FileNode)?;
            self.each(ObjectType::FileNode, |record| {
                let node = record.file_node();
                let modified = file_time(&node);
                let is_directory = node.node_type == NodeType::Directory;
                let is_in_time = if is_directory { !is_dated } else { self.selection.is_in_time(modified) };
                if self.selection.picks(ObjectType::FileNode, record.id, &[]) && is_in_time {
                    needed.insert(record.id);
                }
                if node.node_type == NodeType::File && record.blob.is_none() {
                    empty.insert(record.id);
                }
                match self.wanted(&record, origins_of(&origins, &record)) {
                    Ok(wanted) => drop(all.insert(record.id, wanted)),
                    Err(NoDraft::Unplaced { reason, label }) => drop(unplaced.insert(record.id, (reason, label))),
                    Err(NoDraft::Unreadable) => {}
                }
            })?;
        }
        for (_, (reason, label)) in unplaced.into_iter().filter(|(id, _)| needed.contains(id)) {
            self.report.of(ObjectType::FileNode).found += 1;
            self.report.skip(ObjectType::FileNode, 1, &reason, label);
        }
        self.parents(&mut needed, &all);
        let mut wanted: Vec<Wanted> = needed.iter().filter_map(|id| all.remove(id)).collect();
        if !tasks.is_empty() {
            let mut names: HashMap<Id, String> = HashMap::new();
            self.each(ObjectType::Calendar, |record| {
                names.insert(record.id, record.name().to_owned());
            })?;
            wanted.extend(tasks::files(tasks, &names, self.target));
        }
        cut(&mut wanted);
        if let Some(into) = self.selection.into.as_deref().filter(|_| !wanted.is_empty()) {
            for one in &mut wanted {
                one.draft.role = None;
                one.parent = one.parent.or(Some(INTO));
            }
            let mut top = made(INTO, None, self.target.container(ObjectType::FileNode, into));
            top.waits = wanted.iter().all(|one| one.waits);
            wanted.insert(0, top);
        }
        let (empty, wanted): (Vec<Wanted>, Vec<Wanted>) = wanted.into_iter().partition(|one| empty.contains(&one.id));
        for one in empty {
            self.report.of(ObjectType::FileNode).found += 1;
            self.report.fail(ObjectType::FileNode, 1, "its bytes are missing in the archive", one.draft.label);
        }
        self.stock.objects.insert(ObjectType::FileNode, wanted);
        Ok(())
    }
}

/// When a file was changed, in seconds since 1970; one without a date counts as of then.
pub(super) fn file_time(node: &FileNode<'_>) -> i64 {
    node.modified.as_deref().or(node.created.as_deref()).map_or(0, epoch)
}

/// An event counts from its start on; a series that began earlier may go on.
pub(super) fn is_event_in_time(selection: &Selection, data: &Value) -> bool {
    if !selection.is_dated() {
        return true;
    }
    let start = ["start", "due"].iter().find_map(|name| data.get(*name)?.as_str()).map(|start| format!("{start}Z"));
    let start = start.map_or(0, |start| epoch(&start));
    let recurs = ["recurrenceRule", "recurrenceRules", "recurrenceOverrides"].iter();
    let recurs = recurs.into_iter().any(|name| data.get(*name).is_some_and(|rule| !rule.is_null()));
    selection.is_in_time(start) || (recurs && selection.until.is_none_or(|until| start < until))
}

fn origins_of<'o>(origins: &'o HashMap<Id, Vec<Origin>>, record: &Record) -> &'o [Origin] {
    origins.get(&record.id).map(Vec::as_slice).unwrap_or_default()
}

/// The bytes of an object: its own, or those of its source.
fn blob_of(record: &Record) -> Option<BlobRef> {
    match record.kind {
        ObjectType::CalendarEvent | ObjectType::ContactCard => Some(BlobRef::Original(record.kind, record.id)),
        _ => record.blob.map(BlobRef::Blob),
    }
}

fn is_executable(origin: &Origin) -> bool {
    origin.keywords().iter().any(|keyword| keyword == EXECUTABLE)
}

/// A card's own uid, if the archive marked it since another card had that (`~` and eight digits of what it is at its source).
fn own_uid<'u>(uid: &'u str, origins: &[Origin]) -> Option<&'u str> {
    let (own, mark) = uid.rsplit_once('~')?;
    origins.iter().any(|origin| card_mark(origin.scope, &origin.key) == mark).then_some(own)
}

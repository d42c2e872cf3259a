//! Brings the index of an archive up to date: reads what is new, and takes out what was forgotten.

use super::index::{ITEMS, Index, Place};
use super::object;
use super::text::Words;
use crate::archive::{EmailBytes, EmailReader, Reader, Record};
use crate::error::{Error, ErrorKind, Result};
use crate::format::text::{Fields, fields, file_text};
use crate::model::{Id, ObjectType};
use crate::progress::{Progress, UNSEEN};
use rusqlite::params;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// A larger message is not read as a whole, but only its first [`START`] bytes.
const WHOLE_MAX: u64 = 16 << 20;
const START: u64 = 8 << 20;

/// A larger file of the user, or script, is found by its name only.
const FILE_MAX: u64 = 8 << 20;

/// So many bytes of words, or so many messages, go from the thread that reads to the one that writes at once.
const PARCEL_BYTES: usize = 1 << 20;
const PARCEL_MESSAGES: usize = 256;

/// So many messages go into one transaction: what a search that is stopped reads again.
const BATCH: usize = 16_384;

/// … or so long it lasts.
const BATCH_TIME: Duration = Duration::from_secs(2);

/// So many messages that could not be read are noted, to try again.
const UNREADABLE_MAX: usize = 10_000;

/// One message in so many is marked, to know an index of another archive by.
const MARKED: i64 = 512;

/// Messages that are read, on their way into the index.
/// Whether the words are all.
type Parcel = Result<Vec<(Id, Option<(Words, bool)>)>>;

/// What an index lacks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gaps {
    /// Messages that could not be read.
    pub unreadable: u64,
    /// Messages of which only the begin is searched.
    pub cut: u64,
}

/// Takes out of the index of an archive what was forgotten, if an index is kept.
///
/// Errors: those of [`catch_up`]; the next search does it, too.
pub fn tidy(archive: &Path) -> Result<()> {
    let reader = Arc::new(Reader::open(archive)?);
    if !Index::is_kept(reader.path()) {
        return Ok(());
    }
    let mut index = Index::open(reader.path(), &Place::Kept)?;
    catch_up(&reader, &mut index, &UNSEEN).map(drop)
}

/// Brings an index up to date with its archive. A damaged index, and one of another archive, is made anew.
///
/// Errors: [`ErrorKind::Interrupted`] if the user stops it; what was read until then is kept.
pub fn catch_up(reader: &Arc<Reader>, index: &mut Index, progress: &dyn Progress) -> Result<Gaps> {
    match try_catch_up(reader, index, progress) {
        Err(_) if index.is_damaged() => {
            index.start_over()?;
            try_catch_up(reader, index, progress)
        }
        result => result,
    }
}

/// Asks an index that is up to date. One that turns out to be damaged is made anew, and asked again.
///
/// Errors: those of [`catch_up`] and of `ask`.
pub fn ask_again_if_damaged<T>(
    reader: &Arc<Reader>,
    index: &mut Index,
    progress: &dyn Progress,
    ask: impl Fn(&Index) -> Result<T>,
) -> Result<T> {
    match ask(index) {
        Err(_) if index.is_damaged() => {
            index.start_over()?;
            try_catch_up(reader, index, progress)?;
            ask(index)
        }
        answer => answer,
    }
}

fn try_catch_up(reader: &Arc<Reader>, index: &mut Index, progress: &dyn Progress) -> Result<Gaps> {
    let stamp = reader.trace();
    let seen = stamp.as_ref().map(|stamp| format!("{stamp:?}")).unwrap_or_default();
    let may_be_told = stamp.is_some_and(|stamp| stamp.has_no_log());
    if may_be_told && index.noted("stamp")?.as_ref() == Some(&seen) {
        return gaps(index);
    }
    if !is_of(index, reader, &seen)? {
        index.start_over()?;
    }
    let snapshots = Snapshots::of(reader)?;
    let known = Snapshots::read(&index.noted("snapshots")?.unwrap_or_default());
    if snapshots.contradicts(&known) {
        index.start_over()?;
    }
    let has_forgotten = known.0.keys().any(|id| !snapshots.0.contains_key(id));
    if has_forgotten {
        remove_messages(reader, index)?;
    }
    read_again(reader, index)?;
    let has_more = add_messages(reader, index, progress)?;
    let has_changed = add_items(reader, index, &snapshots, has_forgotten)? || has_more || has_forgotten;
    if has_forgotten {
        index.shrink()?;
    }
    // While the archive is being written nothing can be said of its file, and the index is sealed in the end only.
    if has_changed || may_be_told || snapshots.0 != known.0 {
        index.begin()?;
        index.note("snapshots", &snapshots.write())?;
        index.note("stamp", if may_be_told { &seen } else { "" })?;
        index.commit()?;
    }
    if may_be_told {
        index.seal();
    }
    gaps(index)
}

/// The snapshots of an archive, each with its end; an empty one while the run lasts.
struct Snapshots(BTreeMap<i64, String>);

impl Snapshots {
    fn of(reader: &Reader) -> Result<Snapshots> {
        let all = reader.snapshots()?.into_iter().map(|one| (one.id, one.ended.unwrap_or_default()));
        Ok(Snapshots(all.collect()))
    }

    fn read(text: &str) -> Snapshots {
        let one = |text: &str| text.split_once('=').and_then(|(id, end)| Some((id.parse().ok()?, end.to_owned())));
        Snapshots(text.split(' ').filter_map(one).collect())
    }

    fn write(&self) -> String {
        self.0.iter().map(|(id, end)| format!("{id}={end} ")).collect()
    }

    /// True if a number is of another snapshot than it was: a copy of the archive went on in another way.
    fn contradicts(&self, known: &Snapshots) -> bool {
        known.0.iter().any(|(id, end)| !end.is_empty() && self.0.get(id).is_some_and(|own| own != end))
    }
}

fn gaps(index: &Index) -> Result<Gaps> {
    Ok(Gaps { unreadable: unreadable(index)?.len() as u64, cut: cut(index)? })
}

/// The messages that could not be read.
fn unreadable(index: &Index) -> Result<BTreeSet<Id>> {
    let noted = index.noted("unreadable")?.unwrap_or_default();
    Ok(noted.split_terminator(' ').filter_map(|id| id.parse().ok()).take(UNREADABLE_MAX).collect())
}

fn cut(index: &Index) -> Result<u64> {
    Ok(index.noted("cut")?.and_then(|count| count.parse().ok()).unwrap_or(0))
}

fn note_unreadable(index: &Index, ids: &BTreeSet<Id>) -> Result<()> {
    index.note("unreadable", &ids.iter().map(|id| format!("{id} ")).collect::<String>())
}

/// Reads once more what could not be read: the archive may have been repaired.
fn read_again(reader: &Arc<Reader>, index: &Index) -> Result<()> {
    let mut left = unreadable(index)?;
    if left.is_empty() {
        return Ok(());
    }
    index.begin()?;
    let mut emails = reader.open_emails();
    for id in left.clone() {
        match read_message(reader, &mut emails, id) {
            Ok(fields) => index.add(id, &Words::of_message(&fields).bounded().0)?,
            // It may be forgotten, too.
            Err(error) if error.kind == ErrorKind::Damaged && !reader.states(ObjectType::Email, id)?.is_empty() => {
                continue;
            }
            Err(error) if error.kind == ErrorKind::Damaged => index.remove(id)?,
            Err(error) => return Err(error),
        }
        left.remove(&id);
    }
    note_unreadable(index, &left)?;
    index.commit()
}

/// False for an index of another archive, or of one that 1.x has written to: that gives numbers twice.
fn is_of(index: &Index, reader: &Reader, seen: &str) -> Result<bool> {
    if !reader.has_index() && index.noted("stamp")?.is_some_and(|stamp| stamp != seen) {
        return Ok(false);
    }
    let sql = "SELECT email, digest FROM marks WHERE email IN (SELECT min(email) FROM marks UNION SELECT max(email) FROM marks)
               OR email % 7 = 0 ORDER BY email DESC LIMIT 16";
    let marks = index.rows(sql, [], |row| Ok((row.get::<_, Id>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
    let mut found = 0;
    for (email, digest) in &marks {
        match reader.email_blob(*email) {
            Ok(blob) if blob.digest.0[..8] == digest[..] => found += 1,
            Ok(_) => return Ok(false),
            // Forgotten since.
            Err(error) if error.kind == ErrorKind::Damaged => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found > 0 || marks.is_empty())
}

// --- messages --------------------------------------------------------------------------------------------------------

/// Adds new messages; false if there are none.
fn add_messages(reader: &Arc<Reader>, index: &Index, progress: &dyn Progress) -> Result<bool> {
    let last = index.noted("email")?.and_then(|text| text.parse().ok()).unwrap_or(0);
    let new = reader.ids_after(ObjectType::Email, last, 2 * PARCEL_MESSAGES)?;
    if new.is_empty() {
        return Ok(false);
    }
    let is_long = new.len() == 2 * PARCEL_MESSAGES;
    if is_long {
        progress.step("reading messages for the search index");
        progress.expect(ObjectType::Email.token(), reader.count_ids_after(ObjectType::Email, last)?);
    }
    thread::scope(|scope| {
        let (send, receive) = sync_channel(2);
        scope.spawn(move || read_messages(reader, last, &send));
        store_messages(reader, index, &receive, progress)
    })
    .map(|()| true)
}

/// Reads messages until there are no more, or nobody takes them.
fn read_messages(reader: &Arc<Reader>, mut last: Id, send: &SyncSender<Parcel>) {
    let mut emails = reader.open_emails();
    loop {
        let ids = match reader.ids_after(ObjectType::Email, last, 4_096) {
            Ok(ids) if ids.is_empty() => return,
            Ok(ids) => ids,
            Err(error) => return drop(send.send(Err(error))),
        };
        last = ids.last().copied().unwrap_or(last);
        let (mut parcel, mut bytes) = (Vec::new(), 0);
        for id in ids {
            let words = match read_message(reader, &mut emails, id) {
                Ok(fields) => Some(Words::of_message(&fields).bounded()),
                Err(error) if error.kind == ErrorKind::Damaged => None,
                Err(error) => return drop(send.send(Err(error))),
            };
            bytes += words.as_ref().map_or(0, |(words, _)| words.len());
            parcel.push((id, words));
            if bytes > PARCEL_BYTES || parcel.len() == PARCEL_MESSAGES {
                bytes = 0;
                if send.send(Ok(std::mem::take(&mut parcel))).is_err() {
                    return;
                }
            }
        }
        if send.send(Ok(parcel)).is_err() {
            return;
        }
    }
}

/// The text of a message by fields.
pub(super) fn read_message(reader: &Arc<Reader>, emails: &mut EmailReader, id: Id) -> Result<Fields> {
    match emails.bytes(id, WHOLE_MAX)? {
        EmailBytes::Whole(bytes) => Ok(fields(&bytes)),
        EmailBytes::Large(_) => Ok(fields(&reader.email_head(id, START)?)),
    }
}

fn store_messages(reader: &Reader, index: &Index, receive: &Receiver<Parcel>, progress: &dyn Progress) -> Result<()> {
    let (mut in_batch, mut begun) = (0, Instant::now());
    let (mut unreadable, mut cut) = (unreadable(index)?, cut(index)?);
    index.begin()?;
    for parcel in receive {
        for (id, words) in parcel? {
            if words.is_none() && unreadable.len() < UNREADABLE_MAX {
                unreadable.insert(id);
            }
            let (words, is_whole) = words.unwrap_or((Words::default(), true));
            cut += u64::from(!is_whole);
            index.add(id, &words)?;
            if id % MARKED == 1
                && let Ok(blob) = reader.email_blob(id)
            {
                index.mark(id, &blob.digest)?;
            }
            index.note("email", &id.to_string())?;
            progress.item(words.len() as u64);
            in_batch += 1;
        }
        note_unreadable(index, &unreadable)?;
        index.note("cut", &cut.to_string())?;
        // Other searches wait for a batch.
        if in_batch >= BATCH || begun.elapsed() > BATCH_TIME {
            (in_batch, begun) = (0, Instant::now());
            index.commit()?;
            index.begin()?;
        }
        if progress.interrupted() {
            index.commit()?;
            return Err(Error::new(ErrorKind::Interrupted, "interrupted while the search index was being made")
                .hint("the next search goes on from there"));
        }
    }
    if let Some(last) = index.noted("email")?.and_then(|text| text.parse().ok())
        && let Ok(blob) = reader.email_blob(last)
    {
        index.mark(last, &blob.digest)?;
    }
    index.commit()
}

/// Takes out the messages that the archive does not hold any more. An older copy of it may give their numbers again.
fn remove_messages(reader: &Reader, index: &Index) -> Result<()> {
    index.begin()?;
    let mut held_last = 0;
    let mut after = 0;
    loop {
        let sql = "SELECT id FROM heads_docsize WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT 8192";
        let indexed: Vec<Id> = index.rows(sql, params![after, ITEMS], |row| row.get(0))?;
        let Some(last) = indexed.last() else { break };
        let held: BTreeSet<Id> = {
            let mut held = BTreeSet::new();
            let mut from = after;
            while from < *last {
                let ids = reader.ids_after(ObjectType::Email, from, 8_192)?;
                from = ids.last().copied().unwrap_or(Id::MAX);
                held.extend(ids);
            }
            held
        };
        for id in indexed.iter().filter(|id| !held.contains(id)) {
            index.remove(*id)?;
        }
        held_last = held.range(..=*last).next_back().copied().unwrap_or(held_last);
        after = *last;
    }
    index.note("email", &held_last.to_string())?;
    index.commit()
}

// --- events, cards, files and scripts --------------------------------------------------------------------------------

/// Adds new states of events, cards, files and scripts; false if there are none.
fn add_items(reader: &Arc<Reader>, index: &Index, snapshots: &Snapshots, has_forgotten: bool) -> Result<bool> {
    let mut has_changed = false;
    // What a run that goes on has stored is not all of it, and one that was stopped has stored something, too.
    let ended = snapshots.0.last_key_value().filter(|(_, end)| !end.is_empty()).map(|(newest, _)| *newest);
    for kind in object::items() {
        let change = match ended {
            Some(newest) => reader.last_change(kind, newest)?.to_string(),
            None => String::new(),
        };
        let name = format!("changed {}", kind.name());
        if has_forgotten || change.is_empty() || index.noted(&name)?.as_ref() != Some(&change) {
            index.begin()?;
            update_items(reader, index, kind)?;
            index.note(&name, &change)?;
            index.commit()?;
            has_changed = true;
        }
    }
    Ok(has_changed)
}

fn update_items(reader: &Arc<Reader>, index: &Index, kind: ObjectType) -> Result<()> {
    let sql = "SELECT id, first, document FROM items WHERE kind = ?1";
    let known = index.rows(sql, [kind.name()], |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)))?;
    let mut known: HashMap<(Id, i64), i64> = known.into_iter().collect();
    let mut failure = None;
    let mut next = index.rows("SELECT max(document) FROM items", [], |row| row.get::<_, Option<i64>>(0))?;
    let mut next = next.pop().flatten().unwrap_or(ITEMS) + 1;
    reader.each_state(kind, |state| {
        let key = (state.record.id, state.record.first);
        if failure.is_some() || known.remove(&key).is_some() {
            return;
        }
        let added = item_words(reader, &state.record).and_then(|words| {
            let (words, _) = words.bounded();
            index.run(
                "INSERT OR REPLACE INTO items (document, kind, id, first) VALUES (?1, ?2, ?3, ?4)",
                params![next, kind.name(), key.0, key.1],
            )?;
            index.add(next, &words)
        });
        failure = added.err();
        next += 1;
    })?;
    if let Some(failure) = failure {
        return Err(failure);
    }
    known.into_values().try_for_each(|document| index.remove(document))
}

/// The words of an event, a card, a file or a script.
pub(super) fn item_words(reader: &Reader, record: &Record) -> Result<Words> {
    let is_wanted = match record.kind {
        ObjectType::FileNode => {
            let file = record.file_node();
            file_text(b"", &file.name, file.media_type.as_deref().unwrap_or_default()).is_some()
        }
        _ => true,
    };
    let bytes = match record.blob.filter(|_| is_wanted).map(|id| reader.blob(id)) {
        Some(Ok(blob)) if blob.size <= FILE_MAX => reader.whole(&blob).map(Some),
        Some(Err(error)) => Err(error),
        _ => Ok(None),
    };
    match bytes {
        Ok(bytes) => Ok(Words::of_item(record, bytes.as_deref())),
        // Its name is still known.
        Err(error) if error.kind == ErrorKind::Damaged => Ok(Words::of_item(record, None)),
        Err(error) => Err(error),
    }
}

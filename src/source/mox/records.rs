//! The records of an account: mailboxes, subscriptions, messages.

use super::database::Database;
use super::files::path_of;
use crate::error::Result;
use crate::format::bolt::{Bolt, BoltError, Value};
use crate::format::bstore::{BstoreError, Record, Schema, Shape, Table, Why, key_number, key_of};
use crate::model::{Attrs, Entry, ObjectType, SkipKind, SkippedItem};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::sync::Arc;

/// The names of all mailboxes, and what is held of keywords, are at most that long.
const LONGEST_NAMES: usize = 8 << 20;
const LONGEST_KEYWORDS: usize = 64 << 20;

const MAILBOX: [(&str, Shape); 7] = [
    ("Name", Shape::Bytes),
    ("Expunged", Shape::Bool),
    ("Archive", Shape::Bool),
    ("Draft", Shape::Bool),
    ("Junk", Shape::Bool),
    ("Sent", Shape::Bool),
    ("Trash", Shape::Bool),
];
/// Special uses (RFC 6154) in the order of the fields above.
const ROLES: [&str; 5] = ["\\Archive", "\\Drafts", "\\Junk", "\\Sent", "\\Trash"];
const NAME: usize = 0;
const FIRST_ROLE: usize = 2;

const MESSAGE: [(&str, Shape); 16] = [
    ("MailboxID", Shape::Number),
    ("Expunged", Shape::Bool),
    ("Received", Shape::Time),
    ("Size", Shape::Number),
    ("MsgPrefix", Shape::Bytes),
    ("Keywords", Shape::Texts),
    ("Seen", Shape::Bool),
    ("Answered", Shape::Bool),
    ("Flagged", Shape::Bool),
    ("Forwarded", Shape::Bool),
    ("Junk", Shape::Bool),
    ("Notjunk", Shape::Bool),
    ("Draft", Shape::Bool),
    ("Phishing", Shape::Bool),
    ("MDNSent", Shape::Bool),
    ("Deleted", Shape::Bool),
];
const MAILBOX_ID: usize = 0;
/// Of a mailbox, too.
const EXPUNGED: usize = 1;
const RECEIVED: usize = 2;
const SIZE: usize = 3;
const PREFIX: usize = 4;
const KEYWORDS: usize = 5;
const FIRST_FLAG: usize = 6;
const DELETED: usize = 15;
/// The keywords of JMAP (RFC 8621 section 4.1.1, and the registry of IMAP keywords) in the order of the flags above.
const FLAGS: [&str; 10] = [
    "$seen",
    "$answered",
    "$flagged",
    "$forwarded",
    "$junk",
    "$notjunk",
    "$draft",
    "$phishing",
    "$mdnsent",
    "$deleted",
];

/// A mailbox that is there.
pub(super) struct Mailbox {
    pub id: i64,
    pub name: String,
    /// Its special uses, in the order in which they count.
    pub uses: Vec<&'static str>,
    pub is_subscribed: bool,
}

fn schema_error(what: &str) -> BstoreError {
    BstoreError::Schema(what.to_owned())
}

/// All mailboxes, in the order of their numbers. One that cannot be decoded is an error: what lies in it would pass for gone.
pub(super) fn mailboxes(bolt: &Bolt<'_, File>) -> Result<Vec<Mailbox>, BstoreError> {
    let table = Table::open(bolt, "Mailbox", &MAILBOX)?.ok_or_else(|| schema_error("it has no mailboxes"))?;
    let mut mailboxes: Vec<Mailbox> = Vec::new();
    let mut length = 0;
    bolt.each::<BstoreError>(&table.records, &mut |key, value| {
        let refuse = |why: &str| BstoreError::Schema(format!("a mailbox cannot be read: {why}"));
        let id = key_number(key).ok_or_else(|| refuse("its number is none"))?;
        let Value::Bytes(value) = value else { return Err(refuse("it is too large")) };
        let record = table.schema.decode(value).map_err(refuse)?;
        if record.is_true(EXPUNGED) {
            return Ok(());
        }
        let name = String::from_utf8_lossy(record.bytes(NAME)).into_owned();
        length += name.len();
        if length > LONGEST_NAMES {
            return Err(schema_error("the names of its mailboxes are too long"));
        }
        let uses =
            (FIRST_ROLE..).zip(ROLES).filter(|(field, _)| record.is_true(*field)).map(|(_, role)| role).collect();
        mailboxes.push(Mailbox { id, name, uses, is_subscribed: true });
        Ok(())
    })?;
    // Without the type nothing is known of subscriptions.
    if let Some(table) = Table::open(bolt, "Subscription", &[])? {
        let places: HashMap<String, Vec<usize>> = mailboxes.iter_mut().enumerate().fold(
            HashMap::new(),
            |mut places: HashMap<String, Vec<usize>>, (at, mailbox)| {
                mailbox.is_subscribed = false;
                places.entry(mailbox.name.clone()).or_default().push(at);
                places
            },
        );
        bolt.each::<BstoreError>(&table.records, &mut |key, _| {
            // One of a mailbox that is not there is left after a mailbox was renamed.
            for at in places.get(&*String::from_utf8_lossy(key)).into_iter().flatten() {
                mailboxes[*at].is_subscribed = true;
            }
            Ok(())
        })?;
    }
    Ok(mailboxes)
}

/// A mailbox of which messages are wanted, or not.
pub(super) struct Wanted<'a> {
    /// The key of its container.
    pub key: &'a str,
    pub is_selected: bool,
}

/// What the mailboxes hold that a run takes.
pub(super) struct Messages {
    /// By number of the mailbox.
    of: HashMap<i64, InMailbox>,
    /// The numbers of all messages that are there, ascending.
    pub ids: Vec<i64>,
    /// Messages that are there and in no listing: known ones must not pass for gone.
    pub passed_over: Vec<i64>,
    /// How many of these lie in mailboxes that were made since the mailboxes were read.
    pub in_new_mailboxes: usize,
    broken: Vec<(String, Why)>,
}

#[derive(Default)]
struct InMailbox {
    entries: Vec<Entry>,
    /// Marked as deleted, and left out.
    deleted: Vec<i64>,
}

impl Messages {
    /// The messages of a mailbox, and the numbers of those that are left out; nothing if they were taken already.
    pub(super) fn take(&mut self, mailbox: Option<i64>) -> (Vec<Entry>, Vec<i64>) {
        let InMailbox { entries, deleted } = mailbox.and_then(|id| self.of.remove(&id)).unwrap_or_default();
        (entries, deleted)
    }

    /// Records that could not be read, by name.
    pub(super) fn omissions(&self) -> Vec<SkippedItem> {
        let failed = |(position, why): &(String, Why)| SkippedItem {
            kind: ObjectType::Email,
            reason: format!("a record of mox that cannot be read: {why}"),
            position: position.clone(),
            outcome: SkipKind::Failed,
        };
        self.broken.iter().map(failed).collect()
    }
}

/// All messages of the mailboxes that the run takes. `known` are all mailboxes that were there, by number.
pub(super) fn messages(
    bolt: &Bolt<'_, File>,
    known: &HashMap<i64, Wanted<'_>>,
    include_deleted: bool,
) -> Result<Messages, BstoreError> {
    let now: HashSet<i64> = mailboxes(bolt)?.into_iter().map(|mailbox| mailbox.id).collect();
    let mut found = Messages {
        of: HashMap::new(),
        ids: Vec::new(),
        passed_over: Vec::new(),
        in_new_mailboxes: 0,
        broken: Vec::new(),
    };
    let Some(table) = Table::open(bolt, "Message", &MESSAGE)? else { return Ok(found) };
    let mut attributes = Attributes::default();
    bolt.each::<BstoreError>(&table.records, &mut |key, value| {
        let Some(id) = key_number(key).filter(|id| *id > 0) else {
            found.broken.push((INDEX_SHOWN.to_owned(), "its number is none"));
            return Ok(());
        };
        let record = match value {
            Value::Bytes(value) => table.schema.decode(value),
            _ => Err("it is too large"),
        };
        let record = match record {
            Ok(record) if record.is_true(EXPUNGED) => return Ok(()),
            Ok(record) => record,
            Err(why) => {
                found.pass_over(id, why);
                return Ok(());
            }
        };
        let mailbox = record.number(MAILBOX_ID);
        let Some(folder) = known.get(&mailbox) else {
            if now.contains(&mailbox) {
                found.ids.push(id);
                found.passed_over.push(id);
                found.in_new_mailboxes += 1;
            } else {
                found.pass_over(id, "its mailbox is not there");
            }
            return Ok(());
        };
        found.ids.push(id);
        if !folder.is_selected {
            return Ok(());
        }
        let place = found.of.entry(mailbox).or_default();
        if record.is_true(DELETED) && !include_deleted {
            place.deleted.push(id);
        } else {
            let attrs = attributes.of(mailbox, folder.key, &record)?;
            place.entries.push(entry(id, &record, attrs));
        }
        Ok(())
    })?;
    Ok(found)
}

/// The database in messages about a record without a number.
const INDEX_SHOWN: &str = super::place::INDEX;

impl Messages {
    /// Takes note of a message that is there and cannot be listed.
    fn pass_over(&mut self, id: i64, why: Why) {
        self.ids.push(id);
        self.passed_over.push(id);
        self.broken.push((path_of(id), why));
    }
}

/// The revision is size, date and number; the locator is the length of what mox keeps in the record.
fn entry(id: i64, record: &Record<'_>, attrs: Arc<Attrs>) -> Entry {
    let size = record.number(SIZE).max(0);
    let date = match record.time(RECEIVED) {
        Some((seconds, nanoseconds)) => format!("{seconds}n{nanoseconds}"),
        None => "?".to_owned(),
    };
    Entry {
        key: id.to_string().into(),
        rev: format!("{size}.{date}.{id}").into(),
        locator: record.bytes(PREFIX).len().to_string().into(),
        attrs,
    }
}

/// The size and the date (seconds since 1970) that a revision names.
pub(super) fn size_and_date(rev: &str) -> (u64, Option<i64>) {
    let mut parts = rev.split('.');
    let size = parts.next().and_then(|size| size.parse().ok()).unwrap_or_default();
    let date = parts.next().and_then(|date| date.split('n').next()?.parse().ok());
    (size, date)
}

/// The mailbox of a message, its flags, its other keywords.
type Marks = (i64, u16, Vec<Box<[u8]>>);

/// Mailboxes and keywords of messages: many messages share them.
#[derive(Default)]
struct Attributes {
    known: HashMap<Marks, Arc<Attrs>>,
    length: usize,
}

impl Attributes {
    fn of(&mut self, mailbox: i64, parent: &str, record: &Record<'_>) -> Result<Arc<Attrs>, BstoreError> {
        let flags = (0..FLAGS.len()).filter(|at| record.is_true(FIRST_FLAG + at)).fold(0, |flags, at| flags | 1 << at);
        let own: Vec<Box<[u8]>> = record.texts(KEYWORDS).iter().map(|text| Box::from(*text)).collect();
        let length: usize = own.iter().map(|text| text.len() + 64).sum();
        let key = (mailbox, flags, own);
        if let Some(known) = self.known.get(&key) {
            return Ok(Arc::clone(known));
        }
        self.length += length;
        if self.length > LONGEST_KEYWORDS {
            return Err(schema_error("the keywords of its messages are too long"));
        }
        let set = (0..FLAGS.len()).filter(|at| flags & 1 << at != 0).map(|at| FLAGS[at].to_owned());
        let own = key.2.iter().map(|text| String::from_utf8_lossy(text).into_owned()).filter(|text| !text.is_empty());
        let mut keywords: Vec<String> = set.chain(own).collect();
        keywords.sort_unstable();
        keywords.dedup();
        let parents = vec![parent.to_owned()];
        let attrs = Arc::new(Attrs { of: ObjectType::Email.container(), keywords, parents });
        self.known.insert(key, Arc::clone(&attrs));
        Ok(attrs)
    }
}

/// A record as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Now {
    /// There is none.
    Missing,
    /// The message was expunged.
    Expunged,
    /// The message is there; its first bytes are these.
    There(Vec<u8>),
    /// It cannot be read.
    Broken(Why),
}

/// Looks records up, one by one, in the newest state.
#[derive(Default)]
pub(super) struct Records {
    /// How they are decoded, as far as that is known.
    schema: Option<Schema>,
}

impl Records {
    /// The record of each of these messages.
    pub(super) fn find(&mut self, database: &Database, ids: &[i64]) -> Result<Vec<Now>> {
        if let Some(schema) = &self.schema {
            let found = database.read(&|bolt| find(bolt, schema, ids))?.0;
            // Another version of mox may have written another schema since.
            if !found.iter().any(|now| matches!(now, Now::Broken(_))) {
                return Ok(found);
            }
        }
        let (found, schema) = database
            .read(&|bolt| match Table::open(bolt, "Message", &MESSAGE)? {
                Some(table) => Ok((find(bolt, &table.schema, ids)?, Some(table.schema))),
                None => Ok((vec![Now::Missing; ids.len()], None)),
            })?
            .0;
        self.schema = schema;
        Ok(found)
    }
}

fn find(bolt: &Bolt<'_, File>, schema: &Schema, ids: &[i64]) -> Result<Vec<Now>, BstoreError> {
    let bucket = bolt.bucket(&bolt.root(), "Message")?;
    let records = bucket.map(|bucket| bolt.bucket(&bucket, "records")).transpose()?.flatten();
    let Some(records) = records else { return Ok(vec![Now::Missing; ids.len()]) };
    let find = |id: &i64| {
        let now = bolt.get(&records, &key_of(*id), |value| match value {
            Value::Bytes(value) => match schema.decode(value) {
                Ok(record) if record.is_true(EXPUNGED) => Now::Expunged,
                Ok(record) => Now::There(record.bytes(PREFIX).to_vec()),
                Err(why) => Now::Broken(why),
            },
            _ => Now::Broken("it is too large"),
        })?;
        Ok::<Now, BoltError>(now.unwrap_or(Now::Missing))
    };
    Ok(ids.iter().map(find).collect::<Result<_, BoltError>>()?)
}

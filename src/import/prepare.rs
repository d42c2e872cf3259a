//! Fetching and hashing on one thread while the other writes: in order, within a bounded amount of memory.

use crate::archive::NewBlob;
use crate::error::Error;
use crate::format::{jscal, jscard, mail};
use crate::model::objects::{CalendarEvent, Identity, ParticipantIdentity, Properties, VacationResponse};
use crate::model::{Blobs, Body, Digest, ItemData, Node};
use crate::source::{Failure, Items};
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

/// Bytes that may wait for the writer.
const IN_FLIGHT: u64 = 12 << 20;

/// Items that may wait for the writer; two more are on their way in and out.
const QUEUE: usize = 60;

/// An item that only has to be written.
pub struct Prepared {
    /// Its key in its scope ([`crate::model::Entry::key`]).
    pub key: Box<str>,
    /// What goes into the archive as a blob.
    pub bytes: Bytes,
    /// Bytes of the item itself, and of the blobs that its JSON refers to.
    pub size: u64,
    /// Of the item's own bytes.
    pub digest: Digest,
    /// What goes into its row.
    pub content: Content,
}

impl Prepared {
    /// What is to be said of the item beside that it is stored. `claimed` is the size that its name says it has.
    pub fn remark(&self, claimed: Option<u64>) -> Option<String> {
        match &self.content {
            Content::Email { headless: Some(why), .. } => Some((*why).to_owned()),
            Content::Email { .. } if claimed.is_some_and(|claimed| self.size < claimed) => {
                Some("shorter than its name says (S=)".to_owned())
            }
            Content::Event { remark, .. } | Content::Card { remark, .. } => remark.clone(),
            _ => None,
        }
    }
}

/// The bytes to store.
pub enum Bytes {
    /// Bytes that are the item's alone.
    Whole(NewBlob),
    /// Ranges of something that several items share.
    Part {
        /// The shared bytes, stored once.
        whole: Arc<Vec<u8>>,
        /// JSON array of `[start, end]` in bytes, the end excluded (FORMAT.md, `originals`).
        ranges: String,
    },
    /// No bytes: the item is all in its [`Content`].
    Absent,
}

/// What the row needs, read from the bytes or given by the source.
pub enum Content {
    /// A message (RFC 5322).
    Email {
        /// Arrival, in seconds since 1970.
        received: i64,
        /// What recognises it in another account (FORMAT.md, `message_match`).
        message_match: String,
        /// Why it is no message, if it has no header.
        headless: Option<&'static str>,
    },
    /// A calendar object in iCalendar, converted to JSCalendar.
    Event {
        /// Of the item within its file ([`crate::format::ics::CalendarObject::uid`]).
        uid: String,
        /// Without its calendars.
        event: CalendarEvent<'static>,
        /// Why the conversion is not complete, if it is not.
        remark: Option<String>,
    },
    /// A vCard, converted to JSContact.
    Card {
        /// Of the card within its file.
        uid: String,
        /// JSContact (RFC 9553), as JSON.
        data: String,
        /// Why the conversion is not complete, if it is not.
        remark: Option<String>,
    },
    /// A Sieve script (RFC 5228).
    Script {
        /// The name that the server has it under.
        name: String,
        /// The one script that filters the mail.
        is_active: bool,
    },
    /// A plain file.
    File {
        /// Without its directory.
        name: String,
        /// Media type (RFC 2046), if the source says one.
        media_type: Option<String>,
        /// In seconds since 1970.
        modified: Option<i64>,
    },
    /// A card that a JMAP server gave as JSContact.
    JsCard {
        /// The card's own `uid` (RFC 9553 2.1.9).
        uid: String,
        /// Without `id`, `uid` and `addressBookIds`.
        data: serde_json::Value,
        /// Photos, logos and sounds in it.
        blobs: Media,
    },
    /// An event or a task that a JMAP server gave as JSCalendar.
    JsEvent {
        /// The object's own `uid` (RFC 8984 4.1.2).
        uid: String,
        /// Without its calendars and its data.
        event: CalendarEvent<'static>,
        /// Without what has columns of its own (FORMAT.md, `calendar_events`).
        data: serde_json::Value,
        /// Attachments that its links refer to.
        blobs: Media,
    },
    /// A file or a link of a JMAP server (draft-ietf-jmap-filenode).
    Node(Box<Node>),
    /// An object without bytes: an identity, a participant identity, a vacation response.
    Plain(Box<Properties<'static>>),
}

/// Blobs that a JSON object refers to, by the `blobId` of the source.
pub type Media = Vec<(String, NewBlob)>;

/// What happens on the thread that writes.
pub enum Step {
    /// The items are being fetched, and none has come yet: time for something else.
    Begun,
    /// The next item of the fetch, ready to be written or failed.
    Item(Box<Result<Prepared, Failure>>),
}

/// Runs `items` on a thread of its own and hands each ready item to `each`, which says whether to go on.
pub fn run(items: Items<'_>, mut each: impl FnMut(Step) -> bool) {
    let gate = ByteBudget::default();
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(QUEUE);
        let gate = &gate;
        scope.spawn(move || {
            for item in items {
                let ready = item.and_then(|item| {
                    let key = item.key.clone();
                    prepare(item.key, item.body, item.data).map_err(|error| Failure { key, vanished: false, error })
                });
                gate.enter(ready.as_ref().map_or(0, |ready| ready.size));
                if sender.send(ready).is_err() {
                    break;
                }
            }
        });
        drain(receiver, gate, &mut each);
    });
}

fn drain(receiver: Receiver<Result<Prepared, Failure>>, gate: &ByteBudget, each: &mut impl FnMut(Step) -> bool) {
    if !each(Step::Begun) {
        return gate.open();
    }
    for ready in &receiver {
        let size = ready.as_ref().map_or(0, |ready| ready.size);
        let go_on = each(Step::Item(Box::new(ready)));
        gate.leave(size);
        if !go_on {
            gate.open();
            return;
        }
    }
}

/// Hashes and reads what an archive row needs to know.
fn prepare(key: Box<str>, body: Body, data: ItemData) -> Result<Prepared, Error> {
    let spool = |error| Error::io("cannot read back spooled bytes", error);
    let (mut bytes, assembled) = match body {
        Body::Bytes(bytes) => match data {
            // Conversion wants the bytes, storing wants to own them.
            ItemData::Event { .. } | ItemData::Card { .. } => {
                (Bytes::Whole(NewBlob::from_bytes(bytes.clone())), Some(bytes))
            }
            _ => (Bytes::Whole(NewBlob::from_bytes(bytes)), None),
        },
        Body::File(file) => (Bytes::Whole(NewBlob::from_file(file).map_err(spool)?), None),
        Body::Absent => (Bytes::Absent, None),
        Body::Part { whole, ranges } => {
            let assembled: Vec<u8> = ranges
                .iter()
                .flat_map(|range| whole.get(range.start as usize..range.end as usize).unwrap_or_default())
                .copied()
                .collect();
            let list: Vec<[u64; 2]> = ranges.iter().map(|range| [range.start, range.end]).collect();
            let ranges = serde_json::to_string(&list).unwrap_or_default();
            (Bytes::Part { whole, ranges }, Some(assembled))
        }
    };
    let (mut size, digest) = match (&bytes, &assembled) {
        (Bytes::Absent, _) => (0, Digest::default()),
        (Bytes::Whole(blob), _) => (blob.size(), blob.digest()),
        (Bytes::Part { .. }, assembled) => {
            let own = assembled.as_deref().unwrap_or_default();
            (own.len() as u64, Digest::of(own))
        }
    };
    let content = content(&mut bytes, assembled.unwrap_or_default(), data, &mut size).map_err(spool)?;
    Ok(Prepared { key, bytes, size, digest, content })
}

/// Reads what a row of this type needs to know. `assembled` are the bytes of an event or a card, or those of a part.
fn content(bytes: &mut Bytes, assembled: Vec<u8>, data: ItemData, size: &mut u64) -> std::io::Result<Content> {
    let plain = |object| Content::Plain(Box::new(object));
    Ok(match data {
        ItemData::Email { received, fallback } => {
            let head = match bytes {
                Bytes::Whole(blob) => blob.head(mail::HEAD_MAX)?,
                Bytes::Part { .. } | Bytes::Absent => assembled,
            };
            let summary = mail::summary(&head);
            let received = received.or(summary.date).unwrap_or(fallback);
            let headless = summary.headless(&head);
            Content::Email { received, message_match: summary.message_match, headless }
        }
        ItemData::Event { uid, data_type } => {
            let converted = jscal::to_jscalendar(&assembled, &uid, data_type);
            let (data, data_type) = (converted.data.to_string().into(), data_type.name().into());
            let event = CalendarEvent { data, data_type, ..CalendarEvent::default() };
            Content::Event { uid, event, remark: converted.problem }
        }
        ItemData::Card { uid } => {
            let converted = jscard::to_jscontact(&assembled);
            Content::Card { uid, data: converted.data.to_string(), remark: converted.problem }
        }
        ItemData::Script { name, is_active } => Content::Script { name, is_active },
        ItemData::File { name, media_type, modified } => Content::File { name, media_type, modified },
        ItemData::JsCard { uid, data, blobs } => Content::JsCard { uid, data, blobs: media(blobs, size)? },
        ItemData::JsEvent { uid, data, data_type, is_draft, use_default_alerts, blobs } => {
            let blobs = media(blobs, size)?;
            let data_type = data_type.name().into();
            let event = CalendarEvent { is_draft, use_default_alerts, data_type, ..CalendarEvent::default() };
            Content::JsEvent { uid, event, data, blobs }
        }
        ItemData::Node(node) => Content::Node(node),
        ItemData::Identity { name, email, reply_to, bcc, text_signature, html_signature } => {
            plain(Properties::Identity(Identity {
                name: name.into(),
                email: email.into(),
                reply_to: reply_to.map(Into::into),
                bcc: bcc.map(Into::into),
                text_signature: text_signature.into(),
                html_signature: html_signature.into(),
            }))
        }
        ItemData::ParticipantIdentity { name, calendar_address, is_default } => {
            plain(Properties::ParticipantIdentity(ParticipantIdentity {
                name: name.into(),
                calendar_address: calendar_address.into(),
                is_default,
            }))
        }
        ItemData::VacationResponse { is_enabled, from_date, to_date, subject, text_body, html_body } => {
            plain(Properties::VacationResponse(VacationResponse {
                is_enabled,
                from_date: from_date.map(Into::into),
                to_date: to_date.map(Into::into),
                subject: subject.map(Into::into),
                text_body: text_body.map(Into::into),
                html_body: html_body.map(Into::into),
            }))
        }
    })
}

fn media(blobs: Blobs, size: &mut u64) -> std::io::Result<Media> {
    let mut media = Media::new();
    for (id, body) in blobs {
        let blob = match body {
            Body::Bytes(bytes) => NewBlob::from_bytes(bytes),
            Body::File(file) => NewBlob::from_file(file)?,
            Body::Part { .. } | Body::Absent => continue,
        };
        *size += blob.size();
        media.push((id, blob));
    }
    Ok(media)
}

/// Lets bytes in as long as not too many wait; one item alone always gets in.
#[derive(Default)]
struct ByteBudget {
    waiting: Mutex<u64>,
    changed: Condvar,
    opened: std::sync::atomic::AtomicBool,
}

impl ByteBudget {
    fn enter(&self, size: u64) {
        let mut waiting = self.waiting.lock();
        let is_open = || self.opened.load(std::sync::atomic::Ordering::Acquire);
        self.changed.wait_while(&mut waiting, |waiting| *waiting > 0 && *waiting + size > IN_FLIGHT && !is_open());
        *waiting += size;
    }

    fn leave(&self, size: u64) {
        *self.waiting.lock() -= size;
        self.changed.notify_all();
    }

    /// The writer takes no more items: the other thread may go on, and finds its channel closed.
    fn open(&self) {
        self.opened.store(true, std::sync::atomic::Ordering::Release);
        drop(self.waiting.lock());
        self.changed.notify_all();
    }
}

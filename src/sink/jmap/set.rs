//! Everything that is no message: `/set`, with the bytes that objects refer to, and a second try where a server takes an
//! object but for some property.

use super::account::Jmap;
use super::outcome::{reason, refused, tell_in_order};
use super::request::{BLOB, Request, blob_of};
use super::upload::Uploads;
use crate::error::{Error as Failure, ErrorKind, Result};
use crate::format::convert::inline_blobs;
use crate::format::jmap::{self, Object};
use crate::model::{Id, ObjectType};
use crate::protocol::jmap::{Content, Error, MethodError, SetRequest};
use crate::sink::{BlobProvider, Outcome};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// About so many bytes of JSON stand in one request.
const SUM_MAX: usize = 1 << 20;

/// Properties without which an object is not that object: it is refused rather than stored without one.
const NEEDED: [&str; 21] = [
    "id",
    // A series without them is another one: days that were cancelled come back.
    "recurrenceRule",
    "recurrenceRules",
    "excludedRecurrenceRules",
    "recurrenceOverrides",
    // A group without its members is none.
    "members",
    "calendarAddress",
    "name",
    "email",
    "blobId",
    "mailboxIds",
    "keywords",
    "calendarIds",
    "addressBookIds",
    "parentId",
    "uid",
    "@type",
    "version",
    "start",
    "nodeType",
    "target",
];

/// A change on its way.
struct Piece {
    at: usize,
    change: Request,
    /// What the server would not take of it.
    remark: Option<String>,
    /// Bytes stand in the object itself, and not beside it.
    is_inline: bool,
    attempts: u8,
    /// What the server had against it the first time: that is the true reason where leaving out a property did not help.
    refusal: Option<String>,
}

impl Jmap {
    pub(super) async fn write_all(
        &self,
        kind: ObjectType,
        changes: &mut dyn Iterator<Item = (usize, Request)>,
        batch: usize,
        supply: &dyn BlobProvider,
        told: &mut dyn FnMut(usize, Outcome),
    ) -> Result<()> {
        let mut changes = changes.peekable();
        if kind == ObjectType::Email && matches!(changes.peek(), Some((_, Request::Create(_)))) {
            return self.import_all(&mut changes, batch, supply, told).await;
        }
        let limits = self.client.limits();
        let (most, sum_max) = (batch.min(limits.max_objects_in_set), SUM_MAX.min(limits.max_size_request / 2));
        // What depends on each other (a mailbox and its parent, a name that becomes free) never stands in one call of
        // `write`, so its parts may go in parallel; but a server that is asked to remove things is asked in order.
        // So are creations, which name the state that the type has to be in.
        let is_in_order = matches!(changes.peek(), Some((_, Request::Destroy(_) | Request::Create(_))));
        let width = if is_in_order { 1 } else { limits.max_concurrent_requests.min(4) };
        let is_broken = std::cell::Cell::new(false);
        let batches = std::iter::from_fn(|| {
            let (mut pieces, mut sum) = (Vec::new(), 0);
            while !is_broken.get() && pieces.len() < most.max(1) && sum < sum_max {
                let Some((at, change)) = changes.next() else { break };
                sum += size_of(&change);
                pieces.push(Piece { at, change, remark: None, is_inline: false, attempts: 0, refusal: None });
            }
            (!pieces.is_empty()).then_some(pieces)
        });
        let work = batches.map(|pieces| self.write_some(kind, pieces, supply, &is_broken));
        tell_in_order(width, work, told).await
    }

    async fn write_some(
        &self,
        kind: ObjectType,
        mut pieces: Vec<Piece>,
        supply: &dyn BlobProvider,
        is_broken: &std::cell::Cell<bool>,
    ) -> Result<Vec<(usize, Outcome)>> {
        let mut outcomes = Vec::new();
        while !pieces.is_empty() {
            pieces = self.write_once(kind, pieces, supply, is_broken, &mut outcomes).await?;
        }
        Ok(outcomes)
    }

    /// Sends a batch. Gives those that are worth another try.
    async fn write_once(
        &self,
        kind: ObjectType,
        pieces: Vec<Piece>,
        supply: &dyn BlobProvider,
        is_broken: &std::cell::Cell<bool>,
        outcomes: &mut Vec<(usize, Outcome)>,
    ) -> Result<Vec<Piece>> {
        let uploads = self.uploads_of(kind, &pieces, supply).await?;
        let mut request = SetRequest::default();
        let mut sent: BTreeMap<String, Piece> = BTreeMap::new();
        for piece in pieces {
            let name = match &piece.change {
                Request::Create(_) => format!("k{}", piece.at),
                Request::Update(id, _) | Request::Destroy(id) => id.clone(),
            };
            let object = match &piece.change {
                Request::Create(object) | Request::Update(_, object) => object,
                Request::Destroy(_) => {
                    request.destroy.push(name.clone());
                    sent.insert(name, piece);
                    continue;
                }
            };
            match with_blobs(kind, object, piece.is_inline, &uploads, supply) {
                Ok(object) => match &piece.change {
                    Request::Create(_) => request.create.push((name.clone(), Value::Object(object))),
                    _ => request.update.push((name.clone(), Value::Object(object))),
                },
                Err(outcome) => {
                    outcomes.push((piece.at, outcome));
                    continue;
                }
            }
            sent.insert(name, piece);
        }
        if sent.is_empty() {
            return Ok(Vec::new());
        }
        let count = sent.len();
        let (result, done) = self.set_cautiously(kind, request).await;
        let rest = match done {
            Ok(()) => Outcome::Unknown("the answer does not name it".to_owned()),
            Err(error) => {
                is_broken.set(is_broken.get() || matches!(error, Error::Line(_)));
                self.without_answer(error, count)?
            }
        };
        for (name, created) in &result.created {
            if let (Some(piece), Some(id)) = (sent.remove(name), created.get("id").and_then(Value::as_str)) {
                outcomes.push((piece.at, Outcome::Done(id.to_owned(), piece.remark)));
            }
        }
        for id in result.updated.iter().chain(&result.destroyed) {
            if let Some(piece) = sent.remove(id) {
                outcomes.push((piece.at, Outcome::Done(id.clone(), piece.remark)));
            }
        }
        let mut again = Vec::new();
        for (name, error) in &result.failed {
            let Some(mut piece) = sent.remove(name) else { continue };
            piece.attempts += 1;
            let said = piece.refusal.get_or_insert_with(|| reason(error)).clone();
            let is_gone = error.kind == "notFound";
            match &piece.change {
                Request::Destroy(id) if is_gone => outcomes.push((piece.at, Outcome::Done(id.clone(), None))),
                // Another program removed it: the next look finds it missing.
                Request::Update(..) if is_gone => outcomes.push((piece.at, Outcome::Unknown(reason(error)))),
                _ => match piece.attempts < 3 && piece.without(error) {
                    true => again.push(piece),
                    false => outcomes.push((piece.at, with_first(refused(error), &said))),
                },
            }
        }
        outcomes.extend(sent.into_values().map(|piece| (piece.at, rest.clone())));
        Ok(again)
    }

    /// Uploads what a batch refers to.
    async fn uploads_of(
        &self,
        kind: ObjectType,
        pieces: &[Piece],
        supply: &dyn BlobProvider,
    ) -> Result<Uploads, Failure> {
        let mut wanted: BTreeMap<String, BTreeSet<Id>> = BTreeMap::new();
        for piece in pieces.iter().filter(|piece| !piece.is_inline) {
            if let Request::Create(object) | Request::Update(_, object) = &piece.change {
                let object = Value::Object(object.clone());
                visit_blobs(kind, &object, &mut |blob, media_type| {
                    wanted.entry(media_type.to_owned()).or_default().insert(blob);
                });
            }
        }
        let is_streamed = pieces.iter().any(|piece| piece.attempts > 0);
        let mut uploads = Uploads::new();
        for (media_type, blobs) in wanted {
            uploads.extend(self.upload_all(&blobs, &media_type, supply, is_streamed).await?);
        }
        Ok(uploads)
    }

    /// `onSuccessSetIsDefault` (RFC 9610 section 2.3, draft-ietf-jmap-calendars section 4.3) or `onSuccessActivateScript`
    /// (RFC 9661 section 2.4).
    pub(super) async fn choose_one(
        &self,
        kind: ObjectType,
        id: Option<&str>,
    ) -> Result<std::result::Result<(), String>> {
        let mut request = SetRequest::default();
        let (name, value) = match (kind, id) {
            (ObjectType::SieveScript, Some(id)) => ("onSuccessActivateScript", json!(id)),
            (ObjectType::SieveScript, None) => ("onSuccessDeactivateScript", json!(true)),
            (_, Some(id)) => ("onSuccessSetIsDefault", json!(id)),
            (_, None) => return Ok(Ok(())),
        };
        request.arguments.insert(name.to_owned(), value);
        match self.set_cautiously(kind, request).await.1 {
            Ok(()) => Ok(Ok(())),
            Err(Error::Method(error)) => Ok(Err(reason(&error))),
            Err(Error::Line(error)) if error.kind == ErrorKind::Connection => Ok(Err(error.to_string())),
            Err(Error::Line(error)) => Err(error),
        }
    }
}

impl Piece {
    /// Leaves out what the server refuses, if the object is worth something without it. False if nothing can be done.
    fn without(&mut self, error: &MethodError) -> bool {
        let is_lost = error.kind == "blobNotFound";
        let (Request::Create(object) | Request::Update(_, object)) = &mut self.change else { return false };
        if is_lost {
            return self.attempts == 1;
        }
        if error.kind != "invalidProperties" || error.properties.is_empty() {
            return false;
        }
        let names: BTreeSet<&str> =
            error.properties.iter().map(|path| path.split('/').next().unwrap_or_default()).collect();
        if names.iter().any(|name| NEEDED.contains(name)) {
            return false;
        }
        // Photos and attachments that it does not want beside the object may stand in it.
        if !self.is_inline && names.iter().any(|name| matches!(*name, "media" | "links")) {
            self.is_inline = true;
            return true;
        }
        let before = object.len();
        object.retain(|name, _| !names.contains(name.split('/').next().unwrap_or_default()));
        if object.len() == before || object.is_empty() {
            return false;
        }
        let left_out: Vec<&str> = names.into_iter().collect();
        self.remark = Some(format!("without {}: {}", left_out.join(", "), reason(error)));
        true
    }
}

/// A refusal with what the server had said first, if that was something else.
fn with_first(outcome: Outcome, first: &str) -> Outcome {
    match outcome {
        Outcome::Refused(reason) if reason != first => Outcome::Refused(format!("{reason}; at first: {first}")),
        outcome => outcome,
    }
}

fn size_of(change: &Request) -> usize {
    match change {
        Request::Create(object) | Request::Update(_, object) => {
            serde_json::to_vec(object).map_or(0, |bytes| bytes.len()) + 64
        }
        Request::Destroy(id) => id.len() + 8,
    }
}

/// True for a place in an object in which JMAP has `blobId`: at the top of files and scripts, in the media of a card (RFC
/// 9610 section 3), in the links of an event (draft-ietf-jmap-calendars section 5).
fn takes_blob(kind: ObjectType, path: &[&str]) -> bool {
    match kind {
        ObjectType::ContactCard => matches!(path, ["media", _]),
        ObjectType::CalendarEvent => matches!(path, [.., "links", _]),
        _ => path.is_empty(),
    }
}

/// Visits the blobs that are to be uploaded, with their media types.
fn visit_blobs(kind: ObjectType, object: &Value, visit: &mut dyn FnMut(Id, &str)) {
    fn walk(kind: ObjectType, value: &Value, path: &mut Vec<String>, visit: &mut dyn FnMut(Id, &str)) {
        match value {
            Value::Object(map) => {
                let place: Vec<&str> = path.iter().map(String::as_str).collect();
                if let Some(blob) = map.get(BLOB).and_then(Value::as_i64).filter(|_| takes_blob(kind, &place)) {
                    let media_type =
                        ["mediaType", "contentType", "type"].iter().find_map(|name| map.get(*name)?.as_str());
                    let media_type = media_type.and_then(jmap::media_type);
                    visit(blob, media_type.as_deref().unwrap_or("application/octet-stream"));
                }
                for (name, value) in map {
                    path.push(name.clone());
                    walk(kind, value, path, visit);
                    path.pop();
                }
            }
            Value::Array(list) => list.iter().for_each(|value| walk(kind, value, path, visit)),
            _ => {}
        }
    }
    walk(kind, object, &mut Vec::new(), visit);
}

/// The object with `blobId` in the place of what was uploaded, and `data:` URIs in the place of other bytes.
fn with_blobs(
    kind: ObjectType,
    object: &Object,
    is_inline: bool,
    uploads: &Uploads,
    supply: &dyn BlobProvider,
) -> std::result::Result<Object, Outcome> {
    fn walk(
        kind: ObjectType,
        value: &mut Value,
        path: &mut Vec<String>,
        uploads: &Uploads,
    ) -> std::result::Result<(), Outcome> {
        match value {
            Value::Object(map) => {
                let place: Vec<&str> = path.iter().map(String::as_str).collect();
                if takes_blob(kind, &place)
                    && let Some(blob) = map.get(BLOB).and_then(Value::as_i64)
                {
                    let unknown = || Err(Outcome::Unknown("it was not uploaded".to_owned()));
                    let id = uploads.get(&blob).cloned().unwrap_or_else(unknown)?;
                    map.remove(BLOB);
                    map.insert("blobId".to_owned(), Value::String(id));
                }
                for (name, value) in map.iter_mut() {
                    path.push(name.clone());
                    walk(kind, value, path, uploads)?;
                    path.pop();
                }
                Ok(())
            }
            Value::Array(list) => list.iter_mut().try_for_each(|value| walk(kind, value, path, uploads)),
            _ => Ok(()),
        }
    }
    let mut value = Value::Object(object.clone());
    if !is_inline {
        walk(kind, &mut value, &mut Vec::new(), uploads)?;
    }
    let key = if kind == ObjectType::ContactCard { "uri" } else { "href" };
    let bytes = |blob: i64| read(supply, blob);
    inline_blobs(&mut value, key, &bytes, &mut (16 << 20)).map_err(|error| Outcome::Refused(error.to_string()))?;
    match value {
        Value::Object(object) => Ok(object),
        _ => Err(Outcome::Refused("it is no object".to_owned())),
    }
}

fn read(supply: &dyn BlobProvider, blob: Id) -> Option<Vec<u8>> {
    match supply.open(blob_of(blob)).ok()? {
        Content::Bytes(bytes) => Some(bytes.to_vec()),
        Content::Read(source, size) => {
            let mut bytes = vec![0; usize::try_from(size).ok().filter(|size| *size <= 16 << 20)?];
            let mut offset = 0;
            while offset < bytes.len() {
                match source.read_at(&mut bytes[offset..], offset as u64).ok()? {
                    0 => return None,
                    count => offset += count,
                }
            }
            Some(bytes)
        }
    }
}

//! Messages: many at a time into one `Email/import`, several of them under way at once.

use super::account::Jmap;
use super::outcome::{reason, refused, tell_in_order};
use super::request::{BLOB, Request, blob_of};
use super::upload::blob_name;
use crate::error::Result;
use crate::format::jmap::Object;
use crate::format::mail::{bare_newlines, with_crlf};
use crate::model::{Digest, Id};
use crate::protocol::jmap::{Content, Error, Inline, MethodError, SMALL_SUM, SetResult};
use crate::sink::{BlobProvider, BlobRef, Outcome};
use serde_json::Value;
use std::cell::Cell;
use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::Ordering;

/// Bytes of messages in one request, so that a handful of requests fit into memory several times over.
const SUM_MAX: u64 = SMALL_SUM;

/// Messages in one request: if the line breaks, the outcome of at most so many is unknown.
const COUNT_MAX: usize = 100;

/// A message to be imported.
struct Import {
    at: usize,
    blob: Id,
    object: Object,
    size: u64,
}

/// A message in a request.
struct Sent {
    import: Import,
    /// Its bytes go with the request.
    is_inline: bool,
}

/// How a batch is sent.
struct Round<'a> {
    supply: &'a dyn BlobProvider,
    is_second: bool,
    /// The size of the smallest message that the account had no room for.
    full: &'a Cell<u64>,
    /// A line broke: nothing new begins.
    is_broken: &'a Cell<bool>,
}

impl Jmap {
    /// Imports messages (RFC 8621 section 4.8).
    pub(super) async fn import_all(
        &self,
        changes: &mut dyn Iterator<Item = (usize, Request)>,
        batch: usize,
        supply: &dyn BlobProvider,
        told: &mut dyn FnMut(usize, Outcome),
    ) -> Result<()> {
        let limits = self.client.limits();
        let most = batch.min(limits.max_objects_in_set).min(COUNT_MAX);
        // The smallest message that the account had no room for, and whether a line broke: then nothing new begins.
        let (full, is_broken) = (Cell::new(u64::MAX), Cell::new(false));
        let mut waiting = Waiting { changes, supply, held: None };
        // Whether the server finds blobs in the request that imports them is tried with one message: a server that counts
        // uploads would count a whole batch that it does not find.
        if self.inline.is_some() && !self.has_tried_inline.swap(true, Ordering::Relaxed) {
            let Some(first) = waiting.batch(1) else { return Ok(()) };
            self.import(first, supply, &full, &is_broken)
                .await?
                .into_iter()
                .for_each(|(at, outcome)| told(at, outcome));
        }
        let batches = std::iter::from_fn(|| if is_broken.get() { None } else { waiting.batch(most) });
        let work = batches.map(|batch| self.import(batch, supply, &full, &is_broken));
        tell_in_order(limits.max_concurrent_requests.min(8), work, told).await
    }

    async fn import(
        &self,
        (mut batch, mut outcomes): Batch,
        supply: &dyn BlobProvider,
        full: &Cell<u64>,
        is_broken: &Cell<bool>,
    ) -> Result<Vec<(usize, Outcome)>> {
        let mut refused = Vec::new();
        for is_second in [false, true] {
            let (fitting, larger): (Vec<_>, Vec<_>) = batch.into_iter().partition(|import| import.size < full.get());
            outcomes.extend(larger.into_iter().map(|import| {
                (import.at, Outcome::Full("overQuota: not sent, since a smaller one did not fit".to_owned()))
            }));
            if fitting.is_empty() {
                break;
            }
            let round = Round { supply, is_second, full, is_broken };
            let again = self.import_once(fitting, &round, &mut outcomes).await?;
            refused.extend(again.refused);
            if again.lost.is_empty() {
                break;
            }
            batch = again.lost;
        }
        // Some servers (Cyrus) take no message with lines that end with LF alone, as those of a Maildir do.
        let (bare, other): (Vec<_>, Vec<_>) =
            refused.into_iter().partition(|(import, _)| !is_broken.get() && has_bare_newlines(supply, import.blob));
        outcomes.extend(other.into_iter().map(|(import, outcome)| (import.at, outcome)));
        if !bare.is_empty() {
            let bare = bare.into_iter().map(|(import, _)| import).collect();
            let round = Round { supply: &WithCrlf(supply), is_second: true, full, is_broken };
            let again = self.import_once(bare, &round, &mut outcomes).await?;
            outcomes.extend(again.refused.into_iter().map(|(import, outcome)| (import.at, outcome)));
        }
        Ok(outcomes)
    }

    /// Uploads and imports a batch. Gives those that another attempt may help.
    async fn import_once(
        &self,
        batch: Vec<Import>,
        round: &Round<'_>,
        outcomes: &mut Vec<(usize, Outcome)>,
    ) -> Result<Again> {
        let Round { supply, is_second, is_broken, .. } = *round;
        let mut blobs: BTreeSet<Id> = batch.iter().map(|import| import.blob).collect();
        let together = if is_second { None } else { self.take_small(&mut blobs, supply) };
        let is_together = |blob: Id| together.as_ref().is_some_and(|(_, small)| small.contains_key(&blob_name(blob)));
        let mut uploads = self.upload_all(&blobs, MESSAGE, supply, is_second).await?;
        let (mut emails, mut sent) = (Vec::new(), Vec::new());
        for import in batch {
            let is_inline = is_together(import.blob);
            // Each message of a batch has bytes of its own: rows with the same bytes are one message.
            let uploaded = match is_inline {
                true => Some(Ok(format!("#{}", blob_name(import.blob)))),
                false => uploads.remove(&import.blob),
            };
            match uploaded {
                Some(Ok(blob)) => {
                    let mut object = import.object.clone();
                    object.insert("blobId".to_owned(), Value::String(blob));
                    emails.push((creation(import.at), Value::Object(object)));
                    sent.push(Sent { import, is_inline });
                }
                Some(Err(outcome)) => outcomes.push((import.at, outcome)),
                None => outcomes.push((import.at, Outcome::Unknown("it was not uploaded".to_owned()))),
            }
        }
        if sent.is_empty() {
            return Ok(Again::default());
        }
        let has_inline = sent.iter().any(|sent| sent.is_inline);
        let (result, done) = self.import_cautiously(emails, together, &|| sizes(&sent, supply)).await;
        let rest = match done {
            // Not a word about any of them: it is the request that the server does not like.
            Err(Error::Method(error)) if has_inline && does_not_fit(&error) => {
                self.finds_inline.store(false, Ordering::Relaxed);
                let lost = sent.into_iter().map(|sent| sent.import).collect();
                return Ok(Again { lost, refused: Vec::new() });
            }
            Ok(()) => Outcome::Unknown("the answer does not name it".to_owned()),
            Err(error) => {
                is_broken.set(is_broken.get() || matches!(error, Error::Line(_)) || error.is("stateMismatch"));
                self.without_answer(error, sent.len())?
            }
        };
        let has_found = |sent: &Sent| sent.is_inline && created_id(&result, &sent.import).is_some();
        let found_inline = !has_inline || sent.iter().any(has_found);
        let mut again = Again::default();
        for sent in sent {
            again.take(sent, &result, &rest, round, outcomes);
        }
        if !found_inline && !again.lost.is_empty() {
            self.finds_inline.store(false, Ordering::Relaxed);
        }
        Ok(again)
    }

    /// Takes small blobs out of those to upload, as objects to create in the request that imports them: what a server is
    /// told in one request it need not store twice.
    fn take_small(&self, blobs: &mut BTreeSet<Id>, supply: &dyn BlobProvider) -> Option<(Inline, Object)> {
        let inline = self.inline.filter(|_| self.finds_inline.load(Ordering::Relaxed))?;
        let (largest, most) = (self.inline_max(), SMALL_SUM.min(self.client.limits().max_size_request as u64 / 2));
        let (mut objects, mut sum) = (Object::new(), 0);
        blobs.retain(|blob| {
            if supply.size(blob_of(*blob)).is_ok_and(|size| size <= largest && sum + size <= most)
                && let Ok(Content::Bytes(bytes)) = supply.open(blob_of(*blob))
            {
                let (object, size) = inline.object(&bytes, MESSAGE);
                sum += size as u64;
                objects.insert(blob_name(*blob), object);
                return false;
            }
            true
        });
        (!objects.is_empty()).then_some((inline, objects))
    }
}

/// The id that the server gave a message.
fn created_id<'r>(result: &'r SetResult, import: &Import) -> Option<&'r str> {
    result.created.get(&creation(import.at))?.get("id")?.as_str()
}

/// The media type of a message.
const MESSAGE: &str = "message/rfc822";

/// True for a request of which the server has done nothing, and which it will not do the next time either.
fn does_not_fit(error: &MethodError) -> bool {
    matches!(error.kind.as_str(), "requestTooLarge" | "unknownMethod" | "unknownCapability" | "invalidArguments")
}

/// The sizes that messages may have at the server: some make CRLF of every end of a line.
fn sizes(sent: &[Sent], supply: &dyn BlobProvider) -> HashSet<u64> {
    let with_crlf = sent.iter().filter_map(|sent| WithCrlf(supply).size(blob_of(sent.import.blob)).ok());
    sent.iter().map(|sent| sent.import.size).chain(with_crlf).collect()
}

/// What was not imported, and may be if it is asked for in another way.
#[derive(Default)]
struct Again {
    /// Their blob was lost meanwhile (RFC 8620 section 6: a server may do that).
    lost: Vec<Import>,
    /// With what the server has against them.
    refused: Vec<(Import, Outcome)>,
}

impl Again {
    /// Notes what became of a message. `rest` is the outcome of those that the answer does not name.
    fn take(
        &mut self,
        sent: Sent,
        result: &SetResult,
        rest: &Outcome,
        round: &Round<'_>,
        outcomes: &mut Vec<(usize, Outcome)>,
    ) {
        let name = creation(sent.import.at);
        let outcome = match (created_id(result, &sent.import), result.failed.iter().find(|(id, _)| *id == name)) {
            (Some(id), _) => stored(id, result.created.get(&name), &sent, round.supply),
            (None, Some((_, error))) if is_lost_blob(error) && !round.is_second => return self.lost.push(sent.import),
            (None, Some((_, error))) if is_lost_blob(error) => Outcome::Refused(reason(error)),
            (None, Some((_, error))) => refused(error),
            (None, None) => rest.clone(),
        };
        if matches!(outcome, Outcome::Full(_)) {
            round.full.set(round.full.get().min(sent.import.size));
        }
        match outcome {
            Outcome::Refused(_) if created_id(result, &sent.import).is_none() => {
                self.refused.push((sent.import, outcome));
            }
            outcome => outcomes.push((sent.import.at, outcome)),
        }
    }
}

/// The outcome of a message that the server stored. One that has another size there is not what was sent.
fn stored(id: &str, created: Option<&Value>, sent: &Sent, supply: &dyn BlobProvider) -> Outcome {
    let size = created.and_then(|created| created.get("size")).and_then(Value::as_u64);
    match size.filter(|size| *size != sent.import.size) {
        Some(size) if !sizes(std::slice::from_ref(sent), supply).contains(&size) => Outcome::Refused(format!(
            "stored wrongly: it has {size} bytes at the account, as {id}, and {} here",
            sent.import.size
        )),
        _ => Outcome::Done(id.to_owned(), None),
    }
}

/// The same bytes with CRLF at the end of every line.
struct WithCrlf<'a>(&'a dyn BlobProvider);

impl BlobProvider for WithCrlf<'_> {
    fn open(&self, blob: BlobRef) -> Result<Content> {
        match self.0.open(blob)? {
            Content::Bytes(bytes) => Ok(Content::Bytes(with_crlf(&bytes).into())),
            content => Ok(content),
        }
    }

    fn converted(&self, _: BlobRef) -> Result<Option<Content>> {
        Ok(None)
    }

    fn size(&self, blob: BlobRef) -> Result<u64> {
        self.open(blob).map(|content| content.size())
    }

    fn digest(&self, _: BlobRef) -> Option<Digest> {
        None
    }
}

fn has_bare_newlines(supply: &dyn BlobProvider, blob: Id) -> bool {
    match supply.open(blob_of(blob)) {
        Ok(Content::Bytes(bytes)) => bare_newlines(&bytes).next().is_some(),
        _ => false,
    }
}

/// RFC 8620 section 5.3 has `blobNotFound`; RFC 8621 section 4.8 has `invalidProperties` for a blob id that is not found.
fn is_lost_blob(error: &MethodError) -> bool {
    let is_property = error.kind == "invalidProperties" && error.properties.iter().any(|name| name == "blobId");
    error.kind == "blobNotFound" || is_property
}

fn creation(at: usize) -> String {
    format!("k{at}")
}

/// What goes into one request, and what of it has its outcome already.
type Batch = (Vec<Import>, Vec<(usize, Outcome)>);

/// Messages that are not in a batch yet.
struct Waiting<'a> {
    changes: &'a mut dyn Iterator<Item = (usize, Request)>,
    supply: &'a dyn BlobProvider,
    held: Option<Import>,
}

impl Waiting<'_> {
    fn batch(&mut self, most: usize) -> Option<Batch> {
        let (mut batch, mut outcomes) = Batch::default();
        let mut sum = 0;
        while batch.len() < most.max(1) {
            let import = match self.held.take() {
                Some(held) => held,
                None => match self.next() {
                    Some(Ok(import)) => import,
                    Some(Err(outcome)) => {
                        outcomes.push(outcome);
                        continue;
                    }
                    None => break,
                },
            };
            if !batch.is_empty() && sum + import.size > SUM_MAX {
                self.held = Some(import);
                break;
            }
            sum += import.size;
            batch.push(import);
        }
        (!batch.is_empty() || !outcomes.is_empty()).then_some((batch, outcomes))
    }

    fn next(&mut self) -> Option<std::result::Result<Import, (usize, Outcome)>> {
        let (at, change) = self.changes.next()?;
        let Request::Create(mut object) = change else {
            return Some(Err((at, Outcome::Refused("not a message".to_owned()))));
        };
        let Some(blob) = object.remove(BLOB).and_then(|blob| blob.as_i64()) else {
            return Some(Err((at, Outcome::Refused("it has no bytes".to_owned()))));
        };
        Some(match self.supply.size(blob_of(blob)) {
            Ok(size) => Ok(Import { at, blob, object, size }),
            Err(error) => Err((at, Outcome::Refused(error.to_string()))),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_get_crlf() {
        for (from, to) in
            [("", ""), ("a\nb\r\n\n", "a\r\nb\r\n\r\n"), ("\n", "\r\n"), ("\r\r\n", "\r\r\n"), ("a\rb", "a\rb")]
        {
            assert_eq!(with_crlf(from.as_bytes()), to.as_bytes(), "{from:?}");
        }
    }
}

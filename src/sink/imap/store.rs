//! Messages that are added: sent, repaired, copied.

use super::copies::{Sieve, copy};
use super::flags;
use super::messages::{Free, Post, TOGETHER};
use super::proof::tell_changes;
use super::repair::repaired;
use super::sources::{Same, Source};
use crate::error::{ErrorKind, Result};
use crate::model::Id;
use crate::net::parallel::in_order;
use crate::protocol::imap::{Appended, NewMessage, Session};
use crate::sink::{BlobProvider, BlobRef, NewEmail, Outcome, opened};
use std::collections::HashMap;

/// Bytes of messages of one request.
const TOGETHER_BYTES: u64 = 1 << 20;

/// What became of a message that was sent.
struct Sent {
    at: usize,
    outcome: Outcome,
    /// What further copies can be made of.
    source: Option<(Same, Source)>,
}

/// Stores messages. What goes into several mailboxes is sent once and then copied, where the server can do that.
pub(super) async fn store(
    mut post: Post<'_>,
    emails: &mut dyn Iterator<Item = (usize, NewEmail)>,
    supply: &dyn BlobProvider,
    told: &mut dyn FnMut(usize, Outcome),
) -> Result<()> {
    loop {
        let mut sieve = Sieve::new(emails, post.sources, post.seen);
        append(&mut post, &mut sieve, supply, told).await?;
        let (held, is_over) = sieve.end();
        let left = copy(&mut post, held, told).await?;
        append(&mut post, &mut left.into_iter(), supply, told).await?;
        if is_over {
            return Ok(());
        }
    }
}

/// Sends messages: of one mailbox many in one request, and over all connections at the same time.
async fn append(
    post: &mut Post<'_>,
    emails: &mut dyn Iterator<Item = (usize, NewEmail)>,
    supply: &dyn BlobProvider,
    told: &mut dyn FnMut(usize, Outcome),
) -> Result<()> {
    let (mailboxes, limit, batch, sources) = (post.mailboxes, post.limit, post.batch, post.sources);
    let sessions = &mut *post.sessions;
    let width = sessions.len();
    let free = Free::new(sessions);
    let batches = Batches { emails, supply, most: batch.clamp(1, TOGETHER), open: HashMap::new(), is_over: false };
    let free = &free;
    let work = batches.map(async |(mailbox, emails): (String, Vec<(usize, NewEmail)>)| {
        let Some(place) = mailboxes.get(&mailbox) else {
            let refused = || Outcome::Refused("its mailbox is not there".to_owned());
            let gone = |(at, _): &(usize, NewEmail)| Sent { at: *at, outcome: refused(), source: None };
            return Ok((mailbox, emails.iter().map(gone).collect()));
        };
        let outcomes = free.with(async |session| send(session, &place.raw, emails, limit, supply).await).await?;
        Ok((mailbox, outcomes))
    });
    let (mut lost, mut counts) = (None, Vec::new());
    in_order(width, work, |done: Result<(String, Vec<Sent>)>| {
        match done {
            Ok((mailbox, all)) => {
                counts.push((mailbox, all.iter().filter(|one| matches!(one.outcome, Outcome::Done(..))).count()));
                for Sent { at, outcome, source } in all {
                    sources.borrow_mut().add(source);
                    told(at, outcome);
                }
            }
            Err(error) => lost = Some(error),
        }
        lost.is_none()
    })
    .await;
    counts.into_iter().for_each(|(mailbox, stored)| post.count(&mailbox, stored));
    lost.map_or(Ok(()), Err)
}

/// Sends messages of one mailbox in one request, once: what gets no answer may be there.
async fn send(
    session: &mut Session,
    raw: &[u8],
    emails: Vec<(usize, NewEmail)>,
    limit: Option<u64>,
    supply: &dyn BlobProvider,
) -> Result<Vec<Sent>> {
    let (mut outcomes, mut places, mut messages) = (Vec::with_capacity(emails.len()), Vec::new(), Vec::new());
    for (at, email) in emails {
        match message(&email, limit, supply)? {
            Ok(message) => {
                places.push((at, email));
                messages.push(message);
            }
            Err(why) => outcomes.push(Sent { at, outcome: Outcome::Refused(why), source: None }),
        }
    }
    if messages.is_empty() {
        return Ok(outcomes);
    }
    let (mut results, asked) = attempt(session, raw, &messages).await;
    let mut unknown = match asked {
        Ok(()) => "the line broke before the server had answered".to_owned(),
        Err(error) if error.kind == ErrorKind::Connection && results.iter().any(Option::is_some) => error.to_string(),
        Err(error) => return Err(error),
    };
    let mut remarks: Vec<Vec<String>> = vec![Vec::new(); messages.len()];
    loop {
        let mut again = Vec::new();
        for (at, result) in results.iter().enumerate() {
            if let Some(Appended::Refused(why)) = result
                && let Some((message, remark)) = repaired(&messages[at], why)
            {
                messages[at] = message;
                remarks[at].push(remark);
                again.push(at);
            }
        }
        if again.is_empty() {
            break;
        }
        let part: Vec<NewMessage> = again.iter().map(|at| messages[*at].clone()).collect();
        let (answers, asked) = attempt(session, raw, &part).await;
        if let Err(error) = asked {
            unknown = error.to_string();
        }
        again.into_iter().zip(answers).for_each(|(at, answer)| results[at] = answer);
    }
    tell_changes(session, raw, &messages, &results, &mut remarks).await;
    for (((at, email), result), remarks) in places.into_iter().zip(results).zip(remarks) {
        let remark = (!remarks.is_empty()).then(|| remarks.join("; "));
        let new = match &result {
            Some(Appended::Done(new)) => new.filter(|_| email.has_copies),
            _ => None,
        };
        let source = new.map(|new| Source::of(&email, new, remark.clone()));
        let outcome = match result {
            Some(Appended::Done(_)) => Outcome::Done(String::new(), remark),
            Some(Appended::Full(why)) => Outcome::Full(why),
            Some(Appended::Refused(why)) => Outcome::Refused(why),
            Some(Appended::Later(why)) => Outcome::Unknown(why),
            None => Outcome::Unknown(unknown.clone()),
        };
        outcomes.push(Sent { at, outcome, source });
    }
    Ok(outcomes)
}

/// What became of each message, sent once; `None` of those without an answer.
async fn attempt(session: &mut Session, raw: &[u8], messages: &[NewMessage]) -> (Vec<Option<Appended>>, Result<()>) {
    let mut results: Vec<Option<Appended>> = vec![None; messages.len()];
    let mut was_sent = false;
    let asked = session
        .ask(async |client| {
            // A second attempt would store them twice: the export looks first.
            if !std::mem::replace(&mut was_sent, true) {
                client.append(raw, messages, &mut |at, outcome| results[at] = Some(outcome)).await?;
            }
            Ok(())
        })
        .await;
    (results, asked)
}

/// A message to send, or why there is none.
fn message(
    email: &NewEmail,
    limit: Option<u64>,
    supply: &dyn BlobProvider,
) -> Result<std::result::Result<NewMessage, String>> {
    let content = match opened(supply, BlobRef::Blob(email.blob))? {
        Ok(content) => content,
        Err(why) => return Ok(Err(why)),
    };
    if limit.is_some_and(|limit| content.size() > limit) {
        return Ok(Err(format!("the server takes no message of more than {} bytes", limit.unwrap_or_default())));
    }
    Ok(Ok(NewMessage {
        flags: email.keywords.iter().filter_map(|keyword| flags::flag(keyword)).collect(),
        received: email.received.map(|time| time.as_second()),
        content,
    }))
}

/// Messages in requests: those of one mailbox together, in their order.
struct Batches<'i> {
    emails: &'i mut dyn Iterator<Item = (usize, NewEmail)>,
    supply: &'i dyn BlobProvider,
    most: usize,
    open: HashMap<String, (u64, Vec<(usize, NewEmail)>)>,
    is_over: bool,
}

/// Messages that wait in all requests together.
const WAITING: usize = 4096;

impl Batches<'_> {
    fn size(&self, blob: Id) -> u64 {
        self.supply.size(BlobRef::Blob(blob)).unwrap_or_default()
    }
}

impl Iterator for Batches<'_> {
    type Item = (String, Vec<(usize, NewEmail)>);

    fn next(&mut self) -> Option<Self::Item> {
        let mut waiting: usize = self.open.values().map(|(_, emails)| emails.len()).sum();
        while !self.is_over && waiting < WAITING {
            let Some((at, email)) = self.emails.next() else {
                self.is_over = true;
                break;
            };
            let mailbox = email.mailboxes.first().cloned().unwrap_or_default();
            let size = self.size(email.blob);
            let (bytes, emails) = self.open.entry(mailbox.clone()).or_default();
            // One that does not fit begins a request of its own.
            let full = (*bytes + size > TOGETHER_BYTES && !emails.is_empty()).then(|| std::mem::take(emails));
            *bytes = if full.is_some() { size } else { *bytes + size };
            emails.push((at, email));
            if let Some(full) = full {
                return Some((mailbox, full));
            }
            if emails.len() >= self.most {
                *bytes = 0;
                return Some((mailbox, std::mem::take(emails)));
            }
            waiting += 1;
        }
        let mailbox =
            self.open.iter().max_by_key(|(_, (_, emails))| emails.len()).map(|(mailbox, _)| mailbox.clone())?;
        let (_, emails) = self.open.remove(&mailbox)?;
        if emails.is_empty() { self.next() } else { Some((mailbox, emails)) }
    }
}

//! Messages: what is there, and what is added.

use super::flags;
use super::mailboxes::Mailbox;
use super::repair::repaired;
use crate::error::{Error, ErrorKind, Result};
use crate::format::mail::{MessageMatch, summary};
use crate::model::Id;
use crate::net::parallel::in_order;
use crate::protocol::imap::{Appended, Items, NewMessage, Session, UidSet};
use crate::sink::{BlobProvider, BlobRef, Content, NewEmail, Outcome, RemoteEmail, RemoteKey};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Messages of one request, and their bytes.
const TOGETHER: usize = 100;
const TOGETHER_BYTES: u64 = 1 << 20;

/// What was asked of each message.
const LISTING: Items = Items {
    flags: true,
    date: true,
    size: true,
    email_id: false,
    gmail: false,
    modseq: false,
    message_id: true,
    identity: false,
};

/// The header fields that a message is recognised by where it has no Message-ID.
const IDENTITY: Items = Items { flags: false, date: false, size: false, message_id: false, identity: true, ..LISTING };

/// What a mailbox had when it was looked at.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    validity: u32,
    next: u32,
    exists: u32,
    emails: Vec<RemoteEmail>,
    /// UIDs that are marked as deleted: a change of other flags must not take that away.
    pub deleted: HashSet<u32>,
}

impl Seen {
    pub(super) fn emails(&self) -> &[RemoteEmail] {
        &self.emails
    }

    /// The UID of the next message.
    pub(super) fn next(&self) -> u32 {
        self.next
    }

    /// The keywords that all of these messages have.
    pub(super) fn common_keywords<'i>(&self, ids: impl Iterator<Item = &'i str>) -> BTreeSet<String> {
        let ids: HashSet<&str> = ids.collect();
        let sets = self.emails.iter().filter(|email| ids.contains(email.id.as_str()));
        let sets = sets.map(|email| email.keywords.iter().cloned().collect::<BTreeSet<String>>());
        sets.reduce(|one, other| &one & &other).unwrap_or_default()
    }
}

/// The name of a message: UIDVALIDITY, UID, mailbox.
pub(super) fn id(validity: u32, uid: u32, mailbox: &str) -> String {
    format!("{validity}.{uid}.{mailbox}")
}

/// UIDVALIDITY, UID and mailbox of a name.
pub(super) fn parts(id: &str) -> Option<(u32, u32, &str)> {
    let mut parts = id.splitn(3, '.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?))
}

/// Connections that are free just now.
pub(super) struct Free<'s>(RefCell<Vec<&'s mut Session>>);

impl<'s> Free<'s> {
    pub(super) fn new(sessions: &'s mut [Session]) -> Free<'s> {
        Free(RefCell::new(sessions.iter_mut().collect()))
    }

    /// Runs something with one of them. At most as many run at the same time as there are.
    pub(super) async fn with<T>(&self, work: impl AsyncFnOnce(&mut Session) -> Result<T>) -> Result<T> {
        let taken = self.0.borrow_mut().pop();
        let Some(session) = taken else {
            return Err(Error::new(ErrorKind::Connection, "no connection is free"));
        };
        let done = work(session).await;
        self.0.borrow_mut().push(session);
        done
    }
}

/// All messages of a mailbox, or those that came since it was `seen`.
pub(super) async fn look(session: &mut Session, raw: &[u8], mailbox: &str, seen: Option<Seen>) -> Result<Seen> {
    session
        .ask(async |client| {
            let opened = client.examine(raw, None, &mut |_| {}).await?;
            let (validity, exists) = (opened.uid_validity.unwrap_or_default(), opened.exists);
            let next = opened.uid_next.unwrap_or(u32::MAX);
            let known = seen.as_ref().filter(|seen| seen.validity == validity && seen.next <= next);
            // Where messages went meanwhile, it is not known which.
            let known = known.filter(|seen| u64::from(exists) >= u64::from(seen.exists));
            let mut now = known.cloned().unwrap_or_default();
            let first = known.map_or(1, |seen| seen.next);
            if first < next || known.is_none() {
                let mut listing = client.list(&UidSet::from(first), LISTING, None).await?;
                while let Some(line) = listing.next().await? {
                    let Some(uid) = line.uid.filter(|uid| *uid >= first) else { continue };
                    let flags = line.flags.unwrap_or_default();
                    if flags.iter().any(|flag| flag.eq_ignore_ascii_case("\\Deleted")) {
                        now.deleted.insert(uid);
                    }
                    now.emails.push(RemoteEmail {
                        id: id(validity, uid, mailbox),
                        size: line.size.unwrap_or_default(),
                        received: line.date.and_then(|date| date.seconds).unwrap_or_default(),
                        key: key(line.header.as_deref().unwrap_or_default()),
                        mailboxes: vec![mailbox.to_owned()],
                        keywords: flags::keywords(&flags),
                    });
                }
            }
            // Servers may answer in another order.
            now.emails.sort_by_key(|email| parts(&email.id).map(|(_, uid, _)| uid));
            (now.validity, now.next, now.exists) = (validity, next, exists);
            Ok(now)
        })
        .await
}

fn key(header: &[u8]) -> RemoteKey {
    let ids = MessageMatch::parse(&summary(header).message_match).message_ids;
    if ids.is_empty() { RemoteKey::Nothing } else { RemoteKey::Ids(ids) }
}

/// The identity of these messages, each as a header block.
pub(super) async fn headers(
    session: &mut Session,
    mailboxes: &HashMap<String, Mailbox>,
    emails: &[String],
) -> Result<Vec<(String, Vec<u8>)>> {
    let mut wanted: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    for (_, uid, mailbox) in emails.iter().filter_map(|email| parts(email)) {
        wanted.entry(mailbox).or_default().push(uid);
    }
    let mut found = Vec::with_capacity(emails.len());
    for (mailbox, uids) in wanted {
        let Some(place) = mailboxes.get(mailbox) else { continue };
        let uids: UidSet = uids.into_iter().collect();
        let asked = session.ask_in(&place.raw, async |client, opened| {
            let mut headers = Vec::new();
            let mut listing = client.list(&uids, IDENTITY, None).await?;
            while let Some(line) = listing.next().await? {
                if let (Some(uid), Some(header)) = (line.uid, line.header) {
                    headers.push((id(opened.uid_validity.unwrap_or_default(), uid, mailbox), header));
                }
            }
            Ok(headers)
        });
        found.extend(asked.await?);
    }
    Ok(found)
}

/// Where messages are stored.
pub(super) struct Post<'p> {
    pub sessions: &'p mut [Session],
    pub mailboxes: &'p HashMap<String, Mailbox>,
    /// The most bytes of a message, where the server says so.
    pub limit: Option<u64>,
    /// How many messages one request has at most.
    pub batch: usize,
    /// Counts the messages that were stored, by mailbox.
    pub sent: &'p mut HashMap<String, u32>,
}

/// Stores messages: of one mailbox many in one request, and over all connections at the same time.
pub(super) async fn append(
    post: Post<'_>,
    emails: &mut dyn Iterator<Item = (usize, NewEmail)>,
    supply: &dyn BlobProvider,
    told: &mut dyn FnMut(usize, Outcome),
) -> Result<()> {
    let Post { sessions, mailboxes, limit, batch, sent } = post;
    let width = sessions.len();
    let free = Free::new(sessions);
    let batches = Batches { emails, supply, most: batch.clamp(1, TOGETHER), open: HashMap::new(), is_over: false };
    let free = &free;
    let work = batches.map(async |(mailbox, emails): (String, Vec<(usize, NewEmail)>)| {
        let Some(place) = mailboxes.get(&mailbox) else {
            let gone = |(at, _): &(usize, NewEmail)| (*at, Outcome::Refused("its mailbox is not there".to_owned()));
            return Ok((mailbox, emails.iter().map(gone).collect()));
        };
        let outcomes = free.with(async |session| send(session, &place.raw, emails, limit, supply).await).await?;
        Ok((mailbox, outcomes))
    });
    let mut lost = None;
    in_order(width, work, |done: Result<(String, Vec<(usize, Outcome)>)>| {
        match done {
            Ok((mailbox, outcomes)) => {
                let stored = outcomes.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Done(..))).count();
                *sent.entry(mailbox).or_default() += u32::try_from(stored).unwrap_or(u32::MAX);
                outcomes.into_iter().for_each(|(at, outcome)| told(at, outcome));
            }
            Err(error) => lost = Some(error),
        }
        lost.is_none()
    })
    .await;
    lost.map_or(Ok(()), Err)
}

/// Sends messages of one mailbox in one request, once: what gets no answer may be there.
async fn send(
    session: &mut Session,
    raw: &[u8],
    emails: Vec<(usize, NewEmail)>,
    limit: Option<u64>,
    supply: &dyn BlobProvider,
) -> Result<Vec<(usize, Outcome)>> {
    let (mut outcomes, mut places, mut messages) = (Vec::with_capacity(emails.len()), Vec::new(), Vec::new());
    for (at, email) in emails {
        match message(&email, limit, supply)? {
            Ok(message) => {
                places.push(at);
                messages.push(message);
            }
            Err(why) => outcomes.push((at, Outcome::Refused(why))),
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
    for ((at, result), remarks) in places.into_iter().zip(results).zip(remarks) {
        let outcome = match result {
            Some(Appended::Done) => Outcome::Done(String::new(), (!remarks.is_empty()).then(|| remarks.join("; "))),
            Some(Appended::Full(why)) => Outcome::Full(why),
            Some(Appended::Refused(why)) => Outcome::Refused(why),
            Some(Appended::Later(why)) => Outcome::Unknown(why),
            None => Outcome::Unknown(unknown.clone()),
        };
        outcomes.push((at, outcome));
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
    let content: Content = match supply.open(BlobRef::Blob(email.blob)) {
        Ok(content) => content,
        Err(error) if error.kind == ErrorKind::Damaged => return Ok(Err(error.to_string())),
        Err(error) => return Err(error),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_messages_have_their_mailbox() {
        assert_eq!(parts(&id(7, 30, "a.b")), Some((7, 30, "a.b")));
        assert_eq!((parts("x"), parts("1.2")), (None, None));
    }
}

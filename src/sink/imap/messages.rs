//! Messages: what is there.

use super::flags;
use super::mailboxes::Mailbox;
use super::sources::Sources;
use crate::error::{Error, ErrorKind, Result};
use crate::format::mail::{MessageMatch, summary_of_fields};
use crate::protocol::imap::{Items, Session, UidSet};
use crate::sink::{RemoteEmail, RemoteKey};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Messages of one request.
pub(super) const TOGETHER: usize = 100;

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

    /// The keywords of a message.
    pub(super) fn keywords(&self, uid: u32) -> BTreeSet<String> {
        let found = self.emails.binary_search_by_key(&Some(uid), |email| parts(&email.id).map(|(_, uid, _)| uid));
        found.map(|at| self.emails[at].keywords.iter().cloned().collect()).unwrap_or_default()
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
            // A server that does not say where new ones begin is asked for all of them.
            let known = known.filter(|_| opened.uid_next.is_some());
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
    let ids = MessageMatch::parse(&summary_of_fields(header).message_match).message_ids;
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
    /// What the mailboxes had when they were looked at.
    pub seen: &'p HashMap<String, Seen>,
    pub sources: &'p RefCell<Sources>,
}

impl Post<'_> {
    /// Counts messages that were stored in a mailbox.
    pub(super) fn count(&mut self, mailbox: &str, stored: usize) {
        *self.sent.entry(mailbox.to_owned()).or_default() += u32::try_from(stored).unwrap_or(u32::MAX);
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

//! Listing one mailbox: all of it, or what changed since a cursor, and which of the two the server's answers allow.

use super::cursor::Cursor;
use super::rev;
use crate::error::Result;
use crate::model::{Attrs, Entry, ObjectType, SkipKind, SkippedItem};
use crate::net::sanitize::said;
use crate::net::stream::Stream;
use crate::protocol::imap::{self, Changes, Client, Fetched, Items, Known, Selected, Session, UidSet};
use crate::source::{Listing, UnlistedItems};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The mailbox to list, and how.
#[derive(Debug, Clone)]
pub(super) struct ListRequest {
    /// The mailbox as the server spells it, and its key.
    pub raw: Vec<u8>,
    pub key: String,
    pub cursor: Option<Cursor>,
    /// Messages marked as deleted are taken, too.
    pub include_deleted: bool,
}

/// The listing of a mailbox.
pub(super) struct ListResult {
    pub listing: Listing,
    /// The UIDVALIDITY under which the keys were made; 0 if the server gave none.
    pub uid_validity: u32,
    /// Labels of Gmail by message, by UID.
    pub labels: BTreeMap<u32, Vec<String>>,
    /// The server says that there is no such mailbox, in these words.
    pub absent: Option<String>,
}

/// Lists a mailbox. After a connection that broke it begins again.
pub(super) async fn look(session: &mut Session, question: &ListRequest) -> Result<ListResult> {
    let raw = question.raw.clone();
    let mut way = Way::default();
    let (looked, selected) = session
        .ask(async |client| {
            let done = attempt(client, question, &mut way).await;
            match done {
                // One message whose size the server cannot tell is no reason to lose the others.
                Err(error) if way.is_open && way.may_be_easier(&error) => {
                    way.without_size = true;
                    attempt(client, question, &mut way).await
                }
                Err(error) if error.fault == imap::Fault::Gone && !way.is_open => {
                    let absent = Some(error.to_string());
                    let looked =
                        ListResult { listing: Listing::default(), uid_validity: 0, labels: BTreeMap::new(), absent };
                    Ok((looked, None))
                }
                done => done,
            }
        })
        .await?;
    if let Some(selected) = selected {
        session.has_opened(&raw, selected);
    }
    Ok(looked)
}

/// How a mailbox is listed.
#[derive(Default)]
struct Way {
    /// The mailbox is open: what fails now is the listing.
    is_open: bool,
    /// How often the server broke off while it listed.
    losses: u32,
    /// The sizes of messages are not asked for.
    without_size: bool,
}

impl Way {
    /// True if the listing may go well without the sizes, over the same connection. After a connection that broke twice
    /// the next one is asked for less.
    fn may_be_easier(&mut self, error: &imap::Error) -> bool {
        match error.fault {
            imap::Fault::Refused | imap::Fault::Unwell | imap::Fault::Unsupported => !self.without_size,
            imap::Fault::Lost => {
                self.losses += 1;
                self.without_size |= self.losses >= 2;
                false
            }
            _ => false,
        }
    }

    fn items(&self) -> Items {
        Items { size: !self.without_size, ..Items::LISTING }
    }
}

/// Messages as they were named, by UID. The server may name one twice: what it said later counts.
#[derive(Default)]
struct NamedMessages {
    lines: BTreeMap<u32, Line>,
    /// Lists of flags: few are distinct in an honest mailbox.
    flags: HashMap<Vec<String>, Arc<[String]>>,
    /// Bytes of what is kept, about.
    bytes: usize,
}

/// A message as the server described it.
#[derive(Default)]
struct Line {
    flags: Option<Arc<[String]>>,
    /// See [`super::rev`]; empty if only flags were said.
    rev: Box<str>,
    labels: Option<Box<[String]>>,
}

/// The most bytes that a listing of one mailbox may keep: two million messages, and more flags than they need.
const FOUND_MAX: usize = 240 << 20;

async fn attempt(
    client: &mut Client<Stream>,
    question: &ListRequest,
    way: &mut Way,
) -> imap::Result<(ListResult, Option<Selected>)> {
    way.is_open = false;
    let known = question.cursor.filter(|cursor| cursor.modseq > 0);
    let known = known.map(|cursor| Known { uid_validity: cursor.uid_validity, modseq: cursor.modseq });
    let mut changed = NamedMessages::default();
    let selected = client.examine(&question.raw, known, &mut |fetched| changed.add(fetched)).await?;
    changed.check()?;
    way.is_open = true;
    let cursor = question.cursor.filter(|cursor| selected.uid_validity == Some(cursor.uid_validity));
    let seen = match cursor.filter(|cursor| !cursor.is_ahead_of(&selected)) {
        Some(cursor) => match changes(client, &selected, cursor, changed, way.items()).await? {
            Some(seen) => seen,
            None => all(client, way.items()).await?,
        },
        None => all(client, way.items()).await?,
    };
    if !seen.is_trusted && question.cursor.is_some() && cursor.is_none() {
        // Numbered anew and named in part: what is known could neither be found again nor be called gone.
        let what =
            format!("the server named {} of {} messages, under new numbers", seen.found.lines.len(), seen.exists);
        return Err(imap::Error::new(imap::Fault::Refused, what));
    }
    let next = Cursor::of(&selected, question.include_deleted).filter(|_| seen.is_trusted);
    let uid_validity = selected.uid_validity.unwrap_or_default();
    Ok((name(seen, question, uid_validity, next), Some(selected)))
}

/// The messages of a mailbox as the server named them.
struct Seen {
    found: NamedMessages,
    /// Which known UIDs are gone. `None`: all that are not in `found`.
    gone: Option<Gone>,
    /// The server named as many messages as it says there are.
    is_trusted: bool,
    /// How many it says there are.
    exists: u32,
}

enum Gone {
    These(UidSet),
    AllBut(UidSet),
}

/// Every message, with everything that a listing wants.
async fn all(client: &mut Client<Stream>, items: Items) -> imap::Result<Seen> {
    let found = list(client, &UidSet::all(), items, None).await?;
    let exists = client.exists();
    // Fewer than there are: an absent one is not a deleted one.
    let is_trusted = found.lines.len() >= exists as usize;
    Ok(Seen { found, gone: None, is_trusted, exists })
}

/// What changed since the cursor; `None` if the numbers do not fit together, so that only a full listing helps.
async fn changes(
    client: &mut Client<Stream>,
    selected: &Selected,
    cursor: Cursor,
    mut changed: NamedMessages,
    items: Items,
) -> imap::Result<Option<Seen>> {
    let old = UidSet::of_ranges(vec![(1, cursor.uid_next.saturating_sub(1))]);
    let gone = if selected.is_resynced {
        changed.lines.retain(|uid, _| old.contains(*uid));
        Gone::These(selected.vanished.clone())
    } else if cursor.modseq > 0 && selected.highest_modseq.is_some() {
        let since = Changes { since: cursor.modseq, with_vanished: false };
        changed = list(client, &old, Items::FLAGS, Some(since)).await?;
        Gone::AllBut(client.uids().await?)
    } else {
        changed = list(client, &old, Items::FLAGS, None).await?;
        Gone::AllBut(changed.lines.keys().copied().collect())
    };
    let may_have_new = selected.uid_next.is_none_or(|next| next > cursor.uid_next);
    let new = match may_have_new {
        true => list(client, &UidSet::from(cursor.uid_next), items, None).await?,
        false => NamedMessages::default(),
    };
    let before = u64::from(cursor.messages) + new.lines.len() as u64;
    let exists = u64::from(client.exists());
    let fits = match &gone {
        Gone::These(set) => before >= exists && before - exists <= set.len(),
        Gone::AllBut(set) => {
            let newer = new.lines.keys().filter(|uid| !set.contains(**uid)).count() as u64;
            set.len() + newer >= exists && before >= exists
        }
    };
    if !fits {
        return Ok(None);
    }
    changed.lines.extend(new.lines);
    Ok(Some(Seen { found: changed, gone: Some(gone), is_trusted: true, exists: client.exists() }))
}

async fn list(
    client: &mut Client<Stream>,
    set: &UidSet,
    items: Items,
    changes: Option<Changes>,
) -> imap::Result<NamedMessages> {
    let mut found = NamedMessages::default();
    let mut listing = client.list(set, items, changes).await?;
    while let Some(fetched) = listing.next().await? {
        found.add(fetched);
        found.check()?;
    }
    Ok(found)
}

impl NamedMessages {
    /// Adds a line of the server; what is too much is left out, and [`NamedMessages::check`] tells.
    fn add(&mut self, fetched: Fetched) {
        let Some(uid) = fetched.uid.filter(|_| self.bytes <= FOUND_MAX) else { return };
        let rev = rev::of(&fetched);
        let flags = fetched.flags.map(|flags| match self.flags.get(&flags) {
            Some(known) => Arc::clone(known),
            None => {
                self.bytes += flags.iter().map(|flag| 2 * flag.len() + 80).sum::<usize>() + 100;
                let list: Arc<[String]> = flags.as_slice().into();
                self.flags.insert(flags, Arc::clone(&list));
                list
            }
        });
        let labels = fetched.labels.filter(|labels| !labels.is_empty()).map(Vec::into_boxed_slice);
        self.bytes += 80 + rev.len() + labels.iter().flatten().map(|label| label.len() + 32).sum::<usize>();
        let line = self.lines.entry(uid).or_default();
        line.flags = flags.or(line.flags.take());
        line.labels = labels.or(line.labels.take());
        if !rev.is_empty() {
            line.rev = rev.into();
        }
    }

    fn check(&self) -> imap::Result<()> {
        if self.bytes <= FOUND_MAX {
            return Ok(());
        }
        Err(imap::Error::new(
            imap::Fault::Protocol,
            "the server says more of a mailbox's messages than fits into memory",
        ))
    }
}

/// Turns what the server said into a listing.
fn name(seen: Seen, question: &ListRequest, uid_validity: u32, cursor: Option<Cursor>) -> ListResult {
    let mut listing = Listing::default();
    let mut labels = BTreeMap::new();
    let mut deleted = Vec::new();
    let mut attrs: HashMap<Vec<String>, Arc<Attrs>> = HashMap::new();
    let counted = seen.found.lines.len();
    let mailbox = said(question.key.as_bytes());
    for (uid, line) in seen.found.lines {
        let position = || format!("{mailbox}: UID {uid}");
        let Some(keywords) = keywords(line.flags.as_deref().unwrap_or_default(), question.include_deleted) else {
            listing.omissions.push(SkippedItem {
                kind: ObjectType::Email,
                reason: "deleted flag".to_owned(),
                position: position(),
                outcome: SkipKind::Skipped,
            });
            deleted.push(uid);
            continue;
        };
        let attrs = attrs.entry(keywords).or_insert_with_key(|keywords| {
            let parents = vec![question.key.clone()];
            Arc::new(Attrs { of: ObjectType::Mailbox, keywords: keywords.clone(), parents })
        });
        listing.entries.push(Entry {
            key: key(uid_validity, uid).into(),
            rev: line.rev,
            // The key says it.
            locator: Box::default(),
            attrs: Arc::clone(attrs),
        });
        if let Some(names) = line.labels {
            labels.insert(uid, names.into_vec());
        }
    }
    if !seen.is_trusted {
        let missing = (seen.exists as usize).saturating_sub(counted);
        listing.omissions.push(SkippedItem {
            kind: ObjectType::Email,
            reason: format!("the server named {counted} of {} messages", seen.exists),
            position: format!("{mailbox}: {missing} messages"),
            outcome: SkipKind::Failed,
        });
    }
    // Messages marked as deleted are not among the entries: a listing of changes has to say that they are gone.
    let deleted: UidSet = deleted.into_iter().collect();
    listing.unnamed = match seen.gone {
        _ if !seen.is_trusted => UnlistedItems::Kept,
        None => UnlistedItems::Gone,
        Some(gone) => UnlistedItems::GoneIf(Box::new(move |key| match uid_of(key, uid_validity) {
            // A key of another UIDVALIDITY, which an earlier run left.
            None => true,
            Some(uid) => {
                deleted.contains(uid)
                    || match &gone {
                        Gone::These(set) => set.contains(uid),
                        Gone::AllBut(set) => !set.contains(uid),
                    }
            }
        })),
    };
    listing.cursor = cursor.map(|cursor| cursor.text()).unwrap_or_default();
    ListResult { listing, uid_validity, labels, absent: None }
}

/// The key of a message in its mailbox.
fn key(uid_validity: u32, uid: u32) -> String {
    format!("{uid_validity}.{uid}")
}

/// The UID in a key, if it was made under this UIDVALIDITY.
pub(super) fn uid_of(key: &str, uid_validity: u32) -> Option<u32> {
    let (validity, uid) = key.split_once('.')?;
    if validity.parse() == Ok(uid_validity) { uid.parse().ok() } else { None }
}

/// The UID in a key, whatever UIDVALIDITY it was made under; 0 for what is no key.
pub(super) fn uid_in(key: &str) -> u32 {
    key.rsplit('.').next().and_then(|uid| uid.parse().ok()).unwrap_or_default()
}

/// Flags as JMAP keywords (RFC 8621 section 4.1.1): sorted, without those that differ in case only. `None` for a
/// message that is marked as deleted and therefore left out.
fn keywords(flags: &[String], include_deleted: bool) -> Option<Vec<String>> {
    const SYSTEM: [(&str, &str); 5] = [
        ("\\Seen", "$seen"),
        ("\\Flagged", "$flagged"),
        ("\\Answered", "$answered"),
        ("\\Draft", "$draft"),
        ("\\Deleted", "$deleted"),
    ];
    let mut keywords: Vec<String> = Vec::with_capacity(flags.len());
    for flag in flags.iter().filter(|flag| !flag.eq_ignore_ascii_case("\\Recent") && !flag.is_empty()) {
        let keyword =
            SYSTEM.iter().find(|(name, _)| name.eq_ignore_ascii_case(flag)).map_or(flag.as_str(), |pair| pair.1);
        if keyword == "$deleted" && !include_deleted && flag.starts_with('\\') {
            return None;
        }
        if !keywords.iter().any(|known| known.eq_ignore_ascii_case(keyword)) {
            keywords.push(keyword.to_owned());
        }
    }
    keywords.sort_unstable();
    Some(keywords)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn flags_become_keywords() {
        let of = |text, include| keywords(&flags(text), include);
        assert_eq!(
            of("\\seen Work \\Recent WORK $Forwarded \\Answered", false).expect("taken"),
            ["$Forwarded", "$answered", "$seen", "Work"]
        );
        assert_eq!(of("\\Deleted \\Seen", false), None);
        assert_eq!(of("\\Deleted \\Seen", true).expect("taken"), ["$deleted", "$seen"]);
        assert_eq!(of("$deleted", false).expect("a keyword is no flag"), ["$deleted"]);
    }

    #[test]
    fn keys() {
        assert_eq!(uid_of(&key(7, 30), 7), Some(30));
        assert_eq!(uid_of(&key(7, 30), 8), None);
        assert_eq!(uid_of("x", 8), None);
    }
}

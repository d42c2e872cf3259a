//! Messages that are there: other flags, and removals.

use super::account::Imap;
use super::flags;
use super::messages::parts;
use crate::error::Result;
use crate::protocol::imap::{self, Client, Store, Transport, UidSet};
use crate::sink::{Change, EmailUpdate, Outcome};
use std::collections::{BTreeMap, BTreeSet};

/// A message that is to be changed: its place in the answer, and its name in parts.
struct Changed {
    at: usize,
    validity: u32,
    uid: u32,
    id: String,
}

impl Imap {
    /// Other flags, and removals: those of one mailbox with the same flags in one request.
    pub(super) fn mail_changes(
        &mut self,
        changes: Vec<(usize, Change)>,
        told: &mut dyn FnMut(usize, Outcome),
    ) -> Result<()> {
        let mut groups: BTreeMap<(String, Option<Vec<String>>), Vec<Changed>> = BTreeMap::new();
        for (at, change) in changes {
            let (id, flags) = match change {
                Change::UpdateEmail(id, EmailUpdate { keywords: Some(keywords), .. }) => (id, Some(keywords)),
                Change::Destroy(id) => (id, None),
                _ => {
                    told(at, Outcome::Refused("a copy of a message stays in its mailbox".to_owned()));
                    continue;
                }
            };
            let Some((validity, uid, mailbox)) = parts(&id) else {
                told(at, Outcome::Refused("it has no such name".to_owned()));
                continue;
            };
            let group = groups.entry((mailbox.to_owned(), flags)).or_default();
            group.push(Changed { at, validity, uid, id: id.clone() });
        }
        for ((mailbox, keywords), messages) in groups {
            let (outcome, each) = match keywords {
                Some(keywords) => self.change_flags(&mailbox, &keywords, &messages)?,
                None => (self.expunge(&mailbox, &messages)?, BTreeMap::new()),
            };
            for Changed { at, id, uid, .. } in messages {
                let outcome = each.get(&uid).unwrap_or(&outcome);
                told(
                    at,
                    match outcome {
                        Outcome::Done(_, remark) => Outcome::Done(id, remark.clone()),
                        other => other.clone(),
                    },
                );
            }
        }
        Ok(())
    }

    fn expunge(&mut self, mailbox: &str, messages: &[Changed]) -> Result<Outcome> {
        let raw = self.raw(mailbox)?;
        let validity = messages.first().map(|one| one.validity);
        let uids: UidSet = messages.iter().map(|one| one.uid).collect();
        self.ask(String::new(), async |client| {
            open(client, &raw, validity).await?;
            client.expunge(&uids).await
        })
    }

    /// Gives messages these keywords and no others. The first outcome is that of all that have none of their own.
    fn change_flags(
        &mut self,
        mailbox: &str,
        keywords: &[String],
        messages: &[Changed],
    ) -> Result<(Outcome, BTreeMap<u32, Outcome>)> {
        let raw = self.raw(mailbox)?;
        let validity = messages.first().map(|one| one.validity);
        let seen = self.seen.get(mailbox);
        let deleted = seen.map(|seen| seen.deleted.clone()).unwrap_or_default();
        let marked: UidSet = messages.iter().map(|one| one.uid).filter(|uid| deleted.contains(uid)).collect();
        // Those that have the same keywords now go together.
        let mut alike: BTreeMap<BTreeSet<String>, Vec<u32>> = BTreeMap::new();
        for one in messages {
            let has = seen.map(|seen| seen.keywords(one.uid)).unwrap_or_default();
            alike.entry(has).or_default().push(one.uid);
        }
        let wish: Vec<String> = keywords.iter().filter_map(|keyword| flags::flag(keyword)).collect();
        let mut each = BTreeMap::new();
        let outcome = self.ask(String::new(), async |client| {
            let permanent = open(client, &raw, validity).await?;
            each.clear();
            for (has, uids) in &alike {
                let outcome = change(client, &wish, &permanent, has, uids).await?;
                each.extend(uids.iter().map(|uid| (*uid, outcome.clone())));
            }
            if !marked.is_empty() {
                client.store(&marked, &["\\Deleted".to_owned()], Store::Also).await?;
            }
            Ok(())
        })?;
        Ok((outcome, each))
    }
}

/// Opens a mailbox for changes. Gives the flags that it keeps; none if it does not say.
async fn open<S: Transport>(client: &mut Client<S>, raw: &[u8], validity: Option<u32>) -> imap::Result<Vec<String>> {
    let opened = client.select(raw).await?;
    match opened.uid_validity == validity {
        true => Ok(opened.permanent_flags),
        false => Err(imap::Error::new(imap::Fault::Refused, "the mailbox has become another one meanwhile")),
    }
}

/// Gives messages that all have the same keywords others.
async fn change<S: Transport>(
    client: &mut Client<S>,
    wish: &[String],
    permanent: &[String],
    has: &BTreeSet<String>,
    uids: &[u32],
) -> imap::Result<Outcome> {
    let uids: UidSet = uids.iter().copied().collect();
    let is_there = |flag: &String| has.contains(&flags::keyword(flag));
    let is_same = |flags: &[String]| flags.len() == has.len() && flags.iter().all(is_there);
    let (taken, lost): (Vec<String>, Vec<String>) =
        wish.iter().cloned().partition(|flag| is_there(flag) || flags::is_kept(flag, permanent));
    let remark =
        (!lost.is_empty()).then(|| format!("without the keywords {}, which this folder does not keep", lost.join(" ")));
    if let Some(remark) = remark.clone().filter(|_| is_same(&taken)) {
        return Ok(Outcome::Same(remark));
    }
    let error = match client.store(&uids, &taken, Store::Exactly).await {
        Err(error) if matches!(error.fault, imap::Fault::Refused | imap::Fault::Unsupported) => error,
        stored => return stored.map(|()| Outcome::Done(String::new(), remark)),
    };
    // A mailbox may have no room for other keywords: those that are there stay, and the rest is done.
    let (kept, left): (Vec<String>, Vec<String>) =
        wish.iter().cloned().partition(|flag| flag.starts_with('\\') || is_there(flag));
    let remark = format!("without the keywords {}; the server refuses them ({error})", left.join(" "));
    match (left.is_empty(), is_same(&kept)) {
        (true, _) => Ok(Outcome::Refused(error.to_string())),
        (false, true) => Ok(Outcome::Same(remark)),
        (false, false) => {
            client.store(&uids, &kept, Store::Exactly).await?;
            Ok(Outcome::Done(String::new(), Some(remark)))
        }
    }
}

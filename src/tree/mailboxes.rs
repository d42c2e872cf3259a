//! The mail of a moment: which mailboxes there are, what lies in them, how old they are.

use super::entry::DAMAGED_SIZE;
use super::hierarchy::Hierarchy;
use super::name;
use super::view::{View, load};
use crate::archive::{Listed, MailboxState, Moment, UNFILED, epoch, parse_ids, parse_keywords};
use crate::error::Result;
use crate::format::maildir::{Flags, Keywords};
use crate::model::{Id, ObjectType};
pub(crate) use crate::tree::mail::{Age, Arrival, Computed, Folder};
use std::collections::HashMap;
use std::sync::Arc;

impl View {
    /// The mailboxes. Messages that lie in none have a mailbox of their own, [`UNFILED`].
    pub fn folders(&self) -> Result<&Hierarchy<Folder>> {
        load(&self.mail.folders, || {
            let mut rows = Vec::new();
            self.each(ObjectType::Mailbox, |record| {
                let name = record.text("name").unwrap_or_default().to_owned();
                let folder = Folder {
                    role: record.text("role").map(str::to_owned),
                    is_subscribed: record.number("is_subscribed") != Some(0),
                    first: record.first,
                };
                rows.push((record.id, record.number("parent_id"), name, folder));
            })?;
            if self.holds_unfiled()? {
                rows.push((UNFILED, None, "(no mailbox)".to_owned(), Folder::default()));
            }
            Ok(Hierarchy::new(rows, "", |raw, _| not_reserved(name::safe(raw, ""))))
        })
    }

    fn holds_unfiled(&self) -> Result<bool> {
        match self.indexed() {
            Some(at) => self.reader.mailbox_holds_any(UNFILED, at),
            None => Ok(self.computed()?.mailboxes.contains_key(&UNFILED)),
        }
    }

    /// The snapshot for which the archive's index can be asked.
    pub fn indexed(&self) -> Option<i64> {
        match self.moment {
            Moment::Snapshot(at) if self.reader.has_index() => Some(at),
            _ => None,
        }
    }

    /// Messages of a mailbox with ids above `after`, at most `limit`, by id.
    pub fn messages(&self, mailbox: Id, after: Id, limit: usize) -> Result<Vec<Listed>> {
        if let Some(at) = self.indexed() {
            return self.reader.list_mailbox(mailbox, at, after, limit);
        }
        let all = self.computed()?.mailboxes.get(&mailbox).map(Vec::as_slice).unwrap_or_default();
        let from = all.partition_point(|listed| listed.email <= after);
        Ok(all[from..].iter().take(limit).cloned().collect())
    }

    /// One message of a mailbox.
    pub fn message(&self, mailbox: Id, email: Id) -> Result<Option<Listed>> {
        match self.indexed() {
            Some(at) => self.reader.listed(mailbox, at, email),
            None => Ok(self.messages(mailbox, email - 1, 1)?.into_iter().find(|listed| listed.email == email)),
        }
    }

    /// All messages of a mailbox by the minute of their arrival.
    pub fn arrivals(&self, mailbox: Id) -> Result<Arc<Vec<Arrival>>> {
        if let Some(known) = self.mail.arrivals.lock().get(&mailbox) {
            return Ok(Arc::clone(known));
        }
        let mut arrivals = Vec::new();
        loop {
            let after = arrivals.last().map_or(0, |last: &Arrival| last.email);
            let page = self.messages(mailbox, after, 4_096)?;
            if page.is_empty() {
                break;
            }
            arrivals.extend(page.iter().map(Arrival::of));
        }
        arrivals.sort_unstable();
        arrivals.shrink_to_fit();
        let arrivals = Arc::new(arrivals);
        self.mail.arrivals.lock().put(mailbox, Arc::clone(&arrivals));
        Ok(arrivals)
    }

    /// What stands in a mailbox.
    pub fn state(&self, mailbox: Id) -> Result<MailboxState> {
        if let Some(at) = self.indexed() {
            return self.reader.mailbox_state(mailbox, at);
        }
        let all = self.computed()?.mailboxes.get(&mailbox).map(Vec::as_slice).unwrap_or_default();
        Ok(MailboxState {
            emails: all.len() as u64,
            bytes: all.iter().map(|listed| listed.size).sum(),
            newest: all.iter().map(|listed| listed.received).max().unwrap_or(0),
            made: 0,
            changed: 0,
        })
    }

    /// The times of a mailbox.
    pub fn age(&self, mailbox: Id) -> Result<Age> {
        let fallback = Age { own: self.time, deep: self.time, changed: self.time };
        Ok(load(&self.mail.ages, || self.ages())?.get(&mailbox).copied().unwrap_or(fallback))
    }

    /// The newest time of all mailboxes.
    pub fn mail_time(&self) -> Result<i64> {
        let ages = load(&self.mail.ages, || self.ages())?;
        Ok(ages.values().map(|age| age.own).max().unwrap_or(self.time))
    }

    fn ages(&self) -> Result<HashMap<Id, Age>> {
        let folders = self.folders()?;
        let mut ages = HashMap::new();
        for place in folders.all() {
            let state = self.state(place.id)?;
            // One that never held a message is as old as itself, not as the moment: nothing in it is new.
            let changed = match self.changed(state.changed)? {
                Some(time) => time,
                None => self.changed(place.data.first)?.unwrap_or(self.time),
            };
            // A first import shows the dates of the mail. A later change must be seen by programs that compare the
            // time of a directory to know whether to look into it again, even if only old mail came or went.
            let own = match (state.newest, state.changed > state.made) {
                (newest, _) if state.emails == 0 && newest == 0 => changed,
                (newest, true) => newest.max(changed),
                (newest, false) => newest.max(1),
            };
            ages.insert(place.id, Age { own, deep: own, changed });
        }
        let mut order: Vec<Id> = folders.children(None).to_vec();
        let mut at = 0;
        while let Some(id) = order.get(at).copied() {
            order.extend(folders.children(Some(id)));
            at += 1;
        }
        for id in order.into_iter().rev() {
            let deep = ages.get(&id).map_or(0, |age| age.deep);
            if let Some(parent) = folders.get(id).and_then(|place| place.parent)
                && let Some(age) = ages.get_mut(&parent)
            {
                age.deep = age.deep.max(deep);
            }
        }
        Ok(ages)
    }

    /// The keywords that have letters in a mailbox.
    pub fn keywords(&self, mailbox: Id) -> Result<Keywords> {
        let named: Vec<String> = match self.indexed() {
            Some(_) => self.reader.mailbox_keywords(mailbox)?.into_iter().map(|(_, keyword)| keyword).collect(),
            None => self.computed()?.keywords.get(&mailbox).cloned().unwrap_or_default(),
        };
        Ok(Keywords::assign(named.iter().map(String::as_str)))
    }

    fn computed(&self) -> Result<&Computed> {
        load(&self.mail.computed, || {
            let mut mailboxes: HashMap<Id, Vec<Listed>> = HashMap::new();
            let mut named: HashMap<Id, Vec<String>> = HashMap::new();
            let mut known = std::collections::HashSet::new();
            self.reader.each_record(ObjectType::Mailbox, self.moment, |record| {
                known.insert(record.id);
            })?;
            let mut failed = None;
            self.each(ObjectType::Email, |record| {
                let size = match record.blob.map(|blob| self.reader.blob(blob)) {
                    Some(Ok(blob)) => blob.size,
                    // A missing blob is a file that cannot be read; `verify` names it.
                    Some(Err(error)) if error.kind == crate::error::ErrorKind::Damaged => DAMAGED_SIZE,
                    None => DAMAGED_SIZE,
                    Some(Err(error)) => {
                        failed = Some(error);
                        return;
                    }
                };
                let keywords = parse_keywords(record.text("keywords").unwrap_or("[]"));
                let mut places: Vec<Id> = parse_ids(record.text("mailbox_ids").unwrap_or("[]"));
                places.retain(|place| known.contains(place));
                if places.is_empty() {
                    places.push(UNFILED);
                }
                let links = places.len() as u32;
                for place in places {
                    let named = named.entry(place).or_default();
                    for keyword in keywords.iter().filter(|keyword| crate::format::maildir::needs_letter(keyword)) {
                        if named.len() < 26 && !named.iter().any(|known| known.eq_ignore_ascii_case(keyword)) {
                            named.push(keyword.clone());
                        }
                    }
                    let table = Keywords::assign(named.iter().map(String::as_str));
                    let flags = Flags::from_keywords(keywords.iter().map(String::as_str), &table).letters().into();
                    let received = epoch(record.text("received_at").unwrap_or_default());
                    mailboxes.entry(place).or_default().push(Listed {
                        email: record.id,
                        received,
                        size,
                        links,
                        flags,
                        first: record.first,
                    });
                }
            })?;
            if let Some(error) = failed {
                return Err(error);
            }
            mailboxes.values_mut().for_each(|listed| listed.sort_unstable_by_key(|listed| listed.email));
            Ok(Computed { mailboxes, keywords: named })
        })
    }
}

/// What a mailbox directory holds beside child mailboxes cannot be the name of one.
fn not_reserved(name: String) -> String {
    match name.as_str() {
        "cur" | "new" | "tmp" | "dovecot-keywords" => format!("%{:02X}{}", name.as_bytes()[0], &name[1..]),
        _ => name,
    }
}

/// `.A.B` for a mailbox in the Maildir++ layout, as Dovecot spells it.
pub(super) fn dotted(view: &View, mailbox: Id) -> Option<String> {
    use crate::format::maildir::{Spelling, join_dotted};
    let folders = view.folders().ok()?;
    let path = folders.path(mailbox);
    let parts: Vec<&str> = path.iter().map(|place| place.name.as_str()).collect();
    let name = (!parts.is_empty()).then(|| join_dotted(parts, Spelling::ModifiedUtf7))?;
    // A path of many levels can be longer than a name may be.
    if name.len() <= super::name::NAME_MAX { Some(name) } else { Some(format!("{}~{mailbox}", &name[..200])) }
}

//! The mail of a moment: its mailboxes, the messages in them, and their times.

use super::hierarchy::{Hierarchy, HierarchyRow};
use super::kinds::NodeKind;
use super::mail::{Arrival, ComputedMailboxes, MailboxData, MailboxTimes};
use super::name;
use super::node::ROW_MAX;
use super::stat::DAMAGED_SIZE;
use super::view::{View, load};
use crate::archive::{ListedEmail, MailboxState, Moment, UNFILED, epoch};
use crate::error::{ErrorKind, Result};
use crate::format::maildir::{Flags, Keywords, needs_letter};
use crate::model::{Id, ObjectType};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

/// The mailbox of messages that lie in none.
pub(super) const NO_MAILBOX: &str = "(no mailbox)";

impl View {
    /// The mailboxes. Messages that lie in none have a mailbox of their own, [`UNFILED`].
    pub(super) fn mailboxes(&self) -> Result<&Hierarchy<MailboxData>> {
        load(&self.mail.mailboxes, || {
            let mut rows = Vec::new();
            self.each(ObjectType::Mailbox, |record| {
                let mailbox = record.mailbox();
                let data = MailboxData {
                    role: mailbox.role.map(Cow::into_owned),
                    is_subscribed: mailbox.is_subscribed,
                    first: record.first,
                };
                rows.push((record.id, mailbox.parent, mailbox.name.into_owned(), data));
            })?;
            if self.holds_unfiled()? {
                rows.push((UNFILED, None, NO_MAILBOX.to_owned(), MailboxData::default()));
            }
            Ok(Hierarchy::new(rows, |raw| not_reserved(name::safe(raw, ""))))
        })
    }

    /// The mailbox that `mail/` itself is in the layout Maildir++: the one with that role, or else one of that name at the
    /// top. Without either it is a row that no mailbox has, so `mail/` shows an empty one.
    pub(super) fn inbox(&self) -> Result<Id> {
        let inbox = load(&self.mail.inbox, || {
            let has_role = |one: &&HierarchyRow<MailboxData>| one.data.role.as_deref() == Some("inbox");
            let has_name =
                |one: &&HierarchyRow<MailboxData>| one.parent.is_none() && one.raw.eq_ignore_ascii_case("inbox");
            let mailboxes = self.mailboxes()?;
            let by_role = mailboxes.all().filter(has_role).map(|one| one.id).min();
            let by_name = || mailboxes.all().filter(has_name).map(|one| one.id).min();
            Ok(by_role.or_else(by_name).unwrap_or(ROW_MAX))
        })?;
        Ok(*inbox)
    }

    fn holds_unfiled(&self) -> Result<bool> {
        match self.indexed() {
            Some(at) => self.reader.mailbox_holds_any(UNFILED, at),
            None => Ok(self.computed()?.messages.contains_key(&UNFILED)),
        }
    }

    /// The snapshot for which the archive's index can be asked.
    pub(super) fn indexed(&self) -> Option<i64> {
        match self.moment {
            Moment::Snapshot(at) if self.reader.has_index() => Some(at),
            _ => None,
        }
    }

    /// Messages of a mailbox with ids above `after`, at most `limit`, by id.
    pub(super) fn messages(&self, mailbox: Id, after: Id, limit: usize) -> Result<Vec<ListedEmail>> {
        if let Some(at) = self.indexed() {
            return self.reader.list_mailbox(mailbox, at, after, limit);
        }
        let all = self.computed()?.messages.get(&mailbox).map(Vec::as_slice).unwrap_or_default();
        let from = all.partition_point(|listed| listed.email <= after);
        Ok(all[from..].iter().take(limit).cloned().collect())
    }

    /// One message of a mailbox.
    pub(super) fn message(&self, mailbox: Id, email: Id) -> Result<Option<ListedEmail>> {
        match self.indexed() {
            Some(at) => self.reader.listed(mailbox, at, email),
            None => Ok(self.messages(mailbox, email - 1, 1)?.into_iter().find(|listed| listed.email == email)),
        }
    }

    /// All messages of a mailbox by the minute of their arrival.
    pub(super) fn arrivals(&self, mailbox: Id) -> Result<Arc<Vec<Arrival>>> {
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

    /// The sums of a mailbox.
    pub(super) fn mailbox_state(&self, mailbox: Id) -> Result<MailboxState> {
        if let Some(at) = self.indexed() {
            return self.reader.mailbox_state(mailbox, at);
        }
        let all = self.computed()?.messages.get(&mailbox).map(Vec::as_slice).unwrap_or_default();
        Ok(MailboxState {
            emails: all.len() as u64,
            bytes: all.iter().map(|listed| listed.size).sum(),
            newest: all.iter().map(|listed| listed.received).max().unwrap_or(0),
            made: 0,
            changed: 0,
        })
    }

    /// The times of a mailbox.
    pub(super) fn mailbox_times(&self, mailbox: Id) -> Result<MailboxTimes> {
        let fallback = MailboxTimes { own: self.time, deep: self.time, changed: self.time };
        Ok(load(&self.mail.times, || self.all_times())?.get(&mailbox).copied().unwrap_or(fallback))
    }

    /// The newest time of all mailboxes.
    pub(super) fn mail_time(&self) -> Result<i64> {
        let times = load(&self.mail.times, || self.all_times())?;
        Ok(times.values().map(|times| times.own).max().unwrap_or(self.time))
    }

    fn all_times(&self) -> Result<HashMap<Id, MailboxTimes>> {
        let mailboxes = self.mailboxes()?;
        let mut all = HashMap::new();
        for mailbox in mailboxes.all() {
            let state = self.mailbox_state(mailbox.id)?;
            // A mailbox that never held a message is as old as its row, not as the moment: nothing in it is new.
            let changed = match self.changed(state.changed)? {
                Some(time) => time,
                None => self.changed(mailbox.data.first)?.unwrap_or(self.time),
            };
            // A first import shows the dates of the mail. A later change must be seen by programs that compare the
            // time of a directory to know whether to look into it again, even if only old mail came or went.
            let own = match (state.newest, state.changed > state.made) {
                (newest, _) if state.emails == 0 && newest == 0 => changed,
                (newest, true) => newest.max(changed),
                (newest, false) => newest.max(1),
            };
            all.insert(mailbox.id, MailboxTimes { own, deep: own, changed });
        }
        let mut order: Vec<Id> = mailboxes.children(None).to_vec();
        let mut at = 0;
        while let Some(id) = order.get(at).copied() {
            order.extend(mailboxes.children(Some(id)));
            at += 1;
        }
        for id in order.into_iter().rev() {
            let deep = all.get(&id).map_or(0, |times: &MailboxTimes| times.deep);
            if let Some(parent) = mailboxes.get(id).and_then(|mailbox| mailbox.parent)
                && let Some(times) = all.get_mut(&parent)
            {
                times.deep = times.deep.max(deep);
            }
        }
        Ok(all)
    }

    /// The keywords that have letters in a mailbox.
    pub(super) fn keywords(&self, mailbox: Id) -> Result<Keywords> {
        let named: Vec<String> = match self.indexed() {
            Some(_) => self.reader.mailbox_keywords(mailbox)?.into_iter().map(|(_, keyword)| keyword).collect(),
            None => self.computed()?.keywords.get(&mailbox).cloned().unwrap_or_default(),
        };
        Ok(Keywords::assign(named.iter().map(String::as_str)))
    }

    fn computed(&self) -> Result<&ComputedMailboxes> {
        load(&self.mail.computed, || {
            let mut messages: HashMap<Id, Vec<ListedEmail>> = HashMap::new();
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
                    Some(Err(error)) if error.kind == ErrorKind::Damaged => DAMAGED_SIZE,
                    None => DAMAGED_SIZE,
                    Some(Err(error)) => {
                        failed = Some(error);
                        return;
                    }
                };
                let email = record.email();
                let (keywords, mut mailboxes) = (email.keywords, email.mailboxes);
                let received = epoch(&email.received_at);
                mailboxes.retain(|mailbox| known.contains(mailbox));
                if mailboxes.is_empty() {
                    mailboxes.push(UNFILED);
                }
                let links = mailboxes.len() as u32;
                for mailbox in mailboxes {
                    let named = named.entry(mailbox).or_default();
                    for keyword in keywords.iter().filter(|keyword| needs_letter(keyword)) {
                        if named.len() < 26 && !named.iter().any(|known| known.eq_ignore_ascii_case(keyword)) {
                            named.push(keyword.clone());
                        }
                    }
                    let table = Keywords::assign(named.iter().map(String::as_str));
                    let flags = Flags::from_keywords(keywords.iter().map(String::as_str), &table).letters().into();
                    messages.entry(mailbox).or_default().push(ListedEmail {
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
            messages.values_mut().for_each(|listed| listed.sort_unstable_by_key(|listed| listed.email));
            Ok(ComputedMailboxes { messages, keywords: named })
        })
    }
}

/// A mailbox in a mailbox cannot be named like `cur` and its other neighbours.
fn not_reserved(name: String) -> String {
    let mut reserved = NodeKind::Mailbox.fixed_children().filter(|child| child.position.layout.is_none());
    if !reserved.any(|child| child.position.name == name) {
        return name;
    }
    format!("%{:02X}{}", name.as_bytes()[0], &name[1..])
}

/// `.A.B` for a mailbox in the Maildir++ layout, as Dovecot spells it.
pub(super) fn dotted(view: &View, mailbox: Id) -> Option<String> {
    use crate::format::maildir::{Spelling, join_dotted};
    let path = view.mailboxes().ok()?.path(mailbox);
    let parts: Vec<&str> = path.iter().map(|one| one.name.as_str()).collect();
    let name = (!parts.is_empty()).then(|| join_dotted(parts, Spelling::ModifiedUtf7))?;
    // A path of many levels can be longer than a name may be.
    if name.len() <= name::NAME_MAX { Some(name) } else { Some(format!("{}~{mailbox}", &name[..200])) }
}

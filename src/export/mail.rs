//! The conversation with the target about messages.

use super::bytes::Bytes;
use super::match_mail::{Message, Pairing};
use super::report::Plan;
use super::retry::RetryPolicy;
use super::run::Run;
use crate::error::Result;
use crate::format::jmap::{self, Object};
use crate::model::ObjectType;
use crate::sink::{BLOB, Change, Outcome, RemoteEmail};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Keywords that JMAP allows, as a set (RFC 8621 section 4.1.1).
fn keywords(message: &Message) -> Object {
    message.keywords.iter().filter_map(|keyword| Some((jmap::keyword(keyword)?, json!(true)))).collect()
}

/// A message as `Email/import` wants it (RFC 8621 section 4.8).
fn import(message: &Message, mailboxes: Object) -> Object {
    let mut object = Object::new();
    object.insert(BLOB.to_owned(), json!(message.blob));
    object.insert("mailboxIds".to_owned(), Value::Object(mailboxes));
    object.insert("keywords".to_owned(), Value::Object(keywords(message)));
    if let Some(date) = message.received.and_then(|time| jmap::utc(&time.to_string())) {
        object.insert("receivedAt".to_owned(), json!(date));
    }
    object
}

/// Gives the size of a message with every line ended with CRLF; 0 where it cannot be read.
fn with_crlf(supply: &Bytes) -> impl FnMut(&Message) -> u64 {
    |message| supply.size_with_crlf(message.blob).unwrap_or(0)
}

impl Run<'_> {
    /// Looks at all emails of the target and finds the messages in them.
    pub(super) fn look_at_mail(&mut self) -> Result<()> {
        let (remotes, is_complete) = self.target.emails()?;
        let pairing = self.pair(&self.stock.messages, &remotes)?;
        self.mail.ended = vec![false; self.stock.messages.len()];
        self.mail.pairing = self.with_headers(pairing, &remotes)?;
        self.mail.remotes = remotes;
        self.mail.is_complete = is_complete;
        Ok(())
    }

    fn pair(&self, messages: &[Message], remotes: &[RemoteEmail]) -> Result<Pairing> {
        Ok(Pairing::new(messages, remotes, &mut with_crlf(&self.supply)))
    }

    fn with_headers(&mut self, mut pairing: Pairing, remotes: &[RemoteEmail]) -> Result<Pairing> {
        let mut places = pairing.doubtful(&self.stock.messages, remotes, &mut with_crlf(&self.supply));
        if self.options.prune {
            places.extend(pairing.unknown());
            places.sort_unstable();
            places.dedup();
        }
        let headers = self.headers(&places, remotes)?;
        pairing.with_headers(&self.stock.messages, remotes, &headers, &mut with_crlf(&self.supply));
        Ok(pairing)
    }

    fn headers(&mut self, places: &[usize], remotes: &[RemoteEmail]) -> Result<HashMap<usize, Vec<u8>>> {
        if places.is_empty() {
            return Ok(HashMap::new());
        }
        let ids: Vec<String> = places.iter().map(|place| remotes[*place].id.clone()).collect();
        let places: HashMap<&str, usize> = places.iter().map(|place| (remotes[*place].id.as_str(), *place)).collect();
        let headers = self.target.headers(&ids)?;
        Ok(headers.into_iter().filter_map(|(id, header)| Some((*places.get(id.as_str())?, header))).collect())
    }

    /// What a message is called in reports: its Message-ID, else its row.
    fn label(&self, message: &Message) -> String {
        let record = self.supply.reader.record(ObjectType::Email, self.supply.moment, message.row).ok().flatten();
        let json = record.as_ref().and_then(|record| record.text("message_match")).unwrap_or("{}");
        let value: Value = serde_json::from_str(json).unwrap_or_default();
        let id = value.get("m").and_then(|ids| ids.get(0)).and_then(Value::as_str);
        let name = id.map_or_else(|| format!("email {} without Message-ID", message.row), |id| format!("<{id}>"));
        let places: Vec<String> = message.mailboxes.iter().filter_map(|row| self.mailbox_name(*row)).collect();
        let date = message.received.map(|time| crate::archive::rfc3339(time.as_second())).unwrap_or_default();
        format!("{name} in {} of {date} ({} bytes)", places.join(", "), message.size)
    }

    fn mailbox_name(&self, row: crate::model::Id) -> Option<String> {
        let work = self.works.get(&ObjectType::Mailbox)?;
        work.wanted.iter().find(|one| one.id == row).map(|one| one.label.clone())
    }

    pub(super) fn plan_mail(&self, plan: &mut Plan) {
        if self.stock.messages.is_empty() {
            return;
        }
        let step = plan.of(ObjectType::Email);
        for (at, message) in self.stock.messages.iter().enumerate() {
            match self.mail.pairing.found[at] {
                None => step.create(|| self.label(message)),
                Some(place) if self.email_patch(message, &self.mail.remotes[place]).is_some() => {
                    step.update(|| self.label(message));
                }
                Some(_) => step.keep += 1,
            }
        }
    }

    pub(super) fn planned_mail(&mut self) {
        for (at, message) in self.stock.messages.iter().enumerate() {
            let found = self.mail.pairing.found[at].map(|place| &self.mail.remotes[place]);
            let differs = found.is_some_and(|remote| self.email_patch(message, remote).is_some());
            let account = self.report.of(ObjectType::Email);
            match found {
                None => account.created += 1,
                Some(_) if differs => account.updated += 1,
                Some(_) => account.matched += 1,
            }
        }
    }

    fn mailbox_ids(&self, message: &Message) -> Object {
        let ids = message.mailboxes.iter().filter_map(|row| self.id_of(ObjectType::Mailbox, *row));
        ids.map(|id| (id.clone(), json!(true))).collect()
    }

    /// What has to change at an email. `None` if nothing has to.
    fn email_patch(&self, message: &Message, remote: &RemoteEmail) -> Option<Object> {
        let (update, into) = (self.options.update, self.options.selection.into.is_some());
        if !update && !into {
            return None;
        }
        let mut mailboxes: BTreeSet<String> = message
            .mailboxes
            .iter()
            .map(|row| self.id_of(ObjectType::Mailbox, *row).cloned().unwrap_or_else(|| format!("new-{row}")))
            .collect();
        if into {
            // Into a new place as well, and not out of the old ones.
            mailboxes.extend(remote.mailboxes.iter().cloned());
        }
        let mut patch = Object::new();
        if !mailboxes.iter().eq(remote.mailboxes.iter()) {
            let set: Object = mailboxes.into_iter().map(|id| (id, json!(true))).collect();
            patch.insert("mailboxIds".to_owned(), Value::Object(set));
        }
        let keywords = keywords(message);
        let is_same = keywords.len() == remote.keywords.len()
            && remote.keywords.iter().all(|keyword| keywords.contains_key(&keyword.to_ascii_lowercase()));
        if update && !is_same {
            patch.insert("keywords".to_owned(), Value::Object(keywords));
        }
        (!patch.is_empty()).then_some(patch)
    }

    /// Sends what is missing, and changes what is there.
    pub(super) fn apply_mail(&mut self) -> Result<()> {
        if self.stock.messages.is_empty() {
            return Ok(());
        }
        self.progress.step("sending messages");
        let missing: Vec<usize> =
            (0..self.stock.messages.len()).filter(|at| self.mail.pairing.found[*at].is_none()).collect();
        self.progress.expect(missing.len() as u64);
        self.send(missing)?;
        self.change_emails()
    }

    fn send(&mut self, missing: Vec<usize>) -> Result<()> {
        let mut open: BTreeMap<usize, Option<String>> = BTreeMap::new();
        for at in missing {
            if self.mailbox_ids(&self.stock.messages[at]).is_empty() {
                self.fail_email(at, "none of its mailboxes could be made");
            } else {
                open.insert(at, None);
            }
        }
        let mut patience = RetryPolicy::new(self.options.max_retries);
        let mut reasons: BTreeMap<usize, String> = BTreeMap::new();
        while !open.is_empty() {
            let before = open.len();
            let places: Vec<usize> = open.keys().copied().collect();
            self.target.expect(places.len() as u64);
            let (told, written) = self.send_once(&places, patience.batch);
            for (at, outcome) in told {
                match outcome {
                    Outcome::Done(..) => {
                        open.remove(&at);
                        self.end_email(at);
                    }
                    Outcome::Refused(reason) => {
                        open.remove(&at);
                        self.refuse_email(at, &reason);
                    }
                    Outcome::Full(reason) => {
                        open.remove(&at);
                        self.fail_email(at, &reason);
                    }
                    Outcome::Exists(id, reason) => {
                        open.insert(at, Some(id.unwrap_or_default()));
                        reasons.insert(at, reason);
                    }
                    Outcome::Unknown(reason) => drop(reasons.insert(at, reason)),
                }
            }
            written?;
            if open.is_empty() {
                break;
            }
            // What is open may have arrived: the target says so.
            self.recognise(&mut open, &reasons)?;
            if !open.is_empty() && !patience.again(open.len() < before, self.progress)? {
                for at in std::mem::take(&mut open).into_keys() {
                    let reason = reasons.get(&at).cloned().unwrap_or_else(|| "the target did not answer".to_owned());
                    self.fail_email(at, &reason);
                }
            }
        }
        Ok(())
    }

    fn send_once(&mut self, places: &[usize], batch: usize) -> (Vec<(usize, Outcome)>, Result<()>) {
        // Each object is made when its turn comes: all of them at once would be large.
        let Run { target, stock, ids, supply, progress, .. } = self;
        let messages = &stock.messages;
        let lost = &stock.lost;
        let mut changes = places.iter().map(|at| {
            let message = &messages[*at];
            let mailboxes: Object = message
                .mailboxes
                .iter()
                .filter_map(|row| {
                    let row = if lost.contains(&(ObjectType::Mailbox, *row)) { crate::archive::UNFILED } else { *row };
                    Some((ids.get(&(ObjectType::Mailbox, row))?.clone(), json!(true)))
                })
                .collect();
            (*at, Change::Create(import(message, mailboxes)))
        });
        let mut outcomes = Vec::new();
        let written = target.write(ObjectType::Email, &mut changes, batch, supply, &mut |at, outcome| {
            progress.item(messages[at].size);
            outcomes.push((at, outcome));
        });
        (outcomes, written)
    }

    /// Finds open messages at the target after all.
    fn recognise(
        &mut self,
        open: &mut BTreeMap<usize, Option<String>>,
        reasons: &BTreeMap<usize, String>,
    ) -> Result<()> {
        let known: HashSet<String> = self
            .mail
            .pairing
            .found
            .iter()
            .flatten()
            .map(|place| self.mail.remotes[*place].id.clone())
            .chain(self.mail.sent.iter().cloned())
            .collect();
        let (remotes, is_complete) = self.target.emails()?;
        let remotes: Vec<RemoteEmail> = remotes.into_iter().filter(|remote| !known.contains(&remote.id)).collect();
        let places: Vec<usize> = open.keys().copied().collect();
        let messages: Vec<Message> = places.iter().map(|at| self.stock.messages[*at].clone()).collect();
        let mut pairing = self.pair(&messages, &remotes)?;
        let doubtful = pairing.doubtful(&messages, &remotes, &mut with_crlf(&self.supply));
        let headers = self.headers(&doubtful, &remotes)?;
        pairing.with_headers(&messages, &remotes, &headers, &mut with_crlf(&self.supply));
        for (index, at) in places.into_iter().enumerate() {
            let named = open.get(&at).cloned().flatten();
            let found = pairing.found[index].map(|place| remotes[place].id.clone());
            let is_named = named.as_deref().filter(|id| !id.is_empty());
            let is_named = is_named.filter(|id| known.contains(*id) || remotes.iter().any(|remote| remote.id == **id));
            match (found, is_named) {
                (Some(id), _) => {
                    self.mail.sent.insert(id);
                    open.remove(&at);
                    // What nobody said exists already is what we sent.
                    if named.is_none() { self.end_email(at) } else { self.match_email(at) }
                }
                (None, Some(id)) => {
                    let reason = reasons.get(&at).cloned().unwrap_or_default();
                    let label = self.label(&self.stock.messages[at]);
                    let remark = format!("the target says that it is its email {id}: {reason}");
                    self.report.remark(ObjectType::Email, "matched", remark, label);
                    open.remove(&at);
                    self.match_email(at);
                }
                (None, None) => {
                    open.insert(at, None);
                }
            }
        }
        self.mail.is_complete &= is_complete;
        Ok(())
    }

    /// A message that was sent.
    fn end_email(&mut self, at: usize) {
        self.mail.ended[at] = true;
        let message = &self.stock.messages[at];
        self.report.bytes += message.size;
        self.report.of(ObjectType::Email).created += 1;
        let message = &self.stock.messages[at];
        let dropped: Vec<&str> =
            message.keywords.iter().map(String::as_str).filter(|it| jmap::keyword(it).is_none()).collect();
        let changed: Vec<&str> = message
            .keywords
            .iter()
            .map(String::as_str)
            .filter(|it| jmap::keyword(it).is_some_and(|legal| legal != it.to_lowercase()))
            .collect();
        for (words, what) in [(dropped, "without the keywords"), (changed, "with other letters in the keywords")] {
            if !words.is_empty() {
                let remark = format!("{what} {}, which JMAP does not allow", words.join(" "));
                let label = self.label(&self.stock.messages[at]);
                self.report.remark(ObjectType::Email, "created", remark, label);
            }
        }
    }

    fn match_email(&mut self, at: usize) {
        self.mail.ended[at] = true;
        self.report.of(ObjectType::Email).matched += 1;
    }

    fn fail_email(&mut self, at: usize, reason: &str) {
        self.mail.ended[at] = true;
        let label = self.label(&self.stock.messages[at]);
        self.report.fail(ObjectType::Email, 1, reason, label);
    }

    /// A message that the target does not take, and will not the next time.
    fn refuse_email(&mut self, at: usize, reason: &str) {
        self.mail.ended[at] = true;
        let label = self.label(&self.stock.messages[at]);
        self.report.refuse(ObjectType::Email, reason, label);
    }

    /// Says how many messages are at the account, but not where the archive has them: in the trash, perhaps.
    fn tell_elsewhere(&mut self) {
        if self.options.update || self.options.selection.into.is_some() {
            return;
        }
        let found = self.stock.messages.iter().zip(&self.mail.pairing.found);
        let found = found.filter_map(|(message, place)| Some((message, &self.mail.remotes[(*place)?])));
        let is_elsewhere = |(message, remote): &(&Message, &RemoteEmail)| {
            let mut ids = message.mailboxes.iter().filter_map(|row| self.id_of(ObjectType::Mailbox, *row));
            !ids.any(|id| remote.mailboxes.contains(id))
        };
        let elsewhere: Vec<&Message> = found.filter(is_elsewhere).map(|(message, _)| message).collect();
        let Some(first) = elsewhere.first() else { return };
        let note = format!(
            "{} of the messages that the account has lie in other folders than in the archive (the trash?), as {}; --update moves them there",
            elsewhere.len(),
            self.label(first)
        );
        self.report.notes.push(note);
    }

    /// Keywords and mailboxes of what is there.
    fn change_emails(&mut self) -> Result<()> {
        self.tell_elsewhere();
        let mut open: BTreeMap<usize, (String, Object)> = BTreeMap::new();
        for at in 0..self.stock.messages.len() {
            let Some(place) = self.mail.pairing.found[at] else { continue };
            let remote = &self.mail.remotes[place];
            match self.email_patch(&self.stock.messages[at], remote) {
                Some(patch) => drop(open.insert(at, (remote.id.clone(), patch))),
                None => self.match_email(at),
            }
        }
        let mut patience = RetryPolicy::new(self.options.max_retries);
        let mut reasons: BTreeMap<usize, String> = BTreeMap::new();
        while !open.is_empty() {
            let before = open.len();
            let mut changes = open.clone().into_iter().map(|(at, (id, patch))| (at, Change::Update(id, patch)));
            let mut outcomes = Vec::new();
            let written =
                self.target.write(ObjectType::Email, &mut changes, patience.batch, &self.supply, &mut |at, outcome| {
                    outcomes.push((at, outcome));
                });
            for (at, outcome) in outcomes {
                match outcome {
                    Outcome::Done(..) => {
                        open.remove(&at);
                        self.mail.ended[at] = true;
                        self.report.of(ObjectType::Email).updated += 1;
                    }
                    Outcome::Unknown(reason) => drop(reasons.insert(at, reason)),
                    Outcome::Exists(_, reason) | Outcome::Refused(reason) => {
                        open.remove(&at);
                        self.refuse_email(at, &reason);
                    }
                    Outcome::Full(reason) => {
                        open.remove(&at);
                        self.fail_email(at, &reason);
                    }
                }
            }
            written?;
            if !open.is_empty() && !patience.again(open.len() < before, self.progress)? {
                for at in std::mem::take(&mut open).into_keys() {
                    let reason = reasons.get(&at).cloned().unwrap_or_else(|| "the target did not answer".to_owned());
                    self.fail_email(at, &reason);
                }
            }
        }
        Ok(())
    }
}

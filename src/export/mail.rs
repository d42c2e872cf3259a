//! The conversation with the target about messages.

use super::bytes::Bytes;
use super::match_mail::{MailboxIds, Message, Pairing};
use super::report::Plan;
use super::retry::{Attempt, Changes, Reasons, Rest, Task, reason_of, settle};
use super::run::{Ids, Lost, PLANNED, Run, id_of};
use crate::archive::{UNFILED, rfc3339};
use crate::error::Result;
use crate::format::mail::MessageMatch;
use crate::model::{Id, ObjectType};
use crate::sink::{Change, EmailUpdate, Filing, NewEmail, Outcome, RemoteEmail};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Gives the size of a message with every line ended with CRLF; 0 where it cannot be read.
fn with_crlf(supply: &Bytes) -> impl FnMut(&Message) -> u64 {
    |message| supply.size_with_crlf(message.blob).unwrap_or(0)
}

impl Run<'_> {
    /// Looks at all emails of the target and finds the messages in them.
    pub(super) fn look_at_mail(&mut self) -> Result<()> {
        let within = self.mailboxes_of_messages();
        let (remotes, is_complete) = self.target.emails(within.as_ref())?;
        let pairing = self.pair(&self.stock.messages, &remotes);
        self.mail.ended = vec![false; self.stock.messages.len()];
        self.mail.pairing = self.with_headers(pairing, &remotes)?;
        self.find_old_twins(&remotes)?;
        self.mail.remotes = remotes;
        self.mail.is_complete = is_complete;
        Ok(())
    }

    /// The mailboxes in which copies may be that the archive has; `None` where all have to be looked at.
    pub(super) fn mailboxes_of_messages(&self) -> Option<BTreeSet<String>> {
        let is_enough = self.target.filing() == Filing::Copies && !self.options.needs_all_emails();
        let rows: BTreeSet<Id> =
            self.stock.messages.iter().flat_map(|message| message.mailboxes.iter().copied()).collect();
        let id = |row: Id| id_of(&self.ids, &self.stock.lost, ObjectType::Mailbox, row).cloned();
        is_enough.then(|| rows.into_iter().filter_map(id).collect())
    }

    fn pair(&self, messages: &[Message], remotes: &[RemoteEmail]) -> Pairing {
        let ids = self.ids.iter().filter(|((kind, _), _)| *kind == ObjectType::Mailbox);
        let mut ids: MailboxIds = ids.map(|((_, row), id)| (*row, id.clone())).collect();
        if let Some(id) = ids.get(&UNFILED).cloned() {
            let lost = self.stock.lost.iter().filter(|(kind, _)| *kind == ObjectType::Mailbox);
            ids.extend(lost.map(|(_, row)| (*row, id.clone())));
        }
        let mailboxes = (self.target.filing() == Filing::Copies).then_some(ids);
        Pairing::new(messages, remotes, mailboxes, &mut with_crlf(&self.supply))
    }

    /// Ids of the emails that are messages of the archive.
    fn known_emails(&self) -> HashSet<String> {
        let found = self.mail.pairing.found.iter().flatten().map(|place| self.mail.remotes[*place].id.clone());
        found.chain(self.mail.sent.iter().cloned()).collect()
    }

    fn with_headers(&mut self, mut pairing: Pairing, remotes: &[RemoteEmail]) -> Result<Pairing> {
        let mut places = pairing.doubtful(&self.stock.messages, remotes, &mut with_crlf(&self.supply));
        if self.options.needs_all_emails() {
            places.extend(pairing.unknown());
            places.sort_unstable();
            places.dedup();
        }
        let headers = self.headers(&places, remotes)?;
        pairing.with_headers(&self.stock.messages, remotes, &headers, &mut with_crlf(&self.supply));
        Ok(pairing)
    }

    pub(super) fn headers(&mut self, places: &[usize], remotes: &[RemoteEmail]) -> Result<HashMap<usize, Vec<u8>>> {
        if places.is_empty() {
            return Ok(HashMap::new());
        }
        let ids: Vec<String> = places.iter().map(|place| remotes[*place].id.clone()).collect();
        let places: HashMap<&str, usize> = places.iter().map(|place| (remotes[*place].id.as_str(), *place)).collect();
        let headers = self.target.headers(&ids)?;
        Ok(headers.into_iter().filter_map(|(id, header)| Some((*places.get(id.as_str())?, header))).collect())
    }

    /// What a message is called in reports: its Message-ID, else its row.
    pub(super) fn label(&self, message: &Message) -> String {
        let record = self.supply.reader.record(ObjectType::Email, self.supply.moment, message.row).ok().flatten();
        let ids = record.map(|record| MessageMatch::parse(&record.email().message_match).message_ids);
        let id = ids.and_then(|ids| ids.into_iter().next());
        let name = id.map_or_else(|| format!("email {} without Message-ID", message.row), |id| format!("<{id}>"));
        let places: Vec<String> = message.mailboxes.iter().filter_map(|row| self.mailbox_name(*row)).collect();
        let date = message.received.map(|time| rfc3339(time.as_second())).unwrap_or_default();
        format!("{name} in {} of {date} ({} bytes)", places.join(", "), message.size)
    }

    fn mailbox_name(&self, row: Id) -> Option<String> {
        let work = self.works.get(&ObjectType::Mailbox)?;
        work.wanted.iter().find(|one| one.id == row).map(|one| one.draft.label.clone())
    }

    pub(super) fn plan_mail(&self, plan: &mut Plan) {
        if self.stock.messages.is_empty() {
            return;
        }
        let step = plan.of(ObjectType::Email);
        for (at, message) in self.stock.messages.iter().enumerate() {
            match self.mail.pairing.found[at] {
                None => step.create(|| self.label(message)),
                Some(place) if self.email_update(message, &self.mail.remotes[place]).is_some() => {
                    step.update(|| self.label(message));
                }
                Some(_) => step.keep += 1,
            }
        }
    }

    pub(super) fn planned_mail(&mut self) {
        self.tell_old_twins();
        for at in 0..self.stock.messages.len() {
            let found = self.mail.pairing.found[at].map(|place| &self.mail.remotes[place]);
            let differs = found.map(|remote| self.email_update(&self.stock.messages[at], remote).is_some());
            let account = self.report.of(ObjectType::Email);
            match differs {
                None => {
                    account.created += 1;
                    self.tell_keywords(at, PLANNED);
                }
                Some(true) => account.updated += 1,
                Some(false) => account.matched += 1,
            }
        }
    }

    /// Ids of the mailboxes that there are of those that a message lies in, sorted.
    fn mailbox_ids(&self, message: &Message) -> Vec<String> {
        mailbox_ids(&self.ids, &self.stock.lost, message)
    }

    /// The size of a message with every line ended with CRLF; 0 where it cannot be read.
    pub(super) fn size_with_crlf(&self, message: &Message) -> u64 {
        with_crlf(&self.supply)(message)
    }

    /// Keywords that the target takes, sorted.
    fn keywords(&self, message: &Message) -> Vec<String> {
        let taken = message.keywords.iter().filter_map(|keyword| self.target.keyword(keyword));
        taken.collect::<BTreeSet<String>>().into_iter().collect()
    }

    /// What has to change at an email. `None` if nothing has to.
    pub(super) fn email_update(&self, message: &Message, remote: &RemoteEmail) -> Option<EmailUpdate> {
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
        let mut change = EmailUpdate::default();
        if !mailboxes.iter().eq(remote.mailboxes.iter()) {
            change.mailboxes = Some(mailboxes.into_iter().collect());
        }
        if update && !self.has_keywords(message, remote) {
            change.keywords = Some(self.keywords(message));
        }
        (change != EmailUpdate::default()).then_some(change)
    }

    /// Sends what is missing, and changes what is there.
    pub(super) fn apply_mail(&mut self) -> Result<()> {
        if self.stock.messages.is_empty() {
            return Ok(());
        }
        self.tell_old_twins();
        // `--prune` removes what it has named, and sends that again.
        if self.mail.is_stale && !self.options.prune {
            self.look_at_mail()?;
        }
        let mut missing = self.missing();
        // What a killed run had sent may arrive only now. `--prune` removes what it has named, so nothing is added to that.
        if self.target.filing() == Filing::Copies && !missing.is_empty() && !self.options.prune {
            self.target.rest(ObjectType::Email)?;
            if self.target.has_strangers(ObjectType::Email)? {
                self.look_at_mail()?;
                missing = self.missing();
            }
        }
        self.progress.step("sending messages");
        self.progress.expect(ObjectType::Email.token(), missing.len() as u64);
        let has_doubts = self.send(missing)?;
        self.remove_mail_twins(has_doubts)?;
        self.change_emails()
    }

    /// Messages that the target has not.
    fn missing(&self) -> Vec<usize> {
        (0..self.stock.messages.len()).filter(|at| self.mail.pairing.found[*at].is_none()).collect()
    }

    /// Sends messages. True if it was not clear of some whether they had arrived.
    fn send(&mut self, missing: Vec<usize>) -> Result<bool> {
        let mut open = BTreeMap::new();
        for at in missing {
            if self.mailbox_ids(&self.stock.messages[at]).is_empty() {
                self.fail_email(at, "none of its mailboxes could be made");
            } else {
                open.insert(at, None);
            }
        }
        let (several, alike) = self.copies(&open.keys().copied().collect::<Vec<usize>>());
        let mut sending = Sending { open, has_doubts: false, several, alike };
        settle(self, &mut sending)?;
        Ok(sending.has_doubts)
    }

    /// Which of these messages need not be sent where the target can copy them: the blobs that come more than once, and the
    /// emails that are there in another mailbox, with the same keywords and time of arrival.
    fn copies(&self, missing: &[usize]) -> (HashSet<Id>, HashMap<usize, usize>) {
        if self.target.filing() != Filing::Copies {
            return (HashSet::new(), HashMap::new());
        }
        let messages = &self.stock.messages;
        let mut blobs: Vec<Id> = missing.iter().map(|at| messages[*at].blob).collect();
        blobs.sort_unstable();
        let several = blobs.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
        let mut there: HashMap<Id, Vec<usize>> = HashMap::new();
        for (message, place) in messages.iter().zip(&self.mail.pairing.found) {
            if let Some(place) = place
                && blobs.binary_search(&message.blob).is_ok()
            {
                there.entry(message.blob).or_default().push(*place);
            }
        }
        let is_alike = |message: &Message, place: &usize| {
            let remote = &self.mail.remotes[*place];
            message.received.is_some_and(|time| time.as_second() == remote.received)
                && self.has_keywords(message, remote)
                && (remote.size == message.size || remote.size == with_crlf(&self.supply)(message))
        };
        let alike = missing.iter().filter_map(|at| {
            let places = there.get(&messages[*at].blob)?;
            Some((*at, *places.iter().find(|place| is_alike(&messages[*at], place))?))
        });
        (several, alike.collect())
    }

    /// True if an email has the keywords of a message, as far as the target takes them.
    fn has_keywords(&self, message: &Message, remote: &RemoteEmail) -> bool {
        let theirs: BTreeSet<String> = remote.keywords.iter().map(|keyword| keyword.to_ascii_lowercase()).collect();
        let ours = self.keywords(message);
        ours.len() == remote.keywords.len() && ours.iter().eq(theirs.iter())
    }

    /// A message that is there now.
    fn end_email(&mut self, at: usize, remark: Option<String>) {
        self.mail.ended[at] = true;
        self.remark_email(at, "created", remark);
        self.report.of(ObjectType::Email).created += 1;
        self.tell_keywords(at, "created");
    }

    /// Says which keywords of a message the target does not take, or takes in another form.
    fn tell_keywords(&mut self, at: usize, outcome: &'static str) {
        let message = &self.stock.messages[at];
        let all = message.keywords.iter().map(|keyword| (keyword.as_str(), self.target.keyword(keyword)));
        let (mut dropped, mut changed) = (Vec::new(), Vec::new());
        for (keyword, taken) in all {
            match taken {
                None => dropped.push(keyword),
                Some(taken) if taken != keyword.to_lowercase() => changed.push(keyword),
                Some(_) => {}
            }
        }
        for (words, what) in [(dropped, "without the keywords"), (changed, "with other letters in the keywords")] {
            if !words.is_empty() {
                let remark = format!("{what} {}, which the account does not take", words.join(" "));
                let label = self.label(message);
                self.report.remark(ObjectType::Email, outcome, remark, label);
            }
        }
    }

    fn remark_email(&mut self, at: usize, outcome: &'static str, remark: Option<String>) {
        if let Some(remark) = remark {
            let label = self.label(&self.stock.messages[at]);
            self.report.remark(ObjectType::Email, outcome, remark, label);
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
        let mut open = BTreeMap::new();
        for at in 0..self.stock.messages.len() {
            let Some(place) = self.mail.pairing.found[at] else { continue };
            let remote = &self.mail.remotes[place];
            match self.email_update(&self.stock.messages[at], remote) {
                Some(update) => drop(open.insert(at, Change::UpdateEmail(remote.id.clone(), update))),
                None => self.match_email(at),
            }
        }
        let ended = |run: &mut Run<'_>, at: usize, outcome: Outcome| match outcome {
            Outcome::Done(_, remark) | Outcome::Copied(remark) => {
                run.mail.ended[at] = true;
                run.report.of(ObjectType::Email).updated += 1;
                run.remark_email(at, "updated", remark);
            }
            Outcome::Same(remark) => {
                run.remark_email(at, "matched", Some(remark));
                run.match_email(at);
            }
            Outcome::Exists(_, reason) | Outcome::Refused(reason) | Outcome::Kept(reason) => {
                run.refuse_email(at, &reason);
            }
            Outcome::Full(reason) | Outcome::Unknown(reason) => run.fail_email(at, &reason),
        };
        settle(self, &mut Changes { kind: ObjectType::Email, open, ended: &ended })
    }
}

/// Ids of the mailboxes that there are of those that a message lies in, sorted.
fn mailbox_ids(ids: &Ids, lost: &Lost, message: &Message) -> Vec<String> {
    let ids = message.mailboxes.iter().filter_map(|row| id_of(ids, lost, ObjectType::Mailbox, *row)).cloned();
    ids.collect::<BTreeSet<String>>().into_iter().collect()
}

/// Messages on their way: by place, with the id under which the target says that it has one.
struct Sending {
    open: BTreeMap<usize, Option<String>>,
    /// The target was looked at again after a lost answer.
    has_doubts: bool,
    /// Blobs that are sent more than once, where the target keeps copies.
    several: HashSet<Id>,
    /// By message: the place of the email that is the same one in another mailbox.
    alike: HashMap<usize, usize>,
}

impl Task for Sending {
    fn attempt(&mut self, run: &mut Run<'_>, batch: usize) -> Attempt {
        let Run { target, stock, ids, supply, progress, mail, .. } = run;
        target.expect(self.open.len() as u64);
        // Each change is made when its turn comes: all of them at once would take much memory.
        let mut changes = self.open.keys().map(|at| {
            let message = &stock.messages[*at];
            let email = NewEmail {
                blob: message.blob,
                mailboxes: mailbox_ids(ids, &stock.lost, message),
                keywords: message.keywords.to_vec(),
                received: message.received,
                has_copies: self.several.contains(&message.blob),
                copy_of: self.alike.get(at).map(|place| mail.remotes[*place].id.clone()),
            };
            (*at, Change::CreateEmail(email))
        });
        let mut outcomes = Vec::new();
        let ended = target.write(ObjectType::Email, &mut changes, batch, supply, &mut |at, outcome| {
            progress.item(stock.messages[at].size);
            outcomes.push((at, outcome));
        });
        (outcomes, ended)
    }

    fn note(&mut self, run: &mut Run<'_>, at: usize, outcome: Outcome) -> Option<String> {
        match outcome {
            Outcome::Done(_, remark) => {
                run.report.bytes += run.stock.messages[at].size;
                run.end_email(at, remark);
            }
            Outcome::Copied(remark) => run.end_email(at, remark),
            Outcome::Refused(reason) | Outcome::Kept(reason) | Outcome::Same(reason) => run.refuse_email(at, &reason),
            Outcome::Full(reason) => run.fail_email(at, &reason),
            Outcome::Exists(id, reason) => {
                self.open.insert(at, Some(id.unwrap_or_default()));
                return Some(reason);
            }
            Outcome::Unknown(reason) => return Some(reason),
        }
        self.open.remove(&at);
        None
    }

    fn rest(&self, _: &Run<'_>) -> Rest {
        if self.open.is_empty() { Rest::Nothing } else { Rest::Open }
    }

    /// Looks whether messages without an outcome have arrived at the target.
    fn look_again(&mut self, run: &mut Run<'_>, reasons: &Reasons) -> Result<bool> {
        self.has_doubts = true;
        let before = self.open.len();
        let known: HashSet<String> = run.known_emails();
        let within = run.mailboxes_of_messages();
        let (remotes, is_complete) = run.target.emails(within.as_ref())?;
        let remotes: Vec<RemoteEmail> = remotes.into_iter().filter(|remote| !known.contains(&remote.id)).collect();
        let places: Vec<usize> = self.open.keys().copied().collect();
        let messages: Vec<Message> = places.iter().map(|at| run.stock.messages[*at].clone()).collect();
        let mut pairing = run.pair(&messages, &remotes);
        let doubtful = pairing.doubtful(&messages, &remotes, &mut with_crlf(&run.supply));
        let headers = run.headers(&doubtful, &remotes)?;
        pairing.with_headers(&messages, &remotes, &headers, &mut with_crlf(&run.supply));
        for (index, at) in places.into_iter().enumerate() {
            let named = self.open.get(&at).cloned().flatten();
            let found = pairing.found[index].map(|place| remotes[place].id.clone());
            let is_named = named.as_deref().filter(|id| !id.is_empty());
            let is_named = is_named.filter(|id| known.contains(*id) || remotes.iter().any(|remote| remote.id == **id));
            match (found, is_named) {
                (Some(id), _) => {
                    run.mail.sent.insert(id);
                    // Unless the target said that it had the message before, this run sent it.
                    if named.is_none() {
                        run.report.bytes += run.stock.messages[at].size;
                        run.end_email(at, None);
                    } else {
                        run.match_email(at);
                    }
                }
                (None, Some(id)) => {
                    let reason = reasons.get(&at).cloned().unwrap_or_default();
                    let label = run.label(&run.stock.messages[at]);
                    let remark = format!("the target says that it is its email {id}: {reason}");
                    run.report.remark(ObjectType::Email, "matched", remark, label);
                    run.match_email(at);
                }
                (None, None) => {
                    self.open.insert(at, None);
                    continue;
                }
            }
            self.open.remove(&at);
        }
        run.mail.is_complete &= is_complete;
        Ok(self.open.len() < before)
    }

    fn give_up(&mut self, run: &mut Run<'_>, reasons: &Reasons) {
        for at in std::mem::take(&mut self.open).into_keys() {
            run.fail_email(at, &reason_of(reasons, at));
        }
    }
}

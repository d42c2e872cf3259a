//! Messages that came twice while a run went on: from a run that was killed just before, whose last commands the server was
//! still doing, or from another run at the same time.

use super::match_mail::{Key, Message};
use super::run::Run;
use crate::error::Result;
use crate::model::ObjectType;
use crate::sink::{Filing, RemoteEmail, RemoteKey};
use std::collections::{HashMap, HashSet};

impl Run<'_> {
    /// Removes such copies, where the target keeps one in each mailbox. A copy goes only if it came since this run began, this
    /// run or another one sent the same message, and Message-ID, size and date of arrival are equal: mail that arrives has
    /// another date. The one that came first stays, so two runs at once leave the same one.
    pub(super) fn remove_mail_twins(&mut self, has_doubts: bool) -> Result<()> {
        let kind = ObjectType::Email;
        if self.target.filing() != Filing::Copies || self.report.of(kind).created == 0 {
            return Ok(());
        }
        if !has_doubts && !self.target.has_strangers(kind)? {
            return Ok(());
        }
        self.target.rest(kind)?;
        let within = self.mailboxes_of_messages();
        let (mut remotes, _) = self.target.emails(within.as_ref())?;
        let before: HashSet<&str> = self.mail.remotes.iter().map(|remote| remote.id.as_str()).collect();
        remotes.retain(|remote| !before.contains(remote.id.as_str()));
        let groups = self.twins(&remotes, |_| 1)?;
        let mut twins: Vec<usize> = groups.into_iter().flat_map(|mut places| places.split_off(1)).collect();
        if twins.is_empty() {
            return Ok(());
        }
        twins.sort_unstable();
        let twins: Vec<String> = twins.into_iter().map(|at| remotes[at].id.clone()).collect();
        self.remove_again(kind, &twins, "messages had come twice, as after a run that was killed")
    }

    /// Finds copies that were there twice when the run began: what a killed run had sent may have arrived after its end, or two
    /// runs were killed. A plain run leaves them.
    pub(super) fn find_old_twins(&mut self, remotes: &[RemoteEmail]) -> Result<()> {
        self.mail.twins.clear();
        if self.target.filing() != Filing::Copies {
            return Ok(());
        }
        // Where the archive has several rows of one message in a mailbox, several are right.
        let groups = self.twins(remotes, |message| message.rows as usize)?;
        let known: HashSet<usize> = self.mail.pairing.found.iter().flatten().copied().collect();
        for mut places in groups {
            let first = places.iter().position(|place| known.contains(place)).unwrap_or_default();
            places.remove(first);
            self.mail.twins.extend(places.into_iter().filter(|place| !known.contains(place)));
        }
        self.mail.twins.sort_unstable();
        Ok(())
    }

    /// Says which messages were there twice. `--prune` names and removes them.
    pub(super) fn tell_old_twins(&mut self) {
        let Some(first) = self.mail.twins.first().filter(|_| !self.options.prune) else { return };
        let note = format!(
            "{} messages are in the account twice, with the same Message-ID, size and date in the same folder, as {}; --prune removes the second ones",
            self.mail.twins.len(),
            self.remote_label(&self.mail.remotes[*first])
        );
        self.report.notes.push(note);
    }

    /// Groups of emails that are copies of each other in one mailbox, in which the archive has one. `count` says how many it
    /// has in a message.
    fn twins(&mut self, remotes: &[RemoteEmail], count: impl Fn(&Message) -> usize) -> Result<Vec<Vec<usize>>> {
        let alike = |at: &usize| {
            let RemoteEmail { size, received, mailboxes, .. } = &remotes[*at];
            (*size, *received, mailboxes)
        };
        let mut order: Vec<usize> = (0..remotes.len()).collect();
        order.sort_unstable_by(|one, other| alike(one).cmp(&alike(other)));
        let groups = order.chunk_by(|one, other| alike(one) == alike(other));
        let doubtful: Vec<usize> = groups.filter(|places| places.len() > 1).flatten().copied().collect();
        if doubtful.is_empty() {
            return Ok(Vec::new());
        }
        let is_unread = |at: &usize| remotes[*at].key == RemoteKey::Nothing;
        let unread: Vec<usize> = doubtful.iter().copied().filter(is_unread).collect();
        let headers = self.headers(&unread, remotes)?;
        let mut groups: HashMap<(&[String], u64, i64, Key), Vec<usize>> = HashMap::new();
        for at in doubtful {
            let remote = &remotes[at];
            let key = match &remote.key {
                RemoteKey::Ids(ids) => Key::of_ids(ids.iter().map(String::as_str)),
                RemoteKey::Nothing => headers.get(&at).map(|header| Key::of_header(header).0),
            };
            if let Some(key) = key {
                groups.entry((&remote.mailboxes, remote.size, remote.received, key)).or_default().push(at);
            }
        }
        // Two messages of the archive that look so much alike may be two there, too.
        let mut wanted: HashMap<(Key, &str), usize> = HashMap::new();
        let keys: HashSet<Key> = groups.keys().map(|(_, _, _, key)| *key).collect();
        for message in self.stock.messages.iter().filter(|message| keys.contains(&message.key)) {
            for row in message.mailboxes.iter() {
                if let Some(id) = self.id_of(ObjectType::Mailbox, *row) {
                    *wanted.entry((message.key, id.as_str())).or_default() += count(message);
                }
            }
        }
        let is_one = |mailboxes: &[String], key: Key| {
            mailboxes.first().is_some_and(|mailbox| wanted.get(&(key, mailbox.as_str())) == Some(&1))
        };
        let groups = groups.into_iter().filter(|((mailboxes, _, _, key), _)| is_one(mailboxes, *key));
        let sorted = |(_, mut places): (_, Vec<usize>)| {
            places.sort_unstable();
            places
        };
        Ok(groups.map(sorted).filter(|places| places.len() > 1).collect())
    }
}

//! Messages that came twice while a run went on: from a run that was killed just before, whose last commands the server was
//! still doing, or from another run at the same time.

use super::match_mail::Key;
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
        let twins = self.twins(&remotes)?;
        if twins.is_empty() {
            return Ok(());
        }
        let twins: Vec<String> = twins.into_iter().map(|at| remotes[at].id.clone()).collect();
        self.remove_again(kind, &twins, "messages had come twice, as after a run that was killed")
    }

    /// The places of those that are copies of one before them.
    fn twins(&mut self, remotes: &[RemoteEmail]) -> Result<Vec<usize>> {
        let mut alike: HashMap<(&[String], u64, i64), Vec<usize>> = HashMap::new();
        for (at, remote) in remotes.iter().enumerate() {
            alike.entry((&remote.mailboxes, remote.size, remote.received)).or_default().push(at);
        }
        let doubtful: Vec<usize> = alike.into_values().filter(|places| places.len() > 1).flatten().collect();
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
        for message in &self.stock.messages {
            for row in message.mailboxes.iter() {
                if let Some(id) = self.id_of(ObjectType::Mailbox, *row) {
                    *wanted.entry((message.key, id.as_str())).or_default() += 1;
                }
            }
        }
        let is_one = |mailboxes: &[String], key: Key| {
            mailboxes.first().is_some_and(|mailbox| wanted.get(&(key, mailbox.as_str())) == Some(&1))
        };
        let groups = groups.into_iter().filter(|((mailboxes, _, _, key), _)| is_one(mailboxes, *key));
        let mut twins: Vec<usize> = groups
            .flat_map(|(_, mut places)| {
                places.sort_unstable();
                places.split_off(1)
            })
            .collect();
        twins.sort_unstable();
        Ok(twins)
    }
}

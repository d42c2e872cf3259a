//! Messages that go into several mailboxes: sent once, and copied by the server (RFC 9051 section 6.4.7), which keeps flags
//! and dates. Gmail makes no second message of that, but gives the first one another label.

use super::messages::{Free, Post, Seen, TOGETHER, parts};
use super::sources::{Same, Source, Sources, same};
use crate::error::{ErrorKind, Result};
use crate::net::parallel::in_order;
use crate::protocol::imap::{self, Appended, Client, Copied, Fault, Session, Transport, UidSet};
use crate::sink::{NewEmail, Outcome};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Copies that wait for the messages that they are made of.
const HELD: usize = 4096;

/// Copies that one connection makes before another one takes over.
const SHARE: usize = 1024;

/// Lets through what has to be sent, and holds back what may become a copy of it.
pub(super) struct Sieve<'i> {
    emails: &'i mut dyn Iterator<Item = (usize, NewEmail)>,
    sources: &'i RefCell<Sources>,
    seen: &'i HashMap<String, Seen>,
    /// What was let through.
    passed: HashSet<Same>,
    held: Vec<(usize, NewEmail)>,
    is_over: bool,
}

impl<'i> Sieve<'i> {
    pub(super) fn new(
        emails: &'i mut dyn Iterator<Item = (usize, NewEmail)>,
        sources: &'i RefCell<Sources>,
        seen: &'i HashMap<String, Seen>,
    ) -> Sieve<'i> {
        Sieve { emails, sources, seen, passed: HashSet::new(), held: Vec::new(), is_over: false }
    }

    /// What was held back, and whether no more comes.
    pub(super) fn end(self) -> (Vec<(usize, NewEmail)>, bool) {
        (self.held, self.is_over)
    }

    /// True if a message is there that this one can be a copy of, or will be if it can be stored.
    fn waits(&mut self, email: &NewEmail) -> bool {
        let sources = self.sources.borrow();
        if !sources.can_copy {
            return false;
        }
        if named(email, self.seen).is_some() {
            return true;
        }
        let key = same(email);
        email.has_copies && (sources.known.contains_key(&key) || !self.passed.insert(key))
    }
}

impl Iterator for Sieve<'_> {
    type Item = (usize, NewEmail);

    fn next(&mut self) -> Option<(usize, NewEmail)> {
        while self.held.len() < HELD {
            let Some((at, email)) = self.emails.next() else {
                self.is_over = true;
                return None;
            };
            if !self.waits(&email) {
                return Some((at, email));
            }
            self.held.push((at, email));
        }
        None
    }
}

/// The message that the export found. One that is marked as deleted would be copied with its mark.
fn named(email: &NewEmail, seen: &HashMap<String, Seen>) -> Option<Source> {
    let (validity, uid, mailbox) = parts(email.copy_of.as_deref()?)?;
    let is_marked = seen.get(mailbox).is_none_or(|seen| seen.deleted.contains(&uid));
    (!is_marked).then(|| Source { mailbox: mailbox.to_owned(), validity, uid, remark: None })
}

/// A copy to be made.
struct Wish {
    at: usize,
    email: NewEmail,
    uid: u32,
    remark: Option<String>,
}

/// Makes copies. Gives the messages that have to be sent after all.
pub(super) async fn copy(
    post: &mut Post<'_>,
    held: Vec<(usize, NewEmail)>,
    told: &mut dyn FnMut(usize, Outcome),
) -> Result<Vec<(usize, NewEmail)>> {
    let mut left = Vec::new();
    let mut groups: BTreeMap<(String, u32), Vec<Wish>> = BTreeMap::new();
    for (at, email) in held {
        let sources = post.sources.borrow();
        match named(&email, post.seen).or_else(|| sources.known.get(&same(&email)).cloned()) {
            Some(Source { mailbox, validity, uid, remark }) => {
                groups.entry((mailbox, validity)).or_default().push(Wish { at, email, uid, remark });
            }
            None => left.push((at, email)),
        }
    }
    let (mailboxes, width) = (post.mailboxes, post.sessions.len());
    let most = post.batch.clamp(1, TOGETHER);
    let free = Free::new(post.sessions);
    let shares = groups.into_iter().flat_map(|((mailbox, validity), mut wishes)| {
        let mut shares = Vec::new();
        while !wishes.is_empty() {
            let rest = wishes.split_off(wishes.len().min(SHARE));
            shares.push((mailbox.clone(), validity, std::mem::replace(&mut wishes, rest)));
        }
        shares
    });
    let work = shares.map(async |(mailbox, validity, wishes): (String, u32, Vec<Wish>)| {
        let Some(place) = mailboxes.get(&mailbox) else { return Ok((Vec::new(), wishes)) };
        let raw = |wish: &Wish| Some(mailboxes.get(wish.email.mailboxes.first()?)?.raw.clone());
        let mut copying = Copying { most, results: vec![Fate::Open; wishes.len()], is_untold: false };
        let targets: Vec<Option<Vec<u8>>> = wishes.iter().map(raw).collect();
        let uids: Vec<u32> = wishes.iter().map(|wish| wish.uid).collect();
        free.with(async |session| copying.run(session, (&place.raw, validity), &uids, &targets).await).await?;
        if copying.is_untold {
            post.sources.borrow_mut().can_copy = false;
        }
        Ok((copying.results, wishes))
    });
    let (mut lost, mut counts) = (None, Vec::new());
    in_order(width, work, |done: Result<(Vec<Fate>, Vec<Wish>)>| {
        match done {
            Ok((fates, wishes)) => {
                let fates = fates.into_iter().chain(std::iter::repeat(Fate::Send));
                for (Wish { at, email, remark, .. }, fate) in wishes.into_iter().zip(fates) {
                    match fate {
                        Fate::Done => {
                            counts.extend(email.mailboxes.into_iter().next());
                            told(at, Outcome::Copied(remark));
                        }
                        Fate::Send => left.push((at, email)),
                        Fate::Full(why) => told(at, Outcome::Full(why)),
                        Fate::Open => {
                            told(at, Outcome::Unknown("the server did not say whether it copied it".to_owned()))
                        }
                        Fate::Later(why) => told(at, Outcome::Unknown(why)),
                    }
                }
            }
            Err(error) => lost = Some(error),
        }
        lost.is_none()
    })
    .await;
    counts.into_iter().for_each(|mailbox| post.count(&mailbox, 1));
    lost.map_or(Ok(left), Err)
}

/// What became of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fate {
    /// It is not known.
    Open,
    Done,
    /// The message has to be sent: the server does not copy it.
    Send,
    Full(String),
    Later(String),
}

/// Copies of messages of one mailbox.
struct Copying {
    /// Messages of one command.
    most: usize,
    results: Vec<Fate>,
    /// The server does not say what it has copied.
    is_untold: bool,
}

impl Copying {
    /// Asks once: what gets no answer may be there.
    async fn run(
        &mut self,
        session: &mut Session,
        (raw, validity): (&[u8], u32),
        uids: &[u32],
        targets: &[Option<Vec<u8>>],
    ) -> Result<()> {
        let mut was_sent = false;
        let asked = session.ask(async |client| {
            if was_sent {
                return Ok(());
            }
            let opened = match client.examine(raw, None, &mut |_| {}).await {
                Ok(opened) => opened.uid_validity,
                Err(error) if is_refusal(&error) => None,
                Err(error) => return Err(error),
            };
            was_sent = true;
            if opened != Some(validity) {
                self.results.fill(Fate::Send);
                return Ok(());
            }
            self.all(client, uids, targets).await
        });
        match asked.await {
            // What was answered before the line broke counts, and the rest is looked for.
            Err(error)
                if error.kind == ErrorKind::Connection && self.results.iter().any(|fate| *fate != Fate::Open) =>
            {
                Ok(())
            }
            asked => asked,
        }
    }

    async fn all<S: Transport>(
        &mut self,
        client: &mut Client<S>,
        uids: &[u32],
        targets: &[Option<Vec<u8>>],
    ) -> imap::Result<()> {
        let mut groups: BTreeMap<&[u8], Vec<usize>> = BTreeMap::new();
        let mut places = HashSet::new();
        for (at, target) in targets.iter().enumerate() {
            match target {
                // One command copies a message once.
                Some(raw) if places.insert((uids[at], raw)) => groups.entry(raw).or_default().push(at),
                _ => self.results[at] = Fate::Send,
            }
        }
        for (raw, all) in groups {
            for part in all.chunks(self.most) {
                let set: UidSet = part.iter().map(|at| uids[*at]).collect();
                let copied = client.copy(&set, raw).await?;
                if matches!(copied, Copied::Not(_)) && part.len() > 1 {
                    // One by one it shows which are not taken.
                    for at in part {
                        let copied = client.copy(&UidSet::from_iter([uids[*at]]), raw).await?;
                        self.note(&[*at], uids, copied);
                    }
                } else {
                    self.note(part, uids, copied);
                }
            }
        }
        Ok(())
    }

    fn note(&mut self, part: &[usize], uids: &[u32], copied: Copied) {
        self.is_untold |= copied == Copied::Untold;
        for at in part {
            self.results[*at] = match &copied {
                Copied::Done(done) if done.contains(uids[*at]) => Fate::Done,
                Copied::Done(_) | Copied::Not(Appended::Refused(_)) => Fate::Send,
                Copied::Untold | Copied::Not(Appended::Done(_)) => Fate::Open,
                Copied::Not(Appended::Full(why)) => Fate::Full(why.clone()),
                Copied::Not(Appended::Later(why)) => Fate::Later(why.clone()),
            };
        }
    }
}

fn is_refusal(error: &imap::Error) -> bool {
    matches!(error.fault, Fault::Refused | Fault::Gone | Fault::Forbidden | Fault::Unsupported)
}

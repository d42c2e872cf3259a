//! Which messages there are to send, and which of them the target has: pure, and small, since there may be very many.

use crate::format::mail::{MessageMatch, normal_id, summary_of_fields};
use crate::model::{Digest, Id};
use crate::sink::{Filing, RemoteEmail, RemoteKey};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Bound;
use std::sync::Arc;

/// What a message is recognised by (FORMAT.md, "message_match"), as a digest of fixed size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key([u8; 16]);

impl Key {
    fn of(text: &str) -> Key {
        let mut key = [0; 16];
        key.copy_from_slice(&Digest::of(text.as_bytes()).0[..16]);
        Key(key)
    }

    /// That of Message-IDs.
    pub(super) fn of_ids<'i>(ids: impl Iterator<Item = &'i str>) -> Option<Key> {
        // One that is folded is the same with and without its fold.
        let unfolded = |id: &str| normal_id(id).split_whitespace().collect::<String>();
        let ids: BTreeSet<String> = ids.map(unfolded).filter(|id| !id.is_empty()).collect();
        let joined: Vec<String> = ids.into_iter().collect();
        (!joined.is_empty()).then(|| Key::of(&format!("m{}", joined.join("\u{1F}"))))
    }

    /// That of the JSON of a `message_match` column, and whether the message has a Message-ID. `None` where the column
    /// says nothing (`{}`, as 1.x may leave it).
    pub(super) fn of_match(json: &str) -> Option<(Key, bool)> {
        let MessageMatch { message_ids, fingerprint } = MessageMatch::parse(json);
        if let Some(key) = Key::of_ids(message_ids.iter().map(String::as_str)) {
            return Some((key, true));
        }
        Some((Key::of(&format!("f{}", fingerprint?)), false))
    }

    /// That of a message with this header.
    pub(super) fn of_header(head: &[u8]) -> (Key, bool) {
        Key::of_match(&summary_of_fields(head).message_match).unwrap_or((Key([0; 16]), false))
    }
}

/// A message to send: all rows with the same key and the same bytes.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub key: Key,
    pub has_id: bool,
    /// The row that stands for all of them.
    pub row: Id,
    /// How many rows there are.
    pub rows: u32,
    pub blob: Id,
    pub size: u64,
    pub received: Option<jiff::Timestamp>,
    /// Rows of mailboxes, sorted.
    pub mailboxes: Arc<[Id]>,
    /// Keywords as the archive has them, sorted.
    pub keywords: Arc<[String]>,
}

/// Collects rows to messages. What a hundred thousand rows have in common stands in memory once.
pub(super) struct Collector {
    pub messages: Vec<Message>,
    filing: Filing,
    places: HashMap<(Key, Id, Option<Id>), usize>,
    mailboxes: HashSet<Arc<[Id]>>,
    keywords: HashSet<Arc<[String]>>,
}

impl Collector {
    /// A collector for a target that keeps messages so.
    pub(super) fn new(filing: Filing) -> Collector {
        Collector {
            messages: Vec::new(),
            filing,
            places: HashMap::new(),
            mailboxes: HashSet::new(),
            keywords: HashSet::new(),
        }
    }

    /// Adds a row: as one message, or as one copy for each of its mailboxes.
    pub(super) fn add(&mut self, message: Message) {
        match self.filing {
            Filing::Once => self.add_one(message, None),
            Filing::Copies => {
                for mailbox in message.mailboxes.iter().copied() {
                    self.add_one(Message { mailboxes: [mailbox].into(), ..message.clone() }, Some(mailbox));
                }
            }
        }
    }

    fn add_one(&mut self, mut message: Message, mailbox: Option<Id>) {
        let identity = (message.key, message.blob, mailbox);
        let Some(place) = self.places.get(&identity) else {
            self.places.insert(identity, self.messages.len());
            message.mailboxes = shared(&mut self.mailboxes, message.mailboxes);
            message.keywords = shared(&mut self.keywords, message.keywords);
            self.messages.push(message);
            return;
        };
        let known = &mut self.messages[*place];
        known.rows += 1;
        // It came when its first copy came.
        known.received = match (known.received, message.received) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        known.mailboxes = shared(&mut self.mailboxes, union(&known.mailboxes, &message.mailboxes));
        known.keywords = shared(&mut self.keywords, union(&known.keywords, &message.keywords));
    }
}

fn union<T: Ord + Clone>(one: &[T], other: &[T]) -> Arc<[T]> {
    one.iter().chain(other).cloned().collect::<BTreeSet<T>>().into_iter().collect()
}

fn shared<T: std::hash::Hash + Eq>(known: &mut HashSet<Arc<[T]>>, list: Arc<[T]>) -> Arc<[T]> {
    match known.get(&list) {
        Some(known) => Arc::clone(known),
        None => {
            known.insert(Arc::clone(&list));
            list
        }
    }
}

/// Says whether a message may be an email of a size.
type SizeRule<'r> = dyn FnMut(&Message, u64) -> bool + 'r;

/// Which email of the target each message is.
#[derive(Debug, Default, Clone)]
pub(super) struct Pairing {
    /// By message: the place of the email.
    pub found: Vec<Option<usize>>,
    used: HashSet<usize>,
    /// Keys of the emails, as far as they are known.
    keys: Vec<Option<Key>>,
    /// The target's ids of mailboxes by row, where it keeps [`Filing::Copies`]: a copy is only one in its own mailbox.
    mailboxes: Option<MailboxIds>,
}

/// The target's ids of mailboxes by row.
pub(super) type MailboxIds = HashMap<Id, String>;

impl Pairing {
    /// Pairs by the Message-IDs that the target reads. `other_size` gives the size of a message with every line ended
    /// with CRLF, which is what some servers make of it.
    pub(super) fn new(
        messages: &[Message],
        remotes: &[RemoteEmail],
        mailboxes: Option<MailboxIds>,
        other_size: &mut dyn FnMut(&Message) -> u64,
    ) -> Pairing {
        let keys = remotes.iter().map(|remote| match &remote.key {
            RemoteKey::Ids(ids) => Key::of_ids(ids.iter().map(String::as_str)),
            RemoteKey::Nothing => None,
        });
        let found = vec![None; messages.len()];
        let mut pairing = Pairing { found, used: HashSet::new(), keys: keys.collect(), mailboxes };
        pairing.by_key(messages, remotes, other_size);
        pairing
    }

    /// The emails whose headers have to be read to know what they are: those without a Message-ID that the target can
    /// read, and those that have the size of a message that was not found.
    pub(super) fn doubtful(
        &self,
        messages: &[Message],
        remotes: &[RemoteEmail],
        other_size: &mut dyn FnMut(&Message) -> u64,
    ) -> Vec<usize> {
        if self.used.len() == remotes.len() {
            return Vec::new();
        }
        let missing = messages.iter().zip(&self.found).filter(|(_, found)| found.is_none());
        let theirs = (0..remotes.len()).filter(|place| !self.used.contains(place)).map(|place| remotes[place].size);
        let theirs: BTreeSet<u64> = theirs.collect();
        let mut sizes: HashSet<u64> = HashSet::new();
        for (message, _) in missing {
            sizes.insert(message.size);
            // Its bytes are read for that, so only where an email could have the size: CRLF at most doubles it. Both bounds
            // are equal for a message of no bytes.
            let possible = (Bound::Excluded(message.size), Bound::Included(message.size.saturating_mul(2)));
            if theirs.range(possible).next().is_some() {
                sizes.insert(other_size(message));
            }
        }
        if sizes.is_empty() {
            return Vec::new();
        }
        let is_doubtful = |place: &usize| {
            !self.used.contains(place) && (self.keys[*place].is_none() || sizes.contains(&remotes[*place].size))
        };
        (0..remotes.len()).filter(is_doubtful).collect()
    }

    /// Pairs what is left, with keys from the headers of some emails.
    pub(super) fn with_headers(
        &mut self,
        messages: &[Message],
        remotes: &[RemoteEmail],
        headers: &HashMap<usize, Vec<u8>>,
        other_size: &mut dyn FnMut(&Message) -> u64,
    ) {
        let mut without_id = HashSet::new();
        for (place, header) in headers {
            let (key, has_id) = Key::of_header(header);
            self.keys[*place] = Some(key);
            if !has_id {
                without_id.insert(*place);
            }
        }
        self.by_key(messages, remotes, other_size);
        // A server may change the bytes of headers that are no UTF-8 when it shows them. Without Message-ID, with the same
        // size and the same date of arrival it is the same message.
        let mut places: HashMap<(u64, i64), Vec<usize>> = HashMap::new();
        for place in without_id.into_iter().filter(|place| !self.used.contains(place)) {
            places.entry((remotes[place].size, remotes[place].received)).or_default().push(place);
        }
        for (at, message) in messages.iter().enumerate().filter(|(_, message)| !message.has_id) {
            if self.found[at].is_some() || places.is_empty() {
                continue;
            }
            let received = message.received.map_or(0, |time| time.as_second());
            for size in [message.size, other_size(message)] {
                if let Some(places) = places.get_mut(&(size, received))
                    && let Some(which) = places.iter().rposition(|place| self.is_its_place(message, &remotes[*place]))
                {
                    let place = places.remove(which);
                    self.take(at, place);
                    break;
                }
            }
        }
    }

    /// False for a copy in another mailbox than the message's.
    fn is_its_place(&self, message: &Message, remote: &RemoteEmail) -> bool {
        let Some(ids) = &self.mailboxes else { return true };
        message.mailboxes.iter().any(|row| ids.get(row).is_some_and(|id| remote.mailboxes.contains(id)))
    }

    /// Pairs one message with an email that the target says it is.
    pub(super) fn take(&mut self, message: usize, place: usize) {
        self.used.insert(place);
        self.found[message] = Some(place);
    }

    /// Those with one key: first of one size, then of the size with CRLF, then in their order. A message is the same as
    /// another one with its Message-IDs (1.x), but each email is only one of several that the archive has.
    fn by_key(&mut self, messages: &[Message], remotes: &[RemoteEmail], other_size: &mut dyn FnMut(&Message) -> u64) {
        let mut places: HashMap<Key, Vec<usize>> = HashMap::new();
        for (place, key) in self.keys.iter().enumerate() {
            if let Some(key) = key.filter(|_| !self.used.contains(&place)) {
                places.entry(key).or_default().push(place);
            }
        }
        let mut ours: HashMap<Key, Vec<usize>> = HashMap::new();
        for (at, message) in messages.iter().enumerate() {
            if self.found[at].is_none() && places.contains_key(&message.key) {
                ours.entry(message.key).or_default().push(at);
            }
        }
        for (key, mut ours) in ours {
            let Some(mut theirs) = places.remove(&key) else { continue };
            let mut same = |ours: &mut Vec<usize>, theirs: &mut Vec<usize>, is_same: &mut SizeRule<'_>| {
                self.same(ours, theirs, &mut |pairing, at, place| {
                    let (message, remote) = (&messages[at], &remotes[place]);
                    pairing.is_its_place(message, remote) && is_same(message, remote.size)
                });
            };
            same(&mut ours, &mut theirs, &mut |message, size| message.size == size);
            if ours.len() > 1 || (theirs.len() > 1 && !ours.is_empty()) {
                same(&mut ours, &mut theirs, &mut |message, size| other_size(message) == size);
            }
            same(&mut ours, &mut theirs, &mut |_, _| true);
        }
    }

    fn same(
        &mut self,
        ours: &mut Vec<usize>,
        theirs: &mut Vec<usize>,
        is_same: &mut dyn FnMut(&Pairing, usize, usize) -> bool,
    ) {
        ours.retain(|at| {
            let Some(which) = theirs.iter().position(|place| is_same(self, *at, *place)) else { return true };
            let place = theirs.remove(which);
            self.take(*at, place);
            false
        });
    }

    /// The emails that the archive does not hold: none of its messages has their key, in the same mailbox where the target
    /// keeps copies.
    pub(super) fn foreign(&self, messages: &[Message], remotes: &[RemoteEmail]) -> Vec<usize> {
        let mut known: HashMap<Key, Vec<&Message>> = HashMap::new();
        messages.iter().for_each(|message| known.entry(message.key).or_default().push(message));
        let is_known = |key: &Key, remote: &RemoteEmail| {
            known.get(key).is_some_and(|messages| messages.iter().any(|message| self.is_its_place(message, remote)))
        };
        let is_foreign = |place: &usize| {
            !self.used.contains(place) && self.keys[*place].is_some_and(|key| !is_known(&key, &remotes[*place]))
        };
        (0..remotes.len()).filter(is_foreign).collect()
    }

    /// The emails that are no message of the archive, or a message once more; and how many emails are right beside those
    /// that messages were found in, because the archive has several rows of their message.
    pub(super) fn surplus(&self, messages: &[Message], remotes: &[RemoteEmail]) -> (Vec<usize>, u64) {
        let mut spare: HashMap<Key, Vec<(&Message, u32)>> = HashMap::new();
        for message in messages.iter().filter(|message| message.rows > 1) {
            spare.entry(message.key).or_default().push((message, message.rows - 1));
        }
        let mut right = 0;
        let mut is_right = |place: &usize| {
            let several = self.keys[*place].and_then(|key| spare.get_mut(&key)).into_iter().flatten();
            let mut free = several.filter(|(message, left)| *left > 0 && self.is_its_place(message, &remotes[*place]));
            let Some((_, left)) = free.next() else { return false };
            *left -= 1;
            right += 1;
            true
        };
        let surplus = (0..remotes.len()).filter(|place| !self.used.contains(place) && !is_right(place)).collect();
        (surplus, right)
    }

    /// The emails whose key is not known.
    pub(super) fn unknown(&self) -> Vec<usize> {
        (0..self.keys.len()).filter(|place| !self.used.contains(place) && self.keys[*place].is_none()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: &str, blob: Id, size: u64, mailboxes: &[Id], keywords: &[&str]) -> Message {
        let print = "0".repeat(64);
        let (key, has_id) = Key::of_match(&format!(r#"{{"m":[{id}],"f":"{print}"}}"#)).expect("a key");
        Message {
            key,
            has_id,
            row: blob,
            rows: 1,
            blob,
            size,
            received: jiff::Timestamp::from_second(blob).ok(),
            mailboxes: mailboxes.into(),
            keywords: keywords.iter().map(|keyword| (*keyword).to_owned()).collect(),
        }
    }

    fn remote(id: &str, message_id: &str, size: u64) -> RemoteEmail {
        RemoteEmail {
            id: id.to_owned(),
            size,
            received: 0,
            key: match message_id {
                "" => RemoteKey::Nothing,
                id => RemoteKey::Ids(vec![id.to_owned()]),
            },
            mailboxes: Vec::new(),
            keywords: Vec::new(),
        }
    }

    fn pair(messages: &[Message], remotes: &[RemoteEmail]) -> Vec<Option<usize>> {
        Pairing::new(messages, remotes, None, &mut |message| message.size + 7).found
    }

    #[test]
    fn rows_with_one_key_and_the_same_bytes_are_one_message() {
        let mut collector = Collector::new(Filing::Once);
        collector.add(message(r#""a@b""#, 1, 9, &[3], &["$seen"]));
        collector.add(message(r#""a@b""#, 1, 9, &[2], &["work"]));
        collector.add(message(r#""a@b""#, 2, 10, &[2], &[]));
        assert_eq!(collector.messages.len(), 2);
        let first = &collector.messages[0];
        assert_eq!((first.rows, &*first.mailboxes, first.keywords.len()), (2, &[2, 3][..], 2));
    }

    #[test]
    fn messages_of_any_size_are_looked_for() {
        for size in [0, 1, u64::MAX] {
            let ours = [message(r#""a""#, 1, size, &[], &[])];
            let theirs = [remote("x", "", size), remote("y", "", 2)];
            let mut other_size = |message: &Message| message.size.saturating_mul(2);
            let pairing = Pairing::new(&ours, &theirs, None, &mut other_size);
            assert_eq!(pairing.doubtful(&ours, &theirs, &mut other_size), [0, 1]);
        }
    }

    #[test]
    fn the_right_one_of_several_with_one_id() {
        let ours =
            [message(r#""a""#, 1, 10, &[], &[]), message(r#""a""#, 2, 20, &[], &[]), message(r#""b""#, 3, 5, &[], &[])];
        assert_eq!(pair(&ours, &[remote("x", "<A>", 20)]), [None, Some(0), None]);
        // The server made CRLF of bare LF, and was stopped after the second.
        assert_eq!(pair(&ours, &[remote("x", "a", 27)]), [None, Some(0), None]);
        // Something in between added a line.
        assert_eq!(pair(&ours, &[remote("x", "a", 999)]), [Some(0), None, None]);
        assert_eq!(pair(&ours, &[remote("x", "a", 27), remote("y", "a", 17)]), [Some(1), Some(0), None]);
    }

    #[test]
    fn headers_tell_what_the_target_does_not_read() {
        let several = message(r#""a","b""#, 1, 10, &[], &[]);
        let (key, has_id) = Key::of_header(b"From: x@y\r\n\r\n");
        let plain = Message { key, has_id, ..message("", 2, 30, &[], &[]) };
        let ours = [several, plain];
        let theirs = [remote("x", "b", 10), remote("y", "", 30), remote("z", "q", 77)];
        let mut pairing = Pairing::new(&ours, &theirs, None, &mut |_| 0);
        assert_eq!(pairing.found, [None, None]);
        assert_eq!(pairing.doubtful(&ours, &theirs, &mut |message| message.size), [0, 1]);
        let headers = [(0, &b"Message-ID: <a>\r\nMessage-ID: <B>\r\n\r\n"[..]), (1, b"From: x@y\r\n\r\n")];
        let headers = headers.into_iter().map(|(place, header)| (place, header.to_vec())).collect();
        pairing.with_headers(&ours, &theirs, &headers, &mut |_| 0);
        assert_eq!(pairing.found, [Some(0), Some(1)]);
        assert_eq!(pairing.foreign(&ours, &theirs), [2]);
    }
}

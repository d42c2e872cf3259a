//! What copies can be made of.

use crate::model::Id;
use crate::protocol::imap::NewUid;
use crate::sink::NewEmail;
use std::collections::HashMap;

/// What two messages have to have in common for one to be a copy of the other: their bytes, when they arrived, and their
/// keywords.
pub(super) type Same = (Id, Option<i64>, String);

/// What a message has of that.
pub(super) fn same(email: &NewEmail) -> Same {
    (email.blob, email.received.map(|time| time.as_second()), email.keywords.join(" "))
}

/// A message at the server that copies can be made of.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub mailbox: String,
    pub validity: u32,
    pub uid: u32,
    /// What was said of it when it was stored: it is true of its copies, too.
    pub remark: Option<String>,
}

impl Source {
    /// A message that was stored just now.
    pub(super) fn of(email: &NewEmail, new: NewUid, remark: Option<String>) -> (Same, Source) {
        let mailbox = email.mailboxes.first().cloned().unwrap_or_default();
        (same(email), Source { mailbox, validity: new.validity, uid: new.uid, remark })
    }
}

/// The messages that this run has stored and that go into further mailboxes.
#[derive(Debug, Default)]
pub(super) struct Sources {
    pub known: HashMap<Same, Source>,
    /// The server says where a new message lies and what it has copied (UIDPLUS).
    pub can_copy: bool,
}

impl Sources {
    pub(super) fn new(can_copy: bool) -> Sources {
        Sources { known: HashMap::new(), can_copy }
    }

    pub(super) fn add(&mut self, source: Option<(Same, Source)>) {
        self.known.extend(source.filter(|_| self.can_copy));
    }
}

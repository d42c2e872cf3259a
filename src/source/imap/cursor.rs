//! How a mailbox was when all of it was stored: kept in the archive between two runs.

use crate::protocol::imap::{FolderStatus, Selected};

/// The state of a mailbox. Its text is five numbers and, as the last word, what messages a run takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor {
    pub uid_validity: u32,
    /// Every UID below this one has been listed.
    pub uid_next: u32,
    /// HIGHESTMODSEQ; 0 where there is none.
    pub modseq: u64,
    /// How many messages there were.
    pub messages: u32,
    /// Messages marked as deleted are among those stored (`--include-deleted`).
    pub with_deleted: bool,
}

impl Cursor {
    /// The cursor of an open mailbox. `None` if the server does not send UIDVALIDITY and UIDNEXT: no later run could go
    /// on from here.
    pub(super) fn of(selected: &Selected, with_deleted: bool) -> Option<Cursor> {
        Some(Cursor {
            uid_validity: selected.uid_validity?,
            uid_next: selected.uid_next?,
            modseq: selected.highest_modseq.unwrap_or_default(),
            messages: selected.exists,
            with_deleted,
        })
    }

    /// Reads what [`Cursor::text`] wrote. Anything else, and a run with other wishes, begins anew.
    pub(super) fn parse(text: &str, with_deleted: bool) -> Option<Cursor> {
        let mut words = text.split(' ');
        let cursor = Cursor {
            uid_validity: words.next()?.parse().ok()?,
            uid_next: words.next()?.parse().ok()?,
            modseq: words.next()?.parse().ok()?,
            messages: words.next()?.parse().ok()?,
            with_deleted: words.next()? == "deleted",
        };
        (words.next().is_none() && cursor.with_deleted == with_deleted).then_some(cursor)
    }

    /// True if the mailbox went backwards: its server was restored from an older copy. Then nothing that the server says of
    /// changes holds for what is known, and only a full listing helps (RFC 9051 section 2.3.1.1 forbids it, and it happens).
    pub(super) fn is_ahead_of(&self, selected: &Selected) -> bool {
        selected.uid_next.is_some_and(|next| next < self.uid_next)
            || selected.highest_modseq.is_some_and(|modseq| modseq < self.modseq)
    }

    /// The cursor as text.
    pub(super) fn text(&self) -> String {
        let Cursor { uid_validity, uid_next, modseq, messages, with_deleted } = self;
        format!("{uid_validity} {uid_next} {modseq} {messages} {}", if *with_deleted { "deleted" } else { "-" })
    }

    /// True if STATUS proves that nothing has changed since. Without CONDSTORE the server tells nothing of flags, which
    /// is enough only where no message could have one.
    pub(super) fn is_current(&self, status: &FolderStatus) -> bool {
        let modseq = status.highest_modseq.unwrap_or_default();
        status.uid_validity == Some(self.uid_validity)
            && status.uid_next == Some(self.uid_next)
            && status.messages == Some(self.messages)
            && (self.messages == 0 || (modseq != 0 && modseq == self.modseq))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CURSOR: Cursor = Cursor { uid_validity: 7, uid_next: 30, modseq: 9, messages: 12, with_deleted: false };

    #[test]
    fn texts() {
        assert_eq!(Cursor::parse(&CURSOR.text(), false), Some(CURSOR));
        assert_eq!(Cursor::parse(&CURSOR.text(), true), None);
        for text in ["", "1 2 3 4", "1 2 3 4 - 5", "a 2 3 4 -", "1 2 3 4294967296 -"] {
            assert_eq!(Cursor::parse(text, false), None, "{text}");
        }
    }

    #[test]
    fn a_mailbox_that_went_backwards_is_noticed() {
        let now = Selected { uid_next: Some(30), highest_modseq: Some(9), ..Selected::default() };
        assert!(!CURSOR.is_ahead_of(&now));
        assert!(!CURSOR.is_ahead_of(&Selected { highest_modseq: None, ..now.clone() }));
        assert!(CURSOR.is_ahead_of(&Selected { uid_next: Some(29), ..now.clone() }));
        assert!(CURSOR.is_ahead_of(&Selected { highest_modseq: Some(8), ..now }));
    }

    #[test]
    fn what_proves_that_nothing_changed() {
        let status =
            FolderStatus { messages: Some(12), uid_next: Some(30), uid_validity: Some(7), highest_modseq: Some(9) };
        assert!(CURSOR.is_current(&status));
        for other in [
            FolderStatus { messages: Some(11), ..status.clone() },
            FolderStatus { uid_next: None, ..status.clone() },
            FolderStatus { uid_validity: Some(8), ..status.clone() },
            FolderStatus { highest_modseq: Some(10), ..status.clone() },
        ] {
            assert!(!CURSOR.is_current(&other), "{other:?}");
        }
        let plain = FolderStatus { highest_modseq: None, ..status.clone() };
        assert!(!Cursor { modseq: 0, ..CURSOR }.is_current(&plain), "flags may have changed");
        let empty = FolderStatus { messages: Some(0), ..plain };
        assert!(Cursor { modseq: 0, messages: 0, ..CURSOR }.is_current(&empty));
    }
}

//! An object that the target should have.

use crate::model::Id;
use crate::sink::Draft;

/// An object of the archive, or one that only the export needs.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    /// The row; 0 and below for what only an export needs ([`super::synthetic`]).
    pub id: Id,
    /// The row that it lies in: of mailboxes and files.
    pub parent: Option<Id>,
    /// The rows that it lies in: of events and cards.
    pub containers: Vec<Id>,
    /// The object in the target's form.
    pub draft: Draft,
    /// Ids that it has, or had, where the account was imported from the same kind of server.
    pub ids: Vec<String>,
    /// What to call it, if it is of a kind that targets may refuse: a task, a note, an event without a start.
    pub sort: Option<&'static str>,
    /// The row of the file that stands for it where the target takes no such event.
    pub as_file: Option<Id>,
    /// A file that stands for an event if the target refuses that, or a directory of such files.
    pub waits: bool,
    /// The card under the uid that the archive gave it, where that is not its own: another card has that.
    pub marked: Option<Box<Draft>>,
    /// Another wanted object has the same key and goes to the target for both: this one is not sent.
    pub is_joined: bool,
}

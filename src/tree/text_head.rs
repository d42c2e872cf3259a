//! The first lines of a text: where its message is, so that a line that `grep` found leads to the message.
//!
//! They are a function of the message and of its first mailbox, and [`Node::text`] has both: the same text is the same
//! file in every snapshot.

use super::kinds::NodeKind;
use super::listing::lasting_name;
use super::mailboxes::NO_MAILBOX;
use super::node::Node;
use super::opened::Tree;
use super::stat::{DAMAGED_SIZE, no_such};
use super::view::View;
use crate::archive::{ListedEmail, UNFILED};
use crate::error::{ErrorKind, Result};
use crate::model::object_id::ObjectId;
use crate::model::{Id, ObjectType};
use std::sync::Arc;

impl Tree {
    /// The text of a message that is listed in a mailbox.
    pub(super) fn text_node(&self, view: &View, mailbox: Node, listed: &ListedEmail) -> Result<Node> {
        let mut first = mailbox.row;
        if listed.links > 1 {
            let mailboxes = view.mailboxes()?;
            let own = self.record(view, ObjectType::Email, listed.email)?.mailbox_ids();
            first = own.into_iter().filter(|id| mailboxes.get(*id).is_some()).min().unwrap_or(first);
        }
        Ok(Node::text(first, listed.email))
    }

    /// The first lines of a text.
    pub(super) fn text_head(&self, text: Node) -> Result<String> {
        self.text_head_of(text, &self.listed_anywhere(text.row)?)
    }

    /// The first lines of the text of a message whose date and size are known.
    pub(super) fn text_head_of(&self, text: Node, listed: &ListedEmail) -> Result<String> {
        let mut head = String::new();
        if let Some(folder) = text.mailbox_of_text().map(|mailbox| self.place(mailbox)).transpose()?.flatten() {
            head = format!("Message: {folder}{}\n", lasting_name(listed));
        }
        if let Some(id) = ObjectId::of(ObjectType::Email, text.row) {
            head.push_str(&format!("Id: {id}\n"));
        }
        Ok(head)
    }

    /// The path of the message that a node is a part of.
    pub(super) fn path_of_whole(&self, node: Node) -> Result<Option<String>> {
        let mailbox = match node.kind {
            NodeKind::Text => node.mailbox_of_text(),
            NodeKind::AttachmentFolder => Some(node.snapshot),
            _ => {
                let states = self.reader.states(ObjectType::Email, node.object())?;
                let last = states.last().map(|state| state.record.mailbox_ids());
                last.map(|ids| ids.into_iter().min().unwrap_or(UNFILED))
            }
        };
        let folder = mailbox.map(|mailbox| self.place(mailbox)).transpose()?.flatten();
        let Some(folder) = folder else { return Ok(None) };
        Ok(Some(format!("{folder}{}", lasting_name(&self.listed_anywhere(node.object())?))))
    }

    /// What a message's name is made of, for a message of any snapshot.
    fn listed_anywhere(&self, row: Id) -> Result<ListedEmail> {
        let received = self.reader.arrival(row)?.ok_or_else(no_such)?;
        let size = match self.reader.email_blob(row) {
            Ok(blob) => blob.size,
            Err(error) if error.kind == ErrorKind::Damaged => DAMAGED_SIZE,
            Err(error) => return Err(error),
        };
        Ok(ListedEmail { email: row, received, size, links: 1, flags: Box::default(), first: 0 })
    }

    /// The path of a mailbox's `cur` with a slash behind it: where the mailbox is, or was last. `None` where the tree
    /// shows no mail.
    fn place(&self, mailbox: Id) -> Result<Option<Arc<str>>> {
        self.place_in(&self.state().root, mailbox)
    }

    /// The same, where this view is the root.
    pub(super) fn place_in(&self, root: &View, mailbox: Id) -> Result<Option<Arc<str>>> {
        if !self.options.views.has(NodeKind::Mail) {
            return Ok(None);
        }
        if let Some(known) = root.mail.places.lock().get(&mailbox) {
            return Ok(known.clone());
        }
        let path = match self.mailbox_path(root, mailbox)? {
            None => self.last_path(mailbox)?,
            path => path,
        };
        let place = path.map(|path| format!("{path}/{}/", NodeKind::Cur.fixed_name()).into());
        root.mail.places.lock().put(mailbox, place.clone());
        Ok(place)
    }

    /// The path that a mailbox had in the last snapshot that had it.
    fn last_path(&self, mailbox: Id) -> Result<Option<String>> {
        if mailbox == UNFILED {
            return Ok(Some(format!("{}/{NO_MAILBOX}", NodeKind::Mail.fixed_name())));
        }
        let states = self.reader.states(ObjectType::Mailbox, mailbox)?;
        let state = self.state();
        let shows = |snapshot: i64| states.iter().any(|state| state.is_at(snapshot));
        // One that was forgotten since is passed over.
        for snapshot in state.snapshots.iter().rev().filter(|snapshot| shows(snapshot.id)) {
            let view = self.view(Node::single(NodeKind::Root, snapshot.id))?;
            match self.mailbox_path(&view, mailbox) {
                Ok(None) => {}
                Err(error) if error.kind == ErrorKind::Forgotten => {}
                path => return path,
            }
        }
        Ok(None)
    }
}

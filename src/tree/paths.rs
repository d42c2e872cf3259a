//! From nodes to objects and back: extended attributes, and the paths of an object.

use super::cache::Content;
use super::hierarchy::Hierarchy;
use super::kinds::NodeKind;
use super::mailboxes::dotted;
use super::name;
use super::node::Node;
use super::opened::Tree;
use super::rules::{Layout, Shown};
use super::versions::find_item;
use super::view::View;
use crate::archive::{UNFILED, epoch, rfc3339};
use crate::error::Result;
use crate::format::maildir::has_flag;
use crate::model::object_id::ObjectId;
use crate::model::{Id, ObjectType};

impl Tree {
    /// The extended attributes of a node (`-o xattr`): the name in the account, and for messages digest, keywords and date.
    pub fn xattrs(&self, node: Node) -> Result<Vec<(&'static str, String)>> {
        let view = self.view(node)?;
        let mut all = Vec::new();
        if let Some((object, row)) = node.shown_object()
            && let Some(id) = ObjectId::of(object, row)
        {
            all.push(("user.vandelay.id", id.to_string()));
        }
        if node.is_part_of_message()
            && let Some(path) = self.path_of_whole(node)?
        {
            all.push(("user.vandelay.message", path));
        }
        match node.descriptor().object {
            Shown::Object(ObjectType::Email) => {
                let record = self.record(&view, ObjectType::Email, node.row)?;
                let email = record.email();
                all.push(("user.vandelay.keywords", serde_json::json!(email.keywords).to_string()));
                all.push(("user.vandelay.received_at", rfc3339(epoch(&email.received_at))));
            }
            Shown::Object(object) => {
                let name = name_in_account(&view, object, node.row)?;
                all.extend(name.map(|name| ("user.vandelay.name", name)));
            }
            Shown::PartOf(_) | Shown::Nothing => {}
        }
        if let Ok(content) = self.content(node)
            && let Content::Blob(blob) = &*content
        {
            all.push(("user.vandelay.blake3", blob.digest.hex()));
        }
        Ok(all)
    }

    /// The keywords of a message of `mail/`.
    pub fn keywords(&self, message: Node) -> Result<Vec<String>> {
        let view = self.view(message)?;
        Ok(self.record(&view, ObjectType::Email, message.row)?.email().keywords)
    }

    /// True if all letters of a mailbox stand for a keyword: then some keywords may have none.
    pub fn has_no_letter_left(&self, mailbox: Id) -> Result<bool> {
        let table = self.view(Node::ROOT)?.keywords(mailbox)?;
        Ok(table.name(b'z').is_some())
    }

    /// The keywords of a message of `mail/` that its name has no letter for: the first 26 keywords of a mailbox have one.
    pub fn keywords_without_letter(&self, mailbox: Id, message: Node) -> Result<Vec<String>> {
        let table = self.view(message)?.keywords(mailbox)?;
        let mut keywords = self.keywords(message)?;
        keywords.retain(|keyword| !has_flag(keyword) && table.letter(keyword).is_none());
        Ok(keywords)
    }

    /// A path of a node, for messages to people: where the object that it shows stands. `None` if it shows none.
    pub fn path_of(&self, node: Node) -> Result<Option<String>> {
        match node.kind.object_type().zip(node.shown_row()) {
            Some((object, row)) => Ok(self.paths_of(object, row)?.into_iter().next()),
            None => Ok(None),
        }
    }

    /// The paths of an object from the root: none, one or several.
    pub fn paths_of(&self, object: ObjectType, id: Id) -> Result<Vec<String>> {
        let view = self.view(Node::ROOT)?;
        Ok(match object {
            ObjectType::Mailbox => self.mailbox_path(&view, id)?.into_iter().collect(),
            ObjectType::FileNode => vec![path_below(NodeKind::Files, view.files()?, id)],
            ObjectType::Email => self.paths_of_message(&view, id)?,
            ObjectType::CalendarEvent => paths_of_item(&view, NodeKind::Calendars, object, id)?,
            ObjectType::ContactCard => paths_of_item(&view, NodeKind::Contacts, object, id)?,
            ObjectType::Calendar => path_of_collection(&view, NodeKind::Calendars, object, id)?,
            ObjectType::AddressBook => path_of_collection(&view, NodeKind::Contacts, object, id)?,
            ObjectType::SieveScript => {
                let script = view.scripts()?.get(id);
                script.map(|script| join(NodeKind::Sieve, &[&script.name])).into_iter().collect()
            }
            ObjectType::Identity | ObjectType::ParticipantIdentity => {
                vec![NodeKind::Identities.fixed_name().to_owned()]
            }
            // No file shows it.
            ObjectType::VacationResponse => Vec::new(),
        })
    }

    fn paths_of_message(&self, view: &View, id: Id) -> Result<Vec<String>> {
        let record = self.record(view, ObjectType::Email, id)?;
        let mut mailboxes = record.mailbox_ids();
        if mailboxes.is_empty() {
            mailboxes.push(UNFILED);
        }
        let mut paths = Vec::new();
        for mailbox in mailboxes {
            let Some(listed) = view.message(mailbox, id)? else { continue };
            let cur = Node { row: mailbox, ..Node::single(NodeKind::Cur, 0) };
            let message = self.message_child(view, cur, &listed)?;
            let mailbox = self.mailbox_path(view, mailbox)?.unwrap_or_default();
            paths.push(format!("{mailbox}/{}/{}", NodeKind::Cur.fixed_name(), message.name));
        }
        Ok(paths)
    }

    /// The path of a mailbox of `mail/`, in the layout and with the names that the tree has.
    pub(super) fn mailbox_path(&self, view: &View, id: Id) -> Result<Option<String>> {
        let mailboxes = view.mailboxes()?;
        if mailboxes.get(id).is_none() {
            return Ok(None);
        }
        let path = match self.options.layout {
            Layout::Nested => path_below(NodeKind::Mail, mailboxes, id),
            Layout::MaildirPlusPlus if id == view.inbox()? => NodeKind::Mail.fixed_name().to_owned(),
            Layout::MaildirPlusPlus => join(NodeKind::Mail, &[&dotted(view, id).unwrap_or_default()]),
        };
        let plain = || path.split('/').map(name::plain).collect::<Vec<_>>().join("/");
        Ok(Some(if self.options.has_plain_names() { plain() } else { path }))
    }
}

/// The name that the account has for a mailbox, a collection, an item or a file.
fn name_in_account(view: &View, object: ObjectType, row: Id) -> Result<Option<String>> {
    Ok(match object {
        ObjectType::Mailbox => view.mailboxes()?.get(row).map(|one| one.raw.clone()),
        ObjectType::FileNode => view.files()?.get(row).map(|one| one.raw.clone()),
        ObjectType::Calendar | ObjectType::AddressBook => view.collections(object)?.get(row).map(|one| one.raw.clone()),
        item => find_item(view, item, row, |item| item.raw.clone())?,
    })
}

/// The path of an entry of the root, and names below it.
fn join(base: NodeKind, names: &[&str]) -> String {
    format!("{}/{}", base.fixed_name(), names.join("/"))
}

fn path_below<T>(base: NodeKind, hierarchy: &Hierarchy<T>, id: Id) -> String {
    let names: Vec<&str> = hierarchy.path(id).into_iter().map(|one| one.name.as_str()).collect();
    join(base, &names)
}

fn path_of_collection(view: &View, base: NodeKind, object: ObjectType, id: Id) -> Result<Vec<String>> {
    Ok(view.collections(object)?.get(id).map(|one| join(base, &[&one.name])).into_iter().collect())
}

fn paths_of_item(view: &View, base: NodeKind, object: ObjectType, id: Id) -> Result<Vec<String>> {
    let collections = view.collections(object.container())?;
    let mut paths = Vec::new();
    for row in collections.children(None) {
        if let (Some(collection), Some(item)) = (collections.get(*row), view.items(object, *row)?.get(id)) {
            paths.push(join(base, &[&collection.name, &item.name]));
        }
    }
    Ok(paths)
}

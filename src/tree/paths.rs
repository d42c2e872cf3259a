//! From nodes to objects and back: extended attributes, and the paths of an object.

use super::node::{Node, What};
use super::opened::Tree;
use super::versions::collection_kind;
use crate::error::Result;
use crate::model::{Id, ObjectType};

impl Tree {
    /// What `-o xattr` shows of a node: the name in the account, and of messages digest, keywords and date.
    pub fn xattrs(&self, node: Node) -> Result<Vec<(&'static str, String)>> {
        let view = self.view(node)?;
        let mut all = Vec::new();
        match node.what {
            What::Mailbox | What::Cur => {
                if let Some(place) = view.folders()?.get(node.row) {
                    all.push(("user.vandelay.name", place.raw.clone()));
                }
            }
            What::Calendar | What::AddressBook => {
                if let Some(place) = view.collections(collection_kind(node.what))?.get(node.row) {
                    all.push(("user.vandelay.name", place.raw.clone()));
                }
            }
            What::Event | What::Card => {
                let kind = if node.what == What::Event { ObjectType::Calendar } else { ObjectType::AddressBook };
                all.push(("user.vandelay.name", self.item(&view, kind, node.row)?.raw));
            }
            What::FileNode => {
                if let Some(place) = view.files()?.get(node.row) {
                    all.push(("user.vandelay.name", place.raw.clone()));
                }
            }
            What::Script => {
                if let Some(script) = view.scripts()?.get(node.row) {
                    all.push(("user.vandelay.name", script.raw.clone()));
                }
            }
            What::Email => {
                let record = self.record(&view, ObjectType::Email, node.row)?;
                all.push(("user.vandelay.keywords", record.text("keywords").unwrap_or("[]").to_owned()));
                let received = crate::archive::epoch(record.text("received_at").unwrap_or_default());
                all.push(("user.vandelay.received_at", crate::archive::rfc3339(received)));
            }
            _ => {}
        }
        if let Ok(content) = self.content(node)
            && let super::cache::Content::Blob(blob) = &*content
        {
            all.push(("user.vandelay.blake3", blob.digest.hex()));
        }
        Ok(all)
    }
}

impl Tree {
    /// A path of a node, for messages to people: where what it shows stands; none for what has no row of its own.
    pub fn path_of(&self, node: Node) -> Result<Option<String>> {
        let kind = match node.what {
            What::Email | What::Text | What::Attachment | What::AttachmentFolder | What::FormerFolder => {
                ObjectType::Email
            }
            What::Mailbox | What::Cur | What::TextMailbox => ObjectType::Mailbox,
            What::Event => ObjectType::CalendarEvent,
            What::Card => ObjectType::ContactCard,
            What::Calendar | What::MergedCalendar => ObjectType::Calendar,
            What::AddressBook | What::MergedBook => ObjectType::AddressBook,
            What::Script => ObjectType::SieveScript,
            What::FileNode => ObjectType::FileNode,
            _ => return Ok(None),
        };
        Ok(self.paths_of(kind, node.object())?.into_iter().next())
    }

    /// Where an object stands in the tree: none, one or several paths from the root.
    pub fn paths_of(&self, kind: ObjectType, id: Id) -> Result<Vec<String>> {
        let view = self.view(Node::ROOT)?;
        let join = |base: &str, names: Vec<&str>| format!("{base}/{}", names.join("/"));
        Ok(match kind {
            ObjectType::Mailbox => {
                vec![join("mail", view.folders()?.path(id).iter().map(|place| place.name.as_str()).collect())]
            }
            ObjectType::FileNode => {
                vec![join("files", view.files()?.path(id).iter().map(|place| place.name.as_str()).collect())]
            }
            ObjectType::Email => {
                let record = self.record(&view, kind, id)?;
                let mut mailboxes = crate::archive::parse_ids(record.text("mailbox_ids").unwrap_or("[]"));
                if mailboxes.is_empty() {
                    mailboxes.push(crate::archive::UNFILED);
                }
                let mut paths = Vec::new();
                for mailbox in mailboxes {
                    let Some(listed) = view.message(mailbox, id)? else { continue };
                    let line =
                        self.message_line(&view, Node::single(What::Cur, 0).beside(What::Cur, mailbox), &listed)?;
                    let folder =
                        join("mail", view.folders()?.path(mailbox).iter().map(|place| place.name.as_str()).collect());
                    paths.push(format!("{folder}/cur/{}", line.name));
                }
                paths
            }
            ObjectType::CalendarEvent | ObjectType::ContactCard => {
                let (collections, base) = if kind == ObjectType::CalendarEvent {
                    (ObjectType::Calendar, "calendars")
                } else {
                    (ObjectType::AddressBook, "contacts")
                };
                let mut paths = Vec::new();
                for collection in view.collections(collections)?.children(None) {
                    if let (Some(place), Some(item)) =
                        (view.collections(collections)?.get(*collection), view.shelf(collections, *collection)?.get(id))
                    {
                        paths.push(join(base, vec![&place.name, &item.name]));
                    }
                }
                paths
            }
            ObjectType::Calendar => {
                view.collections(kind)?.get(id).map(|place| join("calendars", vec![&place.name])).into_iter().collect()
            }
            ObjectType::AddressBook => {
                view.collections(kind)?.get(id).map(|place| join("contacts", vec![&place.name])).into_iter().collect()
            }
            ObjectType::SieveScript => {
                view.scripts()?.get(id).map(|script| join("sieve", vec![&script.name])).into_iter().collect()
            }
            ObjectType::Identity | ObjectType::ParticipantIdentity => vec!["identities.json".to_owned()],
            // No file shows it.
            ObjectType::VacationResponse => Vec::new(),
        })
    }
}

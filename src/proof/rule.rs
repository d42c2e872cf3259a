//! What an object of each type has to show in the tree.

use super::finding::Checked;
use super::message::Letters;
use super::read_back::{ReadBack, is_of_object};
use super::{item, message};
use crate::archive::Record;
use crate::error::{ErrorKind, Result};
use crate::model::objects::NodeType;
use crate::model::{Id, ObjectType};
use crate::tree::{FileType, Node, Tree};
use serde_json::Value;
use std::collections::HashMap;

/// What the file of identities may hold at most.
const IDENTITIES_MAX: usize = 64 << 20;

/// The largest name and the largest colour of a collection.
const NAME_MAX: usize = 1 << 20;

/// How objects are read back.
pub(super) struct Rules<'t> {
    back: ReadBack<'t>,
    letters: Letters,
    /// The objects of `identities.json`, by type and row; `None` if it cannot be read.
    identities: Option<HashMap<(ObjectType, Id), Value>>,
}

impl<'t> Rules<'t> {
    pub(super) fn new(tree: &'t Tree) -> Result<Rules<'t>> {
        Ok(Rules { back: ReadBack { tree }, letters: Letters::default(), identities: identities(tree)? })
    }

    /// Reads one object.
    ///
    /// Errors: what says nothing about this object: the snapshot is gone, the archive cannot be read at all.
    pub(super) fn check(&self, record: &Record) -> Result<Checked> {
        let mut checked = Checked::default();
        let done = match record.kind {
            ObjectType::Email => message::check(&self.back, &self.letters, record, &mut checked),
            ObjectType::CalendarEvent | ObjectType::ContactCard => item::check(&self.back, record, &mut checked),
            ObjectType::Mailbox | ObjectType::Calendar | ObjectType::AddressBook => {
                self.container(record, &mut checked)
            }
            ObjectType::SieveScript => self.script(record, &mut checked),
            ObjectType::FileNode => self.node(record, &mut checked),
            ObjectType::Identity | ObjectType::ParticipantIdentity => {
                self.identity(record, &mut checked);
                Ok(())
            }
            // No file shows it, and a JMAP server gets it from its row.
            ObjectType::VacationResponse => Ok(()),
        };
        match done {
            Err(error) if is_of_object(error.kind) => checked.damage(None, error.to_string()),
            done => done?,
        }
        Ok(checked)
    }

    fn container(&self, record: &Record, checked: &mut Checked) -> Result<()> {
        for (path, node) in self.back.nodes(record, checked)? {
            if self.back.tree.stat(node)?.file_type != FileType::Directory {
                checked.damage(Some(&path), "is no directory");
            } else if record.kind != ObjectType::Mailbox {
                self.text(&path, node, "displayname", Some(record.name()), checked)?;
                if record.kind == ObjectType::Calendar {
                    let color = record.calendar().color;
                    self.text(&path, node, "color", color.as_deref().filter(|color| !color.is_empty()), checked)?;
                }
            }
        }
        Ok(())
    }

    /// A file of a collection that holds one property.
    fn text(&self, path: &str, node: Node, name: &str, text: Option<&str>, checked: &mut Checked) -> Result<()> {
        let file = match self.back.tree.lookup(node, name) {
            Ok(child) => Some(self.back.tree.read_whole(child.node, NAME_MAX)?),
            Err(error) if error.kind == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if file.as_deref() != text.map(str::as_bytes) {
            checked.damage(Some(path), format!("its file {name} says something else"));
        }
        Ok(())
    }

    fn script(&self, record: &Record, checked: &mut Checked) -> Result<()> {
        for (path, node) in self.back.nodes(record, checked)? {
            self.back.bytes((&path, node), record, &mut |_| {}, checked)?;
            let link = match self.back.tree.resolve("sieve/active") {
                Ok(link) => Some(self.back.tree.read_link(link)?),
                Err(error) if error.kind == ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            };
            let is_linked = link.as_deref() == path.rsplit('/').next();
            if is_linked != record.sieve_script().is_active {
                let word = if is_linked {
                    "leads to it, and it is not active"
                } else {
                    "does not lead to it, and it is active"
                };
                checked.damage(Some(&path), format!("the link sieve/active {word}"));
            }
        }
        Ok(())
    }

    fn node(&self, record: &Record, checked: &mut Checked) -> Result<()> {
        for (path, node) in self.back.nodes(record, checked)? {
            let file_type = self.back.tree.stat(node)?.file_type;
            match (record.file_node().node_type, file_type) {
                (NodeType::Directory, FileType::Directory) | (NodeType::Symlink, FileType::Link) => {}
                // A link that leads out of the archive is shown as a file with its target.
                (NodeType::Symlink, FileType::File) => checked.loss(Some(&path), "a link that is shown as a file"),
                (NodeType::File, FileType::File) => {
                    self.back.bytes((&path, node), record, &mut |_| {}, checked)?;
                }
                (is, shown) => {
                    checked.damage(Some(&path), format!("is a {}, and is shown as a {shown:?}", is.name()));
                }
            }
        }
        Ok(())
    }

    fn identity(&self, record: &Record, checked: &mut Checked) {
        let shown = self.identities.as_ref().and_then(|all| all.get(&(record.kind, record.id)));
        if shown != Some(&record.to_json()) {
            checked.damage(Some("identities.json"), "does not show it as its row says it");
        }
    }
}

fn identities(tree: &Tree) -> Result<Option<HashMap<(ObjectType, Id), Value>>> {
    let read = tree.resolve("identities.json").and_then(|node| tree.read_whole(node, IDENTITIES_MAX));
    let bytes = match read {
        Ok(bytes) => bytes,
        Err(error) if is_of_object(error.kind) => return Ok(None),
        Err(error) => return Err(error),
    };
    let Ok(Value::Object(mut lists)) = serde_json::from_slice(&bytes) else { return Ok(None) };
    let mut all = HashMap::new();
    for (name, kind) in
        [("identities", ObjectType::Identity), ("participantIdentities", ObjectType::ParticipantIdentity)]
    {
        let Some(Value::Array(list)) = lists.remove(name) else { return Ok(None) };
        all.extend(list.into_iter().filter_map(|one| Some(((kind, one.get("id")?.as_i64()?), one))));
    }
    Ok(Some(all))
}

//! Writing objects: whole ones, and the single changes that an import makes.

use super::properties::{
    Field, active_field, containers_field, default_field, fields, missing_created_field, name_field, no_role_field,
    parent_field,
};
use super::write::Writer;
use crate::error::Result;
use crate::model::objects::Properties;
use crate::model::{Id, ObjectType};

/// What [`Writer::put`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It has a row that was not there.
    New,
    /// The row's former state went to the history.
    Changed,
    /// The row had all these values already: nothing was written.
    Unchanged,
}

impl Writer {
    /// Writes an object into its row, or adds one. Gives the row.
    ///
    /// `untold` are the properties that the source did not tell, by JMAP's names: the row keeps what it has, and a new row
    /// has the default. A file without a date of creation keeps the one that it has; a new one was made now. Emails have
    /// calls of their own, which keep the index: [`Writer::insert_email`] and [`Writer::update_email`].
    pub fn put(
        &mut self,
        row: Option<Id>,
        object: &Properties<'_>,
        untold: &[&str],
        blob: Option<Id>,
    ) -> Result<(Id, Written)> {
        let kind = object.kind();
        let mut fields = fields(object, untold);
        if let Some(id) = row {
            let written = if self.update_row(kind, id, &fields, blob)? { Written::Changed } else { Written::Unchanged };
            return Ok((id, written));
        }
        fields.extend(missing_created_field(kind, &fields));
        Ok((self.insert_row(kind, &fields, blob)?, Written::New))
    }

    /// Takes an object out of the current state; it stays in the history.
    pub fn remove(&mut self, kind: ObjectType, id: Id) -> Result<()> {
        match kind {
            ObjectType::Email => self.remove_email(id),
            _ => self.remove_row(kind, id),
        }
    }

    /// Puts an event into other calendars, or a card into other address books.
    pub fn set_containers(&mut self, kind: ObjectType, id: Id, containers: &[Id]) -> Result<()> {
        match containers_field(kind, containers) {
            Some(field) => self.change(kind, id, &[field]),
            None => Ok(()),
        }
    }

    /// Puts a file, link or directory into a directory, under a name.
    pub fn move_node(&mut self, id: Id, parent: Option<Id>, name: &str) -> Result<()> {
        self.change(ObjectType::FileNode, id, &[parent_field(parent), name_field(name)])
    }

    /// Gives a container, or a file, another name.
    pub fn rename(&mut self, kind: ObjectType, id: Id, name: &str) -> Result<()> {
        self.change(kind, id, &[name_field(name)])
    }

    /// Takes its role from a mailbox.
    pub fn clear_role(&mut self, mailbox: Id) -> Result<()> {
        self.change(ObjectType::Mailbox, mailbox, &[no_role_field()])
    }

    /// Says of a calendar or an address book that it is not the default one.
    pub fn clear_default(&mut self, kind: ObjectType, id: Id) -> Result<()> {
        self.change(kind, id, &[default_field(false)])
    }

    /// Deactivates the active script, also one of another source. The index of active scripts allows one.
    pub fn deactivate_scripts(&mut self) -> Result<()> {
        for id in self.rows("SELECT id FROM sieve_scripts WHERE is_active = 1", [], |row| row.get(0))? {
            self.change(ObjectType::SieveScript, id, &[active_field(false)])?;
        }
        Ok(())
    }

    fn change(&mut self, kind: ObjectType, id: Id, fields: &[Field]) -> Result<()> {
        self.update_row(kind, id, fields, None).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::{Moment, Reader, RunState};
    use crate::model::SourceIdent;
    use crate::model::objects::{Calendar, FileNode};

    #[test]
    fn a_row_keeps_what_its_source_did_not_tell() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a.sqlite");
        let mut writer = Writer::open(&path, "test").expect("an archive");
        let ident = SourceIdent {
            kind: "jmap",
            session_url: "https://a.example".to_owned(),
            account_id: "a".to_owned(),
            account_name: None,
            username: "a".to_owned(),
        };
        writer.begin_run(&ident, false).expect("a run");
        let calendar = |color: Option<&'static str>| {
            let (name, include_in_availability) = ("a".into(), "none".into());
            Properties::Calendar(Calendar {
                name,
                color: color.map(Into::into),
                include_in_availability,
                ..Calendar::default()
            })
        };
        let mut put =
            |row, object: &Properties<'_>, untold: &[&str]| writer.put(row, object, untold, None).expect("a row");
        let (id, written) = put(None, &calendar(Some("red")), &["isVisible", "includeInAvailability"]);
        assert_eq!(written, Written::New);
        assert_eq!(
            put(Some(id), &calendar(None), &["color", "isVisible", "includeInAvailability"]).1,
            Written::Unchanged
        );
        assert_eq!(put(Some(id), &calendar(None), &["isVisible", "includeInAvailability"]).1, Written::Changed);
        let node = |created: Option<&'static str>| {
            Properties::FileNode(FileNode { name: "a".into(), created: created.map(Into::into), ..FileNode::default() })
        };
        let (old, _) = put(None, &node(Some("2026-01-01T00:00:00Z")), &[]);
        assert_eq!(put(Some(old), &node(None), &[]).1, Written::Unchanged);
        writer.rename(ObjectType::FileNode, old, "b").expect("another name");
        let (new, _) = writer.put(None, &node(None), &[], None).expect("a row");
        writer.finish(RunState::Complete, "{}").expect("an end");
        let reader = Reader::open(&path).expect("a reader");
        let record = |kind, id| reader.record(kind, Moment::Current, id).expect("an answer").expect("a row");
        let calendar = record(ObjectType::Calendar, id);
        let calendar = calendar.calendar();
        assert!(calendar.is_visible && calendar.color.is_none() && calendar.include_in_availability == "all");
        let (old, new) = (record(ObjectType::FileNode, old), record(ObjectType::FileNode, new));
        assert_eq!((old.name(), old.file_node().created.as_deref()), ("b", Some("2026-01-01T00:00:00Z")));
        assert!(new.file_node().created.is_some_and(|created| created.starts_with("20")));
    }
}

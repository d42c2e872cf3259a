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
    New,
    Changed,
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

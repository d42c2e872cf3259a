//! Sieve scripts as rows: in the whole archive a name stands once, and one script at most is active.

use super::prepare::Bytes;
use super::report::Fate;
use super::store::{Place, Store};
use crate::archive::value::{int, text};
use crate::error::Result;
use crate::model::{Id, ObjectType};

impl Store<'_> {
    /// Stores a script.
    pub(super) fn script(&mut self, place: &Place<'_>, bytes: Bytes, name: String, is_active: bool) -> Result<Fate> {
        let (blob, ..) = self.blob(bytes)?;
        if is_active {
            // The index of active scripts allows one: the former one has to make room first.
            for other in self.writer.active_scripts()? {
                self.writer.update(ObjectType::SieveScript, other, &[("is_active", int(0))], None)?;
            }
        }
        let known = self.writer.known(place.scope, place.key)?.map(|(id, _)| id);
        let (name, row) = self.row_of_script(place, known, name)?;
        let fields = [("name", text(name)), ("is_active", int(i64::from(is_active)))];
        let fate = match row {
            Some(id) => {
                let differs = self.writer.update(ObjectType::SieveScript, id, &fields, Some(blob))?;
                self.link(place, "[]", &[], id)?;
                if differs { Fate::Changed } else { Fate::Unchanged }
            }
            None => {
                let id = self.writer.insert(ObjectType::SieveScript, &fields, Some(blob))?;
                self.link(place, "[]", &[], id)?;
                Fate::New
            }
        };
        Ok(fate)
    }

    /// The name to store, and the row that is this script already. A row that no source of ours knows came from 1.x,
    /// and is taken by its name, as 1.x does. A script of another source with this name stays beside it.
    fn row_of_script(&mut self, place: &Place<'_>, known: Option<Id>, name: String) -> Result<(String, Option<Id>)> {
        let Some(taken) = self.writer.find_script(&name)?.filter(|taken| known != Some(*taken)) else {
            return Ok((name, known));
        };
        if known.is_none() && self.writer.origins_of(ObjectType::SieveScript, taken)?.is_empty() {
            return Ok((name, Some(taken)));
        }
        Ok((format!("{name}~{}", place.scope), known))
    }
}

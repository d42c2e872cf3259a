//! Sieve scripts as rows: in the whole archive a name stands once, and one script at most is active.

use super::prepare::Bytes;
use super::report::Fate;
use super::store::{Place, Store};
use crate::archive::Membership;
use crate::error::Result;
use crate::model::objects::{Properties, SieveScript};
use crate::model::{Id, ObjectType};

impl Store<'_> {
    /// Stores a script.
    pub(super) fn script(&mut self, place: &Place<'_>, bytes: Bytes, name: String, is_active: bool) -> Result<Fate> {
        let blob = self.blob(bytes)?.blob;
        if is_active {
            self.writer.deactivate_scripts()?;
        }
        let known = self.known(place)?;
        let (name, row) = self.row_of_script(place, known, name)?;
        let script = Properties::SieveScript(SieveScript { name: name.into(), is_active });
        let (id, written) = self.writer.put(row, &script, &[], Some(blob))?;
        self.link(place, &Membership::none(), id)?;
        Ok(written.into())
    }

    /// The name to store, and the row that is this script already. One that can be adopted is taken by its name. A script
    /// of another source with this name stays beside it.
    fn row_of_script(&mut self, place: &Place<'_>, known: Option<Id>, name: String) -> Result<(String, Option<Id>)> {
        let Some(taken) = self.writer.find_script(&name)?.filter(|taken| known != Some(*taken)) else {
            return Ok((name, known));
        };
        if known.is_none() && self.writer.is_adoptable(ObjectType::SieveScript, taken)? {
            return Ok((name, Some(taken)));
        }
        Ok((format!("{name}~{}", place.scope), known))
    }
}

//! What stands in the archive already, from another file or another export of the account ([`DuplicateRule::SameBytes`]).

use super::report::Fate;
use super::store::{Place, Store};
use crate::error::Result;
use crate::model::{Digest, Id, ObjectType};
use crate::source::DuplicateRule;

impl Store<'_> {
    /// Makes an event or a card one with another that has the same key and bytes. `None` if there is none.
    pub(super) fn join_object(&mut self, kind: ObjectType, place: &Place<'_>, digest: Digest) -> Result<Option<Fate>> {
        if self.join != DuplicateRule::SameBytes {
            return Ok(None);
        }
        let known = self.known(place)?;
        for id in self.writer.kin_rows(kind, place.key)? {
            if known == Some(id) || self.writer.original_digest(kind, id)? != Some(digest) {
                continue;
            }
            self.join(kind, place, id)?;
            return Ok(Some(match known {
                Some(former) => {
                    self.settle(kind, former)?;
                    Fate::Changed
                }
                None => Fate::Duplicate,
            }));
        }
        Ok(None)
    }

    /// Makes a plain file one with another that has its name, its directory and its bytes. `None` if there is none.
    pub(super) fn join_file(&mut self, place: &Place<'_>, other: Id, blob: Id) -> Result<Option<Fate>> {
        let is_one = self.join == DuplicateRule::SameBytes
            && self.known(place)?.is_none()
            && self.writer.is_of_kin(ObjectType::FileNode, other)?
            && self.writer.file_blob(other)? == Some(blob);
        if is_one {
            self.join(ObjectType::FileNode, place, other)?;
        }
        Ok(is_one.then_some(Fate::Duplicate))
    }

    /// The row that is known at a place, unless something at another place is that row, too: then a change of one must
    /// not change the other.
    pub(super) fn own_row(&self, kind: ObjectType, place: &Place<'_>) -> Result<Option<Id>> {
        match self.known(place)? {
            Some(id) if self.join != DuplicateRule::SameBytes || self.writer.origins_of(kind, id)?.len() < 2 => {
                Ok(Some(id))
            }
            _ => Ok(None),
        }
    }

    fn join(&mut self, kind: ObjectType, place: &Place<'_>, id: Id) -> Result<()> {
        let membership = self.membership(place.attrs);
        self.link(place, &membership, id)?;
        self.settle(kind, id)
    }
}

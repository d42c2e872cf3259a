//! Messages: which row one is, by its bytes, and one that was moved.

use super::report::Fate;
use super::store::{Place, Store, StoredBytes, copy_in};
use crate::archive::{Membership, epoch, rfc3339};
use crate::error::Result;
use crate::model::objects::Email;
use crate::model::{Id, ObjectType};
use crate::source::DuplicateRule;

impl Store<'_> {
    /// Stores a message of `size` bytes that arrived at `received`, in seconds since 1970.
    pub(super) fn email(
        &mut self,
        place: &Place<'_>,
        stored: &StoredBytes,
        size: u64,
        received: i64,
        message_match: String,
    ) -> Result<Fate> {
        let membership = self.membership(place.attrs);
        let known = self.known(place)?;
        if let Some(id) = known
            && self.writer.email_blob(id)?.is_some_and(|(known_blob, _)| known_blob == stored.blob)
        {
            return self.count_change(|store| store.touch(ObjectType::Email, place, id));
        }
        let email = Email {
            received_at: rfc3339(received).into(),
            mailboxes: membership.containers().to_vec(),
            keywords: membership.keywords().to_vec(),
            message_match: message_match.into(),
        };
        if !stored.is_new && known.is_none() {
            if let Some(id) = self.writer.adoptable_email(stored.blob, &email.mailboxes)? {
                return self.count_change(|store| store.join_email(place, &membership, id));
            }
            if let Some(fate) = self.email_with_blob(place, stored.blob, &membership, &email)? {
                return Ok(fate);
            }
        }
        let id = self.writer.insert_email(&email, stored.blob, size)?;
        self.link(place, &membership, id)?;
        match known {
            Some(old) => {
                self.settle(ObjectType::Email, old)?;
                Ok(Fate::Changed)
            }
            None => Ok(Fate::New),
        }
    }

    /// Stores a message as a row that has its bytes: one that was moved, or one that is the same by the rule of the source.
    /// `None` if there is no such row.
    fn email_with_blob(
        &mut self,
        place: &Place<'_>,
        blob: Id,
        membership: &Membership,
        email: &Email<'_>,
    ) -> Result<Option<Fate>> {
        for (id, other) in self.writer.emails_with_blob(blob)? {
            if self.revive(place, membership, id)? {
                return Ok(Some(Fate::Changed));
            }
            let is_one = match self.join {
                DuplicateRule::Never | DuplicateRule::SameContent => false,
                DuplicateRule::SameBytes => self.writer.is_of_kin(ObjectType::Email, id)?,
                DuplicateRule::SameName => {
                    other.keywords == email.keywords
                        && epoch(&other.received_at) == epoch(&email.received_at)
                        && !email.mailboxes.iter().any(|mailbox| other.mailboxes.contains(mailbox))
                        && self.writer.is_known_as(id, place.key)?
                }
            };
            if is_one {
                self.join_email(place, membership, id)?;
                return Ok(Some(self.fate_of_joined()));
            }
        }
        Ok(None)
    }

    /// Stores a message whose bytes stand in the row `id`: as this row if it was moved, or if the source says that it is
    /// one with it; else as a row of its own. `None` if there is no such row in the current state, or if something else
    /// was known at this place.
    pub fn known_email(&mut self, place: &Place<'_>, id: Id) -> Result<Option<Fate>> {
        if self.known(place)?.is_some() {
            return Ok(None);
        }
        let membership = self.membership(place.attrs);
        if self.revive(place, &membership, id)? {
            return Ok(Some(Fate::Changed));
        }
        let (Some((blob, size)), Some(email)) = (self.writer.email_blob(id)?, self.writer.stored_email(id)?) else {
            return Ok(None);
        };
        let id = match self.join {
            DuplicateRule::SameContent | DuplicateRule::SameBytes => id,
            DuplicateRule::Never | DuplicateRule::SameName => {
                self.writer.insert_email(&copy_in(email, &membership), blob, size)?
            }
        };
        self.join_email(place, &membership, id)?;
        Ok(Some(self.fate_of_joined()))
    }

    /// Stores a message that is the row `id` in a new place. False if something else was known at this place, or if not all
    /// places of that row are gone.
    pub fn moved_email(&mut self, place: &Place<'_>, id: Id) -> Result<bool> {
        if self.known(place)?.is_some() {
            return Ok(false);
        }
        let membership = self.membership(place.attrs);
        self.revive(place, &membership, id)
    }

    /// Moves a row all of whose places are gone to a new one. False if it is not such a row.
    fn revive(&mut self, place: &Place<'_>, membership: &Membership, id: Id) -> Result<bool> {
        let Some(gone) = self.dying.get(&id) else { return Ok(false) };
        if self.writer.origins_of(ObjectType::Email, id)?.len() != gone.len() {
            return Ok(false);
        }
        for (scope, key) in self.dying.remove(&id).unwrap_or_default() {
            self.writer.unlink(scope, &key)?;
        }
        self.join_email(place, membership, id)?;
        Ok(true)
    }

    /// Makes a message the row `id`.
    fn join_email(&mut self, place: &Place<'_>, membership: &Membership, id: Id) -> Result<()> {
        self.link(place, membership, id)?;
        self.settle(ObjectType::Email, id)
    }

    /// What a message counts as that has become a row that was there.
    fn fate_of_joined(&self) -> Fate {
        if self.join == DuplicateRule::SameBytes { Fate::Duplicate } else { Fate::New }
    }

    /// Does `work`, and says whether a row of a message changed.
    fn count_change(&mut self, work: impl FnOnce(&mut Self) -> Result<()>) -> Result<Fate> {
        let before = self.writer.changes().get(&ObjectType::Email).copied();
        work(self)?;
        let after = self.writer.changes().get(&ObjectType::Email).copied();
        Ok(if before == after { Fate::Unchanged } else { Fate::Changed })
    }
}

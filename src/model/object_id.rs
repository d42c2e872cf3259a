//! The short id of an object: what a list shows, and what is typed to have the object back.

use super::{Id, ObjectType};
use std::fmt;
use std::str::FromStr;

/// The types that have short ids, each with its letter.
const LETTERS: [(ObjectType, char); 5] = [
    (ObjectType::Email, 'm'),
    (ObjectType::CalendarEvent, 'e'),
    (ObjectType::ContactCard, 'c'),
    (ObjectType::FileNode, 'f'),
    (ObjectType::SieveScript, 's'),
];

/// An object of an archive by its type and its row, e.g. `m943`. It means the same object for as long as the archive exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId {
    /// The type.
    pub kind: ObjectType,
    /// The row.
    pub id: Id,
}

impl ObjectId {
    /// The short id of a row; `None` for a type that has none (mailboxes and the like).
    pub fn of(kind: ObjectType, id: Id) -> Option<ObjectId> {
        LETTERS.iter().any(|(known, _)| *known == kind).then_some(ObjectId { kind, id })
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = LETTERS.iter().find(|(kind, _)| *kind == self.kind);
        letter.map_or(Ok(()), |(_, letter)| write!(f, "{letter}"))?;
        write!(f, "{}", self.id)
    }
}

impl FromStr for ObjectId {
    type Err = String;

    /// Reads `m943`; a number alone is that of a message.
    fn from_str(text: &str) -> Result<ObjectId, String> {
        let wrong = || format!("'{text}' is not an id: use one that a list shows, e.g. m943");
        let first = text.chars().next().ok_or_else(wrong)?;
        let letter = LETTERS.iter().find(|(_, letter)| letter.eq_ignore_ascii_case(&first));
        let (kind, digits) = letter.map_or((ObjectType::Email, text), |(kind, _)| (*kind, &text[1..]));
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        digits.parse().ok().filter(|id| *id > 0).map(|id| ObjectId { kind, id }).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_is_shown() {
        for (kind, _) in LETTERS {
            let id = ObjectId { kind, id: 943 };
            assert_eq!(id.to_string().parse(), Ok(id));
            assert_eq!(id.to_string().to_uppercase().parse(), Ok(id));
        }
        assert_eq!("943".parse(), Ok(ObjectId { kind: ObjectType::Email, id: 943 }));
        for wrong in ["", "m", "x1", "m-1", "m0", "m1x", "é1", "99999999999999999999", "mail/INBOX"] {
            assert!(wrong.parse::<ObjectId>().is_err(), "{wrong}");
        }
    }
}

//! Which directories a tree has in its root.

use super::node::What;
use crate::error::{Error, ErrorKind, Result};
use std::str::FromStr;

/// The root's entries, in the order in which they are listed.
const ENTRIES: [(&str, What); 9] = [
    ("mail", What::Mail),
    ("text", What::TextMail),
    ("attachments", What::AttachmentMail),
    ("calendars", What::Calendars),
    ("contacts", What::Contacts),
    ("sieve", What::Sieve),
    ("files", What::Files),
    ("merged", What::Merged),
    ("identities.json", What::Identities),
];

/// A set of the root's entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Views(u16);

impl Views {
    /// Everything there is.
    pub const ALL: Views = Views((1 << ENTRIES.len()) - 1);

    /// The entries of a root, be it that of a snapshot.
    pub(super) fn entries(self) -> impl Iterator<Item = (&'static str, What)> {
        let chosen = ENTRIES.into_iter().enumerate().filter(move |(at, _)| self.0 & (1 << at) != 0);
        chosen.map(|(_, entry)| entry)
    }
}

impl FromStr for Views {
    type Err = Error;

    /// Names separated by commas or plus signs, e.g. `mail,text`.
    fn from_str(text: &str) -> Result<Views> {
        let mut views = Views(0);
        for name in text.split([',', '+']).map(str::trim).filter(|name| !name.is_empty()) {
            let known =
                ENTRIES.iter().position(|(entry, _)| entry.trim_end_matches(".json") == name.trim_end_matches(".json"));
            let Some(at) = known else {
                let all: Vec<&str> = ENTRIES.iter().map(|(entry, _)| entry.trim_end_matches(".json")).collect();
                return Err(Error::new(ErrorKind::Usage, format!("there is no view {name:?}"))
                    .hint(format!("the views are {}", all.join(", "))));
            };
            views.0 |= 1 << at;
        }
        if views.0 == 0 {
            return Err(Error::new(ErrorKind::Usage, "no view is named").hint("for example views=mail,calendars"));
        }
        Ok(views)
    }
}

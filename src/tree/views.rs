//! Which directories a tree has in its root.

use super::kinds::NodeKind;
use super::rules::Condition;
use crate::error::{Error, ErrorKind, Result};
use std::str::FromStr;

/// A set of the root's entries: the numbers of their kinds, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Views(u64);

/// The entries of the root that a mount may leave out, by the names that `-o views=` has for them.
fn entries() -> impl Iterator<Item = (&'static str, NodeKind)> {
    let is_view = |condition| matches!(condition, Condition::View | Condition::UnlistedView);
    let entries = NodeKind::Root.fixed_children().filter(move |entry| is_view(entry.position.condition));
    entries.map(|entry| (without_extension(entry.position.name), entry.kind))
}

fn without_extension(name: &str) -> &str {
    name.trim_end_matches(".json")
}

impl Views {
    /// Everything there is.
    pub const ALL: Views = Views(u64::MAX);

    pub(super) fn has(self, entry: NodeKind) -> bool {
        self.0 & (1 << entry as u8) != 0
    }
}

impl FromStr for Views {
    type Err = Error;

    /// Names separated by commas or plus signs, e.g. `mail,text`.
    fn from_str(text: &str) -> Result<Views> {
        let mut views = Views(0);
        for name in text.split([',', '+']).map(str::trim).filter(|name| !name.is_empty()) {
            let Some((_, kind)) = entries().find(|(entry, _)| *entry == without_extension(name)) else {
                let all: Vec<&str> = entries().map(|(entry, _)| entry).collect();
                return Err(Error::new(ErrorKind::Usage, format!("there is no view {name:?}"))
                    .hint(format!("the views are {}", all.join(", "))));
            };
            views.0 |= 1 << kind as u8;
        }
        if views.0 == 0 {
            return Err(Error::new(ErrorKind::Usage, "no view is named").hint("for example views=mail,calendars"));
        }
        Ok(views)
    }
}

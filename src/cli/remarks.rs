//! Remarks on single objects: the first ones of each sort, and how many more there are. All of them are in the log file, and
//! come with `-v`.

use super::ui::{Ui, thousands};
use std::collections::BTreeMap;

/// So many remarks that say the same are printed.
const NAMED: u64 = 10;

/// How loud a remark is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Loudness {
    Warning,
    Info,
    /// With `-v` only.
    Detail,
}

/// Remarks on single objects.
pub(super) struct Remarks<'u> {
    ui: &'u Ui,
    /// How many there were of each sort.
    sorts: BTreeMap<(Loudness, String), u64>,
}

impl<'u> Remarks<'u> {
    pub(super) fn new(ui: &'u Ui) -> Remarks<'u> {
        Remarks { ui, sorts: BTreeMap::new() }
    }

    /// Says something of one object: what is said, and of which.
    pub(super) fn tell(&mut self, loudness: Loudness, sort: &str, position: &str) {
        let text = format!("{sort}: {position}");
        let count = self.sorts.entry((loudness, sort.to_owned())).or_default();
        *count += 1;
        let is_named = *count <= NAMED || self.ui.verbose > 0;
        match loudness {
            Loudness::Warning if is_named => self.ui.warn(&text),
            Loudness::Info if is_named => self.ui.info(&text),
            Loudness::Detail if self.ui.verbose > 0 => self.ui.detail(&text),
            _ => self.ui.keep(&text),
        }
    }

    /// Says how many were not printed.
    pub(super) fn end(self) {
        if self.ui.verbose > 0 {
            return;
        }
        for ((loudness, sort), count) in self.sorts.into_iter().filter(|(_, count)| *count > NAMED) {
            let text = format!("… and {} more: {sort} (-v or --log-file names all)", thousands(count - NAMED));
            match loudness {
                Loudness::Warning => self.ui.warn(&text),
                Loudness::Info => self.ui.info(&text),
                Loudness::Detail => {}
            }
        }
    }
}

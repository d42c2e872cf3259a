//! When a scope was listed in full the last time.
//!
//! A server that tells what changed may be wrong about it: one that was restored from an older copy says that nothing
//! did. So each scope of a server is listed in full now and then, also where its cursor says that nothing changed, and the day of the last full
//! listing stands in front of the cursor in the archive: `whole:2026-11-30 CURSOR`.
//!
//! A cursor without a day, or with `full:` in front, is that of a version that mixed up containers of two types with one id:
//! everything is listed once more, and what is in a wrong place is put right.

use crate::source::Cursors;
use jiff::civil::Date;

/// A listing of changes is trusted for so many days after a full one.
pub(super) const DAYS: i64 = 30;

const MARK: &str = "whole:";

/// In front of a stamp of mixed types that no earlier version left.
const OWN_MARK: &str = "own:";

/// Where the listing of a scope begins.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Start {
    /// What the source gets: empty for a full listing.
    pub cursor: String,
    /// The day of the last full listing, once this one is done; `None` for cursors that are no state of a server.
    full: Option<Date>,
    cursors: Cursors,
    /// It is listed in full because the last full listing is too long ago, or its day is not known.
    pub is_due: bool,
    /// The last listing was of a version that may have put items into the wrong containers.
    pub heals: bool,
}

/// Decides how a scope is listed whose stored cursor is `stored`.
pub(super) fn start(stored: &str, today: Date, is_full: bool, cursors: Cursors) -> Start {
    let at = |cursor: &str, full: Option<Date>| Start {
        cursor: cursor.to_owned(),
        full,
        cursors,
        is_due: false,
        heals: false,
    };
    let day = (cursors == Cursors::ServerState).then_some(today);
    match cursors {
        _ if stored.is_empty() => at("", day),
        Cursors::Stamp => at(if is_full { "" } else { stored }, None),
        Cursors::StampOfMixedTypes => match stored.strip_prefix(OWN_MARK) {
            Some(cursor) => at(if is_full { "" } else { cursor }, None),
            None => Start { heals: true, ..at("", None) },
        },
        Cursors::ServerState => match read(stored) {
            _ if is_full => Start { heals: read(stored).is_none(), ..at("", day) },
            Some((day, cursor)) if is_fresh(day, today) => at(cursor, Some(day)),
            known => Start { is_due: true, heals: known.is_none(), ..at("", day) },
        },
    }
}

impl Start {
    /// What to store with the cursor that the listing gave.
    pub(super) fn stored(&self, cursor: String) -> String {
        match (self.cursors, self.full) {
            _ if cursor.is_empty() => cursor,
            (Cursors::ServerState, Some(day)) => format!("{MARK}{day} {cursor}"),
            (Cursors::StampOfMixedTypes, _) => format!("{OWN_MARK}{cursor}"),
            _ => cursor,
        }
    }
}

fn read(stored: &str) -> Option<(Date, &str)> {
    let (day, cursor) = stored.strip_prefix(MARK)?.split_once(' ')?;
    Some((day.parse().ok()?, cursor))
}

/// A day in the future comes from a clock that was wrong.
fn is_fresh(day: Date, today: Date) -> bool {
    let days = (today - day).get_days();
    (0..DAYS).contains(&i64::from(days))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn a_full_listing_is_due_after_thirty_days() {
        let today = date(2026, 11, 30);
        let begin = |stored: &str| start(stored, today, false, Cursors::ServerState);
        let fresh = begin("whole:2026-11-01 7 30 9 12 -");
        assert_eq!((fresh.cursor.as_str(), fresh.is_due), ("7 30 9 12 -", false));
        assert_eq!(fresh.stored("7 31 10 13 -".to_owned()), "whole:2026-11-01 7 31 10 13 -");
        for stored in [
            "full:2026-11-29 7",
            "whole:2026-10-31 7 30 9 12 -",
            "whole:2026-12-01 7",
            "whole:2020-01-01 x",
            "7 30 9 12 -",
            "whole:x y",
        ] {
            let old = begin(stored);
            assert_eq!((old.cursor.as_str(), old.is_due), ("", true), "{stored}");
            assert_eq!(old.stored("c".to_owned()), "whole:2026-11-30 c");
        }
        let new = begin("");
        assert_eq!((new.is_due, new.stored(String::new())), (false, String::new()));
        assert_eq!(start("whole:2026-11-29 c", today, true, Cursors::ServerState).cursor, "");
        // A directory tells no changes: its cursor is its own.
        let marked = |stored: &str| start(stored, today, false, Cursors::StampOfMixedTypes);
        assert_eq!((marked("stamp").cursor.as_str(), marked("stamp").heals), ("", true));
        assert_eq!((marked("own:stamp").cursor.as_str(), marked("own:stamp").heals), ("stamp", false));
        assert_eq!(marked("stamp").stored("s".to_owned()), "own:s");
        let own = start("stamp", today, false, Cursors::Stamp);
        assert_eq!((own.cursor.as_str(), own.stored("stamp".to_owned()).as_str()), ("stamp", "stamp"));
    }
}

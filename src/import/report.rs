//! The accounting of a run: found = stored + duplicate + skipped + failed, for every type, always; a run that was stopped
//! also says what it did not reach.

use crate::archive::Written;
use crate::model::{ObjectType, SkipKind, SkippedItem};
use crate::report::{Accounts, left_out, sum};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// The items found that stand in the archive now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Stored {
    /// They have rows that were not there.
    pub new: u64,
    /// Their rows got another state; the former one is in the history.
    pub changed: u64,
    /// Their rows were like this already.
    pub unchanged: u64,
}

impl Stored {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.new + self.changed + self.unchanged
    }
}

/// The account of one type.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ImportCounts {
    /// Counted where items are met, and not summed up from the rest: so the two can be compared.
    pub found: u64,
    /// Items that have a row now, new or not.
    pub stored: Stored,
    /// Items that are one with an object stored for another item.
    pub duplicate: u64,
    /// By reason.
    pub skipped: BTreeMap<String, u64>,
    /// By reason.
    pub failed: BTreeMap<String, u64>,
    /// Items that a run that ended before its end did not come to.
    pub not_reached: u64,
}

impl ImportCounts {
    /// True if every item found has one fate.
    pub fn balances(&self) -> bool {
        let not_stored = self.duplicate + sum(&self.skipped) + sum(&self.failed) + self.not_reached;
        self.found == self.stored.total() + not_stored
    }
}

/// The types that are worth a backup alone; the others only hold them, or say how to treat them.
const ITEMS: [ObjectType; 5] = [
    ObjectType::Email,
    ObjectType::ContactCard,
    ObjectType::CalendarEvent,
    ObjectType::SieveScript,
    ObjectType::FileNode,
];

/// The account of a run.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// What became of the items of each type, and remarks on those that are not stored.
    pub accounts: Accounts<ImportCounts>,
    /// Rows that left the current state, by token of the type. They stay in the history.
    pub removed: BTreeMap<&'static str, u64>,
    /// Known objects that the source does not name now and that stay, by token of the type: it only adds, or it could not
    /// tell whether they are gone.
    pub kept: BTreeMap<&'static str, u64>,
    /// Scopes that could not be listed at all, with the reason. Nothing of them was changed.
    pub scopes_failed: Vec<String>,
    /// Scopes that a filter of this run hid, by token of the type.
    pub hidden: BTreeMap<&'static str, u64>,
    /// Bytes of the items stored anew.
    pub bytes: u64,
    /// The share of the objects of a type that the run was allowed to remove.
    pub max_delete: Option<f64>,
    /// Notes on the run as a whole.
    pub notes: Vec<String>,
    /// Warnings about the run as a whole, printed with `--quiet`, too.
    pub notices: Vec<String>,
    /// Items that look like mail or another object, and are not understood. Counted as skipped, too.
    pub not_understood: u64,
    /// Messages that are stored as they are and are no good mail, by the reason: compressed, encrypted, cut, without a
    /// header. Counted as stored, too.
    pub no_good_mail: BTreeMap<String, u64>,
    /// Items found that hold nothing to import, by token of the type. Counted as skipped, too.
    pub by_products: BTreeMap<&'static str, u64>,
}

impl Report {
    /// The account of a type.
    pub fn of(&mut self, kind: ObjectType) -> &mut ImportCounts {
        self.accounts.of(kind)
    }

    /// Counts something that a source found and left out.
    pub fn omitted(&mut self, omission: SkippedItem) {
        let account = self.of(omission.kind);
        account.found += 1;
        self.not_stored(omission);
    }

    /// Gives an item that was counted as found its fate: not stored.
    pub fn not_stored(&mut self, omission: SkippedItem) {
        let account = self.accounts.of(omission.kind);
        let outcome = match omission.outcome {
            SkipKind::Duplicate => {
                account.duplicate += 1;
                "duplicate"
            }
            outcome @ (SkipKind::Skipped | SkipKind::ByProduct | SkipKind::NotUnderstood) => {
                *account.skipped.entry(omission.reason.clone()).or_default() += 1;
                *self.by_products.entry(omission.kind.token()).or_default() +=
                    u64::from(outcome == SkipKind::ByProduct);
                self.not_understood += u64::from(outcome == SkipKind::NotUnderstood);
                match outcome {
                    SkipKind::ByProduct => "by-product",
                    SkipKind::NotUnderstood => "not understood",
                    _ => "skipped",
                }
            }
            SkipKind::Failed => {
                *account.failed.entry(omission.reason.clone()).or_default() += 1;
                "failed"
            }
        };
        self.remark(omission.kind, outcome, omission.reason, omission.position);
    }

    /// Counts known objects that the source does not name now, and that stay.
    pub fn kept(&mut self, kind: ObjectType, count: u64) {
        if count > 0 {
            self.of(kind);
            *self.kept.entry(kind.token()).or_default() += count;
        }
    }

    /// Says something about one item.
    pub fn remark(&mut self, kind: ObjectType, outcome: &'static str, reason: String, position: String) {
        self.accounts.remark(kind, outcome, reason, position);
    }

    /// Says of a message that is stored as it is why it is no good mail.
    pub fn no_good_mail(&mut self, reason: String, position: String) {
        *self.no_good_mail.entry(reason.clone()).or_default() += 1;
        self.remark(ObjectType::Email, "stored as it is", reason, position);
    }

    /// True if everything found is stored, or was left out on purpose, and something is stored where something was found.
    pub fn is_complete(&self) -> bool {
        self.failed() == 0 && self.not_understood == 0 && self.stored_nothing_of() == 0
    }

    /// How many items were found, if not one of them stands in the archive: of all types together, or of mail alone. Zero
    /// for a source that is empty. Containers are no items, and by-products do not count as found.
    pub fn stored_nothing_of(&self) -> u64 {
        let nothing_of = |kinds: &[ObjectType]| {
            let (mut found, mut kept) = (0, 0);
            for kind in kinds {
                let Some(account) = self.accounts.get(*kind) else { continue };
                kept += account.stored.total() + account.duplicate;
                let by_products = self.by_products.get(kind.token()).copied().unwrap_or_default();
                found += account.found.saturating_sub(by_products);
            }
            if kept > 0 { 0 } else { found }
        };
        nothing_of(&ITEMS).max(nothing_of(&[ObjectType::Email]))
    }

    /// How many objects were gone before they could be read. A source that says nothing of them the next time may have lost
    /// them for a moment only.
    pub fn vanished(&self) -> u64 {
        self.accounts.types.values().filter_map(|counts| counts.skipped.get(VANISHED)).sum()
    }

    /// How many objects were to be stored and are not.
    pub fn failed(&self) -> u64 {
        self.accounts.types.values().map(|account| sum(&account.failed)).sum::<u64>() + self.scopes_failed.len() as u64
    }

    /// The part that is kept with the snapshot: the numbers.
    pub fn summary_json(&self) -> String {
        let brief = serde_json::json!({
            "types": self.accounts.types,
            "removed": self.removed,
            "kept": self.kept,
            "bytes": self.bytes,
            "scopes_failed": self.scopes_failed.len(),
            "hidden": self.hidden,
            "not_understood": self.not_understood,
            "no_good_mail": self.no_good_mail,
            "max_delete": self.max_delete,
        });
        brief.to_string()
    }
}

/// One line per type: `email: found 12 = stored 9 (new 3, changed 1, unchanged 5) + duplicate 1 + skipped 2 (deleted flag 2)`,
/// with ` + not reached 7` behind it if the run was stopped. A term that is 0 is left out.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (token, account) in &self.accounts.types {
            let stored = account.stored;
            write!(
                f,
                "{token}: found {} = stored {} (new {}, changed {}, unchanged {})",
                account.found,
                stored.total(),
                stored.new,
                stored.changed,
                stored.unchanged,
            )?;
            if account.duplicate > 0 {
                write!(f, " + duplicate {}", account.duplicate)?;
            }
            f.write_str(&left_out(&account.skipped, &account.failed))?;
            if account.not_reached > 0 {
                write!(f, " + not reached {}", account.not_reached)?;
            }
            if let Some(removed) = self.removed.get(token).filter(|removed| **removed > 0) {
                write!(f, "; removed {removed} (kept in the history)")?;
            }
            if let Some(kept) = self.kept.get(token) {
                write!(f, "; kept {kept} that the source does not name now")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// The outcome of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It got a row that was not there.
    New,
    /// Its row got another state.
    Changed,
    /// Its row was like this already.
    Unchanged,
    /// It is one with an object that is stored already.
    Duplicate,
}

impl From<Written> for Fate {
    fn from(written: Written) -> Fate {
        match written {
            Written::New => Fate::New,
            Written::Changed => Fate::Changed,
            Written::Unchanged => Fate::Unchanged,
        }
    }
}

/// Counts what became of an item.
pub fn count(report: &mut Report, kind: ObjectType, fate: Fate) {
    let account = report.of(kind);
    match fate {
        Fate::New => account.stored.new += 1,
        Fate::Changed => account.stored.changed += 1,
        Fate::Unchanged => account.stored.unchanged += 1,
        Fate::Duplicate => account.duplicate += 1,
    }
}

/// Why something is skipped that was gone before it could be read.
pub const VANISHED: &str = "vanished meanwhile";

/// Why an object that stands in the archive already is not stored once more.
pub const SAME_ELSEWHERE: &str = "the same in another file";

#[cfg(test)]
mod tests {
    use super::*;

    fn omission(kind: ObjectType, outcome: SkipKind) -> SkippedItem {
        SkippedItem { kind, reason: "why".to_owned(), position: "where".to_owned(), outcome }
    }

    /// Which fates let a run end as complete; in all of them found is the sum of the rest.
    #[test]
    fn a_run_is_complete_only_if_nothing_that_looks_like_an_object_is_missing() {
        use SkipKind::{ByProduct, Duplicate, Failed, NotUnderstood, Skipped};
        let (mail, file, event) = (ObjectType::Email, ObjectType::FileNode, ObjectType::CalendarEvent);
        for (stored, omitted, complete) in [
            (vec![], vec![], true),
            (vec![mail], vec![(mail, Skipped), (file, ByProduct), (mail, Duplicate)], true),
            (vec![mail], vec![(mail, NotUnderstood)], false),
            (vec![mail], vec![(file, NotUnderstood)], false),
            (vec![mail], vec![(mail, Failed)], false),
            // Found, and nothing stored.
            (vec![], vec![(mail, Skipped)], false),
            (vec![], vec![(mail, Duplicate)], true),
            (vec![], vec![(file, ByProduct), (mail, ByProduct)], true),
            (vec![], vec![(file, ByProduct), (file, Skipped)], false),
            (vec![ObjectType::Mailbox], vec![(mail, Skipped)], false),
            // Other things may be stored: the mail is not.
            (vec![file, event], vec![(mail, Skipped)], false),
            (vec![mail], vec![(event, Skipped)], true),
        ] {
            let mut report = Report::default();
            for kind in &stored {
                report.of(*kind).found += 1;
                report.of(*kind).stored.new += 1;
            }
            for (kind, outcome) in &omitted {
                report.omitted(omission(*kind, *outcome));
            }
            assert_eq!(report.is_complete(), complete, "{stored:?} {omitted:?}");
            assert!(report.accounts.types.values().all(ImportCounts::balances), "{report}");
        }
    }
}

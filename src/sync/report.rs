//! The accounting of a run: found = stored + duplicate + skipped + failed, for every type, always; a run that was stopped
//! also says what it did not reach.

use crate::model::{Kind, Omission, Outcome};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// What is stored of the items found: all of it stands in the archive now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Stored {
    pub new: u64,
    pub changed: u64,
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
pub struct Account {
    /// Counted where items are met, and not summed up from the rest: so the two can be compared.
    pub found: u64,
    pub stored: Stored,
    pub duplicate: u64,
    /// By reason.
    pub skipped: BTreeMap<String, u64>,
    /// By reason.
    pub failed: BTreeMap<String, u64>,
    /// Items that a run that ended before its end did not come to.
    pub not_reached: u64,
}

impl Account {
    /// True if every item found has one fate.
    pub fn balances(&self) -> bool {
        let left_out = self.duplicate + sum(&self.skipped) + sum(&self.failed) + self.not_reached;
        self.found == self.stored.total() + left_out
    }
}

/// An item that is not stored, or stored with a remark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Remark {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub outcome: &'static str,
    pub reason: String,
    pub position: String,
}

/// How many remarks are kept; of the others only the number. A report may not grow with a hostile source.
pub const REMARKS_MAX: usize = 10_000;

/// The account of a run.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// By token of the type.
    pub types: BTreeMap<&'static str, Account>,
    /// Rows that left the current state, by token of the type. They stay in the history.
    pub removed: BTreeMap<&'static str, u64>,
    /// Items that are not stored, each with its position.
    pub remarks: Vec<Remark>,
    /// How many more there were.
    pub remarks_left_out: u64,
    /// Scopes that could not be listed at all, with the reason. Nothing of them was changed.
    pub scopes_failed: Vec<String>,
    /// Scopes that a filter of this run hid, by token of the type.
    pub hidden: BTreeMap<&'static str, u64>,
    /// Bytes of the items stored anew.
    pub bytes: u64,
}

impl Report {
    /// The account of a type.
    pub fn of(&mut self, kind: Kind) -> &mut Account {
        self.types.entry(kind.token()).or_default()
    }

    /// Counts something that a source found and left out.
    pub fn omitted(&mut self, omission: Omission) {
        let account = self.of(omission.kind);
        account.found += 1;
        self.not_stored(omission);
    }

    /// Gives an item that was counted as found its fate: not stored.
    pub fn not_stored(&mut self, omission: Omission) {
        let account = self.types.entry(omission.kind.token()).or_default();
        let outcome = match omission.outcome {
            Outcome::Duplicate => {
                account.duplicate += 1;
                "duplicate"
            }
            Outcome::Skipped => {
                *account.skipped.entry(omission.reason.clone()).or_default() += 1;
                "skipped"
            }
            Outcome::Failed => {
                *account.failed.entry(omission.reason.clone()).or_default() += 1;
                "failed"
            }
        };
        self.remark(omission.kind, outcome, omission.reason, omission.position);
    }

    /// Says something about one item.
    pub fn remark(&mut self, kind: Kind, outcome: &'static str, reason: String, position: String) {
        if self.remarks.len() < REMARKS_MAX {
            self.remarks.push(Remark { kind: kind.token(), outcome, reason, position });
        } else {
            self.remarks_left_out += 1;
        }
    }

    /// True if everything found is stored, or was left out on purpose.
    pub fn is_complete(&self) -> bool {
        self.scopes_failed.is_empty() && self.types.values().all(|account| account.failed.is_empty())
    }

    /// Objects that failed, of all types.
    pub fn failed(&self) -> u64 {
        self.types.values().map(|account| sum(&account.failed)).sum::<u64>() + self.scopes_failed.len() as u64
    }

    /// The part that is kept with the snapshot: the numbers.
    pub fn summary_json(&self) -> String {
        let brief = serde_json::json!({
            "types": self.types,
            "removed": self.removed,
            "scopes_failed": self.scopes_failed.len(),
            "hidden": self.hidden,
        });
        brief.to_string()
    }
}

/// One line per type: `email: found 12 = stored 9 (new 3, changed 1, unchanged 5) + duplicate 1 + skipped 2 (deleted flag 2) + failed 0`,
/// with ` + not reached 7` behind it if the run was stopped.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (token, account) in &self.types {
            let stored = account.stored;
            write!(
                f,
                "{token}: found {} = stored {} (new {}, changed {}, unchanged {}) + duplicate {} + skipped {}{} + failed {}{}",
                account.found,
                stored.total(),
                stored.new,
                stored.changed,
                stored.unchanged,
                account.duplicate,
                sum(&account.skipped),
                reasons(&account.skipped),
                sum(&account.failed),
                reasons(&account.failed),
            )?;
            if account.not_reached > 0 {
                write!(f, " + not reached {}", account.not_reached)?;
            }
            match self.removed.get(token) {
                Some(removed) if *removed > 0 => writeln!(f, "; removed {removed} (kept in the history)")?,
                _ => writeln!(f)?,
            }
        }
        Ok(())
    }
}

pub(super) fn sum(reasons: &BTreeMap<String, u64>) -> u64 {
    reasons.values().sum()
}

pub(super) fn reasons(reasons: &BTreeMap<String, u64>) -> String {
    if reasons.is_empty() {
        return String::new();
    }
    let list: Vec<String> = reasons.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
    format!(" ({})", list.join(", "))
}

//! The accounting of an export: found = created + updated + matched + skipped + failed, for every type, always; a run that
//! was stopped also says what it did not reach. And the plan, which is the same before anything is done.

use crate::model::ObjectType;
use crate::report::{Accounts, left_out, reasons, sum};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// How many objects of each sort a plan names.
const SAMPLES: usize = 5;

/// The account of one type.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ExportCounts {
    /// Rows of the archive that were to be exported.
    pub found: u64,
    /// Were not there, and are now.
    pub created: u64,
    /// There already, and brought to the archive's state.
    pub updated: u64,
    /// There already.
    pub matched: u64,
    /// By reason.
    pub skipped: BTreeMap<String, u64>,
    /// By reason.
    pub failed: BTreeMap<String, u64>,
    /// How many of the failed the target does not take, however often it is asked.
    pub refused: u64,
    /// Rows that a run that ended before its end did not come to.
    pub not_reached: u64,
    /// Objects of the target that the archive does not hold, and that are gone now.
    pub removed: u64,
    /// Such objects that the target did not let go, by reason.
    pub not_removed: BTreeMap<String, u64>,
    /// Such objects that are the target's own: it made them and keeps them.
    pub kept_by_account: u64,
}

impl ExportCounts {
    /// True if every row has one fate.
    pub fn balances(&self) -> bool {
        let not_there = sum(&self.skipped) + sum(&self.failed) + self.not_reached;
        self.found == self.created + self.updated + self.matched + not_there
    }
}

/// The account of a run.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// What became of the rows of each type, and remarks on objects that did not get to the target as they are.
    pub accounts: Accounts<ExportCounts>,
    /// What is to be known of the run as a whole.
    pub notes: Vec<String>,
    /// Bytes of the messages sent.
    pub bytes: u64,
}

impl Report {
    /// The account of a type.
    pub fn of(&mut self, kind: ObjectType) -> &mut ExportCounts {
        self.accounts.of(kind)
    }

    /// Leaves out rows that were counted as found.
    pub fn skip(&mut self, kind: ObjectType, rows: u64, reason: &str, position: String) {
        *self.of(kind).skipped.entry(reason.to_owned()).or_default() += rows;
        self.remark(kind, "skipped", reason.to_owned(), position);
    }

    /// Rows that were counted as found and could not be exported. The heading is what stands before the first colon.
    pub fn fail(&mut self, kind: ObjectType, rows: u64, reason: &str, position: String) {
        let heading = heading(reason);
        *self.of(kind).failed.entry(heading).or_default() += rows;
        self.remark(kind, "failed", reason.to_owned(), position);
    }

    /// One object that was counted as found and that the target refuses: no other run would fare better.
    pub fn refuse(&mut self, kind: ObjectType, reason: &str, position: String) {
        self.of(kind).refused += 1;
        self.fail(kind, 1, reason, position);
    }

    /// Objects of a type that failed and may not fail the next time.
    pub fn open(&self, kind: ObjectType) -> u64 {
        self.accounts.get(kind).map_or(0, |account| sum(&account.failed) - account.refused)
    }

    /// Objects of all types that the target does not take, however often it is asked.
    pub fn refused(&self) -> u64 {
        self.accounts.types.values().map(|account| account.refused).sum()
    }

    /// Says something about one object.
    pub fn remark(&mut self, kind: ObjectType, outcome: &'static str, reason: String, position: String) {
        self.accounts.remark(kind, outcome, reason, position);
    }

    /// Objects that failed, of all types.
    pub fn failed(&self) -> u64 {
        self.accounts.types.values().map(|account| sum(&account.failed) + sum(&account.not_removed)).sum()
    }

    /// Objects of all types that are at the target now.
    pub fn present(&self) -> u64 {
        self.accounts.types.values().map(|account| account.created + account.updated + account.matched).sum()
    }

    /// True if all that was found is at the target, or was left out on purpose.
    pub fn is_complete(&self) -> bool {
        self.failed() == 0
    }

    /// True if every type balances.
    pub fn balances(&self) -> bool {
        self.accounts.types.values().all(ExportCounts::balances)
    }
}

/// One line per type: `email: found 12 = created 9 + updated 0 + matched 2 + skipped 1 (…)`.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has_part =
            |account: &ExportCounts| account.found > 0 || account.removed > 0 || !account.not_removed.is_empty();
        for (token, account) in self.accounts.types.iter().filter(|(_, account)| has_part(account)) {
            write!(
                f,
                "{token}: found {} = created {} + updated {} + matched {}{}",
                account.found,
                account.created,
                account.updated,
                account.matched,
                left_out(&account.skipped, &account.failed),
            )?;
            if account.not_reached > 0 {
                write!(f, " + not reached {}", account.not_reached)?;
            }
            if account.removed > 0 {
                write!(f, "; removed {}", account.removed)?;
            }
            if !account.not_removed.is_empty() {
                write!(f, "; not removed {}{}", sum(&account.not_removed), reasons(&account.not_removed))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// What will be done with the objects of a type at the target: how many of each sort, and some of them as samples.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Not there yet.
    pub create: u64,
    /// There in another state.
    pub update: u64,
    /// There, and left as they are.
    pub keep: u64,
    /// There, and not in the archive.
    pub remove: u64,
    /// Labels of the first five to create.
    pub create_samples: Vec<String>,
    /// Labels of the first five to update.
    pub update_samples: Vec<String>,
    /// Labels of the first five to remove.
    pub remove_samples: Vec<String>,
}

/// What will be done.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Plan {
    /// By token of the type.
    pub types: BTreeMap<&'static str, Step>,
}

impl Plan {
    /// The step of a type.
    pub fn of(&mut self, kind: ObjectType) -> &mut Step {
        self.types.entry(kind.token()).or_default()
    }

    /// How many objects of the target would be removed.
    pub fn removals(&self) -> u64 {
        self.types.values().map(|step| step.remove).sum()
    }
}

impl Step {
    /// One object to create.
    pub fn create(&mut self, label: impl FnOnce() -> String) {
        self.create += 1;
        sample(&mut self.create_samples, label);
    }

    /// One to update.
    pub fn update(&mut self, label: impl FnOnce() -> String) {
        self.update += 1;
        sample(&mut self.update_samples, label);
    }

    /// One to remove.
    pub fn remove(&mut self, label: impl FnOnce() -> String) {
        self.remove += 1;
        sample(&mut self.remove_samples, label);
    }
}

/// What stands before the first colon of a reason, without a bracket that is closed behind it.
pub(super) fn heading(reason: &str) -> String {
    let start = reason.split(": ").next().unwrap_or_default();
    let mut open = Vec::new();
    for (at, c) in start.char_indices() {
        match c {
            '(' => open.push(at),
            ')' => drop(open.pop()),
            _ => {}
        }
    }
    let whole = open.first().map_or(start, |at| start[..*at].trim_end());
    (if whole.is_empty() { reason } else { whole }).to_owned()
}

fn sample(samples: &mut Vec<String>, label: impl FnOnce() -> String) {
    if samples.len() < SAMPLES {
        samples.push(label());
    }
}

/// One line per type, and behind it the samples: `+` new, `~` changed, `-` removed.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (token, step) in &self.types {
            writeln!(
                f,
                "{token}: {} to create, {} to update, {} to remove, {} there already",
                step.create, step.update, step.remove, step.keep
            )?;
            for (mark, count, samples) in [
                ('+', step.create, &step.create_samples),
                ('~', step.update, &step.update_samples),
                ('-', step.remove, &step.remove_samples),
            ] {
                samples.iter().try_for_each(|label| writeln!(f, "  {mark} {label}"))?;
                if count > samples.len() as u64 {
                    writeln!(f, "  {mark} … and {} more", count - samples.len() as u64)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::heading;

    #[test]
    fn a_heading_has_no_open_bracket() {
        for (reason, short) in [
            ("403 Forbidden: no", "403 Forbidden"),
            ("it has one (412 x: y)", "it has one"),
            ("a (b) c (d: e)", "a (b) c"),
            ("(a: b)", "(a: b)"),
            ("nothing", "nothing"),
        ] {
            assert_eq!(heading(reason), short);
        }
    }
}

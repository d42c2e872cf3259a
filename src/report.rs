//! What the reports of an import and of an export share: an account of each type, remarks on single items, and counts by
//! reason.

use crate::model::ObjectType;
use serde::Serialize;
use std::collections::BTreeMap;

/// What is said of one item: it is not stored or sent, or stored in another state than it was found in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Remark {
    /// The token of its type ([`ObjectType::token`]).
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// What became of it, in a word or two (`skipped`, `failed`, `not removed`).
    pub outcome: &'static str,
    /// Why, in words for the user.
    pub reason: String,
    /// Which item: a file with an offset, a UID, a subject.
    pub position: String,
}

/// How many remarks are kept; of the others only the number. A report may not grow with a hostile source.
const REMARKS_MAX: usize = 10_000;

/// An account `A` of each type that a run met, and remarks on single items.
#[derive(Debug, Clone, Serialize)]
pub struct Accounts<A> {
    /// By token of the type.
    pub types: BTreeMap<&'static str, A>,
    /// The first ones.
    pub remarks: Vec<Remark>,
    /// How many more there were.
    pub remarks_left_out: u64,
}

impl<A> Default for Accounts<A> {
    fn default() -> Accounts<A> {
        Accounts { types: BTreeMap::new(), remarks: Vec::new(), remarks_left_out: 0 }
    }
}

impl<A: Default + Serialize> Accounts<A> {
    /// The account of a type.
    pub fn of(&mut self, kind: ObjectType) -> &mut A {
        self.types.entry(kind.token()).or_default()
    }

    /// The account of a type, if the run met the type.
    pub fn get(&self, kind: ObjectType) -> Option<&A> {
        self.types.get(kind.token())
    }

    /// Says something about one item.
    pub fn remark(&mut self, kind: ObjectType, outcome: &'static str, reason: String, position: String) {
        if self.remarks.len() < REMARKS_MAX {
            self.remarks.push(Remark { kind: kind.token(), outcome, reason, position });
        } else {
            self.remarks_left_out += 1;
        }
    }

    /// Adds `types`, `remarks` and `remarks_left_out` to the JSON of a run.
    pub fn add_to(&self, summary: &mut serde_json::Value) {
        let fields = serde_json::to_value(self).unwrap_or_default();
        if let (Some(summary), serde_json::Value::Object(fields)) = (summary.as_object_mut(), fields) {
            summary.extend(fields);
        }
    }
}

/// The items of all reasons together.
pub fn sum(reasons: &BTreeMap<String, u64>) -> u64 {
    reasons.values().sum()
}

/// ` (deleted flag 2, no header 1)`, or nothing.
pub fn reasons(reasons: &BTreeMap<String, u64>) -> String {
    if reasons.is_empty() {
        return String::new();
    }
    let list: Vec<String> = reasons.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
    format!(" ({})", list.join(", "))
}

/// The end of the line of a type: ` + skipped 2 (deleted flag 2) + failed 1 (cut 1)`. What is none is not said.
pub fn left_out(skipped: &BTreeMap<String, u64>, failed: &BTreeMap<String, u64>) -> String {
    let part = |name: &str, all: &BTreeMap<String, u64>| match sum(all) {
        0 => String::new(),
        count => format!(" + {name} {count}{}", reasons(all)),
    };
    part("skipped", skipped) + &part("failed", failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remarks_are_bounded_and_counted() {
        let mut accounts = Accounts::<u64>::default();
        for _ in 0..REMARKS_MAX + 2 {
            accounts.remark(ObjectType::Email, "failed", "why".to_owned(), "where".to_owned());
        }
        *accounts.of(ObjectType::Email) += 1;
        let mut json = serde_json::json!({ "message_type": "summary" });
        accounts.add_to(&mut json);
        assert_eq!((&json["types"]["email"], &json["remarks_left_out"]), (&1.into(), &2.into()));
        assert_eq!(json["remarks"].as_array().map(Vec::len), Some(REMARKS_MAX));
    }
}

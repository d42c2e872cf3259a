//! What the reports of an import and of an export share: remarks, and counts by reason.

use serde::Serialize;
use std::collections::BTreeMap;

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

pub fn sum(reasons: &BTreeMap<String, u64>) -> u64 {
    reasons.values().sum()
}

pub fn reasons(reasons: &BTreeMap<String, u64>) -> String {
    if reasons.is_empty() {
        return String::new();
    }
    let list: Vec<String> = reasons.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
    format!(" ({})", list.join(", "))
}

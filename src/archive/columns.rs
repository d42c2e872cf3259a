//! Text in columns: lists of ids and of keywords as JSON.

use crate::model::Id;

/// The array of a `mailbox_ids` column, sorted. Values that are no positive numbers are left out.
pub(super) fn parse_ids(json: &str) -> Vec<Id> {
    let values: Vec<serde_json::Value> = serde_json::from_str(json).unwrap_or_default();
    let mut ids: Vec<Id> = values.iter().filter_map(|value| value.as_i64()).filter(|id| *id > 0).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// The array of a `keywords` column.
pub(super) fn parse_keywords(json: &str) -> Vec<String> {
    serde_json::from_str(json).unwrap_or_default()
}

/// `["$seen","work"]`
pub(super) fn keywords_json(keywords: &[String]) -> String {
    serde_json::to_string(keywords).unwrap_or_else(|_| "[]".to_owned())
}

/// `[3,7]`
pub(super) fn ids_json(ids: &[Id]) -> String {
    serde_json::to_string(ids).unwrap_or_else(|_| "[]".to_owned())
}

/// The mailbox of emails that lie in none.
pub const UNFILED: Id = 0;

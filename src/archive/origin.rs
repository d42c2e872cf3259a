//! What is known of an object's origin and of a scope (FORMAT.md, `origins` and `scopes`).

use crate::model::Id;

/// A known item of a scope, as the last run left it.
pub struct Known<'a> {
    pub key: &'a str,
    pub rev: &'a str,
    /// JSON array of keywords.
    pub keywords: &'a str,
    /// JSON array of local container ids.
    pub parents: &'a str,
    pub local_id: Id,
}

/// A known scope.
#[derive(Debug, Clone)]
pub struct KnownScope {
    pub row: i64,
    /// JMAP's name of the type.
    pub kind: String,
    pub key: String,
    pub cursor: String,
}

/// What a source said of an object beside what its row holds.
pub struct Origin {
    pub id: Id,
    /// The row of the scope that it is known in.
    pub scope: i64,
    /// Its id at the source.
    pub key: String,
    pub rev: String,
    /// JSON array of keywords.
    pub keywords: String,
    /// The kind of the source, e.g. `jmap`.
    pub source: String,
}

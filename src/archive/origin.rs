//! The origins of objects, and the scopes of sources (FORMAT.md, `origins` and `scopes`).

use super::columns::{ids_json, keywords_json, parse_ids, parse_keywords};
use crate::model::Id;

/// The keywords of an item, and the containers that it lies in.
///
/// An import compares them with what `origins` holds, item by item; so they keep that text.
#[derive(Debug, Clone)]
pub struct Membership {
    keywords: Vec<String>,
    containers: Vec<Id>,
    /// JSON arrays, as `origins` holds them.
    pub(super) noted_keywords: String,
    pub(super) noted_containers: String,
}

impl Membership {
    /// The membership of an item with these keywords in these containers, both sorted.
    pub fn new(keywords: Vec<String>, containers: Vec<Id>) -> Membership {
        let (noted_keywords, noted_containers) = (keywords_json(&keywords), ids_json(&containers));
        Membership { keywords, containers, noted_keywords, noted_containers }
    }

    /// The membership of an item without keywords in no container.
    pub fn none() -> Membership {
        Membership::new(Vec::new(), Vec::new())
    }

    /// The membership of a known item. Keywords that are no JSON are not known, and count as none.
    pub(super) fn noted(keywords: String, containers: String) -> Membership {
        Membership {
            keywords: parse_keywords(&keywords),
            containers: parse_ids(&containers),
            noted_keywords: keywords,
            noted_containers: containers,
        }
    }

    /// JMAP keywords, sorted.
    pub fn keywords(&self) -> &[String] {
        &self.keywords
    }

    /// Rows of the containers, sorted.
    pub fn containers(&self) -> &[Id] {
        &self.containers
    }

    /// True if both have the same keywords. Unknown keywords are not the same as none.
    pub fn has_keywords_of(&self, other: &Membership) -> bool {
        self.noted_keywords == other.noted_keywords
    }
}

/// A known item of a scope, as the last run left it.
pub struct KnownItem<'a> {
    /// Its identity in the scope: a file name without flags, a uid, a digest.
    pub key: &'a str,
    /// The revision of its bytes ([`crate::model::Entry::rev`]).
    pub rev: &'a str,
    /// Its row in the content table of the scope's type.
    pub local_id: Id,
    /// JSON array. Empty text where the keywords are not known.
    pub(super) keywords: &'a str,
    /// JSON array of rows.
    pub(super) parents: &'a str,
}

impl KnownItem<'_> {
    /// True if the item lay in the same containers.
    pub fn lies_in(&self, membership: &Membership) -> bool {
        self.parents == membership.noted_containers
    }

    /// True if the item lay in the same containers and had the same keywords.
    pub fn has(&self, membership: &Membership) -> bool {
        self.lies_in(membership) && self.keywords == membership.noted_keywords
    }
}

/// A known scope.
#[derive(Debug, Clone)]
pub struct KnownScope {
    /// `scopes.id`.
    pub row: i64,
    /// JMAP's name of the type.
    pub kind: String,
    /// Identity within the source; empty for the scope that holds the containers of the type.
    pub key: String,
    /// What the source gets back at its next listing (FORMAT.md, `scopes`).
    pub cursor: String,
}

impl KnownScope {
    /// The scope in a row with the columns `id, kind, key, cursor`.
    pub(super) fn of_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<KnownScope> {
        Ok(KnownScope { row: row.get(0)?, kind: row.get(1)?, key: row.get(2)?, cursor: row.get(3)? })
    }
}

/// An object at its source.
pub struct Origin {
    /// Its row in the content table of its type.
    pub id: Id,
    /// The row of its scope.
    pub scope: i64,
    /// Its id at the source.
    pub key: String,
    /// The revision of its bytes when it was last seen.
    pub rev: String,
    /// JSON array of keywords.
    pub keywords: String,
    /// The kind of the source, e.g. `jmap`.
    pub source: String,
}

impl Origin {
    /// The keywords of the item, sorted.
    pub fn keywords(&self) -> Vec<String> {
        parse_keywords(&self.keywords)
    }
}

//! Decisions of the user about an export.

use crate::archive::UNFILED;
use crate::model::{Id, ObjectType, PathFilter};
use std::collections::BTreeSet;

/// What the user decides about a run.
#[derive(Debug, Clone, Default)]
pub struct ExportOptions {
    /// Which objects are exported.
    pub selection: Selection,
    /// Bring what is there already to the archive's state.
    pub update: bool,
    /// Remove what the archive does not hold.
    pub prune: bool,
    /// Look and plan only.
    pub dry_run: bool,
    /// Look at everything that the account has, also of types that the archive has nothing of.
    pub looks_at_all: bool,
    /// How often in a row a write without progress is repeated (`--max-retries`).
    pub max_retries: u32,
}

impl ExportOptions {
    /// True if it has to be known of each email of the account what it is.
    pub(super) fn needs_all_emails(&self) -> bool {
        self.prune || self.looks_at_all
    }
}

/// Which part of the archive is exported.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// `--objects`
    pub kinds: Option<BTreeSet<ObjectType>>,
    /// `--path`
    pub picks: Option<PathFilter>,
    /// `--since`, in seconds since 1970
    pub since: Option<i64>,
    /// `--until`
    pub until: Option<i64>,
    /// `--into`
    pub into: Option<String>,
}

impl Selection {
    /// True if objects of this type may be selected.
    pub fn has(&self, kind: ObjectType) -> bool {
        self.kinds.as_ref().is_none_or(|kinds| kinds.contains(&kind))
    }

    /// True if of the selected types only some objects are selected.
    pub fn is_part(&self) -> bool {
        self.picks.is_some() || self.is_dated() || self.into.is_some()
    }

    pub(crate) fn picks(&self, kind: ObjectType, id: Id, containers: &[Id]) -> bool {
        let Some(picks) = &self.picks else { return true };
        let in_whole = |kind: ObjectType, id: Id| picks.whole.contains(&(kind, id));
        let lies_in = kind.holder().is_some_and(|holder| {
            containers.iter().any(|id| in_whole(holder, *id)) || (containers.is_empty() && in_whole(holder, UNFILED))
        });
        picks.kinds.contains(&kind) || picks.rows.contains(&(kind, id)) || in_whole(kind, id) || lies_in
    }

    /// True if only what has a certain time is selected.
    pub fn is_dated(&self) -> bool {
        self.since.is_some() || self.until.is_some()
    }

    pub(crate) fn is_in_time(&self, seconds: i64) -> bool {
        self.since.is_none_or(|since| seconds >= since) && self.until.is_none_or(|until| seconds < until)
    }
}

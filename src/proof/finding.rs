//! What a proof finds.

use crate::model::{Id, ObjectType};
use serde::Serialize;
use std::collections::BTreeMap;

/// How bad it is that something does not come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Loss {
    /// The archive has it, and the form in which it is restored has no place for it.
    Conversion,
    /// The archive does not have it any more, or contradicts itself.
    Damage,
}

/// Something of an object that does not come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The type of the object.
    pub kind: ObjectType,
    /// Its row.
    pub row: Id,
    /// Where it stands in the tree, if it does.
    pub path: Option<String>,
    /// What differs, as the rest of a sentence about the object.
    pub what: String,
    /// How bad it is.
    pub loss: Loss,
}

/// How the objects of a type come back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct TypeCounts {
    /// As they are in the archive.
    pub exact: u64,
    /// With losses of a conversion.
    pub lossy: u64,
    /// Damaged.
    pub damaged: u64,
}

/// What a proof found in all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restored {
    /// By token of the type.
    pub types: BTreeMap<&'static str, TypeCounts>,
    /// Messages without a header, by what they are instead: they come back as they are.
    pub headless: BTreeMap<&'static str, u64>,
    /// Bytes that were read through the tree.
    pub bytes: u64,
}

impl Restored {
    /// Objects of all types that come back with losses.
    pub fn lossy(&self) -> u64 {
        self.types.values().map(|counts| counts.lossy).sum()
    }

    /// Objects of all types that are damaged.
    pub fn damaged(&self) -> u64 {
        self.types.values().map(|counts| counts.damaged).sum()
    }
}

/// What became of one object.
#[derive(Debug, Default)]
pub(super) struct Checked {
    pub findings: Vec<(Option<String>, String, Loss)>,
    pub headless: Option<&'static str>,
    pub bytes: u64,
}

impl Checked {
    pub(super) fn damage(&mut self, path: Option<&str>, what: impl Into<String>) {
        self.findings.push((path.map(str::to_owned), what.into(), Loss::Damage));
    }

    pub(super) fn loss(&mut self, path: Option<&str>, what: impl Into<String>) {
        self.findings.push((path.map(str::to_owned), what.into(), Loss::Conversion));
    }
}

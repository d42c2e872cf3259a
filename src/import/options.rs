//! Decisions of the user about an import.

/// The user's decisions about a run.
#[derive(Debug, Clone, Copy, Default)]
pub struct ImportOptions {
    /// Import although the archive holds another source of this kind.
    pub allow_source_change: bool,
    /// The account is the archive's, at a new address: go on if that can be proved (`--same-account`).
    pub same_account: bool,
    /// List everything, also where the source says that nothing changed (`--full`).
    pub full: bool,
    /// Stop before more than this share of the known objects of a type would be removed, and more than 50 of them.
    pub max_delete: Option<f64>,
}

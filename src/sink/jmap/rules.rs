//! What the account says of names and numbers.

/// Limits of the account, and words that differ between drafts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rules {
    /// Octets of a mailbox's name.
    pub mailbox_name: usize,
    /// Octets of a file's name.
    pub file_name: usize,
    /// Characters that no file's name may have.
    pub file_characters: String,
    /// Names that no file may have.
    pub file_names: Vec<String>,
    /// Octets of a script's name.
    pub script_name: usize,
    /// What the address of a ParticipantIdentity is called.
    pub calendar_address: &'static str,
}

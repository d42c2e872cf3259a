//! Limits of a text page, and what an attachment is.

/// How much text is shown of a message, in bytes.
pub(crate) const TEXT_MAX: usize = 8 << 20;

/// How much HTML is read of a part, in bytes: more than [`TEXT_MAX`], because pictures may be in it.
pub(crate) const HTML_MAX: usize = 16 << 20;

/// One attachment of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The number of the part, as [`super::attachment`] takes it.
    pub part: u32,
    /// The file name as declared, decoded, on one line; else one that the media type suggests. It may hold anything
    /// else: the caller makes it safe, and unique.
    pub name: String,
    /// `type/subtype` in lower case.
    pub media_type: String,
    /// The size of the decoded bytes.
    pub size: u64,
}

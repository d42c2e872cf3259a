//! Words in a row, in a field: what a term of a query looks for.

use super::words;

/// The word that is told of the attachments of a message that has any; no text has it.
pub(super) const HAS_ATTACHMENT: &str = "✓";

/// The fields of a document that a search can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    From,
    To,
    Subject,
    Attachment,
    Body,
}

/// Words in a row that are looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Phrase {
    /// At least one.
    pub(super) words: Vec<String>,
    /// The last one is the begin of a word.
    pub(super) is_prefix: bool,
}

impl Phrase {
    /// True if a text, split into words, has the phrase.
    pub(super) fn is_in(&self, text: &str) -> bool {
        let text: Vec<&str> = text.split(' ').collect();
        let Some((last, before)) = self.words.split_last() else { return false };
        text.windows(self.words.len()).any(|window| {
            let (end, start) = (window[before.len()], &window[..before.len()]);
            let is_end = if self.is_prefix { end.starts_with(last.as_str()) } else { end == last };
            is_end && start.iter().zip(before).all(|(one, other)| one == other)
        })
    }
}

/// A text as the words of a phrase.
pub(super) fn phrase(text: &str, is_prefix: bool) -> Option<Phrase> {
    let mut split = String::new();
    words::split(text, &mut split);
    let mut found: Vec<String> = split.split_terminator(' ').map(str::to_owned).collect();
    let ends_unspaced = words::ends_unspaced(text);
    // The end of such a run stands alone only where the text ends there; a pair before says the same.
    if ends_unspaced && found.len() > 1 && words::is_pair(&found[found.len() - 2]) {
        found.pop();
    }
    // A single character of such a script begins pairs wherever it stands.
    let is_single = ends_unspaced && found.last().is_some_and(|last| !words::is_pair(last));
    if found.is_empty() { None } else { Some(Phrase { words: found, is_prefix: is_prefix || is_single }) }
}

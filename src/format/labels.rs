//! Gmail's labels as Google Takeout writes them: one header field, `X-Gmail-Labels`, in the language of the account.
//!
//! A label is a mailbox, a keyword or nothing. Gmail's own labels are known by their names in some twenty languages
//! (`labels/names.rs`); they stand for the same thing whatever the language: `Posteingang` is the mailbox `Inbox`,
//! `Markiert` the keyword `$flagged`. Everything else is a mailbox of the user, with `/` for the hierarchy.

use mail_parser::HeaderValue;
use mail_parser::parsers::MessageStream;
use unicode_normalization::UnicodeNormalization;

mod names;

/// The longest label kept, in bytes. Gmail allows 225 characters.
const MAX_LABEL: usize = 1024;
/// Mailboxes are not nested deeper; what is left of a label then is one name.
const MAX_DEPTH: usize = 32;

/// What the labels of a message say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Labels {
    /// Slash-separated paths of mailboxes, sorted, without duplicates. Empty when no label is a mailbox.
    pub mailboxes: Vec<String>,
    /// JMAP keywords, sorted, without duplicates.
    pub keywords: Vec<String>,
}

/// What a system label means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// A mailbox with this canonical name.
    Mailbox(&'static str),
    Keyword(&'static str),
    /// Unread, and the tabs of the inbox.
    Nothing,
}

/// The values of all X-Gmail-Labels fields of a header block, each with its folding and without its name. Messages with
/// the same labels have the same bytes here.
pub fn fields(head: &[u8]) -> Vec<&[u8]> {
    const NAME: &[u8] = b"x-gmail-labels";
    let mut fields = Vec::new();
    let mut at = 0;
    while at < head.len() {
        let start = at;
        loop {
            at = memchr::memchr(b'\n', &head[at..]).map_or(head.len(), |end| at + end + 1);
            if !matches!(head.get(at), Some(b' ' | b'\t')) {
                break;
            }
        }
        let field = &head[start..at];
        let (Some(name), Some(rest)) = (field.get(..NAME.len()), field.get(NAME.len()..)) else { continue };
        if name.eq_ignore_ascii_case(NAME)
            && let Some(value) = rest.trim_ascii_start().strip_prefix(b":")
        {
            fields.push(value);
        }
    }
    fields
}

/// What the labels in these values ([`fields`]) mean. With `automap` Gmail's own labels become mailboxes with their
/// canonical English names; without, they keep theirs.
pub fn parse(fields: &[&[u8]], automap: bool) -> Labels {
    let mut labels = Labels::default();
    for value in fields {
        for label in split(&decode(value)) {
            match meaning(&label) {
                Some(Meaning::Nothing) => {}
                Some(Meaning::Keyword(keyword)) => labels.keywords.push(keyword.to_owned()),
                _ => labels.mailboxes.extend(mailbox(&label, automap)),
            }
        }
    }
    labels.mailboxes.sort();
    labels.mailboxes.dedup();
    labels.keywords.sort();
    labels.keywords.dedup();
    labels
}

/// The path of the mailbox that a label names, whatever else it may mean. `None` if it has no name at all.
pub fn mailbox(label: &str, automap: bool) -> Option<String> {
    if automap && let Some(Meaning::Mailbox(canonical)) = meaning(label) {
        return Some(canonical.to_owned());
    }
    let end = label.floor_char_boundary(MAX_LABEL.min(label.len()));
    let names: Vec<&str> = label[..end].split('/').map(str::trim).filter(|name| !name.is_empty()).collect();
    if names.is_empty() { None } else { Some(names.join("/")) }
}

/// The mailboxes on the way to `path`, itself last: the length of each one's path.
pub fn ancestry(path: &str) -> impl Iterator<Item = &str> {
    let inner = path.match_indices('/').map(|(at, _)| at).take(MAX_DEPTH - 1);
    inner.chain([path.len()]).map(|end| &path[..end])
}

/// The JMAP role of the mailbox at `path` when roles are mapped: that of its canonical English name.
pub fn role(path: &str) -> Option<&'static str> {
    Some(match path {
        "Inbox" => "inbox",
        "Sent" => "sent",
        "Drafts" => "drafts",
        "Trash" => "trash",
        "Spam" => "junk",
        "Archive" => "archive",
        _ => return None,
    })
}

/// Unfolds and decodes (RFC 2047) a field value.
fn decode(value: &[u8]) -> String {
    // The parser wants the line break that the end of a cut header block may lack.
    let mut line = value.to_vec();
    if !line.ends_with(b"\n") {
        line.push(b'\n');
    }
    match MessageStream::new(&line).parse_unstructured() {
        HeaderValue::Text(text) => text.into_owned(),
        _ => String::new(),
    }
}

/// The labels of a list: separated by commas, in quotes where a name has a comma of its own.
fn split(list: &str) -> Vec<String> {
    let mut labels = Vec::new();
    let mut rest = list;
    loop {
        rest = rest.trim_start();
        if let Some((label, behind)) = quoted(rest) {
            labels.push(label);
            rest = behind;
        } else {
            let (label, behind) = rest.split_once(',').unwrap_or((rest, ""));
            labels.push(label.trim().to_owned());
            rest = behind;
        }
        if rest.is_empty() {
            break;
        }
    }
    labels.retain(|label| !label.is_empty());
    labels
}

/// A quoted label at the start of `text`, and what stands behind the comma that follows it. `None` if the quotes do not
/// close before a comma or the end.
fn quoted(text: &str) -> Option<(String, &str)> {
    let inner = text.strip_prefix('"')?;
    let mut label = String::new();
    let mut chars = inner.char_indices().peekable();
    while let Some((at, char)) = chars.next() {
        match char {
            // Bounded: a list of lone quotes would be read to its end for each of them.
            _ if at > 2 * MAX_LABEL => return None,
            '\\' => label.extend(chars.next().map(|(_, escaped)| escaped)),
            '"' if matches!(chars.peek(), Some((_, '"'))) => {
                chars.next();
                label.push('"');
            }
            '"' => {
                let behind = inner[at + 1..].trim_start();
                let behind = if behind.is_empty() { behind } else { behind.strip_prefix(',')? };
                return Some((label, behind));
            }
            _ => label.push(char),
        }
    }
    None
}

/// What a label of Gmail's own means. `None` for one of the user.
fn meaning(label: &str) -> Option<Meaning> {
    if label.len() > MAX_LABEL || label.contains('/') {
        return None;
    }
    let folded: String = label.trim().nfc().flat_map(char::to_lowercase).collect();
    names::system(&folded).or_else(|| names::is_category(&folded).then_some(Meaning::Nothing))
}

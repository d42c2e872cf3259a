//! What a line of an mbox is.

/// What some programs put before the first byte of a text in UTF-8.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Whether `line` begins with a header field (RFC 5322 section 2.2), or with the quoted separator that some writers
/// leave before the first field.
pub fn is_field(line: &[u8]) -> bool {
    let name = line.iter().take_while(|&&byte| byte.is_ascii_graphic() && byte != b':').count();
    let rest = line.get(name..).unwrap_or_default();
    let blank = rest.iter().take_while(|&&byte| byte == b' ' || byte == b'\t').count();
    name > 0 && rest.get(blank) == Some(&b':') || line.starts_with(b">From ")
}

/// Whether the line begins with an address of the web, which has the form of a field.
pub(super) fn is_address(line: &[u8]) -> bool {
    let name = line.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    line[name..].starts_with(b"://")
}

/// Where a byte order mark at the end of `before` begins, if it begins a line.
pub(super) fn before_mark(before: &[u8]) -> Option<usize> {
    let start = before.strip_suffix(BYTE_ORDER_MARK)?;
    matches!(start.last(), None | Some(b'\n')).then_some(start.len())
}

/// Whether the text behind `From ` is what a separator has there and a sentence hardly: nothing, `-`, an address, a time.
pub(super) fn resembles_separator(text: &[u8]) -> bool {
    let has_time = || {
        text.windows(4)
            .any(|four| four[0].is_ascii_digit() && four[1] == b':' && four[2..].iter().all(u8::is_ascii_digit))
    };
    let sender = text.split(u8::is_ascii_whitespace).next().unwrap_or_default();
    matches!(sender, b"" | b"-") || sender.contains(&b'@') || has_time()
}

/// Whether the text behind `From ` begins with the sender that Google Takeout writes: `1234567890@xxx`.
pub(super) fn is_takeout_sender(text: &[u8]) -> bool {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    digits > 0 && text[digits..].starts_with(b"@xxx ")
}

/// Whether the text behind `From ` begins with the sender that our exports write, which are mboxrd.
pub(super) fn is_own_sender(text: &[u8]) -> bool {
    text.strip_prefix(OWN_SENDER.as_bytes()).is_some_and(|rest| rest.starts_with(b" "))
}

/// The sender in separators of our exports.
pub(super) const OWN_SENDER: &str = "vandelay@mboxrd";

/// A longer header block is cut here: what lies behind it is still part of the message, but not searched for fields.
pub(crate) const MAX_HEAD: u64 = 1 << 20;

/// What every separator line begins with.
pub(crate) const FROM: &[u8] = b"From ";

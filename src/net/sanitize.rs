//! Text of strangers, fit for a message.

use super::mask;
use crate::model::text::is_unsafe;

/// What a server said, fit for a message: one line of bounded length, with a space in the place of unsafe characters
/// ([`is_unsafe`]), and without the secrets of this run. The code that
/// prints it still treats it as text from a stranger.
pub fn said(bytes: &[u8]) -> String {
    const MAX: usize = 200;
    let shown = mask::hide(&bytes[..bytes.len().min(4 * MAX)]);
    let text = String::from_utf8_lossy(&shown);
    let line: String = text.split(|c: char| c.is_whitespace() || is_unsafe(c)).filter(|word| !word.is_empty()).fold(
        String::new(),
        |mut line, word| {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
            line
        },
    );
    if line.chars().count() > MAX { line.chars().take(MAX).chain(['…']).collect() } else { line }
}

/// A server's text as one line for a terminal: unsafe characters ([`is_unsafe`]) are escaped, what is longer than 300
/// characters is cut, and the secrets of this run are left out.
pub fn printable(text: &[u8]) -> String {
    let shown = mask::hide(&text[..text.len().min(2000)]);
    let text = String::from_utf8_lossy(&shown);
    let mut out = String::new();
    for (count, c) in text.trim().chars().enumerate() {
        if count == 300 {
            out.push('…');
            break;
        }
        if is_unsafe(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    if out.is_empty() { "no reason given".to_owned() } else { out }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_servers_say_is_one_short_line() {
        assert_eq!(super::said(b"a\r\n\x1b[31mb\xff c"), "a [31mb\u{FFFD} c");
        assert_eq!(super::said("a\u{202e}b\u{2028}\u{200f}c".as_bytes()), "a b c");
        assert_eq!(super::said(&[b'x'; 10_000]).chars().count(), 201);
        assert_eq!(super::said(b""), "");
    }
}

//! Messages that a server refused, in a form that it may take.

use crate::format::mail::{bare_newlines, with_crlf};
use crate::protocol::imap::NewMessage;
use crate::sink::Content;

/// The message with one thing less that servers refuse, and what is said of that: first line ends other than CRLF (RFC 5322
/// section 2.3), then keywords. `None` if it has neither.
pub(super) fn repaired(message: &NewMessage, why: &str) -> Option<(NewMessage, String)> {
    let is_keyword = |flag: &&String| !flag.starts_with('\\');
    if let Content::Bytes(bytes) = &message.content
        && bare_newlines(bytes).next().is_some()
    {
        let remark =
            format!("with CRLF at the ends of all lines; the server does not take the message as it is ({why})");
        return Some((NewMessage { content: Content::Bytes(with_crlf(bytes).into()), ..message.clone() }, remark));
    }
    let keywords: Vec<&str> = message.flags.iter().filter(is_keyword).map(String::as_str).collect();
    if keywords.is_empty() {
        return None;
    }
    let remark = format!("without the keywords {}; the server refuses them ({why})", keywords.join(" "));
    let flags = message.flags.iter().filter(|flag| !is_keyword(flag)).cloned().collect();
    Some((NewMessage { flags, ..message.clone() }, remark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_go_first_then_keywords_and_then_nothing_is_left() {
        let message = NewMessage {
            flags: vec!["\\Seen".to_owned(), "work".to_owned()],
            received: None,
            content: Content::Bytes(b"a: b\n\r\nc\r\n".to_vec().into()),
        };
        let (message, remark) = repaired(&message, "bare newlines").expect("another form");
        assert!(remark.contains("CRLF") && remark.contains("bare newlines"));
        assert!(matches!(&message.content, Content::Bytes(bytes) if bytes[..] == *b"a: b\r\n\r\nc\r\n"));
        let (message, remark) = repaired(&message, "no").expect("another form");
        assert!(remark.contains("work") && message.flags == ["\\Seen"]);
        assert!(repaired(&message, "no").is_none());
    }
}

//! Revisions of messages: what tells the bytes of one message from those of another without a look at them.
//!
//! `SIZE.DATE` with RFC822.SIZE and INTERNALDATE (seconds since 1970), `?` for what the server does not say; then, where
//! the server names the bytes, `.E` and EMAILID (RFC 8474 section 5.1) or `.G` and X-GM-MSGID.

use crate::protocol::imap::Fetched;

/// The revision of a message as a listing gave it; empty if only its flags were asked for.
pub(super) fn of(fetched: &Fetched) -> String {
    if fetched.size.is_none() && fetched.date.is_none() && fetched.email_id.is_none() && fetched.gmail_id.is_none() {
        return String::new();
    }
    let size = fetched.size.map_or_else(|| "?".to_owned(), |size| size.to_string());
    let seconds = fetched.date.as_ref().and_then(|date| date.seconds);
    let date = seconds.map_or_else(|| "?".to_owned(), |seconds| seconds.to_string());
    match (fetched.gmail_id, &fetched.email_id) {
        (Some(id), _) => format!("{size}.{date}.G{id}"),
        (None, Some(id)) => format!("{size}.{date}.E{id}"),
        (None, None) => format!("{size}.{date}"),
    }
}

/// True if a message under the same UID may have both revisions: nothing that both say differs.
pub(super) fn is_same(known: &str, listed: &str) -> bool {
    let mut pairs = known.splitn(3, '.').zip(listed.splitn(3, '.'));
    pairs.all(|(known, listed)| known == listed || known == "?" || listed == "?")
}

/// The name of the bytes, if the server gives them one.
pub(super) fn content(rev: &str) -> Option<&str> {
    rev.splitn(3, '.').nth(2)
}

/// The size, if the server said it.
pub(super) fn size(rev: &str) -> Option<u64> {
    rev.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::imap::InternalDate;

    #[test]
    fn revisions() {
        let date = Some(InternalDate::parse(b"01-Jan-1970 00:00:09 +0000"));
        let plain = Fetched { size: Some(5), date: date.clone(), ..Fetched::default() };
        assert_eq!((of(&plain).as_str(), content(&of(&plain)), size(&of(&plain))), ("5.9", None, Some(5)));
        let named = Fetched { size: Some(5), date, email_id: Some("M1.2".to_owned()), ..Fetched::default() };
        assert_eq!((of(&named).as_str(), content(&of(&named))), ("5.9.EM1.2", Some("EM1.2")));
        assert_eq!(of(&Fetched::default()), "");
        assert!(is_same("5.9", "5.9.EM1.2") && is_same("5.9.EM1.2", "5.9") && is_same("?.9", "5.9"));
        assert!(!is_same("5.9", "6.9") && !is_same("5.9", "5.8") && !is_same("5.9.EM1", "5.9.EM2"));
    }
}

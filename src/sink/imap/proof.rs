//! Whether a server keeps what it gets: some change a NUL, or bytes of a header that are no ASCII, and say nothing of it.

use crate::format::mail::with_crlf;
use crate::model::Body;
use crate::protocol::imap::{Appended, Arrival, NewMessage, Pipeline, Session, Wanted};
use crate::sink::Content;
use memchr::{memchr, memmem};
use std::collections::HashMap;

/// Adds a remark to each message with such bytes that is not at the server as it was sent: those few are read back.
pub(super) async fn tell_changes(
    session: &mut Session,
    raw: &[u8],
    messages: &[NewMessage],
    results: &[Option<Appended>],
    remarks: &mut [Vec<String>],
) {
    let (mut wanted, mut validity) = (HashMap::new(), 0);
    for (at, (message, result)) in messages.iter().zip(results).enumerate() {
        let Content::Bytes(bytes) = &message.content else { continue };
        match result {
            Some(Appended::Done(Some(new))) if is_delicate(bytes) => {
                validity = new.validity;
                wanted.insert(new.uid, (at, bytes));
            }
            Some(Appended::Done(None)) if is_delicate(bytes) => {
                let what = "with a NUL, or bytes above 127 in its header: the server may have changed them";
                remarks[at].push(what.to_owned());
            }
            _ => {}
        }
    }
    if wanted.is_empty() {
        return;
    }
    let asked = session.ask_in(raw, async |client, opened| {
        let mut found = Vec::new();
        if opened.uid_validity != Some(validity) {
            return Ok(found);
        }
        let list = wanted.iter().map(|(uid, (_, bytes))| Wanted { uid: *uid, size: bytes.len() as u64 }).collect();
        let mut bodies = client.bodies(list, Pipeline::default()).await?;
        while let Some(arrival) = bodies.next().await? {
            if let Arrival::Message(message) = arrival
                && let Body::Bytes(theirs) = message.body
                && let Some((at, ours)) = wanted.get(&message.uid)
                && let Some(remark) = difference(ours, &theirs)
            {
                found.push((*at, remark));
            }
        }
        Ok(found)
    });
    // The messages are there, whether or not they can be read.
    asked.await.unwrap_or_default().into_iter().for_each(|(at, remark)| remarks[at].push(remark));
}

/// True for bytes that not every server keeps.
fn is_delicate(bytes: &[u8]) -> bool {
    let end = [&b"\n\r\n"[..], b"\n\n"].into_iter().filter_map(|end| memmem::find(bytes, end)).min();
    !bytes[..end.unwrap_or(bytes.len())].is_ascii() || memchr(0, bytes).is_some()
}

/// What a server made of a message. Every server ends lines with CRLF.
fn difference(ours: &[u8], theirs: &[u8]) -> Option<String> {
    let ours = with_crlf(ours);
    if ours == theirs {
        return None;
    }
    let pairs = || ours.iter().zip(theirs).filter(|(ours, theirs)| ours != theirs);
    match (ours.len() == theirs.len(), pairs().next()) {
        (true, Some((from, to))) => {
            let count = pairs().count();
            Some(format!("the server changed bytes of it: {count} of {}, as {from:#04x} to {to:#04x}", ours.len()))
        }
        _ => Some(format!("the server changed it: it has {} bytes in the place of {}", theirs.len(), ours.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_changes_is_counted() {
        assert!(is_delicate(b"a: \xfc\r\n\r\nb") && is_delicate(b"a: b\n\n\0") && !is_delicate(b"a: b\r\n\r\n\xfc"));
        assert_eq!(difference(b"a: b\n\nc", b"a: b\r\n\r\nc"), None);
        let said = difference(b"a\0\0\r\n", b"a\x80\x80\r\n").expect("a difference");
        assert_eq!(said, "the server changed bytes of it: 2 of 5, as 0x00 to 0x80");
        assert!(difference(b"abc", b"ab").is_some_and(|said| said.contains("2 bytes in the place of 3")));
    }
}

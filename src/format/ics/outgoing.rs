//! Calendar objects on their way to a server of CalDAV.

use crate::format::contentline::{Prop, fold, lines};
use std::borrow::Cow;

/// A calendar object as a server takes it.
pub(crate) struct Outgoing<'b> {
    /// What the server gets.
    pub bytes: Cow<'b, [u8]>,
    /// SCHEDULE-AGENT=CLIENT was added.
    pub is_quieted: bool,
}

/// A calendar object as a server takes it: without METHOD, which makes a message of it (RFC 4791 section 4.1). Where it is
/// `quiet`, organizer and attendees get SCHEDULE-AGENT=CLIENT (RFC 6638 section 7.1), so that the server sends no invitations
/// to anybody. Everything else keeps its bytes.
pub(crate) fn for_server(bytes: &[u8], quiet: bool) -> Outgoing<'_> {
    let is_meeting = quiet && has_organizer(bytes);
    let (mut out, mut copied, mut depth, mut is_quieted) = (Vec::new(), 0, 0_usize, false);
    for line in lines(bytes) {
        let unfolded = line.text();
        let Some(prop) = Prop::parse(&unfolded) else { continue };
        if prop.is("BEGIN") {
            depth += 1;
        } else if prop.is("END") {
            depth = depth.saturating_sub(1);
        }
        let is_party = is_meeting && depth == 2 && (prop.is("ORGANIZER") || prop.is("ATTENDEE"));
        let is_loud = is_party && prop.param("SCHEDULE-AGENT").is_none();
        let is_method = depth == 1 && prop.is("METHOD");
        if !(is_loud || is_method) {
            continue;
        }
        out.extend_from_slice(&bytes[copied..line.start]);
        copied = line.end;
        if is_loud {
            is_quieted = true;
            let at = unfolded.iter().position(|byte| matches!(byte, b':' | b';')).unwrap_or(unfolded.len());
            let (name, rest) = unfolded.split_at(at);
            fold(&[name, b";SCHEDULE-AGENT=CLIENT", rest].concat(), &mut out);
        }
    }
    if copied == 0 {
        return Outgoing { bytes: Cow::Borrowed(bytes), is_quieted };
    }
    out.extend_from_slice(&bytes[copied..]);
    Outgoing { bytes: Cow::Owned(out), is_quieted }
}

/// True for an event that people are invited to.
fn has_organizer(bytes: &[u8]) -> bool {
    lines(bytes).any(|line| Prop::parse(&line.text()).is_some_and(|prop| prop.is("ORGANIZER")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_invited_and_nothing_else_changes() {
        let plain =
            b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:1\r\nATTENDEE:mailto:a@x\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
        assert!(matches!(for_server(plain, true).bytes, Cow::Borrowed(_)), "no organizer, no meeting");
        let meeting = b"BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nORGANIZER;CN=\"B: C\":mailto:b@x\r\nATTENDEE;SCHEDULE-AGENT=NONE:mailto:a@x\r\nATTENDEE:mai\r\n lto:c@x\r\nX-A;B=c:d\r\nBEGIN:VALARM\r\nATTENDEE:mailto:d@x\r\nEND:VALARM\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
        let expected = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nORGANIZER;SCHEDULE-AGENT=CLIENT;CN=\"B: C\":mailto:b@x\r\nATTENDEE;SCHEDULE-AGENT=NONE:mailto:a@x\r\nATTENDEE;SCHEDULE-AGENT=CLIENT:mailto:c@x\r\nX-A;B=c:d\r\nBEGIN:VALARM\r\nATTENDEE:mailto:d@x\r\nEND:VALARM\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
        let quiet = for_server(meeting, true);
        assert_eq!((String::from_utf8_lossy(&quiet.bytes).as_ref(), quiet.is_quieted), (expected, true));
        let loud = for_server(meeting, false);
        assert!(!loud.is_quieted);
        let loud = loud.bytes;
        assert!(!loud.windows(6).any(|window| window == b"METHOD") && loud.len() + 16 == meeting.len());
    }
}

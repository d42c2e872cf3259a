//! Calendar objects on their way to a server of CalDAV.

use crate::format::contentline::{Prop, fold, lines};
use std::borrow::Cow;

/// A calendar object as a server takes it: without METHOD, which makes a message of it (RFC 4791 section 4.1). Where it is
/// `quiet`, organizer and attendees get SCHEDULE-AGENT=CLIENT (RFC 6638 section 7.1), so that the server sends no invitations
/// to anybody. Everything else keeps its bytes.
pub(crate) fn for_server(bytes: &[u8], quiet: bool) -> Cow<'_, [u8]> {
    let is_meeting = quiet && has_organizer(bytes);
    let (mut out, mut copied, mut depth) = (Vec::new(), 0, 0_usize);
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
            let at = unfolded.iter().position(|byte| matches!(byte, b':' | b';')).unwrap_or(unfolded.len());
            let (name, rest) = unfolded.split_at(at);
            fold(&[name, b";SCHEDULE-AGENT=CLIENT", rest].concat(), &mut out);
        }
    }
    if copied == 0 {
        return Cow::Borrowed(bytes);
    }
    out.extend_from_slice(&bytes[copied..]);
    Cow::Owned(out)
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
        assert!(matches!(for_server(plain, true), Cow::Borrowed(_)), "no organizer, no meeting");
        let meeting = b"BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nORGANIZER;CN=\"B: C\":mailto:b@x\r\nATTENDEE;SCHEDULE-AGENT=NONE:mailto:a@x\r\nATTENDEE:mai\r\n lto:c@x\r\nX-A;B=c:d\r\nBEGIN:VALARM\r\nATTENDEE:mailto:d@x\r\nEND:VALARM\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
        let expected = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nORGANIZER;SCHEDULE-AGENT=CLIENT;CN=\"B: C\":mailto:b@x\r\nATTENDEE;SCHEDULE-AGENT=NONE:mailto:a@x\r\nATTENDEE;SCHEDULE-AGENT=CLIENT:mailto:c@x\r\nX-A;B=c:d\r\nBEGIN:VALARM\r\nATTENDEE:mailto:d@x\r\nEND:VALARM\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
        assert_eq!(String::from_utf8_lossy(&for_server(meeting, true)), expected);
        let loud = for_server(meeting, false);
        assert!(!loud.windows(6).any(|window| window == b"METHOD") && loud.len() + 16 == meeting.len());
    }
}

//! Writing an mbox: a separator and the flags as header fields; [`super::Quoter`] writes the message itself.

use super::line::{FROM, OWN_SENDER, is_field};
use super::status::is_written;
use crate::format::mail::header_of;

/// The line that begins a message that came at a time (seconds since 1970).
pub fn separator(received: i64) -> String {
    let nearest = if received < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    let time = jiff::Timestamp::from_second(received).unwrap_or(nearest);
    format!("From {OWN_SENDER} {}\n", time.strftime("%a %b %e %H:%M:%S %Y"))
}

/// JMAP keywords as header fields: `Status` and `X-Status` as mutt, Dovecot and c-client read them, `X-Keywords`, and
/// `X-Mozilla-Status` with `X-Mozilla-Keys` as Thunderbird reads them.
pub fn flag_fields(keywords: &[String]) -> String {
    let has = |name: &str| keywords.iter().any(|keyword| keyword.eq_ignore_ascii_case(name));
    let seen = has("$seen");
    let letters: String = [("$answered", 'A'), ("$flagged", 'F'), ("$draft", 'T')]
        .into_iter()
        .filter_map(|(keyword, letter)| has(keyword).then_some(letter))
        .collect();
    let mozilla: u16 = [("$seen", 0x1), ("$answered", 0x2), ("$flagged", 0x4), ("$forwarded", 0x1000)]
        .into_iter()
        .filter_map(|(keyword, bit)| has(keyword).then_some(bit))
        .sum();
    let is_system = |keyword: &str| {
        ["$seen", "$answered", "$flagged", "$draft"].iter().any(|known| keyword.eq_ignore_ascii_case(known))
    };
    let is_word = |keyword: &str| !keyword.is_empty() && keyword.bytes().all(|byte| byte.is_ascii_graphic());
    let words: Vec<&str> =
        keywords.iter().map(String::as_str).filter(|keyword| !is_system(keyword) && is_word(keyword)).collect();
    let mut fields = format!("Status: {}\n", if seen { "RO" } else { "O" });
    if !letters.is_empty() {
        fields.push_str(&format!("X-Status: {letters}\n"));
    }
    fields.push_str(&format!("X-Mozilla-Status: {mozilla:04x}\n"));
    if !words.is_empty() {
        let words = words.join(" ");
        fields.push_str(&format!("X-Keywords: {words}\nX-Mozilla-Keys: {words}\n"));
    }
    fields
}

/// The beginning of a message without the fields that a mailbox has written into it: what another mailbox says of the message
/// is not true in this one. Where more follows (`is_cut`) and the header does not end in these bytes, they stay as they are. A
/// message that begins with no header field gets an empty header block.
pub fn without_flags(start: &[u8], is_cut: bool) -> Vec<u8> {
    let mut kept = Vec::with_capacity(start.len() + 1);
    // What an mbox put before a message that was taken out of it stays, quoted as in other programs' files.
    if !is_field(start) && !start.starts_with(FROM) {
        kept.push(b'\n');
        kept.extend_from_slice(start);
        return kept;
    }
    // Where the header goes on behind these bytes, they may end within a field.
    if is_cut && header_of(start).len() == start.len() {
        return start.to_vec();
    }
    let (mut rest, mut is_dropped) = (start, false);
    while !rest.is_empty() {
        let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
        let (line, behind) = rest.split_at(end);
        if matches!(line, b"\n" | b"\r\n") {
            break;
        }
        if !line.starts_with(b" ") && !line.starts_with(b"\t") {
            let name = memchr::memchr(b':', line).map(|end| &line[..end]);
            is_dropped = name.is_some_and(|name| is_written(name.trim_ascii()));
        }
        if !is_dropped {
            kept.extend_from_slice(line);
        }
        rest = behind;
    }
    kept.extend_from_slice(rest);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::mbox::{Quoter, Scanner, Unquoter, copy, status};
    use proptest::prelude::*;
    use std::io::Write;

    fn keywords(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn flags_are_read_back() {
        for words in
            [&[][..], &["$answered", "$draft", "$flagged", "$forwarded", "$seen", "work"], &["$seen", "Work", "a"]]
        {
            assert_eq!(status(flag_fields(&keywords(words)).as_bytes()).keywords, keywords(words));
        }
        assert!(!flag_fields(&keywords(&["a b", "x\ny"])).contains("X-Keywords"));
    }

    #[test]
    fn what_another_mailbox_said_is_left_out() {
        let kept = |text: &str| String::from_utf8(without_flags(text.as_bytes(), text.len() > 1_000)).expect("text");
        assert_eq!(kept("A: 1\nstatus: R\n O\nX-Keywords:x\nB: 2\n\nStatus: R\n"), "A: 1\nB: 2\n\nStatus: R\n");
        assert_eq!(kept("A: 1\r\nContent-Length: 5\r\n"), "A: 1\r\n");
        assert_eq!(kept("From x 2002\nA: 1\nStatus: R\n\n"), "From x 2002\nA: 1\n\n");
        assert_eq!(kept("no header\n"), "\nno header\n");
        assert_eq!(kept("A: 1\n \t\nX-Status: D\nStatus\n\n"), "A: 1\n \t\nStatus\n\n");
        let long = format!("A: {}\nStatus", "x".repeat(1_000));
        assert_eq!(kept(&long), long);
        assert!(separator(i64::MAX).contains(" 9999\n") && separator(-1).contains(" 1969\n"));
    }

    proptest! {
        /// Whatever messages hold, a reader finds as many, and their bytes with LF at the end of each line.
        #[test]
        fn messages_are_found_again(messages in prop::collection::vec("(>{0,2}From |a|\r?\n|\r|From: x\n){0,12}", 1..6), cut in 1usize..7) {
            let mut file = Vec::new();
            for message in &messages {
                file.extend_from_slice(separator(1_700_000_000).as_bytes());
                file.extend_from_slice(b"Subject: x\n\n");
                let mut quoter = Quoter::new(&mut file);
                for piece in message.as_bytes().chunks(cut) {
                    quoter.write_all(piece)?;
                }
                quoter.finish()?;
            }
            let mut scanner = Scanner::new(&file[..]);
            let mut found = Vec::new();
            while let Some(one) = scanner.next_message()? {
                let mut bytes = Unquoter::new(Vec::new());
                copy(&file[..], one.offset..one.offset + one.len, &mut Vec::new(), &mut bytes)?;
                found.push(String::from_utf8(bytes.finish()?.0).expect("text"));
            }
            prop_assert!(scanner.is_mboxrd());
            let line_ended = |text: &str| if text.is_empty() || text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") };
            let wanted: Vec<String> = messages.iter().map(|text| format!("Subject: x\n\n{}", line_ended(&text.replace("\r\n", "\n")))).collect();
            prop_assert_eq!(found, wanted);
        }
    }
}

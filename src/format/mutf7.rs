//! Modified UTF-7, the spelling of mailbox names on disk and on the wire (RFC 3501 section 5.1.3).
//!
//! Written here because a decoder meets directory names that were never meant to be modified UTF-7: it must say
//! "not valid" instead of panicking or guessing.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

/// The modified UTF-7 spelling of `text`: ASCII without control characters.
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut shifted: Vec<u16> = Vec::new();
    for c in text.chars() {
        if matches!(c, ' '..='~') {
            flush(&mut shifted, &mut out);
            out.push(c);
            if c == '&' {
                out.push('-');
            }
        } else {
            shifted.extend_from_slice(c.encode_utf16(&mut [0; 2]));
        }
    }
    flush(&mut shifted, &mut out);
    out
}

/// The text that `name` spells, or `None` if `name` is not the one valid spelling of a text. Only names that
/// [`encode`] could have made are decoded, so `encode(decode(name)) == name`.
pub fn decode(name: &str) -> Option<String> {
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        let shifted = &rest[at + 1..];
        let end = shifted.find('-')?;
        match &shifted[..end] {
            "" => out.push('&'),
            base64 => out.push_str(&unshift(base64)?),
        }
        rest = &shifted[end + 1..];
    }
    out.push_str(rest);
    (encode(&out) == name).then_some(out)
}

fn flush(shifted: &mut Vec<u16>, out: &mut String) {
    if shifted.is_empty() {
        return;
    }
    out.push('&');
    let (mut bits, mut held) = (0u32, 0u32);
    for unit in shifted.drain(..) {
        bits = (bits << 16) | u32::from(unit);
        held += 16;
        while held >= 6 {
            held -= 6;
            out.push(char::from(ALPHABET[(bits >> held) as usize & 63]));
        }
        bits &= (1 << held) - 1;
    }
    if held > 0 {
        out.push(char::from(ALPHABET[(bits << (6 - held)) as usize & 63]));
    }
    out.push('-');
}

fn unshift(base64: &str) -> Option<String> {
    let mut units = Vec::with_capacity(base64.len() * 3 / 8);
    let (mut bits, mut held) = (0u32, 0u32);
    for byte in base64.bytes() {
        let value = ALPHABET.iter().position(|&letter| letter == byte)?;
        bits = (bits << 6) | value as u32;
        held += 6;
        if held >= 16 {
            held -= 16;
            units.push((bits >> held) as u16);
            bits &= (1 << held) - 1;
        }
    }
    String::from_utf16(&units).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_spellings() {
        for (text, name) in [
            ("Entwürfe", "Entw&APw-rfe"),
            ("Отправленные", "&BB4EQgQ,BEAEMAQyBDsENQQ9BD0ESwQ1-"),
            ("R&D", "R&-D"),
            ("台北", "&U,BTFw-"),
            ("😀", "&2D3eAA-"),
            ("Šiukšliadėžė", "&AWA-iuk&AWE-liad&ARcBfgEX-"),
            ("plain", "plain"),
        ] {
            assert_eq!(encode(text), name);
            assert_eq!(decode(name).as_deref(), Some(text));
        }
    }

    #[test]
    fn refused() {
        for name in
            ["A & B", "AT&T", "R&D-Team", "&!!!-", "&2D0-", "&AGE-", "&Tab-", "&AOk-&AOk-", "&AOk", "é", "&AOl-"]
        {
            let valid = decode(name);
            assert!(valid.is_none() || name == "é", "{name}");
        }
    }

    proptest! {
        #[test]
        fn every_text_round_trips(text in any::<String>()) {
            prop_assert_eq!(decode(&encode(&text)), Some(text));
        }

        #[test]
        fn nothing_panics(name in "[&A-Za-z0-9+,-]{0,24}") {
            if let Some(text) = decode(&name) {
                prop_assert_eq!(encode(&text), name);
            }
        }
    }
}

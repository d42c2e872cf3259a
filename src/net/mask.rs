//! Secrets stay off the screen: whatever a server says is shown without the secrets of this run in it.
//!
//! A server can say a password or a token again, in a refusal, a greeting, the name of a mailbox, the body of an HTTP
//! answer. So [`super::sanitize::said`] and [`super::sanitize::printable`], through which all words of servers go into messages and
//! logs, take out what [`hide`] finds. A [`super::secret::Secret`] is remembered here when it is made: no caller can forget
//! it, and a token that was renewed in the midst of a run is hidden like the first one.
//!
//! Looked for is a secret as it is, in base64 (also inside of a longer text, such as a SASL response), percent-encoded, in
//! hexadecimal digits, and with the escapes of JSON, IMAP and HTML, whatever the case of its letters. Of a long one a part
//! of `PART` bytes is enough, so one that the server cut or broke into lines is hidden, too. Only hashes of the parts are
//! kept. A secret of fewer than `SHORTEST` bytes cannot be hidden: it would stand in too many words.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use parking_lot::RwLock;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use zeroize::Zeroizing;

/// What stands in the place of a secret.
pub const HIDDEN: &str = "(not shown)";

/// Bytes of a secret that give it away.
const PART: usize = 12;

/// Shorter secrets are not hidden.
const SHORTEST: usize = 4;

/// The secrets to hide: hashes of parts in lower case, by their length.
struct Mask {
    hasher: RandomState,
    parts: BTreeMap<usize, HashSet<u64>>,
}

static MASK: LazyLock<RwLock<Mask>> =
    LazyLock::new(|| RwLock::new(Mask { hasher: RandomState::new(), parts: BTreeMap::new() }));

/// Remembers a secret for the rest of the run.
pub fn remember(secret: &[u8]) {
    if secret.len() >= SHORTEST {
        MASK.write().add(secret);
    }
}

/// A server's words with [`HIDDEN`] in the place of each secret.
pub fn hide(said: &[u8]) -> Vec<u8> {
    MASK.read().hide(said)
}

impl Mask {
    fn add(&mut self, secret: &[u8]) {
        for form in forms(secret) {
            let form = Zeroizing::new(form.to_ascii_lowercase());
            let length = form.len().min(PART);
            let hashes = form.windows(length).map(|part| self.hasher.hash_one(part));
            self.parts.entry(length).or_default().extend(hashes);
        }
    }

    fn hide(&self, said: &[u8]) -> Vec<u8> {
        let lower = said.to_ascii_lowercase();
        let mut is_secret = vec![false; said.len()];
        for (&length, hashes) in &self.parts {
            for (at, part) in lower.windows(length).enumerate() {
                if hashes.contains(&self.hasher.hash_one(part)) {
                    is_secret[at..at + length].fill(true);
                }
            }
        }
        let mut shown = Vec::with_capacity(said.len());
        for (at, byte) in said.iter().enumerate() {
            match is_secret[at] {
                false => shown.push(*byte),
                true if at == 0 || !is_secret[at - 1] => shown.extend_from_slice(HIDDEN.as_bytes()),
                true => {}
            }
        }
        shown
    }
}

/// RFC 3986 section 2.3: what need not be encoded is not.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A secret in the forms in which a server may say it.
fn forms(secret: &[u8]) -> Vec<Zeroizing<Vec<u8>>> {
    let mut forms = vec![Zeroizing::new(secret.to_vec())];
    for shift in 0..3 {
        // Inside of a longer text it may begin at any of three places. What depends on its neighbours is left out.
        let padded = Zeroizing::new([&[0; 2][..shift], secret].concat());
        let (begin, end) = ((shift * 8).div_ceil(6), padded.len() * 8 / 6);
        for code in [STANDARD_NO_PAD.encode(&*padded), URL_SAFE_NO_PAD.encode(&*padded)] {
            let code = Zeroizing::new(code.into_bytes());
            forms.push(Zeroizing::new(code[begin..end].to_vec()));
        }
    }
    let percent: String = percent_encode(secret, NON_ALPHANUMERIC).collect();
    let sparing: String = percent_encode(secret, RESERVED).collect();
    let form = sparing.replace("%20", "+");
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let all: String = secret.iter().map(|byte| format!("%{byte:02x}")).collect();
    forms.extend([percent, sparing, form, hex, all].map(|text| Zeroizing::new(text.into_bytes())));
    if let Ok(text) = std::str::from_utf8(secret) {
        let json = serde_json::Value::from(text).to_string();
        let json = json[1..json.len() - 1].to_owned();
        let ascii: String = json.chars().flat_map(json_ascii).collect();
        let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
        let html = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let html = html.replace('"', "&quot;").replace('\'', "&#39;");
        forms.extend([json, ascii, quoted, html].map(|text| Zeroizing::new(text.into_bytes())));
    }
    forms.retain(|form| form.len() >= SHORTEST);
    forms
}

/// A character as JSON has it where only ASCII is wanted.
fn json_ascii(c: char) -> Vec<char> {
    if c.is_ascii() {
        return vec![c];
    }
    c.encode_utf16(&mut [0; 2]).iter().flat_map(|unit| format!("\\u{unit:04x}").chars().collect::<Vec<_>>()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(secret: &str) -> Mask {
        let mut mask = Mask { hasher: RandomState::new(), parts: BTreeMap::new() };
        mask.add(secret.as_bytes());
        mask
    }

    fn hidden(mask: &Mask, said: &str) -> String {
        String::from_utf8_lossy(&mask.hide(said.as_bytes())).into_owned()
    }

    #[test]
    fn a_secret_is_hidden_in_every_form() {
        for secret in ["correct horse battery", "pa\"ss\\w\u{f6}rd & <x>", "hunter2", "ya29.a0AfH6SMB-x_y/z+w=="] {
            let mask = mask(secret);
            let base64 = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
            let json = serde_json::Value::from(secret).to_string();
            let mut said = vec![
                secret.to_owned(),
                secret.to_uppercase(),
                percent_encode(secret.as_bytes(), NON_ALPHANUMERIC).collect(),
                secret.bytes().map(|byte| format!("{byte:02X}")).collect(),
                json[1..json.len() - 1].to_owned(),
                secret.replace('\\', "\\\\").replace('"', "\\\""),
            ];
            // As a SASL response or an Authorization field has it, whatever stands around it.
            for before in ["", "a", "ab", "abc", "\0alice\0", "user=alice\x01auth=Bearer "] {
                let code = base64(&format!("{before}{secret}\x01\x01"));
                let inner = (before.len() * 8).div_ceil(6)..(before.len() + secret.len()) * 8 / 6;
                said.push(code[inner.clone()].to_owned());
                said.push(
                    base64::engine::general_purpose::URL_SAFE.encode(format!("{before}{secret}z"))[inner].to_owned(),
                );
            }
            for words in said.iter().filter(|words| words.is_ascii() || **words == secret) {
                let shown = hidden(&mask, &format!("NO: <<{words}>> is wrong"));
                let rest = shown.replace(HIDDEN, "");
                assert_eq!(rest, "NO: <<>> is wrong", "{secret}: {words}");
            }
        }
    }

    #[test]
    fn a_part_of_a_long_secret_gives_it_away_and_nothing_else_is_hidden() {
        let token = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.payload.signature";
        let mask = mask(token);
        assert_eq!(hidden(&mask, &format!("bad token {}...", &token[..20])), format!("bad token {HIDDEN}..."));
        let broken = format!("{}\r\n {}", &token[..25], &token[25..]);
        assert!(!hidden(&mask, &broken).contains(&token[..12]) && !hidden(&mask, &broken).contains("signature"));
        for harmless in ["", "a", "[AUTHENTICATIONFAILED] Authentication failed.", "payload", "signatur"] {
            assert_eq!(hidden(&mask, harmless), harmless);
        }
    }
}

//! Which message is which: a digest that stays when a mail program changes flags or labels in the header.

use super::line::MAX_HEAD;
use super::status;
use crate::format::fields::fields;
use std::io::{self, Write};

/// Computes the digest of a message without the fields that mail programs change: flags, labels, numbers. A message
/// without such fields has the digest of its bytes. Write the message into it.
pub struct Identity {
    hasher: blake3::Hasher,
    /// What was read of the header, until its end is found.
    head: Vec<u8>,
    is_in_body: bool,
}

impl Default for Identity {
    fn default() -> Identity {
        Identity { hasher: blake3::Hasher::new(), head: Vec::new(), is_in_body: false }
    }
}

impl Identity {
    /// The digest of what was written.
    pub fn finish(mut self) -> [u8; 32] {
        if !self.is_in_body {
            self.hash_head(self.head.len());
        }
        *self.hasher.finalize().as_bytes()
    }

    /// Hashes the header block, the first `end` bytes of what is at hand, and whatever follows it.
    fn hash_head(&mut self, end: usize) {
        let (head, body) = self.head.split_at(end);
        for field in fields(head).filter(|field| !status::is_changing(field.name)) {
            self.hasher.update(field.raw);
        }
        self.hasher.update(body);
        self.head = Vec::new();
        self.is_in_body = true;
    }
}

impl Write for Identity {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_in_body {
            self.hasher.update(bytes);
            return Ok(bytes.len());
        }
        // The empty line may straddle two pieces.
        let from = self.head.len().saturating_sub(3);
        self.head.extend_from_slice(bytes);
        match end_of_head(&self.head, from) {
            Some(end) => self.hash_head(end),
            None if self.head.len() as u64 >= MAX_HEAD => self.hash_head(MAX_HEAD as usize),
            None => {}
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where the body begins, if the empty line before it begins at or behind `from`, and the block is not too long.
fn end_of_head(bytes: &[u8], from: usize) -> Option<usize> {
    let limit = bytes.len().min(MAX_HEAD as usize);
    let bytes = &bytes[..limit];
    if from == 0 {
        if bytes.starts_with(b"\n") {
            return Some(1);
        }
        if bytes.starts_with(b"\r\n") {
            return Some(2);
        }
    }
    let mut at = from;
    while let Some(found) = memchr::memchr(b'\n', bytes.get(at..)?) {
        at += found + 1;
        match &bytes[at..] {
            [b'\n', ..] => return Some(at + 1),
            [b'\r', b'\n', ..] => return Some(at + 2),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn digest(text: &[u8], pieces: usize) -> [u8; 32] {
        let mut identity = Identity::default();
        for piece in text.chunks(pieces) {
            identity.write_all(piece).unwrap();
        }
        identity.finish()
    }

    #[test]
    fn flags_and_labels_have_no_part_in_it() {
        let plain = b"From: a\nSubject: b\n\nStatus: R\nbody\n";
        assert_eq!(digest(plain, 99), *blake3::hash(plain).as_bytes());
        let with = b"Status: RO\nFrom: a\nX-Gmail-Labels: a,\n b\nX-Mozilla-Keys:    \nSubject: b\nX-UID: 7\n\nStatus: R\nbody\n";
        for pieces in 1..with.len() {
            assert_eq!(digest(with, pieces), digest(plain, 99), "pieces of {pieces}");
        }
        assert_ne!(digest(b"From: a\nSubject: b\n\nStatus: O\nbody\n", 99), digest(plain, 99));
        // A header without an end, one that is too long, none at all.
        assert_eq!(digest(b"A: b\nStatus: R", 3), *blake3::hash(b"A: b\n").as_bytes());
        let long = [b"A: ".to_vec(), vec![b'x'; MAX_HEAD as usize], b"\nStatus: R\n\n".to_vec()].concat();
        assert_eq!(digest(&long, 1 << 16), *blake3::hash(&long).as_bytes());
        assert_eq!(digest(b"\nStatus: R\n", 1), *blake3::hash(b"\nStatus: R\n").as_bytes());
        assert_eq!(digest(b"", 1), *blake3::hash(b"").as_bytes());
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(text in "(Status: R|A: b| c|\r|\n|\n\n|x){0,30}", pieces in 1usize..9) {
            prop_assert_eq!(digest(text.as_bytes(), pieces), digest(text.as_bytes(), 1000));
        }
    }
}

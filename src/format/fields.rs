//! The fields of a header block as they stand (RFC 5322 section 2.2): names, values with their folds, and lines that are
//! no field.

/// A field of a header block, or a line that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// What stands before the colon, without blanks at its end. Empty for a line that is no field.
    pub name: &'a [u8],
    /// What stands behind the colon: with its folds, the last line break included.
    pub value: &'a [u8],
    /// All of it.
    pub raw: &'a [u8],
}

impl Field<'_> {
    /// True if the field has this name, whatever its case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

/// The fields of a header block, first to last. The empty line at its end is a line that is no field.
pub fn fields(head: &[u8]) -> impl Iterator<Item = Field<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        if at >= head.len() {
            return None;
        }
        let start = at;
        loop {
            at = memchr::memchr(b'\n', &head[at..]).map_or(head.len(), |end| at + end + 1);
            if !matches!(head.get(at), Some(b' ' | b'\t')) {
                break;
            }
        }
        let raw = &head[start..at];
        let (name, value) = match memchr::memchr2(b':', b'\n', raw).filter(|&colon| raw[colon] == b':') {
            Some(colon) => (raw[..colon].trim_ascii_end(), &raw[colon + 1..]),
            None => (&raw[..0], raw),
        };
        Some(Field { name, value, raw })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_folds_and_other_lines() {
        let head = b"A: b\r\n c\r\nnone\nStatus : RO\n\n";
        let found: Vec<(&[u8], &[u8])> = fields(head).map(|field| (field.name, field.value)).collect();
        let expected: [(&[u8], &[u8]); 4] =
            [(b"A", b" b\r\n c\r\n"), (b"", b"none\n"), (b"Status", b" RO\n"), (b"", b"\n")];
        assert_eq!(found, expected);
    }

    proptest! {
        #[test]
        fn nothing_is_left_out(bytes in "[ab: \n\r]{0,60}") {
            let raw: Vec<u8> = fields(bytes.as_bytes()).flat_map(|field| field.raw.to_vec()).collect();
            prop_assert_eq!(raw, bytes.as_bytes());
        }
    }
}

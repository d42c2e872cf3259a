//! Any bytes are what an IMAP server sends: its responses are read within their limits, and so are their parts.
#![no_main]
use libfuzzer_sys::fuzz_target;
use vandelay::model::Body;
use vandelay::net::sanitize::printable;
use vandelay::protocol::imap::parser::Assembler;
use vandelay::protocol::imap::{InternalDate, Limits, UidSet, decode_name, read_any};

fuzz_target!(|bytes: &[u8]| {
    let _ = (InternalDate::parse(bytes), UidSet::parse(bytes).texts(100), decode_name(bytes, false), printable(bytes));
    let mut assembler = Assembler::new(Limits { memory: 1 << 16, ..Limits::default() });
    let mut rest = bytes;
    assembler.begin();
    while let Some(end) = rest.iter().position(|&b| b == b'\n') {
        let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
        rest = &rest[end + 1..];
        match assembler.line(line) {
            Ok(None) => {
                read_any(assembler.tree());
                assembler.begin();
            }
            Ok(Some(announced)) => {
                let size = usize::try_from(announced.size).unwrap_or(usize::MAX).min(rest.len());
                let literal = &rest[..size];
                rest = &rest[size..];
                let is_taken = match announced.is_body {
                    true => assembler.body(Body::Bytes(literal.to_vec())),
                    false => assembler.literal(literal),
                };
                if is_taken.is_err() {
                    return;
                }
            }
            Err(_) => return,
        }
    }
});

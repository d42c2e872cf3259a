//! Any bytes are a message: they are shown, always the same, and each attachment is as long as it is listed.
#![no_main]
use libfuzzer_sys::fuzz_target;
use vandelay::format::text::{attachment, attachments, may_have_attachments, subject, text};

fuzz_target!(|bytes: &[u8]| {
    let shown = text(bytes);
    assert!(!shown.bytes().any(|byte| byte < b' ' && !b"\n\t".contains(&byte)));
    assert!(!subject(bytes).contains('\n'));
    let files = attachments(bytes);
    for file in &files {
        assert_eq!(attachment(bytes, file.part).map(|bytes| bytes.len() as u64), Some(file.size));
    }
    for head in [0, 1, 30, 300, bytes.len()] {
        assert!(files.is_empty() || may_have_attachments(bytes.get(..head).unwrap_or(bytes), bytes.len() as u64));
    }
});

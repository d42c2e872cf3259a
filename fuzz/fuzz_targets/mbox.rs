//! Any bytes are an mbox: messages lie in it, in order, without overlap.
#![no_main]
use libfuzzer_sys::fuzz_target;
use std::io::Write;
use vandelay::format::{emlx, mbox};

fuzz_target!(|bytes: &[u8]| {
    let mut scanner = mbox::Scanner::new(bytes);
    let mut end = 0;
    while let Ok(Some(message)) = scanner.next_message() {
        assert!(message.offset >= end && message.offset + message.len <= bytes.len() as u64);
        end = message.offset + message.len;
    }
    let _ = (mbox::separator_date(bytes), mbox::status(bytes), mbox::received(bytes));
    let _ = (emlx::span(bytes), emlx::properties(bytes));
    let digest = |pieces: usize| {
        let mut identity = mbox::Identity::default();
        bytes.chunks(pieces).for_each(|piece| drop(identity.write(piece)));
        identity.finish()
    };
    assert_eq!(digest(7), digest(4096));
});

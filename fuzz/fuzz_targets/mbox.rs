//! Any bytes are an mbox: messages lie in it, in order, without overlap.
#![no_main]
use libfuzzer_sys::fuzz_target;
use vandelay::format::mbox;

fuzz_target!(|bytes: &[u8]| {
    let mut scanner = mbox::Scanner::new(bytes);
    let mut end = 0;
    while let Ok(Some(message)) = scanner.next_message() {
        assert!(message.offset >= end && message.offset + message.len <= bytes.len() as u64);
        end = message.offset + message.len;
    }
    let _ = mbox::separator_date(bytes);
});

//! Any bytes are a message: it has a match key; and labels are labels.
#![no_main]
use libfuzzer_sys::fuzz_target;
use vandelay::format::{labels, mail};

fuzz_target!(|bytes: &[u8]| {
    let summary = mail::summary(bytes);
    assert!(serde_json::from_str::<serde_json::Value>(&summary.message_match).is_ok());
    let _ = labels::parse(&labels::fields(bytes), true);
});

//! Any JSON is an event and a card: it converts or is refused.
#![no_main]
use libfuzzer_sys::fuzz_target;
use vandelay::format::{convert, jscal, jscard};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(data) = convert::read(bytes) {
        let _ = jscal::to_ics(&data, &|_| Some(b"blob".to_vec()));
        let _ = jscard::to_vcf(&data, "uid", &|_| None);
    }
});

//! Any bytes are a .vcf file: cards lie in it, and each can be converted.
#![no_main]
use libfuzzer_sys::fuzz_target;
use vandelay::format::{jscard, vcf};

fuzz_target!(|bytes: &[u8]| {
    for card in vcf::split(bytes).items {
        let own = &bytes[card.range.start as usize..card.range.end as usize];
        assert!(jscard::to_jscontact(own).data.is_object());
    }
});

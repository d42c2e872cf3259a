//! Any bytes are a file name: its parts are the whole, and folder names read back.
#![no_main]
use libfuzzer_sys::fuzz_target;
use vandelay::format::{maildir, mutf7};

fuzz_target!(|bytes: &[u8]| {
    let name = maildir::FileName::parse(bytes);
    assert_eq!([name.unique, name.info].concat(), bytes);
    let _ = (name.flags(), name.size(), name.received(1 << 40));
    assert_eq!(maildir::unescape(&maildir::escape(bytes)), bytes);
    let _ = (maildir::split_dotted(bytes), maildir::Keywords::parse(bytes));
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = mutf7::decode(text);
        assert_eq!(mutf7::decode(&mutf7::encode(text)).as_deref(), Some(text));
    }
});

//! Any bytes are the database of an account of mox: what can be listed in it can be read, or fails by name.
#![no_main]
use libfuzzer_sys::fuzz_target;
use vandelay::source::Source;
use vandelay::source::mox::{Mox, MoxOptions};

fuzz_target!(|bytes: &[u8]| {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("index.db"), bytes).expect("room");
    let options = MoxOptions { include_deleted: true, spool: directory.path().to_owned(), ..MoxOptions::default() };
    let mut source = Mox::open(directory.path(), options).expect("an account");
    let Ok((scopes, _)) = source.scopes() else { return };
    for scope in scopes {
        let Ok(listing) = source.list(&scope, "") else { return };
        let Ok(items) = source.fetch(&scope, listing.entries) else { return };
        items.for_each(drop);
    }
});

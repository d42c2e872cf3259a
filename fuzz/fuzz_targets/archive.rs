//! Any bytes behind a SQLite header are an archive: it opens or is refused, and what opens can be walked and verified.
#![no_main]
use libfuzzer_sys::fuzz_target;
use std::io::Write;
use std::sync::Arc;
use vandelay::archive::{Depth, Reader, verify};
use vandelay::tree::Node;
use vandelay::tree::{TreeOptions, Tree};
use vandelay::tree::walk;

fuzz_target!(|bytes: &[u8]| {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(bytes).expect("room");
    let Ok(reader) = Reader::open(file.path()) else { return };
    let reader = Arc::new(reader);
    let _ = verify(&reader, Depth { sample: 1.0, max_duration: None, seed: 0 }, |_, _| {});
    if let Ok(tree) = Tree::open(reader, TreeOptions::default()) {
        let mut seen = 0;
        let _ = walk::walk(&tree, Node::ROOT, |step| {
            seen += 1;
            let _ = tree.read(step.child.node, 0, 4_096);
            Ok(seen < 10_000)
        });
    }
});

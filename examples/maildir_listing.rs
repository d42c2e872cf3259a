//! How long it takes to list a Maildir, and how much memory the listing needs.
//!
//! `cargo run --release --example maildir_listing -- [MESSAGES] [FOLDERS]` makes a tree in the temporary directory
//! (50,000 messages in 40 folders unless told otherwise), lists it five times, then reads it once.

#![expect(clippy::expect_used, reason = "an example ends where it cannot go on")]

use std::fs;
use std::path::Path;
use std::time::Instant;

use vandelay::error::Result;
use vandelay::model::Body;
use vandelay::source::Source;
use vandelay::source::filter::Filter;
use vandelay::source::maildir::Maildir;
use vandelay::source::maildir::{Layout, MaildirOptions};

fn main() {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<usize>().expect("a number"));
    let (messages, folders) = (numbers.next().unwrap_or(50_000), numbers.next().unwrap_or(40).max(1));
    let root = tempfile::tempdir().expect("a temporary directory");
    make(root.path(), messages, folders).expect("a tree");
    let options = MaildirOptions {
        filter: Filter::all(),
        noautomap: false,
        include_deleted: false,
        layout: Layout::Auto,
        spool: std::env::temp_dir(),
    };
    run(root.path(), options).expect("a listing");
}

fn make(root: &Path, messages: usize, folders: usize) -> std::io::Result<()> {
    for folder in 0..folders {
        let directory = if folder == 0 { root.to_owned() } else { root.join(format!(".Lists.folder{folder}")) };
        for name in ["cur", "new", "tmp"] {
            fs::create_dir_all(directory.join(name))?;
        }
        for message in 0..messages / folders {
            let flags = ["", "S", "RS", "FS"][message % 4];
            let text = format!("From: a@example.org\r\nSubject: {message}\r\n\r\n{}\r\n", "x".repeat(message % 4000));
            let name = format!(
                "{}.M{message}P12345.mail.example.org,S={},W={}:2,{flags}",
                1_600_000_000 + message * 977,
                text.len(),
                text.len() + 4
            );
            fs::write(directory.join("cur").join(name), text)?;
        }
    }
    Ok(())
}

fn run(root: &Path, options: MaildirOptions) -> Result<()> {
    let mut source = Maildir::open(root, options)?;
    for _ in 0..5 {
        let (before, start) = (resident(), Instant::now());
        let (scopes, _) = source.scopes()?;
        let listings = scopes.iter().map(|scope| source.list(scope, "")).collect::<Result<Vec<_>>>()?;
        let (elapsed, after) = (start.elapsed(), resident());
        let entries: usize = listings.iter().map(|listing| listing.entries.len()).sum();
        println!(
            "{} folders, {entries} entries: {elapsed:?}; resident {before} KiB before, {after} KiB after",
            scopes.len()
        );
    }
    let (scopes, _) = source.scopes()?;
    let (mut bytes, mut failed, start) = (0, 0, Instant::now());
    for scope in &scopes {
        let entries = source.list(scope, "")?.entries;
        for item in source.fetch(scope, entries)? {
            match item.map(|item| item.body) {
                Ok(Body::Bytes(body)) => bytes += body.len(),
                Ok(_) => {}
                Err(_) => failed += 1,
            }
        }
    }
    println!("listed and read once more: {bytes} bytes, {failed} failed, {:?}", start.elapsed());
    Ok(())
}

/// Memory of this process in KiB, as Linux tells it.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()).and_then(|number| number.parse().ok()).unwrap_or_default()
}

//! The house: who may import whom, and which words may appear where. A new arrow here is a decision, not an accident.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each room with the rooms that it may import. `main` and `cli` may import everything.
const ROOMS: [(&str, &[&str]); 16] = [
    ("error", &[]),
    ("model", &["error"]),
    ("held", &[]),
    ("progress", &[]),
    ("report", &["model"]),
    ("format", &["model", "error"]),
    ("net", &["error"]),
    ("archive", &["format", "model", "error", "held"]),
    ("protocol", &["net", "format", "model", "error"]),
    ("source", &["protocol", "net", "format", "model", "error", "held"]),
    ("sink", &["protocol", "net", "format", "model", "error"]),
    ("import", &["source", "archive", "format", "model", "error", "progress", "report"]),
    ("export", &["sink", "archive", "format", "model", "error", "progress", "report"]),
    ("tree", &["archive", "format", "model", "error"]),
    ("mount", &["tree", "error"]),
    ("extract", &["tree", "error"]),
];

/// Words that belong to one room (and what may stand in for it).
const WORDS: [(&str, &[&str]); 16] = [
    ("rusqlite", &["archive"]),
    ("self_cell", &["archive"]),
    ("mail_parser", &["format"]),
    ("calcard", &["format"]),
    ("chrono::", &["format"]),
    ("html5gum", &["format"]),
    ("chardetng", &["format"]),
    ("encoding_rs", &["format"]),
    ("fuser", &["mount"]),
    ("tokio", &["net", "protocol"]),
    ("rustls", &["net"]),
    ("reqwest", &["net", "protocol"]),
    ("lru::", &["tree", "archive"]),
    ("clap", &["cli"]),
    ("indicatif", &["cli"]),
    ("println!", &["cli"]),
];

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("src is readable").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The code of a file: without comments and without its tests.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).map(|line| format!("{line}\n")).collect()
}

fn each_source(mut visit: impl FnMut(&str, &str, &str)) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 30, "the sources are where this test looks");
    for path in files {
        let relative = path.strip_prefix(&root).expect("below src").to_str().expect("UTF-8").to_owned();
        let room = relative.split(['/', '.']).next().unwrap_or_default().to_owned();
        visit(&relative, &room, &code(&fs::read_to_string(&path).expect("a source")));
    }
}

#[test]
fn rooms_import_only_what_lies_below_them() {
    let mut wrong = BTreeSet::new();
    each_source(|file, room, code| {
        let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else {
            assert!(["cli", "main", "lib"].contains(&room), "{file}: a room that this test does not know");
            return;
        };
        for part in code.split("crate::").skip(1) {
            let target: String = part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if target != room && !allowed.contains(&target.as_str()) {
                wrong.insert(format!("{file} imports {target}"));
            }
        }
    });
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn words_stand_only_in_their_rooms() {
    let mut wrong = BTreeSet::new();
    each_source(|file, room, code| {
        for (word, rooms) in WORDS {
            let is_exempt = word == "println!"
                && code.matches("eprintln!").count() == code.matches("println!").count()
                && room == "cli";
            if code.contains(word) && !rooms.contains(&room) && !is_exempt {
                wrong.insert(format!("{file} says {word}"));
            }
        }
    });
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn files_stay_readable() {
    let mut long = BTreeSet::new();
    each_source(|file, _, code| {
        if code.lines().count() > 500 {
            long.insert(format!("{file}: {} lines", code.lines().count()));
        }
    });
    assert!(long.is_empty(), "files over 500 lines want splitting: {long:#?}");
}

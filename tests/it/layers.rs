//! The house: who may import whom, and which words may appear where. A new arrow here is a decision, not an accident.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each room with the rooms that it may import. `main` and `cli` may import everything.
const ROOMS: [(&str, &[&str]); 19] = [
    ("error", &[]),
    ("model", &["error"]),
    ("held", &[]),
    ("progress", &[]),
    ("report", &["model"]),
    ("format", &["model", "error"]),
    ("net", &["model", "error"]),
    ("archive", &["format", "model", "error", "held"]),
    ("protocol", &["net", "format", "model", "error"]),
    ("source", &["protocol", "net", "format", "model", "error", "held"]),
    ("sink", &["protocol", "net", "format", "model", "error"]),
    ("import", &["source", "archive", "format", "model", "error", "progress", "report"]),
    ("export", &["sink", "archive", "format", "model", "error", "progress", "report"]),
    ("search", &["archive", "format", "model", "error", "progress"]),
    ("tree", &["search", "archive", "format", "model", "error", "progress"]),
    ("mount", &["tree", "error"]),
    ("monitor", &["net", "error"]),
    ("extract", &["tree", "format", "model", "error", "progress"]),
    ("proof", &["tree", "archive", "format", "model", "error", "progress"]),
];

/// Words that belong to one room (and what may stand in for it).
const WORDS: [(&str, &[&str]); 22] = [
    ("rusqlite", &["archive", "search"]),
    ("self_cell", &["archive"]),
    ("mail_parser", &["format"]),
    ("calcard", &["format"]),
    ("chrono::", &["format"]),
    ("html5gum", &["format"]),
    ("chardetng", &["format"]),
    ("encoding_rs", &["format"]),
    ("fuser", &["mount"]),
    ("tar::", &["extract"]),
    ("tokio", &["net", "protocol"]),
    ("rustls", &["net"]),
    ("digest_auth", &["net"]),
    ("hickory_resolver", &["net"]),
    ("psl", &["net"]),
    ("quick_xml", &["protocol"]),
    ("reqwest", &["net"]),
    ("lru::", &["tree", "archive"]),
    ("clap", &["cli"]),
    ("indicatif", &["cli"]),
    ("toml::", &["cli"]),
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
            if code.contains(word) && !rooms.contains(&room) {
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

/// A module by its path: `["archive", "write"]` for `src/archive/write.rs`.
type Module = Vec<String>;

/// The module of a file of `src`.
fn module_of(relative: &str) -> Module {
    let path = relative.strip_suffix(".rs").unwrap_or(relative);
    let mut module: Module = path.split('/').map(str::to_owned).collect();
    if module.last().is_some_and(|last| last == "mod") {
        module.pop();
    }
    module
}

/// The paths that a use tree names: `a::{b, c::{self, d}}` names `a::b`, `a::c::self` and `a::c::d`.
fn expand(tree: &str) -> Vec<String> {
    let Some((before, rest)) = tree.split_once('{') else { return vec![tree.trim().to_owned()] };
    let inner = rest.trim_end().strip_suffix('}').expect("a group ends");
    let (mut depth, mut from, mut items) = (0, 0, Vec::new());
    for (at, c) in inner.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(&inner[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    items.push(&inner[from..]);
    let items = items.into_iter().map(str::trim).filter(|item| !item.is_empty());
    items.flat_map(|item| expand(&format!("{}{item}", before.trim_start()))).collect()
}

/// All paths in the code of a file that begin with `crate`, `super`, `self` or one of its child modules.
fn paths(code: &str) -> Vec<String> {
    let uses = regex::Regex::new(r"(?ms)^\s*(?:pub(?:\([^)]*\))? )?use ([^;]+);").expect("a pattern");
    let alias = regex::Regex::new(r"\s+as\s+\w+").expect("a pattern");
    let plain = |tree: &str| alias.replace_all(tree, "").split_whitespace().collect::<String>();
    let mut found: Vec<String> = uses.captures_iter(code).flat_map(|one| expand(&plain(&one[1]))).collect();
    let rest = uses.replace_all(code, "");
    let inline = regex::Regex::new(r"\b[a-z_][a-z0-9_]*(?:::\w+)+").expect("a pattern");
    let is_whole = |start: usize| !rest[..start].ends_with("::");
    found.extend(inline.find_iter(&rest).filter(|one| is_whole(one.start())).map(|one| one.as_str().to_owned()));
    found
}

/// The module that a path in `here` leads into, if it is one of ours.
fn resolve(path: &str, here: &Module, modules: &BTreeMap<Module, String>) -> Option<Module> {
    let mut parts: Vec<&str> = path.split("::").collect();
    let mut full: Module = match parts[0] {
        "crate" => Vec::new(),
        "super" | "self" => here.clone(),
        child if modules.contains_key(&[here.clone(), vec![child.to_owned()]].concat()) => {
            parts.insert(0, "self");
            here.clone()
        }
        _ => return None,
    };
    while parts.first() == Some(&"super") {
        full.pop();
        parts.remove(0);
    }
    let skip = usize::from(matches!(parts.first(), Some(&"crate" | &"self")));
    full.extend(parts[skip..].iter().map(|part| (*part).to_owned()));
    while !full.is_empty() && !modules.contains_key(&full) {
        full.pop();
    }
    (!full.is_empty() && full != *here).then_some(full)
}

/// Which file imports which: an import of a name that a parent re-exports is one of the parent, and the parent imports its
/// child.
fn imports() -> BTreeMap<Module, BTreeSet<Module>> {
    let mut modules = BTreeMap::new();
    each_source(|file, _, code| {
        if !["lib.rs", "main.rs"].contains(&file) {
            modules.insert(module_of(file), code.to_owned());
        }
    });
    let arrows = modules.iter().map(|(module, code)| {
        let to = paths(code).iter().filter_map(|path| resolve(path, module, &modules)).collect();
        (module.clone(), to)
    });
    arrows.collect()
}

/// All that a file imports, and what that imports, and so on.
fn reach(from: &Module, imports: &BTreeMap<Module, BTreeSet<Module>>) -> BTreeSet<Module> {
    let mut seen = BTreeSet::new();
    let mut open: Vec<&Module> = imports[from].iter().collect();
    while let Some(module) = open.pop() {
        if seen.insert(module.clone()) {
            open.extend(&imports[module]);
        }
    }
    seen
}

#[test]
fn no_file_imports_one_that_imports_it() {
    let imports = imports();
    let arrows: usize = imports.values().map(BTreeSet::len).sum();
    assert!(arrows > 800, "only {arrows} imports are seen");
    let in_circles: Vec<String> =
        imports.keys().filter(|module| reach(module, &imports).contains(*module)).map(|one| one.join("/")).collect();
    assert!(in_circles.is_empty(), "files in circles: {in_circles:#?}");
}

#[test]
fn a_parent_is_ground_or_facade() {
    let imports = imports();
    let mut both = BTreeSet::new();
    for (parent, to) in &imports {
        let is_below = |module: &Module| module.len() > parent.len() && module.starts_with(parent);
        let imports_a_child = to.iter().any(is_below);
        let is_imported = imports.iter().any(|(child, to)| is_below(child) && to.contains(parent));
        if imports_a_child && is_imported {
            both.insert(parent.join("/"));
        }
    }
    assert!(both.is_empty(), "these import children and are imported by children: {both:#?}");
}

#[test]
fn paths_and_circles_are_seen() {
    let code = "use super::{a::B, c::{self as x, d::E}};\nfn f() { crate::g::h(); Self::i(); child::j() }\n";
    let mut found = paths(code);
    found.retain(|path| !path.starts_with("Self"));
    assert_eq!(found, ["super::a::B", "super::c::self", "super::c::d::E", "crate::g::h", "child::j"]);
    let module = |path: &str| module_of(path);
    let modules: BTreeMap<Module, String> =
        ["x/mod.rs", "x/a.rs", "x/c.rs", "x/y/child.rs", "x/y.rs"].map(|file| (module(file), String::new())).into();
    let from = module("x/y.rs");
    let to = |path: &str| resolve(path, &from, &modules).map(|one| one.join("/"));
    assert_eq!(to("super::a::B").as_deref(), Some("x/a"));
    assert_eq!(to("super::Name").as_deref(), Some("x"));
    assert_eq!(to("child::j").as_deref(), Some("x/y/child"));
    assert_eq!(to("crate::g::h"), None);
    let one = BTreeMap::from([
        (module("a.rs"), BTreeSet::from([module("b.rs")])),
        (module("b.rs"), BTreeSet::from([module("c.rs")])),
        (module("c.rs"), BTreeSet::from([module("a.rs")])),
        (module("d.rs"), BTreeSet::from([module("a.rs")])),
    ]);
    assert!(reach(&module("a.rs"), &one).contains(&module("a.rs")));
    assert!(!reach(&module("d.rs"), &one).contains(&module("d.rs")));
}

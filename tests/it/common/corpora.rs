//! Real files for tests: the small set in tests/corpora, always; the full corpora where they lie on this machine.
//!
//! The full ones are archives `NAME.tar.zst` in `$VANDELAY_CORPORA`, else in `../shared/corpora` beside the project, else
//! in `/work/shared/corpora`. Where they are missing a line says so, and the tests go over the small set alone.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The corpora, each with the number of files that the small set and the full one have at least. Without this a test
/// would pass over an empty folder. A zero: there is no small set.
const CORPORA: [(&str, usize, usize); 9] = [
    ("calendars", 120, 3118),
    ("calendars-templated", 3, 989),
    ("contacts", 50, 278),
    ("mail-edge", 55, 1250),
    ("mail-linux-man", 0, 6834),
    ("mail-mbox", 12, 111),
    ("mail-spamassassin", 0, 3249),
    ("mail-takeout-fixtures", 4, 10),
    ("mail-usrp-users", 0, 667),
];

/// Files to read: of one corpus, in its small set or in full.
pub(crate) struct Corpus {
    pub name: &'static str,
    /// It is the full one.
    pub full: bool,
    /// The folder of the files. Below it lies a folder for each project that they come from, or `Maildir`.
    pub root: PathBuf,
    /// Every file below `root`, sorted.
    pub paths: Vec<PathBuf>,
    /// Removes the full one when it is dropped.
    _unpacked: Option<tempfile::TempDir>,
}

impl Corpus {
    fn new(name: &'static str, root: PathBuf, at_least: usize, unpacked: Option<tempfile::TempDir>) -> Corpus {
        let mut paths = Vec::new();
        files_below(&root, &mut paths);
        paths.sort();
        assert!(paths.len() >= at_least, "{}: {} of at least {at_least} files", root.display(), paths.len());
        Corpus { name, full: unpacked.is_some(), root, paths, _unpacked: unpacked }
    }

    /// Every file by its path below [`Corpus::root`].
    pub(crate) fn files(&self) -> Vec<(String, Vec<u8>)> {
        let read = |path: &PathBuf| {
            let name = path.strip_prefix(&self.root).expect("below the root").display().to_string();
            (name, std::fs::read(path).expect("a file"))
        };
        self.paths.iter().map(read).collect()
    }

    /// What it is called in messages.
    pub(crate) fn title(&self) -> String {
        format!("{} {}", if self.full { "full" } else { "small" }, self.name)
    }
}

/// The small set of a corpus, if it has one, and behind it the full one, if it is here.
pub(crate) fn corpora(name: &str) -> Vec<Corpus> {
    small(name).into_iter().chain(full(name)).collect()
}

/// The small set of a corpus, if it has one.
pub(crate) fn small(name: &str) -> Option<Corpus> {
    let (name, at_least, _) = known(name);
    (at_least > 0).then(|| Corpus::new(name, small_sets().join(name), at_least, None))
}

/// All of a corpus, unpacked. `None`, and a line that says so, if it is not here.
fn full(name: &str) -> Option<Corpus> {
    let (name, _, at_least) = known(name);
    let home = full_sets();
    let archive = home.join(format!("{name}.tar.zst"));
    if !archive.exists() {
        println!("the full corpus {name} is not in {}: only tests/corpora is read", home.display());
        return None;
    }
    let into = tempfile::tempdir().expect("a directory");
    let status = Command::new("tar").arg("--zstd").arg("-xf").arg(&archive).arg("-C").arg(into.path()).status();
    assert!(status.expect("tar runs").success(), "{} unpacks", archive.display());
    Some(Corpus::new(name, into.path().join(name), at_least, Some(into)))
}

fn known(name: &str) -> (&'static str, usize, usize) {
    CORPORA.into_iter().find(|(known, ..)| *known == name).expect("a known corpus")
}

/// The folder of the small sets.
pub(crate) fn small_sets() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpora")
}

/// The folder of the full corpora, which may be missing.
fn full_sets() -> PathBuf {
    if let Some(home) = std::env::var_os("VANDELAY_CORPORA") {
        return home.into();
    }
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpora");
    if beside.is_dir() { beside } else { "/work/shared/corpora".into() }
}

fn files_below(directory: &Path, found: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() { files_below(&path, found) } else { found.push(path) }
    }
}

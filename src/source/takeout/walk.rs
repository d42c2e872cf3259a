//! Which files an export has.

use std::collections::HashSet;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Kind as ErrorKind, Result};
use crate::model::{Kind, Omission, Outcome};

/// Folders are not entered deeper: no export is, and a path has an end.
const MAX_DEPTH: usize = 64;

/// What a file holds, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Mbox,
    Calendar,
    Cards,
}

impl Format {
    const ALL: [(Format, &'static str); 3] =
        [(Format::Mbox, ".mbox"), (Format::Calendar, ".ics"), (Format::Cards, ".vcf")];

    /// The type of the objects within.
    pub(super) fn kind(self) -> Kind {
        match self {
            Format::Mbox => Kind::Email,
            Format::Calendar => Kind::CalendarEvent,
            Format::Cards => Kind::ContactCard,
        }
    }

    /// The format that a file name promises, and the length of the name without its ending.
    fn of(name: &[u8]) -> Option<(Format, usize)> {
        Format::ALL.into_iter().find_map(|(format, ending)| {
            let stem = name.len().checked_sub(ending.len())?;
            name[stem..].eq_ignore_ascii_case(ending.as_bytes()).then_some((format, stem))
        })
    }
}

/// A file of the export.
#[derive(Debug, Clone)]
pub(super) struct ExportFile {
    /// The path below the root with `/`; bytes that are not UTF-8 as `%FF`.
    pub(super) key: String,
    pub(super) path: PathBuf,
    /// The file name without its ending. May be empty.
    pub(super) stem: String,
    /// The mailbox of messages without label: the folders on the way to the file, and its name.
    pub(super) mailbox: String,
    pub(super) format: Format,
}

impl ExportFile {
    pub(super) fn open(&self) -> Result<(File, Stamp)> {
        let cannot = |error| Error::io(format!("cannot read {}", self.key), error);
        let file = File::open(&self.path).map_err(cannot)?;
        let stamp = Stamp::of(&file.metadata().map_err(cannot)?);
        Ok((file, stamp))
    }

    /// An error of reading this file.
    pub(super) fn failed(&self, error: io::Error) -> Error {
        Error::io(format!("cannot read {}", self.key), error)
    }

    /// The folder that the file lies in, as a key.
    pub(super) fn folder(&self) -> Option<&str> {
        self.key.rsplit_once('/').map(|(folder, _)| folder)
    }
}

/// What changes when somebody writes to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) size: u64,
    /// Time of the last change of the bytes, nanoseconds since 1970.
    mtime: i128,
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Stamp {
        let mtime = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
        Stamp { size: metadata.len(), mtime }
    }

    /// The time of the last change in seconds since 1970.
    pub(super) fn seconds(&self) -> i64 {
        i64::try_from(self.mtime.div_euclid(1_000_000_000)).unwrap_or_default()
    }

    /// A cursor that holds as long as the file and these options stay as they are. `options` begins with the version
    /// of the rules that listed the file.
    pub(super) fn cursor(&self, options: &str) -> String {
        format!("{options}:{}:{}", self.size, self.mtime)
    }
}

/// The files of an export, in the order of their keys.
pub(super) struct Export {
    pub(super) files: Vec<ExportFile>,
    /// What could not be looked into.
    pub(super) problems: Vec<Omission>,
}

impl Export {
    /// Looks at `root` and all that is below. Symbolic links are followed, but no folder is entered twice.
    pub(super) fn scan(root: &Path) -> Export {
        let mut walk = Walk { export: Export { files: Vec::new(), problems: Vec::new() }, entered: HashSet::new() };
        match fs::metadata(root) {
            Ok(metadata) if metadata.is_dir() => walk.enter(root, &metadata, "", 0),
            Ok(metadata) => walk.file(root, &metadata, name_of(root)),
            Err(error) => walk.problem(name_of(root), "unreadable", Outcome::Failed, &error.to_string()),
        }
        let mut export = walk.export;
        export.files.sort_by(|a, b| a.key.cmp(&b.key));
        let mut seen = HashSet::new();
        for file in &mut export.files {
            // Only a name that is not UTF-8 can look like another one that is.
            while !seen.insert(file.key.clone()) {
                file.key.push('%');
            }
        }
        export
    }

    pub(super) fn file(&self, key: &str) -> Result<&ExportFile> {
        self.files
            .iter()
            .find(|file| file.key == key)
            .ok_or_else(|| Error::new(ErrorKind::NotFound, format!("no file {key} in the export")))
    }
}

struct Walk {
    export: Export,
    /// Device and inode of the folders entered.
    entered: HashSet<(u64, u64)>,
}

impl Walk {
    fn enter(&mut self, folder: &Path, metadata: &Metadata, key: &str, depth: usize) {
        if !self.entered.insert((metadata.dev(), metadata.ino())) {
            return;
        }
        if depth > MAX_DEPTH {
            return self.problem(key.to_owned(), "too deep", Outcome::Failed, "");
        }
        let mut entries = match fs::read_dir(folder) {
            Ok(entries) => {
                let (entries, errors): (Vec<_>, Vec<_>) = entries.partition(|entry| entry.is_ok());
                for error in errors.into_iter().filter_map(|entry| entry.err()) {
                    self.problem(key.to_owned(), "unreadable", Outcome::Failed, &error.to_string());
                }
                entries.into_iter().flatten().collect::<Vec<_>>()
            }
            Err(error) => return self.problem(key.to_owned(), "unreadable", Outcome::Failed, &error.to_string()),
        };
        // Real folders before links to them, so that a folder has its own name.
        entries
            .sort_by_key(|entry| (entry.file_type().is_ok_and(|file_type| file_type.is_symlink()), entry.file_name()));
        for entry in entries {
            let name = readable(entry.file_name().as_bytes());
            let key = if key.is_empty() { name } else { format!("{key}/{name}") };
            let path = entry.path();
            let promising = Format::of(entry.file_name().as_bytes()).is_some();
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() => self.enter(&path, &metadata, &key, depth + 1),
                Ok(metadata) if promising => self.file(&path, &metadata, key),
                Ok(_) => {}
                // A link to nowhere with any other name cannot have been part of the export.
                Err(_) if !promising && entry.file_type().is_ok_and(|file_type| file_type.is_symlink()) => {}
                Err(error) => self.problem(key, "unreadable", Outcome::Failed, &error.to_string()),
            }
        }
    }

    fn file(&mut self, path: &Path, metadata: &Metadata, key: String) {
        let name = path.file_name().unwrap_or_default().as_bytes();
        let Some((format, stem)) = Format::of(name) else { return };
        if !metadata.is_file() {
            return self.problem(key, "not a regular file", Outcome::Skipped, "");
        }
        let stem = readable(&name[..stem]);
        let mailbox = mailbox(&key, &stem);
        self.export.files.push(ExportFile { key, path: path.to_owned(), stem, mailbox, format });
    }

    fn problem(&mut self, key: String, reason: &str, outcome: Outcome, why: &str) {
        let place = if key.is_empty() { "." } else { &key };
        let position = if why.is_empty() { place.to_owned() } else { format!("{place}: {why}") };
        self.export.problems.push(Omission { kind: Kind::FileNode, reason: reason.to_owned(), position, outcome });
    }
}

/// The mailbox that the mbox at `key` is, a path with `/`. The folder `NAME.sbd` holds those below `NAME` (Thunderbird);
/// the folder `NAME.mbox` with the file `mbox` in it is the mailbox `NAME` itself (Apple Mail).
fn mailbox(key: &str, stem: &str) -> String {
    let mut parts: Vec<&str> = key.split('/').collect();
    parts.pop();
    let is_package =
        stem.eq_ignore_ascii_case("mbox") && parts.last().is_some_and(|folder| without(folder, ".mbox").is_some());
    let mut parts: Vec<&str> = parts
        .into_iter()
        .map(|folder| without(folder, ".sbd").or_else(|| without(folder, ".mbox")).unwrap_or(folder))
        .collect();
    if !is_package {
        parts.push(stem);
    }
    parts.join("/")
}

/// A name without this ending, whatever its case, unless the ending is all of it.
fn without<'n>(name: &'n str, ending: &str) -> Option<&'n str> {
    let (stem, end) = name.split_at_checked(name.len().checked_sub(ending.len())?)?;
    (!stem.is_empty() && end.eq_ignore_ascii_case(ending)).then_some(stem)
}

fn name_of(path: &Path) -> String {
    readable(path.file_name().unwrap_or_default().as_bytes())
}

/// A name as text: bytes that are not UTF-8 become `%FF`, and then `%` becomes `%25`.
pub(super) fn readable(name: &[u8]) -> String {
    if let Ok(name) = std::str::from_utf8(name) {
        return name.to_owned();
    }
    let mut text = String::new();
    for chunk in name.utf8_chunks() {
        text.push_str(&chunk.valid().replace('%', "%25"));
        for byte in chunk.invalid() {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

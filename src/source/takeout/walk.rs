//! Which files an export has.

use super::kinds::{self, Fate, Format, Neighbours};
use crate::error::{Error, ErrorKind, Result};
use crate::format::mbox::Scanner;
use crate::held;
use crate::model::{ObjectType, SkipKind, SkippedItem};
use crate::source::links;
use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The directories of a Maildir.
const MAILDIR: [&str; 3] = ["cur", "new", "tmp"];

/// What the key of a folder of messages ends in.
const MESSAGES: &str = "*.eml";

/// Folders are not entered deeper: no export is, and a path has an end.
const MAX_DEPTH: usize = 64;

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

/// Changes when a program writes to the file.
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

/// A file of one message.
#[derive(Debug, Clone)]
pub(super) struct MessageFile {
    pub(super) key: String,
    /// The last part of the key.
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) format: Format,
}

/// A folder with files of one message each.
#[derive(Debug, Clone)]
pub(super) struct MessageFolder {
    /// The path below the root with `/`, and a pattern that says that it is all such files in it.
    pub(super) key: String,
    /// The mailbox of messages without label.
    pub(super) mailbox: String,
    /// By their names.
    pub(super) files: Vec<MessageFile>,
}

impl MessageFolder {
    /// The file of this name.
    pub(super) fn file(&self, name: &str) -> Result<&MessageFile> {
        let place = self.files.binary_search_by(|file| file.name.as_str().cmp(name));
        place.ok().and_then(|place| self.files.get(place)).ok_or_else(|| self::no_file(self, name))
    }
}

/// The files and folders of an export, in the order of their keys.
#[derive(Default)]
pub(super) struct Export {
    pub(super) files: Vec<ExportFile>,
    pub(super) folders: Vec<MessageFolder>,
    /// Everything else that was seen, and what could not be looked into.
    pub(super) aside: Vec<SkippedItem>,
}

impl Export {
    /// Looks at `root` and all that is below. Symbolic links are followed, but no folder is entered twice.
    pub(super) fn scan(root: &Path) -> Export {
        let mut walk = Walk { export: Export::default(), letters: BTreeMap::new(), entered: HashSet::new() };
        match fs::metadata(root) {
            Ok(metadata) if metadata.is_dir() => walk.enter(root, &metadata, "", 0),
            Ok(metadata) => walk.only_file(root, &metadata),
            Err(error) => walk.failed(name_of(root), &error),
        }
        walk.finish()
    }

    /// True if there is nothing to import.
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.folders.is_empty()
    }

    /// The file with this key.
    pub(super) fn file(&self, key: &str) -> Result<&ExportFile> {
        self.files
            .iter()
            .find(|file| file.key == key)
            .ok_or_else(|| Error::new(ErrorKind::NotFound, format!("no file {key} in the export")))
    }

    /// The folder of messages with this key, if it is one.
    pub(super) fn folder(&self, key: &str) -> Option<&MessageFolder> {
        self.folders.iter().find(|folder| folder.key == key)
    }
}

struct Walk {
    export: Export,
    /// Files of one message by the key of their folder.
    letters: BTreeMap<String, Vec<MessageFile>>,
    /// Device and inode of the folders entered.
    entered: HashSet<(u64, u64)>,
}

impl Walk {
    fn enter(&mut self, folder: &Path, metadata: &Metadata, key: &str, depth: usize) {
        if !self.entered.insert((metadata.dev(), metadata.ino())) {
            let reason = "folder that is read under another name";
            return self.aside(ObjectType::FileNode, key.to_owned(), reason, SkipKind::ByProduct);
        }
        if depth > MAX_DEPTH {
            return self.aside(ObjectType::FileNode, key.to_owned(), "too deep", SkipKind::Failed);
        }
        let mut entries = match fs::read_dir(folder) {
            Ok(entries) => {
                let (entries, errors): (Vec<_>, Vec<_>) = entries.partition(|entry| entry.is_ok());
                for error in errors.into_iter().filter_map(|entry| entry.err()) {
                    self.failed(key.to_owned(), &error);
                }
                entries.into_iter().flatten().collect::<Vec<_>>()
            }
            Err(error) => return self.failed(key.to_owned(), &error),
        };
        // Real folders before links to them, so that a folder has its own name.
        entries
            .sort_by_key(|entry| (entry.file_type().is_ok_and(|file_type| file_type.is_symlink()), entry.file_name()));
        let neighbours = Neighbours::new(entries.iter().map(|entry| entry.file_name().as_bytes().to_vec()));
        let is_maildir = self.is_maildir(folder, key, &neighbours);
        for entry in entries {
            if is_maildir && MAILDIR.iter().any(|part| entry.file_name() == *part) {
                continue;
            }
            let name = readable(entry.file_name().as_bytes());
            let key = if key.is_empty() { name } else { format!("{key}/{name}") };
            let path = entry.path();
            match links::check(&path).and_then(|()| fs::metadata(&path)) {
                Ok(metadata) if metadata.is_dir() => self.enter(&path, &metadata, &key, depth + 1),
                Ok(metadata) => self.file(&path, &metadata, key, &neighbours),
                // A link to nowhere with any other name cannot have been part of the export.
                Err(error)
                    if error.kind() == io::ErrorKind::NotFound
                        && Format::of(entry.file_name().as_bytes()).is_none() =>
                {
                    self.aside(ObjectType::FileNode, key, "link to nowhere", SkipKind::Skipped);
                }
                Err(error) => self.failed(key, &error),
            }
        }
    }

    /// True for a Maildir: the mail in it is another source's.
    fn is_maildir(&mut self, folder: &Path, key: &str, neighbours: &Neighbours) -> bool {
        let is_maildir = neighbours.has("cur")
            && (neighbours.has("new") || neighbours.has("tmp"))
            && MAILDIR.iter().all(|part| !neighbours.has(part) || folder.join(part).is_dir());
        if is_maildir {
            let holds_any = |part| fs::read_dir(folder.join(part)).is_ok_and(|mut entries| entries.next().is_some());
            let outcome = match holds_any("cur") || holds_any("new") {
                true => SkipKind::NotUnderstood,
                false => SkipKind::ByProduct,
            };
            self.aside(ObjectType::Email, key.to_owned(), "Maildir: import it with vandelay import maildir", outcome);
        }
        is_maildir
    }

    /// The one file that the user named: whatever its name, its content counts.
    fn only_file(&mut self, path: &Path, metadata: &Metadata) {
        let name = path.file_name().unwrap_or_default().as_bytes();
        let head = if metadata.is_file() && Format::of(name).is_none() { head(path) } else { Ok(Vec::new()) };
        match head.as_deref().map(kinds::format_of) {
            Ok(Some(format)) => self.import(path, name, readable(name), format),
            _ => self.file(path, metadata, readable(name), &Neighbours::default()),
        }
    }

    fn file(&mut self, path: &Path, metadata: &Metadata, key: String, neighbours: &Neighbours) {
        let name = path.file_name().unwrap_or_default().as_bytes();
        if !metadata.is_file() {
            return self.aside(ObjectType::FileNode, key, "not a regular file", SkipKind::Skipped);
        }
        if held::is_held(path) {
            return self.aside(ObjectType::FileNode, key, "the archive itself", SkipKind::ByProduct);
        }
        let fate = match kinds::by_name(name, metadata.len(), neighbours) {
            Some(fate) => fate,
            None => match head(path) {
                Ok(head) => kinds::by_content(name, &head),
                Err(error) => return self.failed(key, &error),
            },
        };
        match fate {
            Fate::Import(format) => self.import(path, name, key, format),
            Fate::Aside(reason, outcome) => {
                let kind = if outcome == SkipKind::NotUnderstood { ObjectType::Email } else { ObjectType::FileNode };
                self.aside(kind, key, &reason, outcome);
            }
        }
    }

    fn import(&mut self, path: &Path, name: &[u8], key: String, mut format: Format) {
        let promised = Format::of(name);
        // MH names its messages by numbers; of any other file without an ending the first separator may be lost.
        let is_number = name.iter().all(u8::is_ascii_digit);
        if format == Format::Message && promised.is_none() && !is_number && has_several(path) {
            format = Format::Mbox;
        }
        let stem = match promised {
            Some((promised, stem)) if promised == format => readable(&name[..stem]),
            _ => readable(name),
        };
        if matches!(format, Format::Message | Format::AppleMessage) {
            let (folder, name) = key.rsplit_once('/').map_or(("", key.as_str()), |(folder, name)| (folder, name));
            let file = MessageFile { name: name.to_owned(), key: key.clone(), path: path.to_owned(), format };
            self.letters.entry(folder.to_owned()).or_default().push(file);
            return;
        }
        let mailbox = mailbox(&key, &stem);
        self.export.files.push(ExportFile { key, path: path.to_owned(), stem, mailbox, format });
    }

    fn aside(&mut self, kind: ObjectType, key: String, reason: &str, outcome: SkipKind) {
        let position = if key.is_empty() { ".".to_owned() } else { key };
        self.export.aside.push(SkippedItem { kind, reason: reason.to_owned(), position, outcome });
    }

    fn failed(&mut self, key: String, error: &io::Error) {
        let place = if key.is_empty() { "." } else { &key };
        self.aside(ObjectType::FileNode, format!("{place}: {error}"), "unreadable", SkipKind::Failed);
    }

    fn finish(self) -> Export {
        let Walk { mut export, letters, .. } = self;
        export.files.sort_by(|a, b| a.key.cmp(&b.key));
        let mut seen = HashSet::new();
        for file in &mut export.files {
            // Only a name that is not UTF-8 can look like another one that is.
            while !seen.insert(file.key.clone()) {
                file.key.push('%');
            }
        }
        for (folder, mut files) in letters {
            files.sort_by(|a, b| a.name.cmp(&b.name));
            let mut seen = HashSet::new();
            for file in &mut files {
                while !seen.insert(file.name.clone()) {
                    file.name.push('%');
                }
            }
            files.sort_by(|a, b| a.name.cmp(&b.name));
            let key = if folder.is_empty() { MESSAGES.to_owned() } else { format!("{folder}/{MESSAGES}") };
            export.folders.push(MessageFolder { key, mailbox: mailbox_of_folder(&folder), files });
        }
        export
    }
}

/// The first bytes of a file.
fn head(path: &Path) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    File::open(path)?.take(kinds::HEAD as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// Whether a file that begins with a header is an mbox whose first separator is lost: another message follows.
fn has_several(path: &Path) -> bool {
    let Ok(file) = File::open(path) else { return false };
    let mut scanner = Scanner::new(&file);
    scanner.by_ref().take(2).filter(|message| message.is_ok()).count() == 2
}

/// The mailbox of the messages in a folder. Apple Mail keeps those of the mailbox `NAME` some folders below `NAME.mbox`.
fn mailbox_of_folder(folder: &str) -> String {
    let parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    let package = parts.iter().rposition(|part| without(part, ".mbox").is_some());
    let parts = package.map_or(&parts[..], |package| &parts[..=package]);
    parts.iter().map(|part| folder_name(part)).collect::<Vec<_>>().join("/")
}

/// The name of the mailbox that a folder is or holds the children of.
fn folder_name(folder: &str) -> &str {
    without(folder, ".sbd").or_else(|| without(folder, ".mbox")).unwrap_or(folder)
}

/// The mailbox that the mbox at `key` is, a path with `/`. The folder `NAME.sbd` holds those below `NAME` (Thunderbird);
/// the folder `NAME.mbox` with the file `mbox` in it is the mailbox `NAME` itself (Apple Mail).
fn mailbox(key: &str, stem: &str) -> String {
    let mut parts: Vec<&str> = key.split('/').collect();
    parts.pop();
    let is_package =
        stem.eq_ignore_ascii_case("mbox") && parts.last().is_some_and(|folder| without(folder, ".mbox").is_some());
    let mut parts: Vec<&str> = parts.into_iter().map(folder_name).collect();
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

/// An error of a file that a listing named and that the folder has not.
pub(super) fn no_file(folder: &MessageFolder, name: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("no file {name} in {}", folder.key))
}

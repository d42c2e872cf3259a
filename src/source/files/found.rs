//! The files and folders that an export has, as the walk found them.

use super::kinds::Format;
use super::place::{Place, Stamp};
use super::root::{FileKind, Root};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{ObjectType, SkipKind, SkippedItem};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

/// The longest name of a collection that is read, in bytes.
const NAME_MAX: u64 = 1024;

/// A file of the export.
#[derive(Debug, Clone)]
pub(super) struct ExportFile {
    /// The path below the root with `/`; bytes that are not UTF-8 as `%FF`. Of what the user named one by one it begins with the
    /// root's own key.
    pub(super) key: String,
    /// Where it is, for messages to the user.
    pub(super) position: String,
    pub(super) place: Place,
    /// The file name without its ending. May be empty.
    pub(super) stem: String,
    /// The mailbox of messages without label: the folders on the way to the file, and its name.
    pub(super) mailbox: String,
    pub(super) format: Format,
    pub(super) root: Arc<Root>,
    /// It lies in a folder that the user named, and not in a Takeout.
    pub(super) is_in_folder: bool,
}

impl ExportFile {
    pub(super) fn open(&self) -> Result<(File, Stamp)> {
        self.place.open().map_err(|error| self.failed(error))
    }

    /// The stamp of the file as it is now.
    pub(super) fn stamp(&self) -> Result<Stamp> {
        self.place.stamp().map_err(|error| self.failed(error))
    }

    /// An error of reading this file.
    pub(super) fn failed(&self, error: io::Error) -> Error {
        Error::io(format!("cannot read {}", self.position), error)
    }

    /// The name of the folder that the file lies in, if the user named that or one above it: the text of `displayname` beside the
    /// file (vdir), else its own name.
    pub(super) fn collection(&self) -> Option<String> {
        let folder = self.place.path().and_then(Path::parent).filter(|_| self.is_in_folder)?;
        let mut named = String::new();
        if let Ok(file) = File::open(folder.join("displayname")) {
            // What is no text is no name.
            let _ = file.take(NAME_MAX).read_to_string(&mut named);
        }
        let named = named.lines().next().unwrap_or_default().trim();
        Some(if named.is_empty() { name_of(folder) } else { named.to_owned() })
    }

    /// The folder that the file lies in, as a key.
    pub(super) fn folder(&self) -> Option<&str> {
        self.key.rsplit_once('/').map(|(folder, _)| folder)
    }
}

/// A file of one message.
#[derive(Debug, Clone)]
pub(super) struct MessageFile {
    /// Where it is, for messages to the user.
    pub(super) position: String,
    /// Its name in the folder.
    pub(super) name: String,
    pub(super) place: Place,
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
    pub(super) root: Arc<Root>,
}

impl MessageFolder {
    /// The folder on disk.
    pub(super) fn path(&self) -> Option<&Path> {
        self.files.first().and_then(|file| file.place.path()?.parent())
    }

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
    /// True if there is nothing to import.
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.folders.is_empty()
    }

    /// Names those of several roots in which there is no file of the kind that is wanted.
    pub(super) fn name_empty(&mut self, roots: &[Arc<Root>], only: FileKind) {
        for root in roots {
            let is_here = |other: &Arc<Root>| Arc::ptr_eq(other, root);
            let has_any = self.files.iter().any(|file| is_here(&file.root))
                || self.folders.iter().any(|folder| is_here(&folder.root));
            let is_named = self.aside.iter().any(|seen| seen.position == root.shown);
            if !has_any && !is_named {
                self.aside.push(SkippedItem {
                    kind: ObjectType::FileNode,
                    reason: format!("there is no {} in it", only.words()),
                    position: root.shown.clone(),
                    outcome: SkipKind::NotUnderstood,
                });
            }
        }
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

/// The name of a file as text.
pub(super) fn name_of(path: &Path) -> String {
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
fn no_file(folder: &MessageFolder, name: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("no file {name} in {}", folder.key))
}

//! Files below `msg` that are no message of the account.
//!
//! mox puts a file there before its record, and removes it after: so a file without a record is looked up once more, in the
//! newest state.

use super::database::Database;
use super::files::{FILES, MessageFiles, path_of};
use super::records::{Now, Records};
use crate::error::Result;
use crate::format::maildir::escape;
use crate::model::{ObjectType, SkipKind, SkippedItem};
use std::fs::{self, DirEntry};
use std::os::unix::ffi::OsStrExt;

/// What was found beside the messages.
#[derive(Default)]
pub(super) struct Strays {
    /// Files where those of these messages would be, and no such message is known.
    unknown: Vec<i64>,
    rest: Vec<SkippedItem>,
}

/// Looks at every name below `msg`. `known` are the numbers of the messages, ascending.
pub(super) fn find(files: &MessageFiles, known: &[i64]) -> Strays {
    let mut strays = Strays::default();
    let Some(directory) = files.directory() else { return strays };
    let Ok(entries) = fs::read_dir(&directory) else {
        strays.tell(UNSEEN, FILES.to_owned(), SkipKind::Failed);
        return strays;
    };
    for entry in entries {
        let Ok(entry) = entry else {
            strays.tell(UNSEEN, FILES.to_owned(), SkipKind::Failed);
            continue;
        };
        let name = format!("{FILES}/{}", escape(entry.file_name().as_bytes()));
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => match fs::read_dir(entry.path()) {
                Ok(inside) => inside.for_each(|file| match file {
                    Ok(file) => strays.take(&name, &file, known),
                    Err(_) => strays.tell(UNSEEN, name.clone(), SkipKind::Failed),
                }),
                Err(_) => strays.tell(UNSEEN, name, SkipKind::Failed),
            },
            _ => strays.tell(NO_FILE, name, SkipKind::ByProduct),
        }
    }
    strays
}

/// Why strays of a directory are not told.
const UNSEEN: &str = "cannot be looked at for files without a message";

/// Why what has no number for a name is left out.
const NO_FILE: &str = "no message file of mox";

impl Strays {
    fn tell(&mut self, reason: &str, position: String, outcome: SkipKind) {
        self.rest.push(SkippedItem { kind: ObjectType::Email, reason: reason.to_owned(), position, outcome });
    }

    fn take(&mut self, directory: &str, file: &DirEntry, known: &[i64]) {
        let raw = file.file_name();
        let position = format!("{directory}/{}", escape(raw.as_bytes()));
        // `007` is no name of mox's.
        let id = raw.to_str().and_then(|name| Some((name, name.parse::<i64>().ok()?)));
        match id.filter(|(name, id)| *id > 0 && id.to_string() == *name) {
            Some((_, id)) if path_of(id) != position => {
                self.tell("a message file in a wrong directory", position, SkipKind::Skipped);
            }
            Some((_, id)) if known.binary_search(&id).is_err() => self.unknown.push(id),
            Some(_) => {}
            None => self.tell(NO_FILE, position, SkipKind::ByProduct),
        }
    }
}

/// What each of them is, as the newest state of the account says.
pub(super) fn judge(strays: Strays, database: &Database, records: &mut Records) -> Result<Vec<SkippedItem>> {
    let Strays { mut unknown, rest } = strays;
    let mut judged = Strays { rest, ..Strays::default() };
    if !unknown.is_empty() {
        unknown.sort_unstable();
        for (id, now) in unknown.iter().zip(records.find(database, &unknown)?) {
            match now {
                // It has come meanwhile.
                Now::There(_) | Now::Broken(_) => {}
                Now::Expunged => judged.tell("the file of an expunged message", path_of(*id), SkipKind::ByProduct),
                Now::Missing => judged.tell("a message file without a record", path_of(*id), SkipKind::Skipped),
            }
        }
    }
    Ok(judged.rest)
}

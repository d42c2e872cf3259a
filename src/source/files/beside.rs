//! What lies beside the files of a folder with one message each, and says what labels, flags and dates they have.

use super::kinds;
use super::place::Stamp;
use crate::format::beside::{self, BESIDE_MAX, Beside, Marks, ProtonLabels, Sequences};
use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

const LABELS: &str = "labels.json";
const SEQUENCES: &str = ".mh_sequences";
const MARKS: [&str; 2] = [".claws_mark", ".sylpheed_mark"];

/// What lies in a folder for all of its messages.
#[derive(Default)]
pub(super) struct FolderNotes {
    labels: ProtonLabels,
    sequences: Option<Sequences>,
    marks: Option<Marks>,
    /// Names of files that are not understood.
    pub(super) strange: Vec<&'static str>,
}

impl FolderNotes {
    /// Reads those of a folder.
    pub(super) fn of(folder: &Path) -> FolderNotes {
        let mut notes = FolderNotes::default();
        match read(&folder.join(LABELS)).map(|bytes| bytes.map(|bytes| ProtonLabels::parse(&bytes))) {
            Ok(Some(Some(labels))) => notes.labels = labels,
            Ok(Some(None)) | Err(_) => notes.strange.push(LABELS),
            Ok(None) => {}
        }
        match read(&folder.join(SEQUENCES)) {
            Ok(None) => {}
            Ok(Some(bytes)) => match Sequences::parse(&bytes) {
                Some(sequences) => notes.sequences = Some(sequences),
                None => notes.strange.push(SEQUENCES),
            },
            Err(_) => notes.strange.push(SEQUENCES),
        }
        for name in MARKS {
            match read(&folder.join(name)).map(|bytes| bytes.map(|bytes| Marks::parse(&bytes))) {
                Ok(Some(Some(marks))) => notes.marks = Some(marks),
                Ok(Some(None)) | Err(_) => notes.strange.push(name),
                Ok(None) => {}
            }
        }
        notes
    }

    /// What stands beside the message at a path; an error says what is there and not understood.
    pub(super) fn beside(&self, path: &Path) -> Result<Beside, &'static str> {
        let [proton, gmvault] = own_notes(path);
        let own = |path: &Path| read(path).map_err(|_| "labels and flags of a message that cannot be read");
        if let Some(bytes) = own(&proton)? {
            return beside::proton(&bytes, &self.labels)
                .ok_or("labels and flags of Proton Mail that are not understood");
        }
        if let Some(bytes) = own(&gmvault)? {
            return beside::gmvault(&bytes).ok_or("labels and flags of Gmvault that are not understood");
        }
        let mut found = Beside::default();
        let number = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
        if let Some(number) = number {
            let sequences = self.sequences.as_ref().map(|sequences| sequences.status(number));
            let marks = self.marks.as_ref().map(|marks| marks.status(number));
            // Claws Mail writes both, and all flags into the marks only.
            if let Some(status) = marks.or(sequences) {
                found.status = status;
            }
        }
        Ok(found)
    }
}

/// Stamps of all that may lie beside a message for it alone.
pub(super) fn stamps(path: &Path) -> impl Iterator<Item = Option<Stamp>> {
    own_notes(path).into_iter().map(|path| stamp(&path))
}

/// Stamps of what lies in a folder for all of its messages.
pub(super) fn folder_stamps(folder: &Path) -> impl Iterator<Item = Option<Stamp>> {
    [LABELS, SEQUENCES].into_iter().chain(MARKS).map(|name| stamp(&folder.join(name)))
}

/// The files that belong to one message: of Proton Mail and of Gmvault.
fn own_notes(path: &Path) -> [PathBuf; 2] {
    let name = kinds::unpacked_name(path.file_name().unwrap_or_default().as_bytes());
    let stem = name.strip_suffix(kinds::MESSAGE).unwrap_or(name);
    [kinds::PROTON, kinds::GMVAULT].map(|ending| {
        let name = [stem, ending].concat();
        path.with_file_name(OsStr::from_bytes(&name))
    })
}

fn stamp(path: &Path) -> Option<Stamp> {
    fs::metadata(path).ok().map(|metadata| Stamp::of(&metadata))
}

/// The bytes of a small file; `None` if it is not there.
///
/// Errors: it cannot be read, or is larger than any file of this sort.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    // A pipe of that name would be waited for.
    let file = match OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("no file"));
    }
    let mut bytes = Vec::new();
    file.take(BESIDE_MAX as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > BESIDE_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(Some(bytes))
}

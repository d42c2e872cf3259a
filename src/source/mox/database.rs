//! `index.db` of an account, read while mox may write to it.
//!
//! mox writes a commit to pages that are free, then a meta page that leads to them; the pages of the state before become
//! free by that. So all that is read between two looks at the meta pages that show the same state belongs to that state.
//! No lock is taken: mox waits five seconds for one, and refuses the delivery then.

use super::place::INDEX;
use crate::error::{Error, ErrorKind, Result};
use crate::format::bolt::{Bolt, BoltError, Meta};
use crate::format::bstore::BstoreError;
use crate::source::links;
use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

/// How often a state is read before mox is said to write too much.
const ATTEMPTS: u32 = 12;
/// The pause behind the first attempt; each one after it is as much longer.
const PAUSE: Duration = Duration::from_millis(20);

/// The file, open for reading.
pub(super) struct Database {
    file: File,
    path: PathBuf,
}

impl Database {
    /// The database of the account in `directory`.
    pub(super) fn open(directory: &Path) -> Result<Database> {
        let path = directory.join(INDEX);
        let failed = |cause| Error::io(format!("cannot read {}", path.display()), cause);
        links::check(&path).map_err(failed)?;
        // Do not wait for the writer of a pipe.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file: File = open(&path, flags, Mode::empty()).map_err(|error| failed(error.into()))?.into();
        let stat = fstat(&file).map_err(|error| failed(error.into()))?;
        if !FileType::from_raw_mode(stat.st_mode).is_file() {
            return Err(failed(io::Error::other("it is no file")));
        }
        Ok(Database { file, path })
    }

    /// What `work` makes of one state of the file, and the stamp of that state.
    ///
    /// # Errors
    /// Those of `work` on a state that stood still, and if there was none.
    pub(super) fn read<T>(&self, work: &dyn Fn(&Bolt<'_, File>) -> Result<T, BstoreError>) -> Result<(T, String)> {
        for attempt in 1..=ATTEMPTS {
            let stamp = self.file_stamp()?;
            let before = match Meta::read(&self.file) {
                Ok(meta) => meta,
                // A page that is being written may be half of each state.
                Err(BoltError::Foreign(_)) if attempt < 3 => {
                    sleep(PAUSE);
                    continue;
                }
                Err(error) => return Err(self.explain(error.into())),
            };
            let whole = before.check_length(&self.file).map_err(BstoreError::from);
            let outcome = whole.and_then(|()| work(&Bolt::new(&self.file, before)));
            if Meta::read(&self.file).is_ok_and(|after| after == before) {
                let stamp = format!("{}.{:x}.{stamp}", before.txid, before.checksum);
                return outcome.map(|found| (found, stamp)).map_err(|error| self.explain(error));
            }
            sleep(PAUSE * attempt);
        }
        let path = self.path.display();
        Err(Error::new(
            ErrorKind::Storage,
            format!(
                "mox writes to {path} faster than it can be read: make a backup with \"mox backup\", and import that"
            ),
        ))
    }

    /// Tells one file from another, and one that was written to: a backup that is restored may come to the numbers of
    /// transactions that the account had before.
    fn file_stamp(&self) -> Result<String> {
        let stat = fstat(&self.file)
            .map_err(|error| Error::io(format!("cannot read {}", self.path.display()), error.into()))?;
        Ok(format!("{}.{}.{}", stat.st_ino, stat.st_mtime, stat.st_mtime_nsec))
    }

    fn explain(&self, error: BstoreError) -> Error {
        let path = self.path.display();
        match error {
            BstoreError::Bolt(BoltError::Io(cause)) => Error::io(format!("cannot read {path}"), cause),
            BstoreError::Bolt(BoltError::Foreign(what)) => Error::new(ErrorKind::Storage, format!("{path} is {what}"))
                .hint("it is no account of mox, or it is damaged: import a backup that mox backup made"),
            BstoreError::Bolt(damage) => Error::new(ErrorKind::Storage, format!("{path} is damaged: {damage}"))
                .hint("nothing was changed. Import an older backup, or let mox export what it still reads"),
            BstoreError::Schema(what) => Error::new(ErrorKind::Storage, format!("{path} is not understood: {what}"))
                .hint("it is no account of mox, or one of another version; nothing was changed"),
        }
    }
}

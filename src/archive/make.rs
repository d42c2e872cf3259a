//! A new archive: which file a path means, and how an empty archive gets its name.

use super::connect::{self, check_header};
use super::file::{self, ArchiveFile};
use super::lock::Lock;
use super::write::Writer;
use crate::error::{Error, ErrorKind, Result};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// The path with links resolved. There may be no file yet.
///
/// Errors: a link that leads to no file. Its disk may only be away, and what it leads to is not ours to replace.
pub(super) fn real_path(path: &Path) -> Result<PathBuf> {
    match fs::canonicalize(path) {
        Ok(path) => Ok(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Ok(target) = fs::read_link(path) {
                let what =
                    format!("archive {} is a link to {}, and there is no such file", path.display(), target.display());
                return Err(Error::new(ErrorKind::NoArchive, what).hint(
                    "mount the disk that the link leads to. For a new archive, name the file itself or remove the link",
                ));
            }
            let parent = fs::canonicalize(folder_of(path)).map_err(|error| {
                Error::io(format!("cannot make archive {}", path.display()), error).hint("make its directory first")
            })?;
            let name = path
                .file_name()
                .ok_or_else(|| Error::new(ErrorKind::Usage, format!("{} is no file name", path.display())))?;
            Ok(parent.join(name))
        }
        Err(error) => Err(Error::io(format!("cannot open archive {}", path.display()), error)),
    }
}

/// The folder in which a file lies.
pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

impl Writer {
    /// Opens the archive, making it where there is none, and takes its lock. Other programs are shown `doing` meanwhile.
    ///
    /// An archive of 1.x gets our tables beside its own; one that 1.x has written to since is brought up to date.
    pub fn open(path: &Path, doing: &str) -> Result<Writer> {
        let path = real_path(path)?;
        let mut is_made = false;
        loop {
            file::refuse_irregular(&path)?;
            let file = match ArchiveFile::open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    is_made |= make(&path)?;
                    continue;
                }
                Err(error) => return Err(Error::io(format!("cannot open archive {}", path.display()), error)),
            };
            let is_empty = file.stat().is_ok_and(|stat| stat.st_size == 0);
            match is_empty {
                true => refuse_leftover_log(&path)?,
                false => check_header(&path, &file)?,
            }
            let lock = Lock::take(&file, &path, doing)?;
            // Before we had the lock the file may have been removed (as unused, by a first import that failed), or another
            // one may have taken its name.
            if !file.is_at(&path) {
                continue;
            }
            let conn = connect::open_writer(&path)?;
            if file.is_at(&path) {
                if let Some(name) = file.log_elsewhere(&path) {
                    return Err(file::log_is_elsewhere(&path, &name));
                }
                file.note_name(&path);
                let mut writer = Writer::on(conn, path, file, Some(lock));
                writer.is_made = is_made;
                writer.prepare(is_empty)?;
                return Ok(writer);
            }
        }
    }
}

/// Makes an empty archive, unless there is a file of that name by then. It gets its name when it is whole, so a killed
/// import leaves either none or one that can be read. Gives false if there was one by then.
///
/// Errors: a log of a former archive of that name is there. SQLite would take it for the new one's.
pub(super) fn make(path: &Path) -> Result<bool> {
    refuse_leftover_log(path)?;
    let cannot = |error: std::io::Error| Error::io(format!("cannot make archive {}", path.display()), error);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let unnamed = tempfile::Builder::new()
        .prefix(&format!(".{}.", name.chars().take(60).collect::<String>()))
        .suffix(".new")
        .tempfile_in(folder_of(path))
        .map_err(cannot)?;
    let made = fill(unnamed.path());
    if let Err(error) = made {
        // With a full disk SQLite leaves its log, which would keep it full.
        for suffix in ["-wal", "-shm", "-journal"] {
            let _ = fs::remove_file(connect::beside(unnamed.path(), suffix));
        }
        return Err(error);
    }
    give_name(unnamed, path).map_err(cannot)
}

/// Gives a file its name, and writes the folder through. Gives false, and removes the file, if there is another one of that
/// name by then.
pub(super) fn give_name(unnamed: NamedTempFile, path: &Path) -> io::Result<bool> {
    match unnamed.persist_noclobber(path) {
        Ok(_) => {}
        Err(failed) if failed.error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        // A file system that knows neither a rename that replaces nothing nor hard links. The name is taken first.
        Err(failed) if is_unknown_call(&failed.error) => {
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
                Err(error) => return Err(error),
            }
            if let Err(failed) = failed.file.persist(path) {
                let _ = fs::remove_file(path);
                return Err(failed.error);
            }
        }
        Err(failed) => return Err(failed.error),
    }
    File::open(folder_of(path))?.sync_all()?;
    Ok(true)
}

/// True if a file system refuses a call because it does not know it.
fn is_unknown_call(error: &io::Error) -> bool {
    let unknown = [libc::EINVAL, libc::ENOSYS, libc::EPERM, libc::EOPNOTSUPP];
    error.raw_os_error().is_some_and(|code| unknown.contains(&code))
}

/// Makes the tables of an empty archive in a file that no other program knows of.
fn fill(unnamed: &Path) -> Result<()> {
    let file =
        ArchiveFile::open(unnamed).map_err(|error| Error::io(format!("cannot open {}", unnamed.display()), error))?;
    let mut writer = Writer::on(connect::open_writer(unnamed)?, unnamed.to_owned(), file, None);
    writer.prepare(true)?;
    writer.close().map(drop)
}

/// Errors if beside a file that is missing or empty there is a log with something in it.
pub(super) fn refuse_leftover_log(path: &Path) -> Result<()> {
    for suffix in ["-wal", "-journal"] {
        let log = connect::beside(path, suffix);
        if fs::symlink_metadata(&log).is_ok_and(|meta| meta.len() > 0) {
            let what = format!(
                "there is no archive {}, but the log {} of an older one of that name",
                path.display(),
                log.display()
            );
            return Err(Error::new(ErrorKind::Storage, what)
                .hint("put the archive back into this folder. For a new archive, move the old log away"));
        }
    }
    Ok(())
}

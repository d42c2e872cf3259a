//! Files that this process may open in one place only: archives that it reads or writes.
//!
//! Closing any descriptor of a file drops every POSIX lock that the process has on it. A source that looks into every file
//! of a folder would do that to the archive, were it in that folder, and another program could then take the log of the
//! running import away. So code that opens files by what a folder lists asks here first.

use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::OnceLock;

/// Device and inode: the same for all names of a file.
pub(crate) type FileId = (u64, u64);

/// What SQLite adds to the name of a database for the files beside it.
const BESIDE: [&[u8]; 3] = [b"-wal", b"-shm", b"-journal"];

/// The files, each with how many hold it.
fn held() -> MutexGuard<'static, HashMap<FileId, usize>> {
    static HELD: OnceLock<Mutex<HashMap<FileId, usize>>> = OnceLock::new();
    HELD.get_or_init(Mutex::default).lock()
}

/// Says that a file is in use until [`release`].
pub(crate) fn hold(file: FileId) {
    *held().entry(file).or_default() += 1;
}

/// Takes one [`hold`] back.
pub(crate) fn release(file: FileId) {
    let mut held = held();
    if let Some(users) = held.get_mut(&file) {
        *users -= 1;
        if *users == 0 {
            held.remove(&file);
        }
    }
}

/// True if the file at a path, or the database that it stands beside, is in use: it may not be opened.
pub(crate) fn is_held(path: &Path) -> bool {
    let held = held();
    let is_in_use =
        |path: &Path| std::fs::metadata(path).is_ok_and(|meta| held.contains_key(&(meta.dev(), meta.ino())));
    let database = BESIDE.iter().find_map(|end| path.as_os_str().as_bytes().strip_suffix(*end));
    is_in_use(path) || database.is_some_and(|path| is_in_use(Path::new(OsStr::from_bytes(path))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_held_under_all_its_names_and_with_what_stands_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in ["a", "a-wal", "a-shm", "b", "b-wal"] {
            std::fs::write(at(name), "x").unwrap();
        }
        std::fs::hard_link(at("a"), at("c")).unwrap();
        let meta = std::fs::metadata(at("a")).unwrap();
        let file = (meta.dev(), meta.ino());
        hold(file);
        hold(file);
        release(file);
        let held = |names: &[&str]| names.iter().all(|name| is_held(&at(name)));
        assert!(held(&["a", "a-wal", "a-shm", "c"]) && !is_held(&at("b")) && !is_held(&at("b-wal")));
        release(file);
        assert!(!is_held(&at("a")));
    }
}

//! An account on disk, its archive, and what looks at the mount of it.

use super::{Mounted, deliver, message, ok, skip, vandelay};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A Maildir and an archive in a temporary directory. Declare mounts behind it: they have to go first.
pub(crate) struct Account {
    dir: tempfile::TempDir,
}

impl Account {
    /// An account without mail.
    pub(crate) fn empty() -> Account {
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir(dir.path().join("store")).expect("a directory");
        Account { dir }
    }

    /// An account with 60 messages in five folders, with flags and keywords, imported.
    pub(crate) fn new() -> Account {
        let account = Account::empty();
        for (folder, count) in
            [("", 30), (".Archive", 5), (".Archive.2020", 10), (".Entw&APw-rfe", 5), (".Lists.Rust", 10)]
        {
            for number in 0..count {
                account.deliver(folder, number);
            }
        }
        fs::write(account.maildir().join("dovecot-keywords"), "0 important\n1 project-x\n").expect("keywords");
        account.import();
        account
    }

    /// Puts message `number` of a folder into the Maildir. Names, dates, flags and sizes vary with the number.
    pub(crate) fn deliver(&self, folder: &str, number: u32) -> PathBuf {
        let flags = ["", "S", "RS", "FS", "DS", "PRS"][number as usize % 6];
        // Only the inbox has a list of keywords.
        let keywords = if folder.is_empty() { ["", "a", "ab"][number as usize % 3] } else { "" };
        let mut bytes = message(number);
        bytes.extend(format!("of folder {folder:?}\r\n").repeat(number as usize % 7).bytes());
        let name = format!("{}.M{number}.host:2,{flags}{keywords}", 1_500_000_000 + 86_400 * number);
        deliver(&self.maildir().join(folder), &name, &bytes)
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn maildir(&self) -> PathBuf {
        self.path().join("Maildir")
    }

    pub(crate) fn archive(&self) -> PathBuf {
        self.path().join("store/alice.sqlite")
    }

    /// Where it is mounted unless something else is asked for.
    pub(crate) fn mountpoint(&self) -> PathBuf {
        self.path().join("mnt")
    }

    /// Imports the Maildir.
    pub(crate) fn import(&self) {
        ok(&["import", "maildir", text(&self.maildir()), text(&self.archive())]);
    }

    /// Mounts the archive; `None` where that cannot be.
    pub(crate) fn mount(&self, options: &[&str]) -> Option<Mounted> {
        Mounted::new(&self.archive(), &self.mountpoint(), options)
    }

    /// Mounts the archive with the process staying our child.
    pub(crate) fn mount_in_foreground(&self, options: &[&str]) -> Option<Foreground> {
        Foreground::new(&self.archive(), &self.mountpoint(), options)
    }
}

/// A path as an argument.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A mount whose process is our child; ended and unmounted on drop.
pub(crate) struct Foreground {
    pub child: Child,
    pub at: PathBuf,
    said: PathBuf,
}

impl Foreground {
    fn new(archive: &Path, at: &Path, options: &[&str]) -> Option<Foreground> {
        if !Path::new("/dev/fuse").exists() {
            skip("there is no /dev/fuse");
            return None;
        }
        fs::create_dir_all(at).expect("a mountpoint");
        let said = at.with_extension("stderr");
        let mut command = vandelay();
        command.args(["mount", "-f"]).arg(archive).arg(at).args(options).stdin(Stdio::null());
        let child = command.stderr(fs::File::create(&said).expect("a file")).spawn().expect("the program starts");
        let mount = Foreground { child, at: at.to_owned(), said };
        wait(|| is_mounted(at) && mount.said().contains("mounted at"), || mount.said());
        Some(mount)
    }

    /// What it has said so far.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.said).unwrap_or_default()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: i32) {
        // SAFETY: a signal to a child of ours that was not waited for.
        assert_eq!(unsafe { libc::kill(self.child.id() as i32, signal) }, 0);
    }
}

impl Drop for Foreground {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if is_mounted(&self.at) {
            let _ = vandelay().arg("umount").arg("--lazy").arg(&self.at).output();
        }
    }
}

/// A child that is killed on drop.
pub(crate) struct Guarded(pub Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until something is so, for ten seconds at most.
pub(crate) fn wait(mut is_so: impl FnMut() -> bool, said: impl Fn() -> String) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(10), "waited too long: {}", said());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The line of the mount table for a directory.
pub(crate) fn mount_line(at: &Path) -> Option<String> {
    let at = fs::canonicalize(at.parent()?).ok()?.join(at.file_name()?);
    let table = fs::read_to_string("/proc/self/mounts").expect("a mount table");
    table.lines().find(|line| line.split(' ').nth(1) == at.to_str()).map(str::to_owned)
}

pub(crate) fn is_mounted(at: &Path) -> bool {
    mount_line(at).is_some()
}

/// Runs a program, which must succeed, and gives its output.
pub(crate) fn sh(program: &str, arguments: &[impl AsRef<OsStr>]) -> String {
    done(Command::new(program).args(arguments), program)
}

/// Runs a command, which must succeed, and gives its output.
pub(crate) fn done(command: &mut Command, name: &str) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(output.status.success(), "{name}: {}\n{}", output.status, both(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Everything that a program said.
pub(crate) fn both(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Everything below a directory by its path from there, links not followed.
pub(crate) fn below(directory: &Path) -> BTreeMap<PathBuf, fs::Metadata> {
    let mut found = BTreeMap::new();
    let mut queue = vec![PathBuf::new()];
    while let Some(at) = queue.pop() {
        for entry in fs::read_dir(directory.join(&at)).unwrap_or_else(|error| panic!("{}: {error}", at.display())) {
            let entry = entry.expect("an entry");
            let path = at.join(entry.file_name());
            let meta = fs::symlink_metadata(directory.join(&path))
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            // What a listing says without a second look must be what that look says.
            assert_eq!(entry.file_type().expect("a type"), meta.file_type(), "{}", path.display());
            assert_eq!(std::os::unix::fs::DirEntryExt::ino(&entry), meta.ino(), "{}", path.display());
            if meta.is_dir() {
                queue.push(path.clone());
            }
            found.insert(path, meta);
        }
    }
    found
}

/// The files of a directory tree with their bytes.
pub(crate) fn contents(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = below(directory).into_iter().filter(|(_, meta)| meta.is_file());
    files
        .map(|(path, _)| {
            (
                path.clone(),
                fs::read(directory.join(&path)).unwrap_or_else(|error| panic!("{}: {error}", path.display())),
            )
        })
        .collect()
}

/// Messages of one mailbox of a Maildir: epoch, flags and bytes, sorted.
pub(crate) fn messages(folder: &Path) -> Vec<(u64, String, Vec<u8>)> {
    let mut messages: Vec<_> = fs::read_dir(folder.join("cur"))
        .expect("a mailbox")
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path.file_name().and_then(OsStr::to_str).expect("UTF-8").to_owned();
            let epoch = name.split('.').next().and_then(|epoch| epoch.parse().ok()).expect("an epoch");
            let flags = name.split_once(":2,").map(|(_, flags)| flags.to_owned()).unwrap_or_default();
            (epoch, flags, fs::read(&path).expect("a message"))
        })
        .collect();
    messages.sort();
    messages
}

/// The errno of what failed.
pub(crate) fn errno<T>(outcome: io::Result<T>) -> Option<i32> {
    outcome.err().and_then(|error| error.raw_os_error())
}

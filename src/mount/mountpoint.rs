//! Mount points: the check before a mount, the list of our mounts, and unmounting.

use crate::error::{Error, ErrorKind, Result};
use rustix::fs::statfs;
use rustix::io::Errno;
use rustix::mount;
use rustix::mount::UnmountFlags;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The type of our mounts in `/proc/mounts`.
pub const TYPE: &str = "fuse.vandelay";

/// How long a mount may take to answer, before its process is looked for.
const PATIENCE: Duration = Duration::from_secs(3);

/// A mount of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mounted {
    /// `vandelay:<account>`
    pub source: String,
    /// The absolute path of the mount point.
    pub directory: PathBuf,
    /// The number of its connection to the kernel: the minor number of its device.
    connection: String,
}

/// All mounts of ours.
pub fn mounted() -> Result<Vec<Mounted>> {
    let table = fs::read_to_string("/proc/self/mountinfo")
        .map_err(|error| Error::io("cannot read /proc/self/mountinfo", error))?;
    Ok(table.lines().filter_map(Mounted::of).collect())
}

impl Mounted {
    /// The mount of a line of the table (proc_pid_mountinfo(5)), if it is one of ours.
    fn of(line: &str) -> Option<Mounted> {
        // Number, parent, major:minor, root, mount point; of the second half type and source.
        let (mount, file_system) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(2);
        let (device, directory) = (mount.next()?, mount.nth(1)?);
        let mut file_system = file_system.split(' ');
        let (kind, source) = (file_system.next()?, file_system.next()?);
        (kind == TYPE).then(|| Mounted {
            source: unescape(source),
            directory: PathBuf::from(unescape(directory)),
            connection: device.rsplit(':').next().unwrap_or_default().to_owned(),
        })
    }

    /// False if the process behind it is gone: everything in it answers ENOTCONN, or nothing at all.
    pub fn answers(&self) -> bool {
        let (answer, heard) = std::sync::mpsc::channel();
        let asked = self.directory.clone();
        // The call may never return; the thread then ends with the process.
        std::thread::spawn(move || {
            // The kernel keeps attributes longer than the process lives, but always asks the process for this.
            let is_dead = matches!(statfs(&asked), Err(Errno::NOTCONN));
            let _ = answer.send(!is_dead);
        });
        heard.recv_timeout(PATIENCE).unwrap_or_else(|_| !has_orphan())
    }

    /// Unmounts one that does not answer: processes that wait for it get ENOTCONN.
    ///
    /// Errors: [`ErrorKind::Storage`].
    pub fn force_unmount(&self) -> Result<()> {
        // Users other than root may abort it through this file system, which most machines have mounted.
        let _ = fs::write(format!("/sys/fs/fuse/connections/{}/abort", self.connection), "1");
        unmount_with(&self.directory, UnmountFlags::FORCE | UnmountFlags::DETACH)
    }
}

/// True for the name of a process that may serve a mount; a mount helper in the foreground is called like its link.
pub fn is_server(name: &str) -> bool {
    name.starts_with("vandelay") || name.starts_with("mount.")
}

/// True if there is a process of ours that was killed and cannot end: one of its threads waits in the kernel for bytes that
/// another of its threads, which has ended, should have sent. The kernel goes on waiting for that answer.
fn has_orphan() -> bool {
    let stats = processes().filter_map(|process| fs::read_to_string(format!("/proc/{process}/stat")).ok());
    // proc_pid_stat(5): number, name, state.
    stats.into_iter().any(|stat| {
        let name = stat.split_once('(').map_or("", |(_, rest)| rest);
        let state = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        is_server(name) && state.starts_with('Z')
    })
}

/// The numbers of all processes.
pub fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// `\040` and its kin, as the kernel writes them.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let code = (*first == b'\\')
            .then(|| tail.get(..3))
            .flatten()
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        match code {
            Some(code) => {
                bytes.push(code);
                rest = &tail[3..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Checks that a tree can be mounted at `directory`, and takes a dead mount of ours off it, saying so through `say`.
/// Gives the real path. `archives` are the files and folders that will be shown.
///
/// Errors: [`ErrorKind::Usage`] if it is missing, no directory, not empty, in use, or has to do with the archive.
pub fn prepare(directory: &Path, archives: &[PathBuf], say: &dyn Fn(&str)) -> Result<PathBuf> {
    let refuse = |why: String, hint: &str| {
        Err(Error::new(ErrorKind::Usage, format!("cannot mount at {}: {why}", directory.display())).hint(hint))
    };
    let absolute = without_links(directory)
        .map_err(|error| Error::io(format!("cannot mount at {}", directory.display()), error))?;
    if let Some(stale) = mounted()?.into_iter().find(|mount| mount.directory == absolute && !mount.answers()) {
        stale.force_unmount()?;
        say(&format!("removed a dead mount of {} at {}", stale.source, stale.directory.display()));
    }
    let real = match fs::canonicalize(directory) {
        Ok(real) => real,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return refuse(
                "there is no such directory".to_owned(),
                &format!("make it first: mkdir -p {}", directory.display()),
            );
        }
        Err(error) => return Err(Error::io(format!("cannot mount at {}", directory.display()), error)),
    };
    if !real.is_dir() {
        let hint = "the archive comes first, an empty directory last: vandelay mount ARCHIVE DIRECTORY";
        return refuse("it is not a directory".to_owned(), hint);
    }
    if mounted()?.iter().any(|mounted| mounted.directory == real) {
        return refuse(
            "an archive is mounted there already".to_owned(),
            &format!("unmount it first: vandelay umount {}", real.display()),
        );
    }
    // Over the archive's own directory, or one above it, the mount would hide the file that it reads.
    // If an archive cannot be found, opening it gives the error.
    for archive in archives {
        let archive = fs::canonicalize(archive).unwrap_or_else(|_| archive.clone());
        if archive.starts_with(&real) || (archive.is_dir() && real.starts_with(&archive)) {
            let why = match archive.is_dir() {
                true if real.starts_with(&archive) => {
                    format!("it belongs to the folder of archives {}", archive.display())
                }
                true => format!("the folder {} is inside it", archive.display()),
                false => format!("the archive {} is inside it", archive.display()),
            };
            return refuse(why, "choose an empty directory elsewhere");
        }
    }
    let mut entries =
        fs::read_dir(&real).map_err(|error| Error::io(format!("cannot mount at {}", real.display()), error))?;
    if entries.next().is_some() {
        return refuse("it is not empty".to_owned(), "choose an empty directory");
    }
    Ok(real)
}

/// The real path of a directory, of which only the parents are looked at: a dead mount cannot be.
pub fn without_links(directory: &Path) -> std::io::Result<PathBuf> {
    let absolute = std::path::absolute(directory)?;
    Ok(match (absolute.parent().map(fs::canonicalize), absolute.file_name()) {
        (Some(Ok(parent)), Some(name)) => parent.join(name),
        _ => absolute,
    })
}

/// Unmounts. `lazy`: new processes do not see it any more, those that use it keep it until they end.
///
/// Errors: [`ErrorKind::Usage`] if nothing of ours is mounted there; [`ErrorKind::Locked`] if processes use it, with their
/// names.
pub fn unmount(directory: &Path, lazy: bool) -> Result<()> {
    unmount_with(directory, if lazy { UnmountFlags::DETACH } else { UnmountFlags::empty() })
}

fn unmount_with(directory: &Path, flags: UnmountFlags) -> Result<()> {
    match mount::unmount(directory, flags | UnmountFlags::NOFOLLOW) {
        Ok(()) => Ok(()),
        Err(Errno::BUSY) => Err(busy(directory)),
        Err(Errno::PERM) => with_helper(directory, flags.contains(UnmountFlags::DETACH)),
        Err(error) => Err(Error::io(format!("cannot unmount {}", directory.display()), error.into())),
    }
}

/// Unmounts with the helper of FUSE, which users other than root need.
fn with_helper(directory: &Path, lazy: bool) -> Result<()> {
    let mut command = Command::new("fusermount3");
    command.arg("-u");
    if lazy {
        command.arg("-z");
    }
    let output = command
        .arg("--")
        .arg(directory)
        .output()
        .map_err(|error| Error::io("cannot run fusermount3", error).hint("install FUSE: apt install fuse3"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("busy") {
        Err(busy(directory))
    } else {
        Err(Error::new(ErrorKind::Storage, format!("cannot unmount {}: {}", directory.display(), said.trim())))
    }
}

fn busy(directory: &Path) -> Error {
    let users = users(directory);
    let who = if users.is_empty() { String::new() } else { format!(" by {}", users.join(", ")) };
    Error::new(ErrorKind::Locked, format!("{} is in use{who}", directory.display()))
        .hint(format!("close these programs, or detach it anyway: vandelay umount --lazy {}", directory.display()))
}

/// Processes that have a file open below a directory or stand in it: `name (pid)`.
fn users(directory: &Path) -> Vec<String> {
    let mut users = Vec::new();
    for process in processes().filter(|process| *process != std::process::id()) {
        let path = PathBuf::from(format!("/proc/{process}"));
        let stands = ["cwd", "root"].iter().any(|name| inside(&path.join(name), directory));
        let holds =
            || fs::read_dir(path.join("fd")).into_iter().flatten().flatten().any(|fd| inside(&fd.path(), directory));
        if stands || holds() {
            let name = fs::read_to_string(path.join("comm")).unwrap_or_default();
            users.push(format!("{} ({process})", name.trim()));
        }
        if users.len() == 8 {
            break;
        }
    }
    users
}

fn inside(link: &Path, directory: &Path) -> bool {
    fs::read_link(link).is_ok_and(|target| target.starts_with(directory))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_mount_table_are_read_back() {
        assert_eq!(unescape("/mnt/a\\040b\\134c"), "/mnt/a b\\c");
        assert_eq!(unescape("odd\\04"), "odd\\04");
        let line = "36 35 0:98 / /mnt/a\\040b ro,nosuid master:1 - fuse.vandelay vandelay:a\\040b ro,user_id=0";
        let mount = Mounted { source: "vandelay:a b".into(), directory: "/mnt/a b".into(), connection: "98".into() };
        assert_eq!(Mounted::of(line), Some(mount));
        assert_eq!(Mounted::of(&line.replace("fuse.vandelay", "ext4")), None);
    }
}

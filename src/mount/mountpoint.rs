//! Where a tree may be mounted, what is mounted already, and how it is taken away.

use crate::error::{Error, Kind as Fault, Result};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The type of our mounts in `/proc/mounts`.
pub const TYPE: &str = "fuse.vandelay";

/// How long a mount may take to say that it is there, until it is looked for who serves it.
const PATIENCE: Duration = Duration::from_secs(3);

/// A mount of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mounted {
    /// `vandelay:<account>`
    pub source: String,
    pub directory: PathBuf,
    /// False if the process behind it is gone: everything in it answers ENOTCONN, or nothing at all.
    pub answers: bool,
}

/// All mounts of ours.
pub fn mounted() -> Result<Vec<Mounted>> {
    let table =
        fs::read_to_string("/proc/self/mounts").map_err(|error| Error::io("cannot read /proc/self/mounts", error))?;
    let lines = table.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (source, directory, kind) = (words.next()?, words.next()?, words.next()?);
        (kind == TYPE).then(|| (unescape(source), PathBuf::from(unescape(directory))))
    });
    Ok(lines.map(|(source, directory)| Mounted { answers: answers(&directory), source, directory }).collect())
}

fn answers(directory: &Path) -> bool {
    let (answer, heard) = std::sync::mpsc::channel();
    let asked = directory.to_owned();
    // It may never come back, and ends with us then.
    std::thread::spawn(move || {
        // The kernel remembers attributes longer than the process lives; this it always asks for.
        let is_dead = matches!(rustix::fs::statfs(&asked), Err(rustix::io::Errno::NOTCONN));
        let _ = answer.send(!is_dead);
    });
    heard.recv_timeout(PATIENCE).unwrap_or_else(|_| !has_orphan())
}

/// True if there is a process of ours that was killed and cannot end. One of its threads may wait in the kernel for bytes
/// that another one, which is gone, was asked for; so the kernel goes on waiting for an answer.
fn has_orphan() -> bool {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let stats = processes.filter_map(|process| fs::read_to_string(process.path().join("stat")).ok());
    // proc_pid_stat(5): number, name, state.
    stats.into_iter().any(|stat| {
        let name = stat.split_once('(').map_or("", |(_, rest)| rest);
        let state = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        (name.starts_with("vandelay") || name.starts_with("mount.")) && state.starts_with('Z')
    })
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
/// Errors: [`Fault::Usage`] if it is missing, no directory, not empty, in use, or has to do with the archive.
pub fn prepare(directory: &Path, archives: &[PathBuf], say: &dyn Fn(&str)) -> Result<PathBuf> {
    let refuse = |why: String, hint: &str| {
        Err(Error::new(Fault::Usage, format!("cannot mount at {}: {why}", directory.display())).hint(hint))
    };
    let absolute = without_links(directory)
        .map_err(|error| Error::io(format!("cannot mount at {}", directory.display()), error))?;
    if let Some(stale) = mounted()?.into_iter().find(|mounted| mounted.directory == absolute && !mounted.answers) {
        take_away(&stale.directory)?;
        say(&format!("took away a dead mount of {} at {}", stale.source, stale.directory.display()));
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
    // One that cannot be found is the business of who opens it.
    for archive in archives {
        let archive = fs::canonicalize(archive).unwrap_or_else(|_| archive.clone());
        if archive.starts_with(&real) || (archive.is_dir() && real.starts_with(&archive)) {
            let lies = if archive.is_dir() { "the folder" } else { "the archive" };
            return refuse(
                format!("{lies} {} lies in it, or it in that", archive.display()),
                "choose a directory away from the archive",
            );
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

/// Unmounts. `lazy`: at once for new users, and for those who are in it when they leave.
///
/// Errors: [`Fault::Usage`] if nothing of ours is mounted there; [`Fault::Locked`] if it is in use, with who uses it.
pub fn unmount(directory: &Path, lazy: bool) -> Result<()> {
    use rustix::mount::UnmountFlags;
    let flags = if lazy { UnmountFlags::DETACH } else { UnmountFlags::empty() } | UnmountFlags::NOFOLLOW;
    let outcome = rustix::mount::unmount(directory, flags);
    match outcome {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::BUSY) => Err(busy(directory)),
        Err(rustix::io::Errno::PERM) => with_helper(directory, lazy),
        Err(error) => Err(Error::io(format!("cannot unmount {}", directory.display()), error.into())),
    }
}

/// Takes away a mount that does not answer: whoever waits for it gets ENOTCONN.
///
/// Errors: [`Fault::Storage`].
pub fn take_away(directory: &Path) -> Result<()> {
    use rustix::mount::UnmountFlags;
    abort(directory);
    let flags = UnmountFlags::FORCE | UnmountFlags::DETACH | UnmountFlags::NOFOLLOW;
    match rustix::mount::unmount(directory, flags) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::PERM) => with_helper(directory, true),
        Err(error) => Err(Error::io(format!("cannot unmount {}", directory.display()), error.into())),
    }
}

/// Has the kernel wait for a mount no more, as far as it lets one: whoever is not root may do that through a file system that
/// is mounted on most machines.
fn abort(directory: &Path) {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    // proc_pid_mountinfo(5): number, parent, major:minor, root, mount point.
    let device = table.lines().find_map(|line| {
        let mut words = line.split(' ').skip(2);
        let (device, at) = (words.next()?, words.nth(1)?);
        (Path::new(&unescape(at)) == directory).then(|| device.rsplit(':').next())?
    });
    if let Some(device) = device {
        let _ = fs::write(format!("/sys/fs/fuse/connections/{device}/abort"), "1");
    }
}

/// Whoever is not root asks the helper of FUSE.
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
        Err(Error::new(Fault::Storage, format!("cannot unmount {}: {}", directory.display(), said.trim())))
    }
}

fn busy(directory: &Path) -> Error {
    let users = users(directory);
    let who = if users.is_empty() { String::new() } else { format!(" by {}", users.join(", ")) };
    Error::new(Fault::Locked, format!("{} is in use{who}", directory.display())).hint(format!(
        "close these programs, or detach it all the same: vandelay umount --lazy {}",
        directory.display()
    ))
}

/// Processes that have a file open below a directory or stand in it: `name (pid)`.
fn users(directory: &Path) -> Vec<String> {
    let mut users = Vec::new();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = process.file_name();
        if !pid.as_bytes().iter().all(u8::is_ascii_digit)
            || pid.to_str().is_some_and(|pid| pid == std::process::id().to_string())
        {
            continue;
        }
        let path = process.path();
        let stands = ["cwd", "root"].iter().any(|name| inside(&path.join(name), directory));
        let holds =
            || fs::read_dir(path.join("fd")).into_iter().flatten().flatten().any(|fd| inside(&fd.path(), directory));
        if stands || holds() {
            let name = fs::read_to_string(path.join("comm")).unwrap_or_default();
            users.push(format!("{} ({})", name.trim(), pid.to_string_lossy()));
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
    }
}

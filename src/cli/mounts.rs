//! `vandelay mounts`: what is mounted where. The mount table knows directories; what is shown there is known from the
//! command lines of the processes that serve them, as far as the system lets one read those.

use super::commands::{Cli, Command};
use super::mount::{Mount, STAYS};
use super::mount_options;
use super::screen::Style;
use super::table::{Cell, Column, Table};
use super::ui::{Ui, counted, quoted};
use super::when;
use crate::archive::{SnapshotSpec, rfc3339};
use crate::error::Result;
use crate::mount::mountpoint::{self, without_links};
use clap::Parser;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Ticks of the clock in which Linux tells programs of times: USER_HZ, on every machine that FUSE 3 is built for.
const TICKS: i64 = 100;

const COLUMNS: [Column; 5] = [
    Column::text("DIRECTORY", 60).at_least(12).keeping_end(),
    Column::text("ARCHIVE", 60).at_least(12).keeping_end(),
    Column::text("SHOWS", 20).whole(),
    Column::time("SINCE").rank(2),
    Column::number("PID", 3).rank(1),
];

/// A process that serves a mount.
struct Server {
    process: u32,
    /// Where it mounts, by its name and with links resolved.
    directories: [PathBuf; 2],
    archives: Vec<PathBuf>,
    mount: Mount,
    /// The snapshot that is shown whatever comes, as it was typed; `None` if the mount follows.
    pinned: Option<String>,
    /// When it was started, in seconds since 1970.
    since: Option<i64>,
}

impl Server {
    fn of(process: u32) -> Option<Server> {
        let at = |name: &str| Path::new("/proc").join(process.to_string()).join(name);
        let name = fs::read_to_string(at("comm")).ok()?;
        // What another container mounts at a directory of this name is not mounted here.
        let spaces = [at("ns/mnt"), PathBuf::from("/proc/self/ns/mnt")].map(|path| fs::read_link(path).ok());
        let is_elsewhere = matches!(&spaces, [Some(theirs), Some(ours)] if theirs != ours);
        if !mountpoint::is_server(&name) || is_elsewhere {
            return None;
        }
        let mount = command_line(&fs::read(at("cmdline")).ok()?).filter(|mount| !mount.is_remount())?;
        let base =
            fs::read(at("environ")).ok().and_then(|all| started_in(&all)).or_else(|| fs::read_link(at("cwd")).ok());
        let absolute = |path: &PathBuf| match &base {
            Some(base) => Some(base.join(path)),
            None => path.is_absolute().then(|| path.clone()),
        };
        let (directory, archives) = mount.paths()?;
        let directory = absolute(directory)?;
        let real = fs::canonicalize(&directory).unwrap_or_else(|_| directory.clone());
        let archives: Vec<PathBuf> = archives.iter().map(absolute).collect::<Option<_>>()?;
        Some(Server {
            process,
            directories: [without_links(&directory).ok()?, real],
            archives: archives.into_iter().map(|path| fs::canonicalize(&path).unwrap_or(path)).collect(),
            pinned: mount.named_moment().ok()?.filter(|at| at.spec != SnapshotSpec::Latest).map(|at| at.text),
            since: started(&fs::read_to_string(at("stat")).ok()?),
            mount,
        })
    }

    /// `/srv/alice.sqlite`, `/srv/alice.sqlite and 2 more`
    fn archive(&self) -> String {
        let Some((first, more)) = self.archives.split_first() else { return String::new() };
        let first = first.display();
        if more.is_empty() { first.to_string() } else { format!("{first} and {} more", more.len()) }
    }
}

/// The mount that a process was told to make.
fn command_line(words: &[u8]) -> Option<Mount> {
    let words = words.strip_suffix(b"\0").unwrap_or(words).split(|byte| *byte == 0);
    let words: Vec<OsString> = words.map(|word| OsStr::from_bytes(word).to_owned()).collect();
    match Cli::try_parse_from(mount_options::as_helper(words)).ok()?.command {
        Command::Mount(mount) => Some(mount),
        _ => None,
    }
}

/// The directory that a process which stays was started in: it has left it.
fn started_in(environment: &[u8]) -> Option<PathBuf> {
    let found = environment.split(|byte| *byte == 0).find_map(|line| line.strip_prefix(STAYS.as_bytes()));
    Some(PathBuf::from(OsStr::from_bytes(found?.strip_prefix(b"=")?)))
}

/// When a process was started, in seconds since 1970 (proc_pid_stat(5)).
fn started(stat: &str) -> Option<i64> {
    let ticks: i64 = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
    let system = fs::read_to_string("/proc/stat").ok()?;
    let boot: i64 = system.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some(boot + ticks / TICKS)
}

/// All processes that serve mounts, the one that was started last first.
fn servers() -> Vec<Server> {
    let mut servers: Vec<Server> = mountpoint::processes().filter_map(Server::of).collect();
    servers.sort_by_key(|server| std::cmp::Reverse((server.since, server.process)));
    servers
}

/// How a directory was mounted, as far as the system tells.
pub(super) fn mount_of(directory: &Path) -> Option<Mount> {
    let mut servers = servers().into_iter();
    servers.find(|server| server.directories.iter().any(|known| known == directory)).map(|server| server.mount)
}

/// `vandelay mounts`.
pub(super) fn list(ui: &Ui) -> Result<()> {
    let servers = servers();
    let (mut count, mut dead, mut table) = (0_u64, Vec::new(), None);
    for mount in mountpoint::mounted()? {
        count += 1;
        let answers = mount.answers();
        let known = servers.iter().filter(|_| answers);
        let server = known.into_iter().find(|server| server.directories.contains(&mount.directory));
        let directory = mount.directory.display().to_string();
        if ui.json {
            let archives: Option<Vec<_>> =
                server.map(|server| server.archives.iter().map(|path| path.display().to_string()).collect());
            ui.object("mount", serde_json::json!({
                "device": mount.source, "directory": directory, "answers": answers, "archives": archives,
                "follows": server.map(|server| server.pinned.is_none()), "at": server.and_then(|server| server.pinned.as_deref()),
                "started_at": server.and_then(|server| server.since).map(rfc3339), "process": server.map(|server| server.process),
            }));
            continue;
        }
        let table = table.get_or_insert_with(|| Table::new(ui, &COLUMNS));
        match server {
            Some(server) => table.row(&[
                &directory,
                &server.archive(),
                &server.pinned.as_ref().map_or_else(|| "latest".to_owned(), |at| format!("snapshot {at}")),
                &server.since.map(when::time).unwrap_or_default(),
                &server.process.to_string(),
            ]),
            None if answers => table.row(&[&directory, "?", "?", "", ""]),
            None => {
                table.cells(vec![
                    directory.as_str().into(),
                    "".into(),
                    Cell::new("its process has died", Style::Error),
                ]);
                dead.push(directory);
            }
        }
    }
    drop(table);
    if !dead.is_empty() {
        let count = counted(dead.len() as u64, "dead mount");
        let words: Vec<String> = dead.iter().map(|directory| quoted(directory)).collect();
        ui.info(&format!("{count}; remove with: vandelay umount {}", words.join(" ")));
    }
    if count == 0 && !ui.json {
        ui.info("nothing is mounted");
    }
    if ui.json {
        ui.object("summary", serde_json::json!({ "count": count }));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_says_what_is_mounted() {
        let mount = command_line(b"vandelay\0mount\0-o\0snapshot=3\0a.sqlite\0/mnt/a b\0").unwrap();
        assert_eq!(mount.paths(), Some((&PathBuf::from("/mnt/a b"), &[PathBuf::from("a.sqlite")][..])));
        assert_eq!(mount.at().unwrap(), SnapshotSpec::Id(3));
        assert!(command_line(b"vandelay\0ls\0a.sqlite\0").is_none() && command_line(b"").is_none());
        assert_eq!(started_in(b"A=b\0VANDELAY_MOUNT_STAYS=/srv/x\0"), Some(PathBuf::from("/srv/x")));
        assert_eq!(started_in(b"A=b\0"), None);
    }

    #[test]
    fn the_start_of_a_process_is_known() {
        let stat = fs::read_to_string("/proc/self/stat").unwrap();
        let now = jiff::Timestamp::now().as_second();
        let since = started(&stat).unwrap();
        assert!((now - 3_600..=now + 1).contains(&since), "{since} {now}");
    }
}

//! `vandelay mount` and `umount`: from the command line to a mount that answers.

use super::args::TypedMoment;
use super::json::on_disk;
use super::mount_options::{self, MountOptions};
use super::notes::clean;
use super::opened::warn_of_incomplete;
use super::ui::{Ui, quoted};
use crate::archive::{Reader, SnapshotSpec, now};
use crate::error::{Error, ErrorKind, Result};
use crate::mount::mountpoint;
use crate::mount::session::{self, serve};
use crate::tree::archives::Archives;
use crate::tree::{self, Tree};
use clap::Args;
use rustix::process::setsid;
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
use serde_json::json;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

/// Set for the process that stays, to the directory that it was started in; it tells the one that the user started when
/// the mount answers.
pub(super) const STAYS: &str = "VANDELAY_MOUNT_STAYS";

const EXAMPLES: &str = "\
Examples:
  vandelay mount alice.sqlite /mnt/alice
  vandelay mount -o snapshot=2026-11-21,views=mail+text alice.sqlite /mnt/last-week
  vandelay mount -o allow_other,uid=1000,umask=077 /srv/backup /mnt/all
  grep -ril invoice /mnt/alice/text";

/// What that process says when the mount answers.
const READY: &str = "ready";

#[derive(Args)]
#[command(override_usage = "vandelay mount [OPTIONS] <ARCHIVE>... <DIRECTORY>", after_help = EXAMPLES)]
pub(crate) struct Mount {
    /// The archive, then an empty directory to mount on (not one that contains the archive). Several archives, or a
    /// folder of archives, are shown as one directory each
    #[arg(required = true, num_args = 2.., value_names = ["ARCHIVE", "DIRECTORY"])]
    paths: Vec<PathBuf>,
    /// Stay in the foreground
    #[arg(short, long)]
    foreground: bool,
    /// Mount options, separated by commas: snapshot=SNAPSHOT, views=mail+text+…, snapshots=visible,
    /// layout=nested|maildir++, infosep=:|;|!, xattr, allow_other, allow_root, uid=N, gid=N, umask=OCTAL; and those that
    /// mount(8) may pass on
    #[arg(short = 'o', value_name = "OPTIONS")]
    options: Vec<String>,
    /// Show this snapshot and stay there: its number, a day (2026-11-21, yesterday), or a time (2026-11-21T18:30);
    /// 'latest' follows the archive
    #[arg(long, value_name = "SNAPSHOT", value_parser = super::args::parse_typed)]
    at: Option<TypedMoment>,
    /// Memory for what was read, e.g. 64M
    #[arg(long, value_name = "BYTES", default_value = "64M", value_parser = parse_size)]
    cache_size: u64,
    /// Bytes that the kernel reads ahead in one file (takes effect for root)
    #[arg(long, value_name = "BYTES", default_value = "1M", value_parser = parse_size)]
    read_ahead: u64,
    /// Threads that answer requests
    #[arg(long, value_name = "N", default_value = "4", hide = true)]
    threads: usize,
    /// Look whether it could be mounted, and do not (mount(8) -f)
    #[arg(long, hide = true)]
    fake: bool,
    /// Take options that nobody knows (mount(8) -s)
    #[arg(long, hide = true)]
    sloppy: bool,
    /// Print statistics when unmounted
    #[arg(long)]
    stats: bool,
    /// Write errors of the mount to this file instead of the system log
    #[arg(long, value_name = "FILE")]
    log_file: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Umount {
    /// The directory
    #[arg(required = true)]
    directories: Vec<PathBuf>,
    /// Detach now; programs that still use it keep their files open
    #[arg(short, long)]
    lazy: bool,
}

/// A number of bytes with an optional K, M or G (powers of 1024).
pub(super) fn parse_size(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text
        .trim()
        .trim_end_matches(['B', 'b'])
        .trim_end_matches('i')
        .char_indices()
        .find(|(_, c)| c.is_ascii_alphabetic())
    {
        Some((at, unit)) => (&text.trim()[..at], unit.to_ascii_uppercase()),
        None => (text.trim(), ' '),
    };
    let factor: u64 = match unit {
        ' ' => 1,
        'K' => 1 << 10,
        'M' => 1 << 20,
        'G' => 1 << 30,
        _ => return Err("not a size like 64M".to_owned()),
    };
    digits
        .trim()
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(|| "not a size like 64M".to_owned())
}

impl Mount {
    /// True if its mount options can be read: what fails then is not the fault of the command line.
    pub(crate) fn is_well_said(&self) -> bool {
        self.mount_options().is_ok()
    }

    /// True if it serves nothing, and asks for other options of what is mounted.
    pub(crate) fn is_remount(&self) -> bool {
        self.mount_options().is_ok_and(|options| options.remount)
    }

    /// Its mount options, as they were typed.
    pub(super) fn lists(&self) -> &[String] {
        &self.options
    }

    /// The snapshot that it names, if it does.
    pub(super) fn named_moment(&self) -> Result<Option<TypedMoment>> {
        self.moment(self.mount_options()?)
    }

    fn mount_options(&self) -> Result<MountOptions> {
        MountOptions::parse(&self.options, self.sloppy)
    }

    /// The archives, and the directory that comes last.
    pub(crate) fn paths(&self) -> Option<(&PathBuf, &[PathBuf])> {
        self.paths.split_last()
    }

    /// The snapshot to show; [`SnapshotSpec::Latest`] follows.
    pub(crate) fn at(&self) -> Result<SnapshotSpec> {
        Ok(self.named_moment()?.map_or(SnapshotSpec::Latest, |moment| moment.spec))
    }

    fn moment(&self, options: MountOptions) -> Result<Option<TypedMoment>> {
        match (self.at.clone(), options.at) {
            (Some(flag), Some(option)) if flag != option => {
                Err(Error::new(ErrorKind::Usage, "--at and -o snapshot= name different snapshots")
                    .hint("leave one of them out"))
            }
            (flag, option) => Ok(flag.or(option)),
        }
    }

    pub(crate) fn run(self, ui: &Ui) -> Result<()> {
        let stays = std::env::var_os(STAYS).is_some();
        let options = self.mount_options()?;
        // Everything that can be wrong is looked at here, while there is a terminal to say so.
        let Some((directory, archives)) = self.paths() else {
            return Err(Error::new(ErrorKind::Usage, "no archive is named").hint("vandelay mount ARCHIVE DIRECTORY"));
        };
        for word in options.unknown.iter().filter(|_| !stays) {
            ui.warn(&format!("mount option {word:?} is unknown and left out, as -s asks"));
        }
        let directory = mountpoint::prepare(directory, archives, &|text| ui.info(text))?;
        // The process that stays leaves the directory that a relative path starts from.
        let log_file = self.log_file.as_deref().map(open_log).transpose()?;
        let at = self.at()?;
        if options.shuts_out_its_owner() && !stays {
            ui.warn("the user of uid= cannot read the mount: add -o allow_other");
        }
        let tree_options = tree::TreeOptions {
            at,
            layout: options.layout,
            snapshots_visible: options.snapshots_visible,
            cache_size: self.cache_size,
            info_separator: options.info_separator,
            views: options.views,
        };
        let (forest, account) = open(archives, tree_options)?;
        if forest.is_empty() && !stays {
            ui.warn("there is no archive in that folder yet; one that appears will be shown");
        }
        if !stays {
            warn_of_incomplete(archives, ui);
        }
        if self.fake {
            return Ok(());
        }
        if !self.foreground && !stays {
            return self.start(ui, &directory);
        }
        // mount(8) knows a line of fstab as mounted by its first field.
        let arguments: Vec<_> = std::env::args_os().collect();
        let source = match archives {
            [archive] if mount_options::is_helper(&arguments) => archive.display().to_string(),
            _ => format!("vandelay:{}", account.replace(',', "_")),
        };
        let session_options = session::Options {
            ownership: options.ownership(),
            access: options.access,
            xattr: options.xattr,
            source: options.fsname.clone().unwrap_or(source),
            threads: self.threads,
            stats: self.stats,
            read_ahead: self.read_ahead,
        };
        if stays {
            setsid().ok();
        }
        let log = Log { file: log_file, to_terminal: !stays };
        let ready = || {
            if stays {
                detach();
            } else {
                if ui.json {
                    ui.object("summary", json!({ "directory": on_disk(&directory) }));
                }
                ui.info(&format!(
                    "mounted at {0}; to unmount: Ctrl-C, or {1}",
                    directory.display(),
                    umount(&directory)
                ));
                // systemd.service(5), Type=notify; without systemd it does nothing.
                let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
            }
        };
        serve(forest, &directory, &session_options, Arc::new(move |text: &str| log.line(text)), ready)
    }

    /// Starts the process that stays, and waits until its mount answers.
    fn start(&self, ui: &Ui, directory: &std::path::Path) -> Result<()> {
        let fail = |error| Error::io("cannot start the process of the mount", error);
        let program = std::env::current_exe().map_err(fail)?;
        // Its name too: as a mount helper the program is called in another way.
        let mut arguments = std::env::args_os();
        let mut child = Command::new(program)
            .arg0(arguments.next().unwrap_or_else(|| "vandelay".into()))
            .args(arguments)
            .env(STAYS, std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(fail)?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            let _ = BufReader::new(output).read_line(&mut line);
        }
        if line.trim() == READY {
            if ui.json {
                ui.object("summary", json!({ "directory": on_disk(directory) }));
            }
            ui.info(&format!("mounted at {}; to unmount: {}", directory.display(), umount(directory)));
            return Ok(());
        }
        // It has said why on stderr, which it shares with us, and with --json to us.
        ui.raw(line.as_bytes());
        let code = child.wait().map_err(fail)?.code().unwrap_or(7);
        std::process::exit(code);
    }
}

/// The archives to be mounted, and what to call them. Of several, each is opened when a program looks into it.
fn open(archives: &[PathBuf], options: tree::TreeOptions) -> Result<(Archives, String)> {
    match archives {
        [archive] if !archive.is_dir() => {
            let reader = Arc::new(Reader::open(archive)?);
            let account = reader.account()?;
            Ok((Archives::one(Tree::open(reader, options)?), account))
        }
        _ => {
            let mut absolute = Vec::new();
            for archive in archives {
                absolute.push(std::fs::canonicalize(archive).map_err(|error| {
                    Error::new(ErrorKind::NoArchive, format!("cannot open archive {}", archive.display()))
                        .because(error)
                        .hint("the directory to mount at comes last, all archives before it")
                })?);
            }
            let first = absolute.first().map(|first| first.display().to_string()).unwrap_or_default();
            let name = if let [folder] = &*absolute { folder.display().to_string() } else { format!("{first},…") };
            Ok((Archives::many(&absolute, options)?, name))
        }
    }
}

/// The command that unmounts a directory, as it can be pasted into a shell.
pub(super) fn umount(directory: &Path) -> String {
    format!("vandelay umount {}", quoted(&directory.display().to_string()))
}

/// The log file's path, as it can be used from any directory; it is made here, while errors still reach the user's terminal.
fn open_log(path: &Path) -> Result<PathBuf> {
    let fail = |error| Error::io(format!("cannot write the log file {}", path.display()), error);
    let path = std::path::absolute(path).map_err(fail)?;
    OpenOptions::new().create(true).append(true).mode(0o600).open(&path).map_err(fail)?;
    Ok(path)
}

/// Tells the process that waits, and lets go of the terminal.
fn detach() {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{READY}");
    let _ = out.flush();
    if let Ok(null) = OpenOptions::new().read(true).write(true).open("/dev/null") {
        let _ = dup2_stdin(&null);
        let _ = dup2_stdout(&null);
        let _ = dup2_stderr(&null);
    }
    let _ = std::env::set_current_dir("/");
}

/// Where a mount says what goes wrong.
#[derive(Clone)]
struct Log {
    file: Option<PathBuf>,
    to_terminal: bool,
}

impl Log {
    fn line(&self, text: &str) {
        let text = clean(text);
        if let Some(path) = &self.file {
            let line = format!("{} vandelay[{}]: {text}\n", now(), std::process::id());
            let _ = OpenOptions::new()
                .create(true)
                .append(true)
                .mode(0o600)
                .open(path)
                .and_then(|mut file| file.write_all(line.as_bytes()));
        } else if self.to_terminal {
            let _ = writeln!(std::io::stderr().lock(), "{text}");
        } else if let Ok(socket) = UnixDatagram::unbound() {
            // RFC 3164: daemon (3), error (3).
            let _ = socket.send_to(format!("<27>vandelay[{}]: {text}", std::process::id()).as_bytes(), "/dev/log");
        }
    }
}

impl Umount {
    pub(crate) fn run(self, ui: &Ui) -> Result<()> {
        let mounted = mountpoint::mounted()?;
        // One that cannot be unmounted must not keep the others.
        let unmount = |directory: &PathBuf| -> Result<()> {
            let absolute = mountpoint::without_links(directory)
                .map_err(|error| Error::io(format!("cannot unmount {}", directory.display()), error))?;
            let find = |path: &Path| mounted.iter().find(|mount| mount.directory == path);
            // By its name first: one that is dead may not even say whether it is a link.
            let mount = find(&absolute).or_else(|| find(&std::fs::canonicalize(directory).ok()?));
            let Some(mount) = mount else {
                return Err(Error::new(ErrorKind::Usage, format!("no archive is mounted at {}", directory.display()))
                    .hint("'vandelay mounts' lists what is mounted"));
            };
            if mount.answers() {
                mountpoint::unmount(&mount.directory, self.lazy)?;
            } else {
                mount.force_unmount()?;
            }
            ui.detail(&format!("unmounted {}", mount.directory.display()));
            Ok(())
        };
        let (mut failed, mut unmounted) = (None, Vec::new());
        for directory in &self.directories {
            match unmount(directory) {
                Ok(()) => unmounted.push(on_disk(directory)),
                Err(error) if failed.is_none() => failed = Some(error),
                Err(error) => ui.warn(&format!("error: {error}")),
            }
        }
        if ui.json {
            ui.object("summary", json!({ "directories": unmounted, "count": unmounted.len() }));
        }
        failed.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(parse_size("64M"), Ok(64 << 20));
        assert_eq!(parse_size("1GiB"), Ok(1 << 30));
        assert_eq!(parse_size(" 12 "), Ok(12));
        assert!(parse_size("12X").is_err() && parse_size("").is_err() && parse_size("99999999999999999999").is_err());
    }
}

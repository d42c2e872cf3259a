//! Serving a mount: from the system call to the signal that ends it.

use super::adapter::Adapter;
use super::attributes::Ownership;
use super::readers::Device;
use super::shared::Log;
use super::{invalidate, large, mountpoint, prefetch, prefetch_queue};
use crate::error::{Error, ErrorKind, Result};
use crate::tree::archives::{ARCHIVES_MAX, Archives};
use fuser::{Config, MountOption, SessionACL};
use rustix::fs::{major, minor};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::mem::ManuallyDrop;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

/// The users that may look into a mount, beside the one who mounted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Access {
    /// No other user, not even root.
    #[default]
    Owner,
    /// The owner and root.
    Root,
    /// All that the permission bits allow.
    Others,
}

/// How a mount is made.
#[derive(Debug, Clone)]
pub struct Options {
    /// The owner and the permissions that every file shows.
    pub ownership: Ownership,
    /// The users that the kernel lets in.
    pub access: Access,
    /// Files show their extended attributes (LAYOUT.md).
    pub xattr: bool,
    /// What `mount` and `df` show as the source.
    pub source: String,
    /// Threads that answer requests.
    pub threads: usize,
    /// Say on unmount what was served.
    pub stats: bool,
    /// Bytes that the kernel reads ahead in one file; only root can set it.
    pub read_ahead: u64,
}

/// Mounts the trees, calls `ready` once they answer, and serves them until they are unmounted or a signal asks for it.
///
/// SIGINT and SIGTERM unmount. While processes use the mount, the first signal only names them, and the second detaches
/// it.
pub fn serve(archives: Archives, directory: &Path, options: &Options, log: Log, ready: impl FnOnce()) -> Result<()> {
    keep_memory_flat();
    let mut signals =
        Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(|error| Error::io("cannot wait for signals", error))?;
    let left_out = archives.left_out();
    if left_out > 0 {
        log(&format!("error: {left_out} archives are not shown: one mount shows at most {ARCHIVES_MAX}"));
    }
    let say = Arc::clone(&log);
    let (adapter, large_files) = Adapter::new(archives, options.ownership, options.xattr, log);
    let shared = adapter.shared();
    // A tree that cannot be listed should not be mounted.
    shared.check()?;
    let session =
        fuser::Session::new(adapter, directory, &config(options)).map_err(|error| explain(directory, error))?;
    if let Ok(device) = Device::of(&session) {
        let _ = shared.device.set(device);
    }
    for requests in large_files {
        let shared = Arc::clone(&shared);
        std::thread::spawn(move || large::work(&shared, &requests));
    }
    let session = session.spawn().map_err(|error| Error::io("cannot start the threads of the mount", error))?;
    // The kernel answers for the root only after its first exchange with this process.
    let device = std::fs::metadata(directory)
        .map_err(|error| Error::io(format!("the mount at {} does not answer", directory.display()), error))?
        .dev();
    read_ahead(device, options.read_ahead);
    ready();

    let (stop_following, stopped) = std::sync::mpsc::channel();
    let notifier = session.notifier();
    let followed = Arc::clone(&shared);
    let follower = std::thread::spawn(move || invalidate::follow(&followed, &notifier, &stopped));
    let helpers = [(); prefetch_queue::HELPERS].map(|()| {
        let (shared, notifier) = (Arc::clone(&shared), session.notifier());
        std::thread::spawn(move || prefetch::work(&shared, &notifier))
    });
    let handle = signals.handle();
    let (target, signal_log) = (directory.to_owned(), Arc::clone(&say));
    let watcher = std::thread::spawn(move || unmount_at_signal(&mut signals, &target, device, &signal_log));
    // Dropped, fuser would unmount the directory once more. A detached mount ends with its last user, and by then the
    // directory may be another one's.
    let session = ManuallyDrop::new(session);
    // SAFETY: the handle is read once, and what it is read from is never dropped.
    #[expect(unsafe_code, reason = "fuser gives its handle only together with an unmount")]
    let worker = unsafe { std::ptr::read(&session.guard) };
    let ended = worker.join().unwrap_or_else(|_| Err(std::io::Error::other("a thread of it panicked")));
    handle.close();
    let _ = watcher.join();
    drop(stop_following);
    let _ = follower.join();
    shared.prefetch.stop();
    for helper in helpers {
        let _ = helper.join();
    }
    if options.stats {
        say(&shared.summary(peak_memory()));
    }
    ended.map_err(|error| Error::io(format!("the mount at {} broke", directory.display()), error))
}

/// Waits for a signal, and unmounts: the first time only if no process uses the mount.
fn unmount_at_signal(signals: &mut Signals, directory: &Path, device: u64, log: &Log) {
    let mut is_asked = false;
    for signal in signals.forever() {
        // After the mount is detached, another file system may be mounted there.
        if !std::fs::metadata(directory).is_ok_and(|meta| meta.dev() == device) {
            return;
        }
        match mountpoint::unmount(directory, is_asked || signal == SIGHUP) {
            Ok(()) => return,
            Err(error) if error.kind == ErrorKind::Locked => {
                log(&format!("error: {error}"));
                log("hint: close the programs that use it, or press Ctrl-C once more to detach it anyway");
                is_asked = true;
            }
            // It was unmounted otherwise, and the session ends by itself.
            Err(_) => return,
        }
    }
}

/// Lets the kernel read further ahead in large files: each request then brings more (fuse-performance: a third less
/// time for parallel readers). Without root it stays at the kernel's 128 KiB.
fn read_ahead(device: u64, bytes: u64) {
    let (major, minor) = (major(device), minor(device));
    let _ = std::fs::write(format!("/sys/class/bdi/{major}:{minor}/read_ahead_kb"), (bytes >> 10).to_string());
}

/// The most memory that this process had, in KiB.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Keeps the allocator from holding on to the space of messages that were read once: without this a mount that read
/// 2 GB kept three times of what its cache may hold. Space of up to a few MiB is used again, as asking the kernel for
/// it costs more than reading a message.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "no crate has mallopt")]
fn keep_memory_flat() {
    // SAFETY: mallopt only sets numbers of the allocator; no other thread runs yet that could set them too.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 4 << 20);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 8 << 20);
        libc::mallopt(libc::M_ARENA_MAX, 2);
    }
}

/// musl's allocator has no such numbers, and gives large blocks back at once.
#[cfg(not(target_env = "gnu"))]
fn keep_memory_flat() {}

fn config(options: &Options) -> Config {
    let mut config = Config::default();
    config.mount_options = vec![
        MountOption::RO,
        MountOption::NoSuid,
        MountOption::NoDev,
        MountOption::NoExec,
        MountOption::NoAtime,
        MountOption::FSName(options.source.clone()),
        // fuser's own Subtype does not reach the kernel when root mounts.
        MountOption::CUSTOM("subtype=vandelay".to_owned()),
        // The kernel checks the permission bits, also for other users.
        MountOption::DefaultPermissions,
    ];
    config.acl = match options.access {
        Access::Owner => SessionACL::Owner,
        Access::Root => SessionACL::RootAndOwner,
        Access::Others => SessionACL::All,
    };
    config.n_threads = Some(options.threads.max(1));
    config
}

fn explain(directory: &Path, error: std::io::Error) -> Error {
    let what = format!("cannot mount at {}", directory.display());
    // What fusermount3 said ends with its line.
    let error = std::io::Error::new(error.kind(), error.to_string().trim_end().to_owned());
    if !Path::new("/dev/fuse").exists() {
        return Error::new(ErrorKind::Storage, format!("{what}: this machine has no FUSE"))
            .hint("use 'vandelay ls', 'cat' and 'extract' instead, or install fuse3");
    }
    if std::fs::File::options().read(true).write(true).open("/dev/fuse").is_err() {
        return Error::io(what, error)
            .hint("you are not allowed to open /dev/fuse: ask root (Debian's default is mode 666); 'vandelay ls', 'cat' and 'extract' need no FUSE");
    }
    match error.kind() {
        std::io::ErrorKind::NotFound => {
            Error::io(what, error).hint("install FUSE (apt install fuse3), or use 'vandelay ls', 'cat' and 'extract'")
        }
        std::io::ErrorKind::PermissionDenied => Error::io(what, error)
            .hint("allow_other and allow_root need 'user_allow_other' in /etc/fuse.conf unless you are root"),
        _ => Error::io(what, error),
    }
}

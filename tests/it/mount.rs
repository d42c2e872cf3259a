//! The mount as programs meet it: the real program and the real kernel.

use crate::common;
use crate::common::account::{
    Account, Guarded, below, both, contents, done, errno, is_mounted, messages, mount_line, sh, text, wait,
};
use crate::common::{Mounted, deliver, fails, has, listed, message, ok, run, skip, vandelay};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CString, OsStr};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Where the folders of [`Account::new`] are to be found in the tree.
const FOLDERS: [(&str, &str); 5] = [
    ("", "INBOX"),
    (".Archive", "Archive"),
    (".Archive.2020", "Archive/2020"),
    (".Entw&APw-rfe", "Entwürfe"),
    (".Lists.Rust", "Lists/Rust"),
];

fn c(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).expect("no NUL")
}

/// The outcome of a system call that gives -1 on failure.
fn call(outcome: i32) -> io::Result<()> {
    if outcome == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A message of the mounted inbox.
fn a_message(mount: &Path) -> PathBuf {
    let mut names: Vec<PathBuf> = fs::read_dir(mount.join("mail/INBOX/cur"))
        .expect("an inbox")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    names.sort();
    names.swap_remove(0)
}

/// What is in a directory, and the bytes and times of its files.
fn state(directory: &Path) -> BTreeMap<PathBuf, (Vec<u8>, i64, i64, u32)> {
    let stamp = |path: &Path| {
        let meta = fs::metadata(directory.join(path)).expect("a file");
        (meta.mtime(), meta.mtime_nsec(), meta.mode())
    };
    contents(directory)
        .into_iter()
        .map(|(path, bytes)| {
            let (seconds, nanoseconds, mode) = stamp(&path);
            (path, (bytes, seconds, nanoseconds, mode))
        })
        .collect()
}

// --- nothing can be changed --------------------------------------------------------------------------------------

#[test]
fn every_change_is_refused() {
    let account = Account::new();
    let Some(mount) = account.mount(&["-o", "xattr,snapshots=visible"]) else { return };
    let line = mount_line(&mount.at).expect("mounted");
    let words: Vec<&str> = line.split(' ').collect();
    assert_eq!((words[0], words[2]), ("vandelay:Maildir", "fuse.vandelay"));
    for option in ["ro", "nosuid", "nodev"] {
        assert!(words[3].split(',').any(|word| word == option), "{option}: {line}");
    }

    let file = a_message(&mount.at);
    let snapshot = fs::read_dir(mount.at.join(".snapshots")).unwrap().next().unwrap().unwrap().path();
    for directory in [mount.at.clone(), mount.at.join("mail/INBOX/cur"), mount.at.join("mail/INBOX/new"), snapshot] {
        let new = directory.join("new-name");
        let outcomes = [
            ("create", File::create(&new).map(drop)),
            ("mkdir", fs::create_dir(&new)),
            ("link", fs::hard_link(&file, &new)),
            ("symlink", symlink("target", &new)),
            ("rename into", fs::rename(&file, &new)),
            // SAFETY: paths that end in NUL.
            ("mkfifo", call(unsafe { libc::mkfifo(c(&new).as_ptr(), 0o600) })),
            ("chmod", fs::set_permissions(&directory, fs::Permissions::from_mode(0o777))),
            ("chown", std::os::unix::fs::chown(&directory, Some(1), Some(1))),
            ("access", call(unsafe { libc::access(c(&directory).as_ptr(), libc::W_OK) })),
        ];
        for (name, outcome) in outcomes {
            assert_eq!(errno(outcome), Some(libc::EROFS), "{name} in {}", directory.display());
        }
    }
    let open = |options: &mut OpenOptions| options.open(&file).map(drop);
    let path = c(&file);
    let name = c"user.vandelay.keywords";
    let outcomes = [
        ("read and write", open(OpenOptions::new().read(true).write(true))),
        ("write", open(OpenOptions::new().write(true))),
        ("append", open(OpenOptions::new().append(true))),
        ("truncate", open(OpenOptions::new().write(true).truncate(true))),
        ("create", open(OpenOptions::new().write(true).create(true))),
        ("unlink", fs::remove_file(&file)),
        ("rename away", fs::rename(&file, mount.at.join("mail/INBOX/new/x"))),
        ("rename of a directory", fs::rename(mount.at.join("mail/INBOX"), mount.at.join("mail/x"))),
        ("rmdir", fs::remove_dir(mount.at.join("mail/INBOX/new"))),
        ("chmod", fs::set_permissions(&file, fs::Permissions::from_mode(0o777))),
        ("chown", std::os::unix::fs::chown(&file, Some(1), Some(1))),
        // SAFETY: paths that end in NUL, and values that outlive the call.
        ("path truncate", call(unsafe { libc::truncate(path.as_ptr(), 0) })),
        ("utimes", call(unsafe { libc::utimes(path.as_ptr(), std::ptr::null()) })),
        ("setxattr", call(unsafe { libc::setxattr(path.as_ptr(), name.as_ptr(), name.as_ptr().cast(), 4, 0) })),
        ("removexattr", call(unsafe { libc::removexattr(path.as_ptr(), name.as_ptr()) })),
        ("access", call(unsafe { libc::access(path.as_ptr(), libc::W_OK) })),
    ];
    for (name, outcome) in outcomes {
        assert_eq!(errno(outcome), Some(libc::EROFS), "{name}");
    }
    // SAFETY: flags that ask for writing, which a mount of ours never grants.
    let remount = unsafe { libc::open(c(&mount.at).as_ptr(), libc::O_TMPFILE | libc::O_RDWR, 0o600) };
    assert_eq!(errno(call(remount)), Some(libc::EROFS), "an unnamed file");
}

// --- reading leaves no trace -------------------------------------------------------------------------------------

#[test]
fn reading_everything_leaves_the_archive_alone() {
    let account = Account::new();
    let store = account.path().join("store");
    let before = state(&store);
    let files = before.keys().filter(|path| !text(path).ends_with(".search")).count();
    assert_eq!(files, 1, "an archive at rest is one file, and an index of searches: {:?}", before.keys());
    assert!(before.values().all(|(_, _, _, mode)| mode & 0o777 == 0o600), "only the owner reads an archive");
    {
        let Some(mount) = account.mount(&["-o", "snapshots=visible"]) else { return };
        let walk = |at: &Path| {
            sh("sh", &["-c", &format!("cd '{}' && find . -type f -print0 | xargs -0 cat | wc -c", at.display())])
        };
        assert!(walk(&mount.at).trim().parse::<u64>().unwrap() > 10_000);
        assert!(state(&store) == before, "while mounted");
    }
    wait(|| !is_mounted(&account.mountpoint()), String::new);
    assert!(state(&store) == before, "after unmounting");
}

#[test]
fn a_read_only_medium_is_enough() {
    let account = Account::new();
    // A live archive with a log and no index beside it is the harder case; make one as a crash leaves it.
    let archive = account.archive();
    let live = account.path().join("live.sqlite");
    let keep = rusqlite::Connection::open(&archive).unwrap();
    keep.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE of_another_program (x);",
    )
    .unwrap();
    fs::copy(&archive, &live).unwrap();
    fs::copy(account.path().join("store/alice.sqlite-wal"), account.path().join("live.sqlite-wal")).unwrap();
    drop(keep);
    let medium = account.path().join("medium");
    fs::create_dir(&medium).unwrap();
    fs::rename(&archive, medium.join("quiet.sqlite")).unwrap();
    fs::rename(&live, medium.join("live.sqlite")).unwrap();
    fs::rename(account.path().join("live.sqlite-wal"), medium.join("live.sqlite-wal")).unwrap();
    let before = state(&medium);
    sh("mount", &["--bind", text(&medium), text(&medium)]);
    let _medium = BindMount(medium.clone());
    sh("mount", &["-o", "remount,bind,ro", text(&medium)]);
    for name in ["quiet.sqlite", "live.sqlite"] {
        let archive = medium.join(name);
        ok(&["inspect", text(&archive)]);
        ok(&["verify", text(&archive)]);
        let Some(mount) = Mounted::new(&archive, &account.path().join(name), &[]) else { return };
        assert_eq!(messages(&mount.at.join("mail/INBOX")), messages(&account.maildir()), "{name}");
    }
    assert!(state(&medium) == before);
}

/// A bind mount, taken away on drop.
struct BindMount(PathBuf);

impl Drop for BindMount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).output();
    }
}

// --- what files hold ---------------------------------------------------------------------------------------------

#[test]
fn files_are_what_was_imported() {
    let account = Account::new();
    let Some(mount) = account.mount(&[]) else { return };
    for (source, folder) in FOLDERS {
        let found = messages(&mount.at.join("mail").join(folder));
        assert_eq!(found, messages(&account.maildir().join(source)), "{folder}");
    }
    let sums = |directory: &Path| -> BTreeSet<String> {
        let command = format!("find '{}' -path '*/cur/*' -type f -exec sha256sum {{}} +", directory.display());
        sh("sh", &["-c", &command]).lines().map(|line| line[..64].to_owned()).collect()
    };
    assert_eq!(sums(&mount.at), sums(&account.maildir()));
    for (path, meta) in below(&mount.at) {
        if meta.is_file() {
            let bytes = fs::read(mount.at.join(&path)).unwrap();
            assert_eq!(
                (bytes.len() as u64, bytes.len().div_ceil(512) as u64),
                (meta.len(), meta.blocks()),
                "{}",
                path.display()
            );
        }
        if path.components().rev().nth(1).is_some_and(|parent| parent.as_os_str() == "cur") {
            let name = path.file_name().unwrap().to_str().unwrap();
            assert!(name.contains(&format!(",S={}:2,", meta.len())), "{name}");
            assert_eq!(Some(meta.mtime().to_string().as_str()), name.split('.').next());
        }
    }
}

#[test]
fn every_way_of_reading_gives_the_same_bytes() {
    let account = Account::empty();
    let mut numbers = Numbers(7);
    let mut body = |size: usize| -> Vec<u8> {
        let mut bytes = message(1);
        bytes.extend((0..size).map(|_| b"abcdefghijklmnopqrstuvwxyz\r\n "[numbers.below(29)]));
        bytes
    };
    // Small, of many pages, and too large to be kept whole.
    for (at, size) in [3_u64, 700_001, 9 << 20].into_iter().enumerate() {
        deliver(&account.maildir(), &format!("{}.M{at}.host:2,S", 1_500_000_000 + at), &body(size as usize));
    }
    account.import();
    let Some(mount) = account.mount(&[]) else { return };
    for (entry, (_, _, bytes)) in sorted(&mount.at.join("mail/INBOX/cur")).iter().zip(messages(&account.maildir())) {
        let path = entry.as_path();
        let file = File::open(path).unwrap();
        for _ in 0..200 {
            let offset = numbers.below(bytes.len() + 10);
            let mut buffer = vec![0; numbers.below(200_000)];
            let count = read_full_at(&file, &mut buffer, offset as u64);
            let expected = bytes.get(offset..(offset + buffer.len()).min(bytes.len())).unwrap_or_default();
            assert!(buffer[..count] == *expected, "{offset} of {}", bytes.len());
        }
        assert!(read_direct(path) == bytes, "O_DIRECT");
        assert!(read_mapped(path, bytes.len()) == bytes, "mmap");
        let run = |command: &str| {
            let output = Command::new("sh").args(["-c", command, "sh"]).arg(path).output().unwrap();
            assert!(output.status.success(), "{command}: {}", both(&output));
            output.stdout
        };
        assert!(run("cat \"$1\"") == bytes);
        assert!(run("tail -c 100 \"$1\"") == bytes[bytes.len() - 100..]);
        assert!(run("tail -c +50 \"$1\"") == bytes[49..]);
        assert!(run("tac -r -s 'x\\|[^x]' \"$1\" | head -c 1") == bytes[bytes.len() - 1..]);
        assert!(run("dd if=\"$1\" bs=1 skip=20 count=3000 status=none") == bytes[20..bytes.len().min(3_020)]);
        assert!(run("dd if=\"$1\" bs=64K iflag=direct status=none") == bytes);
        assert!(run("cp \"$1\" \"$1\" 2>/dev/null; cp --reflink=auto --sparse=always \"$1\" /dev/stdout") == bytes);
        let mut file = file;
        file.seek(SeekFrom::End(-5)).unwrap();
        let mut tail = Vec::new();
        file.read_to_end(&mut tail).unwrap();
        assert_eq!(tail, bytes[bytes.len() - 5..]);
    }
}

/// The entries of a directory by name.
#[test]
fn messages_read_in_a_row_are_what_each_is_alone() {
    let account = Account::empty();
    common::maildir(&account.maildir(), 400, 3_000);
    account.import();
    // An index that is wrong about a size: the file has that size, however it is read.
    let archive = rusqlite::Connection::open(account.archive()).unwrap();
    let sql = "UPDATE email_index SET size = size - 100 WHERE email_id % 50 = 0";
    assert!(archive.execute(sql, []).unwrap() > 5);
    archive.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop(archive);
    let alone = common::tree(&account.archive(), "latest");
    let Some(mount) = account.mount(&[]) else { return };
    for folder in ["INBOX", "Work"] {
        let cur = mount.at.join("mail").join(folder).join("cur");
        // As grep does: all names first, then one file after the other in that order.
        let names: Vec<_> = fs::read_dir(&cur).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(names.len() > 60, "{}", names.len());
        for name in names {
            let path = cur.join(&name);
            let bytes = fs::read(&path).unwrap();
            let expected = &alone[&format!("mail/{folder}/cur/{}", name.to_str().unwrap())];
            assert_eq!(bytes.len() as u64, fs::metadata(&path).unwrap().len(), "{}", path.display());
            assert!(bytes == expected[..bytes.len()] && bytes.len() + 100 >= expected.len(), "{}", path.display());
        }
    }
}

fn sorted(directory: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn read_full_at(file: &File, buffer: &mut [u8], offset: u64) -> usize {
    let mut count = 0;
    while count < buffer.len() {
        match file.read_at(&mut buffer[count..], offset + count as u64).unwrap() {
            0 => break,
            more => count += more,
        }
    }
    count
}

fn read_direct(path: &Path) -> Vec<u8> {
    let mut file = OpenOptions::new().read(true).custom_flags(libc::O_DIRECT).open(path).unwrap();
    let mut bytes = Vec::new();
    // Odd sizes: FUSE asks for no alignment.
    let mut buffer = vec![0; 77_777];
    loop {
        match file.read(&mut buffer).unwrap() {
            0 => return bytes,
            count => bytes.extend(&buffer[..count]),
        }
    }
}

fn read_mapped(path: &Path, length: usize) -> Vec<u8> {
    let file = File::open(path).unwrap();
    // SAFETY: a private mapping of a whole file, copied before it is taken away.
    unsafe {
        let start = libc::mmap(std::ptr::null_mut(), length, libc::PROT_READ, libc::MAP_PRIVATE, file.as_raw_fd(), 0);
        assert_ne!(start, libc::MAP_FAILED);
        let bytes = std::slice::from_raw_parts(start.cast::<u8>(), length).to_vec();
        libc::munmap(start, length);
        bytes
    }
}

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }
}

// --- listings ----------------------------------------------------------------------------------------------------

/// What getdents64 gives of an entry: its name, inode, type and where the listing goes on behind it.
type Line = (Vec<u8>, u64, u8, i64);

/// One call of getdents64 with this much room.
fn lines(directory: &File, room: usize) -> Vec<Line> {
    let mut buffer = vec![0_u8; room];
    // SAFETY: the kernel writes at most `room` bytes.
    let count = unsafe { libc::syscall(libc::SYS_getdents64, directory.as_raw_fd(), buffer.as_mut_ptr(), room) };
    assert!(count >= 0, "getdents64 with {room}: {}", io::Error::last_os_error());
    let mut rest = &buffer[..count as usize];
    let mut found = Vec::new();
    while !rest.is_empty() {
        let word = |at: usize| u64::from_ne_bytes(rest[at..at + 8].try_into().unwrap());
        let length = u16::from_ne_bytes([rest[16], rest[17]]) as usize;
        let name = rest[19..length].split(|byte| *byte == 0).next().unwrap().to_vec();
        found.push((name, word(0), rest[18], word(8) as i64));
        rest = &rest[length..];
    }
    found
}

fn all_lines(path: &Path, room: usize) -> Vec<Line> {
    let directory = File::open(path).unwrap();
    let mut found = Vec::new();
    loop {
        match lines(&directory, room) {
            more if more.is_empty() => return found,
            more => found.extend(more),
        }
    }
}

#[test]
fn listings_can_be_taken_up_anywhere() {
    let account = Account::new();
    for number in 100..700 {
        deliver(
            &account.maildir().join(".Many"),
            &format!("{}.M{number}.host:2,S", 1_400_000_000 + number),
            &message(number),
        );
    }
    account.import();
    let Some(mount) = account.mount(&["-o", "snapshots=visible"]) else { return };
    for directory in ["", "mail", "mail/INBOX", "mail/Many/cur", ".snapshots", "merged", "mail/INBOX/new"] {
        let path = mount.at.join(directory);
        let whole = all_lines(&path, 1 << 16);
        let names: BTreeSet<&[u8]> = whole.iter().map(|line| &*line.0).collect();
        assert_eq!(names.len(), whole.len(), "{directory}: no name twice");
        assert!(whole.iter().all(|line| line.2 != libc::DT_UNKNOWN), "{directory}: types are told");
        // Room for two lines, for one and a half, and for a few.
        for room in [120, 90, 400] {
            assert_eq!(all_lines(&path, room), whole, "{directory} by {room} bytes");
        }
        let mut handle = File::open(&path).unwrap();
        for (at, line) in whole.iter().enumerate().step_by(1 + whole.len() / 40).collect::<Vec<_>>().into_iter().rev() {
            handle.seek(SeekFrom::Start(line.3 as u64)).unwrap();
            let next = lines(&handle, 300);
            assert_eq!(next.first(), whole.get(at + 1), "{directory}: behind line {at}");
        }
        handle.seek(SeekFrom::Start(0)).unwrap();
        assert_eq!(lines(&handle, 300).first(), whole.first(), "{directory}: rewound");
    }
    assert_eq!(all_lines(&mount.at.join("mail/Many/cur"), 120).len(), 602);
    // What is empty has the two lines that every directory has, also one by one; but for `new` and `tmp` (LAYOUT.md).
    for (directory, expected) in
        [("sieve", &[&b"."[..], b".."][..]), ("files", &[b".", b".."]), ("mail/INBOX/new", &[]), ("mail/Many/tmp", &[])]
    {
        for room in [1 << 16, 24] {
            let listed = all_lines(&mount.at.join(directory), room);
            assert_eq!(listed.iter().map(|line| &*line.0).collect::<Vec<_>>(), expected, "{directory} by {room} bytes");
        }
    }

    // A listing that is under way while the archive grows and a second mount shows the new state.
    let directory = File::open(mount.at.join("mail/Many/cur")).unwrap();
    let mut seen = lines(&directory, 4_000);
    deliver(&account.maildir().join(".Many"), "1.M1.host:2,", &message(9));
    account.import();
    loop {
        match lines(&directory, 4_000) {
            more if more.is_empty() => break,
            more => seen.extend(more),
        }
    }
    assert_eq!(seen.len(), 602);
    assert_eq!(seen.iter().map(|line| &line.0).collect::<BTreeSet<_>>().len(), 602);
}

// --- what stays the same -----------------------------------------------------------------------------------------

/// What clients remember of a file: they take any change for a new one.
fn memory(mount: &Path) -> BTreeMap<PathBuf, (u64, i64, u64, u64)> {
    below(mount).into_iter().map(|(path, meta)| (path, (meta.ino(), meta.mtime(), meta.len(), meta.nlink()))).collect()
}

#[test]
fn a_remount_changes_nothing() {
    let account = Account::new();
    let options = ["-o", "snapshots=visible"];
    let shown = || account.mount(&options).map(|mount| memory(&mount.at));
    let Some(first) = shown() else { return };
    assert_eq!(shown().unwrap(), first, "a second mount");
    // An import that finds nothing, and one that has to do with one folder only.
    account.import();
    account.deliver(".Archive.2020", 50);
    account.import();
    let then = shown().unwrap();
    let touched = |path: &Path| {
        path.starts_with(".snapshots")
            || path.starts_with("mail/Archive")
            || path == Path::new("mail")
            || path == Path::new("")
    };
    for (path, before) in first.iter().filter(|(path, _)| !path.starts_with(".snapshots")) {
        match then.get(path) {
            // Folders above the new message are newer now, and that is all.
            Some(after) if touched(path) => assert_eq!(after.0, before.0, "{}", path.display()),
            after => {
                // An import that has nothing to do with it moves no time.
                let is_promised = !path.starts_with("text") && !path.starts_with("attachments");
                assert_eq!(
                    after.map(|after| (after.0, after.2, after.3)),
                    Some((before.0, before.2, before.3)),
                    "{}",
                    path.display()
                );
                assert!(!is_promised || after == Some(before), "{}: {before:?} {after:?}", path.display());
            }
        }
    }
    for (path, before) in
        first.iter().filter(|(path, _)| path.starts_with(".snapshots") && path.components().count() > 2)
    {
        assert_eq!(then.get(path), Some(before), "{}", path.display());
    }
    let old = Path::new("mail/Archive/2020/cur");
    assert!(then[old].1 > first[old].1, "the folder that changed is newer");
}

#[test]
fn directories_count_their_subdirectories() {
    let account = Account::new();
    for options in ["snapshots=visible", "layout=maildir++"] {
        let Some(mount) = account.mount(&["-o", options]) else { return };
        let all = below(&mount.at);
        let mut counts: BTreeMap<&Path, u64> = BTreeMap::new();
        for path in all.iter().filter(|(_, meta)| meta.is_dir()).map(|(path, _)| path) {
            *counts.entry(path.parent().unwrap()).or_default() += 1;
        }
        let root = fs::metadata(&mount.at).unwrap();
        for (path, meta) in all.iter().map(|(path, meta)| (path.as_path(), meta)).chain([(Path::new(""), &root)]) {
            // Whether a message has attachments is not known before it is decoded: 1 says that nobody counted.
            let in_snapshot = path.strip_prefix(".snapshots").ok().map(|rest| rest.components().skip(1).collect());
            let in_root: PathBuf = in_snapshot.unwrap_or_else(|| path.to_owned());
            let is_uncounted =
                in_root.starts_with("attachments") && in_root.components().count() > 1 && meta.nlink() == 1;
            if meta.is_dir() && !is_uncounted {
                assert_eq!(meta.nlink(), 2 + counts.get(path).copied().unwrap_or(0), "{options}: {}", path.display());
                assert_ne!(meta.mtime(), 0, "{options}: {}", path.display());
            }
        }
    }
}

#[test]
fn a_message_in_two_mailboxes_is_one_file() {
    let account = Account::empty();
    let mbox = account.path().join("All mail.mbox");
    fs::write(&mbox, "From 1@xxx Mon Jan 01 00:00:00 +0000 2024\nX-Gmail-Labels: Inbox,Work\nSubject: x\nMessage-ID: <1@x>\n\nbody\n").unwrap();
    ok(&["import", "takeout", text(&mbox), text(&account.archive())]);
    let Some(mount) = account.mount(&[]) else { return };
    let one = |folder: &str| sorted(&mount.at.join("mail").join(folder).join("cur")).swap_remove(0);
    let (first, second) = (fs::metadata(one("Inbox")).unwrap(), fs::metadata(one("Work")).unwrap());
    assert_eq!((first.ino(), first.nlink()), (second.ino(), 2));
}

#[test]
fn attachments_of_what_is_gone_are_in_the_snapshots() {
    let account = Account::empty();
    // In more mailboxes than there are numbers of folders for it.
    let labels: Vec<String> = (1..=17).map(|number| format!("L{number:02}")).collect();
    let many = format!("X-Gmail-Labels: {}", labels.join(","));
    let mail = |labels: &str, name: &str| {
        format!(
            "From 1@xxx Mon Jan 01 00:00:00 +0000 2024\n{labels}\nSubject: {name}\nDate: Mon, 1 Jan 2024 00:00:00 +0000\nMessage-ID: <{name}@x>\nContent-Type: multipart/mixed; boundary=x\n\n--x\nContent-Disposition: attachment; filename={name}.pdf\n\nbytes of {name}\n--x--\n\n"
        )
    };
    let mbox = account.path().join("All mail.mbox");
    fs::write(&mbox, mail(&many, "many") + &mail("X-Gmail-Labels: L01", "one")).unwrap();
    ok(&["import", "takeout", text(&mbox), text(&account.archive())]);
    deliver(&account.maildir(), "1700000001.M1.host:2,", &message(1));
    let gone = "Subject: gone\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Disposition: attachment; filename=gone.pdf\r\n\r\nbytes of gone\r\n--x--\r\n";
    let path = deliver(&account.maildir(), "1700000002.M2.host:2,", gone.as_bytes());
    account.import();
    fs::remove_file(path).unwrap();
    account.import();
    let Some(mount) = account.mount(&[]) else { return };
    let snapshots = sorted(&mount.at.join(".snapshots"));
    assert_eq!(snapshots.len(), 3);
    let inbox = |root: &Path| root.join("attachments/INBOX");
    assert!(sorted(&inbox(&mount.at)).is_empty() && sorted(&inbox(&snapshots[2])).is_empty());
    let folder = sorted(&inbox(&snapshots[1])).swap_remove(0);
    assert_eq!(fs::read(folder.join("gone.pdf")).unwrap(), b"bytes of gone");
    // One directory in each mailbox, and one file in all of them.
    let name = "2024-01-01 0000 many";
    let (mut directories, mut files) = (BTreeSet::new(), BTreeSet::new());
    for root in &snapshots {
        let places = labels.iter().map(|label| root.join("attachments").join(label));
        let shown: Vec<PathBuf> = places.filter(|place| sorted(place).contains(&place.join(name))).collect();
        assert_eq!(shown.len(), 16, "{}", root.display());
        for place in shown {
            let file = place.join(name).join("many.pdf");
            assert_eq!(fs::read(&file).unwrap(), b"bytes of many", "{}", file.display());
            directories.insert(fs::metadata(place.join(name)).unwrap().ino());
            files.insert(fs::metadata(file).unwrap().ino());
        }
        assert!(root.join("attachments/L01/2024-01-01 0000 one/one.pdf").exists());
        assert!(!root.join("attachments/L17").join(name).exists());
    }
    assert_eq!((directories.len(), files.len()), (3 * 16, 1));
    assert!(mount.at.join("attachments/L17").join(name).join("many.pdf").exists(), "the root has all");
}

// --- mounting and unmounting -------------------------------------------------------------------------------------

#[test]
fn mounts_says_what_is_mounted_and_since_when() {
    let account = Account::new();
    if !Path::new("/dev/fuse").exists() {
        return skip("there is no /dev/fuse");
    }
    let before = jiff::Timestamp::now().as_second();
    let mut mounts = Vec::new();
    for (name, options) in [("follows", &[][..]), ("stays", &["-o", "snapshot=1"])] {
        let at = account.path().join(name);
        fs::create_dir(&at).unwrap();
        // By paths that only hold where it was started.
        let mut command = vandelay();
        let output = command.current_dir(account.path()).args(["mount", "store/alice.sqlite", name]).args(options);
        let output = output.output().unwrap();
        assert!(output.status.success(), "{}", both(&output));
        mounts.push(Mounted { at });
    }
    let folder = Mounted::new(&account.path().join("store"), &account.path().join("all"), &[]).unwrap();
    let objects = listed(&["mounts"]);
    let of = |at: &Path| objects.iter().find(|object| object["directory"] == text(at)).unwrap();
    let archive = fs::canonicalize(account.archive()).unwrap();
    for (mount, snapshot) in mounts.iter().zip([None, Some("1")]) {
        let known = of(&mount.at);
        assert_eq!(known["archives"], serde_json::json!([text(&archive)]), "{known}");
        assert_eq!((&known["follows"], &known["at"]), (&snapshot.is_none().into(), &snapshot.into()));
        let since: jiff::Timestamp = known["started_at"].as_str().unwrap().parse().unwrap();
        assert!((before - 2..=before + 60).contains(&since.as_second()), "{known}");
    }
    assert_eq!(of(&folder.at)["archives"], serde_json::json!([text(archive.parent().unwrap())]));
    let wide = vandelay().arg("mounts").env("COLUMNS", "300").output().unwrap();
    let said = String::from_utf8(wide.stdout).unwrap();
    assert!(said.starts_with("DIRECTORY "), "{said}");
    let line = said.lines().find(|line| line.contains(text(&mounts[1].at))).unwrap();
    assert!(line.contains(&format!("  {}  ", archive.display())) && line.contains("  snapshot 1  "), "{line}");
    for columns in ["40", "80"] {
        let output = vandelay().arg("mounts").env("COLUMNS", columns).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.lines().all(|line| line.chars().count() <= columns.parse().unwrap()), "{said}");
    }
}

/// True if `mounts` says that the process of a mount has died.
fn mounts_says_dead(directory: &Path) -> bool {
    let output = vandelay().arg("mounts").env("COLUMNS", "300").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    said.lines().any(|line| line.contains(text(directory)) && line.contains("its process has died"))
}

#[test]
fn an_interrupt_unmounts() {
    let account = Account::new();
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let Some(mut mount) = account.mount_in_foreground(&[]) else { return };
        assert!(a_message(&mount.at).exists());
        let start = Instant::now();
        mount.signal(signal);
        assert_eq!(mount.child.wait().unwrap().code(), Some(0));
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
        assert!(!is_mounted(&mount.at));
        assert_eq!(fs::read_dir(&mount.at).unwrap().count(), 0);
    }
}

#[test]
fn who_uses_the_mount_is_named() {
    let account = Account::new();
    let Some(mut mount) = account.mount_in_foreground(&[]) else { return };
    let user = |directory: &str| {
        Guarded(Command::new("sleep").arg("60").current_dir(mount.at.join(directory)).spawn().expect("sleep"))
    };
    let stands = user("mail/INBOX");
    let reads = {
        let file = File::open(a_message(&mount.at)).unwrap();
        Guarded(Command::new("sleep").arg("61").stdin(file).spawn().expect("sleep"))
    };
    let holders = [format!("sleep ({})", stands.0.id()), format!("sleep ({})", reads.0.id())];

    let said = fails(&["umount", text(&mount.at)], 11);
    assert!(holders.iter().all(|holder| said.contains(holder)) && said.contains("--lazy"), "{said}");
    mount.signal(libc::SIGINT);
    wait(|| holders.iter().all(|holder| mount.said().contains(holder)), || mount.said());
    assert!(is_mounted(&mount.at) && mount.child.try_wait().unwrap().is_none());

    // Detached: gone for others at once, and served to who is in it until they leave.
    ok(&["umount", "--lazy", text(&mount.at)]);
    assert!(!is_mounted(&mount.at));
    let link = PathBuf::from(format!("/proc/{}/cwd/cur", stands.0.id()));
    assert_eq!(fs::read_dir(link).unwrap().count(), 30);
    assert!(mount.child.try_wait().unwrap().is_none());
    drop((stands, reads));
    assert_eq!(mount.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_second_interrupt_detaches() {
    let account = Account::new();
    let Some(mut mount) = account.mount_in_foreground(&[]) else { return };
    let user = Guarded(Command::new("sleep").arg("60").current_dir(&mount.at).spawn().expect("sleep"));
    mount.signal(libc::SIGINT);
    wait(|| mount.said().contains("in use"), || mount.said());
    mount.signal(libc::SIGINT);
    wait(|| !is_mounted(&mount.at), || mount.said());
    drop(user);
    assert_eq!(mount.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_detached_mount_leaves_its_successor_alone() {
    let account = Account::new();
    for ends in [0, libc::SIGTERM] {
        let Some(mut old) = account.mount_in_foreground(&[]) else { return };
        let user = Guarded(Command::new("sleep").arg("60").current_dir(&old.at).spawn().expect("sleep"));
        ok(&["umount", "--lazy", text(&old.at)]);
        let new = account.mount(&[]).unwrap();
        if ends != 0 {
            old.signal(ends);
            std::thread::sleep(Duration::from_millis(100));
            assert!(is_mounted(&new.at), "a signal to the old one");
        }
        drop(user);
        assert_eq!(old.child.wait().unwrap().code(), Some(0));
        assert!(is_mounted(&new.at) && a_message(&new.at).exists(), "the old one ended");
    }
}

#[test]
fn a_killed_mount_is_never_empty_and_the_next_one_repairs_it() {
    let account = Account::new();
    // The dead one may also be named by a path with a link in it.
    let linked = account.path().join("linked");
    symlink(account.path(), &linked).unwrap();
    for at in [account.mountpoint(), linked.join("mnt")] {
        let Some(mut mount) = account.mount_in_foreground(&[]) else { return };
        assert!(a_message(&mount.at).exists());
        mount.child.kill().unwrap();
        mount.child.wait().unwrap();
        // What was never seen cannot be reached; what the kernel remembers may show, but whole.
        assert_eq!(errno(fs::metadata(mount.at.join("files"))), Some(libc::ENOTCONN));
        assert_eq!(errno(fs::read_dir(mount.at.join("calendars"))), Some(libc::ENOTCONN));
        let listed = fs::read_dir(mount.at.join("mail/INBOX/cur")).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        match listed {
            Ok(lines) => assert_eq!(lines.len(), 30),
            Err(error) => assert_eq!(error.raw_os_error(), Some(libc::ENOTCONN)),
        }
        assert!(mounts_says_dead(&mount.at));

        let output = run(&["mount", text(&account.archive()), text(&at)]);
        let said = both(&output);
        assert!(output.status.success() && said.contains("removed a dead mount of vandelay:Maildir"), "{said}");
        let _again = Mounted { at: at.clone() };
        assert!(a_message(&mount.at).exists());
    }
    // And 'umount' takes a dead one away too.
    let Some(mut mount) = account.mount_in_foreground(&[]) else { return };
    mount.child.kill().unwrap();
    mount.child.wait().unwrap();
    ok(&["umount", text(&mount.at)]);
    assert_eq!(fs::read_dir(&mount.at).unwrap().count(), 0);
}

#[test]
fn who_reads_when_a_mount_is_killed_is_let_go() {
    let account = Account::new();
    for number in 100..3_000 {
        let mut bytes = message(number);
        bytes.resize(2_000 + 37 * number as usize % 60_000, b'.');
        deliver(&account.maildir(), &format!("{}.M{number}.host:2,S", 1_600_000_000 + number), &bytes);
    }
    account.import();
    for round in 0..12 {
        let Some(mut mount) = account.mount_in_foreground(&[]) else { return };
        let mut grep = Guarded(
            Command::new("grep")
                .args(["-rlF", "no such words", "."])
                .current_dir(mount.at.join("mail"))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
        );
        std::thread::sleep(Duration::from_millis(20 + 15 * round));
        mount.child.kill().unwrap();
        // Bytes may be on their way to the kernel just then, and it waits for them until it is told not to.
        std::thread::sleep(Duration::from_millis(200));
        assert!(mounts_says_dead(&mount.at));
        ok(&["umount", text(&mount.at)]);
        wait(|| grep.0.try_wait().unwrap().is_some(), || format!("grep waits, in round {round}"));
        mount.child.wait().unwrap();
    }
}

// --- mountpoints -------------------------------------------------------------------------------------------------

#[test]
fn wrong_mountpoints_are_refused_before_the_archive_is_opened() {
    let account = Account::new();
    let full = account.path().join("full");
    fs::create_dir_all(full.join("child")).unwrap();
    let file = account.path().join("file");
    fs::write(&file, "x").unwrap();
    let store = account.path().join("store");
    let link = account.path().join("link");
    symlink(&store, &link).unwrap();
    // Whoever looked into this file would complain about it.
    let nonsense = store.join("nonsense.sqlite");
    fs::write(&nonsense, "not an archive").unwrap();
    for archive in [account.archive(), nonsense.clone()] {
        for (directory, why) in [
            (store.clone(), "the archive"),
            (account.path().to_owned(), "the archive"),
            (PathBuf::from("/"), "the archive"),
            (link.clone(), "the archive"),
            (account.path().join("missing"), "no such directory"),
            (full.clone(), "not empty"),
            (file.clone(), "not a directory"),
        ] {
            let said = fails(&["mount", text(&archive), text(&directory)], 1);
            assert!(said.contains(why) && said.contains("hint: "), "{}: {said}", directory.display());
            assert!(!directory.exists() || directory == Path::new("/") || !is_mounted(&directory));
        }
    }
    let good = account.path().join("good");
    fs::create_dir(&good).unwrap();
    fails(&["mount", text(&nonsense), text(&good)], 10);
    fails(&["mount", text(&store.join("missing.sqlite")), text(&good)], 10);
    let Some(mount) = account.mount(&[]) else { return };
    let said = fails(&["mount", text(&account.archive()), text(&mount.at)], 1);
    assert!(said.contains("mounted there already"), "{said}");
}

// --- mount(8) and systemd ----------------------------------------------------------------------------------------

#[test]
fn the_program_is_a_mount_helper() {
    let account = Account::new();
    let fstab = "ro,noauto,user,nosuid,nodev,nofail,_netdev,x-systemd.automount,x-systemd.idle-timeout=5min";
    for name in ["mount.vandelay", "mount.fuse.vandelay", "vandelayfs"] {
        let helper = account.path().join(name);
        symlink(env!("CARGO_BIN_EXE_vandelay"), &helper).unwrap();
        let at = account.mountpoint();
        fs::create_dir_all(&at).unwrap();
        let output =
            Command::new(&helper).arg(account.archive()).arg(&at).args(["-s", "-n", "-o", fstab]).output().unwrap();
        assert!(output.status.success(), "{name}: {}", both(&output));
        let mount = Mounted { at };
        // It answers as soon as the helper has returned.
        assert_eq!(fs::read_dir(mount.at.join("mail/INBOX/cur")).unwrap().count(), 30, "{name}");
    }
    let refused = Command::new(account.path().join("mount.vandelay"))
        .arg(account.archive())
        .arg("/nowhere")
        .args(["-o", "rw"])
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(both(&refused).contains("writing"), "{}", both(&refused));
}

#[test]
fn mount_8_finds_the_helper() {
    if !has("unshare") {
        return;
    }
    let account = Account::new();
    let helpers = account.path().join("sbin");
    fs::create_dir_all(&helpers).unwrap();
    fs::create_dir_all(account.mountpoint()).unwrap();
    symlink(env!("CARGO_BIN_EXE_vandelay"), helpers.join("mount.vandelay")).unwrap();
    // In a mount namespace of its own, so that nothing has to be installed here; it goes with the shell.
    let script = r#"
        mount --bind "$1" /usr/sbin || exit 90
        mount -t vandelay -o ro,noauto,user,nofail,_netdev "$2" "$3" || exit 91
        ls "$3/mail/INBOX/cur" | wc -l
        grep -c "$2 $3 fuse.vandelay ro,nosuid,nodev" /proc/self/mounts
        umount "$3" || exit 92
        mount -t vandelay -o ro "$2.missing" "$3" && exit 93
        exit 0"#;
    let output = done(
        Command::new("unshare")
            .args(["-m", "sh", "-c", script, "sh"])
            .arg(&helpers)
            .arg(account.archive())
            .arg(account.mountpoint()),
        "mount(8)",
    );
    assert_eq!(output.split_whitespace().collect::<Vec<_>>(), ["30", "1"]);
}

#[test]
fn systemd_and_scripts_know_when_it_is_there() {
    let account = Account::new();
    account.import();
    if !Path::new("/dev/fuse").exists() {
        return skip("there is no /dev/fuse");
    }
    let socket = account.path().join("notify");
    let heard = std::os::unix::net::UnixDatagram::bind(&socket).unwrap();
    heard.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    fs::create_dir_all(account.mountpoint()).unwrap();
    let said = account.path().join("said");
    let mut command = vandelay();
    command.args(["mount", "--foreground", "--stats", text(&account.archive()), text(&account.mountpoint())]);
    let child = command.env("NOTIFY_SOCKET", &socket).stderr(File::create(&said).unwrap()).spawn().unwrap();
    let mut child = Guarded(child);
    let mut buffer = [0; 256];
    let count = heard.recv(&mut buffer).unwrap();
    assert!(buffer[..count].starts_with(b"READY=1"), "{:?}", String::from_utf8_lossy(&buffer[..count]));
    assert!(is_mounted(&account.mountpoint()), "ready means mounted");
    let read: u64 = messages(&account.mountpoint().join("mail/INBOX")).iter().map(|one| one.2.len() as u64).sum();
    ok(&["umount", text(&account.mountpoint())]);
    assert!(child.0.wait().unwrap().success());
    let stats = fs::read_to_string(&said).unwrap();
    assert!(stats.contains(&format!("({read} bytes)")) && stats.contains("peak memory: "), "{stats}");
}

// --- other users -------------------------------------------------------------------------------------------------

/// Runs a shell command as somebody who is nobody.
fn as_nobody(script: &str, argument: &Path) -> std::process::Output {
    Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "sh", "-c", script, "sh"])
        .arg(argument)
        .output()
        .expect("setpriv runs")
}

#[test]
fn others_see_what_they_may() {
    if !has("setpriv") {
        return;
    }
    let account = Account::new();
    fs::set_permissions(account.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let look = |at: &Path| as_nobody("ls \"$1\" && cat \"$1\"/mail/INBOX/cur/* | wc -c", at);
    let refused = |at: &Path, options: &str| {
        let output = look(at);
        assert!(
            !output.status.success() && both(&output).contains("Permission denied"),
            "{options}: {}",
            both(&output)
        );
    };
    {
        let Some(mount) = account.mount(&[]) else { return };
        let meta = fs::metadata(&mount.at).unwrap();
        assert_eq!((meta.mode() & 0o7777, meta.uid()), (0o500, 0));
        assert_eq!(fs::metadata(a_message(&mount.at)).unwrap().mode() & 0o7777, 0o400);
        refused(&mount.at, "none");
    }
    for (options, may) in [
        ("umask=022", false),
        ("allow_other", false),
        ("allow_other,umask=077", false),
        ("allow_other,umask=022", true),
        ("allow_other,uid=65534,gid=65534", true),
    ] {
        wait(|| !is_mounted(&account.mountpoint()), String::new);
        let mount = account.mount(&["-o", options]).unwrap();
        if may {
            let output = look(&mount.at);
            assert!(output.status.success(), "{options}: {}", both(&output));
        } else {
            refused(&mount.at, options);
        }
    }
}

#[test]
fn who_is_not_root_can_mount() {
    if !has("setpriv") || !has("fusermount3") {
        return;
    }
    let account = Account::new();
    fs::set_permissions(account.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let at = account.mountpoint();
    fs::create_dir(&at).unwrap();
    let program = account.path().join("vandelay");
    fs::copy(env!("CARGO_BIN_EXE_vandelay"), &program).unwrap();
    for path in [&account.archive(), &account.path().join("store"), &at] {
        std::os::unix::fs::chown(path, Some(65_534), Some(65_534)).unwrap();
    }
    // Whatever this machine lets nobody do with /dev/fuse, in a mount namespace of its own it is as udev sets it up.
    let script = r#"
        cd "$1" && mknod fuse c 10 229 && chmod 666 fuse && mount --bind fuse /dev/fuse || exit 90
        setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all sh -c '
            ./vandelay mount store/alice.sqlite mnt && ls mnt/mail/INBOX/cur | wc -l && stat -c %u mnt &&
            grep -c " $PWD/mnt fuse.vandelay ro,nosuid,nodev" /proc/self/mounts &&
            ./vandelay umount mnt && ls mnt | wc -l'"#;
    let output = done(Command::new("unshare").args(["-m", "sh", "-c", script, "sh"]).arg(account.path()), "as nobody");
    assert_eq!(output.split_whitespace().collect::<Vec<_>>(), ["30", "65534", "1", "0"]);
}

// --- another archive in its place --------------------------------------------------------------------------------

#[test]
fn another_archive_in_its_place_is_never_mixed_in() {
    let account = Account::empty();
    let other = Account::empty();
    for number in 100..160 {
        let name = format!("{}.M{number}.host:2,S", 1_500_000_000 + number);
        // Same names, rows and sizes; other bytes. Some too large to be kept in memory.
        let size = if number % 20 == 0 { 5 << 20 } else { 10_000 };
        for (account, letter) in [(&account, b'a'), (&other, b'b')] {
            let mut bytes = message(number);
            bytes.resize(size, letter);
            deliver(&account.maildir(), &name, &bytes);
        }
    }
    account.import();
    other.import();
    let copy = account.path().join("store/copy.sqlite");
    fs::copy(account.archive(), &copy).unwrap();
    let originals: BTreeSet<Vec<u8>> = messages(&account.maildir()).into_iter().map(|message| message.2).collect();
    let Some(mount) = account.mount(&["--cache-size", "1M"]) else { return };
    let started = File::open(&sorted(&mount.at.join("mail/INBOX/cur"))[0]).unwrap();
    let mut first = vec![0; 1 << 20];
    read_full_at(&started, &mut first, 0);
    // The old one goes on being shown, listings and files alike, to many at once; nothing of it is known to the kernel yet
    // but the inbox.
    let check = |what: &str| {
        let cur = mount.at.join("mail/INBOX/cur");
        std::thread::scope(|scope| {
            for thread in 0..8_usize {
                let (cur, originals, mount) = (&cur, &originals, &mount);
                scope.spawn(move || {
                    let names = sorted(cur);
                    assert_eq!(names.len(), 60, "{what}");
                    for path in names.iter().cycle().skip(thread * 7).take(60) {
                        let bytes =
                            fs::read(path).unwrap_or_else(|error| panic!("{what}: {}: {error}", path.display()));
                        assert!(originals.contains(&bytes), "{what}: {} is mixed", path.display());
                    }
                    assert_eq!(fs::read_dir(&mount.at).unwrap().count(), 9);
                    let texts = sorted(&mount.at.join("text/INBOX"));
                    assert_eq!(texts.len(), 60, "{what}");
                    assert!(fs::read_to_string(&texts[thread]).unwrap().contains("aaaa"), "{what}");
                });
            }
        });
    };
    fs::rename(other.archive(), account.archive()).unwrap();
    check("replaced");
    let mut rest = Vec::new();
    (&started).seek(SeekFrom::Start(first.len() as u64)).unwrap();
    (&started).read_to_end(&mut rest).expect("a file that was being read");
    assert!(originals.contains(&[first, rest].concat()), "a file that was being read");
    fs::remove_file(account.archive()).unwrap();
    check("deleted");
    fs::copy(&copy, account.archive()).unwrap();
    check("put back as a copy");
}

/// `mount -o remount` has nothing to change, and mounts nothing.
#[test]
fn a_remount_leaves_what_is_there() {
    let account = Account::new();
    let at = account.path().join("again");
    let arguments =
        |at: &Path| ["mount", "-o", "remount,ro,nosymfollow", text(&account.archive()), text(at)].map(str::to_owned);
    let words = |all: &[String; 5]| run(&all.iter().map(String::as_str).collect::<Vec<_>>());
    fs::create_dir(&at).unwrap();
    assert_eq!(words(&arguments(&at)).status.code(), Some(1));
    let Some(mount) = account.mount(&[]) else { return };
    let line = mount_line(&mount.at);
    assert!(words(&arguments(&mount.at)).status.success());
    assert_eq!(mount_line(&mount.at), line);
    assert!(!is_mounted(&at));
}

// --- signals -----------------------------------------------------------------------------------------------------

#[test]
fn signals_disturb_nobody() {
    let account = Account::empty();
    let mut large = message(1);
    large.resize(48 << 20, b'x');
    deliver(&account.maildir(), "1500000000.M1.host:2,S", &large);
    deliver(&account.maildir(), "1500000001.M2.host:2,S", &message(2));
    account.import();
    let Some(mount) = account.mount(&[]) else { return };
    let files = sorted(&mount.at.join("mail/INBOX/cur"));

    // Ctrl-C while something reads a large file.
    let mut grep =
        Guarded(Command::new("grep").arg("-c").arg("y").arg(&files[0]).stdout(Stdio::null()).spawn().unwrap());
    std::thread::sleep(Duration::from_millis(30));
    let start = Instant::now();
    // SAFETY: a signal to a child of ours that was not waited for.
    unsafe { libc::kill(grep.0.id() as i32, libc::SIGINT) };
    grep.0.wait().unwrap();
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert_eq!(fs::read(&files[1]).unwrap(), message(2));

    // A program whose runtime signals its own threads all the time, as Go's does.
    extern "C" fn nothing(_: i32) {}
    // SAFETY: a handler that does nothing, for a signal that nothing else here uses.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as extern "C" fn(i32) as usize;
        action.sa_flags = libc::SA_RESTART;
        assert_eq!(libc::sigaction(libc::SIGURG, &action, std::ptr::null_mut()), 0);
    }
    let reader = unsafe { libc::pthread_self() };
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                // SAFETY: that thread lives until the scope ends.
                unsafe { libc::pthread_kill(reader, libc::SIGURG) };
                std::thread::sleep(Duration::from_micros(100));
            }
        });
        let outcome = std::panic::catch_unwind(|| {
            assert!(read_direct(&files[0]) == large, "with signals");
            assert!(fs::read(&files[0]).unwrap() == large, "with signals");
        });
        stop.store(true, Ordering::Relaxed);
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

// --- names -------------------------------------------------------------------------------------------------------

#[test]
fn every_name_can_be_opened_as_listed() {
    let account = Account::empty();
    let long = "ä".repeat(200);
    let longer = format!("{long}ö");
    let labels = [
        &*long,
        &longer,
        "caf\u{e9}",
        "cafe\u{301}",
        "Case",
        "case",
        "dot.",
        "dot",
        ".hidden",
        "-rf",
        "party 🎉👩‍👩‍👧",
        "a:b",
        "..",
        ".",
        "CON",
        "cur",
        "new",
        "tmp",
        "dovecot-keywords",
        "100%41",
        "tab\there",
        "back\\slash",
        "*?[x]",
        "\u{202e}gpj.exe",
        "~",
        "'quoted'",
    ];
    let mut mbox = String::new();
    for (number, label) in labels.iter().enumerate() {
        mbox += &format!(
            "From 1@xxx Mon Jan 01 00:00:00 +0000 2024\nX-Gmail-Labels: {label}\nMessage-ID: <{number}@x>\nSubject: {number}\n\nbody\n\n"
        );
    }
    let path = account.path().join("All mail.mbox");
    fs::write(&path, mbox).unwrap();
    ok(&["import", "takeout", text(&path), text(&account.archive())]);
    let stored: BTreeSet<String> = listed(&["inspect", text(&account.archive()), "mailbox"])
        .iter()
        .map(|mailbox| mailbox["name"].as_str().unwrap().to_owned())
        .collect();
    let Some(mount) = account.mount(&["-o", "xattr"]) else { return };
    let mut shown = BTreeSet::new();
    let mut bodies = BTreeSet::new();
    let mut names = BTreeSet::new();
    for path in sorted(&mount.at.join("mail")) {
        let name = path.file_name().unwrap();
        assert!(name.len() <= 255 && names.insert(name.to_owned()), "{name:?}");
        shown.insert(xattr(&path, "user.vandelay.name").unwrap());
        for (_, _, bytes) in messages(&path) {
            bodies.insert(bytes);
        }
        // Also one after the other by absolute path, as a shell would.
        sh("ls", &["-ld", "--", text(&path)]);
    }
    assert_eq!(shown, stored, "the real names");
    assert_eq!(bodies.len(), labels.len(), "every message is in sight");
    assert!(names.len() >= labels.len() - 1, "{names:?}");
    let listed: BTreeSet<&OsStr> = names.iter().map(|name| name.as_os_str()).collect();
    for label in ["party 🎉👩‍👩‍👧", "Case", "case", "a:b", "caf\u{e9}"] {
        assert!(listed.contains(OsStr::new(label)), "{label:?}");
    }
}

fn xattr(path: &Path, name: &str) -> io::Result<String> {
    let name = CString::new(name).unwrap();
    let mut buffer = vec![0_u8; 65_536];
    // SAFETY: the kernel writes at most as much as there is room.
    let count = unsafe { libc::getxattr(c(path).as_ptr(), name.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len()) };
    call(if count < 0 { -1 } else { 0 })?;
    buffer.truncate(count as usize);
    Ok(String::from_utf8(buffer).unwrap())
}

#[test]
fn extended_attributes_say_what_names_cannot() {
    let account = Account::new();
    let Some(mount) = account.mount(&["-o", "xattr"]) else { return };
    let path = sorted(&mount.at.join("mail/INBOX/cur")).swap_remove(1);
    let bytes = fs::read(&path).unwrap();
    assert_eq!(xattr(&path, "user.vandelay.blake3").unwrap(), blake3::hash(&bytes).to_hex().to_string());
    let keywords: Vec<String> = serde_json::from_str(&xattr(&path, "user.vandelay.keywords").unwrap()).unwrap();
    assert_eq!(keywords, ["$seen", "important"]);
    assert_eq!(xattr(&path, "user.vandelay.received_at").unwrap(), "2017-07-15T02:40:00Z");
    assert_eq!(xattr(&path, "user.vandelay.id").unwrap(), "m10");
    assert_eq!(xattr(&mount.at.join("mail/Entwürfe"), "user.vandelay.name").unwrap(), "Entwürfe");
    assert_eq!(errno(xattr(&path, "user.other")), Some(libc::ENODATA));
    if has("getfattr") {
        let all = sh("getfattr", &["-d", "--absolute-names", text(&path)]);
        assert_eq!(all.lines().filter(|line| line.starts_with("user.vandelay.")).count(), 4, "{all}");
    }
    drop(mount);
    wait(|| !is_mounted(&account.mountpoint()), String::new);
    let mount = account.mount(&[]).unwrap();
    assert_eq!(errno(xattr(&a_message(&mount.at), "user.vandelay.blake3")), Some(libc::EOPNOTSUPP), "only on request");
}

// --- damage, and imports meanwhile -------------------------------------------------------------------------------

#[test]
fn a_damaged_file_is_an_error_and_the_others_are_not() {
    let account = Account::new();
    let mut large = message(1);
    large.resize(6 << 20, b'x');
    deliver(&account.maildir(), "1600000000.M1.host:2,S", &large);
    account.import();
    let archive = rusqlite::Connection::open(account.archive()).unwrap();
    // One that is read whole; one of many pages, of which a part only is touched.
    let sql = "UPDATE blobs SET data = CAST(substr(data, 1, length(data) - 1) || x'00' AS BLOB) WHERE id = (SELECT blob_id FROM emails WHERE id = 7)";
    let small = archive.execute(sql, []).unwrap();
    let sql = "UPDATE blob_chunks SET data = CAST(substr(data, 1, length(data) - 1) || x'00' AS BLOB) WHERE seq = (SELECT max(seq) FROM blob_chunks)";
    let chunked = archive.execute(sql, []).unwrap();
    let sql =
        "UPDATE blobs SET data = CAST(substr(data, 1, length(data) - 1) || x'00' AS BLOB) WHERE length(data) > 6000000";
    let whole = archive.execute(sql, []).unwrap();
    assert_eq!((small, chunked + whole), (1, 1));
    archive.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop(archive);
    fails(&["verify", text(&account.archive())], 8);

    let log = account.path().join("errors.log");
    let Some(mount) = account.mount(&["--log-file", text(&log)]) else { return };
    let mut damaged = Vec::new();
    let mut undecoded = 0;
    for round in 0..3 {
        let mut good = 0;
        for (path, meta) in below(&mount.at) {
            match fs::read(mount.at.join(&path)) {
                Ok(bytes) => {
                    assert_eq!(bytes.len() as u64, meta.len());
                    good += 1;
                }
                Err(_) if meta.is_dir() => {}
                Err(error) => {
                    assert_eq!(error.raw_os_error(), Some(libc::EIO), "{}", path.display());
                    match path.starts_with("text") {
                        true => undecoded += 1,
                        false => damaged.push(path),
                    }
                }
            }
        }
        assert!(good > 55, "{good}");
        assert_eq!(damaged.len(), 2 * (round + 1), "{damaged:?}");
        assert_eq!(undecoded, 2 * (round + 1), "in text/ they are no empty files");
    }
    let lines = fs::read_to_string(&log).unwrap();
    assert_eq!(lines.lines().count(), 2, "one line a file, however often it is read:\n{lines}");
    for path in &damaged[..2] {
        assert!(lines.contains(text(path)), "{}: {lines}", path.display());
    }
    assert_eq!(fs::metadata(&log).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn the_log_file_may_be_named_from_where_one_stands() {
    let account = Account::new();
    let archive = rusqlite::Connection::open(account.archive()).unwrap();
    archive.execute_batch("UPDATE blobs SET data = zeroblob(length(data)); PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop(archive);
    let at = account.mountpoint();
    fs::create_dir(&at).unwrap();
    let output = vandelay()
        .current_dir(account.path())
        .args(["mount", "--log-file", "errors.log", "store/alice.sqlite", "mnt"])
        .output()
        .unwrap();
    if !Path::new("/dev/fuse").exists() {
        return skip("there is no /dev/fuse");
    }
    assert!(output.status.success(), "{}", both(&output));
    let mount = Mounted { at };
    assert_eq!(errno(fs::read(a_message(&mount.at))), Some(libc::EIO));
    assert_eq!(fs::read_to_string(account.path().join("errors.log")).unwrap().lines().count(), 1);
}

#[test]
fn imports_and_mounts_do_not_wait_for_each_other() {
    let account = Account::new();
    // Pinned, so that nothing may change in it at any time; tests/it/follow.rs looks at mounts that follow.
    let Some(mount) = account.mount(&["-o", "snapshot=1"]) else { return };
    let before = memory(&mount.at);
    let bytes = contents(&mount.at);
    let open = File::open(a_message(&mount.at)).unwrap();
    let listing = fs::read_dir(mount.at.join("mail/INBOX/cur")).unwrap();
    for number in 1_000..4_000 {
        let mut bytes = message(number);
        bytes.resize(3_000 + number as usize, b'.');
        deliver(&account.maildir().join(".New"), &format!("{}.M{number}.host:2,S", 1_600_000_000 + number), &bytes);
    }
    fs::remove_file(&sorted(&account.maildir().join("cur"))[3]).unwrap();
    let mut import = Guarded(
        vandelay()
            .args(["import", "maildir"])
            .arg(account.maildir())
            .arg(account.archive())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let mut rounds = 0;
    let status = loop {
        let start = Instant::now();
        assert!(contents(&mount.at) == bytes, "the mount shows what it showed");
        assert!(start.elapsed() < Duration::from_secs(3), "a reader waited {:?}", start.elapsed());
        // A second mount, made while somebody writes, shows a state that was complete.
        let second = Mounted::new(&account.archive(), &account.path().join("second"), &[]).unwrap();
        let count = fs::read_dir(second.at.join("mail/INBOX/cur")).unwrap().count();
        assert!(count == 30 || count == 29, "{count}");
        rounds += 1;
        drop(second);
        wait(|| !is_mounted(&account.path().join("second")), String::new);
        if let Some(status) = import.0.try_wait().unwrap() {
            break status;
        }
    };
    assert!(status.success() && rounds > 1, "{status}, {rounds} rounds");
    assert_eq!(memory(&mount.at), before);
    assert_eq!(listing.count(), 30);
    let mut rest = Vec::new();
    (&open).read_to_end(&mut rest).unwrap();
    assert!(bytes.values().any(|bytes| *bytes == rest));
    // A reader may have held the log open when the writer left, but nothing stands in it any more: the file alone is
    // the archive, for whoever copies it now.
    let log = fs::metadata(account.path().join("store/alice.sqlite-wal")).map_or(0, |meta| meta.len());
    assert_eq!(log, 0);
    let copy = account.path().join("copy.sqlite");
    fs::copy(account.archive(), &copy).unwrap();
    ok(&["verify", text(&copy)]);
    assert_eq!(ok(&["--json", "snapshots", text(&copy)]).matches("\"state\":\"complete\"").count(), 2);
    ok(&["verify", text(&account.archive())]);
    let newer = Mounted::new(&account.archive(), &account.path().join("third"), &[]).unwrap();
    assert_eq!(fs::read_dir(newer.at.join("mail/New/cur")).unwrap().count(), 3_000);
    assert_eq!(fs::read_dir(newer.at.join("mail/INBOX/cur")).unwrap().count(), 29);
    // What was removed stays where it was, one snapshot back.
    let old = Mounted::new(&account.archive(), &account.path().join("old"), &["--at", "1"]).unwrap();
    assert_eq!(contents(&old.at), bytes);
    drop((mount, newer, old, open));
    wait(|| !is_mounted(&account.mountpoint()), String::new);
    account.import();
    let left = sorted(&account.path().join("store"));
    assert_eq!(left.iter().filter(|path| !text(path).ends_with(".search")).count(), 1, "the next writer cleans up");
}

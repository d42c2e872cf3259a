//! `extract` onto file systems that do not take every name.

use crate::common::{deliver, listed, message, ok, vandelay};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vandelay::archive::Reader;
use vandelay::extract::medium::{Disk, Medium, NewFile};
use vandelay::extract::{Destination, Extracted, Names, extract};
use vandelay::progress::UNSEEN;
use vandelay::tree::FileType;
use vandelay::tree::walk;
use vandelay::tree::{Tree, TreeOptions};

/// A file system with the rules of a USB stick and of an encrypted home: no `:` and its kin, 143 bytes a name, capital and
/// small letters the same, no links. Those who write to it meet the error codes of real ones.
struct Stick;

impl Stick {
    fn check(&self, path: &Path) -> io::Result<()> {
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.contains(['<', '>', ':', '"', '|', '?', '*', '\\']) || name.ends_with(['.', ' ']) {
            return Err(io::Error::from_raw_os_error(libc::ENOENT));
        }
        if name.len() > 143 {
            return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
        }
        let is_same = |entry: &fs::DirEntry| entry.file_name().to_str().unwrap().to_lowercase() == name.to_lowercase();
        if fs::read_dir(path.parent().unwrap())?.flatten().any(|entry| is_same(&entry)) {
            return Err(io::Error::from_raw_os_error(libc::EEXIST));
        }
        Ok(())
    }
}

impl Medium for Stick {
    fn directory(&self, path: &Path) -> io::Result<()> {
        self.check(path).and_then(|()| Disk.directory(path))
    }

    fn name(&self, file: &mut NewFile, path: &Path) -> io::Result<()> {
        self.check(path).and_then(|()| Disk.name(file, path))
    }

    fn link(&self, _: &str, _: &Path) -> io::Result<()> {
        Err(io::Error::from_raw_os_error(libc::EPERM))
    }

    fn second_name(&self, _: &Path, _: &Path) -> io::Result<()> {
        Err(io::Error::from_raw_os_error(libc::EPERM))
    }
}

/// An account with names that such a file system does not take.
fn account(at: &Path) -> PathBuf {
    let maildir = at.join("Maildir");
    deliver(&maildir, "1500000000.M1.host:2,FS", &message(1));
    deliver(&maildir, "1500000001.M2.host:2,RS", b"Subject: Re: what? \"A/B\" <now> | *all*\n\nx\n");
    let long = format!("Subject: {}\n\nx\n", "a very long subject ".repeat(12));
    deliver(&maildir, "1500000002.M3.host:2,S", long.as_bytes());
    for (number, folder) in [(4, ".Work"), (5, ".work"), (6, ".aux"), (7, ".a: b?")] {
        deliver(&maildir.join(folder), &format!("150000000{number}.M{number}.host:2,S"), &message(number));
    }
    let deep = maildir.join(format!(".{}.inner", "f".repeat(200)));
    deliver(&deep, "1500000008.M8.host:2,S", &message(8));
    deliver(&maildir.join(format!(".{}", "f".repeat(200))), "1500000009.M9.host:2,PS", &message(9));
    let takeout = at.join("Takeout");
    fs::create_dir(&takeout).unwrap();
    let event = |uid: &str| format!("BEGIN:VEVENT\nUID:{uid}\nDTSTART:20240105T090000Z\nEND:VEVENT\n");
    let events: String = ["urn:uuid:1", "Same", "same", "con"].map(event).concat();
    fs::write(takeout.join("c.ics"), format!("BEGIN:VCALENDAR\n{events}END:VCALENDAR\n")).unwrap();
    let archive = at.join("a.sqlite");
    for (source, path) in [("maildir", &maildir), ("takeout", &takeout)] {
        ok(&["import", source, path.to_str().unwrap(), archive.to_str().unwrap()]);
    }
    archive
}

fn tree(archive: &Path) -> Tree {
    Tree::open(Arc::new(Reader::open(archive).unwrap()), TreeOptions::default()).unwrap()
}

/// The bytes of all files below a node, by path, and how many directories there are.
fn shown(tree: &Tree, path: &str) -> (BTreeMap<String, Vec<u8>>, usize) {
    let (mut files, mut directories) = (BTreeMap::new(), 0);
    walk::walk(tree, tree.resolve(path).unwrap(), |step| {
        if step.child.file_type == FileType::Directory {
            directories += 1;
        } else {
            files.insert(step.path.to_owned(), tree.read(step.child.node, 0, 1 << 20).unwrap().to_vec());
        }
        Ok(true)
    })
    .unwrap();
    (files, directories)
}

/// The same of a directory on disk.
fn written(at: &Path) -> (BTreeMap<String, Vec<u8>>, usize) {
    let (mut files, mut directories, mut left) = (BTreeMap::new(), 0, vec![at.to_owned()]);
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(directory).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                directories += 1;
                left.push(entry.path());
            } else {
                let name = entry.path().strip_prefix(at).unwrap().to_str().unwrap().to_owned();
                files.insert(name, fs::read(entry.path()).unwrap());
            }
        }
    }
    (files, directories)
}

fn bytes(files: &BTreeMap<String, Vec<u8>>) -> Vec<&Vec<u8>> {
    let mut all: Vec<&Vec<u8>> = files.values().collect();
    all.sort_unstable();
    all
}

/// The bytes of all files, those of texts without their first line: it is a path in the tree, whose names may differ. It leads
/// to a message there.
fn texts_apart(files: &BTreeMap<String, Vec<u8>>) -> Vec<&[u8]> {
    let whole = |(path, bytes): (&String, &'_ Vec<u8>)| {
        let Some((root, _)) = path.split_once("text/").filter(|_| path.ends_with(".txt")) else { return 0 };
        let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let message = std::str::from_utf8(line).unwrap().strip_prefix("Message: ").unwrap();
        let message = format!("{root}{message}");
        assert!(files.keys().any(|path| path.starts_with(&message)), "{path}: {message}");
        line.len()
    };
    let mut all: Vec<&[u8]> = files.iter().map(|(path, bytes)| &bytes[whole((path, bytes))..]).collect();
    all.sort_unstable();
    all
}

fn extracted(tree: &Tree, path: &str, into: &Path, names: Names, medium: &dyn Medium) -> Extracted {
    let destination = Destination { into, names, medium, is_dry: false, skips_existing: false };
    extract(tree, path, &destination, &UNSEEN, |_| {}).unwrap()
}

#[test]
fn whatever_a_target_refuses_everything_else_is_extracted() {
    let dir = tempfile::tempdir().unwrap();
    let archive = account(dir.path());
    let tree = tree(&archive);
    for (at, (names, medium)) in
        [(Names::Auto, &Stick as &dyn Medium), (Names::Portable, &Stick), (Names::Portable, &Disk)]
            .into_iter()
            .enumerate()
    {
        for path in ["mail", "text", "calendars"] {
            let into = dir.path().join(format!("out-{at}"));
            let done = extracted(&tree, path, &into, names, medium);
            let (wanted, directories) = shown(&tree, path);
            let (found, made) = written(&into.join(path));
            assert_eq!((&done.failed, done.files), (&Vec::new(), wanted.len() as u64), "{names:?} {path}");
            assert_eq!((bytes(&found), made), (bytes(&wanted), directories), "{names:?} {path}");
            assert!(done.changed > 0);
            // Each directory can be copied to a system that knows no capital letters.
            let folded: BTreeSet<String> = found.keys().map(|name| name.to_lowercase()).collect();
            assert_eq!(folded.len(), found.len());
            for part in found.keys().flat_map(|name| name.split('/')) {
                assert!(Stick.check(&dir.path().join(part)).is_ok(), "{part}");
            }
        }
        // And back, with flags.
        let back = dir.path().join(format!("back-{at}.sqlite"));
        let maildir = dir.path().join(format!("out-{at}/mail"));
        ok(&["import", "maildir", maildir.to_str().unwrap(), back.to_str().unwrap()]);
        let flags = |archive: &Path| {
            let all = ok(&["ls", "-R", archive.to_str().unwrap(), "mail"]);
            let mut flags: Vec<String> =
                all.lines().filter_map(|line| Some(line.split_once(":2,")?.1.to_owned())).collect();
            flags.sort_unstable();
            flags
        };
        assert_eq!(flags(&back), flags(&archive));
    }
}

#[test]
fn with_exact_names_each_refusal_is_named_and_stops_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let tree = tree(&account(dir.path()));
    let done = extracted(&tree, "text", &dir.path().join("out"), Names::Exact, &Stick);
    let (wanted, _) = shown(&tree, "text");
    let (found, _) = written(&dir.path().join("out/text"));
    assert_eq!(done.changed, 0);
    assert!(!found.is_empty() && found.iter().all(|(name, bytes)| wanted.get(name) == Some(bytes)));
    let named: BTreeSet<&str> = done.failed.iter().map(|(path, _)| path.as_str()).collect();
    for path in wanted.keys().filter(|path| !found.contains_key(*path)) {
        assert!(named.contains(path.as_str()), "{path} is neither there nor named");
    }
    // What was extracted already is left alone, and the rest comes to it.
    let again = extracted(&tree, "text", &dir.path().join("out"), Names::Auto, &Disk);
    let rest = (wanted.len() - found.len()) as u64;
    assert_eq!((again.there, again.files, again.failed), (found.len() as u64, rest, Vec::new()));
    // A file that is there with other bytes is named, and stays.
    let other = dir.path().join("out/text").join(found.keys().next().expect("a file"));
    fs::write(&other, "mine").expect("a file");
    let again = extracted(&tree, "text", &dir.path().join("out"), Names::Auto, &Disk);
    assert!(matches!(&again.failed[..], [(_, why)] if why.contains("with other bytes")), "{:?}", again.failed);
    assert_eq!(fs::read(&other).expect("a file"), b"mine");
}

#[test]
fn on_a_disk_that_takes_all_names_nothing_changes() {
    let dir = tempfile::tempdir().unwrap();
    let archive = account(dir.path());
    let tree = tree(&archive);
    let done = extracted(&tree, "", &dir.path().join("out"), Names::Auto, &Disk);
    assert_eq!((done.changed, done.undated, &done.failed), (0, 0, &Vec::new()));
    let (found, _) = written(&dir.path().join("out"));
    let (mut wanted, _) = shown(&tree, "");
    wanted.retain(|path, _| !path.starts_with("text/") && !path.starts_with("attachments/"));
    assert_eq!(found, wanted);

    let into = dir.path().join("cli");
    let said = listed(&[
        "extract",
        "--names",
        "portable",
        "--into",
        into.to_str().unwrap(),
        archive.to_str().unwrap(),
        "mail/INBOX",
    ]);
    let said = &said[0];
    assert_eq!(
        (&said["files"], &said["renamed"], &said["not_extracted"]),
        (&3.into(), &3.into(), &serde_json::json!([]))
    );
}

/// A mount with another character before the flags is copied to such file systems with `cp`.
#[test]
fn a_tree_for_file_systems_without_colon_has_no_name_that_they_refuse() {
    let dir = tempfile::tempdir().unwrap();
    let archive = account(dir.path());
    for info_separator in [';', '!'] {
        let options = TreeOptions { info_separator, snapshots_visible: true, ..TreeOptions::default() };
        let plain = Tree::open(Arc::new(Reader::open(&archive).unwrap()), options).unwrap();
        let exact = Tree::open(
            Arc::new(Reader::open(&archive).unwrap()),
            TreeOptions { snapshots_visible: true, ..TreeOptions::default() },
        )
        .unwrap();
        let (found, directories) = shown(&plain, "");
        let (wanted, as_many) = shown(&exact, "");
        assert_eq!((texts_apart(&found), directories), (texts_apart(&wanted), as_many));
        for (path, bytes) in &found {
            let node = plain.resolve(path).unwrap();
            assert_eq!(&*plain.read(node, 0, 1 << 20).unwrap(), bytes.as_slice(), "{path}");
            assert!(!path.contains(['<', '>', ':', '"', '|', '?', '*', '\\']), "{path}");
            assert!(!path.split('/').any(|name| name == "con.ics" || name == "aux"), "{path}");
        }
    }
}

#[test]
fn a_file_where_a_directory_is_needed_is_named_with_what_to_do() {
    let dir = tempfile::tempdir().expect("a directory");
    let archive = account(dir.path());
    let run = |into: &Path| {
        let mut command = vandelay();
        let output = command.args(["extract", "--into"]).arg(into).arg(&archive).arg("mail").output().expect("a run");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let file = dir.path().join("file");
    fs::write(&file, "x").expect("a file");
    for into in [file.clone(), file.join("below")] {
        let (code, said) = run(&into);
        let what = format!("cannot write into {}: {} is a file, not a directory", into.display(), file.display());
        assert!(code == Some(7) && said.contains(&what) && said.contains("hint: give another"), "{said}");
    }
    let into = dir.path().join("into");
    fs::create_dir(&into).expect("a directory");
    fs::write(into.join("mail"), "x").expect("a file");
    let (code, said) = run(&into);
    let what =
        format!("not extracted: mail: cannot write {}: a directory is needed there", into.join("mail").display());
    assert!(code == Some(5) && said.contains(&what) && said.contains("move it away"), "{said}");
    assert_eq!(fs::read(into.join("mail")).expect("a file"), b"x");
}

/// Hard links are made of files with the same bytes only: attachments of one message, events and messages of one row are
/// others.
#[test]
fn what_lies_in_several_places_is_right_in_each() {
    let dir = tempfile::tempdir().expect("a directory");
    let maildir = dir.path().join("Maildir");
    let parts = |name: &str| {
        format!(
            "--b\nContent-Type: text/plain; name={name}.txt\nContent-Disposition: attachment; filename={name}.txt\n\nof {name}\n"
        )
    };
    let mail = format!(
        "Message-ID: <1@x>\nSubject: two\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n{}{}--b--\n",
        parts("one"),
        parts("two")
    );
    for folder in ["", ".Work"] {
        deliver(&maildir.join(folder), "1500000000.1.host:2,S", mail.as_bytes());
    }
    let takeout = dir.path().join("Takeout");
    let event = "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\nBEGIN:VEVENT\nUID:1@x\nDTSTART:20240105T090000Z\nSUMMARY:event\nEND:VEVENT\nEND:VCALENDAR\n";
    for name in ["a", "b"] {
        fs::create_dir_all(takeout.join(name)).expect("a directory");
        fs::write(takeout.join(name).join(format!("{name}.ics")), event).expect("a file");
    }
    let archive = dir.path().join("a.sqlite");
    for (source, path) in [("maildir", &maildir), ("takeout", &takeout)] {
        ok(&["import", source, path.to_str().expect("UTF-8"), archive.to_str().expect("UTF-8")]);
    }
    let tree = tree(&archive);
    for path in ["attachments", "mail", "calendars"] {
        let into = dir.path().join("out");
        let done = extracted(&tree, path, &into, Names::Auto, &Disk);
        assert_eq!((done.failed, written(&into.join(path)).0), (Vec::new(), shown(&tree, path).0), "{path}");
    }
    let (whole, tar) = (dir.path().join("whole"), dir.path().join("a.tar"));
    extracted(&tree, "", &whole, Names::Auto, &Disk);
    ok(&["--quiet", "export", "tar", archive.to_str().expect("UTF-8"), tar.to_str().expect("UTF-8")]);
    let unpacked = dir.path().join("unpacked");
    fs::create_dir(&unpacked).expect("a directory");
    let status = std::process::Command::new("tar").arg("-xf").arg(&tar).arg("-C").arg(&unpacked).status();
    assert!(status.expect("tar").success());
    for out in [&whole, &unpacked] {
        for path in ["mail", "calendars"] {
            assert_eq!(written(&out.join(path)).0, shown(&tree, path).0, "{path}");
        }
    }
}

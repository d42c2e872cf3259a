//! What `forget` does to those who read meanwhile, and what it costs: whoever reads a snapshot that goes gets everything
//! of it or an error that says so, never a part that looks like the whole; `--compact` needs little memory, and leaves
//! the archive whole wherever it is stopped.

use crate::common::jmap::{Options as ServerOptions, Server};
use crate::common::*;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use vandelay::archive::{Depth, Moment, Reader, SnapshotSpec, Writer, verify};
use vandelay::error::{Error, ErrorKind};
use vandelay::extract::{self, Destination};
use vandelay::model::ObjectType;
use vandelay::progress::UNSEEN;
use vandelay::tree::Node;
use vandelay::tree::walk;
use vandelay::tree::{FileType, Stat};
use vandelay::tree::{Tree, TreeOptions};

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

fn forget(archive: &Path, snapshots: impl IntoIterator<Item = i64>) {
    let mut writer = Writer::open(archive, "test").expect("a writer");
    writer.forget(&snapshots.into_iter().collect::<BTreeSet<i64>>()).expect("it forgets");
    writer.close().expect("it closes");
}

fn sound(archive: &Path, what: &str) {
    let output = run(&["verify", text(archive)]);
    let said = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    assert_eq!(calm(&output, what), 0, "{what}: {}", String::from_utf8_lossy(&said));
}

/// An account that is not any more what it was: in snapshot 2 it has everything, in snapshot 3 part of it was changed, in
/// snapshot 5 only the messages of the inbox are left.
struct Account {
    dir: tempfile::TempDir,
    base: PathBuf,
}

/// A message of several parts, whose text and attachment the tree shows as files.
fn letter(number: u32) -> Vec<u8> {
    let head = String::from_utf8(message(number)).expect("ASCII").split("\r\n\r\n").next().expect("a head").to_owned();
    format!(
        "{head}\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\ntext {number}\r\n--b\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Disposition: attachment; filename=a.pdf\r\n\r\n%PDF {number}\r\n--b--\r\n"
    )
    .into_bytes()
}

fn calendar(at: &Path, titles: &[&str]) {
    let event = |(number, title): (usize, &&str)| {
        format!(
            "BEGIN:VEVENT\r\nUID:e{number}@x\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20260301T100000Z\r\nSUMMARY:{title}\r\nEND:VEVENT\r\n"
        )
    };
    let events: String = titles.iter().enumerate().map(event).collect();
    let text = format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//x//EN\r\n{events}END:VCALENDAR\r\n");
    let cards: String = titles
        .iter()
        .enumerate()
        .map(|(number, title)| format!("BEGIN:VCARD\r\nVERSION:4.0\r\nUID:c{number}\r\nFN:{title}\r\nEND:VCARD\r\n"))
        .collect();
    fs::create_dir_all(at).and_then(|()| fs::write(at.join("Home.ics"), text)).expect("a calendar");
    fs::write(at.join("People.vcf"), cards).expect("cards");
}

impl Account {
    fn new() -> Account {
        let dir = tempfile::tempdir().expect("a directory");
        let (mail, takeout) = (dir.path().join("mail"), dir.path().join("Takeout"));
        let base = dir.path().join("base.sqlite");
        for number in 0..6 {
            deliver(&mail, &format!("{}.M{number}.h:2,S", 1_600_000_000 + number), &letter(number));
            deliver(&mail.join(".Gone"), &format!("{}.M{number}.h:2,", 1_600_000_100 + number), &letter(100 + number));
        }
        let large = [message(999), filler(1).repeat(50_000)].concat();
        deliver(&mail.join(".Gone"), "1600000200.M9.h:2,", &large);
        calendar(&takeout, &["Choir", "Books", "Lunch"]);
        let import = |kind: &str, from: &Path| ok(&["import", kind, text(from), text(&base), "--max-delete", "100%"]);
        import("maildir", &mail);
        import("takeout", &takeout);
        calendar(&takeout, &["Choir", "Films", "Dinner"]);
        import("takeout", &takeout);
        fs::remove_dir_all(mail.join(".Gone")).expect("removed");
        import("maildir", &mail);
        calendar(&takeout, &["Choir"]);
        import("takeout", &takeout);
        // A day apart, so that each has its own name.
        let conn = rusqlite::Connection::open(&base).expect("it opens");
        conn.execute("UPDATE snapshots SET ended = printf('2026-01-%02dT12:00:00Z', id)", []).expect("ends");
        digest_snapshots(&conn);
        drop(conn);
        Account { dir, base }
    }

    /// A copy of the archive. With a log, another program holds its log open, so that it stays beside the file.
    fn archive(&self, with_log: bool) -> (PathBuf, Option<rusqlite::Connection>) {
        // A new file each time: this process may still have the last one open.
        static COPIES: AtomicU32 = AtomicU32::new(0);
        let archive = self.dir.path().join(format!("{}.sqlite", COPIES.fetch_add(1, Ordering::Relaxed)));
        fs::copy(&self.base, &archive).expect("a copy");
        let holder = with_log.then(|| {
            let conn = rusqlite::Connection::open(&archive).expect("it opens");
            conn.execute_batch("BEGIN; SELECT count(*) FROM blobs;").expect("a transaction");
            let other = rusqlite::Connection::open(&archive).expect("it opens");
            other.execute_batch("PRAGMA user_version = 2").expect("something in the log");
            conn
        });
        (archive, holder)
    }
}

fn at(snapshot: i64) -> TreeOptions {
    TreeOptions { at: SnapshotSpec::Id(snapshot), ..TreeOptions::default() }
}

fn open(archive: &Path, options: TreeOptions) -> Tree {
    Tree::open(Arc::new(Reader::open(archive).expect("an archive")), options).expect("a tree")
}

/// What a tree answers about a node.
#[derive(Debug, Clone, PartialEq)]
struct Answers {
    stat: Stat,
    lines: Option<Vec<(String, Node)>>,
    bytes: Option<Vec<u8>>,
}

/// Every node below `start` with what the tree says of it, by path.
fn all(tree: &Tree, start: Node) -> BTreeMap<String, (Node, Answers)> {
    let mut found = BTreeMap::new();
    let mut nodes = vec![(String::new(), start)];
    walk::walk(tree, start, |step| {
        nodes.push((step.path.to_owned(), step.child.node));
        Ok(true)
    })
    .expect("a walk");
    for (path, node) in nodes {
        let answers = ask(tree, node).unwrap_or_else(|error| panic!("{path}: {error}"));
        found.insert(path, (node, answers));
    }
    found
}

fn ask(tree: &Tree, node: Node) -> Result<Answers, Error> {
    let stat = tree.stat(node)?;
    let lines = match stat.file_type {
        FileType::Directory => Some(list(tree, node)?),
        _ => None,
    };
    let bytes = match stat.file_type {
        FileType::File => Some(tree.read(node, 0, 1 << 24)?.to_vec()),
        FileType::Link => Some(tree.read_link(node)?.into_bytes()),
        FileType::Directory => None,
    };
    Ok(Answers { stat, lines, bytes })
}

fn list(tree: &Tree, node: Node) -> Result<Vec<(String, Node)>, Error> {
    let lines = tree.children(node, 0, 4_096)?;
    Ok(lines.into_iter().map(|line| (line.name, line.node)).collect())
}

/// Right, or forgotten; anything else is a lie. Gives 1 if it was forgotten.
fn right_or_forgotten<T: PartialEq + std::fmt::Debug>(answer: Result<T, Error>, expected: &T, what: &str) -> u32 {
    match answer {
        Ok(answer) => {
            assert!(answer == *expected, "{what}: {answer:?}, expected {expected:?}");
            0
        }
        Err(error) => {
            assert_eq!(error.kind, ErrorKind::Forgotten, "{what}: {error}");
            1
        }
    }
}

/// Asks a tree about every node of a snapshot that went; gives how often it said so.
fn compare(tree: &Tree, before: &BTreeMap<String, (Node, Answers)>, place: &str, what: &str) -> u32 {
    let mut gone = 0;
    for (path, (node, answers)) in before {
        let what = |question: &str| format!("{what}, {path:?}, {question}");
        // What is the same in every snapshot does not know which one it is of: below `.snapshots` it is just gone.
        let has_state = !["Text", "Attachment", "AttachmentFolder"].contains(&format!("{:?}", node.kind).as_str());
        let told = |error: Error| match error.kind {
            ErrorKind::NotFound if !has_state && place == ".snapshots" => Error::new(ErrorKind::Forgotten, "gone"),
            _ => error,
        };
        // Dates may be those of the next snapshot.
        let stat = tree.stat(*node).map(|stat| (stat.file_type, stat.size, stat.links)).map_err(told);
        gone +=
            right_or_forgotten(stat, &(answers.stat.file_type, answers.stat.size, answers.stat.links), &what("stat"));
        if let Some(lines) = &answers.lines {
            gone += right_or_forgotten(list(tree, *node).map_err(told), lines, &what("listing"));
            for (child, expected) in lines {
                let found = tree.lookup(*node, child).map(|line| line.node);
                gone += right_or_forgotten(found.map_err(told), expected, &what(&format!("lookup of {child}")));
            }
            // A name that was not there then is not there now, unless nothing can be said any more.
            let error = tree.lookup(*node, "no such name").expect_err("no such name");
            assert!(
                matches!(error.kind, ErrorKind::NotFound | ErrorKind::Forgotten),
                "{}: {error}",
                what("no such name")
            );
        }
        if let Some(bytes) = &answers.bytes {
            let read = |offset: usize| match answers.stat.file_type {
                FileType::File => tree.read(*node, offset as u64, 1 << 24).map(|bytes| bytes.to_vec()),
                _ => tree.read_link(*node).map(|target| target.into_bytes()[offset..].to_vec()),
            };
            for offset in [0, bytes.len() / 2] {
                let expected = bytes[offset..].to_vec();
                gone += right_or_forgotten(read(offset).map_err(told), &expected, &what("bytes"));
            }
        }
    }
    gone
}

/// Every question about every node of a snapshot that goes, asked by a tree that had seen all of it, by one that had seen
/// nothing, and through `.snapshots`; with and without a log beside the file.
#[test]
fn a_tree_says_that_its_snapshot_is_gone() {
    let account = Account::new();
    for with_log in [false, true] {
        for place in ["root", ".snapshots"] {
            let (archive, _holder) = account.archive(with_log);
            let options = || {
                if place == "root" { at(2) } else { TreeOptions { snapshots_visible: true, ..TreeOptions::default() } }
            };
            let [warm, cold, half] = [(); 3].map(|()| open(&archive, options()));
            let start = |tree: &Tree| match place {
                "root" => Node::ROOT,
                _ => {
                    let names = list(tree, tree.resolve(".snapshots").expect(".snapshots")).expect("a listing");
                    names.get(1).expect("the second snapshot").1
                }
            };
            let before = all(&warm, start(&warm));
            let lists = |tree: &Tree| walk::walk(tree, start(tree), |_| Ok(true)).expect("a walk");
            lists(&half);
            assert!(
                before.values().any(|(_, answers)| answers.bytes.as_ref().is_some_and(|bytes| bytes.len() > 1 << 20))
            );
            forget(&archive, [1, 2, 3, 4]);
            for (name, tree) in [("warm", &warm), ("cold", &cold), ("half", &half)] {
                let gone = compare(tree, &before, place, &format!("log {with_log}, {place}, {name}"));
                assert!(gone > 0, "log {with_log}, {place}, {name}: something cannot be known any more");
                let again = Tree::open(Arc::new(Reader::open(&archive).expect("an archive")), at(2));
                assert!(again.is_err_and(|error| error.kind == ErrorKind::Usage), "it cannot be opened any more");
            }
        }
    }
}

/// The snapshots that stay show the same after their neighbours went, in trees that were open all the time, too.
#[test]
fn the_neighbours_of_a_forgotten_snapshot_stay_what_they_are() {
    let account = Account::new();
    for drop in [vec![1], vec![3], vec![1, 2], vec![2, 4]] {
        for with_log in [false, true] {
            let (archive, _holder) = account.archive(with_log);
            let kept: Vec<i64> = (1..=5).filter(|snapshot| !drop.contains(snapshot)).collect();
            let visible = TreeOptions { snapshots_visible: true, ..TreeOptions::default() };
            let [warm, cold] = [(); 2].map(|()| open(&archive, visible));
            let named = |tree: &Tree| list(tree, tree.resolve(".snapshots").expect(".snapshots")).expect("a listing");
            let starts: Vec<(String, Node)> = named(&warm);
            let of = |snapshot: i64| &starts[snapshot as usize - 1];
            let before: BTreeMap<i64, _> = kept.iter().map(|at| (*at, all(&warm, of(*at).1))).collect();
            let roots: BTreeMap<i64, _> = kept.iter().map(|at| (*at, tree(&archive, &at.to_string()))).collect();
            forget(&archive, drop.iter().copied());
            for snapshot in &kept {
                let what = format!("log {with_log}, {drop:?} forgotten, snapshot {snapshot}");
                assert!(tree(&archive, &snapshot.to_string()) == roots[snapshot], "{what}");
                let fresh = open(&archive, visible);
                for (name, tree) in [("warm", &warm), ("cold", &cold), ("fresh", &fresh)] {
                    let found = named(tree).into_iter().find(|(name, _)| *name == of(*snapshot).0);
                    let start = found.unwrap_or_else(|| panic!("{what}, {name}: its name is another")).1;
                    for (path, (node, answers)) in &before[snapshot] {
                        let now = tree.resolve(&format!(".snapshots/{}/{path}", of(*snapshot).0));
                        let now = now.unwrap_or_else(|error| panic!("{what}, {name}, {path}: {error}"));
                        let bytes = |node| ask(tree, node).map(|answers| (answers.bytes, answers.stat.size));
                        let expected = (answers.bytes.clone(), answers.stat.size);
                        for node in [now, *node] {
                            let answer = bytes(node).unwrap_or_else(|error| panic!("{what}, {name}, {path}: {error}"));
                            assert!(answer == expected, "{what}, {name}, {path}: {answer:?}, expected {expected:?}");
                        }
                    }
                    assert_eq!(start.snapshot, *snapshot, "{what}, {name}");
                }
            }
        }
    }
}

/// Walks a tree and calls `tick` at each step: everything is met, which gives 0, or the snapshot is gone, which gives 1.
fn walked_or_forgotten(tree: &Tree, whole: &BTreeMap<String, Vec<u8>>, tick: &mut dyn FnMut(), what: &str) -> u32 {
    let mut names = BTreeSet::new();
    let walked = walk::walk(tree, Node::ROOT, |one| {
        tick();
        names.insert(match one.child.file_type {
            FileType::Directory => format!("{}/", one.path),
            _ => one.path.to_owned(),
        });
        Ok(true)
    });
    let expected: BTreeSet<String> = whole.keys().cloned().collect();
    right_or_forgotten(walked.map(|()| names), &expected, what)
}

/// The same for an extract, whose files have the right bytes.
fn extracted_or_forgotten(
    tree: &Tree,
    into: &Path,
    whole: &BTreeMap<String, Vec<u8>>,
    tick: &mut dyn FnMut(),
    what: &str,
) -> u32 {
    let _ = fs::remove_dir_all(into);
    let destination = Destination {
        into,
        names: extract::Names::Auto,
        medium: &extract::medium::Disk,
        is_dry: false,
        skips_existing: false,
    };
    match extract::extract(tree, "", &destination, &UNSEEN, |_| tick()) {
        Ok(done) => {
            assert_eq!(done.failed, [], "{what}");
            for (path, bytes) in whole {
                let is_decoded = path.starts_with("text/") || path.starts_with("attachments/");
                if !is_decoded && !path.ends_with('/') && !into.join(path).is_symlink() {
                    assert!(fs::read(into.join(path)).expect(path) == *bytes, "{what}: {path}");
                }
            }
            0
        }
        Err(error) => {
            assert_eq!(error.kind, ErrorKind::Forgotten, "{what}: {error}");
            1
        }
    }
}

/// A walk, an extract, a diff and a reading of rows, each with the snapshot forgotten at its Nth step: all of it, or the
/// error.
#[test]
fn what_reads_a_snapshot_that_goes_ends_with_all_of_it_or_an_error() {
    let account = Account::new();
    let whole = tree(&account.base, "2");
    let reader = Reader::open(&account.base).expect("an archive");
    let (two, five) = (Moment::Snapshot(2), Moment::Snapshot(5));
    let differing = |reader: &Reader, each: &mut dyn FnMut()| {
        let mut found = Vec::new();
        vandelay::archive::diff(reader, two, five, |difference, before, after| {
            each();
            found.push(format!("{difference:?} {:?} {:?}", before.map(|row| row.id), after.map(|row| row.id)));
            Ok(())
        })
        .map(|()| found)
    };
    let difference = differing(&reader, &mut || {}).expect("a diff");
    drop(reader);
    let into = account.dir.path().join("into");
    let mut forgotten = BTreeMap::new();
    for with_log in [false, true] {
        for step in if soak() { &[0, 1, 3, 8, 21, 40][..] } else { &[0, 5, 25][..] } {
            for work in ["walk", "extract", "diff"] {
                let what = format!("log {with_log}, {work}, forgotten at step {step}");
                let (archive, _holder) = account.archive(with_log);
                let reader = Arc::new(Reader::open(&archive).expect("an archive"));
                let tree = Tree::open(Arc::clone(&reader), at(2)).expect("a tree");
                let mut steps = 0;
                let mut tick = || {
                    if steps == *step {
                        forget(&archive, [1, 2, 3, 4]);
                    }
                    steps += 1;
                };
                let ended = match work {
                    "walk" => walked_or_forgotten(&tree, &whole, &mut tick, &what),
                    "extract" => extracted_or_forgotten(&tree, &into, &whole, &mut tick, &what),
                    _ => right_or_forgotten(differing(&reader, &mut tick), &difference, &what),
                };
                *forgotten.entry(work).or_insert(0) += ended;
                // What asks afterwards is told, whatever was seen before.
                if steps > *step {
                    for kind in ObjectType::ALL {
                        let error = reader.each_record(kind, two, |_| {}).expect_err("it is gone");
                        assert_eq!(error.kind, ErrorKind::Forgotten, "{what}: {kind:?}: {error}");
                    }
                    assert_eq!(tree.require().expect_err("it is gone").kind, ErrorKind::Forgotten);
                    if work == "diff" {
                        sound(&archive, &what);
                    }
                }
            }
        }
    }
    assert!(forgotten.values().all(|count| *count > 1), "{forgotten:?}");
}

/// `cat` of a large message, read piece by piece.
#[test]
fn a_large_message_of_a_snapshot_that_goes_is_read_whole_or_not_at_all() {
    let account = Account::new();
    for with_log in [false, true] {
        for after in [0, 1, 2] {
            let (archive, _holder) = account.archive(with_log);
            let tree = open(&archive, at(2));
            let path =
                tree_paths(&tree).into_iter().find(|path| path.contains("/Gone/cur/") && path.contains(".vandelay,"));
            let folder = path.expect("a message").rsplit_once('/').expect("a folder").0.to_owned();
            let lines = tree.children(tree.resolve(&folder).expect("a folder"), 0, 100).expect("messages");
            let sizes = lines.iter().map(|line| (tree.stat(line.node).expect("a size").size, line.node));
            let (size, node) = sizes.max_by_key(|(size, _)| *size).expect("a message");
            assert!(size > 3 << 20, "{size}");
            let expected = [message(999), filler(1).repeat(50_000)].concat();
            for piece in 0..4u64 {
                if piece == after {
                    forget(&archive, [1, 2, 3, 4]);
                }
                let offset = (piece << 20) as usize;
                let end = expected.len().min(offset + (1 << 20));
                let read = tree.read(node, offset as u64, 1 << 20).map(|bytes| bytes.to_vec());
                right_or_forgotten(read, &expected[offset..end].to_vec(), &format!("log {with_log}, piece {piece}"));
            }
        }
    }
}

fn tree_paths(tree: &Tree) -> Vec<String> {
    let mut paths = Vec::new();
    walk::walk(tree, Node::ROOT, |step| {
        paths.push(step.path.to_owned());
        Ok(true)
    })
    .expect("a walk");
    paths
}

/// A mount of a snapshot that goes answers with ESTALE; no folder looks empty.
#[test]
fn a_mount_of_a_snapshot_that_goes_is_stale() {
    let account = Account::new();
    for with_log in [false, true] {
        let (archive, _holder) = account.archive(with_log);
        let whole = tree(&archive, "2");
        let Some(mounted) = Mounted::new(&archive, &account.dir.path().join("mnt"), &["--at", "2"]) else { return };
        // One folder was seen, the others were not.
        assert_eq!(fs::read_dir(mounted.at.join("mail/INBOX/cur")).expect("a folder").count(), 6);
        ok(&["forget", text(&archive), "--keep-last", "1"]);
        let mut stale = 0;
        for (path, bytes) in &whole {
            let at = mounted.at.join(path);
            let what = format!("log {with_log}, {path}");
            let is_stale = |error: std::io::Error| {
                assert_eq!(error.raw_os_error(), Some(libc::ESTALE), "{what}: {error}");
                1
            };
            if path.ends_with('/') {
                let below = |path: &str| {
                    whole
                        .keys()
                        .filter(|other| {
                            other
                                .strip_prefix(path)
                                .is_some_and(|rest| !rest.is_empty() && !rest.trim_end_matches('/').contains('/'))
                        })
                        .count()
                };
                match fs::read_dir(&at).and_then(Iterator::collect::<std::io::Result<Vec<_>>>) {
                    Ok(entries) => assert_eq!(entries.len(), below(path), "{what}"),
                    Err(error) => stale += is_stale(error),
                }
            } else if let Ok(target) = fs::read_link(&at) {
                assert_eq!(target.as_os_str().as_encoded_bytes(), bytes, "{what}");
            } else {
                match fs::read(&at) {
                    Ok(read) => assert!(read == *bytes, "{what}"),
                    Err(error) => stale += is_stale(error),
                }
            }
        }
        assert!(stale > 10, "log {with_log}: {stale}");
    }
}

/// An export of a snapshot that goes while its messages are sent: all of them, or an error that says why.
#[test]
fn an_export_of_a_snapshot_that_goes_is_whole_or_says_so() {
    let dir = tempfile::tempdir().expect("a directory");
    let mail = maildir(&dir.path().join("mail"), 600, 4_000);
    let archive = dir.path().join("a.sqlite");
    let import = || ok(&["import", "maildir", text(&mail), text(&archive), "--max-delete", "100%"]);
    import();
    fs::remove_dir_all(mail.join("cur")).and_then(|()| fs::create_dir(mail.join("cur"))).expect("removed");
    import();
    let base = dir.path().join("base.sqlite");
    fs::copy(&archive, &base).expect("a copy");
    let mut ended = BTreeMap::new();
    for goal in [0, 1, 100, 300] {
        fs::copy(&base, &archive).expect("a copy");
        let server = Server::start(ServerOptions::default());
        let mut command = jmap_run::command(&server, "export");
        command.args(["--at", "1"]).arg(&archive).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().expect("it starts");
        let started = Instant::now();
        while (server.objects("A1", "Email").len() < goal || server.objects("A1", "Mailbox").is_empty())
            && started.elapsed() < Duration::from_secs(60)
        {
            std::thread::sleep(Duration::from_millis(1));
        }
        held::signal(&child, libc::SIGSTOP);
        ok(&["forget", text(&archive), "--keep-last", "1"]);
        held::signal(&child, libc::SIGCONT);
        let output = child.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let code = calm(&output, &format!("{goal} messages were there"));
        if code == 0 {
            assert_eq!(server.objects("A1", "Email").len(), 600, "{goal}");
        } else {
            assert!([5, 7].contains(&code) && said.contains("forgotten"), "{goal}: {code}: {said}");
            assert!(
                said.lines().any(|line| line.starts_with("error: ")) && !said.contains("damaged"),
                "{goal}: {said}"
            );
        }
        *ended.entry(code).or_insert(0) += 1;
    }
    assert!(ended.len() > 1 || !ended.contains_key(&0), "{ended:?}");
}

// --- verify -------------------------------------------------------------------------------------------------------------

/// `verify` beside writers never says "damaged".
#[test]
fn verify_beside_writers_finds_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let mail = maildir(&dir.path().join("mail"), 400, 3_000);
    let base = dir.path().join("base.sqlite");
    ok(&["import", "maildir", text(&mail), text(&base)]);
    for folder in ["cur", ".Work/cur"] {
        for entry in fs::read_dir(mail.join(folder)).expect("a folder") {
            fs::remove_file(entry.expect("an entry").path()).expect("removed");
        }
    }
    ok(&["import", "maildir", text(&mail), text(&base), "--max-delete", "100%"]);
    maildir(&mail, 200, 3_000);
    let archive = dir.path().join("a.sqlite");
    let whole = Depth { sample: 1.0, max_duration: None, seed: 0 };
    for work in [
        &["forget", text(&archive), "--keep-last", "1"][..],
        &["forget", text(&archive), "--keep-last", "1", "--compact"],
        &["import", "maildir", text(&mail), text(&archive)],
    ] {
        // The writer works at the Nth blob of those that are looked at, so at a known point of the check.
        for point in [0, 1, 150, 300] {
            fs::copy(&base, &archive).expect("a copy");
            let reader = Reader::open(&archive).expect("an archive");
            let mut looked = 0;
            let verdict = verify(&reader, whole, |_, _| {
                if looked == point {
                    ok(work);
                }
                looked += 1;
            });
            match verdict {
                Ok(verdict) => assert_eq!(verdict.findings, [], "{work:?} at {point}"),
                Err(error) => assert_eq!(error.kind, ErrorKind::Locked, "{work:?} at {point}: {error}"),
            }
            drop(reader);
            sound(&archive, "afterwards");
        }
        // The other way round: the checks begin at any moment of the writer's work.
        fs::copy(&base, &archive).expect("a copy");
        let mut writer = vandelay().args(work).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        loop {
            let is_done = writer.try_wait().expect("a child").is_some();
            let output = run(&["verify", text(&archive)]);
            let code = calm(&output, "verify");
            assert!([0, 11].contains(&code), "{work:?}: {code}: {}", String::from_utf8_lossy(&output.stdout));
            if is_done {
                assert_eq!(code, 0, "{work:?}");
                break;
            }
        }
    }
}

// --- forget --compact -----------------------------------------------------------------------------------------------------

/// An archive of 2 × `half` bytes of mail, of which half belongs to a snapshot that can be dropped.
fn half_dropped(dir: &Path, half: u32) -> (PathBuf, usize) {
    let mail = dir.join("mail");
    let archive = dir.join("base.sqlite");
    let size = 250_000;
    let count = half / size * 2;
    for number in 0..count {
        let bytes = [message(number), filler(u64::from(number)).repeat(size as usize / 64)].concat();
        deliver(&mail, &format!("{}.M{number}.h:2,", 1_600_000_000 + number), &bytes);
    }
    let import = || ok(&["import", "maildir", text(&mail), text(&archive), "--max-delete", "100%"]);
    import();
    for number in (0..count).step_by(2) {
        fs::remove_file(mail.join(format!("cur/{}.M{number}.h:2,", 1_600_000_000 + number))).expect("removed");
    }
    import();
    fs::remove_dir_all(&mail).expect("removed");
    (archive, count as usize / 2)
}

/// Memory does not grow with the archive.
#[test]
fn forget_compact_needs_little_memory() {
    let dir = tempfile::tempdir().expect("a directory");
    let (archive, kept) = half_dropped(dir.path(), 75_000_000);
    let before = fs::metadata(&archive).expect("the archive").len();
    let shown = tree(&archive, "2");
    assert!(before > 150_000_000, "{before}");
    let output = Command::new("prlimit")
        // Of addresses; the program and its time zones take a third of these.
        .arg("--as=140000000")
        .arg(env!("CARGO_BIN_EXE_vandelay"))
        .args(["forget", "--keep-last", "1", "--compact", text(&archive)])
        .output()
        .expect("prlimit runs");
    assert_eq!(calm(&output, "compact"), 0, "{}", String::from_utf8_lossy(&output.stderr));
    let after = fs::metadata(&archive).expect("the archive").len();
    assert!(after < before * 6 / 10, "{before} bytes before, {after} after");
    sound(&archive, "compacted");
    assert!(tree(&archive, "2") == shown && shown.keys().filter(|path| path.contains(".vandelay,")).count() == kept);
}

/// The names beside the archive, but for those of the test, and but for a log: this process may still read beside it.
fn beside(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| name != "base.sqlite" && ![".search", "-wal", "-shm"].iter().any(|end| name.ends_with(end)))
        .collect();
    names.sort();
    names
}

/// Killed at any point, `forget --compact` leaves the archive whole, and the next one removes what it left.
#[test]
fn a_killed_compact_leaves_the_archive_whole() {
    let dir = tempfile::tempdir().expect("a directory");
    let (base, _) = half_dropped(dir.path(), 10_000_000);
    let shown = tree(&base, "2");
    let archive = dir.path().join("a.sqlite");
    let command = || {
        let mut command = vandelay();
        command.args(["forget", "--keep-last", "1", "--compact", text(&archive)]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    fs::copy(&base, &archive).expect("a copy");
    let started = Instant::now();
    assert!(command().status().expect("it runs").success());
    let length = started.elapsed();
    let smallest = fs::metadata(&archive).expect("the archive").len();
    let mut dice = Dice(7);
    let mut left = 0;
    for round in 0..if soak() { 100 } else { 10 } {
        let what = format!("round {round}");
        // Sometimes what the last one left is still there.
        if dice.below(3) > 0 {
            // A new file: this process may still have a connection to the old one.
            for suffix in ["", "-wal", "-shm"] {
                let _ = fs::remove_file(format!("{}{suffix}", archive.display()));
            }
            fs::copy(&base, &archive).expect("a copy");
        }
        let mut child = command().spawn().expect("it starts");
        std::thread::sleep(length.mul_f64(dice.below(1_000) as f64 / 1_000.0));
        held::signal(&child, libc::SIGKILL);
        let status = child.wait().expect("it ends");
        assert!(status.success() || status.signal() == Some(libc::SIGKILL), "{what}: {status}");
        left += u32::from(beside(dir.path()).iter().any(|name| name.contains("compact-")));
        sound(&archive, &what);
        assert!(tree(&archive, "2") == shown, "{what}: the snapshot that is kept");
        if dice.below(2) == 0 {
            assert!(command().status().expect("it runs").success(), "{what}: the next one");
            assert_eq!(beside(dir.path()), ["a.sqlite"], "{what}: nothing is left");
            assert_eq!(fs::metadata(&archive).expect("the archive").len(), smallest, "{what}");
            sound(&archive, &what);
            assert!(tree(&archive, "2") == shown, "{what}: after the next one");
        }
    }
    eprintln!("{left} rounds left a copy behind");
}

/// Where there is no room for the copy, or where it ends on the way, the archive stays as it is.
#[test]
fn compact_on_a_full_disk_leaves_the_archive_whole() {
    let dir = tempfile::tempdir().expect("a directory");
    let (base, _) = half_dropped(dir.path(), 10_000_000);
    let shown = tree(&base, "2");
    let size = fs::metadata(&base).expect("the archive").len();
    let half = size / 2;
    // No room at all; for a part of the copy; for the copy and not for the log; for both.
    for room in [500_000, half / 2, half + 4_000_000, 2 * half + 16_000_000] {
        let what = format!("{room} bytes of room");
        let Some(disk) = Tmpfs::new(&dir.path().join(format!("disk{room}")), &format!("size={}k", (size + room) >> 10))
        else {
            return;
        };
        let archive = disk.at.join("a.sqlite");
        fs::copy(&base, &archive).expect("a copy");
        let output = run(&["forget", "--keep-last", "1", "--compact", text(&archive)]);
        let code = calm(&output, &what);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if room > 2 * half {
            assert_eq!(code, 0, "{what}: {said}");
        } else {
            assert_eq!(code, 7, "{what}: {said}");
            assert!(said.contains("error: ") && said.contains("free"), "{what}: {said}");
        }
        sound(&archive, &what);
        assert!(tree(&archive, "2") == shown, "{what}");
        let names: Vec<String> = beside(&disk.at);
        assert!(names.iter().all(|name| name.starts_with("a.sqlite")), "{what}: {names:?}");
    }
}

// --- many snapshots -------------------------------------------------------------------------------------------------------

/// Seconds of processor time that this thread has used.
fn thread_time() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a plain question, answered into a struct of ours.
    let outcome = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(outcome, 0);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// The first look into a snapshot costs the same among 3,000 as among 12, and a look into each of them is linear.
#[test]
fn a_look_into_one_of_many_snapshots_costs_the_same() {
    let dir = tempfile::tempdir().expect("a directory");
    let mail = maildir(&dir.path().join("mail"), 30, 300);
    let few = dir.path().join("few.sqlite");
    ok(&["import", "maildir", text(&mail), text(&few)]);
    let more = |archive: &Path, count: i64| {
        let conn = rusqlite::Connection::open(archive).expect("it opens");
        let sql = "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
             INSERT INTO snapshots (id, source_id, started, ended, state, program, report)
             SELECT i, s.source_id, s.started, s.ended, s.state, s.program, s.report FROM n, snapshots s WHERE s.id = 1";
        conn.execute(sql, [count]).expect("snapshots");
        digest_snapshots(&conn);
    };
    let many = dir.path().join("many.sqlite");
    fs::copy(&few, &many).expect("a copy");
    more(&few, 12);
    more(&many, 3_000);
    for archive in [&few, &many] {
        sound(archive, "with snapshots added");
    }
    // The fewest of several measurements: what the machine does besides only adds.
    let least = |work: &dyn Fn()| {
        let measure = || {
            let start = thread_time();
            work();
            thread_time() - start
        };
        (0..5).map(|_| measure()).fold(f64::MAX, f64::min)
    };
    let visible = TreeOptions { snapshots_visible: true, ..TreeOptions::default() };
    let look = |tree: &Tree, number: usize| {
        let names = tree.children(tree.resolve(".snapshots").expect(".snapshots"), 0, 10_000).expect("a listing");
        let folder = tree.lookup(names[number].node, "mail").expect("mail").node;
        let inbox = tree.lookup(folder, "INBOX").expect("an inbox").node;
        let messages = tree.children(tree.lookup(inbox, "cur").expect("cur").node, 0, 100).expect("messages");
        assert_eq!(messages.len(), 20);
    };
    let one_of = |archive: &Path, number: usize| {
        let tree = open(archive, visible);
        // What does not depend on the snapshot is paid before.
        look(&tree, 0);
        let names = tree.children(tree.resolve(".snapshots").expect(".snapshots"), 0, 10_000).expect("a listing");
        let next = std::cell::Cell::new(number);
        least(&|| {
            let folder = tree.lookup(names[next.get()].node, "mail").expect("mail").node;
            next.set(next.get() + 1);
            let inbox = tree.lookup(folder, "INBOX").expect("an inbox").node;
            let messages = tree.children(tree.lookup(inbox, "cur").expect("cur").node, 0, 100).expect("messages");
            assert_eq!(messages.len(), 20);
        })
    };
    let (of_few, of_many) = (one_of(&few, 3), one_of(&many, 1_500));
    assert!(of_many < 4.0 * of_few + 0.001, "{of_few} s in one of 12, {of_many} s in one of 3,000");
    let each_of = |count: usize| {
        let tree = open(&many, visible);
        let names = tree.children(tree.resolve(".snapshots").expect(".snapshots"), 0, 10_000).expect("a listing");
        let start = thread_time();
        for name in &names[..count] {
            tree.lookup(name.node, "mail").expect("mail");
        }
        thread_time() - start
    };
    let (part, whole) = (each_of(300), each_of(3_000));
    assert!(whole < 40.0 * part + 0.01, "{part} s for 300 of them, {whole} s for 3,000");
    // At a moment that a user names, too.
    let at_one = |archive: &Path, number: i64| {
        least(&|| {
            let reader = Reader::open(archive).expect("an archive");
            assert_eq!(reader.resolve(SnapshotSpec::Id(number)).expect("a moment"), Moment::Snapshot(number));
        })
    };
    let (of_few, of_many) = (at_one(&few, 7), at_one(&many, 1_507));
    assert!(of_many < 4.0 * of_few + 0.001, "{of_few} s for one of 12, {of_many} s for one of 3,000");
}

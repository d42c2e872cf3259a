//! Takeout through the public API: real mbox files against Python's reader, folders, labels, duplicates, large messages.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::corpora::{Corpus, corpora};
use crate::common::has;
use vandelay::error::ErrorKind;
use vandelay::format::mbox::{Identity, Scanner};
use vandelay::model::container::Container;
use vandelay::model::{Body, Digest, Entry, FetchedItem, ItemData, ObjectType, SkipKind};
use vandelay::source::files::{ExportedFiles, FILES, FilesOptions};
use vandelay::source::{Listing, Scope, Source};

fn open(path: &Path) -> ExportedFiles {
    try_open(path, false).unwrap()
}

fn try_open(path: &Path, noautomap: bool) -> vandelay::error::Result<ExportedFiles> {
    ExportedFiles::takeout(path, FilesOptions { noautomap, include_deleted: false, spool: std::env::temp_dir() })
}

/// Everything of a source: the listing and the items of each scope.
fn read_all(source: &mut ExportedFiles) -> Vec<(Scope, Listing, Vec<FetchedItem>)> {
    let (scopes, containers) = source.scopes().unwrap();
    assert!(containers.is_empty());
    scopes
        .into_iter()
        .map(|scope| {
            let listing = source.list(&scope, "").unwrap();
            assert!(matches!(listing.unnamed, vandelay::source::UnlistedItems::Kept) && !listing.unchanged);
            let items: Vec<FetchedItem> =
                source.fetch(&scope, listing.entries.clone()).unwrap().map(|item| item.unwrap()).collect();
            check(&scope, &listing, &items);
            (scope, listing, items)
        })
        .collect()
}

/// What holds for every listing: distinct sorted keys, parents listed before children and entries.
fn check(scope: &Scope, listing: &Listing, items: &[FetchedItem]) {
    assert_eq!(items.len(), listing.entries.len(), "{}", scope.key);
    let mut known = std::collections::HashSet::new();
    for container in &listing.containers {
        assert!(container.parent.as_ref().is_none_or(|parent| known.contains(parent)), "{container:?}");
        assert!(known.insert(container.key.clone()), "{container:?}");
    }
    let mut keys = std::collections::HashSet::new();
    for (entry, item) in listing.entries.iter().zip(items) {
        assert!(keys.insert(&entry.key) && entry.key == item.key);
        assert!(entry.attrs.parents.is_sorted() && entry.attrs.keywords.is_sorted());
        assert!(entry.attrs.parents.iter().all(|parent| known.contains(parent)), "{:?}", entry.attrs);
        if scope.kind != ObjectType::FileNode {
            assert!(!entry.attrs.parents.is_empty());
        }
        if scope.kind == ObjectType::Email {
            let mut identity = Identity::default();
            identity.write_all(&bytes(item)).unwrap();
            assert_eq!(Digest(identity.finish()).hex(), *entry.key);
            assert_eq!(format!("m{}", entry.key), *entry.rev);
        } else {
            assert_eq!(Digest::of(&bytes(item)).hex(), *entry.rev);
        }
    }
}

fn bytes(item: &FetchedItem) -> Vec<u8> {
    match &item.body {
        Body::Bytes(bytes) => bytes.clone(),
        Body::File(file) => {
            let mut bytes = Vec::new();
            file.try_clone().unwrap().read_to_end(&mut bytes).unwrap();
            bytes
        }
        Body::Absent => panic!("no bytes of its own"),
        Body::Part { whole, ranges } => {
            ranges.iter().flat_map(|range| &whole[range.start as usize..range.end as usize]).copied().collect()
        }
    }
}

fn text(item: &FetchedItem) -> String {
    String::from_utf8(bytes(item)).unwrap()
}

fn scope(source: &mut ExportedFiles, key: &str) -> Scope {
    source.scopes().unwrap().0.into_iter().find(|scope| scope.key == key).unwrap()
}

fn parents(entry: &Entry) -> Vec<&str> {
    entry.attrs.parents.iter().map(String::as_str).collect()
}

fn keywords(entry: &Entry) -> Vec<&str> {
    entry.attrs.keywords.iter().map(String::as_str).collect()
}

/// First and last byte of every message that Python's mailbox module finds.
fn python(files: &[&PathBuf]) -> Vec<Vec<(u64, u64)>> {
    const SCRIPT: &str = r#"
import mailbox, sys
for path in sys.stdin.buffer.read().split(b"\0")[:-1]:
    box = mailbox.mbox(path.decode(), create=False)
    spans = []
    for key in box.keys():
        start, stop = box._toc[key]
        box._file.seek(start)
        line = box._file.readline()
        spans.append("%d-%d" % (start + len(line), stop))
    print(" ".join(spans))
"#;
    let mut child = Command::new("python3")
        .args(["-c", SCRIPT])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for file in files {
        stdin.write_all(file.as_os_str().as_encoded_bytes()).unwrap();
        stdin.write_all(b"\0").unwrap();
    }
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let span = |span: &str| span.split_once('-').map(|(a, b)| (a.parse().unwrap(), b.parse().unwrap())).unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(|line| line.split_whitespace().map(span).collect()).collect()
}

/// Every mbox of the corpora, message by message.
#[test]
fn messages_are_those_that_python_finds() {
    if !has("python3") {
        return;
    }
    // Python takes every line that begins with `From ` for a separator: some files have such lines that are text. And
    // it sees no message before the first separator: some files are one message without any.
    let found = against_python(false);
    assert_eq!(
        found.differences,
        [
            ("All mail Including Spam and Trash.mbox", (6, 8)),
            ("mboxcl2.mbox", (2, 3)),
            ("no-separator.mbox", (1, 0)),
            ("text-from-lines.mbox", (2, 4)),
        ]
        .into()
    );
    assert_eq!(found.undated, [("no-separator.mbox", 1), ("simple.mbox.txt", 3), ("thunderbird.mbox", 2)].into());
    assert_eq!((found.files, found.messages), (15, 34));
    let found = against_python(true);
    if found.files > 0 {
        assert_eq!(
            found.differences,
            [
                ("dovecot-list.mbox", (1651, 1653)),
                ("mbox-eof-bug.mbox", (2, 3)),
                ("mbox.rlug-0", (1, 0)),
                ("mbox.rlug-1", (1, 0)),
                ("mbox.rlug-2", (1, 0)),
            ]
            .into()
        );
        assert_eq!(
            found.undated,
            [("mbox.rlug-0", 1), ("mbox.rlug-1", 1), ("mbox.rlug-2", 1), ("simple.mbox.txt", 3), ("substring.mbox", 3)]
                .into()
        );
    }
}

/// Files and messages looked at, and by the name of the file how we and Python differ.
#[derive(Default)]
struct Compared {
    files: usize,
    messages: usize,
    /// How many messages we find, and how many Python.
    differences: BTreeMap<&'static str, (usize, usize)>,
    /// How many have no date in their separator.
    undated: BTreeMap<&'static str, usize>,
}

/// Compares the mbox files of the small sets, or those of the full corpora.
fn against_python(full: bool) -> Compared {
    let sets: Vec<Corpus> = ["mail-mbox", "mail-takeout-fixtures"].into_iter().flat_map(corpora).collect();
    let mut files: Vec<&PathBuf> = sets.iter().filter(|set| set.full == full).flat_map(|set| &set.paths).collect();
    files.retain(|file| {
        let ending = file.extension().unwrap_or_default().to_str().unwrap_or_default();
        !["gz", "bz2", "xz", "lz", "zip", "json", "ics", "vcf"].contains(&ending)
    });
    let mut found = Compared { files: files.len(), ..Compared::default() };
    let theirs = python(&files);
    assert_eq!(theirs.len(), files.len());
    for (file, theirs) in files.into_iter().zip(theirs) {
        let handle = File::open(file).unwrap();
        let ours: Vec<_> = Scanner::new(&handle).map(|message| message.unwrap()).collect();
        found.messages += ours.len();
        let name: &str = file.file_name().unwrap().to_str().unwrap().to_owned().leak();
        println!("{:6} {:6} {}", ours.len(), theirs.len(), name);
        let without = ours.iter().filter(|message| message.date.is_none()).count();
        if without > 0 {
            found.undated.insert(name, without);
        }
        if ours.len() != theirs.len() {
            found.differences.insert(name, (ours.len(), theirs.len()));
            continue;
        }
        let all = fs::read(file).unwrap();
        for (message, (start, stop)) in ours.iter().zip(theirs) {
            // Python takes no CRLF for a blank line, so it leaves the writer's one in the message.
            let blank = all[..stop as usize].ends_with(b"\n\r\n");
            let stop = if blank { stop - 2 } else { stop };
            assert_eq!((message.offset, message.offset + message.len), (start, stop), "{name}");
        }
    }
    println!("{} files, {} messages", found.files, found.messages);
    found
}

/// The corpora as exports: all items are handed over, all bytes are accounted for.
#[test]
fn every_item_of_the_corpora_is_handed_over() {
    for (name, kind, at_least) in [
        ("mail-mbox", ObjectType::Email, 23),
        ("mail-takeout-fixtures", ObjectType::Email, 5),
        ("calendars", ObjectType::CalendarEvent, 700),
        ("calendars-templated", ObjectType::CalendarEvent, 3),
        ("contacts", ObjectType::ContactCard, 60),
    ] {
        for corpus in corpora(name) {
            let mut source = open(&corpus.root);
            let all = read_all(&mut source);
            let mut sums: BTreeMap<&str, usize> = BTreeMap::new();
            for (scope, listing, items) in &all {
                *sums.entry(scope.kind.name()).or_default() += items.len();
                for omission in &listing.omissions {
                    assert_ne!(omission.outcome, SkipKind::Failed, "{omission:?}");
                    *sums.entry(omission.reason.clone().leak()).or_default() += 1;
                }
            }
            println!("{}: {} scopes, {sums:?}", corpus.title(), all.len());
            assert!(sums[kind.name()] >= at_least, "{}: {sums:?}", corpus.title());
        }
    }
}

#[test]
fn fixtures_have_the_labels_they_are_expected_to_have() {
    let sets = corpora("mail-takeout-fixtures");
    assert!(!sets[0].full);
    for set in &sets {
        if set.full { labels_of_the_full_set(&set.root) } else { labels_of_the_small_set(&set.root.join("vandelay")) }
    }
}

fn labels_of_the_small_set(export: &Path) {
    let all = read_all(&mut open(export));
    let of = |key: &str| all.iter().find(|(scope, ..)| scope.key == key).unwrap_or_else(|| panic!("{key}"));
    let (_, listing, items) = of("Mail/All mail Including Spam and Trash.mbox");
    let labels: Vec<_> = listing.entries.iter().map(|entry| (parents(entry), keywords(entry))).collect();
    assert_eq!(
        labels,
        [
            (vec!["Inbox"], vec!["$seen"]),
            (vec!["Personal"], vec!["$flagged", "$important"]),
            (vec!["Inbox", "Reise/Grönland"], vec!["$seen"]),
            (vec!["Sent"], vec![]),
            (vec!["All mail Including Spam and Trash"], vec![]),
        ]
    );
    assert!(matches!(items[0].data, ItemData::Email { received: Some(1_767_607_201), .. }));
    // Takeout quotes as mboxrd does; a line that is no separator stays as it is.
    assert!(text(&items[2]).ends_with("\r\n\r\nFrom me\r\n>From you\r\nFrom here on, everything is fine\r\n"));
    assert_eq!(listing.omissions.len(), 1);
    assert_eq!(listing.omissions[0].outcome, SkipKind::Duplicate);
    assert_eq!(of("Mail/broken.mbox").1.omissions[0].reason, "not an mbox");
    let (_, listing, items) = of("Calendar/Home.ics");
    assert_eq!((&*listing.containers[0].name, items.len()), ("Alice at home", 2));
    let (_, listing, items) = of("Contacts/My Contacts/My Contacts.vcf");
    assert_eq!((&*listing.containers[0].name, items.len()), ("Imported", 2));
}

fn labels_of_the_full_set(dir: &Path) {
    let fixtures = dir.join("robfischer1+personal-history-db/tests/fixtures");
    let mut source = open(&fixtures);
    assert_eq!(source.ident().kind, "takeout");
    let all = read_all(&mut source);
    let (_, listing, items) = all.iter().find(|(scope, ..)| scope.key == "gmail.mbox").unwrap();
    assert_eq!(parents(&listing.entries[0]), ["Personal"]);
    assert_eq!(keywords(&listing.entries[0]), ["$flagged", "$important"]);
    assert_eq!(parents(&listing.entries[1]), ["gmail"]);
    assert!(matches!(items[0].data, ItemData::Email { received: Some(1_705_320_000), .. }));
    for (file, count) in [("basic.mbox", 3), ("direction.mbox", 4)] {
        let expected = fs::read_to_string(fixtures.join(file.replace(".mbox", ".expected.json"))).unwrap();
        let expected: serde_json::Value = serde_json::from_str(&expected).unwrap();
        let (_, _, items) = all.iter().find(|(scope, ..)| scope.key == file).unwrap();
        assert_eq!(items.len(), count);
        for (item, expected) in items.iter().zip(expected.as_array().unwrap()) {
            assert!(text(item).contains(expected["rfc822_message_id"].as_str().unwrap()));
        }
    }
    let (_, listing, items) = all.iter().find(|(scope, ..)| scope.key == "calendar/test.ics").unwrap();
    assert_eq!(listing.containers[0].name, "Test Calendar");
    assert_eq!(items.len(), 2);

    let mut source = open(&dir.join("DrDiabelsBafian+TakeoutReader/tests/fixtures/edge_cases.mbox"));
    let all = read_all(&mut source);
    assert_eq!(all[0].2.len(), 3);
    assert_eq!(all[0].0.key, "edge_cases.mbox");
    assert_eq!(keywords(&all[0].1.entries[2]), ["$important"]);
    assert_eq!(parents(&all[0].1.entries[2]), ["edge_cases"]);

    let mut source = open(&dir.join("Luffitys+continumail-converter/fixtures"));
    let all = read_all(&mut source);
    assert_eq!(all[0].2.len(), 2);
    assert!(text(&all[0].2[0]).contains("\nFrom here on, everything is fine"));
}

const TAKEOUT: &str = "From 1700@xxx Mon Jan 15 10:00:00 +0000 2024\r\n";

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mail = dir.path().join("Mail");
    fs::create_dir_all(mail.join("sub")).unwrap();
    let mbox = format!(
        "{TAKEOUT}X-Gmail-Labels: =?UTF-8?Q?Posteingang,Ge=C3=B6ffnet?=\r\nSubject: one\r\n\r\n>From me\r\n>>From you\r\n\r\n\
         {TAKEOUT}X-Gmail-Labels: Arbeit/Projekte,Markiert\r\nSubject: two\r\n\r\nx\r\n\r\n\
         {TAKEOUT}X-Gmail-Labels: Arbeit/Projekte,Markiert\r\nSubject: two\r\n\r\nx\r\n\r\n\
         {TAKEOUT}Subject: three"
    );
    fs::write(mail.join("Alle E-Mails.MBOX"), mbox).unwrap();
    fs::write(mail.join("sub/broken.mbox"), "this is not mail\n").unwrap();
    fs::write(mail.join("empty.mbox"), "").unwrap();
    fs::write(dir.path().join("broken.ics"), "BEGIN:NOTHING\n").unwrap();
    fs::write(dir.path().join("utf16.vcf"), b"\xff\xfeB\0E\0G\0I\0N\0").unwrap();
    fs::write(
        dir.path().join("all.vcf"),
        "BEGIN:VCARD\nVERSION:3.0\nUID:1\nFN:A\nEND:VCARD\nBEGIN:VCARD\nVERSION:3.0\nUID:2\nFN:B\nEND:VCARD\n",
    )
    .unwrap();
    fs::write(
        dir.path().join("home.ics"),
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:e\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n",
    )
    .unwrap();
    fs::write(dir.path().join("photo.jpg"), "x").unwrap();
    std::os::unix::fs::symlink(dir.path(), mail.join("loop")).unwrap();
    dir
}

#[test]
fn each_file_of_a_folder_is_a_scope() {
    let dir = folder();
    let mut source = open(dir.path());
    let root = dir.path().canonicalize().unwrap();
    let ident = source.ident().clone();
    assert_eq!(ident.session_url, format!("file://{}", root.display()));
    assert_eq!(ident.account_id, root.to_str().unwrap());
    assert_eq!(ident.account_name.as_deref(), root.file_name().unwrap().to_str());

    let all = read_all(&mut source);
    let scopes: Vec<_> = all.iter().map(|(scope, ..)| (scope.key.as_str(), scope.kind)).collect();
    assert_eq!(
        scopes,
        [
            ("Mail/Alle E-Mails.MBOX", ObjectType::Email),
            ("Mail/empty.mbox", ObjectType::Email),
            ("Mail/sub/broken.mbox", ObjectType::Email),
            ("all.vcf", ObjectType::ContactCard),
            ("broken.ics", ObjectType::CalendarEvent),
            ("home.ics", ObjectType::CalendarEvent),
            ("utf16.vcf", ObjectType::ContactCard),
            (FILES, ObjectType::FileNode),
        ]
    );
}

#[test]
fn an_mbox_of_a_folder_has_messages_and_labels() {
    let dir = folder();
    let mut source = open(dir.path());
    let all = read_all(&mut source);
    let (mail, listing, items) = &all[0];
    assert_eq!(
        text(&items[0]),
        "X-Gmail-Labels: =?UTF-8?Q?Posteingang,Ge=C3=B6ffnet?=\r\nSubject: one\r\n\r\nFrom me\r\n>From you\r\n"
    );
    assert_eq!((parents(&listing.entries[0]), keywords(&listing.entries[0])), (vec!["Inbox"], vec!["$seen"]));
    assert_eq!(parents(&listing.entries[1]), ["Arbeit/Projekte"]);
    assert_eq!((text(&items[2]), parents(&listing.entries[2])), ("Subject: three".to_owned(), vec!["Alle E-Mails"]));
    assert!(items.iter().all(|item| matches!(item.data, ItemData::Email { received: Some(1_705_312_800), .. })));
    let found: Vec<_> = listing
        .containers
        .iter()
        .map(|container| {
            (container.key.as_str(), container.parent.as_deref(), &*container.name, container.role.as_deref())
        })
        .collect();
    assert_eq!(
        found,
        [
            ("Alle E-Mails", None, "Alle E-Mails", None),
            ("Arbeit", None, "Arbeit", None),
            ("Arbeit/Projekte", Some("Arbeit"), "Projekte", None),
            ("Inbox", None, "Inbox", Some("inbox")),
        ]
    );
    assert_eq!(listing.omissions.len(), 1);
    assert_eq!(listing.omissions[0].outcome, SkipKind::Duplicate);
    let at = listing.omissions[0].position.strip_prefix("Mail/Alle E-Mails.MBOX: offset ").unwrap();
    assert!(at.parse::<usize>().unwrap() > 200);
    assert_eq!(source.position(mail, &listing.entries[0]), format!("Mail/Alle E-Mails.MBOX: offset {}", TAKEOUT.len()));
}

#[test]
fn what_else_is_in_a_folder_is_imported_or_named() {
    let dir = folder();
    let mut source = open(dir.path());
    let all = read_all(&mut source);
    assert!(all[1].1.omissions.is_empty() && all[1].1.containers.is_empty());
    assert_eq!(all[2].1.omissions[0].reason, "not an mbox");
    assert_eq!(all[2].1.omissions[0].position, "Mail/sub/broken.mbox (kept as files/Mail/sub/broken.mbox)");
    assert_eq!(all[3].1.containers, [Container::new(ObjectType::AddressBook, "Imported", None, "Imported")]);
    assert!(matches!(all[3].2[1].body, Body::Part { .. }));
    assert_eq!(all[4].1.omissions[0].reason, "not a calendar");
    assert_eq!(&*all[5].1.entries[0].key, "Event:e");
    assert_eq!(all[5].1.containers[0].name, "home");
    assert!(matches!(all[5].2[0].body, Body::Bytes(_)));
    assert_eq!(all[6].1.omissions[0].reason, "not a vCard");

    let (_, listing, items) = &all[7];
    let keys: Vec<_> = listing.entries.iter().map(|entry| (&*entry.key, parents(entry))).collect();
    assert_eq!(keys, [("Mail/sub/broken.mbox", vec!["Mail/sub"]), ("broken.ics", vec![]), ("utf16.vcf", vec![])]);
    assert_eq!(listing.containers.len(), 2);
    assert_eq!(listing.containers[1].parent.as_deref(), Some("Mail"));
    assert_eq!(text(&items[0]), "this is not mail\n");
    assert!(matches!(&items[1].data, ItemData::File { name, media_type: Some(media), modified: Some(_) }
        if name == "broken.ics" && media == "text/calendar"));
    let seen: Vec<_> = listing.omissions.iter().map(|seen| (&*seen.position, &*seen.reason, seen.outcome)).collect();
    assert_eq!(
        seen,
        [
            ("Mail/loop", "folder that is read under another name", SkipKind::ByProduct),
            ("photo.jpg", "picture", SkipKind::ByProduct),
        ]
    );
}

#[test]
fn without_automap_labels_stay() {
    let dir = folder();
    let mut source = try_open(dir.path(), true).unwrap();
    let all = read_all(&mut source);
    let entry = &all[0].1.entries[0];
    assert_eq!((parents(entry), keywords(entry)), (vec!["Posteingang"], vec!["$seen"]));
    assert!(all[0].1.containers.iter().all(|container| container.role.is_none()));
    // What another run with the same option knows does not hold here.
    let mail = all[0].0.clone();
    assert!(source.list(&mail, &all[0].1.cursor).unwrap().unchanged);
    assert!(!open(dir.path()).list(&mail, &all[0].1.cursor).unwrap().unchanged);
}

#[test]
fn cursors_hold_until_a_file_changes() {
    let dir = folder();
    let cursors: Vec<_> = {
        let mut source = open(dir.path());
        read_all(&mut source).into_iter().map(|(scope, listing, _)| (scope, listing.cursor)).collect()
    };
    // A file of mail of which nothing is stored is read each time, so that each run says so.
    let (unread, cursors): (Vec<_>, Vec<_>) = cursors.into_iter().partition(|(_, cursor)| cursor.is_empty());
    assert_eq!(unread.iter().map(|(scope, _)| scope.key.as_str()).collect::<Vec<_>>(), ["Mail/sub/broken.mbox"]);
    let mut source = open(dir.path());
    for (scope, cursor) in &cursors {
        let listing = source.list(scope, cursor).unwrap();
        assert!(listing.unchanged && listing.entries.is_empty() && listing.cursor == *cursor, "{}", scope.key);
    }
    let home = dir.path().join("home.ics");
    fs::write(&home, "now it is broken, too").unwrap();
    let mut source = open(dir.path());
    for (scope, cursor) in &cursors {
        let changed = ["home.ics", FILES].contains(&scope.key.as_str());
        assert_eq!(source.list(scope, cursor).unwrap().unchanged, !changed, "{}", scope.key);
    }
    let files = scope(&mut source, FILES);
    assert_eq!(source.list(&files, "").unwrap().entries.len(), 4);
}

#[test]
fn a_file_that_changes_under_the_run_fails_by_name() {
    let dir = folder();
    let mut source = open(dir.path());
    let lists: Vec<_> = {
        let (scopes, _) = source.scopes().unwrap();
        scopes.into_iter().map(|scope| (source.list(&scope, "").unwrap().entries, scope)).collect()
    };
    for name in ["Mail/Alle E-Mails.MBOX", "all.vcf", "home.ics", "broken.ics"] {
        let path = dir.path().join(name);
        let changed: Vec<u8> = fs::read(&path).unwrap().iter().map(|byte| byte.wrapping_add(1)).collect();
        fs::write(&path, changed).unwrap();
    }
    let mut failed = 0;
    for (entries, scope) in lists {
        for item in source.fetch(&scope, entries).unwrap() {
            match item {
                Ok(item) => assert!(["Mail/sub/broken.mbox", "utf16.vcf"].contains(&&*item.key)),
                Err(failure) => {
                    assert!(!failure.vanished && failure.error.to_string().contains("changed"), "{}", failure.error);
                    failed += 1;
                }
            }
        }
    }
    assert_eq!(failed, 3 + 2 + 1 + 1);
    // A file that is gone.
    fs::remove_file(dir.path().join("home.ics")).unwrap();
    let home = scope(&mut source, "home.ics");
    let error = source.list(&home, "").unwrap_err();
    assert_eq!(error.kind, ErrorKind::Storage);
    assert!(error.to_string().contains("home.ics"));
}

#[test]
fn nothing_to_import_is_a_usage_error() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("mail.mbox.gz"), "x").unwrap();
    fs::create_dir(dir.path().join("folder.mbox")).unwrap();
    for path in [dir.path().to_owned(), dir.path().join("mail.mbox.gz"), dir.path().join("none")] {
        let error = try_open(&path, false).err().unwrap();
        assert_eq!(error.kind, ErrorKind::Usage, "{error}");
        assert!(error.hint_text().is_some());
        // What is not packed need not be unpacked.
        let is_packed = path.to_str().unwrap().ends_with(".gz") || path == dir.path();
        assert_eq!(error.hint_text().unwrap().contains("unpack it"), is_packed, "{error}");
    }
    // Something that cannot be read is not nothing.
    std::os::unix::fs::symlink("/nowhere", dir.path().join("gone.mbox")).unwrap();
    assert_eq!(try_open(dir.path(), false).err().unwrap().kind, ErrorKind::Storage);
    fs::write(dir.path().join("a.mbox"), "").unwrap();
    let mut source = open(dir.path());
    let files = scope(&mut source, FILES);
    let omissions = source.list(&files, "").unwrap().omissions;
    let seen: Vec<_> = omissions.iter().map(|seen| (&seen.position[..9], seen.outcome)).collect();
    assert_eq!(seen, [("mail.mbox", SkipKind::NotUnderstood), ("gone.mbox", SkipKind::Failed)]);
}

#[test]
fn odd_names_of_files_are_mailboxes() {
    use std::os::unix::ffi::OsStrExt;
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("Größe 100% #1");
    fs::create_dir(&root).unwrap();
    let message = format!("{TAKEOUT}Subject: x\r\n");
    for name in [&b".mbox"[..], b"a\xff%.mbox", b"Inbox.mbox", b"Entw\xc3\xbcrfe.Mbox", b"new\nline.mbox"] {
        fs::write(root.join(std::ffi::OsStr::from_bytes(name)), &message).unwrap();
    }
    let mut source = open(&root);
    assert!(source.ident().session_url.ends_with("/Gr%C3%B6%C3%9Fe%20100%25%20%231"), "{}", source.ident().session_url);
    let all = read_all(&mut source);
    let found: Vec<_> = all[..5]
        .iter()
        .map(|(scope, listing, _)| {
            (scope.key.as_str(), listing.containers[0].key.as_str(), listing.containers[0].role.as_deref())
        })
        .collect();
    assert_eq!(
        found,
        [
            (".mbox", "Imported", None),
            ("Entwürfe.Mbox", "Drafts", Some("drafts")),
            ("Inbox.mbox", "Inbox", Some("inbox")),
            ("a%FF%25.mbox", "a%FF%25", None),
            ("new\nline.mbox", "new\nline", None),
        ]
    );
}

/// A message of 300 MB in one line and one of many lines, read with little memory.
#[test]
fn huge_messages_are_streamed() {
    const CHILD: &str = "VANDELAY_TAKEOUT_HUGE";
    if let Some(path) = std::env::var_os(CHILD) {
        let mut source = open(Path::new(&path));
        let (scopes, _) = source.scopes().unwrap();
        let listing = source.list(&scopes[0], "").unwrap();
        let mut sizes = Vec::new();
        for item in source.fetch(&scopes[0], listing.entries).unwrap() {
            let Body::File(file) = item.unwrap().body else { panic!("a huge message in memory") };
            sizes.push(file.metadata().unwrap().len());
        }
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        println!("HUGE {sizes:?} {}", peak.trim().trim_end_matches(" kB"));
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("huge.mbox");
    let mut out = BufWriter::new(File::create(&path).unwrap());
    let block = vec![b'x'; 1 << 20];
    out.write_all(format!("{TAKEOUT}A: b\r\n\r\n").as_bytes()).unwrap();
    for _ in 0..300 {
        out.write_all(&block).unwrap();
    }
    out.write_all(format!("\r\n\r\n{TAKEOUT}A: b\r\n\r\n").as_bytes()).unwrap();
    for _ in 0..1_000_000 {
        out.write_all(b">From somebody who wrote a line\r\n").unwrap();
    }
    out.into_inner().unwrap().sync_all().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "takeout_source::huge_messages_are_streamed"])
        .env(CHILD, &path)
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = output.lines().find_map(|line| line.split_once("HUGE ")).unwrap_or_else(|| panic!("{output}")).1;
    let (sizes, peak) = line.rsplit_once(' ').unwrap();
    println!("{sizes}: {peak} kB at most");
    assert_eq!(sizes, format!("[{}, {}]", (300 << 20) + 8 + 2, 8 + 32 * 1_000_000));
    assert!(peak.parse::<u64>().unwrap() < 40_000, "{peak} kB");
}

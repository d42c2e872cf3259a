//! The Maildir source over trees made here and over the corpora.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::common::corpora::corpora;
use tempfile::TempDir;
use vandelay::error::{ErrorKind, Result};
use vandelay::model::{Body, Entry, ItemData, SkipKind};
use vandelay::source::filter::Filter;
use vandelay::source::maildir::Maildir;
use vandelay::source::maildir::{Layout, MaildirOptions};
use vandelay::source::{Listing, Scope, Source, UnlistedItems};

const HELLO: &[u8] = b"Subject: hello\n\nworld\n";

/// A directory to make Maildirs in.
struct Tree(TempDir);

impl Tree {
    fn new() -> Tree {
        Tree(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn put(&self, file: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    fn mailbox(&self, directory: &str) -> &Tree {
        for name in ["cur", "new", "tmp"] {
            fs::create_dir_all(self.path().join(directory).join(name)).unwrap();
        }
        self
    }

    fn open(&self) -> Maildir {
        Maildir::open(self.path(), options()).unwrap()
    }

    fn keys(&self) -> Vec<String> {
        keys(&mut self.open())
    }
}

fn options() -> MaildirOptions {
    MaildirOptions {
        filter: Filter::all(),
        noautomap: false,
        include_deleted: false,
        layout: Layout::Auto,
        spool: std::env::temp_dir(),
    }
}

fn keys(source: &mut Maildir) -> Vec<String> {
    source.scopes().unwrap().0.into_iter().map(|scope| scope.key).collect()
}

fn scope(source: &mut Maildir, key: &str) -> Scope {
    let (scopes, _) = source.scopes().unwrap();
    scopes.iter().find(|scope| scope.key == key).unwrap_or_else(|| panic!("no {key} in {scopes:?}")).clone()
}

fn list(source: &mut Maildir, key: &str) -> Listing {
    let scope = scope(source, key);
    source.list(&scope, "").unwrap()
}

fn bytes(body: Body) -> Vec<u8> {
    match body {
        Body::Bytes(bytes) => bytes,
        Body::File(mut file) => {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).unwrap();
            bytes
        }
        Body::Part { .. } | Body::Absent => panic!("no bytes of its own"),
    }
}

/// All messages of a folder by their keys; failures as text.
fn read(source: &mut Maildir, key: &str) -> BTreeMap<String, Result<Vec<u8>, String>> {
    let entries = list(source, key).entries;
    let scope = scope(source, key);
    let items = source.fetch(&scope, entries).unwrap();
    items
        .map(|item| match item {
            Ok(item) => (item.key.into(), Ok(bytes(item.body))),
            Err(failure) => (failure.key.into(), Err(failure.error.to_string())),
        })
        .collect()
}

/// One message, or whether it vanished and the error.
fn fetch_one(source: &mut Maildir, key: &str, entry: Entry) -> Result<Vec<u8>, (bool, String)> {
    let scope = scope(source, key);
    let mut items = source.fetch(&scope, vec![entry]).unwrap();
    let item = items.next().unwrap();
    assert!(items.next().is_none());
    item.map(|item| bytes(item.body)).map_err(|failure| (failure.vanished, failure.error.to_string()))
}

fn keywords(listing: &Listing) -> BTreeMap<&str, Vec<&str>> {
    assert!(listing.entries.iter().all(|entry| entry.attrs.keywords.is_sorted()));
    let entries = listing.entries.iter();
    entries.map(|entry| (&*entry.key, entry.attrs.keywords.iter().map(String::as_str).collect())).collect()
}

#[test]
fn folders_of_maildir_plus_plus_are_found() {
    let tree = Tree::new();
    tree.mailbox("").mailbox(".Sent").mailbox(".Lists.rust.users").mailbox(".Entw&APw-rfe").mailbox(".INBOX.Sub");
    tree.put(".notmuch/xapian/file", "x");
    tree.put("cur/1700000000.M1.host,S=22:2,S", HELLO);
    tree.put(".Lists.rust.users/new/1700000001.M2.host", "x");
    let mut source = tree.open();
    assert_eq!(keys(&mut source), ["Entwürfe", "INBOX", "Sent", "INBOX/Sub", "Lists/rust/users"]);
    let (_, containers) = source.scopes().unwrap();
    let shown: Vec<_> = containers
        .iter()
        .map(|c| (c.key.as_str(), c.parent.as_deref(), c.name.as_str(), c.role.as_deref(), c.is_subscribed))
        .collect();
    assert_eq!(
        shown,
        [
            ("Entwürfe", None, "Entwürfe", Some("drafts"), true),
            ("INBOX", None, "INBOX", Some("inbox"), true),
            ("Lists", None, "Lists", None, false),
            ("Sent", None, "Sent", Some("sent"), true),
            ("INBOX/Sub", Some("INBOX"), "Sub", None, true),
            ("Lists/rust", Some("Lists"), "rust", None, false),
            ("Lists/rust/users", Some("Lists/rust"), "users", None, true),
        ]
    );
    let listing = list(&mut source, "Lists/rust/users");
    assert!(matches!(listing.unnamed, UnlistedItems::Gone) && !listing.unchanged && listing.cursor.is_empty());
    assert_eq!(listing.entries[0].attrs.parents, ["Lists/rust/users"]);
    let around: Vec<&str> = listing.containers.iter().map(|container| container.key.as_str()).collect();
    assert_eq!(around, ["Lists", "Lists/rust", "Lists/rust/users"]);
    assert_eq!(read(&mut source, "INBOX")["1700000000.M1.host,S=22"], Ok(HELLO.to_vec()));

    let inbox = scope(&mut source, "INBOX");
    let entry = list(&mut source, "INBOX").entries.remove(0);
    assert_eq!(source.position(&inbox, &entry), "cur/1700000000.M1.host,S=22:2,S");
    let users = scope(&mut source, "Lists/rust/users");
    assert_eq!(source.position(&users, &listing.entries[0]), ".Lists.rust.users/new/1700000001.M2.host");
}

#[test]
fn the_identity_is_the_path_without_detours() {
    let tree = Tree::new();
    tree.mailbox("Mail & more");
    let source = Maildir::open(&tree.path().join("./Mail & more/../Mail & more"), options()).unwrap();
    let root = tree.path().canonicalize().unwrap();
    let ident = source.ident();
    assert_eq!((ident.kind, ident.username.as_str()), ("maildir", ""));
    assert_eq!(ident.session_url, format!("file://{}/Mail%20&%20more", root.display()));
    assert_eq!(ident.account_id, root.join("Mail & more").to_str().unwrap());
    assert_eq!(ident.account_name.as_deref(), Some("Mail & more"));
}

#[test]
fn nested_directories_are_mailboxes() {
    let tree = Tree::new();
    tree.mailbox("Inbox").mailbox("Archive").mailbox("Archive/2024").mailbox("Lists/rust/users").mailbox("v1.0");
    tree.mailbox("INBOX/Deep/Deeper").mailbox("Archive/.2023");
    assert_eq!(
        tree.keys(),
        ["Archive", "INBOX", "v1.0", "Archive/2023", "Archive/2024", "INBOX/Deep/Deeper", "Lists/rust/users"]
    );
    let (_, containers) = tree.open().scopes().unwrap();
    let find = |key: &str| containers.iter().find(|container| container.key == key).unwrap();
    assert_eq!(find("INBOX").role.as_deref(), Some("inbox"));
    assert_eq!(find("Archive").role.as_deref(), Some("archive"));
    assert!(!find("Lists/rust").is_subscribed);

    let forced = |layout| Maildir::open(tree.path(), MaildirOptions { layout, ..options() });
    let mut fs = forced(Layout::Fs).unwrap();
    assert!(!keys(&mut fs).contains(&"Archive/2023".to_owned()));
    assert_eq!(omitted(&mut fs), [("left out by --layout".to_owned(), "Archive/.2023".to_owned(), SkipKind::Skipped)]);
    let mut plus = forced(Layout::MaildirPlusPlus).unwrap();
    assert!(keys(&mut plus).is_empty());
    assert_eq!(plus.why_empty().unwrap().kind, ErrorKind::Usage);
    assert!(omitted(&mut plus).iter().all(|(reason, ..)| reason == "left out by --layout"));
}

/// What lies outside of every folder: reason, position and outcome of each.
fn omitted(source: &mut Maildir) -> Vec<(String, String, SkipKind)> {
    source.scopes().unwrap();
    let mut found: Vec<_> = source.omissions().into_iter().map(|o| (o.reason, o.position, o.outcome)).collect();
    found.sort_by(|a, b| a.1.cmp(&b.1));
    found
}

/// KMail keeps the folders below NAME in .NAME.directory, Thunderbird in NAME.sbd.
#[test]
fn folders_beside_their_folder() {
    let tree = Tree::new();
    tree.mailbox("inbox").mailbox("sent-mail").mailbox(".inbox.directory/Projects");
    tree.mailbox(".inbox.directory/.Projects.directory/Boat").mailbox(".v1.0.directory/Notes").mailbox("v1.0");
    tree.put("inbox/cur/a", HELLO).metadata().unwrap();
    tree.put(".inbox.directory/.Projects.directory/Boat/cur/b", HELLO);
    tree.put(".inbox.index", [0; 30]);
    tree.put(".inbox.directory/.Projects.index.ids", [0; 30]);
    // The folder itself is gone, or an mbox file; and a folder of Maildir++ whose name only looks so.
    tree.mailbox(".old.directory/Sub").mailbox(".mboxes.directory/Sub").mailbox(".plain.directory");
    tree.put("mboxes", "From a@b Mon Jan  5 10:00:00 2015\nSubject: x\n\n");
    // Thunderbird.
    tree.mailbox("Lists").mailbox("Lists.sbd/rust").mailbox("Lists.sbd/rust.sbd/users").mailbox("alone.sbd/x");
    let mut source = tree.open();
    assert_eq!(
        keys(&mut source),
        [
            "INBOX",
            "Lists",
            "sent-mail",
            "v1.0",
            "INBOX/Projects",
            "Lists/rust",
            "alone.sbd/x",
            "mboxes/Sub",
            "old/Sub",
            "plain/directory",
            "v1.0/Notes",
            "INBOX/Projects/Boat",
            "Lists/rust/users",
        ]
    );
    assert_eq!(read(&mut source, "INBOX/Projects/Boat")["b"], Ok(HELLO.to_vec()));
    let wrong: Vec<_> =
        omitted(&mut source).into_iter().filter(|(.., outcome)| *outcome != SkipKind::ByProduct).collect();
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert!(wrong[0].0.starts_with("an mbox file") && wrong[0].1 == "mboxes");
    // A folder that stands under a number, as another one has its name, keeps its children.
    let mixed = Tree::new();
    mixed.mailbox("").mailbox("inbox").mailbox(".inbox.directory/Sub");
    assert_eq!(mixed.keys(), ["INBOX", "INBOX (2)", "INBOX (2)/Sub"]);
}

/// A directory with a mailbox in it is a folder, whatever its name.
#[test]
fn folders_with_the_names_of_a_mailboxs_directories() {
    let tree = Tree::new();
    tree.mailbox("")
        .mailbox("tmp")
        .mailbox("new/new")
        .mailbox("lost+found")
        .mailbox("Work/cur")
        .mailbox("Old/tmp/deep");
    tree.put("tmp/cur/a", HELLO);
    tree.put("new/new/cur/b", HELLO);
    tree.put("Work/cur/cur/c", HELLO);
    let mut source = tree.open();
    assert_eq!(keys(&mut source), ["INBOX", "lost+found", "tmp", "Work/cur", "new/new", "Old/tmp/deep"]);
    assert_eq!(read(&mut source, "tmp")["a"], Ok(HELLO.to_vec()));
    assert_eq!(read(&mut source, "new/new")["b"], Ok(HELLO.to_vec()));
    assert_eq!(read(&mut source, "Work/cur")["c"], Ok(HELLO.to_vec()));
}

/// What lies beside a mailbox: its place, how the reason begins, and the outcome.
type Beside = (String, &'static str, SkipKind);

/// Three mailboxes with all kinds of things beside them.
fn cluttered() -> (Tree, Vec<Beside>) {
    use SkipKind::{ByProduct, NotUnderstood, Skipped};
    let mbox = b"From a@b Mon Jan  5 10:00:00 2015\nFrom: a@b\nSubject: x\n\nbody\n";
    let mail = b"From: a@b\nTo: c@d\nSubject: x\n\nbody\n";
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let tree = Tree::new();
    tree.mailbox("").mailbox(".Sent").mailbox("Lists/rust");
    let mut expected: Vec<Beside> = Vec::new();
    let mut put = |file: &str, bytes: &[u8], reason, outcome| {
        tree.put(file, bytes);
        expected.push((file.to_owned(), reason, outcome));
    };
    put("sent-2009", mbox, "an mbox file", NotUnderstood);
    put("Lists/old.mbox", mbox, "an mbox file", NotUnderstood);
    put(".Sent/inside", mbox, "an mbox file", NotUnderstood);
    put("archive.gz", &gzip(mbox), "a packed mbox file", NotUnderstood);
    put("one.eml", mail, "a message outside", NotUnderstood);
    put("one.eml.zst", &zstd::encode_all(&mail[..], 1).unwrap(), "a packed message outside", NotUnderstood);
    put("outlook.pst", b"!BDN\0\0", "a file of Outlook", NotUnderstood);
    put("2004.emlx", b"42  \nFrom: a@b\nSubject: x\n\n", "a message of Apple Mail", NotUnderstood);
    put("draft.eml", b"X-Only: this\n\nbody", "a message outside", NotUnderstood);
    put("broken.MBOX", b"no line of an mbox", "named like mail", NotUnderstood);
    put("note.msg", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "named like mail", NotUnderstood);
    put("backup.zip", b"PK\x03\x04\0\0", "packed with zip", Skipped);
    put("notes.txt", b"version: 1\nbuy milk\n", "not mail", Skipped);
    put("photo.png", b"\x89PNG\r\n\x1a\n\0\0\0", "not mail", Skipped);
    put("nothing", b"", "empty", ByProduct);
    for file in ["dovecot-uidlist", ".mbsyncstate", ".uidvalidity", ".Sent/dovecot.index.log", ".Sent/courierimapuiddb"]
    {
        put(file, b"3 V1\n", "left by programs", ByProduct);
    }
    // What we read, and what only has to be there.
    tree.put("subscriptions", "Sent\n");
    tree.put(".Sent/maildirfolder", "");
    tree.put("dovecot-keywords", "0 work\n");
    tree.put("old-mh/1", mail);
    tree.put("old-mh/2", mail);
    tree.put("old-mh/3", "X-Draft: yes\n\nbody");
    tree.put("old-mh/.mh_sequences", "cur: 3\n");
    tree.put(".stversions/Sent/cur/1.a", mail);
    tree.put(".git/HEAD", "ref: refs/heads/main\n");
    tree.put(".config/x/settings", "a=b\n");
    tree.put(".hidden/deep/Maildir/cur/1.a", mail);
    tree.mailbox(".hidden/deep/Maildir");
    tree.put(".with-mbox/inbox", mbox);
    for (position, reason, outcome) in [
        ("old-mh (3 messages)", "an MH folder", NotUnderstood),
        ("old-mh/.mh_sequences", "left by programs", ByProduct),
        (".stversions", "older copies", Skipped),
        (".git", "left by programs", ByProduct),
        (".config", "a directory beside the mail, without mail", ByProduct),
        (".hidden", "a hidden directory with mail", NotUnderstood),
        (".with-mbox", "a hidden directory with mail", NotUnderstood),
    ] {
        expected.push((position.to_owned(), reason, outcome));
    }
    // A mailbox may have the name of something else.
    tree.mailbox(".cache");
    symlink("nowhere/at/all", tree.path().join("lost.eml")).unwrap();
    symlink("user@host.123", tree.path().join("lock")).unwrap();
    expected.push(("lock".to_owned(), "a link that leads nowhere", Skipped));
    expected.sort();
    (tree, expected)
}

/// Everything beside mailboxes is named, with what it is; what looks like mail is told from what does not.
#[test]
fn what_lies_beside_mailboxes_is_named() {
    let (tree, expected) = cluttered();
    let found = omitted(&mut tree.open());
    let shown: Vec<_> = found.iter().map(|(reason, position, outcome)| (position, reason, outcome)).collect();
    assert_eq!(found.len(), expected.len(), "{shown:#?}");
    for ((position, reason, outcome), found) in expected.iter().zip(&found) {
        assert_eq!((position, outcome), (&found.1, &found.2));
        assert!(found.0.starts_with(reason), "{position}: {}", found.0);
    }
    // What names no directory is no folder; the other link could be one that is not mounted.
    assert!(tree.keys().contains(&"lost.eml".to_owned()) && tree.keys().contains(&"cache".to_owned()));
}

#[test]
fn filters_leave_out_what_lies_in_their_places() {
    let (tree, _) = cluttered();
    // A filter that leaves a place out leaves out what is in it.
    let only = Filter::new(&["^Sent".to_owned()], &[], &[]).unwrap();
    let mut source = Maildir::open(tree.path(), MaildirOptions { filter: only, ..options() }).unwrap();
    assert!(omitted(&mut source).iter().all(|(_, position, _)| position.starts_with(".Sent/")));
    let without = Filter::new(&[], &["^\\.hidden$".to_owned(), "^old-mh".to_owned(), "^Sent/inside$".to_owned()], &[]);
    let mut source = Maildir::open(tree.path(), MaildirOptions { filter: without.unwrap(), ..options() }).unwrap();
    let left: Vec<String> = omitted(&mut source).into_iter().map(|(_, position, _)| position).collect();
    assert!(left.contains(&".with-mbox".to_owned()) && left.contains(&"sent-2009".to_owned()));
    assert!(
        !left
            .iter()
            .any(|place| place.starts_with(".hidden") || place.starts_with("old-mh") || place == ".Sent/inside")
    );
    // A folder that is named and not there is not passed over, either.
    let two = Filter::new(&[], &[], &["Sent".to_owned(), "Snet".to_owned()]).unwrap();
    let mut source = Maildir::open(tree.path(), MaildirOptions { filter: two, ..options() }).unwrap();
    assert!(omitted(&mut source).contains(&(
        "named with --folder, and not there".into(),
        "Snet".into(),
        SkipKind::Failed
    )));
}

/// Messages that are links are read like others; a link that cannot be followed is no message that is gone.
#[test]
fn messages_that_are_links() {
    let tree = Tree::new();
    tree.mailbox("Mail");
    tree.put("annex/key", HELLO);
    tree.put("annex/packed", zstd::encode_all(HELLO, 1).unwrap());
    let cur = tree.path().join("Mail/cur");
    for (target, name) in [
        ("../../annex/key", "a:2,S"),
        ("../../annex/packed", "packed"),
        ("a:2,S", "chain"),
        ("../../annex/dropped", "dangling"),
        ("loop", "loop"),
        ("/dev/null", "device"),
        ("../../annex", "directory"),
    ] {
        symlink(target, cur.join(name)).unwrap();
    }
    let mut source = Maildir::open(&tree.path().join("Mail"), options()).unwrap();
    let listing = list(&mut source, "INBOX");
    let omitted: Vec<_> = listing.omissions.iter().map(|o| (o.reason.as_str(), o.position.as_str())).collect();
    assert_eq!(omitted, [("not a regular file", "cur/device"), ("a directory among the messages", "cur/directory")]);
    assert_eq!(keywords(&listing)["a"], ["$seen"]);
    let messages = read(&mut source, "INBOX");
    assert_eq!(messages.len(), 5);
    for key in ["a", "packed", "chain"] {
        assert_eq!(messages[key], Ok(HELLO.to_vec()), "{key}");
    }
    for (key, why) in [("dangling", "leads nowhere"), ("loop", "circle")] {
        assert!(messages[key].as_ref().unwrap_err().contains(why), "{:?}", messages[key]);
    }
    let dangling = listing.entries.iter().find(|entry| &*entry.key == "dangling").unwrap().clone();
    assert!(!fetch_one(&mut source, "INBOX", dangling).unwrap_err().0, "it did not vanish");
    // Another target is another message, as far as size and time tell.
    let rev = |listing: &Listing| listing.entries.iter().find(|entry| &*entry.key == "a").unwrap().rev.clone();
    fs::remove_file(cur.join("a:2,S")).unwrap();
    symlink("../../annex/packed", cur.join("a:2,S")).unwrap();
    assert!(rev(&list(&mut source, "INBOX")) != rev(&listing));
}

#[test]
fn mixed_trees_take_all_and_mix_up_nothing() {
    let tree = Tree::new();
    tree.mailbox("").mailbox(".Archive.2024").mailbox("Archive/2024").mailbox("INBOX").mailbox("INBOX/Sub");
    tree.mailbox(".&AOk-").mailbox(".é");
    tree.put(".Archive.2024/cur/1.a", "dotted");
    tree.put("Archive/2024/cur/1.a", "nested");
    let mut source = tree.open();
    assert_eq!(tree.keys(), ["INBOX", "INBOX (2)", "é", "é (2)", "Archive/2024", "Archive/2024 (2)", "INBOX (2)/Sub"]);
    assert_eq!(read(&mut source, "Archive/2024")["1.a"], Ok(b"dotted".to_vec()));
    assert_eq!(read(&mut source, "Archive/2024 (2)")["1.a"], Ok(b"nested".to_vec()));
    let plus = MaildirOptions { layout: Layout::MaildirPlusPlus, ..options() };
    assert_eq!(keys(&mut Maildir::open(tree.path(), plus).unwrap()), ["INBOX", "é", "é (2)", "Archive/2024"]);
}

#[test]
fn links_are_followed_but_not_in_circles() {
    let tree = Tree::new();
    let other = Tree::new();
    other.mailbox("Big");
    tree.mailbox("Mail/INBOX").mailbox("Mail/Zebra");
    let mail = tree.path().join("Mail");
    symlink(other.path().join("Big"), mail.join("Archive")).unwrap();
    symlink(&mail, mail.join("INBOX/loop")).unwrap();
    symlink("Zebra", mail.join("Alias")).unwrap();
    symlink("user@host.123", mail.join(".lock")).unwrap();
    let mut source = Maildir::open(&mail, options()).unwrap();
    assert_eq!(keys(&mut source), ["Archive", "INBOX", "Zebra"]);
    // The file system behind a link is not mounted: its mail is not gone.
    drop(other);
    let archive = scope(&mut source, "Archive");
    assert!(source.list(&archive, "").is_err());
}

/// Root, who may read everything, follows a link only to what is the owner's of the link; others read what they may.
#[test]
fn a_link_opens_nothing_that_its_owner_may_not_read() {
    use std::os::unix::fs::lchown;
    let tree = Tree::new();
    tree.mailbox("");
    tree.put("secret", HELLO);
    symlink("../secret", tree.path().join("cur/a")).unwrap();
    let mut source = tree.open();
    assert_eq!(read(&mut source, "INBOX")["a"], Ok(HELLO.to_vec()));
    // Only root can make a link of somebody else; for all others there is nothing more to see.
    if lchown(tree.path().join("cur/a"), Some(65_534), None).is_ok() {
        let messages = read(&mut source, "INBOX");
        assert!(messages["a"].as_ref().unwrap_err().contains("another owner"), "{messages:?}");
    }
}

#[test]
fn what_is_no_maildir_is_named() {
    let tree = Tree::new();
    let usage = |path: &Path| {
        let why = |mut source: Maildir| {
            assert!(source.scopes().unwrap().0.is_empty());
            source.why_empty().unwrap()
        };
        let error = Maildir::open(path, options()).map_or_else(|error| error, why);
        assert_eq!(error.kind, ErrorKind::Usage, "{error}");
        format!("{error} ({})", error.hint_text().unwrap_or_default())
    };
    assert!(usage(&tree.path().join("missing")).contains("no directory"));
    assert!(usage(tree.path()).contains("is not a Maildir"));
    let file = tree.put("mbox", "From a@b Mon Jan  1\nSubject: x\n\n");
    assert!(usage(&file).contains("mbox"));
    assert!(usage(tree.path()).contains("mbox is an mbox file"));
    tree.put("mh/1", "From: a@b\nSubject: x\n\n");
    assert!(usage(&tree.path().join("mh")).contains("an MH folder"));
    tree.put("mdbox/storage/m.1", "");
    tree.put("mdbox/mailboxes/INBOX/dbox-Mails/dovecot.index", "");
    assert!(usage(&tree.path().join("mdbox")).contains("dbox"));
    tree.mailbox("real");
    assert!(usage(&tree.path().join("real/cur")).contains("not cur or new itself"));
}

#[test]
fn flags_and_keywords_are_read_from_names() {
    let tree = Tree::new();
    tree.mailbox("");
    tree.put("dovecot-keywords", "0 $Forwarded\n1 work\n");
    for name in ["a:2,", "b:2,DFPRS", "c:2,Sab", "d;2,S", "e!2,F", "f:2,T", "g:2,ST", "h:1,x", "i:2,q"] {
        tree.put(&format!("cur/{name}"), name);
    }
    for name in ["k_2,S", "l-2,S", "m%3A2,S", "n\u{f022}2,S", "o\u{f03a}2,S", "p\u{ff1a}2,S"] {
        tree.put(&format!("cur/{name}"), name);
    }
    tree.put("new/j", "j");
    let mut source = tree.open();
    let listing = list(&mut source, "INBOX");
    let mut expected = BTreeMap::from([
        ("a", vec![]),
        ("b", vec!["$answered", "$draft", "$flagged", "$forwarded", "$seen"]),
        ("c", vec!["$Forwarded", "$seen", "work"]),
        ("d", vec!["$seen"]),
        ("e", vec!["$flagged"]),
        ("h", vec![]),
        ("i", vec![]),
        ("j", vec![]),
    ]);
    expected.extend(["k", "l", "m", "n", "o", "p"].map(|key| (key, vec!["$seen"])));
    assert_eq!(keywords(&listing), expected);
    let omissions = &listing.omissions;
    let omitted: Vec<_> = omissions.iter().map(|o| (o.reason.as_str(), o.position.as_str(), o.outcome)).collect();
    assert_eq!(
        omitted,
        [("deleted flag", "cur/f:2,T", SkipKind::Skipped), ("deleted flag", "cur/g:2,ST", SkipKind::Skipped)]
    );

    let mut source = Maildir::open(tree.path(), MaildirOptions { include_deleted: true, ..options() }).unwrap();
    let listing = list(&mut source, "INBOX");
    expected.extend([("f", vec!["$deleted"]), ("g", vec!["$deleted", "$seen"])]);
    assert_eq!(keywords(&listing), expected);
    assert!(listing.omissions.is_empty());
}

#[test]
fn odd_files_are_named() {
    let tree = Tree::new();
    tree.mailbox("");
    tree.put("cur/.hidden", "x");
    tree.put("cur/.DS_Store", "x");
    tree.put("tmp/1.half", "x");
    tree.put("tmp/.nfs0001", "x");
    tree.put("cur/dir/file", "x");
    tree.put("cur/mails/1", HELLO);
    tree.put("cur/mails/2", "From: a@b\nTo: c@d\n\n");
    tree.put("cur/empty", "");
    tree.put("cur/100%41:2,S", "percent");
    rustix::fs::mkfifoat(rustix::fs::CWD, tree.path().join("cur/pipe"), rustix::fs::Mode::RWXU).unwrap();
    let raw = std::ffi::OsString::from_vec(b"caf\xe9:2,S".to_vec());
    fs::write(tree.path().join("new").join(raw), "bytes").unwrap();
    let mut source = tree.open();
    let omissions = list(&mut source, "INBOX").omissions;
    let shown: Vec<_> = omissions.iter().map(|o| (o.reason.as_str(), o.position.as_str(), o.outcome)).collect();
    assert_eq!(
        shown,
        [
            ("left by programs", "cur/.DS_Store", SkipKind::ByProduct),
            ("a name with a leading dot", "cur/.hidden", SkipKind::Skipped),
            ("a directory among the messages", "cur/dir", SkipKind::Skipped),
            (
                "a directory among the messages, with mail in it: move it elsewhere",
                "cur/mails",
                SkipKind::NotUnderstood
            ),
            ("not a regular file", "cur/pipe", SkipKind::Skipped),
            ("left by programs", "tmp/.nfs0001", SkipKind::ByProduct),
            ("in tmp: not delivered yet", "tmp/1.half", SkipKind::Skipped),
        ]
    );
    let messages = read(&mut source, "INBOX");
    let expected = [("100%2541", "percent"), ("caf%E9", "bytes"), ("empty", "")];
    assert_eq!(messages, expected.map(|(key, text)| (key.to_owned(), Ok(text.as_bytes().to_vec()))).into());
}

#[test]
fn one_message_under_two_names_is_taken_once() {
    let tree = Tree::new();
    tree.mailbox("");
    tree.put("cur/a:2,S", "same");
    tree.put("new/a", "same");
    tree.put("cur/b:2,S", "long");
    tree.put("cur/b:2,F", "longer");
    let mut source = tree.open();
    let listing = list(&mut source, "INBOX");
    assert_eq!(keywords(&listing), BTreeMap::from([("a", vec!["$seen"]), ("b", vec!["$flagged"])]));
    let omitted: Vec<_> = listing.omissions.iter().map(|o| (o.position.as_str(), o.outcome)).collect();
    assert_eq!(omitted, [("cur/b:2,S", SkipKind::Failed), ("new/a", SkipKind::Duplicate)]);
    assert_eq!(read(&mut source, "INBOX")["b"], Ok(b"longer".to_vec()));
}

#[test]
fn subscriptions_are_read_in_both_formats() {
    let tree = Tree::new();
    tree.mailbox("").mailbox(".Archive.2024").mailbox(".Archive.2023").mailbox(".Entw&APw-rfe").mailbox("nested/one");
    let subscribed = || -> Vec<String> {
        let (_, containers) = tree.open().scopes().unwrap();
        containers.into_iter().filter(|container| container.is_subscribed).map(|container| container.key).collect()
    };
    assert_eq!(subscribed(), ["Entwürfe", "INBOX", "Archive/2023", "Archive/2024", "nested/one"]);
    tree.put("subscriptions", "Archive.2024\nEntw&APw-rfe\nnested/one\nGone\n");
    assert_eq!(subscribed(), ["Entwürfe", "INBOX", "Archive/2024", "nested/one"]);
    tree.put("subscriptions", "V\t2\n\nArchive\t2023\nnested\tone\n");
    assert_eq!(subscribed(), ["INBOX", "Archive/2023", "nested/one"]);
    tree.put("subscriptions", "");
    assert_eq!(subscribed(), ["INBOX"]);
}

#[test]
fn filters_select_mailboxes_and_their_parents() {
    let tree = Tree::new();
    tree.mailbox("").mailbox(".Sent").mailbox(".Lists.rust").mailbox(".Lists.go").mailbox(".Spam");
    let open = |filter: Result<Filter>| {
        let options = MaildirOptions { filter: filter.unwrap(), noautomap: true, ..options() };
        Maildir::open(tree.path(), options).unwrap().scopes().unwrap()
    };
    let text = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
    let selected = |scopes: Vec<Scope>| -> Vec<String> {
        scopes.into_iter().filter(|scope| scope.selected).map(|scope| scope.key).collect()
    };
    let (scopes, containers) = open(Filter::new(&text(&["^Lists/", "INBOX"]), &text(&["go$"]), &[]));
    assert_eq!(scopes.len(), 5);
    assert_eq!(selected(scopes), ["INBOX", "Lists/rust"]);
    let keys: Vec<_> = containers.iter().map(|container| container.key.as_str()).collect();
    assert_eq!(keys, ["INBOX", "Lists", "Lists/rust"]);
    assert_eq!(containers[0].role.as_deref(), Some("inbox"), "even with --noautomap");
    let (scopes, containers) = open(Filter::new(&[], &[], &text(&[".Lists.go", "Sent"])));
    assert_eq!(selected(scopes), ["Sent", "Lists/go"]);
    assert!(containers.iter().all(|container| container.role.is_none()), "--noautomap");
}

#[test]
fn dates_come_from_names_or_files() {
    let tree = Tree::new();
    tree.mailbox("");
    for name in ["1600000000.a", "99999999999.future", "name", "0.zero"] {
        let file = fs::File::create(tree.path().join("cur").join(name)).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_234_567_890)).unwrap();
    }
    let mut source = tree.open();
    let entries = list(&mut source, "INBOX").entries;
    let inbox = scope(&mut source, "INBOX");
    for item in source.fetch(&inbox, entries).unwrap() {
        let item = item.unwrap();
        let ItemData::Email { received, fallback } = item.data else { panic!() };
        assert_eq!(fallback, 1_234_567_890);
        assert_eq!(received, (&*item.key == "1600000000.a").then_some(1_600_000_000), "{}", item.key);
    }
}

#[test]
fn messages_that_change_their_name_meanwhile_are_found_again() {
    let tree = Tree::new();
    tree.mailbox("");
    tree.put("new/a", "a");
    tree.put("cur/b:2,S", "b");
    tree.put("cur/c:2,S", "c");
    let mut source = tree.open();
    let before = list(&mut source, "INBOX").entries;
    let entry = |key: &str| before.iter().find(|entry| &*entry.key == key).unwrap().clone();
    let path = |name: &str| tree.path().join(name);

    fs::rename(path("new/a"), path("cur/a:2,RS")).unwrap();
    fs::rename(path("cur/b:2,S"), path("cur/b:2,FS")).unwrap();
    fs::remove_file(path("cur/c:2,S")).unwrap();
    let inbox = scope(&mut source, "INBOX");
    let asked = vec![entry("c"), entry("b"), entry("a")];
    let items: Vec<_> = source.fetch(&inbox, asked).unwrap().collect();
    assert!(items[0].as_ref().is_err_and(|failure| failure.vanished && &*failure.key == "c"));
    let rest = items.into_iter().skip(1).map(|item| item.map(|item| (item.key, bytes(item.body))).unwrap());
    assert_eq!(rest.collect::<Vec<_>>(), [("b".into(), b"b".to_vec()), ("a".into(), b"a".to_vec())]);

    let after = list(&mut source, "INBOX");
    assert_eq!(keywords(&after), BTreeMap::from([("a", vec!["$answered", "$seen"]), ("b", vec!["$flagged", "$seen"])]));
    let rev = |key: &str| after.entries.iter().find(|entry| &*entry.key == key).unwrap().rev.clone();
    assert_eq!(rev("a"), entry("a").rev, "a change of flags is no change of bytes");
    fs::write(path("cur/a:2,RS"), "longer").unwrap();
    let changed = list(&mut source, "INBOX");
    assert!(changed.entries.iter().any(|entry| &*entry.key == "a" && entry.rev != rev("a")));

    fs::remove_dir_all(path("cur")).unwrap();
    assert!(fetch_one(&mut source, "INBOX", entry("b")).unwrap_err().0);
}

#[test]
fn a_client_at_work_hides_no_message() {
    const MESSAGES: usize = 3000;
    let tree = Tree::new();
    tree.mailbox("");
    for message in 0..MESSAGES {
        tree.put(&format!("new/{message}"), "x");
    }
    let mut source = tree.open();
    std::thread::scope(|threads| {
        let reader = threads.spawn(|| {
            for message in (0..MESSAGES).step_by(20) {
                let path = |name: String| tree.path().join(name);
                fs::rename(path(format!("new/{message}")), path(format!("cur/{message}:2,S"))).unwrap();
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        });
        while !reader.is_finished() {
            assert_eq!(list(&mut source, "INBOX").entries.len(), MESSAGES);
        }
    });
}

#[test]
fn what_cannot_be_read_is_an_error() {
    let tree = Tree::new();
    tree.mailbox("").mailbox(".Broken").mailbox(".Gone");
    fs::remove_dir(tree.path().join(".Broken/cur")).unwrap();
    tree.put(".Broken/cur", "a file");
    fs::remove_dir(tree.path().join(".Gone/cur")).unwrap();
    symlink("/nowhere/at/all", tree.path().join(".Gone/cur")).unwrap();
    symlink("/nowhere/Maildir", tree.path().join(".Elsewhere")).unwrap();
    let mut source = tree.open();
    assert_eq!(tree.keys(), ["Broken", "Elsewhere", "Gone", "INBOX"]);
    for key in ["Broken", "Gone", "Elsewhere"] {
        let scope = scope(&mut source, key);
        let error = source.list(&scope, "").unwrap_err();
        assert_eq!(error.kind, ErrorKind::Storage, "{error}");
        assert!(error.to_string().contains(key), "{error}");
    }
    assert!(list(&mut source, "INBOX").entries.is_empty());

    // What stands in the place of a message by the time it is read is not read.
    tree.put("cur/a:2,S", "x");
    tree.put("secret", "x");
    let entry = list(&mut source, "INBOX").entries.remove(0);
    fs::remove_file(tree.path().join("cur/a:2,S")).unwrap();
    fs::create_dir(tree.path().join("cur/a:2,S")).unwrap();
    let (vanished, reason) = fetch_one(&mut source, "INBOX", entry.clone()).unwrap_err();
    assert!(!vanished && reason.contains("not a regular file"), "{reason}");
    let forged = Entry { locator: "cur//../../secret".into(), ..entry.clone() };
    assert!(fetch_one(&mut source, "INBOX", forged).is_err());
    fs::remove_dir(tree.path().join("cur/a:2,S")).unwrap();
    symlink("/dev/zero", tree.path().join("cur/a:2,S")).unwrap();
    let (vanished, reason) = fetch_one(&mut source, "INBOX", entry).unwrap_err();
    assert!(!vanished && reason.contains("no file"), "{reason}");
}

#[test]
fn nesting_has_an_end() {
    let tree = Tree::new();
    tree.mailbox("").mailbox(&"d/".repeat(200));
    let mut source = tree.open();
    let (scopes, _) = source.scopes().unwrap();
    assert_eq!(scopes.len(), 2);
    assert!(source.list(&scopes[1], "").unwrap_err().to_string().contains("too deep"));
}

#[test]
fn a_maildir_of_which_nothing_is_left_is_an_error() {
    let tree = Tree::new();
    tree.mailbox("Mail");
    let mut source = Maildir::open(&tree.path().join("Mail"), options()).unwrap();
    fs::remove_dir_all(tree.path().join("Mail")).unwrap();
    assert!(source.scopes().is_err());
    fs::create_dir(tree.path().join("Mail")).unwrap();
    assert!(source.scopes().unwrap().0.is_empty());
    assert_eq!(source.why_empty().unwrap().kind, ErrorKind::Usage);
}

#[test]
fn compressed_messages() {
    let tree = Tree::new();
    tree.mailbox("");
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let large: Vec<u8> = (0..20_000_000u32).map(|n| (n ^ (n >> 7)) as u8).collect();
    let next = |state: &mut u32| {
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Some((*state >> 24) as u8)
    };
    let noise: Vec<u8> = large.iter().scan(1u32, |state, _| next(state)).collect();
    let packed = gzip(&noise);
    assert!(packed.len() > 16 << 20, "more than is kept in memory, though compressed");
    let cut = &packed[..packed.len() - 3];
    tree.put("cur/gzip,S=22:2,S", gzip(HELLO));
    tree.put("cur/zstd,S=22:2,S", zstd::encode_all(HELLO, 3).unwrap());
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip2.write_all(HELLO).unwrap();
    tree.put("cur/bzip2,S=22", bzip2.finish().unwrap());
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 6);
    xz.write_all(HELLO).unwrap();
    tree.put("cur/xz,S=22", xz.finish().unwrap());
    // Dovecot's frame, and in it a block of literals.
    let lz4 = [&b"Dovecot-LZ4\r*\x9b\xc5\0\x01\0\0\0\0\0\x18\xf0\x07"[..], HELLO].concat();
    tree.put("cur/lz4,S=22", lz4);
    tree.put("cur/magic-only", b"\x1f\x8b\x08 but plain text");
    tree.put("cur/large-gzip", gzip(&large));
    tree.put("cur/large-plain", &large);
    tree.put("cur/bomb,S=100", zstd::encode_all(vec![0; 80 << 20].as_slice(), 1).unwrap());
    tree.put("cur/noise-gzip", &packed);
    tree.put("cur/noise-cut", cut);
    let mut source = tree.open();
    let mut messages = read(&mut source, "INBOX");
    let mut take = |key: &str| messages.remove(key).unwrap();
    assert_eq!(take("gzip,S=22"), Ok(HELLO.to_vec()));
    assert_eq!(take("zstd,S=22"), Ok(HELLO.to_vec()));
    assert_eq!(take("bzip2,S=22"), Ok(HELLO.to_vec()));
    assert_eq!(take("xz,S=22"), Ok(HELLO.to_vec()));
    assert_eq!(take("lz4,S=22"), Ok(HELLO.to_vec()));
    assert_eq!(take("magic-only"), Ok(b"\x1f\x8b\x08 but plain text".to_vec()));
    // `assert!` does not print 20 MB on failure.
    assert!(take("large-gzip").as_ref() == Ok(&large));
    assert!(take("large-plain") == Ok(large));
    assert!(take("noise-gzip") == Ok(noise));
    assert!(take("noise-cut") == Ok(cut.to_vec()));
    assert!(take("bomb,S=100").unwrap_err().contains("compressed"));
}

#[test]
fn the_shape_of_our_own_mount() {
    let tree = Tree::new();
    tree.mailbox("mail/INBOX").mailbox("mail/Archive").mailbox("mail/Archive/2024");
    tree.put("mail/INBOX/cur/1700000000.17.vandelay,S=22:2,FS", HELLO);
    tree.put("mail/Archive/2024/cur/1600000000.18.vandelay,S=22:2,Sa", HELLO);
    tree.put("mail/Archive/2024/dovecot-keywords", "0 work\n");
    let mut source = Maildir::open(&tree.path().join("mail"), options()).unwrap();
    assert_eq!(keys(&mut source), ["Archive", "INBOX", "Archive/2024"]);
    let listing = list(&mut source, "Archive/2024");
    assert_eq!(keywords(&listing), BTreeMap::from([("1600000000.18.vandelay,S=22", vec!["$seen", "work"])]));
    assert_eq!(read(&mut source, "INBOX")["1700000000.17.vandelay,S=22"], Ok(HELLO.to_vec()));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    #[test]
    fn any_file_name_is_read_or_named(names in proptest::collection::btree_set(file_names(), 1..8)) {
        let tree = Tree::new();
        tree.mailbox("");
        for name in &names {
            let path = tree.path().join("cur").join(std::ffi::OsString::from_vec(name.clone()));
            fs::write(path, name).unwrap();
        }
        let mut source = tree.open();
        let listing = list(&mut source, "INBOX");
        let messages = read(&mut source, "INBOX");
        assert_eq!(listing.entries.len() + listing.omissions.len(), names.len());
        assert!(messages.into_values().all(|bytes| names.contains(&bytes.unwrap())));
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(48))]

    /// Wherever a message lies in a tree of directories with the names that mail programs use: it is read, or it is named,
    /// or the directory that it lies in.
    #[test]
    fn no_message_is_passed_over(paths in proptest::collection::vec(directories(), 1..12), root_is_mailbox: bool) {
        let tree = Tree::new();
        if root_is_mailbox {
            tree.mailbox("");
        }
        let mut files = Vec::new();
        for (number, directory) in paths.iter().enumerate() {
            let file = Path::new(directory).join(format!("14204520{number:02}.m"));
            tree.put(file.to_str().unwrap(), "From: a@b\nTo: c@d\nSubject: x\n\n");
            files.push(file.to_str().unwrap().to_owned());
        }
        let mut source = tree.open();
        let (scopes, _) = source.scopes().unwrap();
        let mut omissions = source.omissions();
        let mut read = Vec::new();
        for scope in scopes {
            let listing = source.list(&scope, "").unwrap();
            read.extend(listing.entries.iter().map(|entry| source.position(&scope, entry)));
            omissions.extend(listing.omissions);
        }
        let named: Vec<&str> = omissions.iter().map(|omission| omission.position.as_str()).collect();
        for file in &files {
            let times = read.iter().filter(|place| *place == file).count();
            let is_named = named.iter().any(|place| {
                file.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            });
            assert!(times == 1 && !is_named || times == 0 && is_named, "{file} of {files:?}: {read:?}, {omissions:?}");
        }
        // What looks like mail makes the run partial, but for older copies and what is not delivered yet.
        for omission in omissions.iter().filter(|omission| omission.outcome != SkipKind::NotUnderstood) {
            let known = ["in tmp", "left by programs", "older copies"];
            assert!(known.iter().any(|known| omission.reason.starts_with(known)), "{omission:?}");
        }
    }
}

/// Paths of directories with the names that mail programs use.
fn directories() -> impl proptest::strategy::Strategy<Value = String> {
    use proptest::prelude::*;
    let names = [
        "cur",
        "new",
        "tmp",
        "cur",
        ".Sent",
        ".Sent.2024",
        "inbox",
        ".inbox.directory",
        "Lists",
        "Lists.sbd",
        "lost+found",
        ".git",
        ".stversions",
        ".hidden",
        "a",
    ];
    proptest::collection::vec(prop::sample::select(names.to_vec()), 0..5).prop_map(|names| names.join("/"))
}

/// Names that a directory can hold, often with something like a flag part.
fn file_names() -> impl proptest::strategy::Strategy<Value = Vec<u8>> {
    use proptest::prelude::*;
    let byte = (1u8..=255).prop_filter("no separator", |&byte| byte != b'/');
    let flags = prop_oneof![Just(Vec::new()), "[:;!][12],[A-Za-z,%:]{0,4}".prop_map(String::into_bytes)];
    let name = (proptest::collection::vec(byte, 1..40), flags).prop_map(|(name, flags)| [name, flags].concat());
    name.prop_filter("no directory", |name| name != b"." && name != b"..")
}

/// Every file of a Maildir arrives once, with its own bytes. How many there are.
fn all_of(root: &Path) -> usize {
    let mut source = Maildir::open(root, options()).unwrap();
    let (scopes, containers) = source.scopes().unwrap();
    assert!(containers.iter().any(|container| container.role.as_deref() == Some("inbox")));
    let mut found = 0;
    for scope in scopes {
        let listing = source.list(&scope, "").unwrap();
        assert!(listing.omissions.is_empty(), "{:?}", listing.omissions);
        let distinct: BTreeSet<&str> = listing.entries.iter().map(|entry| &*entry.key).collect();
        assert_eq!(distinct.len(), listing.entries.len());
        let places: Vec<String> = listing.entries.iter().map(|entry| source.position(&scope, entry)).collect();
        for (item, place) in source.fetch(&scope, listing.entries).unwrap().zip(places) {
            let item = item.unwrap();
            assert!(place.contains(&*item.key));
            assert!(bytes(item.body) == fs::read(root.join(&place)).unwrap(), "{place}");
            let ItemData::Email { received, .. } = item.data else { panic!() };
            let digits: String = item.key.chars().take_while(char::is_ascii_digit).collect();
            // Numbers before 1973 are counters of old mail readers.
            let dated = |&seconds: &i64| digits.len() <= 12 && seconds >= 100_000_000;
            assert_eq!(received, digits.parse().ok().filter(dated), "{place}");
            found += 1;
        }
    }
    found
}

#[test]
fn every_message_of_the_corpora_arrives_once() {
    let mut sets = Vec::new();
    // Files of messages, put into three folders.
    for corpus in corpora("mail-edge") {
        let tree = Tree::new();
        tree.mailbox("").mailbox(".Lists").mailbox(".Lists.2026");
        for (number, (_, bytes)) in corpus.files().into_iter().enumerate() {
            let folder = ["new", ".Lists/cur", ".Lists.2026/cur"][number % 3];
            tree.put(&format!("{folder}/{}.M{number}.host,S={}:2,S", 1_700_000_000 + number, bytes.len()), bytes);
        }
        assert_eq!(all_of(tree.path()), corpus.paths.len(), "{}", corpus.title());
        sets.push(corpus.title());
    }
    // Real Maildirs.
    for corpus in ["mail-linux-man", "mail-spamassassin"].into_iter().flat_map(corpora) {
        assert_eq!(all_of(&corpus.root.join("Maildir")), corpus.paths.len(), "{}", corpus.title());
        sets.push(corpus.title());
    }
    assert_eq!(sets[0], "small mail-edge");
    println!("{}", sets.join(", "));
}

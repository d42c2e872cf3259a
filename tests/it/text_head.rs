//! The first lines of a text lead to its message, in the root and in every snapshot, whatever an import changes.

use crate::common;
use crate::common::account::{Account, below, text, wait};
use crate::common::{message, ok};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The directories that have a `mail` and a `text`: the root, and those of the snapshots.
fn roots(mount: &Path) -> Vec<PathBuf> {
    let snapshots = fs::read_dir(mount.join(".snapshots")).expect("snapshots");
    snapshots.map(|one| one.expect("an entry").path()).chain([mount.to_owned()]).collect()
}

/// All texts below a root, each with its message and its id as its first two lines say. Each is as long as `stat` says, and
/// its message is there.
fn heads(root: &Path) -> BTreeMap<PathBuf, (String, String)> {
    let mut heads = BTreeMap::new();
    for (path, meta) in below(&root.join("text")) {
        if !meta.is_file() || path.ends_with(".noindex") {
            continue;
        }
        let shown = fs::read_to_string(root.join("text").join(&path)).expect("a text");
        assert_eq!(shown.len() as u64, meta.len(), "{}", path.display());
        let mut lines = shown.lines();
        let mut line = |name: &str| lines.next().and_then(|line| line.strip_prefix(name)).expect(name).to_owned();
        let (message, id) = (line("Message: "), line("Id: "));
        let bytes = fs::read_to_string(root.join(&message)).unwrap_or_else(|error| panic!("{message}: {error}"));
        let subject = |text: &str| text.lines().find(|line| line.starts_with("Subject:")).map(str::to_owned);
        assert_eq!(subject(&bytes), subject(&shown), "{message}");
        heads.insert(path, (message, id));
    }
    heads
}

/// The same; none while the root moves on, when what was listed may be gone.
fn settled(root: &Path) -> BTreeMap<PathBuf, (String, String)> {
    std::panic::catch_unwind(|| heads(root)).unwrap_or_default()
}

/// The texts below a root: message, id and inode number.
fn numbered(root: &Path) -> BTreeSet<(String, String, u64)> {
    let number = |path: &PathBuf| fs::metadata(root.join("text").join(path)).expect("a text").ino();
    heads(root).into_iter().map(|(path, (message, id))| (message, id, number(&path))).collect()
}

#[test]
fn a_text_leads_to_its_message_in_the_root_and_in_every_snapshot() {
    let account = Account::new();
    let Some(mount) = account.mount(&["-o", "xattr"]) else { return };
    let before = heads(&mount.at);
    assert_eq!(before.len(), 60);
    for (message, id) in before.values() {
        let bytes = fs::read(mount.at.join(message)).expect("a message");
        assert_eq!(ok(&["cat", text(&account.archive()), message]).into_bytes(), bytes, "{message}");
        let row = message.rsplit('/').next().and_then(|name| name.split('.').nth(1)).expect("a row");
        assert_eq!(*id, format!("m{row}"));
    }
    let archive = account.maildir().join(".Archive/cur");
    let in_archive = fs::read_dir(&archive).expect("a folder").map(|one| one.expect("an entry").path());
    let moved = in_archive.into_iter().find(|path| path.to_string_lossy().contains(".M3.")).expect("one in one folder");
    fs::rename(&moved, account.maildir().join("cur").join("1600000000.M77.host:2,S")).expect("it moves");
    let flagged =
        fs::read_dir(account.maildir().join("cur")).expect("a folder").map(|one| one.expect("an entry").path());
    // Message 0 lies in each folder: with other flags it would be another message here.
    for path in flagged.filter(|path| !path.to_string_lossy().contains(".M0.")) {
        let name = path.to_str().expect("UTF-8");
        let (base, flags) = name.split_once(":2,").expect("flags");
        fs::rename(&path, format!("{base}:2,{}", if flags.contains('S') { "" } else { "S" })).expect("flags");
    }
    let old = numbered(&mount.at);
    account.import();
    wait(|| settled(&mount.at).keys().filter(|path| path.starts_with("Archive")).count() == 14, String::new);
    let new = numbered(&mount.at);
    let changed: Vec<_> = new.difference(&old).collect();
    assert_eq!(changed.len(), 1, "flags change no text, and no number: {changed:?}");
    assert!(changed[0].0.starts_with("mail/INBOX/cur/"), "{changed:?}");
    for root in roots(&mount.at) {
        assert_eq!(heads(&root).len(), 60, "{}", root.display());
    }
    let first = roots(&mount.at).into_iter().filter(|root| *root != mount.at).min().expect("a snapshot");
    assert!(heads(&first) == before, "a snapshot is what it was");
    assert_eq!(numbered(&first), old);
}

#[test]
fn a_message_in_several_mailboxes_is_one_text_and_names_the_first() {
    let account = Account::empty();
    for folder in ["", ".B", ".C"] {
        common::deliver(&account.maildir().join(folder), "1700000000.M1.host:2,S", &message(1));
    }
    account.import();
    let Some(mount) = account.mount(&["-o", "xattr"]) else { return };
    let all = heads(&mount.at);
    let mut named: Vec<&String> = all.values().map(|(message, _)| message).collect();
    named.dedup();
    assert_eq!((all.len(), named.len()), (3, 1), "{all:?}");
    let first = named[0].clone();
    let mailbox = first.split('/').nth(1).expect("a mailbox").to_owned();
    let folder = if mailbox == "INBOX" { String::new() } else { format!(".{mailbox}") };
    fs::remove_dir_all(account.maildir().join(folder).join("cur")).expect("its messages go");
    ok(&["import", "maildir", text(&account.maildir()), text(&account.archive()), "--max-delete", "100%"]);
    wait(|| settled(&mount.at).len() == 2, String::new);
    let all = heads(&mount.at);
    assert!(all.values().all(|(message, _)| *message != first), "{all:?}");
    let meta = |path: &PathBuf| fs::metadata(mount.at.join("text").join(path)).expect("a text");
    assert!(
        all.keys()
            .all(|path| (meta(path).nlink(), meta(path).ino()) == (2, meta(all.keys().next().expect("one")).ino()))
    );
}

#[test]
fn the_head_of_a_text_follows_the_options_of_the_mount() {
    let account = Account::new();
    for options in [&["-o", "layout=maildir++"][..], &["-o", "infosep=;"]] {
        let Some(mount) = account.mount(options) else { return };
        assert_eq!(heads(&mount.at).len(), 60, "{options:?}");
    }
    let Some(mount) = account.mount(&["-o", "views=text"]) else { return };
    for (path, meta) in
        below(&mount.at.join("text")).into_iter().filter(|(path, meta)| meta.is_file() && !path.ends_with(".noindex"))
    {
        let shown = fs::read_to_string(mount.at.join("text").join(&path)).expect("a text");
        assert_eq!(shown.len() as u64, meta.len());
        assert!(shown.starts_with("Id: m"), "there is no mail/ to lead to: {shown}");
    }
}

/// A renamed mailbox keeps its row, so its texts keep their numbers, and the kernel has to drop what it knows of them.
#[test]
fn the_texts_of_a_renamed_mailbox_name_it_as_it_is_called_now() {
    let account = Account::new();
    let Some(mount) = account.mount(&[]) else { return };
    assert_eq!(heads(&mount.at).len(), 60);
    let snapshot = rusqlite::Connection::open(account.archive()).expect("the archive");
    // As an import of an IMAP account would.
    let rename = "UPDATE mailboxes SET name = 'Much longer' WHERE name = 'Archive'";
    assert_eq!(snapshot.execute(rename, []).expect("a new name"), 1);
    drop(snapshot);
    account.deliver("", 99);
    account.import();
    let settled = || mount.at.join("text/Much longer").exists() && !mount.at.join("text/Archive").exists();
    wait(settled, || format!("{:?}", below(&mount.at.join("text")).keys()));
    // The last notes to the kernel come a little later.
    std::thread::sleep(std::time::Duration::from_secs(1));
    let all = heads(&mount.at);
    let renamed = all.iter().filter(|(path, _)| path.starts_with("Much longer"));
    assert_eq!(renamed.filter(|(_, (message, _))| message.starts_with("mail/Much longer/")).count(), 15, "{all:?}");
}

#[test]
fn a_message_cannot_forge_where_it_is() {
    let account = Account::empty();
    let hostile = b"Message: mail/elsewhere\r\nSubject: a\r\n Id: m7\r\nId: m8\r\n\r\nMessage: mail/x\r\nId: m9\r\n";
    common::deliver(&account.maildir(), "1700000000.M1.host:2,S", hostile);
    common::deliver(&account.maildir(), "1700000001.M2.host:2,S", b"");
    account.import();
    let Some(mount) = account.mount(&[]) else { return };
    for (path, _) in
        below(&mount.at.join("text")).into_iter().filter(|(path, meta)| meta.is_file() && !path.ends_with(".noindex"))
    {
        let shown = fs::read_to_string(mount.at.join("text").join(&path)).expect("a text");
        let lines: Vec<&str> = shown.lines().take(2).collect();
        assert!(
            lines[0].starts_with("Message: mail/INBOX/cur/17000000") && ["Id: m1", "Id: m2"].contains(&lines[1]),
            "{shown}"
        );
        assert!(mount.at.join(&lines[0]["Message: ".len()..]).is_file(), "{shown}");
    }
}

/// The value of an extended attribute.
fn attribute(path: &Path, name: &str) -> String {
    let mut value = [0; 4_096];
    let length = rustix::fs::getxattr(path, name, &mut value).unwrap_or_else(|error| panic!("{name}: {error}"));
    String::from_utf8_lossy(&value[..length]).into_owned()
}

#[test]
fn attachments_and_texts_say_in_attributes_where_their_message_is() {
    let account = Account::empty();
    let message = b"Subject: with\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nbody\r\n--x\r\n\
        Content-Disposition: attachment; filename=a.pdf\r\n\r\none\r\n--x--\r\n";
    common::deliver(&account.maildir().join(".Box"), "1700000000.M1.host:2,S", message);
    account.import();
    let Some(mount) = account.mount(&["-o", "xattr"]) else { return };
    let name = "2023-11-14 2213 with";
    for path in
        [format!("text/Box/{name}.txt"), format!("attachments/Box/{name}"), format!("attachments/Box/{name}/a.pdf")]
    {
        let path = mount.at.join(path);
        assert_eq!(attribute(&path, "user.vandelay.id"), "m1");
        let whole = mount.at.join(attribute(&path, "user.vandelay.message"));
        assert_eq!(fs::read(&whole).expect("the message"), message);
        assert_eq!(attribute(&whole, "user.vandelay.id"), "m1");
    }
}

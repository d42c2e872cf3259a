//! `search/QUERY/` in a mount: what a query finds, as a Maildir and as text, for programs that know nothing of searches.

use crate::common;
use crate::common::account::{Account, below, text, wait};
use crate::common::{Mounted, deliver, ok};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A message with these words; its arrival is that of its number.
fn put(account: &Account, folder: &str, number: u32, from: &str, words: &str) -> PathBuf {
    let bytes = format!("From: {from}\r\nSubject: number {number}\r\nMessage-ID: <{number}@x>\r\n\r\n{words}\r\n");
    deliver(
        &account.maildir().join(folder),
        &format!("{}.M{number}.host:2,S", 1_700_000_000 + number * 100),
        bytes.as_bytes(),
    )
}

/// Messages about rabbits in two folders, and others.
fn rabbits() -> Account {
    let account = Account::empty();
    for number in 0..12 {
        let folder = if number % 4 == 0 { ".Box.Deep" } else { "" };
        let words = if number % 3 == 0 { "a white Rabbit" } else { "nothing of it" };
        put(&account, folder, number, if number % 2 == 0 { "Alice <alice@x>" } else { "Bob <bob@x>" }, words);
    }
    account.import();
    account
}

/// The same of a directory that may change while it is read; `None` if it did.
fn numbers_now(directory: &Path) -> Option<usize> {
    let entries = fs::read_dir(directory).ok()?;
    let is_there = |entry: std::io::Result<fs::DirEntry>| entry.is_ok_and(|entry| fs::read(entry.path()).is_ok());
    let there: Vec<bool> = entries.map(is_there).collect();
    there.iter().all(|is_there| *is_there).then_some(there.len())
}

/// The numbers of the messages in the files of a directory.
fn numbers(directory: &Path) -> BTreeSet<u32> {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let number = |path: PathBuf| {
        let bytes = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(bytes.len() as u64, fs::metadata(&path).expect("a file").len(), "{}", path.display());
        let line = bytes.lines().find_map(|line| line.strip_prefix("Subject: number ")).expect("a subject").to_owned();
        line.parse::<u32>().expect("a number")
    };
    entries.map(|entry| number(entry.expect("an entry").path())).collect()
}

fn shell(script: &str) -> String {
    let output = Command::new("sh").args(["-c", script]).output().expect("sh");
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn names(directory: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect()
}

#[test]
fn a_query_is_a_maildir_that_any_program_reads() {
    let account = rabbits();
    let Some(mount) = account.mount(&["-o", "snapshots=visible"]) else { return };
    let search = mount.at.join("search");
    assert!(!names(&mount.at).contains("search"), "grep -r and cp -a see the account once");
    assert_eq!(names(&search), BTreeSet::new());
    let expected = BTreeSet::from([0, 3, 6, 9]);
    for form in ["cur", "text"] {
        assert_eq!(numbers(&search.join("rabbit").join(form)), expected);
        assert_eq!(numbers(&search.join("from:alice rabbit").join(form)), BTreeSet::from([0, 6]));
        assert_eq!(numbers(&search.join("folder:Box%2FDeep").join(form)), BTreeSet::from([0, 4, 8]));
        assert_eq!(numbers(&search.join("-from:alice -rabbit").join(form)), BTreeSet::from([1, 5, 7, 11]));
        assert_eq!(numbers(&search.join("\"rabbit white\"").join(form)), BTreeSet::new());
    }
    assert_eq!(names(&search.join("rabbit")), ["cur", "new", "text", "tmp"].map(str::to_owned).into());
    assert!(names(&search).is_superset(&BTreeSet::from(["rabbit".to_owned(), "folder:Box%2FDeep".to_owned()])));
    let in_mail = |name: &String| below(&mount.at.join("mail")).keys().any(|path| path.ends_with(name));
    assert!(names(&search.join("rabbit/cur")).iter().all(in_mail), "the names are those of mail/");
    let at = text(&mount.at);
    assert_eq!(shell(&format!("grep -rlw Rabbit {at}/search/rabbit | wc -l")).trim(), "8");
    assert_eq!(shell(&format!("find {at}/search/rabbit -type f -size -2 | wc -l")).trim(), "8");
    let copy = account.path().join("copy");
    shell(&format!("cp -r {at}/search/rabbit {}", text(&copy)));
    assert_eq!(numbers(&copy.join("cur")), expected);
    if common::has("python3") {
        let script = "import mailbox,sys; print(sorted(int(m['subject'][7:]) for m in mailbox.Maildir(sys.argv[1], create=False)))";
        let output =
            Command::new("python3").args(["-c", script, text(&search.join("rabbit"))]).output().expect("python3");
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "[0, 3, 6, 9]");
    }
    let line = shell(&format!("head -qn 1 {at}/search/rabbit/text/*"));
    for message in line.lines().map(|line| line.strip_prefix("Message: ").expect("where it is")) {
        assert!(mount.at.join(message).is_file(), "{message}");
    }
    // Everything else is as if nobody had searched.
    let into = account.path().join("out");
    ok(&["extract", text(&account.archive()), "--into", text(&into)]);
    assert!(!into.join("search").exists());
    assert!(below(&mount.at).keys().all(|path| !path.iter().any(|name| name == "search")));
    assert_eq!(ok(&["ls", text(&account.archive()), "search/rabbit/cur"]).lines().count(), 4);
    ok(&["extract", text(&account.archive()), "search/rabbit/cur", "--into", text(&into)]);
    assert_eq!(
        shell(&format!("grep -rlw Rabbit {} | wc -l", text(&into))).trim().parse::<usize>().expect("a number") % 4,
        0
    );
}

#[test]
fn names_that_are_no_queries_search_nothing_and_are_not_listed() {
    let account = Account::empty();
    put(&account, "", 1, "git <git@x>", "git autorun inf hidden");
    ok(&["import", "maildir", text(&account.maildir()), text(&account.archive()), "--no-index"]);
    let Some(mount) = account.mount(&[]) else { return };
    let search = mount.at.join("search");
    let index = account.archive().with_file_name("alice.sqlite.search");
    shell(&format!("ls -laR {} > /dev/null", text(&mount.at)));
    for name in [
        ".git",
        ".hidden",
        ".Trash-0",
        "autorun.inf",
        ".DS_Store",
        "Thumbs.db",
        "HEAD",
        "cur",
        "*",
        "a%00b",
        "a\nb",
        "(git",
    ] {
        let error = fs::read_dir(search.join(name)).expect_err(name);
        assert_eq!(error.raw_os_error(), Some(libc::ENOENT), "{name:?}");
    }
    assert!(!index.exists(), "no index is made for them");
    assert_eq!(names(&search), BTreeSet::new());
    for name in ["folder:nowhere", "before:never", "larger:much", "is:odd", "has:hair", "fromm:git", "id:?"] {
        assert_eq!(fs::metadata(search.join(name)).expect_err(name).raw_os_error(), Some(libc::ENOENT), "{name}");
    }
    assert_eq!(names(&search), BTreeSet::new());
    assert_eq!(numbers(&search.join("git/cur")), BTreeSet::from([1]));
    assert!(index.exists());
    assert_eq!(names(&search), BTreeSet::from(["git".to_owned()]));
    for name in [".git", "HEAD"] {
        assert!(!search.join("git").join(name).exists());
    }
    let long = "x".repeat(255);
    assert_eq!(numbers(&search.join(&long).join("cur")), BTreeSet::new());
    assert!(fs::write(search.join("mine"), "").is_err() && fs::create_dir(search.join("git/cur/x")).is_err());
}

#[test]
fn the_root_finds_what_is_gone_and_a_snapshot_what_it_shows() {
    let account = rabbits();
    let gone = put(&account, ".Late", 50, "Alice <alice@x>", "the last rabbit");
    account.import();
    fs::remove_file(gone).expect("it goes");
    let flagged = account.maildir().join("cur/1700000300.M3.host:2,S");
    fs::rename(&flagged, account.maildir().join("cur/1700000300.M3.host:2,FS")).expect("flags");
    account.import();
    let Some(mount) = account.mount(&[]) else { return };
    assert_eq!(numbers(&mount.at.join("search/rabbit/cur")), BTreeSet::from([0, 3, 6, 9, 50]));
    assert_eq!(numbers(&mount.at.join("search/rabbit is:deleted/cur")), BTreeSet::from([50]));
    let flags = |names: BTreeSet<String>| names.into_iter().filter(|name| name.ends_with(":2,FS")).count();
    assert_eq!(flags(names(&mount.at.join("search/rabbit/cur"))), 1, "as it was last");
    let mut sizes = Vec::new();
    let mut snapshots: Vec<String> = names(&mount.at.join(".snapshots")).into_iter().collect();
    snapshots.sort();
    for snapshot in &snapshots {
        let root = mount.at.join(".snapshots").join(snapshot);
        let found = numbers(&root.join("search/rabbit/cur"));
        assert_eq!(numbers(&root.join("search/rabbit/text")), found);
        let shown = below(&root.join("mail")).into_iter().filter(|(_, meta)| meta.is_file());
        let shown = shown.filter(|(path, _)| {
            fs::read_to_string(root.join("mail").join(path)).expect("a message").to_lowercase().contains("rabbit")
        });
        assert_eq!(found.len(), shown.count(), "{snapshot}");
        let inode = |path: PathBuf| fs::metadata(path).expect("a message").ino();
        for name in names(&root.join("search/rabbit/cur")) {
            let place =
                below(&root.join("mail")).into_keys().find(|path| path.ends_with(&name)).expect("the same name");
            assert_eq!(inode(root.join("search/rabbit/cur").join(&name)), inode(root.join("mail").join(place)));
        }
        sizes.push(found.len());
    }
    assert_eq!(sizes, [4, 5, 4]);
}

#[test]
fn what_a_query_finds_follows_the_archive() {
    let account = rabbits();
    let Some(mount) = account.mount(&[]) else { return };
    let query = mount.at.join("search/rabbit");
    for _ in 0..2 {
        assert_eq!((numbers(&query.join("cur")).len(), numbers(&query.join("text")).len()), (4, 4));
    }
    put(&account, ".New", 60, "Carol <carol@x>", "one more rabbit");
    fs::remove_file(account.maildir().join("cur/1700000300.M3.host:2,S")).expect("it goes");
    account.import();
    let expected = BTreeSet::from([0, 3, 6, 9, 60]);
    let found = || (numbers(&query.join("cur")), numbers(&query.join("text")));
    let counts = || ["cur", "text"].map(|part| numbers_now(&query.join(part)));
    wait(|| counts() == [Some(5), Some(5)], || format!("{:?}", counts()));
    wait(|| found() == (expected.clone(), expected.clone()), || format!("{:?}", found()));
    assert_eq!(shell(&format!("ls {} | wc -l", text(&query.join("cur")))).trim(), "5", "no listing is an old one");
    assert_eq!(numbers(&mount.at.join("search/rabbit is:deleted/cur")), BTreeSet::from([3]));
}

#[test]
fn many_programs_search_at_once_while_an_import_runs() {
    let account = rabbits();
    let Some(mount) = account.mount(&[]) else { return };
    let search = mount.at.join("search");
    std::thread::scope(|scope| {
        for worker in 0..6_u32 {
            let search = &search;
            scope.spawn(move || {
                for round in 0..25_u32 {
                    let number = (worker * 5 + round) % 12;
                    let found = numbers(&search.join(format!("subject:{number}")).join("cur"));
                    assert!(found.contains(&number), "{number}: {found:?}");
                    assert!(numbers(&search.join("rabbit/text")).is_superset(&BTreeSet::from([0, 3, 6, 9])));
                    let own = format!("rabbit -worker{worker} -round{round}");
                    assert!(numbers(&search.join(own).join("cur")).len() >= 4);
                }
            });
        }
        for number in 100..104 {
            put(&account, "", number, "Dave <dave@x>", "a new rabbit");
            account.import();
        }
    });
    let all = || numbers(&search.join("rabbit/cur")).len();
    wait(|| all() == 8, || all().to_string());
    assert!((50..=100).contains(&names(&search).len()), "the last hundred are listed");
}

#[test]
fn queries_beyond_those_that_are_remembered_answer_again() {
    let account = rabbits();
    let Some(mount) = account.mount(&[]) else { return };
    let search = mount.at.join("search");
    let number = |name: &str| fs::metadata(search.join(name)).expect(name).ino();
    let first = number("rabbit OR zero");
    for other in 0..1_100 {
        let _ = number(&format!("rabbit OR other{other}"));
    }
    assert_eq!(names(&search).len(), 100);
    assert_eq!(numbers(&search.join("rabbit OR zero/cur")).len(), 4);
    assert_eq!(number("rabbit OR zero"), first, "with the same number");
}

#[test]
fn a_mount_without_the_view_has_no_search() {
    let account = rabbits();
    let views = |views: &str| -> Option<Mounted> { account.mount(&["-o", &format!("views={views}")]) };
    let Some(mount) = views("mail,text") else { return };
    assert!(!mount.at.join("search").exists());
    drop(mount);
    let Some(mount) = views("mail,search") else { return };
    assert_eq!(numbers(&mount.at.join("search/rabbit/cur")).len(), 4);
}

#[test]
fn an_index_that_is_damaged_or_deleted_while_mounted_is_made_again() {
    let account = rabbits();
    let Some(mount) = account.mount(&[]) else { return };
    let index = account.archive().with_file_name("alice.sqlite.search");
    assert_eq!(numbers(&mount.at.join("search/rabbit/cur")).len(), 4);
    fs::remove_file(&index).expect("an index");
    assert_eq!(numbers(&mount.at.join("search/rabbit OR zebra/cur")).len(), 4);
    assert!(index.exists());
    drop(mount);
    fs::write(&index, "no index").expect("damage");
    let Some(mount) = account.mount(&[]) else { return };
    assert_eq!(numbers(&mount.at.join("search/rabbit/cur")).len(), 4);
}

#[test]
fn each_of_several_archives_has_its_own_search() {
    let account = rabbits();
    let other = account.path().join("store/bob.sqlite");
    let maildir = account.path().join("Bob");
    deliver(&maildir, "1700000000.M1.host:2,S", b"Subject: number 77\r\n\r\nrabbit\r\n");
    ok(&["import", "maildir", text(&maildir), text(&other)]);
    let Some(mount) = Mounted::new(&account.path().join("store"), &account.mountpoint(), &[]) else { return };
    assert_eq!(numbers(&mount.at.join("alice/search/rabbit/cur")), BTreeSet::from([0, 3, 6, 9]));
    assert_eq!(numbers(&mount.at.join("bob/search/rabbit/cur")), BTreeSet::from([77]));
    assert_eq!(names(&mount.at), BTreeSet::from(["alice".to_owned(), "bob".to_owned()]), "an index is no archive");
}

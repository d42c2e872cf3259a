//! Files are exported into directories of real servers and imported again: names, bytes and, where the server takes them,
//! dates are what they were.

use crate::common::dav::{Dav, encoded};
use crate::common::export_target::{Target, killed};
use crate::common::fake_cloud::{Cloud, File};
use crate::common::jmap::{Options, Server};
use crate::common::relay::Relay;
use crate::common::{Dice, jmap_account, jmap_run, ok, tree};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The date of the first file.
const DAY: i64 = 1_500_000_000;

/// Names that are easy to get wrong.
const NAMES: [&str; 14] = [
    "plain.txt",
    "a b",
    "100%",
    "50%41",
    "x#y",
    "q?z",
    "Grün",
    "\u{1f600}.bin",
    "dot.",
    "semi;colon:",
    "a+b&c=d",
    "[x] ^|",
    "-x",
    "quo'te\"<>",
];

/// An account of everything that is hard.
fn odd_files() -> Cloud {
    let file = |number: usize, bytes: Vec<u8>| -> File { (bytes, DAY + number as i64) };
    let mut files = Vec::new();
    for (number, name) in NAMES.into_iter().enumerate() {
        files.push((name.to_owned(), file(number, format!("{name} {number}").repeat(number * 7).into_bytes())));
        files.push((format!("Docs/{name} in/{name}"), file(number, name.as_bytes().to_vec())));
    }
    let noise = (0..3_000_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 13) as u8);
    files.push(("Docs/large".to_owned(), file(99, noise.collect())));
    let cloud = Cloud::with_files(files);
    cloud.with(|held| held.directories.extend(["Empty".to_owned(), "Docs/Empty too".to_owned()]));
    cloud
}

/// The files of an archive with their bytes, and its directories.
fn files_of(archive: &Path) -> BTreeMap<String, Vec<u8>> {
    let all = tree(archive, "latest").into_iter();
    all.filter(|(path, _)| path.starts_with("files/") && path != "files/").collect()
}

fn target(server: &Dav) -> Target {
    Target { url: format!("{}{}", server.url(), server.homes.files), ..Target::dav(server, "webdav") }
}

/// The URL path of a file of the server.
fn path(server: &Dav, file: &str) -> String {
    let parts: Vec<String> = file.split('/').map(encoded).collect();
    format!("{}{}", server.homes.files, parts.join("/"))
}

/// Exports into an empty directory and back, then again over what somebody else has done there.
fn files_go_and_come_back(server: &Dav, takes_dates: bool) {
    let place = tempfile::tempdir().expect("a folder");
    let archive = odd_files().archive(place.path());
    let (target, expected) = (target(server), files_of(&archive));
    let back = place.path().join("back.sqlite");
    let check = |when: &str| {
        target.import(&back);
        assert_eq!(files_of(&back), expected, "{} {when}", server.name);
    };
    let count = expected.len() as u64;
    assert_eq!(target.export(&archive, &["--dry-run"], 0).planned("create"), count, "{}", server.name);
    assert_eq!(fs::read_dir(server.files()).expect("a directory").count(), 0, "{}", server.name);

    let done = target.export(&archive, &[], 0);
    assert_eq!(done.count("filenode", "created"), count, "{}: {} {}", server.name, done.summary, done.said);
    let remarks = done.said.matches("the server gives files its own dates").count();
    assert_eq!(remarks, usize::from(!takes_dates), "{}: {}", server.name, done.said);
    check("after the first");
    target.is_settled(&archive, 0);
    if takes_dates {
        let date = |name: &str| fs::metadata(server.files().join(name)).and_then(|it| it.modified()).expect("a date");
        let seconds = |name: &str| date(name).duration_since(std::time::UNIX_EPOCH).expect("a date").as_secs();
        assert_eq!((seconds("plain.txt"), seconds("Docs/large")), (DAY as u64, DAY as u64 + 99));
    }
    others_change_it(server, &archive, &check);

    let into = ["--into", "Restored", "--path", "files/Docs/**"];
    let below = expected.keys().filter(|path| path.starts_with("files/Docs/")).count() as u64;
    let done = target.export(&archive, &into, 0);
    assert_eq!(done.count("filenode", "created"), below, "{}: {} {}", server.name, done.summary, done.said);
    assert_eq!(target.export(&archive, &into, 0).sum("created"), 0, "{}", server.name);
}

/// What is missing comes back by itself, what is another file with `--update`, what is too much goes with `--prune`.
fn others_change_it(server: &Dav, archive: &Path, check: &dyn Fn(&str)) {
    let target = target(server);
    server.delete(&path(server, "Docs/a b in/a b"));
    server.delete(&path(server, "Empty/"));
    assert!(server.put(&path(server, "x#y"), b"another"), "{}", server.name);
    let large = &files_of(archive)["files/Docs/large"];
    assert!(server.put(&path(server, "Docs/large"), &large[..1000]), "{}", server.name);
    let mut same_size = "100% 2".repeat(14).into_bytes();
    same_size[0] = b'X';
    assert!(server.put(&path(server, "100%"), &same_size), "{}", server.name);
    let plan = target.export(archive, &["--dry-run"], 0);
    let done = target.export(archive, &[], 0);
    let counts = ["created", "updated", "skipped"].map(|what| done.count("filenode", what));
    assert_eq!(counts, ["created", "updated", "skipped"].map(|what| plan.count("filenode", what)), "{}", server.name);
    assert_eq!(counts, [2, 1, 1], "{}: {} {}", server.name, done.summary, done.said);
    assert!(done.said.contains("only its beginning was there"), "{}: {}", server.name, done.said);
    let plan = target.export(archive, &["--update", "--dry-run"], 0);
    assert_eq!(plan.planned("update"), 2, "{}: {}", server.name, plan.summary);
    let done = target.export(archive, &["--update"], 0);
    assert_eq!(done.sum("updated"), 2, "{}: {} {}", server.name, done.summary, done.said);
    check("after --update");

    server.directory(&path(server, "Surplus"));
    server.directory(&path(server, "Surplus/deep"));
    assert!(server.put(&path(server, "Surplus/deep/f #1"), b"surplus"), "{}", server.name);
    assert!(server.put(&path(server, "Docs/more"), b"surplus"), "{}", server.name);
    target.is_settled(archive, 0);
    assert!(target.export(archive, &["--prune"], 6).said.contains("--yes"), "{}", server.name);
    assert_eq!(target.export(archive, &["--prune", "--dry-run"], 0).planned("remove"), 4, "{}", server.name);
    let done = target.export(archive, &["--prune", "--yes"], 0);
    assert_eq!(done.sum("removed"), 4, "{}: {} {}", server.name, done.summary, done.said);
    check("after --prune");
}

#[test]
fn files_go_to_wsgidav_and_come_back() {
    let Some(server) = Dav::wsgidav(false) else { return };
    files_go_and_come_back(&server, false);
}

/// It takes dates in requests of their own, if its administrator wants that.
#[test]
fn dates_go_to_wsgidav_where_it_takes_them() {
    let Some(mut server) = Dav::wsgidav(true) else { return };
    let file = server.path().join("config.json");
    let text = fs::read_to_string(&file).expect("a file");
    let more = text.replacen('{', "{\"mutable_live_props\": [\"{DAV:}getlastmodified\"], ", 1);
    fs::write(&file, more.replace("\"accept_basic\":false", "\"accept_basic\":true")).expect("a file");
    server.restart();
    files_go_and_come_back(&server, true);
}

#[test]
fn files_go_to_apache_and_come_back() {
    let Some(server) = Dav::apache() else { return };
    files_go_and_come_back(&server, false);
}

#[test]
fn files_go_to_sabre_and_come_back() {
    let Some(server) = Dav::sabre() else { return };
    files_go_and_come_back(&server, false);
}

/// WsgiDAV leaves the beginning of a file whose upload breaks off under the name of the whole.
#[test]
fn a_killed_export_of_files_leaves_whole_files() {
    let Some(server) = Dav::wsgidav(false) else { return };
    let place = tempfile::tempdir().expect("a folder");
    let files = (0..40).map(|number| (format!("d{}/f{number}", number % 5), (vec![number as u8; 300_000], DAY)));
    let archive = Cloud::with_files(files).archive(place.path());
    let (target, relay) = (target(&server), Relay::start(server.port));
    let watched = Target { url: format!("http://127.0.0.1:{}/", relay.port), ..target.clone() };
    let (mut dice, mut kills) = (Dice(7), 0);
    for _ in 0..6 {
        let bytes = 200_000 + dice.below(1_500_000);
        kills += u32::from(killed(watched.command("export", &archive, &[]), &relay, bytes));
    }
    assert!(kills >= 4, "{kills} kills");
    target.export(&archive, &[], 0);
    let back = place.path().join("back.sqlite");
    target.import(&back);
    assert_eq!(files_of(&back), files_of(&archive));
    target.is_settled(&archive, 0);
}

/// What WebDAV cannot carry is named.
#[test]
fn links_and_programs_are_told() {
    let place = tempfile::tempdir().expect("a folder");
    let from = Server::start(Options::default());
    jmap_account::fill(&from);
    let archive = place.path().join("a.sqlite");
    let output = jmap_run::command(&from, "import").arg(&archive).output().expect("the program starts");
    jmap_run::judge(&output, 0);
    let cloud = Cloud::start();
    // It is said before anything is written.
    for (flags, outcome) in [(&["--dry-run"][..], "to create"), (&[], "created")] {
        let done = cloud.target.export(&archive, flags, 0);
        assert_eq!(done.count("filenode", "skipped"), 1, "{}: {}", done.summary, done.said);
        let program = format!("{outcome} (WebDAV does not say that a file is a program)");
        for words in ["WebDAV has no symbolic links", &program] {
            assert!(done.said.contains(words), "{words}: {}", done.said);
        }
    }
    assert_eq!(cloud.with(|held| held.files["run.sh"].0.clone()), b"#!");
    cloud.target.is_settled(&archive, 0);
    ok(&["verify", "--quiet", archive.to_str().expect("UTF-8")]);
}

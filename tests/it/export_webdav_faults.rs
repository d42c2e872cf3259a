//! Exports of files to a server that refuses, forgets, breaks off and is full; and large files in parts.

use crate::common::export_target::Ran;
use crate::common::fake_cloud::{Cloud, Fault};
use std::path::PathBuf;

/// The date of every file.
const DAY: i64 = 1_500_000_000;

/// A part of a large file.
const PART: usize = 10 << 20;

/// An empty server, and an archive for it.
struct Desk {
    cloud: Cloud,
    archive: PathBuf,
    _place: tempfile::TempDir,
}

impl Desk {
    fn new<'a>(files: impl IntoIterator<Item = (&'a str, Vec<u8>)>) -> Desk {
        let place = tempfile::tempdir().expect("a folder");
        let files = files.into_iter().map(|(path, bytes)| (path.to_owned(), (bytes, DAY)));
        let archive = Cloud::with_files(files).archive(place.path());
        Desk { cloud: Cloud::start(), archive, _place: place }
    }

    /// Three files in the directory "d", and one beside it.
    fn small() -> Desk {
        Desk::new(["d/one", "d/two", "d/three", "four"].map(|path| (path, path.as_bytes().to_vec())))
    }

    /// One file of two parts.
    fn large() -> Desk {
        Desk::new([("d/large", (0..PART + 1000).map(|at| b'a' + (at % 26) as u8).collect())])
    }

    fn export(&self, flags: &[&str], code: i32) -> Ran {
        self.cloud.target.export(&self.archive, &[&["--max-retries", "0"], flags].concat(), code)
    }

    fn fault(&self, method: &'static str, path: &'static str, times: u32, fault: Fault) {
        self.cloud.with(|held| held.faults = vec![(method, path, times, fault)]);
    }

    /// Requests that change something since the last call.
    fn changes(&self) -> Vec<String> {
        let mut asked = Vec::new();
        self.cloud.with(|held| asked.append(&mut held.asked));
        asked.retain(|one| !one.starts_with("PROPFIND") && !one.starts_with("GET"));
        asked
    }

    /// All that is in the archive is there, and nothing is left to do.
    fn is_whole(&self, paths: &[&str]) {
        let all = self.cloud.all();
        assert_eq!(all.keys().collect::<Vec<_>>(), paths);
        assert!(all.iter().all(|(path, (_, date))| path.ends_with('/') || *date == DAY), "{:?}", all.keys());
        self.changes();
        self.cloud.target.is_settled(&self.archive, 0);
        assert_eq!(self.changes(), Vec::<String>::new());
    }
}

const SMALL: [&str; 5] = ["d/", "d/one", "d/three", "d/two", "four"];

#[test]
fn a_file_that_is_refused_stops_no_other() {
    let page: &[u8] = b"<!DOCTYPE html><html><body>Please log in to the hotel</body></html>";
    let full: &[u8] = b"<D:multistatus xmlns:D=\"DAV:\"><D:response><D:href>/x</D:href><D:status>HTTP/1.1 507 Insufficient Storage</D:status></D:response></D:multistatus>";
    let answers: [(u16, &[u8], u64, &str); 14] = [
        (403, b"", 1, "403 Forbidden"),
        (400, page, 1, "400 Bad Request"),
        (409, b"", 0, "not there any more: 409 Conflict"),
        (412, b"", 1, "failed (412 Precondition Failed)"),
        (423, b"", 0, "it is locked at the server: 423 Locked"),
        (507, b"", 0, "507 Insufficient Storage"),
        (413, b"", 0, "413"),
        (500, page, 0, "500"),
        (200, page, 0, "a web page came as the answer"),
        (200, b"{\"error\": \"login\"}", 0, "a web page came as the answer"),
        (202, b"", 0, "202, which does not say that it is done"),
        (203, page, 0, "203, which does not say that it is done"),
        (207, full, 0, "507"),
        (405, b"", 1, "405 Method Not Allowed"),
    ];
    for (status, body, refused, words) in answers {
        let desk = Desk::small();
        desk.fault("PUT", "d/two", 99, Fault::Answer(status, body));
        let done = desk.export(&[], 5);
        let counts = ["created", "failed", "refused"].map(|what| done.count("filenode", what));
        assert_eq!(counts, [4, 1, refused], "{status}: {}", done.said);
        assert!(done.said.contains(words) && done.said.contains("two"), "{status}: {}", done.said);
        desk.cloud.with(|held| held.faults.clear());
        assert_eq!(desk.export(&[], 0).sum("created"), 1, "{status}");
        desk.is_whole(&SMALL);
    }
}

#[test]
fn what_lies_in_a_refused_directory_is_named() {
    let desk = Desk::small();
    desk.fault("MKCOL", "d", 99, Fault::Answer(403, b""));
    let done = desk.export(&[], 5);
    let counts = ["created", "failed", "refused"].map(|what| done.count("filenode", what));
    assert_eq!(counts, [1, 4, 1], "{}", done.said);
    assert!(done.said.contains("what it lies in could not be made"), "{}", done.said);
    assert!(["d/one", "d/two", "d/three"].iter().all(|path| done.said.contains(path)), "{}", done.said);
    desk.cloud.with(|held| held.faults.clear());
    desk.export(&[], 0);
    desk.is_whole(&SMALL);
    // A file of that name is no directory, and stays.
    let desk = Desk::small();
    desk.cloud.with(|held| held.files.insert("d".to_owned(), (b"mine".to_vec(), DAY)));
    let done = desk.export(&["--update"], 5);
    assert_eq!((done.sum("created"), done.sum("failed")), (1, 4), "{}", done.said);
    assert_eq!(desk.cloud.with(|held| held.files["d"].0.clone()), b"mine");
}

#[test]
fn a_lost_answer_sends_nothing_twice() {
    for (method, path) in [("PUT", "d/two"), ("MKCOL", "d")] {
        let desk = Desk::small();
        desk.fault(method, path, 1, Fault::Lost);
        let done = desk.export(&[], 0);
        assert_eq!(done.count("filenode", "created"), 5, "{}", done.said);
        let mut changes = desk.changes();
        changes.sort_unstable();
        assert_eq!(changes, ["MKCOL d", "PUT d/one", "PUT d/three", "PUT d/two", "PUT four"]);
        desk.is_whole(&SMALL);
    }
    // Of an upload that broke off, the server has the beginning: it becomes whole.
    let desk = Desk::small();
    desk.export(&[], 0);
    desk.cloud.with(|held| held.files.insert("d/two".to_owned(), (b"d/t".to_vec(), DAY + 1)));
    let done = desk.export(&[], 0);
    assert_eq!((done.sum("updated"), done.sum("created")), (1, 0), "{}", done.said);
    desk.is_whole(&SMALL);
}

#[test]
fn what_somebody_changes_during_the_run_stays() {
    let desk = Desk::small();
    desk.export(&[], 0);
    desk.cloud.with(|held| held.files.insert("d/two".to_owned(), (b"mine!".to_vec(), DAY + 1)));
    desk.fault("PUT", "d/two", 1, Fault::Answer(412, b""));
    let done = desk.export(&["--update"], 5);
    assert_eq!((done.sum("updated"), done.sum("failed"), done.sum("refused")), (0, 1, 0), "{}", done.said);
    assert!(done.said.contains("somebody changed it at the server"), "{}", done.said);
    assert_eq!(desk.export(&["--update"], 0).sum("updated"), 1);
    desk.is_whole(&SMALL);
}

/// Nothing goes as long as it is not known what there is, and no directory with something in it that stays.
#[test]
fn prune_removes_what_it_has_seen() {
    let desk = Desk::small();
    desk.export(&[], 0);
    let surplus = || {
        desk.cloud.with(|held| {
            held.directories.insert("s".to_owned());
            held.files.insert("s/file".to_owned(), (b"x".to_vec(), DAY));
        });
    };
    surplus();
    desk.fault("PROPFIND", "s", 99, Fault::Answer(403, b""));
    let done = desk.export(&["--prune", "--yes"], 0);
    assert_eq!(done.sum("removed"), 0, "{}", done.said);
    for words in ["nothing of type filenode is removed", "a directory cannot be listed"] {
        assert!(done.said.contains(words), "{}", done.said);
    }
    desk.fault("DELETE", "s/file", 99, Fault::Answer(403, b""));
    let done = desk.export(&["--prune", "--yes"], 5);
    assert_eq!((done.sum("removed"), done.sum("not_removed")), (0, 2), "{}", done.said);
    assert!(done.said.contains("something else lies in it"), "{}", done.said);
    assert!(desk.cloud.all().contains_key("s/file"));
    desk.cloud.with(|held| held.faults.clear());
    assert_eq!(desk.export(&["--prune", "--yes"], 0).sum("removed"), 2);
    desk.is_whole(&SMALL);
}

#[test]
fn a_directory_that_is_not_there_or_may_only_be_read_is_an_error() {
    let read_only: &[u8] = b"<D:multistatus xmlns:D=\"DAV:\"><D:response><D:href>/remote.php/dav/files/alice/</D:href><D:propstat><D:prop><D:resourcetype><D:collection/></D:resourcetype><D:current-user-privilege-set><D:privilege><D:read/></D:privilege></D:current-user-privilege-set></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response></D:multistatus>";
    for (fault, words) in [
        (Fault::Answer(404, b""), "the directory of --url cannot be listed: 404"),
        (Fault::Answer(207, read_only), "the directory of --url may only be read"),
    ] {
        let desk = Desk::small();
        desk.fault("PROPFIND", "", 2, fault);
        let done = desk.export(&[], 3);
        assert!(done.said.contains(words), "{}", done.said);
        assert_eq!(desk.changes(), Vec::<String>::new());
    }
}

#[test]
fn of_a_large_file_only_missing_parts_are_sent_again() {
    let desk = Desk::large();
    desk.fault("PUT", "/00002", 99, Fault::Answer(507, b""));
    let done = desk.export(&[], 5);
    assert_eq!((done.sum("created"), done.sum("failed"), done.sum("refused")), (1, 1, 0), "{}", done.said);
    desk.cloud.with(|held| held.faults.clear());
    desk.export(&[], 0);
    let parts = |changes: Vec<String>| -> Vec<String> {
        let last = |one: String| {
            let (method, path) = one.split_once(' ').expect("a path");
            format!("{method} {}", path.rsplit('/').next().expect("a name"))
        };
        changes.into_iter().map(|one| if one.contains("/vandelay-") { last(one) } else { one }).collect()
    };
    let changes = parts(desk.changes());
    assert!(changes[0].starts_with("MKCOL vandelay-"), "{changes:?}");
    assert_eq!(changes[1..], ["PUT 00002", "MOVE .file"]);
    desk.is_whole(&["d/", "d/large"]);
    assert!(desk.cloud.with(|held| held.uploads.is_empty()));

    // A part that is cut, and one that belongs to nothing.
    let desk = Desk::large();
    desk.fault("MOVE", ".file", 99, Fault::Answer(507, b""));
    desk.export(&[], 5);
    desk.cloud.with(|held| {
        held.faults.clear();
        let parts = held.uploads.values_mut().next().expect("parts");
        parts.get_mut("00001").expect("a part").truncate(77);
        parts.insert("00009".to_owned(), b"odd".to_vec());
    });
    desk.export(&[], 0);
    assert_eq!(parts(desk.changes())[1..], ["PUT 00001", "DELETE 00009", "MOVE .file"]);
    desk.is_whole(&["d/", "d/large"]);

    // Another file in its place is replaced in the same way.
    desk.cloud.with(|held| held.files.insert("d/large".to_owned(), (b"mine".to_vec(), DAY)));
    assert_eq!(desk.export(&["--update"], 0).sum("updated"), 1);
    assert_eq!(parts(desk.changes()).last().expect("a request"), "MOVE .file");
    desk.is_whole(&["d/", "d/large"]);
}

#[test]
fn a_lost_answer_to_the_last_request_of_parts_sends_nothing_twice() {
    let desk = Desk::large();
    desk.fault("MOVE", ".file", 1, Fault::Lost);
    let done = desk.export(&[], 0);
    assert_eq!(done.sum("created"), 2, "{}", done.said);
    assert_eq!(desk.changes().iter().filter(|one| one.starts_with("PUT")).count(), 2);
    desk.is_whole(&["d/", "d/large"]);
}

/// A server without parts gets a large file as one stream; one without dates says so once.
#[test]
fn a_plain_server_takes_files_as_they_are() {
    let desk = Desk::large();
    desk.cloud.with(|held| held.is_plain = true);
    let done = desk.export(&[], 0);
    assert_eq!(done.said.matches("the server gives files its own dates").count(), 1, "{}", done.said);
    let changes = desk.changes();
    assert_eq!(changes.iter().filter(|one| *one == "PUT d/large").count(), 1, "{changes:?}");
    // Dates do not tell whether it is the same: its bytes do.
    desk.cloud.target.is_settled(&desk.archive, 0);
    assert_eq!(desk.changes(), Vec::<String>::new());
    // A date that is no file's own is no reason to send it.
    assert_eq!(desk.cloud.with(|held| held.files["d/large"].0.len()), PART + 1000);
}

//! Imports from real servers of CalDAV, CardDAV and WebDAV: what a plain GET of each resource gives is what the archive
//! holds, whatever happens between two runs.

use crate::common::dav::Dav;
use crate::common::dav_account::{card, event};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use vandelay::archive::{Moment, Reader};
use vandelay::model::ObjectType;

/// The source's own bytes of all objects of a type, sorted.
fn archived(archive: &Path, kind: ObjectType) -> Vec<Vec<u8>> {
    let reader = Arc::new(Reader::open(archive).expect("an archive"));
    let mut all = Vec::new();
    for record in reader.records(kind, Moment::Current).expect("rows") {
        let blob = match kind {
            ObjectType::FileNode => record.blob,
            _ => Some(record.original.as_ref().expect("its own bytes").0),
        };
        let Some(blob) = blob else { continue };
        all.push(reader.whole(&reader.blob(blob).expect("a blob")).expect("bytes"));
    }
    all.sort_unstable();
    all
}

/// What a server holds: bytes by path.
#[derive(Default)]
struct Held(BTreeMap<String, Vec<u8>>);

impl Held {
    fn put(&mut self, server: &Dav, path: &str, bytes: &[u8]) -> bool {
        let is_taken = server.put(path, bytes);
        if is_taken {
            self.0.insert(path.to_owned(), server.get(path));
        }
        is_taken
    }

    fn delete(&mut self, server: &Dav, path: &str) {
        server.delete(path);
        self.0.remove(path);
    }

    fn sorted(&self) -> Vec<Vec<u8>> {
        let mut all: Vec<Vec<u8>> = self.0.values().cloned().collect();
        all.sort_unstable();
        all
    }
}

fn import(server: &Dav, kind: &str, archive: &Path, more: &[&str]) -> String {
    let output = server.import(kind, archive, more);
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    said
}

#[test]
fn files_and_directories_come_with_their_bytes_and_dates() {
    let Some(server) = Dav::wsgidav(false) else { return };
    let place = tempfile::tempdir().expect("a folder");
    let archive = place.path().join("a.sqlite");
    let files = server.files();
    fs::create_dir_all(files.join("a b/ü&é/deep")).expect("folders");
    fs::write(files.join("a b/ü&é/deep/100%.txt"), "text").expect("a file");
    fs::write(files.join("large.bin"), vec![7_u8; 6 << 20]).expect("a file");
    fs::write(files.join("empty"), "").expect("a file");
    import(&server, "webdav", &archive, &[]);
    let expected = |texts: &[&[u8]]| {
        let mut all: Vec<Vec<u8>> = texts.iter().map(|text| text.to_vec()).collect();
        all.sort_unstable();
        all
    };
    let large = vec![7_u8; 6 << 20];
    assert_eq!(archived(&archive, ObjectType::FileNode), expected(&[b"text", b"", &large]));
    let out = crate::common::ok(&["ls", archive.to_str().expect("text"), "files/a b/ü&é/deep"]);
    assert!(out.contains("100%.txt"), "{out}");

    fs::remove_file(files.join("empty")).expect("a file");
    fs::write(files.join("a b/ü&é/deep/100%.txt"), "other text").expect("a file");
    import(&server, "webdav", &archive, &[]);
    assert_eq!(archived(&archive, ObjectType::FileNode), expected(&[b"other text", &large]));
}

#[test]
fn a_server_that_wants_digest_gets_it() {
    let Some(server) = Dav::wsgidav(true) else { return };
    let place = tempfile::tempdir().expect("a folder");
    let archive = place.path().join("a.sqlite");
    for number in 0..20 {
        fs::write(server.files().join(format!("f{number} ü.txt")), format!("text {number}")).expect("a file");
    }
    import(&server, "webdav", &archive, &[]);
    assert_eq!(archived(&archive, ObjectType::FileNode).len(), 20);
    let mut command = crate::common::vandelay();
    command.env("VANDELAY_PASSWORD", "wrong").args(["import", "webdav", "--allow-cleartext", "--auth-basic", "alice"]);
    let output =
        command.arg("--url").arg(server.url()).arg(place.path().join("b.sqlite")).output().expect("the program");
    assert_eq!(output.status.code(), Some(12), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn one_card_in_two_address_books_is_two() {
    let Some(server) = Dav::radicale() else { return };
    let place = tempfile::tempdir().expect("a folder");
    let archive = place.path().join("a.sqlite");
    let mut held = Held::default();
    for book in ["one", "two"] {
        server.address_book(&format!("/alice/{book}/"), book);
        assert!(held.put(&server, &format!("/alice/{book}/c.vcf"), &card("same", "Ada")));
    }
    for name in ["Ada", "Grace", "Ada"] {
        assert!(held.put(&server, "/alice/two/c.vcf", &card("same", name)));
        import(&server, "carddav", &archive, &[]);
        assert_eq!(archived(&archive, ObjectType::ContactCard), held.sorted());
        crate::common::ok(&["verify", "--quiet", archive.to_str().expect("text")]);
    }
    held.delete(&server, "/alice/two/c.vcf");
    import(&server, "carddav", &archive, &["--max-delete", "100%"]);
    assert_eq!(archived(&archive, ObjectType::ContactCard), held.sorted());
}

#[test]
fn the_url_of_one_calendar_is_another_source() {
    let Some(server) = Dav::radicale() else { return };
    let place = tempfile::tempdir().expect("a folder");
    let archive = place.path().join("a.sqlite");
    for name in ["one", "two"] {
        server.calendar(&format!("/alice/{name}/"), name);
        assert!(server.put(&format!("/alice/{name}/e.ics"), &event(name, name)));
    }
    import(&server, "caldav", &archive, &[]);
    let url = format!("{}/alice/one/", server.url());
    let output = crate::common::dav::import("caldav", &url, &archive, &[]);
    assert_eq!(output.status.code(), Some(4), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(archived(&archive, ObjectType::CalendarEvent).len(), 2);
}

//! Imports from real servers of CalDAV, CardDAV and WebDAV: what a plain GET of each resource gives is what the archive
//! holds, whatever happens between two runs.

use crate::common::corpora::small;
use crate::common::dav::Dav;
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

fn event(uid: &str, title: &str) -> Vec<u8> {
    format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//y//EN\r\nBEGIN:VEVENT\r\nUID:{uid}\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20260102T100000Z\r\nSUMMARY:{title}\r\nX-ODD;P=\"q\":kept\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n").into_bytes()
}

fn card(uid: &str, name: &str) -> Vec<u8> {
    format!("BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{uid}\r\nFN:{name}\r\nN:{name};;;;\r\nITEM1.TEL:1\r\nITEM1.X-ABLABEL:odd\r\nEND:VCARD\r\n").into_bytes()
}

fn import(server: &Dav, kind: &str, archive: &Path, more: &[&str]) -> String {
    let output = server.import(kind, archive, more);
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    said
}

/// How many requests a run with `-vv` says that it sent.
fn requests(said: &str) -> usize {
    said.lines().filter(|line| line.contains(" bytes) after ")).count()
}

fn both_kinds(server: &Dav, home: &str) {
    let place = tempfile::tempdir().expect("a folder");
    let archive = place.path().join("a.sqlite");
    server.calendar(&format!("{home}work/"), "Work &amp; more");
    server.address_book(&format!("{home}people/"), "People");
    let (mut events, mut cards) = (Held::default(), Held::default());
    for number in 0..120 {
        let (uid, text) = (format!("u{number}"), format!("number {number}"));
        assert!(events.put(server, &format!("{home}work/{uid}.ics"), &event(&uid, &text)));
        assert!(cards.put(server, &format!("{home}people/{uid}.vcf"), &card(&uid, &text)));
    }
    for (name, bytes) in small("calendars").expect("a corpus").files() {
        events.put(server, &format!("{home}work/{}.ics", name.replace(['/', '+', ' '], "_")), &bytes);
    }
    for (name, bytes) in small("contacts").expect("a corpus").files() {
        cards.put(server, &format!("{home}people/{}.vcf", name.replace(['/', '+', ' '], "_")), &bytes);
    }
    for _ in 0..2 {
        import(server, "caldav", &archive, &[]);
        import(server, "carddav", &archive, &[]);
        assert_eq!(archived(&archive, ObjectType::CalendarEvent), events.sorted());
        assert_eq!(archived(&archive, ObjectType::ContactCard), cards.sorted());
    }
    let said = import(server, "caldav", &archive, &["-vv"]);
    assert!(requests(&said) <= 22, "{said}");
    let changed = format!("{home}work/u3.ics");
    events.put(server, &changed, &event("u3", "another title"));
    events.put(server, &format!("{home}work/new.ics"), &event("new", "new"));
    events.delete(server, &format!("{home}work/u4.ics"));
    import(server, "caldav", &archive, &[]);
    assert_eq!(archived(&archive, ObjectType::CalendarEvent), events.sorted());
}

#[test]
fn radicale_and_the_archive_hold_the_same_bytes() {
    let Some(server) = Dav::radicale() else { return };
    server.ask("PROPFIND", "/alice/", &[("Depth", "0")], b"");
    both_kinds(&server, "/alice/");
}

#[test]
fn xandikos_and_the_archive_hold_the_same_bytes() {
    let Some(server) = Dav::xandikos() else { return };
    let place = tempfile::tempdir().expect("a folder");
    let archive = place.path().join("a.sqlite");
    server.calendar("/alice/calendars/work/", "Work");
    server.address_book("/alice/contacts/people/", "People");
    let (mut events, mut cards) = (Held::default(), Held::default());
    for number in 0..60 {
        let (uid, text) = (format!("u{number}"), format!("number {number}"));
        assert!(events.put(&server, &format!("/alice/calendars/work/{uid}.ics"), &event(&uid, &text)));
        assert!(cards.put(&server, &format!("/alice/contacts/people/{uid}.vcf"), &card(&uid, &text)));
    }
    import(&server, "caldav", &archive, &[]);
    import(&server, "carddav", &archive, &[]);
    assert_eq!(archived(&archive, ObjectType::CalendarEvent), events.sorted());
    assert_eq!(archived(&archive, ObjectType::ContactCard), cards.sorted());
    events.delete(&server, "/alice/calendars/work/u1.ics");
    import(&server, "caldav", &archive, &[]);
    assert_eq!(archived(&archive, ObjectType::CalendarEvent), events.sorted());
}

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

#[test]
fn after_thirty_rounds_of_changes_archive_and_server_are_equal() {
    let Some(server) = Dav::radicale() else { return };
    server.ask("PROPFIND", "/alice/", &[("Depth", "0")], b"");
    let place = tempfile::tempdir().expect("a folder");
    let archive = place.path().join("a.sqlite");
    let calendars = ["one", "two", "three"];
    calendars.iter().for_each(|name| server.calendar(&format!("/alice/{name}/"), name));
    let (mut held, mut dice, mut made) = (Held::default(), Dice(7), 0);
    for round in 0..30 {
        for _ in 0..=dice.roll(8) {
            let paths: Vec<String> = held.0.keys().cloned().collect();
            let old = (!paths.is_empty()).then(|| paths[dice.roll(paths.len() as u64) as usize].clone());
            match (dice.roll(4), old) {
                (0, Some(old)) => held.delete(&server, &old),
                (1, Some(old)) => {
                    let uid = old.rsplit('/').next().expect("a name").trim_end_matches(".ics").to_owned();
                    assert!(held.put(&server, &old, &event(&uid, &format!("round {round}"))));
                }
                _ => {
                    made += 1;
                    let path = format!("/alice/{}/m{made}.ics", calendars[dice.roll(3) as usize]);
                    assert!(held.put(&server, &path, &event(&format!("m{made}"), "new")));
                }
            }
        }
        let name = format!("renamed {round}");
        let body = format!(
            "<D:propertyupdate xmlns:D=\"DAV:\"><D:set><D:prop><D:displayname>{name}</D:displayname></D:prop></D:set></D:propertyupdate>"
        );
        server.ask("PROPPATCH", "/alice/two/", &[("Content-Type", "text/xml")], body.as_bytes());
        import(&server, "caldav", &archive, &["--max-delete", "100%"]);
        assert_eq!(archived(&archive, ObjectType::CalendarEvent), held.sorted(), "round {round}");
        let reader = Reader::open(&archive).expect("an archive");
        let names: Vec<String> = reader
            .records(ObjectType::Calendar, Moment::Current)
            .expect("rows")
            .iter()
            .map(|record| record.name().to_owned())
            .collect();
        assert!(names.contains(&name), "{names:?}");
    }
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
    server.ask("PROPFIND", "/alice/", &[("Depth", "0")], b"");
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
    server.ask("PROPFIND", "/alice/", &[("Depth", "0")], b"");
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

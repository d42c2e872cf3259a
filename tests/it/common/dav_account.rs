//! What tests put onto servers of CalDAV, CardDAV and WebDAV, and whether an archive shows what a server has.

use super::corpora::corpora;
use super::dav::{Dav, Held};
use super::{add_row_digest, soak, tree};
use percent_encoding::percent_decode_str;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

/// An event; its bytes grow with the text.
pub(crate) fn event(uid: &str, text: &str) -> Vec<u8> {
    format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//y//EN\r\nBEGIN:VEVENT\r\nUID:{uid}\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20260102T100000Z\r\nDTEND:20260102T110000Z\r\nSUMMARY:{text}\r\nX-ODD;P=\"q\":kept\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n").into_bytes()
}

/// A contact.
pub(crate) fn card(uid: &str, name: &str) -> Vec<u8> {
    format!("BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{uid}\r\nFN:{name}\r\nN:{name};;;;\r\nITEM1.TEL:1\r\nITEM1.X-ABLABEL:odd\r\nEND:VCARD\r\n").into_bytes()
}

/// Files of a corpus: the small set, and so many of the full one as a server takes in some seconds.
fn some_of(name: &str) -> Vec<Vec<u8>> {
    let most = if soak() { 600 } else { 40 };
    let of = |corpus: super::corpora::Corpus| {
        let files = corpus.files();
        let step = if corpus.full { (files.len() / most).max(1) } else { 1 };
        files.into_iter().step_by(step).map(|(_, bytes)| bytes).collect::<Vec<_>>()
    };
    corpora(name).into_iter().flat_map(of).collect()
}

/// Real calendars and contacts for a server of this kind; for `webdav` both, and mail.
pub(crate) fn real(kind: &str) -> Vec<&'static [u8]> {
    static CALENDARS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| some_of("calendars"));
    static CONTACTS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| some_of("contacts"));
    static MAIL: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| some_of("mail-edge"));
    let all: Vec<&'static Vec<Vec<u8>>> = match kind {
        "caldav" => vec![&CALENDARS],
        "carddav" => vec![&CONTACTS],
        _ => vec![&CALENDARS, &CONTACTS, &MAIL],
    };
    all.into_iter().flatten().map(Vec::as_slice).collect()
}

/// The objects of a calendar or a file of cards: servers take one UID in a resource. Each calendar gets all time zones.
pub(crate) fn objects(bytes: &[u8]) -> Vec<Vec<u8>> {
    let text = String::from_utf8_lossy(bytes);
    let (mut head, mut zones, mut depth) = (String::new(), String::new(), 0);
    let (mut current, mut all): (String, Vec<(String, String)>) = (String::new(), Vec::new());
    let is_calendar = text.contains("BEGIN:VCALENDAR");
    let top = usize::from(is_calendar);
    for line in text.lines() {
        depth += usize::from(line.starts_with("BEGIN:"));
        let is_end = line.starts_with("END:");
        match depth > top {
            true => current += &format!("{line}\r\n"),
            false if depth == top && !is_end && !line.starts_with("BEGIN:") => head += &format!("{line}\r\n"),
            false => {}
        }
        if is_end && depth == top + 1 {
            let component = std::mem::take(&mut current);
            let uid = component.lines().find(|line| line.starts_with("UID")).unwrap_or_default().to_owned();
            match all.iter_mut().find(|(known, _)| is_calendar && !uid.is_empty() && *known == uid) {
                _ if component.starts_with("BEGIN:VTIMEZONE") => zones += &component,
                Some((_, others)) => others.push_str(&component),
                None => all.push((uid, component)),
            }
        }
        depth = depth.saturating_sub(usize::from(is_end));
    }
    let whole = |(_, object): (String, String)| match is_calendar {
        true => format!("BEGIN:VCALENDAR\r\n{head}{zones}{object}END:VCALENDAR\r\n").into_bytes(),
        false => object.into_bytes(),
    };
    all.into_iter().map(whole).collect()
}

/// A name that servers and clients write in several ways, or a plain one.
pub(crate) fn odd_name(number: usize) -> String {
    match number % 8 {
        1 => format!("a b {number}"),
        2 => format!("ü@{number}"),
        3 => format!("100% {number}"),
        4 => format!("a:b{number}"),
        5 => format!("x+y({number})"),
        6 => format!("q?#{number}"),
        7 => format!("{number}~'!&"),
        _ => format!("plain{number}"),
    }
}

/// Changes what an archive knows of its collections when it asks for news. Gives how many there were.
pub(crate) fn edit_cursors(archive: &Path, change: impl Fn(&mut serde_json::Value)) -> usize {
    let conn = rusqlite::Connection::open(archive).expect("the archive opens");
    let mut statement = conn.prepare("SELECT id, cursor FROM scopes").expect("scopes");
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let all: Vec<(i64, String)> = statement.query_map([], row).and_then(Iterator::collect).expect("scopes");
    let mut count = 0;
    for (id, text) in all {
        // The import's own day stands before it.
        let Some(start) = text.find('{') else { continue };
        let mut cursor = serde_json::from_str(&text[start..]).expect("JSON");
        change(&mut cursor);
        let text = format!("{}{cursor}", &text[..start]);
        count += conn.execute("UPDATE scopes SET cursor = ?2 WHERE id = ?1", (id, text)).expect("a row");
    }
    add_row_digest(&conn);
    conn.execute_batch(
        "INSERT OR REPLACE INTO row_digests (kind, id, digest)
         SELECT 'scopes', id, row_digest('scopes', id, source_id, kind, key, cursor) FROM scopes",
    )
    .expect("digests");
    count
}

/// The directory of the tree that shows a kind, and how its files end.
fn place(kind: &str) -> (&'static str, &'static str) {
    match kind {
        "caldav" => ("calendars", ".ics"),
        "carddav" => ("contacts", ".vcf"),
        _ => ("files", ""),
    }
}

/// One resource in few letters.
fn short(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let uid = text.lines().find(|line| line.starts_with("UID")).unwrap_or_default();
    format!("{} {} {uid}", &vandelay::model::Digest::of(bytes).hex()[..16], bytes.len())
}

/// What a tree has to show for this: resources by the directory of their collection, or by their own path.
fn expected(kind: &str, held: &[Held]) -> BTreeMap<String, Vec<String>> {
    let (top, _) = place(kind);
    let mut all = BTreeMap::new();
    for collection in held {
        if kind != "webdav" {
            let mut items: Vec<String> = collection.items.values().map(|bytes| short(bytes)).collect();
            items.sort_unstable();
            assert!(all.insert(format!("{top}/{}/", collection.name), items).is_none(), "{} twice", collection.name);
            continue;
        }
        let decoded = |path: &str| format!("{top}{}", percent_decode_str(path).decode_utf8().expect("UTF-8"));
        all.insert(decoded(&collection.path), Vec::new());
        all.extend(collection.items.iter().map(|(path, bytes)| (decoded(path), vec![short(bytes)])));
    }
    all
}

/// What the tree of an archive shows, in the same form.
fn shown(kind: &str, archive: &Path) -> BTreeMap<String, Vec<String>> {
    let (top, ending) = place(kind);
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let start = format!("{top}/");
    for (path, bytes) in tree(archive, "latest") {
        let Some(below) = path.strip_prefix(&start) else { continue };
        let directory = path.trim_end_matches('/').rsplit_once('/').map_or("", |(directory, _)| directory);
        match (kind, path.ends_with('/')) {
            ("webdav", true) => drop(all.insert(path, Vec::new())),
            ("webdav", false) => drop(all.insert(path, vec![short(&bytes)])),
            (_, true) if !below.is_empty() => drop(all.entry(path).or_default()),
            (_, false) if path.ends_with(ending) => {
                all.entry(format!("{directory}/")).or_default().push(short(&bytes));
            }
            _ => {}
        }
    }
    all.values_mut().for_each(|items| items.sort_unstable());
    all
}

/// Fails unless the tree of the archive shows exactly what the server has, resource by resource, byte for byte.
pub(crate) fn same(server: &Dav, kind: &str, archive: &Path, when: &str) {
    let (expected, shown) = (expected(kind, &server.held(kind)), shown(kind, archive));
    if expected == shown {
        return;
    }
    let mut lines = Vec::new();
    for path in expected.keys().chain(shown.keys()).collect::<std::collections::BTreeSet<_>>() {
        match (expected.get(path), shown.get(path)) {
            (Some(server), Some(tree)) => {
                lines.extend(server.iter().filter(|one| !tree.contains(one)).map(|one| format!("{path} lacks {one}")));
                lines.extend(tree.iter().filter(|one| !server.contains(one)).map(|one| format!("{path} has {one}")));
                if server.len() != tree.len() {
                    lines.push(format!("{path}: {} on the server, {} in the tree", server.len(), tree.len()));
                }
            }
            (Some(_), None) => lines.push(format!("{path} is not in the tree")),
            (None, _) => lines.push(format!("{path} is only in the tree")),
        }
    }
    panic!("{} {kind}, {when}:\n{}", server.name, lines.join("\n"));
}

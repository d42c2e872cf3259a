//! What `verify` proves: every column of every table, every row and every bit of an archive. An edit is noticed, or it is
//! shown here to be without effect.

use crate::common::dovecot::{Dovecot, PASSWORD};
use crate::common::fake_imap::{FakeImap, USUAL, mail, mailbox};
use crate::common::jmap::{Options as ServerOptions, Server};
use crate::common::{
    Dice, TYPES, add_row_digest, deliver, dump, jmap_account, jmap_run, listed, message, run, soak, tree, vandelay,
};
use rusqlite::Connection;
use rusqlite::types::Value;
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use vandelay::archive::{Depth, Reader, verify};

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// Runs the program, which must succeed, and gives all that it said.
fn ok(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// The three sources of an account, and its archive: every table has rows, in the current state and in the history.
struct Sample {
    dir: tempfile::TempDir,
    server: Server,
    /// The bytes of the archive.
    bytes: Vec<u8>,
    view: OnceCell<View>,
    after_import: OnceCell<View>,
}

/// Everything that a user sees of an archive.
#[derive(PartialEq)]
struct View {
    trees: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
    /// What `snapshots`, `diff` and `inspect` say.
    said: Vec<String>,
    rows: String,
}

impl View {
    /// The first thing that differs from another view.
    fn difference(&self, other: &View) -> Option<String> {
        for (at, tree) in &self.trees {
            let Some(theirs) = other.trees.get(at) else { return Some(format!("no tree at {at}")) };
            if let Some(path) = tree.keys().chain(theirs.keys()).find(|path| tree.get(*path) != theirs.get(*path)) {
                return Some(format!("{path} at {at}"));
            }
        }
        let said = self.said.iter().zip(&other.said).find(|(ours, theirs)| ours != theirs);
        if let Some((ours, theirs)) = said {
            return Some(format!("{theirs}\n    instead of {ours}"));
        }
        let lines = |view: &View| view.rows.lines().map(str::to_owned).collect::<BTreeSet<_>>();
        let line = lines(self).symmetric_difference(&lines(other)).next().cloned();
        line.or_else(|| (self != other).then(|| "something".to_owned()))
    }
}

const EVENTS: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:one\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20260101T120000Z\r\nSUMMARY:First\r\nEND:VEVENT\r\nBEGIN:VTODO\r\nUID:two\r\nDTSTAMP:20260101T000000Z\r\nSUMMARY:Second\r\nEND:VTODO\r\nEND:VCALENDAR\r\n";

const CARDS: &str = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:card\r\nFN:A B\r\nN:B;A;;;\r\nEND:VCARD\r\nBEGIN:VCARD\r\nVERSION:3.0\r\nUID:other\r\nFN:C D\r\nN:D;C;;;\r\nEND:VCARD\r\n";

impl Sample {
    fn new() -> Sample {
        let dir = tempfile::tempdir().expect("a directory");
        let server = Server::start(ServerOptions::default());
        let ids = jmap_account::fill(&server);
        // A few messages say as much as many.
        for (id, email) in server.objects("A1", "Email").into_iter().skip(4) {
            assert!(email.is_object());
            server.remove("A1", "Email", &id);
        }
        let mut sample =
            Sample { dir, server, bytes: Vec::new(), view: OnceCell::new(), after_import: OnceCell::new() };
        let (mail, takeout, archive) = (sample.mail(), sample.takeout(), sample.archive());
        for (folder, number, flags) in
            [("", 100, "S"), ("", 101, "FSab"), ("", 102, ""), (".Office", 103, "Sa"), (".Office.Old", 104, "RS")]
        {
            deliver(&mail.join(folder), &format!("17000{number}.M{number}.h:2,{flags}"), &message(number));
        }
        fs::write(mail.join("dovecot-keywords"), "0 important\n1 project-x\n").expect("keywords");
        fs::write(mail.join(".Office/dovecot-keywords"), "0 urgent\n").expect("keywords");
        fs::create_dir_all(takeout.join("Drive")).expect("a folder");
        fs::write(takeout.join("Home.ics"), EVENTS).expect("a file");
        fs::write(takeout.join("People.vcf"), CARDS).expect("a file");
        fs::write(takeout.join("Drive/notes.txt"), "notes").expect("a file");
        sample.import(&archive);
        // Something is removed, changed and moved.
        fs::remove_file(mail.join("cur/17000102.M102.h:2,")).expect("gone");
        fs::rename(mail.join("cur/17000100.M100.h:2,S"), mail.join("cur/17000100.M100.h:2,FS")).expect("a flag");
        fs::rename(mail.join("cur/17000101.M101.h:2,FSab"), mail.join(".Office/cur/17000101.M101.h:2,FSa"))
            .expect("moved");
        fs::remove_dir_all(mail.join(".Office.Old")).expect("gone");
        fs::write(takeout.join("Home.ics"), EVENTS.replace("First", "Premiere")).expect("a file");
        fs::write(takeout.join("People.vcf"), CARDS.replace("C D", "C E")).expect("a file");
        let server = &sample.server;
        server.change("A1", "Mailbox", &ids["work"], |mailbox| mailbox["name"] = "Job".into());
        server.change("A1", "AddressBook", &ids["book"], |book| book["name"] = "Everybody".into());
        server.remove("A1", "ContactCard", &ids["card2"]);
        server.change("A1", "CalendarEvent", &ids["event"], |event| event["title"] = "Lunch".into());
        server.change("A1", "Identity", &ids["identity"], |identity| identity["name"] = "A.".into());
        server.change("A1", "VacationResponse", &ids["vacation"], |vacation| vacation["isEnabled"] = false.into());
        server.change("A1", "FileNode", &ids["inner"], |node| node["name"] = "Nested".into());
        let scripts = server.objects("A1", "SieveScript");
        let old = scripts.iter().find(|(_, script)| script["name"] == "old").expect("a script").0;
        server.remove("A1", "SieveScript", old);
        sample.import(&archive);
        ok(&["forget", text(&archive), "--keep-last", "5"]);
        sample.make_one_large(&archive);
        ok(&["verify", text(&archive)]);
        sample.bytes = fs::read(&archive).expect("the archive");
        sample
    }

    fn mail(&self) -> PathBuf {
        self.dir.path().join("mail")
    }

    fn takeout(&self) -> PathBuf {
        self.dir.path().join("takeout")
    }

    fn archive(&self) -> PathBuf {
        self.dir.path().join("a.sqlite")
    }

    /// An import from each source; gives what was said.
    fn import(&self, archive: &Path) -> String {
        let mut said = ok(&["import", "maildir", text(&self.mail()), text(archive)]);
        said += &ok(&["import", "takeout", text(&self.takeout()), text(archive)]);
        let output = jmap_run::command(&self.server, "import").arg(archive).output().expect("the program starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        said + &String::from_utf8_lossy(&[output.stdout, output.stderr].concat())
    }

    /// Cuts one blob into pieces, as one too large for a cell is.
    fn make_one_large(&self, archive: &Path) {
        let conn = Connection::open(archive).expect("it opens");
        conn.execute_batch(
            "INSERT INTO large_blobs SELECT id, length(data) FROM blobs WHERE id = (SELECT min(blob_id) FROM emails);
             INSERT INTO blob_chunks SELECT id, 0, data FROM blobs WHERE id IN (SELECT blob_id FROM large_blobs);
             UPDATE blobs SET data = 'vandelay: stored in blob_chunks' WHERE id IN (SELECT blob_id FROM large_blobs);",
        )
        .expect("pieces");
    }

    /// The archive anew, as a file of its own.
    fn copy(&self) -> PathBuf {
        let at = self.dir.path().join("edited.sqlite");
        for suffix in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(format!("{}{suffix}", at.display()));
        }
        fs::write(&at, &self.bytes).expect("a copy");
        at
    }

    /// What the next import from each source leaves.
    fn imported(&self, archive: &Path) -> View {
        let at = self.dir.path().join("imported.sqlite");
        for suffix in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(format!("{}{suffix}", at.display()));
        }
        fs::copy(archive, &at).expect("a copy");
        self.import(&at);
        let mut view = see(&at);
        view.said.clear();
        ok(&["verify", text(&at)]);
        view
    }

    /// Why an edit that was not noticed is not without effect, if it is not.
    fn effect(&self, archive: &Path) -> Option<String> {
        let attempt = catch_unwind(AssertUnwindSafe(|| {
            let before = self.view.get_or_init(|| see(&self.archive()));
            if let Some(difference) = before.difference(&see(archive)) {
                return Some(format!("shows {difference}"));
            }
            let after = self.after_import.get_or_init(|| self.imported(&self.archive()));
            after.difference(&self.imported(archive)).map(|difference| format!("after the next import: {difference}"))
        }));
        attempt.unwrap_or_else(|_| Some("something fails".to_owned()))
    }
}

fn see(archive: &Path) -> View {
    let numbers: Vec<String> =
        listed(&["snapshots", text(archive)]).iter().map(|snapshot| snapshot["snapshot"].to_string()).collect();
    let mut trees: BTreeMap<_, _> = numbers.iter().map(|number| (number.clone(), tree(archive, number))).collect();
    trees.insert("latest".to_owned(), tree(archive, "latest"));
    let mut said = vec![ok(&["snapshots", text(archive), "--json"])];
    for pair in numbers.windows(2) {
        said.push(ok(&["diff", text(archive), &pair[0], &pair[1], "--json"]));
    }
    said.push(ok(&["inspect", "--json", text(archive)]));
    for kind in TYPES {
        said.push(ok(&["inspect", text(archive), kind, "--json"]));
    }
    // The file as such is no part of what an archive says.
    let said = said.into_iter().map(|text| text.replace(archive.to_str().expect("UTF-8"), "ARCHIVE"));
    let said = said.map(|text| {
        let Some((before, after)) = text.split_once("\"file_size\":") else { return text };
        format!("{before}{}", after.trim_start_matches(|c: char| c.is_ascii_digit()))
    });
    View { trees, said: said.collect(), rows: dump(archive) }
}

/// What `verify` thinks of an archive: findings and remarks, or why it cannot look at it.
fn judge(archive: &Path) -> Result<(Vec<String>, Vec<String>), String> {
    let depth = Depth { sample: 1.0, max_duration: None, seed: 0 };
    let reader = Reader::open(archive).map_err(|error| error.to_string())?;
    let verdict = verify(&reader, depth, |_, _| {}).map_err(|error| error.to_string())?;
    let lines = |findings: Vec<vandelay::archive::Finding>| {
        findings.into_iter().map(|finding| format!("{}: {}", finding.place, finding.what)).collect()
    };
    Ok((lines(verdict.findings), lines(verdict.remarks)))
}

fn is_noticed(archive: &Path) -> bool {
    match catch_unwind(AssertUnwindSafe(|| judge(archive))) {
        Ok(Ok((findings, remarks))) => !findings.is_empty() || !remarks.is_empty(),
        Ok(Err(_)) => true,
        Err(_) => panic!("verify panicked"),
    }
}

/// Opens an archive as a program does that knows nothing of its rules.
fn careless(archive: &Path) -> Connection {
    let conn = Connection::open(archive).expect("it opens");
    conn.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON; PRAGMA synchronous = OFF")
        .expect("pragmas");
    conn
}

fn strings(conn: &Connection, sql: &str) -> Vec<String> {
    let mut statement = conn.prepare(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    let rows = statement.query_map([], |row| row.get(0)).expect("rows");
    rows.collect::<Result<_, _>>().expect("texts")
}

fn tables(conn: &Connection) -> Vec<String> {
    strings(conn, "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
}

/// A condition for each row of a table that selects only it.
fn conditions(conn: &Connection, table: &str) -> Vec<String> {
    let mut keys = strings(conn, &format!("SELECT name FROM pragma_table_info('{table}') WHERE pk > 0 ORDER BY pk"));
    if keys.is_empty() {
        keys.push("rowid".to_owned());
    }
    let parts: Vec<String> = keys.iter().map(|key| format!("'{key} IS ' || quote({key})")).collect();
    strings(conn, &format!("SELECT {} FROM {table} ORDER BY 1", parts.join(" || ' AND ' || ")))
}

/// Values to put into a cell, as SQL.
fn values(conn: &Connection, table: &str, column: &str, row: &str) -> Vec<String> {
    let now: Value =
        conn.query_row(&format!("SELECT {column} FROM {table} WHERE {row}"), [], |row| row.get(0)).expect("a value");
    let mut values: Vec<String> = match now {
        Value::Integer(_) | Value::Real(_) => {
            [&format!("{column} + 1"), "0", "-1", "9223372036854775807", "'text'", "x'00'", "1.5"]
                .map(str::to_owned)
                .to_vec()
        }
        Value::Text(_) => [
            "'other'",
            "''",
            &format!("{column} || 'x'"),
            "'[]'",
            "'{}'",
            "'[999]'",
            "'2031-01-01T00:00:00Z'",
            &format!("CAST({column} AS BLOB)"),
            "7",
        ]
        .map(str::to_owned)
        .to_vec(),
        Value::Blob(_) => ["zeroblob(16)", "x''", "'text'", "1"].map(str::to_owned).to_vec(),
        Value::Null => ["0", "1", "''", "'other'", "'[]'", "'2031-01-01T00:00:00Z'"].map(str::to_owned).to_vec(),
    };
    values.push("NULL".to_owned());
    values.push(format!("coalesce((SELECT o.{column} FROM {table} o WHERE o.{column} IS NOT {table}.{column} AND o.{column} IS NOT NULL LIMIT 1), {column})"));
    values
}

/// Edits that may be without effect, each with its reason: of items of a source, never of its containers. The test fails
/// where one of them has an effect, and, with every row tried, where `verify` notices all of a kind that is named here.
const HARMLESS: &[(&str, &str, &str)] = &[
    ("origins", "key", AGAIN),
    ("origins", "rev", AGAIN),
    ("origins", "local_id", "an item of another row: both rows say the same, or the item is looked at again"),
    ("origins", "keywords", AGAIN),
    ("origins", "parents", AGAIN),
    ("origins", "scope_id", AGAIN),
    ("origins", "a row is lost", AGAIN),
    ("row_digests", "id", "the sums of former states are found by their names; the numbers only part them"),
    ("origins", "a row is added", "an item that the source does not have; its row keeps those that it has"),
];

/// The one effect that is known, and named in docs/limits.md: an identity or a vacation response of JMAP whose key was edited is
/// a new object at the next import, with another number, and the former one stays in the history.
fn is_known_effect(table: &str, kind: &str, effect: &str) -> bool {
    table == "origins" && kind == "key" && effect.contains("identities.json")
}

const AGAIN: &str = "the item is looked at again at the source, and is the same";

/// What was not noticed, by table and kind of edit, and what it does if it does anything.
#[derive(Default)]
struct Outcome {
    tried: BTreeMap<(String, String), u32>,
    unnoticed: BTreeMap<(String, String), Vec<String>>,
    effects: Vec<String>,
}

impl Outcome {
    fn note(&mut self, sample: &Sample, archive: &Path, table: &str, kind: &str, edit: &str) {
        let key = (table.to_owned(), kind.to_owned());
        *self.tried.entry(key.clone()).or_default() += 1;
        if is_noticed(archive) {
            return;
        }
        let list = self.unnoticed.entry(key).or_default();
        // The proof costs three imports; a few of each kind say enough every day.
        if (list.len() < 3 || soak())
            && let Some(effect) = sample.effect(archive).filter(|effect| !is_known_effect(table, kind, effect))
        {
            self.effects.push(format!("{table}, {kind}: {edit}: {effect}"));
        }
        list.push(edit.to_owned());
    }

    fn judge(&self) {
        for ((table, kind), edits) in &self.unnoticed {
            let tried = self.tried[&(table.clone(), kind.clone())];
            eprintln!("not noticed: {table}, {kind}: {} of {tried}, e.g. {}", edits.len(), edits[0]);
        }
        assert!(self.effects.is_empty(), "not noticed, and with an effect:\n{}", self.effects.join("\n"));
        let is_listed =
            |key: &(String, String)| HARMLESS.iter().any(|(table, kind, _)| (*table, *kind) == (&*key.0, &*key.1));
        let others: Vec<_> = self.unnoticed.keys().filter(|key| !is_listed(key)).collect();
        assert!(others.is_empty(), "not noticed, and not known to be without effect: {others:?}");
        // With every row tried, what is named is not noticed in one of them at least.
        for (table, kind, _) in HARMLESS.iter().filter(|_| soak()) {
            let key = ((*table).to_owned(), (*kind).to_owned());
            assert!(!self.tried.contains_key(&key) || self.unnoticed.contains_key(&key), "{key:?} is always noticed");
        }
    }
}

/// Applies an edit to a fresh copy. `None` where the archive's own rules forbid it, or where it changes nothing.
fn edited(sample: &Sample, sql: &str) -> Option<PathBuf> {
    let archive = sample.copy();
    let conn = careless(&archive);
    let done = conn.execute(sql, []);
    let closed = conn.close();
    assert!(closed.is_ok(), "it closes");
    matches!(done, Ok(count) if count > 0).then_some(archive)
}

#[test]
fn an_edit_of_any_column_is_noticed_or_without_effect() {
    let sample = Sample::new();
    let conn = careless(&sample.archive());
    let mut dice = Dice(1);
    let mut outcome = Outcome::default();
    for table in tables(&conn) {
        let rows = conditions(&conn, &table);
        assert!(!rows.is_empty(), "the sample has rows in {table}");
        for column in strings(&conn, &format!("SELECT name FROM pragma_table_info('{table}')")) {
            // Each value in another row, and in all of them once in a while.
            for at in 0..values(&conn, &table, &column, &rows[0]).len().max(9) {
                let chosen = if soak() { rows.clone() } else { vec![rows[dice.below(rows.len())].clone()] };
                for row in chosen {
                    let Some(value) = values(&conn, &table, &column, &row).into_iter().nth(at) else { continue };
                    let differs: bool = conn
                        .query_row(&format!("SELECT {column} IS NOT ({value}) OR typeof({column}) <> typeof({value}) FROM {table} WHERE {row}"), [], |row| row.get(0))
                        .unwrap_or(false);
                    let sql = format!("UPDATE {table} SET {column} = {value} WHERE {row}");
                    if differs && let Some(archive) = edited(&sample, &sql) {
                        outcome.note(&sample, &archive, &table, &column, &sql);
                    }
                }
            }
        }
    }
    outcome.judge();
}

#[test]
fn a_row_that_is_lost_or_added_is_noticed_or_without_effect() {
    let sample = Sample::new();
    let conn = careless(&sample.archive());
    let mut outcome = Outcome::default();
    for table in tables(&conn) {
        let columns = strings(&conn, &format!("SELECT name FROM pragma_table_info('{table}')"));
        let keys = strings(&conn, &format!("SELECT name FROM pragma_table_info('{table}') WHERE pk > 0"));
        let unique = strings(
            &conn,
            &format!(
                "SELECT DISTINCT c.name FROM pragma_index_list('{table}') i, pragma_index_info(i.name) c WHERE i.\"unique\" AND i.partial = 0 AND c.name IS NOT NULL"
            ),
        );
        for row in conditions(&conn, &table) {
            let sql = format!("DELETE FROM {table} WHERE {row}");
            if let Some(archive) = edited(&sample, &sql) {
                outcome.note(&sample, &archive, &table, "a row is lost", &sql);
            }
            // A copy under another key: one column of it after the other is another one, then all of them.
            let mut keys: Vec<Vec<&String>> =
                keys.iter().map(|key| vec![key]).chain([keys.iter().chain(&unique).collect()]).collect();
            keys.dedup();
            for changed in keys {
                let values: Vec<String> = columns
                    .iter()
                    .map(|column| match changed.contains(&column) {
                        true => format!("CASE typeof({column}) WHEN 'integer' THEN {column} + 1000 WHEN 'text' THEN {column} || 'x' ELSE randomblob(32) END"),
                        false => column.clone(),
                    })
                    .collect();
                let sql = format!(
                    "INSERT INTO {table} ({}) SELECT {} FROM {table} WHERE {row}",
                    columns.join(", "),
                    values.join(", ")
                );
                if let Some(archive) = edited(&sample, &sql) {
                    outcome.note(&sample, &archive, &table, "a row is added", &sql);
                }
            }
        }
    }
    outcome.judge();
}

/// Everything that stands in an archive, as SQL says it.
fn logical(archive: &Path) -> Result<String, rusqlite::Error> {
    use std::fmt::Write;
    let conn = Connection::open_with_flags(archive, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut all = String::new();
    let pragmas = "SELECT group_concat(n, ' ') FROM (SELECT application_id AS n FROM pragma_application_id UNION ALL SELECT user_version FROM pragma_user_version UNION ALL SELECT encoding FROM pragma_encoding)";
    let _ = writeln!(all, "{}", conn.query_row(pragmas, [], |row| row.get::<_, String>(0))?);
    let mut names = vec!["sqlite_schema".to_owned()];
    let mut statement = conn.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")?;
    for name in statement.query_map([], |row| row.get(0))? {
        names.push(name?);
    }
    for name in names {
        let mut statement = conn.prepare(&format!("SELECT * FROM {name}"))?;
        let count = statement.column_count();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let _ = write!(all, "{name}");
            for at in 0..count {
                // Page numbers are no content.
                let is_page = name == "sqlite_schema" && at == 3;
                let _ = if is_page { write!(all, " -") } else { write!(all, " {:?}", row.get_ref(at)?) };
            }
            let _ = writeln!(all);
        }
    }
    Ok(all)
}

#[test]
fn a_flipped_bit_is_noticed_or_without_effect() {
    let sample = Sample::new();
    let before = logical(&sample.archive()).expect("a sound archive");
    let mut dice = Dice(7);
    let mut effects = Vec::new();
    let mut noticed = 0;
    let flips = if soak() { 1_000 } else { 100 };
    for flip in 0..flips {
        let archive = sample.copy();
        let mut bytes = sample.bytes.clone();
        // A file has many bytes that are not in use; most flips go into those that are.
        let mut at = dice.below(bytes.len());
        while bytes[at] == 0 && flip % 4 > 0 {
            at = dice.below(bytes.len());
        }
        let bit = dice.below(8);
        bytes[at] ^= 1 << bit;
        fs::write(&archive, &bytes).expect("a copy");
        if is_noticed(&archive) {
            noticed += 1;
            continue;
        }
        // What nobody reads differs in nothing that SQL can ask.
        if logical(&archive).is_ok_and(|after| after == before) {
            continue;
        }
        if let Some(effect) = sample.effect(&archive) {
            effects.push(format!("bit {bit} of byte {at}: {effect}"));
        }
    }
    eprintln!("{noticed} of {flips} flipped bits noticed");
    assert!(effects.is_empty(), "{}", effects.join("\n"));
    assert!(noticed > flips / 10, "the sample is dense enough to be hit");
}

#[test]
fn what_can_be_made_from_a_sound_message_is_a_remark() {
    let sample = Sample::new();
    for value in ["{}", "{\"m\":[\"other@example.org\"],\"f\":\"00\"}"] {
        let sql = format!("UPDATE emails SET message_match = '{value}' WHERE id = (SELECT max(id) FROM emails)");
        let archive = edited(&sample, &sql).expect("an edit");
        let (findings, remarks) = judge(&archive).expect("a verdict");
        assert_eq!(findings, [] as [String; 0], "{value}");
        assert!(remarks.len() == 1 && remarks[0].contains("message_match"), "{remarks:?}");
        let output = run(&["verify", text(&archive)]);
        assert_eq!(output.status.code(), Some(0), "a remark is no damage");
    }
}

/// The types, their tables, and SQL for what is the identity of a row.
const TABLES_AND_IDENTITIES: [(&str, &str, &str); 11] = [
    ("Mailbox", "mailboxes", ""),
    ("Email", "emails", "substr(b.hash, 1, 16)"),
    ("Identity", "identities", "row_digest(t.email)"),
    ("SieveScript", "sieve_scripts", "row_digest(t.name)"),
    ("AddressBook", "address_books", ""),
    ("ContactCard", "contact_cards", "row_digest(t.uid)"),
    ("Calendar", "calendars", ""),
    ("CalendarEvent", "calendar_events", "row_digest(t.data ->> 'uid')"),
    ("ParticipantIdentity", "participant_identities", "row_digest(t.calendar_address)"),
    ("FileNode", "file_nodes", "CASE t.node_type WHEN 'directory' THEN NULL ELSE row_digest(t.node_type, t.name) END"),
    ("VacationResponse", "vacation_responses", ""),
];

/// A query for each digest of a row, as FORMAT.md describes them.
fn digests_of_the_format(conn: &Connection) -> Vec<String> {
    let columns = |table: &str, but: &[&str]| -> Vec<String> {
        let all = strings(conn, &format!("SELECT name FROM pragma_table_info('{table}') ORDER BY cid"));
        all.into_iter().filter(|name| !but.contains(&name.as_str())).map(|name| format!("t.{name}")).collect()
    };
    let mut expected: Vec<String> = Vec::new();
    for (kind, table, identity) in TABLES_AND_IDENTITIES {
        let has_blob =
            strings(conn, &format!("SELECT name FROM pragma_table_info('{table}')")).contains(&"blob_id".to_owned());
        let (blob, join) = if has_blob { ("b.hash", "LEFT JOIN blobs b ON b.id = t.blob_id") } else { ("NULL", "") };
        let own = columns(table, &["id", "blob_id"]).join(", ");
        let identity = if identity.is_empty() { "NULL" } else { identity };
        expected.push(format!(
            "SELECT '{kind}', t.id, row_digest('{kind}', t.id, (SELECT first FROM since WHERE kind = '{kind}' AND id = t.id), {own}, {blob},
               (SELECT hash FROM blobs WHERE id = o.blob_id), o.ranges), {identity}
             FROM {table} t {join} LEFT JOIN originals o ON o.kind = '{kind}' AND o.id = t.id"
        ));
    }
    for (table, id) in [
        ("sources", "id"),
        ("snapshots", "id"),
        ("scopes", "id"),
        ("mailbox_state", "mailbox_id"),
        ("mailbox_keywords", "mailbox_id * 32 + letter"),
    ] {
        let own = columns(table, &[]).join(", ");
        expected.push(format!("SELECT '{table}', {id}, row_digest('{table}', {own}), NULL FROM {table} t"));
    }
    expected.push(
        "SELECT 'origins', s.id, row_digest('origins', s.id,
           (SELECT group_concat(hex(row_digest(o.key, o.rev, o.keywords, o.parents, o.local_id)), '')
            FROM (SELECT * FROM origins WHERE scope_id = s.id ORDER BY key) o)), NULL FROM scopes s WHERE s.key = ''"
            .to_owned(),
    );
    expected.push(
        "SELECT 'sqlite_sequence', 1, row_digest('sqlite_sequence', count(*), min(seq)), NULL FROM sqlite_sequence WHERE name = 'snapshots'"
            .to_owned(),
    );
    expected
}

/// Computed here with SQL of its own.
#[test]
fn the_digests_of_rows_are_those_of_the_format() {
    let sample = Sample::new();
    let conn = Connection::open(sample.archive()).expect("it opens");
    add_row_digest(&conn);
    let sql = digests_of_the_format(&conn).join(" UNION ALL ");
    let stored = "SELECT kind, id, digest, identity FROM row_digests WHERE kind NOT IN ('history', 'last_ids')";
    let line = "SELECT kind || ' ' || id || ' ' || quote(digest) || ' ' || quote(identity) FROM (SELECT '' AS kind, 0 AS id, x'' AS digest, NULL AS identity WHERE 0 UNION ALL";
    let computed: BTreeSet<String> = strings(&conn, &format!("{line} {sql})")).into_iter().collect();
    let kept: BTreeSet<String> = strings(&conn, &format!("{line} {stored})")).into_iter().collect();
    assert_eq!(computed, kept);
    assert!(kept.len() > 50, "{}", kept.len());
    for (kind, ..) in TABLES_AND_IDENTITIES {
        assert!(kept.iter().any(|line| line.starts_with(kind)), "a {kind}");
    }
    // The place of a type in a list is no part of its digest; that of the row is.
    let computed = strings(&conn, "SELECT quote(row_digest('last_ids', kind, id)) FROM last_ids ORDER BY 1");
    let kept = strings(&conn, "SELECT quote(digest) FROM row_digests WHERE kind = 'last_ids' ORDER BY 1");
    assert!(computed == kept && !kept.is_empty());
}

/// Former states: each has its own digest, and there is one of what they add up to.
#[test]
fn the_digests_of_former_states_are_those_of_the_format() {
    let sample = Sample::new();
    let conn = Connection::open(sample.archive()).expect("it opens");
    add_row_digest(&conn);
    let mut statement = conn
        .prepare(
            "SELECT kind, digest, row_digest('history', kind, id, first, last, fields, (SELECT hash FROM blobs WHERE id = blob_id),
               (SELECT hash FROM blobs WHERE id = original_id), ranges) FROM history",
        )
        .expect("SQL");
    let mut rows = statement.query([]).expect("rows");
    let mut sums: BTreeMap<String, (u64, [u8; 16])> = BTreeMap::new();
    while let Some(row) = rows.next().expect("a row") {
        let (kind, digest, expected): (String, Vec<u8>, Vec<u8>) =
            (row.get(0).expect("a type"), row.get(1).expect("a digest"), row.get(2).expect("a digest"));
        assert_eq!(digest, expected, "{kind}");
        let (count, sum) = sums.entry(kind).or_default();
        *count += 1;
        sum.iter_mut().zip(digest).for_each(|(sum, byte)| *sum ^= byte);
    }
    let sums: BTreeSet<String> = sums
        .into_iter()
        .map(|(kind, (count, sum))| format!("{kind} {count} X'{}'", sum.map(|byte| format!("{byte:02X}")).concat()))
        .collect();
    let noted = strings(&conn, "SELECT fields || ' ' || quote(digest) FROM row_digests WHERE kind = 'history'");
    assert_eq!(sums, noted.into_iter().collect());
}

// --- lost rows --------------------------------------------------------------------------------------------------------

/// The paths and bytes of a tree, without numbers of rows and without what follows from them: a new row has another one, and
/// a new mailbox gives its keywords letters anew.
fn without_numbers(archive: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<(String, Vec<u8>)> = tree(archive, "latest")
        .into_iter()
        .filter(|(path, _)| !path.ends_with("/dovecot-keywords"))
        .map(|(path, bytes)| {
            let path = match path.split_once(".vandelay,") {
                Some((head, tail)) => format!("{}.vandelay,{tail}", head.rsplit_once('.').map_or("", |(head, _)| head))
                    .trim_end_matches(|letter: char| letter.is_ascii_lowercase())
                    .to_owned(),
                None => path,
            };
            // A merged file has its parts in the order of the rows' numbers.
            let mut lines: Vec<Vec<u8>> = bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
            if path.starts_with("merged/") {
                lines.sort();
            }
            if path.starts_with("text/") {
                // Its head names the row.
                lines.drain(..lines.len().min(2));
            }
            if path.ends_with(".json") {
                lines.retain(|line| !line.trim_ascii_start().starts_with(b"\"id\":"));
            }
            (path, lines.join(&b'\n'))
        })
        .collect();
    found.sort();
    found
}

/// Deletes each row of a content table in turn: `verify` names it, and the next import brings it back and says so.
fn comes_back(pristine: &Path, tables: &[(&str, &str)], import: &dyn Fn(&Path) -> String) {
    let at = pristine.with_extension("lost");
    let expected = without_numbers(pristine);
    for (table, kind) in tables {
        let conn = careless(pristine);
        let rows = strings(&conn, &format!("SELECT CAST(id AS TEXT) FROM {table} ORDER BY id"));
        drop(conn);
        assert!(!rows.is_empty(), "the sample has rows in {table}");
        for row in rows {
            fs::copy(pristine, &at).expect("a copy");
            let conn = careless(&at);
            conn.execute(&format!("DELETE FROM {table} WHERE id = {row}"), []).expect("a loss");
            conn.close().expect("it closes");
            let (findings, _) = judge(&at).expect("a verdict");
            let place = format!("{kind} {row}: ");
            assert!(findings.iter().any(|line| line.starts_with(&place)), "{table} {row}: {findings:?}");
            let said = import(&at);
            assert!(said.contains("missing from the archive"), "{table} {row}: {said}");
            let now = without_numbers(&at);
            let missing: Vec<&String> =
                expected.iter().filter(|file| !now.contains(file)).map(|(path, _)| path).collect();
            let more: Vec<&String> = now.iter().filter(|file| !expected.contains(file)).map(|(path, _)| path).collect();
            assert!(now == expected, "{table} {row}: {missing:?} missing, {more:?} instead");
            let (findings, _) = judge(&at).expect("a verdict");
            assert_eq!(findings, [] as [String; 0], "{table} {row}");
        }
    }
}

const CONTENTS: [(&str, &str); 11] = [
    ("emails", "Email"),
    ("calendar_events", "CalendarEvent"),
    ("contact_cards", "ContactCard"),
    ("sieve_scripts", "SieveScript"),
    ("identities", "Identity"),
    ("participant_identities", "ParticipantIdentity"),
    ("vacation_responses", "VacationResponse"),
    ("file_nodes", "FileNode"),
    ("mailboxes", "Mailbox"),
    ("calendars", "Calendar"),
    ("address_books", "AddressBook"),
];

/// Maildir and Takeout, and JMAP where the states of all types say that nothing changed.
#[test]
fn a_lost_row_comes_back() {
    let sample = Sample::new();
    comes_back(&sample.archive(), &CONTENTS, &|archive| sample.import(archive));
}

/// IMAP with CONDSTORE: the state of the mailbox says that nothing changed.
#[test]
fn a_lost_row_comes_back_from_imap() {
    let mails = (1..=3).map(|uid| mail(uid, &message(uid))).collect();
    let server = FakeImap::start(USUAL, vec![mailbox("INBOX", mails), mailbox("Work", vec![mail(1, &message(9))])]);
    let dir = tempfile::tempdir().expect("a directory");
    let archive = dir.path().join("a.sqlite");
    let import = |archive: &Path| {
        let mut command = vandelay();
        command.args(["import", "imap", "--allow-cleartext", "--auth-basic", "alice", "--url"]);
        command.arg(format!("imap://127.0.0.1:{}", server.port)).arg(archive).env("VANDELAY_PASSWORD", "pencil");
        let output = command.output().expect("the program starts");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{said}");
        said
    };
    import(&archive);
    comes_back(&archive, &[CONTENTS[0], CONTENTS[8]], &import);
}

#[test]
fn a_lost_script_comes_back_from_managesieve() {
    let Some(dovecot) = Dovecot::start("ssl = no\n") else { return };
    let folder = dovecot.home("alice").join("sieve");
    fs::create_dir(&folder).expect("a folder");
    for name in ["one", "two"] {
        fs::write(folder.join(format!("{name}.sieve")), format!("# {name}\r\nkeep;\r\n")).expect("a script");
        dovecot.give(&folder.join(format!("{name}.sieve")));
    }
    dovecot.give(&folder);
    let dir = tempfile::tempdir().expect("a directory");
    let archive = dir.path().join("a.sqlite");
    let import = |archive: &Path| {
        let mut command = vandelay();
        command.args(["import", "managesieve", "--allow-cleartext", "--auth-basic", "alice", "--url"]);
        command.arg(format!("sieve://127.0.0.1:{}", dovecot.sieve)).arg(archive).env("VANDELAY_PASSWORD", PASSWORD);
        let output = command.output().expect("the program starts");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{said}");
        said
    };
    import(&archive);
    comes_back(&archive, &[CONTENTS[3]], &import);
}

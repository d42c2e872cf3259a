//! docs/reference/json.md against what all commands print: each field of each object stands there with its form, and each field
//! that stands there is printed by some command.

use crate::common::jmap::{Options, Server};
use crate::common::{TYPES, deliver, jmap_account, jmap_run, message, vandelay};
use crate::documents::{document, quoted, tables};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const PAGE: &str = "docs/reference/json.md";

/// A field of the page: its form, and if it may be missing.
#[derive(Clone, Debug)]
struct Field {
    form: String,
    is_optional: bool,
}

/// The tables of the page by their heads, and which of their fields were seen.
struct Page {
    shapes: BTreeMap<String, BTreeMap<String, Field>>,
    /// Shapes that also have the columns of a table of the archive.
    rows: BTreeSet<String>,
    seen: BTreeSet<(String, String)>,
    wrong: BTreeSet<String>,
}

impl Page {
    fn read() -> Page {
        let mut page =
            Page { shapes: BTreeMap::new(), rows: BTreeSet::new(), seen: BTreeSet::new(), wrong: BTreeSet::new() };
        for table in tables(&document(PAGE)).iter().filter(|table| table.head.get(1).is_some_and(|head| head == "form"))
        {
            let name = quoted(&table.head[0])[0].to_owned();
            let mut fields = BTreeMap::new();
            for row in &table.rows {
                let (form, what) = (row[1].as_str(), row[2].as_str());
                match (quoted(&row[0]).as_slice(), form) {
                    ([], "row") => drop(page.rows.insert(name.clone())),
                    ([], _) => fields.extend(page.shapes[quoted(what)[0]].clone()),
                    (names, "") => {
                        let of = &page.shapes[quoted(what)[0]];
                        fields.extend(names.iter().map(|name| ((*name).to_owned(), of[*name].clone())));
                    }
                    (names, _) => {
                        let field = Field { form: form.to_owned(), is_optional: what.starts_with("may be missing") };
                        fields.extend(names.iter().map(|name| ((*name).to_owned(), field.clone())));
                    }
                }
            }
            assert!(page.shapes.insert(name.clone(), fields).is_none(), "two tables are headed {name}");
        }
        page
    }

    /// Looks at an object that a command printed.
    fn check(&mut self, command: &str, object: &Value) {
        let fields = object.as_object().expect("an object");
        let (first, kind) = fields.iter().next().expect("a field");
        assert_eq!(first, "message_type", "{command}: {object}");
        let kind = kind.as_str().expect("a word");
        let own = format!("{command}: {kind}");
        let shape = if self.shapes.contains_key(&own) { own } else { kind.to_owned() };
        let fields: Map<String, Value> =
            fields.iter().skip(1).map(|(name, value)| (name.clone(), value.clone())).collect();
        self.object(&shape, &fields, command);
    }

    fn object(&mut self, shape: &str, fields: &Map<String, Value>, place: &str) {
        let Some(known) = self.shapes.get(shape).cloned() else {
            self.wrong.insert(format!("{place}: no table is headed `{shape}`"));
            return;
        };
        for (name, value) in fields {
            match known.get(name) {
                Some(field) => {
                    self.seen.insert((shape.to_owned(), name.clone()));
                    self.value(&field.form, value, &format!("{place}: {shape}.{name}"));
                }
                None if self.rows.contains(shape) => {}
                None => drop(self.wrong.insert(format!("{place}: `{shape}` has no field {name}: {value}"))),
            }
        }
        for (name, _) in known.iter().filter(|(name, field)| !field.is_optional && !fields.contains_key(*name)) {
            self.wrong.insert(format!("{place}: `{shape}` lacks {name}"));
        }
    }

    fn value(&mut self, form: &str, value: &Value, place: &str) {
        if let Some(form) = form.strip_suffix(" or null") {
            if !value.is_null() {
                self.value(form, value, place);
            }
            return;
        }
        let text = value.as_str();
        let is_so = match form {
            "text" => text.is_some(),
            "number" | "size" | "snapshot" => value.as_u64().is_some(),
            "real" => value.as_f64().is_some(),
            "bool" => value.is_boolean(),
            "time" => text.is_some_and(|text| text.len() == 20 && text.parse::<jiff::Timestamp>().is_ok()),
            "path" => text.is_some_and(|text| !text.starts_with('/')),
            "disk" => text.is_some_and(|text| text.starts_with('/')),
            "type" => text.is_some_and(is_type),
            "row" => value["id"].as_i64().is_some(),
            _ => {
                if let Some(form) = form.strip_prefix("array of ") {
                    for (at, value) in value.as_array().into_iter().flatten().enumerate() {
                        self.value(form, value, &format!("{place}[{at}]"));
                    }
                    value.is_array()
                } else if let Some((keys, form)) = form.split_once(": ").filter(|(keys, _)| keys.starts_with("by ")) {
                    for (name, value) in value.as_object().into_iter().flatten() {
                        if keys == "by type" && !is_type(name) {
                            self.wrong.insert(format!("{place}: {name} is no type"));
                        }
                        self.value(form, value, &format!("{place}.{name}"));
                    }
                    value.is_object()
                } else if let [shape] = quoted(form)[..] {
                    let fields = value.as_object().cloned().unwrap_or_default();
                    self.object(shape, &fields, place);
                    value.is_object()
                } else {
                    panic!("{place}: nobody knows the form {form}");
                }
            }
        };
        if !is_so {
            self.wrong.insert(format!("{place} is no {form}: {value}"));
        }
    }
}

/// A place in which commands run.
struct Bench {
    at: tempfile::TempDir,
    page: Page,
}

impl Bench {
    /// Runs a command with `--json` and looks at every line that it prints; gives the objects.
    fn run(&mut self, name: &str, arguments: &[&str]) -> Vec<Value> {
        let mut command = vandelay();
        command.arg("--json").args(arguments);
        self.look(name, command)
    }

    fn look(&mut self, name: &str, mut command: Command) -> Vec<Value> {
        let output = command.current_dir(self.at.path()).output().expect("the program starts");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let line = |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("{command:?}: {line}"));
        let objects: Vec<Value> = text.lines().map(line).collect();
        assert!(!objects.is_empty(), "{command:?} prints nothing: {}", String::from_utf8_lossy(&output.stderr));
        objects.iter().for_each(|object| self.page.check(name, object));
        let (last, has_failed) = (&objects[objects.len() - 1]["message_type"], !output.status.success());
        assert_eq!(last == "exit_error", has_failed, "{command:?}: {text}");
        if let Some(summary) = objects.iter().find(|object| object["message_type"] == "summary")
            && ["ls", "snapshots", "diff", "mounts", "inspect TYPE", "extract", "find"].contains(&name)
        {
            let is_listed =
                |object: &&Value| !["summary", "exit_error"].map(Value::from).contains(&object["message_type"]);
            assert_eq!(summary["count"], objects.iter().filter(is_listed).count(), "{command:?}");
        }
        objects
    }

    fn path(&self, name: &str) -> PathBuf {
        self.at.path().join(name)
    }
}

/// 1.x has all types but the last.
fn is_type(text: &str) -> bool {
    TYPES.contains(&text) || text == "vacationresponse"
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Flips a bit in each place of a file that has this text.
fn damage(path: &Path, what: &[u8]) {
    let mut bytes = fs::read(path).expect("the archive");
    let places: Vec<usize> = memchr::memmem::find_iter(&bytes, what).collect();
    assert!(!places.is_empty());
    places.iter().for_each(|place| bytes[*place] ^= 1);
    fs::write(path, bytes).expect("damage");
}

/// An account with something of each type, imported twice, with changes in between.
fn whole(bench: &mut Bench, server: &Server) {
    let ids = jmap_account::fill(server);
    let archive = bench.path("all.sqlite");
    let import = |bench: &mut Bench, flags: &[&str]| {
        let mut command = jmap_run::command(server, "import");
        command.args(flags).arg(&archive);
        bench.look("import", command)
    };
    import(bench, &[]);
    server.change("A1", "Mailbox", &ids["work"], |mailbox| mailbox["name"] = "Job".into());
    for (kind, id) in [("ContactCard", "card2"), ("Identity", "identity")] {
        if let Some(id) = ids.get(id) {
            server.change("A1", kind, id, |object| object["name"] = "Else".into());
        }
    }
    import(bench, &["--dry-run"]);
    import(bench, &[]);
    for kind in TYPES {
        bench.run("inspect TYPE", &["inspect", "all.sqlite", kind]);
    }
    bench.run("inspect", &["inspect", "all.sqlite"]);
    bench.run("snapshots", &["snapshots", "all.sqlite"]);
    bench.run("diff", &["diff", "all.sqlite", "1", "2"]);
    bench.run("find", &["find", "all.sqlite", "type:email", "subject:*"]);
    bench.run("find", &["find", "all.sqlite", "number", "--count"]);
    let mut command = jmap_run::command(server, "export");
    command.arg("--dry-run").arg(&archive);
    bench.look("export", command);
    let mut command = vandelay();
    command.args(["--json", "restore-check", "--against", "jmap", "--allow-cleartext", "--auth-basic", "alice"]);
    command.args(["--url", &server.url(), "--account-id", "A1"]).arg(&archive).env("VANDELAY_PASSWORD", "secret");
    server.change("A1", "Mailbox", &ids["work"], |mailbox| mailbox["name"] = "Third".into());
    bench.look("restore-check --against", command);
}

fn local(bench: &mut Bench) {
    let mail = bench.path("mail");
    for number in 1..=4 {
        deliver(&mail, &format!("170000000{number}.M{number}.h:2,S"), &message(number));
    }
    bench.run("import", &["import", "maildir", "mail", "a.sqlite"]);
    fs::remove_file(mail.join("cur/1700000001.M1.h:2,S")).expect("a message");
    bench.run("import", &["import", "maildir", "mail", "a.sqlite"]);
    fs::create_dir_all(bench.path("export")).expect("a folder");
    fs::write(bench.path("export/archive.pst"), "!BDN").expect("a file");
    let mbox = "From alice@example.com Thu Jan  1 10:00:00 2026\nFrom: alice@example.com\nSubject: one\n\ntext\n";
    fs::write(bench.path("export/Inbox"), mbox).expect("a file");
    bench.run("import", &["import", "takeout", "export", "odd.sqlite"]);
    bench.run("diff", &["diff", "a.sqlite", "1"]);
    bench.run("find", &["find", "a.sqlite", "type:email", "is:deleted"]);
    bench.run("ls", &["ls", "-R", "a.sqlite"]);
    bench.run("extract", &["extract", "--into", "out", "a.sqlite", "mail"]);
    fs::create_dir_all(bench.path("blocked/mail")).expect("a folder");
    fs::write(bench.path("blocked/mail/INBOX"), "a file where a folder should be").expect("a file");
    bench.run("extract", &["extract", "--into", "blocked", "a.sqlite", "mail"]);
    bench.run("export", &["export", "maildir", "a.sqlite", "maildir"]);
    bench.run("ls", &["ls", "a.sqlite", "nothing"]);
    bench.run("forget", &["forget", "--dry-run", "--keep-last", "1", "a.sqlite"]);
    let copies = text(&bench.path("copies/a-%Y-%m-%d.sqlite")).to_owned();
    fs::create_dir_all(bench.path("copies")).expect("a folder");
    fs::write(bench.path("copies/a-2020-01-01.sqlite"), "no copy").expect("a file");
    bench.run("snapshot", &["snapshot", "a.sqlite", &copies, "--verify", "full", "--keep-last", "2"]);
    bench.run("verify", &["verify", "a.sqlite"]);
    bench.run("restore-check", &["restore-check", "a.sqlite"]);
    // A copy in which a message has a flag that its name has not, and one in which a message is damaged.
    fs::copy(bench.path("a.sqlite"), bench.path("bad.sqlite")).expect("a copy");
    let conn = rusqlite::Connection::open(bench.path("bad.sqlite")).expect("an archive");
    conn.execute("UPDATE email_index SET flags = 'T' WHERE email_id = 2", []).expect("a change");
    drop(conn);
    damage(&bench.path("bad.sqlite"), b"Subject: number 3");
    bench.run("verify", &["verify", "bad.sqlite"]);
    bench.run("restore-check", &["restore-check", "bad.sqlite"]);
    bench.run("snapshot", &["snapshot", "bad.sqlite", "worse.sqlite", "--verify", "full"]);
    bench.run("inspect", &["inspect", "worse.sqlite"]);
    bench.run("forget", &["forget", "--keep-last", "1", "a.sqlite"]);
}

fn others(bench: &mut Bench) {
    let configuration = "[account.a]\narchive = \"run.sqlite\"\nmaildir = { path = \"mail\" }\n";
    fs::write(bench.path("config.toml"), configuration).expect("a configuration");
    bench.run("run", &["run", "--config", "config.toml"]);
    bench.run("run --check", &["run", "--config", "config.toml", "--check"]);
    fs::write(bench.path("gone.toml"), configuration.replace("\"mail\"", "\"gone\"")).expect("a configuration");
    bench.run("run", &["run", "--config", "gone.toml"]);
    let init = ["config", "init", "--offline", "--yes", "--address", "alice@example.com", "--config", "new.toml"];
    bench.run("config init", &init);
    bench.run("version", &["--version"]);
    bench.run("version", &["version"]);
    bench.run("help", &["ls", "--help"]);
    bench.run("help", &["help", "import", "imap"]);
    bench.run("completions", &["completions", "bash"]);
    bench.run("man", &["man", "pages"]);
    bench.run("mounts", &["mounts"]);
    if Path::new("/dev/fuse").exists() {
        fs::create_dir(bench.path("mnt")).expect("a directory");
        bench.run("mount", &["mount", "a.sqlite", "mnt"]);
        bench.run("mounts", &["mounts"]);
        bench.run("umount", &["umount", "mnt"]);
    }
    bench.run("mount", &["mount", "gone.sqlite", "mnt"]);
    for wrong in [
        &["no-such-command"][..],
        &["ls"],
        &["ls", "a.sqlite", "--no-such-flag"],
        &["import", "imap", "a.sqlite"],
        &["ls", "a.sqlite", "--at", "never"],
        &["inspect", "a.sqlite", "emails"],
    ] {
        let said = bench.run("usage", wrong);
        assert_eq!(said.len(), 1, "{wrong:?}: {said:?}");
        assert!(said[0]["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{wrong:?}: {}", said[0]);
    }
}

/// Fields of the page that no command prints here: damage that takes more than a test of documents to make, and what only a
/// run of more than a second has.
const ELSEWHERE: [(&str, &str); 22] = [
    ("service", "kind"),
    ("service", "url"),
    ("service", "origin"),
    ("service", "other_domain"),
    ("service", "is_used"),
    ("verify: remark", "place"),
    ("verify: remark", "what"),
    ("verify: remark", "affected"),
    ("status", "step"),
    ("status", "place"),
    ("status", "percent"),
    ("status", "items_done"),
    ("status", "items_total"),
    ("status", "done_size"),
    ("status", "total_size"),
    ("status", "seconds_elapsed"),
    ("status", "seconds_left"),
    ("difference", "calendar_address"),
    ("difference", "email"),
    ("difference", "due"),
    ("difference", "title"),
    ("difference", "start"),
];

#[test]
fn every_line_of_every_command_is_as_the_page_says() {
    let mut bench = Bench { at: tempfile::tempdir().expect("a directory"), page: Page::read() };
    let server = Server::start(Options::default());
    whole(&mut bench, &server);
    local(&mut bench);
    others(&mut bench);
    assert!(bench.page.wrong.is_empty(), "{:#?}", bench.page.wrong);
    let has_fuse = Path::new("/dev/fuse").exists();
    let page = &bench.page;
    let all =
        page.shapes.iter().flat_map(|(shape, fields)| fields.keys().map(move |name| (shape.clone(), name.clone())));
    let unseen: Vec<_> = all
        .filter(|field| !page.seen.contains(field))
        .filter(|(shape, name)| !ELSEWHERE.contains(&(shape, name)))
        .filter(|(shape, _)| has_fuse || !shape.contains("mount"))
        .collect();
    assert!(unseen.is_empty(), "no command prints {unseen:#?}");
}

/// One name for one thing: a field has one form wherever it stands, and times and sizes are known by their names.
#[test]
fn a_field_has_one_form_wherever_it_stands() {
    let page = Page::read();
    let mut forms: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for (shape, fields) in &page.shapes {
        for (name, field) in fields {
            let form = field.form.trim_end_matches(" or null");
            let form = if form.starts_with("by type") { "by type" } else { form };
            forms.entry(name.clone()).or_default().insert(form.to_owned(), shape.clone());
            let is_size = name == "size" || name.ends_with("_size");
            assert_eq!((form == "time", form == "size"), (name.ends_with("_at"), is_size), "{shape}.{name}: {form}");
        }
    }
    let several: Vec<_> = forms.iter().filter(|(_, forms)| forms.len() > 1).collect();
    assert!(several.is_empty(), "{several:#?}");
}

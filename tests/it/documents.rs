//! The documents say what is true: their examples are run, their tables compared with the program, their command lines
//! parsed. [`PAGES`] lists them. `UPDATE_GOLDEN=1` rewrites the golden help text.

use crate::common;
use crate::common::{Mounted, ok, vandelay};
use clap::Parser;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use vandelay::error::ErrorKind;

/// A page for users.
struct Page {
    path: &'static str,
    /// The commands that a table of flags speaks of whose head names none.
    commands: &'static [&'static str],
}

const fn page(path: &'static str, commands: &'static [&'static str]) -> Page {
    Page { path, commands }
}

const IMPORTS: &[&str] = &[
    "import maildir",
    "import mox",
    "import takeout",
    "import imap",
    "import jmap",
    "import caldav",
    "import carddav",
    "import webdav",
    "import managesieve",
];

const EXPORTS: &[&str] =
    &["export", "export imap", "export caldav", "export carddav", "export webdav", "export managesieve"];

const SERVERS: &[&str] = &[
    "import imap",
    "import jmap",
    "import caldav",
    "import carddav",
    "import webdav",
    "import managesieve",
    "export",
    "export imap",
    "export caldav",
    "export carddav",
    "export webdav",
    "export managesieve",
    "restore-check",
];

/// README.md is run beside `examples`, every other page beside what [`SAMPLE`] holds.
const PAGES: &[Page] = &[
    page("README.md", &[]),
    page("docs/benchmarks.md", &[]),
    page("docs/compatibility.md", &[]),
    page("docs/config.md", &["run"]),
    page("docs/copies.md", &["snapshot"]),
    page("docs/dav.md", &["import caldav", "import carddav", "import webdav"]),
    page("docs/exit-codes.md", &[]),
    page("docs/export.md", EXPORTS),
    page("docs/files.md", &[]),
    page("docs/find.md", &["find"]),
    page("docs/history.md", &[]),
    page("docs/imap.md", &["import imap"]),
    page("docs/import.md", IMPORTS),
    page("docs/install.md", &[]),
    page("docs/jmap.md", &["import jmap"]),
    page("docs/reference/json.md", &[]),
    page("docs/limits.md", &[]),
    page("docs/login.md", SERVERS),
    page("docs/maildir.md", &["import maildir"]),
    page("docs/managesieve.md", &["import managesieve"]),
    page("docs/mount.md", &["mount"]),
    page("docs/mox.md", &["import mox"]),
    page("docs/nightly.md", &[]),
    page("docs/providers.md", &[]),
    page("docs/restore-check.md", &["restore-check"]),
    page("docs/restore.md", &[]),
    page("docs/safety.md", &[]),
    page("docs/sources.md", &[]),
    page("docs/style.md", &[]),
    page("docs/screens.md", &[]),
    page("docs/setup.md", &["config init"]),
    page("docs/takeout.md", &["import takeout"]),
    page("docs/troubleshooting.md", &[]),
    page("docs/verify.md", &["verify"]),
];

const EXIT_CODES: &str = "docs/exit-codes.md";

const MOUNT_OPTIONS: &str = "docs/mount.md";

const ERRORS: &str = "docs/troubleshooting.md";

/// The other documents.
const REFERENCE: [&str; 3] = ["CHANGELOG.md", "src/archive/FORMAT.md", "src/tree/LAYOUT.md"];

fn all_documents() -> impl Iterator<Item = &'static str> {
    PAGES.iter().map(|page| page.path).chain(REFERENCE)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn document(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A fenced block: its language, its lines, the line that it begins at.
struct Block {
    language: String,
    text: String,
    line: usize,
}

fn blocks(document: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut open = false;
    for (at, line) in document.lines().enumerate() {
        match line.strip_prefix("```") {
            Some(_) if open => open = false,
            Some(language) => {
                open = true;
                blocks.push(Block { language: language.to_owned(), text: String::new(), line: at + 1 });
            }
            None if open => {
                if let Some(block) = blocks.last_mut() {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
            }
            None => {}
        }
    }
    assert!(!open, "a block does not end");
    blocks
}

/// A command of a console block, with the output that the document shows.
struct Example {
    command: String,
    output: String,
    line: usize,
}

fn examples(block: &Block) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    for (at, line) in block.text.lines().enumerate() {
        match (line.strip_prefix("$ "), examples.last_mut()) {
            (Some(command), _) => {
                examples.push(Example { command: command.to_owned(), output: String::new(), line: block.line + at + 1 })
            }
            (None, Some(example)) => {
                example.output.push_str(line);
                example.output.push('\n');
            }
            (None, None) => panic!("line {}: output without a command", block.line + at + 1),
        }
    }
    examples
}

/// What a shell says to a command in a directory, errors and all; `vandelay` is the built program.
fn shell(command: &str, directory: &Path) -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_vandelay")).parent().expect("a directory");
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
    let output = Command::new("sh")
        .args(["-c", &format!("{{ {command}\n}} 2>&1")])
        .current_dir(directory)
        .env("PATH", path)
        .env("LC_ALL", "C.UTF-8")
        .env("TZ", "UTC")
        .env_remove("COLUMNS")
        .env_remove("CLICOLOR_FORCE")
        .env_remove("VANDELAY_MOUNT_STAYS")
        .output()
        .expect("sh");
    String::from_utf8_lossy(&output.stdout).replace("\r\n", "\n")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory").flatten() {
        let target = to.join(entry.file_name());
        match entry.file_type().expect("a type").is_dir() {
            true => copy(&entry.path(), &target),
            false => {
                fs::copy(entry.path(), target).expect("a file");
            }
        }
    }
}

/// The archive of the documents: made as FORMAT.md says, with fixed dates of its snapshots.
struct Sample {
    directory: PathBuf,
    archive: PathBuf,
}

static SAMPLE: LazyLock<Sample> = LazyLock::new(|| {
    // A static is never dropped, so this is no directory that would have to be removed.
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("documents");
    for mount in ["mnt", "dotted"] {
        let _ = vandelay().arg("umount").arg("--lazy").arg(directory.join(mount)).output();
    }
    let _ = fs::remove_dir_all(&directory);
    copy(&root().join("examples/account"), &directory);
    let format = document("src/archive/FORMAT.md");
    let recipe = blocks(&format).into_iter().find(|block| block.language == "console").expect("a recipe");
    for example in examples(&recipe) {
        let said = shell(&example.command, &directory);
        assert_eq!(said, example.output, "FORMAT.md, line {}: {}", example.line, example.command);
    }
    let archive = directory.join("alice.sqlite");
    let conn = rusqlite::Connection::open(&archive).expect("an archive");
    for (id, day) in [(1, 2), (2, 3), (3, 4)] {
        let (started, ended) = (format!("2026-03-0{day}T06:00:00Z"), format!("2026-03-0{day}T06:00:01Z"));
        let changed = conn
            .execute("UPDATE snapshots SET started = ?2, ended = ?3 WHERE id = ?1", (id, started, ended))
            .expect("a snapshot");
        assert_eq!(changed, 1);
    }
    let _ = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    drop(conn);
    Sample { directory, archive }
});

/// Rows as the sqlite3 shell prints them.
fn query(sql: &str) -> String {
    use rusqlite::types::ValueRef;
    let conn = rusqlite::Connection::open_with_flags(&SAMPLE.archive, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)
        .expect("an archive");
    let mut statement = conn.prepare(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    let columns = statement.column_count();
    let mut rows = statement.query([]).expect("rows");
    let mut text = String::new();
    while let Some(row) = rows.next().expect("a row") {
        let values: Vec<String> = (0..columns)
            .map(|at| match row.get_ref(at).expect("a value") {
                ValueRef::Null => String::new(),
                ValueRef::Integer(number) => number.to_string(),
                ValueRef::Real(number) => number.to_string(),
                ValueRef::Text(bytes) | ValueRef::Blob(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            })
            .collect();
        text.push_str(&values.join("|"));
        text.push('\n');
    }
    text
}

#[test]
fn the_format_is_as_written() {
    let text = document("src/archive/FORMAT.md");
    let blocks = blocks(&text);
    let mut count = 0;
    for (at, block) in blocks.iter().enumerate().filter(|(_, block)| block.language == "sql") {
        let expected = blocks.get(at + 1).filter(|next| next.language == "text").expect("the result of a question");
        assert_eq!(query(&block.text), expected.text, "FORMAT.md, line {}", block.line);
        count += 1;
    }
    assert!(count >= 10, "{count} examples");
}

#[test]
fn every_table_and_column_is_described() {
    let text = document("src/archive/FORMAT.md");
    // The text below `### `name`` up to the next heading.
    let mut sections: BTreeMap<String, String> = BTreeMap::new();
    let mut current = None;
    for line in text.lines() {
        if line.starts_with('#') {
            current = line.strip_prefix("### `").and_then(|rest| rest.strip_suffix('`')).map(str::to_owned);
        } else if let Some(name) = &current {
            sections.entry(name.clone()).or_default().push_str(&format!("{line}\n"));
        }
    }
    let tables = query("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'");
    let mut described: BTreeSet<&str> = sections.keys().map(String::as_str).collect();
    for table in tables.lines() {
        assert!(described.remove(table), "FORMAT.md does not describe {table}");
        let columns = query(&format!("SELECT name FROM pragma_table_info('{table}')"));
        let rows: Vec<&str> = sections[table].lines().filter(|line| line.starts_with("| ")).collect();
        let named: BTreeSet<&str> = rows.iter().flat_map(|row| quoted(row.split('|').nth(1).unwrap_or(""))).collect();
        let existing: BTreeSet<&str> = columns.lines().collect();
        assert_eq!(named, existing, "columns of {table} in FORMAT.md");
    }
    assert!(described.is_empty(), "FORMAT.md describes what is no table: {described:?}");
}

/// What stands between backquotes.
pub(crate) fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn the_layout_is_as_written() {
    let text = document("src/tree/LAYOUT.md");
    let directory = SAMPLE.directory.as_path();
    let mount = Mounted::new(&SAMPLE.archive, &directory.join("mnt"), &["--quiet"]);
    let mut count = 0;
    for example in blocks(&text).iter().filter(|block| block.language == "console").flat_map(examples) {
        let Example { command, output, line } = example;
        count += 1;
        if command.starts_with("vandelay ") {
            assert_eq!(shell(&command, directory).trim_end(), output.trim_end(), "LAYOUT.md, line {line}: {command}");
            continue;
        }
        let words = shell_quoted(&command);
        let said = match command.split(' ').next() {
            Some("ls") => {
                let listed = shell(&format!("vandelay ls alice.sqlite {words}"), directory);
                let mut lines: Vec<&str> = listed.lines().collect();
                lines.sort_unstable();
                lines.into_iter().map(|line| format!("{line}\n")).collect()
            }
            Some("cat") => shell(&format!("vandelay cat alice.sqlite {words}"), directory),
            _ => panic!("LAYOUT.md, line {line}: only ls and cat can be typed in the tree"),
        };
        assert_eq!(said, output, "LAYOUT.md, line {line}: {command}");
        if let Some(mount) = &mount {
            assert_eq!(shell(&command, &mount.at), output, "LAYOUT.md, line {line}, mounted: {command}");
        }
    }
    assert!(count >= 20, "{count} examples");
}

/// The arguments of a command as they stand.
fn shell_quoted(command: &str) -> String {
    command.split_once(' ').map_or(String::new(), |(_, arguments)| arguments.to_owned())
}

#[test]
fn the_maildirpp_layout_is_as_written() {
    let text = document("src/tree/LAYOUT.md");
    let section = text.split("## layout=maildir++").nth(1).expect("the section");
    let block = blocks(section).into_iter().next().expect("a list of paths");
    let options = ["--quiet", "-o", "layout=maildir++"];
    let Some(mount) = Mounted::new(&SAMPLE.archive, &SAMPLE.directory.join("dotted"), &options) else { return };
    for path in block.text.lines() {
        assert!(mount.at.join(path.trim_end_matches('…')).exists(), "{path}");
    }
}

#[test]
fn every_page_is_listed() {
    let pages = |folder: &'static str| {
        let there = fs::read_dir(root().join(folder)).expect("docs").flatten().map(|entry| entry.path());
        let there = there.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
        there.map(move |path| format!("{folder}/{}", path.file_name().expect("a name").to_string_lossy()))
    };
    let there = pages("docs").chain(pages("docs/reference"));
    let there: BTreeSet<String> = there.chain(["README.md".to_owned()]).collect();
    assert_eq!(there, PAGES.iter().map(|page| page.path.to_owned()).collect());
}

/// A directory like the one that a page's reader is in. Its name in what programs say is `/home/alice`.
fn home(page: &Page) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    if page.path == "README.md" {
        copy(&root().join("examples"), &directory.path().join("examples"));
        return directory;
    }
    for name in ["Maildir", "Takeout"] {
        copy(&SAMPLE.directory.join(name), &directory.path().join(name));
    }
    fs::copy(&SAMPLE.archive, directory.path().join("alice.sqlite")).expect("an archive");
    if page.path == "docs/mox.md" {
        common::mox::sample(&directory.path().join("mox-backup"));
    }
    directory
}

/// Unmounts what a page's examples left below a directory.
fn unmount_below(directory: &Path) {
    let table = fs::read_to_string("/proc/self/mounts").expect("mounts");
    let places = table.lines().filter_map(|line| line.split(' ').nth(1));
    for place in places.filter(|place| Path::new(place).starts_with(directory)) {
        let _ = vandelay().args(["umount", "--lazy", place]).output();
    }
}

#[test]
fn every_page_is_as_written() {
    let (mut count, mut wrong) = (0, String::new());
    for page in PAGES {
        let text = document(page.path);
        let blocks = blocks(&text);
        let examples: Vec<Example> =
            blocks.iter().filter(|block| block.language == "console").flat_map(examples).collect();
        let mounts = examples.iter().any(|example| example.command.contains("vandelay mount "));
        if examples.is_empty() || (mounts && !Path::new("/dev/fuse").exists()) {
            if mounts {
                common::skip(&format!("{} mounts, and there is no /dev/fuse", page.path));
            }
            continue;
        }
        let directory = home(page);
        let name = directory.path().display().to_string();
        for example in examples {
            let said = shell(&example.command, directory.path()).replace(&name, "/home/alice");
            if said != example.output {
                wrong.push_str(&format!("{}, line {}: {}\n{said}", page.path, example.line, example.command));
            }
            count += 1;
        }
        unmount_below(directory.path());
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(count >= 50, "{count} examples");
}

#[test]
fn exit_codes_are_those_of_the_table() {
    let all = [
        ErrorKind::Usage,
        ErrorKind::Connection,
        ErrorKind::Account,
        ErrorKind::SourceChanged,
        ErrorKind::Partial,
        ErrorKind::Declined,
        ErrorKind::Storage,
        ErrorKind::Damaged,
        ErrorKind::Guard,
        ErrorKind::NoArchive,
        ErrorKind::Locked,
        ErrorKind::Credentials,
        ErrorKind::Interrupted,
        ErrorKind::NotFound,
        ErrorKind::NotADirectory,
        ErrorKind::IsADirectory,
        ErrorKind::Unreadable,
        ErrorKind::Forgotten,
    ];
    // A new kind must be added above: this match does not compile without it.
    for kind in all {
        match kind {
            ErrorKind::Usage
            | ErrorKind::Connection
            | ErrorKind::Account
            | ErrorKind::SourceChanged
            | ErrorKind::Partial => {}
            ErrorKind::Declined
            | ErrorKind::Storage
            | ErrorKind::Damaged
            | ErrorKind::Guard
            | ErrorKind::NoArchive
            | ErrorKind::Locked => {}
            ErrorKind::Credentials | ErrorKind::Interrupted | ErrorKind::NotFound | ErrorKind::NotADirectory => {}
            ErrorKind::IsADirectory | ErrorKind::Unreadable | ErrorKind::Forgotten => {}
        }
    }
    let text = document(EXIT_CODES);
    let mut written: BTreeMap<String, u8> = BTreeMap::new();
    for row in text.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        if let Ok(code) = cells[1].parse() {
            assert!(written.insert(cells[2].to_owned(), code).is_none(), "{row}: twice");
        }
    }
    let mut real: BTreeMap<String, u8> = all.map(|kind| (kind.token().to_owned(), kind.exit_code())).into();
    real.insert("success".to_owned(), 0);
    assert_eq!(written, real);
}

/// The help of every command, with its words behind `vandelay`. The hidden ones are named here.
static HELP: LazyLock<BTreeMap<Vec<String>, String>> = LazyLock::new(|| {
    let mut all = BTreeMap::new();
    let mut todo: Vec<Vec<String>> = vec![vec![], vec!["man".to_owned()]];
    while let Some(words) = todo.pop() {
        let mut arguments: Vec<&str> = words.iter().map(String::as_str).collect();
        arguments.push("--help");
        let text = ok(&arguments);
        let commands = text.split("\nCommands:\n").nth(1).unwrap_or_default();
        for line in commands.lines().take_while(|line| !line.is_empty()) {
            // Descriptions that go on in a second line are indented further.
            if let Some(name) = line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')) {
                let name = name.split(' ').next().unwrap_or_default().to_owned();
                let is_help = name == "help";
                let below = words.iter().cloned().chain([name]).collect();
                // It takes the name of a command where others take --help.
                match is_help {
                    true if words.is_empty() => drop(all.insert(below, ok(&["help"]))),
                    true => {}
                    false => todo.push(below),
                }
            }
        }
        all.insert(words, text);
    }
    all
});

#[test]
fn the_help_is_the_golden_one() {
    let mut text = String::new();
    for (words, help) in HELP.iter() {
        text.push_str(&format!("$ vandelay {}\n{help}\n", [words.join(" "), "--help".to_owned()].join(" ").trim()));
    }
    golden("tests/golden/help.txt", &text);
}

/// Compares with a file, or writes it if UPDATE_GOLDEN is set.
pub(crate) fn golden(path: &str, text: &str) {
    let file = root().join(path);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(file.parent().expect("a directory")).expect("a directory");
        fs::write(&file, text).expect("a golden file");
        return;
    }
    let expected = fs::read_to_string(&file).unwrap_or_default();
    let differs = expected.lines().zip(text.lines()).enumerate().find(|(_, (old, new))| old != new);
    let hint = format!("{path} is not what the program says: UPDATE_GOLDEN=1 cargo test --test documents rewrites it");
    assert!(expected == text, "{hint}\nfirst difference: {differs:?}");
}

#[test]
fn man_pages_are_up_to_date() {
    let made = tempfile::tempdir().expect("a directory");
    ok(&["man", made.path().to_str().expect("UTF-8")]);
    let read = |directory: &Path| -> BTreeMap<String, String> {
        let files = fs::read_dir(directory).into_iter().flatten().flatten();
        files
            .map(|file| {
                let text = fs::read_to_string(file.path()).expect("a man page");
                (file.file_name().to_string_lossy().into_owned(), text)
            })
            .collect()
    };
    let (made, kept) = (read(made.path()), read(&root().join("docs/man")));
    assert!(made.len() > 10, "{} man pages", made.len());
    let names = |pages: &BTreeMap<String, String>| pages.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&made), names(&kept), "docs/man: run scripts/man");
    for (name, text) in &made {
        assert!(kept[name] == *text, "docs/man/{name} is not what the program says: run scripts/man");
    }
}

/// Every command line of a document that begins with `vandelay` and stands between backquotes: often with words like
/// ARCHIVE in it.
fn quoted_command_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut is_code = false;
    for line in text.lines() {
        is_code ^= line.starts_with("```");
        if !is_code {
            lines.extend(quoted(line).into_iter().filter(|code| code.starts_with("vandelay ")).map(str::to_owned));
        }
    }
    lines
}

/// The commands of a line of a shell, each with its words, quotes taken away. What is behind `>` counts as one, too.
fn shell_commands(line: &str) -> Vec<Vec<String>> {
    let (mut commands, mut words, mut word): (Vec<Vec<String>>, Vec<String>, Option<String>) = Default::default();
    let mut quote = None;
    let mut characters = line.chars();
    while let Some(c) = characters.next() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (Some(_), _) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '\\') => word.get_or_insert_default().extend(characters.next()),
            (None, '#') if word.is_none() => break,
            (None, ' ' | '\t') => words.extend(word.take()),
            (None, '|' | '&' | ';' | '(' | ')' | '<' | '>') => {
                // The 2 of `2>` is no word of the command.
                let is_number = word.as_deref().is_some_and(|word| word.chars().all(|c| c.is_ascii_digit()));
                words.extend(word.take().filter(|_| !(c == '>' && is_number)));
                commands.push(std::mem::take(&mut words));
            }
            (None, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    commands.push(words);
    commands
}

/// The words of a command if it runs `vandelay`, whatever its folder, behind a prompt, the times of cron, `NAME=value` or
/// the `ExecStart=` of systemd.
fn vandelay_words(words: Vec<String>) -> Option<Vec<String>> {
    let is_program = |word: &str| word.rsplit(['/', '=']).next() == Some("vandelay");
    let is_before = |word: &String| {
        word.chars().all(|c| "$*/,-0123456789".contains(c)) || (word.contains('=') && !is_program(word))
    };
    let mut words: Vec<String> = words.into_iter().skip_while(is_before).collect();
    let first = words.first_mut().filter(|first| is_program(first))?;
    *first = "vandelay".to_owned();
    Some(words)
}

/// Every command line in the blocks of a document, with the line that it stands in.
fn block_command_lines(text: &str) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    let is_run = |block: &&Block| ["console", "sh", "ini", "text"].contains(&block.language.as_str());
    for block in blocks(text).iter().filter(is_run) {
        for (at, line) in block.text.lines().enumerate() {
            let is_output = block.language == "console" && !line.starts_with("$ ");
            let commands = if is_output { Vec::new() } else { shell_commands(line) };
            found.extend(commands.into_iter().filter_map(vandelay_words).map(|words| (block.line + at + 1, words)));
        }
    }
    found
}

#[test]
fn command_lines_are_found() {
    let lines = |text: &str| -> Vec<String> {
        let found = block_command_lines(&format!("```sh\n{text}\n```\n"));
        found.into_iter().map(|(_, words)| words.join("|")).collect()
    };
    assert_eq!(
        lines("17 3 * * *  ~/.cargo/bin/vandelay -q ls 'a b' && vandelay mounts"),
        ["vandelay|-q|ls|a b", "vandelay|mounts"]
    );
    assert_eq!(lines("ExecStart=%h/bin/vandelay mounts # always"), ["vandelay|mounts"]);
    assert_eq!(lines("A=b vandelay cat a x 2> y | grep vandelay"), ["vandelay|cat|a|x"]);
    assert_eq!(lines("systemctl start vandelay.timer; cp vandelay x"), [] as [&str; 0]);
}

#[test]
fn every_command_line_can_be_typed() {
    let (mut in_blocks, mut in_text) = (0, 0);
    for path in all_documents() {
        let text = document(path);
        for (line, words) in block_command_lines(&text) {
            in_blocks += 1;
            if let Err(error) = vandelay::cli::Cli::try_parse_from(&words) {
                assert!(!error.use_stderr(), "{path}, line {line}: {}\n{error}", words.join(" "));
            }
            check_mount_options(path, &words);
        }
        for line in quoted_command_lines(&text) {
            // What the holder of a lock is called is no command line.
            if line.contains("(pid") || line.starts_with("vandelay 20") {
                continue;
            }
            in_text += 1;
            check_command_line(path, &line);
        }
    }
    assert!(in_blocks >= 80 && in_text >= 40, "{in_blocks} command lines in blocks, {in_text} in text");
}

/// The options of a mount, which are not read with the command line: a mount that is not made must take them.
fn check_mount_options(path: &str, words: &[String]) {
    if !words.iter().any(|word| word == "mount") {
        return;
    }
    for options in words.iter().skip_while(|word| *word != "-o").skip(1).step_by(2).take(1) {
        let directory = tempfile::tempdir().expect("a directory");
        let mut mount = vandelay();
        mount.args(["mount", "--fake", "--quiet", "-o", options]).arg(&SAMPLE.archive).arg(directory.path());
        let output = mount.output().expect("the program starts");
        assert!(output.status.success(), "{path}: -o {options}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn every_line_of_fstab_can_be_mounted() {
    let mut count = 0;
    for path in all_documents() {
        let text = document(path);
        for block in blocks(&text).iter().filter(|block| block.language == "text") {
            let lines = block.text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
            for fields in lines.filter(|fields| fields.len() == 6 && fields[2] == "vandelay") {
                let words = ["mount", "-o", fields[3]].map(str::to_owned);
                check_mount_options(path, &words);
                assert!(fields[3].split(',').any(|option| option == "ro"), "{path}: {}", fields[3]);
                count += 1;
            }
        }
    }
    assert!(count >= 2, "{count} lines");
}

fn check_command_line(path: &str, line: &str) {
    let mut words: Vec<String> = Vec::new();
    let mut rest = line.split_whitespace().skip(1).peekable();
    let mut flags: Vec<(String, Option<String>)> = Vec::new();
    while let Some(word) = rest.next() {
        if word == "COMMAND" || word == "#" {
            break;
        }
        if word.starts_with('-') {
            let value = rest.peek().map(|next| (*next).to_owned());
            flags.push((word.split('=').next().unwrap_or_default().to_owned(), value));
            continue;
        }
        let mut longer = words.clone();
        longer.push(word.to_owned());
        if HELP.contains_key(&longer) {
            words = longer;
        }
    }
    let help = &HELP[&words];
    assert!(!words.is_empty() || line.contains("COMMAND"), "{path}: {line}: no such command");
    for (flag, value) in flags {
        if flag.contains('…') || flag == "--" {
            continue;
        }
        let is_known = help.lines().any(|line| {
            let head = line.trim_start().split("  ").next().unwrap_or_default();
            line.trim_start().starts_with('-')
                && head.split([',', ' ']).any(|name| name.trim_end_matches("...") == flag)
        });
        assert!(is_known, "{path}: {line}: 'vandelay {}' has no {flag}", words.join(" "));
        if flag == "-o" {
            for option in value.unwrap_or_default().split(',') {
                let name = option.split('=').next().unwrap_or_default();
                assert!(help.contains(name), "{path}: {line}: no mount option {name}");
            }
        }
    }
}

/// The names that the headings of a document have in links, as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    let mut is_code = false;
    for line in text.lines() {
        is_code ^= line.starts_with("```");
        let heading = line.trim_start_matches('#');
        if is_code || heading.len() == line.len() || !heading.starts_with(' ') {
            continue;
        }
        let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        anchors.insert(kept.collect::<String>().to_lowercase().replace(' ', "-"));
    }
    anchors
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut count = 0;
    for path in all_documents() {
        let text = document(path);
        for part in text.split("](").skip(1) {
            let link = part.split(')').next().unwrap_or_default();
            if link.contains("://") {
                continue;
            }
            let (target, anchor) = link.split_once('#').map_or((link, None), |(target, anchor)| (target, Some(anchor)));
            let file = match target {
                "" => root().join(path),
                _ => root().join(path).parent().expect("a directory").join(target),
            };
            assert!(file.exists(), "{path} links to {target}");
            if let Some(anchor) = anchor {
                let there = anchors(&fs::read_to_string(&file).expect("text"));
                assert!(there.contains(anchor), "{path} links to #{anchor} in {}: {there:?}", file.display());
            }
            count += 1;
        }
    }
    assert!(count >= 100, "{count} links");
}

/// A table: the cells of its head, and those of each row.
pub(crate) struct Rows {
    pub(crate) head: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

pub(crate) fn tables(text: &str) -> Vec<Rows> {
    let cells = |line: &str| -> Vec<String> {
        let line = line.replace("\\|", "\u{0}");
        line.trim_matches('|').split('|').map(|cell| cell.trim().replace('\u{0}', "|")).collect()
    };
    let mut tables: Vec<Rows> = Vec::new();
    let mut is_inside = false;
    for line in text.lines() {
        match (line.starts_with('|'), is_inside) {
            (true, false) => tables.push(Rows { head: cells(line), rows: Vec::new() }),
            (true, true) if !line.starts_with("|---") => {
                tables.last_mut().expect("a table").rows.push(cells(line));
            }
            _ => {}
        }
        is_inside = line.starts_with('|');
    }
    tables
}

/// The commands that can be typed, but for hidden ones.
fn leaves() -> Vec<String> {
    let is_leaf = |(words, help): &(&Vec<String>, &String)| {
        !words.is_empty() && **words != ["man"] && !help.contains("\nCommands:\n")
    };
    HELP.iter().filter(is_leaf).map(|(words, _)| words.join(" ")).collect()
}

/// An account that is not there is asked for: then the file has been read, and nothing is run.
#[test]
fn every_configuration_of_the_pages_is_read() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut count = 0;
    for page in PAGES {
        let text = document(page.path);
        for block in blocks(&text).into_iter().filter(|block| block.language == "toml") {
            let path = directory.path().join("config.toml");
            fs::write(&path, &block.text).expect("a configuration");
            let output =
                vandelay().args(["run", "--account", "nobody", "--config"]).arg(&path).output().expect("it starts");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(said.starts_with("error: the configuration has no account nobody"), "{}: {said}", page.path);
            count += 1;
        }
    }
    assert!(count >= 2, "{count} configurations");
}

/// The names of the flags in a command's help.
fn flags_of(command: &str) -> BTreeSet<String> {
    let words: Vec<String> = command.split(' ').map(str::to_owned).collect();
    let help = HELP.get(&words).unwrap_or_else(|| panic!("no command {command}"));
    let heads = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    let names = heads.flat_map(|line| line.split("  ").next().unwrap_or_default().split([',', ' ']));
    let names = names.map(|name| name.trim_end_matches("...").to_owned());
    // A dash alone is one of a text.
    names.filter(|name| name.starts_with('-') && name.len() > 1).collect()
}

#[test]
fn every_flag_stands_in_a_table_and_no_other() {
    let mut written: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for page in PAGES {
        for table in tables(&document(page.path)).iter().filter(|table| table.head[0].starts_with("flag")) {
            let head = &table.head[0];
            let commands: Vec<String> = match (quoted(head), head.as_str()) {
                (named, _) if !named.is_empty() => named.into_iter().map(str::to_owned).collect(),
                (_, "flag of every command") => leaves(),
                (_, "flag of every import") => {
                    leaves().into_iter().filter(|command| command.starts_with("import ")).collect()
                }
                _ => page.commands.iter().map(|command| (*command).to_owned()).collect(),
            };
            assert!(!commands.is_empty(), "{}: the table '{head}' names no command", page.path);
            for row in &table.rows {
                let flags: Vec<&str> = quoted(&row[0]).into_iter().filter_map(|code| code.split(' ').next()).collect();
                assert!(flags.iter().all(|flag| flag.starts_with('-')) && !flags.is_empty(), "{}: {row:?}", page.path);
                for (command, flag) in
                    commands.iter().flat_map(|command| flags.iter().map(move |flag| (command, *flag)))
                {
                    assert!(flags_of(command).contains(flag), "{}: '{command}' has no {flag}", page.path);
                    written.entry(command.clone()).or_default().insert(flag.to_owned());
                }
            }
        }
    }
    for command in leaves() {
        let missing: Vec<String> = flags_of(&command).difference(&written[&command]).cloned().collect();
        assert!(missing.is_empty(), "no page has a table with {missing:?} of '{command}'");
    }
}

/// Of an error that a page quotes, three words (or all, if it has fewer) stand one after the other in the sources, or in
/// what a page shows as the program's output.
#[test]
fn the_errors_of_the_pages_are_those_of_the_program() {
    fn read(directory: &Path, text: &mut String) {
        for entry in fs::read_dir(directory).expect("sources").flatten() {
            match entry.path() {
                path if path.is_dir() => read(&path, text),
                path if path.extension().is_some_and(|extension| extension == "rs") => {
                    let source = fs::read_to_string(path).expect("a source");
                    let code = source.lines().filter(|line| !line.trim_start().starts_with("//"));
                    code.for_each(|line| text.push_str(&format!("{line}\n")));
                }
                _ => {}
            }
        }
    }
    let mut sources = String::new();
    read(&root().join("src"), &mut sources);
    for page in PAGES {
        let text = document(page.path);
        let shown = blocks(&text).into_iter().filter(|block| block.language == "console").map(|block| block.text);
        sources.extend(shown);
    }
    let text = document(ERRORS);
    let mut count = 0;
    let quoted = text.lines().filter_map(|line| line.strip_prefix("> error: ").or(line.strip_prefix("> warning: ")));
    for error in quoted.filter(|line| !line.contains("os error")) {
        let words: Vec<&str> = error.split(' ').collect();
        let is_there = |part: &[&str]| sources.contains(&part.join(" "));
        assert!(words.windows(3.min(words.len())).any(is_there), "{ERRORS}: no error has these words: {error}");
        count += 1;
    }
    assert!(count >= 20, "{count} errors");
}

#[test]
fn every_mount_option_of_the_page_is_taken() {
    let text = document(MOUNT_OPTIONS);
    let rows = text.split("| option | what |").nth(1).expect("the table");
    let help = &HELP[&vec!["mount".to_owned()]];
    let options: Vec<&str> = rows
        .lines()
        .skip(1)
        .take_while(|line| line.is_empty() || line.starts_with('|'))
        .flat_map(|row| quoted(row.split('|').nth(1).unwrap_or("")))
        .collect();
    assert!(options.len() >= 8, "{options:?}");
    for option in options {
        let name = option.split('=').next().unwrap_or_default();
        assert!(help.contains(name), "{option}");
    }
}

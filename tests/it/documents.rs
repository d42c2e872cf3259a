//! The documents say what is true: their examples are run, their tables compared with the program, their command lines
//! parsed. `UPDATE_GOLDEN=1` rewrites the golden help text.

use crate::common;
use crate::common::{Mounted, ok, vandelay};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use vandelay::error::Kind;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn document(path: &str) -> String {
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
fn quoted(text: &str) -> Vec<&str> {
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
fn the_tour_is_as_written() {
    if !Path::new("/dev/fuse").exists() {
        return common::skip("there is no /dev/fuse");
    }
    let directory = tempfile::tempdir().expect("a directory");
    copy(&root().join("examples"), &directory.path().join("examples"));
    let text = document("README.md");
    let mut count = 0;
    let mut wrong = String::new();
    for example in blocks(&text).iter().filter(|block| block.language == "console").flat_map(examples) {
        let said = shell(&example.command, directory.path());
        if said != example.output {
            wrong.push_str(&format!("README.md, line {}: {}\n{said}", example.line, example.command));
        }
        count += 1;
    }
    let _ = vandelay().arg("umount").arg("--lazy").arg(directory.path().join("mnt")).output();
    assert!(wrong.is_empty(), "{wrong}");
    assert!(count >= 12, "{count} examples");
}

#[test]
fn exit_codes_are_those_of_the_table() {
    let all = [
        Kind::Usage,
        Kind::Connection,
        Kind::Account,
        Kind::SourceChanged,
        Kind::Partial,
        Kind::Declined,
        Kind::Storage,
        Kind::Damaged,
        Kind::Guard,
        Kind::NoArchive,
        Kind::Locked,
        Kind::Credentials,
        Kind::Interrupted,
        Kind::NotFound,
        Kind::NotADirectory,
        Kind::IsADirectory,
        Kind::Unreadable,
        Kind::Forgotten,
    ];
    // A new kind must be added above: this match does not compile without it.
    for kind in all {
        match kind {
            Kind::Usage | Kind::Connection | Kind::Account | Kind::SourceChanged | Kind::Partial => {}
            Kind::Declined | Kind::Storage | Kind::Damaged | Kind::Guard | Kind::NoArchive | Kind::Locked => {}
            Kind::Credentials | Kind::Interrupted | Kind::NotFound | Kind::NotADirectory => {}
            Kind::IsADirectory | Kind::Unreadable | Kind::Forgotten => {}
        }
    }
    let text = document("README.md");
    let section = text.split("## Exit codes").nth(1).expect("the section").split("\n## ").next().unwrap_or_default();
    let mut written: BTreeMap<String, u8> = BTreeMap::new();
    for row in section.lines().filter(|line| line.starts_with("| ")) {
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
                todo.push(words.iter().cloned().chain([name]).collect());
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
fn golden(path: &str, text: &str) {
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

/// Every command line of a document that begins with `vandelay`: in blocks, and between backquotes.
fn command_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for block in blocks(text).iter().filter(|block| ["console", "sh", "ini"].contains(&block.language.as_str())) {
        for line in block.text.lines() {
            for part in line.split("&&") {
                if let Some(at) = part.find("vandelay ") {
                    let is_command =
                        part[..at].chars().all(|c| "$ \t*/0123456789".contains(c)) || part[..at].ends_with('=');
                    lines.extend(is_command.then(|| part[at..].to_owned()));
                }
            }
        }
    }
    let mut is_code = false;
    for line in text.lines() {
        is_code ^= line.starts_with("```");
        if !is_code {
            lines.extend(quoted(line).into_iter().filter(|code| code.starts_with("vandelay ")).map(str::to_owned));
        }
    }
    lines
}

#[test]
fn every_command_line_can_be_typed() {
    let documents = ["README.md", "CHANGELOG.md", "docs/limits.md", "src/archive/FORMAT.md", "src/tree/LAYOUT.md"];
    let mut count = 0;
    for path in documents {
        for line in command_lines(&document(path)) {
            // What the holder of a lock is called is no command line.
            if line.contains("(pid") || line.starts_with("vandelay 2.") {
                continue;
            }
            count += 1;
            check_command_line(path, &line);
        }
    }
    assert!(count >= 40, "{count} command lines");
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

#[test]
fn links_between_documents_lead_somewhere() {
    for path in ["README.md", "CHANGELOG.md", "docs/limits.md", "docs/benchmarks.md"] {
        let text = document(path);
        for part in text.split("](").skip(1) {
            let target = part.split([')', '#']).next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let base = root().join(path);
            let file = base.parent().expect("a directory").join(target);
            assert!(file.exists(), "{path} links to {target}");
        }
    }
}

#[test]
fn every_mount_option_of_the_readme_is_taken() {
    let text = document("README.md");
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

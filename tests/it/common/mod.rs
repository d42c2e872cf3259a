//! What the tests share: running the program, temporary Maildirs, and the rule that a skipped test fails in CI.

pub(crate) mod account;
pub(crate) mod corpora;
pub(crate) mod cyrus;
pub(crate) mod dav;
pub(crate) mod dav_account;
pub(crate) mod dav_servers;
pub(crate) mod dovecot;
pub(crate) mod export_target;
pub(crate) mod fake;
pub(crate) mod fake_cloud;
pub(crate) mod fake_dav;
pub(crate) mod fake_dns;
pub(crate) mod fake_imap;
pub(crate) mod fake_imap_write;
pub(crate) mod fake_sieve;
pub(crate) mod held;
pub(crate) mod imap;
pub(crate) mod imap_place;
pub(crate) mod jmap;
pub(crate) mod jmap_account;
pub(crate) mod jmap_run;
pub(crate) mod mailboxes;
pub(crate) mod mox;
pub(crate) mod relay;
pub(crate) mod servers;
pub(crate) mod terminal;
pub(crate) mod v1;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

/// The built program.
pub(crate) fn vandelay() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vandelay"));
    command.env_remove("VANDELAY_MOUNT_STAYS").env("TZ", "UTC");
    for variable in ["COLUMNS", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "PAGER", "VANDELAY_PAGER", "LESS"] {
        command.env_remove(variable);
    }
    command
}

/// The tokens of the types that 1.x knows.
pub(crate) const TYPES: [&str; 10] = [
    "mailbox",
    "email",
    "identity",
    "sievescript",
    "addressbook",
    "contactcard",
    "calendar",
    "calendarevent",
    "participantidentity",
    "filenode",
];

/// `-v`, with which an import says the sums of each type on one line, unless a test says how loud it is to be.
pub(crate) fn with_sums(arguments: &[&str]) -> &'static [&'static str] {
    let is_said = arguments.iter().any(|one| one.starts_with("-v") || ["-q", "--quiet", "--json"].contains(one));
    if is_said { &[] } else { &["-v"] }
}

/// Runs the program and gives its output, whatever it is.
pub(crate) fn run(arguments: &[&str]) -> Output {
    vandelay().args(arguments).output().expect("the program starts")
}

/// Runs the program, which must succeed, and gives its standard output.
pub(crate) fn ok(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs the program, which must end with this code, and gives its standard error.
pub(crate) fn fails(arguments: &[&str], code: i32) -> String {
    let output = run(arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    said
}

/// The objects of a list in JSON. Behind them a summary says how many they are.
pub(crate) fn listed(arguments: &[&str]) -> Vec<serde_json::Value> {
    let text = ok(&[arguments, &["--json"]].concat());
    let mut lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let summary = lines.pop().unwrap_or_default();
    assert_eq!(
        (&summary["message_type"], &summary["count"]),
        (&"summary".into(), &lines.len().into()),
        "{arguments:?}"
    );
    lines
}

/// The last line of the program's output as JSON.
pub(crate) fn json(arguments: &[&str]) -> serde_json::Value {
    let text = ok(arguments);
    serde_json::from_str(text.lines().last().expect("a line")).expect("JSON")
}

/// Runs a program, what it prints going to `out`; gives its exit code and the most memory that it held in bytes.
pub(crate) fn measured(command: &mut Command, out: &mut dyn std::io::Write) -> (Option<i32>, u64) {
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().expect("it starts");
    let status = format!("/proc/{}/status", child.id());
    // What wait4(2) says would hold the memory of the test, too, from which the program is forked.
    let watch = std::thread::spawn(move || {
        let mut peak = 0;
        while let Some(line) = std::fs::read_to_string(&status)
            .ok()
            .and_then(|text| text.lines().find_map(|line| line.strip_prefix("VmHWM:").map(str::to_owned)))
        {
            peak = line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10;
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        peak
    });
    std::io::copy(child.stdout.as_mut().expect("a pipe"), out).expect("its output");
    let code = child.wait().expect("it ends").code();
    (code, watch.join().expect("a thread"))
}

/// True in a process that runs only this test; else that process is started, and the test must pass there. For what is
/// counted of the test's own process, whose memory all tests share.
pub(crate) fn is_alone(test: &str) -> bool {
    const ALONE: &str = "VANDELAY_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let mut command = Command::new(std::env::current_exe().expect("a path"));
    let output = command.args(["--exact", "--nocapture", test]).env(ALONE, "1").output().expect("the tests start");
    let said = String::from_utf8_lossy(&output.stdout);
    let passed = output.status.success() && said.contains("test result: ok. 1 passed");
    assert!(passed, "{test}: {said}{}", String::from_utf8_lossy(&output.stderr));
    false
}

/// Says that a test cannot run here. With VANDELAY_NO_SKIP set, as in CI, that is a failure.
pub(crate) fn skip(why: &str) {
    assert!(std::env::var_os("VANDELAY_NO_SKIP").is_none(), "must not be skipped: {why}");
    eprintln!("skipped: {why}");
}

/// True if a program is installed; else the test has to be skipped.
pub(crate) fn has(program: &str) -> bool {
    let found = Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .output()
        .is_ok_and(|output| output.status.success());
    if !found {
        skip(&format!("{program} is not installed"));
    }
    found
}

/// Writes a message into a Maildir folder, which is made if it is missing. Gives its path.
pub(crate) fn deliver(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    for part in ["cur", "new", "tmp"] {
        std::fs::create_dir_all(folder.join(part)).expect("a folder");
    }
    let path = folder.join("cur").join(name);
    std::fs::write(&path, bytes).expect("a message");
    path
}

/// A small message with this number.
pub(crate) fn message(number: u32) -> Vec<u8> {
    format!(
        "From: a{number}@example.org\r\nTo: b@example.org\r\nSubject: number {number}\r\nMessage-ID: <{number}@example.org>\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\n\r\nbody {number}\r\n"
    )
    .into_bytes()
}

/// A mounted archive; unmounted on drop, whatever happens.
pub(crate) struct Mounted {
    pub at: PathBuf,
}

impl Mounted {
    /// Mounts an archive at a new directory `at`.
    pub(crate) fn new(archive: &Path, at: &Path, options: &[&str]) -> Option<Mounted> {
        if !Path::new("/dev/fuse").exists() {
            skip("there is no /dev/fuse");
            return None;
        }
        std::fs::create_dir_all(at).expect("a mountpoint");
        let output = vandelay().arg("mount").arg(archive).arg(at).args(options).output().expect("the program starts");
        assert!(output.status.success(), "mount: {}", String::from_utf8_lossy(&output.stderr));
        Some(Mounted { at: at.to_owned() })
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = vandelay().arg("umount").arg("--lazy").arg(&self.at).output();
    }
}

/// A Maildir of `count` messages of about `size` bytes: two thirds in its root, the rest in two folders.
pub(crate) fn maildir(at: &Path, count: u32, size: usize) -> PathBuf {
    for number in 0..count {
        let folder = match number % 6 {
            4 => at.join(".Work"),
            5 => at.join(".Work.Old & done"),
            _ => at.to_owned(),
        };
        let mut bytes = message(number);
        while bytes.len() < size {
            bytes.extend_from_slice(&filler(u64::from(number) << 20 | bytes.len() as u64));
        }
        deliver(
            &folder,
            &format!("{}.M{number}P1.host:2,{}", 1_600_000_000 + number, ["", "S", "FS"][number as usize % 3]),
            &bytes,
        );
    }
    at.to_owned()
}

/// A line of 64 letters that no other number has.
pub(crate) fn filler(number: u64) -> Vec<u8> {
    let mut line = blake3::hash(&number.to_le_bytes()).to_hex().as_bytes()[..62].to_vec();
    line.extend_from_slice(b"\r\n");
    line
}

/// Numbers that look random and are the same at every run (SplitMix64).
pub(crate) struct Dice(pub u64);

impl Dice {
    /// The next number.
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.roll() % bound as u64) as usize
    }
}

/// True where the long versions of tests are wanted.
pub(crate) fn soak() -> bool {
    std::env::var_os("VANDELAY_SOAK").is_some()
}

/// The tables of Vandelay 1.x that hold an account.
pub(crate) const CONTENT: [&str; 10] = [
    "mailboxes",
    "emails",
    "identities",
    "sieve_scripts",
    "address_books",
    "contact_cards",
    "calendars",
    "calendar_events",
    "participant_identities",
    "file_nodes",
];

/// Every row of the content tables, blobs by their hash: equal text means equal content.
pub(crate) fn dump(archive: &Path) -> String {
    let conn = rusqlite::Connection::open(archive).expect("the archive opens");
    let mut text = String::new();
    for table in CONTENT {
        let mut statement = conn.prepare(&format!("SELECT * FROM {table} ORDER BY id")).expect("a table");
        let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let mut rows = statement.query([]).expect("rows");
        while let Some(row) = rows.next().expect("a row") {
            text.push_str(table);
            for (at, column) in columns.iter().enumerate() {
                let value: rusqlite::types::Value = row.get(at).expect("a value");
                text.push_str(&match (column.as_str(), value) {
                    ("blob_id", rusqlite::types::Value::Integer(blob)) => format!(" {}", blob_hash(&conn, blob)),
                    (_, value) => format!(" {value:?}"),
                });
            }
            text.push('\n');
        }
    }
    text
}

fn blob_hash(conn: &rusqlite::Connection, blob: i64) -> String {
    let hash: Vec<u8> =
        conn.query_row("SELECT hash FROM blobs WHERE id = ?1", [blob], |row| row.get(0)).expect("a blob");
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// All files of a tree with their bytes, by path; directories end with `/` and have none. Links are their targets.
pub(crate) fn tree(archive: &Path, at: &str) -> BTreeMap<String, Vec<u8>> {
    use vandelay::tree::FileType;
    use vandelay::tree::walk;
    use vandelay::tree::{Tree, TreeOptions};
    let reader = Arc::new(vandelay::archive::Reader::open(archive).expect("an archive"));
    let options = TreeOptions { at: at.parse().expect("a moment"), ..TreeOptions::default() };
    let tree = Tree::open(reader, options).expect("a tree");
    let mut found = BTreeMap::new();
    walk::walk(&tree, tree.resolve("").expect("a root"), |step| {
        let node = step.child.node;
        let (name, bytes) = match step.child.file_type {
            FileType::Directory => (format!("{}/", step.path), Vec::new()),
            FileType::Link => (step.path.to_owned(), tree.read_link(node)?.into_bytes()),
            FileType::File => (step.path.to_owned(), tree.read(node, 0, 1 << 24)?.to_vec()),
        };
        assert!(found.insert(name, bytes).is_none(), "{} is listed once", step.path);
        Ok(true)
    })
    .expect("the tree can be walked");
    found
}

/// Everything that lies in a directory, with mode, size and digest: equal text means that nobody touched it.
pub(crate) fn listing(directory: &Path) -> String {
    let mut lines: Vec<String> = std::fs::read_dir(directory)
        .expect("a directory")
        .map(|entry| {
            let entry = entry.expect("an entry");
            let meta = entry.metadata().expect("its metadata");
            let hash = if meta.is_file() { digest(&entry.path()) } else { String::new() };
            format!(
                "{:?} {:o} {} {hash} {:?}",
                entry.file_name(),
                std::os::unix::fs::PermissionsExt::mode(&meta.permissions()),
                meta.len(),
                meta.modified().ok()
            )
        })
        .collect();
    lines.sort();
    lines.join("\n")
}

/// The digest of a file.
pub(crate) fn digest(path: &Path) -> String {
    let mut hasher = blake3::Hasher::new();
    std::io::copy(&mut std::fs::File::open(path).expect("a file"), &mut hasher).expect("it can be read");
    hasher.finalize().to_hex().to_string()
}

/// A tmpfs of its own; unmounted on drop. `None` where that is not allowed.
pub(crate) struct Tmpfs {
    pub at: PathBuf,
}

impl Tmpfs {
    /// Mounts one with these options, e.g. `size=4m`.
    pub(crate) fn new(at: &Path, options: &str) -> Option<Tmpfs> {
        std::fs::create_dir_all(at).expect("a mountpoint");
        let output =
            Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at).output().expect("mount runs");
        if !output.status.success() {
            skip(&format!("a tmpfs cannot be mounted: {}", String::from_utf8_lossy(&output.stderr)));
            return None;
        }
        Some(Tmpfs { at: at.to_owned() })
    }

    /// Mounts it again with other options, e.g. `ro`.
    pub(crate) fn remount(&self, options: &str) {
        // A child that another test just forked holds our files open until it becomes its program.
        for _ in 0..50 {
            let status = Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(&self.at).status();
            if status.expect("mount runs").success() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        panic!("remount,{options} of {}", self.at.display());
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.at).output();
    }
}

/// Fails if the program panicked or died from a signal; gives its exit code.
pub(crate) fn calm(output: &Output, what: &str) -> i32 {
    let said = String::from_utf8_lossy(&output.stderr);
    let code = output.status.code().unwrap_or_else(|| panic!("{what}: {}: {said}", output.status));
    assert!(code != 101 && !said.contains("panicked"), "{what}: {said}");
    code
}

/// What the notes about mailboxes say must be what the index of messages adds up to.
pub(crate) fn mailbox_notes_are_true(archive: &Path) {
    let conn = rusqlite::Connection::open(archive).expect("the archive opens");
    let wrong: Vec<String> = conn
        .prepare(
            "SELECT mailbox_id, emails, bytes, newest, (SELECT count(*) FROM email_index i WHERE i.mailbox_id = s.mailbox_id AND last IS NULL) AS n
             FROM mailbox_state s WHERE emails <> n
             OR bytes <> (SELECT coalesce(sum(size), 0) FROM email_index i WHERE i.mailbox_id = s.mailbox_id AND last IS NULL)
             OR newest <> (SELECT coalesce(max(received), 0) FROM email_index i WHERE i.mailbox_id = s.mailbox_id AND last IS NULL)
             UNION ALL SELECT DISTINCT mailbox_id, -1, -1, -1, -1 FROM email_index WHERE mailbox_id NOT IN (SELECT mailbox_id FROM mailbox_state)",
        )
        .and_then(|mut statement| {
            statement
                .query_map([], |row| {
                    Ok(format!("mailbox {}: {} messages noted, {} there", row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(4)?))
                })?
                .collect()
        })
        .expect("the notes can be read");
    assert_eq!(wrong, [] as [String; 0], "mailbox_state of {}", archive.display());
}

/// Adds `row_digest(…)` to a connection, as FORMAT.md describes it ("What proves a row").
pub(crate) fn add_row_digest(conn: &rusqlite::Connection) {
    use rusqlite::functions::FunctionFlags;
    use rusqlite::types::ValueRef;
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    let function = conn.create_scalar_function("row_digest", -1, flags, |context| {
        let mut text = Vec::new();
        for at in 0..context.len() {
            let (kind, bytes) = match context.get_raw(at) {
                ValueRef::Null => (0, Vec::new()),
                ValueRef::Integer(number) => (1, number.to_le_bytes().to_vec()),
                ValueRef::Real(number) => (2, number.to_le_bytes().to_vec()),
                ValueRef::Text(text) => (3, text.to_vec()),
                ValueRef::Blob(blob) => (4, blob.to_vec()),
            };
            text.push(kind);
            text.extend((bytes.len() as u64).to_le_bytes());
            text.extend(bytes);
        }
        Ok(blake3::hash(&text).as_bytes()[..16].to_vec())
    });
    function.expect("a function");
}

/// Writes the digests of all snapshots anew, after a test gave them other times.
pub(crate) fn digest_snapshots(conn: &rusqlite::Connection) {
    add_row_digest(conn);
    conn.execute_batch(
        "INSERT OR REPLACE INTO row_digests (kind, id, digest)
         SELECT 'snapshots', id, row_digest('snapshots', id, source_id, started, ended, state, program, report) FROM snapshots;
         INSERT OR REPLACE INTO row_digests (kind, id, digest)
         SELECT 'sqlite_sequence', 1, row_digest('sqlite_sequence', count(*), min(seq)) FROM sqlite_sequence WHERE name = 'snapshots'",
    )
    .expect("digests");
}

/// Sets the ends of the snapshots, which are all of today, to these times.
pub(crate) fn set_ends(archive: &Path, ends: &[(i64, &str)]) {
    let conn = rusqlite::Connection::open(archive).expect("it opens");
    for (id, end) in ends {
        conn.execute("UPDATE snapshots SET started = ?2, ended = ?2 WHERE id = ?1", rusqlite::params![id, end])
            .expect("an end");
    }
    digest_snapshots(&conn);
}

/// The library that makes reads and writes fail. `None` where there is no C compiler.
pub(crate) fn faulty() -> Option<&'static Path> {
    static BUILT: std::sync::OnceLock<Option<(tempfile::TempDir, PathBuf)>> = std::sync::OnceLock::new();
    BUILT
        .get_or_init(|| {
            if !has("cc") {
                return None;
            }
            let dir = tempfile::tempdir().expect("a directory");
            let library = dir.path().join("fault.so");
            let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/common/fault.c");
            let status = Command::new("cc")
                .args(["-shared", "-fPIC", "-O1", "-o"])
                .arg(&library)
                .arg(source)
                .arg("-ldl")
                .status();
            assert!(status.expect("cc runs").success());
            Some((dir, library))
        })
        .as_ref()
        .map(|(_, library)| library.as_path())
}

//! An IMAP server of a test beside an archive that is imported from it.

use super::fake_imap::{FakeImap, Mail, Mailbox, mail};
use super::{mailbox_notes_are_true, message, ok, tree, vandelay, with_sums};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The password, which nothing that is said may hold.
pub(crate) const SECRET: &str = "correct horse battery";

/// A server, and a directory in which its archive lies.
pub(crate) struct Place {
    pub server: FakeImap,
    pub dir: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new(capabilities: &str, boxes: Vec<Mailbox>) -> Place {
        Place { server: FakeImap::start(capabilities, boxes), dir: tempfile::tempdir().expect("a directory") }
    }

    pub(crate) fn archive(&self) -> PathBuf {
        self.dir.path().join("alice.sqlite")
    }

    pub(crate) fn url(&self) -> String {
        format!("imap://127.0.0.1:{}", self.server.port)
    }

    /// An import by nobody in particular.
    pub(crate) fn bare(&self, url: &str, arguments: &[&str]) -> Command {
        let mut command = vandelay();
        command.args(["import", "imap", "--allow-cleartext", "--url", url]).args(with_sums(arguments));
        command.args(arguments).arg(self.archive());
        command.env("VANDELAY_PASSWORD", SECRET).stdin(Stdio::null());
        command
    }

    /// An import by alice.
    pub(crate) fn command(&self, url: &str, arguments: &[&str]) -> Command {
        self.bare(url, &[&["--auth-basic", "alice"], arguments].concat())
    }

    /// Imports, which must end with this code; gives what was said.
    pub(crate) fn import(&self, arguments: &[&str], code: i32) -> String {
        self.import_from(&self.url(), arguments, code)
    }

    pub(crate) fn import_from(&self, url: &str, arguments: &[&str], code: i32) -> String {
        self.ends(self.command(url, arguments), code)
    }

    /// Runs an import, which must end with this code and leave the archive sound; gives what was said.
    pub(crate) fn ends(&self, mut command: Command, code: i32) -> String {
        let output = command.output().expect("the program starts");
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(!said.contains(SECRET) && !said.contains("panicked") && !said.contains("docs.rs"), "{said}");
        if self.archive().exists() {
            ok(&["verify", self.archive().to_str().expect("UTF-8")]);
            mailbox_notes_are_true(&self.archive());
        }
        said
    }

    /// Messages by the mailbox (its path in the tree) at a snapshot.
    pub(crate) fn messages(&self, at: &str) -> BTreeMap<String, Vec<Vec<u8>>> {
        let mut found: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
        for (path, bytes) in tree(&self.archive(), at) {
            if let Some((folder, name)) = path.strip_prefix("mail/").and_then(|path| path.split_once("/cur/"))
                && !name.is_empty()
            {
                found.entry(folder.to_owned()).or_default().push(bytes);
            }
        }
        found.values_mut().for_each(|mails| mails.sort());
        found
    }

    /// How many messages a mailbox holds now.
    pub(crate) fn count(&self, folder: &str) -> usize {
        self.messages("latest").get(folder).map_or(0, Vec::len)
    }

    /// The answer to a question to the archive.
    pub(crate) fn sql<T: rusqlite::types::FromSql>(&self, sql: &str) -> T {
        let conn = rusqlite::Connection::open(self.archive()).expect("the archive opens");
        conn.query_row(sql, [], |row| row.get(0)).expect("an answer")
    }

    /// How many rows a table of the archive has.
    pub(crate) fn rows(&self, table: &str) -> u32 {
        self.sql(&format!("SELECT count(*) FROM {table}"))
    }
}

/// Messages with these numbers, which are their UIDs too.
pub(crate) fn mails(numbers: std::ops::RangeInclusive<u32>) -> Vec<Mail> {
    numbers.map(|number| mail(number, &message(number))).collect()
}

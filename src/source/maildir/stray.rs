//! What lies beside mailboxes: files that mail programs leave, and mail that is no Maildir. Each is named, with what it is
//! and what to do.

use crate::format::looks::{self, Looks};
use crate::format::maildir::escape;
use crate::held;
use crate::model::{ObjectType, SkipKind, SkippedItem};
use crate::source::unpack::Packing;
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Files of one directory whose first bytes are read; the others are only counted.
const FILES: usize = 1_000;
/// And those of a whole tree.
pub(super) const BUDGET: usize = 20_000;
/// Directory entries and first bytes that a search in a hidden directory looks at.
const SEARCH_ENTRIES: usize = 20_000;
/// And the entries that all searches in a tree, or in a folder, look at together.
pub(super) const SEARCH_BUDGET: usize = 100_000;
const SEARCH_HEADS: usize = 1_000;

/// The reasons that go with what looks like mail: what it is, and what to do.
const MBOX: &str = "an mbox file: import it with \"vandelay import takeout\"";
const PACKED_MBOX: &str = "a packed mbox file: import it with \"vandelay import mbox\"";
const MESSAGE: &str = "a message outside of cur and new: move it into cur";
const APPLE_MESSAGE: &str = "a message of Apple Mail: import it with \"vandelay import takeout\"";
const PACKED_MESSAGE: &str = "a packed message outside of cur and new: move it into cur";
const MH: &str = "an MH folder: import it with \"vandelay import takeout\"";
const NAMED_LIKE_MAIL: &str = "named like mail, and not understood";
const HIDDEN_MAIL: &str = "a hidden directory with mail in it: import it by itself, or leave it out with --exclude";

/// Something that lies outside of every mailbox.
#[derive(Debug, Clone)]
pub(super) struct Stray {
    /// The name that a filter of folders goes by.
    pub key: String,
    pub omission: SkippedItem,
}

/// Files that programs keep beside mail, and that hold none: whole names, beginnings, ends.
const NAMES: [&[u8]; 42] = [
    b"subscriptions",
    b".subscriptions",
    b"maildirfolder",
    b"maildirsize",
    b"maildirquota",
    b".uidvalidity",
    b".mbsyncstate",
    b".isyncuidmap.db",
    b".mailfilter",
    b".customflags",
    b".uidcache",
    b"courierimapuiddb",
    b"courierimapkeywords",
    b"courierimaphieracl",
    b"courierimapsubscribed",
    b"courierimapacl",
    b"courierpop3dsizelist",
    b"courierpop3dsizelist.lock",
    b"shared-maildirs",
    b"shared-timestamp",
    b"..maildir++",
    b"..cmeta",
    b"folders.db",
    b"folder-tree.cache",
    b"foldersort.dat",
    b"filterlog.html",
    b"msgFilterRules.dat",
    b"popstate.dat",
    b".mh_sequences",
    b".mh_profile",
    b".xmhcache",
    b".overview",
    b".marks",
    b".agentview",
    b".nov",
    b".noindex",
    b".noupdate",
    b".DS_Store",
    b".directory",
    b"Thumbs.db",
    b"desktop.ini",
    b".stignore",
];
const BEGINNINGS: [&[u8]; 11] = [
    b"dovecot",
    b".dovecot",
    b".mbsyncstate.",
    b"courierpop3dsizelist",
    b".sylpheed_",
    b".claws_",
    b".nfs",
    b"._",
    b".#",
    b".syncthing.",
    b"~syncthing~",
];
const ENDS: [&[u8]; 10] = [
    b".lock",
    b".msf",
    b".cmeta",
    b".ev-summary",
    b".ev-summary-meta",
    b".ibex.index",
    b".ibex.index.data",
    b".index",
    b".index.ids",
    b".index.sorted",
];
/// Directories that programs keep beside mail, and that hold none.
const DIRECTORIES: [&[u8]; 28] = [
    b"courierimapkeywords",
    b"courierimaphieracl",
    b".git",
    b".hg",
    b".svn",
    b".bzr",
    b".jj",
    b".notmuch",
    b".mu",
    b".mairix",
    b".namazu",
    b".nnmaildir",
    b".imap",
    b".indexes",
    b".cache",
    b".mbsync",
    b".isync",
    b".offlineimap",
    b".getmail",
    b".gnupg",
    b".stfolder",
    b".dropbox.cache",
    b".fseventsd",
    b".Spotlight-V100",
    b".AppleDouble",
    b"@eaDir",
    b"$RECYCLE.BIN",
    b"System Volume Information",
];
/// Directories in which file systems and programs keep older copies of what lies beside them.
const COPIES: [&[u8]; 8] = [
    b".snapshot",
    b".snapshots",
    b"#snapshot",
    b".zfs",
    b".stversions",
    b"#recycle",
    b".Trashes",
    b".DocumentRevisions-V100",
];
/// Names of files that hold mail, by their ends.
const MAIL_NAMES: [&[u8]; 9] = [b".mbox", b".mbx", b".eml", b".emlx", b".msg", b".pst", b".ost", b".dbx", b".olm"];

/// True for a file that a mail program or a file manager keeps beside mail.
pub(super) fn is_by_product(name: &[u8]) -> bool {
    NAMES.contains(&name)
        || BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
        || ENDS.iter().any(|end| name.ends_with(end))
}

/// True for a file that this program reads, or whose being there is all it says.
pub(super) fn is_read(name: &[u8]) -> bool {
    matches!(name, b"subscriptions" | b"dovecot-keywords" | b"maildirfolder")
}

/// Why a directory that is no mailbox is not entered, if its name says it.
pub(super) fn known_directory(name: &[u8]) -> Option<(SkipKind, &'static str)> {
    if DIRECTORIES.contains(&name) {
        return Some((SkipKind::ByProduct, "left by programs"));
    }
    let is_copy = COPIES.contains(&name) || name.starts_with(b".Trash-");
    is_copy.then_some((SkipKind::Skipped, "older copies of files"))
}

/// The files of one directory that lie outside of every mailbox.
pub(super) struct Strays<'a> {
    /// The directory, and as it is shown: with a slash at its end, or empty.
    pub path: &'a Path,
    pub shown: String,
    /// The key of the folder that it is, with a slash at its end, or empty.
    pub key: String,
    pub found: &'a mut Vec<Stray>,
    /// How many more files of the tree may be looked at.
    pub budget: &'a mut usize,
}

impl Strays<'_> {
    /// Says what each file is. `names` are those of all that is no directory.
    pub(super) fn tell(&mut self, names: &[Vec<u8>]) {
        let mut numbered = 0;
        let mut looked_at = 0;
        let mut left = 0;
        for name in names {
            if is_read(name) {
                continue;
            }
            if is_by_product(name) {
                self.add(name, ObjectType::FileNode, SkipKind::ByProduct, "left by programs");
                continue;
            }
            let is_number = name.iter().all(u8::is_ascii_digit);
            if looked_at == FILES || *self.budget == 0 {
                // By then the first files have shown that it is an MH folder.
                if is_number && numbered > 0 {
                    numbered += 1
                } else {
                    left += 1
                }
                continue;
            }
            looked_at += 1;
            *self.budget -= 1;
            let (kind, outcome, reason) = judge(&self.path.join(OsStr::from_bytes(name)), is_number);
            if is_number && reason == MESSAGE {
                numbered += 1;
            } else {
                self.add(name, kind, outcome, &reason);
            }
        }
        if numbered > 0 {
            let shown = self.shown.strip_suffix('/').unwrap_or(".").to_owned();
            let messages = if numbered == 1 { "1 message".to_owned() } else { format!("{numbered} messages") };
            self.push(b"", ObjectType::Mailbox, SkipKind::NotUnderstood, MH, format!("{shown} ({messages})"));
        }
        if left > 0 {
            let position = format!("{} ({left} files)", self.shown);
            self.push(b"", ObjectType::FileNode, SkipKind::Skipped, "too many files to look at each", position);
        }
    }

    fn add(&mut self, name: &[u8], kind: ObjectType, outcome: SkipKind, reason: &str) {
        let position = format!("{}{}", self.shown, escape(name));
        self.push(name, kind, outcome, reason, position);
    }

    fn push(&mut self, name: &[u8], kind: ObjectType, outcome: SkipKind, reason: &str, position: String) {
        let key = format!("{}{}", self.key, escape(name));
        let key = key.trim_end_matches('/').to_owned();
        let omission = SkippedItem { kind, reason: reason.to_owned(), position, outcome };
        self.found.push(Stray { key, omission });
    }
}

/// An archive in the folder that is imported into it.
const IN_USE: &str = "the archive itself";

/// Judges a file that lies outside of every mailbox. In an MH folder the names are numbers.
fn judge(path: &Path, is_number: bool) -> (ObjectType, SkipKind, String) {
    let unknown = |reason: &str| (ObjectType::Email, SkipKind::NotUnderstood, reason.to_owned());
    let lower = path.as_os_str().as_bytes().to_ascii_lowercase();
    let is_named_like_mail = MAIL_NAMES.iter().any(|end| lower.ends_with(end));
    let skipped = |reason: &str| match is_named_like_mail {
        true => unknown(NAMED_LIKE_MAIL),
        false => (ObjectType::FileNode, SkipKind::Skipped, reason.to_owned()),
    };
    if held::is_held(path) {
        return (ObjectType::FileNode, SkipKind::ByProduct, IN_USE.to_owned());
    }
    let head = match head_of(path) {
        Ok(Some(head)) => head,
        Ok(None) => return skipped("not a regular file"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return skipped("a link that leads nowhere"),
        Err(error) => return unknown(&format!("cannot be read: {error}")),
    };
    match Looks::of(&head) {
        Looks::Mbox => unknown(MBOX),
        Looks::Message if is_number || is_named_like_mail || Looks::is_surely_message(&head) => unknown(MESSAGE),
        Looks::AppleMessage => unknown(APPLE_MESSAGE),
        Looks::Store(what) => unknown(&format!("{what}: convert it to a Maildir or to mbox first")),
        Looks::Wrapped(what) => match unpacked_head(path, &head).map(|inner| (Looks::of(&inner), inner)) {
            Some((Looks::Mbox, _)) => unknown(PACKED_MBOX),
            Some((Looks::Message, inner)) if Looks::is_surely_message(&inner) => unknown(PACKED_MESSAGE),
            _ => skipped(what),
        },
        Looks::Empty => (ObjectType::FileNode, SkipKind::ByProduct, "empty".to_owned()),
        Looks::Message | Looks::Text | Looks::Binary => skipped("not mail"),
    }
}

/// Judges a directory that is no mailbox and is not entered, by whether there is mail in it.
pub(super) fn judge_directory(path: &Path, budget: &mut usize) -> (SkipKind, &'static str) {
    match search(path, budget) {
        Ok(Some(true)) => (SkipKind::NotUnderstood, HIDDEN_MAIL),
        Ok(Some(false)) => (SkipKind::ByProduct, "without mail"),
        Ok(None) => (SkipKind::Skipped, "too large to be searched for mail"),
        Err(_) => (SkipKind::Skipped, "cannot be read"),
    }
}

/// Whether there is mail in a directory or below it, without following links. `None` if that is too much to look at.
fn search(path: &Path, budget: &mut usize) -> io::Result<Option<bool>> {
    let mut queue = VecDeque::from([PathBuf::from(path)]);
    let (mut entries, mut heads) = (0, 0);
    let mut is_root = true;
    while let Some(directory) = queue.pop_front() {
        let listing = match fs::read_dir(&directory) {
            Ok(listing) => listing,
            Err(error) if is_root => return Err(error),
            Err(_) => continue,
        };
        is_root = false;
        for entry in listing {
            let entry = entry?;
            if entries == SEARCH_ENTRIES || *budget == 0 {
                return Ok(None);
            }
            entries += 1;
            *budget -= 1;
            let file_type = entry.file_type()?;
            let name = entry.file_name().into_vec();
            if file_type.is_dir() {
                if name == b"cur" && (directory.join("new").is_dir() || directory.join("tmp").is_dir()) {
                    return Ok(Some(true));
                }
                queue.push_back(entry.path());
            } else if file_type.is_file() && !is_by_product(&name) && heads < SEARCH_HEADS {
                heads += 1;
                if judge(&entry.path(), false).1 == SkipKind::NotUnderstood {
                    return Ok(Some(true));
                }
            }
        }
    }
    Ok(if heads == SEARCH_HEADS { None } else { Some(false) })
}

/// The first bytes of a regular file; `None` for anything else.
fn head_of(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let Some(file) = open(path)? else { return Ok(None) };
    let mut head = Vec::new();
    file.take(looks::HEAD as u64).read_to_end(&mut head)?;
    Ok(Some(head))
}

/// Opens a regular file, and waits for nothing that only looked like one.
fn open(path: &Path) -> io::Result<Option<fs::File>> {
    if !fs::metadata(path)?.is_file() {
        return Ok(None);
    }
    let file = fs::File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    Ok(file.metadata()?.is_file().then_some(file))
}

/// The first bytes of what a packed file holds, if it can be unpacked.
fn unpacked_head(path: &Path, head: &[u8]) -> Option<Vec<u8>> {
    let file = open(path).ok()??;
    let mut inner = Vec::new();
    // What comes before the damage is enough.
    let _ = Packing::of(head)?.reader(io::BufReader::new(file)).ok()?.take(looks::HEAD as u64).read_to_end(&mut inner);
    Some(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_programs_keep_beside_mail() {
        for name in [
            "dovecot-uidlist",
            "dovecot.index.log",
            "dovecot.list.index",
            ".mbsyncstate.journal",
            ".inbox.index",
            ".inbox.index.ids",
            "Inbox.msf",
            ".#lock",
            "._1420452000.M1",
            ".nfs000000000001",
            "courierimapuiddb",
        ] {
            assert!(is_by_product(name.as_bytes()), "{name}");
        }
        for name in ["sent-2009", "archive.gz", "1", "Inbox", ".mail", "index"] {
            assert!(!is_by_product(name.as_bytes()), "{name}");
        }
    }
}

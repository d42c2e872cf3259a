//! Finding the folders of a Maildir: which directories are mailboxes, how they are named, what lies around them.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};
use crate::format::maildir::{Part, split_dotted};
use crate::model::{self, Container};
use crate::source::roles;

use super::{Layout, MaildirOptions};

/// Directories nested deeper than this are not entered; the folder there fails.
const DEEPEST: usize = 64;
/// More of a `subscriptions` file is not read.
const LARGEST_SUBSCRIPTIONS: u64 = 4 << 20;

/// A folder of the account.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    pub container: Container,
    /// Its directory, relative to the root. Empty for the root and for a folder that holds nothing.
    pub dir: PathBuf,
    pub holds: Holds,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Holds {
    /// Messages: it has a `cur` or a `new`.
    Messages,
    /// Only other folders.
    Nothing,
    /// Something that cannot be read, for this reason.
    Unreadable(String),
}

impl Folder {
    /// The place of a file of this folder, relative to the root, for messages to the user.
    pub fn shown(&self, file: &str) -> String {
        match self.dir.as_os_str().is_empty() {
            true => file.to_owned(),
            false => format!("{}/{file}", super::shown(&self.dir)),
        }
    }
}

/// All folders below `root`, parents first. Empty if it holds no mailbox.
///
/// A directory that cannot be read becomes an unreadable folder; only the root itself makes this fail.
pub(super) fn find(root: &Path, options: &MaildirOptions) -> Result<Vec<Folder>> {
    let mut walk = Walk {
        root,
        layout: options.layout,
        queue: VecDeque::new(),
        links: VecDeque::new(),
        entered: HashSet::new(),
        names: HashMap::new(),
        found: HashMap::new(),
    };
    walk.enter_root()?;
    while let Some(visit) = walk.queue.pop_front().or_else(|| walk.links.pop_front()) {
        walk.enter(visit);
    }
    let mailboxes = walk.found.values().any(|found| found.holds == Holds::Messages);
    // Without any mailbox an unreadable directory says nothing about what this is.
    if !mailboxes {
        return match walk.found.into_values().find_map(|found| found.unreadable(root)) {
            Some(error) => Err(error),
            None => Ok(Vec::new()),
        };
    }
    let subscriptions = Subscriptions::read(root)?;
    Ok(folders(walk, &subscriptions, !options.noautomap))
}

/// The error for a directory without a mailbox, with a guess at what it is.
pub(super) fn no_maildir(root: &Path) -> Error {
    let error = Error::new(Kind::Usage, format!("{} holds no Maildir", root.display()));
    let has = |name: &str| root.join(name).exists();
    let is_box = root.file_name().is_some_and(|name| name == "cur" || name == "new");
    if has("dbox-Mails") || has("mailboxes") || has("dovecot.map.index") || has("storage/dovecot.map.index") {
        return error
            .hint("this is Dovecot's dbox format; make a Maildir of it: doveadm backup maildir:/path/to/Maildir");
    }
    if is_box {
        return error.hint("give the directory that holds cur and new, not one of them");
    }
    if !root.is_dir() || holds_mbox(root) {
        return error.hint("for mbox files use \"vandelay import takeout\"; they need names that end in .mbox");
    }
    error.hint("a Maildir, and each folder in it, is a directory with cur, new and tmp in it")
}

/// What the walk goes by for one directory.
struct Visit {
    dir: PathBuf,
    /// The key of the folder around it.
    base: Option<String>,
    /// What its name adds to the base.
    parts: Vec<Part>,
    dotted: bool,
    is_link: bool,
}

/// What stands under a key.
struct Found {
    dir: PathBuf,
    dotted: bool,
    /// The key before a number told it from an equal one.
    plain: String,
    holds: Holds,
}

struct Walk<'a> {
    root: &'a Path,
    layout: Layout,
    queue: VecDeque<Visit>,
    /// Symbolic links wait until all real directories are entered, so that a folder is known by its own name.
    links: VecDeque<Visit>,
    /// Device and inode of each directory entered: links may lead in circles.
    entered: HashSet<(u64, u64)>,
    /// The name to show of every key and every part of one.
    names: HashMap<String, String>,
    found: HashMap<String, Found>,
}

impl Walk<'_> {
    fn enter_root(&mut self) -> Result<()> {
        let failed = |cause| Error::io(format!("cannot read {}", self.root.display()), cause);
        let meta = fs::metadata(self.root).map_err(failed)?;
        if !meta.is_dir() {
            return Ok(());
        }
        self.entered.insert((meta.dev(), meta.ino()));
        let inside = Inside::read(self.root).map_err(failed)?;
        if inside.is_mailbox {
            self.names.insert("INBOX".to_owned(), "INBOX".to_owned());
            self.keep("INBOX", Path::new(""), false, Holds::Messages);
        }
        self.queue_children(Path::new(""), None, inside);
        Ok(())
    }

    fn enter(&mut self, visit: Visit) {
        let path = self.root.join(&visit.dir);
        let key = self.key(&visit);
        let inside = match fs::metadata(&path).and_then(|meta| self.look(&path, &meta)) {
            Ok(Some(inside)) => inside,
            Ok(None) => return,
            // Gone since its parent was read; but what a link leads to may just not be mounted.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !visit.is_link => return,
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => return,
            Err(error) => {
                self.keep(&key, &visit.dir, visit.dotted, Holds::Unreadable(error.to_string()));
                return;
            }
        };
        if visit.dir.components().count() > DEEPEST {
            let reason = "directories are nested too deep".to_owned();
            self.keep(&key, &visit.dir, visit.dotted, Holds::Unreadable(reason));
            return;
        }
        if inside.is_mailbox {
            let key = self.keep(&key, &visit.dir, visit.dotted, Holds::Messages);
            self.queue_children(&visit.dir, Some(key), inside);
        } else if !visit.dotted {
            // A dotted directory without messages is none of ours: .git, .notmuch.
            self.queue_children(&visit.dir, Some(key), inside);
        }
    }

    /// What is in a directory, or `None` if it was entered before.
    fn look(&mut self, path: &Path, meta: &fs::Metadata) -> io::Result<Option<Inside>> {
        match meta.is_dir() && self.entered.insert((meta.dev(), meta.ino())) {
            true => Inside::read(path).map(Some),
            false => Ok(None),
        }
    }

    /// The key that a directory's name asks for. Remembers the names on the way.
    fn key(&mut self, visit: &Visit) -> String {
        let mut key = visit.base.clone().unwrap_or_default();
        for part in &visit.parts {
            // RFC 3501: the name INBOX is the inbox in any case.
            let inbox = Part::plain("INBOX".to_owned());
            let part = if key.is_empty() && part.key.eq_ignore_ascii_case("INBOX") { &inbox } else { part };
            key = if key.is_empty() { part.key.clone() } else { format!("{key}/{}", part.key) };
            self.names.entry(key.clone()).or_insert_with(|| part.name.clone());
        }
        key
    }

    /// Remembers a folder under `key`, or under `key (2)` if another directory has that one, and returns which.
    fn keep(&mut self, plain: &str, dir: &Path, dotted: bool, holds: Holds) -> String {
        let mut key = plain.to_owned();
        let mut number = 1;
        while self.found.contains_key(&key) {
            number += 1;
            key = format!("{plain} ({number})");
        }
        if number > 1 {
            let name = self.names.get(plain).map_or(plain, String::as_str);
            let name = format!("{name} ({number})");
            self.names.insert(key.clone(), name);
        }
        let found = Found { dir: dir.to_owned(), dotted, plain: plain.to_owned(), holds };
        self.found.insert(key.clone(), found);
        key
    }

    fn queue_children(&mut self, dir: &Path, base: Option<String>, inside: Inside) {
        for child in inside.directories {
            let dotted = child.name.starts_with(b".");
            let parts = match (dotted, self.layout) {
                (true, Layout::Fs) | (false, Layout::MaildirPlusPlus) => continue,
                (true, Layout::MaildirPlusPlus) if !dir.as_os_str().is_empty() => continue,
                (true, _) => split_dotted(&child.name).unwrap_or_else(|| vec![Part::read(&child.name)]),
                (false, _) => vec![Part::read(&child.name)],
            };
            let path = dir.join(std::ffi::OsStr::from_bytes(&child.name));
            let visit = Visit { dir: path, base: base.clone(), parts, dotted, is_link: child.is_link };
            if child.is_link { self.links.push_back(visit) } else { self.queue.push_back(visit) }
        }
    }
}

impl Found {
    fn unreadable(&self, root: &Path) -> Option<Error> {
        match &self.holds {
            Holds::Unreadable(reason) => {
                let path = root.join(&self.dir);
                Some(Error::new(Kind::Storage, format!("cannot read {}: {reason}", path.display())))
            }
            _ => None,
        }
    }
}

/// What the walk needs to know of a directory's contents.
struct Inside {
    is_mailbox: bool,
    /// Those that may be folders, by name.
    directories: Vec<Child>,
}

struct Child {
    name: Vec<u8>,
    is_link: bool,
}

impl Inside {
    fn read(path: &Path) -> io::Result<Inside> {
        let mut inside = Inside { is_mailbox: false, directories: Vec::new() };
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let file_type = entry.file_type()?;
            let is_link = file_type.is_symlink();
            if !file_type.is_dir() && !is_link {
                continue;
            }
            let name = entry.file_name().into_vec();
            match name.as_slice() {
                // A link that leads nowhere counts: the mailbox is there, and reading it must fail loudly.
                b"cur" | b"new" => inside.is_mailbox = true,
                b"tmp" | b"lost+found" => {}
                _ if is_link && !may_be_folder(&entry.path()) => {}
                _ => inside.directories.push(Child { name, is_link }),
            }
        }
        inside.directories.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(inside)
    }
}

/// Whether a link leads to a directory, or to nowhere through other directories. A link to nowhere that names no
/// directory is one of the locks that programs leave.
fn may_be_folder(link: &Path) -> bool {
    match fs::metadata(link) {
        Ok(meta) => meta.is_dir(),
        Err(_) => fs::read_link(link).is_ok_and(|target| target.as_os_str().as_bytes().contains(&b'/')),
    }
}

/// Makes the list of what was found: with the folders around it, roles and subscriptions.
fn folders(walk: Walk<'_>, subscriptions: &Subscriptions, by_names: bool) -> Vec<Folder> {
    let Walk { names, mut found, .. } = walk;
    let mut keys: Vec<String> = found.keys().cloned().collect();
    for at in 0..keys.len() {
        let mut key = keys[at].clone();
        while let Some((parent, _)) = key.rsplit_once('/') {
            key = parent.to_owned();
            if !found.contains_key(&key) {
                let nothing = Found { dir: PathBuf::new(), dotted: false, plain: key.clone(), holds: Holds::Nothing };
                found.insert(key.clone(), nothing);
                keys.push(key.clone());
            }
        }
    }
    keys.sort_unstable_by(|a, b| (a.matches('/').count(), a).cmp(&(b.matches('/').count(), b)));
    let mut folders: Vec<Folder> = Vec::with_capacity(keys.len());
    for key in keys {
        let Some(found) = found.remove(&key) else { continue };
        let parent = key.rsplit_once('/').map(|(parent, _)| parent.to_owned());
        let last = key.rsplit('/').next().unwrap_or(&key);
        let name = names.get(&key).map_or(last, String::as_str).to_owned();
        let is_subscribed = found.holds != Holds::Nothing && subscriptions.contain(&found);
        let container = Container { is_subscribed, ..Container::new(model::Kind::Mailbox, key, parent, name) };
        folders.push(Folder { container, dir: found.dir, holds: found.holds });
    }
    let real: Vec<usize> = (0..folders.len()).filter(|&at| folders[at].holds != Holds::Nothing).collect();
    let candidates: Vec<roles::Candidate<'_>> =
        real.iter().map(|&at| roles::Candidate { path: &folders[at].container.key, attributes: &[] }).collect();
    let given = roles::assign(&candidates, by_names);
    for (at, role) in real.into_iter().zip(given) {
        folders[at].container.role = role.map(str::to_owned);
    }
    folders
}

/// The list of subscribed folders that Dovecot keeps in the root, as keys of both possible readings.
#[derive(Default)]
struct Subscriptions {
    exists: bool,
    dotted: HashSet<String>,
    slashed: HashSet<String>,
}

impl Subscriptions {
    /// Reads the file. Without one, all is subscribed.
    fn read(root: &Path) -> Result<Subscriptions> {
        let path = root.join("subscriptions");
        let failed = |cause| Error::io(format!("cannot read {}", path.display()), cause);
        let mut bytes = Vec::new();
        match fs::metadata(&path) {
            Ok(meta) if meta.is_file() => {
                let file = fs::File::open(&path).map_err(failed)?;
                file.take(LARGEST_SUBSCRIPTIONS).read_to_end(&mut bytes).map_err(failed)?;
            }
            Ok(_) => return Ok(Subscriptions::default()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Subscriptions::default()),
            Err(error) => return Err(failed(error)),
        }
        Ok(Subscriptions::parse(&bytes))
    }

    /// One folder a line: with the store's separator, or (after the head `V<tab>2`) its parts between tabs.
    fn parse(bytes: &[u8]) -> Subscriptions {
        let mut subscriptions = Subscriptions { exists: true, ..Subscriptions::default() };
        let mut lines = bytes.split(|&b| b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)).peekable();
        let by_tabs = lines.next_if(|line| line.starts_with(b"V\t")).is_some();
        for line in lines.filter(|line| !line.is_empty()) {
            if by_tabs {
                let parts = line.split(|&b| b == b'\t').map(|part| Part::read(&tab_unescape(part)).key);
                subscriptions.slashed.insert(join(parts));
            } else {
                subscriptions.slashed.insert(join(line.split(|&b| b == b'/').map(|part| Part::read(part).key)));
                subscriptions.dotted.insert(join(line.split(|&b| b == b'.').map(|part| Part::read(part).key)));
            }
        }
        subscriptions
    }

    /// Whether the folder is subscribed. The inbox always is: every client shows it.
    fn contain(&self, found: &Found) -> bool {
        !self.exists
            || found.plain == "INBOX"
            || self.slashed.contains(&found.plain)
            || (found.dotted && self.dotted.contains(&found.plain))
    }
}

fn join(parts: impl Iterator<Item = String>) -> String {
    let mut parts: Vec<String> = parts.filter(|part| !part.is_empty()).collect();
    if let Some(first) = parts.first_mut().filter(|first| first.eq_ignore_ascii_case("INBOX")) {
        *first = "INBOX".to_owned();
    }
    parts.join("/")
}

/// Undoes Dovecot's escaping of tabs and line ends with the byte 1.
fn tab_unescape(text: &[u8]) -> Vec<u8> {
    let mut bytes = text.iter().copied();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            1 => match bytes.next() {
                Some(b'0') => 0,
                Some(b't') => b'\t',
                Some(b'r') => b'\r',
                Some(b'n') => b'\n',
                Some(b'1') | None => 1,
                Some(other) => other,
            },
            _ => byte,
        });
    }
    out
}

/// Whether one of the first files begins like an mbox.
fn holds_mbox(root: &Path) -> bool {
    let begins_so = |path: PathBuf| {
        let mut head = [0; 5];
        path.is_file()
            && fs::File::open(path).and_then(|mut file| file.read_exact(&mut head)).is_ok()
            && &head == b"From "
    };
    fs::read_dir(root).is_ok_and(|entries| entries.flatten().take(100).any(|entry| begins_so(entry.path())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscription_files() {
        let old = Subscriptions::parse(b"INBOX\nArchive.2024\r\nEntw&APw-rfe\nfs/child\n");
        assert!(old.dotted.contains("Archive/2024") && old.slashed.contains("fs/child"));
        assert!(old.slashed.contains("Entwürfe") && !old.slashed.contains("Archive/2024"));
        let new = Subscriptions::parse(b"V\t2\n\nArchive\t2024\na\x01tb\tv1.0\n");
        assert!(new.slashed.contains("Archive/2024") && new.slashed.contains("a%09b/v1.0"));
        assert!(new.dotted.is_empty());
    }
}

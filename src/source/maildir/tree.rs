//! Finding the folders of a Maildir: which directories are mailboxes, how they are named, what lies around them.

use super::options::{Layout, MaildirOptions, shown};
use super::stray::{self, Stray, Strays};
use super::subscriptions::Subscriptions;
use crate::error::{Error, ErrorKind, Result};
use crate::format::maildir::{Part, escape, split_dotted};
use crate::model::container::Container;
use crate::model::roles;
use crate::model::{self, SkipKind, SkippedItem};
use crate::source::links;
use std::collections::{HashMap, HashSet, VecDeque};
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Directories nested deeper than this are not entered; the folder there fails.
const DEEPEST: usize = 64;

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
    pub(super) fn shown(&self, file: &str) -> String {
        match self.dir.as_os_str().is_empty() {
            true => file.to_owned(),
            false => format!("{}/{file}", shown(&self.dir)),
        }
    }
}

/// The folders and other files that a walk found.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// All folders, parents first. Empty if there is no mailbox.
    pub folders: Vec<Folder>,
    /// Files outside of every mailbox.
    pub strays: Vec<Stray>,
}

/// Walks the tree below `root`.
///
/// A directory that cannot be read becomes an unreadable folder; only the root itself makes this fail.
pub(super) fn find(root: &Path, options: &MaildirOptions) -> Result<Tree> {
    let mut walk = Walk {
        root,
        layout: options.layout,
        queue: VecDeque::new(),
        links: VecDeque::new(),
        entered: HashSet::new(),
        names: HashMap::new(),
        found: HashMap::new(),
        keys: HashMap::new(),
        strays: Vec::new(),
        budget: stray::BUDGET,
        searches: stray::SEARCH_BUDGET,
    };
    walk.enter_root()?;
    while let Some(visit) = walk.queue.pop_front().or_else(|| walk.links.pop_front()) {
        walk.enter(visit);
    }
    let strays = std::mem::take(&mut walk.strays);
    let mailboxes = walk.found.values().any(|found| found.holds == Holds::Messages);
    // Without any mailbox an unreadable directory says nothing about what this is.
    if !mailboxes {
        return match walk.found.into_values().find_map(|found| found.unreadable(root)) {
            Some(error) => Err(error),
            None => Ok(Tree { folders: Vec::new(), strays }),
        };
    }
    let subscriptions = Subscriptions::read(root)?;
    Ok(Tree { folders: folders(walk, &subscriptions, !options.noautomap), strays })
}

/// The error for a directory without a mailbox, with a guess at what it is.
pub(super) fn no_maildir(root: &Path, strays: &[Stray]) -> Error {
    let error = Error::new(ErrorKind::Usage, format!("{} is not a Maildir", root.display()));
    let has = |name: &str| root.join(name).exists();
    let is_box = root.file_name().is_some_and(|name| name == "cur" || name == "new");
    if has("dbox-Mails") || has("mailboxes") || has("dovecot.map.index") || has("storage/dovecot.map.index") {
        return error
            .hint("this is Dovecot's dbox format; make a Maildir of it: doveadm backup maildir:/path/to/Maildir");
    }
    if is_box {
        return error.hint("name the directory that contains cur and new, not cur or new itself");
    }
    if !root.is_dir() {
        return error.hint("to read mbox files and single messages, use \"vandelay import takeout\"");
    }
    match strays.iter().map(|stray| &stray.omission).find(|omission| omission.outcome == SkipKind::NotUnderstood) {
        Some(mail) => error.hint(format!("{} is {}", mail.position, mail.reason)),
        None => error.hint("a Maildir, and each folder in it, is a directory with cur, new and tmp in it"),
    }
}

/// A directory that the walk comes to.
struct Visit {
    dir: PathBuf,
    /// The key of the folder around it.
    base: Option<String>,
    /// What its name adds to the base.
    parts: Vec<Part>,
    dotted: bool,
    is_link: bool,
    /// It is the `cur` or `new` of a mailbox, too: the files in it are messages of that one.
    is_box: bool,
    /// The directory beside it whose folders it holds, if it is no mailbox itself: `NAME` for KMail's `.NAME.directory`
    /// and Thunderbird's `NAME.sbd`.
    beside: Option<Vec<u8>>,
}

/// The folder under a key.
struct FoundFolder {
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
    found: HashMap<String, FoundFolder>,
    /// The key of each directory that was entered.
    keys: HashMap<PathBuf, String>,
    strays: Vec<Stray>,
    /// How many more files outside of mailboxes may be looked at.
    budget: usize,
    /// How many more entries of hidden directories may be looked at.
    searches: usize,
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
        self.tell_strays(Path::new(""), None, &inside);
        self.queue_children(Path::new(""), None, inside);
        Ok(())
    }

    fn enter(&mut self, visit: Visit) {
        let path = self.root.join(&visit.dir);
        let key = self.key(&visit);
        let meta = links::check(&path).and_then(|()| fs::metadata(&path));
        let inside = match meta.and_then(|meta| self.look(&path, &meta)) {
            Ok(Some(inside)) => inside,
            Ok(None) => return,
            // Gone since its parent was read; but what a link leads to may just not be mounted.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !visit.is_link => return,
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => return,
            // Every file system has one, for its administrator.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && visit.dir.ends_with("lost+found") => {
                return self.stray_directory(&visit, SkipKind::ByProduct, "cannot be read");
            }
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
        let key = match inside.is_mailbox {
            true => self.keep(&key, &visit.dir, visit.dotted, Holds::Messages),
            false => match self.key_beside(&visit) {
                Some(key) => key,
                // A dotted directory without messages is none of ours, but there may be mail in it.
                None if visit.dotted => {
                    let (outcome, reason) = stray::judge_directory(&path, &mut self.searches);
                    return self.stray_directory(&visit, outcome, reason);
                }
                None => key,
            },
        };
        self.keys.insert(visit.dir.clone(), key.clone());
        if !visit.is_box {
            self.tell_strays(&visit.dir, Some(&key), &inside);
        }
        self.queue_children(&visit.dir, Some(key), inside);
    }

    /// The key of the folder that the folders in a directory belong to, if that is not the directory itself.
    fn key_beside(&mut self, visit: &Visit) -> Option<String> {
        let name = visit.beside.as_ref()?;
        let beside = visit.dir.with_file_name(OsStr::from_bytes(name));
        if let Some(key) = self.keys.get(&beside) {
            return Some(key.clone());
        }
        // The folder itself may be empty and gone, or an mbox file. Thunderbird's ending could be part of a name then.
        if !visit.dotted && !self.root.join(&beside).is_file() {
            return None;
        }
        let parts = vec![Part::read(name)];
        let (dir, base) = (visit.dir.clone(), visit.base.clone());
        Some(self.key(&Visit { dir, base, parts, dotted: visit.dotted, is_link: false, is_box: false, beside: None }))
    }

    /// Names the files of a directory that lie outside of every mailbox.
    fn tell_strays(&mut self, dir: &Path, key: Option<&str>, inside: &Inside) {
        let with_slash = |text: &str| if text.is_empty() { String::new() } else { format!("{text}/") };
        let mut strays = Strays {
            path: &self.root.join(dir),
            shown: with_slash(&shown(dir)),
            key: with_slash(key.unwrap_or_default()),
            found: &mut self.strays,
            budget: &mut self.budget,
        };
        strays.tell(&inside.files);
    }

    /// Names a directory that is not entered.
    fn stray_directory(&mut self, visit: &Visit, outcome: SkipKind, what: &str) {
        let reason = match what {
            "without mail" | "cannot be read" => format!("a directory beside the mail, {what}"),
            _ => what.to_owned(),
        };
        let omission = SkippedItem { kind: model::ObjectType::Mailbox, reason, position: shown(&visit.dir), outcome };
        // It is no folder: a filter goes by its own name, as it is shown.
        let name = visit.dir.file_name().map(|name| escape(name.as_bytes())).unwrap_or_default();
        let key = visit.base.iter().map(String::as_str).chain([name.as_str()]).collect::<Vec<_>>().join("/");
        self.strays.push(Stray { key, omission });
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
        let found = FoundFolder { dir: dir.to_owned(), dotted, plain: plain.to_owned(), holds };
        self.found.insert(key.clone(), found);
        key
    }

    fn queue_children(&mut self, dir: &Path, base: Option<String>, inside: Inside) {
        let mut later = Vec::new();
        for child in inside.directories {
            let dotted = child.name.starts_with(b".");
            let path = dir.join(OsStr::from_bytes(&child.name));
            // What cannot be read may be a mailbox with such a name.
            let known = stray::known_directory(&child.name)
                .filter(|_| Inside::read(&self.root.join(&path)).is_ok_and(|inside| !inside.is_mailbox));
            let parts = match dotted {
                true => split_dotted(&child.name).unwrap_or_else(|| vec![Part::read(&child.name)]),
                false => vec![Part::read(&child.name)],
            };
            let left_out = match (dotted, self.layout) {
                (true, Layout::Fs) | (false, Layout::MaildirPlusPlus) => true,
                (true, Layout::MaildirPlusPlus) => !dir.as_os_str().is_empty(),
                (_, Layout::Auto) | (false, Layout::Fs) => false,
            };
            let stem = sibling(&child.name).filter(|_| self.layout == Layout::Auto).map(<[u8]>::to_vec);
            let is_box = inside.is_mailbox && matches!(child.name.as_slice(), b"cur" | b"new");
            let (base, is_link) = (base.clone(), child.is_link);
            let visit = Visit { dir: path, base, parts, dotted, is_link, is_box, beside: stem };
            match known {
                Some((outcome, reason)) => self.stray_directory(&visit, outcome, reason),
                None if left_out => self.stray_directory(&visit, SkipKind::Skipped, "left out by --layout"),
                None if child.is_link => self.links.push_back(visit),
                // Only after the folder that it belongs to.
                None if visit.beside.is_some() => later.push(visit),
                None => self.queue.push_back(visit),
            }
        }
        self.queue.extend(later);
    }
}

/// Whether a directory holds messages: a `cur` or a `new`.
pub(super) fn is_mailbox(path: &Path) -> bool {
    ["cur", "new"].iter().any(|name| path.join(name).is_dir())
}

/// The names that each mailbox has directories of.
fn is_standard(name: &[u8]) -> bool {
    matches!(name, b"cur" | b"new" | b"tmp")
}

/// The folder whose children a directory holds, by its name: KMail's `.NAME.directory`, Thunderbird's `NAME.sbd`.
fn sibling(name: &[u8]) -> Option<&[u8]> {
    let of_kmail = name.strip_prefix(b".").and_then(|name| name.strip_suffix(b".directory"));
    let of_thunderbird = name.strip_suffix(b".sbd").filter(|name| !name.starts_with(b"."));
    of_kmail.or(of_thunderbird).filter(|name| !name.is_empty())
}

impl FoundFolder {
    fn unreadable(&self, root: &Path) -> Option<Error> {
        match &self.holds {
            Holds::Unreadable(reason) => {
                let path = root.join(&self.dir);
                Some(Error::new(ErrorKind::Storage, format!("cannot read {}: {reason}", path.display())))
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
    /// The names of everything else, sorted.
    files: Vec<Vec<u8>>,
}

struct Child {
    name: Vec<u8>,
    is_link: bool,
}

impl Inside {
    fn read(path: &Path) -> io::Result<Inside> {
        let mut inside = Inside { is_mailbox: false, directories: Vec::new(), files: Vec::new() };
        let mut has_tmp = false;
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let file_type = entry.file_type()?;
            let is_link = file_type.is_symlink();
            let name = entry.file_name().into_vec();
            if !file_type.is_dir() && !is_link {
                inside.files.push(name);
                continue;
            }
            match name.as_slice() {
                // A directory with a mailbox in it is a folder, whatever its name.
                _ if is_standard(&name) && is_mailbox(&entry.path()) => {
                    inside.directories.push(Child { name, is_link })
                }
                // A link that leads nowhere counts: the mailbox is there, and reading it must fail loudly.
                b"cur" | b"new" => inside.is_mailbox = true,
                b"tmp" => has_tmp = true,
                _ if is_link && !may_be_folder(&entry.path()) => inside.files.push(name),
                _ => inside.directories.push(Child { name, is_link }),
            }
        }
        // Only a mailbox keeps half-delivered messages there.
        if has_tmp && !inside.is_mailbox {
            inside.directories.push(Child { name: b"tmp".to_vec(), is_link: false });
        }
        inside.directories.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        inside.files.sort_unstable();
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
                let nothing =
                    FoundFolder { dir: PathBuf::new(), dotted: false, plain: key.clone(), holds: Holds::Nothing };
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
        let is_subscribed = found.holds != Holds::Nothing && subscriptions.contain(&found.plain, found.dotted);
        let container = Container { is_subscribed, ..Container::new(model::ObjectType::Mailbox, key, parent, name) };
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

//! Which files an export has.

use super::found::{Export, ExportFile, MessageFile, MessageFolder, name_of, readable};
use super::kinds::{self, Fate, Format, Neighbours};
use super::place::{Place, Unpacker};
use super::root::{FileKind, Root};
use crate::format::mbox::Scanner;
use crate::held;
use crate::model::{ObjectType, SkipKind, SkippedItem};
use crate::source::links;
use crate::source::unpack::Packing;
use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

/// The directories of a Maildir.
const MAILDIR: [&str; 3] = ["cur", "new", "tmp"];

/// What the key of a folder of messages ends in.
const MESSAGES: &str = "*.eml";

/// Folders are not entered deeper: no export is, and a path has an end.
const MAX_DEPTH: usize = 64;

/// Looks at the roots and all that is below them. Symbolic links are followed, but no folder is entered twice.
pub(super) fn scan(roots: &[Arc<Root>], unpacker: &Arc<Unpacker>) -> Export {
    let mut export = Export::default();
    for root in roots {
        let found = Walk::new(root, unpacker).all();
        export.files.extend(found.files);
        export.folders.extend(found.folders);
        export.aside.extend(found.aside);
    }
    export
}

/// The walk through one root. Its keys are paths below the root.
struct Walk {
    root: Arc<Root>,
    unpacker: Arc<Unpacker>,
    /// The root is a folder.
    is_folder: bool,
    export: Export,
    /// Files of one message by the key of their folder.
    letters: BTreeMap<String, Vec<MessageFile>>,
    /// Device and inode of the folders entered.
    entered: HashSet<(u64, u64)>,
}

impl Walk {
    fn new(root: &Arc<Root>, unpacker: &Arc<Unpacker>) -> Walk {
        let (export, letters, entered) = (Export::default(), BTreeMap::new(), HashSet::new());
        let (root, unpacker) = (Arc::clone(root), Arc::clone(unpacker));
        Walk { root, unpacker, is_folder: false, export, letters, entered }
    }

    fn all(mut self) -> Export {
        let place = self.root.place.clone();
        match &place {
            Place::Spooled(_) | Place::Packed(..) => self.only_file(&place, b""),
            Place::Path(path) => match fs::metadata(path) {
                Ok(metadata) if metadata.is_dir() => {
                    self.is_folder = true;
                    self.enter(path, &metadata, "", 0);
                }
                Ok(metadata) if metadata.is_file() => {
                    let name = path.file_name().unwrap_or_default().as_bytes();
                    self.only_file(&place, name);
                }
                Ok(metadata) => self.file(path, &metadata, self.own_key(), &Neighbours::default()),
                Err(error) => self.failed(self.own_key(), &error),
            },
        }
        self.finish()
    }

    /// The key of a root that is a file: a Takeout is known by the name of its only file.
    fn own_key(&self) -> String {
        let name = self.root.place.path().and_then(Path::file_name);
        name.filter(|_| self.root.id.is_empty()).map(|name| readable(name.as_bytes())).unwrap_or_default()
    }

    fn enter(&mut self, folder: &Path, metadata: &Metadata, key: &str, depth: usize) {
        if !self.entered.insert((metadata.dev(), metadata.ino())) {
            let reason = "folder that is read under another name";
            return self.aside(ObjectType::FileNode, key.to_owned(), reason, SkipKind::ByProduct);
        }
        if depth > MAX_DEPTH {
            return self.aside(ObjectType::FileNode, key.to_owned(), "too deep", SkipKind::Failed);
        }
        let mut entries = match fs::read_dir(folder) {
            Ok(entries) => {
                let (entries, errors): (Vec<_>, Vec<_>) = entries.partition(|entry| entry.is_ok());
                for error in errors.into_iter().filter_map(|entry| entry.err()) {
                    self.failed(key.to_owned(), &error);
                }
                entries.into_iter().flatten().collect::<Vec<_>>()
            }
            Err(error) => return self.failed(key.to_owned(), &error),
        };
        // Real folders before links to them, so that a folder has its own name.
        entries
            .sort_by_key(|entry| (entry.file_type().is_ok_and(|file_type| file_type.is_symlink()), entry.file_name()));
        let neighbours = Neighbours::new(entries.iter().map(|entry| entry.file_name().as_bytes().to_vec()));
        let is_maildir = self.is_maildir(folder, key, &neighbours);
        for entry in entries {
            if is_maildir && MAILDIR.iter().any(|part| entry.file_name() == *part) {
                continue;
            }
            let name = readable(entry.file_name().as_bytes());
            let key = if key.is_empty() { name } else { format!("{key}/{name}") };
            let path = entry.path();
            match links::check(&path).and_then(|()| fs::metadata(&path)) {
                Ok(metadata) if metadata.is_dir() => self.enter(&path, &metadata, &key, depth + 1),
                Ok(metadata) => self.file(&path, &metadata, key, &neighbours),
                // A link to nowhere with any other name cannot have been part of the export.
                Err(error)
                    if error.kind() == io::ErrorKind::NotFound
                        && Format::of(entry.file_name().as_bytes()).is_none() =>
                {
                    self.aside(ObjectType::FileNode, key, "link to nowhere", SkipKind::Skipped);
                }
                Err(error) => self.failed(key, &error),
            }
        }
    }

    /// True for a Maildir: the mail in it is another source's.
    fn is_maildir(&mut self, folder: &Path, key: &str, neighbours: &Neighbours) -> bool {
        let is_maildir = neighbours.has("cur")
            && (neighbours.has("new") || neighbours.has("tmp"))
            && MAILDIR.iter().all(|part| !neighbours.has(part) || folder.join(part).is_dir());
        if is_maildir {
            let holds_any = |part| fs::read_dir(folder.join(part)).is_ok_and(|mut entries| entries.next().is_some());
            let outcome = match holds_any("cur") || holds_any("new") {
                true => SkipKind::NotUnderstood,
                false => SkipKind::ByProduct,
            };
            self.aside(ObjectType::Email, key.to_owned(), "Maildir: import it with vandelay import maildir", outcome);
        }
        is_maildir
    }

    /// The one file that the user named: whatever its name, its content counts.
    fn only_file(&mut self, place: &Place, name: &[u8]) {
        let promised = Format::of(name).map(|(format, _)| format);
        let head = place.open().and_then(|(file, _)| head_of(&file));
        let found = head.as_deref().ok().and_then(kinds::format_of);
        let found = match (self.root.only, promised) {
            (None, Some(_)) => None,
            // What the user says is right, if the content does not say something else.
            (Some(only), Some(promised)) => found.filter(|found| only.takes(*found) || promised.kind() != found.kind()),
            (_, None) => found,
        };
        let key = self.own_key();
        match (found, place.path().map(|path| (path, fs::metadata(path)))) {
            (Some(format), _) => self.import(place, name, key, format),
            (None, Some((path, Ok(metadata)))) => self.file(path, &metadata, key, &Neighbours::default()),
            (None, Some((_, Err(error)))) => self.failed(key, &error),
            (None, None) => match head {
                Ok(head) if head.is_empty() => self.aside(ObjectType::FileNode, key, "it is empty", SkipKind::Skipped),
                Ok(head) => self.settle(place, name, key, kinds::by_content(name, &head)),
                Err(error) => self.failed(key, &error),
            },
        }
    }

    fn file(&mut self, path: &Path, metadata: &Metadata, key: String, neighbours: &Neighbours) {
        let name = path.file_name().unwrap_or_default().as_bytes();
        if !metadata.is_file() {
            return self.aside(ObjectType::FileNode, key, "not a regular file", SkipKind::Skipped);
        }
        if held::is_held(path) {
            return self.aside(ObjectType::FileNode, key, "the archive itself", SkipKind::ByProduct);
        }
        let fate = match kinds::by_name(name, metadata.len(), neighbours) {
            Some(fate) => fate,
            None => match File::open(path).and_then(|file| head_of(&file)) {
                Ok(head) => match self.packed(path, name, &head) {
                    Some((place, name, format)) => return self.import(&place, name, key, format),
                    None => kinds::by_content(name, &head),
                },
                Err(error) => return self.failed(key, &error),
            },
        };
        self.settle(&Place::Path(path.to_owned()), name, key, fate);
    }

    /// A compressed file with something to import in it, its name without the ending of that.
    fn packed<'n>(&self, path: &Path, name: &'n [u8], head: &[u8]) -> Option<(Place, &'n [u8], Format)> {
        let packing = Packing::of(head)?;
        let name = kinds::unpacked_name(name);
        let inner = Place::unpacked_head(path, packing, kinds::HEAD).ok()?;
        let promised = Format::of(name).map(|(format, _)| format).filter(|_| !inner.is_empty());
        let format = promised.or_else(|| kinds::format_of(&inner))?;
        Some((Place::Packed(path.to_owned(), packing, Arc::clone(&self.unpacker)), name, format))
    }

    fn settle(&mut self, place: &Place, name: &[u8], key: String, fate: Fate) {
        match fate {
            Fate::Import(format) => self.import(place, name, key, format),
            Fate::Beside => {}
            Fate::Aside(reason, outcome) => {
                let is_mail = outcome == SkipKind::NotUnderstood;
                // Mail that is not understood matters to who wants mail, or that very file.
                let is_wanted = !self.is_folder || self.root.only.is_none_or(FileKind::is_mail);
                let outcome = if is_mail && !is_wanted { SkipKind::Skipped } else { outcome };
                let kind = if is_mail { ObjectType::Email } else { ObjectType::FileNode };
                self.aside(kind, key, &reason, outcome);
            }
        }
    }

    /// Leaves out a file of another kind than the user wants. One that was named itself, and mail beside other mail, was
    /// hardly meant to be left out.
    fn refuse(&mut self, key: String, format: Format, only: FileKind) {
        let kind = FileKind::of(format);
        let reason = format!("{}: import it with \"vandelay import {}\"", kind.words(), kind.command());
        let matters = !self.is_folder || only.is_mail() && kind.is_mail();
        let (kind, outcome) = match matters {
            true => (format.kind(), SkipKind::NotUnderstood),
            false => (ObjectType::FileNode, SkipKind::Skipped),
        };
        self.aside(kind, key, &reason, outcome);
    }

    fn import(&mut self, place: &Place, name: &[u8], key: String, mut format: Format) {
        let promised = Format::of(name);
        // MH names its messages by numbers; of any other file without an ending the first separator may be lost.
        let is_number = name.iter().all(u8::is_ascii_digit);
        if format == Format::Message && promised.is_none() && !is_number && has_several(place) {
            format = Format::Mbox;
        }
        if let Some(only) = self.root.only.filter(|only| !only.takes(format)) {
            return self.refuse(key, format, only);
        }
        let stem = match promised {
            Some((promised, stem)) if promised == format => readable(&name[..stem]),
            _ => readable(name),
        };
        if matches!(format, Format::Message | Format::AppleMessage) {
            let (folder, name) = key.rsplit_once('/').map_or(("", key.as_str()), |(folder, name)| (folder, name));
            let position = self.root.position(&key);
            let file = MessageFile { name: name.to_owned(), position, place: place.clone(), format };
            self.letters.entry(folder.to_owned()).or_default().push(file);
            return;
        }
        let mailbox = match (key.is_empty(), self.root.mailbox()) {
            (true, Some(_)) => self.root.below(String::new()),
            (true, None) => stem.clone(),
            (false, _) => self.root.below(mailbox(&key, &stem)),
        };
        self.export.files.push(ExportFile {
            position: self.root.position(&key),
            key,
            place: place.clone(),
            stem,
            mailbox,
            format,
            root: Arc::clone(&self.root),
            is_in_folder: self.is_folder && self.root.only.is_some(),
        });
    }

    fn aside(&mut self, kind: ObjectType, key: String, reason: &str, outcome: SkipKind) {
        let position = self.root.position(&key);
        self.export.aside.push(SkippedItem { kind, reason: reason.to_owned(), position, outcome });
    }

    fn failed(&mut self, key: String, error: &io::Error) {
        let position = format!("{}: {error}", self.root.position(&key));
        let (reason, outcome) = ("unreadable".to_owned(), SkipKind::Failed);
        self.export.aside.push(SkippedItem { kind: ObjectType::FileNode, reason, position, outcome });
    }

    fn finish(self) -> Export {
        let own_mailbox = self.mailbox_of_letters();
        let Walk { root, mut export, letters, .. } = self;
        export.files.sort_by(|a, b| a.key.cmp(&b.key));
        let mut seen = HashSet::new();
        for file in &mut export.files {
            // Only a name that is not UTF-8 can look like another one that is.
            while !seen.insert(file.key.clone()) {
                file.key.push('%');
            }
        }
        export.files.iter_mut().for_each(|file| file.key = root.key(&file.key));
        for (folder, mut files) in letters {
            files.sort_by(|a, b| a.name.cmp(&b.name));
            let mut seen = HashSet::new();
            for file in &mut files {
                while !seen.insert(file.name.clone()) {
                    file.name.push('%');
                }
            }
            files.sort_by(|a, b| a.name.cmp(&b.name));
            let key = if folder.is_empty() { MESSAGES.to_owned() } else { format!("{folder}/{MESSAGES}") };
            let mailbox = match folder.is_empty() {
                true => own_mailbox.clone(),
                false => root.below(mailbox_of_folder(&folder)),
            };
            export.folders.push(MessageFolder { key: root.key(&key), mailbox, files, root: Arc::clone(&root) });
        }
        export
    }

    /// The mailbox of single messages that lie in the root itself: a folder that the user named has a name.
    fn mailbox_of_letters(&self) -> String {
        let is_named = self.is_folder && self.root.only.is_some() && self.root.mailbox().is_none();
        match self.root.place.path().filter(|_| is_named) {
            Some(path) => folder_name(&name_of(path)).to_owned(),
            None => self.root.below(String::new()),
        }
    }
}

/// The first bytes of a file.
fn head_of(file: &File) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    file.take(kinds::HEAD as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// Whether a file that begins with a header is an mbox whose first separator is lost: another message follows.
fn has_several(place: &Place) -> bool {
    let Ok((file, _)) = place.open() else { return false };
    let mut scanner = Scanner::new(&file);
    scanner.by_ref().take(2).filter(|message| message.is_ok()).count() == 2
}

/// The mailbox of the messages in a folder. Apple Mail keeps those of the mailbox `NAME` some folders below `NAME.mbox`.
fn mailbox_of_folder(folder: &str) -> String {
    let parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    let package = parts.iter().rposition(|part| without(part, ".mbox").is_some());
    let parts = package.map_or(&parts[..], |package| &parts[..=package]);
    parts.iter().map(|part| folder_name(part)).collect::<Vec<_>>().join("/")
}

/// The name of the mailbox that a folder is or holds the children of.
fn folder_name(folder: &str) -> &str {
    without(folder, ".sbd").or_else(|| without(folder, ".mbox")).unwrap_or(folder)
}

/// The mailbox that the mbox at `key` is, a path with `/`. The folder `NAME.sbd` holds those below `NAME` (Thunderbird);
/// the folder `NAME.mbox` with the file `mbox` in it is the mailbox `NAME` itself (Apple Mail).
fn mailbox(key: &str, stem: &str) -> String {
    let mut parts: Vec<&str> = key.split('/').collect();
    parts.pop();
    let is_package =
        stem.eq_ignore_ascii_case("mbox") && parts.last().is_some_and(|folder| without(folder, ".mbox").is_some());
    let mut parts: Vec<&str> = parts.into_iter().map(folder_name).collect();
    if !is_package {
        parts.push(stem);
    }
    parts.join("/")
}

/// A name without this ending, whatever its case, unless the ending is all of it.
fn without<'n>(name: &'n str, ending: &str) -> Option<&'n str> {
    let (stem, end) = name.split_at_checked(name.len().checked_sub(ending.len())?)?;
    (!stem.is_empty() && end.eq_ignore_ascii_case(ending)).then_some(stem)
}

//! Files on a disk: no file is overwritten, no link followed, dates kept. A name or a file that the target refuses is told,
//! and the rest is written.

use super::medium::{Medium, NewFile, is_end, knows_no_links, may_be_the_name};
use super::names::{Names, folded, is_numbered};
use super::output::Output;
use super::visit::{Entry, Fate, Note, Observer, PendingDirectory, Receiver, failed};
use crate::error::{Error, ErrorKind, Result};
use crate::format::maildir::FileName;
use crate::tree::{FileType, Node, Tree};
use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How many bytes are copied at a time.
pub(super) const CHUNK: usize = 1 << 20;

/// Why a directory of the tree is not made.
const IN_THE_WAY: &str =
    "a directory is needed there, and a file or a link has its name; move it away, or give another directory";

/// A directory on a disk that entries of the tree are written into.
pub(super) struct Directory<'a> {
    tree: &'a Tree,
    names: Names,
    medium: &'a dyn Medium,
    /// Nothing is written.
    is_dry: bool,
    /// The path at which a message that lies in several mailboxes was written first.
    links: HashMap<Node, PathBuf>,
    /// Directories, and the dates that they get in the end.
    times: Vec<(PathBuf, i64)>,
    /// The directories above the walk's place, by depth.
    open: Vec<Level>,
}

/// A directory above the walk's place.
enum Level {
    /// It is made once something in it is wanted.
    Pending(PendingDirectory),
    /// It is being filled.
    Open(OpenDirectory),
    /// It could not be made.
    Failed,
}

/// A directory that is being filled.
struct OpenDirectory {
    path: PathBuf,
    /// Hashes of the names in it, see [`folded`].
    taken: HashSet<u64>,
    /// It was there before this run.
    is_old: bool,
    /// Of a Maildir that was there before: the files in it, by what stays the same of their names.
    messages: Option<HashMap<Vec<u8>, PathBuf>>,
}

impl OpenDirectory {
    fn at(path: PathBuf, is_old: bool) -> OpenDirectory {
        OpenDirectory { path, taken: HashSet::new(), is_old, messages: None }
    }

    /// The file of a message that has these flags no more.
    fn renamed_message(&mut self, name: &str) -> Option<&PathBuf> {
        if self.messages.is_none() {
            let files = fs::read_dir(&self.path).into_iter().flatten().flatten();
            self.messages =
                Some(files.map(|file| (unique(file.file_name().as_encoded_bytes()), file.path())).collect());
        }
        self.messages.as_ref()?.get(&unique(name.as_bytes()))
    }
}

/// What no program changes of a name: neither flags nor what it notes behind a comma.
fn unique(name: &[u8]) -> Vec<u8> {
    let unique = FileName::parse(name).unique;
    unique.split(|byte| *byte == b',').next().unwrap_or_default().to_vec()
}

impl<'a> Directory<'a> {
    /// Writes below `into`, which is made if it is missing.
    ///
    /// Errors: `into` cannot be made.
    pub(super) fn open(
        tree: &'a Tree,
        into: &Path,
        names: Names,
        medium: &'a dyn Medium,
        is_dry: bool,
    ) -> Result<Directory<'a>> {
        let is_old = into.exists();
        if !is_dry {
            fs::create_dir_all(into).map_err(|error| cannot_make(into, error))?;
        }
        let open = vec![Level::Open(OpenDirectory::at(into.to_owned(), is_old))];
        Ok(Directory { tree, names, medium, is_dry, links: HashMap::new(), times: Vec::new(), open })
    }

    /// Goes into the directory that was made last, so that it has the depth of the one around it; false if it was not made.
    pub(super) fn go_down(&mut self) -> bool {
        self.open.remove(0);
        matches!(self.open.first(), Some(Level::Open(_)))
    }

    /// Gives `into` this date in the end.
    pub(super) fn date(&mut self, mtime: i64) {
        if let Some(Level::Open(directory)) = self.open.first() {
            self.times.push((directory.path.clone(), mtime));
        }
    }

    /// Gives the directories their dates. Last, because writing into a directory changes its date.
    pub(super) fn finish(self) {
        for (directory, mtime) in self.times.iter().rev().filter(|_| !self.is_dry) {
            let _ = File::open(directory).and_then(|handle| handle.set_modified(time(*mtime)));
        }
    }

    /// Makes the directories that an entry lies in; false if one cannot be made.
    pub(super) fn is_ready(&mut self, entry: &Entry<'_>, observer: &mut dyn Observer) -> Result<bool> {
        let depth = entry.depth;
        self.open.truncate(depth + 1);
        for at in 0..=depth {
            let Some(Level::Pending(_)) = self.open.get(at) else { continue };
            let Level::Pending(pending) = std::mem::replace(&mut self.open[at], Level::Failed) else { continue };
            self.open[at] = self.make(&pending.entry(), observer)?;
        }
        Ok(matches!(self.open.get(depth), Some(Level::Open(_))))
    }

    /// Makes a directory.
    fn make(&mut self, entry: &Entry<'_>, observer: &mut dyn Observer) -> Result<Level> {
        let Some(Level::Open(_)) = self.open.get(entry.depth) else {
            observer.told(entry, Fate::NoDirectory)?;
            return Ok(Level::Failed);
        };
        let medium = self.medium;
        if self.is_dry {
            let path = self.path_of(entry, &self.names.candidates(entry)[0]);
            let is_old = path.is_dir();
            observer.told(entry, if is_old { Fate::There } else { Fate::Planned })?;
            return Ok(Level::Open(OpenDirectory::at(path, is_old)));
        }
        let made = self.create(entry, observer, |path, is_ours| match medium.directory(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && !is_ours => {
                // A directory that was there before is filled. A link in its place would lead elsewhere.
                match fs::symlink_metadata(path) {
                    Ok(meta) if meta.is_dir() => Ok(true),
                    Ok(_) => Err(io::Error::new(error.kind(), IN_THE_WAY)),
                    Err(_) => Err(error),
                }
            }
            made => made.map(|()| false),
        })?;
        let (path, is_old) = match made {
            Ok(made) => made,
            Err(fate) => {
                observer.told(entry, fate)?;
                return Ok(Level::Failed);
            }
        };
        observer.told(entry, if is_old { Fate::There } else { Fate::Written(0) })?;
        self.times.push((path.clone(), entry.stat.mtime));
        Ok(Level::Open(OpenDirectory::at(path, is_old)))
    }

    fn path_of(&self, entry: &Entry<'_>, name: &str) -> PathBuf {
        match self.open.get(entry.depth) {
            Some(Level::Open(directory)) => directory.path.join(name),
            _ => PathBuf::from(name),
        }
    }

    /// Makes something under the first name that the target takes, and gives its path, or its fate if it takes no name. `make` also
    /// gets whether a file of this run has that name, but for the case of letters.
    fn create<T>(
        &mut self,
        entry: &Entry<'_>,
        observer: &mut dyn Observer,
        mut make: impl FnMut(&Path, bool) -> io::Result<T>,
    ) -> Result<std::result::Result<(PathBuf, T), Fate>> {
        let candidates = self.names.candidates(entry);
        let Some(Level::Open(directory)) = self.open.get_mut(entry.depth) else { return Ok(Err(Fate::NoDirectory)) };
        let mut failure = None;
        for name in candidates {
            let digest = (!is_numbered(entry) && self.names != Names::Exact).then(|| folded(&name));
            let is_ours = digest.is_some_and(|digest| directory.taken.contains(&digest));
            if self.names == Names::Portable && is_ours {
                continue;
            }
            let path = directory.path.join(&name);
            match make(&path, is_ours) {
                Ok(made) => {
                    directory.taken.extend(digest);
                    if name != entry.name {
                        observer.note(entry, Note::Renamed(name));
                    }
                    return Ok(Ok((path, made)));
                }
                Err(error) => {
                    let is_end = is_end(&error);
                    let is_taken = error.kind() == io::ErrorKind::AlreadyExists && is_ours;
                    let goes_on = may_be_the_name(&error) || is_taken;
                    let is_other = error.raw_os_error() == Some(libc::EEXIST);
                    let error = if is_other { is_other_file(&path) } else { cannot_write(&path, error) };
                    if is_end {
                        return Err(error);
                    }
                    failure.get_or_insert(error.to_string());
                    if !goes_on {
                        break;
                    }
                }
            }
        }
        Ok(Err(Fate::Failed(failure.unwrap_or_else(|| "another file has its name".to_owned()))))
    }

    /// The files that an earlier run may have written of an entry.
    fn known(&mut self, entry: &Entry<'_>) -> Vec<PathBuf> {
        let names = self.names.candidates(entry);
        let Some(Level::Open(directory)) = self.open.get_mut(entry.depth) else { return Vec::new() };
        if !directory.is_old {
            return Vec::new();
        }
        let paths = names.iter().map(|name| directory.path.join(name));
        let mut known: Vec<PathBuf> =
            paths.filter(|path| path.symlink_metadata().is_ok_and(|meta| !meta.is_dir())).collect();
        if known.is_empty() && is_numbered(entry) {
            known.extend(directory.renamed_message(entry.name).cloned());
        }
        known
    }

    /// The file that an earlier run wrote of an entry: with the same bytes, under a name that the entry may get.
    fn found(&mut self, entry: &Entry<'_>, make: Make<'_>) -> Result<Option<PathBuf>> {
        for path in self.known(entry) {
            if is_same(&path, make)? {
                let name = path.file_name().and_then(|name| name.to_str()).map(folded);
                if let Some(Level::Open(directory)) = self.open.get_mut(entry.depth) {
                    directory.taken.extend(name);
                }
                return Ok(Some(path));
            }
        }
        Ok(None)
    }

    /// Gives a message that lies in several mailboxes, and was written, one more name; false if that cannot be.
    fn second_name(&mut self, entry: &Entry<'_>, observer: &mut dyn Observer) -> bool {
        let Some(first) = self.links.get(&entry.node).filter(|_| entry.stat.links > 1) else { return false };
        let Some(Level::Open(directory)) = self.open.get(entry.depth) else { return false };
        let mut names = self.names.candidates(entry).into_iter();
        let named = names.find(|name| self.medium.second_name(first, &directory.path.join(name)).is_ok());
        if let Some(name) = named.as_ref().filter(|name| *name != entry.name) {
            observer.note(entry, Note::Renamed(name.clone()));
        }
        named.is_some()
    }

    /// Writes a file of the tree.
    fn write(&mut self, entry: &Entry<'_>, observer: &mut dyn Observer) -> Result<Fate> {
        let tree = self.tree;
        self.place(entry, observer, &mut |out| {
            loop {
                let bytes = tree.read(entry.node, out.size, CHUNK)?;
                out.put(&bytes)?;
                if bytes.len() < CHUNK {
                    return Ok(());
                }
            }
        })
    }

    /// Writes a file of what `make` makes, unless it is there, and gives it its name when all of it is there. A failure that is
    /// no other entry's is the fate.
    ///
    /// Errors: nothing more can be written at all.
    pub(super) fn place(&mut self, entry: &Entry<'_>, observer: &mut dyn Observer, make: Make<'_>) -> Result<Fate> {
        match self.found(entry, make) {
            Ok(Some(path)) => {
                if entry.stat.links > 1 {
                    self.links.entry(entry.node).or_insert(path);
                }
                return Ok(Fate::There);
            }
            Ok(None) if self.is_dry => {
                let other = self.known(entry).into_iter().next();
                return Ok(other.map_or(Fate::Planned, |path| failed(&is_other_file(&path))));
            }
            Ok(None) if self.second_name(entry, observer) => return Ok(Fate::Written(0)),
            Ok(None) => {}
            Err(error) => return Ok(failed(&error)),
        }
        let Some(Level::Open(directory)) = self.open.get(entry.depth) else { return Ok(Fate::NoDirectory) };
        let path = directory.path.join(entry.name);
        let mut file = match self.medium.file(&directory.path) {
            Ok(file) => file,
            Err(error) if is_end(&error) => return Err(cannot_write(&path, error)),
            Err(error) => return Ok(failed(&cannot_write(&path, error))),
        };
        let size = match fill(&mut file, &path, make)? {
            Ok(size) => size,
            Err(fate) => return Ok(fate),
        };
        // A date that cannot be kept is no reason to lose the file.
        let is_dated = file.open().and_then(|file| file.set_modified(time(entry.stat.mtime))).is_ok();
        let medium = self.medium;
        let path = match self.create(entry, observer, |path, _| medium.name(&mut file, path))? {
            Ok((path, ())) => path,
            Err(fate) => return Ok(fate),
        };
        if !is_dated {
            observer.note(entry, Note::Undated);
        }
        if entry.stat.links > 1 {
            self.links.insert(entry.node, path);
        }
        Ok(Fate::Written(size))
    }

    /// A link, or where there can be none a file with its target.
    fn link(&mut self, entry: &Entry<'_>, observer: &mut dyn Observer) -> Result<Fate> {
        let target = match self.tree.read_link(entry.node) {
            Ok(target) => target,
            Err(error) => return Ok(failed(&error)),
        };
        let leads_there = |path: &PathBuf| {
            fs::read_link(path).is_ok_and(|known| known.as_os_str() == target.as_str())
                || fs::read(path).is_ok_and(|text| text == target.as_bytes())
        };
        if self.known(entry).iter().any(leads_there) {
            return Ok(Fate::There);
        }
        if self.is_dry {
            return Ok(Fate::Planned);
        }
        let (medium, names) = (self.medium, self.names);
        let mut is_file = false;
        let made = self.create(entry, observer, |path, _| match medium.link(&target, path) {
            Err(error) if names != Names::Exact && knows_no_links(&error) => {
                is_file = true;
                let mut file = medium.file(path.parent().unwrap_or(Path::new(".")))?;
                file.open()?.write_all(target.as_bytes())?;
                medium.name(&mut file, path)
            }
            made => made,
        })?;
        if let Err(fate) = made {
            return Ok(fate);
        }
        if is_file {
            observer.note(entry, Note::LinkAsFile);
        }
        Ok(Fate::Written(0))
    }
}

impl Receiver for Directory<'_> {
    fn directory(&mut self, entry: &Entry<'_>, is_wanted: bool, observer: &mut dyn Observer) -> Result<()> {
        self.open.truncate(entry.depth + 1);
        let level = if !is_wanted {
            Level::Pending(PendingDirectory::of(entry))
        } else if self.is_ready(entry, observer)? {
            self.make(entry, observer)?
        } else {
            observer.told(entry, Fate::NoDirectory)?;
            Level::Failed
        };
        self.open.push(level);
        Ok(())
    }

    fn has_directory(&self, depth: usize) -> bool {
        !matches!(self.open.get(depth), Some(Level::Pending(..)) | None)
    }

    fn file(&mut self, entry: &Entry<'_>, observer: &mut dyn Observer) -> Result<()> {
        let fate = if !self.is_ready(entry, observer)? {
            Fate::NoDirectory
        } else if entry.stat.file_type == FileType::Link {
            self.link(entry, observer)?
        } else {
            self.write(entry, observer)?
        };
        observer.told(entry, fate)
    }
}

/// Makes the bytes of a file, from the start at each call.
pub(super) type Make<'m> = &'m mut dyn FnMut(&mut Output<'_>) -> Result<()>;

/// True if a file holds what `make` makes.
fn is_same(path: &Path, make: Make<'_>) -> Result<bool> {
    let is_file = path.symlink_metadata().is_ok_and(|meta| meta.is_file());
    let Some(file) = is_file.then(|| File::open(path).ok()).flatten() else { return Ok(false) };
    let mut known = Output::beside(file, path);
    match make(&mut known).and_then(|()| known.end()) {
        Ok(()) => Ok(true),
        Err(_) if known.differs => Ok(false),
        Err(error) => Err(error),
    }
}

/// Fills a file, and gives how many bytes it has.
fn fill(file: &mut NewFile, path: &Path, make: Make<'_>) -> Result<std::result::Result<u64, Fate>> {
    let open = match file.open() {
        Ok(open) => open,
        Err(error) => return Ok(Err(failed(&cannot_write(path, error)))),
    };
    let mut out = Output::new(open, path);
    match make(&mut out).and_then(|()| out.end()) {
        Ok(()) => Ok(Ok(out.size)),
        Err(error) if out.is_end => Err(error),
        Err(error) => Ok(Err(failed(&error))),
    }
}

fn is_other_file(path: &Path) -> Error {
    let what = if path.is_dir() { "as a directory" } else { "with other bytes" };
    Error::new(ErrorKind::Storage, format!("{} is there {what}, and stays as it is", path.display()))
}

fn cannot_write(path: &Path, error: io::Error) -> Error {
    Error::io(format!("cannot write {}", path.display()), error)
}

/// The error of a target that cannot be made. It says which file is where a directory is needed.
fn cannot_make(into: &Path, error: io::Error) -> Error {
    let file = into.ancestors().find(|path| fs::metadata(path).is_ok_and(|meta| !meta.is_dir()));
    match file {
        Some(file) => {
            let what = format!("cannot write into {}: {} is a file, not a directory", into.display(), file.display());
            Error::new(ErrorKind::Storage, what).hint("give another directory, or move the file away")
        }
        None => Error::io(format!("cannot make {}", into.display()), error),
    }
}

fn time(seconds: i64) -> SystemTime {
    match u64::try_from(seconds) {
        Ok(after) => UNIX_EPOCH + Duration::from_secs(after.min(1 << 40)),
        Err(_) => UNIX_EPOCH - Duration::from_secs(seconds.unsigned_abs().min(1 << 40)),
    }
}

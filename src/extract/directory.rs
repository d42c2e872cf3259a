//! Files on a disk: no file is overwritten, no link followed, dates kept. A name or a file that the target refuses is told,
//! and the rest is written.

use super::destination::Destination;
use super::handle::Handle;
use super::links::Links;
use super::medium::{Medium, NewFile, is_end, knows_no_links, may_be_the_name};
use super::names::{Names, is_numbered};
use super::open_directory::OpenDirectory;
use super::output::Output;
use super::visit::{Entry, Fate, Note, Observer, PendingDirectory, Receiver, failed};
use crate::error::{Error, ErrorKind, Result};
use crate::tree::{FileType, Tree};
use rustix::fs::{Mode, OFlags, open};
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
    skips_existing: bool,
    links: Links<PathBuf>,
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

impl<'a> Directory<'a> {
    /// Writes below a directory, which is made if it is missing.
    ///
    /// Errors: it cannot be made.
    pub(super) fn open(tree: &'a Tree, destination: &Destination<'a>) -> Result<Directory<'a>> {
        let Destination { into, names, medium, is_dry, skips_existing } = *destination;
        let is_old = into.exists();
        if !is_dry {
            fs::create_dir_all(into).map_err(|error| cannot_make(into, error))?;
        }
        let handle = match Handle::of_target(into) {
            Ok(handle) => Some(handle),
            Err(_) if is_dry => None,
            Err(error) => return Err(cannot_make(into, error)),
        };
        let mut links = Links::default();
        let number = links.directory(into.to_owned());
        let open = vec![Level::Open(OpenDirectory::new(into.to_owned(), handle, is_old, number))];
        Ok(Directory { tree, names, medium, is_dry, skips_existing, links, times: Vec::new(), open })
    }

    /// Goes into the directory that was made last, so that it has the depth of the one around it; false if it was not made.
    pub(super) fn go_down(&mut self) -> bool {
        self.open.remove(0);
        matches!(self.open.first(), Some(Level::Open(_)))
    }

    /// Gives `into` this date in the end.
    pub(super) fn date(&mut self, mtime: i64) {
        if let Some(Level::Open(directory)) = self.open.first() {
            self.times.push((directory.shown.clone(), mtime));
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
            let name = self.names.candidates(entry).swap_remove(0);
            return self.plan(entry, &name, observer);
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
        let Some(Level::Open(around)) = self.open.get(entry.depth) else { return Ok(Level::Failed) };
        let entered = made.and_then(|(name, is_old)| {
            let shown = around.shown.join(&name);
            let handle = around.enter(&name).map_err(|error| failed(&cannot_write(&shown, error)))?;
            Ok((shown, handle, is_old))
        });
        match entered {
            Ok((shown, handle, is_old)) => {
                observer.told(entry, if is_old { Fate::There } else { Fate::Written(0) })?;
                self.times.push((shown.clone(), entry.stat.mtime));
                let number = self.links.directory(shown.clone());
                Ok(Level::Open(OpenDirectory::new(shown, Some(handle), is_old, number)))
            }
            Err(fate) => {
                observer.told(entry, fate)?;
                Ok(Level::Failed)
            }
        }
    }

    /// Goes into a directory in a plan: it may not be there.
    fn plan(&mut self, entry: &Entry<'_>, name: &str, observer: &mut dyn Observer) -> Result<Level> {
        let Some(Level::Open(around)) = self.open.get(entry.depth) else { return Ok(Level::Failed) };
        let handle = around.enter(name).ok();
        let (shown, is_old) = (around.shown.join(name), handle.is_some());
        observer.told(entry, if is_old { Fate::There } else { Fate::Planned })?;
        let number = self.links.directory(shown.clone());
        Ok(Level::Open(OpenDirectory::new(shown, handle, is_old, number)))
    }

    /// Makes something under the first name that the target takes, and gives that name, or its fate if it takes none. `make` also
    /// gets whether a file of this run has that name, but for the case of letters.
    fn create<T>(
        &mut self,
        entry: &Entry<'_>,
        observer: &mut dyn Observer,
        mut make: impl FnMut(&Path, bool) -> io::Result<T>,
    ) -> Result<std::result::Result<(String, T), Fate>> {
        let candidates = self.names.candidates(entry);
        let Some(Level::Open(directory)) = self.open.get_mut(entry.depth) else { return Ok(Err(Fate::NoDirectory)) };
        let mut failure = None;
        for name in candidates {
            let is_twin = !is_numbered(entry) && self.names != Names::Exact && directory.has_taken(&name);
            if self.names == Names::Portable && is_twin {
                continue;
            }
            let path = directory.join(&name);
            let is_ours = is_twin && !directory.lists(&name);
            match make(&path, is_ours) {
                Ok(made) => {
                    if !is_numbered(entry) {
                        directory.take(&name);
                    }
                    if name != entry.name {
                        observer.note(entry, Note::Renamed(name.clone()));
                    }
                    return Ok(Ok((name, made)));
                }
                Err(error) => {
                    let is_end = is_end(&error);
                    let is_taken = error.kind() == io::ErrorKind::AlreadyExists && is_ours;
                    let goes_on = may_be_the_name(&error) || is_taken;
                    let is_other = error.raw_os_error() == Some(libc::EEXIST);
                    let shown = directory.shown.join(&name);
                    let error = if is_other { is_other_file(&shown) } else { cannot_write(&shown, error) };
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

    /// Names under which an earlier run may have written an entry.
    fn known(&mut self, entry: &Entry<'_>) -> Vec<String> {
        let names = self.names.candidates(entry);
        let Some(Level::Open(directory)) = self.open.get_mut(entry.depth) else { return Vec::new() };
        if !directory.is_old {
            return Vec::new();
        }
        let is_there = |name: &String| directory.join(name).symlink_metadata().is_ok_and(|meta| !meta.is_dir());
        let mut known: Vec<String> = names.into_iter().filter(is_there).collect();
        if known.is_empty() && is_numbered(entry) {
            known.extend(directory.renamed_message(entry.name));
        }
        known
    }

    /// What a plan says of an entry whose name something else has.
    fn other(&mut self, entry: &Entry<'_>) -> Option<Fate> {
        let name = self.known(entry).into_iter().next()?;
        let Some(Level::Open(directory)) = self.open.get(entry.depth) else { return Some(Fate::NoDirectory) };
        Some(failed(&is_other_file(&directory.shown.join(name))))
    }

    /// The name under which an earlier run wrote an entry, with the same bytes.
    fn found(&mut self, entry: &Entry<'_>, make: Make<'_>) -> Result<Option<String>> {
        for name in self.known(entry) {
            let Some(Level::Open(directory)) = self.open.get_mut(entry.depth) else { continue };
            if is_same(&directory.join(&name), make)? {
                directory.take(&name);
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// The name of a file that is there for an entry and is not to be read: with this size, where there is one.
    fn found_unread(&mut self, entry: &Entry<'_>, size: Option<u64>) -> Option<String> {
        if !self.skips_existing {
            return None;
        }
        let known = self.known(entry);
        let Some(Level::Open(directory)) = self.open.get_mut(entry.depth) else { return None };
        let is_it = |name: &String| {
            let meta = directory.join(name).symlink_metadata();
            meta.is_ok_and(|meta| meta.is_file() && size.is_none_or(|size| size == meta.len()))
        };
        let name = known.into_iter().find(is_it)?;
        directory.take(&name);
        Some(name)
    }

    /// Notes where a message is that lies in several mailboxes.
    fn note_link(&mut self, entry: &Entry<'_>, name: &str) {
        if let Some(Level::Open(directory)) = self.open.get(entry.depth)
            && entry.stat.links > 1
        {
            self.links.note(entry.node, directory.number, name);
        }
    }

    /// Gives a message that lies in several mailboxes, and was written, one more name; false if that cannot be.
    fn second_name(&mut self, entry: &Entry<'_>, observer: &mut dyn Observer) -> Result<bool> {
        if entry.stat.links < 2 {
            return Ok(false);
        }
        let Some((directory, name)) = self.links.get(entry.node) else { return Ok(false) };
        let (first, medium) = (directory.join(name), self.medium);
        Ok(self.create(entry, observer, |path, _| medium.second_name(&first, path))?.is_ok())
    }

    /// Writes a file of the tree.
    fn write(&mut self, entry: &Entry<'_>, observer: &mut dyn Observer) -> Result<Fate> {
        let tree = self.tree;
        self.place(entry, Some(entry.stat.size), observer, &mut |out| {
            // A plan does not read whole files: that is what 'verify' is for.
            while !out.is_nowhere() {
                let bytes = tree.read(entry.node, out.size, CHUNK)?;
                out.put(&bytes)?;
                if bytes.len() < CHUNK {
                    break;
                }
            }
            Ok(())
        })
    }

    /// Writes a file of what `make` makes, unless it is there, and gives it its name when all of it is there. A failure that is
    /// no other entry's is the fate. `size` is how many bytes it has, where that is known.
    ///
    /// Errors: nothing more can be written at all.
    pub(super) fn place(
        &mut self,
        entry: &Entry<'_>,
        size: Option<u64>,
        observer: &mut dyn Observer,
        make: Make<'_>,
    ) -> Result<Fate> {
        if let Some(name) = self.found_unread(entry, size) {
            self.note_link(entry, &name);
            return Ok(Fate::ThereUnread);
        }
        match self.found(entry, make) {
            Ok(Some(name)) => {
                self.note_link(entry, &name);
                return Ok(Fate::There);
            }
            Ok(None) if self.is_dry => {
                if let Some(other) = self.other(entry) {
                    return Ok(other);
                }
                let made = make(&mut Output::nowhere());
                return Ok(made.map_or_else(|error| failed(&error), |()| Fate::Planned));
            }
            Ok(None) if self.second_name(entry, observer)? => return Ok(Fate::Written(0)),
            Ok(None) => {}
            Err(error) => return Ok(failed(&error)),
        }
        let Some(Level::Open(directory)) = self.open.get(entry.depth) else { return Ok(Fate::NoDirectory) };
        let shown = directory.shown.join(entry.name);
        let mut file = match self.medium.file(directory.path()) {
            Ok(file) => file,
            Err(error) if is_end(&error) => return Err(cannot_write(&shown, error)),
            Err(error) => return Ok(failed(&cannot_write(&shown, error))),
        };
        let size = match fill(&mut file, &shown, make)? {
            Ok(size) => size,
            Err(fate) => return Ok(fate),
        };
        // A date that cannot be kept is no reason to lose the file.
        let is_dated = file.open().and_then(|file| file.set_modified(time(entry.stat.mtime))).is_ok();
        let medium = self.medium;
        match self.create(entry, observer, |path, _| medium.name(&mut file, path))? {
            Ok((name, ())) => self.note_link(entry, &name),
            Err(fate) => return self.or_there(entry, make, fate),
        }
        if !is_dated {
            observer.note(entry, Note::Undated);
        }
        Ok(Fate::Written(size))
    }

    /// What could not get its name may be there meanwhile: another run fills the same directory.
    fn or_there(&mut self, entry: &Entry<'_>, make: Make<'_>, fate: Fate) -> Result<Fate> {
        if let Some(Level::Open(directory)) = self.open.get_mut(entry.depth) {
            directory.is_old = true;
        }
        Ok(match self.found(entry, make) {
            Ok(Some(_)) => Fate::There,
            Ok(None) | Err(_) => fate,
        })
    }

    /// A link, or where there can be none a file with its target.
    fn link(&mut self, entry: &Entry<'_>, observer: &mut dyn Observer) -> Result<Fate> {
        let target = match self.tree.read_link(entry.node) {
            Ok(target) => target,
            Err(error) => return Ok(failed(&error)),
        };
        let known = self.known(entry);
        let Some(Level::Open(directory)) = self.open.get(entry.depth) else { return Ok(Fate::NoDirectory) };
        let mut text = |out: &mut Output<'_>| out.put(target.as_bytes());
        for path in known.iter().map(|name| directory.join(name)) {
            let leads_there = fs::read_link(&path).is_ok_and(|known| known.as_os_str() == target.as_str());
            if leads_there || is_same(&path, &mut text)? {
                return Ok(Fate::There);
            }
        }
        if self.is_dry {
            return Ok(self.other(entry).unwrap_or(Fate::Planned));
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
    // Whatever has its name: a pipe would wait for a writer, a link lead elsewhere.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(file) = open(path, flags, Mode::empty()).map(File::from) else { return Ok(false) };
    if !file.metadata().is_ok_and(|meta| meta.is_file()) {
        return Ok(false);
    }
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

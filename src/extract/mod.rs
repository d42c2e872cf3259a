//! Writing a part of the tree to disk: no file is overwritten, no link followed, dates kept. A name or a file that the
//! target refuses is reported, and the rest is written.

use crate::error::{Error, ErrorKind, Result};
use crate::tree::{Bytes, Child, FileType, Node, Stat, Tree, name, walk};
use medium::{Medium, is_end, knows_no_links, may_be_the_name};
use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub mod medium;

/// How many bytes are copied at a time.
const CHUNK: usize = 1 << 20;

/// Why a directory of the tree is not made.
const IN_THE_WAY: &str = "a directory is needed there, and a file or a link has its name; move it away, or give another directory with --into";

/// Which names files and directories get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Names {
    /// The names of the tree, and a portable one in the place of each that the target refuses.
    #[default]
    Auto,
    /// The names of the tree; files whose names the target refuses are not extracted.
    Exact,
    /// Names that any file system takes.
    Portable,
}

/// The result of an extraction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extracted {
    /// Files and links written; a hard link counts as a file.
    pub files: u64,
    /// Bytes of the files, each hard-linked one counted once.
    pub bytes: u64,
    /// Files and directories that have another name than in the tree, and links that became files.
    pub changed: u64,
    /// Files whose date the target did not take.
    pub undated: u64,
    /// Path and reason of each file and directory that could not be read or written.
    pub failed: Vec<(String, String)>,
}

/// Writes the node at `path` of the tree into the directory `into`, which is made if it is missing: a file under its
/// own name, a directory with all it holds, the root as the account's folders but for those that decode the mail.
///
/// A file that exists already is left alone and counts as failed. Damaged files, and names that the target refuses, are
/// reported; the rest goes on. `each` gets each path, and a line for each changed name.
///
/// Errors: [`crate::error::ErrorKind::Storage`] if the target is full or read-only.
pub fn extract(
    tree: &Tree,
    path: &str,
    into: &Path,
    names: Names,
    medium: &dyn Medium,
    mut each: impl FnMut(&str),
) -> Result<Extracted> {
    let node = tree.resolve(path)?;
    let stat = tree.stat(node)?;
    fs::create_dir_all(into).map_err(|error| cannot_make(into, error))?;
    let mut writer = Extractor {
        tree,
        names,
        medium,
        links: HashMap::new(),
        done: Extracted::default(),
        times: Vec::new(),
        open: vec![OpenDirectory::at(into.to_owned())],
    };
    let name = path.rsplit('/').find(|part| !part.is_empty() && *part != ".");
    if stat.file_type != FileType::Directory {
        let start = TreeEntry { node, stat, name: name.unwrap_or("file"), shown: path, depth: 0 };
        writer.file(&start, &mut each)?;
        return Ok(writer.done);
    }
    if let Some(name) = name {
        let start = TreeEntry { node, stat, name, shown: path, depth: 0 };
        if !writer.directory(&start, &mut each)? {
            return Ok(writer.done);
        }
        // The walk is in that directory, and not in `into`.
        writer.open.remove(0);
    } else {
        writer.times.push((into.to_owned(), stat.mtime));
    }
    walk::walk(tree, node, |step| {
        if name.is_none() && step.child.node.is_decoded_mail() {
            return Ok(false);
        }
        each(step.path);
        writer.step(step.path, step.child, &mut each)
    })?;
    if !writer.done.failed.is_empty() {
        tree.require()?;
    }
    // Last, because writing into a directory changes its date.
    for (directory, mtime) in writer.times.iter().rev() {
        let _ = File::open(directory).and_then(|handle| handle.set_modified(time(*mtime)));
    }
    Ok(writer.done)
}

/// The error of a target that cannot be made. It says which file is where a directory is needed.
fn cannot_make(into: &Path, error: std::io::Error) -> Error {
    let file = into.ancestors().find(|path| fs::metadata(path).is_ok_and(|meta| !meta.is_dir()));
    match file {
        Some(file) => {
            let what = format!("cannot extract into {}: {} is a file, not a directory", into.display(), file.display());
            Error::new(ErrorKind::Storage, what).hint("give another directory with --into, or move the file away")
        }
        None => Error::io(format!("cannot make {}", into.display()), error),
    }
}

struct Extractor<'a> {
    tree: &'a Tree,
    names: Names,
    medium: &'a dyn Medium,
    /// The path at which a message that lies in several mailboxes was written first.
    links: HashMap<Node, PathBuf>,
    done: Extracted,
    /// Directories, and the dates that they get in the end.
    times: Vec<(PathBuf, i64)>,
    /// The directories above the walk's place, by depth. Below a directory that could not be made, this is shorter.
    open: Vec<OpenDirectory>,
}

/// A directory that is being filled.
struct OpenDirectory {
    path: PathBuf,
    /// Hashes of the names in it, see [`folded`].
    taken: HashSet<u64>,
}

impl OpenDirectory {
    fn at(path: PathBuf) -> OpenDirectory {
        OpenDirectory { path, taken: HashSet::new() }
    }
}

/// An entry of the tree that is to be written.
struct TreeEntry<'a> {
    node: Node,
    stat: Stat,
    name: &'a str,
    /// Its path, for people.
    shown: &'a str,
    /// How many directories are above it.
    depth: usize,
}

impl Extractor<'_> {
    /// Writes an entry that the walk meets; true if the walk is to go into it.
    fn step(&mut self, path: &str, child: &Child, each: &mut dyn FnMut(&str)) -> Result<bool> {
        let depth = path.matches('/').count();
        if depth >= self.open.len() {
            self.fail(path, "the directory that it lies in could not be made");
            return Ok(child.file_type == FileType::Directory);
        }
        self.open.truncate(depth + 1);
        let stat = match child.stat.map_or_else(|| self.tree.stat(child.node), Ok) {
            Ok(stat) => stat,
            Err(error) => {
                self.fail(path, &error.to_string());
                return Ok(false);
            }
        };
        let entry = TreeEntry { node: child.node, stat, name: &child.name, shown: path, depth };
        if child.file_type == FileType::Directory {
            // The walk also goes into a directory that could not be made, so that everything in it is reported.
            self.directory(&entry, each)?;
            return Ok(true);
        }
        self.file(&entry, each)?;
        Ok(false)
    }

    fn fail(&mut self, shown: &str, why: &str) {
        self.done.failed.push((shown.to_owned(), why.to_owned()));
    }

    /// The names that something may get, best first.
    fn candidates(&self, entry: &TreeEntry<'_>) -> Vec<String> {
        let exact = entry.name.to_owned();
        if self.names == Names::Exact {
            return vec![exact];
        }
        let portable = name::portable(entry.name, entry.node.is_message());
        let marked = name::marked_portable(&portable, &format!("~{}", entry.node.object()));
        let mut names = if self.names == Names::Auto { vec![exact, portable, marked] } else { vec![portable, marked] };
        names.dedup();
        names
    }

    /// Makes a file under the first name that the target takes, and gives its path; `None` if it takes no name. `make` also
    /// gets whether a file of this run has that name, but for the case of letters.
    fn create<T>(
        &mut self,
        entry: &TreeEntry<'_>,
        each: &mut dyn FnMut(&str),
        mut make: impl FnMut(&Path, bool) -> std::io::Result<T>,
    ) -> Result<Option<(PathBuf, T)>> {
        let candidates = self.candidates(entry);
        let Some(directory) = self.open.get_mut(entry.depth) else { return Ok(None) };
        let mut failure = None;
        for name in candidates {
            // The names of messages have numbers, and are many.
            let digest = (!entry.node.is_message() && self.names != Names::Exact).then(|| folded(&name));
            let is_ours = digest.is_some_and(|digest| directory.taken.contains(&digest));
            if self.names == Names::Portable && is_ours {
                continue;
            }
            let path = directory.path.join(&name);
            match make(&path, is_ours) {
                Ok(made) => {
                    directory.taken.extend(digest);
                    if name != entry.name {
                        self.done.changed += 1;
                        each(&format!("{} is extracted as {name}", entry.shown));
                    }
                    return Ok(Some((path, made)));
                }
                Err(error) => {
                    let is_end = is_end(&error);
                    let is_taken = error.kind() == std::io::ErrorKind::AlreadyExists && is_ours;
                    let goes_on = may_be_the_name(&error) || is_taken;
                    let error = Error::io(format!("cannot write {}", path.display()), error);
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
        self.fail(entry.shown, &failure.unwrap_or_else(|| "another file has its name".to_owned()));
        Ok(None)
    }

    /// Makes a directory and goes into it; false if it cannot be made.
    fn directory(&mut self, entry: &TreeEntry<'_>, each: &mut dyn FnMut(&str)) -> Result<bool> {
        let medium = self.medium;
        let made = self.create(entry, each, |path, is_ours| match medium.directory(path) {
            // A directory that was there before is filled. A link in its place would lead elsewhere.
            Err(error)
                if error.kind() == std::io::ErrorKind::AlreadyExists
                    && !is_ours
                    && fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir()) =>
            {
                Ok(())
            }
            Err(error)
                if error.kind() == std::io::ErrorKind::AlreadyExists
                    && !is_ours
                    && fs::symlink_metadata(path).is_ok() =>
            {
                Err(std::io::Error::new(error.kind(), IN_THE_WAY))
            }
            made => made,
        })?;
        let Some((path, ())) = made else { return Ok(false) };
        self.times.push((path.clone(), entry.stat.mtime));
        self.open.push(OpenDirectory::at(path));
        Ok(true)
    }

    /// Gives a message that lies in several mailboxes, and was written, one more name; false if that cannot be.
    fn second_name(&mut self, entry: &TreeEntry<'_>) -> bool {
        let Some(first) = self.links.get(&entry.node).filter(|_| entry.stat.links > 1) else { return false };
        let Some(directory) = self.open.get(entry.depth) else { return false };
        let names = self.candidates(entry);
        let named = names.iter().find(|name| self.medium.second_name(first, &directory.path.join(name)).is_ok());
        self.done.changed += u64::from(named.is_some_and(|name| name != entry.name));
        self.done.files += u64::from(named.is_some());
        named.is_some()
    }

    fn file(&mut self, entry: &TreeEntry<'_>, each: &mut dyn FnMut(&str)) -> Result<()> {
        if entry.stat.file_type == FileType::Link {
            return self.link(entry, each);
        }
        if self.second_name(entry) {
            return Ok(());
        }
        let medium = self.medium;
        // The first bytes are read before the file is made, so that a damaged file leaves no empty one behind.
        let bytes = match self.tree.read(entry.node, 0, CHUNK) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.fail(entry.shown, &error.to_string());
                return Ok(());
            }
        };
        let Some((path, file)) = self.create(entry, each, |path, _| medium.file(path))? else { return Ok(()) };
        match self.copy(entry, &path, file, bytes) {
            Ok(size) => {
                self.done.files += 1;
                self.done.bytes += size;
                if entry.stat.links > 1 {
                    self.links.insert(entry.node, path);
                }
            }
            Err(error) => {
                let _ = fs::remove_file(&path);
                self.fail(entry.shown, &error.to_string());
            }
        }
        Ok(())
    }

    /// A link, or where there can be none a file with its target.
    fn link(&mut self, entry: &TreeEntry<'_>, each: &mut dyn FnMut(&str)) -> Result<()> {
        let target = match self.tree.read_link(entry.node) {
            Ok(target) => target,
            Err(error) => {
                self.fail(entry.shown, &error.to_string());
                return Ok(());
            }
        };
        let (medium, names) = (self.medium, self.names);
        let mut is_file = false;
        let made = self.create(entry, each, |path, _| match medium.link(&target, path) {
            Err(error) if names != Names::Exact && knows_no_links(&error) => {
                is_file = true;
                medium.file(path)?.write_all(target.as_bytes())
            }
            made => made,
        })?;
        if made.is_some() {
            self.done.files += 1;
            if is_file {
                self.done.changed += 1;
                each(&format!("{} is extracted as a file with the target of the link", entry.shown));
            }
        }
        Ok(())
    }

    fn copy(&mut self, entry: &TreeEntry<'_>, path: &Path, file: File, mut bytes: Bytes) -> Result<u64> {
        let fail = |error| Error::io(format!("cannot write {}", path.display()), error);
        let mut out = BufWriter::new(file);
        let mut done = 0;
        loop {
            out.write_all(&bytes).map_err(fail)?;
            done += bytes.len() as u64;
            if bytes.len() < CHUNK {
                break;
            }
            bytes = self.tree.read(entry.node, done, CHUNK)?;
        }
        let file = out.into_inner().map_err(|error| fail(error.into_error()))?;
        // A date that cannot be kept is no reason to lose the file.
        self.done.undated += u64::from(file.set_modified(time(entry.stat.mtime)).is_err());
        Ok(done)
    }
}

/// The hash of a name on file systems that do not tell upper from lower case.
fn folded(name: &str) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    name.to_lowercase().hash(&mut hasher);
    hasher.finish()
}

fn time(seconds: i64) -> SystemTime {
    match u64::try_from(seconds) {
        Ok(after) => UNIX_EPOCH + Duration::from_secs(after.min(1 << 40)),
        Err(_) => UNIX_EPOCH - Duration::from_secs(seconds.unsigned_abs().min(1 << 40)),
    }
}

//! Dated copies of an archive, made while imports and mounts use it.

mod mark;
mod name;
mod pages;
mod retention;
mod unfinished;

pub use mark::{Incomplete, Missing};
pub use pages::Stage;
pub use retention::Retention;

use super::connect::FileStamp;
use super::read::Reader;
use super::snapshots::Policy;
use super::verify::{Depth, Finding, Verdict, verify_while};
use crate::error::{Error, ErrorKind, Result};
use crate::model::zone::local;
use name::Naming;
use pages::{INTERRUPTED, Pages, Watcher, copy_state};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use unfinished::{Unfinished, cannot_write, exists, remove_leftovers};

/// The share of blobs whose bytes are hashed in a copy that is proved by a sample.
const SAMPLE: f64 = 0.05;

/// Of a smaller archive all are.
const SAMPLE_BYTES: u64 = 256 << 20;

/// The place of what the disk of an archive did not give.
pub const UNREAD: &str = "file";

/// How a copy is proved before it gets its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Proof {
    /// Every byte is hashed.
    Full,
    /// All rows and pages are checked, and the bytes of 5% of the blobs are hashed, each day other ones. Of an archive of
    /// up to 256 MiB all are.
    #[default]
    Sample,
    /// Not at all.
    None,
}

/// What [`copy`] is to do.
#[derive(Debug, Clone, Default)]
pub struct CopyOptions {
    /// How the copy is proved.
    pub proof: Proof,
    /// Which copies stay; an empty policy removes none.
    pub keep: Policy,
}

/// What [`copy`] did.
#[derive(Debug)]
pub struct Copied {
    /// The copy.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// It shares its blocks with the archive, as the file system can do that.
    pub is_clone: bool,
    /// What the proof said; `None` without one.
    pub verdict: Option<Verdict>,
    /// What it lacks, as it is marked in the copy; `None` of a complete copy.
    pub incomplete: Option<Incomplete>,
    /// What became of other copies; `None` if they were not looked at: without rules, or after an incomplete copy.
    pub retention: Option<Retention>,
    /// What killed runs had left in the folder. It was removed.
    pub leftovers: Vec<PathBuf>,
}

impl Copied {
    /// Errors with [`ErrorKind::Partial`] if the copy is incomplete, or a copy that no rule keeps could not be removed.
    pub fn outcome(&self) -> Result<()> {
        let path = self.path.display();
        if let Some(incomplete) = &self.incomplete {
            let count = match incomplete.findings {
                1 => "1 thing is damaged or missing".to_owned(),
                count => format!("{count} things are damaged or missing"),
            };
            return Err(Error::new(ErrorKind::Partial, format!("the copy {path} is incomplete: {count}")).hint(
                "it is marked as incomplete, and no other copy was removed. Import again, which fetches what is lost, then copy again",
            ));
        }
        match self.retention.iter().map(|retention| retention.not_removed.len()).sum::<usize>() {
            0 => Ok(()),
            count => Err(Error::new(
                ErrorKind::Partial,
                format!("the copy {path} is made, but {count} older could not be removed"),
            )
            .hint("each one is named above, with the reason")),
        }
    }
}

/// The copy that has the name already which one made now would get: after a second run of a day.
///
/// Errors: [`ErrorKind::Usage`] if the day does not stand in the names, so that there would be one copy for ever, or if what
/// is there is no copy of this archive; [`ErrorKind::Partial`] if it is an incomplete one.
pub fn made_before(archive: &Path, destination: &Path) -> Result<Option<PathBuf>> {
    let now = local().now();
    let naming = Naming::new(archive, destination)?;
    naming.require_day(&now)?;
    let path = naming.path_at(&now)?;
    if path.symlink_metadata().is_err() {
        return Ok(None);
    }
    match retention::look(&path, &retention::Identity::of(&Reader::open(archive)?)?)? {
        Ok(true) => Ok(Some(path)),
        Ok(false) => Err(Error::new(ErrorKind::Partial, format!("the copy {} is incomplete", path.display()))
            .hint("remove it, and run again")),
        Err(why) => Err(Error::new(ErrorKind::Usage, format!("{} is there already, and {why}", path.display()))
            .hint("give the copies of each account a name of their own")),
    }
}

/// Copies an archive, in one of its states, to a path that may hold the date (`alice-%Y-%m-%d.sqlite`, in local time), or
/// into a folder. The copy gets its name when it is whole, proved and on the disk. It never replaces a file.
///
/// What is damaged in the archive is damaged in the copy: [`Copied::incomplete`] names it. `watch` hears of what is
/// done and to do, and ends the copy with false.
///
/// Errors: there is no copy, and nothing is left of it.
pub fn copy(
    archive: &Path,
    destination: &Path,
    options: &CopyOptions,
    watch: &mut dyn FnMut(Stage, u64, u64) -> bool,
) -> Result<Copied> {
    let now = local().now();
    let naming = Naming::new(archive, destination)?;
    if !options.keep.is_empty() {
        naming.require_day(&now)?;
        if options.proof == Proof::None {
            let what = "a copy that is not verified may not take the place of others";
            return Err(Error::new(ErrorKind::Usage, what).hint("leave out --verify none, or the rules (--keep-…)"));
        }
    }
    let path = naming.path_at(&now)?;
    if path.symlink_metadata().is_ok() {
        return Err(exists(&path));
    }
    let reader = Reader::open(archive)?;
    let leftovers = remove_leftovers(&naming.folder);
    let unfinished = Unfinished::new(&path, &naming.folder)?;
    let pages = copy_state(&reader, &unfinished, &path, watch)?;
    let stamp = reader.trace();
    unfinished.sync().map_err(|error| cannot_write(&path, error))?;
    // What the disk does not give is zeros in the copy: the two cannot be compared.
    let stamp = stamp.filter(|_| pages.unreadable.is_empty());
    let verdict = prove((&reader, stamp), options.proof, (&unfinished, &path), watch)?;
    let incomplete = mark(&pages, verdict.as_ref(), &unfinished, &path)?;
    let bytes = unfinished.file().metadata().map_err(|error| cannot_write(&path, error))?.len();
    unfinished.publish(&path)?;
    let retention = match options.keep.is_empty() || incomplete.is_some() {
        true => None,
        false => Some(retention::apply(&naming, &options.keep, &path, &reader)),
    };
    Ok(Copied { path, bytes, is_clone: pages.is_clone, verdict, incomplete, retention, leftovers })
}

/// Looks for damage in the copy.
///
/// Errors: [`ErrorKind::Storage`] if the archive has not the damage of the copy, so that its disk must be bad.
fn prove(
    (reader, stamp): (&Reader, Option<FileStamp>),
    proof: Proof,
    (unfinished, path): (&Unfinished, &Path),
    watch: &mut Watcher<'_>,
) -> Result<Option<Verdict>> {
    let sample = match proof {
        Proof::None => return Ok(None),
        Proof::Sample => {
            let bytes = unfinished.file().metadata().map_err(|error| cannot_write(path, error))?.len();
            if bytes <= SAMPLE_BYTES { 1.0 } else { SAMPLE }
        }
        Proof::Full => 1.0,
    };
    let depth = Depth::of_today(sample);
    let mut verify = |reader: &Reader| {
        let verdict = verify_while(reader, depth, |done, all| watch(Stage::Checking, done, all));
        verdict.map_err(|error| match error.kind {
            ErrorKind::Interrupted => Error::new(ErrorKind::Interrupted, INTERRUPTED),
            _ => error,
        })
    };
    let mut verdict = verify(&Reader::open(unfinished.path())?)?;
    let (hidden, shown) = (unfinished.path().display().to_string(), path.display().to_string());
    for finding in &mut verdict.findings {
        finding.what = finding.what.replace(&hidden, &shown);
    }
    if verdict.findings.is_empty() {
        return Ok(Some(verdict));
    }
    let original = verify(reader)?;
    let known: BTreeSet<&str> = original.findings.iter().map(|finding| finding.place.as_str()).collect();
    let new = verdict.findings.iter().find(|finding| !known.contains(finding.place.as_str()));
    // An archive that was written meanwhile may have been mended.
    match new.filter(|_| stamp.is_some() && reader.trace() == stamp && original.more == 0) {
        None => Ok(Some(verdict)),
        Some(Finding { place, what, .. }) => {
            let what = format!("the copy {shown} is not what the archive is ({place}: {what})");
            Err(Error::new(ErrorKind::Storage, what)
                .hint("check the disk of the copy; the archive is sound there, and nothing was left behind"))
        }
    }
}

/// Marks a copy that is not whole, and writes the mark through.
fn mark(pages: &Pages, verdict: Option<&Verdict>, unfinished: &Unfinished, path: &Path) -> Result<Option<Incomplete>> {
    let unread = |(from, to): &(u64, u64)| Finding {
        place: UNREAD.to_owned(),
        what: format!("the disk did not give the bytes {from} to {to}, which are zeros in the copy"),
        affected: Vec::new(),
    };
    let mut findings: Vec<Finding> = pages.unreadable.iter().map(unread).collect();
    let mut count = findings.len() as u64;
    if let Some(verdict) = verdict {
        findings.extend_from_slice(&verdict.findings);
        count += verdict.findings.len() as u64 + verdict.more;
    }
    if findings.is_empty() {
        // A copy of an incomplete copy is one, too.
        return Reader::open(unfinished.path())?.incomplete();
    }
    let incomplete = Incomplete::of(&findings, count);
    incomplete.write(unfinished)?;
    unfinished.sync().map_err(|error| cannot_write(path, error))?;
    Ok(Some(incomplete))
}

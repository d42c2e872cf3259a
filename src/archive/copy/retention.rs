//! Which copies stay, by the rules of `forget`.

use super::name::Naming;
use crate::archive::read::Reader;
use crate::archive::snapshots::Policy;
use crate::error::{Error, Result};
use crate::model::SourceIdent;
use crate::model::zone::local;
use jiff::tz::TimeZone;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// What became of the copies of an archive.
#[derive(Debug, Default)]
pub struct Retention {
    /// Copies that stay, the new one among them, each with the rules that want it.
    pub kept: BTreeMap<PathBuf, Vec<&'static str>>,
    /// Copies that were removed.
    pub removed: Vec<PathBuf>,
    /// Copies that no rule wants and that are still there, with the reason.
    pub not_removed: Vec<(PathBuf, String)>,
    /// Files with the name of a copy that no rule counts, with the reason.
    pub left_alone: Vec<(PathBuf, String)>,
}

/// A copy as the rules see it.
struct Known {
    path: PathBuf,
    time: i64,
    is_complete: bool,
}

/// What identifies each source of an archive.
type SourceKeys = BTreeSet<(String, String, String)>;

/// Removes copies that no rule wants. The new one is complete, and stays whatever the rules say.
pub(super) fn apply(naming: &Naming, policy: &Policy, new: &Path, source: &Reader) -> Retention {
    let zone = local().zone.clone();
    let mut retention = Retention::default();
    let mut copies = match list(naming, new, source, &zone, &mut retention) {
        Ok(copies) => copies,
        Err(error) => {
            // The new copy is there all the same.
            retention.not_removed.push((naming.folder.clone(), error.to_string()));
            return retention;
        }
    };
    copies.sort_by(|a, b| (a.time, &a.path).cmp(&(b.time, &b.path)));
    let numbered = |is_wanted: fn(&Known) -> bool| -> Vec<(i64, i64)> {
        let all = copies.iter().enumerate().filter(|(_, copy)| is_wanted(copy));
        all.map(|(at, copy)| (at as i64, copy.time)).collect()
    };
    // An incomplete copy pushes no complete one out, and stays itself where it would have as a complete one.
    let mut rules = policy.keep(&numbered(|_| true), &zone);
    for (at, wanted) in policy.keep(&numbered(|copy| copy.is_complete), &zone) {
        let known = rules.entry(at).or_default();
        let more: Vec<&str> = wanted.into_iter().filter(|rule| !known.contains(rule)).collect();
        known.extend(more);
    }
    for (at, copy) in copies.iter().enumerate() {
        let wanted = rules.remove(&(at as i64));
        match wanted {
            Some(wanted) => _ = retention.kept.insert(copy.path.clone(), wanted),
            None if copy.path == new => _ = retention.kept.insert(copy.path.clone(), vec!["new"]),
            None => match fs::remove_file(&copy.path) {
                Ok(()) => retention.removed.push(copy.path.clone()),
                Err(error) => retention.not_removed.push((copy.path.clone(), error.to_string())),
            },
        }
    }
    if !retention.removed.is_empty() {
        let _ = File::open(&naming.folder).and_then(|folder| folder.sync_all());
    }
    retention
}

/// The copies of the account in the folder, those in use left out.
fn list(
    naming: &Naming,
    new: &Path,
    source: &Reader,
    zone: &TimeZone,
    retention: &mut Retention,
) -> Result<Vec<Known>> {
    let ours = Identity::of(source)?;
    let mut copies = Vec::new();
    let entries = fs::read_dir(&naming.folder)
        .map_err(|error| Error::io(format!("cannot list the copies in {}", naming.folder.display()), error))?;
    for entry in entries {
        let entry = entry
            .map_err(|error| Error::io(format!("cannot list the copies in {}", naming.folder.display()), error))?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let Some(time) = naming.time_in(name, zone) else { continue };
        let path = naming.at(name);
        if path == new {
            copies.push(Known { path, time, is_complete: true });
            continue;
        }
        // The archive itself may lie there under such a name.
        let is_source = source.file.is_at(&path);
        if is_source || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            retention
                .left_alone
                .push((path, if is_source { "is the archive itself" } else { "is no file" }.to_owned()));
            continue;
        }
        match look(&path, &ours) {
            Ok(Ok(is_complete)) => copies.push(Known { path, time, is_complete }),
            Ok(Err(why)) => retention.left_alone.push((path, why.to_owned())),
            Err(error) => retention.left_alone.push((path, error.to_string())),
        }
    }
    Ok(copies)
}

/// What copies of an archive are known by.
pub(super) struct Identity {
    /// Its sources. That of files which are imported one by one is the same in all archives, and tells nothing.
    sources: SourceKeys,
    /// Number and start of each snapshot.
    snapshots: BTreeSet<(i64, String)>,
}

impl Identity {
    pub(super) fn of(archive: &Reader) -> Result<Identity> {
        let sources =
            archive.source_keys()?.into_iter().filter(|(_, url, _)| url != SourceIdent::LOOSE_FILES).collect();
        let snapshots = archive.snapshots()?.into_iter().map(|one| (one.id, one.started)).collect();
        Ok(Identity { sources, snapshots })
    }

    /// True if two archives are states of one. Sources come and stay: of two states the older one has no source that the
    /// newer one lacks.
    fn is_that_of(&self, other: &Identity) -> bool {
        let (one, other_sources) = (&self.sources, &other.sources);
        if one.is_empty() || other_sources.is_empty() {
            return !self.snapshots.is_disjoint(&other.snapshots);
        }
        one.is_subset(other_sources) || other_sources.is_subset(one)
    }
}

/// True if a copy is complete; why it is left alone if it may not be removed.
pub(super) fn look(path: &Path, ours: &Identity) -> Result<Result<bool, &'static str>> {
    let copy = Reader::open(path)?;
    if !Identity::of(&copy)?.is_that_of(ours) {
        return Ok(Err("is an archive of another account"));
    }
    if copy.file.is_locked() || copy.trace().is_none_or(|trace| !trace.has_no_log()) {
        return Ok(Err("is being written, or has a log beside it"));
    }
    Ok(Ok(copy.incomplete()?.is_none()))
}

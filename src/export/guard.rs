//! When nothing of a target may be removed.

use super::options::Selection;
use crate::archive::{Depth, Moment, Reader, Snapshot, verify};
use crate::error::{Error, ErrorKind, Result};
use crate::model::ObjectType;
use std::collections::{BTreeMap, BTreeSet};

/// The share of the blobs that is hashed before anything is removed; structure and references are checked in full.
const SAMPLE: f64 = 0.05;

/// Errors unless the archive can be believed to hold all that the account had: every source's newest snapshot up to the
/// moment is complete, nothing is damaged, and nothing is left out.
pub fn check(reader: &Reader, moment: Moment, selection: &Selection) -> Result<()> {
    if selection.is_part() {
        return Err(Error::new(
            ErrorKind::Usage,
            "--prune cannot be combined with --path, --since, --until or --into: it would delete what they leave out",
        ));
    }
    let Moment::Snapshot(at) = moment else {
        return Err(Error::new(
            ErrorKind::Guard,
            "--prune is refused: the archive does not say whether its last import was complete",
        )
        .hint("import again with this version, or remove --prune"));
    };
    if let Some(one) = newest(reader, at)?.iter().find(|one| one.state != "complete") {
        let what = format!("--prune is refused: snapshot {} is {}, not complete", one.id, one.state);
        return Err(Error::new(ErrorKind::Guard, what).hint("import again, or remove --prune"));
    }
    let verdict = verify(reader, Depth { sample: SAMPLE, max_duration: None, seed: at as u64 }, |_, _| {})?;
    if let Some(finding) = verdict.findings.first() {
        return Err(Error::new(
            ErrorKind::Damaged,
            format!("--prune is refused: the archive is damaged ({}: {})", finding.place, finding.what),
        )
        .hint("'vandelay verify' lists all damage; remove --prune to export what is undamaged"));
    }
    Ok(())
}

/// Errors if a filter of the newest import of some source hid anything of these types, or of what lies in them.
pub(super) fn check_filters(reader: &Reader, moment: Moment, kinds: &BTreeSet<ObjectType>) -> Result<()> {
    let Moment::Snapshot(at) = moment else { return Ok(()) };
    for one in newest(reader, at)? {
        let report = reader.report(one.id)?;
        let Some(hidden) = report.as_ref().and_then(|report| report.get("hidden")?.as_object()) else {
            let what = format!("--prune is refused: snapshot {} does not say whether a filter hid something", one.id);
            return Err(Error::new(ErrorKind::Guard, what).hint("import again, or remove --prune"));
        };
        for (token, count) in hidden {
            let Some(kind) = ObjectType::from_token(token) else { continue };
            if !kinds.contains(&kind) && kind.holder().is_none_or(|holder| !kinds.contains(&holder)) {
                continue;
            }
            let what = format!(
                "--prune is refused: the import of snapshot {} hid a part of the type {token} with a filter ({count} folders or lists)",
                one.id
            );
            return Err(Error::new(ErrorKind::Guard, what)
                .hint("import again without a filter, leave the type out with --objects, or remove --prune"));
        }
    }
    Ok(())
}

/// The newest snapshot of each source up to this one, by number.
fn newest(reader: &Reader, at: i64) -> Result<Vec<Snapshot>> {
    let mut newest: BTreeMap<[Option<String>; 3], Snapshot> = BTreeMap::new();
    for one in reader.snapshots()?.into_iter().filter(|snapshot| snapshot.id <= at) {
        newest.insert([one.source_kind.clone(), one.source_url.clone(), one.account.clone()], one);
    }
    let mut newest: Vec<Snapshot> = newest.into_values().collect();
    newest.sort_unstable_by_key(|snapshot| snapshot.id);
    Ok(newest)
}

//! When nothing of a target may be removed.

use super::Selection;
use crate::archive::{Depth, Moment, Reader, verify};
use crate::error::{Error, Kind as Fault, Result};
use std::collections::HashMap;

/// The share of the blobs that is hashed before anything is removed; structure and references are checked in full.
const SAMPLE: f64 = 0.05;

/// Errors unless the archive can be believed to hold all that the account had: every source's newest snapshot up to the
/// moment is complete, nothing is damaged, and nothing is left out.
pub fn check(reader: &Reader, moment: Moment, selection: &Selection) -> Result<()> {
    if selection.is_part() {
        return Err(Error::new(
            Fault::Usage,
            "--prune does not go with --path, --since, --until and --into: what they leave out would be removed",
        ));
    }
    let Moment::Snapshot(at) = moment else {
        return Err(Error::new(
            Fault::Guard,
            "nothing is removed: the archive does not say whether its last import was complete",
        )
        .hint("import once more with this version, or leave --prune out"));
    };
    let mut newest: HashMap<[Option<String>; 3], (i64, String)> = HashMap::new();
    for snapshot in reader.snapshots()?.into_iter().filter(|snapshot| snapshot.id <= at) {
        let source = [snapshot.source_kind, snapshot.source_url, snapshot.account];
        newest.insert(source, (snapshot.id, snapshot.state));
    }
    if let Some((id, state)) = newest.values().filter(|(_, state)| state != "complete").min() {
        return Err(Error::new(Fault::Guard, format!("nothing is removed: snapshot {id} is {state}, not complete"))
            .hint("import once more, or leave --prune out"));
    }
    let verdict = verify(reader, Depth { sample: SAMPLE, max_duration: None, seed: at as u64 }, |_, _| {})?;
    if let Some(finding) = verdict.findings.first() {
        return Err(Error::new(
            Fault::Damaged,
            format!("nothing is removed: the archive is damaged ({}: {})", finding.place, finding.what),
        )
        .hint("'vandelay verify' names all damage; leave --prune out to export what is sound"));
    }
    Ok(())
}

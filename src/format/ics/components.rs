//! The components of a calendar, one by one.

use super::scan::Scan;
use crate::format::contentline as lines;

/// A component of a calendar, whole lines with their line ends.
pub(super) struct ComponentBytes {
    /// In capital letters, e.g. `VEVENT`.
    pub name: String,
    pub bytes: Vec<u8>,
}

/// The outermost components of the calendars in `bytes`, in their order, each ended by its END line and a line end:
/// what can be put together into another calendar.
pub(super) fn components(bytes: &[u8]) -> Vec<ComponentBytes> {
    let mut scan = Scan::default();
    for line in lines::lines(bytes) {
        scan.line(&line);
    }
    scan.finish(bytes.len());
    let mut found = Vec::with_capacity(scan.components.len());
    for component in scan.components {
        let mut own = bytes.get(component.range).unwrap_or_default().to_vec();
        if !own.ends_with(b"\n") && !own.ends_with(b"\r") {
            own.extend(b"\r\n");
        }
        for _ in 0..component.unclosed {
            own.extend(format!("END:{}\r\n", component.name).bytes());
        }
        found.push(ComponentBytes { name: component.name, bytes: own });
    }
    found
}

//! A calendar as one .ics file, an address book as one .vcf file: for programs that import files.

use super::assembly::{Added, Format, Item};
use super::output::Output;
use crate::error::Result;
use crate::format::ics;
use crate::tree::{Node, Tree};

/// The most bytes of one event or card.
const ITEM_MAX: usize = 64 << 20;

/// Calendars.
#[derive(Default)]
pub(super) struct Calendars {
    merger: ics::Merger,
}

/// Address books.
pub(super) struct AddressBooks;

impl Format for Calendars {
    fn extension(&self) -> &'static str {
        ".ics"
    }

    fn begin(&mut self, tree: &Tree, container: Node, out: &mut Output<'_>) -> Result<()> {
        self.merger = ics::Merger::default();
        let name = tree.lookup(container, "displayname").and_then(|child| tree.read_whole(child.node, ITEM_MAX))?;
        out.put(&ics::merged_head(&String::from_utf8_lossy(&name)))
    }

    fn add(&mut self, tree: &Tree, item: &Item, out: &mut Output<'_>) -> Result<Added> {
        let bytes = tree.read_whole(item.node, ITEM_MAX)?;
        if is_json(&bytes) {
            return Ok(Added::Not("iCalendar has no form for it"));
        }
        let parts = self.merger.parts(&bytes);
        parts.iter().try_for_each(|part| out.put(part))?;
        Ok(if parts.is_empty() { Added::Not("iCalendar has no form for it") } else { Added::Whole })
    }

    fn end(&mut self, out: &mut Output<'_>) -> Result<()> {
        out.put(b"END:VCALENDAR\r\n")
    }
}

impl Format for AddressBooks {
    fn extension(&self) -> &'static str {
        ".vcf"
    }

    fn add(&mut self, tree: &Tree, item: &Item, out: &mut Output<'_>) -> Result<Added> {
        let bytes = tree.read_whole(item.node, ITEM_MAX)?;
        if is_json(&bytes) {
            return Ok(Added::Not("vCard has no form for it"));
        }
        out.put(&bytes)?;
        if !bytes.ends_with(b"\n") {
            out.put(b"\r\n")?;
        }
        Ok(Added::Whole)
    }
}

/// True for the JSON that the tree shows of what the format has no words for.
fn is_json(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().starts_with(b"{")
}

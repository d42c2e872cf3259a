//! A mailbox as an mbox (mboxrd), with its flags in header fields.

use super::assembly::{Added, Format, Item, proved};
use super::directory::CHUNK;
use super::output::{Output, through_a_writer};
use crate::error::Result;
use crate::format::mbox::{Quoter, flag_fields, separator, without_flags};
use crate::tree::{Node, Tree};
use std::io::Write;

/// The format.
pub(super) struct Mbox;

impl Format for Mbox {
    fn extension(&self) -> &'static str {
        ".mbox"
    }

    fn contents(&self, tree: &Tree, container: Node) -> Result<Node> {
        Ok(tree.lookup(container, "cur")?.node)
    }

    fn add(&mut self, tree: &Tree, item: &Item, out: &mut Output<'_>) -> Result<Added> {
        let first = proved(tree, item.node)?;
        let keywords = tree.keywords(item.node)?;
        out.put(separator(item.mtime).as_bytes())?;
        out.put(flag_fields(&keywords).as_bytes())?;
        let mut quoter = Quoter::new(out);
        let mut put = |bytes: &[u8]| quoter.write_all(bytes).map_err(through_a_writer);
        put(&without_flags(&first, first.len() == CHUNK))?;
        let (mut offset, mut length) = (first.len() as u64, first.len());
        while length == CHUNK {
            let piece = tree.read(item.node, offset, CHUNK)?;
            put(&piece)?;
            length = piece.len();
            offset += length as u64;
        }
        quoter.finish().map_err(through_a_writer)?;
        Ok(Added::Whole)
    }
}

//! Objects by their paths in the tree, and bytes against their blobs.

use super::finding::Checked;
use crate::archive::Record;
use crate::error::{ErrorKind, Result};
use crate::model::Digest;
use crate::tree::{Node, Tree};

/// Reads objects through the tree.
pub(super) struct ReadBack<'t> {
    pub tree: &'t Tree,
}

impl ReadBack<'_> {
    /// Each path of an object with its node. What is not there, or is another object, is damage.
    pub(super) fn nodes(&self, record: &Record, checked: &mut Checked) -> Result<Vec<(String, Node)>> {
        let paths = self.tree.paths_of(record.kind, record.id)?;
        if paths.is_empty() {
            checked.damage(None, "the tree does not show it");
        }
        let mut nodes = Vec::with_capacity(paths.len());
        for path in paths {
            match self.tree.resolve(&path) {
                Ok(node) if node.shown_object() == Some((record.kind, record.id)) => nodes.push((path, node)),
                Ok(_) => checked.damage(Some(&path), "another object is at its path"),
                Err(error) if is_of_object(error.kind) => checked.damage(Some(&path), error.to_string()),
                Err(error) => return Err(error),
            }
        }
        Ok(nodes)
    }

    /// Reads a file to its end and compares it with its blob. Gives its size, or notes why it cannot be read. `each` gets
    /// its bytes.
    pub(super) fn bytes(
        &self,
        (path, node): (&str, Node),
        record: &Record,
        each: &mut dyn FnMut(&[u8]),
        checked: &mut Checked,
    ) -> Result<Option<u64>> {
        let (mut hasher, mut size) = (blake3::Hasher::new(), 0);
        let read = self.tree.read_through(node, |piece| {
            hasher.update(piece);
            size += piece.len() as u64;
            each(piece);
            Ok(())
        });
        checked.bytes += size;
        match read {
            Ok(()) => {
                self.compare(path, record, (Digest(*hasher.finalize().as_bytes()), size), checked)?;
                Ok(Some(size))
            }
            Err(error) if is_of_object(error.kind) => {
                checked.damage(Some(path), error.to_string());
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Compares what was read of a file with its blob.
    fn compare(&self, path: &str, record: &Record, read: (Digest, u64), checked: &mut Checked) -> Result<()> {
        match record.blob.map(|blob| self.tree.reader().blob(blob)) {
            Some(Ok(blob)) if (blob.digest, blob.size) == read => {}
            Some(Ok(blob)) => {
                let what = format!("its file has {} other bytes than the {} of blob {}", read.1, blob.size, blob.id);
                checked.damage(Some(path), what);
            }
            Some(Err(error)) if !is_of_object(error.kind) => return Err(error),
            Some(Err(error)) => checked.damage(Some(path), error.to_string()),
            None => checked.damage(Some(path), "the archive holds no bytes of it"),
        }
        Ok(())
    }
}

/// True if an error says something about one object, and nothing about the rest of the archive.
pub(super) fn is_of_object(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Damaged
            | ErrorKind::NotFound
            | ErrorKind::NotADirectory
            | ErrorKind::IsADirectory
            | ErrorKind::Unreadable
            | ErrorKind::Usage
    )
}

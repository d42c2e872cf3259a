//! A body on its way in: in memory as long as it is small, then in an unnamed file.

use crate::error::{Error, Result};
use crate::model::Body;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::path::PathBuf;

/// A body on its way in.
pub struct Spool {
    bytes: Vec<u8>,
    file: Option<File>,
    size: u64,
    /// Larger ones go into a file.
    in_memory: u64,
    folder: Option<PathBuf>,
}

impl Spool {
    /// An empty one. A body of more than `in_memory` bytes goes into a file in `folder`, or where temporary files are.
    pub fn new(in_memory: u64, folder: Option<PathBuf>) -> Spool {
        Spool { bytes: Vec::new(), file: None, size: 0, in_memory, folder }
    }

    /// Makes room for a body of this size, if it will stay in memory.
    pub fn expect(&mut self, size: u64) {
        if size <= self.in_memory {
            self.bytes.reserve_exact(size as usize);
        }
    }

    /// How many bytes came so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds what came.
    ///
    /// Errors: of [`crate::error::ErrorKind::Storage`] if a file cannot be written.
    pub fn add(&mut self, chunk: &[u8]) -> Result<()> {
        self.size += chunk.len() as u64;
        self.keep(chunk).map_err(|error| Error::io("cannot keep a large object in a file of its own", error))
    }

    fn keep(&mut self, chunk: &[u8]) -> io::Result<()> {
        if self.file.is_none() && self.size > self.in_memory {
            let mut file = match &self.folder {
                Some(folder) => tempfile::tempfile_in(folder)?,
                None => tempfile::tempfile()?,
            };
            file.write_all(&std::mem::take(&mut self.bytes))?;
            self.file = Some(file);
        }
        match &mut self.file {
            Some(file) => file.write_all(chunk),
            None => {
                self.bytes.extend_from_slice(chunk);
                Ok(())
            }
        }
    }

    /// The whole body.
    ///
    /// Errors: as those of [`Spool::add`].
    pub fn end(self) -> Result<Body> {
        let Some(mut file) = self.file else { return Ok(Body::Bytes(self.bytes)) };
        file.rewind().map_err(|error| Error::io("cannot read back a large object", error))?;
        Ok(Body::File(file))
    }
}

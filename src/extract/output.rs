//! Where the bytes of a file go: into a new file, or beside those of a file that is there, to see whether they are the same.

use super::medium::is_end;
use crate::error::{Error, ErrorKind, Result};
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

/// Enough for most messages.
const BUFFER: usize = 64 << 10;

/// Takes the bytes of one file, in order.
pub(super) struct Output<'f> {
    kind: Kind<'f>,
    /// For messages.
    path: &'f Path,
    /// How many there were.
    pub size: u64,
    /// Nothing more can be written at all.
    pub is_end: bool,
    /// Some bytes were not written: the file is worth nothing.
    pub is_broken: bool,
    /// The file beside has other bytes.
    pub differs: bool,
}

enum Kind<'f> {
    New(BufWriter<&'f mut File>),
    Known(BufReader<File>),
    Nowhere,
}

impl<'f> Output<'f> {
    fn with(kind: Kind<'f>, path: &'f Path) -> Output<'f> {
        Output { kind, path, size: 0, is_end: false, is_broken: false, differs: false }
    }

    /// Into a file.
    pub(super) fn new(file: &'f mut File, path: &'f Path) -> Output<'f> {
        Output::with(Kind::New(BufWriter::with_capacity(BUFFER, file)), path)
    }

    /// Beside the bytes of a file.
    pub(super) fn beside(file: File, path: &'f Path) -> Output<'f> {
        Output::with(Kind::Known(BufReader::with_capacity(BUFFER, file)), path)
    }

    /// Into nothing, in a plan.
    pub(super) fn nowhere() -> Output<'static> {
        Output::with(Kind::Nowhere, Path::new(""))
    }

    /// True in a plan.
    pub(super) fn is_nowhere(&self) -> bool {
        matches!(self.kind, Kind::Nowhere)
    }

    /// Takes some bytes.
    ///
    /// Errors: they cannot be written, or the file beside has others.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.size += bytes.len() as u64;
        let done = match &mut self.kind {
            Kind::Nowhere => return Ok(()),
            Kind::New(file) => file.write_all(bytes),
            Kind::Known(file) => match is_next(file, bytes) {
                true => Ok(()),
                false => return Err(self.differs()),
            },
        };
        done.map_err(|error| self.failed(error))
    }

    /// Ends the file.
    ///
    /// Errors: those of [`Output::put`].
    pub(super) fn end(&mut self) -> Result<()> {
        let done = match &mut self.kind {
            Kind::Nowhere => return Ok(()),
            Kind::New(file) => file.flush(),
            Kind::Known(file) => match file.read(&mut [0]) {
                Ok(0) => Ok(()),
                _ => return Err(self.differs()),
            },
        };
        done.map_err(|error| self.failed(error))
    }

    fn differs(&mut self) -> Error {
        self.differs = true;
        Error::new(ErrorKind::Storage, format!("{} is there, with other bytes", self.path.display()))
    }

    fn failed(&mut self, error: io::Error) -> Error {
        (self.is_end, self.is_broken) = (is_end(&error), true);
        Error::io(format!("cannot write {}", self.path.display()), error)
    }
}

impl Write for Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.put(bytes).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The error of [`Output::put`] that came through a writer.
pub(super) fn through_a_writer(error: io::Error) -> Error {
    error.downcast().unwrap_or_else(|error| Error::io("cannot write", error))
}

fn is_next(file: &mut BufReader<File>, bytes: &[u8]) -> bool {
    let mut piece = [0; 8 << 10];
    bytes.chunks(piece.len()).all(|wanted| {
        let known = &mut piece[..wanted.len()];
        file.read_exact(known).is_ok() && known == wanted
    })
}

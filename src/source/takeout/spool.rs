//! Bytes on their way from an exported file to the archive: small ones in memory, large ones in a file without name.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};
use std::ops::Range;
use std::path::PathBuf;

use crate::error::{Error, Kind as ErrorKind, Result};
use crate::format::mbox::{self, Unquoter};
use crate::model::{Body, Digest};

/// A body up to this many bytes is held in memory.
const IN_MEMORY: u64 = 16 << 20;

/// Bytes written at once when quoting is undone.
const GATHERED: usize = 64 << 10;

/// Reads stretches of files.
pub(super) struct Spool {
    dir: PathBuf,
    piece: Vec<u8>,
}

/// The bytes of a file, which must not be more than `limit`.
pub(super) fn read_whole(file: &mut File, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the file grew while it was read"));
    }
    Ok(bytes)
}

/// A stretch of a file.
#[derive(Debug, Clone)]
pub(super) struct Stretch {
    pub(super) range: Range<u64>,
    /// The quoting of mboxrd is to be undone.
    pub(super) unquote: bool,
}

impl Spool {
    pub(super) fn new(dir: PathBuf) -> Spool {
        Spool { dir, piece: Vec::new() }
    }

    /// The digest of a stretch.
    pub(super) fn digest(&mut self, file: &File, stretch: &Stretch) -> io::Result<Digest> {
        let mut hasher = blake3::Hasher::new();
        self.copy(file, stretch, &mut hasher)?;
        Ok(Digest(*hasher.finalize().as_bytes()))
    }

    /// The bytes of a stretch, which must still have the digest `expected` (hexadecimal). `name` is that of the file.
    pub(super) fn body(&mut self, file: &File, stretch: &Stretch, expected: &str, name: &str) -> Result<Body> {
        let len = stretch.range.end.saturating_sub(stretch.range.start);
        let cannot = |error| Error::io(format!("cannot read {name}"), error);
        let (body, digest) = if len <= IN_MEMORY {
            let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or_default());
            self.copy(file, stretch, &mut bytes).map_err(cannot)?;
            let digest = Digest::of(&bytes);
            (Body::Bytes(bytes), digest)
        } else {
            let spooled = |error| Error::io(format!("cannot copy from {name} to {}", self.dir.display()), error);
            let out = tempfile::tempfile_in(&self.dir).map_err(spooled)?;
            let mut tee = Tee { hasher: blake3::Hasher::new(), out };
            copy(&mut self.piece, file, stretch, &mut tee).map_err(spooled)?;
            tee.out.rewind().map_err(spooled)?;
            (Body::File(tee.out), Digest(*tee.hasher.finalize().as_bytes()))
        };
        if digest.hex() != expected {
            return Err(Error::new(ErrorKind::Storage, format!("{name} changed while it was read"))
                .hint("run the command again when nothing writes to that file"));
        }
        Ok(body)
    }

    fn copy(&mut self, file: &File, stretch: &Stretch, sink: &mut dyn Write) -> io::Result<()> {
        copy(&mut self.piece, file, stretch, sink)
    }
}

fn copy(piece: &mut Vec<u8>, file: &File, stretch: &Stretch, sink: &mut dyn Write) -> io::Result<()> {
    if stretch.unquote {
        // Between two quoted lines there may be few bytes.
        let mut unquoter = Unquoter::new(BufWriter::with_capacity(GATHERED, sink));
        mbox::copy(file, stretch.range.clone(), piece, &mut unquoter)?;
        unquoter.finish()?.0.flush()
    } else {
        mbox::copy(file, stretch.range.clone(), piece, sink).map(drop)
    }
}

struct Tee {
    hasher: blake3::Hasher,
    out: File,
}

impl Write for Tee {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = self.out.write(bytes)?;
        self.hasher.update(&bytes[..len]);
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

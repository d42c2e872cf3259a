//! Bytes on their way from an exported file to the archive: small ones in memory, large ones in a file without name.

use crate::error::{Error, ErrorKind, Result};
use crate::format::mbox::{self, Identity, Unquoter};
use crate::model::{Body, Digest};
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};
use std::ops::Range;
use std::path::PathBuf;

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
    /// It is a message: its digest is that of [`Identity`].
    pub(super) is_message: bool,
}

impl Stretch {
    /// A whole file, whatever is in it.
    pub(super) fn file(size: u64) -> Stretch {
        Stretch { range: 0..size, unquote: false, is_message: false }
    }
}

/// Computes the digest that a stretch is known by.
enum Hasher {
    Bytes(Box<blake3::Hasher>),
    Message(Box<Identity>),
}

impl Hasher {
    fn of(stretch: &Stretch) -> Hasher {
        match stretch.is_message {
            true => Hasher::Message(Box::default()),
            false => Hasher::Bytes(Box::default()),
        }
    }

    fn finish(self) -> Digest {
        match self {
            Hasher::Bytes(hasher) => Digest(*hasher.finalize().as_bytes()),
            Hasher::Message(identity) => Digest(identity.finish()),
        }
    }
}

impl Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Hasher::Bytes(hasher) => hasher.update(bytes),
            Hasher::Message(identity) => return identity.write(bytes),
        };
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Spool {
    pub(super) fn new(dir: PathBuf) -> Spool {
        Spool { dir, piece: Vec::new() }
    }

    /// The digest of a stretch.
    pub(super) fn digest(&mut self, file: &File, stretch: &Stretch) -> io::Result<Digest> {
        let mut hasher = Hasher::of(stretch);
        self.copy(file, stretch, &mut hasher)?;
        Ok(hasher.finish())
    }

    /// The bytes of a stretch, which must still have the digest `expected` (hexadecimal). `name` is that of the file.
    pub(super) fn body(&mut self, file: &File, stretch: &Stretch, expected: &str, name: &str) -> Result<Body> {
        let len = stretch.range.end.saturating_sub(stretch.range.start);
        let cannot = |error| Error::io(format!("cannot read {name}"), error);
        let (body, digest) = if len <= IN_MEMORY {
            let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or_default());
            self.copy(file, stretch, &mut bytes).map_err(cannot)?;
            let mut hasher = Hasher::of(stretch);
            hasher.write_all(&bytes).map_err(cannot)?;
            (Body::Bytes(bytes), hasher.finish())
        } else {
            let spooled = |error| Error::io(format!("cannot copy from {name} to {}", self.dir.display()), error);
            let out = tempfile::tempfile_in(&self.dir).map_err(spooled)?;
            let mut tee = Tee { hasher: Hasher::of(stretch), out };
            copy(&mut self.piece, file, stretch, &mut tee).map_err(spooled)?;
            tee.out.rewind().map_err(spooled)?;
            (Body::File(tee.out), tee.hasher.finish())
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
    hasher: Hasher,
    out: File,
}

impl Write for Tee {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = self.out.write(bytes)?;
        self.hasher.write_all(&bytes[..len])?;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

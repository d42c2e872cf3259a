//! Where the bytes of a file are, and whether a program has written to it since.

use crate::error::{Error, Result};
use crate::source::unpack::{HEAD, Packing};
use std::fs::{self, File, Metadata};
use std::io::{self, BufReader, BufWriter, Read, Seek};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Any file may become this large when it is unpacked: what a bomb costs below it is not worth refusing mail.
const HARMLESS: u64 = 64 << 20;
/// How many times its size a packed file may become. Text of logs is packed to a hundredth.
const RATIO: u64 = 1000;

/// Where the bytes of a file are.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// Below a path.
    Path(PathBuf),
    /// Below a path, and compressed.
    Packed(PathBuf, Packing, Arc<Unpacker>),
    /// In a file without a name, which this run has made: standard input.
    Spooled(Arc<File>),
}

impl Place {
    /// The file, to be read from its start. Two open files of one spooled place share their position.
    pub(super) fn open(&self) -> io::Result<(File, Stamp)> {
        let file = match self {
            Place::Path(path) => File::open(path)?,
            Place::Packed(path, packing, unpacker) => return unpacker.open(path, *packing),
            Place::Spooled(file) => again(file)?,
        };
        let stamp = Stamp::of(&file.metadata()?);
        Ok((file, stamp))
    }

    /// The first bytes of what a file at a path holds, if that is compressed.
    pub(super) fn unpacked_head(path: &Path, packing: Packing, length: usize) -> io::Result<Vec<u8>> {
        let mut head = Vec::new();
        // What comes before the damage is enough.
        let _ = packing.reader(BufReader::new(File::open(path)?))?.take(length as u64).read_to_end(&mut head);
        Ok(head)
    }

    /// The stamp of the file as it is now; of a compressed one as it lies there.
    pub(super) fn stamp(&self) -> io::Result<Stamp> {
        match self {
            Place::Path(path) | Place::Packed(path, ..) => fs::metadata(path),
            Place::Spooled(file) => file.metadata(),
        }
        .map(|metadata| Stamp::of(&metadata))
    }

    /// The path, if there is one.
    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Place::Path(path) | Place::Packed(path, ..) => Some(path),
            Place::Spooled(_) => None,
        }
    }

    /// Copies all that `input` has into a file without a name in `dir`, unpacked if it is compressed.
    pub(super) fn spool(mut input: impl Read, dir: &Path) -> Result<Place> {
        let cannot = |error| {
            Error::io(format!("cannot copy standard input to {}", dir.display()), error)
                .hint("there has to be a directory with room for all of it, where the archive is to be")
        };
        let mut file = tempfile::tempfile_in(dir).map_err(cannot)?;
        let size = io::copy(&mut input, &mut file).map_err(cannot)?;
        let mut head = Vec::new();
        again(&file).and_then(|file| file.take(HEAD).read_to_end(&mut head)).map_err(cannot)?;
        let file = match Packing::of(&head) {
            Some(packing) => again(&file).and_then(|packed| unpack(packed, size, packing, dir)).map_err(cannot)?,
            None => file,
        };
        Ok(Place::Spooled(Arc::new(file)))
    }
}

/// What a compressed file of so many bytes holds, in a file without a name in `dir`.
fn unpack(packed: File, size: u64, packing: Packing, dir: &Path) -> io::Result<File> {
    let limit = size.saturating_mul(RATIO).max(HARMLESS);
    let mut out = BufWriter::new(tempfile::tempfile_in(dir)?);
    let mut inner = packing.reader(BufReader::new(packed))?.take(limit + 1);
    if io::copy(&mut inner, &mut out)? > limit {
        let what = format!("what it holds is larger than {limit} bytes, and the file has {size}");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, what));
    }
    out.into_inner().map_err(io::IntoInnerError::into_error)
}

/// The same file, from its start.
fn again(file: &File) -> io::Result<File> {
    let mut file = file.try_clone()?;
    file.rewind()?;
    Ok(file)
}

/// Unpacks files into one without a name. It keeps the last one, of which several pieces may be asked for.
#[derive(Debug)]
pub(super) struct Unpacker {
    dir: PathBuf,
    last: Mutex<Option<(PathBuf, Stamp, File)>>,
}

impl Unpacker {
    pub(super) fn new(dir: &Path) -> Unpacker {
        Unpacker { dir: dir.to_owned(), last: Mutex::new(None) }
    }

    /// What a file holds, with the time of that file.
    fn open(&self, path: &Path, packing: Packing) -> io::Result<(File, Stamp)> {
        let packed = File::open(path)?;
        let stamp = Stamp::of(&packed.metadata()?);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let file = match &*last {
            Some((known, then, file)) if known == path && *then == stamp => again(file)?,
            _ => {
                // Room for the next one.
                *last = None;
                let file = unpack(packed, stamp.size, packing, &self.dir)?;
                let opened = again(&file)?;
                *last = Some((path.to_owned(), stamp, file));
                opened
            }
        };
        let size = file.metadata()?.len();
        Ok((file, Stamp { size, ..stamp }))
    }
}

/// Changes when a program writes to the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) size: u64,
    /// Time of the last change of the bytes, nanoseconds since 1970.
    mtime: i128,
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Stamp {
        let mtime = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
        Stamp { size: metadata.len(), mtime }
    }

    /// The time of the last change in seconds since 1970.
    pub(super) fn seconds(&self) -> i64 {
        i64::try_from(self.mtime.div_euclid(1_000_000_000)).unwrap_or_default()
    }

    /// A cursor that holds as long as the file and these options stay as they are. `options` begins with the version
    /// of the rules that listed the file.
    pub(super) fn cursor(&self, options: &str) -> String {
        format!("{options}:{}:{}", self.size, self.mtime)
    }
}

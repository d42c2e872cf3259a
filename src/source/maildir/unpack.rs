//! Compressed messages, as Dovecot's zlib plugin writes them: a whole file of gzip or zstd under an ordinary name.

use std::io::{self, Read, Seek, Write};
use std::path::Path;

use crate::model::Body;

use super::fetch::{IN_MEMORY, Trouble};

/// As many bytes of a file as [`Packing::of`] needs.
pub(super) const HEAD: u64 = 4;

/// Any message may become this large: what a bomb costs below it is not worth refusing mail.
const HARMLESS: u64 = 64 << 20;
/// How far beyond its name's `S=` a message may go.
const SLACK: u64 = 64 << 10;
/// The largest message, and how many times its file it may be. An `S=` lifts one of the two, none needs both.
const LARGEST: u64 = 2 << 30;
const RATIO: u64 = 1000;

/// How a file seems to be compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

/// What a file says of its size.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// The size of the compressed file in bytes.
    pub packed: u64,
    /// The size that its name gives the message (`S=`).
    pub claimed: Option<u64>,
}

impl Limits {
    /// The largest size in bytes to unpack to, and the words for it.
    fn largest(self) -> (u64, String) {
        let plausible = self.packed.saturating_mul(RATIO);
        match self.claimed {
            Some(claimed) => {
                let largest = claimed.saturating_add(SLACK).min(plausible.max(LARGEST)).max(HARMLESS);
                (largest, format!("is larger than {largest} bytes, and its name says {claimed}"))
            }
            None => {
                let largest = plausible.clamp(HARMLESS, LARGEST);
                (largest, format!("is larger than {largest} bytes, and the file has {}", self.packed))
            }
        }
    }
}

impl Packing {
    /// The packing that the first bytes of a file speak for.
    pub fn of(head: &[u8]) -> Option<Packing> {
        match head {
            [0x1f, 0x8b, 0x08, ..] => Some(Packing::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Packing::Zstd),
            _ => None,
        }
    }

    /// Unpacks a file from its start. `None` if it is not compressed after all, or damaged: then it is kept as it is.
    pub fn unpack(self, packed: impl Read, limits: Limits, spool: &Path) -> Result<Option<Body>, Trouble> {
        match self {
            Packing::Gzip => pour(flate2::read::MultiGzDecoder::new(packed), limits, spool),
            Packing::Zstd => match zstd::stream::read::Decoder::new(packed) {
                Ok(decoder) => pour(decoder, limits, spool),
                Err(_) => Ok(None),
            },
        }
    }
}

fn pour(mut from: impl Read, limits: Limits, spool: &Path) -> Result<Option<Body>, Trouble> {
    let (largest, reason) = limits.largest();
    let mut bytes = Vec::new();
    let mut spilled: Option<std::fs::File> = None;
    let mut total = 0;
    let mut chunk = vec![0; 64 << 10];
    loop {
        let length = match from.read(&mut chunk) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return Ok(None),
        };
        total += length as u64;
        if total > largest {
            return Err(Trouble::TooLarge(format!("what it holds {reason}")));
        }
        bytes.extend_from_slice(&chunk[..length]);
        if bytes.len() as u64 > IN_MEMORY {
            let file = match &mut spilled {
                Some(file) => file,
                None => spilled.insert(tempfile::tempfile_in(spool).map_err(Trouble::Spool)?),
            };
            file.write_all(&bytes).map_err(Trouble::Spool)?;
            bytes.clear();
        }
    }
    let Some(mut file) = spilled else { return Ok(Some(Body::Bytes(bytes))) };
    file.write_all(&bytes).and_then(|()| file.rewind()).map_err(Trouble::Spool)?;
    Ok(Some(Body::File(file)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn size(packed: &[u8], claimed: Option<u64>) -> Result<Option<u64>, String> {
        let limits = Limits { packed: packed.len() as u64, claimed };
        match Packing::of(packed).unwrap().unpack(packed, limits, &std::env::temp_dir()) {
            Ok(None) => Ok(None),
            Ok(Some(Body::Bytes(bytes))) => Ok(Some(bytes.len() as u64)),
            Ok(Some(Body::File(mut file))) => {
                assert_eq!(file.stream_position().unwrap(), 0);
                Ok(Some(file.metadata().unwrap().len()))
            }
            Ok(Some(Body::Part { .. } | Body::Absent)) => unreachable!(),
            Err(Trouble::TooLarge(reason)) => Err(reason),
            Err(_) => Err("io".to_owned()),
        }
    }

    #[test]
    fn whole_cut_and_trailing() {
        for packed in [gzip(b"Subject: x\n\nbody"), zstd::encode_all(&b"Subject: x\n\nbody"[..], 3).unwrap()] {
            assert_eq!(size(&packed, None), Ok(Some(16)));
            assert_eq!(size(&packed[..packed.len() - 1], None), Ok(None));
            assert_eq!(size(&[&packed, &b"tail"[..]].concat(), None), Ok(None));
        }
        assert_eq!(Packing::of(b"\x1f\x8b"), None);
        assert_eq!(Packing::of(b"From: x"), None);
    }

    #[test]
    fn bombs() {
        let zeros = vec![0; 80 << 20];
        let bomb = zstd::encode_all(zeros.as_slice(), 3).unwrap();
        assert!(size(&bomb, None).unwrap_err().contains("and the file has"));
        assert!(size(&bomb, Some(100)).unwrap_err().contains("and its name says 100"));
        assert_eq!(size(&bomb, Some(80 << 20)), Ok(Some(80 << 20)));
        let small = zstd::encode_all(&zeros[..20 << 20], 3).unwrap();
        assert_eq!(size(&small, Some(5)), Ok(Some(20 << 20)));
    }
}

//! Compressed files: gzip, bzip2, xz, zstd, and LZ4 in Dovecot's frames. Dovecot's zlib plugin writes whole messages so, under
//! ordinary names; exports have compressed mbox files.

use crate::model::Body;
use bzip2::read::MultiBzDecoder;
use flate2::read::MultiGzDecoder;
use liblzma::read::XzDecoder;
use liblzma::stream::{CONCATENATED, Stream};
use lz4_flex::block::{decompress_into, get_maximum_output_size};
use std::io::{self, Read, Seek, Write};
use std::ops::Range;
use std::path::Path;
use zstd::stream::read::Decoder as ZstdDecoder;

/// Bytes of a message that are kept in memory; a larger one stays in its file.
pub(super) const IN_MEMORY: u64 = 16 << 20;

/// As many bytes of a file as [`Packing::of`] needs.
pub(super) const HEAD: u64 = 16;

/// Any message may become this large: what a bomb costs below it is not worth refusing mail.
const HARMLESS: u64 = 64 << 20;
/// How far beyond its name's `S=` a message may go.
const SLACK: u64 = 64 << 10;
/// The largest message, and how many times its file it may be. An `S=` lifts one of the two, none needs both.
const LARGEST: u64 = 2 << 30;
const RATIO: u64 = 1000;
/// The memory that xz may ask for: `xz -9` wants 65 MiB.
const XZ_MEMORY: u64 = 128 << 20;
/// How Dovecot's LZ4 begins. After it come the size of the largest piece (32 bits, as all numbers: the highest byte
/// first), then the pieces, each a block of LZ4 behind its length.
const DOVECOT_LZ4: &[u8] = b"Dovecot-LZ4\r*\x9b\xc5";
/// The largest piece of Dovecot's LZ4. Dovecot writes 64 KiB.
const LARGEST_PIECE: usize = 4 << 20;

/// How a file seems to be compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    Bzip2,
    Xz,
    /// Dovecot's own frames around blocks of LZ4.
    DovecotLz4,
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
    pub(super) fn of(head: &[u8]) -> Option<Packing> {
        match head {
            [0x1f, 0x8b, 0x08, ..] => Some(Packing::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Packing::Zstd),
            // The digits of pi are the mark of a block, those of its root the end of an empty file.
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, ..]
            | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, 0x45, 0x38, 0x50, 0x90, ..] => Some(Packing::Bzip2),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Packing::Xz),
            _ if head.starts_with(DOVECOT_LZ4) => Some(Packing::DovecotLz4),
            _ => None,
        }
    }

    /// Unpacks a file from its start. `None` if it is not compressed after all, or damaged: then it is kept as it is.
    pub(super) fn unpack(self, packed: impl Read, limits: Limits, spool: &Path) -> Result<Option<Body>, Trouble> {
        match self.reader(packed) {
            Ok(reader) => pour(reader, limits, spool),
            Err(_) => Ok(None),
        }
    }

    /// What a packed file holds, as far as it can be read.
    pub(super) fn reader<'r>(self, packed: impl Read + 'r) -> io::Result<Box<dyn Read + 'r>> {
        Ok(match self {
            Packing::Gzip => Box::new(MultiGzDecoder::new(packed)),
            Packing::Zstd => Box::new(ZstdDecoder::new(packed)?),
            Packing::Bzip2 => Box::new(MultiBzDecoder::new(packed)),
            Packing::Xz => {
                let stream = Stream::new_stream_decoder(XZ_MEMORY, CONCATENATED)?;
                Box::new(XzDecoder::new_stream(packed, stream))
            }
            Packing::DovecotLz4 => Box::new(DovecotLz4::new(packed)?),
        })
    }
}

/// A reader of Dovecot's LZ4.
struct DovecotLz4<R> {
    packed: R,
    /// Room for the largest piece, as the file says. Made once: a hostile file has many pieces of nothing.
    piece: Vec<u8>,
    /// The part of `piece` that is to be handed over yet.
    left: Range<usize>,
}

impl<R: Read> DovecotLz4<R> {
    fn new(mut packed: R) -> io::Result<DovecotLz4<R>> {
        let mut magic = [0; DOVECOT_LZ4.len()];
        packed.read_exact(&mut magic)?;
        let largest = number(&mut packed)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        if magic != DOVECOT_LZ4 || largest == 0 || largest > LARGEST_PIECE {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(DovecotLz4 { packed, piece: vec![0; largest], left: 0..0 })
    }

    /// Reads the next piece. False at the end of the file.
    fn next(&mut self) -> io::Result<bool> {
        let Some(length) = number(&mut self.packed)? else { return Ok(false) };
        if length == 0 || length > get_maximum_output_size(self.piece.len()) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut block = vec![0; length];
        self.packed.read_exact(&mut block)?;
        self.left = 0..decompress_into(&block, &mut self.piece).map_err(io::Error::other)?;
        Ok(true)
    }
}

impl<R: Read> Read for DovecotLz4<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.left.is_empty() {
            if !self.next()? {
                return Ok(0);
            }
        }
        let length = buffer.len().min(self.left.len());
        buffer[..length].copy_from_slice(&self.piece[self.left.start..self.left.start + length]);
        self.left.start += length;
        Ok(length)
    }
}

/// Four bytes, the highest first. `None` at the end of the file; an end within them is an error.
fn number(from: &mut impl Read) -> io::Result<Option<usize>> {
    let mut bytes = [0; 4];
    let mut filled = 0;
    while filled < bytes.len() {
        match from.read(&mut bytes[filled..]) {
            Ok(0) if filled == 0 => return Ok(None),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => filled += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Some(u32::from_be_bytes(bytes) as usize))
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

/// Why an item could not be read.
pub(super) enum Trouble {
    /// Its file could not be opened or read.
    Io(io::Error),
    /// The temporary file could not be written.
    Spool(io::Error),
    /// Unpacking it would never end; says what the limit was.
    TooLarge(String),
}

#[cfg(test)]
mod tests {
    use super::*;
    use bzip2::write::BzEncoder;
    use flate2::write::GzEncoder;
    use liblzma::write::XzEncoder;
    use proptest::collection::vec;
    use proptest::prelude::any;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn size(packed: &[u8], claimed: Option<u64>) -> Result<Option<u64>, String> {
        let limits = Limits { packed: packed.len() as u64, claimed };
        let Some(packing) = Packing::of(packed) else { return Ok(None) };
        match packing.unpack(packed, limits, &std::env::temp_dir()) {
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

    /// `bytes` in each packing.
    fn packed(bytes: &[u8]) -> Vec<(Packing, Vec<u8>)> {
        let mut bzip2 = BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        bzip2.write_all(bytes).unwrap();
        let mut xz = XzEncoder::new(Vec::new(), 1);
        xz.write_all(bytes).unwrap();
        vec![
            (Packing::Gzip, gzip(bytes)),
            (Packing::Zstd, zstd::encode_all(bytes, 3).unwrap()),
            (Packing::Bzip2, bzip2.finish().unwrap()),
            (Packing::Xz, xz.finish().unwrap()),
            (Packing::DovecotLz4, dovecot_lz4(bytes)),
        ]
    }

    /// Literals only: one block of LZ4 that holds `bytes` as they are, at most 64 KiB.
    fn block(bytes: &[u8]) -> Vec<u8> {
        let mut block = Vec::new();
        if bytes.len() < 15 {
            block.push((bytes.len() as u8) << 4);
        } else {
            block.push(15 << 4);
            let mut rest = bytes.len() - 15;
            while rest >= 255 {
                block.push(255);
                rest -= 255;
            }
            block.push(rest as u8);
        }
        [&block, bytes].concat()
    }

    /// As Dovecot writes it.
    fn dovecot_lz4(bytes: &[u8]) -> Vec<u8> {
        let mut out = [DOVECOT_LZ4, &(64u32 << 10).to_be_bytes()].concat();
        for piece in bytes.chunks(64 << 10) {
            let block = block(piece);
            out.extend((block.len() as u32).to_be_bytes());
            out.extend(block);
        }
        out
    }

    #[test]
    fn whole_and_cut() {
        let long: Vec<u8> = (0..200_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        for message in [b"Subject: x\n\nbody".as_slice(), &long] {
            for (packing, packed) in packed(message) {
                assert_eq!(Packing::of(&packed[..(HEAD as usize).min(packed.len())]), Some(packing));
                let limits = Limits { packed: packed.len() as u64, claimed: None };
                match packing.unpack(packed.as_slice(), limits, &std::env::temp_dir()) {
                    Ok(Some(Body::Bytes(bytes))) => assert!(bytes == message, "{packing:?}"),
                    _ => panic!("{packing:?}"),
                }
                assert_eq!(size(&packed[..packed.len() - 1], None), Ok(None), "{packing:?} cut");
                assert_eq!(size(&[&packed, &b"tail"[..]].concat(), None), Ok(None), "{packing:?} with a tail");
            }
        }
        for plain in [b"\x1f\x8b".as_slice(), b"From: x", b"BZh9 is no compressed file", b"Dovecot-LZ4 is a format"] {
            assert_eq!(Packing::of(plain), None);
        }
    }

    #[test]
    fn pieces_of_dovecots_lz4_are_bounded() {
        let with = |largest: u32, length: u32| [DOVECOT_LZ4, &largest.to_be_bytes(), &length.to_be_bytes()].concat();
        for hostile in [with(u32::MAX, 5), with(0, 5), with(64 << 10, u32::MAX), with(64 << 10, 0)] {
            assert_eq!(size(&hostile, None), Ok(None));
        }
        // A block that unpacks to more than the file says is damaged.
        let mut larger = dovecot_lz4(&[7; 100]);
        larger[DOVECOT_LZ4.len()..DOVECOT_LZ4.len() + 4].copy_from_slice(&50u32.to_be_bytes());
        assert_eq!(size(&larger, None), Ok(None));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_behind_a_magic_number_end(at in 0usize..5, bytes in vec(any::<u8>(), 0..200)) {
            let magic = &packed(b"")[at].1;
            let magic = &magic[..magic.len().min(if at == 4 { DOVECOT_LZ4.len() + 4 } else { 10 })];
            let whole = [magic, &bytes].concat();
            let _ = size(&whole, None);
        }
    }

    #[test]
    fn bombs() {
        let zeros = vec![0; 80 << 20];
        let mut bzip2 = BzEncoder::new(Vec::new(), bzip2::Compression::best());
        bzip2.write_all(&zeros).unwrap();
        let mut xz = XzEncoder::new(Vec::new(), 1);
        xz.write_all(&zeros).unwrap();
        for bomb in [zstd::encode_all(zeros.as_slice(), 3).unwrap(), bzip2.finish().unwrap(), xz.finish().unwrap()] {
            assert!(size(&bomb, None).unwrap_err().contains("and the file has"));
            assert!(size(&bomb, Some(100)).unwrap_err().contains("and its name says 100"));
            assert_eq!(size(&bomb, Some(80 << 20)), Ok(Some(80 << 20)));
        }
        let small = zstd::encode_all(&zeros[..20 << 20], 3).unwrap();
        assert_eq!(size(&small, Some(5)), Ok(Some(20 << 20)));
    }
}

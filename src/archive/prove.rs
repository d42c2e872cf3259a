//! A reader proves the bytes that it hands out.

use super::blob::{self, Blob};
use super::blob_read::BlobReader;
use super::read::Reader;
use crate::error::{ErrorKind, Result};
use crate::model::Digest;
use std::sync::Arc;

impl Reader {
    /// Errors if the bytes of a blob do not match its digest. Proved once per blob and reader.
    pub fn prove(&self, blob: &Blob) -> Result<()> {
        match self.proofs.verdict(blob) {
            Some(true) => Ok(()),
            Some(false) => Err(blob::damaged(blob)),
            None => self.proofs.note(blob, self.with(|conn| blob::is_sound(conn, blob))?),
        }
    }

    /// True if these are all bytes of the blob, as they were stored.
    pub(super) fn is_proved(&self, blob: &Blob, bytes: &[u8]) -> bool {
        if self.proofs.sound.lock().contains(&blob.key()) {
            return true;
        }
        let is_sound = Digest::of(bytes) == blob.digest;
        if is_sound {
            self.proofs.sound.lock().insert(blob.key());
        }
        is_sound
    }
}

impl BlobReader {
    /// Hands out up to `length` bytes at `offset`, fewer only at the end. The last byte of the blob is handed out only if
    /// all of them match the digest, those before it as soon as they are asked for in order: `out` then has them before
    /// they are hashed, which its reader need not wait for.
    ///
    /// Errors: [`ErrorKind::Damaged`]; `out` was not called then.
    pub fn proved_at<T>(&mut self, offset: u64, length: usize, out: impl FnOnce(&[u8]) -> T) -> Result<T> {
        let (reader, blob) = (Arc::clone(&self.reader), self.blob);
        let length = blob.size.saturating_sub(offset).min(length as u64);
        let hasher = match reader.proofs.verdict(&blob) {
            Some(true) => return self.piece(offset, length as usize).map(out),
            Some(false) => return Err(blob::damaged(&blob)),
            // Taken out of the table while it is used: `out` may wait, and no other thread waits with it.
            None => reader.proofs.half.lock().pop(&blob.key()).or_else(|| (offset == 0).then(blake3::Hasher::new)),
        };
        let Some(mut hasher) = hasher.filter(|hasher| offset <= hasher.count() + OVERTAKEN) else {
            reader.prove(&blob)?;
            return self.piece(offset, length as usize).map(out);
        };
        match self.hash_on(&mut hasher, offset, length, out) {
            // A page of the value is damaged: so is the blob, and only the blob.
            Err(error) if error.kind == ErrorKind::Damaged => {
                Err(reader.proofs.note(&blob, false).err().unwrap_or(error))
            }
            Ok(answer) if hasher.count() < blob.size => {
                reader.proofs.half.lock().put(blob.key(), hasher);
                Ok(answer)
            }
            answer => answer,
        }
    }

    /// Hands out a piece of a blob that is proved up to where `hasher` is.
    fn hash_on<T>(
        &mut self,
        hasher: &mut blake3::Hasher,
        offset: u64,
        length: u64,
        out: impl FnOnce(&[u8]) -> T,
    ) -> Result<T> {
        let blob = self.blob;
        while hasher.count() < offset {
            let (at, left) = (hasher.count(), offset - hasher.count());
            hasher.update(self.piece(at, left.min(PIECE) as usize)?);
        }
        let known = (hasher.count() - offset).min(length) as usize;
        if offset + length < blob.size {
            let bytes = self.piece(offset, length as usize)?;
            let answer = out(bytes);
            hasher.update(&bytes[known..]);
            return Ok(answer);
        }
        let reader = Arc::clone(&self.reader);
        let bytes = self.piece(offset, length as usize)?;
        hasher.update(&bytes[known..]);
        reader.proofs.note(&blob, hasher.finalize().as_bytes() == &blob.digest.0)?;
        Ok(out(bytes))
    }
}

/// A piece may be asked for before the ones in front of it, by this many bytes, as the kernel's requests for one file
/// overtake each other.
const OVERTAKEN: u64 = 8 << 20;

/// How much is read at once to catch up.
const PIECE: u64 = 256 << 10;

//! Which blobs are sound, which are damaged, and which are half read.
//!
//! A large blob is proved while it is read: a reader that begins at its start gets each piece at once, and the last one
//! only if all of them together match the digest. So no reader ends up with a whole copy of damaged bytes, and none waits
//! for the last byte to get the first. For a reader that begins elsewhere the blob is proved from end to end before.

use super::blob::{self, Blob, BlobKey};
use crate::error::Result;
use lru::LruCache;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::num::NonZeroUsize;

/// How many large blobs may be half read at a time; a reader of more has each proved before. A hasher takes 2 KiB.
const HALF_READ: NonZeroUsize = NonZeroUsize::new(64).unwrap();

/// The blobs of an archive whose bytes a reader has hashed, with the result.
pub(super) struct VerifiedBlobs {
    pub(crate) sound: Mutex<HashSet<BlobKey>>,
    bad: Mutex<HashSet<BlobKey>>,
    pub(crate) half: Mutex<LruCache<BlobKey, blake3::Hasher>>,
}

impl Default for VerifiedBlobs {
    fn default() -> VerifiedBlobs {
        VerifiedBlobs { sound: Mutex::default(), bad: Mutex::default(), half: Mutex::new(LruCache::new(HALF_READ)) }
    }
}

impl VerifiedBlobs {
    pub(crate) fn verdict(&self, blob: &Blob) -> Option<bool> {
        if self.sound.lock().contains(&blob.key()) {
            return Some(true);
        }
        self.bad.lock().contains(&blob.key()).then_some(false)
    }

    pub(crate) fn note(&self, blob: &Blob, is_sound: bool) -> Result<()> {
        let verdicts = if is_sound { &self.sound } else { &self.bad };
        verdicts.lock().insert(blob.key());
        if is_sound { Ok(()) } else { Err(blob::damaged(blob)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::Reader;
    use crate::archive::schema::CONTENT_DDL;
    use crate::error::ErrorKind;
    use crate::model::Digest;
    use rusqlite::Connection;
    use std::sync::Arc;

    const SIZE: usize = 1_000_003;
    const PART: usize = 100_000;

    /// An archive of one blob of [`SIZE`] bytes; `spoil` changes what is stored of them.
    fn archive(spoil: impl FnOnce(&mut Vec<u8>)) -> (tempfile::TempDir, Arc<Reader>, Vec<u8>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.sqlite");
        let bytes: Vec<u8> = (0..SIZE).map(|at| (at * at % 251) as u8).collect();
        let mut stored = bytes.clone();
        spoil(&mut stored);
        let conn = Connection::open(&path).unwrap();
        conn.execute_batch(CONTENT_DDL).unwrap();
        conn.execute("INSERT INTO blobs (id, hash, data) VALUES (1, ?1, ?2)", (Digest::of(&bytes).0, stored)).unwrap();
        drop(conn);
        (dir, Arc::new(Reader::open(&path).unwrap()), bytes)
    }

    fn read(reader: &Arc<Reader>, offset: usize, length: usize) -> Result<Vec<u8>> {
        let blob = reader.blob(1).unwrap();
        reader.open_blob(blob).proved_at(offset as u64, length, |bytes| bytes.to_vec())
    }

    fn parts() -> Vec<usize> {
        (0..SIZE).step_by(PART).collect()
    }

    #[test]
    fn any_order_gives_the_bytes() {
        let backwards = parts().into_iter().rev().collect();
        let swapped = parts().chunks(2).flat_map(|pair| pair.iter().rev().copied().collect::<Vec<_>>()).collect();
        let twice = parts().into_iter().flat_map(|at| [at, at, 0]).collect();
        for order in [parts(), backwards, swapped, twice, vec![SIZE - 1, 0, SIZE, SIZE + 7]] {
            let (_dir, reader, bytes) = archive(|_| {});
            for at in &order {
                let wanted = &bytes[(*at).min(SIZE)..(at + PART).min(SIZE)];
                assert!(read(&reader, *at, PART).unwrap() == wanted, "{at} of {order:?}");
            }
        }
    }

    #[test]
    fn nobody_gets_the_last_byte_of_a_damaged_blob() {
        let spoils: [fn(&mut Vec<u8>); 4] =
            [|all| all[0] ^= 1, |all| all[SIZE / 2] ^= 1, |all| all[SIZE - 1] ^= 1, |all| all.truncate(SIZE - 1)];
        for spoil in spoils {
            let (_dir, reader, _) = archive(spoil);
            let size = reader.blob(1).unwrap().size as usize;
            let is_damaged = |at: usize| read(&reader, at, PART).is_err_and(|error| error.kind == ErrorKind::Damaged);
            assert!(parts()[..9].iter().all(|at| !is_damaged(*at)), "nothing is known yet");
            assert!(is_damaged(size - PART) && is_damaged(size - 1), "the last byte");
            assert!(is_damaged(0), "known from now on");
            let (_dir, reader, _) = archive(spoil);
            assert!(read(&reader, SIZE / 2, 1).is_err(), "nor a part, out of order");
            let (_dir, reader, _) = archive(spoil);
            assert!(read(&reader, size - 1, 1).is_err(), "nor who wants only that");
        }
    }

    #[test]
    fn more_readers_than_are_remembered_all_get_their_bytes() {
        let (_dir, reader, bytes) = archive(|_| {});
        assert!(read(&reader, 0, PART).unwrap() == bytes[..PART]);
        (2..100).for_each(|id| drop(reader.proofs.half.lock().put((id, 0), blake3::Hasher::new())));
        assert!(read(&reader, PART, PART).unwrap() == bytes[PART..2 * PART], "proved from end to end instead");
        assert_eq!(reader.proofs.verdict(&reader.blob(1).unwrap()), Some(true));
    }

    #[test]
    fn a_number_that_is_given_again_is_another_blob() {
        let (dir, reader, bytes) = archive(|_| {});
        let old = reader.blob(1).unwrap();
        let other: Vec<u8> = bytes.iter().map(|byte| byte ^ 1).collect();
        let store = |hash: &[u8], data: &[u8]| {
            let conn = Connection::open(dir.path().join("a.sqlite")).unwrap();
            conn.execute("UPDATE blobs SET hash = ?1, data = ?2 WHERE id = 1", (Digest::of(hash).0, data)).unwrap();
        };
        drop(read(&reader, 0, PART).unwrap());
        store(&other, &other);
        assert!(old.key() != reader.blob(1).unwrap().key());
        assert!(read(&reader, SIZE - PART, PART).unwrap() == other[SIZE - PART..], "half read was another one");
        store(&bytes, &bytes);
        reader.prove(&old).unwrap();
        let spoilt: Vec<u8> = other.iter().map(|byte| byte | 2).collect();
        store(&bytes[1..], &spoilt);
        assert!(read(&reader, SIZE - PART, PART).is_err(), "proved was another one");
    }
}

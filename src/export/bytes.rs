//! The bytes of an archive, for a sink.

use crate::archive::{Blob, Moment, Reader, Record};
use crate::error::{Error, ErrorKind, Result};
use crate::format::convert::read;
use crate::format::jscal::to_ics;
use crate::format::jscard::to_vcf;
use crate::model::objects::Properties;
use crate::model::{Digest, Id, ObjectType};
use crate::sink::{BlobProvider, BlobRef, Content};
use std::io::Write;
use std::sync::Arc;

/// Larger blobs wait in files while they are sent.
const WHOLE_MAX: u64 = 4 << 20;

/// Reads blobs of an archive.
pub(super) struct Bytes {
    pub reader: Arc<Reader>,
    pub moment: Moment,
}

impl BlobProvider for Bytes {
    fn open(&self, blob: BlobRef) -> Result<Content> {
        let content = match blob {
            BlobRef::Blob(id) => self.content(id),
            BlobRef::Original(kind, row) => self.original(kind, row).map(|bytes| Content::Bytes(bytes.into())),
        };
        content.map_err(|error| self.reader.or_forgotten(self.moment, error))
    }

    fn converted(&self, blob: BlobRef) -> Result<Option<Content>> {
        let BlobRef::Original(kind, row) = blob else { return Ok(None) };
        let converted = self.record(kind, row).and_then(|record| match record.original {
            Some(_) => Ok(Some(Content::Bytes(self.of_json(&record)?.into()))),
            None => Ok(None),
        });
        converted.map_err(|error| self.reader.or_forgotten(self.moment, error))
    }

    fn size(&self, blob: BlobRef) -> Result<u64> {
        let size = match blob {
            BlobRef::Blob(id) => self.reader.blob(id).map(|blob| blob.size),
            BlobRef::Original(kind, row) => self.original(kind, row).map(|bytes| bytes.len() as u64),
        };
        size.map_err(|error| self.reader.or_forgotten(self.moment, error))
    }

    fn digest(&self, blob: BlobRef) -> Option<Digest> {
        match blob {
            BlobRef::Blob(id) => Some(self.reader.blob(id).ok()?.digest),
            BlobRef::Original(..) => None,
        }
    }
}

impl Bytes {
    fn content(&self, blob: Id) -> Result<Content> {
        let blob = self.reader.blob(blob)?;
        if blob.size <= WHOLE_MAX {
            return Ok(Content::Bytes(self.reader.whole(&blob)?.into()));
        }
        self.spool(blob)
    }

    /// A large blob in an unnamed file: it is read once from end to end, proved, and then sent as often as it has to be.
    fn spool(&self, blob: Blob) -> Result<Content> {
        let cannot = |error| Error::io("cannot keep a large object in a file of its own", error);
        let mut file = tempfile::tempfile().map_err(cannot)?;
        let mut reader = self.reader.open_blob(blob);
        let mut offset = 0;
        while offset < blob.size {
            // Nothing is sent that is not what was stored.
            let write = |piece: &[u8]| file.write_all(piece).map(|()| piece.len() as u64);
            offset += reader.proved_at(offset, 1 << 20, write)?.map_err(cannot)?;
        }
        Ok(Content::Read(Arc::new(file), blob.size))
    }

    /// The bytes of the source of an event or a card, or what can be made of its JSON.
    fn original(&self, kind: ObjectType, row: Id) -> Result<Vec<u8>> {
        let record = self.record(kind, row)?;
        let Some((blob, ranges)) = &record.original else { return self.of_json(&record) };
        let whole = self.reader.whole(&self.reader.blob(*blob)?)?;
        let Some(ranges) = ranges else { return Ok(whole) };
        let ranges: Vec<(usize, usize)> = serde_json::from_str(ranges).unwrap_or_default();
        let parts = ranges.iter().map(|(start, end)| whole.get(*start..*end).unwrap_or_default());
        Ok(parts.collect::<Vec<_>>().concat())
    }

    fn record(&self, kind: ObjectType, row: Id) -> Result<Record> {
        self.reader.record(kind, self.moment, row)?.ok_or_else(|| {
            Error::new(ErrorKind::Damaged, format!("there is no object {row} of the type {}", kind.token()))
        })
    }

    fn of_json(&self, record: &Record) -> Result<Vec<u8>> {
        let bytes_of = |blob: Id| self.reader.whole(&self.reader.blob(blob).ok()?).ok();
        match record.properties() {
            Properties::ContactCard(card) => to_vcf(&read(card.data.as_bytes())?, &card.uid, &bytes_of),
            Properties::CalendarEvent(event) => to_ics(&read(event.data.as_bytes())?, &bytes_of),
            _ => {
                let what = format!("an object of the type {} has no original", record.kind.token());
                Err(Error::new(ErrorKind::Damaged, what))
            }
        }
    }

    /// The size of a blob with every line ended with CRLF.
    pub(super) fn size_with_crlf(&self, blob: Id) -> Result<u64> {
        let blob: Blob = self.reader.blob(blob)?;
        let mut reader = self.reader.open_blob(blob);
        let mut buffer = vec![0; 1 << 20];
        let (mut offset, mut bare, mut last) = (0, 0, 0);
        loop {
            let count = reader.read_at(offset, &mut buffer)?;
            if count == 0 {
                return Ok(blob.size + bare);
            }
            for byte in &buffer[..count] {
                bare += u64::from(*byte == b'\n' && last != b'\r');
                last = *byte;
            }
            offset += count as u64;
        }
    }
}

//! The bytes of an archive for whoever uploads them.

use crate::archive::{Blob, Moment, Reader};
use crate::error::{Error, ErrorKind, Result};
use crate::format::jscal::to_ics;
use crate::model::{Id, ObjectType};
use crate::sink::{BlobProvider, Content};
use std::io::Write;
use std::sync::Arc;

/// Larger blobs wait in files while they are sent.
const WHOLE_MAX: u64 = 4 << 20;

/// Reads blobs of an archive. A negative number is the row of a task or a note, as an iCalendar file.
pub struct Bytes {
    pub reader: Arc<Reader>,
    pub moment: Moment,
}

impl BlobProvider for Bytes {
    fn open(&self, blob: Id) -> Result<Content> {
        self.content(blob).map_err(|error| self.reader.or_forgotten(self.moment, error))
    }

    fn size(&self, blob: Id) -> Result<u64> {
        let size = match blob {
            ..0 => self.calendar_file(-blob).map(|file| file.len() as u64),
            _ => self.reader.blob(blob).map(|blob| blob.size),
        };
        size.map_err(|error| self.reader.or_forgotten(self.moment, error))
    }
}

impl Bytes {
    fn content(&self, blob: Id) -> Result<Content> {
        if blob < 0 {
            return Ok(Content::Bytes(self.calendar_file(-blob)?.into()));
        }
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

    /// The bytes of an event's source, or what can be made of its JSON.
    fn calendar_file(&self, row: Id) -> Result<Vec<u8>> {
        let record = self.reader.record(ObjectType::CalendarEvent, self.moment, row)?;
        let record = record.ok_or_else(|| Error::new(ErrorKind::Damaged, format!("there is no event {row}")))?;
        if let Some((blob, ranges)) = &record.original {
            let whole = self.reader.whole(&self.reader.blob(*blob)?)?;
            let Some(ranges) = ranges else { return Ok(whole) };
            let ranges: Vec<(usize, usize)> = serde_json::from_str(ranges).unwrap_or_default();
            let parts = ranges.iter().map(|(start, end)| whole.get(*start..*end).unwrap_or_default());
            return Ok(parts.collect::<Vec<_>>().concat());
        }
        let data = crate::format::convert::read(record.text("data").unwrap_or("{}").as_bytes())?;
        to_ics(&data, &|blob| self.reader.whole(&self.reader.blob(blob).ok()?).ok())
    }

    /// The size of a blob with every line ended with CRLF.
    pub fn size_with_crlf(&self, blob: Id) -> Result<u64> {
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

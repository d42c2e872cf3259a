#![doc = include_str!("FORMAT.md")]

mod blob;
mod bytes;
mod change;
mod checkpoint;
mod connect;
mod current;
mod history;
mod index;
mod ledger;
mod lock;
mod moments;
mod pool;
mod proof;
mod read;
mod rows;
mod schema;
pub mod value;
mod verify;
mod write;

pub use blob::{Blob, BlobKey, NewBlob};
pub use bytes::{BlobReader, EmailBytes, EmailReader, Statistics};
pub use change::Fields;
pub use connect::{Fingerprint, is_archive};
pub use history::{Difference, Forgotten, Policy, Span, diff};
pub use index::{EmailFields, UNFILED, epoch, ids_json, parse_ids, parse_keywords, rfc3339};
pub use ledger::{Blank, Known, KnownScope, Ledger};
pub use lock::host;
pub use moments::{Named, named};
pub(crate) use read::lock;
pub use read::{At, Moment, Reader, Snapshot};
pub use rows::{Listed, MailboxState, Record};
pub use verify::{Depth, Finding, Verdict, verify};
pub use write::{Changes, State, Writer, now};

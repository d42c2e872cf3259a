//! A cache of what the decoder found in messages.

use crate::format::text::limits::Attachment;
use crate::model::Id;
use lru::LruCache;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

/// Subjects, attachments, sizes and counts of decoded messages.
pub(super) struct DecodedCache {
    pub(crate) subjects: Mutex<LruCache<Id, Arc<str>>>,
    pub(crate) attached: Mutex<LruCache<Id, Arc<[Attachment]>>>,
    /// Sizes of text files, and numbers of attachments: 4 bytes a message each.
    pub(crate) sizes: Mutex<HashMap<u32, u32>>,
    pub(crate) counts: Mutex<HashMap<u32, u16>>,
}

impl Default for DecodedCache {
    fn default() -> DecodedCache {
        DecodedCache {
            subjects: Mutex::new(LruCache::new(SUBJECTS)),
            attached: Mutex::new(LruCache::new(ATTACHED)),
            sizes: Mutex::default(),
            counts: Mutex::default(),
        }
    }
}

/// How many subjects, and attachments of how many messages, are kept.
const SUBJECTS: NonZeroUsize = NonZeroUsize::new(4_096).unwrap();

const ATTACHED: NonZeroUsize = NonZeroUsize::new(256).unwrap();

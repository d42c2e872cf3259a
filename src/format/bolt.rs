//! BoltDB (bbolt) files, read only: the pages of one state of the file, its buckets, their keys in order.
//!
//! A page holds no checksum, and the file may be written to or made up: so whatever stands in it is checked before it is
//! used. A walk visits no more pages than the file has, goes down no deeper than [`DEEPEST`], and holds one page. Format:
//! <https://github.com/etcd-io/bbolt>, `internal/common`.

use super::mbox::ReadAt;
use std::borrow::Cow;
use std::fmt;
use std::io;

/// Branches above a leaf. A tree of 4 KiB pages with a billion keys has six.
pub const DEEPEST: usize = 32;
/// A larger value is told by its size only.
pub const LARGEST_VALUE: u64 = 64 << 20;
/// Of a page that goes on over others this much is held. All its elements are in it: there are 65,535 at most.
const HELD: u64 = 2 << 20;
/// bbolt takes no larger key.
const LARGEST_KEY: u64 = 32_768;
const PAGE_HEAD: u64 = 16;
const META_SIZE: usize = 80;
const ELEMENT: u64 = 16;
const MAGIC: u32 = 0xED0C_DAED;
const VERSION: u32 = 2;
const BRANCH: u16 = 1;
const LEAF: u16 = 2;
/// An element of a leaf whose value is a bucket.
const IS_BUCKET: u32 = 1;

/// Why something could not be read.
#[derive(Debug)]
pub enum BoltError {
    /// The system refused.
    Io(io::Error),
    /// It is no file of BoltDB, or one that this machine cannot read.
    Foreign(&'static str),
    /// The page is not what it has to be.
    Damaged {
        /// Its number, counted from 0.
        page: u64,
        /// What is wrong with it.
        what: &'static str,
    },
}

impl fmt::Display for BoltError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BoltError::Io(error) => error.fmt(f),
            BoltError::Foreign(what) => f.write_str(what),
            BoltError::Damaged { page, what } => write!(f, "page {page} {what}"),
        }
    }
}

impl From<io::Error> for BoltError {
    fn from(error: io::Error) -> BoltError {
        BoltError::Io(error)
    }
}

fn damaged<T>(page: u64, what: &'static str) -> Result<T, BoltError> {
    Err(BoltError::Damaged { page, what })
}

/// One state of the file: what a commit wrote last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// Bytes of a page: that of the machine that made the file.
    pub page_size: u32,
    /// The page of the bucket that holds all others.
    root: u64,
    /// Pages in use have a smaller number.
    pub high_water: u64,
    /// Grows with every commit.
    pub txid: u64,
    /// Of all of it, by FNV-1a.
    pub checksum: u64,
}

impl Meta {
    /// The newest state of a file. Of two the one with the higher number of the transaction counts, whichever page it is in.
    ///
    /// # Errors
    /// [`BoltError::Foreign`] if neither is whole.
    pub fn read(source: &(impl ReadAt + ?Sized)) -> Result<Meta, BoltError> {
        let mut first = [0; META_SIZE];
        let length = read_up_to(source, &mut first, 0)?;
        let first = Meta::parse(&first[..length]);
        let second = match first {
            Ok(first) => Meta::at(source, u64::from(first.page_size))?,
            // Without the first page its size is unknown.
            Err(_) => {
                let mut found = None;
                for size in (0..=14).map(|shift| 1024_u64 << shift) {
                    found = found.or(Meta::at(source, size)?);
                }
                found
            }
        };
        match (first, second) {
            (Ok(first), Some(second)) => Ok(if second.txid > first.txid { second } else { first }),
            (Ok(meta), None) | (Err(_), Some(meta)) => Ok(meta),
            (Err(why), None) => Err(BoltError::Foreign(why)),
        }
    }

    /// An error unless the file has all pages of this state: the work of a walk is bounded by their number.
    pub fn check_length(&self, source: &(impl ReadAt + ?Sized)) -> Result<(), BoltError> {
        let end = self.high_water.checked_mul(u64::from(self.page_size));
        match end.and_then(|end| end.checked_sub(1)).map(|last| read_up_to(source, &mut [0], last)).transpose()? {
            Some(1) => Ok(()),
            _ => damaged(self.high_water, "lies beyond the end of the file"),
        }
    }

    /// The state in the page at `offset`, if it is whole and its pages are that large.
    fn at(source: &(impl ReadAt + ?Sized), offset: u64) -> Result<Option<Meta>, BoltError> {
        let mut bytes = [0; META_SIZE];
        let length = read_up_to(source, &mut bytes, offset)?;
        Ok(Meta::parse(&bytes[..length]).ok().filter(|meta| u64::from(meta.page_size) == offset))
    }

    fn parse(page: &[u8]) -> Result<Meta, &'static str> {
        let Some(body) = page.get(PAGE_HEAD as usize..META_SIZE) else { return Err("too short for a BoltDB file") };
        if u32_at(body, 0) == MAGIC.swap_bytes() {
            return Err("a BoltDB file of a big-endian machine, which cannot be read here");
        }
        if u32_at(body, 0) != MAGIC {
            return Err("not a BoltDB file");
        }
        if u32_at(body, 4) != VERSION {
            return Err("a BoltDB file of another version than 2");
        }
        let checksum = u64_at(body, 56);
        if checksum != fnv(&body[..56]) {
            return Err("a BoltDB file whose first pages are damaged");
        }
        let page_size = u32_at(body, 8);
        if !page_size.is_power_of_two() || !(1024..=16 << 20).contains(&page_size) {
            return Err("a BoltDB file with an impossible size of its pages");
        }
        let (root, high_water, txid) = (u64_at(body, 16), u64_at(body, 40), u64_at(body, 48));
        Ok(Meta { page_size, root, high_water, txid, checksum })
    }
}

/// A set of keys with their values.
#[derive(Debug, Clone)]
pub struct Bucket {
    root: Root,
    /// The last number that was given to a key.
    pub sequence: u64,
}

#[derive(Debug, Clone)]
enum Root {
    Page(u64),
    /// The image of a leaf.
    Inline(Vec<u8>),
}

impl Bucket {
    fn parse(value: &[u8], page: u64) -> Result<Bucket, BoltError> {
        if value.len() < 16 {
            return damaged(page, "has a bucket that is too short");
        }
        let root = match u64_at(value, 0) {
            0 => Root::Inline(value[16..].to_vec()),
            root => Root::Page(root),
        };
        Ok(Bucket { root, sequence: u64_at(value, 8) })
    }
}

/// What stands under a key.
#[derive(Debug)]
pub enum Value<'v> {
    /// Plain bytes.
    Bytes(&'v [u8]),
    /// A bucket of the name.
    Bucket(Bucket),
    /// So many bytes, more than [`LARGEST_VALUE`].
    TooLarge(u64),
}

/// Is handed each key of a bucket and what stands under it.
pub type Visit<'v, E> = dyn FnMut(&[u8], Value<'_>) -> Result<(), E> + 'v;

/// The file in one state.
#[derive(Debug, Clone, Copy)]
pub struct Bolt<'s, S: ReadAt + ?Sized> {
    source: &'s S,
    meta: Meta,
}

impl<'s, S: ReadAt + ?Sized> Bolt<'s, S> {
    /// The state `meta` of a file. It holds as long as [`Meta::read`] gives the same one: a later commit may write over pages
    /// of this state.
    pub fn new(source: &'s S, meta: Meta) -> Bolt<'s, S> {
        Bolt { source, meta }
    }

    /// The bucket that holds all others.
    pub fn root(&self) -> Bucket {
        Bucket { root: Root::Page(self.meta.root), sequence: 0 }
    }

    /// A bucket in another one.
    pub fn bucket(&self, within: &Bucket, name: &str) -> Result<Option<Bucket>, BoltError> {
        self.get(within, name.as_bytes(), |value| match value {
            Value::Bucket(bucket) => Some(bucket),
            _ => None,
        })
        .map(Option::flatten)
    }

    /// Hands what stands under a key to `take`; `None` if there is no such key.
    pub fn get<T>(
        &self,
        bucket: &Bucket,
        key: &[u8],
        take: impl FnOnce(Value<'_>) -> T,
    ) -> Result<Option<T>, BoltError> {
        let mut page = self.open(&bucket.root)?;
        for _ in 0..=DEEPEST {
            // The first element whose key is larger.
            let (mut low, mut high) = (0, page.count);
            while low < high {
                let middle = low + (high - low) / 2;
                if *page.key(middle)? <= *key { low = middle + 1 } else { high = middle }
            }
            if page.is_leaf {
                let Some(at) = low.checked_sub(1) else { return Ok(None) };
                return if *page.key(at)? == *key { page.with_value(at, take).map(Some) } else { Ok(None) };
            }
            if page.count == 0 {
                return Ok(None);
            }
            page = self.page(page.child(low.saturating_sub(1)))?;
        }
        damaged(page.id, "lies too deep in its tree")
    }

    /// Hands every key of a bucket and what stands under it to `visit`, in order.
    ///
    /// # Errors
    /// Those of `visit`; and the first damage, which ends the walk.
    pub fn each<E: From<BoltError>>(&self, bucket: &Bucket, visit: &mut Visit<'_, E>) -> Result<(), E> {
        let mut last: Option<Vec<u8>> = None;
        let mut left = self.meta.high_water;
        // The children of each branch above that are still to come, the next one last.
        let mut above: Vec<Vec<u64>> = Vec::new();
        let mut page = self.open(&bucket.root)?;
        loop {
            let Some(rest) = left.checked_sub(page.pages) else {
                return Err(BoltError::Damaged { page: page.id, what: "is in its tree more than once" }.into());
            };
            left = rest;
            if page.is_leaf {
                for at in 0..page.count {
                    let key = page.key(at)?;
                    if last.as_deref().is_some_and(|last| last >= &*key) {
                        damaged(page.id, "has keys that are not in order")?;
                    }
                    page.with_value(at, |value| visit(&key, value))??;
                    let last = last.get_or_insert_default();
                    last.clear();
                    last.extend_from_slice(&key);
                }
            } else {
                if above.len() == DEEPEST {
                    damaged(page.id, "lies too deep in its tree")?;
                }
                above.push((0..page.count).rev().map(|at| page.child(at)).collect());
            }
            let next = loop {
                match above.last_mut() {
                    None => return Ok(()),
                    Some(children) => match children.pop() {
                        Some(child) => break child,
                        None => drop(above.pop()),
                    },
                }
            };
            page = self.page(next)?;
        }
    }

    fn open<'b>(&self, root: &'b Root) -> Result<Page<'b, S>, BoltError>
    where
        's: 'b,
    {
        match root {
            Root::Page(id) => self.page(*id),
            Root::Inline(image) => Page::inline(self.source, image),
        }
    }

    fn page(&self, id: u64) -> Result<Page<'s, S>, BoltError> {
        let size = u64::from(self.meta.page_size);
        if id < 2 || id >= self.meta.high_water {
            return damaged(id, "is none of those in use");
        }
        let Some(offset) = id.checked_mul(size) else { return damaged(id, "is none of those in use") };
        let mut head = vec![0; size as usize];
        if read_up_to(self.source, &mut head, offset)? < head.len() {
            return damaged(id, "lies behind the end of the file");
        }
        if u64_at(&head, 0) != id {
            return damaged(id, "has the number of another page");
        }
        let pages = u64::from(u32_at(&head, 12)) + 1;
        if pages > self.meta.high_water - id {
            return damaged(id, "goes on over more pages than are in use");
        }
        // Both were compared with what the file has.
        let length = pages.saturating_mul(size);
        if pages > 1 {
            let held = length.min(HELD.max(size)) as usize;
            head.resize(held, 0);
            if read_up_to(self.source, &mut head[size as usize..], offset + size)? < held - size as usize {
                return damaged(id, "lies behind the end of the file");
            }
        }
        Page::new(self.source, Place { id, pages, offset, length }, Cow::Owned(head))
    }
}

/// Where the body of a page lies.
#[derive(Clone, Copy)]
struct Place {
    id: u64,
    pages: u64,
    offset: u64,
    length: u64,
}

/// A branch or a leaf.
struct Page<'p, S: ReadAt + ?Sized> {
    source: &'p S,
    id: u64,
    /// How many pages it takes.
    pages: u64,
    offset: u64,
    length: u64,
    /// Its begin, with all its elements.
    head: Cow<'p, [u8]>,
    is_leaf: bool,
    count: u64,
}

impl<'p, S: ReadAt + ?Sized> Page<'p, S> {
    fn new(source: &'p S, place: Place, head: Cow<'p, [u8]>) -> Result<Page<'p, S>, BoltError> {
        let Place { id, pages, offset, length } = place;
        if head.len() < PAGE_HEAD as usize {
            return damaged(id, "is too short");
        }
        let is_leaf = match u16_at(&head, 8) {
            BRANCH => false,
            LEAF => true,
            _ => return damaged(id, "is neither a branch nor a leaf"),
        };
        let count = u64::from(u16_at(&head, 10));
        if PAGE_HEAD + count * ELEMENT > head.len() as u64 {
            return damaged(id, "has more elements than it has room for");
        }
        let page = Page { source, id, pages, offset, length, head, is_leaf, count };
        // Elements that share their bytes would make a small file a large one.
        let sum: u64 = (0..count).map(|at| page.key_place(at).1 + page.value_length(at)).sum();
        if PAGE_HEAD + count * ELEMENT + sum > length {
            return damaged(id, "has elements that overlap");
        }
        Ok(page)
    }

    /// The leaf that a bucket holds in itself.
    fn inline(source: &'p S, image: &'p [u8]) -> Result<Page<'p, S>, BoltError> {
        let place = Place { id: 0, pages: 0, offset: 0, length: image.len() as u64 };
        let page = Page::new(source, place, Cow::Borrowed(image))?;
        if page.is_leaf { Ok(page) } else { damaged(0, "is no leaf, and lies in a bucket") }
    }

    /// A number of an element.
    fn number(&self, at: u64, number: u64) -> u32 {
        u32_at(&self.head, (PAGE_HEAD + at * ELEMENT + number * 4) as usize)
    }

    /// The page that an element of a branch leads to.
    fn child(&self, at: u64) -> u64 {
        u64_at(&self.head, (PAGE_HEAD + at * ELEMENT + 8) as usize)
    }

    /// Where the key of an element begins, and how long it is.
    fn key_place(&self, at: u64) -> (u64, u64) {
        let first = u64::from(self.is_leaf);
        let begin = PAGE_HEAD + at * ELEMENT + u64::from(self.number(at, first));
        (begin, u64::from(self.number(at, first + 1)))
    }

    /// How long what stands under a key is; 0 in a branch.
    fn value_length(&self, at: u64) -> u64 {
        if self.is_leaf { u64::from(self.number(at, 3)) } else { 0 }
    }

    fn key(&self, at: u64) -> Result<Cow<'_, [u8]>, BoltError> {
        let (begin, length) = self.key_place(at);
        if length > LARGEST_KEY {
            return damaged(self.id, "has a key that is too long");
        }
        self.bytes(begin, length)
    }

    /// Hands what an element of a leaf holds to `take`.
    fn with_value<T>(&self, at: u64, take: impl FnOnce(Value<'_>) -> T) -> Result<T, BoltError> {
        let (begin, key_length) = self.key_place(at);
        let (begin, length) = (begin + key_length, self.value_length(at));
        let flags = self.number(at, 0);
        if flags & !IS_BUCKET != 0 {
            return damaged(self.id, "has an element of an unknown kind");
        }
        if length > LARGEST_VALUE && flags == 0 {
            self.check(begin, length)?;
            return Ok(take(Value::TooLarge(length)));
        }
        // A bucket that lies in its element is smaller than a page.
        if flags == IS_BUCKET && (length > HELD || self.pages == 0) {
            return damaged(self.id, "has a bucket where none can be");
        }
        let bytes = self.bytes(begin, length)?;
        if flags == IS_BUCKET {
            return Ok(take(Value::Bucket(Bucket::parse(&bytes, self.id)?)));
        }
        Ok(take(Value::Bytes(&bytes)))
    }

    /// Errors if these bytes are not all of the page, behind its elements.
    fn check(&self, begin: u64, length: u64) -> Result<(), BoltError> {
        let elements_end = PAGE_HEAD + self.count * ELEMENT;
        if begin < elements_end || begin + length > self.length {
            return damaged(self.id, "has an element that lies outside of it");
        }
        Ok(())
    }

    fn bytes(&self, begin: u64, length: u64) -> Result<Cow<'_, [u8]>, BoltError> {
        self.check(begin, length)?;
        if let Some(bytes) = self.head.get(begin as usize..(begin + length) as usize) {
            return Ok(Cow::Borrowed(bytes));
        }
        let mut bytes = vec![0; length as usize];
        if read_up_to(self.source, &mut bytes, self.offset + begin)? < bytes.len() {
            return damaged(self.id, "lies behind the end of the file");
        }
        Ok(Cow::Owned(bytes))
    }
}

/// Reads until the buffer is full or the source ends.
fn read_up_to(source: &(impl ReadAt + ?Sized), buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match source.read_at(&mut buffer[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

/// `N` bytes at a place; zeros if they are not there, which every caller has made sure of.
fn take<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(take(bytes, at))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(take(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(take(bytes, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    const META: &str = "edda0ced 02000000 00100000 00000000 2d00000000000000 0000000000000000 0700000000000000 \
        3400000000000000 3400000000000000 2179bf6e34d830ad";

    fn meta() -> Vec<u8> {
        let digits: String = META.split_whitespace().collect();
        (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
    }

    /// A meta of a transaction.
    fn meta_of(txid: u64) -> Vec<u8> {
        let mut bytes = meta();
        bytes[48..56].copy_from_slice(&txid.to_le_bytes());
        let sum = fnv(&bytes[..56]);
        bytes[56..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    fn file(first: &[u8], second: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 8192];
        bytes[16..80].copy_from_slice(first);
        bytes[4096 + 16..4096 + 80].copy_from_slice(second);
        bytes
    }

    #[test]
    fn the_meta_of_the_sample() {
        let read = Meta::read(&file(&meta(), &[0; 64])[..]).unwrap();
        assert_eq!((read.page_size, read.root, read.high_water, read.txid), (4096, 45, 52, 52));
        assert_eq!(read.checksum, 0xad30_d834_6ebf_7921);
    }

    #[test]
    fn the_newest_whole_meta_counts() {
        let txid = |first: &[u8], second: &[u8]| Meta::read(&file(first, second)[..]).map(|meta| meta.txid).ok();
        assert_eq!(txid(&meta_of(52), &meta_of(51)), Some(52));
        assert_eq!(txid(&meta_of(52), &meta_of(50)), Some(52));
        assert_eq!(txid(&meta_of(51), &meta_of(52)), Some(52));
        let mut torn = meta_of(53);
        torn[50] = 9;
        assert_eq!(txid(&torn, &meta_of(52)), Some(52));
        assert_eq!(txid(&meta_of(52), &torn), Some(52));
        assert_eq!(txid(&torn, &torn), None);
        let mut big = meta();
        big[..4].reverse();
        let error = Meta::read(&file(&big, &big)[..]).unwrap_err();
        assert!(error.to_string().contains("big-endian"), "{error}");
        for short in 0..80 {
            assert!(Meta::read(&file(&meta(), &meta())[..short]).is_err());
        }
    }
}

//! Accounts of mox for tests: the sample that mox itself made, and a writer of BoltDB and bstore for what is not in it.
//!
//! The writer shares no code with the program. It makes small pages on purpose, so that trees have branches.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The sample: a backup of two accounts, unpacked into `into`.
pub(crate) fn sample(into: &Path) -> PathBuf {
    unpack(&super::corpora::small_sets().join("mox"), into);
    into.to_owned()
}

fn unpack(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory").flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_str().expect("a name").to_owned());
        match name.strip_suffix(".gz") {
            _ if path.is_dir() => unpack(&path, &to.join(name)),
            Some(plain) => {
                let mut bytes = Vec::new();
                let mut file = flate2::read::GzDecoder::new(fs::File::open(&path).expect("a file"));
                file.read_to_end(&mut bytes).expect("packed");
                fs::write(to.join(plain), bytes).expect("room");
            }
            None => drop(fs::copy(&path, to.join(name)).expect("room")),
        }
    }
}

/// A value of a field; one that is zero is not written.
#[derive(Clone)]
pub(crate) enum Field {
    Bool(bool),
    Int(i64),
    Uint(u64),
    Text(Vec<u8>),
    /// Seconds since 1970.
    Time(Option<i64>),
    Texts(Vec<String>),
}

impl Field {
    fn encode(&self) -> Option<Vec<u8>> {
        Some(match self {
            Field::Bool(true) => Vec::new(),
            Field::Int(number) if *number != 0 => uvarint(((number << 1) ^ (number >> 63)) as u64),
            Field::Uint(number) if *number != 0 => uvarint(*number),
            Field::Text(text) if !text.is_empty() => [uvarint(text.len() as u64), text.clone()].concat(),
            Field::Time(Some(seconds)) => {
                let mut bytes = vec![15, 1];
                bytes.extend((seconds + 62_135_596_800).to_be_bytes());
                bytes.extend([0, 0, 0, 0, 0xff, 0xff]);
                bytes
            }
            Field::Texts(texts) if !texts.is_empty() => {
                let texts: Vec<Field> = texts.iter().map(|text| Field::Text(text.clone().into_bytes())).collect();
                [uvarint(texts.len() as u64), encode_fields(&texts)].concat()
            }
            _ => return None,
        })
    }
}

fn uvarint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// The bitmap of the fields, and those that are not zero.
fn encode_fields(fields: &[Field]) -> Vec<u8> {
    let mut bits = vec![0; fields.len().div_ceil(8)];
    let mut bytes = Vec::new();
    for (at, field) in fields.iter().enumerate() {
        if let Some(encoded) = field.encode() {
            bits[at / 8] |= 0x80 >> (at % 8);
            bytes.extend(encoded);
        }
    }
    [bits, bytes].concat()
}

fn key(number: i64) -> Vec<u8> {
    ((number as u64) ^ (1 << 63)).to_be_bytes().to_vec()
}

/// A mailbox as mox has it.
#[derive(Clone)]
pub(crate) struct Mailbox {
    pub id: i64,
    pub name: &'static str,
    /// Fields that are true: `Expunged`, `Sent`, …
    pub flags: &'static [&'static str],
    pub is_subscribed: bool,
}

pub(crate) fn mailbox(id: i64, name: &'static str) -> Mailbox {
    Mailbox { id, name, flags: &[], is_subscribed: true }
}

/// A message as mox has it.
#[derive(Clone)]
pub(crate) struct Message {
    pub id: i64,
    pub mailbox: i64,
    /// Fields that are true: `Expunged`, `Seen`, …
    pub flags: Vec<&'static str>,
    pub keywords: Vec<String>,
    pub received: Option<i64>,
    pub prefix: Vec<u8>,
    /// What its file holds; `None` for no file.
    pub file: Option<Vec<u8>>,
    /// What the record says, if not the truth.
    pub size: Option<i64>,
    /// Which schema it was written with: 1 has neither keywords nor `Expunged`, 2 has all, 9 is none.
    pub version: u64,
}

pub(crate) fn message(id: i64, mailbox: i64, file: &[u8]) -> Message {
    Message {
        id,
        mailbox,
        flags: Vec::new(),
        keywords: Vec::new(),
        received: Some(1_700_000_000 + id),
        prefix: Vec::new(),
        file: Some(file.to_vec()),
        size: None,
        version: 2,
    }
}

/// An account.
#[derive(Clone)]
pub(crate) struct Account {
    pub mailboxes: Vec<Mailbox>,
    pub messages: Vec<Message>,
    pub txid: u64,
    pub page_size: usize,
    /// Pages are written from here on: two commits of one account do not share any.
    pub first_page: u64,
}

impl Account {
    pub(crate) fn new(mailboxes: Vec<Mailbox>, messages: Vec<Message>) -> Account {
        Account { mailboxes, messages, txid: 7, page_size: 4096, first_page: 2 }
    }

    /// Writes the account into `directory`, which it replaces.
    pub(crate) fn write(&self, directory: &Path) {
        let _ = fs::remove_dir_all(directory);
        fs::create_dir_all(directory).expect("a directory");
        fs::write(directory.join("index.db"), self.image()).expect("room");
        for message in &self.messages {
            if let Some(bytes) = &message.file {
                let path = directory.join(path_of(message.id));
                fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
                fs::write(path, bytes).expect("room");
            }
        }
    }

    /// The whole database.
    pub(crate) fn image(&self) -> Vec<u8> {
        let (pages, meta) = self.commit();
        let mut image = vec![0; self.page_size * self.first_page as usize];
        image.extend(pages);
        for page in 0..2 {
            image[page * self.page_size..][..80].copy_from_slice(&self.meta_page(page as u64, &meta));
        }
        image
    }

    /// The page of a meta.
    pub(crate) fn meta_page(&self, page: u64, meta: &[u8]) -> Vec<u8> {
        [&page.to_le_bytes()[..], &4_u16.to_le_bytes(), &[0; 6], meta].concat()
    }

    /// All pages of the tree, and the meta that leads to them.
    pub(crate) fn commit(&self) -> (Vec<u8>, Vec<u8>) {
        let mut pages = Pages { bytes: Vec::new(), size: self.page_size, first: self.first_page };
        let mut types = vec![
            (b"DiskUsage".to_vec(), self.bucket(&mut pages, &[], Vec::new())),
            (b"Mailbox".to_vec(), self.bucket(&mut pages, &[mailbox_schema()], self.mailbox_records())),
            (
                b"Message".to_vec(),
                self.bucket(&mut pages, &[message_schema(1), message_schema(2)], self.message_records()),
            ),
        ];
        let mut names: Vec<&str> = self.mailboxes.iter().filter(|one| one.is_subscribed).map(|one| one.name).collect();
        names.sort_unstable();
        names.dedup();
        let subscribed = names.into_iter().map(|name| (name.as_bytes().to_vec(), vec![1])).collect();
        types.push((b"Subscription".to_vec(), self.bucket(&mut pages, &[schema(&[("Name", "string")])], subscribed)));
        let root = pages.tree(types.into_iter().map(|(key, value)| (1, key, value)).collect());
        let mut meta = Vec::new();
        meta.extend(0xED0C_DAED_u32.to_le_bytes());
        meta.extend(2_u32.to_le_bytes());
        meta.extend((self.page_size as u32).to_le_bytes());
        meta.extend(0_u32.to_le_bytes());
        for number in [root, 0, u64::MAX, pages.next(), self.txid] {
            meta.extend(number.to_le_bytes());
        }
        meta.extend(checksum(&meta).to_le_bytes());
        (pages.bytes, meta)
    }

    fn bucket(&self, pages: &mut Pages, schemas: &[String], records: Vec<(Vec<u8>, Vec<u8>)>) -> Vec<u8> {
        let schemas = (1_u32..).zip(schemas);
        let schemas = schemas.map(|(version, json)| (0, version.to_be_bytes().to_vec(), json.clone().into_bytes()));
        let types = pages.bucket_of(schemas.collect());
        let records = pages.bucket_of(records.into_iter().map(|(key, value)| (0, key, value)).collect());
        pages.bucket_of(vec![(1, b"records".to_vec(), records), (1, b"types".to_vec(), types)])
    }

    fn mailbox_records(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let record = |one: &Mailbox| {
            let has = |flag: &&str| Field::Bool(one.flags.contains(flag));
            let mut fields = vec![has(&"Expunged"), Field::Text(one.name.as_bytes().to_vec())];
            fields.extend(["Archive", "Draft", "Junk", "Sent", "Trash"].iter().map(has));
            (key(one.id), [vec![1], encode_fields(&fields)].concat())
        };
        let mut records: Vec<_> = self.mailboxes.iter().map(record).collect();
        records.sort();
        records
    }

    fn message_records(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let record = |one: &Message| {
            let has = |flag: &&str| Field::Bool(one.flags.contains(flag));
            let length = one.prefix.len() + one.file.as_ref().map_or(0, Vec::len);
            let size = one.size.unwrap_or(length as i64);
            let mut fields = vec![Field::Uint(one.id as u64), Field::Int(one.mailbox)];
            if one.version > 1 {
                fields.push(has(&"Expunged"));
            }
            fields.push(Field::Time(one.received));
            fields.extend(FLAGS.iter().map(has));
            if one.version > 1 {
                fields.push(Field::Texts(one.keywords.clone()));
            }
            fields.extend([Field::Int(size), Field::Text(one.prefix.clone()), Field::Text(b"{\"Parts\":[]}".to_vec())]);
            (key(one.id), [uvarint(one.version), encode_fields(&fields)].concat())
        };
        let mut records: Vec<_> = self.messages.iter().map(record).collect();
        records.sort();
        records
    }
}

const FLAGS: [&str; 10] =
    ["Seen", "Answered", "Flagged", "Forwarded", "Junk", "Notjunk", "Deleted", "Draft", "Phishing", "MDNSent"];

/// The file of a message in the directory of an account, for numbers below 524288.
pub(crate) fn path_of(id: i64) -> String {
    const DIGITS: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-_";
    format!("msg/{}/{id}", char::from(DIGITS[(id / 8192) as usize]))
}

fn schema(fields: &[(&str, &str)]) -> String {
    let field = |(name, kind): &(&str, &str)| match *kind {
        "strings" => format!(r#"{{"Name":"{name}","Type":{{"Kind":"slice","List":{{"Kind":"string"}}}}}}"#),
        kind => format!(r#"{{"Name":"{name}","Type":{{"Kind":"{kind}"}}}}"#),
    };
    let fields: Vec<String> = fields.iter().map(field).collect();
    format!(r#"{{"Version":1,"OndiskVersion":2,"Noauto":false,"Fields":[{}],"Indices":null}}"#, fields.join(","))
}

fn mailbox_schema() -> String {
    let roles = ["Archive", "Draft", "Junk", "Sent", "Trash"].map(|role| (role, "bool"));
    schema(&[&[("ID", "int64"), ("Expunged", "bool"), ("Name", "string")][..], &roles].concat())
}

fn message_schema(version: u64) -> String {
    let mut fields = vec![("ID", "int64"), ("UID", "uint32"), ("MailboxID", "int64")];
    if version > 1 {
        fields.push(("Expunged", "bool"));
    }
    fields.push(("Received", "time"));
    fields.extend(FLAGS.map(|flag| (flag, "bool")));
    if version > 1 {
        fields.push(("Keywords", "strings"));
    }
    fields.extend([("Size", "int64"), ("MsgPrefix", "bytes"), ("ParsedBuf", "bytes")]);
    schema(&fields)
}

pub(crate) fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

/// Elements of a leaf: flags, key, value.
type Elements = Vec<(u32, Vec<u8>, Vec<u8>)>;

struct Pages {
    bytes: Vec<u8>,
    size: usize,
    first: u64,
}

impl Pages {
    fn next(&self) -> u64 {
        self.first + (self.bytes.len() / self.size) as u64
    }

    /// Writes a body, which begins behind the page's number, and gives that.
    fn page(&mut self, flags: u16, count: usize, body: &[u8]) -> u64 {
        let id = self.next();
        let pages = (16 + body.len()).div_ceil(self.size);
        let head = [&id.to_le_bytes()[..], &flags.to_le_bytes(), &(count as u16).to_le_bytes()].concat();
        let page = [&head[..], &(pages as u32 - 1).to_le_bytes(), body].concat();
        self.bytes.extend(&page);
        self.bytes.resize(self.bytes.len() + pages * self.size - page.len(), 0);
        id
    }

    /// A tree with at most five elements in a leaf and three in a branch. Gives its root.
    fn tree(&mut self, elements: Elements) -> u64 {
        if elements.is_empty() {
            return self.page(2, 0, &[]);
        }
        let mut level: Vec<(Vec<u8>, u64)> = Vec::new();
        for part in elements.chunks(5) {
            let body = leaf_body(part);
            level.push((part[0].1.clone(), self.page(2, part.len(), &body)));
        }
        while level.len() > 1 {
            let mut above = Vec::new();
            for part in level.chunks(3) {
                let mut at = part.len() * 16;
                let (mut heads, mut keys) = (Vec::new(), Vec::new());
                for (place, (key, child)) in part.iter().enumerate() {
                    heads.extend(((at - place * 16) as u32).to_le_bytes());
                    heads.extend((key.len() as u32).to_le_bytes());
                    heads.extend(child.to_le_bytes());
                    keys.extend(key);
                    at += key.len();
                }
                above.push((part[0].0.clone(), self.page(1, part.len(), &[heads, keys].concat())));
            }
            level = above;
        }
        level[0].1
    }

    /// The value of a bucket with these elements: in itself if they are few and none is a bucket.
    fn bucket_of(&mut self, elements: Elements) -> Vec<u8> {
        let body = leaf_body(&elements);
        if body.len() < self.size / 4 && elements.iter().all(|(flags, ..)| *flags == 0) {
            let head = [&[0; 8][..], &2_u16.to_le_bytes(), &(elements.len() as u16).to_le_bytes(), &[0; 4]].concat();
            return [vec![0; 16], head, body].concat();
        }
        [self.tree(elements).to_le_bytes(), [0; 8]].concat()
    }
}

fn leaf_body(elements: &[(u32, Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut at = elements.len() * 16;
    let (mut heads, mut bytes) = (Vec::new(), Vec::new());
    for (place, (flags, key, value)) in elements.iter().enumerate() {
        for number in [*flags, (at - place * 16) as u32, key.len() as u32, value.len() as u32] {
            heads.extend(number.to_le_bytes());
        }
        bytes.extend(key);
        bytes.extend(value);
        at += key.len() + value.len();
    }
    [heads, bytes].concat()
}

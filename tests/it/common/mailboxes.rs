//! A mail account as plain data, read from where some program put it: what has to be equal can then be compared.

use super::account::below;
use super::imap::Imap;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::Path;
use std::time::UNIX_EPOCH;
use unicode_normalization::UnicodeNormalization;
use vandelay::format::mutf7;

/// One message: its bytes, its flags in small letters as IMAP names them, its date of arrival if it has one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Message {
    pub bytes: Vec<u8>,
    pub flags: BTreeSet<String>,
    pub date: Option<i64>,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Message { bytes, flags, date } = self;
        let start = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]);
        let digest = &blake3::hash(bytes).to_hex()[..12];
        write!(f, "{flags:?} {date:?} {} bytes {digest} {start:?}", bytes.len())
    }
}

/// Mailboxes by their whole name, decoded, with `/` between its parts.
pub(crate) type Account = BTreeMap<String, Vec<Message>>;

/// What one account has and the other has not. Nothing if they are equal.
pub(crate) fn differences(left: &Account, right: &Account) -> Vec<String> {
    let names: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    names.into_iter().flat_map(|name| differences_of_mailbox(name, left.get(name), right.get(name))).collect()
}

fn differences_of_mailbox(name: &str, left: Option<&Vec<Message>>, right: Option<&Vec<Message>>) -> Vec<String> {
    let (Some(left), Some(right)) = (left, right) else {
        let side = if left.is_some() { "left" } else { "right" };
        return vec![format!("{name:?} is on the {side} alone")];
    };
    let mut counts: BTreeMap<&Message, i32> = BTreeMap::new();
    left.iter().for_each(|message| *counts.entry(message).or_default() += 1);
    right.iter().for_each(|message| *counts.entry(message).or_default() -= 1);
    let unequal = counts.into_iter().filter(|(_, count)| *count != 0);
    unequal
        .map(|(message, count)| {
            let side = if count > 0 { "left" } else { "right" };
            format!("{name:?} has {} more on the {side}: {message:?}", count.abs())
        })
        .collect()
}

/// The letters of Maildir and what they mean.
const LETTERS: [(char, &str); 6] = [
    ('D', "\\draft"),
    ('F', "\\flagged"),
    ('P', "$forwarded"),
    ('R', "\\answered"),
    ('S', "\\seen"),
    ('T', "\\deleted"),
];

/// What `vandelay extract` made of `mail`: bytes, flags and keywords, dates.
pub(crate) fn extracted(mail: &Path) -> Account {
    maildirs(mail, |name| percent_encoding::percent_decode_str(name).decode_utf8().expect("UTF-8").into_owned())
}

/// What mbsync made, with the conversions of its own taken back: it puts a line `X-TUID` into every header, and the
/// names of its files have letters for six flags, but for no keyword. A message from 1970-01-01T00:00:00Z gets the date
/// at which it was written: `began` is a time before that.
pub(crate) fn pulled_by_mbsync(maildir: &Path, began: i64) -> Account {
    let mut account = maildirs(maildir, |name| mutf7::decode(name).expect("modified UTF-7").nfc().collect());
    for messages in account.values_mut() {
        messages.retain(|message| !has_all_flags(message));
        for message in messages {
            message.bytes = without_tuid(&message.bytes);
            message.date = message.date.filter(|date| *date < began || *date > began + 3600);
        }
    }
    account
}

/// What mbsync keeps. It leaves out messages whose header has no end, takes every CR away, and knows no keywords but
/// `$Forwarded`. Of the messages of a mailbox that have all six flags mbsync 1.4.4 keeps one, as `cur/:2,DFPRST`: the
/// name is made in the buffer that it is copied from. So these are not compared.
pub(crate) fn as_mbsync_keeps(account: &Account) -> Account {
    let kept = |message: &Message| {
        let mut message = message.clone();
        message.bytes.retain(|byte| *byte != b'\r');
        message.flags.retain(|flag| LETTERS.iter().any(|(_, known)| known == flag));
        message.date = message.date.filter(|date| *date != 0);
        let has_end = message.bytes.starts_with(b"\n") || memchr::memmem::find(&message.bytes, b"\n\n").is_some();
        let is_kept = has_end && !has_all_flags(&message);
        is_kept.then(|| Message { bytes: without_tuid(&message.bytes), ..message })
    };
    account.iter().map(|(name, messages)| (name.clone(), messages.iter().filter_map(kept).collect())).collect()
}

fn has_all_flags(message: &Message) -> bool {
    LETTERS.iter().all(|(_, flag)| message.flags.contains(*flag))
}

/// Takes the line `X-TUID` out of a header whose lines end with LF.
fn without_tuid(bytes: &[u8]) -> Vec<u8> {
    let header = if bytes.starts_with(b"\n") { 0 } else { memchr::memmem::find(bytes, b"\n\n").map_or(0, |at| at + 1) };
    let lines = bytes[..header].split_inclusive(|byte| *byte == b'\n');
    let mut kept = lines.filter(|line| !line.starts_with(b"X-TUID: ")).collect::<Vec<_>>().concat();
    kept.extend_from_slice(&bytes[header..]);
    kept
}

/// All Maildirs below a directory; `decode` makes the name of a mailbox of that of a directory.
fn maildirs(root: &Path, decode: impl Fn(&str) -> String) -> Account {
    let mut account = Account::new();
    for (path, meta) in below(root) {
        if !meta.is_dir() || !root.join(&path).join("cur").is_dir() {
            continue;
        }
        let parts = path.components().map(|part| decode(part.as_os_str().to_str().expect("UTF-8")));
        account.insert(parts.collect::<Vec<_>>().join("/"), messages(&root.join(&path)));
    }
    account
}

fn messages(folder: &Path) -> Vec<Message> {
    let keywords = fs::read_to_string(folder.join("dovecot-keywords")).unwrap_or_default();
    let keywords: BTreeMap<char, String> = keywords
        .lines()
        .map(|line| line.split_once(' ').expect("a number and a name"))
        .map(|(number, name)| (char::from(b'a' + number.parse::<u8>().expect("a number")), name.to_lowercase()))
        .collect();
    let files =
        ["cur", "new"].into_iter().flat_map(|part| below(&folder.join(part)).into_keys().map(move |n| (part, n)));
    files.map(|(part, name)| message(&folder.join(part).join(name), &keywords)).collect()
}

fn message(path: &Path, keywords: &BTreeMap<char, String>) -> Message {
    let name = path.file_name().and_then(|name| name.to_str()).expect("UTF-8");
    let letters = name.split_once(":2,").map_or("", |(_, letters)| letters);
    let meaning = |letter| {
        let standard = LETTERS.iter().find(|(known, _)| *known == letter).map(|(_, flag)| (*flag).to_owned());
        standard.or_else(|| keywords.get(&letter).cloned()).unwrap_or_else(|| panic!("the letter {letter} of {name}"))
    };
    let modified = std::os::unix::fs::MetadataExt::mtime(&fs::metadata(path).expect("a file"));
    Message {
        bytes: fs::read(path).expect("a message"),
        flags: letters.chars().map(meaning).collect(),
        date: Some(modified),
    }
}

/// What a server says of these mailboxes, as it stands on the wire.
pub(crate) fn on_the_wire(imap: &mut Imap, names: &[String]) -> Account {
    let mut account = Account::new();
    for name in names {
        imap.ok(&format!("EXAMINE \"{}\"", on_command_line(name)));
        let (is_ok, lines) = imap.run(b"UID FETCH 1:* (FLAGS INTERNALDATE BODY.PEEK[])");
        let messages =
            lines.iter().filter(|line| memchr::memmem::find(line, b" FETCH (").is_some()).map(|line| fetched(line));
        account.insert(name.nfc().collect(), messages.collect());
        assert!(is_ok, "{name}");
    }
    account
}

/// A name as it stands between quotes in a command.
pub(crate) fn on_command_line(name: &str) -> String {
    mutf7::encode(name).replace('\\', "\\\\").replace('"', "\\\"")
}

fn fetched(line: &[u8]) -> Message {
    let body = memchr::memmem::find(line, b"BODY[] {").expect("a body");
    let (said, rest) = line.split_at(body);
    let start = rest.iter().position(|byte| *byte == b'\n').expect("a line") + 1;
    let size: usize = between(&String::from_utf8_lossy(&rest[..start]), "{", "}").parse().expect("a size");
    let said = String::from_utf8_lossy(said);
    let flags = between(&said, "FLAGS (", ")").split_whitespace();
    Message {
        bytes: rest[start..start + size].to_vec(),
        flags: flags.filter(|flag| *flag != "\\Recent").map(str::to_lowercase).collect(),
        date: Some(seconds(between(&said, "INTERNALDATE \"", "\""))),
    }
}

fn between<'t>(text: &'t str, before: &str, behind: &str) -> &'t str {
    let (_, text) = text.split_once(before).unwrap_or_else(|| panic!("{before} in {text}"));
    text.split_once(behind).map(|(text, _)| text).unwrap_or_else(|| panic!("{behind} in {text}"))
}

/// Seconds since 1970 of a date of IMAP.
pub(crate) fn seconds(date: &str) -> i64 {
    let parsed = jiff::fmt::strtime::parse("%d-%b-%Y %H:%M:%S %z", date).expect("a date");
    parsed.to_timestamp().expect("a moment").as_second()
}

/// Seconds since 1970, now.
pub(crate) fn now() -> i64 {
    UNIX_EPOCH.elapsed().expect("after 1970").as_secs().cast_signed()
}

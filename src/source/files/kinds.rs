//! What a file is, by its name and its first bytes: something to import, a by-product of a mail program, something that
//! looks like mail and is not understood, or none of that.

use crate::format::fields::fields;
use crate::format::looks::{self, Looks};
use crate::format::mail;
use crate::format::mbox::separator_date;
use crate::model::{ObjectType, SkipKind};
use std::borrow::Cow;
use std::collections::HashSet;

/// The ending of what Proton Mail's export tool writes beside each message.
pub(super) const PROTON: &[u8] = b".metadata.json";
/// The ending of what Gmvault writes beside each message.
pub(super) const GMVAULT: &[u8] = b".meta";
/// The ending of the messages themselves.
pub(super) const MESSAGE: &[u8] = b".eml";

/// How much of a file is looked at.
pub(super) const HEAD: usize = looks::HEAD;

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Mbox,
    Calendar,
    Cards,
    /// One message.
    Message,
    /// One message as Apple Mail keeps it.
    AppleMessage,
}

impl Format {
    const ENDINGS: [(Format, &'static str); 8] = [
        (Format::Mbox, ".mbox"),
        (Format::Calendar, ".ics"),
        (Format::Calendar, ".ical"),
        (Format::Calendar, ".icalendar"),
        (Format::Cards, ".vcf"),
        (Format::Cards, ".vcard"),
        (Format::Message, ".eml"),
        (Format::AppleMessage, ".emlx"),
    ];

    /// The type of the objects within.
    pub(super) fn kind(self) -> ObjectType {
        match self {
            Format::Mbox | Format::Message | Format::AppleMessage => ObjectType::Email,
            Format::Calendar => ObjectType::CalendarEvent,
            Format::Cards => ObjectType::ContactCard,
        }
    }

    /// The media type of a file that is kept as it is.
    pub(super) fn media_type(self) -> &'static str {
        match self {
            Format::Mbox => "application/mbox",
            Format::Calendar => "text/calendar",
            Format::Cards => "text/vcard",
            Format::Message | Format::AppleMessage => "message/rfc822",
        }
    }

    /// The format that a file name promises, and the length of the name without its ending.
    pub(super) fn of(name: &[u8]) -> Option<(Format, usize)> {
        Format::ENDINGS.into_iter().find_map(|(format, ending)| {
            let stem = name.len().checked_sub(ending.len())?;
            name[stem..].eq_ignore_ascii_case(ending.as_bytes()).then_some((format, stem))
        })
    }
}

/// The fate of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    Import(Format),
    /// It says something of the messages beside it, and is read with them.
    Beside,
    /// Left out: why, and whether that matters.
    Aside(Cow<'static, str>, SkipKind),
}

fn aside(reason: &'static str, outcome: SkipKind) -> Fate {
    Fate::Aside(Cow::Borrowed(reason), outcome)
}

/// The names in a folder.
#[derive(Debug, Default)]
pub(super) struct Neighbours {
    names: HashSet<Vec<u8>>,
    is_proton: bool,
}

impl Neighbours {
    /// A folder with these names in it.
    pub(super) fn new(names: impl Iterator<Item = Vec<u8>>) -> Neighbours {
        let names: HashSet<Vec<u8>> = names.collect();
        let is_proton = names.iter().any(|name| name.to_ascii_lowercase().ends_with(PROTON));
        Neighbours { names, is_proton }
    }

    /// Whether the folder has this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.names.contains(name.as_bytes())
    }

    /// Whether the folder has the message that a file with this ending is about.
    fn has_message(&self, name: &[u8], ending: &[u8]) -> bool {
        let Some(stem) = name.strip_suffix(ending) else { return false };
        ["", ".gz"].iter().any(|packed| self.names.contains(&[stem, MESSAGE, packed.as_bytes()].concat()))
    }

    /// Whether Thunderbird has an index of this file, which is an mbox then.
    fn has_index(&self, name: &[u8]) -> bool {
        self.names.contains(&[name, b".msf"].concat())
    }
}

/// What to do with a packed or encrypted file.
const UNPACK: &str = "unpack it, then import it";
const OTHER: &str = "no mail, calendar or contacts";

/// Flags of all messages of a folder, by the names of the files.
const BESIDE: [&str; 3] = [".mh_sequences", ".claws_mark", ".sylpheed_mark"];

/// By-products by their whole names, in lower case.
const NAMES: [(&str, &str, SkipKind); 16] = [
    ("table_of_contents", "index of Apple Mail", SkipKind::ByProduct),
    (".ds_store", "file of a file manager", SkipKind::ByProduct),
    (".directory", "file of a file manager", SkipKind::ByProduct),
    ("thumbs.db", "file of a file manager", SkipKind::ByProduct),
    ("desktop.ini", "file of a file manager", SkipKind::ByProduct),
    ("archive_browser.html", "table of contents of a Takeout", SkipKind::ByProduct),
    ("tasks.json", "Google Tasks, which are not imported", SkipKind::Skipped),
    (
        "msg-db.sqlite",
        "labels and dates of Got Your Back, which are not read: its .eml files are imported without them",
        SkipKind::NotUnderstood,
    ),
    ("subscriptions", "index or settings of a mail program", SkipKind::ByProduct),
    (".subscriptions", "index or settings of a mail program", SkipKind::ByProduct),
    (".mailboxlist", "index or settings of a mail program", SkipKind::ByProduct),
    ("popstate.dat", "index or settings of a mail program", SkipKind::ByProduct),
    (".claws_cache", "index or settings of a mail program", SkipKind::ByProduct),
    (".sylpheed_cache", "index or settings of a mail program", SkipKind::ByProduct),
    (".mh_profile", "index or settings of a mail program", SkipKind::ByProduct),
    ("msgfilterrules.dat", "index or settings of a mail program", SkipKind::ByProduct),
];

/// Files without mail in them, by their endings.
const ENDINGS: [(&str, &[&str]); 5] = [
    ("index of Thunderbird", &["msf"]),
    ("picture", &["jpg", "jpeg", "png", "gif", "webp", "heic", "tif", "tiff", "bmp", "svg", "ico"]),
    ("patch", &["patch", "diff"]),
    ("saved web page", &["mht", "mhtml"]),
    (
        OTHER,
        &[
            "html", "htm", "json", "csv", "pdf", "css", "js", "mp3", "m4a", "ogg", "flac", "wav", "mp4", "mov", "avi",
            "mkv", "webm", "3gp", "doc", "docx", "xls", "xlsx", "ppt", "pptx", "odt", "ods", "odp", "epub", "jar",
            "apk", "sqlite",
        ],
    ),
];

/// Mail that is not read, by the endings of its files, with what to do.
const STORES: [(&str, &[&str]); 5] = [
    ("data file of Outlook: export its mail as .mbox or .eml files first", &["pst", "ost", "olm"]),
    ("folder of Outlook Express: convert it to .mbox or .eml files first", &["dbx"]),
    ("message of Outlook: save it as an .eml file first", &["msg"]),
    ("mail of Notes: export it as .eml files first", &["nsf"]),
    ("mail of The Bat! or Pegasus Mail: export it as .mbox or .eml files first", &["tbb", "tbn", "pmm", "cnm"]),
];

/// The endings of packed files, for those whose first bytes do not tell.
const PACKED: [&str; 19] = [
    "gz", "tgz", "bz2", "tbz", "tbz2", "xz", "txz", "lzma", "zst", "tzst", "lz4", "lz", "z", "zip", "7z", "rar", "tar",
    "cpio", "mbz",
];

/// The name of a packed file without the ending that says so.
pub(super) fn unpacked_name(name: &[u8]) -> &[u8] {
    let place = memchr::memrchr(b'.', name).filter(|place| *place > 0);
    let ending = place.map(|place| String::from_utf8_lossy(&name[place + 1..]).to_lowercase());
    match place.filter(|_| ending.is_some_and(|ending| PACKED.contains(&ending.as_str()))) {
        Some(place) => &name[..place],
        None => name,
    }
}

/// What becomes of a file by its name alone. `None` if its first bytes have to tell.
pub(super) fn by_name(name: &[u8], size: u64, neighbours: &Neighbours) -> Option<Fate> {
    let lower = String::from_utf8_lossy(name).to_lowercase();
    if lower.ends_with(".partial.emlx") {
        let reason = "message of Apple Mail whose attachments lie in files beside it: export the mailbox in Apple Mail";
        return Some(aside(reason, SkipKind::NotUnderstood));
    }
    if let Some((format, _)) = Format::of(name) {
        return Some(Fate::Import(format));
    }
    if neighbours.has_message(name, PROTON)
        || neighbours.has_message(name, GMVAULT)
        || neighbours.is_proton && lower == "labels.json"
        || BESIDE.contains(&lower.as_str())
    {
        return Some(Fate::Beside);
    }
    if lower.ends_with(".metadata.json") {
        let reason = "message of Proton Mail that is not there: export it once more";
        return Some(aside(reason, SkipKind::NotUnderstood));
    }
    if [".eml.crypt", ".eml.crypt.gz"].iter().any(|ending| lower.ends_with(ending)) {
        return Some(aside("message encrypted by Gmvault: decrypt it first", SkipKind::NotUnderstood));
    }
    if let Some((_, reason, outcome)) = NAMES.iter().find(|(known, ..)| *known == lower) {
        return Some(aside(reason, *outcome));
    }
    if lower.starts_with("dovecot") || lower == "maildirsize" {
        return Some(aside("index or settings of a mail program", SkipKind::ByProduct));
    }
    let ending = lower.rsplit_once('.').map_or("", |(_, ending)| ending);
    if let Some((reason, _)) = ENDINGS.iter().find(|(_, endings)| endings.contains(&ending)) {
        return Some(aside(reason, SkipKind::ByProduct));
    }
    if neighbours.has_index(name) {
        return Some(Fate::Import(Format::Mbox));
    }
    (size == 0).then(|| aside("empty file", SkipKind::ByProduct))
}

/// What becomes of a file by its first bytes, where its name does not tell.
pub(super) fn by_content(name: &[u8], head: &[u8]) -> Fate {
    match format_of(head) {
        // Many a text begins with words and colons.
        Some(Format::Message | Format::AppleMessage) if name.contains(&b'.') && !was_sent(head) => {}
        Some(format) => return Fate::Import(format),
        None => {}
    }
    let lower = String::from_utf8_lossy(name).to_lowercase();
    let ending = lower.rsplit_once('.').map_or("", |(_, ending)| ending);
    if let Some((reason, _)) = STORES.iter().find(|(_, endings)| endings.contains(&ending)) {
        return aside(reason, SkipKind::NotUnderstood);
    }
    let is_tar = head.get(257..262) == Some(b"ustar");
    let packed = match Looks::of(head) {
        Looks::Store(what) => {
            let reason = format!("{what}: export or convert its mail to .mbox or .eml files first");
            return Fate::Aside(reason.into(), SkipKind::NotUnderstood);
        }
        Looks::Wrapped(what) => Some(what),
        _ => (is_tar || PACKED.contains(&ending)).then_some("packed"),
    };
    match packed {
        Some(what) if is_packed_mail(&lower) || what.contains("mail_crypt") => {
            Fate::Aside(format!("{what}: {UNPACK}").into(), SkipKind::NotUnderstood)
        }
        Some(what) => Fate::Aside(format!("{what}: if mail is in it, {UNPACK}").into(), SkipKind::Skipped),
        None => aside(OTHER, SkipKind::ByProduct),
    }
}

/// Why a file that promises to be an mbox and has no message in it is none, if it is packed or encrypted.
pub(super) fn wrapped(head: &[u8]) -> Option<String> {
    match Looks::of(head) {
        Looks::Wrapped(what) => Some(format!("{what}: {UNPACK}")),
        Looks::Store(what) => Some(format!("{what}: export or convert its mail to .mbox or .eml files first")),
        _ => None,
    }
}

/// Whether the name of a packed file says that there is something to import in it.
fn is_packed_mail(lower: &str) -> bool {
    lower.starts_with("takeout-") || Format::ENDINGS.iter().any(|(_, ending)| lower.contains(&format!("{ending}.")))
}

/// What a file holds, by its first bytes.
pub(super) fn format_of(head: &[u8]) -> Option<Format> {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let begins =
        |words: &str| text.get(..words.len()).is_some_and(|start| start.eq_ignore_ascii_case(words.as_bytes()));
    if begins("BEGIN:VCALENDAR") {
        return Some(Format::Calendar);
    }
    if begins("BEGIN:VCARD") {
        return Some(Format::Cards);
    }
    match Looks::of(head) {
        Looks::Mbox => Some(Format::Mbox),
        Looks::AppleMessage => {
            let message = &text[memchr::memchr(b'\n', text)? + 1..];
            Looks::is_surely_message(message).then_some(Format::AppleMessage)
        }
        Looks::Message if Looks::is_surely_message(head) => Some(Format::Message),
        Looks::Text => {
            // A message without a header: then the separator has to have a date.
            let separator = text.strip_prefix(b"From ")?;
            let end = memchr::memchr(b'\n', separator)?;
            separator_date(separator[..end].trim_ascii()).map(|_| Format::Mbox)
        }
        _ => None,
    }
}

/// Whether there is a field that only programs that send mail write.
fn was_sent(head: &[u8]) -> bool {
    const FIELDS: [&str; 5] = ["Received", "Return-Path", "Message-ID", "Delivered-To", "MIME-Version"];
    fields(mail::header_of(head)).any(|field| FIELDS.iter().any(|name| field.is(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use SkipKind::{ByProduct, NotUnderstood, Skipped};

    fn fate(name: &str, head: &[u8]) -> Fate {
        let names = [&b"Inbox.msf"[..], b"a.metadata.json", b"a.eml", b"7.eml.gz"];
        let neighbours = Neighbours::new(names.map(<[u8]>::to_vec).into_iter());
        by_name(name.as_bytes(), head.len() as u64, &neighbours).unwrap_or_else(|| by_content(name.as_bytes(), head))
    }

    #[test]
    fn every_file_has_a_fate() {
        let message = b"Received: x\n y\nFrom: a\nSubject: b\n\nc\n";
        let mbox = [b"From - \n", &message[..]].concat();
        for (name, head, format) in [
            ("a.MBOX", &b""[..], Format::Mbox),
            ("a.ics", b"", Format::Calendar),
            ("a.vcf", b"x", Format::Cards),
            ("a.eml", b"", Format::Message),
            ("7.emlx", b"", Format::AppleMessage),
            ("mbox", &mbox, Format::Mbox),
            ("Archive.2010", b"\xef\xbb\xbf\r\nFrom a Mo 9. M\xe4rz\r\nA: b\r\n", Format::Mbox),
            ("sent", b"From a@b Mon Jan 15 10:00:00 2024\n\nx\n", Format::Mbox),
            ("Inbox", b"", Format::Mbox),
            ("17", message, Format::Message),
            ("message.msg", message, Format::Message),
            ("calendar", b"BEGIN:VCALENDAR\r\n", Format::Calendar),
            ("contacts.txt", b"begin:vcard\n", Format::Cards),
        ] {
            assert_eq!(fate(name, head), Fate::Import(format), "{name}");
        }
        for name in ["a.metadata.json", "labels.json", "7.meta", ".mh_sequences", ".claws_mark"] {
            assert_eq!(fate(name, b"{}"), Fate::Beside, "{name}");
        }
        for (name, head, outcome) in [
            ("Inbox.msf", &b"x"[..], ByProduct),
            ("table_of_contents", &[0; 64], ByProduct),
            (".DS_Store", b"x", ByProduct),
            ("photo.JPG", b"x", ByProduct),
            ("notes", b"From here on\nall is well: yes\n", ByProduct),
            ("config", b"From: x\n", ByProduct),
            ("letter", b"To: you\nHello, all is well\n\n", ByProduct),
            ("alerts.yaml", b"from: ops@example.org\nto: me@example.org\nsubject: x\n", ByProduct),
            ("numbers.txt", b"12\nfrom: here\nall: of it\n", ByProduct),
            ("empty", b"", ByProduct),
            ("0001-fix.patch", &mbox, ByProduct),
            ("Tasks.json", b"{}", Skipped),
            ("old.zip", b"PK\x03\x04", Skipped),
            ("backup", b"\x1f\x8b\x08", Skipped),
            ("takeout-20240101T000000Z-001.zip", b"PK\x03\x04", NotUnderstood),
            ("All mail.mbox.gz", b"x", NotUnderstood),
            ("All mail.mbox.bz2", b"BZh9", NotUnderstood),
            ("archive.pst", b"!BDN", NotUnderstood),
            ("old.lz", b"LZIP", Skipped),
            ("RMAIL", b"BABYL OPTIONS: -*- rmail -*-\n", NotUnderstood),
            ("inbox", b"\x01\x01\x01\x01\nFrom: a\n", NotUnderstood),
            ("u.1", b"CRYPTED\x03\x07", NotUnderstood),
            ("m.msg", b"\xd0\xcf\x11\xe0", NotUnderstood),
            ("9.partial.emlx", b"", NotUnderstood),
            ("b.metadata.json", b"{}", NotUnderstood),
            ("c.eml.crypt.gz", b"x", NotUnderstood),
            ("msg-db.sqlite", b"SQLite format 3\0", NotUnderstood),
            (".claws_cache", b"x", ByProduct),
        ] {
            let Fate::Aside(reason, found) = fate(name, head) else { panic!("{name} is imported") };
            assert_eq!(found, outcome, "{name}: {reason}");
            // What matters says what to do.
            assert!(outcome != NotUnderstood || reason.contains(": ") || reason.contains("not read"), "{reason}");
        }
    }
}

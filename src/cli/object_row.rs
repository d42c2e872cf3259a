//! An object as a line of a list: its short id, when it is from, from whom, what it is called, where it lies, how large it
//! is. `inspect TYPE` and `find` print these lines.

use super::screen::Style;
use super::table::{Cell, Column};
use super::ui::size;
use super::when;
use crate::archive::{Reader, Record};
use crate::error::{ErrorKind, Result};
use crate::model::object_id::ObjectId;
use crate::tree::{Label, Tree};

/// The columns of messages, and of lists with objects of several types.
pub(super) const COLUMNS: [Column; 7] = [
    Column::text("ID", 20).whole(),
    Column::time("DATE").rank(2),
    Column::text("FROM", 24).at_least(10).rank(3),
    Column::rest("SUBJECT").at_least(16),
    Column::text("FOLDER", 24).at_least(8).keeping_end().rank(6),
    Column::number("SIZE", 4).rank(5),
    Column::text("", 24).at_least(5),
];

/// What a line says of an object. What is not known is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ObjectRow {
    /// `m943`
    pub(super) id: String,
    /// Seconds since 1970: the arrival of a message.
    pub(super) date: Option<i64>,
    /// The name of the sender, or the address.
    pub(super) from: String,
    /// The subject of a message, the title of an event, the name of a card or a file.
    pub(super) subject: String,
    /// The folder, calendar or address book.
    pub(super) folder: String,
    /// Bytes.
    pub(super) size: Option<u64>,
    /// `gone since 13 Nov 2026`, in its colour.
    pub(super) status: (String, Style),
}

impl ObjectRow {
    /// The line of a message, from what the tree says of it.
    pub(super) fn of_message(reader: &Reader, record: &Record, label: &Label) -> ObjectRow {
        let field = |name: &str| field(label, name).unwrap_or_default().to_owned();
        ObjectRow {
            id: id(record),
            date: Some(record.received()),
            from: person(&field("from")),
            subject: field("subject"),
            folder: folders(label),
            size: reader.email_blob(record.id).ok().map(|blob| blob.size),
            status: Default::default(),
        }
    }

    /// Its cells under [`COLUMNS`].
    pub(super) fn cells(self) -> Vec<Cell> {
        let (status, style) = self.status;
        vec![
            Cell::new(self.id, Style::Id),
            self.date.map(when::time).unwrap_or_default().into(),
            self.from.into(),
            self.subject.into(),
            self.folder.into(),
            self.size.map(size).unwrap_or_default().into(),
            Cell::new(status, style),
        ]
    }
}

/// The short id of an object, or its row if its type has none.
pub(super) fn id(record: &Record) -> String {
    ObjectId::of(record.kind, record.id).map_or_else(|| record.id.to_string(), |id| id.to_string())
}

/// A property of an object that people recognise it by.
pub(super) fn field<'l>(label: &'l Label, name: &str) -> Option<&'l str> {
    label.fields.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
}

/// The name in front of an address, or the address alone.
pub(super) fn person(from: &str) -> String {
    let name = from.split('<').next().unwrap_or(from).trim().trim_matches('"').trim();
    if name.is_empty() { from.trim_matches(['<', '>']).to_owned() } else { name.to_owned() }
}

/// Where an object lies, without the directory of its type: `INBOX`, `Reisen/Zürich`, `INBOX +2`.
pub(super) fn folders(label: &Label) -> String {
    let Some((first, more)) = label.paths.split_first() else { return String::new() };
    let folder = folder(first);
    if more.is_empty() { folder.to_owned() } else { format!("{folder} +{}", more.len()) }
}

/// `Reisen/Zürich` of `mail/Reisen/Zürich/cur/1.a`, `Imported` of `contacts/Imported/bob.vcf`.
pub(super) fn folder(path: &str) -> &str {
    let inside = path.split_once('/').map_or("", |(_, inside)| inside);
    let folder = inside.rsplit_once('/').map_or("", |(folder, _)| folder);
    let is_mail = path.starts_with("mail/");
    ["/cur", "/new"].iter().find_map(|end| folder.strip_suffix(end).filter(|_| is_mail)).unwrap_or(folder)
}

/// The label of an object. One that cannot be read is listed all the same.
pub(super) fn label(tree: &Tree, record: &Record) -> Result<Label> {
    match tree.label(record) {
        Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::Damaged | ErrorKind::Unreadable) => {
            Ok(Label { fields: vec![("subject", "(cannot be read)".to_owned())], ..Label::default() })
        }
        label => label,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_what_people_call_it() {
        for (path, expected) in [
            ("mail/INBOX/cur/1.a,S=1:2,S", "INBOX"),
            ("mail/Reisen/Zürich/new/1", "Reisen/Zürich"),
            ("contacts/Imported/bob.vcf", "Imported"),
            ("files/a/cur/x", "a/cur"),
            ("files/x", ""),
            ("x", ""),
        ] {
            assert_eq!(folder(path), expected, "{path}");
        }
    }
}

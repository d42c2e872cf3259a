//! An event or a card: the bytes of its file are parsed as an import of that file would, and the object that comes out is
//! compared with the row.

use super::finding::Checked;
use super::read_back::{ReadBack, is_of_object};
use super::same;
use crate::archive::Record;
use crate::error::{ErrorKind, Result};
use crate::format::convert::{JSON_LIMIT, inline_blobs, read};
use crate::format::{ics, jscal, jscard, vcf};
use crate::model::{Id, ObjectType};
use serde_json::Value;
use std::ops::Range;

/// The most bytes of one event or card.
const ITEM_MAX: usize = 64 << 20;

/// An object that was made of a file.
struct Parsed {
    uid: String,
    /// `Event`, `Task` or `Note`; empty for a card.
    data_type: &'static str,
    data: Value,
}

/// An event or a card with each of its files, which have the same bytes.
pub(super) fn check(back: &ReadBack<'_>, record: &Record, checked: &mut Checked) -> Result<()> {
    let nodes = back.nodes(record, checked)?;
    let Some((path, node)) = nodes.first() else { return Ok(()) };
    let bytes = match back.tree.read_whole(*node, ITEM_MAX) {
        Ok(bytes) => bytes,
        Err(error) if error.kind == ErrorKind::Unreadable => {
            checked.loss(Some(path), error.to_string());
            return Ok(());
        }
        Err(error) if is_of_object(error.kind) => {
            checked.damage(Some(path), error.to_string());
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    checked.bytes += bytes.len() as u64;
    let row = match Row::of(back, record) {
        Ok(row) => row,
        Err(error) if is_of_object(error.kind) => {
            checked.damage(Some(path), format!("its JSON cannot be read: {error}"));
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let parsed = parse(record.kind, &bytes);
    if row.data_type == "Group" {
        let entries = row.data.get("entries").and_then(Value::as_array).map_or(0, Vec::len);
        if parsed.len() != entries {
            checked.loss(Some(path), format!("a group of {entries} objects whose file has {}", parsed.len()));
        }
        return Ok(());
    }
    // A file of several objects is one where its source had one: its first is what an import gives the name of the file.
    let Some(parsed) = parsed.into_iter().next() else {
        let format = if record.kind == ObjectType::ContactCard { "vCard" } else { "iCalendar" };
        checked.loss(Some(path), format!("{format} has no form for it, so its file is its JSON"));
        return Ok(());
    };
    let differing = row.differing(&parsed);
    if !differing.is_empty() {
        let what = format!("its file parsed again says something else of: {}", differing.join(", "));
        checked.loss(Some(path), what);
    }
    Ok(())
}

/// What the archive says of an object.
struct Row {
    uid: String,
    data_type: String,
    data: Value,
}

impl Row {
    fn of(back: &ReadBack<'_>, record: &Record) -> Result<Row> {
        let reader = back.tree.reader();
        let bytes_of = |blob: Id| reader.whole(&reader.blob(blob).ok()?).ok();
        let (text, uid, data_type, key) = match record.kind {
            ObjectType::ContactCard => {
                let card = record.contact_card();
                (card.data.into_owned(), card.uid.into_owned(), String::new(), "uri")
            }
            _ => {
                let event = record.calendar_event();
                (event.data.into_owned(), String::new(), event.data_type.into_owned(), "href")
            }
        };
        let mut data = read(text.as_bytes())?;
        if text.contains("@blob") {
            inline_blobs(&mut data, key, &bytes_of, &mut JSON_LIMIT.clone())?;
        }
        let uid = match data.get("uid").and_then(Value::as_str) {
            Some(own) if uid.is_empty() => own.to_owned(),
            _ => uid,
        };
        Ok(Row { uid, data_type, data })
    }

    /// What a parsed object says otherwise, by name.
    fn differing(&self, parsed: &Parsed) -> Vec<String> {
        let mut names = Vec::new();
        if !self.uid.is_empty() && !is_uid(&self.uid, &parsed.uid) {
            names.push("uid".to_owned());
        }
        if !self.data_type.is_empty() && self.data_type != parsed.data_type {
            names.push("@type".to_owned());
        }
        names.extend(same::differing(&self.data, &parsed.data));
        names
    }
}

/// True for the uid of a row, or what it was before the archive marked it because another object has it.
fn is_uid(row: &str, parsed: &str) -> bool {
    let is_marked = |mark: char| row.rsplit_once(mark).is_some_and(|(own, mark)| own == parsed && !mark.is_empty());
    row == parsed || is_marked('#') || is_marked('~')
}

/// The objects that an import makes of a file.
fn parse(kind: ObjectType, bytes: &[u8]) -> Vec<Parsed> {
    let part = |range: &Range<u64>| bytes.get(range.start as usize..range.end as usize).unwrap_or_default().to_vec();
    if kind == ObjectType::ContactCard {
        let cards = vcf::split(bytes).items.into_iter();
        return cards
            .map(|card| {
                let data = jscard::to_jscontact(&part(&card.range)).data;
                Parsed { uid: card.uid, data_type: "", data }
            })
            .collect();
    }
    let objects = ics::split(bytes).items.into_iter();
    objects
        .map(|object| {
            let own: Vec<u8> = object.ranges.iter().flat_map(part).collect();
            let data = jscal::to_jscalendar(&own, &object.uid, object.data_type).data;
            Parsed { uid: object.uid, data_type: object.data_type.name(), data }
        })
        .collect()
}

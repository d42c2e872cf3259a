//! Files of an export that hold nothing of what their names promise: kept as they are.

use super::found::{Export, ExportFile};
use super::kinds::Format;
use super::spool::{Spool, Stretch};
use super::{mail, objects};
use crate::error::Result;
use crate::model::container::Container;
use crate::model::{Attrs, Digest, Entry, FetchedItem, ItemData, ObjectType, SkipKind, SkippedItem};
use crate::source::{Failure, Items, Listing};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Lists the plain files, and what of the export could not be read. `known` is what this run knows already.
pub(super) fn list(
    export: &Export,
    known: &mut BTreeMap<String, Option<&'static str>>,
    spool: &mut Spool,
    cursor: &str,
) -> Result<Listing> {
    let now = export_cursor(export);
    let mut listing = Listing { omissions: export.aside.clone(), ..Listing::default() };
    if !now.is_empty() && now == cursor {
        listing.unchanged = true;
        listing.cursor = now;
        return Ok(listing);
    }
    let mut folders = BTreeSet::new();
    let mut settled = true;
    for file in &export.files {
        let plain = match known.get(&file.key) {
            Some(plain) => *plain,
            None => match look(file) {
                Ok(plain) => *known.entry(file.key.clone()).or_insert(plain),
                // The file's own scope reports it.
                Err(_) => {
                    settled = false;
                    continue;
                }
            },
        };
        if plain.is_none() {
            continue;
        }
        match entry(file, spool) {
            Ok(entry) => listing.entries.push(entry),
            Err(error) => {
                settled = false;
                listing.omissions.push(SkippedItem {
                    kind: ObjectType::FileNode,
                    reason: "unreadable".to_owned(),
                    position: error.to_string(),
                    outcome: SkipKind::Failed,
                });
                continue;
            }
        }
        if let Some(folder) = file.folder() {
            folders.extend(folder.match_indices('/').map(|(end, _)| &folder[..end]));
            folders.insert(folder);
        }
    }
    listing.containers = folders.into_iter().map(folder).collect();
    listing.cursor = if settled { now } else { String::new() };
    Ok(listing)
}

/// Hands over plain files.
pub(super) fn fetch<'a>(export: &'a Export, spool: &'a mut Spool, entries: Vec<Entry>) -> Items<'a> {
    Box::new(entries.into_iter().map(move |entry| {
        let item = export.file(&entry.key).and_then(|file| {
            let (handle, stamp) = file.open()?;
            let stretch = Stretch::file(stamp.size);
            let body = spool.body(&handle, &stretch, &entry.rev, &file.key)?;
            let name = file.key.rsplit('/').next().unwrap_or(&file.key).to_owned();
            let media_type = file.format.media_type();
            let modified = Some(stamp.seconds());
            Ok(FetchedItem {
                key: entry.key.clone(),
                body,
                data: ItemData::File { name, media_type: Some(media_type.to_owned()), modified },
            })
        });
        item.map_err(|error| Failure { key: entry.key, vanished: false, error })
    }))
}

/// Why a file is a plain one, if it is.
fn look(file: &ExportFile) -> Result<Option<&'static str>> {
    match file.format {
        Format::Calendar | Format::Cards => objects::is_plain(file),
        _ => mail::is_plain(file),
    }
}

fn entry(file: &ExportFile, spool: &mut Spool) -> Result<Entry> {
    let (handle, stamp) = file.open()?;
    let stretch = Stretch::file(stamp.size);
    let digest = spool.digest(&handle, &stretch).map_err(|error| file.failed(error))?;
    let parents = file.folder().map(str::to_owned).into_iter().collect();
    Ok(Entry {
        key: file.key.as_str().into(),
        rev: digest.hex().into(),
        locator: "".into(),
        attrs: Arc::new(Attrs { parents, ..Attrs::none(ObjectType::FileNode) }),
    })
}

fn folder(key: &str) -> Container {
    let (parent, name) = match key.rsplit_once('/') {
        Some((parent, name)) => (Some(parent.to_owned()), name),
        None => (None, key),
    };
    Container::new(ObjectType::FileNode, key, parent, name)
}

/// A cursor over all files: any of them may become a plain one or cease to be one. Empty where something could not be
/// looked at.
fn export_cursor(export: &Export) -> String {
    let mut hasher = blake3::Hasher::new();
    for file in &export.files {
        let Ok(stamp) = file.place.stamp() else { return String::new() };
        hasher.update(file.key.as_bytes());
        hasher.update(stamp.cursor("\0").as_bytes());
        hasher.update(b"\0");
    }
    format!("f1:{}", Digest(*hasher.finalize().as_bytes()).hex())
}

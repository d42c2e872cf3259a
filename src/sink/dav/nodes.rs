//! Files and directories of an archive for a server of WebDAV, and what is compared: pure.

use crate::format::jmap::{Object, name};
use crate::model::objects::{FileNode, NodeType, Properties};
use crate::model::{Digest, ObjectType};
use crate::net::sanitize::said;
use crate::protocol::dav::Resource;
use crate::sink::{BlobProvider, Draft, FileState, NoDraft, Patch, Remote, StoredItem};
use serde_json::{Value, json};

/// The longest name that common file systems take, in bytes.
const NAME_MAX: usize = 255;

/// What a draft and a remote file say: properties of their bodies.
pub(super) const NAME: &str = "name";
pub(super) const MEDIA: &str = "type";
pub(super) const MODIFIED: &str = "modified";
pub(super) const REMARK: &str = "remark";
pub(super) const ETAG: &str = "etag";
const SIZE: &str = "size";
const DIGEST: &str = "digest";

/// What is said of a file of which only the beginning was there.
const COMPLETED: &str = "only its beginning was there, as after an upload that broke off";

/// The type of what has no better one.
const ANY_TYPE: &str = "application/octet-stream";

/// An object for the server.
pub(super) fn draft(item: &StoredItem<'_>) -> Result<Draft, NoDraft> {
    let Properties::FileNode(node) = &item.properties else {
        let reason = "a WebDAV server has files only".to_owned();
        return Err(NoDraft::Unplaced { reason, label: format!("row {}", item.row) });
    };
    let mut draft = container(&node.name);
    draft.node = Some(node.node_type);
    match node.node_type {
        NodeType::Directory => {}
        NodeType::File => of_file(node, item, &mut draft),
        NodeType::Symlink => {
            let reason = "WebDAV has no symbolic links".to_owned();
            return Err(NoDraft::Unplaced { reason, label: node.name.to_string() });
        }
    }
    Ok(draft)
}

/// A directory of which nothing but the name is known.
pub(super) fn container(text: &str) -> Draft {
    let label = file_name(text);
    let body = Object::from_iter([(NAME.to_owned(), json!(label))]);
    let remark = (label != text).then(|| format!("its name \"{}\" is none that servers take", said(text.as_bytes())));
    let (key, raw, node) = (key(&label), text.to_owned(), Some(NodeType::Directory));
    Draft { key, raw, label, node, body, remark, ..Draft::default() }
}

fn of_file(node: &FileNode<'_>, item: &StoredItem<'_>, draft: &mut Draft) {
    draft.blob = item.blob;
    let body = &mut draft.body;
    body.insert(MEDIA.to_owned(), json!(node.media_type.as_deref().filter(|kind| is_field(kind)).unwrap_or(ANY_TYPE)));
    let modified: Option<jiff::Timestamp> = node.modified.as_deref().and_then(|date| date.parse().ok());
    body.extend(modified.map(|date| (MODIFIED.to_owned(), json!(date.as_second()))));
    if item.is_executable {
        let executable = "WebDAV does not say that a file is a program";
        let name = draft.remark.take().map(|remark| format!("{remark}; "));
        draft.remark = Some(name.unwrap_or_default() + executable);
    }
}

/// True for what may stand in a field of a request.
fn is_field(text: &str) -> bool {
    !text.trim().is_empty() && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// A name that can stand in a path: to the letter, where that is possible. A control character would make listings that are
/// no XML.
pub(super) fn file_name(text: &str) -> String {
    let mut name = String::new();
    for c in text.chars().map(|c| if c == '/' || c.is_control() { '_' } else { c }) {
        if name.len() + c.len_utf8() > NAME_MAX {
            break;
        }
        name.push(c);
    }
    match name.as_str() {
        "" => "unnamed".to_owned(),
        "." | ".." => format!("{name}_"),
        _ => name,
    }
}

/// What two names have in common that are one to a server which writes letters with accents in another form.
fn key(text: &str) -> String {
    name(text, usize::MAX, "")
}

/// What lies in a directory of the server. `id` is its URL.
pub(super) fn remote(resource: &Resource, id: String, parent: Option<String>) -> Remote {
    let name = resource.file_name().unwrap_or_default();
    let node = if resource.is_collection { NodeType::Directory } else { NodeType::File };
    let mut body = Object::new();
    if node == NodeType::File {
        body.extend(resource.size.map(|size| (SIZE.to_owned(), json!(size))));
        body.extend(resource.modified_at().map(|date| (MODIFIED.to_owned(), json!(date))));
        body.extend(resource.etag.as_ref().map(|etag| (ETAG.to_owned(), json!(etag))));
    }
    Remote {
        id,
        key: key(&name),
        label: said(name.as_bytes()),
        name,
        parent,
        node: Some(node),
        body,
        ..Remote::default()
    }
}

/// Notes what the bytes of a file at the server are; `None` if they could not be read.
pub(super) fn note(remote: &mut Remote, digest: Option<Digest>) {
    remote.body.insert(DIGEST.to_owned(), json!(digest.map(|digest| digest.hex()).unwrap_or_default()));
}

/// The size of a file at the server, if it says that.
pub(super) fn size(remote: &Remote) -> Option<u64> {
    remote.body.get(SIZE).and_then(Value::as_u64)
}

/// What makes a file at the server what the archive says.
pub(super) fn difference(kind: ObjectType, ours: &Draft, theirs: &Remote, supply: &dyn BlobProvider) -> Patch {
    let state = match ours.blob {
        Some(_) if kind == ObjectType::FileNode => state(ours, theirs, supply),
        _ => FileState::Same,
    };
    if state == FileState::Same {
        return Patch::default();
    }
    let mut body = ours.body.clone();
    body.extend(theirs.body.get(ETAG).map(|etag| (ETAG.to_owned(), etag.clone())));
    let begun = (state == FileState::Begun).then(|| COMPLETED.to_owned());
    let remarks: Vec<String> = begun.into_iter().chain(ours.remark.clone()).collect();
    if !remarks.is_empty() {
        body.insert(REMARK.to_owned(), json!(remarks.join("; ")));
    }
    Patch { body, blob: ours.blob, state, ..Patch::default() }
}

fn state(ours: &Draft, theirs: &Remote, supply: &dyn BlobProvider) -> FileState {
    let Some((blob, size)) = ours.blob.and_then(|blob| Some((blob, supply.size(blob).ok()?))) else {
        // What cannot be read is no reason to change anything.
        return FileState::Same;
    };
    let known = theirs.body.get(DIGEST).and_then(Value::as_str);
    let their_size = self::size(theirs);
    match (known, their_size) {
        (Some(digest), _) if supply.digest(blob).is_some_and(|ours| ours.hex() == digest) => FileState::Same,
        (Some(digest), Some(theirs)) if theirs < size => match supply.open(blob) {
            Ok(content) if is_digest_of(content.part(0, theirs).reader(), digest) => FileState::Begun,
            _ => FileState::Other,
        },
        (Some(_), _) => FileState::Other,
        (None, Some(theirs)) if theirs < size => FileState::Begun,
        (None, Some(theirs)) if theirs != size => FileState::Other,
        (None, _) => {
            let (date, other) = (ours.body.get(MODIFIED), theirs.body.get(MODIFIED));
            let is_same = their_size.is_some() && (date.is_none() || date == other);
            if is_same { FileState::Same } else { FileState::Unsure }
        }
    }
}

fn is_digest_of(reader: impl std::io::Read, digest: &str) -> bool {
    Digest::of_reader(reader).is_ok_and(|ours| ours.hex() == digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Result;
    use crate::sink::{BlobRef, Content};

    struct Hello;

    impl BlobProvider for Hello {
        fn open(&self, _: BlobRef) -> Result<Content> {
            Ok(Content::Bytes(b"hello"[..].into()))
        }

        fn converted(&self, _: BlobRef) -> Result<Option<Content>> {
            Ok(None)
        }

        fn size(&self, _: BlobRef) -> Result<u64> {
            Ok(5)
        }

        fn digest(&self, _: BlobRef) -> Option<Digest> {
            Some(Digest::of(b"hello"))
        }
    }

    #[test]
    fn names_are_kept_as_far_as_a_path_can_have_them() {
        for name in ["a b", "100%", "x#y?", "Gru\u{308}n", "Gr\u{fc}n", "\u{1f600}", "dot.", "a\\b", " x "] {
            assert_eq!(file_name(name), name);
        }
        for (name, legal) in [("a/b\n", "a_b_"), ("", "unnamed"), (".", "._"), ("..", ".._"), ("...", "...")] {
            assert_eq!(file_name(name), legal);
        }
        assert_eq!(file_name(&"\u{e4}".repeat(200)).len(), 254);
        assert_eq!(container("a/b").remark.as_deref(), Some("its name \"a/b\" is none that servers take"));
        assert_eq!(key("Gru\u{308}n"), key("Gr\u{fc}n"));
    }

    #[test]
    fn a_file_is_the_same_by_size_and_date_or_by_its_bytes() {
        let ours = |date: Option<i64>| Draft {
            blob: Some(BlobRef::Blob(1)),
            body: date.map(|date| (MODIFIED.to_owned(), json!(date))).into_iter().collect(),
            ..Draft::default()
        };
        let theirs = |size: Option<u64>, date: Option<i64>, bytes: Option<&[u8]>| {
            let mut remote = Remote::default();
            remote.body.extend(size.map(|size| (SIZE.to_owned(), json!(size))));
            remote.body.extend(date.map(|date| (MODIFIED.to_owned(), json!(date))));
            if let Some(bytes) = bytes {
                note(&mut remote, (!bytes.is_empty()).then(|| Digest::of(bytes)));
            }
            remote
        };
        let of = |ours: &Draft, theirs: &Remote| difference(ObjectType::FileNode, ours, theirs, &Hello).state;
        for (size, date, bytes, state) in [
            (Some(5), Some(7), None, FileState::Same),
            (Some(5), Some(8), None, FileState::Unsure),
            (Some(5), None, None, FileState::Unsure),
            (None, Some(7), None, FileState::Unsure),
            (Some(6), Some(7), None, FileState::Other),
            (Some(2), Some(7), None, FileState::Begun),
            (Some(5), Some(8), Some(&b"hello"[..]), FileState::Same),
            (Some(5), Some(8), Some(b"hallo"), FileState::Other),
            (Some(2), Some(8), Some(b"he"), FileState::Begun),
            (Some(2), Some(8), Some(b"ha"), FileState::Other),
            (Some(2), Some(8), Some(b""), FileState::Other),
            (None, Some(7), Some(b"hello"), FileState::Same),
        ] {
            assert_eq!(of(&ours(Some(7)), &theirs(size, date, bytes)), state, "{size:?} {date:?} {bytes:?}");
        }
        assert_eq!(of(&ours(None), &theirs(Some(5), Some(8), None)), FileState::Same);
    }
}

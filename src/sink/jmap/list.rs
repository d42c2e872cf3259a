//! Looking at what the account has.

use super::account::Jmap;
use super::seen::Seen;
use crate::error;
use crate::format::jmap::Object;
use crate::model::{Body, Digest, ObjectType};
use crate::protocol::jmap::{Client, Error, Got, Result, in_order};
use crate::sink::{Detail, RemoteEmail, RemoteKey};
use serde_json::Value;
use std::io::Read;

/// What is asked of every email: what servers have in their caches, so that 100,000 are read in seconds.
const EMAIL: [&str; 6] = ["id", "messageId", "size", "receivedAt", "mailboxIds", "keywords"];

/// The header fields that an email is recognised by (FORMAT.md, "message_match"), raw: so our own reading of them counts,
/// and not the server's (RFC 8621 section 4.1.2.1).
const HEADERS: [(&str, &str); 5] = [
    ("header:Message-ID:asRaw:all", "Message-ID"),
    ("header:From:asRaw:all", "From"),
    ("header:Subject:asRaw:all", "Subject"),
    ("header:Date:asRaw:all", "Date"),
    ("header:To:asRaw:all", "To"),
];

/// A larger blob of the target is not read to be compared.
const COMPARED_MAX: u64 = 256 << 20;

impl Jmap {
    /// All objects of a type, and whether the server named all of them.
    pub(super) async fn objects_of(&self, kind: ObjectType, detail: Detail) -> Result<(Vec<Object>, bool)> {
        let name = kind.name();
        if !matches!(
            kind,
            ObjectType::ContactCard | ObjectType::CalendarEvent | ObjectType::FileNode | ObjectType::Email
        ) {
            let got = self.client.get_all_whole(&self.account.id, kind).await?;
            self.states.looked(kind, &got.state);
            return Ok((got.list, !got.may_be_cut));
        }
        let keys: Option<&[&str]> = match (kind, detail) {
            (ObjectType::ContactCard, Detail::Keys) => Some(&["id", "uid", "addressBookIds", "name"]),
            (ObjectType::CalendarEvent, Detail::Keys) => {
                Some(&["id", "uid", "recurrenceId", "calendarIds", "title", "start"])
            }
            _ => None,
        };
        // The state first: what comes while we look shows in the next one.
        let state = self.client.state(&self.account.id, name).await?;
        let queried = self.client.query_all(&self.account.id, name, &Value::Null).await?;
        self.states.looked(kind, &state);
        let got = match keys {
            None => self.client.get_whole(&self.account.id, kind, &queried.ids).await?,
            keys => self.client.get(&self.account.id, name, &queried.ids, keys).await?,
        };
        let is_all = got.list.len() + got.not_found.len() >= queried.ids.len();
        Ok((got.list, queried.is_complete && is_all))
    }

    /// Brings what was seen of the emails up to date: all of them, or what changed since the last look.
    pub(super) async fn look(&self, seen: &mut Seen) -> Result<bool> {
        if let Some(state) = seen.state.clone() {
            match self.client.changes(&self.account.id, "Email", &state).await {
                Ok(changes) => {
                    changes.destroyed.iter().for_each(|id| {
                        seen.emails.remove(id);
                    });
                    let ids: Vec<String> = changes.created.iter().chain(&changes.updated).cloned().collect();
                    self.add(seen, &ids).await?;
                    seen.state = Some(changes.new_state);
                    return Ok(true);
                }
                Err(error) if error.is("cannotCalculateChanges") => *seen = Seen::default(),
                Err(error) => return Err(error),
            }
        }
        // The state first: so the next look learns of what comes during this one.
        let state = self.client.state(&self.account.id, "Email").await?;
        let queried = self.client.query_all(&self.account.id, "Email", &Value::Null).await?;
        let count = self.add(seen, &queried.ids).await?;
        seen.state = Some(state).filter(|state| !state.is_empty());
        Ok(queried.is_complete && count >= queried.ids.len())
    }

    /// Reads emails. Gives how many the server gave or named as not found.
    async fn add(&self, seen: &mut Seen, ids: &[String]) -> Result<usize> {
        let mut count = 0;
        self.client
            .get_each(&self.account.id, "Email", ids, Some(&EMAIL), |got: Got| {
                count += got.list.len() + got.not_found.len();
                for object in got.list {
                    if let Some(email) = email(&object) {
                        seen.emails.insert(email.id.clone(), email);
                    }
                }
                true
            })
            .await?;
        Ok(count)
    }

    /// Header blocks with what emails are recognised by.
    pub(super) async fn headers_of(&self, emails: &[String]) -> Result<Vec<(String, Vec<u8>)>> {
        let mut properties = vec!["id"];
        properties.extend(HEADERS.iter().map(|(property, _)| *property));
        let mut headers = Vec::new();
        self.client
            .get_each(&self.account.id, "Email", emails, Some(&properties), |got: Got| {
                headers.extend(got.list.iter().filter_map(header));
                true
            })
            .await?;
        Ok(headers)
    }

    /// The digests of blobs of the account.
    pub(super) async fn digests_of(&self, blobs: &[String]) -> Result<Vec<Option<Digest>>> {
        let work = blobs.iter().map(|blob| digest(&self.client, &self.account.id, blob));
        let mut digests = Vec::with_capacity(blobs.len());
        let mut failed = None;
        in_order(self.client.limits().max_concurrent_requests.min(4), work, |found| match found {
            Ok(digest) => {
                digests.push(digest);
                true
            }
            Err(error) => {
                failed = Some(error);
                false
            }
        })
        .await;
        failed.map_or(Ok(digests), Err)
    }
}

async fn digest(client: &Client, account: &str, blob: &str) -> Result<Option<Digest>> {
    let body = match client.download(account, blob, None).await {
        Ok(body) => body,
        Err(Error::Line(error)) if error.is_transient() || error.kind != error::ErrorKind::Connection => {
            return Err(error.into());
        }
        Err(_) => return Ok(None),
    };
    let mut hasher = blake3::Hasher::new();
    match body {
        Body::Bytes(bytes) => {
            hasher.update(&bytes);
        }
        Body::File(file) => {
            let cannot = |error| Error::Line(error::Error::io("cannot read back a large blob", error));
            hasher.update_reader(file.take(COMPARED_MAX)).map_err(cannot)?;
        }
        Body::Part { .. } | Body::Absent => return Ok(None),
    }
    Ok(Some(Digest(*hasher.finalize().as_bytes())))
}

fn email(object: &Object) -> Option<RemoteEmail> {
    let set = |name: &str| {
        let map = object.get(name).and_then(Value::as_object).into_iter().flatten();
        let mut names: Vec<String> =
            map.filter(|(_, value)| **value == Value::Bool(true)).map(|(name, _)| name.clone()).collect();
        names.sort_unstable();
        names
    };
    let ids: Vec<String> = object
        .get("messageId")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    let received = object.get("receivedAt").and_then(Value::as_str)?.parse::<jiff::Timestamp>();
    Some(RemoteEmail {
        id: object.get("id")?.as_str()?.to_owned(),
        size: object.get("size").and_then(Value::as_u64).unwrap_or(0),
        received: received.map_or(0, |time| time.as_second()),
        key: if ids.is_empty() { RemoteKey::Nothing } else { RemoteKey::Ids(ids) },
        mailboxes: set("mailboxIds"),
        keywords: set("keywords"),
    })
}

fn header(object: &Object) -> Option<(String, Vec<u8>)> {
    let mut block = Vec::new();
    for (property, name) in HEADERS {
        for value in object.get(property).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
            block.extend_from_slice(format!("{name}:{value}\r\n").as_bytes());
        }
    }
    block.extend_from_slice(b"\r\n");
    Some((object.get("id")?.as_str()?.to_owned(), block))
}

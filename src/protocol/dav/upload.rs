//! Files with their dates; large ones in parts where the server puts these together (Nextcloud, ownCloud).

use super::body;
use super::client::Client;
use super::href::{child, last_part, with_slash};
use super::tree::seconds;
use super::write::{Condition, Written, said};
use crate::error::Result;
use crate::net::http::{Ask, Content, Method, Payload, Repeat};
use std::collections::HashMap;
use url::Url;

/// Bodies of so many bytes and more go as a stream: the time limit begins again as long as the server takes more.
const STREAMED_MIN: u64 = 64 << 10;

/// Larger files go in parts of so many bytes, where the server takes parts: what was sent of them need not be sent again.
pub const PART: u64 = 10 << 20;

/// The most parts of one file: Nextcloud takes numbers up to 10000.
const PARTS_MAX: u64 = 10_000;

/// The field with the date of a file, in seconds since 1970, and what the server says if it has taken that.
const DATE: &str = "X-OC-Mtime";
const ACCEPTED: &str = "accepted";

/// A file for the server.
pub struct NewFile<'a> {
    /// `Content-Type`
    pub media: &'a str,
    /// Its bytes.
    pub content: Content,
    /// In seconds since 1970.
    pub modified: Option<i64>,
    /// What has to be there.
    pub condition: Condition<'a>,
}

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Of its bytes.
    pub written: Written,
    /// The server says that it has the date of the file.
    pub has_date: bool,
}

impl Stored {
    fn not(written: Written) -> Stored {
        Stored { written, has_date: false }
    }
}

/// Where a server of Nextcloud or ownCloud collects the parts of files for a user: the neighbour of
/// `…/remote.php/dav/files/USER`. `None` if a URL does not lie there.
pub fn uploads_of(root: &Url) -> Option<Url> {
    let (server, below) = root.path().split_once("/remote.php/dav/files/")?;
    let user = below.split('/').next().filter(|user| !user.is_empty())?;
    let mut url = root.clone();
    url.set_path(&format!("{server}/remote.php/dav/uploads/{user}/"));
    Some(url)
}

impl Client {
    /// Stores a file as one stream.
    ///
    /// Errors: the login is refused, or the user wants the run to end.
    pub async fn put_file(&self, url: &Url, file: &NewFile<'_>) -> Result<Stored> {
        let date = file.date();
        let mut fields = vec![("Content-Type", file.media)];
        fields.extend(date.as_deref().map(|date| (DATE, date)));
        fields.extend(file.condition.field());
        let payload = match &file.content {
            Content::Bytes(bytes) if file.content.size() < STREAMED_MIN => Payload::Whole(bytes.clone()),
            content => Payload::Streamed(content.clone()),
        };
        let ask = Ask { fields: &fields, payload, repeat: Repeat::Once, ..Ask::new(Method::Put, url, "PUT") };
        let stored = self.stored(&ask).await?;
        Ok(Stored { written: self.in_truth(url, stored.written, file.condition).await, ..stored })
    }

    /// Stores a file in parts that are collected in `folder`. Parts that are there from an earlier attempt, with the right
    /// size, are not sent again: the name of the folder has to tell these bytes from all others. `None` if the server takes
    /// no parts.
    ///
    /// Errors: those of [`Client::put_file`].
    pub async fn put_in_parts(&self, folder: &Url, url: &Url, file: &NewFile<'_>) -> Result<Option<Stored>> {
        let folder = with_slash(folder.clone());
        let (size, total) = (file.content.size(), file.content.size().to_string());
        let fields = [("Destination", url.as_str()), ("OC-Total-Length", total.as_str())];
        let make = Ask { fields: &fields, repeat: Repeat::Once, ..Ask::new(Method::Mkcol, &folder, "MKCOL") };
        let mut there = HashMap::new();
        match self.change(&make).await? {
            Written::Done => {}
            Written::Refused(why) if why.starts_with("405") => there = self.parts(&folder).await?,
            Written::Refused(_) | Written::Conflict(_) => return Ok(None),
            written => return Ok(Some(Stored::not(written))),
        }
        let parts = parts(size);
        for (name, start, length) in &parts {
            if there.remove(name) == Some(Some(*length)) {
                continue;
            }
            let payload = Payload::Streamed(file.content.part(*start, *length));
            let part = child(&folder, name);
            // The same bytes once more do no harm.
            let ask = Ask { fields: &fields, payload, repeat: Repeat::Usual, ..Ask::new(Method::Put, &part, "PUT") };
            match self.change(&ask).await? {
                Written::Done => {}
                Written::Refused(why) if is_gone(&why) => return Ok(Some(Stored::not(Written::Unknown(why)))),
                written => return Ok(Some(Stored::not(written))),
            }
        }
        // What does not belong to this file would become a part of it.
        for name in there.into_keys().filter(|name| name != ".file") {
            self.delete(&child(&folder, &name), Condition::Any).await?;
        }
        self.join(&folder, url, file).await.map(Some)
    }

    /// Makes a file of its parts.
    async fn join(&self, folder: &Url, url: &Url, file: &NewFile<'_>) -> Result<Stored> {
        let (date, total) = (file.date(), file.content.size().to_string());
        let state = match file.condition {
            // RFC 4918 section 10.4: what the destination has to be.
            Condition::Unchanged(etag) if etag.starts_with('"') => Some(("If", format!("<{url}> ([{etag}])"))),
            Condition::New => Some(("Overwrite", "F".to_owned())),
            Condition::Unchanged(_) | Condition::Any => None,
        };
        let mut fields = vec![("Destination", url.as_str()), ("OC-Total-Length", total.as_str())];
        fields.extend(date.as_deref().map(|date| (DATE, date)));
        fields.extend(state.as_ref().map(|(name, value)| (*name, value.as_str())));
        let whole = child(folder, ".file");
        let ask = Ask { fields: &fields, repeat: Repeat::Once, ..Ask::new(Method::Move, &whole, "MOVE") };
        let stored = self.stored(&ask).await?;
        match &stored.written {
            Written::Refused(_) | Written::Conflict(_) => drop(self.delete(folder, Condition::Any).await?),
            Written::Done | Written::Full(_) | Written::Unknown(_) => return Ok(stored),
        }
        Ok(match stored.written {
            Written::Refused(why) if is_gone(&why) || why.starts_with("400") => {
                Stored::not(Written::Unknown(format!("the server cannot put the parts together: {why}")))
            }
            written => Stored::not(written),
        })
    }

    /// The parts in a folder by name, with their sizes.
    async fn parts(&self, folder: &Url) -> Result<HashMap<String, Option<u64>>> {
        match self.list(folder).await {
            Ok(listed) => {
                let named = listed.resources.into_iter().filter_map(|one| Some((last_part(&one.url)?, one.size)));
                Ok(named.collect())
            }
            // All of them are sent again then.
            Err(failure) => said(failure).map(|_| HashMap::new()),
        }
    }

    async fn stored(&self, ask: &Ask<'_>) -> Result<Stored> {
        let (written, date) = self.changed(ask, DATE).await?;
        Ok(Stored { written, has_date: date.is_some_and(|date| date.trim().eq_ignore_ascii_case(ACCEPTED)) })
    }

    /// The date of a file, in seconds since 1970; `None` if the server does not say it.
    pub async fn date_of(&self, url: &Url) -> Option<i64> {
        let (_, all) = self.properties(url, &["D:getlastmodified"]).await.ok()?;
        all.iter().find_map(|response| response.text("getlastmodified").and_then(seconds))
    }

    /// Gives a file a date. RFC 4918 section 15.7 leaves it to the server whether it takes one.
    ///
    /// Errors: those of [`Client::put_file`].
    pub async fn set_date(&self, url: &Url, seconds: i64) -> Result<Written> {
        let Ok(time) = jiff::Timestamp::from_second(seconds) else {
            return Ok(Written::Refused("no date of HTTP".to_owned()));
        };
        let text = time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        self.with_body(Method::Proppatch, url, body::set("D:getlastmodified", &text)).await
    }

    /// True if the server says that this login may only read a collection.
    pub async fn is_read_only(&self, url: &Url) -> bool {
        self.collection(url).await.is_some_and(|collection| collection.is_read_only)
    }
}

impl NewFile<'_> {
    /// No server is known to take a date before 1970.
    fn date(&self) -> Option<String> {
        self.modified.filter(|seconds| *seconds >= 0).map(|seconds| seconds.to_string())
    }
}

/// What was to be a part of something is gone, or what it was to lie in.
fn is_gone(why: &str) -> bool {
    ["404", "409", "410"].iter().any(|status| why.starts_with(status))
}

/// Names of the parts of a file of this size, where each begins, and how long it is.
fn parts(size: u64) -> Vec<(String, u64, u64)> {
    let each = PART.max(size.div_ceil(PARTS_MAX));
    let starts = (0..size.div_ceil(each)).map(|number| (number, number * each));
    starts.map(|(number, start)| (format!("{:05}", number + 1), start, each.min(size - start))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_make_the_whole() {
        let of = |size: u64| parts(size).into_iter().map(|(name, start, size)| format!("{name} {start}+{size}"));
        assert_eq!(of(PART + 1).collect::<Vec<_>>(), ["00001 0+10485760", "00002 10485760+1"]);
        let large = parts(200 << 30);
        assert!(large.len() <= 10_000 && large.iter().map(|(_, _, size)| size).sum::<u64>() == 200 << 30);
    }

    #[test]
    fn parts_are_collected_beside_the_files_of_a_user() {
        let of = |url: &str| uploads_of(&Url::parse(url).expect("a URL")).map(String::from);
        let uploads = "https://x.example/cloud/remote.php/dav/uploads/a%40b/";
        assert_eq!(of("https://x.example/cloud/remote.php/dav/files/a%40b/Some/where/").as_deref(), Some(uploads));
        assert_eq!(of("https://x.example/remote.php/dav/files/"), None);
        assert_eq!(of("https://x.example/dav/files/alice/"), None);
    }
}

//! The bytes of resources: several in one answer, or one by one.

use super::body;
use super::client::{Client, Question, unfit};
use super::href::{key, resolve};
use crate::model::Body;
use crate::net::http::{Ask, Failure, Method, Repeat, Spool};
use std::collections::HashMap;
use url::Url;

/// Larger bodies go into files: many of them wait at once.
const IN_MEMORY: u64 = 256 << 10;

/// The most bytes of one answer of many resources; if it has more, each is asked for by itself.
const ANSWER_MAX: usize = 16 << 20;

/// The most bytes of a resource whose size is not known.
const UNKNOWN_MAX: u64 = 8 << 30;

/// A resource with its bytes.
pub struct Downloaded {
    /// As the server gives them.
    pub body: Body,
    /// `Content-Type`, with its parameters.
    pub media_type: Option<String>,
}

impl Client {
    /// Several resources of a collection in one answer, by key. What is not named, or has no exact bytes in the answer, has
    /// to be asked for by itself.
    pub async fn multiget(&self, collection: &Url, resources: &[Url]) -> Result<HashMap<String, Downloaded>, Failure> {
        let mut found = HashMap::new();
        let Some((report, data)) = self.flavor.multiget() else { return Ok(found) };
        let hrefs: Vec<&str> = resources.iter().map(Url::path).collect();
        let data_name = data.trim_start_matches(|c| c != ':').trim_start_matches(':');
        let body = body::multiget(report, data, &hrefs);
        let question = Question { method: Method::Report, url: collection, depth: "1", body, most: ANSWER_MAX };
        self.multistatus(&question, &mut |base, mut response| {
            let Some(url) = resolve(base, &response.href) else { return };
            let length = response.text("getcontentlength").and_then(|length| length.parse::<usize>().ok());
            let bytes = response.found.iter_mut().find(|property| property.name == data_name);
            let bytes = bytes.map(|property| std::mem::take(&mut property.text)).filter(|text| !text.trim().is_empty());
            // What was no text, or has another length, is not what the server holds.
            let is_exact =
                |text: &String| !text.contains('\u{FFFD}') && length.is_none_or(|length| length == text.len());
            if let Some(bytes) = bytes.filter(is_exact) {
                let body = Body::Bytes(bytes.into_bytes());
                found.insert(key(&url), Downloaded { body, media_type: None });
            }
        })
        .await?;
        Ok(found)
    }

    /// One resource, of `size` bytes if the listing says so. `None` if it is not there.
    pub async fn get(&self, url: &Url, size: Option<u64>) -> Result<Option<Downloaded>, Failure> {
        let fields = &[("Accept-Encoding", "identity")];
        let ask = Ask { fields, repeat: Repeat::Hasty, ..Ask::new(Method::Get, url, "GET") };
        let got = self.http.ask(&ask, async |mut answer| {
            let media_type = answer.field("content-type").map(str::to_owned);
            if answer.status() != 200 || answer.url().origin() != url.origin() {
                return Err(unfit(url, answer.status(), "it is no answer of that resource"));
            }
            let announced = answer.length();
            let most = size.map_or(UNKNOWN_MAX, |size| size.saturating_mul(2).saturating_add(1 << 20));
            let spool = answer.spool(Spool::new(IN_MEMORY, self.spool.clone()), most).await?;
            let spool = spool.ok_or_else(|| unfit(url, 200, &format!("it has more than {most} bytes")))?;
            if announced.or(size).is_some_and(|whole| spool.size() < whole) {
                return Err(answer.cut(format!("it ended after {} bytes", spool.size())));
            }
            Ok(Downloaded { body: spool.end()?, media_type })
        });
        match got.await {
            Ok(downloaded) => Ok(Some(downloaded)),
            Err(failure) if failure.refusal.as_ref().is_some_and(|it| matches!(it.status, 404 | 410)) => Ok(None),
            Err(failure) => Err(failure),
        }
    }
}

impl Downloaded {
    /// The bytes, if they are in memory.
    pub fn bytes(&self) -> Option<&[u8]> {
        match &self.body {
            Body::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }
}

//! Changes at a server: resources are stored and removed, collections made and named.

use super::body::{self, NewCollection};
use super::client::Client;
use super::collection::Flavor;
use crate::error::{ErrorKind, Result};
use crate::net::http::{Ask, Content, Failure, Method, Payload, Repeat};
use url::Url;

/// What a resource has to be for a change to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition<'a> {
    /// Not there (`If-None-Match: *`).
    New,
    /// As this etag says (`If-Match`).
    Unchanged(&'a str),
    /// Whatever it is.
    Any,
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// It is done.
    Done,
    /// The resource is not what the condition wants, or there is one of that name already.
    Conflict(String),
    /// The server does not take it.
    Refused(String),
    /// The server has no room for it (507, 413).
    Full(String),
    /// The line broke, or the server stumbled: perhaps it is done.
    Unknown(String),
}

impl Client {
    /// Stores a resource.
    ///
    /// Errors: the login is refused, or the user wants the run to end.
    pub async fn put(&self, url: &Url, media: &str, content: Content, condition: Condition<'_>) -> Result<Written> {
        let mut fields = vec![("Content-Type", media)];
        fields.extend(condition.field());
        let payload = match content {
            Content::Bytes(bytes) => Payload::Whole(bytes),
            content => Payload::Streamed(content),
        };
        let ask = Ask { fields: &fields, payload, repeat: Repeat::Once, ..Ask::new(Method::Put, url, "PUT") };
        let written = self.change(&ask).await?;
        Ok(self.in_truth(url, written, condition).await)
    }

    /// Some servers answer 412 (Precondition Failed) to bytes that they do not take. That is no conflict where nothing has
    /// the name.
    pub(super) async fn in_truth(&self, url: &Url, written: Written, condition: Condition<'_>) -> Written {
        match written {
            Written::Conflict(why) if condition == Condition::New && self.is_missing(url).await => {
                Written::Refused(why)
            }
            written => written,
        }
    }

    async fn is_missing(&self, url: &Url) -> bool {
        let asked = self.properties(url, &["D:getetag"]).await.err();
        let refusal = asked.and_then(|failure| failure.refusal);
        refusal.is_some_and(|refusal| matches!(refusal.status, 404 | 410))
    }

    /// Removes a resource, or a collection with all that is in it. Nobody is told of a meeting that goes (RFC 6638 section
    /// 8.1).
    ///
    /// Errors: those of [`Client::put`].
    pub async fn delete(&self, url: &Url, condition: Condition<'_>) -> Result<Written> {
        let mut fields = vec![("Schedule-Reply", "F")];
        fields.extend(condition.field());
        let ask = Ask { fields: &fields, repeat: Repeat::Once, ..Ask::new(Method::Delete, url, "DELETE") };
        match self.change(&ask).await? {
            // It is gone: that was wanted.
            Written::Refused(why) if why.starts_with("404") || why.starts_with("410") => Ok(Written::Done),
            written => Ok(written),
        }
    }

    /// Makes a calendar (RFC 4791 section 5.3.1), an address book (RFC 5689) or a directory.
    ///
    /// Errors: those of [`Client::put`].
    pub async fn make(&self, url: &Url, collection: &NewCollection) -> Result<Written> {
        let (method, body) = match self.flavor {
            Flavor::Calendars => (Method::Mkcalendar, body::make_calendar(collection)),
            Flavor::Contacts => (Method::Mkcol, body::make_address_book(collection)),
            Flavor::Files => (Method::Mkcol, String::new()),
        };
        let written = self.with_body(method, url, body).await?;
        match written {
            // RFC 4918 section 9.3.1: there is something of that name.
            Written::Refused(why) if why.starts_with("405") || why.contains("resource-must-be-null") => {
                Ok(Written::Conflict(why))
            }
            written => Ok(written),
        }
    }

    /// Gives a collection another name, description, colour or place.
    ///
    /// Errors: those of [`Client::put`].
    pub async fn describe(&self, url: &Url, collection: &NewCollection) -> Result<Written> {
        self.with_body(Method::Proppatch, url, body::describe(self.flavor, collection)).await
    }

    pub(super) async fn with_body(&self, method: Method, url: &Url, body: String) -> Result<Written> {
        let fields = [("Content-Type", "application/xml; charset=utf-8")];
        let (fields, payload) = match body.is_empty() {
            true => (&fields[..0], Payload::Empty),
            false => (&fields[..], Payload::Whole(body.into())),
        };
        self.change(&Ask { fields, payload, repeat: Repeat::Once, ..Ask::new(method, url, method.name()) }).await
    }

    pub(super) async fn change(&self, ask: &Ask<'_>) -> Result<Written> {
        Ok(self.changed(ask, "").await?.0)
    }

    /// Asks for a change. Gives the value of a field of the answer, too.
    pub(super) async fn changed(&self, ask: &Ask<'_>, field: &str) -> Result<(Written, Option<String>)> {
        let changed = self.http.ask(ask, async |mut answer| {
            // A refusal of a property stands in a body of 207; the connection is used again once the body is read.
            let body = answer.body(ANSWER_MAX).await?.unwrap_or_default();
            Ok((answer.status(), body, answer.field(field).map(str::to_owned)))
        });
        match changed.await {
            Ok((207, body, value)) => Ok((body::refusal(&body).map_or(Written::Done, refused), value)),
            // A login page of the network, or of a proxy. Apache has a page behind a real 201.
            Ok((200, body, _)) if is_page(&body) => {
                Ok((Written::Unknown("a web page came as the answer, or that of another program".to_owned()), None))
            }
            // A promise, and an answer that is not the server's own (RFC 9110 sections 15.3.3 and 15.3.4).
            Ok((status @ (202 | 203), ..)) => {
                Ok((Written::Unknown(format!("{status}, which does not say that it is done")), None))
            }
            Ok((_, _, value)) => Ok((Written::Done, value)),
            Err(failure) => Ok((said(failure)?, None)),
        }
    }
}

/// The most bytes of an answer to a change.
const ANSWER_MAX: usize = 1 << 20;

impl<'a> Condition<'a> {
    pub(super) fn field(self) -> Option<(&'static str, &'a str)> {
        match self {
            Condition::New => Some(("If-None-Match", "*")),
            // A weak one never matches (RFC 9110 section 13.1.1).
            Condition::Unchanged(etag) if etag.starts_with('"') => Some(("If-Match", etag)),
            Condition::Unchanged(_) | Condition::Any => None,
        }
    }
}

fn is_page(body: &[u8]) -> bool {
    let start = body.trim_ascii_start();
    ["<!doctype html", "<html", "{"]
        .iter()
        .any(|word| start.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes())))
}

/// What an answer of 207 means that begins with a status.
fn refused(why: String) -> Written {
    match why.get(..3) {
        Some("412") => Written::Conflict(why),
        Some("413" | "507") => Written::Full(why),
        _ => Written::Refused(why),
    }
}

/// What a failure says of a change.
///
/// Errors: those after which no other change would fare better.
pub(super) fn said(failure: Failure) -> Result<Written> {
    let Some(refusal) = &failure.refusal else {
        return match failure.error.kind {
            ErrorKind::Connection => Ok(Written::Unknown(failure.error.to_string())),
            _ => Err(failure.error),
        };
    };
    let why = refusal.why.clone();
    match refusal.status {
        401 => Err(failure.error),
        412 => Ok(Written::Conflict(why)),
        413 | 507 => Ok(Written::Full(why)),
        400..500 => Ok(Written::Refused(why)),
        _ => Ok(Written::Unknown(why)),
    }
}

//! What to send to a server.

use super::payload::Payload;
use url::Url;

/// A method of HTTP, of WebDAV or of its versions, with the section that defines it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// RFC 9110 section 9.3.1.
    Get,
    /// RFC 9110 section 9.3.2.
    Head,
    /// RFC 9110 section 9.3.7.
    Options,
    /// RFC 9110 section 9.3.3.
    Post,
    /// RFC 9110 section 9.3.4.
    Put,
    /// RFC 9110 section 9.3.5.
    Delete,
    /// RFC 4918 section 9.1.
    Propfind,
    /// RFC 4918 section 9.2.
    Proppatch,
    /// RFC 4918 section 9.3.
    Mkcol,
    /// RFC 4918 section 9.9.
    Move,
    /// RFC 4791 section 5.3.1.
    Mkcalendar,
    /// RFC 3253 section 3.6.
    Report,
}

impl Method {
    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Options => "OPTIONS",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Propfind => "PROPFIND",
            Method::Proppatch => "PROPPATCH",
            Method::Mkcol => "MKCOL",
            Method::Move => "MOVE",
            Method::Mkcalendar => "MKCALENDAR",
            Method::Report => "REPORT",
        }
    }

    /// True for a method that changes nothing (RFC 9110 section 9.2.1, RFC 4918 section 9.1, RFC 3253 section 3.6). Only such
    /// a request goes where the server redirects it.
    pub fn is_safe(self) -> bool {
        match self {
            Method::Get | Method::Head | Method::Options | Method::Propfind | Method::Report => true,
            Method::Post
            | Method::Put
            | Method::Delete
            | Method::Proppatch
            | Method::Mkcol
            | Method::Move
            | Method::Mkcalendar => false,
        }
    }
}

/// How often a request is sent again after the line broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// As often as `--max-retries` says.
    Usual,
    /// Few times, since the request itself may be what breaks the server. Waits that the server asks for are kept as usual.
    Hasty,
    /// Only where the server has certainly not done it yet.
    Once,
}

/// What to send. Each attempt sends it anew.
pub struct Ask<'a> {
    /// Decides, too, whether a redirect is followed ([`Method::is_safe`]).
    pub method: Method,
    /// Where to send it first; redirects may lead elsewhere.
    pub url: &'a Url,
    /// For logs and errors: what is asked for, or what is moved.
    pub what: &'a str,
    /// Names and values of fields; the login is none of them.
    pub fields: &'a [(&'a str, &'a str)],
    /// Its body.
    pub payload: Payload,
    /// What happens when the line breaks.
    pub repeat: Repeat,
    /// The body of the answer is handed over as it comes: no compression is asked for, and nothing is inflated.
    pub is_verbatim: bool,
}

impl<'a> Ask<'a> {
    /// A request without fields and without a body, which may be sent as often as the line breaks.
    pub fn new(method: Method, url: &'a Url, what: &'a str) -> Ask<'a> {
        Ask { method, url, what, fields: &[], payload: Payload::Empty, repeat: Repeat::Usual, is_verbatim: false }
    }
}

//! Requests without a login: looking what stands at a URL before anything secret is known, and telling a service something.

use super::ask::Method;
use super::client::client;
use super::head::{location, shown};
use crate::error::{Error, ErrorKind, Result};
use crate::net::connector::Connector;
use crate::net::sanitize::said;
use crate::net::tls::TlsOptions;
use reqwest::StatusCode;
use reqwest::header::WWW_AUTHENTICATE;
use std::time::Duration;
use tokio::time;
use url::Url;

/// How many redirects are followed.
const REDIRECTS: usize = 5;

/// The most bytes of a body.
const BODY_MAX: usize = 256 << 10;

/// What stands at a URL.
#[derive(Debug)]
pub struct Looked {
    /// Where the redirects ended.
    pub url: Url,
    /// The status there.
    pub status: u16,
    /// True if the server asks for a login there (RFC 9110 section 11.6.1).
    pub wants_login: bool,
    /// The body.
    pub body: Vec<u8>,
}

/// Sends one request, without a login, and follows redirects from TLS to TLS only.
///
/// Errors: in words, why there is no answer.
pub async fn look(method: Method, url: &Url, options: &TlsOptions, patience: Duration) -> Result<Looked, String> {
    let name = format!("https://{}{}", url.host_str().unwrap_or_default(), url.path());
    let said_of = |why: &str| format!("{name}: {why}");
    let connector = Connector::for_http(url, options, patience).map_err(|error| said_of(&error.to_string()))?;
    let client = client(&connector, true).map_err(|error| said_of(&error.to_string()))?;
    let verb = reqwest::Method::from_bytes(method.name().as_bytes()).map_err(|error| said_of(&error.to_string()))?;
    let mut url = url.clone();
    for _ in 0..=REDIRECTS {
        if url.scheme() != "https" {
            return Err(said_of(&format!("it leads to {}, which is not encrypted", shown(&url))));
        }
        let request = client.request(verb.clone(), url.clone()).header("Depth", "0");
        let response = match time::timeout(patience, request.send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(said_of(&reason(&error))),
            Err(_) => return Err(said_of("no answer")),
        };
        if response.status().is_redirection()
            && let Some(next) = location(&url, response.headers())
        {
            url = next;
            continue;
        }
        let status = response.status();
        let wants_login = status == StatusCode::UNAUTHORIZED && response.headers().contains_key(WWW_AUTHENTICATE);
        let body = time::timeout(patience, body(response))
            .await
            .map_err(|_| said_of("no answer"))?
            .map_err(|why| said_of(&why))?;
        return Ok(Looked { url, status: status.as_u16(), wants_login, body });
    }
    Err(said_of("redirects without end"))
}

/// Sends a body to a URL, without a login, and gives the status of the answer. No redirect is followed. All of it takes at most
/// this long.
///
/// The path of the URL may be a secret: errors name the server alone.
pub async fn post(url: &Url, body: &str, patience: Duration) -> Result<u16> {
    let connector = Connector::for_http(url, &TlsOptions::default(), patience)?;
    let client = client(&connector, false)?;
    let server = shown(&url.join("/").unwrap_or_else(|_| url.clone()));
    let failed = |why: &str| Error::new(ErrorKind::Connection, format!("cannot reach {server}: {why}"));
    match time::timeout(patience, client.post(url.clone()).body(body.to_owned()).send()).await {
        Ok(Ok(response)) => Ok(response.status().as_u16()),
        Ok(Err(error)) => Err(failed(&reason(&error))),
        Err(_) => Err(failed("no answer")),
    }
}

async fn body(mut response: reqwest::Response) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| reason(&error))? {
        if bytes.len() + chunk.len() > BODY_MAX {
            return Err("the answer is too long".to_owned());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The innermost cause: those around it only repeat that a request failed.
fn reason(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    said(cause.to_string().as_bytes())
}

//! Requests that need no login: short, with a short answer, and no redirects.

use super::ask::Method;
use super::client::{client, method};
use super::head::shown;
use crate::error::{Error, ErrorKind, Result};
use crate::net::connector::Connector;
use tokio::time;
use url::Url;

/// Sends a body to a URL, and gives the status of the answer. The whole takes at most the time limit of the connector.
///
/// The path of the URL may be a secret: errors name the server alone.
pub async fn send(connector: &Connector, ask: Method, url: &Url, body: &str) -> Result<u16> {
    let client = client(connector, false)?;
    let method = method(ask).map_err(|failure| failure.error)?;
    let server = shown(&url.join("/").unwrap_or_else(|_| url.clone()));
    let failed = |what: String| Error::new(ErrorKind::Connection, format!("cannot reach {server}: {what}"));
    let sending = client.request(method, url.clone()).body(body.to_owned()).send();
    match time::timeout(connector.timeout(), sending).await {
        Ok(Ok(response)) => Ok(response.status().as_u16()),
        Ok(Err(error)) => {
            let cause = std::iter::successors(std::error::Error::source(&error), |error| error.source()).last();
            Err(failed(cause.map_or_else(|| "the connection failed".to_owned(), ToString::to_string)))
        }
        Err(_) => Err(failed(format!("no answer within {} s", connector.timeout().as_secs()))),
    }
}

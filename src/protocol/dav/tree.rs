//! A tree of directories, listed level by level.

use super::client::{Client, Listed, Resource, of_one};
use super::href::{key, last_part, with_slash};
use crate::error::{Error, ErrorKind, Result};
use crate::net::http::Failure;
use crate::net::parallel::in_order;
use jiff::fmt::rfc2822;
use std::collections::HashSet;
use url::Url;

/// Directories of one account: more are not listed.
const DIRECTORIES_MAX: usize = 1_000_000;

/// A directory and what lies in it.
#[derive(Debug)]
pub struct Directory {
    /// Where it is.
    pub url: Url,
    /// What lies in it.
    pub listed: Listed,
    /// Directories in it that were met before, also in this listing. They are no longer in `listed`.
    pub again: Vec<Resource>,
}

/// Lists a directory and all below it, each once. `each` gets them level by level. Gives the keys of those that could not be
/// listed, with why.
///
/// Errors: of [`ErrorKind::Account`] if the server does not list the root; those after which no directory would fare better.
pub async fn walk(client: &Client, root: Url, each: &mut dyn FnMut(Directory)) -> Result<Vec<(String, Error)>> {
    let mut seen: HashSet<String> = HashSet::from([key(&root)]);
    let (mut level, mut failed, mut is_first) = (vec![root], Vec::new(), true);
    while !level.is_empty() {
        let directories = std::mem::take(&mut level);
        let (mut answers, mut is_broken) = (Vec::with_capacity(directories.len()), false);
        in_order(client.connections(), directories.iter().map(|url| client.list(url)), |answer| {
            answers.push(answer);
            true
        })
        .await;
        for (url, answer) in directories.into_iter().zip(answers) {
            match answer {
                Ok(mut listed) => {
                    let is_again = |one: &mut Resource| one.is_collection && !seen.insert(one.key.clone());
                    let again = listed.resources.extract_if(.., is_again).collect();
                    let below = listed.resources.iter().filter(|one| one.is_collection);
                    level.extend(below.map(|one| with_slash(one.url.clone())));
                    each(Directory { url, listed, again });
                }
                Err(failure) if is_first => return Err(no_root(failure)),
                Err(failure) if failure.refusal.is_none() && failure.error.kind != ErrorKind::Connection => {
                    return Err(failure.error);
                }
                Err(failure) => {
                    is_broken |= failure.refusal.is_none();
                    failed.push((key(&url), of_one(&failure)));
                }
            }
        }
        if is_broken && !client.is_well().await {
            return Err(Error::new(ErrorKind::Connection, "the server does not answer any more"));
        }
        is_first = false;
        if seen.len() > DIRECTORIES_MAX {
            let what = format!("the server has more than {DIRECTORIES_MAX} directories");
            return Err(Error::new(ErrorKind::Connection, what));
        }
    }
    Ok(failed)
}

impl Client {
    /// What lies in the directory of `--url`.
    ///
    /// Errors: of [`ErrorKind::Account`] if the server does not list it; of its own kind where the server cannot be asked.
    pub async fn list_root(&self, root: &Url) -> Result<Listed> {
        self.list(root).await.map_err(no_root)
    }
}

/// The error of a root that cannot be listed.
fn no_root(failure: Failure) -> Error {
    let Some(refusal) = failure.refusal.as_deref().filter(|refusal| (200..500).contains(&refusal.status)) else {
        return failure.error;
    };
    let hint = "give the URL of the directory as the provider names it, up to its last part";
    Error::new(ErrorKind::Account, format!("the directory of --url cannot be listed: {}", refusal.why)).hint(hint)
}

impl Resource {
    /// The last part of its path: decoded, or as the URL has it where that is no text.
    pub fn file_name(&self) -> Option<String> {
        let path = self.url.path().trim_end_matches('/');
        let encoded = || path.rsplit('/').next().filter(|part| !part.is_empty());
        last_part(&self.url).or_else(|| encoded().map(str::to_owned))
    }

    /// When it was made, in seconds since 1970, if the server says that.
    pub fn created_at(&self) -> Option<i64> {
        self.created.as_deref().and_then(seconds)
    }

    /// When it was changed, in seconds since 1970, if the server says that.
    pub fn modified_at(&self) -> Option<i64> {
        self.modified.as_deref().and_then(seconds)
    }
}

/// A date in the form of RFC 3339, or of HTTP (RFC 9110 section 5.6.7).
pub(super) fn seconds(text: &str) -> Option<i64> {
    let text = text.trim();
    let rfc3339 = || text.parse::<jiff::Timestamp>().ok();
    let http = || Some(rfc2822::parse(text).ok()?.timestamp());
    Some(rfc3339().or_else(http)?.as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_both_forms_are_read() {
        assert_eq!(seconds("Wed, 21 Oct 2015 07:28:00 GMT"), Some(1_445_412_480));
        assert_eq!(seconds("2015-10-21T07:28:00Z"), Some(1_445_412_480));
        assert_eq!((seconds("yesterday"), seconds("")), (None, None));
    }
}

//! A tree of directories and files: one scope, listed directory by directory before anything is compared.

use super::fetch::{Fetch, NO_REV, Trust, is_same};
use crate::error::{Error, ErrorKind, Result};
use crate::model::container::{Container, Details};
use crate::model::time::rfc3339;
use crate::model::{Attrs, Entry, FetchedItem, ItemData, ObjectType, SkipKind, SkippedItem, SourceIdent};
use crate::net::http::Failure;
use crate::net::parallel::in_order;
use crate::net::runtime::Runtime;
use crate::net::sanitize::said;
use crate::protocol::dav::{
    Client, Downloaded, Listed, Resource, Settings, href_key, last_part, of_one, origin_of, with_slash,
};
use crate::source::{Cursors, DuplicateRule, Items, Listing, Promises, Scope, Source, UnlistedItems};
use jiff::fmt::rfc2822;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use url::Url;

/// The key of the only scope.
const SCOPE: &str = "files";

/// Directories of one account: more are not listed.
const DIRECTORIES_MAX: usize = 1_000_000;

/// Files on a server of WebDAV.
pub struct Files {
    ident: SourceIdent,
    runtime: Runtime,
    client: Client,
    /// The decoded path of the root.
    root: String,
    containers: Vec<Container>,
    entries: Vec<Entry>,
    /// Names, dates and media types of the files, by key.
    files: HashMap<Box<str>, Resource>,
    omissions: Vec<SkippedItem>,
    /// Directories that could not be listed, by key, and why: what lies below them is not known to be gone.
    failed: Vec<(String, Error)>,
    /// Something was named that is not understood.
    is_strange: bool,
    trust: Trust,
    /// How many resources one request asks for: files have no such requests.
    batch: usize,
}

impl Files {
    /// Logs in and lists all directories.
    ///
    /// Errors: the root cannot be listed.
    pub fn open(settings: Settings) -> Result<Files> {
        let runtime = Runtime::new(Arc::clone(&settings.account.stop))?;
        let client = Client::new(settings)?;
        let url = with_slash(client.url().clone());
        let account_id = String::from(url.clone());
        let mut files = Files {
            ident: SourceIdent {
                kind: "webdav",
                session_url: origin_of(&url),
                account_id,
                account_name: Some(client.user().to_owned()).filter(|user| !user.is_empty()),
                username: client.user().to_owned(),
            },
            root: href_key(&url),
            runtime,
            client,
            containers: Vec::new(),
            entries: Vec::new(),
            files: HashMap::new(),
            omissions: Vec::new(),
            failed: Vec::new(),
            is_strange: false,
            trust: Trust::None,
            batch: 1,
        };
        files.look(url)?;
        Ok(files)
    }

    /// Lists everything, level by level.
    fn look(&mut self, root: Url) -> Result<()> {
        let mut seen: HashSet<String> = HashSet::from([self.root.clone()]);
        let mut level: VecDeque<Url> = VecDeque::from([root]);
        let mut is_first = true;
        while !level.is_empty() {
            let directories: Vec<Url> = level.drain(..).collect();
            let (mut answers, mut is_broken) = (Vec::with_capacity(directories.len()), false);
            let client = &self.client;
            self.runtime.run(async {
                let work = directories.iter().map(|url| client.list(url));
                in_order(client.connections(), work, |answer| {
                    answers.push(answer);
                    true
                })
                .await;
                Ok(())
            })?;
            for (url, answer) in directories.into_iter().zip(answers) {
                match answer {
                    Ok(listed) => self.add(&url, listed, &mut seen, &mut level),
                    Err(failure) if is_first => return Err(no_root(failure)),
                    Err(failure) if failure.refusal.is_none() && failure.error.kind != ErrorKind::Connection => {
                        return Err(failure.error);
                    }
                    Err(failure) => {
                        is_broken |= failure.refusal.is_none();
                        self.failed.push((href_key(&url), of_one(&failure)));
                    }
                }
            }
            if is_broken && !self.runtime.run(async { Ok(self.client.is_well().await) })? {
                return Err(Error::new(ErrorKind::Connection, "the server does not answer any more"));
            }
            is_first = false;
            if seen.len() > DIRECTORIES_MAX {
                let what = format!("the server has more than {DIRECTORIES_MAX} directories");
                return Err(Error::new(ErrorKind::Connection, what));
            }
        }
        Ok(())
    }

    fn add(&mut self, url: &Url, listed: Listed, seen: &mut HashSet<String>, level: &mut VecDeque<Url>) {
        let own = href_key(url);
        let parent = self.key(&own);
        let attrs = Arc::new(Attrs { parents: parent.iter().cloned().collect(), ..Attrs::none(ObjectType::FileNode) });
        self.is_strange |= !listed.strange.is_empty();
        self.omissions
            .extend(listed.strange.into_iter().map(|href| self::omission("a reference out of the directory", href)));
        for resource in listed.resources {
            let (Some(key), Some(name)) = (self.key(&resource.key), name_of(&resource.url)) else {
                self.omissions.push(self::omission("a resource without a name", said(resource.url.path().as_bytes())));
                continue;
            };
            if !resource.is_collection && self.files.contains_key(key.as_str()) {
                self.omissions.push(SkippedItem {
                    outcome: SkipKind::Duplicate,
                    ..self::omission("listed twice", said(key.as_bytes()))
                });
            } else if !resource.is_collection {
                self.entries.push(Entry {
                    key: key.as_str().into(),
                    rev: rev(&resource).into(),
                    locator: resource.url.as_str().into(),
                    attrs: Arc::clone(&attrs),
                });
                self.files.insert(key.into(), Resource { name: Some(name), ..resource });
            } else if seen.insert(resource.key.clone()) {
                self.containers.push(directory(key, parent.clone(), name, &resource));
                level.push_back(with_slash(resource.url));
            } else {
                self.omissions.push(self::omission("a directory that is listed twice", said(key.as_bytes())));
            }
        }
    }

    /// The key of what lies below the root; `None` for the root itself.
    fn key(&self, key: &str) -> Option<String> {
        let below = key.strip_prefix(&self.root)?.trim_start_matches('/');
        (!below.is_empty()).then(|| below.to_owned())
    }
}

/// The last part of a path: decoded, or as the URL has it where that is no text.
fn name_of(url: &Url) -> Option<String> {
    let encoded = || url.path().trim_end_matches('/').rsplit('/').next().filter(|part| !part.is_empty());
    last_part(url).or_else(|| encoded().map(str::to_owned))
}

/// The error of a root that cannot be listed.
fn no_root(failure: Failure) -> Error {
    let Some(refusal) = failure.refusal.as_deref().filter(|refusal| (200..500).contains(&refusal.status)) else {
        return failure.error;
    };
    let hint = "give the URL of the directory as the provider names it, up to its last part";
    Error::new(ErrorKind::Account, format!("the directory of --url cannot be listed: {}", refusal.why)).hint(hint)
}

fn omission(reason: &str, position: String) -> SkippedItem {
    SkippedItem { kind: ObjectType::FileNode, reason: reason.to_owned(), position, outcome: SkipKind::Skipped }
}

fn directory(key: String, parent: Option<String>, name: String, resource: &Resource) -> Container {
    let mut container = Container::new(ObjectType::FileNode, key, parent, name);
    let date = |date: &Option<String>| date.as_deref().and_then(seconds).map(rfc3339);
    container.details = Some(Box::new(Details {
        untold: vec!["isSubscribed", "role"],
        created: date(&resource.created),
        modified: date(&resource.modified),
        ..Details::default()
    }));
    container
}

/// The etag, else size and date; [`NO_REV`] where the server says neither.
fn rev(resource: &Resource) -> String {
    match (&resource.etag, resource.size, &resource.modified) {
        (Some(etag), ..) => etag.clone(),
        (None, Some(size), Some(modified)) => format!("{size} {modified}"),
        _ => NO_REV.to_owned(),
    }
}

/// A date in the form of RFC 3339, or of HTTP (RFC 9110 section 5.6.7).
fn seconds(text: &str) -> Option<i64> {
    let text = text.trim();
    let rfc3339 = || text.parse::<jiff::Timestamp>().ok();
    let http = || Some(rfc2822::parse(text).ok()?.timestamp());
    Some(rfc3339().or_else(http)?.as_second())
}

impl Source for Files {
    fn ident(&self) -> &SourceIdent {
        &self.ident
    }

    fn promises(&self) -> Promises {
        Promises {
            join: DuplicateRule::Never,
            is_additive: false,
            cursors: Cursors::Stamp,
            has_lasting_account_id: false,
            lists_only_ids: &[],
            recognised_by: "under the same path and etag",
        }
    }

    fn is_whole(&self, listing: &Listing) -> bool {
        matches!(listing.unnamed, UnlistedItems::Gone)
    }

    fn hides(&self, _: ObjectType, _: &str) -> bool {
        false
    }

    fn names_containers(&self, kind: ObjectType) -> bool {
        kind == ObjectType::FileNode && self.failed.is_empty() && !self.is_strange
    }

    fn scopes(&mut self) -> Result<(Vec<Scope>, Vec<Container>)> {
        let scope = Scope { key: SCOPE.to_owned(), kind: ObjectType::FileNode, selected: true };
        Ok((vec![scope], self.containers.clone()))
    }

    fn list(&mut self, _: &Scope, _: &str) -> Result<Listing> {
        let mut listing = Listing {
            entries: self.entries.clone(),
            omissions: self.omissions.clone(),
            unnamed: UnlistedItems::Gone,
            ..Listing::default()
        };
        if self.is_strange {
            // What was named and not understood may be something that is known under another name.
            listing.unnamed = UnlistedItems::GoneIf(Box::new(|_| false));
        } else if !self.failed.is_empty() {
            let named: HashSet<Box<str>> = self.entries.iter().map(|entry| entry.key.clone()).collect();
            let failed: Vec<String> = self.failed.iter().filter_map(|(key, _)| self.key(key)).collect();
            let is_below = move |key: &str| {
                failed.iter().any(|failed| key.strip_prefix(failed.as_str()).is_some_and(|rest| rest.starts_with('/')))
            };
            listing.unnamed = UnlistedItems::GoneIf(Box::new(move |key| !named.contains(key) && !is_below(key)));
        }
        listing.omissions.extend(self.failed.iter().map(|(key, error)| SkippedItem {
            outcome: SkipKind::Failed,
            ..self::omission("a directory that cannot be listed", format!("{}: {error}", said(key.as_bytes())))
        }));
        Ok(listing)
    }

    fn fetch<'a>(&'a mut self, _: &Scope, entries: Vec<Entry>) -> Result<Items<'a>> {
        let Files { runtime, client, trust, batch, files, .. } = self;
        let files = &*files;
        let collection = client.url().clone();
        Ok(Box::new(Fetch {
            client,
            runtime,
            trust,
            collection,
            batch,
            entries: entries.into(),
            ready: VecDeque::new(),
            make: Box::new(|entry, downloaded| Ok(item(files.get(&entry.key), entry, downloaded))),
            size: Box::new(|entry| files.get(&entry.key).and_then(|resource| resource.size)),
        }))
    }

    fn is_same(&self, known: &str, listed: &str) -> bool {
        is_same(known, listed)
    }

    fn position(&self, _: &Scope, entry: &Entry) -> String {
        said(entry.key.as_bytes())
    }
}

fn item(resource: Option<&Resource>, entry: &Entry, downloaded: Downloaded) -> FetchedItem {
    let data = ItemData::File {
        name: resource.and_then(|resource| resource.name.clone()).unwrap_or_else(|| entry.key.to_string()),
        media_type: downloaded.media_type.or_else(|| resource.and_then(|resource| resource.media_type.clone())),
        modified: resource.and_then(|resource| resource.modified.as_deref().and_then(seconds)),
    };
    FetchedItem { key: entry.key.clone(), body: downloaded.body, data }
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

//! A tree of directories and files: one scope, listed directory by directory before anything is compared.

use super::fetch::{Fetch, NO_REV, Trust, is_same};
use crate::error::{Error, Result};
use crate::model::container::{Container, Details};
use crate::model::time::rfc3339;
use crate::model::{Attrs, Entry, FetchedItem, ItemData, ObjectType, SkipKind, SkippedItem, SourceIdent};
use crate::net::runtime::Runtime;
use crate::net::sanitize::said;
use crate::protocol::dav::{Client, Directory, Downloaded, Resource, Settings, href_key, origin_of, walk, with_slash};
use crate::source::{Cursors, DuplicateRule, Items, Listing, Promises, Scope, Source, UnlistedItems};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

/// The key of the only scope.
const SCOPE: &str = "files";

/// Files on a server of WebDAV.
pub struct Files {
    ident: SourceIdent,
    runtime: Runtime,
    client: Client,
    tree: Tree,
    trust: Trust,
    /// How many resources one request asks for: files have no such requests.
    batch: usize,
}

/// What the server has.
struct Tree {
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
}

impl Files {
    /// Logs in and lists all directories.
    ///
    /// Errors: the root cannot be listed.
    pub fn open(settings: Settings) -> Result<Files> {
        let runtime = Runtime::new(Arc::clone(&settings.account.stop))?;
        let client = Client::new(settings)?;
        let url = with_slash(client.url().clone());
        let mut tree = Tree {
            root: href_key(&url),
            containers: Vec::new(),
            entries: Vec::new(),
            files: HashMap::new(),
            omissions: Vec::new(),
            failed: Vec::new(),
            is_strange: false,
        };
        let ident = SourceIdent {
            kind: "webdav",
            session_url: origin_of(&url),
            account_id: String::from(url.clone()),
            account_name: Some(client.user().to_owned()).filter(|user| !user.is_empty()),
            username: client.user().to_owned(),
        };
        tree.failed = runtime.run(walk(&client, url, &mut |directory| tree.add(directory)))?;
        Ok(Files { ident, runtime, client, tree, trust: Trust::None, batch: 1 })
    }
}

impl Tree {
    fn add(&mut self, directory: Directory) {
        let Directory { url, listed, again } = directory;
        let parent = self.key(&href_key(&url));
        let attrs = Arc::new(Attrs { parents: parent.iter().cloned().collect(), ..Attrs::none(ObjectType::FileNode) });
        self.is_strange |= !listed.strange.is_empty();
        self.omissions
            .extend(listed.strange.into_iter().map(|href| self::omission("a reference out of the directory", href)));
        for resource in again {
            let key = self.key(&resource.key).unwrap_or_default();
            self.omissions.push(self::omission("a directory that is listed twice", said(key.as_bytes())));
        }
        for resource in listed.resources {
            let (Some(key), Some(name)) = (self.key(&resource.key), resource.file_name()) else {
                self.omissions.push(self::omission("a resource without a name", said(resource.url.path().as_bytes())));
                continue;
            };
            if resource.is_collection {
                self.containers.push(self::directory(key, parent.clone(), name, &resource));
            } else if self.files.contains_key(key.as_str()) {
                self.omissions.push(SkippedItem {
                    outcome: SkipKind::Duplicate,
                    ..self::omission("listed twice", said(key.as_bytes()))
                });
            } else {
                self.entries.push(Entry {
                    key: key.as_str().into(),
                    rev: rev(&resource).into(),
                    locator: resource.url.as_str().into(),
                    attrs: Arc::clone(&attrs),
                });
                self.files.insert(key.into(), Resource { name: Some(name), ..resource });
            }
        }
    }

    /// The key of what lies below the root; `None` for the root itself.
    fn key(&self, key: &str) -> Option<String> {
        let below = key.strip_prefix(&self.root)?.trim_start_matches('/');
        (!below.is_empty()).then(|| below.to_owned())
    }
}

fn omission(reason: &str, position: String) -> SkippedItem {
    SkippedItem { kind: ObjectType::FileNode, reason: reason.to_owned(), position, outcome: SkipKind::Skipped }
}

fn directory(key: String, parent: Option<String>, name: String, resource: &Resource) -> Container {
    let mut container = Container::new(ObjectType::FileNode, key, parent, name);
    container.details = Some(Box::new(Details {
        untold: vec!["isSubscribed", "role"],
        created: resource.created_at().map(rfc3339),
        modified: resource.modified_at().map(rfc3339),
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
        kind == ObjectType::FileNode && self.tree.failed.is_empty() && !self.tree.is_strange
    }

    fn scopes(&mut self) -> Result<(Vec<Scope>, Vec<Container>)> {
        let scope = Scope { key: SCOPE.to_owned(), kind: ObjectType::FileNode, selected: true };
        Ok((vec![scope], self.tree.containers.clone()))
    }

    fn list(&mut self, _: &Scope, _: &str) -> Result<Listing> {
        let mut listing = Listing {
            entries: self.tree.entries.clone(),
            omissions: self.tree.omissions.clone(),
            unnamed: UnlistedItems::Gone,
            ..Listing::default()
        };
        if self.tree.is_strange {
            // What was named and not understood may be something that is known under another name.
            listing.unnamed = UnlistedItems::GoneIf(Box::new(|_| false));
        } else if !self.tree.failed.is_empty() {
            let named: HashSet<Box<str>> = self.tree.entries.iter().map(|entry| entry.key.clone()).collect();
            let failed: Vec<String> = self.tree.failed.iter().filter_map(|(key, _)| self.tree.key(key)).collect();
            let is_below = move |key: &str| {
                failed.iter().any(|failed| key.strip_prefix(failed.as_str()).is_some_and(|rest| rest.starts_with('/')))
            };
            listing.unnamed = UnlistedItems::GoneIf(Box::new(move |key| !named.contains(key) && !is_below(key)));
        }
        listing.omissions.extend(self.tree.failed.iter().map(|(key, error)| SkippedItem {
            outcome: SkipKind::Failed,
            ..self::omission("a directory that cannot be listed", format!("{}: {error}", said(key.as_bytes())))
        }));
        Ok(listing)
    }

    fn fetch<'a>(&'a mut self, _: &Scope, entries: Vec<Entry>) -> Result<Items<'a>> {
        let Files { runtime, client, trust, batch, tree, .. } = self;
        let files = &tree.files;
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
        modified: resource.and_then(Resource::modified_at),
    };
    FetchedItem { key: entry.key.clone(), body: downloaded.body, data }
}

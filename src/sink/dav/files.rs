//! A directory on a server of WebDAV: what lies below it, and what is written to it.

use super::changes::{self, changed, content_of, outcome};
use super::nodes::{self, ETAG, MEDIA, MODIFIED, NAME, REMARK};
use crate::error::{Error, ErrorKind, Result};
use crate::format::jmap::{Object, text};
use crate::model::objects::NodeType;
use crate::model::{Body, Digest, ObjectType};
use crate::net::parallel::{Queue, in_order};
use crate::net::runtime::Runtime;
use crate::net::sanitize::said;
use crate::protocol::dav::{
    Client, Condition, NewCollection, NewFile, PART, Settings, Stored, Written, child, href_key, uploads_of, walk,
    with_slash,
};
use crate::sink::{
    BlobProvider, BlobRef, Change, Detail, Draft, Filing, NoDraft, Outcome, Patch, Remote, RemoteEmail, Sink,
    StoredItem,
};
use serde_json::Value;
use std::cell::Cell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use url::Url;

/// The date of a file that is no older than so many seconds does not tell whether the server takes dates.
const RECENT: u64 = 60;

/// What is said of a server that does not take the dates of files.
const OWN_DATES: &str = "the server gives files its own dates";

/// What is said of a file that cannot have its name.
const TWIN: &str = "another file of the archive has the same name at the server";

/// How a server gets the date of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dates {
    /// No file was stored yet.
    Unknown,
    /// With its bytes.
    Beside,
    /// By a request of its own.
    After,
    /// Not at all.
    Never,
}

/// The files below a directory.
pub struct Files {
    runtime: Runtime,
    client: Client,
    root: Url,
    /// Where parts of files are collected; `None` where the server takes none.
    uploads: Cell<Option<Url>>,
    dates: Cell<Dates>,
    /// The first file finds out what there is to know of dates.
    first: Queue,
}

impl Files {
    /// Logs in and looks at the directory.
    ///
    /// Errors: of [`ErrorKind::Account`] if there is no such directory, or if the login may only read it.
    pub fn open(settings: Settings) -> Result<Files> {
        let runtime = Runtime::new(Arc::clone(&settings.account.stop))?;
        let client = Client::new(settings)?;
        let root = with_slash(client.url().clone());
        runtime.run(client.list_root(&root))?;
        if runtime.run(async { Ok(client.is_read_only(&root).await) })? {
            let what = "the directory of --url may only be read with this login";
            return Err(Error::new(ErrorKind::Account, what).hint("use a directory of your own, or ask its owner"));
        }
        let (uploads, dates) = (Cell::new(uploads_of(&root)), Cell::new(Dates::Unknown));
        Ok(Files { runtime, client, root, uploads, dates, first: Queue::default() })
    }

    /// Everything below the root.
    fn look(&self) -> Result<(Vec<Remote>, bool)> {
        let (mut remotes, mut is_complete) = (Vec::new(), true);
        let mut seen: HashSet<String> = HashSet::new();
        let mut ids: HashMap<String, String> = HashMap::new();
        let failed = self.runtime.run(walk(&self.client, self.root.clone(), &mut |directory| {
            is_complete &= directory.listed.strange.is_empty() && directory.again.is_empty();
            let parent = ids.get(&href_key(&directory.url)).cloned();
            let here = parent.as_deref().and_then(|id| Url::parse(id).ok()).unwrap_or_else(|| self.root.clone());
            for resource in directory.listed.resources {
                let Some(name) = resource.file_name() else {
                    is_complete = false;
                    continue;
                };
                // The URL that a name of ours has, unless what the server has is no text.
                let own = child(&here, &name);
                let url = if href_key(&own) == resource.key { own } else { resource.url.clone() };
                let url = if resource.is_collection { with_slash(url) } else { url };
                let id = String::from(url);
                if resource.is_collection {
                    ids.insert(resource.key.clone(), id.clone());
                }
                if seen.insert(id.clone()) {
                    remotes.push(nodes::remote(&resource, id, parent.clone()));
                }
            }
        }))?;
        for (key, error) in &failed {
            self.client.log(0, || format!("a directory cannot be listed: {}: {error}", said(key.as_bytes())));
        }
        Ok((remotes, is_complete && failed.is_empty()))
    }

    /// What the bytes of a file are; `None` if the server does not give them.
    async fn digest(&self, remote: &Remote) -> Result<Option<Digest>> {
        let downloaded = match self.client.get(&address(&remote.id)?, nodes::size(remote)).await {
            Ok(downloaded) => downloaded,
            Err(failure) if failure.refusal.is_some() => return Ok(None),
            Err(failure) => return Err(failure.error),
        };
        let digest = match downloaded.map(|downloaded| downloaded.body) {
            Some(Body::Bytes(bytes)) => Digest::of(&bytes),
            Some(Body::File(file)) => {
                Digest::of_file(file).map_err(|error| Error::io("cannot read back a file", error))?
            }
            _ => return Ok(None),
        };
        Ok(Some(digest))
    }

    /// Where something new goes.
    fn target(&self, change: &Change) -> Option<String> {
        let Change::Create(body, _, location) = change else { return None };
        let parent = location.parent.as_deref().map(address).transpose().ok()?;
        Some(href_key(&child(parent.as_ref().unwrap_or(&self.root), text(body, NAME))))
    }

    async fn change(&self, change: Change, supply: &dyn BlobProvider) -> Result<Outcome> {
        match change {
            Change::Create(body, blob, location) => {
                let parent = location.parent.as_deref().map(address).transpose()?;
                let url = child(parent.as_ref().unwrap_or(&self.root), text(&body, NAME));
                match blob {
                    None => self.make(with_slash(url), &body).await,
                    blob => self.put(&url, blob, Condition::New, &body, supply).await,
                }
            }
            Change::Update(id, patch) => {
                let condition = Condition::Unchanged(text(&patch.body, ETAG));
                Ok(changed(self.put(&address(&id)?, patch.blob, condition, &patch.body, supply).await?))
            }
            Change::Destroy(id) => self.remove(id).await,
            Change::CreateEmail(_) | Change::UpdateEmail(..) => Ok(Outcome::Refused("it has no mail".to_owned())),
        }
    }

    async fn make(&self, url: Url, body: &Object) -> Result<Outcome> {
        let written = self.client.make(&url, &NewCollection::default()).await?;
        Ok(with_remarks(outcome(written, String::from(url)), [remark(body)]))
    }

    /// Removes a file, or a directory in which nothing lies any more: what the server did not let go, and what came during
    /// the run, stays.
    async fn remove(&self, id: String) -> Result<Outcome> {
        let url = address(&id)?;
        if id.ends_with('/') {
            match self.client.list(&url).await {
                Ok(listed) if !listed.resources.is_empty() || !listed.strange.is_empty() => {
                    return Ok(Outcome::Refused("something else lies in it".to_owned()));
                }
                Ok(_) => {}
                Err(failure) if failure.refusal.as_ref().is_some_and(|refusal| matches!(refusal.status, 404 | 410)) => {
                    return Ok(Outcome::Done(id, None));
                }
                Err(failure) => match failure.refusal {
                    Some(refusal) => return Ok(Outcome::Refused(refusal.why)),
                    None if failure.error.kind == ErrorKind::Connection => {
                        return Ok(Outcome::Unknown(failure.error.to_string()));
                    }
                    None => return Err(failure.error),
                },
            }
        }
        Ok(outcome(self.client.delete(&url, Condition::Any).await?, id))
    }

    async fn put(
        &self,
        url: &Url,
        blob: Option<BlobRef>,
        condition: Condition<'_>,
        body: &Object,
        supply: &dyn BlobProvider,
    ) -> Result<Outcome> {
        let (blob, content) = match content_of(blob, supply)? {
            Ok(content) => content,
            Err(outcome) => return Ok(outcome),
        };
        let modified = body.get(MODIFIED).and_then(Value::as_i64);
        let file = NewFile { media: text(body, MEDIA), content, modified, condition };
        let stored = self.send(url, &file, supply.digest(blob)).await?;
        let of_date = match stored.written {
            Written::Done => self.date(url, &file, stored.has_date).await?,
            _ => None,
        };
        Ok(match outcome(stored.written, url.to_string()) {
            // RFC 4918 section 9.7.1. The next run makes it again.
            Outcome::Refused(why) if why.starts_with("409") => {
                Outcome::Full(format!("what it was to lie in is not there any more: {why}"))
            }
            outcome => with_remarks(outcome, [remark(body), of_date]),
        })
    }

    async fn send(&self, url: &Url, file: &NewFile<'_>, digest: Option<Digest>) -> Result<Stored> {
        let uploads = self.uploads.take();
        self.uploads.set(uploads.clone());
        if let (Some(uploads), Some(digest)) = (uploads, digest.filter(|_| file.content.size() > PART)) {
            let own = Digest::of(format!("{} {url}", digest.hex()).as_bytes()).hex();
            let folder = child(&uploads, &format!("vandelay-{}", &own[..32]));
            if let Some(stored) = self.client.put_in_parts(&folder, url, file).await? {
                return Ok(stored);
            }
            self.uploads.set(None);
        }
        self.client.put_file(url, file).await
    }

    /// Gives a file that was just stored its date, as far as the server takes one. Gives what is to be said of it.
    async fn date(&self, url: &Url, file: &NewFile<'_>, has_date: bool) -> Result<Option<String>> {
        let Some(modified) = file.modified else { return Ok(None) };
        if modified < 0 {
            return Ok(Some("without its date: servers take none before 1970".to_owned()));
        }
        if has_date {
            self.dates.set(Dates::Beside);
            return Ok(None);
        }
        let turn = self.first.turn().await;
        let dates = self.dates.get();
        if dates != Dates::Unknown {
            drop(turn);
        }
        match dates {
            Dates::Beside | Dates::Never => Ok(None),
            Dates::After => Ok(match self.client.set_date(url, modified).await? {
                Written::Done => None,
                Written::Conflict(why) | Written::Refused(why) | Written::Full(why) | Written::Unknown(why) => {
                    Some(format!("without its date: {why}"))
                }
            }),
            // The server's own date would look like that of the file.
            Dates::Unknown if jiff::Timestamp::now().as_second().abs_diff(modified) < RECENT => Ok(None),
            Dates::Unknown => {
                let is_there = async || self.client.date_of(url).await == Some(modified);
                // Some take the date beside the bytes and do not say so. What says that it took a date may not have done it.
                self.dates.set(match is_there().await {
                    true => Dates::Beside,
                    false if self.client.set_date(url, modified).await? == Written::Done && is_there().await => {
                        Dates::After
                    }
                    false => Dates::Never,
                });
                Ok((self.dates.get() == Dates::Never).then(|| OWN_DATES.to_owned()))
            }
        }
    }
}

fn address(id: &str) -> Result<Url> {
    Url::parse(id).map_err(|error| Error::new(ErrorKind::Connection, error.to_string()))
}

/// What a body says that the server does not take.
fn remark(body: &Object) -> Option<String> {
    Some(text(body, REMARK).to_owned()).filter(|remark| !remark.is_empty())
}

fn with_remarks(outcome: Outcome, remarks: impl IntoIterator<Item = Option<String>>) -> Outcome {
    let Outcome::Done(id, _) = outcome else { return outcome };
    let remarks: Vec<String> = remarks.into_iter().flatten().collect();
    Outcome::Done(id, (!remarks.is_empty()).then(|| remarks.join("; ")))
}

impl Sink for Files {
    fn name(&self) -> String {
        self.client.user().to_owned()
    }

    fn source_kind(&self) -> &'static str {
        self.client.flavor().name()
    }

    fn lacks(&self, kind: ObjectType) -> Option<String> {
        (kind != ObjectType::FileNode).then(|| "a WebDAV server has files only".to_owned())
    }

    fn filing(&self) -> Filing {
        Filing::Once
    }

    fn prepare(&mut self, _: &[ObjectType]) -> Result<()> {
        Ok(())
    }

    fn draft(&self, item: &StoredItem<'_>) -> std::result::Result<Draft, NoDraft> {
        nodes::draft(item)
    }

    fn container(&self, _: ObjectType, name: &str) -> Draft {
        nodes::container(name)
    }

    fn keyword(&self, _: &str) -> Option<String> {
        None
    }

    fn expect(&mut self, _: u64) {}

    fn objects(&mut self, kind: ObjectType, _: Detail) -> Result<(Vec<Remote>, bool)> {
        match kind {
            ObjectType::FileNode => self.look(),
            _ => Ok((Vec::new(), true)),
        }
    }

    fn look_inside(&mut self, remotes: &mut [Remote], places: &[usize]) -> Result<()> {
        let this = &*self;
        let is_file = |place: &&usize| remotes[**place].node == Some(NodeType::File);
        let places: Vec<usize> = places.iter().filter(is_file).copied().collect();
        let mut digests = Vec::with_capacity(places.len());
        this.runtime.run(async {
            let mut lost = None;
            let work = places.iter().map(|place| this.digest(&remotes[*place]));
            in_order(this.client.connections(), work, |digest| {
                match digest {
                    Ok(digest) => digests.push(digest),
                    Err(error) => lost = Some(error),
                }
                lost.is_none()
            })
            .await;
            lost.map_or(Ok(()), Err)
        })?;
        places.into_iter().zip(digests).for_each(|(place, digest)| nodes::note(&mut remotes[place], digest));
        Ok(())
    }

    fn difference(
        &self,
        kind: ObjectType,
        ours: &Draft,
        _: Option<Vec<String>>,
        theirs: &Remote,
        supply: &dyn BlobProvider,
    ) -> Patch {
        nodes::difference(kind, ours, theirs, supply)
    }

    fn has_strangers(&mut self, _: ObjectType) -> Result<bool> {
        // A name is in a directory once, whoever wrote it.
        Ok(false)
    }

    fn rest(&mut self, _: ObjectType) -> Result<()> {
        Ok(())
    }

    fn emails(&mut self, _: Option<&BTreeSet<String>>) -> Result<(Vec<RemoteEmail>, bool)> {
        Ok((Vec::new(), true))
    }

    fn headers(&mut self, _: &[String]) -> Result<Vec<(String, Vec<u8>)>> {
        Ok(Vec::new())
    }

    fn write(
        &mut self,
        _: ObjectType,
        changes: &mut dyn Iterator<Item = (usize, Change)>,
        _: usize,
        supply: &dyn BlobProvider,
        told: &mut dyn FnMut(usize, Outcome),
    ) -> Result<()> {
        let this = &*self;
        // Two requests for one URL at the same time may both find its name free.
        let mut begun: HashSet<String> = HashSet::new();
        let work = changes.map(|(at, change)| {
            let url = this.target(&change);
            let is_twin = url.is_some_and(|url| !begun.insert(url));
            async move {
                match is_twin {
                    true => (at, Ok(Outcome::Refused(TWIN.to_owned()))),
                    false => (at, this.change(change, supply).await),
                }
            }
        });
        this.runtime.run(changes::make(&this.client, this.client.connections(), work, told))
    }

    fn choose(&mut self, _: ObjectType, _: Option<&str>) -> Result<std::result::Result<(), String>> {
        Ok(Ok(()))
    }
}

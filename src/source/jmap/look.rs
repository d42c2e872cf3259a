//! What is in the account, or what changed in it since the last time, after the first request.

use super::first::{Look, What, container_of, forgets};
use super::read;
use crate::error::Result;
use crate::model::{Attrs, Entry, ObjectType, SkipKind, SkippedItem};
use crate::net::sanitize::said;
use crate::protocol::jmap::{Changes, Client, Got, Sound};
use crate::source::{Listing, UnlistedItems};
use serde_json::{Map, Value};
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

/// Why an object is not listed over which the server broke down.
const BROKEN: &str = "the server breaks off when it is asked for it";

/// Properties of cards and events that are listed; of all other types everything is, but for bytes.
fn listed(kind: ObjectType) -> Option<&'static [&'static str]> {
    match kind {
        ObjectType::ContactCard => Some(&["id", "addressBookIds"]),
        ObjectType::CalendarEvent => Some(&["id", "calendarIds"]),
        _ => None,
    }
}

/// True if the states of a type are numbers that count up, as with most servers, and the server is behind the one that is
/// known: it was restored from an older copy, and what it says of changes does not hold (RFC 8620 section 5.2 has no word for
/// that: it may answer that nothing changed).
fn went_backwards(known: &str, answer: &Map<String, Value>) -> bool {
    let number = |state: &str| {
        let prefix = state.trim_end_matches(|c: char| c.is_ascii_digit());
        Some((prefix.to_owned(), state[prefix.len()..].parse::<u64>().ok()?))
    };
    let now = answer.get("newState").and_then(Value::as_str).and_then(number);
    match (number(known), now) {
        (Some((prefix, before)), Some((now_prefix, now))) => prefix == now_prefix && now < before,
        _ => false,
    }
}

/// Lists a type.
pub(super) async fn list(client: &Client, account: &str, kind: ObjectType, look: Look) -> Result<Listing> {
    let Look { containers, omissions, what } = look;
    let asking = Asking { client, account, kind };
    let mut listing = match what {
        What::All(got) => asking.small(got)?,
        // The server does not have this type, so the archive keeps what it has of it.
        What::Unsupported => return Ok(Listing { unchanged: true, containers, omissions, ..Listing::default() }),
        What::Unknown(state) => asking.everything(state).await?,
        What::Changes(first, before) => {
            let is_same = first.get("newState").and_then(Value::as_str) == Some(&before)
                && first.get("hasMoreChanges").and_then(Value::as_bool) != Some(true);
            if went_backwards(&before, &first) {
                client.log(0, || {
                    format!(
                        "the server's state of {} went backwards, as after a restore: everything is listed",
                        kind.name()
                    )
                });
                asking.everything(client.state(account, kind.name()).await?).await?
            } else if is_same {
                Listing { unchanged: true, cursor: before, ..Listing::default() }
            } else {
                match client.changes_after(account, kind.name(), first).await {
                    // A file that moved says nothing of the directories above it.
                    Ok(changes) if kind == ObjectType::FileNode => asking.everything(changes.new_state).await?,
                    Ok(changes) => asking.changed(changes).await?,
                    Err(error) if forgets(&error) => {
                        client.log(1, || format!("{error}; listing everything"));
                        asking.everything(client.state(account, kind.name()).await?).await?
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
    };
    listing.containers.splice(0..0, containers);
    listing.omissions.extend(omissions);
    asking.check_parents(&mut listing).await?;
    Ok(listing)
}

#[derive(Clone, Copy)]
struct Asking<'a> {
    client: &'a Client,
    account: &'a str,
    kind: ObjectType,
}

impl Asking<'_> {
    /// A type that came whole.
    fn small(self, got: Got) -> Result<Listing> {
        let mut listing = Listing { unnamed: UnlistedItems::Gone, cursor: got.state, ..Listing::default() };
        if got.may_be_cut {
            listing.unnamed = UnlistedItems::Kept;
            listing.omissions.push(self.failed_id("the server names no more at once, and there may be others", ""));
        }
        let mut seen = HashSet::new();
        for object in got.list {
            match read::entry(self.kind, &object, "") {
                Some(entry) if seen.insert(entry.key.clone()) => listing.entries.push(entry),
                _ => listing.omissions.push(self.failed("listed twice, or without an id", &object)),
            }
        }
        Ok(listing)
    }

    /// All objects of a large type. `state` is from before: what changes meanwhile comes with the next run.
    async fn everything(self, state: String) -> Result<Listing> {
        let queried = self.client.query_all(self.account, self.kind.name(), &Value::Null).await?;
        let mut is_complete = queried.is_complete;
        let mut listing = self.objects(&queried.ids, &state).await?;
        let mut kept: HashSet<Box<str>> = HashSet::new();
        for id in std::mem::take(&mut listing.missing) {
            // Named and not handed over: it may be gone since, or the server may have a fault.
            is_complete = false;
            listing.listing.omissions.push(self.failed_id("listed by the server, and not handed over", &id));
            kept.insert(id.into());
        }
        for id in std::mem::take(&mut listing.broken) {
            is_complete = false;
            listing.listing.omissions.push(self.failed_id(BROKEN, &id));
            kept.insert(id.into());
        }
        let mut listing = listing.listing;
        listing.unnamed = match is_complete {
            true => UnlistedItems::Gone,
            // An absent one is not a deleted one.
            false if queried.is_complete => UnlistedItems::GoneIf(Box::new(move |key| !kept.contains(key))),
            false => UnlistedItems::Kept,
        };
        if !queried.is_complete {
            let reason =
                format!("the server named {} objects, and there are more, or others by now", queried.ids.len());
            let (kind, position) = (self.kind, self.kind.name().to_owned());
            listing.omissions.push(SkippedItem { kind, reason, position, outcome: SkipKind::Failed });
        }
        listing.cursor = if is_complete { state } else { String::new() };
        Ok(listing)
    }

    /// What changed.
    async fn changed(self, changes: Changes) -> Result<Listing> {
        let ids: Vec<String> = changes.created.iter().chain(&changes.updated).cloned().collect();
        let mut found = self.objects(&ids, &changes.new_state).await?;
        let mut gone = changes.destroyed;
        for id in std::mem::take(&mut found.missing) {
            // Destroyed after the changes were told: the next ones will say so, if it is that.
            found.listing.omissions.push(SkippedItem {
                kind: self.kind,
                reason: "vanished meanwhile".to_owned(),
                position: self.position(&id),
                outcome: SkipKind::Skipped,
            });
            gone.remove(&id);
        }
        // The next run asks for the same changes again.
        let is_complete = found.broken.is_empty();
        for id in std::mem::take(&mut found.broken) {
            found.listing.omissions.push(self.failed_id(BROKEN, &id));
        }
        let mut listing = found.listing;
        listing.unnamed = UnlistedItems::GoneIf(Box::new(move |key| gone.contains(key)));
        listing.cursor = if is_complete { changes.new_state } else { String::new() };
        Ok(listing)
    }

    /// The entries of these objects. `state` is what tells a card or an event from what it was before.
    async fn objects(self, ids: &[String], state: &str) -> Result<FoundEntries> {
        let mut found = FoundEntries::default();
        let mut asked: HashSet<&str> = ids.iter().map(String::as_str).collect();
        let mut attrs: HashSet<Arc<Attrs>> = HashSet::new();
        let mut directories = Vec::new();
        let sink = |part: Sound| {
            for id in part.broken {
                asked.remove(id.as_str());
                found.broken.push(id);
            }
            for object in part.got.list {
                let id = object.get("id").and_then(Value::as_str).unwrap_or_default();
                if !asked.remove(id) {
                    continue;
                }
                if self.kind == ObjectType::FileNode && read::is_directory(&object) {
                    directories.push(object);
                    continue;
                }
                match read::entry(self.kind, &object, state) {
                    Some(mut entry) => {
                        // Thousands of messages lie in the same mailbox.
                        entry.attrs = match attrs.get(&entry.attrs) {
                            Some(known) => Arc::clone(known),
                            None => {
                                attrs.insert(Arc::clone(&entry.attrs));
                                entry.attrs
                            }
                        };
                        found.listing.entries.push(entry);
                    }
                    None => {
                        found.listing.omissions.push(self.failed("described in a way that makes no sense", &object))
                    }
                }
            }
            true
        };
        match listed(self.kind) {
            None => self.client.get_whole_sound(self.account, self.kind, ids, sink).await?,
            names => self.client.get_sound(self.account, self.kind.name(), ids, names, sink).await?,
        }
        found.missing = asked.into_iter().map(str::to_owned).collect();
        found.missing.sort_unstable();
        if self.kind == ObjectType::FileNode {
            let got = Got { list: directories, ..Got::default() };
            let (containers, omissions) = read::containers(ObjectType::FileNode, got);
            found.listing.containers = containers;
            found.listing.omissions.extend(omissions);
        }
        Ok(found)
    }

    /// An item may lie in a container that was made after the containers were asked for. One that lies in what the
    /// server does not name at all is a failure: what it lay in before stays.
    async fn check_parents(self, listing: &mut Listing) -> Result<()> {
        let has_strangers = |listing: &Listing| {
            let known: HashSet<&str> = listing.containers.iter().map(|container| container.key.as_str()).collect();
            listing.entries.iter().any(|entry| entry.attrs.parents.iter().any(|parent| !known.contains(&**parent)))
        };
        if !has_strangers(listing) {
            return Ok(());
        }
        if let Some(kind) = container_of(self.kind) {
            let mut got = self.client.get_all_whole(self.account, kind).await?;
            // Some servers hand over a part of them without a word: those that something lies in have a name.
            let known: HashSet<&str> = got.list.iter().filter_map(|object| object.get("id")?.as_str()).collect();
            let named = listing.entries.iter().flat_map(|entry| entry.attrs.parents.iter());
            let strangers: BTreeSet<String> = named.filter(|id| !known.contains(id.as_str())).cloned().collect();
            drop(known);
            if !strangers.is_empty() {
                let strangers: Vec<String> = strangers.into_iter().collect();
                got.list.extend(self.client.get_whole(self.account, kind, &strangers).await?.list);
            }
            listing.containers = read::containers(kind, got).0;
        }
        let known: HashSet<String> = listing.containers.iter().map(|container| container.key.clone()).collect();
        let (fine, strange): (Vec<Entry>, Vec<Entry>) = std::mem::take(&mut listing.entries)
            .into_iter()
            .partition(|entry| entry.attrs.parents.iter().all(|parent| known.contains(parent)));
        listing.entries = fine;
        for entry in &strange {
            listing.omissions.push(self.failed_id("lies in something that the server does not name", &entry.key));
        }
        if !strange.is_empty() {
            listing.cursor = String::new();
            if matches!(listing.unnamed, UnlistedItems::Gone) {
                let kept: HashSet<Box<str>> = strange.into_iter().map(|entry| entry.key).collect();
                listing.unnamed = UnlistedItems::GoneIf(Box::new(move |key| !kept.contains(key)));
            }
        }
        Ok(())
    }

    fn position(self, id: &str) -> String {
        format!("{} {}", self.kind.name(), said(id.as_bytes()))
    }

    fn failed_id(self, reason: &str, id: &str) -> SkippedItem {
        let position = self.position(id);
        SkippedItem { kind: self.kind, reason: reason.to_owned(), position, outcome: SkipKind::Failed }
    }

    fn failed(self, reason: &str, object: &Map<String, Value>) -> SkippedItem {
        self.failed_id(reason, object.get("id").and_then(Value::as_str).unwrap_or("without an id"))
    }
}

/// Entries, and ids that the server did not hand over.
#[derive(Default)]
struct FoundEntries {
    listing: Listing,
    missing: Vec<String>,
    /// Ids over which the server broke down.
    broken: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn states_that_count_can_go_backwards() {
        for (known, now, expected) in [
            ("10", "9", true),
            ("9", "10", false),
            ("10", "10", false),
            ("J-12", "J-3", true),
            ("a.12", "b.3", false),
            ("abc", "abb", false),
            ("99999999999999999999", "1", false),
            ("", "1", false),
        ] {
            let answer = json!({ "newState": now });
            assert_eq!(went_backwards(known, answer.as_object().expect("an object")), expected, "{known} {now}");
        }
    }
}

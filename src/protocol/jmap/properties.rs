//! The properties that are asked for, all of them by name: a server may leave out of an answer to a `/get` without names
//! what it finds costly or its own (seen: `isVisible` of a calendar, its alerts, `iCalendar` of an event), and what is left
//! out must not be taken for a default.
//!
//! RFC 8620 section 5.1 makes a server refuse a whole `/get` for one name that it does not know. So the names that not every
//! server has are tried one by one once a `/get` was refused, and those that it does not know are left out from then on.

use super::client::Client;
use super::error::Result;
use super::get::Got;
use super::methods::Object;
use super::request::Request;
use super::sound::Sound;
use crate::model::ObjectType;
use crate::model::container::Details;
use serde_json::json;

/// The properties of a type whose objects have a fixed set of them. `None` for cards and events, which are open: they are
/// asked for without names, and [`more`] beside that.
fn fixed(kind: ObjectType) -> Option<Vec<&'static str>> {
    let container = |own: &[&'static str]| Some([own, Details::of(kind), &["myRights"]].concat());
    let names: &[&'static str] = match kind {
        // RFC 8621 section 2; the counts are not of the archive.
        ObjectType::Mailbox => return container(&["id", "name", "parentId"]),
        // RFC 9610 section 2, draft-ietf-jmap-calendars section 4.
        ObjectType::AddressBook | ObjectType::Calendar => return container(&["id", "name"]),
        // RFC 8621 section 4.
        ObjectType::Email => &["id", "blobId", "receivedAt", "mailboxIds", "keywords", "size"],
        // RFC 8621 section 6.
        ObjectType::Identity => {
            &["id", "name", "email", "replyTo", "bcc", "textSignature", "htmlSignature", "mayDelete"]
        }
        // RFC 8621 section 8.
        ObjectType::VacationResponse => &["id", "isEnabled", "fromDate", "toDate", "subject", "textBody", "htmlBody"],
        // RFC 9661 section 2.
        ObjectType::SieveScript => &["id", "name", "isActive", "blobId"],
        // draft-ietf-jmap-calendars section 3.
        ObjectType::ParticipantIdentity => &["id", "name", "calendarAddress", "isDefault"],
        // draft-ietf-jmap-filenode section 3.
        ObjectType::FileNode => &[
            "id",
            "parentId",
            "nodeType",
            "blobId",
            "target",
            "size",
            "name",
            "type",
            "created",
            "modified",
            "executable",
            "isSubscribed",
            "role",
            "myRights",
        ],
        ObjectType::ContactCard | ObjectType::CalendarEvent => return None,
    };
    Some(names.to_vec())
}

/// Properties of an open type that are only shown to those who name them.
fn more(kind: ObjectType) -> &'static [&'static str] {
    match kind {
        // draft-ietf-calext-jscontact-icalendar and its sibling: what JSContact and JSCalendar have no word for.
        ObjectType::ContactCard => &["id", "vCard"],
        ObjectType::CalendarEvent => &[
            "id",
            "isDraft",
            "useDefaultAlerts",
            "alerts",
            "color",
            "keywords",
            "freeBusyStatus",
            "mayInviteSelf",
            "mayInviteOthers",
            "hideAttendees",
            "iCalendar",
        ],
        _ => &[],
    }
}

/// Names that every server must know: without them nothing of the type can be read.
const ALWAYS: [&str; 9] = ["id", "name", "parentId", "blobId", "mailboxIds", "keywords", "receivedAt", "size", "email"];

impl Client {
    /// The properties of a type to ask for by name; `None` for an open type.
    pub fn properties(&self, kind: ObjectType) -> Option<Vec<&'static str>> {
        Some(self.known_names(kind, &fixed(kind)?))
    }

    fn known_names(&self, kind: ObjectType, names: &[&'static str]) -> Vec<&'static str> {
        let unknown = self.unknown_properties().lock();
        let mut known: Vec<&'static str> =
            names.iter().copied().filter(|name| !unknown.contains(&(kind, *name))).collect();
        // What former versions of the draft have in its place.
        if unknown.contains(&(ObjectType::ParticipantIdentity, "calendarAddress"))
            && kind == ObjectType::ParticipantIdentity
        {
            known.extend(["scheduleId", "sendTo"].iter().filter(|name| !unknown.contains(&(kind, **name))));
        }
        known
    }

    /// Finds out which names the server does not know, after it refused a `/get` with all of them. False if that is not
    /// what it has against it.
    pub async fn learn_properties(&self, account: &str, kind: ObjectType) -> Result<bool> {
        let names = fixed(kind).unwrap_or_else(|| more(kind).to_vec());
        let names: Vec<&'static str> = self.known_names(kind, &names);
        let method = format!("{}/get", kind.name());
        let mut unknown = Vec::new();
        let open: Vec<&'static str> = names.into_iter().filter(|name| !ALWAYS.contains(name)).collect();
        for part in open.chunks(self.limits().max_calls_in_request) {
            let mut request = Request::new();
            let calls: Vec<_> = part
                .iter()
                .map(|name| {
                    let arguments = json!({ "accountId": account, "ids": [], "properties": ["id", name] });
                    (*name, request.call(&method, arguments))
                })
                .collect();
            let mut responses = self.call(&request).await?;
            unknown.extend(calls.into_iter().filter_map(|(name, call)| {
                responses.take(call).is_err_and(|error| error.is("invalidArguments")).then_some(name)
            }));
        }
        if unknown.is_empty() {
            return Ok(false);
        }
        self.log(1, || format!("the server does not know these properties of {}: {}", kind.name(), unknown.join(", ")));
        self.unknown_properties().lock().extend(unknown.into_iter().map(|name| (kind, name)));
        Ok(true)
    }

    /// All objects of a type with all of their properties (`ids: null`). What the server cut off is asked for by its ids,
    /// where it can be asked for those. [`super::Error::is_too_much`] holds of the error where there are too many objects.
    pub async fn get_all_whole(&self, account: &str, kind: ObjectType) -> Result<Got> {
        loop {
            let names = self.properties(kind);
            match self.get_all(account, kind.name(), names.as_deref()).await {
                Err(error) if error.is("invalidArguments") && names.is_some() => {
                    if !self.learn_properties(account, kind).await? {
                        return Err(error);
                    }
                }
                Err(error) if error.is_too_much() && has_query(kind) => return self.get_named(account, kind).await,
                Ok(got) => return self.complete(account, kind, got).await,
                Err(error) => return Err(error),
            }
        }
    }

    /// What `ids: null` brought, and what it did not: RFC 8620 section 5.1 has an error for more objects than
    /// `maxObjectsInGet`, and some servers hand over that many without a word.
    pub async fn complete(&self, account: &str, kind: ObjectType, got: Got) -> Result<Got> {
        if got.list.len() < self.limits().max_objects_in_get {
            return Ok(got);
        }
        if !has_query(kind) {
            return Ok(Got { may_be_cut: true, ..got });
        }
        let state = got.state;
        self.get_named(account, kind).await.map(|all| Got { state, ..all })
    }

    /// All objects of a type, first their ids and then each by its id.
    async fn get_named(&self, account: &str, kind: ObjectType) -> Result<Got> {
        let queried = self.query_all(account, kind.name(), &serde_json::Value::Null).await?;
        self.get_whole(account, kind, &queried.ids).await
    }

    /// These objects with all of their properties.
    pub async fn get_whole(&self, account: &str, kind: ObjectType, ids: &[String]) -> Result<Got> {
        let mut all = Got::default();
        self.get_whole_sound(account, kind, ids, |part| {
            all.add(part.got);
            part.broken.is_empty()
        })
        .await?;
        Ok(all)
    }

    /// The same, part by part, and without those over which the server breaks down.
    pub async fn get_whole_sound(
        &self,
        account: &str,
        kind: ObjectType,
        ids: &[String],
        mut sink: impl FnMut(Sound) -> bool,
    ) -> Result<()> {
        while let Some(names) = self.properties(kind) {
            let mut has_begun = false;
            let done = self.get_sound(account, kind.name(), ids, Some(&names), |part| {
                has_begun = true;
                sink(part)
            });
            match done.await {
                Err(error)
                    if error.is("invalidArguments") && !has_begun && self.learn_properties(account, kind).await? => {}
                done => return done,
            }
        }
        for part in ids.chunks(self.ids_at_once(1000)) {
            let mut all = Sound::default();
            self.get_sound(account, kind.name(), part, None, |some| {
                all.got.add(some.got);
                all.broken.extend(some.broken);
                true
            })
            .await?;
            self.add_more(account, kind, &mut all.got).await?;
            if !sink(all) {
                break;
            }
        }
        Ok(())
    }

    /// Adds the properties that are only shown to those who name them.
    async fn add_more(&self, account: &str, kind: ObjectType, got: &mut Got) -> Result<()> {
        let ids: Vec<String> = got.list.iter().filter_map(id_of).map(str::to_owned).collect();
        let more = loop {
            let names = self.known_names(kind, more(kind));
            if names.len() < 2 || ids.is_empty() {
                return Ok(());
            }
            match self.get(account, kind.name(), &ids, Some(&names)).await {
                Err(error) if error.is("invalidArguments") && self.learn_properties(account, kind).await? => {}
                // Beside the object it is an extra: what is there is worth more than nothing.
                Err(error) if error.is_breakdown() || error.is("invalidArguments") => {
                    self.log(0, || format!("some properties of {} are missing: {error}", kind.name()));
                    return Ok(());
                }
                more => break more?,
            }
        };
        let mut by_id: std::collections::HashMap<String, Object> =
            more.list.into_iter().filter_map(|object| Some((id_of(&object)?.to_owned(), object))).collect();
        for object in &mut got.list {
            let Some(more) = id_of(object).and_then(|id| by_id.remove(id)) else { continue };
            for (name, value) in more {
                object.entry(name).or_insert(value);
            }
        }
        Ok(())
    }
}

fn id_of(object: &Object) -> Option<&str> {
    object.get("id")?.as_str()
}

/// True for types that have a `/query`: of these the server can be asked for the ids of all objects.
pub fn has_query(kind: ObjectType) -> bool {
    matches!(
        kind,
        ObjectType::Mailbox
            | ObjectType::Email
            | ObjectType::ContactCard
            | ObjectType::CalendarEvent
            | ObjectType::FileNode
            | ObjectType::SieveScript
    )
}

//! The data of the accounts: objects, bytes, and the log of what changed.

use super::options::{AccountOptions, Options};
use super::schema::{Kind, Setter};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    Created,
    Updated,
    /// Only `totalEmails` and its like, RFC 8621 section 2.2.
    Counted,
    Destroyed,
}

/// The objects of a type.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub rows: BTreeMap<String, Value>,
    log: Vec<(String, Event)>,
    /// Changes before this one are forgotten: `cannotCalculateChanges`.
    floor: usize,
    /// Distinguishes states of types and tables; clients may not look into it.
    salt: u64,
}

impl Table {
    /// The state of RFC 8620 section 5.1.
    pub(crate) fn state(&self) -> String {
        self.state_at(self.log.len())
    }

    fn state_at(&self, count: usize) -> String {
        format!("{:x}.{count:x}", self.salt)
    }

    /// The changes since a state, or `None` if they cannot be calculated.
    pub(crate) fn since(&self, state: &str) -> Option<&[(String, Event)]> {
        let count = usize::from_str_radix(state.strip_prefix(&format!("{:x}.", self.salt))?, 16).ok()?;
        (count >= self.floor && count <= self.log.len()).then(|| &self.log[count..])
    }

    /// The state after so many of these changes.
    pub(crate) fn state_after(&self, since: &[(String, Event)], count: usize) -> String {
        self.state_at(self.log.len() - since.len() + count)
    }

    /// Forgets all changes up to now: states that were given out are useless.
    pub(crate) fn forget(&mut self) {
        self.salt += 1;
        self.floor = 0;
        self.log.clear();
    }

    /// Notes a change.
    pub(crate) fn note(&mut self, id: &str, event: Event) {
        self.log.push((id.to_owned(), event));
    }
}

/// Bytes of an account.
#[derive(Debug, Clone)]
pub(crate) struct Blob {
    pub bytes: Arc<Vec<u8>>,
    hash: blake3::Hash,
}

/// An account.
#[derive(Debug)]
pub(crate) struct Account {
    pub options: AccountOptions,
    pub tables: BTreeMap<Kind, Table>,
    pub blobs: BTreeMap<String, Blob>,
    /// The emails with the same bytes, by the hash of these.
    twins: HashMap<blake3::Hash, BTreeSet<String>>,
    /// How many ids were given out, by type.
    next: BTreeMap<Kind, u32>,
    fresh: u32,
    /// When there were uploads.
    uploads: VecDeque<Instant>,
    /// How many there were.
    pub uploaded: u32,
}

impl Account {
    /// An empty one, with the singleton of RFC 8621 section 8.
    pub(crate) fn new(options: AccountOptions) -> Account {
        let tables = Kind::ALL
            .into_iter()
            .enumerate()
            .map(|(at, kind)| (kind, Table { salt: 0x1000 * (at as u64 + 1), ..Table::default() }))
            .collect();
        let mut account = Account {
            options,
            tables,
            blobs: BTreeMap::new(),
            twins: HashMap::new(),
            next: BTreeMap::new(),
            fresh: 0,
            uploads: VecDeque::new(),
            uploaded: 0,
        };
        let vacation = json!({"id": "singleton", "isEnabled": false, "fromDate": null, "toDate": null,
            "subject": null, "textBody": null, "htmlBody": null});
        account.put(Kind::VacationResponse, "singleton", vacation);
        account
    }

    /// The objects of a type.
    pub(crate) fn table(&self, kind: Kind) -> &Table {
        &self.tables[&kind]
    }

    /// The same, to be changed.
    pub(crate) fn table_mut(&mut self, kind: Kind) -> &mut Table {
        self.tables.get_mut(&kind).expect("all types have a table")
    }

    /// An object.
    pub(crate) fn get(&self, kind: Kind, id: &str) -> Option<&Value> {
        self.table(kind).rows.get(id)
    }

    /// A new id: short, and the same for a mailbox, a calendar, a card and a file, since each type has a count of its own
    /// (RFC 8620 section 1.2: an id is one of its type). Ids do not come in the order of creation.
    pub(crate) fn new_id(&mut self, kind: Kind) -> String {
        let next = self.next.entry(kind).or_default();
        let mut number = *next ^ 5;
        *next += 1;
        let mut id = String::new();
        loop {
            id.insert(0, char::from(b'a' + (number % 26) as u8));
            number /= 26;
            if number == 0 {
                break id;
            }
            number -= 1;
        }
    }

    /// A name that nothing else has: a uid, a blob.
    pub(crate) fn new_name(&mut self, prefix: &str) -> String {
        self.fresh += 1;
        format!("{prefix}{:08x}", self.fresh.wrapping_mul(0x9E37_79B1))
    }

    /// Stores an object, new or changed, and notes it.
    pub(crate) fn put(&mut self, kind: Kind, id: &str, object: Value) {
        let touched = if kind == Kind::Email { self.mailboxes_around(id, Some(&object)) } else { BTreeSet::new() };
        if kind == Kind::Email
            && let Some(hash) = self.hash(&object)
        {
            self.twins.entry(hash).or_default().insert(id.to_owned());
        }
        let table = self.table_mut(kind);
        let event = if table.rows.insert(id.to_owned(), object).is_some() { Event::Updated } else { Event::Created };
        table.note(id, event);
        self.count(touched);
    }

    /// Removes an object and notes it.
    pub(crate) fn remove(&mut self, kind: Kind, id: &str) -> Option<Value> {
        let touched = if kind == Kind::Email { self.mailboxes_around(id, None) } else { BTreeSet::new() };
        let table = self.table_mut(kind);
        let object = table.rows.remove(id)?;
        table.note(id, Event::Destroyed);
        if let Some(hash) = self.hash(&object)
            && let Some(twins) = self.twins.get_mut(&hash)
        {
            twins.remove(id);
        }
        self.count(touched);
        Some(object)
    }

    fn hash(&self, object: &Value) -> Option<blake3::Hash> {
        self.blobs.get(object["blobId"].as_str()?).map(|blob| blob.hash)
    }

    /// An email with these bytes.
    pub(crate) fn twin(&self, bytes: &[u8]) -> Option<&String> {
        self.twins.get(&blake3::hash(bytes))?.first()
    }

    /// The mailboxes whose counts change with an email.
    fn mailboxes_around(&self, id: &str, new: Option<&Value>) -> BTreeSet<String> {
        self.get(Kind::Email, id).into_iter().chain(new).flat_map(|email| keys(&email["mailboxIds"])).collect()
    }

    fn count(&mut self, mailboxes: BTreeSet<String>) {
        for mailbox in mailboxes {
            if self.get(Kind::Mailbox, &mailbox).is_some() {
                self.table_mut(Kind::Mailbox).note(&mailbox, Event::Counted);
            }
        }
    }

    /// Counts an upload, unless the account had as many as it may have; then it says when there may be another one.
    pub(crate) fn count_upload(&mut self, options: &Options) -> Result<(), Duration> {
        let Some((most, window)) = options.uploads else {
            self.uploaded += 1;
            return Ok(());
        };
        let now = Instant::now();
        while self.uploads.front().is_some_and(|at| now.duration_since(*at) >= window) {
            self.uploads.pop_front();
        }
        if self.uploads.len() >= most as usize {
            return Err(window - now.duration_since(self.uploads[0]));
        }
        self.uploads.push_back(now);
        self.uploaded += 1;
        Ok(())
    }

    /// Stores bytes and gives their blob id.
    pub(crate) fn put_blob(&mut self, bytes: Vec<u8>, is_fresh: bool) -> String {
        let hash = blake3::hash(&bytes);
        let mut id = format!("b{}", &hash.to_hex()[..20]);
        if is_fresh {
            id = self.new_name("B");
        }
        self.blobs.entry(id.clone()).or_insert_with(|| Blob { bytes: Arc::new(bytes), hash });
        id
    }

    /// The bytes of all blobs that objects refer to.
    pub(crate) fn used(&self) -> u64 {
        let mut used = BTreeSet::new();
        for object in self.tables.values().flat_map(|table| table.rows.values()) {
            collect_blobs(object, &mut used);
        }
        used.iter().filter_map(|id| self.blobs.get(*id)).map(|blob| blob.bytes.len() as u64).sum()
    }

    /// Deletes all blobs that nothing refers to, as RFC 8620 section 6 allows a server that is short of room.
    pub(crate) fn drop_unreferenced(&mut self) {
        let mut used = BTreeSet::new();
        for object in self.tables.values().flat_map(|table| table.rows.values()) {
            collect_blobs(object, &mut used);
        }
        let used: BTreeSet<String> = used.into_iter().map(str::to_owned).collect();
        self.blobs.retain(|id, _| used.contains(id));
    }

    /// Objects of a type whose set property contains this id.
    pub(crate) fn members(&self, kind: Kind, property: &str, id: &str) -> Vec<String> {
        let rows = self.table(kind).rows.iter();
        rows.filter(|(_, object)| object[property].get(id).is_some()).map(|(member, _)| member.clone()).collect()
    }

    /// Takes an object out of a container, and destroys it if it is in no other; RFC 8621 section 2.5 and its like.
    pub(crate) fn take_out(&mut self, kind: Kind, property: &str, id: &str, container: &str) {
        let Some(mut object) = self.get(kind, id).cloned() else { return };
        let set = object[property].as_object_mut().expect("a set");
        set.remove(container);
        if set.is_empty() {
            self.remove(kind, id);
        } else {
            self.put(kind, id, object);
        }
    }

    /// The ancestors of a Mailbox or FileNode, the nearest first. Ends where there is a loop.
    pub(crate) fn ancestors(&self, kind: Kind, parent: &Value) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        let mut at = parent.as_str();
        while let Some(id) = at {
            if found.iter().any(|known| known == id) {
                break;
            }
            found.push(id.to_owned());
            at = self.get(kind, id).and_then(|object| object["parentId"].as_str());
        }
        found
    }
}

fn collect_blobs<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                match (name.as_str(), value) {
                    ("blobId", Value::String(id)) => {
                        found.insert(id);
                    }
                    (_, value) => collect_blobs(value, found),
                }
            }
        }
        Value::Array(array) => array.iter().for_each(|item| collect_blobs(item, found)),
        _ => {}
    }
}

/// The names of the members of an object.
pub(super) fn keys(value: &Value) -> impl Iterator<Item = String> + '_ {
    value.as_object().into_iter().flat_map(|object| object.keys().cloned())
}

/// Fills in what a new object of this type has if nobody says otherwise.
pub(super) fn complete(options: &Options, kind: Kind, object: &mut Map<String, Value>) {
    for property in kind.schema().properties {
        if property.setter != Setter::Server
            && !object.contains_key(property.name)
            && let Some(default) = property.default()
        {
            object.insert(property.name.to_owned(), default);
        }
    }
    let now = now(options);
    let defaults = match kind {
        Kind::Mailbox => json!({"myRights": all_rights(&super::mailboxes::RIGHTS)}),
        Kind::AddressBook => json!({"isDefault": false, "myRights": all_rights(&super::contacts::RIGHTS)}),
        Kind::Calendar => json!({"isDefault": false, "myRights": all_rights(&super::calendars::RIGHTS)}),
        Kind::FileNode => {
            let size = if object.get("blobId").is_none_or(Value::is_null) { json!({"size": null}) } else { json!({}) };
            let mut defaults = json!({"created": now, "modified": now, "accessed": now, "changed": now, "myRights": all_rights(&super::files::RIGHTS)});
            defaults.as_object_mut().expect("an object").extend(size.as_object().cloned().expect("an object"));
            defaults
        }
        Kind::Identity => json!({"mayDelete": true}),
        Kind::ParticipantIdentity => json!({"isDefault": false}),
        Kind::SieveScript => json!({"isActive": false}),
        Kind::Email => json!({"receivedAt": now}),
        _ => json!({}),
    };
    for (name, value) in defaults.as_object().expect("an object") {
        object.entry(name.clone()).or_insert_with(|| value.clone());
    }
}

fn all_rights(names: &[&str]) -> Value {
    names.iter().map(|name| ((*name).to_owned(), Value::Bool(true))).collect::<Map<String, Value>>().into()
}

/// The time, as an UTCDate.
pub(super) fn now(options: &Options) -> String {
    let now = jiff::Timestamp::now();
    let text = now.strftime("%Y-%m-%dT%H:%M:%S").to_string();
    if options.fractions { format!("{text}.{:03}Z", now.subsec_millisecond().max(1)) } else { format!("{text}Z") }
}

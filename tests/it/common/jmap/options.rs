//! What a test server is like: accounts, capabilities, limits, URLs, and the liberties that the standards give servers.

use serde_json::{Value, json};

pub(crate) const CORE: &str = "urn:ietf:params:jmap:core";
pub(crate) const MAIL: &str = "urn:ietf:params:jmap:mail";
pub(crate) const SUBMISSION: &str = "urn:ietf:params:jmap:submission";
pub(crate) const VACATION: &str = "urn:ietf:params:jmap:vacationresponse";
pub(crate) const SIEVE: &str = "urn:ietf:params:jmap:sieve";
pub(crate) const CONTACTS: &str = "urn:ietf:params:jmap:contacts";
pub(crate) const CALENDARS: &str = "urn:ietf:params:jmap:calendars";
pub(crate) const PRINCIPALS: &str = "urn:ietf:params:jmap:principals";
pub(crate) const OWNER: &str = "urn:ietf:params:jmap:principals:owner";
pub(crate) const FILENODE: &str = "urn:ietf:params:jmap:filenode";
pub(crate) const BLOB: &str = "urn:ietf:params:jmap:blob";

/// Every capability that an account can have.
pub(crate) const ALL: [&str; 10] =
    [MAIL, SUBMISSION, VACATION, SIEVE, CONTACTS, CALENDARS, PRINCIPALS, OWNER, FILENODE, BLOB];

/// Who may come in.
#[derive(Debug, Clone)]
pub(crate) enum Auth {
    /// `Authorization: Basic`, RFC 7617.
    Basic { user: String, password: String },
    /// `Authorization: Bearer`, RFC 6750. Each token is good for so many requests (`None`: for ever) and then never again.
    Bearer { tokens: Vec<String>, requests_each: Option<u64> },
    /// Anybody, as where URLs are secrets themselves.
    Open,
}

/// Where an URL of the session points to. RFC 8620 section 2 says "URL", which RFC 3986 lets be a relative reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// `http://127.0.0.1:PORT/api/`.
    Here,
    /// `/api/`.
    Relative,
    /// The same server under its other port, which is another origin.
    Elsewhere,
}

/// What `/.well-known/jmap` does; RFC 8620 section 2.2 allows redirects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WellKnown {
    Serves,
    /// To `/session`.
    Redirects,
    /// To `/session` of the other origin.
    RedirectsElsewhere,
    Missing,
}

/// The limits of RFC 8620 section 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    pub max_size_upload: usize,
    pub max_concurrent_upload: usize,
    pub max_size_request: usize,
    pub max_concurrent_requests: usize,
    pub max_calls_in_request: usize,
    pub max_objects_in_get: usize,
    pub max_objects_in_set: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            max_size_upload: 50_000_000,
            max_concurrent_upload: 4,
            max_size_request: 10_000_000,
            max_concurrent_requests: 4,
            max_calls_in_request: 16,
            max_objects_in_get: 500,
            max_objects_in_set: 500,
        }
    }
}

/// What the session says about the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Advertised {
    Truly,
    /// The properties are missing, which RFC 8620 does not allow.
    Not,
    /// Other numbers than those that are enforced.
    As(Limits),
}

/// One account of the session.
#[derive(Debug, Clone)]
pub(crate) struct AccountOptions {
    pub id: String,
    pub name: String,
    pub is_personal: bool,
    pub is_read_only: bool,
    pub capabilities: Vec<&'static str>,
    /// Put over the account capability of this name, property by property.
    pub changed_capabilities: Vec<(&'static str, Value)>,
    /// It has what a new account has: an inbox, a default address book and calendar, an identity; none can be destroyed.
    pub is_furnished: bool,
    /// Bytes of blobs that objects may hold; what is more is `overQuota`.
    pub quota: Option<u64>,
}

impl AccountOptions {
    /// A personal account with all capabilities.
    pub(crate) fn new(id: &str) -> AccountOptions {
        AccountOptions {
            id: id.to_owned(),
            name: format!("{id}@example.org"),
            is_personal: true,
            is_read_only: false,
            capabilities: ALL.to_vec(),
            changed_capabilities: Vec::new(),
            is_furnished: false,
            quota: None,
        }
    }

    /// The same with only these capabilities.
    pub(crate) fn with(id: &str, capabilities: &[&'static str]) -> AccountOptions {
        AccountOptions { capabilities: capabilities.to_vec(), ..AccountOptions::new(id) }
    }
}

/// How ParticipantIdentity names its address: the draft changed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Participants {
    /// `calendarAddress`, as the draft has it now.
    CalendarAddress,
    /// `scheduleId` and `sendTo`, as it had them before.
    ScheduleId,
}

/// What the server is like. The default is a server that does everything, strictly.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub auth: Auth,
    pub accounts: Vec<AccountOptions>,
    pub limits: Limits,
    pub advertised: Advertised,
    pub api_url: Place,
    pub upload_url: Place,
    pub download_url: Place,
    pub well_known: WellKnown,
    /// Answers in chunks instead of with a Content-Length.
    pub chunked: bool,
    /// Closes the connection after each answer.
    pub closes: bool,
    /// Compresses answers for clients that take it (RFC 9110 section 8.4.1.3).
    pub gzips: bool,
    /// A /query gives at most so many ids at once (RFC 8620 section 5.5, `limit`).
    pub max_query_limit: Option<usize>,
    /// A /changes gives at most so many ids at once.
    pub max_changes: Option<usize>,
    /// `ids: null` is refused for Email, ContactCard, CalendarEvent and FileNode, however few there are: RFC 8620
    /// section 5.1 says "if this is supported for that data type".
    pub refuses_all: bool,
    /// `ids: null` gives as many objects as `maxObjectsInGet` says, and not a word of the others, where RFC 8620 section 5.1
    /// has an error.
    pub cuts_silently: bool,
    /// An email with the same bytes is refused with `alreadyExists` (RFC 8621 section 4.8).
    pub refuses_duplicates: bool,
    /// Objects get blob ids of their own, as RFC 8620 section 6 allows.
    pub reassigns_blobs: bool,
    /// The error for Email/import of an unknown blob: RFC 8621 section 4.8 says `invalidProperties`, some servers say
    /// `blobNotFound`.
    pub missing_blob_of_import: &'static str,
    /// The error for an uid that exists: the standards name none, so `invalidProperties`; some say `alreadyExists`.
    pub uid_exists: &'static str,
    /// Characters that no name of a mailbox may have: "Servers MAY reject names that violate server policy".
    pub forbidden_in_mailboxes: &'static str,
    /// A /get that names no properties is answered with some of them.
    pub is_sparse: bool,
    /// Properties that this server does not know, by type.
    pub unknown: Vec<(&'static str, &'static str)>,
    /// The types of objects that CalendarEvent/set takes: the draft has Event alone, and some servers have tasks, too.
    pub event_types: &'static [&'static str],
    /// An event may have the uid of another one: the draft forbids it, and not every server looks.
    pub takes_twins: bool,
    /// So many uploads in so much time; then 429 and a Retry-After that says when there are new ones.
    pub uploads: Option<(u32, std::time::Duration)>,
    /// Sieve scripts are looked at (RFC 9661, `invalidSieve`).
    pub checks_sieve: bool,
    /// The errors for a script that is not valid, and for destroying the active one: RFC 9661 and its drafts differ.
    pub sieve_errors: [&'static str; 2],
    /// The default address book and calendar may not be destroyed.
    pub keeps_defaults: bool,
    /// Creates, updates and destroys are done strictly one after the other: names cannot be swapped in one call, though
    /// RFC 8620 section 5.3 says that this is allowed. A FileNode/set is never that stupid, its draft forbids it.
    pub is_sequential: bool,
    pub participants: Participants,
    /// Domains from which Identity may send; anything else is `forbiddenFrom`. `None`: all.
    pub may_send_from: Option<Vec<String>>,
    /// Fractions of seconds in what the server sets (`changed`, `created`): allowed in a UTCDate if not zero.
    pub fractions: bool,
    /// A JSON merge patch (RFC 7396) of the session: what no server may say.
    pub session_patch: Value,
    /// Seed of the dice for faults by chance.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            auth: Auth::Basic { user: "alice".to_owned(), password: "secret".to_owned() },
            accounts: vec![AccountOptions::new("A1")],
            limits: Limits::default(),
            advertised: Advertised::Truly,
            api_url: Place::Here,
            upload_url: Place::Here,
            download_url: Place::Here,
            well_known: WellKnown::Serves,
            chunked: false,
            closes: false,
            gzips: false,
            max_query_limit: None,
            max_changes: None,
            refuses_all: false,
            cuts_silently: false,
            refuses_duplicates: true,
            reassigns_blobs: false,
            missing_blob_of_import: "invalidProperties",
            uid_exists: "invalidProperties",
            forbidden_in_mailboxes: "",
            is_sparse: true,
            unknown: Vec::new(),
            event_types: &["Event", "Task"],
            takes_twins: false,
            uploads: None,
            checks_sieve: true,
            sieve_errors: ["invalidSieve", "sieveIsActive"],
            keeps_defaults: true,
            is_sequential: false,
            participants: Participants::CalendarAddress,
            may_send_from: None,
            fractions: false,
            session_patch: json!({}),
            seed: 1,
        }
    }
}

impl Options {
    /// A server as the standards have it: it shows all properties unasked, and its events are events.
    pub(crate) fn telling() -> Options {
        Options { is_sparse: false, event_types: &["Event"], ..Options::default() }
    }

    /// What a client that reads the session believes the limits to be; `None` if it is told nothing.
    pub(crate) fn believed(&self) -> Option<Limits> {
        match self.advertised {
            Advertised::Truly => Some(self.limits),
            Advertised::Not => None,
            Advertised::As(limits) => Some(limits),
        }
    }
}

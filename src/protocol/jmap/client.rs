//! A server with a session: batches of method calls, and which account is meant.

use super::capability::{CALENDARS, CONTACTS, CORE, FILENODE, MAIL, PRINCIPALS, SIEVE};
use super::error::{Error, MethodError, Result, violation};
use super::problem;
use super::request::{Request, Responses};
use super::session::{AccountInfo, Limits, Session};
use crate::error::{self, ErrorKind};
use crate::model::ObjectType;
use crate::net::account::Account;
use crate::net::http::{self, Ask, Audience, Http, Method, Payload, Reach, shown};
use crate::net::sanitize::said;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{AcquireError, Semaphore, SemaphorePermit};
use tokio::time;
use url::Url;

/// The most bytes of a session resource.
const SESSION_MAX: usize = 4 << 20;

/// The most bytes of an answer to method calls, inflated.
const ANSWER_MAX: usize = 64 << 20;

/// Values in one answer, as far as commas and brackets tell: each becomes an object of many times its length in memory.
const VALUES_MAX: usize = 3_000_000;

/// How to reach a server.
#[derive(Clone)]
pub struct Settings {
    /// With a connector for the server of `home` ([`crate::net::connector::Connector::for_http`]).
    pub account: Account,
    /// `--url`, read: a session resource, or a server that has one at `/.well-known/jmap`.
    pub home: Url,
    /// `--url` as the user wrote it: what an archive knows the server by.
    pub url: String,
    /// `--allow-other-origin`
    pub allow_other_origin: bool,
    /// Where blobs go that are too large for memory; the system's folder for such where it is `None`.
    pub spool: Option<PathBuf>,
}

/// Which account of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// `--account-id`
    Id(String),
    /// `--account-name`
    Name(String),
}

/// A server that the user is logged in to.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    http: Http,
    session: Session,
    api: Url,
    spool: Option<PathBuf>,
    requests: Semaphore,
    uploads: Semaphore,
    /// Properties that the server turned out not to know.
    unknown_properties: Mutex<HashSet<(ObjectType, &'static str)>>,
}

impl Client {
    /// Finds the session resource and reads it (RFC 8620 section 2.2).
    ///
    /// Errors: [`ErrorKind::Credentials`] for a login that is refused, [`ErrorKind::Connection`] for everything else.
    pub async fn open(settings: Settings) -> Result<Client> {
        let reach = if settings.allow_other_origin { Reach::Anybody } else { Reach::Host };
        let audience = Audience::new(settings.home.clone(), reach);
        let http = Http::new(settings.account, audience, problem::read)?;
        let session = discover(&http, &settings.home).await?;
        if session.accounts.is_empty() {
            let what = format!("the session at {} has no accounts", shown(&session.url));
            return Err(error::Error::new(ErrorKind::Credentials, what)
                .hint("the server may not know this user: check user name and password")
                .into());
        }
        if !session.offers(CORE) {
            http.log(0, || "the server does not say which limits it has".to_owned());
        }
        let api = session
            .url
            .join(&session.api_url)
            .map_err(|_| Error::protocol(format!("its apiUrl is no URL: {}", said(session.api_url.as_bytes()))))?;
        http.check_origin(&api)?;
        let limits = session.limits;
        http.log(2, || format!("limits: {limits:?}"));
        Ok(Client(Arc::new(Inner {
            http,
            api,
            spool: settings.spool,
            requests: Semaphore::new(limits.max_concurrent_requests),
            uploads: Semaphore::new(limits.max_concurrent_upload),
            unknown_properties: Mutex::default(),
            session,
        })))
    }

    /// What the server said of itself.
    pub fn session(&self) -> &Session {
        &self.0.session
    }

    /// Its limits.
    pub fn limits(&self) -> Limits {
        self.0.session.limits
    }

    /// Tells the user something (level 0), or those who asked with `-v`.
    pub fn log(&self, level: u8, text: impl FnOnce() -> String) {
        self.0.http.log(level, text);
    }

    /// Properties that the server turned out not to know.
    pub(super) fn unknown_properties(&self) -> &Mutex<HashSet<(ObjectType, &'static str)>> {
        &self.0.unknown_properties
    }

    /// Lets time pass, until the user wants the run to end.
    pub async fn sleep(&self, time: Duration) {
        time::sleep(time).await;
    }

    /// Says how many objects are to be sent from now on: the number is shown while the server asks the run to wait.
    pub fn expect(&self, objects: u64) {
        self.http().pauses().expect(objects);
    }

    /// True once the server asked for a wait of more than a day: no other request would fare better in this run.
    pub fn has_given_up(&self) -> bool {
        self.http().pauses().has_given_up()
    }

    /// One of them was sent, or has another end.
    pub fn one_done(&self) {
        self.http().pauses().done();
    }

    pub(super) fn http(&self) -> &Http {
        &self.0.http
    }

    pub(super) fn spool(&self) -> Option<&PathBuf> {
        self.0.spool.as_ref()
    }

    pub(super) async fn upload_permit(&self) -> Result<SemaphorePermit<'_>> {
        self.0.uploads.acquire().await.map_err(closed)
    }

    pub(super) async fn request_permit(&self) -> Result<SemaphorePermit<'_>> {
        self.0.requests.acquire().await.map_err(closed)
    }

    /// Asks. `Ok` says that the server answered, whatever became of each call.
    ///
    /// A request that is larger than the server takes is not sent: [`Error::is_too_much`] holds of the error.
    pub async fn call(&self, request: &Request) -> Result<Responses> {
        let limits = self.limits();
        let body = serde_json::to_vec(&request.body(|name| self.session().offers(name)))
            .map_err(|error| Error::protocol(error.to_string()))?;
        if body.len() > limits.max_size_request || request.len() > limits.max_calls_in_request {
            let size = format!("{} bytes, {} calls", body.len(), request.len());
            return Err(Error::Method(MethodError::described(&request.names(), "requestTooLarge", size)));
        }
        let body = bytes::Bytes::from(body);
        let mut backoff = self.http().backoff();
        loop {
            let responses = self.exchange(request, &body).await?;
            let Some(error) = responses.transient().filter(|_| !request.is_once()) else { return Ok(responses) };
            backoff.heard();
            let error =
                error::Error::new(ErrorKind::Connection, error.to_string()).because(io::Error::other("unavailable"));
            // One method that stays unavailable is no reason to lose the others.
            if backoff.wait(error, None).await.is_err() {
                return Ok(responses);
            }
        }
    }

    async fn exchange(&self, request: &Request, body: &bytes::Bytes) -> Result<Responses> {
        let _permit = self.request_permit().await?;
        let names = request.names();
        let json = [("Content-Type", "application/json"), ("Accept", "application/json")];
        let plain = [json[0], json[1], ("Accept-Encoding", "identity")];
        let ask = Ask {
            fields: if request.is_plain() { &plain } else { &json },
            payload: Payload::Whole(body.clone()),
            repeat: request.repeat(),
            ..Ask::new(Method::Post, &self.0.api, &names)
        };
        let responses = self.http().ask(&ask, async |mut answer| {
            let Some(bytes) = answer.body(ANSWER_MAX).await? else {
                return Ok(Err(Error::too_large(&names, ANSWER_MAX)));
            };
            let values = memchr::memchr3_iter(b',', b'[', b'{', &bytes).count();
            if values > VALUES_MAX {
                return Err(violation(format!("its answer to {names} has more than {VALUES_MAX} values")).into());
            }
            self.log(3, || format!("{names}: {} bytes sent, {} received", body.len(), bytes.len()));
            let value = serde_json::from_slice(&bytes).map_err(|error| match error.is_eof() {
                // Cut on the way by something in between: it may come whole the next time.
                true => {
                    let what = format!("the answer of {} to {names} is cut off", answer.server());
                    error::Error::new(ErrorKind::Connection, what).because(io::Error::other(error))
                }
                false => violation(format!("its answer to {names} is no JSON: {error}")),
            })?;
            Ok(Responses::read(request, value))
        });
        responses.await?
    }

    /// One call on its own.
    pub async fn ask(&self, method: &str, arguments: Value) -> Result<serde_json::Map<String, Value>> {
        let mut request = Request::new();
        let call = request.call(method, arguments);
        self.call(&request).await?.take(call)
    }

    /// Finds the account. One that is given by its id need not be in the session: an administrator may see more than is
    /// listed; then what the server can do counts as what the account can do.
    ///
    /// Errors: [`ErrorKind::Account`] if there is none, or more than one.
    pub async fn account(&self, which: &Which) -> Result<AccountInfo> {
        let session = self.session();
        match which {
            Which::Id(id) => Ok(match session.account(id) {
                Some(account) => account.clone(),
                None => {
                    self.check_unlisted(id).await?;
                    self.log(0, || {
                        let id = said(id.as_bytes());
                        format!("the session does not list the account {id:?}, and the server has it")
                    });
                    self.unlisted(id.clone(), String::new())
                }
            }),
            Which::Name(name) => {
                if let Some(account) = session.account_named(name, self.http().user()) {
                    return Ok(account.clone());
                }
                let names: Vec<String> =
                    session.accounts.iter().take(12).map(|account| said(account.name.as_bytes())).collect();
                let none = |why: &str| {
                    error::Error::new(
                        ErrorKind::Account,
                        format!("there is no account named {name:?} on the server{why}"),
                    )
                    .hint(format!("accounts of this user: {}", names.join(", ")))
                };
                if !session.offers(PRINCIPALS) {
                    return Err(none(", and the server cannot search for others").into());
                }
                match self.principal(name).await? {
                    found if found.len() > 1 => Err(none(": several principals have that name").into()),
                    found => match found.into_iter().next() {
                        Some(id) => {
                            Ok(session.account(&id).cloned().unwrap_or_else(|| self.unlisted(id, name.clone())))
                        }
                        None => Err(none("").into()),
                    },
                }
            }
        }
    }

    /// Asks for something of an account that the session does not list.
    ///
    /// Errors: [`ErrorKind::Account`] if there is no such account.
    async fn check_unlisted(&self, id: &str) -> Result<()> {
        let session = self.session();
        let methods = [(MAIL, "Mailbox/get"), (CONTACTS, "AddressBook/get"), (CALENDARS, "Calendar/get")];
        let methods = methods.into_iter().chain([(FILENODE, "FileNode/get"), (SIEVE, "SieveScript/get")]);
        let Some((_, method)) = methods.into_iter().find(|(capability, _)| session.offers(capability)) else {
            return Ok(());
        };
        match self.ask(method, json!({ "accountId": id, "ids": [] })).await {
            Err(Error::Method(error)) if matches!(error.kind.as_str(), "accountNotFound" | "forbidden") => {
                let names: Vec<String> =
                    session.accounts.iter().take(12).map(|account| said(account.id.as_bytes())).collect();
                let what =
                    format!("there is no account with the id {:?} on the server: {}", said(id.as_bytes()), error.kind);
                Err(error::Error::new(ErrorKind::Account, what)
                    .hint(format!("accounts of this user: {}", names.join(", ")))
                    .into())
            }
            Err(Error::Line(error)) => Err(error.into()),
            // It has the account, and not the type.
            _ => Ok(()),
        }
    }

    fn unlisted(&self, id: String, name: String) -> AccountInfo {
        let capabilities = self.session().capabilities.clone();
        AccountInfo { id, name, is_personal: false, is_read_only: false, capabilities }
    }

    /// Accounts of the principals with this name or address (RFC 9670 section 2.4).
    async fn principal(&self, name: &str) -> Result<Vec<String>> {
        let session = self.session();
        let home = session.primary_accounts.get(PRINCIPALS).cloned().or_else(|| {
            let mut having = session.accounts.iter().filter(|account| account.capabilities.contains_key(PRINCIPALS));
            having.next().map(|account| account.id.clone())
        });
        let Some(home) = home else { return Ok(Vec::new()) };
        let mut found = std::collections::BTreeSet::new();
        for filter in ["email", "name"] {
            let mut request = Request::new();
            let query = request.call("Principal/query", json!({ "accountId": home, "filter": { filter: name } }));
            let ids = request.result_of(query, "/ids");
            let properties = ["id", "name", "email", "accounts"];
            let get =
                request.call("Principal/get", json!({ "accountId": home, "#ids": ids, "properties": properties }));
            let mut responses = self.call(&request).await?;
            // Not every server knows every filter.
            if responses.take(query).is_err() {
                continue;
            }
            let list = responses.take(get)?.remove("list");
            for principal in list.iter().filter_map(Value::as_array).flatten() {
                let says = |what: &str| {
                    let said = principal.get(what).and_then(Value::as_str);
                    said.is_some_and(|said| said.to_lowercase() == name.to_lowercase())
                };
                let accounts = principal.get("accounts").and_then(Value::as_object);
                if (says("name") || says("email"))
                    && let Some(accounts) = accounts.filter(|accounts| accounts.len() == 1)
                {
                    found.extend(accounts.keys().cloned());
                }
            }
        }
        Ok(found.into_iter().collect())
    }
}

fn closed(_: AcquireError) -> Error {
    Error::Line(error::Error::new(ErrorKind::Interrupted, "interrupted"))
}

/// Reads `--url`.
///
/// Errors: of [`ErrorKind::Usage`].
pub fn address(text: &str) -> error::Result<Url> {
    http::address(text, "JMAP", "https://jmap.example.com or https://example.com/jmap/session")
}

/// Looks for the session resource: at the URL itself, and at the place that RFC 8620 section 2.2 gives it.
async fn discover(http: &Http, home: &Url) -> Result<Session> {
    let mut places = Vec::new();
    let root = home.join("/.well-known/jmap").ok();
    if !matches!(home.path(), "" | "/") || home.query().is_some() {
        let mut below = home.clone();
        below.set_query(None);
        below.set_path(&format!("{}/.well-known/jmap", home.path().trim_end_matches('/')));
        places.extend([Some(home.clone()), Some(below), root]);
    } else {
        places.extend([root, Some(home.clone())]);
    }
    let mut first = None;
    for place in places.into_iter().flatten() {
        match session_at(http, &place).await {
            Ok(session) => return Ok(session),
            // Another place helps only where this one answers, and is none.
            Err(Error::Line(error)) if error.is_transient() || error.kind != ErrorKind::Connection => {
                return Err(error.into());
            }
            Err(error) => {
                http.log(1, || format!("no session at {}: {error}", shown(&place)));
                first.get_or_insert(error);
            }
        }
    }
    Err(match first {
        Some(Error::Line(error)) => error.into(),
        _ => error::Error::new(ErrorKind::Connection, format!("there is no JMAP session at {}", shown(home)))
            .hint("--url is the address of the server, or of its session resource")
            .into(),
    })
}

async fn session_at(http: &Http, place: &Url) -> Result<Session> {
    let ask = Ask { fields: &[("Accept", "application/json")], ..Ask::new(Method::Get, place, "the session") };
    let session = http.ask(&ask, async |mut answer| {
        let server = answer.server();
        let body = answer.body(SESSION_MAX).await?;
        let body = body.ok_or_else(|| {
            violation(format!("{server} has more than {} MiB, too many for a session", SESSION_MAX >> 20))
        })?;
        Ok(match serde_json::from_slice::<Value>(&body) {
            Ok(value) if Session::is_one(&value) => Session::read(answer.url().clone(), value),
            _ => Err(Error::protocol(format!("{server} is no session resource"))),
        })
    });
    session.await?
}

//! A JMAP server for tests, stricter than any real one. It is an own reading of the standards (RFC 8620, 8621, 9404,
//! 9553, 9610, 9661, 9670, the drafts of calendars and of files), so that client and server do not share a mistake.
//!
//! ```ignore
//! let server = Server::start(Options::default());
//! let inbox = server.seed("A1", "Mailbox", json!({"name": "Inbox", "role": "inbox"}));
//! server.seed_email("A1", &message(1), &[&inbox], &["$seen"], "2024-01-01T00:00:00Z");
//! server.fault(At::Call("Email/set"), When::Nth(2), Fault::CutAfter);
//! // … run the client against server.url() with alice:secret …
//! assert_eq!(server.objects("A1", "Email").len(), 1);
//! ```
//!
//! Whatever a client does that no correct client can do is a violation; a server with violations panics when it is
//! dropped. Errors that a correct client can meet (a name that exists, a blob that is gone) are none.

mod api;
mod blob;
mod calendars;
mod call;
mod contacts;
mod email;
mod faults;
mod files;
mod filter;
mod get;
pub(crate) mod http;
mod ijson;
pub(crate) mod line;
mod mailboxes;
mod options;
mod query;
mod record;
mod rules;
mod schema;
mod serve;
mod session;
mod set;
mod shape;
mod small;
mod snapshot;
mod store;
mod tables;

// Not every test needs all of them.
pub(crate) use self::{
    faults::{At, Fault, When},
    options::*,
    record::{Counters, Endpoint, Seen},
    schema::Kind,
    store::Account,
};

use crate::common::servers::Certificate;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// What changes while the server runs.
pub(crate) struct State {
    accounts: BTreeMap<String, Account>,
    faults: faults::Faults,
    record: record::Record,
    session_state: u64,
    /// How often each token was used.
    tokens: BTreeMap<String, u64>,
}

/// What all connections share.
struct Shared {
    options: Options,
    state: Mutex<State>,
    /// The port of the server, and the one that is another origin.
    ports: [u16; 2],
    has_ended: AtomicBool,
    tls: Option<Arc<rustls::ServerConfig>>,
}

impl Shared {
    /// The state. A thread that panicked while it had it has failed the test already.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("a lock")
    }

    /// An absolute URL. Certificates of tests are for `localhost`.
    fn url(&self, port: u16, path: &str) -> String {
        match self.tls {
            Some(_) => format!("https://localhost:{port}{path}"),
            None => format!("http://127.0.0.1:{port}{path}"),
        }
    }

    /// The port of this origin and that of the other one.
    fn ports_of(&self, is_elsewhere: bool) -> [u16; 2] {
        let [here, other] = self.ports;
        if is_elsewhere { [other, here] } else { [here, other] }
    }
}

/// The server; its threads end with it.
pub(crate) struct Server {
    shared: Arc<Shared>,
}

impl Server {
    /// Listens on two free ports of the loopback interface.
    pub(crate) fn start(options: Options) -> Server {
        Server::start_with(options, None)
    }

    /// The same with TLS: its URLs begin with `https://localhost`.
    pub(crate) fn start_tls(options: Options, certificate: &Certificate) -> Server {
        Server::start_with(options, Some(certificate.server_config()))
    }

    fn start_with(options: Options, tls: Option<Arc<rustls::ServerConfig>>) -> Server {
        let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
        let ports = [0, 1].map(|at| listeners[at].local_addr().expect("an address").port());
        let accounts =
            options.accounts.iter().map(|account| (account.id.clone(), Account::new(account.clone()))).collect();
        let state = State {
            accounts,
            faults: faults::Faults::new(options.seed),
            record: record::Record::default(),
            session_state: 1,
            tokens: BTreeMap::new(),
        };
        let shared =
            Arc::new(Shared { options, state: Mutex::new(state), ports, has_ended: AtomicBool::new(false), tls });
        for (at, listener) in listeners.into_iter().enumerate() {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || {
                for stream in listener.incoming() {
                    let Ok(stream) = stream else { return };
                    if shared.has_ended.load(Ordering::Relaxed) {
                        return;
                    }
                    let shared = Arc::clone(&shared);
                    // A client that hangs up in the middle is no failure.
                    std::thread::spawn(move || serve::converse(&shared, stream, at == 1).ok());
                }
            });
        }
        let server = Server { shared };
        for id in server.account_ids() {
            let me = json!({"id": "p-me", "type": "individual", "name": "Alice", "email": "alice@example.org"});
            server.seed(&id, "Principal", me);
            if server.account(&id, |account| account.options.is_furnished) {
                server.furnish(&id);
            }
        }
        server
    }

    /// `http://127.0.0.1:PORT`, or `https://localhost:PORT`.
    pub(crate) fn url(&self) -> String {
        self.shared.url(self.shared.ports[0], "")
    }

    /// The same server as another origin.
    pub(crate) fn other_url(&self) -> String {
        self.shared.url(self.shared.ports[1], "")
    }

    /// The port of `url`.
    pub(crate) fn port(&self) -> u16 {
        self.shared.ports[0]
    }

    /// What a new account has.
    fn furnish(&self, account: &str) {
        let inbox = self.seed(account, "Mailbox", json!({"name": "INBOX", "role": "inbox"}));
        let book = self.seed(account, "AddressBook", json!({"name": "Contacts", "isDefault": true}));
        let calendar = self.seed(account, "Calendar", json!({"name": "Calendar", "isDefault": true}));
        let address = self.account(account, |account| account.options.name.clone());
        self.seed(account, "Identity", json!({"name": "Alice", "email": address, "mayDelete": false}));
        for (kind, id, rights) in [
            ("Mailbox", inbox, &["mayDelete", "mayRename"][..]),
            ("AddressBook", book, &["mayDelete"]),
            ("Calendar", calendar, &["mayDelete"]),
        ] {
            self.change(account, kind, &id, |object| {
                for right in rights {
                    object["myRights"][*right] = json!(false);
                }
            });
        }
    }

    fn account_ids(&self) -> Vec<String> {
        self.shared.state().accounts.keys().cloned().collect()
    }

    /// Looks at an account, or changes it, while nobody else does.
    pub(crate) fn account<T>(&self, id: &str, look: impl FnOnce(&mut Account) -> T) -> T {
        look(self.shared.state().accounts.get_mut(id).unwrap_or_else(|| panic!("an account {id}")))
    }

    /// Stores an object without checking it, with all that a new object has by default. `id` may be given.
    pub(crate) fn seed(&self, account: &str, kind: &str, object: Value) -> String {
        let kind = Kind::named(kind).unwrap_or_else(|| panic!("a type {kind}"));
        let mut object = object.as_object().expect("an object").clone();
        store::complete(&self.shared.options, kind, &mut object);
        self.account(account, |account| {
            let id = match object.get("id").and_then(Value::as_str) {
                Some(id) => id.to_owned(),
                None => account.new_id(kind),
            };
            object.insert("id".to_owned(), json!(id));
            account.put(kind, &id, object.into());
            id
        })
    }

    /// Stores bytes.
    pub(crate) fn seed_blob(&self, account: &str, bytes: &[u8]) -> String {
        self.account(account, |account| account.put_blob(bytes.to_vec(), false))
    }

    /// Stores a message.
    pub(crate) fn seed_email(
        &self,
        account: &str,
        bytes: &[u8],
        mailboxes: &[&str],
        keywords: &[&str],
        at: &str,
    ) -> String {
        let set = |names: &[&str]| {
            names.iter().map(|name| ((*name).to_owned(), json!(true))).collect::<serde_json::Map<_, _>>()
        };
        let blob = self.seed_blob(account, bytes);
        let email = json!({"blobId": blob, "threadId": email::thread(bytes), "size": bytes.len(), "receivedAt": at,
            "mailboxIds": set(mailboxes), "keywords": set(keywords)});
        self.seed(account, "Email", email)
    }

    /// Stores a script.
    pub(crate) fn seed_script(&self, account: &str, name: &str, content: &[u8], is_active: bool) -> String {
        let blob = self.seed_blob(account, content);
        self.seed(account, "SieveScript", json!({"name": name, "blobId": blob, "isActive": is_active}))
    }

    /// Stores a file (or a directory, if there are no bytes).
    pub(crate) fn seed_file(&self, account: &str, parent: Option<&str>, name: &str, bytes: Option<&[u8]>) -> String {
        let node = match bytes {
            Some(bytes) => json!({"parentId": parent, "name": name, "nodeType": "file", "size": bytes.len(),
                "blobId": self.seed_blob(account, bytes), "type": "application/octet-stream"}),
            None => json!({"parentId": parent, "name": name, "nodeType": "directory"}),
        };
        self.seed(account, "FileNode", node)
    }

    /// Changes an object without checking it, as another client would.
    pub(crate) fn change(&self, account: &str, kind: &str, id: &str, change: impl FnOnce(&mut Value)) {
        let kind = Kind::named(kind).unwrap_or_else(|| panic!("a type {kind}"));
        self.account(account, |account| {
            let mut object = account.get(kind, id).unwrap_or_else(|| panic!("an object {id}")).clone();
            change(&mut object);
            account.put(kind, id, object);
        });
    }

    /// Removes an object, as another client would.
    pub(crate) fn remove(&self, account: &str, kind: &str, id: &str) {
        let kind = Kind::named(kind).unwrap_or_else(|| panic!("a type {kind}"));
        self.account(account, |account| account.remove(kind, id)).unwrap_or_else(|| panic!("an object {id}"));
    }

    /// An object as it is stored.
    pub(crate) fn object(&self, account: &str, kind: &str, id: &str) -> Option<Value> {
        self.objects(account, kind).remove(id)
    }

    /// All objects of a type.
    pub(crate) fn objects(&self, account: &str, kind: &str) -> BTreeMap<String, Value> {
        let kind = Kind::named(kind).unwrap_or_else(|| panic!("a type {kind}"));
        self.account(account, |account| account.table(kind).rows.clone())
    }

    /// The account as sorted lines of text without ids and times of the server: equal if two accounts hold the same.
    pub(crate) fn snapshot(&self, account: &str) -> Vec<String> {
        self.account(account, |account| snapshot::snapshot(account))
    }

    /// The state string of a type.
    pub(crate) fn state(&self, account: &str, kind: &str) -> String {
        let kind = Kind::named(kind).unwrap_or_else(|| panic!("a type {kind}"));
        self.account(account, |account| account.table(kind).state())
    }

    /// The bytes of a blob.
    pub(crate) fn blob(&self, account: &str, id: &str) -> Option<Vec<u8>> {
        self.account(account, |account| account.blobs.get(id).map(|blob| blob.bytes.to_vec()))
    }

    /// The bytes that an object refers to with `blobId`: an email, a script, a file.
    pub(crate) fn bytes(&self, account: &str, kind: &str, id: &str) -> Option<Vec<u8>> {
        let object = self.object(account, kind, id)?;
        self.blob(account, object["blobId"].as_str()?)
    }

    /// From now on nobody can calculate changes from the states that were given out.
    pub(crate) fn forget_changes(&self, account: &str, kind: &str) {
        let kind = Kind::named(kind).unwrap_or_else(|| panic!("a type {kind}"));
        self.account(account, |account| account.table_mut(kind).forget());
    }

    /// Lets something go wrong.
    pub(crate) fn fault(&self, at: At, when: When, fault: Fault) {
        self.shared.state().faults.add(at, when, fault);
    }

    /// Lets nothing go wrong any more.
    pub(crate) fn reset_faults(&self) {
        self.shared.state().faults.clear();
    }

    /// How often something went wrong.
    pub(crate) fn faults_happened(&self) -> u64 {
        self.shared.state().faults.happened
    }

    /// From now on objects may hold so many bytes of blobs.
    pub(crate) fn set_quota(&self, account: &str, quota: Option<u64>) {
        self.account(account, |account| account.options.quota = quota);
    }

    /// Changes an account of the session; the state of the session changes with it.
    pub(crate) fn change_session(&self, account: &str, change: impl FnOnce(&mut AccountOptions)) {
        self.account(account, |account| change(&mut account.options));
        self.shared.state().session_state += 1;
    }

    /// The counters.
    pub(crate) fn counters(&self) -> Counters {
        self.shared.state().record.counters.clone()
    }

    /// Counts from nothing.
    pub(crate) fn reset_counters(&self) {
        self.shared.state().record.counters = Counters::default();
    }

    /// All requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.state().record.seen.clone()
    }

    /// The requests with credentials to the other origin. No client sends them there because of a redirect.
    pub(crate) fn authorized_elsewhere(&self) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| seen.is_elsewhere && seen.authorization.is_some()).collect()
    }

    /// What clients did that no client may do, which is forgiven.
    pub(crate) fn take_violations(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.state().record.violations)
    }

    /// Fails if there are violations.
    pub(crate) fn assert_clean(&self) {
        let violations = self.take_violations();
        assert!(violations.is_empty(), "the client violates the protocol:\n{}", violations.join("\n"));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.has_ended.store(true, Ordering::Relaxed);
        for port in self.shared.ports {
            // Wakes the thread that listens.
            let _ = std::net::TcpStream::connect(("127.0.0.1", port));
        }
        if !std::thread::panicking() {
            self.assert_clean();
        }
    }
}

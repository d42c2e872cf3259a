//! The session resource (RFC 8620 section 2): where to ask what, for which accounts, within which limits.

use super::capability::{CORE, MAIL};
use super::error::{Error, Result};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use url::Url;

/// The limits of a server (RFC 8620 section 2, `urn:ietf:params:jmap:core`), as far as they can be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one upload.
    pub max_size_upload: u64,
    /// Uploads at one time.
    pub max_concurrent_upload: usize,
    /// Bytes of one request to the API.
    pub max_size_request: usize,
    /// Requests to the API at one time.
    pub max_concurrent_requests: usize,
    /// Method calls in one request.
    pub max_calls_in_request: usize,
    /// Objects that one `/get` may name.
    pub max_objects_in_get: usize,
    /// Objects that one `/set` may create, update and destroy, all together.
    pub max_objects_in_set: usize,
}

impl Limits {
    /// Reads the core capability. What is missing or no number gets the least value that RFC 8620 suggests to servers;
    /// what is zero is one, or nothing could be asked at all; what is huge is what this program can make use of.
    fn read(core: Option<&Value>) -> Limits {
        let number = |name: &str, default: u64, most: u64| {
            let said = core.and_then(|core| core.get(name)).and_then(|value| match value {
                // Some servers write 4.0 or 1e7.
                Value::Number(number) => number.as_u64().or_else(|| number.as_f64().map(|number| number as u64)),
                _ => None,
            });
            said.unwrap_or(default).clamp(1, most)
        };
        Limits {
            max_size_upload: number("maxSizeUpload", 50_000_000, u64::MAX),
            max_concurrent_upload: number("maxConcurrentUpload", 4, 16) as usize,
            // Less than this holds no call of any use.
            max_size_request: number("maxSizeRequest", 10_000_000, 64 << 20).max(4096) as usize,
            max_concurrent_requests: number("maxConcurrentRequests", 4, 16) as usize,
            max_calls_in_request: number("maxCallsInRequest", 16, 256) as usize,
            max_objects_in_get: number("maxObjectsInGet", 500, 4096) as usize,
            max_objects_in_set: number("maxObjectsInSet", 500, 4096) as usize,
        }
    }
}

/// An account as the session names it.
#[derive(Debug, Clone, PartialEq)]
pub struct AccountInfo {
    /// What method calls name it by (`accountId`).
    pub id: String,
    /// What people know it by; mostly an address.
    pub name: String,
    /// It belongs to the user, and is not one that others share.
    pub is_personal: bool,
    /// Nothing in it can be changed.
    pub is_read_only: bool,
    /// `accountCapabilities`, by URI.
    pub capabilities: Map<String, Value>,
}

/// A session resource, understood.
#[derive(Debug, Clone)]
pub struct Session {
    /// Where it was read from, after all redirects: what relative URLs are relative to.
    pub url: Url,
    /// Where method calls go, as the server wrote it.
    pub api_url: String,
    /// A template for [`Client::upload`](super::Client::upload), as the server wrote it.
    pub upload_url: String,
    /// A template for [`Client::download`](super::Client::download), as the server wrote it.
    pub download_url: String,
    /// How much may be asked at once.
    pub limits: Limits,
    /// By URI.
    pub capabilities: Map<String, Value>,
    /// All that the user may see, also those of others.
    pub accounts: Vec<AccountInfo>,
    /// Account id by capability.
    pub primary_accounts: BTreeMap<String, String>,
    /// The login name by the server's word; empty if it has none.
    pub username: String,
    /// Changes whenever something else of the session does.
    pub state: String,
}

impl Session {
    /// True if this can be a session resource at all, so that no other place is looked at.
    pub(super) fn is_one(value: &Value) -> bool {
        let has = |name: &str, is: fn(&Value) -> bool| value.get(name).is_some_and(is);
        has("apiUrl", Value::is_string) && has("accounts", Value::is_object) && has("capabilities", Value::is_object)
    }

    pub(super) fn read(url: Url, mut value: Value) -> Result<Session> {
        let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let lacks = |what: &str| Error::protocol(format!("its session at {url} has no {what}"));
        let Some(Value::Object(capabilities)) = value.get_mut("capabilities").map(Value::take) else {
            return Err(lacks("capabilities"));
        };
        let Some(Value::Object(accounts)) = value.get_mut("accounts").map(Value::take) else {
            return Err(lacks("accounts"));
        };
        let accounts = accounts.into_iter().map(|(id, mut account)| {
            let flag = |name: &str| account.get(name).and_then(Value::as_bool).unwrap_or_default();
            AccountInfo {
                name: text(&account, "name"),
                is_personal: flag("isPersonal"),
                is_read_only: flag("isReadOnly"),
                capabilities: match account.get_mut("accountCapabilities").map(Value::take) {
                    Some(Value::Object(capabilities)) => capabilities,
                    // Without them nothing of the account could be used: then those of the server count.
                    _ => capabilities.clone(),
                },
                id,
            }
        });
        let accounts: Vec<AccountInfo> = accounts.collect();
        let api_url = text(&value, "apiUrl");
        if api_url.is_empty() {
            return Err(lacks("apiUrl"));
        }
        let primary = value.get("primaryAccounts").and_then(Value::as_object);
        Ok(Session {
            api_url,
            upload_url: text(&value, "uploadUrl"),
            download_url: text(&value, "downloadUrl"),
            limits: Limits::read(capabilities.get(CORE)),
            capabilities,
            accounts,
            primary_accounts: primary
                .into_iter()
                .flatten()
                .filter_map(|(uri, id)| Some((uri.clone(), id.as_str()?.to_owned())))
                .collect(),
            username: text(&value, "username"),
            state: text(&value, "state"),
            url,
        })
    }

    /// True if the server has this capability.
    pub fn offers(&self, capability: &str) -> bool {
        self.capabilities.contains_key(capability)
    }

    /// The account with this id.
    pub fn account(&self, id: &str) -> Option<&AccountInfo> {
        self.accounts.iter().find(|account| account.id == id)
    }

    /// The account with this name: exactly, else whatever the case of its letters, if there is only one. The name of the
    /// user who logs in, as he wrote it (`login`) or as the server calls him, is that of his primary account.
    pub(super) fn account_named(&self, name: &str, login: &str) -> Option<&AccountInfo> {
        let same = |one: &str| one.to_lowercase() == name.to_lowercase();
        if let Some(exact) = self.accounts.iter().find(|account| account.name == name) {
            return Some(exact);
        }
        let mut similar = self.accounts.iter().filter(|account| same(&account.name));
        if let Some(only) = similar.next().filter(|_| similar.next().is_none()) {
            return Some(only);
        }
        if !same(&self.username) && !same(login) {
            return None;
        }
        let primary = self.primary_accounts.get(MAIL).or_else(|| self.primary_accounts.values().next());
        primary.and_then(|id| self.account(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn session(value: Value) -> Result<Session> {
        Session::read(Url::parse("https://jmap.example.com/session").expect("a URL"), value)
    }

    #[test]
    fn limits_that_are_missing_or_make_no_sense() {
        let limits = Limits::read(None);
        assert_eq!(
            (limits.max_calls_in_request, limits.max_objects_in_get, limits.max_size_request),
            (16, 500, 10_000_000)
        );
        let odd = json!({
            "maxSizeUpload": "5", "maxConcurrentUpload": 0, "maxSizeRequest": 1, "maxConcurrentRequests": 1e9,
            "maxCallsInRequest": -3, "maxObjectsInGet": 20.0, "maxObjectsInSet": u64::MAX,
        });
        let limits = Limits::read(Some(&odd));
        assert_eq!(
            (limits.max_size_upload, limits.max_concurrent_upload, limits.max_size_request),
            (50_000_000, 1, 4096)
        );
        assert_eq!((limits.max_concurrent_requests, limits.max_calls_in_request), (16, 1));
        assert_eq!((limits.max_objects_in_get, limits.max_objects_in_set), (20, 4096));
    }

    #[test]
    fn accounts_by_name() {
        let read = session(json!({
            "apiUrl": "/jmap/", "capabilities": {}, "username": "ALICE", "state": "1",
            "accounts": { "a": { "name": "alice@example.org", "accountCapabilities": { MAIL: {} } }, "b": { "name": "Bob" } },
            "primaryAccounts": { MAIL: "a", "x": 3 },
        }))
        .expect("a session");
        let id = |name: &str| read.account_named(name, "al@example.org").map(|account| account.id.as_str());
        assert_eq!(
            (id("alice@example.org"), id("bob"), id("alice"), id("AL@example.org"), id("carol")),
            (Some("a"), Some("b"), Some("a"), Some("a"), None)
        );
        for broken in [json!({}), json!([]), json!({ "apiUrl": 1, "accounts": {}, "capabilities": {} }), json!("x")] {
            assert!(!Session::is_one(&broken));
            assert!(session(broken).is_err());
        }
    }
}

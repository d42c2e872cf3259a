//! The session resource: RFC 8620 section 2, and what each capability adds to it.

use super::options::*;
use serde_json::{Map, Value, json};

/// What an account says about a capability.
pub(super) fn account_capability(account: &AccountOptions, name: &str) -> Value {
    let mut capability = match name {
        MAIL => json!({"maxMailboxesPerEmail": null, "maxMailboxDepth": 10, "maxSizeMailboxName": 255,
            "maxSizeAttachmentsPerEmail": 50_000_000, "emailQuerySortOptions": ["receivedAt", "size"],
            "mayCreateTopLevelMailbox": true}),
        SUBMISSION => json!({"maxDelayedSend": 0, "submissionExtensions": {}}),
        SIEVE => json!({"maxSizeScriptName": 512, "maxSizeScript": 100_000, "maxNumberScripts": 100,
            "maxNumberRedirects": null, "sieveExtensions": ["fileinto", "vacation", "copy", "imap4flags", "mailbox"],
            "notificationMethods": null, "externalLists": null}),
        CONTACTS => json!({"maxAddressBooksPerCard": null, "mayCreateAddressBook": true}),
        CALENDARS => json!({"maxCalendarsPerEvent": null, "minDateTime": "0001-01-01T00:00:00Z",
            "maxDateTime": "9999-12-31T23:59:59Z", "maxExpandedQueryDuration": "P365D",
            "maxParticipantsPerEvent": 500, "mayCreateCalendar": true}),
        PRINCIPALS => json!({"currentUserPrincipalId": "p-me"}),
        OWNER => json!({"accountIdForPrincipal": account.id, "principalId": "p-me"}),
        FILENODE => json!({"maxFileNodeDepth": 50, "maxSizeFileNodeName": 255, "forbiddenNameChars": "/<>:\"\\|?*",
            "forbiddenNodeNames": [".", "..", "CON", "PRN", "AUX", "NUL"], "caseInsensitiveNames": false,
            "fileNodeQuerySortOptions": ["name", "type", "size", "created", "modified", "nodeType"],
            "mayCreateTopLevelFileNode": true, "webTrashUrl": null, "webUrlTemplate": null,
            "webWriteUrlTemplate": null}),
        BLOB => json!({"maxSizeBlobSet": 1_000_000, "maxDataSources": 64, "supportedTypeNames": ["Email", "FileNode"],
            "supportedDigestAlgorithms": ["sha", "sha-256", "sha-512"]}),
        _ => json!({}),
    };
    for (changed, values) in &account.changed_capabilities {
        for (key, value) in values.as_object().filter(|_| *changed == name).into_iter().flatten() {
            capability[key] = value.clone();
        }
    }
    capability
}

/// The capabilities that may stand in `using`: "as keys on the *capabilities* property". That of the owner "does not
/// appear in the JMAP Session capabilities" (RFC 9670 section 1.5.2).
pub(super) fn capabilities(options: &Options) -> Vec<&'static str> {
    let mut names = vec![CORE];
    for name in options.accounts.iter().flat_map(|account| &account.capabilities) {
        if *name != OWNER && !names.contains(name) {
            names.push(name);
        }
    }
    names
}

/// The session object. `absolute` makes an URL of this origin (0) or of the other one (1).
pub(super) fn session(
    options: &Options,
    absolute: impl Fn(usize, &str) -> String,
    state: u64,
    username: &str,
) -> Value {
    let mut all = Map::new();
    for name in capabilities(options) {
        let value = match name {
            CORE => core(options),
            SIEVE => json!({"implementation": "a server of a test"}),
            _ => json!({}),
        };
        all.insert(name.to_owned(), value);
    }
    let mut accounts = Map::new();
    let mut primary = Map::new();
    for account in &options.accounts {
        let capabilities: Map<String, Value> =
            account.capabilities.iter().map(|name| ((*name).to_owned(), account_capability(account, name))).collect();
        for name in &account.capabilities {
            if account.is_personal && !primary.contains_key(*name) && *name != OWNER {
                primary.insert((*name).to_owned(), account.id.clone().into());
            }
        }
        let value = json!({"name": account.name, "isPersonal": account.is_personal, "isReadOnly": account.is_read_only,
            "accountCapabilities": capabilities});
        accounts.insert(account.id.clone(), value);
    }
    let url = |place: Place, path: &str| match place {
        Place::Here => absolute(0, path),
        Place::Relative => path.to_owned(),
        Place::Elsewhere => absolute(1, path),
    };
    let mut session = json!({"capabilities": all, "accounts": accounts, "primaryAccounts": primary, "username": username,
        "apiUrl": url(options.api_url, "/api/"),
        "downloadUrl": url(options.download_url, "/download/{accountId}/{blobId}/{name}?accept={type}"),
        "uploadUrl": url(options.upload_url, "/upload/{accountId}/"),
        "eventSourceUrl": url(Place::Here, "/events/?types={types}&closeafter={closeafter}&ping={ping}"),
        "state": session_state(state)});
    merge(&mut session, &options.session_patch);
    session
}

/// A JSON merge patch, RFC 7396.
fn merge(value: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *value = patch.clone();
        return;
    };
    if !value.is_object() {
        *value = json!({});
    }
    let object = value.as_object_mut().expect("an object");
    for (name, patch) in patch {
        match patch {
            Value::Null => _ = object.remove(name),
            patch => merge(object.entry(name.clone()).or_insert(Value::Null), patch),
        }
    }
}

/// The state of the session, which every response of the API repeats.
pub(super) fn session_state(state: u64) -> String {
    format!("session-{state:x}")
}

fn core(options: &Options) -> Value {
    let mut core = json!({"collationAlgorithms": ["i;unicode-casemap"]});
    if let Some(limits) = options.believed() {
        for (name, limit) in [
            ("maxSizeUpload", limits.max_size_upload),
            ("maxConcurrentUpload", limits.max_concurrent_upload),
            ("maxSizeRequest", limits.max_size_request),
            ("maxConcurrentRequests", limits.max_concurrent_requests),
            ("maxCallsInRequest", limits.max_calls_in_request),
            ("maxObjectsInGet", limits.max_objects_in_get),
            ("maxObjectsInSet", limits.max_objects_in_set),
        ] {
            core[name] = limit.into();
        }
    }
    core
}

//! Rules of Mailbox and Email: RFC 8621 sections 2 and 4.

use super::call::{Call, SetError};
use super::options::MAIL;
use super::schema::Kind;
use super::session::account_capability;
use super::shape::is_net_unicode;
use super::store::{Account, keys};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

pub(super) const RIGHTS: [&str; 9] = [
    "mayReadItems",
    "mayAddItems",
    "mayRemoveItems",
    "maySetSeen",
    "maySetKeywords",
    "mayCreateChild",
    "mayRename",
    "mayDelete",
    "maySubmit",
];

pub(super) const COUNTS: [&str; 4] = ["totalEmails", "unreadEmails", "totalThreads", "unreadThreads"];

/// "The value MUST be one of the Mailbox attribute names listed in the IANA IMAP Mailbox Name Attributes registry …
/// converted to lowercase": those that are a purpose.
const ROLES: [&str; 13] = [
    "all",
    "archive",
    "drafts",
    "flagged",
    "important",
    "inbox",
    "junk",
    "memos",
    "scheduled",
    "sent",
    "snoozed",
    "subscribed",
    "trash",
];

/// Checks a mailbox.
pub(super) fn check(call: &mut Call, old: Option<&Value>, new: &mut Map<String, Value>) -> Result<(), SetError> {
    let capability = account_capability(&call.account.options, MAIL);
    let id = new["id"].as_str().expect("an id").to_owned();
    let name = new["name"].as_str().expect("it was checked").to_owned();
    if !is_net_unicode(&name) {
        return Err(SetError::property("name", format!("{name:?} is no Net-Unicode string of at least 1 character")));
    }
    if name.len() as u64 > capability["maxSizeMailboxName"].as_u64().unwrap_or(u64::MAX) {
        return Err(SetError::property("name", format!("{} octets are more than maxSizeMailboxName", name.len())));
    }
    if let Some(letter) = name.chars().find(|letter| call.options.forbidden_in_mailboxes.contains(*letter)) {
        return Err(SetError::conflict("invalidProperties", "name", format!("no name may have {letter:?}")).at_once());
    }
    sort_order(new)?;
    parent(call, old, new, &capability["maxMailboxDepth"])?;
    if new["parentId"].is_null()
        && old.is_none_or(|old| !old["parentId"].is_null())
        && capability["mayCreateTopLevelMailbox"] == Value::Bool(false)
    {
        return Err(SetError::new("forbidden", "mayCreateTopLevelMailbox is false"));
    }
    if old.is_some_and(|old| old["name"] != new["name"] || old["parentId"] != new["parentId"]) {
        call.may(Kind::Mailbox, &id, "mayRename")?;
    }
    if old.is_none_or(|old| old["parentId"] != new["parentId"])
        && let Some(parent) = new["parentId"].as_str()
    {
        call.may(Kind::Mailbox, parent, "mayCreateChild")?;
    }
    if let Some(role) = new["role"].as_str()
        && !ROLES.contains(&role)
    {
        return Err(SetError::property("role", format!("{role:?} is no role of the registry, in lower case")));
    }
    for (other, row) in &call.account.table(Kind::Mailbox).rows {
        if *other == id || call.ignored.contains(other) {
            continue;
        }
        // "There MUST NOT be two sibling Mailboxes with both the same parent and the same name."
        if row["parentId"] == new["parentId"] && row["name"] == new["name"] {
            return Err(SetError::conflict("invalidProperties", "name", format!("{other} has the name {name:?}")));
        }
        // "there MUST NOT be two Mailboxes in the same account with the same role".
        if !row["role"].is_null() && row["role"] == new["role"] {
            return Err(SetError::conflict(
                "invalidProperties",
                "role",
                format!("{other} has the role {}", row["role"]),
            ));
        }
    }
    Ok(())
}

/// "The number MUST be an integer in the range 0 <= sortOrder < 2^31."
pub(super) fn sort_order(new: &Map<String, Value>) -> Result<(), SetError> {
    match new["sortOrder"].as_u64().is_some_and(|order| order < 1 << 31) {
        true => Ok(()),
        false => Err(SetError::property("sortOrder", "it is not below 2^31")),
    }
}

/// Checks the parent of a Mailbox or a FileNode: it exists, there is no loop, and the tree is not too deep.
pub(super) fn parent(
    call: &Call,
    old: Option<&Value>,
    new: &Map<String, Value>,
    deepest: &Value,
) -> Result<(), SetError> {
    let Some(parent) = new["parentId"].as_str() else { return Ok(()) };
    if call.account.get(call.kind, parent).is_none() {
        return Err(SetError::conflict("invalidProperties", "parentId", format!("there is no {parent}")));
    }
    let ancestors = call.account.ancestors(call.kind, &new["parentId"]);
    if new["id"].as_str().is_some_and(|id| ancestors.iter().any(|ancestor| ancestor == id)) {
        return Err(SetError::property("parentId", "it would be inside of itself"));
    }
    let below = old.map_or(0, |old| height(call.account, call.kind, old["id"].as_str().expect("an id")));
    if let Some(deepest) = deepest.as_u64()
        && (ancestors.len() + 1 + below) as u64 > deepest
    {
        return Err(SetError::property("parentId", format!("the tree would be deeper than {deepest}")));
    }
    Ok(())
}

fn height(account: &Account, kind: Kind, id: &str) -> usize {
    let children = account.table(kind).rows.iter().filter(|(_, row)| row["parentId"] == json!(id));
    children.map(|(child, _)| 1 + height(account, kind, child)).max().unwrap_or(0)
}

/// Fills in the counts of RFC 8621 section 2.
pub(super) fn count(account: &Account, mailbox: &mut Map<String, Value>) {
    let id = mailbox["id"].as_str().expect("an id").to_owned();
    let emails = account.table(Kind::Email).rows.values().filter(|email| email["mailboxIds"].get(&id).is_some());
    let (mut total, mut unread) = (0, 0);
    let (mut threads, mut unread_threads) = (BTreeSet::new(), BTreeSet::new());
    for email in emails {
        total += 1;
        threads.insert(email["threadId"].to_string());
        if email["keywords"].get("$seen").is_none() && email["keywords"].get("$draft").is_none() {
            unread += 1;
            unread_threads.insert(email["threadId"].to_string());
        }
    }
    for (name, value) in COUNTS.into_iter().zip([total, unread, threads.len(), unread_threads.len()]) {
        mailbox.insert(name.to_owned(), json!(value));
    }
}

/// Destroys a mailbox, if it may be.
pub(super) fn destroy(call: &mut Call, id: &str) -> Result<(), SetError> {
    call.may(Kind::Mailbox, id, "mayDelete")?;
    if call.account.table(Kind::Mailbox).rows.values().any(|row| row["parentId"] == json!(id)) {
        return Err(SetError { is_deferrable: true, ..SetError::new("mailboxHasChild", "it has a child") });
    }
    let emails = call.account.members(Kind::Email, "mailboxIds", id);
    if !emails.is_empty() && call.arguments.get("onDestroyRemoveEmails") != Some(&Value::Bool(true)) {
        return Err(SetError::new("mailboxHasEmail", format!("it has {} emails", emails.len())));
    }
    for email in emails {
        call.account.take_out(Kind::Email, "mailboxIds", &email, id);
    }
    Ok(())
}

/// Checks the mailboxes and keywords of an email: of an update, or of an import.
pub(super) fn check_email(call: &mut Call, old: Option<&Value>, new: &mut Map<String, Value>) -> Result<(), SetError> {
    let capability = account_capability(&call.account.options, MAIL);
    let (before, after): (BTreeSet<String>, BTreeSet<String>) =
        (old.map(|old| keys(&old["mailboxIds"]).collect()).unwrap_or_default(), keys(&new["mailboxIds"]).collect());
    if after.len() as u64 > capability["maxMailboxesPerEmail"].as_u64().unwrap_or(u64::MAX) {
        let error = SetError::new("tooManyMailboxes", format!("{} mailboxes are too many", after.len()));
        return Err(SetError { is_blame: true, ..error });
    }
    for mailbox in &after {
        if call.account.get(Kind::Mailbox, mailbox).is_none() {
            let error = SetError::conflict("invalidProperties", "mailboxIds", format!("there is no mailbox {mailbox}"));
            return Err(error.at_once());
        }
    }
    for added in after.difference(&before) {
        call.may(Kind::Mailbox, added, "mayAddItems")?;
    }
    for removed in before.difference(&after) {
        call.may(Kind::Mailbox, removed, "mayRemoveItems")?;
    }
    // "Because JSON is case sensitive, servers MUST return keywords in lowercase."
    let keywords: Map<String, Value> =
        keys(&new["keywords"]).map(|keyword| (keyword.to_ascii_lowercase(), Value::Bool(true))).collect();
    if let Some(old) = old {
        let has = |keywords: &Value, word: &str| keywords.get(word).is_some();
        let lower = json!(keywords);
        for keyword in keys(&old["keywords"]).chain(keys(&lower)) {
            if has(&old["keywords"], &keyword) != has(&lower, &keyword) {
                let right = if keyword == "$seen" { "maySetSeen" } else { "maySetKeywords" };
                for mailbox in &before {
                    call.may(Kind::Mailbox, mailbox, right)?;
                }
            }
        }
    }
    if keys(&new["keywords"]).any(|keyword| !keywords.contains_key(&keyword))
        || new["keywords"].as_object().map(Map::len) != Some(keywords.len())
    {
        new.insert("keywords".to_owned(), keywords.into());
    }
    Ok(())
}

/// Destroys an email, if its mailboxes allow.
pub(super) fn destroy_email(call: &mut Call, id: &str) -> Result<(), SetError> {
    let mailboxes: Vec<String> = keys(&call.account.get(Kind::Email, id).expect("it is there")["mailboxIds"]).collect();
    mailboxes.iter().try_for_each(|mailbox| call.may(Kind::Mailbox, mailbox, "mayRemoveItems"))
}

//! The same account at another address: which source of the archive it was, and the proof that it is.
//!
//! `--same-account` says that an archive's account has moved: to another server, another port, from `imap:` to `imaps:`, to
//! another directory. What is listed at the new address is compared with what is known of the old one. If most of it is
//! there under the same names, and the Message-IDs of a sample agree, the archive's source gets the new address, and the
//! run goes on like any other: nothing is stored twice.

use super::options::ImportOptions;
use super::survey::{Survey, Work};
use crate::archive::OriginIndex;
use crate::error::{Error, ErrorKind, Result};
use crate::format::mail::{self, MessageMatch};
use crate::model::{Entry, FetchedItem, ItemData, ObjectType, SourceIdent};
use crate::source::Source;

/// The source of the archive that `ident` was before the account moved; `None` if the options and the address say
/// nothing of a move.
///
/// Without `--same-account` an address that differs only in whether TLS comes first (`imap:` and `imaps:` of one host and
/// one user), or only in what stands behind the host (`https://host/` and `https://host/jmap/session`), is taken for the same
/// account, if it can be proved.
pub(super) fn former(
    ident: &SourceIdent,
    ledger: &dyn OriginIndex,
    options: &ImportOptions,
) -> Result<Option<SourceIdent>> {
    let sources = ledger.sources_of(ident.kind)?;
    let is_known = |one: &SourceIdent| one.session_url == ident.session_url && one.account_id == ident.account_id;
    if options.allow_source_change || sources.iter().any(is_known) {
        return Ok(None);
    }
    if let Some(twin) = sources.iter().find(|one| one.account_id == ident.account_id && is_twin(one, ident)) {
        return Ok(Some(twin.clone()));
    }
    if !options.same_account {
        return Ok(None);
    }
    let same_user = sources.iter().rfind(|one| one.account_id == ident.account_id);
    let same_name = || sources.iter().rfind(|one| one.account_name == ident.account_name);
    Ok(same_user.or_else(same_name).or(sources.last()).cloned())
}

/// True if two addresses are one host, with and without TLS from the start or with another path.
fn is_twin(one: &SourceIdent, other: &SourceIdent) -> bool {
    let host = |url: &str| {
        let (scheme, rest) = url.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        let plain = scheme.strip_suffix('s').unwrap_or(&scheme).to_owned();
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        // The port differs as the scheme does.
        let host = match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => authority,
        };
        Some((plain, host.to_ascii_lowercase(), (scheme, authority.to_ascii_lowercase())))
    };
    match (host(&one.session_url), host(&other.session_url)) {
        (Some((plain, host, scheme)), Some((other_plain, other_host, other_scheme))) => {
            // With one scheme two ports are two servers.
            let is_one_server = scheme.0 != other_scheme.0 || scheme.1 == other_scheme.1;
            !host.is_empty() && plain == other_plain && host == other_host && is_one_server
        }
        _ => false,
    }
}

/// Proves that what was listed is the account `former`.
///
/// Errors: [`ErrorKind::SourceChanged`], with what differs.
pub(super) fn prove(
    survey: &Survey,
    former: &SourceIdent,
    source: &mut dyn Source,
    ledger: &dyn OriginIndex,
) -> Result<()> {
    let ident = source.ident().clone();
    let other = |why: String| {
        Error::new(
            ErrorKind::SourceChanged,
            format!(
                "the account at {} is another account than the one at {}: {why}",
                ident.session_url, former.session_url
            ),
        )
        .hint("nothing was changed. Check the address and the user; --allow-source-change imports a second copy of everything")
    };
    if source.promises().has_lasting_account_id && ident.account_id != former.account_id {
        return Err(other(format!("its account id is {} and not {}", ident.account_id, former.account_id)));
    }
    let (known, found) = survey.recognised();
    if known == 0 && !is_twin(former, &ident) {
        return Err(other("the archive's current state has none of its objects, so it cannot be compared".to_owned()));
    }
    if found * 2 < known {
        let by = source.promises().recognised_by;
        return Err(other(format!("only {found} of {known} objects are there {by}")));
    }
    for work in survey.works.iter().filter(|work| !work.plan.sample.is_empty()) {
        let differs = match work.scope.kind {
            ObjectType::Email => other_message_id(work, source, ledger)?,
            kind if source.promises().lists_only_ids.contains(&kind) => other_uid(work, source, ledger)?,
            _ => None,
        };
        if let Some(differs) = differs {
            return Err(other(differs));
        }
    }
    Ok(())
}

/// The first message of a sample that has another Message-ID than the one that is known under its name.
fn other_message_id(work: &Work, source: &mut dyn Source, ledger: &dyn OriginIndex) -> Result<Option<String>> {
    let entries: Vec<Entry> = work.plan.sample.iter().map(|(entry, _)| entry.clone()).collect();
    let heads = source.message_ids(&work.scope, &entries)?;
    for ((entry, row), head) in work.plan.sample.iter().zip(heads) {
        let Some(head) = head else { continue };
        let here = MessageMatch::parse(&mail::summary(&head).message_match).message_ids;
        let known = ledger.message_match(*row)?.unwrap_or_default().message_ids;
        if here != known {
            return Ok(Some(format!("{} has another Message-ID", source.position(&work.scope, entry))));
        }
    }
    Ok(None)
}

/// The first card or event of a sample that has another uid than the one that is known under its id.
fn other_uid(work: &Work, source: &mut dyn Source, ledger: &dyn OriginIndex) -> Result<Option<String>> {
    let kind = work.scope.kind;
    let entries: Vec<Entry> = work.plan.sample.iter().map(|(entry, _)| entry.clone()).collect();
    let items: Vec<FetchedItem> = source.fetch(&work.scope, entries)?.flatten().collect();
    for item in items {
        let (ItemData::JsCard { uid, .. } | ItemData::JsEvent { uid, .. }) = &item.data else { continue };
        let found = work.plan.sample.iter().find(|(entry, _)| entry.key == item.key);
        let Some((entry, row)) = found else { continue };
        // A card whose uid another card of the archive had has a mark behind its own.
        let is_known = ledger.uid(kind, *row)?.is_some_and(|known| known.starts_with(uid.as_str()));
        if !is_known {
            return Ok(Some(format!("{} has another uid", source.position(&work.scope, entry))));
        }
    }
    Ok(None)
}

/// The note of the report about an account that moved.
pub(super) fn words(former: &SourceIdent, ident: &SourceIdent) -> String {
    format!("the account moved from {} to {}; it is the same one", former.session_url, ident.session_url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_host_with_and_without_tls() {
        let ident = |url: &str| SourceIdent {
            kind: "test",
            session_url: url.to_owned(),
            account_id: "alice".to_owned(),
            account_name: None,
            username: "alice".to_owned(),
        };
        for (one, other, expected) in [
            ("imap://Mail.example.com:143", "imaps://mail.example.com:993", true),
            ("sieve://[::1]:4190", "sieves://[::1]:4190", true),
            ("https://a.example/jmap", "http://a.example", true),
            ("imaps://a.example:993", "imaps://a.example:1993", false),
            ("imaps://a.example:993", "imap://b.example:143", false),
            ("/home/a/Maildir", "/home/b/Maildir", false),
        ] {
            assert_eq!(is_twin(&ident(one), &ident(other)), expected, "{one} {other}");
        }
    }
}

//! What a server's answer means for an object.

use crate::error::Result;
use crate::model::ObjectType;
use crate::protocol::jmap::{self, MethodError, capability};
use crate::sink::Outcome;

/// What the server says when it refuses an object.
pub(crate) fn reason(error: &MethodError) -> String {
    let mut text = error.kind.clone();
    if !error.properties.is_empty() {
        text.push_str(&format!(" ({})", error.properties.join(", ")));
    }
    if let Some(description) = &error.description {
        text.push_str(&format!(": {description}"));
    }
    text
}

/// True for an error that leaves open what was done, or that time heals (RFC 8620 section 3.6.2). An error of all
/// objects of a batch may be the fault of one of them: then a smaller batch shows which.
pub(crate) fn is_open(error: &MethodError, count: usize) -> bool {
    match error.kind.as_str() {
        "serverUnavailable" | "rateLimit" | "serverPartialFail" | "serverFail" | "stateMismatch" => true,
        "invalidArguments" | "notRequest" | "limit" => count > 1,
        _ => false,
    }
}

/// The outcome of an object that the server refused (RFC 8620 section 5.3).
pub(crate) fn refused(error: &MethodError) -> Outcome {
    match error.kind.as_str() {
        "alreadyExists" => Outcome::Exists(error.existing.clone(), reason(error)),
        // RFC 9610 and the draft of calendars have no word for a uid that the account has already.
        "invalidProperties" if error.properties.iter().all(|name| name == "uid") && !error.properties.is_empty() => {
            Outcome::Exists(error.existing.clone(), reason(error))
        }
        "overQuota" => Outcome::Full(reason(error)),
        "rateLimit" | "serverUnavailable" | "serverFail" | "serverPartialFail" => Outcome::Unknown(reason(error)),
        _ => Outcome::Refused(reason(error)),
    }
}

/// Does pieces of work, `width` of them at a time, and tells what became of the objects in each; ends with the first
/// error.
pub(crate) async fn tell_in_order<F: Future<Output = Result<Vec<(usize, Outcome)>>>>(
    width: usize,
    work: impl IntoIterator<Item = F>,
    told: &mut dyn FnMut(usize, Outcome),
) -> Result<()> {
    let mut failed = None;
    jmap::in_order(width, work, |outcomes| match outcomes {
        Ok(outcomes) => {
            outcomes.into_iter().for_each(|(at, outcome)| told(at, outcome));
            true
        }
        Err(error) => {
            failed = Some(error);
            false
        }
    })
    .await;
    failed.map_or(Ok(()), Err)
}

/// The capability that a type belongs to.
pub(crate) fn capability_of(kind: ObjectType) -> &'static str {
    match kind {
        ObjectType::Mailbox | ObjectType::Email => capability::MAIL,
        // RFC 8621 section 6.
        ObjectType::Identity => capability::SUBMISSION,
        ObjectType::VacationResponse => capability::VACATION,
        ObjectType::SieveScript => capability::SIEVE,
        ObjectType::AddressBook | ObjectType::ContactCard => capability::CONTACTS,
        ObjectType::Calendar | ObjectType::CalendarEvent | ObjectType::ParticipantIdentity => capability::CALENDARS,
        ObjectType::FileNode => capability::FILENODE,
    }
}

//! Changes at a server: several at once, and what becomes of each.

use crate::error::{Error, ErrorKind, Result};
use crate::net::parallel::in_order;
use crate::protocol::dav::{Client, Written};
use crate::sink::{BlobProvider, BlobRef, Content, Outcome, opened};
use std::future::Future;

/// What is said of an object that is not what it was when it was looked at.
const CHANGED: &str = "somebody changed it at the server during the run";

/// Makes changes, so many at once, and tells what became of each.
pub(super) async fn make(
    client: &Client,
    width: usize,
    work: impl Iterator<Item: Future<Output = (usize, Result<Outcome>)>>,
    told: &mut dyn FnMut(usize, Outcome),
) -> Result<()> {
    let (mut lost, mut is_doubtful) = (None, false);
    in_order(width, work, |(at, outcome)| {
        match outcome {
            Ok(outcome) => {
                is_doubtful = matches!(outcome, Outcome::Unknown(_));
                told(at, outcome);
            }
            Err(error) => lost = Some(error),
        }
        lost.is_none()
    })
    .await;
    match lost {
        Some(error) => Err(error),
        None if is_doubtful && !client.is_well().await => {
            Err(Error::new(ErrorKind::Connection, "the server does not answer any more"))
        }
        None => Ok(()),
    }
}

/// The outcome of a change of what has this id.
pub(super) fn outcome(written: Written, id: String) -> Outcome {
    match written {
        Written::Done => Outcome::Done(id, None),
        Written::Conflict(why) => Outcome::Exists(None, format!("the server has something of its name ({why})")),
        // Not for good: who locked it lets it go.
        Written::Refused(why) if why.starts_with("423") => Outcome::Full(format!("it is locked at the server: {why}")),
        Written::Refused(why) => Outcome::Refused(why),
        Written::Full(why) => Outcome::Full(why),
        Written::Unknown(why) => Outcome::Unknown(why),
    }
}

/// The outcome of a change of what had to be as it was when it was looked at.
pub(super) fn changed(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Exists(_, why) => Outcome::Full(format!("{CHANGED}: {why}")),
        other => other,
    }
}

/// The bytes of an object, or what becomes of it without them.
pub(super) fn content_of(
    blob: Option<BlobRef>,
    supply: &dyn BlobProvider,
) -> Result<std::result::Result<(BlobRef, Content), Outcome>> {
    let Some(blob) = blob else {
        return Ok(Err(Outcome::Refused("its bytes are missing in the archive".to_owned())));
    };
    Ok(opened(supply, blob)?.map(|content| (blob, content)).map_err(Outcome::Refused))
}

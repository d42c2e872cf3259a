//! Changes of mailboxes and messages, other than new messages.

use super::append::{Appended, appended};
use super::client::{Client, Event};
use super::command::Command;
use super::error::{Error, Fault, Result};
use super::refusal::Purpose;
use super::response::StatusResponse;
use super::select::Selected;
use super::set::{LONGEST, UidSet};
use super::wire::Transport;
use crate::net::sanitize::said;

/// What flags a message gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// These, and no others.
    Exactly,
    /// These as well.
    Also,
}

/// What became of messages that were to be copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Copied {
    /// These were; the others are not in the open mailbox any more.
    Done(UidSet),
    /// The server says that it is done, and not of which (no COPYUID).
    Untold,
    /// None was, for this reason.
    Not(Appended),
}

impl<S: Transport> Client<S> {
    /// Puts messages of the open mailbox into another one as well, with flags and dates (RFC 9051 section 6.4.7): all that are
    /// still there, or none.
    ///
    /// # Errors
    /// Those that concern the connection. Then it is not known whether they were copied.
    pub async fn copy(&mut self, uids: &UidSet, raw: &[u8]) -> Result<Copied> {
        let Some(text) = uids.texts(LONGEST).into_iter().next() else { return Ok(Copied::Done(UidSet::new())) };
        self.wire.doing = format!("copying messages to {}", said(raw));
        let command = Command::new(format!("UID COPY {text}")).string(raw, self.is_utf8);
        let done = self.run(command, uids.len(), |_, _| Ok(())).await?;
        Ok(match (done.outcome, done.code.as_str(), done.values.as_slice()) {
            (StatusResponse::Ok, "COPYUID", [_, from, _]) => Copied::Done(UidSet::parse(from.as_bytes())),
            (StatusResponse::Ok, ..) => Copied::Untold,
            _ => Copied::Not(appended(&done)?),
        })
    }

    /// Makes a mailbox (RFC 9051 section 6.3.4), with a special use (`\Sent`) where the server has CREATE-SPECIAL-USE (RFC
    /// 6154 section 3).
    pub async fn create(&mut self, raw: &[u8], special_use: Option<&str>) -> Result<()> {
        let has_use = self.capabilities().await?.has("CREATE-SPECIAL-USE");
        let special_use = special_use.filter(|_| has_use).map(|name| format!(" (USE ({name}))")).unwrap_or_default();
        let command = Command::new("CREATE").string(raw, self.is_utf8).raw(&special_use);
        self.do_it(command, &format!("the server refused to make the mailbox {}", said(raw))).await
    }

    /// Why the server takes no mailbox of this name, as far as it says so when it is asked for its state; nothing is changed.
    pub async fn name_refusal(&mut self, raw: &[u8]) -> Result<Option<String>> {
        self.wire.doing = format!("asking about the name {}", said(raw));
        let command = Command::new("STATUS").string(raw, self.is_utf8).raw(" (MESSAGES)");
        let done = self.run(command, 0, |_, _| Ok(())).await?;
        let words = done.reason().to_ascii_lowercase();
        let is_about_name =
            done.code == "CANNOT" || ["not allowed", "invalid", "illegal"].iter().any(|word| words.contains(word));
        Ok((done.outcome == StatusResponse::No && is_about_name).then(|| done.reason()))
    }

    /// Removes a mailbox with all that is in it (RFC 9051 section 6.3.5).
    pub async fn delete(&mut self, raw: &[u8]) -> Result<()> {
        let command = Command::new("DELETE").string(raw, self.is_utf8);
        self.do_it(command, &format!("the server refused to remove the mailbox {}", said(raw))).await
    }

    /// Lets clients show a mailbox, or not (RFC 9051 sections 6.3.7 and 6.3.8).
    pub async fn subscribe(&mut self, raw: &[u8], is_subscribed: bool) -> Result<()> {
        let word = if is_subscribed { "SUBSCRIBE" } else { "UNSUBSCRIBE" };
        let command = Command::new(word).string(raw, self.is_utf8);
        self.do_it(command, &format!("the server refused {word} of {}", said(raw))).await
    }

    /// Opens a mailbox to change messages in it (RFC 9051 section 6.3.2).
    pub async fn select(&mut self, raw: &[u8]) -> Result<Selected> {
        self.open_name = said(raw);
        self.wire.doing = format!("opening {}", self.open_name);
        let mut selected = Selected { raw: raw.to_vec(), ..Selected::default() };
        let command = Command::new("SELECT").string(raw, self.is_utf8);
        let done = self
            .run(command, 0, |_, event| {
                if let Event::Said(said) = event {
                    selected.take_code(&said);
                }
                Ok(())
            })
            .await?;
        self.ok(done, Purpose::Other, "the server refused to open the mailbox for changes")?;
        Ok(selected)
    }

    /// Gives messages of the open mailbox flags (RFC 9051 section 6.4.6).
    pub async fn store(&mut self, uids: &UidSet, flags: &[String], store: Store) -> Result<()> {
        let sign = if store == Store::Also { "+" } else { "" };
        for text in uids.texts(LONGEST) {
            let command = Command::new(format!("UID STORE {text} {sign}FLAGS.SILENT ({})", flags.join(" ")));
            self.do_it(command, "the server refused other flags").await?;
        }
        Ok(())
    }

    /// Removes just these messages of the open mailbox (UIDPLUS, RFC 4315 section 2.1).
    ///
    /// # Errors
    /// [`Fault::Unsupported`] without UIDPLUS: EXPUNGE would remove what others have marked.
    pub async fn expunge(&mut self, uids: &UidSet) -> Result<()> {
        if !self.capabilities().await?.has("UIDPLUS") {
            let what = "the server has no UIDPLUS, so messages that others have marked as deleted would go, too";
            return Err(Error::new(Fault::Unsupported, what));
        }
        self.store(uids, &["\\Deleted".to_owned()], Store::Also).await?;
        for text in uids.texts(LONGEST) {
            self.do_it(Command::new(format!("UID EXPUNGE {text}")), "the server refused to remove messages").await?;
        }
        Ok(())
    }

    async fn do_it(&mut self, command: Command, what: &str) -> Result<()> {
        // An answer to STORE or EXPUNGE may have a line for each message.
        let done = self.run(command, 1 << 20, |_, _| Ok(())).await?;
        match done.outcome {
            StatusResponse::Ok => Ok(()),
            // Waiting makes no room.
            _ if done.code == "OVERQUOTA" => Err(Error::new(Fault::Refused, format!("{what}: {}", done.reason()))),
            _ => Err(done.error(Purpose::Other, what)),
        }
    }
}

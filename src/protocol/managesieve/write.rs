//! The commands that change the scripts of an account (RFC 5804 sections 2.5 to 2.10).

use super::client::{Client, Outcome, Status};
use super::wire::string;
use crate::error::Result;

/// What the server says to a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is done; perhaps with a warning about the script (section 1.3, WARNINGS).
    Done(Option<String>),
    /// There is a script of that name already (ALREADYEXISTS).
    Exists(String),
    /// There is no script of that name (NONEXISTENT).
    Gone(String),
    /// The account has no room for it (QUOTA and its kin).
    Full(String),
    /// It is not possible, for this reason: a script that the server cannot run, the active script removed.
    Refused(String),
}

impl Client {
    /// Stores a script, in the place of another one of its name if there is one (sections 2.5 and 2.6). The server checks it
    /// first: one that it cannot run changes nothing.
    pub async fn put_script(&mut self, name: &[u8], script: &[u8]) -> Result<Answer> {
        match self.have_space(name, script).await? {
            Answer::Done(_) => {}
            other => return Ok(other),
        }
        let literal = format!(" {{{}+}}\r\n", script.len());
        let put = [b"PUTSCRIPT ".as_slice(), &string(name), literal.as_bytes(), script, b"\r\n"].concat();
        self.change(&put, "PUTSCRIPT").await
    }

    /// Says what [`Client::put_script`] would, and changes nothing: whether there is room, and whether the server can run the
    /// script (section 2.12), where it knows all of RFC 5804.
    pub async fn check_script(&mut self, name: &[u8], script: &[u8]) -> Result<Answer> {
        match self.have_space(name, script).await? {
            Answer::Done(_) if self.capabilities.has_version => {}
            other => return Ok(other),
        }
        let check = [format!("CHECKSCRIPT {{{}+}}\r\n", script.len()).as_bytes(), script, b"\r\n"].concat();
        self.change(&check, "CHECKSCRIPT").await
    }

    /// Asks whether there is room for a script (section 2.5).
    async fn have_space(&mut self, name: &[u8], script: &[u8]) -> Result<Answer> {
        let room = [b"HAVESPACE ".as_slice(), &string(name), format!(" {}\r\n", script.len()).as_bytes()].concat();
        Ok(match self.change(&room, "HAVESPACE").await? {
            Answer::Refused(why) => Answer::Full(why),
            other => other,
        })
    }

    /// Makes a script the active one (section 2.8); without a name none is.
    pub async fn set_active(&mut self, name: Option<&[u8]>) -> Result<Answer> {
        let command = [b"SETACTIVE ".as_slice(), &string(name.unwrap_or_default()), b"\r\n"].concat();
        self.change(&command, "SETACTIVE").await
    }

    /// Removes a script (section 2.10). The active one stays.
    pub async fn delete_script(&mut self, name: &[u8]) -> Result<Answer> {
        let command = [b"DELETESCRIPT ".as_slice(), &string(name), b"\r\n"].concat();
        self.change(&command, "DELETESCRIPT").await
    }

    async fn change(&mut self, command: &[u8], shown: &str) -> Result<Answer> {
        self.send(command, shown).await?;
        let status = self.response().await?;
        let Status { outcome, code, text, .. } = &status;
        match (outcome, code.as_str()) {
            (Outcome::Ok, "WARNINGS") => Ok(Answer::Done(Some(text.clone()))),
            (Outcome::Ok, _) => Ok(Answer::Done(None)),
            (Outcome::Bye, _) => Err(self.bye(&status)),
            (Outcome::No, "TRYLATER" | "REFERRAL") => Err(self.refused(&shown.to_lowercase(), &status)),
            (Outcome::No, "ALREADYEXISTS") => Ok(Answer::Exists(text.clone())),
            (Outcome::No, "NONEXISTENT") => Ok(Answer::Gone(text.clone())),
            (Outcome::No, code) if code.starts_with("QUOTA") => Ok(Answer::Full(text.clone())),
            (Outcome::No, _) => Ok(Answer::Refused(text.clone())),
        }
    }
}

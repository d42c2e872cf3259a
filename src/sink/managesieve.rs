//! The Sieve scripts of an account on a server of ManageSieve (RFC 5804).
//!
//! A script is recognised by its bytes and its name, and its name is its id. The server checks each script before it stores
//! it, and which one is active is said last, when all of them are there.

use super::{
    BlobProvider, BlobRef, Change, Detail, Draft, Filing, NoDraft, Outcome, Patch, Remote, RemoteEmail, Sink,
    StoredItem, opened,
};
use crate::error::{Error, Result};
use crate::format::jmap::{name, text};
use crate::model::objects::Properties;
use crate::model::{Digest, ObjectType};
use crate::net::account::Account;
use crate::net::runtime::Runtime;
use crate::net::sanitize::said;
use crate::protocol::managesieve::{Answer, Client, Fetched, Script, Session};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The most octets of a name that every server takes (section 1.7).
const NAME_MAX: usize = 512;

/// The most bytes of one script.
const SCRIPT_MAX: u64 = 64 << 20;

/// The scripts of one account.
pub struct ManageSieve {
    runtime: Runtime,
    session: Session,
    user: String,
    /// Names that the server showed and this sink has no text for.
    strange: Vec<String>,
}

impl ManageSieve {
    /// Logs in, so that a wrong password shows before anything is planned.
    ///
    /// Errors: those of the login.
    pub fn open(account: Account) -> Result<ManageSieve> {
        let user = account.credentials.user().to_owned();
        let runtime = Runtime::new(Arc::clone(&account.stop))?;
        let mut session = Session::new(account);
        runtime.run(session.list_scripts())?;
        Ok(ManageSieve { runtime, session, user, strange: Vec::new() })
    }

    /// A script that the server has.
    fn remote(&mut self, script: Script) -> Result<Option<Remote>> {
        let Ok(name) = String::from_utf8(script.name.clone()) else {
            self.strange.push(said(&script.name));
            return Ok(None);
        };
        let bytes = match self.runtime.run(self.session.get_script(&script.name))? {
            Fetched::Script(bytes) => Some(bytes),
            Fetched::Gone => return Ok(None),
            // It has the name all the same.
            Fetched::Refused(_) => None,
        };
        Ok(Some(Remote {
            id: name.clone(),
            key: bytes.map(|bytes| Digest::of(&bytes).hex()).unwrap_or_default(),
            label: said(name.as_bytes()),
            name,
            is_chosen: Some(script.is_active),
            is_kept: script.is_active,
            ..Remote::default()
        }))
    }

    /// Stores a script, or only asks whether the server would.
    fn put(
        &mut self,
        name: &str,
        blob: Option<BlobRef>,
        supply: &dyn BlobProvider,
        is_question: bool,
    ) -> Result<Outcome> {
        let Some(blob) = blob else { return Ok(Outcome::Refused("its bytes are missing in the archive".to_owned())) };
        let content = match opened(supply, blob)? {
            Ok(content) if content.size() > SCRIPT_MAX => {
                return Ok(Outcome::Refused(format!("a script of {} bytes is none", content.size())));
            }
            Ok(content) => content,
            Err(why) => return Ok(Outcome::Refused(why)),
        };
        let bytes = content.whole().map_err(|error| Error::io("cannot read back a script", error))?;
        self.change(name, async |client| match is_question {
            true => client.check_script(name.as_bytes(), &bytes).await,
            false => client.put_script(name.as_bytes(), &bytes).await,
        })
    }

    fn change(&mut self, name: &str, question: impl AsyncFnMut(&mut Client) -> Result<Answer>) -> Result<Outcome> {
        let answer = self.runtime.run(self.session.change(question));
        Ok(match answer {
            Ok(Answer::Done(warning)) => Outcome::Done(name.to_owned(), warning),
            Ok(Answer::Exists(why)) => Outcome::Exists(Some(name.to_owned()), why),
            Ok(Answer::Gone(why) | Answer::Refused(why)) => Outcome::Refused(why),
            Ok(Answer::Full(why)) => Outcome::Full(why),
            // It may have been done before the line broke: the export looks again.
            Err(error) if error.is_transient() => Outcome::Unknown(error.to_string()),
            Err(error) => return Err(error),
        })
    }
}

impl Sink for ManageSieve {
    fn name(&self) -> String {
        self.user.clone()
    }

    fn source_kind(&self) -> &'static str {
        "managesieve"
    }

    fn lacks(&self, kind: ObjectType) -> Option<String> {
        (kind != ObjectType::SieveScript).then(|| "a server of ManageSieve has Sieve scripts only".to_owned())
    }

    fn filing(&self) -> Filing {
        Filing::Once
    }

    fn prepare(&mut self, _: &[ObjectType]) -> Result<()> {
        Ok(())
    }

    fn draft(&self, item: &StoredItem<'_>) -> std::result::Result<Draft, NoDraft> {
        let Properties::SieveScript(script) = &item.properties else {
            let reason = "a server of ManageSieve has Sieve scripts only".to_owned();
            return Err(NoDraft::Unplaced { reason, label: format!("row {}", item.row) });
        };
        let mut draft = self.container(ObjectType::SieveScript, &script.name);
        draft.key = item.digest.map(|digest| digest.hex()).unwrap_or_default();
        draft.is_chosen = script.is_active;
        draft.blob = item.blob;
        Ok(draft)
    }

    fn container(&self, _: ObjectType, text: &str) -> Draft {
        let label = name(text, NAME_MAX, "unnamed");
        let body = [("name".to_owned(), json!(label))].into_iter().collect();
        Draft { key: label.clone(), raw: text.to_owned(), label, body, ..Draft::default() }
    }

    fn keyword(&self, _: &str) -> Option<String> {
        None
    }

    fn expect(&mut self, _: u64) {}

    fn objects(&mut self, kind: ObjectType, _: Detail) -> Result<(Vec<Remote>, bool)> {
        if kind != ObjectType::SieveScript {
            return Ok((Vec::new(), true));
        }
        self.strange.clear();
        let listed = self.runtime.run(self.session.list_scripts())?;
        let mut remotes = Vec::with_capacity(listed.len());
        for script in listed {
            remotes.extend(self.remote(script)?);
        }
        Ok((remotes, self.strange.is_empty()))
    }

    fn look_inside(&mut self, _: &mut [Remote], _: &[usize]) -> Result<()> {
        Ok(())
    }

    fn difference(
        &self,
        _: ObjectType,
        ours: &Draft,
        _: Option<Vec<String>>,
        theirs: &Remote,
        _: &dyn BlobProvider,
    ) -> Patch {
        Patch { blob: ours.blob.filter(|_| ours.key != theirs.key), ..Patch::default() }
    }

    fn check(&mut self, _: ObjectType, ours: &Draft, supply: &dyn BlobProvider) -> Result<Option<Outcome>> {
        self.put(text(&ours.body, "name"), ours.blob, supply, true).map(Some)
    }

    fn has_strangers(&mut self, _: ObjectType) -> Result<bool> {
        // A name is there once, whoever wrote it.
        Ok(false)
    }

    fn rest(&mut self, _: ObjectType) -> Result<()> {
        Ok(())
    }

    fn emails(&mut self, _: Option<&BTreeSet<String>>) -> Result<(Vec<RemoteEmail>, bool)> {
        Ok((Vec::new(), true))
    }

    fn headers(&mut self, _: &[String]) -> Result<Vec<(String, Vec<u8>)>> {
        Ok(Vec::new())
    }

    fn write(
        &mut self,
        _: ObjectType,
        changes: &mut dyn Iterator<Item = (usize, Change)>,
        _: usize,
        supply: &dyn BlobProvider,
        told: &mut dyn FnMut(usize, Outcome),
    ) -> Result<()> {
        for (at, change) in changes {
            let outcome = match change {
                Change::Create(body, blob, _) => self.put(text(&body, "name"), blob, supply, false)?,
                Change::Update(name, patch) => self.put(&name, patch.blob, supply, false)?,
                Change::Destroy(name) => {
                    self.change(&name, async |client| client.delete_script(name.as_bytes()).await)?
                }
                Change::CreateEmail(_) | Change::UpdateEmail(..) => {
                    Outcome::Refused("a server of ManageSieve has no mail".to_owned())
                }
            };
            told(at, outcome);
        }
        Ok(())
    }

    fn choose(&mut self, _: ObjectType, id: Option<&str>) -> Result<std::result::Result<(), String>> {
        let name = id.unwrap_or_default();
        let outcome = self.change(name, async |client| client.set_active(id.map(str::as_bytes)).await)?;
        Ok(match outcome {
            Outcome::Done(..) | Outcome::Copied(_) => Ok(()),
            Outcome::Same(why)
            | Outcome::Exists(_, why)
            | Outcome::Refused(why)
            | Outcome::Kept(why)
            | Outcome::Full(why)
            | Outcome::Unknown(why) => Err(why),
        })
    }
}

impl Drop for ManageSieve {
    fn drop(&mut self) {
        let ManageSieve { runtime, session, .. } = self;
        let _ = runtime.run(async {
            session.close().await;
            Ok(())
        });
    }
}

//! The Sieve scripts of an account, read with ManageSieve (RFC 5804).
//!
//! The protocol tells no revision of a script, so all of them are read each time: they are few and small. That happens
//! when the source is opened, so a server that cannot be reached ends the run with the archive untouched. A script that the server names and does not hand over is listed all the same, and fails when it is fetched: it is reported by
//! its name, what the archive has of it stays, and the next run asks again.

use super::{Cursors, DuplicateRule, Failure, Items, Listing, Promises, Scope, Source, UnlistedItems};
use crate::error::{Error, ErrorKind, Result};
use crate::model::container::Container;
use crate::model::{Attrs, Body, Digest, Entry, FetchedItem, ItemData, ObjectType, SkipKind, SkippedItem, SourceIdent};
use crate::net::account::Account;
use crate::net::runtime::Runtime;
use crate::net::sanitize::said;
use crate::protocol::managesieve::{Fetched, Script, Session};
use std::collections::HashSet;
use std::sync::Arc;

/// Scripts in a row over which a server may break off before it is taken for lost.
const IN_A_ROW: u32 = 8;

/// The key of the only scope.
const SCOPE: &str = "sieve";

/// Bytes of scripts that are kept from the listing to the fetch; what is beyond them is asked for once more.
const KEPT_MAX: usize = 16 << 20;

/// The scripts of one account on one server.
pub struct ManageSieve {
    ident: SourceIdent,
    runtime: Runtime,
    session: Session,
    scripts: Vec<ListedScript>,
    twins: Vec<SkippedItem>,
}

/// A script as the listing found it.
struct ListedScript {
    name: Vec<u8>,
    is_active: bool,
    key: String,
    state: ScriptState,
}

enum ScriptState {
    Read(Digest, Option<Vec<u8>>),
    Failed(String),
}

impl ManageSieve {
    /// Logs in and reads all scripts.
    pub fn open(account: Account) -> Result<ManageSieve> {
        let user = account.credentials.user().to_owned();
        let mut source = ManageSieve {
            ident: SourceIdent {
                kind: "managesieve",
                session_url: account.connector.endpoint().origin.clone(),
                account_id: user.clone(),
                account_name: Some(user.clone()),
                username: user,
            },
            runtime: Runtime::new(Arc::clone(&account.stop))?,
            session: Session::new(account),
            scripts: Vec::new(),
            twins: Vec::new(),
        };
        source.look()?;
        Ok(source)
    }

    fn is_well(&mut self) -> bool {
        let ManageSieve { runtime, session, .. } = self;
        runtime.run(async { Ok(session.is_well().await) }).unwrap_or_default()
    }

    fn look(&mut self) -> Result<()> {
        let listed = self.runtime.run(self.session.list_scripts())?;
        let (mut seen, mut kept, mut in_a_row) = (HashSet::new(), 0, 0);
        let mut has_active = false;
        for Script { name, is_active } in listed {
            let key = readable(&name);
            if !seen.insert(key.clone()) {
                self.twins.push(SkippedItem {
                    kind: ObjectType::SieveScript,
                    reason: "listed twice".to_owned(),
                    position: said(&name),
                    outcome: SkipKind::Duplicate,
                });
                continue;
            }
            let state = match self.runtime.run(self.session.get_script(&name)) {
                Ok(Fetched::Script(bytes)) => {
                    let digest = Digest::of(&bytes);
                    let fits = kept + bytes.len() <= KEPT_MAX;
                    kept += if fits { bytes.len() } else { 0 };
                    ScriptState::Read(digest, fits.then_some(bytes))
                }
                Ok(Fetched::Gone) => continue,
                Ok(Fetched::Refused(why)) => ScriptState::Failed(why),
                // One script may be what the server breaks off at. If it lets us in again, the others may come.
                Err(error) if error.kind == ErrorKind::Connection && in_a_row < IN_A_ROW && self.is_well() => {
                    in_a_row += 1;
                    ScriptState::Failed(format!("the server breaks off when it is asked for this script: {error}"))
                }
                Err(error) => return Err(error),
            };
            in_a_row = if matches!(state, ScriptState::Failed(_)) { in_a_row } else { 0 };
            // There is at most one (section 2.8).
            let is_active = is_active && !has_active;
            has_active |= is_active;
            self.scripts.push(ListedScript { name, is_active, key, state });
        }
        Ok(())
    }
}

/// A name as a key: itself, or if it is no UTF-8 something like it that no other name has.
fn readable(name: &[u8]) -> String {
    match std::str::from_utf8(name) {
        Ok(name) => name.to_owned(),
        Err(_) => format!("{}#{}", String::from_utf8_lossy(name), &Digest::of(name).hex()[..8]),
    }
}

impl Source for ManageSieve {
    fn ident(&self) -> &SourceIdent {
        &self.ident
    }

    fn promises(&self) -> Promises {
        Promises {
            join: DuplicateRule::Never,
            is_additive: false,
            cursors: Cursors::Stamp,
            has_lasting_account_id: false,
            lists_only_ids: &[],
            recognised_by: "with the same name and the same bytes",
        }
    }

    fn is_whole(&self, _listing: &Listing) -> bool {
        true
    }

    fn hides(&self, _kind: ObjectType, _key: &str) -> bool {
        false
    }

    fn names_containers(&self, _kind: ObjectType) -> bool {
        true
    }

    fn scopes(&mut self) -> Result<(Vec<Scope>, Vec<Container>)> {
        Ok((vec![Scope { key: SCOPE.to_owned(), kind: ObjectType::SieveScript, selected: true }], Vec::new()))
    }

    fn list(&mut self, _scope: &Scope, _cursor: &str) -> Result<Listing> {
        let entry = |(at, found): (usize, &ListedScript)| Entry {
            key: found.key.as_str().into(),
            rev: match &found.state {
                // Being active is no attribute of items in general, so it is a part of the revision.
                ScriptState::Read(digest, _) => {
                    format!("{}{}", digest.hex(), if found.is_active { "+" } else { "" }).into()
                }
                ScriptState::Failed(_) => "failed".into(),
            },
            locator: at.to_string().into(),
            attrs: Arc::new(Attrs::none(ObjectType::SieveScript)),
        };
        Ok(Listing {
            entries: self.scripts.iter().enumerate().map(entry).collect(),
            omissions: self.twins.clone(),
            unnamed: UnlistedItems::Gone,
            ..Listing::default()
        })
    }

    fn fetch<'a>(&'a mut self, _scope: &Scope, entries: Vec<Entry>) -> Result<Items<'a>> {
        let ManageSieve { runtime, session, scripts, .. } = self;
        Ok(Box::new(entries.into_iter().map(move |entry| {
            let failure = |vanished, error| Failure { key: entry.key.clone(), vanished, error };
            let refused = |why: &str| failure(false, Error::new(ErrorKind::Connection, why));
            let found = entry.locator.parse().ok().and_then(|at: usize| scripts.get_mut(at));
            let Some(found) = found else { return Err(refused("not listed")) };
            let bytes = match &mut found.state {
                ScriptState::Failed(why) => return Err(refused(why)),
                ScriptState::Read(_, Some(bytes)) => std::mem::take(bytes),
                ScriptState::Read(_, None) => match runtime.run(session.get_script(&found.name)) {
                    Ok(Fetched::Script(bytes)) => bytes,
                    Ok(Fetched::Gone) => return Err(failure(true, Error::new(ErrorKind::Connection, "gone"))),
                    Ok(Fetched::Refused(why)) => return Err(refused(&why)),
                    Err(error) => return Err(failure(false, error)),
                },
            };
            let data = ItemData::Script { name: found.key.clone(), is_active: found.is_active };
            Ok(FetchedItem { key: entry.key, body: Body::Bytes(bytes), data })
        })))
    }

    fn position(&self, _scope: &Scope, entry: &Entry) -> String {
        said(entry.key.as_bytes())
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

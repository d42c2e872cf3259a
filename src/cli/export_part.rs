//! Which part of an archive an export writes.

use super::args::tree_path;
use super::by_id::moment_of;
use super::opened::tree_at;
use crate::archive::{Moment, Reader, SnapshotSpec};
use crate::error::{Error, ErrorKind, Result};
use crate::export::Selection;
use crate::model::object_id::ObjectId;
use crate::model::{ObjectType, typed_time};
use clap::builder::NonEmptyStringValueParser;
use clap::{Arg, Args};
use std::ffi::OsString;
use std::sync::Arc;

/// What mail is.
pub(super) const MAIL: [ObjectType; 2] = [ObjectType::Mailbox, ObjectType::Email];

/// What calendars are.
pub(super) const CALENDARS: [ObjectType; 2] = [ObjectType::Calendar, ObjectType::CalendarEvent];

/// What contacts are.
pub(super) const CONTACTS: [ObjectType; 2] = [ObjectType::AddressBook, ObjectType::ContactCard];

/// What files are.
pub(super) const FILES: [ObjectType; 1] = [ObjectType::FileNode];

/// What scripts are.
pub(super) const SCRIPTS: [ObjectType; 1] = [ObjectType::SieveScript];

/// Says of `--objects` what a command can write.
pub(super) fn types_help(kinds: &'static [ObjectType]) -> impl FnOnce(Arg) -> Arg {
    let tokens: Vec<&str> = kinds.iter().map(|kind| kind.token()).collect();
    let help = format!("Export only these types, separated by commas: {}", tokens.join(", "));
    move |arg| arg.help(help)
}

/// Which part of the archive.
#[derive(Args)]
#[command(next_help_heading = "What to export")]
pub(super) struct Part {
    /// Export only these types, separated by commas: mailbox, email, identity, sievescript, addressbook, contactcard,
    /// calendar, calendarevent, participantidentity, filenode, vacationresponse
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = super::import::parse_kind)]
    objects: Option<Vec<ObjectType>>,
    /// Export only what is at this path of the tree, e.g. 'mail/INBOX/**' (may be repeated)
    #[arg(long, value_name = "PATH")]
    path: Vec<OsString>,
    /// Export only the object with this id, which 'find' shows (m943), at the newest snapshot that has it unless --at says
    /// otherwise (may be repeated)
    #[arg(long, visible_alias = "id", value_name = "ID")]
    message: Vec<ObjectId>,
    /// Put everything into a new folder with this name
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(super) into: Option<String>,
    /// Only messages received, events starting and files changed on this day or later, or from this time on
    #[arg(long, value_name = "DATE", value_parser = parse_date)]
    since: Option<i64>,
    /// Only those before this day or time
    #[arg(long, value_name = "DATE", value_parser = parse_date)]
    until: Option<i64>,
}

/// The first second of a day or a time.
fn parse_date(text: &str) -> Result<i64, String> {
    let period = typed_time::parse(text).ok_or("neither a day like 2026-11-21 nor a time like '2026-11-21 18:30'")?;
    Ok(period.first)
}

impl Part {
    /// The moment to export: where ids are given, the newest one that has all of these objects.
    pub(super) fn moment(&self, reader: &Reader, at: SnapshotSpec) -> Result<Moment> {
        if self.message.is_empty() { reader.resolve(at) } else { moment_of(reader, &self.message, at) }
    }

    /// The selection. `kinds` are the types that the target has.
    pub(super) fn selection(&self, reader: &Arc<Reader>, moment: Moment, kinds: &[ObjectType]) -> Result<Selection> {
        if let (Some(since), Some(until)) = (self.since, self.until)
            && since >= until
        {
            return Err(Error::new(ErrorKind::Usage, "--since is not before --until, so nothing lies between them")
                .hint("--until names the first day that is left out"));
        }
        let wanted = self.objects.as_deref().unwrap_or(kinds);
        if let Some(kind) = wanted.iter().find(|kind| !kinds.contains(kind)) {
            let tokens: Vec<&str> = kinds.iter().map(|kind| kind.token()).collect();
            let what = format!("--objects {}: this command writes {} only", kind.token(), tokens.join(" and "));
            return Err(Error::new(ErrorKind::Usage, what));
        }
        if let Some(id) = self.message.iter().find(|id| !wanted.contains(&id.kind)) {
            let tokens: Vec<&str> = wanted.iter().map(|kind| kind.token()).collect();
            let what = format!("{id} is a {}: this command writes {} only", id.kind.token(), tokens.join(" and "));
            return Err(Error::new(ErrorKind::Usage, what));
        }
        let picks = if self.path.is_empty() && self.message.is_empty() {
            None
        } else {
            let tree = tree_at(reader, moment)?;
            let mut own = Vec::new();
            for id in &self.message {
                own.extend(tree.paths_of(id.kind, id.id)?);
            }
            let mut paths: Vec<&str> = self.path.iter().map(|path| tree_path(path)).collect::<Result<_>>()?;
            paths.extend(own.iter().map(String::as_str));
            if let Some(path) = paths.iter().find(|path| path.trim_start_matches('/').starts_with(".snapshots")) {
                let rest = path.trim_start_matches('/').splitn(3, '/').nth(2).unwrap_or("mail/…");
                let what = format!("{path}: use --at, not a path, to choose an older state");
                return Err(Error::new(ErrorKind::Usage, what)
                    .hint(format!("write --at SNAPSHOT --path '{rest}'; 'vandelay snapshots' lists them")));
            }
            Some(tree.select(paths.into_iter())?)
        };
        Ok(Selection {
            kinds: (wanted.len() < ObjectType::ALL.len()).then(|| wanted.iter().copied().collect()),
            picks,
            since: self.since,
            until: self.until,
            into: self.into.clone(),
        })
    }
}

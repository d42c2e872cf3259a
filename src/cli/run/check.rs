//! `vandelay run --check`: logs in everywhere, and says what would be read.

use super::account::guarded;
use super::config::Account;
use crate::archive::Reader;
use crate::cli::import::ImportSource;
use crate::cli::opened::warn_of_incomplete;
use crate::cli::ui::{Ui, interrupt_flag, quoted};
use crate::error::{Error, ErrorKind, Result};
use std::path::Path;
use std::slice;
use std::sync::atomic::Ordering;

/// How many names of folders are shown.
const SHOWN: usize = 8;

/// What a source has to read.
pub(super) struct Checked {
    pub(super) account: String,
    pub(super) source: String,
    /// The names of its folders or lists.
    pub(super) result: Result<Vec<String>>,
}

/// Tries each source of an account.
pub(super) fn check(account: Account, ui: &Ui) -> Vec<Checked> {
    let ui = ui.about(&account.name);
    let mut checked = Vec::new();
    let mut place = |source: &str, result: Result<()>| {
        if let Err(error) = result {
            checked.push(Checked { account: account.name.clone(), source: source.to_owned(), result: Err(error) });
        }
    };
    place("archive", archive_can_be_there(&account.archive));
    if let Some(copies) = &account.copies {
        place("copies", copies.made_before().map(drop));
    }
    for source in account.sources {
        let ui = ui.about(&source.name);
        let result = guarded(|| scopes(source.import, &ui));
        result.iter().for_each(|names| ui.detail(&names.join("\n")));
        checked.push(Checked { account: account.name.clone(), source: source.name, result });
    }
    for (name, error) in checked.iter().filter_map(|one| Some((&one.source, one.result.as_ref().err()?))) {
        ui.about(name).failed(error);
    }
    checked
}

/// An error unless the archive is there, or can be made.
fn archive_can_be_there(archive: &Path) -> Result<()> {
    if archive.exists() {
        return Reader::open(archive).map(drop);
    }
    let folder = archive.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if folder.is_dir() {
        return Ok(());
    }
    let folder = folder.display().to_string();
    Err(Error::new(ErrorKind::Storage, format!("there is no folder {folder} for the archive"))
        .hint(format!("mkdir -p {}, or mount the disk that it lies on", quoted(&folder))))
}

fn scopes(import: ImportSource, ui: &Ui) -> Result<Vec<String>> {
    if interrupt_flag().load(Ordering::Relaxed) {
        return Err(Error::new(ErrorKind::Interrupted, "interrupted"));
    }
    let opened = import.open(ui)?;
    warn_of_incomplete(slice::from_ref(&opened.archive), ui);
    let mut source = opened.source;
    let (scopes, _) = source.scopes()?;
    let selected: Vec<String> = scopes.iter().filter(|scope| scope.selected).map(|scope| source.name(scope)).collect();
    match source.why_empty() {
        Some(error) if scopes.is_empty() => Err(error),
        _ => Ok(selected),
    }
}

/// `14 to read: INBOX, Sent, …`
pub(super) fn words(names: &[String]) -> String {
    let shown = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = if names.len() > SHOWN { ", …" } else { "" };
    if names.is_empty() { "nothing to read".to_owned() } else { format!("{} to read: {shown}{more}", names.len()) }
}

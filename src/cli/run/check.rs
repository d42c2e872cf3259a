//! `vandelay run --check`: logs in everywhere, and says what would be read.

use super::account::guarded;
use super::config::Account;
use crate::cli::import::ImportSource;
use crate::cli::opened::warn_of_incomplete;
use crate::cli::ui::{Ui, interrupt_flag};
use crate::error::{Error, ErrorKind, Result};
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
    for source in account.sources {
        let ui = ui.about(&source.name);
        let result = guarded(|| scopes(source.import, &ui));
        result.iter().for_each(|names| ui.detail(&names.join("\n")));
        checked.push(Checked { account: account.name.clone(), source: source.name, result });
    }
    checked
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

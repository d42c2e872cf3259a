//! Where the accounts of mox lie in what the user names.

use crate::error::{Error, ErrorKind, Result};
use crate::model::text::nearest;
use crate::source::links;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The file of an account that says what it holds.
pub(super) const INDEX: &str = "index.db";

/// Where accounts lie: in the root of an installation and of newer backups, in a data directory and in older backups, and in
/// `accounts` itself.
const BELOW: [&str; 3] = ["data/accounts", "accounts", ""];

/// Names that an error lists at most.
const NAMED: usize = 12;

/// An account on disk.
pub(super) struct Account {
    pub name: String,
    /// Without links in it.
    pub directory: PathBuf,
}

/// The account `wanted`, or the only one.
pub(super) fn find(path: &Path, wanted: Option<&str>) -> Result<Account> {
    let root = path.canonicalize().map_err(|cause| match cause.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            Error::new(ErrorKind::Usage, format!("there is no directory {}", path.display()))
        }
        _ => Error::io(format!("cannot open {}", path.display()), cause),
    })?;
    if root.join(INDEX).exists() {
        let account = account(root);
        return match wanted {
            Some(wanted) if wanted != account.name => Err(missing(wanted, path, &[account])),
            _ => Ok(account),
        };
    }
    let mut accounts = Vec::new();
    for below in BELOW {
        accounts = accounts_in(&root.join(below))?;
        if !accounts.is_empty() {
            break;
        }
    }
    if accounts.is_empty() {
        return Err(Error::new(ErrorKind::Usage, format!("there is no account of mox in {}", path.display()))
            .hint("name the data directory of mox, a directory that mox backup made, or accounts/NAME in it"));
    }
    match wanted {
        Some(wanted) => match accounts.iter().position(|account| account.name == wanted) {
            Some(at) => Ok(accounts.swap_remove(at)),
            None => Err(missing(wanted, path, &accounts)),
        },
        None if accounts.len() == 1 => Ok(accounts.swap_remove(0)),
        None => Err(Error::new(ErrorKind::Account, format!("there are several accounts in {}", path.display()))
            .hint(format!("name one with --account: {}", names(&accounts)))),
    }
}

fn account(directory: PathBuf) -> Account {
    let name = directory.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Account { name, directory }
}

/// The accounts in a directory, by name; none if it is not there.
fn accounts_in(directory: &Path) -> Result<Vec<Account>> {
    let failed = |cause| Error::io(format!("cannot read {}", directory.display()), cause);
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(failed(error)),
    };
    let mut accounts = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        if path.join(INDEX).exists() {
            links::check(&path).map_err(failed)?;
            let name = account(path.clone()).name;
            accounts.push(Account { name, directory: path.canonicalize().map_err(failed)? });
        }
    }
    accounts.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(accounts)
}

fn missing(wanted: &str, path: &Path, accounts: &[Account]) -> Error {
    let meant = nearest(wanted, accounts.iter().map(|account| account.name.as_str()));
    let hint = match meant {
        Some(name) => format!("did you mean {name:?}? Accounts: {}", names(accounts)),
        None => format!("accounts: {}", names(accounts)),
    };
    Error::new(ErrorKind::Account, format!("there is no account {wanted:?} in {}", path.display())).hint(hint)
}

/// The names of accounts, as far as they fit in a line.
fn names(accounts: &[Account]) -> String {
    let mut text: Vec<&str> = accounts.iter().take(NAMED).map(|account| account.name.as_str()).collect();
    if accounts.len() > NAMED {
        text.push("…");
    }
    text.join(", ")
}

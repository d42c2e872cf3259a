//! The configuration file: accounts with their sources, and what holds for all of them.

use super::document::{Document, Entry, Table, Value, below};
use super::settings::{CommandKeys, PATH, Setting, refused, resolved};
use crate::cli::config_place;
use crate::cli::forget::Forget;
use crate::cli::import::ImportSource;
use crate::cli::snapshot::Snapshot;
use crate::error::{Error, ErrorKind, Result};
use crate::model::text::nearest;
use crate::monitor::ping::Ping;
use clap::{Args, FromArgMatches, Subcommand};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf, absolute};

/// What a run does.
pub(super) struct Config {
    pub(super) accounts: Vec<Account>,
    pub(super) report: Report,
}

/// One account.
pub(super) struct Account {
    pub(super) name: String,
    pub(super) archive: PathBuf,
    pub(super) sources: Vec<Source>,
    pub(super) retention: Option<Forget>,
    pub(super) copies: Option<Snapshot>,
    pub(super) hooks: Hooks,
    pub(super) ping_url: Option<String>,
}

/// One source of an account.
pub(super) struct Source {
    /// `imap`, or `imap 2` for the second of its kind.
    pub(super) name: String,
    pub(super) import: ImportSource,
}

/// Commands of the user around an account.
#[derive(Debug, Clone, Default)]
pub(super) struct Hooks {
    pub(super) before: Option<String>,
    pub(super) success: Option<String>,
    pub(super) failure: Option<String>,
}

/// Where a run tells how it went.
#[derive(Default)]
pub(super) struct Report {
    pub(super) metrics_file: Option<PathBuf>,
    pub(super) ping_url: Option<String>,
    pub(super) log_file: Option<PathBuf>,
}

/// Keys of an account that are no flags of an import.
const ACCOUNT_KEYS: [&str; 5] = ["archive", "retention", "copies", "hooks", "ping-url"];
/// Keys of the whole file.
const ROOT_KEYS: [&str; 6] = ["account", "defaults", "retention", "copies", "hooks", "report"];
/// The flag of an import beside another source of its kind.
const SEVERAL: &str = "allow-source-change";
/// The key of what a copy is called.
const COPY_TO: &str = "to";
const HOOK_KEYS: [&str; 3] = ["before", "success", "failure"];
const REPORT_KEYS: [&str; 3] = ["metrics-file", "ping-url", "log-file"];

/// The file that a run reads: the one named, else the first of the usual places.
pub(super) fn find(named: Option<&Path>) -> Result<PathBuf> {
    if let Some(named) = named {
        // What stands in it is told to hooks, which may work elsewhere.
        return absolute(named).map_err(|error| Error::io(format!("cannot use {}", named.display()), error));
    }
    let places: Vec<PathBuf> = config_place::own().into_iter().chain([PathBuf::from(config_place::SYSTEM)]).collect();
    places.iter().find(|place| place.exists()).cloned().ok_or_else(|| {
        let places: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
        Error::new(ErrorKind::Usage, format!("there is no configuration at {}", places.join(" or at ")))
            .hint("make one with: vandelay config init; or name one with --config FILE")
    })
}

/// Reads a configuration.
pub(super) fn read(path: &Path) -> Result<Config> {
    Reading::new(Document::read(path)?).config()
}

/// A configuration while it is read.
struct Reading {
    document: Document,
    /// `import KIND` of each kind of source.
    imports: BTreeMap<String, CommandKeys>,
    forget: CommandKeys,
    snapshot: CommandKeys,
    defaults: Vec<Setting>,
}

impl Reading {
    fn new(document: Document) -> Reading {
        let import = ImportSource::augment_subcommands(clap::Command::new("import"));
        let kinds = import.get_subcommands().map(|kind| kind.get_name().to_owned());
        let imports = kinds.map(|kind| {
            let keys = CommandKeys::of(import.clone(), Some(&kind));
            (kind, keys)
        });
        let forget = Forget::augment_args(clap::Command::new("forget"));
        let snapshot = Snapshot::augment_args(clap::Command::new("snapshot"));
        Reading {
            document,
            imports: imports.collect(),
            forget: CommandKeys::of(forget, None),
            snapshot: CommandKeys::of(snapshot, None),
            defaults: Vec::new(),
        }
    }

    fn config(mut self) -> Result<Config> {
        let root = self.document.root.clone();
        self.check_keys(&root, &ROOT_KEYS)?;
        if let Some(defaults) = self.table(&root, "defaults")? {
            let keys = self.imports.values().flat_map(CommandKeys::keys);
            let known: BTreeSet<&str> = keys.filter(|key| *key != PATH).collect();
            self.check_keys(defaults, &known.into_iter().collect::<Vec<_>>())?;
            self.defaults = defaults.entries.iter().map(|entry| Setting::of(defaults, entry)).collect();
        }
        let report = self.report(&root)?;
        self.check_tables(&root)?;
        let Some(accounts) = self.table(&root, "account")? else {
            return Err(self.document.error(1, "there is no account").hint("add a table [account.NAME]"));
        };
        let mut found: Vec<Account> = Vec::new();
        for entry in &accounts.entries {
            let Value::Table(table) = &entry.value else {
                let what = format!("{}: a table of an account is wanted", below("account", &entry.key));
                return Err(self.document.error(entry.line, &what).hint("write [account.NAME]"));
            };
            if entry.key.trim().is_empty() || entry.key.chars().any(char::is_control) {
                return Err(self
                    .document
                    .error(entry.line, "a name of an account is empty, or has control characters"));
            }
            let account = self.account(&root, &entry.key, table)?;
            let place = one_name(&account.archive);
            if let Some(other) = found.iter().find(|other| one_name(&other.archive) == place) {
                let what = format!("{}: the archive of account {} as well", table.path, other.name);
                return Err(self.document.error(entry.line, &what).hint("an archive holds one account"));
            }
            let names = |account: &Account| account.copies.as_ref().map(Snapshot::names);
            if let Some(other) = found.iter().find(|other| names(other).is_some() && names(other) == names(&account)) {
                let what =
                    format!("{}: its copies would have the names of those of account {}", table.path, other.name);
                return Err(self.document.error(entry.line, &what).hint("put {account} into the key 'to' of [copies]"));
            }
            found.push(account);
        }
        Ok(Config { accounts: found, report })
    }

    /// Reads the tables of the whole file, also where each account has others.
    fn check_tables(&self, root: &Table) -> Result<()> {
        let nowhere = Path::new("archive");
        self.table(root, "retention")?.map(|table| self.retention(table, nowhere)).transpose()?;
        self.table(root, "copies")?.map(|table| self.copies(table, "account", nowhere)).transpose()?;
        self.table(root, "hooks")?.map(|table| self.hooks(table)).transpose()?;
        Ok(())
    }

    fn account(&self, root: &Table, name: &str, table: &Table) -> Result<Account> {
        let kinds = self.imports.keys().map(String::as_str);
        let flags = self.imports.values().flat_map(CommandKeys::keys).filter(|key| *key != PATH);
        let known: BTreeSet<&str> = kinds.chain(flags).chain(ACCOUNT_KEYS).collect();
        self.check_keys(table, &known.into_iter().collect::<Vec<_>>())?;
        let archive = self.text(table, "archive")?.ok_or_else(|| {
            self.document.error(table.line, &format!("{}: archive is missing", table.path)).hint("archive = \"FILE\"")
        })?;
        let archive = resolved(&self.document.path, &archive);
        let shared: Vec<Setting> = table
            .entries
            .iter()
            .filter(|entry| !ACCOUNT_KEYS.contains(&entry.key.as_str()) && !self.imports.contains_key(&entry.key))
            .map(|entry| Setting::of(table, entry))
            .collect();
        let sources = self.sources(table, &archive, &shared)?;
        let nearest = |key: &str| -> Result<Option<&Table>> {
            match entry(table, key).map(|entry| &entry.value) {
                Some(Value::Flag(false)) => Ok(None),
                Some(_) => self.table(table, key),
                None => self.table(root, key),
            }
        };
        Ok(Account {
            name: name.to_owned(),
            retention: nearest("retention")?.map(|table| self.retention(table, &archive)).transpose()?,
            copies: nearest("copies")?.map(|table| self.copies(table, name, &archive)).transpose()?,
            hooks: nearest("hooks")?.map(|table| self.hooks(table)).transpose()?.unwrap_or_default(),
            ping_url: self.ping(table)?,
            archive,
            sources,
        })
    }

    fn sources(&self, account: &Table, archive: &Path, shared: &[Setting]) -> Result<Vec<Source>> {
        let mut sources = Vec::new();
        for entry in &account.entries {
            let Some(keys) = self.imports.get(&entry.key) else { continue };
            let tables: Vec<&Table> = match &entry.value {
                Value::Table(table) => vec![table],
                Value::Tables(tables) => tables.iter().collect(),
                _ => {
                    let what = format!("{}: a table is wanted", below(&account.path, &entry.key));
                    let key = if keys.knows("url") { "url" } else { PATH };
                    let hint = format!("e.g. {} = {{ {key} = \"…\" }}", entry.key);
                    return Err(self.document.error(entry.line, &what).hint(hint));
                }
            };
            let are_several = tables.len() > 1;
            for (at, table) in tables.into_iter().enumerate() {
                self.check_keys(table, &keys.keys().collect::<Vec<_>>())?;
                let own: Vec<Setting> = table.entries.iter().map(|entry| Setting::of(table, entry)).collect();
                let levels = [&self.defaults[..], shared, &own]
                    .map(|level| level.iter().filter(|setting| keys.knows(&setting.key)).cloned().collect::<Vec<_>>());
                let mut settings = levels.into_iter().fold(Vec::new(), nearer);
                // The file says that there are several: none of them is taken for another in its place.
                if are_several && keys.knows(SEVERAL) && !settings.iter().any(|setting| setting.key == SEVERAL) {
                    let (key, path) = (SEVERAL.to_owned(), table.path.clone());
                    settings.push(Setting { key, path, line: table.line, value: Value::Flag(true) });
                }
                self.check_login(table, &settings)?;
                let place = (table.path.as_str(), table.line);
                let matches = keys.parse(&self.document, place, &settings, vec![archive.into()])?;
                let import = ImportSource::from_arg_matches(&matches).map_err(|error| self.misread(table, &error))?;
                let name = if at == 0 { entry.key.clone() } else { format!("{} {}", entry.key, at + 1) };
                sources.push(Source { name, import });
            }
        }
        if sources.is_empty() {
            let kinds: Vec<&str> = self.imports.keys().map(String::as_str).collect();
            let what = format!("{}: there is no source", account.path);
            return Err(self.document.error(account.line, &what).hint(format!("add one of: {}", kinds.join(", "))));
        }
        let used = |setting: &&Setting| {
            let kinds = account.entries.iter().filter_map(|entry| self.imports.get(&entry.key));
            !kinds.into_iter().any(|keys| keys.knows(&setting.key))
        };
        match shared.iter().find(used) {
            Some(setting) => {
                let what = format!("{}: no source of this account has this key", setting.path);
                Err(self.document.error(setting.line, &what))
            }
            None => Ok(sources),
        }
    }

    /// A run asks nobody for a password.
    fn check_login(&self, table: &Table, settings: &[Setting]) -> Result<()> {
        let has = |key: &str| settings.iter().any(|setting| setting.key == key);
        for (login, secret) in [("auth-basic", "password"), ("auth-bearer", "token")] {
            let sources = ["file", "command", "credential"].map(|from| format!("{secret}-{from}"));
            if has(login) && !sources.iter().any(|key| has(key)) {
                let what = format!("{}: there is no {secret}", table.path);
                let known = sources.iter().filter(|key| self.imports.values().any(|keys| keys.knows(key)));
                let known: Vec<&str> = known.map(String::as_str).collect();
                return Err(self.document.error(table.line, &what).hint(format!("add {}", known.join(" or "))));
            }
        }
        Ok(())
    }

    fn retention(&self, table: &Table, archive: &Path) -> Result<Forget> {
        self.check_keys(table, &self.forget.keys().collect::<Vec<_>>())?;
        let settings: Vec<Setting> = table.entries.iter().map(|entry| Setting::of(table, entry)).collect();
        let place = (table.path.as_str(), table.line);
        let matches = self.forget.parse(&self.document, place, &settings, vec![archive.into()])?;
        let forget = Forget::from_arg_matches(&matches).map_err(|error| self.misread(table, &error))?;
        if forget.keeps_nothing() {
            let what = format!("{}: it says nothing that is kept", table.path);
            return Err(self.document.error(table.line, &what).hint("e.g. keep-daily = 14"));
        }
        Ok(forget)
    }

    fn copies(&self, table: &Table, name: &str, archive: &Path) -> Result<Snapshot> {
        let flags = self.snapshot.keys().filter(|key| *key != PATH);
        self.check_keys(table, &flags.chain([COPY_TO]).collect::<Vec<_>>())?;
        let to = self.text(table, COPY_TO)?.ok_or_else(|| {
            self.document.error(table.line, &format!("{}: {COPY_TO} is missing", table.path)).hint("to = \"FILE\"")
        })?;
        // The name is no path, and a percent sign in it is none of a date, which can stand in the last part only.
        let name = if name.starts_with('.') { format!("_{name}") } else { name.to_owned() }.replace('/', "_");
        let (folder, last) = to.rsplit_once('/').map_or((None, to.as_str()), |(folder, last)| (Some(folder), last));
        let last = last.replace("{account}", &name.replace('%', "%%"));
        let to = folder.map_or(last.clone(), |folder| format!("{}/{last}", folder.replace("{account}", &name)));
        let settings = table.entries.iter().filter(|entry| entry.key != COPY_TO);
        let settings: Vec<Setting> = settings.map(|entry| Setting::of(table, entry)).collect();
        let last = vec![archive.into(), resolved(&self.document.path, &to).into()];
        let matches = self.snapshot.parse(&self.document, (table.path.as_str(), table.line), &settings, last)?;
        Snapshot::from_arg_matches(&matches).map_err(|error| self.misread(table, &error))
    }

    fn misread(&self, table: &Table, error: &clap::Error) -> Error {
        self.document.error(table.line, &format!("{}: {error}", table.path))
    }

    fn hooks(&self, table: &Table) -> Result<Hooks> {
        self.check_keys(table, &HOOK_KEYS)?;
        let text = |key| self.text(table, key);
        Ok(Hooks { before: text("before")?, success: text("success")?, failure: text("failure")? })
    }

    fn report(&self, root: &Table) -> Result<Report> {
        let Some(table) = self.table(root, "report")? else { return Ok(Report::default()) };
        self.check_keys(table, &REPORT_KEYS)?;
        let path = |key| Ok::<_, Error>(self.text(table, key)?.map(|text| resolved(&self.document.path, &text)));
        Ok(Report { metrics_file: path("metrics-file")?, log_file: path("log-file")?, ping_url: self.ping(table)? })
    }

    fn ping(&self, table: &Table) -> Result<Option<String>> {
        let key = "ping-url";
        let parse = |text: String| {
            Ping::parse(&text).map(|_| text).map_err(|error| {
                let line = entry(table, key).map_or(table.line, |entry| entry.line);
                self.document.error(line, &format!("{}: {error}", below(&table.path, key)))
            })
        };
        self.text(table, key)?.map(parse).transpose()
    }

    /// A key of the file that is a table.
    fn table<'t>(&self, parent: &'t Table, key: &str) -> Result<Option<&'t Table>> {
        match entry(parent, key) {
            None => Ok(None),
            Some(Entry { value: Value::Table(table), .. }) => Ok(Some(table)),
            Some(Entry { line, .. }) => {
                Err(self.document.error(*line, &format!("{}: a table is wanted", below(&parent.path, key))))
            }
        }
    }

    /// A key of the file that is a text.
    fn text(&self, parent: &Table, key: &str) -> Result<Option<String>> {
        match entry(parent, key) {
            None => Ok(None),
            Some(Entry { value: Value::Text(text), .. }) if !text.is_empty() => Ok(Some(text.clone())),
            Some(Entry { line, .. }) => {
                Err(self.document.error(*line, &format!("{}: a text is wanted", below(&parent.path, key))))
            }
        }
    }

    /// Names the first key that does not belong into a table, and the nearest one that does.
    fn check_keys(&self, table: &Table, known: &[&str]) -> Result<()> {
        let Some(strange) = table.entries.iter().find(|entry| !known.contains(&entry.key.as_str())) else {
            return Ok(());
        };
        let error =
            |what: &str| self.document.error(strange.line, &format!("{}: {what}", below(&table.path, &strange.key)));
        if let Some(why) = refused(&strange.key) {
            return Err(error("this may not stand in the configuration").hint(why));
        }
        let nearest = nearest(&strange.key, known.iter().copied());
        let hint = match nearest {
            Some(nearest) => format!("did you mean {nearest}?"),
            None => format!("known here: {}", known.join(", ")),
        };
        Err(error("unknown key").hint(hint))
    }
}

/// A path by which one file has one name, whether it is there or not.
fn one_name(path: &Path) -> PathBuf {
    let below = || Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?));
    path.canonicalize().ok().or_else(below).unwrap_or_else(|| path.to_owned())
}

fn entry<'t>(table: &'t Table, key: &str) -> Option<&'t Entry> {
    table.entries.iter().find(|entry| entry.key == key)
}

/// Settings with those of a nearer level in their place. A login of its own takes nothing of another along, and a secret from
/// another place replaces the one that was meant before.
fn nearer(farther: Vec<Setting>, nearer: Vec<Setting>) -> Vec<Setting> {
    let has = |test: &dyn Fn(&str) -> bool| nearer.iter().any(|setting| test(&setting.key));
    let is_password = |key: &str| key.starts_with("password-");
    let is_token = |key: &str| key.starts_with("token-");
    let is_login = |key: &str| key.starts_with("auth-") || is_password(key) || is_token(key);
    let has_login = has(&|key| ["auth-basic", "auth-bearer"].contains(&key));
    let (password, token) = (has(&is_password), has(&is_token));
    let stays = |setting: &Setting| {
        let key = setting.key.as_str();
        let is_replaced = has(&|own| own == key)
            || has_login && is_login(key)
            || is_password(key) && password
            || is_token(key) && token;
        !is_replaced
    };
    farther.iter().filter(|setting| stays(setting)).cloned().chain(nearer.iter().cloned()).collect()
}

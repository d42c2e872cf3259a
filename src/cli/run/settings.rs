//! Keys of the file that are flags of a command: the command line is checked by the command's own definition.

use super::document::{Document, Entry, Table, Value, below};
use crate::error::{Error, ErrorKind, Result};
use clap::error::{ContextKind, ContextValue, ErrorKind as ClapError};
use clap::{Arg, ArgAction, ArgMatches};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The key that stands for what a command takes without a flag.
pub(super) const PATH: &str = "path";

/// Flags that may not stand in the file, and why.
const REFUSED: [(&str, &str); 7] = [
    (
        "auth-password",
        "a password may not stand in this file: use password-file, password-command or password-credential",
    ),
    ("dry-run", "use: vandelay run --check"),
    ("same-account", "import once by hand with --same-account"),
    ("full", "import once by hand with --full"),
    ("metrics-file", "it stands in the table [report]"),
    ("ping-url", "it stands in the table [report], or in that of the account"),
    ("help", "use: vandelay import --help"),
];

/// A key of the file for a command, with the value that holds.
#[derive(Debug, Clone)]
pub(super) struct Setting {
    pub(super) key: String,
    pub(super) path: String,
    pub(super) line: usize,
    pub(super) value: Value,
}

impl Setting {
    pub(super) fn of(table: &Table, entry: &Entry) -> Setting {
        let Entry { key, line, value } = entry;
        Setting { key: key.clone(), path: below(&table.path, key), line: *line, value: value.clone() }
    }
}

/// A flag of a command.
struct Flag {
    key: String,
    takes_value: bool,
    /// The flag works without a value, too.
    value_is_optional: bool,
    takes_list: bool,
}

/// A command, with those of its flags that may be keys.
pub(super) struct CommandKeys {
    /// The command, or one that has it as a command of its own with the name `part`.
    command: clap::Command,
    part: Option<String>,
    flags: Vec<Flag>,
    takes_path: bool,
}

/// The reason why a flag may not stand in the file.
pub(super) fn refused(key: &str) -> Option<&'static str> {
    REFUSED.iter().find(|(name, _)| *name == key).map(|(_, why)| *why)
}

impl CommandKeys {
    /// A command, or one of its own commands: `imap` of `import`.
    pub(super) fn of(mut command: clap::Command, part: Option<&str>) -> CommandKeys {
        command.build();
        let own = part.map_or(Some(&command), |part| command.find_subcommand(part));
        let arguments: Vec<&Arg> = own.into_iter().flat_map(clap::Command::get_arguments).collect();
        let flag = |argument: &&Arg| {
            let key = argument.get_long().filter(|key| refused(key).is_none())?.to_owned();
            let values = argument.get_num_args().unwrap_or_default();
            Some(Flag {
                key,
                takes_value: argument.get_action().takes_values(),
                value_is_optional: values.min_values() == 0,
                takes_list: matches!(argument.get_action(), ArgAction::Append)
                    || values.max_values() > 1
                    || argument.get_value_delimiter().is_some(),
            })
        };
        let flags = arguments.iter().filter(|argument| !argument.is_hide_set()).filter_map(flag).collect();
        let takes_path = arguments.iter().filter(|argument| argument.is_positional()).count() > 1;
        CommandKeys { part: part.map(str::to_owned), flags, takes_path, command }
    }

    /// True if a key may be set for this command.
    pub(super) fn knows(&self, key: &str) -> bool {
        self.flags.iter().any(|flag| flag.key == key) || self.takes_path && key == PATH
    }

    /// All keys.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.flags.iter().map(|flag| flag.key.as_str()).chain(self.takes_path.then_some(PATH))
    }

    /// The command with its settings, as if it had been typed. `place` is where it stands in the file, `last` what it
    /// takes behind its flags.
    pub(super) fn parse(
        &self,
        document: &Document,
        place: (&str, usize),
        settings: &[Setting],
        last: Vec<OsString>,
    ) -> Result<ArgMatches> {
        let mut line = vec![OsString::from("vandelay")];
        line.extend(self.part.iter().map(OsString::from));
        let mut paths = Vec::new();
        for setting in settings {
            if setting.key == PATH {
                paths = texts(document, setting)?.iter().map(|text| resolved(&document.path, text).into()).collect();
            } else if let Some(flag) = self.flags.iter().find(|flag| flag.key == setting.key) {
                self.add(document, flag, setting, &mut line)?;
            }
        }
        line.push("--".into());
        line.extend(paths);
        line.extend(last);
        let matches = self.command.clone().try_get_matches_from(line);
        matches.map_err(|error| explain(document, place, settings, &error))
    }

    fn add(&self, document: &Document, flag: &Flag, setting: &Setting, line: &mut Vec<OsString>) -> Result<()> {
        let name = format!("--{}", flag.key);
        let fail = |what: &str| Err(document.error(setting.line, &format!("{}: {what}", setting.path)));
        match (&setting.value, flag.takes_value) {
            (Value::Flag(false), _) if !flag.takes_value || flag.value_is_optional => {}
            (Value::Flag(true), _) if !flag.takes_value || flag.value_is_optional => line.push(name.into()),
            (_, true) if flag.value_is_optional => {
                return fail("true or false is wanted; a token may not stand in this file");
            }
            (_, false) => return fail("true or false is wanted"),
            (Value::List(_), true) if !flag.takes_list => return fail("one value is wanted, not a list"),
            (Value::Text(_) | Value::List(_), true) => {
                for text in texts(document, setting)? {
                    let value = if flag.key.ends_with("-file") {
                        resolved(&document.path, &text).into_os_string()
                    } else {
                        OsString::from(text)
                    };
                    // One word, so that a value may begin with a hyphen.
                    let mut word = OsString::from(format!("{name}="));
                    word.push(value);
                    line.push(word);
                }
            }
            _ => return fail("a text or a number is wanted"),
        }
        Ok(())
    }
}

/// The texts of a setting: one, or those of a list.
pub(super) fn texts(document: &Document, setting: &Setting) -> Result<Vec<String>> {
    let text = |value: &Value| match value {
        Value::Text(text) => Ok(text.clone()),
        _ => Err(document.error(setting.line, &format!("{}: a text is wanted", setting.path))),
    };
    match &setting.value {
        Value::List(values) => values.iter().map(text).collect(),
        value => Ok(vec![text(value)?]),
    }
}

/// A path of the file: `~/` is the home directory, and what is relative begins at the folder of the file.
pub(super) fn resolved(file: &Path, text: &str) -> PathBuf {
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    match (text.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => file.parent().map_or_else(|| PathBuf::from(text), |folder| folder.join(text)),
    }
}

/// What clap says of a command line, in terms of the file.
fn explain(document: &Document, place: (&str, usize), settings: &[Setting], error: &clap::Error) -> Error {
    let mut names: Vec<String> = Vec::new();
    for (kind, value) in error.context() {
        match (kind, value) {
            (ContextKind::InvalidArg | ContextKind::PriorArg, ContextValue::String(name)) => names.push(name.clone()),
            (ContextKind::InvalidArg | ContextKind::PriorArg, ContextValue::Strings(all)) => {
                names.extend(all.iter().cloned());
            }
            _ => {}
        }
    }
    let key = |name: &str| {
        let name = name.trim_start_matches('-');
        name.split([' ', '=', '[', '<']).next().unwrap_or_default().to_owned()
    };
    let setting = names.iter().map(|name| key(name)).find_map(|key| settings.iter().find(|one| one.key == key));
    let (path, line) = setting.map_or(place, |setting| (setting.path.as_str(), setting.line));
    if error.kind() == ClapError::MissingRequiredArgument {
        let missing: Vec<String> = names.iter().map(|name| wanted(name)).collect();
        return document.error(line, &format!("{}: {} is missing", place.0, missing.join(", ")));
    }
    let text = error.to_string();
    let text = text.lines().next().unwrap_or_default().trim_start_matches("error: ").replace("--", "");
    Error::new(ErrorKind::Usage, document.error(line, &format!("{path}: {text}")).to_string())
}

/// What clap calls a missing argument, as a key: `--url <URL>` is `url`, `<MAILDIR>` is `path`.
fn wanted(name: &str) -> String {
    match name.strip_prefix("--") {
        Some(name) => name.split([' ', '=']).next().unwrap_or_default().to_owned(),
        None if name.contains("--") => name.trim_matches(['<', '>']).replace("--", ""),
        None => PATH.to_owned(),
    }
}

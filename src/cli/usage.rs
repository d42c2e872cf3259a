//! A command line that makes no sense: one `error:` line and one `hint:` line, as of every other error; `--help` and
//! `--version`, which clap takes for such a line, too.

use super::misnamed;
use super::ui::Ui;
use crate::error::{Error, ErrorKind};
use crate::model::text::nearest;
use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind as ParseError};
use std::process::ExitCode;

/// Tells what clap has to say. Vandelay 1.x ends with 1 on wrong usage, where clap would say 2.
pub(super) fn tell(error: &clap::Error, misplaced: Option<Error>, ui: &Ui) -> ExitCode {
    match error.kind() {
        ParseError::DisplayHelp if ui.json => help(&error.render(), ui),
        ParseError::DisplayVersion => version(ui),
        ParseError::DisplayHelp | ParseError::DisplayHelpOnMissingArgumentOrSubcommand if !ui.json => {
            drop(error.print());
        }
        _ => ui.fatal(&misplaced.unwrap_or_else(|| usage(error))),
    }
    ExitCode::from(u8::from(error.use_stderr()))
}

/// The help of a command, for programs.
pub(super) fn help(text: &StyledStr, ui: &Ui) {
    ui.object("help", serde_json::json!({ "text": text.to_string() }));
}

/// `vandelay version`.
pub(super) fn version(ui: &Ui) {
    let version = env!("CARGO_PKG_VERSION");
    if ui.json {
        ui.object("version", serde_json::json!({ "version": version }));
    } else {
        ui.line(&format!("vandelay {version}"));
    }
}

/// The parts of what clap says of a wrong command line.
struct Said {
    /// What is wrong, on one line.
    what: String,
    /// Values that may stand there.
    values: Option<String>,
    /// What was probably meant.
    tips: Vec<String>,
    /// How the command is used, from its name on.
    usage: String,
}

impl Said {
    fn read(text: &str) -> Said {
        let mut said = Said { what: String::new(), values: None, tips: Vec::new(), usage: String::new() };
        let mut is_usage = false;
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if let Some(usage) = line.strip_prefix("Usage: ") {
                is_usage = true;
                said.usage = usage.to_owned();
            } else if let Some(values) = line.strip_prefix("[possible values: ") {
                said.values = Some(values.trim_end_matches(']').to_owned());
            } else if let Some(tip) = line.strip_prefix("tip: ") {
                said.tips.push(plain(tip));
            } else if line.starts_with("For more information") {
                is_usage = false;
            } else if is_usage {
                said.usage = format!("{} {line}", said.usage);
            } else {
                let line = line.trim_start_matches("error: ");
                let between = match said.what.chars().last() {
                    None => "",
                    Some(':') => " ",
                    Some(_) => ", ",
                };
                said.what = format!("{}{between}{line}", said.what);
            }
        }
        if let Some((what, values)) = said.what.split_once(": one of ") {
            (said.values, said.what) = (Some(values.to_owned()), what.to_owned());
        }
        said
    }

    /// The command, without its flags and arguments.
    fn command(&self) -> String {
        let words = self.usage.split(' ').take_while(|word| !word.starts_with(['[', '<', '-']));
        let command = words.collect::<Vec<_>>().join(" ");
        if command.is_empty() { "vandelay".to_owned() } else { command }
    }
}

/// A tip of clap in our words.
fn plain(tip: &str) -> String {
    let Some((_, names)) = tip.split_once(" exist").filter(|(start, _)| start.contains("similar")) else {
        return tip.to_owned();
    };
    let names = names.trim_start_matches(['s', ':', ' ']);
    format!("did you mean {}?", names.replace(", ", " or "))
}

/// The error of a command line.
fn usage(error: &clap::Error) -> Error {
    let said = Said::read(&error.to_string());
    let command = said.command();
    if let Some(misnamed) = misnamed::error(error, &command) {
        return misnamed;
    }
    let what = match error.kind() {
        ParseError::MissingRequiredArgument => said
            .what
            .replace("the following required arguments were not provided: ", &format!("'{command}' needs more: ")),
        ParseError::MissingSubcommand | ParseError::DisplayHelpOnMissingArgumentOrSubcommand => {
            format!("'{command}' needs a command")
        }
        _ => said.what.clone(),
    };
    let near = match (error.get(ContextKind::InvalidValue), &said.values) {
        (Some(ContextValue::String(typed)), Some(values)) => nearest(typed, values.split(", ")),
        _ => None,
    };
    let hint = match (said.tips.as_slice(), &said.values) {
        (_, Some(values)) => {
            let near = near.map(|near| format!("did you mean {near}? ")).unwrap_or_default();
            format!("{near}it is one of {values}")
        }
        ([], None) if error.kind() == ParseError::MissingRequiredArgument => format!("usage: {}", said.usage),
        ([], None) => format!("'{command} --help' lists what it takes"),
        (tips, _) => tips.join("; "),
    };
    Error::new(ErrorKind::Usage, what).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::Parser;

    fn said(line: &str) -> (String, String) {
        let error = Cli::try_parse_from(line.split(' ')).err().expect("a wrong command line");
        let error = usage(&error);
        (error.to_string(), error.hint_text().unwrap_or_default().to_owned())
    }

    #[test]
    fn a_wrong_command_line_is_one_error_and_one_hint() {
        let (what, hint) = said("vandelay import imap a.sqlite");
        assert_eq!(what, "'vandelay import imap' needs more: --url <URL>, --auth-basic <USER>");
        assert!(hint.starts_with("usage: vandelay import imap --url <URL>"), "{hint}");
        let (what, hint) = said("vandelay ls");
        assert_eq!(
            (what.as_str(), hint.as_str()),
            ("'vandelay ls' needs more: <ARCHIVE>", "usage: vandelay ls [OPTIONS] <ARCHIVE> [PATHS]...")
        );
        let (what, hint) = said("vandelay ls a.sqlite --recursiv");
        assert_eq!(
            (what.as_str(), hint.as_str()),
            ("unexpected argument '--recursiv' found", "did you mean '--recursive'?")
        );
        let (what, hint) = said("vandelay extract a.sqlite --names all");
        assert_eq!(
            (what.as_str(), hint.as_str()),
            ("invalid value 'all' for '--names <WHICH>'", "it is one of auto, exact, portable")
        );
        let (what, hint) = said("vandelay snapshot a b --quiet --verbose");
        assert!(
            what.contains("cannot be used with") && hint == "'vandelay snapshot --help' lists what it takes",
            "{what} {hint}"
        );
        assert_eq!(said("vandelay --json").0, "'vandelay' needs a command");
    }
}

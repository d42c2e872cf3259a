//! Words that people type from other programs, each with the command that does it here.

use crate::error::{Error, ErrorKind};
use clap::error::{ContextKind, ContextValue};

/// Words in place of a command, and what to type.
const COMMANDS: &[(&[&str], &str)] = &[
    (
        &["backup", "save", "download", "fetch", "pull", "sync"],
        "'vandelay import' backs up one account, 'vandelay run' all accounts of the configuration file",
    ),
    (
        &["restore", "undelete", "recover", "upload", "push"],
        "'vandelay extract ARCHIVE PATH' restores files to this disk, 'vandelay export' restores into an account on a server",
    ),
    (&["search", "grep", "query", "locate"], "vandelay find ARCHIVE WORDS"),
    (
        &["list", "dir", "tree"],
        "'vandelay ls ARCHIVE FOLDER' lists a folder, 'vandelay snapshots ARCHIVE' the snapshots, 'vandelay find ARCHIVE WORDS' \
         messages",
    ),
    (
        &["show", "print", "read", "dump", "view"],
        "'vandelay cat ARCHIVE PATH' prints a file, 'vandelay inspect ARCHIVE' the numbers",
    ),
    (
        &["copy", "cp", "clone"],
        "'vandelay snapshot ARCHIVE COPY' copies an archive, 'vandelay extract ARCHIVE PATH' files out of it",
    ),
    (
        &["check", "fsck", "test", "validate", "scrub"],
        "'vandelay verify ARCHIVE' looks for damage, 'vandelay restore-check ARCHIVE' proves that it restores",
    ),
    (
        &["prune", "delete", "remove", "rm", "expire", "purge", "clean", "compact", "gc"],
        "'vandelay forget ARCHIVE --keep-daily 7 --keep-monthly 12' drops old snapshots; messages are never deleted one by one",
    ),
    (&["history", "log", "versions"], "vandelay snapshots ARCHIVE"),
    (&["compare", "changes"], "vandelay diff ARCHIVE SNAPSHOT"),
    (&["info", "stats", "stat", "status", "count", "summary"], "vandelay inspect ARCHIVE"),
    (&["unmount", "umounts", "eject"], "vandelay umount DIRECTORY"),
    (&["open", "browse", "serve"], "vandelay mount ARCHIVE DIRECTORY"),
    (&["init", "setup", "configure", "login", "add", "discover", "account"], "vandelay config init"),
    (&["create", "new"], "'vandelay import' makes the archive with the first backup; see 'vandelay import --help'"),
    (&["completion", "bash", "zsh", "fish"], "vandelay completions SHELL"),
    (&["manual", "manpage", "manpages"], "vandelay man DIRECTORY"),
];

/// Words in place of a source or a target, and its name with the flags that it needs.
const PLACES: &[(&[&str], &str)] = &[
    (&["gmail", "google", "googlemail", "gsuite"], "imap --url imaps://imap.gmail.com"),
    (&["icloud", "apple", "me", "mac"], "imap --url imaps://imap.mail.me.com"),
    (&["fastmail"], "jmap --auth-bearer --url https://api.fastmail.com/jmap/session --account-name ADDRESS"),
    (&["gmx"], "imap --url imaps://imap.gmx.net"),
    (&["posteo"], "imap --url imaps://posteo.de"),
    (&["mailbox.org", "mailboxorg"], "imap --url imaps://imap.mailbox.org"),
    (&["zoho"], "imap --url imaps://imap.zoho.com"),
    (&["mail", "email", "dovecot", "cyrus", "imaps", "yahoo", "aol", "courier"], "imap --url imaps://HOST"),
    (&["stalwart", "jmaps"], "jmap --url https://HOST --account-name NAME"),
    (&["nextcloud", "owncloud", "radicale", "calendar", "calendars", "events", "dav"], "caldav --url https://HOST"),
    (&["contacts", "addressbook", "addressbooks", "cards"], "carddav --url https://HOST"),
    (&["files", "drive"], "webdav --url https://HOST"),
    (&["sieve", "filters", "scripts"], "managesieve --url sieve://HOST"),
];

/// Files in place of a source.
const FILES: &[(&[&str], &str)] = &[
    (&["thunderbird", "mboxes", "mboxrd", "evolution", "seamonkey"], "mbox PROFILE"),
    (&["emlx", "apple-mail", "applemail", "mh", "msg", "proton", "protonmail", "gmvault", "message"], "eml FOLDER"),
    (&["google-takeout", "export", "folder"], "takeout FOLDER"),
    (&["ical", "icalendar", "vdir"], "ics FILE"),
    (&["vcard", "vcards"], "vcf FILE"),
    (&["mdir", "maildir++", "maildirpp"], "maildir FOLDER"),
];

/// Providers that have no password that a program may use, and files that no crate reads safely.
const NOT_SO: &[(&[&str], &str)] = &[
    (
        &["outlook", "office365", "exchange", "hotmail", "microsoft", "o365", "live", "ews"],
        "Microsoft takes tokens only: vandelay import imap --url imaps://outlook.office365.com --auth-user ADDRESS --auth-bearer \
         --token-command COMMAND ARCHIVE",
    ),
    (
        &["pst", "ost"],
        "files of Outlook cannot be read: import the account over IMAP, or convert them with 'readpst' and use 'vandelay import mbox'",
    ),
    (&["pop", "pop3"], "POP3 has no folders: use 'vandelay import imap' for the same account"),
];

/// The flag of the login, where the place does not say it.
fn login(place: &str) -> &'static str {
    if place.contains("--auth-bearer") { "" } else { " --auth-basic NAME" }
}

fn of<'t>(table: &'t [(&[&str], &'t str)], word: &str) -> Option<&'t str> {
    let word = word.to_lowercase();
    table.iter().find(|(words, _)| words.contains(&word.as_str())).map(|(_, what)| *what)
}

/// The error of a word that is known from elsewhere, in place of a command below `command`.
pub(super) fn error(error: &clap::Error, command: &str) -> Option<Error> {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else { return None };
    let (what, hint) = match command {
        "vandelay import" | "vandelay export" => {
            let verb = command.trim_start_matches("vandelay ");
            let what = format!("there is no '{word}' to {verb} {}", if verb == "import" { "from" } else { "to" });
            let place = || of(PLACES, word).map(|place| format!("{command} {place}{} ARCHIVE", login(place)));
            let files =
                || of(FILES, word).filter(|_| verb == "import").map(|place| format!("{command} {place} ARCHIVE"));
            (what, of(NOT_SO, word).map(str::to_owned).or_else(place).or_else(files)?)
        }
        "vandelay" => (format!("there is no command '{word}'"), of(COMMANDS, word)?.to_owned()),
        _ => return None,
    };
    Some(Error::new(ErrorKind::Usage, what).hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::{CommandFactory, Parser};

    /// A word leads to a command that exists, with flags that it has, and is no command itself.
    #[test]
    fn each_word_leads_to_a_command_that_can_be_typed() {
        let commands = Cli::command();
        let import = commands.find_subcommand("import").expect("import");
        for (words, hint) in COMMANDS {
            words.iter().for_each(|word| assert!(commands.find_subcommand(word).is_none(), "{word}"));
            let lines: Vec<&str> = match hint.contains('\'') {
                true => hint.split('\'').skip(1).step_by(2).collect(),
                false => vec![hint],
            };
            assert!(!lines.is_empty(), "{hint}");
            for line in lines {
                let name = line.split(' ').nth(1).expect("a command");
                assert!(commands.find_subcommand(name).is_some(), "{line}");
            }
        }
        for (words, hint) in PLACES.iter().chain(FILES) {
            words.iter().for_each(|word| assert!(import.find_subcommand(word).is_none(), "{word}"));
            let is_place = PLACES.iter().any(|(_, place)| place == hint);
            let login = if is_place { login(hint) } else { "" };
            let line = format!("vandelay import {hint}{login} ARCHIVE");
            let read = Cli::try_parse_from(line.split(' '));
            assert!(read.is_ok(), "{line}: {}", read.err().expect("an error"));
        }
        let all = [COMMANDS, PLACES, FILES, NOT_SO].concat();
        let mut words: Vec<&str> = all.iter().flat_map(|(words, _)| words.iter().copied()).collect();
        words.sort_unstable();
        words.windows(2).for_each(|pair| assert_ne!(pair[0], pair[1], "stands twice"));
    }

    #[test]
    fn only_words_in_place_of_commands_are_known() {
        let read = |line: &str| {
            let failed = Cli::try_parse_from(line.split(' ')).err().expect("a wrong line");
            error(&failed, "vandelay").map(|error| error.to_string())
        };
        assert_eq!(read("vandelay Restore a.sqlite"), Some("there is no command 'Restore'".to_owned()));
        assert_eq!((read("vandelay bogus"), read("vandelay ls --restore")), (None, None));
    }
}

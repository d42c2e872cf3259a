//! The text of a new configuration file. Lines that begin with `#` and a letter are examples: without the `#` they are valid.

use crate::model::text::is_unsafe;
use crate::protocol::discover::{Discovered, FoundService, ServiceKind};

/// How the account logs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Login {
    Password,
    Token,
}

/// An account of the file.
pub(super) struct Account {
    /// A bare key of TOML.
    pub name: String,
    pub archive: String,
    pub address: String,
    /// The login name.
    pub user: String,
    pub login: Login,
    /// The key that says where the secret is, and its value.
    pub secret: Option<(&'static str, String)>,
    pub found: Discovered,
}

impl Account {
    /// The kinds of services that were not found. JMAP has all of it, and few servers have JMAP.
    pub(super) fn missing(&self) -> Vec<&'static str> {
        if self.uses_jmap() {
            return Vec::new();
        }
        let kinds = ServiceKind::ALL.into_iter().filter(|kind| *kind != ServiceKind::Jmap);
        kinds.filter(|kind| self.found.of(*kind).is_none()).map(ServiceKind::name).collect()
    }

    /// JMAP takes the whole account at once, so nothing else may beside it: else each message would be there twice. With a
    /// password the protocols that all servers take it for come first.
    fn uses_jmap(&self) -> bool {
        let is_used = |kind| self.found.of(kind).is_some_and(FoundService::is_used);
        is_used(ServiceKind::Jmap) && (self.login == Login::Token || !is_used(ServiceKind::Imap))
    }
}

/// What stands above the accounts.
const HEAD: &str = r##"# The accounts that 'vandelay run' backs up, each into its archive. No secret stands here: the file says where the secret is.
# The keys of a source are the long flags of its import: see 'vandelay import imap --help'.
# Lines that begin with '#' and a letter are examples: take the '#' away to use them.

# Keys here hold for every account; each may be given for one account or one source, too.
[defaults]
#timeout = 60

# After a good run: which snapshots are kept, as 'vandelay forget' does it. Without it every snapshot is kept.
#[retention]
#keep-daily = 14
#keep-monthly = 24

# After a good run: a dated copy of the archive.
#[copies]
#to = "/mnt/disk/{account}-%Y-%m-%d.sqlite"
#keep-daily = 7
#verify = "sample"

# Commands for sh: before a run, after a good one, and after one that failed.
#[hooks]
#before = "mountpoint -q /mnt/disk"
#success = "logger 'the backup is done'"
#failure = "logger 'the backup failed'"

# Reports that machines read.
#[report]
#metrics-file = "/var/lib/prometheus/node-exporter/vandelay.prom"
#ping-url = "https://hc-ping.com/UUID"
#log-file = "/var/log/vandelay.log"

"##;

/// The whole file.
pub(super) fn file(account: &Account) -> String {
    format!("{HEAD}{}", self::account(account))
}

/// The block of one account.
pub(super) fn account(account: &Account) -> String {
    let mut text = format!("[account.{}]\narchive = {}\n", account.name, value(&account.archive));
    match account.login {
        Login::Password => text += &format!("auth-basic = {}\n", value(&account.user)),
        Login::Token => text += &format!("auth-bearer = true\nauth-user = {}\n", value(&account.user)),
    }
    text += &secret(account);
    let uses_jmap = account.uses_jmap();
    for kind in ServiceKind::ALL {
        let is_wanted = uses_jmap == (kind == ServiceKind::Jmap);
        text += &source(account, kind, is_wanted);
    }
    text
}

fn secret(account: &Account) -> String {
    if let Some((key, secret)) = &account.secret {
        return format!("{key} = {}\n", value(secret));
    }
    let head = "# Where the secret is: use one of these lines.\n";
    match account.login {
        Login::Password => format!(
            "{head}#password-command = \"pass show mail/{name}\"\n#password-file = \"~/.config/vandelay/{name}.password\"\n#password-credential = \"{name}\"\n",
            name = account.name
        ),
        Login::Token => {
            format!(
                "{head}#token-command = \"oauth-token {name}\"\n#token-credential = \"{name}\"\n",
                name = account.name
            )
        }
    }
}

/// The lines of one source; as a comment unless it is `is_wanted` and was found.
fn source(account: &Account, kind: ServiceKind, is_wanted: bool) -> String {
    let name = kind.name();
    let line = |url: &str| match kind {
        ServiceKind::Jmap => {
            format!("{name} = {{ url = {}, account-name = {} }}\n", value(url), value(&account.address))
        }
        _ => format!("{name} = {{ url = {} }}\n", value(url)),
    };
    let Some(service) = account.found.of(kind) else {
        let example = match kind {
            ServiceKind::Imap => "imaps://imap.example.com",
            ServiceKind::ManageSieve => "sieves://imap.example.com",
            ServiceKind::Jmap => return String::new(),
            ServiceKind::CalDav | ServiceKind::CardDav => "https://dav.example.com",
        };
        return format!(
            "# Not found. If there is one, write its URL here (docs/providers.md lists some).\n#{}",
            line(example)
        );
    };
    let origin = comment(&service.origin);
    match (&service.foreign, service.is_used()) {
        (Some(host), false) => format!(
            "# {origin} names {}, of another domain than the address. Use it only if it is your provider's.\n#{}",
            comment(host),
            line(&service.url)
        ),
        _ if !is_wanted && kind == ServiceKind::Jmap => format!(
            "# From {origin}. JMAP takes the whole account at once: use it in place of the other sources, never beside them.\n#{}",
            line(&service.url)
        ),
        _ if !is_wanted => format!("# From {origin}. JMAP has all of it already.\n#{}", line(&service.url)),
        _ => format!("# From {origin}.\n{}", line(&service.url)),
    }
}

/// A string of TOML. Its basic strings have the escapes of JSON, and DEL has to be escaped, too.
fn value(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

/// Text of strangers for a comment: one line.
fn comment(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || is_unsafe(c) { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::commands::Cli;
    use clap::CommandFactory;
    use std::collections::BTreeSet;

    fn service(kind: ServiceKind, url: &str, foreign: Option<&str>) -> FoundService {
        FoundService {
            kind,
            url: url.to_owned(),
            user: None,
            wants_token: false,
            origin: "the SRV record\u{202e}\n[x]".to_owned(),
            foreign: foreign.map(str::to_owned),
            is_confirmed: false,
        }
    }

    fn whole(login: Login, services: Vec<FoundService>) -> Account {
        Account {
            name: "alice".to_owned(),
            archive: "/tmp/a \"b\"\\\u{7f}\n.sqlite".to_owned(),
            address: "alice@example.com".to_owned(),
            user: "alice@example.com".to_owned(),
            login,
            secret: Some((
                if login == Login::Token { "token-command" } else { "password-command" },
                "x 'y' \"z\"".into(),
            )),
            found: Discovered { services, unanswered: Vec::new() },
        }
    }

    fn all() -> Vec<FoundService> {
        ServiceKind::ALL.map(|kind| service(kind, "https://a.example.com", None)).to_vec()
    }

    fn parse(text: &str) -> toml::Table {
        text.parse().unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    /// The lines that are examples become lines of the file.
    fn with_examples(text: &str) -> String {
        let line = |line: &str| {
            let rest =
                line.strip_prefix('#').filter(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '['));
            format!("{}\n", rest.unwrap_or(line))
        };
        text.lines().map(line).collect()
    }

    fn flags(kind: &str) -> BTreeSet<String> {
        let command = Cli::command();
        let import = command.find_subcommand("import").and_then(|import| import.find_subcommand(kind));
        let import = import.unwrap_or_else(|| panic!("no import {kind}"));
        import.get_arguments().filter_map(|arg| arg.get_long().map(str::to_owned)).collect()
    }

    /// Each key of a source is a flag of its import; a key of the account is one of at least one of its sources.
    fn check(table: &toml::Table) -> BTreeSet<String> {
        let account = table["account"]["alice"].as_table().expect("an account");
        let kinds: Vec<&str> = ServiceKind::ALL.iter().map(|kind| kind.name()).collect();
        let mut sources = BTreeSet::new();
        for (key, value) in account {
            match (value, key.as_str()) {
                (toml::Value::Table(source), kind) => {
                    assert!(kinds.contains(&kind), "{kind}");
                    for key in source.keys() {
                        assert!(flags(kind).contains(key), "import {kind} has no --{key}");
                    }
                    sources.insert(kind.to_owned());
                }
                (_, "archive") => {}
                (_, key) => assert!(kinds.iter().any(|kind| flags(kind).contains(key)), "no import has --{key}"),
            }
        }
        sources
    }

    #[test]
    fn what_is_written_is_toml_whose_keys_are_flags() {
        for (login, services, sources) in [
            (Login::Password, all(), &["caldav", "carddav", "imap", "managesieve"][..]),
            (Login::Token, all(), &["jmap"]),
            (Login::Password, vec![service(ServiceKind::Jmap, "https://a", None)], &["jmap"]),
            (Login::Password, vec![service(ServiceKind::Imap, "imaps://a", Some("a"))], &[]),
            (Login::Token, Vec::new(), &[]),
        ] {
            let mut account = whole(login, services);
            let text = file(&account);
            let table = parse(&text);
            assert_eq!(check(&table).into_iter().collect::<Vec<_>>(), sources, "{text}");
            assert_eq!(table["account"]["alice"]["archive"].as_str(), Some(account.archive.as_str()));
            assert!(!text.contains('\u{202e}'), "{text}");
            // The examples are valid, too: those of the secret are alternatives, and each has another key.
            let whole_table = parse(&with_examples(&text));
            check(&whole_table);
            for section in ["retention", "copies", "hooks", "report", "defaults"] {
                assert!(whole_table[section].as_table().is_some_and(|table| !table.is_empty()), "{section}");
            }
            account.secret = None;
            check(&parse(&with_examples(&file(&account))));
        }
    }

    #[test]
    fn a_service_of_another_domain_is_used_once_it_is_confirmed() {
        let mut foreign = service(ServiceKind::Imap, "imaps://mail.example.net", Some("mail.example.net"));
        let text = file(&whole(Login::Password, vec![foreign.clone()]));
        assert!(text.contains("names mail.example.net, of another domain"), "{text}");
        assert!(text.contains("\n#imap = "), "{text}");
        foreign.is_confirmed = true;
        assert!(file(&whole(Login::Password, vec![foreign])).contains("\nimap = "));
    }
}

//! docs/providers.md: what it lists can be typed, every line says where it comes from, and what is called tried has a test.

use crate::common::ok;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use url::Url;
use vandelay::net::endpoint::{Endpoint, Service};
use vandelay::net::http::address;

const PROTOCOLS: [&str; 6] = ["IMAP", "CalDAV", "CardDAV", "WebDAV", "ManageSieve", "JMAP"];

const PROVIDERS: [&str; 14] = [
    "Gmail",
    "iCloud",
    "Fastmail",
    "mailbox.org",
    "Posteo",
    "GMX",
    "Zoho",
    "Nextcloud",
    "SOGo",
    "Zimbra",
    "Synology",
    "Stalwart",
    "Proton",
    "Outlook.com and Microsoft 365",
];

fn document(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("a document")
}

/// The text below a heading.
fn section(heading: &str) -> String {
    let text = document("docs/providers.md");
    let section = text.split(&format!("\n## {heading}\n")).nth(1).unwrap_or_else(|| panic!("no section {heading}"));
    section.split("\n## ").next().unwrap_or_default().to_owned()
}

/// The cells of the rows of a section's table.
fn rows(section: &str) -> Vec<Vec<String>> {
    let rows = section.lines().filter(|line| line.starts_with("| ")).skip(1);
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn every_provider_says_what_it_has_of_each_protocol() {
    let everything: BTreeSet<&str> = PROTOCOLS.into();
    for provider in PROVIDERS {
        let section = section(provider);
        let mut named = Vec::new();
        for row in rows(&section) {
            let [protocols, url, _, origin] = row.as_slice() else { panic!("{provider}: {row:?}") };
            named.extend(protocols.split(", ").map(str::to_owned));
            let is_marked =
                ["tried: ", "read: "].iter().any(|mark| origin.len() > mark.len() && origin.starts_with(mark));
            assert!(is_marked || origin == "not checked", "{provider}: {protocols}: {origin}");
            for url in quoted(url) {
                protocols.split(", ").for_each(|protocol| can_be_typed(protocol, url));
            }
        }
        named.sort_unstable();
        assert_eq!(named.iter().map(String::as_str).collect::<BTreeSet<_>>(), everything, "{provider}");
        assert_eq!(named.len(), everything.len(), "{provider}: {named:?}");
    }
}

/// The program takes the URL, and it is no URL without encryption.
fn can_be_typed(protocol: &str, url: &str) {
    let outcome = match protocol {
        "IMAP" => Endpoint::parse(url, Service::Imap).map(drop),
        "ManageSieve" => Endpoint::parse(url, Service::Sieve).map(drop),
        _ => address(url, protocol, "").map(drop),
    };
    assert!(outcome.is_ok(), "{protocol}: {url}: {outcome:?}");
    let scheme = Url::parse(url).expect("a URL").scheme().to_owned();
    assert!(scheme != "http", "{url}");
}

#[test]
fn what_is_called_tried_has_a_test() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let files = fs::read_dir(folder).expect("tests").flatten().map(|entry| entry.path()).filter(|path| path.is_file());
    let tests: String = files.map(|path| fs::read_to_string(path).expect("a test")).collect();
    let rows = rows(&section("What was tried"));
    assert!(rows.len() >= 5);
    for row in rows {
        let [server, _, by] = row.as_slice() else { panic!("{row:?}") };
        let names: Vec<&str> = quoted(by).collect();
        assert!(!names.is_empty() || by == "by hand", "{server}: {by}");
        for name in names {
            assert!(tests.contains(&format!("#[test]\nfn {name}()")), "{server}: no test {name}");
        }
    }
}

#[test]
fn the_page_is_found_from_where_it_is_needed() {
    for (path, link) in [
        ("README.md", "docs/providers.md"),
        ("docs/dav.md", "providers.md"),
        ("docs/login.md", "providers.md"),
        ("docs/troubleshooting.md", "providers.md"),
    ] {
        assert!(document(path).contains(&format!("]({link})")), "{path}");
    }
}

#[test]
fn the_help_of_an_import_speaks_of_its_own_protocol() {
    for (command, url, needs_user) in [
        ("imap", "imaps://", true),
        ("managesieve", "sieves://", true),
        ("jmap", "https://", false),
        ("caldav", "https://", false),
        ("carddav", "https://", false),
        ("webdav", "https://", false),
    ] {
        let help = ok(&["import", command, "--help"]);
        let of = |flag: &str| {
            let rest =
                help.split(&format!("      {flag} <")).nth(1).unwrap_or_else(|| panic!("{command} has no {flag}"));
            rest.split("\n      --").next().unwrap_or_default().to_owned()
        };
        assert!(of("--url").contains(url), "{command}: {}", of("--url"));
        assert_eq!(of("--auth-user").contains("needed"), needs_user, "{command}");
        let others = ["IMAP", "ManageSieve", "JMAP", "imaps:", "sieves:"];
        for other in others.iter().filter(|_| !url.starts_with("imap") && !url.starts_with("sieve")) {
            assert!(command == "jmap" || !(of("--url") + &of("--auth-user")).contains(other), "{command}: {other}");
        }
    }
}

//! A domain is enough: its DNS says where the server is, and the login goes nowhere else.

use crate::common::dav::{PASSWORD, USER};
use crate::common::fake_dav::FakeDav;
use crate::common::fake_dns::{self, Known};
use crate::common::servers::{Authority, Certificate, Flaw};
use std::net::SocketAddr;
use std::time::Duration;
use vandelay::error::Error;
use vandelay::net::account::Account;
use vandelay::net::connector::Connector;
use vandelay::net::dns::NameServers;
use vandelay::net::secret::{Credentials, Secret};
use vandelay::net::tls::TlsOptions;
use vandelay::protocol::dav::{Address, Flavor, Settings};
use vandelay::source::Source;
use vandelay::source::dav::Collections;

/// A server with one calendar, on `localhost`.
fn server(certificate: &Certificate) -> FakeDav {
    let server = FakeDav::start_tls(certificate);
    server.with(|state| drop(state.collections.insert("Work".to_owned(), Default::default())));
    server
}

/// Looks for calendars from a domain on; gives the names of their scopes.
fn look(
    url: &str,
    dns: SocketAddr,
    certificate: &Certificate,
    allow_other_origin: bool,
) -> Result<Vec<String>, Box<Error>> {
    let address = Address::parse(url, Flavor::Calendars)?;
    let tls = TlsOptions { pin: Some(certificate.pin().parse().expect("a pin")), ..TlsOptions::default() };
    let settings = Settings {
        account: Account {
            connector: Connector::for_http(address.url(), &tls, Duration::from_secs(5))?,
            credentials: Credentials::Basic { user: USER.to_owned(), password: Secret::new(PASSWORD.to_owned()) },
            allow_cleartext: false,
            max_retries: 0,
            stop: Default::default(),
        },
        address,
        name_servers: NameServers::At(dns),
        flavor: Flavor::Calendars,
        known: None,
        allow_other_origin,
        connections: 2,
        batch: None,
        spool: None,
    };
    let mut source = Collections::open(settings)?;
    Ok(source.scopes()?.0.into_iter().map(|scope| scope.key).collect())
}

#[test]
fn the_dns_of_a_domain_names_its_server() {
    let certificate = Authority::new().certificate(Flaw::None);
    let server = server(&certificate);
    let name = "_caldavs._tcp.example.org";
    // The best host is asked first; nobody listens at the other one.
    let dns = fake_dns::start(vec![
        (name, Known::Srv(20, 1, "localhost")),
        (name, Known::Srv(10, server.port, "localhost.")),
        (name, Known::Txt("path=/alice/")),
    ]);
    let error = look("example.org", dns, &certificate, false).expect_err("another domain");
    let said = format!("{error} {:?}", error.hint_text());
    assert!(said.contains("the DNS of example.org names a server of another domain, https://localhost:"), "{said}");
    assert!(said.contains("--allow-other-origin") && said.contains("nothing secret was sent"), "{said}");
    assert!(server.asked().is_empty(), "{:?}", server.asked());

    let found = look("example.org", dns, &certificate, true).expect("a calendar");
    assert_eq!(found, [format!("https://localhost:{}/alice/home/Work", server.port)]);
    assert_eq!(server.asked().first().map(String::as_str), Some("PROPFIND /alice/"), "the path of TXT");
}

#[test]
fn without_a_path_the_well_known_one_is_asked() {
    let certificate = Authority::new().certificate(Flaw::None);
    let server = server(&certificate);
    let name = "_caldavs._tcp.example.org";
    let dns =
        fake_dns::start(vec![(name, Known::Srv(0, 1, "localhost")), (name, Known::Srv(1, server.port, "localhost"))]);
    let found = look("example.org", dns, &certificate, true).expect("a calendar");
    assert_eq!(found.len(), 1, "the first host is down, the second is not");
    assert_eq!(server.asked()[..2], ["PROPFIND /.well-known/caldav", "PROPFIND /.well-known/caldav"]);
    assert!(server.asked().iter().all(|asked| !asked.starts_with("GET")), "{:?}", server.asked());
}

#[test]
fn a_url_with_a_path_asks_no_dns_and_a_domain_without_a_record_is_asked_itself() {
    let certificate = Authority::new().certificate(Flaw::None);
    let server = server(&certificate);
    let dns = fake_dns::start(Vec::new());
    let url = format!("https://localhost:{}/alice/", server.port);
    assert_eq!(look(&url, dns, &certificate, false).expect("a calendar"), ["/alice/home/Work"]);
    let error = look("nothing.invalid", dns, &certificate, false).expect_err("no such host");
    assert!(error.to_string().contains("nothing.invalid"), "{error}");
}

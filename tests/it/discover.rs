//! From an address to its servers: records, files of mail programs and well-known URLs. No request has a login.

use crate::common::fake::{Fake, say};
use crate::common::fake_dns::{self, Known};
use crate::common::servers::{Authority, Certificate, Flaw};
use crate::common::{ok, vandelay};
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use vandelay::net::dns::NameServers;
use vandelay::net::runtime::Runtime;
use vandelay::net::tls::TlsOptions;
use vandelay::protocol::discover::{Discovered, Discovery, discover};

/// A web server on `localhost` that has fixed answers by the beginning of a path, and notes what it is asked.
struct Web {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Web {
    fn start(certificate: &Certificate, answers: Vec<(&'static str, String)>) -> Web {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (config, asked) = (certificate.server_config(), Arc::new(Mutex::new(Vec::new())));
        let (notes, answers) = (Arc::clone(&asked), Arc::new(answers));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, notes, answers) = (Arc::clone(&config), Arc::clone(&notes), Arc::clone(&answers));
                std::thread::spawn(move || {
                    let line = rustls::ServerConnection::new(config).expect("a connection");
                    let mut stream = rustls::StreamOwned::new(line, stream);
                    let (mut head, mut byte) = (Vec::new(), [0]);
                    while !head.ends_with(b"\r\n\r\n") {
                        match stream.read(&mut byte) {
                            Ok(1) => head.push(byte[0]),
                            _ => return,
                        }
                    }
                    let head = String::from_utf8_lossy(&head).into_owned();
                    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                    notes.lock().expect("notes").push(head);
                    let answer = answers.iter().find(|(begin, _)| path.starts_with(begin));
                    let text = answer.map_or("404 Not Found\r\nContent-Length: 0\r\n\r\n", |(_, text)| text.as_str());
                    if text == "silence" {
                        std::thread::sleep(Duration::from_secs(30));
                        return;
                    }
                    let _ = stream.write_all(format!("HTTP/1.1 {text}").as_bytes());
                    stream.conn.send_close_notify();
                    let _ = stream.flush();
                });
            }
        });
        Web { port, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("notes").clone()
    }
}

fn page(body: &str) -> String {
    format!("200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn led(to: &str) -> String {
    format!("301 Moved\r\nLocation: {to}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
}

fn login() -> String {
    "401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        .to_owned()
}

fn file_with(host: &str) -> String {
    page(&format!(
        "<clientConfig><emailProvider id='x'><incomingServer type='imap'><hostname>{host}</hostname><port>993</port>\
         <socketType>SSL</socketType><username>%EMAILLOCALPART%</username></incomingServer></emailProvider></clientConfig>"
    ))
}

fn find(address: &str, dns: SocketAddr, certificate: &Certificate, web: u16, directory: Option<String>) -> Discovered {
    let discovery = Discovery {
        name_servers: NameServers::At(dns),
        tls: TlsOptions { pin: Some(certificate.pin().parse().expect("a pin")), ..TlsOptions::default() },
        web_port: web,
        sieve_port: 1,
        directory,
        patience: Duration::from_secs(3),
    };
    Runtime::new(Arc::default()).expect("a runtime").run(discover(&discovery, address)).expect("a search")
}

/// `imap imaps://…` of each service, with its user and the host that is of another domain.
fn shown(found: &Discovered) -> Vec<String> {
    let line = |one: &vandelay::protocol::discover::FoundService| {
        let parts = [Some(one.kind.name()), Some(&one.url), one.user.as_deref(), one.foreign.as_deref()];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
    };
    found.services.iter().map(line).collect()
}

#[test]
fn records_of_the_domain_name_its_servers() {
    let certificate = Authority::new().certificate(Flaw::None);
    let dns = fake_dns::start(vec![
        ("_imaps._tcp.example.org", Known::Srv(20, 993, "second.example.org")),
        ("_imaps._tcp.example.org", Known::Srv(10, 1993, "mail.example.org")),
        ("_imap._tcp.example.org", Known::Srv(0, 143, "old.example.org")),
        ("_jmap._tcp.example.org", Known::Srv(0, 443, ".")),
        ("_caldavs._tcp.example.org", Known::Srv(0, 443, "dav.example.org")),
        ("_caldavs._tcp.example.org", Known::Txt("path=/dav/cal")),
        ("_carddavs._tcp.example.org", Known::Srv(0, 8443, "dav.elsewhere.net")),
        ("_sieve._tcp.example.org", Known::Srv(0, 4190, "mail.example.org")),
    ]);
    let found = find("alice@example.org", dns, &certificate, 1, None);
    assert_eq!(
        shown(&found),
        [
            "imap imaps://mail.example.org:1993",
            "caldav https://dav.example.org/dav/cal",
            "carddav https://dav.elsewhere.net:8443 dav.elsewhere.net",
            "managesieve sieve://mail.example.org",
        ]
    );
    assert!(!found.services[2].is_used(), "not before the user has said that it is the provider's");
    assert!(found.unanswered.contains(&"the DNS has no _jmap._tcp.example.org".to_owned()), "{:?}", found.unanswered);
}

#[test]
fn the_server_of_imap_may_have_managesieve() {
    let certificate = Authority::new().certificate(Flaw::None);
    let dns = fake_dns::start(vec![("_imaps._tcp.example.org", Known::Srv(0, 993, "localhost"))]);
    for (greeting, is_one) in [
        ("\"IMPLEMENTATION\" \"x\"\r\n\"STARTTLS\"\r\nOK \"hello\"\r\n", true),
        ("\"IMPLEMENTATION\" \"no TLS\"\r\nOK \"hello\"\r\n", false),
        ("220 mail.example.org ESMTP STARTTLS\r\n", false),
        ("", false),
    ] {
        let fake = Fake::start(vec![vec![say(greeting)]], &certificate);
        let discovery = Discovery {
            name_servers: NameServers::At(dns),
            web_port: 1,
            sieve_port: fake.port,
            directory: None,
            patience: Duration::from_secs(3),
            ..Discovery::default()
        };
        let runtime = Runtime::new(Arc::default()).expect("a runtime");
        let found = runtime.run(discover(&discovery, "alice@example.org")).expect("a search");
        let sieve = format!("managesieve sieve://localhost:{} localhost", fake.port);
        assert_eq!(shown(&found).contains(&sieve), is_one, "{greeting}: {:?}", found.unanswered);
        assert_eq!(fake.said(), "", "nothing is said to it");
    }
}

#[test]
fn files_and_well_known_urls_name_the_rest() {
    let certificate = Authority::new().certificate(Flaw::None);
    let session = page("{\"capabilities\":{}}");
    let web = Web::start(
        &certificate,
        vec![
            ("/.well-known/autoconfig/", file_with("localhost")),
            ("/.well-known/caldav", led("/dav/")),
            ("/dav/", login()),
            ("/.well-known/carddav", page("<html>every path has this page</html>")),
            ("/.well-known/jmap", session),
            ("/v1.1/", file_with("of.the.directory.example.com")),
        ],
    );
    let port = web.port;
    let dns = fake_dns::start(Vec::new());
    let directory = Some(format!("https://localhost:{port}/v1.1/"));
    let found = find("alice@localhost", dns, &certificate, port, directory);
    let expected = [
        "imap imaps://localhost alice".to_owned(),
        format!("jmap https://localhost:{port}/"),
        format!("caldav https://localhost:{port}/dav/"),
    ];
    assert_eq!(shown(&found), expected, "what the domain says counts before the directory: {:?}", found.unanswered);
    let asked = web.asked();
    assert!(asked.iter().any(|head| head.starts_with("GET /v1.1/localhost ")), "{asked:?}");
    for head in asked {
        let is_own = head.starts_with("GET /mail/config-v1.1.xml?");
        assert!(is_own || !head.contains("alice"), "only the domain's own server hears the address: {head}");
        assert!(!head.to_ascii_lowercase().contains("authorization"), "{head}");
    }
}

#[test]
fn the_domain_that_takes_the_mail_may_be_in_the_directory() {
    let certificate = Authority::new().certificate(Flaw::None);
    let web = Web::start(&certificate, vec![("/v1.1/provider.net", file_with("imap.provider.net"))]);
    let dns = fake_dns::start(vec![
        ("example.org", Known::Mx(20, "mx.backup.com")),
        ("example.org", Known::Mx(10, "mx1.in.provider.net.")),
    ]);
    let directory = Some(format!("https://localhost:{}/v1.1/", web.port));
    let found = find("alice@example.org", dns, &certificate, 1, directory);
    assert_eq!(shown(&found), ["imap imaps://imap.provider.net alice imap.provider.net"], "{:?}", found.unanswered);
}

#[test]
fn hostile_servers_end_the_search_in_time() {
    let certificate = Authority::new().certificate(Flaw::None);
    let large = format!("200 OK\r\nConnection: close\r\n\r\n{}", "<a>".repeat(1 << 20));
    let web = Web::start(
        &certificate,
        vec![
            ("/.well-known/autoconfig/", large),
            ("/.well-known/caldav", led("/.well-known/caldav")),
            ("/.well-known/carddav", led("http://localhost/dav/")),
            ("/.well-known/jmap", "silence".to_owned()),
            ("/v1.1/", file_with("user:pass@evil/..%2f\u{202e}")),
        ],
    );
    let dns = fake_dns::start(Vec::new());
    let begun = Instant::now();
    let directory = Some(format!("https://localhost:{}/v1.1/", web.port));
    let found = find("alice@localhost", dns, &certificate, web.port, directory);
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert_eq!(shown(&found), [""; 0]);
    let unanswered = found.unanswered.join("\n");
    for why in ["too long", "redirects without end", "not encrypted", "no answer", "names no server that can be used"] {
        assert!(unanswered.contains(why), "{why}: {unanswered}");
    }
    assert!(!unanswered.contains('\u{202e}') && !unanswered.contains("alice"), "{unanswered}");

    // A name server that never answers.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let begun = Instant::now();
    let found = find("alice@example.org", silent.local_addr().expect("an address"), &certificate, 1, None);
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert!(
        found.unanswered.contains(&"_imaps._tcp.example.org: no answer within 3 s".to_owned()),
        "{:?}",
        found.unanswered
    );
}

fn init(arguments: &[&str], input: &str) -> Output {
    let mut child = vandelay()
        .args(["config", "init"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    child.stdin.take().expect("its input").write_all(input.as_bytes()).expect("written");
    child.wait_with_output().expect("it ends")
}

#[test]
fn a_file_is_written_once_and_holds_no_secret() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("new/config.toml");
    let config = path.to_str().expect("UTF-8");
    let output = init(&["--offline", "--config", config], "alice@example.org\n\npass show mail\n");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains("vandelay run --check"), "{said}");
    assert_eq!(path.metadata().expect("the file").permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&path).expect("the file");
    assert!(text.contains("\nauth-basic = \"alice@example.org\"\npassword-command = \"pass show mail\"\n"), "{text}");

    let flags = ["--offline", "--yes", "--config", config, "--address", "alice@example.org", "--login", "token"];
    let output = init(&flags, "");
    let (out, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("is there already and stays as it is"), "{said}");
    assert!(said.contains("it has an account alice already"), "{said}");
    assert!(out.starts_with("[account.alice]\n") && out.contains("\nauth-bearer = true\n"), "{out}");
    assert_eq!(fs::read_to_string(&path).expect("the file"), text, "it stays");

    for (arguments, input, why) in [
        (&["--yes"][..], "", "no mail address is given"),
        (&[], "", "no mail address is given"),
        (&["--address", "alice"], "", "is no mail address"),
        (&["--address", "a@example.org"], "smoke signals\n", "neither 'password' nor 'token'"),
        (&["--address", "a@example.org", "--login", "password", "--token-command", "x"], "", "do not go together"),
    ] {
        let other = dir.path().join("other.toml");
        let output = init(&[&["--offline", "--config", other.to_str().expect("UTF-8")], arguments].concat(), input);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && said.contains(why), "{arguments:?}: {said}");
        assert!(said.contains("hint: ") && !other.exists(), "{said}");
    }
    let full = init(&["--offline", "--yes", "--address", "a@b.example", "--config", "/proc/nothing/config.toml"], "");
    assert_eq!(full.status.code(), Some(7), "{}", String::from_utf8_lossy(&full.stderr));
    assert!(ok(&["config", "--help"]).contains("init"));
}

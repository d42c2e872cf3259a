//! A wait has an end and a word for it: wrong ports, servers that are away, silent, or send a byte now and then.

use crate::common;
use crate::common::fake::{Fake, Step, say};
use crate::common::fake_imap::*;
use crate::common::jmap::{At, Endpoint, Fault, When};
use crate::common::jmap_run::without_small_blobs;
use crate::common::servers::{Authority, Flaw};
use crate::common::*;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const SIEVE: &str = "\"IMPLEMENTATION\" \"x\"\r\n\"SASL\" \"PLAIN\"\r\n\"STARTTLS\"\r\nOK\r\n";
const IMAP: &str = "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN STARTTLS] hello\r\n";

fn command(kind: &str, url: &str, archive: &Path) -> Command {
    let mut command = vandelay();
    command.args(["import", kind, "--url", url, "--auth-basic", "alice"]).arg(archive);
    command.env("VANDELAY_PASSWORD", "correct horse battery").stdin(Stdio::null());
    command
}

fn ends(mut command: Command, code: i32) -> String {
    let output = command.output().expect("the program starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(!said.contains("docs.rs") && !said.contains("panicked"), "{said}");
    assert_eq!(said.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{said}");
    said
}

#[test]
fn a_port_of_another_kind_is_named() {
    let authority = Authority::new();
    let certificate = authority.certificate(Flaw::None);
    for (kind, scheme, script, expected) in [
        ("imap", "imap", vec![Step::Tls, say(IMAP), Step::Silence], "use imaps://localhost:"),
        ("imap", "imaps", vec![say(IMAP), Step::Silence], "use imap://localhost:"),
        (
            "imap",
            "imap",
            vec![say(SIEVE), Step::Silence],
            "'vandelay import managesieve' with --url sieve://localhost:",
        ),
        ("imap", "imaps", vec![Step::Tls, say(SIEVE), Step::Silence], "with --url sieves://localhost:"),
        ("managesieve", "sieve", vec![say(IMAP), Step::Silence], "'vandelay import imap' with --url imap://localhost:"),
        ("managesieve", "sieve", vec![Step::Tls, say(SIEVE), Step::Silence], "use sieves://localhost:"),
        ("managesieve", "sieves", vec![say(SIEVE), Step::Silence], "use sieve://localhost:"),
        ("imap", "imap", vec![say("220 mail ESMTP\r\n"), Step::Silence], "check the port: IMAP has 993"),
        ("jmap", "https", vec![say(IMAP), Step::Silence], "does not speak TLS on this port"),
        ("jmap", "http", vec![say(IMAP), Step::Silence], "does not speak HTTP on this port"),
        ("jmap", "http", vec![Step::Tls, Step::Silence], "the URL begins with https:"),
    ] {
        let fake = Fake::start(vec![script], &certificate);
        let dir = tempfile::tempdir().expect("a directory");
        let url = format!("{scheme}://localhost:{}", fake.port);
        let mut command = command(kind, &url, &dir.path().join("a.sqlite"));
        // Were the time limit waited for, the test would fail by its own.
        if kind == "jmap" {
            command.args(["--account-id", "A1", "--allow-cleartext"]);
        }
        command.args(["--timeout", "600"]).env("SSL_CERT_FILE", authority.file(dir.path()));
        let said = ends(command, 2);
        assert!(said.contains(expected), "{url}: {said}");
        // Over HTTP the first words of a client are its credentials, and the user has allowed that.
        assert!(scheme == "http" || !fake.has_seen("correct horse battery"));
        assert!(!dir.path().join("a.sqlite").exists());
    }
}

#[test]
fn who_waits_is_told_for_what() {
    let dir = tempfile::tempdir().expect("a directory");
    let archive = dir.path().join("a.sqlite");
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    for (kind, scheme) in [("imap", "imaps"), ("managesieve", "sieves"), ("jmap", "https")] {
        let mut command = command(kind, &format!("{scheme}://127.0.0.1:{port}"), &archive);
        if kind == "jmap" {
            command.args(["--account-id", "A1"]);
        }
        command.args(["--max-retries", "2"]);
        let said = ends(command, 2);
        assert!(said.contains("trying again for up to") && said.contains(&port.to_string()), "{kind}: {said}");
    }
    // A server that takes the connection and says nothing: two attempts, and a word before the first one has failed.
    for (kind, scheme) in [("imap", "imap"), ("managesieve", "sieve"), ("jmap", "http")] {
        let (port, connections) = silent();
        let mut command = command(kind, &format!("{scheme}://127.0.0.1:{port}"), &archive);
        if kind == "jmap" {
            command.args(["--account-id", "A1"]);
        }
        command.args(["--timeout", "3", "--max-retries", "50", "--allow-cleartext"]);
        let said = ends(command, 2);
        assert!(said.starts_with("waiting for "), "{kind}: {said}");
        // Two attempts, each of which may look at the port in two ways.
        assert!(connections.load(Ordering::SeqCst) <= 6, "{kind}: {connections:?}: {said}");
    }
}

/// A server that is silent, and counts who comes.
fn silent() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for stream in listener.incoming().flatten() {
            count.fetch_add(1, Ordering::SeqCst);
            open.push(stream);
        }
    });
    (port, connections)
}

/// A server that says `quick` at once, and `slow` byte by byte behind the first line that it hears, or at once.
fn dripping(quick: &'static str, slow: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                if !quick.is_empty() {
                    stream.write_all(quick.as_bytes())?;
                    stream.read_exact(&mut [0; 4])?;
                }
                for byte in slow.bytes().cycle() {
                    stream.write_all(&[byte])?;
                    std::thread::sleep(Duration::from_millis(250));
                }
                std::io::Result::Ok(())
            });
        }
    });
    port
}

#[test]
fn a_server_that_drips_is_ended_and_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let archive = dir.path().join("a.sqlite");
    for (kind, scheme, quick, slow) in [
        ("imap", "imap", "", "* OK hello hello hello hello"),
        ("imap", "imap", IMAP, "* CAPABILITY IMAP4rev1 and so on"),
        ("managesieve", "sieve", "", "\"IMPLEMENTATION\" \"x\" "),
        ("managesieve", "sieve", SIEVE, "OK and so on "),
    ] {
        let port = dripping(quick, slow);
        let mut command = command(kind, &format!("{scheme}://127.0.0.1:{port}"), &archive);
        command.args(["--timeout", "2", "--max-retries", "0"]);
        let said = ends(command, 2);
        assert!(said.contains("the server sent only") && said.contains("bytes in 2 s"), "{kind} {quick}: {said}");
    }
}

#[test]
fn a_message_that_drips_costs_this_message() {
    let dir = tempfile::tempdir().expect("a directory");
    let archive = dir.path().join("a.sqlite");
    let all: Vec<Mail> = (1..=10).map(|number| mail(number, &message(number))).collect();
    let server = FakeImap::start(USUAL, vec![mailbox("INBOX", all.clone())]);
    // The bytes of this one never come to their end.
    server.hook(move |command| {
        let set = command.strip_prefix("UID FETCH ")?.split(' ').next()?;
        let is_bad = command.contains("BODY.PEEK[]") && contains(set, 4);
        is_bad.then(|| {
            let sound = all.iter().filter(|mail| contains(set, mail.uid) && mail.uid < 4);
            let mut answer: Vec<u8> = sound.flat_map(|mail| fetched(1, mail, command)).collect();
            answer.extend_from_slice(b"* 4 FETCH (UID 4 BODY[] {400}\r\nabc");
            answer
        })
    });
    let url = format!("imap://127.0.0.1:{}", server.port);
    let mut command = command("imap", &url, &archive);
    command.args(["--allow-cleartext", "--timeout", "1", "--imap-connections", "1"]);
    let said = ends(command, 5);
    assert!(said.contains("silent when it is asked for this message") && said.contains("INBOX: UID 4 ("), "{said}");
    let listed = ok(&["ls", "-R", archive.to_str().expect("UTF-8"), "mail"]);
    assert_eq!(listed.lines().filter(|line| line.contains(".vandelay,")).count(), 9, "{listed}");
}

#[test]
fn a_blob_that_never_arrives_costs_this_object() {
    for fault in [
        Fault::CutBefore,
        Fault::CutInBody(10),
        Fault::Drip(1, Duration::from_millis(300)),
        Fault::Status(500),
        Fault::Status(503),
    ] {
        let server = common::jmap::Server::start(without_small_blobs());
        jmap_account::fill(&server);
        let emails = server.objects("A1", "Email");
        let bad: Vec<String> =
            emails.values().take(2).map(|email| email["blobId"].as_str().expect("an id").to_owned()).collect();
        for blob in &bad {
            server.fault(At::Target(blob.clone()), When::Always, fault.clone());
        }
        let dir = tempfile::tempdir().expect("a directory");
        let archive = dir.path().join("a.sqlite");
        let import = |code: i32| {
            let mut command = common::jmap_run::command(&server, "import");
            command.args(["--timeout", "2", "--max-retries", "2"]).arg(&archive);
            common::jmap_run::judge(&command.output().expect("the program starts"), code)
        };
        for _ in 0..2 {
            let (summary, said) = import(5);
            let account = &summary["types"]["email"];
            let failed: u64 =
                account["failed_reasons"].as_object().expect("reasons").values().filter_map(|one| one.as_u64()).sum();
            assert_eq!(failed, 2, "{said}");
            assert_eq!(account["found"], 31, "{said}");
        }
        server.reset_faults();
        let (summary, _) = import(0);
        assert_eq!(common::jmap_run::stored(&summary, "email"), [2, 0, 29]);
        // A server that is gone is another matter.
        let (other, archive) = (common::jmap::Server::start(without_small_blobs()), dir.path().join("b.sqlite"));
        jmap_account::fill(&other);
        other.fault(At::Endpoint(Endpoint::Download), When::Always, Fault::CutBefore);
        other.fault(At::Call("Core/echo"), When::Always, Fault::CutBefore);
        let mut command = common::jmap_run::command(&other, "import");
        command.args(["--max-retries", "1"]).arg(&archive);
        common::jmap_run::judge(&command.output().expect("the program starts"), 2);
    }
}

#[test]
fn objects_that_a_jmap_server_breaks_off_at_take_no_others_with_them() {
    let server = common::jmap::Server::start(without_small_blobs());
    jmap_account::fill(&server);
    let bad = server.objects("A1", "Email").into_keys().nth(3).expect("an email");
    for fault in [Fault::CutBefore, Fault::Status(500)] {
        server.reset_faults();
        server.fault(At::Body(format!("\"{bad}\"")), When::Always, fault);
        let dir = tempfile::tempdir().expect("a directory");
        let archive = dir.path().join("a.sqlite");
        let mut command = common::jmap_run::command(&server, "import");
        command.args(["--max-retries", "1"]).arg(&archive);
        let (summary, said) = common::jmap_run::judge(&command.output().expect("the program starts"), 5);
        assert_eq!(common::jmap_run::stored(&summary, "email"), [30, 0, 0], "{said}");
        assert!(said.contains(&bad), "{said}");
    }
}

//! No secret comes on the screen, whatever a server says, over which protocol and with which mechanism; and a login that
//! was refused is not tried again in another way.

use crate::common::fake::{Fake, Step, say};
use crate::common::fake_imap::*;
use crate::common::jmap::{At, Auth, Endpoint, Fault, Options, Server, When};
use crate::common::jmap_account;
use crate::common::servers::{Authority, Flaw};
use crate::common::*;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::path::Path;
use std::process::{Command, Stdio};

const PASSWORD: &str = "correct horse/battery+staple";
const TOKEN: &str = "ya29.a0AfH6SMBx-y_z.QkFUVEVSWQ~";

/// The forms in which a server may say a secret again.
fn forms(secret: &str) -> Vec<String> {
    let percent: String = secret
        .bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect();
    vec![
        secret.to_owned(),
        secret.to_uppercase(),
        STANDARD.encode(secret),
        STANDARD.encode(format!("\0alice\0{secret}")),
        STANDARD.encode(format!("alice:{secret}")),
        STANDARD.encode(format!("user=alice\x01auth=Bearer {secret}\x01\x01")),
        STANDARD.encode(format!("n,a=alice,\x01host=localhost\x01port=993\x01auth=Bearer {secret}\x01\x01")),
        percent,
        secret.bytes().map(|byte| format!("{byte:02x}")).collect(),
    ]
}

/// What must not be read anywhere: the secret, and what only it can be decoded to.
fn is_told(said: &str, secret: &str) -> Option<String> {
    let lower = said.to_lowercase();
    let inner = |form: &String| form.trim_end_matches('=')[form.len() / 2..].trim_end_matches('=').to_lowercase();
    // The second half of each form is within the secret.
    forms(secret).iter().map(inner).map(|form| form[..form.len() - 3].to_owned()).find(|form| lower.contains(form))
}

fn run(mut command: Command, what: &str, secret: &str, codes: &[i32]) -> String {
    let output = command.output().expect("the program starts");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let code = calm(&output, what);
    assert!(codes.contains(&code), "{what}: {code}: {said}");
    assert_eq!(is_told(&said, secret), None, "{what}: {said}");
    assert!(said.contains("(not shown)"), "{what}: nothing had to be hidden? {said}");
    said
}

fn command(kind: &str, url: &str, archive: &Path, secret: &str) -> Command {
    let mut command = vandelay();
    command.args(["import", kind, "-vvv", "--allow-cleartext", "--timeout", "5", "--max-retries", "0", "--url", url]);
    match secret {
        TOKEN => command.args(["--auth-bearer", "--auth-user", "alice"]).env("VANDELAY_TOKEN", TOKEN),
        _ => command.args(["--auth-basic", "alice"]).env("VANDELAY_PASSWORD", PASSWORD),
    };
    if kind == "jmap" {
        command.args(["--account-id", "A1"]);
    }
    command.arg(archive).stdin(Stdio::null());
    command
}

#[test]
fn the_checks_of_this_test_see_what_they_should() {
    for secret in [PASSWORD, TOKEN] {
        for form in forms(secret) {
            assert!(is_told(&format!("NO: {form}"), secret).is_some(), "{form}");
        }
        assert!(is_told("NO [AUTHENTICATIONFAILED] (not shown)", secret).is_none());
    }
}

#[test]
fn no_imap_server_makes_us_show_a_secret() {
    for (mechanism, secret) in [
        ("AUTH=PLAIN", PASSWORD),
        ("AUTH=LOGIN", PASSWORD),
        ("AUTH=SCRAM-SHA-256", PASSWORD),
        ("", PASSWORD),
        ("AUTH=XOAUTH2", TOKEN),
        ("AUTH=OAUTHBEARER", TOKEN),
    ] {
        for form in forms(secret) {
            let dir = tempfile::tempdir().expect("a directory");
            let archive = dir.path().join("a.sqlite");
            let server =
                FakeImap::start(&format!("IMAP4rev1 SASL-IR LITERAL+ {mechanism}"), vec![mailbox("INBOX", Vec::new())]);
            let url = format!("imap://localhost:{}", server.port);
            let words = form.clone();
            server.hook(move |command| {
                let is_login = command.starts_with("AUTHENTICATE") || command.starts_with("LOGIN");
                is_login.then(|| {
                    format!("* OK [ALERT] it is {words}\r\n$TAG NO [AUTHENTICATIONFAILED] {words} is wrong\r\n")
                        .into_bytes()
                })
            });
            run(command("imap", &url, &archive, secret), &format!("{mechanism}: {form}"), secret, &[12]);
            // Let in, and told it all the same: in a list, in a refusal, in words that nobody asked for.
            let words = form.clone();
            server.hook(move |command| {
                let text = match command.split(' ').next().unwrap_or_default() {
                    "AUTHENTICATE" | "LOGIN" if mechanism.ends_with("LOGIN") || mechanism.contains("SCRAM") => {
                        format!("* NO {words}\r\n$TAG NO [UNAVAILABLE] {words}\r\n")
                    }
                    "AUTHENTICATE" | "LOGIN" => format!("* OK {words}\r\n$TAG OK {words}\r\n"),
                    "LIST" => format!("* OK [ALERT] {words}\r\n* LIST () \"/\" \"{words}\"\r\n$TAG NO {words}\r\n"),
                    _ => return None,
                };
                Some(text.into_bytes())
            });
            run(command("imap", &url, &archive, secret), &format!("{mechanism}, inside: {form}"), secret, &[2]);
            // A mailbox that is called like it, and cannot be opened.
            let words = form.clone();
            let has_login = !(mechanism.ends_with("LOGIN") || mechanism.contains("SCRAM"));
            server.hook(move |command| {
                let list = || format!("* LIST () \"/\" INBOX\r\n* LIST () \"/\" \"{words}\"\r\n$TAG OK x\r\n");
                match command.split(' ').next().unwrap_or_default() {
                    "LIST" => Some(list().into_bytes()),
                    "STATUS" | "EXAMINE" | "SELECT" if !command.contains("INBOX") => {
                        Some(format!("$TAG NO [CANNOT] {words}\r\n").into_bytes())
                    }
                    _ => None,
                }
            });
            if has_login {
                run(command("imap", &url, &archive, secret), &format!("{mechanism}, mailbox: {form}"), secret, &[5]);
            }
        }
    }
}

#[test]
fn greetings_and_what_a_mechanism_says() {
    let authority = Authority::new();
    let certificate = authority.certificate(Flaw::None);
    let reason = |secret: &str| STANDARD.encode(format!("{{\"status\":\"{secret}\",\"scope\":\"{secret}\"}}"));
    let auth = |name: &str| format!("* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH={name}] hello\r\n");
    let token_refused = |mechanism: &str| {
        vec![
            say(&auth(mechanism)),
            Step::Hear(""),
            say(&format!("+ {}\r\n", reason(TOKEN))),
            Step::Hear(""),
            say("V1 NO no\r\n"),
            Step::Silence,
        ]
    };
    for (what, secret, script, code) in [
        ("BYE", PASSWORD, vec![say(&format!("* BYE no {PASSWORD}\r\n"))], 2),
        ("no greeting", PASSWORD, vec![say(&format!("{PASSWORD}\r\n"))], 2),
        ("ALERT", TOKEN, vec![say(&format!("* OK [ALERT] {TOKEN}\r\n")), Step::Answer("$1 BAD no\r\n")], 2),
        ("mechanisms", TOKEN, vec![say(&format!("* OK [CAPABILITY IMAP4rev1 AUTH={TOKEN}] hi\r\n")), Step::Silence], 2),
        ("XOAUTH2", TOKEN, token_refused("XOAUTH2"), 12),
        ("OAUTHBEARER", TOKEN, token_refused("OAUTHBEARER"), 12),
        (
            "SCRAM",
            PASSWORD,
            vec![
                say(&auth("SCRAM-SHA-256")),
                Step::Hear(""),
                say(&format!("+ {}\r\n", STANDARD.encode(format!("e={PASSWORD}")))),
                Step::Hear(""),
                say(&format!("V1 NO {PASSWORD}\r\n")),
                Step::Silence,
            ],
            2,
        ),
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        let fake = Fake::start(vec![script], &certificate);
        let url = format!("imap://localhost:{}", fake.port);
        let output = command("imap", &url, &dir.path().join("a.sqlite"), secret).output().expect("the program starts");
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{what}: {said}");
        assert_eq!(is_told(&said, secret), None, "{what}: {said}");
    }
}

#[test]
fn no_managesieve_server_makes_us_show_a_secret() {
    let authority = Authority::new();
    let certificate = authority.certificate(Flaw::None);
    for (mechanism, secret) in [
        ("PLAIN", PASSWORD),
        ("LOGIN", PASSWORD),
        ("SCRAM-SHA-256", PASSWORD),
        ("XOAUTH2", TOKEN),
        ("OAUTHBEARER", TOKEN),
    ] {
        for form in forms(secret) {
            let greeting = format!("\"IMPLEMENTATION\" \"{form}\"\r\n\"SASL\" \"{mechanism}\"\r\nOK \"hi {form}\"\r\n");
            let refusal = format!("NO \"{form} is wrong\"\r\n");
            let mut login = vec![say(&greeting), Step::Hear("AUTHENTICATE")];
            if mechanism == "LOGIN" {
                login.extend([
                    say("\"VXNlcm5hbWU6\"\r\n"),
                    Step::Hear(""),
                    say("\"UGFzc3dvcmQ6\"\r\n"),
                    Step::Hear(""),
                ]);
            }
            let refused = [login.clone(), vec![say(&refusal), Step::Silence]].concat();
            let mut inside =
                [login.clone(), vec![say(&format!("OK \"{form}\"\r\n")), Step::Hear("LISTSCRIPTS")]].concat();
            inside.extend([say(&refusal), Step::Silence]);
            let goodbye = [login, vec![say(&format!("BYE (REFERRAL \"{form}\") \"{form}\"\r\n"))]].concat();
            let mut scripts = vec![(refused, 12), (goodbye, 2)];
            if mechanism != "SCRAM-SHA-256" {
                scripts.push((inside, 2));
            }
            for (script, code) in scripts {
                let dir = tempfile::tempdir().expect("a directory");
                let fake = Fake::start(vec![script], &certificate);
                let url = format!("sieve://localhost:{}", fake.port);
                let archive = dir.path().join("a.sqlite");
                run(command("managesieve", &url, &archive, secret), &format!("{mechanism}: {form}"), secret, &[code]);
            }
        }
    }
}

#[test]
fn no_jmap_server_makes_us_show_a_secret() {
    for secret in [PASSWORD, TOKEN] {
        for form in forms(secret) {
            let auth = match secret {
                TOKEN => Auth::Bearer { tokens: vec![TOKEN.to_owned()], requests_each: None },
                _ => Auth::Basic { user: "alice".to_owned(), password: PASSWORD.to_owned() },
            };
            let body: &'static str = Box::leak(
                serde_json::json!({ "type": format!("about:{form}"), "detail": form, "limit": form })
                    .to_string()
                    .into(),
            );
            let path = form.replace(' ', "+");
            for (at, fault) in [
                (At::Endpoint(Endpoint::Session), Fault::Body(500, "application/problem+json", body)),
                (At::Endpoint(Endpoint::Session), Fault::Body(403, "application/problem+json", body)),
                (At::Endpoint(Endpoint::Api), Fault::Body(400, "application/problem+json", body)),
                (At::Endpoint(Endpoint::Api), Fault::RedirectTo(307, format!("http://other.invalid/{path}"))),
                (At::Endpoint(Endpoint::Api), Fault::Error(Box::leak(form.clone().into_boxed_str()))),
            ] {
                let server = Server::start(Options { auth: auth.clone(), ..Options::default() });
                jmap_account::fill(&server);
                server.fault(at.clone(), When::Always, fault);
                let dir = tempfile::tempdir().expect("a directory");
                let archive = dir.path().join("a.sqlite");
                for json in [false, true] {
                    let mut command = command("jmap", &server.url(), &archive, secret);
                    command.args(json.then_some("--json"));
                    run(command, &format!("{at:?}: {form}"), secret, &[2, 5, 12]);
                }
            }
        }
    }
}

/// The first message of a SCRAM server, for what the client sent first.
fn scram_first(response: &str) -> String {
    let text = String::from_utf8(STANDARD.decode(response).expect("base64")).expect("UTF-8");
    let nonce = text.split("r=").nth(1).expect("a nonce");
    STANDARD.encode(format!("r={nonce}server,s={},i=4096", STANDARD.encode("salt")))
}

#[test]
fn a_wrong_password_is_tried_once() {
    let capabilities = "IMAP4rev1 SASL-IR AUTH=SCRAM-SHA-256 AUTH=PLAIN AUTH=LOGIN";
    let dir = tempfile::tempdir().expect("a directory");
    let server = FakeImap::start(capabilities, vec![mailbox("INBOX", vec![mail(1, &message(1))])]);
    let url = format!("imap://localhost:{}", server.port);
    let archive = dir.path().join("a.sqlite");
    // SCRAM goes to its end, and the proof is wrong.
    server.hook(|command| {
        if let Some(response) = command.strip_prefix("AUTHENTICATE SCRAM-SHA-256 ") {
            return Some(format!("+ {}\r\n", scram_first(response)).into_bytes());
        }
        command.is_empty().then(|| b"V2 NO [AUTHENTICATIONFAILED] Authentication failed.\r\n".to_vec())
    });
    let output = command("imap", &url, &archive, PASSWORD).output().expect("the program starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(12), "{said}");
    let commands = server.said();
    assert_eq!((commands.matches("AUTHENTICATE").count(), commands.matches("LOGIN").count()), (1, 0), "{commands}");
    // A server without a hash for SCRAM says so before anything is proved: then PLAIN is the first try.
    server.hook(|command| command.starts_with("AUTHENTICATE SCRAM").then(|| b"$TAG NO no such user\r\n".to_vec()));
    let output = command("imap", &url, &archive, PASSWORD).output().expect("the program starts");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(server.said().contains("AUTHENTICATE PLAIN"));
    // A token is tried once, too.
    server.state().capabilities = "IMAP4rev1 SASL-IR AUTH=XOAUTH2 AUTH=OAUTHBEARER".to_owned();
    server
        .hook(|command| command.starts_with("AUTHENTICATE").then(|| b"$TAG NO [AUTHENTICATIONFAILED] no\r\n".to_vec()));
    let output = command("imap", &url, &archive, TOKEN).output().expect("the program starts");
    assert_eq!(output.status.code(), Some(12), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(server.said().matches("AUTHENTICATE").count(), 1);
}

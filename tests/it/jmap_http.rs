//! JMAP on its way: redirects, compression and TLS between the program and the strict server of the tests.

use crate::common;
use crate::common::jmap::{At, Auth, Endpoint, Fault, Limits, Options, Place, Server, When};
use crate::common::jmap_run::{command, judge, stored, without_small_blobs};
use crate::common::servers::{Authority, Flaw};
use crate::common::{deliver, jmap_account, measured, message};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;

/// An account and an archive.
struct Bench {
    server: Server,
    authority: Authority,
    dir: tempfile::TempDir,
}

impl Bench {
    fn new(options: Options) -> Bench {
        Bench::with(Server::start(options), Authority::new())
    }

    /// With TLS, and a certificate that has this flaw.
    fn with_tls(options: Options, flaw: Flaw) -> Bench {
        let authority = Authority::new();
        Bench::with(Server::start_tls(options, &authority.certificate(flaw)), authority)
    }

    fn with(server: Server, authority: Authority) -> Bench {
        jmap_account::fill(&server);
        Bench { server, authority, dir: tempfile::tempdir().expect("a directory") }
    }

    fn archive(&self) -> PathBuf {
        self.dir.path().join("a.sqlite")
    }

    fn command(&self, what: &str, extra: &[&str]) -> Command {
        let mut command = command(&self.server, what);
        command.env("SSL_CERT_FILE", self.authority.file(self.dir.path())).args(extra).arg(self.archive());
        command
    }

    fn import_as(&self, extra: &[&str], code: i32) -> (Value, String) {
        judge(&self.command("import", extra).output().expect("the program starts"), code)
    }

    fn import(&self) {
        self.import_as(&[], 0);
        self.assert_equal();
    }

    fn assert_equal(&self) {
        jmap_account::assert_equal(&self.server, &self.archive());
    }

    /// Imports into the archive, which holds the account already, while something goes wrong that makes the run end
    /// with one of these codes: nothing is lost, and the next run has everything. Gives what was said.
    fn loses_nothing(&self, codes: &[i32]) -> String {
        let output = self.command("import", &["--max-retries", "0"]).output().expect("the program starts");
        let code = common::calm(&output, "an import");
        assert!(codes.contains(&code), "{code}: {}", String::from_utf8_lossy(&output.stderr));
        let (_, said) = judge(&output, code);
        self.assert_equal();
        said
    }

    fn requests(&self, endpoint: Endpoint) -> u64 {
        self.server.counters().requests(endpoint)
    }
}

/// The same server under another name, which makes it another host. Certificates of tests are for both.
fn as_other_host(server: &Server) -> String {
    let url = server.url();
    match url.contains("localhost") {
        true => url.replace("localhost", "127.0.0.1"),
        false => url.replace("127.0.0.1", "localhost"),
    }
}

#[test]
fn redirects_within_the_server_are_followed() {
    for status in [301, 302, 303, 307, 308] {
        for (endpoint, place) in [
            (Endpoint::Session, Place::Here),
            (Endpoint::Session, Place::Relative),
            (Endpoint::Download, Place::Here),
            (Endpoint::Download, Place::Relative),
            (Endpoint::Download, Place::Elsewhere),
        ] {
            let bench = Bench::new(without_small_blobs());
            bench.server.fault(At::Endpoint(endpoint), When::Nth(1), Fault::Redirect(status, place));
            bench.import();
            assert_eq!(bench.server.faults_happened(), 1, "{status} {endpoint:?} {place:?}");
        }
    }
    // The relative URLs of a session are relative to where it was found.
    let place = Options { api_url: Place::Relative, download_url: Place::Relative, ..without_small_blobs() };
    let bench = Bench::new(place);
    bench.server.fault(At::Endpoint(Endpoint::Session), When::Always, Fault::Redirect(302, Place::Elsewhere));
    let (_, said) = bench.import_as(&["--max-retries", "0"], 2);
    assert!(said.contains("without end"), "to the other port, and back: {said}");
    bench.server.reset_faults();
    bench.server.fault(At::Endpoint(Endpoint::Session), When::Nth(1), Fault::Redirect(302, Place::Elsewhere));
    let (_, said) = bench.import_as(&[], 0);
    assert!(said.contains("gets the login, too"), "{said}");
    bench.assert_equal();
    assert!(bench.server.seen().iter().filter(|seen| seen.endpoint == Endpoint::Api).all(|seen| seen.is_elsewhere));
}

#[test]
fn redirects_to_another_host_do_not_get_the_login() {
    let authority = Authority::new();
    let certificate = authority.certificate(Flaw::None);
    let others = [Server::start_tls(Options::default(), &certificate), Server::start(Options::default())];
    let bench = Bench::with(Server::start_tls(without_small_blobs(), &certificate), authority);
    for other in &others {
        jmap_account::fill(other);
        for endpoint in [Endpoint::Session, Endpoint::Download] {
            for status in [301, 302, 307, 308] {
                let fault = Fault::RedirectTo(status, as_other_host(other));
                bench.server.fault(At::Endpoint(endpoint), When::Always, fault);
                let code = if endpoint == Endpoint::Session { 2 } else { 5 };
                let (_, said) = bench.import_as(&["--max-retries", "0"], code);
                assert!(said.contains("nothing secret was sent"), "{said}");
                bench.server.reset_faults();
            }
        }
        let heard = other.seen();
        assert!(heard.iter().all(|seen| seen.authorization.is_none()), "{heard:?}");
        // Only to who speaks TLS one goes at all.
        assert_eq!(heard.is_empty(), other.url().starts_with("http:"), "{heard:?}");
    }
    bench.import();
    // Where the user says that both belong together, it is one server.
    let [other, _] = &others;
    let fault = || Fault::RedirectTo(307, as_other_host(other));
    bench.server.fault(At::Endpoint(Endpoint::Session), When::Always, fault());
    let (_, said) = bench.import_as(&["--allow-other-origin"], 0);
    assert!(said.contains("gets the login, too"), "{said}");
    assert!(other.seen().iter().any(|seen| seen.authorization.is_some()));
}

/// As where blobs lie in the cloud, and their URLs are secret themselves.
#[test]
fn downloads_may_come_from_another_host_that_needs_no_login() {
    let authority = Authority::new();
    let certificate = authority.certificate(Flaw::None);
    let cloud = Server::start_tls(Options { auth: Auth::Open, ..without_small_blobs() }, &certificate);
    jmap_account::fill(&cloud);
    let bench = Bench::with(Server::start_tls(without_small_blobs(), &certificate), authority);
    let fault = Fault::RedirectTo(302, as_other_host(&cloud));
    bench.server.fault(At::Endpoint(Endpoint::Download), When::Always, fault);
    bench.import();
    let heard = cloud.seen();
    assert!(heard.len() > 30 && heard.iter().all(|seen| seen.authorization.is_none()), "{heard:?}");
}

#[test]
fn redirects_without_end_and_of_method_calls_are_told() {
    let bench = Bench::new(without_small_blobs());
    bench.import();
    let itself = |status| Fault::RedirectTo(status, bench.server.url());
    for fault in [itself(302), itself(308), Fault::Redirect(301, Place::Here)] {
        bench.server.reset_counters();
        bench.server.fault(At::Endpoint(Endpoint::Session), When::Always, fault);
        let said = bench.loses_nothing(&[2]);
        assert!(said.contains("without end"), "{said}");
        assert_eq!(bench.requests(Endpoint::Session), 6);
        bench.server.reset_faults();
    }
    for status in [301, 302, 303, 307, 308] {
        for fault in [itself(status), Fault::RedirectTo(status, as_other_host(&bench.server))] {
            bench.server.reset_counters();
            bench.server.fault(At::Endpoint(Endpoint::Api), When::Always, fault);
            let said = bench.loses_nothing(&[2, 5]);
            assert!(said.contains("it redirects "), "{said}");
            bench.server.reset_faults();
        }
    }
    let fresh = Bench::new(without_small_blobs());
    fresh.server.fault(At::Endpoint(Endpoint::Download), When::From(5), Fault::RedirectTo(302, fresh.server.url()));
    let (summary, said) = fresh.import_as(&["--max-retries", "0"], 5);
    assert!(said.contains("without end") && stored(&summary, "email")[0] < 31, "{said}");
    fresh.server.reset_faults();
    fresh.import();
}

#[test]
fn calls_and_uploads_of_an_export_do_not_go_where_they_are_led() {
    let bench = Bench::new(without_small_blobs());
    let other = Server::start(Options::default());
    let maildir = bench.dir.path().join("Maildir");
    for number in 100..120 {
        deliver(&maildir, &format!("1600000000.M{number}:2,S"), &message(number));
    }
    common::ok(&[
        "import",
        "maildir",
        "--quiet",
        maildir.to_str().expect("UTF-8"),
        bench.archive().to_str().expect("UTF-8"),
    ]);
    let before = bench.server.snapshot("A1");
    for (endpoint, status) in
        [(Endpoint::Session, 302), (Endpoint::Api, 302), (Endpoint::Api, 307), (Endpoint::Upload, 307)]
    {
        bench.server.fault(At::Endpoint(endpoint), When::Always, Fault::RedirectTo(status, as_other_host(&other)));
        let output = bench.command("export", &["--max-retries", "0"]).output().expect("the program starts");
        let (_, said) = judge(&output, 2);
        assert!(said.contains("it redirects ") || said.contains("points to another host"), "{said}");
        assert_eq!(bench.server.snapshot("A1"), before);
        bench.server.reset_faults();
    }
    assert!(other.seen().is_empty(), "{:?}", other.seen());
    judge(&bench.command("export", &[]).output().expect("the program starts"), 0);
    assert_eq!(bench.server.objects("A1", "Email").len(), 31 + 20);
}

#[test]
fn answers_may_be_compressed() {
    for chunked in [false, true] {
        let bench = Bench::new(Options { gzips: true, chunked, ..Options::default() });
        bench.import();
        let counters = bench.server.counters();
        // The session and nearly all answers; those that carry blobs and the blobs themselves are wanted as they are.
        assert!(counters.gzipped > 3, "{counters:?}");
        bench.import();
        let plain = Bench::new(Options { chunked, ..Options::default() });
        plain.import();
        assert!(counters.bytes_out < plain.server.counters().bytes_out, "{counters:?}");
    }
}

#[test]
fn compressed_answers_that_are_cut_or_wrong_are_asked_for_again() {
    for (at, fault) in [
        (At::Endpoint(Endpoint::Session), Fault::Truncated),
        (At::Endpoint(Endpoint::Session), Fault::CutInBody(30)),
        (At::Call("Email/get"), Fault::Truncated),
        (At::Call("Email/get"), Fault::CutInBody(100)),
        (At::Call("Email/get"), Fault::Garbled),
        (At::Call("Mailbox/get"), Fault::Truncated),
        (At::Call("ContactCard/get"), Fault::CutInBody(11)),
    ] {
        for chunked in [false, true] {
            let bench = Bench::new(Options { gzips: true, chunked, ..Options::default() });
            bench.server.fault(at.clone(), When::Nth(1), fault.clone());
            bench.import();
            assert_eq!(bench.server.faults_happened(), 1, "{at:?}");
            // Always, and with an account in the archive.
            bench.server.forget_changes("A1", "Email");
            bench.server.forget_changes("A1", "ContactCard");
            bench.server.fault(at.clone(), When::Always, fault.clone());
            let said = bench.loses_nothing(&[2, 5]);
            assert!(said.contains("cannot read from"), "{said}");
        }
    }
}

/// 300 MiB of white space in little more than 1 MiB.
#[test]
fn a_bomb_does_not_explode() {
    // One answer at a time.
    let limits = Limits { max_concurrent_requests: 1, ..Limits::default() };
    let bench = Bench::new(Options { gzips: true, limits, ..Options::default() });
    bench.import();
    for at in [At::Endpoint(Endpoint::Session), At::Endpoint(Endpoint::Api), At::Call("Email/get")] {
        bench.server.forget_changes("A1", "Email");
        bench.server.fault(at.clone(), When::Always, Fault::Huge(300 << 20));
        let errors = bench.dir.path().join("errors");
        let mut command = bench.command("import", &["--max-retries", "0"]);
        command.stderr(std::fs::File::create(&errors).expect("a file"));
        let (code, peak) = measured(&mut command, &mut std::io::sink());
        let said = std::fs::read_to_string(&errors).expect("its errors");
        assert!(matches!(code, Some(2 | 5)), "{at:?} {code:?}: {said}");
        assert!(said.contains(" MiB"), "{at:?}: {said}");
        // An answer may have 64 MiB, in buffers that double.
        assert!(peak < 128 << 20, "{at:?}: {peak} bytes");
        bench.assert_equal();
        bench.server.reset_faults();
    }
    bench.import();
}

#[test]
fn tls_with_a_certificate_that_can_be_trusted() {
    let bench = Bench::with_tls(without_small_blobs(), Flaw::None);
    assert!(bench.server.url().starts_with("https:"));
    bench.import();
    let to = Server::start_tls(Options::default(), &bench.authority.certificate(Flaw::None));
    let mut export = command(&to, "export");
    export.env("SSL_CERT_FILE", bench.authority.file(bench.dir.path())).arg(bench.archive());
    judge(&export.output().expect("the program starts"), 0);
    assert_eq!(to.snapshot("A1"), bench.server.snapshot("A1"));
    // Cut in the middle: TLS says nothing at its end then.
    let bench = Bench::with_tls(without_small_blobs(), Flaw::None);
    bench.server.fault(At::Endpoint(Endpoint::Download), When::Nth(4), Fault::CutInBody(50));
    bench.server.fault(At::Endpoint(Endpoint::Api), When::Nth(2), Fault::CutInBody(50));
    bench.import();
}

/// `openssl req -x509` makes certificates that are authorities to the letter; who trusts this very one means the server.
#[test]
fn a_self_signed_certificate_that_the_user_names_is_trusted() {
    for (flaw, code) in
        [(Flaw::SelfSigned, 0), (Flaw::SelfSignedAuthority, 0), (Flaw::Expired, 2), (Flaw::WrongHost, 2)]
    {
        let authority = Authority::new();
        let certificate = authority.certificate(flaw);
        let bench = Bench::with(Server::start_tls(Options::default(), &certificate), authority);
        let file = bench.dir.path().join("own.pem");
        std::fs::write(&file, &certificate.pem).expect("a file");
        let mut command = bench.command("import", &["--max-retries", "0"]);
        judge(&command.env("SSL_CERT_FILE", &file).output().expect("the program starts"), code);
    }
}

/// A proxy in front of the server that does not say so: the session refers to http.
#[test]
fn a_session_that_leads_to_cleartext_is_told_as_that() {
    let session_patch = json!({ "apiUrl": "http://localhost:80/api/" });
    let authority = Authority::new();
    let certificate = authority.certificate(Flaw::None);
    let bench =
        Bench::with(Server::start_tls(Options { session_patch, ..Options::default() }, &certificate), authority);
    let mut command = common::vandelay();
    command.args(["import", "jmap", "--url", &bench.server.url(), "--auth-basic", "alice", "--account-id", "A1"]);
    command.env("VANDELAY_PASSWORD", "secret").env("SSL_CERT_FILE", bench.authority.file(bench.dir.path()));
    let (_, said) = judge(&command.arg(bench.archive()).output().expect("the program starts"), 2);
    assert!(said.contains("the server refers to http://localhost") && said.contains("public address"), "{said}");
}

/// An account that nobody has: the exit code says so, and nothing is left behind that looks like a backup.
#[test]
fn an_account_id_that_is_wrong_makes_no_archive() {
    let bench = Bench::new(Options::default());
    for what in ["import", "export"] {
        let mut command = common::jmap_run::begin(what, &bench.server.url());
        command.env("VANDELAY_PASSWORD", "secret").args(["--auth-basic", "alice", "--account-id", "nobody"]);
        if what == "export" {
            bench.import();
        }
        let (_, said) = judge(&command.arg(bench.archive()).output().expect("the program starts"), 3);
        assert!(said.contains("nobody") && said.contains("hint: accounts of this user: A1"), "{said}");
        assert!(what == "export" || !bench.archive().exists());
        // Whoever asks for it cannot know.
        bench.server.take_violations();
    }
}

#[test]
fn certificates_that_cannot_be_trusted_are_refused_until_they_are_pinned() {
    for flaw in [Flaw::SelfSigned, Flaw::SelfSignedAuthority, Flaw::Expired, Flaw::WrongHost, Flaw::UnknownAuthority] {
        let authority = Authority::new();
        let certificate = authority.certificate(flaw);
        let bench = Bench::with(Server::start_tls(Options::default(), &certificate), authority);
        let (_, said) = bench.import_as(&["--max-retries", "0"], 2);
        assert!(said.contains("certificate") && said.contains("nothing secret was sent"), "{flaw:?}: {said}");
        assert!(said.contains(&format!("--pin-sha256 {}", certificate.pin())), "{flaw:?}: {said}");
        let wrong = "0".repeat(64);
        bench.import_as(&["--max-retries", "0", "--pin-sha256", &wrong], 2);
        assert!(bench.server.seen().is_empty(), "{flaw:?}: nothing was asked");
        assert!(!bench.archive().exists(), "{flaw:?}");
        bench.import_as(&["--pin-sha256", &certificate.pin()], 0);
        bench.assert_equal();
        bench.import_as(&["--pin-sha256", &certificate.key_pin()], 0);
        bench.import_as(&["--allow-invalid-certs"], 0);
        let output = bench.command("export", &["--max-retries", "0"]).output().expect("the program starts");
        let (_, said) = judge(&output, 2);
        assert!(said.contains("--pin-sha256"), "{flaw:?}: {said}");
        judge(&bench.command("export", &["--pin-sha256", &certificate.pin()]).output().expect("it starts"), 0);
    }
    // Neither is one that the system does not know, where nobody named an authority.
    let bench = Bench::with_tls(Options::default(), Flaw::None);
    let mut command = bench.command("import", &["--max-retries", "0"]);
    let (_, said) = judge(&command.env_remove("SSL_CERT_FILE").output().expect("the program starts"), 2);
    assert!(said.contains("--pin-sha256"), "{said}");
}

//! Sieve scripts from a server: what Pigeonhole has, and what only a hostile server does.

use crate::common::dovecot::{Dovecot, PASSWORD};
use crate::common::fake::{Fake, Step, say};
use crate::common::servers::{Authority, Certificate, Flaw};
use crate::common::*;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const VACATION: &str = "require \"vacation\";\r\nvacation \"I am away\";\r\n";
const FILING: &str = "require \"fileinto\";\r\nfileinto \"Lists\";\r\n";

/// An archive in a folder of its own, and a file with the password.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        let dir = tempfile::tempdir().expect("a directory");
        let password = dir.path().join("password");
        fs::write(&password, format!("{PASSWORD}\n")).expect("a password");
        fs::set_permissions(&password, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("permissions");
        Place { dir }
    }

    fn archive(&self) -> PathBuf {
        self.dir.path().join("alice.sqlite")
    }

    fn password(&self) -> PathBuf {
        self.dir.path().join("password")
    }

    /// `vandelay import managesieve --url URL …` with alice's password from the file.
    fn command(&self, url: &str, arguments: &[&str]) -> Command {
        let mut command = bare(url, arguments);
        command.args(["--auth-basic", "alice", "--password-file"]).arg(self.password()).arg(self.archive());
        command
    }

    fn names(&self, at: &str) -> Vec<String> {
        tree(&self.archive(), at).into_keys().filter(|path| path.starts_with("sieve/") && path != "sieve/").collect()
    }
}

fn bare(url: &str, arguments: &[&str]) -> Command {
    let mut command = vandelay();
    command
        .args(["import", "managesieve", "--url", url])
        .args(with_sums(arguments))
        .args(arguments)
        .stdin(Stdio::null());
    for name in ["VANDELAY_PASSWORD", "VANDELAY_TOKEN", "CREDENTIALS_DIRECTORY", "SSL_CERT_FILE", "SSL_CERT_DIR"] {
        command.env_remove(name);
    }
    command
}

fn both(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Runs a command that must end with this code; gives what it said. A password is in none of it.
fn ends(mut command: Command, code: i32) -> String {
    let output = command.output().expect("the program starts");
    let said = both(&output);
    assert_eq!(output.status.code(), Some(code), "{command:?}: {said}");
    assert!(!said.contains(PASSWORD) && !said.contains("panicked"), "{said}");
    if code != 0 {
        assert_eq!(said.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{said}");
    }
    said
}

// --- Pigeonhole --------------------------------------------------------------------------------------------------

/// A Pigeonhole whose alice has these scripts; the first is active.
fn pigeonhole(settings: &str, scripts: &[(&str, &str)]) -> Option<Dovecot> {
    let dovecot = Dovecot::start(settings)?;
    for (name, text) in scripts {
        put(&dovecot, name, text);
    }
    if let Some((name, _)) = scripts.first() {
        activate(&dovecot, name);
    }
    Some(dovecot)
}

fn put(dovecot: &Dovecot, name: &str, text: &str) {
    let folder = dovecot.home("alice").join("sieve");
    if !folder.exists() {
        fs::create_dir(&folder).expect("a folder");
        dovecot.give(&folder);
    }
    let path = folder.join(format!("{name}.sieve"));
    fs::write(&path, text).expect("a script");
    dovecot.give(&path);
}

fn activate(dovecot: &Dovecot, name: &str) {
    let link = dovecot.home("alice").join(".dovecot.sieve");
    let _ = fs::remove_file(&link);
    std::os::unix::fs::symlink(format!("sieve/{name}.sieve"), &link).expect("a link");
}

fn sieves(dovecot: &Dovecot) -> String {
    format!("sieves://localhost:{}", dovecot.sieves)
}

/// An import from Pigeonhole that trusts its certificate.
fn import(place: &Place, dovecot: &Dovecot, arguments: &[&str], code: i32) -> String {
    let mut command = place.command(&sieves(dovecot), arguments);
    command.env("SSL_CERT_FILE", dovecot.authority_file());
    ends(command, code)
}

#[test]
fn scripts_come_and_go_and_nothing_is_lost() {
    let names = ["main", "Urlaub ä 2026", "a.b-c"];
    let scripts: Vec<_> = names.into_iter().zip([FILING, VACATION, "keep;\r\n"]).collect();
    let Some(dovecot) = pigeonhole("", &scripts) else { return };
    let place = Place::new();

    let said = import(&place, &dovecot, &["--dry-run"], 0);
    assert!(said.contains("found 3") && !place.archive().exists(), "{said}");
    let said = import(&place, &dovecot, &[], 0);
    assert!(said.contains("sievescript: found 3 = stored 3 (new 3"), "{said}");
    let shown = tree(&place.archive(), "latest");
    assert_eq!(shown["sieve/main.sieve"], FILING.as_bytes());
    assert_eq!(shown["sieve/Urlaub ä 2026.sieve"], VACATION.as_bytes());
    assert_eq!(shown["sieve/active"], b"main.sieve");

    // Nothing new.
    let before = dump(&place.archive());
    let said = import(&place, &dovecot, &[], 0);
    assert!(said.contains("unchanged 3)"), "{said}");
    assert_eq!(dump(&place.archive()), before);

    // Another one is active: no byte of a script differs.
    activate(&dovecot, "Urlaub ä 2026");
    import(&place, &dovecot, &[], 0);
    assert_eq!(tree(&place.archive(), "latest")["sieve/active"], "Urlaub ä 2026.sieve".as_bytes());
    assert_eq!(tree(&place.archive(), "2")["sieve/active"], b"main.sieve");
    // The other way round: whichever is stored first.
    activate(&dovecot, "main");
    import(&place, &dovecot, &[], 0);
    assert_eq!(tree(&place.archive(), "latest")["sieve/active"], b"main.sieve");

    // One changes, one goes, none is active.
    put(&dovecot, "main", "discard;\r\n");
    fs::remove_file(dovecot.home("alice").join("sieve/a.b-c.sieve")).expect("gone");
    fs::remove_file(dovecot.home("alice").join(".dovecot.sieve")).expect("gone");
    let said = import(&place, &dovecot, &[], 0);
    assert!(said.contains("changed 1, unchanged 1)") && said.contains("removed 1 (kept in the history)"), "{said}");
    assert_eq!(place.names("latest"), ["sieve/Urlaub ä 2026.sieve", "sieve/main.sieve"]);
    assert_eq!(tree(&place.archive(), "latest")["sieve/main.sieve"], b"discard;\r\n");
    assert_eq!(tree(&place.archive(), "1")["sieve/main.sieve"], FILING.as_bytes());
    assert!(tree(&place.archive(), "4").contains_key("sieve/a.b-c.sieve"));
    ok(&["verify", place.archive().to_str().expect("UTF-8")]);
}

/// The identity of the source is that of 1.x, and the three ways to reach the server are three sources.
#[test]
fn starttls_clear_text_and_identity() {
    let Some(dovecot) = pigeonhole("", &[("main", FILING)]) else { return };
    let url = format!("sieve://localhost:{}/", dovecot.sieve);
    let place = Place::new();
    let mut command = place.command(&url, &["-vvv"]);
    command.env("SSL_CERT_FILE", dovecot.authority_file());
    let said = ends(command, 0);
    assert!(said.contains("> STARTTLS") && said.contains("> AUTHENTICATE SCRAM-SHA-256"), "{said}");
    let conn = rusqlite::Connection::open(place.archive()).expect("an archive");
    let row: (String, String, String, String, String) = conn
        .query_row("SELECT kind, session_url, account_id, account_name, username FROM sources", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
        })
        .expect("a source");
    let origin = format!("sieve://localhost:{}", dovecot.sieve);
    assert_eq!(row, ("managesieve".into(), origin, "alice".into(), "alice".into(), "alice".into()));
    // With TLS from the start it is the same account.
    let said = import(&place, &dovecot, &[], 0);
    assert!(said.contains("it is the same one") && said.contains("unchanged 1"), "{said}");

    // In clear, and nobody needs to trust the certificate that the server offers all the same.
    let place = Place::new();
    let said = ends(place.command(&url, &["--allow-cleartext", "-vv"]), 0);
    assert!(said.contains("> STARTTLS"), "{said}");
    // Without that flag the certificate counts.
    let said = ends(place.command(&url, &[]), 2);
    assert!(said.contains("authority that this machine does not know"), "{said}");
}

#[test]
fn a_server_without_tls() {
    let Some(dovecot) = pigeonhole("ssl = no\n", &[("main", FILING)]) else { return };
    let url = format!("sieve://127.0.0.1:{}", dovecot.sieve);
    let place = Place::new();
    let said = ends(place.command(&url, &[]), 2);
    assert!(said.contains("does not offer STARTTLS") && said.contains("--allow-cleartext"), "{said}");
    ends(place.command(&url, &["--allow-cleartext"]), 0);
    assert_eq!(place.names("latest"), ["sieve/active", "sieve/main.sieve"]);
}

/// A script that the server cannot read itself.
#[test]
fn a_script_that_fails_is_named_kept_and_asked_for_again() {
    let Some(dovecot) = pigeonhole("", &[("main", FILING), ("private", VACATION)]) else { return };
    let script = dovecot.home("alice").join("sieve/private.sieve");
    let lock = |mode| fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(mode)).expect("a mode");
    let place = Place::new();
    lock(0o000);
    let said = import(&place, &dovecot, &[], 5);
    assert!(said.contains("failed 1") && said.contains("): private"), "{said}");
    assert_eq!(place.names("latest"), ["sieve/active", "sieve/main.sieve"]);
    lock(0o600);
    let said = import(&place, &dovecot, &[], 0);
    assert!(said.contains("new 1, changed 0, unchanged 1"), "{said}");
    // It was there, and cannot be had now: it is not gone.
    lock(0o000);
    import(&place, &dovecot, &[], 5);
    assert_eq!(tree(&place.archive(), "latest")["sieve/private.sieve"], VACATION.as_bytes());
    lock(0o600);
    let said = import(&place, &dovecot, &[], 0);
    assert!(said.contains("stored 2"), "{said}");
}

#[test]
fn wrong_passwords_end_with_12() {
    let Some(dovecot) = pigeonhole("", &[("main", FILING)]) else { return };
    let place = Place::new();
    fs::write(place.password(), "hunter2").expect("a password");
    let said = import(&place, &dovecot, &["-vvv"], 12);
    assert!(said.contains("refused the login of alice") && !said.contains("hunter2"), "{said}");
    assert!(!place.archive().exists());
}

/// Pins accept a certificate that nobody vouches for, and no other.
#[test]
fn certificates_that_nobody_vouches_for() {
    let Some(dovecot) = pigeonhole("", &[("main", FILING)]) else { return };
    let url = sieves(&dovecot);
    let place = Place::new();
    let said = ends(place.command(&url, &[]), 2);
    let pin = dovecot.certificate.pin();
    assert!(said.contains(&format!("--pin-sha256 {pin}")), "{said}");
    ends(place.command(&url, &["--pin-sha256", &pin]), 0);
    ends(place.command(&url, &["--pin-sha256", &dovecot.certificate.key_pin()]), 0);
    ends(place.command(&url, &["--allow-invalid-certs"]), 0);
    let other = "00".repeat(32);
    // A pin counts even where any certificate would do.
    let said = ends(place.command(&url, &["--allow-invalid-certs", "--pin-sha256", &other]), 2);
    assert!(said.contains("not the pinned one") && said.contains(&pin), "{said}");
    assert!(
        both(&place.command(&url, &["--pin-sha256", "xyz"]).output().expect("it starts")).contains("64 hexadecimal")
    );
}

/// An OAuth token in the form that Dovecot can check by itself: a JWT signed with HMAC.
fn token(expires_in: i64) -> String {
    use base64::Engine;
    let code = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time").as_secs() as i64;
    let head = code(br#"{"alg":"HS256","typ":"JWT"}"#);
    let body = serde_json::json!({ "sub": "alice", "iat": now - 100, "exp": now + expires_in });
    let signed = format!("{head}.{}", code(body.to_string().as_bytes()));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"a key of the test");
    format!("{signed}.{}", code(ring::hmac::sign(&key, signed.as_bytes()).as_ref()))
}

#[test]
fn tokens_are_renewed_by_their_command() {
    let keys = tempfile::tempdir().expect("a directory");
    let key = keys.path().join("keys/default/HS256");
    fs::create_dir_all(&key).expect("a folder");
    fs::set_permissions(keys.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("permissions");
    fs::write(key.join("default"), "YSBrZXkgb2YgdGhlIHRlc3Q=").expect("a key");
    let oauth = keys.path().join("oauth2.conf");
    fs::write(
        &oauth,
        format!(
            "introspection_mode = local\nlocal_validation_key_dict = fs:posix:prefix={}/keys/\nusername_attribute = sub\n",
            keys.path().display()
        ),
    )
    .expect("a configuration");
    let settings = format!(
        "auth_mechanisms = plain oauthbearer xoauth2\npassdb {{\n driver = oauth2\n mechanisms = xoauth2 oauthbearer\n args = {}\n}}\n",
        oauth.display()
    );
    let Some(dovecot) = pigeonhole(&settings, &[("main", FILING)]) else { return };
    let place = Place::new();
    let bearer = |arguments: &[&str]| {
        let mut command = bare(&sieves(&dovecot), &["--auth-user", "alice"]);
        command.arg(place.archive()).args(arguments).env("SSL_CERT_FILE", dovecot.authority_file());
        command
    };
    let mut command = bearer(&["--auth-bearer"]);
    command.env("VANDELAY_TOKEN", token(100));
    let said = ends(command, 0);
    assert!(said.contains("stored 1"), "{said} {}", dovecot.log());
    // The first token is old: the command is asked once more.
    let counter = keys.path().join("count");
    let script = format!(
        "echo x >>{0}; [ $(wc -l <{0}) = 1 ] && echo {1} || echo {2}",
        counter.display(),
        token(-50),
        token(100)
    );
    ends(bearer(&["--token-command", &script, "--auth-bearer"]), 0);
    assert_eq!(fs::read_to_string(&counter).expect("a count").lines().count(), 2);
    // A credential of systemd is read as it is.
    fs::write(keys.path().join("mail-token"), format!("{}\n", token(100))).expect("a token");
    let mut command = bearer(&["--token-credential", "mail-token", "--auth-bearer"]);
    command.env("CREDENTIALS_DIRECTORY", keys.path());
    ends(command, 0);
    ends(bearer(&["--token-credential", "mail-token", "--auth-bearer"]), 12);
    // And if there is no better one, that is the end.
    let old = token(-50);
    let said = ends(bearer(&["--token-command", &format!("echo {old}"), "--auth-bearer", "-vvv"]), 12);
    assert!(said.contains("refused the login of alice") && !said.contains(&old), "{said}");
}

// --- where secrets come from ---------------------------------------------------------------------------------------

/// The places in their order: each one counts only when those before it are not there.
#[test]
fn the_order_of_secrets() {
    let Some(dovecot) = pigeonhole("", &[("main", FILING)]) else { return };
    let place = Place::new();
    let at = place.dir.path();
    let run = |arguments: &[&str], variables: &[(&str, &str)], code: i32| {
        let mut command = bare(&sieves(&dovecot), &["--auth-basic", "alice"]);
        command.args(arguments).arg(place.archive()).env("SSL_CERT_FILE", dovecot.authority_file());
        command.envs(variables.iter().copied());
        ends(command, code)
    };
    let file = place.password();
    let file = file.to_str().expect("UTF-8");
    let print = format!("cat {file}");
    let wrong = at.join("wrong");
    fs::write(&wrong, "wrong").expect("a password");
    let wrong = wrong.to_str().expect("UTF-8");

    let mut command = bare(&sieves(&dovecot), &["--auth-basic", "alice", "--auth-password", PASSWORD]);
    command.args(["--password-file", wrong]).arg(place.archive()).env("SSL_CERT_FILE", dovecot.authority_file());
    assert!(ends(command, 0).contains("warning: other users can see a password on the command line"));
    run(&["--password-file", file, "--password-command", "echo wrong"], &[("VANDELAY_PASSWORD", "wrong")], 0);
    run(&["--password-command", &print], &[("VANDELAY_PASSWORD", "wrong")], 0);
    run(&[], &[("VANDELAY_PASSWORD", PASSWORD), ("CREDENTIALS_DIRECTORY", "/nonexistent")], 0);
    run(&[], &[("VANDELAY_PASSWORD", "wrong"), ("CREDENTIALS_DIRECTORY", at.to_str().expect("UTF-8"))], 12);
    // A file `password` there is a credential of systemd; `vandelay-password` counts before it.
    run(&[], &[("CREDENTIALS_DIRECTORY", at.to_str().expect("UTF-8"))], 0);
    fs::copy(wrong, at.join("vandelay-password")).expect("a copy");
    run(&[], &[("CREDENTIALS_DIRECTORY", at.to_str().expect("UTF-8"))], 12);
    // A name leads to that credential, before the environment and the usual names.
    let credentials = ("CREDENTIALS_DIRECTORY", at.to_str().expect("UTF-8"));
    run(&["--password-credential", "password"], &[credentials, ("VANDELAY_PASSWORD", "wrong")], 0);
    run(&["--password-credential", "wrong"], &[credentials, ("VANDELAY_PASSWORD", PASSWORD)], 12);
    for (name, variables, code, hint) in [
        ("alice", &[credentials][..], 12, "LoadCredential=alice:/PATH/OF/THE/SECRET in the [Service] section"),
        ("alice", &[], 12, "LoadCredential=alice:/PATH/OF/THE/SECRET in the [Service] section"),
        ("../password", &[credentials], 1, "give a name without '/'"),
        ("..", &[credentials], 1, "give a name without '/'"),
    ] {
        let said = run(&["--password-credential", name], variables, code);
        assert!(said.contains(&format!("--password-credential '{name}'")) && said.contains(hint), "{said}");
    }
    let said = run(&[], &[], 12);
    assert!(said.contains("no terminal to ask") && said.contains("--password-file, --password-command"), "{said}");
    let said = run(&["--password-file", "/nonexistent"], &[], 7);
    assert!(said.contains("/nonexistent"), "{said}");
    let said = run(&["--password-command", "exit 3"], &[], 12);
    assert!(said.contains("'exit' failed"), "{said}");
    // No secret is in the archive, nor in its log.
    for suffix in ["", "-wal"] {
        let bytes = fs::read(format!("{}{suffix}", place.archive().display())).unwrap_or_default();
        assert!(!bytes.windows(PASSWORD.len()).any(|window| window == PASSWORD.as_bytes()));
    }
}

/// On a terminal it asks, and what is typed is not shown.
#[test]
fn a_terminal_is_asked() {
    if !has("script") {
        return;
    }
    let Some(dovecot) = pigeonhole("", &[("main", FILING)]) else { return };
    let place = Place::new();
    let line = format!(
        "{} import managesieve --url {} --auth-basic alice {}",
        env!("CARGO_BIN_EXE_vandelay"),
        sieves(&dovecot),
        place.archive().display()
    );
    let typed = |keys: &str, line: &str| {
        let mut child = Command::new("script")
            .args(["-qec", line, "/dev/null"])
            .env("SSL_CERT_FILE", dovecot.authority_file())
            .env_remove("VANDELAY_PASSWORD")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script runs");
        // What is typed before the question is asked would be shown by the terminal.
        std::thread::sleep(Duration::from_millis(1500));
        let mut keyboard = child.stdin.take().expect("a keyboard");
        std::io::Write::write_all(&mut keyboard, keys.as_bytes()).expect("typed");
        let output = child.wait_with_output().expect("it ends");
        drop(keyboard);
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    // Ctrl-C, and the terminal is as it was.
    let (code, said) = typed("hunter2\u{3}", &format!("{line}; code=$?; stty -a; exit $code"));
    let has = |word| said.split_whitespace().any(|setting| setting == word);
    assert!(code == Some(130) && has("echo") && has("icanon") && has("isig"), "{code:?} {said}");
    assert!(!said.contains("hunter2"), "{said}");
    let (code, said) = typed(&format!("{PASSWORD}\n"), &line);
    assert!(code == Some(0) && said.contains("Password of alice: "), "{said}");
    assert!(said.contains("Nothing failed.") && !said.contains("pencil"), "{said}");
}

#[test]
fn logins_that_make_no_sense() {
    let usage = |arguments: &[&str]| {
        let output =
            vandelay().args(["import", "managesieve", "x.sqlite"]).args(arguments).output().expect("it starts");
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", both(&output));
    };
    let url = ["--url", "sieves://localhost"];
    for login in [
        &[][..],
        &["--auth-password", "x"],
        &["--auth-basic", "a", "--auth-bearer", "t", "--auth-user", "a"],
        &["--auth-basic", "a", "--auth-user", "a"],
        &["--auth-bearer"],
        &["--auth-basic", "a", "--token-command", "x"],
        &["--auth-bearer", "--auth-user", "a", "--password-command", "x"],
        &["--auth-basic", "a", "--timeout", "0"],
        &["--auth-basic", "a", "--pin-sha256", "00"],
    ] {
        usage(&[&url[..], login].concat());
    }
    usage(&["--url", "imaps://localhost", "--auth-basic", "a", "--auth-password", "x"]);
    usage(&["--url", "sieves://alice:x@localhost", "--auth-basic", "a", "--auth-password", "x"]);
    usage(&["--auth-basic", "a", "--auth-password", "x"]);
}

// --- 1.x -----------------------------------------------------------------------------------------------------------

/// What 1.x imported is taken by its name; what it had imported and is gone leaves the current state.
#[test]
fn scripts_of_1x_are_adopted() {
    let Some(dovecot) = pigeonhole("", &[("main", FILING), ("private", VACATION)]) else { return };
    let place = Place::new();
    v1::write(&place.archive(), &v1::Variant { rows: false, ..v1::Variant::default() });
    let conn = v1::open(&place.archive());
    let url = sieves(&dovecot);
    conn.execute_batch(&format!(
        "CREATE TABLE sync_id_managesieve (source_id INTEGER NOT NULL, name TEXT NOT NULL, local_id INTEGER NOT NULL, PRIMARY KEY (source_id, name), UNIQUE (source_id, local_id));
         INSERT INTO sources VALUES (70, 'managesieve', '{url}', 'alice', 'alice', 'alice');
         INSERT INTO sync_id_managesieve VALUES (70, 'main', 71), (70, 'private', 72), (70, 'gone', 73);"
    ))
    .expect("rows of 1.x");
    for (id, name, active, text) in [(71, "main", 0, "old"), (72, "private", 0, VACATION), (73, "gone", 1, "stop;\r\n")]
    {
        let blob = v1::blob(&conn, text.as_bytes());
        conn.execute("INSERT INTO sieve_scripts VALUES (?1, ?2, ?3, ?4)", rusqlite::params![id, name, active, blob])
            .expect("a script");
    }
    drop(conn);
    // As long as one script cannot be read, nothing of 1.x is taken for gone.
    let script = dovecot.home("alice").join("sieve/private.sieve");
    let lock = |mode| fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(mode)).expect("a mode");
    lock(0o000);
    import(&place, &dovecot, &[], 5);
    assert_eq!(place.names("latest"), ["sieve/active", "sieve/gone.sieve", "sieve/main.sieve", "sieve/private.sieve"]);
    lock(0o600);
    let said = import(&place, &dovecot, &[], 0);
    assert!(said.contains("removed 1"), "{said}");
    assert_eq!(place.names("latest"), ["sieve/active", "sieve/main.sieve", "sieve/private.sieve"]);
    assert_eq!(tree(&place.archive(), "latest")["sieve/active"], b"main.sieve");
    let conn = rusqlite::Connection::open(place.archive()).expect("an archive");
    let ids: Vec<i64> = conn
        .prepare("SELECT id FROM sieve_scripts ORDER BY id")
        .and_then(|mut all| all.query_map([], |row| row.get(0))?.collect())
        .expect("rows");
    assert_eq!(ids, [71, 72], "rows keep their numbers");
    ok(&["verify", place.archive().to_str().expect("UTF-8")]);
}

// --- a hostile server ----------------------------------------------------------------------------------------------

const GREETING: &str =
    "\"IMPLEMENTATION\" \"fake\"\r\n\"SASL\" \"PLAIN\"\r\n\"SIEVE\" \"fileinto\"\r\nOK \"hello\"\r\n";

const WITH_STARTTLS: &str = "\"SASL\" \"PLAIN\"\r\n\"STARTTLS\"\r\nOK\r\n";

/// A peer with a certificate that the test's authority signed, unless it has a flaw.
struct Hostile {
    fake: Fake,
    place: Place,
    authority: PathBuf,
}

impl Hostile {
    fn new(flaw: Flaw, scripts: Vec<Vec<Step>>) -> Hostile {
        let authority = Authority::new();
        let certificate: Certificate = authority.certificate(flaw);
        let place = Place::new();
        let file = authority.file(place.dir.path());
        Hostile { fake: Fake::start(scripts, &certificate), place, authority: file }
    }

    /// Speaks TLS from the start, and to whoever has logged in it says this.
    fn after_login(steps: &[Step]) -> Hostile {
        Hostile::new(Flaw::None, vec![logged_in(steps)])
    }

    fn run(&self, scheme: &str, arguments: &[&str], code: i32) -> String {
        let url = format!("{scheme}://localhost:{}", self.fake.port);
        let mut command = self.place.command(&url, &["--timeout", "2", "-vvv"]);
        if !arguments.contains(&"--max-retries") {
            command.args(["--max-retries", "0"]);
        }
        command.args(arguments).env("SSL_CERT_FILE", &self.authority);
        let said = ends(command, code);
        assert!(!said.contains('\u{1b}'), "control characters are shown, not obeyed");
        said
    }

    fn keeps_the_secret(&self) {
        assert!(!self.fake.has_seen(PASSWORD) && !self.fake.has_seen("alice"), "{}", self.fake.said());
    }
}

fn logged_in(steps: &[Step]) -> Vec<Step> {
    [&[Step::Tls, say(GREETING), Step::Hear("AUTHENTICATE \"PLAIN\" "), say("OK\r\n")], steps].concat()
}

/// The same with these scripts listed.
fn listed(list: &str, steps: &[Step]) -> Vec<Step> {
    logged_in(&[&[Step::Hear("LISTSCRIPTS"), say(list)], steps].concat())
}

/// The tests below would be worth little if this did not work.
#[test]
fn the_fake_can_be_imported_from() {
    let hostile = Hostile::after_login(&[
        Step::Hear("LISTSCRIPTS"),
        say("{4}\r\na\"\\b ACTIVE\r\n\"c\"\r\nOK \"all\"\r\n"),
        Step::Hear("GETSCRIPT \"a\\\"\\\\b\""),
        say("{6}\r\nkeep;\n\r\nOK\r\n"),
        Step::Hear("GETSCRIPT \"c\""),
        say("\"stop;\"\r\nOK\r\n"),
        Step::Hear("LOGOUT"),
        say("OK\r\n"),
    ]);
    hostile.run("sieves", &[], 0);
    assert!(hostile.fake.has_seen(PASSWORD), "what must not be seen elsewhere can be seen here");
    let shown = tree(&hostile.place.archive(), "latest");
    assert_eq!((&*shown["sieve/a\"\\b.sieve"], &*shown["sieve/c.sieve"]), (&b"keep;\n"[..], &b"stop;"[..]));
}

#[test]
fn a_wrong_certificate_sees_no_credential() {
    for (flaw, why) in [
        (Flaw::WrongHost, "it is for other.example, not for the host localhost"),
        (Flaw::Expired, "it expired on 2020-01-01"),
        (Flaw::SelfSigned, "it is self-signed"),
        (Flaw::UnknownAuthority, "an authority that this machine does not know"),
    ] {
        for (scheme, start) in
            [("sieves", vec![]), ("sieve", vec![say(WITH_STARTTLS), Step::Hear("STARTTLS"), say("OK\r\n")])]
        {
            let script = [start, vec![Step::Tls, say(GREETING), Step::Hear("AUTHENTICATE"), say("OK\r\n")]].concat();
            let hostile = Hostile::new(flaw, vec![script]);
            let said = hostile.run(scheme, &[], 2);
            assert!(said.contains(why) && said.contains("hint: nothing secret was sent"), "{said}");
            assert!(said.contains("--pin-sha256 "), "{said}");
            hostile.keeps_the_secret();
            assert!(!hostile.place.archive().exists());
        }
    }
}

/// TLS 1.0: its alert, and its answer.
#[test]
fn tls_that_is_too_old_is_refused() {
    let hello = [&[0x16, 3, 1, 0, 42, 2, 0, 0, 38, 3, 1][..], &[7; 32], &[0, 0, 0x2f, 0]].concat();
    for bytes in [vec![0x15, 3, 1, 0, 2, 2, 70], hello] {
        let hostile = Hostile::new(Flaw::None, vec![vec![Step::Say(bytes), Step::Silence]]);
        let said = hostile.run("sieves", &[], 2);
        assert!(said.contains("too old"), "{said}");
        hostile.keeps_the_secret();
    }
    let hostile = Hostile::new(Flaw::None, vec![vec![say(GREETING), Step::Silence]]);
    let said = hostile.run("sieves", &[], 2);
    assert!(said.contains("does not speak TLS"), "{said}");
}

#[test]
fn nothing_said_before_starttls_counts() {
    // Something in clear text comes with the agreement: in one write, so it is read with it.
    let hostile = Hostile::new(
        Flaw::None,
        vec![vec![
            say(WITH_STARTTLS),
            Step::Hear("STARTTLS"),
            say("OK\r\n\"SASL\" \"PLAIN\"\r\nOK\r\n"),
            Step::Tls,
            say(GREETING),
            Step::Silence,
        ]],
    );
    let said = hostile.run("sieve", &[], 2);
    assert!(said.contains("went on in clear text"), "{said}");
    hostile.keeps_the_secret();

    // The offer was removed on the way.
    let hostile = Hostile::new(Flaw::None, vec![vec![say(GREETING), Step::Silence]]);
    let said = hostile.run("sieve", &[], 2);
    assert!(said.contains("does not offer STARTTLS"), "{said}");
    hostile.keeps_the_secret();

    // It is offered, and refused.
    let hostile = Hostile::new(Flaw::None, vec![vec![say(WITH_STARTTLS), Step::Hear("STARTTLS"), say("NO\r\n")]]);
    hostile.run("sieve", &[], 2);
    hostile.keeps_the_secret();

    // What was offered before TLS does not count: now it takes no password at all.
    let hostile = Hostile::new(
        Flaw::None,
        vec![vec![
            say(WITH_STARTTLS),
            Step::Hear("STARTTLS"),
            say("OK\r\n"),
            Step::Tls,
            say("\"SASL\" \"EXTERNAL\"\r\nOK\r\n"),
            Step::Silence,
        ]],
    );
    let said = hostile.run("sieve", &[], 2);
    assert!(said.contains("it offers EXTERNAL"), "{said}");
    hostile.keeps_the_secret();

    // The server says that the user is logged in already: it cannot.
    let hostile = Hostile::new(Flaw::None, vec![vec![say("PREAUTH\r\n"), Step::Silence]]);
    hostile.run("sieve", &[], 2);
    hostile.keeps_the_secret();
}

/// SCRAM with a server that does not know the password, or wants the client to count for an hour.
#[test]
fn a_server_that_must_prove_itself() {
    let greeting = "\"SASL\" \"SCRAM-SHA-256\"\r\nOK\r\n";
    let begun = Instant::now();
    for (challenge, why) in [
        // `r=x,s=eA==,i=4096`
        ("cj14LHM9ZUE9PSxpPTQwOTY=", "its nonce does not go on from ours"),
        ("!", "no base64"),
    ] {
        let hostile = Hostile::new(
            Flaw::None,
            vec![vec![
                Step::Tls,
                say(greeting),
                Step::Hear("AUTHENTICATE \"SCRAM-SHA-256\" "),
                say(&format!("\"{challenge}\"\r\n")),
                Step::Hear("\"*\""),
                say("NO\r\n"),
            ]],
        );
        let said = hostile.run("sieves", &[], 2);
        assert!(said.contains(why), "{said}");
        assert!(!hostile.fake.has_seen(PASSWORD));
    }
    let hostile = Hostile::new(
        Flaw::None,
        vec![vec![Step::Tls, say(greeting), Step::Hear("AUTHENTICATE"), say("OK \"come in\"\r\n"), Step::Silence]],
    );
    let said = hostile.run("sieves", &[], 2);
    assert!(said.contains("has not proved"), "{said}");
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[test]
fn referrals_are_not_followed() {
    let other = Hostile::new(Flaw::None, vec![logged_in(&[])]);
    for answer in [
        format!("BYE (REFERRAL \"sieves://localhost:{}\") \"go there\"\r\n", other.fake.port),
        format!("NO (REFERRAL \"sieves://localhost:{}\")\r\n", other.fake.port),
    ] {
        let hostile =
            Hostile::new(Flaw::None, vec![vec![Step::Tls, say(GREETING), Step::Hear("AUTHENTICATE"), say(&answer)]]);
        let said = hostile.run("sieves", &["--max-retries", "3"], 2);
        assert!(said.contains("refers to sieves://localhost:") && said.contains("name it with --url"), "{said}");
        assert_eq!((hostile.fake.connections(), other.fake.connections()), (1, 0));
    }
    let hostile = Hostile::new(Flaw::None, vec![vec![Step::Tls, say("BYE (REFERRAL \"sieve://x\")\r\n")]]);
    hostile.run("sieves", &[], 2);
    hostile.keeps_the_secret();
}

/// Everything that is too much ends soon, and with an error.
#[test]
fn more_than_is_taken_ends_soon_with_an_error() {
    let list = "\"big\" ACTIVE\r\n\"small\"\r\nOK\r\n";
    let small = [Step::Hear("GETSCRIPT \"small\""), say("\"keep;\"\r\nOK\r\n"), Step::Silence];
    // A script of 9 EiB is refused by its name; the other one comes over a new connection.
    let hostile = Hostile::new(
        Flaw::None,
        vec![
            listed(list, &[Step::Hear("GETSCRIPT \"big\""), say("{9223372036854775808}\r\nabc"), Step::Silence]),
            logged_in(&small),
        ],
    );
    let said = hostile.run("sieves", &[], 5);
    assert!(said.contains("9223372036854775808 bytes are more than") && said.contains("): big"), "{said}");
    assert_eq!(tree(&hostile.place.archive(), "latest")["sieve/small.sieve"], b"keep;");
    // One that is announced and does not come ends with the timeout.
    let hostile = Hostile::new(
        Flaw::None,
        vec![
            listed(list, &[Step::Hear("GETSCRIPT \"big\""), say("{50000000}\r\nabc"), Step::Silence]),
            logged_in(&small),
        ],
    );
    let said = hostile.run("sieves", &[], 5);
    assert!(said.contains("no answer within 2 s"), "{said}");

    let flood = |bytes: &[u8]| Step::Flood(bytes.repeat(4096));
    for (steps, why) in [
        (vec![Step::Tls, flood(b"x")], "a line does not end"),
        (vec![Step::Tls, flood(b"\"X\" \"y\"\r\n")], "capabilities do not end"),
        (vec![Step::Tls, flood(b"\r\n")], "an empty line"),
        (vec![Step::Tls, flood(b"(")], "a line"),
        (vec![Step::Tls, say("\"SASL\" {9223372036854775808}\r\n"), Step::Silence], "a string of 9223372036854775808"),
        (
            logged_in(&[
                Step::Hear("LISTSCRIPTS"),
                Step::Flood((0..9).map(|n| format!("\"{n}\"\r\n")).collect::<String>().into_bytes()),
            ]),
            "more scripts than",
        ),
        (logged_in(&[Step::Hear("LISTSCRIPTS"), say("* BYE IMAP\r\n"), Step::Silence]), "none of OK, NO and BYE"),
        (logged_in(&[Step::Hear("LISTSCRIPTS"), say("NO \"\u{1b}[31mnot you\"\r\n"), Step::Silence]), "[31mnot you"),
    ] {
        let hostile = Hostile::new(Flaw::None, vec![steps]);
        let begun = Instant::now();
        let said = hostile.run("sieves", &[], 2);
        assert!(said.contains(why), "{why}: {said}");
        assert!(begun.elapsed() < Duration::from_secs(20));
        assert!(!hostile.place.archive().exists());
    }
}

/// The line is dead, at each place where the client waits.
#[test]
fn silence_ends_with_the_timeout() {
    let mut script = listed("\"a\"\r\nOK\r\n", &[Step::Hear("GETSCRIPT")]);
    script.retain(|step| !matches!(step, Step::Silence));
    for length in [0, 1, 3, 5] {
        let steps = [&script[..length], &[Step::Silence]].concat();
        let hostile = Hostile::new(Flaw::None, vec![steps]);
        let begun = Instant::now();
        let said = hostile.run("sieves", &[], 2);
        assert!(said.contains("no answer within 2 s") && said.contains("--timeout"), "{length}: {said}");
        assert!((2..12).contains(&begun.elapsed().as_secs()), "{length}: {:?}", begun.elapsed());
    }
}

/// BYE in the middle, TRYLATER and a broken line: it comes back and goes on.
#[test]
fn failures_that_pass() {
    let list = "\"a\" ACTIVE\r\n\"b\"\r\nOK\r\n";
    let hostile = Hostile::new(
        Flaw::None,
        vec![
            vec![Step::Tls, say("BYE \"restarting\"\r\n")],
            vec![Step::Tls, say(GREETING), Step::Hear("AUTHENTICATE"), say("NO (TRYLATER) \"busy\"\r\n")],
            listed(list, &[Step::Hear("GETSCRIPT \"a\""), say("{6}\r\nkee")]),
            logged_in(&[
                Step::Hear("GETSCRIPT \"a\""),
                say("{6}\r\nkeep;\n\r\nOK\r\n"),
                Step::Hear("GETSCRIPT \"b\""),
                say("BYE\r\n"),
            ]),
            logged_in(&[Step::Hear("GETSCRIPT \"b\""), say("\"stop;\"\r\nOK\r\n"), Step::Silence]),
        ],
    );
    let said = hostile.run("sieves", &["--max-retries", "2"], 0);
    assert!(said.contains("trying again") && said.contains("stored 2"), "{said}");
    assert_eq!(hostile.fake.connections(), 5);
    // With no retries left the reason is told, and that is exit code 2.
    let hostile = Hostile::new(Flaw::None, vec![vec![Step::Tls, say("BYE \"restarting\"\r\n")]]);
    let said = hostile.run("sieves", &["--max-retries", "1"], 2);
    assert!(said.contains("ended the connection: restarting"), "{said}");
    assert_eq!(hostile.fake.connections(), 2);
    // Nobody is there.
    let mut command = hostile.place.command("sieves://localhost:1", &["--max-retries", "0"]);
    command.env("SSL_CERT_FILE", &hostile.authority);
    assert!(ends(command, 2).contains("cannot connect to localhost:1: Connection refused"));
}

/// A script that makes the server hang up costs this script only, and so do several; a server that lets nobody in any more is
/// gone.
#[test]
fn a_script_that_a_server_chokes_on() {
    let list = "\"a\"\r\n\"b\" ACTIVE\r\nOK\r\n";
    let choke = Step::Hear("GETSCRIPT \"a\"");
    let hostile = Hostile::new(
        Flaw::None,
        vec![
            listed(list, std::slice::from_ref(&choke)),
            logged_in(&[Step::Hear("GETSCRIPT \"b\""), say("\"stop;\"\r\nOK\r\n"), Step::Silence]),
        ],
    );
    let said = hostile.run("sieves", &[], 5);
    assert!(said.contains("): a") && said.contains("stored 1"), "{said}");
    let hostile = Hostile::new(
        Flaw::None,
        vec![listed(list, std::slice::from_ref(&choke)), logged_in(&[Step::Hear("GETSCRIPT")])],
    );
    let said = hostile.run("sieves", &[], 5);
    assert!(said.contains("): a") && said.contains("): b") && said.contains("failed 2"), "{said}");
    let hostile = Hostile::new(Flaw::None, vec![listed(list, &[choke]), Vec::new()]);
    hostile.run("sieves", &[], 2);
    assert!(!hostile.place.archive().exists());
}

/// Names and NOs as no server should give them.
#[test]
fn names_of_any_kind() {
    let names: [&[u8]; 8] =
        [b"../../etc/passwd", b".", b"a/b", b"active", b"\x1b[31mred", b"\xff\xfe", b"new\nline", &[b'x'; 5000]];
    let mut steps = vec![Step::Hear("LISTSCRIPTS")];
    let mut list = Vec::new();
    for name in names.iter().chain([&names[0]]) {
        list.extend_from_slice(format!("{{{}}}\r\n", name.len()).as_bytes());
        list.extend_from_slice(name);
        list.extend_from_slice(b" ACTIVE\r\n");
    }
    list.extend_from_slice(b"OK\r\n");
    steps.push(Step::Say(list));
    for (number, name) in names.iter().enumerate() {
        steps.push(Step::Hear("GETSCRIPT "));
        // Names that cannot be quoted come as literals: the rest of the command is on further lines.
        let lines =
            if name.contains(&b'\n') { 2 } else { usize::from(name.len() > 1024 || !name[0].is_ascii_graphic()) };
        steps.extend((0..lines).map(|_| Step::Hear("")));
        steps.push(match number {
            3 => say("NO (NONEXISTENT)\r\n"),
            4 => say("NO {9}\r\nno\r\n\u{1b}[1m!\r\n"),
            _ => say("\"keep;\"\r\nOK\r\n"),
        });
    }
    let hostile = Hostile::after_login(&steps);
    let said = hostile.run("sieves", &[], 5);
    assert!(said.contains("found 8 = stored 6") && said.contains("duplicate 1") && said.contains("failed 1"), "{said}");
    let shown = hostile.place.names("latest");
    assert_eq!(shown.len(), 7, "{shown:?}");
    assert!(shown.iter().all(|name| name.matches('/').count() == 1 && !name.contains('\n')), "{shown:?}");
    let conn = rusqlite::Connection::open(hostile.place.archive()).expect("an archive");
    let active: i64 = conn
        .query_row("SELECT count(*) FROM sieve_scripts WHERE is_active = 1", [], |row| row.get(0))
        .expect("a count");
    assert_eq!(active, 1);
}

/// A server that forgets everything does not make the archive forget it.
#[test]
fn an_empty_account_trips_the_guard() {
    let list: String = (0..60).map(|number| format!("\"s{number}\"\r\n")).collect::<String>() + "OK\r\n";
    let mut steps = vec![Step::Hear("LISTSCRIPTS"), say(&list)];
    steps.extend((0..60).flat_map(|_| [Step::Hear("GETSCRIPT"), say("\"keep;\"\r\nOK\r\n")]));
    steps.push(Step::Silence);
    let empty = logged_in(&[Step::Hear("LISTSCRIPTS"), say("OK\r\n"), Step::Silence]);
    let hostile = Hostile::new(Flaw::None, vec![logged_in(&steps), empty]);
    hostile.run("sieves", &[], 0);
    let before = dump(&hostile.place.archive());
    let said = hostile.run("sieves", &[], 9);
    assert!(said.contains("60 of 60") && said.contains("--max-delete 100%"), "{said}");
    assert_eq!(dump(&hostile.place.archive()), before);
    hostile.run("sieves", &["--max-delete", "100%"], 0);
    assert_eq!(hostile.place.names("latest"), [] as [&str; 0]);
    assert_eq!(hostile.place.names("1").len(), 60);
}

/// Ctrl-C while the server is silent.
#[test]
fn an_interrupt_ends_the_waiting() {
    let hostile = Hostile::new(Flaw::None, vec![vec![Step::Tls, Step::Silence]]);
    let url = format!("sieves://localhost:{}", hostile.fake.port);
    let mut command = hostile.place.command(&url, &[]);
    let mut child = command.env("SSL_CERT_FILE", &hostile.authority).stderr(Stdio::piped()).spawn().expect("it starts");
    while hostile.fake.connections() == 0 {
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(200));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("a signal");
    let begun = Instant::now();
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    assert!(begun.elapsed() < Duration::from_secs(5));
}

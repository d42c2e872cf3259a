//! Sieve scripts from Cyrus (timsieved): a second opinion on the protocol.

use crate::common::cyrus::Cyrus;
use crate::common::*;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

/// Logs in at a ManageSieve port and says these commands; each must be answered with OK.
fn converse(port: u16, commands: &[String]) {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    let mut writer = stream.try_clone().expect("a stream");
    let mut lines = BufReader::new(stream).lines();
    let mut ok = |said: &str| loop {
        let line = lines.next().expect("a line").expect("a line");
        assert!(!line.starts_with("NO") && !line.starts_with("BYE"), "{said}: {line}");
        if line.starts_with("OK") {
            return;
        }
    };
    ok("the greeting");
    for command in commands {
        writer.write_all(command.as_bytes()).expect("sent");
        ok(command);
    }
}

#[test]
fn scripts_of_cyrus_are_imported() {
    let Some(cyrus) = Cyrus::start() else { return };
    // The first login with IMAP makes the account.
    let imap = TcpStream::connect(("127.0.0.1", cyrus.imap)).expect("a connection");
    (&imap).write_all(b"a LOGIN alice@example.org x\r\nb LOGOUT\r\n").expect("sent");
    assert!(BufReader::new(imap).lines().any(|line| line.is_ok_and(|line| line.starts_with("a OK"))));
    let login = "AUTHENTICATE \"PLAIN\" \"AGFsaWNlQGV4YW1wbGUub3JnAHg=\"\r\n".to_owned();
    let put =
        |name: &str, text: &str| format!("PUTSCRIPT {{{}+}}\r\n{name} {{{}+}}\r\n{text}\r\n", name.len(), text.len());
    let (main, other) = ("keep;\r\n", "require \"fileinto\";\r\nfileinto \"Lists\";\r\n");
    let active = |name: &str| format!("SETACTIVE {{{}+}}\r\n{name}\r\n", name.len());
    // A name beyond ASCII comes back from Cyrus 3.6 as an encoded word of RFC 2047.
    converse(cyrus.sieve, &[login.clone(), put("main", main), put("on leave (2026)", other), active("main")]);

    let dir = tempfile::tempdir().expect("a directory");
    let archive = dir.path().join("alice.sqlite");
    let import = || {
        let output = vandelay()
            .args(["import", "managesieve", "--allow-cleartext", "--auth-basic", "alice@example.org", "-vv", "--url"])
            .arg(format!("sieve://127.0.0.1:{}", cyrus.sieve))
            .arg(&archive)
            .env("VANDELAY_PASSWORD", "x")
            .output()
            .expect("the program starts");
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{said}\n{}", cyrus.log());
        said
    };
    let said = import();
    assert!(said.contains("stored 2 (new 2") && said.contains("AUTHENTICATE PLAIN"), "{said}");
    let shown = tree(&archive, "latest");
    assert_eq!(
        (&*shown["sieve/main.sieve"], &*shown["sieve/on leave (2026).sieve"]),
        (main.as_bytes(), other.as_bytes())
    );
    assert_eq!(shown["sieve/active"], b"main.sieve");
    converse(cyrus.sieve, &[login, active("on leave (2026)"), "DELETESCRIPT \"main\"\r\n".to_owned()]);
    import();
    let shown = tree(&archive, "latest");
    assert_eq!(shown["sieve/active"], "on leave (2026).sieve".as_bytes());
    assert!(!shown.contains_key("sieve/main.sieve"));
    assert!(import().contains("unchanged 1)"));
}

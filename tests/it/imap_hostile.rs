//! Servers that are hostile, broken or odd, played in memory: the IMAP client ends with a clear error or goes on, in
//! bounded memory, and sends nothing secret where it must not go.

use crate::common::is_alone;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream};
use vandelay::error::{self, ErrorKind};
use vandelay::model::Body;
use vandelay::net::endpoint::{Endpoint, Security, Service};
use vandelay::net::sasl::{Exchange, Mechanism};
use vandelay::net::secret::{Credentials, Secret};
use vandelay::protocol::imap::{Result, *};

/// What the client sent, line by line.
type Transcript = Arc<Mutex<Vec<String>>>;

/// A server that greets and then answers each line with what `answer` makes of its tag and its command. An answer that
/// ends with `CLOSE` closes the connection behind what stands before.
fn fake(greeting: &str, mut answer: impl FnMut(&str, &str) -> Vec<u8> + Send + 'static) -> (DuplexStream, Transcript) {
    let (client, server) = tokio::io::duplex(64 << 10);
    let transcript = Transcript::default();
    let (heard, greeting) = (transcript.clone(), greeting.to_owned());
    tokio::spawn(async move {
        let (reader, mut writer) = tokio::io::split(server);
        let mut reader = BufReader::new(reader);
        writer.write_all(greeting.as_bytes()).await.ok();
        let mut line = String::new();
        while reader.read_line(&mut line).await.is_ok_and(|count| count > 0) {
            let text = line.trim_end().to_owned();
            heard.lock().unwrap().push(text.clone());
            let (tag, command) = text.split_once(' ').unwrap_or((&text, ""));
            let reply = answer(tag, command);
            let is_last = reply.ends_with(b"CLOSE");
            let reply = reply.strip_suffix(b"CLOSE").unwrap_or(&reply);
            if writer.write_all(reply).await.is_err() || is_last {
                writer.shutdown().await.ok();
                break;
            }
            line.clear();
        }
    });
    (client, transcript)
}

fn options() -> Options {
    Options { timeout: Duration::from_secs(5), ..Options::new(Security::Implicit) }
}

const GREETING: &str = "* OK [CAPABILITY IMAP4rev1 LITERAL+ ENABLE CONDSTORE QRESYNC SASL-IR] hello\r\n";

/// A client of a server that opens a mailbox of three messages and answers UID FETCH with `fetch`.
async fn with_fetch(fetch: impl FnMut(&str, &str) -> Vec<u8> + Send + 'static) -> Client<DuplexStream> {
    let mut fetch = fetch;
    let (stream, _) = fake(GREETING, move |tag, command| match command.split(' ').next() {
        Some("EXAMINE") => {
            format!("* 3 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 9] x\r\n{tag} OK [READ-ONLY] x\r\n").into()
        }
        Some("UID") => fetch(tag, command),
        _ => format!("{tag} OK x\r\n").into(),
    });
    let mut client = Client::connect(stream, options()).await.expect("a greeting");
    let selected = client.examine(b"INBOX", None, &mut |_| {}).await.expect("a mailbox");
    assert_eq!((selected.uid_validity, selected.uid_next, selected.exists), (Some(7), Some(9), 3));
    client
}

fn wanted(uids: &[u32]) -> Vec<Wanted> {
    uids.iter().map(|&uid| Wanted { uid, size: 5 }).collect()
}

/// The first error of a download, or what arrived.
async fn download(client: &mut Client<DuplexStream>, uids: &[u32]) -> Result<Vec<(u32, Option<Vec<u8>>)>> {
    let mut bodies = client.bodies(wanted(uids), Pipeline::default()).await?;
    let mut arrived = Vec::new();
    while let Some(arrival) = bodies.next().await? {
        arrived.push(match arrival {
            Arrival::Message(Message { uid, body: Body::Bytes(bytes), .. }) => (uid, Some(bytes)),
            Arrival::Message(Message { uid, .. }) => (uid, None),
            Arrival::Missing { uid, .. } => (uid, None),
        });
    }
    Ok(arrived)
}

/// The most memory that this process held, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
}

#[tokio::test]
async fn huge_literals_are_refused_before_they_are_read() {
    for size in ["9223372036854775807", "99999999999999999999999", "8589934593"] {
        let mut client = with_fetch(move |_, _| format!("* 1 FETCH (UID 1 BODY[] {{{size}}}\r\nabc").into()).await;
        let error = download(&mut client, &[1]).await.expect_err("too large");
        assert_eq!(error.fault, Fault::Protocol, "{error}");
        // The client is of no more use, and says so.
        assert!(client.noop().await.is_err());
    }
    // Where no body was asked for, much less is too much.
    let mut client = with_fetch(|_, _| b"* 1 FETCH (UID 1 BODY[TEXT] {4294967296}\r\nabc".into()).await;
    assert_eq!(download(&mut client, &[1]).await.expect_err("too large").fault, Fault::Protocol);
}

#[tokio::test]
async fn a_literal_that_does_not_come_ends_in_time() {
    let (stream, _) = fake(GREETING, |_, _| b"* 1 FETCH (UID 1 BODY[] {4294967296}\r\nonly this".into());
    let mut client = Client::connect(stream, Options { timeout: Duration::from_millis(300), ..options() })
        .await
        .expect("a greeting");
    let error = client.noop().await.expect_err("silence");
    assert_eq!(error.fault, Fault::Lost);
    assert_eq!(error.to_string(), "lost the connection while waiting for NOOP: the server was silent for 0 s");
}

#[tokio::test]
async fn endless_lines_and_deep_nesting_are_refused() {
    if !is_alone("imap_hostile::endless_lines_and_deep_nesting_are_refused") {
        return;
    }
    let mut long = b"* 1 FETCH (UID 1 FLAGS (".to_vec();
    long.resize(20 << 20, b'x');
    let mut deep = b"* 1 FETCH ".to_vec();
    deep.resize(1_000_000, b'(');
    deep.extend_from_slice(b"\r\n");
    let mut wide = b"* 1 FETCH (UID 1 FLAGS (".to_vec();
    wide.extend(b"a ".repeat(1_900_000));
    wide.extend_from_slice(b"))\r\n");
    for reply in [long, deep, wide] {
        let mut client = with_fetch(move |_, _| reply.clone()).await;
        assert_eq!(download(&mut client, &[1]).await.expect_err("too much").fault, Fault::Protocol);
    }
    assert!(peak() < 256 << 10, "{} KiB", peak());
}

#[tokio::test]
async fn floods_end() {
    if !is_alone("imap_hostile::floods_end") {
        return;
    }
    let (stream, _) = fake(GREETING, |_, _| b"* 1 EXISTS\r\n".repeat(1_100_000));
    let mut client = Client::connect(stream, options()).await.expect("a greeting");
    let error = client.noop().await.expect_err("a flood");
    assert_eq!(error.fault, Fault::Protocol);
    assert!(error.to_string().contains("far more lines"), "{error}");
    // Names of mailboxes are kept, so their bytes are counted too.
    let name = "x".repeat(10_000);
    let (stream, _) = fake(GREETING, move |_, _| {
        (0..10_000).flat_map(|n| format!("* LIST () \"/\" {n}{name}\r\n").into_bytes()).collect()
    });
    let mut client = Client::connect(stream, options()).await.expect("a greeting");
    assert_eq!(client.folders(false).await.expect_err("too many").fault, Fault::Protocol);
    assert!(peak() < 256 << 10, "{} KiB", peak());
}

#[tokio::test]
async fn goodbyes_say_why() {
    for (said, fault) in [
        ("* BYE Autologout; idle for too long\r\n", Fault::Lost),
        ("* BYE [UNAVAILABLE] maintenance\r\n", Fault::Retry { after: None }),
        ("* BYE Session invalidated - AccessTokenExpired\r\n", Fault::Credentials { is_expired: true }),
    ] {
        let mut client =
            with_fetch(move |_, _| format!("* 1 FETCH (UID 1 BODY[] {{5}}\r\nhello)\r\n{said}CLOSE").into()).await;
        let mut bodies = client.bodies(wanted(&[1, 2]), Pipeline::default()).await.expect("a start");
        assert!(matches!(bodies.next().await, Ok(Some(Arrival::Message(_)))));
        let error = bodies.next().await.map(|_| ()).expect_err("goodbye");
        assert_eq!(error.fault, fault, "{error}");
        assert!(error::Error::from(error).hint_text().is_some());
    }
    // Cut in the middle of a body.
    let mut client = with_fetch(|_, _| b"* 1 FETCH (UID 1 BODY[] {5}\r\nheCLOSE".into()).await;
    assert_eq!(download(&mut client, &[1]).await.expect_err("cut").fault, Fault::Lost);
}

#[tokio::test]
async fn answers_to_nobody_are_refused() {
    for reply in ["X9 OK what?\r\n", "V999 OK what?\r\n", "OK\r\n", "\r\nV2\r\n", "V2 FETCH\r\n"] {
        let mut client = with_fetch(move |_, _| reply.into()).await;
        let error = download(&mut client, &[1]).await.expect_err("nonsense");
        assert_eq!(error.fault, Fault::Protocol, "{reply:?}: {error}");
    }
}

#[tokio::test]
async fn what_does_not_come_is_named() {
    // UID 1 twice, 4 that nobody asked for, 2 as NIL, 3 not at all; flags without UID in between.
    let mut client = with_fetch(|tag, _| {
        format!(
            "* 2 FETCH (FLAGS (\\Seen))\r\n* 1 FETCH (UID 1 BODY[] {{3}}\r\na\0b)\r\n* 1 FETCH (UID 1 BODY[] {{1}}\r\nz)\r\n\
             * 4 FETCH (UID 4 BODY[] {{1}}\r\nz)\r\n* 2 FETCH (UID 2 BODY[] NIL)\r\n* 1 FETCH (UID 1 FLAGS ())\r\n\
             {tag} OK done\r\n"
        )
        .into()
    })
    .await;
    let arrived = download(&mut client, &[1, 2, 3, 3, 0]).await.expect("all is well");
    assert_eq!(arrived, [(1, Some(b"a\0b".to_vec())), (2, None), (3, None)]);
    // An empty message is one.
    let mut client = with_fetch(|tag, _| {
        format!(
            "* 1 FETCH (BODY[] {{0}}\r\n UID 1)\r\n* 2 FETCH (UID 2 RFC822.SIZE 0 BODY[] NIL)\r\n\
             * 3 FETCH (UID 3 BODY[] \"quoted\")\r\n{tag} OK done\r\n"
        )
        .into()
    })
    .await;
    let arrived = download(&mut client, &[1, 2, 3]).await.expect("all is well");
    assert_eq!(arrived, [(1, Some(Vec::new())), (2, Some(Vec::new())), (3, Some(b"quoted".to_vec()))]);
}

#[tokio::test]
async fn one_message_that_cannot_be_read_takes_no_other_with_it() {
    let mut client = with_fetch(|tag, command| {
        let set = command.split(' ').nth(2).unwrap_or_default();
        match set.parse::<u32>() {
            Ok(2) => format!("{tag} NO cannot read message\r\n").into(),
            Ok(uid) => format!("* {uid} FETCH (UID {uid} BODY[] {{1}}\r\n{uid})\r\n{tag} OK\r\n").into(),
            Err(_) => format!("* 1 FETCH (UID 1 BODY[] {{1}}\r\n1)\r\n{tag} NO some cannot be read\r\n").into(),
        }
    })
    .await;
    let mut arrived = download(&mut client, &[1, 2, 3]).await.expect("all is well");
    arrived.sort();
    assert_eq!(arrived, [(1, Some(b"1".to_vec())), (2, None), (3, Some(b"3".to_vec()))]);
    // Being asked to slow down is something else.
    let mut client =
        with_fetch(|tag, _| format!("{tag} NO Suggested Backoff Time: 1500 milliseconds\r\n").into()).await;
    let error = download(&mut client, &[1, 2]).await.expect_err("a pause");
    assert_eq!(error.fault, Fault::Retry { after: Some(Duration::from_millis(1500)) });
}

#[tokio::test]
async fn large_messages_go_to_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let (stream, _) = fake(GREETING, |tag, command| match command.starts_with("UID") {
        true => {
            let mut reply = b"* 1 FETCH (UID 1 FLAGS (\\Seen) BODY[] {6000000}\r\n".to_vec();
            reply.extend(b"0123456789".repeat(600_000));
            reply.extend(format!(" RFC822.SIZE 5)\r\n{tag} OK\r\n").into_bytes());
            reply
        }
        false => format!("* 1 EXISTS\r\n{tag} OK\r\n").into(),
    });
    let spool = Some(folder.path().to_owned());
    let mut client = Client::connect(stream, Options { spool, ..options() }).await.unwrap();
    client.examine(b"INBOX", None, &mut |_| {}).await.unwrap();
    let mut bodies = client.bodies(wanted(&[1]), Pipeline::default()).await.unwrap();
    let Some(Arrival::Message(message)) = bodies.next().await.unwrap() else { panic!("a message") };
    let Body::File(file) = message.body else { panic!("a file") };
    assert_eq!(file.metadata().unwrap().len(), 6_000_000);
    assert_eq!((message.size, message.flags), (Some(5), Some(vec!["\\Seen".to_owned()])));
    let text = std::io::read_to_string(file).unwrap();
    assert!(text.starts_with("0123456789012") && text.ends_with("6789"));
    assert!(bodies.next().await.unwrap().is_none());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the file has no name");
}

#[tokio::test]
async fn a_download_that_is_given_up_disturbs_nobody() {
    let mut client = with_fetch(|tag, command| {
        let set = command.split(' ').nth(2).unwrap_or_default().to_owned();
        let uids = UidSet::parse(set.as_bytes());
        let mut reply = Vec::new();
        for uid in 1..=3 {
            if uids.contains(uid) {
                reply.extend(format!("* {uid} FETCH (UID {uid} BODY[] {{100000}}\r\n").into_bytes());
                reply.extend(vec![b'x'; 100_000]);
                reply.extend_from_slice(b")\r\n");
            }
        }
        reply.extend(format!("{tag} OK\r\n").into_bytes());
        reply
    })
    .await;
    {
        let mut bodies = client.bodies(wanted(&[1, 2, 3]), Pipeline::default()).await.unwrap();
        bodies.next().await.unwrap();
    }
    client.noop().await.expect("the rest is read and thrown away");
    // A future that is dropped in the middle of an answer leaves a client that says so.
    {
        let mut bodies = client.bodies(wanted(&[1, 2, 3]), Pipeline::default()).await.unwrap();
        tokio::select! {
            biased;
            _ = bodies.next() => panic!("the server had no time to answer"),
            _ = std::future::ready(()) => {}
        }
    }
    assert_eq!(client.noop().await.expect_err("given up").fault, Fault::Lost);
}

#[tokio::test]
async fn preauth_in_clear_is_refused_before_any_command() {
    for security in [Security::StartTls, Security::Clear] {
        let (stream, heard) =
            fake("* PREAUTH [CAPABILITY IMAP4rev1] welcome\r\n", |tag, _| format!("{tag} OK\r\n").into());
        let error = Client::connect(stream, Options::new(security)).await.map(|_| ()).expect_err("refused");
        assert_eq!(error.fault, Fault::Unsafe);
        assert!(heard.lock().unwrap().is_empty());
    }
    let (stream, _) = fake("* PREAUTH welcome\r\n", |tag, _| format!("{tag} OK\r\n").into());
    assert!(Client::connect(stream, options()).await.unwrap().is_preauthenticated());
    let (stream, _) = fake("* BYE [UNAVAILABLE] too many connections\r\n", |_, _| Vec::new());
    let error = Client::connect(stream, options()).await.map(|_| ()).expect_err("refused");
    assert_eq!(error.fault, Fault::Retry { after: None });
    for greeting in ["HTTP/1.1 400 Bad Request\r\n", "+OK POP3\r\n", "* 1 EXISTS\r\n", "V1 OK\r\n"] {
        let (stream, _) = fake(greeting, |_, _| Vec::new());
        let error = Client::connect(stream, options()).await.map(|_| ()).expect_err("no IMAP");
        assert_eq!(error.fault, Fault::Protocol, "{greeting:?}");
    }
}

#[tokio::test]
async fn starttls_forgets_what_was_said_in_clear() {
    let clear = || Options { security: Security::StartTls, ..options() };
    let greeting = "* OK [CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN] hello\r\n";
    // Nothing secret before TLS.
    let (stream, heard) = fake(greeting, |tag, _| format!("{tag} OK\r\n").into());
    let mut client = Client::connect(stream, clear()).await.unwrap();
    assert_eq!(client.login("bob", "secret").await.expect_err("unsafe").fault, Fault::Unsafe);
    assert_eq!(client.authenticate(&mut exchange(Mechanism::Plain)).await.expect_err("unsafe").fault, Fault::Unsafe);
    assert!(heard.lock().unwrap().iter().all(|line| !line.contains("secret")));
    // The list of capabilities from before counts for nothing behind it.
    let (inside, _) = fake("", |tag, command| match command {
        "CAPABILITY" => format!("* CAPABILITY IMAP4rev1 LOGINDISABLED\r\n{tag} OK\r\n").into(),
        _ => format!("{tag} OK\r\n").into(),
    });
    let mut client = client.starttls(async |_| Ok(inside)).await.unwrap();
    assert_eq!(client.login("bob", "secret").await.expect_err("disabled").fault, Fault::Unsupported);
    assert!(client.capabilities().await.unwrap().mechanisms().next().is_none());
    // Words behind the consent, in clear.
    let (stream, _) = fake(greeting, |tag, _| format!("{tag} OK go\r\n* OK [CAPABILITY EVIL] x\r\n").into());
    let client = Client::connect(stream, clear()).await.unwrap();
    let error = client.starttls(async |_| panic!("no upgrade")).await.map(|_| ()).expect_err("injected");
    assert_eq!(error.fault, Fault::Unsafe);
    // Stripped, or refused.
    let (stream, _) = fake("* OK hello\r\n", |tag, _| format!("* CAPABILITY IMAP4rev1\r\n{tag} OK\r\n").into());
    let client = Client::connect(stream, clear()).await.unwrap();
    let error = client.starttls(async |_| panic!("no upgrade")).await.map(|_| ()).expect_err("stripped");
    assert_eq!((error.fault, error::Error::from(error).kind), (Fault::Unsafe, ErrorKind::Connection));
    let (stream, _) = fake(greeting, |tag, _| format!("{tag} BAD no\r\n").into());
    let client = Client::connect(stream, clear()).await.unwrap();
    let error = client.starttls(async |_| panic!("no upgrade")).await.map(|_| ()).expect_err("refused");
    assert_eq!(error.fault, Fault::Unsafe);
}

/// An attempt to log in as bob.
fn exchange(mechanism: Mechanism) -> Exchange {
    let endpoint = Endpoint::parse("imap://localhost", Service::Imap).unwrap();
    let credentials = Credentials::Basic { user: "bob".to_owned(), password: Secret::new("secret".to_owned()) };
    Exchange::new(mechanism, &credentials, &endpoint).unwrap()
}

#[tokio::test]
async fn authentication_goes_on_only_as_its_mechanism_says() {
    // With the first message in the command, and new capabilities in the answer.
    let (stream, heard) = fake(GREETING, |tag, _| format!("{tag} OK [CAPABILITY IMAP4rev1 ID] in\r\n").into());
    let mut client = Client::connect(stream, options()).await.unwrap();
    client.authenticate(&mut exchange(Mechanism::Plain)).await.unwrap();
    assert_eq!(*heard.lock().unwrap(), ["V1 AUTHENTICATE PLAIN AGJvYgBzZWNyZXQ="]);
    assert!(client.capabilities().await.unwrap().has("ID"));
    // Without, and the capabilities are asked for again.
    let (stream, heard) = fake("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] x\r\n", |tag, command| match command {
        "AUTHENTICATE PLAIN" => b"+ \r\n".to_vec(),
        "CAPABILITY" => format!("* CAPABILITY IMAP4rev1 ID\r\n{tag} OK\r\n").into(),
        _ => b"V1 OK in\r\n".to_vec(),
    });
    let mut client = Client::connect(stream, options()).await.unwrap();
    client.authenticate(&mut exchange(Mechanism::Plain)).await.unwrap();
    assert!(client.capabilities().await.unwrap().has("ID"));
    assert_eq!(*heard.lock().unwrap(), ["V1 AUTHENTICATE PLAIN", "AGJvYgBzZWNyZXQ=", "V2 CAPABILITY"]);
    // A mechanism that fails cancels.
    for challenge in ["+ Zm9v\r\n", "+ no base64\r\n"] {
        let (stream, heard) = fake(GREETING, move |_, command| match command.is_empty() {
            false => challenge.into(),
            true => b"V1 BAD cancelled\r\n".to_vec(),
        });
        let mut client = Client::connect(stream, options()).await.unwrap();
        client.authenticate(&mut exchange(Mechanism::ScramSha256)).await.expect_err("nonsense");
        assert_eq!(heard.lock().unwrap().last().unwrap(), "*");
    }
    // Odd characters need literals, which the server may have to ask for.
    let (stream, heard) = fake("* OK [CAPABILITY IMAP4rev1] x\r\n", |tag, command| match (tag, command) {
        ("V1", _) => b"+ go on\r\n".to_vec(),
        _ => b"V1 NO [AUTHENTICATIONFAILED] \x1b[31mno\r\n".to_vec(),
    });
    let mut client = Client::connect(stream, options()).await.unwrap();
    let error = client.login("bob", "gehe\u{ed}m").await.expect_err("wrong");
    assert_eq!(error.fault, Fault::Credentials { is_expired: false });
    assert_eq!(error.to_string(), "the server refused to log in: [AUTHENTICATIONFAILED] \\u{1b}[31mno");
    assert_eq!(*heard.lock().unwrap(), ["V1 LOGIN \"bob\" {7}", "gehe\u{ed}m"]);
}

#[tokio::test]
async fn alerts_are_handed_on_without_their_control_characters() {
    let (stream, _) = fake("* OK [ALERT] disk \x1b[2Jfull\x07\r\n", |tag, _| {
        format!("* NO [ALERT] twice\r\n{tag} OK [ALERT] twice\r\n").into()
    });
    let mut client = Client::connect(stream, options()).await.unwrap();
    client.noop().await.unwrap();
    assert_eq!(client.take_notices(), ["disk \\u{1b}[2Jfull\\u{7}", "twice"]);
    assert!(client.take_notices().is_empty());
}

#[tokio::test]
async fn folders_of_an_old_server() {
    let (stream, heard) = fake("* OK [CAPABILITY IMAP4rev1] x\r\n", |tag, command| {
        let reply = match command {
            "LIST \"\" \"*\"" => {
                "* LIST (\\HasChildren) \".\" inbox\r\n* LIST () \".\" INBOX.Entw&APw-rfe\r\n* LIST (\\Noselect) NIL {4}\r\na b\"\r\n\
                 * LIST () \"/\" \"../../etc\"\r\n* LIST () \"/\" \"\"\r\n* LIST () \"/\" &garbage\r\n* LIST (\\NoInferiors) \"/\" NIL\r\n\
                 * LIST () \"\\\\\" \"a\\\\b\\\"c\"\r\n* LIST () \"/\" \"../../etc\"\r\n* LIST (\\Marked) \"/\" {3}\r\n\rx\r\n* LIST ()\r\n"
            }
            "LSUB \"\" \"*\"" => "* LSUB () \".\" INBOX\r\n* LSUB () \".\" gone\r\n",
            "STATUS \"inbox\" (MESSAGES UIDNEXT UIDVALIDITY)" => {
                "* STATUS Inbox (MESSAGES 3 UIDNEXT 4 UIDVALIDITY 5)\r\n"
            }
            "STATUS \"INBOX.Entw&APw-rfe\" (MESSAGES UIDNEXT UIDVALIDITY)" => {
                "* STATUS \"INBOX.Entw\u{fc}rfe\" (UIDVALIDITY 6 MESSAGES 1 X 9)\r\n"
            }
            "STATUS {3}" => return b"+ \r\n".into(),
            "STATUS \"&garbage\" (MESSAGES UIDNEXT UIDVALIDITY)" => {
                return format!("{tag} NO [NOPERM] not yours\r\n").into();
            }
            _ => "",
        };
        // The lone CR of the literal ends no line; what follows is the rest of the command with the literal.
        let tag = if tag.starts_with('V') { tag } else { "V9" };
        format!("{reply}{tag} OK\r\n").into()
    });
    let mut client = Client::connect(stream, options()).await.unwrap();
    let folders = client.folders(true).await.unwrap();
    let names: Vec<&str> = folders.iter().map(|folder| folder.name.as_str()).collect();
    assert_eq!(names, ["INBOX", "INBOX.Entwürfe", "a b\"", "../../etc", "&garbage", "NIL", "a\\b\"c", "\rx\r"]);
    assert_eq!(folders[0].status.as_ref().unwrap().uid_validity, Some(5));
    assert!(folders[0].is_subscribed && !folders[1].is_subscribed);
    assert_eq!(folders[1].status.as_ref().unwrap().messages, Some(1), "{:?}", heard.lock().unwrap());
    assert!(!folders[2].is_selectable() && folders[2].status.is_none());
    assert_eq!(folders[4].refusal.as_deref(), Some("not yours"));
    assert_eq!(folders[3].refusal.as_deref(), Some("the server did not tell"));
    assert_eq!((folders[6].listed.delimiter, folders[0].listed.delimiter), (Some('\\'), Some('.')));
}

#[tokio::test]
async fn names_are_tried_in_both_spellings() {
    let (stream, heard) = fake("* OK [CAPABILITY IMAP4rev1 LITERAL+] x\r\n", |tag, command| {
        let is_right = command == "SELECT \"&AOQ-\"";
        let answer = if is_right { "OK [READ-WRITE]" } else { "NO [NONEXISTENT] no" };
        let tag = if tag.starts_with('V') { tag } else { "V2" };
        match command.ends_with("{2+}") {
            true => Vec::new(),
            false => format!("* OK [UIDVALIDITY 3] x\r\n{tag} {answer} such mailbox\r\n").into(),
        }
    });
    let mut client = Client::connect(stream, options()).await.unwrap();
    let selected = client.examine(b"&AOQ-", None, &mut |_| {}).await.unwrap();
    assert_eq!((selected.uid_validity, selected.raw.as_slice()), (Some(3), &b"&AOQ-"[..]));
    let lines = heard.lock().unwrap().clone();
    assert_eq!(lines, ["V1 EXAMINE \"&AOQ-\"", "V2 EXAMINE {2+}", "\u{e4}", "V3 SELECT \"&AOQ-\""]);
    let error = client.examine(b"gone", None, &mut |_| {}).await.expect_err("gone");
    assert_eq!((error.fault, error.to_string().contains("\"gone\"")), (Fault::Gone, true));
    client.noop().await.map(|_| ()).expect_err("this server says NO to everything");
}

#[tokio::test]
async fn listings_of_odd_servers() {
    let mut client = with_fetch(|tag, _| {
        format!(
            "* 1 FETCH (UID 1 FLAGS (\\Seen $x] a[b NIL) INTERNALDATE \" 1-Foo-2024 00:00:00 +0000\" RFC822.SIZE 99999999999)\r\n\
             * 2 FETCH (  UID 2  FLAGS NIL X-GM-LABELS (\\Inbox \"&AOQ-\" \"a \\\"b\\\"\") X-GM-MSGID 18446744073709551615 MODSEQ (12) EMAILID (M_1-x))\r\n\
             * 3 FETCH UID\r\n* 3 FETCH (UID 0)\r\n* 3 FETCH (UID 4294967296)\r\n* VANISHED (EARLIER) 5:9,12\r\n\
             * 3 FETCH (UID 3 BODY[HEADER.FIELDS (MESSAGE-ID)] {{5}}\r\na\r\n\r\n EMAILID (\u{e4})\r\n{tag} OK\r\n"
        )
        .into()
    })
    .await;
    let mut listing = client.list(&UidSet::all(), Items::LISTING, None).await.unwrap();
    let first = listing.next().await.unwrap().unwrap();
    assert_eq!(first.flags.unwrap(), ["\\Seen", "$x]", "a[b"]);
    assert_eq!((first.date.unwrap().seconds, first.size), (None, Some(99_999_999_999)));
    let second = listing.next().await.unwrap().unwrap();
    assert_eq!((second.uid, second.gmail_id, second.modseq), (Some(2), Some(u64::MAX), Some(12)));
    assert_eq!((second.flags.unwrap().len(), second.email_id.as_deref()), (0, Some("M_1-x")));
    assert_eq!(second.labels.unwrap(), ["\\Inbox", "ä", "a \"b\""]);
    let third = listing.next().await.unwrap().unwrap();
    assert_eq!((third.uid, third.header.as_deref(), third.email_id), (Some(3), Some(&b"a\r\n\r\n"[..]), None));
    assert!(listing.next().await.unwrap().is_none());
    assert_eq!(listing.vanished().texts(LONGEST), ["5:9,12"]);
}

#[tokio::test]
async fn both_sides_can_be_slow() {
    // A server that reads nothing while its answers are not taken, with a pipe of one page: nobody waits for ever.
    let (client, mut server) = tokio::io::duplex(4096);
    let answering = tokio::spawn(async move {
        server.write_all(b"* OK [CAPABILITY IMAP4rev1] x\r\n").await?;
        let mut text = vec![0; 4096];
        let mut seen = String::new();
        let mut done = 0;
        while done < 500 {
            let count = server.read(&mut text).await?;
            seen.push_str(&String::from_utf8_lossy(&text[..count]));
            while let Some((line, rest)) = seen.split_once("\r\n") {
                let (tag, name) = line.split_once(" STATUS ").expect("a command");
                let name = name.split(' ').next().unwrap_or_default();
                let reply =
                    format!("* STATUS {name} (MESSAGES {done})\r\n{}{tag} OK\r\n", "* 1 RECENT\r\n".repeat(100));
                seen = rest.to_owned();
                done += 1;
                server.write_all(reply.as_bytes()).await?;
            }
        }
        std::io::Result::Ok(())
    });
    let mut client = Client::connect(client, options()).await.unwrap();
    let mut folders: Vec<Folder> = (0..500)
        .map(|n| Folder {
            listed: Listed { raw: format!("f{n}").into_bytes(), ..Listed::default() },
            ..Folder::default()
        })
        .collect();
    client.statuses(&mut folders).await.unwrap();
    answering.await.unwrap().unwrap();
    let counts: Vec<u32> = folders.iter().filter_map(|folder| folder.status.as_ref()?.messages).collect();
    assert_eq!(counts, (0..500).collect::<Vec<u32>>());
}

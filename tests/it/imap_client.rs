//! The IMAP client against a real Dovecot and a real Cyrus.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::common;
use crate::common::cyrus::Cyrus;
use crate::common::dovecot::{Dovecot, PASSWORD};
use crate::common::imap::Imap;
use tokio::net::TcpStream;
use vandelay::model::{Body, Digest};
use vandelay::net::connector::Connector;
use vandelay::net::endpoint::{Endpoint, Security, Service};
use vandelay::net::sasl::{Exchange, Mechanism};
use vandelay::net::secret::{Credentials, Secret};
use vandelay::net::tls::TlsOptions;
use vandelay::protocol::imap::*;

/// Dovecot, so that it has what Cyrus has.
const SETTINGS: &str = "mail_max_userip_connections = 100
mail_fsync = never
namespace inbox {
  mailbox Sent {
    special_use = \\Sent
    auto = create
  }
}
";

/// An account on one of the servers.
struct Place {
    port: u16,
    user: &'static str,
}

impl Place {
    fn connector(&self) -> Connector {
        let url = format!("imap://127.0.0.1:{}", self.port);
        let endpoint = Endpoint::parse(&url, Service::Imap).expect("a URL").allow_cleartext();
        Connector::new(endpoint, &TlsOptions::default(), Duration::from_secs(60)).expect("a connector")
    }

    fn writer(&self) -> Imap {
        Imap::login(self.port, self.user, PASSWORD)
    }

    async fn connect(&self) -> Client<TcpStream> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.expect("the server answers");
        let options = Options { timeout: Duration::from_secs(60), ..Options::new(Security::Clear) };
        Client::connect(stream, options).await.expect("a greeting")
    }

    async fn client(&self) -> Client<TcpStream> {
        let mut client = self.connect().await;
        client.login(self.user, PASSWORD).await.expect("a login");
        client.enable().await.expect("extensions");
        client
    }
}

fn bytes(body: Body) -> Vec<u8> {
    match body {
        Body::Bytes(bytes) => bytes,
        Body::File(mut file) => {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).expect("a file");
            bytes
        }
        Body::Part { .. } | Body::Absent => unreachable!("IMAP has bytes"),
    }
}

/// All that a listing tells, by UID.
async fn list(client: &mut Client<TcpStream>, items: Items) -> BTreeMap<u32, Fetched> {
    let mut listing = client.list(&UidSet::all(), items, None).await.expect("a listing");
    let mut found = BTreeMap::new();
    while let Some(fetched) = listing.next().await.expect("a line") {
        found.insert(fetched.uid.expect("a UID"), fetched);
    }
    found
}

/// All messages of the open mailbox by UID.
async fn download(client: &mut Client<TcpStream>, pipeline: Pipeline) -> BTreeMap<u32, Vec<u8>> {
    let listed = list(client, Items::LISTING).await;
    let wanted = listed.iter().map(|(&uid, fetched)| Wanted { uid, size: fetched.size.unwrap_or(0) }).collect();
    let mut bodies = client.bodies(wanted, pipeline).await.expect("a download");
    let mut found = BTreeMap::new();
    while let Some(arrival) = bodies.next().await.expect("a message") {
        match arrival {
            Arrival::Message(message) => {
                let listed = &listed[&message.uid];
                assert_eq!(message.date, listed.date);
                assert!(found.insert(message.uid, bytes(message.body)).is_none());
            }
            Arrival::Missing { uid, refusal } => panic!("{uid} is missing: {refusal:?}"),
        }
    }
    assert_eq!(found.len(), listed.len());
    found
}

/// What both servers do alike.
async fn login_and_names(place: &Place) {
    let connector = place.connector();
    let credentials = Credentials::Basic { user: place.user.to_owned(), password: Secret::new(PASSWORD.to_owned()) };
    let stream = connector.connect().await.expect("the server answers");
    let mut client = Client::connect(stream, Options::new(Security::Clear)).await.expect("a greeting");
    let offered = client.capabilities().await.expect("capabilities").clone();
    let scram = Mechanism::ScramSha256;
    let mechanism = if offered.mechanisms().any(|name| name == scram.name()) { scram } else { Mechanism::Plain };
    let mut exchange = Exchange::new(mechanism, &credentials, connector.endpoint()).expect("an attempt");
    client.authenticate(&mut exchange).await.expect("a login");
    let offers_compression = client.capabilities().await.expect("capabilities").has("COMPRESS=DEFLATE");
    let is_compressed = client.compress(|stream, read| stream.deflate(read)).await.expect("COMPRESS");
    assert_eq!(is_compressed, offers_compression);
    let server = client.identify().await.expect("ID");
    assert!(server.iter().any(|(name, _)| name == "name"), "{server:?}");
    client.enable().await.expect("ENABLE");
    let namespaces = client.namespaces().await.expect("NAMESPACE");
    assert_eq!(namespaces.personal[0].delimiter, Some('/'));
    client.noop().await.expect("NOOP");
    client.logout().await;
}

/// Mailboxes with all kinds of names, each of which can be opened.
async fn folders(place: &Place) {
    let mut writer = place.writer();
    let long = "x".repeat(150);
    let names = [
        ("Entw&APw-rfe", "Entwürfe"),
        ("a b", "a b"),
        ("Tom &- Jerry", "Tom & Jerry"),
        ("&ZeVnLIqe-/&U,BTFw-", "日本語/台北"),
        ("it's (odd)", "it's (odd)"),
        ("NIL", "NIL"),
        ("CON", "CON"),
        ("&2D3eAA-", "😀"),
        (&long, &long),
    ];
    for (raw, _) in names {
        assert!(writer.run(format!("CREATE \"{raw}\"").as_bytes()).0, "{raw}");
    }
    for number in 0..80 {
        writer.ok(&format!("CREATE many/{number}"));
    }
    writer.ok("SUBSCRIBE many/3");
    writer.ok("UNSUBSCRIBE many/4");
    assert!(writer.append("many/5", "", &common::message(1), false));

    let mut client = place.client().await;
    let listed = client.folders(true).await.expect("a list");
    for (_, name) in names {
        assert!(listed.iter().any(|folder| folder.name == name), "{name}");
    }
    let find = |name: &str| listed.iter().find(|folder| folder.name == name).expect(name);
    assert!(find("INBOX").is_selectable() && find("many/3").is_subscribed && !find("many/4").is_subscribed);
    assert!(find("Sent").listed.has("\\Sent"));
    let status = find("many/5").status.clone().expect("a status");
    assert_eq!((status.messages, status.uid_next), (Some(1), Some(2)));
    assert!(status.uid_validity.is_some() && status.highest_modseq.is_some());
    for folder in listed.iter().filter(|folder| folder.is_selectable()) {
        let selected = client.examine(&folder.listed.raw, None, &mut |_| {}).await.expect(&folder.name);
        let status = folder.status.as_ref().expect("a status");
        assert_eq!(selected.uid_validity, status.uid_validity, "{}", folder.name);
        assert_eq!(selected.exists, status.messages.expect("messages"), "{}", folder.name);
    }
    // The other ways to the same answer: STATUS by STATUS, and the name in the other spelling.
    let mut asked: Vec<Folder> =
        listed.iter().map(|folder| Folder { status: None, ..folder.clone() }).filter(Folder::is_selectable).collect();
    client.statuses(&mut asked).await.expect("statuses");
    for folder in &asked {
        let (asked, listed) = (folder.status.as_ref().expect("a status"), find(&folder.name).status.as_ref());
        assert_eq!(Some(asked.uid_validity), listed.map(|status| status.uid_validity), "{}", folder.name);
        assert_eq!(Some(asked.messages), listed.map(|status| status.messages), "{}", folder.name);
    }
    client.examine("Entwürfe".as_bytes(), None, &mut |_| {}).await.expect("the other spelling");
    let error = client.examine(b"gone", None, &mut |_| {}).await.expect_err("no such mailbox");
    assert_eq!(error.fault, Fault::Gone, "{error}");
    client.noop().await.expect("the connection lives on");
}

/// Messages that are odd in every way that the server takes, byte for byte as they came; and nothing changes by it.
async fn odd_messages(place: &Place) {
    let mut writer = place.writer();
    writer.ok("CREATE odd");
    let large = [b"Subject: large\r\n\r\n".to_vec(), b"0123456789abcde\r\n".repeat(400_000)].concat();
    let messages: Vec<(&str, Vec<u8>)> = vec![
        ("(\\Seen $Forwarded work) \"17-Jul-1996 02:44:25 -0700\" ", common::message(1)),
        ("(\\Flagged \\Answered \\Draft \\Deleted) \" 1-Jan-1971 00:00:00 +0000\" ", common::message(2)),
        ("\"31-Dec-2001 23:59:59 -0800\" ", b"\r\n".to_vec()),
        ("", b"Subject: no body\r\n\r\n".to_vec()),
        ("", b"no header\r\n\r\nbut a body\r\n".to_vec()),
        ("", b"Subject: 8 bit \xe4\xff\r\n\r\n\xf0\x28\x8c\x28\r\n".to_vec()),
        ("", b"Subject: bare LF\nX: y\n\nbody\n".to_vec()),
        ("", b"Subject: CRCRLF\r\r\n\r\r\nbody\r\r\n".to_vec()),
        ("", b"Subject: NUL\r\n\r\na\0b\r\n".to_vec()),
        ("", b"Subject: no end\r\n\r\nend".to_vec()),
        ("", Vec::new()),
        ("", large),
    ];
    let mut taken = Vec::new();
    for (extra, message) in &messages {
        let is_taken = writer.append("odd", extra, message, false) || writer.append("odd", extra, message, true);
        if is_taken {
            taken.push((*extra, message));
        }
    }
    assert!(taken.len() >= 8, "the server takes {} messages", taken.len());
    let before = writer.ok("STATUS odd (UNSEEN RECENT MESSAGES)");

    let mut client = place.client().await;
    client.examine(b"odd", None, &mut |_| {}).await.expect("a mailbox");
    let listed = list(&mut client, Items::LISTING).await;
    assert_eq!(listed.len(), taken.len());
    let bodies = download(&mut client, Pipeline::default()).await;
    let (mut identical, mut changed) = (0, Vec::new());
    for ((uid, body), (extra, message)) in bodies.iter().zip(&taken) {
        // What the server hands to a client that looks at the wire is what this client must have.
        let raw = raw_body(&mut writer, *uid);
        assert_eq!(
            Digest::of(body),
            Digest::of(&raw),
            "{uid}: {:?}",
            String::from_utf8_lossy(&body[..body.len().min(50)])
        );
        let fetched = &listed[uid];
        assert_eq!(fetched.size, Some(body.len() as u64), "{uid}");
        if body == *message {
            identical += 1;
        } else {
            changed.push(String::from_utf8_lossy(&message[..message.len().min(30)]).into_owned());
        }
        let seconds = fetched.date.as_ref().and_then(|date| date.seconds);
        match extra {
            _ if extra.contains("1996") => {
                assert_eq!(seconds, Some(837_596_665));
                let flags: BTreeSet<&str> = fetched.flags.iter().flatten().map(String::as_str).collect();
                assert!(["\\Seen", "$Forwarded", "work"].iter().all(|flag| flags.contains(flag)), "{flags:?}");
            }
            _ if extra.contains("1971") => assert_eq!(seconds, Some(31_536_000)),
            _ if extra.contains("2001") => assert_eq!(seconds, Some(1_009_871_999)),
            _ => assert!(seconds.is_some()),
        }
    }
    println!("{identical} of {} are as they were sent; the server changed {changed:?}", bodies.len());
    let items = Items { message_id: true, ..Items::FLAGS };
    let headers = list(&mut client, items).await;
    let ids = headers.values().filter_map(|fetched| fetched.header.clone()).collect::<Vec<_>>();
    assert!(ids[0].starts_with(b"Message-ID: <1@example.org>"), "{:?}", String::from_utf8_lossy(&ids[0]));
    assert_eq!(writer.ok("STATUS odd (UNSEEN RECENT MESSAGES)").lines().next(), before.lines().next());
}

/// BODY[] of a message as it stands on the wire.
fn raw_body(writer: &mut Imap, uid: u32) -> Vec<u8> {
    writer.ok("EXAMINE odd");
    let (_, lines) = writer.run(format!("UID FETCH {uid} (BODY.PEEK[])").as_bytes());
    let line = lines.into_iter().find(|line| line.windows(6).any(|part| part == b"BODY[]")).expect("a body");
    let Some(open) = line.iter().position(|&b| b == b'{') else { return Vec::new() };
    let close = open + line[open..].iter().position(|&b| b == b'}').expect("a size");
    let size: usize = std::str::from_utf8(&line[open + 1..close]).unwrap().parse().unwrap();
    line[close + 3..close + 3 + size].to_vec()
}

/// What changed since the last time, by QRESYNC and by CHANGEDSINCE.
async fn changes(place: &Place) {
    let mut writer = place.writer();
    writer.ok("CREATE changes");
    writer.ok("CREATE elsewhere");
    for number in 1..=10 {
        assert!(writer.append("changes", "", &common::message(number), false));
    }
    let mut client = place.client().await;
    let first = client.examine(b"changes", None, &mut |_| {}).await.expect("a mailbox");
    assert_eq!((first.exists, first.uid_next), (10, Some(11)));
    let known = Known {
        uid_validity: first.uid_validity.expect("UIDVALIDITY"),
        modseq: first.highest_modseq.expect("HIGHESTMODSEQ"),
    };
    let reopen = async |client: &mut Client<TcpStream>, known: Known| {
        let mut changed = BTreeMap::new();
        let selected = client
            .examine(b"changes", Some(known), &mut |fetched: Fetched| {
                changed.insert(fetched.uid.expect("a UID"), fetched.flags.expect("flags"));
            })
            .await
            .expect("a mailbox");
        (selected, changed)
    };
    let (same, changed) = reopen(&mut client, known).await;
    assert!(same.is_resynced && same.vanished.is_empty() && changed.is_empty());
    assert_eq!(same.highest_modseq, first.highest_modseq);

    writer.ok("SELECT changes");
    writer.ok("UID STORE 2,3 +FLAGS (\\Seen work)");
    writer.ok("UID STORE 5 +FLAGS (\\Deleted)");
    writer.ok("UID EXPUNGE 5");
    writer.ok("UID MOVE 6:7 elsewhere");
    assert!(writer.append("changes", "(\\Seen) ", &common::message(11), false));
    writer.ok("UNSELECT");

    let (after, changed) = reopen(&mut client, known).await;
    assert!(after.is_resynced && after.highest_modseq > first.highest_modseq);
    assert_eq!(after.vanished.texts(LONGEST), ["5:7"]);
    assert_eq!(changed.keys().copied().collect::<Vec<_>>(), [2, 3, 11]);
    assert!(changed[&2].iter().any(|flag| flag == "work"));
    assert_eq!(after.exists, 8);
    // The same within an open mailbox.
    let changes = Changes { since: known.modseq, with_vanished: true };
    let mut listing = client.list(&UidSet::all(), Items::FLAGS, Some(changes)).await.expect("a listing");
    let mut uids = Vec::new();
    while let Some(fetched) = listing.next().await.expect("a line") {
        assert!(fetched.modseq > Some(known.modseq));
        uids.push(fetched.uid.expect("a UID"));
    }
    uids.sort_unstable();
    assert_eq!((uids, listing.vanished().texts(LONGEST)), (vec![2, 3, 11], vec!["5:7".to_owned()]));
    // Another UIDVALIDITY: the server tells nothing, and the client says so.
    let other = Known { uid_validity: known.uid_validity ^ 1, ..known };
    let (other, changed) = reopen(&mut client, other).await;
    assert!(!other.is_resynced && other.vanished.is_empty() && changed.is_empty());
    // A message that vanishes between listing and download is named.
    let listed = list(&mut client, Items::FLAGS).await;
    writer.ok("SELECT changes");
    writer.ok("UID STORE 1 +FLAGS (\\Deleted)");
    writer.ok("UID EXPUNGE 1");
    let mut client = place.client().await;
    client.examine(b"changes", None, &mut |_| {}).await.expect("a mailbox");
    let wanted = listed.keys().map(|&uid| Wanted { uid, size: 0 }).collect();
    let mut bodies = client.bodies(wanted, Pipeline::default()).await.expect("a download");
    let (mut here, mut missing) = (0, Vec::new());
    while let Some(arrival) = bodies.next().await.expect("a message") {
        match arrival {
            Arrival::Message(_) => here += 1,
            Arrival::Missing { uid, refusal } => missing.push((uid, refusal)),
        }
    }
    assert_eq!((here, missing), (7, vec![(1, None)]));
}

#[tokio::test]
async fn dovecot_is_read_completely() {
    let Some(server) = Dovecot::start(SETTINGS) else { return };
    server.home("alice");
    let place = Place { port: server.imap, user: "alice" };
    login_and_names(&place).await;
    folders(&place).await;
    odd_messages(&place).await;
    changes(&place).await;
    let mut client = place.connect().await;
    let error = client.login("alice", "wrong").await.expect_err("wrong");
    assert_eq!(error.fault, Fault::Credentials { is_expired: false }, "{error}");
}

#[tokio::test]
async fn cyrus_is_read_completely() {
    let Some(server) = Cyrus::start() else { return };
    let place = Place { port: server.imap, user: "alice@example.org" };
    login_and_names(&place).await;
    folders(&place).await;
    odd_messages(&place).await;
    changes(&place).await;
    // The same message in two mailboxes has one EMAILID.
    let mut writer = place.writer();
    assert!(writer.append("INBOX", "", &common::message(77), false));
    writer.ok("SELECT INBOX");
    writer.ok("UID COPY 1:* Archive");
    let mut client = place.client().await;
    let mut ids = Vec::new();
    for name in ["INBOX", "Archive"] {
        let selected = client.examine(name.as_bytes(), None, &mut |_| {}).await.expect(name);
        assert!(selected.mailbox_id.is_some());
        ids.push(list(&mut client, Items::LISTING).await.into_values().next().and_then(|f| f.email_id).expect("an id"));
    }
    assert_eq!(ids[0], ids[1]);
}

#[tokio::test]
async fn tls_from_the_first_byte_or_later() {
    let Some(server) = Dovecot::start(SETTINGS) else { return };
    server.home("carol");
    let credentials = Credentials::Basic { user: "carol".to_owned(), password: Secret::new(PASSWORD.to_owned()) };
    let tls = TlsOptions { allow_invalid_certs: true, ..TlsOptions::default() };
    for url in [format!("imaps://localhost:{}", server.imaps), format!("imap://localhost:{}", server.imap)] {
        let endpoint = Endpoint::parse(&url, Service::Imap).expect("a URL");
        let connector = Connector::new(endpoint, &tls, Duration::from_secs(60)).expect("a connector");
        let stream = connector.connect().await.expect("the server answers");
        let security = if stream.is_encrypted() { Security::Implicit } else { Security::StartTls };
        let mut client = Client::connect(stream, Options::new(security)).await.expect("a greeting");
        if security == Security::StartTls {
            let error = client.login("carol", PASSWORD).await.expect_err("not in clear");
            assert_eq!(error.fault, Fault::Unsafe);
            client = client.starttls(async |stream| connector.start_tls(stream, &[]).await).await.expect("TLS");
        }
        let mut exchange = Exchange::new(Mechanism::Plain, &credentials, connector.endpoint()).expect("an attempt");
        client.authenticate(&mut exchange).await.expect("a login");
        assert!(client.folders(true).await.expect("a list").iter().any(|folder| folder.name == "INBOX"));
        client.logout().await;
    }
}

/// A directory and all that is in it.
fn walk(directory: &Path) -> Vec<PathBuf> {
    let mut found = vec![directory.to_owned()];
    for entry in std::fs::read_dir(directory).expect("a directory").flatten() {
        match entry.path() {
            path if path.is_dir() => found.extend(walk(&path)),
            path => found.push(path),
        }
    }
    found
}

/// Files put straight into the Maildir, some of which no server would take by APPEND; with many in flight.
#[tokio::test]
async fn five_thousand_messages_in_flight() {
    let Some(server) = Dovecot::start(SETTINGS) else { return };
    let home = server.home("bob");
    let maildir = home.join("Maildir");
    let mut sent = BTreeSet::new();
    for number in 0..5000u32 {
        let mut message = common::message(number);
        message.extend(b"line of some length that fills the message\r\n".repeat((number % 97) as usize * 3));
        sent.insert(Digest::of(&message));
        let flags = if number % 3 == 0 { "S" } else { "" };
        common::deliver(
            &maildir,
            &format!("17000{number:05}.M{number}P1.host,S={}:2,{flags}", message.len()),
            &message,
        );
    }
    for (number, odd) in [&b""[..], b"\0", b"\n", b"Subject: x\n\n\0\xff\n"].into_iter().enumerate() {
        common::deliver(&maildir, &format!("16000{number:05}.M{number}P1.host:2,"), odd);
    }
    for path in walk(&home) {
        server.give(&path);
    }
    let place = Place { port: server.imap, user: "bob" };
    let mut client = place.client().await;
    let selected = client.examine(b"INBOX", None, &mut |_| {}).await.expect("a mailbox");
    assert_eq!(selected.exists, 5004);
    let pipelines = [
        Pipeline::default(),
        Pipeline { commands: 50, messages: 1, bytes: 1 << 20 },
        Pipeline { commands: 1, messages: 1000, bytes: 1 },
    ];
    for pipeline in pipelines {
        let bodies = download(&mut client, pipeline).await;
        let digests: BTreeSet<Digest> = bodies.values().map(|body| Digest::of(body)).collect();
        assert_eq!(bodies.len(), 5004);
        assert!(sent.is_subset(&digests));
        assert!(bodies.values().any(|body| body.is_empty()), "the empty one");
    }
    let seen = list(&mut client, Items::FLAGS).await;
    let seen = seen.values().filter(|fetched| fetched.flags.iter().flatten().any(|flag| flag == "\\Seen")).count();
    assert_eq!(seen, 1667);
}

//! Exports of other programs that keep labels, flags and dates beside their messages, and compressed files: what they hold
//! arrives, and what is not understood is named.

use crate::common::{json, listed, ok, run, vandelay};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

fn message(subject: &str) -> String {
    format!(
        "From: Nora Quill <nora@example.net>\nSubject: {subject}\nDate: Mon, 5 Jan 2015 10:00:00 +0000\n\
         Message-ID: <{subject}@example.net>\n\nbody of {subject}\n"
    )
}

fn mbox(subjects: &[&str]) -> String {
    subjects.iter().map(|one| format!("From n@example.net Mon Jan  5 10:00:00 2015\n{}\n", message(one))).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

struct Export {
    dir: tempfile::TempDir,
}

impl Export {
    fn new(files: &[(&str, &[u8])]) -> Export {
        let export = Export { dir: tempfile::tempdir().unwrap() };
        files.iter().for_each(|(name, bytes)| export.put(name, bytes));
        export
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        let path = self.at(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn archive(&self) -> String {
        self.at("a.sqlite").to_str().unwrap().to_owned()
    }

    /// Imports a path below the export: exit code, and the reasons of what is not understood, each with its position.
    fn import(&self, kind: &str, path: &str) -> (i32, BTreeSet<String>) {
        let output = run(&["import", kind, "--json", self.at(path).to_str().unwrap(), &self.archive()]);
        let stdout = String::from_utf8(output.stdout).unwrap();
        let summary = stdout.lines().find(|line| line.contains("\"summary\""));
        let summary = summary.unwrap_or_else(|| panic!("{stdout}{}", String::from_utf8_lossy(&output.stderr)));
        let summary: serde_json::Value = serde_json::from_str(summary).unwrap();
        let strange = summary["remarks"].as_array().unwrap().iter().filter(|one| one["outcome"] == "not understood");
        let name = |one: &serde_json::Value| {
            let position = one["position"].as_str().unwrap();
            format!(
                "{}: {}",
                position.rsplit_once('/').map_or(position, |(_, name)| name),
                one["reason"].as_str().unwrap()
            )
        };
        (output.status.code().unwrap(), strange.map(name).collect())
    }

    /// The subject of every message with its flags, by its mailbox.
    fn mailboxes(&self) -> BTreeMap<String, BTreeSet<String>> {
        let archive = self.archive();
        ok(&["verify", "--quiet", &archive]);
        let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for line in ok(&["ls", "-R", &archive, "mail"]).lines() {
            let Some((mailbox, name)) = line.split_once("/cur/") else { continue };
            let mailbox = mailbox.strip_prefix("mail/").expect("a whole path");
            let bytes = ok(&["cat", &archive, line]);
            let subject = bytes.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap();
            let flags = name.rsplit_once(":2,").unwrap().1;
            found.entry(mailbox.to_owned()).or_default().insert(format!("{subject} {flags}").trim_end().to_owned());
        }
        found
    }
}

fn expected(list: &[(&str, &[&str])]) -> BTreeMap<String, BTreeSet<String>> {
    list.iter().map(|(name, all)| ((*name).to_owned(), all.iter().map(|one| (*one).to_owned()).collect())).collect()
}

fn set(list: &[&str]) -> BTreeSet<String> {
    list.iter().map(|one| (*one).to_owned()).collect()
}

/// As Proton Mail's export tool writes it (go-lib/internal/mail, version 1 of its files).
fn proton_metadata(labels: &str, rest: &str) -> String {
    format!(
        r#"{{"Version":1,"Payload":{{"ID":"x==","AddressID":"y==","LabelIDs":[{labels}],"ExternalID":"","Subject":"s","Sender":{{"Name":"","Address":"a@proton.me"}},"ToList":[],"CCList":[],"BCCList":[],"ReplyTos":[],"Flags":9227,"Time":1600000000,"Size":1,{rest},"NumAttachments":0,"Header":"","WriterType":0}}}}"#
    )
}

#[test]
fn proton_mails_labels_flags_and_dates() {
    let labels = r##"{"Version":1,"Payload":[
        {"ID":"work==","ParentID":"","Name":"Work","Path":"Work","Color":"#8080FF","Type":3},
        {"ID":"idea==","ParentID":"work==","Name":"Ideen","Path":"Work/Ideen","Color":"#8080FF","Type":3},
        {"ID":"red==","ParentID":"","Name":"Red","Path":"Red","Color":"#f00","Type":1}]}"##;
    let (read, unread) =
        (r#""Unread":0,"IsReplied":1,"IsRepliedAll":0,"IsForwarded":0"#, r#""Unread":1,"IsForwarded":0"#);
    let a = proton_metadata(r#""0","5","15","10","red==""#, read);
    let b = proton_metadata(r#""idea==","5","15""#, unread);
    let c = proton_metadata(r#""7","2","5","gone==""#, read);
    let export = Export::new(&[
        ("mail_1/labels.json", labels.as_bytes()),
        ("mail_1/a.eml", message("a").as_bytes()),
        ("mail_1/a.metadata.json", a.as_bytes()),
        ("mail_1/b.eml", message("b").as_bytes()),
        ("mail_1/b.metadata.json", b.as_bytes()),
        ("mail_1/c.eml", message("c").as_bytes()),
        ("mail_1/c.metadata.json", c.as_bytes()),
        ("mail_1/d.eml", message("d").as_bytes()),
        ("mail_1/d.metadata.json", b"{}"),
        ("mail_1/e.metadata.json", b.as_bytes()),
    ]);
    let strange = set(&[
        "c.eml: gone==: label of Proton Mail that labels.json does not name",
        "d.eml: labels and flags of Proton Mail that are not understood",
        "e.metadata.json: message of Proton Mail that is not there: export it once more",
    ]);
    for kind in ["eml", "takeout"] {
        assert_eq!(export.import(kind, "mail_1"), (5, strange.clone()), "{kind}");
        let rest = if kind == "eml" { "mail_1" } else { "Imported" };
        let all = [
            ("Inbox", &["a FRS"][..]),
            ("Red", &["a FRS"]),
            ("Sent", &["c RS"]),
            ("Work/Ideen", &["b"]),
            (rest, &["d"]),
        ];
        assert_eq!(export.mailboxes(), expected(&all), "{kind}");
        let inbox = ok(&["ls", &export.archive(), "mail/Inbox/cur"]);
        assert!(inbox.starts_with("1600000000."), "the time is Proton's: {inbox}");
        fs::remove_file(export.archive()).unwrap();
    }
    for name in ["d.metadata.json", "e.metadata.json"] {
        fs::remove_file(export.at("mail_1").join(name)).unwrap();
    }
    export.put("mail_1/c.metadata.json", proton_metadata(r#""7""#, read).as_bytes());
    assert_eq!(export.import("eml", "mail_1"), (0, BTreeSet::new()));
    // What changed beside a message is read, though the message itself did not change.
    export.put("mail_1/b.metadata.json", proton_metadata(r#""3""#, read).as_bytes());
    assert_eq!(export.import("eml", "mail_1"), (0, BTreeSet::new()));
    assert_eq!(export.mailboxes()["Trash"], set(&["b RS"]));
    // One message alone has what lies beside it, too.
    fs::remove_file(export.archive()).unwrap();
    assert_eq!(export.import("eml", "mail_1/a.eml"), (0, BTreeSet::new()));
    assert_eq!(export.mailboxes(), expected(&[("Inbox", &["a FRS"]), ("Red", &["a FRS"])]));
}

#[test]
fn gmvaults_messages_packed_or_not() {
    let meta = |labels: &str, flags: &str| {
        format!(
            r#"{{"gm_id": 1, "labels": [{labels}], "flags": [{flags}], "thread_ids": 1, "internal_date": 1600000000, "subject": "x", "msg_id": "y", "x_gmail_received": null}}"#
        )
    };
    let export = Export::new(&[
        ("db/2020-09/1.eml.gz", &gzip(message("a").as_bytes())),
        ("db/2020-09/1.meta", meta(r#""\\Inbox", "\\Important", "Work/Ideas""#, r#""\\Seen""#).as_bytes()),
        ("db/2020-09/2.eml", message("b").as_bytes()),
        ("db/2020-09/2.meta", meta("", r#""\\Seen", "\\Flagged""#).as_bytes()),
        ("db/2020-10/3.eml.crypt.gz", b"x"),
        ("db/2020-10/3.meta", meta("", "").as_bytes()),
        (".info/.gmvault_db_version.info", b"1.9"),
    ]);
    let (code, strange) = export.import("eml", ".");
    let strange: Vec<_> = strange.into_iter().collect();
    assert_eq!(
        (code, &strange[..]),
        (5, &["3.eml.crypt.gz: message encrypted by Gmvault: decrypt it first".to_owned()][..])
    );
    let all = [("Inbox", &["a Sa"][..]), ("Work/Ideas", &["a Sa"]), ("Archive", &["b FS"])];
    assert_eq!(export.mailboxes(), expected(&all));
    let name = ok(&["ls", &export.archive(), "mail/Inbox/cur"]);
    assert!(name.starts_with("1600000000."), "{name}");
}

#[test]
fn flags_of_mh_and_claws_mail() {
    let marks: Vec<u8> = [2_u32, 1, 0, 2, 0b11_0110].into_iter().flat_map(u32::to_le_bytes).collect();
    let export = Export::new(&[
        ("mh/inbox/1", message("a").as_bytes()),
        ("mh/inbox/2", message("b").as_bytes()),
        ("mh/inbox/3", message("c").as_bytes()),
        ("mh/inbox/.mh_sequences", b"cur: 2\nunseen: 2-3\nflagged: 1 3\n"),
        ("mh/claws/1", message("d").as_bytes()),
        ("mh/claws/2", message("e").as_bytes()),
        ("mh/claws/.mh_sequences", b"unseen: 1\n"),
        ("mh/claws/.claws_mark", &marks),
        ("mh/claws/.claws_cache", b"x"),
        ("mh/plain/1", message("f").as_bytes()),
        ("mh/odd/1", message("g").as_bytes()),
        ("mh/odd/.claws_mark", b"odd"),
    ]);
    let (code, strange) = export.import("eml", "mh");
    assert_eq!((code, strange.len()), (5, 1), "{strange:?}");
    assert!(strange.first().unwrap().contains("flags of messages that are not understood"), "{strange:?}");
    let all = [("Inbox", &["a FS", "b", "c F"][..]), ("claws", &["d S", "e FPR"]), ("plain", &["f"]), ("odd", &["g"])];
    assert_eq!(export.mailboxes(), expected(&all));
}

/// Without its list of unseen messages all of a folder would be taken for seen.
#[test]
fn a_list_of_mh_that_cannot_be_read_is_named_and_waited_for_by_nobody() {
    let strange = |make: &dyn Fn(&Path)| {
        let export = Export::new(&[("mh/1", message("one").as_bytes())]);
        make(&export.at("mh/.mh_sequences"));
        let (code, strange) = export.import("eml", "mh");
        assert_eq!(code, 5, "{strange:?}");
        assert!(strange.iter().any(|one| one.contains("flags of messages")), "{strange:?}");
        let email = listed(&["inspect", &export.archive(), "email"]);
        assert!(!email[0].to_string().contains("$seen"), "{email:?}");
    };
    strange(&|path| fs::create_dir(path).unwrap());
    strange(&|path| fs::write(path.with_file_name("labels.json"), "{}").unwrap());
    strange(&|path| fs::write(path, b"\xff\xfe no list").unwrap());
    strange(&|path| assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success()));
}

#[test]
fn thunderbirds_profile_and_apple_mails_folders() {
    let moz = |subject: &str, status: &str| {
        format!(
            "From - Mon Jan  5 10:00:00 2015\nX-Mozilla-Status: {status}\nX-Mozilla-Status2: 00000000\n{}\n",
            message(subject)
        )
    };
    let emlx = |subject: &str, flags: u32| {
        let message = message(subject);
        format!(
            "{}\n{message}<?xml version=\"1.0\"?>\n<plist><dict><key>flags</key><integer>{flags}</integer></dict></plist>\n",
            message.len()
        )
    };
    let export = Export::new(&[
        ("tb/ImapMail/imap.example.org/INBOX", moz("a", "0001").as_bytes()),
        ("tb/ImapMail/imap.example.org/INBOX.msf", b"x"),
        ("tb/ImapMail/imap.example.org/INBOX.sbd/Work", [moz("b", "0005"), moz("deleted", "0009")].concat().as_bytes()),
        ("tb/ImapMail/imap.example.org/INBOX.sbd/Work.msf", b"x"),
        ("tb/prefs.js", b"user_pref(\"x\", 1);\n"),
        ("V10/A1/INBOX.mbox/B2/Data/Messages/7.emlx", emlx("c", 1).as_bytes()),
        ("V10/A1/INBOX.mbox/B2/Data/Attachments/8/2/report.pdf", b"%PDF"),
        ("V10/A1/INBOX.mbox/B2/Data/Messages/8.partial.emlx", emlx("d", 1).as_bytes()),
    ]);
    assert_eq!(export.import("mbox", "tb"), (0, BTreeSet::new()));
    let all = [("ImapMail/imap.example.org/INBOX", &["a S"][..]), ("ImapMail/imap.example.org/INBOX/Work", &["b FS"])];
    assert_eq!(export.mailboxes(), expected(&all));
    let (code, strange) = export.import("eml", "V10");
    assert_eq!((code, strange.len()), (5, 1), "{strange:?}");
    assert_eq!(export.mailboxes()["A1/INBOX"], set(&["c S"]));
}

#[test]
fn got_your_backs_labels_are_named_as_missing() {
    let export =
        Export::new(&[("gyb/2015/1/5/17.eml", message("a").as_bytes()), ("gyb/msg-db.sqlite", b"SQLite format 3\0")]);
    let (code, strange) = export.import("eml", "gyb");
    assert_eq!((code, strange.len()), (5, 1), "{strange:?}");
    assert!(strange.first().unwrap().starts_with("msg-db.sqlite: labels and dates of Got Your Back"), "{strange:?}");
    assert_eq!(export.mailboxes(), expected(&[("2015/1/5", &["a"])]));
}

#[test]
fn compressed_files_are_unpacked() {
    let plain = mbox(&["a", "b"]);
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
    xz.write_all(plain.as_bytes()).unwrap();
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip2.write_all(plain.as_bytes()).unwrap();
    let (gz, xz, bz2) = (gzip(plain.as_bytes()), xz.finish().unwrap(), bzip2.finish().unwrap());
    let zst = zstd::encode_all(plain.as_bytes(), 3).unwrap();
    for (name, bytes) in [("a.mbox.gz", &gz), ("a.xz", &xz), ("a.txt.zst", &zst), ("A.MBOX.BZ2", &bz2)] {
        for kind in ["mbox", "takeout"] {
            let export = Export::new(&[(&format!("in/{name}"), bytes)]);
            for path in ["in", &format!("in/{name}")] {
                if Path::new(&export.archive()).exists() {
                    fs::remove_file(export.archive()).unwrap();
                }
                assert_eq!(export.import(kind, path), (0, BTreeSet::new()), "{kind} {path}");
                let mailboxes = export.mailboxes();
                assert_eq!(mailboxes.values().next(), Some(&set(&["a", "b"])), "{kind} {path}");
                let stem = if name == "a.txt.zst" { "a.txt" } else { "a" };
                assert!(mailboxes.keys().next().unwrap().eq_ignore_ascii_case(stem), "{mailboxes:?}");
                assert_eq!(export.import(kind, path), (0, BTreeSet::new()), "once more");
            }
        }
    }
    let export = Export::new(&[("a.mbox.gz", &gz)]);
    let mut command = vandelay();
    command.args(["import", "mbox", "-", &export.archive()]);
    let status = command.stdin(fs::File::open(export.at("a.mbox.gz")).unwrap()).status().unwrap();
    assert_eq!((status.code(), export.mailboxes()), (Some(0), expected(&[("Imported", &["a", "b"])])));
    // Damaged ones, and one that would never end, fail and are named.
    let export = Export::new(&[
        ("in/good.mbox", plain.as_bytes()),
        ("in/cut.mbox.gz", &gz[..gz.len() - 9]),
        ("in/bomb.mbox.zst", &zstd::encode_all(&[plain.as_bytes(), &vec![b'x'; 100 << 20]].concat()[..], 19).unwrap()),
    ]);
    let output = run(&["import", "mbox", export.at("in").to_str().unwrap(), &export.archive()]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(said.contains("cut.mbox.gz") && said.contains("bomb.mbox.zst") && said.contains("larger than"), "{said}");
    assert_eq!(export.mailboxes(), expected(&[("good", &["a", "b"])]));
    let email = json(&["inspect", "--json", &export.archive()]);
    assert_eq!(email["types"]["email"]["count"].as_u64(), Some(2), "{email}");
}

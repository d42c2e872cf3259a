//! The mount as mail, calendar and backup programs read it: the real ones.

use crate::common::account::{Account, below, both, contents, done, is_mounted, messages, sh, text, wait};
use crate::common::corpora::{corpora, small};
use crate::common::{Mounted, deliver, has, listed, message, ok};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Folders of the full corpus from which real messages are added: a year of a mailing list each.
const YEARS: [&str; 3] = ["2020", "2023", "2025"];
/// The folder of the small set: strange messages.
const STRANGE: &str = ".Lists.Strange";

/// An account with real mail and mail of ours with flags and keywords.
fn mail_account() -> Account {
    let account = Account::new();
    let real = |folder: &str, name: &str, number: usize, bytes: &[u8]| {
        deliver(&account.maildir().join(folder), &format!("{name}:2,{}", ["S", "", "FS"][number % 3]), bytes);
    };
    let strange = small("mail-edge").expect("a small set").files().into_iter().map(|(_, bytes)| bytes);
    for (number, bytes) in strange.filter(|bytes| is_mail(bytes)).enumerate() {
        real(STRANGE, &format!("{}.M{number}.host", 1_600_000_000 + number), number, &bytes);
    }
    for corpus in corpora("mail-usrp-users") {
        for year in YEARS {
            let folder = corpus.root.join(format!("Maildir/.{year}/new"));
            let of_year = corpus.paths.iter().filter(|path| path.starts_with(&folder));
            for (number, path) in of_year.take(50).enumerate() {
                let name = path.file_name().unwrap().to_str().unwrap();
                real(&format!(".Lists.USRP.{year}"), name, number, &fs::read(path).unwrap());
            }
        }
    }
    account.import();
    account
}

/// Whether every program takes it for a message: its header begins at once and has a sender, an addressee or a subject.
fn is_mail(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
    let mut header = text.lines().take_while(|line| !line.is_empty());
    !text.starts_with("from ")
        && header.any(|line| ["from:", "to:", "subject:"].iter().any(|name| line.starts_with(name)))
}

/// The mailboxes of a mounted tree, by path below `mail/`, with the names of their messages.
fn mailboxes(mail: &Path) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    for (path, _) in below(mail).into_iter().filter(|(path, meta)| meta.is_dir() && path.ends_with("cur")) {
        let names =
            fs::read_dir(mail.join(&path)).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        found.insert(path.parent().unwrap().to_str().unwrap().to_owned(), names.collect());
    }
    found
}

fn count(mailboxes: &BTreeMap<String, Vec<String>>) -> usize {
    mailboxes.values().map(Vec::len).sum()
}

/// How many messages of a mailbox have a flag.
fn flagged(names: &[String], flag: char) -> usize {
    names.iter().filter(|name| name.split_once(":2,").is_some_and(|(_, flags)| flags.contains(flag))).count()
}

/// Mounts the account again, to show what came since.
fn remount(account: &Account, mount: Mounted) -> Mounted {
    drop(mount);
    wait(|| !is_mounted(&account.mountpoint()), String::new);
    account.mount(&[]).expect("it could be mounted before")
}

// --- neomutt -----------------------------------------------------------------------------------------------------

#[test]
fn neomutt_opens_every_folder() {
    if !has("neomutt") || !has("script") {
        return;
    }
    let account = mail_account();
    let Some(mount) = account.mount(&[]) else { return };
    let rc = account.path().join("neomuttrc");
    let config = format!(
        "set mbox_type=Maildir\nset folder={}\nset header_cache=\nset wait_key=no\nset pipe_split=yes\n",
        text(&mount.at.join("mail"))
    );
    fs::write(&rc, config).unwrap();
    for (name, files) in mailboxes(&mount.at.join("mail")) {
        let unseen = files.len() - flagged(&files, 'S');
        // A pattern that matches nothing would end the keys pushed, and neomutt would wait for more.
        let patterns =
            [("~A", files.len()), ("~F", flagged(&files, 'F')), ("~Q", flagged(&files, 'R')), ("~U", unseen)];
        for (pattern, expected) in patterns.into_iter().filter(|(_, expected)| *expected > 0) {
            let seen = account.path().join("seen");
            let _ = fs::remove_file(&seen);
            let keys = format!(
                "push \"<tag-pattern>{pattern}<enter><tag-prefix><pipe-message>cat >/dev/null; echo x >>{}<enter><exit>\"",
                text(&seen)
            );
            let command = format!(
                "exec neomutt -n -F '{}' -R -f '{}' -e '{keys}'",
                text(&rc),
                text(&mount.at.join("mail").join(&name))
            );
            let output = Command::new("timeout")
                .args(["20", "script", "-qec", &command, "/dev/null"])
                .env("HOME", account.path())
                .env("TERM", "xterm")
                .stdin(Stdio::null())
                .output()
                .unwrap();
            assert!(output.status.success(), "{name} {pattern}: {}", both(&output));
            let said = both(&output);
            for complaint in ["Read-only file system", "Error opening", "Could not", "can't"] {
                assert!(!said.contains(complaint), "{name}: {complaint}: {said}");
            }
            let lines = fs::read_to_string(&seen).unwrap_or_default().lines().count();
            assert_eq!(lines, expected, "{name} {pattern}");
        }
    }
}

// --- notmuch -----------------------------------------------------------------------------------------------------

#[test]
fn notmuch_finds_what_is_new_and_only_that() {
    if !has("notmuch") {
        return;
    }
    let account = mail_account();
    let Some(mut mount) = account.mount(&[]) else { return };
    let database = account.path().join("notmuch");
    fs::create_dir(&database).unwrap();
    let config = account.path().join("notmuch-config");
    let settings = format!(
        "[database]\npath={}\nmail_root={}\n[new]\ntags=new\n[maildir]\nsynchronize_flags=true\n[user]\nname=x\nprimary_email=a@example.org\n",
        text(&database),
        text(&mount.at.join("mail"))
    );
    fs::write(&config, settings).unwrap();
    let notmuch = |arguments: &[&str]| {
        done(
            Command::new("notmuch").args(arguments).env("NOTMUCH_CONFIG", &config).env("HOME", account.path()),
            "notmuch",
        )
    };
    let files = |query: &str| notmuch(&["count", "--output=files", query]).trim().parse::<usize>().unwrap();

    notmuch(&["new"]);
    let shown = mailboxes(&mount.at.join("mail"));
    assert_eq!(files("*"), count(&shown));
    let all: usize = shown.values().map(|files| flagged(files, 'F')).sum();
    assert!(files("tag:flagged") > 0 && files("tag:flagged") <= all + 60, "flags arrive as tags");
    assert!(notmuch(&["new"]).contains("No new mail"));
    mount = remount(&account, mount);
    assert!(notmuch(&["new"]).contains("No new mail"), "a remount is no news");

    // Old mail into an old folder far down, into a new folder, and one whose flags change.
    deliver(&account.maildir().join(".Archive.2020"), "1300000000.M1.host:2,S", &message(5_001));
    deliver(&account.maildir().join(".Fresh.Deep"), "1300000001.M1.host:2,S", &message(5_002));
    let old = fs::read_dir(account.maildir().join(STRANGE).join("cur"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| text(path).ends_with(":2,"))
        .unwrap();
    fs::rename(&old, format!("{}FS", text(&old))).unwrap();
    account.import();
    mount = remount(&account, mount);
    let said = notmuch(&["new"]);
    assert!(said.contains("Added 2 new messages") && said.contains("Detected 1 file rename"), "{said}");
    assert_eq!(files("*"), count(&shown) + 2);
    assert!(notmuch(&["new"]).contains("No new mail"));
    drop(mount);
}

// --- mu ----------------------------------------------------------------------------------------------------------

#[test]
fn mu_indexes_everything_once() {
    if !has("mu") {
        return;
    }
    let account = mail_account();
    let Some(mut mount) = account.mount(&[]) else { return };
    let home = account.path().join("mu");
    let mu = |arguments: &[&str]| {
        let home = format!("--muhome={}", text(&home));
        let output = Command::new("mu").args(arguments).arg(home).env("HOME", account.path()).output().unwrap();
        assert!(output.status.success(), "mu {arguments:?}: {}", both(&output));
        both(&output)
    };
    let maildir = format!("--maildir={}", text(&mount.at.join("mail")));
    mu(&["init", &maildir]);
    mu(&["index"]);
    let shown = mailboxes(&mount.at.join("mail"));
    let found =
        |query: &str| mu(&["find", query, "--fields=l"]).lines().filter(|line| !line.contains("no matches")).count();
    assert_eq!(found(""), count(&shown));
    assert!(below(&mount.at.join("mail")).keys().all(|path| path.as_os_str().len() < 240));
    for arguments in [&["index"][..], &["index", "--lazy-check"]] {
        let said = mu(arguments);
        assert!(said.contains("updated/new: 0; cleaned-up: 0") && !said.contains("updated/new: 1"), "{said}");
    }
    // mu remembers when it looked, to the second.
    std::thread::sleep(std::time::Duration::from_millis(2_100));
    deliver(&account.maildir().join(".Archive.2020"), "1300000000.M1.host:2,S", &message(5_001));
    account.import();
    mount = remount(&account, mount);
    let said = mu(&["index", "--lazy-check"]);
    assert!(said.contains("updated/new: 1; cleaned-up: 0") && !said.contains("updated/new: 2"), "{said}");
    assert_eq!(found(""), count(&shown) + 1);
    drop(mount);
}

// --- mblaze and Dovecot ------------------------------------------------------------------------------------------

#[test]
fn mblaze_lists_every_message() {
    if !has("mlist") || !has("mscan") {
        return;
    }
    let account = mail_account();
    let Some(mount) = account.mount(&[]) else { return };
    for (name, files) in mailboxes(&mount.at.join("mail")).into_iter().filter(|(_, files)| !files.is_empty()) {
        let folder = mount.at.join("mail").join(&name);
        let lines = |command: &str| sh("sh", &["-c", command, "sh", text(&folder)]).lines().count();
        assert_eq!(lines("mlist \"$1\""), files.len(), "{name}");
        assert_eq!(lines("mlist \"$1\" | mscan 2>/dev/null"), files.len(), "{name}");
        assert_eq!(lines("mlist -S \"$1\""), flagged(&files, 'S'), "{name}: seen");
        assert_eq!(lines("mlist -F \"$1\""), flagged(&files, 'F'), "{name}: flagged");
    }
}

/// Dovecot's configuration for a mount read by nobody, since it serves no mail to root. The directory is its own.
fn dovecot(account: &Account, mount: &Path) -> PathBuf {
    let own = account.path().join("dovecot");
    for part in ["", "run", "state", "index", "control", "home"] {
        fs::create_dir_all(own.join(part)).unwrap();
        fs::set_permissions(own.join(part), fs::Permissions::from_mode(0o777)).unwrap();
    }
    fs::set_permissions(account.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let (own, mail) = (text(&own).to_owned(), text(&mount.join("mail")).to_owned());
    let config = account.path().join("dovecot.conf");
    let settings = format!(
        "base_dir = {own}/run\nstate_dir = {own}/state\nmail_uid = 65534\nmail_gid = 65534\nfirst_valid_uid = 0\nfirst_valid_gid = 0\n\
         mail_location = maildir:{mail}:LAYOUT=fs:UTF-8:INBOX={mail}/INBOX:INDEX={own}/index:CONTROL={own}/control\n\
         namespace inbox {{\n inbox = yes\n separator = /\n}}\n"
    );
    fs::write(&config, settings).unwrap();
    config
}

fn as_nobody(program: &str, home: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "timeout", "60", program]);
    command.env("HOME", home).env("USER", "nobody");
    command
}

/// Dovecot looks for the names of keywords among its control files, so whoever puts those elsewhere copies them.
fn give_keywords(account: &Account, mail: &Path) {
    for name in mailboxes(mail).keys() {
        let names = mail.join(name).join("dovecot-keywords");
        let control = account.path().join("dovecot/control").join(name);
        if names.exists() {
            fs::create_dir_all(&control).unwrap();
            fs::set_permissions(&control, fs::Permissions::from_mode(0o777)).unwrap();
            fs::write(control.join("dovecot-keywords"), fs::read(names).unwrap()).unwrap();
        }
    }
}

/// What Dovecot answers to these commands, and what it says besides.
fn imap_session(account: &Account, config: &Path, commands: &str) -> String {
    let mut child = as_nobody("/usr/lib/dovecot/imap", &account.path().join("dovecot/home"))
        .arg("-c")
        .arg(config)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(commands.as_bytes()).unwrap();
    both(&child.wait_with_output().unwrap())
}

/// The size of a message on the wire, where lines end with CRLF, whatever it was stored with.
fn wire_size(path: &Path) -> usize {
    let bytes = fs::read(path).unwrap();
    let bare = (0..bytes.len()).filter(|at| bytes[*at] == b'\n' && (*at == 0 || bytes[at - 1] != b'\r')).count();
    bytes.len() + bare
}

/// The number that stands behind a word in an answer to FETCH.
fn number(line: &str, word: &str) -> usize {
    line.split_once(&format!("{word} ")).unwrap().1.split([' ', ')']).next().unwrap().parse().unwrap()
}

#[test]
fn dovecot_serves_the_tree() {
    if !has("dovecot") || !has("setpriv") {
        return;
    }
    let account = mail_account();
    let Some(mount) = account.mount(&["-o", "allow_other,umask=022"]) else { return };
    let config = dovecot(&account, &mount.at);
    let mail = mount.at.join("mail");
    give_keywords(&account, &mail);
    let session = |commands: &str| imap_session(&account, &config, commands);
    for (name, files) in mailboxes(&mail).into_iter().filter(|(_, files)| !files.is_empty()) {
        // As the wire spells it: modified UTF-7.
        let wire_name = name.replace('ü', "&APw-");
        let commands =
            format!("1 EXAMINE \"{wire_name}\"\r\n2 FETCH 1:* (UID FLAGS RFC822.SIZE INTERNALDATE)\r\n3 LOGOUT\r\n");
        let said = session(&commands);
        let lines: Vec<&str> = said.lines().filter(|line| line.contains(" FETCH (")).collect();
        assert_eq!(lines.len(), files.len(), "{name}: {said}");
        let mut expected: Vec<usize> =
            files.iter().map(|file| wire_size(&mail.join(&name).join("cur").join(file))).collect();
        let mut sizes: Vec<usize> = lines.iter().map(|line| number(line, "RFC822.SIZE")).collect();
        sizes.sort_unstable();
        expected.sort_unstable();
        assert_eq!(sizes, expected, "{name}");
        for (flag, letter) in [
            ("\\Seen", 'S'),
            ("\\Flagged", 'F'),
            ("\\Answered", 'R'),
            ("\\Draft", 'D'),
            ("important", 'a'),
            ("project-x", 'b'),
        ] {
            let with = lines.iter().filter(|line| line.contains(flag)).count();
            // Lists of keywords belong to their folder; the other folders have none.
            assert_eq!(with, flagged(&files, letter), "{name}: {flag}: {said}");
        }
        let again = session(&commands);
        let uids = |said: &str| -> Vec<usize> {
            said.lines().filter(|line| line.contains(" FETCH (")).map(|line| number(line, "UID")).collect()
        };
        assert_eq!(uids(&said), uids(&again), "{name}: the numbers stay");
        let validity = |said: &str| said.split_once("[UIDVALIDITY ").unwrap().1.split(']').next().unwrap().to_owned();
        assert_eq!(validity(&said), validity(&again), "{name}");
    }
    let listed = session("1 LIST \"\" \"*\"\r\n2 LOGOUT\r\n");
    for name in ["INBOX", "Archive/2020", "Entw&APw-rfe", "Lists/Strange"] {
        assert!(
            listed
                .lines()
                .any(|line| line.starts_with("* LIST") && line.trim_end().trim_end_matches('"').ends_with(name)),
            "{name}: {listed}"
        );
    }
}

// --- calendars ---------------------------------------------------------------------------------------------------

fn calendar_account() -> Account {
    let account = Account::empty();
    let takeout = account.path().join("Takeout");
    for part in ["Calendar", "Contacts/My Contacts"] {
        fs::create_dir_all(takeout.join(part)).unwrap();
    }
    let event = |uid: &str, more: &str| {
        format!("BEGIN:VEVENT\r\nUID:{uid}\r\nDTSTAMP:20240101T000000Z\r\n{more}END:VEVENT\r\n")
    };
    let calendar = |name: &str, events: &str| {
        format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//y//EN\r\nX-WR-CALNAME:{name}\r\n{events}END:VCALENDAR\r\n"
        )
    };
    let work = [
        event("one@example.org", "DTSTART:20260110T090000Z\r\nDTEND:20260110T100000Z\r\nSUMMARY:First meeting\r\n"),
        event(
            "two/of ✓@example.org",
            "DTSTART:20260105T090000Z\r\nDTEND:20260105T100000Z\r\nRRULE:FREQ=WEEKLY;COUNT=4\r\nSUMMARY:Weekly\r\n",
        ),
        event(
            "two/of ✓@example.org",
            "RECURRENCE-ID:20260112T090000Z\r\nDTSTART:20260112T110000Z\r\nDTEND:20260112T120000Z\r\nSUMMARY:Weekly moved\r\n",
        ),
    ];
    fs::write(takeout.join("Calendar/Work.ics"), calendar("Work", &work.concat())).unwrap();
    let private = event("three@example.org", "DTSTART;VALUE=DATE:20260120\r\nSUMMARY:Geburtstag Jürgen\r\n");
    fs::write(takeout.join("Calendar/Privat & mehr.ics"), calendar("Privat & mehr", &private)).unwrap();
    let cards = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:card-1\r\nFN:Alice Example\r\nN:Example;Alice;;;\r\nEMAIL:alice@example.org\r\nEND:VCARD\r\n\
                 BEGIN:VCARD\r\nVERSION:4.0\r\nUID:card-2\r\nFN:Jürgen Beispiel\r\nEND:VCARD\r\n";
    fs::write(takeout.join("Contacts/My Contacts/My Contacts.vcf"), cards).unwrap();
    ok(&["import", "takeout", text(&takeout), text(&account.archive())]);
    account
}

#[test]
fn khal_shows_the_events() {
    if !has("khal") {
        return;
    }
    let account = calendar_account();
    let Some(mount) = account.mount(&[]) else { return };
    let config = account.path().join("khal.conf");
    let settings = format!(
        "[calendars]\n[[all]]\npath = {}/calendars/*\ntype = discover\nreadonly = True\n[sqlite]\npath = {}/khal.db\n\
         [locale]\ntimeformat = %H:%M\ndateformat = %Y-%m-%d\nlongdateformat = %Y-%m-%d\ndatetimeformat = %Y-%m-%d %H:%M\n\
         longdatetimeformat = %Y-%m-%d %H:%M\nlocal_timezone = UTC\ndefault_timezone = UTC\n",
        text(&mount.at),
        text(account.path())
    );
    fs::write(&config, settings).unwrap();
    let khal = |arguments: &[&str]| {
        let output = Command::new("khal")
            .arg("-c")
            .arg(&config)
            .args(arguments)
            .env("HOME", account.path())
            .env("LC_ALL", "C.UTF-8")
            .output()
            .unwrap();
        assert!(output.status.success(), "khal: {}", both(&output));
        both(&output)
    };
    let calendars = khal(&["printcalendars"]);
    assert_eq!(calendars.lines().map(str::trim).collect::<BTreeSet<_>>(), BTreeSet::from(["Privat & mehr", "Work"]));
    let listed = khal(&["list", "--notstarted", "-f", "{start-date} {start-time} {title}", "2026-01-01", "30d"]);
    for line in [
        "2026-01-05 09:00 Weekly",
        "2026-01-10 09:00 First meeting",
        "2026-01-12 11:00 Weekly moved",
        "2026-01-19 09:00 Weekly",
        "2026-01-20  Geburtstag Jürgen",
        "2026-01-26 09:00 Weekly",
    ] {
        assert_eq!(listed.lines().filter(|listed| *listed == line).count(), 1, "{line}: {listed}");
    }
    assert!(!listed.to_lowercase().contains("error") && !listed.contains("2026-01-12 09:00"), "{listed}");
}

#[test]
fn vdirsyncer_has_nothing_to_do_after_a_remount() {
    if !has("vdirsyncer") {
        return;
    }
    let account = calendar_account();
    let Some(mut mount) = account.mount(&[]) else { return };
    let config = account.path().join("vdirsyncer.conf");
    let mut settings = format!("[general]\nstatus_path = \"{}/status\"\n", text(account.path()));
    for (pair, folder, extension) in [("cal", "calendars", ".ics"), ("card", "contacts", ".vcf")] {
        settings += &format!(
            "[pair {pair}]\na = \"{pair}_mount\"\nb = \"{pair}_copy\"\ncollections = [\"from a\"]\nconflict_resolution = \"a wins\"\nmetadata = [\"displayname\"]\n\
             [storage {pair}_mount]\ntype = \"filesystem\"\npath = \"{}/{folder}\"\nfileext = \"{extension}\"\nread_only = true\n\
             [storage {pair}_copy]\ntype = \"filesystem\"\npath = \"{}/copy/{folder}\"\nfileext = \"{extension}\"\n",
            text(&mount.at),
            text(account.path())
        );
        fs::create_dir_all(account.path().join("copy").join(folder)).unwrap();
    }
    fs::write(&config, settings).unwrap();
    let vdirsyncer = |command: &str| {
        let script = format!("yes | vdirsyncer -c \"$1\" {command}");
        let output =
            Command::new("sh").args(["-c", &script, "sh"]).arg(&config).env("HOME", account.path()).output().unwrap();
        assert!(output.status.success(), "vdirsyncer: {}", both(&output));
        both(&output)
    };
    vdirsyncer("discover");
    let said = vdirsyncer("sync");
    assert_eq!(said.matches("Copying (uploading) item").count(), 5, "{said}");
    vdirsyncer("metasync");
    assert_eq!(
        fs::read_to_string(account.path().join("copy/calendars/Privat & mehr/displayname")).unwrap(),
        "Privat & mehr"
    );
    let copied: BTreeSet<Vec<u8>> = contents(&account.path().join("copy")).into_values().collect();
    for (path, bytes) in contents(&mount.at.join("calendars")) {
        assert!(copied.contains(&bytes), "{}", path.display());
    }
    for round in ["at once", "after a remount", "after an import that changed nothing"] {
        let said = vdirsyncer("sync");
        assert!(!said.contains("item") && !said.contains("error"), "{round}: {said}");
        if round == "after a remount" {
            ok(&["import", "takeout", text(&account.path().join("Takeout")), text(&account.archive())]);
        }
        mount = remount(&account, mount);
    }
    drop(mount);
}

#[test]
fn what_vdirsyncer_goes_by_stays_when_something_else_changes() {
    let account = calendar_account();
    let Some(mut mount) = account.mount(&[]) else { return };
    let marks = |mount: &Mounted| -> BTreeMap<PathBuf, (u64, i64)> {
        let all = ["calendars", "contacts"].into_iter().flat_map(|part| below(&mount.at.join(part)));
        all.filter(|(path, _)| path.extension().is_some())
            .map(|(path, meta)| (path, (meta.ino(), meta.mtime())))
            .collect()
    };
    let before = marks(&mount);
    assert_eq!(before.len(), 5);
    // Dates are told to the second.
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    account.deliver("", 1);
    account.import();
    mount = remount(&account, mount);
    assert!(mount.at.join("mail/INBOX").exists());
    assert_eq!(marks(&mount), before);
}

// --- Sieve -------------------------------------------------------------------------------------------------------

#[test]
fn scripts_compile() {
    if !has("sievec") || !has("sieve-test") || !has("setpriv") {
        return;
    }
    // No source of ours brings scripts yet: they are put into the archive as 1.x does it.
    let account = Account::empty();
    let archive = rusqlite::Connection::open(account.archive()).unwrap();
    archive.execute_batch(include_str!("common/archive-1x.sql")).unwrap();
    let scripts: [(&str, &str, bool); 3] = [
        (
            "main",
            "require [\"fileinto\"];\r\nif header :contains \"subject\" \"number\" { fileinto \"Archive\"; }\r\n",
            true,
        ),
        ("Urlaub / 2026", "require \"vacation\";\nvacation :days 7 \"Weg – bis bald\";\n", false),
        ("lists.sieve", "require [\"fileinto\"];\n# nothing yet\nkeep;", false),
    ];
    for (name, body, is_active) in scripts {
        let hash = blake3::hash(body.as_bytes());
        archive
            .execute(
                "INSERT INTO blobs (hash, data) VALUES (?1, ?2)",
                rusqlite::params![hash.as_bytes(), body.as_bytes()],
            )
            .unwrap();
        let sql = "INSERT INTO sieve_scripts (name, is_active, blob_id) VALUES (?1, ?2, last_insert_rowid())";
        archive.execute(sql, rusqlite::params![name, is_active]).unwrap();
    }
    drop(archive);
    let Some(mount) = account.mount(&["-o", "allow_other,umask=022"]) else { return };
    let config = dovecot(&account, &mount.at);
    let sieve = mount.at.join("sieve");
    let files: BTreeMap<PathBuf, Vec<u8>> = contents(&sieve);
    let bodies: BTreeSet<&[u8]> = files.values().map(Vec::as_slice).collect();
    assert_eq!(bodies, scripts.iter().map(|script| script.1.as_bytes()).collect());
    for path in files.keys() {
        assert_eq!(path.extension().unwrap(), "sieve");
        let compiled = account.path().join("compiled.svbin");
        sh("sievec", &[sieve.join(path), compiled.clone()]);
        assert!(fs::metadata(&compiled).unwrap().len() > 0, "{}", path.display());
    }
    assert_eq!(fs::read_link(sieve.join("active")).unwrap(), Path::new("main.sieve"));
    assert_eq!(fs::read(sieve.join("active")).unwrap(), scripts[0].1.as_bytes());
    let mail = account.path().join("mail.eml");
    fs::write(&mail, message(1)).unwrap();
    let said = done(
        as_nobody("sieve-test", &account.path().join("dovecot/home"))
            .arg("-c")
            .arg(&config)
            .arg("-x")
            .arg("+fileinto")
            .arg(sieve.join("active"))
            .arg(&mail),
        "sieve-test",
    );
    assert!(said.contains("store message in folder: Archive"), "{said}");
}

// --- copies and searches -----------------------------------------------------------------------------------------

/// A message in a folder: the folder's path, the date it was received at, its keywords, the hash of its bytes.
type Filed = (String, String, Vec<String>, String);

/// Everything of an archive's mail that a copy must bring back: folders, and what lies in them.
fn mail_of(archive: &Path) -> (BTreeSet<String>, BTreeSet<Filed>) {
    let objects = |kind: &str| listed(&["inspect", text(archive), kind]);
    let mailboxes: BTreeMap<i64, (String, Option<i64>)> = objects("mailbox")
        .iter()
        .map(|mailbox| {
            (
                mailbox["id"].as_i64().unwrap(),
                (mailbox["name"].as_str().unwrap().to_owned(), mailbox["parent_id"].as_i64()),
            )
        })
        .collect();
    let path = |id: i64| {
        let mut names = Vec::new();
        let mut at = Some(id);
        while let Some((name, parent)) = at.and_then(|id| mailboxes.get(&id)) {
            names.insert(0, name.as_str());
            at = *parent;
        }
        names.join("/")
    };
    let conn = rusqlite::Connection::open_with_flags(archive, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut found = BTreeSet::new();
    for email in objects("email") {
        let mut keywords: Vec<String> =
            email["keywords"].as_array().unwrap().iter().map(|keyword| keyword.as_str().unwrap().to_owned()).collect();
        keywords.sort();
        let hash: Vec<u8> = conn
            .query_row("SELECT hash FROM blobs WHERE id = ?1", [email["blob_id"].as_i64()], |row| row.get(0))
            .unwrap();
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        for mailbox in email["mailbox_ids"].as_array().unwrap() {
            found.insert((
                path(mailbox.as_i64().unwrap()),
                email["received_at"].as_str().unwrap().to_owned(),
                keywords.clone(),
                hash.clone(),
            ));
        }
    }
    (mailboxes.keys().map(|id| path(*id)).collect(), found)
}

#[test]
fn every_copy_is_a_backup() {
    let account = mail_account();
    let Some(mount) = account.mount(&[]) else { return };
    let expected = mail_of(&account.archive());
    let (mailboxes, messages) = real_mail(&account);
    assert!(messages >= 35, "{messages}");
    assert_eq!((expected.0.len(), expected.1.len()), (6 + mailboxes, 60 + messages));
    assert!(expected.1.iter().any(|message| message.2.contains(&"project-x".to_owned())));
    let original = contents(&mount.at);
    let ways: [(&str, &str); 7] = [
        ("cp", "cp -r \"$1\" \"$2/mnt\""),
        ("cp", "cp -a \"$1\" \"$2/mnt\""),
        ("rsync", "rsync -a \"$1/\" \"$2/mnt/\" && test -z \"$(rsync -ai \"$1/\" \"$2/mnt/\")\""),
        ("tar", "mkdir \"$2/mnt\" && tar -cf - -C \"$1\" . | tar -xf - -C \"$2/mnt\""),
        (
            "restic",
            "export RESTIC_PASSWORD=x RESTIC_CACHE_DIR=\"$2/cache\" && restic init -q -r \"$2/repo\" && cd \"$1/..\" && restic backup -q -r \"$2/repo\" mnt && \
             restic backup --json -r \"$2/repo\" mnt | grep -q '\"files_new\":0,\"files_changed\":0' && restic restore -q -r \"$2/repo\" latest --target \"$2\"",
        ),
        (
            "borg",
            "export BORG_BASE_DIR=\"$2/borg\" BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes && borg init -e none \"$2/repo\" && cd \"$1/..\" && \
             borg create \"$2/repo::one\" mnt && cd \"$2\" && borg extract repo::one",
        ),
        ("unzip", "cd \"$1/..\" && zip -qr \"$2/x.zip\" mnt && unzip -q \"$2/x.zip\" -d \"$2\""),
    ];
    for (at, (program, script)) in ways.into_iter().enumerate() {
        // zip, unzip and rsync are welcome where they are, but nothing that the tests ask for.
        let is_extra = matches!(program, "unzip" | "rsync");
        let is_there = || {
            Command::new("sh")
                .args(["-c", &format!("command -v {program} zip")])
                .output()
                .is_ok_and(|output| output.stdout.len() > program.len())
        };
        if is_extra && !is_there() || !is_extra && !has(program) {
            continue;
        }
        let into = account.path().join(format!("copy-{at}"));
        fs::create_dir(&into).unwrap();
        done(
            Command::new("sh").args(["-c", script, "sh"]).arg(&mount.at).arg(&into).env("HOME", account.path()),
            script,
        );
        let copy = into.join("mnt");
        assert!(contents(&copy) == original, "{script}");
        let archive = account.path().join(format!("copy-{at}.sqlite"));
        ok(&["import", "maildir", text(&copy.join("mail")), text(&archive)]);
        let found = mail_of(&archive);
        assert_eq!(found.0, expected.0, "{script}");
        assert_eq!(
            found.1.symmetric_difference(&expected.1).take(3).collect::<Vec<_>>(),
            Vec::<&Filed>::new(),
            "{script}"
        );
        assert_eq!(found.1.len(), expected.1.len(), "{script}");
        sh("sh", &["-c", "chmod -R u+w \"$1\" && rm -rf \"$1\"", "sh", text(&into)]);
    }
}

/// How many mailboxes and how many messages the real mail makes. What stands twice in one folder is one message.
fn real_mail(account: &Account) -> (usize, usize) {
    let distinct = |folder: &str| -> usize {
        let list = messages(&account.maildir().join(folder));
        list.iter().map(|message| &message.2).collect::<BTreeSet<_>>().len()
    };
    let years: Vec<String> = YEARS.iter().map(|year| format!(".Lists.USRP.{year}")).collect();
    let years = years.iter().filter(|folder| account.maildir().join(folder).exists());
    let years: Vec<usize> = years.map(|folder| distinct(folder)).collect();
    // The years lie in a mailbox of their own.
    let parents = usize::from(!years.is_empty());
    (1 + years.len() + parents, distinct(STRANGE) + years.iter().sum::<usize>())
}

#[test]
fn grep_sees_the_account_once() {
    let account = mail_account();
    let Some(mount) = account.mount(&["-o", "views=mail,calendars,contacts,sieve,files"]) else { return };
    let lines = |directory: &Path| {
        let output = Command::new("grep")
            .args(["-raEih", "^(Subject|Message-ID):"])
            .arg(directory)
            .env("LC_ALL", "C")
            .output()
            .unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{}", both(&output));
        let mut lines: Vec<Vec<u8>> = output.stdout.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        lines.sort();
        lines
    };
    // `text` and `attachments` say it once more, for people; who wants it once says which views.
    assert!(lines(&mount.at) == lines(&account.maildir()));
}

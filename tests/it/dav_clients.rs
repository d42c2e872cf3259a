//! The mount of an archive of a server, as calendar programs read it: khal shows the events that the server has, and
//! vdirsyncer has nothing to do after a remount.

use crate::common::account::{both, contents, is_mounted, text, wait};
use crate::common::dav::{Dav, encoded};
use crate::common::dav_account::{card, objects, odd_name, real};
use crate::common::{Mounted, has};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A server with real calendars and contacts, and the archive of it.
struct Place {
    server: Dav,
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Option<Place> {
        let server = Dav::radicale()?;
        for name in ["Work", "Privat & mehr"] {
            server.calendar(&format!("/alice/{}/", encoded(name)), &name.replace('&', "&amp;"));
        }
        server.address_book("/alice/people/", "People");
        // khal counts every second of an event that recurs each second.
        let is_calm = |bytes: &&[u8]| !String::from_utf8_lossy(bytes).contains("FREQ=SECONDLY");
        for (number, bytes) in real("caldav").into_iter().filter(is_calm).enumerate() {
            let calendar = ["/alice/Work/", "/alice/Privat%20%26%20mehr/"][number % 2];
            for (part, bytes) in objects(bytes).iter().take(3).enumerate() {
                server.put(&format!("{calendar}{}.ics", encoded(&format!("{} {part}", odd_name(number)))), bytes);
            }
        }
        assert!(server.put("/alice/Work/weekly.ics", &weekly()));
        (0..5).for_each(|number| {
            assert!(server.put(&format!("/alice/people/{number}.vcf"), &card(&format!("c{number}"), "Jürgen")));
        });
        let place = Place { server, dir: tempfile::tempdir().expect("a folder") };
        place.import();
        Some(place)
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn import(&self) {
        for kind in ["caldav", "carddav"] {
            let output = self.server.import(kind, &self.path().join("a.sqlite"), &[]);
            assert!(output.status.success(), "{}", both(&output));
        }
    }

    fn mount(&self) -> Option<Mounted> {
        Mounted::new(&self.path().join("a.sqlite"), &self.path().join("mnt"), &[])
    }

    fn remount(&self, mount: Mounted) -> Mounted {
        let at = mount.at.clone();
        drop(mount);
        wait(|| !is_mounted(&at), String::new);
        self.mount().expect("it could be mounted before")
    }

    /// The calendars as the server gives them, a file for each resource.
    fn export(&self) -> PathBuf {
        let into = self.path().join("export");
        for calendar in self.server.held("caldav") {
            let folder = into.join(&calendar.name);
            fs::create_dir_all(&folder).expect("a folder");
            for (number, bytes) in calendar.items.values().enumerate() {
                fs::write(folder.join(format!("{number}.ics")), bytes).expect("a file");
            }
        }
        into
    }
}

/// An event of every week, one of which is at another time.
fn weekly() -> Vec<u8> {
    let event = |more: &str| format!("BEGIN:VEVENT\r\nUID:weekly\r\nDTSTAMP:20260101T000000Z\r\n{more}END:VEVENT\r\n");
    let first = event(
        "DTSTART:20260105T090000Z\r\nDTEND:20260105T100000Z\r\nRRULE:FREQ=WEEKLY;COUNT=4\r\nSUMMARY:Weekly one\r\n",
    );
    let moved = event(
        "RECURRENCE-ID:20260112T090000Z\r\nDTSTART:20260112T110000Z\r\nDTEND:20260112T120000Z\r\nSUMMARY:Weekly one\r\n",
    );
    format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//y//EN\r\n{first}{moved}END:VCALENDAR\r\n").into_bytes()
}

/// What khal lists of the calendars in a folder, in months of which there are many events, sorted.
fn khal(home: &Path, calendars: &Path) -> Vec<String> {
    fs::create_dir_all(home).expect("a folder");
    let config = home.join("khal.conf");
    let settings = format!(
        "[calendars]\n[[all]]\npath = {}/*\ntype = discover\nreadonly = True\n[sqlite]\npath = {}/khal.db\n\
         [locale]\ntimeformat = %H:%M\ndateformat = %Y-%m-%d\nlongdateformat = %Y-%m-%d\ndatetimeformat = %Y-%m-%d %H:%M\n\
         longdatetimeformat = %Y-%m-%d %H:%M\nlocal_timezone = UTC\ndefault_timezone = UTC\n",
        text(calendars),
        text(home)
    );
    fs::write(&config, settings).expect("a file");
    let format = "{calendar}|{start-long-full}|{end-long-full}|{title}|{location}|{description}";
    let mut lines = Vec::new();
    for month in ["1997-07-01", "2003-08-01", "2011-04-01", "2026-01-01"] {
        let output = Command::new("khal")
            .arg("-c")
            .arg(&config)
            .args(["list", "--notstarted", "-df", "", "-f", format, month, "31d"])
            .env("HOME", home)
            .env("LC_ALL", "C.UTF-8")
            .output()
            .expect("khal starts");
        assert!(output.status.success(), "khal: {}", both(&output));
        lines.extend(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned));
    }
    lines.sort_unstable();
    lines
}

#[test]
fn khal_lists_the_same_from_the_mount_as_from_the_server() {
    if !has("khal") {
        return;
    }
    let Some(place) = Place::new() else { return };
    let Some(mount) = place.mount() else { return };
    let (shown, held) = (mount.at.join("calendars"), place.export());
    let listed = khal(&place.path().join("one"), &shown);
    let expected = khal(&place.path().join("two"), &held);
    assert!(expected.len() > 30, "{expected:#?}");
    let weekly = |lines: &[String]| lines.iter().filter(|line| line.contains("Weekly one")).count();
    assert_eq!((weekly(&listed), weekly(&expected)), (4, 4));
    let differs: Vec<_> = listed.iter().zip(&expected).filter(|(one, other)| one != other).take(5).collect();
    assert!(listed == expected, "{} of {}: {differs:#?}", listed.len(), expected.len());
}

#[test]
fn vdirsyncer_has_nothing_to_do_after_a_remount_of_a_server() {
    if !has("vdirsyncer") {
        return;
    }
    let Some(place) = Place::new() else { return };
    let Some(mut mount) = place.mount() else { return };
    let config = place.path().join("vdirsyncer.conf");
    let mut settings = format!("[general]\nstatus_path = \"{}/status\"\n", text(place.path()));
    for (pair, folder, extension) in [("cal", "calendars", ".ics"), ("card", "contacts", ".vcf")] {
        settings += &format!(
            "[pair {pair}]\na = \"{pair}_mount\"\nb = \"{pair}_copy\"\ncollections = [\"from a\"]\nconflict_resolution = \"a wins\"\n\
             [storage {pair}_mount]\ntype = \"filesystem\"\npath = \"{}/{folder}\"\nfileext = \"{extension}\"\nread_only = true\n\
             [storage {pair}_copy]\ntype = \"filesystem\"\npath = \"{}/copy/{folder}\"\nfileext = \"{extension}\"\n",
            text(&mount.at),
            text(place.path())
        );
        fs::create_dir_all(place.path().join("copy").join(folder)).expect("a folder");
    }
    fs::write(&config, settings).expect("a file");
    let vdirsyncer = |command: &str| {
        let script = format!("yes | vdirsyncer -c \"$1\" {command}");
        let mut shell = Command::new("sh");
        let output = shell.args(["-c", &script, "sh"]).arg(&config).env("HOME", place.path()).output().expect("sh");
        assert!(output.status.success(), "vdirsyncer: {}", both(&output));
        both(&output)
    };
    vdirsyncer("discover");
    let said = vdirsyncer("sync");
    let files = |at: PathBuf| -> BTreeSet<Vec<u8>> {
        let all = contents(&at).into_iter();
        all.filter(|(path, _)| path.extension().is_some_and(|end| end == "ics" || end == "vcf"))
            .map(|(_, bytes)| bytes)
            .collect()
    };
    let (copied, shown) = (files(place.path().join("copy")), files(mount.at.join("calendars")));
    let lost: Vec<_> = shown.difference(&copied).map(|bytes| String::from_utf8_lossy(bytes)).collect();
    assert!(copied.len() > 60 && lost.is_empty(), "{} of {}: {lost:?}: {said}", lost.len(), shown.len());
    for round in ["at once", "after a remount", "after an import that changed nothing"] {
        let said = vdirsyncer("sync");
        assert!(!said.contains("item") && !said.contains("error"), "{round}: {said}");
        if round == "after a remount" {
            place.import();
        }
        mount = place.remount(mount);
    }
    drop(mount);
}

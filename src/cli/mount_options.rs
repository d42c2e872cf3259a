//! `-o`: our mount options, and the shape of a mount helper. What mount(8) passes on beside them is in `mount_words`.

use super::args::{TypedMoment, parse_typed};
use super::mount_words::{self, Fate};
use crate::error::{Error, ErrorKind, Result};
use crate::mount::attributes::Ownership;
use crate::mount::session::Access;
use crate::tree::{Layout, Views};
use rustix::process::{getgid, getuid};
use std::ffi::OsString;
use std::path::Path;

/// Options that take a value, and which.
const VALUES: [(&str, &str); 11] = [
    ("at", "a snapshot's number, a day, a time, or 'latest'"),
    ("snapshot", "a snapshot's number, a day, a time, or 'latest'"),
    ("snapshots", "'visible' or 'hidden'"),
    ("layout", "'nested' or 'maildir++'"),
    ("infosep", "':', ';' or '!'"),
    ("views", "names of directories, e.g. mail,text"),
    ("fsname", "a name"),
    ("subtype", "a type, which is ignored"),
    ("uid", "a number"),
    ("gid", "a number"),
    ("umask", "an octal number like 022"),
];

/// Names under which the program is a mount helper.
const HELPERS: [&str; 3] = ["mount.vandelay", "mount.fuse.vandelay", "vandelayfs"];

/// Mount options, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MountOptions {
    pub at: Option<TypedMoment>,
    pub layout: Layout,
    pub snapshots_visible: bool,
    pub info_separator: char,
    pub views: Views,
    pub xattr: bool,
    pub access: Access,
    pub fsname: Option<String>,
    /// Something is mounted there already, and gets other options.
    pub remount: bool,
    /// What nobody knows, where that is no error.
    pub unknown: Vec<String>,
    uid: Option<u32>,
    gid: Option<u32>,
    umask: Option<u16>,
}

impl MountOptions {
    /// Reads lists of options separated by commas; `\,` is a comma in a value. Unknown ones are no error where the caller is
    /// `sloppy` (mount(8) -s).
    pub(super) fn parse(lists: &[String], sloppy: bool) -> Result<MountOptions> {
        let mut options = MountOptions {
            at: None,
            layout: Layout::Nested,
            snapshots_visible: false,
            info_separator: ':',
            views: Views::ALL,
            xattr: false,
            access: Access::Owner,
            fsname: None,
            remount: false,
            unknown: Vec::new(),
            uid: None,
            gid: None,
            umask: None,
        };
        for option in options_of(lists) {
            let (name, value) =
                option.split_once('=').map_or((option.as_str(), None), |(name, value)| (name, Some(value)));
            if !options.set(name, value)? {
                if !sloppy {
                    return Err(Error::new(ErrorKind::Usage, format!("unknown mount option {name:?}"))
                        .hint("'vandelay mount --help' lists the options"));
                }
                options.unknown.push(name.to_owned());
            }
        }
        Ok(options)
    }

    /// False if there is no such option.
    fn set(&mut self, name: &str, value: Option<&str>) -> Result<bool> {
        let wrong = |why: &str| {
            Error::new(ErrorKind::Usage, format!("mount option {name}={}: {why}", value.unwrap_or_default()))
                .hint("'vandelay mount --help' lists the options")
        };
        let number = |radix: u32| {
            let why = if radix == 8 { "not an octal number like 022" } else { "not a number; 'id' prints yours" };
            u32::from_str_radix(value.unwrap_or_default(), radix).map_err(|_| wrong(why))
        };
        match (name, value) {
            ("at" | "snapshot", Some(text)) => self.at = Some(parse_typed(text).map_err(|why| wrong(&why))?),
            ("snapshots", Some("visible")) => self.snapshots_visible = true,
            ("snapshots", Some("hidden")) => self.snapshots_visible = false,
            ("layout", Some("nested" | "fs")) => self.layout = Layout::Nested,
            ("layout", Some("maildir++")) => self.layout = Layout::MaildirPlusPlus,
            ("infosep", Some(":")) => self.info_separator = ':',
            ("infosep", Some(";")) => self.info_separator = ';',
            ("infosep", Some("!")) => self.info_separator = '!',
            ("views", Some(text)) => self.views = text.parse()?,
            ("xattr", None) => self.xattr = true,
            ("allow_other", None) => self.access = Access::Others,
            ("allow_root", None) => self.access = Access::Root,
            ("fsname", Some(text)) => self.fsname = Some(text.to_owned()),
            ("subtype", Some(_)) => {}
            ("remount", None) => self.remount = true,
            ("uid", Some(_)) => self.uid = Some(number(10)?),
            ("gid", Some(_)) => self.gid = Some(number(10)?),
            ("umask", Some(_)) => {
                self.umask = Some(
                    u16::try_from(number(8)?)
                        .ok()
                        .filter(|mask| *mask <= 0o777)
                        .ok_or_else(|| wrong("not a mask like 022"))?,
                )
            }
            (known, _) if let Some((_, values)) = VALUES.iter().find(|(option, _)| *option == known) => {
                return Err(wrong(&format!("it takes {values}")));
            }
            (word, _) => match mount_words::find(word) {
                Some(words) if words.fate == Fate::Refused => {
                    let hint = if word == "rw" {
                        "add ro to the options (mount(8) defaults to rw). To change a message, copy it out"
                    } else {
                        "remove it; docs/mount.md lists the words of mount(8)"
                    };
                    return Err(
                        Error::new(ErrorKind::Usage, format!("mount option {word} {}", words.reason)).hint(hint)
                    );
                }
                words => return Ok(words.is_some()),
            },
        }
        Ok(true)
    }

    /// True if both make the same mount, whichever snapshot it shows.
    pub(super) fn are_those_of(&self, other: &MountOptions) -> bool {
        let shape =
            |options: &MountOptions| MountOptions { at: None, remount: false, unknown: Vec::new(), ..options.clone() };
        shape(self) == shape(other)
    }

    /// True if the options name an owner that FUSE keeps out.
    pub(super) fn shuts_out_its_owner(&self) -> bool {
        let me = getuid().as_raw();
        self.access != Access::Others && self.uid.is_some_and(|uid| uid != me)
    }

    /// The owner of the mounted files: the user who mounts, unless the options name another one.
    pub(super) fn ownership(&self) -> Ownership {
        let mask = self.umask;
        Ownership {
            uid: self.uid.unwrap_or_else(|| getuid().as_raw()),
            gid: self.gid.unwrap_or_else(|| getgid().as_raw()),
            // Nothing can be written, whatever the mask.
            directory_mode: mask.map_or(0o500, |mask| 0o555 & !mask),
            file_mode: mask.map_or(0o400, |mask| 0o444 & !mask),
        }
    }
}

fn options_of(lists: &[String]) -> impl Iterator<Item = String> {
    lists.iter().flat_map(|list| whole_views(split(list))).filter(|option| !option.is_empty())
}

/// The options of these lists, each a list of its own.
pub(super) fn words(lists: &[String]) -> Vec<String> {
    options_of(lists).map(|option| option.replace('\\', "\\\\").replace(',', "\\,")).collect()
}

/// True for what can only be the name of a view, well or badly spelt.
fn is_no_option(text: &str) -> bool {
    let is_known =
        mount_words::find(text).is_some() || ["remount", "xattr", "allow_other", "allow_root"].contains(&text);
    !text.is_empty() && !is_known && !text.contains('=')
}

/// `views=mail,text` has commas in its value: names of views behind it belong to it.
fn whole_views(options: Vec<String>) -> Vec<String> {
    let mut whole: Vec<String> = Vec::new();
    for option in options {
        match whole.last_mut() {
            Some(last) if last.starts_with("views=") && is_no_option(&option) => {
                last.push(',');
                last.push_str(&option);
            }
            _ => whole.push(option),
        }
    }
    whole
}

fn split(list: &str) -> Vec<String> {
    let mut options = vec![String::new()];
    let mut characters = list.chars();
    while let Some(character) = characters.next() {
        match (character, options.last_mut()) {
            ('\\', Some(last)) => last.extend(characters.next()),
            (',', _) => options.push(String::new()),
            (other, Some(last)) => last.push(other),
            _ => {}
        }
    }
    options
}

/// True if the program was called as a mount helper.
pub(super) fn is_helper(arguments: &[OsString]) -> bool {
    let name = arguments.first().and_then(|name| Path::new(name).file_name());
    name.is_some_and(|name| HELPERS.iter().any(|helper| name == *helper))
}

/// `mount.vandelay ARCHIVE DIR [-sfnv] [-N NAMESPACE] [-o OPTIONS] [-t TYPE]`, as mount(8) calls it, becomes `vandelay mount …`.
pub(super) fn as_helper(arguments: Vec<OsString>) -> Vec<OsString> {
    if !is_helper(&arguments) {
        return arguments;
    }
    let mut rewritten: Vec<OsString> = vec!["vandelay".into(), "mount".into()];
    let mut arguments = arguments.into_iter().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            // -n writes no mtab, which there is not.
            Some("-n") => {}
            Some("-s") => rewritten.push("--sloppy".into()),
            Some("-f") => rewritten.push("--fake".into()),
            // The type of the file system, and a namespace that mount(8) has entered already.
            Some("-t" | "-N") => drop(arguments.next()),
            _ => rewritten.push(argument),
        }
    }
    rewritten
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(list: &str) -> Result<MountOptions> {
        MountOptions::parse(&[list.to_owned()], false)
    }

    #[test]
    fn fstab_lines_are_taken() {
        let options = parse("ro,noauto,user,nosuid,nodev,nofail,_netdev,x-systemd.automount,x-systemd.idle-timeout=5min,uid=7,umask=027").unwrap();
        assert_eq!(
            (options.ownership().uid, options.ownership().directory_mode, options.ownership().file_mode),
            (7, 0o550, 0o440)
        );
        assert_eq!(parse("fsname=a\\,b,layout=maildir++,snapshots=visible").unwrap().fsname.as_deref(), Some("a,b"));
    }

    #[test]
    fn words_of_mount_8_change_nothing() {
        for word in ["nosymfollow", "iversion", "_rnetdev", "x-gvfs-show", "user=alice", "ro=recursive", "remount"] {
            let options = parse(&format!("views=mail,{word}")).unwrap_or_else(|error| panic!("{word}: {error}"));
            assert_eq!((options.views, options.remount), ("mail".parse().unwrap(), word == "remount"), "{word}");
        }
        for word in ["rw", "rw=recursive", "bind", "offset=3", "context=system_u:object_r:tmp_t:s0", "nosymfollows"] {
            assert!(parse(&format!("views=mail,{word}")).is_err(), "{word}");
        }
    }

    #[test]
    fn who_is_sloppy_gets_what_is_known() {
        let options = MountOptions::parse(&["frobnicate,views=mail,x=y".to_owned()], true).unwrap();
        assert_eq!((options.views, options.unknown), ("mail".parse().unwrap(), vec!["frobnicate".into(), "x".into()]));
        assert!(MountOptions::parse(&["rw".to_owned()], true).is_err(), "what is known is judged all the same");
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(parse("ro,views=mail,text,uid=7").unwrap().views, "mail+text".parse().unwrap());
        for list in [
            "views=mail,tekst",
            "views=",
            "rw",
            "layout=x",
            "uid=me",
            "umask=9",
            "umask=1777",
            "snapshot=yesterdy",
            "frobnicate",
        ] {
            assert_eq!(parse(list).unwrap_err().kind, ErrorKind::Usage, "{list}");
        }
    }

    #[test]
    fn a_helper_is_a_mount() {
        let helper =
            ["/sbin/mount.vandelay", "a.sqlite", "/mnt", "-n", "-s", "-v", "-o", "ro"].map(OsString::from).to_vec();
        let same = ["vandelay", "mount", "a.sqlite", "/mnt", "--sloppy", "-v", "-o", "ro"].map(OsString::from);
        assert_eq!(as_helper(helper), same);
    }
}

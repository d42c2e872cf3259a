//! The words of mount(8), libmount and the kernel that may stand in fstab beside our own options: which are taken, which
//! are refused, and why. docs/mount.md has the same table.

/// What becomes of words that are no options of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// They hold anyway, somebody else sees to them, or there is nothing that they could change.
    Taken,
    /// They ask for what a mount of an archive cannot be.
    Refused,
}

/// Words with one fate for one reason. A `*` at the end of a word stands for any rest.
pub(super) struct Words {
    names: &'static [&'static str],
    pub fate: Fate,
    /// What the words do, behind "these words".
    pub reason: &'static str,
}

const fn taken(names: &'static [&'static str], reason: &'static str) -> Words {
    Words { names, fate: Fate::Taken, reason }
}

const fn refused(names: &'static [&'static str], reason: &'static str) -> Words {
    Words { names, fate: Fate::Refused, reason }
}

/// mount(8) and libmount's tables (`linux_flags_map`, `userspace_opts_map`), and what `/proc/mounts` shows of a FUSE mount:
/// `mount -o remount` hands that over, too.
const TABLE: [Words; 10] = [
    taken(
        &["ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime", "default_permissions"],
        "hold for every mount of an archive",
    ),
    taken(
        &["defaults", "suid", "dev", "exec"],
        "change nothing: no program and no device of a mount of an archive can be used as one",
    ),
    taken(
        &["atime", "diratime", "relatime", "norelatime", "strictatime", "nostrictatime", "lazytime", "nolazytime"],
        "change nothing: reading writes no times",
    ),
    taken(
        &["sync", "async", "dirsync", "mand", "nomand", "iversion", "noiversion", "symfollow", "nosymfollow"],
        "change nothing: nothing is written or locked, and there are no links to follow",
    ),
    taken(
        &["private", "rprivate", "shared", "rshared", "slave", "rslave", "unbindable", "runbindable", "silent", "loud"],
        "are for mount(8) and the kernel, who see to them themselves",
    ),
    taken(
        &[
            "auto",
            "noauto",
            "user",
            "nouser",
            "users",
            "nousers",
            "owner",
            "noowner",
            "group",
            "nogroup",
            "nofail",
            "_netdev",
            "_rnetdev",
            "x-*",
            "X-*",
            "comment*",
            "systemd.*",
            "uhelper",
            "helper",
        ],
        "are for mount(8), systemd and desktops, who see to them themselves",
    ),
    taken(
        &["user_id", "group_id", "max_read", "blksize", "nonempty", "auto_unmount", "seclabel"],
        "come from lists of what is mounted, or are of FUSE's library; Vandelay sets what they say itself",
    ),
    refused(&["rw"], "asks for writing, and an archive cannot be mounted for writing"),
    refused(
        &["bind", "rbind", "move", "loop", "offset", "sizelimit", "encryption", "verity.*"],
        "asks for another kind of mount, which is no matter of an archive",
    ),
    refused(
        &["context", "fscontext", "defcontext", "rootcontext"],
        "asks for an SELinux label; files of FUSE have the one that the policy gives to FUSE",
    ),
];

/// What becomes of a word, if it is one of mount(8)'s.
pub(super) fn find(name: &str) -> Option<&'static Words> {
    let is_it = |word: &&str| word.strip_suffix('*').map_or(*word == name, |start| name.starts_with(start));
    TABLE.iter().find(|words| words.names.iter().any(is_it))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_the_table() {
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/mount.md")).expect("the page");
        let row = |words: &Words| {
            let names: Vec<String> = words.names.iter().map(|name| format!("`{name}`")).collect();
            let fate = if words.fate == Fate::Taken { "taken" } else { "refused" };
            format!("| {} | {fate} | {} |", names.join(", "), words.reason)
        };
        let rows: Vec<String> = TABLE.iter().map(row).collect();
        let (_, table) = page.split_once("| word | | why: such words |\n|---|---|---|\n").expect("a table");
        let written: Vec<&str> = table.lines().take_while(|line| line.starts_with('|')).collect();
        assert_eq!(written, rows, "\n{}", rows.join("\n"));
    }

    #[test]
    fn a_word_has_one_fate() {
        let names: Vec<&str> = TABLE.iter().flat_map(|words| words.names).copied().collect();
        for name in &names {
            let found = find(&name.replace('*', "anything")).expect("known");
            assert!(found.names.contains(name), "{name} stands twice");
        }
        assert!(find("xattr").is_none() && find("nosymfollows").is_none() && find("verityx").is_none());
    }
}

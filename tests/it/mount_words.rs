//! The real mount(8) hands over every word that the page names, and what it hands over at a remount.

use crate::common::account::{Account, done, mount_line, text};
use crate::common::{has, run, skip};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

/// The words of the page that have this fate.
fn words(fate: &str) -> Vec<String> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/mount.md")).expect("the page");
    let (_, table) = page.split_once("| word | | why: such words |\n|---|---|---|\n").expect("a table");
    let rows = table.lines().take_while(|line| line.starts_with('|')).map(|row| row.split('|').collect::<Vec<_>>());
    let words: Vec<String> = rows
        .filter(|row| row[2].trim() == fate)
        .flat_map(|row| row[1].split('`').skip(1).step_by(2).map(|word| word.replace('*', "")).collect::<Vec<_>>())
        .collect();
    assert!(words.len() >= 10, "{fate}: {words:?}");
    words
}

/// Runs a script in a mount namespace of its own where mount(8) finds the program; `$1` is the archive, `$2` an empty
/// directory. What it mounts goes with it. Gives what it prints.
fn with_mount_8(account: &Account, script: &str) -> String {
    let helpers = account.path().join("sbin");
    fs::create_dir_all(&helpers).unwrap();
    fs::create_dir_all(account.mountpoint()).unwrap();
    for name in ["mount.vandelay", "mount.fuse.vandelay"] {
        symlink(env!("CARGO_BIN_EXE_vandelay"), helpers.join(name)).unwrap();
    }
    let script = format!("mount --bind \"$3\" /usr/sbin || exit 90\n{script}");
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", &script, "sh"]).arg(account.archive()).arg(account.mountpoint()).arg(&helpers);
    done(&mut command, "mount(8)")
}

fn is_possible() -> bool {
    if !Path::new("/dev/fuse").exists() {
        skip("there is no /dev/fuse");
        return false;
    }
    has("unshare")
}

#[test]
fn every_word_goes_through_mount_8() {
    if !is_possible() {
        return;
    }
    let account = Account::new();
    let (taken, refused) = (words("taken").join(" "), words("refused").join(" "));
    let script = format!(
        r#"
        fake() {{ mount --fake -t vandelay -o "$1" "$archive" "$mount" 2>&1; }}
        archive=$1 mount=$2
        for word in {taken} nosymfollow=x comment=y x-systemd.idle-timeout=5min X-mount.mkdir=0700 helper=vandelay; do
            said=$(fake "ro,$word") || echo "refused: $word: $said"
        done
        # mount(8) itself sets up loops, binds and moves, and hands on no label where there is no SELinux.
        for word in {refused} frobnicate uid=nobody; do
            said=$(mount.vandelay "$archive" "$mount" -f -o "ro,$word=1" 2>&1) && echo "taken: $word"
            case $said in *"error: "*"$word"*) ;; *) echo "unclear: $word: $said" ;; esac
        done
        fake frobnicate=1 > /dev/null && echo "taken"
        mount -s -t vandelay -o ro,frobnicate "$archive" "$mount" 2>&1 | grep -c frobnicate
        ls "$mount/mail/INBOX/cur" | wc -l"#
    );
    assert_eq!(with_mount_8(&account, &script), "1\n30\n");
}

/// All at once, in a mount that is one.
#[test]
fn all_words_make_one_mount() {
    if !is_possible() {
        return;
    }
    let account = Account::new();
    let all: Vec<String> = words("taken").into_iter().filter(|word| !word.starts_with("systemd")).collect();
    let script = format!(
        r#"
        mount -t vandelay -o {} "$1" "$2" || exit 91
        ls "$2/mail/INBOX/cur" | wc -l
        grep -c "$1 $2 fuse.vandelay ro,nosuid,nodev" /proc/self/mounts"#,
        all.join(",").replace("default_permissions,", "")
    );
    assert_eq!(with_mount_8(&account, &script), "30\n1\n");
}

/// mount(8) finds the options of a remount in fstab or in the list of mounts.
#[test]
fn a_remount_with_mount_8_takes_what_is_the_same() {
    if !is_possible() {
        return;
    }
    let account = Account::new();
    let script = r#"
        fstab=$3/fstab
        echo "$1 $2 vandelay ro,nofail,_netdev,allow_other,views=mail,text,fsname=alice,x-systemd.automount 0 0" > "$fstab"
        mount --fstab "$fstab" "$2" || exit 91
        before=$(grep " $2 fuse.vandelay" /proc/self/mounts)
        for options in remount remount,ro remount,views=mail,text remount,snapshot=latest; do
            mount -o $options "$2" > /dev/null || echo "refused: $options"
            mount --fstab "$fstab" -o $options "$2" > /dev/null || echo "refused with fstab: $options"
        done
        for options in remount,views=mail remount,rw remount,snapshot=1 remount,uid=7 remount,allow_root; do
            said=$(mount --fstab "$fstab" -o $options "$2" 2>&1) && echo "taken: $options"
            case $said in *"error: "*"hint: "*) ;; *) echo "unclear: $options: $said" ;; esac
        done
        [ "$(grep " $2 fuse.vandelay" /proc/self/mounts)" = "$before" ] && echo same"#;
    assert_eq!(with_mount_8(&account, script), "same\n");
}

#[test]
fn a_remount_says_what_it_cannot_change() {
    let account = Account::new();
    let at = account.mountpoint();
    let Some(mount) = account.mount(&["-o", "views=mail,text", "--at", "1"]) else { return };
    let line = mount_line(&mount.at);
    let remount = |options: &[&str]| {
        let archive = account.archive();
        run(&[&["mount"], options, &[text(&archive), text(&at)]].concat())
    };
    for same in [
        &["-o", "remount"][..],
        &["-o", "remount,ro,views=mail,text"],
        &["-o", "remount,snapshot=1"],
        &["-o", "remount,infosep=:"],
    ] {
        assert!(remount(same).status.success(), "{same:?}");
    }
    for (other, what) in [
        (&["-o", "remount,views=mail"][..], "cannot change views=mail of the mount at"),
        (&["-o", "remount,xattr,uid=7,ro"][..], "cannot change xattr, uid=7 of the mount at"),
        (&["-o", "remount", "--at", "latest"][..], "cannot change the snapshot of the mount at"),
    ] {
        let output = remount(other);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && said.contains(what) && said.contains("vandelay umount"), "{said}");
    }
    assert_eq!(mount_line(&mount.at), line);
}

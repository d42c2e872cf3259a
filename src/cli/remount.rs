//! `mount -o remount`, as mount(8) asks for it.

use super::mount::{Mount, umount};
use super::mount_options::{self, MountOptions};
use super::mounts;
use super::ui::Ui;
use crate::error::{Error, ErrorKind, Result};
use crate::mount::mountpoint;

/// What is mounted stays as it is, so options that say the same are taken, and others are refused.
pub(super) fn remount(asked: &Mount, ui: &Ui) -> Result<()> {
    let options = asked.mount_options()?;
    let Some((directory, _)) = asked.paths() else {
        return Err(Error::new(ErrorKind::Usage, "no archive is named").hint("vandelay mount ARCHIVE DIRECTORY"));
    };
    let absolute = mountpoint::without_links(directory)
        .map_err(|error| Error::io(format!("cannot remount {}", directory.display()), error))?;
    if !mountpoint::mounted()?.iter().any(|mount| mount.directory == absolute) {
        return Err(Error::new(
            ErrorKind::Usage,
            format!("cannot remount {}: no archive is mounted there", directory.display()),
        )
        .hint("remove 'remount' from the options to mount it"));
    }
    // Of a process that is not ours to look into nothing is known: any option may be another one.
    let mounted = mounts::mount_of(&absolute);
    let others = differences(asked, mounted.as_ref(), &options)?;
    if !others.is_empty() {
        let what = format!("cannot change {} of the mount at {}", others.join(", "), absolute.display());
        return Err(Error::new(ErrorKind::Usage, what)
            .hint(format!("{}, then mount it again with these options", umount(&absolute))));
    }
    ui.info(&format!("{} stays mounted; nothing had to change", absolute.display()));
    Ok(())
}

/// Which options ask for another mount than the one that is there.
fn differences(asked: &Mount, mounted: Option<&Mount>, options: &MountOptions) -> Result<Vec<String>> {
    let lists = mounted.map(|mount| mount.options.clone()).unwrap_or_default();
    let there = MountOptions::parse(&lists, true)?;
    let mut others = Vec::new();
    for word in mount_options::words(&asked.options) {
        let with = [lists.clone(), vec![word.clone()]].concat();
        if !MountOptions::parse(&with, true)?.are_those_of(&there) {
            others.push(word);
        }
    }
    let at = mounted.and_then(|mount| mount.at().ok());
    if asked.at.or(options.at).is_some_and(|wanted| at != Some(wanted)) {
        others.push("the snapshot".to_owned());
    }
    Ok(others)
}

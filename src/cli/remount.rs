//! `mount -o remount`: what is mounted stays as it is, so options that say the same are taken, and others are refused.

use super::mount::{Mount, umount};
use super::mount_options::{self, MountOptions};
use super::mounts;
use super::ui::Ui;
use crate::error::{Error, ErrorKind, Result};
use crate::mount::mountpoint;

/// Looks whether a mount is already what it is asked to become.
pub(super) fn remount(wanted: &Mount, ui: &Ui) -> Result<()> {
    let Some((directory, _)) = wanted.paths() else { return Ok(()) };
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
    let others = differences(wanted, mounts::mount_of(&absolute).as_ref())?;
    if !others.is_empty() {
        let what = format!("cannot change {} of the mount at {}", others.join(", "), absolute.display());
        return Err(Error::new(ErrorKind::Usage, what)
            .hint(format!("{}, then mount it again with these options", umount(&absolute))));
    }
    ui.info(&format!("{} stays mounted; nothing had to change", absolute.display()));
    Ok(())
}

/// Which options ask for another mount than the one that is there.
fn differences(wanted: &Mount, there: Option<&Mount>) -> Result<Vec<String>> {
    let lists = there.map(|mount| mount.lists().to_vec()).unwrap_or_default();
    let options = MountOptions::parse(&lists, true)?;
    let mut others = Vec::new();
    for word in mount_options::words(wanted.lists()) {
        let with = [lists.clone(), vec![word.clone()]].concat();
        if !MountOptions::parse(&with, true)?.are_those_of(&options) {
            others.push(word);
        }
    }
    let at = there.and_then(|mount| mount.at().ok());
    if wanted.named_moment()?.is_some_and(|wanted| at != Some(wanted.spec)) {
        others.push("the snapshot".to_owned());
    }
    Ok(others)
}

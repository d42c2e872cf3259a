//! Where the configuration file is that no flag names.

use std::path::PathBuf;

/// The file of the whole machine.
pub(super) const SYSTEM: &str = "/etc/vandelay/config.toml";

/// The file of this user; `None` without a home directory. A path that is not absolute does not count (XDG Base Directory
/// Specification).
pub(super) fn own() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = folder("XDG_CONFIG_HOME").or_else(|| folder("HOME").map(|home| home.join(".config")));
    base.map(|base| base.join("vandelay/config.toml"))
}

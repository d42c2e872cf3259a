//! The Debian package, made of the program under test, and the units in it. `scripts/test --package` installs and uses it
//! in a Debian of its own.

use crate::common::{fails, has, ok};
use clap::Parser;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What a command prints, also where it fails.
fn output(program: &str, arguments: &[&str]) -> (bool, String) {
    // Packages are made for this test only: quickly.
    let quick = [("DPKG_DEB_COMPRESSOR_TYPE", "gzip"), ("DPKG_DEB_COMPRESSOR_LEVEL", "1")];
    let output = Command::new(program).args(arguments).envs(quick).output().expect("it starts");
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    (output.status.success(), said.concat())
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

#[test]
fn the_package_has_everything_in_its_place() {
    if ["dpkg-deb", "dpkg-shlibdeps", "lintian"].iter().any(|program| !has(program)) {
        return;
    }
    let place = tempfile::tempdir().expect("a directory");
    let script = root().join("scripts/package");
    let binary = env!("CARGO_BIN_EXE_vandelay");
    let (is_made, said) = output(text(&script), &["--deb", "--binary", binary, "--out", text(place.path())]);
    assert!(is_made, "{said}");
    let package = PathBuf::from(said.lines().last().expect("a path"));

    // What maintainer scripts would have of debhelper: nobody stops timers of instances there. And lintian is run as root.
    let (_, said) =
        output("lintian", &["--allow-root", "--suppress-tags", "maintainer-script-calls-systemctl", text(&package)]);
    assert_eq!(said, "");
    let tree = place.path().join("tree");
    assert!(output("dpkg-deb", &["-x", text(&package), text(&tree)]).0);
    let (_, control) = output("dpkg-deb", &["-f", text(&package)]);
    assert!(control.contains(&format!("Version: {}\n", env!("CARGO_PKG_VERSION"))), "{control}");
    assert!(
        control.contains("Depends: libc6 (>= ") && control.contains("Recommends: ca-certificates, fuse3"),
        "{control}"
    );

    for (link, target) in [("mount.vandelay", "../bin/vandelay"), ("mount.fuse.vandelay", "../bin/vandelay")] {
        assert_eq!(fs::read_link(tree.join("usr/sbin").join(link)).expect("a link"), Path::new(target));
    }
    let program = tree.join("usr/bin/vandelay");
    for (shell, place) in [
        ("bash", "bash-completion/completions/vandelay"),
        ("zsh", "zsh/vendor-completions/_vandelay"),
        ("fish", "fish/vendor_completions.d/vandelay.fish"),
    ] {
        let script = fs::read_to_string(tree.join("usr/share").join(place)).expect("a script");
        assert_eq!(script, output(text(&program), &["completions", shell]).1, "{shell}");
    }
    let pages = |folder: &Path, end: &str| -> BTreeSet<String> {
        let names = fs::read_dir(folder).expect("pages").map(|entry| entry.expect("an entry").file_name());
        names.map(|name| name.to_str().and_then(|name| name.strip_suffix(end)).expect("a page").to_owned()).collect()
    };
    assert_eq!(pages(&tree.join("usr/share/man/man1"), ".1.gz"), pages(&root().join("docs/man"), ".1"));
    let units = fs::read_dir(tree.join("usr/lib/systemd/system")).expect("units").count();
    assert_eq!(units, 5, "run and mount");
}

/// The files in packaging/systemd, with the program under test in them.
fn units(into: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("packaging/systemd")).expect("units");
    let mut units: Vec<PathBuf> = entries
        .map(|entry| {
            let entry = entry.expect("an entry");
            let unit = fs::read_to_string(entry.path()).expect("a unit");
            let path = into.join(entry.file_name());
            fs::write(&path, unit.replace("/usr/bin/vandelay", env!("CARGO_BIN_EXE_vandelay"))).expect("a unit");
            path
        })
        .collect();
    units.sort();
    units
}

#[test]
fn systemd_takes_the_units() {
    if !has("systemd-analyze") {
        return;
    }
    let place = tempfile::tempdir().expect("a directory");
    for unit in units(place.path()) {
        let (is_fine, said) = output("systemd-analyze", &["verify", "--man=no", text(&unit)]);
        // Units of this machine are read along.
        let said: Vec<&str> = said.lines().filter(|line| line.contains("vandelay") || line.contains("alice")).collect();
        assert!(is_fine && said.is_empty(), "{}: {said:?}", unit.display());
    }
    for kind in ["vandelay-run.service", "vandelay-run@.service"] {
        let unit = place.path().join(kind);
        let (is_fine, said) = output("systemd-analyze", &["security", "--offline=yes", "--threshold=20", text(&unit)]);
        assert!(is_fine, "{said}");
    }
}

/// What differs between the units of one account and of all is the account.
#[test]
fn the_units_of_one_account_and_of_all_are_alike() {
    for kind in ["service", "timer"] {
        let read = |name: &str| fs::read_to_string(root().join("packaging/systemd").join(name)).expect("a unit");
        let (one, all) = (read(&format!("vandelay-run@.{kind}")), read(&format!("vandelay-run.{kind}")));
        assert_eq!(one.replace("the account %i", "all accounts").replace(" --account %i", ""), all);
    }
}

#[test]
fn the_commands_of_the_units_are_commands() {
    let mut count = 0;
    for unit in fs::read_dir(root().join("packaging/systemd")).expect("units") {
        let unit = fs::read_to_string(unit.expect("a unit").path()).expect("a unit");
        for line in unit.lines().filter_map(|line| line.split_once("=/usr/bin/vandelay ")) {
            let words = line.1.replace("${OPTIONS}", "ro").replace("%i", "alice");
            let parsed = vandelay::cli::Cli::try_parse_from(std::iter::once("vandelay").chain(words.split(' ')));
            assert!(parsed.is_ok(), "{words}: {:?}", parsed.err());
            count += 1;
        }
    }
    assert_eq!(count, 4);
}

/// An account that is not there is asked for: then the file has been read.
#[test]
fn the_configuration_of_the_package_is_read() {
    let config = root().join("packaging/config.toml");
    let said = fails(&["run", "--account", "nobody", "--config", text(&config)], 1);
    assert!(said.contains("the configuration has no account nobody") && said.contains("it has: alice"), "{said}");
}

#[test]
fn the_man_pages_are_a_command_like_others() {
    let place = tempfile::tempdir().expect("a directory");
    ok(&["man", text(place.path())]);
    let written = fs::read_to_string(place.path().join("vandelay-man.1")).expect("a page");
    assert!(written.contains("man pages") && ok(&["--help"]).contains("\n  man "), "{written}");
}

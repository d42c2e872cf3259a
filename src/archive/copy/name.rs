//! The name of a copy: a path whose last part may hold conversions of strftime(3).

use crate::archive::make::folder_of;
use crate::error::{Error, ErrorKind, Result};
use jiff::Zoned;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use std::path::{Path, PathBuf};

/// What may stand behind `%`: numbers of a fixed width, so that a name can be read back.
const CONVERSIONS: &str = "YmdHMSjyFGVu%";

/// Where copies of an archive go, and what they are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Naming {
    /// The folder of all copies.
    pub(super) folder: PathBuf,
    /// The name of a copy, with conversions.
    pattern: String,
}

impl Naming {
    /// Reads a destination: a folder that is there takes copies with the name of the archive and the day.
    ///
    /// Errors: [`ErrorKind::Usage`] if a conversion is not known, or the folder is not there.
    pub(super) fn new(archive: &Path, destination: &Path) -> Result<Naming> {
        if destination.is_dir() {
            let part = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().replace('%', "%%");
            let (stem, end) = (part(archive.file_stem()), part(archive.extension()));
            let end = if end.is_empty() { "sqlite".to_owned() } else { end };
            return Ok(Naming { folder: destination.to_owned(), pattern: format!("{stem}-%Y-%m-%d.{end}") });
        }
        let folder = folder_of(destination);
        let shown = destination.display();
        if destination.as_os_str().as_encoded_bytes().ends_with(b"/") || !folder.is_dir() {
            let missing = if folder.is_dir() { destination } else { folder };
            let error = Error::new(ErrorKind::Usage, format!("there is no folder {}", missing.display()));
            return Err(match folder.to_string_lossy().contains('%') {
                true => error.hint("the date may stand in the last part of the path only; name a folder that is there"),
                false => error.hint("make it first, or mount the disk that it lies on"),
            });
        }
        let pattern = destination
            .file_name()
            .and_then(|name| name.to_str())
            .ok_or_else(|| Error::new(ErrorKind::Usage, format!("{shown} is no name of a file in UTF-8")))?;
        check_conversions(pattern)?;
        Ok(Naming { folder: folder.to_owned(), pattern: pattern.to_owned() })
    }

    /// The path of a copy made at this time.
    pub(super) fn path_at(&self, time: &Zoned) -> Result<PathBuf> {
        let name = strtime::format(&self.pattern, time).map_err(|error| {
            Error::new(ErrorKind::Usage, format!("no name can be made of {:?}", self.pattern)).because(error)
        })?;
        Ok(self.at(&name))
    }

    /// The path of a file in the folder of the copies.
    pub(super) fn at(&self, name: &str) -> PathBuf {
        if self.folder == Path::new(".") { PathBuf::from(name) } else { self.folder.join(name) }
    }

    /// The time in a name, in seconds since 1970; `None` if it is not one of this pattern, or the pattern has no day in it.
    pub(super) fn time_in(&self, name: &str, zone: &TimeZone) -> Option<i64> {
        let parsed = strtime::parse(&self.pattern, name).ok()?;
        let time = parsed.to_datetime().ok()?.to_zoned(zone.clone()).ok()?;
        // Reading takes signs and missing zeros, too.
        let again = strtime::format(&self.pattern, &time).ok()?;
        (again == name).then(|| time.timestamp().as_second())
    }

    /// Errors with [`ErrorKind::Usage`] unless the day stands in the names: without it no rule can count them.
    pub(super) fn require_day(&self, now: &Zoned) -> Result<()> {
        let name = self.path_at(now)?;
        let name = name.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if self.time_in(name, now.time_zone()).is_some() {
            return Ok(());
        }
        let what = format!("the rules that keep copies need the day in their names, and {:?} has none", self.pattern);
        Err(Error::new(ErrorKind::Usage, what).hint("e.g. alice-%Y-%m-%d.sqlite"))
    }
}

fn check_conversions(pattern: &str) -> Result<()> {
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            continue;
        }
        let conversion = characters.next();
        if !conversion.is_some_and(|letter| CONVERSIONS.contains(letter)) {
            let said = conversion.map_or_else(|| "%".to_owned(), |letter| format!("%{letter}"));
            let what = format!("{pattern:?}: {said} is no conversion that names of copies know");
            return Err(Error::new(ErrorKind::Usage, what).hint(
                "%Y year, %m month, %d day, %H hour, %M minute, %S second, %F = %Y-%m-%d, %j day of the year, %y year of the \
                 century, %G-W%V-%u year, week and day of ISO 8601, %% a percent sign",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naming(pattern: &str) -> Naming {
        check_conversions(pattern).unwrap();
        Naming { folder: PathBuf::from("/x"), pattern: pattern.to_owned() }
    }

    #[test]
    fn names_are_read_back_as_they_are_written() {
        let zone = TimeZone::get("Europe/Berlin").unwrap_or(TimeZone::UTC);
        let time = jiff::civil::date(2026, 3, 9).at(4, 5, 6, 0).to_zoned(zone.clone()).unwrap();
        let day = jiff::civil::date(2026, 3, 9).to_zoned(zone.clone()).unwrap().timestamp().as_second();
        for (pattern, name, seconds) in [
            ("a-%Y-%m-%d.sqlite", "a-2026-03-09.sqlite", day),
            ("a-%F-%H%M%S.sqlite", "a-2026-03-09-040506.sqlite", time.timestamp().as_second()),
            ("%Y%j", "2026068", day),
            ("%G-W%V-%u", "2026-W11-1", day),
            ("100%% %y%m%d", "100% 260309", day),
        ] {
            let naming = naming(pattern);
            assert_eq!(naming.path_at(&time).unwrap(), Path::new("/x").join(name));
            assert_eq!(naming.time_in(name, &zone), Some(seconds), "{pattern}");
            naming.require_day(&time).unwrap();
        }
    }

    #[test]
    fn other_names_have_no_time() {
        let naming = naming("a-%Y-%m-%d.sqlite");
        for name in [
            "a-2026-3-9.sqlite",
            "a-2026-02-30.sqlite",
            "a-2026-03-09.sqlite.gz",
            "b-2026-03-09.sqlite",
            "a-+2026-03-09.sqlite",
            "",
        ] {
            assert_eq!(naming.time_in(name, &TimeZone::UTC), None, "{name}");
        }
    }

    #[test]
    fn conversions_that_are_not_known_are_errors() {
        for pattern in ["%", "a%", "%Q", "%-d", "%s", "%A", "%T", "%é", "%:z"] {
            assert!(check_conversions(pattern).is_err_and(|error| error.kind == ErrorKind::Usage), "{pattern}");
        }
        let now = Zoned::now();
        for pattern in ["a", "%Y", "%H%M", "%m-%d", "%u", "%G-%V"] {
            assert!(naming(pattern).require_day(&now).is_err(), "{pattern}");
        }
    }
}

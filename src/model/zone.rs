//! The time zone of the user: the days and hours that people type and read are those of this one zone.
//!
//! It is the zone that `TZ` names, in each form that POSIX and glibc know (`Europe/Berlin`, `:Europe/Berlin`,
//! `EST5EDT,M3.2.0,M11.1.0`, the path of a file; empty is UTC), else that of the machine. Zones come from the machine's
//! database, and from the one inside of this program where there is none.

use jiff::Timestamp;
use jiff::Zoned;
use jiff::tz::TimeZone;
use std::env;
use std::fs;
use std::sync::OnceLock;

/// The zone of this process.
#[derive(Debug, Clone)]
pub(crate) struct LocalZone {
    /// Its rules.
    pub(crate) zone: TimeZone,
    /// What people call it: `Europe/Berlin`, `UTC`, `EST5EDT`.
    pub(crate) name: String,
    /// What `TZ` says, if nobody knows that zone; `zone` is UTC then, as it is for the C library.
    pub(crate) unknown: Option<String>,
}

impl LocalZone {
    /// Now, in this zone.
    pub(crate) fn now(&self) -> Zoned {
        Timestamp::now().to_zoned(self.zone.clone())
    }

    /// A time in seconds since 1970, in this zone. Times beyond all calendars are cut there.
    pub(crate) fn at(&self, seconds: i64) -> Zoned {
        let end = if seconds < 0 { Timestamp::MIN } else { Timestamp::MAX };
        Timestamp::from_second(seconds).unwrap_or(end).to_zoned(self.zone.clone())
    }

    fn of_process() -> LocalZone {
        let tz = env::var_os("TZ").map(|tz| tz.to_string_lossy().into_owned());
        let said = tz.as_deref().map(|tz| tz.strip_prefix(':').unwrap_or(tz));
        // A device has no end, and jiff reads `:` as the name of a zone without letters.
        let (zone, unknown) = match said {
            Some("") => (TimeZone::UTC, None),
            Some(path) if path.starts_with('/') && !is_zone_file(path) => (TimeZone::UTC, tz.clone()),
            _ => TimeZone::try_system().map_or((TimeZone::UTC, tz.clone()), |zone| (zone, None)),
        };
        let known = if unknown.is_some() { Some("UTC") } else { zone.iana_name() };
        let name = match (known, said) {
            (Some("Etc/UTC"), _) => "UTC",
            (Some(name), _) => name,
            (None, Some(said)) => said.split(',').next().unwrap_or(said),
            (None, None) => "local",
        };
        LocalZone { name: name.to_owned(), zone, unknown }
    }
}

/// True for a file that can be the rules of a zone: none is so large.
fn is_zone_file(path: &str) -> bool {
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() < 1 << 20)
}

/// The zone of this process; found once, so that one run has one.
pub(crate) fn local() -> &'static LocalZone {
    static ZONE: OnceLock<LocalZone> = OnceLock::new();
    ZONE.get_or_init(LocalZone::of_process)
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZoneDatabase;

    #[test]
    fn the_program_has_a_database_of_its_own() {
        assert!(TimeZoneDatabase::bundled().get("America/New_York").is_ok());
    }
}

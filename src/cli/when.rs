//! Times as people read them: in their own zone. JSON, the names in `.snapshots` and reports have UTC (`rfc3339`).

use super::ui::Ui;
use crate::model::zone::local;
use jiff::Zoned;

/// From this width of the screen on, lists of snapshots have the hour.
const ROOM_FOR_HOURS: usize = 60;

/// The zone of all times on the screen: `Europe/Berlin`, `UTC`.
pub(super) fn zone() -> &'static str {
    &local().name
}

/// `22 Nov 2026 04:17`, 17 columns; of seconds since 1970.
pub(super) fn time(seconds: i64) -> String {
    zoned(seconds).strftime("%e %b %Y %H:%M").to_string()
}

/// `Sun 22 Nov 2026 04:17`, 21 columns; of seconds since 1970.
pub(super) fn weekday_time(seconds: i64) -> String {
    zoned(seconds).strftime("%a %e %b %Y %H:%M").to_string()
}

/// With the hour, which tells two of a day apart, on a screen that has room for it; else the day. It is never cut.
pub(super) fn fitting(seconds: i64, columns: usize) -> String {
    if columns < ROOM_FOR_HOURS { day(seconds) } else { weekday_time(seconds) }
}

/// `22 Nov 2026`, 11 columns; of seconds since 1970.
pub(super) fn day(seconds: i64) -> String {
    zoned(seconds).strftime("%e %b %Y").to_string()
}

/// `1 Nov - 29 Nov 2026`: the days of two times in seconds since 1970, for a sentence.
pub(super) fn period(from: i64, to: i64) -> String {
    let (first, last) = (zoned(from), zoned(to));
    let format = match () {
        () if first.date() == last.date() => return last.strftime("%-d %b %Y").to_string(),
        () if first.year() == last.year() => "%-d %b",
        () => "%-d %b %Y",
    };
    format!("{} - {}", first.strftime(format), last.strftime("%-d %b %Y"))
}

/// The title of a column of times with the zone, as far as `width` columns take it: `DATE (America/New_York)`,
/// `DATE (New_York)`, `DATE (local)`.
pub(super) fn head(title: &str, width: usize) -> String {
    head_of(title, zone(), width)
}

fn head_of(title: &str, zone: &str, width: usize) -> String {
    let city = zone.rsplit('/').next().filter(|_| !zone.starts_with("Etc/")).unwrap_or(zone);
    let heads = [zone, city].map(|zone| format!("{title} ({zone})"));
    heads.into_iter().find(|head| head.chars().count() <= width).unwrap_or_else(|| format!("{title} (local)"))
}

/// Says that `TZ` names no zone that is known, and what is used.
pub(super) fn warn_of_unknown_zone(ui: &Ui) {
    if let Some(unknown) = &local().unknown {
        ui.warn(&format!("TZ names the unknown time zone {unknown:?}; days and times are in UTC"));
    }
}

fn zoned(seconds: i64) -> Zoned {
    local().at(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_names_the_zone_as_far_as_it_fits() {
        assert_eq!(head_of("DATE", "Europe/Berlin", 21), "DATE (Europe/Berlin)");
        assert_eq!(head_of("DATE", "America/New_York", 21), "DATE (New_York)");
        assert_eq!(head_of("DATE", "America/New_York", 14), "DATE (local)");
        assert_eq!(head_of("DATE", "Etc/GMT+5", 14), "DATE (local)");
        assert_eq!(head_of("DATE", "UTC", 11), "DATE (UTC)");
    }

    #[test]
    fn no_time_is_too_far() {
        for seconds in [i64::MIN, -1, 0, i64::MAX] {
            assert!(!weekday_time(seconds).is_empty() && !period(seconds, seconds).is_empty());
        }
    }
}

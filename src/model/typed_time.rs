//! Times as people type them. Without an offset they are those of the local zone (`zone.rs`).
//!
//! | text | meaning |
//! |---|---|
//! | `2026-11-29`, `29 Nov 2026`, `Sun 29 Nov 2026` | all of this day |
//! | `2026-11-29T20:00`, `2026-11-29 20:00`, `29 Nov 2026 20:00` | all of this minute |
//! | `2026-11-29 20:00:31` | this second |
//! | the same with `Z`, `+01:00` or `+0100` | the time at that offset |
//! | `today`, `yesterday`, `2 weeks ago`, `a month ago` | all of that day |
//! | `3 hours ago`, `1h 30m ago` | that second |
//!
//! An hour that a clock shows twice is the second one, so that nothing of it is left out; a time that it skips is as long
//! after the skip.

use super::zone::local;
use jiff::civil::{Date, DateTime};
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, Zoned};

/// From when to when a text means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Period {
    /// The first second, since 1970.
    pub(crate) first: i64,
    /// The last second, since 1970.
    pub(crate) last: i64,
}

/// Reads a time; `None` if it is none.
pub(crate) fn parse(text: &str) -> Option<Period> {
    parse_at(text, &local().now())
}

/// Reads a time where it is `now`.
fn parse_at(text: &str, now: &Zoned) -> Option<Period> {
    // Longer than every form.
    if text.len() > 80 {
        return None;
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    let text = words.join(" ");
    let zone = now.time_zone();
    relative(&text.to_ascii_lowercase(), now)
        .or_else(|| as_shown(&text, zone))
        .or_else(|| day(text.parse().ok().filter(|_| text.len() == 10)?, zone))
        .or_else(|| date_time(&text, zone))
}

/// `today`, `yesterday`, `2 weeks ago`. Where a space is hard to type, as in fstab, `2-weeks-ago` and `2.weeks.ago` are
/// the same.
fn relative(text: &str, now: &Zoned) -> Option<Period> {
    match text {
        "now" => return Some(second(now.timestamp())),
        "today" => return day(now.date(), now.time_zone()),
        "yesterday" => return day(now.date().yesterday().ok()?, now.time_zone()),
        _ => {}
    }
    let length = text.strip_suffix("ago")?.replace(['-', '.', '_'], " ");
    let length = match length.trim().split_once(' ') {
        Some(("a" | "an", unit)) => format!("1 {unit}"),
        _ => length.trim().to_owned(),
    };
    // Not ISO 8601 (`P2W`), which nobody says before "ago".
    let span: Span = length.strip_prefix(|first: char| first.is_ascii_digit()).and_then(|_| length.parse().ok())?;
    let then = now.checked_sub(span).ok()?;
    let has_hours = span.get_hours() != 0 || span.get_minutes() != 0 || span.get_seconds() != 0;
    if has_hours { Some(second(then.timestamp())) } else { day(then.date(), now.time_zone()) }
}

/// A day or a minute as the screens show it.
fn as_shown(text: &str, zone: &TimeZone) -> Option<Period> {
    for format in ["%a %d %b %Y", "%d %b %Y"] {
        if let Ok(read) = BrokenDownTime::parse(format, text) {
            return day(read.to_date().ok()?, zone);
        }
        for (clock, length) in [("%H:%M", 60), ("%H:%M:%S", 1)] {
            if let Ok(read) = BrokenDownTime::parse(format!("{format} {clock}"), text) {
                return lasting(in_zone(read.to_datetime().ok()?, zone)?, length);
            }
        }
    }
    None
}

/// All of a day, also if it has 23 or 25 hours.
fn day(date: Date, zone: &TimeZone) -> Option<Period> {
    let start = |date: Date| date.to_zoned(zone.clone()).ok().map(|start| start.timestamp().as_second());
    let first = start(date)?;
    let next = date.tomorrow().ok().and_then(start)?;
    Some(Period { first, last: (next - 1).max(first) })
}

/// A date, a time and perhaps an offset, as in RFC 3339; seconds may be missing.
fn date_time(text: &str, zone: &TimeZone) -> Option<Period> {
    let (date, clock) = text.split_at_checked(10)?;
    let clock = clock.strip_prefix(['T', 't', ' '])?;
    let (clock, offset) = clock.split_at(clock.find(['Z', 'z', '+', '-']).unwrap_or(clock.len()));
    let clock = clock.trim_end();
    let length = match clock.matches(':').count() {
        1 => 60,
        2 => 1,
        _ => return None,
    };
    let time: DateTime = format!("{date}T{clock}").parse().ok()?;
    let time = match offset {
        "" => in_zone(time, zone)?,
        _ => format!("{time}{offset}").parse().ok()?,
    };
    lasting(time, length)
}

/// The last time at which the clocks of a zone show this.
fn in_zone(time: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    Some(zone.to_ambiguous_zoned(time).later().ok()?.timestamp())
}

fn lasting(time: Timestamp, seconds: i64) -> Option<Period> {
    let first = time.as_second();
    Some(Period { first, last: first.checked_add(seconds - 1)? })
}

fn second(time: Timestamp) -> Period {
    Period { first: time.as_second(), last: time.as_second() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::{epoch, rfc3339};

    /// The first and the last second, if it is 2 December 2026, 09:30 in New York.
    fn read(text: &str) -> Option<(String, String)> {
        let zone = TimeZone::get("America/New_York").unwrap();
        let now = Timestamp::from_second(epoch("2026-12-02T14:30:00Z")).unwrap().to_zoned(zone);
        parse_at(text, &now).map(|period| (rfc3339(period.first), rfc3339(period.last)))
    }

    fn means(text: &str, first: &str, last: &str) {
        assert_eq!(read(text), Some((first.to_owned(), last.to_owned())), "{text}");
    }

    #[test]
    fn days_and_times_are_local() {
        let day = ("2026-11-29T05:00:00Z", "2026-11-30T04:59:59Z");
        for text in ["2026-11-29", "29 Nov 2026", "Sun 29 Nov 2026", "Sun  29 Nov 2026", "3 days ago", "3-days-ago"] {
            means(text, day.0, day.1);
        }
        for text in ["2026-11-29T20:00", "2026-11-29 20:00", "29 Nov 2026 20:00", "sun 29 nov 2026 20:00"] {
            means(text, "2026-11-30T01:00:00Z", "2026-11-30T01:00:59Z");
        }
        for text in ["2026-11-29T20:00:31", "2026-11-29 20:00:31", "2026-11-29 20:00:31.9", "29 Nov 2026 20:00:31"] {
            means(text, "2026-11-30T01:00:31Z", "2026-11-30T01:00:31Z");
        }
        for text in ["2026-11-29T20:00Z", "2026-11-29 20:00Z", "2026-11-29 21:00 +01:00", "2026-11-29 21:00 +0100"] {
            means(text, "2026-11-29T20:00:00Z", "2026-11-29T20:00:59Z");
        }
        means("2026-11-29T20:00:31-05:00", "2026-11-30T01:00:31Z", "2026-11-30T01:00:31Z");
        means("1 Dec 2026", "2026-12-01T05:00:00Z", "2026-12-02T04:59:59Z");
    }

    #[test]
    fn days_and_hours_before_now() {
        means("today", "2026-12-02T05:00:00Z", "2026-12-03T04:59:59Z");
        means("Yesterday", "2026-12-01T05:00:00Z", "2026-12-02T04:59:59Z");
        means("2 weeks ago", "2026-11-18T05:00:00Z", "2026-11-19T04:59:59Z");
        means("a week ago", "2026-11-25T05:00:00Z", "2026-11-26T04:59:59Z");
        means("1 month, 2 days ago", "2026-10-31T04:00:00Z", "2026-11-01T03:59:59Z");
        means("1y ago", "2025-12-02T05:00:00Z", "2025-12-03T04:59:59Z");
        means("3 hours ago", "2026-12-02T11:30:00Z", "2026-12-02T11:30:00Z");
        means("1h 30m ago", "2026-12-02T13:00:00Z", "2026-12-02T13:00:00Z");
    }

    #[test]
    fn days_on_which_the_clock_is_put() {
        // 23 hours, 02:00 to 03:00 are skipped; 25 hours, 01:00 to 02:00 come twice.
        means("2026-03-08", "2026-03-08T05:00:00Z", "2026-03-09T03:59:59Z");
        means("2026-03-08 02:30", "2026-03-08T07:30:00Z", "2026-03-08T07:30:59Z");
        means("2026-11-01", "2026-11-01T04:00:00Z", "2026-11-02T04:59:59Z");
        means("2026-11-01 01:30", "2026-11-01T06:30:00Z", "2026-11-01T06:30:59Z");
        means("2026-11-01 01:30 -04:00", "2026-11-01T05:30:00Z", "2026-11-01T05:30:59Z");
        // A day that Samoa left out, and one that began at 01:00 in Beirut.
        let in_zone = |text: &str, zone: &str| {
            let now = Timestamp::UNIX_EPOCH.to_zoned(TimeZone::get(zone).unwrap());
            parse_at(text, &now).map(|period| (rfc3339(period.first), rfc3339(period.last))).unwrap()
        };
        let (_, before) = in_zone("2011-12-29", "Pacific/Apia");
        let (after, _) = in_zone("2011-12-31", "Pacific/Apia");
        assert_eq!(epoch(&after) - epoch(&before), 1);
        assert!(in_zone("2011-12-30", "Pacific/Apia").0 >= before);
        let beirut = in_zone("2021-03-28", "Asia/Beirut");
        assert_eq!(epoch(&beirut.1) - epoch(&beirut.0) + 1, 23 * 3600);
    }

    #[test]
    fn anything_else_is_no_time() {
        let wrong = [
            "",
            " ",
            "7",
            "-1",
            "latest",
            "soon",
            "ago",
            "2 ago",
            "2 moons ago",
            "P2W ago",
            "99999999y ago",
            "2026-11",
            "2026-13-01",
            "2026-02-30",
            "2026-11-29T",
            "2026-11-29T25:00",
            "2026-11-29T20",
            "2026-11-29T20:00Q",
            "2026-11-29T20:00+",
            "2026-11-29T20-00-00Z",
            "31 Feb 2026",
            "Mon 29 Nov 2026 20:00",
            "29 Foo 2026",
            "9999-12-31 23:59+",
            "ü026-11-29 20:00",
            "2026-11-2ü 20:00",
        ];
        for text in wrong {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(read(&"9".repeat(100_000)), None);
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "[0-9TZ:+ ago~.ydhmw-]{0,40}|.{0,40}") {
            if let Some(period) = parse(&text) {
                assert!(period.first <= period.last);
            }
        }
    }
}

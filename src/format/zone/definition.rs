//! Time zones: what a VTIMEZONE (RFC 5545 3.6.5) or a TimeZone object (RFC 8984 4.7.2) says, and which zone of the IANA
//! database says the same.

use crate::format::contentline::{self as lines, Prop};
use calcard::common::timezone::Tz;
use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveDateTime, Offset, TimeZone, Weekday};
use std::collections::BTreeMap;
use std::str::FromStr;

/// A definition with more onsets than this is not read: the longest of the IANA database has about 250.
pub(crate) const OBSERVANCES: usize = 2_000;

/// Rules are followed for this many years at most.
pub(crate) const YEARS: i32 = 10;

/// What a time zone is by definition: when its clock changes, and to what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Definition {
    pub(crate) observances: Vec<Observance>,
    /// The IANA zone that the definition names itself, as libical and Outlook do.
    pub location: Option<String>,
}

/// A STANDARD or DAYLIGHT component: from its onsets on the clock shows another time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Observance {
    /// Seconds of the local clock before the onset, counted from 1970 as if it were UTC.
    pub(crate) start: i64,
    pub(crate) from: i32,
    pub(crate) to: i32,
    pub(crate) rule: Option<Rule>,
    /// More onsets, as `start`.
    pub(crate) dates: Vec<i64>,
    pub(crate) is_daylight: bool,
    pub(crate) name: Option<String>,
}

/// The part of RRULE that definitions use: one day of each year.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rule {
    pub(super) month: u32,
    pub(super) day: Day,
    pub(super) interval: i32,
    /// Seconds since 1970.
    pub(crate) until: Option<i64>,
    pub(super) count: Option<i32>,
}

/// A day of a month.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Day {
    /// The nth weekday (days from Monday), from the month's end if negative.
    Nth(i32, u32),
    /// The first of these days of the month that is this weekday.
    Among(Vec<u32>, u32),
    Fixed(u32),
}

/// The zone of the IANA database with exactly this name.
pub(crate) fn iana(name: &str) -> Option<chrono_tz::Tz> {
    chrono_tz::Tz::from_str(name).ok()
}

/// The zone that the library takes a name for: IANA's, those of Windows and some of their kin.
pub(crate) fn known(name: &str) -> Option<Tz> {
    Tz::from_str(name).ok().filter(|zone| !zone.is_floating())
}

/// The zone that a name most likely means if it is no registered one: `/freeassociation.sourceforge.net/Europe/Berlin`,
/// `tzone://Microsoft/Utc`, `US-Central`, `America/Los Angeles`, `GMT Standard Time 1`, `europe/berlin`,
/// `UTC+01`.
pub(crate) fn guess(name: &str) -> Option<String> {
    let name = name.trim();
    let plain = |name: &str| -> Option<String> {
        let spelt = [name.to_owned(), name.replacen('-', "/", 1), name.replace(' ', "_")];
        spelt.iter().find_map(|name| any_case(name)).or_else(|| known(name)?.name().map(|name| name.into_owned()))
    };
    let without_number = name.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '(' | ')' | '#'));
    let without_number = Some(without_number.trim_end_matches([' ', '-', '_'])).filter(|rest| rest.len() >= 5);
    if let Some(fixed) = by_offset(name) {
        return Some(fixed);
    }
    for name in [Some(name), without_number].into_iter().flatten() {
        if let Some(found) = plain(name) {
            return Some(found);
        }
        let mut rest = name;
        while let Some((_, tail)) = rest.split_once('/') {
            if let Some(found) = plain(tail).filter(|_| !tail.is_empty()) {
                return Some(found);
            }
            rest = tail;
        }
        let tails = name.match_indices('_').filter_map(|(at, _)| name.get(at + 1..));
        if let Some(found) = tails.filter(|tail| tail.contains('/')).find_map(any_case) {
            return Some(found);
        }
    }
    None
}

/// The zone of `UTC+1`, `GMT-08:00` and their kin.
fn by_offset(name: &str) -> Option<String> {
    let offset = name.strip_prefix("UTC").or_else(|| name.strip_prefix("GMT"))?;
    let (sign, digits) = offset.split_at_checked(1).filter(|(sign, _)| matches!(*sign, "+" | "-"))?;
    let hours = match digits.split_once(':') {
        None if digits.len() <= 2 => digits,
        Some((hours, "00")) => hours,
        None if digits.len() == 4 => digits.strip_suffix("00")?,
        _ => return None,
    };
    let hours: i32 = hours.parse().ok().filter(|hours| (0..=14).contains(hours))?;
    fixed(if sign == "-" { -hours } else { hours } * 3600)
}

/// The IANA zone of this name in any case.
fn any_case(name: &str) -> Option<String> {
    // No name of the database is longer.
    if name.is_empty() || name.len() > 40 {
        return None;
    }
    let exact = iana(name).map(|zone| zone.name());
    let same = || chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()).find(|known| known.eq_ignore_ascii_case(name));
    exact.or_else(same).map(str::to_owned)
}

/// Seconds that a zone's clock is ahead of UTC at a time (UTC, seconds since 1970).
pub(crate) fn offset_of(zone: Tz, at: i64) -> i32 {
    zone.offset_from_utc_datetime(&naive(at)).fix().local_minus_utc()
}

/// How often the zone's clock shows this local time (seconds as if UTC): 1, but for the hours that are skipped or repeated.
pub(crate) fn is_single(zone: Tz, local: i64) -> bool {
    zone.from_local_datetime(&naive(local)).single().is_some()
}

pub(crate) fn naive(seconds: i64) -> NaiveDateTime {
    // Years 0 to 9999, so that no calculation of the library overflows.
    let seconds = seconds.clamp(-62_135_596_800, 253_402_300_799 - 86_400);
    DateTime::from_timestamp(seconds, 0).unwrap_or_default().naive_utc()
}

/// The date-time at the head of an iCalendar value as seconds, taken for UTC, and whether it is in UTC; a date is its
/// midnight.
pub(crate) fn date_time(value: &[u8]) -> Option<(i64, bool)> {
    let value = value.trim_ascii();
    let digits = |from: usize, to: usize| -> Option<u32> {
        let text = value.get(from..to).filter(|text| text.iter().all(u8::is_ascii_digit))?;
        std::str::from_utf8(text).ok()?.parse().ok()
    };
    let date = NaiveDate::from_ymd_opt(digits(0, 4)? as i32, digits(4, 6)?, digits(6, 8)?)?;
    let is_time = matches!(value.get(8), Some(b'T' | b't'));
    let (hour, minute, second) =
        if is_time { (digits(9, 11)?, digits(11, 13)?, digits(13, 15).unwrap_or(0)) } else { (0, 0, 0) };
    let time = date.and_hms_opt(hour.min(23), minute.min(59), second.min(59))?;
    Some((time.and_utc().timestamp(), matches!(value.last(), Some(b'Z' | b'z'))))
}

/// `+0130` and its kin, in seconds. With a colon too, as ISO 8601 has it.
pub(crate) fn utc_offset(text: &str) -> Option<i32> {
    let text = text.trim();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let digits: String = digits.chars().filter(|c| *c != ':').collect();
    if !matches!(digits.len(), 4 | 6) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part = |at: usize| digits.get(at..at + 2).map_or(0, |text| text.parse::<i32>().unwrap_or(0));
    let seconds = part(0) * 3600 + part(2) * 60 + part(4);
    (seconds < 86_400).then_some(sign * seconds)
}

/// The other way.
pub(crate) fn offset_text(seconds: i32) -> String {
    let (sign, size) = (if seconds < 0 { '-' } else { '+' }, seconds.abs());
    let text = format!("{sign}{:02}{:02}", size / 3600, size / 60 % 60);
    if size % 60 == 0 { text } else { format!("{text}{:02}", size % 60) }
}

pub(crate) const WEEKDAYS: [&str; 7] = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"];

/// The day from Monday of `MO` or `mo`.
pub(crate) fn weekday(text: &str) -> Option<u32> {
    WEEKDAYS.iter().position(|known| known.eq_ignore_ascii_case(text)).map(|at| at as u32)
}

impl Rule {
    /// The rule of an RRULE value; `None` if it is of another sort. `start` is what the rule says nothing about.
    pub(crate) fn parse(text: &str, start: i64) -> Option<Rule> {
        let begin = naive(start);
        let mut rule =
            Rule { month: begin.month(), day: Day::Fixed(begin.day()), interval: 1, until: None, count: None };
        let (mut is_yearly, mut nth, mut days) = (false, None, Vec::new());
        for part in text.split(';').filter(|part| !part.trim().is_empty()) {
            let (name, value) = part.split_once('=')?;
            let value = value.trim();
            match name.trim().to_ascii_uppercase().as_str() {
                "FREQ" => is_yearly = value.eq_ignore_ascii_case("YEARLY"),
                "INTERVAL" => rule.interval = value.parse().ok().filter(|count| (1..=100).contains(count))?,
                "COUNT" => rule.count = Some(value.parse().ok()?),
                "UNTIL" => rule.until = Some(date_time(value.as_bytes())?.0),
                "BYMONTH" => rule.month = value.parse().ok().filter(|month| (1..=12).contains(month))?,
                "BYMONTHDAY" => {
                    for day in value.split(',') {
                        days.push(day.trim().parse().ok().filter(|day| (1..=31).contains(day))?);
                    }
                }
                "BYDAY" => {
                    let (count, day) = value.split_at_checked(value.len().checked_sub(2)?)?;
                    let count: i32 = if count.is_empty() { 0 } else { count.parse().ok()? };
                    nth = Some((Some(count).filter(|count| (-5..=5).contains(count))?, weekday(day)?));
                }
                // The time of day is that of the start.
                "WKST" | "BYHOUR" | "BYMINUTE" | "BYSECOND" => {}
                _ => return None,
            }
        }
        days.truncate(31);
        days.sort_unstable();
        rule.day = match (nth, &days[..]) {
            (Some((0, weekday)), [_, ..]) => Day::Among(days, weekday),
            (Some((0, _)), []) => return None,
            (Some((count, weekday)), []) => Day::Nth(count, weekday),
            (Some(_), _) => return None,
            (None, [day]) => Day::Fixed(*day),
            (None, []) => rule.day,
            (None, _) => return None,
        };
        is_yearly.then_some(rule)
    }

    /// The day of a year on which the clock changes.
    fn date(&self, year: i32) -> Option<NaiveDate> {
        let first = NaiveDate::from_ymd_opt(year, self.month, 1)?;
        match &self.day {
            Day::Fixed(day) => NaiveDate::from_ymd_opt(year, self.month, *day),
            Day::Among(days, weekday) => {
                let dates = days.iter().filter_map(|day| NaiveDate::from_ymd_opt(year, self.month, *day));
                dates.into_iter().find(|date| date.weekday().num_days_from_monday() == *weekday)
            }
            Day::Nth(count, weekday) => {
                let weekday = Weekday::try_from(*weekday as u8).ok()?;
                if *count > 0 {
                    return NaiveDate::from_weekday_of_month_opt(year, self.month, weekday, *count as u8);
                }
                let next = if self.month == 12 { (year.checked_add(1)?, 1) } else { (year, self.month + 1) };
                let last = NaiveDate::from_ymd_opt(next.0, next.1, 1)?.pred_opt()?;
                let back = (last.weekday().num_days_from_monday() + 7 - weekday.num_days_from_monday()) % 7;
                let back = u64::from(back) + 7 * (count.unsigned_abs() as u64).saturating_sub(1);
                last.checked_sub_days(Days::new(back)).filter(|date| *date >= first)
            }
        }
    }

    /// As an RRULE value.
    fn text(&self) -> String {
        let mut text = format!("FREQ=YEARLY;BYMONTH={}", self.month);
        match &self.day {
            Day::Nth(count, weekday) => text += &format!(";BYDAY={count}{}", WEEKDAYS[*weekday as usize % 7]),
            Day::Fixed(day) => text += &format!(";BYMONTHDAY={day}"),
            Day::Among(days, weekday) => {
                let days: Vec<String> = days.iter().map(u32::to_string).collect();
                text += &format!(";BYMONTHDAY={};BYDAY={}", days.join(","), WEEKDAYS[*weekday as usize % 7]);
            }
        }
        if self.interval > 1 {
            text += &format!(";INTERVAL={}", self.interval);
        }
        match (self.count, self.until) {
            (Some(count), _) => text + &format!(";COUNT={count}"),
            (None, Some(until)) => text + &format!(";UNTIL={}Z", naive(until).format("%Y%m%dT%H%M%S")),
            (None, None) => text,
        }
    }
}

impl Observance {
    /// Onsets in UTC in these years, and the last one before them.
    fn onsets(&self, from: i32, to: i32, each: &mut impl FnMut(i64)) {
        let utc = |local: i64| local - i64::from(self.from);
        each(utc(self.start));
        self.dates.iter().for_each(|date| each(utc(*date)));
        let Some(rule) = &self.rule else { return };
        let begin = naive(self.start);
        let last = rule.count.map_or(i32::MAX, |count| {
            begin.year().saturating_add(count.saturating_sub(1).max(0).saturating_mul(rule.interval))
        });
        let last = rule.until.map_or(last, |until| last.min(naive(until).year()));
        // A rule that ended before these years may still say what holds in them.
        for year in from.saturating_sub(rule.interval).min(last).max(begin.year())..=to.min(last) {
            if (year - begin.year()) % rule.interval != 0 {
                continue;
            }
            let Some(date) = rule.date(year) else { continue };
            let local = date.and_time(begin.time()).and_utc().timestamp();
            if local >= self.start && rule.until.is_none_or(|until| utc(local) <= until || local <= until) {
                each(utc(local));
            }
        }
    }
}

impl Definition {
    /// What the lines of a VTIMEZONE say; `None` if they say nothing, or something that is not understood.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Definition> {
        let mut definition = Definition { observances: Vec::new(), location: None };
        let mut open: Option<Observance> = None;
        let (mut rule, mut has_start, mut offsets): (Option<String>, bool, u32) = (None, false, 0);
        for line in lines::lines(bytes) {
            let text = line.text();
            let Some(prop) = Prop::parse(&text) else { continue };
            let value = lines::decode(prop.value);
            let value = value.trim();
            if prop.is("BEGIN") {
                let is_daylight = value.eq_ignore_ascii_case("DAYLIGHT");
                if is_daylight || value.eq_ignore_ascii_case("STANDARD") {
                    open = Some(Observance { is_daylight, ..Observance::default() });
                    (rule, has_start, offsets) = (None, false, 0);
                }
            } else if prop.is("END") {
                let Some(mut done) = open.take() else { continue };
                if !has_start || offsets != 2 || definition.observances.len() == OBSERVANCES {
                    return None;
                }
                if let Some(text) = rule.take() {
                    done.rule = Some(Rule::parse(&text, done.start)?);
                }
                done.dates.sort_unstable();
                definition.observances.push(done);
            } else if let Some(open) = &mut open {
                match prop.name.to_ascii_uppercase().as_slice() {
                    b"DTSTART" => (open.start, has_start) = (date_time(prop.value)?.0, true),
                    b"TZOFFSETFROM" => (open.from, offsets) = (utc_offset(value)?, offsets + 1),
                    b"TZOFFSETTO" => (open.to, offsets) = (utc_offset(value)?, offsets + 1),
                    b"TZNAME" => open.name = Some(lines::unescape(value).chars().take(60).collect()),
                    b"RRULE" if rule.is_none() => rule = Some(value.to_owned()),
                    b"RRULE" | b"EXRULE" | b"EXDATE" => return None,
                    b"RDATE" => {
                        for date in prop.value.split(|byte| *byte == b',').take(OBSERVANCES) {
                            let (time, is_utc) = date_time(date)?;
                            open.dates.push(if is_utc { time + i64::from(open.from) } else { time });
                        }
                    }
                    _ => {}
                }
            } else if prop.is("X-LIC-LOCATION") || prop.is("TZID-ALIAS-OF") {
                definition.location = definition.location.or_else(|| guess(&lines::unescape(value)));
            }
        }
        (!definition.observances.is_empty()).then_some(definition)
    }

    /// The same text for definitions that say the same.
    pub(crate) fn canonical(&self) -> String {
        let mut all = self.observances.clone();
        for one in &mut all {
            one.name = None;
            one.is_daylight = false;
        }
        all.sort_unstable();
        format!("{all:?}")
    }

    /// A VTIMEZONE component with this name.
    pub(crate) fn to_ics(&self, name: &str) -> String {
        let time = |seconds: i64| naive(seconds).format("%Y%m%dT%H%M%S").to_string();
        let escape = |text: &str| lines::escape(text);
        let mut out = format!("BEGIN:VTIMEZONE\r\nTZID:{}\r\n", escape(name));
        for one in &self.observances {
            let kind = if one.is_daylight { "DAYLIGHT" } else { "STANDARD" };
            out += &format!("BEGIN:{kind}\r\nDTSTART:{}\r\n", time(one.start));
            out += &format!("TZOFFSETFROM:{}\r\nTZOFFSETTO:{}\r\n", offset_text(one.from), offset_text(one.to));
            if let Some(name) = &one.name {
                out += &format!("TZNAME:{}\r\n", escape(name));
            }
            if let Some(rule) = &one.rule {
                out += &format!("RRULE:{}\r\n", rule.text());
            }
            for date in &one.dates {
                out += &format!("RDATE:{}\r\n", time(*date));
            }
            out += &format!("END:{kind}\r\n");
        }
        out + "END:VTIMEZONE\r\n"
    }

    /// When the clock changes in these years, and what it is ahead of UTC from then on; the first entry holds before.
    pub(crate) fn changes(&self, from: i32, to: i32) -> Changes {
        let to = to.min(from.saturating_add(YEARS));
        let mut onsets: BTreeMap<i64, (i32, i32)> = BTreeMap::new();
        for one in &self.observances {
            one.onsets(from.saturating_sub(1), to.saturating_add(1), &mut |at| {
                onsets.insert(at, (one.from, one.to));
            });
        }
        let before = onsets.values().next().map_or(0, |(from, _)| *from);
        Changes { before, onsets: onsets.into_iter().map(|(at, (_, to))| (at, to)).collect() }
    }
}

/// The offsets of a definition in some years.
pub(crate) struct Changes {
    pub(crate) before: i32,
    /// Ascending.
    pub(crate) onsets: Vec<(i64, i32)>,
}

impl Changes {
    pub(crate) fn offset(&self, at: i64) -> i32 {
        let behind = self.onsets.partition_point(|(onset, _)| *onset <= at);
        behind.checked_sub(1).and_then(|place| self.onsets.get(place)).map_or(self.before, |(_, offset)| *offset)
    }
}

/// The zone of a clock that is so far ahead of UTC for good, in whole hours.
pub(crate) fn fixed(offset: i32) -> Option<String> {
    match offset {
        0 => Some("Etc/UTC".to_owned()),
        // The signs of these names are those of POSIX.
        _ if offset % 3600 == 0 && (-12..=14).contains(&(offset / 3600)) => {
            Some(format!("Etc/GMT{}{}", if offset < 0 { '+' } else { '-' }, (offset / 3600).abs()))
        }
        _ => None,
    }
}

//! Which zone of the IANA database says what a definition says, for the time that matters.

use super::definition::{Changes, Definition, YEARS, fixed, guess, iana, known, naive, offset_of};
use calcard::common::timezone::Tz;
use chrono::Datelike;

/// For so many years a recurring event's zone has to be the same.
const RECURS: i32 = 5;

/// Between two changes of the clock it is looked at once a week.
const WEEK: i64 = 7 * 86_400;

/// Zones that are taken first where several have the same rules: each the best known one.
const FIRST: [&str; 36] = [
    "Europe/London",
    "Europe/Berlin",
    "Europe/Athens",
    "Europe/Moscow",
    "Europe/Istanbul",
    "Africa/Lagos",
    "Africa/Johannesburg",
    "Africa/Nairobi",
    "America/New_York",
    "America/Chicago",
    "America/Denver",
    "America/Phoenix",
    "America/Los_Angeles",
    "America/Anchorage",
    "America/Halifax",
    "America/St_Johns",
    "America/Sao_Paulo",
    "America/Argentina/Buenos_Aires",
    "America/Bogota",
    "America/Caracas",
    "America/Santiago",
    "Pacific/Honolulu",
    "Pacific/Auckland",
    "Asia/Jerusalem",
    "Asia/Dubai",
    "Asia/Tehran",
    "Asia/Karachi",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Asia/Bangkok",
    "Asia/Shanghai",
    "Asia/Tokyo",
    "Australia/Adelaide",
    "Australia/Darwin",
    "Australia/Sydney",
    "Australia/Brisbane",
];

/// What an item needs a zone for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Use {
    /// Local times that are in the zone, in seconds as if UTC.
    pub times: Vec<i64>,
    pub recurs: bool,
}

/// A zone of the IANA database in the place of a definition.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Match {
    /// Its clock changes when the definition says.
    Same(String),
    /// Its clock shows the same at the times that the item names.
    AtThoseTimes(String),
    /// The name means it, but its clock changes at other times than the definition says.
    ByName(String),
}

impl Definition {
    /// True if the clock of a zone is more than an hour away from what the definition says at one of these times: then
    /// the name means another zone. An hour may be a matter of when summer time begins, which rules that are older or
    /// newer than the database's see otherwise.
    pub(crate) fn contradicts(&self, zone: Tz, used: &Use) -> bool {
        let Some((changes, ..)) = self.changes_for(used) else { return false };
        used.times.iter().any(|local| {
            let at = changes.utc(*local);
            (changes.offset(at) - offset_of(zone, at)).abs() > 3600
        })
    }

    /// The zone that can stand for this definition, called `name`, in an item.
    pub(crate) fn find(&self, name: &str, used: &Use) -> Option<Match> {
        let (changes, from, to) = self.changes_for(used)?;
        let samples = changes.samples(from, to);
        let is_same = |zone: chrono_tz::Tz| samples.iter().all(|(at, offset)| offset_of(Tz::Tz(zone), *at) == *offset);
        let same =
            |name: &str| iana(name).filter(|zone| is_same(*zone)).map(|zone| Match::Same(zone.name().to_owned()));
        // What the name or the definition itself points to.
        let hinted = self.location.as_deref().and_then(same).or_else(|| same(&guess(name)?)).or_else(|| {
            let letters = letters(name);
            let is_named = |zone: &&chrono_tz::Tz| city(zone).is_some_and(|city| letters.contains(&city));
            chrono_tz::TZ_VARIANTS.iter().filter(is_named).find_map(|zone| same(zone.name()))
        });
        if hinted.is_some() {
            return hinted;
        }
        if let Some(zone) = same_rules(&changes, &samples, is_same) {
            return Some(Match::Same(zone));
        }
        let meant = self
            .location
            .clone()
            .or_else(|| guess(name))
            .filter(|zone| known(zone).is_some_and(|zone| !self.contradicts(zone, used)));
        if let Some(zone) = meant {
            return Some(Match::ByName(zone));
        }
        let mut offsets = used.times.iter().map(|local| changes.offset(changes.utc(*local)));
        let first = offsets.next().filter(|_| !used.recurs)?;
        offsets.all(|offset| offset == first).then(|| fixed(first)).flatten().map(Match::AtThoseTimes)
    }

    /// Seconds that the clock is ahead of UTC at a local time.
    pub(crate) fn offset_at_local(&self, local: i64) -> i32 {
        let year = naive(local).year();
        let changes = self.changes(year, year);
        changes.offset(changes.utc(local))
    }

    /// The changes in the years that an item needs, and these.
    fn changes_for(&self, used: &Use) -> Option<(Changes, i32, i32)> {
        let year = |seconds: Option<&i64>| seconds.map(|seconds| naive(*seconds).year());
        let (from, to) = (year(used.times.iter().min())?, year(used.times.iter().max())?);
        let to = if used.recurs { to.max(from.saturating_add(RECURS)) } else { to };
        Some((self.changes(from, to), from, to.min(from.saturating_add(YEARS))))
    }
}

impl Changes {
    /// The time in UTC of a local time: of one that is repeated, the first.
    fn utc(&self, local: i64) -> i64 {
        let early = local - i64::from(self.offset(local - 86_400));
        let at = local - i64::from(self.offset(early));
        if self.offset(at) == self.offset(early) { at } else { early }
    }

    /// Times in these years with the offset then: those at which all that is the same tells zones apart.
    fn samples(&self, from: i32, to: i32) -> Vec<(i64, i32)> {
        let begin = |year: i32| {
            chrono::NaiveDate::from_ymd_opt(year, 1, 1)
                .map_or(0, |day| day.and_time(chrono::NaiveTime::MIN).and_utc().timestamp())
        };
        let (start, end) = (begin(from), begin(to.saturating_add(1)));
        let inside = self.onsets.iter().map(|(at, _)| *at).filter(|at| (start..end).contains(at));
        let mut times: Vec<i64> = inside.flat_map(|at| [at - 1, at]).collect();
        times.extend((0..).map(|week| start + week * WEEK).take_while(|at| *at < end));
        times.into_iter().map(|at| (at, self.offset(at))).collect()
    }
}

/// The zone that shows the same at all these times, if the definition covers them.
fn same_rules(changes: &Changes, samples: &[(i64, i32)], is_same: impl Fn(chrono_tz::Tz) -> bool) -> Option<String> {
    let (begin, offset) = samples.iter().min()?;
    let first = changes.onsets.first().map_or(i64::MIN, |(at, _)| *at);
    // Before its first onset a definition says nothing, unless the clock never changes.
    if first > *begin && changes.onsets.iter().any(|(_, offset)| *offset != changes.before) {
        return None;
    }
    if samples.iter().all(|(_, other)| other == offset)
        && let Some(fixed) = fixed(*offset)
    {
        return Some(fixed);
    }
    let is_place = |zone: &chrono_tz::Tz| zone.name().contains('/') && !zone.name().starts_with("Etc/");
    let best = FIRST.iter().filter_map(|name| iana(name));
    let all = chrono_tz::TZ_VARIANTS.iter().copied().filter(is_place);
    best.chain(all).find(|zone| is_same(*zone)).map(|zone| zone.name().to_owned())
}

fn letters(text: &str) -> String {
    text.chars().filter(|c| c.is_alphabetic()).flat_map(char::to_lowercase).collect()
}

/// The letters of the place that a zone is called after.
fn city(zone: &chrono_tz::Tz) -> Option<String> {
    let (region, city) = zone.name().rsplit_once('/')?;
    Some(letters(city)).filter(|city| city.len() >= 4 && region != "Etc")
}

//! INTERNALDATE (RFC 9051 section 9, `date-time`): when a message arrived.

use jiff::civil;
use jiff::tz::TimeZone;

/// When a message arrived, as the server says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InternalDate {
    /// The server's text, at most 64 bytes of it.
    pub text: String,
    /// Seconds since 1970 UTC, negative before. `None` if the text is no date that exists.
    pub seconds: Option<i64>,
}

impl InternalDate {
    /// Reads a date. Every text is taken; one that makes no sense has no `seconds`.
    pub fn parse(text: &[u8]) -> InternalDate {
        let text = String::from_utf8_lossy(&text[..text.len().min(64)]).into_owned();
        InternalDate { seconds: seconds(&text), text }
    }
}

/// A time as APPEND takes it, in UTC: ` 1-Jul-1996 02:44:25 +0000`. `None` for one that has no four digits in its year.
pub(super) fn internal_date(seconds: i64) -> Option<String> {
    let time = jiff::Timestamp::from_second(seconds).ok()?.to_zoned(TimeZone::UTC);
    (1..=9999).contains(&time.year()).then(|| time.strftime("%e-%b-%Y %H:%M:%S +0000").to_string())
}

/// `17-Jul-1996 02:44:25 -0700`. The day may have one digit, with or without a space before it, the zone a colon or a
/// name for UTC. A date without zone counts as UTC.
fn seconds(text: &str) -> Option<i64> {
    let mut words = text.split_ascii_whitespace();
    let mut date = words.next()?.split('-');
    let (day, month, year) = (digits(date.next()?, 1..=2)?, date.next()?, digits(date.next()?, 4..=4)?);
    const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let month = 1 + MONTHS.iter().position(|known| known.eq_ignore_ascii_case(month))?;
    let mut clock = words.next()?.split(':');
    let (hour, minute) = (digits(clock.next()?, 1..=2)?, digits(clock.next()?, 2..=2)?);
    let second = digits(clock.next()?, 2..=2)?;
    let zone = words.next().map_or(Some(0), zone)?;
    let is_rest = date.next().or(clock.next()).or(words.next()).is_some();
    if is_rest || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let date = civil::Date::new(year as i16, month as i8, day as i8).ok()?;
    let days = i64::from((date - civil::date(1970, 1, 1)).get_days());
    Some(days * 86_400 + hour * 3600 + minute * 60 + second - zone)
}

/// `-0800` and its like in seconds east of UTC.
fn zone(word: &str) -> Option<i64> {
    if ["UT", "UTC", "GMT", "Z"].iter().any(|known| known.eq_ignore_ascii_case(word)) {
        return Some(0);
    }
    let (sign, rest) = match word.as_bytes().first()? {
        b'+' => (1, &word[1..]),
        b'-' => (-1, &word[1..]),
        _ => return None,
    };
    let number = digits(&rest.replacen(':', "", 1), 4..=4)?;
    let (hours, minutes) = (number / 100, number % 100);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

fn digits(word: &str, length: std::ops::RangeInclusive<usize>) -> Option<i64> {
    let is_number = length.contains(&word.len()) && word.bytes().all(|b| b.is_ascii_digit());
    word.parse().ok().filter(|_| is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_they_are_read() {
        assert_eq!(internal_date(0).as_deref(), Some(" 1-Jan-1970 00:00:00 +0000"));
        for time in [-1, 0, 837_596_665, 4_102_444_800] {
            let text = internal_date(time).expect("a date");
            assert_eq!((text.len(), seconds(&text)), (26, Some(time)));
        }
        assert_eq!(internal_date(i64::MAX), None);
    }
    use proptest::prelude::*;

    #[test]
    fn dates() {
        for (text, expected) in [
            ("17-Jul-1996 02:44:25 -0700", Some(837_596_665)),
            (" 1-Jan-1970 00:00:00 +0000", Some(0)),
            ("1-jan-1970 00:00:00 +0000", Some(0)),
            ("31-Dec-1969 16:00:00 -0800", Some(0)),
            ("31-Dec-1969 23:59:59 +0000", Some(-1)),
            ("20-Jan-2038 03:14:08 +0000", Some(2_147_570_048)),
            ("01-Jan-9999 00:00:00 +0000", Some(253_370_764_800)),
            ("01-Jan-2024 00:00:00 +05:30", Some(1_704_067_200 - 19_800)),
            ("01-Jan-2024 00:00:00 GMT", Some(1_704_067_200)),
            ("01-Jan-2024 00:00:00", Some(1_704_067_200)),
            ("29-Feb-2023 00:00:00 +0000", None),
            ("00-Jan-2024 00:00:00 +0000", None),
            ("01-Foo-2024 00:00:00 +0000", None),
            ("01-Jan-24 00:00:00 +0000", None),
            ("01-Jan-2024 24:00:00 +0000", None),
            ("01-Jan-2024 00:00:00 +9999", None),
            ("01-Jan-2024 00:00:00 -ab00", None),
            ("01-Jan-2024", None),
            ("", None),
        ] {
            assert_eq!(InternalDate::parse(text.as_bytes()).seconds, expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes: Vec<u8>) {
            InternalDate::parse(&bytes);
        }

        #[test]
        fn nearly_dates_are_read(text in "[ 0-9]{1,2}-(Jan|Feb|xyz)-[0-9]{0,5} [0-9]{1,2}:[0-9]{2}:[0-9]{2} [+-]?[0-9:é]{0,6}") {
            InternalDate::parse(text.as_bytes());
        }
    }
}

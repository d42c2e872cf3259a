//! The date of a separator line.

/// The date at the end of the text behind `From `, in seconds since 1970 UTC, or `None` if there is no plausible one.
///
/// Understood are asctime(3) (`Thu Jun  1 10:25:40 2006`) with or without seconds and with a zone before or behind the
/// year (`+0000`, `EDT`, `MET DST`), the form of RFC 5322 (`Thu, 1 Jun 2006 10:25:40 +0200`) and RFC 3339. Without zone,
/// or with an unknown one, the time counts as UTC (RFC 4155). UUCP's `remote from host` may follow.
pub fn separator_date(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok().or_else(|| ascii_tail(text))?;
    let text = match text.find(" remote from ") {
        Some(uucp) => &text[..uucp],
        None => text,
    };
    // A date has nine words at most, whatever the sender before it looks like.
    let mut words = [""; 9];
    let mut count = 0;
    for word in text.split_ascii_whitespace().rev().take(words.len()) {
        count += 1;
        words[9 - count] = word;
    }
    let words = &words[9 - count..];
    (0..words.len()).find_map(|start| whole_date(&words[start..]))
}

/// What stands behind the last byte that is not ASCII.
fn ascii_tail(text: &[u8]) -> Option<&str> {
    let start = text.iter().rposition(|byte| !byte.is_ascii()).map_or(0, |last| last + 1);
    std::str::from_utf8(&text[start..]).ok()
}

/// The date that these words are, all of them.
fn whole_date(words: &[&str]) -> Option<i64> {
    if words[0].as_bytes().get(4) == Some(&b'-') {
        return rfc3339(words);
    }
    let has_weekday = is_weekday(words[0]);
    let words = if has_weekday { &words[1..] } else { words };
    match words {
        [month, day, time, rest @ ..] if has_weekday && month_number(month).is_some() => {
            let (year, zone) = year_and_zone(rest)?;
            seconds(year, month_number(month)?, number(day)?, clock(time)?, zone)
        }
        [day, month, year, time, zone @ ..] if day.starts_with(|first: char| first.is_ascii_digit()) => {
            seconds(full_year(year)?, month_number(month)?, number(day)?, clock(time)?, zone_words(zone)?)
        }
        _ => None,
    }
}

/// `2006 [zone]` or `[zone] 2006 [zone]`, where a zone has up to two words.
fn year_and_zone(words: &[&str]) -> Option<(i64, i64)> {
    let at = words.iter().position(|word| full_year(word).is_some())?;
    let (before, behind) = (&words[..at], &words[at + 1..]);
    let zone = if behind.is_empty() { zone_words(before)? } else { zone_words(before).and(zone_words(behind))? };
    Some((full_year(words[at])?, zone))
}

fn rfc3339(words: &[&str]) -> Option<i64> {
    let (day, time) = match words {
        [one] => one.split_once(['T', 't'])?,
        [day, time] => (*day, *time),
        [day, time, zone] => {
            return rfc3339_parts(day, time, zone_words(&[zone])?);
        }
        _ => return None,
    };
    let cut = time.find(['Z', 'z', '+', '-']).unwrap_or(time.len());
    let (time, zone) = time.split_at_checked(cut)?;
    let zone = if zone.is_empty() { 0 } else { zone_offset(&zone.replace(':', ""))? };
    rfc3339_parts(day, time, zone)
}

fn rfc3339_parts(day: &str, time: &str, zone: i64) -> Option<i64> {
    let mut parts = day.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if year.len() != 4 || parts.next().is_some() {
        return None;
    }
    let time = time.split_once('.').map_or(time, |(whole, _)| whole);
    seconds(full_year(year)?, number(month)?, number(day)?, clock(time)?, zone)
}

/// Seconds since 1970 of a date that exists, or nearly so (a day too many in a month is forgiven).
fn seconds(year: i64, month: i64, day: i64, clock: i64, zone: i64) -> Option<i64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Days from a civil date, with the year beginning in March (Hinnant).
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some((era * 146_097 + day_of_era - 719_468) * 86_400 + clock - zone)
}

/// `10:25:40` or `10:25` as seconds of the day.
fn clock(word: &str) -> Option<i64> {
    let mut parts = word.split(':');
    let (hour, minute) = (number(parts.next()?)?, number(parts.next()?)?);
    let second = parts.next().map_or(Some(0), number)?;
    let fits = parts.next().is_none() && hour < 24 && minute < 60 && second <= 60;
    fits.then_some(hour * 3600 + minute * 60 + second)
}

/// A year of four digits, or of two as RFC 5322 section 4.3 reads them.
fn full_year(word: &str) -> Option<i64> {
    let year = number(word)?;
    match word.len() {
        4 if year >= 1900 => Some(year),
        2 => Some(if year < 50 { 2000 + year } else { 1900 + year }),
        _ => None,
    }
}

/// One to four digits and nothing else.
fn number(word: &str) -> Option<i64> {
    let digits = (1..=4).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_digit());
    if digits { word.parse().ok() } else { None }
}

fn is_weekday(word: &str) -> bool {
    const DAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let word = word.trim_end_matches(',').to_ascii_lowercase();
    word.len() >= 3 && DAYS.iter().any(|day| *day == word || day[..3] == word)
}

fn month_number(word: &str) -> Option<i64> {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let word = word.to_ascii_lowercase();
    let at = MONTHS.iter().position(|month| *month == word || month[..3] == word)?;
    Some(at as i64 + 1)
}

/// Seconds east of UTC of a zone of up to two words (`MET DST`), zero for none.
fn zone_words(words: &[&str]) -> Option<i64> {
    match words {
        [] => Some(0),
        [zone] => zone_offset(zone),
        [zone, dst] if dst.eq_ignore_ascii_case("DST") => Some(zone_offset(zone)? + 3600),
        // RFC 5322 mail often ends in `+0200 (CEST)`.
        [zone, comment] if comment.starts_with('(') && comment.ends_with(')') => zone_offset(zone),
        _ => None,
    }
}

/// Seconds east of UTC; zero for a name that is not known, or that has several meanings.
fn zone_offset(word: &str) -> Option<i64> {
    let (sign, digits) = match word.as_bytes().first()? {
        b'+' => (1, &word[1..]),
        b'-' => (-1, &word[1..]),
        _ => {
            let named = word.len() <= 6 && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'z');
            return named.then(|| 3600 * named_zone(word));
        }
    };
    let value = number(digits)?;
    let fits = digits.len() == 4 && value / 100 <= 15 && value % 100 < 60;
    fits.then_some(sign * (value / 100 * 3600 + value % 100 * 60))
}

/// Hours east of UTC of the zones that mail of the last decades names.
fn named_zone(word: &str) -> i64 {
    match word {
        "HST" => -10,
        "AKST" => -9,
        "PST" | "AKDT" => -8,
        "MST" | "PDT" => -7,
        "CST" | "MDT" => -6,
        "EST" | "CDT" => -5,
        "EDT" | "AST" => -4,
        "ADT" => -3,
        "BST" | "MET" | "CET" | "WEST" | "WETDST" => 1,
        "MEST" | "CEST" | "METDST" | "EET" | "SAST" => 2,
        "EEST" | "MSK" => 3,
        "JST" | "KST" => 9,
        "AEST" => 10,
        "AEDT" => 11,
        "NZST" => 12,
        "NZDT" => 13,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::separator_date;
    use proptest::collection::vec;
    use proptest::prelude::*;

    #[test]
    fn dates() {
        for (text, expected) in [
            ("a@b Thu Jan  1 00:00:00 1970", Some(0)),
            ("17@xxx Mon Jan 15 10:00:00 +0000 2024", Some(1_705_312_800)),
            ("17@xxx Mon Jan 15 10:00:00 -0130 2024", Some(1_705_318_200)),
            ("a@b Mon Jan 15 10:00:00 2024 +0100", Some(1_705_309_200)),
            ("xxx8x@ares.cs.Virginia.EDU Thu Sep 13 12:30:05 2001 -0400", Some(1_000_398_605)),
            ("david@coppit.org Sat Sep  1 20:58 EDT 2001", Some(999_392_280)),
            ("goldt@et.byu.edu  Tue Jul  7 20:33:03 1998 WETDST", Some(899_839_983)),
            ("x Tue Jul  7 20:33:03 MET DST 1998", Some(899_836_383)),
            ("foo at bar.org  Mon, 15 Jan 2024 10:00:00 +0000 (UTC)", Some(1_705_312_800)),
            ("\u{e4} 15 Jan 24 10:00:00 GMT", Some(1_705_312_800)),
            ("- Mon Jan 15 10:00:00 2024", Some(1_705_312_800)),
            ("Mon Jan 15 10:00:00 2024", Some(1_705_312_800)),
            ("me Mon Jan 15 10:00:00 2024 remote from uunet", Some(1_705_312_800)),
            ("a@b 2024-01-15T10:00:00Z", Some(1_705_312_800)),
            ("a@b 2024-01-15T10:00:00.25+01:00", Some(1_705_309_200)),
            ("a@b 2024-01-15 10:00:00", Some(1_705_312_800)),
            ("a@b Sun Dec 31 23:59:60 1998", Some(915_148_800)),
            ("a@b Thu Feb 29 12:00:00 2040", Some(2_214_129_600)),
            ("a@b Tue Dec 31 23:59:59 1968", Some(-31_536_001)),
            ("", None),
            ("- ", None),
            ("here on, everything is fine", None),
            ("Mon Jan 15 10:00:00 2024 I was away", None),
            ("a@b Mon Jan 32 10:00:00 2024", None),
            ("a@b Mon Jan 15 25:00:00 2024", None),
            ("a@b Mon Jan 15 10 2024", None),
            ("May 2024", None),
        ] {
            assert_eq!(separator_date(text.as_bytes()), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn anything(bytes in any::<Vec<u8>>()) {
            separator_date(&bytes);
        }

        #[test]
        fn date_like(words in vec("[A-Za-z]{3,4}|[0-9:+-]{1,10}|Mon|Jan|2024|é", 0..12)) {
            separator_date(words.join(" ").as_bytes());
        }
    }
}

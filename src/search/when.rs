//! Days, months and years as a query names them, in the time zone of the user.

use crate::error::{Error, ErrorKind, Result};
use crate::model::zone::local;
use jiff::civil::Date;
use jiff::{Span, ToSpan};

/// A stretch of time: a day, a month, a year, or a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Days {
    /// Its first second, since 1970.
    pub(super) start: i64,
    /// The second behind its last one.
    pub(super) end: i64,
}

impl Days {
    /// Reads `2025`, `2025-06`, `2025-06-01`, `today`, `yesterday`, `3d`, `2w`, `6m` or `1y` (so long ago).
    pub(super) fn read(text: &str) -> Result<Days> {
        let zone = &local().zone;
        let from = |day: Date, length: Span| -> Option<Days> {
            let second = |day: Date| day.to_zoned(zone.clone()).ok().map(|time| time.timestamp().as_second());
            Some(Days { start: second(day)?, end: second(day.checked_add(length).ok()?)? })
        };
        let today = local().now().date();
        let lower = text.to_ascii_lowercase();
        let number = |text: &str| -> Option<i16> { text.parse().ok() };
        let found = match (lower.as_str(), lower.len()) {
            ("today", _) => from(today, 1.day()),
            ("yesterday", _) => today.checked_sub(1.day()).ok().and_then(|day| from(day, 1.day())),
            (_, 10) => lower.replace('/', "-").parse().ok().and_then(|day| from(day, 1.day())),
            (_, 7) => format!("{}-01", lower.replace('/', "-")).parse().ok().and_then(|day| from(day, 1.month())),
            (_, 4) if number(&lower).is_some() => {
                number(&lower).and_then(|year| Date::new(year, 1, 1).ok()).and_then(|day| from(day, 1.year()))
            }
            _ => ago(&lower).and_then(|length| today.checked_sub(length).ok()).and_then(|day| from(day, 1.day())),
        };
        found.ok_or_else(|| {
            Error::new(ErrorKind::Usage, format!("'{text}' is no day"))
                .hint("use a day (2025-06-01), a month (2025-06), a year (2025), today, yesterday, or a time ago: 3d, 2w, 6m, 1y")
        })
    }
}

/// `3d`, `2w`, `6m`, `1y`
fn ago(text: &str) -> Option<Span> {
    let (at, unit) = text.char_indices().last()?;
    let number: i64 = text[..at].parse().ok().filter(|number| (0..=10_000).contains(number))?;
    match unit {
        'd' => Span::new().try_days(number).ok(),
        'w' => Span::new().try_weeks(number).ok(),
        'm' => Span::new().try_months(number).ok(),
        'y' => Span::new().try_years(number).ok(),
        _ => None,
    }
}

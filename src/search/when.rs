//! Days, months and years as a query names them, in the time zone of the user.

use crate::error::{Error, ErrorKind, Result};
use crate::model::typed_time;
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
    /// Reads `2025`, `2025-06`, `3d`, `2w`, `6m` or `1y` (so long ago), and all that [`typed_time`] reads.
    pub(super) fn read(text: &str) -> Result<Days> {
        let from = |day: Date, length: Span| -> Option<Days> {
            let second = |day: Date| day.to_zoned(local().zone.clone()).ok().map(|time| time.timestamp().as_second());
            Some(Days { start: second(day)?, end: second(day.checked_add(length).ok()?)? })
        };
        let date = text.replace('/', "-");
        let first = |text: &str, behind: &str| -> Option<Date> { format!("{text}{behind}").parse().ok() };
        let is_digit = |c: char| c.is_ascii_digit();
        let found = match date.len() {
            4 if date.chars().all(is_digit) => first(&date, "-01-01").and_then(|day| from(day, 1.year())),
            7 if date.starts_with(is_digit) => first(&date, "-01").and_then(|day| from(day, 1.month())),
            _ => None,
        };
        let long_ago = || {
            let day = local().now().date().checked_sub(ago(text)?).ok()?;
            from(day, 1.day())
        };
        let typed = || typed_time::parse(&date).map(|period| Days { start: period.first, end: period.last + 1 });
        found.or_else(long_ago).or_else(typed).ok_or_else(|| {
            Error::new(ErrorKind::Usage, format!("'{text}' is no day")).hint(
                "use a day (2025-06-01), a month (2025-06), a year (2025), yesterday, or a time ago: 3d, 2w, 6m, 1y",
            )
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

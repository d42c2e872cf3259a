//! The one line of a progress display, for a screen of any width. Each field has its place: what changes is in it.

use super::table::fit_end;
use super::ui::thousands;
use std::time::Duration;
use unicode_width::UnicodeWidthStr;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Items, whose bytes are not known.
    Items,
    /// Items with their bytes.
    Sized,
    /// Bytes alone.
    Bytes,
}

/// How far a run is.
#[derive(Debug, Clone)]
pub(super) struct Position {
    /// What is done: `listing INBOX`, or of a run that counts what it counts: `Messages`.
    pub step: String,
    /// The part of the account that the items are of now.
    pub place: String,
    pub unit: Unit,
    pub done: u64,
    /// How many there will be; `None` if nobody knows.
    pub total: Option<u64>,
    pub bytes: u64,
}

impl Default for Position {
    fn default() -> Position {
        Position { step: String::new(), place: String::new(), unit: Unit::Sized, done: 0, total: None, bytes: 0 }
    }
}

impl Position {
    /// The whole percents that are done.
    pub(super) fn percent(&self) -> Option<u64> {
        let total = self.total?;
        Some((self.done.min(total) * 100).checked_div(total).unwrap_or(100))
    }

    /// The seconds that are left at this rate.
    pub(super) fn seconds_left(&self, per_second: f64) -> Option<u64> {
        let left = self.total?.saturating_sub(self.done);
        let seconds = left as f64 / per_second;
        (per_second > 0.0 && seconds.is_finite()).then_some(seconds.ceil() as u64)
    }

    /// The line, at most `width` columns wide.
    pub(super) fn line(&self, width: usize, elapsed: Duration, per_second: f64, is_stopping: bool) -> String {
        match self.total {
            Some(total) => self.counted(width, total, per_second, is_stopping),
            None => self.uncounted(width, elapsed, is_stopping),
        }
    }

    /// `listing INBOX  1,234  95 MiB  12 s`
    fn uncounted(&self, width: usize, elapsed: Duration, is_stopping: bool) -> String {
        let mut fields = vec![if is_stopping { STOPPING.to_owned() } else { self.step.clone() }];
        if self.done > 0 {
            fields.push(format!("{:>7}", thousands(self.done)));
            if self.unit == Unit::Sized {
                fields.push(format!("{:>8}", short_bytes(self.bytes)));
            }
        }
        // What takes a moment needs no clock.
        if elapsed.as_secs() >= 3 {
            fields.push(duration(elapsed.as_secs()));
        }
        fields.push(self.place.clone());
        fit_end(fields.join(GAP).trim_end(), width)
    }

    fn counted(&self, width: usize, total: u64, per_second: f64, is_stopping: bool) -> String {
        let number = if self.unit == Unit::Bytes { short_bytes } else { thousands };
        let (done, total_text) = (number(self.done), number(total));
        let number_width = if self.unit == Unit::Bytes { 8 } else { total_text.len() };
        let percent = self.percent().unwrap_or_default();
        let left = match (is_stopping, self.seconds_left(per_second)) {
            (true, _) => STOPPING.to_owned(),
            (false, Some(seconds)) => format!("{} left", short_duration(seconds)),
            (false, None) => String::new(),
        };
        let rate = match self.unit {
            Unit::Bytes => format!("{}/s", short_bytes(per_second as u64)),
            _ if per_second < 10.0 => format!("{per_second:.1}/s"),
            _ => format!("{}/s", thousands(per_second as u64)),
        };
        let counts = format!("{done:>number_width$} / {total_text}");
        let percents = format!("{percent:>3} %");
        let bytes = (self.unit == Unit::Sized).then(|| format!("{:>8}", short_bytes(self.bytes)));
        let (rate, left) = (format!("{rate:>10}"), format!("{left:<13}"));
        let all: Vec<&str> = [Some(counts.as_str()), Some(&percents), bytes.as_deref(), Some(&rate), Some(&left)]
            .into_iter()
            .flatten()
            .collect();
        let tail = all.join(GAP);
        let used = self.step.width() + GAP.len() + tail.width();
        let room = width.saturating_sub(used + GAP.len());
        if used + GAP.len() + BAR_MIN <= width {
            let bar = room.min(BAR_MAX);
            let place = match room.saturating_sub(bar + GAP.len()) {
                0..PLACE_MIN => String::new(),
                room => fit_end(&self.place, room),
            };
            let bar = bar_of(self.done as f64 / total.max(1) as f64, bar);
            return [&self.step, &bar, &tail, &place].map(String::as_str).join(GAP).trim_end().to_owned();
        }
        let brief = format!("{done:>number_width$}/{total_text} {percent:>2} % {}", left.trim_end());
        let with_name = [&self.step, &counts, &percents, &left].map(String::as_str).join(GAP);
        [with_name.trim_end(), brief.trim_end()]
            .into_iter()
            .find(|text| text.width() <= width)
            .map_or_else(|| fit_end(&format!("{percent} %"), width), str::to_owned)
    }
}

const GAP: &str = "  ";

/// In place of the time that is left, once the user wants the run to end.
const STOPPING: &str = "stopping …";

/// The columns of a bar.
const BAR_MIN: usize = 6;
const BAR_MAX: usize = 20;

/// A name in fewer columns says nothing.
const PLACE_MIN: usize = 8;

/// `██████▌   `
fn bar_of(share: f64, width: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (share.clamp(0.0, 1.0) * (width * 8) as f64) as usize;
    let bar = format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8]);
    format!("{bar}{}", " ".repeat(width.saturating_sub(bar.width())))
}

/// `95 MiB`, `9.5 MiB`: at most eight columns.
fn short_bytes(number: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if number < 1_024 {
        return format!("{number} B");
    }
    let mut size = number as f64 / 1_024.0;
    let mut unit = 0;
    while size >= 1_023.5 && unit + 1 < UNITS.len() {
        size /= 1_024.0;
        unit += 1;
    }
    if size < 9.95 { format!("{size:.1} {}", UNITS[unit]) } else { format!("{size:.0} {}", UNITS[unit]) }
}

/// `21 s`, `12 min`, `3 h 20 min`
pub(super) fn duration(seconds: u64) -> String {
    match seconds {
        0..90 => format!("{seconds} s"),
        90..5_400 => format!("{} min", seconds.div_ceil(60)),
        5_400..172_800 => format!("{} h {:02} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// `21 s`, `12 min`, `1.5 h`, `33 h`: a guess in few columns.
fn short_duration(seconds: u64) -> String {
    match seconds {
        5_400..36_000 => format!("{:.1} h", seconds as f64 / 3_600.0),
        36_000..172_800 => format!("{} h", seconds / 3_600),
        _ => duration(seconds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(done: u64) -> Position {
        Position {
            step: "Messages".to_owned(),
            place: "Lists/linux-integrity".to_owned(),
            done,
            total: Some(60_372),
            bytes: done * 9_200,
            ..Position::default()
        }
    }

    #[test]
    fn a_line_has_what_fits_the_screen() {
        let line = |width| position(10_880).line(width, Duration::from_secs(5), 2_430.4, false);
        for (width, expected) in [
            (
                120,
                "Messages  ███▌                  10,880 / 60,372   18 %    95 MiB     2,430/s  21 s left      Lists/linux-integrity",
            ),
            (80, "Messages  █▌         10,880 / 60,372   18 %    95 MiB     2,430/s  21 s left"),
            (60, "Messages  10,880 / 60,372   18 %  21 s left"),
            (40, "10,880/60,372 18 % 21 s left"),
            (20, "18 %"),
        ] {
            assert_eq!(line(width), expected, "{width}");
        }
    }

    /// However far a run is, each field stands where it stood, and no line is too long for the screen.
    #[test]
    fn fields_do_not_jump() {
        for width in [1, 10, 30, 40, 60, 80, 81, 100, 120, 200] {
            let mut columns = Vec::new();
            for (done, rate) in [(0, 0.0), (1, 0.5), (999, 12.0), (10_880, 2_430.4), (60_371, 123_456.0), (60_372, 0.1)]
            {
                let line = position(done).line(width, Duration::from_secs(5), rate, false);
                assert!(line.width() <= width, "{width}: {line}");
                let before = line.split('%').next().unwrap_or_default().width();
                columns.push(before);
                assert!(position(done).line(width, Duration::ZERO, rate, true).width() <= width);
            }
            if width > 40 {
                columns.dedup();
                assert_eq!(columns.len(), 1, "{width}: {columns:?}");
            }
        }
    }

    #[test]
    fn what_cannot_be_counted_says_how_much_there_was() {
        let mut position = Position { step: "connecting to imap.example.org".to_owned(), ..Position::default() };
        let line = |position: &Position, seconds| position.line(80, Duration::from_secs(seconds), 0.0, false);
        assert_eq!(line(&position, 1), "connecting to imap.example.org");
        assert_eq!(line(&position, 12), "connecting to imap.example.org  12 s");
        (position.done, position.bytes) = (1_234, 95 << 20);
        assert_eq!(line(&position, 12), "connecting to imap.example.org    1,234    95 MiB  12 s");
    }

    #[test]
    fn numbers_have_few_columns() {
        for (number, text) in
            [(0, "0 B"), (1_023, "1023 B"), (1_024, "1.0 KiB"), (95 << 20, "95 MiB"), (1_023 << 20, "1023 MiB")]
        {
            assert_eq!(short_bytes(number), text);
        }
        let mut number = 1_u64;
        while let Some(next) = number.checked_mul(3) {
            assert!(short_bytes(number).len() <= 8, "{}", short_bytes(number));
            number = next;
        }
        for (seconds, text) in [(0, "0 s"), (89, "89 s"), (90, "2 min"), (5_400, "1 h 30 min"), (172_800, "2 days")] {
            assert_eq!(duration(seconds), text);
        }
    }
}

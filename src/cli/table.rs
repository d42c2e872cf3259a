//! Lists in columns that fit a terminal of 80 columns, on a terminal and off it alike. A script takes `--json`, where
//! nothing is cut.

use super::ui::Ui;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// How many columns a line has.
pub(super) const WIDTH: usize = 80;

/// Stands between two columns.
const GAP: &str = "  ";

/// A column of a list.
pub(super) struct Column {
    title: &'static str,
    /// 0 = the rest of the line.
    width: usize,
    is_number: bool,
}

impl Column {
    /// Text from the left; what does not fit is cut.
    pub(super) const fn text(title: &'static str, width: usize) -> Column {
        Column { title, width, is_number: false }
    }

    /// A number, which is never cut: a long one takes its place from the rest of the line.
    pub(super) const fn number(title: &'static str, width: usize) -> Column {
        Column { title, width, is_number: true }
    }

    /// Text that takes the rest of the line; the last column.
    pub(super) const fn rest(title: &'static str) -> Column {
        Column { title, width: 0, is_number: false }
    }
}

/// A list of rows with one head.
pub(super) struct Table<'u, 'c> {
    ui: &'u Ui,
    columns: &'c [Column],
}

impl<'u, 'c> Table<'u, 'c> {
    /// A list with these columns; prints the line with their titles.
    pub(super) fn new(ui: &'u Ui, columns: &'c [Column]) -> Table<'u, 'c> {
        let table = Table { ui, columns };
        let titles: Vec<&str> = columns.iter().map(|column| column.title).collect();
        table.row(&titles);
        table
    }

    /// Prints a row: a cell for each column.
    pub(super) fn row(&self, cells: &[&str]) {
        let mut line = String::new();
        for (column, cell) in self.columns.iter().zip(cells) {
            if !line.is_empty() {
                line.push_str(GAP);
            }
            let cell = self.ui.shown(cell);
            let left = WIDTH.saturating_sub(line.width());
            let width = if column.width == 0 { left } else { column.width.min(left) };
            let padding = || " ".repeat(width.saturating_sub(cell.width()));
            if column.is_number {
                line.push_str(&padding());
                line.push_str(&cell);
            } else {
                line.push_str(&padded(&fit(&cell, width), width));
            }
        }
        self.ui.line(line.trim_end());
    }

    /// Prints a line that belongs to the row above, from the second column on; cut in front, so that a path keeps its name.
    pub(super) fn below(&self, text: &str) {
        let indent = self.columns.first().map_or(0, |column| column.width) + GAP.len();
        let text = fit_end(&self.ui.shown(text), WIDTH - indent);
        self.ui.line(&format!("{}{text}", " ".repeat(indent)));
    }
}

/// A text with spaces behind it up to `width` columns.
pub(super) fn padded(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

/// A text of at most `width` columns: what is longer is cut, and ends with an ellipsis.
pub(super) fn fit(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut cut = taken(text.chars(), width);
    while cut.width() >= width && cut.pop().is_some() {}
    cut.truncate(cut.trim_end().len());
    cut.push('…');
    cut
}

/// A text of at most `width` columns: what is longer is cut, and begins with an ellipsis.
pub(super) fn fit_end(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut cut: String = taken(text.chars().rev(), width).chars().rev().collect();
    while cut.width() >= width && !cut.is_empty() {
        cut.remove(0);
    }
    format!("…{cut}")
}

/// Characters of about `width` columns. Their number is bounded, too: some have no width.
fn taken(text: impl Iterator<Item = char>, width: usize) -> String {
    let mut used = 0;
    let fits = |c: &char| {
        used += c.width().unwrap_or(0);
        used <= width
    };
    text.take(8 * width).take_while(fits).collect()
}

/// What begins the second and further lines of a text that is too long for one.
const INDENT: &str = "    ";

/// Prints lines of a report, each in as many lines of the screen as it needs.
pub(super) fn report(ui: &Ui, text: &str) {
    for line in text.lines() {
        folded(&ui.shown(line)).iter().for_each(|line| ui.line(line));
    }
}

/// A line in pieces that fit the screen. `+ skipped 2 (…)` and what ends with `;` stay together where they can.
fn folded(line: &str) -> Vec<String> {
    let mut terms: Vec<String> = Vec::new();
    for word in line.split(' ') {
        match terms.last_mut() {
            Some(term) if word != "+" && !term.ends_with(';') => {
                term.push(' ');
                term.push_str(word);
            }
            _ => terms.push(word.to_owned()),
        }
    }
    let mut lines: Vec<String> = Vec::new();
    for term in &terms {
        let is_long = INDENT.len() + term.width() > WIDTH;
        let pieces = if is_long { term.split(' ').collect() } else { vec![term.as_str()] };
        for (at, piece) in pieces.into_iter().enumerate() {
            match lines.last_mut() {
                // A term that needs several lines begins on one of its own.
                Some(line) if line.width() + 1 + piece.width() <= WIDTH && !(is_long && at == 0) => {
                    line.push(' ');
                    line.push_str(piece);
                }
                Some(_) => lines.push(format!("{INDENT}{}", fit(piece, WIDTH - INDENT.len()))),
                None => lines.push(fit(piece, WIDTH)),
            }
        }
    }
    lines
}

/// Words in lines of at most `width` columns; a word that is longer is cut.
pub(super) fn wrapped(words: &[String], separator: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let word = if at + 1 < words.len() { format!("{word}{separator}") } else { word.clone() };
        match lines.last_mut() {
            Some(line) if line.width() + 1 + word.width() <= width => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(fit(&word, width)),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_by_the_columns_that_it_takes() {
        for (text, width, cut) in [
            ("abc", 3, "abc"),
            ("abcd", 3, "ab…"),
            ("ab cd", 4, "ab…"),
            ("漢字漢字", 8, "漢字漢字"),
            ("漢字漢字", 7, "漢字漢…"),
            ("漢字漢字", 6, "漢字…"),
            ("e\u{301}e\u{301}e\u{301}", 2, "e\u{301}…"),
            ("", 0, ""),
        ] {
            assert_eq!(fit(text, width), cut, "{text} {width}");
            assert!(fit(text, width).width() <= width);
        }
        assert_eq!(fit_end("mail/INBOX/cur/1", 7), "…/cur/1");
        assert_eq!(fit_end("漢字漢字", 7), "…字漢字");
        assert_eq!(fit_end("漢字漢字", 6), "…漢字");
        let marks = "\u{301}".repeat(100_000);
        assert!(fit(&format!("{marks}abcdef"), 3).chars().count() <= 25);
    }

    #[test]
    fn lines_that_are_too_long_are_folded_between_terms() {
        let line = "email: found 60372 = stored 12288 (new 12288, changed 0, unchanged 0)";
        assert_eq!(folded(line), [line]);
        let long = format!("{line} + duplicate 7 + skipped 2 (deleted flag 2); removed 1 (kept in the history)");
        // 69 columns and 14 more are too many.
        assert_eq!(
            folded(&long),
            [line, "    + duplicate 7 + skipped 2 (deleted flag 2); removed 1 (kept in the history)"]
        );
        let reasons = format!("{line} + failed 9 ({})", vec!["cannot be read, 3"; 30].join(", "));
        let lines = folded(&format!("{reasons} {}", "x".repeat(200)));
        assert!(lines.len() > 5 && lines.iter().all(|line| line.width() <= WIDTH), "{lines:?}");
    }

    #[test]
    fn words_are_put_into_lines() {
        let words = ["email +1", "mailbox +2", "calendar +3"].map(str::to_owned);
        assert_eq!(wrapped(&words, ",", 20), ["email +1,", "mailbox +2,", "calendar +3"]);
        assert_eq!(wrapped(&words, ",", 21), ["email +1, mailbox +2,", "calendar +3"]);
        assert!(wrapped(&[], ",", 20).is_empty());
    }
}

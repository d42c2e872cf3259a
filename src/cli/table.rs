//! Lists in columns that fit the screen: 80 columns off a terminal, from 40 to as many as there are on one. The widths
//! follow what the first rows hold. Where there is no room, columns get narrower, then those of the least weight go. A
//! script takes `--json`, where nothing is cut.

use super::screen::Style;
use super::ui::Ui;
use super::when;
use std::cell::RefCell;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Stands between two columns.
const GAP: &str = "  ";

/// The widths of the columns are made for this many rows; longer lists go on with them.
const LOOKAHEAD: usize = 200;

/// The fewest columns that a text is cut to.
const NARROW: usize = 8;

/// What is kept of a cell that does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// The beginning.
    End,
    /// The end: of a path, its name.
    Front,
    /// All of it, as long as the screen is wide enough: a number, a name to be typed.
    Never,
    /// This much, which says something without the rest: the day of a time.
    To(usize),
}

/// A column of a list.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    title: &'static str,
    /// It is not made narrower than this.
    min: usize,
    /// It is not made wider than this.
    max: usize,
    /// Columns with a rank go where there is no room, the highest one first. 0 stays.
    rank: u8,
    cut: Cut,
    is_number: bool,
    /// Its title names the zone.
    is_time: bool,
    /// It is left out if no cell has a text.
    is_optional: bool,
}

/// The columns of a day, `22 Nov 2026`.
const DAY: usize = 11;

impl Column {
    /// Text from the left, of at most `width` columns; what does not fit is cut at its end.
    pub(super) const fn text(title: &'static str, width: usize) -> Column {
        let min = if width < NARROW { width } else { NARROW };
        Column {
            title,
            min,
            max: width,
            rank: 0,
            cut: Cut::End,
            is_number: false,
            is_time: false,
            is_optional: title.is_empty(),
        }
    }

    /// A number on the right, which is never cut; `width` is what it takes at least.
    pub(super) const fn number(title: &'static str, width: usize) -> Column {
        Column {
            title,
            min: width,
            max: usize::MAX,
            rank: 0,
            cut: Cut::Never,
            is_number: true,
            is_time: false,
            is_optional: title.is_empty(),
        }
    }

    /// A time of [`when::time`]; its day alone on a narrow screen. The title names the zone where there is room.
    pub(super) const fn time(title: &'static str) -> Column {
        Column { cut: Cut::To(DAY), is_time: true, ..Column::text(title, usize::MAX) }
    }

    /// Text that takes what the other columns leave.
    pub(super) const fn rest(title: &'static str) -> Column {
        Column::text(title, usize::MAX)
    }

    /// The same, not narrower than this while another column can go.
    pub(super) const fn at_least(self, min: usize) -> Column {
        Column { min, ..self }
    }

    /// The same, left out on a narrow screen: the highest rank first.
    pub(super) const fn rank(self, rank: u8) -> Column {
        Column { rank, ..self }
    }

    /// The same, cut in front, so that a path keeps its name.
    pub(super) const fn keeping_end(self) -> Column {
        Column { cut: Cut::Front, ..self }
    }

    /// The same, whole even where other columns have to go for it.
    pub(super) const fn whole(self) -> Column {
        Column { cut: Cut::Never, ..self }
    }

    /// The title over a column of this width.
    fn title(&self, width: usize) -> String {
        let with_zone = self.is_time.then(|| when::head(self.title, width)).filter(|title| title.width() <= width);
        with_zone.unwrap_or_else(|| self.title.to_owned())
    }

    /// The same, left out where no row has a text for it.
    pub(super) const fn unless_empty(self) -> Column {
        Column { is_optional: true, ..self }
    }

    /// How narrow it may get if its cells are this wide.
    fn least(&self, wanted: usize) -> usize {
        match self.cut {
            Cut::Never => wanted,
            Cut::To(short) => wanted.min(short.max(self.title.width())),
            Cut::End | Cut::Front => wanted.min(self.min.max(self.title.width())),
        }
    }

    /// The cell in this many columns at most.
    fn cut(&self, cell: &str, width: usize) -> String {
        match self.cut {
            Cut::To(short) if cell.width() > width => fit(&taken(cell.chars(), short), width).trim_end().to_owned(),
            Cut::Front => fit_end(cell, width),
            _ => fit(cell, width),
        }
    }
}

/// A cell of a row.
#[derive(Debug, Clone, Default)]
pub(super) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// A text with a colour.
    pub(super) fn new(text: impl Into<String>, style: Style) -> Cell {
        Cell { text: text.into(), style }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Cell {
        Cell::new(text, Style::Plain)
    }
}

/// A row that waits for the widths of the columns, or a line below one.
enum Row {
    Cells(Vec<Cell>),
    Below(String),
}

/// What a table knows.
enum State {
    /// Rows are collected.
    Waiting(Vec<Row>),
    /// The head is printed; the width of each column that is shown.
    Printing(Vec<Option<usize>>),
}

/// A list of rows with one head, which is printed with the first rows, at the latest when the list is dropped.
pub(super) struct Table<'u, 'c> {
    ui: &'u Ui,
    columns: &'c [Column],
    state: RefCell<State>,
}

impl<'u, 'c> Table<'u, 'c> {
    /// A list with these columns.
    pub(super) fn new(ui: &'u Ui, columns: &'c [Column]) -> Table<'u, 'c> {
        Table { ui, columns, state: RefCell::new(State::Waiting(Vec::new())) }
    }

    /// Adds a row: a text for each column.
    pub(super) fn row(&self, cells: &[&str]) {
        self.cells(cells.iter().map(|cell| Cell::from(*cell)).collect());
    }

    /// Adds a row of cells with colours.
    pub(super) fn cells(&self, cells: Vec<Cell>) {
        let shown = |cell: Cell| Cell { text: self.bounded(&cell.text), ..cell };
        self.add(Row::Cells(cells.into_iter().map(shown).collect()));
    }

    /// Adds a line that belongs to the row above, from the second column on; on a terminal cut in front, so that a path
    /// keeps its name.
    pub(super) fn below(&self, text: &str) {
        self.add(Row::Below(self.ui.shown(text)));
    }

    /// Prints what waits. Lines that come behind the list are printed after this.
    pub(super) fn end(self) {}

    /// A text as it is shown. No more of it waits than fits the screen.
    fn bounded(&self, text: &str) -> String {
        let text = self.ui.shown(text);
        if text.len() > 8 * self.ui.width() { taken(text.chars(), 2 * self.ui.width()) } else { text }
    }

    fn add(&self, row: Row) {
        let mut state = self.state.borrow_mut();
        match &mut *state {
            State::Printing(widths) => self.print(widths, &row),
            State::Waiting(rows) => {
                rows.push(row);
                if rows.len() >= LOOKAHEAD {
                    self.begin(&mut state);
                }
            }
        }
    }

    /// Prints the head and all rows that wait.
    fn begin(&self, state: &mut State) {
        let State::Waiting(rows) = state else { return };
        if rows.is_empty() {
            return;
        }
        let mut wanted = vec![0; self.columns.len()];
        for row in rows.iter() {
            if let Row::Cells(cells) = row {
                wanted.iter_mut().zip(cells).for_each(|(wanted, cell)| *wanted = cell.text.width().max(*wanted));
            }
        }
        for (column, wanted) in
            self.columns.iter().zip(&mut wanted).filter(|(column, wanted)| !column.is_optional || **wanted > 0)
        {
            *wanted = (*wanted).max(column.title.width()).max(if column.is_number { column.min } else { 0 });
        }
        let widths = widths(self.columns, &wanted, self.ui.width());
        let titles = self.columns.iter().zip(&widths);
        let titles = titles.map(|(column, width)| Cell::new(column.title(width.unwrap_or(0)), Style::Head));
        self.print(&widths, &Row::Cells(titles.collect()));
        rows.iter().for_each(|row| self.print(&widths, row));
        *state = State::Printing(widths);
    }

    fn print(&self, widths: &[Option<usize>], row: &Row) {
        match row {
            Row::Cells(cells) => self.print_cells(widths, cells),
            Row::Below(text) => {
                let indent = widths.iter().flatten().next().copied().unwrap_or(0) + GAP.len();
                let room = self.ui.width().saturating_sub(indent);
                let text = if self.ui.is_bounded() { fit_end(text, room) } else { text.clone() };
                self.ui.spans(&[(Style::Plain, " ".repeat(indent)), (Style::Faint, text)]);
            }
        }
    }

    fn print_cells(&self, widths: &[Option<usize>], cells: &[Cell]) {
        let shown =
            || self.columns.iter().zip(widths).zip(cells).filter_map(|((c, width), cell)| Some((c, (*width)?, cell)));
        let last = shown().count();
        let (mut spans, mut used, mut planned) = (Vec::new(), 0, 0);
        for (at, (column, width, cell)) in shown().enumerate() {
            let gap = if at > 0 { GAP.len() } else { 0 };
            planned += gap + width;
            // A number that is wider than all before it takes its place from the columns behind it.
            let room = planned.saturating_sub(used + gap).min(self.ui.width().saturating_sub(used + gap));
            let text = match column.cut {
                Cut::Never if !self.ui.is_bounded() => cell.text.clone(),
                Cut::Never => fit_end(&cell.text, self.ui.width().saturating_sub(used + gap)),
                _ => column.cut(&cell.text, room),
            };
            let padding = " ".repeat(room.saturating_sub(text.width()));
            used += gap + text.width() + padding.len();
            spans.push((Style::Plain, " ".repeat(gap)));
            if column.is_number {
                spans.push((Style::Plain, padding));
                spans.push((cell.style, text));
            } else {
                spans.push((cell.style, text));
                spans.push((Style::Plain, if at + 1 < last { padding } else { String::new() }));
            }
        }
        while spans.last().is_some_and(|(_, text)| text.trim_end().is_empty()) {
            spans.pop();
        }
        self.ui.spans(&spans);
    }
}

impl Drop for Table<'_, '_> {
    fn drop(&mut self) {
        self.begin(&mut self.state.borrow_mut());
    }
}

/// The width of each column on a screen of this width; `None` for one that is left out. A column without a title and
/// without a text in any row is left out.
fn widths(columns: &[Column], wanted: &[usize], screen: usize) -> Vec<Option<usize>> {
    let wanted: Vec<usize> = columns.iter().zip(wanted).map(|(column, wanted)| (*wanted).min(column.max)).collect();
    let mut widths: Vec<Option<usize>> =
        columns.iter().zip(&wanted).map(|(column, wanted)| (*wanted > 0).then(|| column.least(*wanted))).collect();
    let total = |widths: &[Option<usize>]| {
        let shown = widths.iter().flatten().count();
        widths.iter().flatten().sum::<usize>() + GAP.len() * shown.saturating_sub(1)
    };
    while total(&widths) > screen {
        let shown = (0..columns.len()).filter(|at| widths[*at].is_some());
        let Some(at) = shown.filter(|at| columns[*at].rank > 0).max_by_key(|at| columns[*at].rank) else { break };
        widths[at] = None;
    }
    // Nothing more can go: the widest one gives.
    while total(&widths) > screen {
        let Some(widest) = widths.iter_mut().flatten().max().filter(|width| **width > 1) else { break };
        *widest -= 1;
    }
    let mut spare = screen.saturating_sub(total(&widths));
    // A time is whole or short.
    for (at, column) in columns.iter().enumerate() {
        let (Cut::To(_), Some(width)) = (column.cut, widths[at]) else { continue };
        let (more, others) = (wanted[at] - width, (0..columns.len()).filter(|other| *other != at));
        let others_want: usize =
            others.filter_map(|other| Some(wanted[other] - widths[other]?.min(wanted[other]))).sum();
        // Others come first, but for what takes any room that there is.
        if more <= spare && (others_want + more <= spare || screen >= ROOMY) {
            widths[at] = Some(wanted[at]);
            spare -= more;
        }
    }
    while spare > 0 {
        let grows = |at: &usize| {
            !matches!(columns[*at].cut, Cut::To(_)) && widths[*at].is_some_and(|width| width < wanted[*at])
        };
        let share = |at: &usize| widths[*at].map_or(0, |width| width * 1_000 / wanted[*at].min(screen).max(1));
        let Some(at) = (0..columns.len()).filter(grows).min_by_key(share) else { break };
        widths[at] = widths[at].map(|width| width + 1);
        spare -= 1;
    }
    widths
}

/// From this width on, times are whole though a text could use the room.
const ROOMY: usize = 100;

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
        folded(&ui.shown(line), ui.width()).iter().for_each(|line| ui.line(line));
    }
}

/// A line in pieces that fit the screen. `+ skipped 2 (…)` and what ends with `;` stay together where they can.
fn folded(line: &str, width: usize) -> Vec<String> {
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
        let is_long = INDENT.len() + term.width() > width;
        let pieces = if is_long { term.split(' ').collect() } else { vec![term.as_str()] };
        for (at, piece) in pieces.into_iter().enumerate() {
            match lines.last_mut() {
                // A term that needs several lines begins on one of its own.
                Some(line) if line.width() + 1 + piece.width() <= width && !(is_long && at == 0) => {
                    line.push(' ');
                    line.push_str(piece);
                }
                Some(_) => lines.push(format!("{INDENT}{}", fit(piece, width - INDENT.len()))),
                None => lines.push(fit(piece, width)),
            }
        }
    }
    lines
}

/// A text in lines of at most `width` columns, between words; a word that is longer is broken, so that nothing is lost.
pub(super) fn folded_at(text: &str, width: usize) -> Vec<String> {
    let width = width.max(NARROW);
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let mut rest = word;
        while let Some(line) = lines.last_mut() {
            let gap = usize::from(!line.is_empty());
            if line.width() + gap + rest.width() <= width {
                line.push_str(&" ".repeat(gap));
                line.push_str(rest);
                break;
            }
            if line.is_empty() {
                let piece = taken(rest.chars(), width);
                // A letter with more marks than fit.
                let end = if piece.is_empty() { rest.chars().next().map_or(0, char::len_utf8) } else { piece.len() };
                line.push_str(&rest[..end]);
                rest = &rest[end..];
            }
            lines.push(String::new());
        }
    }
    lines.retain(|line| !line.is_empty());
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

    const WIDTH: usize = 80;

    const MAIL: [Column; 7] = [
        Column::text("ID", 8).whole(),
        Column::time("DATE").rank(3),
        Column::text("FROM", 24).at_least(10).rank(4),
        Column::rest("SUBJECT").at_least(16),
        Column::text("FOLDER", 20).rank(6),
        Column::number("SIZE", 4).rank(5),
        Column::text("", 20).rank(7),
    ];

    #[test]
    fn columns_fit_every_screen_and_the_least_important_ones_go_first() {
        let wanted = [4, 17, 30, 70, 12, 6, 0];
        for screen in 20..400 {
            let widths = widths(&MAIL, &wanted, screen);
            let shown: Vec<usize> = widths.iter().flatten().copied().collect();
            let total = shown.iter().sum::<usize>() + GAP.len() * (shown.len() - 1);
            assert!(total <= screen, "{screen}: {widths:?}");
            // Whatever there is room for is used.
            assert!(
                total == screen
                    || widths.iter().zip(&MAIL).zip(wanted).all(|((width, column), wanted)| {
                        width.is_none_or(|width| width == wanted.min(column.max) || matches!(column.cut, Cut::To(_)))
                    }),
                "{screen}: {widths:?}"
            );
            assert!(widths[0] == Some(4) && widths[6].is_none() && widths[3].is_some());
            for (at, column) in MAIL.iter().enumerate().filter(|(at, column)| widths[*at].is_none() && column.rank > 0)
            {
                let less =
                    MAIL.iter().zip(&widths).zip(wanted).filter(|((c, _), wanted)| c.rank > column.rank && *wanted > 0);
                assert!(
                    less.clone().all(|((_, width), _)| width.is_none()),
                    "{screen}: {at} before others: {widths:?}"
                );
            }
        }
        assert_eq!(widths(&MAIL, &wanted, 40), [Some(4), Some(11), None, Some(21), None, None, None]);
        assert_eq!(widths(&MAIL, &wanted, 400), [Some(4), Some(17), Some(24), Some(70), Some(12), Some(6), None]);
    }

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
        assert_eq!(folded(line, WIDTH), [line]);
        let long = format!("{line} + duplicate 7 + skipped 2 (deleted flag 2); removed 1 (kept in the history)");
        // 69 columns and 14 more are too many.
        assert_eq!(
            folded(&long, WIDTH),
            [line, "    + duplicate 7 + skipped 2 (deleted flag 2); removed 1 (kept in the history)"]
        );
        let reasons = format!("{line} + failed 9 ({})", vec!["cannot be read, 3"; 30].join(", "));
        let lines = folded(&format!("{reasons} {}", "x".repeat(200)), WIDTH);
        assert!(lines.len() > 5 && lines.iter().all(|line| line.width() <= WIDTH), "{lines:?}");
    }

    #[test]
    fn folding_loses_nothing() {
        for text in [
            "",
            "a",
            "Mail of 漢字漢字漢字漢字漢字 and aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa b",
            &"e\u{301}".repeat(90),
        ] {
            for width in 8..40 {
                let lines = folded_at(text, width);
                assert!(lines.iter().all(|line| line.width() <= width), "{width}: {lines:?}");
                assert_eq!(lines.concat().replace(' ', ""), text.replace(' ', ""));
            }
        }
    }

    #[test]
    fn words_are_put_into_lines() {
        let words = ["email +1", "mailbox +2", "calendar +3"].map(str::to_owned);
        assert_eq!(wrapped(&words, ",", 20), ["email +1,", "mailbox +2,", "calendar +3"]);
        assert_eq!(wrapped(&words, ",", 21), ["email +1, mailbox +2,", "calendar +3"]);
        assert!(wrapped(&[], ",", 20).is_empty());
    }
}

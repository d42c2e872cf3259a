//! The screen that results go to: how wide it is, which colours it takes.

use clap::builder::styling::{AnsiColor, Effects, Style as Ansi};
use clap::{ColorChoice, ValueEnum};
use rustix::termios::tcgetwinsize;
use std::ffi::OsString;
use std::io::IsTerminal;

/// How many columns a line has where nothing says otherwise.
const WIDTH: usize = 80;

/// The fewest and the most columns that a line is made for.
const WIDTHS: std::ops::RangeInclusive<usize> = 20..=1_000;

/// When output has colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum ColorWhen {
    /// On a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    /// Into a file or a pipe, too
    Always,
    /// Nowhere
    Never,
}

impl ColorWhen {
    /// What is typed, for messages about what cannot be understood.
    pub(super) fn typed(arguments: &[OsString]) -> ColorWhen {
        let words = arguments.iter().map(|word| word.to_str().unwrap_or_default()).take_while(|word| *word != "--");
        let mut words = words.peekable();
        while let Some(word) = words.next() {
            let value = match word.split_once('=') {
                Some(("--color", value)) => Some(value),
                None if word == "--color" => words.peek().copied(),
                _ => None,
            };
            if let Some(when) = value.and_then(|value| ColorWhen::from_str(value, false).ok()) {
                return when;
            }
        }
        ColorWhen::Auto
    }

    /// The same for clap, whose rule for `auto` is ours.
    pub(super) fn of_clap(self) -> ColorChoice {
        match self {
            ColorWhen::Auto => ColorChoice::Auto,
            ColorWhen::Always => ColorChoice::Always,
            ColorWhen::Never => ColorChoice::Never,
        }
    }
}

/// What a piece of text is, as far as colours tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Style {
    #[default]
    Plain,
    Head,
    Id,
    Added,
    Changed,
    Removed,
    Faint,
    Error,
    Warning,
    Hint,
}

impl Style {
    fn ansi(self) -> Ansi {
        let color = |color: AnsiColor| Ansi::new().fg_color(Some(color.into()));
        match self {
            Style::Plain => Ansi::new(),
            Style::Head => Ansi::new().effects(Effects::BOLD),
            Style::Added => color(AnsiColor::Green),
            Style::Id | Style::Changed | Style::Warning => color(AnsiColor::Yellow),
            Style::Removed => color(AnsiColor::Red),
            Style::Faint => Ansi::new().effects(Effects::DIMMED),
            Style::Error => color(AnsiColor::Red).effects(Effects::BOLD),
            Style::Hint => color(AnsiColor::Cyan),
        }
    }

    /// The text in its colour. It must be safe for a terminal already.
    pub(super) fn paint(self, text: &str) -> String {
        let ansi = self.ansi();
        if text.is_empty() { String::new() } else { format!("{ansi}{text}{ansi:#}") }
    }
}

/// What is known of the place that results go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Screen {
    /// How many columns a line has.
    pub(super) width: usize,
    /// A longer line would be folded: there is a terminal, or the user named a width.
    pub(super) is_bounded: bool,
    /// Results have colours.
    pub(super) color_out: bool,
    /// Notes have colours.
    pub(super) color_err: bool,
}

impl Screen {
    /// Looks at the environment and at the terminal, if there is one.
    pub(super) fn new(when: ColorWhen) -> Screen {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let color = |is_terminal: bool| has_color(when, is_terminal, &set);
        Screen {
            width: width(set("COLUMNS").as_deref()),
            is_bounded: set("COLUMNS").is_some() || std::io::stdout().is_terminal(),
            color_out: color(std::io::stdout().is_terminal()),
            color_err: color(std::io::stderr().is_terminal()),
        }
    }
}

/// The columns of a line: what `COLUMNS` says, what the terminal has, or 80.
fn width(columns: Option<&str>) -> usize {
    let said = columns.and_then(|columns| columns.trim().parse().ok());
    let of_terminal = || tcgetwinsize(std::io::stdout()).ok().map(|size| usize::from(size.ws_col));
    let known = said.filter(|columns| *columns > 0).or_else(|| of_terminal().filter(|columns| *columns > 0));
    known.unwrap_or(WIDTH).clamp(*WIDTHS.start(), *WIDTHS.end())
}

/// True if output has colours (no-color.org, bixense.com/clicolors).
fn has_color(when: ColorWhen, is_terminal: bool, set: &impl Fn(&str) -> Option<String>) -> bool {
    match when {
        ColorWhen::Always => true,
        ColorWhen::Never => false,
        ColorWhen::Auto if set("NO_COLOR").is_some() => false,
        ColorWhen::Auto if set("CLICOLOR_FORCE").is_some_and(|value| value != "0") => true,
        ColorWhen::Auto => {
            let is_dumb = set("TERM").is_none_or(|terminal| terminal == "dumb");
            is_terminal && !is_dumb && set("CLICOLOR").is_none_or(|value| value != "0")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_follow_the_flag_then_the_environment_then_the_terminal() {
        let of = |when, is_terminal, environment: &[(&str, &str)]| {
            let set = |name: &str| environment.iter().find(|(known, _)| *known == name).map(|(_, v)| (*v).to_owned());
            has_color(when, is_terminal, &set)
        };
        let term = ("TERM", "xterm");
        assert!(of(ColorWhen::Auto, true, &[term]) && !of(ColorWhen::Auto, false, &[term]));
        assert!(!of(ColorWhen::Auto, true, &[]) && !of(ColorWhen::Auto, true, &[("TERM", "dumb")]));
        assert!(!of(ColorWhen::Auto, true, &[term, ("NO_COLOR", "1")]));
        assert!(!of(ColorWhen::Auto, true, &[term, ("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")]));
        assert!(of(ColorWhen::Auto, false, &[("CLICOLOR_FORCE", "1")]));
        assert!(!of(ColorWhen::Auto, true, &[term, ("CLICOLOR", "0")]));
        assert!(of(ColorWhen::Always, false, &[("NO_COLOR", "1")]) && !of(ColorWhen::Never, true, &[term]));
    }

    #[test]
    fn the_flag_is_known_before_the_rest_is_understood() {
        let of = |line: &str| ColorWhen::typed(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert_eq!((of("v --color=never x"), of("v ls --color always")), (ColorWhen::Never, ColorWhen::Always));
        assert_eq!((of("v ls -- --color=never"), of("v --color"), of("v --color=x")), Default::default());
    }

    #[test]
    fn the_width_is_bounded() {
        assert_eq!((width(Some("40")), width(Some("1")), width(Some("99999999"))), (40, 20, 1_000));
        assert!(
            WIDTHS.contains(&width(Some("x"))) && WIDTHS.contains(&width(Some("0"))) && WIDTHS.contains(&width(None))
        );
    }
}

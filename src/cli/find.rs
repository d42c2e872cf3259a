//! `vandelay find`: one search over everything that archives ever held.

use super::args::number;
use super::found::{Shower, Shown};
use super::object_row::COLUMNS;
use super::opened::open_archive;
use super::table::Table;
use super::ui::{Ui, counted, interrupt_flag, quoted, thousands};
use crate::archive::{Moment, Reader, SnapshotSpec, is_archive};
use crate::error::{Error, ErrorKind, Result};
use crate::search::{Found, Gaps, Index, Parsed, Place, ask_again_if_damaged, catch_up, count, find};
use clap::{Args, ValueEnum};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// So many objects are shown unless the user says otherwise.
const LIMIT: usize = 100;

/// So many objects are looked up before they are shown.
const PART: usize = 16_384;

const EXPLANATION: &str = "\
Words are found as you read them: decoded, whatever their case and accents. All words must be
there; a* finds what begins with a.
  \"white rabbit\"            words in a row           from: to: subject: body:   in this field
  attachment:get_wr_time    the name of a file       has:attachment             any file
  folder:Projects/usrp      is or was in the folder  type:event                 mail, event, contact, file, script
  before:2025-06 after:3w   days, months, years      date:2025-05..2025-07      from the first to the last
  larger:2M smaller:10K     its size                 is:deleted                 read, unread, flagged, answered, draft
  id:m943                   an id, or a Message-ID   -word OR NOT ( )           as usual

The ID of a line restores the object:
  vandelay find alice.sqlite from:naughton rabbit
  vandelay cat alice.sqlite m4431 > lost.eml
  vandelay extract alice.sqlite --message m4431 --into ~/Maildir/cur

The first search makes an index beside the archive (alice.sqlite.search), and each import keeps
it. It can be deleted at any time.";

#[derive(Args)]
#[command(after_help = EXPLANATION)]
pub(crate) struct Find {
    /// One archive or several, then what to find
    #[arg(required = true, value_name = "ARCHIVE... WORDS", num_args = 1..)]
    words: Vec<OsString>,
    /// Only what is not there any more
    #[arg(long)]
    deleted: bool,
    /// Only what this snapshot shows: its number, a day, a time, or 'latest'
    #[arg(long, value_name = "SNAPSHOT", value_parser = super::args::parse_at)]
    at: Option<SnapshotSpec>,
    /// The order of the list; what comes last is nearest to the prompt
    #[arg(long, value_enum, default_value = "date", value_name = "ORDER")]
    sort: Sort,
    /// Turn the order around
    #[arg(long)]
    reverse: bool,
    /// Show at most this many, those at the end of the order; 0 shows all. 100 unless --json or --paths is there
    #[arg(long, value_name = "N", value_parser = number::<usize>(0..=u64::MAX))]
    limit: Option<usize>,
    /// Print how many there are
    #[arg(long, conflicts_with = "paths")]
    count: bool,
    /// Print the path of each in the tree, and its snapshot, as arguments for cat and extract
    #[arg(long)]
    paths: bool,
    /// Read everything instead of making and keeping an index
    #[arg(long)]
    no_index: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Sort {
    Date,
    Size,
    From,
    Subject,
    Folder,
}

/// An archive that is searched.
struct Searched {
    reader: Arc<Reader>,
    path: PathBuf,
    found: Vec<Found>,
    /// How many there are, also where none is needed but that.
    total: usize,
    /// The snapshot that was asked for.
    at: Option<i64>,
}

impl Find {
    /// True if it lists what it finds for people.
    pub(crate) fn is_list(&self) -> bool {
        !self.count && !self.paths
    }

    pub(crate) fn run(self, ui: &Ui) -> Result<()> {
        let (archives, words) = self.split()?;
        let mut query = words.join(" ");
        if self.deleted {
            query = if words.is_empty() { "is:deleted".to_owned() } else { format!("({query}) is:deleted") };
        }
        if query.is_empty() {
            return Err(Error::new(ErrorKind::Usage, "say what to find")
                .hint("e.g. vandelay find alice.sqlite from:naughton rabbit; 'vandelay find --help' lists all terms"));
        }
        let parsed = Parsed::read(&query)?;
        let mut searched = Vec::new();
        let (is_one, mut unknown) = (archives.len() == 1, Vec::new());
        for path in archives {
            match self.search(path, &parsed, ui) {
                // Of several archives one may have the folder.
                Err(error) if !is_one && error.kind == ErrorKind::NotFound => unknown.push(error),
                found => searched.push(found?),
            }
        }
        if searched.is_empty()
            && let Some(error) = unknown.pop()
        {
            return Err(error);
        }
        let total: usize = searched.iter().map(|one| one.total).sum();
        if self.count {
            match ui.json {
                true => self.close(&searched, total, 0, &query, ui),
                false => ui.line(&total.to_string()),
            }
            return Ok(());
        }
        self.show(&searched, total, &query, ui)
    }

    /// The archives, and the words behind them.
    fn split(&self) -> Result<(Vec<PathBuf>, Vec<String>)> {
        let is_file = |word: &OsString| Path::new(word).is_file() && is_archive(Path::new(word));
        let archives = self.words.iter().take_while(|word| is_file(word)).count().max(1);
        if let (Some(first), Some(archive)) = (self.words.first(), self.words.iter().skip(1).find(|word| is_file(word)))
            && !is_file(first)
        {
            let what = format!("{} is no archive, and the archive comes first", Path::new(first).display());
            return Err(Error::new(ErrorKind::Usage, what).hint(format!(
                "vandelay find {} {}",
                quoted(&archive.to_string_lossy()),
                quoted(&first.to_string_lossy())
            )));
        }
        let words = self.words[archives..].iter().map(|word| {
            word.to_str().map(str::to_owned).ok_or_else(|| {
                Error::new(ErrorKind::Usage, format!("{word:?} is not UTF-8; all words of a search are"))
            })
        });
        Ok((self.words[..archives].iter().map(PathBuf::from).collect(), words.collect::<Result<_>>()?))
    }

    fn search(&self, path: PathBuf, parsed: &Parsed, ui: &Ui) -> Result<Searched> {
        let reader = Arc::new(open_archive(&path, ui)?);
        let at = match self.at.map(|at| reader.resolve(at)).transpose()? {
            Some(Moment::Snapshot(at)) => Some(at),
            _ => None,
        };
        let kept = if self.no_index { Place::Temporary } else { Place::Kept };
        let (found, total) = match self.answer(&reader, &kept, (parsed, at), ui) {
            // An index that cannot be kept is no reason not to search.
            Err(error) if !self.no_index && matches!(error.kind, ErrorKind::Storage | ErrorKind::Locked) => {
                ui.warn(&format!("reading all of {} instead of its search index: {error}", path.display()));
                self.answer(&reader, &Place::Temporary, (parsed, at), ui)?
            }
            found => found?,
        };
        Ok(Searched { reader, path, found, total, at })
    }

    /// What an archive answers, with an index at this place, and how much that is; with `--count` the number alone.
    fn answer(
        &self,
        reader: &Arc<Reader>,
        place: &Place,
        (parsed, at): (&Parsed, Option<i64>),
        ui: &Ui,
    ) -> Result<(Vec<Found>, usize)> {
        let mut index = Index::open(reader.path(), place)?;
        let bar = ui.progress(interrupt_flag());
        let gaps = catch_up(reader, &mut index, &bar);
        let answer = gaps.and_then(|gaps| {
            tell_gaps(reader, gaps, ui);
            ask_again_if_damaged(reader, &mut index, &bar, |index| {
                if self.count {
                    return Ok((Vec::new(), count(reader, index, parsed, at, &bar)? as usize));
                }
                let found = find(reader, index, parsed, at, &bar)?;
                let total = found.len();
                Ok((found, total))
            })
        });
        bar.done();
        answer
    }

    /// Shows what was found, in order.
    fn show(&self, searched: &[Searched], total: usize, query: &str, ui: &Ui) -> Result<()> {
        let (for_scripts, is_by_date) = (ui.json || self.paths, matches!(self.sort, Sort::Date));
        let limit = match self.limit {
            Some(0) => usize::MAX,
            Some(limit) => limit,
            None if for_scripts => usize::MAX,
            None => LIMIT,
        };
        let mut showers: Vec<Shower> = Vec::new();
        for one in searched {
            let is_path_enough = self.paths && is_by_date;
            showers.push(Shower::of(&one.reader, one.at, is_path_enough)?);
        }
        let mut all: Vec<(usize, Found)> =
            searched.iter().enumerate().flat_map(|(at, one)| one.found.iter().map(move |found| (at, *found))).collect();
        all.sort_unstable_by_key(|(at, found)| (found.date, *at, found.id));
        if self.reverse && is_by_date {
            all.reverse();
        }
        let mut rows = Vec::new();
        if is_by_date {
            let spare = all.len().saturating_sub(limit);
            all.drain(..spare);
        }
        let mut table = (!for_scripts).then(|| Table::new(ui, &COLUMNS));
        for part in all.chunks(PART) {
            for (at, shown) in in_order(part, &mut showers)? {
                match is_by_date {
                    true => self.print(&searched[at], &shown, table.as_mut(), ui),
                    false => rows.push((at, shown)),
                }
            }
        }
        rows.sort_by_key(|(_, shown)| self.sort.key(shown));
        if self.reverse {
            rows.reverse();
        }
        let spare = rows.len().saturating_sub(limit);
        for (at, shown) in rows.into_iter().skip(spare) {
            self.print(&searched[at], &shown, table.as_mut(), ui);
        }
        drop(table);
        self.close(searched, total, limit, query, ui);
        Ok(())
    }

    fn print(&self, archive: &Searched, shown: &Shown, table: Option<&mut Table<'_, '_>>, ui: &Ui) {
        if let Some(table) = table {
            table.cells(shown.cells());
        } else if ui.json {
            ui.object("found", shown.to_json(&archive.path));
        } else if let Some(path) = &shown.path {
            let at = shown.snapshot.map(|snapshot| format!("--at {snapshot} ")).unwrap_or_default();
            ui.row(&format!("{at}{}", quoted(path)));
        }
    }

    /// How many there are, and what to type next.
    fn close(&self, searched: &[Searched], total: usize, limit: usize, query: &str, ui: &Ui) {
        if ui.json {
            let archives: Vec<String> = searched.iter().map(|one| super::json::on_disk(&one.path)).collect();
            let shown = total.min(limit);
            ui.object(
                "summary",
                serde_json::json!({ "archives": archives, "query": query, "count": shown, "total": total }),
            );
            return;
        }
        if total == 0 {
            ui.info("nothing found; words match whole words unless they end with *");
            return;
        }
        if self.paths {
            return;
        }
        let shown = if total > limit {
            format!(", {} shown (--limit 0 shows all)", thousands(limit as u64))
        } else {
            String::new()
        };
        let restore = match searched {
            [one] => format!(" To restore: vandelay cat {} ID", quoted(&one.path.display().to_string())),
            _ => " The archive of each: --json".to_owned(),
        };
        ui.info(&format!("{} found{shown}.{restore}", thousands(total as u64)));
    }
}

/// Says what an index lacks.
fn tell_gaps(reader: &Reader, Gaps { unreadable, cut }: Gaps, ui: &Ui) {
    if cut > 0 {
        ui.info(&format!("of {} only the begin is searched: they are very large", counted(cut, "message")));
    }
    if unreadable > 0 {
        let archive = quoted(&reader.path().display().to_string());
        ui.warn(&format!(
            "{} of {} cannot be read, so their words are not found: vandelay verify {archive}",
            counted(unreadable, "message"),
            reader.path().display()
        ));
    }
}

/// Looks up objects in the order in which they lie in the archives, which takes much less reading, and gives them in their own.
fn in_order(part: &[(usize, Found)], showers: &mut [Shower]) -> Result<Vec<(usize, Shown)>> {
    let mut places: Vec<usize> = (0..part.len()).collect();
    places.sort_unstable_by_key(|place| {
        let (at, found) = part[*place];
        (at, found.changed.or(found.end), found.id)
    });
    let mut shown = Vec::with_capacity(part.len());
    for place in places {
        let (at, found) = part[place];
        shown.push((place, (at, showers[at].shown(&found)?)));
    }
    shown.sort_unstable_by_key(|(place, _)| *place);
    Ok(shown.into_iter().map(|(_, one)| one).collect())
}

impl Sort {
    fn key(self, shown: &Shown) -> (u64, String) {
        match self {
            Sort::Size => (shown.size, String::new()),
            Sort::From => (0, shown.from.to_lowercase()),
            Sort::Subject => (0, shown.subject.to_lowercase()),
            Sort::Folder => (0, shown.folder.to_lowercase()),
            Sort::Date => (0, String::new()),
        }
    }
}

/// Words of `find` that begin with a dash and are no flag mean "not": clap would take them for flags.
pub(super) fn with_negations(mut arguments: Vec<OsString>) -> Vec<OsString> {
    const WITH_VALUE: [&str; 6] = ["--color", "--log-file", "--log-format", "--limit", "--sort", "--at"];
    let is_value = |at: usize| at > 0 && arguments[at - 1].to_str().is_some_and(|flag| WITH_VALUE.contains(&flag));
    let is_word = |at: &usize| !arguments[*at].to_string_lossy().starts_with('-') && !is_value(*at);
    let command = (1..arguments.len()).find(is_word);
    let Some(command) = command.filter(|at| arguments[*at] == "find") else { return arguments };
    let negated: Vec<(usize, OsString)> = (command + 1..arguments.len())
        .filter(|at| !is_value(*at))
        .filter_map(|at| {
            let word = arguments[at].to_str()?.strip_prefix('-')?;
            // One letter is a flag that was mistyped rather than a word.
            let is_flag = word.starts_with('-') || word.chars().count() < 2 || word.chars().all(|c| "qvhV".contains(c));
            (!is_flag).then(|| (at, OsString::from(format!("!{word}"))))
        })
        .collect();
    for (at, word) in negated {
        arguments[at] = word;
    }
    arguments
}

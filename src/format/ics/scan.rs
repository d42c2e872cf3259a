//! The one pass over the lines of an iCalendar file: where its calendars and components lie, and what they name.

use crate::format::contentline::{self as lines, Line, Prop};
use crate::format::uid::{Note, NoteKind, clean_uid};
use crate::model::EventType;
use std::collections::BTreeSet;
use std::ops::Range;

/// A component right below a calendar.
pub(super) struct Component {
    /// Index of its calendar.
    pub(super) calendar: usize,
    /// In upper case, cut.
    pub(super) name: String,
    pub(super) range: Range<usize>,
    /// END lines that are missing in it, its own included.
    pub(super) unclosed: usize,
    pub(super) uid: Option<String>,
    pub(super) is_override: bool,
    /// TZID of a VTIMEZONE.
    pub(super) zone: Option<Vec<u8>>,
    /// TZID parameters in it, see [`zone_key`].
    pub(super) zones: BTreeSet<Vec<u8>>,
}

impl Component {
    pub(super) fn data_type(&self) -> Option<EventType> {
        match self.name.as_str() {
            "VEVENT" => Some(EventType::Event),
            "VTODO" => Some(EventType::Task),
            "VJOURNAL" => Some(EventType::Note),
            _ => None,
        }
    }
}

/// A VCALENDAR, or a run of components outside of any.
#[derive(Default)]
pub(super) struct Calendar {
    pub(super) range: Range<usize>,
    /// The BEGIN line; empty for components outside of a calendar.
    pub(super) begin: Range<usize>,
    /// Property lines, neighbours joined.
    pub(super) props: Vec<Range<usize>>,
    /// The END line; empty if missing.
    pub(super) end: Range<usize>,
}

/// The state of the one pass over the lines. There is no stack: components that hold items do not nest, so the depth
/// within the open one is enough, and a missing END line cannot swallow what follows.
#[derive(Default)]
pub(super) struct Scan {
    pub(super) calendars: Vec<Calendar>,
    pub(super) components: Vec<Component>,
    pub(super) notes: Vec<Note>,
    pub(super) name: [Option<String>; 2],
    pub(super) color: [Option<String>; 2],
    pub(super) description: [Option<String>; 2],
    in_calendar: bool,
    open: Option<Component>,
    /// BEGIN lines that are open, the component's own included.
    depth: usize,
    /// The last line was stray text: one note for each run of it.
    in_stray: bool,
}

/// Components that stand right below a calendar and never within another component (but VPOLL, a draft).
const TOP: [&str; 6] = ["VEVENT", "VTODO", "VJOURNAL", "VFREEBUSY", "VTIMEZONE", "VPOLL"];

impl Scan {
    pub(super) fn line(&mut self, line: &Line<'_>) {
        let text = line.text();
        let Some(prop) = Prop::parse(&text) else {
            if self.open.is_none() && !line.is_blank() {
                self.stray(line);
            }
            return;
        };
        if prop.is("BEGIN") {
            self.in_stray = false;
            self.begin(line, &upper(prop.value));
        } else if prop.is("END") {
            self.end(line, &upper(prop.value));
        } else if let Some(open) = &mut self.open {
            property(open, self.depth, &prop);
        } else if self.in_calendar {
            self.calendar_property(line, &prop);
        } else {
            self.stray(line);
        }
    }

    fn begin(&mut self, line: &Line<'_>, name: &str) {
        if name == "VCALENDAR" {
            self.close_component(line.start, false);
            self.close_calendar(line.start, None);
            self.calendars.push(Calendar {
                range: line.start..line.end,
                begin: line.start..line.end,
                ..Calendar::default()
            });
            self.in_calendar = true;
            return;
        }
        if let Some(open) = &self.open {
            if !TOP.contains(&name) || open.name == "VPOLL" {
                self.depth += 1;
                return;
            }
            self.close_component(line.start, false);
        }
        let bare = !self.in_calendar;
        if bare && !self.calendars.last().is_some_and(|last| last.begin.is_empty()) {
            self.calendars.push(Calendar { range: line.start..line.end, ..Calendar::default() });
        }
        self.depth = 1;
        self.open = Some(Component {
            calendar: self.calendars.len().saturating_sub(1),
            name: name.to_owned(),
            range: line.start..line.end,
            unclosed: 0,
            uid: None,
            is_override: false,
            zone: None,
            zones: BTreeSet::new(),
        });
    }

    fn end(&mut self, line: &Line<'_>, name: &str) {
        if name == "VCALENDAR" {
            self.close_component(line.start, false);
            if self.in_calendar {
                self.close_calendar(line.end, Some(line.start..line.end));
            } else {
                self.stray(line);
            }
            return;
        }
        let Some(open) = &self.open else {
            self.damaged(line.start, format!("END:{name} without BEGIN"));
            return;
        };
        if name == open.name && (self.depth == 1 || TOP.contains(&name)) {
            let whole = self.depth == 1;
            self.close_component(line.end, true);
            if !whole {
                self.damaged(line.start, format!("something in the {name} has no END line"));
            }
        } else if self.depth > 1 {
            self.depth -= 1;
        } else {
            self.damaged(line.start, format!("END:{name} without BEGIN"));
        }
    }

    fn calendar_property(&mut self, line: &Line<'_>, prop: &Prop<'_>) {
        self.in_stray = false;
        if let Some(calendar) = self.calendars.last_mut() {
            push_range(&mut calendar.props, line.start..line.end);
        }
        let slot = match () {
            () if prop.is("X-WR-CALNAME") => &mut self.name[0],
            () if prop.is("NAME") => &mut self.name[1],
            () if prop.is("X-APPLE-CALENDAR-COLOR") => &mut self.color[0],
            () if prop.is("COLOR") => &mut self.color[1],
            () if prop.is("X-WR-CALDESC") => &mut self.description[0],
            () if prop.is("DESCRIPTION") => &mut self.description[1],
            () => return,
        };
        if slot.is_none() {
            let text = lines::decode(prop.value);
            let text = lines::unescape(&text);
            *slot = Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned);
        }
    }

    fn close_component(&mut self, end: usize, complete: bool) {
        let Some(mut open) = self.open.take() else {
            return;
        };
        open.range.end = end;
        open.unclosed = self.depth.saturating_sub(usize::from(complete));
        if !complete {
            self.damaged(open.range.start, format!("{} has no END line", open.name));
        }
        if !self.in_calendar
            && let Some(calendar) = self.calendars.last_mut()
        {
            calendar.range.end = end;
        }
        self.components.push(open);
    }

    fn close_calendar(&mut self, end: usize, line: Option<Range<usize>>) {
        if !self.in_calendar {
            return;
        }
        self.in_calendar = false;
        let Some(calendar) = self.calendars.last_mut() else {
            return;
        };
        calendar.range.end = end;
        match line {
            Some(line) => calendar.end = line,
            None => {
                let start = calendar.range.start;
                self.damaged(start, "VCALENDAR has no END line".to_owned());
            }
        }
    }

    pub(super) fn finish(&mut self, len: usize) {
        self.close_component(len, false);
        self.close_calendar(len, None);
        if self.calendars.is_empty() && self.notes.is_empty() {
            self.notes.push(Note::new(0, NoteKind::NotAnItem, "an empty file"));
        }
    }

    fn stray(&mut self, line: &Line<'_>) {
        if !self.in_stray {
            let place = if self.in_calendar { "a line without a colon" } else { "text outside of a calendar" };
            self.notes.push(Note::new(line.start, NoteKind::Stray, place));
        }
        self.in_stray = true;
    }

    fn damaged(&mut self, at: usize, what: String) {
        self.notes.push(Note::new(at, NoteKind::Damaged, what));
    }
}

fn property(open: &mut Component, depth: usize, prop: &Prop<'_>) {
    if !prop.params.is_empty()
        && let Some(zone) = prop.param("TZID")
    {
        open.zones.insert(zone_key(zone));
    }
    if depth != 1 {
        return;
    }
    if prop.is("UID") {
        if open.uid.is_none() {
            open.uid = clean_uid(prop.value);
        }
    } else if prop.is("RECURRENCE-ID") {
        open.is_override = true;
    } else if prop.is("TZID") && open.zone.is_none() {
        open.zone = Some(zone_key(prop.value));
    }
}

fn upper(name: &[u8]) -> String {
    let name = name.trim_ascii();
    String::from_utf8_lossy(name.get(..40).unwrap_or(name)).to_ascii_uppercase()
}

pub(super) fn push_range(ranges: &mut Vec<Range<usize>>, next: Range<usize>) {
    match ranges.last_mut() {
        Some(last) if last.end == next.start => last.end = next.end,
        _ if next.is_empty() => {}
        _ => ranges.push(next),
    }
}

/// A time zone's name such that a TZID property (escaped text) and a TZID parameter (quoted) meet.
pub(crate) fn zone_key(name: &[u8]) -> Vec<u8> {
    let name = name.trim_ascii();
    name.iter().filter(|byte| !matches!(byte, b'\\' | b'"')).map(u8::to_ascii_lowercase).collect()
}

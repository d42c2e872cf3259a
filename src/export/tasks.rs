//! Tasks, notes and events without a start: the draft of calendars has events alone (draft-ietf-jmap-calendars section 5),
//! and some servers take the others, too. So each goes to the account as what it is; where that is refused, as a file.

use super::objects::{self, Wanted};
use super::synthetic::{TASK_FILES, TASKS, made};
use crate::model::Id;
use crate::sink::{BLOB, Rules};
use serde_json::json;
use std::collections::{BTreeMap, HashMap};

/// An event that may have to be a file.
pub struct Task {
    pub row: Id,
    pub uid: String,
    pub calendar: Id,
}

/// True for what a server may refuse for what it is.
pub fn may_be_a_file(one: &Wanted) -> bool {
    objects::text_of(&one.object, "@type") != Some("Event") || objects::text_of(&one.object, "start").is_none()
}

/// What it is called where it is left out, or kept as a file.
pub(super) fn what(one: &Wanted) -> &'static str {
    match objects::text_of(&one.object, "@type") {
        Some("Task") => "a task",
        Some("Note") => "a note",
        _ => "an event without a start",
    }
}

/// The files that stand for them, in a directory for each calendar; `names` are those of the calendars.
pub fn files(tasks: Vec<Task>, names: &HashMap<Id, String>, rules: &Rules) -> Vec<Wanted> {
    let node = |mut wanted: Wanted, kind: &str| {
        wanted.object.insert("nodeType".to_owned(), json!(kind));
        wanted.waits = true;
        wanted
    };
    let mut wanted = vec![node(made(TASKS, None, "Tasks and notes"), "directory")];
    let mut calendars: BTreeMap<Id, ()> = BTreeMap::new();
    for Task { row, uid, calendar } in tasks {
        let place = TASKS - 1 - calendar;
        if calendars.insert(calendar, ()).is_none() {
            // A calendar without a name of its own is no reason to lose what lies in it.
            let label = names.get(&calendar).map_or("(no calendar)", String::as_str);
            wanted.push(node(made(place, Some(TASKS), &objects::file_name(label, rules)), "directory"));
        }
        let name = objects::file_name(&format!("{uid}.ics"), rules);
        let mut file = node(made(TASK_FILES - row, Some(place), &name), "file");
        file.object.insert("type".to_owned(), json!("text/calendar"));
        file.object.insert(BLOB.to_owned(), json!(-row));
        wanted.push(file);
    }
    wanted
}

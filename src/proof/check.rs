//! All rows of a moment, over several threads; the results come back to the thread that asked.

use super::finding::{Checked, Finding, Loss, Restored};
use super::rule::Rules;
use crate::archive::{Moment, Reader, Record};
use crate::error::{Error, ErrorKind, Result};
use crate::model::ObjectType;
use crate::progress::Progress;
use crate::tree::Tree;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Rows that wait for a thread.
const WAITING: usize = 256;

/// The object that was checked, and what became of it.
type Answer = (ObjectType, i64, Result<Checked>);

/// Reads every object of the tree's moment as a restore would. `told` gets what does not come back.
///
/// Errors: the archive cannot be read at all, its snapshot is gone, or the user wants the run to end.
pub fn check(tree: &Tree, threads: usize, progress: &dyn Progress, told: &mut dyn FnMut(Finding)) -> Result<Restored> {
    let (reader, moment) = (Arc::clone(tree.reader()), tree.moment());
    let rules = Rules::new(tree)?;
    let is_over = AtomicBool::new(false);
    let (rows, waiting) = sync_channel::<Record>(WAITING);
    let waiting = Mutex::new(waiting);
    let (answers, results) = sync_channel::<Answer>(WAITING);
    std::thread::scope(|scope| {
        let (rules, waiting, is_over) = (&rules, &waiting, &is_over);
        let reading = scope.spawn(move || read(&reader, moment, &rows, is_over));
        for _ in 0..threads.max(1) {
            let answers = answers.clone();
            scope.spawn(move || work(rules, waiting, &answers));
        }
        drop(answers);
        let mut restored = Restored::default();
        let mut error = None;
        for (kind, row, answer) in results {
            if progress.interrupted() {
                error.get_or_insert_with(|| Error::new(ErrorKind::Interrupted, "interrupted"));
            }
            match answer {
                Ok(checked) => {
                    progress.item(checked.bytes);
                    count(&mut restored, kind, row, checked, told);
                }
                Err(other) => drop(error.get_or_insert(other)),
            }
            if error.is_some() {
                is_over.store(true, Ordering::Relaxed);
            }
        }
        let read = reading.join().unwrap_or_else(|_| Err(Error::new(ErrorKind::Storage, "a thread ended too early")));
        match error {
            Some(error) => Err(error),
            None => read.map(|()| restored),
        }
    })
}

/// Hands out all rows, type by type.
fn read(reader: &Reader, moment: Moment, rows: &SyncSender<Record>, is_over: &AtomicBool) -> Result<()> {
    for kind in ObjectType::ALL {
        reader.each_record(kind, moment, |record| {
            if !is_over.load(Ordering::Relaxed) {
                // Without threads there is an error already.
                let _ = rows.send(record);
            }
        })?;
    }
    reader.require(moment)
}

fn work(rules: &Rules<'_>, waiting: &Mutex<Receiver<Record>>, answers: &SyncSender<Answer>) {
    loop {
        let next = waiting.lock().recv();
        let Ok(record) = next else { return };
        if answers.send((record.kind, record.id, rules.check(&record))).is_err() {
            return;
        }
    }
}

fn count(restored: &mut Restored, kind: ObjectType, row: i64, checked: Checked, told: &mut dyn FnMut(Finding)) {
    let counts = restored.types.entry(kind.token()).or_default();
    match checked.findings.iter().map(|(_, _, loss)| *loss).max() {
        None => counts.exact += 1,
        Some(Loss::Conversion) => counts.lossy += 1,
        Some(Loss::Damage) => counts.damaged += 1,
    }
    restored.bytes += checked.bytes;
    if let Some(why) = checked.headless {
        *restored.headless.entry(why).or_default() += 1;
    }
    for (path, what, loss) in checked.findings {
        told(Finding { kind, row, path, what, loss });
    }
}

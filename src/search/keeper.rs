//! Keeps the index of an archive while an import writes it, beside the import and never in its way.

use super::index::{Index, Place};
use super::update::catch_up;
use crate::archive::Reader;
use crate::error::{Error, ErrorKind, Result};
use crate::progress::Unseen;
use rustix::process::setpriority_process;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long it waits for more to read: many small changes of the index take more work than few large ones.
const PAUSE: Duration = Duration::from_secs(2);

/// How long it goes on when the import has ended: a part of the time that this has taken, and so much at the least. What is left
/// then is left to the next search, which does it with both hands.
const REST_PART: u32 = 8;
const REST_MIN: Duration = Duration::from_secs(1);

/// How much the threads of the index stand back behind those of the import.
const NICE: i32 = 10;

/// A thread that reads what an import writes.
pub struct Keeper {
    thread: JoinHandle<Result<()>>,
    state: Arc<State>,
    started: Instant,
}

struct State {
    /// The import has ended.
    is_over: AtomicBool,
    /// The user wants the program to end: what is left to read is left to the next search.
    interrupted: Arc<AtomicBool>,
    /// When it ends, whatever is left.
    deadline: OnceLock<Instant>,
}

impl Keeper {
    /// Begins to keep the index of the archive at this path, which need not be there yet, until `interrupted` is raised.
    ///
    /// Errors: there is no room for another thread.
    pub fn start(archive: &Path, interrupted: Arc<AtomicBool>) -> Result<Keeper> {
        let state = Arc::new(State { is_over: AtomicBool::new(false), interrupted, deadline: OnceLock::new() });
        let (path, own) = (archive.to_owned(), Arc::clone(&state));
        let thread = thread::Builder::new()
            .name("search index".to_owned())
            .spawn(move || {
                // To the kernel of Linux the process that calls is the thread.
                let _ = setpriority_process(None, NICE);
                keep(&path, &own)
            })
            .map_err(|error| Error::io("cannot start a thread for the search index", error))?;
        Ok(Keeper { thread, state, started: Instant::now() })
    }

    /// Reads the rest, unless there is much of it or the user wants to go, and ends.
    ///
    /// Errors: why the index is not up to date; the next search brings it there.
    pub fn finish(self) -> Result<()> {
        let rest = (self.started.elapsed() / REST_PART).max(REST_MIN);
        let _ = self.state.deadline.set(Instant::now() + rest);
        self.state.is_over.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        let crashed = |_| Err(Error::new(ErrorKind::Storage, "the thread that keeps the search index ended early"));
        self.thread.join().unwrap_or_else(crashed)
    }
}

impl State {
    /// True once it is to end, whatever is left.
    fn is_given_up(&self) -> bool {
        let is_late = self.deadline.get().is_some_and(|deadline| Instant::now() > *deadline);
        is_late || self.interrupted.load(Ordering::Relaxed)
    }
}

fn keep(path: &Path, state: &State) -> Result<()> {
    let mut index = None;
    loop {
        if !state.is_over.load(Ordering::Relaxed) {
            thread::park_timeout(PAUSE);
        }
        // Looked at before the archive is: what comes behind the last look has to be read, too.
        let is_over = state.is_over.load(Ordering::Relaxed);
        if state.is_given_up() {
            return Ok(());
        }
        let done = Reader::open(path).and_then(|reader| {
            let reader = Arc::new(reader);
            let index = match &mut index {
                Some(index) => index,
                None => index.insert(Index::open(reader.path(), &Place::Kept)?),
            };
            if index.path().is_none() {
                let what = "neither the folder of the archive nor the user's cache takes an index";
                return Err(Error::new(ErrorKind::Usage, what));
            }
            catch_up(&reader, index, &Unseen(|| state.is_given_up())).map(drop)
        });
        match done {
            Err(error) if error.kind == ErrorKind::Interrupted => return Ok(()),
            Err(error) => {
                give_room(index.take(), &error);
                // Before, the archive may not be there yet, or be busy.
                if is_over || error.kind == ErrorKind::Usage {
                    return Err(error);
                }
            }
            Ok(()) if is_over => return Ok(()),
            Ok(()) => {}
        }
    }
}

/// An index that does not fit on the disk goes: the room is for the archive.
fn give_room(index: Option<Index>, error: &Error) {
    if let Some(index) = index.filter(|_| error.kind == ErrorKind::Storage) {
        index.delete();
    }
}

//! Writing until every object has an outcome: what got none is looked for and written again.

use super::run::Run;
use crate::error::{Error, ErrorKind, Result};
use crate::model::ObjectType;
use crate::progress::Progress;
use crate::sink::{Change, Outcome};
use std::collections::BTreeMap;
use std::time::Duration;

/// How many objects one request holds, unless something fails.
const BATCH: usize = 500;

/// The pause before the first repetition; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(250);

/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Outcomes of one attempt, and the error that ended it.
pub(super) type Attempt = (Vec<(usize, Outcome)>, Result<()>);

/// Why objects have no outcome yet, by place.
pub(super) type Reasons = BTreeMap<usize, String>;

/// What is left after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// Every object has its outcome.
    Nothing,
    /// Objects that can be written now, since others were.
    More,
    /// Objects that were tried and have no outcome.
    Open,
}

/// Objects that are to be written.
pub(super) trait Task {
    /// Writes what has no outcome.
    fn attempt(&mut self, run: &mut Run<'_>, batch: usize) -> Attempt;

    /// Notes an outcome. Gives the reason if the object has none after all.
    fn note(&mut self, run: &mut Run<'_>, at: usize, outcome: Outcome) -> Option<String>;

    /// What is left.
    fn rest(&self, run: &Run<'_>) -> Rest;

    /// Looks for open objects at the target. True if it found some.
    fn look_again(&mut self, run: &mut Run<'_>, reasons: &Reasons) -> Result<bool>;

    /// Ends what is open as failed.
    fn give_up(&mut self, run: &mut Run<'_>, reasons: &Reasons);
}

/// Writes until nothing is left. As long as something gets done there is no end to it; where nothing does, requests get
/// smaller until each holds one object, and then it gives up.
pub(super) fn settle(run: &mut Run<'_>, task: &mut dyn Task) -> Result<()> {
    let mut policy = RetryPolicy::new(run.options.max_retries);
    let mut reasons = Reasons::new();
    let mut is_better = false;
    while task.rest(run) != Rest::Nothing {
        let (outcomes, ended) = task.attempt(run, policy.batch);
        for (at, outcome) in outcomes {
            match task.note(run, at, outcome) {
                Some(reason) => drop(reasons.insert(at, reason)),
                None => is_better = true,
            }
        }
        ended?;
        if task.rest(run) != Rest::Open {
            continue;
        }
        is_better |= task.look_again(run, &reasons)?;
        if task.rest(run) == Rest::Open && !policy.again(is_better, run.progress)? {
            task.give_up(run, &reasons);
            return Ok(());
        }
        is_better = false;
    }
    Ok(())
}

/// Changes that do not depend on each other and may be repeated: new values of what is there, and removals.
pub(super) struct Changes<'e> {
    pub kind: ObjectType,
    pub open: BTreeMap<usize, Change>,
    /// Notes how a change ended; [`Outcome::Full`] if the target never answered.
    pub ended: &'e dyn Fn(&mut Run<'_>, usize, Outcome),
}

impl Task for Changes<'_> {
    fn attempt(&mut self, run: &mut Run<'_>, batch: usize) -> Attempt {
        run.write(self.kind, &mut self.open.clone().into_iter(), batch)
    }

    fn note(&mut self, run: &mut Run<'_>, at: usize, outcome: Outcome) -> Option<String> {
        if let Outcome::Unknown(reason) = outcome {
            return Some(reason);
        }
        self.open.remove(&at);
        (self.ended)(run, at, outcome);
        None
    }

    fn rest(&self, _: &Run<'_>) -> Rest {
        if self.open.is_empty() { Rest::Nothing } else { Rest::Open }
    }

    fn look_again(&mut self, _: &mut Run<'_>, _: &Reasons) -> Result<bool> {
        Ok(false)
    }

    fn give_up(&mut self, run: &mut Run<'_>, reasons: &Reasons) {
        for at in std::mem::take(&mut self.open).into_keys() {
            (self.ended)(run, at, Outcome::Full(reason_of(reasons, at)));
        }
    }
}

/// Why an object has no outcome.
pub(super) fn reason_of(reasons: &Reasons, at: usize) -> String {
    reasons.get(&at).cloned().unwrap_or_else(|| "the target did not answer".to_owned())
}

/// How many attempts without progress are left, and how the next one is made.
struct RetryPolicy {
    left: u32,
    pause: Duration,
    batch: usize,
}

impl RetryPolicy {
    fn new(retries: u32) -> RetryPolicy {
        RetryPolicy { left: retries, pause: PAUSE, batch: BATCH }
    }

    /// Waits before the next attempt; false if there were enough.
    fn again(&mut self, is_better: bool, progress: &dyn Progress) -> Result<bool> {
        if is_better {
            self.pause = PAUSE;
            return Ok(true);
        }
        if self.left == 0 && self.batch == 1 {
            return Ok(false);
        }
        self.left = self.left.saturating_sub(1);
        self.batch = if self.left == 0 { 1 } else { (self.batch / 8).max(1) };
        let mut waited = Duration::ZERO;
        while waited < self.pause {
            if progress.interrupted() {
                return Err(Error::new(ErrorKind::Interrupted, "interrupted"));
            }
            let part = Duration::from_millis(50);
            std::thread::sleep(part);
            waited += part;
        }
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        Ok(true)
    }
}

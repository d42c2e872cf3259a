//! Several things at once, with the results in the order of the questions and never more than a few of them in memory.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use tokio::sync::Mutex;

/// Runs the futures of `work`, at most `width` of them at a time, and hands each result to `sink` in their order. Ends
/// early when `sink` says false; what is under way then is dropped. Results that came early wait for those before them,
/// so at most `width` are held.
///
/// All of them run in the task of the caller, so they may borrow what they like.
pub async fn in_order<F: Future>(
    width: usize,
    work: impl IntoIterator<Item = F>,
    mut sink: impl FnMut(F::Output) -> bool,
) {
    let mut work = work.into_iter();
    let mut window: VecDeque<Slot<F>> = VecDeque::new();
    loop {
        while window.len() < width.max(1)
            && let Some(next) = work.next()
        {
            window.push_back(Slot::Running(Box::pin(next)));
        }
        if window.is_empty() {
            return;
        }
        // A handful: asking all of them costs less than knowing which one it is.
        poll_fn(|context| {
            for slot in &mut window {
                if let Slot::Running(future) = slot
                    && let Poll::Ready(result) = future.as_mut().poll(context)
                {
                    *slot = Slot::Done(result);
                }
            }
            match window.front() {
                Some(Slot::Running(_)) => Poll::Pending,
                _ => Poll::Ready(()),
            }
        })
        .await;
        if let Some(Slot::Done(result)) = window.pop_front()
            && !sink(result)
        {
            return;
        }
    }
}

/// Two things at the same time.
pub async fn both<A: Future, B: Future>(one: A, other: B) -> (A::Output, B::Output) {
    tokio::join!(one, other)
}

/// What must not happen at the same time stands in line.
#[derive(Debug, Default)]
pub struct Queue(Mutex<()>);

impl Queue {
    /// Waits until it is one's turn, which ends when the value is dropped.
    pub async fn turn(&self) -> impl Drop + '_ {
        self.0.lock().await
    }
}

enum Slot<F: Future> {
    Running(Pin<Box<F>>),
    Done(F::Output),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::runtime::Runtime;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    #[test]
    fn results_come_in_order_and_few_run_at_a_time() {
        let runtime = Runtime::new(Arc::default()).expect("a runtime");
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let work = (0..20_u64).map(|number| {
            let (now, most) = (Arc::clone(&now), Arc::clone(&most));
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(20 - number)).await;
                now.fetch_sub(1, Ordering::SeqCst);
                number
            }
        });
        let mut seen = Vec::new();
        let all = in_order(4, work, |number| {
            seen.push(number);
            number < 15
        });
        runtime
            .run(async {
                all.await;
                Ok(())
            })
            .expect("no failure");
        assert_eq!(seen, (0..16).collect::<Vec<_>>());
        assert_eq!(most.load(Ordering::SeqCst), 4);
    }
}

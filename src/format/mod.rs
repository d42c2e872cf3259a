//! Pure codecs of the field's formats: bytes in, structure out, no I/O, no archive.
//!
//! Nothing here panics, expands a recurrence or recurses without a bound, whatever the input.

pub mod beside;
pub mod bolt;
pub mod bstore;
mod contentline;
pub mod convert;
pub mod emlx;
pub mod fields;
pub mod ics;
pub mod jmap;

pub mod jscal;
pub mod jscard;
pub mod labels;
pub mod looks;
pub mod mail;
pub mod maildir;
pub mod mbox;
pub mod mutf7;
pub mod text;
pub mod title;
pub mod uid;
pub mod vcf;
mod zone;

/// The work that a test does: the processor's time of its thread, which other programs do not add to.
#[cfg(test)]
mod work {
    use rustix::time::{ClockId, clock_gettime};
    use std::time::Duration;

    /// A point from which on work is counted.
    pub(super) struct Begun(Duration);

    /// Begins to count.
    pub(super) fn begin() -> Begun {
        Begun(now())
    }

    impl Begun {
        /// How much was done since.
        pub(super) fn elapsed(&self) -> Duration {
            now().saturating_sub(self.0)
        }
    }

    fn now() -> Duration {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
    }
}

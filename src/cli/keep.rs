//! The rules that `forget` and `snapshot` keep snapshots and copies by.

use super::args::number;
use crate::archive::{Policy, Span};
use clap::Args;

/// Which snapshots, or which copies, stay.
#[derive(Args)]
pub(super) struct KeepFlags {
    /// Keep the last N
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = number::<u32>(0..=u64::from(u32::MAX)), hide_default_value = true, help_heading = "What to keep")]
    keep_last: u32,
    /// Keep the last one of each of the last N hours that have one
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = number::<u32>(0..=u64::from(u32::MAX)), hide_default_value = true, help_heading = "What to keep")]
    keep_hourly: u32,
    /// Keep the last one of each of the last N days that have one
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = number::<u32>(0..=u64::from(u32::MAX)), hide_default_value = true, help_heading = "What to keep")]
    keep_daily: u32,
    /// Keep the last one of each of the last N weeks that have one
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = number::<u32>(0..=u64::from(u32::MAX)), hide_default_value = true, help_heading = "What to keep")]
    keep_weekly: u32,
    /// Keep the last one of each of the last N months that have one
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = number::<u32>(0..=u64::from(u32::MAX)), hide_default_value = true, help_heading = "What to keep")]
    keep_monthly: u32,
    /// Keep the last one of each of the last N years that have one
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = number::<u32>(0..=u64::from(u32::MAX)), hide_default_value = true, help_heading = "What to keep")]
    keep_yearly: u32,
    /// Keep all up to this much older than the newest one, e.g. 1y5m7d2h
    #[arg(long, value_name = "DURATION", help_heading = "What to keep")]
    keep_within: Option<Span>,
}

impl KeepFlags {
    pub(super) fn policy(&self) -> Policy {
        Policy {
            last: self.keep_last,
            hourly: self.keep_hourly,
            daily: self.keep_daily,
            weekly: self.keep_weekly,
            monthly: self.keep_monthly,
            yearly: self.keep_yearly,
            within: self.keep_within,
        }
    }
}

//! Telling other programs how a run went: numbers for Prometheus, and pings for a service that gives the alarm when
//! they stay away.

pub mod metrics;
pub mod ping;

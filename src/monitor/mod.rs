//! Telling other programs how a run went: numbers for Prometheus, and a sign of life for a service that misses it.

pub mod metrics;
pub mod ping;

//! Time zones: what a VTIMEZONE (RFC 5545 3.6.5) or a TimeZone object (RFC 8984 4.7.2) says, and which zone of the IANA
//! database says the same.

mod definition;
mod json;
mod matching;

pub(crate) use definition::fixed;
pub(crate) use definition::{Definition, date_time, guess, iana, is_single, known, offset_of};
pub(crate) use matching::{Match, Use};

//! Pure codecs of the field's formats: bytes in, structure out, no I/O, no archive.
//!
//! Nothing here panics, expands a recurrence or recurses without a bound, whatever the input.

pub mod ics;
pub mod jscal;
pub mod jscard;
pub mod mail;
pub mod maildir;
pub mod mutf7;

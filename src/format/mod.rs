//! Pure codecs of the field's formats: bytes in, structure out, no I/O, no archive.
//!
//! Nothing here panics, expands a recurrence or recurses without a bound, whatever the input.

pub mod labels;
pub mod mbox;

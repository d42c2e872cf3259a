//! Pure codecs of the field's formats: bytes in, structure out, no I/O, no archive.
//!
//! Nothing here panics, expands a recurrence or recurses without a bound, whatever the input.

pub mod convert;
pub mod emlx;
pub mod fields;
pub mod ics;
pub mod jmap;
pub mod jscal;
pub mod jscard;
pub mod labels;
mod lines;
pub mod looks;
pub mod mail;
pub mod maildir;
pub mod mbox;
pub mod mutf7;
pub mod object;
pub mod text;
pub mod vcf;
mod zone;

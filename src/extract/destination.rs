//! What the writing of files is told.

use super::medium::Medium;
use super::names::Names;
use std::path::Path;

/// Where files are written, and how.
pub struct Destination<'a> {
    /// The directory, which is made if it is missing.
    pub into: &'a Path,
    /// Which names files get.
    pub names: Names,
    /// The system calls that write.
    pub medium: &'a dyn Medium,
    /// Nothing is written.
    pub is_dry: bool,
    /// What is there with the right name and size is left alone, without reading its bytes.
    pub skips_existing: bool,
}

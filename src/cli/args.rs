//! Arguments that several commands take.

use super::ui::thousands;
use crate::archive::SnapshotSpec;
use crate::error::{Error, ErrorKind, Result};
use clap::Args;
use std::ffi::OsStr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// The archive and the moment that a reading command looks at.
#[derive(Args)]
pub(crate) struct ArchiveAt {
    /// The archive
    pub(crate) archive: PathBuf,
    #[command(flatten)]
    pub(crate) moment: AtFlag,
}

/// The moment that a reading command looks at.
#[derive(Args)]
pub(crate) struct AtFlag {
    /// Read an older state: a snapshot's number, a day (2026-11-21, yesterday, '2 weeks ago'), a time ('2026-11-21 18:30',
    /// 2026-11-21T18:30:00Z), or 'latest'
    #[arg(long, value_name = "SNAPSHOT", default_value = "latest", value_parser = parse_at)]
    pub(crate) at: SnapshotSpec,
}

pub(crate) fn parse_at(text: &str) -> Result<SnapshotSpec, String> {
    text.parse()
}

/// A moment, and how it was typed: `yesterday` is another day tomorrow.
#[derive(Debug, Clone)]
pub(super) struct TypedMoment {
    pub(super) spec: SnapshotSpec,
    pub(super) text: String,
}

impl PartialEq for TypedMoment {
    fn eq(&self, other: &TypedMoment) -> bool {
        self.spec == other.spec
    }
}

impl Eq for TypedMoment {}

pub(super) fn parse_typed(text: &str) -> Result<TypedMoment, String> {
    Ok(TypedMoment { spec: text.parse()?, text: text.trim().to_owned() })
}

/// Whether an import keeps the index of searches.
#[derive(Args, Clone, Copy)]
pub(crate) struct IndexFlag {
    /// Do not keep the index that makes 'find' fast; the next search makes it
    #[arg(long)]
    no_index: bool,
}

impl IndexFlag {
    /// True if the index is kept.
    pub(crate) fn is_kept(self) -> bool {
        !self.no_index
    }
}

/// A path of the tree as the user typed it.
pub(crate) fn tree_path(path: &OsStr) -> Result<&str> {
    path.to_str()
        .ok_or_else(|| Error::new(ErrorKind::Usage, format!("{path:?} is not UTF-8; all paths of the tree are")))
}

/// Reads a number in a range, for clap, whose own messages are those of Rust.
pub(crate) fn number<T: TryFrom<u64>>(
    range: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static {
    move |text| {
        let number = text.trim().replace(',', "").parse().ok().filter(|number| range.contains(number));
        let (least, most) = (range.start(), range.end());
        let wanted = || match (*least, *most) {
            (0, u64::MAX) => "not a number, such as 20".to_owned(),
            (least, u64::MAX) => format!("not a number from {least} on"),
            (least, most) => format!("not a number from {} to {}", thousands(least), thousands(most)),
        };
        number.and_then(|number| T::try_from(number).ok()).ok_or_else(wanted)
    }
}

/// A percentage like `example`, as a share of 1; the sign may be missing. The caller checks the range.
pub(crate) fn parse_percent(text: &str, example: &str) -> Result<f64, String> {
    let number = text.trim_end_matches('%').trim().parse::<f64>();
    number.map(|number| number / 100.0).map_err(|_| format!("not a percentage like {example}"))
}

/// Where large bodies wait: beside the archive, where there has to be room for them anyway.
pub(crate) fn spool(archive: &Path) -> PathBuf {
    archive.parent().filter(|parent| !parent.as_os_str().is_empty()).map_or_else(|| PathBuf::from("."), Path::to_owned)
}

//! Sets of UIDs (RFC 9051 section 9, `sequence-set`): `1:4,7`.

/// The longest text of a set in a command, in bytes: RFC 7162 section 4 wants servers to take lines of 8,192.
pub const LONGEST: usize = 8_000;

/// A set of UIDs: ranges in ascending order that neither touch nor overlap, so that a mailbox of millions costs little.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UidSet {
    ranges: Vec<(u32, u32)>,
}

impl UidSet {
    /// The set of no UIDs.
    pub fn new() -> UidSet {
        UidSet::default()
    }

    /// All UIDs from `first` on.
    pub fn from(first: u32) -> UidSet {
        UidSet { ranges: vec![(first.max(1), u32::MAX)] }
    }

    /// Every UID.
    pub fn all() -> UidSet {
        UidSet::from(1)
    }

    /// Reads `1:4,7` as servers say it. Ranges may be turned round or overlap; `*` is the largest UID, and what makes
    /// no sense is left out.
    pub fn parse(text: &[u8]) -> UidSet {
        let number = |text: &[u8]| match text {
            b"*" => Some(u32::MAX),
            _ if !text.is_empty() && text.iter().all(u8::is_ascii_digit) => {
                std::str::from_utf8(text).ok()?.parse().ok()
            }
            _ => None,
        };
        let mut ranges = Vec::new();
        for part in text.split(|&b| b == b',') {
            let mut ends = part.splitn(2, |&b| b == b':');
            let first = ends.next().and_then(number);
            let last = ends.next().map_or(first, number);
            if let (Some(a), Some(b)) = (first, last) {
                ranges.push((a.min(b).max(1), a.max(b)));
            }
        }
        UidSet::of_ranges(ranges)
    }

    /// The `count` UIDs of a set in the order in which it names them, as APPENDUID has them (RFC 4315 section 3). `None` if it
    /// does not name so many.
    pub fn in_order(text: &[u8], count: usize) -> Option<Vec<u32>> {
        let mut uids = Vec::with_capacity(count);
        for part in text.split(|&b| b == b',') {
            for &(first, last) in UidSet::parse(part).ranges() {
                if u64::from(last - first) >= (count - uids.len()) as u64 {
                    return None;
                }
                uids.extend(first..=last);
            }
        }
        (uids.len() == count).then_some(uids)
    }

    /// The set of these ranges, in any order. A range that is turned round, or begins at 0, is left out.
    pub fn of_ranges(mut ranges: Vec<(u32, u32)>) -> UidSet {
        ranges.retain(|&(first, last)| first >= 1 && first <= last);
        ranges.sort_unstable();
        let mut set = UidSet::default();
        for (first, last) in ranges {
            match set.ranges.last_mut() {
                Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
                _ => set.ranges.push((first, last)),
            }
        }
        set
    }

    /// Adds all of another set.
    pub fn extend(&mut self, other: &UidSet) {
        if self.ranges.is_empty() {
            self.ranges.clone_from(&other.ranges);
        } else if !other.ranges.is_empty() {
            let mut ranges = std::mem::take(&mut self.ranges);
            ranges.extend_from_slice(&other.ranges);
            *self = UidSet::of_ranges(ranges);
        }
    }

    /// True if the UID is in the set.
    pub fn contains(&self, uid: u32) -> bool {
        let at = self.ranges.partition_point(|&(_, last)| last < uid);
        self.ranges.get(at).is_some_and(|&(first, _)| first <= uid)
    }

    /// True if no UID is in the set.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The number of UIDs.
    pub fn len(&self) -> u64 {
        self.ranges.iter().map(|&(first, last)| u64::from(last - first) + 1).sum()
    }

    /// The ranges, first and last UID of each, in ascending order.
    pub fn ranges(&self) -> &[(u32, u32)] {
        &self.ranges
    }

    /// The text of the set, in as many pieces as are needed so that none is longer than `longest` bytes (at least 32).
    /// A range to the largest UID there can be is written `n:*`.
    pub fn texts(&self, longest: usize) -> Vec<String> {
        let mut texts: Vec<String> = Vec::new();
        for &(first, last) in &self.ranges {
            let text = match last {
                u32::MAX => format!("{first}:*"),
                _ if first == last => first.to_string(),
                _ => format!("{first}:{last}"),
            };
            match texts.last_mut() {
                Some(before) if before.len() + 1 + text.len() <= longest.max(32) => {
                    before.push(',');
                    before.push_str(&text);
                }
                _ => texts.push(text),
            }
        }
        texts
    }
}

impl FromIterator<u32> for UidSet {
    fn from_iter<I: IntoIterator<Item = u32>>(uids: I) -> UidSet {
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for uid in uids {
            match ranges.last_mut() {
                Some(before) if before.1.checked_add(1) == Some(uid) => before.1 = uid,
                _ => ranges.push((uid, uid)),
            }
        }
        UidSet::of_ranges(ranges)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn texts_are_short() {
        let set: UidSet = [7, 1, 2, 3, 4, 4, 0].into_iter().collect();
        assert_eq!(set.texts(LONGEST), ["1:4,7"]);
        assert_eq!(UidSet::from(0).texts(LONGEST), ["1:*"]);
        assert_eq!(UidSet::parse(b"4:2,9:*,x,,5:,0,3").texts(LONGEST), ["2:4,9:*"]);
        assert_eq!(UidSet::parse(b"1:4294967295").len(), 4_294_967_295);
        assert!(UidSet::parse(b"99999999999").is_empty());
        let odd: UidSet = (0..30_000).map(|n| n * 2 + 1).collect();
        let texts = odd.texts(LONGEST);
        assert!(texts.len() > 1 && texts.iter().all(|text| text.len() <= LONGEST));
        let back = texts.iter().fold(UidSet::new(), |mut all, text| {
            all.extend(&UidSet::parse(text.as_bytes()));
            all
        });
        assert_eq!(back, odd);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_set(bytes: Vec<u8>) {
            UidSet::parse(&bytes);
        }

        #[test]
        fn a_set_is_what_was_put_in(uids in proptest::collection::btree_set(1u32..200, 0..60), more in proptest::collection::btree_set(1u32..200, 0..60)) {
            let mut set: UidSet = uids.iter().copied().collect();
            set.extend(&more.iter().copied().collect());
            let all: BTreeSet<u32> = uids.union(&more).copied().collect();
            prop_assert_eq!(set.len(), all.len() as u64);
            prop_assert!((0..220).all(|uid| set.contains(uid) == all.contains(&uid)));
            let read = set.texts(40).iter().flat_map(|text| UidSet::parse(text.as_bytes()).ranges().to_vec()).collect::<Vec<_>>();
            prop_assert_eq!(UidSet::of_ranges(read), set);
        }
    }
}

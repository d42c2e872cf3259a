//! The times of snapshots, where the clock was wrong.
//!
//! Snapshots are in the order of their numbers, also where the clock said otherwise. A run made with a clock that was years
//! ahead, or behind, must not be taken for the newest one, and no other snapshot may be forgotten because of it.

/// No snapshot is older: 2020-01-01. Clocks without a battery begin before, at 1970, 2000 or 2010.
const FIRST: i64 = 1_577_836_800;

/// How far the clock of this machine may be behind.
const AHEAD: i64 = 86_400;

/// The time that counts for each end, in the order of the snapshots' numbers: never before that of the snapshot before.
///
/// Of the ends that a right clock can have said, the largest set that is in order counts as it is. Any other end counts as
/// the one before it, or the one after it where there is none before.
pub(super) fn believed(ends: &[i64]) -> Vec<i64> {
    believed_at(ends, jiff::Timestamp::now().as_second())
}

fn believed_at(ends: &[i64], now: i64) -> Vec<i64> {
    let can_be = |end: &i64| (FIRST..=now.saturating_add(AHEAD)).contains(end);
    let possible: Vec<usize> = (0..ends.len()).filter(|at| can_be(&ends[*at])).collect();
    // With none it is this clock that is wrong.
    let possible = if possible.is_empty() { (0..ends.len()).collect() } else { possible };
    let marks = longest_in_order(&possible.iter().map(|at| ends[*at]).collect::<Vec<_>>());
    let mut is_believed = vec![false; ends.len()];
    possible.iter().zip(marks).for_each(|(at, mark)| is_believed[*at] = mark);
    let first = ends.iter().zip(&is_believed).find(|(_, is_believed)| **is_believed).map(|(end, _)| *end);
    let mut last = first.unwrap_or_default();
    ends.iter()
        .zip(is_believed)
        .map(|(end, is_believed)| {
            if is_believed {
                last = *end;
            }
            last
        })
        .collect()
}

/// Marks the longest subsequence that never falls (patience sorting, O(n log n)).
fn longest_in_order(ends: &[i64]) -> Vec<bool> {
    // The last element of the best subsequence of each length, and the one before each element.
    let mut best: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(ends.len());
    for (at, end) in ends.iter().enumerate() {
        let length = best.partition_point(|other| ends[*other] <= *end);
        before.push(length.checked_sub(1).map(|shorter| best[shorter]));
        match best.get_mut(length) {
            Some(last) => *last = at,
            None => best.push(at),
        }
    }
    let mut marks = vec![false; ends.len()];
    let mut next = best.last().copied();
    while let Some(at) = next {
        marks[at] = true;
        next = before[at];
    }
    marks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_follow_the_numbers() {
        for (ends, counted) in [
            (vec![], vec![]),
            (vec![1, 2, 2, 3], vec![1, 2, 2, 3]),
            (vec![1, 2, 900, 3, 4], vec![1, 2, 2, 3, 4]),
            (vec![900, 3, 4], vec![3, 3, 4]),
            (vec![10, 11, 12, 1], vec![10, 11, 12, 12]),
            (vec![10, 11, 11, 1, 2, 12], vec![10, 11, 11, 11, 11, 12]),
        ] {
            assert_eq!(believed_at(&ends, 1_000), counted, "{ends:?}");
        }
    }

    #[test]
    fn what_no_right_clock_says_is_not_believed_however_often() {
        let day = |number: i64| FIRST + number * 86_400;
        let ends = [day(1), day(11), day(21), 36_000, 39_600, 43_200, 46_800, day(31), day(26_000)];
        let counted = [day(1), day(11), day(21), day(21), day(21), day(21), day(21), day(31), day(31)];
        assert_eq!(believed_at(&ends, day(31)), counted);
        assert_eq!(believed_at(&[day(30), 0], day(31)), [day(30), day(30)]);
    }
}

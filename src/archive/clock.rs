//! The times of snapshots, where the clock was wrong.
//!
//! Snapshots are in the order of their numbers, whatever the clock said. A run made with a clock that was years ahead, or
//! behind, must not be taken for the newest one, nor push others out.

/// The time that counts for each end, in the order of the snapshots' numbers: never before that of the snapshot before.
///
/// The most ends that are in order are believed as they are. One of the others counts as of the end before it, or after
/// it where there is none before.
pub fn believed(ends: &[i64]) -> Vec<i64> {
    let is_believed = longest_in_order(ends);
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
            assert_eq!(believed(&ends), counted, "{ends:?}");
        }
    }
}

//! How a stream of changes goes on from the last number seen.
//!
//! Invariant: what is sent next has the next number, or the client is told that something is missing. There is no third.

/// What comes after a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing yet.
    Nothing,
    /// So many of the changes that were read: they follow without a gap.
    Changes(usize),
    /// It is not known any more, or never was: go on from the head, which is this.
    Resync(i64),
}

/// What comes after `last`, where `head` is the number last given, and changes of these numbers, ascending, were read
/// behind `last` in the same snapshot.
pub(crate) fn next(last: i64, head: i64, read: impl IntoIterator<Item = i64>) -> Next {
    if head == last {
        return Next::Nothing;
    }
    let following = read.into_iter().zip(last.saturating_add(1)..).take_while(|(number, due)| number == due);
    match following.count() {
        // The oldest are gone; or the number is of a time that this timeline does not remember.
        0 => Next::Resync(head),
        count => Next::Changes(count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_follows_without_a_gap_or_is_said_to_be_missing() {
        for (last, head, read, expected) in [
            (0, 0, vec![], Next::Nothing),
            (7, 7, vec![], Next::Nothing),
            (0, 2, vec![1, 2], Next::Changes(2)),
            (5, 9, vec![6, 7], Next::Changes(2)),
            // The oldest were dropped, some or all.
            (5, 9, vec![8, 9], Next::Resync(9)),
            (5, 9, vec![], Next::Resync(9)),
            (0, 9, vec![2, 3], Next::Resync(9)),
            // A hole is not passed over.
            (5, 9, vec![6, 8, 9], Next::Changes(1)),
            // Of the future, or of before the pet was forgotten.
            (10, 9, vec![], Next::Resync(9)),
            (10, 0, vec![], Next::Resync(0)),
            (i64::MAX, 9, vec![], Next::Resync(9)),
        ] {
            assert_eq!(next(last, head, read.clone()), expected, "{last} {head} {read:?}");
        }
    }
}

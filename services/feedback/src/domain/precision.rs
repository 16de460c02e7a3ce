//! How sure a share is that was counted.

/// 0.975 quantile of the standard normal distribution: 95 % lie within it on both sides.
const Z: f64 = 1.959_963_984_540_054;

/// A share, with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Precision {
    pub(crate) share: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Precision {
    /// The share of those that are right, with Wilson's score interval (E. B. Wilson, J. Am. Stat. Assoc. 22, 1927, 209–212;
    /// without continuity correction): it stays within 0 to 1 and is sound for the few words that a rule gets at first.
    /// `None` where there are none.
    #[expect(clippy::cast_precision_loss, reason = "counts of words are far below 2^53")]
    pub(crate) fn of(right: i64, wrong: i64) -> Option<Self> {
        let (right, all) = (right.max(0) as f64, (right.max(0) + wrong.max(0)) as f64);
        if all == 0.0 {
            return None;
        }
        let (share, squared) = (right / all, Z * Z);
        let scale = 1.0 + squared / all;
        let middle = (share + squared / (2.0 * all)) / scale;
        let half = Z / scale * (share * (1.0 - share) / all + squared / (4.0 * all * all)).sqrt();
        // The ends meet 0 and 1 but for what rounding leaves.
        let low = if right == 0.0 { 0.0 } else { (middle - half).max(0.0) };
        let high = if right == all { 1.0 } else { (middle + half).min(1.0) };
        Some(Self { share, low, high })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_wilsons() {
        // As R's prop.test(right, all, correct = FALSE) answers.
        for (right, wrong, share, low, high) in [
            (8, 2, 0.8, 0.490_162_5, 0.943_317_8),
            (0, 10, 0.0, 0.0, 0.277_532_8),
            (10, 0, 1.0, 0.722_467_2, 1.0),
            (50, 50, 0.5, 0.403_831_5, 0.596_168_5),
            (1, 0, 1.0, 0.206_549_3, 1.0),
            (0, 1, 0.0, 0.0, 0.793_450_7),
        ] {
            let found = Precision::of(right, wrong).unwrap();
            for (found, expected) in [(found.share, share), (found.low, low), (found.high, high)] {
                assert!(
                    (found - expected).abs() < 1e-7,
                    "{right} of {}: {found} ≠ {expected}",
                    right + wrong
                );
            }
        }
    }

    #[test]
    fn of_nothing_there_is_no_share() {
        assert_eq!(Precision::of(0, 0), None);
    }

    #[test]
    fn an_interval_holds_its_share_and_narrows() {
        let mut width = f64::INFINITY;
        for words in [1, 10, 100, 1_000, 1_000_000] {
            let Precision { share, low, high } = Precision::of(3 * words, words).unwrap();
            assert!((0.0..=share).contains(&low) && (share..=1.0).contains(&high));
            assert!(high - low < width);
            width = high - low;
        }
    }
}

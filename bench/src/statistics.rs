//! Statistics of the rounds.

/// The fewest rounds with which a bar is judged.
pub(crate) const ENOUGH: usize = 5;

/// The median and the range of some values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    /// The middle value, or the mean of the two in the middle.
    pub(crate) median: f64,
    /// The smallest one.
    pub(crate) least: f64,
    /// The largest one.
    pub(crate) most: f64,
}

/// The spread of some values; not-a-number if there are none.
pub(crate) fn spread(values: impl IntoIterator<Item = f64>) -> Spread {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let (Some(&least), Some(&most)) = (values.first(), values.last()) else {
        return Spread { median: f64::NAN, least: f64::NAN, most: f64::NAN };
    };
    let middle = values.len() / 2;
    let median = match values.len() % 2 {
        1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    };
    Spread { median, least, most }
}

/// Compares two servers round by round: calls `how` with the runs of both in the same round.
pub(crate) fn pairs<R>(ours: &[R], theirs: &[R], how: impl Fn(&R, &R) -> f64) -> Vec<f64> {
    ours.iter().zip(theirs).map(|(ours, theirs)| how(ours, theirs)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(spread([3.0, 1.0, 2.0]), Spread { median: 2.0, least: 1.0, most: 3.0 });
        assert_eq!(spread([4.0, 1.0, 2.0, 3.0]).median, 2.5);
        assert!(spread([]).median.is_nan());
    }

    /// The machine got slower by half with each round; the servers did not.
    #[test]
    fn a_ratio_is_of_one_round() {
        let (ours, theirs) = ([90.0, 45.0, 20.0], [100.0, 50.0, 25.0]);
        assert_eq!(pairs(&ours, &theirs, |our, their| our / their), [0.9, 0.9, 0.8]);
    }
}

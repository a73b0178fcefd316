//! Congestion: by which multiples the network's postage at invite topics may rise while a node has too much to do
//! (docs/protocol.md, "Congestion").

/// The most steps.
pub const MAX_STEPS: usize = 8;
/// The largest multiple.
pub const MAX_TIMES: u32 = 1_000;

/// Multiples of the network's stamps, ascending, each from 2 to [`MAX_TIMES`]; at most [`MAX_STEPS`]. Without any the price
/// stands still.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Steps(Vec<u32>);

/// These are no steps. The fault of who published them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("steps are at most {MAX_STEPS} multiples from 2 to {MAX_TIMES}, each above the one before")]
pub struct InvalidSteps;

impl Steps {
    /// The multiples.
    #[must_use]
    pub fn as_slice(&self) -> &[u32] {
        &self.0
    }

    /// Whether so many times the postage may be asked: once, or by one of the steps.
    #[must_use]
    pub fn allow(&self, times: u32) -> bool {
        times == 1 || self.0.contains(&times)
    }

    /// The most that is ever asked.
    #[must_use]
    pub fn most(&self) -> u32 {
        self.0.last().copied().unwrap_or(1)
    }
}

impl TryFrom<Vec<u32>> for Steps {
    type Error = InvalidSteps;

    fn try_from(steps: Vec<u32>) -> Result<Self, InvalidSteps> {
        let ascending = steps.is_sorted_by(|a, b| a < b);
        let bounded = steps.iter().all(|times| (2..=MAX_TIMES).contains(times));
        if steps.len() <= MAX_STEPS && ascending && bounded { Ok(Self(steps)) } else { Err(InvalidSteps) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_ascend_within_their_bounds() {
        for (steps, expected) in [
            (vec![], true),
            (vec![2], true),
            (vec![2, 4, 1_000], true),
            (vec![1], false),
            (vec![0, 2], false),
            (vec![2, 2], false),
            (vec![4, 2], false),
            (vec![1_001], false),
            ((2..10).collect(), true),
            ((2..11).collect(), false),
        ] {
            assert_eq!(Steps::try_from(steps.clone()).is_ok(), expected, "{steps:?}");
        }
    }

    #[test]
    fn nothing_between_the_steps_is_allowed() {
        let steps = Steps::try_from(vec![2, 8]).unwrap();
        let allowed: Vec<u32> = (0..20).filter(|times| steps.allow(*times)).collect();
        assert_eq!(allowed, [1, 2, 8]);
        assert_eq!((steps.most(), Steps::default().most()), (8, 1));
    }
}

//! What an account names in a generation: one commitment, and at most one in its place.

use xmtp_proto::field::Commitment;

/// How often an account may name another commitment in a generation: after a leak, once. A fresh commitment is a fresh
/// pseudonym and a fresh quota, so it must not be had for the asking.
const CHANGES_MAX: u32 = 1;

/// The commitment that stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Naming {
    pub(crate) commitment: Commitment,
    changes: u32,
}

impl Naming {
    /// The first that an account names.
    pub(crate) const fn first(commitment: Commitment) -> Self {
        Self { commitment, changes: 0 }
    }

    /// With another commitment in its place; none if it is the same one, or the account has changed it often enough: then what
    /// it named last stays.
    pub(crate) fn changed(self, commitment: Commitment) -> Option<Self> {
        let may_change = commitment != self.commitment && self.changes < CHANGES_MAX;
        may_change.then(|| Self { commitment, changes: self.changes + 1 })
    }
}

#[cfg(test)]
mod tests {
    use xmtp_proto::field::FieldElement;

    use super::*;

    #[test]
    fn commitment_is_changed_once_and_the_last_one_stands() {
        let [one, two, three] = [1, 2, 3].map(|it: u64| Commitment::from(FieldElement::from(it)));
        let first = Naming::first(one);
        assert_eq!(first.changed(one), None);
        let second = first.changed(two).unwrap();
        assert_eq!(second.commitment, two);
        assert_eq!((second.changed(three), second.changed(one)), (None, None));
    }
}

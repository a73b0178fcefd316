//! The roots of claims as validation reads them: one immutable snapshot for the length of a request.

use std::collections::HashMap;
use std::sync::Arc;

use xmtp_proto::derive::Group;
use xmtp_proto::field::Root;
use xmtp_proto::refusal::Refusal;
use xmtp_proto::time::Epoch;

use crate::groups::EpochRoots;

/// The roots of all claims at a moment. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct ClaimsView(Arc<HashMap<Group, EpochRoots>>);

impl ClaimsView {
    pub(super) fn new(groups: HashMap<Group, EpochRoots>) -> Self {
        Self(Arc::new(groups))
    }

    /// Whether a proof of this epoch is good under a root.
    ///
    /// # Errors
    /// [`Refusal::RootExpired`] if it is good in another epoch; [`Refusal::RootUnknown`] if it is none of the group's.
    pub fn lookup(&self, group: &Group, root: Root, epoch: Epoch) -> Result<(), Refusal> {
        self.0.get(group).ok_or(Refusal::RootUnknown)?.lookup(root, epoch)
    }
}

#[cfg(test)]
mod tests {
    use xmtp_proto::field::FieldElement;

    use super::*;
    use crate::groups::InForce;

    #[test]
    fn each_epoch_has_one_root() {
        let group = Group::Claim { id: [1; 32].into(), generation: 227 };
        let root = |number: u64| Root::from(FieldElement::from(number));
        let in_force = |from, number| InForce { from: Epoch(from), roots: vec![root(number)] };
        let view = ClaimsView::new([(group, EpochRoots::new(vec![in_force(10, 1), in_force(12, 2)]))].into());
        for (number, epoch, expected) in [
            (1, 9, Err(Refusal::RootExpired)),
            (1, 10, Ok(())),
            (1, 11, Ok(())),
            (1, 12, Err(Refusal::RootExpired)),
            (2, 11, Err(Refusal::RootExpired)),
            (2, 12, Ok(())),
            (2, 99, Ok(())),
            (3, 12, Err(Refusal::RootUnknown)),
        ] {
            assert_eq!(view.lookup(&group, root(number), Epoch(epoch)), expected, "root {number} in {epoch}");
        }
        let other = Group::Claim { id: [1; 32].into(), generation: 228 };
        assert_eq!(view.lookup(&other, root(1), Epoch(10)), Err(Refusal::RootUnknown));
    }
}

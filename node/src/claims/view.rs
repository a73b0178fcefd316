//! The roots of claims as validation reads them: one immutable snapshot for the length of a request.

use std::collections::HashMap;
use std::sync::Arc;

use xmtp_proto::derive::Group;
use xmtp_proto::field::Root;
use xmtp_proto::refusal::Refusal;
use xmtp_proto::time::Epoch;

/// The roots of all claims at a moment. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct ClaimsView(Arc<HashMap<Group, Vec<InForce>>>);

/// The roots of a group from an epoch on, until others take their place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InForce {
    pub(super) from: Epoch,
    pub(super) roots: Vec<Root>,
}

impl ClaimsView {
    /// With the roots of each group ascending by epoch.
    pub(super) fn new(groups: HashMap<Group, Vec<InForce>>) -> Self {
        Self(Arc::new(groups))
    }

    /// Whether a proof of this epoch is good under a root.
    ///
    /// # Errors
    /// [`Refusal::RootExpired`] if it is good in another epoch; [`Refusal::RootUnknown`] if it is none of the group's.
    pub fn lookup(&self, group: &Group, root: Root, epoch: Epoch) -> Result<(), Refusal> {
        let all = self.0.get(group).map(Vec::as_slice).unwrap_or_default();
        let current = all.iter().rfind(|it| it.from <= epoch);
        if current.is_some_and(|it| it.roots.contains(&root)) {
            return Ok(());
        }
        let known = all.iter().any(|it| it.roots.contains(&root));
        Err(if known { Refusal::RootExpired } else { Refusal::RootUnknown })
    }
}

#[cfg(test)]
mod tests {
    use xmtp_proto::field::FieldElement;

    use super::*;

    #[test]
    fn each_epoch_has_one_root() {
        let group = Group::Claim { id: [1; 32].into(), generation: 227 };
        let root = |number: u64| Root::from(FieldElement::from(number));
        let in_force = |from, number| InForce { from: Epoch(from), roots: vec![root(number)] };
        let view = ClaimsView::new([(group, vec![in_force(10, 1), in_force(12, 2)])].into());
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

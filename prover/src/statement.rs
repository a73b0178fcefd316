//! What a proof states (docs/protocol.md, "The pass circuit").

use ark_bn254::Fr;
use xmtp_proto::field::{ExternalNullifier, FieldElement, Nullifier, Root, Scope, Share, Signal, Tag};

use crate::field::to_fr;

/// Somebody whose leaf is under this root used one of its indices for this signal.
///
/// A verifier computes `root`, `external_nullifier`, `signal` and `scope` itself and takes `share`, `nullifier` and
/// `tag` from the prover.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Statement {
    /// A root of a volume of the group.
    pub root: Root,
    /// Protocol, network, group, purpose and epoch.
    pub external_nullifier: ExternalNullifier,
    /// *x*: the envelope. Never zero.
    pub signal: Signal,
    /// *y*: two of them for one nullifier reveal the secret.
    pub share: Share,
    /// The index that was used, by a name that says nothing of its owner.
    pub nullifier: Nullifier,
    /// Towards whom the tag is made.
    pub scope: Scope,
    /// The owner's pseudonym within the scope.
    pub tag: Tag,
}

impl Statement {
    /// The circuit's public inputs, in the order in which it allocates them.
    #[must_use]
    pub fn public_inputs(&self) -> [FieldElement; 7] {
        let Self { root, external_nullifier, signal, share, nullifier, scope, tag } = self;
        [
            root.field(),
            external_nullifier.field(),
            signal.field(),
            share.field(),
            nullifier.field(),
            scope.field(),
            tag.field(),
        ]
    }

    pub(crate) fn numbers(&self) -> [Fr; 7] {
        self.public_inputs().map(to_fr)
    }
}

//! A stamp out of a book: the path of its leaf, the proof, and a look at the proof before anybody else sees it.

use alloy::primitives::{Address, B256};
use chacha20::ChaCha20Rng;
use chacha20::rand_core::SeedableRng;
use xmtp_proto::derive::{self, ClaimId, Group, NetworkId, Purpose};
use xmtp_proto::envelope::Envelope;
use xmtp_proto::field::{ExternalNullifier, FieldElement, Leaf, Scope, Signal};
use xmtp_proto::pass;
use xmtp_prover::{
    Blank, FinishError, Index, Limit, PassSecret, Path, Position, Proof, ProveError, ProvingKey, Statement,
    VerifyError, VerifyingKey, Witness, leaf, prove, verify,
};

use crate::keys::{NoRandomness, random};
use crate::transport::{Connection, KeptGroup, RootKind, StampGroup, TransportError, VolumeRoot};

/// A stamp that was set aside for an envelope.
pub struct StampToUse<'a> {
    /// Denomination and issue.
    pub group: StampGroup,
    /// The book's secret.
    pub secret: &'a PassSecret,
    /// Stamps in the book.
    pub count: Limit,
    /// Which of them. Belongs to one envelope for ever.
    pub index: Index,
    /// Whether its tag is made for the envelope's topic.
    pub tagged: bool,
}

/// Why there is no stamp.
#[derive(Debug, thiserror::Error)]
pub enum FrankError {
    /// The node has not seen the book or the stake yet, or not under a root that it accepts. Wait for the chain's
    /// confirmations.
    #[error("the node does not know the leaf yet: wait for the chain to confirm the transaction, then try again")]
    NotYetRooted,
    /// The bucket that the node served does not lead to the root that it named. The node's fault: use another.
    #[error("the node served a bucket that does not have the book's leaf under the root it named")]
    WrongBucket,
    /// The node serves a root of a claim that not enough of its issuers signed. The node's fault: use another.
    #[error("the node serves a snapshot of claim {0} that not enough of its issuers signed")]
    NotIssued(ClaimId),
    /// The node could not be asked.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// There can be no such proof. A mistake of this crate's, or a damaged record of the book.
    #[error(transparent)]
    Prove(#[from] ProveError),
    /// A blank became no proof. A mistake of this crate's.
    #[error(transparent)]
    Finish(#[from] FinishError),
    /// The proof does not verify: the proving key is damaged.
    #[error("the proof just made does not verify ({0}): the proving key is damaged; remove it, it is made again")]
    SelfCheck(#[from] VerifyError),
    /// No randomness.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
}

/// The path of a leaf under the newest checkpoint that has it, else under the newest fresh root. Believes the node in
/// nothing: the path must lead from the leaf to the root.
///
/// # Errors
/// [`FrankError`].
pub async fn find_path(
    connection: &Connection,
    group: impl Into<KeptGroup>,
    position: Position,
    of: Leaf,
) -> Result<(VolumeRoot, Path), FrankError> {
    let group = group.into();
    let roots = connection.roots(group).await?;
    let root = best_root(&roots, position).ok_or(FrankError::NotYetRooted)?;
    let bucket = connection.bucket(group, root.root, xmtp_prover::Bucket::index_of(position.index)).await?;
    if bucket.volume() != position.volume {
        return Err(FrankError::WrongBucket);
    }
    // Some hundred hashes: a tenth of a second at most.
    let found = tokio::task::spawn_blocking(move || {
        let path = bucket.path(position.index).ok()?;
        (path.root_of(of) == Ok(root.root)).then_some(path)
    });
    let path = found.await.ok().flatten().ok_or(FrankError::WrongBucket)?;
    Ok((root, path))
}

fn best_root(roots: &[VolumeRoot], position: Position) -> Option<VolumeRoot> {
    let has_leaf = |root: &&VolumeRoot| root.volume == position.volume && root.leaves > position.index;
    let newest = |kind| roots.iter().filter(has_leaf).filter(|root| root.kind == kind).max_by_key(|root| root.block);
    newest(RootKind::Checkpoint).or_else(|| newest(RootKind::Fresh)).copied()
}

/// Makes a stamp for an envelope, and verifies it.
///
/// Takes about a fifth of a second of computation. The caller has the index on record for this very envelope.
///
/// # Errors
/// [`FrankError`].
pub fn stamp(
    key: &ProvingKey,
    verifying_key: &VerifyingKey,
    (network, postage): (NetworkId, Address),
    envelope: &Envelope,
    to_use: &StampToUse<'_>,
    path: &Path,
) -> Result<pass::Stamp, FrankError> {
    let StampToUse { group, secret, count, index, tagged } = *to_use;
    let StampGroup { denomination, issue } = group;
    let external_nullifier = external_nullifier((network, postage), group);
    let nonce = if tagged { None } else { Some(random_scope()?) };
    let scope = nonce.unwrap_or_else(|| derive::scope(network, &envelope.topic));
    let witness = Witness { secret, limit: count, index, path };
    let signal = envelope.id(network).signal();
    let proof = proof(key, verifying_key, &witness, external_nullifier, signal, scope)?;
    Ok(pass::Stamp { denomination, issue, proof, nonce })
}

/// Makes a proof and verifies it: what every pass of the circuit is made of.
pub(crate) fn proof(
    key: &ProvingKey,
    verifying_key: &VerifyingKey,
    witness: &Witness<'_>,
    external_nullifier: ExternalNullifier,
    signal: Signal,
    scope: Scope,
) -> Result<pass::Proof, FrankError> {
    let mut rng = ChaCha20Rng::from_seed(*random()?);
    let (statement, proof) = prove(key, witness, external_nullifier, signal, scope, &mut rng)?;
    checked(verifying_key, &statement, &proof)
}

/// Looks at a proof before anybody else does.
fn checked(verifying_key: &VerifyingKey, statement: &Statement, proof: &Proof) -> Result<pass::Proof, FrankError> {
    verify(verifying_key, statement, proof)?;
    Ok(pass::Proof {
        root: statement.root,
        nullifier: statement.nullifier,
        share: statement.share,
        tag: statement.tag,
        points: proof.to_bytes(),
    })
}

/// Finishes a blank for an envelope, and verifies the proof: two milliseconds.
///
/// The caller has the blank's index on record for this very envelope.
///
/// # Errors
/// [`FrankError::Finish`], [`FrankError::SelfCheck`]; the index may still be proved in the ordinary way.
pub(crate) fn finish(
    blank: Blank,
    verifying_key: &VerifyingKey,
    network: NetworkId,
    envelope: &Envelope,
    (group, secret, tagged): (StampGroup, &PassSecret, bool),
) -> Result<pass::Stamp, FrankError> {
    let StampGroup { denomination, issue } = group;
    let nonce = (!tagged).then(|| blank.scope());
    let (statement, proof) = blank.finish(secret, envelope.id(network).signal())?;
    Ok(pass::Stamp { denomination, issue, proof: checked(verifying_key, &statement, &proof)?, nonce })
}

/// What the nullifiers of a group's stamps are bound to.
pub(crate) fn external_nullifier((network, postage): (NetworkId, Address), group: StampGroup) -> ExternalNullifier {
    let StampGroup { denomination, issue } = group;
    Group::Stamps { denomination, issue }.id(network, postage).external_nullifier(Purpose::Envelope, None)
}

/// The leaf of a book.
#[must_use]
pub(crate) fn leaf_of(secret: &PassSecret, count: Limit) -> Leaf {
    leaf(secret.commitment(), count)
}

/// 248 random bits: below the modulus.
pub(crate) fn random_scope() -> Result<Scope, NoRandomness> {
    Ok(FieldElement::from_hash(B256::from(*random::<32>()?)).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(volume: u32, kind: RootKind, leaves: u32, block: u64) -> VolumeRoot {
        VolumeRoot { volume, kind, root: FieldElement::from(block).into(), leaves, block }
    }

    fn check(roots: &[VolumeRoot], index: u32, block: Option<u64>) {
        let found = best_root(roots, Position { volume: 0, index });
        assert_eq!(found.map(|root| root.block), block, "leaf {index}");
    }

    #[test]
    fn newest_checkpoint_with_the_leaf_is_taken_before_a_fresh_root() {
        let roots = [
            root(0, RootKind::Checkpoint, 10, 100),
            root(0, RootKind::Checkpoint, 12, 150),
            root(0, RootKind::Fresh, 20, 200),
            root(1, RootKind::Checkpoint, 99, 300),
        ];
        check(&roots, 9, Some(150));
        check(&roots, 11, Some(150));
        check(&roots, 12, Some(200));
        check(&roots, 20, None);
    }
}

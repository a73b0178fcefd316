//! A pass out of a stake: the proof that somebody has tokens locked, and not who.

use alloy::primitives::Address;
use xmtp_proto::derive::{self, Group, NetworkId, Purpose};
use xmtp_proto::envelope::Envelope;
use xmtp_proto::field::ExternalNullifier;
use xmtp_proto::pass;
use xmtp_proto::time::Epoch;
use xmtp_prover::{Index, Limit, PassSecret, Path, ProvingKey, VerifyingKey, Witness};

use super::stamp::{FrankError, proof};

/// An index of a stake's day that was set aside for an envelope.
pub struct StakeToUse<'a> {
    /// The contract that keeps it.
    pub contract: Address,
    /// Its tier.
    pub tier: u32,
    /// The stake's secret.
    pub secret: &'a PassSecret,
    /// Envelopes a day.
    pub limit: Limit,
    /// On which day.
    pub epoch: Epoch,
    /// Which. Belongs to one envelope for ever.
    pub index: Index,
}

/// Makes the pass for an envelope, and verifies it.
///
/// Takes about a fifth of a second of computation. The caller has the index on record for this very envelope.
///
/// # Errors
/// [`FrankError`].
pub fn stake(
    key: &ProvingKey,
    verifying_key: &VerifyingKey,
    (network, postage): (NetworkId, Address),
    envelope: &Envelope,
    to_use: &StakeToUse<'_>,
    path: &Path,
) -> Result<pass::Stake, FrankError> {
    let StakeToUse { contract, tier, secret, limit, epoch, index } = *to_use;
    let witness = Witness { secret, limit, index, path };
    let external = stake_external_nullifier((network, postage), (contract, tier), epoch);
    let (signal, scope) = (envelope.id(network).signal(), derive::scope(network, &envelope.topic));
    Ok(pass::Stake { tier, epoch, proof: proof(key, verifying_key, &witness, external, signal, scope)? })
}

/// What the nullifiers of a tier's stakes are bound to on a day: one purpose, whatever they are asked for.
pub(crate) fn stake_external_nullifier(
    (network, postage): (NetworkId, Address),
    (contract, tier): (Address, u32),
    epoch: Epoch,
) -> ExternalNullifier {
    Group::Stake { contract, tier }.id(network, postage).external_nullifier(Purpose::Envelope, Some(epoch))
}

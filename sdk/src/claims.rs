//! Claims: the proof that its maker is one of those of whom a claim holds, and not which (docs/protocol.md, "The pass circuit",
//! "Snapshots").
//!
//! A node is believed neither that a root is the issuers', nor how many leaves are under it, nor which: as many issuers as the
//! claim asks for must have signed a snapshot with this root, which says how many, and the leaf's path must lead to it. Of a
//! claim that holders register it is believed what it says of the chain, as with stamps.

use std::collections::{BTreeMap, BTreeSet};

use alloy::primitives::Address;
use xmtp_proto::claim::Terms;
use xmtp_proto::derive::{self, Group, NetworkId, Purpose};
use xmtp_proto::envelope::Envelope;
use xmtp_proto::field::{ExternalNullifier, Leaf, Root};
use xmtp_proto::pass;
use xmtp_proto::postmark::Cursor;
use xmtp_proto::snapshot::{Anchorage, Entry, Snapshot};
use xmtp_proto::time::Epoch;
use xmtp_proto::topic::Topic;
use xmtp_prover::{Index, Limit, PassSecret, Path, ProvingKey, VerifyingKey, Witness};

use crate::franking::{FrankError, proof};
use crate::membership::look_in;
use crate::transport::{ClaimGroup, Connection, Order};

/// The fewest holders among whom a claim is shown without asking the user.
pub const SMALL_CLAIM: u32 = 100;
/// Pages of a claim's topic that are read in search of a root.
const PAGES: usize = 64;
const PAGE: u32 = 100;
const BUCKET_LEAVES: u32 = xmtp_prover::tree::BUCKET_LEAVES as u32;
const VOLUME_LEAVES: u32 = xmtp_prover::tree::VOLUME_LEAVES;

/// A claim's index that was set aside for an envelope.
pub struct ClaimToUse<'a> {
    /// Whose holders.
    pub group: ClaimGroup,
    /// The account's secret for claims.
    pub secret: &'a PassSecret,
    /// The limit in every leaf of the group.
    pub limit: Limit,
    /// On which day.
    pub epoch: Epoch,
    /// Which. Belongs to one envelope for ever.
    pub index: Index,
}

/// How a claim stands today.
#[derive(Clone)]
pub struct Standing {
    /// How many accounts it holds of; at most, where not all of them were looked at.
    pub holders: u32,
    /// The path of the own leaf, if it is one of them.
    pub held: Option<Path>,
}

/// Looks for a leaf in today's snapshot of a claim, or among those who registered for it. None if there is nothing today.
///
/// # Errors
/// [`FrankError::NotIssued`] if not enough issuers signed what the node serves; [`FrankError::WrongBucket`],
/// [`FrankError::Transport`].
pub async fn find_claim(
    connection: &Connection,
    group: ClaimGroup,
    (terms, at): (&Terms, Anchorage),
    leaf: Leaf,
) -> Result<Option<Standing>, FrankError> {
    let mut roots = connection.roots(group).await?;
    if roots.is_empty() {
        return Ok(None);
    }
    let mut holders = roots.iter().fold(0_u32, |sum, root| sum.saturating_add(root.leaves));
    if !terms.issuers.is_empty() {
        let named: Vec<Root> = roots.iter().map(|it| it.root).collect();
        holders = require_issued(connection, group, (terms, at), &named).await?.leaves;
        let mut left = holders;
        for root in &mut roots {
            root.leaves = left.min(VOLUME_LEAVES);
            left -= root.leaves;
        }
    }
    for root in &roots {
        for index in 0..root.leaves.div_ceil(BUCKET_LEAVES) {
            let bucket = connection.bucket(group, root.root, index).await?;
            let taken = (root.leaves - index * BUCKET_LEAVES).min(BUCKET_LEAVES);
            let stand = bucket.leaves().iter().filter(|leaf| !leaf.field().is_zero()).count();
            // Who has left hides nobody.
            holders = holders.saturating_sub(taken.saturating_sub(u32::try_from(stand).unwrap_or(u32::MAX)));
            if let Some(found) = look_in(bucket, *root, leaf).await? {
                return Ok(Some(Standing { holders, held: Some(found.path) }));
            }
        }
    }
    Ok(Some(Standing { holders, held: None }))
}

/// Looks for a snapshot of this generation with these roots that enough issuers signed, from the newest back.
async fn require_issued(
    connection: &Connection,
    ClaimGroup { id: claim, generation }: ClaimGroup,
    (terms, at): (&Terms, Anchorage),
    roots: &[Root],
) -> Result<Snapshot, FrankError> {
    let mut signers: BTreeMap<_, BTreeSet<Address>> = BTreeMap::new();
    let mut before = Cursor::default();
    for _ in 0..PAGES {
        let page = connection.query(Topic::Claim(claim.0), before, Order::NewestFirst, PAGE).await?;
        for record in &page.records {
            before = record.postmark.postmark.cursor;
            let Ok(Entry::Snapshot(signed)) = Entry::from_bytes(&record.submission.envelope().ciphertext) else {
                continue;
            };
            let Ok(signer) = signed.signer(claim, at) else { continue };
            let of_them = signed.snapshot.generation == generation && signed.snapshot.roots == roots;
            if !of_them || !terms.issuers.contains(&signer) {
                continue;
            }
            let of_it = signers.entry(signed.snapshot.digest(claim, at)).or_default();
            of_it.insert(signer);
            if of_it.len() >= usize::from(terms.threshold.max(1)) {
                return Ok(signed.snapshot);
            }
        }
        if !page.more {
            break;
        }
    }
    Err(FrankError::NotIssued(claim))
}

/// Makes the pass for an envelope, and verifies it.
///
/// Takes about a fifth of a second of computation. The caller has the index on record for this very envelope.
///
/// # Errors
/// [`FrankError`].
pub fn claim(
    key: &ProvingKey,
    verifying_key: &VerifyingKey,
    (network, postage): (NetworkId, Address),
    envelope: &Envelope,
    to_use: &ClaimToUse<'_>,
    path: &Path,
) -> Result<pass::Claim, FrankError> {
    let ClaimToUse { group, secret, limit, epoch, index } = *to_use;
    let external_nullifier = claim_external_nullifier((network, postage), group, epoch);
    let witness = Witness { secret, limit, index, path };
    let scope = derive::scope(network, &envelope.topic);
    let signal = envelope.id(network).signal();
    let proof = proof(key, verifying_key, &witness, external_nullifier, signal, scope)?;
    let ClaimGroup { id, generation } = group;
    Ok(pass::Claim { id, generation, epoch, proof })
}

/// What the nullifiers of a claim's holders are bound to on a day.
pub(crate) fn claim_external_nullifier(
    (network, postage): (NetworkId, Address),
    ClaimGroup { id, generation }: ClaimGroup,
    epoch: Epoch,
) -> ExternalNullifier {
    Group::Claim { id, generation }.id(network, postage).external_nullifier(Purpose::Envelope, Some(epoch))
}

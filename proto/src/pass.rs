//! Passes: what entitles an envelope to be relayed (docs/protocol.md, "Words"; litepaper 10.3).

use alloy_primitives::Address;

use crate::derive::{ClaimId, Denomination, Issue, OperatorId};
use crate::field::{Nullifier, Root, Scope, Share, Tag};
use crate::malformed::{Malformed, element, fixed, required};
use crate::time::{Epoch, Timestamp};
use crate::wire;

/// The length of a Groth16 proof over BN254 with compressed points.
pub const PROOF_BYTES: usize = 128;

/// What entitles an envelope to be relayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Postage.
    Stamp(Stamp),
    /// A stake.
    Stake(Stake),
    /// A claim about the chain.
    Claim(Claim),
    /// Membership among an operator's accounts.
    Member(Member),
    /// A connection that the recipient attests.
    Connection(Connection),
    /// The posting key of a conversation.
    Posting(Posting),
    /// The key of the account whose topic it is.
    Owner(Owner),
    /// The key of a claim's issuer.
    Issuer(Issuer),
}

impl Pass {
    /// What it would cancel or count.
    #[must_use]
    pub const fn nullifier(&self) -> Option<Nullifier> {
        match self.proof() {
            Some(proof) => Some(proof.nullifier),
            None => None,
        }
    }

    /// What it proves with the pass circuit.
    #[must_use]
    pub const fn proof(&self) -> Option<&Proof> {
        match self {
            Self::Stamp(Stamp { proof, .. })
            | Self::Stake(Stake { proof, .. })
            | Self::Claim(Claim { proof, .. })
            | Self::Member(Member { proof, .. }) => Some(proof),
            Self::Connection(_) | Self::Posting(_) | Self::Owner(_) | Self::Issuer(_) => None,
        }
    }
}

/// What a proof of the pass circuit shows; whoever verifies computes the other public inputs itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// A root of the group.
    pub root: Root,
    /// The name of the index that is used.
    pub nullifier: Nullifier,
    /// *y = a0 + a1·x*.
    pub share: Share,
    /// The sender's pseudonym within the scope.
    pub tag: Tag,
    /// Compressed points, not yet decoded.
    pub points: [u8; PROOF_BYTES],
}

/// One stamp of a prepaid book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Face value.
    pub denomination: Denomination,
    /// Issue of the book.
    pub issue: Issue,
    /// That such a stamp was bought, and is this one.
    pub proof: Proof,
    /// None for a tagged stamp, whose scope is its topic's.
    pub nonce: Option<Scope>,
}

/// A stake of a tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stake {
    /// The tier.
    pub tier: u32,
    /// The day whose quota is used.
    pub epoch: Epoch,
    /// That such a stake stands.
    pub proof: Proof,
}

/// A claim about the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The claim.
    pub id: ClaimId,
    /// The quarter of the commitment.
    pub generation: u32,
    /// The day whose quota is used.
    pub epoch: Epoch,
    /// That the holder is in the claim's snapshot.
    pub proof: Proof,
}

/// Membership among an operator's accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The operator.
    pub operator: OperatorId,
    /// The quarter of the commitment.
    pub generation: u32,
    /// The day whose quota is used.
    pub epoch: Epoch,
    /// That the holder is among them.
    pub proof: Proof,
}

/// A connection that the recipient attests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The holder's Ed25519 key for this connection.
    pub holder: [u8; 32],
    /// Units per epoch.
    pub quota: u32,
    /// When it ends, in whole seconds.
    pub expires_at: Timestamp,
    /// The recipient's signature.
    pub attestation: [u8; 64],
    /// The holder's signature over the digest.
    pub signature: [u8; 64],
}

/// A signature with the key that a conversation topic is named after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posting {
    /// Ed25519.
    pub key: [u8; 32],
    /// Over the digest.
    pub signature: [u8; 64],
}

/// The owner's signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Over the digest, with the account's identity key.
    pub signature: [u8; 64],
}

/// A claim issuer's signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// The issuer.
    pub issuer: Address,
    /// Over the digest.
    pub signature: [u8; 65],
}

impl TryFrom<wire::Pass> for Pass {
    type Error = Malformed;

    fn try_from(wire: wire::Pass) -> Result<Self, Malformed> {
        use wire::pass::Pass as Kind;
        let wire::Pass { pass } = wire;
        Ok(match required("pass", pass)? {
            Kind::Stamp(it) => Self::Stamp(it.try_into()?),
            Kind::Stake(wire::Stake { tier, epoch, proof }) => {
                Self::Stake(Stake { tier, epoch: Epoch(epoch), proof: required("stake.proof", proof)?.try_into()? })
            }
            Kind::Claim(wire::Claim { id, generation, epoch, proof }) => Self::Claim(Claim {
                id: fixed::<32>("claim.id", &id)?.into(),
                generation,
                epoch: Epoch(epoch),
                proof: required("claim.proof", proof)?.try_into()?,
            }),
            Kind::Member(wire::Member { operator, generation, epoch, proof }) => Self::Member(Member {
                operator: fixed::<32>("member.operator", &operator)?.into(),
                generation,
                epoch: Epoch(epoch),
                proof: required("member.proof", proof)?.try_into()?,
            }),
            Kind::Connection(wire::Connection { holder, quota, expires_at_s, attestation, signature }) => {
                let expires_at = Timestamp::from_secs(expires_at_s);
                // A later second than a timestamp can name would be stored as another one than was attested.
                if expires_at.as_secs() != expires_at_s {
                    return Err(Malformed::OutOfRange { field: "connection.expires_at_s", got: expires_at_s });
                }
                Self::Connection(Connection {
                    holder: fixed("connection.holder", &holder)?,
                    quota,
                    expires_at,
                    attestation: fixed("connection.attestation", &attestation)?,
                    signature: fixed("connection.signature", &signature)?,
                })
            }
            Kind::Posting(wire::Posting { key, signature }) => Self::Posting(Posting {
                key: fixed("posting.key", &key)?,
                signature: fixed("posting.signature", &signature)?,
            }),
            Kind::Owner(wire::Owner { signature }) => {
                Self::Owner(Owner { signature: fixed("owner.signature", &signature)? })
            }
            Kind::Issuer(wire::Issuer { issuer, signature }) => Self::Issuer(Issuer {
                issuer: fixed::<20>("issuer.issuer", &issuer)?.into(),
                signature: fixed("issuer.signature", &signature)?,
            }),
        })
    }
}

impl TryFrom<wire::Stamp> for Stamp {
    type Error = Malformed;

    fn try_from(wire: wire::Stamp) -> Result<Self, Malformed> {
        let wire::Stamp { denomination, issue, proof, nonce } = wire;
        Ok(Self {
            denomination: denomination
                .try_into()
                .map_err(|_| Malformed::OutOfRange { field: "stamp.denomination", got: denomination.into() })?,
            issue: Issue(issue),
            proof: required("stamp.proof", proof)?.try_into()?,
            nonce: if nonce.is_empty() { None } else { Some(element("stamp.nonce", &nonce)?) },
        })
    }
}

impl TryFrom<wire::Proof> for Proof {
    type Error = Malformed;

    fn try_from(wire: wire::Proof) -> Result<Self, Malformed> {
        let wire::Proof { root, nullifier, share, tag, points } = wire;
        Ok(Self {
            root: element("proof.root", &root)?,
            nullifier: element("proof.nullifier", &nullifier)?,
            share: element("proof.share", &share)?,
            tag: element("proof.tag", &tag)?,
            points: fixed("proof.points", &points)?,
        })
    }
}

impl From<Pass> for wire::Pass {
    fn from(it: Pass) -> Self {
        use wire::pass::Pass as Kind;
        let pass = match it {
            Pass::Stamp(Stamp { denomination, issue, proof, nonce }) => Kind::Stamp(wire::Stamp {
                denomination: denomination.units(),
                issue: issue.0,
                proof: Some(proof.into()),
                nonce: nonce.map(|nonce| nonce.as_bytes().to_vec()).unwrap_or_default(),
            }),
            Pass::Stake(Stake { tier, epoch, proof }) => {
                Kind::Stake(wire::Stake { tier, epoch: epoch.0, proof: Some(proof.into()) })
            }
            Pass::Claim(Claim { id, generation, epoch, proof }) => Kind::Claim(wire::Claim {
                id: id.as_bytes().to_vec(),
                generation,
                epoch: epoch.0,
                proof: Some(proof.into()),
            }),
            Pass::Member(Member { operator, generation, epoch, proof }) => Kind::Member(wire::Member {
                operator: operator.as_bytes().to_vec(),
                generation,
                epoch: epoch.0,
                proof: Some(proof.into()),
            }),
            Pass::Connection(Connection { holder, quota, expires_at, attestation, signature }) => {
                Kind::Connection(wire::Connection {
                    holder: holder.to_vec(),
                    quota,
                    expires_at_s: expires_at.as_secs(),
                    attestation: attestation.to_vec(),
                    signature: signature.to_vec(),
                })
            }
            Pass::Posting(Posting { key, signature }) => {
                Kind::Posting(wire::Posting { key: key.to_vec(), signature: signature.to_vec() })
            }
            Pass::Owner(Owner { signature }) => Kind::Owner(wire::Owner { signature: signature.to_vec() }),
            Pass::Issuer(Issuer { issuer, signature }) => {
                Kind::Issuer(wire::Issuer { issuer: issuer.to_vec(), signature: signature.to_vec() })
            }
        };
        Self { pass: Some(pass) }
    }
}

impl From<Proof> for wire::Proof {
    fn from(it: Proof) -> Self {
        let Proof { root, nullifier, share, tag, points } = it;
        Self {
            root: root.as_bytes().to_vec(),
            nullifier: nullifier.as_bytes().to_vec(),
            share: share.as_bytes().to_vec(),
            tag: tag.as_bytes().to_vec(),
            points: points.to_vec(),
        }
    }
}

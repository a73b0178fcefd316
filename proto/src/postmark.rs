//! Postmarks: an operator's signed receipt for an accepted envelope.

use alloy_primitives::{Address, B256};
use alloy_sol_types::{Eip712Domain, SolStruct, eip712_domain, sol};

use crate::derive::{EnvelopeId, NetworkId};
use crate::malformed::{Malformed, fixed};
use crate::signature;
use crate::time::Timestamp;
use crate::wire;

/// The name of the EIP-712 domain doubles as the label of the signature; the network is bound inside the struct.
const DOMAIN: Eip712Domain = eip712_domain! { name: "xmtp/sig/postmark/1", version: "1", };

mod typed {
    use super::sol;
    sol! {
        struct Postmark {
            bytes32 networkId;
            address operator;
            uint64 cursor;
            bytes32 envelopeId;
            uint64 acceptedAt;
            bytes32 cancelled;
        }
    }
}

/// A position in an operator's log, from 1, without gaps; 0 stands before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor(pub u64);

impl Cursor {
    /// The next position.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// What the operator says of an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Postmark {
    /// Where.
    pub network: NetworkId,
    /// The operator's signing address.
    pub operator: Address,
    /// The position in its log.
    pub cursor: Cursor,
    /// Which envelope.
    pub envelope: EnvelopeId,
    /// When, by the operator's clock.
    pub accepted_at: Timestamp,
    /// The hash of the cancelled nullifiers ([`crate::derive::cancelled_hash`]).
    pub cancelled: B256,
}

impl Postmark {
    /// The EIP-712 hash that the operator signs.
    #[must_use]
    pub fn signing_hash(&self) -> B256 {
        let Self { network, operator, cursor, envelope, accepted_at, cancelled } = *self;
        typed::Postmark {
            networkId: network.0,
            operator,
            cursor: cursor.0,
            envelopeId: envelope.0,
            acceptedAt: accepted_at.as_nanos(),
            cancelled,
        }
        .eip712_signing_hash(&DOMAIN)
    }
}

/// A postmark with the operator's signature, as it came; [`SignedPostmark::verify`] says whether it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedPostmark {
    /// What is said.
    pub postmark: Postmark,
    /// r, s (low), v as 27 or 28.
    pub signature: [u8; 65],
}

impl SignedPostmark {
    /// Checks that the operator it names signed it.
    ///
    /// # Errors
    /// [`signature::Invalid`] if not.
    pub fn verify(&self) -> Result<(), signature::Invalid> {
        let signer = signature::recover(self.postmark.signing_hash(), &self.signature)?;
        if signer == self.postmark.operator { Ok(()) } else { Err(signature::Invalid) }
    }
}

impl TryFrom<wire::Postmark> for SignedPostmark {
    type Error = Malformed;

    fn try_from(wire: wire::Postmark) -> Result<Self, Malformed> {
        let wire::Postmark { network_id, operator, cursor, envelope_id, accepted_at_ns, cancelled, signature } = wire;
        Ok(Self {
            postmark: Postmark {
                network: fixed::<32>("postmark.network_id", &network_id)?.into(),
                operator: fixed::<20>("postmark.operator", &operator)?.into(),
                cursor: Cursor(cursor),
                envelope: fixed::<32>("postmark.envelope_id", &envelope_id)?.into(),
                accepted_at: Timestamp::from_nanos(accepted_at_ns),
                cancelled: fixed::<32>("postmark.cancelled", &cancelled)?.into(),
            },
            signature: fixed("postmark.signature", &signature)?,
        })
    }
}

impl From<SignedPostmark> for wire::Postmark {
    fn from(it: SignedPostmark) -> Self {
        let SignedPostmark {
            postmark: Postmark { network, operator, cursor, envelope, accepted_at, cancelled },
            signature,
        } = it;
        Self {
            network_id: network.as_bytes().to_vec(),
            operator: operator.to_vec(),
            cursor: cursor.0,
            envelope_id: envelope.as_bytes().to_vec(),
            accepted_at_ns: accepted_at.as_nanos(),
            cancelled: cancelled.to_vec(),
            signature: signature.to_vec(),
        }
    }
}

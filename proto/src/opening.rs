//! Openings: a member's declaration that a conversation topic may be written to (docs/protocol.md, "Openings").
//!
//! An envelope on a conversation topic whose ciphertext has exactly [`BYTES`] bytes is one; no message is so short.

use std::time::Duration;

use alloy_primitives::B256;

use crate::derive::{NetworkId, conversation_topic};
use crate::malformed::{Malformed, fixed};
use crate::signature::{self, Invalid, Label};
use crate::time::Timestamp;
use crate::topic::Topic;

/// The length of the encoding: posting key 32 ‖ quota u32 ‖ expiry u64 ‖ signature 64.
pub const BYTES: usize = 108;
/// The greatest quota: units of 4 KiB per epoch.
pub const MAX_QUOTA: u32 = 10_000;
/// The longest life, counted from the envelope's time.
pub const MAX_LIFE: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// What the holder of a posting key declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    key: [u8; 32],
    quota: u32,
    expires_at: Timestamp,
    signature: [u8; 64],
}

impl Opening {
    /// Has the posting key sign an opening. The expiry counts in whole seconds; what is beyond them is dropped.
    ///
    /// # Errors
    /// [`Malformed::OutOfRange`] for a quota of 0 or above [`MAX_QUOTA`].
    pub fn new(
        network: NetworkId,
        key: [u8; 32],
        quota: u32,
        expires_at: Timestamp,
        sign: impl FnOnce(B256) -> [u8; 64],
    ) -> Result<Self, Malformed> {
        check_quota(quota)?;
        let unsigned = Self { key, quota, expires_at: Timestamp::from_secs(expires_at.as_secs()), signature: [0; 64] };
        Ok(Self { signature: sign(unsigned.digest(network)), ..unsigned })
    }

    /// Reads the fixed layout, integers big-endian, the expiry in seconds since the Unix epoch.
    ///
    /// # Errors
    /// [`Malformed`] for another length, a quota of 0 or above [`MAX_QUOTA`], and a second that no timestamp can name.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let bytes: [u8; BYTES] = fixed("opening", bytes)?;
        let (mut key, mut quota, mut expiry, mut signature) = ([0; 32], [0; 4], [0; 8], [0; 64]);
        key.copy_from_slice(&bytes[..32]);
        quota.copy_from_slice(&bytes[32..36]);
        expiry.copy_from_slice(&bytes[36..44]);
        signature.copy_from_slice(&bytes[44..]);
        let (quota, expiry) = (u32::from_be_bytes(quota), u64::from_be_bytes(expiry));
        check_quota(quota)?;
        let expires_at = Timestamp::from_secs(expiry);
        if expires_at.as_secs() != expiry {
            return Err(Malformed::OutOfRange { field: "opening.expiry", got: expiry });
        }
        Ok(Self { key, quota, expires_at, signature })
    }

    /// The fixed layout, as it is published.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; BYTES] {
        let Self { key, quota, expires_at, signature } = self;
        let mut bytes = [0; BYTES];
        bytes[..32].copy_from_slice(key);
        bytes[32..36].copy_from_slice(&quota.to_be_bytes());
        bytes[36..44].copy_from_slice(&expires_at.as_secs().to_be_bytes());
        bytes[44..].copy_from_slice(signature);
        bytes
    }

    /// What the posting key signs: label `xmtp/sig/opening/1`, network 32, posting key 32, quota u32, expiry u64.
    #[must_use]
    pub fn digest(&self, network: NetworkId) -> B256 {
        let Self { key, quota, expires_at, signature: _ } = self;
        let (quota, expiry) = (quota.to_be_bytes(), expires_at.as_secs().to_be_bytes());
        signature::digest(Label::Opening, network, &[key, &quota, &expiry])
    }

    /// Whether the posting key signed it.
    ///
    /// # Errors
    /// [`Invalid`] if it did not.
    pub fn verify(&self, network: NetworkId) -> Result<(), Invalid> {
        signature::verify(&self.key, self.digest(network), &self.signature)
    }

    /// The topic that it opens, which is named after its key.
    #[must_use]
    pub fn topic(&self) -> Topic {
        conversation_topic(&self.key)
    }

    /// The conversation's Ed25519 posting key.
    #[must_use]
    pub const fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// Units of 4 KiB that may be written in an epoch: 1 to [`MAX_QUOTA`].
    #[must_use]
    pub const fn quota(&self) -> u32 {
        self.quota
    }

    /// From when on nothing may be written, in whole seconds.
    #[must_use]
    pub const fn expires_at(&self) -> Timestamp {
        self.expires_at
    }
}

/// Whether an opening made at `opened_at` may be replaced by another: in the last tenth of its life, and after it.
#[must_use]
pub fn renewable(opened_at: Timestamp, expires_at: Timestamp, now: Timestamp) -> bool {
    expires_at.since(now) <= expires_at.since(opened_at) / 10
}

fn check_quota(quota: u32) -> Result<(), Malformed> {
    if quota == 0 || quota > MAX_QUOTA {
        return Err(Malformed::OutOfRange { field: "opening.quota", got: quota.into() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_tenth_of_a_life_is_for_renewal() {
        let day = |day: u64| Timestamp::from_secs(20_000 + day * 86_400);
        for (now, expected) in [(0, false), (80, false), (81, true), (90, true), (91, true)] {
            assert_eq!(renewable(day(0), day(90), day(now)), expected, "on day {now} of 90");
        }
    }
}

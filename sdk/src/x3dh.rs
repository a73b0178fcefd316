//! X3DH (Marlinspike and Perrin, 2016) in two layers, with an ephemeral key `e` in front (docs/protocol.md, "Sending").
//!
//! ```text
//! outer  HKDF(DH(e, idR) ‖ DH(e, preR))                   hides who writes
//! inner  HKDF(DH(idS, preR) ‖ DH(e, idR) ‖ DH(e, preR))   shows the recipient, and nobody else, that S wrote
//! ```
//!
//! `id` and `pre` are a party's agreement key and prekey. The recipient could have made all of it: invites are deniable.

use alloy::primitives::B256;
use xmtp_proto::derive::NetworkId;
use xmtp_proto::key_bundle::KeyBundle;
use xmtp_proto::time::Timestamp;
use xmtp_proto::topic::Topic;
use zeroize::Zeroizing;

use crate::keys::{Agreed, AgreementKey, AllZero, derive};
use crate::layout::{join, length};
use crate::seal::{NONCE_BYTES, OnceKey};

const OUTER: &[u8] = b"xmtp/invite/outer/1";
const INNER: &[u8] = b"xmtp/invite/inner/1";

/// What both layers are bound to, as HKDF's info and as associated data.
pub(crate) struct Context<'a> {
    pub(crate) network: NetworkId,
    pub(crate) topic: &'a Topic,
    pub(crate) sent_at: Timestamp,
    /// The public ephemeral key, as it stands in the invite.
    pub(crate) ephemeral: &'a [u8; 32],
    /// The digest of R's bundle.
    pub(crate) recipient: B256,
}

impl Context<'_> {
    /// Network 32, length of topic u32, topic, sent-at in nanoseconds u64, e 32, digest of R's bundle 32.
    pub(crate) fn outer(&self) -> Zeroizing<Vec<u8>> {
        let topic = self.topic.to_string();
        join(&[
            self.network.as_bytes(),
            &length(topic.as_bytes()),
            topic.as_bytes(),
            &self.sent_at.as_nanos().to_be_bytes(),
            self.ephemeral,
            self.recipient.as_slice(),
        ])
    }

    /// The same, and the digest of S's bundle 32.
    pub(crate) fn inner(&self, sender: B256) -> Zeroizing<Vec<u8>> {
        join(&[&self.outer(), sender.as_slice()])
    }
}

/// What `e` agreed on with R's two keys.
pub(crate) struct Ephemeral {
    identity: Agreed,
    prekey: Agreed,
}

impl Ephemeral {
    /// As the sender computes it.
    pub(crate) fn of_sender(ephemeral: &AgreementKey, recipient: &KeyBundle) -> Result<Self, AllZero> {
        Ok(Self {
            identity: ephemeral.agree(&recipient.keys.agreement_key)?,
            prekey: ephemeral.agree(&recipient.prekey)?,
        })
    }

    /// As the recipient computes it.
    pub(crate) fn of_recipient(
        agreement_key: &AgreementKey,
        prekey: &AgreementKey,
        ephemeral: &[u8; 32],
    ) -> Result<Self, AllZero> {
        Ok(Self { identity: agreement_key.agree(ephemeral)?, prekey: prekey.agree(ephemeral)? })
    }

    /// The key of the outer layer; `context` is [`Context::outer`].
    pub(crate) fn outer(&self, context: &[u8]) -> OnceKey {
        once_key(OUTER, &[self.identity.as_bytes(), self.prekey.as_bytes()], context)
    }

    /// The key of the inner layer; `sender` is DH(idS, preR) and `context` is [`Context::inner`].
    pub(crate) fn inner(&self, sender: &Agreed, context: &[u8]) -> OnceKey {
        once_key(INNER, &[sender.as_bytes(), self.identity.as_bytes(), self.prekey.as_bytes()], context)
    }
}

fn once_key(label: &[u8], agreed: &[&[u8]], context: &[u8]) -> OnceKey {
    OnceKey::new(&derive::<{ 32 + NONCE_BYTES }>(label, &join(agreed), &[context]))
}

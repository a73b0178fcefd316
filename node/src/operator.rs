//! The operator's key, which signs postmarks.

use std::sync::Arc;

use alloy::primitives::Address;
use alloy::signers::SignerSync as _;
use alloy::signers::local::PrivateKeySigner;
use xmtp_proto::derive::NetworkId;
use xmtp_proto::postmark::{Postmark, SignedPostmark};

/// Who answers for this node, in one network. Holds the signing key: no `Debug`.
#[derive(Clone)]
pub struct Operator {
    key: Arc<PrivateKeySigner>,
    network: NetworkId,
}

impl Operator {
    /// An operator with its secp256k1 key.
    #[must_use]
    pub fn new(key: PrivateKeySigner, network: NetworkId) -> Self {
        Self { key: Arc::new(key), network }
    }

    /// The address that postmarks name.
    #[must_use]
    pub fn address(&self) -> Address {
        self.key.address()
    }

    /// The network it serves.
    #[must_use]
    pub const fn network(&self) -> NetworkId {
        self.network
    }

    /// Signs a postmark (EIP-712).
    pub(crate) fn sign(&self, postmark: Postmark) -> SignedPostmark {
        let hash = postmark.signing_hash();
        // A key in memory signs every hash; the interface is fallible for the sake of remote signers.
        #[allow(clippy::expect_used)]
        let signature = self.key.sign_hash_sync(&hash).expect("a local key signs every hash");
        SignedPostmark { postmark, signature: signature.as_bytes() }
    }
}

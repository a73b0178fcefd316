//! What the tests share: wallets of several characters, identities with fixed keys, and the points of small order.

use std::sync::atomic::{AtomicU64, Ordering};

use alloy::primitives::{Address, B256, ChainId, Signature, U256, hex};
use alloy::signers::k256::ecdsa::hazmat::SignPrimitive as _;
use alloy::signers::k256::sha2::Sha256;
use alloy::signers::local::PrivateKeySigner;
use alloy::signers::{Error, Result, Signer, SignerSync as _, UnsupportedSignerOperation};
use xmtp_proto::derive::NetworkId;
use xmtp_proto::time::Timestamp;

use crate::identity::{Identity, NewKeys};
use crate::keys::{AgreementKey, IdentityKey, PostalSeed};

pub(crate) const NETWORK: NetworkId = NetworkId(B256::repeat_byte(0x11));
pub(crate) const OTHER_NETWORK: NetworkId = NetworkId(B256::repeat_byte(0x12));

/// Who takes part: the wallet's key is 32 times this byte.
pub(crate) type Person = u8;
pub(crate) const ALICE: Person = 0xa1;
pub(crate) const BOB: Person = 0xb0;
pub(crate) const MALLORY: Person = 0x3a;

/// All X25519 inputs of small order (RFC 7748, section 7): 0, 1, two of order 8, p - 1, and p and p + 1, which are 0 and 1
/// once more.
pub(crate) const SMALL_ORDER: [[u8; 32]; 7] = [
    hex!("0000000000000000000000000000000000000000000000000000000000000000"),
    hex!("0100000000000000000000000000000000000000000000000000000000000000"),
    hex!("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    hex!("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    hex!("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    hex!("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    hex!("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
];

/// 2026-11-18, noon or so.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_secs(1_795_003_200)
}

pub(crate) fn wallet(person: Person) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::repeat_byte(person)).unwrap()
}

/// An identity whose keys are fixed by the person.
pub(crate) async fn identity(person: Person) -> Identity {
    identity_on(NETWORK, person).await
}

pub(crate) async fn identity_on(network: NetworkId, person: Person) -> Identity {
    let bytes = |which: u8| [person ^ which; 32];
    let keys = NewKeys {
        identity_key: IdentityKey::from_bytes(&bytes(1)),
        agreement_key: AgreementKey::from_bytes(&bytes(2)),
        postal_seed: PostalSeed::from_bytes(&bytes(3)),
        prekey: AgreementKey::from_bytes(&bytes(4)),
    };
    Identity::attest(&wallet(person), network, 1, now(), keys).await.unwrap()
}

/// What must not be printed, compared or copied does not compile here when it can be.
macro_rules! assert_secret {
    ($($type:ty),* $(,)?) => {
        /// With an implementation of the trait there are two candidates, and inference fails.
        const _: () = {
            trait Voiceless<Marker> {
                fn check() {}
            }
            struct Debug;
            struct Display;
            struct Clone;
            struct Eq;
            impl<T: ?Sized> Voiceless<()> for T {}
            impl<T: ?Sized + std::fmt::Debug> Voiceless<Debug> for T {}
            impl<T: ?Sized + std::fmt::Display> Voiceless<Display> for T {}
            impl<T: std::clone::Clone> Voiceless<Clone> for T {}
            impl<T: ?Sized + PartialEq> Voiceless<Eq> for T {}
            $(const _: fn() = <$type as Voiceless<_>>::check;)*
        };
    };
}
pub(crate) use assert_secret;

/// Implements [`Signer`] but for the signing.
macro_rules! signer {
    ($type:ty, |$it:ident, $hash:ident| $sign:expr, |$self_:ident| $address:expr) => {
        impl Signer for $type {
            fn sign_hash<'a, 'b, 'c>(
                &'a self,
                $hash: &'b B256,
            ) -> std::pin::Pin<Box<dyn Future<Output = Result<Signature>> + Send + 'c>>
            where
                'a: 'c,
                'b: 'c,
                Self: 'c,
            {
                let $it = self;
                Box::pin(async move { $sign })
            }

            fn address(&self) -> Address {
                let $self_ = self;
                $address
            }

            fn chain_id(&self) -> Option<ChainId> {
                None
            }

            fn set_chain_id(&mut self, _: Option<ChainId>) {}
        }
    };
}

/// Signs with the high one of the two values of s that are good.
pub(crate) struct SpelledOtherwise(pub(crate) PrivateKeySigner);

const ORDER: U256 = U256::from_be_bytes(hex!("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"));

signer!(
    SpelledOtherwise,
    |it, hash| {
        let low = it.0.sign_hash_sync(hash)?;
        Ok(Signature::new(low.r(), ORDER - low.s(), !low.v()))
    },
    |it| it.0.address()
);

/// Signs every time in another way, as a wallet may that does not follow RFC 6979.
pub(crate) struct NeverTheSame(PrivateKeySigner, AtomicU64);

impl NeverTheSame {
    pub(crate) const fn new(wallet: PrivateKeySigner) -> Self {
        Self(wallet, AtomicU64::new(0))
    }
}

signer!(
    NeverTheSame,
    |it, hash| {
        let count = it.1.fetch_add(1, Ordering::SeqCst).to_be_bytes();
        let key = it.0.credential().as_nonzero_scalar();
        let (signature, recovery) = key.try_sign_prehashed_rfc6979::<Sha256>(&hash.0.into(), &count)?;
        Ok(Signature::from_signature_and_parity(signature, recovery.is_some_and(|id| id.is_y_odd())))
    },
    |it| it.0.address()
);

/// Says it is a contract, for which its key signs.
pub(crate) struct OfAContract(pub(crate) PrivateKeySigner);

signer!(OfAContract, |it, hash| it.0.sign_hash_sync(hash), |_it| Address::repeat_byte(0xcc));

/// Signs nothing.
pub(crate) struct Declines;

signer!(Declines, |_it, _hash| Err(Error::UnsupportedOperation(UnsupportedSignerOperation::SignHash)), |_it| {
    Address::repeat_byte(0xdd)
});

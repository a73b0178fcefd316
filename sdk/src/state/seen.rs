//! The newest bundle and policy seen of every account, so that no node can roll one back.

use std::fmt;

use alloy::primitives::B256;
use xmtp_proto::account::Account;
use xmtp_proto::policy::SignedPolicy;

use super::store::Table;
use super::{State, StateError};
use crate::identity::VerifiedBundle;
use crate::layout::{Reader, Unreadable, join};

/// What can be rolled back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// A key bundle.
    Bundle,
    /// A policy.
    Policy,
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bundle => "key bundle",
            Self::Policy => "policy",
        })
    }
}

/// By this records of one kind are ordered: the revision first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Order {
    /// A bundle's revision; for a policy, that of the bundle whose identity key signed it.
    pub revision: u32,
    /// The version; 0 if there is none, or it is not known.
    pub version: u64,
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.revision, self.version)
    }
}

/// The newest of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// A bundle's revision; for a policy, that of the first bundle seen whose identity key signed it.
    pub revision: u32,
    /// The version; 0 if only the revision is known.
    pub version: u64,
    /// What is signed; zeros if only the revision is known.
    pub digest: B256,
    /// The account's identity key by then: an attestation may be renewed and leave it in place.
    pub identity_key: [u8; 32],
}

/// What was served is not the newest there is. The node's fault, or of who took the account's keys: use another node, and do
/// not write under this bundle or policy.
#[derive(Debug, thiserror::Error)]
pub enum RememberError {
    /// A newer one was seen before.
    #[error("the {record} of {account} was rolled back from {seen} to {got}")]
    RolledBack {
        /// Whose.
        account: Account,
        /// What.
        record: Record,
        /// The newest.
        seen: Order,
        /// What was served now.
        got: Order,
    },
    /// Another one of the same number was seen before: two were signed.
    #[error("the {record} {got} of {account} is another than the one seen before")]
    Differs {
        /// Whose.
        account: Account,
        /// What.
        record: Record,
        /// What was served now.
        got: Order,
    },
    /// See there.
    #[error(transparent)]
    State(#[from] StateError),
}

impl State {
    /// Compares a bundle, served as somebody's newest, with the newest seen, and remembers it.
    ///
    /// # Errors
    /// [`RememberError`]; what was seen before stays.
    pub fn remember_bundle(&self, bundle: &VerifiedBundle) -> Result<(), RememberError> {
        let (revision, version) = bundle.bundle().order();
        let identity_key = bundle.bundle().keys.identity_key;
        let got = Seen { revision, version: version.into(), digest: bundle.digest(), identity_key };
        self.remember(bundle.account(), Record::Bundle, got)
    }

    /// Remembers that a wallet attested keys of this revision: no older ones are its newest any more. For a bundle that came
    /// with a letter; of its version nothing follows, since nobody said that it is the newest.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn remember_attested(&self, bundle: &VerifiedBundle) -> Result<(), StateError> {
        let name = name(bundle.account(), Record::Bundle);
        let (revision, _) = bundle.bundle().order();
        self.store.write(|entries| {
            let seen = entries.get(Table::Seen, &name, Seen::from_bytes)?;
            if seen.is_some_and(|seen| seen.revision >= revision) {
                return Ok(());
            }
            let identity_key = bundle.bundle().keys.identity_key;
            entries.put(Table::Seen, &name, &Seen { revision, version: 0, digest: B256::ZERO, identity_key }.to_bytes())
        })
    }

    /// Compares a policy, served as the newest of a bundle's account and verified under that bundle, with the newest seen,
    /// and remembers it. Replaced keys count their policies anew. To serve none where there was one under these keys is to
    /// roll it back.
    ///
    /// # Errors
    /// [`RememberError`]; what was seen before stays.
    pub fn remember_policy(&self, bundle: &VerifiedBundle, policy: Option<&SignedPolicy>) -> Result<(), RememberError> {
        let (account, record) = (bundle.account(), Record::Policy);
        let identity_key = bundle.bundle().keys.identity_key;
        let seen = self.seen(account, record)?;
        // As long as the key that signs them is the same, they count on.
        let first = seen.filter(|seen| seen.identity_key == identity_key).map(|seen| seen.revision);
        let revision = first.unwrap_or_else(|| bundle.bundle().order().0);
        let Some(policy) = policy else {
            let got = Order { revision, version: 0 };
            return match seen {
                Some(seen) if seen.order() > got => {
                    Err(RememberError::RolledBack { account, record, seen: seen.order(), got })
                }
                _ => Ok(()),
            };
        };
        let digest = policy.digest(self.network);
        self.remember(account, record, Seen { revision, version: policy.policy().version, digest, identity_key })
    }

    /// The newest record seen of an account.
    ///
    /// # Errors
    /// [`StateError::Damaged`], [`StateError::Database`].
    pub fn seen(&self, account: Account, record: Record) -> Result<Option<Seen>, StateError> {
        self.store.read(Table::Seen, &name(account, record), Seen::from_bytes)
    }

    fn remember(&self, account: Account, record: Record, got: Seen) -> Result<(), RememberError> {
        let name = name(account, record);
        self.store.write(|entries| {
            if let Some(seen) = entries.get(Table::Seen, &name, Seen::from_bytes)? {
                if got.order() < seen.order() {
                    return Err(RememberError::RolledBack { account, record, seen: seen.order(), got: got.order() });
                }
                if got.order() == seen.order() && got.digest != seen.digest {
                    return Err(RememberError::Differs { account, record, got: got.order() });
                }
            }
            Ok(entries.put(Table::Seen, &name, &got.to_bytes())?)
        })
    }
}

/// Kind u8, chain id u64, address 20.
fn name(account: Account, record: Record) -> Vec<u8> {
    let kind = match record {
        Record::Bundle => 0,
        Record::Policy => 1,
    };
    [&[kind], account.chain_id().to_be_bytes().as_slice(), account.address().as_slice()].concat()
}

impl Seen {
    /// Whether these keys of the account, attested in a revision, are its wallet's word no more.
    pub(crate) fn has_replaced(&self, revision: u32, identity_key: &[u8; 32]) -> bool {
        self.revision > revision && self.identity_key != *identity_key
    }

    const fn order(self) -> Order {
        Order { revision: self.revision, version: self.version }
    }

    /// Revision u32, version u64, digest 32, identity key 32.
    fn to_bytes(self) -> Vec<u8> {
        let Self { revision, version, digest, identity_key } = self;
        join(&[&revision.to_be_bytes(), &version.to_be_bytes(), digest.as_slice(), &identity_key]).to_vec()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        let mut reader = Reader::new(bytes);
        let it = Self {
            revision: reader.u32()?,
            version: reader.u64()?,
            digest: B256::from(*reader.array()?),
            identity_key: *reader.array()?,
        };
        reader.end()?;
        Ok(it)
    }
}

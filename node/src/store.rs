//! What the log promises (docs/protocol.md, "One operator, more than one machine").
//!
//! - Cursors are given at commit and have no gaps; nobody reads a record before it is durable.
//! - A nullifier is recorded as used and its envelope stored, both or neither. Whether it was used before is decided here,
//!   inside the append, and nowhere else, so there is nothing between checking and writing.
//! - An envelope that is stored already is answered with its first postmark.
//! - Records on an account's own topics replace each other by version; that too is decided inside the append.
//! - So are conversations: whether one is open, and how much of its quota is left; and connections' and issuers' quotas. And
//!   receipts: a letter has one, whatever comes later.
//! - [`Store::append`] returns when the data would survive a power cut.
//! - A record that is dropped ([`Sweeper`]) leaves its passes and its postmark: its position is never empty, nor given again.

use std::error::Error as StdError;

use alloy::primitives::{Address, B256};
use xmtp_proto::account::Account;
use xmtp_proto::derive::{ClaimId, EnvelopeId, Group, Issue};
use xmtp_proto::field::{Nullifier, Share, Signal};
use xmtp_proto::postmark::{Cursor, SignedPostmark};
use xmtp_proto::refusal::Refusal;
use xmtp_proto::time::{Epoch, Timestamp};
use xmtp_proto::topic::Topic;
use xmtp_proto::wire;
use xmtp_prover::{NotEvidence, PassSecret, recover};

mod audit;
mod connections;
mod conversations;
mod durable;
mod embedded;
mod issuers;
mod keys;
mod receipts;
mod values;

pub use audit::{Audit, Fault, Held};
pub(crate) use embedded::LOCKED;
pub use embedded::{OpenError, Store, Sweeper, Swept};

/// A page ends behind this many bytes of records.
pub(crate) const PAGE_BYTES: usize = 1 << 20;

/// Owner writes that one account has per epoch.
pub const OWNER_WRITES_PER_EPOCH: u32 = 64;

/// Entries that one issuer has per claim and epoch, of a mebibyte each at most: the list of eight million accounts, or three times
/// that of a whole volume.
pub const ISSUER_WRITES_PER_EPOCH: u32 = 256;

/// A nullifier to be cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancellation {
    /// The group that the proof is about.
    pub group: Group,
    /// With what it is dropped.
    pub shard: Shard,
    /// The index that is used.
    pub nullifier: Nullifier,
    /// Its share: with that of a second envelope it reveals the secret.
    pub share: Share,
}

/// Nullifiers that are dropped together, when no rule asks about them any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shard {
    /// Of stamps.
    Issue(Issue),
    /// Of stakes, memberships and claims.
    Epoch(Epoch),
}

/// A write to a conversation topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConversationWrite {
    /// Opens it, or renews an opening that is about to end.
    Open(Opened),
    /// Takes so many units of its quota.
    Post {
        /// Of 4 KiB.
        units: u32,
    },
}

/// A letter with a connection: takes so many units of its quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionWrite {
    /// Who attested it.
    pub account: Account,
    /// To the holder of this key.
    pub holder: [u8; 32],
    /// Units of postage per epoch.
    pub quota: u32,
    /// The letter's.
    pub units: u32,
}

/// A write to a claim's topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IssuerWrite {
    /// Which claim.
    pub claim: ClaimId,
    /// Who writes.
    pub issuer: Address,
}

/// That letters of an account were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptsWrite {
    /// Whose letters.
    pub account: Account,
    /// Which; each once.
    pub letters: Vec<EnvelopeId>,
}

/// How a conversation was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The time of the opening's envelope.
    pub opened_at: Timestamp,
    /// From when on nothing may be written.
    pub expires_at: Timestamp,
    /// Units per epoch.
    pub quota: u32,
}

/// Which of an account's own topics is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnTopic {
    /// Key bundles.
    Contact,
    /// Policies.
    Policy,
    /// Sealed private keys.
    Vault,
}

impl OwnTopic {
    /// The topic of an account.
    #[must_use]
    pub const fn of(self, account: Account) -> Topic {
        match self {
            Self::Contact => Topic::Contact(account),
            Self::Policy => Topic::Policy(account),
            Self::Vault => Topic::Vault(account),
        }
    }
}

/// A write to a topic that belongs to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnerWrite {
    /// Whose.
    pub account: Account,
    /// Which.
    pub topic: OwnTopic,
    /// Orders the records of the topic: a later record's is not lower.
    pub order: u128,
    /// keccak-256 of the record: an equal order takes an equal record only.
    pub content: B256,
    /// The day that the write counts for.
    pub epoch: Epoch,
    /// The newest key bundle that the write was judged against; nothing if there was none. Should it have been replaced
    /// meanwhile, the write is judged again.
    pub bundle: Option<Cursor>,
}

/// What an append records, all of it or nothing.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The envelope's name.
    pub id: EnvelopeId,
    /// Where it goes.
    pub topic: Topic,
    /// The submission as it is kept.
    pub submission: wire::Submission,
    /// Pairwise distinct.
    pub cancels: Vec<Cancellation>,
    /// On an account's own topic.
    pub owner: Option<OwnerWrite>,
    /// On a conversation topic.
    pub conversation: Option<ConversationWrite>,
    /// With a connection.
    pub connection: Option<ConnectionWrite>,
    /// On a topic of receipts.
    pub receipts: Option<ReceiptsWrite>,
    /// On a claim's topic.
    pub issuer: Option<IssuerWrite>,
    /// The head of the topic that the client wrote against.
    pub expected_head: Option<Cursor>,
}

impl Entry {
    /// An envelope that is stored, and nothing beside.
    #[must_use]
    pub const fn new(id: EnvelopeId, topic: Topic, submission: wire::Submission) -> Self {
        Self {
            id,
            topic,
            submission,
            cancels: Vec::new(),
            owner: None,
            conversation: None,
            connection: None,
            receipts: None,
            issuer: None,
            expected_head: None,
        }
    }
}

/// One index used for two envelopes: two points of one line, whose value at zero is the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The group of who used it: of stamps, of stakes, of members, or of a claim.
    pub group: Group,
    /// The index.
    pub nullifier: Nullifier,
    /// Where it was used first.
    pub first: (Signal, Share),
    /// Where it was used again.
    pub second: (Signal, Share),
}

impl Evidence {
    /// The secret of who used the index.
    ///
    /// # Errors
    /// [`NotEvidence`] if the points say nothing: two envelopes have two signals but for a collision of keccak-256.
    pub fn secret(&self) -> Result<PassSecret, NotEvidence> {
        recover(self.first, self.second)
    }

    /// Whether there is something on the chain to slash: members have nothing there.
    #[must_use]
    pub const fn is_slashable(&self) -> bool {
        matches!(self.group, Group::Stamps { .. } | Group::Stake { .. })
    }
}

/// Why an append did not happen.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The log says no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// An index was used for another envelope before; the evidence is kept. The sender's fault.
    #[error("one index for two envelopes")]
    DoubleSpend(Box<Evidence>),
    /// The conversation was never opened, or no longer is. The sender's to mend.
    #[error("the conversation is not open")]
    NotOpen,
    /// The account's key bundle was replaced since the entry was judged. Judge it again.
    #[error("the account's key bundle was replaced meanwhile")]
    Outdated(Box<wire::Submission>),
    /// More appends wait than the node takes, or more accounts join. Try again.
    #[error("too many appends are waiting")]
    Overloaded,
    /// The disk failed. Ours: the node stops, for what is on disk is uncertain from here on.
    #[error(transparent)]
    Failed(#[from] StoreError),
}

/// The disk, or what is on it. The operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Reading or writing failed.
    #[error("the store failed: {0}")]
    Disk(#[source] Box<dyn StdError + Send + Sync>),
    /// What was read is not what was written.
    #[error("the store holds a damaged {what}")]
    Damaged {
        /// Which kind of entry.
        what: &'static str,
    },
    /// The store was closed, or failed before.
    #[error("the store is closed")]
    Closed,
}

/// Which records are kept for how long is told by kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecordKind {
    /// On invite topics.
    Letter,
    /// On conversation topics.
    Message,
    /// Key bundles: the newest of an account is always kept.
    Bundle,
    /// Policies and vaults; so is theirs.
    Own,
    /// Snapshots of claims: those of this generation and the one before are kept.
    Snapshot,
}

impl RecordKind {
    /// All there are.
    pub const ALL: [Self; 5] = [Self::Letter, Self::Message, Self::Bundle, Self::Own, Self::Snapshot];

    /// For logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Letter => "invite",
            Self::Message => "conversation",
            Self::Bundle => "bundle",
            Self::Own => "own",
            Self::Snapshot => "snapshot",
        }
    }

    /// Of what stands on a topic; none for what is never dropped: receipts are to be settled by.
    const fn of(topic: &Topic) -> Option<Self> {
        match topic {
            Topic::Invite(_) => Some(Self::Letter),
            Topic::Conversation(_) => Some(Self::Message),
            Topic::Contact(_) => Some(Self::Bundle),
            Topic::Policy(_) | Topic::Vault(_) => Some(Self::Own),
            Topic::Claim(_) => Some(Self::Snapshot),
            Topic::Receipts(_) => None,
        }
    }
}

/// A page of a topic.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// In the order asked for.
    pub records: Vec<wire::Record>,
    /// Whether there was more.
    pub more: bool,
}

/// A stretch of the log, read for some of its topics.
#[derive(Clone, Debug, PartialEq)]
pub struct Stretch {
    /// The wanted ones, oldest first.
    pub records: Vec<(Cursor, wire::Record)>,
    /// How far it was read.
    pub seen: Cursor,
}

/// The newest record of an account's own topic.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnRecord {
    /// Its position in the log.
    pub cursor: Cursor,
    /// As it was stored.
    pub record: wire::Record,
}

/// What an append gives back.
pub type Appended = Result<SignedPostmark, AppendError>;

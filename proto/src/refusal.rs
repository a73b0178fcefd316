//! Refusals: why an envelope is not accepted. One list of codes for the API, the SDK and the command line.

use std::fmt;
use std::time::Duration;

use crate::field::Nullifier;
use crate::malformed::{self, Malformed, required};
use crate::postmark::Cursor;
use crate::requirement::Requirement;
use crate::time::Timestamp;
use crate::wire;

/// The names that programs compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // `Refusal` has a variant of the same name for each, with its meaning.
pub enum Code {
    RequirementUnmet,
    NullifierUsed,
    RootUnknown,
    RootExpired,
    ProofInvalid,
    EpochWrong,
    SecretClosed,
    TagBlocked,
    QuotaExhausted,
    AlreadyOpen,
    NotOwner,
    NotOffered,
    NoSuchInbox,
    VersionStale,
    HeadMoved,
    TimeOutOfRange,
    ChainViewStale,
    Overloaded,
    Malformed,
}

impl Code {
    /// All there are, in the order of the schema.
    pub const ALL: [Self; 19] = [
        Self::RequirementUnmet,
        Self::NullifierUsed,
        Self::RootUnknown,
        Self::RootExpired,
        Self::ProofInvalid,
        Self::EpochWrong,
        Self::SecretClosed,
        Self::TagBlocked,
        Self::QuotaExhausted,
        Self::AlreadyOpen,
        Self::NotOwner,
        Self::NotOffered,
        Self::NoSuchInbox,
        Self::VersionStale,
        Self::HeadMoved,
        Self::TimeOutOfRange,
        Self::ChainViewStale,
        Self::Overloaded,
        Self::Malformed,
    ];

    /// The name, as in documents, status details and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RequirementUnmet => "requirement_unmet",
            Self::NullifierUsed => "nullifier_used",
            Self::RootUnknown => "root_unknown",
            Self::RootExpired => "root_expired",
            Self::ProofInvalid => "proof_invalid",
            Self::EpochWrong => "epoch_wrong",
            Self::SecretClosed => "secret_closed",
            Self::TagBlocked => "tag_blocked",
            Self::QuotaExhausted => "quota_exhausted",
            Self::AlreadyOpen => "already_open",
            Self::NotOwner => "not_owner",
            Self::NotOffered => "not_offered",
            Self::NoSuchInbox => "no_such_inbox",
            Self::VersionStale => "version_stale",
            Self::HeadMoved => "head_moved",
            Self::TimeOutOfRange => "time_out_of_range",
            Self::ChainViewStale => "chain_view_stale",
            Self::Overloaded => "overloaded",
            Self::Malformed => "malformed",
        }
    }

    /// Reads [`Code::as_str`].
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == name)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whose requirement it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskedBy {
    /// The network's.
    Network,
    /// The account's whose topic it is.
    Account,
}

impl fmt::Display for AskedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Network => "the network",
            Self::Account => "the recipient",
        })
    }
}

/// Why an envelope was not accepted. Each says whose fault it is; unless it says otherwise nothing was cancelled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The passes do not meet a requirement. The sender's to mend.
    #[error("{asked_by} asks for {unmet}; attach what is missing to the same envelope")]
    RequirementUnmet {
        /// What would do.
        unmet: Requirement,
        /// Whose it is.
        asked_by: AskedBy,
    },
    /// The stamp was cancelled for another envelope. The sender's fault.
    #[error("the stamp with nullifier {nullifier} was used for another envelope; take another stamp")]
    NullifierUsed {
        /// Which.
        nullifier: Nullifier,
    },
    /// The chain that this node follows never showed such a root. The client's to mend.
    #[error("no such root of this group is known; fetch the bucket again, and prove under a root that the node names")]
    RootUnknown,
    /// The root was good once. The client's to mend.
    #[error("the root has expired; fetch the bucket again, and prove under a newer one")]
    RootExpired,
    /// The proof does not show what the pass says. The client's fault.
    #[error("the proof does not verify for this envelope, topic, group and network")]
    ProofInvalid,
    /// The pass is of another epoch, or of an issue that is over or not yet. The client's to mend.
    #[error("the pass is for another epoch or issue than the present one")]
    EpochWrong,
    /// The secret behind the pass signed two envelopes with one index and is public. The sender's fault: a book or a stake is
    /// lost, a membership and claims count again under another commitment, or when the quarter turns.
    #[error(
        "the secret behind this pass is public: it signed two envelopes with one index; show a pass of another book, stake or \
         commitment"
    )]
    SecretClosed,
    /// The recipient does not want to hear from this sender. Nobody's to mend.
    #[error("the recipient blocked this sender")]
    TagBlocked,
    /// The quota is used up. Wait for the next epoch.
    #[error("the quota for this epoch is used up; it starts anew at midnight UTC")]
    QuotaExhausted,
    /// The conversation is open already.
    #[error("the conversation is open already")]
    AlreadyOpen,
    /// The topic belongs to somebody else, or the signature is not its owner's. The sender's fault.
    #[error("the topic belongs to somebody else: its owner's signature is missing or does not verify")]
    NotOwner,
    /// This network does not offer that.
    #[error("{what} is not offered by this network")]
    NotOffered {
        /// What was asked for.
        what: String,
    },
    /// The account has published no key bundle here. Nobody can write to it yet.
    #[error("the account has no inbox on this network: it has published no key bundle")]
    NoSuchInbox,
    /// A newer version, or an equal one with other content, is stored already. The owner's to mend.
    #[error(
        "a newer version of this record, or this version with other content, is stored already; read it and go on from there"
    )]
    VersionStale,
    /// The topic moved on since the client read it. The owner's to mend.
    #[error("the topic moved on to cursor {}; read it and try again", head.0)]
    HeadMoved {
        /// The topic's newest record.
        head: Cursor,
    },
    /// The envelope's time is too old or too far ahead. The sender's clock, or a letter that waited too long.
    #[error("the envelope's time is outside the window that nodes accept; the node's clock reads {now:?}")]
    TimeOutOfRange {
        /// The node's clock.
        now: Timestamp,
    },
    /// The node has not heard from its chain for too long. The operator's to mend; try again.
    #[error("the node has lost sight of its chain; try again later")]
    ChainViewStale {
        /// When.
        retry_after: Duration,
    },
    /// The node has too much to do. Send the same bytes again later.
    #[error("the node has too much to do; send the same bytes again later")]
    Overloaded {
        /// When.
        retry_after: Duration,
    },
    /// The client's code is wrong.
    #[error("malformed: {reason}")]
    Malformed {
        /// The rule that was broken.
        reason: String,
    },
}

impl Refusal {
    /// The name that programs compare.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::RequirementUnmet { .. } => Code::RequirementUnmet,
            Self::NullifierUsed { .. } => Code::NullifierUsed,
            Self::RootUnknown => Code::RootUnknown,
            Self::RootExpired => Code::RootExpired,
            Self::ProofInvalid => Code::ProofInvalid,
            Self::EpochWrong => Code::EpochWrong,
            Self::SecretClosed => Code::SecretClosed,
            Self::TagBlocked => Code::TagBlocked,
            Self::QuotaExhausted => Code::QuotaExhausted,
            Self::AlreadyOpen => Code::AlreadyOpen,
            Self::NotOwner => Code::NotOwner,
            Self::NotOffered { .. } => Code::NotOffered,
            Self::NoSuchInbox => Code::NoSuchInbox,
            Self::VersionStale => Code::VersionStale,
            Self::HeadMoved { .. } => Code::HeadMoved,
            Self::TimeOutOfRange { .. } => Code::TimeOutOfRange,
            Self::ChainViewStale { .. } => Code::ChainViewStale,
            Self::Overloaded { .. } => Code::Overloaded,
            Self::Malformed { .. } => Code::Malformed,
        }
    }
}

impl From<Malformed> for Refusal {
    fn from(it: Malformed) -> Self {
        Self::Malformed { reason: it.to_string() }
    }
}

impl TryFrom<wire::Refusal> for Refusal {
    type Error = Malformed;

    fn try_from(wire: wire::Refusal) -> Result<Self, Malformed> {
        let wire::Refusal { code, message, unmet, asked_by_account, nullifier, head, now_ns, retry_after_ms } = wire;
        let position = usize::try_from(code).ok().and_then(|code| code.checked_sub(1));
        let code = position
            .and_then(|position| Code::ALL.get(position))
            .ok_or_else(|| Malformed::OutOfRange { field: "refusal.code", got: u64::from(code.unsigned_abs()) })?;
        let retry_after = Duration::from_millis(retry_after_ms);
        Ok(match code {
            Code::RequirementUnmet => Self::RequirementUnmet {
                unmet: required("refusal.unmet", unmet)?.try_into()?,
                asked_by: if asked_by_account { AskedBy::Account } else { AskedBy::Network },
            },
            Code::NullifierUsed => {
                Self::NullifierUsed { nullifier: malformed::element("refusal.nullifier", &nullifier)? }
            }
            Code::RootUnknown => Self::RootUnknown,
            Code::RootExpired => Self::RootExpired,
            Code::ProofInvalid => Self::ProofInvalid,
            Code::EpochWrong => Self::EpochWrong,
            Code::SecretClosed => Self::SecretClosed,
            Code::TagBlocked => Self::TagBlocked,
            Code::QuotaExhausted => Self::QuotaExhausted,
            Code::AlreadyOpen => Self::AlreadyOpen,
            Code::NotOwner => Self::NotOwner,
            Code::NotOffered => Self::NotOffered { what: message },
            Code::NoSuchInbox => Self::NoSuchInbox,
            Code::VersionStale => Self::VersionStale,
            Code::HeadMoved => Self::HeadMoved { head: Cursor(head) },
            Code::TimeOutOfRange => Self::TimeOutOfRange { now: Timestamp::from_nanos(now_ns) },
            Code::ChainViewStale => Self::ChainViewStale { retry_after },
            Code::Overloaded => Self::Overloaded { retry_after },
            Code::Malformed => Self::Malformed { reason: message },
        })
    }
}

impl From<Refusal> for wire::Refusal {
    fn from(it: Refusal) -> Self {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        // The code's place in the list, which is the schema's.
        let code = Code::ALL.iter().position(|code| *code == it.code()).map_or(0, |position| position + 1);
        let mut wire =
            Self { code: i32::try_from(code).unwrap_or_default(), message: it.to_string(), ..Self::default() };
        match it {
            Refusal::RequirementUnmet { unmet, asked_by } => {
                wire.unmet = Some(unmet.into());
                wire.asked_by_account = asked_by == AskedBy::Account;
            }
            Refusal::NullifierUsed { nullifier } => wire.nullifier = nullifier.as_bytes().to_vec(),
            Refusal::HeadMoved { head } => wire.head = head.0,
            Refusal::TimeOutOfRange { now } => wire.now_ns = now.as_nanos(),
            Refusal::ChainViewStale { retry_after } | Refusal::Overloaded { retry_after } => {
                wire.retry_after_ms = millis(retry_after);
            }
            // Here the message is the only detail, without the words around it.
            Refusal::NotOffered { what } => wire.message = what,
            Refusal::Malformed { reason } => wire.message = reason,
            Refusal::RootUnknown
            | Refusal::RootExpired
            | Refusal::ProofInvalid
            | Refusal::EpochWrong
            | Refusal::SecretClosed
            | Refusal::TagBlocked
            | Refusal::QuotaExhausted
            | Refusal::AlreadyOpen
            | Refusal::NotOwner
            | Refusal::NoSuchInbox
            | Refusal::VersionStale => {}
        }
        wire
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_has_the_schemas_number_and_name() {
        for (position, code) in Code::ALL.into_iter().enumerate() {
            let number = i32::try_from(position + 1).unwrap();
            let in_schema = wire::RefusalCode::try_from(number).unwrap();
            assert_eq!(in_schema.as_str_name(), format!("REFUSAL_CODE_{}", code.as_str().to_uppercase()));
            assert_eq!(Code::from_name(code.as_str()), Some(code));
        }
        assert!(wire::RefusalCode::try_from(i32::try_from(Code::ALL.len() + 1).unwrap()).is_err());
    }
}

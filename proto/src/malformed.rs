//! The error of every conversion from the wire: the client's code is wrong, and sending the same bytes again cannot help.

use crate::account::InvalidAccount;
use crate::field::NotCanonical;
use crate::requirement::InvalidRequirement;
use crate::topic::InvalidTopic;

/// Bytes that break a rule of the schema. Always the fault of whoever encoded them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A field that must be there is not.
    #[error("{field} is missing")]
    Missing {
        /// Its name in the schema.
        field: &'static str,
    },
    /// A field of fixed length has another one.
    #[error("{field} has {got} bytes instead of {expected}")]
    Length {
        /// Its name in the schema.
        field: &'static str,
        /// Bytes.
        expected: usize,
        /// Bytes.
        got: usize,
    },
    /// A field is longer than the schema allows.
    #[error("{field} is too large: {got}, and at most {max} is allowed")]
    TooLarge {
        /// Its name in the schema.
        field: &'static str,
        /// Bytes, or entries of a list.
        max: usize,
        /// Bytes, or entries of a list.
        got: usize,
    },
    /// A field element is not below the modulus.
    #[error("{field} is not a canonical field element: it is not below the order of BN254")]
    NotCanonical {
        /// Its name in the schema.
        field: &'static str,
    },
    /// A number that the protocol knows nothing of.
    #[error("{field} is {got}, which does not exist")]
    OutOfRange {
        /// Its name in the schema.
        field: &'static str,
        /// The number.
        got: u64,
    },
    /// Two passes of one submission carry the same nullifier.
    #[error("two passes of the submission carry the same nullifier")]
    RepeatedNullifier,
    /// Two receipts of one envelope are for the same letter.
    #[error("two receipts are for the same letter")]
    RepeatedLetter,
    /// A receipt for what is no letter with a stamp on the account's own topic, or was dropped since.
    #[error("a receipt is for a letter that is not here, not this account's, or had no stamp")]
    NoSuchLetter,
    /// A pass without which every requirement is met all the same. It was not cancelled.
    #[error("pass {position} is surplus: the requirements are met without it; nothing was cancelled, send it without")]
    Surplus {
        /// Counted from 0.
        position: usize,
    },
    /// A proof whose 128 bytes are not the one encoding of three points that are on their curves, in their subgroups and not
    /// at infinity.
    #[error("the proof of pass {position} is not three compressed points of BN254 in their one encoding")]
    Points {
        /// Counted from 0.
        position: usize,
    },
    /// The topic's name is not one.
    #[error("topic: {0}")]
    Topic(#[from] InvalidTopic),
    /// The account's name is not one.
    #[error("account: {0}")]
    Account(#[from] InvalidAccount),
    /// The requirement breaks a limit.
    #[error("requirement: {0}")]
    Requirement(#[from] InvalidRequirement),
    /// The bytes are no message of this schema.
    #[error("{field} does not decode: {source}")]
    Encoding {
        /// Its name in the schema.
        field: &'static str,
        /// What the decoder met.
        source: prost::DecodeError,
    },
    /// The record names another account than the topic that it was published on.
    #[error("the record names another account than its topic")]
    WrongAccount,
}

/// `N` bytes, or the field that has not got them.
pub(crate) fn fixed<const N: usize>(field: &'static str, bytes: &[u8]) -> Result<[u8; N], Malformed> {
    bytes.try_into().map_err(|_| Malformed::Length { field, expected: N, got: bytes.len() })
}

/// A canonical field element, or the field that is not one.
pub(crate) fn element<T: From<crate::field::FieldElement>>(field: &'static str, bytes: &[u8]) -> Result<T, Malformed> {
    let bytes = fixed(field, bytes)?;
    crate::field::FieldElement::from_be_bytes(bytes)
        .map(T::from)
        .map_err(|NotCanonical| Malformed::NotCanonical { field })
}

/// A part that must be there.
pub(crate) fn required<T>(field: &'static str, value: Option<T>) -> Result<T, Malformed> {
    value.ok_or(Malformed::Missing { field })
}

/// At most `max` bytes or entries.
pub(crate) fn bounded(field: &'static str, got: usize, max: usize) -> Result<(), Malformed> {
    if got > max { Err(Malformed::TooLarge { field, max, got }) } else { Ok(()) }
}

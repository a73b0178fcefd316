//! Records: the entries of an operator's log. Disk and network share one encoding.

use prost::Message as _;

use crate::envelope;
use crate::malformed::{Malformed, bounded, required};
use crate::postmark::SignedPostmark;
use crate::submission::Submission;
use crate::wire;

/// The longest encoding: the largest ciphertext, and room for a topic, eight passes and a postmark.
pub const MAX_BYTES: usize = envelope::MAX_CIPHERTEXT_BYTES + 8 * 1024;

/// A submission as it was accepted, and the postmark it got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Passes included, so that anyone can judge it again.
    pub submission: Submission,
    /// Cursor, time and signature.
    pub postmark: SignedPostmark,
}

impl Record {
    /// The wire encoding.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        wire::Record::from(self).encode_to_vec()
    }

    /// Reads the wire encoding.
    ///
    /// # Errors
    /// [`Malformed`] if the bytes are no record, or more than [`MAX_BYTES`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        bounded("record", bytes.len(), MAX_BYTES)?;
        wire::Record::decode(bytes).map_err(|source| Malformed::Encoding { field: "record", source })?.try_into()
    }
}

impl TryFrom<wire::Record> for Record {
    type Error = Malformed;

    fn try_from(wire: wire::Record) -> Result<Self, Malformed> {
        let wire::Record { submission, postmark } = wire;
        Ok(Self {
            submission: required("submission", submission)?.try_into()?,
            postmark: required("postmark", postmark)?.try_into()?,
        })
    }
}

impl From<Record> for wire::Record {
    fn from(it: Record) -> Self {
        let Record { submission, postmark } = it;
        Self { submission: Some(submission.into()), postmark: Some(postmark.into()) }
    }
}

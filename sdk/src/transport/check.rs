//! What an answer must be before it is believed.

use alloy::primitives::B256;
use xmtp_proto::derive::{self, EnvelopeId, NetworkId};
use xmtp_proto::field::{FieldElement, Nullifier};
use xmtp_proto::malformed::Malformed;
use xmtp_proto::pass::Pass;
use xmtp_proto::postmark::{Cursor, SignedPostmark};
use xmtp_proto::record::Record;
use xmtp_proto::refusal::Refusal;
use xmtp_proto::submission::Submission;
use xmtp_proto::topic::Topic;
use xmtp_proto::wire;

use super::connection::Connection;
use super::error::TransportError;

/// So many ways in which a letter may have been paid for are tried, and a postmark that says another is not believed: more than
/// the passes of a submission and the days of a letter make.
const MAX_CHOICES: usize = 1 << 16;

/// What is wrong with a postmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongPostmark {
    /// Its signature is not its operator's.
    #[error("its signature does not verify")]
    Signature,
    /// Signed by another operator than the node named.
    #[error("it is another operator's")]
    Operator,
    /// Of another network.
    #[error("it is another network's")]
    Network,
    /// For another envelope.
    #[error("it is for another envelope")]
    Envelope,
    /// It confirms other nullifiers than were sent.
    #[error("it confirms other nullifiers than the passes carry")]
    Cancelled,
}

impl Connection {
    pub(super) fn result(
        &self,
        wire: wire::PublishResult,
        sent: &Sent,
    ) -> Result<Result<SignedPostmark, Refusal>, TransportError> {
        match required("result", wire.result)? {
            wire::publish_result::Result::Refusal(refusal) => Ok(Err(refusal.try_into()?)),
            wire::publish_result::Result::Postmark(postmark) => {
                let postmark = SignedPostmark::try_from(postmark)?;
                self.check_postmark(&postmark, sent.envelope)?;
                if !sent.may_cancel(postmark.postmark.cancelled) {
                    return Err(WrongPostmark::Cancelled.into());
                }
                Ok(Ok(postmark))
            }
        }
    }

    pub(super) fn check_record(&self, record: &Record, topic: Topic) -> Result<(), TransportError> {
        let sent = Sent::of(&record.submission, self.network.id);
        if record.submission.envelope().topic != topic {
            return Err(TransportError::Unfitting("a record of another topic"));
        }
        self.check_postmark(&record.postmark, sent.envelope)?;
        if record.postmark.postmark.cancelled != derive::cancelled_hash(&sent.nullifiers) {
            return Err(WrongPostmark::Cancelled.into());
        }
        Ok(())
    }

    fn check_postmark(&self, signed: &SignedPostmark, envelope: EnvelopeId) -> Result<(), WrongPostmark> {
        let postmark = &signed.postmark;
        if postmark.network != self.network.id {
            return Err(WrongPostmark::Network);
        }
        if postmark.operator != self.network.operator {
            return Err(WrongPostmark::Operator);
        }
        if postmark.envelope != envelope {
            return Err(WrongPostmark::Envelope);
        }
        signed.verify().map_err(|_| WrongPostmark::Signature)
    }
}

/// The cursor of a record that comes behind another one.
pub(super) fn check_order(last: Cursor, record: &Record) -> Result<Cursor, TransportError> {
    let cursor = record.postmark.postmark.cursor;
    if cursor > last { Ok(cursor) } else { Err(TransportError::Unfitting("records out of order")) }
}

/// What a postmark must name.
pub(super) struct Sent {
    pub(super) envelope: EnvelopeId,
    /// What its passes show.
    pub(super) nullifiers: Vec<Nullifier>,
    /// What its passes may have shown when it was accepted: of each of these one, or none.
    pub(super) belonging: Vec<Vec<Nullifier>>,
    /// Whether it may have been accepted with none of them.
    pub(super) bare: bool,
}

impl Sent {
    pub(super) fn of(submission: &Submission, network: NetworkId) -> Self {
        let nullifiers: Vec<_> = submission.passes().iter().filter_map(Pass::nullifier).collect();
        let belonging = nullifiers.iter().map(|nullifier| vec![*nullifier]).collect();
        Self { envelope: submission.envelope().id(network), nullifiers, belonging, bare: false }
    }

    /// An envelope that was accepted before keeps its first postmark, and may have had fewer passes then, or ones without a
    /// nullifier: some of these, in their order. A submission has so few that all choices are tried.
    fn may_cancel(&self, cancelled: B256) -> bool {
        if derive::cancelled_hash(&self.nullifiers) == cancelled {
            return true;
        }
        let choices = self.belonging.iter().try_fold(vec![Vec::new()], |choices: Vec<Vec<Nullifier>>, source| {
            let with =
                |choice: &Vec<_>| source.iter().map(|it| [choice.as_slice(), &[*it]].concat()).collect::<Vec<_>>();
            let more: Vec<_> = choices.iter().flat_map(with).collect();
            (choices.len() + more.len() <= MAX_CHOICES).then(|| [choices, more].concat())
        });
        choices.is_some_and(|choices| {
            let mut choices = choices.iter().filter(|choice| self.bare || !choice.is_empty());
            choices.any(|choice| derive::cancelled_hash(choice) == cancelled)
        })
    }
}

pub(super) fn fixed<const N: usize>(field: &'static str, bytes: &[u8]) -> Result<[u8; N], Malformed> {
    bytes.try_into().map_err(|_| Malformed::Length { field, expected: N, got: bytes.len() })
}

pub(super) fn required<T>(field: &'static str, value: Option<T>) -> Result<T, Malformed> {
    value.ok_or(Malformed::Missing { field })
}

pub(super) fn elements(field: &'static str, bytes: &[u8]) -> Result<Vec<FieldElement>, Malformed> {
    let (whole, rest) = bytes.as_chunks::<32>();
    if !rest.is_empty() {
        return Err(Malformed::Length { field, expected: whole.len() * 32, got: bytes.len() });
    }
    whole
        .iter()
        .map(|bytes| FieldElement::from_be_bytes(*bytes).map_err(|_| Malformed::NotCanonical { field }))
        .collect()
}

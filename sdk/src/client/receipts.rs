//! Receipts: a letter with stamps that was read is worth something to its reader, who tells the node so (docs/protocol.md,
//! "Receipts"; litepaper 10.4).
//!
//! What is to be told is written down with the reading, and told until the node has it: once for each letter, whichever of the
//! account's clients has read it first.

use xmtp_proto::derive::EnvelopeId;
use xmtp_proto::envelope::Envelope;
use xmtp_proto::pass::Pass;
use xmtp_proto::postmark::Cursor;
use xmtp_proto::receipt::{self, MAX_RECEIPTS, Receipt};
use xmtp_proto::refusal::Code;
use xmtp_proto::submission::Submission;
use xmtp_proto::topic::Topic;

use super::{Client, Step};
use crate::identity::Identity;
use crate::inbox::InboxError;
use crate::state::StateError;
use crate::transport::{Order, Role};

/// Records asked for at once.
const PAGE: u32 = 100;
/// Pages read in one go.
const MAX_PAGES: usize = 1_000;

/// A letter that the node knows to have been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Which.
    pub letter: EnvelopeId,
    /// The record that says so, in the operator's log.
    pub record: Cursor,
}

impl Client {
    /// The receipts of this account's letters as the node has them, in the order in which it heard of them.
    ///
    /// # Errors
    /// [`InboxError`].
    pub async fn receipts(&self) -> Result<Vec<Told>, InboxError> {
        let identity = self.identity()??;
        let identity_key = identity.verified_bundle().bundle().keys.identity_key;
        let mine = self.connection(Role::Mine).await?;
        let (topic, mut cursor) = (Topic::Receipts(self.account()), Cursor::default());
        let mut all: Vec<Told> = Vec::new();
        for _ in 0..MAX_PAGES {
            let page = mine.query(topic, cursor, Order::OldestFirst, PAGE).await?;
            for record in &page.records {
                cursor = record.postmark.postmark.cursor;
                let receipts = receipt::from_bytes(&record.submission.envelope().ciphertext).unwrap_or_default();
                for it in receipts.iter().filter(|it| it.verify(self.network, &identity_key).is_ok()) {
                    if !all.iter().any(|known| known.letter == it.letter) {
                        all.push(Told { letter: it.letter, record: cursor });
                    }
                }
            }
            if !page.more {
                break;
            }
        }
        Ok(all)
    }

    /// Tells the node which letters with stamps were read, as far as it has not heard. Returns how many it has heard of now.
    ///
    /// # Errors
    /// [`InboxError`]; what was not told stays to be told.
    pub(crate) async fn send_receipts(&self, identity: &Identity) -> Result<usize, InboxError> {
        let wanted = self.state.receipts_wanted()?;
        if wanted.is_empty() || !self.receipts {
            return Ok(0);
        }
        let mine = self.connection(Role::Mine).await?;
        let mut batches: Vec<Vec<EnvelopeId>> = wanted.chunks(MAX_RECEIPTS).map(<[EnvelopeId]>::to_vec).collect();
        let mut told = 0;
        while let Some(batch) = batches.pop() {
            let sign = |digest| identity.sign(digest);
            let receipts: Vec<_> = batch.iter().map(|letter| Receipt::new(self.network, *letter, sign)).collect();
            let topic = Topic::Receipts(self.account());
            let envelope = Envelope { topic, sent_at: self.now(), ciphertext: receipt::to_bytes(&receipts) };
            let owner = Pass::Owner(identity.sign_owner(envelope.id(self.network)));
            // One pass breaks no limit.
            let Ok(submission) = Submission::new(envelope, vec![owner]) else { return Ok(told) };
            self.step(Step::Publishing);
            let refused = mine.publish_one(submission, None).await?.err();
            match refused.map(|refusal| refusal.code()) {
                // Told just now, or before by another client of the account.
                None | Some(Code::VersionStale) => {}
                // One of them was dropped, and nothing is left to tell of it: each for itself, then.
                Some(Code::Malformed) if batch.len() > 1 => {
                    batches.extend(batch.into_iter().map(|letter| vec![letter]));
                    continue;
                }
                Some(Code::Malformed) => {}
                Some(_) => return Ok(told),
            }
            self.state.receipts_told(&batch)?;
            told += batch.len();
        }
        Ok(told)
    }

    /// For whoever wants something else: it is tried again the next time.
    pub(crate) async fn care_for_receipts(&self, identity: &Identity) -> Result<(), StateError> {
        match self.send_receipts(identity).await {
            Err(InboxError::State(error)) => Err(error),
            _ => Ok(()),
        }
    }
}

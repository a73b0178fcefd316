//! Publishing: several submissions, each with its own result.

use tonic::Status;
use xmtp_proto::malformed::Malformed;
use xmtp_proto::postmark::{Cursor, SignedPostmark};
use xmtp_proto::submission::MAX_PER_CALL;
use xmtp_proto::wire::{Publication, PublishRequest, PublishResponse, PublishResult, publish_result};

use super::{Api, status};
use crate::ingest::Failure;
use crate::peer::Peer;

impl Api {
    pub(super) async fn publish_all(&self, peer: Peer, request: PublishRequest) -> Result<PublishResponse, Status> {
        let PublishRequest { publications } = request;
        if publications.len() > MAX_PER_CALL {
            let got = publications.len();
            return Err(status::malformed(Malformed::TooLarge { field: "publications", max: MAX_PER_CALL, got }));
        }
        let submissions = publications.into_iter().map(|Publication { submission, expected_head }| {
            // What is not there is as malformed as what is empty.
            (submission.unwrap_or_default(), expected_head.map(Cursor))
        });
        let outcomes = self.ingest.ingest(peer, submissions.collect()).await;
        let results = outcomes.into_iter().map(|it| self.result(it)).collect::<Result<_, _>>()?;
        Ok(PublishResponse { results })
    }

    fn result(&self, outcome: Result<SignedPostmark, Failure>) -> Result<PublishResult, Status> {
        let result = match outcome {
            Ok(postmark) => {
                self.metrics.accepted();
                publish_result::Result::Postmark(postmark.into())
            }
            Err(Failure::Refused(refusal)) => {
                self.metrics.refused(refusal.code());
                tracing::debug!(code = %refusal.code(), "refused");
                publish_result::Result::Refusal(refusal.into())
            }
            // The whole call fails: what became of its other submissions, the same bytes sent again will tell.
            Err(Failure::Store(error)) => {
                self.metrics.failed();
                return Err(status::store(&error));
            }
            Err(error @ Failure::Bug) => {
                self.metrics.failed();
                return Err(Status::internal(error.to_string()));
            }
        };
        Ok(PublishResult { result: Some(result) })
    }
}

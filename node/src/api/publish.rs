//! Publishing: several submissions, each with its own result.

use futures_util::future::join_all;
use tonic::Status;
use xmtp_proto::malformed::Malformed;
use xmtp_proto::postmark::Cursor;
use xmtp_proto::refusal::Refusal;
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
        let results = join_all(publications.into_iter().map(|it| self.publish_one(peer, it))).await;
        Ok(PublishResponse { results: results.into_iter().collect::<Result<_, _>>()? })
    }

    async fn publish_one(&self, peer: Peer, publication: Publication) -> Result<PublishResult, Status> {
        let Publication { submission, expected_head } = publication;
        let outcome = match submission {
            None => Err(Refusal::from(Malformed::Missing { field: "submission" }).into()),
            Some(submission) => self.ingest.ingest(peer, submission, expected_head.map(Cursor)).await,
        };
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

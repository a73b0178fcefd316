//! Refusals and failures as gRPC status: one exhaustive table, with the refusal's code as machine-readable detail
//! (`google.rpc.ErrorInfo`, domain `xmtp`) and, where trying again helps, when (`google.rpc.RetryInfo`).

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};
use xmtp_proto::malformed::Malformed;
use xmtp_proto::refusal::{self, Refusal};

use crate::store::StoreError;

const DOMAIN: &str = "xmtp";

/// The client's code is wrong.
pub(super) fn malformed(error: Malformed) -> Status {
    refused(&Refusal::from(error))
}

/// A refusal of a whole call.
pub(super) fn refused(refusal: &Refusal) -> Status {
    let mut details = ErrorDetails::with_error_info(refusal.code().as_str(), DOMAIN, std::collections::HashMap::new());
    if let Refusal::ChainViewStale { retry_after } | Refusal::Overloaded { retry_after } = refusal {
        details.set_retry_info(Some(*retry_after));
    }
    Status::with_error_details(code(refusal.code()), refusal.to_string(), details)
}

/// The disk failed. Ours: the client learns no more than that.
pub(super) fn store(error: &StoreError) -> Status {
    tracing::error!(%error, "the store failed");
    Status::unavailable("the node's store failed; send the same bytes again to another node, or later")
}

const fn code(code: refusal::Code) -> Code {
    match code {
        refusal::Code::Malformed => Code::InvalidArgument,
        refusal::Code::NoSuchInbox | refusal::Code::RootUnknown => Code::NotFound,
        refusal::Code::ChainViewStale => Code::Unavailable,
        refusal::Code::Overloaded | refusal::Code::QuotaExhausted => Code::ResourceExhausted,
        refusal::Code::NotOffered => Code::Unimplemented,
        refusal::Code::NotOwner | refusal::Code::TagBlocked => Code::PermissionDenied,
        refusal::Code::HeadMoved => Code::Aborted,
        refusal::Code::NullifierUsed | refusal::Code::AlreadyOpen => Code::AlreadyExists,
        refusal::Code::RequirementUnmet
        | refusal::Code::RootExpired
        | refusal::Code::ProofInvalid
        | refusal::Code::EpochWrong
        | refusal::Code::SecretClosed
        | refusal::Code::VersionStale
        | refusal::Code::TimeOutOfRange => Code::FailedPrecondition,
    }
}

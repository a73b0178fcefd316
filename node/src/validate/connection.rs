//! Connections: the recipient vouches for the holder of a key (docs/protocol.md, "Requirements and policies"; litepaper 10.3.1).
//! The node sees that somebody whom the recipient trusts is writing, and not who. How much of the quota is left is asked inside
//! the append.

use xmtp_proto::account::Account;
use xmtp_proto::derive::EnvelopeId;
use xmtp_proto::pass::{Connection, Pass};
use xmtp_proto::refusal::Refusal;
use xmtp_proto::signature::{self, Label};
use xmtp_proto::submission::Submission;

use super::Context;
use crate::store::ConnectionWrite;

/// What the connection of a letter takes of its quota, if it has one. There is one at most: a second would be surplus.
pub(super) fn claimed(
    context: &Context<'_>,
    submission: &Submission,
    id: &EnvelopeId,
    (account, identity_key): (Account, &[u8; 32]),
) -> Result<Option<ConnectionWrite>, Refusal> {
    let connections = submission.passes().iter().filter_map(|pass| match pass {
        Pass::Connection(connection) => Some(connection),
        _ => None,
    });
    let mut writes = connections.map(|it| {
        verify(context, it, id, account, identity_key)?;
        let &Connection { holder, quota, .. } = it;
        Ok(ConnectionWrite { account, holder, quota, units: submission.envelope().units() })
    });
    writes.next().transpose()
}

fn verify(
    context: &Context<'_>,
    it: &Connection,
    id: &EnvelopeId,
    account: Account,
    identity_key: &[u8; 32],
) -> Result<(), Refusal> {
    let network = context.rules.network;
    let digest = signature::digest(Label::Connection, network, &[id.as_bytes()]);
    signature::verify(&it.holder, digest, &it.signature).map_err(|_| Refusal::ProofInvalid)?;
    // Under the newest keys: who replaced them has vouched for nobody yet.
    it.attested().verify(network, account, identity_key).map_err(|_| Refusal::ProofInvalid)
}

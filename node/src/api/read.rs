//! Reading the log: topics, key bundles, requirements, and what the network is.

use tonic::Status;
use xmtp_proto::account::{self, Account};
use xmtp_proto::malformed::Malformed;
use xmtp_proto::postmark::Cursor;
use xmtp_proto::refusal::Refusal;
use xmtp_proto::requirement::Requirement;
use xmtp_proto::topic::Topic;
use xmtp_proto::wire::{
    GetKeyBundleRequest, GetKeyBundleResponse, GetNetworkResponse, GetRequirementsRequest, GetRequirementsResponse,
    QueryContactsRequest, QueryContactsResponse, QueryRequest, QueryResponse,
};

use super::{Api, NetworkInfo, status};
use crate::congestion::Announced;
use crate::store::{OwnTopic, Page, Stretch};

/// The most records of a page.
pub(crate) const PAGE_RECORDS: usize = 100;

impl Api {
    pub(super) fn network(&self) -> GetNetworkResponse {
        let NetworkInfo { chain_id, token, operator } = self.info;
        GetNetworkResponse {
            network_id: self.rules.network.as_bytes().to_vec(),
            chain_id,
            postage: self.rules.postage.to_vec(),
            token: token.to_vec(),
            operator: operator.to_vec(),
            verifying_key: self.rules.verifying_key.keccak().to_vec(),
            issue_seconds: self.rules.issue_seconds,
            invite_requirement: Some(self.rules.invite.clone().into()),
            joining_requirement: Some(self.rules.joining.clone().into()),
            now_ns: self.clock.now().as_nanos(),
            member_limit: self.rules.member_limit.get(),
            conversation_bits: self.traffic.conversation_bits(),
            congestion_steps: self.congestion.steps(),
        }
    }

    pub(super) fn query_topic(&self, request: QueryRequest) -> Result<QueryResponse, Status> {
        let QueryRequest { topic, after, limit, descending } = request;
        let topic = parse_topic(&topic)?;
        let limit = page_records(limit);
        let Page { records, more } =
            self.store.page(&topic, Cursor(after), limit, descending).map_err(|error| status::store(&error))?;
        Ok(QueryResponse { records, more })
    }

    pub(super) fn contacts(&self, request: QueryContactsRequest) -> Result<QueryContactsResponse, Status> {
        let QueryContactsRequest { after, limit } = request;
        let stretch = self.store.read(Cursor(after), page_records(limit), |topic| matches!(topic, Topic::Contact(_)));
        let Stretch { records, seen } = stretch.map_err(|error| status::store(&error))?;
        let more = seen < self.store.durable();
        let records = records.into_iter().map(|(_, record)| record).collect();
        Ok(QueryContactsResponse { records, seen: seen.0, more })
    }

    pub(super) fn requirements(&self, request: GetRequirementsRequest) -> Result<GetRequirementsResponse, Status> {
        let GetRequirementsRequest { topic } = request;
        let network = match parse_topic(&topic)? {
            Topic::Invite(account) => {
                let policy = self.ingest.published_policy(&account).map_err(|error| status::store(&error))?;
                let policy = policy.ok_or_else(|| status::refused(&Refusal::NoSuchInbox))?.unwrap_or_default();
                let Announced { times, good_until } = self.congestion.announced(self.clock.now());
                let network = Some(self.rules.invite.times(times).into());
                return Ok(GetRequirementsResponse { network, policy, times, good_until_ns: good_until.as_nanos() });
            }
            Topic::Contact(account) => {
                let known =
                    self.store.own_record(&account, OwnTopic::Contact).map_err(|error| status::store(&error))?;
                if known.is_some() { Requirement::nothing() } else { self.rules.joining.clone() }
            }
            Topic::Policy(_) | Topic::Vault(_) | Topic::Receipts(_) => Requirement::nothing(),
            Topic::Conversation(_) => self.rules.opening.clone(),
            Topic::Claim(_) => {
                return Err(status::refused(&Refusal::NotOffered { what: "this kind of topic".to_owned() }));
            }
        };
        Ok(GetRequirementsResponse { network: Some(network.into()), ..Default::default() })
    }

    pub(super) fn key_bundle(&self, request: GetKeyBundleRequest) -> Result<GetKeyBundleResponse, Status> {
        let GetKeyBundleRequest { account } = request;
        if account.len() > account::MAX_NAME_BYTES {
            let got = account.len();
            return Err(status::malformed(Malformed::TooLarge { field: "account", max: account::MAX_NAME_BYTES, got }));
        }
        let account: Account = account.parse().map_err(|error| status::malformed(Malformed::Account(error)))?;
        let own = self.store.own_record(&account, OwnTopic::Contact).map_err(|error| status::store(&error))?;
        let own = own.ok_or_else(|| status::refused(&Refusal::NoSuchInbox))?;
        Ok(GetKeyBundleResponse { record: Some(own.record) })
    }
}

/// How many records of a page were asked for; 0 asks for as many as there may be.
pub(super) fn page_records(limit: u32) -> usize {
    match usize::try_from(limit) {
        Ok(limit @ 1..=PAGE_RECORDS) => limit,
        _ => PAGE_RECORDS,
    }
}

fn parse_topic(name: &str) -> Result<Topic, Status> {
    name.parse().map_err(|error| status::malformed(Malformed::Topic(error)))
}

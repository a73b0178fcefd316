//! The native API: tonic's service, one file per kind of call. Writes go through the one door; reads are of the log, the chain
//! view and the groups. No rule is decided here.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use xmtp_proto::time::Clock;
use xmtp_proto::wire::node_server;
use xmtp_proto::wire::{
    GetBucketRequest, GetBucketResponse, GetKeyBundleRequest, GetKeyBundleResponse, GetNetworkRequest,
    GetNetworkResponse, GetRequirementsRequest, GetRequirementsResponse, GetRootsRequest, GetRootsResponse,
    PublishRequest, PublishResponse, QueryContactsRequest, QueryContactsResponse, QueryConversationsRequest,
    QueryConversationsResponse, QueryRequest, QueryResponse, SubscribeRequest,
};

use crate::chain::ChainHandle;
use crate::claims::ClaimsHandle;
use crate::congestion::Congestion;
use crate::ingest::Ingest;
use crate::members::MembersHandle;
use crate::metrics::Metrics;
use crate::peer::Peer;
use crate::places::Places;
use crate::store::Store;
use crate::traffic::Traffic;
use crate::validate::Rules;
pub(crate) use read::PAGE_RECORDS;
pub(crate) use subscribe::FILTERS_MAX;
use subscribe::Subscription;

mod groups;
mod prefix;
mod publish;
mod read;
mod status;
mod subscribe;

/// What the network is, for clients that ask.
#[derive(Clone, Debug)]
pub(crate) struct NetworkInfo {
    pub(crate) chain_id: u64,
    pub(crate) token: alloy::primitives::Address,
    pub(crate) operator: alloy::primitives::Address,
}

/// The service.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) ingest: Ingest,
    pub(crate) metrics: Metrics,
    pub(crate) store: Store,
    pub(crate) chain: ChainHandle,
    pub(crate) members: MembersHandle,
    pub(crate) claims: ClaimsHandle,
    pub(crate) rules: Arc<Rules>,
    pub(crate) traffic: Traffic,
    pub(crate) congestion: Congestion,
    pub(crate) info: NetworkInfo,
    pub(crate) clock: Clock,
    /// Reads that touch the disk or the trees at once; more wait for their turn.
    pub(crate) reads: Arc<Semaphore>,
    pub(crate) streams: Streams,
    /// Ends the streams when the node stops.
    pub(crate) stop: CancellationToken,
}

/// Subscriptions that may be open at once, in all and from one peer; more are told to come back.
#[derive(Clone)]
pub(crate) struct Streams {
    pub(crate) places: Places,
    pub(crate) total_max: usize,
    pub(crate) per_peer_max: usize,
}

impl Api {
    /// Reads on a thread that may block, and answers.
    async fn answering<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Self) -> Result<T, Status> + Send + 'static,
    ) -> Result<Response<T>, Status> {
        self.reading(read).await.map(Response::new)
    }

    async fn reading<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Self) -> Result<T, Status> + Send + 'static,
    ) -> Result<T, Status> {
        // Never closed, so never an error.
        let permit =
            self.reads.clone().acquire_owned().await.map_err(|_| Status::unavailable("the node is stopping"))?;
        let this = self.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            read(&this)
        });
        reading.await.map_err(|_| Status::internal("the node made a mistake; it is in its log"))?
    }
}

#[tonic::async_trait]
impl node_server::Node for Api {
    async fn get_network(&self, _: Request<GetNetworkRequest>) -> Result<Response<GetNetworkResponse>, Status> {
        Ok(Response::new(self.network()))
    }

    async fn publish(&self, request: Request<PublishRequest>) -> Result<Response<PublishResponse>, Status> {
        let peer = request.extensions().get().copied().unwrap_or(Peer::NOBODY);
        self.publish_all(peer, request.into_inner()).await.map(Response::new)
    }

    async fn query(&self, request: Request<QueryRequest>) -> Result<Response<QueryResponse>, Status> {
        let request = request.into_inner();
        self.answering(move |api| api.query_topic(request)).await
    }

    async fn query_conversations(
        &self,
        request: Request<QueryConversationsRequest>,
    ) -> Result<Response<QueryConversationsResponse>, Status> {
        let request = request.into_inner();
        self.answering(move |api| api.query_prefix(request)).await
    }

    async fn query_contacts(
        &self,
        request: Request<QueryContactsRequest>,
    ) -> Result<Response<QueryContactsResponse>, Status> {
        let request = request.into_inner();
        self.answering(move |api| api.contacts(request)).await
    }

    type SubscribeStream = Subscription;

    async fn subscribe(&self, request: Request<SubscribeRequest>) -> Result<Response<Subscription>, Status> {
        let peer = request.extensions().get().copied().unwrap_or(Peer::NOBODY);
        self.open_subscription(peer, request.into_inner())
    }

    async fn get_requirements(
        &self,
        request: Request<GetRequirementsRequest>,
    ) -> Result<Response<GetRequirementsResponse>, Status> {
        let request = request.into_inner();
        self.answering(move |api| api.requirements(request)).await
    }

    async fn get_key_bundle(
        &self,
        request: Request<GetKeyBundleRequest>,
    ) -> Result<Response<GetKeyBundleResponse>, Status> {
        let request = request.into_inner();
        self.answering(move |api| api.key_bundle(request)).await
    }

    async fn get_roots(&self, request: Request<GetRootsRequest>) -> Result<Response<GetRootsResponse>, Status> {
        let request = request.into_inner();
        self.answering(move |api| api.roots(request)).await
    }

    async fn get_bucket(&self, request: Request<GetBucketRequest>) -> Result<Response<GetBucketResponse>, Status> {
        let request = request.into_inner();
        self.answering(move |api| api.bucket(request)).await
    }
}

//! What clients make of a node that alters what issuers say: a real node, and one in front of it that hands everything on, and
//! lies about the groups of claims.

#![allow(clippy::unwrap_used)] // A test may.

mod support;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use support::World;
use support::claims::{counts, issue_to, offered};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Channel;
use tonic::{Request, Response, Status, Streaming};
use url::Url;
use xmtp_contracts::OfferedClaim;
use xmtp_proto::requirement::Shown;
use xmtp_proto::wire::get_roots_request::Group;
use xmtp_proto::wire::node_client::NodeClient;
use xmtp_proto::wire::node_server::{Node as Service, NodeServer};
use xmtp_proto::wire::{self, VolumeRoot};
use xmtp_sdk::claims::SMALL_CLAIM;
use xmtp_sdk::client::{Client, SendError};

type Alteration = fn(&mut Vec<VolumeRoot>);

/// Hands everything on to a real node and back, but for the roots of claims' groups.
struct AlteringNode {
    real: NodeClient<Channel>,
    alteration: Arc<Mutex<Alteration>>,
}

#[tonic::async_trait]
impl Service for AlteringNode {
    type SubscribeStream = Streaming<wire::SubscribeResponse>;

    async fn get_network(
        &self,
        request: Request<wire::GetNetworkRequest>,
    ) -> Result<Response<wire::GetNetworkResponse>, Status> {
        self.real.clone().get_network(request.into_inner()).await
    }

    async fn publish(&self, request: Request<wire::PublishRequest>) -> Result<Response<wire::PublishResponse>, Status> {
        self.real.clone().publish(request.into_inner()).await
    }

    async fn query(&self, request: Request<wire::QueryRequest>) -> Result<Response<wire::QueryResponse>, Status> {
        self.real.clone().query(request.into_inner()).await
    }

    async fn query_conversations(
        &self,
        request: Request<wire::QueryConversationsRequest>,
    ) -> Result<Response<wire::QueryConversationsResponse>, Status> {
        self.real.clone().query_conversations(request.into_inner()).await
    }

    async fn query_contacts(
        &self,
        request: Request<wire::QueryContactsRequest>,
    ) -> Result<Response<wire::QueryContactsResponse>, Status> {
        self.real.clone().query_contacts(request.into_inner()).await
    }

    async fn subscribe(
        &self,
        request: Request<wire::SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        self.real.clone().subscribe(request.into_inner()).await
    }

    async fn get_requirements(
        &self,
        request: Request<wire::GetRequirementsRequest>,
    ) -> Result<Response<wire::GetRequirementsResponse>, Status> {
        self.real.clone().get_requirements(request.into_inner()).await
    }

    async fn get_key_bundle(
        &self,
        request: Request<wire::GetKeyBundleRequest>,
    ) -> Result<Response<wire::GetKeyBundleResponse>, Status> {
        self.real.clone().get_key_bundle(request.into_inner()).await
    }

    async fn get_bucket(
        &self,
        request: Request<wire::GetBucketRequest>,
    ) -> Result<Response<wire::GetBucketResponse>, Status> {
        self.real.clone().get_bucket(request.into_inner()).await
    }

    async fn get_roots(
        &self,
        request: Request<wire::GetRootsRequest>,
    ) -> Result<Response<wire::GetRootsResponse>, Status> {
        let request = request.into_inner();
        let is_of_a_claim = matches!(request.group, Some(Group::Claim(_)));
        let mut answer = self.real.clone().get_roots(request).await?;
        if is_of_a_claim {
            self.alteration.lock().unwrap()(&mut answer.get_mut().roots);
        }
        Ok(answer)
    }
}

/// Where the one that lies listens, for as long as the tasks live.
async fn altering(world: &World) -> (Url, Arc<Mutex<Alteration>>, JoinSet<()>) {
    let alteration: Arc<Mutex<Alteration>> = Arc::new(Mutex::new(|_| ()));
    let node = AlteringNode { real: world.client.clone(), alteration: Arc::clone(&alteration) };
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let mut tasks = JoinSet::new();
    let server = tonic::transport::Server::builder().add_service(NodeServer::new(node));
    tasks.spawn(async move { server.serve_with_incoming(TcpListenerStream::new(listener)).await.unwrap() });
    (url, alteration, tasks)
}

async fn client(world: &World, node: &Url, (person, home): (usize, &Path), small_claims: bool) -> Client {
    let builder = world.builder(person, home).node(node.clone()).small_claims(small_claims);
    builder.connect().await.unwrap()
}

/// A claim that few hold nearly says who shows it. How many that are, a node could say as it likes, to have it shown.
#[tokio::test]
async fn node_does_not_say_how_many_hold_a_claim() {
    let mut world = World::start().await;
    let cats = OfferedClaim { limit: 48, ..offered("cats", 0xc1) };
    let id = cats.id(world.network);
    world.offer(vec![cats]).await;
    let (node, alteration, _tasks) = altering(&world).await;
    let homes = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let alice = client(&world, &node, (1, homes[0].path()), false).await;
    let bob = client(&world, &node, (2, homes[1].path()), false).await;
    let carol = client(&world, &node, (3, homes[2].path()), false).await;
    let mut holders = Vec::new();
    for it in [&alice, &bob, &carol] {
        let published = it.create_identity().await.unwrap().published;
        holders.push(published.bundle.bundle().keys.claim_commitment);
    }
    let to = bob.account().to_string();
    bob.set_policy(format!("claim({id})").parse().unwrap()).await.unwrap();
    let (of_alice, of_carol) = (holders[0], holders[2]);
    alice.close().await.unwrap();
    let root = issue_to(&mut world, id, vec![of_alice, of_carol], 10).await;
    counts(&world, id, root).await;

    let lies: [(&str, Alteration, Option<u32>); 5] = [
        ("nothing", |_| (), Some(2)),
        ("as many as it takes", |roots| roots[0].leaves = SMALL_CLAIM, Some(2)),
        ("as many as there can be", |roots| roots[0].leaves = u32::MAX, Some(2)),
        ("nobody", |roots| roots[0].leaves = 0, Some(2)),
        (
            "a volume that the issuers do not know",
            |roots| {
                let second = VolumeRoot { volume: 1, ..roots[0].clone() };
                roots.push(second);
            },
            None,
        ),
    ];
    for (lie, altered, expected) in lies {
        *alteration.lock().unwrap() = altered;
        let alice = client(&world, &node, (1, homes[0].path()), false).await;
        let [status] = alice.claims().await.unwrap().try_into().unwrap();
        assert_eq!((status.holders, status.held), (expected, expected.is_some()), "{lie}");
        let refused = alice.send(&to, "Dear Bob").await.unwrap_err();
        assert!(matches!(refused, SendError::NoPass(_)), "{lie}: {refused}");
        alice.close().await.unwrap();
    }
    // She may show it all the same: then she has been told among how many.
    *alteration.lock().unwrap() = |roots| roots[0].leaves = SMALL_CLAIM;
    let alice = client(&world, &node, (1, homes[0].path()), true).await;
    let sent = alice.send(&to, "Dear Bob").await.unwrap();
    assert!(matches!(sent.passes[..], [Shown::Claim { id: of, .. }] if of == id), "{:?}", sent.passes);
}

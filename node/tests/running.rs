//! A node in operation: what it says of itself, how it starts and stops, what it does when the chain is gone.

#![allow(clippy::unwrap_used)] // A test may.

mod support;

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use support::{Tag, World, until};
use tonic::transport::Channel;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_types::StatusExt as _;
use xmtp_proto::pass::Pass;
use xmtp_proto::refusal::Code;
use xmtp_proto::submission::Submission;
use xmtp_proto::time::Clock;
use xmtp_proto::topic::Topic;
use xmtp_proto::wire;
use xmtp_proto::wire::node_client::NodeClient;

const SERVICE: &str = "xmtp.v1.Node";

async fn channel(world: &World) -> Channel {
    let url = format!("http://{}", world.node.as_ref().unwrap().address());
    Channel::from_shared(url).unwrap().connect().await.unwrap()
}

#[tokio::test]
async fn node_says_that_it_serves_and_what() {
    let world = World::start().await;
    let request = HealthCheckRequest { service: SERVICE.to_owned() };
    let health = HealthClient::new(channel(&world).await).check(request).await.unwrap().into_inner();
    assert_eq!(health.status(), ServingStatus::Serving);

    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut answers = ServerReflectionClient::new(channel(&world).await)
        .server_reflection_info(tokio_stream::once(request))
        .await
        .unwrap()
        .into_inner();
    let Some(MessageResponse::ListServicesResponse(list)) = answers.message().await.unwrap().unwrap().message_response
    else {
        panic!("no list of services");
    };
    assert!(list.service.iter().any(|service| service.name == SERVICE), "{list:?}");
}

#[tokio::test]
async fn lost_chain_is_no_reason_to_guess_and_its_return_no_reason_to_restart() {
    let clock = Clock::manual(Clock::system().now());
    let mut world = World::start_with("all()", clock.clone()).await;
    let bob = world.join(2).await;
    let book = world.buy(1, 4, 11).await;
    let letter = world.letter(&bob, "letter");
    let stamp = world.stamp(&book, 0, &letter, Tag::ToNonce).await;
    let submission = Submission::new(letter, vec![Pass::Stamp(stamp)]).unwrap();

    signal(world.anvil().child().id(), "STOP");
    clock.set(clock.now().saturating_add(Duration::from_secs(90)));
    let refusal = world.publish(submission.clone()).await.unwrap_err();
    assert_eq!(refusal.code(), Code::ChainViewStale);
    let group = wire::StampGroup { denomination: 1, issue: book.issue.0 };
    let roots = wire::GetRootsRequest { group: Some(wire::get_roots_request::Group::Stamps(group)) };
    let status = world.client.get_roots(roots.clone()).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable);
    assert_eq!(status.get_details_error_info().unwrap().reason, "chain_view_stale");
    assert!(status.get_details_retry_info().unwrap().retry_delay.is_some());
    // What asks nothing of the chain is served all the same.
    let query = wire::QueryRequest { topic: Topic::Contact(bob.account).to_string(), ..Default::default() };
    assert_eq!(world.client.query(query).await.unwrap().into_inner().records.len(), 1);

    signal(world.anvil().child().id(), "CONT");
    let client = world.client.clone();
    until("the node sees its chain again", async || client.clone().get_roots(roots.clone()).await.is_ok()).await;
    world.publish(submission).await.unwrap();
}

#[tokio::test]
async fn process_stops_when_told_and_keeps_what_it_acknowledged_when_killed() {
    let mut world = World::start().await;
    // A process takes over the folder of the node in the test.
    world.node.take().unwrap().shutdown().await.unwrap();
    let folder = world.folder.path().to_owned();
    let (mut process, mut client) = run(&folder).await;
    let bob = support::Person::new(2);
    let bundle = bob.bundle(world.network, 1, 1);
    let submission = bob.own(&world, Topic::Contact(bob.account), bundle.to_bytes());
    let publication = wire::Publication { submission: Some(submission.into()), expected_head: None };
    let request = wire::PublishRequest { publications: vec![publication] };
    let known = async |client: &mut NodeClient<Channel>| {
        let request = wire::GetKeyBundleRequest { account: bob.account.to_string() };
        client.get_key_bundle(request).await
    };
    assert_eq!(known(&mut client).await.unwrap_err().get_details_error_info().unwrap().reason, "no_such_inbox");
    until("the chain is seen", async || {
        let results = client.clone().publish(request.clone()).await.unwrap().into_inner().results;
        results.into_iter().all(|result| support::outcome(result).is_ok())
    })
    .await;
    process.kill().unwrap();
    process.wait().unwrap();

    let (mut process, mut client) = run(&folder).await;
    known(&mut client).await.unwrap();
    signal(process.id(), "TERM");
    assert!(process.wait().unwrap().success());
}

#[test]
fn configuration_is_checked_without_a_start() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("node.toml");
    std::fs::write(&config, include_str!("../config.example.toml")).unwrap();
    let Output { status, stderr, .. } = check_config(&config);
    assert_eq!(status.code(), Some(1));
    let stderr = String::from_utf8(stderr).unwrap();
    assert!(stderr.contains("operator.json"), "{stderr}");

    std::fs::write(&config, "listen = 5050").unwrap();
    let Output { status, stderr, .. } = check_config(&config);
    assert_eq!(status.code(), Some(1));
    assert!(String::from_utf8(stderr).unwrap().contains("configuration"));
}

#[tokio::test]
async fn development_keys_are_good_on_a_development_chain_only() {
    let mut world = World::start().await;
    world.node.take().unwrap().shutdown().await.unwrap();
    let folder = world.folder.path();
    let config = folder.join("node.toml");
    assert!(check_config(&config).status.success());

    let mut deployment = world.deployment.clone();
    deployment.chain_id = 1;
    deployment.network_id = xmtp_proto::derive::NetworkId::new(1, deployment.postage).0;
    std::fs::write(folder.join("deployment.json"), serde_json::to_vec(&deployment).unwrap()).unwrap();
    let Output { status, stderr, .. } = check_config(&config);
    assert_eq!(status.code(), Some(1));
    assert!(String::from_utf8(stderr).unwrap().contains("development keys"));

    // A ceremony's key would do, if it is the one that the deployment names.
    let key = xmtp_prover::ProvingKey::from_seed([9; 32]).verifying_key().unwrap();
    std::fs::write(folder.join("pass.vk"), key.to_bytes()).unwrap();
    let file = std::fs::read_to_string(&config).unwrap();
    let named = |name: &str| format!("{file}\n[proofs]\nverifying_key = \"{}/{name}\"\n", folder.display());
    std::fs::write(&config, named("pass.vk")).unwrap();
    let Output { status, stderr, .. } = check_config(&config);
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    deployment.verifying_key = Some(xmtp_prover::VerifyingKey::dev().keccak());
    std::fs::write(folder.join("deployment.json"), serde_json::to_vec(&deployment).unwrap()).unwrap();
    let Output { stderr, .. } = check_config(&config);
    assert!(String::from_utf8(stderr).unwrap().contains("the deployment names"));
    std::fs::write(folder.join("dev.vk"), xmtp_prover::VerifyingKey::dev().to_bytes()).unwrap();
    std::fs::write(&config, named("dev.vk")).unwrap();
    let Output { stderr, .. } = check_config(&config);
    assert!(String::from_utf8(stderr).unwrap().contains("development keys"));
    std::fs::write(&config, named("operator.json")).unwrap();
    let Output { stderr, .. } = check_config(&config);
    assert!(String::from_utf8(stderr).unwrap().contains("verifying key"));

    deployment.network_id = world.deployment.network_id;
    std::fs::write(folder.join("deployment.json"), serde_json::to_vec(&deployment).unwrap()).unwrap();
    let Output { stderr, .. } = check_config(&config);
    assert!(String::from_utf8(stderr).unwrap().contains("networkId"));
}

fn check_config(config: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xmtp-node")).arg("check-config").arg("--config").arg(config).output().unwrap()
}

/// Runs the node's binary on a folder of [`World`], and connects when it serves.
async fn run(folder: &Path) -> (KilledOnDrop, NodeClient<Channel>) {
    let ready = folder.join("ready.json");
    let _ = std::fs::remove_file(&ready);
    let process = Command::new(env!("CARGO_BIN_EXE_xmtp-node"))
        .args(["run", "--config"])
        .arg(folder.join("node.toml"))
        .arg("--ready-file")
        .arg(&ready)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let process = KilledOnDrop(process);
    let address = || {
        let text = std::fs::read_to_string(&ready).ok()?;
        let json: serde_json::Value = serde_json::from_str(&text).ok()?;
        Some(json["listening"].as_str()?.to_owned())
    };
    until("the process serves", async || address().is_some()).await;
    let client = NodeClient::connect(format!("http://{}", address().unwrap())).await.unwrap();
    (process, client)
}

/// No test leaves a process behind.
struct KilledOnDrop(Child);

impl std::ops::Deref for KilledOnDrop {
    type Target = Child;
    fn deref(&self) -> &Child {
        &self.0
    }
}

impl std::ops::DerefMut for KilledOnDrop {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for KilledOnDrop {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn signal(process: u32, name: &str) {
    assert!(Command::new("kill").arg(format!("-{name}")).arg(process.to_string()).status().unwrap().success());
}

//! Roles: what goes over which connection, as the proxies of the roles see it, and a node that has no other way in.

#![allow(clippy::unwrap_used)] // A test may.

mod support;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use support::World;
use support::proxies::{MockSocks, MockTunnel, NODE, Seen};
use tokio::net::TcpListener;
use url::Url;
use xmtp_proto::topic::Topic;
use xmtp_prover::Limit;
use xmtp_sdk::client::Builder;
use xmtp_sdk::inbox::Which;
use xmtp_sdk::transport::{Role, TransportError};

/// A client whose connections go through the proxy, those of each role under its name.
fn builder(world: &World, proxy: SocketAddr, person: usize, home: &Path) -> Builder {
    let port = world.node.as_ref().unwrap().address().port();
    let node: Url = format!("http://{NODE}:{port}").parse().unwrap();
    let builder = world.builder(person, home).node(node);
    Role::ALL.into_iter().fold(builder, |builder, role| {
        let proxy = format!("socks5://{role}:se%3Acret@{proxy}").parse().unwrap();
        builder.proxy(role, Arc::new(proxy))
    })
}

#[tokio::test]
async fn each_role_has_connections_and_a_proxy_of_its_own() {
    let world = World::start().await;
    let proxy = MockSocks::start(world.node.as_ref().unwrap().address()).await;
    let homes = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let mut clients = Vec::new();
    for (number, home) in homes.iter().enumerate() {
        let client = builder(&world, proxy.address, 1 + number, home.path()).connect().await.unwrap();
        client.create_identity().await.unwrap();
        clients.push(client);
    }
    let [alice, bob, carol] = &clients[..] else { panic!("three") };
    world.fund(alice.account().address()).await;
    alice.buy_stamps(1.try_into().unwrap(), Limit::new(8).unwrap()).await.unwrap();
    assert!(proxy.seen.lock().unwrap().iter().all(|it| it.password == "se:cret"), "decoded");

    // Letters: a connection for each recipient, and copies in the journal on others.
    proxy.forget();
    for to in [bob, carol] {
        alice.send(&to.account().to_string(), "a letter").await.unwrap();
    }
    let asking = proxy.of("asking");
    let letters: Vec<_> = asking.iter().map(Seen::topics).filter(|topics| !topics.is_empty()).collect();
    let invites = [bob, carol].map(|it| BTreeSet::from([Topic::Invite(it.account())]));
    assert_eq!(letters, invites, "each on its own, and nothing else there");
    assert_alone(&proxy);

    // An answer: it is posted, and the conversation and the journal are opened, each on connections for nothing else.
    proxy.forget();
    let conversation = bob.conversation(alice.account()).await.unwrap().unwrap();
    assert!(conversation.send("an answer").await.unwrap().opened);
    let topic = conversation.topic();
    let posted: Vec<_> = proxy.of("posting").iter().map(Seen::topics).collect();
    assert!(posted.contains(&BTreeSet::from([topic])), "{posted:?}");
    let others: BTreeSet<_> = posted.into_iter().flatten().filter(|it| *it != topic).collect();
    assert_eq!(others.len(), 1, "the journal");
    assert_alone(&proxy);

    // Reading.
    proxy.forget();
    alice.inbox(Which::All).await.unwrap();
    let conversation = alice.conversation(bob.account()).await.unwrap().unwrap();
    assert_eq!(conversation.messages(Which::All).await.unwrap().messages.len(), 1);
    assert!(!proxy.of("reading").is_empty());
    assert_alone(&proxy);
}

/// What each kind of connection may tell a node, at the most.
fn assert_alone(proxy: &MockSocks) {
    for Seen { user, sent, .. } in proxy.seen.lock().unwrap().iter() {
        let topics = Seen { sent: Arc::clone(sent), ..Seen::default() }.topics();
        let fine = match user.as_str() {
            // One account's, and no conversation.
            "mine" => {
                let accounts = topics.iter().map(|topic| match topic {
                    Topic::Contact(account)
                    | Topic::Policy(account)
                    | Topic::Vault(account)
                    | Topic::Receipts(account)
                    | Topic::Invite(account) => Some(account),
                    Topic::Conversation(_) | Topic::Claim(_) => None,
                });
                let accounts: BTreeSet<_> = accounts.map(|account| account.map(ToString::to_string)).collect();
                accounts.len() <= 1 && !accounts.contains(&None)
            }
            "posting" => topics.len() == 1 && topics.iter().all(|topic| matches!(topic, Topic::Conversation(_))),
            "asking" => topics.len() <= 1 && topics.iter().all(|topic| matches!(topic, Topic::Invite(_))),
            // By prefix.
            "reading" => topics.is_empty(),
            other => panic!("a connection of {other}"),
        };
        assert!(fine, "{user} names {topics:?}");
    }
}

#[tokio::test]
async fn every_connection_through_an_onion_network_has_a_way_of_its_own() {
    let world = World::start().await;
    let proxy = MockSocks::start(world.node.as_ref().unwrap().address()).await;
    let home = tempfile::tempdir().unwrap();
    let tor: Arc<_> = Arc::new(format!("tor://{}", proxy.address).parse().unwrap());
    let builder = builder(&world, proxy.address, 1, home.path());
    let builder = Role::ALL.into_iter().fold(builder, |builder, role| builder.proxy(role, Arc::clone(&tor)));
    builder.connect().await.unwrap().create_identity().await.unwrap();
    let seen = proxy.seen.lock().unwrap();
    let users: BTreeSet<_> = seen.iter().map(|it| it.user.as_str()).collect();
    assert!(users.len() > 1);
    assert_eq!(users.len(), seen.len());
}

#[tokio::test]
async fn proxy_of_http_is_told_the_name_and_the_password() {
    let world = World::start().await;
    let node = world.node.as_ref().unwrap().address();
    let proxy = MockTunnel::start(node).await;
    let home = tempfile::tempdir().unwrap();
    let http: Arc<_> = Arc::new(format!("http://alice:se%3Acret@{}", proxy.address).parse().unwrap());
    let builder = builder(&world, proxy.address, 1, home.path());
    let builder = Role::ALL.into_iter().fold(builder, |builder, role| builder.proxy(role, Arc::clone(&http)));
    builder.connect().await.unwrap().create_identity().await.unwrap();
    let heads = proxy.heads.lock().unwrap();
    assert!(!heads.is_empty());
    for head in heads.iter() {
        assert!(head.starts_with(&format!("CONNECT {NODE}:{} HTTP/1.1\r\n", node.port())), "{head}");
        // alice:se:cret
        assert!(head.contains("Proxy-Authorization: Basic YWxpY2U6c2U6Y3JldA==\r\n"), "{head}");
    }
}

#[tokio::test]
async fn proxy_that_is_gone_is_named_with_its_role() {
    let world = World::start().await;
    let proxy = MockSocks::start(world.node.as_ref().unwrap().address()).await;
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = nobody.local_addr().unwrap();
    drop(nobody);
    let home = tempfile::tempdir().unwrap();
    let dead = Arc::new(format!("socks5://mine:secret@{gone}").parse().unwrap());
    let client = builder(&world, proxy.address, 1, home.path()).proxy(Role::Mine, dead).connect().await.unwrap();
    client.node().await.unwrap();
    let error = client.create_identity().await.unwrap_err();
    let xmtp_sdk::client::PublishError::Transport(error @ TransportError::Proxy { role: Role::Mine, .. }) = error
    else {
        panic!("{error}")
    };
    let text = error.to_string();
    assert!(text.contains(&format!("socks5://{gone}, the proxy of the connections for mine")), "{text}");
    assert!(!text.contains("secret"));
    assert!(error.is_passing());
    assert_eq!(proxy.of("mine").len(), 0, "it went no other way");
}

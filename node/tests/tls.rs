//! TLS between a client and its node: who is believed, and what others on the way see.

#![allow(clippy::unwrap_used)] // A test may.

mod support;

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;

use futures_util::StreamExt as _;
use support::authority::{Authority, Good};
use support::proxies::{MockSocks, MockTunnel, NODE};
use support::{World, restart_with};
use xmtp_node::config::{Config, Overrides};
use xmtp_prover::Limit;
use xmtp_sdk::client::{Builder, PublishError};
use xmtp_sdk::inbox::Which;
use xmtp_sdk::stream::{Arrival, What};
use xmtp_sdk::transport::{Authorities, Proxy, Role, TransportError};

/// A world whose node has a certificate for a name from an authority of its own.
async fn world_with_tls(name: &str) -> (World, Authority) {
    let mut world = World::start().await;
    let authority = Authority::new(world.folder.path(), "own");
    let section = authority.certify(world.folder.path(), name, Good::Now);
    restart_with(&mut world, &section).await;
    (world, authority)
}

/// A client of the node under a name.
fn builder(world: &World, name: &str, authority: &Authority, person: usize, home: &Path) -> Builder {
    let port = world.node.as_ref().unwrap().address().port();
    world
        .builder(person, home)
        .node(format!("https://{name}:{port}").parse().unwrap())
        .authorities(Authorities::read(&authority.file).unwrap())
}

#[tokio::test]
async fn letter_travels_over_tls_and_comes_in_a_stream() {
    let (world, authority) = world_with_tls("localhost").await;
    let homes = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let mut clients = Vec::new();
    for (number, home) in homes.iter().enumerate() {
        let client = builder(&world, "localhost", &authority, 1 + number, home.path()).connect().await.unwrap();
        client.create_identity().await.unwrap();
        clients.push(client);
    }
    let [alice, bob] = &clients[..] else { panic!("two") };
    world.fund(alice.account().address()).await;
    alice.buy_stamps(1.try_into().unwrap(), Limit::new(8).unwrap()).await.unwrap();
    alice.send(&bob.account().to_string(), "a letter").await.unwrap();
    let mut arrivals = pin!(bob.stream(What::All, Which::All));
    assert!(matches!(arrivals.next().await, Some(Ok(Arrival::Letter(_)))));
}

#[tokio::test]
async fn node_that_nobody_trusted_vouches_for_is_refused() {
    let (world, authority) = world_with_tls("localhost").await;
    let other = Authority::new(world.folder.path(), "other");
    let home = tempfile::tempdir().unwrap();
    let builder = |name, authority| builder(&world, name, authority, 1, home.path());
    let refused = async |builder: Builder| match builder.connect().await.unwrap().create_identity().await.unwrap_err() {
        PublishError::Transport(error) => error,
        other => panic!("{other}"),
    };
    for (sentence, builder, expected) in [
        ("an authority that it does not know", builder("localhost", &other), "UnknownIssuer"),
        ("another name", builder("127.0.0.1", &authority), "not valid for name"),
    ] {
        let error = refused(builder).await;
        assert!(matches!(error, TransportError::Certificate { .. }) && !error.is_passing(), "{sentence}: {error:?}");
        assert!(error.to_string().contains(expected), "{sentence}: {error}");
    }
    // Those of this system, if it has any.
    let error = refused(builder("localhost", &authority).authorities(Authorities::default())).await;
    assert!(matches!(error, TransportError::Certificate { .. } | TransportError::NoAuthorities), "{error:?}");

    authority.certify(world.folder.path(), "localhost", Good::LongAgo);
    let config = Config::load(&world.folder.path().join("node.toml"), &Overrides::default()).unwrap();
    let reloader = world.node.as_ref().unwrap().reloader();
    reloader.reload(&config).unwrap();
    let error = refused(builder("localhost", &authority)).await;
    assert!(matches!(error, TransportError::Certificate { .. }), "{error:?}");
    assert!(error.to_string().contains("expired"), "{error}");

    authority.certify(world.folder.path(), "localhost", Good::Now);
    reloader.reload(&config).unwrap();
    let client = builder("localhost", &authority).connect().await.unwrap();
    client.create_identity().await.unwrap();
}

#[tokio::test]
async fn neither_side_goes_on_without_tls_because_the_other_has_none() {
    let (world, authority) = world_with_tls("localhost").await;
    let plain = World::start().await;
    let home = tempfile::tempdir().unwrap();
    let port = |world: &World| world.node.as_ref().unwrap().address().port();
    for url in [format!("http://localhost:{}", port(&world)), format!("https://localhost:{}", port(&plain))] {
        let builder = builder(&world, "localhost", &authority, 1, home.path()).node(url.parse().unwrap());
        let client = builder.connect().await.unwrap();
        let error = client.node().await.unwrap_err();
        assert!(matches!(error, TransportError::Unreachable { .. }), "{url}: {error:?}");
    }
}

#[tokio::test]
async fn proxies_carry_what_they_cannot_read() {
    let (world, authority) = world_with_tls(NODE).await;
    let other = Authority::new(world.folder.path(), "other");
    let node = world.node.as_ref().unwrap().address();
    let (socks, tunnel) = (MockSocks::start(node).await, MockTunnel::start(node).await);
    let ways = [
        format!("socks5://alice:secret@{}", socks.address),
        format!("tor://{}", socks.address),
        format!("http://{}", tunnel.address),
    ];
    for (number, way) in ways.iter().enumerate() {
        let home = tempfile::tempdir().unwrap();
        let proxy: Arc<Proxy> = Arc::new(way.parse().unwrap());
        let through = |authority| {
            let builder = builder(&world, NODE, authority, 1 + number, home.path());
            Role::ALL.into_iter().fold(builder, |builder, role| builder.proxy(role, Arc::clone(&proxy)))
        };
        // A proxy is in the best place to be somebody else.
        let error = through(&other).connect().await.unwrap().node().await.unwrap_err();
        assert!(matches!(error, TransportError::Certificate { .. }), "{way}: {error:?}");
        through(&authority).connect().await.unwrap().create_identity().await.unwrap();
    }
    assert!(!tunnel.heads.lock().unwrap().is_empty());
    let seen = socks.seen.lock().unwrap();
    assert!(seen.len() > 4);
    for connection in seen.iter() {
        assert!(connection.topics().is_empty());
        // A record with a handshake (RFC 8446).
        assert_eq!(connection.sent.lock().unwrap()[..2], [22, 3]);
    }
}

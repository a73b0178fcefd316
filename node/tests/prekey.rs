//! Prekeys through the months: whoever comes first makes the new one, and nobody is left without it.

#![allow(clippy::unwrap_used)] // A test may.

mod support;

use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use support::World;
use xmtp_proto::time::Clock;
use xmtp_prover::Limit;
use xmtp_sdk::client::{Builder, Client, Step};
use xmtp_sdk::inbox::Which;

const MONTH: Duration = Duration::from_secs(31 * 24 * 60 * 60);

fn builder(world: &World, number: usize, home: &Path) -> Builder {
    world.builder(number, home).clock(world.clock.clone())
}

async fn world() -> World {
    World::start_with("all()", Clock::manual(Clock::system().now())).await
}

async fn a_month_passes(world: &World) {
    let now = world.clock.now().saturating_add(MONTH);
    world.clock.set(now);
    let chain = world.node.as_ref().unwrap().chain();
    chain.wait_for(|view| view.as_of() == Some(now)).await.unwrap();
}

async fn texts(client: &Client, which: Which) -> Vec<String> {
    let inbox = client.inbox(which).await.unwrap();
    let reasons: Vec<_> = inbox.unverified.iter().map(|it| it.reason.to_string()).collect();
    assert!(reasons.is_empty(), "{reasons:?}");
    inbox.messages.into_iter().map(|it| it.content.unwrap().as_text().unwrap().to_owned()).collect()
}

/// The version of the bundle here, and of the published one.
async fn versions(client: &Client) -> (u32, u32) {
    let status = client.identity_status().await.unwrap();
    let (here, published) = (status.here.unwrap(), status.published.unwrap());
    assert_eq!(here.digest() == published.bundle.digest(), here.bundle().version == published.bundle.bundle().version);
    (here.bundle().version, published.bundle.bundle().version)
}

#[tokio::test]
async fn month_old_prekey_is_replaced_once_and_every_installation_has_it() {
    let world = world().await;
    let homes = [(); 4].map(|()| tempfile::tempdir().unwrap());
    let alice = builder(&world, 1, homes[0].path()).connect().await.unwrap();
    let bob = builder(&world, 2, homes[1].path()).connect().await.unwrap();
    let second = builder(&world, 2, homes[2].path()).connect().await.unwrap();
    for it in [&alice, &bob] {
        it.create_identity().await.unwrap();
    }
    second.restore_identity().await.unwrap();
    world.fund(alice.account().address()).await;
    alice.buy_stamps(1.try_into().unwrap(), Limit::new(4).unwrap()).await.unwrap();
    let to = bob.account().to_string();
    alice.send(&to, "to the old prekey").await.unwrap();
    assert_eq!(bob.keep_keys_fresh().await.unwrap(), None, "it is young");

    a_month_passes(&world).await;
    assert_eq!(texts(&bob, Which::New).await, ["to the old prekey"]);
    assert_eq!(versions(&bob).await, (2, 2));
    // She has not read anything since; to send is enough.
    alice.send(&to, "to the new prekey").await.unwrap();
    assert_eq!(versions(&alice).await, (2, 2));

    assert_eq!(versions(&second).await, (1, 2));
    assert_eq!(texts(&second, Which::All).await, ["to the old prekey", "to the new prekey"]);
    assert_eq!(versions(&second).await, (2, 2), "it took over what was there");
    let third = builder(&world, 2, homes[3].path()).connect().await.unwrap();
    third.restore_identity().await.unwrap();
    assert_eq!(texts(&third, Which::All).await, ["to the old prekey", "to the new prekey"]);
}

#[tokio::test]
async fn rotation_that_was_cut_short_is_finished_by_whoever_comes_next() {
    let world = world().await;
    let homes = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let [one, two] = homes.each_ref().map(|home| builder(&world, 2, home.path()));
    one.clone().connect().await.unwrap().create_identity().await.unwrap();
    two.clone().connect().await.unwrap().restore_identity().await.unwrap();

    let mut version = 1;
    // Before the vault is written; then before the bundle is. The next one is the same installation, or another.
    for (writes, next) in [(1, &one), (2, &one), (1, &two), (2, &two)] {
        a_month_passes(&world).await;
        let begun = Arc::new(AtomicUsize::new(0));
        let dies = one.clone().on_step(move |step| {
            let fatal = step == Step::Publishing && begun.fetch_add(1, Ordering::SeqCst) + 1 == writes;
            assert!(!fatal, "the process dies here, and the test knows");
        });
        let dies = dies.connect().await.unwrap();
        AssertUnwindSafe(dies.keep_keys_fresh()).catch_unwind().await.unwrap_err();
        drop(dies);

        let next = next.clone().connect().await.unwrap();
        next.inbox(Which::New).await.unwrap();
        version += 1;
        assert_eq!(versions(&next).await, (version, version), "after {writes} writes");
        drop(next);
        for it in [&one, &two] {
            let it = it.clone().connect().await.unwrap();
            it.keep_keys_fresh().await.unwrap();
            assert_eq!(versions(&it).await, (version, version), "after {writes} writes");
        }
    }
}

#[tokio::test]
async fn two_installations_that_rotate_at_once_agree() {
    let world = world().await;
    let homes = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let [one, two] = homes.each_ref().map(|home| builder(&world, 2, home.path()));
    let (one, two) = (one.connect().await.unwrap(), two.connect().await.unwrap());
    one.create_identity().await.unwrap();
    two.restore_identity().await.unwrap();
    for version in 2..6 {
        a_month_passes(&world).await;
        let (first, second) = tokio::join!(one.keep_keys_fresh(), two.keep_keys_fresh());
        let [first, second] = [first, second].map(|it| it.unwrap().unwrap().bundle);
        assert_eq!(first, second);
        assert_eq!(versions(&one).await, (version, version));
        assert_eq!(versions(&two).await, (version, version));
    }
}

//! Stakes end to end: the SDK as the client, a real node, a real chain. Made, shown with letters, left and paid back; and no
//! index of a day ever goes with two letters, whoever copies what.

#![allow(clippy::unwrap_used)] // A test may.

mod support;

use std::path::Path;

use alloy::primitives::U256;
use alloy::providers::Provider as _;
use support::World;
use support::clients::copy_of;
use tempfile::TempDir;
use xmtp_contracts::{IXmtpToken, STAKE_COOLDOWN};
use xmtp_proto::requirement::Shown;
use xmtp_sdk::chain::{Amount, StakeError};
use xmtp_sdk::client::{Client, SendError, StakingError};
use xmtp_sdk::inbox::Which;
use xmtp_sdk::state::{Lock, StakesError};

const ALICE: usize = 1;
const BOB: usize = 2;

async fn client(world: &World, number: usize, home: &Path) -> Client {
    world.builder(number, home).run_length(1).connect().await.unwrap()
}

async fn balance(world: &World, of: &Client) -> U256 {
    IXmtpToken::new(world.deployment.token, &world.provider).balanceOf(of.account().address()).call().await.unwrap()
}

/// What tier 1 locks.
fn amount(world: &World) -> U256 {
    U256::from(world.deployment.stake.as_ref().unwrap().tier(1).unwrap().amount)
}

/// Alice, who has the tokens for a stake of tier 1, and Bob, who asks strangers for one.
async fn people(world: &World, homes: &[TempDir; 2]) -> (Client, Client) {
    let alice = client(world, ALICE, homes[0].path()).await;
    let bob = client(world, BOB, homes[1].path()).await;
    for it in [&alice, &bob] {
        it.create_identity().await.unwrap();
    }
    bob.set_policy("stake(1)".parse().unwrap()).await.unwrap();
    let token = IXmtpToken::new(world.deployment.token, &world.provider);
    let granted = token.transfer(alice.account().address(), amount(world)).send().await.unwrap();
    granted.get_receipt().await.unwrap();
    (alice, bob)
}

#[tokio::test]
async fn stake_is_made_pays_for_letters_and_comes_back() {
    let world = World::start().await;
    let homes = [(); 2].map(|()| TempDir::new().unwrap());
    let (alice, bob) = people(&world, &homes).await;
    let to = bob.account().to_string();
    let Err(SendError::NoPass(no_pass)) = alice.send(&to, "Dear Bob").await else { panic!("sent for nothing") };
    assert_eq!(no_pass.locks, [(1, Amount(amount(&world)))]);
    assert!(no_pass.to_string().ends_with("; what would: stake(1); a stake of tier 1 locks 100 XMTP"), "{no_pass}");

    let made = alice.stake(1).await.unwrap();
    assert_eq!((made.amount.0, balance(&world, &alice).await), (amount(&world), U256::ZERO));
    for text in ["Dear Bob", "P.S.", "P.P.S."] {
        let sent = alice.send(&to, text).await.unwrap();
        assert_eq!(sent.passes, [Shown::Stake { tier: 1 }]);
        assert!(sent.stamps.is_empty());
    }
    let inbox = bob.inbox(Which::New).await.unwrap();
    assert_eq!(inbox.messages.len(), 3);
    assert!(inbox.messages.iter().all(|message| message.from == alice.account() && message.units_paid == 0));
    let [status] = alice.stakes().await.unwrap().try_into().unwrap();
    assert_eq!(status.left_today, status.stake.limit.get() - 3);

    // Out, and not before the week is over.
    let left = alice.exit_stake(made.stake.id).await.unwrap();
    assert!(matches!(left.stake.lock, Lock::Leaving { .. }), "{:?}", left.stake.lock);
    let Err(SendError::NoPass(_)) = alice.send(&to, "once more").await else { panic!("a stake that left paid") };
    let early = alice.withdraw_stake(made.stake.id).await.unwrap_err();
    assert!(matches!(early, StakingError::Chain(StakeError::TooEarly(_))), "{early}");
    let again = alice.exit_stake(made.stake.id).await.unwrap_err();
    assert!(matches!(again, StakingError::Chain(StakeError::Leaving(_))), "{again}");
    let week = serde_json::value::to_raw_value(&[STAKE_COOLDOWN.as_secs()]).unwrap();
    world.provider.raw_request_dyn("evm_increaseTime".into(), &week).await.unwrap();
    let block = serde_json::value::to_raw_value(&[1]).unwrap();
    world.provider.raw_request_dyn("anvil_mine".into(), &block).await.unwrap();
    let back = alice.withdraw_stake(made.stake.id).await.unwrap();
    assert_eq!((back.stake.lock, balance(&world, &alice).await), (Lock::Gone, amount(&world)));
}

#[tokio::test]
async fn stake_that_cannot_be_paid_for_is_not_made() {
    let world = World::start().await;
    let homes = [(); 2].map(|()| TempDir::new().unwrap());
    let (alice, _) = people(&world, &homes).await;
    let dear = alice.stake(2).await.unwrap_err();
    assert!(dear.to_string().contains("are missing"), "{dear}");
    let none = alice.stake(3).await.unwrap_err();
    assert!(matches!(none, StakingError::Chain(StakeError::NoSuchTier(3))), "{none}");
    assert_eq!(alice.stakes().await.unwrap(), []);
}

#[tokio::test]
async fn copies_of_a_client_never_use_one_index_of_a_day_for_two_letters() {
    let world = World::start().await;
    let homes = [(); 2].map(|()| TempDir::new().unwrap());
    let (alice, bob) = people(&world, &homes).await;
    let to = bob.account().to_string();
    alice.stake(1).await.unwrap();
    alice.send(&to, "the first").await.unwrap();
    drop(alice);

    let copied = copy_of(homes[0].path());
    let alice = client(&world, ALICE, homes[0].path()).await;
    let copy = client(&world, ALICE, copied.path()).await;
    for round in 0..3 {
        let (one, other) = (format!("{round} from the one"), format!("{round} from the other"));
        let (one, other) = tokio::join!(alice.send(&to, &one), copy.send(&to, &other));
        one.unwrap();
        other.unwrap();
    }
    // Put back from before.
    drop((alice, copy));
    let restored = client(&world, ALICE, copied.path()).await;
    restored.send(&to, "the last").await.unwrap();
    assert_eq!(bob.inbox(Which::All).await.unwrap().messages.len(), 8);
    let store = world.node.as_ref().unwrap().store();
    assert_eq!(store.evidence().count(), 0, "no index went with two letters");
}

#[tokio::test]
async fn stake_of_an_installation_that_is_gone_is_listed_and_taken_over() {
    let world = World::start().await;
    let homes = [(); 2].map(|()| TempDir::new().unwrap());
    let (alice, bob) = people(&world, &homes).await;
    let to = bob.account().to_string();
    let made = alice.stake(1).await.unwrap().stake;
    alice.send(&to, "from the first").await.unwrap();

    let home = TempDir::new().unwrap();
    let other = client(&world, ALICE, home.path()).await;
    other.restore_identity().await.unwrap();
    let [listed] = other.stakes().await.unwrap().try_into().unwrap();
    assert_eq!((listed.stake.id, listed.stake.lock, listed.left_today), (made.id, Lock::Elsewhere, 0));
    assert_eq!(listed.stake.commitment, made.commitment, "its secret follows from the account's");
    let Err(SendError::NoPass(_)) = other.send(&to, "without asking").await else { panic!("it was not taken over") };
    let again = alice.take_over_stake(made.id).await.unwrap_err();
    assert!(matches!(again, StakingError::Stakes(StakesError::Here(_))), "{again}");

    let taken = other.take_over_stake(made.id).await.unwrap();
    assert_eq!((taken.stake.lock, taken.left_today), (made.lock, made.limit.get() - 1));
    // The first one was not gone after all.
    for round in 0..2 {
        let (one, two) = (format!("{round} from the first"), format!("{round} from the other"));
        let (one, two) = tokio::join!(alice.send(&to, &one), other.send(&to, &two));
        assert_eq!(
            (one.unwrap().passes, two.unwrap().passes),
            (vec![Shown::Stake { tier: 1 }], vec![Shown::Stake { tier: 1 }])
        );
    }
    assert_eq!(bob.inbox(Which::All).await.unwrap().messages.len(), 5);
    assert_eq!(world.node.as_ref().unwrap().store().evidence().count(), 0, "no index went with two letters");
    let [status] = other.stakes().await.unwrap().try_into().unwrap();
    assert_eq!(status.left_today, made.limit.get() - 5);

    // And left by it.
    let left = other.exit_stake(made.id).await.unwrap();
    assert!(matches!(left.stake.lock, Lock::Leaving { .. }), "{:?}", left.stake.lock);
}

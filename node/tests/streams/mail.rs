//! Letters through the SDK, while everything else goes on: its stream resumes by itself where the node went away, and where the
//! program that reads it was dropped.

use std::cell::Cell;
use std::pin::pin;
use std::time::Duration;

use alloy::primitives::U256;
use alloy::signers::local::PrivateKeySigner;
use futures_util::StreamExt as _;
use tempfile::TempDir;
use xmtp_contracts::IXmtpToken;
use xmtp_prover::Limit;
use xmtp_sdk::client::Client;
use xmtp_sdk::inbox::Which;
use xmtp_sdk::stream::{Arrival, What};

use crate::dice::Dice;
use crate::support::World;

/// For one letter, whatever the node does meanwhile.
const PATIENCE: Duration = Duration::from_secs(300);

/// Alice, who writes, and Bob, who reads.
pub(crate) struct Mail {
    alice: Client,
    bob: Client,
    sent: Cell<u64>,
    _homes: [TempDir; 2],
}

/// What came.
#[derive(Default)]
pub(crate) struct Post {
    pub(crate) received: u64,
    pub(crate) hung_up: u64,
    pub(crate) out_of_turn: u64,
}

impl Mail {
    pub(crate) async fn start(world: &World, letters: u64) -> Self {
        let homes = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let client = async |number: usize| {
            let wallet = PrivateKeySigner::from_slice(&world.anvil().keys()[number].to_bytes()).unwrap();
            let node = format!("http://{}", world.node.as_ref().unwrap().address()).parse().unwrap();
            let builder = Client::builder(wallet, world.deployment.clone(), homes[number - 1].path().to_owned());
            let builder =
                builder.node(node).rpc(world.anvil().endpoint_url()).cache(env!("CARGO_TARGET_TMPDIR").into());
            let client = builder.connect().await.unwrap();
            client.create_identity().await.unwrap();
            client
        };
        let (alice, bob) = (client(1).await, client(2).await);
        let token = IXmtpToken::new(world.deployment.token, &world.provider);
        let amount = U256::from(10).pow(U256::from(20));
        token.transfer(alice.account().address(), amount).send().await.unwrap().get_receipt().await.unwrap();
        let count = Limit::new(u32::try_from(letters).unwrap()).unwrap();
        alice.buy_stamps(1.try_into().unwrap(), count).await.unwrap();
        Self { alice, bob, sent: Cell::new(0), _homes: homes }
    }

    /// Sends so many letters, each of which says which it is.
    pub(crate) async fn send(&self, letters: u64) {
        for _ in 0..letters {
            let number = self.sent.replace(self.sent.get() + 1);
            self.alice.send(&self.bob.account().to_string(), &number.to_string()).await.unwrap();
        }
    }

    /// Reads until all letters have come. A stream that is dropped before it was asked for the next letter has not read the last:
    /// that one comes again, and no other does.
    pub(crate) async fn read(&self, letters: u64, mut dice: Dice) -> Post {
        let mut post = Post::default();
        let mut next = 0;
        while next < letters {
            let mut arrivals = pin!(self.bob.stream(What::Letters, Which::New));
            let mut again = false;
            while next < letters && !again {
                let arrival = tokio::time::timeout(PATIENCE, arrivals.next()).await;
                let Ok(Some(Ok(arrival))) = arrival else { return post };
                let number: u64 = match arrival {
                    Arrival::Letter(message) => message.content.unwrap().as_text().unwrap().parse().unwrap(),
                    Arrival::Message { .. } => panic!("only letters were asked for"),
                    Arrival::Unverified(unverified) => panic!("not genuine: {}", unverified.reason),
                    Arrival::Interrupted { .. } => continue,
                };
                if number != next {
                    post.out_of_turn += 1;
                }
                again = next + 1 < letters && dice.one_in(2);
                if again {
                    post.hung_up += 1;
                } else {
                    post.received += 1;
                    next += 1;
                }
            }
        }
        post
    }
}

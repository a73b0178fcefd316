//! Letters whose answer is lost over midnight, when a day's passes are used no more: sent again, each is one letter with the
//! postmark that it was given then. A real node and chain, and the SDK as the client, behind a line that breaks.

#![allow(clippy::unwrap_used)] // A test may.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use support::claims::{counts, issue_to, offered};
use support::proxies::{Gets, Line};
use support::{World, until};
use tempfile::TempDir;
use tokio::sync::watch;
use url::Url;
use xmtp_contracts::{IClaims, OfferedClaim};
use xmtp_proto::derive::Denomination;
use xmtp_proto::requirement::Shown;
use xmtp_proto::time::{Clock, Generation, Timestamp};
use xmtp_proto::topic::Topic;
use xmtp_proto::wire;
use xmtp_prover::Limit;
use xmtp_sdk::client::{Client, SendError, Sent, Step};
use xmtp_sdk::content::Content;
use xmtp_sdk::inbox::{Message, Which};
use xmtp_sdk::state::{Delivery, Outgoing};

const ALICE: usize = 1;
const BOB: usize = 2;
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// A network with a claim, Bob, and Alice, whose line to the node breaks.
struct Scene {
    world: World,
    alice: Client,
    bob: Client,
    line: Line,
    /// Whether the line breaks with the next letter.
    breaks: Arc<AtomicBool>,
    _homes: [TempDir; 2],
}

/// The last minute of a day that has another one of the same quarter behind it.
fn late() -> Timestamp {
    let today = Clock::system().now();
    let is_last = Generation::at(today) != Generation::at(today.saturating_add(DAY));
    let end = today.epoch().starts_at().saturating_add(DAY);
    (if is_last { end.saturating_sub(DAY) } else { end }).saturating_sub(MINUTE)
}

impl Scene {
    /// A network that asks this of strangers.
    async fn start(invite: &str) -> Self {
        let mut world = World::start_with("all()", Clock::manual(late())).await;
        // Each of sixteen installations has some letters a day.
        let cats = OfferedClaim { limit: 64, ..offered("cats", 0xc1) };
        let claims = IClaims::new(world.deployment.claims.unwrap(), &world.provider);
        claims.declare((&cats).into()).send().await.unwrap().get_receipt().await.unwrap();
        world.offer(vec![cats]).await;
        world.ask_at_invites(invite).await;
        let homes = [(); 2].map(|()| TempDir::new().unwrap());
        let line = Line::to(world.node.as_ref().unwrap().address()).await;
        let breaks = Arc::new(AtomicBool::new(false));
        let builder = |number: usize| {
            world.builder(number, homes[number - 1].path()).run_length(1).small_claims(true).clock(world.clock.clone())
        };
        let over_the_line: Url = format!("http://{}", line.address).parse().unwrap();
        let on_step = breaking(Arc::clone(&breaks), line.setter());
        let alice = builder(ALICE).node(over_the_line).on_step(on_step).connect().await.unwrap();
        let bob = builder(BOB).connect().await.unwrap();
        for it in [&alice, &bob] {
            it.create_identity().await.unwrap();
        }
        Self { world, alice, bob, line, breaks, _homes: homes }
    }

    /// Has the issuers say of whom the claim holds.
    async fn issue(&mut self, of: &[&str], block: u64) {
        let mut holders = Vec::new();
        for who in of {
            let client = if *who == "alice" { &self.alice } else { &self.bob };
            let published = client.identity_status().await.unwrap().published.unwrap();
            holders.push(published.bundle.bundle().keys.claim_commitment);
        }
        let cats = self.world.deployment.offered_claims[0].id(self.world.network);
        let root = issue_to(&mut self.world, cats, holders, block).await;
        if block == 10 {
            counts(&self.world, cats, root).await;
        }
    }

    async fn send(&self, text: &str) -> Result<Sent, SendError> {
        self.alice.send(&self.bob.account().to_string(), text).await
    }

    /// A letter that arrives, and whose sender does not learn of it.
    async fn send_without_answer(&self, text: &str) {
        let before = self.letters().await;
        self.breaks.store(true, Ordering::SeqCst);
        let arrived = async {
            until("the letter is stored", async || self.letters().await > before).await;
            self.line.set(Gets::Nowhere);
        };
        let (sent, ()) = tokio::join!(self.send(text), arrived);
        assert!(matches!(sent, Err(SendError::Unknown(_))), "{sent:?}");
        assert_eq!(self.delivery(text), Delivery::Pending, "nobody knows");
    }

    /// What the sender knows of a letter.
    fn delivery(&self, text: &str) -> Delivery {
        let outbox = self.alice.state().outbox().unwrap();
        let is_it = |it: &&Outgoing| it.letter.invitation.message().and_then(Content::as_text) == Some(text);
        outbox.iter().find(is_it).unwrap().delivery
    }

    /// How many letters the node has for Bob.
    async fn letters(&self) -> usize {
        let topic = Topic::Invite(self.bob.account()).to_string();
        let request = wire::QueryRequest { topic, limit: 100, ..wire::QueryRequest::default() };
        self.world.client.clone().query(request).await.unwrap().into_inner().records.len()
    }

    /// The line is whole again, a minute after midnight.
    async fn midnight(&mut self) {
        self.world.set_clock(late().saturating_add(2 * MINUTE)).await;
        self.line.set(Gets::Through);
    }

    /// The letter was accepted once, yesterday, and its sender knows.
    async fn arrived_once(&self, sent: &Sent, text: &str) {
        assert_eq!(sent.postmark.postmark.accepted_at.epoch(), late().epoch(), "the postmark is yesterday's");
        assert_eq!(self.delivery(text), Delivery::Delivered(sent.postmark));
        let inbox = self.bob.inbox(Which::All).await.unwrap();
        let with_text = |it: &&Message| it.content.as_ref().unwrap().as_text() == Some(text);
        assert_eq!(inbox.messages.iter().filter(with_text).count(), 1);
        assert_eq!(self.world.node.as_ref().unwrap().store().evidence().count(), 0);
    }
}

/// Breaks the line when the next letter is published.
fn breaking(breaks: Arc<AtomicBool>, line: watch::Sender<Gets>) -> impl Fn(Step) + Send + Sync + 'static {
    // Of all that is published, only a letter was proved just before.
    let proved = AtomicBool::new(false);
    move |step| {
        let was_proved = proved.swap(step == Step::Proved, Ordering::SeqCst);
        if step == Step::Publishing && was_proved && breaks.swap(false, Ordering::SeqCst) {
            line.send_replace(Gets::Lost);
        }
    }
}

#[tokio::test]
async fn letter_of_a_membership_whose_answer_was_lost_is_one_letter() {
    let mut scene = Scene::start("member").await;
    assert_eq!(scene.send("the first").await.unwrap().passes, [Shown::Member]);
    scene.send_without_answer("late").await;
    scene.midnight().await;
    // It goes along with the next one.
    let sent = scene.send("the next").await.unwrap();
    assert_eq!(sent.before.delivered, 1);
    let Delivery::Delivered(postmark) = scene.delivery("late") else { panic!("it arrived") };
    assert_eq!(postmark.postmark.accepted_at.epoch(), late().epoch());
    let again = scene.send("another").await.unwrap();
    assert_eq!((again.before.delivered, scene.bob.inbox(Which::All).await.unwrap().messages.len()), (0, 4));
}

#[tokio::test]
async fn letter_of_a_claim_whose_answer_was_lost_is_one_letter() {
    let mut scene = Scene::start("any(claim(any), stamp(1))").await;
    scene.issue(&["alice", "bob"], 10).await;
    let first = scene.send("the first").await.unwrap();
    assert!(matches!(first.passes[..], [Shown::Claim { .. }]), "{:?}", first.passes);
    scene.send_without_answer("late").await;
    scene.midnight().await;
    let sent = scene.send("late").await.unwrap();
    scene.arrived_once(&sent, "late").await;
}

#[tokio::test]
async fn letter_of_a_stake_whose_answer_was_lost_is_one_letter() {
    let mut scene = Scene::start("any(stake(1), stamp(1))").await;
    scene.world.fund(scene.alice.account().address()).await;
    scene.alice.stake(1).await.unwrap();
    scene.send("the first").await.unwrap();
    scene.send_without_answer("late").await;
    scene.midnight().await;
    let sent = scene.send("late").await.unwrap();
    scene.arrived_once(&sent, "late").await;
}

#[tokio::test]
async fn letter_whose_pass_is_gone_after_midnight_is_asked_for_before_anything_else_pays_for_it() {
    let mut scene = Scene::start("any(claim(any), stamp(1))").await;
    scene.world.fund(scene.alice.account().address()).await;
    scene.issue(&["alice", "bob"], 10).await;
    scene.send("the first").await.unwrap();
    // She sold, and holds no claim tomorrow.
    scene.issue(&["bob"], 11).await;
    scene.send_without_answer("late").await;
    scene.midnight().await;
    let one = Denomination::try_from(1).unwrap();
    scene.alice.buy_stamps(one, Limit::new(4).unwrap()).await.unwrap();
    let sent = scene.send("late").await.unwrap();
    scene.arrived_once(&sent, "late").await;
    let left: u32 = scene.alice.books().await.unwrap().iter().map(|it| it.left).sum();
    assert_eq!(left, 4, "it was paid for yesterday");
    // Another one is.
    assert_eq!(scene.send("today").await.unwrap().stamps, [one]);
}

//! Conversations through the real API: some member opens one, and who holds the posting key writes for free.

#![allow(clippy::unwrap_used)] // A test may.

mod support;

use std::time::Duration;

use ed25519_dalek::SigningKey;
use support::{MEMBER_LIMIT, Person, Tag, World, until};
use xmtp_node::store::Shard;
use xmtp_proto::derive::{Group, GroupId, OperatorId, Purpose, conversation_topic};
use xmtp_proto::envelope::Envelope;
use xmtp_proto::field::FieldElement;
use xmtp_proto::opening::{self, Opening};
use xmtp_proto::pass::{Member, Pass, Posting};
use xmtp_proto::postmark::SignedPostmark;
use xmtp_proto::refusal::{AskedBy, Code, Refusal};
use xmtp_proto::requirement::Requirement;
use xmtp_proto::signature::{self, Label};
use xmtp_proto::submission::Submission;
use xmtp_proto::time::{Clock, Epoch, Generation, Timestamp};
use xmtp_proto::topic::Topic;
use xmtp_proto::wire;
use xmtp_prover::Index;

const DAY: Duration = Duration::from_secs(86_400);

/// Who holds a posting key.
struct Conversation(SigningKey);

impl Conversation {
    fn new(seed: u8) -> Self {
        Self(SigningKey::from_bytes(&[seed; 32]))
    }

    fn key(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    fn topic(&self) -> Topic {
        conversation_topic(&self.key())
    }

    fn signed(&self, world: &World, quota: u32, expires_at: Timestamp) -> Opening {
        Opening::new(world.network, self.key(), quota, expires_at, |digest| signature::sign(&self.0, digest)).unwrap()
    }

    /// An opening that ends after so long.
    fn opening(&self, world: &World, quota: u32, life: Duration) -> Envelope {
        let sent_at = world.clock.now();
        let opening = self.signed(world, quota, sent_at.saturating_add(life));
        Envelope { topic: self.topic(), sent_at, ciphertext: opening.to_bytes().to_vec() }
    }

    fn posting(&self, world: &World, envelope: &Envelope) -> Pass {
        let digest = signature::digest(Label::Posting, world.network, &[envelope.id(world.network).as_bytes()]);
        Pass::Posting(Posting { key: self.key(), signature: signature::sign(&self.0, digest) })
    }

    /// A message of so many bytes, told from others by its number.
    fn message(&self, world: &World, number: u8, bytes: usize) -> Submission {
        let envelope = Envelope { topic: self.topic(), sent_at: world.clock.now(), ciphertext: vec![number; bytes] };
        let pass = self.posting(world, &envelope);
        Submission::new(envelope, vec![pass]).unwrap()
    }
}

fn with(envelope: &Envelope, passes: impl Into<Vec<Pass>>) -> Submission {
    Submission::new(envelope.clone(), passes.into()).unwrap()
}

/// Opens a conversation with an index of today's.
async fn open(world: &mut World, by: &Person, index: u16, envelope: &Envelope) -> Result<SignedPostmark, Refusal> {
    let today = world.clock.now().epoch();
    let member = world.member(by, Purpose::Opening, today, index, envelope).await;
    world.publish(with(envelope, [Pass::Member(member)])).await
}

async fn check(world: &mut World, sentence: &str, submission: Submission, expected: Code) -> Refusal {
    match world.publish(submission).await {
        Ok(postmark) => panic!("{sentence}: accepted at {:?}", postmark.postmark.cursor),
        Err(refusal) => {
            assert_eq!(refusal.code(), expected, "{sentence}: {refusal}");
            refusal
        }
    }
}

/// A network whose clock the test moves; it stands at noon, far from every edge, on the first such day of this quarter of
/// memberships: weeks go by before it is over, whatever day it is.
async fn world_at_noon() -> World {
    let noon = |day: u64| Timestamp::from_secs(day * 86_400 + 43_200);
    let begins = |day: &u64| Generation::at(noon(*day)) != Generation::at(noon(day - 1));
    let first = (1..=Clock::system().now().epoch().0).rev().find(begins).unwrap();
    World::start_with("all()", Clock::manual(noon(first))).await
}

#[tokio::test]
async fn member_opens_a_conversation_and_whoever_holds_its_key_writes() {
    let mut world = World::start().await;
    let alice = world.join(2).await;
    let (conversation, other) = (Conversation::new(50), Conversation::new(51));
    let topic = conversation.topic().to_string();
    let asked = world.client.get_requirements(wire::GetRequirementsRequest { topic }).await.unwrap().into_inner();
    assert_eq!(Requirement::try_from(asked.network.unwrap()), Ok(Requirement::Member));

    let early = conversation.message(&world, 1, 300);
    let refusal = check(&mut world, "nobody opened it", early.clone(), Code::RequirementUnmet).await;
    assert_eq!(refusal, Refusal::RequirementUnmet { unmet: Requirement::Member, asked_by: AskedBy::Network });

    let envelope = conversation.opening(&world, 100, 30 * DAY);
    let opened = open(&mut world, &alice, 0, &envelope).await.unwrap();
    // The same envelope again is the same postmark, before any pass is looked at.
    assert_eq!(world.publish(with(&envelope, [])).await.unwrap(), opened);
    world.publish(early.clone()).await.unwrap();

    let message = conversation.message(&world, 2, 300);
    let letter = message.envelope();
    let (own, foreign) = (conversation.posting(&world, letter), other.posting(&world, letter));
    let stolen = conversation.posting(&world, early.envelope());
    let stamp = world.buy(1, 4, 11).await;
    let stamp = Pass::Stamp(world.stamp(&stamp, 0, letter, Tag::ToTopic).await);
    for (sentence, passes, code) in [
        ("no pass", vec![], Code::NotOwner),
        ("another conversation's key", vec![foreign.clone()], Code::NotOwner),
        ("another message's signature", vec![stolen], Code::NotOwner),
        ("postage instead of the key", vec![stamp.clone()], Code::NotOwner),
        ("a second pass", vec![own.clone(), foreign], Code::Malformed),
        ("a pass in front", vec![stamp, own], Code::Malformed),
    ] {
        let it = with(letter, passes);
        check(&mut world, sentence, it, code).await;
    }
    world.publish(message).await.unwrap();
    let query = wire::QueryRequest { topic: conversation.topic().to_string(), ..Default::default() };
    assert_eq!(world.client.query(query).await.unwrap().into_inner().records.len(), 3);
    let elsewhere = other.message(&world, 1, 300);
    check(&mut world, "a conversation that is not open", elsewhere, Code::RequirementUnmet).await;
}

#[tokio::test]
async fn quota_is_used_up_and_comes_back_the_next_day() {
    let mut world = world_at_noon().await;
    let alice = world.join(2).await;
    let conversation = Conversation::new(50);
    let envelope = conversation.opening(&world, 3, 30 * DAY);
    open(&mut world, &alice, 0, &envelope).await.unwrap();

    let two_units = conversation.message(&world, 1, 4097);
    world.publish(two_units).await.unwrap();
    let it = conversation.message(&world, 2, 4097);
    check(&mut world, "two units where one is left", it, Code::QuotaExhausted).await;
    let last = conversation.message(&world, 3, 4096);
    world.publish(last.clone()).await.unwrap();
    let it = conversation.message(&world, 4, 300);
    check(&mut world, "the quota is used up", it, Code::QuotaExhausted).await;
    // What is stored already costs nothing.
    world.publish(last).await.unwrap();

    world.restart().await;
    let it = conversation.message(&world, 5, 300);
    check(&mut world, "a restart brings nothing back", it, Code::QuotaExhausted).await;
    world.set_clock(world.clock.now().saturating_add(DAY)).await;
    let it = conversation.message(&world, 6, 3 * 4096);
    world.publish(it).await.unwrap();
    let it = conversation.message(&world, 7, 300);
    check(&mut world, "the next day's quota is used up", it, Code::QuotaExhausted).await;
}

#[tokio::test]
async fn conversation_is_opened_once_and_renewed_in_the_last_tenth_of_its_life() {
    let mut world = world_at_noon().await;
    let (alice, bob) = (world.join(2).await, world.join(3).await);
    let (conversation, other) = (Conversation::new(50), Conversation::new(51));
    let start = world.clock.now();
    let first = conversation.opening(&world, 1, 20 * DAY);
    open(&mut world, &alice, 0, &first).await.unwrap();

    let second = conversation.opening(&world, 9, 21 * DAY);
    assert_eq!(open(&mut world, &bob, 0, &second).await, Err(Refusal::AlreadyOpen));
    // Bob's index was not cancelled: it opens another conversation.
    let elsewhere = other.opening(&world, 9, 20 * DAY);
    open(&mut world, &bob, 0, &elsewhere).await.unwrap();

    world.set_clock(start.saturating_add(18 * DAY).saturating_sub(Duration::from_secs(1))).await;
    let early = conversation.opening(&world, 2, 20 * DAY);
    assert_eq!(open(&mut world, &bob, 1, &early).await, Err(Refusal::AlreadyOpen));
    world.set_clock(start.saturating_add(18 * DAY)).await;
    let renewal = conversation.opening(&world, 2, 20 * DAY);
    open(&mut world, &bob, 2, &renewal).await.unwrap();
    let it = conversation.message(&world, 1, 2 * 4096);
    world.publish(it).await.unwrap();

    // Alive beyond the first one's end, and dead at its own.
    world.set_clock(start.saturating_add(38 * DAY).saturating_sub(Duration::from_secs(1))).await;
    let it = conversation.message(&world, 2, 300);
    world.publish(it).await.unwrap();
    world.set_clock(start.saturating_add(38 * DAY)).await;
    let it = conversation.message(&world, 3, 300);
    check(&mut world, "an opening that has ended", it, Code::RequirementUnmet).await;
    // One unit of this day's is used, whichever opening it was under.
    let anew = conversation.opening(&world, 2, 20 * DAY);
    open(&mut world, &alice, 3, &anew).await.unwrap();
    let it = conversation.message(&world, 4, 300);
    world.publish(it).await.unwrap();
}

#[tokio::test]
async fn opening_is_signed_by_its_key_within_its_limits() {
    let mut world = world_at_noon().await;
    let alice = world.join(2).await;
    let (conversation, other) = (Conversation::new(50), Conversation::new(51));
    let now = world.clock.now();
    let good = conversation.opening(&world, opening::MAX_QUOTA, opening::MAX_LIFE);
    let of = |opening: Vec<u8>| Envelope { ciphertext: opening, ..good.clone() };
    let changed = |at: usize, bytes: &[u8]| {
        let mut opening = good.ciphertext.clone();
        opening[at..at + bytes.len()].copy_from_slice(bytes);
        of(opening)
    };
    let signed = |expires_at| of(conversation.signed(&world, 10, expires_at).to_bytes().to_vec());
    let second = Duration::from_secs(1);
    let rows = [
        ("a quota of nothing", changed(32, &[0; 4]), Code::Malformed),
        ("a quota above 10,000", changed(32, &10_001_u32.to_be_bytes()), Code::Malformed),
        ("another quota than was signed", changed(32, &7_u32.to_be_bytes()), Code::NotOwner),
        ("another signature", changed(44, &[1; 64]), Code::NotOwner),
        ("a life above 90 days", signed(now.saturating_add(opening::MAX_LIFE + second)), Code::Malformed),
        ("an end that has come", signed(now), Code::TimeOutOfRange),
        ("another conversation's opening", of(other.opening(&world, 10, DAY).ciphertext), Code::NotOwner),
    ];
    let today = now.epoch();
    // All of these are judged before the proof.
    let member = Pass::Member(world.member(&alice, Purpose::Opening, today, 20, &good).await);
    for (sentence, envelope, code) in rows {
        check(&mut world, sentence, with(&envelope, [member.clone()]), code).await;
    }
    let book = world.buy(1, 4, 11).await;
    let stamp = Pass::Stamp(world.stamp(&book, 0, &good, Tag::ToTopic).await);
    let posting = conversation.posting(&world, &good);
    for (sentence, passes, code) in [
        ("no pass", vec![], Code::RequirementUnmet),
        ("postage", vec![stamp.clone()], Code::RequirementUnmet),
        ("the posting key alone", vec![posting.clone()], Code::RequirementUnmet),
        ("postage on top", vec![member.clone(), stamp], Code::Malformed),
        ("the posting key on top", vec![member.clone(), posting], Code::Malformed),
    ] {
        check(&mut world, sentence, with(&good, passes), code).await;
    }
    // None of the refusals cancelled anything.
    world.publish(with(&good, [member])).await.unwrap();
    // A letter may have waited for seven days, and so may this.
    let sent_at = now.saturating_sub(7 * DAY);
    let old = other.signed(&world, 10, now.saturating_add(DAY)).to_bytes().to_vec();
    let old = Envelope { topic: other.topic(), sent_at, ciphertext: old };
    open(&mut world, &alice, 0, &old).await.unwrap();
}

#[tokio::test]
async fn membership_is_good_for_one_opening_of_one_conversation_in_its_time() {
    let mut world = world_at_noon().await;
    let (alice, bob) = (world.join(2).await, world.join(3).await);
    let (conversation, other) = (Conversation::new(50), Conversation::new(51));
    let today = world.clock.now().epoch();
    let envelope = conversation.opening(&world, 10, 30 * DAY);
    let good = world.member(&alice, Purpose::Opening, today, 0, &envelope).await;
    let bobs = world.member(&bob, Purpose::Opening, today, 0, &envelope).await;
    let for_letters = world.member(&alice, Purpose::Envelope, today, 1, &envelope).await;
    let elsewhere = world.member(&alice, Purpose::Opening, today, 2, &other.opening(&world, 10, DAY)).await;
    let yesterday = world.member(&alice, Purpose::Opening, Epoch(today.0 - 1), 3, &envelope).await;
    let tomorrow = world.member(&alice, Purpose::Opening, Epoch(today.0 + 1), 4, &envelope).await;
    let changed = |change: &dyn Fn(&mut Member)| {
        let mut member = good.clone();
        change(&mut member);
        member
    };
    let one = FieldElement::from(1);
    let rows = [
        ("another purpose", for_letters, Code::ProofInvalid),
        ("another conversation", elsewhere, Code::ProofInvalid),
        ("yesterday's", yesterday.clone(), Code::EpochWrong),
        ("tomorrow's", tomorrow, Code::EpochWrong),
        ("yesterday's that says today", Member { epoch: today, ..yesterday }, Code::ProofInvalid),
        ("another operator", changed(&|it| it.operator = OperatorId::from([1; 32])), Code::RootUnknown),
        ("the last generation", changed(&|it| it.generation -= 1), Code::EpochWrong),
        ("the next generation", changed(&|it| it.generation += 1), Code::EpochWrong),
        ("a root that never was", changed(&|it| it.proof.root = one.into()), Code::RootUnknown),
        ("another's nullifier", changed(&|it| it.proof.nullifier = bobs.proof.nullifier), Code::ProofInvalid),
        ("another's tag", changed(&|it| it.proof.tag = bobs.proof.tag), Code::ProofInvalid),
        ("points that are none", changed(&|it| it.proof.points = [0xff; 128]), Code::Malformed),
    ];
    for (sentence, member, code) in rows {
        check(&mut world, sentence, with(&envelope, [Pass::Member(member)]), code).await;
    }
    let two = [good.clone(), bobs].map(Pass::Member);
    check(&mut world, "two members", with(&envelope, two), Code::Malformed).await;
    world.publish(with(&envelope, [Pass::Member(good.clone())])).await.unwrap();

    // The same index on another conversation reveals the secret.
    let second = other.opening(&world, 10, 30 * DAY);
    let refusal = open(&mut world, &alice, 0, &second).await.unwrap_err();
    assert_eq!(refusal, Refusal::NullifierUsed { nullifier: good.proof.nullifier });
    world.restart().await;
    let refusal = open(&mut world, &alice, 0, &second).await.unwrap_err();
    assert_eq!(refusal, Refusal::NullifierUsed { nullifier: good.proof.nullifier });
    let evidence: Vec<_> = world.node.as_ref().unwrap().store().evidence().map(Result::unwrap).collect();
    let [evidence] = evidence.as_slice() else { panic!("{evidence:?}") };
    assert_eq!(evidence.group, Group::Members { operator: good.operator, generation: good.generation });
    let recovered = xmtp_prover::recover(evidence.first, evidence.second).unwrap();
    assert_eq!(recovered.commitment(), alice.secret().commitment());
    open(&mut world, &bob, 0, &second).await.unwrap();
}

/// Refuses what a membership may still do on a day, and not for its proof.
async fn check_closed(world: &mut World, person: &Person, to: &Person, epoch: Epoch) {
    let last = u16::try_from(MEMBER_LIMIT.get() - 1).unwrap();
    for index in [1, last] {
        let opening = Conversation::new(60).opening(world, 10, DAY);
        let member = Pass::Member(world.member(person, Purpose::Opening, epoch, index, &opening).await);
        check(world, "an opening", with(&opening, [member]), Code::SecretClosed).await;
        let letter = world.letter(to, "letter");
        let member = Pass::Member(world.member(person, Purpose::Envelope, epoch, index, &letter).await);
        check(world, "a letter", with(&letter, [member]), Code::SecretClosed).await;
    }
}

#[tokio::test]
async fn index_on_two_envelopes_closes_the_membership_for_the_rest_of_its_quarter() {
    let mut world = world_at_noon().await;
    world.ask_at_invites("member").await;
    let (alice, bob) = (world.join(2).await, world.join(3).await);
    let today = world.clock.now().epoch();
    let openings = [50, 51, 52].map(|seed| Conversation::new(seed).opening(&world, 10, DAY));
    open(&mut world, &alice, 3, &openings[0]).await.unwrap();
    assert_eq!(open(&mut world, &alice, 3, &openings[1]).await.unwrap_err().code(), Code::NullifierUsed);
    check_closed(&mut world, &alice, &bob, today).await;
    // What she opened stays open, and others are as they were.
    open(&mut world, &bob, 3, &openings[1]).await.unwrap();

    for (days, restart) in [(1, false), (2, true), (9, false)] {
        let next = Epoch(today.0 + days);
        if restart {
            world.restart_in_place().await;
        }
        world.set_clock(next.starts_at().saturating_sub(Duration::from_secs(3_600))).await;
        world.set_clock(next.starts_at().saturating_add(Duration::from_secs(3_600))).await;
        let (store, group) = (world.node.as_ref().unwrap().store().clone(), group_of_members(&mut world).await);
        let external = group.external_nullifier(Purpose::Opening, Some(next));
        let last = alice.secret().nullifier(external, Index::new(255));
        until("the day is closed", async || store.is_closed(Shard::Epoch(next), &last).unwrap()).await;
        check_closed(&mut world, &alice, &bob, next).await;
    }

    // Another commitment, which is to be had once in a quarter, is another secret.
    let mut moved = Person::new(2);
    moved.identity = SigningKey::from_bytes(&[77; 32]);
    let bundle = moved.bundle(world.network, 2, 1);
    let submission = moved.own(&world, Topic::Contact(alice.account), bundle.to_bytes());
    world.publish(submission).await.unwrap();
    let opening = Conversation::new(52).opening(&world, 10, DAY);
    open(&mut world, &moved, 3, &opening).await.unwrap();
}

/// The present group of members.
async fn group_of_members(world: &mut World) -> GroupId {
    let (operator, generation) = (world.operator().await, Generation::at(world.clock.now()).0);
    Group::Members { operator, generation }.id(world.network, world.deployment.postage)
}

#[tokio::test]
async fn epoch_is_accepted_two_minutes_around_its_day() {
    let mut world = world_at_noon().await;
    let alice = world.join(2).await;
    let today = world.clock.now().epoch();
    let midnight = Timestamp::from_secs((today.0 + 1) * 86_400);
    let before = |seconds| midnight.saturating_sub(Duration::from_secs(seconds));
    let after = |seconds| midnight.saturating_add(Duration::from_secs(seconds));
    let tomorrow = Epoch(today.0 + 1);
    for (index, (sentence, now, epoch, accepted)) in (0..).zip([
        ("tomorrow's, 121 s before", before(121), tomorrow, false),
        ("tomorrow's, 120 s before", before(120), tomorrow, true),
        ("today's, 119 s after its end", after(119), today, true),
        ("today's, 120 s after its end", after(120), today, false),
    ]) {
        world.set_clock(now).await;
        let envelope = Conversation::new(60 + u8::try_from(index).unwrap()).opening(&world, 10, 30 * DAY);
        let member = world.member(&alice, Purpose::Opening, epoch, index, &envelope).await;
        let result = world.publish(with(&envelope, [Pass::Member(member)])).await;
        match result {
            Ok(_) => assert!(accepted, "{sentence}"),
            Err(refusal) => assert_eq!((refusal.code(), accepted), (Code::EpochWrong, false), "{sentence}"),
        }
    }
}

#[tokio::test]
async fn members_are_whom_the_contact_log_names() {
    let mut world = world_at_noon().await;
    let contact = |person: &Person| Topic::Contact(person.account);
    assert_eq!(world.members().await.1, None, "a group without members has a root");
    let (alice, bob) = (world.join(2).await, world.join(3).await);
    let old_path = world.admitted(&alice).await;
    world.admitted(&bob).await;
    let (_, before) = world.members().await;

    // A prekey that rotates changes nothing, and a restart neither.
    let it = alice.own(&world, contact(&alice), alice.bundle(world.network, 1, 2).to_bytes());
    world.publish(it).await.unwrap();
    world.restart().await;
    assert_eq!(world.members().await.1, before);

    // Commitments of other quarters are accepted, and join nothing.
    let now = Generation::at(world.clock.now());
    let carol = Person::new(4);
    let stale = carol.bundle_of(world.network, (1, 1), Generation(now.0 - 1), carol.secret().commitment());
    let it = carol.own(&world, contact(&carol), stale.to_bytes());
    world.publish(it).await.unwrap();

    // Mallory names Bob's commitment, and then another: Bob stays.
    let mallory = Person::new(66);
    let copied = mallory.bundle_of(world.network, (1, 1), now, bob.secret().commitment());
    let it = mallory.own(&world, contact(&mallory), copied.to_bytes());
    world.publish(it).await.unwrap();
    let own = mallory.bundle_of(world.network, (2, 1), now, mallory.secret().commitment());
    let it = mallory.own(&world, contact(&mallory), own.to_bytes());
    world.publish(it).await.unwrap();
    world.admitted(&mallory).await;
    world.admitted(&bob).await;
    assert!(world.path_of(carol.secret().commitment()).await.is_none());

    // Alice's new keys have a commitment of their own; the old one is out at once where roots are new, and a day later
    // everywhere.
    let renewed = Person { wallet: alice.wallet.clone(), identity: Person::new(8).identity, account: alice.account };
    let it = renewed.own(&world, contact(&alice), renewed.bundle(world.network, 2, 1).to_bytes());
    world.publish(it).await.unwrap();
    world.admitted(&renewed).await;
    assert!(world.path_of(alice.secret().commitment()).await.is_none());
    let conversation = Conversation::new(50);
    let envelope = conversation.opening(&world, 10, 30 * DAY);
    let today = world.clock.now().epoch();
    let late = world.member_under(&old_path, &alice, Purpose::Opening, today, 0, &envelope).await;
    world.publish(with(&envelope, [Pass::Member(late)])).await.unwrap();

    world.set_clock(world.clock.now().saturating_add(DAY)).await;
    let envelope = Conversation::new(51).opening(&world, 10, 30 * DAY);
    let tomorrow = world.clock.now().epoch();
    let gone = world.member_under(&old_path, &alice, Purpose::Opening, tomorrow, 0, &envelope).await;
    check(&mut world, "a commitment replaced a day ago", with(&envelope, [Pass::Member(gone)]), Code::RootExpired)
        .await;
    open(&mut world, &renewed, 0, &envelope).await.unwrap();

    let (_, before) = world.members().await;
    world.restart().await;
    assert_eq!(world.members().await.1, before, "the log makes another group when it is read again");
    let envelope = Conversation::new(52).opening(&world, 10, 30 * DAY);
    open(&mut world, &bob, 0, &envelope).await.unwrap();
}

#[tokio::test]
async fn policy_asks_for_members() {
    let mut world = world_at_noon().await;
    let (alice, bob) = (world.join(2).await, world.join(3).await);
    world.set_policy(&bob, 1, "member").await;
    let book = world.buy(1, 8, 11).await;
    let today = world.clock.now().epoch();
    let letter = world.letter(&bob, "letter");
    let stamp = Pass::Stamp(world.stamp(&book, 0, &letter, Tag::ToNonce).await);
    let member = world.member(&alice, Purpose::Envelope, today, 0, &letter).await;
    let refusal = check(&mut world, "postage alone", with(&letter, [stamp.clone()]), Code::RequirementUnmet).await;
    assert_eq!(refusal, Refusal::RequirementUnmet { unmet: Requirement::Member, asked_by: AskedBy::Account });
    let alone = with(&letter, [Pass::Member(member.clone())]);
    check(&mut world, "membership alone", alone, Code::RequirementUnmet).await;
    let for_openings = world.member(&alice, Purpose::Opening, today, 0, &letter).await;
    let wrong = with(&letter, [stamp.clone(), Pass::Member(for_openings)]);
    check(&mut world, "a membership for openings", wrong, Code::ProofInvalid).await;
    world.publish(with(&letter, [stamp, Pass::Member(member.clone())])).await.unwrap();

    // Whoever wrote once can be kept out by the tag, without anybody learning who it is.
    let mut policy = bob.policy(world.network, 2, "member").policy().clone();
    policy.blocked_tags.push(member.proof.tag);
    let signed = bob.sign_policy(world.network, policy);
    let it = bob.own(&world, Topic::Policy(bob.account), signed.to_bytes());
    world.publish(it).await.unwrap();
    let second = world.letter(&bob, "second letter");
    let stamp = Pass::Stamp(world.stamp(&book, 1, &second, Tag::ToNonce).await);
    let again = world.member(&alice, Purpose::Envelope, today, 1, &second).await;
    assert_eq!(again.proof.tag, member.proof.tag);
    check(&mut world, "a blocked member", with(&second, [stamp, Pass::Member(again)]), Code::TagBlocked).await;
}

#[tokio::test]
async fn members_limit_is_in_the_network_and_in_the_leaf() {
    let mut world = World::start().await;
    let alice = world.join(2).await;
    let network = world.client.get_network(wire::GetNetworkRequest {}).await.unwrap().into_inner();
    assert_eq!(network.member_limit, MEMBER_LIMIT.get());
    let last = u16::try_from(MEMBER_LIMIT.get() - 1).unwrap();
    let envelope = Conversation::new(50).opening(&world, 10, DAY);
    open(&mut world, &alice, last, &envelope).await.unwrap();

    let client = world.client.clone();
    let nobody = wire::MemberGroup { operator: vec![1; 31], generation: 1 };
    let request = wire::GetRootsRequest { group: Some(wire::get_roots_request::Group::Members(nobody)) };
    assert_eq!(client.clone().get_roots(request).await.unwrap_err().code(), tonic::Code::InvalidArgument);
    let nobody = wire::MemberGroup { operator: vec![1; 32], generation: 1 };
    let request = wire::GetRootsRequest { group: Some(wire::get_roots_request::Group::Members(nobody)) };
    until("nobody's group is unknown", async || {
        client.clone().get_roots(request.clone()).await.is_err_and(|status| status.code() == tonic::Code::NotFound)
    })
    .await;
}

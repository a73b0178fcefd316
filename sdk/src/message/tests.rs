use proptest::prelude::*;

use super::*;
use crate::content::MAX_BYTES;
use crate::invite::{Invitation, KeyMaterial};
use crate::testing::{ALICE, BOB, MALLORY, NETWORK, OTHER_NETWORK, Person, identity, now};

/// The conversation of two people, grown from the given material.
async fn channel_of(material: &KeyMaterial, network: NetworkId, inviter: Person, invitee: Person) -> Channel {
    let [inviter, invitee] =
        [identity(inviter).await, identity(invitee).await].map(|it| Party::of(&it.verified_bundle()));
    let keys = ConversationKeys::new(material, inviter.bundle, invitee.bundle);
    Channel::new(network, keys, inviter, invitee)
}

async fn conversation() -> Channel {
    let invitation = Invitation::new(None).unwrap();
    channel_of(invitation.key_material(), NETWORK, ALICE, BOB).await
}

fn read(channel: &Channel, envelope: &Envelope) -> Result<(Author, Vec<u8>), OpenMessageError> {
    channel.open(envelope).map(|opened| (opened.author, opened.content.to_vec()))
}

#[tokio::test]
async fn both_parties_read_who_wrote_what() {
    let (channel, alice, bob) = (conversation().await, identity(ALICE).await, identity(BOB).await);
    for (author, role) in [(&alice, Author::Inviter), (&bob, Author::Invitee)] {
        let envelope = channel.seal(author, now(), b"hello").unwrap();
        assert_eq!(envelope.topic, channel.topic());
        assert_eq!(read(&channel, &envelope), Ok((role, b"hello".to_vec())));
        let opened = channel.open(&envelope).ok().unwrap();
        assert_eq!(opened.bundle, author.verified_bundle().digest());
    }
}

#[tokio::test]
async fn who_takes_no_part_writes_nothing() {
    let (channel, mallory) = (conversation().await, identity(MALLORY).await);
    let refused = channel.seal(&mallory, now(), b"hello");
    assert!(matches!(refused.err(), Some(SealMessageError::NotAParty(account)) if account == mallory.account()));
}

#[tokio::test]
async fn message_is_bound_to_its_topic_time_and_network() {
    let invitation = Invitation::new(None).unwrap();
    let channel = channel_of(invitation.key_material(), NETWORK, ALICE, BOB).await;
    let envelope = channel.seal(&identity(ALICE).await, now(), b"hello").unwrap();
    let later = Envelope { sent_at: Timestamp::from_nanos(now().as_nanos() + 1), ..envelope.clone() };
    assert_eq!(read(&channel, &later), Err(OpenMessageError::Seal));
    let elsewhere = Envelope { topic: Topic::Conversation(B256::ZERO), ..envelope.clone() };
    assert_eq!(read(&channel, &elsewhere), Err(OpenMessageError::Topic));
    let other_network = channel_of(invitation.key_material(), OTHER_NETWORK, ALICE, BOB).await;
    assert_eq!(read(&other_network, &envelope), Err(OpenMessageError::Seal));
}

/// Seals what somebody else signed, as only the other party can: it has all keys.
fn seal_again(channel: &Channel, author: Author, sent_at: Timestamp, signed: &[u8]) -> Envelope {
    let (nonce, sealed) = channel.key(author).seal(signed, &channel.associated(sent_at)).unwrap();
    let ciphertext = [&[VERSION], nonce.as_slice(), &sealed].concat();
    Envelope { topic: channel.topic, sent_at, ciphertext }
}

/// What is inside the seal.
fn signed(channel: &Channel, author: Author, envelope: &Envelope) -> Zeroizing<Vec<u8>> {
    let (nonce, sealed) = envelope.ciphertext[1..].split_first_chunk().unwrap();
    channel.key(author).open(nonce, sealed, &channel.associated(envelope.sent_at)).unwrap()
}

#[tokio::test]
async fn message_that_the_other_party_sealed_again_does_not_verify() {
    let (alice, bob) = (identity(ALICE).await, identity(BOB).await);
    let channel = conversation().await;
    let envelope = channel.seal(&alice, now(), b"I owe you one").unwrap();
    let inside = signed(&channel, Author::Inviter, &envelope);
    let again = seal_again(&channel, Author::Inviter, now(), &inside);
    assert_eq!(read(&channel, &again), Ok((Author::Inviter, b"I owe you one".to_vec())), "the means are right");
    let name = |envelope| channel.open(envelope).ok().unwrap().signed;
    assert_ne!(again.id(NETWORK), envelope.id(NETWORK));
    assert_eq!(name(&again), name(&envelope), "one message");
    assert_ne!(name(&channel.seal(&alice, now(), b"I owe you two").unwrap()), name(&envelope));

    let by_alice = Err(OpenMessageError::Signature(alice.account()));
    let later = Timestamp::from_nanos(now().as_nanos() + 1);
    assert_eq!(read(&channel, &seal_again(&channel, Author::Inviter, later, &inside)), by_alice, "another time");
    let second = conversation().await;
    assert_eq!(read(&second, &seal_again(&second, Author::Inviter, now(), &inside)), by_alice, "another topic");
    // As if he had written it, and as if she had written what he did.
    let by_bob = Err(OpenMessageError::Signature(bob.account()));
    assert_eq!(read(&channel, &seal_again(&channel, Author::Invitee, now(), &inside)), by_bob);
    let his = signed(&channel, Author::Invitee, &channel.seal(&bob, now(), b"I owe you two").unwrap());
    assert_eq!(read(&channel, &seal_again(&channel, Author::Inviter, now(), &his)), by_alice);
    // To somebody else, with whom the author has a conversation that the forwarder brought about.
    let material = Invitation::new(None).unwrap();
    let third = channel_of(material.key_material(), NETWORK, ALICE, MALLORY).await;
    assert_eq!(read(&third, &seal_again(&third, Author::Inviter, now(), &inside)), by_alice);
}

#[tokio::test]
async fn key_material_offered_to_two_victims_wires_them_to_no_common_topic() {
    let invitation = Invitation::new(None).unwrap();
    let material = invitation.key_material();
    let mut topics = Vec::new();
    for (inviter, invitee) in [(MALLORY, ALICE), (MALLORY, BOB), (ALICE, MALLORY), (BOB, MALLORY), (ALICE, BOB)] {
        let channel = channel_of(material, NETWORK, inviter, invitee).await;
        assert!(!topics.contains(&channel.topic()));
        topics.push(channel.topic());
        let alices = channel_of(material, NETWORK, MALLORY, ALICE).await;
        let envelope = alices.seal(&identity(ALICE).await, now(), b"hello").unwrap();
        if channel.topic() != alices.topic() {
            let moved = Envelope { topic: channel.topic(), ..envelope };
            assert_eq!(read(&channel, &moved), Err(OpenMessageError::Seal));
        }
    }
}

#[tokio::test]
async fn every_flipped_bit_is_noticed() {
    let channel = conversation().await;
    let envelope = channel.seal(&identity(BOB).await, now(), b"hello").unwrap();
    for position in 0..envelope.ciphertext.len() {
        for bit in 0..8 {
            let mut flipped = envelope.clone();
            flipped.ciphertext[position] ^= 1 << bit;
            assert!(channel.open(&flipped).is_err(), "bit {bit} of byte {position}");
        }
    }
    for length in 0..envelope.ciphertext.len() {
        let cut = Envelope { ciphertext: envelope.ciphertext[..length].to_vec(), ..envelope.clone() };
        assert!(channel.open(&cut).is_err(), "{length} bytes");
    }
}

#[tokio::test]
async fn length_says_no_more_than_the_bucket() {
    let (channel, alice) = (conversation().await, identity(ALICE).await);
    let overhead = HEADER_BYTES + 32 + 64 + 4 + TAG_BYTES;
    for (content, expected) in [
        (0, 256),
        (256 - overhead, 256),
        (256 - overhead + 1, 512),
        (4096 - overhead, 4096),
        (4096 - overhead + 1, 8192),
        (MAX_BYTES, MAX_CIPHERTEXT_BYTES),
    ] {
        let envelope = channel.seal(&alice, now(), &vec![b' '; content]).unwrap();
        assert_eq!(envelope.ciphertext.len(), expected, "{content} bytes");
        assert_eq!(channel.open(&envelope).ok().unwrap().content.len(), content);
        assert_ne!(envelope.ciphertext.len(), opening::BYTES, "an opening is no message");
    }
    let got = MAX_CIPHERTEXT_BYTES + 1;
    let refused = channel.seal(&alice, now(), &vec![b' '; got - overhead]);
    assert!(matches!(refused.err(), Some(SealMessageError::TooLarge { got: it, .. }) if it == got));
}

#[tokio::test]
async fn padding_that_is_not_zeros_is_refused() {
    let channel = conversation().await;
    let envelope = channel.seal(&identity(ALICE).await, now(), b"hello").unwrap();
    let mut inside = signed(&channel, Author::Inviter, &envelope);
    *inside.last_mut().unwrap() = 1;
    let altered = seal_again(&channel, Author::Inviter, now(), &inside);
    assert_eq!(read(&channel, &altered), Err(OpenMessageError::Unreadable));
    let short = seal_again(&channel, Author::Inviter, now(), &inside[..99]);
    assert_eq!(read(&channel, &short), Err(OpenMessageError::Unreadable));
}

#[tokio::test]
async fn opening_is_the_same_however_often_it_is_made() {
    let channel = conversation().await;
    let envelope = channel.opening(now(), opening::MAX_QUOTA).unwrap();
    assert_eq!(channel.opening(now(), opening::MAX_QUOTA), Ok(envelope.clone()));
    let opening = Opening::from_bytes(&envelope.ciphertext).unwrap();
    assert_eq!(opening.verify(NETWORK), Ok(()));
    assert_eq!(opening.topic(), channel.topic());
    assert_eq!(opening.expires_at(), now().saturating_add(opening::MAX_LIFE));
    assert!(channel.opening(now(), opening::MAX_QUOTA + 1).is_err());
}

proptest! {
    #[test]
    fn no_bytes_break_the_reader(mut bytes in proptest::collection::vec(any::<u8>(), 0..400), inside: bool) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let channel = runtime.block_on(conversation());
        if let Some(first) = bytes.first_mut() {
            *first = VERSION;
        }
        let envelope = if inside {
            seal_again(&channel, Author::Inviter, now(), &bytes)
        } else {
            Envelope { topic: channel.topic(), sent_at: now(), ciphertext: bytes }
        };
        prop_assert!(channel.open(&envelope).is_err());
    }
}

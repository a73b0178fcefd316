use alloy::primitives::hex;
use serde_json::{Value, json};
use xmtp_proto::envelope::UNIT_BYTES;
use xmtp_proto::signature;

use super::*;
use crate::content::MAX_BYTES;
use crate::testing::{ALICE, BOB, MALLORY, NETWORK, OTHER_NETWORK, SMALL_ORDER, identity, identity_on, now, wallet};

const VECTOR: &str = include_str!("../../../testdata/vectors/invite.json");

fn text(text: &str) -> Invitation {
    Invitation::new(Content::text(text).ok()).unwrap()
}

async fn alice_to_bob() -> (Identity, Identity, Envelope) {
    let (alice, bob) = (identity(ALICE).await, identity(BOB).await);
    let envelope = seal_invite(&alice, &bob.verified_bundle(), now(), &text("hello").in_context("tests")).unwrap();
    (alice, bob, envelope)
}

fn refusal(recipient: &Identity, envelope: &Envelope) -> String {
    format!("{:?}", open_invite(recipient, envelope).err())
}

#[tokio::test]
async fn recipient_reads_the_letter_and_knows_who_wrote() {
    let (alice, bob, envelope) = alice_to_bob().await;
    assert_eq!(envelope.topic, Topic::Invite(bob.account()));
    let opened = open_invite(&bob, &envelope).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(opened.sender, alice.verified_bundle());
    assert_eq!(opened.recipient, bob.verified_bundle().digest());
    assert_eq!(opened.invitation.message().and_then(Content::as_text), Some("hello"));
    assert_eq!(opened.invitation.context(), "tests");
}

#[tokio::test]
async fn invitation_needs_no_message() {
    let (alice, bob) = (identity(ALICE).await, identity(BOB).await);
    let envelope = seal_invite(&alice, &bob.verified_bundle(), now(), &Invitation::new(None).unwrap()).unwrap();
    let opened = open_invite(&bob, &envelope).ok().unwrap();
    assert!(opened.invitation.message().is_none());
    assert_eq!(opened.invitation.context(), "");
}

#[tokio::test]
async fn same_letter_twice_is_two_envelopes() {
    let (alice, bob) = (identity(ALICE).await, identity(BOB).await);
    let invitation = text("hello");
    let seal = || seal_invite(&alice, &bob.verified_bundle(), now(), &invitation).unwrap().ciphertext;
    assert_ne!(seal(), seal());
}

#[tokio::test]
async fn nothing_in_an_invite_names_its_sender() {
    let (alice, _, envelope) = alice_to_bob().await;
    let bundle = alice.bundle();
    for name in [
        alice.account().address().as_slice(),
        &alice.account().to_string().as_bytes()[9..],
        &bundle.keys.identity_key,
        &bundle.keys.agreement_key,
        &bundle.prekey,
        alice.verified_bundle().digest().as_slice(),
    ] {
        assert!(!envelope.ciphertext.windows(name.len()).any(|window| window == name), "{}", hex::encode(name));
    }
}

#[tokio::test]
async fn any_flipped_bit_is_noticed() {
    let (_, bob, good) = alice_to_bob().await;
    assert!(open_invite(&bob, &good).is_ok());
    // Of the header every bit, of each sealed byte one.
    let sealed = (HEADER_BYTES..good.ciphertext.len()).map(|byte| 8 * byte + byte % 8);
    for bit in (0..8 * HEADER_BYTES).chain(sealed) {
        let mut envelope = good.clone();
        envelope.ciphertext[bit / 8] ^= 1 << (bit % 8);
        let expected: fn(&OpenError) -> bool = match bit / 8 {
            0 => |error| matches!(error, OpenError::Version(_)),
            // A changed e leads elsewhere, and e with its ignored bit changed is still bound.
            1..33 => |error| matches!(error, OpenError::Seal),
            33..65 => |error| matches!(error, OpenError::UnknownBundle),
            _ => |error| matches!(error, OpenError::Seal),
        };
        let error = open_invite(&bob, &envelope).err();
        assert!(error.as_ref().is_some_and(expected), "bit {bit}: {error:?}");
    }
}

#[tokio::test]
async fn invite_that_was_cut_or_grew_is_none() {
    let (_, bob, good) = alice_to_bob().await;
    let with = |ciphertext: &[u8]| Envelope { ciphertext: ciphertext.to_vec(), ..good.clone() };
    for length in [0, 1, 33, 64] {
        assert_eq!(refusal(&bob, &with(&good.ciphertext[..length])), "Some(Unreadable)", "{length} bytes");
    }
    for length in [65, 66, good.ciphertext.len() - 1] {
        assert_eq!(refusal(&bob, &with(&good.ciphertext[..length])), "Some(Seal)", "{length} bytes");
    }
    assert_eq!(refusal(&bob, &with(&[&good.ciphertext[..], &[0]].concat())), "Some(Seal)");
}

#[tokio::test]
async fn invite_moved_to_another_time_topic_or_network_does_not_open() {
    let (alice, bob, good) = alice_to_bob().await;
    let later = Envelope { sent_at: now().saturating_add(std::time::Duration::from_nanos(1)), ..good.clone() };
    assert_eq!(refusal(&bob, &later), "Some(Seal)");
    for topic in [Topic::Invite(alice.account()), Topic::Contact(bob.account()), Topic::Conversation(B256::ZERO)] {
        assert_eq!(refusal(&bob, &Envelope { topic, ..good.clone() }), "Some(Topic)");
    }

    // The same keys on another network: bundles there have other digests, and an invite relabelled to one does not open.
    let elsewhere = identity_on(OTHER_NETWORK, BOB).await;
    assert_eq!(refusal(&elsewhere, &good), "Some(UnknownBundle)");
    let mut relabelled = good.clone();
    relabelled.ciphertext[33..65].copy_from_slice(elsewhere.verified_bundle().digest().as_slice());
    assert_eq!(refusal(&elsewhere, &relabelled), "Some(Seal)");

    let refused = seal_invite(&alice, &elsewhere.verified_bundle(), now(), &text("hello"));
    assert!(matches!(refused, Err(SealError::OtherNetwork)));
}

/// Mallory publishes a bundle of her own account, attested by her own wallet, with Bob's agreement key and prekey in it.
/// What Alice then writes to Mallory, Mallory cannot read; she passes it on to Bob, who has the keys.
#[tokio::test]
async fn letter_to_somebody_who_copied_the_recipients_keys_is_not_genuine_when_passed_on() {
    let (alice, bob, mallory) = (identity(ALICE).await, identity(BOB).await, identity(MALLORY).await);
    let copied = {
        let mut bundle = mallory.bundle();
        bundle.keys.agreement_key = bob.bundle().keys.agreement_key;
        bundle.prekey = bob.bundle().prekey;
        let text = bundle.keys.attestation_text(NETWORK);
        bundle.wallet_signature = *crate::wallet::sign(&wallet(MALLORY), &text).await.unwrap();
        let key = SigningKey::from_bytes(&[MALLORY ^ 1; 32]);
        bundle.signature = signature::sign(&key, bundle.digest(NETWORK));
        VerifiedBundle::new(bundle, mallory.account(), NETWORK).unwrap()
    };
    let to_mallory = seal_invite(&alice, &copied, now(), &text("for Mallory")).unwrap();
    let to_bob = Topic::Invite(bob.account());

    let passed_on = Envelope { topic: to_bob, ..to_mallory.clone() };
    assert_eq!(refusal(&bob, &passed_on), "Some(UnknownBundle)");
    let mut relabelled = passed_on;
    relabelled.ciphertext[33..65].copy_from_slice(bob.verified_bundle().digest().as_slice());
    assert_eq!(refusal(&bob, &relabelled), "Some(Seal)");
    assert_eq!(refusal(&bob, &to_mallory), "Some(Topic)");
}

/// What Mallory received from Alice, she seals again to Bob: she can open both layers, but only Alice can close the inner.
#[tokio::test]
async fn recipient_cannot_pass_a_letter_on_as_written_to_somebody_else() {
    let (alice, bob, mallory) = (identity(ALICE).await, identity(BOB).await, identity(MALLORY).await);
    let bob_bundle = bob.verified_bundle();
    let ephemeral = AgreementKey::random().unwrap();
    let public = ephemeral.public();
    let topic = Topic::Invite(bob.account());
    let context =
        Context { network: NETWORK, topic: &topic, sent_at: now(), ephemeral: &public, recipient: bob_bundle.digest() };
    let (outer, inner) = (context.outer(), context.inner(alice.verified_bundle().digest()));
    let agreed = Ephemeral::of_sender(&ephemeral, bob_bundle.bundle()).unwrap();
    let forged = mallory.agreement_key().agree(&bob_bundle.bundle().prekey).unwrap();

    let bundle = alice.bundle().to_bytes();
    let sealed = agreed.inner(&forged, &inner).seal(&text("from Alice, truly").to_secret_bytes(), &inner);
    let sealed = agreed.outer(&outer).seal(&join(&[&length(&bundle), &bundle, &sealed]), &outer);
    let ciphertext = [&[VERSION], public.as_slice(), bob_bundle.digest().as_slice(), &sealed].concat();
    assert_eq!(refusal(&bob, &Envelope { topic, sent_at: now(), ciphertext }), "Some(Seal)");
}

/// Seals a sender's bundle and an inner plaintext of any kind, as a sender with these keys could.
fn seal_anything(sender: &Identity, bundle: &[u8], recipient: &Identity, plaintext: &[u8]) -> Envelope {
    let recipient = recipient.verified_bundle();
    let ephemeral = AgreementKey::from_bytes(&[0xe0; 32]);
    let public = ephemeral.public();
    let topic = Topic::Invite(recipient.account());
    let context =
        Context { network: NETWORK, topic: &topic, sent_at: now(), ephemeral: &public, recipient: recipient.digest() };
    let digest = KeyBundle::from_bytes(bundle).map(|bundle| bundle.digest(NETWORK)).unwrap_or_default();
    let (outer, inner) = (context.outer(), context.inner(digest));
    let agreed = Ephemeral::of_sender(&ephemeral, recipient.bundle()).unwrap();
    let from_sender = sender.agreement_key().agree(&recipient.bundle().prekey).unwrap();
    let sealed = agreed.inner(&from_sender, &inner).seal(plaintext, &inner);
    let sealed = agreed.outer(&outer).seal(&join(&[&length(bundle), bundle, &sealed]), &outer);
    let ciphertext = [&[VERSION], public.as_slice(), recipient.digest().as_slice(), &sealed].concat();
    Envelope { topic, sent_at: now(), ciphertext }
}

#[tokio::test]
async fn sender_whose_bundle_does_not_prove_itself_is_nobody() {
    let (alice, bob) = (identity(ALICE).await, identity(BOB).await);
    let plaintext = text("hello").to_secret_bytes();
    let with = |change: fn(&mut KeyBundle)| {
        let mut bundle = alice.bundle();
        change(&mut bundle);
        refusal(&bob, &seal_anything(&alice, &bundle.to_bytes(), &bob, &plaintext))
    };
    assert_eq!(with(|_| ()), "None");
    assert_eq!(with(|bundle| bundle.wallet_signature[0] ^= 1), "Some(Sender(Wallet))");
    assert_eq!(with(|bundle| bundle.keys.agreement_key[0] ^= 1), "Some(Sender(Wallet))");
    assert_eq!(with(|bundle| bundle.signature[0] ^= 1), "Some(Sender(Identity))");
    assert!(refusal(&bob, &seal_anything(&alice, b"\x0a\x05", &bob, &plaintext)).starts_with("Some(Bundle("));
    assert!(refusal(&bob, &seal_anything(&alice, &[0; 5000], &bob, &plaintext)).starts_with("Some(Bundle("));
}

#[tokio::test]
async fn what_was_sealed_must_be_an_invitation_to_the_last_byte() {
    let (alice, bob) = (identity(ALICE).await, identity(BOB).await);
    let bundle = alice.bundle().to_bytes();
    let open = |plaintext: &[u8]| refusal(&bob, &seal_anything(&alice, &bundle, &bob, plaintext));
    let good = text("hello").to_secret_bytes();
    assert_eq!(open(&good), "None");
    assert_eq!(open(&[&good[..], &[0; 99]].concat()), "None");
    assert_eq!(open(&[&good[..], &[0, 1]].concat()), "Some(Unreadable)", "the filling is zeros");
    for end in 0..good.len() {
        assert_eq!(open(&good[..end]), "Some(Unreadable)", "{end} bytes");
    }
    let context = "x".repeat(MAX_CONTEXT_BYTES + 1);
    assert_eq!(open(&text("hello").in_context(context).to_secret_bytes()), "Some(Unreadable)");
    let mut flag = good.to_vec();
    flag[36] = 2;
    assert_eq!(open(&flag), "Some(Unreadable)");
    let no_content = [&[7; 32][..], &[0, 0, 0, 0], &[1], &[0, 0, 0, 0]].concat();
    assert_eq!(open(&no_content), "Some(Content(Type))");
}

#[tokio::test]
async fn key_of_small_order_agrees_on_nothing() {
    let (alice, bob, good) = alice_to_bob().await;
    for point in SMALL_ORDER {
        let mut envelope = good.clone();
        envelope.ciphertext[1..33].copy_from_slice(&point);
        assert_eq!(refusal(&bob, &envelope), "Some(AllZero(AllZero))", "as e: {}", hex::encode(point));

        // Mallory's wallet and identity key attest what Mallory likes.
        let attested = async |change: &dyn Fn(&mut KeyBundle)| {
            let mut bundle = identity(MALLORY).await.bundle();
            change(&mut bundle);
            let text = bundle.keys.attestation_text(NETWORK);
            bundle.wallet_signature = *crate::wallet::sign(&wallet(MALLORY), &text).await.unwrap();
            bundle.signature = signature::sign(&SigningKey::from_bytes(&[MALLORY ^ 1; 32]), bundle.digest(NETWORK));
            VerifiedBundle::new(bundle, bundle.keys.account, NETWORK).unwrap()
        };
        let weak_identity = attested(&|bundle| bundle.keys.agreement_key = point).await;
        let weak_prekey = attested(&|bundle| bundle.prekey = point).await;
        for recipient in [weak_identity, weak_prekey] {
            let refused = seal_invite(&alice, &recipient, now(), &text("hello"));
            assert!(matches!(refused, Err(SealError::AllZero(AllZero))), "as idR, preR: {}", hex::encode(point));
        }
        // As idS: anybody could have computed the agreement, so nobody wrote.
        let plaintext = text("hello").to_secret_bytes();
        let from_weak = seal_anything(&alice, &weak_identity.bundle().to_bytes(), &bob, &plaintext);
        assert_eq!(refusal(&bob, &from_weak), "Some(AllZero(AllZero))", "as idS: {}", hex::encode(point));
    }
}

#[tokio::test]
async fn invite_to_an_old_prekey_opens_while_the_prekey_is_kept() {
    let (_, mut bob, envelope) = alice_to_bob().await;
    bob.rotate_prekey(now()).unwrap();
    bob.rotate_prekey(now()).unwrap();
    assert!(open_invite(&bob, &envelope).is_ok());
    let fresh = Identity::create(&wallet(BOB), NETWORK, 2, now()).await.unwrap();
    assert_eq!(refusal(&fresh, &envelope), "Some(UnknownBundle)");
}

#[tokio::test]
async fn length_says_no_more_than_its_order_of_magnitude() {
    let (alice, bob) = (identity(ALICE).await, identity(BOB).await);
    let recipient = bob.verified_bundle();
    let seal = |bytes: usize| seal_invite(&alice, &recipient, now(), &text(&"x".repeat(bytes)));
    for (bytes, expected) in [(0, 2048), (1200, 2048), (3000, 4096), (15_000, 16_384), (20_000, 32_768)] {
        let envelope = seal(bytes).unwrap();
        assert_eq!(envelope.ciphertext.len(), expected, "{bytes} bytes of text");
        let opened = open_invite(&bob, &envelope).ok().unwrap();
        assert_eq!(opened.invitation.message().and_then(Content::as_text).map(str::len), Some(bytes));
    }
    assert_eq!(seal(15_000).unwrap().units(), 1);
    assert_eq!(seal(20_000).unwrap().units() as usize, 1 + 16_384 / UNIT_BYTES);
}

#[tokio::test]
async fn content_of_the_largest_size_fits() {
    let (alice, bob) = (identity(ALICE).await, identity(BOB).await);
    let message = Content::text("x".repeat(MAX_BYTES - 100)).ok();
    let invitation = Invitation::new(message).unwrap().in_context("x".repeat(MAX_CONTEXT_BYTES));
    let envelope = seal_invite(&alice, &bob.verified_bundle(), now(), &invitation).unwrap();
    assert_eq!(envelope.ciphertext.len(), MAX_CIPHERTEXT_BYTES);
    assert!(open_invite(&bob, &envelope).is_ok());
    // What a bundle, a context and a message need at most.
    let most = HEADER_BYTES
        + 4
        + xmtp_proto::key_bundle::MAX_BYTES
        + 2 * TAG_BYTES
        + 32
        + 4
        + MAX_CONTEXT_BYTES
        + 5
        + MAX_BYTES;
    assert!(most <= MAX_CIPHERTEXT_BYTES);

    let long = text("hello").in_context("x".repeat(MAX_CONTEXT_BYTES + 1));
    let refused = seal_invite(&alice, &bob.verified_bundle(), now(), &long);
    assert!(matches!(refused, Err(SealError::Context { got: 1025 })));
}

#[tokio::test]
async fn both_parties_come_to_one_conversation_and_no_other_two_do() {
    let (alice, bob, mallory) = (identity(ALICE).await, identity(BOB).await, identity(MALLORY).await);
    let invitation = text("hello");
    let [of_alice, of_bob, of_mallory] = [&alice, &bob, &mallory].map(|identity| identity.verified_bundle().digest());
    let envelope = seal_invite(&alice, &bob.verified_bundle(), now(), &invitation).unwrap();
    let of_inviter = ConversationKeys::new(invitation.key_material(), of_alice, of_bob);
    let of_invitee = open_invite(&bob, &envelope).ok().unwrap().conversation();
    assert_eq!(of_inviter.topic(), of_invitee.topic());
    for author in [Author::Inviter, Author::Invitee] {
        assert_eq!(of_inviter.message_key(author).as_bytes(), of_invitee.message_key(author).as_bytes());
    }
    assert_ne!(
        of_inviter.message_key(Author::Inviter).as_bytes(),
        of_inviter.message_key(Author::Invitee).as_bytes(),
        "nobody's message can be sent back as one's own"
    );

    for (inviter, invitee) in [(of_bob, of_alice), (of_alice, of_mallory), (of_mallory, of_bob)] {
        let other = ConversationKeys::new(invitation.key_material(), inviter, invitee);
        assert_ne!(other.topic(), of_inviter.topic(), "the same key material, between others");
    }

    let id = EnvelopeId::from([3; 32]);
    let posting = of_invitee.sign_posting(NETWORK, id);
    let digest = signature::digest(Label::Posting, NETWORK, &[id.as_bytes()]);
    assert_eq!(signature::verify(&posting.key, digest, &posting.signature), Ok(()));
    assert_eq!(conversation_topic(&posting.key), of_inviter.topic());
}

/// `testdata/vectors/invite.json`: everything that one invite is made of, and its bytes.
#[tokio::test]
async fn invite_is_pinned() {
    let (alice, bob) = (identity(ALICE).await, identity(BOB).await);
    let ephemeral = AgreementKey::from_bytes(&[0xe0; 32]);
    let invitation = Invitation {
        key_material: KeyMaterial([0x4b; 32]),
        context: "tests".to_owned(),
        message: Content::text("Mr. Watson, come here; I want to see you.").ok(),
    };
    let envelope = seal_with(&ephemeral, &alice, &bob.verified_bundle(), now(), &invitation).unwrap();
    let conversation = open_invite(&bob, &envelope).ok().unwrap().conversation();
    let hex = |bytes: &[u8]| hex::encode_prefixed(bytes);
    let party = |person: u8, identity: &Identity| {
        json!({
            "account": identity.account().to_string(),
            "wallet_key": hex(&[person; 32]),
            "identity_key": hex(&[person ^ 1; 32]),
            "agreement_key": hex(&[person ^ 2; 32]),
            "postal_seed": hex(&[person ^ 3; 32]),
            "prekey": hex(&[person ^ 4; 32]),
            "bundle": hex(&identity.bundle().to_bytes()),
            "bundle_digest": hex(identity.verified_bundle().digest().as_slice()),
        })
    };
    let made = json!({
        "network": NETWORK.to_string(),
        "sender": party(ALICE, &alice),
        "recipient": party(BOB, &bob),
        "ephemeral_key": hex(&[0xe0; 32]),
        "sent_at_ns": now().as_nanos(),
        "key_material": hex(&[0x4b; 32]),
        "context": "tests",
        "text": "Mr. Watson, come here; I want to see you.",
        "topic": envelope.topic.to_string(),
        "ciphertext": hex(&envelope.ciphertext),
        "envelope_id": envelope.id(NETWORK).to_string(),
        "conversation": {
            "topic": conversation.topic().to_string(),
            "inviter_key": hex(conversation.message_key(Author::Inviter).as_bytes()),
            "invitee_key": hex(conversation.message_key(Author::Invitee).as_bytes()),
        },
    });
    let pinned: Value = serde_json::from_str(VECTOR).unwrap();
    assert!(made == pinned, "the bytes moved:\n{made:#}");
}

mod books;
mod conversations;
mod folder;
mod joining;
mod letters;
mod seen;
mod words;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use alloy::primitives::{B256, hex};
use tempfile::TempDir;
use xmtp_proto::attestation::Attestation;
use xmtp_proto::derive::{ClaimId, Denomination, EnvelopeId, Issue, OperatorId, Purpose};
use xmtp_proto::envelope::Envelope;
use xmtp_proto::field::Commitment;
use xmtp_proto::postmark::{Cursor, Postmark, SignedPostmark};
use xmtp_proto::refusal::Code;
use xmtp_proto::requirement::Requirement;
use xmtp_proto::submission::{MAX_STAMPS, Submission};
use xmtp_proto::time::{MAX_AGE_FRANKED, Timestamp};
use xmtp_proto::topic::Topic;
use xmtp_prover::{Index, Limit, Position};

use super::*;
use crate::content::Content;
use crate::identity::VerifiedBundle;
use crate::invite::{Invitation, open_invite, seal_invite};
use crate::journal::{Entry, GrantedStamp, IndexName, KnownBook, Session, View};
use crate::layout::Reader;
use crate::testing::{
    ALICE, BOB, MALLORY, NETWORK, NeverTheSame, OTHER_NETWORK, Person, identity, identity_on, now, wallet,
};

async fn open(base: &TempDir, person: Person) -> State {
    State::open(base.path(), NETWORK, &wallet(person), || panic!("nobody else has it"))
        .await
        .unwrap_or_else(|error| panic!("{error}"))
}

/// A state in a folder that goes away with it.
async fn state() -> (State, TempDir) {
    let base = tempfile::tempdir().unwrap();
    (open(&base, ALICE).await, base)
}

/// What a process finds that starts after this one was killed: the files as they are now, in a folder of their own.
async fn after_a_kill(state: State) -> (State, TempDir) {
    let base = tempfile::tempdir().unwrap();
    let folder = super::folder::private(base.path(), state.network(), state.account()).unwrap();
    fs::copy(state.folder().join("state.redb"), folder.join("state.redb")).unwrap();
    drop(state);
    let wallet = wallet(ALICE);
    (State::open(base.path(), NETWORK, &wallet, || ()).await.unwrap_or_else(|error| panic!("{error}")), base)
}

fn units(units: u32) -> Denomination {
    units.try_into().unwrap()
}

const PLACE: Bought = Bought { issue: Issue(227), position: Position { volume: 0, index: 5 } };

async fn book(state: &State, stamps: u32) -> Book {
    let book = state.intend_book(&identity(ALICE).await, units(5), Limit::new(stamps).unwrap()).unwrap();
    state.record_purchase(book.id, Purchase::Bought(PLACE)).unwrap()
}

async fn letter(text: &str) -> (Letter, Envelope) {
    let (alice, bob) = (identity(ALICE).await, identity(BOB).await.verified_bundle());
    let invitation = Invitation::new(Content::text(text).ok()).unwrap();
    let envelope = seal_invite(&alice, &bob, now(), &invitation).unwrap();
    (Letter::sent(&alice, &bob, &envelope, invitation), envelope)
}

/// Stamps of these books, by the record alone.
fn unshared(books: &[BookId]) -> Vec<Supply> {
    books.iter().copied().map(Supply::Unshared).collect()
}

fn postmark(envelope: EnvelopeId) -> SignedPostmark {
    let postmark = Postmark {
        network: NETWORK,
        operator: Default::default(),
        cursor: Cursor(9),
        envelope,
        accepted_at: now(),
        cancelled: B256::repeat_byte(1),
    };
    SignedPostmark { postmark, signature: [2; 65] }
}

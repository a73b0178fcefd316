//! The first key bundle, and what goes with it.

use super::*;

#[tokio::test]
async fn first_bundle_keeps_its_stamps_through_a_kill_and_another_in_its_place_takes_others() {
    let (state, _base) = state().await;
    assert_eq!(state.joining().unwrap(), None);
    let book = book(&state, 3).await.id;
    let stamp = |index| StampUse { book, index: Index::new(index) };
    let bundle = identity(ALICE).await.bundle().to_bytes();
    let begun = state.begin_joining(now(), bundle.clone(), &[book]).unwrap();
    assert_eq!(
        (begun.envelope.topic, begun.stamps.as_slice()),
        (Topic::Contact(state.account()), [stamp(0)].as_slice())
    );
    let (state, _base) = after_a_kill(state).await;
    assert_eq!(state.joining().unwrap().as_ref(), Some(&begun));
    assert_eq!(state.begin_joining(now(), bundle.clone(), &[book]).unwrap(), begun, "it takes no more");
    let more = state.add_to_joining(begun, &[book]).unwrap();
    assert_eq!((more.stamps.as_slice(), more.refused), ([stamp(0), stamp(1)].as_slice(), None));

    let first = more.envelope.id(NETWORK);
    state.refuse_joining(more, Code::NullifierUsed).unwrap();
    assert_eq!(state.joining().unwrap().unwrap().refused, Some(Code::NullifierUsed));
    let later = now().saturating_add(std::time::Duration::from_secs(1));
    let second = state.begin_joining(later, bundle.clone(), &[book]).unwrap();
    assert_eq!((second.stamps.as_slice(), second.refused), ([stamp(2)].as_slice(), None));
    for (index, envelope) in [(0, first), (1, first), (2, second.envelope.id(NETWORK))] {
        assert_eq!(state.envelope_of(stamp(index)).unwrap(), Some(envelope));
    }
    // Nothing is left, and what is there stays.
    assert!(matches!(state.begin_joining(now(), bundle, &[book]), Err(BooksError::UsedUp(_))));
    assert_eq!(state.joining().unwrap(), Some(second));
}

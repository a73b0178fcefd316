//! The newest bundle and policy seen of every account.

use super::*;

#[tokio::test]
async fn bundle_that_was_rolled_back_is_refused() {
    let (state, base) = state().await;
    let mut bob = identity(BOB).await;
    let old = bob.verified_bundle();
    bob.rotate_prekey(now()).unwrap();
    let new = bob.verified_bundle();
    // The same number on another bundle: a thief of the identity key signs beside its owner.
    let twin = {
        let mut thief = identity(BOB).await;
        thief.rotate_prekey(now()).unwrap();
        thief.verified_bundle()
    };
    // The wallet's newer word outranks any version under the older one.
    let replaced = Identity::create(&wallet(BOB), NETWORK, 2, now()).await.unwrap().verified_bundle();

    assert_eq!(state.seen(bob.account(), Record::Bundle).unwrap(), None);
    state.remember_bundle(&old).unwrap();
    state.remember_bundle(&old).unwrap();
    state.remember_bundle(&new).unwrap();
    drop(state);
    let state = open(&base, ALICE).await;
    let rolled_back = |bundle: &VerifiedBundle| {
        matches!(state.remember_bundle(bundle), Err(RememberError::RolledBack { record: Record::Bundle, .. }))
    };
    assert!(rolled_back(&old));
    assert!(matches!(state.remember_bundle(&twin), Err(RememberError::Differs { .. })));
    let seen = Seen { revision: 1, version: 2, digest: new.digest(), identity_key: new.bundle().keys.identity_key };
    assert_eq!(state.seen(bob.account(), Record::Bundle).unwrap(), Some(seen));
    state.remember_bundle(&replaced).unwrap();
    assert!(rolled_back(&new));
    // Other accounts are other stories.
    state.remember_bundle(&identity(MALLORY).await.verified_bundle()).unwrap();
}

#[tokio::test]
async fn policy_that_was_rolled_back_is_refused() {
    let (state, _base) = state().await;
    let bob = identity(BOB).await;
    let policy = |version, at_least| {
        bob.sign_policy(version, Requirement::Stamp { at_least, tagged: false }, Vec::new(), Vec::new()).unwrap()
    };
    let bundle = bob.verified_bundle();
    let remember = |version, at_least| state.remember_policy(&bundle, Some(&policy(version, at_least)));
    state.remember_policy(&bundle, None).unwrap();
    remember(3, 5).unwrap();
    remember(3, 5).unwrap();
    for refused in [remember(2, 1), state.remember_policy(&bundle, None)] {
        let refused = refused.unwrap_err();
        assert!(matches!(refused, RememberError::RolledBack { record: Record::Policy, .. }), "{refused}");
    }
    assert!(matches!(remember(3, 1), Err(RememberError::Differs { .. })));
    remember(4, 1).unwrap();
    assert_eq!(state.seen(bob.account(), Record::Bundle).unwrap(), None, "bundles and policies are apart");

    // Replaced keys begin anew, and what the old ones signed is over.
    let replaced = Identity::create(&wallet(BOB), NETWORK, 2, now()).await.unwrap();
    state.remember_policy(&replaced.verified_bundle(), None).unwrap();
    let first = replaced.sign_policy(1, Requirement::Member, Vec::new(), Vec::new()).unwrap();
    state.remember_policy(&replaced.verified_bundle(), Some(&first)).unwrap();
    assert!(matches!(remember(5, 1), Err(RememberError::RolledBack { .. })));
}

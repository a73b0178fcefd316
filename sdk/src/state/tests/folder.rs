//! The folder and the database in it: whose they are, who opens them, what they say.

use super::*;

fn refusal<T, E: std::fmt::Debug>(result: Result<T, E>) -> String {
    format!("{:?}", result.err())
}

#[tokio::test]
async fn identity_is_there_after_a_restart() {
    let (state, base) = state().await;
    assert!(state.identity().unwrap().is_none());
    let alice = identity(ALICE).await;
    state.save_identity(&alice).unwrap();
    let installation = state.installation();
    drop(state);

    let state = open(&base, ALICE).await;
    assert_eq!(state.identity().unwrap().map(|it| it.bundle()), Some(alice.bundle()));
    assert_eq!(state.installation(), installation);
}

#[tokio::test]
async fn every_network_and_account_has_a_state_of_its_own() {
    let base = tempfile::tempdir().unwrap();
    let alice = open(&base, ALICE).await;
    alice.save_identity(&identity(ALICE).await).unwrap();
    // All at the same time: none waits for another.
    let bob = open(&base, BOB).await;
    let elsewhere = State::open(base.path(), OTHER_NETWORK, &wallet(ALICE), || panic!("it waited")).await.ok().unwrap();
    for other in [&bob, &elsewhere] {
        assert!(other.identity().unwrap().is_none());
        assert_ne!(other.installation(), alice.installation());
        assert_ne!(other.folder(), alice.folder());
    }
    for identity in [identity(ALICE).await, identity_on(OTHER_NETWORK, BOB).await] {
        assert_eq!(refusal(bob.save_identity(&identity)), "Some(OtherAccount)");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn folder_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let (state, base) = state().await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let folder = state.folder().to_owned();
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(folder.parent().unwrap()), 0o700);
    for file in fs::read_dir(&folder).unwrap() {
        assert_eq!(mode(&file.unwrap().path()), 0o600);
    }
    drop(state);

    for loose in [0o750, 0o701, 0o777] {
        fs::set_permissions(&folder, fs::Permissions::from_mode(loose)).unwrap();
        let refused = State::open(base.path(), NETWORK, &wallet(ALICE), || ()).await.err().unwrap();
        assert!(matches!(refused, StateError::Permissions { mode, .. } if mode == loose), "{refused}");
        assert!(refused.to_string().contains("chmod 700"), "{refused}");
    }
}

#[tokio::test]
async fn second_process_waits_until_the_first_is_done() {
    let (first, base) = state().await;
    let noticed = Arc::new(AtomicUsize::new(0));
    let (told, mut waiting) = tokio::sync::mpsc::unbounded_channel();
    let second = {
        let (noticed, path) = (Arc::clone(&noticed), base.path().to_owned());
        async move {
            State::open(&path, NETWORK, &wallet(ALICE), || {
                noticed.fetch_add(1, Ordering::SeqCst);
                let _ = told.send(());
            })
            .await
        }
    };
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(second);
    waiting.recv().await.unwrap();
    assert!(tasks.try_join_next().is_none(), "it got in while the first was there");
    first.save_identity(&identity(ALICE).await).unwrap();
    drop(first);

    let second = tasks.join_next().await.unwrap().unwrap().unwrap_or_else(|error| panic!("{error}"));
    assert!(second.identity().unwrap().is_some(), "it sees what the first wrote");
    assert_eq!(noticed.load(Ordering::SeqCst), 1, "it says so once");
}

#[tokio::test]
async fn state_opens_with_no_other_wallet() {
    let (state, base) = state().await;
    let folder = state.folder().to_owned();
    drop(state);
    let of_bob = open(&base, BOB).await.folder().to_owned();
    fs::copy(folder.join("state.redb"), of_bob.join("state.redb")).unwrap();
    assert_eq!(refusal(State::open(base.path(), NETWORK, &wallet(BOB), || ()).await), "Some(WrongKey)");
    assert!(State::open(base.path(), NETWORK, &wallet(ALICE), || ()).await.is_ok());
}

#[tokio::test]
async fn wallet_that_signs_in_several_ways_gets_no_state() {
    let base = tempfile::tempdir().unwrap();
    let wallet_in_several_ways = NeverTheSame::new(wallet(ALICE));
    let refused = State::open(base.path(), NETWORK, &wallet_in_several_ways, || ()).await;
    assert_eq!(refusal(refused), "Some(Wallet(NotRepeatable))");
    // Nothing was written: a better wallet begins anew.
    assert!(open(&base, ALICE).await.identity().unwrap().is_none());
}

#[tokio::test]
async fn state_of_a_later_format_is_left_alone() {
    let (state, base) = state().await;
    state.store.set_format(store::FORMAT + 1);
    drop(state);
    let refused = State::open(base.path(), NETWORK, &wallet(ALICE), || ()).await;
    assert_eq!(refusal(refused), "Some(Format { got: 5, known: 4 })");
}

#[tokio::test]
async fn file_that_is_no_database_is_refused() {
    let (state, base) = state().await;
    let folder = state.folder().to_owned();
    drop(state);
    fs::write(folder.join("state.redb"), vec![7; 10_000]).unwrap();
    let refused = State::open(base.path(), NETWORK, &wallet(ALICE), || ()).await;
    assert!(matches!(refused, Err(StateError::Database(_))));
}

#[tokio::test]
async fn no_entry_can_be_put_in_anothers_place() {
    let (state, _base) = state().await;
    let [one, two] = [book(&state, 1).await, book(&state, 2).await];
    assert_eq!(state.books().unwrap(), [one, two]);
    state.store.swap_values(Table::Books);
    assert_eq!(refusal(state.books()), r#"Some(Damaged { table: "books" })"#);
    let taken = state.record_purchase(one.id, Purchase::Bought(PLACE));
    assert!(matches!(taken, Err(BooksError::State(StateError::Damaged { .. }))));
}

#[tokio::test]
async fn nothing_on_disk_says_who_wrote_what_to_whom() {
    let (state, base) = state().await;
    let alice = identity(ALICE).await;
    state.save_identity(&alice).unwrap();
    let book = book(&state, 10).await;
    let (letter, envelope) = letter("meet me at noon").await;
    let (id, material) = (letter.id, letter.invitation.to_secret_bytes()[..32].to_vec());
    state.begin_letter(letter, envelope, &unshared(&[book.id])).unwrap();
    state.remember_bundle(&identity(BOB).await.verified_bundle()).unwrap();
    let topic = Topic::Invite(state.account());
    state.receive(&topic, Cursor(3), &[]).unwrap();
    drop(state);

    let bob = identity(BOB).await;
    let mut files = vec![base.path().to_owned()];
    let mut bytes = Vec::new();
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            bytes.extend(fs::read(path).unwrap());
        }
    }
    let found = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    assert!(found(b"identity"), "the search finds what is there: the name of a table");
    let secret = alice.to_secret_bytes();
    for (what, part) in [
        ("identity key", [ALICE ^ 1; 32].as_slice()),
        ("agreement key", &[ALICE ^ 2; 32]),
        ("postal seed", &[ALICE ^ 3; 32]),
        ("prekey", &[ALICE ^ 4; 32]),
        ("any of the identity", &secret[69..101]),
        ("key material", &material),
        ("text", b"meet me at noon"),
        ("correspondent", bob.account().address().as_slice()),
        ("correspondent by name", &bob.account().to_string().as_bytes()[9..]),
        ("commitment", book.commitment.as_bytes()),
        ("envelope", id.as_bytes()),
        ("installation", book.id.installation.as_bytes()),
        ("topic", topic.to_string().as_bytes()),
    ] {
        assert!(!found(part), "{what} is on disk in the clear");
    }
}

/// Whoever runs a client on several threads may keep it in a task.
#[test]
fn state_may_cross_threads() {
    fn crosses<T: Send>(_: &T) {}
    fn shared<T: Sync>() {}
    shared::<State>();
    let wallet = wallet(ALICE);
    crosses(&State::open(Path::new("."), NETWORK, &wallet, || ()));
}

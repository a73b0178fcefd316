//! Groups driven by blocks that are written here: no chain, no clock.

use std::collections::BTreeMap;

use proptest::prelude::*;
use xmtp_proto::derive::Denomination;
use xmtp_proto::field::{FieldElement, Leaf, MODULUS};
use xmtp_proto::refusal::Refusal;
use xmtp_prover::{Group as Tree, leaf};

use super::*;

const DAY: u64 = 86_400;
/// Midnight, and the beginning of a quarter too.
const START: u64 = ISSUE_SECONDS * 220;
const ISSUE_SECONDS: u64 = 90 * DAY;
const NETWORK: NetworkId = NetworkId(B256::repeat_byte(7));

const DAILY: RootRules = rules(Checkpoints::Daily);
const EVERY_BLOCK: RootRules = rules(Checkpoints::EveryBlock);

const fn rules(checkpoints: Checkpoints) -> RootRules {
    RootRules {
        checkpoints: Some(checkpoints),
        fresh_interval: Duration::from_secs(60),
        fresh_lifetime: Duration::from_secs(DAY),
        issue_seconds: ISSUE_SECONDS,
    }
}

fn groups(rules: RootRules) -> Groups {
    Groups::new(rules, NETWORK, Address::ZERO)
}

fn group(denomination: u32) -> Group {
    Group::Stamps { denomination: denomination.try_into().unwrap(), issue: Issue(220) }
}

fn ones() -> Group {
    group(1)
}

fn id(group: &Group) -> GroupId {
    group.id(NETWORK, Address::ZERO)
}

fn at(index: u32) -> Position {
    Position { volume: 0, index }
}

/// The book of ten stamps under a commitment.
fn buy(commitment: u64, index: u32) -> Operation {
    insert(U256::from(commitment), 10, index)
}

fn insert(commitment: U256, limit: u32, index: u32) -> Operation {
    Operation::Insert { group: ones(), commitment, limit, position: at(index) }
}

fn slash(commitment: u64, index: u32) -> Operation {
    Operation::Remove {
        group: id(&ones()),
        commitment: U256::from(commitment),
        limit: 10,
        position: at(index),
        secret: Some(U256::from(9)),
    }
}

/// A block so many seconds after the start.
fn block(number: u64, seconds: u64, operations: impl Into<Vec<Operation>>) -> Block {
    let hash = B256::with_last_byte(number as u8);
    Block { number, hash, time: after(seconds), operations: operations.into() }
}

fn after(seconds: u64) -> Timestamp {
    Timestamp::from_secs(START + seconds)
}

fn leaf_of(commitment: u64) -> Leaf {
    leaf(FieldElement::from(commitment).into(), Limit::new(10).unwrap())
}

/// What a position holds that no book stands at.
fn empty() -> Leaf {
    FieldElement::ZERO.into()
}

/// The root of a tree of these leaves alone.
fn root_of(leaves: &[Leaf]) -> Root {
    let mut tree = Tree::new();
    tree.extend(leaves.iter().copied());
    tree.root(0).unwrap()
}

fn books(commitments: &[u64]) -> Root {
    root_of(&commitments.iter().copied().map(leaf_of).collect::<Vec<_>>())
}

fn apply(groups: &mut Groups, blocks: &[Block]) {
    for block in blocks {
        groups.apply(block).unwrap();
    }
}

/// Roots by kind, as (root, leaves, block).
fn newest(groups: &Groups, kind: RootKind) -> Option<(Root, u32, u64)> {
    let root = groups.roots(&ones()).into_iter().find(|root| root.kind == kind)?;
    Some((root.root, root.leaves, root.block))
}

fn lookup(groups: &Groups, root: Root, seconds: u64) -> Result<(), Refusal> {
    groups.view().lookup(&ones(), root, after(seconds))
}

#[test]
fn book_is_a_leaf_under_the_checkpoint_of_its_block() {
    let mut groups = groups(EVERY_BLOCK);
    apply(&mut groups, &[block(5, 10, [buy(1, 0), buy(2, 1)]), block(6, 11, []), block(7, 12, [buy(3, 2)])]);
    assert_eq!(newest(&groups, RootKind::Checkpoint), Some((books(&[1, 2, 3]), 3, 7)));
    for root in [books(&[1, 2]), books(&[1, 2, 3])] {
        assert_eq!(lookup(&groups, root, 12), Ok(()));
    }
    // No root stands for the middle of a block.
    assert_eq!(lookup(&groups, books(&[1]), 12), Err(Refusal::RootUnknown));
    let book = groups.book(&ones(), FieldElement::from(2).into());
    assert_eq!(book, Some(Book { position: at(1), limit: Limit::new(10).unwrap() }));
}

#[test]
fn groups_do_not_mix() {
    let mut groups = groups(EVERY_BLOCK);
    let other = Operation::Insert { group: group(2), commitment: U256::from(9), limit: 10, position: at(0) };
    apply(&mut groups, &[block(5, 10, [buy(1, 0), other, buy(2, 1)])]);
    assert_eq!(lookup(&groups, books(&[9]), 10), Err(Refusal::RootUnknown));
    assert_eq!(groups.view().lookup(&group(2), books(&[9]), after(10)), Ok(()));
    assert_eq!(groups.roots(&group(5)), []);
}

#[test]
fn bucket_is_served_as_it_stood_under_its_root() {
    let mut groups = groups(EVERY_BLOCK);
    apply(&mut groups, &[block(5, 10, [buy(1, 0), buy(2, 1)]), block(6, 11, [slash(1, 0), buy(3, 2)])]);
    let bucket = groups.bucket(&ones(), books(&[1, 2]), 0).unwrap();
    assert_eq!(bucket.leaves(), [leaf_of(1), leaf_of(2)]);
    assert_eq!(bucket.path(0).unwrap().root_of(leaf_of(1)), Ok(books(&[1, 2])));
    let newest = root_of(&[empty(), leaf_of(2), leaf_of(3)]);
    assert_eq!(groups.bucket(&ones(), newest, 0).unwrap().root(), newest);
    assert_eq!(groups.bucket(&ones(), newest, 1), Err(NoSuchBucket));
    assert_eq!(groups.bucket(&ones(), books(&[3]), 0), Err(NoSuchBucket));
    assert_eq!(groups.bucket(&group(2), newest, 0), Err(NoSuchBucket));
}

#[test]
fn slashed_book_leaves_the_newest_root_and_not_the_earlier_ones() {
    let mut groups = groups(EVERY_BLOCK);
    apply(&mut groups, &[block(5, 10, [buy(1, 0), buy(2, 1)]), block(6, 11, [slash(1, 0)])]);
    assert_eq!(newest(&groups, RootKind::Checkpoint), Some((root_of(&[empty(), leaf_of(2)]), 2, 6)));
    assert_eq!(lookup(&groups, books(&[1, 2]), 11), Ok(()));
    // Its secret is known now, and must still lead to it.
    assert!(groups.book(&ones(), FieldElement::from(1).into()).is_some());
}

#[test]
fn slash_of_another_books_position_removes_nothing() {
    let mut groups = groups(EVERY_BLOCK);
    apply(&mut groups, &[block(5, 10, [buy(1, 0), buy(2, 1)]), block(6, 11, [slash(1, 1), slash(8, 0)])]);
    let bucket = groups.bucket(&ones(), books(&[1, 2]), 0).unwrap();
    assert_eq!(bucket.leaves(), [leaf_of(1), leaf_of(2)]);
    assert_eq!(newest(&groups, RootKind::Checkpoint).unwrap().0, books(&[1, 2]));
}

#[test]
fn event_that_is_no_book_takes_its_position_and_leaves_it_empty() {
    let modulus = U256::from_be_bytes(MODULUS);
    for (commitment, limit) in [
        (U256::ZERO, 10),
        (modulus, 10),
        (U256::MAX, 10),
        (U256::from(1), 10), // there already
        (U256::from(2), 0),
        (U256::from(2), 65_537),
    ] {
        let mut groups = groups(EVERY_BLOCK);
        let operations = [buy(1, 0), insert(commitment, limit, 1), buy(3, 2)];
        apply(&mut groups, &[block(5, 10, operations)]);
        let expected = root_of(&[leaf_of(1), empty(), leaf_of(3)]);
        assert_eq!(newest(&groups, RootKind::Checkpoint), Some((expected, 3, 5)), "{commitment}, {limit}");
        assert_eq!(groups.book(&ones(), FieldElement::from(1).into()).unwrap().position, at(0));
        assert_eq!(groups.book(&ones(), FieldElement::from(2).into()), None);
    }
    for limit in [1, 65_536] {
        let mut groups = groups(EVERY_BLOCK);
        apply(&mut groups, &[block(5, 10, [insert(modulus - U256::from(1), limit, 0)])]);
        let bucket = groups.bucket(&ones(), newest(&groups, RootKind::Checkpoint).unwrap().0, 0).unwrap();
        assert!(!bucket.leaves()[0].field().is_zero(), "{limit}");
    }
}

#[test]
fn gap_is_refused_and_changes_nothing() {
    let id = id(&ones());
    let position = |expected, got| Gap::Position { group: id, expected, got };
    let volume = u64::from(VOLUME_LEAVES);
    let unknown = GroupId::from([9; 32]);
    let remove = |group, index| Operation::Remove {
        group,
        commitment: U256::from(1),
        limit: 10,
        position: at(index),
        secret: Some(U256::from(9)),
    };
    for (number, operation, expected) in [
        (6, buy(3, 3), position(2, 3)),
        (6, buy(3, 1), position(2, 1)),
        (6, buy(3, 2 + VOLUME_LEAVES), position(2, 2 + volume)),
        (6, slash(1, 2), position(2, 2)),
        (6, remove(unknown, 0), Gap::Group { group: unknown }),
        (5, buy(3, 2), Gap::Order { last: 5, got: 5 }),
    ] {
        let mut groups = groups(EVERY_BLOCK);
        apply(&mut groups, &[block(5, 10, [buy(1, 0), buy(2, 1)])]);
        let before = (groups.roots(&ones()), groups.chain(&ones()), groups.last());
        assert_eq!(groups.apply(&block(number, 200, [operation])), Err(expected));
        assert_eq!((groups.roots(&ones()), groups.chain(&ones()), groups.last()), before, "{expected:?}");
    }
}

#[test]
fn chain_is_foreseen_over_blocks_that_are_not_applied_yet() {
    let mut groups = groups(EVERY_BLOCK);
    let blocks = [block(5, 10, [buy(1, 0), buy(2, 1)]), block(6, 11, [slash(1, 0)]), block(8, 12, [buy(3, 2)])];
    let link = |chain, operation, commitment: u64| leaf_log::link(chain, operation, U256::from(commitment), 10);
    let expected = link(leaf_log::START, leaf_log::Operation::Insert, 1);
    let expected = link(expected, leaf_log::Operation::Insert, 2);
    let expected = link(expected, leaf_log::Operation::Slash, 1);
    let expected = link(expected, leaf_log::Operation::Insert, 3);
    assert_eq!(groups.foresee(&blocks), Ok(vec![(ones(), expected)]));
    assert_eq!(groups.chain(&ones()), B256::ZERO);
    apply(&mut groups, &blocks);
    assert_eq!(groups.chain(&ones()), expected);
}

#[test]
fn daily_checkpoint_is_the_state_before_midnight() {
    let mut groups = groups(DAILY);
    apply(&mut groups, &[block(5, 10, [buy(1, 0)]), block(6, DAY - 1, [buy(2, 1)])]);
    assert_eq!(newest(&groups, RootKind::Checkpoint), None);
    apply(&mut groups, &[block(7, DAY, [buy(3, 2)])]);
    assert_eq!(newest(&groups, RootKind::Checkpoint), Some((books(&[1, 2]), 2, 6)));
    // Nothing changed on the third day, so the checkpoint of its beginning serves.
    apply(&mut groups, &[block(8, 2 * DAY, []), block(9, 3 * DAY, []), block(10, 4 * DAY, [buy(4, 3)])]);
    assert_eq!(newest(&groups, RootKind::Checkpoint), Some((books(&[1, 2, 3]), 3, 7)));
    for root in [books(&[1, 2]), books(&[1, 2, 3])] {
        assert_eq!(lookup(&groups, root, 5 * ISSUE_SECONDS - 1), Ok(()));
        assert_eq!(lookup(&groups, root, 5 * ISSUE_SECONDS), Err(Refusal::RootExpired));
    }
}

#[test]
fn fresh_root_is_the_state_before_a_minute_and_good_for_a_day_after_the_next() {
    let mut groups = groups(DAILY);
    apply(&mut groups, &[block(5, 10, [buy(1, 0)]), block(6, 59, [buy(2, 1)])]);
    assert_eq!(newest(&groups, RootKind::Fresh), None);
    apply(&mut groups, &[block(7, 60, [buy(3, 2)])]);
    assert_eq!(newest(&groups, RootKind::Fresh), Some((books(&[1, 2]), 2, 6)));
    // While no other took its place it is what there is, however old.
    assert_eq!(lookup(&groups, books(&[1, 2]), 3 * DAY), Ok(()));
    apply(&mut groups, &[block(8, 500, [])]);
    assert_eq!(newest(&groups, RootKind::Fresh), Some((books(&[1, 2, 3]), 3, 7)));
    // Replaced by the boundary at 120 s, not by the block that showed it.
    assert_eq!(lookup(&groups, books(&[1, 2]), 120 + DAY - 1), Ok(()));
    assert_eq!(lookup(&groups, books(&[1, 2]), 120 + DAY), Err(Refusal::RootExpired));
    assert_eq!(lookup(&groups, books(&[1]), 500), Err(Refusal::RootUnknown));
}

#[test]
fn root_that_comes_back_is_good_again() {
    let mut groups = groups(DAILY);
    // A leaf appended and emptied: the tree is as it was.
    let blocks = [block(5, 0, [buy(1, 0)]), block(6, 60, [buy(2, 1)]), block(7, 120, [slash(2, 1)]), block(8, 180, [])];
    apply(&mut groups, &blocks);
    assert_eq!(newest(&groups, RootKind::Fresh), Some((books(&[1]), 2, 7)));
    assert_eq!(lookup(&groups, books(&[1]), 3 * DAY), Ok(()));
    groups.rollback(7).unwrap();
    assert_eq!(newest(&groups, RootKind::Fresh), Some((books(&[1, 2]), 2, 6)));
    assert_eq!(lookup(&groups, books(&[1]), 120 + DAY), Err(Refusal::RootExpired));
}

#[test]
fn reorganisation_withdraws_the_roots_it_orphaned() {
    let mut groups = groups(EVERY_BLOCK);
    apply(&mut groups, &[block(5, 10, [buy(1, 0)]), block(6, 11, [buy(2, 1)]), block(7, 70, [buy(3, 2)])]);
    groups.rollback(5).unwrap();
    assert_eq!(groups.last(), Some(5));
    for orphaned in [books(&[1, 2]), books(&[1, 2, 3])] {
        assert_eq!(lookup(&groups, orphaned, 70), Err(Refusal::RootUnknown));
        assert_eq!(groups.bucket(&ones(), orphaned, 0), Err(NoSuchBucket));
    }
    assert_eq!(groups.book(&ones(), FieldElement::from(2).into()), None);
    // Whose purchase was orphaned may buy again under the same commitment.
    apply(&mut groups, &[block(6, 12, [buy(4, 1), buy(2, 2)])]);
    assert_eq!(newest(&groups, RootKind::Checkpoint), Some((books(&[1, 4, 2]), 3, 6)));
    groups.rollback(4).unwrap();
    assert_eq!(groups.roots(&ones()), []);
    apply(&mut groups, &[block(5, 10, [buy(9, 0)])]);
    assert_eq!(lookup(&groups, books(&[9]), 10), Ok(()));
}

#[test]
fn settled_blocks_are_not_rolled_back() {
    let mut groups = groups(EVERY_BLOCK);
    apply(&mut groups, &[block(5, 10, [buy(1, 0)]), block(6, 11, [buy(2, 1)]), block(7, 12, [buy(3, 2)])]);
    groups.forget(6, after(11));
    assert_eq!(groups.rollback(5), Err(TooDeep));
    assert_eq!(newest(&groups, RootKind::Checkpoint), Some((books(&[1, 2, 3]), 3, 7)));
    groups.rollback(6).unwrap();
    assert_eq!(newest(&groups, RootKind::Checkpoint), Some((books(&[1, 2]), 2, 6)));
}

#[test]
fn expired_roots_are_dropped_but_remembered_as_such() {
    let mut groups = groups(DAILY);
    apply(&mut groups, &[block(5, 0, [buy(1, 0)]), block(6, 60, [buy(2, 1)]), block(7, 120, [])]);
    let end = 120 + DAY;
    apply(&mut groups, &[block(8, end, [buy(3, 2)]), block(9, end + 60, [])]);
    assert_eq!(groups.bucket(&ones(), books(&[1]), 0).unwrap().root(), books(&[1]));
    groups.forget(9, after(end + 60));
    assert_eq!(groups.bucket(&ones(), books(&[1]), 0), Err(NoSuchBucket));
    assert_eq!(lookup(&groups, books(&[1]), end), Err(Refusal::RootExpired));
    // It was the state at midnight as well.
    assert_eq!(lookup(&groups, books(&[1, 2]), 3 * DAY), Ok(()));
}

#[test]
fn group_is_dropped_when_its_stamps_are_good_no_more_and_may_still_be_slashed() {
    let mut groups = groups(EVERY_BLOCK);
    let end = 5 * ISSUE_SECONDS;
    apply(&mut groups, &[block(5, 10, [buy(1, 0)]), block(6, end, [])]);
    groups.forget(5, after(end - 1));
    assert!(!groups.roots(&ones()).is_empty());
    groups.forget(6, after(end));
    assert_eq!(groups.roots(&ones()), []);
    assert_eq!(lookup(&groups, books(&[1]), end), Err(Refusal::RootExpired));
    apply(&mut groups, &[block(7, end + 1, [slash(1, 0)])]);
    assert_eq!(groups.last(), Some(7));
}

#[test]
fn group_that_is_over_at_the_head_is_left_out_of_a_replay() {
    let mut groups = groups(EVERY_BLOCK);
    let end = 5 * ISSUE_SECONDS;
    groups.replay_towards(after(end));
    let next = Group::Stamps { denomination: Denomination::ALL[0], issue: Issue(221) };
    let later = Operation::Insert { group: next, commitment: U256::from(2), limit: 10, position: at(0) };
    let blocks = [block(5, 10, [buy(1, 0)]), block(6, ISSUE_SECONDS, [later]), block(7, end, [slash(1, 0)])];
    assert_eq!(groups.foresee(&blocks).unwrap().len(), 1);
    apply(&mut groups, &blocks);
    assert_eq!(groups.roots(&ones()), []);
    assert_eq!(lookup(&groups, books(&[1]), end), Err(Refusal::RootExpired));
    assert_eq!(groups.view().lookup(&next, books(&[2]), after(end)), Ok(()));
}

/// Purchases one a minute, each in its own block.
fn a_minute_apart(purchases: u32) -> Vec<Block> {
    let purchase = |index: u32| block(index.into(), 60 * u64::from(index), [buy(u64::from(index) + 1, index)]);
    (0..purchases).map(purchase).collect()
}

#[test]
fn first_reading_of_twenty_thousand_purchases_takes_the_roots_of_the_last_day_only() {
    let minutes = 20_000;
    let mut groups = groups(DAILY);
    groups.replay_towards(after(60 * u64::from(minutes)));
    apply(&mut groups, &a_minute_apart(minutes));
    let commitments: Vec<u64> = (1..=u64::from(minutes)).collect();
    let after_so_many = |purchases: usize| lookup(&groups, books(&commitments[..purchases]), 60 * u64::from(minutes));
    assert_eq!(after_so_many(100), Err(Refusal::RootUnknown));
    assert_eq!(after_so_many(minutes as usize - 2_000), Err(Refusal::RootUnknown));
    // Midnight, ten days after the first.
    assert_eq!(after_so_many(14_400), Ok(()));
    assert_eq!(after_so_many(minutes as usize - 100), Ok(()));
    assert_eq!(after_so_many(minutes as usize - 1), Ok(()));
}

#[test]
fn block_that_filled_what_waits_to_be_hashed_is_rolled_back() {
    let purchases =
        |range: std::ops::Range<u32>| range.map(|index| buy(u64::from(index) + 1, index)).collect::<Vec<_>>();
    let mut groups = groups(DAILY);
    apply(&mut groups, &[block(1, 10, purchases(0..30_000)), block(2, 20, purchases(30_000..40_000))]);
    groups.rollback(1).unwrap();
    assert_eq!(groups.next_position(&ones()), Some(at(30_000)));
    assert_eq!(groups.book(&ones(), FieldElement::from(30_001).into()), None);
    apply(&mut groups, &[block(2, 20, [buy(77_777, 30_000)]), block(3, 80, [])]);
    let commitments: Vec<u64> = (1..=30_000).chain([77_777]).collect();
    assert_eq!(newest(&groups, RootKind::Fresh), Some((books(&commitments), 30_001, 2)));
}

#[test]
fn only_the_latest_roots_have_buckets() {
    let mut groups = groups(EVERY_BLOCK);
    for number in 0..130 {
        groups.apply(&block(number, number, [buy(number + 1, number as u32)])).unwrap();
    }
    let first = |count: u64| books(&(1..=count).collect::<Vec<_>>());
    assert_eq!(groups.bucket(&ones(), first(2), 0), Err(NoSuchBucket));
    assert!(groups.bucket(&ones(), first(3), 0).is_ok());
    assert_eq!(lookup(&groups, first(2), 130), Ok(()));
}

// Properties.

/// What happens in a block of the model.
#[derive(Clone, Debug)]
enum Step {
    Buy,
    /// The first book bought that is not slashed yet.
    Slash,
    Nothing,
}

#[derive(Clone, Debug)]
struct Plan {
    seconds: u64,
    steps: Vec<Step>,
}

fn arb_plans() -> impl Strategy<Value = Vec<Plan>> {
    let step = prop_oneof![4 => Just(Step::Buy), 1 => Just(Step::Slash), 2 => Just(Step::Nothing)];
    let seconds = prop_oneof![4 => 0..70_u64, 1 => DAY / 3..DAY];
    let plan = (seconds, prop::collection::vec(step, 0..3)).prop_map(|(seconds, steps)| Plan { seconds, steps });
    prop::collection::vec(plan, 1..10)
}

/// Blocks that follow on `before`, as a chain would have them. `salt` makes other commitments.
fn blocks(before: &[Block], plans: &[Plan], salt: u64) -> Vec<Block> {
    let mut all = before.to_vec();
    for Plan { seconds, steps } in plans {
        let (number, time) = all.last().map_or((1, START), |last| (last.number + 1, last.time.as_secs() + seconds));
        let mut operations: Vec<Operation> = Vec::new();
        for step in steps {
            let past = || all.iter().flat_map(|block| &block.operations).chain(&operations);
            let index = past().filter(|operation| operation.is_insert()).count() as u32;
            let slashed: Vec<_> = past().filter(|it| !it.is_insert()).map(commitment_of).collect();
            let target = past().find(|it| it.is_insert() && !slashed.contains(&commitment_of(it))).cloned();
            match (step, target) {
                (Step::Buy, _) => operations.push(buy(salt + u64::from(index), index)),
                (Step::Slash, Some(Operation::Insert { commitment, limit, position, .. })) => {
                    operations.push(Operation::Remove {
                        group: id(&ones()),
                        commitment,
                        limit,
                        position,
                        secret: Some(U256::from(9)),
                    });
                }
                _ => {}
            }
        }
        all.push(Block { number, hash: B256::ZERO, time: Timestamp::from_secs(time), operations });
    }
    all
}

fn commitment_of(operation: &Operation) -> U256 {
    let (Operation::Insert { commitment, .. } | Operation::Remove { commitment, .. }) = operation;
    *commitment
}

/// All that can be seen of groups from outside, for the roots that any of `blocks` could have made.
fn observe(groups: &Groups, candidates: &[Root], end: Timestamp) -> impl PartialEq + std::fmt::Debug + use<> {
    let view = groups.view();
    let good: BTreeMap<_, _> = candidates
        .iter()
        .map(|root| {
            let later = |seconds| end.saturating_add(Duration::from_secs(seconds));
            let lookups = [0, 30, DAY - 30, DAY, DAY + 61, 2 * DAY].map(|it| view.lookup(&ones(), *root, later(it)));
            (*root, lookups.map(|it| it.map_err(|refusal| refusal.code())))
        })
        .collect();
    let books: Vec<_> = (0..400).map(|it| groups.book(&ones(), FieldElement::from(it).into())).collect();
    (good, books, groups.roots(&ones()), groups.chain(&ones()), groups.last())
}

/// The root after every block.
fn candidates(blocks: &[Block]) -> Vec<Root> {
    let mut all = groups(EVERY_BLOCK);
    let roots = blocks.iter().map(|block| {
        all.apply(block).unwrap();
        newest(&all, RootKind::Checkpoint)
    });
    roots.flatten().map(|(root, ..)| root).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn groups_after_a_reorganisation_are_as_if_it_had_never_been(
        common in arb_plans(), orphaned in arb_plans(), after in arb_plans(), every_block: bool,
    ) {
        let rules = if every_block { EVERY_BLOCK } else { DAILY };
        let common = blocks(&[], &common, 1);
        let orphaned = blocks(&common, &orphaned, 101);
        let after = blocks(&common, &after, 201);
        let candidates = [candidates(&orphaned), candidates(&after)].concat();
        let end = after.last().unwrap().time;

        let mut reorganised = groups(rules.clone());
        apply(&mut reorganised, &orphaned);
        reorganised.rollback(common.last().unwrap().number).unwrap();
        let mut straight = groups(rules);
        apply(&mut straight, &common);
        prop_assert_eq!(observe(&reorganised, &candidates, end), observe(&straight, &candidates, end));

        for groups in [&mut reorganised, &mut straight] {
            apply(groups, &after[common.len()..]);
        }
        prop_assert_eq!(observe(&reorganised, &candidates, end), observe(&straight, &candidates, end));
        for root in reorganised.roots(&ones()) {
            prop_assert_eq!(reorganised.bucket(&ones(), root.root, 0).map(|it| it.root()), Ok(root.root));
        }
    }

    #[test]
    fn nodes_that_saw_other_empty_blocks_have_the_same_roots(plans in arb_plans(), every_block: bool) {
        let rules = if every_block { EVERY_BLOCK } else { DAILY };
        let all = blocks(&[], &plans, 1);
        let last = all.last().unwrap();
        let some: Vec<_> = all.iter().filter(|it| !it.operations.is_empty() || *it == last).cloned().collect();
        let (mut saw_all, mut saw_some) = (groups(rules.clone()), groups(rules));
        apply(&mut saw_all, &all);
        apply(&mut saw_some, &some);
        let candidates = candidates(&all);
        prop_assert_eq!(observe(&saw_all, &candidates, last.time), observe(&saw_some, &candidates, last.time));
    }

    #[test]
    fn replay_towards_a_head_ends_with_the_roots_that_are_good_there(plans in arb_plans()) {
        let all = blocks(&[], &plans, 1);
        let last = all.last().unwrap();
        let (mut lived, mut replayed) = (groups(DAILY), groups(DAILY));
        replayed.replay_towards(last.time);
        apply(&mut lived, &all);
        apply(&mut replayed, &all);
        let good = |groups: &Groups| {
            let view = groups.view();
            let good = |root: &Root| [0, 60, DAY].map(|later| {
                view.lookup(&ones(), *root, last.time.saturating_add(Duration::from_secs(later))).is_ok()
            });
            candidates(&all).iter().map(good).collect::<Vec<_>>()
        };
        prop_assert_eq!(good(&lived), good(&replayed));
        prop_assert_eq!(lived.roots(&ones()), replayed.roots(&ones()));
    }
}

/// Like the members of an operator: no checkpoints, and leaves may leave.
fn members(interval: u64) -> Groups {
    groups(RootRules { checkpoints: None, fresh_interval: Duration::from_secs(interval), ..DAILY })
}

fn leave(commitment: u64, index: u32) -> Operation {
    match slash(commitment, index) {
        Operation::Remove { group, commitment, limit, position, secret: _ } => {
            Operation::Remove { group, commitment, limit, position, secret: None }
        }
        insert @ Operation::Insert { .. } => insert,
    }
}

fn newest_fresh(groups: &Groups) -> Root {
    newest(groups, RootKind::Fresh).unwrap().0
}

#[test]
fn leaf_that_left_is_out_and_may_come_back() {
    let mut groups = members(0);
    groups.apply(&block(1, 0, [buy(1, 0), buy(2, 1)])).unwrap();
    let both = newest_fresh(&groups);
    groups.apply(&block(2, 10, [leave(1, 0), buy(3, 2)])).unwrap();
    let without = newest_fresh(&groups);
    assert_eq!(groups.book(&ones(), FieldElement::from(1).into()), None);
    groups.apply(&block(3, 20, [leave(3, 2), buy(1, 3)])).unwrap();
    let back = newest_fresh(&groups);
    assert_eq!(groups.bucket(&ones(), back, 0).unwrap().leaves().len(), 4);
    assert_eq!(groups.slashed(), []);
    // What was replaced is good for a day longer.
    for (root, seconds, expected) in [
        (both, 10 + DAY - 1, Ok(())),
        (both, 10 + DAY, Err(Refusal::RootExpired)),
        (without, 20 + DAY - 1, Ok(())),
        (without, 20 + DAY, Err(Refusal::RootExpired)),
        (back, 9 * DAY, Ok(())),
    ] {
        assert_eq!(groups.view().lookup(&ones(), root, after(seconds)), expected, "after {seconds} s");
    }

    groups.rollback(1).unwrap();
    assert_eq!(newest_fresh(&groups), both);
    assert!(groups.book(&ones(), FieldElement::from(1).into()).is_some());
    assert_eq!(groups.book(&ones(), FieldElement::from(3).into()), None);
    groups.apply(&block(2, 10, [leave(1, 0), buy(3, 2)])).unwrap();
    assert_eq!(newest_fresh(&groups), without);
}

#[test]
fn time_that_passes_makes_the_root_that_the_next_block_would_have_made() {
    let (mut told, mut idle) = (members(60), members(60));
    for groups in [&mut told, &mut idle] {
        groups.apply(&block(1, 10, [buy(1, 0)])).unwrap();
        assert_eq!(groups.roots(&ones()), []);
    }
    idle.pass_time(after(59));
    assert_eq!(idle.roots(&ones()), []);
    idle.pass_time(after(60));
    told.apply(&block(2, 70, [buy(2, 1)])).unwrap();
    assert_eq!(idle.roots(&ones()), told.roots(&ones()));
    idle.pass_time(after(61));
    idle.apply(&block(2, 70, [buy(2, 1)])).unwrap();
    assert_eq!(idle.roots(&ones()), told.roots(&ones()));
}

fn tier() -> Group {
    Group::Stake { contract: Address::repeat_byte(0x22), tier: 1 }
}

fn stake(commitment: u64, index: u32) -> Operation {
    Operation::Insert { group: tier(), commitment: U256::from(commitment), limit: 10, position: at(index) }
}

fn unstake(commitment: u64, index: u32, secret: Option<u64>) -> Operation {
    Operation::Remove {
        group: id(&tier()),
        commitment: U256::from(commitment),
        limit: 10,
        position: at(index),
        secret: secret.map(U256::from),
    }
}

fn stake_root(groups: &Groups) -> Root {
    let [root] = groups.roots(&tier()).try_into().unwrap();
    assert_eq!(root.kind, RootKind::Fresh, "a leaf may leave, so nothing is good for ever");
    root.root
}

#[test]
fn stake_has_roots_of_a_day_at_the_pace_of_the_network() {
    for (rules, first, second) in [(EVERY_BLOCK, 10, 500), (DAILY, 60, 540)] {
        let mut groups = groups(rules);
        apply(&mut groups, &[block(1, 10, [stake(1, 0), stake(2, 1)]), block(2, first, [])]);
        let both = stake_root(&groups);
        assert_eq!(both, books(&[1, 2]));
        apply(&mut groups, &[block(3, 500, [unstake(1, 0, None)]), block(4, second, [])]);
        let without = stake_root(&groups);
        assert_eq!(without, root_of(&[empty(), leaf_of(2)]));
        for (root, seconds, expected) in [
            (both, second + DAY - 1, Ok(())),
            (both, second + DAY, Err(Refusal::RootExpired)),
            (without, 90 * DAY, Ok(())),
        ] {
            assert_eq!(groups.view().lookup(&tier(), root, after(seconds)), expected, "after {seconds} s");
        }
    }
}

#[test]
fn stake_that_left_is_still_known_and_can_be_slashed() {
    let mut groups = groups(EVERY_BLOCK);
    apply(&mut groups, &[block(1, 10, [stake(1, 0), stake(2, 1), buy(1, 0)]), block(2, 20, [unstake(1, 0, None)])]);
    let left = stake_root(&groups);
    let known = Some(Book { position: at(0), limit: Limit::new(10).unwrap() });
    assert_eq!(groups.book(&tier(), FieldElement::from(1).into()), known);
    assert_eq!(groups.fate(&tier(), FieldElement::from(1).into()), Some(Fate::Left));
    assert_eq!(groups.fate(&tier(), FieldElement::from(2).into()), Some(Fate::Stands));
    assert_eq!(groups.fate(&tier(), FieldElement::from(3).into()), None);

    apply(&mut groups, &[block(3, 30, [unstake(1, 0, Some(9))])]);
    assert_eq!(stake_root(&groups), left, "there was no leaf to remove any more");
    assert_eq!(groups.fate(&tier(), FieldElement::from(1).into()), Some(Fate::Slashed));
    assert_eq!(groups.slashed(), [Slashed { group: tier(), secret: U256::from(9), at: after(30) }]);
    assert_eq!(newest(&groups, RootKind::Checkpoint), Some((books(&[1]), 1, 1)), "books of that commitment stand");

    groups.rollback(1).unwrap();
    assert_eq!(stake_root(&groups), books(&[1, 2]));
    assert_eq!(groups.book(&tier(), FieldElement::from(1).into()), known);
    assert_eq!(groups.fate(&tier(), FieldElement::from(1).into()), Some(Fate::Stands));
    assert_eq!(groups.slashed().len(), 1, "a secret that was told stays told");
    groups.forget(1, after(30 + DAY + 60));
    assert_eq!(groups.slashed().len(), 1);
    groups.forget(1, after(30 + DAY + 61));
    assert_eq!(groups.slashed(), []);
}

mod registered;

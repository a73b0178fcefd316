//! Registered claims: each epoch has one root, whatever happens to the group in it.

use xmtp_proto::derive::ClaimId;

use super::*;

const HOUR: u64 = 3_600;

fn claim() -> Group {
    Group::Claim { id: ClaimId::from([1; 32]), generation: Generation::at(after(0)).0 }
}

fn register(commitment: u64, index: u32) -> Operation {
    Operation::Insert { group: claim(), commitment: U256::from(commitment), limit: 10, position: at(index) }
}

fn leave(commitment: u64, index: u32) -> Operation {
    Operation::Remove {
        group: id(&claim()),
        commitment: U256::from(commitment),
        limit: 10,
        position: at(index),
        secret: None,
    }
}

/// So many days after the start.
fn day(number: u64) -> Epoch {
    after(number * DAY).epoch()
}

fn root_in(groups: &Groups, epoch: Epoch) -> Option<Root> {
    let root = groups.roots_in(&claim(), epoch).first()?.root;
    assert_eq!(groups.view().lookup_in(&claim(), root, epoch), Ok(()));
    assert_eq!(groups.bucket(&claim(), root, 0).unwrap().root(), root);
    Some(root)
}

fn check(groups: &Groups, expected: [Option<Root>; 4]) {
    for (number, expected) in (0..).zip(expected) {
        assert_eq!(root_in(groups, day(number)), expected, "day {number}");
    }
}

#[test]
fn first_root_counts_at_once_and_any_other_from_the_day_an_hour_after_its_moment() {
    for rules in [DAILY, EVERY_BLOCK] {
        let mut groups = groups(rules);
        apply(&mut groups, &[block(1, 10 * HOUR, [register(1, 0)])]);
        let first = Some(books(&[1]));
        check(&groups, [first; 4]);
        // Whoever held the token registered again, or sold it: that counts from tomorrow on.
        apply(&mut groups, &[block(2, 12 * HOUR, [leave(1, 0), register(2, 1)])]);
        apply(&mut groups, &[block(3, 23 * HOUR - 1, [register(3, 2)])]);
        check(&groups, [first; 4]);
        // What happens in the last hour counts a day later.
        apply(&mut groups, &[block(4, 23 * HOUR, [register(4, 3)])]);
        let second = Some(root_of(&[empty(), leaf_of(2), leaf_of(3)]));
        check(&groups, [first, second, second, second]);
        apply(&mut groups, &[block(5, 47 * HOUR, [])]);
        let third = root_of(&[empty(), leaf_of(2), leaf_of(3), leaf_of(4)]);
        check(&groups, [first, second, Some(third), Some(third)]);

        let view = groups.view();
        for (root, number, expected) in [
            (first, 1, Err(Refusal::RootExpired)),
            (second, 0, Err(Refusal::RootExpired)),
            (second, 2, Err(Refusal::RootExpired)),
            (Some(books(&[1, 2])), 0, Err(Refusal::RootUnknown)),
        ] {
            assert_eq!(view.lookup_in(&claim(), root.unwrap(), day(number)), expected, "on day {number}");
        }
        // No root of it is good whatever the day.
        assert_eq!(view.lookup(&claim(), third, after(48 * HOUR)), Err(Refusal::RootUnknown));
    }
}

#[test]
fn nodes_that_saw_other_empty_blocks_have_one_root_for_a_day() {
    let operations = [block(1, HOUR, [register(1, 0)]), block(2, 2 * HOUR, [register(2, 1)])];
    let later = block(9, 50 * HOUR, [register(3, 2)]);
    let (mut seldom, mut often) = (groups(DAILY), groups(DAILY));
    apply(&mut seldom, &operations);
    apply(&mut often, &operations);
    apply(&mut often, &[block(3, 22 * HOUR, []), block(4, 23 * HOUR + 5, []), block(5, 30 * HOUR, [])]);
    apply(&mut seldom, std::slice::from_ref(&later));
    apply(&mut often, &[later]);
    let expected = [Some(books(&[1])), Some(books(&[1, 2])), Some(books(&[1, 2])), Some(books(&[1, 2]))];
    check(&seldom, expected);
    check(&often, expected);
}

#[test]
fn reorganisation_undoes_a_registration_and_its_roots() {
    let mut groups = groups(DAILY);
    let first = block(1, HOUR, [register(1, 0)]);
    apply(&mut groups, &[first.clone(), block(2, 2 * HOUR, [register(2, 1)]), block(3, 23 * HOUR, [])]);
    let both = books(&[1, 2]);
    assert_eq!(root_in(&groups, day(1)), Some(both));

    groups.rollback(1).unwrap();
    assert_eq!(root_in(&groups, day(1)), Some(books(&[1])));
    assert_eq!(groups.view().lookup_in(&claim(), both, day(1)), Err(Refusal::RootUnknown));
    apply(&mut groups, &[block(2, 3 * HOUR, [leave(1, 0), register(3, 1)]), block(3, 23 * HOUR, [])]);
    assert_eq!(root_in(&groups, day(1)), Some(root_of(&[empty(), leaf_of(3)])));

    // Back before the group: another one comes first.
    groups.rollback(0).unwrap();
    check(&groups, [None; 4]);
    apply(&mut groups, &[block(1, 4 * HOUR, [register(4, 0)])]);
    check(&groups, [Some(books(&[4])); 4]);
    assert_eq!(groups.chain(&claim()), register(4, 0).link(B256::ZERO));
}

#[test]
fn roots_are_dropped_when_their_day_is_long_over_and_groups_with_their_quarter() {
    let mut groups = groups(DAILY);
    for number in 0..4 {
        let index = u32::try_from(number).unwrap();
        apply(&mut groups, &[block(number + 1, number * DAY + HOUR, [register(number + 1, index)])]);
    }
    apply(&mut groups, &[block(9, 4 * DAY, [])]);
    groups.forget(9, after(3 * DAY));
    // Yesterday's is still asked for, at the edge of the day.
    check(&groups, [None, None, Some(books(&[1, 2])), Some(books(&[1, 2, 3]))]);
    assert_eq!(root_in(&groups, day(4)), Some(books(&[1, 2, 3, 4])));

    let Generation(present) = Generation::at(after(0));
    let over = Timestamp::from_secs(u64::from(present + 2) * xmtp_proto::time::GENERATION_SECONDS);
    groups.forget(9, over);
    check(&groups, [None; 4]);
    // Entries of a quarter that is over can still be pruned, and nobody asks.
    groups.foresee(&[Block { time: over, ..block(10, 0, [leave(1, 0)]) }]).unwrap();
}

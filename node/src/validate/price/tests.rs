//! What a client chooses, this accepts; and nothing cheaper.

use proptest::prelude::*;
use xmtp_proto::derive::{ClaimId, Denomination, Issue};
use xmtp_proto::field::FieldElement;
use xmtp_proto::pass::{Claim, Connection, Member, PROOF_BYTES, Proof, Stake, Stamp};
use xmtp_proto::submission::{MAX_PASSES, MAX_STAMPS};
use xmtp_proto::time::{Epoch, Timestamp};
use xmtp_sdk::franking::{Choice, Cost, Demand, Holding, choose};
use xmtp_sdk::transport::StampGroup;

use super::*;

/// Whether it is the sender's first or second pseudonym that shows.
fn tag_of(sender: u64) -> Tag {
    FieldElement::from(1_000 + sender).into()
}

/// The passes that a client makes of what it chose, but for the proofs, which nobody looks at here.
fn pass(shown: Shown, nullifier: u64, tag: Tag) -> Pass {
    let field = FieldElement::from(nullifier);
    let of =
        |tag| Proof { root: field.into(), nullifier: field.into(), share: field.into(), tag, points: [0; PROOF_BYTES] };
    let epoch = Epoch(20_000);
    match shown {
        Shown::Stamp { denomination, tagged } => {
            let nonce = (!tagged).then(|| field.into());
            Pass::Stamp(Stamp { denomination, issue: Issue(7), proof: of(tag), nonce })
        }
        Shown::Stake { tier } => Pass::Stake(Stake { tier, epoch, proof: of(tag) }),
        Shown::Claim { id, tag } => Pass::Claim(Claim { id, generation: 1, epoch, proof: of(tag) }),
        Shown::Member => Pass::Member(Member { operator: [1; 32].into(), generation: 1, epoch, proof: of(tag) }),
        Shown::Connection => Pass::Connection(Connection {
            holder: [1; 32],
            quota: 1,
            expires_at: Timestamp::from_secs(1),
            attestation: [1; 64],
            signature: [1; 64],
        }),
    }
}

fn arb_requirement() -> impl Strategy<Value = Requirement> {
    let leaf = prop_oneof![
        3 => (1_u32..12, any::<bool>()).prop_map(|(at_least, tagged)| Requirement::Stamp { at_least, tagged }),
        1 => Just(Requirement::Connection),
        1 => Just(Requirement::Member),
        2 => prop::option::of(0..3_u8).prop_map(|id| Requirement::Claim(id.map(|id| ClaimId::from([id; 32])))),
        1 => prop::option::of(1..3_u32).prop_map(Requirement::Stake),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(Requirement::AnyOf),
            prop::collection::vec(inner, 0..4).prop_map(Requirement::AllOf),
        ]
    })
}

/// What a client has, each with whether the recipient blocked its tag.
fn arb_holdings() -> impl Strategy<Value = Vec<(Holding, bool)>> {
    let holding = prop_oneof![
        3 => (0..4_usize, 1_u32..3).prop_map(|(denomination, left)| {
            let group = StampGroup { denomination: Denomination::ALL[denomination], issue: Issue(7) };
            Holding::Book { group, left, tag_blocked: false }
        }),
        1 => Just(Holding::Connection),
        1 => Just(Holding::Member),
        2 => (0..3_u8, 0..2_u64).prop_map(|(id, sender)| Holding::Claim { id: [id; 32].into(), tag: tag_of(sender) }),
        1 => (1..4_u32).prop_map(|tier| Holding::Stake { tier }),
    ];
    prop::collection::vec((holding, prop::bool::weighted(0.2)), 0..5)
}

/// All sets of passes that could be made of what is held.
fn all_sets(holdings: &[(Holding, bool)]) -> Vec<Vec<(usize, Shown)>> {
    let mut sets = vec![Vec::new()];
    for (position, (holding, _)) in holdings.iter().enumerate() {
        let (shows, times): (Vec<Shown>, usize) = match *holding {
            Holding::Connection => (vec![Shown::Connection], 1),
            Holding::Member => (vec![Shown::Member], 1),
            Holding::Claim { id, tag } => (vec![Shown::Claim { id, tag }], 1),
            Holding::Stake { tier } => (vec![Shown::Stake { tier }], 1),
            Holding::Book { group: StampGroup { denomination, .. }, left, .. } => {
                let stamp = |tagged| Shown::Stamp { denomination, tagged };
                (vec![stamp(false), stamp(true)], usize::try_from(left).unwrap())
            }
        };
        for _ in 0..times {
            let with = |set: &Vec<(usize, Shown)>, shown: &Shown| [set.as_slice(), &[(position, *shown)]].concat();
            let more: Vec<_> = shows.iter().flat_map(|shown| sets.iter().map(move |set| with(set, shown))).collect();
            sets.extend(more);
        }
    }
    let stamps = |set: &[(usize, Shown)]| set.iter().filter(|(_, it)| matches!(it, Shown::Stamp { .. })).count();
    sets.retain(|set| set.len() <= MAX_PASSES && stamps(set) <= MAX_STAMPS);
    sets
}

fn cost(set: &[(usize, Shown)]) -> Cost {
    set.iter().fold(Cost::default(), |mut cost, (_, shown)| {
        match shown {
            Shown::Stamp { denomination, tagged } => {
                cost.units += denomination.units();
                cost.tagged += usize::from(*tagged);
                cost.stamps += 1;
            }
            Shown::Stake { .. } => cost.stakes += 1,
            Shown::Claim { .. } => cost.claims += 1,
            Shown::Member => cost.members += 1,
            Shown::Connection => cost.connections += 1,
        }
        cost
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn clients_choice_is_accepted_whenever_anything_would_be_and_is_never_dearer_than_the_best(
        network in arb_requirement(), account in arb_requirement(), holdings in arb_holdings(), units in 1_u32..3,
    ) {
        let asked = [
            Asked::fixed(network.for_units(units), AskedBy::Network),
            Asked::fixed(account.for_units(units), AskedBy::Account),
        ];
        // The claims of one sender are blocked together; all else has a tag of its own.
        let tag_of_holding = |position: usize| match holdings[position].0 {
            Holding::Claim { tag, .. } => tag,
            _ => FieldElement::from(u64::try_from(position).unwrap()).into(),
        };
        let is_connection = |position: usize| holdings[position].0 == Holding::Connection;
        let blocked: Vec<Tag> =
            (0..holdings.len()).filter(|it| holdings[*it].1 && !is_connection(*it)).map(tag_of_holding).collect();
        let now = Timestamp::default();
        let policy = Policy {
            account: "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045".parse().unwrap(),
            version: 1,
            requirement: account.clone(),
            blocked_tags: blocked.clone(),
            revoked_attestations: Vec::new(),
        };
        let is_accepted = |set: &[(usize, Shown)]| {
            let numbered = set.iter().zip(0..);
            let passes: Vec<_> =
                numbered.map(|((position, shown), number)| pass(*shown, number, tag_of_holding(*position))).collect();
            require(&Terms { asked: &asked, policy: Some(&policy), now }, &passes, None).is_ok()
        };
        let best = all_sets(&holdings).into_iter().filter(|set| is_accepted(set)).map(|set| cost(&set)).min();

        // As a client lists them: what is blocked is left out, but for stamps, which can do without a tag.
        let is_blocked = |position: usize| !is_connection(position) && blocked.contains(&tag_of_holding(position));
        let (positions, at_hand): (Vec<usize>, Vec<Holding>) = (0..holdings.len())
            .filter_map(|position| match holdings[position].0 {
                Holding::Book { group, left, .. } => {
                    Some((position, Holding::Book { group, left, tag_blocked: is_blocked(position) }))
                }
                other => (!is_blocked(position)).then_some((position, other)),
            })
            .unzip();
        let chosen = choose(&Demand::new(&network, Some(&account), units), &at_hand);
        prop_assert_eq!(chosen.as_ref().map(|choice| choice.cost), best);
        if let Some(Choice { passes, .. }) = chosen {
            let set: Vec<_> = passes.iter().map(|chosen| (positions[chosen.holding], chosen.shows)).collect();
            prop_assert!(is_accepted(&set), "{:?}", set);
        }
    }
}

#[test]
fn where_the_price_has_just_moved_either_price_is_paid_in_full_and_not_too_much() {
    let requirement = |text: &str| -> Requirement { text.parse().unwrap() };
    let asked = [Asked { least: requirement("stamp(1)"), most: requirement("stamp(4)"), by: AskedBy::Network }];
    for (units, expected) in [
        (vec![], Err(Refusal::RequirementUnmet { unmet: requirement("stamp(1)"), asked_by: AskedBy::Network })),
        (vec![1], Ok(())),
        (vec![1, 1], Ok(())),
        (vec![2, 2], Ok(())),
        (vec![2, 2, 1], Err(Malformed::Surplus { position: 2 }.into())),
    ] {
        let shown = |units: u32| Shown::Stamp { denomination: units.try_into().unwrap(), tagged: true };
        let passes: Vec<_> =
            units.iter().zip(0..).map(|(units, number)| pass(shown(*units), number, tag_of(number))).collect();
        let terms = Terms { asked: &asked, policy: None, now: Timestamp::default() };
        assert_eq!(require(&terms, &passes, None), expected, "{units:?}");
    }
}

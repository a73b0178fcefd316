use proptest::prelude::*;
use xmtp_proto::derive::Issue;

use super::*;

fn book(denomination: u32, left: u32) -> Holding {
    of_issue(denomination, left, 7)
}

fn of_issue(denomination: u32, left: u32, issue: u32) -> Holding {
    let group = StampGroup { denomination: denomination.try_into().unwrap(), issue: Issue(issue) };
    Holding::Book { group, left, tag_blocked: false }
}

fn blocked(denomination: u32, left: u32) -> Holding {
    let Holding::Book { group, left, .. } = book(denomination, left) else { unreachable!("it is a book") };
    Holding::Book { group, left, tag_blocked: true }
}

fn claim(id: u8, sender: u64) -> Holding {
    Holding::Claim { id: ClaimId::from([id; 32]), tag: FieldElement::from(sender).into() }
}

/// Claims by one digit, for `claim(1)` is no requirement.
fn requirement(text: &str) -> Requirement {
    let claims = (1..=9_u8).fold(text.to_owned(), |text, id| {
        text.replace(&format!("claim({id})"), &format!("claim(0x{})", format!("{id:02x}").repeat(32)))
    });
    claims.parse().unwrap()
}

fn demand(account: &str) -> Demand {
    Demand::new(&Requirement::nothing(), Some(&requirement(account)), 1)
}

fn check(account: &str, holdings: &[Holding], expected: Option<&[usize]>) {
    let chosen = choose(&demand(account), holdings);
    let chosen: Option<Vec<usize>> = chosen.map(|it| it.passes.iter().map(|chosen| chosen.holding).collect());
    assert_eq!(chosen.as_deref(), expected, "{account} from {holdings:?}");
}

fn check_offer(account: &str, units: u32, expected: Option<&str>) {
    let demand = Demand::new(&Requirement::default_for_invites(), Some(&requirement(account)), units);
    assert_eq!(demand.offer().map(|offer| offer.to_string()).as_deref(), expected, "{account} for {units} units");
}

#[test]
fn least_value_wins_and_then_the_fewest_stamps() {
    check("all()", &[book(5, 1), book(1, 1)], Some(&[]));
    check("stamp(1)", &[book(5, 1), book(1, 1)], Some(&[1]));
    check("stamp(5)", &[book(50, 9), book(5, 9)], Some(&[1]));
    check("stamp(5)", &[book(2, 9), book(1, 1), book(10, 9)], Some(&[1, 0, 0]));
    check("stamp(4)", &[book(1, 9), book(2, 9)], Some(&[1, 1]));
    check("stamp(5)", &[book(2, 9)], Some(&[0, 0, 0]));
    check("stamp(5)", &[book(1, 9)], None);
    check("stamp(5)", &[book(2, 2)], None);
    check("any(stamp(50), all(stamp(2), connection))", &[book(2, 9), book(50, 1)], Some(&[1]));
    check("member", &[book(500, 9)], None);
}

#[test]
fn what_costs_an_index_goes_before_what_costs_money() {
    const ALL: &str = "any(stamp(1), stake(2), claim(1), member, connection)";
    let stake = Holding::Stake { tier: 2 };
    check(ALL, &[book(1, 9), stake, claim(1, 1), Holding::Member, Holding::Connection], Some(&[4]));
    check(ALL, &[book(1, 9), stake, claim(1, 1), Holding::Member], Some(&[3]));
    check(ALL, &[book(1, 9), stake, claim(1, 1)], Some(&[2]));
    check(ALL, &[book(1, 9), stake], Some(&[1]));
    check(ALL, &[book(1, 9), Holding::Stake { tier: 1 }], Some(&[0]));
    check("any(all(claim(1), claim(2), claim(3)), stake(any))", &[stake, claim(1, 1), claim(2, 1)], Some(&[0]));
    check("any(all(claim(1), claim(2)), stake(any))", &[stake, claim(1, 1), claim(2, 1)], Some(&[1, 2]));
}

#[test]
fn one_pass_serves_both_requirements() {
    let asks = |network: &str, account: &str| Demand::new(&requirement(network), Some(&requirement(account)), 1);
    let both = asks("any(connection, claim(any), stamp(1))", "any(claim(1), stamp(5))");
    let chosen = choose(&both, &[claim(2, 1), claim(1, 1), book(5, 1)]).unwrap();
    assert_eq!(chosen.passes.iter().map(|it| it.holding).collect::<Vec<_>>(), [1]);
    let both = asks("any(connection, stamp(1))", "any(connection, claim(1))");
    let chosen = choose(&both, &[claim(1, 1), book(1, 1), Holding::Connection]).unwrap();
    assert_eq!(chosen.passes.iter().map(|it| it.holding).collect::<Vec<_>>(), [2]);
}

#[test]
fn claims_of_two_senders_are_not_one_sender() {
    check("all(claim(1), claim(2))", &[claim(1, 1), claim(2, 2)], None);
    check("all(claim(1), claim(2))", &[claim(1, 1), claim(2, 2), claim(1, 2)], Some(&[1, 2]));
    check("any(claim(1), claim(2))", &[claim(2, 2)], Some(&[0]));
}

#[test]
fn oldest_issue_is_used_up_first() {
    check("stamp(3)", &[of_issue(1, 9, 8), of_issue(1, 2, 7)], Some(&[1, 1, 0]));
}

#[test]
fn stamps_are_tagged_only_if_asked() {
    for (account, tagged) in
        [("stamp(2)", false), ("stamp(2, tagged)", true), ("any(stamp(1), stamp(1, tagged))", false)]
    {
        let choice = choose(&demand(account), &[book(1, 9)]).unwrap();
        assert_eq!(choice.cost.tagged > 0, tagged, "{account}");
    }
}

#[test]
fn blocked_tag_is_not_shown() {
    check("stamp(2, tagged)", &[blocked(2, 1), book(2, 1)], Some(&[1]));
    check("stamp(2, tagged)", &[blocked(2, 1)], None);
    check("stamp(2)", &[blocked(2, 1)], Some(&[0]));
    check("all(stamp(4), stamp(2, tagged))", &[blocked(2, 1), book(2, 1)], Some(&[0, 1]));
}

#[test]
fn letter_with_stamps_gets_only_what_is_missing() {
    for (account, already, books) in [
        ("stamp(3)", vec![1], Some(vec![1])),
        ("stamp(6)", vec![1], Some(vec![0])),
        ("stamp(1)", vec![1], Some(vec![])),
        ("stamp(5)", vec![1], Some(vec![1, 1])),
        ("stamp(5)", vec![1, 1, 1], Some(vec![1])),
        ("stamp(10)", vec![2, 2, 1, 1], None),
    ] {
        let shown = |units: u32| Shown::Stamp { denomination: units.try_into().unwrap(), tagged: false };
        let already: Vec<_> = already.into_iter().map(shown).collect();
        let chosen = choose_more(&demand(account), &already, &[book(5, 9), book(2, 9)]);
        let chosen = chosen.map(|choice| choice.passes.iter().map(|it| it.holding).collect::<Vec<_>>());
        assert_eq!(chosen, books, "{account} for {already:?}");
    }
}

#[test]
fn offer_names_what_would_do() {
    check_offer("all()", 1, Some("1 of denomination 1"));
    check_offer("stamp(5)", 1, Some("1 of denomination 5"));
    check_offer("stamp(3)", 1, Some("3 of denomination 1"));
    check_offer("stamp(7)", 1, Some("1 of denomination 5, 1 of denomination 2"));
    check_offer("stamp(2)", 5, Some("1 of denomination 10"));
    check_offer("stamp(2000)", 1, Some("4 of denomination 500"));
    check_offer("stamp(2001)", 1, None);
    check_offer("connection", 1, Some("connection"));
    check_offer("any(stake(2), stamp(5))", 1, Some("1 of denomination 5"));
    check_offer("all(stake(any), stamp(5))", 1, Some("stake(any), 1 of denomination 5"));
    check_offer("any()", 1, None);
}

#[test]
fn alternatives_are_what_would_do_alone() {
    for (account, expected) in [
        (
            "any(stamp(5), stake(2), claim(1), connection)",
            vec!["connection", "claim(1)", "stake(2)", "1 of denomination 5"],
        ),
        ("all(claim(1), stamp(5))", vec!["claim(1), 1 of denomination 5"]),
        ("all()", vec![""]),
        ("any()", vec![]),
    ] {
        let offers: Vec<_> = demand(account).alternatives().iter().map(ToString::to_string).collect();
        let id = format!("0x{}", "01".repeat(32));
        assert_eq!(
            offers,
            expected.iter().map(|it| it.replace("claim(1)", &format!("claim({id})"))).collect::<Vec<_>>()
        );
    }
}

/// Sixty claims, any seven of each of eight lists of which would do: there are five million ways to put eight together.
#[test]
fn policy_made_to_keep_clients_busy_does_not() {
    let id = |position: u8| Requirement::Claim(Some(ClaimId::from([position; 32])));
    let lists = (0..8_u8).map(|list| Requirement::AnyOf((0..6).map(|of| id(list * 6 + of)).collect()));
    let hard = Requirement::AllOf(lists.collect());
    assert_eq!(hard.validate(), Ok(()));
    let holdings: Vec<_> = (0..48).map(|it| claim(it, 1)).collect();
    let begun = std::time::Instant::now();
    let _ = choose(&Demand::new(&Requirement::nothing(), Some(&hard), 1), &holdings);
    assert!(begun.elapsed() < std::time::Duration::from_secs(30), "{:?}", begun.elapsed());
}

fn arb_requirement() -> impl Strategy<Value = Requirement> {
    let leaf = prop_oneof![
        4 => (1_u32..40, any::<bool>()).prop_map(|(at_least, tagged)| Requirement::Stamp { at_least, tagged }),
        1 => Just(Requirement::Connection),
        1 => Just(Requirement::Member),
        2 => prop::option::of(0..3_u8).prop_map(|id| Requirement::Claim(id.map(|id| ClaimId::from([id; 32])))),
        2 => prop::option::of(0..3_u32).prop_map(Requirement::Stake),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(Requirement::AnyOf),
            prop::collection::vec(inner, 0..4).prop_map(Requirement::AllOf),
        ]
    })
}

fn arb_holdings() -> impl Strategy<Value = Vec<Holding>> {
    let book = (0..6_usize, 1_u32..4, 5_u32..8, any::<bool>()).prop_map(|(denomination, left, issue, tag_blocked)| {
        let Holding::Book { group, .. } = of_issue(Denomination::ALL[denomination].units(), left, issue) else {
            unreachable!("it is a book")
        };
        Holding::Book { group, left, tag_blocked }
    });
    let other = prop_oneof![
        Just(Holding::Connection),
        Just(Holding::Member),
        (0..4_u8, 0..2_u64).prop_map(|(id, sender)| claim(id, sender)),
        (0..4_u32).prop_map(|tier| Holding::Stake { tier }),
    ];
    (prop::collection::vec(book, 0..3), prop::collection::vec(other, 0..5))
        .prop_map(|(books, others)| [books, others].concat())
}

/// The cost of the best of all sets of passes: every holding that is no book shown or not, every stamp left out, shown, or
/// shown with its tag.
fn best_by_force(demand: &Demand, holdings: &[Holding]) -> Option<Cost> {
    fn walk(demand: &Demand, rest: &[Holding], taken: &mut Vec<Shown>, cost: Cost, best: &mut Option<Cost>) {
        if taken.len() <= MAX_PASSES && best.is_none_or(|best| cost < best) && demand.is_met_by(taken) {
            *best = Some(cost);
        }
        let Some((first, rest)) = rest.split_first() else { return };
        let mut with = |shown: Shown, rest: &[Holding], cost: Cost, taken: &mut Vec<Shown>| {
            taken.push(shown);
            walk(demand, rest, taken, cost, best);
            taken.pop();
        };
        match *first {
            Holding::Connection => {
                with(Shown::Connection, rest, Cost { connections: cost.connections + 1, ..cost }, taken);
            }
            Holding::Member => with(Shown::Member, rest, Cost { members: cost.members + 1, ..cost }, taken),
            Holding::Claim { id, tag } => {
                with(Shown::Claim { id, tag }, rest, Cost { claims: cost.claims + 1, ..cost }, taken);
            }
            Holding::Stake { tier } => {
                with(Shown::Stake { tier }, rest, Cost { stakes: cost.stakes + 1, ..cost }, taken);
            }
            Holding::Book { group, left, tag_blocked } if left > 0 && cost.stamps < MAX_STAMPS => {
                let again = [&[Holding::Book { group, left: left - 1, tag_blocked }], rest].concat();
                let denomination = group.denomination;
                for tagged in [false, true] {
                    if !(tagged && tag_blocked) {
                        let cost = Cost {
                            units: cost.units + denomination.units(),
                            tagged: cost.tagged + usize::from(tagged),
                            stamps: cost.stamps + 1,
                            ..cost
                        };
                        with(Shown::Stamp { denomination, tagged }, &again, cost, taken);
                    }
                }
            }
            Holding::Book { .. } => {}
        }
        walk(demand, rest, taken, cost, best);
    }
    let mut best = None;
    walk(demand, holdings, &mut Vec::new(), Cost::default(), &mut best);
    best
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn choice_meets_the_demand_whenever_anything_could_and_is_never_dearer_than_the_best(
        network in arb_requirement(), account in arb_requirement(), holdings in arb_holdings(), units in 1_u32..3,
    ) {
        let demand = Demand::new(&network, Some(&account), units);
        let chosen = choose(&demand, &holdings);
        prop_assert_eq!(chosen.as_ref().map(|it| it.cost), best_by_force(&demand, &holdings));
        let Some(Choice { passes, .. }) = chosen else { return Ok(()) };
        let shown: Vec<_> = passes.iter().map(|chosen| chosen.shows).collect();
        prop_assert!(demand.is_met_by(&shown));
        for surplus in 0..shown.len() {
            let mut fewer = shown.clone();
            fewer.remove(surplus);
            prop_assert!(!demand.is_met_by(&fewer));
        }
        for (position, holding) in holdings.iter().enumerate() {
            let used = passes.iter().filter(|chosen| chosen.holding == position);
            match *holding {
                Holding::Book { group, left, tag_blocked } => {
                    prop_assert!(used.clone().count() <= usize::try_from(left).unwrap());
                    for chosen in used {
                        let Shown::Stamp { denomination, tagged } = chosen.shows else { panic!("a book shows {chosen:?}") };
                        prop_assert!(denomination == group.denomination && !(tagged && tag_blocked));
                    }
                }
                _ => prop_assert!(used.count() <= 1),
            }
        }
    }

    #[test]
    fn what_belongs_to_a_letter_counts_towards_what_is_asked(account in arb_requirement(), holdings in arb_holdings()) {
        let demand = Demand::new(&Requirement::nothing(), Some(&account), 1);
        let Some(Choice { passes, .. }) = choose(&demand, &holdings) else { return Ok(()) };
        let shown: Vec<_> = passes.iter().map(|chosen| chosen.shows).collect();
        for already in 0..=shown.len() {
            let more = choose_more(&demand, &shown[..already], &holdings);
            prop_assert!(more.is_some_and(|more| more.passes.len() <= shown.len()), "{} of {:?}", already, shown);
        }
    }
}

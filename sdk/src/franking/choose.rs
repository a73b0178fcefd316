//! The cheapest sufficient stamps. There are 715 ways to put at most four stamps of nine denominations together, so all of
//! them are tried.

use xmtp_proto::derive::Denomination;
use xmtp_proto::requirement::Shown;
use xmtp_proto::submission::MAX_STAMPS;

use super::{Demand, Offer};
use crate::transport::StampGroup;

/// A book with stamps left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holding {
    /// Denomination and issue.
    pub group: StampGroup,
    /// Unused stamps.
    pub left: u32,
    /// Whether the recipient blocked the tag that this book shows to it: its tagged stamps count for nothing.
    pub tag_blocked: bool,
}

/// Which stamps to use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// For each stamp, the position of its book among the holdings.
    pub books: Vec<usize>,
    /// Whether their tags are made for the recipient's topic.
    pub tagged: bool,
    /// What they are worth.
    pub units: u32,
}

/// Chooses the stamps of least value that meet the demand; of those of equal value untagged ones, and the fewest. Books
/// of an older issue are used up first. None if the holdings do not suffice.
///
/// Since the value is the least, none of the stamps is surplus.
#[must_use]
pub fn choose(demand: &Demand, holdings: &[Holding]) -> Option<Choice> {
    choose_more(demand, &[], holdings)
}

/// As [`choose`], for a letter that stamps of these denominations belong to already: what to add to them, so that none of
/// all is surplus.
#[must_use]
pub fn choose_more(demand: &Demand, already: &[Denomination], holdings: &[Holding]) -> Option<Choice> {
    let usable = |holding: &Holding, tagged: bool| !(tagged && holding.tag_blocked);
    let supply = |denomination: Denomination, tagged: bool| {
        let of_it = |holding: &&Holding| holding.group.denomination == denomination && usable(holding, tagged);
        holdings.iter().filter(of_it).fold(0_u32, |sum, holding| sum.saturating_add(holding.left))
    };
    let (counts, tagged) =
        least(demand, already, supply, |counts| usize::try_from(counts.iter().sum::<u32>()).unwrap_or(usize::MAX))?;

    let mut oldest_first: Vec<usize> = (0..holdings.len()).filter(|book| usable(&holdings[*book], tagged)).collect();
    oldest_first.sort_by_key(|book| holdings[*book].group.issue);
    let mut books = Vec::with_capacity(MAX_STAMPS);
    for (denomination, count) in pairs(&counts) {
        let of_it = oldest_first.iter().filter(|book| holdings[**book].group.denomination == denomination);
        let stamps = of_it.flat_map(|book| std::iter::repeat_n(*book, stamps_of(holdings[*book].left)));
        books.extend(stamps.take(stamps_of(count)));
    }
    Some(Choice { books, tagged, units: value(&counts) })
}

/// The cheapest stamps with no regard to who has them; of those of equal value untagged ones, and the fewest kinds.
pub(super) fn cheapest(demand: &Demand) -> Option<Offer> {
    let kinds = |counts: &Counts| {
        let kinds = counts.iter().filter(|count| **count > 0).count();
        kinds * (MAX_STAMPS + 1) + usize::try_from(counts.iter().sum::<u32>()).unwrap_or(usize::MAX)
    };
    let (counts, tagged) = least(demand, &[], |_, _| u32::MAX, kinds)?;
    Some(Offer { stamps: pairs(&counts).rev().collect(), tagged })
}

/// How many stamps of each denomination.
type Counts = [u32; Denomination::ALL.len()];

/// The least by (value, tagged, `rank`) of all that the supply allows and the demand accepts.
fn least(
    demand: &Demand,
    already: &[Denomination],
    supply: impl Fn(Denomination, bool) -> u32,
    rank: impl Fn(&Counts) -> usize,
) -> Option<(Counts, bool)> {
    let mut best: Option<((u32, bool, usize), Counts)> = None;
    for tagged in [false, true] {
        let supply = Denomination::ALL.map(|denomination| supply(denomination, tagged));
        for_each(&mut |counts| {
            let key = (value(counts), tagged, rank(counts));
            let affordable = counts.iter().zip(&supply).all(|(count, supply)| count <= supply);
            if affordable
                && best.as_ref().is_none_or(|(known, _)| key < *known)
                && meets_without_surplus(demand, &shown(already, counts, tagged))
            {
                best = Some((key, *counts));
            }
        });
    }
    best.map(|((_, tagged, _), counts)| (counts, tagged))
}

/// Calls `f` with every way to take at most [`MAX_STAMPS`] stamps.
fn for_each(f: &mut impl FnMut(&Counts)) {
    fn walk(counts: &mut Counts, from: usize, left: usize, f: &mut impl FnMut(&Counts)) {
        f(counts);
        if left == 0 {
            return;
        }
        for position in from..counts.len() {
            counts[position] += 1;
            walk(counts, position, left - 1, f);
            counts[position] -= 1;
        }
    }
    walk(&mut Counts::default(), 0, MAX_STAMPS, f);
}

fn value(counts: &Counts) -> u32 {
    pairs(counts).map(|(denomination, count)| denomination.units() * count).sum()
}

fn pairs(counts: &Counts) -> impl DoubleEndedIterator<Item = (Denomination, u32)> {
    Denomination::ALL.into_iter().zip(*counts).filter(|(_, count)| *count > 0)
}

fn shown(already: &[Denomination], counts: &Counts, tagged: bool) -> Vec<Shown> {
    let added = pairs(counts).flat_map(|(denomination, count)| std::iter::repeat_n(denomination, stamps_of(count)));
    already.iter().copied().chain(added).map(|denomination| Shown::Stamp { denomination, tagged }).collect()
}

fn meets_without_surplus(demand: &Demand, shown: &[Shown]) -> bool {
    let without = |position: usize| [&shown[..position], &shown[position + 1..]].concat();
    shown.len() <= MAX_STAMPS
        && demand.is_met_by(shown)
        && (0..shown.len()).all(|position| !demand.is_met_by(&without(position)))
}

/// Never more than fit on a letter.
fn stamps_of(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX).min(MAX_STAMPS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use xmtp_proto::derive::Issue;
    use xmtp_proto::requirement::Requirement;

    use super::*;

    fn holding(denomination: u32, left: u32) -> Holding {
        of_issue(denomination, left, 7)
    }

    fn of_issue(denomination: u32, left: u32, issue: u32) -> Holding {
        let group = StampGroup { denomination: denomination.try_into().unwrap(), issue: Issue(issue) };
        Holding { group, left, tag_blocked: false }
    }

    fn demand(account: &str) -> Demand {
        Demand::new(&Requirement::default_for_invites(), Some(&account.parse().unwrap()), 1)
    }

    fn check(account: &str, holdings: &[Holding], books: Option<&[usize]>) {
        let chosen = choose(&demand(account), holdings);
        assert_eq!(chosen.as_ref().map(|choice| choice.books.as_slice()), books, "{account} from {holdings:?}");
    }

    fn check_offer(account: &str, units: u32, expected: Option<&str>) {
        let demand = Demand::new(&Requirement::default_for_invites(), Some(&account.parse().unwrap()), units);
        assert_eq!(demand.offer().map(|offer| offer.to_string()).as_deref(), expected, "{account} for {units} units");
    }

    #[test]
    fn least_value_wins_and_then_the_fewest_stamps() {
        check("all()", &[holding(5, 1), holding(1, 1)], Some(&[1]));
        check("stamp(5)", &[holding(50, 9), holding(5, 9)], Some(&[1]));
        check("stamp(5)", &[holding(2, 9), holding(1, 1), holding(10, 9)], Some(&[1, 0, 0]));
        check("stamp(4)", &[holding(1, 9), holding(2, 9)], Some(&[1, 1]));
        check("stamp(5)", &[holding(2, 9)], Some(&[0, 0, 0]));
        check("stamp(5)", &[holding(1, 9)], None);
        check("stamp(5)", &[holding(2, 2)], None);
        check("any(stamp(50), all(stamp(2), connection))", &[holding(2, 9), holding(50, 1)], Some(&[1]));
        check("member", &[holding(500, 9)], None);
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
            assert_eq!(
                choose(&demand(account), &[holding(1, 9)]).map(|choice| choice.tagged),
                Some(tagged),
                "{account}"
            );
        }
    }

    #[test]
    fn blocked_tag_is_not_shown() {
        let blocked = Holding { tag_blocked: true, ..holding(1, 9) };
        check("stamp(2, tagged)", &[blocked, holding(2, 1)], Some(&[1]));
        check("stamp(2, tagged)", &[blocked], None);
        check("stamp(2)", &[blocked], Some(&[0, 0]));
    }

    #[test]
    fn letter_with_stamps_gets_only_what_is_missing() {
        let units = |units: u32| Denomination::try_from(units).unwrap();
        for (account, already, books) in [
            ("stamp(3)", vec![1], Some(vec![1])),
            ("stamp(6)", vec![1], Some(vec![0])),
            ("stamp(1)", vec![1], Some(vec![])),
            // Adding five would make the one surplus, and twos do not come to four without it.
            ("stamp(5)", vec![1], Some(vec![1, 1])),
            ("stamp(5)", vec![1, 1, 1], Some(vec![1])),
            ("stamp(10)", vec![2, 2, 1, 1], None),
        ] {
            let already: Vec<_> = already.into_iter().map(units).collect();
            let chosen = choose_more(&demand(account), &already, &[holding(5, 9), holding(2, 9)]);
            assert_eq!(chosen.map(|choice| choice.books), books, "{account} for {already:?}");
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
        check_offer("connection", 1, None);
    }

    fn arb_requirement() -> impl Strategy<Value = Requirement> {
        let leaf = prop_oneof![
            4 => (1_u32..40, any::<bool>()).prop_map(|(at_least, tagged)| Requirement::Stamp { at_least, tagged }),
            1 => Just(Requirement::Connection),
        ];
        leaf.prop_recursive(3, 12, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 1..4).prop_map(Requirement::AnyOf),
                prop::collection::vec(inner, 0..4).prop_map(Requirement::AllOf),
            ]
        })
    }

    fn arb_holdings() -> impl Strategy<Value = Vec<Holding>> {
        let book =
            (0..6_usize, 1_u32..4, 5_u32..8, any::<bool>()).prop_map(|(denomination, left, issue, tag_blocked)| {
                Holding { tag_blocked, ..of_issue(Denomination::ALL[denomination].units(), left, issue) }
            });
        prop::collection::vec(book, 0..4)
    }

    /// The value of the best of all subsets of at most four single stamps, each tagged or not on its own.
    fn best_by_force(demand: &Demand, holdings: &[Holding]) -> Option<u32> {
        fn walk(demand: &Demand, stamps: &[(Denomination, bool)], taken: &mut Vec<Shown>, best: &mut Option<u32>) {
            let worth = taken
                .iter()
                .map(|it| if let Shown::Stamp { denomination, .. } = it { denomination.units() } else { 0 });
            let worth: u32 = worth.sum();
            if demand.is_met_by(taken) && best.is_none_or(|best| worth < best) {
                *best = Some(worth);
            }
            if taken.len() == MAX_STAMPS {
                return;
            }
            for (position, (denomination, blocked)) in stamps.iter().enumerate() {
                for tagged in [false, true] {
                    if tagged && *blocked {
                        continue;
                    }
                    taken.push(Shown::Stamp { denomination: *denomination, tagged });
                    walk(demand, &stamps[position + 1..], taken, best);
                    taken.pop();
                }
            }
        }
        let stamps: Vec<_> = holdings
            .iter()
            .flat_map(|it| {
                std::iter::repeat_n((it.group.denomination, it.tag_blocked), usize::try_from(it.left).unwrap())
            })
            .collect();
        let mut best = None;
        walk(demand, &stamps, &mut Vec::new(), &mut best);
        best
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn choice_meets_the_demand_at_the_least_value_without_surplus(
            network in arb_requirement(), account in arb_requirement(), holdings in arb_holdings(), units in 1_u32..3,
        ) {
            let demand = Demand::new(&network, Some(&account), units);
            // A block may force a mixture of tagged and untagged stamps, which is never chosen: without blocks only.
            let holdings: Vec<_> = holdings.into_iter().map(|it| Holding { tag_blocked: false, ..it }).collect();
            let chosen = choose(&demand, &holdings);
            prop_assert_eq!(chosen.as_ref().map(|it| it.units), best_by_force(&demand, &holdings));
            if let Some(Choice { books, tagged, .. }) = chosen {
                let shown: Vec<_> = books
                    .iter()
                    .map(|book| Shown::Stamp { denomination: holdings[*book].group.denomination, tagged })
                    .collect();
                prop_assert!(demand.is_met_by(&shown));
                for surplus in 0..shown.len() {
                    let mut fewer = shown.clone();
                    fewer.remove(surplus);
                    prop_assert!(!demand.is_met_by(&fewer));
                }
                for (book, holding) in holdings.iter().enumerate() {
                    let used = books.iter().filter(|it| **it == book).count();
                    prop_assert!(used <= usize::try_from(holding.left).unwrap());
                }
            }
        }

        #[test]
        fn blocked_books_never_show_a_tag(account in arb_requirement(), holdings in arb_holdings()) {
            let demand = Demand::new(&Requirement::nothing(), Some(&account), 1);
            if let Some(Choice { books, tagged: true, .. }) = choose(&demand, &holdings) {
                prop_assert!(books.iter().all(|book| !holdings[*book].tag_blocked));
            }
        }
    }
}

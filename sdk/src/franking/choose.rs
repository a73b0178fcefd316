//! The cheapest sufficient passes. What costs nothing but an index is tried before what costs money; of stamps, there are
//! 715 ways to put at most four of nine denominations together, so all of them are tried.

use std::cell::Cell;
use std::collections::HashMap;

use xmtp_proto::derive::{ClaimId, Denomination};
use xmtp_proto::field::{FieldElement, Tag};
use xmtp_proto::requirement::{Requirement, Shown};
use xmtp_proto::submission::{MAX_PASSES, MAX_STAMPS};

use super::{Demand, Offer};
use crate::transport::StampGroup;

/// The most claims, and the most tiers, of which combinations are tried.
const MAX_KINDS: usize = 16;
/// How often a requirement is looked at: one that is made to keep clients busy keeps them for a fraction of a second.
const MAX_LOOKS: u32 = 50_000;

/// What a sender has that passes for a letter to one recipient can be made of. What its policy blocks or revoked is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holding {
    /// A connection that the recipient attested, with quota left.
    Connection,
    /// A membership, with free envelopes left today.
    Member,
    /// A claim, with envelopes left today.
    Claim {
        /// Which.
        id: ClaimId,
        /// The pseudonym that it shows to the recipient.
        tag: Tag,
    },
    /// A stake, with envelopes left today.
    Stake {
        /// Its tier.
        tier: u32,
    },
    /// A book with stamps left.
    Book {
        /// Denomination and issue.
        group: StampGroup,
        /// Unused stamps.
        left: u32,
        /// Whether the recipient blocked the tag that this book shows to it: its tagged stamps count for nothing.
        tag_blocked: bool,
    },
}

/// What passes cost. Compared from the top: money is dearer than any number of stakes, a stake than any number of claims,
/// and so on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cost {
    /// What the stamps are worth.
    pub units: u32,
    /// Stakes shown, each of which could be slashed.
    pub stakes: usize,
    /// Claims shown, each of which says something about the sender.
    pub claims: usize,
    /// Memberships shown.
    pub members: usize,
    /// Connections shown.
    pub connections: usize,
    /// How many of the stamps show a pseudonym.
    pub tagged: usize,
    /// How many stamps.
    pub stamps: usize,
}

/// A pass to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Of what, by its position among the holdings.
    pub holding: usize,
    /// What it shows.
    pub shows: Shown,
}

/// Which passes to attach.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// The cheapest kind first, stamps last and ascending. At most [`MAX_PASSES`], [`MAX_STAMPS`] of them stamps.
    pub passes: Vec<Chosen>,
    /// What they cost.
    pub cost: Cost,
}

/// Chooses the passes of least [`Cost`] that meet the demand. Books of an older issue are used up first. None if the holdings
/// do not suffice.
///
/// Since the cost is the least, none of the passes is surplus.
#[must_use]
pub fn choose(demand: &Demand, holdings: &[Holding]) -> Option<Choice> {
    choose_more(demand, &[], holdings)
}

/// As [`choose`], for a letter that passes which show this belong to already: what to add to them.
#[must_use]
pub fn choose_more(demand: &Demand, already: &[Shown], holdings: &[Holding]) -> Option<Choice> {
    let room = MAX_PASSES.checked_sub(already.len())?;
    let stamps_before = already.iter().filter(|it| matches!(it, Shown::Stamp { .. })).count();
    let room_for_stamps = MAX_STAMPS.checked_sub(stamps_before)?.min(room);
    let search = Search::new(demand, holdings);
    let supply = Denomination::ALL.map(|denomination| Supply::of(denomination, holdings));
    let mut best: Option<(Cost, Others, Sheet)> = None;
    let mut known: HashMap<_, Option<Others>> = HashMap::new();
    for sheet in search.sheets(&supply, room_for_stamps) {
        if best.as_ref().is_some_and(|(cost, ..)| cost.units < sheet.units()) {
            break;
        }
        // Requirements add stamps up, so of those that come to the same one is as good as the other.
        let others = known.entry((sheet.units(), sheet.tagged_units(), room - sheet.0.len())).or_insert_with(|| {
            let mut shown = [already, &sheet.shown()].concat();
            search.least(0, &mut shown, room - sheet.0.len())
        });
        let Some(others) = others.clone() else { continue };
        let cost = sheet.cost(&others);
        if best.as_ref().is_none_or(|(known, ..)| cost < *known) {
            best = Some((cost, others, sheet));
        }
    }
    let (cost, Others { picks, .. }, sheet) = best?;
    Some(Choice { passes: [picks, sheet.out_of(holdings)].concat(), cost })
}

/// The cheapest with no regard to who has it: stamps, which anybody can buy, if they do alone; of those of equal value
/// untagged ones, and the fewest kinds.
pub(super) fn cheapest(demand: &Demand) -> Option<Offer> {
    [&[][..], &everything(demand)].into_iter().find_map(|holdings| cheapest_of(demand, holdings, MAX_STAMPS))
}

/// Each kind of pass that would do alone, the cheapest first; if there is none, the cheapest mixture.
pub(super) fn alternatives(demand: &Demand) -> Vec<Offer> {
    let mut all: Vec<(Cost, Offer)> = Vec::new();
    for holding in everything(demand) {
        if let Some(offer) = cheapest_of(demand, &[holding], 0)
            && let Some(choice) = choose(demand, &[holding])
            && !all.iter().any(|(_, known)| *known == offer)
        {
            all.push((choice.cost, offer));
        }
    }
    all.sort_by_key(|(cost, _)| *cost);
    let stamps = cheapest_of(demand, &[], MAX_STAMPS);
    let alone: Vec<Offer> = all.into_iter().map(|(_, offer)| offer).chain(stamps).collect();
    if alone.is_empty() { cheapest(demand).into_iter().collect() } else { alone }
}

/// What somebody would have who had all that the demand speaks of, but stamps.
fn everything(demand: &Demand) -> Vec<Holding> {
    demand.requirements.iter().flat_map(Requirement::leaves).filter_map(anybodys).collect()
}

fn cheapest_of(demand: &Demand, holdings: &[Holding], most_stamps: usize) -> Option<Offer> {
    let search = Search::new(demand, holdings);
    let unlimited = Denomination::ALL.map(|denomination| Supply { denomination, all: u32::MAX, taggable: u32::MAX });
    let mut best: Option<(OfferRank, Others, Sheet)> = None;
    for sheet in search.sheets(&unlimited, most_stamps) {
        if best.as_ref().is_some_and(|(rank, ..)| rank.0.units < sheet.units()) {
            break;
        }
        let room = MAX_PASSES - sheet.0.len();
        let Some(others) = search.least(0, &mut sheet.shown(), room) else { continue };
        let cost = sheet.cost(&others);
        let rank = (Cost { stamps: 0, ..cost }, sheet.kinds(), cost.stamps);
        if best.as_ref().is_none_or(|(known, ..)| rank < *known) {
            best = Some((rank, others, sheet));
        }
    }
    let (_, others, sheet) = best?;
    let mut stamps: Vec<(Denomination, u32)> = Vec::new();
    for (denomination, _) in sheet.0.iter().rev() {
        match stamps.last_mut() {
            Some((known, count)) if known == denomination => *count += 1,
            _ => stamps.push((*denomination, 1)),
        }
    }
    let with = others.picks.iter().filter_map(|chosen| requirement_of(&chosen.shows)).collect();
    Some(Offer { with, stamps, tagged: sheet.tagged_units() > 0 })
}

/// What is offered is the least by cost, then by kinds of stamps, then by their number.
type OfferRank = (Cost, usize, usize);

/// What somebody would have who has what a leaf asks for.
fn anybodys(leaf: &Requirement) -> Option<Holding> {
    // One sender has one pseudonym; a tier and a claim that nobody names stand for any.
    let tag = || FieldElement::from(0_u64).into();
    match leaf {
        Requirement::Connection => Some(Holding::Connection),
        Requirement::Member => Some(Holding::Member),
        Requirement::Claim(id) => Some(Holding::Claim { id: id.unwrap_or(ANY_CLAIM), tag: tag() }),
        Requirement::Stake(tier) => Some(Holding::Stake { tier: tier.unwrap_or(ANY_TIER) }),
        Requirement::AnyOf(_) | Requirement::AllOf(_) | Requirement::Stamp { .. } => None,
    }
}

const ANY_CLAIM: ClaimId = ClaimId(alloy::primitives::B256::ZERO);
const ANY_TIER: u32 = 0;

fn requirement_of(shown: &Shown) -> Option<Requirement> {
    match *shown {
        Shown::Connection => Some(Requirement::Connection),
        Shown::Member => Some(Requirement::Member),
        Shown::Claim { id, .. } => Some(Requirement::Claim((id != ANY_CLAIM).then_some(id))),
        Shown::Stake { tier } => Some(Requirement::Stake((tier != ANY_TIER).then_some(tier))),
        Shown::Stamp { .. } => None,
    }
}

/// All kinds of passes but stamps, the dearest first: stakes, claims, membership, connection.
const CLASSES: usize = 4;

/// Passes that are no stamps.
#[derive(Clone, Debug, Default)]
struct Others {
    /// How many of each class.
    counts: [usize; CLASSES],
    /// The cheapest first.
    picks: Vec<Chosen>,
}

/// What of the holdings the demand speaks of.
struct Search<'a> {
    demand: &'a Demand,
    classes: [Vec<Chosen>; CLASSES],
    looks: Cell<u32>,
    /// Whether it asks for stamps, and for tagged ones.
    stamps: bool,
    tagged: bool,
}

impl<'a> Search<'a> {
    fn new(demand: &'a Demand, holdings: &[Holding]) -> Self {
        let leaves: Vec<_> = demand.requirements.iter().flat_map(Requirement::leaves).collect();
        let asks = |leaf: Requirement| leaves.contains(&&leaf);
        let mut classes: [Vec<Chosen>; CLASSES] = Default::default();
        // What is asked for by name comes first; of what is not, one is as good as the other.
        for named in [true, false] {
            for (position, holding) in holdings.iter().enumerate() {
                let (class, shows, is_named, is_meant) = match *holding {
                    Holding::Stake { tier } => {
                        (0, Shown::Stake { tier }, asks(Requirement::Stake(Some(tier))), asks(Requirement::Stake(None)))
                    }
                    Holding::Claim { id, tag } => (
                        1,
                        Shown::Claim { id, tag },
                        asks(Requirement::Claim(Some(id))),
                        asks(Requirement::Claim(None)),
                    ),
                    Holding::Member => (2, Shown::Member, asks(Requirement::Member), false),
                    Holding::Connection => (3, Shown::Connection, asks(Requirement::Connection), false),
                    Holding::Book { .. } => continue,
                };
                let same_kind = |known: &Chosen| match (known.shows, shows) {
                    (Shown::Stake { .. }, Shown::Stake { .. }) if !named => true,
                    (Shown::Claim { tag: known, .. }, Shown::Claim { tag, .. }) if !named => known == tag,
                    (known, shows) => known == shows,
                };
                let class = &mut classes[class];
                if is_named == named && (named || is_meant) && class.len() < MAX_KINDS && !class.iter().any(same_kind) {
                    class.push(Chosen { holding: position, shows });
                }
            }
        }
        let stamps = leaves.iter().any(|leaf| matches!(leaf, Requirement::Stamp { .. }));
        let tagged = leaves.iter().any(|leaf| matches!(leaf, Requirement::Stamp { tagged: true, .. }));
        Self { demand, classes, looks: Cell::new(MAX_LOOKS), stamps, tagged }
    }

    /// The fewest of the dearest class that do beside what is shown, then of the next one. More passes never meet less, so
    /// what does not do with all that could still come does not do.
    fn least(&self, class: usize, shown: &mut Vec<Shown>, room: usize) -> Option<Others> {
        self.looks.set(self.looks.get().checked_sub(1)?);
        let before = shown.len();
        shown.extend(self.classes[class..].iter().flatten().map(|chosen| chosen.shows));
        let is_met = self.demand.is_met_by(shown);
        shown.truncate(before);
        if !is_met {
            return None;
        }
        let Some(kinds) = self.classes.get(class) else { return Some(Others::default()) };
        (0..=room.min(kinds.len())).find_map(|count| {
            let mut best: Option<Others> = None;
            let subsets = (0..1_u32 << kinds.len()).filter(|it| usize::try_from(it.count_ones()) == Ok(count));
            for picked in subsets {
                let picks = kinds.iter().enumerate().filter(|(position, _)| (picked >> position) & 1 == 1);
                let picks: Vec<Chosen> = picks.map(|(_, chosen)| *chosen).collect();
                shown.extend(picks.iter().map(|chosen| chosen.shows));
                let rest = self.least(class + 1, shown, room - count);
                shown.truncate(before);
                if let Some(mut found) = rest {
                    found.counts[class] = count;
                    if best.as_ref().is_none_or(|best| found.counts < best.counts) {
                        found.picks.extend(picks);
                        best = Some(found);
                    }
                }
            }
            best
        })
    }

    /// Every way to take at most so many stamps, the cheapest first.
    fn sheets(&self, supply: &[Supply], most: usize) -> Vec<Sheet> {
        fn walk(kinds: &[(Supply, bool)], sheet: &mut Vec<(Denomination, bool)>, most: usize, all: &mut Vec<Sheet>) {
            all.push(Sheet(sheet.clone()));
            if sheet.len() == most {
                return;
            }
            for (position, (supply, tagged)) in kinds.iter().enumerate() {
                let used = |tagged_only: bool| {
                    let of_it = |it: &&(Denomination, bool)| it.0 == supply.denomination && (it.1 || !tagged_only);
                    u32::try_from(sheet.iter().filter(of_it).count()).unwrap_or(u32::MAX)
                };
                if used(false) < supply.all && !(*tagged && used(true) >= supply.taggable) {
                    sheet.push((supply.denomination, *tagged));
                    walk(&kinds[position..], sheet, most, all);
                    sheet.pop();
                }
            }
        }
        let tagged = if self.tagged { &[false, true][..] } else { &[false] };
        let kinds = supply.iter().flat_map(|supply| tagged.iter().map(|tagged| (*supply, *tagged)));
        let kinds: Vec<_> = kinds.filter(|(supply, _)| supply.all > 0).collect();
        let mut all = Vec::new();
        walk(&kinds, &mut Vec::new(), if self.stamps { most } else { 0 }, &mut all);
        all.sort_by_key(|sheet| (sheet.units(), sheet.tagged_units() > 0, sheet.0.len()));
        all
    }
}

/// The stamps of one denomination that could be used, and how many of them with a tag.
#[derive(Clone, Copy)]
struct Supply {
    denomination: Denomination,
    all: u32,
    taggable: u32,
}

impl Supply {
    fn of(denomination: Denomination, holdings: &[Holding]) -> Self {
        let mut supply = Self { denomination, all: 0, taggable: 0 };
        for holding in holdings {
            if let Holding::Book { group, left, tag_blocked } = holding
                && group.denomination == denomination
            {
                supply.all = supply.all.saturating_add(*left);
                supply.taggable = supply.taggable.saturating_add(if *tag_blocked { 0 } else { *left });
            }
        }
        supply
    }
}

/// Stamps: denomination, and whether tagged. Ascending.
struct Sheet(Vec<(Denomination, bool)>);

impl Sheet {
    fn units(&self) -> u32 {
        self.0.iter().map(|(denomination, _)| denomination.units()).sum()
    }

    fn tagged_units(&self) -> u32 {
        self.0.iter().filter(|(_, tagged)| *tagged).map(|(denomination, _)| denomination.units()).sum()
    }

    fn shown(&self) -> Vec<Shown> {
        self.0.iter().map(|&(denomination, tagged)| Shown::Stamp { denomination, tagged }).collect()
    }

    fn kinds(&self) -> usize {
        self.0.chunk_by(|one, other| one.0 == other.0).count()
    }

    fn cost(&self, others: &Others) -> Cost {
        let [stakes, claims, members, connections] = others.counts;
        let tagged = self.0.iter().filter(|(_, tagged)| *tagged).count();
        Cost { units: self.units(), stakes, claims, members, connections, tagged, stamps: self.0.len() }
    }

    /// Out of which books: those of the oldest issue first, but that a blocked one gives no tagged stamp.
    fn out_of(&self, holdings: &[Holding]) -> Vec<Chosen> {
        let mut books: Vec<_> = holdings
            .iter()
            .enumerate()
            .filter_map(|(position, holding)| match holding {
                Holding::Book { group, left, tag_blocked } => Some((position, *group, *left, *tag_blocked)),
                _ => None,
            })
            .collect();
        books.sort_by_key(|(_, group, ..)| group.issue);
        let mut chosen = Vec::with_capacity(self.0.len());
        // Tagged ones first: they are the choosier.
        for of in [true, false] {
            for (place, &(denomination, tagged)) in self.0.iter().enumerate().filter(|(_, (_, tagged))| *tagged == of) {
                let fits = |(_, group, left, blocked): &&mut (usize, StampGroup, u32, bool)| {
                    group.denomination == denomination && *left > 0 && !(tagged && *blocked)
                };
                if let Some((holding, _, left, _)) = books.iter_mut().find(fits) {
                    *left -= 1;
                    chosen.push((place, Chosen { holding: *holding, shows: Shown::Stamp { denomination, tagged } }));
                }
            }
        }
        chosen.sort_by_key(|(place, _)| *place);
        chosen.into_iter().map(|(_, chosen)| chosen).collect()
    }
}

#[cfg(test)]
mod tests;

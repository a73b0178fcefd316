//! Why a letter shows what it shows: `xmtp send --explain`.

use std::fmt;

use serde::Serialize;
use xmtp_sdk::client::WhatItTakes;
use xmtp_sdk::franking::Holding;

use super::shown::{self, Offered};

/// What is asked, what is at hand, and what follows; of a letter of one unit.
#[derive(Serialize)]
pub(super) struct Reasoning {
    /// By the network, of everybody.
    network: String,
    /// By the account; null if it asks for nothing more.
    policy: Option<String>,
    policy_version: Option<u64>,
    /// What would do alone, whoever has it, the cheapest first.
    would_do: Vec<Alternative>,
    at_hand: Vec<String>,
    /// The cheapest of what is at hand that suffices; null if nothing does.
    chosen: Option<Vec<String>>,
    /// What the stamps among that are worth.
    units: Option<u32>,
    /// What may be spent without asking.
    limit_units: u32,
}

#[derive(Serialize)]
struct Alternative {
    #[serde(flatten)]
    offer: Offered,
    #[serde(skip)]
    text: String,
    /// Whether it was chosen, at hand and not needed, or is not at hand.
    verdict: &'static str,
}

impl From<&WhatItTakes> for Reasoning {
    fn from(it: &WhatItTakes) -> Self {
        let WhatItTakes { recipient, demand: _, offer: _, alternatives, holdings, at_hand, limit } = it;
        let chosen = at_hand.as_ref().map(|choice| shown::passes(choice.passes.iter().map(|it| it.shows)));
        let mut decided = false;
        let would_do = alternatives.iter().map(|priced| {
            let (offer, price) = priced;
            let kinds: Vec<String> = offer.with.iter().map(ToString::to_string).collect();
            let is_chosen = !decided
                && at_hand.as_ref().is_some_and(|choice| {
                    let others = choice.passes.len() - choice.cost.stamps;
                    (others > 0) != kinds.is_empty()
                        && (choice.cost.stamps > 0) != offer.stamps.is_empty()
                        && chosen
                            .iter()
                            .flatten()
                            .any(|pass| kinds.is_empty() || kinds.iter().any(|kind| fits(kind, pass)))
                });
            decided |= is_chosen;
            let verdict = match (is_chosen, decided) {
                (true, _) => "chosen: the cheapest that is at hand",
                (false, true) => "not needed: dearer than what was chosen",
                (false, false) => "not at hand",
            };
            let text = match (offer.with.is_empty(), offer.stamps.is_empty()) {
                (true, true) => "nothing".to_owned(),
                (_, true) => offer.to_string(),
                (true, false) => format!("stamps: {offer}, for {price} (bond included)"),
                (false, false) => format!("{offer}, for {price} (bond included)"),
            };
            Alternative { offer: Offered::from(priced), text, verdict }
        });
        Self {
            network: recipient.network.to_string(),
            policy: recipient.policy.as_ref().map(|policy| policy.requirement.to_string()),
            policy_version: recipient.policy.as_ref().map(|policy| policy.version),
            would_do: would_do.collect(),
            at_hand: holdings.iter().map(held).collect(),
            units: at_hand.as_ref().map(|choice| choice.cost.units),
            chosen,
            limit_units: *limit,
        }
    }
}

/// Whether a pass is of a kind that a requirement names.
fn fits(kind: &str, pass: &str) -> bool {
    kind == pass || kind.strip_suffix("(any)").is_some_and(|kind| pass.starts_with(kind))
}

fn held(holding: &Holding) -> String {
    match holding {
        Holding::Connection => "connection".to_owned(),
        Holding::Member => "member".to_owned(),
        Holding::Claim { id, .. } => format!("claim({id})"),
        Holding::Stake { tier } => format!("stake({tier})"),
        Holding::Book { group, left, tag_blocked } => {
            let blocked = if *tag_blocked { ", blocked when tagged" } else { "" };
            format!("{left} of denomination {}{blocked}", group.denomination)
        }
    }
}

impl fmt::Display for Reasoning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { network, policy, policy_version, would_do, at_hand, chosen, units, limit_units } = self;
        writeln!(f, "  the network asks  {network}")?;
        match (policy, policy_version) {
            (Some(policy), Some(version)) => writeln!(f, "  its owner asks    {policy} (version {version})")?,
            _ => writeln!(f, "  its owner asks    nothing more")?,
        }
        let at_hand = if at_hand.is_empty() { "nothing".to_owned() } else { at_hand.join("; ") };
        writeln!(f, "  at hand           {at_hand}")?;
        for Alternative { text, verdict, .. } in would_do {
            writeln!(f, "  would do          {text} ({verdict})")?;
        }
        match (chosen.as_deref(), units) {
            (Some([]), _) => writeln!(f, "  chosen            nothing, as nothing is asked"),
            (Some(chosen), Some(0)) => writeln!(f, "  chosen            {}: it costs no stamp", chosen.join(", ")),
            (Some(chosen), units) => {
                let worth = shown::units(units.unwrap_or_default());
                let limit = shown::units(*limit_units);
                writeln!(
                    f,
                    "  chosen            {}: {worth}, and up to {limit} may be spent unasked",
                    chosen.join(", ")
                )
            }
            (None, _) => writeln!(f, "  chosen            nothing: what is at hand does not suffice"),
        }
    }
}

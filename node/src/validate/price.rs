//! Whether the passes, if they are what they say, are what is asked: judged before any of them is looked at closely, so that
//! an unpaid letter costs the node nothing, and one that pays too little cancels nothing.

use xmtp_proto::field::Tag;
use xmtp_proto::malformed::Malformed;
use xmtp_proto::pass::Pass;
use xmtp_proto::policy::Policy;
use xmtp_proto::refusal::{AskedBy, Refusal};
use xmtp_proto::requirement::{Requirement, Shown};
use xmtp_proto::time::Timestamp;

/// By what passes are judged.
pub(super) struct Terms<'a> {
    /// What is asked, and by whom.
    pub(super) asked: &'a [Asked],
    /// Of the account whose topic it is, if it has one and it matters.
    pub(super) policy: Option<&'a Policy>,
    pub(super) now: Timestamp,
}

/// What a pass is worth before it is looked at closely.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Counts,
    /// The recipient blocked its tag, or revoked it.
    Blocked,
    /// It is over.
    Over,
}

/// What is asked, and by whom. Where the price has just moved, whoever paid the one or the other has paid what was asked.
pub(super) struct Asked {
    /// Less is refused.
    pub(super) least: Requirement,
    /// More is surplus.
    pub(super) most: Requirement,
    pub(super) by: AskedBy,
}

impl Asked {
    /// A price that does not move.
    pub(super) fn fixed(requirement: Requirement, by: AskedBy) -> Self {
        Self { least: requirement.clone(), most: requirement, by }
    }
}

/// Refuses passes of a kind that is not offered yet, passes that do not meet what is asked, and surplus ones. The pass at
/// `beside`, which somebody else asks for, is not looked at.
pub(super) fn require(terms: &Terms<'_>, passes: &[Pass], beside: Option<usize>) -> Result<(), Refusal> {
    let mut all = Vec::with_capacity(passes.len());
    for (position, pass) in passes.iter().enumerate().filter(|(position, _)| Some(*position) != beside) {
        all.push((position, shown(pass)?, terms.standing(pass)));
    }
    let counting = |without: Option<usize>| -> Vec<Shown> {
        let counts = all.iter().filter(|(position, _, it)| *it == Standing::Counts && Some(*position) != without);
        counts.filter_map(|(_, shown, _)| *shown).collect()
    };

    let unmet = terms.asked.iter().find(|it| !it.least.is_met_by(&counting(None)));
    if let Some(Asked { least: unmet, by, .. }) = unmet {
        let or_blocked = all.iter().filter(|(.., it)| *it != Standing::Over);
        if unmet.is_met_by(&or_blocked.filter_map(|(_, shown, _)| *shown).collect::<Vec<_>>()) {
            return Err(Refusal::TagBlocked);
        }
        return Err(Refusal::RequirementUnmet { unmet: unmet.clone(), asked_by: *by });
    }
    for (position, ..) in &all {
        let without = counting(Some(*position));
        if terms.asked.iter().all(|it| it.most.is_met_by(&without)) {
            return Err(Malformed::Surplus { position: *position }.into());
        }
    }
    Ok(())
}

impl Terms<'_> {
    fn standing(&self, pass: &Pass) -> Standing {
        let is_blocked = self.policy.is_some_and(|policy| match pass {
            Pass::Connection(connection) => policy.revoked_attestations.contains(&connection.attested().hash()),
            pass => tag(pass).is_some_and(|tag| policy.blocked_tags.contains(&tag)),
        });
        match pass {
            _ if is_blocked => Standing::Blocked,
            Pass::Connection(connection) if connection.expires_at <= self.now => Standing::Over,
            _ => Standing::Counts,
        }
    }
}

/// What a pass would show to a requirement; nothing, if it is of a kind that requirements do not know.
fn shown(pass: &Pass) -> Result<Option<Shown>, Refusal> {
    Ok(match pass {
        Pass::Stamp(stamp) => Some(Shown::Stamp { denomination: stamp.denomination, tagged: stamp.nonce.is_none() }),
        Pass::Stake(stake) => Some(Shown::Stake { tier: stake.tier }),
        Pass::Claim(claim) => Some(Shown::Claim { id: claim.id, tag: claim.proof.tag }),
        Pass::Member(_) => Some(Shown::Member),
        Pass::Connection(_) => Some(Shown::Connection),
        Pass::Posting(_) | Pass::Owner(_) => None,
        Pass::Issuer(_) => return Err(Refusal::NotOffered { what: "an issuer pass".to_owned() }),
    })
}

/// The tag by which a recipient may know the sender again: none where the scope was a nonce. A connection has none: it is
/// revoked, not blocked.
const fn tag(pass: &Pass) -> Option<Tag> {
    match pass {
        Pass::Stamp(stamp) if stamp.nonce.is_none() => Some(stamp.proof.tag),
        Pass::Stake(stake) => Some(stake.proof.tag),
        Pass::Claim(claim) => Some(claim.proof.tag),
        Pass::Member(member) => Some(member.proof.tag),
        Pass::Stamp(_) | Pass::Connection(_) | Pass::Posting(_) | Pass::Owner(_) | Pass::Issuer(_) => None,
    }
}

#[cfg(test)]
mod tests;

//! Whether the passes, if they are what they say, are what is asked: judged before any of them is looked at closely, so that
//! an unpaid letter costs the node nothing, and one that pays too little cancels nothing.

use xmtp_proto::field::Tag;
use xmtp_proto::malformed::Malformed;
use xmtp_proto::pass::Pass;
use xmtp_proto::refusal::{AskedBy, Refusal};
use xmtp_proto::requirement::{Requirement, Shown};

/// Refuses passes of kinds that are not offered yet, passes that do not meet what is asked, and surplus ones.
pub(super) fn require(asked: &[(Requirement, AskedBy)], blocked: &[Tag], passes: &[Pass]) -> Result<(), Refusal> {
    let shown = passes.iter().map(shown).collect::<Result<Vec<_>, _>>()?;
    let counts = |position: usize| tag(&passes[position]).is_none_or(|tag| !blocked.contains(&tag));
    let counting: Vec<Shown> =
        (0..passes.len()).filter(|position| counts(*position)).filter_map(|position| shown[position]).collect();

    if let Some((unmet, asked_by)) = asked.iter().find(|(requirement, _)| !requirement.is_met_by(&counting)) {
        let all: Vec<Shown> = shown.iter().copied().flatten().collect();
        if unmet.is_met_by(&all) {
            return Err(Refusal::TagBlocked);
        }
        return Err(Refusal::RequirementUnmet { unmet: unmet.clone(), asked_by: *asked_by });
    }
    for position in 0..passes.len() {
        let without: Vec<Shown> = (0..passes.len())
            .filter(|other| *other != position && counts(*other))
            .filter_map(|other| shown[other])
            .collect();
        if asked.iter().all(|(requirement, _)| requirement.is_met_by(&without)) {
            return Err(Malformed::Surplus { position }.into());
        }
    }
    Ok(())
}

/// What a pass would show to a requirement; nothing, if it is of a kind that requirements do not know.
fn shown(pass: &Pass) -> Result<Option<Shown>, Refusal> {
    let not_offered = |what: &str| Err(Refusal::NotOffered { what: what.to_owned() });
    match pass {
        Pass::Stamp(stamp) => {
            Ok(Some(Shown::Stamp { denomination: stamp.denomination, tagged: stamp.nonce.is_none() }))
        }
        Pass::Stake(_) => not_offered("a stake pass"),
        Pass::Claim(_) => not_offered("a claim pass"),
        Pass::Member(_) => not_offered("a member pass"),
        Pass::Connection(_) => not_offered("a connection pass"),
        Pass::Posting(_) => not_offered("a posting pass"),
        Pass::Issuer(_) => not_offered("an issuer pass"),
        Pass::Owner(_) => Ok(None),
    }
}

/// The tag by which a recipient may know the sender again: none where the scope was a nonce.
const fn tag(pass: &Pass) -> Option<Tag> {
    match pass {
        Pass::Stamp(stamp) if stamp.nonce.is_none() => Some(stamp.proof.tag),
        _ => None,
    }
}

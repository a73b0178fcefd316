//! Requirements: boolean expressions over passes (docs/protocol.md, "Requirements and policies"; litepaper 10.3).
//!
//! As text, which is what people write and read: `any(connection, claim(0x…), stake(2), stamp(5, tagged))`.

use std::fmt;

use crate::derive::{ClaimId, Denomination};
use crate::field::Tag;
use crate::malformed::{Malformed, fixed, required};
use crate::wire;

mod text;

pub use text::{InvalidText, MAX_TEXT_BYTES, Names, check as check_text};

/// The deepest nesting.
pub const MAX_DEPTH: usize = 8;
/// The most nodes, leaves included.
pub const MAX_NODES: usize = 64;

/// What a sender must show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// Any of the parts; met by nothing if there is none.
    AnyOf(Vec<Self>),
    /// All of the parts, with claims of one tag; met by everything if there is none.
    AllOf(Vec<Self>),
    /// Stamps whose values add up.
    Stamp {
        /// Units.
        at_least: u32,
        /// Whether only stamps count whose tag was made for the topic.
        tagged: bool,
    },
    /// A stake of this tier, or of any.
    Stake(Option<u32>),
    /// This claim, or any.
    Claim(Option<ClaimId>),
    /// An account of an operator.
    Member,
    /// A connection attested by the recipient.
    Connection,
}

/// The expression breaks a limit. The fault of who wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRequirement {
    /// More than [`MAX_DEPTH`].
    #[error("nested deeper than {MAX_DEPTH}")]
    TooDeep,
    /// More than [`MAX_NODES`].
    #[error("more than {MAX_NODES} parts")]
    TooManyNodes,
    /// `stamp(0)` asks for nothing; what asks for nothing is `all()`.
    #[error("a stamp of at least 0 units asks for nothing: write all()")]
    ZeroStamp,
}

/// What a verified pass shows to a requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// A stamp.
    Stamp {
        /// Its value.
        denomination: Denomination,
        /// Whether its tag was made for the topic.
        tagged: bool,
    },
    /// A stake.
    Stake {
        /// Its tier.
        tier: u32,
    },
    /// A claim.
    Claim {
        /// Which.
        id: ClaimId,
        /// Of whom, towards this topic.
        tag: Tag,
    },
    /// A membership.
    Member,
    /// A connection.
    Connection,
}

impl Requirement {
    /// What asks for nothing.
    #[must_use]
    pub const fn nothing() -> Self {
        Self::AllOf(Vec::new())
    }

    /// What every network asks at invite topics unless its operators say otherwise.
    #[must_use]
    pub fn default_for_invites() -> Self {
        Self::AnyOf(vec![
            Self::Connection,
            Self::Claim(None),
            Self::Stake(None),
            Self::Stamp { at_least: 1, tagged: false },
        ])
    }

    /// What every network asks of an account that joins unless its operators say otherwise.
    #[must_use]
    pub fn default_for_joining() -> Self {
        Self::AnyOf(vec![Self::Claim(None), Self::Stake(None), Self::Stamp { at_least: 1, tagged: false }])
    }

    /// The same for an envelope of so many units: postage counts per unit, all else per envelope.
    #[must_use]
    pub fn for_units(&self, units: u32) -> Self {
        self.times(units.max(1))
    }

    /// The same with so many times the postage. What asks for no stamps stays as it is.
    #[must_use]
    pub fn times(&self, times: u32) -> Self {
        match self {
            Self::AnyOf(parts) => Self::AnyOf(parts.iter().map(|part| part.times(times)).collect()),
            Self::AllOf(parts) => Self::AllOf(parts.iter().map(|part| part.times(times)).collect()),
            Self::Stamp { at_least, tagged } => {
                Self::Stamp { at_least: at_least.saturating_mul(times), tagged: *tagged }
            }
            Self::Stake(_) | Self::Claim(_) | Self::Member | Self::Connection => self.clone(),
        }
    }

    /// Whether the passes meet it. More passes never meet less.
    #[must_use]
    pub fn is_met_by(&self, shown: &[Shown]) -> bool {
        match self {
            Self::AnyOf(parts) => parts.iter().any(|part| part.is_met_by(shown)),
            Self::AllOf(parts) => {
                let all = |shown: &[Shown]| parts.iter().all(|part| part.is_met_by(shown));
                let mut tags = shown.iter().filter_map(Shown::claim_tag).collect::<Vec<_>>();
                tags.sort_unstable();
                tags.dedup();
                match tags.as_slice() {
                    [] | [_] => all(shown),
                    // Claims of several senders do not add up to one sender.
                    tags => tags.iter().any(|tag| {
                        let one: Vec<_> =
                            shown.iter().filter(|it| it.claim_tag().is_none_or(|of| of == *tag)).copied().collect();
                        all(&one)
                    }),
                }
            }
            Self::Stamp { at_least, tagged } => {
                let units = |it: &Shown| match it {
                    Shown::Stamp { denomination, tagged: is_tagged } if *is_tagged || !tagged => denomination.units(),
                    _ => 0,
                };
                // At most eight stamps of 500 units.
                shown.iter().map(units).sum::<u32>() >= *at_least
            }
            Self::Stake(tier) => {
                shown.iter().any(|it| matches!(it, Shown::Stake { tier: of } if tier.is_none_or(|tier| tier == *of)))
            }
            Self::Claim(id) => {
                shown.iter().any(|it| matches!(it, Shown::Claim { id: of, .. } if id.is_none_or(|id| id == *of)))
            }
            Self::Member => shown.contains(&Shown::Member),
            Self::Connection => shown.contains(&Shown::Connection),
        }
    }

    /// The passes it speaks of, in the order in which it does.
    #[must_use]
    pub fn leaves(&self) -> Vec<&Self> {
        match self {
            Self::AnyOf(parts) | Self::AllOf(parts) => parts.iter().flat_map(Self::leaves).collect(),
            Self::Stamp { .. } | Self::Stake(_) | Self::Claim(_) | Self::Member | Self::Connection => vec![self],
        }
    }

    /// Checks the limits on depth, size and values.
    ///
    /// # Errors
    /// [`InvalidRequirement`] names the limit.
    pub fn validate(&self) -> Result<(), InvalidRequirement> {
        fn walk(it: &Requirement, depth: usize, nodes: &mut usize) -> Result<(), InvalidRequirement> {
            *nodes += 1;
            if depth > MAX_DEPTH {
                return Err(InvalidRequirement::TooDeep);
            }
            if *nodes > MAX_NODES {
                return Err(InvalidRequirement::TooManyNodes);
            }
            match it {
                Requirement::AnyOf(parts) | Requirement::AllOf(parts) => {
                    parts.iter().try_for_each(|part| walk(part, depth + 1, nodes))
                }
                Requirement::Stamp { at_least: 0, .. } => Err(InvalidRequirement::ZeroStamp),
                _ => Ok(()),
            }
        }
        walk(self, 1, &mut 0)
    }
}

impl Shown {
    const fn claim_tag(&self) -> Option<Tag> {
        match self {
            Self::Claim { tag, .. } => Some(*tag),
            _ => None,
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::write(self, &Names::default(), f)
    }
}

impl TryFrom<wire::Requirement> for Requirement {
    type Error = Malformed;

    fn try_from(wire: wire::Requirement) -> Result<Self, Malformed> {
        let it = convert(wire, 1)?;
        it.validate()?;
        Ok(it)
    }
}

/// Stops at the depth limit, so that no nesting of the wire's own limit is ever walked.
fn convert(wire: wire::Requirement, depth: usize) -> Result<Requirement, Malformed> {
    use wire::requirement::Requirement as Kind;
    if depth > MAX_DEPTH {
        return Err(InvalidRequirement::TooDeep.into());
    }
    let parts = |wire: wire::Requirements| -> Result<Vec<Requirement>, Malformed> {
        if wire.parts.len() > MAX_NODES {
            return Err(InvalidRequirement::TooManyNodes.into());
        }
        wire.parts.into_iter().map(|part| convert(part, depth + 1)).collect()
    };
    let wire::Requirement { requirement } = wire;
    Ok(match required("requirement", requirement)? {
        Kind::AnyOf(it) => Requirement::AnyOf(parts(it)?),
        Kind::AllOf(it) => Requirement::AllOf(parts(it)?),
        Kind::Stamp(wire::StampRequirement { at_least, tagged }) => Requirement::Stamp { at_least, tagged },
        Kind::Stake(wire::StakeRequirement { tier }) => Requirement::Stake(tier),
        Kind::Claim(wire::ClaimRequirement { id }) => {
            Requirement::Claim(id.map(|id| fixed::<32>("claim.id", &id).map(ClaimId::from)).transpose()?)
        }
        Kind::Member(wire::MemberRequirement {}) => Requirement::Member,
        Kind::Connection(wire::ConnectionRequirement {}) => Requirement::Connection,
    })
}

impl From<Requirement> for wire::Requirement {
    fn from(it: Requirement) -> Self {
        use wire::requirement::Requirement as Kind;
        let parts = |parts: Vec<Requirement>| wire::Requirements { parts: parts.into_iter().map(Into::into).collect() };
        let requirement = match it {
            Requirement::AnyOf(it) => Kind::AnyOf(parts(it)),
            Requirement::AllOf(it) => Kind::AllOf(parts(it)),
            Requirement::Stamp { at_least, tagged } => Kind::Stamp(wire::StampRequirement { at_least, tagged }),
            Requirement::Stake(tier) => Kind::Stake(wire::StakeRequirement { tier }),
            Requirement::Claim(id) => Kind::Claim(wire::ClaimRequirement { id: id.map(|id| id.as_bytes().to_vec()) }),
            Requirement::Member => Kind::Member(wire::MemberRequirement {}),
            Requirement::Connection => Kind::Connection(wire::ConnectionRequirement {}),
        };
        Self { requirement: Some(requirement) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::FieldElement;

    fn stamp(units: u32) -> Shown {
        Shown::Stamp { denomination: units.try_into().unwrap(), tagged: false }
    }

    fn tagged(units: u32) -> Shown {
        Shown::Stamp { denomination: units.try_into().unwrap(), tagged: true }
    }

    fn claim(id: u8, sender: u64) -> Shown {
        Shown::Claim { id: ClaimId::from([id; 32]), tag: FieldElement::from(sender).into() }
    }

    fn check(requirement: &str, shown: &[Shown], expected: bool) {
        let requirement: Requirement = requirement.parse().unwrap();
        assert_eq!(requirement.is_met_by(shown), expected, "{requirement} by {shown:?}");
    }

    #[test]
    fn parts_add_up_as_their_names_say() {
        let [one, two] = ["01", "02"].map(|byte| format!("claim(0x{})", byte.repeat(32)));
        check("all()", &[], true);
        check("any()", &[stamp(500)], false);
        check("stamp(5)", &[stamp(2), stamp(2)], false);
        check("stamp(5)", &[stamp(2), stamp(2), stamp(1)], true);
        check("stamp(5, tagged)", &[stamp(5)], false);
        check("stamp(5, tagged)", &[stamp(500), tagged(5)], true);
        check("stake(any)", &[Shown::Stake { tier: 7 }], true);
        check("stake(2)", &[Shown::Stake { tier: 7 }], false);
        check("claim(any)", &[claim(9, 1)], true);
        check(&one, &[claim(2, 1)], false);
        check("member", &[Shown::Member], true);
        check("connection", &[Shown::Member], false);
        check("any(connection, stamp(5))", &[Shown::Connection], true);
        check(&format!("all({one}, {two})"), &[claim(1, 1), claim(2, 1)], true);
    }

    #[test]
    fn claims_of_two_senders_are_not_one_sender() {
        let [one, two] = ["01", "02"].map(|byte| format!("claim(0x{})", byte.repeat(32)));
        check(&format!("all({one}, {two})"), &[claim(1, 1), claim(2, 2)], false);
        check(&format!("all({one}, {two})"), &[claim(1, 1), claim(2, 2), claim(2, 1)], true);
        check(&format!("all({one}, any({two}, stamp(1)))"), &[claim(1, 1), claim(2, 2)], false);
        check(&format!("all({one}, any({two}, stamp(1)))"), &[claim(1, 1), claim(2, 2), stamp(1)], true);
    }

    #[test]
    fn postage_is_multiplied_wherever_it_stands_and_nothing_else_is() {
        for (once, times, expected) in [
            ("stamp(1)", 4, "stamp(4)"),
            (
                "any(connection, all(stake(any), stamp(5, tagged)))",
                2,
                "any(connection, all(stake(any), stamp(10, tagged)))",
            ),
            ("all(member, claim(any))", 8, "all(member, claim(any))"),
            ("stamp(4000000000)", 2, "stamp(4294967295)"),
        ] {
            let requirement: Requirement = once.parse().unwrap();
            assert_eq!(requirement.times(times).to_string(), expected);
            assert_eq!(requirement.times(1), requirement);
        }
    }

    #[test]
    fn limits_are_refused_by_name() {
        let deep = (0..MAX_DEPTH).fold(Requirement::Member, |part, _| Requirement::AllOf(vec![part]));
        assert_eq!(deep.validate(), Err(InvalidRequirement::TooDeep));
        let wide = Requirement::AnyOf(vec![Requirement::Member; MAX_NODES]);
        assert_eq!(wide.validate(), Err(InvalidRequirement::TooManyNodes));
        assert_eq!(Requirement::Stamp { at_least: 0, tagged: false }.validate(), Err(InvalidRequirement::ZeroStamp));
        assert_eq!(Requirement::default_for_invites().validate(), Ok(()));
        assert_eq!(Requirement::default_for_joining().validate(), Ok(()));
    }
}

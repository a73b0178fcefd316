//! The readable form of requirements.
//!
//! ```text
//! requirement = "any(" list ")" | "all(" list ")" | "stamp(" units [", tagged"] ")"
//!             | "stake(" tier | name | "any" ")" | "claim(" id | name | "any" ")" | "member" | "connection"
//! ```
//!
//! Names are the network's ([`Names`]); what is signed holds ids and numbers only.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use alloy_primitives::hex;

use super::{InvalidRequirement, MAX_DEPTH, Requirement};
use crate::derive::ClaimId;

/// The longest text.
pub const MAX_TEXT_BYTES: usize = 16 * 1024;

/// The text is no requirement. Points at where the reader stopped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidText {
    /// Something else was expected.
    #[error("at character {at}: expected {expected}, found {found}")]
    Expected {
        /// Counted from 1.
        at: usize,
        /// What would be right.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// It has more than [`MAX_TEXT_BYTES`].
    #[error("longer than {MAX_TEXT_BYTES} bytes: {0}")]
    TooLong(usize),
    /// It reads well and breaks a limit.
    #[error(transparent)]
    Limit(#[from] InvalidRequirement),
}

/// What people call the claims and tiers of a network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Of claims.
    pub claims: BTreeMap<String, ClaimId>,
    /// Of tiers of stakes.
    pub tiers: BTreeMap<String, u32>,
}

impl FromStr for Requirement {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        Names::default().read(text)
    }
}

impl Names {
    /// Reads a requirement that may use these names.
    ///
    /// # Errors
    /// [`InvalidText`].
    pub fn read(&self, text: &str) -> Result<Requirement, InvalidText> {
        read(text, Some(self))
    }

    /// A requirement as text, with these names where there are some.
    pub fn write<'a>(&'a self, requirement: &'a Requirement) -> impl fmt::Display + 'a {
        fmt::from_fn(|f| write(requirement, self, f))
    }

    fn claim(&self, id: ClaimId) -> Option<&str> {
        self.claims.iter().find(|(_, of)| **of == id).map(|(name, _)| name.as_str())
    }

    fn tier(&self, tier: u32) -> Option<&str> {
        self.tiers.iter().find(|(_, of)| **of == tier).map(|(name, _)| name.as_str())
    }
}

/// Whether a text reads as a requirement, whatever the names in it stand for: for who has no network at hand.
///
/// # Errors
/// [`InvalidText`].
pub fn check(text: &str) -> Result<(), InvalidText> {
    read(text, None).map(drop)
}

fn read(text: &str, names: Option<&Names>) -> Result<Requirement, InvalidText> {
    let mut reader = Reader { text, at: 0, names };
    if text.len() > MAX_TEXT_BYTES {
        return Err(InvalidText::TooLong(text.len()));
    }
    let requirement = reader.requirement(1)?;
    reader.skip_space();
    if !reader.rest().is_empty() {
        return Err(reader.expected("the end"));
    }
    requirement.validate()?;
    Ok(requirement)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// None if any name will do.
    names: Option<&'a Names>,
}

impl<'a> Reader<'a> {
    fn requirement(&mut self, depth: usize) -> Result<Requirement, InvalidText> {
        if depth > MAX_DEPTH {
            return Err(InvalidRequirement::TooDeep.into());
        }
        let start = self.start();
        match self.word() {
            "any" => Ok(Requirement::AnyOf(self.list(depth)?)),
            "all" => Ok(Requirement::AllOf(self.list(depth)?)),
            "stamp" => self.stamp(),
            "stake" => {
                self.take("(")?;
                let tier = self.tier()?;
                self.take(")")?;
                Ok(Requirement::Stake(tier))
            }
            "claim" => self.claim(),
            "member" => Ok(Requirement::Member),
            "connection" => Ok(Requirement::Connection),
            _ => {
                self.at = start;
                Err(self.expected("any(…), all(…), stamp(…), stake(…), claim(…), member or connection"))
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Requirement>, InvalidText> {
        self.take("(")?;
        let mut parts = Vec::new();
        if self.try_take(")") {
            return Ok(parts);
        }
        loop {
            parts.push(self.requirement(depth + 1)?);
            if self.try_take(")") {
                return Ok(parts);
            }
            if !self.try_take(",") {
                return Err(self.expected("`,` or `)`"));
            }
        }
    }

    fn stamp(&mut self) -> Result<Requirement, InvalidText> {
        self.take("(")?;
        let start = self.start();
        let Ok(at_least) = self.word().parse() else {
            self.at = start;
            return Err(self.expected("a number of units"));
        };
        let tagged = self.try_take(",");
        if tagged {
            let start = self.start();
            if self.word() != "tagged" {
                self.at = start;
                return Err(self.expected("`tagged`"));
            }
        }
        self.take(")")?;
        Ok(Requirement::Stamp { at_least, tagged })
    }

    fn claim(&mut self) -> Result<Requirement, InvalidText> {
        self.take("(")?;
        let start = self.start();
        let id = match self.word() {
            "any" => None,
            word => {
                let mut id = [0; 32];
                let digits = word.strip_prefix("0x").unwrap_or_default();
                let read = hex::decode_to_slice(digits, &mut id).is_ok().then(|| ClaimId::from(id));
                let named = || match self.names {
                    Some(names) => names.claims.get(word).copied(),
                    None => is_name(word).then(|| ClaimId::from([0; 32])),
                };
                let Some(id) = read.or_else(named) else {
                    self.at = start;
                    let names = self.names.map_or_else(String::new, |names| known(names.claims.keys()));
                    return Err(self.expected(&format!("a claim's id (0x and 64 hexadecimal digits){names}, or `any`")));
                };
                Some(id)
            }
        };
        self.take(")")?;
        Ok(Requirement::Claim(id))
    }

    fn tier(&mut self) -> Result<Option<u32>, InvalidText> {
        let start = self.start();
        match self.word() {
            "any" => Ok(None),
            word => {
                let named = || match self.names {
                    Some(names) => names.tiers.get(word).copied(),
                    None => is_name(word).then_some(0),
                };
                if let Some(tier) = word.parse().ok().or_else(named) {
                    return Ok(Some(tier));
                }
                self.at = start;
                let names = self.names.map_or_else(String::new, |names| known(names.tiers.keys()));
                Err(self.expected(&format!("a tier's number{names}, or `any`")))
            }
        }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip_space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn start(&mut self) -> usize {
        self.skip_space();
        self.at
    }

    fn word(&mut self) -> &'a str {
        self.skip_space();
        let rest = self.rest();
        let end = rest.find(|it: char| !(it.is_ascii_alphanumeric() || it == '-')).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn try_take(&mut self, token: &str) -> bool {
        self.skip_space();
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn take(&mut self, token: &'static str) -> Result<(), InvalidText> {
        if self.try_take(token) { Ok(()) } else { Err(self.expected(if token == "(" { "`(`" } else { "`)`" })) }
    }

    fn expected(&self, expected: &str) -> InvalidText {
        let found = match self.rest().split_whitespace().next() {
            None => "the end".to_owned(),
            Some(word) => format!("`{}`", word.chars().take(24).collect::<String>()),
        };
        let at = self.text[..self.at].chars().count() + 1;
        InvalidText::Expected { at, expected: expected.to_owned(), found }
    }
}

/// A name begins with a letter, so that none is taken for an id or a number.
fn is_name(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_alphabetic())
}

/// The most names that an error lists.
const MAX_NAMES: usize = 8;

/// The names that would be right, as a part of a sentence.
fn known<'a>(names: impl ExactSizeIterator<Item = &'a String>) -> String {
    let more = if names.len() > MAX_NAMES { ", …" } else { "" };
    let names: Vec<_> = names.take(MAX_NAMES).map(String::as_str).collect();
    if names.is_empty() {
        String::new()
    } else {
        format!(", a name that the network gives ({}{more})", names.join(", "))
    }
}

pub(super) fn write(it: &Requirement, names: &Names, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let list = |f: &mut fmt::Formatter<'_>, name: &str, parts: &[Requirement]| {
        write!(f, "{name}(")?;
        for (position, part) in parts.iter().enumerate() {
            if position > 0 {
                f.write_str(", ")?;
            }
            write(part, names, f)?;
        }
        f.write_str(")")
    };
    match it {
        Requirement::AnyOf(parts) => list(f, "any", parts),
        Requirement::AllOf(parts) => list(f, "all", parts),
        Requirement::Stamp { at_least, tagged: false } => write!(f, "stamp({at_least})"),
        Requirement::Stamp { at_least, tagged: true } => write!(f, "stamp({at_least}, tagged)"),
        Requirement::Stake(None) => f.write_str("stake(any)"),
        Requirement::Stake(Some(tier)) => match names.tier(*tier) {
            Some(name) => write!(f, "stake({name})"),
            None => write!(f, "stake({tier})"),
        },
        Requirement::Claim(None) => f.write_str("claim(any)"),
        Requirement::Claim(Some(id)) => match names.claim(*id) {
            Some(name) => write!(f, "claim({name})"),
            None => write!(f, "claim({id})"),
        },
        Requirement::Member => f.write_str("member"),
        Requirement::Connection => f.write_str("connection"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_error(text: &str, message: &str) {
        assert_eq!(text.parse::<Requirement>().unwrap_err().to_string(), message, "{text}");
    }

    #[test]
    fn what_is_written_is_read() {
        for text in ["all()", "any()", "any(connection, all(member, stamp(5, tagged)), stake(2), claim(any))"] {
            assert_eq!(text.parse::<Requirement>().unwrap().to_string(), text);
        }
        assert_eq!(" any( stamp( 5 ) ) ".parse::<Requirement>().unwrap().to_string(), "any(stamp(5))");
    }

    #[test]
    fn names_stand_for_ids_and_numbers() {
        let names = Names {
            claims: BTreeMap::from([("cool-cats".to_owned(), ClaimId::from([0xca; 32]))]),
            tiers: BTreeMap::from([("silver".to_owned(), 2)]),
        };
        let text = "any(connection, claim(cool-cats), stake(silver), stamp(5))";
        let requirement = names.read(text).unwrap();
        let plain = text.replace("cool-cats", &format!("0x{}", "ca".repeat(32))).replace("silver", "2");
        assert_eq!(requirement.to_string(), plain, "what is signed has no names");
        assert_eq!(names.read(&plain).unwrap(), requirement);
        assert_eq!(names.write(&requirement).to_string(), text);
        for (text, message) in [
            (
                "any(claim(cool-dogs))",
                "at character 11: expected a claim's id (0x and 64 hexadecimal digits), a name that the network gives \
                 (cool-cats), or `any`, found `cool-dogs))`",
            ),
            (
                "stake(gold)",
                "at character 7: expected a tier's number, a name that the network gives (silver), or `any`, found `gold)`",
            ),
        ] {
            assert_eq!(names.read(text).unwrap_err().to_string(), message);
        }
        assert_eq!(check(text), Ok(()), "whatever they stand for");
        assert!(check("claim(0x12)").is_err() && check("stake(-)").is_err());
        check_error("stake(silver)", "at character 7: expected a tier's number, or `any`, found `silver)`");
    }

    #[test]
    fn errors_point_at_the_place() {
        const WORDS: &str = "any(…), all(…), stamp(…), stake(…), claim(…), member or connection";
        check_error("", &format!("at character 1: expected {WORDS}, found the end"));
        check_error("stamps(5)", &format!("at character 1: expected {WORDS}, found `stamps(5)`"));
        check_error("any(stamp(5)", "at character 13: expected `,` or `)`, found the end");
        check_error("any(stamp(five))", "at character 11: expected a number of units, found `five))`");
        check_error("stamp(5, taged)", "at character 10: expected `tagged`, found `taged)`");
        check_error("stamp(5))", "at character 9: expected the end, found `)`");
        check_error(
            "claim(0x12)",
            "at character 7: expected a claim's id (0x and 64 hexadecimal digits), or `any`, found `0x12)`",
        );
        check_error("stamp(0)", "a stamp of at least 0 units asks for nothing: write all()");
        check_error(&"all(".repeat(9), "nested deeper than 8");
    }
}

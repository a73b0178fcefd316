//! The readable form of requirements.
//!
//! ```text
//! requirement = "any(" list ")" | "all(" list ")" | "stamp(" units [", tagged"] ")"
//!             | "stake(" tier | "any" ")" | "claim(" id | "any" ")" | "member" | "connection"
//! ```

use std::fmt;
use std::str::FromStr;

use alloy_primitives::hex;

use super::{InvalidRequirement, MAX_DEPTH, Requirement};
use crate::derive::ClaimId;

/// The longest text.
const MAX_TEXT_BYTES: usize = 16 * 1024;

/// The text is no requirement. Points at where the reader stopped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidText {
    /// Something else was expected.
    #[error("at character {at}: expected {expected}, found {found}")]
    Expected {
        /// Counted from 1.
        at: usize,
        /// What would be right.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// It reads well and breaks a limit.
    #[error(transparent)]
    Limit(#[from] InvalidRequirement),
}

impl FromStr for Requirement {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        let mut reader = Reader { text, at: 0 };
        if text.len() > MAX_TEXT_BYTES {
            return Err(InvalidRequirement::TooManyNodes.into());
        }
        let requirement = reader.requirement(1)?;
        reader.skip_space();
        if !reader.rest().is_empty() {
            return Err(reader.expected("the end"));
        }
        requirement.validate()?;
        Ok(requirement)
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
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
                let tier = self.number_or_any("a tier's number, or `any`")?;
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
                if hex::decode_to_slice(digits, &mut id).is_err() {
                    self.at = start;
                    return Err(self.expected("a claim's id (0x and 64 hexadecimal digits), or `any`"));
                }
                Some(ClaimId::from(id))
            }
        };
        self.take(")")?;
        Ok(Requirement::Claim(id))
    }

    fn number_or_any(&mut self, expected: &'static str) -> Result<Option<u32>, InvalidText> {
        let start = self.start();
        match self.word() {
            "any" => Ok(None),
            word => match word.parse() {
                Ok(number) => Ok(Some(number)),
                Err(_) => {
                    self.at = start;
                    Err(self.expected(expected))
                }
            },
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
        let end = rest.find(|it: char| !it.is_ascii_alphanumeric()).unwrap_or(rest.len());
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

    fn expected(&self, expected: &'static str) -> InvalidText {
        let found = match self.rest().split_whitespace().next() {
            None => "the end".to_owned(),
            Some(word) => format!("`{}`", word.chars().take(24).collect::<String>()),
        };
        InvalidText::Expected { at: self.text[..self.at].chars().count() + 1, expected, found }
    }
}

pub(super) fn write(it: &Requirement, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let list = |f: &mut fmt::Formatter<'_>, name: &str, parts: &[Requirement]| {
        write!(f, "{name}(")?;
        for (position, part) in parts.iter().enumerate() {
            if position > 0 {
                f.write_str(", ")?;
            }
            write(part, f)?;
        }
        f.write_str(")")
    };
    match it {
        Requirement::AnyOf(parts) => list(f, "any", parts),
        Requirement::AllOf(parts) => list(f, "all", parts),
        Requirement::Stamp { at_least, tagged: false } => write!(f, "stamp({at_least})"),
        Requirement::Stamp { at_least, tagged: true } => write!(f, "stamp({at_least}, tagged)"),
        Requirement::Stake(None) => f.write_str("stake(any)"),
        Requirement::Stake(Some(tier)) => write!(f, "stake({tier})"),
        Requirement::Claim(None) => f.write_str("claim(any)"),
        Requirement::Claim(Some(id)) => write!(f, "claim({id})"),
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

//! Who made a contribution, and how.

use std::{fmt, str::FromStr};

use sha2::{Digest as _, Sha256};

use crate::{entropy::Seed, file::Fields};

/// A name's longest text.
const MAX_NAME_CHARS: usize = 64;
/// Two to this many hashes of a beacon: ten minutes. Whoever asks a verifier for more means harm.
const MAX_ITERATIONS: u8 = 32;
/// Two to fewer would be no delay at all.
const MIN_ITERATIONS: u8 = 10;

const SECRET: u32 = 0;
const BEACON: u32 = 1;
const NAME_PARAMETER: u8 = 1;
const ITERATIONS_PARAMETER: u8 = 2;
const HASH_PARAMETER: u8 = 3;

/// What a contribution says of its maker. No hash of the transcript covers the name: it says who claims to have
/// contributed, and it is for them to publish the contribution's hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credit {
    /// The name; other tools allow none.
    pub name: Name,
    /// The beacon, if that is where the number came from and nobody kept it secret.
    pub beacon: Option<Beacon>,
}

/// A contributor's name, as found in a file. It may be anything, so it is shown with controls escaped.
#[derive(Clone, PartialEq, Eq)]
pub struct Name(Vec<u8>);

/// The text is no name. The fault of whoever chose it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name has 1 to {MAX_NAME_CHARS} printable characters")]
pub struct NotAName;

/// A number that everybody can check and nobody could choose: hashed again and again from something public that nobody
/// knew before, such as a block hash announced beforehand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beacon {
    hash: Vec<u8>,
    iterations: u8,
}

/// No beacon. The fault of whoever asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a beacon has 1 to 255 bytes and an exponent of {MIN_ITERATIONS} to {MAX_ITERATIONS}")]
pub struct NotABeacon;

/// No contribution's number was anybody's secret, so everybody can make proofs of anything. The fault of whoever calls the
/// phase done; one more contribution mends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSecret {
    /// All numbers are one.
    #[error("nobody has contributed")]
    Untouched,
    /// A beacon's number follows from what the file says of it.
    #[error("only beacons have contributed, whose numbers everybody knows")]
    BeaconsOnly,
}

impl FromStr for Name {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        let fits = (1..=MAX_NAME_CHARS).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        // Its length has one byte in the file.
        if fits && text.len() <= usize::from(u8::MAX) { Ok(Self(text.as_bytes().to_vec())) } else { Err(NotAName) }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", String::from_utf8_lossy(&self.0).escape_debug())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Beacon {
    /// The beacon that is two to the `iterations` hashes (SHA-256) behind these bytes.
    ///
    /// # Errors
    /// [`NotABeacon`].
    pub fn new(hash: Vec<u8>, iterations: u8) -> Result<Self, NotABeacon> {
        let fits =
            (1..=usize::from(u8::MAX)).contains(&hash.len()) && (MIN_ITERATIONS..=MAX_ITERATIONS).contains(&iterations);
        if fits { Ok(Self { hash, iterations }) } else { Err(NotABeacon) }
    }

    /// What the beacon's number is drawn from.
    #[must_use]
    pub fn seed(&self) -> Seed {
        let mut hash = self.hash.clone();
        for _ in 0..1_u64 << self.iterations {
            hash = Sha256::digest(&hash).to_vec();
        }
        let mut seed = [0; 64];
        seed[..32].copy_from_slice(&hash);
        Seed::known(seed)
    }
}

impl Credit {
    /// A person's, who has a secret.
    #[must_use]
    pub const fn person(name: Name) -> Self {
        Self { name, beacon: None }
    }

    /// A beacon's, under the name of whoever looked it up.
    #[must_use]
    pub const fn beacon(name: Name, beacon: Beacon) -> Self {
        Self { name, beacon: Some(beacon) }
    }

    /// Whether there is somebody among these who had a secret.
    pub(crate) fn require_secret<'a>(mut all: impl Iterator<Item = &'a Self>) -> Result<(), NoSecret> {
        let Some(first) = all.next() else { return Err(NoSecret::Untouched) };
        let is_person = |credit: &Self| credit.beacon.is_none();
        if is_person(first) || all.any(is_person) { Ok(()) } else { Err(NoSecret::BeaconsOnly) }
    }

    /// Kind, length, and parameters, each with its number, in rising order.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let mut parameters = Vec::new();
        let text = |number: u8, bytes: &[u8], parameters: &mut Vec<u8>| {
            let length = u8::try_from(bytes.len()).expect("checked where names and beacons are made");
            parameters.extend([number, length]);
            parameters.extend_from_slice(bytes);
        };
        if !self.name.0.is_empty() {
            text(NAME_PARAMETER, &self.name.0, &mut parameters);
        }
        if let Some(Beacon { hash, iterations }) = &self.beacon {
            parameters.extend([ITERATIONS_PARAMETER, *iterations]);
            text(HASH_PARAMETER, hash, &mut parameters);
        }
        let length = u32::try_from(parameters.len()).expect("at most 514 bytes");
        out.extend(if self.beacon.is_some() { BEACON } else { SECRET }.to_le_bytes());
        out.extend(length.to_le_bytes());
        out.extend(parameters);
    }

    /// `None` unless it is what [`Self::write`] would write.
    pub(crate) fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let kind = fields.u32()?;
        let length = fields.u32()?;
        let mut parameters = Fields::new(fields.take(length as usize)?);
        let (mut name, mut hash, mut iterations) = (Vec::new(), None, None);
        let mut last = 0;
        while !parameters.is_empty() {
            let number = parameters.u8()?;
            if number <= last {
                return None;
            }
            last = number;
            let value = parameters.u8()?;
            match number {
                NAME_PARAMETER => name = parameters.take(value.into())?.to_vec(),
                ITERATIONS_PARAMETER => iterations = Some(value),
                HASH_PARAMETER => hash = Some(parameters.take(value.into())?.to_vec()),
                _ => return None,
            }
        }
        let beacon = match (kind, hash, iterations) {
            (SECRET, None, None) => None,
            (BEACON, Some(hash), Some(iterations)) => Some(Beacon::new(hash, iterations).ok()?),
            _ => return None,
        };
        Some(Self { name: Name(name), beacon })
    }
}

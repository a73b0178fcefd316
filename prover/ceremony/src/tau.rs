//! Powers of tau, the phase that every circuit can share: a `.ptau` file (this file's half: what is in it, and its bytes).
//!
//! Somebody's τ, α and β in the exponent, and after every contribution nobody's, unless all contributors were one.

mod contribute;
mod prepare;
mod saved;
mod verify;

use std::io::{Read, Seek};

use ark_bn254::{Fq, G1Affine, G2Affine};
use ark_ec::AffineRepr as _;
use ark_ff::PrimeField as _;

use crate::{
    credit::Credit,
    digest::{Digest, Hasher},
    file::{Fields, Malformed, ReadError, Sections, assemble, section},
    knowledge::Knowledge,
    numbers::{FIELD, field},
    points::Point as _,
};

pub use contribute::CannotContribute;
pub use prepare::prepare;
use saved::Saved;
pub use verify::{InvalidTau, Part, TauFault};

const MAGIC: [u8; 4] = *b"ptau";
const HEADER: u32 = 1;
const TAU_G1: u32 = 2;
const TAU_G2: u32 = 3;
const ALPHA_G1: u32 = 4;
const BETA_G1: u32 = 5;
const BETA_G2: u32 = 6;
const CONTRIBUTIONS: u32 = 7;
const LAGRANGE_TAU_G1: u32 = 12;
const LAGRANGE_TAU_G2: u32 = 13;
const LAGRANGE_ALPHA_G1: u32 = 14;
const LAGRANGE_BETA_G1: u32 = 15;

const HEADER_BYTES: usize = FIELD + 4 + 4;
/// The largest domain of the field.
const MAX_POWER: u32 = 28;
/// What a contributor holds in memory and multiplies in minutes.
const MAX_WHOLE_POWER: u32 = 20;
/// Some thousand contributions.
const MAX_CONTRIBUTIONS_BYTES: usize = 4 << 20;

/// The powers up to a domain, and the transcript that led to them.
pub struct Tau {
    /// Of the points held here.
    power: u32,
    /// Of the ceremony: it may have gone further.
    ceremony_power: u32,
    points: Powers,
    lagrange: Option<Lagrange>,
    contributions: Vec<Contribution>,
}

#[derive(Clone)]
struct Powers {
    /// 1, τ, τ², … to one less than twice the domain.
    tau_g1: Vec<G1Affine>,
    /// These and the next two as many as the domain has points.
    tau_g2: Vec<G2Affine>,
    alpha_g1: Vec<G1Affine>,
    beta_g1: Vec<G1Affine>,
    beta_g2: G2Affine,
}

/// The Lagrange polynomials of the domain, evaluated at τ.
pub(crate) struct Lagrange {
    pub(crate) tau_g1: Vec<G1Affine>,
    /// Those of the domain of twice the size.
    pub(crate) double_g1: Vec<G1Affine>,
    pub(crate) tau_g2: Vec<G2Affine>,
    pub(crate) alpha_g1: Vec<G1Affine>,
    pub(crate) beta_g1: Vec<G1Affine>,
}

#[derive(Clone)]
struct Contribution {
    after: Ends,
    tau: Knowledge,
    alpha: Knowledge,
    beta: Knowledge,
    saved: Saved,
    /// The hash of the powers as this contribution left them: what the next one answers.
    next_challenge: Digest,
    credit: Credit,
}

/// The points that tell one state of the powers from another.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Ends {
    tau_g1: G1Affine,
    tau_g2: G2Affine,
    alpha_g1: G1Affine,
    beta_g1: G1Affine,
    beta_g2: G2Affine,
}

impl Tau {
    /// The powers before anybody contributed: τ = α = β = 1.
    ///
    /// # Errors
    /// [`Malformed::Power`] unless the power is 1 to 28.
    pub fn new(power: u32) -> Result<Self, Malformed> {
        check_power(power)?;
        let size = 1 << power;
        let (g1, g2) = (G1Affine::generator(), G2Affine::generator());
        let points = Powers {
            tau_g1: vec![g1; 2 * size - 1],
            tau_g2: vec![g2; size],
            alpha_g1: vec![g1; size],
            beta_g1: vec![g1; size],
            beta_g2: g2,
        };
        let contributions = Vec::new();
        Ok(Self { power, ceremony_power: power, points, lagrange: None, contributions })
    }

    /// Reads a file whole, as who wants to contribute needs it: one of 2^20 at most.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read(source: impl Read + Seek) -> Result<Self, ReadError> {
        Self::open(source, None)
    }

    /// Reads of a file what a circuit needs whose domain has two to `power` points. The file may be far larger.
    ///
    /// # Errors
    /// [`ReadError`], in particular [`Malformed::Power`] if the file does not go that far.
    pub fn read_up_to(source: impl Read + Seek, power: u32) -> Result<Self, ReadError> {
        Self::open(source, Some(power))
    }

    fn open(source: impl Read + Seek, wanted: Option<u32>) -> Result<Self, ReadError> {
        let mut file = Sections::open(source, MAGIC, 1)?;
        let header = file.exactly(HEADER, HEADER_BYTES)?;
        let (file_power, ceremony_power) = header_of(&header)?;
        let power = wanted.unwrap_or(file_power);
        if power > file_power || power > MAX_WHOLE_POWER {
            return Err(Malformed::Power(file_power).into());
        }
        let size = 1 << power;
        let points = Powers {
            tau_g1: file.points(TAU_G1, 0, 2 * size - 1)?,
            tau_g2: file.points(TAU_G2, 0, size)?,
            alpha_g1: file.points(ALPHA_G1, 0, size)?,
            beta_g1: file.points(BETA_G1, 0, size)?,
            beta_g2: one(file.points(BETA_G2, 0, 1)?)?,
        };
        let lagrange = if file.has(LAGRANGE_TAU_G1) { Some(lagrange(&mut file, size)?) } else { None };
        let contributions = contributions(&file.at_most(CONTRIBUTIONS, MAX_CONTRIBUTIONS_BYTES)?)?;
        Ok(Self { power, ceremony_power, points, lagrange, contributions })
    }

    /// The file, without what only [`prepare`] adds.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        assemble(MAGIC, &self.sections())
    }

    /// The domain has two to so many points.
    #[must_use]
    pub const fn power(&self) -> u32 {
        self.power
    }

    /// Who contributed, in order, and the hash of what each of them left.
    pub fn contributions(&self) -> impl Iterator<Item = (&Credit, Digest)> {
        self.contributions.iter().map(|contribution| (&contribution.credit, contribution.next_challenge))
    }

    pub(crate) fn lagrange(&self) -> Option<&Lagrange> {
        self.lagrange.as_ref()
    }

    /// α, β in G1, and β in G2.
    pub(crate) fn alpha_beta(&self) -> (G1Affine, G1Affine, G2Affine) {
        let ends = self.points.ends();
        (ends.alpha_g1, ends.beta_g1, ends.beta_g2)
    }

    /// The powers of τ in G1.
    pub(crate) fn tau_g1(&self) -> &[G1Affine] {
        &self.points.tau_g1
    }

    fn sections(&self) -> Vec<(u32, Vec<u8>)> {
        let Powers { tau_g1, tau_g2, alpha_g1, beta_g1, beta_g2 } = &self.points;
        let mut header = field(Fq::MODULUS).to_vec();
        header.extend([self.power, self.ceremony_power].into_iter().flat_map(u32::to_le_bytes));
        let count = u32::try_from(self.contributions.len()).expect("bounded by MAX_CONTRIBUTIONS_BYTES");
        let mut contributions = count.to_le_bytes().to_vec();
        self.contributions.iter().for_each(|contribution| contribution.write(&mut contributions));
        vec![
            (HEADER, header),
            (TAU_G1, section(tau_g1)),
            (TAU_G2, section(tau_g2)),
            (ALPHA_G1, section(alpha_g1)),
            (BETA_G1, section(beta_g1)),
            (BETA_G2, section(&[*beta_g2])),
            (CONTRIBUTIONS, contributions),
        ]
    }
}

impl Powers {
    fn ends(&self) -> Ends {
        Ends {
            tau_g1: self.tau_g1[1],
            tau_g2: self.tau_g2[1],
            alpha_g1: self.alpha_g1[0],
            beta_g1: self.beta_g1[0],
            beta_g2: self.beta_g2,
        }
    }

    /// The hash of all of it, behind the hash of the response that made it.
    fn challenge(&self, response: Digest) -> Digest {
        let Self { tau_g1, tau_g2, alpha_g1, beta_g1, beta_g2 } = self;
        let hasher = Hasher::new().bytes(&response.0).points(tau_g1).points(tau_g2);
        hasher.points(alpha_g1).points(beta_g1).point(beta_g2).finish()
    }
}

impl Ends {
    /// Of the powers before anybody contributed.
    fn first() -> Self {
        let (g1, g2) = (G1Affine::generator(), G2Affine::generator());
        Self { tau_g1: g1, tau_g2: g2, alpha_g1: g1, beta_g1: g1, beta_g2: g2 }
    }
}

/// What the first contribution answers: the hash of the powers of one, without making them. For the largest ceremony
/// this takes minutes.
fn first_challenge(ceremony_power: u32) -> Digest {
    const RUN: u64 = 1 << 10;
    let size = 1_u64 << ceremony_power;
    let (g1, g2) = (G1Affine::generator().plain(), G2Affine::generator().plain());
    let mut hasher = Hasher::new().bytes(&Digest::of(&[]).0);
    for (point, count) in [(&g1, 2 * size - 1), (&g2, size), (&g1, size), (&g1, size)] {
        let run = point.repeat(RUN as usize);
        for _ in 0..count / RUN {
            hasher = hasher.bytes(&run);
        }
        hasher = hasher.bytes(&point.repeat((count % RUN) as usize));
    }
    hasher.bytes(&g2).finish()
}

impl Contribution {
    /// Hashes the proofs of knowledge.
    fn proofs_into(&self, hasher: Hasher) -> Hasher {
        let keys = [&self.tau, &self.alpha, &self.beta];
        let hasher = keys.iter().fold(hasher, |hasher, key| hasher.point(&key.base).point(&key.times));
        keys.iter().fold(hasher, |hasher, key| hasher.point(&key.response))
    }

    fn write(&self, out: &mut Vec<u8>) {
        let Self { after, tau, alpha, beta, saved, next_challenge, credit } = self;
        let Ends { tau_g1, tau_g2, alpha_g1, beta_g1, beta_g2 } = after;
        tau_g1.write(out);
        tau_g2.write(out);
        alpha_g1.write(out);
        beta_g1.write(out);
        beta_g2.write(out);
        for key in [tau, alpha, beta] {
            key.base.write(out);
            key.times.write(out);
        }
        [tau, alpha, beta].iter().for_each(|key| key.response.write(out));
        out.extend(saved.0);
        out.extend(next_challenge.0);
        credit.write(out);
    }

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let after = Ends {
            tau_g1: fields.point()?,
            tau_g2: fields.point()?,
            alpha_g1: fields.point()?,
            beta_g1: fields.point()?,
            beta_g2: fields.point()?,
        };
        let mut bases = [[G1Affine::zero(); 2]; 3];
        for point in bases.as_flattened_mut() {
            *point = fields.point()?;
        }
        let mut key = |[base, times]: [G1Affine; 2]| Some(Knowledge { base, times, response: fields.point()? });
        let [tau, alpha, beta] = [key(bases[0])?, key(bases[1])?, key(bases[2])?];
        Some(Self {
            after,
            tau,
            alpha,
            beta,
            saved: Saved(fields.array()?),
            next_challenge: Digest(fields.array()?),
            credit: Credit::read(fields)?,
        })
    }
}

fn header_of(header: &[u8]) -> Result<(u32, u32), Malformed> {
    let mut fields = Fields::new(header);
    let length = Malformed::SectionLength(HEADER);
    if fields.take(FIELD) != Some(&field(Fq::MODULUS)) {
        return Err(Malformed::Curve);
    }
    let (power, ceremony_power) = (fields.u32().ok_or(length)?, fields.u32().ok_or(length)?);
    check_power(power)?;
    check_power(ceremony_power)?;
    if power <= ceremony_power { Ok((power, ceremony_power)) } else { Err(Malformed::Power(power)) }
}

fn check_power(power: u32) -> Result<(), Malformed> {
    if (1..=MAX_POWER).contains(&power) { Ok(()) } else { Err(Malformed::Power(power)) }
}

fn lagrange<R: Read + Seek>(file: &mut Sections<R>, size: usize) -> Result<Lagrange, ReadError> {
    // A section holds those of every domain from one point on, each behind the smaller ones.
    let before = size - 1;
    Ok(Lagrange {
        tau_g1: file.points(LAGRANGE_TAU_G1, before, size)?,
        double_g1: file.points(LAGRANGE_TAU_G1, 2 * size - 1, 2 * size)?,
        tau_g2: file.points(LAGRANGE_TAU_G2, before, size)?,
        alpha_g1: file.points(LAGRANGE_ALPHA_G1, before, size)?,
        beta_g1: file.points(LAGRANGE_BETA_G1, before, size)?,
    })
}

fn contributions(bytes: &[u8]) -> Result<Vec<Contribution>, Malformed> {
    let mut fields = Fields::new(bytes);
    let count = fields.u32().ok_or(Malformed::Content(CONTRIBUTIONS))?;
    let mut contributions = Vec::new();
    for number in 1..=count as usize {
        contributions.push(Contribution::read(&mut fields).ok_or(Malformed::Contribution(number))?);
    }
    if fields.is_empty() { Ok(contributions) } else { Err(Malformed::Content(CONTRIBUTIONS)) }
}

fn one<T: Copy>(points: Vec<T>) -> Result<T, Malformed> {
    points.first().copied().ok_or(Malformed::SectionLength(BETA_G2))
}

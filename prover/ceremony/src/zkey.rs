//! The phase of one circuit: a `.zkey` file (what is in it, and its bytes).
//!
//! A proving key under construction. Everything but δ, and what is divided by it, follows from the circuit and the powers
//! of tau; δ starts as one, and every contribution multiplies a secret into it.

mod contribute;
mod setup;
mod verify;

use std::io::{Read, Seek};

use ark_bn254::{Fq, Fr, G1Affine, G2Affine};
use ark_ff::PrimeField as _;

use crate::{
    circuit::Circuit,
    credit::{Credit, NoSecret},
    digest::{Digest, Hasher},
    file::{Fields, Malformed, ReadError, Sections, assemble, section},
    knowledge::Knowledge,
    numbers::{FIELD, NUMBER, field},
    points::Point as _,
};

pub use setup::NotPrepared;
pub use verify::{Fault, InvalidZkey, Place};

const MAGIC: [u8; 4] = *b"zkey";
const PROTOCOL: u32 = 1;
const HEADER: u32 = 2;
const INPUTS: u32 = 3;
const COEFFICIENTS: u32 = 4;
const A: u32 = 5;
const B_G1: u32 = 6;
const B_G2: u32 = 7;
const PRIVATE: u32 = 8;
const QUOTIENT: u32 = 9;
const CONTRIBUTIONS: u32 = 10;

/// The number of Groth16 among the protocols that have such files.
const GROTH16: u32 = 1;
const HEADER_BYTES: usize = 2 * FIELD + 3 * 4 + 3 * 2 * NUMBER + 3 * 4 * NUMBER;
/// Some thousand contributions.
const MAX_CONTRIBUTIONS_BYTES: usize = 4 << 20;

/// A proving key under construction, and the transcript that led to it.
#[derive(Clone)]
pub struct Zkey {
    pub(crate) alpha_g1: G1Affine,
    pub(crate) beta_g1: G1Affine,
    pub(crate) beta_g2: G2Affine,
    pub(crate) gamma_g2: G2Affine,
    pub(crate) delta_g1: G1Affine,
    pub(crate) delta_g2: G2Affine,
    /// One for each public input and for one.
    pub(crate) inputs: Vec<G1Affine>,
    /// These and the next two: one for each variable.
    pub(crate) a: Vec<G1Affine>,
    pub(crate) b_g1: Vec<G1Affine>,
    pub(crate) b_g2: Vec<G2Affine>,
    /// One for each private variable, divided by δ.
    pub(crate) private: Vec<G1Affine>,
    /// What the quotient is multiplied by, divided by δ: the Lagrange polynomials of the odd half of a domain of twice the
    /// size, evaluated at τ.
    pub(crate) quotient: Vec<G1Affine>,
    /// The hash of all of it while δ was one.
    circuit_hash: Digest,
    contributions: Vec<Contribution>,
}

#[derive(Clone)]
struct Contribution {
    /// δ after it.
    delta: G1Affine,
    knowledge: Knowledge,
    /// The hash of all that came before, which the proof of knowledge answers.
    transcript: Digest,
    credit: Credit,
}

impl Zkey {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ReadError`], and nothing of another circuit's shape is read.
    pub fn read(source: impl Read + Seek, circuit: &Circuit) -> Result<Self, ReadError> {
        let mut file = Sections::open(source, MAGIC, 1)?;
        if file.exactly(PROTOCOL, 4)? != GROTH16.to_le_bytes() {
            return Err(Malformed::Kind.into());
        }
        let header = file.exactly(HEADER, HEADER_BYTES)?;
        let mut header = Fields::new(&header);
        if header.take(constants(circuit).len()) != Some(&constants(circuit)) {
            return Err(Malformed::Content(HEADER).into());
        }
        let coefficients = circuit.coefficients();
        if file.exactly(COEFFICIENTS, coefficients.len())? != coefficients {
            return Err(Malformed::Content(COEFFICIENTS).into());
        }
        let (public, variables) = (circuit.public, circuit.variables);
        let (circuit_hash, contributions) = contributions(&file.at_most(CONTRIBUTIONS, MAX_CONTRIBUTIONS_BYTES)?)?;
        let content = Malformed::Content(HEADER);
        Ok(Self {
            alpha_g1: header.point().ok_or(content)?,
            beta_g1: header.point().ok_or(content)?,
            beta_g2: header.point().ok_or(content)?,
            gamma_g2: header.point().ok_or(content)?,
            delta_g1: header.point().ok_or(content)?,
            delta_g2: header.point().ok_or(content)?,
            inputs: file.all_points(INPUTS, public)?,
            a: file.all_points(A, variables)?,
            b_g1: file.all_points(B_G1, variables)?,
            b_g2: file.all_points(B_G2, variables)?,
            private: file.all_points(PRIVATE, variables - public)?,
            quotient: file.all_points(QUOTIENT, circuit.domain())?,
            circuit_hash,
            contributions,
        })
    }

    /// The file. The circuit is the one that it was read or made for.
    #[must_use]
    pub fn to_bytes(&self, circuit: &Circuit) -> Vec<u8> {
        let mut header = constants(circuit);
        self.alpha_g1.write(&mut header);
        self.beta_g1.write(&mut header);
        self.beta_g2.write(&mut header);
        self.gamma_g2.write(&mut header);
        self.delta_g1.write(&mut header);
        self.delta_g2.write(&mut header);
        let count = u32::try_from(self.contributions.len()).expect("bounded by MAX_CONTRIBUTIONS_BYTES");
        let mut contributions = [self.circuit_hash.0.as_slice(), &count.to_le_bytes()].concat();
        self.contributions.iter().for_each(|contribution| contribution.write(&mut contributions));
        assemble(
            MAGIC,
            &[
                (PROTOCOL, GROTH16.to_le_bytes().to_vec()),
                (HEADER, header),
                (INPUTS, section(&self.inputs)),
                (COEFFICIENTS, circuit.coefficients()),
                (A, section(&self.a)),
                (B_G1, section(&self.b_g1)),
                (B_G2, section(&self.b_g2)),
                (PRIVATE, section(&self.private)),
                (QUOTIENT, section(&self.quotient)),
                (CONTRIBUTIONS, contributions),
            ],
        )
    }

    /// The hash of the circuit and the powers of tau: the same in every file of one ceremony.
    #[must_use]
    pub const fn circuit_hash(&self) -> Digest {
        self.circuit_hash
    }

    /// Who contributed, in order, and the hash of each contribution: what its maker publishes.
    pub fn contributions(&self) -> impl Iterator<Item = (&Credit, Digest)> {
        self.contributions.iter().map(|contribution| (&contribution.credit, contribution.hash()))
    }

    pub(crate) fn require_secret(&self) -> Result<(), NoSecret> {
        Credit::require_secret(self.contributions.iter().map(|contribution| &contribution.credit))
    }

    /// The hash of the circuit and of the contributions so far.
    fn transcript(&self) -> Hasher {
        let start = Hasher::new().bytes(&self.circuit_hash.0);
        self.contributions.iter().fold(start, |hasher, contribution| contribution.hash_into(hasher))
    }
}

impl Contribution {
    fn hash(&self) -> Digest {
        self.hash_into(Hasher::new()).finish()
    }

    fn hash_into(&self, hasher: Hasher) -> Hasher {
        let Self { delta, knowledge: Knowledge { base, times, response }, transcript, credit: _ } = self;
        hasher.point(delta).point(base).point(times).point(response).bytes(&transcript.0)
    }

    fn write(&self, out: &mut Vec<u8>) {
        let Self { delta, knowledge: Knowledge { base, times, response }, transcript, credit } = self;
        delta.write(out);
        base.write(out);
        times.write(out);
        response.write(out);
        out.extend(transcript.0);
        credit.write(out);
    }

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self {
            delta: fields.point()?,
            knowledge: Knowledge { base: fields.point()?, times: fields.point()?, response: fields.point()? },
            transcript: Digest(fields.array()?),
            credit: Credit::read(fields)?,
        })
    }
}

/// The part of the header that the circuit alone decides.
fn constants(circuit: &Circuit) -> Vec<u8> {
    let mut bytes = [field(Fq::MODULUS), field(Fr::MODULUS)].concat();
    for count in [circuit.variables, circuit.public - 1, circuit.domain()] {
        bytes.extend(u32::try_from(count).expect("circuits are small").to_le_bytes());
    }
    bytes
}

fn contributions(bytes: &[u8]) -> Result<(Digest, Vec<Contribution>), Malformed> {
    let mut fields = Fields::new(bytes);
    let content = Malformed::Content(CONTRIBUTIONS);
    let circuit_hash = Digest(fields.array().ok_or(content)?);
    let count = fields.u32().ok_or(content)?;
    let mut contributions = Vec::new();
    for number in 1..=count as usize {
        contributions.push(Contribution::read(&mut fields).ok_or(Malformed::Contribution(number))?);
    }
    if fields.is_empty() { Ok((circuit_hash, contributions)) } else { Err(content) }
}

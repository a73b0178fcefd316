//! A circuit, as a `.r1cs` file holds it.

use std::io::Cursor;

use ark_bn254::{Fr, FrConfig};
use ark_ff::{MontConfig, PrimeField as _};

use crate::{
    file::{Fields, Malformed, ReadError, Sections},
    numbers::{FIELD, field, from_bytes, to_bytes},
};

const MAGIC: [u8; 4] = *b"r1cs";
const HEADER: u32 = 1;
const CONSTRAINTS: u32 = 2;
const HEADER_BYTES: usize = FIELD + 4 * 4 + 8 + 4;
/// Rows and variables beyond any circuit that is proved in seconds.
const MAX_SIZE: usize = 1 << 20;
/// 2^256: coefficients stand in files multiplied by its square.
const R: Fr = Fr::new(FrConfig::R);

/// Coefficients and the variables they belong to.
pub(crate) type Terms = Vec<(Fr, usize)>;

/// The rows of a circuit: for each, `a · b = c`.
pub struct Circuit {
    /// Public inputs, with the constant one.
    pub(crate) public: usize,
    /// All variables, public ones first.
    pub(crate) variables: usize,
    pub(crate) rows: Vec<[Terms; 3]>,
}

impl Circuit {
    /// The pass circuit.
    #[must_use]
    pub fn pass() -> Self {
        Self::read(&xmtp_prover::r1cs()).expect("a test reads it")
    }

    /// Reads a `.r1cs` file.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let in_memory = |error| match error {
            ReadError::Malformed(malformed) => malformed,
            ReadError::Io(_) => Malformed::Length,
        };
        let mut sections = Sections::open(Cursor::new(bytes), MAGIC, 1).map_err(in_memory)?;
        let header = sections.exactly(HEADER, HEADER_BYTES).map_err(in_memory)?;
        let constraints = sections.at_most(CONSTRAINTS, bytes.len()).map_err(in_memory)?;
        let (public, variables, rows) = header_of(&header)?;
        let mut fields = Fields::new(&constraints);
        let content = Malformed::Content(CONSTRAINTS);
        let rows: Option<Vec<_>> = (0..rows)
            .map(|_| {
                Some([terms(&mut fields, variables)?, terms(&mut fields, variables)?, terms(&mut fields, variables)?])
            })
            .collect();
        let rows = rows.filter(|_| fields.is_empty()).ok_or(content)?;
        Ok(Self { public, variables, rows })
    }

    /// The domain has two to so many points.
    #[must_use]
    pub fn power(&self) -> u32 {
        self.domain().trailing_zeros()
    }

    /// One for each row, and one for each public input.
    pub(crate) const fn domain(&self) -> usize {
        (self.rows.len() + self.public).next_power_of_two()
    }

    /// The A and B of the rows as a proving key's file has them. Besides the circuit's own rows there is one for each
    /// public input, with nothing but the input in A, so that inputs are independent of each other.
    pub(crate) fn coefficients(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut count = 0_u32;
        let mut push = |matrix: u32, row: usize, variable: usize, coefficient: Fr| {
            for number in [matrix, small(row), small(variable)] {
                bytes.extend(number.to_le_bytes());
            }
            bytes.extend(to_bytes((coefficient * R * R).into_bigint()));
            count += 1;
        };
        for (row, [a, b, _]) in self.rows.iter().enumerate() {
            for (matrix, terms) in [(0, a), (1, b)] {
                terms.iter().for_each(|(coefficient, variable)| push(matrix, row, *variable, *coefficient));
            }
        }
        for input in 0..self.public {
            push(0, self.rows.len() + input, input, Fr::from(1));
        }
        [count.to_le_bytes().as_slice(), &bytes].concat()
    }
}

fn header_of(header: &[u8]) -> Result<(usize, usize, usize), Malformed> {
    let mut fields = Fields::new(header);
    let length = Malformed::SectionLength(HEADER);
    if fields.take(FIELD) != Some(&field(Fr::MODULUS)) {
        return Err(Malformed::Curve);
    }
    let mut count = || fields.u32().map(|count| count as usize).ok_or(length);
    let [variables, outputs, inputs, _private] = [count()?, count()?, count()?, count()?];
    fields.u64().ok_or(length)?; // labels, which mean nothing to us
    let rows = fields.u32().ok_or(length)? as usize;
    let public = outputs.saturating_add(inputs).saturating_add(1);
    let fits = (1..=MAX_SIZE).contains(&rows) && variables <= MAX_SIZE && public < variables;
    if fits { Ok((public, variables, rows)) } else { Err(Malformed::Circuit) }
}

fn terms(fields: &mut Fields<'_>, variables: usize) -> Option<Terms> {
    let count = fields.u32()?;
    let mut terms = Vec::new();
    for _ in 0..count {
        let variable = fields.u32()? as usize;
        let coefficient = Fr::from_bigint(from_bytes(&fields.array()?))?;
        if variable >= variables {
            return None;
        }
        terms.push((coefficient, variable));
    }
    Some(terms)
}

fn small(number: usize) -> u32 {
    u32::try_from(number).expect("bounded by MAX_SIZE")
}

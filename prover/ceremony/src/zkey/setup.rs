//! The proving key of a circuit before anybody contributed.

use ark_bn254::{Fr, G1Affine, G2Affine};
use ark_ec::{AffineRepr as _, CurveGroup as _, VariableBaseMSM as _};
use ark_ff::{One as _, Zero as _};

use super::Zkey;
use crate::{
    circuit::Circuit,
    digest::{Digest, Hasher},
    points::Point,
    tau::{Lagrange, Tau},
};

/// The powers of tau cannot be used for the circuit yet. For the coordinator to mend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotPrepared {
    /// They lack the part that every circuit needs.
    #[error("these powers of tau are not prepared: run `tau prepare` first")]
    Unprepared,
    /// They were read for a circuit of another size.
    #[error("these powers of tau are for a domain of 2^{0}")]
    Power(u32),
}

impl Zkey {
    /// The proving key with δ = 1. It follows from the circuit and the powers of tau, so anybody can make it again.
    ///
    /// # Errors
    /// [`NotPrepared`].
    pub fn initial(circuit: &Circuit, tau: &Tau) -> Result<Self, NotPrepared> {
        if tau.power() != circuit.power() {
            return Err(NotPrepared::Power(tau.power()));
        }
        let lagrange = tau.lagrange().ok_or(NotPrepared::Unprepared)?;
        let (alpha_g1, beta_g1, beta_g2) = tau.alpha_beta();
        let columns = Columns::of(circuit);
        let mut inputs = columns.sums(|terms, column| terms.both(lagrange, column));
        let private = inputs.split_off(circuit.public);
        let mut zkey = Self {
            alpha_g1,
            beta_g1,
            beta_g2,
            gamma_g2: G2Affine::generator(),
            delta_g1: G1Affine::generator(),
            delta_g2: G2Affine::generator(),
            inputs,
            a: columns.sums(|terms, column| terms.add(&lagrange.tau_g1, &column.a)),
            b_g1: columns.sums(|terms, column| terms.add(&lagrange.tau_g1, &column.b)),
            b_g2: columns.sums(|terms, column| terms.add(&lagrange.tau_g2, &column.b)),
            private,
            quotient: lagrange.double_g1.iter().skip(1).step_by(2).copied().collect(),
            circuit_hash: Digest([0; 64]),
            contributions: Vec::new(),
        };
        zkey.circuit_hash = zkey.hash(&quotient_powers(tau.tau_g1(), circuit.domain()));
        Ok(zkey)
    }

    fn hash(&self, quotient_powers: &[G1Affine]) -> Digest {
        let Self { alpha_g1, beta_g1, beta_g2, gamma_g2, delta_g1, delta_g2, .. } = self;
        let Self { inputs, a, b_g1, b_g2, private, .. } = self;
        let hasher = Hasher::new().point(alpha_g1).point(beta_g1).point(beta_g2);
        let hasher = hasher.point(gamma_g2).point(delta_g1).point(delta_g2);
        let hasher = hasher.counted(inputs).counted(quotient_powers).counted(private);
        hasher.counted(a).counted(b_g1).counted(b_g2).finish()
    }
}

/// The powers of τ times the polynomial that vanishes on the domain: `τ^i · (τ^n − 1)`. This is what the hash covers in
/// place of the quotient's points, from which they follow.
fn quotient_powers(tau: &[G1Affine], size: usize) -> Vec<G1Affine> {
    let powers: Vec<_> = tau[size..].iter().zip(tau).map(|(above, below)| *above - below).collect();
    ark_bn254::G1Projective::normalize_batch(&powers)
}

/// The circuit by variables: for each, in which rows it occurs and with which coefficient.
struct Columns(Vec<Column>);

#[derive(Clone, Default)]
struct Column {
    a: Entries,
    b: Entries,
    c: Entries,
}

type Entries = Vec<(usize, Fr)>;

impl Columns {
    fn of(circuit: &Circuit) -> Self {
        let mut columns = vec![Column::default(); circuit.variables];
        for (row, [a, b, c]) in circuit.rows.iter().enumerate() {
            a.iter().for_each(|(coefficient, variable)| columns[*variable].a.push((row, *coefficient)));
            b.iter().for_each(|(coefficient, variable)| columns[*variable].b.push((row, *coefficient)));
            c.iter().for_each(|(coefficient, variable)| columns[*variable].c.push((row, *coefficient)));
        }
        for (input, column) in columns.iter_mut().take(circuit.public).enumerate() {
            column.a.push((circuit.rows.len() + input, Fr::one()));
        }
        Self(columns)
    }

    /// One sum for each variable.
    fn sums<P: Point>(&self, terms: impl Fn(&mut Sum<P>, &Column)) -> Vec<P> {
        let sum = |column| {
            let mut sum = Sum { points: Vec::new(), coefficients: Vec::new() };
            terms(&mut sum, column);
            sum.value()
        };
        let sums: Vec<P::Group> = self.0.iter().map(sum).collect();
        P::Group::normalize_batch(&sums)
    }
}

/// Points and their coefficients.
struct Sum<P> {
    points: Vec<P>,
    coefficients: Vec<Fr>,
}

impl<P: Point> Sum<P> {
    fn add(&mut self, lagrange: &[P], entries: &Entries) {
        for (row, coefficient) in entries {
            self.points.push(lagrange[*row]);
            self.coefficients.push(*coefficient);
        }
    }

    fn value(&self) -> P::Group {
        // For a few points buckets cost more than they save.
        if self.points.len() < 3 {
            let times = |(point, coefficient): (&P, &Fr)| {
                if coefficient.is_one() { point.into_group() } else { *point * coefficient }
            };
            self.points.iter().zip(&self.coefficients).map(times).fold(P::Group::zero(), |sum, term| sum + term)
        } else {
            P::Group::msm_unchecked(&self.points, &self.coefficients)
        }
    }
}

impl Sum<G1Affine> {
    /// `β·a + α·b + c`
    fn both(&mut self, lagrange: &Lagrange, column: &Column) {
        self.add(&lagrange.beta_g1, &column.a);
        self.add(&lagrange.alpha_g1, &column.b);
        self.add(&lagrange.tau_g1, &column.c);
    }
}

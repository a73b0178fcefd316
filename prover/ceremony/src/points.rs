//! Points, and the two ways in which a ceremony writes them: one in files, one where they are hashed.

use ark_bn254::{Bn254, Fq, FqConfig, Fr, G1Affine, G2Affine};
use ark_ec::{
    AffineRepr, CurveGroup as _, VariableBaseMSM,
    pairing::Pairing as _,
    short_weierstrass::{Affine, SWCurveConfig},
};
use ark_ff::{Field, MontConfig, PrimeField as _, Zero as _};
use ark_poly::{EvaluationDomain as _, Radix2EvaluationDomain, domain::DomainCoeff};

use crate::numbers::{NUMBER, from_bytes, to_bytes};

/// 2^256: iden3's files hold coordinates multiplied by it.
const R: Fq = Fq::new(FqConfig::R);

/// A point of G1 or G2.
pub(crate) trait Point:
    AffineRepr<ScalarField = Fr, Group: VariableBaseMSM<MulBase = Self> + DomainCoeff<Fr>>
{
    /// Bytes of a point, written in either way.
    fn bytes() -> usize;

    /// Appends the point as files hold it: coordinates in Montgomery form, little-endian; infinity is all zeros.
    fn write(&self, out: &mut Vec<u8>);

    /// Reads a point as files hold it. `None` unless it is on the curve and in its subgroup, in its one encoding.
    fn read(bytes: &[u8]) -> Option<Self>;

    /// The point as it is hashed: coordinates big-endian, of two parts the second first; infinity is all zeros.
    fn plain(&self) -> Vec<u8>;

    /// A point on the curve, of the subgroup or not, with this x and the greater or the lesser y.
    fn with_x(x: Self::BaseField, greater: bool) -> Option<Self>;
}

impl<C> Point for Affine<C>
where
    C: SWCurveConfig<ScalarField = Fr>,
    C::BaseField: Field<BasePrimeField = Fq>,
{
    fn bytes() -> usize {
        // x and y, each of one number or two
        2 * NUMBER * C::BaseField::extension_degree() as usize
    }

    fn write(&self, out: &mut Vec<u8>) {
        let (x, y) = self.xy().unwrap_or_default();
        for number in [x, y].iter().flat_map(Field::to_base_prime_field_elements) {
            out.extend(to_bytes((number * R).into_bigint()));
        }
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != Self::bytes() {
            return None;
        }
        if bytes.iter().all(|byte| *byte == 0) {
            return Some(Self::zero());
        }
        let (x, y) = bytes.split_at(bytes.len() / 2);
        let point = Self::new_unchecked(coordinate(x)?, coordinate(y)?);
        (point.is_on_curve() && point.is_in_correct_subgroup_assuming_on_curve()).then_some(point)
    }

    fn plain(&self) -> Vec<u8> {
        let (x, y) = self.xy().unwrap_or_default();
        let mut bytes: Vec<u8> = [y, x]
            .iter()
            .flat_map(Field::to_base_prime_field_elements)
            .flat_map(|number| to_bytes(number.into_bigint()))
            .collect();
        bytes.reverse();
        bytes
    }

    fn with_x(x: Self::BaseField, greater: bool) -> Option<Self> {
        Self::get_point_from_x_unchecked(x, greater)
    }
}

/// Whether `times` is the multiple of `of` in one group that `second_times` is of `second` in the other. Infinity is a
/// multiple of nothing.
pub(crate) fn same_ratio((of, times): (G1Affine, G1Affine), (second, second_times): (G2Affine, G2Affine)) -> bool {
    if of.is_zero() || times.is_zero() || second.is_zero() || second_times.is_zero() {
        return false;
    }
    Bn254::multi_pairing([of, -times], [second_times, second]).is_zero()
}

/// The sum of the points, each times its number.
pub(crate) fn combine<P: Point>(points: &[P], numbers: &[Fr]) -> P {
    P::Group::msm_unchecked(points, numbers).into_affine()
}

/// The points, each times a number.
pub(crate) fn scale<P: Point>(points: &[P], numbers: impl IntoIterator<Item = Fr>) -> Vec<P> {
    let scaled: Vec<P::Group> = points.iter().zip(numbers).map(|(point, number)| *point * number).collect();
    P::Group::normalize_batch(&scaled)
}

/// From powers of a number in the exponent to the Lagrange polynomials of a domain of their size, evaluated at it.
pub(crate) fn lagrange<P: Point>(powers: &[P]) -> Vec<P> {
    let mut points: Vec<P::Group> = powers.iter().map(|point| point.into_group()).collect();
    domain(powers.len()).ifft_in_place(&mut points);
    P::Group::normalize_batch(&points)
}

/// The domain of so many numbers, a power of two.
pub(crate) fn domain(size: usize) -> Radix2EvaluationDomain<Fr> {
    Radix2EvaluationDomain::new(size).expect("domains of ceremonies are far smaller than the field's largest")
}

fn coordinate<F: Field<BasePrimeField = Fq>>(bytes: &[u8]) -> Option<F> {
    let numbers: Option<Vec<Fq>> = bytes.as_chunks().0.iter().map(montgomery).collect();
    F::from_base_prime_field_elems(numbers?)
}

fn montgomery(bytes: &[u8; NUMBER]) -> Option<Fq> {
    let number = from_bytes(bytes);
    (number < Fq::MODULUS).then(|| Fq::new_unchecked(number))
}

#[cfg(test)]
mod tests {
    use ark_bn254::Fq2;
    use ark_ff::One as _;

    use super::*;

    fn file<P: Point>(point: &P) -> Vec<u8> {
        let mut bytes = Vec::new();
        point.write(&mut bytes);
        bytes
    }

    #[test]
    fn points_survive_their_encoding() {
        assert_eq!(G1Affine::read(&file(&G1Affine::generator())), Some(G1Affine::generator()));
        assert_eq!(G2Affine::read(&file(&G2Affine::generator())), Some(G2Affine::generator()));
        assert_eq!(G2Affine::read(&[0; 128]), Some(G2Affine::zero()));
        assert_eq!(G1Affine::read(&file(&G1Affine::zero())), Some(G1Affine::zero()));
        assert_eq!(G1Affine::read(&file(&G2Affine::generator())), None);
    }

    #[test]
    fn point_on_the_curve_and_outside_the_subgroup_is_refused() {
        let points = (0..).map(|x| G2Affine::with_x(Fq2::new(Fq::from(x), Fq::one()), true));
        let outside = points.flatten().find(|point| !point.is_in_correct_subgroup_assuming_on_curve()).unwrap();
        assert!(outside.is_on_curve());
        assert_eq!(G2Affine::read(&file(&outside)), None);
    }

    #[test]
    fn generators_are_hashed_as_others_write_them() {
        // The second coordinate's second part is the last but one, and so on: x.c1, x.c0, y.c1, y.c0.
        let plain = G2Affine::generator().plain();
        assert_eq!(hex::encode(&plain[..8]), "198e9393920d483a");
        assert_eq!(hex::encode(&plain[32..40]), "1800deef121f1e76");
        let one = G1Affine::generator().plain();
        assert_eq!((one[31], one[63]), (1, 2));
    }
}

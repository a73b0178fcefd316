//! Sums of points, each times a number: nine tenths of a proof's time.
//!
//! Pippenger's method: numbers are cut into signed digits of a few bits, points with the same digit are added up in one
//! bucket, and each bucket counts once. Additions are affine, with one inversion for a whole round of them. A [`Table`]
//! holds a point's multiples for every digit's place, so that one set of buckets serves all places; without one, every
//! place has its own set, and the sets are put together by doubling.
//!
//! Time and memory access depend on the numbers: nobody else may watch. What numbers leave in memory is wiped.

use ark_bn254::Fr;
use ark_ec::{
    AffineRepr,
    short_weierstrass::{Affine, Projective, SWCurveConfig},
};
use ark_ff::{AdditiveGroup, Field, PrimeField, Zero, batch_inversion};
use zeroize::{Zeroize, Zeroizing};

/// Fewer terms are dearer together than each alone.
const FEW: usize = 8;
/// So many points and what belongs to them fit a core's cache. An inversion costs no more than some twenty additions.
const GROUP: usize = 1 << 12;
/// Bits of a number.
const NUMBER_BITS: usize = Fr::MODULUS_BIT_SIZE as usize;

/// The points that numbers stand before.
pub(crate) enum Bases<'k, P: SWCurveConfig> {
    /// As the key has them.
    Points(&'k [Affine<P>]),
    /// The same with their multiples.
    Table(&'k Table<P>),
}

impl<P: SWCurveConfig> Clone for Bases<'_, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P: SWCurveConfig> Copy for Bases<'_, P> {}

/// Points and their multiples by the weight of every digit.
pub(crate) struct Table<P: SWCurveConfig> {
    /// Bits of a digit.
    window: usize,
    /// Where the multiples of a point begin; none if it is at infinity.
    starts: Vec<Option<u32>>,
    multiples: Vec<Affine<P>>,
}

impl<P: SWCurveConfig> Table<P> {
    /// `places(window)` points for each one given.
    pub(crate) fn new(points: &[Affine<P>], window: usize) -> Self {
        let places = places(window);
        let mut next = 0;
        let mut start = |point: &Affine<P>| {
            let start = (!point.is_zero()).then_some(next);
            next += if start.is_some() { places as u32 } else { 0 };
            start
        };
        let starts = points.iter().map(&mut start).collect();
        let mut current: Vec<Affine<P>> = points.iter().copied().filter(|point| !point.is_zero()).collect();
        let mut multiples = vec![Affine::identity(); current.len() * places];
        let mut inverses = Vec::with_capacity(current.len());
        for place in 0..places {
            for (multiples, point) in multiples.chunks_exact_mut(places).zip(&current) {
                multiples[place] = *point;
            }
            for _ in 0..window {
                inverses.clear();
                inverses.extend(current.iter().map(|point| run(point, point)));
                batch_inversion(&mut inverses);
                current.iter_mut().zip(&inverses).for_each(|(point, inverse)| *point = add(point, point, inverse));
            }
        }
        Self { window, starts, multiples }
    }
}

/// Points with the numbers before them.
pub(crate) struct Terms<'k, P: SWCurveConfig> {
    bases: Bases<'k, P>,
    /// Which point, and its number.
    numbers: Zeroizing<Vec<(usize, Fr)>>,
}

impl<'k, P: SWCurveConfig<ScalarField = Fr>> Terms<'k, P> {
    /// Leaves out the zeros.
    pub(crate) fn new(bases: Bases<'k, P>, numbers: impl Iterator<Item = (usize, Fr)>) -> Self {
        // Room for all of them at once, so that growing leaves no copy behind.
        let mut kept = Zeroizing::new(Vec::with_capacity(numbers.size_hint().1.unwrap_or(0)));
        kept.extend(numbers.filter(|(_, number)| !number.is_zero()));
        Self { bases, numbers: kept }
    }

    fn one_by_one(&self) -> Projective<P> {
        let point = |index: usize| match self.bases {
            Bases::Points(points) => points[index],
            Bases::Table(table) => {
                table.starts[index].map_or(Affine::identity(), |start| table.multiples[start as usize])
            }
        };
        self.numbers.iter().map(|(index, number)| point(*index) * number).sum()
    }
}

/// The sum over all terms. All of them have tables, or none has.
pub(crate) fn sum<P: SWCurveConfig<ScalarField = Fr>>(terms: &[Terms<'_, P>]) -> Projective<P> {
    let count: usize = terms.iter().map(|terms| terms.numbers.len()).sum();
    if count <= FEW {
        return terms.iter().map(Terms::one_by_one).sum();
    }
    let tables = terms.iter().map(|terms| match terms.bases {
        Bases::Points(_) => None,
        Bases::Table(table) => Some(table.window),
    });
    let mut windows = tables.clone();
    let table = windows.next().flatten();
    assert!(windows.all(|window| window == table), "terms of one sum have digits of one length");

    let window = table.unwrap_or_else(|| window_without_tables(count));
    let places = places(window);
    let mut digits = Zeroizing::new(vec![0; count * places]);
    let numbers = terms.iter().flat_map(|terms| terms.numbers.iter());
    digits.chunks_exact_mut(places).zip(numbers).for_each(|(digits, (_, number))| cut(number, window, digits));

    let mut buckets = Buckets::new(window, if table.is_some() { count * places } else { count });
    if table.is_some() {
        return buckets.fill(|each| {
            let mut digits = digits.chunks_exact(places);
            for Terms { bases, numbers } in terms {
                let Bases::Table(table) = bases else { continue };
                for ((index, _), digits) in numbers.iter().zip(&mut digits) {
                    let Some(start) = table.starts[*index] else { continue };
                    let multiples = &table.multiples[start as usize..][..places];
                    multiples.iter().zip(digits).for_each(|(point, digit)| each(*digit, point));
                }
            }
        });
    }
    (0..places).rev().fold(Projective::zero(), |mut sum, place| {
        for _ in 0..window {
            sum.double_in_place();
        }
        sum + buckets.fill(|each| {
            let mut digits = digits.chunks_exact(places);
            for Terms { bases, numbers } in terms {
                let Bases::Points(points) = bases else { continue };
                for ((index, _), digits) in numbers.iter().zip(&mut digits) {
                    each(digits[place], &points[*index]);
                }
            }
        })
    })
}

/// How many digits a number has, the last carry included.
const fn places(window: usize) -> usize {
    NUMBER_BITS / window + 1
}

/// Weighs additions against the buckets that are counted at every place.
const fn window_without_tables(terms: usize) -> usize {
    match terms {
        0..1_000 => 8,
        1_000..6_000 => 9,
        _ => 10,
    }
}

/// Digits between −2^(window−1) and 2^(window−1), lowest first.
fn cut(number: &Fr, window: usize, digits: &mut [i16]) {
    let mut limbs = Zeroizing::new(number.into_bigint().0);
    let mut carry = 0;
    for digit in digits {
        let low = (limbs[0] & ((1 << window) - 1)) as i16 + carry;
        carry = i16::from(low > 1 << (window - 1));
        *digit = low - (carry << window);
        for limb in 0..limbs.len() {
            let above = limbs.get(limb + 1).copied().unwrap_or(0);
            limbs[limb] = limbs[limb] >> window | above << (64 - window);
        }
    }
    debug_assert!(carry == 0 && limbs.iter().all(|limb| *limb == 0));
}

/// Points by digit.
struct Buckets<P: SWCurveConfig> {
    /// Where each bucket's points begin, and how many there are; the first bucket is for digits 1 and −1.
    runs: Vec<(usize, usize)>,
    points: Vec<Affine<P>>,
    inverses: Vec<P::BaseField>,
}

impl<P: SWCurveConfig> Buckets<P> {
    /// With room for so many points, so that growing leaves no copy behind.
    fn new(window: usize, most: usize) -> Self {
        let (points, inverses) = (vec![Affine::identity(); most], Vec::with_capacity(most / 2));
        Self { runs: vec![(0, 0); 1 << (window - 1)], points, inverses }
    }

    /// The sum of all points times their digits. `visit` shows them twice, in one order.
    fn fill(&mut self, visit: impl Fn(&mut dyn FnMut(i16, &Affine<P>))) -> Projective<P> {
        let Self { runs, points, .. } = self;
        runs.fill((0, 0));
        visit(&mut |digit, _| {
            if let Some(bucket) = usize::from(digit.unsigned_abs()).checked_sub(1) {
                runs[bucket].1 += 1;
            }
        });
        let mut total = 0;
        for (start, length) in &mut *runs {
            *start = total;
            total += std::mem::take(length);
        }
        visit(&mut |digit, point| {
            if let Some(bucket) = usize::from(digit.unsigned_abs()).checked_sub(1) {
                let (start, length) = &mut runs[bucket];
                points[*start + *length] = if digit < 0 { -*point } else { *point };
                *length += 1;
            }
        });
        self.add_up();
        self.count()
    }

    /// Adds neighbours in every bucket until one point is left in each: bucket after bucket, as many at a time as fit
    /// the cache.
    fn add_up(&mut self) {
        let Self { runs, points, inverses } = self;
        let mut rest = runs.as_mut_slice();
        while let Some((start, _)) = rest.first() {
            let end = start + GROUP;
            let some = rest.partition_point(|(start, _)| *start < end);
            let (group, others) = rest.split_at_mut(some);
            add_up(group, points, inverses);
            rest = others;
        }
    }

    /// The sum of every bucket's point times the bucket's digit, which is one more than its place. With places as a
    /// square, of rows and columns, most of that is plain sums again.
    fn count(&mut self) -> Projective<P> {
        let Self { runs, points, inverses } = self;
        let width_bits = runs.len().ilog2() / 2;
        let width = 1 << width_bits;
        let at = |place: usize| match runs[place] {
            (_, 0) => Affine::identity(),
            (start, _) => points[start],
        };
        let height = runs.len() / width;
        let mut rows = Zeroizing::new((0..runs.len()).map(at).collect::<Vec<_>>());
        let down = |place: usize| at(place % height * width + place / height);
        let mut columns = Zeroizing::new((0..runs.len()).map(down).collect::<Vec<_>>());
        let (all, mut by_row) = add_up_every(width, &mut rows, inverses);
        let (_, by_column) = add_up_every(height, &mut columns, inverses);
        for _ in 0..width_bits {
            by_row.double_in_place();
        }
        all + by_row + by_column
    }
}

/// Adds up every so many points. Result: the sum of these sums, and the same with each sum times its place.
fn add_up_every<P: SWCurveConfig>(
    length: usize,
    points: &mut [Affine<P>],
    inverses: &mut Vec<P::BaseField>,
) -> (Projective<P>, Projective<P>) {
    let mut runs: Vec<(usize, usize)> = (0..points.len()).step_by(length).map(|start| (start, length)).collect();
    add_up(&mut runs, points, inverses);
    let (mut sum, mut weighed) = (Projective::zero(), Projective::zero());
    for (start, _) in runs.iter().rev() {
        weighed += sum;
        sum += points[*start];
    }
    (sum, weighed)
}

/// Sums of few points give numbers away as digits do.
impl<P: SWCurveConfig> Drop for Buckets<P> {
    fn drop(&mut self) {
        self.points.zeroize();
        self.inverses.zeroize();
        self.runs.zeroize();
    }
}

/// Adds neighbours in these buckets until one point is left in each.
fn add_up<P: SWCurveConfig>(runs: &mut [(usize, usize)], points: &mut [Affine<P>], inverses: &mut Vec<P::BaseField>) {
    loop {
        inverses.clear();
        for (start, length) in &*runs {
            let pairs = points[*start..*start + *length].chunks_exact(2);
            inverses.extend(pairs.map(|pair| run(&pair[0], &pair[1])));
        }
        if inverses.is_empty() {
            return;
        }
        batch_inversion(inverses);
        let mut inverses = inverses.iter();
        for (start, length) in &mut *runs {
            let points = &mut points[*start..*start + *length];
            let pairs = *length / 2;
            for (pair, inverse) in (0..pairs).zip(&mut inverses) {
                points[pair] = add(&points[2 * pair], &points[2 * pair + 1], inverse);
            }
            if *length % 2 == 1 {
                points[pairs] = points[*length - 1];
            }
            *length -= pairs;
        }
    }
}

/// What the slope of the line through two points is divided by; zero if their sum needs no slope.
fn run<P: SWCurveConfig>(one: &Affine<P>, other: &Affine<P>) -> P::BaseField {
    if one.x != other.x {
        other.x - one.x
    } else if one.y == other.y {
        one.y.double()
    } else {
        P::BaseField::zero()
    }
}

/// The sum of two points, whatever they are, given the inverse of [`run`].
fn add<P: SWCurveConfig>(one: &Affine<P>, other: &Affine<P>, inverse: &P::BaseField) -> Affine<P> {
    if one.is_zero() {
        return *other;
    }
    if other.is_zero() {
        return *one;
    }
    let rise = if one.x != other.x {
        other.y - one.y
    } else if one.y == other.y {
        let square = one.x.square();
        square.double() + square + P::COEFF_A
    } else {
        return Affine::identity();
    };
    let slope = rise * inverse;
    let x = slope.square() - one.x - other.x;
    Affine::new_unchecked(x, slope * (one.x - x) - one.y)
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use ark_bn254::{g1, g2};
    use ark_ec::{CurveGroup, PrimeGroup};
    use ark_ff::One;

    use super::*;
    use crate::{field::random, testing::rng};

    /// Multiples of a generator, one of them at infinity, in front of numbers of every kind.
    fn sample<P: SWCurveConfig<ScalarField = Fr>>() -> (Vec<Affine<P>>, Vec<Fr>) {
        let rng = &mut rng(30);
        let generator = Projective::<P>::generator();
        let mut factors: Vec<Fr> = (0..150).map(|_| random(rng)).collect();
        factors[3] = Fr::zero();
        let mut numbers: Vec<Fr> = (0..150).map(|_| random(rng)).collect();
        numbers[..40].fill(Fr::one()); // many in one bucket
        numbers[40..60].fill(-Fr::one());
        numbers[60] = Fr::zero();
        factors[62] = factors[61]; // equal points: a doubling
        numbers[62] = numbers[61];
        factors[64] = -factors[63]; // opposite points: infinity
        numbers[64] = numbers[63];
        numbers[65] = Fr::from(2).pow([253]); // digits at the edges of a window
        numbers[66] = Fr::from((1 << 11) + 1);
        numbers[67] = Fr::from(1 << 9);
        numbers[68] = -Fr::from(2).pow([128]);
        let points: Vec<Projective<P>> = factors.iter().map(|factor| generator * factor).collect();
        (Projective::normalize_batch(&points), numbers)
    }

    fn naive<P: SWCurveConfig<ScalarField = Fr>>(points: &[Affine<P>], numbers: &[Fr]) -> Projective<P> {
        points.iter().zip(numbers).map(|(point, number)| *point * number).sum()
    }

    fn terms<'k, P>(bases: Bases<'k, P>, numbers: &[Fr], range: Range<usize>) -> Terms<'k, P>
    where
        P: SWCurveConfig<ScalarField = Fr>,
    {
        Terms::new(bases, range.map(|index| (index, numbers[index])))
    }

    fn check<P: SWCurveConfig<ScalarField = Fr>>() {
        let (points, numbers) = sample::<P>();
        let expected = naive(&points, &numbers);
        assert_eq!(sum(&[terms(Bases::Points(&points), &numbers, 0..150)]), expected);
        assert_eq!(
            sum(&[terms(Bases::Points(&points), &numbers, 0..70), terms(Bases::Points(&points), &numbers, 70..150)]),
            expected
        );
        for window in 2..13 {
            let table = Table::new(&points, window);
            assert_eq!(sum(&[terms(Bases::Table(&table), &numbers, 0..150)]), expected, "window {window}");
            let halves = [terms(Bases::Table(&table), &numbers, 0..70), terms(Bases::Table(&table), &numbers, 70..150)];
            assert_eq!(sum(&halves), expected, "window {window}, in halves");
        }
        assert_eq!(sum::<P>(&[]), Projective::zero());
        let (few, table) = (naive(&points[..5], &numbers[..5]), Table::new(&points, 7));
        assert_eq!(sum(&[terms(Bases::Points(&points), &numbers, 0..5)]), few);
        assert_eq!(sum(&[terms(Bases::Table(&table), &numbers, 0..5)]), few);
    }

    #[test]
    fn sums_are_those_of_single_multiplications() {
        check::<g1::Config>();
        check::<g2::Config>();
    }

    #[test]
    fn digits_add_up_to_their_number() {
        let rng = &mut rng(31);
        let edges = [Fr::zero(), Fr::one(), -Fr::one(), Fr::from(u64::MAX), Fr::from(1 << 11)];
        for number in edges.into_iter().chain((0..20).map(|_| random(rng))) {
            for window in 2..14 {
                let mut digits = vec![0; places(window)];
                cut(&number, window, &mut digits);
                assert!(digits.iter().all(|digit| digit.unsigned_abs() <= 1 << (window - 1)));
                let base = Fr::from(1 << window);
                let sum = digits.iter().rev().fold(Fr::zero(), |sum, digit| sum * base + Fr::from(*digit));
                assert_eq!(sum, number, "window {window}");
            }
        }
    }
}

//! The hash on values, with its partial rounds in sparse form (Grassi et al., "Poseidon", USENIX Security 2021, appendix B):
//! the same function as rounds with whole matrices, for a third of the multiplications at width nine.
//!
//! Between the S-boxes of two partial rounds everything is linear, so it may be regrouped. The constants of the lanes
//! without an S-box are carried forward until a round that has one for them. And with a mixing matrix of parts
//! `[corner, row; column, minor]`, the other lanes are kept as `minor^k` times themselves while `k` partial rounds are to
//! come: then a round adds multiples of one number to them, and no matrix is left but one in front of the first of these
//! rounds. All of it is derived from circomlib's constants, once per process and width.

use std::sync::OnceLock;

use ark_bn254::Fr;
use ark_ff::{Field, Zero};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::{Constants, MAX_INPUTS, matrix::Matrix};

/// `Pn`: the digest of n numbers, 1 ≤ n ≤ 8. They may be secrets: the state is wiped.
pub(crate) fn hash<const N: usize>(inputs: &[Fr; N]) -> Fr {
    const { assert!(N >= 1 && N <= MAX_INPUTS) };
    static SCHEDULES: [OnceLock<Schedule>; MAX_INPUTS] = [const { OnceLock::new() }; MAX_INPUTS];
    let Schedule { opening, entry, partial, closing, mix } =
        SCHEDULES[N - 1].get_or_init(|| Schedule::new(&Constants::new(N)));

    let mut state = State { first: Fr::zero(), others: *inputs };
    let (before_entry, opening) = opening.split_last().expect("there are full rounds");
    for constants in opening {
        state.full_round(constants, mix);
    }
    state.full_round(before_entry, entry);
    state.partial_rounds(partial);
    let (last, closing) = closing.split_last().expect("there are full rounds");
    for constants in closing {
        state.full_round(constants, mix);
    }
    state.last_round(last, mix)
}

/// The constants of one width, regrouped.
struct Schedule {
    /// The constants of the full rounds before the partial ones.
    opening: Vec<Vec<Fr>>,
    /// Takes the place of `mix` in the last of these.
    entry: Mix,
    partial: Partial,
    /// The constants of the full rounds behind the partial ones, with what the latter carried forward.
    closing: Vec<Vec<Fr>>,
    mix: Mix,
}

/// A matrix, the weights of the first lane apart from those of the others.
struct Mix {
    first: Vec<Fr>,
    /// Row by row.
    others: Vec<Fr>,
}

/// The partial rounds.
struct Partial {
    /// Of the first lane, one per round.
    constants: Vec<Fr>,
    /// What the first lane counts for itself, in every round.
    corner: Fr,
    /// What the other lanes count for the first, round by round.
    rows: Vec<Fr>,
    /// What the first lane counts for the others, round by round.
    columns: Vec<Fr>,
}

impl Schedule {
    fn new(constants: &Constants) -> Self {
        let Constants { full_rounds, partial_rounds, rounds, mix } = constants;
        let (opening, rest) = rounds.split_at(full_rounds / 2);
        let (partial, closing) = rest.split_at(*partial_rounds);
        let (partial, carried) = Partial::new(partial, mix);
        let mut closing = closing.to_vec();
        closing[0].iter_mut().zip(carried).for_each(|(constant, carried)| *constant += carried);
        Self {
            opening: opening.to_vec(),
            entry: Mix::new(&entry(*partial_rounds, mix)),
            partial,
            closing,
            mix: Mix::new(mix),
        }
    }
}

/// Mixes, and brings the other lanes into the form in which the first partial round takes them.
fn entry(partial_rounds: usize, mix: &Matrix) -> Matrix {
    let minor = mix.minor();
    let power = (0..partial_rounds).fold(Matrix::identity(minor.rows().len()), |power, _| power.times(&minor));
    power.bordered().times(mix)
}

impl Mix {
    fn new(matrix: &Matrix) -> Self {
        let others = matrix.rows().iter().flat_map(|row| row[1..].to_vec()).collect();
        Self { first: matrix.column(0), others }
    }
}

impl Partial {
    /// Also gives what is to be added to the constants of the round behind these.
    fn new(rounds: &[Vec<Fr>], mix: &Matrix) -> (Self, Vec<Fr>) {
        let mut carried = vec![Fr::zero(); mix.rows().len()];
        let mut constants = Vec::with_capacity(rounds.len());
        for round in rounds {
            carried.iter_mut().zip(round).for_each(|(carried, constant)| *carried += constant);
            constants.push(std::mem::replace(&mut carried[0], Fr::zero()));
            carried = mix.apply(&carried);
        }

        // From the last round to the first: its other lanes come out as they are, those of the one before as `minor` times
        // themselves, and so on.
        let (minor, unmix) = (mix.minor(), mix.minor().inverse());
        let mut row = mix.rows()[0][1..].to_vec();
        let mut column = mix.column(0)[1..].to_vec();
        let (mut rows, mut columns) = (Vec::new(), Vec::new());
        for _ in rounds {
            row = unmix.apply_left(&row);
            rows.push(row.clone());
            columns.push(column.clone());
            column = minor.apply(&column);
        }
        let in_order = |backwards: Vec<Vec<Fr>>| backwards.into_iter().rev().flatten().collect();
        let corner = mix.rows()[0][0];
        (Self { constants, corner, rows: in_order(rows), columns: in_order(columns) }, carried)
    }
}

/// The lanes: the one that has an S-box in every round, and the others.
#[derive(Zeroize, ZeroizeOnDrop)]
struct State<const N: usize> {
    first: Fr,
    others: [Fr; N],
}

impl<const N: usize> State<N> {
    fn full_round(&mut self, constants: &[Fr], mix: &Mix) {
        self.substitute(constants);
        let (rows, _) = mix.others.as_chunks();
        let Self { first, others } = &Self { first: self.first, others: self.others };
        let mut lanes = mix.first.iter().zip(rows).map(|(weight, row)| *weight * first + dot(row, others));
        if let Some(lane) = lanes.next() {
            self.first = lane;
        }
        self.others.iter_mut().zip(lanes).for_each(|(other, lane)| *other = lane);
    }

    /// Nobody asks for the other lanes behind it.
    fn last_round(&mut self, constants: &[Fr], mix: &Mix) -> Fr {
        self.substitute(constants);
        let (rows, _) = mix.others.as_chunks();
        mix.first[0] * self.first + dot(&rows[0], &self.others)
    }

    fn substitute(&mut self, constants: &[Fr]) {
        let lanes = std::iter::once(&mut self.first).chain(&mut self.others);
        lanes.zip(constants).for_each(|(lane, constant)| *lane = fifth_power(*lane + constant));
    }

    fn partial_rounds(&mut self, partial: &Partial) {
        let Partial { constants, corner, rows, columns } = partial;
        let ((rows, _), (columns, _)) = (rows.as_chunks(), columns.as_chunks::<N>());
        for ((constant, row), column) in constants.iter().zip(rows).zip(columns) {
            let output = fifth_power(self.first + constant);
            self.first = *corner * output + dot(row, &self.others);
            self.others.iter_mut().zip(column).for_each(|(other, weight)| *other += *weight * output);
        }
    }
}

// `Fr::sum_of_products` reduces less often, and took half as long again.
fn dot<const N: usize>(weights: &[Fr; N], lanes: &[Fr; N]) -> Fr {
    weights.iter().zip(lanes).map(|(weight, lane)| *weight * lane).sum()
}

fn fifth_power(number: Fr) -> Fr {
    number.square().square() * number
}

#[cfg(test)]
mod tests {
    use alloy_primitives::B256;
    use light_poseidon::{Poseidon, PoseidonHasher};
    use proptest::prelude::*;
    use serde_json::Value;
    use xmtp_proto::field::FieldElement;

    use super::*;
    use crate::field::{reduce_wide, to_fr};

    fn number(value: &Value) -> Fr {
        let bytes: B256 = value.as_str().unwrap().parse().unwrap();
        to_fr(FieldElement::from_be_bytes(bytes.0).unwrap())
    }

    fn check_vectors<const N: usize>(vectors: &Value) {
        let cases = vectors[format!("poseidon{N}")].as_array().unwrap();
        assert!(cases.len() >= 8);
        for case in cases {
            let inputs =
                case.get("inputs").map_or_else(|| vec![&case["input"]], |all| all.as_array().unwrap().iter().collect());
            let inputs: [Fr; N] = inputs.into_iter().map(number).collect::<Vec<_>>().try_into().unwrap();
            assert_eq!(hash(&inputs), number(&case["output"]), "{case}");
        }
    }

    #[test]
    fn native_hash_meets_circomlibs_vectors() {
        let vectors = serde_json::from_str(include_str!("../../../testdata/vectors/poseidon.json")).unwrap();
        check_vectors::<1>(&vectors);
        check_vectors::<2>(&vectors);
        check_vectors::<3>(&vectors);
        check_vectors::<8>(&vectors);
    }

    fn check_width<const N: usize>(inputs: [Fr; N]) {
        let mut whole_matrices = Poseidon::<Fr>::new_circom(N).unwrap();
        assert_eq!(hash(&inputs), whole_matrices.hash(&inputs).unwrap(), "{N} inputs");
    }

    fn check_all_widths(inputs: [Fr; MAX_INPUTS]) {
        check_width::<1>(std::array::from_fn(|lane| inputs[lane]));
        check_width::<2>(std::array::from_fn(|lane| inputs[lane]));
        check_width::<3>(std::array::from_fn(|lane| inputs[lane]));
        check_width::<4>(std::array::from_fn(|lane| inputs[lane]));
        check_width::<5>(std::array::from_fn(|lane| inputs[lane]));
        check_width::<6>(std::array::from_fn(|lane| inputs[lane]));
        check_width::<7>(std::array::from_fn(|lane| inputs[lane]));
        check_width::<8>(inputs);
    }

    #[test]
    fn sparse_rounds_agree_with_whole_matrices_at_the_edges_of_the_field() {
        for inputs in [[Fr::from(0); MAX_INPUTS], [Fr::from(1); MAX_INPUTS], [-Fr::from(1); MAX_INPUTS]] {
            check_all_widths(inputs);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn sparse_rounds_agree_with_whole_matrices(lanes in any::<[[u8; 32]; 2 * MAX_INPUTS]>()) {
            let wide = |lane: usize| [lanes[2 * lane], lanes[2 * lane + 1]].concat().try_into().unwrap();
            check_all_widths(std::array::from_fn(|lane| reduce_wide(&wide(lane))));
        }
    }
}

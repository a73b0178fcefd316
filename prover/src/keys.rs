//! Proving and verifying keys (docs/protocol.md, "Keys for proofs").
//!
//! Development keys come from a fixed seed: whoever knows it, and everybody does, can prove anything. A node on a
//! network that is worth something refuses them ([`VerifyingKey::is_dev`]).

use std::{
    fmt, fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, LazyLock, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use alloy_primitives::{B256, keccak256};
use ark_bn254::{Bn254, Fr, G1Affine, G1Projective, G2Affine, G2Projective};
use ark_ec::{AffineRepr, PrimeGroup, scalar_mul::BatchMulPreprocessing};
use ark_groth16::{Groth16, PreparedVerifyingKey};
use ark_serialize::{CanonicalDeserialize, CanonicalSerialize};
use rand_chacha::{
    ChaCha20Rng,
    rand_core::{CryptoRng, SeedableRng},
};

use crate::{
    batch::KeyLines,
    field::random,
    groth16::{Queries, Tables},
    shape::{PUBLIC, SHAPE, blank_circuit},
};

/// What the seed of the development keys is hashed from.
const DEV_SEED: &[u8] = b"xmtp/keys/dev/1";
/// The development verifying key, as [`VerifyingKey::to_bytes`] writes it. `examples/pin.rs` made it, and a test
/// makes it again.
const DEV_VERIFYING_KEY: &[u8] = include_bytes!("../keys/dev.vk");
/// The hash of the development proving key, as [`ProvingKey::to_bytes`] writes it.
const DEV_PROVING_KEY_KECCAK: B256 = B256::new(*include_bytes!("../keys/dev.pk.keccak"));
/// What arkworks derives the windows of a verifying key's tables from: five bits, a hundred kilobytes per public input.
const TABLE_USES: usize = 1 << 8;
/// More than a proving key's file.
pub(crate) const MAX_FILE_BYTES: u64 = 1 << 22;

/// What a node needs to verify proofs. Ready for pairings: it takes some milliseconds to make and not quite a megabyte
/// to keep; clones share it.
#[derive(Clone)]
pub struct VerifyingKey {
    prepared: Arc<Prepared>,
    keccak: B256,
}

struct Prepared {
    key: PreparedVerifyingKey<Bn254>,
    /// Multiples of each public input's point, so that a statement costs additions only.
    inputs: Vec<BatchMulPreprocessing<G1Projective>>,
    /// For batches.
    lines: KeyLines,
}

/// What a client needs to prove: some 1.6 MB, and 30 more after [`Self::precompute`]. Clones share it.
#[derive(Clone)]
pub struct ProvingKey {
    key: Arc<ark_groth16::ProvingKey<Bn254>>,
    tables: Arc<OnceLock<Tables>>,
    /// Of the rows of signal and share: [`Queries::products`].
    products: Arc<OnceLock<[G1Affine; 2]>>,
}

/// The bytes are not a key of the pass circuit. The fault of where they came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedKey {
    /// Not the points of a key, or not in their one encoding, or some not on their curve, outside their subgroup, or
    /// at infinity where that is no key.
    #[error("not a key, or not a valid one")]
    Points,
    /// A key, but of another circuit.
    #[error("the key belongs to another circuit")]
    OtherCircuit,
}

/// Why there is no development key.
#[derive(Debug, thiserror::Error)]
pub enum DevKeyError {
    /// The folder cannot be written. For its owner to mend.
    #[error("cannot store the development proving key as {}", path.display())]
    Store {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The circuit was changed and the key was not pinned anew: a mistake of this crate's.
    #[error("the development key is not the pinned one")]
    NotPinned,
}

impl PartialEq for VerifyingKey {
    fn eq(&self, other: &Self) -> bool {
        self.keccak == other.keccak
    }
}

impl Eq for VerifyingKey {}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({})", self.keccak)
    }
}

impl VerifyingKey {
    /// The development key.
    #[must_use]
    pub fn dev() -> &'static Self {
        static DEV: LazyLock<VerifyingKey> =
            LazyLock::new(|| VerifyingKey::from_bytes(DEV_VERIFYING_KEY).expect("tests/pinned.rs reads these bytes"));
        &DEV
    }

    /// Reads a key as [`Self::to_bytes`] writes it and checks every point.
    ///
    /// # Errors
    /// [`MalformedKey`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MalformedKey> {
        let key = ark_groth16::VerifyingKey::deserialize_compressed(bytes).map_err(|_| MalformedKey::Points)?;
        let key = Self::from_points(key)?;
        if key.to_bytes() == bytes { Ok(key) } else { Err(MalformedKey::Points) }
    }

    /// 488 bytes: α (G1), β, γ, δ (G2), the number 8 in eight bytes little-endian, and the eight points (G1) of one and
    /// the public inputs; points compressed as in [`crate::Proof`].
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        compressed(&self.prepared.key.vk)
    }

    /// keccak256 of [`Self::to_bytes`]: the key's name.
    #[must_use]
    pub const fn keccak(&self) -> B256 {
        self.keccak
    }

    /// Whether this is the development key, under which anybody can prove anything.
    #[must_use]
    pub fn is_dev(&self) -> bool {
        self.keccak == Self::dev().keccak
    }

    /// Of β, γ and δ.
    pub(crate) fn lines(&self) -> &KeyLines {
        &self.prepared.lines
    }

    /// For pairings.
    pub(crate) fn prepared(&self) -> &PreparedVerifyingKey<Bn254> {
        &self.prepared.key
    }

    /// α.
    pub(crate) fn alpha(&self) -> G1Affine {
        self.prepared.key.vk.alpha_g1
    }

    /// The point of the input that is always one.
    pub(crate) fn one(&self) -> G1Affine {
        self.prepared.key.vk.gamma_abc_g1[0]
    }

    /// The sum of the other public inputs' points, each times its input.
    pub(crate) fn combine(&self, public: &[Fr; PUBLIC - 1]) -> G1Projective {
        let tables = self.prepared.inputs.iter().zip(public);
        tables.flat_map(|(table, input)| table.batch_mul(&[*input])).map(G1Projective::from).sum()
    }

    fn from_points(key: ark_groth16::VerifyingKey<Bn254>) -> Result<Self, MalformedKey> {
        let ark_groth16::VerifyingKey { alpha_g1, beta_g2, gamma_g2, delta_g2, gamma_abc_g1 } = &key;
        if gamma_abc_g1.len() != PUBLIC {
            return Err(MalformedKey::OtherCircuit);
        }
        // An input whose point is at infinity would be bound by nothing.
        if alpha_g1.is_zero() || [beta_g2, gamma_g2, delta_g2].into_iter().any(G2Affine::is_zero) {
            return Err(MalformedKey::Points);
        }
        if gamma_abc_g1.iter().any(G1Affine::is_zero) {
            return Err(MalformedKey::Points);
        }
        let keccak = keccak256(compressed(&key));
        let inputs = gamma_abc_g1.iter().skip(1);
        let inputs = inputs.map(|point| BatchMulPreprocessing::new((*point).into(), TABLE_USES)).collect();
        let lines = KeyLines::new(&key).ok_or(MalformedKey::Points)?;
        let key = ark_groth16::prepare_verifying_key(&key);
        Ok(Self { prepared: Arc::new(Prepared { key, inputs, lines }), keccak })
    }
}

impl PartialEq for ProvingKey {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl fmt::Debug for ProvingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProvingKey(..)")
    }
}

impl ProvingKey {
    /// Makes the development key from its seed: a third of a second.
    ///
    /// # Errors
    /// [`DevKeyError::NotPinned`] if it is not the key that nodes know.
    pub fn dev() -> Result<Self, DevKeyError> {
        let key = Self::dev_unpinned();
        if keccak256(key.to_bytes()) == DEV_PROVING_KEY_KECCAK { Ok(key) } else { Err(DevKeyError::NotPinned) }
    }

    /// Reads the development key from a file in `dir`, which must exist; makes the key and the file where there is
    /// none, or one with other content. Any number of processes may do so at once.
    ///
    /// # Errors
    /// [`DevKeyError`].
    pub fn dev_cached(dir: &Path) -> Result<Self, DevKeyError> {
        let path = dir.join(format!("pass-dev-{}.pk", &DEV_PROVING_KEY_KECCAK.to_string()[2..10]));
        if let Some(key) = Self::read_pinned(&path) {
            return Ok(key);
        }
        let key = Self::dev()?;
        replace(&path, &key.to_bytes()).map_err(|source| DevKeyError::Store { path, source })?;
        Ok(key)
    }

    /// The development key as the seed and the circuit give it, pinned or not. For `examples/pin.rs`.
    #[doc(hidden)]
    #[must_use]
    pub fn dev_unpinned() -> Self {
        Self::of_seed(keccak256(DEV_SEED).0)
    }

    /// The key of a seed: whoever knows the seed can prove anything, and [`VerifyingKey::is_dev`] does not know it. For
    /// tests that want another key than the development key, and in nothing else.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self::of_seed(seed)
    }

    fn of_seed(seed: [u8; 32]) -> Self {
        Self::new(generate(&mut ChaCha20Rng::from_seed(seed)))
    }

    /// Reads a key as [`Self::to_bytes`] writes it and checks every point: a third of a second.
    ///
    /// A key can be well-formed and still not be one of the pass circuit; proofs made with it do not verify.
    ///
    /// # Errors
    /// [`MalformedKey`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MalformedKey> {
        let mut rest = bytes;
        let key = ark_groth16::ProvingKey::deserialize_uncompressed(&mut rest).map_err(|_| MalformedKey::Points)?;
        let key = Self::from_points(key)?;
        if rest.is_empty() && key.to_bytes() == bytes { Ok(key) } else { Err(MalformedKey::Points) }
    }

    /// The key's points, uncompressed as arkworks does it.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.key.uncompressed_size());
        self.key.serialize_uncompressed(&mut bytes).expect("a vector takes any number of bytes");
        bytes
    }

    /// The key that verifies proofs made with this one.
    ///
    /// # Errors
    /// [`MalformedKey`] if the part for verifiers is not a key for this circuit.
    pub fn verifying_key(&self) -> Result<VerifyingKey, MalformedKey> {
        VerifyingKey::from_points(self.key.vk.clone())
    }

    /// Makes tables of multiples of the key's points, unless there are some: 30 MB, and three seconds of computation on
    /// one core or two. From then on proofs and blanks take two thirds of the time: worth it for who makes more than
    /// some fifty.
    pub fn precompute(&self) {
        self.tables.get_or_init(|| Tables::new(&self.key));
    }

    /// [`Queries::products`], computed once.
    pub(crate) fn products(&self) -> &[G1Affine; 2] {
        self.products.get_or_init(|| self.queries().products())
    }

    pub(crate) fn queries(&self) -> Queries<'_> {
        Queries { key: &self.key, tables: self.tables.get() }
    }

    fn new(key: ark_groth16::ProvingKey<Bn254>) -> Self {
        Self { key: Arc::new(key), tables: Arc::default(), products: Arc::default() }
    }

    fn from_points(key: ark_groth16::ProvingKey<Bn254>) -> Result<Self, MalformedKey> {
        let ark_groth16::ProvingKey { vk, beta_g1: _, delta_g1: _, a_query, b_g1_query, b_g2_query, h_query, l_query } =
            &key;
        VerifyingKey::from_points(vk.clone())?;
        let variables = PUBLIC + SHAPE.private;
        let fits = [a_query.len(), b_g1_query.len(), b_g2_query.len()] == [variables; 3]
            && h_query.len() == SHAPE.domain() - 1
            && l_query.len() == SHAPE.private;
        if fits { Ok(Self::new(key)) } else { Err(MalformedKey::OtherCircuit) }
    }

    /// The development key in a file, if it is there and nothing else.
    fn read_pinned(path: &Path) -> Option<Self> {
        let mut bytes = Vec::new();
        fs::File::open(path).ok()?.take(MAX_FILE_BYTES).read_to_end(&mut bytes).ok()?;
        if keccak256(&bytes) != DEV_PROVING_KEY_KECCAK {
            return None;
        }
        // The bytes are the ones that this crate wrote, so their points need no check, which takes several times as long as all the rest.
        let key = ark_groth16::ProvingKey::deserialize_uncompressed_unchecked(bytes.as_slice()).ok()?;
        Self::from_points(key).ok()
    }
}

/// Writes a file whole or not at all.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    static WRITERS: AtomicU64 = AtomicU64::new(0);
    let writer = format!("{}-{}.tmp", std::process::id(), WRITERS.fetch_add(1, Ordering::Relaxed));
    let temporary = path.with_extension(writer);
    let write = || {
        let mut file = fs::File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().inspect_err(|_| {
        let _ = fs::remove_file(&temporary); // the first error is the one to report
    })
}

fn compressed(key: &ark_groth16::VerifyingKey<Bn254>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(key.compressed_size());
    key.serialize_compressed(&mut bytes).expect("a vector takes any number of bytes");
    bytes
}

fn generate(rng: &mut impl CryptoRng) -> ark_groth16::ProvingKey<Bn254> {
    let [alpha, beta, gamma, delta] = std::array::from_fn(|_| random(rng));
    let generators = (G1Projective::generator(), G2Projective::generator());
    Groth16::<Bn254>::generate_parameters_with_qap(
        &blank_circuit(),
        alpha,
        beta,
        gamma,
        delta,
        generators.0,
        generators.1,
        &mut ArkRng(rng),
    )
    .expect("the circuit has rows and fits its domain")
}

/// arkworks speaks an older dialect of `rand`.
struct ArkRng<'a, R>(&'a mut R);

impl<R: CryptoRng> ark_std::rand::RngCore for ArkRng<'_, R> {
    fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), ark_std::rand::Error> {
        self.0.fill_bytes(bytes);
        Ok(())
    }
}

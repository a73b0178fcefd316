//! The peer: zerokit's RLN-v2 with the circuit and keys that come with it, 2^20 places in its tree.

use std::error::Error;

use rln::prelude::{
    CanonicalDeserialize, CanonicalSerialize, DEFAULT_TREE_DEPTH, Fr, Hasher, IdentityKeys, PartialProof, PoseidonHash,
    Proof, RLN, RLNBuilder, RLNPartialWitnessInput, RLNProofValues, RLNWitnessInput, Stateful, hash_to_field_le,
};
use zerokit_utils::merkle_tree::{OptimalMerkleTree, ZerokitMerkleTree};

type Tree = OptimalMerkleTree<PoseidonHash>;

/// A member that proves, and a node that verifies.
pub struct Peer {
    rln: RLN<Stateful<Tree>, rln::prelude::ArkGroth16Backend<PoseidonHash>>,
    witness: RLNWitnessInput,
    x: Fr,
    root: Fr,
}

impl Peer {
    /// Loads the key and makes a tree with one member.
    pub fn new() -> Result<Self, Box<dyn Error>> {
        let tree = Tree::default(DEFAULT_TREE_DEPTH)?;
        let mut rln = RLNBuilder::stateful().tree(tree).build();
        let keys = IdentityKeys::generate::<PoseidonHash, _>(&mut rand::thread_rng());
        let limit = Fr::from(10);
        rln.set_leaf(10, Hasher::<PoseidonHash>::hash_pair(keys.id_commitment(), limit))?;
        let x = hash_to_field_le(b"a letter");
        let witness = RLNWitnessInput::new_single()
            .identity_secret(keys.identity_secret())
            .user_message_limit(limit)
            .merkle_proof(&rln.get_merkle_proof(10)?)
            .x(x)
            .external_nullifier(hash_to_field_le(b"a day"))
            .message_id(Fr::from(1))
            .build()?;
        let root = rln.get_root();
        Ok(Self { rln, witness, x, root })
    }

    /// From the witness to the bytes of a proof.
    pub fn prove(&self) -> Result<(RLNProofValues, Vec<u8>), Box<dyn Error>> {
        let (proof, values) = self.rln.generate_proof(&self.witness)?;
        encode(&proof, values)
    }

    /// The part of a proof that is the same for secret, limit and path: the best that the peer does ahead of time.
    pub fn partial(&self) -> Result<PartialProof, Box<dyn Error>> {
        Ok(self.rln.generate_partial_proof(&RLNPartialWitnessInput::from(&self.witness))?)
    }

    /// From such a part to the bytes of a proof.
    pub fn finish(&self, partial: &PartialProof) -> Result<(RLNProofValues, Vec<u8>), Box<dyn Error>> {
        let (proof, values) = self.rln.finish_proof(partial, &self.witness)?;
        encode(&proof, values)
    }

    /// From the bytes of a proof to the verdict.
    pub fn verify(&self, values: &RLNProofValues, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
        let proof = Proof::deserialize_compressed(bytes)?;
        let verified = self.rln.verify_with_roots(&proof, values, &self.x, &[self.root])?;
        if verified { Ok(()) } else { Err("the peer refuses its own proof".into()) }
    }
}

fn encode(proof: &Proof, values: RLNProofValues) -> Result<(RLNProofValues, Vec<u8>), Box<dyn Error>> {
    let mut bytes = Vec::new();
    proof.serialize_compressed(&mut bytes)?;
    Ok((values, bytes))
}

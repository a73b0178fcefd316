//! Stakes: made, proved, left and slashed, in a world.

use alloy::primitives::{Address, U256};
use alloy::providers::DynProvider;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use xmtp_contracts::{IStake, IXmtpToken};
use xmtp_proto::derive::{self, Group, Purpose};
use xmtp_proto::envelope::Envelope;
use xmtp_proto::field::Root;
use xmtp_proto::pass::{self, Stake};
use xmtp_proto::time::Epoch;
use xmtp_proto::wire;
use xmtp_prover::{Bucket, Index, Limit, PassSecret, Path, Statement, Witness, prove};

use super::{World, fetch_bucket, proving_key, until};

/// Tokens that were staked, as the node knows them.
pub(crate) struct Staked {
    pub(crate) secret: PassSecret,
    pub(crate) tier: u32,
    pub(crate) limit: Limit,
    pub(crate) position: u32,
}

impl Staked {
    pub(crate) fn commitment(&self) -> U256 {
        self.secret.commitment().field().to_u256()
    }
}

impl World {
    pub(crate) fn stake_contract(&self) -> IStake::IStakeInstance<DynProvider> {
        IStake::new(self.deployment.stake.as_ref().unwrap().contract, self.provider.clone())
    }

    /// Stakes under a secret of its own, and waits until the node knows the leaf.
    pub(crate) async fn stake(&mut self, tier: u32, seed: u8) -> Staked {
        let secret = PassSecret::from_wide_bytes(&[seed; 64]).unwrap();
        let contract = self.stake_contract();
        let token = IXmtpToken::new(self.deployment.token, &self.provider);
        let amount = contract.tierOf(tier).call().await.unwrap().amount;
        let approved = token.approve(*contract.address(), U256::from(amount)).send().await.unwrap();
        approved.get_receipt().await.unwrap();
        let commitment = secret.commitment().field().to_u256();
        let receipt = contract.stake(tier, commitment).send().await.unwrap().get_receipt().await.unwrap();
        assert!(receipt.status(), "the stake was reverted");
        let staked = receipt.decoded_log::<IStake::Staked>().unwrap();
        let stake = Staked { secret, tier, limit: Limit::new(staked.limit).unwrap(), position: staked.position };
        self.until_staked(&stake).await;
        stake
    }

    /// Waits until the node's newest root of a tier has a stake.
    pub(crate) async fn until_staked(&self, stake: &Staked) {
        until("the node knows the stake", async || {
            let roots =
                self.client.clone().get_roots(roots_request(stake.tier)).await.map(|roots| roots.into_inner().roots);
            roots.unwrap_or_default().iter().any(|root| root.leaves > stake.position)
        })
        .await;
    }

    pub(crate) async fn exit(&self, stake: &Staked) {
        let receipt = self.stake_contract().requestExit(stake.commitment()).send().await.unwrap().get_receipt().await;
        assert!(receipt.unwrap().status(), "the exit was reverted");
    }

    /// Tells the chain the stake's secret.
    pub(crate) async fn slash_stake(&self, stake: &Staked, reporter: Address) {
        let secret = U256::from_be_bytes(*stake.secret.to_be_bytes());
        let receipt = self.stake_contract().slash(secret, reporter).send().await.unwrap().get_receipt().await.unwrap();
        assert!(receipt.status(), "the slash was reverted");
    }

    pub(crate) async fn stake_root(&mut self, tier: u32) -> Root {
        let roots = self.client.get_roots(roots_request(tier)).await.unwrap().into_inner().roots;
        let [root] = roots.try_into().unwrap();
        Root::from_be_bytes(root.root.try_into().unwrap()).unwrap()
    }

    /// The way from a stake's leaf to the newest root.
    pub(crate) async fn stake_path(&mut self, stake: &Staked) -> Path {
        let root = self.stake_root(stake.tier).await;
        let request = wire::GetBucketRequest {
            group: Some(wire::get_bucket_request::Group::Stakes(wire::StakeGroup { tier: stake.tier })),
            root: root.as_bytes().to_vec(),
            bucket: Bucket::index_of(stake.position),
        };
        fetch_bucket(&mut self.client, request, root).await.path(stake.position).unwrap()
    }

    /// A stake's pass for an envelope, under the newest root.
    pub(crate) async fn stake_pass(&mut self, stake: &Staked, epoch: Epoch, index: u16, envelope: &Envelope) -> Stake {
        let path = self.stake_path(stake).await;
        self.stake_pass_under(&path, stake, epoch, index, envelope)
    }

    pub(crate) fn stake_pass_under(
        &self,
        path: &Path,
        stake: &Staked,
        epoch: Epoch,
        index: u16,
        envelope: &Envelope,
    ) -> Stake {
        let witness = Witness { secret: &stake.secret, limit: stake.limit, index: Index::new(index), path };
        let contract = *self.stake_contract().address();
        let group = Group::Stake { contract, tier: stake.tier }.id(self.network, self.deployment.postage);
        let (statement, proof) = prove(
            proving_key(),
            &witness,
            group.external_nullifier(Purpose::Envelope, Some(epoch)),
            envelope.id(self.network).signal(),
            derive::scope(self.network, &envelope.topic),
            &mut ChaCha20Rng::from_seed([9; 32]),
        )
        .unwrap();
        let Statement { root, share, nullifier, tag, external_nullifier: _, signal: _, scope: _ } = statement;
        let proof = pass::Proof { root, nullifier, share, tag, points: proof.to_bytes() };
        Stake { tier: stake.tier, epoch, proof }
    }
}

pub(crate) const fn roots_request(tier: u32) -> wire::GetRootsRequest {
    wire::GetRootsRequest { group: Some(wire::get_roots_request::Group::Stakes(wire::StakeGroup { tier })) }
}

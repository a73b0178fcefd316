//! What belongs to a letter: the nullifiers of all passes that it was ever shown with. A node that accepted it before answers
//! with its first postmark, and that names what was cancelled then: perhaps yesterday, when a day's passes were others.

use xmtp_proto::derive::Purpose;
use xmtp_proto::field::Nullifier;

use super::{Client, SendError};
use crate::claims::claim_external_nullifier;
use crate::franking::{external_nullifier, stake_external_nullifier};
use crate::identity::Identity;
use crate::journal::StakeIndex;
use crate::membership::member_external_nullifier;
use crate::state::{BookId, ClaimIndex, LettersError, MemberIndex, Outgoing, SharedIndex, StakesError, StampUse};
use crate::transport::{ClaimGroup, MemberGroup, StampGroup};

/// One thing that passes are made of, and the nullifiers that it had with a letter: of a stamp one, of all else one a day.
type Source = Vec<Nullifier>;

impl Client {
    /// The nullifiers of all passes that a letter was ever shown with, in the order in which passes are shown: claims,
    /// memberships, stakes, stamps.
    pub(super) fn belonging(&self, identity: &Identity, outgoing: &Outgoing) -> Result<Vec<Source>, SendError> {
        let shared = self.state.indices_of(outgoing.letter.id)?;
        let mut sources = self.claims_of(identity, &shared);
        sources.push(self.memberships_of(identity, &shared));
        sources.extend(self.stakes_of(identity, outgoing)?);
        sources.extend(self.stamps_of(identity, outgoing)?.into_iter().map(|nullifier| vec![nullifier]));
        sources.retain(|source| !source.is_empty());
        Ok(sources)
    }

    /// In the order in which the network offers them.
    fn claims_of(&self, identity: &Identity, shared: &[SharedIndex]) -> Vec<Source> {
        let offered = self.deployment.offered_claims.iter().map(|offered| offered.id(self.network));
        let of_one = |id| {
            let of_it = shared.iter().filter_map(|it| match it {
                SharedIndex::Claim(ClaimIndex { claim, generation, index }) if *claim == id => {
                    Some((generation, index))
                }
                _ => None,
            });
            let nullifier = |(&generation, index): (&u32, &crate::journal::IndexName)| {
                let external = claim_external_nullifier(self.place(), ClaimGroup { id, generation }, index.epoch);
                identity.postal_seed().claim_secret(generation).nullifier(external, index.index())
            };
            of_it.map(nullifier).collect()
        };
        offered.map(of_one).collect()
    }

    fn memberships_of(&self, identity: &Identity, shared: &[SharedIndex]) -> Source {
        let nullifier = |it: &SharedIndex| {
            let SharedIndex::Member(MemberIndex { operator, generation, index }) = *it else { return None };
            let group = MemberGroup { operator, generation };
            let external = member_external_nullifier(self.place(), group, Purpose::Envelope, index.epoch);
            Some(identity.postal_seed().member_secret(generation).nullifier(external, index.index()))
        };
        shared.iter().filter_map(nullifier).collect()
    }

    /// In the order in which they were made.
    fn stakes_of(&self, identity: &Identity, outgoing: &Outgoing) -> Result<Vec<Source>, SendError> {
        let Some(staking) = &self.deployment.stake else { return Ok(Vec::new()) };
        let mut sources: Vec<(BookId, Source)> = Vec::new();
        for StakeIndex { stake, epoch, index } in self.state.stakes_of(outgoing.letter.id)? {
            let tier = self.state.stake(stake)?.ok_or(StakesError::Unknown(stake))?.tier;
            let secret = identity.postal_seed().book_secret(&stake.installation, stake.counter);
            let external = stake_external_nullifier(self.place(), (staking.contract, tier), epoch);
            let nullifier = secret.nullifier(external, index);
            match sources.iter_mut().find(|(id, _)| *id == stake) {
                Some((_, source)) => source.push(nullifier),
                None => sources.push((stake, vec![nullifier])),
            }
        }
        sources.sort_by_key(|(id, _)| id.counter);
        Ok(sources.into_iter().map(|(_, source)| source).collect())
    }

    /// An earlier attempt may have shown others of them than this one.
    fn stamps_of(&self, identity: &Identity, outgoing: &Outgoing) -> Result<Vec<Nullifier>, LettersError> {
        let groups = self.groups(outgoing)?.into_iter().zip(&outgoing.stamps);
        let nullifier = |(group, StampUse { book, index }): (StampGroup, &StampUse)| {
            let secret = identity.postal_seed().book_secret(&book.installation, book.counter);
            secret.nullifier(external_nullifier(self.place(), group), *index)
        };
        Ok(groups.map(nullifier).collect())
    }

    /// The group of each stamp of a letter.
    pub(super) fn groups(&self, outgoing: &Outgoing) -> Result<Vec<StampGroup>, LettersError> {
        outgoing.stamps.iter().map(|usage| self.book(usage.book).map(|(_, group, _)| group)).collect()
    }
}

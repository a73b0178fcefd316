//! Topics that belong to an account: its key bundles, policies and sealed keys (docs/protocol.md, "Topics").
//!
//! A key bundle proves itself: the wallet attests the keys, and they sign the rest. Policies and vaults are signed by the
//! identity key of the newest bundle. Each write also carries an `Owner` pass over the envelope's digest, so that nobody can
//! publish an old record again.

use alloy::primitives::keccak256;
use xmtp_proto::account::Account;
use xmtp_proto::derive::{EnvelopeId, Purpose};
use xmtp_proto::key_bundle::KeyBundle;
use xmtp_proto::malformed::Malformed;
use xmtp_proto::pass::{Owner, Pass};
use xmtp_proto::policy::SignedPolicy;
use xmtp_proto::refusal::{AskedBy, Refusal};
use xmtp_proto::signature::{self, Label};
use xmtp_proto::submission::Submission;
use xmtp_proto::vault::VaultRecord;

use super::price::Asked;
use super::{Claim, Context, Effects, price, proofs};
use crate::store::{OwnTopic, OwnerWrite};

/// A first bundle must meet the joining requirement; a later one must be the successor of the one before.
pub(super) fn check_contact(
    context: &Context<'_>,
    submission: &Submission,
    id: &EnvelopeId,
    account: Account,
) -> Result<(Vec<Claim>, Effects), Refusal> {
    let bundle = KeyBundle::from_bytes(&submission.envelope().ciphertext)?;
    require_account(bundle.keys.account, account)?;
    let (revision, version) = bundle.order();
    let (claims, cancels) = match &context.account.bundle {
        None => {
            let (position, owner) = one_owner(submission.passes())?;
            let asked = [Asked::fixed(context.rules.joining.clone(), AskedBy::Network)];
            let terms = price::Terms { asked: &asked, policy: None, now: context.now };
            price::require(&terms, submission.passes(), Some(position))?;
            verify_bundle(context, &bundle, id, owner)?;
            proofs::claim_all(context, submission, id, Purpose::Envelope)?
        }
        Some(current) => {
            let owner = only_owner(submission.passes())?;
            let same_keys = bundle.keys.digest(context.rules.network) == current.keys.digest(context.rules.network);
            // Under one revision the wallet attested one set of keys.
            if bundle.order() < current.order() || (revision == current.keys.revision && !same_keys) {
                return Err(Refusal::VersionStale);
            }
            verify_bundle(context, &bundle, id, owner)?;
            Default::default()
        }
    };
    let order = order(revision, version.into());
    let owner = owner_write(context, submission, account, OwnTopic::Contact, order);
    Ok((claims, Effects { cancels, owner: Some(owner), ..Effects::default() }))
}

pub(super) fn check_policy(
    context: &Context<'_>,
    submission: &Submission,
    id: &EnvelopeId,
    account: Account,
) -> Result<Effects, Refusal> {
    let current = context.account.bundle.as_ref().ok_or(Refusal::NoSuchInbox)?;
    let owner = only_owner(submission.passes())?;
    let signed = SignedPolicy::from_bytes(&submission.envelope().ciphertext)?;
    require_account(signed.policy().account, account)?;
    require_owner(context, &current.keys.identity_key, id, owner)?;
    signed.verify(context.rules.network, &current.keys.identity_key).map_err(|_| Refusal::NotOwner)?;
    let order = order(current.keys.revision, signed.policy().version);
    let owner = owner_write(context, submission, account, OwnTopic::Policy, order);
    Ok(Effects { owner: Some(owner), ..Effects::default() })
}

pub(super) fn check_vault(
    context: &Context<'_>,
    submission: &Submission,
    id: &EnvelopeId,
    account: Account,
) -> Result<Effects, Refusal> {
    let current = context.account.bundle.as_ref().ok_or(Refusal::NoSuchInbox)?;
    let owner = only_owner(submission.passes())?;
    let vault = VaultRecord::from_bytes(&submission.envelope().ciphertext)?;
    require_owner(context, &current.keys.identity_key, id, owner)?;
    let order = order(current.keys.revision, vault.version);
    let owner = owner_write(context, submission, account, OwnTopic::Vault, order);
    Ok(Effects { owner: Some(owner), ..Effects::default() })
}

fn verify_bundle(context: &Context<'_>, bundle: &KeyBundle, id: &EnvelopeId, owner: &Owner) -> Result<(), Refusal> {
    require_owner(context, &bundle.keys.identity_key, id, owner)?;
    bundle.verify(context.rules.network).map_err(|_| Refusal::NotOwner)
}

pub(super) fn require_owner(
    context: &Context<'_>,
    key: &[u8; 32],
    id: &EnvelopeId,
    owner: &Owner,
) -> Result<(), Refusal> {
    let digest = signature::digest(Label::Owner, context.rules.network, &[id.as_bytes()]);
    signature::verify(key, digest, &owner.signature).map_err(|_| Refusal::NotOwner)
}

fn require_account(named: Account, topic: Account) -> Result<(), Refusal> {
    if named == topic { Ok(()) } else { Err(Malformed::WrongAccount.into()) }
}

/// The owner's pass, where nothing else is asked.
pub(super) fn only_owner(passes: &[Pass]) -> Result<&Owner, Refusal> {
    match passes {
        [Pass::Owner(owner)] => Ok(owner),
        passes => match passes.iter().position(|pass| matches!(pass, Pass::Owner(_))) {
            None => Err(Refusal::NotOwner),
            Some(0) => Err(Malformed::Surplus { position: 1 }.into()),
            Some(_) => Err(Malformed::Surplus { position: 0 }.into()),
        },
    }
}

/// The owner's pass, and where it stands among others.
fn one_owner(passes: &[Pass]) -> Result<(usize, &Owner), Refusal> {
    let mut owners = passes.iter().enumerate().filter_map(|(position, pass)| match pass {
        Pass::Owner(owner) => Some((position, owner)),
        _ => None,
    });
    let first = owners.next().ok_or(Refusal::NotOwner)?;
    match owners.next() {
        None => Ok(first),
        Some((position, _)) => Err(Malformed::Surplus { position }.into()),
    }
}

/// The wallet's word first: whatever version a stolen identity key has signed, the next revision starts above it.
fn order(revision: u32, version: u64) -> u128 {
    u128::from(revision) << 64 | u128::from(version)
}

fn owner_write(
    context: &Context<'_>,
    submission: &Submission,
    account: Account,
    topic: OwnTopic,
    order: u128,
) -> OwnerWrite {
    let content = keccak256(&submission.envelope().ciphertext);
    let bundle = context.account.bundle_cursor;
    OwnerWrite { account, topic, order, content, epoch: context.now.epoch(), bundle }
}

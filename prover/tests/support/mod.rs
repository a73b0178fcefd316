//! A member of a group, and the key to prove it with.

#![allow(clippy::unwrap_used, reason = "functions beside the tests")]

use std::{path::Path as FilePath, sync::LazyLock};

use xmtp_proto::field::FieldElement;
use xmtp_prover::{Bucket, Group, Limit, PassSecret, Path, ProvingKey, leaf};

/// The development key, kept between test processes.
pub(crate) static KEY: LazyLock<ProvingKey> =
    LazyLock::new(|| ProvingKey::dev_cached(FilePath::new(env!("CARGO_TARGET_TMPDIR"))).unwrap());

pub(crate) fn secret() -> PassSecret {
    PassSecret::from_wide_bytes(&[7; 64]).unwrap()
}

pub(crate) fn limit() -> Limit {
    Limit::new(100).unwrap()
}

/// The path of [`secret`]'s leaf among others.
pub(crate) fn path() -> Path {
    let mut group = Group::new();
    group.extend((1..=20).map(|other| FieldElement::from(other).into()));
    let position = group.append(leaf(secret().commitment(), limit()));
    let bucket = group.bucket(&group.checkpoint(), position.volume, Bucket::index_of(position.index)).unwrap();
    bucket.path(position.index).unwrap()
}

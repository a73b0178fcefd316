//! Where a stream's client comes from.

use std::path::PathBuf;
use std::time::SystemTime;

use crate::client::{Builder, Client, ConnectError};

/// A client that is there all the time, or one that is opened when it is needed.
#[allow(clippy::large_enum_variant)] // There is one of it per stream.
pub(super) enum Source<'a> {
    Held(&'a Client),
    Lent {
        builder: Builder,
        client: Option<Client>,
        /// Where the state lies, and when it was written last as long as it was here.
        left: Option<(PathBuf, Option<SystemTime>)>,
    },
}

impl<'a> Source<'a> {
    pub(super) const fn held(client: &'a Client) -> Self {
        Self::Held(client)
    }

    pub(super) const fn lent(builder: Builder) -> Self {
        Self::Lent { builder, client: None, left: None }
    }

    pub(super) async fn client(&mut self) -> Result<&Client, ConnectError> {
        match self {
            Self::Held(client) => Ok(client),
            Self::Lent { client: Some(client), .. } => Ok(client),
            Self::Lent { builder, client, .. } => Ok(client.insert(builder.clone().connect().await?)),
        }
    }

    /// Leaves the state to others, if it is not held.
    pub(super) fn leave(&mut self) {
        if let Self::Lent { client, left, .. } = self
            && let Some(client) = client.take()
        {
            let path = client.state().folder().to_owned();
            drop(client);
            let written = written(&path);
            *left = Some((path, written));
        }
    }

    /// Whether others may have changed the state since it was left to them. A held client's changes under its own hands.
    pub(super) fn may_have_changed(&self) -> bool {
        match self {
            Self::Held(_) => true,
            Self::Lent { client: Some(_), .. } | Self::Lent { left: None, .. } => true,
            Self::Lent { left: Some((path, before)), .. } => written(path) != *before,
        }
    }
}

/// When the state was written last; none if nobody knows.
fn written(folder: &std::path::Path) -> Option<SystemTime> {
    std::fs::metadata(folder.join("state.redb")).and_then(|file| file.modified()).ok()
}

//! How long records are kept (docs/operating.md, "Retention").

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// As it is written where nothing is dropped.
const FOR_EVER: &str = "for-ever";

/// How long records are kept, by the kind of their topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Letters, from their acceptance on.
    pub invite: Keep,
    /// What stands on conversation topics, accounts' journals among it, from its acceptance on.
    pub conversation: Keep,
    /// Key bundles, policies and vaults that a newer one has replaced, from then on; the newest are always kept.
    pub superseded: Keep,
}

impl Retention {
    /// The shortest time; nothing if all is kept for ever.
    pub(crate) fn shortest(&self) -> Option<Duration> {
        let Self { invite, conversation, superseded } = self;
        [invite, conversation, superseded].into_iter().filter_map(|keep| keep.limit()).min()
    }
}

/// A time, or for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep(Option<Duration>);

impl Keep {
    /// After which time records are dropped, if ever.
    #[must_use]
    pub const fn limit(self) -> Option<Duration> {
        self.0
    }
}

impl<'de> Deserialize<'de> for Keep {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == FOR_EVER {
            return Ok(Self(None));
        }
        let limit = humantime::parse_duration(&text);
        limit.map(|limit| Self(Some(limit))).map_err(|error| {
            serde::de::Error::custom(format!(
                "{text:?} is neither {FOR_EVER:?} nor a time such as \"400 days\": {error}"
            ))
        })
    }
}

impl Serialize for Keep {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            None => serializer.serialize_str(FOR_EVER),
            Some(limit) => serializer.collect_str(&humantime::format_duration(limit)),
        }
    }
}

//! How values are shown: hexadecimal ids, amounts in wei and in tokens, times as RFC 3339.

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;
use xmtp_proto::requirement::Shown;
use xmtp_proto::time::Timestamp;
use xmtp_sdk::chain::Amount;
use xmtp_sdk::franking::Offer;

/// An amount of $XMTP. Wei are text, since numbers in JSON are exact to 2^53 only.
#[derive(Serialize)]
pub(crate) struct Money {
    wei: String,
    xmtp: String,
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} XMTP", self.xmtp)
    }
}

impl From<Amount> for Money {
    fn from(it: Amount) -> Self {
        Self { wei: it.0.to_string(), xmtp: it.to_decimal() }
    }
}

/// Passes that would do, and what the stamps among them cost.
#[derive(Serialize)]
pub(crate) struct Offered {
    /// What cannot be bought in a post office, as requirements.
    with: Vec<String>,
    stamps: Vec<Stamps>,
    tagged: bool,
    units: u32,
    price: Money,
}

#[derive(Serialize)]
struct Stamps {
    denomination: u32,
    count: u32,
}

impl From<&(Offer, Amount)> for Offered {
    fn from((offer, price): &(Offer, Amount)) -> Self {
        let stamps = offer.stamps.iter();
        Self {
            with: offer.with.iter().map(ToString::to_string).collect(),
            stamps: stamps.map(|(it, count)| Stamps { denomination: it.units(), count: *count }).collect(),
            tagged: offer.tagged,
            units: offer.units(),
            price: (*price).into(),
        }
    }
}

/// Passes, each as the requirement that it meets.
pub(crate) fn passes(shown: impl IntoIterator<Item = Shown>) -> Vec<String> {
    let pass = |shown| match shown {
        Shown::Stamp { denomination, tagged: false } => format!("stamp({denomination})"),
        Shown::Stamp { denomination, tagged: true } => format!("stamp({denomination}, tagged)"),
        Shown::Stake { tier } => format!("stake({tier})"),
        Shown::Claim { id, .. } => format!("claim({id})"),
        Shown::Member => "member".to_owned(),
        Shown::Connection => "connection".to_owned(),
    };
    shown.into_iter().map(pass).collect()
}

/// RFC 3339, to the millisecond.
pub(crate) fn time(it: Timestamp) -> String {
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_nanos(it.as_nanos())).to_string()
}

/// RFC 3339, to the second.
pub(crate) fn seconds(unix: u64) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(unix)).to_string()
}

/// 32 bytes as 0x and 64 digits.
pub(crate) fn bytes(it: &[u8; 32]) -> String {
    format!("0x{}", hex::encode(it))
}

/// Units of postage, in words.
pub(crate) fn units(it: u32) -> String {
    if it == 1 { "1 unit".to_owned() } else { format!("{it} units") }
}

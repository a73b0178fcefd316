//! How values are shown: hexadecimal ids, amounts in wei and in tokens, times as RFC 3339.

use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;
use xmtp_proto::time::Timestamp;
use xmtp_sdk::chain::Amount;
use xmtp_sdk::franking::Offer;

/// An amount of $XMTP. Wei are text, since numbers in JSON are exact to 2^53 only.
#[derive(Serialize)]
pub(crate) struct Money {
    wei: String,
    xmtp: String,
}

impl From<Amount> for Money {
    fn from(it: Amount) -> Self {
        Self { wei: it.0.to_string(), xmtp: it.to_decimal() }
    }
}

/// Stamps that would do, and their price.
#[derive(Serialize)]
pub(crate) struct Offered {
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
            stamps: stamps.map(|(it, count)| Stamps { denomination: it.units(), count: *count }).collect(),
            tagged: offer.tagged,
            units: offer.units(),
            price: (*price).into(),
        }
    }
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

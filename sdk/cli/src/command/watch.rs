//! `xmtp watch`.

use std::fmt;
use std::pin::pin;

use futures_util::StreamExt as _;
use serde::Serialize;
use xmtp_sdk::client::Builder;
use xmtp_sdk::inbox::Which;
use xmtp_sdk::stream::{Arrival, What};

use super::inbox::{self, Doubtful, Letter};
use crate::failure::Failure;
use crate::output::{Output, Said};

pub(super) async fn run(all: bool, letters: bool, builder: Builder, output: &Output) -> Result<(), Failure> {
    let what = if letters { What::Letters } else { What::All };
    let mut arrivals = pin!(builder.stream(what, if all { Which::All } else { Which::New }));
    let mut interrupt = pin!(tokio::signal::ctrl_c());
    let mut gone = false;
    loop {
        let arrival = tokio::select! {
            interrupted = &mut interrupt => return interrupted.map_err(|error| Failure::output(error.to_string())),
            arrival = arrivals.next() => arrival,
        };
        match arrival {
            None => return Ok(()),
            Some(Err(error)) => return Err(error.into()),
            Some(Ok(Arrival::Letter(message))) => output.say(&Line::Letter(message.into()))?,
            Some(Ok(Arrival::Message { with, message })) => {
                output.say(&Line::Message { with: with.to_string(), message: message.into() })?;
            }
            Some(Ok(Arrival::Unverified(unverified))) => output.say(&Line::Unverified((&unverified).into()))?,
            Some(Ok(Arrival::Interrupted { reason, .. })) => {
                // Once per interruption, however often is tried.
                if !gone {
                    output.note(&format_args!("{reason}; trying again until it is back, nothing is lost"));
                }
                gone = true;
                continue;
            }
        }
        gone = false;
    }
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Line {
    /// A genuine one.
    Letter(Letter),
    /// A genuine one, of either side.
    Message {
        with: String,
        #[serde(flatten)]
        message: inbox::Line,
    },
    /// What does not verify: never a text.
    Unverified(Doubtful),
}

impl Said for Line {
    fn text(&self, f: &mut impl fmt::Write) -> fmt::Result {
        match self {
            Self::Letter(letter) => letter.text(f),
            Self::Message { with, message } => {
                writeln!(f, "Conversation with {with}")?;
                message.text_of(f, with)
            }
            Self::Unverified(doubtful) => doubtful.text(f),
        }
    }
}

//! What every benchmark prints: a table for a person, then one line of JSON for a program.

use serde_json::json;

/// What is compared here, unless a benchmark says otherwise.
pub const OURS: &str = concat!("xmtp-prover ", env!("CARGO_PKG_VERSION"));
/// The peer, at the version that `Cargo.toml` pins.
pub const PEER: &str = "rln 3.0.0";

/// One quantity of two implementations, measured in one run.
pub struct Report {
    /// The benchmark's name, as `scripts/bench` knows it.
    pub name: &'static str,
    /// For a person: what one sample is.
    pub what: String,
    /// The unit of the samples.
    pub unit: &'static str,
    /// Which way is better.
    pub measure: Measure,
    /// Ours.
    pub ours: Side,
    /// The peer's.
    pub peer: Side,
    /// What else of ours was measured beside the same peer, by a word for it.
    pub also: Vec<(&'static str, Side)>,
    /// What else was measured, ours beside a peer of its own, by a word for it.
    pub pairs: Vec<(&'static str, Side, Side)>,
}

/// Which way is better.
#[derive(Clone, Copy)]
pub enum Measure {
    /// Less of it is better: the ratio is the peer's over ours.
    Cost,
    /// More of it is better: the ratio is ours over the peer's.
    Rate,
}

/// One of the two.
pub struct Side {
    /// Name and version.
    pub version: &'static str,
    /// One number per sample, in the order in which they were taken; at least one.
    pub samples: Vec<f64>,
}

impl Report {
    /// Prints the table, and last the line `{name, ours, peer, unit, ratio, samples: {ours, peer}, versions: {ours,
    /// peer}}`, in which `ours` and `peer` are medians and a ratio above one says that ours is better. What else was
    /// measured stands in `also`, by its word, with `ours` and `ratio`, and in `samples`; what has a peer of its own in
    /// `pairs`, by its word, with `peer` and `version` of it, too.
    pub fn print(&self) {
        let Self { name, what, unit, ours, peer, also, pairs, measure: _ } = self;
        println!("{name}: {what}; in {unit}");
        println!("{:<32}{:>12}{:>12}{:>12}", "", "median", "least", "most");
        let row = |label: &str, side: &Side| {
            let least = side.samples.iter().copied().fold(f64::INFINITY, f64::min);
            let most = side.samples.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            println!("{label:<32}{:>12.3}{least:>12.3}{most:>12.3}", side.median());
        };
        row(ours.version, ours);
        also.iter().for_each(|(word, side)| row(&format!("{}, {word}", side.version), side));
        row(peer.version, peer);
        for (word, ours, peer) in pairs {
            [ours, peer].into_iter().for_each(|side| row(&format!("{}, {word}", side.version), side));
        }
        println!("ours is {:.2} times as good", self.ratio(ours, peer));
        also.iter().for_each(|(word, side)| println!("{word}: {:.2} times", self.ratio(side, peer)));
        pairs.iter().for_each(|(word, ours, peer)| println!("{word}: {:.2} times", self.ratio(ours, peer)));

        let mut samples = json!({ "ours": ours.rounded(), "peer": peer.rounded() });
        let mut others = json!({});
        for (word, side) in also {
            samples[*word] = json!(side.rounded());
            others[*word] = json!({ "ours": round(side.median()), "ratio": round(self.ratio(side, peer)) });
        }
        let of_pair = |(word, ours, peer): &(&str, Side, Side)| {
            let ratio = round(self.ratio(ours, peer));
            let figures = json!({
                "ours": round(ours.median()), "peer": round(peer.median()), "ratio": ratio, "version": peer.version,
            });
            ((*word).to_owned(), figures)
        };
        let mut line = json!({
            "name": name,
            "ours": round(ours.median()),
            "peer": round(peer.median()),
            "unit": unit,
            "ratio": round(self.ratio(ours, peer)),
            "samples": samples,
            "versions": { "ours": ours.version, "peer": peer.version },
        });
        if !also.is_empty() {
            line["also"] = others;
        }
        if !pairs.is_empty() {
            line["pairs"] = pairs.iter().map(of_pair).collect::<serde_json::Map<_, _>>().into();
        }
        println!("{line}");
    }

    fn ratio(&self, ours: &Side, peer: &Side) -> f64 {
        match self.measure {
            Measure::Cost => peer.median() / ours.median(),
            Measure::Rate => ours.median() / peer.median(),
        }
    }
}

impl Side {
    fn median(&self) -> f64 {
        let mut sorted = self.samples.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
    }

    fn rounded(&self) -> Vec<f64> {
        self.samples.iter().copied().map(round).collect()
    }
}

/// To a thousandth: a microsecond, where the unit is a millisecond.
fn round(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}

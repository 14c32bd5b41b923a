//! What was measured of one codec, ours or a peer's.

use serde_json::{Value, json};

use crate::report::median;

/// Figures of one codec.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Figures {
    /// The spec of ours, or the name of a peer.
    pub(super) name: String,
    pub(super) ours: bool,
    /// Of a peer.
    pub(super) version: String,
    /// Of a vector, side data counted.
    pub(super) code_bytes: f64,
    /// Of all codes, with what is needed to read them.
    pub(super) bytes: f64,
    /// At 10, by codes alone.
    pub(super) recall: f64,
    /// The same after 100 candidates were ranked anew by half floats. Of ours.
    pub(super) reranked: Option<f64>,
    /// Share of the 10 nearest by the whole of every code that a scan, which spares itself most of them, finds.
    /// Of ours.
    pub(super) agreement: Option<f64>,
    /// Queries a second on one thread, all in one call.
    pub(super) scan_qps: f64,
    /// Median of queries one by one, in microseconds. Of ours.
    pub(super) p50_us: Option<f64>,
    /// Vectors a second on one thread.
    pub(super) encode_per_s: f64,
    /// On all threads.
    pub(super) train_s: f64,
}

impl Figures {
    /// A line that the peers' harness writes.
    pub(super) fn of_peer(line: &str) -> Result<Self, String> {
        let row: Value = serde_json::from_str(line).map_err(|error| format!("{error}: {line}"))?;
        if let Some(error) = row.get("error") {
            return Err(format!("{}: {error}", row["peer"]));
        }
        let text = |key: &str| row[key].as_str().map(str::to_owned);
        let number = |key: &str| row[key].as_f64().ok_or_else(|| format!("no {key}: {line}"));
        Ok(Self {
            name: text("peer").ok_or_else(|| format!("no peer: {line}"))?,
            ours: false,
            version: text("version").unwrap_or_default(),
            code_bytes: number("code_bytes")?,
            bytes: number("bytes")?,
            recall: number("recall")?,
            reranked: None,
            agreement: None,
            scan_qps: number("scan_qps")?,
            p50_us: None,
            encode_per_s: number("encode_per_s")?,
            train_s: number("train_s")?,
        })
    }

    /// The middle of each figure over rounds of the same codec; `None` if there was none.
    pub(super) fn median(rounds: &[Self]) -> Option<Self> {
        let middle = |figure: fn(&Self) -> f64| median(rounds.iter().map(figure).collect());
        let known = |figure: fn(&Self) -> Option<f64>| {
            let known: Vec<f64> = rounds.iter().filter_map(figure).collect();
            (!known.is_empty()).then(|| median(known))
        };
        let first = rounds.first()?;
        Some(Self {
            recall: middle(|round| round.recall),
            reranked: known(|round| round.reranked),
            agreement: known(|round| round.agreement),
            scan_qps: middle(|round| round.scan_qps),
            p50_us: known(|round| round.p50_us),
            encode_per_s: middle(|round| round.encode_per_s),
            train_s: middle(|round| round.train_s),
            ..first.clone()
        })
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "name": self.name, "ours": self.ours, "version": self.version,
            "code_bytes": self.code_bytes, "bytes": self.bytes,
            "recall_at_10": self.recall, "recall_at_10_reranked": self.reranked, "agreement": self.agreement,
            "scan_qps": self.scan_qps, "p50_us": self.p50_us,
            "encode_per_s": self.encode_per_s, "train_s": self.train_s,
        })
    }
}

/// The lines that the harness wrote.
pub(super) fn read(text: &str) -> impl Iterator<Item = Result<Figures, String>> + '_ {
    text.lines().filter(|line| !line.trim().is_empty()).map(Figures::of_peer)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"peer": "faiss-sq8", "version": "1.15.1", "ratio": 4.0, "code_bytes": 384, "bytes": 37372113,
        "recall": 0.9932, "scan_qps": 247.6, "encode_per_s": 919677, "train_s": 0.035}"#;

    #[test]
    fn a_line_of_a_peer_is_read_and_a_bad_one_refused() {
        let figures = Figures::of_peer(LINE).unwrap();
        assert_eq!((figures.name.as_str(), figures.ours), ("faiss-sq8", false));
        assert_eq!((figures.code_bytes, figures.recall, figures.scan_qps), (384.0, 0.9932, 247.6));
        for bad in ["", "{}", r#"{"peer": "x", "error": "it died"}"#, &LINE.replace("recall", "precision")] {
            assert!(Figures::of_peer(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn each_figure_has_its_own_median() {
        assert_eq!(Figures::median(&[]), None);
        let one = Figures::of_peer(LINE).unwrap();
        let rounds = [(1.0, 9.0, Some(3.0)), (2.0, 7.0, None), (3.0, 8.0, Some(5.0))]
            .map(|(qps, train, p50)| Figures { scan_qps: qps, train_s: train, p50_us: p50, ..one.clone() });
        let median = Figures::median(&rounds).unwrap();
        assert_eq!((median.scan_qps, median.train_s, median.reranked), (2.0, 8.0, None));
        assert_eq!((median.p50_us, median.recall), (Some(5.0), one.recall));
    }
}

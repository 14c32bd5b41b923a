//! Lines of figures, ours and the peers' alike, and their medians.

use serde_json::{Map, Value};

use super::Outcome;
use crate::report::median;

/// Recalls at which systems are compared.
pub(super) const TARGETS: [&str; 3] = ["0.90", "0.95", "0.99"];

/// Figures of which there is a median. The others are the same in every round.
const FIGURES: [&str; 10] = [
    "recall",
    "qps",
    "p50_us",
    "p99_us",
    "build_s",
    "import_s",
    "index_s",
    "bytes",
    "rss_anonymous_bytes",
    "rss_mapped_bytes",
];

/// What was measured of one system at one effort.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row(Map<String, Value>);

impl Row {
    /// A line's document.
    pub(super) fn of_json(value: Value) -> Outcome<Self> {
        let Value::Object(row) = value else { return Err(format!("{value} is no row").into()) };
        if let Some(error) = row.get("error") {
            return Err(format!("{}: {error}", row.get("peer").unwrap_or(&Value::Null)).into());
        }
        let row = Self(row);
        for name in ["recall", "qps", "p50_us", "build_s", "bytes"] {
            row.number(name).ok_or_else(|| format!("no {name} in {}", row.json()))?;
        }
        if row.peer().is_empty() {
            return Err(format!("no peer in {}", row.json()).into());
        }
        Ok(row)
    }

    pub(super) fn json(&self) -> Value {
        Value::Object(self.0.clone())
    }

    pub(super) fn peer(&self) -> &str {
        self.text("peer")
    }

    pub(super) fn text(&self, name: &str) -> &str {
        self.0.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn number(&self, name: &str) -> Option<f64> {
        self.0.get(name).and_then(Value::as_f64)
    }

    /// Its parameters, as a text.
    pub(super) fn effort(&self) -> String {
        let Some(Value::Object(params)) = self.0.get("search_params") else { return String::new() };
        params.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
    }

    /// The same with something noted.
    pub(super) fn with(&self, name: &str, value: impl Into<Value>) -> Self {
        let mut row = self.clone();
        row.0.insert(name.to_owned(), value.into());
        row
    }
}

/// The rows of a file of lines; of a failure, what was said.
pub(super) fn read(text: &str) -> Vec<Result<Row, String>> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let parse = |line: &str| Row::of_json(serde_json::from_str(line)?);
    lines.map(|line| parse(line).map_err(|error| error.to_string())).collect()
}

/// The middle of each figure of each system and effort, over all rounds that had it; in the order of the first.
pub(super) fn medians(rows: &[Row]) -> Vec<Row> {
    let mut groups: Vec<(String, String, Vec<&Row>)> = Vec::new();
    for row in rows {
        let (peer, effort) = (row.peer().to_owned(), row.effort());
        match groups.iter_mut().find(|group| group.0 == peer && group.1 == effort) {
            Some(group) => group.2.push(row),
            None => groups.push((peer, effort, vec![row])),
        }
    }
    let middle = |group: &[&Row]| {
        FIGURES.iter().fold(group[0].clone(), |row, name| {
            let figures: Vec<f64> = group.iter().filter_map(|row| row.number(name)).collect();
            if figures.is_empty() { row } else { row.with(name, whole_if(name, median(figures))) }
        })
    };
    groups.iter().map(|(_, _, group)| middle(group)).collect()
}

/// Bytes are whole numbers.
fn whole_if(name: &str, figure: f64) -> Value {
    if name.ends_with("bytes") { (figure as u64).into() } else { figure.into() }
}

/// What a system is worth at each of [`TARGETS`]; nothing above its best recall.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Summary {
    pub(super) peer: String,
    /// Queries a second of a batch.
    pub(super) qps: [Option<f64>; 3],
    /// Median microseconds of a query by itself.
    pub(super) p50_us: [Option<f64>; 3],
}

impl Summary {
    /// As `cgv bench plot` prints it.
    pub(super) fn of_json(value: &Value) -> Outcome<Self> {
        let peer = value["peer"].as_str().ok_or_else(|| format!("{value} is no summary"))?.to_owned();
        let at = |figure: &str| TARGETS.map(|target| value[format!("{figure}@{target}")].as_f64());
        Ok(Self { peer, qps: at("qps"), p50_us: at("p50_us") })
    }

    /// Times that this one is faster than another: in a batch, and by single queries.
    pub(super) fn ratios(&self, other: &Self) -> Ratios {
        let both = |a: Option<f64>, b: Option<f64>| Some(a? / b?);
        let each = |at: usize| both(self.qps[at], other.qps[at]);
        let single = |at: usize| both(other.p50_us[at], self.p50_us[at]);
        Ratios { batch: [0, 1, 2].map(each), single: [0, 1, 2].map(single) }
    }
}

/// At each of [`TARGETS`]; nothing where one of both does not get there.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Ratios {
    pub(super) batch: [Option<f64>; 3],
    pub(super) single: [Option<f64>; 3],
}

impl Ratios {
    /// The middle of each.
    pub(super) fn median(rounds: &[Self]) -> Self {
        let middle = |of: fn(&Self) -> [Option<f64>; 3]| {
            [0, 1, 2].map(|at| {
                let known: Vec<f64> = rounds.iter().filter_map(|round| of(round)[at]).collect();
                (!known.is_empty()).then(|| median(known))
            })
        };
        Self { batch: middle(|round| round.batch), single: middle(|round| round.single) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    pub(super) fn row(peer: &str, ef: u64, qps: f64) -> Row {
        Row::of_json(
            json!({"peer": peer, "search_params": {"ef": ef}, "recall": 0.9, "qps": qps, "p50_us": 5.0,
            "build_s": 1.0, "bytes": 100}),
        )
        .unwrap()
    }

    #[test]
    fn failures_and_nonsense_are_told_from_rows() {
        let text =
            format!("{}\n\n{{\"peer\": \"b\", \"error\": \"it died\"}}\n[]\n", row("a", 1, 2.0).json());
        let read = read(&text);
        assert_eq!(read.len(), 3);
        assert_eq!(read[0], Ok(row("a", 1, 2.0)));
        assert!(read[1].as_ref().unwrap_err().contains("it died"));
        assert!(read[2].is_err() && Row::of_json(json!({"peer": "c"})).is_err());
    }

    #[test]
    fn medians_are_of_the_same_system_at_the_same_effort() {
        let rows = [row("a", 1, 1.0), row("b", 1, 9.0), row("a", 2, 7.0), row("a", 1, 5.0), row("a", 1, 3.0)];
        let medians = medians(&rows);
        let found: Vec<_> =
            medians.iter().map(|row| (row.peer(), row.effort(), row.number("qps").unwrap())).collect();
        assert_eq!(found, [("a", "ef=1".into(), 3.0), ("b", "ef=1".into(), 9.0), ("a", "ef=2".into(), 7.0)]);
        assert_eq!(medians[0].json()["bytes"], json!(100));
    }

    #[test]
    fn ratios_say_how_much_faster_and_nothing_where_one_is_missing() {
        let ours =
            Summary { peer: "cgv".into(), qps: [Some(30.0), Some(20.0), None], p50_us: [Some(5.0); 3] };
        let theirs = Summary {
            peer: "x".into(),
            qps: [Some(10.0), None, Some(1.0)],
            p50_us: [Some(10.0), Some(1.0), None],
        };
        let ratios = ours.ratios(&theirs);
        assert_eq!(ratios, Ratios { batch: [Some(3.0), None, None], single: [Some(2.0), Some(0.2), None] });
        let others =
            [Ratios { batch: [Some(1.0), None, None], ..ratios }, Ratios { batch: [Some(9.0); 3], ..ratios }];
        let median = Ratios::median(&[ratios, others[0], others[1]]);
        assert_eq!((median.batch, median.single), ([Some(3.0), Some(9.0), Some(9.0)], ratios.single));
    }

    #[test]
    fn a_summary_is_read_by_its_names() {
        let summary =
            Summary::of_json(&json!({"peer": "a", "qps@0.95": 7.0, "qps@0.99": null, "p50_us@0.90": 3.5}));
        let Summary { peer, qps, p50_us } = summary.unwrap();
        assert_eq!((peer.as_str(), qps, p50_us), ("a", [None, Some(7.0), None], [Some(3.5), None, None]));
        assert!(Summary::of_json(&json!({})).is_err());
    }
}

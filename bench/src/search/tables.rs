//! Tables of ratios at equal recall, and whether they are what was asked for.

use super::rows::{Ratios, Row, Summary, TARGETS};
use crate::beside::table;
use crate::report::Goal;

/// What ours is to be faster than the best peer of any kind.
const BEST_GOAL: f64 = 1.5;

/// One system.
pub(super) struct Measured {
    pub(super) summary: Summary,
    /// Ours beside it.
    pub(super) ratios: Ratios,
    /// Medians, by effort.
    pub(super) rows: Vec<Row>,
}

/// Whether a name is one of ours.
pub(super) fn is_ours(name: &str) -> bool {
    name.starts_with("cgv")
}

/// How much faster than a peer ours is to be; nothing of those that count only if they are the best.
fn goal(peer: &str) -> Option<f64> {
    let begins = |names: &[&str]| names.iter().any(|name| peer.starts_with(name));
    if begins(&["hnswlib", "usearch", "faiss-hnsw"]) {
        Some(3.0)
    } else if begins(&["lancedb", "milvus-lite", "pgvector"]) {
        Some(5.0)
    } else {
        None
    }
}

/// All tables, as Markdown.
pub(super) fn tables(all: &[Measured]) -> String {
    let batch = |measured: &Measured| (measured.summary.qps, measured.ratios.batch);
    let single = |measured: &Measured| (measured.summary.p50_us, measured.ratios.single);
    let parts = [
        ("Batch on one thread, queries/s at a recall, and how many times faster ours is:", rates(all, batch)),
        (
            "One query at a time, median µs at a recall, and how many times faster ours is:",
            rates(all, single),
        ),
        ("Beside the best peer at each recall:", best(all)),
        ("Build on all threads, and size:", builds(all)),
        ("Ours by effort:", efforts(all)),
    ];
    parts.map(|(title, table)| format!("{title}\n\n{table}\n")).concat()
}

fn rates(all: &[Measured], of: impl Fn(&Measured) -> ([Option<f64>; 3], [Option<f64>; 3])) -> String {
    let mut columns = vec!["system".to_owned()];
    columns.extend(TARGETS.iter().flat_map(|target| [format!("at {target}"), "ratio".to_owned()]));
    columns.push("goal".to_owned());
    let ours_reaches = all.iter().find(|measured| is_ours(&measured.summary.peer)).map(|ours| of(ours).0);
    let rows = all.iter().map(|measured| {
        let name = &measured.summary.peer;
        let (figures, ratios) = of(measured);
        let mut cells = vec![if is_ours(name) { format!("**{name}**") } else { name.clone() }];
        for (figure, ratio) in figures.iter().zip(&ratios) {
            let ratio = ratio.filter(|_| !is_ours(name)).map(|ratio| format!("{ratio:.2}"));
            cells.extend([figure.map_or("–".to_owned(), rate), ratio.unwrap_or("–".to_owned())]);
        }
        let verdict = goal(name).map(|goal| verdict(goal, figures, ratios, ours_reaches.unwrap_or_default()));
        cells.push(verdict.unwrap_or("–".to_owned()));
        cells
    });
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    table(&columns, rows)
}

/// By the worst of the ratios. Where a peer does not get, ours cannot be behind it; where ours does not, it is.
fn verdict(goal: f64, theirs: [Option<f64>; 3], ratios: [Option<f64>; 3], ours: [Option<f64>; 3]) -> String {
    let is_behind = theirs.iter().zip(&ours).any(|(theirs, ours)| theirs.is_some() && ours.is_none());
    let least = if is_behind { 0.0 } else { ratios.into_iter().flatten().fold(f64::INFINITY, f64::min) };
    Goal::AtLeast(goal).verdict(least)
}

/// The peer beside which ours does worst, at each recall.
fn best(all: &[Measured]) -> String {
    let worst = |of: fn(&Ratios) -> [Option<f64>; 3], at: usize| {
        let peers = all.iter().filter(|measured| !is_ours(&measured.summary.peer));
        let known =
            peers.filter_map(|measured| Some((measured.summary.peer.as_str(), of(&measured.ratios)[at]?)));
        known.min_by(|a, b| a.1.total_cmp(&b.1))
    };
    let rows = TARGETS.iter().enumerate().map(|(at, target)| {
        let mut cells = vec![(*target).to_owned()];
        for found in [worst(|ratios| ratios.batch, at), worst(|ratios| ratios.single, at)] {
            cells.extend(match found {
                Some((peer, ratio)) => {
                    [peer.to_owned(), format!("{ratio:.2}"), Goal::AtLeast(BEST_GOAL).verdict(ratio)]
                }
                None => ["–", "–", "–"].map(str::to_owned),
            });
        }
        cells
    });
    table(&["recall", "best in a batch", "ratio", "goal", "best one at a time", "ratio", "goal"], rows)
}

fn builds(all: &[Measured]) -> String {
    let rows = all.iter().filter_map(|measured| {
        let row = measured.rows.first()?;
        let seconds =
            |name: &str| row.number(name).map_or("–".to_owned(), |seconds| format!("{seconds:.1}"));
        let bytes = measured.rows.iter().filter_map(|row| row.number("bytes")).fold(0.0, f64::max);
        let name = format!("{} {}", row.peer(), row.text("version"));
        Some(vec![
            name,
            seconds("build_s"),
            seconds("import_s"),
            seconds("index_s"),
            format!("{:.0}", bytes / 1e6),
        ])
    });
    table(&["system", "build, s", "of it import", "of it index", "MB"], rows)
}

fn efforts(all: &[Measured]) -> String {
    let rows = all.iter().filter(|measured| is_ours(&measured.summary.peer)).flat_map(|ours| &ours.rows);
    let rows = rows.map(|row| {
        let figure = |name: &str| row.number(name).map_or("–".to_owned(), rate);
        let mb =
            |name: &str| row.number(name).map_or("–".to_owned(), |bytes| format!("{:.0}", bytes / 1e6));
        let recall = row.number("recall").map_or("–".to_owned(), |recall| format!("{recall:.4}"));
        let (name, effort) = (row.peer().to_owned(), row.effort());
        vec![
            name,
            effort,
            recall,
            figure("qps"),
            figure("p50_us"),
            figure("p99_us"),
            mb("rss_anonymous_bytes"),
            mb("rss_mapped_bytes"),
        ]
    });
    let columns =
        ["system", "effort", "recall", "queries/s", "p50, µs", "p99, µs", "anonymous, MB", "mapped, MB"];
    table(&columns, rows)
}

fn rate(rate: f64) -> String {
    format!("{rate:.0}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn measured(peer: &str, qps: [Option<f64>; 3], batch: [Option<f64>; 3]) -> Measured {
        let row = json!({"peer": peer, "version": "1.0", "recall": 0.91, "qps": 500.0, "p50_us": 20.0, "p99_us": 40.0,
            "build_s": 2.5, "bytes": 5_000_000, "search_params": {"ef": 16}});
        Measured {
            summary: Summary { peer: peer.to_owned(), qps, p50_us: [Some(7.0); 3] },
            ratios: Ratios { batch, single: [Some(4.0); 3] },
            rows: vec![Row::of_json(row).unwrap()],
        }
    }

    #[test]
    fn each_peer_has_its_goal() {
        let goals = [
            "hnswlib-m32",
            "usearch-i8",
            "faiss-hnsw32-sq8",
            "lancedb-ivf-pq",
            "pgvector",
            "scann",
            "faiss-flat",
        ];
        let goals = goals.map(goal);
        assert_eq!(goals, [Some(3.0), Some(3.0), Some(3.0), Some(5.0), Some(5.0), None, None]);
    }

    #[test]
    fn tables_say_ratios_the_best_peer_and_whether_goals_are_met() {
        let all = [
            measured("cgv", [Some(9000.0), Some(6000.0), Some(3000.0)], [Some(1.0); 3]),
            measured("hnswlib", [Some(3000.0), Some(1500.0), None], [Some(3.0), Some(4.0), None]),
            measured("usearch-f32", [Some(4000.0); 3], [Some(2.25), Some(1.5), Some(0.75)]),
            measured("scann", [Some(9000.0), None, None], [Some(1.0), None, None]),
        ];
        let text = tables(&all);
        let has = |line: &str| assert!(text.contains(line), "{line} in\n{text}");
        has("| **cgv** | 9000 | – | 6000 | – | 3000 | – | – |");
        has("| hnswlib | 3000 | 3.00 | 1500 | 4.00 | – | – | ≥ 3 met |");
        has("| usearch-f32 | 4000 | 2.25 | 4000 | 1.50 | 4000 | 0.75 | ≥ 3 **missed** |");
        has("| scann | 9000 | 1.00 | – | – | – | – | – |");
        has("| 0.90 | scann | 1.00 | ≥ 1.5 **missed** | hnswlib | 4.00 | ≥ 1.5 met |");
        has("| 0.95 | usearch-f32 | 1.50 | ≥ 1.5 met |");
        has("| hnswlib 1.0 | 2.5 | – | – | 5 |");
        has("| cgv | ef=16 | 0.9100 | 500 | 20 | 40 | – | – |");
        // Every line of a table has as many cells as its head.
        for part in text.split("\n\n").filter(|part| part.starts_with('|')) {
            let cells: Vec<usize> = part.lines().map(|line| line.matches('|').count()).collect();
            assert!(cells.iter().all(|count| *count == cells[0]), "{part}");
        }
    }

    #[test]
    fn a_recall_that_ours_does_not_reach_and_a_peer_does_is_missed() {
        let theirs = [Some(1.0), Some(1.0), Some(1.0)];
        let ratios = [Some(9.0), Some(9.0), None];
        assert!(verdict(3.0, theirs, ratios, [Some(9.0), Some(9.0), None]).contains("missed"));
        assert!(
            verdict(3.0, [Some(1.0), Some(1.0), None], ratios, [Some(9.0), Some(9.0), None]).contains("met")
        );
    }
}

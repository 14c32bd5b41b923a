//! Tables of size classes: our best beside the best of the peers, at equal bytes or fewer.

use std::fmt::Write;

use super::figures::Figures;
use crate::beside::table;
use crate::report::Goal;

/// Times that a code is smaller than the floats, and what is asked of it there.
pub(super) struct Class {
    pub(super) ratio: usize,
    /// Share of the best peer's gap to a recall of 1 that ours is to close.
    gap: f64,
    /// Recall that it is to have with 100 candidates ranked anew.
    reranked: Option<f64>,
}

pub(super) const CLASSES: [Class; 4] = [
    Class { ratio: 4, gap: 0.0, reranked: None },
    Class { ratio: 8, gap: 0.25, reranked: Some(0.99) },
    Class { ratio: 16, gap: 0.25, reranked: Some(0.985) },
    Class { ratio: 32, gap: 0.0, reranked: Some(0.97) },
];

/// How much faster a scan is to be than the fastest peer's.
const SCAN_GOAL: f64 = 1.2;

/// The share of the gap to 1 that is closed; `None` if there is no gap.
pub(super) fn gap_closed(ours: f64, theirs: f64) -> Option<f64> {
    (theirs < 1.0).then(|| (ours - theirs) / (1.0 - theirs))
}

/// The class whose size is nearest.
pub(super) fn class_of(code_bytes: f64, dim: usize) -> usize {
    let distance = |class: &Class| ((4 * dim) as f64 / code_bytes / class.ratio as f64).log2().abs();
    let nearest = CLASSES.iter().min_by(|a, b| distance(a).total_cmp(&distance(b)));
    nearest.map_or(0, |class| class.ratio)
}

/// The best of a class.
struct Best<'a> {
    class: &'a Class,
    peer: Option<&'a Figures>,
    fastest_peer: Option<&'a Figures>,
    ours: Option<&'a Figures>,
    our_fastest: Option<&'a Figures>,
}

/// A peer may have somewhat more bytes than its class has. Ours never has: neither more than the class nor more
/// than the peer that it is held against.
fn best<'a>(class: &'a Class, all: &'a [Figures], dim: usize) -> Best<'a> {
    let peers = || all.iter().filter(|row| !row.ours && class_of(row.code_bytes, dim) == class.ratio);
    let budget = (4 * dim) as f64 / class.ratio as f64;
    let ours = |peer: Option<&Figures>| {
        let limit = peer.map_or(budget, |peer| peer.code_bytes.min(budget));
        let is_in = move |row: &&Figures| {
            row.ours && row.code_bytes <= limit && class_of(row.code_bytes, dim) == class.ratio
        };
        all.iter().filter(is_in)
    };
    let peer = peers().max_by(|a, b| a.recall.total_cmp(&b.recall));
    let fastest_peer = peers().max_by(|a, b| a.scan_qps.total_cmp(&b.scan_qps));
    Best {
        class,
        peer,
        fastest_peer,
        ours: ours(peer).max_by(|a, b| a.recall.total_cmp(&b.recall)),
        our_fastest: ours(fastest_peer).max_by(|a, b| a.scan_qps.total_cmp(&b.scan_qps)),
    }
}

/// All tables, as Markdown.
pub(super) fn tables(all: &[Figures], dim: usize) -> String {
    let classes: Vec<Best<'_>> = CLASSES.iter().map(|class| best(class, all, dim)).collect();
    let parts = [
        ("Recall@10 of an exhaustive scan of codes alone:", recall_table(&classes)),
        ("Scan on one thread, queries/s, all queries in one call:", scan_table(&classes)),
        (
            "With 100 candidates ranked anew by half floats, and with nothing but the code kept:",
            rerank_table(&classes, dim),
        ),
        (
            "Training of product quantisation, 256 vectors a centroid, up to 25 iterations, seconds on all threads:",
            training_table(all, dim),
        ),
        ("All of ours:", full_table(all, dim, true)),
        ("All peers:", full_table(all, dim, false)),
    ];
    let mut text = String::new();
    for (title, table) in parts.into_iter().filter(|(_, table)| table.lines().count() > 2) {
        let _ = write!(text, "{title}\n\n{table}\n");
    }
    text
}

fn recall_table(classes: &[Best<'_>]) -> String {
    let columns =
        ["size", "best peer", "bytes", "recall", "ours", "bytes", "recall", "gap to 1 closed", "goal"];
    let rows = classes.iter().filter_map(|best| {
        let (peer, ours) = (best.peer?, best.ours?);
        let closed = gap_closed(ours.recall, peer.recall)?;
        let goal = Goal::AtLeast(best.class.gap).verdict(closed);
        let mut row = vec![size(best.class)];
        row.extend([peer.name.clone(), bytes(peer.code_bytes), share(peer.recall)]);
        row.extend([code(&ours.name), bytes(ours.code_bytes), share(ours.recall)]);
        row.extend([format!("{:.0} %", closed * 100.0), goal]);
        Some(row)
    });
    table(&columns, rows)
}

fn scan_table(classes: &[Best<'_>]) -> String {
    let columns = [
        "size",
        "fastest peer",
        "queries/s",
        "ours, of best recall",
        "queries/s",
        "ratio",
        "goal",
        "our fastest",
        "queries/s",
        "ratio",
    ];
    let rows = classes.iter().filter_map(|best| {
        let (peer, ours, fastest) = (best.fastest_peer?, best.ours?, best.our_fastest?);
        let ratio = ours.scan_qps / peer.scan_qps;
        let mut row = vec![size(best.class), peer.name.clone(), rate(peer.scan_qps)];
        row.extend([code(&ours.name), rate(ours.scan_qps), format!("{ratio:.2}")]);
        row.push(Goal::AtLeast(SCAN_GOAL).verdict(ratio));
        row.extend([code(&fastest.name), rate(fastest.scan_qps)]);
        row.push(format!("{:.2}", fastest.scan_qps / peer.scan_qps));
        Some(row)
    });
    table(&columns, rows)
}

fn rerank_table(classes: &[Best<'_>], dim: usize) -> String {
    let columns = [
        "size of the code",
        "ours",
        "bytes",
        "with half floats",
        "recall, ranked anew",
        "goal",
        "recall, code alone",
    ];
    let rows = classes.iter().filter_map(|best| {
        let ours = best.ours?;
        let reranked = ours.reranked?;
        let goal = best.class.reranked.map_or("–".to_owned(), |goal| Goal::AtLeast(goal).verdict(reranked));
        let mut row = vec![size(best.class), code(&ours.name), bytes(ours.code_bytes)];
        row.extend([bytes(ours.code_bytes + (2 * dim) as f64), share(reranked), goal, share(ours.recall)]);
        Some(row)
    });
    table(&columns, rows)
}

/// Plain product quantisation at the three sizes that faiss is run at.
fn training_table(all: &[Figures], dim: usize) -> String {
    let find = |name: String| all.iter().find(|row| row.name == name);
    let rows = [(2, 8), (4, 16), (8, 32)].into_iter().filter_map(|(share, ratio)| {
        let theirs = find(format!("faiss-pq-{ratio}x"))?;
        let ours = find(format!("product:m={},nbits=8,rotate=false", dim / share))?;
        let times = ours.train_s / theirs.train_s;
        let mut row = vec![code(&ours.name), format!("{:.2}", ours.train_s)];
        row.extend([theirs.name.clone(), format!("{:.2}", theirs.train_s)]);
        row.extend([format!("{times:.2}"), Goal::AtMost(1.0).verdict(times)]);
        Some(row)
    });
    table(&["ours", "seconds", "peer", "seconds", "ratio", "goal"], rows)
}

fn full_table(all: &[Figures], dim: usize, ours: bool) -> String {
    let mut rows: Vec<&Figures> = all.iter().filter(|row| row.ours == ours).collect();
    rows.sort_by(|a, b| b.code_bytes.total_cmp(&a.code_bytes).then(b.recall.total_cmp(&a.recall)));
    let mut columns = vec!["codec", "ratio", "bytes a vector", "MB in all", "recall@10"];
    if ours {
        columns.extend(["ranked anew", "kept by the scan"]);
    }
    columns.push("queries/s");
    if ours {
        columns.push("p50 of one query");
    }
    columns.extend(["encoded/s", "training"]);
    let rows = rows.into_iter().map(|row| {
        let name = if ours { code(&row.name) } else { format!("{} {}", row.name, row.version) };
        let ratio = format!("{:.1}", (4 * dim) as f64 / row.code_bytes);
        let mut cells =
            vec![name, ratio, bytes(row.code_bytes), format!("{:.1}", row.bytes / 1e6), share(row.recall)];
        cells.extend([row.reranked, row.agreement].into_iter().flatten().map(share));
        cells.push(rate(row.scan_qps));
        cells.extend(row.p50_us.map(|p50| format!("{p50:.0} µs")));
        cells.extend([rate(row.encode_per_s), format!("{:.2} s", row.train_s)]);
        cells
    });
    table(&columns, rows)
}

fn size(class: &Class) -> String {
    format!("{}x", class.ratio)
}

fn code(name: &str) -> String {
    format!("`{name}`")
}

/// Whole unless they are not.
fn bytes(count: f64) -> String {
    if count.fract() == 0.0 { format!("{count:.0}") } else { format!("{count:.1}") }
}

fn share(share: f64) -> String {
    format!("{share:.4}")
}

fn rate(rate: f64) -> String {
    format!("{rate:.0}")
}

#[cfg(test)]
#[path = "tables_tests.rs"]
mod tests;

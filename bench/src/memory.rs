//! Memory and start: a large store opened in a process of its own, which looks at itself.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use codegraph_vector::{OpenOptions, PersistentVectorStore, SearchRequest};

use crate::data::make;
use crate::report::{Goal, Report};

const DIMENSION: usize = 384;
const QUERIES: usize = 1000;

/// Fills a store with `rows` rows, and measures a fresh process that opens and searches it.
pub(crate) fn run(folder: &Path, rows: usize, report: &mut Report) -> Result<(), Box<dyn std::error::Error>> {
    let path = folder.join("large");
    let store = PersistentVectorStore::new(&path, folder.join("backups"), DIMENSION)?;
    let step = 50_000.min(rows);
    for first in (0..rows).step_by(step) {
        let vectors = make(step, DIMENSION, first as u64);
        let mut nodes = vectors.nodes(0, step.min(rows - first));
        nodes.iter_mut().for_each(|node| {
            let own = crate::data::node(node.id + first as u128, std::mem::take(&mut node.embedding));
            *node = own;
        });
        for batch in nodes.chunks(10_000) {
            store.put_batch(batch)?;
        }
    }
    store.flush()?;
    let stats = store.stats()?;
    let percent = stats.metadata_percent();
    store.close()?;
    let output = Command::new(std::env::current_exe()?)
        .args(["open", "--dir"])
        .arg(&path)
        .args(["--rows", &rows.to_string()])
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let figures: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [open_ms, open_rss, after_anon, query_ms] = figures[..] else {
        return Err(format!("the child said {text:?} {}", String::from_utf8_lossy(&output.stderr)).into());
    };
    let what = format!("{rows} × {DIMENSION}");
    let mb = |bytes: f64| format!("{:.0} MB", bytes / 1e6);
    report.ratio(
        &format!("{what}: open"),
        format!("{open_ms:.1} ms"),
        "100 ms".into(),
        open_ms / 100.0,
        &Goal::AtMost(1.0),
    );
    let goal = &Goal::AtMost(1.0);
    report.ratio(
        &format!("{what}: resident before the first query"),
        mb(open_rss),
        "100 MB".into(),
        open_rss / 1e8,
        goal,
    );
    let what_after = format!("{what}: anonymous after {QUERIES} exact queries ({query_ms:.1} ms each)");
    report.ratio(&what_after, mb(after_anon), "150 MB".into(), after_anon / 1.5e8, goal);
    report.ratio(
        &format!("{what}: metadata of raw vector bytes"),
        format!("{percent:.2} %"),
        "5 %".into(),
        percent / 5.0,
        goal,
    );
    Ok(())
}

/// Opens, looks, searches, looks again; prints the figures for the parent.
pub(crate) fn child(path: &Path, rows: usize) -> Result<(), Box<dyn std::error::Error>> {
    let start = Instant::now();
    let store =
        PersistentVectorStore::open(path, OpenOptions { must_exist: true, ..OpenOptions::default() })?;
    let open_ms = start.elapsed().as_secs_f64() * 1e3;
    let open_rss = memory("VmRSS:")?;
    if store.stats()?.active_vectors != rows as u64 {
        return Err("rows are missing".into());
    }
    let queries = make(QUERIES, DIMENSION, 99);
    let start = Instant::now();
    for at in 0..QUERIES {
        store.search(&SearchRequest::new(queries.row(at), 10))?;
    }
    let query_ms = start.elapsed().as_secs_f64() * 1e3 / QUERIES as f64;
    println!("{open_ms} {open_rss} {} {query_ms}", memory("RssAnon:")?);
    Ok(())
}

/// A line of `/proc/self/status`, in bytes.
pub(crate) fn memory(name: &str) -> Result<f64, Box<dyn std::error::Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with(name)).ok_or("no such line")?;
    let kib: f64 = line.split_whitespace().nth(1).ok_or("no figure")?.parse()?;
    Ok(kib * 1024.0)
}

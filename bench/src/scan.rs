//! Exact search, one query at a time on one thread, beside reading the same bytes.

use std::path::Path;
use std::time::Instant;

use codegraph_vector::vfs::{OpenMode, RealVfs, Vfs};
use codegraph_vector::{PersistentVectorStore, SearchRequest};
use codegraph_vector_ann::Kernels;

use crate::data::Vectors;
use crate::faiss::Faiss;
use crate::report::{Goal, Report, median};

const REPEATS: usize = 5;
const QUERIES: usize = 40;

/// Fills a store, merges it into one segment, and searches it beside a bare read of a file that
/// holds the same vectors, through the same kind of map.
pub(crate) fn exact(
    folder: &Path,
    base: &Vectors,
    queries: &Vectors,
    python: Option<&Path>,
    report: &mut Report,
) -> Result<(), Box<dyn std::error::Error>> {
    let store = PersistentVectorStore::new(folder.join("scan"), folder.join("backups"), base.dimension)?;
    for first in (0..base.rows()).step_by(10_000) {
        store.put_batch(&base.nodes(first, 10_000))?;
    }
    store.flush()?;
    store.merge()?;
    let plain = folder.join("plain");
    std::fs::write(&plain, base.values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>())?;
    let map = RealVfs.open(&plain, OpenMode::Read)?.map()?;
    let rows: &[f32] = bytemuck::try_cast_slice(&map).map_err(|_| "the map is not aligned")?;
    let mut faiss = match python {
        Some(python) => {
            let path = folder.join("queries");
            std::fs::write(&path, bytemuck::cast_slice::<f32, u8>(&queries.values))?;
            Some(Faiss::start(python, &plain, base.dimension, &path, QUERIES)?)
        }
        None => None,
    };
    let kernels = Kernels::best();
    let request = |at: usize| SearchRequest {
        with_metadata: false,
        ..SearchRequest::new(queries.row(at % queries.rows()), 10)
    };
    store.search(&request(0))?; // Blocks are verified at first touch.
    let (mut ours, mut reads, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let (mut theirs, mut faiss_ratios) = (Vec::new(), Vec::new());
    for _ in 0..REPEATS {
        let (mut searching, mut reading, mut sink) = (Vec::new(), Vec::new(), 0);
        for at in 0..QUERIES {
            let request = request(at);
            let start = Instant::now();
            store.search(&request)?;
            searching.push(start.elapsed().as_secs_f64());
            let start = Instant::now();
            sink ^= kernels.read(rows);
            reading.push(start.elapsed().as_secs_f64());
        }
        std::hint::black_box(sink);
        let (search, read) = (median(searching), median(reading));
        ours.push(search);
        reads.push(read);
        ratios.push(read / search);
        if let Some(faiss) = &mut faiss {
            let round = faiss.round()?;
            theirs.push(round);
            faiss_ratios.push(round / search);
        }
    }
    let gb = (base.values.len() * 4) as f64 / 1e9;
    let figure = |seconds: f64| format!("{:.2} ms, {:.1} GB/s", seconds * 1e3, gb / seconds);
    let what = format!(
        "exact search of {} × {}, one thread, {} kernels, beside reading the vectors",
        base.rows(),
        base.dimension,
        kernels.name()
    );
    report.ratio(
        &what,
        figure(median(ours.clone())),
        figure(median(reads)),
        median(ratios),
        &Goal::AtLeast(0.8),
    );
    if faiss.is_some() {
        let what = "the same beside faiss IndexFlatIP in memory, one thread (speed)";
        let (ours, theirs) = (figure(median(ours)), figure(median(theirs)));
        report.ratio(what, ours, theirs, median(faiss_ratios), &Goal::AtLeast(1.0));
    }
    Ok(())
}

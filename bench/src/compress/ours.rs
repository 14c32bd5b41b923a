//! One of our codecs, measured as the harness of the peers measures theirs.

use std::time::Instant;

use codegraph_vector_ann::codec::{
    self, CodeScan, Codec, CodecReport, CodecSpec, CodedRows, Input, PackedCodes, Scope, TrainControl,
    directions,
};
use codegraph_vector_ann::{ExactScan, Metric, TopK, norm};
use half::f16;

use super::figures::Figures;
use super::{Effort, NEIGHBOURS, Outcome};
use crate::data::{SplitMix, Vectors};
use crate::report::median;

/// Vectors to train on: what faiss takes for 256 centroids.
const SAMPLE_ROWS: usize = 256 * 256;

/// Vectors encoded in one call.
const ENCODED_ROWS: usize = 1024;

/// What all codecs are measured on.
pub(super) struct Data {
    /// Directions.
    base: Vectors,
    /// The vectors as given, to be ranked anew by.
    halves: Vec<f16>,
    /// Directions.
    queries: Vectors,
    /// Neighbours of each query, best first.
    truth: Vec<Vec<u32>>,
    /// Some of the base.
    sample: Vec<f32>,
}

impl Data {
    pub(super) fn new(base: Vectors, queries: Vectors, truth: Vec<Vec<u32>>) -> Result<Self, String> {
        let fits = truth.iter().all(|row| row.len() >= NEIGHBOURS);
        if base.dimension != queries.dimension || truth.len() != queries.rows() || !fits {
            return Err("base, queries and neighbours do not fit each other".into());
        }
        let halves = base.values.iter().map(|value| f16::from_f32(*value)).collect();
        let (base, queries) = (to_directions(base), to_directions(queries));
        let mut random = SplitMix(11);
        let mut order: Vec<usize> = (0..base.rows()).collect();
        let taken = order.len().min(SAMPLE_ROWS);
        for at in 0..taken {
            let other = at + (random.next() % (order.len() - at) as u64) as usize;
            order.swap(at, other);
        }
        let sample = order[..taken].iter().flat_map(|row| base.row(*row)).copied().collect();
        Ok(Self { base, halves, queries, truth, sample })
    }

    pub(super) fn dimension(&self) -> usize {
        self.base.dimension
    }

    pub(super) fn rows(&self) -> usize {
        self.base.rows()
    }

    pub(super) fn queries(&self) -> usize {
        self.queries.rows()
    }
}

fn to_directions(vectors: Vectors) -> Vectors {
    let norms: Vec<f32> = vectors.values.chunks_exact(vectors.dimension).map(norm).collect();
    let mut values = vec![0.0; vectors.values.len()];
    directions(&vectors.values, &norms, &mut values);
    Vectors { values, ..vectors }
}

/// Our codecs of about a quarter, an eighth, a sixteenth and a thirty-second of the floats.
pub(super) fn specs(dim: usize) -> Vec<CodecSpec> {
    let mut specs = Vec::new();
    specs.extend([1, 2, 4, 8].map(|share| CodecSpec::Transform { bytes: dim / share }));
    for rotate in [false, true] {
        specs.extend([2, 4, 8].map(|share| CodecSpec::Product { m: dim / share, nbits: 8, rotate }));
    }
    specs.extend([1, 2, 4].map(|share| CodecSpec::Product { m: dim / share, nbits: 4, rotate: false }));
    for nbits in [8, 4] {
        let scalar = |uniform| CodecSpec::Scalar { nbits, uniform, scope: Scope::Dimension, brain: false };
        specs.extend([true, false].map(scalar));
    }
    specs.extend([1, 2, 4, 8].map(|bits| CodecSpec::Binary { bits }));
    specs
}

/// Trains, encodes and searches.
pub(super) fn measure(spec: &CodecSpec, data: &Data, effort: &Effort) -> Outcome<Figures> {
    if spec.input() == Input::AsGiven {
        return Err(format!("{spec} does not code directions").into());
    }
    let control = TrainControl { threads: effort.threads, ..TrainControl::QUIET };
    let start = Instant::now();
    let codec = codec::train(spec, data.dimension(), &data.sample, &control)?;
    let train_s = start.elapsed().as_secs_f64();

    let mut codes = vec![0; data.rows() * codec.bytes_per_vector()];
    let start = Instant::now();
    let vectors = data.base.values.chunks(ENCODED_ROWS * data.dimension());
    for (vectors, codes) in vectors.zip(codes.chunks_mut(ENCODED_ROWS * codec.bytes_per_vector())) {
        codec.encode(vectors, codes);
    }
    let encode_s = start.elapsed().as_secs_f64();

    let packed = codec.layout().pack(&codes);
    let full = full_scores(&*codec, &codes, data);
    drop(codes);
    let codes = PackedCodes::new(codec.layout(), data.rows(), &packed).ok_or("not as long as codes are")?;
    let scan = Scan { codec: &*codec, rows: CodedRows { codes, norms: &[] } };
    let found = scan.search(&data.queries.values, NEIGHBOURS);
    let candidates = scan.search(&data.queries.values, CodecReport::RERANK);
    let reranked: Vec<Vec<u32>> =
        candidates.iter().enumerate().map(|(at, ids)| rerank(data, at, ids)).collect();
    let (mut qps, mut p50_s) = (0.0_f64, f64::INFINITY);
    for _ in 0..effort.repeats {
        qps = qps.max(batch_qps(&scan, data, effort.seconds));
        p50_s = p50_s.min(single_s(&scan, data, effort.seconds));
    }
    Ok(Figures {
        name: spec.to_string(),
        ours: true,
        version: String::new(),
        code_bytes: codec.bytes_per_vector() as f64,
        bytes: (packed.len() + codec.write().len()) as f64,
        recall: recall(&found, &data.truth),
        reranked: Some(recall(&reranked, &data.truth)),
        agreement: Some(agreement(&found, &full)),
        scan_qps: qps,
        p50_us: Some(p50_s * 1e6),
        encode_per_s: data.rows() as f64 / encode_s,
        train_s,
    })
}

/// Codes of all rows, packed, in memory.
struct Scan<'a> {
    codec: &'a dyn Codec,
    rows: CodedRows<'a>,
}

impl Scan<'_> {
    /// The rows nearest to each query, best first.
    fn search(&self, queries: &[f32], k: usize) -> Vec<Vec<u32>> {
        let prepare = |query| CodeScan::new(Metric::Cosine, query, self.codec);
        let scans: Vec<CodeScan<'_>> = queries.chunks_exact(self.codec.dim()).map(prepare).collect();
        let mut tops = vec![TopK::new(k); scans.len()];
        CodeScan::scan_batch(&scans, self.rows, |_, row| Some(row), &mut tops);
        tops.into_iter().map(|top| top.into_sorted().iter().map(|hit| hit.key).collect()).collect()
    }
}

/// The scores of all rows by the whole of their codes, for the first few queries.
fn full_scores(codec: &dyn Codec, codes: &[u8], data: &Data) -> Vec<Vec<f32>> {
    const QUERIES: usize = 50;
    let scores = |query| {
        let query = codec.prepare_query(query);
        codes.chunks_exact(codec.bytes_per_vector()).map(|code| query.dot(code)).collect()
    };
    data.queries.values.chunks_exact(data.dimension()).take(QUERIES).map(scores).collect()
}

/// Share of those found whose full score is that of the tenth or better, give or take the rounding of sums.
fn agreement(found: &[Vec<u32>], full: &[Vec<f32>]) -> f64 {
    const ROUNDING: f32 = 1e-5;
    let hits = found.iter().zip(full).map(|(found, scores)| {
        let mut best = scores.clone();
        let nearest = NEIGHBOURS.min(best.len());
        let tenth = *best.select_nth_unstable_by(nearest - 1, |a, b| b.total_cmp(a)).1;
        found.iter().filter(|row| scores[**row as usize] >= tenth - ROUNDING).count().min(nearest)
    });
    hits.sum::<usize>() as f64 / (full.len() * NEIGHBOURS) as f64
}

/// The nearest of some rows by their half floats.
fn rerank(data: &Data, query: usize, rows: &[u32]) -> Vec<u32> {
    let exact = ExactScan::new(Metric::Cosine, data.queries.row(query));
    let mut top = TopK::new(NEIGHBOURS);
    for &row in rows {
        let halves = &data.halves[row as usize * data.dimension()..][..data.dimension()];
        let vector: Vec<f32> = halves.iter().map(|half| half.to_f32()).collect();
        top.push(exact.score_one(&vector, norm(&vector)), row);
    }
    top.into_sorted().iter().map(|hit| hit.key).collect()
}

/// Share of the true neighbours among those found.
fn recall(found: &[Vec<u32>], truth: &[Vec<u32>]) -> f64 {
    let hits = found.iter().zip(truth).map(|(found, truth)| {
        truth[..NEIGHBOURS].iter().filter(|id| found[..NEIGHBOURS.min(found.len())].contains(id)).count()
    });
    hits.sum::<usize>() as f64 / (found.len() * NEIGHBOURS) as f64
}

/// Queries a second, all in one call, for at least so long.
fn batch_qps(scan: &Scan<'_>, data: &Data, seconds: f64) -> f64 {
    let (start, mut done) = (Instant::now(), 0);
    loop {
        std::hint::black_box(scan.search(&data.queries.values, NEIGHBOURS));
        done += data.queries();
        let took = start.elapsed().as_secs_f64();
        if took >= seconds {
            return done as f64 / took;
        }
    }
}

/// Median seconds of a query alone, for at least so long and 100 queries.
fn single_s(scan: &Scan<'_>, data: &Data, seconds: f64) -> f64 {
    const LEAST: usize = 100;
    let (start, mut taken) = (Instant::now(), Vec::new());
    while taken.len() < LEAST || start.elapsed().as_secs_f64() < seconds {
        let query = data.queries.row(taken.len() % data.queries());
        let start = Instant::now();
        std::hint::black_box(scan.search(query, NEIGHBOURS));
        taken.push(start.elapsed().as_secs_f64());
    }
    median(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recall_is_the_share_of_ten() {
        let truth: Vec<Vec<u32>> = vec![(0..12).collect(), (100..112).collect()];
        assert_eq!(recall(&truth, &truth), 1.0);
        // The 11th and 12th neighbours do not count, nor does what is found beyond the tenth.
        let found: Vec<Vec<u32>> = vec![(5..17).collect(), (200..210).chain(100..102).collect()];
        assert_eq!(recall(&found, &truth), 0.25);
        assert_eq!(recall(&[vec![0], vec![]], &truth), 0.05);
    }

    #[test]
    fn agreement_is_with_the_full_scores_and_ties_agree() {
        let scores: Vec<f32> = (0..20).map(|at| if at < 12 { 1.0 } else { 0.5 }).collect();
        let full = vec![scores.clone(), scores];
        // Twelve are as good as the tenth.
        assert_eq!(agreement(&[(0..10).collect(), (2..12).collect()], &full), 1.0);
        assert_eq!(agreement(&[(0..10).collect(), (7..17).collect()], &full), 0.75);
        // Queries beyond those with full scores do not count.
        assert_eq!(agreement(&[(0..10).collect(), (0..10).collect(), vec![]], &full), 1.0);
    }

    #[test]
    fn every_spec_fits_and_each_is_there_once() {
        for dim in [16, 96, 384, 768] {
            let specs = specs(dim);
            assert!(specs.iter().all(|spec| spec.check(dim).is_ok() && spec.input() == Input::Direction));
            let names: std::collections::HashSet<String> = specs.iter().map(ToString::to_string).collect();
            assert_eq!(names.len(), specs.len());
        }
    }

    #[test]
    fn data_that_does_not_fit_is_refused() {
        let vectors = |rows: usize, dimension| crate::data::make(rows, dimension, 3);
        let truth = |rows: usize, len: u32| vec![(0..len).collect::<Vec<_>>(); rows];
        assert!(Data::new(vectors(20, 4), vectors(3, 4), truth(3, 10)).is_ok());
        assert!(Data::new(vectors(20, 4), vectors(3, 5), truth(3, 10)).is_err());
        assert!(Data::new(vectors(20, 4), vectors(3, 4), truth(2, 10)).is_err());
        assert!(Data::new(vectors(20, 4), vectors(3, 4), truth(3, 9)).is_err());
    }

    #[test]
    fn ranking_anew_goes_by_the_vectors() {
        let base = crate::data::make(200, 8, 5);
        let queries = Vectors { dimension: 8, values: base.row(40).to_vec() };
        let data = Data::new(base, queries, vec![(0..10).collect()]).unwrap();
        let order = rerank(&data, 0, &(0..200).collect::<Vec<_>>());
        assert_eq!((order[0], order.len()), (40, 10));
        assert_eq!(rerank(&data, 0, &[7, 40])[0], 40);
    }
}

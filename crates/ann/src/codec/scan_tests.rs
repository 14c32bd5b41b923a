//! The search through codes against brute force over `score`, with a codec of the simplest kind.

use proptest::prelude::*;

use super::*;
use crate::codec::{CodecSpec, Scale};
use crate::topk::Hit;

/// Component *j* is one of 16 levels, `spread[j]` apart: a nibble each.
#[derive(Debug)]
struct Levels {
    layout: CodeLayout,
    spread: Vec<f32>,
    scale: Scale,
    input: Input,
    with_tables: bool,
}

struct LevelQuery {
    tables: NibbleTables,
    with_tables: bool,
}

impl CodeQuery for LevelQuery {
    fn dot(&self, code: &[u8]) -> f32 {
        self.tables.dot(code)
    }

    fn tables(&self) -> Option<&NibbleTables> {
        self.with_tables.then_some(&self.tables)
    }
}

impl Codec for Levels {
    fn spec(&self) -> CodecSpec {
        CodecSpec::Transform { bytes: self.layout.code_bytes() }
    }

    fn dim(&self) -> usize {
        self.spread.len()
    }

    fn bytes_per_vector(&self) -> usize {
        self.layout.code_bytes()
    }

    fn layout(&self) -> CodeLayout {
        self.layout
    }

    fn input(&self) -> Input {
        self.input
    }

    fn encode(&self, _: &[f32], _: &mut [u8]) {
        unreachable!("codes are made directly");
    }

    fn decode(&self, _: &[u8], _: &mut [f32]) {
        unreachable!("nothing is decoded");
    }

    fn prepare_query<'a>(&'a self, query: &[f32]) -> Box<dyn CodeQuery + 'a> {
        let level = |value: usize| value as f32 - 7.5;
        let table = |(q, spread): (&f32, &f32)| std::array::from_fn(|value| q * spread * level(value));
        let tables = query.iter().zip(&self.spread).map(table).collect();
        let shares = vec![shares(); self.dim()];
        let tables = NibbleTables::new(self.layout, tables, &shares, 0.01, self.scale);
        Box::new(LevelQuery { tables, with_tables: self.with_tables })
    }

    fn write(&self) -> Vec<u8> {
        unreachable!("nothing is written");
    }
}

/// Nibbles are sums of three small dice, nearly normal around 7.5.
fn shares() -> [f32; 16] {
    let mut counts = [0.0; 16];
    for (a, b, c) in (0..216).map(|at| (at % 6, at / 6 % 6, at / 36)) {
        counts[a + b + c] += 1.0 / 216.0;
    }
    counts
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn nibble(&mut self) -> u8 {
        (self.below(6) + self.below(6) + self.below(6)) as u8
    }

    /// -1 .. 1, in steps that some share.
    fn number(&mut self, steps: u64) -> f32 {
        self.below(2 * steps + 1) as f32 / steps as f32 - 1.0
    }
}

struct Case {
    codec: Levels,
    packed: Vec<u8>,
    norms: Vec<f32>,
    queries: Vec<Vec<f32>>,
}

impl Case {
    /// With steps so few that many rows tie.
    fn new(head: usize, tail: usize, side: usize, rows: usize, decay: f32, seed: u64) -> Self {
        Self::leaning(head, tail, side, rows, decay, seed, 0)
    }

    /// As many as `together` of 16 are the same for all nibbles of a row.
    fn leaning(
        head: usize,
        tail: usize,
        side: usize,
        rows: usize,
        decay: f32,
        seed: u64,
        together: u64,
    ) -> Self {
        let mut random = Random(seed);
        random.below(2);
        let layout = CodeLayout { head, tail, side };
        let dim = 2 * (head + tail);
        let spread = (0..dim).map(|at| decay.powi(at as i32) / (dim as f32).sqrt()).collect();
        let span = if side == 1 { 255.0 } else { 65_535.0 };
        let scale = Scale { least: 0.5, step: 0.3 / span };
        let mut codes = Vec::new();
        let mut norms = Vec::new();
        for _ in 0..rows {
            let lean = random.below(together + 1) as u8;
            let mut nibble = || (u64::from(random.nibble()) * (16 - together) / 16) as u8 + lean;
            codes.extend((0..head + tail).map(|_| nibble() | nibble() << 4));
            codes.extend((0..side).map(|_| random.below(256) as u8));
            norms.push(if random.below(20) == 0 { 0.0 } else { 0.5 + random.below(8) as f32 / 4.0 });
        }
        let steps = 1 + random.below(1000);
        let queries = (0..5).map(|_| (0..dim).map(|_| random.number(steps)).collect()).collect();
        let codec = Levels { layout, spread, scale, input: Input::Direction, with_tables: true };
        Self { codec, packed: layout.pack(&codes), norms, queries }
    }

    fn rows(&self) -> CodedRows<'_> {
        let codes = PackedCodes::new(self.codec.layout, self.norms.len(), &self.packed).expect("packed so");
        CodedRows { codes, norms: &self.norms }
    }
}

fn key_of(row: u32) -> u64 {
    // Against the order of rows, so that ties show which of the two orders them.
    1_000_000 - u64::from(row)
}

fn by_sorting(scan: &CodeScan<'_>, rows: CodedRows<'_>, chosen: &[u32], k: usize) -> Vec<Hit<u64>> {
    let hit = |&row: &u32| Hit { score: scan.score(rows, row), key: key_of(row) };
    let mut hits: Vec<_> = chosen.iter().map(hit).collect();
    hits.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.key.cmp(&b.key)));
    hits.truncate(k);
    hits
}

fn bits(hits: &[Hit<u64>]) -> Vec<(u32, u64)> {
    hits.iter().map(|hit| (hit.score.to_bits(), hit.key)).collect()
}

fn found(
    scan: &CodeScan<'_>,
    rows: CodedRows<'_>,
    chosen: Rows<'_>,
    k: usize,
    seen: impl Fn(u32) -> bool,
) -> Vec<Hit<u64>> {
    let mut top = TopK::new(k);
    let mut asked = std::collections::HashMap::new();
    let admit = |row| {
        *asked.entry(row).or_insert(0) += 1;
        seen(row).then(|| key_of(row))
    };
    scan.scan(rows, chosen, admit, &mut top);
    if matches!(chosen, Rows::All) {
        assert!(asked.values().all(|&times| times == 1), "asked twice about a row");
    }
    top.into_sorted()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn without_a_tail_a_scan_finds_what_a_sort_of_all_scores_does(
        (head, side, rows, k) in (1..24_usize, 0..3_usize, 0..700_usize, 0..40_usize),
        decay in 0.8_f32..1.0, hidden in 1..5_u32, every in 1..20_u32, seed in any::<u64>(),
    ) {
        let case = Case::new(head, 0, side, rows, decay, seed);
        let all: Vec<u32> = (0..rows as u32).collect();
        let some: Vec<u32> = all.iter().copied().filter(|row| row % every == 0).collect();
        let twice: Vec<u32> = some.iter().chain(&some).rev().copied().collect();
        for metric in Metric::ALL {
            for kernels in LookUps::all_available() {
                let scan = CodeScan::with_kernels(metric, &case.queries[0], &case.codec, kernels);
                for (selection, chosen) in
                    [(Rows::All, &all), (Rows::Listed(&some), &some), (Rows::Listed(&twice), &twice)]
                {
                    let hits = found(&scan, case.rows(), selection, k, |_| true);
                    let expected = by_sorting(&scan, case.rows(), chosen, k);
                    prop_assert_eq!(bits(&hits), bits(&expected), "{} {:?}", metric, kernels);
                    let hits = found(&scan, case.rows(), selection, k, |row| row % hidden == 0);
                    let seen: Vec<u32> = chosen.iter().copied().filter(|row| row % hidden == 0).collect();
                    let expected = by_sorting(&scan, case.rows(), &seen, k);
                    prop_assert_eq!(bits(&hits), bits(&expected), "{} {:?}", metric, kernels);
                }
            }
        }
    }

    #[test]
    fn a_batch_finds_what_each_scan_does(
        (head, tail, side, rows, k) in (0..10_usize, 0..20_usize, 0..3_usize, 0..700_usize, 0..40_usize),
        hidden in 1..5_u32, seed in any::<u64>(),
    ) {
        prop_assume!(head + tail > 0);
        let case = Case::new(head, tail, side, rows, 0.95, seed);
        for kernels in LookUps::all_available() {
            // Queries of all metrics may go along with each other, and want more or fewer rows.
            let scans: Vec<_> = case.queries.iter().zip(Metric::ALL.into_iter().cycle())
                .map(|(query, metric)| CodeScan::with_kernels(metric, query, &case.codec, kernels)).collect();
            let seen = |query: usize, row: u32| !(row + query as u32).is_multiple_of(hidden + 1);
            let mut tops: Vec<_> = (0..scans.len()).map(|query| TopK::new(k + query)).collect();
            let admit = |query, row| seen(query, row).then(|| key_of(row));
            CodeScan::scan_batch(&scans, case.rows(), admit, &mut tops);
            for (query, (scan, top)) in scans.iter().zip(tops).enumerate() {
                let alone = found(scan, case.rows(), Rows::All, k + query, |row| seen(query, row));
                let hits = top.into_sorted();
                for hit in &hits {
                    let row = (1_000_000 - hit.key) as u32;
                    prop_assert_eq!(hit.score.to_bits(), scan.score(case.rows(), row).to_bits());
                }
                if tail == 0 || head == 0 {
                    prop_assert_eq!(bits(&hits), bits(&alone));
                } else {
                    prop_assert_eq!(hits.len(), alone.len());
                }
            }
        }
    }

    #[test]
    fn the_score_is_that_of_the_estimated_product(
        (head, tail, side) in (0..10_usize, 0..40_usize, 0..3_usize), seed in any::<u64>(),
    ) {
        prop_assume!(head + tail > 0);
        let mut case = Case::new(head, tail, side, 70, 0.95, seed);
        for input in [Input::Direction, Input::AsGiven] {
            case.codec.input = input;
            for with_tables in [true, false] {
                case.codec.with_tables = with_tables;
                for metric in Metric::ALL {
                    check_scores(&case, metric)?;
                }
            }
        }
    }
}

fn check_scores(case: &Case, metric: Metric) -> Result<(), TestCaseError> {
    let query = &case.queries[1];
    let length = norm_f64(query);
    let scan = CodeScan::new(metric, query, &case.codec);
    let rows = case.rows();
    let directed = case.codec.input == Input::Direction && length > 0.0;
    let given: Vec<f32> =
        query.iter().map(|&x| if directed { (f64::from(x) / length) as f32 } else { x }).collect();
    let prepared = case.codec.prepare_query(&given);
    let mut code = vec![0; case.codec.bytes_per_vector()];
    for (row, &norm) in case.norms.iter().enumerate() {
        rows.codes.code(row, &mut code);
        let lengths = length * f64::from(norm);
        let mut product = f64::from(prepared.dot(&code));
        if case.codec.input == Input::Direction {
            product *= lengths;
        }
        let expected = match metric {
            Metric::Cosine if lengths == 0.0 => 0.0,
            Metric::Cosine => (product / lengths).clamp(-1.0, 1.0),
            Metric::Dot => product,
            Metric::Euclidean => -(length * length + f64::from(norm).powi(2) - 2.0 * product).max(0.0).sqrt(),
        };
        let score = f64::from(scan.score(rows, row as u32));
        prop_assert!((score - expected).abs() <= 2e-3 * (1.0 + length), "{} for {}", score, expected);
    }
    // What a scan reports is what it says of a row alone, also without tables and as given.
    let all: Vec<u32> = (0..case.norms.len() as u32).collect();
    let hits = found(&scan, rows, Rows::All, all.len(), |_| true);
    prop_assert_eq!(bits(&hits), bits(&by_sorting(&scan, rows, &all, all.len())));
    Ok(())
}

#[test]
fn what_the_estimate_of_tails_loses_is_less_than_one_in_a_thousand() {
    let (k, mut wanted, mut got) = (10, 0, 0);
    for (seed, decay) in (0..40).zip([0.96, 0.98, 0.99, 1.0].into_iter().cycle()) {
        // Of every other case, all nibbles of a row lean to the same side: the tail then follows the head, and is
        // spread many times wider than if nibbles were independent.
        let together = if seed % 2 == 0 { 0 } else { 8 };
        let case = Case::leaning(12, 40, 1, 3000, decay, seed, together);
        let all: Vec<u32> = (0..3000).collect();
        for (query, metric) in case.queries.iter().zip(Metric::ALL.into_iter().cycle()) {
            let scan = CodeScan::new(metric, query, &case.codec);
            let hits = found(&scan, case.rows(), Rows::All, k, |_| true);
            let expected = by_sorting(&scan, case.rows(), &all, k);
            let expected: std::collections::HashSet<_> = bits(&expected).into_iter().collect();
            wanted += k;
            got += bits(&hits).into_iter().filter(|hit| expected.contains(hit)).count();
        }
    }
    assert!(got * 1000 >= wanted * 999, "{got} of {wanted}");
}

#[test]
fn few_rows_need_a_closer_look_and_only_those_that_would_enter_are_asked_about() {
    let case = Case::new(24, 0, 1, 20_000, 0.97, 3);
    let scan = CodeScan::new(Metric::Cosine, &case.queries[0], &case.codec);
    let mut top = TopK::new(10);
    let mut asked = 0;
    let admit = |row| {
        asked += 1;
        Some(row)
    };
    scan.scan(case.rows(), Rows::All, admit, &mut top);
    // About 10 (1 + ln(20,000 / 256)), had the first 256 come in the order of their scores.
    assert!((10..150).contains(&asked), "{asked}");
}

#[test]
fn degenerate_queries_and_codes_score_and_never_as_nan() {
    for (head, tail) in [(8, 0), (8, 24), (0, 8)] {
        let mut case = Case::new(head, tail, 1, 200, 0.9, 11);
        let dim = case.codec.dim();
        for value in [0.0, -0.0, 1e-45, 1e-38, 1e30, 1e37, f32::MAX] {
            check_finite_hits(&case, &vec![value; dim]);
        }
        case.norms = (0..200).map(|row| [0.0, f32::MAX, 1e-45, f32::INFINITY, f32::NAN][row % 5]).collect();
        for value in [0.0, 1.0, f32::MAX] {
            check_finite_hits(&case, &vec![value; dim]);
        }
        // Levels that are all the same.
        case.codec.spread = vec![0.0; dim];
        check_finite_hits(&case, &vec![1.0; dim]);
    }
}

fn check_finite_hits(case: &Case, query: &[f32]) {
    for metric in Metric::ALL {
        for kernels in LookUps::all_available() {
            let scan = CodeScan::with_kernels(metric, query, &case.codec, kernels);
            let hits = found(&scan, case.rows(), Rows::All, 200, |_| true);
            assert_eq!(hits.len(), 200);
            assert!(hits.iter().all(|hit| hit.score.is_finite()), "{metric} {kernels:?}");
            for (row, norm) in case.norms.iter().enumerate() {
                let score = scan.score(case.rows(), row as u32);
                if metric == Metric::Cosine && (*norm == 0.0 || query[0] == 0.0) {
                    assert_eq!(score.to_bits(), 0.0_f32.to_bits());
                }
            }
            let best = found(&scan, case.rows(), Rows::All, 10, |_| true);
            if case.codec.layout.tail == 0 {
                assert_eq!(bits(&best), bits(&hits)[..10], "{metric} {kernels:?}");
            }
        }
    }
}

#[test]
fn norms_may_be_left_out_where_nothing_needs_them() {
    let case = Case::new(8, 0, 0, 100, 0.9, 5);
    let rows = CodedRows { norms: &[], ..case.rows() };
    let scan = CodeScan::new(Metric::Cosine, &case.queries[0], &case.codec);
    let all: Vec<u32> = (0..100).collect();
    let hits = found(&scan, rows, Rows::All, 7, |_| true);
    assert_eq!(bits(&hits), bits(&by_sorting(&scan, rows, &all, 7)));
    for (row, &norm) in case.norms.iter().enumerate().filter(|(_, norm)| **norm > 0.0) {
        assert_eq!(scan.score(rows, row as u32), scan.score(case.rows(), row as u32), "{norm}");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let case = Case::new(4, 0, 1, 100, 0.9, 5);
    let other = Case::new(4, 1, 1, 100, 0.9, 5);
    let scan = |metric| CodeScan::new(metric, &case.queries[0], &case.codec);
    let few = CodedRows { norms: &case.norms[..99], ..case.rows() };
    let none = CodedRows { norms: &[], ..case.rows() };
    let cases: [&dyn Fn(); 7] = [
        &|| drop(CodeScan::new(Metric::Dot, &[1.0], &case.codec)),
        &|| drop(scan(Metric::Dot).score(other.rows(), 0).to_string()),
        &|| drop(scan(Metric::Dot).score(case.rows(), 100).to_string()),
        &|| scan(Metric::Cosine).scan(few, Rows::All, Some, &mut TopK::new(1)),
        &|| scan(Metric::Dot).scan(none, Rows::All, Some, &mut TopK::new(1)),
        &|| scan(Metric::Dot).scan(case.rows(), Rows::Listed(&[100]), Some, &mut TopK::new(1)),
        &|| {
            let admit = |_: usize, row: u32| Some(row);
            CodeScan::scan_batch(&[scan(Metric::Dot)], case.rows(), admit, &mut []);
        },
    ];
    for case in cases {
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(case)).is_err());
    }
}

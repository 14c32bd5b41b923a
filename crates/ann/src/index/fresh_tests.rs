//! Rows beside an index are found as those in it are.

use std::convert::Infallible;
use std::ops::Range;

use super::*;
use crate::codec::TrainControl;
use crate::index::{IndexKind, IndexSource, IndexSpec, Reuse, build};
use crate::norm;
use crate::random::Random;

const DIM: usize = 24;

struct Source {
    directions: Vec<f32>,
    norms: Vec<f32>,
}

impl Source {
    /// Rows around some centres.
    fn new(rows: usize, random: &mut Random) -> Self {
        let mut number = || random.unit() as f32 - 0.5;
        let centres: Vec<f32> = (0..16 * DIM).map(|_| number()).collect();
        let mut directions = Vec::with_capacity(rows * DIM);
        for row in 0..rows {
            let centre = &centres[row % 16 * DIM..][..DIM];
            let vector: Vec<f32> = centre.iter().map(|x| x + 0.3 * number()).collect();
            let length = norm(&vector);
            directions.extend(vector.iter().map(|x| x / length));
        }
        let norms = (0..rows).map(|row| 1.0 + (row % 7) as f32 / 7.0).collect();
        Self { directions, norms }
    }
}

impl IndexSource for Source {
    type Error = Infallible;

    fn rows(&self) -> usize {
        self.norms.len()
    }

    fn directions(&self, rows: Range<usize>, out: &mut [f32]) -> Result<(), Infallible> {
        out.copy_from_slice(&self.directions[rows.start * DIM..rows.end * DIM]);
        Ok(())
    }

    fn norms(&self) -> &[f32] {
        &self.norms
    }
}

#[test]
fn rows_beside_an_index_are_found() {
    for (seed, metric) in Metric::ALL.into_iter().enumerate() {
        let mut random = Random::new(seed as u64, 1);
        let source = Source::new(3000, &mut random);
        let spec = IndexSpec::new(IndexKind::Ivf);
        let bytes = build(&spec, metric, DIM, &source, &[], None, &TrainControl::QUIET).unwrap();
        let coder = VectorIndex::open(&bytes).unwrap().coder();
        let fresh = Source::new(1000, &mut random);
        let batch = |rows: Range<usize>| {
            coder.code(&fresh.directions[rows.start * DIM..rows.end * DIM], &fresh.norms[rows])
        };
        let batches = [batch(0..256), batch(256..512), batch(512..1000)];
        let batches: Vec<&FreshRows> = batches.iter().collect();
        let ordinal = |batch: usize, row: u32| batch as u32 * 256 + row;
        let (mut found, mut asked) = (0, 0);
        for at in 0..50 {
            let query = &source.directions[at * DIM..][..DIM];
            let mut exact = TopK::new(10);
            for row in (0..1000).filter(|row| row % 3 > 0) {
                let direction = &fresh.directions[row as usize * DIM..][..DIM];
                let dot = direction.iter().zip(query).map(|(x, y)| x * y).sum();
                exact.push(metric.of_directions(dot, 1.0, fresh.norms[row as usize]), row);
            }
            let mut top = TopK::new(30);
            let admit = |batch, row| Some(ordinal(batch, row)).filter(|row| row % 3 > 0);
            coder.search(query, &batches, admit, &mut top);
            let top = top.into_sorted();
            assert!(top.iter().all(|hit| hit.key % 3 > 0), "only rows that are admitted");
            let nearest = exact.into_sorted();
            asked += nearest.len();
            found += nearest.iter().filter(|near| top.iter().any(|hit| hit.key == near.key)).count();
        }
        assert!(found * 100 >= asked * 95, "{metric}: {found} of {asked}");
    }
}

#[test]
fn an_index_made_of_another_finds_what_a_new_one_does() {
    let mut random = Random::new(9, 1);
    let all = Source::new(4000, &mut random);
    let rows = |numbers: &[usize]| Source {
        directions: numbers.iter().flat_map(|at| all.directions[at * DIM..][..DIM].to_vec()).collect(),
        norms: numbers.iter().map(|at| all.norms[*at]).collect(),
    };
    let spec = IndexSpec::new(IndexKind::Ivf);
    let metric = Metric::Euclidean;
    let first: Vec<usize> = (0..3500).collect();
    let bytes = build(&spec, metric, DIM, &rows(&first), &[], None, &TrainControl::QUIET).unwrap();
    let index = VectorIndex::open(&bytes).unwrap();
    // Some rows go, others come between those that stay.
    let second: Vec<usize> = (0..4000).rev().filter(|at| at % 11 != 3).collect();
    let ordinals: Vec<u32> = second.iter().map(|&at| if at < 3500 { at as u32 } else { u32::MAX }).collect();
    let source = rows(&second);
    let reuse = Reuse { index: &index, bytes: &bytes, ordinals: &ordinals };
    assert!(reuse.is_worth());
    let control = TrainControl { threads: 2, ..TrainControl::QUIET };
    let made = build(&spec, metric, DIM, &source, &[], Some(&reuse), &control).unwrap();
    let again = build(&spec, metric, DIM, &source, &[], Some(&reuse), &TrainControl::QUIET).unwrap();
    assert_eq!(made, again, "the same on any number of threads");
    let other = VectorIndex::open(&made).unwrap();
    assert_eq!(other.added(), ordinals.iter().filter(|ordinal| **ordinal == u32::MAX).count() as u64);
    assert_eq!(other.calibration(), index.calibration());
    let recall = |index: &VectorIndex, bytes: &[u8]| {
        let mut found = 0;
        for at in 0..60 {
            let query: Vec<f32> = source.directions[at * DIM..][..DIM].iter().map(|x| 1.2 * x).collect();
            let mut exact = TopK::new(10);
            for row in 0..source.rows() {
                let product: f32 =
                    source.directions[row * DIM..][..DIM].iter().zip(&query).map(|(x, y)| x * y).sum();
                let score = metric.of_product(f64::from(product * source.norms[row]), 1.2, source.norms[row]);
                exact.push(score, row as u32);
            }
            let mut top = [TopK::new(30)];
            index.search(bytes, &[index.prepare(&query)], &[8], |_, row| Some(row), &mut top);
            let [top] = top;
            let top = top.into_sorted();
            let near = exact.into_sorted();
            found += near.iter().filter(|near| top.iter().any(|hit| hit.key == near.key)).count();
        }
        found
    };
    let fresh = build(&spec, metric, DIM, &source, &[], None, &TrainControl::QUIET).unwrap();
    let (taken_over, new) = (recall(&other, &made), recall(&VectorIndex::open(&fresh).unwrap(), &fresh));
    assert!(taken_over * 100 >= new * 97, "{taken_over} where a new index finds {new}, of 600");
    // More than was there before is not worth it.
    let most_new: Vec<u32> = ordinals.iter().map(|&at| if at < 1500 { at } else { u32::MAX }).collect();
    assert!(!Reuse { index: &index, bytes: &bytes, ordinals: &most_new }.is_worth());
}

//! Sketches of planted, constant and awkward rows, and what their products are off by.

use proptest::prelude::*;

use super::*;
use crate::numeric::{dot_f64, norm_f64};
use crate::random::Random;

fn normal(random: &mut Random) -> f32 {
    (0..12).map(|_| random.unit()).sum::<f64>() as f32 - 6.0
}

/// Directions about a mean, of `rank` axes and `noise` beside them.
fn directions(count: usize, dim: usize, rank: usize, noise: f32) -> Vec<f32> {
    let mut random = Random::new(3, 1);
    let plan: Vec<f32> = (0..(rank + 1) * dim).map(|_| normal(&mut random)).collect();
    let mut rows = Vec::with_capacity(count * dim);
    for _ in 0..count {
        let weights: Vec<f32> = (0..rank).map(|_| normal(&mut random)).collect();
        let mut row = plan[..dim].to_vec();
        for (axis, weight) in plan[dim..].chunks(dim).zip(&weights) {
            row.iter_mut().zip(axis).for_each(|(x, axis)| *x += weight * axis);
        }
        row.iter_mut().for_each(|x| *x += noise * normal(&mut random));
        let norm = norm_f64(&row) as f32;
        rows.extend(row.iter().map(|x| x / norm));
    }
    rows
}

fn train(rows: &[f32], dim: usize) -> Sketcher {
    Sketcher::train(rows, dim, &TrainControl::QUIET).expect("nobody stops it")
}

fn sketches(sketcher: &Sketcher, rows: &[f32]) -> Vec<u8> {
    let mut rotated = vec![0.0; rows.len() / sketcher.mean.len() * sketcher.bytes()];
    sketcher.rotate(rows, &mut rotated);
    let mut sketches = vec![0; rotated.len()];
    sketcher.sketch(&rotated, &mut sketches);
    sketches
}

fn dot(query: &SketchQuery, sketch: &[u8]) -> f32 {
    let mut dot = [0.0];
    query.dot_listed(sketch, &[0], &mut dot);
    dot[0]
}

#[test]
fn rows_of_few_axes_are_estimated_within_what_rounding_takes() {
    for (dim, rank) in [(5, 5), (40, 20), (100, 30), (96, 60)] {
        let rows = directions(500, dim, rank, 0.0);
        let sketcher = train(&rows[..400 * dim], dim);
        let bytes = sketcher.bytes();
        let all = sketches(&sketcher, &rows);
        for query in rows.chunks(dim).step_by(7) {
            let ready = sketcher.prepare(query);
            // Half a step of one side for each component of the other; the last is for the other half of both, for
            // the 5% that are not kept of the last case, and for rows beyond the sample.
            let size = |numbers: &[f32]| numbers.iter().map(|x| x.abs()).sum::<f32>();
            let scale = ready.factor / sketcher.step;
            let bound = 0.5 * sketcher.step * size(&ready.rotated) + 0.5 * scale * (bytes as f32).sqrt();
            let bound = bound * 1.2 + if rank > 32 { 0.1 } else { 1e-5 };
            for (row, sketch) in rows.chunks(dim).zip(all.chunks(bytes)) {
                let (product, estimate) = (dot_f64(query, row) as f32, dot(&ready, sketch));
                assert!(
                    (product - estimate).abs() <= bound,
                    "{dim}, {rank}: {estimate} for {product}, {bound}"
                );
            }
        }
    }
}

#[test]
fn what_rounding_takes_is_hardly_anything_on_average() {
    let dim = 100;
    let rows = directions(1000, dim, 30, 0.0);
    let sketcher = train(&rows, dim);
    let all = sketches(&sketcher, &rows);
    let mut square = 0.0;
    let mut count = 0.0;
    for query in rows.chunks(dim).step_by(50) {
        let ready = sketcher.prepare(query);
        for (row, sketch) in rows.chunks(dim).zip(all.chunks(sketcher.bytes())) {
            square += (dot_f64(query, row) - f64::from(dot(&ready, sketch))).powi(2);
            count += 1.0;
        }
    }
    assert!((square / count).sqrt() < 0.004, "{}", (square / count).sqrt());
}

#[test]
fn as_many_axes_are_kept_as_tell_nearly_all() {
    let count = |rank| train(&directions(600, 200, rank, 0.001), 200).bytes();
    assert_eq!([count(1), count(20), count(50), count(150)], [32, 32, 64, 128]);
    assert_eq!(train(&directions(50, 3, 3, 0.0), 3).bytes(), 32);
    assert_eq!(bytes_for(&[0.0; 5]), 32);
    assert_eq!(bytes_for(&[1.0; 65]), 64);
    assert_eq!(bytes_for(&[1.0; 100]), 128);
    assert_eq!(bytes_for(&vec![1.0; 9000]), MOST_AXES);
}

#[test]
fn equal_rows_and_rows_of_zeros_are_estimated_too() {
    let dim = 48;
    let same: Vec<f32> = directions(1, dim, 4, 0.0).repeat(30);
    let zeros = vec![0.0; dim * 3];
    for rows in [&same, &zeros] {
        let sketcher = train(rows, dim);
        let all = sketches(&sketcher, rows);
        for (query, other) in [(rows, 1.0), (&zeros, 0.0), (&same, 1.0)] {
            let ready = sketcher.prepare(&query[..dim]);
            let expected = if std::ptr::eq(rows, &same) { other } else { 0.0 };
            let estimate = dot(&ready, &all[..sketcher.bytes()]);
            assert!((estimate - expected).abs() < 1e-5, "{estimate} for {expected}");
        }
        // A row that is nothing like the sample.
        let far: Vec<f32> = (0..dim).map(|at| if at == 0 { -1.0 } else { 0.0 }).collect();
        assert!(dot(&sketcher.prepare(&far), &sketches(&sketcher, &far)).is_finite());
    }
}

#[test]
fn listed_ones_have_the_same_estimates_in_any_order() {
    let dim = 70;
    let rows = directions(200, dim, 40, 0.1);
    let sketcher = train(&rows, dim);
    let all = sketches(&sketcher, &rows);
    let ready = sketcher.prepare(&rows[..dim]);
    for count in [0, 1, 5, 64, 65, 200] {
        let places: Vec<u32> = (0..count as u32).map(|at| (at * 37) % 200).collect();
        let mut dots = vec![f32::NAN; count];
        ready.dot_listed(&all, &places, &mut dots);
        for (place, listed) in places.iter().zip(dots) {
            let sketch = &all[*place as usize * sketcher.bytes()..][..sketcher.bytes()];
            assert_eq!(listed.to_bits(), dot(&ready, sketch).to_bits());
        }
    }
}

#[test]
fn any_number_of_threads_trains_the_same_and_no_sample_none() {
    let dim = 64;
    let rows = directions(3000, dim, 30, 0.1);
    let alone = train(&rows, dim);
    for threads in [2, 3] {
        let control = TrainControl { threads, ..TrainControl::QUIET };
        assert_eq!(Sketcher::train(&rows, dim, &control), Ok(alone.clone()));
    }
    assert!(matches!(Sketcher::train(&[], dim, &TrainControl::QUIET), Err(CodecError::Sample(_))));
    let control = TrainControl { stop: &|| true, ..TrainControl::QUIET };
    assert_eq!(Sketcher::train(&rows, dim, &control), Err(CodecError::Stopped));
}

#[test]
fn what_was_written_is_read_again_and_nothing_else() {
    let dim = 20;
    let sketcher = train(&directions(90, dim, 8, 0.1), dim);
    let bytes = sketcher.write();
    assert_eq!(Sketcher::read(&bytes, dim), Ok(sketcher));
    for len in 0..bytes.len() {
        assert!(Sketcher::read(&bytes[..len], dim).is_err());
    }
    assert!(Sketcher::read(&[&bytes[..], &[0]].concat(), dim).is_err());
    assert!(Sketcher::read(&bytes, dim + 1).is_err());
    let with = |at: usize, word: [u8; 4]| {
        let mut bytes = bytes.clone();
        bytes[at..at + 4].copy_from_slice(&word);
        Sketcher::read(&bytes, dim)
    };
    for count in [0, 31, 33, 64, u32::MAX] {
        assert!(with(0, count.to_le_bytes()).is_err(), "{count} axes");
    }
    for step in [0.0, -1.0, f32::NAN, f32::INFINITY, f32::MAX] {
        assert!(with(4, step.to_le_bytes()).is_err(), "a step of {step}");
    }
    for at in [8, 8 + 4 * dim, bytes.len() - 4] {
        assert!(with(at, f32::NAN.to_le_bytes()).is_err());
        assert!(with(at, f32::MAX.to_le_bytes()).is_err());
    }
}

proptest! {
    #[test]
    fn no_direction_and_no_damage_makes_a_nan(
        values in prop::collection::vec(-1.0_f32..1.0, 40..400),
        dim in 1..40_usize,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
    ) {
        let rows = &values[..values.len() / dim * dim];
        let sketcher = train(rows, dim);
        let mut bytes = sketcher.write();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(sketcher) = Sketcher::read(&bytes, dim) {
            let all = sketches(&sketcher, rows);
            for query in rows.chunks(dim).take(5) {
                let ready = sketcher.prepare(query);
                prop_assert!(all.chunks(sketcher.bytes()).all(|sketch| dot(&ready, sketch).is_finite()));
            }
        }
    }
}

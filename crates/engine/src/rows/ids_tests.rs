//! Ids are found whatever they are, in few probes, and the filter lets few others pass.

use std::cell::Cell;
use std::ops::Range;

use proptest::prelude::*;

use super::super::tests::written;
use super::super::{IdFilter, write_id_filter};
use super::*;

fn open(ids: &[NodeId]) -> (Ids<Vec<u8>>, IdIndex<Vec<u8>>) {
    let bytes = written(|sink| write_ids(ids.iter().copied(), sink));
    let index = written(|sink| write_id_index(ids, sink));
    (Ids::open(bytes, ids.len()).expect("ids"), IdIndex::open(index, ids.len()).expect("index"))
}

fn scattered(row: u64) -> NodeId {
    let half = |seed| NodeId::from(codegraph_vector_base::hash64(&row.to_le_bytes(), seed));
    half(1) << 64 | half(2)
}

/// Counts what is read.
struct Counted<'a> {
    bytes: &'a [u8],
    reads: &'a Cell<usize>,
}

impl SectionBytes for Counted<'_> {
    fn len(&self) -> usize {
        self.bytes.len()
    }

    fn get(&self, range: Range<usize>) -> Result<&[u8]> {
        self.reads.set(self.reads.get() + 1);
        self.bytes.get(range).ok_or_else(|| self.corrupt(0, "beyond".to_owned()))
    }
}

/// The most and the mean of the ids read for a lookup, of which two are the ends.
fn probes(ids: &[NodeId]) -> (usize, f64) {
    let bytes = written(|sink| write_ids(ids.iter().copied(), sink));
    let index = written(|sink| write_id_index(ids, sink));
    let reads = Cell::new(0);
    let bytes = Ids::open(Counted { bytes: &bytes, reads: &reads }, ids.len()).expect("ids");
    let index = IdIndex::open(index, ids.len()).expect("index");
    let probes = ids.iter().map(|&id| {
        reads.set(0);
        assert!(index.lookup(&bytes, id).expect("readable").is_some());
        reads.get()
    });
    let probes: Vec<usize> = probes.collect();
    (probes.iter().copied().max().unwrap_or(0), probes.iter().sum::<usize>() as f64 / probes.len() as f64)
}

#[test]
fn few_probes_find_an_id() {
    let sequence: Vec<_> = (0..20_000).collect();
    let random: Vec<_> = (0..20_000).map(scattered).collect();
    let steep: Vec<_> = (0..120).flat_map(|bit| (0..100).map(move |low| (1 << bit) + low)).collect();
    let mut steep = steep;
    steep.sort_unstable();
    steep.dedup();
    for (ids, most, mean) in [(sequence, 4, 3.5), (random, 16, 8.5), (steep, 36, 22.0)] {
        let found = probes(&ids);
        assert!(found.0 <= most && found.1 <= mean, "{found:?}");
    }
}

#[test]
fn a_damaged_index_is_told() {
    let ids: Vec<_> = (0..100).map(scattered).collect();
    let (bytes, index) = open(&ids);
    index.verify(&bytes).expect("good");
    let swapped = {
        let mut index = written(|sink| write_id_index(&ids, sink));
        index.swap(0, 4);
        index.swap(1, 5);
        IdIndex::open(index, ids.len()).expect("index")
    };
    assert!(swapped.verify(&bytes).is_err());
    assert!(Ids::open(vec![0; 15], 1).is_err());
    assert!(IdIndex::open(vec![0; 4], 2).is_err());
    assert!(bytes.get(99).is_ok() && bytes.get(100).is_err());
}

#[test]
fn one_other_id_in_a_hundred_passes_the_filter() {
    let ids: Vec<_> = (0..20_000).map(scattered).collect();
    let bytes = written(|sink| write_id_filter(&ids, sink));
    assert!(bytes.len() * 8 <= ids.len() * 11);
    let filter = IdFilter::open(bytes).expect("filter");
    assert!(ids.iter().all(|&id| filter.may_contain(id).expect("readable")));
    let passed =
        (20_000..120_000).filter(|&row| filter.may_contain(scattered(row)).expect("readable")).count();
    assert!((400..1600).contains(&passed), "{passed} of 100,000");
    let none = IdFilter::open(written(|sink| write_id_filter(&[], sink))).expect("filter");
    assert!(!none.may_contain(1).expect("readable"));
}

#[test]
fn the_filter_is_that_of_format_1() {
    let bytes = written(|sink| write_id_filter(&[1, 2, 1 << 100], sink));
    let words: Vec<_> = bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
    assert_eq!(words, GOLDEN_FILTER);
}

const GOLDEN_FILTER: [u32; 8] = [16898, 2147516928, 1605632, 65696, 163904, 285212674, 2113537, 67109889];

proptest! {
    #[test]
    fn what_is_there_is_found(
        ids in proptest::collection::hash_set(prop_oneof![0..200u128, any::<u128>(), (0..128u32).prop_map(|bit| 1 << bit)], 0..300),
        others in proptest::collection::vec(prop_oneof![0..200u128, any::<u128>()], 50),
    ) {
        let ids: Vec<_> = ids.into_iter().collect();
        let (bytes, index) = open(&ids);
        index.verify(&bytes).unwrap();
        for (row, &id) in ids.iter().enumerate() {
            prop_assert_eq!(index.lookup(&bytes, id).unwrap(), Some(row as u32));
            prop_assert_eq!(bytes.get(row as u32).unwrap(), id);
        }
        for id in others {
            prop_assert_eq!(index.lookup(&bytes, id).unwrap().is_some(), ids.contains(&id));
        }
        let mut sorted = ids.clone();
        sorted.sort_unstable();
        for (place, id) in sorted.into_iter().enumerate() {
            prop_assert_eq!(bytes.get(index.ordinal(place).unwrap()).unwrap(), id);
        }
    }
}

//! What is read, what is refused, and that lies cost nothing.

use proptest::prelude::*;

use super::*;
use crate::formats::{self, Vectors};

fn file(version: u8, dictionary: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend([version, 0]);
    match version {
        1 => bytes.extend((dictionary.len() as u16).to_le_bytes()),
        _ => bytes.extend((dictionary.len() as u32).to_le_bytes()),
    }
    bytes.extend(dictionary.as_bytes());
    bytes.extend(data);
    bytes
}

fn dictionary(descr: &str, shape: &str) -> String {
    format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n")
}

fn floats(bytes: &[u8], step: usize) -> Result<Vec<f32>> {
    formats::read_all(Vectors::Npy(Matrix::open(bytes, bytes.len() as u64)?), step)
}

fn ids(bytes: &[u8]) -> Result<Vec<u64>> {
    let mut ids = Ids::open(bytes, bytes.len() as u64)?;
    let mut all = Vec::new();
    while let Some(id) = ids.next()? {
        all.push(id);
    }
    assert_eq!(all.len() as u64, ids.count());
    Ok(all)
}

fn refusal(outcome: Result<impl std::fmt::Debug>) -> String {
    outcome.expect_err("refused").to_string()
}

#[test]
fn floats_of_both_widths_and_all_versions_are_read() {
    let single: Vec<u8> =
        [1.5f32, -2.0, 0.25, 1e-40, 5.0, 6.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let half: Vec<u8> =
        [1.5f32, -2.0, 0.25, 6e-8, 5.0, 6.0].iter().flat_map(|x| f16::from_f32(*x).to_le_bytes()).collect();
    for version in 1..=3 {
        assert_eq!(
            floats(&file(version, &dictionary("<f4", "(3, 2)"), &single), 2).unwrap(),
            [1.5, -2.0, 0.25, 1e-40, 5.0, 6.0]
        );
        assert_eq!(
            floats(&file(version, &dictionary("<f2", "(2, 3)"), &half), 2).unwrap(),
            [1.5, -2.0, 0.25, f16::from_f32(6e-8).to_f32(), 5.0, 6.0]
        );
    }
    assert!(floats(&file(1, &dictionary("<f4", "(0, 3)"), &[]), 2).unwrap().is_empty());
}

#[test]
fn headers_of_other_writers_are_read() {
    let odd = "  {\"shape\":(1,2),'fortran_order' : False,\"descr\": \"<f4\"}   \n";
    assert_eq!(floats(&file(1, odd, &[0; 8]), 9).unwrap(), [0.0, 0.0]);
}

#[test]
fn ids_are_read_and_negative_ones_named() {
    let data: Vec<u8> = [1u64, u64::MAX >> 1].iter().flat_map(|x| x.to_le_bytes()).collect();
    for descr in ["<i8", "<u8"] {
        assert_eq!(ids(&file(1, &dictionary(descr, "(2,)"), &data)).unwrap(), [1, u64::MAX >> 1]);
    }
    let data: Vec<u8> = [1i64, -7].iter().flat_map(|x| x.to_le_bytes()).collect();
    assert!(refusal(ids(&file(1, &dictionary("<i8", "(2,)"), &data))).contains("row 1: -7 is no id"));
    assert_eq!(ids(&file(1, &dictionary("<u8", "(2,)"), &data)).unwrap()[1], (-7i64) as u64);
    assert!(refusal(ids(&file(1, &dictionary("<f4", "(2,)"), &data[..8]))).contains("ids are uint64"));
}

#[test]
fn neighbours_are_whole_numbers_in_rows() {
    let read = |bytes: &[u8]| read_neighbours(&mut &bytes[..], bytes.len() as u64);
    let data: Vec<u8> = [1i32, -1, 3, i32::MAX, 5, 6].iter().flat_map(|id| id.to_le_bytes()).collect();
    let rows = read(&file(1, &dictionary("<i4", "(2, 3)"), &data)).unwrap();
    assert_eq!(rows, [[1, NO_NODE, 3], [i32::MAX as u64, 5, 6]]);
    let rows = read(&file(1, &dictionary("<u4", "(3, 2)"), &data)).unwrap();
    assert_eq!(rows[0], [1, u64::from(u32::MAX)]);
    let mut written = Vec::new();
    write_u64s(&mut written, &[1, NO_NODE, 3, 4], 2).unwrap();
    assert_eq!(read(&written).unwrap(), [[1, NO_NODE], [3, 4]]);
    let data: Vec<u8> = [7i64, -7].iter().flat_map(|id| id.to_le_bytes()).collect();
    assert_eq!(read(&file(1, &dictionary("<i8", "(1, 2)"), &data)).unwrap(), [[7, NO_NODE]]);
    for (descr, shape) in [("<f4", "(2, 2)"), ("<i8", "(2,)"), ("<i8", "(1, 3)")] {
        assert!(read(&file(1, &dictionary(descr, shape), &data)).is_err(), "{descr} {shape}");
    }
    assert!(refusal(read(&file(1, &dictionary("<i4", "(7, 0)"), &[]))).contains("empty"));
}

#[test]
fn a_lying_header_is_refused_before_anything_is_allocated() {
    for shape in
        ["(4, 2)", "(2, 2)", "(1000000000000, 384)", "(4294967296, 4294967296)", "(18446744073709551615, 2)"]
    {
        let refusal = refusal(floats(&file(1, &dictionary("<f4", shape), &[0; 24]), 9));
        assert!(refusal.contains("24 bytes follow it"), "{refusal}");
    }
    let mut bytes = file(2, &dictionary("<f4", "(1, 1)"), &[0; 4]);
    bytes[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(refusal(floats(&bytes, 9)).contains("claims 4294967295 bytes"));
}

#[test]
fn what_cannot_be_read_says_why() {
    let of = |dictionary: &str| refusal(floats(&file(1, dictionary, &[0; 24]), 9));
    assert!(of(&dictionary("<f8", "(1, 3)")).contains("astype"));
    assert!(of(&dictionary(">f4", "(2, 3)")).contains("\">f4\""));
    assert!(of(&dictionary("<f4", "(6,)")).contains("1 axes"));
    assert!(of(&dictionary("<f4", "(2, 3)").replace("False", "True")).contains("Fortran"));
    assert!(of(&dictionary("<u8", "(1, 3)")).contains("whole numbers"));
    assert!(
        of("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2, 3)}").contains("makes no sense")
    );
    assert!(of("{'descr': '<f4', 'fortran_order': False, 'shape': (2, -3)}").contains("makes no sense"));
    assert!(of("{'descr': '<f4', 'shape': (2, 3)}").contains("makes no sense"));
    assert!(of(&format!("{} x", dictionary("<f4", "(2, 3)"))).contains("makes no sense"));
    assert!(refusal(floats(b"PK\x03\x04 and more", 9)).contains("magic"));
    assert!(refusal(floats(b"\x93NUM", 9)).contains("too early"));
    assert!(refusal(floats(&file(1, &dictionary("<f4", "(3, 0)"), &[]), 9)).contains("no dimensions"));
    let mut newer = file(1, &dictionary("<f4", "(2, 3)"), &[0; 24]);
    newer[6] = 9;
    assert!(refusal(floats(&newer, 9)).contains("version 9"));
}

#[test]
fn what_is_written_is_what_numpy_writes() {
    let mut bytes = Vec::new();
    write_u64_header(&mut bytes, 2, 3).unwrap();
    assert_eq!(bytes.len() % ALIGNMENT, 0);
    bytes.extend([0; 48]);
    let header = read_header(&mut &bytes[..], bytes.len() as u64).unwrap();
    assert_eq!(header, Header { element: Element::U64, shape: vec![2, 3] });
}

proptest! {
    #[test]
    fn hostile_headers_are_an_error(text in "[{}()':, a-z0-9<\\\\\"]{0,80}", data in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = floats(&file(1, &text, &data), 3);
        let neighbours = file(2, &text, &data);
        let _ = ids(&neighbours);
        let _ = read_neighbours(&mut &neighbours[..], neighbours.len() as u64);
    }

    #[test]
    fn hostile_bytes_are_an_error(at: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
        let mut bytes = file(1, &dictionary("<f4", "(2, 3)"), &[1; 24]);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = floats(&bytes, 1);
        bytes.truncate(cut.index(bytes.len()));
        prop_assert!(floats(&bytes, 1).is_err());
    }
}

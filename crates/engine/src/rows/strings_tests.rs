//! A string table answers as a sorted list does.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

#[test]
fn strings_come_in_order_or_not_at_all() {
    let mut builder = StringTableBuilder::default();
    builder.push(b"a").expect("first");
    assert!(builder.push(b"a").is_err() && builder.push(b"").is_err());
    builder.push(b"ab").expect("after");
    assert_eq!(builder.count, 2);
}

#[test]
fn paths_take_few_bytes() {
    let mut builder = StringTableBuilder::default();
    let mut raw = 0;
    for number in 0..10_000 {
        let path = format!("crates/some_crate_{:03}/src/module/file_{number:05}.rs", number / 100);
        raw += path.len();
        builder.push(path.as_bytes()).expect("in order");
    }
    assert!(builder.finish().len() * 4 < raw);
}

#[test]
fn numbers_end_within_32_bits() {
    for number in [0, 1, 127, 128, 300, 1 << 20, u32::MAX as usize] {
        let mut bytes = Vec::new();
        put_number(&mut bytes, number);
        bytes.push(9);
        assert_eq!(take_number(&bytes), Some((number, &[9][..])));
        assert_eq!(take_number(&bytes[..bytes.len() - 2]), None);
    }
    assert_eq!(take_number(&[0xff, 0xff, 0xff, 0xff, 0x1f]), None);
    assert_eq!(take_number(&[0x80; 10]), None);
}

proptest! {
    #[test]
    fn a_table_is_a_sorted_list(
        strings in proptest::collection::btree_set("[ab/é]{0,6}", 0..80),
        probes in proptest::collection::vec("[ab/é]{0,6}", 20),
        offset in 0..9usize,
    ) {
        let mut builder = StringTableBuilder::default();
        strings.iter().for_each(|string| builder.push(string.as_bytes()).unwrap());
        let table = builder.finish();
        let bytes = [vec![7; offset], table.clone(), vec![7; 3]].concat();
        let open = StringTable::open(&bytes, offset, table.len()).unwrap();
        prop_assert_eq!(open.len(), strings.len());
        for probe in probes.iter().chain(&strings) {
            let lower = strings.iter().take_while(|string| *string < probe).count();
            prop_assert_eq!(open.lower_bound(&bytes, probe.as_bytes()).unwrap(), lower);
            let present = strings.contains(probe);
            prop_assert_eq!(open.upper_bound(&bytes, probe.as_bytes()).unwrap(), lower + usize::from(present));
            prop_assert_eq!(open.find(&bytes, probe.as_bytes()).unwrap(), present.then_some(lower));
        }
        for from in [0, 1, 15, 16, 17, 40, 100] {
            let mut cursor = open.cursor(&bytes, from).unwrap();
            let mut seen = BTreeSet::new();
            while let Some((rank, string)) = cursor.next().unwrap() {
                prop_assert_eq!(rank, from + seen.len());
                seen.insert(String::from_utf8(string.to_vec()).unwrap());
            }
            prop_assert!(seen.iter().eq(strings.iter().skip(from)));
        }
    }
}

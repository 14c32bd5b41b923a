//! What a row costs, and what hostile bytes do to the sections.

use codegraph_vector_base::{RowChecksum, SeqNo};
use proptest::prelude::*;

use super::*;
use crate::filter::Filter;
use crate::filter::sample::{any_filter, any_metadata};
use crate::node::NodeMetadata;

/// Runs a writer and gives what it wrote.
pub(super) fn written(write: impl FnOnce(&mut Sink<'_>) -> codegraph_vector_base::Result<()>) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut |piece: &[u8]| {
        bytes.extend_from_slice(piece);
        Ok(())
    })
    .expect("written");
    bytes
}

/// Rows in the order of a segment, with ids from 0 in steps of 2, shuffled by path.
pub(super) fn in_order(metadata: Vec<NodeMetadata>) -> Vec<(NodeId, NodeMetadata)> {
    let mut rows: Vec<_> = (0..).step_by(2).zip(metadata).collect();
    rows.sort_by(|a, b| row_order((a.1.path.as_deref(), a.0), (b.1.path.as_deref(), b.0)));
    rows
}

pub(super) fn payload_index(rows: &[(NodeId, NodeMetadata)]) -> Vec<u8> {
    let mut builder = PayloadIndexBuilder::new();
    for (ordinal, (_, metadata)) in (0..).zip(rows) {
        builder.push(ordinal, metadata).expect("in order");
    }
    written(|sink| builder.finish(sink))
}

fn columns_of(row: u64) -> RowColumns {
    // As after an index of 10,000 nodes and edits over a day.
    let checksum = RowChecksum { vector: row.wrapping_mul(0x9e37_79b9_7f4a_7c15), metadata: !row };
    let now = 1_760_000_000_000_000 + row * 8_640_000;
    RowColumns { seqno: SeqNo(1000 + row), created_us: now, updated_us: now + row % 7, norm: 1.0, checksum }
}

#[test]
fn a_row_costs_less_than_a_twentieth_of_its_vector() {
    let rows = 10_000;
    let ids: Vec<NodeId> =
        (0..rows as u64).map(|row| u128::from(columns_of(row).checksum.vector) << 13).collect();
    let sections = [
        written(|sink| write_ids(ids.iter().copied(), sink)),
        written(|sink| write_id_index(&ids, sink)),
        written(|sink| write_id_filter(&ids, sink)),
        written(|sink| write_columns((0..rows as u64).map(columns_of), sink)),
    ];
    let bytes: usize = sections.iter().map(Vec::len).sum();
    assert!(bytes <= 55 * rows, "{} bytes a row", bytes as f64 / rows as f64);
    assert!(bytes * 20 < rows * 384 * 4);
}

#[test]
fn rows_without_a_path_come_first() {
    let mut rows = [(Some("b"), 1), (None, 9), (Some("a"), 7), (Some("a"), 2), (None, 3)];
    rows.sort_by(|a, b| row_order(*a, *b));
    assert_eq!(rows, [(None, 3), (None, 9), (Some("a"), 2), (Some("a"), 7), (Some("b"), 1)]);
}

#[test]
fn a_failing_sink_is_an_error() {
    let full = |_: &[u8]| Err(codegraph_vector_base::Error::invalid("full"));
    assert!(write_ids([1], &mut { full }).is_err());
    assert!(write_columns([columns_of(1)].into_iter(), &mut { full }).is_err());
    assert!(PayloadIndexBuilder::new().finish(&mut { full }).is_err());
    let mut sink = full;
    let mut writer = PayloadWriter::new(&mut sink);
    writer.push(b"x").expect("kept");
    assert!(writer.finish().is_err());
}

/// What an attacker, or a disk, does to bytes.
#[derive(Clone, Debug)]
enum Damage {
    Byte(prop::sample::Index, u8),
    Number(prop::sample::Index, u64),
    Cut(prop::sample::Index),
    Head(u8, u64),
}

fn any_damage() -> impl Strategy<Value = Vec<Damage>> {
    let number =
        || prop::sample::select(vec![0, 1, u64::MAX, u64::MAX >> 1, 1 << 31, u64::from(u32::MAX), 64]);
    let one = prop_oneof![
        (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Byte(at, byte)),
        (any::<prop::sample::Index>(), number()).prop_map(|(at, number)| Damage::Number(at, number)),
        any::<prop::sample::Index>().prop_map(Damage::Cut),
        (0..40u8, number()).prop_map(|(at, number)| Damage::Head(at, number)),
    ];
    proptest::collection::vec(one, 1..4)
}

fn damaged(mut bytes: Vec<u8>, damage: &[Damage]) -> Vec<u8> {
    for damage in damage {
        let length = bytes.len();
        if length == 0 {
            break;
        }
        let (at, new) = match damage {
            Damage::Byte(at, byte) => (at.index(length), vec![*byte]),
            Damage::Number(at, number) => (at.index(length), number.to_le_bytes().to_vec()),
            Damage::Head(word, number) => (usize::from(*word) * 4, number.to_le_bytes().to_vec()),
            Damage::Cut(at) => {
                bytes.truncate(at.index(length));
                continue;
            }
        };
        bytes.iter_mut().skip(at).zip(new).for_each(|(byte, new)| *byte = new);
    }
    bytes
}

fn use_ids(ids: Vec<u8>, index: Vec<u8>, filter: Vec<u8>, rows: usize) {
    if let Ok(filter) = IdFilter::open(filter) {
        (0..50).for_each(|id| _ = filter.may_contain(id));
    }
    let (Ok(ids), Ok(index)) = (Ids::open(ids, rows), IdIndex::open(index, rows)) else { return };
    for id in (0..100).chain([NodeId::MAX]) {
        if let Ok(Some(row)) = index.lookup(&ids, id) {
            assert_eq!(ids.get(row).expect("found"), id);
        }
    }
    let _ = index.verify(&ids);
}

fn use_columns(columns: Vec<u8>, rows: usize) {
    if let Ok(columns) = Columns::open(columns, rows) {
        (0..=rows as u32).for_each(|row| _ = columns.get(row));
        let _ = (columns.norms(), columns.checksum_sum());
    }
}

fn use_payload(payload: Vec<u8>, rows: usize) {
    let Ok(reader) = PayloadReader::open(payload, rows) else { return };
    for row in 0..=rows as u32 {
        let _ = reader.locate(row).and_then(|block| reader.read_block(block)).map(|block| {
            (0..=rows as u32).for_each(|row| _ = block.row(row).map(NodeMetadata::decode));
        });
    }
}

fn use_index(index: Vec<u8>, rows: usize, filters: &[Filter]) {
    let Ok(index) = PayloadIndex::open(index, rows) else { return };
    for filter in filters {
        if let Ok(found) = index.evaluate(filter, &|id| Ok(u32::try_from(id).ok())) {
            assert!(found.unsure.is_subset(&found.bitmap));
        }
    }
    let _ = index.rows_of_path("src/a.rs");
    let _ = index.each_path("", |_, _| Ok(()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn hostile_sections_are_errors(
        metadata in proptest::collection::vec(any_metadata(), 0..40),
        filters in proptest::collection::vec(any_filter(false), 8),
        damage in any_damage(),
    ) {
        let rows = in_order(metadata);
        let ids: Vec<_> = rows.iter().map(|(id, _)| *id).collect();
        let write = [
            written(|sink| write_ids(ids.iter().copied(), sink)),
            written(|sink| write_id_index(&ids, sink)),
            written(|sink| write_id_filter(&ids, sink)),
        ];
        let [ids, index, filter] = write.map(|bytes| damaged(bytes, &damage));
        use_ids(ids, index, filter, rows.len());
        let columns = written(|sink| write_columns((0..rows.len() as u64).map(columns_of), sink));
        use_columns(damaged(columns, &damage), rows.len());
        let payload = written(|sink| {
            let mut writer = PayloadWriter::new(sink);
            rows.iter().try_for_each(|(_, metadata)| writer.push(&metadata.encode()?))?;
            writer.finish().map(|_| ())
        });
        use_payload(damaged(payload, &damage), rows.len());
        use_index(damaged(payload_index(&rows), &damage), rows.len(), &filters);
    }
}

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn put(table: &Memtable, id: NodeId, seqno: u64, path: Option<&str>) {
    table.kill(id, SeqNo(seqno));
    let metadata = NodeMetadata { path: path.map(str::to_owned), ..NodeMetadata::default() };
    let vector = [seqno as f32, id as f32];
    let row = PutRow {
        id,
        seqno: SeqNo(seqno),
        created_us: 1,
        updated_us: seqno,
        norm: 1.0,
        checksum: RowChecksum::default(),
        vector: bytemuck::cast_slice(&vector),
        metadata: Arc::new(metadata),
        encoded: b"",
    };
    table.put(std::iter::once(row));
}

fn seen(table: &Memtable, seqno: u64) -> BTreeMap<NodeId, u64> {
    let mut rows = BTreeMap::new();
    table.each_chunk(|chunk| {
        for (at, row) in chunk.rows.iter().enumerate().filter(|(_, row)| row.visible_at(SeqNo(seqno))) {
            assert_eq!(chunk.vector(at), [row.seqno.0 as f32, row.id as f32]);
            assert!(rows.insert(row.id, row.seqno.0).is_none(), "two versions of {} at once", row.id);
        }
    });
    rows
}

proptest! {
    #[test]
    fn each_seqno_sees_its_own_state(ops in proptest::collection::vec((0u128..20, any::<bool>()), 1..700)) {
        let table = Memtable::new();
        let mut states = vec![BTreeMap::new()];
        for (at, (id, is_put)) in ops.iter().enumerate() {
            let seqno = at as u64 + 1;
            let mut state = states[at].clone();
            if *is_put {
                put(&table, *id, seqno, None);
                state.insert(*id, seqno);
            } else {
                prop_assert_eq!(table.kill(*id, SeqNo(seqno)).is_some(), state.remove(id).is_some());
            }
            states.push(state);
        }
        for (seqno, state) in states.iter().enumerate().step_by(7) {
            prop_assert_eq!(&seen(&table, seqno as u64), state);
            for id in 0..20 {
                let got = table.get(id, SeqNo(seqno as u64), |row, _, _| row.seqno.0);
                prop_assert_eq!(got.as_ref(), state.get(&id));
            }
        }
    }
}

#[test]
fn paths_list_what_a_reader_sees() {
    let table = Memtable::new();
    put(&table, 1, 1, Some("a.rs"));
    put(&table, 2, 2, Some("a.rs"));
    put(&table, 1, 3, Some("b.rs"));
    let ids = |path, seqno| {
        let mut ids = table.ids_of_path(path, SeqNo(seqno));
        ids.sort_unstable();
        ids
    };
    assert_eq!(ids("a.rs", 1), [1]);
    assert_eq!(ids("a.rs", 2), [1, 2]);
    assert_eq!(ids("a.rs", 3), [2]);
    assert_eq!(ids("b.rs", 3), [1]);
    assert_eq!(ids("c.rs", 3), [] as [NodeId; 0]);
}

#[test]
fn a_flush_changes_nothing_that_a_reader_counts_or_sees() {
    let table = Memtable::new();
    (0..300u128).for_each(|id| put(&table, id, id as u64 + 1, None));
    let before = seen(&table, 300);
    assert_eq!(table.rows(), 300);
    assert_eq!(table.chunks().iter().map(|chunk| chunk.rows.len()).sum::<usize>(), 300);
    assert_eq!((table.rows(), seen(&table, 300)), (300, before));
}

use super::*;
use codegraph_vector_base::limits;
use proptest::prelude::*;

const DIMENSION: usize = 3;

fn head(id: NodeId, vector: &[f32], metadata: &[u8]) -> RowHead {
    RowHead {
        id,
        created_us: 5,
        norm: 1.0,
        metadata_bytes: metadata.len() as u32,
        checksum: RowChecksum::of(id, bytemuck::cast_slice(vector), metadata),
    }
}

type Rows = Vec<(NodeId, Vec<f32>, Vec<u8>)>;

fn rows() -> impl Strategy<Value = Rows> {
    let vector = proptest::collection::vec(-9.0f32..9.0, DIMENSION);
    let row = (any::<u128>(), vector, proptest::collection::vec(any::<u8>(), 0..40));
    proptest::collection::vec(row, 0..30)
}

fn build(rows: &Rows, deletes: &[NodeId]) -> Parts {
    let mut builder = PartsBuilder::new(limits::BATCH_PART_BYTES, 0);
    for (id, vector, metadata) in rows {
        builder
            .put(NewRow { head: head(*id, vector, metadata), vector, metadata, decoded: &Arc::default() })
            .unwrap();
    }
    builder.delete(deletes);
    builder.finish(u64::MAX).unwrap()
}

proptest! {
    #[test]
    fn parts_read_back_as_built(rows in rows(), deletes: Vec<u128>) {
        let parts = build(&rows, &deletes);
        let (mut read, mut dead) = (Rows::new(), Vec::new());
        for part in &parts.parts {
            match PartView::parse(part.kind(), &part.pieces().concat(), DIMENSION).unwrap().unwrap() {
                PartView::Rows(view) => for row in view.iter() {
                    let vector = row.vector.as_chunks::<4>().0.iter().map(|v| f32::from_le_bytes(*v)).collect();
                    read.push((row.head.id, vector, row.metadata.to_vec()));
                },
                PartView::Deletes(ids) => dead.extend(deleted_ids(ids)),
            }
        }
        prop_assert_eq!(read, rows);
        prop_assert_eq!(dead, deletes);
    }

    #[test]
    fn any_bytes_are_read_without_panic(kind in 15u16..19, bytes: Vec<u8>) {
        if let Ok(Some(PartView::Rows(view))) = PartView::parse(kind, &bytes, DIMENSION) {
            let _ = view.iter().count();
        }
    }

    #[test]
    fn a_flipped_byte_is_read_without_panic(rows in rows(), at: usize, flip in 1u8..) {
        for part in build(&rows, &[]).parts {
            let mut bytes = part.pieces().concat();
            let at = at % bytes.len();
            bytes[at] ^= flip;
            if let Ok(Some(PartView::Rows(view))) = PartView::parse(part.kind(), &bytes, DIMENSION) {
                let _ = view.iter().count();
            }
        }
    }
}

#[test]
fn a_large_batch_goes_in_parts_and_too_large_a_one_is_refused() {
    let vector = vec![0.5f32; 4096];
    let decoded = Arc::default();
    let row = |id| NewRow { head: head(id, &vector, b""), vector: &vector, metadata: b"", decoded: &decoded };
    let mut builder = PartsBuilder::new(limits::BATCH_PART_BYTES, 0);
    (0..200).for_each(|id| builder.put(row(id)).unwrap());
    let parts = builder.finish(u64::MAX).unwrap();
    assert!(
        parts.parts.len() > 2
            && parts.parts.iter().all(|part| part.pieces().concat().len() < limits::MAX_FRAME_PAYLOAD_BYTES)
    );
    let mut builder = PartsBuilder::new(limits::BATCH_PART_BYTES, 0);
    (0..200).for_each(|id| builder.put(row(id)).unwrap());
    let error = builder.finish(1 << 20).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.message().contains("max_batch_bytes"), "{error}");
}

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

fn build<'a>(rows: &'a Rows, deletes: &[NodeId]) -> Parts<'a> {
    let rows = rows.iter().map(|(id, vector, metadata)| NewRow {
        head: head(*id, vector, metadata),
        vector,
        metadata,
    });
    Parts::new(rows.collect(), deletes, limits::BATCH_PART_BYTES, u64::MAX).unwrap()
}

proptest! {
    #[test]
    fn parts_read_back_as_built(rows in rows(), deletes: Vec<u128>) {
        let parts = build(&rows, &deletes);
        let (mut read, mut dead) = (Rows::new(), Vec::new());
        for (kind, pieces) in parts.payloads() {
            match PartView::parse(kind, &pieces.concat(), DIMENSION).unwrap().unwrap() {
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
        for (kind, pieces) in build(&rows, &[]).payloads() {
            let mut bytes = pieces.concat();
            let at = at % bytes.len();
            bytes[at] ^= flip;
            if let Ok(Some(PartView::Rows(view))) = PartView::parse(kind, &bytes, DIMENSION) {
                let _ = view.iter().count();
            }
        }
    }
}

#[test]
fn a_large_batch_goes_in_parts_and_too_large_a_one_is_refused() {
    let vector = vec![0.5f32; 4096];
    let rows = || {
        (0..200).map(|id| NewRow { head: head(id, &vector, b""), vector: &vector, metadata: b"" }).collect()
    };
    let parts = Parts::new(rows(), &[], limits::BATCH_PART_BYTES, u64::MAX).unwrap();
    let payloads: Vec<_> = parts.payloads().map(|(_, pieces)| pieces.concat().len()).collect();
    assert!(
        payloads.len() > 2 && payloads.iter().all(|len| *len < limits::MAX_FRAME_PAYLOAD_BYTES),
        "{payloads:?}"
    );
    let error = Parts::new(rows(), &[], limits::BATCH_PART_BYTES, 1 << 20).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.message().contains("max_batch_bytes"), "{error}");
}

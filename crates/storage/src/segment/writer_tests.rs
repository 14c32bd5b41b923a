use std::sync::{Arc, Mutex};

use codegraph_vector_testkit::{Action, Call, Fault, Op, SimVfs};

use super::*;
use crate::segment::sample::{ID, STORE, Sample, bytes, folder, layout};
use crate::segment::{SegmentFile, verify_segment};

const KIND: SectionKind = SectionKind(1);

fn create(sim: &SimVfs) -> SegmentWriter<'_> {
    SegmentWriter::create(sim, &layout(), STORE, ID).expect("created")
}

/// The calls of `work` that match.
fn calls_of(sim: &SimVfs, wanted: fn(Op) -> bool, work: impl FnOnce()) -> Vec<Call> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    sim.set_observer(Arc::new(move |_: &SimVfs, call: &Call| {
        if wanted(call.op) {
            sink.lock().expect("unpoisoned").push(call.clone());
        }
        Action::Proceed
    }));
    work();
    sim.clear_observer();
    std::mem::take(&mut *seen.lock().expect("unpoisoned"))
}

fn fail(sim: &SimVfs, op: Op, fault: Fault) {
    sim.set_observer(Arc::new(move |_: &SimVfs, call: &Call| match call.op == op {
        true => Action::Fail(fault),
        false => Action::Proceed,
    }));
}

#[test]
fn calls_out_of_turn_are_refused_for_good() {
    let misuses: [fn(&mut SegmentWriter) -> Result<()>; 6] = [
        |writer| writer.write(b"x"),
        |writer| writer.end(),
        |writer| writer.begin(KIND).and_then(|()| writer.begin(SectionKind(2))),
        |writer| writer.section(KIND, b"").and_then(|()| writer.section(KIND, b"")),
        |writer| writer.section(KIND, b"").and_then(|()| writer.end()),
        |writer| writer.section(KIND, b"").and_then(|()| writer.write(b"")),
    ];
    for misuse in misuses {
        let sim = folder();
        let mut writer = create(&sim);
        let error = misuse(&mut writer).expect_err("out of turn");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_eq!(error.path(), Some(&*layout().segment_path(ID)));
        writer.section(SectionKind(9), b"x").expect_err("failed before");
        writer.finish().expect_err("failed before");
        assert_eq!(sim.paths().len(), 0);
    }
    let sim = folder();
    let mut writer = create(&sim);
    writer.begin(KIND).expect("begun");
    writer.finish().expect_err("within a section");
    assert_eq!(sim.paths().len(), 0);
}

#[test]
fn a_dropped_writer_leaves_nothing() {
    let sim = folder();
    let mut writer = create(&sim);
    writer.section(KIND, &bytes(3 << 20)).expect("written");
    assert_eq!(sim.paths(), [temporary(&layout().segment_path(ID))]);
    drop(writer);
    assert_eq!(sim.paths().len(), 0);
}

#[test]
fn a_small_segment_is_one_write_and_a_large_one_is_written_by_pieces_that_are_not_copied() {
    let sim = folder();
    let is_write = |op| matches!(op, Op::Write | Op::Allocate | Op::SetLen);
    let small = calls_of(&sim, is_write, || {
        let mut writer = create(&sim);
        (0..100).for_each(|kind| writer.section(SectionKind(kind), &bytes(1000)).expect("written"));
        writer.finish().expect("finished");
    });
    assert_eq!(small.iter().map(|call| (call.op, call.offset)).collect::<Vec<_>>(), [(Op::Write, 0)]);

    let data = bytes(9 << 20);
    let large = calls_of(&sim, is_write, || {
        let mut writer = create(&sim);
        writer.section(KIND, &data).expect("written");
        writer.finish().expect("finished");
    });
    let shape: Vec<_> = large.iter().map(|call| (call.op, call.offset, call.len)).collect();
    assert_eq!(shape[0].0, Op::Allocate);
    let piece = PIECE_BYTES as u64;
    assert_eq!(shape[1..3], [(Op::Write, 0, piece), (Op::Write, piece, 3 * piece)]);
    assert_eq!(shape[3].1, 4 * piece);
    assert_eq!(shape[3..].iter().map(|call| call.0).collect::<Vec<_>>(), [Op::Write, Op::SetLen]);
}

#[test]
fn space_reserved_ahead_is_given_back() {
    let sample = Sample::of(&[(1, &bytes(3 << 20)), (2, b"x")]);
    let len = sample.sim.read_all(&sample.path).expect("there").len() as u64;
    assert_eq!(len, sample.file_ref.file_bytes);
    assert!(sample.sim.used() < len + 8192);
    assert_eq!(sample.verify(), vec![]);
}

#[test]
fn a_full_disk_fails_cleanly_and_the_last_bytes_of_it_are_used() {
    let sim = folder();
    sim.set_capacity(Some(8 << 20));
    let mut writer = create(&sim);
    writer.begin(KIND).expect("begun");
    let mut result = Ok(());
    for _ in 0..9 {
        result = result.and_then(|()| writer.write(&bytes(1 << 20)));
    }
    let error = result.and_then(|()| writer.end()).expect_err("full");
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    writer.finish().expect_err("failed before");
    assert_eq!((sim.paths().len(), sim.used()), (0, 0));

    let mut writer = create(&sim);
    writer.section(KIND, &bytes(7 << 20)).expect("it fits, though not twice");
    let file_ref = writer.finish().expect("finished");
    assert!(file_ref.file_bytes > 7 << 20);
}

#[test]
fn a_failure_on_the_way_leaves_no_segment() {
    let faults = [
        (Op::Write, Fault::TornWrite(100), ErrorKind::Io),
        (Op::Write, Fault::EnospcAfter(100), ErrorKind::StorageFull),
        (Op::SyncAll, Fault::SyncFails, ErrorKind::Io),
        (Op::Rename, Fault::Eio, ErrorKind::Io),
    ];
    for (op, fault, kind) in faults {
        let sim = folder();
        let mut writer = create(&sim);
        fail(&sim, op, fault);
        writer.section(KIND, b"x").expect("only gathered");
        assert_eq!(writer.finish().map_err(|error| error.kind()), Err(kind), "{op:?}");
        assert_eq!(sim.paths().len(), 0, "{op:?}");
    }
    let sim = folder();
    let mut writer = create(&sim);
    fail(&sim, Op::SyncDir, Fault::SyncFails);
    writer.section(KIND, b"x").expect("only gathered");
    writer.finish().expect_err("the name may be lost");
    assert_eq!(sim.paths(), [layout().segment_path(ID)]);
}

#[test]
fn an_orphan_of_the_same_id_is_replaced() {
    let first = Sample::of(&[(1, b"orphan")]);
    let mut writer = create(&first.sim);
    writer.section(KIND, b"second").expect("written");
    let file_ref = writer.finish().expect("finished");
    let file = SegmentFile::open(&first.sim, &first.path, STORE, ID, &file_ref).expect("opened");
    assert_eq!(file.section(KIND).and_then(|section| section.bytes_all().ok()), Some(&b"second"[..]));
    assert_eq!(verify_segment(&first.sim, &first.path, STORE, ID, &file_ref).ok(), Some(vec![]));
    first.open().expect_err("not the file that the older reference means");
}

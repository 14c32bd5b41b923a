use codegraph_vector_base::{Epoch, ErrorKind, SeqNo, StoreId};
use proptest::prelude::*;

use super::*;
use crate::deaths::DeathFileRef;
use crate::manifest::sample::{manifest, segment};
use crate::manifest::{Contents, EmbedderId, MetricCode};

fn breaks(rule: &str, change: impl FnOnce(&mut Manifest)) {
    let mut changed = manifest();
    change(&mut changed);
    let error = check(&changed).expect_err(rule);
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.message().contains(rule), "{error} is not about {rule:?}");
}

fn next() -> Manifest {
    manifest().successor()
}

fn breaks_succession(rule: &str, change: impl FnOnce(&mut Manifest)) {
    let mut changed = next();
    change(&mut changed);
    let error = check_successor(&manifest(), &changed).expect_err(rule);
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.message().contains(rule), "{error} is not about {rule:?}");
}

fn deaths(count: u32) -> Option<DeathFileRef> {
    segment(4).deaths.map(|deaths| DeathFileRef { count, ..deaths })
}

#[test]
fn the_sample_is_sound_and_each_rule_bites() {
    check(&manifest()).expect("sound");
    check(&Manifest { contents: None, ..manifest() }).expect("as the first version had it");
    breaks("generations", |m| m.generation = Generation(0));
    breaks("generations", |m| m.generation = Generation(u64::MAX));
    breaks("run out", |m| m.next_segment_id = SegmentId(u64::MAX));
    breaks("SeqNos have run out", |m| m.proven_seqno = SeqNo::MAX);
    breaks("dimension", |m| m.schema.dimension = 0);
    breaks("dimension", |m| m.schema.dimension = MAX_DIMENSION as u32 + 1);
    breaks("proven end of the log", |m| m.checkpoint.lsn = Lsn(8193));
    breaks("last proven", |m| m.checkpoint.seqno = SeqNo(100));
    breaks("closed before", |m| m.clean_close = Some(Lsn(8191)));
    breaks("twice", |m| m.segments.push(segment(4)));
    breaks("next one", |m| m.segments[0].id = SegmentId(10));
    breaks("no rows", |m| m.segments[0].rows = 0);
    breaks("too many rows", |m| m.segments[0].rows = u32::MAX);
    breaks("least SeqNo", |m| m.segments[0].min_seqno = SeqNo(81));
    breaks("base", |m| m.segments[0].base_seqno = SeqNo(79));
    breaks("newer than the checkpoint", |m| m.checkpoint.seqno = SeqNo(79));
    breaks("number of deaths", |m| m.segments[0].deaths = deaths(51));
    breaks("number of deaths", |m| m.segments[0].deaths = deaths(0));
    breaks("later generation", |m| m.generation = Generation(39));
    breaks("number of rows", |m| m.segments[0].rows = 51);
    breaks("number of rows", |m| m.segments[0].deaths = None);
    breaks("number of rows", |m| m.contents = Some(Contents::default()));
    breaks("not zero", |m| {
        m.segments.clear();
        m.contents = Some(Contents { rows: 0, checksum: 1 });
    });
    breaks("setting", |m| m.settings.push(("flush_bytes".to_owned(), "2".to_owned())));
}

#[test]
fn each_rule_of_succession_bites() {
    check_successor(&manifest(), &next()).expect("sound");
    breaks_succession("no gap", |m| m.generation = Generation(43));
    breaks_succession("no gap", |m| m.generation = Generation(41));
    breaks_succession("identity", |m| m.store_id = StoreId([8; 16]));
    breaks_succession("creation time", |m| m.created_us += 1);
    breaks_succession("dimension and metric", |m| m.schema.dimension = 384);
    breaks_succession("dimension and metric", |m| m.schema.metric = MetricCode(0));
    breaks_succession("embedder", |m| m.schema.embedder = None);
    breaks_succession("timelines", |m| m.timeline = 1);
    breaks_succession("epochs", |m| m.epoch = Epoch(2));
    breaks_succession("segment ids", |m| m.next_segment_id = SegmentId(9));
    breaks_succession("checkpoints", |m| m.checkpoint.lsn = Lsn(4095));
    breaks_succession("checkpoints", |m| m.checkpoint.seqno = SeqNo(89));
    breaks_succession("commit times", |m| m.checkpoint.commit_time_us -= 1);
    breaks_succession("proven of the log", |m| m.proven_lsn = Lsn(8191));
    breaks_succession("committed", |m| m.proven_seqno = SeqNo(98));
    breaks_succession("immutable", |m| m.segments[0].rows = 49);
    breaks_succession("immutable", |m| m.segments[0].file.table_crc = 18);
    breaks_succession("do not rise", |m| m.segments[0].deaths = None);
}

#[test]
fn an_embedder_may_become_known_and_segments_come_and_go() {
    let mut first = manifest();
    first.schema.embedder = None;
    let mut second = first.successor();
    second.schema.embedder =
        Some(EmbedderId { name: "x".to_owned(), version: String::new(), parameters: String::new() });
    second.segments[0] = segment(10);
    second.next_segment_id = SegmentId(11);
    second.segments[1].deaths = deaths(50);
    second.contents = Some(Contents { rows: 49, checksum: 3 });
    check(&second).and_then(|()| check_successor(&first, &second)).expect("sound");
}

#[test]
fn of_two_segments_made_side_by_side_either_may_be_installed_first() {
    let first = manifest();
    let mut flushed = first.successor();
    flushed.next_segment_id = SegmentId(first.next_segment_id.0 + 2);
    flushed.segments.push(segment(first.next_segment_id.0 + 1));
    let mut merged = flushed.successor();
    merged.segments.push(segment(first.next_segment_id.0));
    check_successor(&first, &flushed).and_then(|()| check_successor(&flushed, &merged)).expect("sound");
}

#[test]
fn a_restore_goes_back_on_a_new_timeline_only() {
    let mut restored = next();
    restored.checkpoint.seqno = SeqNo(80);
    restored.checkpoint.lsn = Lsn(0);
    restored.segments[0].id = SegmentId(2);
    check_successor(&manifest(), &restored).expect_err("same timeline");
    restored.timeline += 1;
    check_successor(&manifest(), &restored).expect("a restore");
    restored.epoch = Epoch(2);
    check_successor(&manifest(), &restored).expect_err("frames of the old log would be valid again");
}

#[test]
fn what_either_manifest_needs_stays() {
    let (older, mut newer) = (manifest(), next());
    newer.segments = vec![segment(9), segment(11)];
    newer.segments[0].deaths = None;
    newer.checkpoint.lsn = Lsn(5000);
    let files = referenced_files(&[&newer, &older]);
    assert_eq!(files.segments, [4, 9, 11].map(SegmentId).into());
    assert_eq!(files.deaths, [4, 9, 11].map(|id| (SegmentId(id), Generation(40))).into());
    assert_eq!(log_floor(&[&newer, &older]), Lsn(4096));
    assert_eq!(log_floor(&[&newer]), Lsn(5000));
    assert_eq!(log_floor(&[]), Lsn(0));
}

proptest! {
    #[test]
    fn any_successor_of_a_sound_manifest_is_sound_or_refused(
        lsn: u64, seqno: u64, generation: u64, id: u64, count: u32, rows: u32,
    ) {
        let mut changed = next();
        (changed.checkpoint.lsn, changed.checkpoint.seqno) = (Lsn(lsn), SeqNo(seqno));
        changed.generation = Generation(generation);
        changed.segments[0].id = SegmentId(id);
        changed.segments[1].rows = rows;
        changed.segments[1].deaths = deaths(count);
        let _ = check(&changed).and_then(|()| check_successor(&manifest(), &changed));
    }
}

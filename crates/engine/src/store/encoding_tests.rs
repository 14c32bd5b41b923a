//! Stores whose segments keep less than they were given: flushed, merged, reopened, read.

use std::collections::BTreeMap;

use codegraph_vector_ann::codec::{self, CodecReport, Input, TrainControl};
use codegraph_vector_ann::norm;
use codegraph_vector_base::{ErrorKind, NodeId, RowOrdinal};
use codegraph_vector_testkit::{Rng, SeededRandom, SimClock, SimVfs, generators};

use super::*;
use crate::compression::direction;
use crate::node::CodeNode;
use crate::options::{Environment, OpenOptions, Settings};
use crate::store::core::Handle;
use crate::store::maintenance::Mode;
use crate::store::{Locking, SearchRequest, Snapshot, Write};

const DIMENSION: usize = 16;
const FOUR: &str = "scalar:nbits=4,uniform=true,scope=global,brain=false";
const EIGHT: &str = "scalar:nbits=8,uniform=true,scope=global,brain=false";
const SIXTEEN: &str = "scalar:nbits=16,uniform=true,scope=dimension,brain=false";

fn open(sim: &SimVfs) -> Arc<Handle> {
    let environment = Environment {
        vfs: Arc::new(sim.clone()),
        clock: Arc::new(SimClock::default()),
        random: Arc::new(SeededRandom::new(7)),
    };
    let settings = Settings { background: false, ..Settings::default() };
    let (dimension, settings) = (Some(DIMENSION), Some(settings));
    let options = OpenOptions { dimension, settings, environment, ..OpenOptions::default() };
    Handle::new(crate::store::open("/store".into(), &options).unwrap())
}

fn nodes(rng: &mut Rng, ids: std::ops::Range<NodeId>) -> Vec<CodeNode> {
    let node =
        |id| CodeNode::new(id, generators::vector(rng, DIMENSION)).with_path(format!("src/{}.rs", id % 7));
    ids.map(node).collect()
}

fn put(core: &Arc<Handle>, nodes: &[CodeNode]) {
    core.submit(&Write::Put(nodes), Locking::Wait).unwrap().wait().unwrap();
}

/// What a training would leave behind.
fn compress(core: &Core, spec: &str, keep: Keep, sample: &[CodeNode]) {
    let spec: codec::CodecSpec = spec.parse().unwrap();
    let input = |node: &CodeNode| match spec.input() {
        Input::AsGiven => node.embedding.to_vec(),
        Input::Direction => direction(&node.embedding, norm(&node.embedding)).collect(),
    };
    let input: Vec<f32> = sample.iter().flat_map(input).collect();
    let codec = codec::train(&spec, DIMENSION, &input, &TrainControl::QUIET).unwrap();
    let report = CodecReport {
        recall_at_10: 0.5,
        recall_at_10_reranked: 0.9,
        mean_squared_error: 0.1,
        rows: 10,
        held_out_queries: 3,
        real_queries: 0,
    };
    core.codec.store(Some(TrainedCodec::new(codec, report)));
    let mut settings = (*core.settings()).clone();
    settings.compression = Some(Compression { spec, keep });
    core.settings.store(Arc::new(settings));
}

fn disable(core: &Core) {
    let mut settings = (*core.settings()).clone();
    settings.compression = None;
    core.settings.store(Arc::new(settings));
    core.codec.store(None);
}

fn keeps(core: &Core) -> Vec<(Keep, u32)> {
    let version = core.version.load();
    let mut keeps: Vec<_> = version.segments.iter().map(|segment| (segment.keep(), segment.rows())).collect();
    keeps.sort();
    keeps
}

/// Codes of all live rows of segments that keep nothing else, by id, and what each was made by.
fn codes(core: &Core) -> BTreeMap<NodeId, (String, Vec<u8>)> {
    let mut found = BTreeMap::new();
    for segment in core.version.load().segments.iter().filter(|segment| segment.keep() == Keep::None) {
        let reader = segment.code_reader().unwrap().unwrap();
        for row in 0..segment.rows() {
            let mut code = Vec::new();
            let spec = reader.read(row as RowOrdinal, &mut code).unwrap().codec.spec().to_string();
            if segment.visible_at(row, core.visible()).unwrap() {
                found.insert(segment.id(row).unwrap(), (spec, code));
            }
        }
    }
    found
}

/// All that is in the store, by id, and what is said of how it is kept.
fn contents(core: &Arc<Handle>) -> BTreeMap<NodeId, (Vec<f32>, bool)> {
    let snapshot = Snapshot::open(core).unwrap();
    let all = snapshot.iter().unwrap().map(|node| {
        let node = node.unwrap();
        assert_eq!(snapshot.get(node.id).unwrap().unwrap().embedding, node.embedding);
        let kept = snapshot.vector_metadata(node.id).unwrap().unwrap();
        (node.id, (node.embedding.to_vec(), kept.exact))
    });
    all.collect()
}

/// Everything is there, exact or near, and sound.
#[track_caller]
fn assert_holds(core: &Arc<Handle>, given: &[CodeNode], farthest: f32) {
    let found = contents(core);
    assert!(found.keys().copied().eq(given.iter().map(|node| node.id)));
    for node in given {
        let (vector, exact) = &found[&node.id];
        let difference: Vec<f32> = vector.iter().zip(&*node.embedding).map(|(x, y)| x - y).collect();
        let error = norm(&difference) / norm(&node.embedding);
        assert!(error <= if *exact { 0.0 } else { farthest }, "{}: {error}", node.id);
    }
    let report = core.verify().unwrap();
    assert!(report.is_clean(), "{report:?}");
    let (version, seqno) = core.read_point();
    for node in given.iter().step_by(97) {
        let results = core.search(&version, seqno, &SearchRequest::new(node.embedding.to_vec(), 1)).unwrap();
        assert_eq!(results.matches[0].node_id, node.id);
    }
}

#[test]
fn each_keep_is_flushed_merged_and_found_again_after_a_reopen() {
    for (keep, farthest) in [(Keep::Full, 0.0), (Keep::F16, 1e-3), (Keep::None, 0.2)] {
        let sim = SimVfs::new(1);
        let core = open(&sim);
        let mut given = nodes(&mut Rng::new(1), 0..3000);
        compress(&core, EIGHT, keep, &given);
        put(&core, &given[..1500]);
        core.flush().unwrap();
        put(&core, &given[1500..]);
        core.flush().unwrap();
        assert_eq!(keeps(&core), [(keep, 1500), (keep, 1500)]);
        let hash = core.stats().unwrap().content_hash;
        assert_holds(&core, &given, farthest);
        core.submit(&Write::Delete(&[7, 2000]), Locking::Wait).unwrap().wait().unwrap();
        given.retain(|node| node.id != 7 && node.id != 2000);
        let before = contents(&core);
        assert_eq!(core.merge_all().unwrap(), 2);
        assert_eq!(keeps(&core), [(keep, 2998)]);
        assert_eq!(contents(&core), before, "a merge loses nothing more");
        assert_holds(&core, &given, farthest);
        let stats = core.stats().unwrap();
        let row_bytes = match keep {
            Keep::Full => 4,
            Keep::F16 => 2,
            Keep::None => 0,
        };
        assert_eq!(stats.vector_bytes, 2998 * DIMENSION as u64 * row_bytes);
        assert!(stats.code_bytes > 2998 * 16 && stats.codebook_bytes > 0 && stats.content_hash != hash);
        core.close().unwrap();
        drop(core);
        let core = open(&sim);
        assert_eq!((keeps(&core), contents(&core)), (vec![(keep, 2998)], before));
        assert_holds(&core, &given, farthest);
    }
}

#[test]
fn codes_of_two_codebooks_go_through_merges_bit_for_bit() {
    let sim = SimVfs::new(1);
    let core = open(&sim);
    let given = nodes(&mut Rng::new(2), 0..6000);
    for (spec, rows) in [(EIGHT, 0..2000), (FOUR, 2000..4000)] {
        compress(&core, spec, Keep::None, &given);
        put(&core, &given[rows]);
        core.flush().unwrap();
    }
    let before = codes(&core);
    assert_eq!(before.len(), 4000);
    core.submit(&Write::Delete(&[11]), Locking::Wait).unwrap().wait().unwrap();
    core.merge_all().unwrap();
    let groups: Vec<_> =
        core.version.load().segments[0].groups().unwrap().iter().map(|group| group.codes.rows()).collect();
    assert_eq!(groups.iter().sum::<usize>(), 3999);
    assert_eq!(groups.len(), 2);
    // Rows that are new get codes of a third; those of the others stay, again without compression.
    compress(&core, SIXTEEN, Keep::None, &given);
    put(&core, &given[4000..]);
    core.flush().unwrap();
    core.merge_all().unwrap();
    assert_eq!(keeps(&core), [(Keep::None, 5999)]);
    let sample = core.version.load().segments[0].calibration().unwrap().unwrap().vectors.to_vec();
    assert_eq!(sample.len(), 1000 * DIMENSION);
    assert!(sample.chunks(DIMENSION).all(|vector| given.iter().any(|node| node.embedding[..] == *vector)));
    let again = |core: &Core| {
        let after = codes(core);
        assert_eq!(after.len(), 5999);
        before.iter().filter(|(id, _)| **id != 11).for_each(|(id, code)| assert_eq!(&after[id], code));
        assert!((4000..6000).all(|id| after[&id].0 == SIXTEEN));
    };
    again(&core);
    let all: Vec<_> = given.iter().filter(|node| node.id != 11).cloned().collect();
    assert_holds(&core, &all, 0.6);
    disable(&core);
    core.submit(&Write::Delete(&[5999]), Locking::Wait).unwrap().wait().unwrap();
    put(&core, &given[5999..]);
    core.flush().unwrap();
    core.merge_all().unwrap();
    assert_eq!(keeps(&core), [(Keep::None, 5998), (Keep::Full, 1)]);
    core.close().unwrap();
    drop(core);
    let after = codes(&open(&sim));
    assert!(before.iter().filter(|(id, _)| **id != 11).all(|(id, code)| after[id] == *code));
}

/// Three segments: one of each keep.
fn mixed() -> (SimVfs, Arc<Handle>, Vec<CodeNode>) {
    let sim = SimVfs::new(1);
    let core = open(&sim);
    let given = nodes(&mut Rng::new(3), 0..4500);
    for (number, keep) in [Keep::None, Keep::F16, Keep::Full].into_iter().enumerate() {
        compress(&core, EIGHT, keep, &given);
        put(&core, &given[number * 1500..][..1500]);
        core.flush().unwrap();
    }
    (sim, core, given)
}

#[test]
fn a_merge_lowers_only_what_the_settings_say_and_restores_nothing() {
    let expected = [
        (Some(Keep::Full), vec![(Keep::None, 1500), (Keep::F16, 1500), (Keep::Full, 1500)]),
        (Some(Keep::F16), vec![(Keep::None, 1500), (Keep::F16, 3000)]),
        (Some(Keep::None), vec![(Keep::None, 4500)]),
        (None, vec![(Keep::None, 1500), (Keep::F16, 1500), (Keep::Full, 1500)]),
    ];
    for (keep, expected) in expected {
        let (_sim, core, given) = mixed();
        match keep {
            Some(keep) => compress(&core, EIGHT, keep, &given),
            None => disable(&core),
        }
        core.merge_all().unwrap();
        assert_eq!(keeps(&core), expected, "{keep:?}");
        assert_holds(&core, &given, 0.2);
        // One rotten segment of each keep, and the same again.
        let ids: Vec<NodeId> = (0..4500).filter(|id| id % 2 == 0).collect();
        core.submit(&Write::Delete(&ids), Locking::Wait).unwrap().wait().unwrap();
        core.merge_where_due(Mode::ByHand).unwrap();
        let halves: Vec<_> = expected.iter().map(|(keep, rows)| (*keep, rows / 2)).collect();
        assert_eq!(keeps(&core), halves, "{keep:?}");
        let left: Vec<_> = given.into_iter().filter(|node| node.id % 2 == 1).collect();
        assert_holds(&core, &left, 0.2);
        if keep.is_none() {
            // Codes that are beside vectors are of no use any more.
            let coded =
                |keep| core.version.load().segments.iter().any(|it| it.keep() == keep && it.is_coded());
            assert!(!coded(Keep::Full) && !coded(Keep::F16) && coded(Keep::None));
        }
    }
}

#[test]
fn vectors_and_codes_do_not_merge_without_a_codec() {
    let (_sim, core, _) = mixed();
    disable(&core);
    let sources = core.version.load().segments.clone();
    let refused = core.merged_encoding(&sources, 4500).expect_err("no codec");
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
}

#[test]
fn small_segments_stay_raw_until_they_are_merged() {
    let core = open(&SimVfs::new(1));
    let given = nodes(&mut Rng::new(4), 0..2000);
    compress(&core, EIGHT, Keep::None, &given);
    let codebook = core.codec.load_full().unwrap().codebook.len();
    for rows in given.chunks(100) {
        assert!(codebook * CODEBOOK_SHARE > rows.len() * DIMENSION * 4);
        put(&core, rows);
        core.flush().unwrap();
        assert_eq!(core.version.load().segments.last().map(|last| last.keep()), Some(Keep::Full));
    }
    assert_eq!(core.stats().unwrap().code_bytes, 0);
    core.merge_all().unwrap();
    assert_eq!(keeps(&core), [(Keep::None, 2000)]);
    assert_holds(&core, &given, 0.2);
}

#[test]
fn a_damaged_codebook_takes_only_what_there_is_but_codes_of() {
    let (sim, core, given) = mixed();
    core.close().unwrap();
    drop(core);
    for segment in 0..3_u64 {
        let sim = sim.kill();
        let path = open(&sim).version.load().segments[segment as usize].file().path().to_owned();
        let bytes = sim.read_all(&path).unwrap();
        let spec = bytes.windows(EIGHT.len()).position(|window| window == EIGHT.as_bytes()).unwrap();
        sim.flip_bit(&path, spec as u64, 0);
        let core = open(&sim);
        let snapshot = Snapshot::open(&core).unwrap();
        for node in given.iter().step_by(50) {
            let own = node.id as u64 / 1500 == segment;
            match snapshot.get(node.id) {
                Ok(found) => assert!(found.is_some() && !(own && segment == 0)),
                Err(error) => {
                    assert!(own && segment == 0, "{error}");
                    assert_eq!((error.kind(), error.path()), (ErrorKind::Corrupt, Some(&*path)));
                    assert!(error.offset().is_some());
                }
            }
        }
        let report = core.verify().unwrap();
        assert!(report.bad_blocks.iter().any(|bad| bad.path == path), "{report:?}");
        // A merge makes codes anew where there is something to make them of.
        compress(&core, EIGHT, Keep::F16, &given);
        core.merge_all().unwrap();
        let version = core.version.load_full();
        for segment in version.segments.iter().filter(|segment| segment.keep() > Keep::None) {
            assert_eq!(segment.groups().unwrap().len(), 1);
            segment.verify_rows(&core.caches()).unwrap();
        }
        let kept: u32 = version.segments.iter().filter(|it| it.keep() > Keep::None).map(|it| it.rows()).sum();
        assert_eq!(kept, 3000);
    }
}

#[test]
fn a_search_goes_by_vectors_where_codes_are_damaged() {
    for keep in [Keep::Full, Keep::F16, Keep::None] {
        let (sim, mut rng) = (SimVfs::new(1), Rng::new(5));
        let all = nodes(&mut rng, 0..2000);
        let codes = {
            let core = open(&sim);
            compress(&core, FOUR, keep, &all);
            put(&core, &all);
            core.flush().unwrap();
            let version = core.version.load();
            let segment = &version.segments[0];
            assert!(segment.is_coded(), "{keep}");
            let section = segment.file().section(codegraph_vector_storage::SectionKind(8)).unwrap();
            (core.layout.segment_path(segment.info.id), section.file_offset() + section.len() as u64 / 2)
        };
        sim.flip_bit(&codes.0, codes.1, 3);
        let core = open(&sim);
        let search = |exact: bool| {
            let request = SearchRequest::new(all[7].embedding.to_vec(), 10).with_exact(exact);
            Snapshot::open(&core).unwrap().search(&request)
        };
        if keep == Keep::None {
            let found = search(false).unwrap();
            assert!(found.degraded && !found.exact && found.matches.is_empty(), "{found:?}");
        } else {
            assert_eq!(search(false).unwrap(), search(true).unwrap(), "{keep}");
        }
        assert!(!core.verify().unwrap().bad_blocks.is_empty(), "{keep}");
    }
}

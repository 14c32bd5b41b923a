//! Quarantine: what is damaged is left out and said so, the rest answers and takes writes, and a backup mends it.
//!
//! Guards against: a store that will not open for one bad segment, an answer that lacks rows and does not say so, rows that
//! come alive a second time after a repair, damage that a merge throws away or passes on to a backup.

use std::path::{Path, PathBuf};

use codegraph_vector::{
    BackupOptions, CodeNode, ErrorKind, Filter, NodeId, OpenOptions, PersistentVectorStore, Result,
    SearchRequest, SearchResults, Settings, TextRequest,
};
use codegraph_vector_storage::manifest::{Manifest, load_newest};
use codegraph_vector_storage::{SegmentFile, StoreLayout};
use codegraph_vector_testkit::{Rng, SimVfs};

use crate::sample::{
    DIMENSION, Model, ROOT, assert_holds, assert_refused, contents, delete, node, nodes, open,
    open_read_only, put, reopen,
};

/// Sections as FORMAT.md numbers them.
const IDS: u16 = 1;
const ROW_METADATA: u16 = 4;
const VECTORS: u16 = 5;

/// Where something is damaged.
#[derive(Clone, Debug)]
enum Harm {
    Flip(PathBuf, u64),
    Cut(PathBuf),
    Remove(PathBuf),
}

impl Harm {
    fn path(&self) -> &Path {
        match self {
            Harm::Flip(path, _) | Harm::Cut(path) | Harm::Remove(path) => path,
        }
    }

    fn do_it(&self, sim: &SimVfs) {
        use codegraph_vector::vfs::Vfs;
        match self {
            Harm::Flip(path, at) => sim.flip_bit(path, *at, 6),
            Harm::Cut(path) => sim.truncate_durable(path, 100),
            Harm::Remove(path) => sim.remove_file(path).unwrap(),
        }
    }
}

fn manifest(sim: &SimVfs) -> Manifest {
    load_newest(sim, &StoreLayout::new(ROOT)).unwrap().manifest
}

/// The middle of a section of the segment at a place in the manifest.
fn in_section(sim: &SimVfs, segment: usize, section: u16) -> Harm {
    let (manifest, layout) = (manifest(sim), StoreLayout::new(ROOT));
    let info = &manifest.segments[segment];
    let path = layout.segment_path(info.id);
    let file = SegmentFile::open(sim, &path, info.origin, info.id, &info.file).unwrap();
    let found = file.sections().find(|found| found.kind().0 == section).expect("a section");
    Harm::Flip(path, found.file_offset() + found.len() as u64 / 2)
}

/// Every way to damage the first segment.
fn all_harm(sim: &SimVfs) -> Vec<Harm> {
    let (manifest, layout) = (manifest(sim), StoreLayout::new(ROOT));
    let info = &manifest.segments[0];
    let (path, deaths) = (layout.segment_path(info.id), info.deaths.expect("deaths"));
    let deaths = layout.deaths_path(info.id, deaths.generation);
    let file = SegmentFile::open(sim, &path, info.origin, info.id, &info.file).unwrap();
    let sections = file.sections().filter(|section| !section.is_empty());
    let mut harm: Vec<_> = sections.map(|section| in_section(sim, 0, section.kind().0)).collect();
    harm.extend([Harm::Flip(path.clone(), 20), Harm::Flip(path.clone(), info.file.file_bytes - 10)]);
    harm.extend([Harm::Cut(path.clone()), Harm::Remove(path)]);
    harm.extend([Harm::Flip(deaths.clone(), 140), Harm::Cut(deaths.clone()), Harm::Remove(deaths)]);
    assert!(harm.len() >= 13, "{harm:?}");
    harm
}

/// Three segments, deaths on disk and in the log, a backup of the first two, and what was written since.
fn build() -> (SimVfs, Model) {
    let sim = SimVfs::new(1);
    let store = open(&sim).unwrap();
    let (mut model, rng) = (Model::new(), &mut Rng::new(3));
    put(&store, &mut model, &nodes(rng, 0..40)).unwrap();
    store.flush().unwrap();
    put(&store, &mut model, &nodes(rng, 35..60)).unwrap();
    delete(&store, &mut model, &[1, 2, 3]).unwrap();
    backup(&store).unwrap();
    put(&store, &mut model, &nodes(rng, 60..70)).unwrap();
    store.flush().unwrap();
    // In the log alone: rows of the first segment that die, are replaced, and die and are there again.
    put(&store, &mut model, &nodes(rng, 10..14)).unwrap();
    delete(&store, &mut model, &[20, 21]).unwrap();
    put(&store, &mut model, &nodes(rng, [21, 80])).unwrap();
    assert_holds(&store, &model);
    store.close().unwrap();
    (sim, model)
}

fn backup(store: &PersistentVectorStore) -> Result<()> {
    store.create_backup_with(&BackupOptions { threads: 1, ..BackupOptions::default() }).map(|_| ())
}

fn query() -> Vec<f32> {
    (0..DIMENSION).map(|at| at as f32 - 3.5).collect()
}

fn search(store: &PersistentVectorStore) -> SearchResults {
    store.search(&SearchRequest::new(query(), 1000)).unwrap()
}

/// The score of a node by the definition.
fn cosine(node: &CodeNode) -> f32 {
    let (a, b) = (query(), &node.embedding);
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    (dot(&a, b) / (dot(&a, &a).sqrt() * dot(b, b).sqrt())) as f32
}

/// Panics unless every answer is right, or says that it is not all: searches are degraded, and right in what they have; reads by
/// id are right or errors. Returns how many nodes a search finds.
#[track_caller]
fn assert_right_or_told(store: &PersistentVectorStore, model: &Model) -> usize {
    let found = search(store);
    let bad = store.quarantined();
    assert_eq!(found.degraded, !bad.is_empty(), "{bad:?}");
    assert!(found.degraded || found.matches.len() == model.len());
    for hit in &found.matches {
        assert!((hit.score - cosine(&model[&hit.node_id])).abs() < 1e-5, "{hit:?}");
        let name = hit.metadata.as_ref().and_then(|metadata| metadata.name.as_ref());
        assert_eq!(name, model[&hit.node_id].metadata().name.as_ref());
    }
    let text = store.snapshot().unwrap().search_text(&TextRequest::new("the a of get set", 100)).unwrap();
    assert_ne!(text.degraded, store.quarantined().is_empty());
    assert!(text.matches.iter().all(|hit| model.contains_key(&hit.node_id)));
    for id in 0..90 {
        match store.get(id) {
            Ok(found) => assert_eq!(found.as_ref(), model.get(&id), "{id}"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "{id}: {error}"),
        }
    }
    for count in [store.count(&Filter::everything()), store.count(&Filter::eq("language", "rust"))] {
        assert!(
            count.is_ok_and(|count| count <= model.len() as u64)
                || store.stats().unwrap().quarantined_segments > 0
        );
    }
    if let Ok(all) = contents(store) {
        assert!(all == *model);
    }
    assert_eq!(store.stats().unwrap().quarantined_segments, store.quarantined().len() as u64);
    found.matches.len()
}

#[track_caller]
fn assert_repaired(store: &PersistentVectorStore, model: &Model) {
    let report = store.repair(false).unwrap();
    assert!(report.left.is_empty() && report.given_up.is_empty(), "{report:?}");
    assert!(store.quarantined().is_empty());
    assert!(!search(store).degraded);
    assert_eq!(assert_right_or_told(store, model), model.len());
    assert_holds(store, model);
}

#[test]
fn whatever_is_damaged_at_the_open_the_rest_answers_and_a_backup_mends_it() {
    let (sim, model) = build();
    for harm in all_harm(&sim) {
        let sim = sim.kill();
        harm.do_it(&sim);
        let reader = open_read_only(&sim).unwrap();
        assert_right_or_told(&reader, &model);
        let store = reopen(&sim).unwrap();
        assert!(assert_right_or_told(&store, &model) >= 30, "{harm:?}");
        let report = store.verify().unwrap();
        assert!(report.bad_blocks.iter().all(|bad| bad.path == harm.path()), "{harm:?}: {report:?}");
        assert!(!report.is_clean() && report.quarantined.len() == 1, "{harm:?}: {report:?}");
        assert_right_or_told(&store, &model);
        assert_repaired(&store, &model);
        // And what is mended stays so.
        store.close().unwrap();
        assert_holds(&reopen(&sim).unwrap(), &model);
        drop(reader);
    }
}

#[test]
fn what_is_damaged_under_an_open_store_is_found_by_the_scrub_and_mended() {
    let (sim, model) = build();
    for harm in all_harm(&sim) {
        let sim = sim.kill();
        let store = reopen(&sim).unwrap();
        let snapshot = store.snapshot().unwrap();
        assert_eq!(assert_right_or_told(&store, &model), model.len());
        harm.do_it(&sim);
        let report = store.verify().unwrap();
        assert!(report.bad_blocks.iter().any(|bad| bad.path == harm.path()), "{harm:?}: {report:?}");
        // Memory has the deaths, so that nothing is missed.
        let is_missed = !harm.path().to_string_lossy().ends_with(".dead");
        assert_eq!(report.quarantined.len(), usize::from(is_missed), "{harm:?}: {report:?}");
        assert_right_or_told(&store, &model);
        assert_repaired(&store, &model);
        // A snapshot from before reads what it always did, or says that it cannot.
        let old = snapshot.search(&SearchRequest::new(query(), 1000)).unwrap();
        assert!(old.degraded || old.matches.len() == model.len());
        assert!(!search(&store).degraded, "what an old snapshot meets is of no concern to others");
    }
}

#[test]
fn writes_flushes_merges_and_restarts_go_on_beside_a_bad_block_of_vectors() {
    let (sim, mut model) = build();
    in_section(&sim, 0, VECTORS).do_it(&sim);
    let (rng, mut store) = (&mut Rng::new(9), reopen(&sim).unwrap());
    assert!(search(&store).degraded);
    let bad = store.quarantined().remove(0);
    for round in 0..4 {
        put(&store, &mut model, &nodes(rng, 4 + round..8 + round)).unwrap();
        put(&store, &mut model, &[node(rng, 100 + round)]).unwrap();
        delete(&store, &mut model, &[15 + round, 36 + round]).unwrap();
        store.flush().unwrap();
        store.merge().unwrap();
        assert!(search(&store).degraded);
        assert_right_or_told(&store, &model);
        let left = store.quarantined();
        assert_eq!(left.iter().map(|left| left.segment).collect::<Vec<_>>(), [bad.segment]);
        assert_refused(backup(&store), ErrorKind::Corrupt, &["repair it first"]);
        if round % 2 == 1 {
            store.close().unwrap();
            drop(store);
            store = reopen(&sim).unwrap();
        }
    }
    assert!(store.stats().unwrap().segments <= 3 && search(&store).degraded);
    assert_repaired(&store, &model);
    assert!(store.merge().unwrap() >= 2);
    assert_holds(&store, &model);
    backup(&store).unwrap();
}

#[test]
fn a_store_with_a_segment_that_cannot_be_opened_takes_no_writes_until_it_can() {
    let (sim, mut model) = build();
    for section in [IDS, ROW_METADATA] {
        let sim = sim.kill();
        let Harm::Flip(path, at) = in_section(&sim, 0, section) else { unreachable!() };
        // The whole section: replay meets it for sure.
        (0..8).for_each(|byte| sim.flip_bit(&path, at + byte, 1));
        let refuse = OpenOptions {
            refuse_damaged: true,
            environment: crate::sample::environment(&sim),
            ..OpenOptions::default()
        };
        assert_refused(PersistentVectorStore::open(ROOT, refuse), ErrorKind::Corrupt, &["segments"]);
        let store = reopen(&sim).unwrap();
        assert!(!store.quarantined()[0].is_open);
        assert_right_or_told(&store, &model);
        // What is elsewhere is read; what may be there is not denied.
        assert_eq!(store.get(21).unwrap().as_ref(), model.get(&21));
        assert_refused(store.get(5), ErrorKind::Corrupt, &["quarantined"]);
        assert_refused(store.get(7777), ErrorKind::Corrupt, &["quarantined"]);
        assert_refused(store.count(&Filter::everything()), ErrorKind::Corrupt, &["quarantined"]);
        let one = node(&mut Rng::new(1), 5);
        for refused in
            [store.put(one.clone()), store.delete(5), store.delete_by_filter(&Filter::everything())]
        {
            assert_refused(refused, ErrorKind::ReadOnly, &["takes no writes", "cgv verify --repair"]);
        }
        assert_refused(store.flush(), ErrorKind::ReadOnly, &["takes no writes"]);
        store.merge().unwrap();
        // Neither a close nor another open loses what the log says of it.
        store.close().unwrap();
        drop(store);
        let store = reopen(&sim).unwrap();
        assert_right_or_told(&store, &model);
        assert_repaired(&store, &model);
        let mut model = model.clone();
        put(&store, &mut model, &[one]).unwrap();
        store.flush().unwrap();
        assert_holds(&store, &model);
        drop(store);
        assert_holds(&reopen(&sim.kill()).unwrap(), &model);
    }
    model.clear();
}

#[test]
fn without_a_backup_the_lost_are_listed_and_can_be_given_up() {
    let (sim, model) = build();
    let of_first: Vec<NodeId> = {
        let store = reopen(&sim).unwrap();
        // Whoever has no other row: the ids of the first segment that nothing since has replaced or deleted.
        let ids = (0..35).filter(|id| ![1, 2, 3, 10, 11, 12, 13, 20, 21].contains(id)).collect();
        assert_holds(&store, &model);
        ids
    };
    let settings = Settings { background: false, ..Settings::default() };
    for harm in all_harm(&sim) {
        let sim = sim.kill();
        harm.do_it(&sim);
        let options = OpenOptions {
            backups: Some("/nowhere".into()),
            settings: Some(settings.clone()),
            environment: crate::sample::environment(&sim),
            ..OpenOptions::default()
        };
        let store = PersistentVectorStore::open(ROOT, options).unwrap();
        let verified = store.verify().unwrap();
        assert!(
            verified.lost.iter().all(|id| of_first.contains(id) || !verified.quarantined[0].is_open),
            "{harm:?}"
        );
        assert!(!verified.lost.is_empty() || verified.lost_unknown > 0 || verified.quarantined[0].is_open);
        let report = store.repair(false).unwrap();
        assert!(report.repaired.is_empty() && report.left.len() == 1, "{harm:?}: {report:?}");
        let report = store.repair(true).unwrap();
        assert!(report.left.is_empty() && report.given_up.len() == 1, "{harm:?}: {report:?}");
        assert!(
            report.lost_unknown > 0 || of_first.iter().all(|id| report.lost.contains(id)),
            "{harm:?}: {report:?}"
        );
        let mut rest = model.clone();
        rest.retain(|id, _| !of_first.contains(id));
        assert_holds(&store, &rest);
        assert!(!search(&store).degraded);
        put(&store, &mut rest, &nodes(&mut Rng::new(4), 0..9)).unwrap();
        store.flush().unwrap();
        store.merge().unwrap();
        assert_holds(&store, &rest);
        store.close().unwrap();
        drop(store);
        assert_holds(&reopen(&sim).unwrap(), &rest);
    }
}

#[test]
fn a_backup_of_the_damage_is_passed_over_for_an_older_one() {
    let (sim, model) = build();
    // As if the newest backup had been made of what was damaged already, unseen.
    let objects: Vec<_> =
        sim.paths().into_iter().filter(|path| path.to_string_lossy().contains("/objects/")).collect();
    let harm = in_section(&sim, 0, VECTORS);
    let of_segment = sim.read_all(harm.path()).unwrap();
    let object = objects.iter().find(|path| sim.read_all(path).unwrap() == of_segment).expect("its object");
    let damaged = sim.kill();
    damaged.flip_bit(object, 700, 1);
    harm.do_it(&damaged);
    let store = reopen(&damaged).unwrap();
    assert!(search(&store).degraded);
    let report = store.repair(false).unwrap();
    assert_eq!(report.left.len(), 1, "{report:?}");
    assert_right_or_told(&store, &model);
    // With the sound object back, it is mended.
    damaged.flip_bit(object, 700, 1);
    assert_repaired(&store, &model);
}

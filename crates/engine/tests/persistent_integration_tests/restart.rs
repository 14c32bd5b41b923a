//! What a store is after it was closed, dropped, or killed, and what its readers see meanwhile.

use codegraph_vector::{
    CacheConfig, Durability, EvictionPolicy, Filter, OpenOptions, PersistentVectorStore, SearchRequest,
    Settings,
};
use codegraph_vector_testkit::{Rng, generators};

use super::{Model, Place, assert_holds, copy_files, found, model_of, nearest, nodes};

/// Writes of all kinds into store and model.
fn history(store: &PersistentVectorStore, flush: bool) -> Model {
    let rng = &mut Rng::new(7);
    let mut model = Model::new();
    for round in 0..4_u128 {
        let batch = nodes(rng, round * 50..round * 50 + 80, 16);
        store.put_batch(&batch).unwrap();
        model.extend(model_of(&batch));
        store.delete_batch(&[round, round * 50 + 3]).unwrap();
        model.retain(|id, _| *id != round && *id != round * 50 + 3);
        let path = model.values().next().unwrap().path.clone().unwrap();
        store.replace_path(&path, &[]).unwrap();
        model.retain(|_, node| node.path.as_ref() != Some(&path));
        if flush && round % 2 == 1 {
            store.flush().unwrap();
        }
    }
    model
}

#[test]
fn whatever_way_a_store_ends_it_comes_back_whole() {
    for flush in [false, true] {
        for end in ["close", "drop", "kill"] {
            let place = Place::new();
            let store = place.open(16).unwrap();
            let model = history(&store, flush);
            let hash = store.stats().unwrap().content_hash;
            let seqno = store.stats().unwrap().seqno;
            let path = match end {
                "close" => {
                    store.close().unwrap();
                    place.store()
                }
                "drop" => place.store(),
                _ => {
                    let copy = place.folder.path().join("copy");
                    copy_files(&place.store(), &copy);
                    copy
                }
            };
            drop(store);
            for _ in 0..2 {
                let store = PersistentVectorStore::new(&path, place.backups(), 16).unwrap();
                assert_holds(&store, &model);
                let stats = store.stats().unwrap();
                assert_eq!((stats.content_hash, stats.seqno), (hash, seqno), "{end}, flush {flush}");
                assert_eq!(stats.recovery.cut, None);
                let query = generators::unit_vector(&mut Rng::new(1), 16);
                let hits = found(&store, &SearchRequest::new(query.clone(), 20));
                assert_eq!(hits, nearest(&model, &query, 20, &Filter::everything()));
            }
        }
    }
}

#[test]
fn commits_go_on_where_they_ended() {
    let place = Place::new();
    let mut last = 0;
    for round in 0..5_u128 {
        let store = place.open(16).unwrap();
        let receipt = store.put_batch(&nodes(&mut Rng::new(1), round..round + 1, 16)).unwrap().receipt;
        assert_eq!(receipt.seqno.0, last + 1);
        last = receipt.seqno.0;
        let time = |id| store.vector_metadata(id).unwrap().unwrap().updated_us;
        assert!((1..=round).all(|id| time(id - 1) <= time(id)), "commit times fell");
    }
}

#[test]
fn settings_outlive_a_restart_and_an_opening_can_bring_its_own() {
    let place = Place::new();
    let store = place.open(16).unwrap();
    assert_eq!(store.settings(), Settings::default());
    let cache = CacheConfig { budget_bytes: 1 << 20, policy: EvictionPolicy::Lru, max_open_files: 3 };
    store
        .configure(|settings| {
            settings.durability = Durability::Interval(50);
            settings.merge_fanout = 7;
            settings.cache = cache;
        })
        .unwrap();
    let configured = store.settings();
    assert_eq!((configured.merge_fanout, configured.cache), (7, cache));
    let outcome = store.put_batch(&nodes(&mut Rng::new(1), 0..10, 16)).unwrap();
    assert!(!outcome.receipt.durable, "an interval's receipt is honest");
    drop(store);
    let store = place.open(16).unwrap();
    assert_eq!(store.settings(), configured);
    assert_eq!(store.count(&Filter::everything()).unwrap(), 10);
    drop(store);
    let own = Settings { merge_fanout: 3, ..Settings::default() };
    let options = OpenOptions { settings: Some(own.clone()), ..OpenOptions::default() };
    let store = PersistentVectorStore::open(place.store(), options).unwrap();
    assert_eq!(store.settings(), own);
    drop(store);
    assert_eq!(place.open(16).unwrap().settings(), configured, "what an opening brings is for that opening");
}

#[test]
fn the_size_of_log_files_can_be_changed_while_the_store_is_open() {
    let place = Place::new();
    let store = place.open(16).unwrap();
    let write = |ids| store.put_batch(&nodes(&mut Rng::new(1), ids, 16)).unwrap();
    for at in 0..10 {
        write(at * 100..at * 100 + 100);
    }
    assert_eq!(store.stats().unwrap().wal_files, 1);
    store.configure(|settings| settings.max_wal_file_bytes = 4096).unwrap();
    for at in 10..20 {
        write(at * 100..at * 100 + 100);
    }
    assert!(store.stats().unwrap().wal_files > 5, "{:?}", store.stats().unwrap());
}

#[test]
fn an_interval_makes_commits_durable_in_time() {
    let place = Place::new();
    let store = place.open(16).unwrap();
    store.configure(|settings| settings.durability = Durability::Interval(20)).unwrap();
    let receipt = store.put_batch(&nodes(&mut Rng::new(1), 0..10, 16)).unwrap().receipt;
    assert!(!receipt.durable);
    for _ in 0..500 {
        if store.stats().unwrap().synced_lsn > receipt.lsn {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("five seconds later it is not synced: {:?}", store.stats().unwrap());
}

#[test]
fn a_snapshot_shows_the_same_for_ever() {
    let place = Place::new();
    let store = place.open(16).unwrap();
    let rng = &mut Rng::new(9);
    let mut model = Model::new();
    let mut kept = Vec::new();
    for round in 0..6_u128 {
        let batch = nodes(rng, round * 20..round * 20 + 60, 16);
        store.put_batch(&batch).unwrap();
        model.extend(model_of(&batch));
        kept.push((store.snapshot().unwrap(), model.clone()));
        store.delete_batch(&[round * 20 + 1, round]).unwrap();
        model.retain(|id, _| *id != round * 20 + 1 && *id != round);
        match round % 3 {
            0 => store.flush().unwrap(),
            1 => drop(store.merge().unwrap()),
            _ => drop(store.delete_by_filter(&Filter::eq("kind", "module")).unwrap()),
        }
        if round % 3 == 2 {
            model.retain(|_, node| node.kind.as_deref() != Some("module"));
        }
        kept.push((store.snapshot().unwrap(), model.clone()));
        for (snapshot, then) in &kept {
            let found: Vec<_> = snapshot.iter().unwrap().map(Result::unwrap).collect();
            assert!(found.iter().eq(then.values()), "a snapshot at {} changed", snapshot.seqno());
            let query = generators::unit_vector(rng, 16);
            let hits = snapshot.search(&SearchRequest::new(query.clone(), 15)).unwrap();
            assert_eq!(hits.seqno, snapshot.seqno());
            let hits: Vec<_> = hits.matches.into_iter().map(|hit| hit.node_id).collect();
            assert_eq!(hits, nearest(then, &query, 15, &Filter::everything()));
            assert_eq!(snapshot.get(1).unwrap().as_ref(), then.get(&1));
        }
    }
    assert_holds(&store, &model);
    // Once the snapshots are gone, so is what only they needed.
    let while_pinned = store.stats().unwrap().storage_bytes;
    kept.clear();
    for _ in 0..2 {
        store.put_batch(&nodes(rng, 0..1, 16)).unwrap();
        store.flush().unwrap();
        store.merge().unwrap();
    }
    assert!(store.stats().unwrap().storage_bytes < while_pinned);
}

#[test]
fn recovery_replays_only_what_is_behind_the_checkpoint() {
    let place = Place::new();
    let store = place.open(16).unwrap();
    let rng = &mut Rng::new(11);
    for round in 0..20_u128 {
        store.put_batch(&nodes(rng, round * 100..round * 100 + 100, 16)).unwrap();
    }
    store.flush().unwrap();
    let behind = 3;
    for id in 0..behind {
        store.put_batch(&nodes(rng, id..id + 1, 16)).unwrap();
    }
    let replay_bytes = store.stats().unwrap().replay_bytes;
    assert!(replay_bytes > 0 && replay_bytes < 2000, "{replay_bytes}");
    let killed = place.folder.path().join("killed");
    copy_files(&place.store(), &killed);
    let copy = PersistentVectorStore::new(&killed, place.backups(), 16).unwrap();
    let recovery = copy.stats().unwrap().recovery;
    assert_eq!((recovery.replayed_commits, recovery.replayed_bytes), (behind as u64, replay_bytes));
    assert_eq!(copy.stats().unwrap().active_vectors, 2000);
    copy.flush().unwrap();
    copy.close().unwrap();
    drop(copy);
    let again = PersistentVectorStore::new(&killed, place.backups(), 16).unwrap();
    let recovery = again.recovery_report();
    assert_eq!((recovery.replayed_commits, recovery.replayed_bytes), (0, 0));
}

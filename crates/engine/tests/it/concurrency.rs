//! Real threads on a real disk: nobody waits for ever, and what they leave is what some order of their calls leaves.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use codegraph_vector::{
    CodeNode, ErrorKind, Filter, NodeId, PersistentVectorStore, SearchRequest, Settings, Write,
};
use codegraph_vector_testkit::{Rng, generators};

use crate::sample::{DIMENSION, node};

/// A store in a folder of its own.
struct OnDisk {
    store: PersistentVectorStore,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

fn on_disk(change: impl FnOnce(&mut Settings)) -> OnDisk {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = PersistentVectorStore::new(&path, folder.path().join("backups"), DIMENSION).unwrap();
    store.configure(change).unwrap();
    OnDisk { store, path, _folder: folder }
}

/// Small memtables and files, so that flushes, merges and rotations run all the time.
fn busy(settings: &mut Settings) {
    (settings.memtable_bytes, settings.max_wal_file_bytes) = (48 << 10, 32 << 10);
    settings.merge_fanout = 3;
}

/// Fails the test, rather than hanging it, if `work` takes longer than anything here should.
fn within_a_minute(work: impl FnOnce() + Send + 'static) {
    let (done, ended) = mpsc::channel();
    let worker = thread::spawn(move || {
        work();
        let _ = done.send(());
    });
    match ended.recv_timeout(Duration::from_secs(60)) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("a minute passed: somebody waits for ever"),
        _ => worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
    }
}

/// A vector whose every number tells which version of which node it is.
fn marked(id: NodeId, version: u32) -> CodeNode {
    let vector = vec![version as f32 + 1.0; DIMENSION];
    let path = format!("src/{}.rs", id % 10);
    CodeNode::new(id, vector).with_path(path).with_attribute("version", version)
}

#[test]
fn every_reader_sees_whole_commits_in_order_while_everything_goes_on() {
    within_a_minute(|| {
        let disk = on_disk(busy);
        let (store, writing, passes) = (&disk.store, &AtomicBool::new(true), &AtomicU32::new(0));
        const ROUNDS: u32 = 150;
        const GROUP: u128 = 12;
        thread::scope(|scope| {
            let mut writers = Vec::new();
            for writer in 0..3_u128 {
                // Each commit puts one version of a whole group of nodes.
                writers.push(scope.spawn(move || {
                    for version in 0..ROUNDS {
                        // One more stays, so that no segment is without rows, and passes have something to merge.
                        let stays = (writer + 1) * 1000 + u128::from(version);
                        let ids = (writer * 100..writer * 100 + GROUP).chain([stays]);
                        let batch: Vec<_> = ids.map(|id| marked(id, version)).collect();
                        assert!(store.put_batch(&batch).unwrap().receipt.durable);
                        if version % 30 == 29 {
                            // However fast this is, a whole pass of maintenance comes in between.
                            let seen = passes.load(Ordering::SeqCst);
                            while passes.load(Ordering::SeqCst) < seen + 2 {
                                thread::sleep(Duration::from_millis(1));
                            }
                        }
                    }
                }));
            }
            for reader in 0..2_u64 {
                scope.spawn(move || {
                    let (mut newest, mut rng) = ([0; 3], Rng::new(reader));
                    while writing.load(Ordering::SeqCst) {
                        let snapshot = store.snapshot().unwrap();
                        let writer = rng.below(3);
                        let first = writer as u128 * 100;
                        let Some(seen) = snapshot.get(first).unwrap() else { continue };
                        let version = seen.embedding[0] as u32 - 1;
                        assert!(version >= newest[writer], "time went back");
                        newest[writer] = version;
                        let same =
                            Filter::eq("attributes.version", version).and(Filter::ids(first..first + GROUP));
                        assert_eq!(snapshot.count(&same).unwrap(), GROUP as u64, "half a commit was seen");
                        let request = SearchRequest::new([1.0; DIMENSION], 100).with_filter(same);
                        let found = snapshot.search(&request).unwrap().matches;
                        assert!(found.iter().map(|hit| hit.node_id).eq(first..first + GROUP));
                    }
                });
            }
            scope.spawn(move || {
                while writing.load(Ordering::SeqCst) {
                    store.flush().unwrap();
                    store.merge().unwrap();
                    assert!(store.verify().unwrap().is_clean());
                    passes.fetch_add(1, Ordering::SeqCst);
                }
            });
            writers.into_iter().for_each(|writer| writer.join().unwrap());
            writing.store(false, Ordering::SeqCst);
        });
        assert_eq!(
            store.count(&Filter::eq("attributes.version", ROUNDS - 1)).unwrap(),
            3 * (GROUP as u64 + 1)
        );
        let stats = store.stats().unwrap();
        assert!(stats.flushes > 2 && stats.merges > 2 && stats.background_error.is_none(), "{stats:?}");
        let hash = stats.content_hash;
        store.close().unwrap();
        let path = disk.path.clone();
        let OnDisk { store, _folder, .. } = disk;
        drop(store);
        let store = PersistentVectorStore::new(&path, path.with_extension("b"), DIMENSION).unwrap();
        assert_eq!(store.stats().unwrap().content_hash, hash);
        assert!(store.verify().unwrap().is_clean());
    });
}

#[test]
fn whoever_replaces_a_path_last_has_exactly_his_nodes_there() {
    within_a_minute(|| {
        let disk = on_disk(busy);
        let store = &disk.store;
        const PATH: &str = "src/contended.rs";
        let input = |thread: u128, round: u32| -> Vec<CodeNode> {
            // Some ids are the thread's own, some are everybody's.
            let ids = (thread * 1000..thread * 1000 + 5).chain(10_000..10_004);
            ids.map(|id| marked(id, thread as u32 * 1000 + round).with_path(PATH)).collect()
        };
        thread::scope(|scope| {
            for thread in 0..4 {
                scope.spawn(move || {
                    for round in 0..60 {
                        store.replace_path(PATH, &input(thread, round)).unwrap();
                        // At every moment one input is there, and nothing of another.
                        let snapshot = store.snapshot().unwrap();
                        let there: Vec<_> = snapshot.iter().unwrap().map(Result::unwrap).collect();
                        let version = there[0].embedding[0] as u32 - 1;
                        assert_eq!(there, input(u128::from(version / 1000), version % 1000));
                    }
                });
            }
        });
        assert_eq!(store.count(&Filter::path(PATH)).unwrap(), 9);
        assert_eq!(store.count(&Filter::everything()).unwrap(), 9);
    });
}

#[test]
fn delete_by_filter_takes_what_was_there_at_one_moment() {
    within_a_minute(|| {
        let disk = on_disk(busy);
        let store = &disk.store;
        let (put, deleted) = (&AtomicU64::new(0), &AtomicU64::new(0));
        thread::scope(|scope| {
            for thread in 0..3_u128 {
                scope.spawn(move || {
                    for step in 0..150 {
                        // Two nodes a commit, which the filter matches both or neither.
                        let id = thread * 10_000 + step * 2;
                        store.put_batch(&[marked(id, 0), marked(id + 1, 0)]).unwrap();
                        put.fetch_add(2, Ordering::SeqCst);
                    }
                });
            }
            for _ in 0..2 {
                scope.spawn(move || {
                    for _ in 0..40 {
                        let gone =
                            store.delete_by_filter(&Filter::eq("attributes.version", 0)).unwrap().deleted;
                        assert_eq!(gone % 2, 0, "half a commit was deleted");
                        deleted.fetch_add(gone, Ordering::SeqCst);
                    }
                });
            }
        });
        let left = store.count(&Filter::everything()).unwrap();
        assert_eq!(
            left + deleted.load(Ordering::SeqCst),
            put.load(Ordering::SeqCst),
            "a node was deleted twice"
        );
    });
}

#[test]
fn writers_of_the_same_rows_all_get_through_and_the_last_one_stays() {
    within_a_minute(|| {
        let disk = on_disk(busy);
        let store = &disk.store;
        store.put_batch(&(0..8).map(|id| marked(id, 0)).collect::<Vec<_>>()).unwrap();
        let last: BTreeSet<(u64, u32)> = thread::scope(|scope| {
            let threads: Vec<_> = (1..=6_u32)
                .map(|thread| {
                    scope.spawn(move || {
                        let mut rng = Rng::new(thread.into());
                        let mut last = (0, 0);
                        for round in 0..60 {
                            let version = thread * 1000 + round;
                            let mut ids: Vec<u128> = (0..8).collect();
                            rng.shuffle(&mut ids);
                            let batch: Vec<_> = ids.into_iter().map(|id| marked(id, version)).collect();
                            last = (store.put_batch(&batch).unwrap().receipt.seqno.0, version);
                            store
                                .update_vector(rng.below(8) as u128, &[version as f32 + 1.0; DIMENSION])
                                .unwrap();
                        }
                        last
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        // Metadata is the last batch's, in commit order; an update keeps it.
        let (_, version) = last.last().unwrap();
        assert_eq!(store.count(&Filter::eq("attributes.version", *version)).unwrap(), 8);
    });
}

#[test]
fn commits_that_wait_share_a_sync() {
    within_a_minute(|| {
        let disk = on_disk(|_| {});
        let store = &disk.store;
        let before = store.stats().unwrap().log;
        thread::scope(|scope| {
            for thread in 0..8_u64 {
                scope.spawn(move || {
                    let rng = &mut Rng::new(thread);
                    for step in 0..100 {
                        store.put(node(rng, u128::from(thread) * 1000 + step)).unwrap();
                    }
                });
            }
        });
        let after = store.stats().unwrap().log;
        let (commits, syncs) = (after.commits - before.commits, after.syncs - before.syncs);
        assert_eq!(commits, 800);
        assert!(syncs * 2 < commits, "{syncs} syncs for {commits} commits");
    });
}

#[test]
fn a_write_that_nobody_waits_for_holds_nobody_up() {
    within_a_minute(|| {
        let disk = on_disk(|_| {});
        let store = &disk.store;
        // Queued and forgotten, or not waited for yet: neither may keep the row from the next writer.
        drop(store.submit(&Write::Put(&[marked(1, 1)])).unwrap());
        store.put(marked(1, 2)).unwrap();
        let queued = store.submit(&Write::Put(&[marked(1, 3)])).unwrap();
        store.delete(1).unwrap();
        assert_eq!(queued.wait().unwrap().receipt.seqno.0, 3);
        let queued = store.submit(&Write::Put(&[marked(2, 4).with_path("a.rs")])).unwrap();
        assert_eq!(store.replace_path("a.rs", &[]).unwrap().deleted, 1);
        queued.wait().unwrap();
        assert_eq!(store.count(&Filter::everything()).unwrap(), 0);
        // One who does not want to wait is told.
        let queued = store.submit(&Write::Put(&[marked(5, 1)])).unwrap();
        let second = store.submit(&Write::Put(&[marked(5, 2)]));
        assert_eq!(second.err().unwrap().kind(), ErrorKind::Conflict);
        queued.wait().unwrap();
        assert_eq!(store.get(5).unwrap(), Some(marked(5, 1)));
    });
}

#[test]
fn a_forgotten_write_goes_along_with_whatever_comes_next() {
    within_a_minute(|| {
        let disk = on_disk(|_| {});
        let forget = |id| drop(disk.store.submit(&Write::Put(&[marked(id, 1)])).unwrap());
        let there = |id| disk.store.get(id).unwrap().is_some();
        forget(1);
        disk.store.put(marked(2, 1)).unwrap();
        assert!(there(1) && there(2));
        forget(3);
        disk.store.flush().unwrap();
        assert!(there(3));
        forget(4);
        disk.store.close().unwrap();
        let store = PersistentVectorStore::new(&disk.path, disk.path.with_extension("b"), DIMENSION).unwrap();
        assert_eq!(store.get(4).unwrap(), Some(marked(4, 1)));
    });
}

#[test]
fn a_queued_write_can_be_waited_for_after_its_store_is_gone() {
    within_a_minute(|| {
        let disk = on_disk(|_| {});
        let queued = disk.store.submit(&Write::Put(&[marked(1, 1)])).unwrap();
        let (path, OnDisk { store, _folder, .. }) = (disk.path.clone(), disk);
        drop(store);
        assert!(queued.wait().unwrap().receipt.durable);
        let store = PersistentVectorStore::new(&path, path.with_extension("b"), DIMENSION).unwrap();
        assert_eq!(store.get(1).unwrap(), Some(marked(1, 1)));
    });
}

#[test]
fn a_closed_store_can_be_opened_at_once_whatever_still_ran_in_the_background() {
    within_a_minute(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let mut handles = Vec::new();
        for round in 0..12_u128 {
            let store = PersistentVectorStore::new(&path, folder.path().join("b"), DIMENSION).unwrap();
            store.configure(busy).unwrap();
            assert!(store.verify().unwrap().is_clean(), "round {round}");
            assert_eq!(store.count(&Filter::everything()).unwrap(), round as u64 * 500);
            for step in 0..25 {
                let first = round * 500 + step * 20;
                store.put_batch(&(first..first + 20).map(|id| marked(id, 0)).collect::<Vec<_>>()).unwrap();
            }
            let (merging, snapshot) = (store.clone(), store.snapshot().unwrap());
            let merger = thread::spawn(move || merging.merge());
            store.close().unwrap();
            if let Err(error) = merger.join().unwrap() {
                assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
            }
            handles.push((store, snapshot)); // Handles on a closed store do not keep it.
        }
    });
}

#[test]
fn closing_while_others_write_keeps_what_was_acknowledged() {
    within_a_minute(|| {
        for round in 0..5 {
            let disk = on_disk(busy);
            let acknowledged: Vec<NodeId> = thread::scope(|scope| {
                let threads: Vec<_> = (0..4_u128)
                    .map(|thread| {
                        let store = disk.store.clone();
                        scope.spawn(move || {
                            let mut done = Vec::new();
                            for id in thread * 10_000.. {
                                match store.put(marked(id, 0)) {
                                    Ok(_) => done.push(id),
                                    Err(error) => {
                                        assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
                                        return done;
                                    }
                                }
                            }
                            done
                        })
                    })
                    .collect();
                thread::sleep(Duration::from_millis(20 + 15 * round));
                disk.store.close().unwrap();
                threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
            });
            let (path, OnDisk { store, _folder, .. }) = (disk.path.clone(), disk);
            drop(store);
            let store = PersistentVectorStore::new(&path, path.with_extension("b"), DIMENSION).unwrap();
            let ids: BTreeSet<_> =
                store.snapshot().unwrap().ids(&Filter::everything()).unwrap().into_iter().collect();
            assert!(acknowledged.iter().all(|id| ids.contains(id)));
            assert!(store.verify().unwrap().is_clean());
        }
    });
}

#[test]
fn searches_agree_with_themselves_while_rows_move_from_memory_to_segments() {
    within_a_minute(|| {
        let disk = on_disk(busy);
        let store = &disk.store;
        let rng = &mut Rng::new(1);
        let fixed: Vec<_> = (0..200).map(|id| node(rng, id).with_attribute("fixed", true)).collect();
        store.put_batch(&fixed).unwrap();
        let request = SearchRequest::new(generators::vector(rng, DIMENSION), 50)
            .with_filter(Filter::eq("attributes.fixed", true));
        let hits = || {
            let found = store.search(&request).unwrap().matches;
            found.into_iter().map(|hit| (hit.node_id, hit.score.to_bits())).collect::<Vec<_>>()
        };
        let expected = hits();
        let writing = &AtomicBool::new(true);
        thread::scope(|scope| {
            scope.spawn(|| {
                while writing.load(Ordering::SeqCst) {
                    assert_eq!(hits(), expected);
                }
            });
            let rng = &mut Rng::new(2);
            for step in 0..40_u128 {
                let batch: Vec<_> = (0..20).map(|at| node(rng, 1000 + step * 20 + at)).collect();
                store.put_batch(&batch).unwrap();
                // The same row again: another place, the same answer.
                store.put(fixed[step as usize].clone()).unwrap();
                store.flush().unwrap();
                if step % 5 == 0 {
                    store.merge().unwrap();
                }
            }
            writing.store(false, Ordering::SeqCst);
        });
    });
}

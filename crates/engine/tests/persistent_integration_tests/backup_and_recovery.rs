//! Backup and recovery: what was backed up or archived comes back, in the store or where it was lost, and goes on from there.

use codegraph_vector::vfs::{RealVfs, remove_tree};
use codegraph_vector::{
    BackupCheck, OpenOptions, PersistentVectorStore, PruneOptions, RestorePoint, Retention,
};
use codegraph_vector_testkit::Rng;

use super::{Place, assert_holds, block_on, model_of, nodes};

fn lost(place: &Place, to: impl Into<codegraph_vector::RestoreTarget>) -> PersistentVectorStore {
    remove_tree(&RealVfs, &place.store()).unwrap();
    let options = OpenOptions { backups: Some(place.backups()), ..OpenOptions::default() };
    PersistentVectorStore::restore(place.backups(), to, place.store(), options).unwrap().0
}

#[test]
fn a_bad_re_index_is_undone_by_a_backup_and_by_a_time_and_so_is_the_loss_of_the_folder() {
    let place = Place::new();
    let store = place.open(16).unwrap();
    store.configure(|settings| settings.archive.enabled = true).unwrap();
    let rng = &mut Rng::new(5);
    let mut model = model_of(&nodes(rng, 0..200, 16));
    block_on(store.store_embeddings(&model.values().cloned().collect::<Vec<_>>())).unwrap();
    let manifest = block_on(store.create_backup()).unwrap();
    assert!(manifest.starts_with(place.backups()) && manifest.is_file());
    let backed_up = model.clone();
    for node in nodes(rng, 100..260, 16) {
        store.put(node.clone()).unwrap();
        model.insert(node.id, node);
    }
    let last_good = *model.keys().next_back().unwrap();
    let moment = store.vector_metadata(last_good).unwrap().unwrap().updated_us;
    // Commits in one microsecond would be one moment.
    while store.put(model[&0].clone()).is_ok()
        && store.vector_metadata(0).unwrap().unwrap().updated_us == moment
    {}
    store.delete_batch(&(0..150).collect::<Vec<_>>()).unwrap();

    let report = block_on(store.restore_to(RestorePoint::Time(moment))).unwrap();
    assert_eq!((report.commit_time_us, report.timeline), (moment, 1));
    assert_holds(&store, &model);
    let report = block_on(store.restore_from_backup(&report.backup_id)).unwrap();
    assert_holds(&store, &backed_up);
    assert_eq!(report.timeline, 2);
    let more = nodes(rng, 300..310, 16);
    store.put_batch(&more).unwrap();
    let mut last = backed_up.clone();
    last.extend(model_of(&more));
    store.close().unwrap();

    let store = lost(&place, RestorePoint::Latest);
    assert_holds(&store, &last);
    assert_eq!(store.storage_header().timeline, 3);
    // Backups that are kept are sound, and enough for what is archived behind them.
    block_on(store.create_backup()).unwrap();
    let pruned =
        store.prune_backups(&Retention { last: 1, ..Retention::default() }, PruneOptions::default()).unwrap();
    assert!(!pruned.deleted.is_empty());
    assert!(store.verify_backup("latest", BackupCheck::Full).unwrap().is_sound());
    store.delete(300).unwrap();
    last.remove(&300);
    drop(store);
    assert_holds(&lost(&place, RestorePoint::Latest), &last);
}

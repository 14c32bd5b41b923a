//! Backups and archives of each version, checked in, which are restored for ever.
//!
//! A golden folder is never rewritten. For a new one, add its name to [`NAMES`] and run
//! `cargo test -p codegraph-vector --test it write_golden_backups -- --ignored`; it leaves alone what is there.

use std::path::{Path, PathBuf};

use codegraph_vector::vfs::{OpenMode, RealVfs, Vfs, read_file};
use codegraph_vector::{Backups, NodeId, RestorePoint, RestoreTarget, SeqNo};
use codegraph_vector_testkit::{Rng, SimVfs};

use crate::archive::{archived, seqno};
use crate::backups::{AGAIN, BACKUPS, backup, restore};
use crate::sample::{Model, assert_holds, delete, environment, nodes, put};

const NAMES: [&str; 1] = ["backups-1"];

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// A backup, commits, a second one, commits: what there was at each commit from the first backup on.
fn history() -> (SimVfs, Vec<(SeqNo, Model)>) {
    let sim = SimVfs::new(77);
    let (store, mut model, mut rng) = (archived(&sim), Model::new(), Rng::new(78));
    let mut history = Vec::new();
    for round in 0..4 {
        put(&store, &mut model, &nodes(&mut rng, round * 3..round * 3 + 5)).unwrap();
        history.push((seqno(&store), model.clone()));
        delete(&store, &mut model, &[round as NodeId * 3]).unwrap();
        history.push((seqno(&store), model.clone()));
        if round % 2 == 0 {
            backup(&store).unwrap();
        }
    }
    store.create_restore_point("end").unwrap();
    drop(store);
    (sim, history.split_off(1))
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in RealVfs.list(folder).unwrap().iter().map(|name| folder.join(name)) {
        if entry.is_dir() { files(&entry, found) } else { found.push(entry) }
    }
}

/// The disk that a golden folder is of, without the store.
fn disk_of(name: &str) -> SimVfs {
    let (sim, root, mut found) = (SimVfs::new(1), golden().join(name), Vec::new());
    files(&root, &mut found);
    for path in found {
        let to = Path::new(BACKUPS).join(path.strip_prefix(&root).unwrap());
        sim.write_raw(&to, &read_file(&RealVfs, &path).unwrap());
    }
    sim
}

#[test]
#[ignore = "writes into the source tree, for new golden files only"]
fn write_golden_backups() {
    let (sim, _) = history();
    let root = golden().join(NAMES[NAMES.len() - 1]);
    if root.exists() {
        return;
    }
    for path in sim.paths().iter().filter(|path| path.starts_with(BACKUPS)) {
        let to = root.join(path.strip_prefix(BACKUPS).unwrap());
        RealVfs.create_dir_all(to.parent().unwrap()).unwrap();
        let file = RealVfs.open(&to, OpenMode::Create).unwrap();
        file.write_at(&sim.read_all(path).unwrap(), 0).unwrap();
    }
}

#[test]
fn golden_backups_are_restored_to_every_commit() {
    let (_, history) = history();
    for name in NAMES {
        let listed = Backups::open(BACKUPS, None, environment(&disk_of(name))).unwrap().list().unwrap();
        assert_eq!(listed.len(), 2);
        for (id, made) in &listed {
            let model =
                &history.iter().find(|(seqno, _)| *seqno == made.as_ref().unwrap().seqno()).unwrap().1;
            let (again, _) = restore(&disk_of(name), RestoreTarget::backup(id), AGAIN).unwrap();
            assert_holds(&again, model);
        }
        for (seqno, model) in &history {
            let (again, _) = restore(&disk_of(name), RestorePoint::SeqNo(*seqno), AGAIN).unwrap();
            assert_holds(&again, model);
        }
        let (again, _) = restore(&disk_of(name), RestorePoint::Name("end".to_owned()), AGAIN).unwrap();
        assert_holds(&again, &history.last().unwrap().1);
    }
}

//! The corpus of the fuzz targets that read files of this crate, replayed; and where its seeds come from.

#[path = "../../../../fuzz/src/storage.rs"]
mod targets;

use std::path::{Path, PathBuf};

use codegraph_vector_base::vfs::{OpenMode, Vfs};
use codegraph_vector_base::{Epoch, Lsn};
use codegraph_vector_storage::manifest;
use codegraph_vector_storage::wal::SyncNote;
use codegraph_vector_testkit::SimVfs;
use codegraph_vector_testkit::corpus::{self, Seeds};

use crate::sample;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus")
}

#[test]
fn the_corpus_is_replayed() {
    corpus::replay(&folder(), &targets::TARGETS);
}

#[test]
fn every_seed_cut_short_or_changed_is_survived() {
    corpus::damage(&targets::TARGETS, seeds());
}

/// Valid files for each target.
fn seeds() -> Seeds {
    let sim = SimVfs::new(1);
    let layout = sample::layout();
    layout.create_dirs(&sim).expect("folders");
    manifest::install(&sim, &layout, None, &sample::manifest()).expect("installed");
    let read = |path: PathBuf| sim.read_all(path).expect("there");
    let manifest = read(layout.manifest_path(sample::GENERATION));
    let file = sim.open(&layout.lock_path(), OpenMode::Create).expect("created");
    let note = SyncNote { boot_id: 7, synced_lsn: Lsn(1280), epoch: Epoch(2) };
    note.write(&*file, sample::STORE).expect("written");
    let segments = [&sample::small_sections()[..], &sample::small_sections()[1..2], &[]];
    let segments = segments.map(|sections| {
        let sim = SimVfs::new(1);
        layout.create_dirs(&sim).expect("folders");
        let (path, _) = sample::segment(&sim, sections);
        sim.read_all(path).expect("there")
    });
    vec![
        ("wal", crate::wal::sample_files()),
        ("manifest", vec![manifest]),
        ("segment", segments.to_vec()),
        ("deaths", vec![read(sample::deaths(&sim).0)]),
        ("note", vec![read(layout.lock_path())]),
    ]
}

#[test]
#[ignore = "writes the seeds of the fuzz targets into the source tree"]
fn write_seeds() {
    corpus::write(&folder(), seeds());
}

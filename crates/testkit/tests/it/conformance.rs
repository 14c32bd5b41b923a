//! The contract on both implementations.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use codegraph_vector_base::vfs::{RealVfs, Vfs};
use codegraph_vector_testkit::{CrashStyle, Rng, SimVfs, conformance};

#[test]
fn the_real_file_system_conforms() {
    let root = tempfile::tempdir().unwrap();
    let count = Cell::new(0);
    conformance::all(&|| {
        count.set(count.get() + 1);
        let folder = root.path().join(count.get().to_string());
        RealVfs.create_dir_all(&folder).unwrap();
        (Arc::new(RealVfs), folder)
    });
}

#[test]
fn the_simulated_file_system_conforms() {
    conformance::all(&|| (Arc::new(SimVfs::new(1)), PathBuf::from("/")));
    conformance::all(&|| {
        let sim = SimVfs::new(1);
        sim.create_dir_all(Path::new("some/folder")).unwrap();
        (Arc::new(sim), PathBuf::from("some/folder"))
    });
}

#[test]
fn a_crashed_or_killed_file_system_conforms() {
    for style in CrashStyle::ALL {
        conformance::all(&|| {
            let (sim, mut rng) = (SimVfs::new(1), Rng::new(2));
            super::create(&sim, "/gone", b"content");
            sim.remove_file(Path::new("/gone")).unwrap();
            sim.create_dir_all(Path::new("/folder")).unwrap();
            sim.sync_dir(Path::new("/")).unwrap();
            (Arc::new(sim.crash(&mut rng, style).kill()), PathBuf::from("/folder"))
        });
    }
}

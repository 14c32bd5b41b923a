//! The tester's own doors to the disk.

use std::path::Path;

use codegraph_vector_base::vfs::Vfs;
use codegraph_vector_testkit::{CrashStyle, Rng, SimVfs};

use super::{create, create_durable};

fn lose(sim: &SimVfs) -> SimVfs {
    sim.crash(&mut Rng::new(1), CrashStyle::LoseUnsynced)
}

#[test]
fn paths_are_those_of_files_sorted() {
    let sim = SimVfs::new(1);
    sim.create_dir_all(Path::new("db/wal")).unwrap();
    for path in ["db/wal/b", "/db/wal/a", "/db/z", "/a"] {
        create(&sim, path, b"");
    }
    let paths: Vec<String> = sim.paths().iter().map(|path| path.display().to_string()).collect();
    assert_eq!(paths, ["/a", "/db/wal/a", "/db/wal/b", "/db/z"]);
    assert!(sim.read_all("db/../a").is_some());
    assert!(sim.read_all("/db").is_none());
}

#[test]
fn damage_survives_crashes() {
    let sim = SimVfs::new(1);
    create_durable(&sim, "/a", &[0; 5000]);
    sim.flip_bit("/a", 4097, 3);
    assert_eq!(sim.read_all("/a").unwrap()[4097], 8);
    assert_eq!(lose(&sim).read_all("/a").unwrap()[4097], 8);
    sim.truncate_durable("/a", 10);
    assert_eq!(sim.read_all("/a").unwrap().len(), 10);
    assert_eq!(lose(&sim).read_all("/a").unwrap().len(), 10);
}

#[test]
fn raw_files_are_durable_with_their_folders() {
    let sim = SimVfs::new(1);
    sim.write_raw("/x/y/a", b"content");
    assert_eq!(lose(&sim).read_all("/x/y/a").unwrap(), b"content");
    create_durable(&sim, "/x/y/a", b"else").write_at(b"more", 0).unwrap();
    sim.write_raw("/x/y/a", b"raw");
    assert!(!sim.is_dirty("/x/y/a"));
    assert_eq!(lose(&sim).read_all("/x/y/a").unwrap(), b"raw");
}

#[test]
fn dirtiness_ends_with_a_sync() {
    let sim = SimVfs::new(1);
    let file = create(&sim, "/a", b"content");
    assert!(sim.is_dirty("/a"));
    file.sync_data().unwrap();
    assert!(!sim.is_dirty("/a"));
}

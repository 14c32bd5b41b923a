//! Tests of the test kit: the contract on the real and the simulated file system, and what the
//! simulation does at a crash and on a fault.

mod conformance;
mod cost;
mod crash;
mod faults;
mod history;
mod inspection;
mod seeds;
mod tidy;

use std::path::Path;
use std::sync::Arc;

use codegraph_vector_base::vfs::{OpenMode, Vfs, VfsFile};
use codegraph_vector_testkit::SimVfs;

/// A new file with `bytes`, of which nothing is synced.
fn create(sim: &SimVfs, path: &str, bytes: &[u8]) -> Arc<dyn VfsFile> {
    let file = sim.open(Path::new(path), OpenMode::Create).unwrap();
    file.write_at(bytes, 0).unwrap();
    file
}

/// A new file with `bytes`, content and name durable.
fn create_durable(sim: &SimVfs, path: &str, bytes: &[u8]) -> Arc<dyn VfsFile> {
    let file = create(sim, path, bytes);
    file.sync_all().unwrap();
    sim.sync_dir(Path::new(path).parent().unwrap()).unwrap();
    file
}

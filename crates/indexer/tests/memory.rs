//! What a run holds in memory does not grow with what it indexes: live bytes of the heap, counted. In a program
//! of its own, for it has its own allocator.
#![allow(clippy::disallowed_methods)] // The test makes source files, which are no store's.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use codegraph_vector::{Durability, OpenOptions, PersistentVectorStore, Settings};
use codegraph_vector_indexer::{EmbedderSpec, IndexOptions, index};
use peak_alloc::PeakAlloc;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// Nodes of a file, that of the file itself included.
const NODES: usize = 51;
/// So many files fill the first memtable, those that wait to be flushed, and what the store keeps of the last commits.
const FILES: usize = 500;

/// Writes files, no two nodes of which are the same.
fn write_files(root: &Path, files: usize) {
    for file in 0..files {
        let mut text = String::new();
        for function in 1..NODES {
            writeln!(
                text,
                "/// Adds {file} to it.\nfn add_{file}_{function}(x: u32) -> u32 {{ x + {file} }}"
            )
            .unwrap();
        }
        let folder = root.join(format!("part_{}", file / 100));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("file_{file}.rs")), text).unwrap();
    }
}

/// Most bytes that were in use while so many files were indexed into a new store.
fn peak(files: usize) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("code");
    write_files(&root, files);
    let before = HEAP.current_usage();
    HEAP.reset_peak_usage();
    let embedder = EmbedderSpec::default().open(None).unwrap();
    let options = OpenOptions {
        dimension: Some(embedder.dimension()),
        embedder: Some(embedder.id()),
        // Nothing here is about power cuts.
        settings: Some(Settings { durability: Durability::None, ..Settings::default() }),
        ..OpenOptions::default()
    };
    let store = PersistentVectorStore::open(folder.path().join("store"), options).unwrap();
    let options = IndexOptions { threads: 2, ..IndexOptions::default() };
    let summary = index(&store, &root, &*embedder, &options, &mut |_| {}).unwrap();
    assert_eq!(summary.nodes, (files * NODES) as u64);
    store.close().unwrap();
    HEAP.peak_usage() - before
}

#[test]
fn four_times_the_files_take_no_more_memory() {
    let mb = |bytes: usize| bytes as f64 / 1e6;
    let (few, many) = (mb(peak(FILES)), mb(peak(4 * FILES)));
    // Three memtables, what is under way, commits that are kept, and an index that is built meanwhile, at some 700 bytes
    // for each row of the segment; vectors alone are 156 MB of the larger tree.
    assert!(
        many < 220.0 && many < 2.5 * few,
        "{few:.1} MB for {FILES} files, {many:.1} MB for four times as many"
    );
}

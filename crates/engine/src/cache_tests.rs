//! Tests of the pools that caches share.

use super::*;
use codegraph_vector_testkit::SimVfs;

/// Caches of two stores that share room for `files` files, with segment 1 in each.
fn two(files: u64) -> (Arc<CachePools>, [Caches; 2]) {
    let sim = SimVfs::new(1);
    let pools = Arc::new(CachePools::new(&CacheConfig { max_open_files: files, ..CacheConfig::default() }));
    let caches = ["/a", "/b"].map(|root| {
        let layout = StoreLayout::new(root);
        sim.create_dir_all(&layout.segments_dir()).unwrap();
        for id in 1..4 {
            sim.open(&layout.segment_path(SegmentId(id)), OpenMode::Create).unwrap();
        }
        Caches::sharing(Arc::new(sim.clone()), layout, pools.clone())
    });
    (pools, caches)
}

#[test]
fn the_file_that_was_not_used_for_the_longest_time_goes_whosever_it_is() {
    let (pools, [a, b]) = two(2);
    let first = a.file(SegmentId(1)).unwrap();
    b.file(SegmentId(1)).unwrap();
    assert!(Arc::ptr_eq(&a.file(SegmentId(1)).unwrap(), &first));
    b.file(SegmentId(2)).unwrap();
    assert_eq!(pools.open_files(), 2);
    assert!(Arc::ptr_eq(&a.file(SegmentId(1)).unwrap(), &first), "it was used later than b's");
}

#[test]
fn a_store_takes_its_files_along_and_leaves_the_others() {
    let (pools, [a, b]) = two(10);
    for id in 1..4 {
        a.file(SegmentId(id)).unwrap();
        b.file(SegmentId(id)).unwrap();
    }
    a.forget(SegmentId(2));
    assert_eq!(pools.open_files(), 5);
    drop(a);
    assert_eq!(pools.open_files(), 3);
    drop(b);
    assert_eq!(pools.open_files(), 0);
}

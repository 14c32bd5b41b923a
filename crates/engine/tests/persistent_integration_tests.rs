//! The engine through its facade, on a real disk. Groups: life cycle, restart, load.

use codegraph_vector::{CodeNode, Filter, PersistentVectorStore, SearchRequest};

fn node(id: u128, x: f32, path: &str) -> CodeNode {
    CodeNode::new(id, vec![x, 1.0, 0.5]).with_path(path).with_name(format!("f{id}")).with_language("rust")
}

#[test]
fn smoke() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let store = PersistentVectorStore::new(&path, folder.path().join("b"), 3).unwrap();
    for id in 0..100u128 {
        let outcome = store.put(node(id, id as f32, if id % 2 == 0 { "a.rs" } else { "b.rs" })).unwrap();
        assert!(outcome.receipt.durable);
    }
    store.flush().unwrap();
    store.delete(3).unwrap();
    assert_eq!(store.replace_path("a.rs", &[node(1000, 5.0, "a.rs")]).unwrap().deleted, 50);
    assert_eq!(store.count(&Filter::path("a.rs")).unwrap(), 1);
    assert_eq!(store.stats().unwrap().active_vectors, 50);
    let hash = store.stats().unwrap().content_hash;
    store.flush().unwrap();
    store.merge().unwrap();
    assert_eq!(store.stats().unwrap().content_hash, hash);
    assert_eq!(store.stats().unwrap().segments, 1);
    assert!(store.verify().unwrap().is_clean(), "{:?}", store.verify().unwrap());
    store.put(node(7, 3.0, "c.rs")).unwrap();
    let results = store.search(&SearchRequest::new([3.0, 1.0, 0.5], 3)).unwrap();
    println!("{results:?}");
    drop(store);
    let store = PersistentVectorStore::new(&path, folder.path().join("b"), 3).unwrap();
    assert_eq!(store.stats().unwrap().active_vectors, 50);
    println!("{:#?}", store.stats().unwrap());
    assert_eq!(store.get(7).unwrap().unwrap(), node(7, 3.0, "c.rs"));
}

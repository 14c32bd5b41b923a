//! Rows in memory that have codes are found, heeded and left out as rows without are.

use codegraph_vector_base::NodeId;
use codegraph_vector_testkit::{Rng, SeededRandom, SimClock, SimVfs, generators};

use super::*;
use crate::filter::Filter;
use crate::indexing::IndexPolicy;
use crate::node::CodeNode;
use crate::options::{Environment, OpenOptions, Settings};
use crate::store::core::Handle;
use crate::store::{Locking, SearchRequest, SearchResults, Snapshot, Write};

const DIMENSION: usize = 16;

fn open(index: IndexPolicy) -> Arc<Handle> {
    let environment = Environment {
        vfs: Arc::new(SimVfs::new(3)),
        clock: Arc::new(SimClock::default()),
        random: Arc::new(SeededRandom::new(7)),
    };
    let settings = Some(Settings { background: false, index, ..Settings::default() });
    let options = OpenOptions { dimension: Some(DIMENSION), settings, environment, ..OpenOptions::default() };
    Handle::new(crate::store::open("/store".into(), &options).unwrap())
}

fn put(core: &Arc<Handle>, rng: &mut Rng, ids: std::ops::Range<NodeId>) {
    let language = |id: NodeId| if id.is_multiple_of(3) { "rust" } else { "go" };
    let node = |id| CodeNode::new(id, generators::vector(rng, DIMENSION)).with_language(language(id));
    let nodes: Vec<CodeNode> = ids.map(node).collect();
    core.submit(&Write::Put(&nodes), Locking::Wait).unwrap().wait().unwrap();
}

fn ids(results: &SearchResults) -> Vec<NodeId> {
    results.matches.iter().map(|hit| hit.node_id).collect()
}

fn coded(core: &Core) -> (usize, usize) {
    let version = core.version.load();
    let ((), full) = version.memtable.chunks_now(|_| ());
    (full.iter().filter(|chunk| chunk.coded.get().is_some()).count(), full.len())
}

#[test]
fn coded_rows_are_found_and_left_out_as_others_are() {
    for (seed, index) in [IndexPolicy::Ivf, IndexPolicy::hnsw()].into_iter().enumerate() {
        let (core, mut rng) = (open(index), Rng::new(seed as u64));
        put(&core, &mut rng, 0..800);
        assert!(!core.is_coding_due(), "there is nothing to take after");
        core.flush().unwrap();
        core.merge_all().unwrap();
        put(&core, &mut rng, 700..3000);
        assert!(core.is_coding_due());
        let before = Snapshot::open(&core).unwrap();
        core.code_fresh_rows().unwrap();
        assert!(!core.is_coding_due());
        assert_eq!(coded(&core), (8, 8), "all but the open chunk");
        core.submit(&Write::Delete(&[1000, 1003, 2000, 50]), Locking::Wait).unwrap().wait().unwrap();
        put(&core, &mut rng, 2500..2600);
        let after = Snapshot::open(&core).unwrap();
        let filter = Filter::eq("language", "rust");
        let (mut found, mut asked) = (0, 0);
        for _ in 0..40 {
            let plain = SearchRequest::new(generators::vector(&mut rng, DIMENSION), 10).with_effort(1.0);
            for (snapshot, request) in [
                (&before, plain.clone()),
                (&after, plain.clone()),
                (&after, plain.clone().with_filter(filter.clone())),
            ] {
                let results = snapshot.search(&request).unwrap();
                assert!(!results.exact, "codes may leave rows out");
                let exact = snapshot.search(&request.with_exact(true)).unwrap();
                assert!(exact.exact);
                for hit in &results.matches {
                    let same = exact.matches.iter().find(|other| other.node_id == hit.node_id);
                    assert!(same.is_none_or(|same| same == hit), "the score is that of the vector");
                    assert!(snapshot.get(hit.node_id).unwrap().is_some(), "{} is not there", hit.node_id);
                }
                let found_ids = ids(&results);
                asked += exact.matches.len();
                found += ids(&exact).iter().filter(|id| found_ids.contains(id)).count();
            }
        }
        assert!(found * 100 >= asked * 95, "{index}: {found} of {asked}");
    }
}

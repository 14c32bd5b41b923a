//! The rows of the scripts, transactions on them, and steps that wait for a lock.

use std::collections::BTreeMap;
use std::thread::{self, JoinHandle};

use codegraph_vector::{
    AttributeValue, CodeNode, CommitReceipt, ConflictCause, Error, Filter, IndexPolicy, IsolationLevel,
    Metric, NodeId, OpenOptions, PersistentVectorStore, Result, SearchRequest, SearchResults, Settings,
    TestSwitches, Transaction,
};
use codegraph_vector_testkit::{Rng, SimVfs, generators};

use crate::sample::{self, DIMENSION, ROOT};

/// Values by id.
pub(super) type Values = BTreeMap<NodeId, i64>;

/// How a script asks for values that are near to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Search {
    /// By a filter on the attribute.
    Filter,
    /// By all vectors within a radius.
    Radius,
    /// By the two nearest vectors.
    Nearest,
    /// The same, where cells of an index are searched.
    Ivf,
    /// The same, where a graph is searched.
    Hnsw,
}

impl Search {
    pub(super) const ALL: [Search; 5] =
        [Search::Filter, Search::Radius, Search::Nearest, Search::Ivf, Search::Hnsw];

    fn index(self) -> Option<IndexPolicy> {
        match self {
            Search::Ivf => Some(IndexPolicy::Ivf),
            Search::Hnsw => Some(IndexPolicy::Hnsw { m: 8, ef_construction: 64 }),
            _ => None,
        }
    }
}

/// Rows beside those of the scripts, far from them, where there is an index.
const OTHERS: std::ops::Range<NodeId> = 1000..1200;
/// Beyond all values of the scripts.
const FAR: i64 = 500;
/// A row that is never there.
const NOBODY: NodeId = 999;

/// A store with the two rows.
pub(super) struct World {
    pub(super) store: PersistentVectorStore,
    search: Search,
}

fn vector(value: i64) -> Vec<f32> {
    let mut vector = vec![0.0; DIMENSION];
    vector[0] = value as f32;
    vector
}

pub(super) fn row(id: NodeId, value: i64) -> CodeNode {
    CodeNode::new(id, vector(value)).with_attribute("value", value)
}

impl World {
    pub(super) fn new(search: Search) -> Self {
        let sim = SimVfs::new(1);
        let settings = Settings { index: search.index().unwrap_or_default(), ..sample::settings() };
        let options = OpenOptions {
            metric: Some(Metric::Euclidean),
            settings: Some(settings),
            switches: TestSwitches { min_index_rows: Some(50), ..TestSwitches::default() },
            ..sample::options(&sim)
        };
        let store = PersistentVectorStore::open(ROOT, options).unwrap();
        store.put_batch(&[row(1, 10), row(2, 20)]).unwrap();
        let world = Self { store, search };
        if search.index().is_some() {
            let rng = &mut Rng::new(2);
            let others: Vec<_> = OTHERS
                .map(|id| {
                    let mut node = CodeNode::new(id, generators::vector(rng, DIMENSION));
                    node.embedding.iter_mut().for_each(|number| *number *= 50.0);
                    node.embedding[0] = node.embedding[0].abs() + FAR as f32;
                    node.with_attribute("value", FAR)
                })
                .collect();
            world.store.put_batch(&others).unwrap();
            world.index();
        }
        world
    }

    /// Puts all that is committed into one segment, with its index if there is to be one.
    pub(super) fn index(&self) {
        self.store.flush().unwrap();
        self.store.merge().unwrap();
        if self.search.index().is_none() {
            return;
        }
        let index = self.store.stats().unwrap().index;
        assert_eq!(index.flat_rows, 0);
        assert!(index.ivf_rows + index.hnsw_rows > OTHERS.count() as u64);
    }

    /// Begins a transaction, whose snapshot, if it has one, is of now.
    pub(super) fn begin(&self, level: IsolationLevel) -> Txn {
        let mut txn = self.store.begin(level).unwrap();
        assert_eq!(txn.get(NOBODY).unwrap(), None);
        Txn { txn, search: self.search }
    }

    /// What is committed.
    pub(super) fn values(&self) -> Values {
        let all = self.store.snapshot().unwrap();
        let nodes = all.iter().unwrap().map(Result::unwrap).filter(|node| !OTHERS.contains(&node.id));
        nodes.map(|node| (node.id, value(&node))).collect()
    }

    /// What a search outside of any transaction finds near a value.
    pub(super) fn near(&self, value: i64, radius: i64) -> Values {
        found(self.store.search(&request(self.search, value, radius)).unwrap(), value, radius)
    }

    /// Runs a statement on a thread of its own, where it has to wait for a lock.
    #[track_caller]
    pub(super) fn blocks<R: Send + 'static>(
        &self,
        mut txn: Txn,
        statement: impl FnOnce(&mut Txn) -> R + Send + 'static,
    ) -> Blocked<R> {
        let waiting = || self.store.consistency_manager().statistics().locks.waiting;
        let before = waiting();
        let thread = thread::spawn(move || {
            let result = statement(&mut txn);
            (txn, result)
        });
        while waiting() == before {
            assert!(!thread.is_finished(), "it did not have to wait");
            thread::yield_now();
        }
        Blocked { thread }
    }

    /// Whatever happened, nobody holds or waits for anything afterwards.
    #[track_caller]
    pub(super) fn assert_nothing_is_left(&self) {
        let statistics = self.store.consistency_manager().statistics();
        assert_eq!((statistics.locks.held, statistics.locks.waiting, statistics.active), (0, 0, 0));
        assert!(self.store.verify().unwrap().is_clean());
    }
}

/// A statement that waits.
pub(super) struct Blocked<R> {
    thread: JoinHandle<(Txn, R)>,
}

impl<R> Blocked<R> {
    /// Waits until it is through, which it can be now.
    pub(super) fn goes_on(self) -> (Txn, R) {
        self.thread.join().unwrap()
    }
}

/// A transaction of a script.
pub(super) struct Txn {
    txn: Transaction,
    search: Search,
}

impl Txn {
    pub(super) fn get(&mut self, id: NodeId) -> Option<i64> {
        self.txn.get(id).unwrap().as_ref().map(value)
    }

    pub(super) fn set(&mut self, id: NodeId, value: i64) -> Result<()> {
        self.txn.put(row(id, value))
    }

    /// The rows whose value is from `value - radius` to `value + radius`.
    pub(super) fn near(&mut self, value: i64, radius: i64) -> Values {
        found(self.txn.search(&request(self.search, value, radius)).unwrap(), value, radius)
    }

    /// All rows of the scripts.
    pub(super) fn all(&mut self) -> Values {
        let request = match self.search {
            Search::Filter => SearchRequest::new(vector(0), 100).with_filter(between(0, FAR - 1)),
            _ => SearchRequest::new(vector(0), 100).with_min_score(-(FAR - 1) as f32).with_exact(true),
        };
        found(self.txn.search(&request).unwrap(), 0, FAR - 1)
    }

    /// Number of rows whose value is near.
    pub(super) fn count_near(&mut self, value: i64, radius: i64) -> u64 {
        self.txn.count(&between(value, radius)).unwrap()
    }

    /// Ids of the rows whose value is near.
    pub(super) fn ids_near(&mut self, value: i64, radius: i64) -> Vec<NodeId> {
        self.txn.ids(&between(value, radius)).unwrap()
    }

    pub(super) fn delete(&mut self, id: NodeId) -> Result<bool> {
        self.txn.delete(id)
    }

    /// Deletes the rows of this value.
    pub(super) fn delete_where(&mut self, value: i64) -> Result<u64> {
        self.txn.delete_by_filter(&between(value, 0))
    }

    pub(super) fn commit(self) -> Result<CommitReceipt> {
        self.txn.commit()
    }

    pub(super) fn abort(self) {
        self.txn.rollback().unwrap();
    }
}

/// Asks for the values from `value - radius` to `value + radius`, if there are not too many.
fn request(search: Search, value: i64, radius: i64) -> SearchRequest {
    match search {
        Search::Filter => SearchRequest::new(vector(0), 100).with_filter(between(value, radius)),
        Search::Radius => SearchRequest::new(vector(value), 100).with_min_score(-radius as f32),
        _ => SearchRequest::new(vector(value), 2).with_effort(1.0),
    }
}

/// Values that were found, those beyond the radius left out.
fn found(results: SearchResults, value: i64, radius: i64) -> Values {
    let values =
        results.matches.into_iter().map(|hit| (hit.node_id, number(&hit.metadata.unwrap().attributes)));
    values.filter(|(_, of)| (of - value).abs() <= radius).collect()
}

fn between(value: i64, radius: i64) -> Filter {
    Filter::range("attributes.value", value - radius..=value + radius)
}

fn value(node: &CodeNode) -> i64 {
    let value = number(&node.attributes);
    let place = node.embedding[0] as i64;
    assert!(place == value || value == FAR, "a row of two halves: {node:?}");
    value
}

fn number(attributes: &BTreeMap<String, AttributeValue>) -> i64 {
    match attributes["value"] {
        AttributeValue::Integer(value) => value,
        _ => panic!("{attributes:?}"),
    }
}

/// What got in the way, if something did. Any other error is one of the test.
#[track_caller]
pub(super) fn conflict<T>(outcome: Result<T>) -> Option<ConflictCause> {
    let cause = |error: Error| match error.conflict() {
        Some(conflict) => conflict.cause,
        None => panic!("{error}"),
    };
    outcome.err().map(cause)
}

/// Rows 1 and 2.
pub(super) fn two(first: i64, second: i64) -> Values {
    Values::from([(1, first), (2, second)])
}

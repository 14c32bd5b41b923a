//! Random workloads: small stores, few ids and paths, so that everything meets everything.

use codegraph_vector::{
    CacheConfig, CodeNode, CodecSpec, Compression, Durability, EvictionPolicy, Filter, IndexPolicy,
    IsolationLevel, Keep, MaintenanceConfig, Metric, NodeId, Scope, Settings,
};
use codegraph_vector_testkit::{Rng, generators};

use super::model::{Change, State};
use super::prepared::Script;
use super::property;

const PATHS: [&str; 3] = ["a.rs", "src/b.rs", "src/c/d.py"];
const LANGUAGES: [&str; 2] = ["rust", "python"];
const IDS: usize = 12;

/// What a workload does next.
#[derive(Clone, Debug)]
pub enum Step {
    Write(Change),
    /// The first phase of a transaction.
    Prepare(Script),
    /// The second: to commit it, or to roll it back. Or to say once more what was decided.
    Decide {
        commit: bool,
        again: bool,
    },
    Flush,
    Merge,
    /// Of so many segments at the most.
    MergeSome(usize),
    Configure(Box<Settings>),
    /// Asks for a compression, or for none.
    Enable(Option<Compression>),
    /// Asks for it, and waits until all segments are so.
    Compress(Option<Compression>),
    SetProperty(Option<String>),
    Read,
    /// Another process reads.
    ReadElsewhere,
    Verify,
    /// Close and open.
    Reopen,
    /// The process dies; another opens the store.
    Kill,
    /// The power goes off and comes back.
    Crash,
}

/// A step for a store that is in this state.
pub fn step(rng: &mut Rng, state: &State, dimension: usize) -> Step {
    match rng.below(100) {
        0..48 => Step::Write(change(rng, state, dimension)),
        48..53 => Step::Prepare(script(rng, state, dimension)),
        53..60 => Step::Decide { commit: rng.chance(0.6), again: rng.chance(0.2) },
        60..62 => Step::Enable(compression(rng, dimension, Keep::Full)),
        62..66 => Step::Compress(compression(rng, dimension, Keep::Full)),
        66..70 => Step::SetProperty(property::value(rng)),
        70..76 => Step::Flush,
        76..79 => Step::Merge,
        79..81 => Step::MergeSome(rng.between(1, 4)),
        81..84 => Step::Configure(Box::new(settings(rng))),
        84..87 => Step::Read,
        87..91 => Step::ReadElsewhere,
        91..92 => Step::Verify,
        92..95 => Step::Reopen,
        95..98 => Step::Kill,
        _ => Step::Crash,
    }
}

/// A write.
pub fn change(rng: &mut Rng, state: &State, dimension: usize) -> Change {
    match rng.below(100) {
        0..26 => Change::Put(nodes(rng, dimension, 1)),
        26..46 => {
            let count = rng.between(2, 7);
            Change::Put(nodes(rng, dimension, count))
        }
        46..60 => Change::Update { id: likely_id(rng, state), vector: vector(rng, dimension) },
        60..74 => Change::Delete(vec![likely_id(rng, state)]),
        74..79 => Change::Delete((0..rng.between(2, 5)).map(|_| likely_id(rng, state)).collect()),
        79..87 => Change::DeleteByFilter(filter(rng)),
        _ => {
            let count = rng.below(4);
            let nodes = nodes(rng, dimension, count).into_iter().map(|node| CodeNode { path: None, ..node });
            Change::ReplacePath { path: PATHS[rng.below(PATHS.len())], nodes: nodes.collect() }
        }
    }
}

/// A transaction up to its first phase.
fn script(rng: &mut Rng, state: &State, dimension: usize) -> Script {
    let ids = |rng: &mut Rng, most: usize| (0..rng.below(most)).map(|_| likely_id(rng, state)).collect();
    let count = rng.below(4);
    Script {
        level: *rng.pick(&IsolationLevel::ALL),
        puts: nodes(rng, dimension, count),
        deletes: ids(rng, 3),
        reads: ids(rng, 4),
    }
}

/// A node's name.
pub fn id(rng: &mut Rng) -> NodeId {
    spread(rng.below(IDS))
}

/// Small ones and such that need all of a `u128`.
fn spread(number: usize) -> NodeId {
    let number = number as NodeId;
    if number.is_multiple_of(3) { number << 100 | number } else { number }
}

/// Mostly that of a node that is there.
fn likely_id(rng: &mut Rng, state: &State) -> NodeId {
    let ids: Vec<NodeId> = state.rows.keys().copied().collect();
    if ids.is_empty() || rng.chance(0.2) { id(rng) } else { *rng.pick(&ids) }
}

fn nodes(rng: &mut Rng, dimension: usize, count: usize) -> Vec<CodeNode> {
    let mut numbers: Vec<usize> = (0..IDS).collect();
    rng.shuffle(&mut numbers);
    numbers[..count].iter().map(|number| node(rng, spread(*number), dimension)).collect()
}

/// A node that says something of itself.
pub fn node(rng: &mut Rng, id: NodeId, dimension: usize) -> CodeNode {
    let mut node = CodeNode::new(id, vector(rng, dimension)).with_name(generators::identifier(rng));
    if rng.chance(0.8) {
        node = node.with_path(*rng.pick(&PATHS)).with_language(*rng.pick(&LANGUAGES));
    }
    if rng.chance(0.3) {
        let line = rng.below(50) as u32;
        node = node.with_lines(line, line + 3).with_kind("function");
    }
    match rng.below(12) {
        0 => node.with_attribute("text", noise(rng, 1500)),
        1..3 => node.with_attribute("text", noise(rng, 300)),
        3..5 => node.with_attribute("rank", rng.below(9) as i64),
        _ => node,
    }
}

/// Text that does not compress well.
fn noise(rng: &mut Rng, most: usize) -> String {
    (0..rng.below(most)).map(|_| char::from(b' ' + rng.below(94) as u8)).collect()
}

/// A vector with a direction.
pub fn vector(rng: &mut Rng, dimension: usize) -> Vec<f32> {
    let mut vector: Vec<f32> = (0..dimension).map(|_| rng.normal()).collect();
    if rng.chance(0.3) {
        vector[0] = *rng.pick(&[0.0, -0.0, 1e-20, 3.0]);
    }
    vector[dimension - 1] += if vector[dimension - 1] < 0.0 { -0.5 } else { 0.5 };
    vector
}

/// A filter that matches some nodes, or few, or none.
pub fn filter(rng: &mut Rng) -> Filter {
    match rng.below(6) {
        0 => Filter::path(*rng.pick(&PATHS)),
        1 => Filter::eq("language", *rng.pick(&LANGUAGES)),
        2 => Filter::path_prefix("src/").and(Filter::eq("language", *rng.pick(&LANGUAGES))),
        3 => Filter::range("start_line", 10_i64..30),
        4 => Filter::eq("name", generators::identifier(rng)),
        _ => Filter::missing("path"),
    }
}

/// Some way to compress vectors, or none.
pub fn compression(rng: &mut Rng, dimension: usize, keep: Keep) -> Option<Compression> {
    let spec = match rng.below(6) {
        0 => return None,
        1 => CodecSpec::Product { m: rng.between(1, dimension + 1), nbits: 4, rotate: rng.chance(0.3) },
        2 => CodecSpec::Binary { bits: rng.between(1, 9) as u8 },
        3 => CodecSpec::Transform { bytes: rng.between(2, dimension + 2) },
        _ => CodecSpec::Scalar {
            nbits: *rng.pick(&[4, 8, 16, 32]),
            uniform: rng.chance(0.5),
            scope: *rng.pick(&[Scope::Dimension, Scope::Global]),
            brain: rng.chance(0.3),
        },
    };
    Some(Compression { spec, keep })
}

/// How vectors are compared.
pub fn metric(rng: &mut Rng) -> Metric {
    *rng.pick(&Metric::ALL)
}

/// Sizes so small that flushes, merges and rotations happen within a few writes.
pub fn settings(rng: &mut Rng) -> Settings {
    // A background sync would make runs differ: an interval that never ends tests all but the timer.
    let never = Durability::Interval(3_600_000);
    let durability =
        [Durability::Sync, Durability::Sync, Durability::Sync, Durability::Sync, Durability::None, never];
    Settings {
        durability: *rng.pick(&durability),
        memtable_bytes: *rng.pick(&[4 << 10, 6 << 10, 12 << 10]),
        max_frozen_memtables: 1,
        max_wal_file_bytes: *rng.pick(&[4 << 10, 4 << 10, 64 << 10]),
        max_batch_bytes: 1 << 20,
        merge_fanout: rng.between(2, 4),
        merge_dead_percent: *rng.pick(&[30, 60, 100]),
        background: false,
        cache: CacheConfig {
            budget_bytes: *rng.pick(&[0, 1 << 16]),
            policy: *rng.pick(&[EvictionPolicy::Lru, EvictionPolicy::TinyLfu]),
            max_open_files: *rng.pick(&[1, 8]),
        },
        index: index(rng),
        maintenance: MaintenanceConfig {
            store_dead_percent: *rng.pick(&[10, 20, 50]),
            max_segment_bytes: *rng.pick(&[0, 0, 20_000]),
            ..MaintenanceConfig::default()
        },
        ..Settings::default()
    }
}

/// Each kind of index that there is, and none.
pub fn index(rng: &mut Rng) -> IndexPolicy {
    *rng.pick(&[IndexPolicy::Flat, IndexPolicy::Ivf, IndexPolicy::hnsw()])
}

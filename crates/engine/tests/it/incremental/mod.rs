//! The incremental update manager: what operations come to, in which order, and what happens when something is in the way.

mod configuration;
mod faults;
mod modes;
mod order;
mod property;
mod queue;

use std::sync::Arc;

use codegraph_vector::{
    CodeNode, ErrorKind, IncrementalConfig, IncrementalMode, IncrementalOperation, IncrementalUpdateManager,
    Moment, NodeId, PersistentVectorStore, Probe,
};
use codegraph_vector_testkit::{Rng, generators};
use parking_lot::{Condvar, Mutex};

use crate::sample::{DIMENSION, Model};

/// A manager without threads: whoever waits does the work.
fn by_hand(store: &PersistentVectorStore) -> IncrementalConfig {
    IncrementalConfig { worker_threads: 0, ..IncrementalConfig::for_store(store) }
}

fn start(config: IncrementalConfig) -> IncrementalUpdateManager {
    IncrementalUpdateManager::new(config).unwrap()
}

fn vector(seed: u64) -> Vec<f32> {
    generators::vector(&mut Rng::new(seed), DIMENSION)
}

fn insert(node_id: NodeId, seed: u64) -> IncrementalOperation {
    IncrementalOperation::Insert { node_id, vector: vector(seed) }
}

fn update(node_id: NodeId, seed: u64) -> IncrementalOperation {
    IncrementalOperation::Update { node_id, new_vector: vector(seed) }
}

fn delete(node_id: NodeId) -> IncrementalOperation {
    IncrementalOperation::Delete { node_id }
}

fn bare(id: NodeId, seed: u64) -> CodeNode {
    CodeNode::new(id, vector(seed))
}

/// What an operation makes of a model, and how many nodes are gone by it.
fn apply(
    model: &mut Model,
    mode: IncrementalMode,
    operation: &IncrementalOperation,
) -> Result<u64, ErrorKind> {
    let strict = mode == IncrementalMode::Strict;
    let fits = |vector: &[f32]| {
        let fits = vector.len() == DIMENSION && vector.iter().all(|x| x.is_finite());
        if fits { Ok(()) } else { Err(ErrorKind::InvalidInput) }
    };
    match operation {
        IncrementalOperation::Insert { node_id, vector } => {
            fits(vector)?;
            if strict && model.contains_key(node_id) {
                return Err(ErrorKind::AlreadyExists);
            }
            model.insert(*node_id, CodeNode::new(*node_id, vector.clone()));
        }
        IncrementalOperation::Update { node_id, new_vector } => {
            fits(new_vector)?;
            if strict && !model.contains_key(node_id) {
                return Err(ErrorKind::NotFound);
            }
            let node = model.entry(*node_id).or_insert_with(|| CodeNode::new(*node_id, Vec::new()));
            node.embedding.clone_from(new_vector);
        }
        IncrementalOperation::Delete { node_id } => match model.remove(node_id) {
            Some(_) => return Ok(1),
            None if strict => return Err(ErrorKind::NotFound),
            None => {}
        },
        IncrementalOperation::Put(node) => {
            fits(&node.embedding)?;
            model.insert(node.id, node.clone());
        }
        IncrementalOperation::ReplacePath { path, nodes } => {
            for node in nodes {
                fits(&node.embedding)?;
                if node.path.as_ref().is_some_and(|own| own != path) {
                    return Err(ErrorKind::InvalidInput);
                }
            }
            let staying: Vec<NodeId> = nodes.iter().map(|node| node.id).collect();
            if (1..staying.len()).any(|at| staying[..at].contains(&staying[at])) {
                return Err(ErrorKind::InvalidInput);
            }
            let before = model.len();
            model.retain(|id, node| node.path.as_ref() != Some(path) || staying.contains(id));
            let gone = before - model.len();
            model.extend(nodes.iter().map(|node| (node.id, node.clone().with_path(path))));
            return Ok(gone as u64);
        }
    }
    Ok(0)
}

/// A door at which workers wait until it is opened.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<GateState>, Condvar)>);

#[derive(Default)]
struct GateState {
    open: bool,
    waiting: usize,
}

impl Gate {
    /// Has workers wait with a prepared batch.
    fn before_commits(&self) -> Option<Probe> {
        let gate = self.clone();
        Some(Probe::new(move |moment| {
            if let Moment::Commit(_) = moment {
                let (state, changed) = &*gate.0;
                let mut state = state.lock();
                state.waiting += 1;
                changed.notify_all();
                changed.wait_while(&mut state, |state| !state.open);
                state.waiting -= 1;
            }
        }))
    }

    fn open(&self) {
        self.0.0.lock().open = true;
        self.0.1.notify_all();
    }

    /// Waits until so many workers wait.
    fn wait_for(&self, waiting: usize) {
        let mut state = self.0.0.lock();
        self.0.1.wait_while(&mut state, |state| state.waiting < waiting);
    }
}

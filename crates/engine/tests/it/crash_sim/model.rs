//! What the store must hold: every commit's state, and how far a crash or a kill may go back.
//!
//! Guards against: lost, resurrected and half-applied commits, reordered commits, changed times.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use super::prepared::Prepared;
use super::property::Property;
use codegraph_vector::{CodeNode, Filter, NodeId, RowChecksum, RowChecksumSum, Write};

/// The outcome of a check; the message is for whoever replays the seed.
pub type Check<T = ()> = Result<T, String>;

/// A commit's time: unknown to the model until it is read for the first time, fixed from then on.
pub type Stamp = Arc<OnceLock<u64>>;

/// A live row.
#[derive(Debug)]
pub struct Row {
    pub node: CodeNode,
    /// The commit that wrote it, and its time.
    pub seqno: u64,
    pub updated: Stamp,
    /// The time of the commit that created the node.
    pub created: Stamp,
    pub checksum: RowChecksum,
}

/// All live rows after a commit.
#[derive(Clone, Debug, Default)]
pub struct State {
    pub rows: BTreeMap<NodeId, Arc<Row>>,
    /// Whether the commit was made under `Durability::Sync`.
    pub synced: bool,
}

impl State {
    /// The store's content hash, recomputed.
    pub fn hash(&self) -> RowChecksumSum {
        let mut sum = RowChecksumSum::default();
        self.rows.values().for_each(|row| sum += row.checksum);
        sum
    }

    /// Ids that match, in order.
    pub fn ids(&self, filter: &Filter) -> Vec<NodeId> {
        let matching = |(_, row): &(&NodeId, &Arc<Row>)| filter.matches(row.node.id, &row.node.metadata());
        self.rows.iter().filter(matching).map(|(id, _)| *id).collect()
    }

    fn put(&mut self, node: CodeNode, seqno: u64, stamp: &Stamp) -> Check {
        let vector: Vec<u8> = node.embedding.iter().flat_map(|x| x.to_le_bytes()).collect();
        let metadata = node.metadata().encode().map_err(|error| format!("bad test node: {error}"))?;
        let checksum = RowChecksum::of(node.id, &vector, &metadata);
        let created = self.rows.get(&node.id).map_or_else(|| stamp.clone(), |row| row.created.clone());
        let row = Row { seqno, updated: stamp.clone(), created, checksum, node };
        self.rows.insert(row.node.id, Arc::new(row));
        Ok(())
    }
}

/// A write, owned.
#[derive(Clone, Debug)]
pub enum Change {
    Put(Vec<CodeNode>),
    Update {
        id: NodeId,
        vector: Vec<f32>,
    },
    Delete(Vec<NodeId>),
    DeleteByFilter(Filter),
    ReplacePath {
        path: &'static str,
        nodes: Vec<CodeNode>,
    },
    /// The commit of a prepared transaction.
    Transaction {
        puts: Vec<CodeNode>,
        deletes: Vec<NodeId>,
    },
}

/// What a write does to a state.
#[derive(Clone, Debug)]
pub enum Effect {
    /// A commit; so many nodes are gone.
    Commit(Arc<State>, u64),
    /// Nothing had to change.
    Nothing,
    /// An update of a node that is not there.
    NotFound,
}

impl Change {
    /// As the engine takes it. The commit of a transaction is none: what it puts stands for it.
    pub fn write(&self) -> Write<'_> {
        match self {
            Change::Transaction { puts, .. } => Write::Put(puts),
            Change::Put(nodes) => Write::Put(nodes),
            Change::Update { id, vector } => Write::UpdateVector { id: *id, vector },
            Change::Delete(ids) => Write::Delete(ids),
            Change::DeleteByFilter(filter) => Write::DeleteByFilter(filter),
            Change::ReplacePath { path, nodes } => Write::ReplacePath { path, nodes },
        }
    }

    /// The nodes whose locks it takes, and those of them that it changes.
    pub fn touched(&self, state: &State) -> (BTreeSet<NodeId>, BTreeSet<NodeId>) {
        let there =
            |ids: &BTreeSet<NodeId>| ids.iter().filter(|id| state.rows.contains_key(id)).copied().collect();
        let of = |nodes: &[CodeNode]| nodes.iter().map(|node| node.id).collect::<BTreeSet<_>>();
        let locked = match self {
            Change::Put(nodes) => of(nodes),
            Change::Update { id, .. } => [*id].into(),
            Change::Delete(ids) => ids.iter().copied().collect(),
            Change::DeleteByFilter(filter) => state.ids(filter).into_iter().collect(),
            Change::ReplacePath { path, nodes } => {
                of(nodes).into_iter().chain(state.ids(&Filter::path(*path))).collect()
            }
            Change::Transaction { puts, deletes } => {
                of(puts).into_iter().chain(deletes.iter().copied()).collect()
            }
        };
        let changed = match self {
            Change::Update { .. } | Change::Delete(_) => there(&locked),
            _ => locked.clone(),
        };
        (locked, changed)
    }

    /// What it makes of `state`, as commit `seqno`.
    pub fn apply(&self, state: &State, seqno: u64, synced: bool) -> Check<Effect> {
        let stamp = Stamp::default();
        let mut next = State { rows: state.rows.clone(), synced };
        let mut deleted = 0;
        let mut delete = |next: &mut State, id: &NodeId| deleted += u64::from(next.rows.remove(id).is_some());
        match self {
            Change::Put(nodes) => nodes.iter().try_for_each(|node| next.put(node.clone(), seqno, &stamp))?,
            Change::Update { id, vector } => {
                let Some(row) = state.rows.get(id) else { return Ok(Effect::NotFound) };
                next.put(CodeNode { embedding: vector.clone(), ..row.node.clone() }, seqno, &stamp)?;
            }
            Change::Delete(ids) => ids.iter().for_each(|id| delete(&mut next, id)),
            Change::DeleteByFilter(filter) => {
                state.ids(filter).iter().for_each(|id| delete(&mut next, id));
            }
            Change::ReplacePath { path, nodes } => {
                let mut doomed = state.ids(&Filter::path(*path));
                doomed.retain(|id| nodes.iter().all(|node| node.id != *id));
                doomed.iter().for_each(|id| delete(&mut next, id));
                for node in nodes {
                    next.put(node.clone().with_path(*path), seqno, &stamp)?;
                }
            }
            Change::Transaction { puts, deletes } => {
                deletes.iter().for_each(|id| delete(&mut next, id));
                puts.iter().try_for_each(|node| next.put(node.clone(), seqno, &stamp))?;
            }
        }
        let puts = matches!(self, Change::Put(_) | Change::Update { .. } | Change::Transaction { .. })
            || matches!(self, Change::ReplacePath { nodes, .. } if !nodes.is_empty());
        Ok(if puts || deleted > 0 { Effect::Commit(Arc::new(next), deleted) } else { Effect::Nothing })
    }
}

/// How far back a store may be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The least commit whose state it may hold.
    pub floor: u64,
    /// The last commit that was ever numbered.
    pub end: u64,
}

/// All states so far, and what was promised about them.
#[derive(Clone, Debug)]
pub struct Model {
    /// The state after each commit; the first is the empty store.
    states: Vec<Arc<State>>,
    /// A power cut must not take this commit, for it was acknowledged as durable, or read by
    /// someone who sees durable commits only.
    pub durable: u64,
    /// The end of the process must not take this commit, for it was acknowledged or seen.
    pub written: u64,
    /// What readers in other processes must see.
    pub acknowledged: u64,
    /// What the store must say of itself.
    pub property: Property,
    /// What is in doubt.
    pub prepared: Prepared,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            states: vec![Arc::default()],
            durable: 0,
            written: 0,
            acknowledged: 0,
            property: Property::default(),
            prepared: Prepared::default(),
        }
    }
}

impl Model {
    /// The last commit, acknowledged or in flight.
    pub fn end(&self) -> u64 {
        self.states.len() as u64 - 1
    }

    /// The state after the last commit.
    pub fn last(&self) -> &Arc<State> {
        &self.states[self.states.len() - 1]
    }

    /// The state after a commit.
    pub fn state(&self, seqno: u64) -> Check<&Arc<State>> {
        let beyond =
            || format!("resurrected: the store is at commit {seqno}, but {} was the last", self.end());
        self.states.get(seqno as usize).ok_or_else(beyond)
    }

    /// Adds a commit in flight.
    pub fn push(&mut self, state: Arc<State>) {
        self.states.push(state);
    }

    /// Forgets commits after `seqno`: they did not happen.
    pub fn truncate(&mut self, seqno: u64) {
        self.states.truncate(seqno as usize + 1);
    }

    /// What a power cut may leave.
    pub fn after_crash(&self) -> Range {
        Range { floor: self.durable, end: self.end() }
    }

    /// What the end of the process may leave.
    pub fn after_kill(&self) -> Range {
        Range { floor: self.durable.max(self.written), end: self.end() }
    }

    /// A commit was acknowledged.
    pub fn acknowledge(&mut self, seqno: u64, durable: bool) {
        self.written = self.written.max(seqno);
        if durable {
            self.durable = self.durable.max(seqno);
            self.acknowledged = self.acknowledged.max(seqno);
        }
    }

    /// The writing process showed the state at `seqno` to someone.
    pub fn seen(&mut self, seqno: u64) -> Check {
        if self.state(seqno)?.synced {
            self.durable = self.durable.max(seqno);
        }
        self.written = self.written.max(seqno);
        Ok(())
    }

    /// A store was opened for writing at `seqno`: whatever it holds, it promises from now on.
    pub fn recovered(&mut self, seqno: u64) {
        self.truncate(seqno);
        (self.durable, self.written, self.acknowledged) = (seqno, seqno, seqno);
    }
}

impl Range {
    /// Refuses a store that lost something, or has something that never was.
    pub fn check(self, seqno: u64) -> Check {
        let Self { floor, end } = self;
        match seqno {
            _ if seqno < floor => {
                Err(format!("lost: the store is at commit {seqno}, but {floor} had been promised"))
            }
            _ if seqno > end => {
                Err(format!("resurrected: the store is at commit {seqno}, but {end} was the last"))
            }
            _ => Ok(()),
        }
    }
}

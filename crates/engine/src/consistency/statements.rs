//! What a transaction can be told to do, but for ending it.

use std::borrow::Cow;

use codegraph_vector_base::{Conflict, ConflictCause, Error, ErrorKind, NodeId, Result};

use super::cell::{Call, Open, View};
use super::level::ReadPoint;
use super::lock::{LockMode, LockSet, LockTarget, LockWait};
use super::operation::VectorOperation;
use super::overlay::{Found, Overlay};
use super::reads::Predicate;
use super::transaction::Savepoint;
use super::write_set::Change;
use crate::filter::Filter;
use crate::id_map::NodeIdSet;
use crate::node::{CodeNode, check_path, node_id_text};
use crate::store::{PendingRow, SearchRequest, SearchResults, no_such_node};

impl Open {
    /// What the statement that begins now reads of what is committed.
    pub(crate) fn view(&mut self, call: Call<'_>) -> View {
        match call.cell.rules.reads {
            ReadPoint::Transaction => self.view.get_or_insert_with(|| call.core.read_point()).clone(),
            ReadPoint::Latest | ReadPoint::Statement => call.core.read_point(),
        }
    }

    /// What a statement reads: what is committed, as `view` has it, under what this transaction has written; or what is
    /// committed by now, under what all have written.
    fn sight<'a>(&'a self, call: Call<'a>, view: &'a View) -> Overlay<'a> {
        match (call.cell.rules.reads, &call.core.writer) {
            (ReadPoint::Latest, Some(writer)) => Overlay::of_now(call.core, &writer.locks.pending),
            _ => self.own_sight(call, view),
        }
    }

    pub(crate) fn get(&mut self, call: Call<'_>, id: NodeId) -> Result<Option<CodeNode>> {
        let view = self.view(call);
        let found = self.sight(call, &view).get(id)?;
        self.reads.got(call.cell.rules, view.1, id, &found);
        Ok(found.into_node())
    }

    pub(crate) fn search(&mut self, call: Call<'_>, request: &SearchRequest) -> Result<SearchResults> {
        let view = self.view(call);
        let found = self.sight(call, &view).search(request)?;
        self.reads.searched(call.cell.rules, view.1, request, &found);
        Ok(found)
    }

    pub(crate) fn search_like(
        &mut self,
        call: Call<'_>,
        id: NodeId,
        request: &SearchRequest,
    ) -> Result<SearchResults> {
        let view = self.view(call);
        let found = self.sight(call, &view).get(id)?;
        // That there is none is something to have read, too.
        self.reads.got(call.cell.rules, view.1, id, &found);
        let node = found.into_node().ok_or_else(|| no_such_node(id))?;
        let request = request.like(id, node.embedding);
        let results = self.sight(call, &view).search(&request)?;
        self.reads.searched(call.cell.rules, view.1, &request, &results);
        Ok(results)
    }

    pub(crate) fn count(&mut self, call: Call<'_>, filter: &Filter) -> Result<u64> {
        let view = self.view(call);
        let count = self.sight(call, &view).count(filter)?;
        self.reads.counted(call.cell.rules, view.1, filter);
        Ok(count)
    }

    pub(crate) fn ids(&mut self, call: Call<'_>, filter: &Filter) -> Result<Vec<NodeId>> {
        let view = self.view(call);
        let ids = self.sight(call, &view).ids(filter)?;
        let committed = ids.iter().copied().filter(|id| self.writes.get(*id).is_none());
        self.reads.listed(call.cell.rules, view.1, filter, committed);
        Ok(ids)
    }

    pub(crate) fn put(&mut self, call: Call<'_>, node: CodeNode) -> Result<()> {
        let metadata = node.metadata();
        let row = call.core.pending_row(node.id, Cow::Owned(node.embedding), metadata, None)?;
        self.take(call, &[row.id])?;
        self.write_row(call, row);
        Ok(())
    }

    pub(crate) fn update_vector(&mut self, call: Call<'_>, id: NodeId, vector: Vec<f32>) -> Result<()> {
        call.core.check_vector(id, &vector)?;
        self.take(call, &[id])?;
        let before = self.present(call, id)?.into_node().ok_or_else(|| missing(id))?;
        let row = call.core.pending_row(id, Cow::Owned(vector), before.metadata(), None)?;
        self.write_row(call, row);
        Ok(())
    }

    pub(crate) fn delete(&mut self, call: Call<'_>, id: NodeId) -> Result<bool> {
        self.take(call, &[id])?;
        let is_there = self.present(call, id)?.into_node().is_some();
        if is_there {
            self.write(call, id, Change::Delete);
        }
        Ok(is_there)
    }

    pub(crate) fn delete_by_filter(&mut self, call: Call<'_>, filter: &Filter) -> Result<u64> {
        let view = self.view(call);
        let doomed = self.own_sight(call, &view).ids(filter)?;
        self.take(call, &doomed)?;
        self.watch(&view, Predicate::Matching(filter.clone()), &doomed);
        doomed.iter().for_each(|id| self.write(call, *id, Change::Delete));
        Ok(doomed.len() as u64)
    }

    pub(crate) fn replace_path(&mut self, call: Call<'_>, path: &str, nodes: &[CodeNode]) -> Result<u64> {
        check_path(path)?;
        let rows = call.core.pending_rows(nodes, Some(path))?;
        let view = self.view(call);
        let there = self.own_sight(call, &view).ids_of_path(path)?;
        let staying: NodeIdSet = rows.iter().map(|row| row.id).collect();
        let doomed: Vec<NodeId> = there.iter().copied().filter(|id| !staying.contains(id)).collect();
        let touched: Vec<NodeId> = doomed.iter().copied().chain(staying).collect();
        self.take(call, &touched)?;
        self.watch(&view, Predicate::Path(path.to_owned()), &there);
        doomed.iter().for_each(|id| self.write(call, *id, Change::Delete));
        rows.into_iter().for_each(|row| self.write_row(call, row.into_owned()));
        Ok(doomed.len() as u64)
    }

    pub(crate) fn apply(&mut self, call: Call<'_>, operation: VectorOperation) -> Result<()> {
        match operation {
            VectorOperation::Insert { node_id, vector } => self.put(call, CodeNode::new(node_id, vector)),
            VectorOperation::Put(node) => self.put(call, node),
            VectorOperation::Update { node_id, new_vector } => self.update_vector(call, node_id, new_vector),
            VectorOperation::Delete { node_id } => self.delete(call, node_id).map(|_| ()),
        }
    }

    pub(crate) fn lock(&mut self, call: Call<'_>, target: LockTarget, mode: LockMode) -> Result<()> {
        self.waiting(call, |locks, wait| locks.acquire(target, mode, wait))
    }

    pub(crate) fn savepoint(&mut self, call: Call<'_>) -> Savepoint {
        let number = self.next_savepoint;
        self.next_savepoint += 1;
        self.savepoints.push((number, self.writes.savepoint()));
        Savepoint { transaction: call.cell.id, number }
    }

    pub(crate) fn rollback_to(&mut self, call: Call<'_>, savepoint: Savepoint) -> Result<()> {
        let of_this =
            |(number, _): &(u64, _)| *number == savepoint.number && savepoint.transaction == call.cell.id;
        let Some(at) = self.savepoints.iter().position(of_this) else {
            let message = format!("this savepoint is none of transaction {}, or was undone", call.cell.id);
            return Err(Error::invalid(message));
        };
        self.savepoints.truncate(at + 1);
        let (_, mark) = self.savepoints[at];
        self.undo_to(call, mark);
        Ok(())
    }

    /// The node as a write finds it, whose lock is held.
    fn present(&mut self, call: Call<'_>, id: NodeId) -> Result<Found> {
        let view = self.view(call);
        self.own_sight(call, &view).get(id)
    }

    /// What is committed, under what this transaction has written: what its writes go by at every level.
    fn own_sight<'a>(&'a self, call: Call<'a>, view: &'a View) -> Overlay<'a> {
        Overlay::at(call.core, view, &self.writes)
    }

    /// A write went by which nodes match: that has to stay so until the commit.
    fn watch(&mut self, view: &View, predicate: Predicate, matching: &[NodeId]) {
        let committed = matching.iter().copied().filter(|id| self.writes.get(*id).is_none()).collect();
        self.reads.watch(view.1, predicate, Some(committed));
    }

    /// Takes the locks that writes of nodes need, and makes sure that they may be written.
    fn take(&mut self, call: Call<'_>, ids: &[NodeId]) -> Result<()> {
        // First the view: what is committed after it, and while this waits, is written first by another.
        let view = self.view(call);
        self.waiting(call, |locks, wait| locks.acquire_all(ids.to_vec(), LockMode::X, wait))?;
        if !call.cell.rules.first_committer_wins {
            return Ok(());
        }
        let (version, seqno) = call.core.read_point();
        for id in ids {
            let seen = call.core.columns(&view.0, view.1, *id)?.map(|columns| columns.seqno);
            if call.core.columns(&version, seqno, *id)?.map(|columns| columns.seqno) != seen {
                return Err(Conflict::new(ConflictCause::Write).on_node(*id).into());
            }
            if seen.is_none() && !call.cell.rules.tracks_predicates {
                // Another may have put it and deleted it again meanwhile, which only the recent commits tell. Where searches
                // are validated that is no matter: then nothing that was read is older than the commit.
                self.reads.got(call.cell.rules, view.1, *id, &Found::Committed(None));
            }
        }
        Ok(())
    }

    fn waiting(
        &mut self,
        call: Call<'_>,
        take: impl FnOnce(&mut LockSet, &LockWait<'_>) -> Result<(), Conflict>,
    ) -> Result<()> {
        let writer = call.core.writer()?;
        let Some(locks) = &mut self.locks else { return Err(Error::invalid("no locks without a writer")) };
        let clock = &*call.core.environment.clock;
        let begun = clock.monotonic();
        let wait = LockWait {
            deadline: Some(begun.saturating_add(call.cell.limits.lock)),
            clock,
            policy: call.core.settings.load().transactions.deadlocks,
            meanwhile: &|| writer.log.drain(&**call.core),
        };
        let taken = take(locks, &wait);
        self.waited += clock.monotonic().saturating_sub(begun);
        Ok(taken?)
    }

    fn write_row(&mut self, call: Call<'_>, row: PendingRow<'static>) {
        self.write(call, row.id, Change::Put(row.into()));
    }

    fn write(&mut self, call: Call<'_>, id: NodeId, change: Change) {
        call.pending(id, Some(change.clone()));
        self.writes.set(id, change);
    }
}

fn missing(id: NodeId) -> Error {
    Error::new(
        ErrorKind::NotFound,
        format!("there is no node {} to update; put it instead", node_id_text(id)),
    )
}

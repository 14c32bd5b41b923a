//! The locks of one owner, and how it gets and frees them.

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use codegraph_vector_base::{Clock, Conflict, ConflictCause, NodeId, TxnId};

use super::deadlock::{circle, names, youngest};
use super::line::{Answer, OwnerMap};
use super::mode::{LockMode, LockTarget};
use super::owner::{Owner, Progress};
use super::statistics::{Counters, LockStatistics};
use super::sync::Mutex;
use super::table::Table;
use crate::consistency::PendingTable;
use crate::options::DeadlockPolicy;

/// How long a waiter sleeps before it does again what may free the lock.
const POLL: Duration = Duration::from_millis(20);

/// What is called when an owner was wounded.
type WoundHook = Box<dyn Fn(TxnId) + Send + Sync>;

/// All locks of a store.
#[derive(Default)]
pub(crate) struct Locks {
    /// What transactions have written under their locks, and not committed.
    pub(crate) pending: PendingTable,
    table: Table,
    /// Taken while a wait begins, so that none begins while circles are looked for.
    beginning: Mutex<()>,
    /// Those that can be doomed by number.
    owners: Mutex<OwnerMap<Arc<Owner>>>,
    on_wound: OnceLock<WoundHook>,
    counters: Counters,
}

/// How a request waits for a lock that is not free.
pub(crate) struct LockWait<'a> {
    /// When it is given up, by [`Clock::monotonic`].
    pub(crate) deadline: Option<Duration>,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) policy: DeadlockPolicy,
    /// Done when a wait begins and every 20 ms of it, without losing its place in the queue: the holder may be a commit in the
    /// log's queue that nobody waits for, even one of this thread's. No lock of the table is held meanwhile.
    pub(crate) meanwhile: &'a dyn Fn(),
}

impl Locks {
    /// An owner of no locks yet, which [`Locks::doom`] finds. No two have the same number at once.
    pub(crate) fn owner(self: &Arc<Self>, id: TxnId) -> LockSet {
        let mut set = self.unlisted_owner(id);
        set.is_listed = true;
        let before = self.owners.lock().insert(id, set.owner.clone());
        debug_assert!(before.is_none(), "there are two owners with the number {id}");
        set
    }

    /// The same for one that lives too short for anyone to doom it but for the sake of its locks.
    pub(crate) fn unlisted_owner(self: &Arc<Self>, id: TxnId) -> LockSet {
        LockSet {
            locks: self.clone(),
            owner: Owner::new(id),
            nodes: Vec::new(),
            store: None,
            waiting: None,
            is_listed: false,
        }
    }

    /// Tells an owner to give up: if it waits for a lock it wakes and gets this error, now and for all later requests.
    /// `false` if there is none of that number, or it was doomed before, or sealed.
    pub(crate) fn doom(&self, id: TxnId, conflict: Conflict) -> bool {
        let owner = self.owners.lock().get(&id).cloned();
        owner.is_some_and(|owner| owner.doom(conflict))
    }

    /// Has `hook` called, on the thread of the older one, with each owner that is wounded. It may free that owner's locks,
    /// but must not wait for whoever uses them. Only the first hook counts.
    pub(crate) fn on_wound(&self, hook: WoundHook) {
        // A second one would be a mistake in the engine itself, and is not called.
        let _ = self.on_wound.set(hook);
    }

    pub(crate) fn statistics(&self) -> LockStatistics {
        self.counters.statistics(self.table.held())
    }

    /// How many targets the table knows of.
    #[cfg(test)]
    pub(super) fn entries(&self) -> usize {
        self.table.entries()
    }

    /// Dooms the younger ones of those who block `owner`; returns them.
    fn wound_younger(&self, owner: &Owner, target: LockTarget) -> Vec<TxnId> {
        let blockers = self.table.blockers(owner.id, target).map_or(Vec::new(), |blockers| blockers.owners);
        let wounded = blockers.into_iter().filter(|blocker| {
            let conflict = about(ConflictCause::Wounded, target).with(Some(owner.id));
            blocker.id > owner.id && blocker.doom(conflict)
        });
        let wounded: Vec<TxnId> = wounded.map(|blocker| blocker.id).collect();
        self.counters.wounds.fetch_add(wounded.len() as u64, Ordering::Relaxed);
        wounded
    }

    /// Breaks every circle that the wait of `owner` has closed.
    fn break_circles(&self, owner: &Arc<Owner>) {
        while let Some(circle) = circle(&self.table, owner) {
            let Some(victim) = youngest(&circle) else { return };
            let target = victim.waits_for().unwrap_or(LockTarget::Store);
            let conflict = Conflict { cycle: names(&circle), ..about(ConflictCause::Deadlock, target) };
            if victim.doom(conflict) {
                self.counters.deadlocks.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

fn about(cause: ConflictCause, target: LockTarget) -> Conflict {
    Conflict { node: target.node(), ..Conflict::new(cause) }
}

/// The locks of one owner; dropping frees them all, and takes what was written under them out of the pending table.
pub(crate) struct LockSet {
    locks: Arc<Locks>,
    owner: Arc<Owner>,
    /// Each once, in the order in which they were locked.
    nodes: Vec<NodeId>,
    store: Option<LockMode>,
    /// What is waited for now.
    waiting: Option<LockTarget>,
    is_listed: bool,
}

impl LockSet {
    pub(crate) fn id(&self) -> TxnId {
        self.owner.id
    }

    /// The nodes that are locked, in the order in which they came.
    pub(crate) fn nodes(&self) -> &[NodeId] {
        &self.nodes
    }

    /// Locks a target, or locks it more strongly than before; a node's intention on the store comes first.
    ///
    /// # Errors
    /// `Deadlock`, `Wounded` or what [`Locks::doom`] said: its owner has to free what it holds. `LockTimeout`: the lock was not
    /// free in time; what is held stays so.
    pub(crate) fn acquire(
        &mut self,
        target: LockTarget,
        mode: LockMode,
        wait: &LockWait<'_>,
    ) -> Result<(), Conflict> {
        self.check_doom()?;
        if let LockTarget::Node(_) = target {
            self.lock(LockTarget::Store, mode.intention(), wait)?;
        }
        self.lock(target, mode, wait)
    }

    /// Locks all of some nodes, in the order of their ids: two that lock nothing else cannot wait for each other.
    ///
    /// # Errors
    /// As [`LockSet::acquire`]; some may be locked then.
    pub(crate) fn acquire_all(
        &mut self,
        ids: Vec<NodeId>,
        mode: LockMode,
        wait: &LockWait<'_>,
    ) -> Result<(), Conflict> {
        self.check_doom()?;
        self.lock(LockTarget::Store, mode.intention(), wait)?;
        let ids = in_order(ids);
        self.nodes.reserve(ids.len());
        ids.into_iter().try_for_each(|id| self.lock(LockTarget::Node(id), mode, wait))
    }

    /// Locks all of some nodes if none has to be waited for.
    ///
    /// # Errors
    /// `LockTimeout`, without a wait; no more nodes are locked than before. Doom, as above.
    pub(crate) fn try_acquire_all(&mut self, ids: Vec<NodeId>, mode: LockMode) -> Result<(), Conflict> {
        self.check_doom()?;
        self.try_lock(LockTarget::Store, mode.intention())?;
        let before = self.nodes.len();
        for id in in_order(ids) {
            if let Err(conflict) = self.try_lock(LockTarget::Node(id), mode) {
                let taken = self.nodes.split_off(before);
                taken.into_iter().for_each(|id| self.locks.table.release(self.id(), LockTarget::Node(id)));
                return Err(conflict);
            }
        }
        Ok(())
    }

    /// How a target is locked.
    pub(crate) fn holds(&self, target: LockTarget) -> Option<LockMode> {
        match target {
            LockTarget::Store => self.store,
            LockTarget::Node(_) => self.locks.table.mode_of(self.id(), target),
        }
    }

    /// Why the owner has to give up, if it has to.
    pub(crate) fn doomed(&self) -> Option<Conflict> {
        self.owner.doomed()
    }

    /// From now on the owner is not given up for others any more: its commit is in the log, or about to be. It must not wait for
    /// locks from here on.
    ///
    /// # Errors
    /// It was doomed before.
    pub(crate) fn seal(&self) -> Result<(), Conflict> {
        self.owner.seal()
    }

    /// Frees all locks.
    pub(crate) fn release_all(&mut self) {
        let (table, id) = (&self.locks.table, self.owner.id);
        if let Some(target) = self.waiting.take() {
            // The wait ended in a panic.
            table.leave(id, target);
            table.release(id, target);
        }
        if self.is_listed {
            // First, so that nobody sees this over what the next one commits.
            self.nodes.iter().for_each(|node| self.locks.pending.set(id, *node, None));
        }
        self.nodes.drain(..).for_each(|node| table.release(id, LockTarget::Node(node)));
        if self.store.take().is_some() {
            table.release(id, LockTarget::Store);
        }
    }

    fn check_doom(&self) -> Result<(), Conflict> {
        self.doomed().map_or(Ok(()), Err)
    }

    fn has(&self, target: LockTarget, mode: LockMode) -> bool {
        target == LockTarget::Store && self.store.is_some_and(|held| held.covers(mode))
    }

    fn lock(&mut self, target: LockTarget, mode: LockMode, wait: &LockWait<'_>) -> Result<(), Conflict> {
        if self.has(target, mode) {
            return Ok(());
        }
        match self.locks.table.request(&self.owner, target, mode) {
            Answer::Blocked => self.wait(target, mode, wait),
            answer => {
                self.note(target, mode, answer);
                Ok(())
            }
        }
    }

    pub(super) fn try_lock(&mut self, target: LockTarget, mode: LockMode) -> Result<(), Conflict> {
        if self.has(target, mode) {
            return Ok(());
        }
        let answer = self.locks.table.request(&self.owner, target, mode);
        if answer == Answer::Blocked {
            return Err(about(ConflictCause::LockTimeout, target));
        }
        self.note(target, mode, answer);
        Ok(())
    }

    /// Keeps in mind what was granted.
    fn note(&mut self, target: LockTarget, mode: LockMode, answer: Answer) {
        match target {
            LockTarget::Store => self.store = Some(self.store.map_or(mode, |held| held.join(mode))),
            LockTarget::Node(id) if answer == Answer::New => self.nodes.push(id),
            LockTarget::Node(_) => {}
        }
    }

    fn wait(&mut self, target: LockTarget, mode: LockMode, wait: &LockWait<'_>) -> Result<(), Conflict> {
        let begin = wait.clock.monotonic();
        let granted = if self.holds(target).is_some() { Answer::Held } else { Answer::New };
        let Some(wounded) = self.begin_wait(target, mode, wait.policy) else {
            self.note(target, mode, granted);
            return Ok(());
        };
        if let Some(hook) = self.locks.on_wound.get() {
            wounded.into_iter().for_each(hook);
        }
        let outcome = self.sit_out(target, wait);
        // Granted at the last moment is granted; of a doomed one, to be freed with the rest.
        let is_granted = !self.locks.table.leave(self.id(), target);
        self.owner.end_wait();
        self.waiting = None;
        if is_granted {
            self.note(target, mode, granted);
        }
        let counters = &self.locks.counters;
        counters.waiting.fetch_sub(1, Ordering::Relaxed);
        counters.waited(wait.clock.monotonic().saturating_sub(begin));
        match outcome {
            Err(conflict) if conflict.cause == ConflictCause::LockTimeout => {
                if is_granted {
                    return Ok(());
                }
                counters.timeouts.fetch_add(1, Ordering::Relaxed);
                Err(conflict)
            }
            outcome => outcome,
        }
    }

    /// Queues a request, and says whom it has wounded; `None` if it was granted.
    fn begin_wait(
        &mut self,
        target: LockTarget,
        mode: LockMode,
        policy: DeadlockPolicy,
    ) -> Option<Vec<TxnId>> {
        let _beginning = self.locks.beginning.lock();
        self.owner.begin_wait(target);
        if self.locks.table.request_or_queue(&self.owner, target, mode) != Answer::Blocked {
            self.owner.end_wait();
            return None;
        }
        self.waiting = Some(target);
        let wounded = match policy {
            DeadlockPolicy::WoundWait => self.locks.wound_younger(&self.owner, target),
            DeadlockPolicy::Detect => Vec::new(),
        };
        self.locks.break_circles(&self.owner);
        self.locks.counters.waits.fetch_add(1, Ordering::Relaxed);
        self.locks.counters.waiting.fetch_add(1, Ordering::Relaxed);
        Some(wounded)
    }

    /// Waits until the lock is there, or must not be waited for any longer.
    fn sit_out(&self, target: LockTarget, wait: &LockWait<'_>) -> Result<(), Conflict> {
        loop {
            match self.owner.progress() {
                Progress::Granted => return Ok(()),
                Progress::Doomed(conflict) => return Err(conflict),
                Progress::Waiting => {}
            }
            let left = wait.deadline.map(|deadline| deadline.saturating_sub(wait.clock.monotonic()));
            if left.is_some_and(|left| left.is_zero()) {
                let blockers = self.locks.table.blockers(self.id(), target);
                let holder = blockers.and_then(|blockers| blockers.owners.first().map(|owner| owner.id));
                return Err(about(ConflictCause::LockTimeout, target).with(holder));
            }
            (wait.meanwhile)();
            self.owner.sleep(left.map_or(POLL, |left| left.min(POLL)));
        }
    }
}

impl Drop for LockSet {
    fn drop(&mut self) {
        self.release_all();
        if self.is_listed {
            self.locks.owners.lock().remove(&self.owner.id);
        }
    }
}

impl fmt::Debug for LockSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockSet")
            .field("owner", &self.owner.id)
            .field("store", &self.store)
            .field("nodes", &self.nodes.len())
            .finish()
    }
}

fn in_order(mut ids: Vec<NodeId>) -> Vec<NodeId> {
    ids.sort_unstable();
    ids.dedup();
    ids
}

//! The observer of a run: at every call that changes the disk it takes crash images, reads, writes
//! beside the write under way, and lets calls fail.
//!
//! Guards against: a moment between two calls at which a crash loses something, a reader sees
//! something that can be taken back, or a concurrent write goes wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use codegraph_vector::{ErrorKind, PendingWrite, PersistentVectorStore};
use codegraph_vector_testkit::{Action, Call, CrashStyle, Fault, Lies, Observer, Op, Rng, SimVfs};
use parking_lot::Mutex;

use super::compare;
use super::faults;
use super::feed::Follower;
use super::generate;
use super::image::{Image, Setup, describe, seqno};
use super::model::{Change, Check, Effect, Model};
use super::run::Summary;

/// A write that the workload has under way.
#[derive(Clone, Debug)]
pub struct Outer {
    pub change: Change,
    /// What it will do, as far as is known: writes that come in before it is numbered go first.
    pub effect: Effect,
    /// The commit that it will be.
    pub at: Option<u64>,
}

/// Everything that a run knows.
pub struct Inner {
    pub rng: Rng,
    pub model: Model,
    pub setup: Setup,
    pub created: bool,
    pub store: Option<PersistentVectorStore>,
    /// Commits are made under `Durability::Sync`.
    pub synced: bool,
    pub outer: Option<Outer>,
    /// Writes queued beside the one under way, in order.
    pub pending: Vec<(PendingWrite, u64)>,
    /// Whether another write may be queued now: not if that would wait for this very thread.
    pub may_submit: bool,
    /// The store has stopped, or what is in it is unknown, until it is opened again.
    pub limbo: bool,
    /// Whether a write was queued during this step.
    pub company: bool,
    pub faults: faults::Plan,
    pub failure: Option<String>,
    pub follower: Follower,
    pub did: Summary,
}

/// The observer; one a run.
pub struct World {
    pub inner: Mutex<Inner>,
    busy: AtomicBool,
}

impl Observer for World {
    fn before(&self, sim: &SimVfs, call: &Call) -> Action {
        if !call.op.mutates() || self.busy.swap(true, Ordering::SeqCst) {
            return Action::Proceed; // Our own calls are not watched.
        }
        let mut inner = self.inner.lock();
        let action = if inner.failure.is_none() { inner.look(sim, call) } else { Action::Proceed };
        self.busy.store(false, Ordering::SeqCst);
        action
    }
}

impl World {
    pub fn new(inner: Inner) -> Arc<Self> {
        Arc::new(Self { inner: Mutex::new(inner), busy: AtomicBool::new(false) })
    }

    /// Runs `act` unobserved.
    pub fn aside<R>(&self, act: impl FnOnce(&mut Inner) -> R) -> R {
        self.busy.store(true, Ordering::SeqCst);
        let result = act(&mut self.inner.lock());
        self.busy.store(false, Ordering::SeqCst);
        result
    }
}

impl Inner {
    fn look(&mut self, sim: &SimVfs, call: &Call) -> Action {
        for part in [call.index, call.op as u64, call.offset, call.len] {
            self.did.trace = (self.did.trace ^ part).wrapping_mul(0x0100_0000_01b3).rotate_left(7);
        }
        self.count(call);
        let outcome = self.fork(sim).and_then(|()| self.meanwhile(sim, call));
        if let Err(error) = outcome {
            let Call { index, op, path, .. } = call;
            let outer = self.outer.as_ref().map(|outer| describe(&outer.change));
            let faults = &self.faults.all;
            self.failure = Some(format!(
                "at call {index}, {op:?} of {}: {error}\n  during {outer:?}, after the faults {faults:?}",
                path.display()
            ));
            return Action::Proceed;
        }
        match self.faults.choose(&mut self.rng, call, self.store.is_none()) {
            Some(fault) => Action::Fail(fault),
            None => Action::Proceed,
        }
    }

    fn count(&mut self, call: &Call) {
        let path = call.path.to_string_lossy();
        if call.op == Op::Rename && self.store.is_some() {
            self.did.rotations += u64::from(path.ends_with(".wal"));
            self.did.segments += u64::from(path.ends_with(".seg"));
            self.did.death_files += u64::from(path.ends_with(".dead"));
        }
    }

    /// What would be left if everything ended here.
    fn fork(&mut self, sim: &SimVfs) -> Check {
        let style = CrashStyle::random(&mut self.rng);
        let crashed = sim.crash(&mut self.rng, style);
        self.check(crashed, true)
            .map_err(|error| format!("{error}\n  after a crash that leaves {style:?}"))?;
        // The next process would take names for durable that are not; see `faults`.
        if self.rng.chance(0.15) && !self.faults.names_lost() {
            self.check(sim.kill(), false).map_err(|error| format!("{error}\n  after a kill"))?;
        }
        Ok(())
    }

    fn check(&mut self, sim: SimVfs, crashed: bool) -> Check {
        self.did.images += 1;
        sim.set_lies(Lies::default()); // What was lost is lost: no need to lose more.
        let mut rng = self.rng.split();
        let (setup, model, created) = (&self.setup, &self.model, self.created);
        let readers_lag = self.faults.note_lost();
        Image { setup, model, sim, crashed, created, readers_lag }.check(&mut rng)
    }

    /// What others do while the call is about to happen.
    fn meanwhile(&mut self, sim: &SimVfs, call: &Call) -> Check {
        let store = self.store.clone();
        let likely = if call.op.is_sync() { 0.3 } else { 0.04 };
        if let Some(store) = &store
            && self.rng.chance(likely)
        {
            self.read(store).map_err(|error| format!("{error}\n  read meanwhile"))?;
        }
        if self.created && self.rng.chance(0.04) {
            self.read_elsewhere(sim, None)?;
        }
        let path = call.path.to_string_lossy();
        // A fault might fail what is queued before the write under way, which would then move up.
        let behind = self.outer.as_ref().is_some_and(|outer| outer.at == Some(self.model.durable + 1));
        let group = call.op == Op::SyncData && path.ends_with(".wal") && (behind || !self.faults.any());
        let segment = call.op == Op::SyncAll && path.ends_with(".seg.tmp");
        if let Some(store) = store
            && self.may_submit
            && (group || segment && !self.faults.any())
            && self.rng.chance(0.5)
        {
            self.may_submit = false;
            for _ in 0..self.rng.between(1, 3) {
                self.submit(&store).map_err(|error| format!("{error}\n  of a write meanwhile"))?;
            }
        }
        Ok(())
    }

    /// Reads in the writing process.
    pub fn read(&mut self, store: &PersistentVectorStore) -> Check {
        let snapshot = store.snapshot().map_err(|error| format!("snapshot: {error}"))?;
        let at = snapshot.seqno().0;
        self.model.seen(at)?;
        let state = self.model.state(at)?;
        self.model.prepared.check(store, at)?;
        compare::rows(&snapshot, state)?;
        self.follow_on()?;
        let state = self.model.state(at)?;
        compare::reads(&snapshot, state, &mut self.rng)
    }

    /// Reads as another process: from `reader` if it is open already.
    pub fn read_elsewhere(&mut self, sim: &SimVfs, reader: Option<&PersistentVectorStore>) -> Check {
        let opened = match reader {
            Some(reader) => reader.refresh().map(|()| reader.clone()),
            None => self.setup.open_read_only(sim),
        };
        let reader = opened.map_err(|error| format!("read-only open: {error:?}"))?;
        let at = seqno(&reader)?;
        // A note that could not be written lets readers elsewhere lag.
        if at < self.model.acknowledged && !self.faults.note_lost() {
            let promised = self.model.acknowledged;
            return Err(format!("lost: a reader elsewhere sees commit {at}, but {promised} had been shown"));
        }
        compare::whole(&reader, self.model.state(at)?, &mut self.rng)
            .map_err(|error| format!("{error}\n  read elsewhere at commit {at}"))?;
        if !self.faults.note_lost() {
            self.model.property.check(&reader)?;
            self.model.prepared.check(&reader, at)?;
        }
        self.model.durable = self.model.durable.max(at);
        self.model.acknowledge(at, true);
        Ok(())
    }

    /// Queues a write beside the one under way.
    fn submit(&mut self, store: &PersistentVectorStore) -> Check {
        let visible = self.model.state(seqno(store)?)?.clone();
        let dimension = self.setup.dimension;
        let change = match (&self.outer, self.rng.chance(0.4)) {
            (Some(Outer { change: Change::Put(nodes), .. }), true) => {
                let id = self.rng.pick(nodes).id;
                Change::Update { id, vector: generate::vector(&mut self.rng, dimension) }
            }
            (Some(Outer { change: Change::Update { id, .. }, .. }), true) => {
                let node = generate::node(&mut self.rng, *id, dimension);
                Change::Put(vec![node])
            }
            _ => generate::change(&mut self.rng, &visible, dimension),
        };
        // A write that changes nothing asks the log where it ends, and so would wait for the sync
        // that this very thread is about to make.
        let waits = matches!(change.apply(&visible, 0, true)?, Effect::Nothing);
        if waits {
            return Ok(());
        }
        let held_up = self.model.prepared.hold_up(&change, &visible);
        match store.submit(&change.write()) {
            Ok(_) if held_up => Err(format!("in doubt: {} was not held up", describe(&change))),
            Ok(pending) => self.place(change, pending),
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound && matches!(change, Change::Update { .. }) => {
                Ok(())
            }
            Err(_) if self.faults.happened() => Ok(()),
            Err(error) => Err(format!("submit: {error:?}")),
        }
    }

    /// Finds the place of a queued write in the order of commits: behind the write under way if that
    /// was numbered, else before it.
    fn place(&mut self, change: Change, pending: PendingWrite) -> Check {
        let at = pending.seqno().0;
        let outer_waits = match &self.outer {
            Some(outer) => outer.at.is_none_or(|outer| outer == at),
            None => false,
        };
        if outer_waits && self.outer.as_ref().is_some_and(|outer| outer.at.is_some()) {
            self.model.truncate(at - 1);
        }
        if at != self.model.end() + 1 {
            return Err(format!("submit: it is commit {at}, but {} was the last", self.model.end()));
        }
        let Effect::Commit(state, _) = change.apply(self.model.last(), at, self.synced)? else {
            return Err(format!("submit: {} is commit {at}, but changes nothing", describe(&change)));
        };
        self.model.push(state);
        self.pending.push((pending, at));
        self.did.submitted += 1;
        self.company = true;
        if outer_waits && let Some(outer) = self.outer.take() {
            self.begin(outer.change)?;
        }
        Ok(())
    }

    /// The workload starts a write: from now on it may be on the disk.
    pub fn begin(&mut self, change: Change) -> Check {
        let at = self.model.end() + 1;
        let effect = change.apply(self.model.last(), at, self.synced)?;
        let commit = match &effect {
            Effect::Commit(state, _) => Some(state.clone()),
            _ => None,
        };
        self.outer = Some(Outer { change, effect, at: commit.is_some().then_some(at) });
        commit.into_iter().for_each(|state| self.model.push(state));
        Ok(())
    }
}

/// Whether a fault is one of a full disk.
pub fn is_full(fault: Fault) -> bool {
    matches!(fault, Fault::Enospc | Fault::EnospcAfter(_))
}

//! What a crash or a kill left, recovered and examined.
//!
//! Guards against: acknowledged or observed commits that a recovery loses, commits that never were,
//! partial batches, recoveries that differ from each other, recoveries that a crash spoils, a tail
//! that is served before it is durable, a recovered store that cannot be written.

use std::sync::Arc;

use codegraph_vector::{
    Durability, Environment, ErrorKind, Metric, OpenOptions, PersistentVectorStore, Settings, TestSwitches,
    TxnId,
};
use codegraph_vector_testkit::{Action, Call, CrashStyle, Observer, Rng, SeededRandom, SimClock, SimVfs};
use parking_lot::Mutex;

use super::compare;
use super::generate;
use super::model::{Change, Check, Effect, Model, Range, State};

/// Where every simulated store lies.
pub const FOLDER: &str = "/data/store";

/// What all openings of one run have in common.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    pub dimension: usize,
    pub metric: Metric,
    pub switches: TestSwitches,
}

impl Setup {
    /// Opens the store on a disk.
    pub fn open(
        &self,
        sim: &SimVfs,
        rng: &mut Rng,
        settings: Option<Settings>,
        clock: &SimClock,
    ) -> codegraph_vector::Result<PersistentVectorStore> {
        let environment = Environment {
            vfs: Arc::new(sim.clone()),
            clock: Arc::new(clock.clone()),
            random: Arc::new(SeededRandom::new(rng.next_u64())),
        };
        let options = OpenOptions {
            dimension: Some(self.dimension),
            metric: Some(self.metric),
            settings,
            environment,
            switches: self.switches,
            ..OpenOptions::default()
        };
        PersistentVectorStore::open(FOLDER, options)
    }

    /// Opens it as another process would that only reads.
    pub fn open_read_only(&self, sim: &SimVfs) -> codegraph_vector::Result<PersistentVectorStore> {
        let environment = Environment { vfs: Arc::new(sim.clone()), ..Environment::default() };
        let options =
            OpenOptions { read_only: true, environment, switches: self.switches, ..OpenOptions::default() };
        PersistentVectorStore::open(FOLDER, options)
    }
}

/// The commit that a store shows.
pub fn seqno(store: &PersistentVectorStore) -> Check<u64> {
    Ok(store.snapshot().map_err(|error| format!("snapshot: {error}"))?.seqno().0)
}

/// Drops a store as the end of its process does: nothing of it reaches the disk any more.
pub fn abandon(store: PersistentVectorStore, sim: &SimVfs) {
    sim.clear_observer();
    sim.set_read_only(true);
    drop(store);
}

/// A disk to be recovered.
#[derive(Debug)]
pub struct Image<'a> {
    pub setup: &'a Setup,
    pub model: &'a Model,
    pub sim: SimVfs,
    /// By a power cut, so that all that is there is durable.
    pub crashed: bool,
    /// Whether the store's creation had been acknowledged.
    pub created: bool,
    /// Whether the writer could not tell readers elsewhere how far they may read.
    pub readers_lag: bool,
}

/// Takes one crash image at a random one of the calls that it sees.
struct Sampler {
    sample: Mutex<Sample>,
}

struct Sample {
    rng: Rng,
    calls: usize,
    /// The disk, and what it was a crash at.
    image: Option<(SimVfs, String)>,
}

impl Sampler {
    fn new(rng: Rng) -> Self {
        Self { sample: Mutex::new(Sample { rng, calls: 0, image: None }) }
    }
}

impl Observer for Sampler {
    fn before(&self, sim: &SimVfs, call: &Call) -> Action {
        if call.op.mutates() {
            let Sample { rng, calls, image } = &mut *self.sample.lock();
            *calls += 1;
            if rng.below(*calls) == 0 {
                let style = CrashStyle::random(rng);
                let place = format!("recovery's {:?} of {}, {style:?}", call.op, call.path.display());
                *image = Some((sim.crash(rng, style), place));
            }
        }
        Action::Proceed
    }
}

impl Image<'_> {
    /// Recovers the store, examines it, and recovers it again in other ways.
    pub fn check(&self, rng: &mut Rng) -> Check {
        let mut range = if self.crashed { self.model.after_crash() } else { self.model.after_kill() };
        let durable = self.read_elsewhere(&mut range, rng)?;
        let sampler = rng.chance(0.4).then(|| Arc::new(Sampler::new(rng.split())));
        if let Some(sampler) = &sampler {
            self.sim.set_observer(sampler.clone());
        }
        let (store, at) = self.recover(&self.sim, range, rng)?;
        self.sim.clear_observer();
        if rng.chance(0.3) {
            compare::verify(&store)?;
        }
        if let Some((image, place)) = sampler.and_then(|sampler| sampler.sample.lock().image.take()) {
            // What a power cut left is durable, so that another one cannot take it.
            let floor = if self.crashed { at } else { durable };
            self.recover_and_leave(&image, Range { floor, end: at }, rng)
                .map_err(|error| format!("{error}\n  after a crash at {place}"))?;
        }
        self.again(store, at, rng).map_err(|error| format!("{error}\n  in the second recovery"))
    }

    /// Sometimes another process reads first: what it sees must stay. Returns the commit that a
    /// crash must not take.
    fn read_elsewhere(&self, range: &mut Range, rng: &mut Rng) -> Check<u64> {
        if !self.created || !rng.chance(0.15) {
            return Ok(self.model.durable);
        }
        let reader =
            self.setup.open_read_only(&self.sim).map_err(|error| format!("read-only open: {error:?}"))?;
        let at = seqno(&reader)?;
        let floor = match (self.crashed, self.readers_lag) {
            (true, _) => range.floor,
            (false, false) => self.model.acknowledged,
            (false, true) => 0,
        };
        Range { floor, ..*range }.check(at).map_err(|error| format!("{error}, to a reader elsewhere"))?;
        compare::whole(&reader, self.model.state(at)?, rng)?;
        self.model.property.check(&reader)?;
        if !self.readers_lag {
            self.model.prepared.check(&reader, at)?;
        }
        range.floor = range.floor.max(at);
        Ok(self.model.durable.max(at))
    }

    fn recover(&self, sim: &SimVfs, range: Range, rng: &mut Rng) -> Check<(PersistentVectorStore, u64)> {
        let settings = rng.chance(0.2).then(|| generate::settings(rng));
        let opened = self.setup.open(sim, rng, settings, &SimClock::default());
        let store = opened.map_err(|error| format!("open: {error:?}"))?;
        let at = seqno(&store)?;
        range.check(at)?;
        self.model.property.check(&store)?;
        compare::whole(&store, self.model.state(at)?, rng)?;
        self.model.prepared.check(&store, at)?;
        report(&store, at)?;
        Ok((store, at))
    }

    fn recover_and_leave(&self, sim: &SimVfs, range: Range, rng: &mut Rng) -> Check {
        let (store, _) = self.recover(sim, range, rng)?;
        compare::verify(&store)?;
        abandon(store, sim);
        Ok(())
    }

    /// Ends the recovered store, and recovers it once more: it must hold the same.
    fn again(&self, store: PersistentVectorStore, at: u64, rng: &mut Rng) -> Check {
        let mut model = self.model.clone();
        model.recovered(at);
        let said = model.property.check(&store)?;
        model.property.recovered(said);
        model.prepared.recovered(&store)?;
        if rng.chance(0.3) {
            decide_one(&store, &mut model, rng)?;
        }
        if rng.chance(0.3) {
            write_one(&store, &mut model, self.setup.dimension, rng)?;
        }
        let close = rng.chance(0.3);
        if close {
            store.close().map_err(|error| format!("close: {error:?}"))?;
            model.acknowledge(model.end(), true);
        }
        let crash = rng.chance(0.7);
        let style = if rng.chance(0.5) { CrashStyle::LoseUnsynced } else { CrashStyle::random(rng) };
        let next = if crash { self.sim.crash(rng, style) } else { self.sim.kill() };
        abandon(store, &self.sim);
        let range = if crash { model.after_crash() } else { model.after_kill() };
        let image = Image { model: &model, sim: next, crashed: crash, ..*self };
        let (store, _) = image.recover(&image.sim, range, rng)?;
        let report = store.recovery_report();
        if close && report.cut.is_some() {
            return Err(format!("report: a log that was closed cleanly was cut: {report:?}"));
        }
        if rng.chance(0.3) {
            compare::verify(&store)?;
        }
        abandon(store, &image.sim);
        Ok(())
    }
}

/// Decides one that is in doubt in a store that was just recovered.
fn decide_one(store: &PersistentVectorStore, model: &mut Model, rng: &mut Rng) -> Check {
    let Some((id, script)) = model.prepared.any(rng) else { return Ok(()) };
    let synced = store.settings().durability == Durability::Sync;
    let failed = |error| format!("decision of {id} in a recovered store: {error:?}");
    if rng.chance(0.5) {
        store.rollback_prepared(TxnId(id)).map_err(failed)?;
        model.prepared.decide(id, None);
    } else {
        let at = model.end() + 1;
        let receipt = store.commit_prepared(TxnId(id)).map_err(failed)?;
        let Effect::Commit(state, _) = script.change().apply(model.last(), at, synced)? else {
            return Err(format!("{script:?} commits nothing"));
        };
        if (receipt.seqno.0, receipt.durable) != (at, true) {
            return Err(format!("decision: {receipt:?} instead of commit {at}"));
        }
        model.push(state);
        model.prepared.decide(id, Some(at));
    }
    model.acknowledge(model.end(), true);
    model.prepared.check(store, model.end())?;
    compare::whole(store, model.last(), rng)
}

/// Writes into a store that was just recovered.
fn write_one(store: &PersistentVectorStore, model: &mut Model, dimension: usize, rng: &mut Rng) -> Check {
    let change = generate::change(rng, model.last(), dimension);
    let synced = store.settings().durability == Durability::Sync;
    if model.prepared.hold_up(&change, model.last()) {
        return match store.submit(&change.write()) {
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(()),
            outcome => Err(format!("in doubt: {:?} for {change:?} in a recovered store", outcome.err())),
        };
    }
    let effect = change.apply(model.last(), model.end() + 1, synced)?;
    match (store.write(&change.write()), effect) {
        (Ok(outcome), Effect::Commit(state, _)) => {
            model.push(state);
            model.acknowledge(outcome.receipt.seqno.0, outcome.receipt.durable);
        }
        (Ok(_), Effect::Nothing) => {}
        (Err(error), Effect::NotFound) if error.kind() == ErrorKind::NotFound => {}
        (outcome, _) => return Err(format!("{change:?} in a recovered store gives {outcome:?}")),
    }
    let at = seqno(store)?;
    let state: &State = model.state(at)?;
    if at != model.end() {
        Err(format!("content: visible is {at}"))
    } else {
        compare::whole(store, state, rng)
    }
}

/// Whether the recovery report fits what was recovered.
fn report(store: &PersistentVectorStore, at: u64) -> Check {
    let report = store.recovery_report();
    let checkpoint = store.storage_header().checkpoint_seqno.0;
    let cut = report.cut.as_ref().is_none_or(|cut| cut.bytes > 0 && cut.offset >= 4096);
    if report.fallbacks.is_empty() && report.replayed_commits == at - checkpoint && cut {
        return Ok(());
    }
    Err(format!("report: {report:?} does not fit commit {at} behind checkpoint {checkpoint}"))
}

/// The write that a change is in flight as, for messages.
pub fn describe(change: &Change) -> String {
    let mut text = format!("{change:?}");
    text.truncate(text.char_indices().nth(300).map_or(text.len(), |(at, _)| at));
    text
}

//! One run: a workload on a simulated disk, all of it a function of a seed.
//!
//! Guards against: whatever only shows when a store lives on after recoveries, failures and changes of its
//! settings.

use std::path::Path;
use std::sync::Arc;

use codegraph_vector::vfs::Vfs;
use codegraph_vector::{
    CompressRequest, Compression, Durability, ErrorKind, PersistentVectorStore, Settings, Target,
    TestSwitches,
};
use codegraph_vector_testkit::{CrashStyle, Lies, Rng, SimClock, SimVfs};

use super::compare;
use super::faults;
use super::feed::Follower;
use super::generate::{self, Step};
use super::image::{Setup, abandon, seqno};
use super::model::{Change, Check, Model, Range};
use super::property;
use super::world::{Inner, World};

/// Parts of the safety that are switched off.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sabotage {
    pub lies: Lies,
    pub switches: TestSwitches,
}

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// A digest of all calls.
    pub trace: u64,
    /// Disks that were recovered.
    pub images: u64,
    /// Commits of the workload that stayed.
    pub commits: u64,
    /// Writes beside others.
    pub submitted: u64,
    /// Faults.
    pub faults: u64,
    /// Log files, segments and death files that appeared while a store was open.
    pub rotations: u64,
    pub segments: u64,
    pub death_files: u64,
    /// Openings of the store by the workload.
    pub opened: u64,
    /// Changes of the property.
    pub properties: u64,
    /// Rows that had codes when a compression had ended.
    pub encoded: u64,
    /// Transactions prepared, decided, and writes that were refused for the sake of one in doubt.
    pub prepared: u64,
    pub decided: u64,
    pub held_up: u64,
    /// Changes that were followed.
    pub followed: u64,
}

pub struct Run {
    pub world: Arc<World>,
    sim: SimVfs,
    clock: SimClock,
    setup: Setup,
    store: Option<PersistentVectorStore>,
    /// A reader in another process.
    reader: Option<PersistentVectorStore>,
    verbose: bool,
}

/// Runs `seed`; the error is for whoever replays it.
pub fn run(seed: u64, sabotage: Sabotage, verbose: bool) -> Check<Summary> {
    let mut rng = Rng::new(seed);
    let mut switches = sabotage.switches;
    switches.batch_part_bytes = Some(*rng.pick(&[200, 1000, 1 << 20]));
    switches.min_training_rows = Some(rng.between(1, 6) as u64);
    switches.min_index_rows = Some(rng.between(1, 6) as u64);
    let setup = Setup { dimension: rng.between(2, 5), metric: generate::metric(&mut rng), switches };
    let sim = SimVfs::new(rng.next_u64());
    let steps = rng.between(10, 26);
    let faults = faults::Plan::new(&mut rng);
    let settings = generate::settings(&mut rng);
    let inner = Inner {
        rng,
        model: Model::default(),
        setup,
        created: false,
        store: None,
        synced: settings.durability == Durability::Sync,
        outer: None,
        pending: Vec::new(),
        may_submit: false,
        limbo: false,
        company: false,
        faults,
        failure: None,
        follower: Follower::default(),
        did: Summary::default(),
    };
    let world = World::new(inner);
    let mut run = Run { world, sim, clock: SimClock::default(), setup, store: None, reader: None, verbose };
    let outcome = run.live(steps, settings, sabotage.lies);
    run.leave();
    outcome?;
    let inner = run.world.inner.lock();
    Ok(Summary { commits: inner.model.end(), faults: inner.faults.all.len() as u64, ..inner.did })
}

impl Run {
    fn live(&mut self, steps: usize, settings: Settings, lies: Lies) -> Check {
        // The folder that a store is made in is there, durably.
        self.sim.create_dir_all(Path::new("/data")).map_err(|error| error.to_string())?;
        self.sim.sync_dir(Path::new("/")).map_err(|error| error.to_string())?;
        self.open(Some(settings), Range { floor: 0, end: 0 })?;
        self.sim.set_lies(lies);
        for number in 0..steps {
            let dimension = self.setup.dimension;
            let step = self.world.aside(|inner| {
                let state = inner.model.last().clone();
                generate::step(&mut inner.rng, &state, dimension)
            });
            if self.verbose {
                println!("step {number}: {step:?}");
            }
            self.step(&step).and_then(|()| self.rest()).map_err(|error| {
                let mut shown = format!("{step:?}");
                shown.truncate(shown.char_indices().nth(400).map_or(shown.len(), |(at, _)| at));
                format!("{error}\n  in step {number}: {shown}")
            })?;
        }
        self.step(&Step::Reopen)
    }

    fn store(&self) -> Check<PersistentVectorStore> {
        self.store.clone().ok_or_else(|| "the run has lost its store".to_owned())
    }

    fn step(&mut self, step: &Step) -> Check {
        self.world.aside(|inner| {
            inner.faults.now.clear();
            inner.company = false;
        });
        let store = self.store()?;
        match step {
            Step::Write(change) => self.write(&store, change)?,
            Step::Prepare(script) => self.prepare(&store, script)?,
            Step::Decide { commit, again } => self.decide(&store, *commit, *again)?,
            Step::Flush => {
                let before = self.visible()?;
                let outcome = self.with_company(true, || store.flush());
                self.maintained(outcome, Some(before))?;
            }
            Step::Merge | Step::MergeSome(_) => {
                let stats = store.stats().map_err(|error| format!("stats: {error}"))?;
                let room = stats.memtable_bytes < store.settings().memtable_bytes;
                let outcome = self.with_company(room, || match step {
                    Step::MergeSome(max) => store.merge_segments(*max).map(|_| ()),
                    _ => store.merge().map(|_| ()),
                });
                self.maintained(outcome, None)?;
            }
            Step::Configure(settings) => {
                let outcome = store.configure(|now| {
                    let Settings { compression, compression_lossy, .. } = now.clone();
                    *now = Settings { compression, compression_lossy, ..(**settings).clone() };
                });
                let synced = store.settings().durability == Durability::Sync;
                self.world.aside(|inner| inner.synced = synced);
                self.maintained(outcome, None)?;
            }
            Step::Enable(compression) => self.compress(&store, compression.as_ref(), || {
                compression
                    .clone()
                    .map_or_else(|| store.disable_compression(), |wanted| store.enable_compression(wanted))
            })?,
            Step::Compress(compression) => self.compress(&store, compression.as_ref(), || {
                let target = compression.clone().map_or(Target::None, |wanted| Target::Codec(wanted.spec));
                store.compress(&CompressRequest::new(target), &|_| {}).map(|_| ())
            })?,
            Step::SetProperty(value) => {
                self.world.aside(|inner| inner.model.property.begin(value.clone()));
                let outcome = property::set(&store, value.as_deref());
                self.world.aside(|inner| {
                    inner.model.property.end(&outcome);
                    inner.did.properties += u64::from(outcome.is_ok());
                });
                self.maintained(outcome, None)?;
            }
            Step::Read => self.world.aside(|inner| inner.read(&store))?,
            Step::ReadElsewhere => self.read_elsewhere()?,
            Step::Verify => self.world.aside(|_| compare::verify(&store))?,
            Step::Reopen => {
                let end = self.visible()?;
                let outcome = store.close();
                self.maintained(outcome, Some(end))?;
                drop(store);
                if self.world.aside(|inner| inner.faults.names_lost()) {
                    self.crash()
                } else {
                    self.next_process(None)
                }?;
            }
            Step::Kill if !self.world.aside(|inner| inner.faults.names_lost()) => {
                let next = self.sim.kill();
                drop(store);
                self.next_process(Some(next))?;
            }
            Step::Kill | Step::Crash => {
                drop(store);
                self.crash()?;
            }
        }
        self.heard()
    }

    /// Carries out a call that asks for this compression.
    fn compress(
        &mut self,
        store: &PersistentVectorStore,
        compression: Option<&Compression>,
        call: impl FnOnce() -> codegraph_vector::Result<()>,
    ) -> Check {
        self.world.aside(|inner| inner.model.property.begin_compression(compression.cloned()));
        let outcome = self.with_company(true, call);
        self.heard()?;
        self.world.aside(|inner| {
            inner.model.property.end_compression(&outcome, store)?;
            let stats = store.stats().map_err(|error| format!("stats: {error}"))?;
            inner.did.encoded += stats.compression.map_or(0, |compression| compression.encoded_rows);
            Check::Ok(())
        })?;
        self.maintained(outcome, None)
    }

    /// After a step: the store is what the model says, and one that failed has stopped.
    fn rest(&mut self) -> Check {
        let store = self.store()?;
        let (limbo, end) = self.world.aside(|inner| (inner.limbo, inner.model.end()));
        if !limbo {
            self.world.aside(|inner| inner.follow(&store))?;
            self.world.aside(|inner| inner.model.property.check(&store))?;
            self.world.aside(|inner| inner.model.prepared.check(&store, end))?;
            let visible = seqno(&store)?;
            return if visible == end {
                Ok(())
            } else {
                Err(format!("content: visible is {visible}, not {end}"))
            };
        }
        self.world
            .aside(|inner| inner.read(&store).map_err(|error| format!("{error}\n  in a failed store")))?;
        self.world.aside(|inner| inner.faults.paused = true);
        let id = self.world.aside(|inner| inner.model.prepared.free_id());
        let node = codegraph_vector::CodeNode::new(id, vec![1.0; self.setup.dimension]);
        let change = Change::Put(vec![node]);
        match store.write(&change.write()) {
            Err(error) if error.kind() == ErrorKind::ReadOnly => {}
            outcome => return Err(format!("kind: {outcome:?} in a store whose log has failed")),
        }
        self.heard()?;
        drop(store);
        match self.world.aside(|inner| if inner.faults.names_lost() { 2 } else { inner.rng.below(3) }) {
            0 => self.next_process(None),
            1 => self.next_process(Some(self.sim.kill())),
            _ => self.crash(),
        }?;
        self.heard()
    }

    /// What the observer found.
    pub fn heard(&self) -> Check {
        self.world.aside(|inner| inner.failure.take()).map_or(Ok(()), Err)
    }

    fn visible(&self) -> Check<u64> {
        seqno(&self.store()?)
    }

    fn write(&mut self, store: &PersistentVectorStore, change: &Change) -> Check {
        if self.world.aside(|inner| inner.model.prepared.hold_up(change, inner.model.last())) {
            return self.held_up(store, change);
        }
        self.world.aside(|inner| inner.begin(change.clone()))?;
        let result = self.with_company(true, || store.write(&change.write()));
        self.heard()?;
        let outer = self.world.aside(|inner| inner.outer.take());
        let outer = outer.ok_or_else(|| "the run has lost its write".to_owned())?;
        self.world.aside(|inner| inner.settle(outer, result))?;
        self.wait_for_company()
    }

    /// Carries out `act`, beside which other writes may be queued.
    fn with_company<R>(&self, may_submit: bool, act: impl FnOnce() -> R) -> R {
        self.world.aside(|inner| inner.may_submit = may_submit);
        let result = act();
        self.world.aside(|inner| inner.may_submit = false);
        result
    }

    fn wait_for_company(&self) -> Check {
        for (pending, at) in self.world.aside(|inner| std::mem::take(&mut inner.pending)) {
            let result = pending.wait();
            self.heard()?;
            self.world.aside(|inner| inner.settle_pending(at, result))?;
        }
        Ok(())
    }

    /// Work that changes no content has ended; if it was to make commits durable, up to `durable`.
    fn maintained(&mut self, outcome: codegraph_vector::Result<()>, durable: Option<u64>) -> Check {
        self.heard()?;
        self.world.aside(|inner| match outcome {
            Ok(()) => {
                durable.into_iter().for_each(|durable| inner.model.acknowledge(durable, true));
                Ok(())
            }
            Err(error) if inner.faults.happened() => {
                inner.limbo |= matches!(error.kind(), ErrorKind::OutcomeUnknown | ErrorKind::ReadOnly);
                Ok(())
            }
            Err(error) => Err(format!("maintenance: {error:?}")),
        })?;
        self.wait_for_company()
    }

    fn read_elsewhere(&mut self) -> Check {
        if self.reader.is_none() || self.world.aside(|inner| inner.rng.chance(0.3)) {
            let opened = self.setup.open_read_only(&self.sim);
            self.reader = Some(opened.map_err(|error| format!("read-only open: {error:?}"))?);
        }
        let (sim, reader) = (&self.sim, self.reader.as_ref());
        self.world.aside(|inner| inner.read_elsewhere(sim, reader))
    }

    /// The power goes off.
    fn crash(&mut self) -> Check {
        let sim = &self.sim;
        let next = self.world.aside(|inner| {
            inner.model.written = inner.model.durable;
            inner.faults.restarted();
            let style = CrashStyle::random(&mut inner.rng);
            sim.crash(&mut inner.rng, style)
        });
        self.next_process(Some(next))
    }

    /// Another process opens the store: on the disk as the last one left it, or on another one.
    fn next_process(&mut self, next: Option<SimVfs>) -> Check {
        match next {
            Some(next) => {
                self.leave();
                self.sim = next;
            }
            None => {
                self.store = None;
                self.world.aside(|inner| {
                    inner.store = None;
                    inner.follower.leave();
                });
            }
        }
        let range = self.world.aside(|inner| {
            inner.limbo = false;
            inner.faults.paused = false;
            inner.faults.now.clear();
            inner.model.after_kill()
        });
        let settings = self.world.aside(|inner| {
            let change = inner.rng.chance(0.2);
            change.then(|| generate::settings(&mut inner.rng))
        });
        self.open(settings, range)
    }

    /// Leaves everything of this process behind.
    fn leave(&mut self) {
        self.reader = None;
        self.world.aside(|inner| {
            inner.store = None;
            inner.follower.leave();
            inner.pending.clear();
        });
        match self.store.take() {
            Some(store) => abandon(store, &self.sim),
            None => self.sim.clear_observer(),
        }
    }

    fn open(&mut self, settings: Option<Settings>, range: Range) -> Check {
        self.sim.set_observer(self.world.clone());
        let opened = loop {
            let mut rng = self.world.aside(|inner| inner.rng.split());
            let opened = self.setup.open(&self.sim, &mut rng, settings.clone(), &self.clock);
            self.heard()?;
            let excused = self.world.aside(|inner| inner.faults.happened() && !inner.faults.paused);
            match opened {
                Err(_) if excused => self.world.aside(|inner| inner.faults.paused = true),
                opened => break opened,
            }
        };
        let store = opened.map_err(|error| format!("open: {error:?}"))?;
        self.store = Some(store.clone());
        self.world.aside(|inner| {
            let at = seqno(&store)?;
            range.check(at)?;
            inner.model.prepared.check(&store, at)?;
            inner.model.recovered(at);
            inner.model.prepared.recovered(&store)?;
            let said = inner.model.property.check(&store)?;
            inner.model.property.recovered(said);
            inner.created = true;
            inner.did.opened += 1;
            inner.synced = store.settings().durability == Durability::Sync;
            inner.faults.paused = false;
            inner.faults.opened();
            inner.store = Some(store.clone());
            let state = inner.model.last().clone();
            compare::whole(&store, &state, &mut inner.rng)
        })
    }
}

//! Stores that keep less than was given: what a vector was before a crash it is after it.
//!
//! Guards against: a vector that is neither as given nor what a finished encoding makes of it, codes that a crash makes
//! encoded anew, metadata that gets lost on the way, a switch that does not go on after a crash.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use codegraph_vector::vfs::Vfs;
use codegraph_vector::{
    CodeNode, CompressRequest, Durability, Keep, Metric, NodeId, PersistentVectorStore, Settings, Target,
    TestSwitches,
};
use codegraph_vector_testkit::{Action, Call, CrashStyle, Rng, SimClock, SimVfs};
use parking_lot::Mutex;

use super::generate;
use super::image::{Setup, abandon};
use super::model::Check;

const SEEDS: u64 = 60;

type Contents = BTreeMap<NodeId, CodeNode>;

fn contents(store: &PersistentVectorStore) -> Check<Contents> {
    let said = |error| format!("read: {error}");
    let snapshot = store.snapshot().map_err(said)?;
    snapshot.iter().map_err(said)?.map(|node| node.map(|node| (node.id, node)).map_err(said)).collect()
}

/// Vectors of which each is one of two.
struct Vectors {
    before: Contents,
    after: Contents,
}

impl Vectors {
    fn check(&self, found: &Contents) -> Check {
        if !found.keys().eq(self.before.keys()) {
            return Err(format!("content: nodes {:?}, not {:?}", found.keys(), self.before.keys()));
        }
        for (id, node) in found {
            let (before, after) = (&self.before[id], &self.after[id]);
            let metadata = CodeNode { embedding: before.embedding.clone(), ..node.clone() };
            if metadata != *before || (node != before && node != after) {
                return Err(format!("content: {node:?} is neither {before:?} nor {after:?}"));
            }
        }
        Ok(())
    }
}

struct Lossy {
    setup: Setup,
    rng: Rng,
    images: usize,
}

impl Lossy {
    fn open(&mut self, sim: &SimVfs) -> Check<PersistentVectorStore> {
        let (durability, index) = (Durability::Sync, generate::index(&mut self.rng));
        let settings = Settings { durability, index, background: false, ..Settings::default() };
        let opened = self.setup.open(sim, &mut self.rng, Some(settings), &SimClock::default());
        opened.map_err(|error| format!("open: {error}"))
    }

    fn compress(&self, store: &PersistentVectorStore, request: &CompressRequest) -> Check {
        store.compress(request, &|_| {}).map(|_| ()).map_err(|error| format!("compress: {error}"))
    }

    /// Compresses the store on a disk with a crash at every call; each crash leaves what there was and what there is to
    /// be, and from each the same comes about. Returns the disk on which it is done.
    fn crash_everywhere(&mut self, sim: &SimVfs, request: &CompressRequest) -> Check<SimVfs> {
        let store = self.open(sim)?;
        let before = contents(&store)?;
        let images = Arc::new(Mutex::new((Vec::new(), self.rng.split())));
        let keep = images.clone();
        sim.set_observer(Arc::new(move |sim: &SimVfs, call: &Call| {
            if call.op.mutates() {
                let (images, rng) = &mut *keep.lock();
                let style = CrashStyle::random(rng);
                images.push((sim.crash(rng, style), format!("{:?} of {}", call.op, call.path.display())));
            }
            Action::Proceed
        }));
        let outcome = self.compress(&store, request);
        sim.clear_observer();
        outcome?;
        let after = contents(&store)?;
        let done = sim.kill();
        abandon(store, sim);
        let vectors = Vectors { before, after };
        for (image, place) in std::mem::take(&mut images.lock().0) {
            self.images += 1;
            self.recover(&image, request, &vectors)
                .map_err(|error| format!("{error}\n  after a crash at {place}"))?;
        }
        Ok(done)
    }

    fn recover(&mut self, image: &SimVfs, request: &CompressRequest, vectors: &Vectors) -> Check {
        let store = self.open(image)?;
        let found = contents(&store)?;
        vectors.check(&found)?;
        if found != vectors.before {
            // The codec is known by the segments that have it. Else it would be trained on rows in another order.
            store.merge().map_err(|error| format!("merge: {error}"))?;
            vectors.check(&contents(&store)?)?;
        }
        self.compress(&store, request)?;
        vectors.check(&contents(&store)?)?;
        let report = store.verify().map_err(|error| format!("verify: {error}"))?;
        if !report.is_clean() {
            return Err(format!("verify: {:?}", report.bad_blocks));
        }
        let settled = contents(&store)?;
        let crashed = image.crash(&mut self.rng, CrashStyle::LoseUnsynced);
        abandon(store, image);
        let store = self.open(&crashed)?;
        let found = contents(&store)?;
        if found != settled {
            return Err(format!("content: {found:?} after a crash, and {settled:?} before"));
        }
        abandon(store, &crashed);
        Ok(())
    }
}

fn run(seed: u64) -> Check<usize> {
    let mut rng = Rng::new(seed);
    let (min_training_rows, min_index_rows) = (Some(2), Some(2));
    let switches = TestSwitches { min_training_rows, min_index_rows, ..TestSwitches::default() };
    let setup = Setup { dimension: rng.between(2, 6), metric: *rng.pick(&Metric::ALL), switches };
    let sim = SimVfs::new(rng.next_u64());
    sim.create_dir_all(Path::new("/data")).map_err(|error| error.to_string())?;
    sim.sync_dir(Path::new("/")).map_err(|error| error.to_string())?;
    let mut lossy = Lossy { setup, rng: rng.split(), images: 0 };
    let store = lossy.open(&sim)?;
    for batch in 0..rng.between(1, 4) as NodeId {
        let nodes: Vec<_> = (0..rng.between(3, 9) as NodeId)
            .map(|n| generate::node(&mut rng, batch * 10 + n, setup.dimension))
            .collect();
        store.put_batch(&nodes).map_err(|error| format!("put: {error}"))?;
        store.delete_batch(&[batch * 10]).map_err(|error| format!("delete: {error}"))?;
        store.flush().map_err(|error| format!("flush: {error}"))?;
    }
    drop(store);
    let mut sim = sim.kill();
    for keep in [Keep::F16, Keep::None] {
        if keep == Keep::F16 && rng.chance(0.5) {
            continue;
        }
        let target = loop {
            if let Some(compression) = generate::compression(&mut rng, setup.dimension, keep) {
                break Target::Codec(compression.spec);
            }
        };
        sim = lossy.crash_everywhere(&sim, &CompressRequest::new(target).with_keep(keep))?;
    }
    Ok(lossy.images)
}

#[test]
fn what_a_vector_was_before_a_crash_it_is_after_it() {
    let only = super::number("CGV_SIM_SEED");
    let mut images = 0;
    for seed in only.map_or(0..SEEDS, |seed| seed..seed + 1) {
        images += run(seed).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
    assert!(images > 10 || only.is_some(), "{images} crashes");
}

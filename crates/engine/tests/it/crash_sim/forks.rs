//! A crash at every call of a fork: the source is untouched, and the fork is whole or none.
//!
//! Guards against: a folder that opens as a store and lacks something, a fork that cannot be made again where one was cut
//! short, one that is made again over a store that is in use, names of a source's files that go with the fork's.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use codegraph_vector::vfs::Vfs;
use codegraph_vector::{
    CodeNode, Environment, ErrorKind, IsolationLevel, NodeId, OpenOptions, PersistentVectorStore, Settings,
};
use codegraph_vector_testkit::{Action, Call, CrashStyle, Fault, Op, Rng, SeededRandom, SimClock, SimVfs};
use parking_lot::Mutex;

use super::generate;
use super::image::{FOLDER, abandon};
use super::model::Check;

const SEEDS: u64 = 16;
const TARGET: &str = "/data/fork";
const DIMENSION: usize = 3;

type Contents = BTreeMap<NodeId, CodeNode>;

fn open(
    sim: &SimVfs,
    rng: &mut Rng,
    folder: &str,
    create: bool,
) -> codegraph_vector::Result<PersistentVectorStore> {
    let environment = Environment {
        vfs: Arc::new(sim.clone()),
        clock: Arc::new(SimClock::default()),
        random: Arc::new(SeededRandom::new(rng.next_u64())),
    };
    let settings = Some(Settings { background: false, ..Settings::default() });
    let dimension = create.then_some(DIMENSION);
    let options =
        OpenOptions { dimension, must_exist: !create, settings, environment, ..OpenOptions::default() };
    PersistentVectorStore::open(folder, options)
}

fn said(what: &str) -> impl Fn(codegraph_vector::Error) -> String {
    move |error| format!("{what}: {error:?}")
}

fn contents(store: &PersistentVectorStore) -> Check<Contents> {
    let snapshot = store.snapshot().map_err(said("snapshot"))?;
    let nodes = snapshot.iter().map_err(said("iter"))?;
    nodes.map(|node| node.map(|node| (node.id, node)).map_err(said("read"))).collect()
}

/// Whether a store is whole.
fn check(store: &PersistentVectorStore, wanted: &Contents, which: &str) -> Check {
    let found = contents(store)?;
    if found != *wanted {
        return Err(format!("content of the {which}: {:?}, not {:?}", found.keys(), wanted.keys()));
    }
    let report = store.verify().map_err(said("verify"))?;
    if report.is_clean() { Ok(()) } else { Err(format!("verify of the {which}: {:?}", report.bad_blocks)) }
}

/// What a crash in a fork leaves: the source as it was; the fork whole, or to be made again.
fn examine(image: &SimVfs, rng: &mut Rng, wanted: &Contents) -> Check<bool> {
    // Sometimes somebody finds the fork, uses it, and then it is asked for again.
    let used = rng.chance(0.5);
    let mut whole = false;
    if used {
        match open(image, rng, TARGET, false) {
            Ok(fork) => {
                whole = true;
                check(&fork, wanted, "fork")?;
                fork.put(generate::node(rng, 999, DIMENSION)).map_err(said("put"))?;
            }
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidInput) => {}
            Err(error) => return Err(format!("open of the fork: {error:?}")),
        }
    }
    // And the power goes off once more.
    let next = image.crash(rng, CrashStyle::LoseUnsynced);
    image.set_read_only(true);
    let source = open(&next, rng, FOLDER, false).map_err(said("open of the source"))?;
    check(&source, wanted, "source")?;
    let again = source.fork(TARGET);
    match again {
        Ok(_) if whole => return Err("a fork was made over one in use".to_owned()),
        Ok(fork) => check(&fork, wanted, "fork, made again")?,
        // It was finished, though nobody was told.
        Err(error) if error.kind() == ErrorKind::InvalidInput => {
            let fork = open(&next, rng, TARGET, false).map_err(said("open of the finished fork"))?;
            if fork.get(999).map_err(said("get"))?.is_some() != whole {
                return Err("lost: what was written into the fork".to_owned());
            }
            fork.delete(999).map_err(said("delete"))?;
            check(&fork, wanted, "finished fork")?;
            whole = true;
        }
        Err(error) => return Err(format!("the fork, made again: {error:?}")),
    }
    check(&source, wanted, "source in the end")?;
    Ok(whole)
}

/// Images, and those of them in which the fork was whole.
fn run(seed: u64) -> Check<(usize, usize)> {
    let mut rng = Rng::new(seed);
    let sim = SimVfs::new(rng.next_u64());
    sim.create_dir_all(Path::new("/data")).map_err(said("folder"))?;
    sim.sync_dir(Path::new("/")).map_err(said("folder"))?;
    let store = open(&sim, &mut rng, FOLDER, true).map_err(said("open"))?;
    for batch in 0..rng.between(1, 4) as NodeId {
        let nodes: Vec<_> = (0..rng.between(3, 9) as NodeId)
            .map(|n| generate::node(&mut rng, batch * 10 + n, DIMENSION))
            .collect();
        store.put_batch(&nodes).map_err(said("put"))?;
        if rng.chance(0.7) {
            store.flush().map_err(said("flush"))?;
        }
        store.delete_batch(&[batch * 10]).map_err(said("delete"))?;
    }
    let mut transaction = store.begin(IsolationLevel::ReadCommitted).map_err(said("begin"))?;
    transaction.put(generate::node(&mut rng, 500, DIMENSION)).map_err(said("put"))?;
    transaction.prepare().map_err(said("prepare"))?;
    let wanted = contents(&store)?;
    let images = Arc::new(Mutex::new((Vec::new(), rng.split())));
    let keep = images.clone();
    let links = rng.chance(0.7);
    sim.set_observer(Arc::new(move |sim: &SimVfs, call: &Call| {
        if call.op.mutates() {
            let (images, rng) = &mut *keep.lock();
            let place = || format!("{:?} of {}", call.op, call.path.display());
            let style = CrashStyle::random(rng);
            images.push((sim.crash(rng, style), format!("a crash, {style:?}, at {}", place())));
            images.push((sim.kill(), format!("a kill at {}", place())));
        }
        if call.op == Op::Link && !links { Action::Fail(Fault::Exdev) } else { Action::Proceed }
    }));
    let fork = store.fork(TARGET);
    sim.clear_observer();
    let fork = fork.map_err(said("fork"))?;
    check(&fork, &wanted, "fork")?;
    // What a power cut takes from a fork that was said to be made.
    let images = std::mem::take(&mut images.lock().0);
    let after = sim.crash(&mut rng, CrashStyle::LoseUnsynced);
    let found = open(&after, &mut rng, TARGET, false).map_err(said("open of the finished fork"))?;
    check(&found, &wanted, "finished fork")?;
    abandon(fork, &sim);
    drop(store);
    let (count, mut whole) = (images.len(), 0);
    for (image, place) in images {
        let is_whole =
            examine(&image, &mut rng, &wanted).map_err(|error| format!("{error}\n  after {place}"))?;
        whole += usize::from(is_whole);
    }
    Ok((count, whole))
}

#[test]
fn a_crash_in_a_fork_leaves_a_whole_one_or_none() {
    let only = super::number("CGV_SIM_SEED");
    let (mut images, mut whole) = (0, 0);
    for seed in only.map_or(0..SEEDS, |seed| seed..seed + 1) {
        let (count, of_them) = run(seed).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        images += count;
        whole += of_them;
    }
    assert!(only.is_some() || (images > 200 && whole > 20 && whole < images / 2), "{whole} of {images}");
}

//! What a review of the code found, each by a test that failed before it was mended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use codegraph_vector::ErrorKind;
use codegraph_vector_testkit::{Action, Call, CrashStyle, Fault, Op, Rng, SimVfs};

use crate::sample::{Model, ROOT, assert_holds, assert_refused, nodes, open, put};

/// Lets the next sync of the store's folder fail, once a manifest has been renamed into it.
fn fail_the_switch(sim: &SimVfs) {
    let failed = AtomicBool::new(false);
    sim.set_observer(Arc::new(move |_: &SimVfs, call: &Call| {
        let switch = call.op == Op::SyncDir && call.path.as_os_str() == ROOT;
        if switch && !failed.swap(true, Ordering::SeqCst) { Action::Fail(Fault::Eio) } else { Action::Proceed }
    }));
}

#[test]
fn files_of_a_switch_in_doubt_are_not_cleared_away() {
    let (sim, rng, mut model) = (SimVfs::new(1), &mut Rng::new(1), Model::new());
    let store = open(&sim).unwrap();
    put(&store, &mut model, &nodes(rng, 0..20)).unwrap();
    store.flush().unwrap();
    put(&store, &mut model, &nodes(rng, 20..30)).unwrap();
    fail_the_switch(&sim);
    assert_refused(store.flush(), ErrorKind::OutcomeUnknown, &["manifest"]);
    sim.clear_observer();
    // Neither finds anything to do, but to clear away.
    let _ = store.merge();
    for seed in 0..200 {
        let after = sim.crash(&mut Rng::new(seed), CrashStyle::Subset);
        let store = open(&after).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_holds(&store, &model);
    }
}

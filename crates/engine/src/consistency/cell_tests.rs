//! Transactions that others act upon while a call is at work on them.

use codegraph_vector_ann::Metric;
use codegraph_vector_testkit::{SeededRandom, SimClock, SimVfs};

use super::*;
use crate::consistency::overlay::Changes;
use crate::consistency::{IsolationLevel, TransactionOptions};
use crate::node::CodeNode;
use crate::options::{Environment, OpenOptions, Settings};
use crate::store::core::Handle;

fn open(clock: &SimClock) -> Arc<Handle> {
    let environment = Environment {
        vfs: Arc::new(SimVfs::new(3)),
        clock: Arc::new(clock.clone()),
        random: Arc::new(SeededRandom::new(7)),
    };
    let (dimension, metric) = (Some(2), Some(Metric::Cosine));
    let settings = Some(Settings { background: false, ..Settings::default() });
    let options = OpenOptions { dimension, metric, settings, environment, ..OpenOptions::default() };
    Handle::new(crate::store::open("/store".into(), &options).unwrap())
}

/// Begins a transaction, and puts node 1.
fn begin(core: &Arc<Handle>) -> Arc<Cell> {
    let options = TransactionOptions::new(IsolationLevel::ReadCommitted);
    let cell = core.transactions.begin(core, options).unwrap();
    cell.run(core, |open, call| open.put(call, CodeNode::new(1, vec![1.0, 0.0]))).unwrap();
    cell
}

fn pending(core: &Core) -> bool {
    core.writer().unwrap().locks.pending.get(1).is_some()
}

#[test]
fn who_is_wounded_at_work_is_rolled_back_when_the_call_is_over() {
    let core = open(&SimClock::default());
    let cell = begin(&core);
    let wound = |_: &mut Open, call: Call<'_>| {
        let writer = call.core.writer()?;
        assert!(writer.locks.doom(call.cell.id, Conflict::new(ConflictCause::Wounded)));
        call.core.transactions.reap_one(call.core, call.cell.id);
        Ok(())
    };
    cell.run(&core, wound).unwrap();
    let statistics = core.transactions.statistics(&core);
    assert_eq!((statistics.active, statistics.aborted(ConflictCause::Wounded)), (0, 1));
    assert_eq!((statistics.locks.held, pending(&core)), (0, false), "nobody has to wait for another call");
}

#[test]
fn who_is_at_work_is_not_idle() {
    let clock = SimClock::default();
    let core = open(&clock);
    let cell = begin(&core);
    let work_for = |time| {
        let clock = &clock;
        move |_: &mut Open, call: Call<'_>| {
            clock.advance(time);
            call.core.transactions.reap(call.core);
            Ok(())
        }
    };
    cell.run(&core, work_for(cell.limits.idle)).unwrap();
    cell.run(&core, work_for(Duration::ZERO)).unwrap();
    // But it is open.
    cell.run(&core, work_for(cell.limits.total)).unwrap();
    assert_eq!(core.transactions.statistics(&core).aborted(ConflictCause::Expired), 1);
}

#[test]
fn what_is_written_is_pending_no_longer_than_it_is_locked() {
    let core = open(&SimClock::default());
    let cell = begin(&core);
    assert!(pending(&core));
    let free = |open: &mut Open, call: Call<'_>| {
        open.locks = None;
        assert!(!pending(call.core));
        Ok(())
    };
    cell.run(&core, free).unwrap();
    cell.rollback(&core).unwrap();
    let cell = begin(&core);
    cell.prepare(&core).unwrap();
    assert!(pending(&core), "nobody has decided yet");
    core.commit_prepared(cell.id).unwrap();
    assert!(!pending(&core), "it is committed, and others may commit over it");
}

//! Who sleeps is woken, and who shuts the log has nobody writing behind it.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::*;

const MOMENT: Duration = Duration::from_millis(2);

/// Lets `meanwhile` run while the log's next sync is at the disk.
fn at_the_next_sync(sim: &SimVfs, meanwhile: impl Fn() + Send + Sync + 'static) {
    let met = AtomicBool::new(false);
    sim.set_observer(Arc::new(move |_: &SimVfs, call: &Call| {
        if call.op == codegraph_vector_testkit::Op::SyncData && !met.swap(true, Ordering::SeqCst) {
            meanwhile();
        }
        Action::Proceed
    }));
}

#[test]
fn who_was_asked_to_lead_but_is_served_already_asks_the_next() {
    for _ in 0..100 {
        let sim = SimVfs::new(1);
        let numbers = Arc::new(Numbers::create(&sim, ENDLESS));
        let (first, second) = (numbers.queue(8).expect("queued"), numbers.queue(8).expect("queued"));
        let (done, finished) = mpsc::channel();
        let (log, sender) = (numbers.clone(), done.clone());
        let wait = move |ticket: Option<Arc<Ticket>>| {
            let (log, done) = (log.clone(), sender.clone());
            thread::spawn(move || {
                let ticket = ticket.unwrap_or_else(|| log.queue(8).expect("queued"));
                done.send(log.wait(&ticket).expect("written")).expect("received");
            });
            thread::sleep(MOMENT);
        };
        let late = wait.clone();
        at_the_next_sync(&sim, move || {
            late(Some(second.clone())); // Is in the group that is being synced,
            late(None); // and this is not.
        });
        wait(Some(first));
        for _ in 0..3 {
            finished.recv_timeout(Duration::from_secs(10)).expect("nobody sleeps for ever");
        }
    }
}

/// Holds a leader up between its last look at the log and the disk.
struct HeldUp {
    owner: Owner,
    hold: Mutex<Option<mpsc::Receiver<()>>>,
    held: mpsc::Sender<()>,
}

impl LogHooks<u64, u64> for HeldUp {
    fn sync_policy(&self) -> SyncPolicy {
        if let Some(hold) = self.hold.lock().expect("unpoisoned").take() {
            self.held.send(()).expect("received");
            hold.recv().expect("sent");
        }
        self.owner.policy
    }

    fn committed(&self, entries: Vec<u64>, group: &[u8], end: GroupEnd) -> Result<()> {
        self.owner.committed(entries, group, end)
    }

    fn failed(&self, next: &mut u64, entries: Vec<u64>) {
        self.owner.failed(next, entries);
    }
}

#[test]
fn a_log_that_was_shut_does_not_grow() {
    let sim = SimVfs::new(1);
    let Numbers { log, owner } = Numbers::create(&sim, ENDLESS);
    let (held, is_held) = mpsc::channel();
    let (go_on, hold) = mpsc::channel();
    let hooks = HeldUp { owner, hold: Mutex::new(Some(hold)), held };
    let ticket = log.enqueue(|_, group| Ok((group.append(KIND, &[b"late"]).0, ()))).expect("queued").0;
    thread::scope(|scope| {
        scope.spawn(|| log.wait(&ticket, &hooks).expect("written"));
        is_held.recv().expect("a leader");
        scope.spawn(move || {
            thread::sleep(10 * MOMENT);
            go_on.send(()).expect("received");
        });
        log.shut(Error::new(ErrorKind::Closed, "shut"));
        let end = log.appender(Appender::end);
        thread::sleep(20 * MOMENT);
        assert_eq!(log.appender(Appender::end), end, "another may be writing there by now");
    });
}

/// Panics over the first group that it is to apply.
struct Panics {
    owner: Owner,
    next: AtomicBool,
}

impl LogHooks<u64, u64> for Panics {
    fn sync_policy(&self) -> SyncPolicy {
        self.owner.policy
    }

    fn committed(&self, entries: Vec<u64>, group: &[u8], end: GroupEnd) -> Result<()> {
        assert!(!self.next.swap(false, Ordering::SeqCst), "a panic on purpose");
        self.owner.committed(entries, group, end)
    }

    fn failed(&self, next: &mut u64, entries: Vec<u64>) {
        self.owner.failed(next, entries);
    }
}

#[test]
fn a_panic_while_a_group_is_applied_is_told_to_all_who_wait_and_stops_the_log() {
    let sim = SimVfs::new(1);
    let numbers = Arc::new(Numbers::create(&sim, ENDLESS));
    let tickets: Vec<_> = (0..3).map(|_| numbers.queue(8).expect("queued")).collect();
    let owner = Numbers::create(&SimVfs::new(2), ENDLESS).owner;
    let hooks = Arc::new(Panics { owner, next: AtomicBool::new(true) });
    let (done, finished) = mpsc::channel();
    for ticket in tickets {
        let (numbers, hooks, done) = (numbers.clone(), hooks.clone(), done.clone());
        thread::spawn(move || {
            // Whoever leads meets the panic itself.
            let wait = || numbers.log.wait(&ticket, &*hooks);
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(wait));
            done.send(outcome.ok()).expect("received");
        });
    }
    let mut panicked = 0;
    for _ in 0..3 {
        match finished.recv_timeout(Duration::from_secs(10)).expect("nobody sleeps for ever") {
            None => panicked += 1,
            Some(outcome) => {
                let error = outcome.expect_err("it was not applied");
                assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
                assert!(error.to_string().contains("panicked"), "{error}");
            }
        }
    }
    assert_eq!(panicked, 1);
    let error = numbers.queue(8).expect_err("what is in memory no longer follows the log");
    assert_eq!(error.kind(), ErrorKind::ReadOnly);
    assert!(error.to_string().contains("reopened"), "{error}");
    numbers.log.drain(&*hooks);
    assert_eq!(read(&sim).0, [0, 1, 2], "all of it is in the log");
}

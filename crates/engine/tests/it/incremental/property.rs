//! Random operations, priorities and sizes of batches, held against a model that does one after the other.

use codegraph_vector::{
    CodeNode, ErrorKind, IncrementalConfig, IncrementalMode, IncrementalOperation, Priority, Ticket,
};
use codegraph_vector_testkit::{Rng, SimVfs};
use proptest::prelude::*;

use super::{apply, bare, delete, insert, start, update};
use crate::sample::{Model, assert_holds, open};

const PATHS: [&str; 3] = ["a.rs", "b.rs", "c/d.rs"];
const PRIORITIES: [Priority; 3] = [Priority::High, Priority::Normal, Priority::Low];

fn operation(rng: &mut Rng) -> IncrementalOperation {
    let (id, seed) = (rng.below(7) as u128, rng.next_u64());
    match rng.below(20) {
        0..5 => insert(id, seed),
        5..9 => update(id, seed),
        9..12 => delete(id),
        12..16 => IncrementalOperation::Put(bare(id, seed).with_path(*rng.pick(&PATHS)).with_name("n")),
        16..19 => {
            let ids = (0..rng.below(4)).map(|_| rng.below(7) as u128).collect::<Vec<_>>();
            let at = |(at, id): (usize, &u128)| CodeNode { name: Some(at.to_string()), ..bare(*id, seed) };
            let nodes = ids.iter().enumerate().map(at).collect();
            IncrementalOperation::ReplacePath { path: (*rng.pick(&PATHS)).to_owned(), nodes }
        }
        _ => IncrementalOperation::Insert { node_id: id, vector: vec![1.0; rng.below(4)] },
    }
}

struct Awaited {
    ticket: Ticket,
    expected: Vec<Result<u64, ErrorKind>>,
}

impl Awaited {
    fn check(self) {
        let outcome = self.ticket.wait();
        let told = outcome.outcomes.iter().map(|outcome| match outcome {
            Ok(outcome) => Ok(outcome.deleted),
            Err(error) => Err(error.kind()),
        });
        assert_eq!(told.collect::<Vec<_>>(), self.expected);
        assert!(outcome.outcomes.iter().flatten().all(|outcome| outcome.receipt.durable));
    }
}

fn run(seed: u64, worker_threads: usize, mode: IncrementalMode) {
    let rng = &mut Rng::new(seed);
    let store = open(&SimVfs::new(seed)).unwrap();
    let manager = start(IncrementalConfig {
        worker_threads,
        mode,
        max_batch_size: rng.between(1, 12),
        parallel_threshold: rng.between(1, 9),
        queue_capacity: rng.between(12, 60),
        batch_timeout: std::time::Duration::from_micros(rng.between(0, 300) as u64),
        ..IncrementalConfig::for_store(&store)
    });
    let (mut model, mut awaited) = (Model::new(), Vec::<Awaited>::new());
    for _ in 0..rng.between(5, 40) {
        let operations: Vec<_> = (0..rng.between(1, 6)).map(|_| operation(rng)).collect();
        let expected = operations.iter().map(|operation| apply(&mut model, mode, operation)).collect();
        let ticket = manager.submit_batch_with(operations, *rng.pick(&PRIORITIES)).unwrap();
        awaited.push(Awaited { ticket, expected });
        match rng.below(12) {
            0..3 => awaited.swap_remove(rng.below(awaited.len())).check(),
            3 => manager.flush().unwrap(),
            4 => store.flush().unwrap(),
            5 => assert!(store.merge().unwrap() < 100),
            _ => {}
        }
    }
    if rng.chance(0.5) {
        manager.shutdown().unwrap();
    }
    awaited.into_iter().for_each(Awaited::check);
    assert_holds(&store, &model);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn everything_comes_about_as_if_one_after_the_other(seed: u64, strict: bool) {
        run(seed, 0, if strict { IncrementalMode::Strict } else { IncrementalMode::Upsert });
    }

    #[test]
    fn so_it_does_with_workers(seed: u64, strict: bool) {
        run(seed, 2, if strict { IncrementalMode::Strict } else { IncrementalMode::Upsert });
    }
}

//! Random requests to one line, beside the rules as plainly as they can be put.

use std::sync::Arc;

use codegraph_vector_base::TxnId;
use proptest::prelude::*;

use super::line::{Answer, Line};
use super::mode::LockMode;
use super::owner::{Owner, Progress};

const OWNERS: usize = 6;

#[derive(Clone, Copy, Debug)]
enum Step {
    Ask(usize, LockMode),
    /// Stops waiting, or lets go of what it has.
    Stop(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let ask =
        (0..OWNERS, 0..LockMode::ALL.len()).prop_map(|(owner, mode)| Step::Ask(owner, LockMode::ALL[mode]));
    let step = prop_oneof![3 => ask, 2 => (0..OWNERS).prop_map(Step::Stop)];
    prop::collection::vec(step, 1..60)
}

/// What is granted and who waits, by the rules of [`super::line`], tried until nothing changes.
#[derive(Default)]
struct Model {
    granted: [Option<LockMode>; OWNERS],
    queue: Vec<(usize, LockMode)>,
}

impl Model {
    fn waits(&self, owner: usize) -> Option<usize> {
        self.queue.iter().position(|(waiter, _)| *waiter == owner)
    }

    fn blockers(&self, at: usize) -> Vec<usize> {
        let (owner, mode) = self.queue[at];
        let is_in_the_way = |other: &usize| {
            self.granted[*other].is_some_and(|held| *other != owner && !mode.is_compatible(held))
        };
        let mut blockers: Vec<usize> = (0..OWNERS).filter(is_in_the_way).collect();
        if self.granted[owner].is_none() {
            let before = self.queue[..at].iter().filter(|(_, wanted)| !mode.is_compatible(*wanted));
            blockers.extend(before.map(|(waiter, _)| *waiter));
        }
        blockers.sort_unstable();
        blockers.dedup();
        blockers
    }

    fn ask(&mut self, owner: usize, mode: LockMode) {
        let wanted = self.granted[owner].map_or(mode, |held| held.join(mode));
        if self.granted[owner] == Some(wanted) {
            return;
        }
        let holders = self.queue.iter().filter(|(waiter, _)| self.granted[*waiter].is_some()).count();
        let at = if self.granted[owner].is_some() { holders } else { self.queue.len() };
        self.queue.insert(at, (owner, wanted));
        self.settle();
    }

    fn stop(&mut self, owner: usize) {
        match self.waits(owner) {
            Some(at) => drop(self.queue.remove(at)),
            None => self.granted[owner] = None,
        }
        self.settle();
    }

    fn settle(&mut self) {
        while let Some(at) = (0..self.queue.len()).find(|at| self.blockers(*at).is_empty()) {
            let (owner, mode) = self.queue.remove(at);
            self.granted[owner] = Some(mode);
        }
    }
}

fn play(steps: &[Step]) -> Result<(), TestCaseError> {
    let owners: [Arc<Owner>; OWNERS] = std::array::from_fn(|at| Owner::new(TxnId(at as u64)));
    let (mut line, mut model) = (Line::default(), Model::default());
    for step in steps {
        match *step {
            // Who waits asks for nothing else.
            Step::Ask(owner, _) if model.waits(owner).is_some() => continue,
            Step::Ask(owner, mode) => {
                let before = line.mode_of(TxnId(owner as u64));
                owners[owner].begin_wait(super::LockTarget::Store);
                let answer = line.request_or_queue(&owners[owner], mode);
                model.ask(owner, mode);
                prop_assert_eq!(answer == Answer::Blocked, model.waits(owner).is_some());
                prop_assert_eq!(answer == Answer::New, before.is_none() && model.granted[owner].is_some());
            }
            Step::Stop(owner) => {
                let waits = model.waits(owner).is_some();
                let id = TxnId(owner as u64);
                prop_assert_eq!(line.leave(id), waits);
                if !waits {
                    line.release(id);
                }
                model.stop(owner);
            }
        }
        for (at, owner) in owners.iter().enumerate() {
            prop_assert_eq!(line.mode_of(owner.id), model.granted[at]);
            let blockers = line.blockers(owner.id).map(|blockers| {
                let mut ids: Vec<_> = blockers.owners.iter().map(|blocker| blocker.id.0 as usize).collect();
                ids.sort_unstable();
                ids.dedup();
                ids
            });
            let place = model.waits(at);
            prop_assert_eq!(blockers, place.map(|place| model.blockers(place)));
            // Who was let in was told so.
            let is_told = matches!(owner.progress(), Progress::Granted);
            prop_assert!(!(is_told && place.is_some()), "{} was told of what it has not got", at);
        }
        let held: Vec<_> = model.granted.iter().flatten().collect();
        for (at, one) in held.iter().enumerate() {
            prop_assert!(held[at + 1..].iter().all(|other| one.is_compatible(**other)), "{:?}", held);
        }
        prop_assert_eq!(line.is_empty(), held.is_empty() && model.queue.is_empty());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_line_does_what_its_rules_say(steps in steps()) {
        play(&steps)?;
    }
}

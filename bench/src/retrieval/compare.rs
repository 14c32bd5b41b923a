//! Several systems over the same questions, and tables of it.

use std::fmt::Write;

use super::Outcome;
use super::documents::{Documents, Query};
use super::metrics::{DEPTH, Estimate, Ranks, mean, ratio};
use super::systems::System;

/// How far down is looked when misses are shown.
const SHOWN_DEPTH: usize = 100;

const THREADS: usize = 2;

/// What each system made of each question.
pub(crate) struct Comparison {
    /// Of the systems; the first is the yardstick.
    pub(crate) names: Vec<String>,
    ranks: Vec<Ranks>,
}

/// Asks every system every question.
pub(crate) fn compare(systems: &[&dyn System], queries: &[Query]) -> Outcome<Comparison> {
    let mut ranks = Vec::new();
    for system in systems {
        let chunks = queries.chunks(queries.len().div_ceil(THREADS).max(1));
        let found: Vec<Outcome<Vec<Option<usize>>>> = std::thread::scope(|scope| {
            let ask = |query: &Query| rank(*system, query, DEPTH);
            let threads: Vec<_> =
                chunks.map(|chunk| scope.spawn(move || chunk.iter().map(ask).collect())).collect();
            let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
                thread.join().unwrap_or_else(|_| Err("a thread panicked".into()))
            };
            threads.into_iter().map(join).collect()
        });
        ranks.push(Ranks(found.into_iter().collect::<Outcome<Vec<_>>>()?.concat()));
        eprintln!(
            "{}: {:.3}",
            system.name(),
            ranks.last().map_or(0.0, |ranks| mean(&ranks.reciprocal()).value)
        );
    }
    Ok(Comparison { names: systems.iter().map(|system| system.name().to_owned()).collect(), ranks })
}

/// Where the target is among the first `depth` results, from 1.
fn rank(system: &dyn System, query: &Query, depth: usize) -> Outcome<Option<usize>> {
    let found = system.find(&query.text, depth)?;
    Ok(found.iter().position(|&at| at == query.target).map(|at| at + 1))
}

fn shown(estimate: Estimate) -> String {
    format!("{:.3} [{:.3}, {:.3}]", estimate.value, estimate.low, estimate.high)
}

impl Comparison {
    /// MRR@10 of a system.
    pub(crate) fn mrr(&self, system: usize) -> f64 {
        mean(&self.ranks[system].reciprocal()).value
    }

    /// A row for each system, with 95 % intervals.
    pub(crate) fn table(&self) -> String {
        let mut table = String::from(
            "| system | MRR@10 | recall@1 | recall@10 | MRR@10 beside BM25 |\n| --- | --- | --- | --- | --- |\n",
        );
        let yardstick = self.ranks[0].reciprocal();
        for (name, ranks) in self.names.iter().zip(&self.ranks) {
            let (mrr, beside) = (ranks.reciprocal(), ratio(&ranks.reciprocal(), &yardstick));
            let recall = [1, DEPTH].map(|depth| shown(mean(&ranks.within(depth))));
            let row = [name.clone(), shown(mean(&mrr)), recall.join(" | "), shown(beside)];
            // Writing to a string cannot fail.
            let _ = writeln!(table, "| {} |", row.join(" | "));
        }
        table
    }

    /// Prints questions that the last system missed, with what it found instead.
    pub(crate) fn show(&self, systems: &[&dyn System], corpus: &Documents, count: usize) -> Outcome<()> {
        let Some((last, ranks)) = systems.last().zip(self.ranks.last()) else { return Ok(()) };
        let missed = corpus.queries.iter().zip(&ranks.0).filter(|(_, rank)| rank.is_none());
        let step = (missed.clone().count() / count).max(1);
        for (query, _) in missed.step_by(step).take(count) {
            let target = &corpus.documents[query.target];
            println!("- “{}”", query.text);
            println!("  - target `{}`, {}:{}", target.qualified_name, target.path, target.start_line);
            for system in systems {
                let rank = rank(*system, query, SHOWN_DEPTH)?;
                let rank = rank.map_or_else(|| format!("over {SHOWN_DEPTH}"), |rank| rank.to_string());
                println!("  - {}: {rank}", system.name());
            }
            if let Some(top) = last.find(&query.text, 1)?.first().map(|&at| &corpus.documents[at]) {
                println!("  - instead `{}`, {}:{}", top.qualified_name, top.path, top.start_line);
            }
        }
        println!();
        Ok(())
    }
}

/// A row for each system: means over corpora of the same systems.
pub(crate) fn means(corpora: &[Comparison]) -> String {
    let mut table = String::from(
        "| system | MRR@10 | recall@1 | recall@10 | MRR@10 beside BM25 |\n| --- | --- | --- | --- | --- |\n",
    );
    let over =
        |figure: &dyn Fn(&Comparison) -> f64| corpora.iter().map(figure).sum::<f64>() / corpora.len() as f64;
    for (system, name) in corpora[0].names.iter().enumerate() {
        let [first, tenth] =
            [1, DEPTH].map(|depth| over(&|corpus| mean(&corpus.ranks[system].within(depth)).value));
        let (ours, yardstick) = (over(&|corpus| corpus.mrr(system)), over(&|corpus| corpus.mrr(0)));
        let _ = writeln!(table, "| {name} | {ours:.3} | {first:.3} | {tenth:.3} | {:.3} |", ours / yardstick);
    }
    table
}

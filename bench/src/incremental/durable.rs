//! Durable commits of one client and of sixteen beside other people's stores, each at its strongest durability.
//!
//! The peers run in processes of their own, by a harness in Python; ours is measured right before each and right after, and
//! the two count together. Only those that wait for the disk at each commit count as durable: the others are told.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use codegraph_vector::{CodeNode, NodeId, OpenOptions, PersistentVectorStore};

use super::DIMENSION;
use crate::beside::Options;
use crate::data::{Vectors, make};
use crate::peers::Peers;
use crate::report::{Goal, Report, median};
use crate::searching::Outcome;

/// At their strongest durability. pgvector without its index, which others do not keep up with each commit either.
const PEERS: [&str; 6] = ["qdrant-edge", "lancedb", "zvec", "milvus-lite", "sqlite-vec", "pgvector:hnsw=0"];
/// Makes no call that waits for the disk, by the harness' traces: a power cut can take what it acknowledged.
const UNSYNCED: &str = "lancedb";
/// Those of which several clients can write at once, each with a connection of its own; of the others one can.
const OF_MANY: [&str; 2] = ["sqlite-vec", "pgvector:hnsw=0"];
/// Rows of a commit.
const BATCHES: [usize; 3] = [1, 100, 1000];
const CLIENTS: usize = 16;
/// A rate is taken until so many vectors are in, or so many seconds are over.
const VECTORS: usize = 20_000;
const SECONDS: f64 = 2.0;

/// Vectors a second.
type Rate = f64;

pub(super) fn run(folder: &Path, peers: &Peers, options: &Options, report: &mut Report) -> Outcome<()> {
    let vectors = make(VECTORS, DIMENSION, 17);
    write_npy(&peers.base, &vectors)?;
    let names: Vec<&str> = PEERS.into_iter().filter(|name| options.wants_peer(name)).collect();
    for batch in BATCHES {
        let mut rounds = Vec::new();
        for _ in 0..options.rounds() {
            rounds.push(Round::measure(folder, peers, &names, &vectors, batch)?);
        }
        tell(&rounds, batch, report);
    }
    Ok(())
}

/// All rates of one round.
struct Round {
    /// Of one client of ours, and of sixteen.
    ours: [Rate; 2],
    /// Of one client, by peer; none if it failed.
    peers: BTreeMap<String, Rate>,
    /// Of sixteen.
    of_many: BTreeMap<String, Rate>,
}

impl Round {
    fn measure(
        folder: &Path,
        peers: &Peers,
        names: &[&str],
        vectors: &Vectors,
        batch: usize,
    ) -> Outcome<Self> {
        let (mut of_one, mut of_many) = (Vec::new(), Vec::new());
        let mut ours = || -> Outcome<()> {
            of_one.push(rate(folder, vectors, batch, 1)?);
            of_many.push(rate(folder, vectors, batch, CLIENTS)?);
            Ok(())
        };
        ours()?;
        let (mut alone, mut together) = (BTreeMap::new(), BTreeMap::new());
        for name in names {
            match peers.durable(name, batch, VECTORS, SECONDS) {
                Ok(rate) => drop(alone.insert((*name).to_owned(), rate)),
                Err(error) => eprintln!("{name}, batches of {batch}: {error}"),
            }
            if OF_MANY.contains(name) {
                match several(peers, name, batch) {
                    Ok(rate) => drop(together.insert((*name).to_owned(), rate)),
                    Err(error) => eprintln!("{CLIENTS} clients of {name}, batches of {batch}: {error}"),
                }
            }
            ours()?;
        }
        Ok(Self { ours: [median(of_one), median(of_many)], peers: alone, of_many: together })
    }

    /// The best of those that are durable, of one client; or of however many it can do with.
    fn best(&self, many: bool) -> Rate {
        let others = self.of_many.values().filter(|_| many);
        let synced = self.peers.iter().filter(|(name, _)| *name != UNSYNCED).map(|(_, rate)| rate);
        synced.chain(others).copied().fold(f64::NAN, f64::max)
    }
}

/// The medians of some rounds.
fn tell(rounds: &[Round], batch: usize, report: &mut Report) {
    let told = |of: fn(&Round) -> &BTreeMap<String, Rate>| {
        let mut rates: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for (name, rate) in rounds.iter().flat_map(of) {
            rates.entry(name).or_default().push(*rate);
        }
        rates
            .into_iter()
            .map(|(name, rates)| format!("{name} {:.0}/s", median(rates)))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let (alone, together) = (told(|round| &round.peers), told(|round| &round.of_many));
    for (at, clients, goal, yardstick) in [
        (0, "1 client".to_owned(), 0.9, alone.clone()),
        (1, format!("{CLIENTS} clients"), 2.0, format!("{CLIENTS} clients: {together}; 1 client: {alone}")),
    ] {
        let ours = median(rounds.iter().map(|round| round.ours[at]).collect());
        let ratio = median(rounds.iter().map(|round| round.ours[at] / round.best(at == 1)).collect());
        let what = format!(
            "vectors a second in durable commits of {batch} × {DIMENSION}, {clients}, beside the best of those that sync"
        );
        report.ratio(&what, format!("{ours:.0}/s"), yardstick, ratio, &Goal::AtLeast(goal));
    }
}

/// Vectors a second in commits of so many rows into an empty store, the first commit of each client not counted.
fn rate(folder: &Path, vectors: &Vectors, batch: usize, clients: usize) -> Outcome<Rate> {
    let path = folder.join("ours");
    let options = OpenOptions { dimension: Some(vectors.dimension), ..OpenOptions::default() };
    let store = PersistentVectorStore::open(&path, options)?;
    let commit = |turn: usize, client: usize| -> Outcome<()> {
        let first = (turn * clients + client) * batch;
        let nodes: Vec<_> = (first..first + batch)
            .map(|id| CodeNode::new(id as NodeId, vectors.row(id % vectors.rows()).to_vec()))
            .collect();
        let durable = store.put_batch(&nodes)?.receipt.durable;
        if durable { Ok(()) } else { Err("a commit that is not durable is no measure".into()) }
    };
    (0..clients).try_for_each(|client| commit(0, client))?;
    let (start, time) = (Instant::now(), Duration::from_secs_f64(SECONDS));
    let turns = std::thread::scope(|scope| {
        let work = |client| {
            let mut turn = 1;
            while start.elapsed() < time && turn * clients * batch <= VECTORS {
                commit(turn, client).map_err(|error| error.to_string())?;
                turn += 1;
            }
            Ok(turn - 1)
        };
        let workers: Vec<_> = (0..clients).map(|client| scope.spawn(move || work(client))).collect();
        let done =
            workers.into_iter().map(|worker| worker.join().map_err(|_| "a client panicked".to_owned())?);
        done.sum::<Result<usize, String>>()
    })?;
    let took = start.elapsed().as_secs_f64();
    let there = store.stats()?.active_vectors;
    if there != ((turns + clients) * batch) as u64 {
        return Err(format!("{} vectors were committed, {there} are there", (turns + clients) * batch).into());
    }
    store.close()?;
    std::fs::remove_dir_all(&path)?;
    Ok((turns * batch) as f64 / took)
}

/// The same of several clients of a peer.
fn several(peers: &Peers, name: &str, batch: usize) -> Outcome<Rate> {
    let home = peers.scratch.join("several");
    if home.exists() {
        std::fs::remove_dir_all(&home)?;
    }
    std::fs::create_dir_all(&home)?;
    let output = std::process::Command::new(&peers.python)
        .args(["-B", "-c", include_str!("clients.py")])
        .arg(&peers.folder)
        .arg(name)
        .arg(&home)
        .arg(&peers.base)
        .args([batch.to_string(), CLIENTS.to_string(), SECONDS.to_string()])
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let rate = text.lines().last().and_then(|line| line.trim().parse().ok());
    rate.ok_or_else(|| String::from_utf8_lossy(&output.stderr).into_owned().into())
}

/// Writes vectors as the harness reads them.
fn write_npy(path: &Path, vectors: &Vectors) -> std::io::Result<()> {
    let head = format!(
        "{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}",
        vectors.rows(),
        vectors.dimension
    );
    // The header ends with a line feed at a multiple of 64 bytes.
    let width = (10 + head.len() + 1).next_multiple_of(64) - 10;
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((width as u16).to_le_bytes());
    bytes.extend(format!("{head:<pad$}\n", pad = width - 1).bytes());
    bytes.extend_from_slice(bytemuck::cast_slice(&vectors.values));
    std::fs::write(path, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_read_as_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let (path, vectors) = (folder.path().join("v.npy"), make(7, 5, 1));
        write_npy(&path, &vectors).unwrap();
        let read = crate::data::load(&path).unwrap();
        assert!(read.values == vectors.values && read.dimension == 5);
    }

    #[test]
    fn one_client_and_many_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let vectors = make(100, 8, 1);
        for clients in [1, 3] {
            assert!(rate(folder.path(), &vectors, 1000, clients).unwrap() > 0.0);
        }
    }

    #[test]
    fn a_round_is_held_against_the_best_that_syncs() {
        let of =
            |rates: &[(&str, f64)]| rates.iter().map(|(name, rate)| ((*name).to_owned(), *rate)).collect();
        let round = Round {
            ours: [90.0, 400.0],
            peers: of(&[("sqlite-vec", 100.0), (UNSYNCED, 900.0)]),
            of_many: of(&[("sqlite-vec", 200.0)]),
        };
        assert_eq!((round.best(false), round.best(true)), (100.0, 200.0));
        let mut report = Report::default();
        tell(&[round], 1, &mut report);
        let text = report.to_string();
        assert!(text.contains("| 0.90 | ≥ 0.9 met |") && text.contains("| 2.00 | ≥ 2 met |"), "{text}");
    }
}

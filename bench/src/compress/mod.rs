//! Codecs beside those of other libraries at equal bytes: recall, rates of scan and encoding, training.
//!
//! Ours and the peers' are run by turns, in rounds; of each figure the median over the rounds counts. What takes
//! longer than [`SLOW_S`] is run in the first round only, whosever it is.

mod figures;
mod ours;
mod peers;
mod tables;

use std::path::{Path, PathBuf};
use std::time::Instant;

use codegraph_vector_ann::codec::CodecSpec;
use serde_json::json;

use crate::data;
use figures::Figures;
use ours::Data;
use peers::Peers;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Neighbours that are asked for.
const NEIGHBOURS: usize = 10;

/// Seconds of a run that is not repeated.
const SLOW_S: f64 = 90.0;

/// What is asked of the benchmark on the command line.
#[derive(Default)]
pub(crate) struct Options {
    truth: Option<PathBuf>,
    peers_dir: Option<PathBuf>,
    peers_json: Option<PathBuf>,
    /// Parts of names; all if there are none.
    peers: Vec<String>,
    codecs: Vec<String>,
    rounds: Option<usize>,
    repeats: Option<usize>,
    seconds: Option<f64>,
    json: Option<PathBuf>,
    into: Option<PathBuf>,
}

impl Options {
    /// Takes an option; returns whether it is one of these.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<bool, String> {
        fn number<T: std::str::FromStr>(value: &str) -> Result<Option<T>, String> {
            value.parse().map(Some).map_err(|_| format!("{value} is no number"))
        }
        let words = || value.split(',').map(str::to_owned).collect();
        match name {
            "--gt" => self.truth = Some(value.into()),
            "--peers-dir" => self.peers_dir = Some(value.into()),
            "--peers-json" => self.peers_json = Some(value.into()),
            "--peers" => self.peers = words(),
            "--codecs" => self.codecs = value.split(';').map(str::to_owned).collect(),
            "--rounds" => self.rounds = number(value)?,
            "--repeat" => self.repeats = number(value)?,
            "--min-seconds" => self.seconds = number(value)?,
            "--json" => self.json = Some(value.into()),
            "--into" => self.into = Some(value.into()),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// How long rates are measured.
struct Effort {
    /// The best of so many counts.
    repeats: usize,
    /// Each at least so long.
    seconds: f64,
    /// To train with.
    threads: usize,
}

/// One that is measured.
enum Entry {
    Ours(CodecSpec),
    Peer(String),
}

/// Measures all, prints the tables, and writes them where the options say.
pub(crate) fn run(
    folder: &Path,
    base: Option<&Path>,
    queries: Option<&Path>,
    python: Option<&Path>,
    options: &Options,
) -> Outcome<()> {
    let base = base.ok_or("--base is missing")?;
    let queries = queries.ok_or("--queries is missing")?;
    let truth = options.truth.as_deref().ok_or("--gt is missing")?;
    let data = Data::new(data::load(base)?, data::load(queries)?, data::load_ids(truth)?)?;
    let effort = Effort {
        repeats: options.repeats.unwrap_or(3),
        seconds: options.seconds.unwrap_or(1.0),
        threads: std::thread::available_parallelism()?.get(),
    };
    let peers = match (python, &options.peers_dir) {
        (Some(python), Some(peers_dir)) => Some(Peers {
            python: python.into(),
            folder: peers_dir.clone(),
            base: base.into(),
            queries: queries.into(),
            truth: truth.into(),
            scratch: folder.into(),
        }),
        _ => None,
    };
    let known: Vec<Figures> = match &options.peers_json {
        Some(path) => peers::read(path)?.into_iter().filter_map(Result::ok).collect(),
        None => Vec::new(),
    };
    let mut entries = entries(&data, peers.as_ref(), options)?;
    entries.retain(|entry| !matches!(entry, Entry::Peer(name) if known.iter().any(|row| row.name == *name)));
    let mut all = measure(&data, &entries, peers.as_ref(), &effort, options.rounds.unwrap_or(3));
    all.extend(known.into_iter().filter(|row| wanted(&row.name, &options.peers)));
    let tables = tables::tables(&all, data.dimension());
    println!("{} × {}, {} queries\n\n{tables}", data.rows(), data.dimension(), data.queries());
    if let Some(path) = &options.json {
        let codecs: Vec<_> = all.iter().map(Figures::json).collect();
        let document = json!({
            "rows": data.rows(), "dimension": data.dimension(), "queries": data.queries(), "codecs": codecs,
        });
        std::fs::write(path, format!("{document:#}\n"))?;
    }
    if let Some(path) = &options.into {
        std::fs::write(path, tables::renew(&std::fs::read_to_string(path)?, &tables)?)?;
    }
    Ok(())
}

/// Whether a name holds one of some parts, or there are none.
fn wanted(name: &str, parts: &[String]) -> bool {
    parts.is_empty() || parts.iter().any(|part| name.contains(part))
}

/// Ours and the peers' by turns.
fn entries(data: &Data, peers: Option<&Peers>, options: &Options) -> Outcome<Vec<Entry>> {
    let ours =
        ours::specs(data.dimension()).into_iter().filter(|spec| wanted(&spec.to_string(), &options.codecs));
    let theirs = match peers {
        Some(peers) => peers.names()?.into_iter().filter(|name| wanted(name, &options.peers)).collect(),
        None => Vec::new(),
    };
    let (mut ours, mut theirs) = (ours.map(Entry::Ours), theirs.into_iter().map(Entry::Peer));
    let mut entries = Vec::new();
    loop {
        let turn = [ours.next(), theirs.next()];
        if turn.iter().all(Option::is_none) {
            return Ok(entries);
        }
        entries.extend(turn.into_iter().flatten());
    }
}

/// The median figures of all that can be measured.
fn measure(
    data: &Data,
    entries: &[Entry],
    peers: Option<&Peers>,
    effort: &Effort,
    rounds: usize,
) -> Vec<Figures> {
    let mut measured: Vec<Vec<Figures>> = entries.iter().map(|_| Vec::new()).collect();
    let mut is_over = vec![false; entries.len()];
    for round in 1..=rounds {
        for ((entry, figures), is_over) in entries.iter().zip(&mut measured).zip(&mut is_over) {
            if *is_over {
                continue;
            }
            let start = Instant::now();
            let (name, outcome) = match (entry, peers) {
                (Entry::Ours(spec), _) => (spec.to_string(), ours::measure(spec, data, effort)),
                (Entry::Peer(name), Some(peers)) => (name.clone(), peers.run(name, effort)),
                (Entry::Peer(_), None) => continue,
            };
            let took = start.elapsed().as_secs_f64();
            match outcome {
                Ok(found) => {
                    eprintln!("{round}: {name}: {} ({took:.0} s)", found.json());
                    figures.push(found);
                }
                Err(error) => eprintln!("{round}: {name}: failed: {error}"),
            }
            *is_over = took > SLOW_S;
        }
    }
    measured.iter().filter_map(|rounds| Figures::median(rounds)).collect()
}

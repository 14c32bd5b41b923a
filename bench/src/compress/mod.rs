//! Codecs beside those of other libraries at equal bytes: recall, rates of scan and encoding, training.
//!
//! Ours and the peers' are run by turns, in rounds; of each figure the median over the rounds counts. What takes
//! longer than [`SLOW_S`] is run in the first round only, whosever it is.

mod figures;
mod ours;
mod tables;

use std::path::Path;
use std::time::Instant;

use codegraph_vector_ann::codec::CodecSpec;
use serde_json::json;

use crate::beside::{Input, Options, wanted};
use crate::data;
use crate::peers::{Effort, Peers};
use figures::Figures;
use ours::Data;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Neighbours that are asked for.
const NEIGHBOURS: usize = 10;

/// What prints the names of the peers' codecs.
const NAMES: &str = "import compression; print(*compression.CODECS)";

/// Seconds of a run that is not repeated.
const SLOW_S: f64 = 90.0;

/// One that is measured.
enum Entry {
    Ours(CodecSpec),
    Peer(String),
}

/// Measures all, prints the tables, and writes them where the options say. `codecs` are parts of names; all if there
/// are none.
pub(crate) fn run(
    folder: &Path,
    input: &Input<'_>,
    python: Option<&Path>,
    options: &Options,
    codecs: &[String],
) -> Outcome<()> {
    let data = Data::new(data::load(input.base)?, data::load(input.queries)?, data::load_ids(input.truth)?)?;
    let effort = options.effort()?;
    let peers = options.peers(python, input, folder);
    let known: Vec<Figures> = match &options.peers_json {
        Some(path) => figures::read(&std::fs::read_to_string(path)?).filter_map(Result::ok).collect(),
        None => Vec::new(),
    };
    let mut entries = entries(&data, peers.as_ref(), options, codecs)?;
    entries.retain(|entry| !matches!(entry, Entry::Peer(name) if known.iter().any(|row| row.name == *name)));
    let mut all = measure(&data, &entries, peers.as_ref(), &effort, options.rounds());
    all.extend(known.into_iter().filter(|row| options.wants_peer(&row.name)));
    let tables = tables::tables(&all, data.dimension());
    println!("{} × {}, {} queries\n\n{tables}", data.rows(), data.dimension(), data.queries());
    if let Some(path) = &options.json {
        let codecs: Vec<_> = all.iter().map(Figures::json).collect();
        let document = json!({
            "rows": data.rows(), "dimension": data.dimension(), "queries": data.queries(), "codecs": codecs,
        });
        std::fs::write(path, format!("{document:#}\n"))?;
    }
    options.write("compress", &tables)
}

/// One of theirs.
fn run_peer(peers: &Peers, name: &str, effort: &Effort) -> Outcome<Figures> {
    let lines = peers.run(&["exact", "--bytes"], name, NEIGHBOURS, effort)?;
    Ok(figures::read(&lines).next().ok_or("no line")??)
}

/// Ours and the peers' by turns.
fn entries(data: &Data, peers: Option<&Peers>, options: &Options, codecs: &[String]) -> Outcome<Vec<Entry>> {
    let ours = ours::specs(data.dimension()).into_iter().filter(|spec| wanted(&spec.to_string(), codecs));
    let theirs = match peers {
        Some(peers) => peers.names(NAMES)?.into_iter().filter(|name| options.wants_peer(name)).collect(),
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
                (Entry::Peer(name), Some(peers)) => (name.clone(), run_peer(peers, name, effort)),
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

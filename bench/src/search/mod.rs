//! Searches beside those of other libraries, at equal recall: queries a second of a batch on one thread, and the time of
//! one query at a time.
//!
//! Ours is measured right before each of the peers, so that what else the machine does hits both; a ratio is the middle
//! of those over the rounds. What takes longer than [`SLOW_S`] is run in the first round only.

mod ours;
mod rows;
mod tables;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::beside::{Input, Options};
use crate::peers::{Effort, Peers};
use ours::Ours;
use rows::{Ratios, Row, Summary, medians};
use tables::Measured;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Neighbours that are asked for.
const NEIGHBOURS: usize = 10;

/// What prints the names of all peers.
const NAMES: &str = "import libs, stores; print(*libs.LIBS, *stores.STORES)";

/// Seconds of a run that is not repeated.
const SLOW_S: f64 = 600.0;

/// A peer, and ours right before it.
struct Turn {
    peer: String,
    ours: Vec<Row>,
    theirs: Vec<Row>,
}

/// Measures all, prints the tables, and writes them where the options say. `more` are words for `cgv bench search`.
pub(crate) fn run(
    folder: &Path,
    input: &Input<'_>,
    python: Option<&Path>,
    options: &Options,
    more: &[String],
) -> Outcome<()> {
    let ours = Ours::new(folder, input, more)?;
    let known = known(options)?;
    let peers = options.peers(python, input, folder);
    let mut names = peers.as_ref().map_or(Ok(Vec::new()), |peers| peers.names(NAMES))?;
    names.retain(|name| options.wants_peer(name) && !known.iter().any(|row| row.peer() == name));
    let mut journal = Journal::open(options.json.as_deref())?;
    let mut turns = Vec::new();
    let effort = options.effort()?;
    // The first run builds, and stands for ours where there are no peers.
    let mut own = ours.run(&effort)?;
    journal.write(&own, "")?;
    if let Some(peers) = &peers {
        let mut is_over = vec![false; names.len()];
        for round in 1..=options.rounds() {
            for (name, is_over) in names.iter().zip(&mut is_over).filter(|(_, is_over)| !**is_over) {
                let start = Instant::now();
                let turn = turn(&ours, peers, name, &effort, &mut journal);
                let took = start.elapsed().as_secs_f64();
                eprintln!("{round}: {name}: {took:.0} s");
                *is_over = took > SLOW_S;
                turns.extend(turn?);
            }
        }
    }
    own.extend(turns.iter().flat_map(|turn| turn.ours.iter().cloned()));
    let own = medians(&own);
    let mut theirs: Vec<Row> = turns.iter().flat_map(|turn| turn.theirs.iter().cloned()).collect();
    theirs.extend(known);
    let theirs = medians(&theirs);
    let measured = measured(&ours, &own, &theirs, &turns, folder)?;
    let title = title(&own);
    let all: Vec<&Row> = own.iter().chain(&theirs).collect();
    ours.summary(&all, folder, options.svg.as_deref().map(|svg| (svg, title.as_str())))?;
    let picture = options.svg.as_deref().map(|svg| picture(svg, options.into()));
    let tables = format!("{title}.\n\n{}{}", picture.unwrap_or_default(), tables::tables(&measured));
    println!("{tables}");
    options.write("search", &tables)
}

/// Rows of peers that need not be run.
fn known(options: &Options) -> Outcome<Vec<Row>> {
    let Some(path) = &options.peers_json else { return Ok(Vec::new()) };
    let rows = rows::read(&std::fs::read_to_string(path)?).into_iter().filter_map(|row| match row {
        Ok(row) => Some(row),
        Err(error) => {
            eprintln!("left out: {error}");
            None
        }
    });
    Ok(rows.filter(|row| options.wants_peer(row.peer()) && !tables::is_ours(row.peer())).collect())
}

/// Ours, then a peer. `None` if the peer cannot be run here, which is said.
fn turn(
    ours: &Ours,
    peers: &Peers,
    name: &str,
    effort: &Effort,
    journal: &mut Journal,
) -> Outcome<Option<Turn>> {
    let own = ours.run(effort)?;
    journal.write(&own, name)?;
    let lines = match peers.run(&["--threads", "1"], name, NEIGHBOURS, effort) {
        Ok(lines) => lines,
        Err(error) => {
            eprintln!("{name}: {error}");
            return Ok(None);
        }
    };
    let mut theirs = Vec::new();
    for row in rows::read(&lines) {
        match row {
            Ok(row) => theirs.push(row),
            Err(error) => eprintln!("{name}: {error}"),
        }
    }
    journal.write(&theirs, "")?;
    Ok((!theirs.is_empty()).then(|| Turn { peer: name.to_owned(), ours: own, theirs }))
}

/// What is to be shown of ours and of each peer.
fn measured(
    ours: &Ours,
    own: &[Row],
    theirs: &[Row],
    turns: &[Turn],
    scratch: &Path,
) -> Outcome<Vec<Measured>> {
    let all: Vec<&Row> = own.iter().chain(theirs).collect();
    let summaries = ours.summary(&all, scratch, None)?;
    let first = summaries.first().ok_or("nothing was measured")?.clone();
    let mut measured = Vec::new();
    for summary in summaries {
        let rows: Vec<Row> = all.iter().filter(|row| row.peer() == summary.peer).copied().cloned().collect();
        let mut rounds = Vec::new();
        for turn in turns.iter().filter(|turn| turn.peer == summary.peer) {
            let rows: Vec<&Row> = turn.ours.iter().chain(&turn.theirs).collect();
            if let [ours, theirs] = &ours.summary(&rows, scratch, None)?[..] {
                rounds.push(ours.ratios(theirs));
            }
        }
        // One that was measured elsewhere is held against all of ours.
        let ratios = if rounds.is_empty() { first.ratios(&summary) } else { Ratios::median(&rounds) };
        measured.push(Measured { summary, ratios, rows });
    }
    Ok(measured)
}

/// What was searched.
fn title(own: &[Row]) -> String {
    let figure = |name: &str| own.first().and_then(|row| row.number(name)).unwrap_or_default();
    format!(
        "Recall@{NEIGHBOURS} and queries a second, one thread, {} × {} vectors",
        figure("n"),
        figure("dim")
    )
}

/// The picture, as a page names it that lies where the tables go.
fn picture(svg: &Path, page: Option<&Path>) -> String {
    let folder: PathBuf = page.and_then(Path::parent).map_or_else(PathBuf::new, Path::to_owned);
    let shown = svg.strip_prefix(folder).unwrap_or(svg);
    format!("![recall and queries a second]({})\n\n", shown.display())
}

/// Every row as soon as it is there: a run takes hours.
struct Journal(Option<std::fs::File>);

impl Journal {
    fn open(path: Option<&Path>) -> std::io::Result<Self> {
        let open = |path| std::fs::File::options().append(true).create(true).open(path);
        Ok(Self(path.map(open).transpose()?))
    }

    /// Those of ours say beside whom they were measured.
    fn write(&mut self, rows: &[Row], beside: &str) -> std::io::Result<()> {
        let Some(file) = &mut self.0 else { return Ok(()) };
        for row in rows {
            let row = if beside.is_empty() { row.clone() } else { row.with("beside", beside) };
            writeln!(file, "{}", row.json())?;
        }
        file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_named_from_the_page() {
        let of = |svg: &str, page: Option<&str>| picture(Path::new(svg), page.map(Path::new));
        assert!(of("a/docs/x.svg", Some("a/PAGE.md")).contains("](docs/x.svg)"));
        assert!(of("docs/x.svg", Some("PAGE.md")).contains("](docs/x.svg)"));
        assert!(of("docs/x.svg", None).contains("](docs/x.svg)"));
    }
}

//! Indexing: a whole run into a new store, what parsing and embedding take of it, the run after it that
//! finds nothing changed, and what a run needs of memory.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use codegraph_vector_indexer::{Embedder, EmbedderSpec, IndexSummary, Texts, parse};

use crate::memory::memory;
use crate::report::{Goal, Report, median};
use crate::retrieval::{Corpus, Outcome, Source, index_into};

const REPEATS: usize = 5;

/// What is asked of the default embedder on two cores.
const NODES_A_SECOND: f64 = 20_000.0;

/// What is asked where files are unchanged.
const UNCHANGED_MB_A_SECOND: f64 = 50.0;

/// Trees in the roots that memory is looked at with: from the second on the store's memtable is full.
const COPIES: [usize; 3] = [1, 4, 16];

/// What definitions begin with; the name after it is changed from copy to copy, so that no text is there twice.
const KEYWORDS: [&str; 6] = ["def ", "class ", "fn ", "struct ", "func ", "function "];

/// Writes the corpus so many times into a folder, all of it a day old: what is just written has to be read again.
fn write_trees(root: &Path, corpus: &Corpus, copies: usize) -> Outcome<()> {
    let yesterday = SystemTime::now() - Duration::from_secs(24 * 3600);
    for copy in 0..copies {
        for source in &corpus.sources {
            let path = root.join(format!("copy-{copy}")).join(&source.path);
            std::fs::create_dir_all(path.parent().unwrap_or(root))?;
            let renamed =
                |text: String, keyword: &&str| text.replace(*keyword, &format!("{keyword}c{copy}_"));
            let mut file = File::create(path)?;
            file.write_all(KEYWORDS.iter().fold(source.text.clone(), renamed).as_bytes())?;
            file.set_modified(yesterday)?;
        }
    }
    Ok(())
}

/// How long something took by the clock, and of the CPUs, in seconds.
#[derive(Clone, Copy)]
pub(crate) struct Took {
    pub(crate) wall: f64,
    pub(crate) cpu: f64,
}

/// Takes the time. The machine may be busy with something else: then the CPUs' time tells more.
pub(crate) fn timed<T>(work: impl FnOnce() -> Outcome<T>) -> Outcome<(T, Took)> {
    let (start, cpu) = (Instant::now(), cpu_seconds()?);
    let done = work()?;
    Ok((done, Took { wall: start.elapsed().as_secs_f64(), cpu: cpu_seconds()? - cpu }))
}

/// What this process has used of the CPUs so far.
fn cpu_seconds() -> Outcome<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| -> Outcome<f64> { Ok(fields.get(at).ok_or("no such field")?.parse()?) };
    // Fields 14 and 15 of proc(5), in ticks of a hundredth of a second.
    Ok((ticks(11)? + ticks(12)?) / 100.0)
}

/// The middle of several runs, clock and CPUs each by itself.
pub(crate) fn middle(runs: &[Took]) -> Took {
    let of = |figure: fn(&Took) -> f64| median(runs.iter().map(figure).collect());
    Took { wall: of(|took| took.wall), cpu: of(|took| took.cpu) }
}

/// Does something to every file on as many threads as there are CPUs.
fn each_file(sources: &[Source], work: impl Fn(&Source) -> Outcome<()> + Sync) -> Outcome<()> {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism()?.get();
    std::thread::scope(|scope| {
        let worker = || {
            let files = std::iter::from_fn(|| sources.get(next.fetch_add(1, Ordering::Relaxed)));
            files.into_iter().try_for_each(&work)
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        let join = |worker: std::thread::ScopedJoinHandle<'_, Outcome<()>>| {
            worker.join().unwrap_or_else(|_| Err("a thread panicked".into()))
        };
        workers.into_iter().try_for_each(join)
    })
}

/// Parses a file; the number of nodes in it.
fn parse_one(source: &Source) -> usize {
    parse(&source.text, source.language).nodes.len()
}

/// Parses a file and embeds what is in it.
fn parse_and_embed(source: &Source, embedder: &dyn Embedder) -> Outcome<()> {
    let parsed = parse(&source.text, source.language);
    let texts = Texts::new(&source.text, &parsed);
    let texts: Vec<_> = (0..parsed.nodes.len()).map(|at| texts.node(at)).collect();
    for batch in texts.chunks(embedder.batch().max(1)) {
        std::hint::black_box(embedder.embed_nodes(batch)?);
    }
    Ok(())
}

/// A run with the default embedder, from opening the store to closing it.
fn run_index(store: &Path, root: &Path) -> Outcome<IndexSummary> {
    let (store, summary) = index_into(store, &EmbedderSpec::default(), root)?;
    store.close()?;
    Ok(summary)
}

/// Measures all of it over a corpus, as `Corpus::open` takes it.
pub(crate) fn run(folder: &Path, which: &str, report: &mut Report) -> Outcome<()> {
    let corpus = Corpus::open(which, None)?;
    let roots = COPIES.map(|copies| folder.join(format!("trees-{copies}")));
    for (root, copies) in roots.iter().zip(COPIES) {
        write_trees(root, &corpus, copies)?;
    }
    let one = &roots[0];
    let embedder = EmbedderSpec::default().open(None)?;
    let (mut parsing, mut both, mut fresh, mut again) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut summary = IndexSummary::default();
    for repeat in 0..REPEATS {
        let parse_only = |source: &Source| {
            std::hint::black_box(parse_one(source));
            Ok(())
        };
        parsing.push(timed(|| each_file(&corpus.sources, parse_only))?.1);
        both.push(timed(|| each_file(&corpus.sources, |source| parse_and_embed(source, &*embedder)))?.1);
        let store = folder.join(format!("store-{repeat}"));
        let (first, took) = timed(|| run_index(&store, one))?;
        fresh.push(took);
        summary = first;
        let (second, took) = timed(|| run_index(&store, one))?;
        again.push(took);
        if second.files_unchanged != summary.files || summary.files == 0 {
            return Err(format!("the second run found changes: {second:?}").into());
        }
        std::fs::remove_dir_all(&store)?;
    }
    let nodes: usize = corpus.sources.iter().map(parse_one).sum();
    let mb = corpus.bytes() as f64 / 1e6;
    let figure = |nodes: f64, took: Took| {
        let Took { wall, cpu } = took;
        format!("{:.0} nodes/s, {:.1} MB/s, {cpu:.2} s of CPU", nodes / wall, mb / wall)
    };
    let [parsing, both, fresh, again] = [parsing, both, fresh, again].map(|runs| middle(&runs));
    let rate = |nodes: f64, took: Took| nodes / took.wall / NODES_A_SECOND;
    let goal = &Goal::AtLeast(1.0);
    let asked = || format!("{NODES_A_SECOND:.0} nodes/s");
    let what = format!("{}: {} files, {mb:.1} MB, {nodes} nodes", corpus.name, corpus.sources.len());
    let nodes = nodes as f64;
    report.ratio(&format!("{what}, parsed"), figure(nodes, parsing), asked(), rate(nodes, parsing), goal);
    report.ratio("the same parsed and embedded", figure(nodes, both), asked(), rate(nodes, both), goal);
    let stored = summary.nodes as f64;
    let what = format!("the same indexed into a new store, {stored} nodes with those of files");
    report.ratio(&what, figure(stored, fresh), asked(), rate(stored, fresh), goal);
    let speed = mb / again.wall;
    report.ratio(
        "the same indexed again, nothing changed",
        format!("{:.0} ms, {speed:.0} MB/s", again.wall * 1e3),
        format!("{UNCHANGED_MB_A_SECOND} MB/s"),
        speed / UNCHANGED_MB_A_SECOND,
        goal,
    );
    let mut peaks = Vec::new();
    for root in &roots {
        peaks.push(peaks_of(folder, root)?);
    }
    let shown = |bytes: f64| format!("{:.0} MB", bytes / 1e6);
    let [_, few, many] = COPIES;
    for (at, what) in ["memory, mapped files included,", "anonymous memory"].into_iter().enumerate() {
        let [one, small, large] = [0, 1, 2].map(|root: usize| peaks[root][at]);
        let what =
            format!("most {what} while {many} such trees are indexed beside {few} ({} for one)", shown(one));
        report.ratio(&what, shown(large), shown(small), large / small, &Goal::AtMost(1.2));
    }
    Ok(())
}

/// Most bytes that were resident in a process that indexed a folder: all, and those that no file stands behind.
fn peaks_of(folder: &Path, root: &Path) -> Outcome<[f64; 2]> {
    let place = folder.join("child");
    std::fs::create_dir(&place)?;
    let output = Command::new(std::env::current_exe()?)
        .arg("index-once")
        .arg("--dir")
        .arg(&place)
        .arg("--corpus")
        .arg(root)
        .output()?;
    std::fs::remove_dir_all(&place)?;
    let text = String::from_utf8(output.stdout)?;
    let figures: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let said = || format!("the child said {text:?} {}", String::from_utf8_lossy(&output.stderr));
    Ok(figures.try_into().map_err(|_| said())?)
}

/// Indexes a folder and looks at itself meanwhile; prints the figures for the parent.
pub(crate) fn child(place: &Path, root: &Path) -> Outcome<()> {
    let done = AtomicBool::new(false);
    let look = |name| memory(name).map_err(|error| error.to_string());
    let anonymous = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut most = 0.0_f64;
            while !done.load(Ordering::Relaxed) {
                most = most.max(look("RssAnon:")?);
                std::thread::sleep(Duration::from_millis(5));
            }
            Ok::<_, String>(most)
        });
        let outcome = run_index(&place.join("store"), root);
        done.store(true, Ordering::Relaxed);
        let most = watcher.join().map_err(|_| "the watcher panicked")?;
        outcome.and(Ok(most?))
    })?;
    println!("{} {anonymous}", look("VmHWM:")?);
    Ok(())
}

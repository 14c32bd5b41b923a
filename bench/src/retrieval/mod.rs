//! Retrieval: how well functions are found by the first sentences of the documentation that they had.
//!
//! The code is foreign, all documentation is taken out of it before anything is indexed, and each first
//! sentence is a question whose one right answer is its function, among all definitions of the corpus.
//! BM25 over the same texts is the yardstick. What an embedder was tuned on must not be measured on.

mod bm25;
mod compare;
mod corpus;
mod documents;
mod dump;
mod metrics;
mod minilm;
mod sentence;
mod systems;

pub(crate) use corpus::{Corpus, Source};
pub(crate) use systems::index_into;

use std::path::{Path, PathBuf};

use codegraph_vector_indexer::{EmbedderSpec, SearchBy};

use crate::report::{Goal, Report};
use compare::{Comparison, compare};
use documents::Documents;
use systems::{Embedded, Indexed, System, Text};

/// Errors pass between threads here.
pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// What is measured, and what is shown of it.
#[derive(Default)]
pub(crate) struct Options {
    /// Corpora as [`Corpus::open`] takes them; none for those that figures are reported of.
    pub(crate) corpora: Vec<String>,
    /// Only files of this language.
    pub(crate) language: Option<String>,
    /// A folder with MiniLM vectors of the same code, to compare with.
    pub(crate) minilm: Option<PathBuf>,
    /// Number of missed questions to show.
    pub(crate) show: usize,
    /// Write documents and questions here, and measure nothing.
    pub(crate) dump: Option<PathBuf>,
}

/// Place of the yardstick among the systems.
const YARDSTICK: usize = 0;

/// Place of the default embedder by itself.
const EMBEDDER: usize = 3;

/// Places of the searches of a store: by vectors, by words, by both.
const SEARCHED: [usize; 3] = [4, 5, 6];

/// Measures each corpus by itself, prints a table for each, and reports the means.
pub(crate) fn run(folder: &Path, options: &Options, report: &mut Report) -> Outcome<()> {
    let reported = ["stdlib", "crates"].map(str::to_owned);
    let corpora = if options.corpora.is_empty() { &reported[..] } else { &options.corpora };
    if let Some(path) = &options.dump {
        let open = |which: &String| -> Outcome<Documents> {
            Ok(Documents::of(Corpus::open(which, options.language.as_deref())?.sources))
        };
        let corpora = corpora.iter().map(open).collect::<Outcome<Vec<_>>>()?;
        return dump::write(&corpora, path);
    }
    let mut comparisons = Vec::new();
    for (number, which) in corpora.iter().enumerate() {
        let corpus = Corpus::open(which, options.language.as_deref())?;
        comparisons.push(measure(&folder.join(number.to_string()), corpus, options)?);
    }
    if comparisons.len() > 1 {
        println!("### Mean of the {} corpora\n\n{}", comparisons.len(), compare::means(&comparisons));
    }
    let mean = |system: usize| {
        comparisons.iter().map(|corpus| corpus.mrr(system)).sum::<f64>() / comparisons.len() as f64
    };
    let yardstick = mean(YARDSTICK);
    let [by_vector, by_text, by_both] = SEARCHED;
    let alone = mean(by_vector).max(mean(by_text));
    report.ratio(
        "MRR@10 of the hybrid search beside the better of vectors and words alone, mean of the corpora",
        format!("{:.3}", mean(by_both)),
        format!("{alone:.3}"),
        mean(by_both) / alone,
        &Goal::AtLeast(1.0),
    );
    for system in [EMBEDDER, by_both] {
        let ours = mean(system);
        report.ratio(
            &format!("MRR@10 of {} beside BM25, mean of the corpora", comparisons[0].names[system]),
            format!("{ours:.3}"),
            format!("{yardstick:.3}"),
            ours / yardstick,
            &Goal::AtLeast(1.1),
        );
    }
    Ok(())
}

/// One corpus: all systems over all its documents.
fn measure(folder: &Path, corpus: Corpus, options: &Options) -> Outcome<Comparison> {
    let (name, files, bytes) = (corpus.name.clone(), corpus.sources.len(), corpus.bytes());
    let corpus = Documents::of(corpus.sources);
    let documents = &corpus.documents;
    if corpus.queries.is_empty() {
        return Err(format!("{name}: none of {} definitions has a first sentence", documents.len()).into());
    }
    println!("### {name}\n");
    println!(
        "{files} files, {:.1} MB; {} definitions; {} questions of {}; {} of them stand in a comment of their function, too.\n",
        bytes as f64 / 1e6,
        documents.len(),
        corpus.queries.len(),
        corpus.candidates.len(),
        corpus.leaks(),
    );
    let spec = EmbedderSpec::Lexical;
    let indexed = Indexed::new(&spec, folder, &corpus)?;
    let split = Text::new("BM25, identifiers split", documents, bm25::split_words);
    let plain = Text::new("BM25, plain words", documents, bm25::plain_words);
    let stemmed = Text::new("BM25, identifiers split, stems", documents, bm25::stemmed_words);
    let embedded = Embedded::new(format!("{spec}, vectors alone"), indexed.embedder(), documents)?;
    let searched = |how: &str, by| indexed.searched(format!("{spec}, `cgv search{how}`"), by, documents);
    let by_vector = searched(" --vector-only", SearchBy::Vector(indexed.embedder()))?;
    let by_text = searched(" --text-only", SearchBy::Text)?;
    let by_both = searched("", SearchBy::Both(indexed.embedder()))?;
    let systems: [&dyn System; 7] = [&split, &plain, &stemmed, &embedded, &by_vector, &by_text, &by_both];
    let comparison = compare(&systems, &corpus.queries)?;
    println!("{}", comparison.table());
    if options.show > 0 {
        comparison.show(&systems, &corpus, options.show)?;
    }
    if let Some(folder) = &options.minilm {
        minilm::measure(folder, &corpus, indexed.embedder(), &spec)?;
    }
    Ok(comparison)
}

//! `cgv search`: the nodes that answer a question, or are like another one.

use std::io::{self, Write};

use clap::{Args, ValueEnum};
use codegraph_vector::{
    Error, ErrorKind, Filter, MAX_LIMIT, NodeId, PersistentVectorStore, Result, Snapshot,
};
use codegraph_vector_indexer::{
    Embedder, Found, Language, NodeKind, SearchBy, SearchOptions, node_at, printable, root_of, search_like,
    search_text, terms,
};

use crate::args::Globals;
use crate::failure::{Failure, eprintln_quiet};
use crate::hits::{Hit, Hits, Lines};
use crate::place::Place;
use crate::workspace::{self, Workspace};
use crate::{location, output};

/// Find code by what it does, or by its name
///
/// Best first: path:line, kind, name, how well it fits (1 at the most, but with --text-only), and the lines that have
/// most of the question's words. What fits is told by the embedder's vectors and by the words of names, paths and
/// content, both at once; what is named exactly as asked comes first. Works while the index is being written.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    cgv search parse the config file\n  \
    cgv search \"retry with back-off\" --language rust,go --kind function,method -k 5\n  \
    cgv search open a store --path crates/engine\n  \
    cgv search Store::open                    what is named so, then what fits its words\n  \
    cgv search --like src/main.rs:40          what is like the function at that line\n  \
    cgv search lock the file --json | jq -r '.matches[].path'")]
pub(crate) struct SearchArgs {
    /// What to look for, in words; several need no quotes
    #[arg(value_name = "TEXT", required_unless_present = "like")]
    text: Vec<String>,
    /// What is like the node at this line of a file
    #[arg(long, value_name = "PATH:LINE", conflicts_with = "text", value_parser = place, allow_hyphen_values = true)]
    like: Option<(String, u32)>,
    /// Nodes to find
    #[arg(short = 'k', long, value_name = "N", default_value = "10", allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(1..=MAX_LIMIT as i64))]
    limit: u32,
    /// Only in these languages: rust, python, javascript, typescript, go, java, c, cpp
    #[arg(long, value_name = "L", value_delimiter = ',')]
    language: Vec<String>,
    /// Only of these kinds: function, method, class, struct, enum, trait, interface, type, macro, module …
    #[arg(long, value_name = "K", value_delimiter = ',')]
    kind: Vec<String>,
    /// Only in this folder or file, or below paths that begin like this; from here, or from the indexed folder
    #[arg(long, value_name = "PREFIX")]
    path: Option<String>,
    /// Go by vectors alone, and not by words
    #[arg(long, conflicts_with = "text_only")]
    vector_only: bool,
    /// Go by words alone (BM25), and not by vectors; asks no embedder
    #[arg(long, conflicts_with = "like")]
    text_only: bool,
    /// Compare with every vector, also where the store has codes of them
    #[arg(long)]
    exact: bool,
    /// Leave the lines out
    #[arg(long)]
    no_snippet: bool,
    /// When to use colours; NO_COLOR and CLICOLOR_FORCE are heeded
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: Colour,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Colour {
    /// On a terminal
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// `PATH:LINE`, as compilers and this command print it; they may print a column behind.
fn place(text: &str) -> Result<(String, u32), &'static str> {
    let parse = |text: &str| -> Option<(String, u32)> {
        let (path, line) = text.rsplit_once(':')?;
        let line = line.parse().ok().filter(|line| *line > 0)?;
        (!path.is_empty()).then(|| (path.to_owned(), line))
    };
    let (path, line) = parse(text).ok_or("expected PATH:LINE, such as src/main.rs:40")?;
    Ok(parse(&path).unwrap_or((path, line)))
}

pub(crate) fn run(globals: &Globals, args: &SearchArgs) -> Result<(), Failure> {
    let question = args.text.join(" ");
    if args.like.is_none() && terms(&question).is_empty() {
        return Err(Failure::Usage("there is no word in the text to look for".to_owned()));
    }
    let here = location::working_folder()?;
    let store = Workspace::of(globals, &here)?.open_reading()?;
    let place = root_of(&store)?.map(|root| Place::new(&root, &here)).transpose()?;
    let filter = args.filter(place.as_ref())?;
    let options = SearchOptions { limit: args.limit as usize, filter, exact: args.exact };
    let terms = terms(&question);
    let embedder = match &args.like {
        None if !args.text_only => match workspace::embedder_of(&store) {
            Err(_) if is_empty(&store)? => None,
            opened => Some(opened?),
        },
        _ => None,
    };
    let lines = place.as_ref().filter(|_| !args.no_snippet);
    let lines = lines.map(|place| Lines { root: place.root(), terms: &terms });
    let hits = location::read(&store, |snapshot| {
        let found = match (&args.like, args.by(embedder.as_deref())) {
            (Some((path, line)), _) => like(snapshot, place.as_ref(), path, *line, &options)?,
            (None, Some(by)) => answering(snapshot, by, &question, &options)?,
            (None, None) => Found::default(),
        };
        let Found { matches, degraded } = found;
        let matches = matches.into_iter().map(|found| Hit::of(found, snapshot, lines)).collect();
        Ok(Hits { matches, degraded })
    })?;
    output::print(globals.json, &hits, |out| write(out, &hits, place.as_ref(), args.color.is_on()))?;
    if hits.degraded {
        eprintln_quiet("warning: a part of the store is damaged and was left out; see `cgv verify --repair`");
    } else if hits.matches.is_empty() {
        eprintln_quiet(&format!("note: {}", args.why_nothing(&store)?));
    } else if embedder.is_some_and(|embedder| embedder.uses_corpus())
        && hits.matches.iter().all(|hit| hit.lacks(&terms))
    {
        eprintln_quiet("note: none of these has a word of the question; say it in other words");
    }
    if hits.matches.iter().any(Hit::has_changed) {
        eprintln_quiet("note: files changed since they were indexed; `cgv index` reads them again");
    }
    Ok(())
}

fn write(out: &mut dyn Write, hits: &Hits, place: Option<&Place>, colour: bool) -> io::Result<()> {
    hits.matches.iter().try_for_each(|hit| hit.write(out, place, colour))
}

fn answering(
    snapshot: &Snapshot,
    by: SearchBy<'_>,
    question: &str,
    options: &SearchOptions,
) -> Result<Found> {
    search_text(snapshot, by, question, options).map_err(|error| match by {
        SearchBy::Both(embedder) | SearchBy::Vector(embedder) => {
            error.context(format_args!("searching by the embedder {}", embedder.id().name))
        }
        SearchBy::Text => error,
    })
}

fn like(
    snapshot: &Snapshot,
    place: Option<&Place>,
    path: &str,
    line: u32,
    options: &SearchOptions,
) -> Result<Found> {
    search_like(snapshot, node(snapshot, place, path, line)?, options)
}

/// The node that is meant.
fn node(snapshot: &Snapshot, place: Option<&Place>, path: &str, line: u32) -> Result<NodeId> {
    let meanings = place.map_or_else(|| vec![path.to_owned()], |place| place.meanings(path));
    for path in meanings.iter().filter(|path| !path.is_empty()) {
        if let Some((id, _)) = node_at(snapshot, path, line)? {
            return Ok(id);
        }
    }
    let message = format!("nothing is indexed at {path}:{line}; `cgv index` reads files that are new");
    Err(Error::new(ErrorKind::NotFound, message))
}

fn is_empty(store: &PersistentVectorStore) -> Result<bool> {
    Ok(store.count(&Filter::everything())? == 0)
}

impl Colour {
    fn is_on(self) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never,
        }
    }
}

impl SearchArgs {
    /// What the question goes by; nothing if that takes an embedder, and there is none.
    fn by<'a>(&self, embedder: Option<&'a dyn Embedder>) -> Option<SearchBy<'a>> {
        match embedder {
            _ if self.text_only => Some(SearchBy::Text),
            Some(embedder) if self.vector_only => Some(SearchBy::Vector(embedder)),
            embedder => embedder.map(SearchBy::Both),
        }
    }

    fn filter(&self, place: Option<&Place>) -> Result<Filter, Failure> {
        let mut filters = Vec::new();
        for (field, values) in [("language", &self.language), ("kind", &self.kind)] {
            if !values.is_empty() {
                filters.push(Filter::any_of(field, values.iter().map(|value| known_as(value))));
            }
        }
        if let Some(prefix) = &self.path {
            filters.push(below(prefix, place)?);
        }
        Ok(Filter::all(filters))
    }

    /// What to tell somebody whose search found nothing.
    fn why_nothing(&self, store: &PersistentVectorStore) -> Result<String> {
        if is_empty(store)? {
            return Ok("the store is empty; `cgv index PATH` fills it".to_owned());
        }
        let languages = Language::ALL.map(Language::name);
        let kinds = NodeKind::ALL.map(NodeKind::name);
        for (field, asked, known) in
            [("language", &self.language, &languages[..]), ("kind", &self.kind, &kinds[..])]
        {
            let there = there(store, field, known)?;
            if let Some(missing) = asked.iter().find(|asked| !there.contains(&&*known_as(asked))) {
                let (missing, there) = (printable(missing), there.join(", "));
                return Ok(format!(
                    "nothing found: no node has the {field} {missing}; the store has {there}"
                ));
            }
        }
        let narrowed = !self.language.is_empty() || !self.kind.is_empty() || self.path.is_some();
        Ok(match (narrowed, &self.like) {
            (true, _) => "nothing found with these --language, --kind and --path; try with fewer of them",
            (false, Some(_)) => "nothing found: there is no other node",
            (false, None) => "nothing found: no word of it is known; say it in other words",
        }
        .to_owned())
    }
}

/// A language or kind as the store names it, from the way that people or file names do.
fn known_as(value: &str) -> String {
    let value = value.trim().to_lowercase();
    match &*value {
        "rs" => "rust",
        "py" => "python",
        "js" | "jsx" => "javascript",
        "ts" | "tsx" => "typescript",
        "golang" => "go",
        "c++" | "cc" | "cxx" => "cpp",
        "fn" | "func" | "def" => "function",
        _ => return value,
    }
    .to_owned()
}

/// Which of these values nodes have in a field.
fn there<'a>(store: &PersistentVectorStore, field: &str, known: &[&'a str]) -> Result<Vec<&'a str>> {
    let mut there = Vec::new();
    for value in known {
        // TypeScript is two languages of one name.
        if !there.contains(value) && store.count(&Filter::eq(field, *value))? > 0 {
            there.push(*value);
        }
    }
    Ok(there)
}

/// What is in a folder, is a file, or begins like that.
fn below(typed: &str, place: Option<&Place>) -> Result<Filter, Failure> {
    let Some(place) = place else { return Ok(Filter::path_prefix(typed)) };
    let meanings = place.meanings(typed);
    if meanings.is_empty() {
        let root = place.root().display();
        return Err(Failure::Usage(format!(
            "--path {typed} leads out of {root}, which the store is the index of"
        )));
    }
    for path in &meanings {
        let full = place.root().join(path);
        if full.is_dir() {
            let is_root = path.is_empty();
            return Ok(if is_root { Filter::everything() } else { Filter::path_prefix(format!("{path}/")) });
        }
        if full.is_file() {
            return Ok(Filter::path(path.as_str()));
        }
    }
    Ok(Filter::any(meanings.into_iter().map(Filter::path_prefix)))
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn a_place_is_a_path_and_a_line() {
        assert_eq!(place("src/a.rs:40"), Ok(("src/a.rs".to_owned(), 40)));
        assert_eq!(place("src/a.rs:40:7"), Ok(("src/a.rs".to_owned(), 40)));
        assert_eq!(place("a:b:4"), Ok(("a:b".to_owned(), 4)));
        for wrong in ["", "a", "a:", ":4", "a:0", "a:-1", "a:b"] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
    }
}

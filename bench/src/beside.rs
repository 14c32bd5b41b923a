//! What benchmarks beside other people's libraries have in common: their options, and where their tables go.

use std::path::{Path, PathBuf};

use crate::peers::{Effort, Peers};

/// What they are given on the command line.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) truth: Option<PathBuf>,
    peers_dir: Option<PathBuf>,
    pub(crate) peers_json: Option<PathBuf>,
    /// Parts of names; all if there are none.
    pub(crate) peers: Vec<String>,
    rounds: Option<usize>,
    repeats: Option<usize>,
    seconds: Option<f64>,
    pub(crate) json: Option<PathBuf>,
    into: Option<PathBuf>,
    /// The name of the marks that tables go between, if not the usual one.
    mark: Option<String>,
    pub(crate) svg: Option<PathBuf>,
}

/// Files that all are given.
pub(crate) struct Input<'a> {
    pub(crate) base: &'a Path,
    pub(crate) queries: &'a Path,
    pub(crate) truth: &'a Path,
}

impl Options {
    /// Takes an option; returns whether it is one of these.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<bool, String> {
        fn number<T: std::str::FromStr>(value: &str) -> Result<Option<T>, String> {
            value.parse().map(Some).map_err(|_| format!("{value} is no number"))
        }
        match name {
            "--gt" => self.truth = Some(value.into()),
            "--peers-dir" => self.peers_dir = Some(value.into()),
            "--peers-json" => self.peers_json = Some(value.into()),
            "--peers" => self.peers = value.split(',').map(str::to_owned).collect(),
            "--rounds" => self.rounds = number(value)?,
            "--repeat" => self.repeats = number(value)?,
            "--min-seconds" => self.seconds = number(value)?,
            "--json" => self.json = Some(value.into()),
            "--into" => self.into = Some(value.into()),
            "--mark" => self.mark = Some(value.into()),
            "--svg" => self.svg = Some(value.into()),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The files, all of which have to be there.
    pub(crate) fn input<'a>(
        &'a self,
        base: Option<&'a Path>,
        queries: Option<&'a Path>,
    ) -> Result<Input<'a>, String> {
        Ok(Input {
            base: base.ok_or("--base is missing")?,
            queries: queries.ok_or("--queries is missing")?,
            truth: self.truth.as_deref().ok_or("--gt is missing")?,
        })
    }

    /// The harness of the peers, if it is given.
    pub(crate) fn peers(&self, python: Option<&Path>, input: &Input<'_>, scratch: &Path) -> Option<Peers> {
        Some(Peers {
            python: python?.into(),
            folder: self.peers_dir.clone()?,
            base: input.base.into(),
            queries: input.queries.into(),
            truth: input.truth.into(),
            scratch: scratch.into(),
        })
    }

    /// How long everything is measured.
    pub(crate) fn effort(&self) -> std::io::Result<Effort> {
        Ok(Effort {
            repeats: self.repeats.unwrap_or(3),
            seconds: self.seconds.unwrap_or(1.0),
            threads: std::thread::available_parallelism()?.get(),
        })
    }

    pub(crate) fn rounds(&self) -> usize {
        self.rounds.unwrap_or(3)
    }

    /// Whether a peer is asked for.
    pub(crate) fn wants_peer(&self, name: &str) -> bool {
        wanted(name, &self.peers)
    }

    /// The file that tables are written into.
    pub(crate) fn into(&self) -> Option<&Path> {
        self.into.as_deref()
    }

    /// Writes tables between the marks of that file, if there is one.
    pub(crate) fn write(&self, mark: &str, tables: &str) -> Result<(), Box<dyn std::error::Error>> {
        let Some(path) = &self.into else { return Ok(()) };
        let mark = self.mark.as_deref().unwrap_or(mark);
        Ok(std::fs::write(path, renew(&std::fs::read_to_string(path)?, mark, tables)?)?)
    }
}

/// Whether a name holds one of some parts, or there are none.
pub(crate) fn wanted(name: &str, parts: &[String]) -> bool {
    parts.is_empty() || parts.iter().any(|part| name.contains(part))
}

/// A table in Markdown.
pub(crate) fn table(columns: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut text = format!("| {} |\n|{}\n", columns.join(" | "), " --- |".repeat(columns.len()));
    for row in rows {
        text.push_str(&format!("| {} |\n", row.join(" | ")));
    }
    text
}

/// The text with what stands between its two marks of this name replaced.
fn renew(text: &str, mark: &str, tables: &str) -> Result<String, String> {
    let (opening, closing) =
        (format!("<!-- bench {mark}: begin -->\n"), format!("<!-- bench {mark}: end -->"));
    let begin =
        text.find(&opening).ok_or_else(|| format!("there is no mark where {mark} begins"))? + opening.len();
    let end =
        begin + text[begin..].find(&closing).ok_or_else(|| format!("there is no mark where {mark} ends"))?;
    Ok(format!("{}\n{tables}{}", &text[..begin], &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_is_renewed() {
        let text = "above\n<!-- bench compress: begin -->\nold\n<!-- bench compress: end -->\nbelow\n";
        let renewed = renew(text, "compress", "new\n").unwrap();
        assert_eq!(
            renewed,
            "above\n<!-- bench compress: begin -->\n\nnew\n<!-- bench compress: end -->\nbelow\n"
        );
        assert_eq!(renew(&renewed, "compress", "new\n").unwrap(), renewed);
        assert!(renew(text, "search", "new").is_err());
        assert!(
            renew("<!-- bench compress: end -->\n<!-- bench compress: begin -->\n", "compress", "new")
                .is_err()
        );
    }

    #[test]
    fn a_name_is_wanted_for_a_part_of_it() {
        let parts = ["hnsw".to_owned(), "flat".to_owned()];
        assert_eq!(["hnswlib", "faiss-flat", "scann"].map(|name| wanted(name, &parts)), [true, true, false]);
        assert!(wanted("scann", &[]));
    }
}

//! A static model on disk, as Model2Vec distils them: a vector for each token, a text's vector is their mean.
//!
//! The folder holds `tokenizer.json`, `model.safetensors` and `config.json`. The texts are read as Model2Vec itself
//! reads them: cut after 512 tokens, unknown words passed over, tokens weighed if the model has weights, the
//! mean made a unit vector if its configuration says so. What holds of a model is checked when it is opened, so that
//! no text makes it fail later.

mod safetensors;
mod wordpiece;

use std::path::Path;

use codegraph_vector::{EmbedderId, Error, ErrorKind, Result};
use codegraph_vector_base::limits::MAX_DIMENSION;
use serde::Deserialize;
use xxhash_rust::xxh3::Xxh3;

use self::safetensors::Tensors;
use self::wordpiece::WordPiece;
use super::{Embedder, NodeText};

/// Most tokens of a text, Model2Vec's own default.
const MAX_TOKENS: usize = 512;

/// Most characters of a text: about as many as that many tokens have.
const MAX_CHARS: usize = 6_000;

/// `config.json`, as far as it matters.
#[derive(Deserialize)]
struct Config {
    normalize: Option<bool>,
}

/// A static model.
pub(super) struct Model2Vec {
    id: EmbedderId,
    tokenizer: WordPiece,
    tables: Tables,
    normalize: bool,
}

/// `model.safetensors`; all places are within bounds.
struct Tables {
    dimension: usize,
    /// Rows of `dimension` numbers.
    numbers: Vec<f32>,
    /// The row of each token and what it weighs.
    tokens: Vec<(usize, f32)>,
}

impl Model2Vec {
    /// Reads a model.
    ///
    /// # Errors
    /// `NotFound` if a file is missing; `Unsupported` if its tokenizer is of another kind than WordPiece;
    /// `InvalidInput` if the files are not a model's.
    pub(super) fn open(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        let mut hash = Xxh3::new();
        let mut read = |name| read(folder, name, &mut hash);
        let (tokenizer, model, config) =
            (read("tokenizer.json")?, read("model.safetensors")?, read("config.json")?);
        let in_file =
            |name: &str, error: Error| error.context("this is not a model2vec model").at(folder.join(name));
        let tokenizer = WordPiece::parse(&tokenizer).map_err(|error| in_file("tokenizer.json", error))?;
        let config: Config = serde_json::from_slice(&config)
            .map_err(|error| in_file("config.json", Error::invalid(error.to_string())))?;
        let tables = Tables::parse(&model, tokenizer.ids());
        let tables = tables.map_err(|error| in_file("model.safetensors", error))?;
        let id = EmbedderId {
            name: "model2vec".to_owned(),
            version: format!("{:032x}", hash.digest128()),
            parameters: String::new(),
        };
        Ok(Self { id, tokenizer, tables, normalize: config.normalize.unwrap_or(true) })
    }

    /// The mean of a text's tokens. `None` if the model knows none of them, or they cancel each other out.
    fn embed(&self, text: &str) -> Option<Vec<f32>> {
        let Tables { dimension, numbers, tokens } = &self.tables;
        let mut sum = vec![0.0_f32; *dimension];
        let mut known = 0_u32;
        self.tokenizer.encode(text, MAX_TOKENS, |token| {
            let (row, weight) = tokens[token];
            let row = &numbers[row * dimension..][..*dimension];
            sum.iter_mut().zip(row).for_each(|(sum, number)| *sum += number * weight);
            known += 1;
        });
        sum.iter_mut().for_each(|number| *number /= known.max(1) as f32);
        let square: f32 = sum.iter().map(|number| number * number).sum();
        if self.normalize && square.is_normal() {
            let norm = square.sqrt();
            sum.iter_mut().for_each(|number| *number /= norm);
        }
        square.is_normal().then_some(sum)
    }
}

/// The bytes of a model's file, hashed with its name and length.
fn read(folder: &Path, name: &str, hash: &mut Xxh3) -> Result<Vec<u8>> {
    let path = folder.join(name);
    // The model is the user's own file, no part of a store.
    #[allow(clippy::disallowed_methods)]
    let bytes = std::fs::read(&path).map_err(|error| Error::io("read the model", &path, error))?;
    hash.update(name.as_bytes());
    hash.update(&(bytes.len() as u64).to_le_bytes());
    hash.update(&bytes);
    Ok(bytes)
}

impl Tables {
    /// The tables for a tokenizer with `ids` token ids.
    fn parse(model: &[u8], ids: usize) -> Result<Self> {
        let tensors = Tensors::parse(model)?;
        let names = ["embeddings", "0", "embedding.weight"];
        let table = names.iter().find_map(|name| tensors.get(name));
        let table = table.ok_or_else(|| Error::invalid("it has no tensor called `embeddings`"))?;
        let &[rows, dimension] = table.shape() else {
            return Err(Error::invalid("its embeddings are not a table of rows and columns"));
        };
        if !(1..=MAX_DIMENSION).contains(&dimension) {
            let what = format!("it has {dimension} dimensions; 1 to {MAX_DIMENSION} can be stored");
            return Err(Error::invalid(what));
        }
        let weights = tensors.get("weights").map(|tensor| tensor.floats()).transpose()?;
        let mapping = tensors.get("mapping").map(|tensor| tensor.places()).transpose()?;
        let numbers = table.floats()?;
        if !numbers.iter().chain(weights.iter().flatten()).all(|number| number.is_finite()) {
            return Err(Error::invalid("not all of its numbers are finite"));
        }
        let token = |id: usize| {
            let row = mapping.as_ref().and_then(|rows| rows.get(id)).copied().unwrap_or(id);
            let weight = weights.as_ref().and_then(|weights| weights.get(id)).copied().unwrap_or(1.0);
            (row < rows).then_some((row, weight))
        };
        let tokens: Option<Vec<_>> = (0..ids).map(token).collect();
        let tokens = tokens.ok_or_else(|| {
            Error::invalid(format!("it has {rows} rows, which is fewer than its tokenizer has tokens"))
        })?;
        Ok(Self { dimension, numbers, tokens })
    }
}

impl Embedder for Model2Vec {
    fn id(&self) -> EmbedderId {
        self.id.clone()
    }

    fn dimension(&self) -> usize {
        self.tables.dimension
    }

    fn batch(&self) -> usize {
        256
    }

    fn concurrency(&self) -> usize {
        usize::MAX
    }

    fn embed_nodes(&self, nodes: &[NodeText<'_>]) -> Result<Vec<Vec<f32>>> {
        let of_node = |node: &NodeText<'_>| {
            // A node of which the model knows no word is stored too: it stands apart, in a fixed direction.
            self.embed(&node.render(MAX_CHARS)).unwrap_or_else(|| {
                let mut apart = vec![0.0; self.tables.dimension];
                apart[0] = 1.0;
                apart
            })
        };
        Ok(nodes.iter().map(of_node).collect())
    }

    fn embed_query(&self, text: &str) -> Result<Vec<f32>> {
        self.embed(text).ok_or_else(|| {
            Error::new(ErrorKind::InvalidInput, "the model knows no word of the question; ask in other words")
        })
    }
}

#[cfg(test)]
#[path = "model2vec_tests.rs"]
mod tests;

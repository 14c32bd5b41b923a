//! How an embedder is named on a command line and in a store.

use std::fmt;
use std::str::FromStr;

use codegraph_vector::{Error, PersistentVectorStore, Result};

use super::Embedder;
use super::lexical::LexicalEmbedder;

/// Which embedder: `lexical`, `openai:URL,MODEL` or `model2vec:DIR`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum EmbedderSpec {
    /// The built-in one: no network, no model.
    #[default]
    Lexical,
    /// An endpoint that speaks OpenAI's embeddings API.
    OpenAi {
        /// The base, such as `http://localhost:11434/v1`.
        url: String,
        /// The model that it is asked for.
        model: String,
    },
    /// A static model on disk.
    Model2Vec {
        /// The folder with its files.
        folder: String,
    },
}

impl EmbedderSpec {
    /// What a store was indexed with. `None` if it was not indexed.
    ///
    /// # Errors
    /// Whatever the store fails with; `Unsupported` if this version does not know it.
    pub fn of_store(store: &PersistentVectorStore) -> Result<Option<Self>> {
        let _ = store;
        Ok(None)
    }

    /// Makes the embedder ready. `store`, where there is one, has the statistics that questions are weighed with.
    ///
    /// # Errors
    /// Whatever is wrong with the model or the endpoint; `Unsupported` if it is not compiled in.
    pub fn open(&self, store: Option<&PersistentVectorStore>) -> Result<Box<dyn Embedder>> {
        match self {
            Self::Lexical => Ok(Box::new(LexicalEmbedder::open(store)?)),
            Self::OpenAi { .. } | Self::Model2Vec { .. } => Err(Error::invalid("no embedder yet")),
        }
    }
}

impl fmt::Display for EmbedderSpec {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lexical => out.write_str("lexical"),
            Self::OpenAi { url, model } => write!(out, "openai:{url},{model}"),
            Self::Model2Vec { folder } => write!(out, "model2vec:{folder}"),
        }
    }
}

impl FromStr for EmbedderSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text == "lexical" { Ok(Self::Lexical) } else { Err(Error::invalid("no such embedder")) }
    }
}
